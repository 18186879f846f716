//! YAML as most people write it, read line by line without libyaml: block mappings and lists, scalars on one line, block
//! scalars, flow collections on one line.
//!
//! In: text. Out: the [`Node`] that `compose` makes of the same text, places included; or nothing, where something is not
//! that simple. What stands in between (tags, scalars and flow over several lines) goes to `compose` an entry at a time.
//!
//! **Invariant:** text that this reads is valid YAML, free of warnings, and both ways of reading agree on every node.
//! Checked by the tests below.

use crate::ScalarStyle;
use crate::compose::{self, ParseOptions};
use crate::node::{Entry, Mapping, Node, NodeKind, Scalar, Sequence, Size};
use crate::scalar::{self, Kind};
use crate::simple::{
    LONGEST_KEY, MAX_DEPTH, Quoted, characters_are_plain, is_comment_or_nothing, is_item, quoted,
};
use indexmap::IndexMap;
use memchr::memchr;
use quorate_value::{FileId, Key, Span, Str, Value};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Reads a text whose root is a mapping or a list; nothing where it is not simple enough.
pub(crate) fn read(text: &str, file: FileId) -> Option<Node> {
    // blanks or a comment without a line's end move what libyaml calls the end
    let last = text.rsplit('\n').next().unwrap_or_default().trim_start_matches(' ');
    let ends = text.is_empty() || text.ends_with('\n') || !(last.is_empty() || last.starts_with('#'));
    if !ends || !characters_are_plain(text) {
        return None;
    }
    let mut reader = Reader {
        text,
        ascii: text.is_ascii(),
        at: 0,
        number: 0,
        ahead: None,
        file,
        keys: HashMap::default(),
        size_hint: 4,
    };
    if let Some(line) = reader.peek_any()
        && line.indent == 0
        && line.text.strip_prefix("---").is_some_and(|rest| rest.bytes().all(|b| b == b' '))
    {
        reader.skip(&line);
    }
    let first = reader.peek()?;
    let node = if is_item(first.text) {
        reader.sequence(first.indent, false, 0)
    } else {
        reader.mapping(first.indent, 0)
    }?;
    reader.peek_any().is_none().then_some(node)
}

/// A line that says something, from its first character on; or what follows the dash of a list's item.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// The column of its first character.
    indent: usize,
    /// Lines before it.
    number: u32,
    /// Where the whole line starts, where `text` does, and where the next line does.
    start: usize,
    from: usize,
    next: usize,
}

/// Hashes the short keys of playbooks. Nobody can send many that collide: the keys are of one file that somebody wrote.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    ascii: bool,
    at: usize,
    /// Lines before `at`.
    number: u32,
    /// The next line, where somebody has looked already.
    ahead: Option<Line<'a>>,
    file: FileId,
    /// Keys seen, to share their text.
    keys: HashMap<&'a str, Arc<str>, BuildHasherDefault<Quick>>,
    /// How many entries the last mapping had: the next is often like it.
    size_hint: usize,
}

