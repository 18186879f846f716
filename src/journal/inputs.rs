//! What a run has read on the controller, as digests: whether the same playbook would go on.

use quorate_value::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Larger files are known by size and time.
const LARGE: u64 = 4 << 20;
/// Folders larger than this are known by what was read of them.
const MANY: usize = 20_000;

/// Half of a digest: enough to tell files apart.
fn half(digest: &[u8]) -> String {
    quorate_agent::protocol::hex(&digest[..16])
}

/// A digest that only who has the key can try words against.
pub(super) fn keyed(key: &[u8], words: &[String]) -> String {
    // a hash of a hash with the key on both sides: no word can be lengthened, none guessed without the key
    let mut inner = Sha256::new();
    inner.update(key);
    for word in words {
        inner.update((word.len() as u64).to_le_bytes());
        inner.update(word);
    }
    let mut outer = Sha256::new();
    outer.update(key);
    outer.update(inner.finalize());
    half(&outer.finalize())
}

/// Texts that are secret are stars.
pub(super) fn without_secrets(text: &str) -> String {
    crate::secrets::scrub(text).into_owned()
}

fn holds(text: &str) -> bool {
    matches!(crate::secrets::scrub(text), std::borrow::Cow::Owned(_))
}

/// Whether any text inside holds what is known to be secret, though it is not marked.
pub(super) fn holds_known_secret(value: &Value) -> bool {
    match value {
        Value::Str(text) => holds(text.as_str()),
        Value::List(items) => items.iter().any(holds_known_secret),
        Value::Dict(entries) => {
            entries.iter().any(|(key, value)| key.as_str().is_some_and(holds) || holds_known_secret(value))
        }
        _ => false,
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct Inputs {
    seen: usize,
    told: BTreeSet<PathBuf>,
    waiting: Vec<PathBuf>,
}

impl Inputs {
    /// Files and folders to begin with; what the program reads by itself is found.
    pub fn new(first: Vec<PathBuf>) -> Self {
        Inputs { waiting: first, ..Inputs::default() }
    }

    /// Everything that has been read, with digests.
    pub fn all(mut self) -> Vec<(String, String)> {
        self.more()
    }

    /// What has been read since the last time, with digests.
    pub(super) fn more(&mut self) -> Vec<(String, String)> {
        let sources = quorate_value::sources();
        let fresh = sources.get(self.seen..).unwrap_or_default();
        self.seen = sources.len();
        let mut found = std::mem::take(&mut self.waiting);
        for source in fresh {
            let Ok(path) = std::path::absolute(&source.path) else { continue };
            // a role is more than the files that were parsed
            let role = path.ancestors().find(|dir| {
                dir.parent().and_then(Path::file_name).is_some_and(|name| name == "roles") && dir.is_dir()
            });
            found.extend(role.map(Path::to_path_buf));
            found.push(path);
        }
        let mut out = Vec::new();
        for path in found {
            if self.told.insert(path.clone())
                && let Some(digest) = digest(&path)
            {
                out.push((path.display().to_string(), digest));
            }
        }
        out
    }
}

/// The digest of a file, or of everything below a folder; nothing where it is not there.
pub(super) fn digest(path: &Path) -> Option<String> {
    let about = std::fs::metadata(path).ok()?;
    if about.is_file() {
        return file(path, &about);
    }
    if !about.is_dir() {
        return None;
    }
    let mut all = BTreeSet::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                all.insert(entry.path());
            }
            if all.len() > MANY {
                return Some("too many files".into());
            }
        }
    }
    let mut hash = Sha256::new();
    for entry in all {
        let below = entry.strip_prefix(path).unwrap_or(&entry);
        hash.update(below.as_os_str().as_encoded_bytes());
        hash.update([0]);
        let about = std::fs::metadata(&entry).ok();
        let digest = about.filter(std::fs::Metadata::is_file).and_then(|about| file(&entry, &about));
        hash.update(digest.unwrap_or_default());
    }
    Some(half(&hash.finalize()))
}

fn file(path: &Path, about: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    if about.len() > LARGE {
        return Some(format!("{} bytes, {}.{:09}", about.len(), about.mtime(), about.mtime_nsec()));
    }
    std::fs::read(path).ok().map(|bytes| half(&Sha256::digest(bytes)))
}

/// What is no longer as it was: paths, with what happened to them.
pub(crate) fn changed(then: &[(String, String)]) -> Vec<String> {
    then.iter()
        .filter_map(|(path, before)| match digest(Path::new(path)) {
            None => Some(format!("{path} is gone")),
            Some(now) if now != *before => Some(format!("{path} has changed")),
            Some(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_change_when_anything_in_them_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("role/templates");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("a.j2"), "a").unwrap();
        let role = dir.path().join("role");
        let then = vec![(role.display().to_string(), digest(&role).unwrap())];
        assert!(changed(&then).is_empty());
        std::fs::write(path.join("b.j2"), "b").unwrap();
        assert_eq!(changed(&then), [format!("{} has changed", role.display())]);
        std::fs::remove_dir_all(&role).unwrap();
        assert_eq!(changed(&then), [format!("{} is gone", role.display())]);
    }

    #[test]
    fn digests_need_the_key() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let digest = keyed(b"key", &words(&["a=1", "b=2"]));
        assert_eq!(digest, keyed(b"key", &words(&["a=1", "b=2"])));
        assert_ne!(digest, keyed(b"other", &words(&["a=1", "b=2"])));
        assert_ne!(digest, keyed(b"key", &words(&["a=1b", "=2"])));
    }
}
