//! `sudoers`: one rule in a file of its own under `/etc/sudoers.d`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Spec};
use crate::system::files::{self, Wanted};
use quorate_value::Value;
use std::path::Path;

/// The `sudoers` module.
pub struct Sudoers;

static SPEC: Spec = Spec::new("sudoers", "Keeps a rule of sudo.")
    .collection("community.general")
    .params(&[
        Param::list("commands", Kind::Str).doc("The commands; `ALL` for all."),
        Param::str("group").doc("The group that may."),
        Param::str("name").required().doc("The file's name."),
        Param::bool("noexec").default_bool(false).doc("The commands may start no others."),
        Param::bool("nopassword").default_bool(true).doc("No password is asked for."),
        Param::bool("setenv").default_bool(false).doc("Variables may be kept."),
        Param::str("host").default_str("ALL").doc("The host it counts on."),
        Param::str("runas").doc("As whom the commands run."),
        Param::str("sudoers_path").default_str("/etc/sudoers.d").doc("The directory of such files."),
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::str("user").doc("The user who may."),
        Param::str("validation")
            .choices(&["absent", "detect", "required"])
            .default_str("detect")
            .doc("Whether `visudo` checks the file first."),
    ])
    .mutually_exclusive(&[&["user", "group"]])
    .required_if(&[RequiredIf::str("state", "present", &["commands"])]);

impl Module for Sudoers {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let file = Path::new(args.text("sudoers_path")).join(args.text("name"));
        let path = file.to_string_lossy().into_owned();
        let stands = std::fs::read_to_string(&file).ok();
        if args.text("state") == "absent" {
            if stands.is_some() && !ctx.check {
                std::fs::remove_file(&file)
                    .map_err(|error| files::trouble("could not remove", &path, &error))?;
            }
            return Ok(Outcome::changed_if(stands.is_some()));
        }
        let text = content(args)?;
        let validator = match args.text("validation") {
            "absent" => None,
            "required" => Some(ctx.program("visudo")?),
            _ => ctx.which("visudo"),
        };
        if let Some(visudo) = validator {
            let checked = ctx.run(&ctx.command([visudo.as_str(), "-c", "-f", "-"]).input(text.as_bytes()))?;
            if !checked.ok() {
                return Err(Failure::of_command(
                    format!("Failed to validate sudoers rule:\n{}", checked.stdout_text()),
                    &checked,
                ));
            }
        }
        let closed = std::fs::metadata(&file).is_ok_and(|it| files::permission_bits(&it) == 0o440);
        if stands.as_deref() == Some(&text) && closed {
            return Ok(Outcome::ok());
        }
        if !ctx.check {
            let wanted = Wanted { mode: Some(Value::from("0440")), ..Wanted::default() };
            files::write(&path, text.as_bytes(), &wanted)?;
        }
        Ok(Outcome::changed())
    }
}

fn content(args: &Args) -> Result<String, Failure> {
    let owner = match (args.str("user"), args.str("group")) {
        (Some(user), _) => user.to_owned(),
        (None, Some(group)) => format!("%{group}"),
        (None, None) => return Err(Failure::new("one of the following is required: user, group")),
    };
    let flag = |name: &str, text: &'static str| if args.bool(name) { text } else { "" };
    let runas = args.str("runas").map(|user| format!("({user})")).unwrap_or_default();
    Ok(format!(
        "{owner} {}={runas}{}{}{} {}\n",
        args.text("host"),
        flag("noexec", "NOEXEC:"),
        flag("nopassword", "NOPASSWD:"),
        flag("setenv", "SETENV:"),
        args.strings("commands").join(", "),
    ))
}
