//! Numbers: `int`, `float`, `round`, `abs`, sizes for people.

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::ops::Num;
use crate::rt::V;
use num_bigint::BigInt;
use num_integer::Integer as _;
use num_traits::{FromPrimitive as _, Signed as _};
use quorate_value::Str;

pub(super) static FILTERS: [Filter; 10] = [
    filter("abs", abs),
    filter("filesizeformat", filesizeformat),
    filter("float", float),
    filter("human_readable", human_readable),
    filter("human_to_bytes", human_to_bytes),
    filter("int", int),
    filter("log", log),
    filter("pow", pow),
    filter("root", root),
    filter("round", round),
];

fn abs(_: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("abs", ["x"], 1)?;
    let value = value.unwrap_or(V::Null);
    match Num::of(&value) {
        Some(Num::Float(number)) => Ok(V::Float(number.abs())),
        Some(number) => Ok(V::integer(number.big().unwrap_or_default().abs())),
        None => Err(Error::runtime(format!("bad operand type for abs(): '{}'", value.type_name()))),
    }
}

/// Python's `int(text, base)`.
pub(crate) fn parse_int(text: &str, base: u32) -> Option<BigInt> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let strip = |prefix: &str| lower.strip_prefix(prefix).map(str::to_owned);
    let (base, digits) = match base {
        0 => {
            if let Some(digits) = strip("0x") {
                (16, digits)
            } else if let Some(digits) = strip("0o") {
                (8, digits)
            } else if let Some(digits) = strip("0b") {
                (2, digits)
            } else if lower.starts_with('0') && lower.bytes().any(|b| b != b'0') {
                return None;
            } else {
                (10, lower)
            }
        }
        16 => (16, strip("0x").unwrap_or(lower)),
        8 => (8, strip("0o").unwrap_or(lower)),
        2 => (2, strip("0b").unwrap_or(lower)),
        other => (other, lower),
    };
    let clean = digits.replace('_', "");
    let fine = !clean.is_empty()
        && !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__")
        && clean.chars().all(|c| c.is_digit(base));
    let number = fine.then(|| BigInt::parse_bytes(clean.as_bytes(), base)).flatten()?;
    Some(if negative { -number } else { number })
}