impl<'a> Reader<'a> {
    /// The next line that is neither blank nor a comment.
    fn peek_any(&mut self) -> Option<Line<'a>> {
        if self.ahead.is_some() {
            return self.ahead;
        }
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let mut from = self.at;
            while bytes.get(from) == Some(&b' ') {
                from += 1;
            }
            let end = memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |n| from + n);
            let next = (end + 1).min(bytes.len());
            if from == end || bytes[from] == b'#' {
                self.at = next;
                self.number += 1;
                continue;
            }
            let text = &self.text[from..end];
            self.ahead =
                Some(Line { text, indent: from - self.at, number: self.number, start: self.at, from, next });
            return self.ahead;
        }
        None
    }

    /// The same, but what separates documents ends it.
    fn peek(&mut self) -> Option<Line<'a>> {
        self.peek_any()
            .filter(|line| line.indent > 0 || !(line.text.starts_with("---") || line.text.starts_with("...")))
    }

    fn skip(&mut self, line: &Line<'a>) {
        self.ahead = None;
        self.at = line.next;
        self.number = line.number + 1;
    }

    /// The place of the character at `offset` of the line's text.
    fn span(&self, line: &Line<'a>, offset: usize) -> Span {
        let byte = line.from + offset;
        let column = if self.ascii { byte - line.start } else { self.text[line.start..byte].chars().count() };
        Span::new(self.file, line.number + 1, column as u32 + 1)
    }

    /// Where a collection in block style ends for libyaml: at whatever comes next.
    fn next_place(&mut self) -> Span {
        match self.peek_any() {
            Some(line) => Span::new(self.file, line.number + 1, line.indent as u32 + 1),
            // the last line counts whether it ends or not
            None => Span::new(self.file, self.number + 1, 1),
        }
    }

    fn mapping(&mut self, indent: usize, depth: u32) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let first = self.peek()?;
        let start = self.span(&first, 0);
        let mut entries = IndexMap::with_capacity(self.size_hint);
        let mut size = Size { nodes: 1, height: 0 };
        while let Some(line) = self.peek() {
            if line.indent < indent {
                break;
            }
            if line.indent > indent {
                return None;
            }
            let key = self.key(&line)?;
            let node = self.scalar_node(key.value, key.style, self.span(&line, 0), self.span(&line, key.end));
            let name = Key::of(&node.as_scalar()?.value)?;
            let value = self.value(&line, key.after, indent, true, depth)?;
            size.add(node.size());
            size.add(value.size());
            if entries.insert(name, Entry { key: node, value }).is_some() {
                return None;
            }
        }
        if entries.is_empty() {
            return None;
        }
        self.size_hint = entries.len();
        size.height += 1;
        let end = self.next_place();
        let kind = NodeKind::Mapping(Mapping { entries: Arc::new(entries), size });
        Some(Node { span: start, end, tag: None, kind })
    }

    /// A list whose dashes stand at `indent`; `with_key` where its key stands there, too.
    fn sequence(&mut self, indent: usize, with_key: bool, depth: u32) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let first = self.peek()?;
        let start = self.span(&first, 0);
        let mut items = Vec::new();
        let mut size = Size { nodes: 1, height: 0 };
        while let Some(line) = self.peek() {
            if line.indent < indent || (with_key && line.indent == indent && !is_item(line.text)) {
                break;
            }
            if line.indent > indent || !is_item(line.text) {
                return None;
            }
            let node = self.item(&line, indent, depth)?;
            size.add(node.size());
            items.push(node);
        }
        size.height += 1;
        let end = self.next_place();
        let kind = NodeKind::Sequence(Sequence { items: Arc::new(items), size });
        Some(Node { span: start, end, tag: None, kind })
    }

    fn item(&mut self, line: &Line<'a>, indent: usize, depth: u32) -> Option<Node> {
        let rest = &line.text[1..];
        let blank = rest.len() - rest.trim_start_matches(' ').len();
        let content = &rest[blank..];
        if content.is_empty() || content.starts_with('#') {
            return self.value(line, 1, indent, false, depth);
        }
        let inner =
            Line { text: content, indent: line.indent + 1 + blank, from: line.from + 1 + blank, ..*line };
        if is_item(content) {
            self.ahead = Some(inner);
            return self.sequence(inner.indent, false, depth + 1);
        }
        if self.key(&inner).is_some() {
            self.ahead = Some(inner);
            return self.mapping(inner.indent, depth + 1);
        }
        self.value(line, 1, indent, false, depth)
    }

    /// A scalar as a node: what it means, and how it was written where that is something else.
    fn scalar_node(&self, value: Meant<'a>, style: ScalarStyle, span: Span, end: Span) -> Node {
        let (value, written) = match value {
            Meant::Key(text) => (Value::Str(Str::from(text).trusted().at(span)), None),
            Meant::Text(text) => (Value::Str(Str::written(text, span)), None),
            Meant::Made(text) => (Value::Str(Str::from(text).trusted().at(span)), None),
            Meant::Value(value, text) => (value, Some(Arc::from(text))),
        };
        Node { span, end, tag: None, kind: NodeKind::Scalar(Scalar { value, style, written }) }
    }

    fn key(&mut self, line: &Line<'a>) -> Option<KeyOf<'a>> {
        let text = line.text;
        let bytes = text.as_bytes();
        let (name, end, style) = match bytes[0] {
            quote @ (b'"' | b'\'') => {
                let (Quoted::As(name), end) = quoted(text, quote)? else { return None };
                (name, end, style_of(quote))
            }
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'/' | b'.' | b'$' | b'+' => {
                let mut end = 0;
                loop {
                    let byte = *bytes.get(end)?;
                    // a colon ends the key unless more of it follows, as in `web[1:3]`
                    if byte == b':' && bytes.get(end + 1).is_none_or(|b| *b == b' ') {
                        break;
                    }
                    if !(byte.is_ascii_alphanumeric() || b"_.-[]/: ()+@$,=*".contains(&byte)) {
                        return None;
                    }
                    end += 1;
                }
                let name = text[..end].trim_end_matches(' ');
                (name, name.len(), ScalarStyle::Plain)
            }
            _ => return None,
        };
        let behind = &text[end..];
        let colon = end + behind.len() - behind.trim_start_matches(' ').len();
        let after = colon + 1;
        if bytes.get(colon) != Some(&b':')
            || bytes.get(after).is_some_and(|b| *b != b' ')
            || name.len() > LONGEST_KEY
            || colon > LONGEST_KEY
        {
            return None;
        }
        let value = match style {
            ScalarStyle::Plain if scalar::resolve(name) != Kind::Str => plain(name)?,
            _ if name.is_empty() => Meant::Text(""),
            _ => Meant::Key(self.keys.entry(name).or_insert_with(|| Arc::from(name)).clone()),
        };
        Some(KeyOf { value, style, end, after })
    }

    /// What stands behind a key's colon or an item's dash, at `after` of the line's text.
    fn value(
        &mut self,
        line: &Line<'a>,
        after: usize,
        indent: usize,
        keyed: bool,
        depth: u32,
    ) -> Option<Node> {
        let rest = &line.text[after..];
        let blank = rest.len() - rest.trim_start_matches(' ').len();
        let offset = after + blank;
        let text = line.text[offset..].trim_end_matches(' ');
        let first = match text.as_bytes().first() {
            None | Some(b'#') => return self.below(line, after, indent, keyed, depth),
            Some(first) => *first,
        };
        let node = match first {
            b'"' | b'\'' => {
                let Some((inside, end)) = quoted(text, first) else { return self.piece(line, indent) };
                if !is_comment_or_nothing(&text[end..]) {
                    return None;
                }
                let value = match inside {
                    Quoted::As(text) => Meant::Text(text),
                    Quoted::Made(text) => Meant::Made(text),
                };
                let (span, end) = (self.span(line, offset), self.span(line, offset + end));
                self.scalar_node(value, style_of(first), span, end)
            }
            b'{' | b'[' => {
                let mut flow = Flow { reader: self, line, bytes: line.text.as_bytes(), at: offset };
                let Some(node) = flow.node(depth + 1) else { return self.piece(line, indent) };
                let end = flow.at;
                if !is_comment_or_nothing(&line.text[end..]) {
                    return None;
                }
                node
            }
            b'|' | b'>' => return self.block_scalar(line, offset, indent),
            b'!' => return self.piece(line, indent),
            b'&' | b'*' | b'%' | b'@' | b'`' | b',' | b']' | b'}' | b'?' | b':' => return None,
            b'-' if matches!(text.as_bytes().get(1), None | Some(b' ')) => return None,
            _ => {
                let text = text.find(" #").map_or(text, |at| text[..at].trim_end_matches(' '));
                if text.ends_with(':') || text.contains(": ") {
                    return None;
                }
                let value = plain(text)?;
                let (span, end) = (self.span(line, offset), self.span(line, offset + text.len()));
                self.skip(line);
                // a line further in goes on with the scalar
                if self.peek().is_some_and(|next| next.indent > indent) {
                    return self.piece(line, indent);
                }
                return Some(self.scalar_node(value, ScalarStyle::Plain, span, end));
            }
        };
        self.skip(line);
        if self.peek().is_some_and(|next| next.indent > indent) {
            return None;
        }
        Some(node)
    }

    /// The value that stands below, or null.
    fn below(
        &mut self,
        line: &Line<'a>,
        after: usize,
        indent: usize,
        keyed: bool,
        depth: u32,
    ) -> Option<Node> {
        self.skip(line);
        match self.peek() {
            Some(next) if next.indent > indent && is_item(next.text) => {
                self.sequence(next.indent, false, depth + 1)
            }
            Some(next) if keyed && next.indent == indent && is_item(next.text) => {
                self.sequence(indent, true, depth + 1)
            }
            Some(next) if next.indent > indent => {
                if self.key(&next).is_some() {
                    return self.mapping(next.indent, depth + 1);
                }
                self.piece(line, indent)
            }
            _ => {
                let span = self.span(line, after);
                let kind = NodeKind::Scalar(Scalar {
                    value: Value::Null,
                    style: ScalarStyle::Plain,
                    written: Some(Arc::from("")),
                });
                Some(Node { span, end: span, tag: None, kind })
            }
        }
    }

    /// `|` and `>`, as libyaml scans them.
    fn block_scalar(&mut self, line: &Line<'a>, offset: usize, parent: usize) -> Option<Node> {
        let header = &line.text[offset..];
        let literal = header.starts_with('|');
        let (chomp, length) = match header.as_bytes().get(1) {
            Some(b'-') => (-1, 2),
            Some(b'+') => (1, 2),
            _ => (0, 1),
        };
        if !is_comment_or_nothing(&header[length..]) {
            return None;
        }
        let bytes = self.text.as_bytes();
        let (mut at, mut number) = (line.next, line.number + 1);
        if line.next == bytes.len() && !self.text.ends_with('\n') {
            return None;
        }
        let mut indent = 0;
        let mut breaks = 0;
        let mut out = String::new();
        let mut end;
        // blank lines; gives the column of what stops them
        let scan = |at: &mut usize, number: &mut u32, indent: &mut usize, breaks: &mut usize| {
            let mut end = (*at, *number);
            let mut deepest = 0;
            let column = loop {
                let mut column = 0;
                while (*indent == 0 || column < *indent) && bytes.get(*at + column) == Some(&b' ') {
                    column += 1;
                }
                deepest = deepest.max(column);
                if bytes.get(*at + column) != Some(&b'\n') {
                    break column;
                }
                *at += column + 1;
                *number += 1;
                *breaks += 1;
                end = (*at, *number);
            };
            if *indent == 0 {
                *indent = deepest.max(parent + 1);
            }
            (column, end)
        };
        let (mut column, stopped) = scan(&mut at, &mut number, &mut indent, &mut breaks);
        end = stopped;
        let mut leading_break = false;
        let mut leading_blank = false;
        while column == indent && at + column < bytes.len() {
            let from = at + column;
            let trailing_blank = bytes[from] == b' ';
            if !literal && leading_break && !leading_blank && !trailing_blank {
                if breaks == 0 {
                    out.push(' ');
                }
            } else if leading_break {
                out.push('\n');
            }
            out.extend(std::iter::repeat_n('\n', breaks));
            breaks = 0;
            leading_blank = trailing_blank;
            // nothing where the text ends in the middle of this line
            let to = from + memchr(b'\n', &bytes[from..])?;
            out.push_str(&self.text[from..to]);
            leading_break = true;
            at = to + 1;
            number += 1;
            (column, end) = scan(&mut at, &mut number, &mut indent, &mut breaks);
        }
        if chomp >= 0 && leading_break {
            out.push('\n');
        }
        if chomp > 0 {
            out.extend(std::iter::repeat_n('\n', breaks));
        }
        let span = self.span(line, offset);
        let end_span = Span::new(self.file, end.1 + 1, 1);
        self.ahead = None;
        self.at = end.0;
        self.number = end.1;
        if self.peek().is_some_and(|next| next.indent > parent) {
            return None;
        }
        let style = if literal { ScalarStyle::Literal } else { ScalarStyle::Folded };
        Some(self.scalar_node(Meant::Made(out), style, span, end_span))
    }

    /// Gives the lines of an entry or item to `compose`, and takes its value from there.
    fn piece(&mut self, line: &Line<'a>, indent: usize) -> Option<Node> {
        self.skip(line);
        let mut items = None;
        while let Some(next) = self.peek() {
            let item = is_item(next.text);
            let belongs = next.indent > indent
                || (next.indent == indent && item && !is_item(line.text) && *items.get_or_insert(true));
            if !belongs {
                break;
            }
            items.get_or_insert(item);
            self.skip(&next);
        }
        let text = &self.text[line.from..self.at];
        // an anchor may be meant from elsewhere
        let bytes = text.as_bytes();
        let anchored = bytes.iter().enumerate().any(|(at, byte)| {
            matches!(byte, b'&' | b'*')
                && (at == 0 || matches!(bytes[at - 1], b' ' | b'[' | b'{' | b',' | b'\n'))
        });
        if anchored || !text.ends_with('\n') {
            return None;
        }
        // blanks instead of the dashes in front of it, for the columns' sake
        let before = line.from - line.start;
        let mut own = String::with_capacity(before + text.len());
        own.extend(std::iter::repeat_n(' ', before));
        own.push_str(text);
        let document = compose::composed(&own, self.file, ParseOptions::default()).ok()?;
        if !document.warnings.is_empty() {
            return None;
        }
        let mut value = match &document.root.kind {
            NodeKind::Mapping(mapping) if mapping.len() == 1 && !is_item(line.text) => {
                mapping.iter().next().map(|(_, entry)| entry.value.clone())
            }
            NodeKind::Sequence(items) if items.len() == 1 && is_item(line.text) => Some(items[0].clone()),
            _ => None,
        }?;
        if value.size().height > MAX_DEPTH {
            return None;
        }
        let over = Span::new(self.file, text.bytes().filter(|b| *b == b'\n').count() as u32 + 1, 1);
        let next = self.next_place();
        moved(&mut value, line.number, over, next);
        Some(value)
    }
}

