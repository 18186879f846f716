//! `systemd_service`: one unit, or the manager itself.
//!
//! The unit is looked at, [`changes`] decides, then `systemctl` is called once for each [`Change`].
//!
//! **Invariant:** check mode calls only `show`, `is-enabled` and `list-unit-files`.
//!
//! Not here: which service manager a host has (`service`).

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::systemd::{self, Manager, property};
use quorate_value::{Dict, Value};

/// The `systemd_service` module.
pub struct SystemdService;

static SPEC: Spec = Spec::new("systemd_service", "Starts, stops, enables and masks systemd units.")
    .aliases(&["systemd"])
    .world()
    .params(&[
        Param::str("name").aliases(&["service", "unit"]).doc(
            "The unit. Without an extension it is a `.service`; in a chroot the extension must be written.",
        ),
        Param::str("state").choices(&["reloaded", "restarted", "started", "stopped"]).doc(
            "`started` and `stopped` act only when needed; `restarted` always acts; `reloaded` starts a stopped unit.",
        ),
        Param::bool("enabled").doc("Whether the unit starts at boot."),
        Param::bool("force").doc("Replace links that stand in the way."),
        Param::bool("masked").doc("Whether the unit is masked, so that nothing can start it."),
        Param::bool("daemon_reload")
            .aliases(&["daemon-reload"])
            .default_bool(false)
            .doc("Read unit files again, before anything else. Does not count as a change."),
        Param::bool("daemon_reexec")
            .aliases(&["daemon-reexec"])
            .default_bool(false)
            .doc("Re-execute the manager, before anything else. Does not count as a change."),
        Param::str("scope")
            .choices(&["system", "user", "global"])
            .default_str("system")
            .doc("Which manager: the system's, the calling user's, or the units of all users."),
        Param::bool("no_block").default_bool(false).doc("Do not wait until the unit has settled."),
    ])
    .required_by(&[("state", &["name"]), ("enabled", &["name"]), ("masked", &["name"])]);

/// What is known about a unit.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    status: Dict,
    found: bool,
    masked: Option<bool>,
    enabled: Option<bool>,
    offline: bool,
}

/// One call of `systemctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Mask(bool),
    Enable(bool),
    Do(&'static str),
}

/// What was asked of the unit.
#[derive(Debug, Clone, Copy, Default)]
struct Asked<'a> {
    state: Option<&'a str>,
    enabled: Option<bool>,
    masked: Option<bool>,
}

impl Module for SystemdService {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let manager = Manager::of(ctx, args.text("scope"), args.bool("no_block"), args.bool("force"))?;
        reload(&manager, args, ctx)?;
        let Some(unit) = args.str("name") else {
            return Ok(Outcome::ok().with("name", Value::Null).with("status", Dict::new()));
        };
        let asked =
            Asked { state: args.str("state"), enabled: args.flag("enabled"), masked: args.flag("masked") };
        manage(&manager, ctx, unit, asked)
    }
}

/// What `service` asks for on a host with systemd.
pub(super) fn run_as_service(
    ctx: &Ctx,
    unit: &str,
    state: Option<&str>,
    enabled: Option<bool>,
) -> Result<Outcome, Failure> {
    run_unit(ctx, unit, state, enabled, false)
}

/// The same for a module that knows its unit.
pub(super) fn run_unit(
    ctx: &Ctx,
    unit: &str,
    state: Option<&str>,
    enabled: Option<bool>,
    no_block: bool,
) -> Result<Outcome, Failure> {
    let manager = Manager::of(ctx, "system", no_block, false)?;
    if no_block && matches!(state, Some("started" | "restarted")) && !ctx.check {
        // a unit that failed too often is not started again, and who does not wait would not hear of it
        manager.call(&["reset-failed", unit])?;
    }
    manage(&manager, ctx, unit, Asked { state, enabled, masked: None })
}

