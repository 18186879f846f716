//! Python's operators: arithmetic over integers of any size, comparison, membership, slices.

use crate::ast::{Binary, Compare};
use crate::dates::{DateTime, TimeDelta};
use crate::error::{Error, Result};
use crate::eval::{MAX_ITEMS, MAX_TEXT, Vm, fits};
use crate::rt::{Native, Realm, V};
use num_bigint::BigInt;
use num_integer::Integer as _;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};
use quorate_value::Key;
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

/// How big a number or a repetition may grow.
const MAX_BITS: u64 = 1 << 20;

/// A number of Python's.
#[derive(Clone)]
pub(crate) enum Num {
    Int(i64),
    Big(Arc<BigInt>),
    Float(f64),
}

impl Num {
    pub(crate) fn of(value: &V) -> Option<Num> {
        Some(match value {
            V::Int(number) => Num::Int(*number),
            V::Bool(flag) => Num::Int(i64::from(*flag)),
            V::Big(number) => Num::Big(Arc::clone(number)),
            V::Float(number) => Num::Float(*number),
            _ => return None,
        })
    }

    pub(crate) fn float(&self) -> f64 {
        match self {
            Num::Int(number) => *number as f64,
            Num::Big(number) => number.to_f64().unwrap_or(f64::INFINITY),
            Num::Float(number) => *number,
        }
    }

    pub(crate) fn big(&self) -> Option<BigInt> {
        match self {
            Num::Int(number) => Some(BigInt::from(*number)),
            Num::Big(number) => Some((**number).clone()),
            Num::Float(_) => None,
        }
    }
}

fn used(value: &V) -> Result<()> {
    match value {
        V::Undefined(error) => Err((**error).clone()),
        _ => Ok(()),
    }
}

/// The same for operators that even the empty result of an `if` without `else` does not have.
fn operand(value: &V) -> Result<()> {
    match value {
        V::Native(native) if matches!(**native, Native::Nothing(_)) => Err(native.nothing()),
        other => used(other),
    }
}

/// `-x`
pub(crate) fn negative(value: &V) -> Result<V> {
    used(value)?;
    match Num::of(value) {
        Some(Num::Int(number)) => {
            Ok(number.checked_neg().map_or_else(|| V::integer(-BigInt::from(number)), V::Int))
        }
        Some(Num::Big(number)) => Ok(V::integer(-(*number).clone())),
        Some(Num::Float(number)) => Ok(V::Float(-number)),
        None => Err(Error::runtime(format!("bad operand type for unary -: '{}'", value.type_name()))),
    }
}

/// `+x`
pub(crate) fn positive(value: &V) -> Result<V> {
    used(value)?;
    match value {
        V::Bool(flag) => Ok(V::Int(i64::from(*flag))),
        V::Int(_) | V::Big(_) | V::Float(_) => Ok(value.clone()),
        _ => Err(Error::runtime(format!("bad operand type for unary +: '{}'", value.type_name()))),
    }
}

