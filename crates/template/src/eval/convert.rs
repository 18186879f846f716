//! From running values to text, truth, items and finished values.

use super::Vm;
use crate::error::{Error, Kind, Result};
use crate::rt::{Native, Range, Realm, V};
use quorate_value::{Dict, Key, Str, Value, float_repr, str_of, str_repr};
use std::fmt::Write as _;
use std::sync::Arc;

/// How many elements a range or a repetition may be unfolded to.
pub(crate) const MAX_ITEMS: usize = 4_000_000;
/// How long a text may grow, in bytes.
pub(crate) const MAX_TEXT: usize = 1 << 28;

/// What a template has put out so far: nothing, one native value, or text.
#[derive(Default)]
pub(crate) struct Out {
    state: State,
    /// Output of a child template outside of its blocks goes nowhere.
    pub(crate) muted: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    One(V),
    Text(String, bool),
}

impl Out {
    pub(crate) fn literal(&mut self, vm: &Vm, text: &Arc<str>) -> Result<()> {
        match &mut self.state {
            State::Text(out, _) => out.push_str(text),
            State::Nothing => self.state = State::One(V::Str(Str::from(&**text))),
            State::One(_) => self.begin_text(vm)?.push_str(text),
        }
        Ok(())
    }

    fn begin_text(&mut self, vm: &Vm) -> Result<&mut String> {
        if !matches!(self.state, State::Text(..)) {
            let mut text = String::new();
            let mut secret = false;
            if let State::One(first) = std::mem::take(&mut self.state) {
                secret = matches!(&first, V::Str(s) if s.is_secret());
                vm.print(&mut text, &first)?;
            }
            self.state = State::Text(text, secret);
        }
        match &mut self.state {
            State::Text(text, _) => Ok(text),
            _ => Err(Error::runtime("no text")),
        }
    }

