//! Events to nodes: tags, anchors, merge keys, duplicates, limits.
//!
//! In: text and options. Out: documents with warnings, or every mistake found.
//!
//! **Invariant:** no document can make more than [`MAX_NODES`] values of fewer bytes, nor nest deeper than [`MAX_DEPTH`],
//! aliases followed; so whoever walks nodes or values may recurse.
//!
//! Not here: what scalars mean (`scalar`), what to advise on broken syntax (`hint`).

use crate::error::{Warning, YamlError};
use crate::hint;
use crate::libyaml::{Event, EventKind, Mark, Parser, Properties, ScalarStyle};
use crate::node::{Entry, Mapping, Node, NodeKind, Scalar, Sequence, Size, tag};
use crate::scalar::{self, Kind};
use indexmap::IndexMap;
use quorate_value::{FileId, Key, Span, Str, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// How deep nodes may nest. PyYAML gives up at about 300 (Python's recursion limit).
pub const MAX_DEPTH: u32 = 256;

/// How many nodes aliases may make of a document ("billion laughs").
pub const MAX_NODES: u64 = 5_000_000;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct ParseOptions {
    /// Whether text may be rendered as a template: yes for files that people own, no for what hosts and commands say.
    pub trusted: bool,
    /// Whether `!vault` and `!unsafe` are known. Without, they are errors like every unknown tag.
    pub local_tags: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions { trusted: true, local_tags: true }
    }
}

/// A document and what is odd about it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The value; null for an empty text.
    pub root: Node,
    /// What works but is probably not meant.
    pub warnings: Vec<Warning>,
}

/// Reads all documents of a text.
pub(crate) fn documents(text: &str, file: FileId, options: ParseOptions) -> Result<Vec<Document>, YamlError> {
    Composer::new(text, file, options).stream(false)
}

/// Reads the one document of a text.
pub(crate) fn single(text: &str, file: FileId, options: ParseOptions) -> Result<Document, YamlError> {
    if options.trusted
        && options.local_tags
        && let Some(root) = crate::quick::read(text, file)
    {
        return Ok(Document { root, warnings: Vec::new() });
    }
    composed(text, file, options)
}

/// The same, always with libyaml.
pub(crate) fn composed(text: &str, file: FileId, options: ParseOptions) -> Result<Document, YamlError> {
    let mut documents = Composer::new(text, file, options).stream(true)?;
    Ok(documents.pop().unwrap_or_else(|| {
        let span = Span::new(file, 1, 1);
        let scalar = Scalar { value: Value::Null, style: ScalarStyle::Plain, written: None };
        let root = Node { span, end: span, tag: None, kind: NodeKind::Scalar(scalar) };
        Document { root, warnings: Vec::new() }
    }))
}

struct Anchor {
    span: Span,
    /// Nothing while the anchored node is being read: then an alias to it would contain itself.
    node: Option<Node>,
}

struct Composer<'a> {
    parser: Parser<'a>,
    text: &'a str,
    file: FileId,
    options: ParseOptions,
    anchors: HashMap<String, Anchor>,
    /// Nodes that only exist because aliases repeat them.
    repeated: u64,
    warnings: Vec<Warning>,
    errors: Vec<YamlError>,
}

/// A collection whose end is still to come. They wait on a stack of their own, so that depth costs no thread its stack.
struct Frame {
    start: Mark,
    anchor: Option<String>,
    tag: Option<Arc<str>>,
    /// Below `!unsafe`.
    untrusted: bool,
    size: Size,
    open: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping { merged: Vec<Mapping>, own: IndexMap<Key, Entry>, slot: Slot },
}

/// What a mapping waits for.
enum Slot {
    Key,
    Value(Node),
    /// The value of `<<`.
    Merge,
}

