//! `dpkg_selections`: what dpkg is to do with a package, such as holding it back.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use quorate_value::dict;

/// The `dpkg_selections` module.
pub struct DpkgSelections;

static SPEC: Spec =
    Spec::new("dpkg_selections", "Puts packages on hold, or releases them.").diff().params(&[
        Param::str("name").required().doc("The package."),
        Param::str("selection")
            .required()
            .choices(&["install", "hold", "deinstall", "purge"])
            .doc("What dpkg is to do with it."),
    ]);

impl Module for DpkgSelections {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, wanted) = (args.text("name"), args.text("selection"));
        let dpkg = ctx.program("dpkg")?;
        let output = ctx.run(&ctx.command([dpkg.as_str(), "--get-selections", name]).env("LC_ALL", "C"))?;
        let text = output.stdout_text();
        let Some(current) = text.split_whitespace().nth(1) else {
            return Err(Failure::new(format!(
                "Failed to find package '{name}' to perform selection '{wanted}'."
            )));
        };
        let changed = current != wanted;
        if changed && !ctx.check {
            let command =
                ctx.command([dpkg.as_str(), "--set-selections"]).input(format!("{name} {wanted}\n"));
            ctx.run_ok(&command, "dpkg did not take the selection")?;
        }
        let outcome = Outcome::changed_if(changed).with("before", current).with("after", wanted);
        Ok(if changed {
            outcome.diff(Diff::dicts(dict! {"selection" => current}, dict! {"selection" => wanted}))
        } else {
            outcome
        })
    }
}
