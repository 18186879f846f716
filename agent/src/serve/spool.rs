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
    waiting: usize,
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

    fn fetch(&self, job: u64, hash: &Hash, cancel: &Cancel) -> Result<Body, String> {
        let mut state = self.state();
        if let Some(body) = state.here.get(hash).and_then(Here::body) {
            return Ok(body);
        }
        let first = !state.coming.contains_key(hash);
        state.coming.entry(*hash).or_default().waiting += 1;
        if first {
            drop(state);
            self.replies.send(&Reply::NeedContent { id: job, hash: *hash });
            state = self.state();
        }
        loop {
            if cancel.is_cancelled() || state.stopped {
                return Err("cancelled".into());
            }
            let Some(coming) = state.coming.get_mut(hash) else { return Err("it got lost".into()) };
            if let Some(done) = coming.done.clone() {
                coming.waiting -= 1;
                if coming.waiting == 0 {
                    state.coming.remove(hash);
                }
                return done;
            }
            let wait = self.arrived.wait_timeout(state, Duration::from_millis(200));
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
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
        drop(state);
        if done {
            self.arrived.notify_all();
        }
    }

    pub(crate) fn refuse(&self, hash: &Hash, why: String) {
        if let Some(coming) = self.state().coming.get_mut(hash) {
            coming.done = Some(Err(why));
        }
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

impl State {
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
    pub(crate) id: u64,
    pub(crate) spools: Arc<Spools>,
}

impl ContentProvider for ForJob {
    fn fetch(&self, hash: &Hash, cancel: &Cancel) -> Result<Body, String> {
        self.spools.fetch(self.id, hash, cancel)
    }
}