/// Everything of a node so many lines further down; what ends where the text does (at `over`) ends at `next`.
fn moved(node: &mut Node, lines: u32, over: Span, next: Span) {
    let down = |span: Span| if span.line == 0 { span } else { Span { line: span.line + lines, ..span } };
    node.span = down(node.span);
    let open = !matches!(node.kind, NodeKind::Scalar(_)) && node.end == over;
    node.end = if open { next } else { down(node.end) };
    match &mut node.kind {
        NodeKind::Scalar(scalar) => match &mut scalar.value {
            Value::Str(text) | Value::Vault(text) => *text = text.clone().at(down(text.span())),
            _ => {}
        },
        NodeKind::Sequence(items) => {
            Arc::make_mut(&mut items.items).iter_mut().for_each(|item| moved(item, lines, over, next));
        }
        NodeKind::Mapping(mapping) => {
            for entry in Arc::make_mut(&mut mapping.entries).values_mut() {
                moved(&mut entry.key, lines, over, next);
                moved(&mut entry.value, lines, over, next);
            }
        }
    }
}

/// A scalar, not yet a node.
enum Meant<'a> {
    Key(Arc<str>),
    Text(&'a str),
    Made(String),
    /// Something else than text, and its text.
    Value(Value, &'a str),
}

struct KeyOf<'a> {
    value: Meant<'a>,
    style: ScalarStyle,
    /// Where it ends, and where its colon does.
    end: usize,
    after: usize,
}

