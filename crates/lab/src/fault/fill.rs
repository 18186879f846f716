//! A full disk: a ballast file takes every free block of the file system that holds a path.
//!
//! Every host has an ext4 disk of its own, so the machine below and the other hosts notice nothing.

use crate::error::At;
use crate::paths::Paths;
use crate::state::Host;
use crate::{LabError, Result, host};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;

/// A disk that is full on request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    pub host: String,
    pub path: String,
}

/// The ballast file's name inside the directory that was named.
const BALLAST: &str = ".quorate-lab-ballast";

/// Opens a directory as the host sees it. Its symbolic links are followed inside the host only.
fn directory(paths: &Paths, host: &Host, path: &str) -> Result<OwnedFd> {
    let root = format!("/proc/{}/root", host::leader(paths, host)?);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root_fd = rustix::fs::open(&root, flags, Mode::empty()).at("open", &root)?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(&root_fd, path, flags, Mode::empty(), resolve).at("open on the host", path)
}

/// Takes all free room where `path` is; how many bytes that was.
pub(crate) fn fill(paths: &Paths, host: &Host, path: &str) -> Result<u64> {
    let directory = directory(paths, host, path)?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, BALLAST, flags, Mode::from_raw_mode(0o600))
        .at("write on the host", path)?;
    let mut size = rustix::fs::fstat(&file).at("read on the host", path)?.st_size as u64;
    // Whole extents first, then smaller ones, down to the last block.
    let mut step = 1u64 << 30;
    while step >= 4096 {
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), size, step) {
            Ok(()) => size += step,
            Err(Errno::NOSPC | Errno::FBIG) => step /= 2,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).at("fill on the host", path),
        }
    }
    Ok(size)
}

/// Gives the room back. A ballast or a directory that is gone already is fine.
pub(crate) fn unfill(paths: &Paths, host: &Host, path: &str) -> Result<()> {
    let directory = match directory(paths, host, path) {
        Err(LabError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match rustix::fs::unlinkat(&directory, BALLAST, AtFlags::empty()) {
        Err(errno) if errno != Errno::NOENT => Err(errno).at("remove on the host", path),
        _ => Ok(()),
    }
}
