//! Running programs: argument vectors, never shell lines glued together.
//!
//! In: a [`Command`]. Out: [`Output`] with everything it wrote. Each command leads a process group of its own,
//! so that cancelling a job reaches all of it.
//!
//! **Invariant:** returns once the program has ended, even if a daemon it started still holds its output.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Stops a job: a flag that long work looks at, and the process groups to kill.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    cancelled: AtomicBool,
    groups: Mutex<Vec<Pid>>,
}

impl Cancel {
    /// Whether the job should stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Stops the job: kills what it runs now, and what it would still start.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        for group in self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Already gone is as good as killed.
            kill_process_group(*group, Signal::KILL).ok();
        }
    }

    fn enter(&self, group: Pid) {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        if self.is_cancelled() {
            kill_process_group(group, Signal::KILL).ok();
        }
    }

    fn leave(&self, group: Pid) {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != group);
    }
}

/// A program to run.
#[derive(Debug, Clone, Default)]
pub struct Command {
    argv: Vec<OsString>,
    executable: Option<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    directory: Option<OsString>,
    input: Option<Vec<u8>>,
    timeout: Option<Duration>,
    umask: Option<u32>,
}

/// What a program did.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit code; minus the signal's number when one ended it, as Python has it.
    pub rc: i32,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
}

impl Output {
    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.rc == 0
    }
}

