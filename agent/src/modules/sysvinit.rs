//! `sysvinit`: services that are System V init scripts.
//!
//! **Invariant:** check mode asks scripts for their `status` and does nothing else.
//!
//! Not here: hosts where systemd or OpenRC starts the scripts (`service` picks).

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::Output;
use crate::system::{shlex, systemd};
use quorate_value::{Dict, Value, dict};
use std::time::Duration;

/// The `sysvinit` module.
pub struct Sysvinit;

static SPEC: Spec = Spec::new("sysvinit", "Starts, stops and enables System V init scripts.")
    .world()
    .params(&[
        Param::str("name").required().aliases(&["service"]).doc("The script's name."),
        Param::str("state")
            .choices(&["started", "stopped", "restarted", "reloaded"])
            .doc("`started` and `stopped` act only when needed; the others always act."),
        Param::bool("enabled").doc("Whether the script runs at boot."),
        Param::int("sleep").default_int(1).doc("Seconds between stop and start of a restart."),
        Param::str("pattern")
            .doc("Text to look for among the running processes in place of the script's status."),
        Param::str("arguments").aliases(&["args"]).doc("More arguments for the script."),
        Param::list("runlevels", Kind::Str).doc("The runlevels to enable it in; the script's own if absent."),
        Param::bool("daemonize")
            .default_bool(false)
            .doc("The script does not put its daemon into the background itself."),
    ])
    .required_one_of(&[&["state", "enabled"]]);

/// What a task wants of a script.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) state: Option<&'a str>,
    pub(super) enabled: Option<bool>,
    pub(super) pattern: Option<&'a str>,
    pub(super) arguments: &'a str,
    pub(super) runlevels: &'a [String],
    pub(super) sleep: Duration,
    pub(super) daemonize: bool,
}

impl Module for Sysvinit {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        manage(
            ctx,
            &Asked {
                name: args.text("name"),
                state: args.str("state"),
                enabled: args.flag("enabled"),
                pattern: args.nonempty("pattern"),
                arguments: args.text("arguments"),
                runlevels: &args.strings("runlevels"),
                sleep: Duration::from_secs(args.int("sleep").unwrap_or(1).try_into().unwrap_or(0)),
                daemonize: args.bool("daemonize"),
            },
        )
    }
}

/// Brings a script's service into the state asked for.
pub(super) fn manage(ctx: &Ctx, asked: &Asked<'_>) -> Result<Outcome, Failure> {
    let name = asked.name;
    if !systemd::has_init_script(name) {
        return Err(Failure::new(format!("Could not find the requested service {name}: ")));
    }
    let untouched =
        dict! {"changed" => false, "rc" => Value::Null, "stdout" => Value::Null, "stderr" => Value::Null};
    let mut status = dict! {"enabled" => untouched.clone()};
    let mut changed = false;
    if let Some(want) = asked.enabled {
        let differs = if asked.runlevels.is_empty() {
            systemd::script_is_enabled(name, None) != want
        } else {
            asked.runlevels.iter().any(|level| systemd::script_is_enabled(name, Some(level)) != want)
        };
        let mut entry = untouched.clone();
        if !asked.runlevels.is_empty() {
            entry.insert("runlevels", asked.runlevels.iter().collect::<Value>());
        }
        if differs {
            changed = true;
            entry.insert("changed", true);
            if !ctx.check {
                report(&mut entry, &enable(ctx, asked, want)?);
            }
        }
        status.insert("enabled", entry);
    }
    if let Some(state) = asked.state {
        let running = is_running(ctx, asked)?;
        let verbs = verbs(state, running);
        let mut entry = untouched;
        if !verbs.is_empty() {
            changed = true;
            entry.insert("changed", true);
        }
        if !ctx.check {
            for (nth, verb) in verbs.iter().enumerate() {
                if nth > 0 {
                    ctx.sleep(asked.sleep)?;
                }
                let output = call(ctx, asked, verb)?;
                report(&mut entry, &output);
                // A stop may fail because it had stopped already.
                let forgiven = *verb == "stop" && verbs.len() > 1;
                if !output.ok() && !forgiven {
                    return Err(Failure::of_command(format!("Failed to {verb} service: {name}"), &output)
                        .with("status", status));
                }
            }
        }
        status.insert(state, entry);
    }
    Ok(Outcome::changed_if(changed).with("name", name).with("status", status))
}

fn report(entry: &mut Dict, output: &Output) {
    entry.insert("rc", output.rc);
    entry.insert("stdout", output.stdout_text());
    entry.insert("stderr", output.stderr_text());
}

