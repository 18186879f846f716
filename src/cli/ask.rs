//! Asking a person: a line or a password from the terminal.
//!
//! Passwords come from the terminal itself where there is one, so that standard input can carry something else.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

/// A line from standard input, hidden on request; without its newline.
pub fn line(echo: bool) -> std::io::Result<String> {
    let stdin = std::io::stdin();
    let hidden = if echo { None } else { Hidden::new(stdin.as_fd()) };
    let text = ended(&mut stdin.lock())?.unwrap_or_default();
    drop(hidden);
    Ok(text)
}

/// Asks on standard error and reads a line.
pub fn visible(prompt: &str) -> std::io::Result<String> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{prompt}")?;
    stderr.flush()?;
    line(true)
}

/// Asks for a password, on the terminal where there is one.
pub fn password(prompt: &str) -> std::io::Result<String> {
    if let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty") {
        let hidden = Hidden::new(terminal.as_fd());
        let mut screen = &terminal;
        write!(screen, "{prompt}")?;
        let text = ended(&mut BufReader::new(&terminal));
        writeln!(screen)?;
        drop(hidden);
        return text.and_then(given);
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{prompt}")?;
    stderr.flush()?;
    let stdin = std::io::stdin();
    let hidden = Hidden::new(stdin.as_fd());
    let text = ended(&mut stdin.lock());
    drop(hidden);
    writeln!(stderr)?;
    text.and_then(given)
}

/// Nobody answered: that is no empty password.
fn given(text: Option<String>) -> std::io::Result<String> {
    text.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the input ended"))
}

/// One line without its newline; nothing where the input ended before any text.
fn ended(from: &mut dyn std::io::BufRead) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    if from.read_line(&mut text)? == 0 {
        return Ok(None);
    }
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// The terminal without echo, as long as this lives.
struct Hidden<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(terminal: BorrowedFd<'a>) -> Option<Self> {
        let before = tcgetattr(terminal).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Now, &silent).ok()?;
        Some(Hidden { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}