/// Python's `float(text)`.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let lower = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if matches!(lower.as_str(), "inf" | "infinity" | "nan") {
        let number = if lower == "nan" { f64::NAN } else { f64::INFINITY };
        return Some(if text.starts_with('-') { -number } else { number });
    }
    let fine = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-' | b'_'))
        && lower.bytes().any(|b| b.is_ascii_digit());
    if !fine || lower.contains("__") || lower.ends_with('_') {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn int(vm: &Vm, args: Args) -> Result<V> {
    let [value, default, base] = args.bind("do_int", ["value", "default", "base"], 1)?;
    let value = value.unwrap_or(V::Null);
    let default = default.unwrap_or(V::Int(0));
    let base = base.as_ref().map_or(Ok(10), whole)?;
    if base != 0 && !(2..=36).contains(&base) {
        return Ok(default);
    }
    let whole_float = |number: f64| {
        if number.is_finite() { BigInt::from_f64(number.trunc()).map(V::integer) } else { None }
    };
    Ok(match &value {
        V::Int(_) | V::Big(_) => value.clone(),
        V::Bool(flag) => V::Int(i64::from(*flag)),
        V::Float(number) => match whole_float(*number) {
            Some(found) => found,
            None if number.is_nan() => default,
            None => return Err(Error::runtime("cannot convert float infinity to integer")),
        },
        V::Str(text) => match parse_int(text, base as u32) {
            Some(number) => V::integer(number),
            None => parse_float(text).and_then(whole_float).unwrap_or(default),
        },
        other => {
            let _ = vm;
            if other.is_undefined() { other.clone() } else { default }
        }
    })
}

fn float(_: &Vm, args: Args) -> Result<V> {
    let [value, default] = args.bind("do_float", ["value", "default"], 1)?;
    let value = value.unwrap_or(V::Null);
    let default = default.unwrap_or(V::Float(0.0));
    Ok(match &value {
        V::Str(text) => parse_float(text).map_or(default, V::Float),
        other => Num::of(other).map_or(default, |number| V::Float(number.float())),
    })
}

fn round(vm: &Vm, args: Args) -> Result<V> {
    let [value, precision, method] = args.bind("do_round", ["value", "precision", "method"], 1)?;
    let value = value.unwrap_or(V::Null);
    let precision = precision.as_ref().map_or(Ok(0), whole)?;
    let method = method.map_or(Ok(Str::new("common")), |method| vm.to_text(&method))?;
    let Some(number) = Num::of(&value) else {
        return Err(Error::runtime(format!("type {} doesn't define __round__ method", value.type_name())));
    };
    match method.as_str() {
        "common" => match number {
            Num::Float(number) => Ok(V::Float(round_half_even(number, precision))),
            other => {
                let whole = other.big().unwrap_or_default();
                if precision >= 0 {
                    return Ok(V::integer(whole));
                }
                let unit = BigInt::from(10).pow((-precision).min(10_000) as u32);
                let (below, rest) = whole.div_mod_floor(&unit);
                let up = match (&rest * 2u8).cmp(&unit) {
                    std::cmp::Ordering::Less => false,
                    std::cmp::Ordering::Greater => true,
                    std::cmp::Ordering::Equal => below.is_odd(),
                };
                Ok(V::integer((below + u8::from(up)) * unit))
            }
        },
        "ceil" | "floor" => {
            let scale = 10f64.powi(precision.clamp(-400, 400) as i32);
            let scaled = number.float() * scale;
            let rounded = if method.as_str() == "ceil" { scaled.ceil() } else { scaled.floor() };
            Ok(V::Float(rounded / scale))
        }
        _ => Err(Error::runtime("method must be common, ceil or floor")),
    }
}

/// Python's `round(float, n)`: exact halves go to the even digit, decided on the exact decimal value.
fn round_half_even(number: f64, precision: i64) -> f64 {
    if !number.is_finite() {
        return number;
    }
    if precision >= 0 {
        let precision = precision.min(400) as usize;
        return format!("{number:.precision$}").parse().unwrap_or(number);
    }
    let scale = 10f64.powi((-precision).min(400) as i32);
    let scaled = number / scale;
    let rounded = scaled.round();
    let even = if (scaled - scaled.trunc()).abs() == 0.5 { 2.0 * (scaled / 2.0).round() } else { rounded };
    even * scale
}

fn number(value: &V, what: &str) -> Result<f64> {
    match Num::of(value) {
        Some(number) => Ok(number.float()),
        None => Err(Error::runtime(format!(
            "{what} can only be used on numbers: must be real number, not {}",
            value.type_name()
        ))),
    }
}

fn log(_: &Vm, args: Args) -> Result<V> {
    let [value, base] = args.bind("logarithm", ["x", "base"], 1)?;
    let value = number(&value.unwrap_or(V::Null), "log()")?;
    if value <= 0.0 {
        return Err(Error::runtime("math domain error"));
    }
    Ok(V::Float(match base {
        None => value.ln(),
        Some(base) => {
            let base = number(&base, "log()")?;
            if base == 10.0 { value.log10() } else { value.ln() / base.ln() }
        }
    }))
}

fn pow(_: &Vm, args: Args) -> Result<V> {
    let [value, power] = args.bind("power", ["x", "y"], 2)?;
    let value = number(&value.unwrap_or(V::Null), "pow()")?;
    let power = number(&power.unwrap_or(V::Null), "pow()")?;
    Ok(V::Float(value.powf(power)))
}

fn root(_: &Vm, args: Args) -> Result<V> {
    let [value, base] = args.bind("inversepower", ["x", "base"], 1)?;
    let value = number(&value.unwrap_or(V::Null), "root()")?;
    let base = base.map_or(Ok(2.0), |base| number(&base, "root()"))?;
    if base == 2.0 {
        if value < 0.0 {
            return Err(Error::runtime("root() can only be used on numbers: math domain error"));
        }
        return Ok(V::Float(value.sqrt()));
    }
    Ok(V::Float(value.powf(1.0 / base)))
}

fn filesizeformat(vm: &Vm, args: Args) -> Result<V> {
    let [value, binary] = args.bind("do_filesizeformat", ["value", "binary"], 1)?;
    let value = value.unwrap_or(V::Null);
    let bytes = match &value {
        V::Str(text) => parse_float(text).ok_or_else(|| {
            Error::runtime(format!("could not convert string to float: {}", quorate_value::str_repr(text)))
        })?,
        other => number(other, "filesizeformat")?,
    };
    let binary = flag(vm, binary, false)?;
    let base = if binary { 1024.0 } else { 1000.0 };
    let units = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    if bytes == 1.0 {
        return Ok(V::str("1 Byte"));
    }
    if bytes < base {
        return Ok(V::text(format!("{} Bytes", bytes.trunc())));
    }
    let mut unit = base;
    for name in units {
        unit *= base;
        if bytes < unit || name.starts_with('Y') {
            return Ok(V::text(format!("{:.1} {name}", base * bytes / unit)));
        }
    }
    Ok(V::Null)
}

const SIZES: [(char, u32); 9] =
    [('Y', 8), ('Z', 7), ('E', 6), ('P', 5), ('T', 4), ('G', 3), ('M', 2), ('K', 1), ('B', 0)];

fn human_readable(vm: &Vm, args: Args) -> Result<V> {
    let [value, bits, unit] = args.bind("human_readable", ["size", "isbits", "unit"], 1)?;
    let value = value.unwrap_or(V::Null);
    let bits = flag(vm, bits, false)?;
    let unit = match unit {
        None | Some(V::Null) => None,
        Some(unit) => Some(vm.to_text(&unit)?),
    };
    let Some(size) = Num::of(&value).map(|number| number.float()) else {
        return Err(Error::runtime(format!(
            "human_readable() failed on bad input: '>=' not supported between instances of '{}' and 'int'",
            value.type_name()
        )));
    };
    let base = if bits { "bits" } else { "Bytes" };
    let mut chosen = ('B', 1.0);
    for (suffix, power) in SIZES {
        let limit = 1024f64.powi(power as i32);
        let hit = match &unit {
            None => size >= limit,
            Some(unit) => unit.to_uppercase().starts_with(suffix),
        };
        if hit {
            chosen = (suffix, limit);
            break;
        }
    }
    let (suffix, limit) = chosen;
    let suffix = match suffix {
        'B' => base.to_owned(),
        letter => format!("{letter}{}", &base[..1]),
    };
    Ok(V::text(format!("{:.2} {suffix}", size / limit)))
}

fn human_to_bytes(vm: &Vm, args: Args) -> Result<V> {
    let [value, default, bits] = args.bind("human_to_bytes", ["size", "default_unit", "isbits"], 1)?;
    let value = vm.to_text(&value.unwrap_or(V::Null))?;
    let bits = flag(vm, bits, false)?;
    let default = match default {
        None | Some(V::Null) => None,
        Some(unit) => Some(vm.to_text(&unit)?),
    };
    let bad =
        |message: String| Error::runtime(format!("human_to_bytes() can't interpret the input: {message}"));
    let text = value.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (digits, rest) = (&text[..end], text[end..].trim());
    let number = digits.parse::<f64>().ok().filter(|_| rest.chars().all(|c| c.is_ascii_alphabetic()));
    let Some(number) = number else {
        return Err(bad(format!("human_to_bytes() can't interpret following string: {}", value.as_str())));
    };
    let unit = if rest.is_empty() { default.as_deref().unwrap_or("") } else { rest };
    let upper = unit.to_uppercase();
    let Some(letter) = upper.chars().next() else {
        return Ok(V::Int(number.round() as i64));
    };
    let Some((_, power)) = SIZES.iter().find(|(suffix, _)| *suffix == letter) else {
        return Err(bad(format!(
            "human_to_bytes() failed to convert {} (unit = {unit}). The suffix must be one of Y, Z, E, P, T, G, M, K, B",
            value.as_str()
        )));
    };
    let (short, long) = if bits { ("b", "BIT") } else { ("B", "BYTE") };
    let prefix = match letter {
        'B' => "",
        'K' => "KILO",
        'M' => "MEGA",
        'G' => "GIGA",
        'T' => "TERA",
        'P' => "PETA",
        'E' => "EXA",
        'Z' => "ZETTA",
        _ => "YOTTA",
    };
    let expected = if letter == 'B' { "B".to_owned() } else { format!("{letter}{short}") };
    let fine = unit.chars().count() == 1 || unit == expected || upper == format!("{prefix}{long}");
    if !fine {
        let other = if letter == 'B' { long.to_lowercase() } else { letter.to_string() };
        return Err(bad(format!(
            "human_to_bytes() failed to convert {}. Value is not a valid string (expect {expected} or {other})",
            value.as_str()
        )));
    }
    let bytes = number * 1024f64.powi(*power as i32);
    Ok(V::integer(BigInt::from_f64(bytes.round()).unwrap_or_default()))
}
