//! Content on its way from the controller: asked for once, shared by all who need it, checked by its hash.

use super::Replies;
use crate::module::{Body, ContentProvider};
use crate::protocol::{Hash, Reply, hex};
use crate::system::process::{Cancel, errno};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Content up to this size stays in memory.
const IN_MEMORY: u64 = 1 << 20;

pub(crate) struct Spools {
    replies: Replies,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    coming: HashMap<Hash, Coming>,
    /// What came, for as long as somebody uses it.
    here: HashMap<Hash, Here>,
    directory: Option<PathBuf>,
    counter: u64,
    stopped: bool,
}

enum Here {
    Memory(Weak<[u8]>),
    File(Weak<crate::module::Spool>),
}

#[derive(Default)]
struct Coming {
    /// The job that it was asked for.
    asked_by: u64,
    waiting: usize,
    /// So many will come for it later.
    promised: usize,
    memory: Vec<u8>,
    file: Option<(PathBuf, File)>,
    received: u64,
    digest: Sha256,
    done: Option<Result<Body, String>>,
}

impl Spools {
    pub(crate) fn new(replies: Replies) -> Self {
        Spools { replies, state: Mutex::default(), arrived: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for content; `promised` says that the job has asked for it before.
    fn fetch(&self, job: u64, hash: &Hash, promised: bool, cancel: &Cancel) -> Result<Body, String> {
        let mut state = self.state();
        // what still comes is looked at first: a promise is kept there
        let mut ask = match state.coming.get_mut(hash) {
            Some(coming) => {
                coming.waiting += 1;
                coming.promised -= usize::from(promised);
                false
            }
            None => {
                if let Some(body) = state.here.get(hash).and_then(Here::body) {
                    return Ok(body);
                }
                state.coming.insert(*hash, Coming { waiting: 1, ..Coming::asked_by(job) });
                true
            }
        };
        loop {
            if ask {
                drop(state);
                self.replies.send(&Reply::NeedContent { id: job, hash: *hash });
                state = self.state();
            }
            ask = false;
            let ended = cancel.is_cancelled() || state.stopped;
            let Some(coming) = state.coming.get_mut(hash) else { return Err("it got lost".into()) };
            let result = if ended { Some(Err("cancelled".into())) } else { coming.done.clone() };
            match result {
                // it was asked for in the name of another job, which may be over
                Some(Err(_)) if !ended && coming.asked_by != job => {
                    let (waiting, promised) = (coming.waiting, coming.promised);
                    *coming = Coming { waiting, promised, ..Coming::asked_by(job) };
                    ask = true;
                }
                Some(result) => {
                    coming.waiting -= 1;
                    state.forget(hash);
                    return result;
                }
                None => {
                    let wait = self.arrived.wait_timeout(state, Duration::from_millis(200));
                    state = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Asks for content that a job will fetch, as often as it stands here.
    fn expect(&self, job: u64, hashes: &[Hash]) {
        for hash in hashes {
            let mut state = self.state();
            let first = !state.coming.contains_key(hash);
            state.coming.entry(*hash).or_insert_with(|| Coming::asked_by(job)).promised += 1;
            drop(state);
            if first {
                self.replies.send(&Reply::NeedContent { id: job, hash: *hash });
            }
        }
    }

    /// A job is over that has not fetched all it asked for.
    fn release(&self, promised: &HashMap<Hash, usize>) {
        let mut state = self.state();
        for (hash, times) in promised {
            if let Some(coming) = state.coming.get_mut(hash) {
                coming.promised -= times;
                state.forget(hash);
            }
        }
    }

    pub(crate) fn receive(&self, hash: &Hash, offset: u64, data: &[u8], last: bool) {
        let mut state = self.state();
        let Some(mut coming) = state.coming.remove(hash) else { return };
        if coming.done.is_none() {
            match state.store(&mut coming, offset, data) {
                Err(error) => coming.done = Some(Err(format!("could not keep it here: {}", errno(&error)))),
                Ok(()) if last => coming.done = Some(state.complete(hash, &mut coming)),
                Ok(()) => {}
            }
        }
        let done = coming.done.is_some();
        state.coming.insert(*hash, coming);
        state.forget(hash);
        drop(state);
        if done {
            self.arrived.notify_all();
        }
    }

    pub(crate) fn refuse(&self, hash: &Hash, why: String) {
        let mut state = self.state();
        if let Some(coming) = state.coming.get_mut(hash) {
            coming.done = Some(Err(why));
            state.forget(hash);
        }
        drop(state);
        self.arrived.notify_all();
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        if let Some(directory) = state.directory.take() {
            // The system cleans its temporary directory if we cannot.
            std::fs::remove_dir_all(directory).ok();
        }
        drop(state);
        self.arrived.notify_all();
    }
}

impl Coming {
    fn asked_by(job: u64) -> Self {
        Coming { asked_by: job, ..Coming::default() }
    }
}

impl State {
    /// Lets go of what has come, or will not come, once nobody wants it. While pieces are under way it stays, or they would be
    /// taken for those of somebody who asks anew.
    fn forget(&mut self, hash: &Hash) {
        if self.coming.get(hash).is_some_and(|it| it.done.is_some() && it.waiting == 0 && it.promised == 0) {
            self.coming.remove(hash);
        }
    }

    fn store(&mut self, coming: &mut Coming, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset != coming.received {
            return Err(io::Error::other("a piece is missing"));
        }
        coming.received += data.len() as u64;
        coming.digest.update(data);
        if let Some((_, file)) = &mut coming.file {
            return file.write_all(data);
        }
        coming.memory.extend_from_slice(data);
        if coming.received > IN_MEMORY {
            let path = self.fresh_path()?;
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&std::mem::take(&mut coming.memory))?;
            coming.file = Some((path, file));
        }
        Ok(())
    }

    fn fresh_path(&mut self) -> io::Result<PathBuf> {
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => {
                let path = std::env::temp_dir().join(format!(
                    "quorate-{}-{:x}",
                    std::process::id(),
                    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos()
                ));
                std::fs::DirBuilder::new().mode(0o700).create(&path)?;
                self.directory.insert(path).clone()
            }
        };
        self.counter += 1;
        Ok(directory.join(self.counter.to_string()))
    }

    fn complete(&mut self, hash: &Hash, coming: &mut Coming) -> Result<Body, String> {
        let got: Hash = std::mem::take(&mut coming.digest).finalize().into();
        let body = if let Some((path, file)) = coming.file.take() {
            drop(file);
            let spool = Arc::new(crate::module::Spool::new(path));
            self.here.insert(*hash, Here::File(Arc::downgrade(&spool)));
            Body::Spooled(spool)
        } else {
            let bytes: Arc<[u8]> = std::mem::take(&mut coming.memory).into();
            self.here.insert(*hash, Here::Memory(Arc::downgrade(&bytes)));
            Body::Memory(bytes)
        };
        self.here.retain(|_, here| here.body().is_some());
        if got == *hash { Ok(body) } else { Err(format!("it arrived damaged: its SHA-256 is {}", hex(&got))) }
    }
}

impl Here {
    fn body(&self) -> Option<Body> {
        match self {
            Here::Memory(bytes) => bytes.upgrade().map(Body::Memory),
            Here::File(spool) => spool.upgrade().map(Body::Spooled),
        }
    }
}

/// Content for one job.
pub(crate) struct ForJob {
    id: u64,
    spools: Arc<Spools>,
    /// What it asked for ahead, and how often it will still fetch that.
    promised: Mutex<HashMap<Hash, usize>>,
}

impl ForJob {
    pub(crate) fn new(id: u64, spools: Arc<Spools>) -> Self {
        ForJob { id, spools, promised: Mutex::default() }
    }

    fn promised(&self) -> MutexGuard<'_, HashMap<Hash, usize>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContentProvider for ForJob {
    fn fetch(&self, hash: &Hash, cancel: &Cancel) -> Result<Body, String> {
        let promised = match self.promised().get_mut(hash) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        };
        self.spools.fetch(self.id, hash, promised, cancel)
    }

    fn expect(&self, hashes: &[Hash]) {
        for hash in hashes {
            *self.promised().entry(*hash).or_default() += 1;
        }
        self.spools.expect(self.id, hashes);
    }
}

impl Drop for ForJob {
    fn drop(&mut self) {
        self.spools.release(&self.promised());
    }
}
