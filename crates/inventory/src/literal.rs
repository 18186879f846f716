//! Values of INI files: what Python's `ast.literal_eval` reads, else the text itself.
//!
//! In: the text after `=`. Out: a [`Value`]; texts in it are trusted and carry the given place.
//!
//! **Invariant:** nothing nests deeper than [`MAX_DEPTH`]; what nests deeper is text.

use num_bigint::BigInt;
use quorate_value::{Dict, Key, Span, Str, Value, float_repr};

/// How deep lists and dictionaries may nest.
const MAX_DEPTH: u32 = 90;

/// The value of an INI variable.
pub(crate) fn value(text: &str, span: Span) -> Value {
    let fast_text = text.chars().next().is_none_or(|c| c.is_ascii_alphabetic() && !"TFNrRbBuUs".contains(c));
    if !fast_text
        && let Some(value) =
            (Reader { text: text.trim_start_matches([' ', '\t']), at: 0, depth: 0, span }).all()
    {
        return value;
    }
    Value::Str(Str::written(text, span))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    span: Span,
}

impl<'a> Reader<'a> {
    fn all(mut self) -> Option<Value> {
        let first = self.item()?;
        self.blank();
        let value = if self.take(',') { self.rest_of_tuple(first, None)? } else { first };
        self.blank();
        if self.peek() == Some('#') {
            self.at = self.text.len();
        }
        (self.at == self.text.len()).then_some(value)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\u{c}')) {
            self.at += 1;
        }
    }

    fn rest_of_tuple(&mut self, first: Value, close: Option<char>) -> Option<Value> {
        let mut items = vec![first];
        loop {
            self.blank();
            let ends = match close {
                Some(close) => self.take(close),
                None => matches!(self.peek(), None | Some('#')),
            };
            if ends {
                return Some(Value::list(items));
            }
            items.push(self.item()?);
            self.blank();
            if !self.take(',') {
                let ends = match close {
                    Some(close) => self.take(close),
                    None => matches!(self.peek(), None | Some('#')),
                };
                return ends.then(|| Value::list(items));
            }
        }
    }

    fn item(&mut self) -> Option<Value> {
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        self.blank();
        let value = match self.peek()? {
            '[' => self.list(),
            '(' => self.tuple(),
            '{' => self.braces(),
            '+' | '-' => self.signed(),
            '.' if self.rest().starts_with("...") => {
                self.at += 3;
                Some(self.text("..."))
            }
            '0'..='9' | '.' => self.number_or_sum(),
            '\'' | '"' => self.strings(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Option<Value> {
        self.at += 1;
        self.blank();
        if self.take(']') {
            return Some(Value::list(Vec::new()));
        }
        let first = self.item()?;
        self.blank();
        if self.take(']') {
            return Some(Value::list([first]));
        }
        self.take(',').then(|| self.rest_of_tuple(first, Some(']')))?
    }

    fn tuple(&mut self) -> Option<Value> {
        self.at += 1;
        self.blank();
        if self.take(')') {
            return Some(Value::list(Vec::new()));
        }
        let first = self.item()?;
        self.blank();
        if self.take(')') {
            return Some(first);
        }
        self.take(',').then(|| self.rest_of_tuple(first, Some(')')))?
    }

    fn braces(&mut self) -> Option<Value> {
        self.at += 1;
        self.blank();
        if self.take('}') {
            return Some(Value::dict(Dict::new()));
        }
        let first = self.item()?;
        self.blank();
        if self.take('}') {
            return Key::of(&first).map(|_| Value::list([first]));
        }
        if self.take(',') {
            let Value::List(items) = self.rest_of_tuple(first, Some('}'))? else { return None };
            let mut members: Vec<Value> = Vec::new();
            for item in items.iter() {
                // A set keeps one of equal members, and only of what can be a key.
                Key::of(item)?;
                if !members.contains(item) {
                    members.push(item.clone());
                }
            }
            return Some(Value::list(members));
        }
        let mut entries = Dict::new();
        let mut key = Key::of(&first)?;
        loop {
            self.blank();
            if !self.take(':') {
                return None;
            }
            let value = self.item()?;
            entries.insert(key, value);
            self.blank();
            if self.take('}') {
                return Some(Value::dict(entries));
            }
            if !self.take(',') {
                return None;
            }
            self.blank();
            if self.take('}') {
                return Some(Value::dict(entries));
            }
            key = Key::of(&self.item()?)?;
        }
    }

    fn signed(&mut self) -> Option<Value> {
        let minus = self.peek() == Some('-');
        self.at += 1;
        self.blank();
        if !self.peek()?.is_ascii_digit() && self.peek()? != '.' {
            return None;
        }
        let number = self.number()?;
        self.sum(match number {
            Number::Real(Value::Int(number)) if minus => Number::Real(Value::integer(-BigInt::from(number))),
            Number::Real(Value::Big(number)) if minus => {
                Number::Real(Value::integer(-BigInt::clone(&number)))
            }
            Number::Real(Value::Float(number)) if minus => Number::Real(Value::Float(-number)),
            Number::Complex(real, imaginary) if minus => Number::Complex(-real, -imaginary),
            other => other,
        })
    }

    fn number_or_sum(&mut self) -> Option<Value> {
        let number = self.number()?;
        self.sum(number)
    }

    /// A number, to which an imaginary one may be added.
    fn sum(&mut self, number: Number) -> Option<Value> {
        let at = self.at;
        self.blank();
        let sign = match (self.peek(), &number) {
            (Some('+'), Number::Real(_)) => 1.0,
            (Some('-'), Number::Real(_)) => -1.0,
            _ => {
                self.at = at;
                return Some(match number {
                    Number::Real(value) => value,
                    Number::Complex(real, imaginary) => self.text(&complex(real, imaginary)),
                });
            }
        };
        self.at += 1;
        self.blank();
        let real = match number {
            Number::Real(Value::Int(number)) => number as f64,
            Number::Real(Value::Float(number)) => number,
            _ => return None,
        };
        match self.number()? {
            Number::Complex(_, imaginary) => Some(self.text(&complex(real, sign * imaginary))),
            Number::Real(_) => None,
        }
    }

    fn text(&self, text: &str) -> Value {
        Value::Str(Str::written(text, self.span))
    }

    fn number(&mut self) -> Option<Number> {
        let rest = self.rest();
        let mut end = 0;
        let mut previous = ' ';
        let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
        for c in rest.chars() {
            let exponent_sign = !hexadecimal && matches!(previous, 'e' | 'E') && matches!(c, '+' | '-');
            if !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || exponent_sign) {
                break;
            }
            previous = c;
            end += c.len_utf8();
        }
        self.at += end;
        match rest[..end].strip_suffix(['j', 'J']) {
            None => number(&rest[..end]).map(Number::Real),
            // `0777j` is a number where `0777` is none.
            Some(imaginary) => match number(&format!("{imaginary}e0")).or_else(|| number(imaginary))? {
                Value::Int(number) => Some(Number::Complex(0.0, number as f64)),
                Value::Float(number) => Some(Number::Complex(0.0, number)),
                _ => None,
            },
        }
    }

    fn word(&mut self) -> Option<Value> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if after.starts_with(['\'', '"']) {
            return self.strings();
        }
        self.at += end;
        match word {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            "set" => {
                self.blank();
                (self.take('(') && {
                    self.blank();
                    self.take(')')
                })
                .then(|| Value::list(Vec::new()))
            }
            _ => None,
        }
    }

    /// One or more string literals side by side.
    fn strings(&mut self) -> Option<Value> {
        let mut text = String::new();
        let mut bytes = None;
        loop {
            let rest = self.rest();
            let prefix = rest.find(['\'', '"']).unwrap_or(rest.len());
            let lower = rest[..prefix].to_ascii_lowercase();
            let raw = match lower.as_str() {
                "" | "u" | "b" => false,
                "r" | "br" | "rb" => true,
                _ => return None,
            };
            if *bytes.get_or_insert(lower.contains('b')) != lower.contains('b') {
                return None;
            }
            self.at += prefix;
            text.push_str(&self.string(raw)?);
            self.blank();
            let rest = self.rest();
            let next = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            if next > 2 || !rest[next..].starts_with(['\'', '"']) {
                // Bytes are no text that people wrote as a template.
                let text = Str::written(&text, self.span);
                return Some(Value::Str(if bytes == Some(true) { text.untrusted() } else { text }));
            }
        }
    }

    fn string(&mut self, raw: bool) -> Option<String> {
        let quote = self.peek()?;
        let triple = self.rest().starts_with(&quote.to_string().repeat(3));
        self.at += if triple { 3 } else { 1 };
        let mut out = String::new();
        loop {
            let c = self.peek()?;
            self.at += c.len_utf8();
            if c == quote {
                if !triple {
                    return Some(out);
                }
                let two = quote.to_string().repeat(2);
                if self.rest().starts_with(&two) {
                    self.at += 2;
                    return Some(out);
                }
                out.push(c);
            } else if c != '\\' {
                out.push(c);
            } else if raw {
                let next = self.peek()?;
                self.at += next.len_utf8();
                out.extend(['\\', next]);
            } else {
                self.escape(&mut out)?;
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        let code = |reader: &mut Self, digits: usize| -> Option<char> {
            let text = reader.rest().get(..digits)?;
            reader.at += digits;
            char::from_u32(u32::from_str_radix(text, 16).ok()?)
        };
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'v' => out.push('\u{b}'),
            '\\' | '\'' | '"' => out.push(c),
            'x' => out.push(code(self, 2)?),
            'u' => out.push(code(self, 4)?),
            'U' => out.push(code(self, 8)?),
            'N' => return None,
            '0'..='7' => {
                let mut number = c.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    number = number * 8 + digit;
                }
                out.push(char::from_u32(number)?);
            }
            other => out.extend(['\\', other]),
        }
        Some(())
    }
}

