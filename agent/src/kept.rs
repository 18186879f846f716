//! What jobs came to, kept on the host until their run has ended well: a controller that dies, or a connection that
//! breaks, loses no result, and a run that goes on does nothing twice.
//!
//! In: results, as jobs end. Out: one file a run and helper in a folder that only the user can write; the results again
//! for whoever has the run's seal.
//!
//! **Invariant:** nobody reads them without the seal, and that is only in the controller's journal; a result is kept
//! before the next job of its queue begins; that nothing can be kept fails no job.
//!
//! Not here: which jobs are kept, and whether what is read counts (the controller knows).

use crate::protocol::hex;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use quorate_value::Dict;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A larger result is not kept: its task runs again.
const LARGEST: usize = 1 << 20;
/// Nobody goes on with a run that is older.
const OLDEST: Duration = Duration::from_hours(7 * 24);
/// All that is read back at once.
const MOST: u64 = 64 << 20;
const NONCE: usize = 12;
/// What the file is called by which a helper is told that another one has taken over.
const OVER: &str = ".over";
/// So long a helper gets to end whose controller has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a job's result is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keep {
    /// The run's secret.
    pub seal: [u8; 32],
    /// What the run calls the job.
    pub name: String,
    /// The job is part of a run that goes on by another connection when this one breaks: that it has begun is kept as
    /// well, so is its failure, and it comes to its end.
    pub ends: bool,
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keep({})", self.name)
    }
}

#[derive(Default)]
struct Kept {
    /// Runs of which something is kept here, by the beginning of their files' names.
    runs: HashSet<String>,
    open: Option<(String, File)>,
}

/// The controller has gone: what fails now may fail for want of content.
static LEAVING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on, a failure is kept only where a program that ran has said so.
pub fn leaving() {
    LEAVING.store(true, std::sync::atomic::Ordering::Release);
}

/// Whether a result counts for whoever asks later.
pub fn counts(keep: &Keep, result: &Dict) -> bool {
    let failed = result.get("failed").is_some_and(quorate_value::Value::is_truthy);
    let leaving = LEAVING.load(std::sync::atomic::Ordering::Acquire);
    !failed || (keep.ends && (!leaving || result.contains_key("rc")))
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the files of a run are called: nothing that leads to the seal.
fn stem(seal: &[u8; 32]) -> String {
    let digest: [u8; 32] = Sha256::new().chain_update(b"kept").chain_update(seal).finalize().into();
    format!("kept-{}", &hex(&digest)[..24])
}

/// Folders that may have it, best first: those that the helper itself may lie in.
fn folders() -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache
        .map(|cache| cache.join("quorate"))
        .into_iter()
        .chain([PathBuf::from(format!("/var/tmp/quorate-{uid}"))])
        .collect()
}

/// Whether a folder is there and nobody else could have put anything into it.
fn ours(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0
    })
}

fn create(stem: &str) -> Option<File> {
    folders().iter().find_map(|folder| {
        if !folder.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        }
        if !ours(folder) {
            return None;
        }
        tidy(folder);
        let path = folder.join(format!("{stem}.{}", std::process::id()));
        let file = File::options().append(true).create(true).mode(0o600).open(path).ok()?;
        // whoever reads it waits until this helper has gone; without locks, nobody waits
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok();
        Some(file)
    })
}

