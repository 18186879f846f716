//! What goes wrong in a template: kind, words, place, and through which variables we came there.
//!
//! Out: [`Error`], whose `Display` says what ansible-core 2.19 says, so that people can search for it.
//! The place, the chain of variables and the candidates for a mistyped name travel as data beside it.
//!
//! **Invariant:** where a secret was read, words that may quote a value are not shown.

use quorate_value::Span;
use std::sync::Arc;

/// The outcome of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The text is no template.
    Syntax,
    /// The text is no expression (`when`, `that`, ...).
    ExpressionSyntax,
    /// Something that does not exist was used. `default` and `is defined` catch this.
    Undefined,
    /// The wrong type, a division by zero, a missing argument: what Python raises.
    Runtime,
    /// The same in a bare expression.
    ExpressionRuntime,
    /// A filter did not like its input; the filter's full name.
    Filter(Arc<str>),
    /// A test did not like its input; the test's full name.
    Test(Arc<str>),
    /// A lookup failed; its name.
    Lookup(Arc<str>),
    /// No such lookup.
    NoPlugin,
    /// A variable that needs itself, or nesting without end.
    Recursion,
    /// A condition whose result is no boolean.
    Conditional,
    /// A whole template came out as `omit` where a value is needed.
    Omitted,
    /// Something about vaults does not work.
    Vault,
    /// A variable is a vault that cannot be opened.
    Undecryptable,
    /// The same in a bare expression.
    UndecryptableExpression,
    /// Text of a host or a command where only people's own text may be a template.
    Untrusted,
}

/// A place in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The template's name, for templates that are files.
    pub template: Option<Arc<str>>,
    /// Where the template's text begins, where that is known.
    pub origin: Span,
    /// The template's text.
    pub text: Arc<str>,
    /// The first byte of what is wrong.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Place {
    /// Line and column inside the template's text, both from 1, the column in characters.
    pub fn position(&self) -> (u32, u32) {
        let before = self.text.get(..self.start.min(self.text.len())).unwrap_or(&self.text);
        let line = before.bytes().filter(|&b| b == b'\n').count();
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count());
        (line as u32 + 1, column as u32 + 1)
    }

    /// The piece of the template that is wrong.
    pub fn snippet(&self) -> &str {
        self.text.get(self.start..self.end).unwrap_or("")
    }
}

/// One variable on the way to the mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The variable's name; nothing for an element inside one.
    pub variable: Option<Arc<str>>,
    /// Where its template is written.
    pub defined: Span,
}

/// A mistake in a template, or in what it was given.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    detail: String,
    place: Option<Place>,
    name: Option<Arc<str>>,
    similar: Vec<String>,
    via: Vec<Via>,
    secret: bool,
    intro: &'static str,
}