/// A number as `ast.literal_eval` has it.
enum Number {
    Real(Value),
    /// Ansible knows no complex numbers: they become the text that Python prints.
    Complex(f64, f64),
}

/// A complex number as Python prints it.
fn complex(real: f64, imaginary: f64) -> String {
    let part = |number: f64| float_repr(number).trim_end_matches(".0").to_owned();
    if real == 0.0 && real.is_sign_positive() {
        return format!("{}j", part(imaginary));
    }
    let sign = if imaginary.is_sign_negative() { "" } else { "+" };
    format!("({}{sign}{}j)", part(real), part(imaginary))
}

/// A Python number without a sign.
fn number(text: &str) -> Option<Value> {
    let underscores_ok = |digits: &str| {
        !digits.is_empty() && !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__")
    };
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            // One underscore may follow the prefix.
            let digits = digits.strip_prefix('_').unwrap_or(digits);
            return underscores_ok(digits)
                .then(|| BigInt::parse_bytes(digits.replace('_', "").as_bytes(), radix))?
                .map(Value::integer);
        }
    }
    if lower.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        let digits = underscores_ok(&lower).then(|| lower.replace('_', ""))?;
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|b| b != b'0') {
            return None;
        }
        // Python refuses to read longer ones.
        return (digits.len() <= 4300).then(|| {
            digits.parse::<i64>().map(Value::Int).ok().or_else(|| Some(Value::integer(digits.parse().ok()?)))
        })?;
    }
    let (mantissa, exponent) = lower.split_once('e').map_or((lower.as_str(), None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, ""), |(w, f)| (w, f));
    let digits_ok = |part: &str| {
        part.is_empty() || (underscores_ok(part) && part.bytes().all(|b| b.is_ascii_digit() || b == b'_'))
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits_ok(digits)
    });
    if !(digits_ok(whole) && digits_ok(fraction) && exponent_ok) || (whole.is_empty() && fraction.is_empty())
    {
        return None;
    }
    lower.replace('_', "").parse().map(Value::Float).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::repr;

    #[test]
    fn as_python() {
        let cases = [
            ("1", "1"),
            ("1 # foo", "1"),
            ("abc # foo", "'abc # foo'"),
            ("hello world", "'hello world'"),
            ("\"quoted\"", "'quoted'"),
            ("{\"a\": [1, \"x\"]}", "{'a': [1, 'x']}"),
            ("yes", "'yes'"),
            ("", "''"),
            ("'a", "\"'a\""),
            ("1,2", "[1, 2]"),
            ("(1)", "1"),
            ("true", "'true'"),
            ("True", "True"),
            ("[1,", "'[1,'"),
            ("{}", "{}"),
            ("None", "None"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("1.", "1.0"),
            (".", "'.'"),
            ("...", "'...'"),
            ("-0x1F", "-31"),
            ("'a' \"b\"", "'ab'"),
            ("r'\\n'", "'\\\\n'"),
            ("'\\x41\\n'", "'A\\n'"),
            ("{1:2}", "{1: 2}"),
            ("f'x'", "\"f'x'\""),
            ("0b11", "3"),
            ("0o17", "15"),
            ("017", "'017'"),
            ("00", "0"),
            ("- 5", "-5"),
            ("--5", "'--5'"),
            ("99999999999999999999", "99999999999999999999"),
            ("'''abc'''", "'abc'"),
            ("set()", "[]"),
            ("{'a', 'a'}", "['a']"),
            (" [1, 2,]", "[1, 2]"),
            ("[,]", "'[,]'"),
            ("()", "[]"),
            ("(1,)", "[1]"),
            ("1_000", "1000"),
            ("1__0", "'1__0'"),
            ("1+2", "'1+2'"),
            ("1j", "'1j'"),
            ("-1j", "'(-0-1j)'"),
            ("1+2j", "'(1+2j)'"),
            ("-1.5 - .5j", "'(-1.5-0.5j)'"),
            ("[..., 1j, set(), {1, 2}]", "['...', '1j', [], [1, 2]]"),
            ("1+2j+3j", "'1+2j+3j'"),
            ("1j+1", "'1j+1'"),
            ("10.0.0.1", "'10.0.0.1'"),
            ("10.0.0.0/8", "'10.0.0.0/8'"),
            ("1.2.3", "'1.2.3'"),
            ("{[1]: 2}", "'{[1]: 2}'"),
            ("1e400", "inf"),
            ("/etc/x", "'/etc/x'"),
            ("{{ x }}", "'{{ x }}'"),
            ("{{ 'a': 1 }}", "\"{{ 'a': 1 }}\""),
            ("12:30", "'12:30'"),
        ];
        for (text, expected) in cases {
            assert_eq!(repr(&value(text, Span::default())), expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_text() {
        let deep = "[".repeat(100_000);
        assert_eq!(value(&deep, Span::default()).as_str(), Some(deep.as_str()));
    }

    #[test]
    fn texts_are_trusted_templates() {
        let read = value("[1,'{{ x }}']", Span::default());
        assert!(read.as_list().unwrap()[1].as_text().unwrap().is_template());
    }
}
