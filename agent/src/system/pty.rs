//! A program on a terminal of its own, for those that insist on one.
//!
//! In: a command, and what to answer to what it prints. Out: all it printed, and its exit code.
//!
//! **Invariant:** nothing is typed that the caller did not answer; the program is gone when this returns.

use super::process::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What to do after the program printed something.
pub enum Turn {
    /// Wait for more.
    Wait,
    /// Type this; what was printed so far is settled.
    Type(Vec<u8>),
    /// Stop it.
    Stop,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Talk {
    /// Everything printed.
    pub printed: Vec<u8>,
    /// The exit code; nothing when it was stopped, or when nothing was said for too long.
    pub rc: Option<i32>,
    /// Whether its time was over.
    pub timed_out: bool,
}

/// Runs a program on a terminal. `patience` is how long it may print nothing that gets an answer.
pub fn talk(
    mut command: Command,
    echo: bool,
    patience: Option<Duration>,
    cancel: &Cancel,
    answer: &mut dyn FnMut(&[u8]) -> Turn,
) -> io::Result<Talk> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let open = || {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty())
    };
    let slave = open()?;
    let mut modes = tcgetattr(&slave)?;
    modes.local_modes.set(LocalModes::ECHO, echo);
    tcsetattr(&slave, OptionalActions::Now, &modes)?;
    command.stdin(Stdio::from(open()?)).stdout(Stdio::from(open()?)).stderr(Stdio::from(open()?));
    let mut child = command.spawn()?;
    drop(command);
    drop(slave);
    let mut talk = Talk::default();
    let mut settled = 0;
    let mut deadline = patience.map(|time| Instant::now() + time);
    let ended = loop {
        if cancel.is_cancelled() {
            break None;
        }
        if read(&master, &mut talk.printed)? {
            match answer(&talk.printed[settled..]) {
                Turn::Wait => {}
                Turn::Stop => break None,
                Turn::Type(bytes) => {
                    settled = talk.printed.len();
                    deadline = patience.map(|time| Instant::now() + time);
                    write(&master, &bytes)?;
                }
            }
            continue;
        }
        if let Some(status) = child.try_wait()? {
            while read(&master, &mut talk.printed)? {}
            break Some(status);
        }
        if deadline.is_some_and(|at| Instant::now() > at) {
            talk.timed_out = true;
            break None;
        }
    };
    talk.rc = match ended {
        Some(status) => Some(status.code().unwrap_or_else(|| -status.signal().unwrap_or(1))),
        None => {
            // its session goes with the terminal; the program itself is not trusted to
            child.kill().ok();
            child.wait()?;
            None
        }
    };
    Ok(talk)
}

/// Takes what is there, waiting a moment; whether there was anything.
fn read(master: &OwnedFd, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut fds = [PollFd::new(master, PollFlags::IN)];
    let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    if poll(&mut fds, Some(&moment))? == 0 || !fds[0].revents().contains(PollFlags::IN) {
        if fds[0].revents().contains(PollFlags::HUP) {
            std::thread::sleep(Duration::from_millis(5));
        }
        return Ok(false);
    }
    let mut chunk = [0u8; 4096];
    match rustix::io::read(master, &mut chunk) {
        Ok(0) => Ok(false),
        Ok(count) => {
            into.extend(&chunk[..count]);
            Ok(true)
        }
        Err(rustix::io::Errno::IO | rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write(master: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::write(master, bytes)?;
        bytes = &bytes[count..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_answered() {
        let mut command = Command::new("sh");
        command.args(["-c", "printf 'Name: '; read x; echo got $x; exit 3"]);
        let mut answer = |seen: &[u8]| {
            if seen.ends_with(b"Name: ") { Turn::Type(b"bob\n".to_vec()) } else { Turn::Wait }
        };
        let patience = Some(Duration::from_secs(20));
        let talk = talk(command, false, patience, &Cancel::default(), &mut answer).unwrap();
        assert_eq!(
            (String::from_utf8(talk.printed).unwrap().as_str(), talk.rc),
            ("Name: got bob\r\n", Some(3))
        );
    }

    #[test]
    fn silence_ends_it() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let patience = Some(Duration::from_millis(100));
        let talk = talk(command, false, patience, &Cancel::default(), &mut |_| Turn::Wait).unwrap();
        assert!(talk.timed_out && talk.rc.is_none());
    }
}
