//! Replacing a file in one step: a temporary file beside it, complete and right, then `rename`.
//!
//! **Invariant:** readers see the old file or the new one; the new one never with wider permissions than asked for.

use super::attributes::{Wanted, own, own_open};
use super::{label, trouble};
use crate::module::Failure;
use crate::system::clock;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file being written beside the place where it will stand. Dropped without [`Replacement::commit`], it is gone.
#[derive(Debug)]
pub struct Replacement {
    dest: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
    settings: Settings,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    uid: Option<u32>,
    gid: Option<u32>,
    mode: u32,
    unsafe_writes: bool,
    /// Somebody asked for an owner or group; else they are kept where that is allowed.
    owned: bool,
    /// Somebody asked for a mode.
    moded: bool,
}

fn fresh_name(dest: &Path, attempt: u64) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = dest.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(60).collect();
    let own = std::process::id();
    dest.with_file_name(format!(".quorate-{own}-{number}{attempt}-{name}"))
}

impl Replacement {
    /// Starts a file that will stand at `dest`. It keeps the owner, group and mode of what stands there (a new file
    /// gets 0666 without the umask), as far as `wanted` does not ask for others.
    pub fn of(dest: &str, wanted: &Wanted) -> Result<Replacement, Failure> {
        let path = Path::new(dest);
        let standing = std::fs::metadata(path).ok();
        let mut settings = Settings {
            uid: standing.as_ref().map(|metadata| metadata.uid()),
            gid: standing.as_ref().map(|metadata| metadata.gid()),
            mode: standing.as_ref().map_or(0o666 & !super::mode::umask(), |m| m.mode() & 0o7777),
            unsafe_writes: wanted.unsafe_writes,
            owned: false,
            moded: wanted.mode.is_some(),
        };
        let (uid, gid) = (wanted.uid(dest)?, wanted.gid(dest)?);
        settings.owned = uid.is_some() || gid.is_some();
        settings.uid = uid.or(settings.uid);
        settings.gid = gid.or(settings.gid);
        settings.mode = wanted.bits(dest, settings.mode, false)?.unwrap_or(settings.mode);
        let mut attempt = 0;
        loop {
            let temporary = fresh_name(path, attempt);
            match std::fs::OpenOptions::new()
                .write(true)
                .read(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)
            {
                Ok(file) => {
                    return Ok(Replacement {
                        dest: path.to_path_buf(),
                        temporary,
                        file: Some(file),
                        settings,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
                Err(error) if settings.unsafe_writes && standing.is_some() => {
                    return Replacement::elsewhere(path, settings).map_err(|_| cannot_write(dest, &error));
                }
                Err(error) => return Err(cannot_write(dest, &error)),
            }
        }
    }

    /// A temporary file in the temporary directory, for a destination whose own directory takes none.
    fn elsewhere(dest: &Path, settings: Settings) -> io::Result<Replacement> {
        let temporary = fresh_name(&std::env::temp_dir().join("x"), 0);
        let file = File::options().write(true).read(true).create_new(true).mode(0o600).open(&temporary)?;
        Ok(Replacement { dest: dest.to_path_buf(), temporary, file: Some(file), settings })
    }

    /// Where it is until it is committed; for programs that validate it.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// What writes to it.
    pub fn file(&mut self) -> &mut File {
        self.file.as_mut().expect("the file is open until commit")
    }

    /// Puts it in its place.
    pub fn commit(mut self) -> Result<(), Failure> {
        let dest = self.dest.to_string_lossy().into_owned();
        let file = self.file.take().expect("the file is open until commit");
        self.settle(&file).map_err(|error| cannot_write(&dest, &error))?;
        drop(file);
        match std::fs::rename(&self.temporary, &self.dest) {
            Ok(()) => {}
            // A bind mount cannot be replaced, only written to.
            Err(error) if self.settings.unsafe_writes && self.dest.exists() => {
                self.write_in_place().map_err(|_| cannot_write(&dest, &error))?;
            }
            Err(error) => return Err(cannot_write(&dest, &error)),
        }
        self.temporary = PathBuf::new();
        sync_directory(&self.dest);
        Ok(())
    }

    fn settle(&self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        let differs = |wanted: Option<u32>, now: u32| wanted.filter(|wanted| *wanted != now);
        let (uid, gid) =
            (differs(self.settings.uid, metadata.uid()), differs(self.settings.gid, metadata.gid()));
        if uid.is_some() || gid.is_some() {
            match own_open(file, uid, gid) {
                // who may write in a directory may replace somebody else's file, and then owns it
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !self.settings.owned => {}
                other => other?,
            }
        }
        label::keep(&self.dest, &self.temporary);
        file.set_permissions(std::fs::Permissions::from_mode(self.settings.mode))?;
        self.keep_acl();
        file.sync_all()
    }

    /// The access list of what stands there, where that goes beyond owner, group and others. Its three plain entries
    /// follow the mode, which is set before.
    fn keep_acl(&self) {
        const ATTRIBUTE: &str = "system.posix_acl_access";
        let mut bytes = vec![0; 4096];
        // most files have none, and many file systems know none
        let Ok(length) = rustix::fs::getxattr(&self.dest, ATTRIBUTE, bytes.as_mut_slice()) else { return };
        bytes.truncate(length);
        let none = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(&self.temporary, ATTRIBUTE, &bytes, none).is_ok() && !self.settings.moded {
            return;
        }
        // a mode that was asked for has the last word on owner, mask and others
        std::fs::set_permissions(&self.temporary, std::fs::Permissions::from_mode(self.settings.mode)).ok();
    }

    fn write_in_place(&self) -> io::Result<()> {
        let mut from = File::open(&self.temporary)?;
        let mut to = File::options().write(true).truncate(true).open(&self.dest)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        std::fs::remove_file(&self.temporary)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            // Nothing more can be done about a temporary file that will not go.
            std::fs::remove_file(&self.temporary).ok();
        }
    }
}

fn cannot_write(dest: &str, error: &io::Error) -> Failure {
    trouble("could not write", dest, error)
}

/// Makes a rename in this file's directory survive a power cut, where the file system can.
fn sync_directory(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(directory) = File::open(parent) {
        // Not every file system can sync a directory.
        directory.sync_all().ok();
    }
}

/// Replaces the content of a file in one step.
pub fn write(dest: &str, content: &[u8], wanted: &Wanted) -> Result<(), Failure> {
    let mut replacement = Replacement::of(dest, wanted)?;
    replacement.file().write_all(content).map_err(|error| cannot_write(dest, &error))?;
    replacement.commit()
}

/// Keeps a copy beside a file: `NAME.PID.YYYY-MM-DD@HH:MM:SS~`, with its owner, mode and times. Gives the copy's path;
/// nothing where there is no file.
pub fn backup(path: &str) -> Result<Option<String>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(format!(
            "Could not make backup of {path} to {path}.~: {}",
            crate::system::process::errno(&error)
        ))
    };
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(None) };
    let copy = format!("{path}.{}.{}~", std::process::id(), clock::stamp("%Y-%m-%d@%H:%M:%S"));
    let mut from = File::open(path).map_err(failed)?;
    std::fs::remove_file(&copy).ok();
    let mut to = File::options().write(true).create_new(true).mode(0o600).open(&copy).map_err(failed)?;
    io::copy(&mut from, &mut to).map_err(failed)?;
    // Root keeps the owner; others cannot, and the copy is still theirs.
    own(&copy, Some(metadata.uid()), Some(metadata.gid())).ok();
    label::keep(Path::new(path), Path::new(&copy));
    to.set_permissions(std::fs::Permissions::from_mode(metadata.mode() & 0o7777)).map_err(failed)?;
    let time = |whole: i64, nanos: i64| Some(clock::seconds(whole, nanos));
    super::set_times(
        Path::new(&copy),
        time(metadata.atime(), metadata.atime_nsec()),
        time(metadata.mtime(), metadata.mtime_nsec()),
        true,
    )
    .map_err(failed)?;
    to.sync_all().map_err(failed)?;
    Ok(Some(copy))
}

