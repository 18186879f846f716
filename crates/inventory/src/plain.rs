//! YAML as most people write it, read without the YAML parser: block mappings of simple scalars, line by line.
//!
//! In: text. Out: a [`Tree`] that says what `quorate-yaml` says of the same text, places included; or nothing, where a
//! line is not simple enough. What is in between (lists, flow, block scalars, tags) goes to `quorate-yaml` a piece at a time.
//! An inventory with 300,000 variables is read several times faster this way.
//!
//! **Invariant:** text that this reads is valid YAML, free of warnings, and both ways of reading agree on it.
//! Checked by the tests below.

use quorate_value::{Dict, FileId, Key, Span, Str, Value};
use quorate_yaml::simple::{
    LONGEST_KEY, MAX_DEPTH, Quoted, characters_are_plain, is_comment_or_nothing, is_item, quoted,
};
use quorate_yaml::{Node, NodeKind};
use std::borrow::Cow;
use std::collections::HashMap;

/// A value with the places of its keys.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    /// A scalar and where it starts.
    Scalar(Value, Span),
    /// A mapping and where it starts.
    Map(Vec<Entry>, Span),
    /// What `quorate-yaml` read; its lines count from the given one.
    Node(Node, u32),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    /// Where the key starts.
    pub(crate) span: Span,
    pub(crate) value: Tree,
}

fn moved(span: Span, lines: u32) -> Span {
    if span.line == 0 { span } else { Span { line: span.line + lines, ..span } }
}

impl Tree {
    /// The entries, if this is a mapping.
    pub(crate) fn entries(&self) -> Option<Cow<'_, [Entry]>> {
        match self {
            Tree::Map(entries, _) => Some(Cow::Borrowed(entries)),
            Tree::Scalar(..) => None,
            Tree::Node(node, lines) => {
                let mapping = node.as_mapping()?;
                let entries = mapping.iter().map(|(key, entry)| Entry {
                    key: key.clone(),
                    span: moved(entry.key.span, *lines),
                    value: Tree::Node(entry.value.clone(), *lines),
                });
                Some(Cow::Owned(entries.collect()))
            }
        }
    }

    /// The entries, if this is a mapping; itself otherwise.
    pub(crate) fn into_entries(self) -> Result<Vec<Entry>, Tree> {
        match self {
            Tree::Map(entries, _) => Ok(entries),
            other => other.entries().map(Cow::into_owned).ok_or(other),
        }
    }

    /// The value that Ansible would load.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Tree::Scalar(value, _) => value,
            Tree::Map(entries, _) => Value::dict(
                entries.into_iter().map(|entry| (entry.key, entry.value.into_value())).collect::<Dict>(),
            ),
            Tree::Node(node, 0) => node.to_value(),
            Tree::Node(node, lines) => shifted(&node.to_value(), lines),
        }
    }

    /// Where it starts.
    pub(crate) fn span(&self) -> Span {
        match self {
            Tree::Scalar(_, span) | Tree::Map(_, span) => *span,
            Tree::Node(node, lines) => moved(node.span, *lines),
        }
    }

    /// The text, if it is text.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Tree::Scalar(value, _) => value.as_str(),
            Tree::Map(..) => None,
            Tree::Node(node, _) => node.as_str(),
        }
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Tree::Scalar(value, _) => value.is_null(),
            Tree::Map(..) => false,
            Tree::Node(node, _) => node.is_null(),
        }
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Tree::Node(node, _) if matches!(node.kind, NodeKind::Sequence(_)))
    }

    /// What people call it.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Tree::Node(node, _) => node.describe(),
            Tree::Map(..) => "a mapping",
            Tree::Scalar(value, _) => match value {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                Value::Int(_) | Value::Big(_) => "an integer",
                Value::Float(_) => "a number",
                Value::Vault(_) => "an encrypted value",
                _ => "text",
            },
        }
    }
}

fn shifted(value: &Value, lines: u32) -> Value {
    match value {
        Value::Vault(text) => Value::Vault(text.clone().at(moved(text.span(), lines))),
        Value::List(items) => items.iter().map(|item| shifted(item, lines)).collect(),
        Value::Dict(entries) => {
            Value::dict(entries.iter().map(|(key, value)| (key.clone(), shifted(value, lines))).collect())
        }
        Value::Str(text) => Value::Str(text.clone().at(moved(text.span(), lines))),
        other => other.clone(),
    }
}

