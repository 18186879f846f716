//! What is wrong with a text: the place, the mistake, and what to write instead.

use quorate_value::Span;
use std::fmt;

/// Why text cannot be read. `Display` is the headline; [`YamlError::report`] is the whole story.
#[derive(Debug, Clone, PartialEq)]
pub struct YamlError {
    inner: Box<Inner>,
}

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    span: Span,
    message: String,
    context: Option<(Span, String)>,
    hint: Option<String>,
    problem: Option<String>,
    others: Vec<YamlError>,
}

impl YamlError {
    /// A mistake at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        YamlError {
            inner: Box::new(Inner {
                span,
                message,
                context: None,
                hint: None,
                problem: None,
                others: Vec::new(),
            }),
        }
    }

    /// The same, with a second place that matters and why it does.
    #[must_use]
    pub fn context(mut self, span: Span, what: impl Into<String>) -> Self {
        self.inner.context = Some((span, what.into()));
        self
    }

    /// The same, with the next thing to try, as an imperative sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// The same, with libyaml's own words.
    #[must_use]
    pub(crate) fn problem(mut self, words: &str) -> Self {
        self.inner.problem = Some(words.to_owned());
        self
    }

    /// What libyaml, and with it every other reader of YAML, says about it; nothing for what only we refuse.
    pub fn libyaml(&self) -> Option<&str> {
        self.inner.problem.as_deref()
    }

    /// The same, at `span` where it had no place yet.
    #[must_use]
    pub fn or_at(mut self, span: Span) -> Self {
        if !self.inner.span.is_known() {
            self.inner.span = span;
        }
        self
    }

    /// All of several mistakes as one error: the first leads.
    pub(crate) fn all(errors: Vec<YamlError>) -> Option<YamlError> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        for error in errors {
            // Broken syntax is often found twice: as a value that makes no sense, and as what follows it.
            let same = |other: &YamlError| other.span() == error.span() && other.message() == error.message();
            if !same(&first) && !first.inner.others.iter().any(same) {
                first.inner.others.push(error);
            }
        }
        Some(first)
    }

    /// Where the mistake is.
    pub fn span(&self) -> Span {
        self.inner.span
    }

    /// What is wrong: a lowercase fragment without a full stop.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// A second place that matters, such as the quote that was never closed.
    pub fn related(&self) -> Option<(Span, &str)> {
        self.inner.context.as_ref().map(|(span, what)| (*span, what.as_str()))
    }

    /// The next thing to try.
    pub fn help(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Further mistakes found in the same text.
    pub fn others(&self) -> &[YamlError] {
        &self.inner.others
    }

    /// Everything, over several lines: place, message, related place, hint, then the other mistakes.
    pub fn report(&self) -> String {
        use fmt::Write as _;
        let mut out = format!("{}: {}", self.inner.span, self.inner.message);
        if let Some((span, what)) = &self.inner.context {
            let _ = write!(out, "\n{span}: {what}");
        }
        if let Some(hint) = &self.inner.hint {
            let _ = write!(out, "\nhint: {hint}");
        }
        for other in &self.inner.others {
            let _ = write!(out, "\n{}", other.report());
        }
        out
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl std::error::Error for YamlError {}

/// Something in a text that works but is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A key stands twice in one mapping; the last one wins.
    DuplicateKey {
        /// The key as text.
        key: String,
        /// Where the value that is thrown away has its key.
        first: Span,
        /// Where the key that wins stands.
        second: Span,
    },
    /// A tag that ansible-core will drop.
    DeprecatedTag {
        /// The tag as written.
        tag: String,
        /// Where.
        span: Span,
        /// What to write instead.
        instead: &'static str,
    },
}

impl Warning {
    /// The place to show.
    pub fn span(&self) -> Span {
        match self {
            Warning::DuplicateKey { second, .. } => *second,
            Warning::DeprecatedTag { span, .. } => *span,
        }
    }

    /// A second place that matters.
    pub fn related(&self) -> Option<(Span, &'static str)> {
        match self {
            Warning::DuplicateKey { first, .. } => Some((*first, "it is set here first")),
            Warning::DeprecatedTag { .. } => None,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::DuplicateKey { key, .. } => {
                write!(f, "the key `{key}` stands twice in one mapping; the last one wins")
            }
            Warning::DeprecatedTag { tag, instead, .. } => {
                write!(f, "the tag `{tag}` is deprecated; {instead}")
            }
        }
    }
}