fn manage(manager: &Manager<'_>, ctx: &Ctx, unit: &str, asked: Asked<'_>) -> Result<Outcome, Failure> {
    if let Some(glob) = unit.chars().find(|c| "*?[".contains(*c)) {
        return Err(Failure::new(format!(
            "This module does not currently support using glob patterns, found '{glob}' in service name: {unit}"
        )));
    }
    let seen = observe(manager, unit, asked)?;
    let outcome = Outcome::ok().with("name", unit).with("status", seen.status.clone());
    let (planned, state) = changes(unit, asked, &seen)?;
    let mut outcome = outcome;
    if let Some(enabled) = asked.enabled {
        outcome.set("enabled", enabled);
    }
    if let Some(state) = state {
        outcome.set("state", state);
    }
    outcome.set_changed(!planned.is_empty());
    if asked.state.is_some() && seen.offline {
        outcome = outcome.warn(
            "Target is a chroot or systemd is offline. This can lead to false positives or prevent the init system tools from working.",
        );
    }
    if !ctx.check {
        planned.iter().try_for_each(|change| apply(manager, unit, *change))?;
    }
    if asked.state.is_some() && !seen.status.contains_key("ActiveState") && !seen.offline {
        return Err(Failure::new("Service is in unknown state").with("status", seen.status));
    }
    Ok(outcome)
}

fn reload(manager: &Manager<'_>, args: &Args, ctx: &Ctx) -> Result<(), Failure> {
    for (asked, verb) in [("daemon_reload", "daemon-reload"), ("daemon_reexec", "daemon-reexec")] {
        if !args.bool(asked) || ctx.check {
            continue;
        }
        let output = manager.call(&[verb])?;
        if !output.ok() {
            let (rc, err) = (output.rc, output.stderr_text());
            return Err(Failure::new(format!("failure {rc} during {verb}: {err}")));
        }
    }
    Ok(())
}

fn observe(manager: &Manager<'_>, unit: &str, asked: Asked<'_>) -> Result<Seen, Failure> {
    let mut seen = Seen { found: systemd::has_init_script(unit), ..Seen::default() };
    let scripted = seen.found;
    let shown = manager.call_on("show", unit, &[])?;
    if shown.ok() && !systemd::was_ignored(&shown) {
        seen.status = systemd::properties(&shown.stdout_text());
        let load = property(&seen.status, "LoadState");
        if !seen.status.is_empty() && load != "not-found" {
            seen.found = true;
            let error = property(&seen.status, "LoadError");
            if load != "masked" && !error.is_empty() {
                return Err(Failure::new(format!("Error loading unit file '{unit}': {error}")));
            }
        }
    } else {
        let known = manager.call_on("is-enabled", unit, &[])?.ok()
            || manager.call_on("list-unit-files", unit, &[])?.ok();
        seen.found |= known;
        if !known {
            // Is there a manager at all? If not, what it says is the better message.
            let probe = manager.call(&[])?;
            if !probe.ok() {
                let said = if probe.stderr.is_empty() { probe.stdout_text() } else { probe.stderr_text() };
                return Err(Failure::of_command(said.trim_end(), &probe).with("cmd", manager.command_line()));
            }
        }
    }
    if asked.masked.is_some() {
        let output = manager.call_on("is-enabled", unit, &[])?;
        seen.masked = Some(output.stdout_text().trim() == "masked");
    }
    if asked.enabled.is_some() && (seen.found || asked.masked.is_some()) {
        let output = manager.call_on("is-enabled", unit, &["-l"])?;
        let printed = output.stdout_text();
        let by_script = scripted
            && output.rc == 1
            && (!printed.trim().ends_with("disabled") || systemd::script_is_enabled(unit, None));
        seen.enabled = Some(by_script || systemd::says_enabled(output.rc, &printed));
    }
    seen.offline = !seen.status.contains_key("ActiveState")
        && (systemd::is_chroot() || std::env::var("SYSTEMD_OFFLINE").is_ok_and(|value| value == "1"));
    Ok(seen)
}

/// The calls that lead to what was asked, and the `state` to report.
fn changes<'a>(unit: &str, asked: Asked<'a>, seen: &Seen) -> Result<(Vec<Change>, Option<&'a str>), Failure> {
    let mut planned = Vec::new();
    if let (Some(want), Some(masked)) = (asked.masked, seen.masked)
        && want != masked
    {
        planned.push(Change::Mask(want));
    }
    if asked.enabled.is_none() && asked.state.is_none() {
        return Ok((planned, None));
    }
    if !seen.found {
        return Err(Failure::new(format!("Could not find the requested service {unit}: host")));
    }
    if let (Some(want), Some(enabled)) = (asked.enabled, seen.enabled)
        && want != enabled
    {
        planned.push(Change::Enable(want));
    }
    let Some(state) = asked.state else { return Ok((planned, None)) };
    let active = property(&seen.status, "ActiveState");
    if active.is_empty() {
        return Ok((planned, Some(state)));
    }
    let running = matches!(active, "active" | "activating");
    let (action, reported) = match state {
        "started" => ((!running).then_some("start"), "started"),
        "stopped" => ((running || active == "deactivating").then_some("stop"), "stopped"),
        _ if !running => (Some("start"), "started"),
        "restarted" => (Some("restart"), "started"),
        _ => (Some("reload"), "started"),
    };
    planned.extend(action.map(Change::Do));
    Ok((planned, Some(reported)))
}

