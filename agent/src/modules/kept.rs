//! `_kept`: what the jobs of an earlier run came to on this host. Only the controller asks.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::protocol::hash_from_hex;
use crate::spec::{Check, Kind, Param, Spec};
use quorate_value::{Value, dict};

/// The `_kept` module.
pub struct Kept;

static SPEC: Spec = Spec::new("_kept", "Gives back what jobs of a run came to that broke off.")
    .params(&[
        Param::list("seals", Kind::Str).hidden().doc("Seals of runs; set by the controller."),
        Param::bool("take_over").hidden().doc("Helpers of these runs end first; set by the controller."),
    ])
    .check(Check::Full)
    .world();

impl Module for Kept {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let seals = args.value("seals").and_then(Value::as_list).unwrap_or_default();
        let seals: Vec<[u8; 32]> =
            seals.iter().filter_map(|seal| hash_from_hex(seal.as_str().unwrap_or_default())).collect();
        if args.bool("take_over") {
            crate::kept::take_over(&seals);
        }
        let found = crate::kept::read(&seals).into_iter();
        let entries: Vec<Value> = found
            .map(|(name, result)| Value::dict(dict! {"name" => name, "result" => Value::dict(result)}))
            .collect();
        Ok(Outcome::ok().with("kept", Value::list(entries)))
    }
}
