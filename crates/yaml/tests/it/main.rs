//! Everything that `quorate-yaml` promises, checked from outside.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod documents;
mod emit;
mod errors;
mod laws;
mod scalars;
mod typed;

use quorate_value::{FileId, Value};
use quorate_yaml::{Document, YamlError, parse};
use std::path::Path;

/// Reads text as a file named `/t.yml`.
fn read(text: &str) -> Result<Document, YamlError> {
    parse(text, FileId::register(Path::new("/t.yml"), text.into()))
}

/// The value of text that must be readable.
fn value(text: &str) -> Value {
    read(text).unwrap_or_else(|error| panic!("{text:?}: {}", error.report())).root.to_value()
}