fn apply(manager: &Manager<'_>, unit: &str, change: Change) -> Result<(), Failure> {
    let verb = match change {
        Change::Mask(true) => "mask",
        Change::Mask(false) => "unmask",
        Change::Enable(true) => "enable",
        Change::Enable(false) => "disable",
        Change::Do(verb) => verb,
    };
    let output = manager.call_on(verb, unit, &[])?;
    if output.ok() {
        return Ok(());
    }
    let (out, err) = (output.stdout_text(), output.stderr_text());
    Err(Failure::new(match change {
        Change::Mask(_) => format!("Failed to {verb} the service ({unit}): {}", err.trim()),
        Change::Enable(_) => format!("Unable to {verb} service {unit}: {out}{err}"),
        Change::Do(_) => format!("Unable to {verb} service {unit}: {err}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::dict;

    fn seen(active: &str, enabled: bool, masked: bool) -> Seen {
        let status = if active.is_empty() {
            Dict::new()
        } else {
            dict! {"ActiveState" => active}
        };
        Seen {
            status,
            found: active != "missing",
            masked: Some(masked),
            enabled: Some(enabled),
            offline: false,
        }
    }

    fn plan(task: &str, seen: &Seen) -> String {
        let mut asked = Asked::default();
        for part in task.split_whitespace() {
            match part.split_once('=').unwrap() {
                ("state", state) => asked.state = Some(state),
                ("enabled", flag) => asked.enabled = Some(flag == "yes"),
                (_, flag) => asked.masked = Some(flag == "yes"),
            }
        }
        match changes("u", asked, seen) {
            Ok((planned, state)) => {
                let verbs: Vec<String> = planned
                    .iter()
                    .map(|change| match change {
                        Change::Mask(flag) => format!("mask:{flag}"),
                        Change::Enable(flag) => format!("enable:{flag}"),
                        Change::Do(verb) => (*verb).to_owned(),
                    })
                    .collect();
                format!("{} -> {}", verbs.join(" "), state.unwrap_or("-"))
            }
            Err(failure) => failure.message().to_owned(),
        }
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn what_has_to_be_done() {
        for (task, active, enabled, masked, expected) in [
            ("state=started",                "active",       true,  false, " -> started"),
            ("state=started",                "activating",   true,  false, " -> started"),
            ("state=started",                "inactive",     true,  false, "start -> started"),
            ("state=started",                "failed",       true,  false, "start -> started"),
            ("state=started",                "deactivating", true,  false, "start -> started"),
            ("state=stopped",                "active",       true,  false, "stop -> stopped"),
            ("state=stopped",                "deactivating", true,  false, "stop -> stopped"),
            ("state=stopped",                "failed",       true,  false, " -> stopped"),
            ("state=restarted",              "active",       true,  false, "restart -> started"),
            ("state=restarted",              "inactive",     true,  false, "start -> started"),
            ("state=reloaded",               "active",       true,  false, "reload -> started"),
            ("state=reloaded",               "inactive",     true,  false, "start -> started"),
            ("enabled=yes",                  "active",       false, false, "enable:true -> -"),
            ("enabled=yes",                  "active",       true,  false, " -> -"),
            ("enabled=no state=stopped",     "active",       true,  false, "enable:false stop -> stopped"),
            ("masked=yes state=stopped",     "active",       true,  false, "mask:true stop -> stopped"),
            ("masked=no enabled=yes",        "inactive",     false, true,  "mask:false enable:true -> -"),
            ("masked=yes",                   "missing",      false, false, "mask:true -> -"),
            ("state=started",                "missing",      false, false, "Could not find the requested service u: host"),
            ("enabled=no",                   "missing",      false, false, "Could not find the requested service u: host"),
            ("state=started",                "",             true,  false, " -> started"),
        ] {
            assert_eq!(plan(task, &seen(active, enabled, masked)), expected, "{task} on {active}");
        }
    }
}
