//! Python's two ways of formatting: `'%05.2f' % x` and `'{:>8,}'.format(x)`.

use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::ops::{self, Num};
use crate::rt::{Native, V};
use num_bigint::BigInt;
use num_traits::{FromPrimitive as _, Signed as _, ToPrimitive as _};
use quorate_value::{Str, float_repr, str_repr};

/// How wide a field may be asked to be.
const MAX_WIDTH: usize = 1 << 20;

/// A float as `e`, `f` or `g` prints it, without its sign.
fn float_digits(number: f64, kind: char, precision: usize, alternate: bool) -> String {
    let number = number.abs();
    if number.is_nan() {
        return if kind.is_uppercase() { "NAN" } else { "nan" }.into();
    }
    if number.is_infinite() {
        return if kind.is_uppercase() { "INF" } else { "inf" }.into();
    }
    let scientific = |precision: usize| -> (String, i32) {
        let text = format!("{number:.precision$e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        (digits.to_owned(), exponent.parse().unwrap_or(0))
    };
    let with_exponent = |digits: String, exponent: i32| {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    };
    let text = match kind.to_ascii_lowercase() {
        'e' => {
            let (digits, exponent) = scientific(precision);
            with_exponent(digits, exponent)
        }
        'f' => {
            let text = format!("{number:.precision$}");
            if alternate && precision == 0 { text + "." } else { text }
        }
        _ => {
            let precision = precision.max(1);
            let (digits, exponent) = scientific(precision - 1);
            let plain = exponent >= -4 && exponent < precision as i32;
            let trim = |text: String| {
                if alternate || !text.contains('.') {
                    text
                } else {
                    text.trim_end_matches('0').trim_end_matches('.').to_owned()
                }
            };
            if plain {
                let places = (precision as i32 - 1 - exponent).max(0) as usize;
                trim(format!("{number:.places$}"))
            } else {
                with_exponent(trim(digits), exponent)
            }
        }
    };
    if kind.is_uppercase() { text.to_uppercase() } else { text }
}

fn as_integer(value: &V) -> Option<BigInt> {
    match Num::of(value)? {
        Num::Float(number) => BigInt::from_f64(number.trunc()),
        other => other.big(),
    }
}

/// `format % values`
pub(crate) fn percent(vm: &Vm, format: &str, values: &V) -> Result<String> {
    let mut out = String::with_capacity(format.len() + 16);
    let single;
    let (items, one): (&[V], bool) = match values {
        V::Tuple(items) => (items, false),
        other => {
            single = [other.clone()];
            (&single, true)
        }
    };
    let mapping = matches!(values, V::Dict(_) | V::Object(_));
    let mut used = 0;
    let mut keyed = false;
    let next = |used: &mut usize| -> Result<V> {
        let value = items.get(*used).cloned();
        *used += 1;
        value.ok_or_else(|| Error::runtime("not enough arguments for format string"))
    };
    let mut chars = format.char_indices().peekable();
    while let Some((_, c)) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut value = None;
        if matches!(chars.peek(), Some((_, '('))) {
            chars.next();
            let mut key = String::new();
            let mut depth = 1;
            loop {
                match chars.next() {
                    None => return Err(Error::runtime("incomplete format key")),
                    Some((_, '(')) => {
                        depth += 1;
                        key.push('(');
                    }
                    Some((_, ')')) => {
                        depth -= 1;
                        if depth == 0 {
                            break;
                        }
                        key.push(')');
                    }
                    Some((_, c)) => key.push(c),
                }
            }
            if !mapping {
                return Err(Error::runtime("format requires a mapping"));
            }
            keyed = true;
            let found = ops::element(vm, values, &V::str(&key))?;
            value = Some(found.ok_or_else(|| Error::runtime(str_repr(&key)))?);
        }
        let mut spec = Spec::default();
        while let Some((_, flag @ ('-' | '+' | ' ' | '#' | '0'))) = chars.peek().copied() {
            chars.next();
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = '+',
                ' ' if spec.sign != '+' => spec.sign = ' ',
                '#' => spec.alternate = true,
                '0' => spec.zero = true,
                _ => {}
            }
        }
        let mut number = |used: &mut usize| -> Result<Option<i64>> {
            if matches!(chars.peek(), Some((_, '*'))) {
                chars.next();
                return match next(used)? {
                    V::Int(number) => Ok(Some(number)),
                    _ => Err(Error::runtime("* wants int")),
                };
            }
            let mut digits = String::new();
            while let Some((_, digit @ '0'..='9')) = chars.peek().copied() {
                digits.push(digit);
                chars.next();
            }
            Ok(if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(i64::MAX)) })
        };
        if let Some(width) = number(&mut used)? {
            if width < 0 {
                spec.align = Some('<');
            }
            spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        }
        if matches!(chars.peek(), Some((_, '.'))) {
            chars.next();
            let mut digits = String::new();
            let mut starred = None;
            if matches!(chars.peek(), Some((_, '*'))) {
                chars.next();
                starred = match next(&mut used)? {
                    V::Int(number) => Some(number.max(0) as usize),
                    _ => return Err(Error::runtime("* wants int")),
                };
            }
            while let Some((_, digit @ '0'..='9')) = chars.peek().copied() {
                digits.push(digit);
                chars.next();
            }
            spec.precision = Some(starred.unwrap_or_else(|| digits.parse().unwrap_or(0)));
        }
        while matches!(chars.peek(), Some((_, 'h' | 'l' | 'L'))) {
            chars.next();
        }
        check_width(&spec)?;
        let Some((at, kind)) = chars.next() else {
            return Err(Error::runtime("incomplete format"));
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => next(&mut used)?,
        };
        if let V::Undefined(error) = &value {
            return Err((**error).clone());
        }
        let text = match kind {
            's' => spec.text(&vm.to_str(&value)?, '>'),
            'r' => spec.text(&vm.to_repr(&value)?, '>'),
            'a' => spec.text(&ascii(&vm.to_repr(&value)?), '>'),
            'c' => match &value {
                V::Str(text) if text.chars().count() == 1 => spec.text(text, '>'),
                V::Int(code) => match u32::try_from(*code).ok().and_then(char::from_u32) {
                    Some(c) => spec.text(&c.to_string(), '>'),
                    None => return Err(Error::runtime("%c arg not in range(0x110000)")),
                },
                _ => return Err(Error::runtime("%c requires int or char")),
            },
            'd' | 'i' | 'u' => {
                let Some(number) = as_integer(&value) else {
                    return Err(Error::runtime(format!(
                        "%{kind} format: a real number is required, not {}",
                        value.type_name()
                    )));
                };
                spec.percent_integer(&number, 10, false)
            }
            'x' | 'X' | 'o' => {
                let number = Num::of(&value).and_then(|number| number.big());
                let Some(number) = number else {
                    return Err(Error::runtime(format!(
                        "%{kind} format: an integer is required, not {}",
                        value.type_name()
                    )));
                };
                spec.percent_integer(&number, if kind == 'o' { 8 } else { 16 }, kind == 'X')
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let Some(number) = Num::of(&value) else {
                    return Err(Error::runtime(format!("must be real number, not {}", value.type_name())));
                };
                let number = number.float();
                let digits = float_digits(number, kind, spec.precision.unwrap_or(6), spec.alternate);
                spec.number(&digits, "", number.is_sign_negative() && !number.is_nan())
            }
            other => {
                return Err(Error::runtime(format!(
                    "unsupported format character '{other}' (0x{:x}) at index {}",
                    other as u32,
                    format[..at].chars().count()
                )));
            }
        };
        out.push_str(&text);
    }
    if used < items.len() && !keyed && !(one && mapping) {
        return Err(Error::runtime("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn check_width(spec: &Spec) -> Result<()> {
    if spec.width > MAX_WIDTH || spec.precision.unwrap_or(0) > MAX_WIDTH {
        return Err(Error::runtime("the formatted field would be too wide"));
    }
    Ok(())
}

fn ascii(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for c in text.chars() {
        let code = c as u32;
        let _ = match code {
            0..0x80 => write!(out, "{c}"),
            0x80..0x100 => write!(out, "\\x{code:02x}"),
            0x100..0x10000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out
}

/// Python's format specification.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: char,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str) -> Result<Spec> {
        let mut spec = Spec { sign: '-', ..Spec::default() };
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let is_align = |c: Option<&char>| matches!(c, Some('<' | '>' | '^' | '='));
        if is_align(chars.get(1)) {
            spec.fill = Some(chars[0]);
            spec.align = Some(chars[1]);
            at = 2;
        } else if is_align(chars.first()) {
            spec.align = Some(chars[0]);
            at = 1;
        }
        if let Some(&sign @ ('+' | '-' | ' ')) = chars.get(at) {
            spec.sign = sign;
            at += 1;
        }
        if chars.get(at) == Some(&'z') {
            at += 1;
        }
        if chars.get(at) == Some(&'#') {
            spec.alternate = true;
            at += 1;
        }
        if chars.get(at) == Some(&'0') {
            spec.zero = spec.align.is_none();
            if spec.fill.is_none() {
                spec.fill = Some('0');
            }
            at += 1;
        }
        let number = |at: &mut usize| {
            let start = *at;
            while chars.get(*at).is_some_and(char::is_ascii_digit) {
                *at += 1;
            }
            let digits: String = chars[start..*at].iter().collect();
            (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX))
        };
        spec.width = number(&mut at).unwrap_or(0);
        if let Some(&grouping @ (',' | '_')) = chars.get(at) {
            spec.grouping = Some(grouping);
            at += 1;
        }
        if chars.get(at) == Some(&'.') {
            at += 1;
            spec.precision = number(&mut at);
            if spec.precision.is_none() {
                return Err(Error::runtime("Format specifier missing precision"));
            }
        }
        if let Some(&kind) = chars.get(at) {
            spec.kind = Some(kind);
            at += 1;
        }
        if at != chars.len() {
            return Err(Error::runtime("Invalid format specifier"));
        }
        check_width(&spec)?;
        Ok(spec)
    }

    fn pad(&self, text: &str, usual: char) -> String {
        let length = text.chars().count();
        let missing = self.width.saturating_sub(length);
        if missing == 0 {
            return text.to_owned();
        }
        let fill = self.fill.unwrap_or(' ').to_string();
        let (left, right) = match self.align.unwrap_or(usual) {
            '<' => (0, missing),
            '^' => (missing / 2, missing - missing / 2),
            _ => (missing, 0),
        };
        format!("{}{text}{}", fill.repeat(left), fill.repeat(right))
    }

    fn text(&self, text: &str, usual: char) -> String {
        let text: String = match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        };
        self.pad(&text, usual)
    }

    /// Sign, prefix and digits, filled with zeros between them where asked.
    fn number(&self, digits: &str, prefix: &str, negative: bool) -> String {
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, '+') => "+",
            (false, ' ') => " ",
            _ => "",
        };
        let inner = self.width.saturating_sub(sign.len() + prefix.len());
        let zeros = self.zero && self.align.is_none();
        if zeros || self.align == Some('=') {
            let fill = if zeros { '0' } else { self.fill.unwrap_or(' ') };
            let missing = inner.saturating_sub(digits.chars().count());
            let filled = format!("{}{digits}", fill.to_string().repeat(missing));
            return format!("{sign}{prefix}{filled}");
        }
        self.pad(&format!("{sign}{prefix}{digits}"), '>')
    }

    fn percent_integer(&self, number: &BigInt, radix: u32, upper: bool) -> String {
        let mut digits = number.abs().to_str_radix(radix);
        if let Some(precision) = self.precision {
            digits = format!("{}{digits}", "0".repeat(precision.saturating_sub(digits.len())));
        }
        let prefix = match radix {
            16 if self.alternate => "0x",
            8 if self.alternate => "0o",
            _ => "",
        };
        if upper {
            self.number(&digits.to_uppercase(), &prefix.to_uppercase(), number.is_negative())
        } else {
            self.number(&digits, prefix, number.is_negative())
        }
    }

    fn grouped(&self, digits: &str, every: usize) -> String {
        let Some(separator) = self.grouping else { return digits.to_owned() };
        let (whole, rest) = match digits.find(|c: char| !c.is_ascii_hexdigit()) {
            Some(at) => digits.split_at(at),
            None => (digits, ""),
        };
        let mut out = String::new();
        for (index, c) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(every) {
                out.push(separator);
            }
            out.push(c);
        }
        out + rest
    }
}

