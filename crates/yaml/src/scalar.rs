//! What a plain scalar means in YAML 1.1, exactly as PyYAML's resolver and safe constructor have it.
//!
//! In: the text of a scalar, and its tag if one is written. Out: a [`Meaning`].
//!
//! Checked in `tests/it/scalars.rs` against a table that PyYAML made.

use crate::timestamp;
use quorate_value::BigInt;
use quorate_value::Value;

/// The tags of YAML 1.1 that scalars resolve to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Timestamp,
    Merge,
    /// `=`, which PyYAML resolves and then cannot construct.
    Default,
    Str,
}

/// Which kind an untagged plain scalar has. The order of questions is PyYAML's.
pub(crate) fn resolve(text: &str) -> Kind {
    let Some(&first) = text.as_bytes().first() else { return Kind::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' if boolean(text).is_some() => {
            Kind::Bool
        }
        b'n' | b'N' | b'~' if matches!(text, "~" | "null" | "Null" | "NULL") => Kind::Null,
        b'-' | b'+' | b'.' | b'0'..=b'9' => {
            if is_float(text) {
                Kind::Float
            } else if is_int(text) {
                Kind::Int
            } else if timestamp::is_timestamp(text) {
                Kind::Timestamp
            } else {
                Kind::Str
            }
        }
        b'<' if text == "<<" => Kind::Merge,
        b'=' if text == "=" => Kind::Default,
        _ => Kind::Str,
    }
}

/// `yes`, `no`, `on`, `off`, `true`, `false`, each in lower, title or upper case.
fn boolean(text: &str) -> Option<bool> {
    Some(match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true,
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false,
        _ => return None,
    })
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// `[0-9][0-9_]*`
fn is_number_run(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit) && all(text, digit_or_underscore)
}

/// One or more `:[0-5]?[0-9]`, given without the first colon.
fn is_sexagesimal_tail(tail: &str) -> bool {
    tail.split(':').all(|part| match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [b'0'..=b'5', ones] => ones.is_ascii_digit(),
        _ => false,
    })
}

fn is_int(text: &str) -> bool {
    let text = unsigned(text);
    if let Some(binary) = text.strip_prefix("0b") {
        return all(binary, |b| matches!(b, b'0' | b'1' | b'_'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return all(hex, |b| b.is_ascii_hexdigit() || b == b'_');
    }
    if let Some(octal) = text.strip_prefix('0') {
        return octal.is_empty() || all(octal, |b| matches!(b, b'0'..=b'7' | b'_'));
    }
    match text.split_once(':') {
        Some((head, tail)) => is_number_run(head) && is_sexagesimal_tail(tail),
        None => is_number_run(text),
    }
}

/// `[eE][-+][0-9]+` or nothing.
fn is_exponent(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(['e', 'E'])
            .and_then(|rest| rest.strip_prefix(['-', '+']))
            .is_some_and(|digits| all(digits, |b| b.is_ascii_digit()))
}

fn is_float(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('.') {
        if matches!(rest, "nan" | "NaN" | "NAN") {
            return true;
        }
        // `\.[0-9][0-9_]*` with an exponent; a sign is not allowed here.
        let end = rest.bytes().take_while(|&b| digit_or_underscore(b)).count();
        if is_number_run(&rest[..end]) && is_exponent(&rest[end..]) {
            return true;
        }
    }
    let text = unsigned(text);
    if matches!(text, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let Some((head, tail)) = text.split_once('.') else { return false };
    let end = tail.bytes().take_while(|&b| digit_or_underscore(b)).count();
    match head.split_once(':') {
        Some((first, rest)) => is_number_run(first) && is_sexagesimal_tail(rest) && end == tail.len(),
        None => is_number_run(head) && is_exponent(&tail[end..]),
    }
}

/// A scalar's value for its kind; the error is a phrase that completes "`…` is …".
pub(crate) fn construct(kind: Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::Null => Ok(Value::Null),
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err("no boolean"),
        },
        Kind::Int => integer(text).map(Value::integer).ok_or("no integer"),
        Kind::Float => float(text).map(Value::Float).ok_or("no number"),
        Kind::Timestamp => {
            timestamp::python_text(text).map(Value::from).ok_or("no date or time of the calendar")
        }
        Kind::Merge => Err("only allowed as the key of a mapping"),
        Kind::Default => Err("no value in YAML 1.1; put it in quotes"),
        Kind::Str => Ok(Value::from(text)),
    }
}

fn sign_of(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn integer(text: &str) -> Option<BigInt> {
    let plain = text.trim().replace('_', "");
    let (negative, digits) = sign_of(&plain);
    // Like Python's `int`, this takes a second sign: `!!int "--1"` is 1.
    let radix = |digits: &str, radix| BigInt::parse_bytes(digits.as_bytes(), radix);
    let number = if digits == "0" {
        BigInt::ZERO
    } else if let Some(binary) = digits.strip_prefix("0b") {
        radix(binary, 2)?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        radix(hex, 16)?
    } else if digits.starts_with('0') {
        // Python's `int(text, 8)` also takes `0o17`.
        radix(digits.strip_prefix("0o").unwrap_or(digits), 8)?
    } else if digits.contains(':') {
        let mut number = BigInt::ZERO;
        for part in digits.split(':') {
            number = number * 60 + radix(part, 10)?;
        }
        number
    } else {
        radix(digits, 10)?
    };
    Some(if negative { -number } else { number })
}

fn float(text: &str) -> Option<f64> {
    let plain = text.trim().replace('_', "").to_ascii_lowercase();
    let (negative, digits) = sign_of(&plain);
    let number = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => return Some(f64::NAN),
        _ if digits.contains(':') => {
            // The additions run from the last part to the first, as PyYAML's do, so that the last bit agrees.
            let mut sum = 0.0;
            let mut base = 1.0;
            for part in digits.split(':').rev() {
                sum += part.parse::<f64>().ok()? * base;
                base *= 60.0;
            }
            sum
        }
        _ => digits.parse().ok()?,
    };
    Some(if negative { -number } else { number })
}

/// The bytes of `!!binary`; nothing where it is not base64.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0u32, 0u32, 0u32);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | u32::from(six);
        count += 1;
        if count % 4 == 0 {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
        }
    }
    match (count % 4, padding) {
        (0, 0) => {}
        (2, 2) => out.push((bits >> 4) as u8),
        (3, 1) => out.extend_from_slice(&((bits >> 2) as u16).to_be_bytes()),
        _ => return None,
    }
    Some(out)
}
