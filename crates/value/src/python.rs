//! Equality, ordering and printing as Python has them.

use crate::{Dict, Key, Value};
use num_traits::ToPrimitive as _;
use std::cmp::Ordering;
use std::fmt::Write as _;

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) | (Value::Omit, Value::Omit) => true,
            (Value::Str(a) | Value::Vault(a), Value::Str(b) | Value::Vault(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Dict(a), Value::Dict(b)) => a == b,
            _ => compare_numbers(self, other) == Some(Ordering::Equal),
        }
    }
}

fn compare_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| match v {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    };
    let float = |v: &Value| match v {
        Value::Float(number) => Some(*number),
        Value::Big(number) => number.to_f64(),
        _ => whole(v).map(|number| number as f64),
    };
    match (a, b) {
        (Value::Big(a), Value::Big(b)) => Some(a.cmp(b)),
        _ => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => float(a)?.partial_cmp(&float(b)?),
        },
    }
}

/// Python's `<`, `==`, `>`; nothing where Python raises `TypeError`.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::List(a), Value::List(b)) => {
            for (x, y) in a.iter().zip(b.iter()) {
                if x != y {
                    return compare(x, y);
                }
            }
            Some(a.len().cmp(&b.len()))
        }
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        _ => compare_numbers(a, b),
    }
}

/// Python's `repr()` of a float: the shortest text that reads back, with a point or an exponent.
pub fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0.0" } else { "0.0" }.into();
    }
    // `{:e}` gives the shortest digits; Python's `repr` switches to an exponent below 1e-4 and from 1e16.
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`{:e}` always writes an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

/// Python's `repr()` of text: single quotes unless the text has them and no double ones.
pub fn str_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20
                || c as u32 == 0x7f
                || (0x80..0xa1).contains(&(c as u32))
                || c as u32 == 0xad =>
            {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Python's `str()`: text as it is, everything else as `repr()`.
pub fn str_of(value: &Value) -> String {
    match value {
        Value::Str(text) | Value::Vault(text) => text.as_str().to_owned(),
        other => repr(other),
    }
}

/// Python's `repr()`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(flag) => out.push_str(if *flag { "True" } else { "False" }),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Big(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => out.push_str(&float_repr(*number)),
        Value::Str(text) | Value::Vault(text) => out.push_str(&str_repr(text)),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Dict(entries) => write_dict(out, entries),
        Value::Omit => out.push_str("<<Omit>>"),
    }
}

fn write_dict(out: &mut String, entries: &Dict) {
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        match key {
            Key::Str(text) => out.push_str(&str_repr(text)),
            other => write_repr(out, &other.to_value()),
        }
        out.push_str(": ");
        write_repr(out, value);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dict;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1e22, "1e+22"),
            (123456.789, "123456.789"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float_repr(number), text);
        }
    }

    #[test]
    fn reprs() {
        assert_eq!(str_repr("it's"), "\"it's\"");
        assert_eq!(str_repr("a\n\"'"), "'a\\n\"\\''");
        let value = Value::from(dict! {"a" => Value::list([Value::Int(1), Value::Null]), "b" => true});
        assert_eq!(repr(&value), "{'a': [1, None], 'b': True}");
    }

    #[test]
    fn equality_is_pythons() {
        assert_eq!(Value::Int(1), Value::Bool(true));
        assert_eq!(Value::Int(1), Value::Float(1.0));
        assert_ne!(Value::Int(1), Value::from("1"));
        assert_eq!(dict! {"a" => 1i64, "b" => 2i64}, dict! {"b" => 2i64, "a" => 1i64});
        assert_eq!(compare(&Value::Int(1), &Value::from("a")), None);
    }
}