/// Reads a text whose root is a mapping; nothing where it is not simple enough.
pub(crate) fn read(text: &str, file: FileId) -> Option<Tree> {
    if !characters_are_plain(text) {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        number: 0,
        ahead: None,
        file,
        keys: HashMap::new(),
        seen_in: Vec::new(),
        mappings: 0,
        shapes: Vec::new(),
    };
    if let Some(line) = reader.peek()
        && line.indent == 0
        && line.text.strip_prefix("---").is_some_and(|rest| rest.trim_matches(' ').is_empty())
    {
        reader.skip(&line);
    }
    let first = reader.peek()?;
    let tree = reader.mapping(first.indent, 0)?;
    reader.peek().is_none().then_some(tree)
}

/// A line that says something.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// From its first character on.
    text: &'a str,
    indent: usize,
    number: u32,
    /// Where it starts, and where the next one does.
    start: usize,
    next: usize,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Lines before `at`.
    number: u32,
    /// The next line, where somebody has looked already.
    ahead: Option<Line<'a>>,
    file: FileId,
    /// Keys seen, to share their text, by number.
    keys: HashMap<&'a str, KnownKey<'a>>,
    /// The mapping that each key was last seen in, while that is being read.
    seen_in: Vec<u32>,
    /// Mappings begun so far.
    mappings: u32,
    /// The keys of the last mapping at each depth: the next one often has the same.
    shapes: Vec<Vec<KnownKey<'a>>>,
}

#[derive(Clone)]
struct KnownKey<'a> {
    text: &'a str,
    /// Without quotes.
    plain: bool,
    number: usize,
    key: Key,
}

