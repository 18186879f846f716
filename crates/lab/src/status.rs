//! What the hosts of a lab are doing now, read from the kernel and from the machines themselves.

use crate::command::{finish, program};
use crate::paths::Paths;
use crate::state::{Host, State};
use crate::{HostAddress, Result, cgroup, host};
use std::fs;
use std::time::Duration;

/// Is the machine on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    On,
    /// Its processes are there and the freezer holds them.
    Frozen,
    /// Its launcher runs and its systemd does not yet.
    Booting,
    Off,
}

impl Power {
    /// One word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Frozen => "frozen",
            Self::Booting => "booting",
            Self::Off => "off",
        }
    }
}

/// One host as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    pub name: String,
    pub addresses: Vec<HostAddress>,
    pub power: Power,
    /// How long the machine has been on.
    pub up: Option<Duration>,
    /// The answer of `systemctl is-system-running`, when there is one.
    pub systemd: Option<String>,
    /// Faults that hold now, as a person would say them.
    pub faults: Vec<String>,
}

pub(crate) fn of(paths: &Paths, state: &State, host: &Host) -> Result<HostStatus> {
    let payload = host::payload(paths, host)?;
    let leader = host::leader(paths, host).ok();
    let power = match leader {
        _ if !host::is_on(paths, host)? => Power::Off,
        None => Power::Booting,
        Some(_) if cgroup::frozen(&payload) => Power::Frozen,
        Some(_) => Power::On,
    };
    let running = leader.filter(|_| power == Power::On);
    Ok(HostStatus {
        name: host.spec.name.clone(),
        addresses: host.addresses.clone(),
        power,
        up: leader.and_then(age),
        systemd: running.and_then(systemd_state),
        faults: state.faults_of(&host.spec.name),
    })
}

/// How long a process has been there.
fn age(pid: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let started: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Duration::try_from_secs_f64(now - started / ticks).ok()
}

fn systemd_state(leader: i32) -> Option<String> {
    let mut command = program("timeout");
    // Exits with 1 for everything but `running`; only the word matters.
    command.args([
        "3",
        "nsenter",
        "--target",
        &leader.to_string(),
        "--mount",
        "--uts",
        "--ipc",
        "--pid",
        "--",
        "sh",
    ]);
    command.args(["-c", "systemctl is-system-running || :"]);
    let word = finish(command, None).ok()?.trim().to_owned();
    (!word.is_empty()).then_some(word)
}
