//! What a person is told when something they wrote is wrong: one message, the place, the way out.
//!
//! In: plain data from any room. Out: text with the source line, drawn once, here.
//!
//! **Invariant:** a diagnostic holds no secret; whoever builds one passes names and places, never values of secrets.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use quorate_value::{Span, source_of};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can go on.
    Error,
    /// It goes on; somebody should look.
    Warning,
}

/// One message about something a person wrote.
#[derive(Debug, Clone)]
pub struct Diag {
    /// Error or warning.
    pub severity: Severity,
    /// Stable, documented in `docs/reference/errors.md`.
    pub code: &'static str,
    /// The headline: a lowercase fragment without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What stands under the caret.
    pub label: String,
    /// Facts that help to understand.
    pub notes: Vec<String>,
    /// The next thing to try.
    pub help: Option<String>,
    /// Other places that matter, each with its label.
    pub related: Vec<(Span, String)>,
    /// The headline as Ansible's own commands have it, where people's scripts look for that.
    pub ansible: Option<String>,
}

impl Diag {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Diag {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: Span::default(),
            label: String::new(),
            notes: Vec::new(),
            help: None,
            related: Vec::new(),
            ansible: None,
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Diag { severity: Severity::Warning, ..Diag::error(code, message) }
    }

    /// The same, at a place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// The same, with words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same, with one more fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same, with the next thing to try.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with `did you mean` where a near name exists.
    #[must_use]
    pub fn did_you_mean(self, wanted: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let known: Vec<String> = known.into_iter().map(|name| name.as_ref().to_owned()).collect();
        let near = quorate_yaml::nearest(wanted, known.iter().map(String::as_str));
        match near.first() {
            Some(name) => {
                let help = format!("did you mean `{name}`?");
                self.help(help)
            }
            None => self,
        }
    }

    /// What to do: said by whoever knew the case, or else by the catalogue.
    pub fn way_out(&self) -> Option<String> {
        let known = || if self.notes.is_empty() { crate::codes::remedy(self.code) } else { None };
        self.help.as_deref().map(crate::codes::fragment).or_else(known)
    }

    /// The message with its source line, for people. Colour only when asked.
    pub fn render(&self, colour: bool) -> String {
        let way_out = self.way_out();
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = source_of(self.span.file);
        if source.is_none() && !colour {
            // without a place there is no margin to draw
            let word = if self.severity == Severity::Error { "error" } else { "warning" };
            let mut text = format!("{word}[{}]: {}", self.code, self.message);
            for (_, label) in &self.related {
                text.push_str(&format!("\n  = note: {label}"));
            }
            for (word, words) in
                self.notes.iter().map(|note| ("note", note)).chain(way_out.iter().map(|help| ("help", help)))
            {
                text.push_str(&format!("\n  = {word}: {words}"));
            }
            return text;
        }
        let path = source.as_ref().map(|s| short_path(&s.path)).unwrap_or_default();
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut group = Group::with_title(title);
        let range = source.as_ref().and_then(|s| byte_range(&s.text, self.span));
        match (&source, range) {
            (Some(source), Some(range)) => {
                group = group.element(
                    Snippet::source(source.text.as_ref())
                        .path(path.as_str())
                        .annotation(AnnotationKind::Primary.span(range).label(self.label.as_str())),
                );
            }
            (Some(_), None) => group = group.element(annotate_snippets::Origin::path(path.as_str())),
            (None, _) => {}
        }
        let related: Vec<_> = self
            .related
            .iter()
            .map(|(span, label)| {
                let place =
                    if span.is_known() { format!("{label}: {}", short_place(*span)) } else { label.clone() };
                Level::NOTE.message(place)
            })
            .collect();
        for note in related {
            group = group.element(note);
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &way_out {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The headline and its place on one line, for logs and for Ansible's grammar.
    pub fn one_line(&self) -> String {
        let mut line = self.message.clone();
        if self.span.is_known() {
            line.push_str(&format!(" ({})", self.span));
        }
        if let Some(help) = &self.help {
            line.push_str(&format!("; {help}"));
        }
        line
    }
}

impl std::fmt::Display for Diag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.one_line())
    }
}

impl std::error::Error for Diag {}

/// A path as people typed it: below the working directory, relative to it.
fn short_path(path: &std::path::Path) -> String {
    let below = std::env::current_dir()
        .ok()
        .and_then(|cwd| path.strip_prefix(cwd).ok().map(std::path::Path::to_path_buf));
    below.unwrap_or_else(|| path.to_path_buf()).display().to_string()
}

/// A place, its path as people typed it.
pub(crate) fn short_place(span: Span) -> String {
    match source_of(span.file) {
        Some(source) => format!("{}:{}:{}", short_path(&source.path), span.line, span.column),
        None => span.to_string(),
    }
}

/// The bytes of the word at a place; nothing where the text has no such place.
fn byte_range(text: &str, span: Span) -> Option<std::ops::Range<usize>> {
    let line_start = match span.line {
        0 => return None,
        1 => 0,
        line => text.match_indices('\n').nth(line as usize - 2)?.0 + 1,
    };
    let line = text[line_start..].split('\n').next().unwrap_or("");
    let column = span.column.max(1) as usize - 1;
    let start = line.char_indices().nth(column).map_or(line.len(), |(i, _)| i);
    let word = line[start..].find([':', ' ', ',', '}', ']']).filter(|len| *len > 0);
    let end = word.map_or(line.len(), |len| start + len);
    Some(line_start + start..line_start + end.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::FileId;

    #[test]
    fn a_diagnostic_draws_its_line() {
        let file = FileId::register(std::path::Path::new("site.yml"), "- hosts: ectd\n  tasks: []\n".into());
        let text = Diag::error("E0001", "no host or group is named `ectd`")
            .at(Span::new(file, 1, 10))
            .label("not in the inventory")
            .help("did you mean `etcd`?")
            .render(false);
        assert!(text.starts_with("error[E0001]: no host or group is named `ectd`"), "{text}");
        assert!(text.contains("site.yml:1:10"), "{text}");
        assert!(text.contains("^^^^ not in the inventory"), "{text}");
        assert!(text.contains("help: did you mean `etcd`?"), "{text}");
    }
}
