//! serde: nodes to typed structs, errors with places.
//!
//! Numbers and booleans are given as text where text is wanted, as they are written (`version: 1.10` stays `1.10`), and
//! text is taken for a number or boolean where Ansible would. Lists and mappings are never made up.
//!
//! A field of type [`Node`] keeps everything; [`Spanned`] adds the place to any type; [`as_value`] reads a field as a
//! [`Value`] with its marks (serde's own way to [`Value`] loses them).

use crate::{Mapping, Node, NodeKind, YamlError, did_you_mean};
use quorate_value::{Span, Value};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _,
    IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

/// The name under which [`Spanned`] asks for a place.
const SPANNED: &str = "$quorate_yaml::Spanned";

/// The name under which a [`Node`] asks this deserializer, and no other, for itself.
const NODE: &str = "$quorate_yaml::Node";

thread_local! {
    /// Hands a node over to `Node::deserialize`, which runs at once on the same thread.
    static HANDED: RefCell<Option<Node>> = const { RefCell::new(None) };
    /// Hands a place over to `Spanned::deserialize` in the same way.
    static PLACE: Cell<Span> = Cell::new(Span::default());
}

impl Node {
    /// The node as a type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, YamlError> {
        T::deserialize(self)
    }
}

impl de::Error for YamlError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        YamlError::new(Span::default(), message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, but this is {}", Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, but this is {}", Found(found)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("`{field}` is missing"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::custom(format_args!("`{field}` is not known here"));
        match did_you_mean(field, expected.iter().copied()) {
            Some(hint) => error.hint(hint),
            None => error.hint(format!("Known here: {}.", listed(expected))),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::custom(format_args!("`{variant}` is none of {}", listed(expected)));
        match did_you_mean(variant, expected.iter().copied()) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What was found, in YAML's words.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Unit | Unexpected::Option => f.write_str("nothing"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("a mapping"),
            Unexpected::Str(text) => write!(f, "the text `{text}`"),
            Unexpected::Bool(flag) => write!(f, "`{flag}`"),
            Unexpected::Signed(number) => write!(f, "`{number}`"),
            Unexpected::Unsigned(number) => write!(f, "`{number}`"),
            Unexpected::Float(number) => write!(f, "`{number}`"),
            other => write!(f, "{other}"),
        }
    }
}

impl Node {
    fn mismatch(&self, expected: &dyn de::Expected) -> YamlError {
        match self.as_scalar().map(|scalar| &scalar.value) {
            // Ciphertext tells nobody anything.
            Some(Value::Vault(_)) => {
                YamlError::custom(format_args!("expected {expected}, but this is an encrypted value"))
            }
            Some(Value::Null) => YamlError::invalid_type(Unexpected::Unit, expected),
            Some(_) => {
                let text = self.as_scalar().map_or("", |scalar| scalar.text());
                YamlError::custom(format_args!("expected {expected}, but this is `{text}`"))
            }
            None => YamlError::custom(format_args!("expected {expected}, but this is {}", self.describe())),
        }
    }

    fn scalar_text(&self) -> Option<&str> {
        let scalar = self.as_scalar()?;
        (!matches!(scalar.value, Value::Null | Value::Vault(_))).then(|| scalar.text())
    }

    fn visit_number<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, YamlError> {
        match self.as_scalar().map(|scalar| &scalar.value) {
            Some(Value::Int(number)) => visitor.visit_i64(*number),
            Some(Value::Big(number)) => match (u64::try_from(&**number), i128::try_from(&**number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i128(number),
                _ => Err(self.mismatch(&visitor)),
            },
            Some(Value::Float(number)) => visitor.visit_f64(*number),
            Some(Value::Str(text)) => match (text.trim().parse::<i64>(), text.trim().parse::<f64>()) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_f64(number),
                _ => Err(self.mismatch(&visitor)),
            },
            _ => Err(self.mismatch(&visitor)),
        }
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
            self.visit_number(visitor).map_err(|error| error.or_at(self.span))
        }
    )*};
}