    /// `None` is not there at all; `omit` is no text; one value alone stays what it is; several become text.
    pub(crate) fn value(&mut self, vm: &Vm, value: V) -> Result<()> {
        if matches!(value, V::Null) {
            return Ok(());
        }
        match &mut self.state {
            State::Nothing => self.state = State::One(value),
            _ => {
                let out = self.begin_text(vm)?;
                vm.print(out, &value)?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> V {
        match self.state {
            State::Nothing => V::Null,
            State::One(value) => value,
            State::Text(text, secret) => {
                let text = Str::from(text);
                V::Str(if secret { text.secret() } else { text })
            }
        }
    }
}

/// Refuses a result of so many bytes or items where that is too much.
pub(crate) fn fits(size: usize, most: usize) -> Result<()> {
    if size > most {
        return Err(Error::runtime(format!("the result would be too big ({size}, at most {most})")));
    }
    Ok(())
}

impl Vm<'_> {
    /// Python's truth.
    pub(crate) fn truth(&self, value: &V) -> Result<bool> {
        Ok(match value {
            V::Undefined(error) => return Err((**error).clone()),
            V::Null => false,
            V::Bool(flag) => *flag,
            V::Int(number) => *number != 0,
            V::Float(number) => *number != 0.0,
            V::Str(text) => !text.is_empty(),
            V::List(list) => list.len() > 0,
            V::Tuple(items) => !items.is_empty(),
            V::Dict(map) => map.len() > 0,
            V::Range(range) => range.len() > 0,
            V::Object(object) => !object.keys().is_empty(),
            V::Native(native) => match &**native {
                Native::Nothing(_) => false,
                Native::Bytes(bytes) => !bytes.is_empty(),
                Native::Delta(delta) => delta.micros != 0,
                _ => true,
            },
            V::Big(_) | V::Omit => true,
            V::Lazy(lazy) => return self.truth(&self.adopt(&lazy.0, &lazy.1)?),
        })
    }

    /// A piece of output: finished first, then as text.
    pub(crate) fn print(&self, out: &mut String, value: &V) -> Result<()> {
        match value {
            V::Str(text) => out.push_str(text),
            V::Int(number) => {
                let _ = write!(out, "{number}");
            }
            V::Null | V::Omit => {}
            V::Native(native)
                if !matches!(
                    **native,
                    Native::Group(..) | Native::Date(_) | Native::Delta(_) | Native::Bytes(_)
                ) =>
            {
                self.write_str(out, value)?;
            }
            V::Range(_) => self.write_str(out, value)?,
            V::Bool(_) | V::Float(_) | V::Big(_) => self.write_str(out, value)?,
            other => {
                let value = self.finalize(other)?;
                if value.holds_secret() {
                    self.saw_secret();
                }
                out.push_str(&str_of(&value));
            }
        }
        Ok(())
    }

    /// Python's `str()`.
    pub(crate) fn to_str(&self, value: &V) -> Result<String> {
        let mut out = String::new();
        self.write_str(&mut out, value)?;
        Ok(out)
    }

    /// Python's `str()`, sharing the text where it is text already.
    pub(crate) fn to_text(&self, value: &V) -> Result<Str> {
        match value {
            V::Str(text) => Ok(text.clone()),
            other => self.to_str(other).map(Str::from),
        }
    }

    pub(crate) fn write_str(&self, out: &mut String, value: &V) -> Result<()> {
        match value {
            V::Str(text) => out.push_str(text),
            V::Native(native) => match &**native {
                Native::Nothing(_) => {}
                Native::Date(date) => out.push_str(&date.to_string()),
                Native::Delta(delta) => out.push_str(&delta.to_string()),
                Native::Module(module) => self.write_str(out, &module.body)?,
                _ => self.write_repr(out, value, 0)?,
            },
            other => self.write_repr(out, other, 0)?,
        }
        Ok(())
    }

    /// Python's `repr()`.
    pub(crate) fn to_repr(&self, value: &V) -> Result<String> {
        let mut out = String::new();
        self.write_repr(&mut out, value, 0)?;
        Ok(out)
    }

    fn write_repr(&self, out: &mut String, value: &V, depth: usize) -> Result<()> {
        self.check_stack()?;
        if depth > 200 {
            return Err(Error::runtime("a value contains itself, or is nested too deep"));
        }
        let sequence = |out: &mut String, items: &[V]| -> Result<()> {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                self.write_repr(out, item, depth + 1)?;
            }
            Ok(())
        };
        match value {
            V::Undefined(error) => return Err((**error).clone()),
            V::Null => out.push_str("None"),
            V::Bool(flag) => out.push_str(if *flag { "True" } else { "False" }),
            V::Int(number) => {
                let _ = write!(out, "{number}");
            }
            V::Big(number) => {
                let _ = write!(out, "{number}");
            }
            V::Float(number) => out.push_str(&float_repr(*number)),
            V::Str(text) if text.is_markup() => {
                let _ = write!(out, "Markup({})", str_repr(text));
            }
            V::Str(text) => out.push_str(&str_repr(text)),
            V::List(list) => {
                out.push('[');
                sequence(out, &list.items(self)?)?;
                out.push(']');
            }
            V::Tuple(items) => {
                out.push('(');
                sequence(out, items)?;
                out.push_str(if items.len() == 1 { ",)" } else { ")" });
            }
            V::Dict(map) => {
                out.push('{');
                for (i, (key, value)) in map.entries(self)?.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    self.write_repr(out, &V::done(&key.to_value()), depth + 1)?;
                    out.push_str(": ");
                    self.write_repr(out, value, depth + 1)?;
                }
                out.push('}');
            }
            V::Range(range) => {
                let _ = write!(out, "range({}, {}", range.start, range.stop);
                if range.step != 1 {
                    let _ = write!(out, ", {}", range.step);
                }
                out.push(')');
            }
            V::Omit => out.push_str("<<Omit>>"),
            V::Object(_) => out.push_str(&str_of(&self.finalize(value)?)),
            V::Lazy(lazy) => self.write_repr(out, &self.adopt(&lazy.0, &lazy.1)?, depth)?,
            V::Native(native) => match &**native {
                Native::Date(date) => out.push_str(&date.repr()),
                Native::Delta(delta) => out.push_str(&delta.repr()),
                Native::Group(key, items) => {
                    out.push('(');
                    sequence(out, &[key.clone(), items.clone()])?;
                    out.push(')');
                }
                Native::Bytes(bytes) => {
                    out.push_str("b'");
                    for &b in bytes.iter() {
                        let _ = match b {
                            b'\\' => write!(out, "\\\\"),
                            b'\'' => write!(out, "\\'"),
                            b'\n' => write!(out, "\\n"),
                            b'\t' => write!(out, "\\t"),
                            b'\r' => write!(out, "\\r"),
                            0x20..0x7f => write!(out, "{}", b as char),
                            _ => write!(out, "\\x{b:02x}"),
                        };
                    }
                    out.push('\'');
                }
                Native::Namespace(attributes) => {
                    out.push_str("<Namespace {");
                    for (i, (name, value)) in attributes.0.borrow().iter().enumerate() {
                        if i > 0 {
                            out.push_str(", ");
                        }
                        let _ = write!(out, "{}: ", str_repr(name));
                        self.write_repr(out, value, depth + 1)?;
                    }
                    out.push_str("}>");
                }
                Native::Macro(object) => {
                    let _ = write!(out, "<Macro {}>", str_repr(&object.definition.name));
                }
                Native::Nothing(_) => out.push_str("Undefined"),
                Native::Loop(state) => {
                    let _ = write!(out, "<LoopContext {}/{}>", state.index.get() + 1, state.items.len());
                }
                other => {
                    let _ = write!(out, "<{}>", other.type_name());
                }
            },
        }
        Ok(())
    }