/// Why a program did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error("{}", errno(.0))]
    Start(#[source] io::Error),
    /// The directory to start in is not there.
    #[error("{}", errno(.1))]
    Directory(OsString, #[source] io::Error),
    /// Talking to it failed.
    #[error("{}", errno(.0))]
    Io(#[from] io::Error),
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// `[Errno 2] No such file or directory`, as Python prints system errors.
pub fn errno(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("[Errno {code}] {text}")
        }
        None => error.to_string(),
    }
}

impl Command {
    /// A program and its arguments; looked up in `PATH` unless it has a slash.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        Command { argv: argv.into_iter().map(Into::into).collect(), ..Command::default() }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// The file to execute, where it is not the first argument.
    pub fn executable(mut self, path: impl Into<OsString>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// A variable of its environment, on top of the helper's own.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Several variables.
    pub fn envs<'a>(mut self, variables: impl IntoIterator<Item = &'a (String, String)>) -> Self {
        for (name, value) in variables {
            self.environment.push((name.into(), Some(value.into())));
        }
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Where it starts.
    pub fn directory(mut self, path: impl Into<OsString>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// What it reads; nothing (`/dev/null`) otherwise.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Killed, with all it started, after this time.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// The umask it starts with.
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// The arguments, as text for messages.
    pub fn display(&self) -> String {
        self.argv.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end; nobody can cancel it.
    pub fn run_quietly(&self) -> Result<Output, RunError> {
        self.run(&Cancel::default())
    }

    /// Runs it to its end, or until cancelled.
    pub fn run(&self, cancel: &Cancel) -> Result<Output, RunError> {
        if cancel.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let mut command = self.prepare()?;
        let mut child = command.spawn().map_err(RunError::Start)?;
        let group = Pid::from_child(&child);
        cancel.enter(group);
        // Wakes us the moment it ends; kernels before 5.3 have none, then we look every few milliseconds.
        let watch = rustix::process::pidfd_open(group, rustix::process::PidfdFlags::empty()).ok();
        let deadline = self.timeout.map(|time| Instant::now() + time);
        let mut output = Output::default();
        let ended = (|| {
            let mut pipes = Pipes::of(&mut child, self.input.clone())?;
            loop {
                if let Some(status) = child.try_wait()? {
                    // Only what is in the pipes already: a daemon may hold them open for ever.
                    while pipes.exchange(&mut output, 0, None)? {}
                    return Ok(status);
                }
                let left = deadline.map_or(1000, |at| {
                    at.saturating_duration_since(Instant::now()).as_millis().min(1000) as i64
                });
                if left == 0 {
                    output.timed_out = true;
                    kill_process_group(group, Signal::KILL).ok();
                }
                let wait = if watch.is_some() { left.max(1) } else { 5 };
                pipes.exchange(&mut output, wait, watch.as_ref())?;
            }
        })();
        cancel.leave(group);
        let ended: std::process::ExitStatus = ended.map_err(|error: io::Error| RunError::Io(error))?;
        if cancel.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        output.rc = ended.code().unwrap_or_else(|| -ended.signal().unwrap_or(1));
        Ok(output)
    }

    fn prepare(&self) -> Result<std::process::Command, RunError> {
        let missing = || RunError::Start(io::Error::from_raw_os_error(2));
        let program = self.executable.as_ref().or(self.argv.first()).ok_or_else(missing)?;
        let program = self.find(program).ok_or_else(missing)?;
        let mut command = if let Some(mask) = self.umask {
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", &format!("umask {mask:o}; exec \"$@\""), "sh"]).arg(program);
            shell
        } else {
            let mut command = std::process::Command::new(program);
            command.arg0(self.argv.first().ok_or_else(missing)?);
            command
        };
        command.args(self.argv.get(1..).unwrap_or_default());
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            if let Err(error) = std::fs::read_dir(directory)
                && error.kind() != io::ErrorKind::PermissionDenied
            {
                return Err(RunError::Directory(directory.clone(), error));
            }
            command.current_dir(directory);
        }
        command.process_group(0);
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// The program as the *command's* `PATH` has it, so that a task's `environment` counts.
    fn find(&self, program: &OsString) -> Option<OsString> {
        if program.as_bytes().contains(&b'/') {
            return Some(program.clone());
        }
        let own = self.environment.iter().rev().find(|(name, _)| name == "PATH");
        let path = match own {
            Some((_, value)) => value.clone(),
            None => std::env::var_os("PATH"),
        };
        let path =
            path.unwrap_or_else(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        std::env::split_paths(&path)
            .map(|directory| directory.join(program))
            .find(|file| is_executable(file))
            .map(Into::into)
    }
}

/// Whether this is a file that we may execute.
pub fn is_executable(file: &std::path::Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Where a program is: the job's `PATH`, then the directories of administration that login shells leave out.
pub fn which(program: &str, environment: &[(String, String)]) -> Option<String> {
    if program.contains('/') {
        return is_executable(program.as_ref()).then(|| program.to_owned());
    }
    let task = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let path = task.or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
    path.split(':')
        .chain(["/sbin", "/usr/sbin", "/usr/local/sbin", "/usr/bin", "/bin"])
        .filter(|directory| !directory.is_empty())
        .map(|directory| format!("{directory}/{program}"))
        .find(|file| is_executable(file.as_ref()))
}

struct Pipes {
    stdin: Option<(std::process::ChildStdin, Vec<u8>, usize)>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
}

fn nonblocking(fd: &impl std::os::fd::AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}

impl Pipes {
    fn of(child: &mut std::process::Child, input: Option<Vec<u8>>) -> io::Result<Pipes> {
        let pipes = Pipes {
            stdin: child.stdin.take().zip(input).map(|(stdin, input)| (stdin, input, 0)),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        };
        pipes.stdin.as_ref().map_or(Ok(()), |(fd, ..)| nonblocking(fd))?;
        pipes.stdout.as_ref().map_or(Ok(()), nonblocking)?;
        pipes.stderr.as_ref().map_or(Ok(()), nonblocking)?;
        Ok(pipes)
    }

    /// Moves what can be moved within `wait` milliseconds, or until `watch` wakes; says whether anything was read.
    fn exchange(&mut self, output: &mut Output, wait: i64, watch: Option<&OwnedFd>) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(4);
        if let Some((fd, ..)) = &self.stdin {
            fds.push(PollFd::new(fd, PollFlags::OUT));
        }
        if let Some(fd) = &self.stdout {
            fds.push(PollFd::new(fd, PollFlags::IN));
        }
        if let Some(fd) = &self.stderr {
            fds.push(PollFd::new(fd, PollFlags::IN));
        }
        if let Some(fd) = watch {
            fds.push(PollFd::new(fd, PollFlags::IN));
        }
        let time = Timespec { tv_sec: wait / 1000, tv_nsec: wait % 1000 * 1_000_000 };
        match poll(&mut fds, Some(&time)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut moved = false;
        if let Some((fd, input, done)) = &mut self.stdin {
            let more = match fd.write(&input[*done..]) {
                Ok(count) => {
                    *done += count;
                    *done < input.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
                // It does not want to read: its right.
                Err(_) => false,
            };
            if !more {
                self.stdin = None;
            }
        }
        moved |= drain(&mut self.stdout, &mut output.stdout)?;
        moved |= drain(&mut self.stderr, &mut output.stderr)?;
        Ok(moved)
    }
}

fn drain<R: io::Read>(pipe: &mut Option<R>, into: &mut Vec<u8>) -> io::Result<bool> {
    let Some(open) = pipe else { return Ok(false) };
    let mut chunk = [0; 16384];
    match open.read(&mut chunk) {
        Ok(0) => {
            *pipe = None;
            Ok(false)
        }
        Ok(count) => {
            into.extend_from_slice(&chunk[..count]);
            Ok(true)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_output_and_codes() {
        let cat =
            Command::new(["sh", "-c", "cat; echo oops >&2; exit 3"]).input("hello").run_quietly().unwrap();
        assert_eq!((cat.rc, cat.stdout_text().as_str(), cat.stderr_text().as_str()), (3, "hello", "oops\n"));
        let big = vec![b'x'; 3_000_000];
        assert_eq!(Command::new(["cat"]).input(big.clone()).run_quietly().unwrap().stdout, big);
        assert_eq!(Command::new(["sh", "-c", "kill -9 $$"]).run_quietly().unwrap().rc, -9);
        assert_eq!(
            Command::new(["sh", "-c", "umask"]).umask(0o77).run_quietly().unwrap().stdout_text(),
            "0077\n"
        );
    }

    #[test]
    fn failures_to_start_are_told_apart() {
        let none = Command::new(["no-such-program-here"]).run_quietly().unwrap_err();
        assert_eq!(none.to_string(), "[Errno 2] No such file or directory");
        let nowhere = Command::new(["true"]).directory("/no/such/place").run_quietly().unwrap_err();
        assert!(matches!(nowhere, RunError::Directory(..)));
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_does_not_keep_us() {
        let started = Instant::now();
        let output = Command::new(["sh", "-c", "sleep 30 & echo started $!"]).run_quietly().unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
        let text = output.stdout_text();
        let pid: i32 = text.trim().strip_prefix("started ").unwrap().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn timeouts_and_cancelling_kill_the_group() {
        let slow = Command::new(["sh", "-c", "sleep 30; true"]);
        let output = slow.clone().timeout(Duration::from_millis(50)).run_quietly().unwrap();
        assert!(output.timed_out);
        let cancel = Cancel::default();
        let other = cancel.clone();
        let waiting = std::thread::spawn(move || slow.run(&other));
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
        assert!(matches!(waiting.join().unwrap(), Err(RunError::Cancelled)));
    }

    #[test]
    fn the_commands_own_path_counts() {
        let found = Command::new(["sh", "-c", "true"]).env("PATH", "/nowhere").run_quietly();
        assert!(matches!(found, Err(RunError::Start(_))));
    }
}