impl Error {
    /// A mistake of a kind, without a place as yet.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            detail: detail.into(),
            place: None,
            name: None,
            similar: Vec::new(),
            via: Vec::new(),
            secret: false,
            intro: "",
        }))
    }

    /// What Python would raise while the template runs.
    pub fn runtime(detail: impl Into<String>) -> Self {
        Error::new(Kind::Runtime, detail)
    }

    /// Something that does not exist.
    pub fn undefined(detail: impl Into<String>) -> Self {
        Error::new(Kind::Undefined, detail)
    }

    /// The variable `name` does not exist.
    pub fn unknown_variable(name: &str) -> Self {
        let mut error = Error::undefined(format!("'{name}' is undefined"));
        error.0.name = Some(Arc::from(name));
        error
    }

    /// The rule that was broken.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Whether this is about something that does not exist.
    pub fn is_undefined(&self) -> bool {
        self.0.kind == Kind::Undefined
    }

    /// The words without Ansible's introduction. Not to be shown where [`Error::is_secret`].
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Where it is wrong.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The variable that does not exist.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Names that exist and look like the missing one, best first.
    pub fn similar(&self) -> &[String] {
        &self.0.similar
    }

    /// The variables on the way, the innermost first.
    pub fn via(&self) -> &[Via] {
        &self.0.via
    }

    /// Whether a secret was read on the way, so that the words may quote it.
    pub fn is_secret(&self) -> bool {
        self.0.secret
    }

    /// The same mistake at a place, if it has none yet.
    #[must_use]
    pub fn at(mut self, place: impl FnOnce() -> Place) -> Self {
        if self.0.place.is_none() {
            self.0.place = Some(place());
        }
        self
    }

    /// The same mistake in a template that is written at `span`.
    #[must_use]
    pub(crate) fn written_at(mut self, span: Span) -> Self {
        if let Some(place) = &mut self.0.place
            && !place.origin.is_known()
        {
            place.origin = span;
        }
        self
    }

    /// The same mistake in a template of this name.
    #[must_use]
    pub(crate) fn in_template(mut self, name: &Arc<str>) -> Self {
        if let Some(place) = &mut self.0.place
            && place.template.is_none()
        {
            place.template = Some(Arc::clone(name));
        }
        self
    }

    /// The same mistake, reached through a variable.
    #[must_use]
    pub fn through(mut self, via: Via) -> Self {
        self.0.via.push(via);
        self
    }

    /// The same mistake with names that look like the missing one.
    #[must_use]
    pub fn with_similar(mut self, similar: Vec<String>) -> Self {
        self.0.similar = similar;
        self
    }

    /// The same mistake, about a variable.
    #[must_use]
    pub fn named(mut self, name: Arc<str>) -> Self {
        self.0.name = Some(name);
        self
    }

    /// The same mistake, of another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same mistake with words before it.
    #[must_use]
    pub(crate) fn introduced(mut self, intro: &'static str) -> Self {
        self.0.intro = intro;
        self
    }

    /// The same mistake after a secret was read.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.0.secret = true;
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names of variables are safe to show; anything else may quote a value.
        let detail = match self.0.kind {
            Kind::Undefined | Kind::Syntax | Kind::ExpressionSyntax | Kind::NoPlugin | Kind::Recursion => {
                self.0.detail.as_str()
            }
            _ if self.0.secret => "<the words are hidden: a secret was read>",
            _ => self.0.detail.as_str(),
        };
        f.write_str(self.0.intro)?;
        match &self.0.kind {
            Kind::Syntax => write!(f, "Syntax error in template: {detail}"),
            Kind::ExpressionSyntax => match &self.0.place {
                Some(place) if ["{{", "{%", "{#"].iter().any(|tag| place.text.contains(tag)) => write!(
                    f,
                    "Syntax error in expression. Template delimiters are not supported in expressions: {detail}"
                ),
                _ => write!(f, "Syntax error in expression: {detail}"),
            },
            Kind::ExpressionRuntime => write!(f, "Error rendering expression: {detail}"),
            Kind::Runtime => write!(f, "Error rendering template: {detail}"),
            Kind::Undecryptable => {
                write!(f, "Error rendering template: Attempt to use undecryptable variable: {detail}")
            }
            Kind::UndecryptableExpression => {
                write!(f, "Error rendering expression: Attempt to use undecryptable variable: {detail}")
            }
            Kind::Filter(name) => write!(f, "The filter plugin '{name}' failed: {detail}"),
            Kind::Test(name) => write!(f, "The test plugin '{name}' failed: {detail}"),
            Kind::Lookup(name) => write!(f, "The lookup plugin '{name}' failed: {detail}"),
            Kind::Recursion => write!(f, "Recursive loop detected in template: {detail}"),
            Kind::Undefined
            | Kind::NoPlugin
            | Kind::Conditional
            | Kind::Omitted
            | Kind::Vault
            | Kind::Untrusted => f.write_str(detail),
        }
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        if let Some(place) = &self.0.place {
            let (line, column) = place.position();
            write!(f, " at {line}:{column}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let place =
            Place { template: None, origin: Span::default(), text: Arc::from("ä\nöx"), start: 5, end: 6 };
        assert_eq!(place.position(), (2, 2));
        assert_eq!(place.snippet(), "x");
    }

    #[test]
    fn words_that_may_quote_a_secret_are_hidden() {
        let error = Error::runtime("invalid literal 'hunter2'").secret();
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
        assert!(Error::unknown_variable("x").secret().to_string().contains("'x' is undefined"));
    }
}
