//! The helper's loop: requests in, jobs on threads, replies out in the order they become ready.
//!
//! **Invariant:** when the input ends, everything the jobs started is killed and the helper exits, but what its run goes on
//! with by another connection ([`crate::kept::Keep::ends`]) comes to its end first; a module's bug fails its task, not its neighbours.
//!
//! Not here: what the modules do.

mod jobs;
mod spool;
mod tunnel;

use crate::modules::detached;
use crate::protocol::{self, FrameError, Greeting, Reply, Request};
use crate::system::users;
use jobs::Jobs;
use spool::Spools;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tunnel::Tunnels;

/// Where replies go; one at a time.
#[derive(Clone)]
pub(crate) struct Replies(Arc<Mutex<Box<dyn Write + Send>>>);

impl Replies {
    /// Sends one. A controller that is gone needs no answer: the end of input follows.
    pub(crate) fn send(&self, reply: &Reply) {
        let sent = {
            let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            protocol::write_message(&mut *to, reply)
        };
        if let (Err(FrameError::TooLarge(size)), Reply::Done { id, .. }) = (sent, reply) {
            let msg =
                format!("the result of this task has {size} bytes, which is more than a result may have");
            self.send(&Reply::Done { id: *id, result: crate::module::Failure::new(msg).into_result() });
        }
    }
}

/// The helper program.
pub fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(detached::FLAG) => return detached::main(),
        Some("--version") => {
            let line =
                format!("quorate-agent {} protocol {}\n", env!("CARGO_PKG_VERSION"), protocol::VERSION);
            return match std::io::stdout().write_all(line.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        _ => {}
    }
    // A panic is reported in its reply; its text may hold what a terminal must not show.
    std::panic::set_hook(Box::new(|_| {}));
    match serve_until(&mut std::io::stdin().lock(), Box::new(std::io::stdout()), leave_when_over) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Ends the program once another helper of the run has taken over: the input may never end, where the machine at its other
/// end has gone without a word.
#[expect(clippy::exit, reason = "the thread that reads waits for a controller that is no more")]
fn leave_when_over(jobs: Jobs) {
    // without the thread, the end of the connection is the end
    let watch = move || {
        jobs.until_taken_over();
        std::process::exit(0);
    };
    std::thread::Builder::new().stack_size(64 << 10).spawn(watch).ok();
}

/// Serves one controller until its requests end.
pub fn serve(from: &mut impl Read, to: Box<dyn Write + Send>) -> Result<(), FrameError> {
    serve_until(from, to, drop)
}

fn serve_until(
    from: &mut impl Read,
    to: Box<dyn Write + Send>,
    beside: impl FnOnce(Jobs),
) -> Result<(), FrameError> {
    let replies = Replies(Arc::new(Mutex::new(to)));
    let spools = Arc::new(Spools::new(replies.clone()));
    let jobs = Jobs::new(replies.clone(), Arc::clone(&spools));
    beside(jobs.clone());
    let mut tunnels = Tunnels::new(replies.clone());
    let ended = loop {
        match protocol::read_message(from) {
            Ok(Some(Request::Goodbye) | None) => break Ok(()),
            Ok(Some(request)) => handle(request, &replies, &jobs, &spools, &mut tunnels),
            Err(error) => break Err(error),
        }
    };
    jobs.stop();
    tunnels.stop();
    spools.stop();
    ended
}

fn handle(request: Request, replies: &Replies, jobs: &Jobs, spools: &Spools, tunnels: &mut Tunnels) {
    match request {
        Request::Hello { .. } => replies.send(&Reply::Hello(Box::new(greeting()))),
        Request::Run { id, job } => jobs.run(id, *job),
        Request::Content { hash, offset, data, last } => spools.receive(&hash, offset, &data, last),
        Request::NoContent { hash, why } => spools.refuse(&hash, why),
        Request::Cancel { id } => jobs.cancel(id),
        Request::Withdraw { id } => jobs.withdraw(id),
        Request::TunnelOpen { id, host, port } => tunnels.open(id, host, port),
        Request::TunnelData { id, data } => tunnels.data(id, data),
        Request::TunnelClose { id } => tunnels.close(id),
        Request::Read { id, path, offset } => jobs.read(id, path, offset),
        Request::Forget => crate::kept::forget(),
        // The loop ends at `Goodbye`, and parts are put together before they come here.
        Request::Goodbye | Request::Part { .. } => {}
    }
}

/// Who and where this process is.
pub fn greeting() -> Greeting {
    let system = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    let uid = rustix::process::geteuid().as_raw();
    let user = users::by_uid(uid);
    Greeting {
        version: protocol::VERSION,
        hostname: text(system.nodename()),
        home: std::env::var("HOME").ok().or(user.as_ref().map(|u| u.home.clone())).unwrap_or_default(),
        user: user.map_or_else(|| uid.to_string(), |user| user.name),
        uid,
        arch: text(system.machine()),
        kernel: text(system.release()),
        pid: std::process::id(),
    }
}

#[cfg(test)]
mod tests;
