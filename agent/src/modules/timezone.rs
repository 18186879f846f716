//! `timezone`: the host's time zone, and what its hardware clock keeps.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use quorate_value::Dict;
use std::path::Path;

/// The `timezone` module.
pub struct Timezone;

static SPEC: Spec = Spec::new("timezone", "Sets the time zone.")
    .collection("community.general")
    .diff()
    .params(&[
        Param::str("name").doc("The zone, such as `Europe/Berlin`."),
        Param::str("hwclock")
            .aliases(&["rtc"])
            .choices(&["local", "UTC"])
            .doc("What the hardware clock keeps."),
    ])
    .required_one_of(&[&["name", "hwclock"]]);

impl Module for Timezone {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (mut before, mut after) = (Dict::new(), Dict::new());
        let mut commands: Vec<Vec<String>> = Vec::new();
        let control = ctx.which("timedatectl").filter(|_| Path::new("/run/systemd/system").exists());
        if let Some(name) = args.str("name") {
            if name.contains("..") || !Path::new("/usr/share/zoneinfo").join(name).is_file() {
                return Err(Failure::new(format!(
                    "Error message:\ngiven timezone \"{name}\" is not available"
                )));
            }
            let now = current();
            if now != name {
                before.insert("name", now);
                after.insert("name", name);
                commands.push(vec!["set-timezone".into(), name.into()]);
            }
        }
        if let Some(clock) = args.str("hwclock") {
            let adjtime = std::fs::read_to_string("/etc/adjtime").unwrap_or_default();
            let now = if adjtime.lines().any(|line| line.trim() == "LOCAL") { "local" } else { "UTC" };
            if now != clock {
                before.insert("hwclock", now);
                after.insert("hwclock", clock);
                commands
                    .push(vec!["set-local-rtc".into(), if clock == "local" { "yes" } else { "no" }.into()]);
            }
        }
        if commands.is_empty() {
            return Ok(Outcome::ok());
        }
        let mut messages = Vec::new();
        if !ctx.check {
            match control {
                Some(program) => {
                    for words in &commands {
                        ctx.run_ok(&ctx.command([&program]).args(words), "timedatectl failed")?;
                        messages.push(format!("executed `{program} {}`", words.join(" ")));
                    }
                }
                None => by_files(args, ctx)?,
            }
        }
        let outcome = Outcome::changed().diff(Diff::dicts(before, after));
        Ok(if messages.is_empty() { outcome } else { outcome.msg(messages.join("\n")) })
    }
}

/// The zone by the link, else by Debian's file.
fn current() -> String {
    let linked = std::fs::read_link("/etc/localtime").ok().and_then(|target| {
        let target = target.to_string_lossy().into_owned();
        target.split_once("zoneinfo/").map(|(_, name)| name.to_owned())
    });
    linked.unwrap_or_else(|| {
        let text = std::fs::read_to_string("/etc/timezone").unwrap_or_default();
        let name = text.trim();
        if name.is_empty() { "n/a".to_owned() } else { name.to_owned() }
    })
}

/// Without systemd: the link, and the file that Debian keeps beside it.
fn by_files(args: &Args, ctx: &Ctx) -> Result<(), Failure> {
    if let Some(name) = args.str("name") {
        let target = format!("/usr/share/zoneinfo/{name}");
        let fresh = format!("/etc/.localtime-{}", std::process::id());
        let linked = std::os::unix::fs::symlink(&target, &fresh)
            .and_then(|()| std::fs::rename(&fresh, "/etc/localtime"));
        linked.map_err(|error| files::trouble("could not write", "/etc/localtime", &error))?;
        if Path::new("/etc/timezone").exists() {
            files::write("/etc/timezone", format!("{name}\n").as_bytes(), &Wanted::default())?;
        }
    }
    if let Some(clock) = args.str("hwclock") {
        let program = ctx.program("hwclock")?;
        let option = if clock == "local" { "--localtime" } else { "--utc" };
        ctx.run_ok(&ctx.command([program.as_str(), "--systohc", option]), "hwclock failed")?;
    }
    Ok(())
}
