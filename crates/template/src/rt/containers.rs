//! Lists and mappings: shared with the caller until changed, rendered element by element.

use super::V;
use crate::error::Result;
use crate::eval::Vm;
use crate::host::Scope;
use indexmap::IndexMap;
use quorate_value::{Dict, Key, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// In which variables the templates inside a shared value are rendered.
#[derive(Clone)]
pub(crate) enum Realm {
    /// In none: the value is finished.
    Done,
    /// In none, for a template that is included or imported without context.
    Nothing,
    /// In the scope of the running template.
    Root,
    /// In another scope, such as another host's.
    Foreign(Rc<dyn Scope>),
}

/// A list that may change while others hold it.
pub(crate) struct List(RefCell<Items>);

enum Items {
    Own(Vec<V>),
    Shared { base: Arc<Vec<Value>>, realm: Realm, seen: HashMap<usize, V> },
}

/// A mapping that may change while others hold it.
pub(crate) struct Map(RefCell<Entries>);

enum Entries {
    Own(IndexMap<Key, V>),
    Shared { base: Arc<Dict>, realm: Realm, seen: HashMap<usize, V> },
}

/// A list that never changes.
pub(crate) struct Tuple(Vec<V>);

impl Tuple {
    pub(crate) fn new(items: Vec<V>) -> Self {
        Tuple(items)
    }
}

impl std::ops::Deref for Tuple {
    type Target = [V];
    fn deref(&self) -> &[V] {
        &self.0
    }
}

thread_local! {
    /// Values waiting to be dropped, while somebody is dropping them.
    static DYING: RefCell<Option<Vec<V>>> = const { RefCell::new(None) };
}

/// Drops values one after the other, not inside each other: a value may nest deeper than the stack.
pub(crate) fn bury(values: impl Iterator<Item = V>) {
    let nests =
        |value: &V| matches!(value, V::List(_) | V::Tuple(_) | V::Dict(_) | V::Native(_) | V::Lazy(_));
    let mut values = values.filter(nests).peekable();
    if values.peek().is_none() {
        return;
    }
    let first = DYING.with_borrow_mut(|dying| match dying {
        Some(waiting) => {
            waiting.extend(values);
            false
        }
        None => {
            *dying = Some(values.collect());
            true
        }
    });
    if !first {
        return;
    }
    while let Some(value) = DYING.with_borrow_mut(|dying| dying.as_mut().and_then(Vec::pop)) {
        drop(value);
    }
    DYING.set(None);
}

impl Drop for Tuple {
    fn drop(&mut self) {
        bury(self.0.drain(..));
    }
}

impl Drop for List {
    fn drop(&mut self) {
        match self.0.get_mut() {
            Items::Own(items) => bury(items.drain(..)),
            Items::Shared { seen, .. } => bury(seen.drain().map(|(_, value)| value)),
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        match self.0.get_mut() {
            Entries::Own(entries) => bury(entries.drain(..).map(|(_, value)| value)),
            Entries::Shared { seen, .. } => bury(seen.drain().map(|(_, value)| value)),
        }
    }
}

/// Whether an element has to be kept once looked at: because it is costly to render, or can change.
fn keep(value: &V) -> bool {
    matches!(value, V::List(_) | V::Dict(_))
}

/// An element as it goes into a container of its own: not yet rendered.
fn unseen(value: &Value, realm: &Realm) -> V {
    match value {
        Value::Str(text) if text.is_template() && !matches!(realm, Realm::Done) => {
            V::Lazy(Rc::new((value.clone(), realm.clone())))
        }
        Value::Vault(_) => V::Lazy(Rc::new((value.clone(), realm.clone()))),
        Value::List(items) => V::List(Rc::new(List::shared(Arc::clone(items), realm.clone()))),
        Value::Dict(entries) => V::Dict(Rc::new(Map::shared(Arc::clone(entries), realm.clone()))),
        other => V::done(other),
    }
}

impl List {
    pub(crate) fn own(items: Vec<V>) -> Self {
        List(RefCell::new(Items::Own(items)))
    }

    pub(crate) fn shared(base: Arc<Vec<Value>>, realm: Realm) -> Self {
        List(RefCell::new(Items::Shared { base, realm, seen: HashMap::new() }))
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.0.borrow() {
            Items::Own(items) => items.len(),
            Items::Shared { base, .. } => base.len(),
        }
    }

    /// The element, rendered; undefined elements come as such.
    pub(crate) fn get(&self, vm: &Vm, index: usize) -> Result<Option<V>> {
        let (value, realm) = match &*self.0.borrow() {
            Items::Own(items) => match items.get(index) {
                Some(V::Lazy(lazy)) => (lazy.0.clone(), lazy.1.clone()),
                found => return found.cloned().map(|found| vm.element(found)).transpose(),
            },
            Items::Shared { base, realm, seen } => match (seen.get(&index), base.get(index)) {
                (Some(found), _) => return vm.element(found.clone()).map(Some),
                (None, None) => return Ok(None),
                (None, Some(value)) => (value.clone(), realm.clone()),
            },
        };
        let costly = matches!(&value, Value::Vault(_)) || matches!(&value, Value::Str(s) if s.is_template());
        let found = vm.adopt(&value, &realm)?;
        if costly || keep(&found) {
            match &mut *self.0.borrow_mut() {
                Items::Own(items) => {
                    if let Some(slot) = items.get_mut(index) {
                        *slot = found.clone();
                    }
                }
                Items::Shared { seen, .. } => drop(seen.insert(index, found.clone())),
            }
        }
        vm.element(found).map(Some)
    }

    /// All elements, rendered.
    pub(crate) fn items(&self, vm: &Vm) -> Result<Vec<V>> {
        if let Items::Own(items) = &*self.0.borrow()
            && !items.iter().any(|item| matches!(item, V::Lazy(_) | V::Undefined(_)))
        {
            return Ok(items.clone());
        }
        let length = self.len();
        let mut out = Vec::with_capacity(length);
        for index in 0..length {
            out.extend(self.get(vm, index)?);
        }
        Ok(out)
    }

    /// Changes the elements; from here on they are its own.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Vec<V>) -> T) -> T {
        let mut state = self.0.borrow_mut();
        if let Items::Shared { base, realm, seen } = &mut *state {
            let own = base
                .iter()
                .enumerate()
                .map(|(i, value)| seen.remove(&i).unwrap_or_else(|| unseen(value, realm)))
                .collect();
            *state = Items::Own(own);
        }
        match &mut *state {
            Items::Own(items) => change(items),
            Items::Shared { .. } => change(&mut Vec::new()),
        }
    }

    /// The shared value, if nobody changed or rendered anything in it.
    pub(crate) fn untouched(&self) -> Option<(Arc<Vec<Value>>, Realm)> {
        match &*self.0.borrow() {
            Items::Shared { base, realm, seen } if seen.is_empty() => Some((Arc::clone(base), realm.clone())),
            _ => None,
        }
    }
}

impl Map {
    pub(crate) fn own(entries: IndexMap<Key, V>) -> Self {
        Map(RefCell::new(Entries::Own(entries)))
    }

    pub(crate) fn shared(base: Arc<Dict>, realm: Realm) -> Self {
        Map(RefCell::new(Entries::Shared { base, realm, seen: HashMap::new() }))
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.0.borrow() {
            Entries::Own(entries) => entries.len(),
            Entries::Shared { base, .. } => base.len(),
        }
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        match &*self.0.borrow() {
            Entries::Own(entries) => entries.contains_key(key),
            Entries::Shared { base, .. } => base.get_key(key).is_some(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        match &*self.0.borrow() {
            Entries::Own(entries) => entries.keys().cloned().collect(),
            Entries::Shared { base, .. } => base.keys().cloned().collect(),
        }
    }

    /// The value at a text key, rendered.
    pub(crate) fn get_str(&self, vm: &Vm, key: &str) -> Result<Option<V>> {
        let index = match &*self.0.borrow() {
            Entries::Own(entries) => entries.get_index_of(key),
            Entries::Shared { base, .. } => base.index_of(key),
        };
        index.map_or(Ok(None), |index| self.at(vm, index))
    }

    /// The value at a key, rendered.
    pub(crate) fn get(&self, vm: &Vm, key: &Key) -> Result<Option<V>> {
        let index = match &*self.0.borrow() {
            Entries::Own(entries) => entries.get_index_of(key),
            Entries::Shared { base, .. } => base.index_of_key(key),
        };
        index.map_or(Ok(None), |index| self.at(vm, index))
    }

    fn at(&self, vm: &Vm, index: usize) -> Result<Option<V>> {
        let (value, realm) = match &*self.0.borrow() {
            Entries::Own(entries) => match entries.get_index(index) {
                Some((_, V::Lazy(lazy))) => (lazy.0.clone(), lazy.1.clone()),
                found => return found.map(|(_, value)| vm.element(value.clone())).transpose(),
            },
            Entries::Shared { base, realm, seen } => match (seen.get(&index), base.at(index)) {
                (Some(found), _) => return vm.element(found.clone()).map(Some),
                (None, None) => return Ok(None),
                (None, Some((_, value))) => (value.clone(), realm.clone()),
            },
        };
        let costly = matches!(&value, Value::Vault(_)) || matches!(&value, Value::Str(s) if s.is_template());
        let found = vm.adopt(&value, &realm)?;
        if costly || keep(&found) {
            match &mut *self.0.borrow_mut() {
                Entries::Own(entries) => {
                    if let Some((_, slot)) = entries.get_index_mut(index) {
                        *slot = found.clone();
                    }
                }
                Entries::Shared { seen, .. } => drop(seen.insert(index, found.clone())),
            }
        }
        vm.element(found).map(Some)
    }

    /// All entries, rendered.
    pub(crate) fn entries(&self, vm: &Vm) -> Result<Vec<(Key, V)>> {
        let keys = self.keys();
        let mut out = Vec::with_capacity(keys.len());
        for (index, key) in keys.into_iter().enumerate() {
            if let Some(value) = self.at(vm, index)? {
                out.push((key, value));
            }
        }
        Ok(out)
    }

    /// Changes the entries; from here on they are its own.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut IndexMap<Key, V>) -> T) -> T {
        let mut state = self.0.borrow_mut();
        if let Entries::Shared { base, realm, seen } = &mut *state {
            let own = base
                .iter()
                .enumerate()
                .map(|(i, (key, value))| {
                    (key.clone(), seen.remove(&i).unwrap_or_else(|| unseen(value, realm)))
                })
                .collect();
            *state = Entries::Own(own);
        }
        match &mut *state {
            Entries::Own(entries) => change(entries),
            Entries::Shared { .. } => change(&mut IndexMap::new()),
        }
    }

    /// The shared value, if nobody changed or rendered anything in it.
    pub(crate) fn untouched(&self) -> Option<(Arc<Dict>, Realm)> {
        match &*self.0.borrow() {
            Entries::Shared { base, realm, seen } if seen.is_empty() => {
                Some((Arc::clone(base), realm.clone()))
            }
            _ => None,
        }
    }
}