/// The operators of arithmetic, and what Python makes of them for text and lists.
pub(crate) fn binary(vm: &Vm, op: Binary, left: &V, right: &V) -> Result<V> {
    operand(left)?;
    operand(right)?;
    if let (Some(a), Some(b)) = (Num::of(left), Num::of(right)) {
        return arithmetic(op, &a, &b);
    }
    match (op, left, right) {
        (Binary::Add, V::Str(a), V::Str(b)) => {
            fits(a.len() + b.len(), MAX_TEXT)?;
            let mut text = String::with_capacity(a.len() + b.len());
            text.push_str(a);
            text.push_str(b);
            return Ok(V::text(text));
        }
        (Binary::Add, V::Str(_), other) => {
            return Err(Error::runtime(format!(
                "can only concatenate str (not \"{}\") to str",
                other.type_name()
            )));
        }
        (Binary::Add, V::List(a), V::List(b)) => {
            fits(a.len() + b.len(), MAX_ITEMS)?;
            let mut items = a.items(vm)?;
            items.extend(b.items(vm)?);
            return Ok(V::list(items));
        }
        (Binary::Add, V::List(_), other) => {
            return Err(Error::runtime(format!(
                "can only concatenate list (not \"{}\") to list",
                other.type_name()
            )));
        }
        (Binary::Add, V::Tuple(a), V::Tuple(b)) => {
            fits(a.len() + b.len(), MAX_ITEMS)?;
            return Ok(V::tuple(a.iter().chain(b.iter()).cloned().collect()));
        }
        (Binary::Mul, V::Str(_) | V::List(_) | V::Tuple(_), _) if Num::of(right).is_some() => {
            return repeat(vm, left, right);
        }
        (Binary::Mul, _, V::Str(_) | V::List(_) | V::Tuple(_)) if Num::of(left).is_some() => {
            return repeat(vm, right, left);
        }
        (Binary::Mul, V::Str(_) | V::List(_) | V::Tuple(_), other) => {
            return Err(Error::runtime(format!(
                "can't multiply sequence by non-int of type '{}'",
                other.type_name()
            )));
        }
        (Binary::Mod, V::Str(format), _) => {
            return crate::format::percent(vm, format, right).map(V::text);
        }
        _ => {}
    }
    if let Some(found) = dates(op, left, right) {
        return Ok(found);
    }
    let sign = match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::FloorDiv => "//",
        Binary::Mod => "%",
        Binary::Pow => "** or pow()",
    };
    Err(Error::runtime(format!(
        "unsupported operand type(s) for {sign}: '{}' and '{}'",
        left.type_name(),
        right.type_name()
    )))
}

fn dates(op: Binary, left: &V, right: &V) -> Option<V> {
    let date = |value: &V| match value {
        V::Native(native) => match &**native {
            Native::Date(date) => Some(date.clone()),
            _ => None,
        },
        _ => None,
    };
    let delta = |value: &V| match value {
        V::Native(native) => match &**native {
            Native::Delta(delta) => Some(*delta),
            _ => None,
        },
        _ => None,
    };
    let made = |micros: i128| V::native(Native::Delta(TimeDelta { micros }));
    match (op, date(left), date(right), delta(left), delta(right)) {
        (Binary::Sub, Some(a), Some(b), _, _) => Some(made(a.micros_since(&b)?)),
        (Binary::Add, Some(a), _, _, Some(d)) | (Binary::Add, _, Some(a), Some(d), _) => {
            Some(V::native(Native::Date(DateTime::plus(&a, d.micros)?)))
        }
        (Binary::Sub, Some(a), _, _, Some(d)) => Some(V::native(Native::Date(a.plus(-d.micros)?))),
        (Binary::Add, _, _, Some(a), Some(b)) => Some(made(a.micros + b.micros)),
        (Binary::Sub, _, _, Some(a), Some(b)) => Some(made(a.micros - b.micros)),
        (Binary::Mul, _, _, Some(a), None) => match right {
            V::Int(times) => Some(made(a.micros * i128::from(*times))),
            _ => None,
        },
        (Binary::Div, _, _, Some(a), Some(b)) if b.micros != 0 => {
            Some(V::Float(a.micros as f64 / b.micros as f64))
        }
        _ => None,
    }
}

fn repeat(vm: &Vm, what: &V, times: &V) -> Result<V> {
    let times = match times {
        V::Bool(flag) => usize::from(*flag),
        V::Int(number) => usize::try_from(*number).unwrap_or(0),
        V::Big(number) if number.is_negative() => 0,
        V::Big(_) => usize::MAX,
        _ => {
            return Err(Error::runtime(format!(
                "can't multiply sequence by non-int of type '{}'",
                times.type_name()
            )));
        }
    };
    let fine = |length: usize, limit: usize| length.checked_mul(times).is_some_and(|all| all <= limit);
    let too_big = || Error::runtime("the repeated value would be too big");
    match what {
        V::Str(text) if fine(text.len(), MAX_TEXT) => Ok(V::text(text.repeat(times))),
        V::Str(_) => Err(too_big()),
        other => {
            let items = vm.iterate(other)?;
            if !fine(items.len(), MAX_ITEMS) {
                return Err(too_big());
            }
            let repeated: Vec<V> = std::iter::repeat_n(items.iter(), times).flatten().cloned().collect();
            Ok(if matches!(other, V::Tuple(_)) { V::tuple(repeated) } else { V::list(repeated) })
        }
    }
}

