//! `slurp`: a file's content, in Base64, in the result.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::process::errno;
use base64::Engine as _;
use std::io::ErrorKind;

/// The `slurp` module.
pub struct Slurp;

static SPEC: Spec =
    Spec::new("slurp", "Brings the content of a file of the host into a variable, in Base64.")
        .params(&[Param::path("src").required().aliases(&["path"]).doc("The file.")]);

impl Module for Slurp {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("src");
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::new(match error.kind() {
                ErrorKind::NotFound => format!("File not found: {path}"),
                ErrorKind::PermissionDenied => format!("File is not readable: {path}"),
                ErrorKind::IsADirectory => format!("Source is a directory and must be a file: {path}"),
                _ => format!("Unable to slurp file: {}", errno(&error)),
            })
        })?;
        Ok(Outcome::ok()
            .with("content", base64::engine::general_purpose::STANDARD.encode(bytes))
            .with("source", path)
            .with("encoding", "base64"))
    }
}