/// What a plain scalar means; nothing where that is a mistake.
fn plain(text: &str) -> Option<Meant<'_>> {
    match scalar::resolve(text) {
        Kind::Str => Some(Meant::Text(text)),
        kind @ (Kind::Null | Kind::Bool | Kind::Int | Kind::Float) => {
            Some(Meant::Value(scalar::construct(kind, text).ok()?, text))
        }
        // dates, `<<` and `=` have rules of their own
        Kind::Timestamp | Kind::Merge | Kind::Default => None,
    }
}

fn style_of(quote: u8) -> ScalarStyle {
    if quote == b'"' { ScalarStyle::DoubleQuoted } else { ScalarStyle::SingleQuoted }
}

/// A flow collection that ends on its line.
struct Flow<'r, 'a> {
    reader: &'r mut Reader<'a>,
    line: &'r Line<'a>,
    bytes: &'a [u8],
    at: usize,
}

impl Flow<'_, '_> {
    fn blanks(&mut self) -> Option<u8> {
        while self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        // a comment goes on on the next line
        self.bytes.get(self.at).copied().filter(|byte| *byte != b'#')
    }

    /// Whether a comma says that more follows, or the bracket that nothing does.
    fn more(&mut self, close: u8) -> Option<bool> {
        match self.blanks()? {
            b',' => {
                self.at += 1;
                Some(true)
            }
            byte => (byte == close).then_some(false),
        }
    }

