//! `modprobe`: kernel modules, now and at boot.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use std::path::Path;

/// The `modprobe` module.
pub struct Modprobe;

static SPEC: Spec =
    Spec::new("modprobe", "Loads and unloads kernel modules.").collection("community.general").params(&[
        Param::str("name").required().doc("The module."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be loaded."),
        Param::str("params").default_str("").doc("Its parameters."),
        Param::str("persistent")
            .choices(&["disabled", "absent", "present"])
            .default_str("disabled")
            .doc("Whether it is loaded at boot; `disabled` leaves that alone."),
    ]);

impl Module for Modprobe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, state) = (args.text("name"), args.text("state"));
        let about = |failure: Failure| {
            failure.with("name", name).with("params", args.text("params")).with("state", state)
        };
        let loaded = is_loaded(name);
        let mut changed = loaded != (state == "present");
        if changed && !ctx.check {
            let program = ctx.program("modprobe")?;
            let mut command = ctx.command([&program]).env("LC_ALL", "C");
            if state == "absent" {
                command = command.arg("-r");
            }
            let words = crate::system::shlex::split(args.text("params")).map_err(Failure::new)?;
            command = command.arg(name);
            if state == "present" {
                command = command.args(words);
            }
            let output = ctx.run(&command)?;
            if !output.ok() {
                return Err(about(Failure::of_command(output.stderr_text(), &output)));
            }
        }
        if args.text("persistent") != "disabled" {
            changed |= persist(args, ctx)?;
        }
        Ok(Outcome::changed_if(changed)
            .with("name", name)
            .with("params", args.text("params"))
            .with("state", state))
    }
}

/// Whether the kernel has it, as a module or built in.
fn is_loaded(name: &str) -> bool {
    let name = name.replace('-', "_");
    let modules = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    if modules.lines().any(|line| line.split_whitespace().next() == Some(&name)) {
        return true;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let built_in =
        std::fs::read_to_string(format!("/lib/modules/{release}/modules.builtin")).unwrap_or_default();
    built_in.lines().any(|line| {
        let file = line.rsplit('/').next().unwrap_or_default();
        file.trim_end_matches(".ko").replace('-', "_") == name
    })
}

/// The files that systemd reads at boot.
fn persist(args: &Args, ctx: &Ctx) -> Result<bool, Failure> {
    let name = args.text("name");
    let wanted = args.text("persistent") == "present";
    let options = args.text("params");
    let load = (format!("/etc/modules-load.d/{name}.conf"), format!("{name}\n"));
    let params = (format!("/etc/modprobe.d/{name}.conf"), format!("options {name} {options}\n"));
    let mut changed = false;
    for (path, text, here) in [(load.0, load.1, wanted), (params.0, params.1, wanted && !options.is_empty())]
    {
        let standing = std::fs::read_to_string(&path).ok();
        if here && standing.as_deref() != Some(&text) {
            changed = true;
            if !ctx.check {
                files::write(&path, text.as_bytes(), &Wanted::default())?;
            }
        } else if !here && !wanted && standing.is_some() && Path::new(&path).exists() {
            changed = true;
            if !ctx.check {
                std::fs::remove_file(&path)
                    .map_err(|error| files::trouble("could not remove", &path, &error))?;
            }
        }
    }
    Ok(changed)
}
