//! Commands: one file each. Here: what they share.

pub mod adhoc;
pub mod ask;
mod check;
mod closed;
pub mod common;
mod completions;
mod config;
mod doc;
mod explain;
mod fleet;
mod galaxy;
mod graph;
mod help;
mod history;
mod import;
mod init;
pub mod inventory;
pub mod lab;
mod lsp;
mod man;
mod plan;
pub mod play;
mod schema;
mod vault;

pub use common::refresh_inventory;
#[cfg(test)]
pub(crate) use schema::events as events_schema;

use std::process::ExitCode;

/// Exit statuses of our own commands; those called by Ansible's names have Ansible's.
pub mod status {
    /// Done.
    pub const DONE: u8 = 0;
    /// Could not start: files, inventory, configuration.
    pub const CANNOT_START: u8 = 1;
    /// A host failed.
    pub const FAILED: u8 = 2;
    /// The playbook does not compile.
    pub const DOES_NOT_COMPILE: u8 = 3;
    /// A host was unreachable, and none failed.
    pub const UNREACHABLE: u8 = 4;
    /// Wrong usage.
    pub const USAGE: u8 = 5;
    /// Refused by a guard.
    pub const REFUSED: u8 = 6;
    /// The plan is out of date, or somebody else holds the lock.
    pub const OUT_OF_DATE: u8 = 7;
    /// Failed, and rolled back.
    pub const ROLLED_BACK: u8 = 8;
    /// Changes are pending (`plan --exit-code`).
    pub const CHANGES_PENDING: u8 = 10;
    /// Interrupted.
    pub const INTERRUPTED: u8 = 99;
    /// Our bug.
    pub const BUG: u8 = 250;
}

/// What clap has to say: help on standard output with status 0, mistakes on standard error.
fn usage(error: &clap::Error, ansible: bool) -> u8 {
    if error.use_stderr() {
        crate::report::display::err(error.render().to_string().trim_end());
        // argparse ends with 2, Quorate's own commands with 5
        if ansible { 2 } else { status::USAGE }
    } else {
        crate::report::display::out(error.render().to_string().trim_end());
        status::DONE
    }
}

/// Options of a run that commands which only look take too, so that the line of a run can be asked about as it is.
const OF_RUNS: [&str; 17] = [
    "check",
    "diff",
    "report",
    "events",
    "junit",
    "plain",
    "forks",
    "flush_cache",
    "override_guard",
    "timeout",
    "private_key",
    "ssh_common_args",
    "ssh_extra_args",
    "ask_pass",
    "connection_password_file",
    "ask_become_pass",
    "become_password_file",
];

/// A command without these in its help.
fn without(command: clap::Command, options: &[&str]) -> clap::Command {
    options.iter().fold(command, |command, id| command.mut_arg(*id, |arg| arg.hide(true)))
}

/// As [`parsed`], by a command that was changed. Options of runs that write something can be refused.
fn parsed_by<A: clap::FromArgMatches>(
    command: clap::Command,
    args: &[String],
    refused: &[&str],
) -> Result<A, u8> {
    let name = command.get_name().to_owned();
    let words = std::iter::once(name.clone()).chain(args.iter().cloned());
    let matches = command.try_get_matches_from(words).map_err(|error| usage(&error, false))?;
    if let Some(id) = refused.iter().find(|id| matches.contains_id(id)) {
        crate::report::display::err(&format!("error: `{name}` runs nothing, so there is nothing to --{id}"));
        return Err(status::USAGE);
    }
    A::from_arg_matches(&matches).map_err(|error| usage(&error, false))
}

/// The arguments of a command that only looks: files that a run writes are refused.
fn parsed_looking<A: clap::FromArgMatches>(command: clap::Command, args: &[String]) -> Result<A, u8> {
    parsed_by(command, args, &["report", "events", "junit"])
}

/// A command's arguments; where there is nothing to run, what was to be said has been, and its status.
fn parsed<A: clap::Parser>(name: &str, args: &[String], ansible: bool) -> Result<A, u8> {
    let words = std::iter::once(name.to_owned()).chain(args.iter().cloned());
    A::try_parse_from(words).map_err(|error| usage(&error, ansible))
}

/// What a command that came to its end ends with: its status, a text that is its answer, or nothing to add.
trait Ends {
    /// Says what there is to say; gives the exit status.
    fn status(self) -> u8;
}

impl Ends for u8 {
    fn status(self) -> u8 {
        self
    }
}

impl Ends for () {
    fn status(self) -> u8 {
        status::DONE
    }
}

impl Ends for String {
    fn status(self) -> u8 {
        crate::report::display::out(self.trim_end());
        status::DONE
    }
}

/// The exit status of a command; where it could not do what it was asked for, why has been said.
fn ended(done: Result<impl Ends, common::Cannot>, ansible: bool) -> u8 {
    match done {
        Ok(done) => done.status(),
        Err(cannot) => {
            crate::report::display::err(&headline(&cannot.text, ansible));
            cannot.status
        }
    }
}

/// Runs a command of our own once its words have been read; gives its exit status.
fn run<A, D: Ends>(args: Result<A, u8>, act: impl FnOnce(A) -> Result<D, common::Cannot>) -> u8 {
    match args {
        Ok(args) => ended(act(args), false),
        Err(status) => status,
    }
}

