//! Reading a mapping field by field, so that what nobody asked for can be named with its place.

use crate::{Entry, Mapping, Node, YamlError, did_you_mean, nearest};
use quorate_value::{Key, Span};

/// A key that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// The key as text.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Known names close to it, best first.
    pub similar: Vec<String>,
}

/// A mapping being read. Every name asked for counts as known; [`Fields::finish`] reports the others.
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    mapping: &'n Mapping,
    what: &'n str,
    known: Vec<&'n str>,
}

impl<'n> Fields<'n> {
    /// Starts to read; `what` names the thing in messages, with its article: `a play`.
    pub fn of(node: &'n Node, what: &'n str) -> Result<Self, YamlError> {
        let mapping = node.as_mapping().ok_or_else(|| {
            YamlError::new(node.span, format!("{what} is a mapping, but this is {}", node.describe()))
        })?;
        Ok(Fields { node, mapping, what, known: Vec::new() })
    }

    /// The mapping itself.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The value of a field, if it is there.
    pub fn get(&mut self, name: &'n str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// Key and value of a field, if it is there.
    pub fn entry(&mut self, name: &'n str) -> Option<&'n Entry> {
        self.know([name]);
        self.mapping.entry(name)
    }

    /// The value of a field that must be there.
    pub fn required(&mut self, name: &'n str) -> Result<&'n Node, YamlError> {
        let (node, what) = (self.node, self.what);
        self.get(name).ok_or_else(|| YamlError::new(node.span, format!("{what} needs `{name}`")))
    }

    /// The value of a field as a type; nothing where the field is absent or null.
    pub fn decode<T: serde::de::DeserializeOwned>(&mut self, name: &'n str) -> Result<Option<T>, YamlError> {
        self.get(name).filter(|node| !node.is_null()).map(Node::decode).transpose()
    }

    /// Makes names known without reading them.
    pub fn know(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            if !self.known.contains(&name) {
                self.known.push(name);
            }
        }
    }

    /// The entries that nobody asked for so far, in order.
    pub fn rest(&self) -> impl Iterator<Item = (&'n Key, &'n Entry)> {
        let known = self.known.clone();
        self.mapping.iter().filter(move |(key, _)| key.as_str().is_none_or(|name| !known.contains(&name)))
    }

    /// What nobody asked for, with the known names that are close.
    pub fn unknown(&self) -> Vec<UnknownField> {
        self.rest()
            .map(|(key, entry)| {
                let name = quorate_value::str_of(&key.to_value());
                let similar =
                    nearest(&name, self.known.iter().copied()).into_iter().map(str::to_owned).collect();
                UnknownField { name, span: entry.key.span, similar }
            })
            .collect()
    }

    /// Fails if there are fields that nobody asked for; one error names them all.
    pub fn finish(self) -> Result<(), YamlError> {
        let errors = self.unknown().into_iter().map(|field| {
            let error = YamlError::new(field.span, format!("{} has no `{}`", self.what, field.name));
            match did_you_mean(&field.name, self.known.iter().copied()) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        });
        YamlError::all(errors.collect()).map_or(Ok(()), Err)
    }
}