impl<'a> Composer<'a> {
    fn new(text: &'a str, file: FileId, options: ParseOptions) -> Self {
        // Columns count from behind the byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Composer {
            parser: Parser::new(text),
            text,
            file,
            options,
            anchors: HashMap::new(),
            repeated: 0,
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn span(&self, mark: Mark) -> Span {
        Span::new(self.file, mark.line.saturating_add(1), mark.column.saturating_add(1))
    }

    fn next(&mut self) -> Result<Event, YamlError> {
        self.parser.next().map_err(|problem| hint::explain(&problem, self.text, self.file))
    }

    fn stream(mut self, single: bool) -> Result<Vec<Document>, YamlError> {
        let mut documents: Vec<Document> = Vec::new();
        let mut first_at = None;
        let result = loop {
            let event = match self.next() {
                Ok(event) => event,
                Err(error) => break Err(error),
            };
            match event.kind {
                EventKind::StreamEnd => break Ok(()),
                EventKind::DocumentStart => {
                    let at = self.span(event.start);
                    if single && let Some(first) = first_at {
                        break Err(YamlError::new(at, "a second document starts here, but one is expected")
                            .context(first, "the first document starts here")
                            .hint("Keep one `---` a file, at its start."));
                    }
                    first_at.get_or_insert(at);
                    self.anchors.clear();
                    match self.document() {
                        Ok(root) => {
                            let warnings = std::mem::take(&mut self.warnings);
                            documents.push(Document { root, warnings });
                        }
                        Err(error) => break Err(error),
                    }
                }
                _ => {}
            }
        };
        // Broken syntax comes last in the text, but what was found before it is worth knowing in the same run.
        self.errors.extend(result.err());
        match YamlError::all(self.errors) {
            Some(error) => Err(error),
            None => Ok(documents),
        }
    }

    fn document(&mut self) -> Result<Node, YamlError> {
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let Event { kind, start, end } = self.next()?;
            let span = self.span(start);
            let depth = frames.len() as u32 + 1;
            let untrusted = frames.last().map_or(!self.options.trusted, |frame| frame.untrusted);
            let slot = match frames.last_mut().map(|frame| &mut frame.open) {
                Some(Open::Mapping { slot, .. }) => Some(slot),
                _ => None,
            };
            if let Some(slot @ Slot::Key) = slot
                && is_merge(&kind)
            {
                *slot = Slot::Merge;
                continue;
            }
            let is_key =
                matches!(frames.last(), Some(Frame { open: Open::Mapping { slot: Slot::Key, .. }, .. }));
            let node = match kind {
                EventKind::SequenceStart(_) | EventKind::MappingStart(_) if depth > MAX_DEPTH => {
                    return Err(Self::too_deep(span));
                }
                EventKind::SequenceStart(properties) => {
                    frames.push(self.open(properties, start, untrusted, false)?);
                    continue;
                }
                EventKind::MappingStart(properties) => {
                    frames.push(self.open(properties, start, untrusted, true)?);
                    continue;
                }
                EventKind::SequenceEnd | EventKind::MappingEnd => match frames.pop() {
                    Some(frame) => self.close(frame, end)?,
                    None => return Err(YamlError::new(span, "a value is expected here")),
                },
                EventKind::Alias(name) => self.alias(&name, start, end, depth)?,
                EventKind::Scalar { properties: Properties { anchor, tag }, text, implicit, style } => {
                    self.declare(anchor.as_deref(), span)?;
                    // `!` alone is no tag: it leaves the choice to the text.
                    let tag = tag.filter(|tag| tag != "!").map(Arc::<str>::from);
                    let untrusted = untrusted || tag.as_deref() == Some(tag::UNSAFE);
                    let value = if is_key && implicit && text == "=" {
                        // `=` means itself where it is a key.
                        Ok(self.text("=", span, untrusted))
                    } else {
                        self.scalar(tag.as_deref(), &text, implicit, span, untrusted)
                    };
                    let value = value.unwrap_or_else(|error| {
                        self.errors.push(error);
                        Value::Null
                    });
                    let written = match &value {
                        Value::Str(it) | Value::Vault(it) if it.as_str() == text => None,
                        _ => Some(Arc::from(text)),
                    };
                    let kind = NodeKind::Scalar(Scalar { value, style, written });
                    let node = Node { span, end: self.span(end), tag, kind };
                    self.define(anchor, &node);
                    node
                }
                _ => return Err(YamlError::new(span, "a value is expected here")),
            };
            match frames.last_mut() {
                None => return Ok(node),
                Some(frame) => self.place(frame, node),
            }
        }
    }

