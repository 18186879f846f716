//! `synchronize`: `rsync`, run where the files are or from where they come.
//!
//! Not here: which side is the remote one, and how to reach it; the controller's action writes that into `src` and
//! `dest`.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::shlex;
use quorate_value::Value;

/// The `synchronize` module.
pub struct Synchronize;

const MARK: &str = "<<CHANGED>>";

static SPEC: Spec = Spec::new("synchronize", "Copies files and directories with rsync.")
    .collection("ansible.posix")
    .params(&[
        Param::path("src")
            .required()
            .doc("What to copy: on the controller for `mode=push`, on the host for `mode=pull`."),
        Param::path("dest")
            .required()
            .doc("Where to: on the host for `mode=push`, on the controller for `mode=pull`."),
        Param::int("dest_port").doc("The port of ssh."),
        Param::bool("delete").default_bool(false).doc("Deletes what the source does not have."),
        Param::path("private_key").doc("The private key for ssh."),
        Param::str("rsync_path").doc("The command that starts rsync on the other side."),
        Param::path("_local_rsync_path").hidden().default_str("rsync").doc("The rsync on this side."),
        Param::str("_local_rsync_password").hidden().no_log().doc("The password of a daemon."),
        Param::bool("_substitute_controller").hidden().default_bool(false).doc("Set by the controller."),
        Param::bool("archive")
            .default_bool(true)
            .doc("Recursive, with links, permissions, times, owner and group."),
        Param::bool("checksum").default_bool(false).doc("Compares content, not size and time."),
        Param::bool("compress").default_bool(true).doc("Compresses what travels."),
        Param::bool("existing_only").default_bool(false).doc("Makes no new files."),
        Param::bool("dirs").default_bool(false).doc("Makes directories without going into them."),
        Param::bool("recursive").doc("Goes into directories."),
        Param::bool("links").doc("Copies links as links."),
        Param::bool("copy_links").default_bool(false).doc("Copies what links lead to."),
        Param::bool("perms").doc("Keeps permissions."),
        Param::bool("times").doc("Keeps times."),
        Param::bool("owner").doc("Keeps the owner."),
        Param::bool("group").doc("Keeps the group."),
        Param::bool("set_remote_user").default_bool(true).doc("Uses the task's user on the other side."),
        Param::int("rsync_timeout").default_int(0).doc("Seconds without a sign of life before it gives up."),
        Param::list("rsync_opts", Kind::Str).default(Lit::List(&[])).doc("More options for rsync."),
        Param::str("_ssh_args").hidden().doc("Set by the controller."),
        Param::bool("use_ssh_args").default_bool(false).doc("Uses the arguments for ssh that the host has."),
        Param::bool("ssh_connection_multiplexing")
            .default_bool(false)
            .doc("Uses a standing connection of ssh."),
        Param::bool("partial").default_bool(false).doc("Keeps files that arrived in part."),
        Param::bool("verify_host").default_bool(false).doc("Checks the host's key."),
        Param::bool("delay_updates").default_bool(true).doc("Puts all new files in place at the end."),
        Param::str("mode").choices(&["pull", "push"]).default_str("push").doc("Which way the files go."),
        Param::list("link_dest", Kind::Path).doc("Directories to make hard links to."),
    ])
    .diff()
    .world();

impl Module for Synchronize {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let rsync = ctx.program(args.text("_local_rsync_path"))?;
        let words = words(args, &rsync, ctx)?;
        let mut command = ctx.command(words.iter().cloned());
        if let Some(password) = args.str("_local_rsync_password") {
            command = command.env("RSYNC_PASSWORD", password);
        }
        let shown = shown(&words);
        let output = ctx.run(&command)?;
        if !output.ok() {
            return Err(Failure::new(output.stderr_text()).with("rc", output.rc).with("cmd", shown));
        }
        let said = output.stdout_text();
        let changed = if args.has("link_dest") {
            // with `-vv` every file is named; what is marked `cd+` and the like is new
            said.lines().any(|line| {
                line.strip_prefix(MARK).is_some_and(|rest| !rest.starts_with("hf ") && !rest.starts_with('.'))
            })
        } else {
            said.contains(MARK)
        };
        let clean = said.replace(MARK, "");
        let lines: Vec<&str> = clean.split('\n').filter(|line| !line.is_empty()).collect();
        let mut outcome = Outcome::changed_if(changed)
            .msg(clean.as_str())
            .with("rc", output.rc)
            .with("cmd", shown)
            .with("stdout_lines", lines.iter().copied().collect::<Value>());
        if ctx.diff {
            outcome = outcome.diff(Diff::prepared(clean));
        }
        Ok(outcome)
    }
}

