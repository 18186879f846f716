//! `git_config`: one setting of git.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use quorate_value::Value;

/// The `git_config` module.
pub struct GitConfig;

static SPEC: Spec = Spec::new("git_config", "Keeps a setting of git.")
    .collection("community.general")
    .params(&[
        Param::str("name").required().doc("The setting, with its section."),
        Param::path("repo").doc("The repository, for `scope=local`."),
        Param::path("file").doc("The file, for `scope=file`."),
        Param::str("add_mode")
            .choices(&["add", "replace-all"])
            .default_str("replace-all")
            .doc("Whether a new value replaces the others, or stands beside them."),
        Param::str("scope").choices(&["file", "local", "global", "system"]).doc("Whose setting."),
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::str("value").doc("Its value."),
    ])
    .required_if(&[
        RequiredIf::str("scope", "local", &["repo"]),
        RequiredIf::str("scope", "file", &["file"]),
        RequiredIf::str("state", "present", &["value"]),
    ])
    .diff();

impl Module for GitConfig {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, wanted) = (args.text("name"), args.str("value").unwrap_or_default());
        let unset = args.text("state") == "absent";
        let mut base = vec![ctx.program("git")?, "config".into(), "--includes".into()];
        match (args.str("scope"), args.str("file")) {
            (Some("file"), Some(file)) => base.extend(["-f".into(), file.to_owned()]),
            (Some(scope), _) => base.push(format!("--{scope}")),
            (None, _) => {}
        }
        let directory = match (args.str("scope"), args.str("repo")) {
            (Some("local"), Some(repo)) => repo,
            _ => "/",
        };
        let run = |words: &[String]| {
            ctx.run(&ctx.command(words.iter().cloned()).directory(directory).env("LC_ALL", "C"))
        };
        let mut ask = base.clone();
        ask.extend(["--get-all".into(), name.to_owned()]);
        let output = run(&ask)?;
        let argv = |words: &[String]| words.iter().map(String::as_str).collect::<Value>();
        if output.rc >= 2 {
            return Err(Failure::new(output.stderr_text()).with("rc", output.rc).with("cmd", argv(&ask)));
        }
        let text = output.stdout_text();
        let old: Vec<&str> = text.trim_end().lines().collect();
        let adds = args.text("add_mode") == "add";
        if unset && old.is_empty() {
            return Ok(Outcome::ok().msg("no setting to unset"));
        }
        let there = if adds { old.contains(&wanted) } else { old == [wanted] };
        if !unset && there {
            return Ok(Outcome::ok().msg(""));
        }
        let mut set = base;
        if unset {
            set.extend(["--unset-all".into(), name.to_owned()]);
        } else {
            let verb = if adds { "--add" } else { "--replace-all" };
            set.extend([verb.into(), name.to_owned(), wanted.to_owned()]);
        }
        if !ctx.check {
            let output = run(&set)?;
            if !output.stderr.is_empty() || !output.ok() {
                return Err(Failure::new(output.stderr_text()).with("rc", output.rc).with("cmd", argv(&set)));
            }
        }
        let shown = |values: &[&str]| match values {
            [] => Value::from("\n"),
            [one] => Value::from(format!("{one}\n")),
            many => many.iter().copied().collect(),
        };
        let mut new: Vec<&str> = if adds { old.clone() } else { Vec::new() };
        if !unset {
            new.push(wanted);
        }
        let header = set.join(" ");
        Ok(Outcome::changed()
            .msg("setting changed")
            .diff(Diff::texts(shown(&old), shown(&new)).headers(header.clone(), header)))
    }
}
