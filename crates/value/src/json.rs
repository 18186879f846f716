//! JSON as Python's `json` module writes and reads it.

use crate::{Dict, Key, Value, float_repr};
use std::fmt::Write as _;

/// How JSON is laid out.
#[derive(Debug, Clone, Copy)]
pub struct JsonStyle {
    /// Spaces an indentation level; everything on one line where absent.
    pub indent: Option<usize>,
    /// Keys sorted as text.
    pub sort_keys: bool,
    /// Everything outside ASCII as `\uXXXX` (Python's default).
    pub ascii: bool,
    /// `(", ", ": ")` on one line (Python's default), or `(",", ":")`.
    pub compact: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        JsonStyle { indent: None, sort_keys: false, ascii: true, compact: false }
    }
}

/// One line of JSON, as `json.dumps(value)`.
pub fn to_json(value: &Value) -> String {
    JsonStyle::default().write(value)
}

/// JSON over several lines with four spaces, keys in order of insertion.
pub fn to_json_pretty(value: &Value) -> String {
    JsonStyle { indent: Some(4), ..JsonStyle::default() }.write(value)
}

impl JsonStyle {
    /// The value as JSON.
    pub fn write(&self, value: &Value) -> String {
        let mut out = String::new();
        self.value(&mut out, value, 0);
        out
    }

    fn value(&self, out: &mut String, value: &Value, depth: usize) {
        match value {
            Value::Null | Value::Omit => out.push_str("null"),
            Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Value::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Big(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Float(number) if number.is_nan() => out.push_str("NaN"),
            Value::Float(number) if number.is_infinite() => {
                out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Value::Float(number) => out.push_str(&float_repr(*number)),
            Value::Str(text) | Value::Vault(text) => self.text(out, text),
            Value::List(items) => {
                let items = items.iter().map(|item| (None, item));
                self.container(out, '[', ']', items, depth);
            }
            Value::Dict(entries) if self.sort_keys => {
                let sorted = entries.sorted();
                self.container(out, '{', '}', sorted.iter().map(|(k, v)| (Some(k), v)), depth);
            }
            Value::Dict(entries) => {
                self.container(out, '{', '}', entries.iter().map(|(k, v)| (Some(k), v)), depth);
            }
        }
    }

    fn container<'a>(
        &self,
        out: &mut String,
        open: char,
        close: char,
        items: impl Iterator<Item = (Option<&'a Key>, &'a Value)>,
        depth: usize,
    ) {
        out.push(open);
        let mut any = false;
        for (key, value) in items {
            if any {
                out.push_str(match (self.indent, self.compact) {
                    (Some(_), _) | (None, true) => ",",
                    (None, false) => ", ",
                });
            }
            any = true;
            self.new_line(out, depth + 1);
            if let Some(key) = key {
                self.text(out, &key.json_text());
                out.push_str(if self.compact { ":" } else { ": " });
            }
            self.value(out, value, depth + 1);
        }
        if any {
            self.new_line(out, depth);
        }
        out.push(close);
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn text(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if self.ascii
                    && let Some(byte) = crate::raw::byte_of(c) =>
                {
                    let _ = write!(out, "\\udc{byte:02x}");
                }
                c if (c as u32) < 0x20 || (self.ascii && c as u32 >= 0x7f && c as u32 != 0x7f) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// Reads JSON text. Numbers too big for 64 bits stay exact.
pub fn from_json_str(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Value::Int(number),
                (None, Some(number)) => Value::from(number),
                _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::from(text),
            Json::Array(items) => items.into_iter().collect(),
            Json::Object(entries) => Value::dict(entries.into_iter().collect::<Dict>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dict;

    #[test]
    fn written_as_python_writes_it() {
        let value = Value::from(dict! {"b" => Value::list([Value::Int(1), Value::Float(1.0)]), "a" => "é\n"});
        assert_eq!(to_json(&value), r#"{"b": [1, 1.0], "a": "\u00e9\n"}"#);
        assert_eq!(to_json_pretty(&Value::from(Dict::new())), "{}");
        assert_eq!(to_json_pretty(&value).lines().count(), 7);
        assert_eq!(from_json_str(&to_json(&value)).unwrap(), value);
    }
}