/// `NAME [core 2.19.14]` with our own version behind it.
fn version(name: &str) -> String {
    let (major, minor, patch) = crate::vars::ANSIBLE_VERSION;
    format!("{name} [core {major}.{minor}.{patch}] (quorate {})", env!("CARGO_PKG_VERSION"))
}

/// Runs what the command line asks for, whatever name we are called by.
pub fn main(args: Vec<String>) -> ExitCode {
    let called = args.first().map(|a| a.rsplit('/').next().unwrap_or(a).to_owned()).unwrap_or_default();
    let rest = args.get(1..).unwrap_or_default().to_vec();
    // a detached job of the controller itself runs as this same program
    if rest.first().map(String::as_str) == Some(quorate_agent::modules::detached::FLAG) {
        return quorate_agent::modules::detached::main();
    }
    // what the Tab key offers, whatever name is being typed
    if rest.first().map(String::as_str) == Some("--quorate-complete") {
        return ExitCode::from(completions::answer(rest.get(1..).unwrap_or_default()));
    }
    let code = match called.as_str() {
        "ansible-playbook" => play::main(&rest, true),
        "ansible" => adhoc::main(&rest, true),
        "ansible-inventory" => inventory::main(&rest, true),
        "ansible-vault" => vault::main(&rest, true),
        "ansible-doc" => doc::main(&rest, true),
        "ansible-config" => config::main(&rest, true),
        "ansible-galaxy" => galaxy::main(&rest, true),
        "ansible-console" | "ansible-pull" => {
            crate::report::display::err(&format!(
                "{called}: this command is not there; README.md says what is"
            ));
            status::CANNOT_START
        }
        _ => command(&rest),
    };
    ExitCode::from(code)
}

/// Runs a command of our own: its name and its arguments.
fn command(words: &[String]) -> u8 {
    let rest = words.get(1..).unwrap_or_default();
    match words.first().map(String::as_str) {
        Some("play") => play::main(rest, false),
        Some("run") => adhoc::main(rest, false),
        Some("inventory") => inventory::main(rest, false),
        Some("vault") => vault::main(rest, false),
        Some("doc") => doc::main(rest, false),
        Some("config") => config::main(rest, false),
        Some("galaxy") => galaxy::main(rest, false),
        Some("explain") => explain::main(rest),
        Some("plan") => plan::main(rest),
        Some("graph") => graph::main(rest),
        Some("history") => history::main(rest),
        Some("check") => check::main(rest),
        Some("init") => init::main(rest),
        Some("import") => import::main(rest),
        Some("lsp") => lsp::main(rest),
        Some("schema") => schema::main(rest),
        Some("completions") => completions::main(rest),
        Some("man") => man::main(rest),
        Some("lab") => lab::main(rest),
        Some("fleet") => fleet::main(rest),
        Some("help") => help::main(rest),
        Some("-h" | "--help") => help::main(&[]),
        Some("--version" | "-V" | "version") => {
            crate::report::display::out(&version("quorate"));
            status::DONE
        }
        other => unknown(other),
    }
}

/// Says that there is no such command, and which there are.
fn unknown(word: Option<&str>) -> u8 {
    let what = word.map_or_else(String::new, |word| {
        let near = quorate_yaml::nearest(word, help::COMMANDS.iter().copied());
        let near = near.first().map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("error: `{word}` is no command{near}\n\n")
    });
    crate::report::display::err(&format!("{what}{}", help::HELP));
    status::USAGE
}

/// A command's complaint: `[ERROR]: …` by Ansible's names.
fn headline(text: &str, ansible: bool) -> String {
    let plain = text.strip_prefix("error: ").or_else(|| text.strip_prefix("ERROR! ")).unwrap_or(text);
    match ansible {
        true if text.starts_with("[ERROR]") => text.to_owned(),
        true => format!("[ERROR]: {plain}"),
        false if text.starts_with("error[") => text.to_owned(),
        false => format!("error: {plain}"),
    }
}

/// An I/O error as Python prints it.
fn errno(error: &std::io::Error, path: Option<&std::path::Path>) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let about = path.map_or_else(String::new, |path| format!(": '{}'", path.display()));
    format!("[Errno {}] {words}{about}", error.raw_os_error().unwrap_or(0))
}

/// The command line of every command, for the reference.
fn commands() -> Vec<(&'static str, clap::Command)> {
    // pages must not depend on how wide somebody's terminal is
    let all = [
        ("play", play::command()),
        ("run", adhoc::command()),
        ("inventory", inventory::command()),
        ("vault", vault::command()),
        ("doc", doc::command()),
        ("config", config::command()),
        ("galaxy", galaxy::command()),
        ("plan", plan::command()),
        ("graph", graph::command()),
        ("history", history::command()),
        ("check", check::command()),
        ("init", init::command()),
        ("import", import::command()),
        ("lsp", lsp::command()),
        ("schema", schema::command()),
        ("completions", completions::command()),
        ("man", man::command()),
        ("explain", explain::command()),
        ("lab", lab::command()),
        ("fleet", fleet::command()),
    ];
    all.into_iter().map(|(name, command)| (name, command.term_width(100))).collect()
}
