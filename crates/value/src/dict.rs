//! Mappings in insertion order, with Python's keys: text, integers, booleans, floats, `None`.

use crate::{Str, Value};
use indexmap::{Equivalent, IndexMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A key. `1`, `1.0` and `true` are the same key, as in Python.
#[derive(Clone, Debug)]
pub enum Key {
    /// Text; by far the most common.
    Str(Arc<str>),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// A double.
    Float(f64),
    /// `None`.
    Null,
}

impl Key {
    fn number(&self) -> Option<f64> {
        match self {
            Key::Int(number) => Some(*number as f64),
            Key::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Key::Float(number) => Some(*number),
            Key::Str(_) | Key::Null => None,
        }
    }

    /// The key as a value.
    pub fn to_value(&self) -> Value {
        match self {
            Key::Str(text) => Value::Str(Str::from(text.as_ref())),
            Key::Int(number) => Value::Int(*number),
            Key::Bool(flag) => Value::Bool(*flag),
            Key::Float(number) => Value::Float(*number),
            Key::Null => Value::Null,
        }
    }

    /// A value as a key; nothing for what Python calls unhashable.
    pub fn of(value: &Value) -> Option<Key> {
        Some(match value {
            Value::Str(text) => {
                text.shared().map_or_else(|| Key::from(""), |shared| Key::Str(shared.clone()))
            }
            Value::Int(number) => Key::Int(*number),
            Value::Bool(flag) => Key::Bool(*flag),
            Value::Float(number) => Key::Float(*number),
            Value::Null => Key::Null,
            Value::Big(number) => Key::from(number.to_string()),
            Value::List(_) | Value::Dict(_) | Value::Vault(_) | Value::Omit => return None,
        })
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Key::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The text that JSON has for this key (`json.dumps` turns `1` to `"1"`, `None` to `"null"`).
    pub fn json_text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Key::Str(text) => text.as_ref().into(),
            Key::Int(number) => number.to_string().into(),
            Key::Bool(flag) => if *flag { "true" } else { "false" }.into(),
            Key::Float(number) => crate::float_repr(*number).into(),
            Key::Null => "null".into(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Key::Str(a), Key::Str(b)) => a == b,
            (Key::Int(a), Key::Int(b)) => a == b,
            (Key::Null, Key::Null) => true,
            _ => matches!((self.number(), other.number()), (Some(a), Some(b)) if a == b),
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match (self, self.number()) {
            (Key::Str(text), _) => text.as_ref().hash(state),
            (_, Some(number)) => (number + 0.0).to_bits().hash(state),
            _ => 0u8.hash(state),
        }
    }
}

impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Str(text) if text.as_ref() == self)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Key::Str(Arc::from(text))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Key::Str(Arc::from(text))
    }
}

impl From<&String> for Key {
    fn from(text: &String) -> Self {
        Key::Str(Arc::from(text.as_str()))
    }
}

impl From<Arc<str>> for Key {
    fn from(text: Arc<str>) -> Self {
        Key::Str(text)
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Self {
        Key::Int(number)
    }
}

/// A mapping in insertion order.
#[derive(Clone, Default)]
pub struct Dict(IndexMap<Key, Value>);

impl Dict {
    /// An empty mapping.
    pub fn new() -> Self {
        Dict::default()
    }

    /// An empty mapping with room for `entries`.
    pub fn with_capacity(entries: usize) -> Self {
        Dict(IndexMap::with_capacity(entries))
    }

    /// The value at a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value at any key.
    pub fn get_key(&self, key: &Key) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value at a text key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(key)
    }

    /// Puts a value; an existing key keeps its place. Gives the old value.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(key.into(), value.into())
    }

    /// Takes a key out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// Takes any key out, keeping the order of the others.
    pub fn remove_key(&mut self, key: &Key) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// Whether a text key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> indexmap::map::Iter<'_, Key, Value> {
        self.0.iter()
    }

    /// Keys, in order.
    pub fn keys(&self) -> indexmap::map::Keys<'_, Key, Value> {
        self.0.keys()
    }

    /// Values, in order.
    pub fn values(&self) -> indexmap::map::Values<'_, Key, Value> {
        self.0.values()
    }

    /// Values to change, in order.
    pub fn values_mut(&mut self) -> indexmap::map::ValuesMut<'_, Key, Value> {
        self.0.values_mut()
    }

    /// The entry at a position.
    pub fn at(&self, index: usize) -> Option<(&Key, &Value)> {
        self.0.get_index(index)
    }

    /// The position of a text key.
    pub fn index_of(&self, key: &str) -> Option<usize> {
        self.0.get_index_of(key)
    }

    /// The position of any key.
    pub fn index_of_key(&self, key: &Key) -> Option<usize> {
        self.0.get_index_of(key)
    }

    /// Keeps the entries for which `keep` says yes.
    pub fn retain(&mut self, keep: impl FnMut(&Key, &mut Value) -> bool) {
        self.0.retain(keep);
    }

    /// Puts all entries of `other`, which win (Python's `dict.update`).
    pub fn update(&mut self, other: &Dict) {
        self.0.extend(other.iter().map(|(k, v)| (k.clone(), v.clone())));
    }

    /// The same entries sorted by key as Python sorts text.
    #[must_use]
    pub fn sorted(&self) -> Dict {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.json_text().cmp(&b.json_text()));
        entries.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Dict(iter.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl<K: Into<Key>, V: Into<Value>> Extend<(K, V)> for Dict {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, iter: I) {
        self.0.extend(iter.into_iter().map(|(k, v)| (k.into(), v.into())));
    }
}

impl IntoIterator for Dict {
    type Item = (Key, Value);
    type IntoIter = indexmap::map::IntoIter<Key, Value>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Dict {
    type Item = (&'a Key, &'a Value);
    type IntoIter = indexmap::map::Iter<'a, Key, Value>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Order does not matter, as in Python.
impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(k, v)| other.get_key(k) == Some(v))
    }
}

impl std::fmt::Debug for Dict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", Value::dict(self.clone()))
    }
}
