//! Typed reading of checked arguments.

use crate::spec::{FILE_PARAMS, Spec};
use crate::system::files::Wanted;
use quorate_value::{Dict, Value, str_of};

/// Arguments that passed [`super::check`]. Every parameter of the module's table is there, absent ones as `None`.
///
/// Asking for a name that is not in the table, or as another type than the table has, is a bug in the module;
/// it reads as absent.
#[derive(Debug, Clone)]
pub struct Args {
    values: Dict,
    spec: &'static Spec,
}

impl Args {
    /// Checked arguments.
    pub fn new(values: Dict, spec: &'static Spec) -> Self {
        Args { values, spec }
    }

    /// All of them.
    pub fn all(&self) -> &Dict {
        &self.values
    }

    /// A value; nothing when absent or null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// Whether it was given or has a default.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Text; nothing when absent.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(Value::as_str)
    }

    /// Text of a parameter that is required or has a default.
    pub fn text(&self, name: &str) -> &str {
        self.str(name).unwrap_or("")
    }

    /// Text that is not empty.
    pub fn nonempty(&self, name: &str) -> Option<&str> {
        self.str(name).filter(|text| !text.is_empty())
    }

    /// A boolean; `false` when absent.
    pub fn bool(&self, name: &str) -> bool {
        self.flag(name).unwrap_or(false)
    }

    /// A boolean; nothing when absent.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(Value::to_bool_loose)
    }

    /// A whole number; nothing when absent.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Int(number) => Some(*number),
            Value::Bool(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }

    /// A number; nothing when absent.
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.value(name)? {
            Value::Float(number) => Some(*number),
            Value::Int(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// A list; empty when absent.
    pub fn list(&self, name: &str) -> &[Value] {
        self.value(name).and_then(Value::as_list).unwrap_or_default()
    }

    /// A list of text; empty when absent.
    pub fn strings(&self, name: &str) -> Vec<String> {
        self.list(name).iter().map(str_of).collect()
    }

    /// A mapping; nothing when absent.
    pub fn dict(&self, name: &str) -> Option<&Dict> {
        self.value(name).and_then(Value::as_dict)
    }

    /// Items of a list of mappings, each as arguments of their own.
    pub fn dicts(&self, name: &str) -> Vec<Args> {
        self.list(name)
            .iter()
            .filter_map(Value::as_dict)
            .map(|entries| Args { values: entries.clone(), spec: self.spec })
            .collect()
    }

    /// A mapping as arguments of its own; nothing when absent.
    pub fn sub(&self, name: &str) -> Option<Args> {
        self.dict(name).map(|entries| Args { values: entries.clone(), spec: self.spec })
    }

    /// `mode`, `owner`, `group` and the like, for modules whose table says [`Spec::files`].
    pub fn wanted(&self) -> Wanted {
        debug_assert!(self.spec.files, "only modules with file parameters have them");
        debug_assert!(FILE_PARAMS.iter().all(|param| self.values.contains_key(param.name)));
        Wanted {
            mode: self.value("mode").cloned(),
            owner: self.str("owner").map(str::to_owned),
            group: self.str("group").map(str::to_owned),
            attributes: self.str("attributes").map(str::to_owned),
            context: [self.str("seuser"), self.str("serole"), self.str("setype"), self.str("selevel")]
                .map(|part| part.map(str::to_owned)),
            unsafe_writes: self.bool("unsafe_writes"),
        }
    }
}
