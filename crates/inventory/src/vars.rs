//! Variables with the place where each was written, and how two mappings of them combine.

use quorate_value::{Dict, Key, Span, Value};
use std::sync::Arc;

/// What happens where two levels define the same variable (`hash_behaviour` of `ansible.cfg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashBehaviour {
    /// The later one wins.
    #[default]
    Replace,
    /// Two mappings merge, recursively; everything else as [`HashBehaviour::Replace`].
    Merge,
}

/// Variables of one definition (a group in a file, a host in a file, one file of `group_vars/`).
#[derive(Debug, Clone, Default)]
pub struct Vars {
    values: Dict,
    /// Where the key at the same position was written.
    spans: Vec<Span>,
}

impl Vars {
    /// No variables.
    pub fn new() -> Self {
        Vars::default()
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<Key>, value: Value, span: Span, behaviour: HashBehaviour) {
        let name = name.into();
        let merges = behaviour == HashBehaviour::Merge && matches!(value, Value::Dict(_));
        let value = match if merges { self.values.get_key(&name) } else { None } {
            Some(old) => combine(old, &value),
            None => value,
        };
        if self.values.insert(name.clone(), value).is_none() {
            self.spans.push(span);
        } else if let Some(place) = self.values.keys().position(|key| *key == name) {
            self.spans[place] = span;
        }
    }

    /// Sets many variables.
    pub(crate) fn set_all(&mut self, vars: Vec<(Key, Value, Span)>, behaviour: HashBehaviour) {
        if self.is_empty() {
            self.values = Dict::with_capacity(vars.len());
            self.spans = Vec::with_capacity(vars.len());
        }
        for (name, value, span) in vars {
            self.set(name, value, span, behaviour);
        }
    }

    /// The value of a variable and where it was written.
    pub fn get(&self, name: &str) -> Option<(&Value, Span)> {
        let value = self.values.get(name)?;
        let place = self.values.keys().position(|key| key.as_str() == Some(name))?;
        Some((value, self.spans[place]))
    }

    /// All variables, without places.
    pub fn values(&self) -> &Dict {
        &self.values
    }

    /// All variables with their places.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value, Span)> {
        self.values.iter().zip(&self.spans).map(|((key, value), span)| (key, value, *span))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Puts `over` on top of `base`.
pub fn combine_into(base: &mut Dict, over: &Dict, behaviour: HashBehaviour) {
    if base.is_empty() {
        *base = over.clone();
        return;
    }
    match behaviour {
        HashBehaviour::Replace => base.update(over),
        HashBehaviour::Merge => {
            for (key, value) in over {
                let value = match base.get_key(key) {
                    Some(old) => combine(old, value),
                    None => value.clone(),
                };
                base.insert(key.clone(), value);
            }
        }
    }
}

fn combine(old: &Value, new: &Value) -> Value {
    match (old, new) {
        (Value::Dict(old), Value::Dict(new)) => {
            let mut merged = Dict::clone(old);
            combine_into(&mut merged, new, HashBehaviour::Merge);
            Value::Dict(Arc::new(merged))
        }
        _ => new.clone(),
    }
}

/// Whether Python and Jinja can use the name as a variable.
pub(crate) fn is_variable_name(key: &Key) -> bool {
    key.as_str().is_some_and(|name| {
        name.chars().next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
            && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::dict;

    #[test]
    fn places_follow_the_definition_that_counts() {
        let at = |line| Span::new(quorate_value::FileId::default(), line, 1);
        let mut vars = Vars::new();
        vars.set("a", Value::Int(1), at(1), HashBehaviour::Replace);
        vars.set("b", Value::Int(2), at(2), HashBehaviour::Replace);
        vars.set("a", Value::Int(3), at(3), HashBehaviour::Replace);
        assert_eq!(vars.get("a"), Some((&Value::Int(3), at(3))));
        assert_eq!(vars.get("b"), Some((&Value::Int(2), at(2))));
        assert_eq!(vars.get("c"), None);
    }

    #[test]
    fn merge_goes_deep_and_replace_does_not() {
        let old = dict! {"d" => dict! {"x" => 1i64, "deep" => dict! {"p" => 1i64}}, "l" => Value::list([Value::Int(1)])};
        let new = dict! {"d" => dict! {"y" => 2i64, "deep" => dict! {"q" => 2i64}}, "l" => Value::list([Value::Int(2)])};
        let mut merged = old.clone();
        combine_into(&mut merged, &new, HashBehaviour::Merge);
        assert_eq!(
            merged,
            dict! {
                "d" => dict! {"x" => 1i64, "y" => 2i64, "deep" => dict! {"p" => 1i64, "q" => 2i64}},
                "l" => Value::list([Value::Int(2)]),
            }
        );
        let mut replaced = old;
        combine_into(&mut replaced, &new, HashBehaviour::Replace);
        assert_eq!(replaced, new);
    }
}