/// `format(value, spec)`
pub(crate) fn format_value(vm: &Vm, value: &V, text: &str) -> Result<String> {
    if text.is_empty() {
        return vm.to_str(value);
    }
    if let V::Native(native) = value
        && let Native::Date(date) = &**native
    {
        return Ok(date.strftime(text, None));
    }
    let spec = Spec::parse(text)?;
    let unknown = |kind: char| {
        Error::runtime(format!("Unknown format code '{kind}' for object of type '{}'", value.type_name()))
    };
    match value {
        V::Undefined(error) => Err((**error).clone()),
        V::Str(string) => match spec.kind {
            None | Some('s') => {
                if spec.align == Some('=') || (spec.zero && spec.align.is_none() && spec.width > 0) {
                    if spec.align == Some('=') {
                        return Err(Error::runtime("'=' alignment not allowed in string format specifier"));
                    }
                    return Ok(Spec { align: Some('<'), ..spec }.text(string, '<'));
                }
                Ok(spec.text(string, '<'))
            }
            Some(kind) => Err(unknown(kind)),
        },
        V::Bool(_) | V::Int(_) | V::Big(_) => {
            let number = as_integer(value).unwrap_or_default();
            let negative = number.is_negative();
            let digits = number.abs();
            Ok(match spec.kind {
                None if matches!(value, V::Bool(_)) && spec.precision.is_none() && text.is_empty() => {
                    vm.to_str(value)?
                }
                None | Some('d' | 'n') => spec.number(&spec.grouped(&digits.to_string(), 3), "", negative),
                Some('x') => spec.number(
                    &spec.grouped(&digits.to_str_radix(16), 4),
                    if spec.alternate { "0x" } else { "" },
                    negative,
                ),
                Some('X') => spec.number(
                    &spec.grouped(&digits.to_str_radix(16).to_uppercase(), 4),
                    if spec.alternate { "0X" } else { "" },
                    negative,
                ),
                Some('o') => spec.number(
                    &spec.grouped(&digits.to_str_radix(8), 4),
                    if spec.alternate { "0o" } else { "" },
                    negative,
                ),
                Some('b') => spec.number(
                    &spec.grouped(&digits.to_str_radix(2), 4),
                    if spec.alternate { "0b" } else { "" },
                    negative,
                ),
                Some('c') => match digits.to_u32().and_then(char::from_u32) {
                    Some(c) => spec.text(&c.to_string(), '<'),
                    None => return Err(Error::runtime("%c arg not in range(0x110000)")),
                },
                Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
                    return float_spec(&spec, number.to_f64().unwrap_or(f64::INFINITY));
                }
                Some(kind) => return Err(unknown(kind)),
            })
        }
        V::Float(number) => match spec.kind {
            None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%') => float_spec(&spec, *number),
            Some(kind) => Err(unknown(kind)),
        },
        other => Err(Error::runtime(format!(
            "unsupported format string passed to {}.__format__",
            other.type_name()
        ))),
    }
}

