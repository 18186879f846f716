//! Commands: one file each. Here: what they share.

pub mod adhoc;
pub mod ask;
pub mod common;
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

/// Runs what the command line asks for, whatever name we are called by.
pub fn main(args: Vec<String>) -> ExitCode {
    let called = args.first().map(|a| a.rsplit('/').next().unwrap_or(a).to_owned()).unwrap_or_default();
    let rest = args.get(1..).unwrap_or_default().to_vec();
    let code = match called.as_str() {
        "ansible-playbook" => play::main(&rest, true),
        "ansible" => adhoc::main(&rest, true),
        _ => match rest.first().map(String::as_str) {
            Some("play") => play::main(&rest[1..], false),
            Some("run") => adhoc::main(&rest[1..], false),
            _ => {
                crate::report::display::err("usage: quorate play PLAYBOOK… | quorate run PATTERN -a COMMAND");
                status::USAGE
            }
        },
    };
    ExitCode::from(code)
}
