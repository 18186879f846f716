//! Where names stand in a project: variables defined and read, handlers, tags.
//!
//! In: the files of a folder, as an editor holds them. Out: occurrences with their places.
//!
//! What a template reads is found in the text itself, so that a rename can change that very word; what YAML defines is
//! found in its nodes.

use crate::cli::check::files::{self, Kind};
use crate::cli::check::tasks;
use crate::playbook::is_identifier;
use quorate_value::{FileId, Span};
use quorate_yaml::{Mapping, Node};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a name stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// A variable is defined, at this level of Ansible's precedence.
    Defined(u8),
    /// A variable is read.
    Read,
    /// A name of this spelling as an attribute or in quotes, as in `hostvars[h].x` and `map(attribute='x')`.
    Spelled,
    /// A handler has this name, or listens to it.
    Handler,
    /// A handler is notified.
    Notified,
}

/// A name at a place. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) how: How,
}

impl Occurrence {
    /// Whether a place is in it.
    pub(crate) fn holds(&self, line: u32, column: u32) -> bool {
        self.line == line
            && column >= self.column
            && column <= self.column + u32::try_from(self.name.chars().count()).unwrap_or(0)
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct FileIndex {
    pub(crate) kind: Option<Kind>,
    pub(crate) text: Arc<str>,
    pub(crate) found: Vec<Occurrence>,
    pub(crate) tags: Vec<String>,
}

/// All files of a folder.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) files: HashMap<PathBuf, Arc<FileIndex>>,
}

impl Index {
    /// Looks at a folder again; what has not changed is kept.
    pub(crate) fn refresh(&mut self, root: &Path, open: &[PathBuf]) {
        let mut paths = Vec::new();
        files::walk(root, &mut paths, 0);
        paths.extend(open.iter().cloned());
        paths.sort();
        paths.dedup();
        let mut fresh = HashMap::with_capacity(paths.len());
        for path in paths {
            let Ok(bytes) = quorate_value::read(&path) else { continue };
            if bytes.starts_with(b"$ANSIBLE_VAULT") {
                continue;
            }
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let known = self.files.remove(&path).filter(|known| *known.text == *text);
            fresh.insert(path.clone(), known.unwrap_or_else(|| Arc::new(read(&path, &text))));
        }
        self.files = fresh;
    }

    /// Where a name stands, in order of files.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> Vec<(&'a Path, &'a Occurrence)> {
        let mut all: Vec<(&Path, &Occurrence)> = self
            .files
            .iter()
            .flat_map(|(path, file)| file.found.iter().map(move |found| (path.as_path(), found)))
            .filter(|(_, found)| found.name == name)
            .collect();
        all.sort_by_key(|(path, found)| (path.to_path_buf(), found.line, found.column));
        all
    }

    /// Every name that stands somewhere in this way.
    pub(crate) fn names(&self, wanted: impl Fn(How) -> bool) -> Vec<String> {
        let mut names: Vec<String> = self
            .files
            .values()
            .flat_map(|file| &file.found)
            .filter(|found| wanted(found.how))
            .map(|found| found.name.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Every tag.
    pub(crate) fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = self.files.values().flat_map(|file| file.tags.iter().cloned()).collect();
        tags.sort();
        tags.dedup();
        tags
    }
}

/// What one file says.
pub(crate) fn read(path: &Path, text: &str) -> FileIndex {
    let kind = files::kind_of(path, text);
    let mut reader = Reader { text, lines: text.split('\n').collect(), found: Vec::new(), tags: Vec::new() };
    if kind == Kind::Template {
        reader.template(0, text.len());
    } else if kind != Kind::Other && (path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml")) {
        // not registered: nothing here draws a line of it
        if let Ok(document) = quorate_yaml::parse(text, FileId::default()) {
            let root = &document.root;
            match kind {
                Kind::Playbook => reader.plays(root),
                Kind::Tasks => reader.tasks(root, false),
                Kind::Handlers => reader.tasks(root, true),
                Kind::Vars => {
                    let level = match files::role_of(path) {
                        Some((_, "defaults")) => 2,
                        Some(_) => 15,
                        None if path.components().any(|part| part.as_os_str() == "host_vars") => 9,
                        None => 6,
                    };
                    reader.variables(root, level);
                }
                Kind::Inventory => reader.groups(root),
                Kind::Meta => reader.specs(root),
                Kind::Yaml => reader.variables(root, 14),
                _ => {}
            }
        }
    } else if kind == Kind::Inventory {
        reader.ini();
    }
    let Reader { found, tags, .. } = reader;
    FileIndex { kind: Some(kind), text: text.into(), found, tags }
}

struct Reader<'a> {
    text: &'a str,
    lines: Vec<&'a str>,
    found: Vec<Occurrence>,
    tags: Vec<String>,
}

