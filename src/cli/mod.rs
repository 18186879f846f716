//! Commands: one file each. Here: what they share.

pub mod adhoc;
pub mod ask;
pub mod common;
pub mod inventory;
pub mod lab;
pub mod play;

pub use common::refresh_inventory;

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

/// `NAME [core 2.19.14]` with our own version behind it.
fn version(name: &str) -> String {
    let (major, minor, patch) = crate::vars::ANSIBLE_VERSION;
    format!("{name} [core {major}.{minor}.{patch}] (quorate {})", env!("CARGO_PKG_VERSION"))
}

const HELP: &str = "quorate: playbooks for the life of etcd clusters and of the clients that point at them

  quorate play PLAYBOOK…        run playbooks (as ansible-playbook)
  quorate run PATTERN -a ARGS   run one module on many hosts (as ansible)
  quorate inventory             show the inventory (as ansible-inventory)
  quorate lab up|status|ssh|…   boot the hosts of an inventory as real machines on this computer

Each has --help. Called as ansible-playbook, ansible or ansible-inventory (links to this binary), it has
Ansible's manners and exit codes.";

/// Runs what the command line asks for, whatever name we are called by.
pub fn main(args: Vec<String>) -> ExitCode {
    let called = args.first().map(|a| a.rsplit('/').next().unwrap_or(a).to_owned()).unwrap_or_default();
    let rest = args.get(1..).unwrap_or_default().to_vec();
    // a detached job of the controller itself runs as this same program
    if rest.first().map(String::as_str) == Some(quorate_agent::modules::detached::FLAG) {
        return quorate_agent::modules::detached::main();
    }
    let code = match called.as_str() {
        "ansible-playbook" => play::main(&rest, true),
        "ansible" => adhoc::main(&rest, true),
        "ansible-inventory" => inventory::main(&rest, true),
        "ansible-vault" | "ansible-doc" | "ansible-config" | "ansible-galaxy" | "ansible-console" => {
            crate::report::display::err(&format!(
                "{called}: this command is not there yet; see README.md for what is"
            ));
            status::CANNOT_START
        }
        _ => match rest.first().map(String::as_str) {
            Some("play") => play::main(&rest[1..], false),
            Some("run") => adhoc::main(&rest[1..], false),
            Some("inventory") => inventory::main(&rest[1..], false),
            Some("lab") => lab::main(&rest[1..]),
            Some("--version" | "version") => {
                crate::report::display::out(&version("quorate"));
                status::DONE
            }
            Some("-h" | "--help" | "help") => {
                crate::report::display::out(HELP);
                status::DONE
            }
            other => {
                let commands = ["play", "run", "inventory", "lab", "help", "version"];
                let near = other.and_then(|word| {
                    quorate_yaml::nearest(word, commands).first().map(|n| format!("; did you mean `{n}`?"))
                });
                let what = other.map_or_else(String::new, |word| {
                    format!("error: `{word}` is no command{}\n\n", near.unwrap_or_default())
                });
                crate::report::display::err(&format!("{what}{HELP}"));
                status::USAGE
            }
        },
    };
    ExitCode::from(code)
}

/// The first line of a command's complaint: `ERROR! …` by Ansible's names.
fn headline(text: &str, ansible: bool) -> String {
    if ansible && !text.starts_with("ERROR!") { format!("ERROR! {text}") } else { text.to_owned() }
}

/// An I/O error as Python prints it.
fn errno(error: &std::io::Error, path: Option<&std::path::Path>) -> String {
    let plain = crate::playbook::plain_io(error);
    let words = format!("[Errno {}] {plain}", error.raw_os_error().unwrap_or(0));
    path.map_or_else(|| words.clone(), |path| format!("{words}: '{}'", path.display()))
}
