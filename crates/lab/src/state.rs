//! What a lab remembers between commands: `/run/quorate-lab/<lab>/state.json`, and the lock beside it.
//!
//! Whether a host runs is never stored: its cgroup says so.

use crate::address::HostAddress;
use crate::error::At;
use crate::fault::{Cut, Fill};
use crate::paths::Paths;
use crate::{Disk, HostSpec, LabError, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Everything a later command needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) base: PathBuf,
    pub(crate) disks: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) controller: Vec<HostAddress>,
    pub(crate) reserved: Vec<IpAddr>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) fills: Vec<Fill>,
    /// Milliseconds each way, by host.
    pub(crate) delays: BTreeMap<String, u32>,
    /// Milliseconds that a host's clock is ahead, by host.
    pub(crate) clocks: BTreeMap<String, i64>,
}

/// One host of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) spec: HostSpec,
    pub(crate) index: usize,
    pub(crate) addresses: Vec<HostAddress>,
}

impl Host {
    pub(crate) fn id(&self) -> String {
        self.spec.id(self.index)
    }

    /// The bridge's end of its cable.
    pub(crate) fn port(&self) -> String {
        format!("q{}", self.index)
    }

    /// The same at every boot, as a real card's: neighbours remember it for half a minute.
    pub(crate) fn mac(&self) -> String {
        format!("02:51:00:00:{:02x}:{:02x}", self.index >> 8 & 0xff, self.index & 0xff)
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.addresses[0].ip
    }
}

impl State {
    /// The state of a lab; `None` when there is no such lab.
    pub(crate) fn read(paths: &Paths) -> Result<Option<Self>> {
        let text = match fs::read_to_string(paths.state()) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).at("read", paths.state()),
        };
        let bad = |e: serde_json::Error| LabError::State { lab: paths.lab.clone(), why: e.to_string() };
        let state: Self = serde_json::from_str(&text).map_err(bad)?;
        if state.hosts.iter().any(|h| h.addresses.is_empty()) {
            return Err(LabError::State { lab: paths.lab.clone(), why: "a host without an address".into() });
        }
        Ok(Some(state))
    }

    pub(crate) fn write(&self, paths: &Paths) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("a state is plain data");
        let new = paths.run.join("state.json.new");
        fs::write(&new, text).at("write", &new)?;
        fs::rename(&new, paths.state()).at("write", paths.state())
    }

    pub(crate) fn host(&self, paths: &Paths, name: &str) -> Result<&Host> {
        // People name a host by any of its names, or by its address.
        let named = |h: &&Host| {
            h.spec.name == name
                || h.spec.hostname() == name
                || h.spec.aliases.iter().any(|a| a == name)
                || h.addresses.iter().any(|a| a.ip.to_string() == name)
        };
        self.hosts.iter().find(named).ok_or_else(|| LabError::NoSuchHost {
            lab: paths.lab.clone(),
            host: name.to_owned(),
            known: self.hosts.iter().map(|h| h.spec.name.clone()).collect(),
        })
    }
}

/// Held by whoever changes a lab. Given back when dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lab; makes its directory first, for root alone.
    pub(crate) fn take(paths: &Paths) -> Result<Self> {
        let path = paths.run.join("lock");
        loop {
            make_private(&paths.run)?;
            let file = match File::options().create(true).truncate(false).write(true).open(&path) {
                Ok(file) => file,
                // `down` removed the directory just now.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e).at("open", path),
            };
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).at("lock", &path)?;
            // Whoever had it may have been `down`, and this file is no longer the one with the name.
            let same = |there: fs::Metadata| file.metadata().is_ok_and(|here| here.ino() == there.ino());
            if fs::metadata(&path).is_ok_and(same) {
                return Ok(Self { _file: file });
            }
        }
    }
}

/// A directory for root alone, with its parents.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).at("create", path)
}

/// A lab for unit tests: hosts of these names at 10.0.0.10 and up.
#[cfg(test)]
pub(crate) fn sample(names: &[&str]) -> State {
    let specs: Vec<HostSpec> =
        (10..).zip(names).map(|(n, name)| HostSpec::new(*name, format!("10.0.0.{n}").parse().ok())).collect();
    let plan = crate::address::plan(&specs, &[]).expect("the sample is sound");
    let hosts = specs.into_iter().zip(plan.hosts).enumerate();
    State {
        base: "/base".into(),
        disks: "/disks".into(),
        disk: Disk::default(),
        controller: plan.controller,
        reserved: Vec::new(),
        hosts: hosts.map(|(index, (spec, addresses))| Host { spec, index, addresses }).collect(),
        cuts: Vec::new(),
        fills: Vec::new(),
        delays: BTreeMap::new(),
        clocks: BTreeMap::new(),
    }
}
