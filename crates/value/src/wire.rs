//! serde: plain JSON or YAML shapes for readable formats, an exact form with marks for frames to the helper.

use crate::{Dict, Key, Str, Value};
use num_bigint::BigInt;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use std::cell::Cell;
use std::sync::Arc;

/// How deep a value in a frame may be. A host could send any: each level is a call, and the stack ends somewhere.
pub(crate) const MAX_WIRE_DEPTH: usize = 256;

/// How many digits an integer in a frame may have; reading them takes quadratic time.
const MAX_DIGITS: usize = 10_000;

/// What travels in binary frames. Spans stay behind: they mean nothing on a host.
#[derive(serde::Serialize, serde::Deserialize)]
enum Exact {
    Null,
    Bool(bool),
    Int(i64),
    Big(String),
    Float(f64),
    Str(String),
    Secret(String),
    List(Vec<Level>),
    Dict(Vec<(ExactKey, Level)>),
    Omit,
}

/// A value inside another one: counted, as it is read.
#[derive(serde::Serialize)]
struct Level(Exact);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Up;
        impl Drop for Up {
            fn drop(&mut self) {
                DEPTH.with(|depth| depth.set(depth.get() - 1));
            }
        }
        let depth = DEPTH.with(|depth| {
            depth.set(depth.get() + 1);
            depth.get()
        });
        let _up = Up;
        if depth > MAX_WIRE_DEPTH {
            return Err(serde::de::Error::custom("a value is nested too deeply"));
        }
        Exact::deserialize(deserializer).map(Level)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
enum ExactKey {
    Str(String),
    Int(i64),
    Bool(bool),
    Float(f64),
    Null,
}

impl From<&Value> for Exact {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Exact::Null,
            Value::Bool(flag) => Exact::Bool(*flag),
            Value::Int(number) => Exact::Int(*number),
            Value::Big(number) => Exact::Big(number.to_string()),
            Value::Float(number) => Exact::Float(*number),
            Value::Str(text) if text.is_secret() => Exact::Secret(text.as_str().to_owned()),
            Value::Str(text) | Value::Vault(text) => Exact::Str(text.as_str().to_owned()),
            Value::List(items) => Exact::List(items.iter().map(|item| Level(Exact::from(item))).collect()),
            Value::Dict(entries) => Exact::Dict(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let key = match key {
                            Key::Str(text) => ExactKey::Str(text.as_ref().to_owned()),
                            Key::Int(number) => ExactKey::Int(*number),
                            Key::Bool(flag) => ExactKey::Bool(*flag),
                            Key::Float(number) => ExactKey::Float(*number),
                            Key::Null => ExactKey::Null,
                        };
                        (key, Level(Exact::from(value)))
                    })
                    .collect(),
            ),
            Value::Omit => Exact::Omit,
        }
    }
}

impl From<Exact> for Value {
    fn from(exact: Exact) -> Self {
        match exact {
            Exact::Null => Value::Null,
            Exact::Bool(flag) => Value::Bool(flag),
            Exact::Int(number) => Value::Int(number),
            Exact::Big(text) if text.len() <= MAX_DIGITS => {
                text.parse::<BigInt>().map_or(Value::Null, Value::integer)
            }
            Exact::Big(text) => Value::from(text),
            Exact::Float(number) => Value::Float(number),
            Exact::Str(text) => Value::from(text),
            Exact::Secret(text) => Value::Str(Str::from(text).secret()),
            Exact::List(items) => items.into_iter().map(|Level(item)| Value::from(item)).collect(),
            Exact::Dict(entries) => Value::dict(
                entries
                    .into_iter()
                    .map(|(key, Level(value))| {
                        let key = match key {
                            ExactKey::Str(text) => Key::from(text),
                            ExactKey::Int(number) => Key::Int(number),
                            ExactKey::Bool(flag) => Key::Bool(flag),
                            ExactKey::Float(number) => Key::Float(number),
                            ExactKey::Null => Key::Null,
                        };
                        (key, Value::from(value))
                    })
                    .collect(),
            ),
            Exact::Omit => Value::Omit,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return Exact::from(self).serialize(serializer);
        }
        match self {
            Value::Null | Value::Omit => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Big(number) => serializer.serialize_str(&number.to_string()),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Str(text) | Value::Vault(text) => serializer.serialize_str(text),
            Value::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Value::Dict(entries) => entries.serialize(serializer),
        }
    }
}

impl Serialize for Dict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return Exact::from(&Value::dict(self.clone())).serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            map.serialize_entry(key.json_text().as_ref(), value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(AnyValue)
        } else {
            Exact::deserialize(deserializer).map(Value::from)
        }
    }
}

impl<'de> Deserialize<'de> for Dict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Dict(entries) => Ok(Arc::unwrap_or_clone(entries)),
            _ => Err(serde::de::Error::custom("expected a mapping")),
        }
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Value>()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Dict::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            entries.insert(key, value);
        }
        Ok(Value::dict(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dict;

    #[test]
    fn a_frame_of_any_depth_does_no_harm() {
        let nested = |levels: usize| {
            // 7 is the tag of a list, 1 its length, 0 null
            let mut bytes = [7, 1].repeat(levels);
            bytes.push(0);
            postcard::from_bytes::<Value>(&bytes)
        };
        assert!(nested(MAX_WIRE_DEPTH).is_ok());
        assert!(nested(MAX_WIRE_DEPTH + 1).is_err());
        assert!(nested(5_000_000).is_err());
        assert!(nested(MAX_WIRE_DEPTH).is_ok(), "the count starts anew after a refusal");
    }

    #[test]
    fn an_integer_of_any_length_does_no_harm() {
        let bytes = postcard::to_allocvec(&Exact::Big("9".repeat(5_000_000))).unwrap();
        let value: Value = postcard::from_bytes(&bytes).unwrap();
        assert!(value.as_str().is_some());
    }

    #[test]
    fn frames_keep_every_value() {
        let mut entries = dict! {
            "a" => Value::list([Value::Null, Value::Float(1.5), Value::from(u64::MAX)]),
            "s" => Str::new("x").secret(),
            "o" => Value::Omit,
        };
        entries.insert(Key::Int(3), "three");
        let value = Value::from(entries);
        let bytes = postcard::to_allocvec(&value).unwrap();
        let back: Value = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(back, value);
        assert!(back.get("s").unwrap().holds_secret());
    }
}
