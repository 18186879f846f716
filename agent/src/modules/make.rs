//! `make`: targets of a makefile.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use quorate_value::{Value, str_of};

/// The `make` module.
pub struct Make;

static SPEC: Spec = Spec::new("make", "Makes targets of a makefile.")
    .collection("community.general")
    .params(&[
        Param::str("target").doc("The target."),
        Param::list("targets", Kind::Str).doc("Several targets."),
        Param::new("params", Kind::Dict)
            .doc("Variables, by name; one without value is passed as a bare word."),
        Param::path("chdir").required().doc("The directory of the makefile."),
        Param::path("file").doc("Another makefile."),
        Param::path("make").doc("Another `make`."),
        Param::int("jobs").doc("How many jobs at once."),
    ])
    .mutually_exclusive(&[&["target", "targets"]])
    .world();

impl Module for Make {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let program = match args.str("make") {
            Some(path) => path.to_owned(),
            None => match ctx.which("gmake") {
                Some(path) => path,
                None => ctx.program("make")?,
            },
        };
        let mut words = vec![program];
        if let Some(jobs) = args.int("jobs") {
            words.extend(["-j".into(), jobs.to_string()]);
        }
        if let Some(file) = args.str("file") {
            words.extend(["-f".into(), file.to_owned()]);
        }
        words.extend(args.str("target").map(str::to_owned));
        words.extend(args.strings("targets"));
        if let Some(params) = args.dict("params") {
            for (key, value) in params {
                let key = key.json_text();
                let bare = value.is_null();
                words.push(if bare { key.into_owned() } else { format!("{key}={}", str_of(value)) });
            }
        }
        let directory = args.text("chdir");
        let run = |more: Option<&str>| {
            let mut line = words.clone();
            // before anything else: what follows a target could be one, too
            if let Some(option) = more {
                line.insert(1, option.into());
            }
            ctx.run(&ctx.command(line).directory(directory).env("LC_ALL", "C"))
        };
        let asked = run(Some("-q"))?;
        let command = words.join(" ");
        let mut output = asked;
        let changed = !output.ok();
        if !ctx.check && changed {
            output = run(None)?;
            if !output.ok() {
                return Err(
                    Failure::of_command(output.stderr_text().trim_end(), &output).with("cmd", command)
                );
            }
        }
        let trimmed = |text: String| {
            text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
        };
        let given = |name: &str| args.value(name).cloned().unwrap_or(Value::Null);
        Ok(Outcome::changed_if(changed)
            .with("stdout", trimmed(output.stdout_text()))
            .with("stderr", trimmed(output.stderr_text()))
            .with("target", given("target"))
            .with("targets", given("targets"))
            .with("params", given("params"))
            .with("chdir", given("chdir"))
            .with("file", given("file"))
            .with("jobs", given("jobs"))
            .with("command", command))
    }
}
