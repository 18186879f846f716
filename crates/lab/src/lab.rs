//! A lab as its user knows it: up, status, ssh, exec, reset, down.
//!
//! Not here: the faults (`fault::commands`).

use crate::command::{program, run, run_with_input};
use crate::error::At;
use crate::fault::{self, Peer};
use crate::paths::{self, NETNS, Paths};
use crate::state::{Host, Lock, State, make_private};
use crate::{Base, Disk, Flavour, HostAddress, HostSpec, HostStatus, LabError, Result};
use crate::{address, cgroup, host, preflight, seed, status};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LAUNCH: &str = include_str!("../assets/launch.sh");
const MACHINE: &str = include_str!("../assets/machine.sh");
const ENTER: &str = include_str!("../assets/enter.sh");

/// How a lab is booted.
#[derive(Debug, Clone)]
pub struct UpOptions {
    pub flavour: Flavour,
    pub disk: Disk,
    /// Addresses that nobody gets but that should be reachable: virtual IPs that move between hosts.
    pub reserved: Vec<IpAddr>,
    /// How long a host may take until its ssh answers.
    pub boot_limit: Duration,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            flavour: Flavour::Full,
            disk: Disk::default(),
            reserved: Vec::new(),
            boot_limit: Duration::from_mins(2),
        }
    }
}

/// What `up` and `reset` tell while they work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The base image is being built, by us or by someone we wait for; repeated with the time so far.
    BuildingBase { elapsed: Duration },
    /// The base image is there.
    BaseReady { path: PathBuf },
    /// A host's boot has begun.
    Booting { host: String },
    /// A host's ssh answers.
    Ready { host: String, after: Duration },
}

/// A lab that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub lab: String,
    pub hosts: Vec<(String, Vec<HostAddress>)>,
    /// The controller's addresses on the lab's network.
    pub controller: Vec<HostAddress>,
    pub netns: String,
    pub key: PathBuf,
    pub ssh_config: PathBuf,
    pub known_hosts: PathBuf,
    /// How many hosts had to be booted; the others were on already.
    pub booted: usize,
}

impl Summary {
    /// The same as lines for a shell to evaluate.
    pub fn env(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(|(name, a)| format!("{name}={}", a[0].ip)).collect();
        let controller: Vec<String> = self.controller.iter().map(|a| a.ip.to_string()).collect();
        format!(
            "QUORATE_LAB={}\nQUORATE_LAB_NETNS={}\nQUORATE_LAB_HOSTS='{}'\nQUORATE_LAB_CONTROLLER='{}'\n\
             QUORATE_LAB_KEY={}\nQUORATE_LAB_SSH_CONFIG={}\nQUORATE_LAB_KNOWN_HOSTS={}\n",
            self.lab,
            self.netns,
            hosts.join(" "),
            controller.join(" "),
            self.key.display(),
            self.ssh_config.display(),
            self.known_hosts.display(),
        )
    }
}

/// A lab by its name, up or not.
#[derive(Debug, Clone)]
pub struct Lab {
    pub(crate) paths: Paths,
    pub(crate) helper: Vec<OsString>,
}

impl Lab {
    /// The lab of that name. Nothing is read or changed yet.
    pub fn open(name: &str) -> Result<Self> {
        let fine = name.len() <= 20
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !fine {
            return Err(LabError::BadLabName { name: name.to_owned() });
        }
        let exe = std::env::current_exe().at("find", "/proc/self/exe")?;
        Ok(Self { paths: Paths::new(name)?, helper: vec![exe.into(), "lab".into(), "helper".into()] })
    }

    /// Sets the command that runs [`fault::helper_main`]; `<this program> lab helper` when not set.
    pub fn with_helper(mut self, command: Vec<OsString>) -> Self {
        self.helper = command;
        self
    }

    /// The names of all labs on this machine, up or half taken down.
    pub fn list() -> Vec<String> {
        let Ok(entries) = fs::read_dir(paths::RUN) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|e| e.path().join("state.json").exists())
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub fn name(&self) -> &str {
        &self.paths.lab
    }