impl KnownKey<'_> {
    /// Whether a line begins with this key and its colon.
    fn begins(&self, line: &str) -> bool {
        let rest =
            line.strip_prefix(self.text).filter(|_| self.plain).and_then(|rest| rest.strip_prefix(':'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }
}

impl<'a> Reader<'a> {
    /// The next line that is neither blank nor a comment.
    fn peek(&mut self) -> Option<Line<'a>> {
        if self.ahead.is_some() {
            return self.ahead;
        }
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            if rest.is_empty() {
                return None;
            }
            let indent = rest.iter().take_while(|b| **b == b' ').count();
            let end = indent + memchr::memchr(b'\n', &rest[indent..]).unwrap_or(rest.len() - indent);
            let next = (self.at + end + 1).min(self.text.len());
            if indent == end || rest[indent] == b'#' {
                self.at = next;
                self.number += 1;
                continue;
            }
            let text = &self.text[self.at + indent..self.at + end];
            self.ahead = Some(Line { text, indent, number: self.number + 1, start: self.at, next });
            return self.ahead;
        }
    }

    fn skip(&mut self, line: &Line<'a>) {
        self.at = line.next;
        self.number = line.number;
        self.ahead = None;
    }

    fn span(&self, line: &Line<'a>, offset: usize) -> Span {
        let before = &line.text[..offset];
        let column = if before.is_ascii() { offset } else { before.chars().count() };
        Span::new(self.file, line.number, (line.indent + column) as u32 + 1)
    }

    fn mapping(&mut self, indent: usize, depth: u32) -> Option<Tree> {
        if depth > MAX_DEPTH {
            return None;
        }
        let depth_index = depth as usize;
        if self.shapes.len() <= depth_index {
            self.shapes.resize(depth_index + 1, Vec::new());
        }
        let shape = std::mem::take(&mut self.shapes[depth_index]);
        let mut keys: Vec<KnownKey<'a>> = Vec::with_capacity(shape.len());
        // Where a key of this mapping was last seen before: an outer mapping may have it too.
        let mut before: Vec<u32> = Vec::with_capacity(shape.len());
        let mut entries: Vec<Entry> = Vec::with_capacity(shape.len());
        self.mappings += 1;
        let mapping = self.mappings;
        let start = self.peek()?;
        let start = self.span(&start, 0);
        while let Some(line) = self.peek() {
            if line.indent < indent {
                break;
            }
            if line.indent > indent {
                return None;
            }
            let (known, after) = match shape.get(keys.len()).filter(|known| known.begins(line.text)) {
                Some(known) => (known.clone(), known.text.len() + 1),
                None => {
                    let (name, after) = key_of(line.text)?;
                    (KnownKey { plain: !line.text.starts_with(['"', '\'']), ..self.known_key(name) }, after)
                }
            };
            let seen = std::mem::replace(&mut self.seen_in[known.number], mapping);
            if seen == mapping {
                return None;
            }
            before.push(seen);
            let key = known.key.clone();
            keys.push(known);
            let span = self.span(&line, 0);
            let value = self.value(&line, after, depth)?;
            entries.push(Entry { key, span, value });
        }
        for (known, seen) in keys.iter().zip(before) {
            self.seen_in[known.number] = seen;
        }
        self.shapes[depth_index] = keys;
        Some(Tree::Map(entries, start))
    }

    fn known_key(&mut self, text: &'a str) -> KnownKey<'a> {
        let number = self.keys.len();
        let known = self.keys.entry(text).or_insert_with(|| KnownKey {
            text,
            plain: true,
            number,
            key: Key::from(text),
        });
        if known.number == number {
            self.seen_in.push(0);
        }
        known.clone()
    }

    fn value(&mut self, line: &Line<'a>, after: usize, depth: u32) -> Option<Tree> {
        let rest = &line.text[after..];
        let blank = rest.len() - rest.trim_start_matches(' ').len();
        let offset = after + blank;
        let text = line.text[offset..].trim_end_matches(' ');
        let tree = match text.as_bytes().first() {
            None | Some(b'#') => return self.below(line, after, depth),
            Some(quote @ (b'"' | b'\'')) => {
                let (Quoted::As(inside), end) = quoted(text, *quote)? else { return None };
                if !is_comment_or_nothing(&text[end..]) {
                    return None;
                }
                let span = self.span(line, offset);
                Tree::Scalar(Value::Str(Str::written(inside, span)), span)
            }
            Some(b'{') => match self.flow(line, offset, text) {
                Some(tree) => tree,
                None => return self.piece(line),
            },
            Some(b'[' | b'!' | b'|' | b'>') => return self.piece(line),
            Some(b'&' | b'*' | b'%' | b'@' | b'`' | b',' | b']' | b'}' | b'?' | b':' | b'<' | b'=') => {
                return None;
            }
            Some(b'-') if matches!(text.as_bytes().get(1), None | Some(b' ' | b'-')) => return None,
            Some(_) => {
                let text = text.find(" #").map_or(text, |at| text[..at].trim_end_matches(' '));
                if text.contains(": ") || text.ends_with(':') {
                    return None;
                }
                let span = self.span(line, offset);
                Tree::Scalar(scalar(text, span)?, span)
            }
        };
        self.skip(line);
        // A line further in would go on with the scalar.
        if self.peek().is_some_and(|next| next.indent > line.indent) {
            return None;
        }
        Some(tree)
    }

    /// The value that stands below its key, or null.
    fn below(&mut self, line: &Line<'a>, after: usize, depth: u32) -> Option<Tree> {
        let (at, number) = (self.at, self.number);
        self.skip(line);
        let next = self.peek();
        match next {
            Some(next) if next.indent >= line.indent && is_item(next.text) => {
                (self.at, self.number, self.ahead) = (at, number, None);
                self.piece(line)
            }
            Some(next) if next.indent > line.indent => self.mapping(next.indent, depth + 1),
            _ => Some(Tree::Scalar(Value::Null, self.span(line, after))),
        }
    }

    /// Gives the lines of a key and its value to `quorate-yaml`.
    fn piece(&mut self, line: &Line<'a>) -> Option<Tree> {
        let lines_before = line.number - 1;
        self.skip(line);
        let mut items = None;
        while let Some(next) = self.peek() {
            let item = is_item(next.text);
            let belongs = next.indent > line.indent
                || (next.indent == line.indent && item && *items.get_or_insert(true));
            if !belongs {
                break;
            }
            items.get_or_insert(item);
            self.skip(&next);
        }
        let document = quorate_yaml::parse(&self.text[line.start..self.at], self.file).ok()?;
        if !document.warnings.is_empty() {
            return None;
        }
        let mapping = document.root.as_mapping()?;
        let (_, entry) = mapping.iter().next().filter(|_| mapping.len() == 1)?;
        Some(Tree::Node(entry.value.clone(), lines_before))
    }

    /// `{ name: value, … }` on one line, of words and numbers alone.
    fn flow(&mut self, line: &Line<'a>, offset: usize, text: &'a str) -> Option<Tree> {
        let end = text.find('}')?;
        if !is_comment_or_nothing(&text[end + 1..]) {
            return None;
        }
        let inside = &text[1..end];
        let mut entries: Vec<Entry> = Vec::new();
        let mut at = offset + 1;
        if !inside.trim_matches(' ').is_empty() {
            for part in inside.split(',') {
                let blank = part.len() - part.trim_start_matches(' ').len();
                let start = at + blank;
                at += part.len() + 1;
                let part = part.trim_matches(' ');
                let (name, value) = part.split_once(": ")?;
                let word = |text: &str| {
                    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./-".contains(&b))
                        && text
                            .bytes()
                            .next()
                            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'/')
                };
                let value_start = start + part.len() - value.trim_start_matches(' ').len();
                let value = value.trim_matches(' ');
                if !word(name) || !word(value) || !is_text(name) {
                    return None;
                }
                let key = self.known_key(name).key;
                if entries.iter().any(|entry| entry.key == key) {
                    return None;
                }
                let span = self.span(line, value_start);
                let value = Tree::Scalar(scalar(value, span)?, span);
                entries.push(Entry { key, span: self.span(line, start), value });
            }
        }
        Some(Tree::Map(entries, self.span(line, offset)))
    }
}

