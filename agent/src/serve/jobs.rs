//! Jobs of one connection: which run, which wait for another, which ended how.

use super::{Replies, Spools};
use crate::module::{ContentProvider, Failure};
use crate::protocol::{CHUNK, Job, Reply};
use crate::system::process::{Cancel, errno};
use quorate_value::{Dict, Value, dict};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that run at once on one host; more wait their turn.
const AT_ONCE: usize = 32;

/// Panics and stack use of modules stay within their thread.
const STACK: usize = 8 << 20;

#[derive(Clone)]
pub(crate) struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    replies: Replies,
    spools: Arc<Spools>,
    state: Mutex<State>,
    /// A job has come to its end, or the first one has begun that may be taken over.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<(u64, Job)>,
    /// Jobs by the one they wait for.
    waiting: BTreeMap<u64, Vec<(u64, Job)>>,
    running: HashMap<u64, Cancel>,
    /// Of those, the ones that come to their end though the controller has gone.
    ending: HashSet<u64>,
    /// Whether it went well, for `after`.
    ended: HashMap<u64, bool>,
    stopped: bool,
    /// A job was here that may be taken over.
    watched: bool,
}

impl Jobs {
    pub(crate) fn new(replies: Replies, spools: Arc<Spools>) -> Self {
        Jobs { shared: Arc::new(Shared { replies, spools, state: Mutex::default(), ended: Condvar::new() }) }
    }

    pub(crate) fn run(&self, id: u64, job: Job) {
        let mut state = self.shared.state();
        match job.after {
            Some(before) if !state.ended.contains_key(&before) => {
                if state.knows(before) {
                    state.waiting.entry(before).or_default().push((id, job));
                } else {
                    drop(state);
                    self.shared
                        .finish(id, Failure::new(format!("job {before} is not known here")).into_result());
                }
                return;
            }
            Some(before) if state.ended.get(&before) == Some(&false) => {
                drop(state);
                self.shared.finish(id, skipped(before));
                return;
            }
            _ => state.ready.push_back((id, job)),
        }
        drop(state);
        self.shared.start();
    }

    pub(crate) fn cancel(&self, id: u64) {
        let mut state = self.shared.state();
        if let Some(cancel) = state.running.get(&id) {
            cancel.cancel();
            return;
        }
        let before = state.ready.len();
        state.ready.retain(|(other, _)| *other != id);
        let mut found = state.ready.len() < before;
        for queue in state.waiting.values_mut() {
            let before = queue.len();
            queue.retain(|(other, _)| *other != id);
            found |= queue.len() < before;
        }
        drop(state);
        if found {
            self.shared.finish(id, Failure::new("cancelled").into_result());
        }
    }

    /// Takes a job away that still waits for another one; those behind it are not run either.
    pub(crate) fn withdraw(&self, id: u64) {
        let mut state = self.shared.state();
        let mut found = None;
        for (before, queue) in &mut state.waiting {
            let at = queue.iter().position(|(other, _)| *other == id);
            if let Some(at) = at {
                queue.remove(at);
                found = Some(*before);
                break;
            }
        }
        drop(state);
        if let Some(before) = found {
            self.shared.finish(id, skipped(before));
        }
    }