/// Takes away what nobody asks for any more.
fn tidy(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| std::time::SystemTime::now().duration_since(at).is_ok_and(|age| age > OLDEST));
        if old && entry.file_name().to_string_lossy().starts_with("kept-") {
            // the next run tries again
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

/// The mark of a job that has begun, in place of its result.
pub const BEGUN: &str = "_begun";

/// Keeps that a job has begun.
pub fn begin(keep: &Keep) {
    put(keep, &quorate_value::dict! {BEGUN => true});
}

/// Keeps a result. What cannot be kept is not: the task runs again then.
pub fn put(keep: &Keep, result: &Dict) {
    let Ok(plain) = postcard::to_allocvec(&(&keep.name, result)) else { return };
    if plain.len() > LARGEST {
        return;
    }
    let mut nonce = [0u8; NONCE];
    if getrandom::fill(&mut nonce).is_err() {
        return;
    }
    let Ok(cipher) = Aes256Gcm::new_from_slice(&keep.seal) else { return };
    let Ok(hidden) = cipher.encrypt(&Nonce::from(nonce), plain.as_slice()) else { return };
    let mut frame = ((NONCE + hidden.len()) as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&nonce);
    frame.extend_from_slice(&hidden);
    let stem = stem(&keep.seal);
    let mut kept = kept();
    let kept = kept.get_or_insert_with(Kept::default);
    if kept.open.as_ref().is_none_or(|(open, _)| *open != stem) {
        kept.open = create(&stem).map(|file| (stem.clone(), file));
        kept.runs.insert(stem);
    }
    if let Some((_, file)) = &mut kept.open
        && file.write_all(&frame).is_err()
    {
        // nothing behind a torn frame is read
        kept.open = None;
    }
}

/// What is kept of these runs, in no order.
pub fn read(seals: &[[u8; 32]]) -> Vec<(String, Dict)> {
    let mut found = Vec::new();
    for seal in seals {
        let stem = stem(seal);
        for path in files(&stem) {
            if let Some(bytes) = complete(&path) {
                opened(seal, &bytes, &mut found);
            }
        }
        kept().get_or_insert_with(Kept::default).runs.insert(stem);
    }
    found
}

/// Another helper of the run takes over from those that are still here: they begin nothing more, end what they are at, and
/// go. Comes back when they have gone.
pub fn take_over(seals: &[[u8; 32]]) {
    let own = format!(".{}", std::process::id());
    for path in seals.iter().flat_map(|seal| files(&stem(seal))) {
        let name = path.to_string_lossy().into_owned();
        if name.ends_with(OVER) || name.ends_with(&own) {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        let over = PathBuf::from(format!("{name}{OVER}"));
        while rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) {
            if !over.exists() {
                // one that cannot be told ends when its connection does
                File::options().append(true).create(true).mode(0o600).open(&over).ok();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        std::fs::remove_file(over).ok();
    }
}

/// Whether another helper has taken over from this one.
pub fn is_over() -> bool {
    let kept = kept();
    let Some((stem, _)) = kept.as_ref().and_then(|kept| kept.open.as_ref()) else { return false };
    let name = format!("{stem}.{}{OVER}", std::process::id());
    folders().iter().any(|folder| folder.join(&name).exists())
}

/// A file, once the helper that writes it has gone: one whose controller has died ends what it is at.
fn complete(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let until = Instant::now() + PATIENCE;
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
        && Instant::now() < until
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn files(stem: &str) -> Vec<PathBuf> {
    let in_folder = |folder: PathBuf| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(stem))
            .filter(|entry| !entry.file_name().to_string_lossy().ends_with(OVER))
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    folders().into_iter().filter(|folder| ours(folder)).flat_map(in_folder).collect()
}

fn opened(seal: &[u8; 32], mut bytes: &[u8], found: &mut Vec<(String, Dict)>) {
    let Ok(cipher) = Aes256Gcm::new_from_slice(seal) else { return };
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((frame, rest)) = rest.split_at_checked(length) else { return };
        bytes = rest;
        let Some((nonce, hidden)) = frame.split_first_chunk::<NONCE>() else { return };
        let Ok(plain) = cipher.decrypt(&Nonce::from(*nonce), hidden) else { return };
        let Ok(entry) = postcard::from_bytes::<(String, Dict)>(&plain) else { return };
        found.push(entry);
    }
}

/// The run has ended well: what this helper has kept of it, and read of those that it went on with, goes.
pub fn forget() {
    let Some(kept) = kept().take() else { return };
    for path in kept.runs.iter().flat_map(|stem| files(stem)) {
        // what stays is taken away once it is old
        std::fs::remove_file(path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::{Value, dict};

    #[test]
    fn what_was_kept_is_read_up_to_where_it_is_torn() {
        let seal = [7u8; 32];
        let cipher = Aes256Gcm::new_from_slice(&seal).unwrap();
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for number in 0..3u8 {
            let plain =
                postcard::to_allocvec(&(format!("job {number}"), dict! {"rc" => i64::from(number)})).unwrap();
            let nonce = [number; NONCE];
            let hidden = cipher.encrypt(&Nonce::from(nonce), plain.as_slice()).unwrap();
            bytes.extend(((NONCE + hidden.len()) as u32).to_le_bytes());
            bytes.extend(nonce);
            bytes.extend(hidden);
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let mut found = Vec::new();
            opened(&seal, &bytes[..cut], &mut found);
            assert_eq!(found.len(), ends.iter().filter(|end| **end <= cut).count() - 1, "cut at {cut}");
            for (number, (name, result)) in found.iter().enumerate() {
                assert_eq!(
                    (name.as_str(), result.get("rc")),
                    (format!("job {number}").as_str(), Some(&Value::Int(number as i64)))
                );
            }
        }
        let mut found = Vec::new();
        opened(&[8; 32], &bytes, &mut found);
        assert!(found.is_empty(), "another seal opens nothing");
        assert!(!String::from_utf8_lossy(&bytes).contains("job"), "and no text is in clear");
    }
}
