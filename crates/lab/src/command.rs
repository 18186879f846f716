//! Short-lived helper programs of this machine (`ip`, `nft`, `ssh-keygen`), with their words on failure.

use crate::{LabError, Result};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program of this machine, found also where a plain user's `PATH` does not look.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    if let Ok(path) = std::env::join_paths(search_path()) {
        command.env("PATH", path);
    }
    command
}

/// `PATH`, then the system directories.
pub(crate) fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for directory in ["/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
        if !all.iter().any(|d| d == Path::new(directory)) {
            all.push(directory.into());
        }
    }
    all
}

/// Runs a program to its end; its standard output, or an error with what it said.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String> {
    let mut command = self::program(program);
    command.args(args);
    finish(command, None)
}

/// Runs a program with text on its standard input.
pub(crate) fn run_with_input<S: AsRef<OsStr>>(program: &str, args: &[S], input: &str) -> Result<String> {
    let mut command = self::program(program);
    command.args(args);
    finish(command, Some(input))
}

/// Runs a prepared command to its end.
pub(crate) fn finish(mut command: Command, input: Option<&str>) -> Result<String> {
    let said = spell(&command);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return Err(LabError::Command { command: said, stderr: e.to_string() }),
    };
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends before it has read everything says why on its own.
        drop(stdin.write_all(text.as_bytes()));
    }
    let output = match child.wait_with_output() {
        Ok(output) => output,
        Err(e) => return Err(LabError::Command { command: said, stderr: e.to_string() }),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let stderr = if stderr.is_empty() { output.status.to_string() } else { stderr };
    Err(LabError::Command { command: said, stderr })
}

fn spell(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// The last lines of a log file, for an error message.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
