//! `ping`: the helper is alive and can run modules.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};

/// The `ping` module.
pub struct Ping;

static SPEC: Spec =
    Spec::new("ping", "Answers `pong` when the host can run modules.").params(&[Param::str("data")
        .default_str("pong")
        .doc("What to answer; `crash` makes the module fail.")]);

impl Module for Ping {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        match args.text("data") {
            "crash" => Err(Failure::new("Task failed: Module failed: boom")),
            data => Ok(Outcome::ok().with("ping", data)),
        }
    }
}
