//! `supervisorctl`: programs under supervisor.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use crate::system::process::Output;
use quorate_value::dict;

/// The `supervisorctl` module.
pub struct Supervisorctl;

static SPEC: Spec =
    Spec::new("supervisorctl", "Keeps a program, or a group of programs, of supervisor in a state.")
        .collection("community.general")
        .params(&[
            Param::str("name").required().doc("The program; a group if it ends with `:`; `all` for all."),
            Param::path("config").doc("The configuration of supervisor."),
            Param::str("server_url").doc("Where supervisor listens."),
            Param::str("username").doc("User for supervisor."),
            Param::str("password").no_log().doc("Password for supervisor."),
            Param::path("supervisorctl_path").doc("Another `supervisorctl`."),
            Param::str("state")
                .required()
                .choices(&["present", "started", "restarted", "stopped", "absent", "signalled"])
                .doc("The state it should be in."),
            Param::bool("stop_before_removing").default_bool(false).doc("Stops it before it is removed."),
            Param::str("signal").doc("The signal to send."),
        ])
        .required_if(&[RequiredIf::str("state", "signalled", &["signal"])])
        .world();

impl Module for Supervisorctl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let program = match args.str("supervisorctl_path") {
            Some(path) if crate::system::process::is_executable(path.as_ref()) => path.to_owned(),
            Some(path) => {
                return Err(Failure::new(format!(
                    "Provided path to supervisorctl does not exist or isn't executable: {path}"
                )));
            }
            None => ctx.program("supervisorctl")?,
        };
        let mut name = args.text("name").to_owned();
        let group = name.ends_with(':');
        if group {
            name.pop();
        }
        Control { args, ctx, program, name, group }.run()
    }
}

struct Control<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    program: String,
    name: String,
    group: bool,
}

impl Control<'_> {
    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        let mut command = self.ctx.command([self.program.as_str()]).env("LC_ALL", "C");
        for (name, option) in [("config", "-c"), ("server_url", "-s"), ("username", "-u"), ("password", "-p")]
        {
            if let Some(value) = self.args.str(name) {
                command = command.args([option, value]);
            }
        }
        self.ctx.run(&command.args(words.iter().copied()))
    }

    fn outcome(&self, changed: bool) -> Outcome {
        Outcome::changed_if(changed)
            .with("name", self.args.text("name").trim_end_matches(':'))
            .with("state", self.args.text("state"))
    }

    fn fail(&self, said: impl Into<String>) -> Failure {
        Failure::new(said).with("name", self.name.as_str())
    }

    /// The programs that are meant, each with its state.
    fn programs(&self) -> Result<Vec<(String, String)>, Failure> {
        let output = self.call(&["status"])?;
        let mut found = Vec::new();
        for line in output.stdout_text().lines() {
            let mut words = line.split_whitespace();
            let (Some(program), Some(state)) = (words.next(), words.next()) else { continue };
            let mine = self.name == "all"
                || if self.group {
                    program.split_once(':').is_some_and(|(group, _)| group == self.name)
                } else {
                    program == self.name
                };
            if mine {
                found.push((program.to_owned(), state.to_owned()));
            }
        }
        Ok(found)
    }

    /// Does `verb` to each program; `done` in what it says means that it went well.
    fn each(&self, programs: &[String], verb: &[&str], done: &str) -> Result<Outcome, Failure> {
        if programs.is_empty() {
            return Ok(self.outcome(false));
        }
        if self.ctx.check {
            return Ok(self.outcome(true));
        }
        let mut changed = false;
        for program in programs {
            let mut words = verb.to_vec();
            words.push(program);
            let output = self.call(&words)?;
            let said = output.stdout_text();
            if !said.contains(&format!("{program}: {done}")) {
                return Err(self.fail(said));
            }
            changed = true;
        }
        Ok(self
            .outcome(changed)
            .with("affected", programs.iter().map(String::as_str).collect::<quorate_value::Value>()))
    }

    fn run(&self) -> Result<Outcome, Failure> {
        let state = self.args.text("state");
        match state {
            "restarted" => {
                let output = self.call(&["update"])?;
                if !output.ok() {
                    return Err(self.fail(output.stdout_text()));
                }
                let programs = self.programs()?;
                if programs.is_empty() {
                    return Err(self.fail("ERROR (no such process)"));
                }
                let names: Vec<String> = programs.into_iter().map(|(name, _)| name).collect();
                self.each(&names, &["restart"], "started")
            }
            "absent" => {
                if self.programs()?.is_empty() {
                    return Ok(self.outcome(false));
                }
                if self.ctx.check {
                    return Ok(self.outcome(true));
                }
                if self.args.bool("stop_before_removing") {
                    let name = if self.group { format!("{}:*", self.name) } else { self.name.clone() };
                    self.call(&["stop", &name])?;
                }
                self.call(&["reread"])?;
                let output = self.call(&["remove", &self.name])?;
                let said = output.stdout_text();
                if said.contains(&format!("{}: removed process group", self.name)) {
                    return Ok(self.outcome(true));
                }
                Err(self.fail(said))
            }
            "present" => {
                if !self.programs()?.is_empty() {
                    return Ok(self.outcome(false));
                }
                if self.ctx.check {
                    return Ok(self.outcome(true));
                }
                let read = self.call(&["reread"])?;
                let output = self.call(&["add", &self.name])?;
                let said = output.stdout_text();
                if said.contains(&format!("{}: added process group", self.name)) {
                    return Ok(self.outcome(true));
                }
                Err(self.fail(said).with_all(dict! {"rc" => read.rc}))
            }
            _ => {
                let programs = self.programs()?;
                if programs.is_empty() {
                    return Err(self.fail("ERROR (no such process)"));
                }
                let running = |state: &str| matches!(state, "RUNNING" | "STARTING");
                let pick = |wanted: bool| -> Vec<String> {
                    programs
                        .iter()
                        .filter(|(_, state)| running(state) == wanted)
                        .map(|(name, _)| name.clone())
                        .collect()
                };
                match state {
                    "started" => self.each(&pick(false), &["start"], "started"),
                    "stopped" => self.each(&pick(true), &["stop"], "stopped"),
                    _ => self.each(&pick(true), &["signal", self.args.text("signal")], "signalled"),
                }
            }
        }
    }
}
