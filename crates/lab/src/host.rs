//! One host's machine: start it, wait until ssh answers, switch it off.

use crate::address::host_network;
use crate::command::{program, run, tail};
use crate::error::At;
use crate::paths::{NETNS, Paths};
use crate::seed::machine_id;
use crate::state::{Host, State, make_private};
use crate::{LabError, Result, cgroup, preflight};
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The cgroup of a host: `launcher` holds what keeps it plugged in, `machine` the machine.
pub(crate) fn cgroup_of(paths: &Paths, host: &Host) -> Result<PathBuf> {
    Ok(cgroup::labs()?.join(&paths.lab).join(host.id()))
}

/// The part of the cgroup that the machine's own systemd manages.
pub(crate) fn payload(paths: &Paths, host: &Host) -> Result<PathBuf> {
    Ok(cgroup_of(paths, host)?.join("machine/payload"))
}

/// Is any of its processes there, booting ones included?
pub(crate) fn is_on(paths: &Paths, host: &Host) -> Result<bool> {
    Ok(cgroup::populated(&cgroup_of(paths, host)?))
}

/// The pid of the machine's first process, as this machine counts.
pub(crate) fn leader(paths: &Paths, host: &Host) -> Result<i32> {
    let scope = payload(paths, host)?.join("init.scope");
    let is_init = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
            status.lines().any(|l| l.starts_with("NSpid:") && l.split_whitespace().next_back() == Some("1"))
        })
    };
    let found = cgroup::processes(&scope).into_iter().find(is_init);
    found.ok_or_else(|| LabError::HostDown { host: host.spec.name.clone() })
}

/// Begins the boot of a host that is off and returns at once. The processes outlive this one.
pub(crate) fn start(paths: &Paths, state: &State, host: &Host) -> Result<()> {
    let id = host.id();
    let cg = cgroup_of(paths, host)?;
    cgroup::make(&cg.join("launcher"))?;
    cgroup::make(&cg.join("machine"))?;
    let disk = state.disks.join(&id);
    wait_disk_released(&disk.join("disk.img"));
    let run_dir = paths.host_run(&id);
    make_private(&run_dir)?;
    let write = |name: &str, text: &str| fs::write(run_dir.join(name), text).at("write", run_dir.join(name));
    write("network", &host_network(&host.addresses, &state.controller, &state.reserved))?;
    let delayed = state.delays.contains_key(&host.spec.name);
    write("bridge", &if delayed { crate::fault::delay::bridge(host) } else { "br0".to_owned() })?;

    let log_path = paths.host_log(&id);
    let log = fs::File::create(&log_path).at("write", &log_path)?;
    let log2 = log.try_clone().at("write", &log_path)?;
    let launched = program("setsid")
        .arg("--fork")
        .arg("sh")
        .arg(paths.run.join("launch.sh"))
        .env("CG", &cg)
        .env("RUN", &run_dir)
        .env("MACHINE_SH", paths.run.join("machine.sh"))
        .env("LABNS", paths.netns())
        .env("HOSTNS", paths.host_netns(&id))
        .env("PORT", host.port())
        .env("MAC", host.mac())
        .env("NAME", &host.spec.name)
        .env("BASE", &state.base)
        .env("DISK", &disk)
        .env("DISK_SIZE", format!("{}M", state.disk.mebibytes))
        .env("MACHINE", format!("lab-{}-{}", paths.lab, host.index))
        .env("HOSTNAME", host.spec.hostname())
        .env("MACHINE_ID", machine_id(paths, host))
        .env("USERS", users(host))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log2)
        .status()
        .at("start", "setsid")?;
    if !launched.success() {
        return Err(boot_error(paths, host, "its launcher could not be started"));
    }
    Ok(())
}

/// The extra login, unless the base image has it.
fn users(host: &Host) -> String {
    let known = ["root", "admin", "dba", "plain"];
    host.spec.user.clone().filter(|user| !known.contains(&user.as_str())).unwrap_or_default()
}

/// Waits until the host's sshd says its name. Runs in a thread of its own, which enters the lab's network.
pub(crate) fn wait_ready(paths: &Paths, host: &Host, limit: Duration) -> Result<()> {
    let namespace = paths.netns_path();
    let file = fs::File::open(&namespace).at("open", &namespace)?;
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind)
        .at("enter", &namespace)?;
    let started = Instant::now();
    let address = SocketAddr::new(host.ip(), 22);
    loop {
        if greets(address) {
            return Ok(());
        }
        // The launcher needs a moment to get into its cgroup; after that an empty one means the end.
        if started.elapsed() > Duration::from_secs(1) && !is_on(paths, host)? {
            return Err(boot_error(paths, host, "its machine ended"));
        }
        if started.elapsed() > limit {
            let why = preflight::inotify_used_up();
            return Err(boot_error(paths, host, why.as_deref().unwrap_or("its sshd does not answer")));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) else {
        return false;
    };
    let mut greeting = [0u8; 4];
    stream.set_read_timeout(Some(Duration::from_secs(2))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && &greeting == b"SSH-"
}

fn boot_error(paths: &Paths, host: &Host, why: &str) -> LabError {
    let log = paths.host_log(&host.id());
    LabError::Boot { host: host.spec.name.clone(), why: why.to_owned(), tail: tail(&log, 12), log }
}

/// Pulls the plug: every process of the machine ends at once, its network with it. The disk stays.
pub(crate) fn power_off(paths: &Paths, state: &State, host: &Host) -> Result<()> {
    let cg = cgroup_of(paths, host)?;
    cgroup::kill(&cg)?;
    unplug(paths, &host.id(), &host.port())?;
    cgroup::remove(&cg)?;
    wait_disk_released(&state.disks.join(host.id()).join("disk.img"));
    Ok(())
}

fn unplug(paths: &Paths, id: &str, port: &str) -> Result<()> {
    let netns = paths.netns();
    if paths.netns_path().exists() {
        // Gone with the other end in most cases; only a namespace that is still held keeps it.
        drop(run("ip", &["-n", &netns, "link", "del", port]));
    }
    let name = paths.host_netns(id);
    if Path::new(NETNS).join(&name).exists() {
        run("ip", &["netns", "del", &name])?;
    }
    Ok(())
}

/// Waits until no loop device holds the image: the kernel unmounts a dead machine's disk in its own time,
/// and a second mount before that would damage it.
pub(crate) fn wait_disk_released(image: &Path) {
    let held = || {
        let Ok(blocks) = fs::read_dir("/sys/block") else { return false };
        blocks.flatten().filter(|b| b.file_name().to_string_lossy().starts_with("loop")).any(|block| {
            fs::read_to_string(block.path().join("loop/backing_file"))
                .is_ok_and(|file| file.trim_end().trim_end_matches(" (deleted)") == image.to_string_lossy())
        })
    };
    cgroup::wait_for(Duration::from_secs(20), || !held());
}