fn float_spec(spec: &Spec, number: f64) -> Result<String> {
    let negative = number.is_sign_negative() && !number.is_nan();
    let digits = match spec.kind {
        None => match spec.precision {
            None => float_repr(number.abs()),
            Some(precision) => {
                let digits = float_digits(number, 'g', precision, spec.alternate);
                let whole = !digits.contains(['.', 'e', 'n', 'i']);
                if whole { digits + ".0" } else { digits }
            }
        },
        Some('%') => float_digits(number * 100.0, 'f', spec.precision.unwrap_or(6), spec.alternate) + "%",
        Some('n') => float_digits(number, 'g', spec.precision.unwrap_or(6), spec.alternate),
        Some(kind) => float_digits(number, kind, spec.precision.unwrap_or(6), spec.alternate),
    };
    Ok(spec.number(&spec.grouped(&digits, 3), "", negative))
}

/// `text.format(...)`
pub(crate) fn braces(vm: &Vm, text: &Str, args: &Args) -> Result<String> {
    let mut auto = 0;
    braces_inner(vm, text, args, &mut auto, 0)
}

fn braces_inner(vm: &Vm, text: &str, args: &Args, auto: &mut i64, depth: usize) -> Result<String> {
    if depth > 2 {
        return Err(Error::runtime("Max string recursion exceeded"));
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if rest.as_bytes().first() == Some(&brace) {
            out.push(brace as char);
            rest = &rest[1..];
            continue;
        }
        if brace == b'}' {
            return Err(Error::runtime("Single '}' encountered in format string"));
        }
        let mut level = 1;
        let end = rest.bytes().position(|b| {
            match b {
                b'{' => level += 1,
                b'}' => level -= 1,
                _ => {}
            }
            level == 0
        });
        let Some(end) = end else {
            return Err(Error::runtime(if rest.is_empty() {
                "Single '{' encountered in format string"
            } else {
                "expected '}' before end of string"
            }));
        };
        out.push_str(&field(vm, &rest[..end], args, auto, depth)?);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn field(vm: &Vm, field: &str, args: &Args, auto: &mut i64, depth: usize) -> Result<String> {
    // The name ends at the first `!` or `:` outside of brackets.
    let mut bracket = false;
    let split = field.find(|c: char| {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            _ => {}
        }
        !bracket && (c == '!' || c == ':')
    });
    let (name, rest) = split.map_or((field, ""), |at| field.split_at(at));
    let (conversion, spec) = match rest.strip_prefix('!') {
        Some(after) => {
            let mut chars = after.chars();
            let kind = chars.next();
            (kind, chars.as_str().strip_prefix(':').unwrap_or(""))
        }
        None => (None, rest.strip_prefix(':').unwrap_or("")),
    };
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut path) = name.split_at(end);
    let mut value = if first.is_empty() || first.bytes().all(|b| b.is_ascii_digit()) {
        let index = if first.is_empty() {
            if *auto < 0 {
                return Err(Error::runtime(
                    "cannot switch from manual field specification to automatic field numbering",
                ));
            }
            *auto += 1;
            (*auto - 1) as usize
        } else {
            if *auto > 0 {
                return Err(Error::runtime(
                    "cannot switch from automatic field numbering to manual field specification",
                ));
            }
            *auto = -1;
            first.parse().unwrap_or(usize::MAX)
        };
        args.pos.get(index).cloned().ok_or_else(|| {
            Error::runtime(format!("Replacement index {index} out of range for positional args tuple"))
        })?
    } else {
        let found = args.named.iter().find(|(known, _)| &**known == first);
        found.map(|(_, value)| value.clone()).ok_or_else(|| Error::runtime(str_repr(first)))?
    };
    while !path.is_empty() {
        if let Some(after) = path.strip_prefix('[') {
            let Some(end) = after.find(']') else {
                return Err(Error::runtime("Missing ']' in format string"));
            };
            let key = &after[..end];
            let index = match key.parse::<i64>() {
                Ok(number) if key.bytes().all(|b| b.is_ascii_digit()) => V::Int(number),
                _ => V::str(key),
            };
            value = ops::element(vm, &value, &index)?.ok_or_else(|| Error::runtime(str_repr(key)))?;
            path = &after[end + 1..];
        } else if let Some(after) = path.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let name: std::sync::Arc<str> = std::sync::Arc::from(&after[..end]);
            value = match crate::methods::attribute(vm, &value, &name)? {
                Some(found) => found,
                None => {
                    return Err(Error::runtime(format!(
                        "'{}' object has no attribute '{name}'",
                        value.type_name()
                    )));
                }
            };
            path = &after[end..];
        } else {
            return Err(Error::runtime("Only '.' or '[' may follow ']' in format field specifier"));
        }
    }
    if let V::Undefined(error) = &value {
        return Err((**error).clone());
    }
    let value = match conversion {
        None => value,
        Some('s') => V::text(vm.to_str(&value)?),
        Some('r') => V::text(vm.to_repr(&value)?),
        Some('a') => V::text(ascii(&vm.to_repr(&value)?)),
        Some(other) => {
            return Err(Error::runtime(format!("Unknown conversion specifier '{other}'")));
        }
    };
    let spec =
        if spec.contains('{') { braces_inner(vm, spec, args, auto, depth + 1)? } else { spec.to_owned() };
    format_value(vm, &value, &spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_floats() {
        for (number, kind, precision, expected) in [
            (2.34159, 'f', 2, "2.34"),
            (0.5, 'f', 0, "0"),
            (1.5, 'f', 0, "2"),
            (12345.678, 'e', 3, "1.235e+04"),
            (0.00001234, 'g', 6, "1.234e-05"),
            (100_000.0, 'g', 6, "100000"),
            (1_000_000.0, 'g', 6, "1e+06"),
            (1.5, 'E', 1, "1.5E+00"),
            (f64::INFINITY, 'f', 2, "inf"),
        ] {
            assert_eq!(float_digits(number, kind, precision, false), expected);
        }
    }
}
