//! One value to the type a parameter asks for, as Ansible's `check_type_*` do.

use crate::spec::Kind;
use crate::system::users;
use quorate_value::{Dict, Value, from_json_str, repr, str_of, to_json};
use std::fmt::Write as _;

/// Where arguments are checked, and so what paths and fallbacks may look at.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// On the controller: paths stay as written, no environment is read.
    Controller,
    /// On the host: the task's environment over the helper's own.
    Host(&'a [(String, String)]),
}

impl Place<'_> {
    /// A variable of the environment.
    pub fn var(&self, name: &str) -> Option<String> {
        match self {
            Place::Controller => None,
            Place::Host(task) => task
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
                .or_else(|| std::env::var(name).ok()),
        }
    }

    /// A path with `$VAR`, `${VAR}`, `~` and `~user` expanded; on the controller as written.
    pub fn expand_path(&self, path: &str) -> String {
        if matches!(self, Place::Controller) {
            return path.to_owned();
        }
        let path = expand_vars(path, &|name| self.var(name));
        let Some(rest) = path.strip_prefix('~') else { return path };
        let (user, tail) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let home = if user.is_empty() {
            self.var("HOME").or_else(|| users::own().map(|own| own.home))
        } else {
            users::by_name(user).map(|user| user.home)
        };
        match home {
            Some(home) => {
                let joined = format!("{}{tail}", home.trim_end_matches('/'));
                if joined.is_empty() { "/".into() } else { joined }
            }
            None => path,
        }
    }
}

/// `$NAME` and `${NAME}` replaced; unknown ones stay as written.
pub fn expand_vars(text: &str, var: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = if let Some(inner) = after.strip_prefix('{') {
            match inner.find('}') {
                Some(end) => (&inner[..end], end + 3),
                None => ("", 1),
            }
        } else {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            (&after[..end], end + 1)
        };
        match (!name.is_empty()).then(|| var(name)).flatten() {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..at + length]),
        }
        rest = &rest[at + length..];
    }
    out + rest
}

/// The value as `kind`, or why not, in Ansible's words (the end of its message).
pub fn convert(kind: Kind, value: &Value, place: Place<'_>) -> Result<Value, String> {
    let class = || format!("<class '{}'>", value.type_name());
    match kind {
        Kind::Raw => Ok(value.clone()),
        Kind::Str => Ok(text(value)),
        Kind::Path => Ok(match text(value) {
            Value::Str(text) => {
                let expanded = place.expand_path(&text);
                if expanded == text.as_str() { Value::Str(text) } else { Value::from(expanded) }
            }
            other => other,
        }),
        Kind::Bool => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::Str(_) | Value::Int(_) | Value::Float(_) | Value::Big(_) => {
                value.to_bool_loose().map(Value::Bool).ok_or_else(|| {
                    format!(
                        "The value '{}' is not a valid boolean. Valid booleans include: 0, 1, 'y', 'true', 'yes', 'no', 'f', 't', 'off', 'on', '1', '0', 'n', 'false'",
                        str_of(value)
                    )
                })
            }
            _ => Err(format!("{} cannot be converted to a bool", class())),
        },
        Kind::Int => integer(value)
            .ok_or_else(|| format!("\"{}\" cannot be converted to an int", repr(value))),
        Kind::Float => match value {
            Value::Float(_) => Ok(value.clone()),
            Value::Int(number) => Ok(Value::Float(*number as f64)),
            Value::Bool(flag) => Ok(Value::Float(f64::from(u8::from(*flag)))),
            Value::Str(text) => text.trim().parse().map(Value::Float).map_err(|_| String::new()),
            _ => Err(String::new()),
        }
        .map_err(|_| format!("{} cannot be converted to a float", class())),
        Kind::List => match value {
            Value::List(_) => Ok(value.clone()),
            Value::Str(text) => {
                let part = |part: &str| {
                    let part = quorate_value::Str::from(part);
                    Value::Str(if text.is_secret() { part.secret() } else { part })
                };
                Ok(Value::list(text.split(',').map(part).collect::<Vec<_>>()))
            }
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Big(_) => Ok(Value::list([text(value)])),
            _ => Err(format!("{} cannot be converted to a list", class())),
        },
        Kind::Dict => match value {
            Value::Dict(_) => Ok(value.clone()),
            Value::Str(text) => dict_of(text),
            _ => Err(format!("{} cannot be converted to a dict", class())),
        },
        Kind::Json | Kind::JsonArg => match value {
            Value::Str(text) => {
                let trimmed = quorate_value::Str::from(text.trim());
                Ok(Value::Str(if text.is_secret() { trimmed.secret() } else { trimmed }))
            }
            Value::List(_) | Value::Dict(_) => {
                let json = quorate_value::Str::from(to_json(value));
                Ok(Value::Str(if value.holds_secret() { json.secret() } else { json }))
            }
            _ => Err(format!("{} cannot be converted to a json string", class())),
        },
        Kind::Bytes => size(&str_of(value), 'B')
            .map(Value::Int)
            .ok_or_else(|| format!("{} cannot be converted to a Byte value", class())),
        Kind::Bits => size(&str_of(value), 'b')
            .map(Value::Int)
            .ok_or_else(|| format!("{} cannot be converted to a Bit value", class())),
    }
}

