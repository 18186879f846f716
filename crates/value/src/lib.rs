//! The one value type of Quorate: what YAML reads, templates compute, modules take and return.
//!
//! In: nothing. Out: [`Value`] with Python's equality, truth, ordering and printing, because Ansible's users see Python.
//!
//! A string carries three marks: where it was written ([`Span`]), whether it may hold a template
//! ([`Str::is_trusted`]; ansible-core 2.19 calls this *trust*), and whether it is secret ([`Str::is_secret`]).
//! **Invariant:** data that came from a host is never trusted, so it is never rendered as a template.
//!
//! Not here: templates (`quorate-template`), YAML (`quorate-yaml`).

mod dict;
mod json;
pub mod pattern;
mod python;
pub mod raw;
mod span;
mod text;
mod wire;

pub use dict::{Dict, Key};
pub use json::{JsonStyle, from_json_str, to_json, to_json_pretty};
pub use num_bigint::BigInt;
pub use python::{compare, float_repr, repr, str_of, str_repr};
pub use span::{FileId, SourceFile, Span, read, set_unsaved, source_count, source_of, sources};
pub use text::Str;

use std::sync::Arc;

/// A value as Ansible's variables hold it.
#[derive(Clone, Default)]
pub enum Value {
    /// `null` in YAML, `None` in Python.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// An integer that does not; never holds a number that fits [`Value::Int`].
    Big(Arc<BigInt>),
    /// A double.
    Float(f64),
    /// Text, with its marks.
    Str(Str),
    /// A list; shared until somebody changes it.
    List(Arc<Vec<Value>>),
    /// A mapping in insertion order; shared until somebody changes it.
    Dict(Arc<Dict>),
    /// `!vault` text, not yet decrypted. Decrypted when (and only when) somebody looks.
    Vault(Str),
    /// Ansible's `omit`: the argument that holds it is as good as not written.
    Omit,
}

impl Value {
    /// An empty string.
    pub fn empty() -> Self {
        Value::Str(Str::new(""))
    }

    /// A list.
    pub fn list(items: impl Into<Vec<Value>>) -> Self {
        Value::List(Arc::new(items.into()))
    }

    /// A mapping.
    pub fn dict(entries: Dict) -> Self {
        Value::Dict(Arc::new(entries))
    }

    /// An integer of any size, in the smallest variant that holds it.
    pub fn integer(number: BigInt) -> Self {
        use num_traits::ToPrimitive as _;
        number.to_i64().map_or_else(|| Value::Big(Arc::new(number)), Value::Int)
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The text with its marks, if this is text.
    pub fn as_text(&self) -> Option<&Str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is an integer of 64 bits (`true` is no integer here).
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if this is one (no conversion).
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if this is a mapping.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a mapping at a text key; nothing where this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_dict().and_then(|entries| entries.get(key))
    }

    /// Whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Python's truth: empty, zero and `None` are false.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Int(number) => *number != 0,
            Value::Big(_) | Value::Vault(_) | Value::Omit => true,
            Value::Float(number) => *number != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Dict(entries) => !entries.is_empty(),
        }
    }

    /// The name Python's `type(x).__name__` has for it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) | Value::Vault(_) => "str",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
            Value::Omit => "Omit",
        }
    }

    /// Ansible's `boolean()` for arguments and variables: `yes`, `on`, `1`, `true`, `t`, `y` and their opposites,
    /// in any case; 1 and 0. Nothing where it is neither.
    pub fn to_bool_loose(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            Value::Int(1) => Some(true),
            Value::Int(0) => Some(false),
            Value::Float(number) if *number == 1.0 => Some(true),
            Value::Float(number) if *number == 0.0 => Some(false),
            Value::Str(text) => match text.as_str().trim().to_lowercase().as_str() {
                "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
                "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether any text inside is marked secret.
    pub fn holds_secret(&self) -> bool {
        match self {
            Value::Str(text) => text.is_secret(),
            Value::Vault(_) => true,
            Value::List(items) => items.iter().any(Value::holds_secret),
            Value::Dict(entries) => entries.values().any(Value::holds_secret),
            _ => false,
        }
    }

    /// The same value with every text inside changed by `change`.
    pub fn map_text(&self, change: &impl Fn(&Str) -> Str) -> Value {
        match self {
            Value::Str(text) => Value::Str(change(text)),
            Value::List(items) => Value::list(items.iter().map(|v| v.map_text(change)).collect::<Vec<_>>()),
            Value::Dict(entries) => {
                Value::dict(entries.iter().map(|(k, v)| (k.clone(), v.map_text(change))).collect())
            }
            other => other.clone(),
        }
    }

    /// The same value, every text trusted as a template (what people wrote in files).
    pub fn trusted(&self) -> Value {
        self.map_text(&|text| text.clone().trusted())
    }

    /// The same value, no text trusted (what came from hosts and commands).
    pub fn untrusted(&self) -> Value {
        self.map_text(&|text| text.clone().untrusted())
    }

    /// The same value, every text secret.
    pub fn secret(&self) -> Value {
        self.map_text(&|text| text.clone().secret())
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.holds_secret() { f.write_str("<secret>") } else { f.write_str(&repr(self)) }
    }
}

macro_rules! from {
    ($($from:ty => |$it:ident| $make:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($it: $from) -> Self { $make }
        }
    )*};
}

from! {
    bool => |it| Value::Bool(it),
    i32 => |it| Value::Int(i64::from(it)),
    u32 => |it| Value::Int(i64::from(it)),
    i64 => |it| Value::Int(it),
    u64 => |it| Value::integer(BigInt::from(it)),
    usize => |it| Value::integer(BigInt::from(it)),
    f64 => |it| Value::Float(it),
    &str => |it| Value::Str(Str::new(it)),
    String => |it| Value::Str(Str::from(it)),
    &String => |it| Value::Str(Str::new(it)),
    Str => |it| Value::Str(it),
    Vec<Value> => |it| Value::list(it),
    Dict => |it| Value::dict(it),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(it: Option<T>) -> Self {
        it.map_or(Value::Null, Into::into)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Value::list(iter.into_iter().map(Into::into).collect::<Vec<_>>())
    }
}

/// Builds a [`Dict`]: `dict! { "changed" => true, "path" => path }`.
#[macro_export]
macro_rules! dict {
    ($($key:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "an empty dict! changes nothing")]
        let mut entries = $crate::Dict::new();
        $(entries.insert($key, $crate::Value::from($value));)*
        entries
    }};
}
