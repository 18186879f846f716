//! `apk`: packages of Alpine Linux. Not tested on such hosts yet.
//!
//! **Invariant:** check mode runs `apk` with `--simulate` only.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::Output;
use quorate_value::Value;

/// The `apk` module.
pub struct Apk;

static SPEC: Spec = Spec::new(
    "apk",
    "Installs, upgrades and removes packages of Alpine Linux. Not tested on such hosts yet.",
)
.collection("community.general")
.params(&[
    Param::list("name", Kind::Str).doc("Packages."),
    Param::str("state")
        .choices(&["present", "absent", "latest", "installed", "removed"])
        .default_str("present")
        .doc("Whether they should be installed."),
    Param::list("repository", Kind::Str).doc("Repositories to use instead of those configured."),
    Param::bool("update_cache").default_bool(false).doc("Fetch the package index first."),
    Param::bool("upgrade").default_bool(false).doc("Upgrade all packages."),
    Param::bool("available")
        .default_bool(false)
        .doc("With `upgrade`, take what the repositories have, even if older."),
    Param::bool("no_cache").default_bool(false).doc("Do not use a local cache."),
    Param::str("world").default_str("/etc/apk/world").doc("The file of packages asked for."),
])
.mutually_exclusive(&[&["name", "upgrade"]])
.required_one_of(&[&["name", "update_cache", "upgrade"]]);

impl Module for Apk {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let program = ctx.program("apk")?;
        let call = |words: &[&str], simulated: bool| -> Result<Output, Failure> {
            let mut command = ctx.command([&program]);
            if args.bool("no_cache") {
                command = command.arg("--no-cache");
            }
            for repository in args.strings("repository") {
                command = command.args([
                    "--repositories-file".to_owned(),
                    "/dev/null".into(),
                    "--repository".into(),
                    repository,
                ]);
            }
            if simulated {
                command = command.arg("--simulate");
            }
            ctx.run(&command.args(words.iter().copied()).env("LC_ALL", "C"))
        };
        if args.bool("update_cache") && !ctx.check {
            let output = call(&["update"], false)?;
            if !output.ok() {
                return Err(Failure::of_command("could not update package db", &output));
            }
        }
        let names = args.strings("name");
        if args.bool("upgrade") {
            let mut words = vec!["upgrade"];
            words.extend(args.bool("available").then_some("--available"));
            let output = call(&words, ctx.check)?;
            return conclude(
                &output,
                &[],
                "upgraded packages",
                "packages already upgraded",
                "failed to upgrade packages",
            );
        }
        if names.is_empty() {
            return Ok(Outcome::ok().msg("updated repository indexes"));
        }
        let state = args.text("state");
        let world = std::fs::read_to_string(args.text("world")).unwrap_or_default();
        let mut words: Vec<&str> = Vec::new();
        for name in &names {
            let there = call(&["info", "-e", plain(name)], false)?.ok();
            let needed = match state {
                "absent" | "removed" => there,
                "latest" => true,
                _ => !there || !world.lines().any(|line| plain(line) == plain(name)),
            };
            if needed {
                words.push(name);
            }
        }
        let listed = names.join(" ");
        if words.is_empty() {
            let msg = match state {
                "absent" | "removed" => "package(s) already removed",
                _ => "package(s) already installed",
            };
            return Ok(Outcome::ok().msg(msg));
        }
        let mut command = match state {
            "absent" | "removed" => vec!["del", "--purge"],
            "latest" => vec!["add", "--upgrade"],
            _ => vec!["add"],
        };
        command.extend(words);
        let output = call(&command, ctx.check)?;
        let verb = if command[0] == "del" { "removed" } else { "installed" };
        conclude(
            &output,
            &names,
            &format!("{verb} {listed} package(s)"),
            "package(s) already installed",
            &format!("failed to {} {listed}", command[0]),
        )
    }
}

/// A name without its version.
fn plain(name: &str) -> &str {
    name.split(['=', '<', '>', '~', '@']).next().unwrap_or(name)
}

fn conclude(
    output: &Output,
    names: &[String],
    done: &str,
    idle: &str,
    failed: &str,
) -> Result<Outcome, Failure> {
    let text = output.stdout_text();
    let packages = touched(&text);
    if !output.ok() {
        return Err(
            Failure::of_command(failed, output).with("packages", packages.into_iter().collect::<Value>())
        );
    }
    // Taking a package into `world` changes something too, though nothing is installed.
    let changed = !packages.is_empty() || !names.is_empty() && !text.contains("OK:");
    Ok(Outcome::changed_if(changed)
        .with("stdout", text)
        .with("stderr", output.stderr_text())
        .with("packages", packages.into_iter().collect::<Value>())
        .msg(if changed { done } else { idle }))
}

/// The packages that apk installs, upgrades or removes, out of what it prints.
fn touched(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let (_, action) = line.split_once(") ")?;
            let mut words = action.split_whitespace();
            let verb = words.next()?;
            matches!(verb, "Installing" | "Upgrading" | "Purging" | "Downgrading" | "Replacing")
                .then(|| words.next())?
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apk_says_it_does() {
        let text = "(1/2) Installing libfoo (1.0-r0)\n(2/2) Upgrading foo (1.0-r0 -> 1.1-r0)\nExecuting busybox-1.trigger\nOK: 8 MiB in 14 packages\n";
        assert_eq!(touched(text), ["libfoo", "foo"]);
        assert!(touched("OK: 8 MiB in 14 packages\n").is_empty());
        assert_eq!(plain("foo>=1.2"), "foo");
    }
}