    /// Boots these hosts. Hosts that are on stay as they are, hosts that are off boot with their disk,
    /// new hosts join. Can be killed at any point and called again.
    pub fn up(
        &self,
        specs: &[HostSpec],
        options: &UpOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Summary> {
        if specs.is_empty() {
            return Err(LabError::NoHosts);
        }
        address::plan(specs, &options.reserved)?;
        preflight::check()?;
        let base =
            Base::ensure(options.flavour, &mut |elapsed| progress(Progress::BuildingBase { elapsed }))?;
        progress(Progress::BaseReady { path: base.path.clone() });

        let _lock = Lock::take(&self.paths)?;
        let state = self.merge(specs, options, base)?;
        self.lay_out(&state)?;
        let lab_key = seed::lab_key(&self.paths)?;
        make_private(&self.paths.disks)?;
        std::thread::scope(|scope| {
            let (paths, state, key) = (&self.paths, &state, &lab_key);
            let write = |host| scope.spawn(move || seed::write(paths, state, host, key));
            let writers: Vec<_> = state.hosts.iter().map(write).collect();
            writers.into_iter().try_for_each(|w| w.join().expect("seeding does not panic"))
        })?;
        seed::write_controller(&self.paths, &state)?;
        state.write(&self.paths)?;
        self.refresh_names(&state)?;

        let names: Vec<&str> = specs.iter().map(|s| s.name.as_str()).collect();
        let wanted: Vec<&Host> =
            state.hosts.iter().filter(|h| names.contains(&h.spec.name.as_str())).collect();
        let booted = self.boot(&state, &wanted, options.boot_limit, progress)?;
        self.hold_faults(&state)?;
        Ok(self.summary(&state, booted))
    }

    /// The state as it should be with these hosts in it.
    fn merge(&self, specs: &[HostSpec], options: &UpOptions, base: Base) -> Result<State> {
        let old = State::read(&self.paths)?;
        let mut all: Vec<HostSpec> =
            old.iter().flat_map(|s| s.hosts.iter().map(|h| h.spec.clone())).collect();
        for spec in specs {
            match all.iter_mut().find(|s| s.name == spec.name) {
                None => all.push(spec.clone()),
                Some(there) if spec.address.is_none() || spec.address == there.address => {
                    *there = spec.clone();
                }
                Some(_) => return Err(LabError::HostChanged { host: spec.name.clone() }),
            }
        }
        let mut reserved = old.as_ref().map(|s| s.reserved.clone()).unwrap_or_default();
        reserved
            .extend(options.reserved.iter().filter(|ip| !reserved.contains(ip)).copied().collect::<Vec<_>>());
        let plan = address::plan(&all, &reserved)?;
        // A new host or a virtual IP may claim what the controller or a host without an address has.
        let moved = |old: &State| {
            let hosts = old.hosts.iter().zip(&plan.hosts).find(|(h, a)| h.addresses != **a);
            hosts.map(|(h, _)| h.spec.name.clone()).or_else(|| {
                let kept = old.controller.iter().all(|a| plan.controller.contains(a));
                (!kept).then(|| "controller".to_owned())
            })
        };
        if let Some(host) = old.as_ref().and_then(moved) {
            return Err(LabError::HostChanged { host });
        }
        let hosts = all.into_iter().zip(plan.hosts).enumerate();
        let hosts = hosts.map(|(index, (spec, addresses))| Host { spec, index, addresses }).collect();
        let new = |base: Base| State {
            base: base.path,
            disks: self.paths.disks.clone(),
            disk: options.disk,
            controller: Vec::new(),
            reserved: Vec::new(),
            hosts: Vec::new(),
            cuts: Vec::new(),
            fills: Vec::new(),
            delays: BTreeMap::new(),
            clocks: BTreeMap::new(),
        };
        let state = match old {
            Some(state) => state,
            None => {
                // Without a state nobody knows what these disks are: a machine restarted below them.
                self.sweep(&self.paths.disks)?;
                new(base)
            }
        };
        Ok(State { hosts, controller: plan.controller, reserved, ..state })
    }

    /// Network namespace, bridge, cgroup and scripts. Everything here may be there already.
    fn lay_out(&self, state: &State) -> Result<()> {
        let (netns, paths) = (self.paths.netns(), &self.paths);
        if !paths.netns_path().exists() {
            run("ip", &["netns", "add", &netns])?;
        }
        if run("ip", &["-n", &netns, "link", "show", "br0"]).is_err() {
            // With an address of its own: a bridge otherwise changes it as cables come and go.
            let batch = "link set lo up\n\
                         link add br0 address 02:51:00:01:00:00 type bridge forward_delay 0 mcast_snooping 0\n\
                         link set br0 up\n";
            run_with_input("ip", &["-n", &netns, "-batch", "-"], batch)?;
        }
        let batch = address::controller_network(&state.controller, &state.reserved);
        run_with_input("ip", &["-n", &netns, "-batch", "-"], &batch)?;
        let forward =
            "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding || :";
        let inside = format!("--net={}", paths.netns_path().display());
        // Only to answer "unreachable" at once for what is not in the lab.
        run(
            "nsenter",
            &[&inside, "unshare", "--mount", "sh", "-c", &format!("mount -t proc proc /proc; {forward}")],
        )?;
        cgroup::make(&cgroup::labs()?.join(self.name()).join("exec"))?;
        for (name, text) in [("launch.sh", LAUNCH), ("machine.sh", MACHINE), ("enter.sh", ENTER)] {
            let path = paths.run.join(name);
            let new = paths.run.join(format!("{name}.new"));
            // A launcher may be reading the old one: a new file, never new text in the same file.
            fs::write(&new, text).at("write", &new)?;
            fs::rename(&new, &path).at("write", path)?;
        }
        Ok(())
    }

    /// Tells hosts that are on about new ones.
    fn refresh_names(&self, state: &State) -> Result<()> {
        for host in &state.hosts {
            let Ok(leader) = host::leader(&self.paths, host) else { continue };
            let path = PathBuf::from(format!("/proc/{leader}/root/etc/hosts"));
            // Only a plain file: what a playbook has put there instead is its own affair.
            let plain = fs::symlink_metadata(&path).is_ok_and(|m| m.is_file());
            if let (true, Ok(old)) = (plain, fs::read_to_string(&path)) {
                let new = seed::hosts_file(state, &old);
                if new != old {
                    fs::write(&path, new).at("write", &path)?;
                }
            }
        }
        Ok(())
    }

    /// Boots those that are off, all at once, and waits for the ssh of every one.
    fn boot(
        &self,
        state: &State,
        hosts: &[&Host],
        limit: Duration,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<usize> {
        let mut booted = 0;
        for host in hosts {
            if host::is_on(&self.paths, host)? {
                continue;
            }
            host::power_off(&self.paths, state, host)?;
            host::start(&self.paths, state, host)?;
            progress(Progress::Booting { host: host.spec.name.clone() });
            booted += 1;
        }
        let started = Instant::now();
        let (tell, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            for host in hosts {
                let tell = tell.clone();
                scope.spawn(move || {
                    let ready = if self.is_held(state, host) {
                        Ok(())
                    } else {
                        host::wait_ready(&self.paths, host, limit)
                    };
                    // The receiver lives until every sender is gone.
                    drop(tell.send((host.spec.name.clone(), started.elapsed(), ready)));
                });
            }
            drop(tell);
            let mut first_error = None;
            for (host, after, ready) in hear {
                match ready {
                    Ok(()) => progress(Progress::Ready { host, after }),
                    Err(e) => first_error = first_error.or(Some(e)),
                }
            }
            first_error.map_or(Ok(booted), Err)
        })
    }

    /// A host that a fault keeps from answering is not waited for.
    fn is_held(&self, state: &State, host: &Host) -> bool {
        let frozen = host::payload(&self.paths, host).is_ok_and(|cg| cgroup::frozen(&cg));
        frozen
            || state
                .cuts
                .iter()
                .any(|c| c.host == host.spec.name && matches!(c.peer, Peer::Everyone | Peer::Controller))
    }

    /// Faults of the state that live in processes or in the kernel, made true again.
    fn hold_faults(&self, state: &State) -> Result<()> {
        fault::cut::apply(&self.paths, state)?;
        for (name, ms) in &state.delays {
            let host = state.host(&self.paths, name)?;
            if !fault::delay::holds(&self.paths, host)? {
                fault::delay::set(&self.paths, host, *ms, &self.helper)?;
            }
        }
        for (name, ms) in &state.clocks {
            let host = state.host(&self.paths, name)?;
            if host::is_on(&self.paths, host)? && !fault::clock::holds(&self.paths, host)? {
                fault::clock::set(&self.paths, host, *ms, &self.helper)?;
            }
        }
        Ok(())
    }

    fn summary(&self, state: &State, booted: usize) -> Summary {
        Summary {
            lab: self.name().to_owned(),
            hosts: state.hosts.iter().map(|h| (h.spec.name.clone(), h.addresses.clone())).collect(),
            controller: state.controller.clone(),
            netns: self.paths.netns(),
            key: self.paths.key(),
            ssh_config: self.paths.ssh_config(),
            known_hosts: self.paths.known_hosts(),
            booted,
        }
    }

    pub(crate) fn state(&self) -> Result<State> {
        if !rustix::process::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        State::read(&self.paths)?.ok_or_else(|| LabError::NoSuchLab { lab: self.name().to_owned() })
    }

    /// The same facts that `up` returned.
    pub fn describe(&self) -> Result<Summary> {
        self.state().map(|state| self.summary(&state, 0))
    }

    /// Every host as it is now, asked at once.
    pub fn status(&self) -> Result<Vec<HostStatus>> {
        let state = self.state()?;
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                state.hosts.iter().map(|h| scope.spawn(|| status::of(&self.paths, &state, h))).collect();
            asked.into_iter().map(|a| a.join().expect("asking does not panic")).collect()
        })
    }

    /// Throws disks away and boots fresh: the named hosts, or all.
    pub fn reset(&self, names: &[String], progress: &mut dyn FnMut(Progress)) -> Result<Summary> {
        preflight::check()?;
        self.state()?;
        let _lock = Lock::take(&self.paths)?;
        let mut state = self.state()?;
        let mut chosen: Vec<Host> = Vec::new();
        for name in names {
            chosen.push(state.host(&self.paths, name)?.clone());
        }
        if names.is_empty() {
            chosen.clone_from(&state.hosts);
        }
        self.lay_out(&state)?;
        state.fills.retain(|f| !chosen.iter().any(|h| h.spec.name == f.host));
        state.write(&self.paths)?;
        std::thread::scope(|scope| {
            let state = &state;
            let wipe = |h| scope.spawn(move || self.wipe(state, h));
            let wiped: Vec<_> = chosen.iter().map(wipe).collect();
            wiped.into_iter().try_for_each(|w| w.join().expect("wiping does not panic"))
        })?;
        let hosts: Vec<&Host> = chosen.iter().collect();
        let booted = self.boot(&state, &hosts, UpOptions::default().boot_limit, progress)?;
        self.hold_faults(&state)?;
        Ok(self.summary(&state, booted))
    }

    fn wipe(&self, state: &State, host: &Host) -> Result<()> {
        host::power_off(&self.paths, state, host)?;
        let image = state.disks.join(host.id()).join("disk.img");
        match fs::remove_file(&image) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at("remove", image),
            _ => Ok(()),
        }
    }

    /// Ends everything of this lab and removes it, also when it was never fully up. Cached images stay.
    pub fn down(&self) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        let lock = Lock::take(&self.paths)?;
        // By name, not by state: whatever a killed `up` or `down` has left is found again.
        let disks = State::read(&self.paths).ok().flatten().map_or(self.paths.disks.clone(), |s| s.disks);
        let labs = cgroup::labs()?;
        let cg = labs.join(self.name());
        leave_cgroup(&cg)?;
        cgroup::kill(&cg)?;
        cgroup::remove(&cg)?;
        let prefix = self.paths.host_netns("");
        if let Ok(entries) = fs::read_dir(NETNS) {
            let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
            for name in names.filter(|n| n.starts_with(&prefix) || *n == self.paths.netns()) {
                run("ip", &["netns", "del", &name])?;
            }
        }
        self.sweep(&disks)?;
        fs::remove_dir_all(&self.paths.run).at("remove", &self.paths.run)?;
        drop(lock);
        tidy(&labs, &disks);
        Ok(())
    }

    /// Removes all disks, once the kernel has let go of them.
    fn sweep(&self, disks: &Path) -> Result<()> {
        if let Ok(entries) = fs::read_dir(disks) {
            entries.flatten().for_each(|e| host::wait_disk_released(&e.path().join("disk.img")));
        }
        match fs::remove_dir_all(disks) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at("remove", disks),
            _ => Ok(()),
        }
    }

    /// A command of this machine, to be run inside the lab's network with the lab's names and ssh settings:
    /// `/etc/hosts` and `/etc/ssh/ssh_config` are the lab's for it, so plain `ssh HOST` works.
    pub fn enter_command<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<Command> {
        self.state()?;
        let cg = cgroup::labs()?.join(self.name());
        let mut command = program("nsenter");
        command
            .arg(format!("--net={}", self.paths.netns_path().display()))
            .args(["unshare", "--mount", "--propagation", "slave", "sh"])
            .arg(self.paths.run.join("enter.sh"))
            .args(argv)
            .env("QUORATE_LAB", self.name())
            .env("QUORATE_LAB_RUN", &self.paths.run)
            .env("QUORATE_LAB_CG", cg);
        Ok(command)
    }

    /// An ssh client to a host, as root, with what the remote side should run (a shell when empty).
    pub fn ssh_command<S: AsRef<OsStr>>(&self, host: &str, remote: &[S]) -> Result<Command> {
        let state = self.state()?;
        let ip = state.host(&self.paths, host)?.ip().to_string();
        let config = self.paths.ssh_config().into_os_string();
        let mut argv: Vec<&OsStr> = ["ssh", "-F"].iter().map(OsStr::new).collect();
        argv.push(&config);
        argv.extend(["-l", "root", ip.as_str()].map(OsStr::new));
        if !remote.is_empty() {
            argv.push(OsStr::new("--"));
        }
        argv.extend(remote.iter().map(AsRef::as_ref));
        self.enter_command(&argv)
    }
}

