//! `cron`: jobs and variables in crontabs, each under a comment that names it.
//!
//! **Invariant:** lines that no task named stay as they are.

mod table;

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use crate::system::users;
use quorate_value::Value;
use std::path::Path;
use table::Table;

/// The `cron` module.
pub struct Cron;

static SPEC: Spec = Spec::new("cron", "Manages jobs and variables of crontabs.")
    .diff()
    .params(&[
        Param::str("name").required().doc("The job's name, kept in a comment; or the variable's with `env`."),
        Param::str("user").doc("Whose crontab; with `cron_file` who runs the job."),
        Param::str("job").aliases(&["value"]).doc("The command, or the variable's value."),
        Param::path("cron_file")
            .doc("A file in `/etc/cron.d` (or an absolute path) instead of a user's crontab."),
        Param::bool("backup").default_bool(false).doc("Keep a copy of what was there."),
        Param::str("special_time")
            .choices(&["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"])
            .doc("A nickname in place of the five times."),
        Param::str("minute").default_str("*").doc("Minute: `0-59`, `*`, `*/2`."),
        Param::str("hour").default_str("*").doc("Hour: `0-23`, `*`, `*/2`."),
        Param::str("day").aliases(&["dom"]).default_str("*").doc("Day of the month: `1-31`, `*`, `*/2`."),
        Param::str("month").default_str("*").doc("Month: `1-12`, `JAN-DEC`, `*`."),
        Param::str("weekday")
            .aliases(&["dow"])
            .default_str("*")
            .doc("Day of the week: `0-6`, `SUN-SAT`, `*`."),
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::bool("disabled").default_bool(false).doc("Comment the job out."),
        Param::bool("env").default_bool(false).doc("Manage a variable of the crontab instead of a job."),
        Param::str("insertafter").doc("With `env`, put the variable behind this one."),
        Param::str("insertbefore").doc("With `env`, put the variable before this one."),
    ])
    .mutually_exclusive(&[&["insertafter", "insertbefore"]]);

impl Module for Cron {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let present = args.text("state") == "present";
        let name = args.text("name");
        if args.has("cron_file") && present && !args.bool("env") && !args.has("user") {
            return Err(Failure::new("To use cron_file=... parameter you must specify user=... as well"));
        }
        let times = ["minute", "hour", "day", "month", "weekday"].map(|field| args.text(field));
        if args.has("special_time") && times.iter().any(|time| *time != "*") {
            return Err(Failure::new(
                "You cannot combine special_time with any of the time or day/date parameters.",
            ));
        }
        if present && args.str("job").is_none() {
            return Err(Failure::new("You must specify 'job' to install a new cron job or variable"));
        }
        if (args.has("insertafter") || args.has("insertbefore")) && !args.bool("env") {
            return Err(Failure::new("Insertafter and insertbefore parameters are valid only with env=yes"));
        }
        let place = Place::of(args);
        let before = place.read(ctx)?;
        let mut table = Table::parse(before.as_deref().unwrap_or(""));
        let job = args.text("job");
        let mut warnings = Vec::new();
        if args.bool("env") {
            if name.contains(' ') {
                return Err(Failure::new("Invalid name for environment variable"));
            }
            if present {
                table
                    .set_variable(name, job, args.str("insertafter"), args.str("insertbefore"))
                    .map_err(Failure::new)?;
            } else {
                table.remove_variable(name);
            }
        } else if present {
            if job.contains(['\n', '\r']) {
                return Err(Failure::new("Job should not contain line breaks"));
            }
            let owner = args.has("cron_file").then(|| args.text("user"));
            let line = table::job_line(&times, args.str("special_time"), owner, job, args.bool("disabled"));
            table.set_job(name, &line);
        } else {
            table.remove_job(name);
        }
        let after = table.text();
        let text = before.clone().unwrap_or_default();
        let changed = after != text;
        let gone = place.is_file() && after.trim().is_empty() && before.is_some() && !present;
        let mut outcome = Outcome::changed_if(changed);
        if changed && !ctx.check {
            if args.bool("backup")
                && let Some(copy) = place.backup(&text)?
            {
                outcome.set("backup_file", copy);
            }
            if gone { place.remove()? } else { place.write(ctx, &after)? }
        }
        if let Some(file) = args.str("cron_file") {
            outcome.set("cron_file", file);
            if Path::new(file).extension().is_some() && !file.starts_with('/') {
                warnings.push("Filename contains a dot: cron ignores such files in `/etc/cron.d`".to_owned());
            }
        }
        if gone {
            outcome.set("state", "absent");
        } else {
            outcome.set("jobs", table.jobs().collect::<Value>());
            outcome.set("envs", table.variables().collect::<Value>());
        }
        outcome = warnings.into_iter().fold(outcome, Outcome::warn);
        let header = place.title();
        Ok(if changed {
            let new_header = if gone { "/dev/null" } else { header.as_str() };
            outcome.diff(Diff::texts(text, after).headers(header.as_str(), new_header))
        } else {
            outcome
        })
    }
}

