//! Methods of mappings. What Python gives as a view comes as a list, as it does in ansible-core 2.19.

use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::ops;
use crate::rt::{Map, V};
use indexmap::IndexMap;
use quorate_value::Key;
use std::rc::Rc;

/// Sorted, for a binary search.
pub(super) const METHODS: [&str; 10] =
    ["clear", "copy", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

pub(super) fn call(vm: &Vm, map: &Rc<Map>, name: &str, args: Args) -> Result<V> {
    let key_of = |key: &V| vm.key(key);
    Ok(match name {
        "get" => {
            let [key, default] = args.bind("dict.get", ["key", "default"], 1)?;
            map.get(vm, &key_of(&key.unwrap_or(V::Null))?)?.or(default).unwrap_or(V::Null)
        }
        "items" => {
            args.bind::<0>("dict.items", [], 0)?;
            V::list(pairs(map.entries(vm)?))
        }
        "keys" => V::list(map.keys().iter().map(|key| V::done(&key.to_value())).collect()),
        "values" => V::list(map.entries(vm)?.into_iter().map(|(_, value)| value).collect()),
        "copy" => V::Dict(Rc::new(Map::own(map.entries(vm)?.into_iter().collect()))),
        "clear" => {
            map.change(IndexMap::clear);
            V::Null
        }
        "pop" => {
            let [key, default] = args.bind("dict.pop", ["key", "default"], 1)?;
            let key = key_of(&key.unwrap_or(V::Null))?;
            match (map.get(vm, &key)?, default) {
                (Some(found), _) => {
                    map.change(|entries| drop(entries.shift_remove(&key)));
                    found
                }
                (None, Some(default)) => default,
                (None, None) => return Err(Error::runtime(quorate_value::repr(&key.to_value()))),
            }
        }
        "popitem" => match map.entries(vm)?.pop() {
            Some((key, value)) => {
                map.change(|entries| drop(entries.pop()));
                V::pair(V::done(&key.to_value()), value)
            }
            None => return Err(Error::runtime("'popitem(): dictionary is empty'")),
        },
        "setdefault" => {
            let [key, default] = args.bind("dict.setdefault", ["key", "default"], 1)?;
            let key = key_of(&key.unwrap_or(V::Null))?;
            match map.get(vm, &key)? {
                Some(found) => found,
                None => {
                    let value = default.unwrap_or(V::Null);
                    map.change(|entries| drop(entries.insert(key, value.clone())));
                    value
                }
            }
        }
        "update" => {
            let Args { pos, named } = args;
            if pos.len() > 1 {
                return Err(Error::runtime(format!("update expected at most 1 argument, got {}", pos.len())));
            }
            let mut more = match pos.first() {
                Some(other) => ops::entries_of(vm, other)?,
                None => Vec::new(),
            };
            more.extend(named.into_iter().map(|(name, value)| (Key::Str(name), value)));
            map.change(|entries| entries.extend(more));
            V::Null
        }
        _ => return Err(Error::runtime(format!("'dict' object has no attribute '{name}'"))),
    })
}

/// Keys and values as pairs.
fn pairs(entries: Vec<(Key, V)>) -> Vec<V> {
    entries.into_iter().map(|(key, value)| V::pair(V::done(&key.to_value()), value)).collect()
}