/// Numbers with numbers.
pub(crate) fn arithmetic(op: Binary, a: &Num, b: &Num) -> Result<V> {
    if let (Num::Int(a), Num::Int(b)) = (a, b) {
        let quick = match op {
            Binary::Add => a.checked_add(*b),
            Binary::Sub => a.checked_sub(*b),
            Binary::Mul => a.checked_mul(*b),
            Binary::FloorDiv if *b != 0 && !(*a == i64::MIN && *b == -1) => Some(a.div_floor(b)),
            Binary::Mod if *b != 0 && *b != -1 => Some(a.mod_floor(b)),
            Binary::Pow => u32::try_from(*b).ok().and_then(|power| a.checked_pow(power)),
            _ => None,
        };
        if let Some(number) = quick {
            return Ok(V::Int(number));
        }
    }
    if let (Some(a), Some(b)) = (a.big(), b.big()) {
        return whole(op, &a, &b);
    }
    let (a, b) = (a.float(), b.float());
    Ok(V::Float(match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div if b == 0.0 => return Err(Error::runtime("float division by zero")),
        Binary::Div => a / b,
        Binary::FloorDiv if b == 0.0 => return Err(Error::runtime("float floor division by zero")),
        Binary::FloorDiv => (a / b).floor(),
        Binary::Mod if b == 0.0 => return Err(Error::runtime("float modulo")),
        Binary::Mod => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        Binary::Pow => power(a, b)?,
    }))
}

fn power(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 {
        return Err(Error::runtime("0.0 cannot be raised to a negative power"));
    }
    if a < 0.0 && b.fract() != 0.0 {
        return Err(Error::runtime("a negative number cannot be raised to a fractional power here"));
    }
    let result = a.powf(b);
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(Error::runtime("(34, 'Numerical result out of range')"));
    }
    Ok(result)
}

fn whole(op: Binary, a: &BigInt, b: &BigInt) -> Result<V> {
    Ok(V::integer(match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => {
            if a.bits() + b.bits() > MAX_BITS {
                return Err(Error::runtime("the number would be too big"));
            }
            a * b
        }
        Binary::Div => {
            if b.is_zero() {
                return Err(Error::runtime("division by zero"));
            }
            return divide(a, b);
        }
        Binary::FloorDiv if b.is_zero() => {
            return Err(Error::runtime("integer division or modulo by zero"));
        }
        Binary::FloorDiv => a.div_floor(b),
        Binary::Mod if b.is_zero() => return Err(Error::runtime("integer modulo by zero")),
        Binary::Mod => a.mod_floor(b),
        Binary::Pow if b.is_negative() => {
            let (a, b) = (a.to_f64().unwrap_or(f64::INFINITY), b.to_f64().unwrap_or(f64::NEG_INFINITY));
            return power(a, b).map(V::Float);
        }
        Binary::Pow => {
            let small = a.bits() <= 1;
            let exponent = b.to_u64().filter(|b| small || a.bits().saturating_mul(*b) <= MAX_BITS);
            match (exponent, small) {
                (Some(_), true) if a.is_negative() => {
                    if b.is_even() {
                        BigInt::from(1)
                    } else {
                        BigInt::from(-1)
                    }
                }
                (Some(0), true) => BigInt::from(1),
                (Some(_), true) => a.clone(),
                (Some(exponent), false) => a.pow(exponent as u32),
                (None, _) => return Err(Error::runtime("the number would be too big")),
            }
        }
    }))
}

/// True division of integers of any size, rounded once.
fn divide(a: &BigInt, b: &BigInt) -> Result<V> {
    if let (Some(x), Some(y)) = (a.to_i64(), b.to_i64())
        && x.unsigned_abs() < 1 << 53
        && y.unsigned_abs() < 1 << 53
    {
        return Ok(V::Float(x as f64 / y as f64));
    }
    // Scale so that the quotient has 66 bits or more; the last bit keeps what the division leaves over.
    let shift = 66 + b.bits() as i64 - a.bits() as i64;
    let (n, d) = if shift > 0 { (a << shift as u64, b.clone()) } else { (a.clone(), b << (-shift) as u64) };
    let (quotient, rest) = n.div_rem(&d);
    let sticky = if rest.is_zero() {
        quotient
    } else {
        (quotient << 1u32) + if a.sign() == b.sign() { 1 } else { -1 }
    };
    let shift = if rest.is_zero() { shift } else { shift + 1 };
    let value = sticky.to_f64().unwrap_or(f64::INFINITY) * 2f64.powi(-(shift as i32));
    if value.is_infinite() {
        return Err(Error::runtime("integer division result too large for a float"));
    }
    Ok(V::Float(value))
}

