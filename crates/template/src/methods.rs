//! Attributes and methods of values, as Python has them.
//!
//! One file a type; this one decides who is asked. Names with a leading underscore do not exist.

mod list;
mod mapping;
mod object;
pub(crate) mod text;

pub(crate) use list::sort_by;

use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::rt::{Method, Native, V};
use std::rc::Rc;
use std::sync::Arc;

/// Whether `object.name` is a method.
pub(crate) fn has(object: &V, name: &str) -> bool {
    match object {
        V::Str(_) => text::METHODS.binary_search(&name).is_ok(),
        V::List(_) => list::METHODS.binary_search(&name).is_ok(),
        V::Tuple(_) => matches!(name, "count" | "index"),
        V::Dict(_) | V::Object(_) => mapping::METHODS.binary_search(&name).is_ok(),
        V::Int(_) | V::Big(_) | V::Bool(_) => {
            matches!(
                name,
                "bit_length" | "bit_count" | "is_integer" | "conjugate" | "to_bytes" | "as_integer_ratio"
            )
        }
        V::Float(_) => matches!(name, "is_integer" | "hex" | "as_integer_ratio" | "conjugate"),
        V::Range(_) => matches!(name, "count" | "index"),
        V::Native(native) => object::has(native, name),
        _ => false,
    }
}

/// `object.name` where it is no element: a method or a property.
pub(crate) fn attribute(vm: &Vm, object: &V, name: &str) -> Result<Option<V>> {
    if has(object, name) {
        let method = Method { object: object.clone(), name: Arc::from(name) };
        return Ok(Some(V::native(Native::Method(method))));
    }
    Ok(match object {
        V::Int(_) | V::Big(_) | V::Bool(_) | V::Float(_) => match name {
            "real" | "numerator" => Some(crate::ops::positive(object)?),
            "imag" if matches!(object, V::Float(_)) => Some(V::Float(0.0)),
            "imag" => Some(V::Int(0)),
            "denominator" => Some(V::Int(1)),
            _ => None,
        },
        V::Range(range) => match name {
            "start" => Some(V::Int(range.start)),
            "stop" => Some(V::Int(range.stop)),
            "step" => Some(V::Int(range.step)),
            _ => None,
        },
        V::Native(native) => object::attribute(vm, native, name)?,
        _ => None,
    })
}

/// Calls a method that [`has`] promised.
pub(crate) fn call(vm: &Vm, object: &V, name: &str, args: Args) -> Result<V> {
    let result = match object {
        V::Str(string) => text::call(vm, string, name, args)?,
        V::List(items) => list::call(vm, items, name, args)?,
        V::Tuple(_) | V::Range(_) => {
            list::call_fixed(vm, &vm.iterate(object)?, object.type_name(), name, args)?
        }
        V::Dict(map) => mapping::call(vm, map, name, args)?,
        V::Object(_) => {
            // A host's mapping does not change: the methods work on what it is now.
            let entries = crate::ops::entries_of(vm, object)?;
            let map = Rc::new(crate::rt::Map::own(entries.into_iter().collect()));
            mapping::call(vm, &map, name, args)?
        }
        V::Native(native) => object::call(vm, native, name, args)?,
        V::Int(_) | V::Big(_) | V::Bool(_) | V::Float(_) => number(object, name)?,
        other => {
            return Err(Error::runtime(format!("'{}' object has no attribute '{name}'", other.type_name())));
        }
    };
    Ok(result)
}

fn number(object: &V, name: &str) -> Result<V> {
    use crate::ops::Num;
    let big = Num::of(object).and_then(|number| number.big());
    Ok(match (name, object, big) {
        ("is_integer", V::Float(number), _) => V::Bool(number.fract() == 0.0),
        ("is_integer", ..) => V::Bool(true),
        ("bit_length", _, Some(number)) => V::Int(number.bits() as i64),
        ("bit_count", _, Some(number)) => V::Int(number.magnitude().count_ones() as i64),
        ("conjugate", ..) => crate::ops::positive(object)?,
        ("as_integer_ratio", _, Some(number)) => V::pair(V::integer(number), V::Int(1)),
        _ => {
            return Err(Error::runtime(format!(
                "'{}' object has no method '{name}' here",
                object.type_name()
            )));
        }
    })
}

/// A whole number given as an argument.
pub(crate) fn whole(value: &V) -> Result<i64> {
    match value {
        V::Int(number) => Ok(*number),
        V::Bool(flag) => Ok(i64::from(*flag)),
        V::Undefined(error) => Err((**error).clone()),
        V::Big(_) => Err(Error::runtime("cannot fit 'int' into an index-sized integer")),
        other => {
            Err(Error::runtime(format!("'{}' object cannot be interpreted as an integer", other.type_name())))
        }
    }
}