impl Reader<'_> {
    /// The offset of a place.
    fn offset(&self, span: Span) -> usize {
        let line = (span.line as usize).saturating_sub(1);
        let before: usize = self.lines.iter().take(line).map(|line| line.len() + 1).sum();
        let text = self.lines.get(line).copied().unwrap_or_default();
        let column = (span.column as usize).saturating_sub(1);
        before + text.char_indices().nth(column).map_or(text.len(), |(at, _)| at)
    }

    /// The place of an offset.
    fn place(&self, offset: usize) -> (u32, u32) {
        let before = &self.text[..offset.min(self.text.len())];
        let line = before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[start..].chars().count();
        (u32::try_from(line).unwrap_or(0) + 1, u32::try_from(column).unwrap_or(0) + 1)
    }

    fn put(&mut self, name: &str, offset: usize, how: How) {
        let (line, column) = self.place(offset);
        self.found.push(Occurrence { name: name.to_owned(), line, column, how });
    }

    /// A key or value of YAML that is a name by itself.
    fn word(&mut self, node: &Node, how: How) {
        let Some(name) = node.as_str().filter(|name| !name.is_empty()) else { return };
        let offset = self.offset(node.span);
        let quote = usize::from(self.text[offset.min(self.text.len())..].starts_with(['"', '\'']));
        if self.text.get(offset + quote..).is_some_and(|rest| rest.starts_with(name)) {
            self.put(name, offset + quote, how);
        }
    }

    /// Variables of a mapping, defined at a level; their values may read others.
    fn variables(&mut self, node: &Node, level: u8) {
        for (key, entry) in node.as_mapping().into_iter().flat_map(Mapping::iter) {
            if key.as_str().is_some_and(is_identifier) {
                self.word(&entry.key, How::Defined(level));
            }
            self.values(&entry.value);
        }
        for item in node.as_sequence().into_iter().flatten() {
            self.variables(item, level);
        }
    }

    fn plays(&mut self, node: &Node) {
        for play in node.as_sequence().into_iter().flatten().filter_map(Node::as_mapping) {
            for (key, entry) in play.iter() {
                match key.as_str().unwrap_or_default() {
                    "pre_tasks" | "tasks" | "post_tasks" => self.tasks(&entry.value, false),
                    "handlers" => self.tasks(&entry.value, true),
                    "vars" => self.variables(&entry.value, 12),
                    "tags" => self.tag(&entry.value),
                    "when" => self.conditions(&entry.value),
                    "vars_prompt" => {
                        for prompt in entry.value.as_sequence().into_iter().flatten() {
                            prompt.get("name").into_iter().for_each(|name| self.word(name, How::Defined(13)));
                        }
                    }
                    "roles" => {
                        for role in
                            entry.value.as_sequence().into_iter().flatten().filter_map(Node::as_mapping)
                        {
                            self.role(role);
                        }
                    }
                    _ => self.values(&entry.value),
                }
            }
        }
    }

    fn role(&mut self, role: &Mapping) {
        for (key, entry) in role.iter() {
            match key.as_str().unwrap_or_default() {
                "role" | "name" => {}
                "vars" => self.variables(&entry.value, 20),
                "tags" => self.tag(&entry.value),
                "when" => self.conditions(&entry.value),
                key if tasks::is_keyword(key) => self.values(&entry.value),
                key => {
                    if is_identifier(key) {
                        self.word(&entry.key, How::Defined(20));
                    }
                    self.values(&entry.value);
                }
            }
        }
    }

    fn tasks(&mut self, node: &Node, handlers: bool) {
        for task in node.as_sequence().into_iter().flatten().filter_map(Node::as_mapping) {
            let block = task.get("block").is_some();
            for (key, entry) in task.iter() {
                match key.as_str().unwrap_or_default() {
                    "block" | "rescue" | "always" => self.tasks(&entry.value, handlers),
                    "when" | "changed_when" | "failed_when" | "until" => self.conditions(&entry.value),
                    "vars" => self.variables(&entry.value, if block { 16 } else { 17 }),
                    "tags" => self.tag(&entry.value),
                    "register" => self.word(&entry.value, How::Defined(19)),
                    "notify" => self.each(&entry.value, How::Notified),
                    "listen" => self.each(&entry.value, How::Handler),
                    "name" if handlers => {
                        self.word(&entry.value, How::Handler);
                        self.values(&entry.value);
                    }
                    "loop_control" => {
                        for (key, inner) in entry.value.as_mapping().into_iter().flat_map(Mapping::iter) {
                            match key.as_str() {
                                Some("loop_var" | "index_var") => self.word(&inner.value, How::Defined(17)),
                                _ => self.values(&inner.value),
                            }
                        }
                    }
                    "set_fact" | "ansible.builtin.set_fact" => {
                        for (key, inner) in entry.value.as_mapping().into_iter().flat_map(Mapping::iter) {
                            if key.as_str() != Some("cacheable") {
                                self.word(&inner.key, How::Defined(19));
                            }
                            self.values(&inner.value);
                        }
                    }
                    "assert" | "ansible.builtin.assert" => {
                        for (key, inner) in entry.value.as_mapping().into_iter().flat_map(Mapping::iter) {
                            if key.as_str() == Some("that") {
                                self.conditions(&inner.value);
                            } else {
                                self.values(&inner.value);
                            }
                        }
                    }
                    "debug" | "ansible.builtin.debug" => {
                        for (key, inner) in entry.value.as_mapping().into_iter().flat_map(Mapping::iter) {
                            if key.as_str() == Some("var") {
                                self.conditions(&inner.value);
                            } else {
                                self.values(&inner.value);
                            }
                        }
                    }
                    _ => self.values(&entry.value),
                }
            }
        }
    }

    fn each(&mut self, node: &Node, how: How) {
        match node.as_sequence() {
            Some(items) => items.iter().for_each(|item| self.word(item, how)),
            None => self.word(node, how),
        }
    }

    fn tag(&mut self, node: &Node) {
        for item in node.as_sequence().map_or_else(|| vec![node], |items| items.iter().collect()) {
            if let Some(text) = item.as_str().filter(|text| !text.contains("{{")) {
                self.tags
                    .extend(text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()));
            }
        }
    }

    /// Groups of an inventory: variables of hosts and groups.
    fn groups(&mut self, node: &Node) {
        for (_, group) in node.as_mapping().into_iter().flat_map(Mapping::iter) {
            for (key, entry) in group.value.as_mapping().into_iter().flat_map(Mapping::iter) {
                match key.as_str().unwrap_or_default() {
                    "vars" => self.variables(&entry.value, 3),
                    "children" => self.groups(&entry.value),
                    "hosts" => {
                        for (_, host) in entry.value.as_mapping().into_iter().flat_map(Mapping::iter) {
                            self.variables(&host.value, 8);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// `meta/argument_specs.yml`: options are variables of the role.
    fn specs(&mut self, node: &Node) {
        let entries = node.get("argument_specs").and_then(Node::as_mapping);
        for (_, entry) in entries.into_iter().flat_map(Mapping::iter) {
            let options = entry.value.get("options").and_then(Node::as_mapping);
            for (_, option) in options.into_iter().flat_map(Mapping::iter) {
                self.word(&option.key, How::Spelled);
            }
        }
    }

    /// `name=value` of an INI inventory.
    fn ini(&mut self) {
        let mut offset = 0;
        let mut level = 8;
        for line in self.lines.clone() {
            if line.starts_with('[') {
                level = if line.contains(":vars]") { 3 } else { 8 };
            } else if !line.trim_start().starts_with(['#', ';']) {
                let mut at = 0;
                for word in line.split([' ', '\t']) {
                    if let Some((name, _)) = word.split_once('=').filter(|(name, _)| is_identifier(name)) {
                        self.put(name, offset + at, How::Defined(level));
                    } else if level == 3
                        && is_identifier(word)
                        && line.trim_start().starts_with(word)
                        && line.contains('=')
                    {
                        self.put(word, offset + at, How::Defined(level));
                    }
                    at += word.len() + 1;
                }
            }
            offset += line.len() + 1;
        }
    }

    /// Every template in a value.
    fn values(&mut self, node: &Node) {
        if node.as_text().is_some_and(|text| text.is_template()) {
            self.template(self.offset(node.span), self.offset(node.end));
        }
        for item in node.as_sequence().into_iter().flatten() {
            self.values(item);
        }
        for (_, entry) in node.as_mapping().into_iter().flat_map(Mapping::iter) {
            self.values(&entry.value);
        }
    }

    fn conditions(&mut self, node: &Node) {
        if let Some(items) = node.as_sequence() {
            items.iter().for_each(|item| self.conditions(item));
            return;
        }
        let Some(text) = node.as_text() else { return };
        let (mut start, mut end) = (self.offset(node.span), self.offset(node.end).min(self.text.len()));
        if text.is_template() {
            return self.template(start, end);
        }
        let raw = self.text.get(start..end).unwrap_or_default();
        let quoted = raw.len() > 1
            && (raw.starts_with('"') && raw.trim_end().ends_with('"')
                || raw.starts_with('\'') && raw.trim_end().ends_with('\''));
        if quoted {
            start += 1;
            end = start + raw.trim_end().len() - 2;
        } else if raw.starts_with(['|', '>']) {
            start += raw.find('\n').unwrap_or(raw.len());
        }
        self.expression(start, end);
    }

    /// What stands between braces in a part of the text.
    fn template(&mut self, start: usize, end: usize) {
        let mut at = start;
        let end = end.min(self.text.len());
        while let Some(open) = self.text.get(at..end).and_then(|rest| rest.find('{')) {
            let open = at + open;
            let close = match self.text.get(open..open + 2) {
                Some("{{") => "}}",
                Some("{%") => "%}",
                Some("{#") => "#}",
                _ => {
                    at = open + 1;
                    continue;
                }
            };
            let Some(length) = self.text.get(open + 2..end).and_then(|rest| rest.find(close)) else { return };
            let inner = (open + 2, open + 2 + length);
            if close != "#}" {
                self.expression(inner.0, inner.1);
            }
            at = inner.1 + 2;
        }
    }

    /// Names of an expression.
    fn expression(&mut self, start: usize, end: usize) {
        let Some(text) = self.text.get(start..end) else { return };
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut before = String::new();
        let mut found = Vec::new();
        while at < bytes.len() {
            let c = text[at..].chars().next().unwrap_or(' ');
            if c == '"' || c == '\'' {
                let close = text[at + 1..].find(c).map_or(text.len(), |close| at + 1 + close);
                let inner = &text[at + 1..close];
                if is_identifier(inner) && inner.contains('_') {
                    found.push((inner.to_owned(), at + 1, How::Spelled));
                }
                at = (close + 1).min(text.len());
                "'".clone_into(&mut before);
            } else if c.is_alphabetic() || c == '_' {
                let length =
                    text[at..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len() - at);
                let word = &text[at..at + length];
                let rest = text[at + length..].trim_start();
                let call = rest.starts_with('(');
                let keyword_argument = rest.starts_with('=') && !rest.starts_with("==");
                let how = match before.as_str() {
                    "." => Some(How::Spelled).filter(|_| word.contains('_')),
                    "|" | "is" => None,
                    "not" if before_is_not(&text[..at]) => None,
                    _ if is_word(word) || call || (keyword_argument && !before_set(&text[..at])) => None,
                    _ => Some(How::Read),
                };
                found.extend(how.map(|how| (word.to_owned(), at, how)));
                word.clone_into(&mut before);
                at += length;
            } else {
                if !c.is_whitespace() {
                    before = c.to_string();
                }
                if c.is_ascii_digit() {
                    // `1e5` and `0x1f` are no names
                    let length = text[at..]
                        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                        .unwrap_or(text.len() - at);
                    at += length;
                } else {
                    at += c.len_utf8();
                }
            }
        }
        for (name, at, how) in found {
            self.put(&name, start + at, how);
        }
    }
}

/// Whether `is` stands before the `not` that ends a text.
fn before_is_not(text: &str) -> bool {
    text.trim_end().strip_suffix("not").is_some_and(|text| text.trim_end().ends_with("is"))
}

/// Whether `set` ends a text, as in `{% set x = 1 %}`.
fn before_set(text: &str) -> bool {
    text.trim_end().ends_with("set")
}

/// Words of the language.
fn is_word(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "not"
            | "in"
            | "is"
            | "if"
            | "else"
            | "elif"
            | "endif"
            | "for"
            | "endfor"
            | "set"
            | "endset"
            | "true"
            | "false"
            | "none"
            | "True"
            | "False"
            | "None"
            | "block"
            | "endblock"
            | "macro"
            | "endmacro"
            | "call"
            | "endcall"
            | "filter"
            | "endfilter"
            | "include"
            | "import"
            | "from"
            | "as"
            | "with"
            | "endwith"
            | "without"
            | "context"
            | "recursive"
            | "raw"
            | "endraw"
            | "do"
            | "ignore"
            | "missing"
            | "extends"
            | "loop"
            | "omit"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let words = read(Path::new(path), text).found;
        words
            .iter()
            .map(|word| {
                let line = text.lines().nth(word.line as usize - 1).unwrap();
                let there: String =
                    line.chars().skip(word.column as usize - 1).take(word.name.chars().count()).collect();
                assert_eq!(there, word.name, "the place is the word's");
                format!("{} {:?}", word.name, word.how)
            })
            .collect()
    }

    #[test]
    fn names_of_tasks() {
        let text = "- name: Say {{ greeting }}\n  debug:\n    msg: \"ü {{ a.b | default(c, true) }} {{ hostvars[h].etcd_seq }}\"\n  when:\n    - x is defined and 'y' in z\n    - not w\n  register: out\n  vars: { local: \"{{ far }}\" }\n  notify: restart\n  tags: [one, two]\n";
        assert_eq!(
            found("roles/r/tasks/main.yml", text),
            [
                "greeting Read",
                "a Read",
                "c Read",
                "hostvars Read",
                "h Read",
                "etcd_seq Spelled",
                "x Read",
                "z Read",
                "w Read",
                "out Defined(19)",
                "local Defined(17)",
                "far Read",
                "restart Notified",
            ]
        );
        assert_eq!(read(Path::new("roles/r/tasks/main.yml"), text).tags, ["one", "two"]);
    }

    #[test]
    fn names_of_other_files() {
        assert_eq!(
            found("roles/r/defaults/main.yml", "a: 1\nb: \"{{ c }}\"\n"),
            ["a Defined(2)", "b Defined(2)", "c Read"]
        );
        assert_eq!(
            found(
                "roles/r/templates/x.j2",
                "{# no #}{% for h in hosts %}{{ h }}{% endfor %}\n{% set q = p %}"
            ),
            ["h Read", "hosts Read", "h Read", "q Read", "p Read"]
        );
        assert_eq!(
            found("inventories/prod.yml", "g:\n  hosts:\n    a: { x: 1 }\n  vars: { y: 2 }\n"),
            ["x Defined(8)", "y Defined(3)"]
        );
        assert_eq!(
            found("inventories/hosts", "[g]\na x=1\n[g:vars]\ny=2\n"),
            ["x Defined(8)", "y Defined(3)"]
        );
    }

    #[test]
    fn folded_conditions() {
        let text = "- debug:\n  when: >-\n    one and\n    two\n";
        assert_eq!(found("roles/r/tasks/main.yml", text), ["one Read", "two Read"]);
    }
}
