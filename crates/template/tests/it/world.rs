//! The world the tests render in: template files of a directory, a few environment variables, a vault of one key.

use quorate_template::{Error, Kind, Result, Source, World};
use quorate_value::{Span, Str};
use std::path::PathBuf;
use std::sync::Arc;

/// The tables and answers of the differential suite.
pub(crate) fn expressions() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential/expressions")
}

pub(crate) struct Files;

impl World for Files {
    fn env(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".to_owned())
    }

    fn template(&self, name: &str, _from: Option<&str>) -> Result<Option<Source>> {
        let path = expressions().join("templates").join(name);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        Ok(Some(Source { name: Arc::from(name), text: Str::written(&text, Span::default()) }))
    }

    fn decrypt(&self, vaulted: &str) -> Result<Str> {
        vaulted
            .strip_prefix("$VAULT;")
            .map(Str::new)
            .ok_or_else(|| Error::new(Kind::Vault, "not a vault of the tests'"))
    }
}