    /// What `for x in value` goes through.
    pub(crate) fn iterate(&self, value: &V) -> Result<Vec<V>> {
        Ok(match value {
            V::Undefined(error) => return Err((**error).clone()),
            V::List(list) => list.items(self)?,
            V::Tuple(items) => items.iter().map(|item| self.element(item.clone())).collect::<Result<_>>()?,
            V::Dict(map) => map.keys().iter().map(|key| V::done(&key.to_value())).collect(),
            V::Object(object) => object.keys().iter().map(|key| V::done(&key.to_value())).collect(),
            V::Str(text) => text.chars().map(|c| V::text(c.to_string())).collect(),
            V::Range(range) => self.unfold(*range)?,
            V::Lazy(lazy) => return self.iterate(&self.adopt(&lazy.0, &lazy.1)?),
            V::Native(native) => match &**native {
                Native::Group(key, items) => vec![key.clone(), items.clone()],
                Native::Bytes(bytes) => bytes.iter().map(|b| V::Int(i64::from(*b))).collect(),
                Native::Nothing(_) => Vec::new(),
                Native::Loop(state) => state.items.clone(),
                other => {
                    return Err(Error::runtime(format!("'{}' object is not iterable", other.type_name())));
                }
            },
            other => return Err(Error::runtime(format!("'{}' object is not iterable", other.type_name()))),
        })
    }

    fn unfold(&self, range: Range) -> Result<Vec<V>> {
        let length = range.len();
        if length > MAX_ITEMS {
            return Err(Error::runtime(format!(
                "Range too big. The maximum number of items is {MAX_ITEMS}, this one has {length}"
            )));
        }
        Ok((0..length).map(|i| V::Int(range.at(i))).collect())
    }

    /// Python's `len()`.
    pub(crate) fn length(&self, value: &V) -> Result<usize> {
        Ok(match value {
            V::Undefined(error) => return Err((**error).clone()),
            V::Str(text) if text.is_ascii() => text.len(),
            V::Str(text) => text.chars().count(),
            V::List(list) => list.len(),
            V::Tuple(items) => items.len(),
            V::Dict(map) => map.len(),
            V::Range(range) => range.len(),
            V::Object(object) => object.keys().len(),
            V::Native(native) => match &**native {
                Native::Group(..) => 2,
                Native::Bytes(bytes) => bytes.len(),
                Native::Loop(state) => state.items.len(),
                Native::Nothing(_) => 0,
                other => {
                    return Err(Error::runtime(format!(
                        "object of type '{}' has no len()",
                        other.type_name()
                    )));
                }
            },
            other => {
                return Err(Error::runtime(format!("object of type '{}' has no len()", other.type_name())));
            }
        })
    }

    /// A value as a mapping's key.
    pub(crate) fn key(&self, value: &V) -> Result<Key> {
        Ok(match value {
            V::Undefined(error) => return Err((**error).clone()),
            V::Str(text) => text.shared().map_or_else(|| Key::from(""), |text| Key::from(Arc::clone(text))),
            V::Int(number) => Key::Int(*number),
            V::Bool(flag) => Key::Bool(*flag),
            V::Float(number) => Key::Float(*number),
            V::Null => Key::Null,
            V::Big(number) => Key::from(number.to_string()),
            V::List(_) | V::Dict(_) => {
                return Err(Error::runtime(format!("unhashable type: '{}'", value.type_name())));
            }
            other => {
                return Err(Error::runtime(format!(
                    "keys of type '{}' are not supported in mappings",
                    other.type_name()
                )));
            }
        })
    }

    /// The finished value: everything rendered, tuples as lists, `omit` taken out of containers.
    pub(crate) fn finalize(&self, value: &V) -> Result<Value> {
        self.finish_value(value, 0)
    }