    /// Streams a file back.
    pub(crate) fn read(&self, id: u64, path: String, offset: u64) {
        let cancel = Cancel::default();
        self.shared.state().running.insert(id, cancel.clone());
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let sent = stream(&shared.replies, id, &path, offset, &cancel);
            shared.state().running.remove(&id);
            if let Err(error) = sent {
                let failure = Failure::new(format!("could not read {path}: {}", errno(&error)));
                shared.replies.send(&Reply::Done { id, result: failure.into_result() });
            }
        };
        if let Err(error) = std::thread::Builder::new().spawn(work) {
            self.shared.replies.send(&Reply::Done { id, result: no_thread(&error) });
        }
    }

    /// Kills what runs and starts nothing more. What the run goes on with by another connection comes to its end.
    pub(crate) fn stop(&self) {
        let mut state = self.shared.state();
        state.stopped = true;
        state.ready.clear();
        state.waiting.clear();
        crate::kept::leaving();
        let State { running, ending, .. } = &mut *state;
        running.iter().filter(|(id, _)| !ending.contains(id)).for_each(|(_, cancel)| cancel.cancel());
        drop(state);
        // no content comes any more
        self.shared.spools.stop();
        let mut state = self.shared.state();
        while !state.ending.is_empty() {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until another helper of the run has taken over from this one; then ends as if the controller had gone.
    pub(crate) fn until_taken_over(&self) {
        let mut state = self.shared.state();
        while !state.watched {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        while !crate::kept::is_over() {
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
        self.stop();
    }
}

impl State {
    fn knows(&self, id: u64) -> bool {
        self.running.contains_key(&id)
            || self.ready.iter().any(|(other, _)| *other == id)
            || self.waiting.values().flatten().any(|(other, _)| *other == id)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what may start.
    fn start(self: &Arc<Self>) {
        loop {
            let (id, job, cancel) = {
                let mut state = self.state();
                if state.stopped || state.running.len() >= AT_ONCE {
                    return;
                }
                let Some((id, job)) = state.ready.pop_front() else { return };
                let cancel = Cancel::default();
                state.running.insert(id, cancel.clone());
                if job.keep.as_ref().is_some_and(|keep| keep.ends) {
                    state.ending.insert(id);
                    if !std::mem::replace(&mut state.watched, true) {
                        self.ended.notify_all();
                    }
                }
                (id, job, cancel)
            };
            let shared = Arc::clone(self);
            let work = move || shared.work(id, job, &cancel);
            if let Err(error) = std::thread::Builder::new().stack_size(STACK).spawn(work) {
                self.finish(id, no_thread(&error));
            }
        }
    }

    fn work(self: &Arc<Self>, id: u64, job: Job, cancel: &Cancel) {
        let provider = super::spool::ForJob::new(id, Arc::clone(&self.spools));
        let provider: Arc<dyn ContentProvider> = Arc::new(provider);
        match crate::module::run(job, provider, cancel) {
            Ok(result) => self.finish(id, result),
            Err(panic) => {
                self.replies.send(&Reply::Panicked { id, message: panic.to_string() });
                self.settle(id, false);
            }
        }
        self.start();
    }

    fn finish(self: &Arc<Self>, id: u64, result: Dict) {
        let bad = |key: &str| result.get(key).is_some_and(Value::is_truthy);
        let well = !bad("failed") && !bad("_skipped_after");
        self.replies.send(&Reply::Done { id, result });
        self.settle(id, well);
    }

    /// Notes how a job ended, and moves those that waited for it.
    fn settle(self: &Arc<Self>, id: u64, well: bool) {
        let mut state = self.state();
        state.running.remove(&id);
        if state.ending.remove(&id) {
            self.ended.notify_all();
        }
        state.ended.insert(id, well);
        let next = state.waiting.remove(&id).unwrap_or_default();
        if well {
            state.ready.extend(next);
            drop(state);
            self.start();
        } else {
            drop(state);
            for (later, _) in next {
                self.finish(later, skipped(id));
            }
        }
    }
}

fn skipped(before: u64) -> Dict {
    dict! {
        "changed" => false,
        "skipped" => true,
        "_skipped_after" => before,
        "skip_reason" => "an earlier task of this host failed",
    }
}

fn no_thread(error: &std::io::Error) -> Dict {
    Failure::new(format!("the host cannot start another thread: {}", errno(error))).into_result()
}

fn stream(replies: &Replies, id: u64, path: &str, offset: u64, cancel: &Cancel) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::from_raw_os_error(rustix::io::Errno::ISDIR.raw_os_error()));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut pending: Option<Vec<u8>> = None;
    while !cancel.is_cancelled() {
        let mut data = Vec::with_capacity(CHUNK);
        (&mut file).take(CHUNK as u64).read_to_end(&mut data)?;
        let end = data.is_empty();
        if let Some(before) = pending.take() {
            replies.send(&Reply::Chunk { id, data: before, last: end });
        } else if end {
            replies.send(&Reply::Chunk { id, data: Vec::new(), last: true });
        }
        if end {
            return Ok(());
        }
        pending = Some(data);
    }
    Err(std::io::Error::other("cancelled"))
}
