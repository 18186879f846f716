//! The lab: the hosts of an inventory as real systemd machines on this machine, and faults on request.
//!
//! In: host names and addresses ([`HostSpec`]). Out: machines that run real SSH, etcd, Patroni and PostgreSQL
//! at those very addresses, in a network namespace of their own, so that the same inventory runs unchanged.
//!
//! How it works. `/run/netns/quorate-<lab>` holds a bridge and the controller's end of it. Every host is a
//! systemd-nspawn machine with its own network namespace, joined to the bridge by a veth pair, on its own
//! ext4 disk (a sparse loop image) over one cached base image. Nothing is a daemon: processes are found and
//! ended through the lab's cgroup, so neither a killed controller nor a reused pid can confuse anyone.
//!
//! **Invariant:** nothing outside `/run/quorate-lab`, `/run/netns/quorate-*`, the cgroup `quorate-lab` and
//! `QUORATE_LAB_DIR` (default `/var/lib/quorate-lab`) is ever touched; the user's own network never changes;
//! after [`Lab::down`] only the cached base image and packages remain. Checked in `tests/lab.rs`.
//!
//! Not here: reading inventories and printing. The caller brings hosts and a progress callback.
//!
//! Accounts on every host, all with the lab's key: `root` (password `root-password`), `admin` (sudo without
//! a password), `dba` (sudo with the password `dba-password`), `plain` (no sudo, password `plain-password`).

mod address;
mod base;
mod cgroup;
mod command;
mod error;
pub mod fault;
mod host;
mod lab;
mod paths;
mod preflight;
mod seed;
mod spec;
mod state;
mod status;

pub use address::HostAddress;
pub use base::{Base, Flavour};
pub use error::LabError;
pub use lab::{Lab, Progress, Summary, UpOptions};
pub use preflight::{HOST_PACKAGES, check};
pub use spec::{Disk, HostSpec};
pub use status::{HostStatus, Power};

/// What every call of this crate returns.
pub type Result<T> = std::result::Result<T, LabError>;