    fn too_deep(span: Span) -> YamlError {
        YamlError::new(span, format!("more than {MAX_DEPTH} levels of nesting"))
    }

    fn open(
        &mut self,
        properties: Properties,
        start: Mark,
        untrusted: bool,
        mapping: bool,
    ) -> Result<Frame, YamlError> {
        let Properties { anchor, tag } = properties;
        let span = self.span(start);
        self.declare(anchor.as_deref(), span)?;
        let tag = self.collection_tag(tag, mapping, span);
        let untrusted = untrusted || tag.as_deref() == Some(tag::UNSAFE);
        let open = if mapping {
            Open::Mapping { merged: Vec::new(), own: IndexMap::new(), slot: Slot::Key }
        } else {
            Open::Sequence(Vec::new())
        };
        Ok(Frame { start, anchor, tag, untrusted, size: Size { nodes: 1, height: 0 }, open })
    }

    /// Puts a node where its collection waits for one.
    fn place(&mut self, frame: &mut Frame, node: Node) {
        frame.size.add(node.size());
        match &mut frame.open {
            Open::Sequence(items) => items.push(node),
            Open::Mapping { merged, own, slot } => match std::mem::replace(slot, Slot::Key) {
                Slot::Key => *slot = Slot::Value(node),
                Slot::Merge => self.merge(&node, merged),
                Slot::Value(key) => {
                    let Some(name) = self.hashable(&key, frame.start) else { return };
                    let second = key.span;
                    if let Some(first) = own.insert(name.clone(), Entry { key, value: node }) {
                        self.warnings.push(Warning::DuplicateKey {
                            key: quorate_value::str_of(&name.to_value()),
                            first: first.key.span,
                            second,
                        });
                    }
                }
            },
        }
    }

    fn close(&mut self, frame: Frame, end: Mark) -> Result<Node, YamlError> {
        let Frame { start, anchor, tag, mut size, open, .. } = frame;
        let span = self.span(start);
        size.height += 1;
        let kind = match open {
            Open::Sequence(items) => {
                let pairs = matches!(tag.as_deref(), Some(tag::OMAP | tag::PAIRS));
                if pairs && items.iter().any(|item| item.as_mapping().is_none_or(|pair| pair.len() != 1)) {
                    let message = "every item of this list must be a mapping of one key";
                    self.errors.push(YamlError::new(span, message));
                }
                NodeKind::Sequence(Sequence { items: Arc::new(items), size })
            }
            Open::Mapping { merged, own, .. } => {
                let entries = if merged.is_empty() {
                    own
                } else {
                    let mut entries = IndexMap::new();
                    for mapping in &merged {
                        self.repeat(mapping.len() as u64, span)?;
                        entries
                            .extend(mapping.entries.iter().map(|(key, entry)| (key.clone(), entry.clone())));
                    }
                    // What the mapping says itself wins; merged keys keep their places, as in PyYAML.
                    entries.extend(own);
                    entries
                };
                NodeKind::Mapping(Mapping { entries: Arc::new(entries), size })
            }
        };
        let node = Node { span, end: self.span(end), tag, kind };
        self.define(anchor, &node);
        Ok(node)
    }

    /// An anchor is known from its start, so that an alias inside can be told from one to nothing.
    fn declare(&mut self, name: Option<&str>, span: Span) -> Result<(), YamlError> {
        let Some(name) = name else { return Ok(()) };
        match self.anchors.insert(name.to_owned(), Anchor { span, node: None }) {
            None => Ok(()),
            Some(first) => Err(YamlError::new(span, format!("the anchor `&{name}` is already taken"))
                .context(first.span, "it is set here first")
                .hint("Give one of the two another name.")),
        }
    }

    fn define(&mut self, name: Option<String>, node: &Node) {
        if let Some(anchor) = name.and_then(|name| self.anchors.get_mut(&name)) {
            anchor.node = Some(node.clone());
        }
    }