/// The key of a line and the offset behind its colon.
fn key_of(text: &str) -> Option<(&str, usize)> {
    let (name, after) = match text.as_bytes()[0] {
        quote @ (b'"' | b'\'') => {
            let (Quoted::As(name), end) = quoted(text, quote)? else { return None };
            (name, text[end..].starts_with(':').then_some(end)?)
        }
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
            let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"_.-[]/".contains(b);
            let bytes = text.as_bytes();
            let mut end = 0;
            while end < bytes.len() {
                // A colon ends the key unless more of it follows, as in `web[1:3]`.
                let ends = bytes[end] == b':' && bytes.get(end + 1).is_none_or(|b| *b == b' ');
                if ends || !(allowed(&bytes[end]) || bytes[end] == b':') {
                    break;
                }
                end += 1;
            }
            let name = &text[..end];
            (bytes.get(end) == Some(&b':') && is_text(name)).then_some((name, end))?
        }
        _ => return None,
    };
    let rest = &text[after + 1..];
    (name.len() <= LONGEST_KEY && (rest.is_empty() || rest.starts_with(' '))).then_some((name, after + 1))
}

/// Whether a plain scalar that starts with a letter, a digit or `_` is text for YAML 1.1, as far as that is easy to see.
fn is_text(text: &str) -> bool {
    match text.as_bytes().first() {
        None => false,
        Some(b'0'..=b'9') => is_dotted(text),
        Some(_) => word(text).is_none(),
    }
}

/// `10.1.2.3`: two dots or more make no number.
fn is_dotted(text: &str) -> bool {
    text.bytes().filter(|b| *b == b'.').count() > 1 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Words that are no text.
fn word(text: &str) -> Option<Value> {
    if text.len() > 5 {
        return None;
    }
    Some(match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        "null" | "Null" | "NULL" | "~" => Value::Null,
        _ => return None,
    })
}

