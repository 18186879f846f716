//! Where a lab keeps things: run-time state, disks, network namespaces.

use crate::{LabError, Result};
use std::path::{Path, PathBuf};

/// Run-time state of all labs.
pub(crate) const RUN: &str = "/run/quorate-lab";
/// Where `ip netns` keeps its names.
pub(crate) const NETNS: &str = "/run/netns";

/// The big directory: base images, packages, disks. `QUORATE_LAB_DIR` moves it.
pub(crate) fn big() -> Result<PathBuf> {
    let path = std::env::var_os("QUORATE_LAB_DIR")
        .filter(|v| !v.is_empty())
        .map_or_else(|| PathBuf::from("/var/lib/quorate-lab"), PathBuf::from);
    let path = std::path::absolute(&path).unwrap_or(path);
    // overlayfs reads these two characters as separators of its options.
    if path.to_string_lossy().contains([':', ',']) {
        return Err(LabError::BadDirectory { path });
    }
    Ok(path)
}

/// All places of one lab.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) lab: String,
    /// `/run/quorate-lab/<lab>`: state, keys, names, logs.
    pub(crate) run: PathBuf,
    /// `<big>/labs/<lab>`: one directory with a disk per host.
    pub(crate) disks: PathBuf,
}

impl Paths {
    pub(crate) fn new(lab: &str) -> Result<Self> {
        Ok(Self { lab: lab.to_owned(), run: Path::new(RUN).join(lab), disks: big()?.join("labs").join(lab) })
    }

    pub(crate) fn netns(&self) -> String {
        format!("quorate-{}", self.lab)
    }

    pub(crate) fn netns_path(&self) -> PathBuf {
        Path::new(NETNS).join(self.netns())
    }

    /// The prefix of the namespaces of this lab's hosts. Lab names have no dot, so no other lab shares it.
    pub(crate) fn host_netns(&self, id: &str) -> String {
        format!("quorate-{}.{id}", self.lab)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.run.join("state.json")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.run.join("id_ed25519")
    }

    pub(crate) fn ssh_config(&self) -> PathBuf {
        self.run.join("ssh_config")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.run.join("known_hosts")
    }

    pub(crate) fn hosts_file(&self) -> PathBuf {
        self.run.join("hosts")
    }

    pub(crate) fn host_run(&self, id: &str) -> PathBuf {
        self.run.join("machines").join(id)
    }

    pub(crate) fn host_log(&self, id: &str) -> PathBuf {
        self.host_run(id).join("boot.log")
    }

    pub(crate) fn host_disk(&self, id: &str) -> PathBuf {
        self.disks.join(id)
    }
}
