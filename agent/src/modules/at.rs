//! `at`: commands that run once, later, by `at`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Check, Param, Spec};
use crate::system::files;
use std::io::Write as _;

/// The `at` module.
pub struct At;

static SPEC: Spec = Spec::new("at", "Runs a command or script once, some time from now.")
    .collection("ansible.posix")
    .params(&[
        Param::str("command").doc("The command."),
        Param::str("script_file").doc("A script on the host."),
        Param::int("count").doc("How many units from now."),
        Param::str("units").choices(&["minutes", "hours", "days", "weeks"]).doc("The unit of time."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be waiting."),
        Param::bool("unique").default_bool(false).doc("Adds none if one with the same command is waiting."),
    ])
    .mutually_exclusive(&[&["command", "script_file"]])
    .required_one_of(&[&["command", "script_file"]])
    .check(Check::None);

impl Module for At {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let state = args.text("state");
        let (count, units) = (args.int("count"), args.str("units"));
        if state == "present" && (count.is_none() || units.is_none()) {
            return Err(Failure::new("present state requires count and units"));
        }
        let command = match (args.str("command"), args.str("script_file")) {
            (Some(command), _) => command.to_owned(),
            (None, Some(script)) => std::fs::read_to_string(script)
                .map_err(|error| files::trouble("could not read", script, &error))?,
            (None, None) => String::new(),
        };
        let at = ctx.program("at")?;
        if state == "absent" {
            let jobs = waiting(&at, &command, ctx)?;
            for job in &jobs {
                ctx.run_ok(&ctx.command([at.as_str(), "-r", job]), "could not remove the job")?;
            }
            return Ok(Outcome::changed_if(!jobs.is_empty()).with("state", state));
        }
        if args.bool("unique") && !waiting(&at, &command, ctx)?.is_empty() {
            return Ok(Outcome::ok().with("state", state));
        }
        let script = match args.str("script_file") {
            Some(path) => path.to_owned(),
            None => {
                let path = ctx.temporary_directory()?.join(format!("at{}", std::process::id()));
                let path = path.to_string_lossy().into_owned();
                let mut file = std::fs::File::create(&path)
                    .map_err(|error| files::trouble("could not create", &path, &error))?;
                writeln!(file, "{command}")
                    .map_err(|error| files::trouble("could not write", &path, &error))?;
                path
            }
        };
        let (count, units) = (count.unwrap_or(0), units.unwrap_or("minutes"));
        let line = ctx.command([at.as_str(), "-f", &script, "now", "+", &count.to_string(), units]);
        let started = ctx.run(&line);
        if !args.has("script_file") {
            std::fs::remove_file(&script).ok(); // at has read it
        }
        let output = started?;
        if !output.ok() {
            return Err(
                Failure::of_command(output.stderr_text().trim_end(), &output).with("cmd", line.display())
            );
        }
        Ok(Outcome::changed()
            .with("state", state)
            .with("script_file", script)
            .with("count", count)
            .with("units", units))
    }
}

/// The jobs whose script ends with this command.
fn waiting(at: &str, command: &str, ctx: &Ctx) -> Result<Vec<String>, Failure> {
    let queue = ctx.program("atq").or_else(|_| ctx.program("at"))?;
    let listed = ctx.run_ok(&ctx.command([queue]), "could not list the waiting jobs")?;
    let mut found = Vec::new();
    for line in listed.stdout_text().lines() {
        let Some(job) = line.split_whitespace().next() else { continue };
        let shown = ctx.run_ok(&ctx.command([at, "-c", job]), "could not read a waiting job")?;
        if shown.stdout_text().trim_end().ends_with(command.trim_end()) {
            found.push(job.to_owned());
        }
    }
    Ok(found)
}
