//! Delay: a host's cable runs through a relay process that holds every frame back for a while.
//!
//! Kernels without netem cannot do this alone. The host's veth moves from the lab's bridge to a small bridge
//! of its own (`d<n>`); two tap devices (`i<n>` there, `o<n>` on the lab's bridge) are the relay's two ends.

use crate::command;
use crate::error::At;
use crate::paths::Paths;
use crate::state::Host;
use crate::{LabError, Result, cgroup};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

pub(crate) fn bridge(host: &Host) -> String {
    format!("d{}", host.index)
}

pub(crate) fn inner_tap(host: &Host) -> String {
    format!("i{}", host.index)
}

pub(crate) fn outer_tap(host: &Host) -> String {
    format!("o{}", host.index)
}

fn cgroup_of(paths: &Paths, host: &Host) -> Result<PathBuf> {
    Ok(cgroup::labs()?.join(&paths.lab).join(format!("relay-{}", host.index)))
}

/// Holds every frame of the host back for that long, each way. `helper` runs the relay.
pub(crate) fn set(paths: &Paths, host: &Host, milliseconds: u32, helper: &[OsString]) -> Result<()> {
    clear(paths, host)?;
    let (bridge, inner, outer) = (bridge(host), inner_tap(host), outer_tap(host));
    let batch = format!(
        "link add {bridge} type bridge forward_delay 0 mcast_snooping 0\nlink set {bridge} up\n\
         tuntap add dev {inner} mode tap\nlink set {inner} master {bridge} up\n\
         tuntap add dev {outer} mode tap\nlink set {outer} master br0 up\n"
    );
    command::run_with_input("ip", &["-n", &paths.netns(), "-batch", "-"], &batch)?;

    let cg = cgroup_of(paths, host)?;
    cgroup::make(&cg)?;
    let log_path = paths.run.join(format!("relay-{}.log", host.index));
    let log = fs::File::create(&log_path).at("write", &log_path)?;
    let started = command::program("setsid")
        .arg("--fork")
        .arg("nsenter")
        .arg(format!("--net={}", paths.netns_path().display()))
        .args(helper)
        .arg("relay")
        .arg(cg.join("cgroup.procs"))
        .args([&inner, &outer])
        .arg(milliseconds.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .at("start", "setsid")?;
    // Only a relay that holds both taps gives them a carrier.
    let joined = || {
        let netns = paths.netns();
        let show = command::run("ip", &["-n", &netns, "-o", "link", "show", "up", "dev", &outer]);
        show.is_ok_and(|text| text.contains("LOWER_UP")) && cgroup::populated(&cg)
    };
    if !started.success() || !cgroup::wait_for(Duration::from_secs(5), joined) {
        let why = command::tail(&log_path, 3);
        clear(paths, host)?;
        return Err(LabError::Unavailable { what: "a delay", why });
    }
    attach(paths, host, &bridge)
}

/// Ends the delay and puts the host back on the lab's bridge.
pub(crate) fn clear(paths: &Paths, host: &Host) -> Result<()> {
    attach(paths, host, "br0")?;
    let cg = cgroup_of(paths, host)?;
    cgroup::kill(&cg)?;
    cgroup::remove(&cg)?;
    for device in [inner_tap(host), outer_tap(host), bridge(host)] {
        // They are there only while a delay is.
        drop(command::run("ip", &["-n", &paths.netns(), "link", "del", &device]));
    }
    Ok(())
}

/// Is the relay still there?
pub(crate) fn holds(paths: &Paths, host: &Host) -> Result<bool> {
    Ok(cgroup::populated(&cgroup_of(paths, host)?))
}

/// Plugs the host's cable into that bridge, now and at its next boot.
fn attach(paths: &Paths, host: &Host, bridge: &str) -> Result<()> {
    let file = paths.host_run(&host.id()).join("bridge");
    fs::write(&file, bridge).at("write", &file)?;
    // A host that is off has no cable; its launcher reads the file when it boots.
    drop(command::run("ip", &["-n", &paths.netns(), "link", "set", &host.port(), "master", bridge]));
    Ok(())
}