/// A plain scalar; what is not easy to see is for `quorate-yaml` to say.
fn scalar(text: &str, span: Span) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if first.is_ascii_alphabetic() || first == b'_' || first == b'/' || first >= 0x80 {
        return Some(word(text).unwrap_or_else(|| Value::Str(Str::written(text, span))));
    }
    if first.is_ascii_digit() {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if digits && text.len() < 19 && (first != b'0' || text.len() == 1) {
            return text.parse().ok().map(Value::Int);
        }
        if is_dotted(text) {
            return Some(Value::Str(Str::written(text, span)));
        }
    }
    let document = quorate_yaml::parse(text, span.file).ok()?;
    match &document.root.as_scalar()?.value {
        // Dates are texts without a place.
        Value::Str(read) if read.span().line == 0 => Some(Value::Str(read.clone())),
        Value::Str(read) => Some(Value::Str(read.clone().at(span))),
        Value::Vault(_) => None,
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_value::repr;

    /// Everything that two readings must agree on.
    fn told(tree: &Tree, out: &mut String) {
        match tree.entries() {
            Some(entries) => {
                for entry in entries.iter() {
                    let Span { line, column, .. } = entry.span;
                    out.push_str(&format!("{:?}@{line}:{column}(", entry.key));
                    told(&entry.value, out);
                    out.push(')');
                }
            }
            None => told_value(&tree.clone().into_value(), out),
        }
    }

    fn told_value(value: &Value, out: &mut String) {
        match value {
            Value::Str(text) | Value::Vault(text) => {
                let Span { line, column, .. } = text.span();
                out.push_str(&format!("{}@{line}:{column} {}", repr(value), text.is_trusted()));
            }
            Value::List(items) => items.iter().for_each(|item| told_value(item, out)),
            Value::Dict(entries) => entries.iter().for_each(|(key, value)| {
                out.push_str(&format!("{key:?}="));
                told_value(value, out);
            }),
            other => out.push_str(&format!("{} {}", other.type_name(), repr(other))),
        }
        out.push(';');
    }

    /// Whether the text is read here; fails where the two ways of reading differ.
    fn agrees(text: &str) -> bool {
        let Some(tree) = read(text, FileId::default()) else { return false };
        let document = match quorate_yaml::parse(text, FileId::default()) {
            Ok(document) => document,
            Err(error) => panic!("{}\n---\n{text}\n---", error.report()),
        };
        assert!(document.warnings.is_empty(), "{:?}\n{text}", document.warnings);
        let (mut ours, mut theirs) = (String::new(), String::new());
        told(&tree, &mut ours);
        told(&Tree::Node(document.root, 0), &mut theirs);
        assert_eq!(ours, theirs, "\n---\n{text}\n---");
        true
    }

    #[test]
    fn read_the_short_way() {
        let cases = [
            "a: 1\n",
            "---\na: b\n",
            "all:\n  hosts:\n    web[01:03].x:\n    10.0.0.1: { seq: 1, name: x }\n    h: {}\n  vars:\n    x: 'y z'\n",
            "a:\n  - 1\n  - {b: c}\nb:\n- x\n- y\nc: [1, 2]\n",
            "a: |\n  text\n\n  more\nb: >-\n  folded\n  text\nc: 1\n",
            "a: \"q\" # c\nb: x # c\nc: # c\nd: a#b\n# c\n  # c\n",
            "a: yes\nb: No\nc: ~\nd: null\ne: 0644\nf: 1.5\ng: 12:30\nh: 2020-01-01\ni: 1_000\nj: 0x1F\nk: -5\nl: .5\n",
            "a: http://x/y?z=1\nb: {{x}}\n",
            "\"a b\": 1\n'c': 2\n",
            "a: é\nüb: 1\n",
            "  a: 1\n  b:\n      c: 2\n",
            "a: !vault |\n  x\nb: !unsafe '{{ y }}'\n",
            "a: -x\nb: --\n",
            "k: 10.0.0.0/8\nv: 1.2.3\nw: 1.2.3-4\n",
        ];
        let read: Vec<bool> = cases.iter().map(|text| agrees(text)).collect();
        let expected =
            [true, true, true, true, true, true, true, false, true, false, true, true, false, true];
        assert_eq!(read, expected);
    }

    #[test]
    fn left_to_the_parser() {
        for text in [
            "",
            "# c\n",
            "- a\n",
            "a\n",
            "a: 1\na: 2\n",
            "a: &x 1\nb: *x\n",
            "a:\n  b: 1\n c: 2\n",
            "a: b: c\n",
            "a: b\n  c\n",
            "a:\n  b\n",
            "a: 'x\n  y'\n",
            "a: \"\\n\"\n",
            "a:\t1\n",
            "a: 1\r\nb: 2\n",
            "a: 1\n---\nb: 2\n",
            "a: 1\n...\n",
            "%YAML 1.1\n---\na: 1\n",
            "<<: {a: 1}\n",
            "? a\n: b\n",
            "yes: 1\n",
            "1: 2\n",
            "a: {b: 1, b: 2}\n",
            "a: @x\n",
            "a: 'it''s'\n",
        ] {
            assert!(read(text, FileId::default()).is_none(), "{text}");
        }
    }

    fn line() -> impl Strategy<Value = (usize, String, &'static str, String)> {
        let key = prop_oneof![
            12 => prop::sample::select(vec!["a", "b", "c", "hosts", "web[1:3]", "10.0.0.1", "\"q k\"", "'s'", "a.b-c_d", "a/b", "n", "1.2.3"]),
            1 => prop::sample::select(vec![
                "yes", "1", "- a", "-", "? k", "<<", "a b", "é", "x:y", "- - a", "#c", "---", "...", "[a]", "{a", "&x k",
                "!t k", "1.5", "0x1", "null", "a",
            ]),
        ];
        let value = prop_oneof![
            12 => prop::sample::select(vec![
                "", "", "", "1", "text", "two words", "'q'", "\"d\"", "{ k: v }", "{k: v, l: 2}", "{}", "[]", "[a, {b: c}]", "|", ">-",
                "!vault z", "!unsafe u", "# c", "v # c", "-a", "yes", "NO", "~", "0644", "1.5", "1e3", "12:30:45", "2020-01-01", "0x1F",
                "10.0.0.1", "é", "\"a\" # c", "{a: 1} # c", "a#b", "http://a/b", "1,2", "_x", "/p/q", "{ k: yes, m: 1.5 }",
                "9999999999999999999", "1_0", ".inf", "v #c",
            ]),
            1 => prop::sample::select(vec![
                "'it''s'", "\"\\t\"", "{ }", "[a,", "{a: b", "|+", "&x y", "*x", "a: b", "a:", ":a", "- a", "? a", "%x", "'a' b",
                "\"a\"#c", "{a: 1}x", "<<", "=", "{ k: }", "{ k: v, }", "{ k v }", "{ 1: v }", "a\u{85}b", "\u{1F600}", "\t", "x\ty",
            ]),
        ];
        let shape = prop_oneof![9 => Just(": "), 1 => prop::sample::select(vec![":", "", ":  "])];
        let indent = prop::sample::select(vec![0usize, 0, 2, 2, 4, 4, 6, 1]);
        (indent, key, shape, value).prop_map(|(indent, key, shape, value)| {
            let shape = if value.is_empty() && shape == ": " { ":" } else { shape };
            (indent, key.to_owned(), shape, value.to_owned())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(3000), ..ProptestConfig::default() })]

        #[test]
        fn both_ways_agree(lines in prop::collection::vec(line(), 1..6)) {
            let text: Vec<String> = lines
                .into_iter()
                .map(|(indent, key, shape, value)| format!("{}{key}{shape}{value}\n", " ".repeat(indent)))
                .collect();
            agrees(&text.concat());
        }

        /// Nesting and keys that are mostly right, so that most of it is read the short way.
        #[test]
        fn likely_texts_agree(lines in prop::collection::vec((0usize..3, line()), 1..8)) {
            let mut text = String::from("top:\n");
            let mut depth = 1;
            for (number, (down, (_, key, shape, value))) in lines.into_iter().enumerate() {
                let indent = " ".repeat(2 * depth);
                let key = if key.len() < 3 { format!("{key}{number}") } else { key };
                text.push_str(&format!("{indent}{key}{shape}{value}\n"));
                if value == "|" || value == ">-" {
                    text.push_str(&format!("{indent}  some text\n\n{indent}  # more: of it\n"));
                }
                depth = if value.is_empty() { depth + 1 } else { depth.saturating_sub(down).max(1) };
            }
            agrees(&text);
        }

        #[test]
        fn any_text_agrees(text in "([ab:\\-#'\"{}\\[\\],|>&*! \n0-9]{0,40})") {
            agrees(&text);
        }
    }
}
