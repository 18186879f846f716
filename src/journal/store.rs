//! Where journals lie: a folder of the user's own, one file a run.
//!
//! **Invariant:** the folder is the user's and closed to everybody else, and no link is followed inside of it.

use super::frames;
use quorate_agent::protocol::hex;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RawDir};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// So many runs are kept.
const KEPT: usize = 200;

/// The folder of a user's runs.
pub(super) struct Store {
    dir: OwnedFd,
    path: PathBuf,
}

/// A journal in the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// When it began, milliseconds since 1970.
    pub(super) at: u64,
    /// What people call it.
    pub(super) id: String,
}

impl Name {
    fn file(&self) -> String {
        format!("{:014}-{}.run", self.at, self.id)
    }

    fn parse(file: &str) -> Option<Self> {
        let (at, id) = file.strip_suffix(".run")?.split_once('-')?;
        let hex = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
        Some(Name { at: at.parse().ok().filter(|_| hex)?, id: id.to_owned() })
    }
}

fn other(text: String) -> io::Error {
    io::Error::other(text)
}

impl Store {
    /// `$XDG_STATE_HOME/quorate/runs`, or below `~/.local/state`.
    pub(super) fn usual() -> PathBuf {
        crate::environment("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| crate::home().join(".local/state"))
            .join("quorate/runs")
    }

    /// Opens the folder; makes it where `make` says so.
    pub(super) fn open(path: &Path, make: bool) -> io::Result<Self> {
        if make {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&dir)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(other(format!("{} belongs to another user", path.display())));
        }
        if stat.st_mode & 0o077 != 0 {
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o700))?;
        }
        Ok(Store { dir, path: path.to_path_buf() })
    }

    /// A new journal, locked as long as it is open.
    pub(super) fn create(&self, at: u64) -> io::Result<(String, File)> {
        for length in [4, 4, 4, 6, 8, 16] {
            let id: String = hex(&random::<8>()?);
            let name = Name { at, id: id[..length].to_owned() };
            if self.list()?.iter().any(|known| known.id == name.id) {
                continue;
            }
            let flags = OFlags::WRONLY
                | OFlags::CREATE
                | OFlags::EXCL
                | OFlags::APPEND
                | OFlags::NOFOLLOW
                | OFlags::CLOEXEC;
            match rustix::fs::openat(&self.dir, name.file(), flags, Mode::from_raw_mode(0o600)) {
                Ok(file) => {
                    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
                    let mut file = File::from(file);
                    file.write_all(frames::MAGIC)?;
                    return Ok((name.id, file));
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(other("no name was free".into()))
    }

    /// Every journal, oldest first.
    pub(super) fn list(&self) -> io::Result<Vec<Name>> {
        let dir = rustix::fs::openat(
            &self.dir,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut names = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            names.extend(entry?.file_name().to_str().ok().and_then(Name::parse));
        }
        names.sort();
        Ok(names)
    }

    /// The bytes of a journal, and whether its run is still going on.
    pub(super) fn read(&self, name: &Name) -> io::Result<(Vec<u8>, bool)> {
        self.read_up_to(name, u64::MAX)
    }

    /// The same of its beginning.
    pub(super) fn read_up_to(&self, name: &Name, most: u64) -> io::Result<(Vec<u8>, bool)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.dir, name.file(), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !ours {
            return Err(other(format!("{} is no journal of yours", self.path.join(name.file()).display())));
        }
        let going = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err();
        let mut bytes = Vec::new();
        File::from(file).take(most).read_to_end(&mut bytes)?;
        Ok((bytes, going))
    }

    /// Takes out what is older than the newest [`KEPT`].
    pub(super) fn tidy(&self) -> io::Result<()> {
        let names = self.list()?;
        for name in &names[..names.len().saturating_sub(KEPT)] {
            rustix::fs::unlinkat(&self.dir, name.file(), AtFlags::empty())?;
        }
        Ok(())
    }

    /// What digests of secret words are keyed with: made once, and never part of a journal.
    pub(super) fn key(&self) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, "key", flags, Mode::empty()) {
            Ok(file) => {
                let mut key = Vec::new();
                File::from(file).read_to_end(&mut key)?;
                if key.len() == 32 {
                    Ok(key)
                } else {
                    Err(other(format!("{}/key is torn", self.path.display())))
                }
            }
            Err(rustix::io::Errno::NOENT) => {
                let key = random::<32>()?.to_vec();
                let name = format!("key.{}", std::process::id());
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&self.dir, &name, flags, Mode::from_raw_mode(0o600))?;
                File::from(file).write_all(&key)?;
                // whoever comes first has made it
                let made = rustix::fs::linkat(&self.dir, &name, &self.dir, "key", AtFlags::empty());
                rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty())?;
                match made {
                    Ok(()) => Ok(key),
                    Err(rustix::io::Errno::EXIST) => self.key(),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn folder_and_files_are_closed_to_others() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/quorate/runs");
        let store = Store::open(&path, true).unwrap();
        let (id, mut file) = store.create(1).unwrap();
        file.write_all(&frames::framed(b"x")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let name = store.list().unwrap().remove(0);
        assert_eq!((mode(&path.join(name.file())), name.id.clone()), (0o600, id));
        assert!(store.read(&name).unwrap().1, "its run is going on");
        drop(file);
        let (bytes, going) = store.read(&name).unwrap();
        assert!(!going);
        assert_eq!(frames::whole(&bytes).unwrap(), [b"x"]);
        let key = store.key().unwrap();
        assert_eq!(store.key().unwrap(), key);
        assert_eq!(mode(&path.join("key")), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Store::open(&path, false).unwrap();
        assert_eq!(mode(&path), 0o700, "closed again");
    }

    #[test]
    fn no_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, home.path().join("runs")).unwrap();
        assert!(Store::open(&home.path().join("runs"), true).is_err(), "the folder is a link");
        let store = Store::open(&home.path().join("own"), true).unwrap();
        std::fs::write(elsewhere.join("x"), frames::MAGIC).unwrap();
        symlink(elsewhere.join("x"), home.path().join("own/00000000000001-ab.run")).unwrap();
        symlink(elsewhere.join("x"), home.path().join("own/key")).unwrap();
        let name = store.list().unwrap().remove(0);
        assert!(store.read(&name).is_err(), "the journal is a link");
        assert!(store.key().is_err(), "the key is a link");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("own"), true).unwrap();
        for at in 0..KEPT as u64 + 3 {
            let name = Name { at, id: format!("{at:04x}") };
            std::fs::write(home.path().join("own").join(name.file()), frames::MAGIC).unwrap();
        }
        store.tidy().unwrap();
        let left = store.list().unwrap();
        assert_eq!((left.len(), left[0].at), (KEPT, 3));
    }
}
