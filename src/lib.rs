//! Quorate: Ansible-style playbooks for the life of etcd clusters and of the clients that point at them.
//!
//! One line: inventory × playbook → compile → gates → run over SSH through a helper → events → whatever people look at.
//! The rooms and what each does not do are in `ARCHITECTURE.md`.

pub mod cli;
pub mod codes;
pub mod connect;
pub mod diag;
pub mod forecast;
mod heap;
pub mod journal;
pub mod plan;
pub mod playbook;
pub mod probe;
pub mod report;
pub mod run;
pub mod secrets;
pub mod settings;
pub mod vars;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

/// The program: what the command line asks for, by whatever name it is called.
pub fn main() -> ExitCode {
    if let Some(path) = environment("QUORATE_ASKPASS") {
        return askpass(Path::new(&path));
    }
    // an `async` job of this very machine
    if std::env::args().nth(1).as_deref() == Some(quorate_agent::modules::detached::FLAG) {
        return quorate_agent::modules::detached::main();
    }
    heap::in_large_pages();
    cli::main(std::env::args().collect())
}

/// An environment variable. The one door to the environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The home of the user who runs this.
pub fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        environment("HOME").filter(|h| !h.is_empty()).map_or_else(|| PathBuf::from("/root"), PathBuf::from)
    })
}

/// Called by ssh for a password: asks the run that started it.
#[expect(clippy::print_stdout, reason = "ssh reads the password from here")]
fn askpass(socket: &Path) -> ExitCode {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::os::unix::net::UnixStream::connect(socket)
        .and_then(|mut stream| stream.read_to_string(&mut text));
    match read {
        Ok(_) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}