/// Removes whatever stands at a path, directories with all inside; nothing there is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    match super::observe(path)? {
        None => Ok(()),
        Some(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path).or_else(gone),
        Some(_) => std::fs::remove_file(path).or_else(gone),
    }
}

/// Makes a link, in place of whatever file or link stands there, in one step.
pub fn replace_link(path: &str, target: &str) -> io::Result<()> {
    let temporary = fresh_name(Path::new(path), 0);
    std::os::unix::fs::symlink(target, &temporary)?;
    std::fs::rename(&temporary, path).inspect_err(|_| {
        // The link that could not be put in place is not left behind.
        std::fs::remove_file(&temporary).ok();
    })
}

/// Moves a file, over file systems too.
pub fn rename_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            std::fs::copy(from, to)?;
            std::fs::remove_file(from)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::Value;

    #[test]
    fn a_file_appears_complete_and_right() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem").to_string_lossy().into_owned();
        let wanted = Wanted { mode: Some(Value::from("0640")), ..Wanted::default() };
        write(&path, b"secret", &wanted).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o640);
        write(&path, b"other", &Wanted::default()).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(
            (metadata.mode() & 0o7777, std::fs::read(&path).unwrap().as_slice()),
            (0o640, &b"other"[..])
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_abandoned_file_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x").to_string_lossy().into_owned();
        let replacement = Replacement::of(&path, &Wanted::default()).unwrap();
        let bits = std::fs::metadata(replacement.temporary()).unwrap().mode() & 0o7777;
        assert_eq!(bits, 0o600);
        drop(replacement);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn backups_keep_mode_and_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f").to_string_lossy().into_owned();
        assert_eq!(backup(&path).unwrap(), None);
        write(&path, b"1", &Wanted { mode: Some(Value::from("0600")), ..Wanted::default() }).unwrap();
        let copy = backup(&path).unwrap().unwrap();
        assert!(copy.starts_with(&format!("{path}.{}.", std::process::id())) && copy.ends_with('~'));
        assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o7777, 0o600);
    }
}