    fn alias(&mut self, name: &str, start: Mark, end: Mark, depth: u32) -> Result<Node, YamlError> {
        let span = self.span(start);
        let Some(anchor) = self.anchors.get(name) else {
            let known = self.anchors.keys().map(String::as_str);
            let near: Vec<_> = crate::nearest(name, known).into_iter().map(|n| format!("`*{n}`")).collect();
            let hint = if near.is_empty() {
                format!("Set it with `&{name}` above, or put text that starts with `*` in quotes.")
            } else {
                format!("Did you mean {}?", near.join(" or "))
            };
            return Err(YamlError::new(span, format!("no anchor is named `&{name}`")).hint(hint));
        };
        let Some(node) = &anchor.node else {
            return Err(YamlError::new(span, format!("`*{name}` stands inside what it names"))
                .context(anchor.span, "the anchor is here"));
        };
        let mut node = node.clone();
        let size = node.size();
        if depth + size.height > MAX_DEPTH + 1 {
            return Err(Self::too_deep(span));
        }
        self.repeat(size.nodes, span)?;
        node.end = self.span(end);
        node.span = span;
        Ok(node)
    }

    fn repeat(&mut self, nodes: u64, span: Span) -> Result<(), YamlError> {
        self.repeated = self.repeated.saturating_add(nodes);
        if self.repeated > MAX_NODES {
            return Err(YamlError::new(
                span,
                format!("the aliases of this file make more than {MAX_NODES} values"),
            )
            .hint("Files like this are made to exhaust memory; write the values out."));
        }
        Ok(())
    }

    fn hashable(&mut self, key: &Node, mapping: Mark) -> Option<Key> {
        let name = key.as_scalar().and_then(|scalar| Key::of(&scalar.value));
        if name.is_none() {
            let error = YamlError::new(key.span, format!("{} cannot be a key", key.describe()));
            // `{{ x }}` reads as a mapping whose only key is the mapping `{x: null}`.
            let outer = self.span(mapping);
            let template = key.span.line == outer.line && key.span.column == outer.column + 1;
            self.errors.push(if template && key.as_mapping().is_some() {
                let written = hint::template_at(self.text, mapping.line as usize, mapping.column as usize);
                YamlError::new(outer, "a value that starts with `{{` must be in quotes")
                    .hint(format!("Write \"{written}\"."))
            } else {
                error
            });
        }
        name
    }

    fn merge(&mut self, value: &Node, merged: &mut Vec<Mapping>) {
        let wrong = |node: &Node| {
            let message =
                format!("`<<` merges a mapping or a list of mappings, but this is {}", node.describe());
            YamlError::new(node.span, message)
        };
        match &value.kind {
            NodeKind::Mapping(mapping) => merged.push(mapping.clone()),
            NodeKind::Sequence(items) => {
                // The first of the list wins, so it is merged last.
                for item in items.iter().rev() {
                    match item.as_mapping() {
                        Some(mapping) => merged.push(mapping.clone()),
                        None => self.errors.push(wrong(item)),
                    }
                }
            }
            NodeKind::Scalar(_) => self.errors.push(wrong(value)),
        }
    }

    fn text(&self, text: &str, span: Span, untrusted: bool) -> Value {
        let text = Str::written(text, span);
        Value::Str(if untrusted { text.untrusted() } else { text })
    }

    fn unknown_tag(tag: &str, span: Span) -> YamlError {
        let shown = tag.strip_prefix(tag::PREFIX).map_or_else(|| tag.to_owned(), |name| format!("!!{name}"));
        YamlError::new(span, format!("the tag `{shown}` is not known"))
            .hint("Known tags are `!vault` and `!unsafe`; put text that starts with `!` in quotes.")
    }

    fn collection_tag(&mut self, tag: Option<String>, mapping: bool, span: Span) -> Option<Arc<str>> {
        let tag = tag.filter(|tag| tag != "!")?;
        let found = if mapping { "a mapping" } else { "a list" };
        let wrong =
            |wanted: &str| YamlError::new(span, format!("`{tag}` needs {wanted}, but this is {found}"));
        let error = match tag.strip_prefix(tag::PREFIX) {
            Some("map" | "set" | "python/dict") => (!mapping).then(|| wrong("a mapping")),
            Some("seq" | "omap" | "pairs") => mapping.then(|| wrong("a list")),
            Some("null" | "bool" | "int" | "float" | "timestamp" | "binary" | "str" | "python/unicode") => {
                Some(wrong("a scalar"))
            }
            _ if !self.options.local_tags => Some(Self::unknown_tag(&tag, span)),
            _ => match tag.as_str() {
                tag::UNSAFE => None,
                tag::VAULT | tag::VAULT_OLD => Some(wrong("text")),
                _ => Some(Self::unknown_tag(&tag, span)),
            },
        };
        self.errors.extend(error);
        if matches!(tag.as_str(), tag::OMAP | tag::PAIRS) {
            self.warnings.push(Warning::DeprecatedTag {
                tag: tag.replace(tag::PREFIX, "!!"),
                span,
                instead: "write a mapping",
            });
        }
        Some(Arc::from(tag))
    }