/// What to tell a script so that its service gets into a state.
fn verbs(state: &str, running: bool) -> &'static [&'static str] {
    match state {
        "started" if !running => &["start"],
        "stopped" if running => &["stop"],
        "restarted" => &["stop", "start"],
        "reloaded" => &["reload"],
        _ => &[],
    }
}

fn call(ctx: &Ctx, asked: &Asked<'_>, verb: &str) -> Result<Output, Failure> {
    let more = shlex::split(asked.arguments).map_err(Failure::new)?;
    let name = asked.name;
    let script = ["/etc/init.d", "/etc/rc.d/init.d"]
        .map(|directory| format!("{directory}/{name}"))
        .into_iter()
        .find(|file| crate::system::process::is_executable(file.as_ref()));
    let command = match (ctx.which("service"), script) {
        (Some(service), _) if !asked.daemonize => ctx.command([service.as_str(), name, verb]),
        (_, Some(script)) if asked.daemonize && verb == "start" => {
            // The process group of the task ends with the task, so the daemon gets one of its own.
            let setsid = ctx.program("setsid")?;
            ctx.command([setsid, "-f".into(), script, verb.into()])
        }
        (_, Some(script)) => ctx.command([script, verb.into()]),
        (_, None) => return Err(Failure::new(format!("Could not find the requested service {name}: "))),
    };
    ctx.run(&command.args(more).env("LC_ALL", "C"))
}

fn is_running(ctx: &Ctx, asked: &Asked<'_>) -> Result<bool, Failure> {
    if let Some(pattern) = asked.pattern {
        let own = std::process::id().to_string();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        return Ok(processes
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.bytes().all(|byte| byte.is_ascii_digit()) && name != own
            })
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(pattern)));
    }
    let output = call(ctx, asked, "status")?;
    Ok(says_running(output.rc, &(output.stdout_text() + &output.stderr_text())))
}

/// Whether a script's `status` means that it runs: the LSB exit codes, then words for scripts that ignore them.
fn says_running(rc: i32, printed: &str) -> bool {
    let printed = printed.to_lowercase();
    let no = ["not running", "is stopped", "stopped", "is dead", "inactive"];
    match rc {
        0 => !no.iter().any(|words| printed.contains(words)),
        // Dead with a pid file or lock, or cleanly stopped.
        1..=3 => false,
        _ => printed.contains("running") && !no.iter().any(|words| printed.contains(words)),
    }
}

fn enable(ctx: &Ctx, asked: &Asked<'_>, want: bool) -> Result<Output, Failure> {
    let name = asked.name;
    let run = |words: &[&str]| ctx.run(&ctx.command(words.iter().copied()).env("LC_ALL", "C"));
    let output = if let Some(program) = ctx.which("update-rc.d") {
        if want {
            let added = run(&[&program, name, "defaults"])?;
            if added.ok() && asked.runlevels.is_empty() { run(&[&program, name, "enable"])? } else { added }
        } else {
            run(&[&program, name, "disable"])?
        }
    } else if let Some(program) = ctx.which("chkconfig") {
        let levels = asked.runlevels.concat();
        let mut words = vec![program.as_str()];
        if !levels.is_empty() {
            words.extend(["--level", &levels]);
        }
        words.extend([name, if want { "on" } else { "off" }]);
        run(&words)?
    } else {
        return Err(Failure::new(
            "neither `update-rc.d` nor `chkconfig` is installed, so nothing can be enabled",
        ));
    };
    if output.ok() {
        return Ok(output);
    }
    let verb = if want { "enable" } else { "disable" };
    Err(Failure::of_command(format!("Failed to {verb} service: {name}"), &output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_scripts() {
        for (rc, printed, expected) in [
            (0, "cron is running.", true),
            (0, "foo (pid 3) is running...", true),
            (0, "foo is not running", false),
            (0, "foo is stopped", false),
            (3, "foo is running? no", false),
            (1, "foo dead but pid file exists", false),
            (4, "foo is running", true),
            (4, "unknown", false),
        ] {
            assert_eq!(says_running(rc, printed), expected, "{rc} {printed}");
        }
    }

    #[test]
    fn steps() {
        for (state, running, expected) in [
            ("started", true, ""),
            ("started", false, "start"),
            ("stopped", true, "stop"),
            ("stopped", false, ""),
            ("restarted", false, "stop start"),
            ("reloaded", true, "reload"),
        ] {
            assert_eq!(verbs(state, running).join(" "), expected, "{state} {running}");
        }
    }
}
