//! `service`: starts and stops services with whatever manager the host has.
//!
//! systemd hosts get `systemd_service`'s answer, hosts with init scripts `sysvinit`'s; OpenRC is done here.
//!
//! Not here: finding out which manager it is (`facts::service_manager`).

use super::{systemd_service, sysvinit};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::facts::{Host, service_manager::service_manager};
use crate::system::process::Output;
use std::time::Duration;

/// The `service` module.
pub struct Service;

static SPEC: Spec = Spec::new("service", "Starts, stops and enables services, whichever manager the host has.")
    .world()
    .params(&[
        Param::str("name").required().doc("The service."),
        Param::str("state").choices(&["started", "stopped", "reloaded", "restarted"]).doc(
            "`started` and `stopped` act only when needed; `restarted` always acts; `reloaded` starts a stopped service.",
        ),
        Param::int("sleep").doc("Seconds between stop and start of a restart; init scripts only."),
        Param::str("pattern").doc(
            "Text to look for among the running processes where the script cannot tell its status; init scripts only.",
        ),
        Param::bool("enabled").doc("Whether the service starts at boot."),
        Param::str("runlevel").default_str("default").doc("OpenRC only: the runlevel it belongs to."),
        Param::str("arguments")
            .aliases(&["args"])
            .default_str("")
            .doc("More arguments for the script; not for systemd."),
        Param::str("use").default_str("auto").doc(
            "The manager to use: `systemd`, `sysvinit`, `openrc` or `service` (systemd if it runs, else init scripts); `auto` finds out.",
        ),
    ]);

impl Module for Service {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, state, enabled) = (args.text("name"), args.str("state"), args.flag("enabled"));
        let asked = args.text("use");
        let found = service_manager(&Host::here(&ctx.environment, Duration::from_secs(10)));
        let manager = match asked.rsplit('.').next().unwrap_or(asked) {
            "auto" | "" => found.as_str(),
            "systemd_service" => "systemd",
            "service" if found == "systemd" => "systemd",
            "service" if found == "openrc" => "openrc",
            "service" => "sysvinit",
            known @ ("systemd" | "sysvinit" | "openrc") => known,
            other => {
                return Err(Failure::new(format!("the service manager `{other}` is not supported"))
                    .with("hint", "use `auto`, `systemd`, `sysvinit` or `openrc`"));
            }
        };
        match manager {
            "systemd" => systemd_service::run_as_service(ctx, name, state, enabled),
            _ if state.is_none() && enabled.is_none() => {
                Err(Failure::new("one of the following is required: state, enabled"))
            }
            "openrc" => openrc(args, ctx),
            // Whatever the first process is: if there is a script, it works.
            _ => sysvinit::manage(
                ctx,
                &sysvinit::Asked {
                    name,
                    state,
                    enabled,
                    pattern: args.nonempty("pattern"),
                    arguments: args.text("arguments"),
                    runlevels: &[],
                    sleep: Duration::from_secs(args.int("sleep").unwrap_or(1).try_into().unwrap_or(0)),
                    daemonize: false,
                },
            ),
        }
    }
}

fn openrc(args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    let name = args.text("name");
    let runlevel = args.text("runlevel");
    let rc = |verb: &str| -> Result<Output, Failure> {
        let program = ctx.program("rc-service")?;
        let more = crate::system::shlex::split(args.text("arguments")).map_err(Failure::new)?;
        ctx.run(&ctx.command([program.as_str(), name, verb]).args(more).env("LC_ALL", "C"))
    };
    let mut outcome = Outcome::ok().with("name", name);
    let mut changed = false;
    if let Some(want) = args.flag("enabled") {
        let program = ctx.program("rc-update")?;
        let shown =
            ctx.run_ok(&ctx.command([program.as_str(), "show", runlevel]), "rc-update show failed")?;
        if openrc_enables(&shown.stdout_text(), name, runlevel) != want {
            changed = true;
            if !ctx.check {
                let verb = if want { "add" } else { "delete" };
                let output = ctx.run(&ctx.command([program.as_str(), verb, name, runlevel]))?;
                if !output.ok() {
                    let err = output.stderr_text();
                    return Err(Failure::new(format!(
                        "failure {} running rc-update {verb} {name} {runlevel}: {err}",
                        output.rc
                    )));
                }
            }
        }
        outcome.set("enabled", want);
    }
    if let Some(state) = args.str("state") {
        let status = rc("status")?;
        let printed = status.stdout_text() + &status.stderr_text();
        if printed.contains("does not exist") {
            return Err(Failure::new(format!("Could not find the requested service {name}: ")));
        }
        let running = status.ok() || printed.contains("crashed") && state == "stopped";
        let verbs = verbs(state, running);
        changed |= !verbs.is_empty();
        if !ctx.check {
            for verb in verbs {
                let output = rc(verb)?;
                if !output.ok() {
                    let said =
                        if output.stderr.is_empty() { output.stdout_text() } else { output.stderr_text() };
                    return Err(Failure::new(said));
                }
            }
        }
        outcome.set("state", if state == "stopped" { "stopped" } else { "started" });
    }
    outcome.set_changed(changed);
    Ok(outcome)
}

/// What to tell OpenRC so that a service gets into a state.
fn verbs(state: &str, running: bool) -> &'static [&'static str] {
    match (state, running) {
        ("started", true) | ("stopped", false) => &[],
        ("stopped", true) => &["stop"],
        ("restarted", true) => &["restart"],
        ("reloaded", true) => &["reload"],
        _ => &["start"],
    }
}

/// Whether `rc-update show` lists a service in a runlevel.
fn openrc_enables(shown: &str, name: &str, runlevel: &str) -> bool {
    shown.lines().any(|line| {
        line.split_once('|').is_some_and(|(service, levels)| {
            service.trim() == name && levels.split_whitespace().any(|level| level == runlevel)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openrc_runlevels() {
        let shown = "                 crond | default\n              chronyd |\n              modules | boot default\n";
        for (name, level, expected) in [
            ("crond", "default", true),
            ("chronyd", "default", false),
            ("modules", "boot", true),
            ("cron", "default", false),
        ] {
            assert_eq!(openrc_enables(shown, name, level), expected, "{name}");
        }
    }

    #[test]
    fn openrc_verbs() {
        for (state, running, expected) in [
            ("started", true, ""),
            ("started", false, "start"),
            ("stopped", false, ""),
            ("stopped", true, "stop"),
            ("restarted", false, "start"),
            ("reloaded", true, "reload"),
            ("reloaded", false, "start"),
        ] {
            assert_eq!(verbs(state, running).join(" "), expected, "{state} {running}");
        }
    }
}
