//! YAML 1.1 as PyYAML reads and writes it, every value with its place.
//!
//! In: text and a [`FileId`]. Out: [`Document`]s of [`Node`]s with warnings, or a [`YamlError`] that says what to write
//! instead.
//! Scalars resolve as PyYAML's `SafeLoader` has them (`yes`, `0644`, `1_000`, `12:30:45`); dates become the text that
//! Python prints for them. Merge keys are followed, duplicate keys warn, `!vault` and `!unsafe` are understood.
//!
//! **Invariant:** no text makes this crate panic, recurse beyond [`MAX_DEPTH`] or blow up through aliases.
//! Checked in `tests/it/laws.rs`.
//!
//! Not here: templates, Ansible's keywords, decryption.

mod compose;
mod de;
mod emit;
mod error;
mod fields;
mod hint;
mod libyaml;
mod locate;
mod nearest;
mod node;
mod quick;
mod scalar;
pub mod simple;
mod timestamp;

pub use compose::{Document, MAX_DEPTH, MAX_NODES, ParseOptions};
pub use de::{Spanned, as_value};
pub use emit::{EmitError, EmitStyle, to_yaml};
pub use error::{Warning, YamlError};
pub use fields::{Fields, UnknownField};
pub use libyaml::ScalarStyle;
pub use locate::locate;
pub use nearest::{did_you_mean, nearest};
pub use node::{Entry, Mapping, Node, NodeKind, Scalar, Sequence};

use quorate_value::{FileId, Span};
use std::path::Path;
use std::sync::Arc;

/// Reads the one document of a text that people own. More than one is an error, none is null.
pub fn parse(text: &str, file: FileId) -> Result<Document, YamlError> {
    compose::single(text, file, ParseOptions::default())
}

/// Reads one document with options.
pub fn parse_with(text: &str, file: FileId, options: ParseOptions) -> Result<Document, YamlError> {
    compose::single(text, file, options)
}

/// Reads all documents of a text.
pub fn parse_all(text: &str, file: FileId) -> Result<Vec<Document>, YamlError> {
    compose::documents(text, file, ParseOptions::default())
}

/// Reads all documents of a text with options.
pub fn parse_all_with(text: &str, file: FileId, options: ParseOptions) -> Result<Vec<Document>, YamlError> {
    compose::documents(text, file, options)
}

/// Registers a file as it was read and reads its one document.
pub fn parse_file(path: &Path, bytes: &[u8]) -> Result<Document, YamlError> {
    let file = FileId::register(path, Arc::from(String::from_utf8_lossy(bytes)));
    parse(decode(bytes, file)?, file)
}

/// Bytes as text; the error names the first place that is not UTF-8.
pub fn decode(bytes: &[u8], file: FileId) -> Result<&str, YamlError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(
            YamlError::new(Span::new(file, 1, 1), "the file is UTF-16, not UTF-8").hint("Save it as UTF-8.")
        );
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let mark = hint::place_of(&before, before.len());
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        YamlError::new(
            Span::new(file, mark.line.saturating_add(1), mark.column.saturating_add(1)),
            format!("the byte 0x{byte:02x} here is not UTF-8"),
        )
        .hint("Save the file as UTF-8.")
    })
}