fn remote(text: &str) -> bool {
    text.starts_with('"')
        || text.split_once(':').is_some_and(|(host, _)| !host.contains('/') && !host.is_empty())
}

fn words(args: &Args, rsync: &str, ctx: &Ctx) -> Result<Vec<String>, Failure> {
    let mut words = vec![rsync.to_owned()];
    let mut push = |word: &str| words.push(word.to_owned());
    let archive = args.bool("archive");
    if args.bool("delay_updates") {
        push("--delay-updates");
        push("-F");
    }
    if args.bool("compress") {
        push("--compress");
    }
    if let Some(seconds) = args.int("rsync_timeout").filter(|seconds| *seconds != 0) {
        push(&format!("--timeout={seconds}"));
    }
    if ctx.check {
        push("--dry-run");
    }
    for (name, flag) in [
        ("delete", "--delete-after"),
        ("existing_only", "--existing"),
        ("checksum", "--checksum"),
        ("copy_links", "--copy-links"),
        ("archive", "--archive"),
    ] {
        if args.bool(name) {
            push(flag);
        }
    }
    for name in ["recursive", "links", "perms", "times", "owner", "group"] {
        match (archive, args.flag(name)) {
            (true, Some(false)) => push(&format!("--no-{name}")),
            (false, Some(true)) => push(&format!("--{name}")),
            _ => {}
        }
    }
    if args.bool("dirs") {
        push("--dirs");
    }
    let (src, dest) = (args.text("src"), args.text("dest"));
    let daemon = [src, dest].iter().any(|text| text.starts_with("rsync://") || text.contains("::"));
    if !daemon && (remote(src) || remote(dest)) {
        push(&format!("--rsh={}", shlex::join(&ssh(args, ctx)?)));
    }
    if let Some(path) = args.str("rsync_path") {
        push(&format!("--rsync-path={path}"));
    }
    for option in args.strings("rsync_opts") {
        push(&option);
    }
    if args.bool("partial") {
        push("--partial");
    }
    if args.has("link_dest") {
        push("-H");
        push("-vv");
        for path in args.strings("link_dest") {
            let inside = std::path::Path::new(dest).starts_with(&path);
            if inside {
                return Err(Failure::new(format!(
                    "Hardlinking into a subdirectory of the source would cause recursion. {path} and {dest}"
                )));
            }
            push(&format!("--link-dest={path}"));
        }
    }
    push(&format!("--out-format={MARK}%i %n%L"));
    push(src.trim_matches('"'));
    push(dest.trim_matches('"'));
    Ok(words)
}

fn ssh(args: &Args, ctx: &Ctx) -> Result<Vec<String>, Failure> {
    let mut words = vec![ctx.program("ssh")?];
    let mut push = |more: &[&str]| words.extend(more.iter().map(|&word| word.to_owned()));
    if !args.bool("ssh_connection_multiplexing") {
        push(&["-S", "none"]);
    }
    if let Some(key) = args.str("private_key") {
        push(&["-i", key]);
    }
    if let Some(port) = args.int("dest_port") {
        push(&["-o", &format!("Port={port}")]);
    }
    if !args.bool("verify_host") {
        push(&["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    }
    if args.bool("use_ssh_args")
        && let Some(more) = args.nonempty("_ssh_args")
    {
        words.extend(shlex::split(more).map_err(Failure::new)?);
    }
    Ok(words)
}

/// The command line, quoted as Ansible shows it.
fn shown(words: &[String]) -> String {
    let quoted = words.iter().map(|word| match word.split_once('=') {
        Some((option @ ("--rsh" | "--rsync-path" | "--out-format"), value)) => {
            format!("{option}={}", shlex::quote(value))
        }
        _ => shlex::quote(word),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_sides() {
        for (text, expected) in
            [("u@h:/x", true), ("h:x", true), ("/a:b", false), ("./a:b", false), ("/x", false)]
        {
            assert_eq!(remote(text), expected, "{text}");
        }
    }
}