    fn scalar(
        &mut self,
        tag: Option<&str>,
        text: &str,
        implicit: bool,
        span: Span,
        untrusted: bool,
    ) -> Result<Value, YamlError> {
        let of_kind = |kind: Kind| match kind {
            Kind::Str => Ok(self.text(text, span, untrusted)),
            kind => scalar::construct(kind, text).map_err(|why| {
                let error = YamlError::new(span, format!("`{text}` is {why}"));
                if kind == Kind::Timestamp { error.hint("Put it in quotes if it is text.") } else { error }
            }),
        };
        let Some(tag) = tag else {
            return of_kind(if implicit { scalar::resolve(text) } else { Kind::Str });
        };
        match tag.strip_prefix(tag::PREFIX) {
            Some("null") => return of_kind(Kind::Null),
            Some("bool") => return of_kind(Kind::Bool),
            Some("int") => return of_kind(Kind::Int),
            Some("float") => return of_kind(Kind::Float),
            Some("timestamp") => return of_kind(Kind::Timestamp),
            Some("str" | "python/unicode") => return of_kind(Kind::Str),
            Some("binary") => {
                let bytes = scalar::base64(text)
                    .ok_or_else(|| YamlError::new(span, "this `!!binary` is not valid base64"))?;
                return String::from_utf8(bytes).map(|text| self.text(&text, span, untrusted)).map_err(
                    |_| {
                        YamlError::new(span, "this `!!binary` holds bytes that are no UTF-8 text")
                            .hint("Keep the base64 as text and decode it where it is used, with `b64decode`.")
                    },
                );
            }
            Some("map" | "set" | "python/dict") => {
                return Err(YamlError::new(span, format!("`{tag}` needs a mapping, but this is a scalar")));
            }
            Some("seq" | "omap" | "pairs") => {
                return Err(YamlError::new(span, format!("`{tag}` needs a list, but this is a scalar")));
            }
            _ => {}
        }
        if !self.options.local_tags {
            return Err(Self::unknown_tag(tag, span));
        }
        match tag {
            // Ansible resolves what is below these tags as if it were plain, quotes or not.
            tag::UNSAFE => of_kind(scalar::resolve(text)),
            tag::VAULT | tag::VAULT_OLD => {
                let value = of_kind(scalar::resolve(text));
                if tag == tag::VAULT_OLD {
                    let instead = "write `!vault`";
                    self.warnings.push(Warning::DeprecatedTag { tag: tag.to_owned(), span, instead });
                }
                match value {
                    Ok(Value::Str(text)) => Ok(Value::Vault(text)),
                    _ => Err(YamlError::new(span, format!("`{tag}` needs the text of a vault"))
                        .hint("Paste the output of `ansible-vault encrypt_string`, which starts with `$ANSIBLE_VAULT;`.")),
                }
            }
            _ => Err(Self::unknown_tag(tag, span)),
        }
    }
}

impl Size {
    /// Counts a child; the caller adds its own level at the end.
    pub(crate) fn add(&mut self, child: Size) {
        self.nodes = self.nodes.saturating_add(child.nodes);
        self.height = self.height.max(child.height);
    }
}

fn is_merge(kind: &EventKind) -> bool {
    match kind {
        EventKind::Scalar { properties, text, implicit, .. } => match properties.tag.as_deref() {
            None => *implicit && text == "<<",
            Some(tag) => tag.strip_prefix(tag::PREFIX) == Some("merge"),
        },
        _ => false,
    }
}