/// Python's `==`.
pub(crate) fn equal(vm: &Vm, a: &V, b: &V) -> Result<bool> {
    used(a)?;
    used(b)?;
    vm.check_stack()?;
    Ok(match (a, b) {
        (V::Str(a), V::Str(b)) => a == b,
        (V::Int(a), V::Int(b)) => a == b,
        (V::Null, V::Null) | (V::Omit, V::Omit) => true,
        (V::List(a), V::List(b)) => Rc::ptr_eq(a, b) || sequences(vm, &a.items(vm)?, &b.items(vm)?)?,
        (V::Tuple(a), V::Tuple(b)) => sequences(vm, a, b)?,
        (V::Dict(_) | V::Object(_), V::Dict(_) | V::Object(_)) => {
            let (a, b) = (entries_of(vm, a)?, entries_of(vm, b)?);
            if a.len() != b.len() {
                return Ok(false);
            }
            let b: indexmap::IndexMap<Key, V> = b.into_iter().collect();
            for (key, value) in &a {
                match b.get(key) {
                    Some(other) if equal(vm, value, other)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (V::Range(a), V::Range(b)) => a.len() == b.len() && (a.len() == 0 || a == b),
        (V::Native(x), V::Native(y)) => match (&**x, &**y) {
            (Native::Date(x), Native::Date(y)) => x.micros_since(y) == Some(0),
            (Native::Delta(x), Native::Delta(y)) => x.micros == y.micros,
            (Native::Bytes(x), Native::Bytes(y)) => x == y,
            (Native::Group(a, b), Native::Group(c, d)) => equal(vm, a, c)? && equal(vm, b, d)?,
            _ => Rc::ptr_eq(x, y),
        },
        _ => match (Num::of(a), Num::of(b)) {
            (Some(a), Some(b)) => numbers(&a, &b) == Some(Ordering::Equal),
            _ => false,
        },
    })
}

fn sequences(vm: &Vm, a: &[V], b: &[V]) -> Result<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (x, y) in a.iter().zip(b) {
        if !equal(vm, x, y)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn numbers(a: &Num, b: &Num) -> Option<Ordering> {
    match (a, b) {
        (Num::Int(a), Num::Int(b)) => Some(a.cmp(b)),
        (Num::Big(a), Num::Big(b)) => Some(a.cmp(b)),
        (Num::Int(a), Num::Big(b)) => Some(BigInt::from(*a).cmp(b)),
        (Num::Big(a), Num::Int(b)) => Some((**a).cmp(&BigInt::from(*b))),
        _ => a.float().partial_cmp(&b.float()),
    }
}

/// Python's order; an error where Python has none.
pub(crate) fn order(vm: &Vm, a: &V, b: &V, sign: &str) -> Result<Option<Ordering>> {
    used(a)?;
    used(b)?;
    vm.check_stack()?;
    match (a, b) {
        (V::Str(a), V::Str(b)) => return Ok(Some(a.cmp(b))),
        (V::List(_), V::List(_)) | (V::Tuple(_), V::Tuple(_)) => {
            let (x, y) = (vm.iterate(a)?, vm.iterate(b)?);
            for (x, y) in x.iter().zip(&y) {
                if !equal(vm, x, y)? {
                    return order(vm, x, y, sign);
                }
            }
            return Ok(Some(x.len().cmp(&y.len())));
        }
        (V::Native(x), V::Native(y)) => match (&**x, &**y) {
            (Native::Date(x), Native::Date(y)) => {
                return Ok(x.micros_since(y).map(|difference| difference.cmp(&0)));
            }
            (Native::Delta(x), Native::Delta(y)) => return Ok(Some(x.micros.cmp(&y.micros))),
            _ => {}
        },
        _ => {
            if let (Some(x), Some(y)) = (Num::of(a), Num::of(b)) {
                return Ok(numbers(&x, &y));
            }
        }
    }
    Err(Error::runtime(format!(
        "'{sign}' not supported between instances of '{}' and '{}'",
        a.type_name(),
        b.type_name()
    )))
}

/// One comparison.
pub(crate) fn compare(vm: &Vm, op: Compare, a: &V, b: &V) -> Result<bool> {
    Ok(match op {
        Compare::Eq => equal(vm, a, b)?,
        Compare::Ne => !equal(vm, a, b)?,
        Compare::Lt => order(vm, a, b, "<")? == Some(Ordering::Less),
        Compare::Le => matches!(order(vm, a, b, "<=")?, Some(Ordering::Less | Ordering::Equal)),
        Compare::Gt => order(vm, a, b, ">")? == Some(Ordering::Greater),
        Compare::Ge => matches!(order(vm, a, b, ">=")?, Some(Ordering::Greater | Ordering::Equal)),
        Compare::In => contains(vm, b, a)?,
        Compare::NotIn => !contains(vm, b, a)?,
    })
}

/// Whether `whole` has `part`.
pub(crate) fn contains(vm: &Vm, whole: &V, part: &V) -> Result<bool> {
    used(part)?;
    used(whole)?;
    Ok(match whole {
        V::Str(text) => match part {
            V::Str(part) => text.contains(part.as_str()),
            other => {
                return Err(Error::runtime(format!(
                    "'in <string>' requires string as left operand, not {}",
                    other.type_name()
                )));
            }
        },
        V::Dict(map) => match part {
            V::Str(_) | V::Int(_) | V::Bool(_) | V::Float(_) | V::Null | V::List(_) | V::Dict(_) => {
                map.contains(&vm.key(part)?)
            }
            _ => false,
        },
        V::Object(object) => vm.key(part).is_ok_and(|key| object.contains(&key)),
        V::Range(range) => match part {
            V::Int(number) => {
                let offset = i128::from(*number) - i128::from(range.start);
                let step = i128::from(range.step);
                offset % step == 0 && offset / step >= 0 && offset / step < range.len() as i128
            }
            _ => false,
        },
        V::List(list) => {
            for index in 0..list.len() {
                let Some(item) = list.get(vm, index)? else { break };
                if equal(vm, &item, part)? {
                    return Ok(true);
                }
            }
            false
        }
        V::Tuple(_) | V::Native(_) => {
            for item in vm.iterate(whole).map_err(|_| not_iterable(whole))? {
                if equal(vm, &item, part)? {
                    return Ok(true);
                }
            }
            false
        }
        _ => return Err(not_iterable(whole)),
    })
}

fn not_iterable(value: &V) -> Error {
    Error::runtime(format!("argument of type '{}' is not iterable", value.type_name()))
}

/// Keys and values of a mapping, or of a list of pairs.
pub(crate) fn entries_of(vm: &Vm, value: &V) -> Result<Vec<(Key, V)>> {
    match value {
        V::Dict(map) => map.entries(vm),
        V::Object(object) => {
            let mut out = Vec::new();
            for key in object.keys() {
                if let Some(var) = object.get(&key)? {
                    let value = vm.bound(var, &Realm::Root)?;
                    out.push((key, value));
                }
            }
            Ok(out)
        }
        other => {
            let mut out = Vec::new();
            for (index, pair) in vm.iterate(other)?.iter().enumerate() {
                let pair = vm.iterate(pair).map_err(|_| {
                    Error::runtime(format!(
                        "cannot convert dictionary update sequence element #{index} to a sequence"
                    ))
                })?;
                let [key, value] = pair.as_slice() else {
                    return Err(Error::runtime(format!(
                        "dictionary update sequence element #{index} has length {}; 2 is required",
                        pair.len()
                    )));
                };
                out.push((vm.key(key)?, value.clone()));
            }
            Ok(out)
        }
    }
}

/// An integer that counts positions; negative ones from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = length as i64;
    let at = if index < 0 { index + length } else { index };
    usize::try_from(at).ok().filter(|at| (*at as i64) < length)
}

/// `object[index]`; nothing where there is no such element.
pub(crate) fn element(vm: &Vm, object: &V, index: &V) -> Result<Option<V>> {
    let whole = match index {
        V::Int(number) => Some(*number),
        V::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    };
    Ok(match object {
        V::Dict(map) => match index {
            V::Str(name) => map.get_str(vm, name)?,
            _ => match vm.key(index) {
                Ok(key) => map.get(vm, &key)?,
                Err(_) => None,
            },
        },
        V::Object(host) => match vm.key(index) {
            Ok(key) => match host.get(&key)? {
                Some(var) => Some(vm.bound(var, &Realm::Root)?),
                None => None,
            },
            Err(_) => None,
        },
        V::List(list) => match whole.and_then(|index| position(index, list.len())) {
            Some(at) => list.get(vm, at)?,
            None => None,
        },
        V::Tuple(items) => whole.and_then(|index| position(index, items.len())).map(|at| items[at].clone()),
        V::Range(range) => {
            whole.and_then(|index| position(index, range.len())).map(|at| V::Int(range.at(at)))
        }
        V::Str(text) => match whole {
            None => None,
            Some(index) => {
                let length = vm.length(object)?;
                position(index, length).and_then(|at| text.chars().nth(at)).map(|c| V::text(c.to_string()))
            }
        },
        V::Native(native) => match (&**native, whole) {
            (Native::Group(key, _), Some(0 | -2)) => Some(key.clone()),
            (Native::Group(_, items), Some(1 | -1)) => Some(items.clone()),
            (Native::Bytes(bytes), Some(index)) => {
                position(index, bytes.len()).map(|at| V::Int(i64::from(bytes[at])))
            }
            _ => None,
        },
        _ => None,
    })
}

/// `object[a:b:c]`
pub(crate) fn slice(vm: &Vm, object: &V, bounds: &[Option<V>; 3]) -> Result<V> {
    let mut given = [None; 3];
    for (out, bound) in given.iter_mut().zip(bounds) {
        *out = match bound {
            None | Some(V::Null) => None,
            Some(V::Int(number)) => Some(*number),
            Some(V::Bool(flag)) => Some(i64::from(*flag)),
            Some(V::Big(number)) => Some(if number.is_negative() { i64::MIN } else { i64::MAX }),
            Some(_) => {
                return Err(Error::runtime(
                    "slice indices must be integers or None or have an __index__ method",
                ));
            }
        };
    }
    let step = given[2].unwrap_or(1);
    if step == 0 {
        return Err(Error::runtime("slice step cannot be zero"));
    }
    let pick = |length: usize| -> Vec<usize> {
        let length = length as i64;
        let clamp = |index: i64| -> i64 {
            let index = if index < 0 { index.saturating_add(length) } else { index };
            if step > 0 { index.clamp(0, length) } else { index.clamp(-1, length - 1) }
        };
        let start = given[0].map_or(if step > 0 { 0 } else { length - 1 }, clamp);
        let stop = given[1].map_or(if step > 0 { length } else { -1 }, clamp);
        let mut out = Vec::new();
        let mut at = start;
        while (step > 0 && at < stop) || (step < 0 && at > stop) {
            out.push(at as usize);
            at = at.saturating_add(step);
        }
        out
    };
    Ok(match object {
        V::Str(text) => {
            let chars: Vec<char> = text.chars().collect();
            V::text(pick(chars.len()).into_iter().map(|at| chars[at]).collect::<String>())
        }
        V::List(list) => {
            let items = list.items(vm)?;
            V::list(pick(items.len()).into_iter().map(|at| items[at].clone()).collect())
        }
        V::Tuple(items) => V::tuple(pick(items.len()).into_iter().map(|at| items[at].clone()).collect()),
        V::Range(_) => {
            let items = vm.iterate(object)?;
            V::list(pick(items.len()).into_iter().map(|at| items[at].clone()).collect())
        }
        other => {
            return Err(Error::undefined(format!(
                "object of type '{}' has no attribute slice",
                other.type_name()
            )));
        }
    })
}