    fn finish_value(&self, value: &V, depth: usize) -> Result<Value> {
        self.check_stack()?;
        if depth > 200 {
            return Err(Error::runtime("a value contains itself, or is nested too deep"));
        }
        let sequence = |items: &[V]| -> Result<Value> {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                match self.finish_value(item, depth + 1)? {
                    Value::Omit => {}
                    item => out.push(item),
                }
            }
            Ok(Value::list(out))
        };
        Ok(match value {
            V::Undefined(error) => return Err((**error).clone()),
            V::Null => Value::Null,
            V::Bool(flag) => Value::Bool(*flag),
            V::Int(number) => Value::Int(*number),
            V::Big(number) => Value::Big(Arc::clone(number)),
            V::Float(number) => Value::Float(*number),
            V::Str(text) => {
                let text = if text.is_markup() { text.clone().markup(false) } else { text.clone() };
                Value::Str(if text.is_template() { text.untrusted() } else { text })
            }
            V::List(list) => match list.untouched() {
                Some((base, realm)) => self.finish_shared(&Value::List(base), &realm, depth)?,
                None => sequence(&list.items(self)?)?,
            },
            V::Tuple(items) => sequence(items)?,
            V::Dict(map) => match map.untouched() {
                Some((base, realm)) => self.finish_shared(&Value::Dict(base), &realm, depth)?,
                None => {
                    let mut out = Dict::with_capacity(map.len());
                    for (key, value) in map.entries(self)? {
                        match self.finish_value(&value, depth + 1)? {
                            Value::Omit => {}
                            value => drop(out.insert(key, value)),
                        }
                    }
                    Value::dict(out)
                }
            },
            V::Object(object) => {
                let mut out = Dict::new();
                for key in object.keys() {
                    if let Some(var) = object.get(&key)? {
                        let value = self.bound(var, &Realm::Root)?;
                        out.insert(key, self.finish_value(&value, depth + 1)?);
                    }
                }
                Value::dict(out)
            }
            V::Omit => Value::Omit,
            V::Lazy(lazy) => return self.finish_value(&self.adopt(&lazy.0, &lazy.1)?, depth),
            V::Native(native) => match &**native {
                Native::Group(key, items) => sequence(&[key.clone(), items.clone()])?,
                Native::Date(date) => Value::from(date.to_string()),
                Native::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
                _ => return Err(unsupported(value)),
            },
            V::Range(_) => return Err(unsupported(value)),
        })
    }

    /// A shared value with the templates inside rendered; the very same where there are none.
    pub(crate) fn finish_shared(&self, value: &Value, realm: &Realm, depth: usize) -> Result<Value> {
        self.check_stack()?;
        if depth > 200 {
            return Err(Error::runtime("a value contains itself, or is nested too deep"));
        }
        if !has_work(value, matches!(realm, Realm::Done)) {
            return Ok(value.clone());
        }
        Ok(match value {
            Value::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items.iter() {
                    match self.finish_shared(item, realm, depth + 1)? {
                        Value::Omit => {}
                        item => out.push(item),
                    }
                }
                Value::list(out)
            }
            Value::Dict(entries) => {
                let mut out = Dict::with_capacity(entries.len());
                for (key, value) in entries.iter() {
                    match self.finish_shared(value, realm, depth + 1)? {
                        Value::Omit => {}
                        value => drop(out.insert(key.clone(), value)),
                    }
                }
                Value::dict(out)
            }
            other => {
                let found = self.adopt(other, realm)?;
                self.finish_value(&found, depth + 1)?
            }
        })
    }
}

/// Whether anything inside has to be rendered, decrypted or taken out.
fn has_work(value: &Value, done: bool) -> bool {
    match value {
        Value::Str(text) => text.is_template() || (done && text.is_markup()),
        Value::Vault(_) => true,
        Value::List(items) => items.iter().any(|item| matches!(item, Value::Omit) || has_work(item, done)),
        Value::Dict(entries) => {
            entries.values().any(|value| matches!(value, Value::Omit) || has_work(value, done))
        }
        _ => false,
    }
}

fn unsupported(value: &V) -> Error {
    let name = match value {
        V::Native(native) => match &**native {
            Native::Global(global) => global.type_name,
            other => other.type_name(),
        },
        other => other.type_name(),
    };
    Error::new(Kind::Runtime, format!("Type '{name}' is unsupported for variable storage."))
}