/// Where the crontab is.
enum Place<'a> {
    File(String),
    User(Option<&'a str>),
}

impl<'a> Place<'a> {
    fn of(args: &'a Args) -> Self {
        match args.str("cron_file") {
            Some(file) if file.starts_with('/') => Place::File(file.to_owned()),
            Some(file) => Place::File(format!("/etc/cron.d/{file}")),
            None => Place::User(args.str("user")),
        }
    }

    fn is_file(&self) -> bool {
        matches!(self, Place::File(_))
    }

    fn title(&self) -> String {
        match self {
            Place::File(path) => path.clone(),
            Place::User(Some(user)) => format!("crontab for user \"{user}\""),
            Place::User(None) => "crontab".into(),
        }
    }

    /// `crontab` for whom; our own needs no name.
    fn command(&self, ctx: &Ctx) -> Result<crate::system::process::Command, Failure> {
        let command = ctx.command([ctx.program("crontab")?]).env("LC_ALL", "C");
        let own = users::own().map(|user| user.name);
        Ok(match self {
            Place::User(Some(user)) if own.as_deref() != Some(user) => command.args(["-u", user]),
            _ => command,
        })
    }

    fn read(&self, ctx: &Ctx) -> Result<Option<String>, Failure> {
        match self {
            Place::File(path) => match std::fs::read(path) {
                Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(files::trouble("could not read", path, &error)),
            },
            Place::User(_) => {
                let output = ctx.run(&self.command(ctx)?.arg("-l"))?;
                // 1 means that there is none yet.
                match output.rc {
                    0 => Ok(Some(table::without_banner(&output.stdout_text()))),
                    1 => Ok(None),
                    _ => Err(Failure::of_command("Unable to read crontab", &output)),
                }
            }
        }
    }

    fn backup(&self, text: &str) -> Result<Option<String>, Failure> {
        if let Place::File(path) = self {
            return files::backup(path);
        }
        // It is for people to find later, so it is not among our own temporary files.
        let path = std::env::temp_dir().join(format!(
            "crontab-{}-{}",
            std::process::id(),
            crate::system::clock::stamp("%Y%m%d%H%M%S")
        ));
        let path = path.to_string_lossy().into_owned();
        files::write(
            &path,
            text.as_bytes(),
            &Wanted { mode: Some(Value::from("0600")), ..Wanted::default() },
        )?;
        Ok(Some(path))
    }

    fn write(&self, ctx: &Ctx, text: &str) -> Result<(), Failure> {
        match self {
            Place::File(path) => {
                let new = !Path::new(path).exists();
                let mode = new.then(|| Value::from("0644"));
                files::write(path, text.as_bytes(), &Wanted { mode, ..Wanted::default() })
            }
            Place::User(_) => {
                let output = ctx.run(&self.command(ctx)?.arg("-").input(text))?;
                if output.ok() {
                    Ok(())
                } else {
                    Err(Failure::of_command("Failed to install new cronfile", &output))
                }
            }
        }
    }

    fn remove(&self) -> Result<(), Failure> {
        match self {
            Place::File(path) => {
                std::fs::remove_file(path).map_err(|error| files::trouble("could not remove", path, &error))
            }
            Place::User(_) => Ok(()),
        }
    }
}
