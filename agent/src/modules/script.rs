//! `script`, the part on the host: runs a file that came from the controller.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::protocol::hash_from_hex;
use crate::spec::{Check, Param, Spec};
use crate::system::process::{RunError, errno};
use crate::system::{glob, shlex};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

/// The `script` module.
pub struct Script;

static SPEC: Spec = Spec::new(
    "script",
    "Runs a script of the controller on the host; the host needs nothing but its interpreter.",
)
.params(&[
    Param::str("_raw_params").doc("The script and its arguments as written in the task."),
    Param::str("cmd").doc("The script, a file on the controller, and its arguments."),
    Param::path("chdir").doc("Directory to run in."),
    Param::str("creates").doc("Path or pattern; when it exists, nothing runs."),
    Param::str("removes").doc("Path or pattern; when it does not exist, nothing runs."),
    Param::str("executable").doc("Program that reads the script, such as `/usr/bin/python3`."),
    Param::bool("decrypt").default_bool(true).doc("Decrypts a vaulted script on the controller."),
    Param::str("_content").hidden().doc("SHA-256 of the script; set by the controller."),
    Param::int("_size").hidden().doc("Size of the script; set by the controller."),
    Param::str("_arguments").hidden().doc("Its arguments, as a shell reads them; set by the controller."),
    Param::str("_original_basename").hidden().doc("Name of the script; set by the controller."),
])
.check(Check::Partial)
.free_form()
.world();

/// The script on the host, as long as it runs.
struct OnDisk(PathBuf);

impl Drop for OnDisk {
    fn drop(&mut self) {
        // It lies in a temporary directory, which the system cleans if we cannot.
        std::fs::remove_file(&self.0).ok();
    }
}

impl Module for Script {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let directory = args.nonempty("chdir").map(str::to_owned);
        let base = directory.clone().or_else(|| ctx.cwd.clone());
        if let Some(path) = args.nonempty("creates").filter(|path| glob::matches_any(path, base.as_deref())) {
            return Ok(Outcome::ok()
                .with("skipped", true)
                .msg(format!("{path} exists, matching creates option")));
        }
        if let Some(path) = args.nonempty("removes").filter(|path| !glob::matches_any(path, base.as_deref()))
        {
            return Ok(Outcome::ok()
                .with("skipped", true)
                .msg(format!("{path} does not exist, matching removes option")));
        }
        if ctx.check {
            let known = args.has("creates") || args.has("removes");
            return Ok(Outcome::changed_if(known).with("skipped", !known));
        }
        let hash = args.str("_content").and_then(hash_from_hex);
        let hash =
            hash.ok_or_else(|| Failure::new("the content of the script did not travel with its task"))?;
        let script =
            place(&ctx.content(&hash)?, args.nonempty("_original_basename").unwrap_or("script"), ctx)?;
        let mut line = shlex::quote(&script.0.to_string_lossy());
        if let Some(executable) = args.nonempty("executable") {
            line = format!("{executable} {line}");
        }
        if let Some(arguments) = args.nonempty("_arguments") {
            line = format!("{line} {arguments}");
        }
        let mut command = ctx.command(["/bin/sh", "-c", line.as_str()]);
        if let Some(directory) = directory {
            command = command.directory(directory);
        }
        let output = command.run(&ctx.cancel).map_err(|error| match error {
            RunError::Directory(path, error) => {
                let why = errno(&error);
                Failure::new(format!("The directory '{}' does not exist: {why}", path.to_string_lossy()))
            }
            error => Failure::new(error.to_string()),
        })?;
        if output.ok() {
            return Ok(Outcome::changed().output(&output));
        }
        Err(Failure::of_command("non-zero return code", &output).with("changed", true))
    }
}

/// Writes the script where only we can read it.
fn place(body: &crate::module::Body, name: &str, ctx: &Ctx) -> Result<OnDisk, Failure> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let name: String = name.chars().filter(|c| *c != '/').collect();
    let path = ctx.temporary_directory()?.join(format!("quorate-{}-{now}-{name}", std::process::id()));
    let failed = |error: std::io::Error| {
        Failure::new(format!("could not put the script on the host: {}: '{}'", errno(&error), path.display()))
    };
    let mut from = body.open().map_err(failed)?;
    let mut to =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let script = OnDisk(path.clone());
    std::io::copy(&mut from, &mut to).map_err(failed)?;
    to.set_permissions(std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(script)
}
