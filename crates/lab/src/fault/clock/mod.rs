//! A stepped clock: the programs of one host read another time of day; other hosts and this machine do not.
//!
//! Linux has no namespace for the time of day, so the step is made where programs read it: a keeper process
//! (see `keeper`) rewrites the time functions of the vDSO of every program of the host (see `patch`), and
//! of every program the host starts later. Works for static and for Go programs too.
//!
//! Not stepped: what the kernel itself stamps or waits for (file times, timers on the wall clock), and the
//! monotonic clock, which a real step does not move either.

mod keeper;
mod patch;

pub(crate) use keeper::keep;

use crate::error::At;
use crate::paths::Paths;
use crate::state::Host;
use crate::{LabError, Result, cgroup, command, host};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

fn cgroup_of(paths: &Paths, host: &Host) -> Result<PathBuf> {
    Ok(cgroup::labs()?.join(&paths.lab).join(format!("clock-{}", host.index)))
}

/// Puts the host's clock that far ahead (or behind) and keeps it there. `helper` runs the keeper.
pub(crate) fn set(paths: &Paths, host: &Host, milliseconds: i64, helper: &[OsString]) -> Result<()> {
    clear(paths, host)?;
    host::leader(paths, host)?;
    let cg = cgroup_of(paths, host)?;
    cgroup::make(&cg)?;
    let ready = paths.run.join(format!("clock-{}.ready", host.index));
    remove(&ready)?;
    let log_path = paths.run.join(format!("clock-{}.log", host.index));
    let log = fs::File::create(&log_path).at("write", &log_path)?;
    let started = command::program("setsid")
        .arg("--fork")
        .args(helper)
        .arg("clock")
        .arg(cg.join("cgroup.procs"))
        .arg(host::payload(paths, host)?)
        .arg(&ready)
        .arg(milliseconds.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .at("start", "setsid")?;
    if !started.success() || !cgroup::wait_for(Duration::from_secs(15), || ready.exists()) {
        let why = command::tail(&log_path, 3);
        clear(paths, host)?;
        return Err(LabError::Unavailable { what: "a stepped clock", why });
    }
    Ok(())
}

/// Gives the host the true time back.
pub(crate) fn clear(paths: &Paths, host: &Host) -> Result<()> {
    let cg = cgroup_of(paths, host)?;
    // The keeper restores what it rewrote and ends. It may miss a signal between two looks at its flag.
    let gone = cgroup::wait_for(Duration::from_secs(15), || {
        let keepers = cgroup::processes(&cg);
        for pid in keepers.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It may have ended just now.
            let _ = kill_process(pid, Signal::TERM);
        }
        std::thread::sleep(Duration::from_millis(20));
        keepers.is_empty()
    });
    if !gone {
        cgroup::kill(&cg)?;
    }
    cgroup::remove(&cg)?;
    remove(&paths.run.join(format!("clock-{}.ready", host.index)))
}

/// Is the keeper still there?
pub(crate) fn holds(paths: &Paths, host: &Host) -> Result<bool> {
    Ok(cgroup::populated(&cgroup_of(paths, host)?))
}

fn remove(path: &std::path::Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at("remove", path),
        _ => Ok(()),
    }
}