    fn node(&mut self, depth: u32) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let start = self.at;
        let span = self.reader.span(self.line, start);
        let mut size = Size { nodes: 1, height: 0 };
        let kind = match self.blanks()? {
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while self.blanks()? != b']' {
                    let item = self.node(depth + 1)?;
                    size.add(item.size());
                    items.push(item);
                    if !self.more(b']')? {
                        break;
                    }
                }
                self.at += 1;
                size.height += 1;
                NodeKind::Sequence(Sequence { items: Arc::new(items), size })
            }
            b'{' => {
                self.at += 1;
                let mut entries = IndexMap::new();
                while self.blanks()? != b'}' {
                    let key = self.scalar()?;
                    let name = Key::of(&key.as_scalar()?.value)?;
                    if self.blanks()? != b':' || self.bytes.get(self.at + 1) != Some(&b' ') {
                        return None;
                    }
                    self.at += 1;
                    self.blanks()?;
                    let value = self.node(depth + 1)?;
                    size.add(key.size());
                    size.add(value.size());
                    if entries.insert(name, Entry { key, value }).is_some() {
                        return None;
                    }
                    if !self.more(b'}')? {
                        break;
                    }
                }
                self.at += 1;
                size.height += 1;
                NodeKind::Mapping(Mapping { entries: Arc::new(entries), size })
            }
            _ => return self.scalar(),
        };
        Some(Node { span, end: self.reader.span(self.line, self.at), tag: None, kind })
    }

    fn scalar(&mut self) -> Option<Node> {
        let text = &self.line.text[self.at..];
        let start = self.at;
        let span = self.reader.span(self.line, start);
        let first = *text.as_bytes().first()?;
        if matches!(first, b'"' | b'\'') {
            let (inside, end) = quoted(text, first)?;
            self.at += end;
            let value = match inside {
                Quoted::As(text) => Meant::Text(text),
                Quoted::Made(text) => Meant::Made(text),
            };
            let end = self.reader.span(self.line, self.at);
            return Some(self.reader.scalar_node(value, style_of(first), span, end));
        }
        let bytes = text.as_bytes();
        let dash = first == b'-' && bytes.get(1).is_some_and(u8::is_ascii_alphanumeric);
        if !(first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/' | b'.' | b'$') || dash) {
            return None;
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_./-+@$~=()%^;<>\\".contains(&b);
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let next = bytes.get(end + 1).copied().unwrap_or_default();
            let goes_on = allowed(*byte)
                || (*byte == b' ' && (allowed(next) || next == b' '))
                || (*byte == b':' && (next.is_ascii_alphanumeric() || next == b'/'));
            if !goes_on {
                break;
            }
            end += 1;
        }
        let text = text[..end].trim_end_matches(' ');
        self.at += text.len();
        let end = self.reader.span(self.line, self.at);
        Some(self.reader.scalar_node(plain(text)?, ScalarStyle::Plain, span, end))
    }
}

#[cfg(test)]
mod tests;