/// A `down` that was called from inside the lab must not end itself.
fn leave_cgroup(cg: &Path) -> Result<()> {
    let me = std::process::id() as i32;
    if cgroup::processes(cg).contains(&me) {
        let root = cg.parent().and_then(Path::parent).unwrap_or(cg).join("cgroup.procs");
        fs::write(&root, me.to_string()).at("write", root)?;
    }
    Ok(())
}

/// Removes shared directories that the last lab has left empty. Another lab's are not empty, so stay.
fn tidy(labs: &Path, disks: &Path) {
    let removed = |path: &Path| fs::remove_dir(path).is_ok();
    removed(labs);
    if let Some(parent) = disks.parent() {
        removed(parent);
    }
    let own_cgroup = Path::new(paths::RUN).join(".cgroup2");
    if own_cgroup.exists() && Lab::list().is_empty() && run("umount", &[&own_cgroup]).is_ok() {
        removed(&own_cgroup);
    }
    removed(Path::new(paths::RUN));
    // `ip netns` mounts its directory onto itself; an empty one is of no use to anybody.
    let empty = fs::read_dir(NETNS).is_ok_and(|mut entries| entries.next().is_none());
    if empty && run("umount", &[NETNS]).is_ok() {
        removed(Path::new(NETNS));
    }
}
