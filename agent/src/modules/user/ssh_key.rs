//! The SSH key of `generate_ssh_key`.
//!
//! **Invariant:** the passphrase reaches `ssh-keygen` through its askpass helper's environment, never as an argument.

use super::give;
use crate::args::Args;
use crate::module::{Ctx, Failure, Outcome};
use crate::system::users::User;
use quorate_value::Value;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Makes the key if it is missing or `force` asks for it, and reports on it. Says whether it was (or would be) made.
pub(super) fn make(args: &Args, ctx: &Ctx, user: &User, outcome: &mut Outcome) -> Result<bool, Failure> {
    let kind = args.text("ssh_key_type");
    let default = format!(".ssh/id_{kind}");
    let file = Path::new(&user.home).join(args.nonempty("ssh_key_file").unwrap_or(&default));
    let needed = !file.exists() || args.bool("force");
    if needed && !ctx.check {
        generate(args, ctx, user, &file)?;
    }
    let keygen = ctx.which("ssh-keygen");
    let fingerprint = match keygen.filter(|_| file.exists()) {
        Some(keygen) => {
            let path = file.to_string_lossy().into_owned();
            let output = ctx.run(&ctx.command([keygen.as_str(), "-l", "-f", &path]))?;
            let said = if output.ok() { output.stdout_text() } else { output.stderr_text() };
            said.trim().to_owned()
        }
        None => String::new(),
    };
    let public = fs::read_to_string(public_half(&file)).ok().map(|text| text.trim().to_owned());
    outcome.set("ssh_fingerprint", fingerprint);
    outcome.set("ssh_key_file", file.to_string_lossy().into_owned());
    outcome.set("ssh_public_key", public.map_or(Value::Null, Value::from));
    Ok(needed)
}

fn public_half(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn generate(args: &Args, ctx: &Ctx, user: &User, file: &Path) -> Result<(), Failure> {
    let failed = |what: &str, error: &std::io::Error| {
        Failure::new(format!("Failed to create {what}: {error}")).with("name", user.name.as_str())
    };
    if let Some(directory) = file.parent().filter(|directory| !directory.exists()) {
        let shown = directory.display().to_string();
        if !Path::new(&user.home).exists() {
            return Err(Failure::new(format!("User {} home directory does not exist", user.name))
                .with("name", user.name.as_str()));
        }
        fs::DirBuilder::new().mode(0o700).create(directory).map_err(|error| failed(&shown, &error))?;
        give(directory, user).map_err(|error| failed(&shown, &error))?;
    }
    if file.exists() {
        // `ssh-keygen` would ask.
        fs::remove_file(file).map_err(|error| failed(&file.display().to_string(), &error))?;
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let comment =
        args.str("ssh_key_comment").map_or_else(|| format!("ansible-generated on {host}"), str::to_owned);
    let path = file.to_string_lossy().into_owned();
    let mut command = ctx.command([ctx.program("ssh-keygen")?]).args(["-t", args.text("ssh_key_type")]);
    if let Some(bits) = args.int("ssh_key_bits").filter(|bits| *bits > 0) {
        command = command.args(["-b".to_owned(), bits.to_string()]);
    }
    command = command.args(["-C", &comment, "-f", &path]);
    let mut helper = None;
    match args.nonempty("ssh_key_passphrase") {
        None => command = command.args(["-N", ""]),
        Some(passphrase) => {
            let script = Askpass::write(ctx)?;
            command = command
                .env("SSH_ASKPASS", script.0.as_os_str())
                .env("SSH_ASKPASS_REQUIRE", "force")
                .env("DISPLAY", "none:0")
                .env("QUORATE_ANSWER", passphrase);
            helper = Some(script);
        }
    }
    let output = ctx.run(&command)?;
    drop(helper);
    if !output.ok() {
        return Err(Failure::new(output.stderr_text())
            .with("name", user.name.as_str())
            .with("rc", output.rc));
    }
    for made in [file.to_owned(), public_half(file)] {
        give(&made, user).map_err(|error| failed(&made.display().to_string(), &error))?;
    }
    Ok(())
}

/// A program that prints its environment's answer; removed when dropped.
struct Askpass(PathBuf);

impl Askpass {
    fn write(ctx: &Ctx) -> Result<Askpass, Failure> {
        use std::io::Write as _;
        let path = ctx.temporary_directory()?.join(format!("quorate-askpass-{}", std::process::id()));
        fs::remove_file(&path).ok(); // one that a crash left behind
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
            file.write_all(b"#!/bin/sh\nprintf '%s\\n' \"$QUORATE_ANSWER\"\n")
        };
        write().map_err(|error| Failure::new(format!("could not write {}: {error}", path.display())))?;
        Ok(Askpass(path))
    }
}

impl Drop for Askpass {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok(); // nothing depends on it any more
    }
}