macro_rules! texts {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
            match self.scalar_text() {
                Some(text) => visitor.visit_str(text),
                None => Err(self.mismatch(&visitor)),
            }
            .map_err(|error| error.or_at(self.span))
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = YamlError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match &self.kind {
            NodeKind::Sequence(_) => return self.deserialize_seq(visitor),
            NodeKind::Mapping(_) => return self.deserialize_map(visitor),
            NodeKind::Scalar(scalar) => match &scalar.value {
                Value::Null => visitor.visit_unit(),
                Value::Bool(flag) => visitor.visit_bool(*flag),
                Value::Str(text) => visitor.visit_str(text),
                Value::Int(_) | Value::Big(_) | Value::Float(_) => self.visit_number(visitor),
                _ => Err(self.mismatch(&visitor)),
            },
        }
        .map_err(|error| error.or_at(self.span))
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    texts! { deserialize_str deserialize_string deserialize_char deserialize_identifier }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match self.as_scalar().and_then(|scalar| scalar.value.to_bool_loose()) {
            Some(flag) => visitor.visit_bool(flag),
            None => Err(self.mismatch(&visitor)),
        }
        .map_err(|error| error.or_at(self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
            .map_err(|error| error.or_at(self.span))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        if self.is_null() { visitor.visit_unit() } else { Err(self.mismatch(&visitor)) }
            .map_err(|error| error.or_at(self.span))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        if name == NODE {
            HANDED.set(Some(self.clone()));
            return visitor.visit_unit();
        }
        if name == SPANNED {
            PLACE.set(self.span);
        }
        visitor.visit_newtype_struct(self).map_err(|error| error.or_at(self.span))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match self.as_sequence() {
            Some(items) => visitor.visit_seq(Items(items.iter())),
            None => Err(self.mismatch(&visitor)),
        }
        .map_err(|error| error.or_at(self.span))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, YamlError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match self.as_mapping() {
            Some(mapping) => visitor.visit_map(Entries::of(mapping)),
            None => Err(self.mismatch(&visitor)),
        }
        .map_err(|error| error.or_at(self.span))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        match self.as_mapping() {
            Some(mapping) => visitor.visit_map(Entries::of(mapping)),
            None => {
                Err(YamlError::custom(format_args!("expected a mapping, but this is {}", self.describe())))
            }
        }
        .map_err(|error| error.or_at(self.span))
    }

    /// A name alone, or a mapping with the name as its only key.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        let choice = match (self.scalar_text(), self.as_mapping()) {
            (Some(_), _) => Choice { name: self, content: None },
            (None, Some(mapping)) if mapping.len() == 1 => {
                let (_, entry) = mapping.iter().next().expect("a mapping of one entry has a first one");
                Choice { name: &entry.key, content: Some(&entry.value) }
            }
            _ => {
                let message = "expected a name or a mapping of one key";
                return Err(YamlError::new(self.span, format!("{message}, but this is {}", self.describe())));
            }
        };
        visitor.visit_enum(choice).map_err(|error| error.or_at(self.span))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match self.scalar_text() {
            Some(text) => visitor.visit_bytes(text.as_bytes()),
            None => Err(self.mismatch(&visitor)),
        }
        .map_err(|error| error.or_at(self.span))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        visitor.visit_unit()
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = YamlError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, YamlError> {
        self.0.next().map(|item| seed.deserialize(item).map_err(|error| error.or_at(item.span))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    mapping: &'de Mapping,
    next: usize,
}

impl<'de> Entries<'de> {
    fn of(mapping: &'de Mapping) -> Self {
        Entries { mapping, next: 0 }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = YamlError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, YamlError> {
        let Some((_, entry)) = self.mapping.entries.get_index(self.next) else { return Ok(None) };
        seed.deserialize(&entry.key).map(Some).map_err(|error| error.or_at(entry.key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, YamlError> {
        let (_, entry) =
            self.mapping.entries.get_index(self.next).expect("serde asks for a value only after its key");
        self.next += 1;
        seed.deserialize(&entry.value).map_err(|error| error.or_at(entry.value.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.mapping.len() - self.next)
    }
}

struct Choice<'de> {
    name: &'de Node,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = YamlError;
    type Variant = Content<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'de>), YamlError> {
        let name = self.name.scalar_text().unwrap_or_default();
        let name: StrDeserializer<'_, YamlError> = name.into_deserializer();
        let variant = seed.deserialize(name).map_err(|error| error.or_at(self.name.span))?;
        Ok((variant, Content { name: self.name, content: self.content }))
    }
}

struct Content<'de> {
    name: &'de Node,
    content: Option<&'de Node>,
}

impl<'de> Content<'de> {
    fn needed(&self) -> Result<&'de Node, YamlError> {
        self.content.ok_or_else(|| {
            let name = self.name.scalar_text().unwrap_or_default();
            YamlError::new(self.name.span, format!("`{name}` needs a value: write `{name}: …`"))
        })
    }
}

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = YamlError;

    fn unit_variant(self) -> Result<(), YamlError> {
        match self.content.filter(|content| !content.is_null()) {
            None => Ok(()),
            Some(content) => {
                let name = self.name.scalar_text().unwrap_or_default();
                Err(YamlError::new(content.span, format!("`{name}` takes no value")))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, YamlError> {
        seed.deserialize(self.needed()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, YamlError> {
        self.needed()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        self.needed()?.deserialize_struct("", fields, visitor)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Handed;
        impl Visitor<'_> for Handed {
            type Value = Option<Node>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML node")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(HANDED.take())
            }
        }
        deserializer
            .deserialize_newtype_struct(NODE, Handed)?
            .ok_or_else(|| D::Error::custom("a YAML node can only be read from YAML"))
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it starts.
    pub span: Span,
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Placed<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Placed<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Spanned<T>, D::Error> {
                let span = PLACE.take();
                T::deserialize(deserializer).map(|value| Spanned { value, span })
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, Placed(PhantomData))
    }
}

/// Reads a field as a [`Value`] with places and trust: `#[serde(deserialize_with = "quorate_yaml::as_value")]`.
pub fn as_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Node::deserialize(deserializer).map(|node| node.to_value())
}
