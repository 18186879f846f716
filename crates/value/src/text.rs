//! Text with its marks: where it was written, whether it may hold a template, whether it is secret.

use crate::Span;
use std::sync::Arc;

const TRUSTED: u8 = 1;
const SECRET: u8 = 2;
const MARKUP: u8 = 4;
const VAULTED: u8 = 8;

/// Shared text with marks. Equality and hashing look at the text alone.
#[derive(Clone, Default)]
pub struct Str {
    text: Option<Arc<str>>,
    span: Span,
    marks: u8,
}

impl Str {
    /// Text without marks: not a template, not secret, written nowhere.
    pub fn new(text: &str) -> Self {
        Str { text: (!text.is_empty()).then(|| Arc::from(text)), span: Span::default(), marks: 0 }
    }

    /// Text written in a file that people own: trusted as a template.
    pub fn written(text: &str, span: Span) -> Self {
        Str { span, marks: TRUSTED, ..Str::new(text) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_deref().unwrap_or("")
    }

    /// Where it was written.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Whether it may be rendered as a template.
    pub fn is_trusted(&self) -> bool {
        self.marks & TRUSTED != 0
    }

    /// Whether it must never be shown.
    pub fn is_secret(&self) -> bool {
        self.marks & SECRET != 0
    }

    /// Whether it is trusted and holds something that looks like Jinja.
    pub fn is_template(&self) -> bool {
        // asked of nearly every text that is read: one look over it
        self.is_trusted()
            && self
                .as_str()
                .as_bytes()
                .windows(2)
                .any(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))
    }

    /// Whether it is markup already, so that escaping leaves it alone (Jinja's `Markup`; only templates see it).
    pub fn is_markup(&self) -> bool {
        self.marks & MARKUP != 0
    }

    /// The same text, as markup or as plain text.
    #[must_use]
    pub fn markup(mut self, on: bool) -> Self {
        self.marks = if on { self.marks | MARKUP } else { self.marks & !MARKUP };
        self
    }

    /// Whether it is the plain text of a vaulted value, as it was decrypted.
    pub fn is_vaulted(&self) -> bool {
        self.marks & VAULTED != 0
    }

    /// The same text, which came out of a vault.
    #[must_use]
    pub fn vaulted(mut self) -> Self {
        self.marks |= VAULTED;
        self
    }

    /// The text as it is shared; nothing for empty text.
    pub fn shared(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// The same text, trusted.
    #[must_use]
    pub fn trusted(mut self) -> Self {
        self.marks |= TRUSTED;
        self
    }

    /// The same text, not trusted.
    #[must_use]
    pub fn untrusted(mut self) -> Self {
        self.marks &= !TRUSTED;
        self
    }

    /// The same text, secret.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.marks |= SECRET;
        self
    }

    /// The same text, written at `span`.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }
}

impl std::ops::Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str::new(text)
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Str { text: (!text.is_empty()).then(|| Arc::from(text)), span: Span::default(), marks: 0 }
    }
}

impl From<Arc<str>> for Str {
    fn from(text: Arc<str>) -> Self {
        Str { text: (!text.is_empty()).then_some(text), span: Span::default(), marks: 0 }
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Str {}

impl std::hash::Hash for Str {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::fmt::Debug for Str {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_secret() { f.write_str("<secret>") } else { write!(f, "{:?}", self.as_str()) }
    }
}
