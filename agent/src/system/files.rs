//! Files as modules see them: what stands at a path, its digest, its attributes, replacing it in one step.
//!
//! **Invariant:** content appears at its final path complete, with owner, group, mode and label already right.

mod attributes;
mod generation_ioctl;
mod label;
mod mode;
mod replace;
mod times;

pub use attributes::{Sides, Wanted, attribute_flags, attribute_names, generation, read_flags};
pub use label::{context as selinux_context, enabled as selinux_enabled, keep as keep_label};
pub use mode::{parse_mode, umask};
pub use replace::{Replacement, backup, remove_tree, rename_or_copy, replace_link, write};
pub use times::set_times;

use super::process::errno;
use crate::module::Failure;
use crate::protocol::{Hash, hex};
use quorate_value::{Dict, Value};
use sha2::Digest as _;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Absent,
    /// A regular file with one name (or something special: devices, sockets).
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A regular file with several names.
    Hard,
}

impl Kind {
    /// Ansible's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Absent => "absent",
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Link => "link",
            Kind::Hard => "hard",
        }
    }

    /// What these metadata (of the path itself) say.
    pub fn of(metadata: &Metadata) -> Kind {
        if metadata.file_type().is_symlink() {
            Kind::Link
        } else if metadata.is_dir() {
            Kind::Directory
        } else if metadata.nlink() > 1 && !metadata.file_type().is_fifo() {
            Kind::Hard
        } else {
            Kind::File
        }
    }

    /// What stands at `path` itself.
    pub fn at(path: impl AsRef<Path>) -> Kind {
        std::fs::symlink_metadata(path).map_or(Kind::Absent, |metadata| Kind::of(&metadata))
    }
}

/// Metadata of the path itself; nothing where nothing is.
pub fn observe(path: impl AsRef<Path>) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The permission bits.
pub fn permission_bits(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Digests that Ansible knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// By its name.
    pub fn named(name: &str) -> Option<Algorithm> {
        Some(match name {
            "md5" => Algorithm::Md5,
            "sha1" | "sha" => Algorithm::Sha1,
            "sha224" => Algorithm::Sha224,
            "sha256" => Algorithm::Sha256,
            "sha384" => Algorithm::Sha384,
            "sha512" => Algorithm::Sha512,
            _ => return None,
        })
    }

    /// The digest of everything that can be read, in hexadecimal.
    pub fn digest_of(self, from: &mut impl Read) -> io::Result<String> {
        Ok(match self {
            Algorithm::Md5 => hex(&digest::<md5::Md5>(from)?),
            Algorithm::Sha1 => hex(&digest::<sha1::Sha1>(from)?),
            Algorithm::Sha224 => hex(&digest::<sha2::Sha224>(from)?),
            Algorithm::Sha256 => hex(&digest::<sha2::Sha256>(from)?),
            Algorithm::Sha384 => hex(&digest::<sha2::Sha384>(from)?),
            Algorithm::Sha512 => hex(&digest::<sha2::Sha512>(from)?),
        })
    }

    /// The digest of bytes, in hexadecimal.
    pub fn digest(self, bytes: &[u8]) -> String {
        self.digest_of(&mut &*bytes).expect("memory can always be read")
    }

    /// The digest of a file, in hexadecimal.
    pub fn digest_file(self, path: impl AsRef<Path>) -> io::Result<String> {
        self.digest_of(&mut std::fs::File::open(path)?)
    }
}

fn digest<D: sha2::Digest>(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut state = D::new();
    let mut chunk = vec![0; 65536];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(state.finalize().to_vec()),
            Ok(count) => state.update(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 of a file.
pub fn sha256_file(path: impl AsRef<Path>) -> io::Result<Hash> {
    let bytes = digest::<sha2::Sha256>(&mut std::fs::File::open(path)?)?;
    Ok(bytes.try_into().expect("SHA-256 has 32 bytes"))
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    sha2::Sha256::digest(bytes).into()
}

/// Adds what Ansible tells about a path in every result that names one: owner, mode, state, size.
pub fn describe(path: &str, into: &mut Dict) {
    // A link that leads nowhere is as good as nothing, as Ansible sees it.
    let (Ok(metadata), Ok(_)) = (std::fs::symlink_metadata(path), std::fs::metadata(path)) else {
        return;
    };
    into.insert("uid", metadata.uid());
    into.insert("gid", metadata.gid());
    into.insert("owner", user_name(metadata.uid()));
    into.insert("group", group_name(metadata.gid()));
    into.insert("mode", format!("0{:03o}", permission_bits(&metadata)));
    into.insert("state", Kind::of(&metadata).name());
    if selinux_enabled() {
        into.insert("secontext", selinux_context(path.as_ref()).map(Value::from));
    }
    into.insert("size", metadata.size());
}

/// A user's name, or its number as text where it has none.
pub fn user_name(uid: u32) -> String {
    super::users::by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name)
}

/// A group's name, or its number as text where it has none.
pub fn group_name(gid: u32) -> String {
    super::users::group_by_gid(gid).map_or_else(|| gid.to_string(), |group| group.name)
}

/// The real path with links resolved as far as it exists (`os.path.realpath`).
pub fn real_path(path: &str) -> String {
    if let Ok(real) = std::fs::canonicalize(path) {
        return real.to_string_lossy().into_owned();
    }
    let given = Path::new(path);
    let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else { return path.to_owned() };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    // A dangling link leads somewhere too.
    if let Ok(target) = std::fs::read_link(given) {
        let target = parent.join(target);
        if target != given && std::fs::symlink_metadata(&target).is_err() {
            return real_path(&target.to_string_lossy());
        }
    }
    if std::fs::symlink_metadata(parent).is_err() && parent.parent().is_none() {
        return path.to_owned();
    }
    Path::new(&real_path(&parent.to_string_lossy())).join(name).to_string_lossy().into_owned()
}

/// A failure that says what could not be done to which path, and what the system said.
pub fn trouble(what: &str, path: &str, error: &io::Error) -> Failure {
    Failure::new(format!("{what} {path}: {}", errno(error))).with("path", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests() {
        for (name, digest) in [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            assert_eq!(Algorithm::named(name).unwrap().digest(b"abc"), digest);
        }
    }

    #[test]
    fn real_paths_of_what_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(directory.path()).unwrap();
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        std::os::unix::fs::symlink("gone", root.join("link")).unwrap();
        assert_eq!(real_path(&at("link")), at("gone"));
        assert_eq!(real_path(&at("a/b")), at("a/b"));
    }
}