fn text(value: &Value) -> Value {
    match value {
        Value::Str(_) => value.clone(),
        Value::Null => Value::empty(),
        other if other.holds_secret() => Value::Str(quorate_value::Str::from(str_of(other)).secret()),
        other => Value::from(str_of(other)),
    }
}

fn integer(value: &Value) -> Option<Value> {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Bool(_) => Some(value.clone()),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e18 => {
            Some(Value::Int(*number as i64))
        }
        Value::Str(text) => {
            let text = text.trim().replace('_', "");
            if let Ok(number) = text.parse::<i64>() {
                return Some(Value::Int(number));
            }
            let number: f64 = text.parse().ok()?;
            (number.fract() == 0.0 && number.abs() < 9e18).then_some(Value::Int(number as i64))
        }
        _ => None,
    }
}

fn dict_of(text: &str) -> Result<Value, String> {
    if text.starts_with('{') {
        return match from_json_str(text) {
            Ok(value @ Value::Dict(_)) => Ok(value),
            _ => match python_literal(text) {
                Some(value @ Value::Dict(_)) => Ok(value),
                _ => Err("unable to evaluate string as dictionary".into()),
            },
        };
    }
    if text.contains('=') {
        return Ok(Value::dict(parse_kv(text)?));
    }
    Err("dictionary requested, could not parse JSON or key=value".into())
}

/// `a=1, b="2 3"` as a mapping of text, separated by commas or blanks outside quotes.
pub fn parse_kv(text: &str) -> Result<Dict, String> {
    let mut fields = Vec::new();
    let (mut field, mut quote, mut escaped) = (String::new(), None, false);
    for c in text.trim().chars() {
        if escaped {
            field.push(c);
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        } else if quote.is_none() && (c == ',' || c == ' ') {
            if !field.trim().is_empty() {
                fields.push(std::mem::take(&mut field));
            }
            field.clear();
        } else {
            field.push(c);
        }
    }
    if !field.trim().is_empty() {
        fields.push(field);
    }
    fields
        .iter()
        .map(|field| {
            let (key, value) = field.split_once('=').ok_or_else(|| {
                "unable to evaluate string in the \"key=value\" format as dictionary".to_owned()
            })?;
            Ok((key.to_owned(), Value::from(value)))
        })
        .collect()
}

