//! Nodes: what a document says and where it says it.

use crate::ScalarStyle;
use indexmap::IndexMap;
use quorate_value::{Dict, Key, Span, Str, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// One value in a document. Cloning is cheap: contents are shared, also between an anchor and its aliases.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it starts (at its tag or anchor, if it has one).
    pub span: Span,
    /// The place just behind it.
    pub end: Span,
    /// The tag as resolved, where one is written: `!vault`, `!unsafe`, `tag:yaml.org,2002:str`.
    pub tag: Option<Arc<str>>,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Text, a number, a boolean, null.
    Scalar(Scalar),
    /// `- a` or `[a]`.
    Sequence(Sequence),
    /// `a: b` or `{a: b}`.
    Mapping(Mapping),
}

/// A scalar, resolved as YAML 1.1.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The value. Text is trusted unless `!unsafe` (or the options) say otherwise; `!vault` is [`Value::Vault`].
    pub value: Value,
    /// How it is written.
    pub style: ScalarStyle,
    /// The text as written, where the value is not that text.
    pub(crate) written: Option<Arc<str>>,
}

impl Scalar {
    /// The text as written, quotes and escapes undone: `0644` for what is 420 as a value.
    pub fn text(&self) -> &str {
        match (&self.written, &self.value) {
            (Some(text), _) => text,
            (None, Value::Str(text) | Value::Vault(text)) => text,
            (None, _) => "",
        }
    }
}

/// How many nodes hang below, and how deep; counted with aliases followed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) nodes: u64,
    pub(crate) height: u32,
}

/// The items of a sequence. Dereferences to a slice.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub(crate) items: Arc<Vec<Node>>,
    pub(crate) size: Size,
}

impl std::ops::Deref for Sequence {
    type Target = [Node];
    fn deref(&self) -> &[Node] {
        &self.items
    }
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key as written; where it stands twice, the one that wins.
    pub key: Node,
    /// The value.
    pub value: Node,
}

/// The entries of a mapping in order; merge keys are already followed, duplicates already settled.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(crate) entries: Arc<IndexMap<Key, Entry>>,
    pub(crate) size: Size,
}

impl Mapping {
    /// The value at a text key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Key and value nodes at a text key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Keys with their nodes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Node {
    /// What people call it: `a mapping`, `a list`, `text`, `a number`, …
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            NodeKind::Mapping(_) => "a mapping",
            NodeKind::Sequence(_) => "a list",
            NodeKind::Scalar(scalar) => match &scalar.value {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                Value::Int(_) | Value::Big(_) => "an integer",
                Value::Float(_) => "a number",
                Value::Vault(_) => "an encrypted value",
                _ => "text",
            },
        }
    }

    /// The mapping, if it is one.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.kind {
            NodeKind::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The items, if it is a sequence.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            NodeKind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text, if its value is text.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text().map(Str::as_str)
    }

    /// The text with its marks, if its value is text.
    pub fn as_text(&self) -> Option<&Str> {
        self.as_scalar()?.value.as_text()
    }

    /// Whether its value is null.
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(|scalar| scalar.value.is_null())
    }

    /// The value at a text key, if this is a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// The value that Ansible would load. What is shared by aliases in the document is shared in the value.
    ///
    /// `!!set` becomes the list of its members, `!!omap` and `!!pairs` a list of pairs.
    pub fn to_value(&self) -> Value {
        self.value(&mut HashMap::new())
    }

    fn value(&self, seen: &mut HashMap<(usize, bool), Value>) -> Value {
        let (address, shared) = match &self.kind {
            NodeKind::Scalar(scalar) => return scalar.value.clone(),
            NodeKind::Sequence(items) => {
                (Arc::as_ptr(&items.items) as usize, Arc::strong_count(&items.items) > 1)
            }
            NodeKind::Mapping(mapping) => {
                (Arc::as_ptr(&mapping.entries) as usize, Arc::strong_count(&mapping.entries) > 1)
            }
        };
        let special = matches!(self.tag.as_deref(), Some(tag::SET | tag::OMAP | tag::PAIRS));
        if shared && let Some(value) = seen.get(&(address, special)) {
            return value.clone();
        }
        let value = match &self.kind {
            NodeKind::Scalar(scalar) => scalar.value.clone(),
            NodeKind::Mapping(mapping) if special => mapping.iter().map(|(key, _)| key.to_value()).collect(),
            NodeKind::Mapping(mapping) => Value::dict(
                mapping.iter().map(|(key, entry)| (key.clone(), entry.value.value(seen))).collect::<Dict>(),
            ),
            NodeKind::Sequence(items) if special => {
                let pairs = items.iter().filter_map(Node::as_mapping).flat_map(Mapping::iter);
                pairs.map(|(key, entry)| Value::list([key.to_value(), entry.value.value(seen)])).collect()
            }
            NodeKind::Sequence(items) => items.iter().map(|item| item.value(seen)).collect(),
        };
        if shared {
            seen.insert((address, special), value.clone());
        }
        value
    }

    pub(crate) fn size(&self) -> Size {
        match &self.kind {
            NodeKind::Scalar(_) => Size { nodes: 1, height: 1 },
            NodeKind::Sequence(items) => items.size,
            NodeKind::Mapping(mapping) => mapping.size,
        }
    }
}

/// Tags by name.
pub(crate) mod tag {
    pub(crate) const PREFIX: &str = "tag:yaml.org,2002:";
    pub(crate) const SET: &str = "tag:yaml.org,2002:set";
    pub(crate) const OMAP: &str = "tag:yaml.org,2002:omap";
    pub(crate) const PAIRS: &str = "tag:yaml.org,2002:pairs";
    pub(crate) const VAULT: &str = "!vault";
    pub(crate) const VAULT_OLD: &str = "!vault-encrypted";
    pub(crate) const UNSAFE: &str = "!unsafe";
}
