//! What a module answers: an [`Outcome`], or a [`Failure`].

use crate::system::process::Output;
use quorate_value::{Dict, Key, Value, dict};

/// Marks results that say nothing more about their path.
pub(super) const PLAIN: &str = "_plain";

/// What a module did. Becomes Ansible's result.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    changed: bool,
    entries: Dict,
    diffs: Vec<Diff>,
    warnings: Vec<Value>,
    deprecations: Vec<Value>,
}

impl Outcome {
    /// Nothing had to change.
    pub fn ok() -> Self {
        Outcome::default()
    }

    /// Something changed, or in check mode would.
    pub fn changed() -> Self {
        Outcome { changed: true, ..Outcome::default() }
    }

    /// Changed or not.
    pub fn changed_if(changed: bool) -> Self {
        Outcome { changed, ..Outcome::default() }
    }

    /// Says afterwards whether something changed.
    pub fn set_changed(&mut self, changed: bool) {
        self.changed = changed;
    }

    /// Whether something changed.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// An entry of the result.
    #[must_use]
    pub fn with(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.entries.insert(key, value);
        self
    }

    /// Several entries.
    #[must_use]
    pub fn with_all(mut self, entries: Dict) -> Self {
        self.entries.extend(entries);
        self
    }

    /// `msg`.
    #[must_use]
    pub fn msg(self, text: impl Into<String>) -> Self {
        self.with("msg", text.into())
    }

    /// An entry of the result.
    pub fn set(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        self.entries.insert(key, value);
    }

    /// Takes an entry out of the result again.
    pub fn unset(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// A difference; several make a list.
    #[must_use]
    pub fn diff(mut self, diff: Diff) -> Self {
        self.diffs.push(diff);
        self
    }

    /// Something worth a look.
    #[must_use]
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(Value::from(text.into()));
        self
    }

    /// Something that will stop working: what, in which version of which collection.
    #[must_use]
    pub fn deprecate(mut self, text: impl Into<String>, version: &str, collection: &str) -> Self {
        self.deprecations.push(Value::from(dict! {
            "msg" => text.into(),
            "version" => version,
            "collection_name" => collection,
        }));
        self
    }

    /// Facts about the host.
    #[must_use]
    pub fn facts(self, facts: Dict) -> Self {
        self.with("ansible_facts", facts)
    }

    /// `rc`, `stdout`, `stderr` of a program.
    #[must_use]
    pub fn output(self, output: &Output) -> Self {
        self.with("rc", output.rc).with("stdout", output.stdout_text()).with("stderr", output.stderr_text())
    }

    /// Leaves out what results tell about a `path` or `dest` (owner, mode, size) by themselves.
    #[must_use]
    pub fn plain(self) -> Self {
        self.with(PLAIN, true)
    }

    /// Ansible's shape.
    pub fn into_result(self) -> Dict {
        let mut result = self.entries;
        result.insert("changed", self.changed);
        let mut diffs: Vec<Value> = self.diffs.into_iter().map(Value::from).collect();
        match diffs.len() {
            0 => {}
            1 => {
                result.insert("diff", diffs.remove(0));
            }
            _ => {
                result.insert("diff", diffs);
            }
        }
        for (key, list) in [("warnings", self.warnings), ("deprecations", self.deprecations)] {
            if !list.is_empty() {
                result.insert(key, list);
            }
        }
        add_lines(&mut result);
        result
    }
}

/// `stdout_lines` beside `stdout`, `stderr_lines` beside `stderr`, as Ansible adds them.
fn add_lines(result: &mut Dict) {
    for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        if let Some(text) = result.get(text).and_then(Value::as_str)
            && !result.contains_key(lines)
        {
            let split: Value = split_lines(text).into_iter().collect();
            result.insert(lines, split);
        }
    }
}

/// Python's `str.splitlines()`.
pub fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let breaks =
            ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
        match rest.find(breaks) {
            None => {
                lines.push(rest);
                break;
            }
            Some(at) => {
                lines.push(&rest[..at]);
                let length = if rest[at..].starts_with("\r\n") {
                    2
                } else {
                    rest[at..].chars().next().map_or(1, char::len_utf8)
                };
                rest = &rest[at + length..];
            }
        }
    }
    lines
}

/// Why a module could not do it. Becomes a failed result.
#[derive(Debug, Clone)]
pub struct Failure {
    msg: String,
    entries: Dict,
    warnings: Vec<Value>,
}

impl Failure {
    /// A message in Ansible's words.
    pub fn new(msg: impl Into<String>) -> Self {
        Failure { msg: msg.into(), entries: Dict::new(), warnings: Vec::new() }
    }

    /// A program that ended badly, with what it wrote.
    pub fn of_command(msg: impl Into<String>, output: &Output) -> Self {
        Failure::new(msg)
            .with("rc", output.rc)
            .with("stdout", output.stdout_text())
            .with("stderr", output.stderr_text())
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.msg
    }

    /// An entry of the result.
    #[must_use]
    pub fn with(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.entries.insert(key, value);
        self
    }

    /// An entry of the result, unless it has one of this name or there is no value.
    #[must_use]
    pub fn or_with(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if value.is_null() || self.entries.contains_key(key) { self } else { self.with(key, value) }
    }

    /// Several entries.
    #[must_use]
    pub fn with_all(mut self, entries: Dict) -> Self {
        self.entries.extend(entries);
        self
    }

    /// What lies behind the message. Shown after it, but not part of `msg`.
    #[must_use]
    pub fn cause(self, text: impl Into<String>) -> Self {
        self.with("_cause", text.into())
    }

    /// Something worth a look.
    #[must_use]
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(Value::from(text.into()));
        self
    }

    /// Ansible's shape.
    pub fn into_result(self) -> Dict {
        let mut result = self.entries;
        result.insert("msg", self.msg);
        result.insert("failed", true);
        if !result.contains_key("changed") {
            result.insert("changed", false);
        }
        if !self.warnings.is_empty() {
            result.insert("warnings", self.warnings);
        }
        add_lines(&mut result);
        result
    }
}

/// A difference as Ansible reports it.
#[derive(Debug, Clone, Default)]
pub struct Diff(Dict);

impl Diff {
    /// Two texts.
    pub fn texts(before: impl Into<Value>, after: impl Into<Value>) -> Self {
        Diff(dict! {"before" => before.into(), "after" => after.into()})
    }

    /// Two mappings, such as attributes of a file.
    pub fn dicts(before: Dict, after: Dict) -> Self {
        Diff(dict! {"before" => before, "after" => after})
    }

    /// Text that is a difference already.
    pub fn prepared(text: impl Into<String>) -> Self {
        Diff(dict! {"prepared" => text.into()})
    }

    /// What stands above both sides.
    #[must_use]
    pub fn headers(mut self, before: impl Into<String>, after: impl Into<String>) -> Self {
        self.0.insert("before_header", before.into());
        self.0.insert("after_header", after.into());
        self
    }

    /// Another entry.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key, value);
        self
    }
}

impl From<Diff> for Value {
    fn from(diff: Diff) -> Value {
        Value::dict(diff.0)
    }
}