/// `10M`, `1.5 GB`, `3` as a number of bytes (`'B'`) or bits (`'b'`).
pub fn size(text: &str, unit: char) -> Option<i64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..split].parse().ok()?;
    let suffix = text[split..].trim();
    let Some(first) = suffix.chars().next() else { return Some(round_half_even(number)) };
    let power = match first.to_ascii_uppercase() {
        'B' => 0,
        'K' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        'P' => 5,
        'E' => 6,
        'Z' => 7,
        'Y' => 8,
        _ => return None,
    };
    let rest = if power == 0 { suffix } else { &suffix[1..] };
    let word = if unit == 'B' { "byte" } else { "bit" };
    let good = rest.is_empty()
        || rest.chars().eq([unit])
        || (rest.to_lowercase().starts_with(word) && rest.chars().all(|c| c.is_ascii_alphabetic()));
    good.then(|| round_half_even(number * 1024f64.powi(power)))
}

/// Python's `int(round(x))`.
fn round_half_even(number: f64) -> i64 {
    let floor = number.floor();
    let fraction = number - floor;
    let up = fraction > 0.5 || (fraction == 0.5 && floor % 2.0 != 0.0);
    floor as i64 + i64::from(up)
}

/// A Python literal (`ast.literal_eval`): text, numbers, booleans, `None`, lists, tuples, mappings.
pub fn python_literal(text: &str) -> Option<Value> {
    let mut parser = Literal { rest: text };
    let value = parser.value(0)?;
    parser.blank();
    parser.rest.is_empty().then_some(value)
}

struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blank();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > 100 {
            return None;
        }
        self.blank();
        for (word, value) in
            [("None", Value::Null), ("True", Value::Bool(true)), ("False", Value::Bool(false))]
        {
            if self.take(word) {
                return Some(value);
            }
        }
        match self.rest.chars().next()? {
            '{' => self.dict(depth),
            '[' => self.items('[', "]", depth).map(|(items, _)| Value::list(items)),
            '(' => {
                let (items, comma) = self.items('(', ")", depth)?;
                if items.len() == 1 && !comma { items.into_iter().next() } else { Some(Value::list(items)) }
            }
            '\'' | '"' => self.text(),
            _ => self.number(),
        }
    }

    fn items(&mut self, open: char, close: &str, depth: usize) -> Option<(Vec<Value>, bool)> {
        self.rest = self.rest.strip_prefix(open)?;
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            if self.take(close) {
                return Some((items, comma));
            }
            items.push(self.value(depth + 1)?);
            comma = self.take(",");
            if !comma {
                return self.take(close).then_some((items, false));
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Value> {
        self.rest = self.rest.strip_prefix('{')?;
        let mut entries = Dict::new();
        loop {
            if self.take("}") {
                return Some(Value::dict(entries));
            }
            let key = self.value(depth + 1)?;
            if !self.take(":") {
                return None;
            }
            entries.insert(quorate_value::Key::of(&key)?, self.value(depth + 1)?);
            if !self.take(",") {
                return self.take("}").then(|| Value::dict(entries));
            }
        }
    }

    fn text(&mut self) -> Option<Value> {
        let quote = self.rest.chars().next()?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Some(Value::from(out));
                }
                '\\' => {
                    let (_, escape) = chars.next()?;
                    let digits = match escape {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        _ => 0,
                    };
                    match escape {
                        'n' => out.push('\n'),
                        't' => out.push('\t'),
                        'r' => out.push('\r'),
                        '\\' | '\'' | '"' => out.push(escape),
                        '\n' => {}
                        'x' | 'u' | 'U' => {
                            let code: String =
                                (0..digits).map_while(|_| chars.next().map(|(_, c)| c)).collect();
                            out.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                        }
                        other => {
                            let _ = write!(out, "\\{other}");
                        }
                    }
                }
                c => out.push(c),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let word = word.replace('_', "");
        self.rest = rest;
        if let Ok(number) = word.parse::<i64>() {
            return Some(Value::Int(number));
        }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if let Some(digits) = word.strip_prefix(prefix) {
                return i64::from_str_radix(digits, radix).ok().map(Value::Int);
            }
        }
        let plain = word.chars().next()?.is_ascii_digit() || word.starts_with(['-', '.', '+']);
        if plain && !word.contains(['n', 'i']) { word.parse().ok().map(Value::Float) } else { None }
    }
}
