//! `package`: packages with whatever manager the host has.
//!
//! Finds the manager and hands the task's arguments to its module, which answers.

use crate::args::{self, Args};
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::facts::{Host, distribution::distribution, packages::package_manager};
use quorate_value::{Dict, Value};
use std::time::Duration;

/// The `package` module.
pub struct Package;

static SPEC: Spec = Spec::new("package", "Installs and removes packages, whichever manager the host has.")
    .diff()
    .any_params()
    .params(&[
        Param::raw("name").required().doc("Packages; names are the manager's own."),
        Param::str("state")
            .required()
            .doc("`present`, `absent`, `latest`, or what the manager's module knows."),
        Param::str("use").default_str("auto").doc("The manager: `apt`, `dnf`, `apk`; `auto` finds out."),
    ]);

impl Module for Package {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let asked = args.text("use");
        let manager = if matches!(asked, "auto" | "") { find(ctx) } else { asked.to_owned() };
        let unknown = || {
            Failure::new(format!("Could not find a matching action for the \"{manager}\" package manager."))
        };
        let name = match manager.rsplit('.').next().unwrap_or_default() {
            "dnf" | "dnf5" | "yum" => "dnf",
            known @ ("apt" | "apk") => known,
            _ => return Err(unknown()),
        };
        let module = super::find(name).ok_or_else(unknown)?;
        let given: Dict = args
            .all()
            .iter()
            .filter(|(key, value)| key.as_str() != Some("use") && !value.is_null())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let checked = args::check(module.spec(), name, &given, ctx.place());
        if let Some(complaint) = checked.error {
            return Err(Failure::new(complaint.msg));
        }
        let outcome = module.run(&Args::new(checked.args, module.spec()), ctx)?;
        Ok(checked.warnings.into_iter().fold(outcome, Outcome::warn))
    }
}

fn find(ctx: &Ctx) -> String {
    let host = Host::here(&ctx.environment, Duration::from_secs(10));
    let facts = distribution(&host);
    package_manager(&host, facts.get("os_family").and_then(Value::as_str).unwrap_or_default())
}
