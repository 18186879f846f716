//! Asking a person: a line or a password from the terminal.

use std::io::{BufRead as _, Write as _};

/// A line from standard input, hidden on request; without its newline.
pub fn line(echo: bool) -> std::io::Result<String> {
    let hidden = if echo { None } else { Hidden::new() };
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text)?;
    drop(hidden);
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks on standard error and reads a password.
pub fn password(prompt: &str) -> std::io::Result<String> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{prompt}")?;
    stderr.flush()?;
    let text = line(false)?;
    writeln!(stderr)?;
    Ok(text)
}

/// The terminal without echo, as long as this lives.
struct Hidden {
    before: rustix::termios::Termios,
}

impl Hidden {
    fn new() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Now, &silent).ok()?;
        Some(Hidden { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.before).ok();
    }
}
