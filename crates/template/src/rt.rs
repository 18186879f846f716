//! Values while a template runs: Python's objects, with aliasing, lazily rendered.
//!
//! [`V`] is what expressions compute. Lists and mappings that come from variables share the caller's
//! [`Value`] until somebody changes them, and an element is rendered when somebody looks at it.
//!
//! **Invariant:** an accessor of [`List`] or [`Map`] never gives out an unrendered template.

mod containers;
mod native;

pub(crate) use containers::{List, Map, Realm, Tuple, bury};
pub(crate) use native::{Cycler, Joiner, Loop, MacroObject, Method, Module, Namespace, Native};

use crate::error::{Error, Result};
use crate::host::Object;
use num_bigint::BigInt;
use quorate_value::{Str, Value};
use std::rc::Rc;
use std::sync::Arc;

/// A value of a running template.
#[derive(Clone)]
pub(crate) enum V {
    /// Something that does not exist, or could not be computed: the mistake it will be for whoever uses it.
    Undefined(Rc<Error>),
    Null,
    Bool(bool),
    Int(i64),
    Big(Arc<BigInt>),
    Float(f64),
    Str(Str),
    List(Rc<List>),
    Tuple(Rc<Tuple>),
    Dict(Rc<Map>),
    Range(Range),
    Omit,
    /// A mapping of the caller's.
    Object(Rc<dyn Object>),
    /// Everything else that Python has as an object.
    Native(Rc<Native>),
    /// An element that nobody looked at. Never leaves a container.
    Lazy(Rc<(Value, Realm)>),
}

/// Python's `range`.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) stop: i64,
    pub(crate) step: i64,
}

impl Range {
    pub(crate) fn len(self) -> usize {
        let distance = if self.step > 0 {
            i128::from(self.stop) - i128::from(self.start)
        } else {
            i128::from(self.start) - i128::from(self.stop)
        };
        let step = i128::from(self.step).abs();
        if distance <= 0 { 0 } else { usize::try_from((distance + step - 1) / step).unwrap_or(usize::MAX) }
    }

    pub(crate) fn at(self, index: usize) -> i64 {
        self.start + self.step * index as i64
    }
}

impl V {
    pub(crate) fn text(text: impl Into<String>) -> V {
        V::Str(Str::from(text.into()))
    }

    pub(crate) fn str(text: &str) -> V {
        V::Str(Str::new(text))
    }

    pub(crate) fn list(items: Vec<V>) -> V {
        V::List(Rc::new(List::own(items)))
    }

    pub(crate) fn tuple(items: Vec<V>) -> V {
        V::Tuple(Rc::new(Tuple::new(items)))
    }

    pub(crate) fn pair(a: V, b: V) -> V {
        V::tuple(vec![a, b])
    }

    pub(crate) fn native(native: Native) -> V {
        V::Native(Rc::new(native))
    }

    pub(crate) fn size(number: usize) -> V {
        V::Int(number as i64)
    }

    pub(crate) fn integer(number: BigInt) -> V {
        match Value::integer(number) {
            Value::Int(number) => V::Int(number),
            Value::Big(number) => V::Big(number),
            _ => V::Null,
        }
    }

    /// A finished value: nothing inside is rendered.
    pub(crate) fn done(value: &Value) -> V {
        match value {
            Value::Null => V::Null,
            Value::Bool(flag) => V::Bool(*flag),
            Value::Int(number) => V::Int(*number),
            Value::Big(number) => V::Big(Arc::clone(number)),
            Value::Float(number) => V::Float(*number),
            Value::Str(text) => V::Str(text.clone()),
            Value::List(items) => V::List(Rc::new(List::shared(Arc::clone(items), Realm::Done))),
            Value::Dict(entries) => V::Dict(Rc::new(Map::shared(Arc::clone(entries), Realm::Done))),
            Value::Vault(_) => V::Lazy(Rc::new((value.clone(), Realm::Done))),
            Value::Omit => V::Omit,
        }
    }

    /// Whether this is an undefined value, or a mistake that nobody met yet.
    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, V::Undefined(_))
    }

    /// Whether this does not exist; an error where it is another mistake.
    pub(crate) fn is_missing(&self) -> Result<bool> {
        match self {
            V::Undefined(error) if error.is_undefined() => Ok(true),
            V::Undefined(error) => Err((**error).clone()),
            V::Native(native) => Ok(matches!(**native, Native::Nothing(_))),
            _ => Ok(false),
        }
    }

    /// The name Python's `type(x).__name__` has for it; Ansible's lazy and tagged types count as what they wrap.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            V::Undefined(_) => "UndefinedMarker",
            V::Null => "NoneType",
            V::Bool(_) => "bool",
            V::Int(_) | V::Big(_) => "int",
            V::Float(_) => "float",
            V::Str(text) if text.is_markup() => "Markup",
            V::Str(_) | V::Lazy(_) => "str",
            V::List(_) => "list",
            V::Tuple(_) => "tuple",
            V::Dict(_) => "dict",
            V::Range(_) => "range",
            V::Omit => "_OmitType",
            V::Object(object) => object.type_name(),
            V::Native(native) => native.type_name(),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&Str> {
        match self {
            V::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl From<bool> for V {
    fn from(flag: bool) -> Self {
        V::Bool(flag)
    }
}

impl From<i64> for V {
    fn from(number: i64) -> Self {
        V::Int(number)
    }
}

impl From<f64> for V {
    fn from(number: f64) -> Self {
        V::Float(number)
    }
}

impl From<String> for V {
    fn from(text: String) -> Self {
        V::text(text)
    }
}

impl From<&str> for V {
    fn from(text: &str) -> Self {
        V::str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_as_pythons_do() {
        for (start, stop, step, length) in [
            (0, 5, 1, 5),
            (0, 5, 2, 3),
            (5, 0, -2, 3),
            (3, 3, 1, 0),
            (5, 0, 1, 0),
            (0, i64::MAX, 1, usize::MAX >> 1),
        ] {
            assert_eq!(Range { start, stop, step }.len(), length);
        }
        assert_eq!(Range { start: 5, stop: 0, step: -2 }.at(2), 1);
    }
}
