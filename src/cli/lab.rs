//! `quorate lab`: the hosts of an inventory as real systemd machines on this computer, and faults on request.
//!
//! In: an inventory (every host that is not local) or `--host`. Out: what `quorate-lab` does, in words.
//!
//! Not here: how machines are made (`crates/lab`).

use super::common::{self, Cannot, Shape};
use super::status;
use crate::report::display::{self, Look, Tone};
use crate::vars::{PlayVars, Shared, TaskScope, render};
use clap::{Parser, Subcommand};
use quorate_lab::fault::{Direction, Peer, Signal, Target};
use quorate_lab::{Base, Flavour, HostSpec, Lab, LabError, Power, Progress, UpOptions, fault};
use quorate_value::{Value, str_of};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

/// Boot the hosts of an inventory as real machines on this computer, and break them on purpose.
#[derive(Debug, Parser)]
#[command(
    name = "quorate lab",
    disable_help_subcommand = true,
    after_help = "Examples:\n  quorate lab up\n  quorate lab exec -- quorate play playbooks/etcd.yml\n  quorate lab ssh 10.10.10.10 etcdctl member list\n  quorate lab cut 10.10.10.11\n  quorate lab heal\n  quorate lab down\n\nThe lab has a network of its own: nothing of this computer's network changes,\nand hosts elsewhere that have the same addresses are never touched. Needs root."
)]
struct Args {
    /// Inventory whose hosts to boot. Repeatable
    #[arg(short, long, global = true, value_name = "INVENTORY")]
    inventory: Vec<String>,
    /// Name of the lab; several can run side by side ($QUORATE_LAB, else `lab`)
    #[arg(short, long, global = true, value_name = "LAB")]
    name: Option<String>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Boot the hosts that are not on yet (building the base image first, once)
    Up {
        /// Only these hosts of the inventory
        #[arg(short, long, value_name = "SUBSET")]
        limit: Vec<String>,
        /// Hosts without an inventory: NAME or NAME=ADDRESS. Repeatable
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// An address that moves between hosts, beside those the inventory names. Repeatable
        #[arg(long, value_name = "ADDRESS")]
        vip: Vec<IpAddr>,
        /// Machines without etcd and PostgreSQL packages
        #[arg(long)]
        bare: bool,
    },
    /// Show the hosts, and the faults that hold
    Status,
    /// Print the lab's facts as lines for a shell
    Env,
    /// List the labs that are up
    List,
    /// A shell (or one command) on a host, as root
    Ssh {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command of this computer inside the lab's network
    Exec {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Stop everything and leave nothing behind (the base image stays cached)
    Down,
    /// Give hosts (all, unless named) fresh disks and boot them
    Reset { hosts: Vec<String> },
    /// Remove the cached base image
    Clean,
    /// Cut a host off the network
    Cut {
        host: String,
        /// Only from this host, or from `controller`. Repeatable
        #[arg(long, value_name = "HOST")]
        from: Vec<String>,
        /// Only what comes in
        #[arg(long = "in", conflicts_with = "outward")]
        inward: bool,
        /// Only what goes out
        #[arg(long = "out")]
        outward: bool,
    },
    /// Undo cuts, delays, freezes and the like, of one host or of all
    Heal { host: Option<String> },
    /// Make packets of a host late, in each direction; 0 ends it
    Delay { host: String, milliseconds: u32 },
    /// Step a host's clock by milliseconds
    Clock {
        host: String,
        #[arg(allow_hyphen_values = true)]
        milliseconds: i64,
    },
    /// Kill a host as if its power were cut, or one unit or process of it
    Kill {
        host: String,
        /// The signal
        #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
        signal: String,
        #[command(flatten)]
        what: What,
    },
    /// Stop a host (or one unit or process of it) in its tracks, without killing it
    Freeze {
        host: String,
        #[command(flatten)]
        what: What,
    },
    /// Let it go on
    Thaw {
        host: String,
        #[command(flatten)]
        what: What,
    },
    /// Fill the disk under a path
    Fill { host: String, path: String },
    /// Give the room back
    Unfill { host: String, path: String },
    /// The long-running part of `delay` and `clock`
    #[command(hide = true)]
    Helper {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Debug, clap::Args)]
struct What {
    /// One systemd unit of it
    #[arg(long, value_name = "UNIT", conflicts_with = "process")]
    unit: Option<String>,
    /// The processes of this name
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
}

impl What {
    fn target(self) -> Target {
        match (self.unit, self.process) {
            (Some(unit), _) => Target::Unit(unit),
            (_, Some(name)) => Target::Process(name),
            _ => Target::Host,
        }
    }
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    let words = std::iter::once("quorate lab".to_owned()).chain(args.iter().cloned());
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => return super::usage(&error, false),
    };
    match act(args) {
        Ok(code) => code,
        Err(cannot) => {
            display::err(&cannot.text);
            cannot.status
        }
    }
}

impl From<LabError> for Cannot {
    fn from(error: LabError) -> Self {
        let mut text = format!("error: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text.push_str(&format!("\n  caused by: {next}"));
            cause = next.source();
        }
        if let Some(details) = error.details() {
            text.push_str(&format!("\n{}", details.trim_end()));
        }
        text.push_str(&format!("\nhint: {}", error.next_step()));
        Cannot::start(text)
    }
}

fn act(args: Args) -> Result<u8, Cannot> {
    if let Action::Helper { args } = &args.action {
        return Ok(match fault::helper_main(args) {
            Ok(()) => status::DONE,
            Err(error) => {
                display::err(&format!("error: {error}"));
                status::CANNOT_START
            }
        });
    }
    let name = args.name.or_else(|| crate::environment("QUORATE_LAB")).unwrap_or_else(|| "lab".into());
    let exe = std::env::current_exe()
        .map_err(|e| Cannot::start(format!("error: cannot find this program's own file: {e}")))?;
    let helper = vec![exe.clone().into(), "lab".into(), "helper".into()];
    let lab = Lab::open(&name)?.with_helper(helper);
    match args.action {
        Action::Up { limit, host, vip, bare } => {
            let mut options = UpOptions { reserved: vip, ..UpOptions::default() };
            if bare {
                options.flavour = Flavour::Bare;
            }
            let hosts = if host.is_empty() {
                from_inventory(&args.inventory, &limit, &mut options).or_else(|cannot| {
                    // without an inventory: the hosts that this lab has
                    let known =
                        if args.inventory.is_empty() { lab.status().unwrap_or_default() } else { Vec::new() };
                    let specs = known
                        .iter()
                        .map(|host| HostSpec::new(&*host.name, host.addresses.first().map(|a| a.ip)));
                    if known.is_empty() { Err(cannot) } else { Ok(specs.collect()) }
                })?
            } else {
                host.iter().map(|text| spec(text)).collect::<Result<Vec<_>, _>>()?
            };
            quorate_lab::check()?;
            let inventory: String = args.inventory.iter().map(|path| format!(" -i {path}")).collect();
            up(&lab, &name, &hosts, &options, &inventory)
        }
        Action::Status => show(&lab),
        Action::Env => {
            display::out(lab.describe()?.env().trim_end());
            Ok(status::DONE)
        }
        Action::List => {
            for name in Lab::list() {
                display::out(&name);
            }
            Ok(status::DONE)
        }
        Action::Ssh { host, command } => Err(replace(lab.ssh_command(&host, &command)?)),
        Action::Exec { command } => {
            let mut entered = lab.enter_command(&command)?;
            // so that `quorate` inside is this very program
            if let Some(dir) = exe.parent() {
                let path = entered.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path);
                let path =
                    path.map(|p| p.to_string_lossy().into_owned()).or_else(|| crate::environment("PATH"));
                entered.env("PATH", format!("{}:{}", dir.display(), path.unwrap_or_default()));
            }
            entered.env("QUORATE_LAB", &name);
            Err(replace(entered))
        }
        Action::Down => done(lab.down()),
        Action::Reset { hosts } => done(lab.reset(&hosts, &mut tell())),
        Action::Clean => done(Base::clean()),
        Action::Cut { host, from, inward, outward } => {
            let direction = match (inward, outward) {
                (true, _) => Direction::In,
                (_, true) => Direction::Out,
                _ => Direction::Both,
            };
            let peers = from
                .into_iter()
                .map(|name| if name == "controller" { Peer::Controller } else { Peer::Host(name) });
            let mut peers: Vec<Peer> = peers.collect();
            if peers.is_empty() {
                peers.push(Peer::Everyone);
            }
            done(peers.iter().try_for_each(|peer| lab.cut(&host, peer, direction)))
        }
        Action::Heal { host } => done(lab.heal(host.as_deref())),
        Action::Delay { host, milliseconds } => done(lab.delay(&host, milliseconds)),
        Action::Clock { host, milliseconds } => done(lab.clock(&host, milliseconds)),
        Action::Kill { host, signal, what } => {
            let signal: Signal = signal.parse()?;
            let killed = lab.kill(&host, &what.target(), signal)?;
            display::out(&format!("{killed} {}", if killed == 1 { "process" } else { "processes" }));
            Ok(status::DONE)
        }
        Action::Freeze { host, what } => done(lab.freeze(&host, &what.target())),
        Action::Thaw { host, what } => done(lab.thaw(&host, &what.target())),
        Action::Fill { host, path } => {
            display::out(&format!("{} bytes", lab.fill(&host, &path)?));
            Ok(status::DONE)
        }
        Action::Unfill { host, path } => done(lab.unfill(&host, &path)),
        Action::Helper { .. } => unreachable!("answered above"),
    }
}

fn done<T>(result: quorate_lab::Result<T>) -> Result<u8, Cannot> {
    result?;
    Ok(status::DONE)
}

/// Becomes that command; comes back only when it cannot be started.
fn replace(mut command: Command) -> Cannot {
    let error = command.exec();
    Cannot { text: format!("error: {}: {error}", command.get_program().to_string_lossy()), status: 126 }
}

fn spec(text: &str) -> Result<HostSpec, Cannot> {
    let Some((name, address)) = text.split_once('=') else { return Ok(HostSpec::new(text, None)) };
    let address = address.parse().map_err(|_| Cannot {
        text: format!("error: --host {text}: `{address}` is not an address"),
        status: status::USAGE,
    })?;
    Ok(HostSpec::new(name, Some(address)))
}

/// Every host of the inventory that is not this machine itself, and the addresses that move between them.
fn from_inventory(
    sources: &[String],
    limit: &[String],
    options: &mut UpOptions,
) -> Result<Vec<HostSpec>, Cannot> {
    let shape = Shape { inventory: sources.to_vec(), limit: limit.to_vec(), ..Shape::default() };
    let ground = common::ground(&shape, None, false, (&[], &[]))?;
    let shared = &ground.shared;
    let hosts: Vec<Arc<str>> = {
        let inventory = shared.inventory();
        let chosen = inventory.select_within("all", ground.limit.as_ref());
        let mut hosts = chosen.hosts;
        hosts.retain(|id| !inventory.host(*id).is_implicit());
        hosts.iter().map(|id| inventory.host_name(*id).clone()).collect()
    };
    if hosts.is_empty() && sources.is_empty() {
        return Err(Cannot::start(
            "error: the inventory has no hosts\nhint: name one with -i, or hosts with --host NAME=ADDRESS",
        ));
    }
    let play = Arc::new(PlayVars::default());
    let mut specs = Vec::new();
    for name in &hosts {
        let scope = TaskScope::new(shared, &play, name, None);
        let text = |variable: &str| said(&scope, shared, name, variable);
        let connection = text("ansible_connection")?.unwrap_or_else(|| "ssh".into());
        match connection.as_str() {
            "local" => continue,
            "ssh" | "smart" | "paramiko" | "paramiko_ssh" | "openssh" => {}
            other => {
                display::warning(&format!("{name} is reached by `{other}`, so the lab does not boot it"));
                continue;
            }
        }
        let target =
            text("ansible_host")?.or(text("ansible_ssh_host")?).filter(|host| host.as_str() != &**name);
        if target.is_none() && matches!(&**name, "localhost" | "127.0.0.1" | "::1") {
            continue;
        }
        let mut spec = HostSpec::new(&**name, target.as_deref().and_then(|host| host.parse().ok()));
        if let Some(host) = target.filter(|host| host.parse::<IpAddr>().is_err()) {
            spec.aliases.push(host);
        }
        let port = text("ansible_port")?.or(text("ansible_ssh_port")?);
        spec.ssh_port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 22);
        let user = text("ansible_user")?.or(text("ansible_ssh_user")?);
        // these are on every host of the lab, each with its own rights
        spec.user = user.filter(|user| !matches!(user.as_str(), "root" | "admin" | "dba" | "plain"));
        for address in moving(&scope, shared, name)? {
            if !options.reserved.contains(&address) {
                options.reserved.push(address);
            }
        }
        specs.push(spec);
    }
    Ok(specs)
}

/// The text of a host's variable, rendered; nothing where it is not set or empty.
fn said(
    scope: &TaskScope,
    shared: &Arc<Shared>,
    host: &str,
    variable: &str,
) -> Result<Option<String>, Cannot> {
    let vars = shared.host_inventory(host);
    let Some(value) = shared.extra.get(variable).or_else(|| vars.get(variable)) else { return Ok(None) };
    let value = render::value(scope, value).map_err(|error| {
        Cannot::start(format!("error: `{variable}` of {host} cannot be rendered: {error}"))
    })?;
    Ok(Some(str_of(&value)).filter(|text| !text.is_empty() && value != Value::Null))
}

/// Addresses in variables such as `pg_vip_address` or `etcd_vip`.
fn moving(scope: &TaskScope, shared: &Arc<Shared>, host: &str) -> Result<Vec<IpAddr>, Cannot> {
    let vars = shared.host_inventory(host);
    let names = common::names(&vars).into_iter().filter(|name| {
        ["vip", "vip_address"]
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')))
    });
    let mut addresses = Vec::new();
    for name in names {
        let text = said(scope, shared, host, &name)?.unwrap_or_default();
        addresses.extend(text.split('/').next().and_then(|address| address.parse::<IpAddr>().ok()));
    }
    Ok(addresses)
}

fn up(lab: &Lab, name: &str, hosts: &[HostSpec], options: &UpOptions, inventory: &str) -> Result<u8, Cannot> {
    let summary = lab.up(hosts, options, &mut tell())?;
    for (host, addresses) in &summary.hosts {
        let addresses: Vec<String> = addresses.iter().map(|a| a.ip.to_string()).collect();
        let addresses = if addresses.join(",") == *host { String::new() } else { addresses.join(", ") };
        display::out(format!("{host:<20} {addresses}").trim_end());
    }
    let which = if name == "lab" { String::new() } else { format!(" -n {name}") };
    let first = summary.hosts.first().map_or("HOST", |(host, _)| host.as_str());
    display::out(&format!(
        "\n{} hosts up, {} just booted\n\nnext:\n  quorate lab{which} exec -- quorate play playbooks/etcd.yml{inventory}\n  quorate lab{which} ssh {first}\n  quorate lab{which} down",
        summary.hosts.len(),
        summary.booted,
    ));
    Ok(status::DONE)
}

/// Tells progress on standard error. The base image takes about a minute, so it says so every ten seconds.
fn tell() -> impl FnMut(Progress) {
    let mut told = None;
    move |progress| match progress {
        Progress::BuildingBase { elapsed } => {
            let tens = elapsed.as_secs() / 10;
            if told != Some(tens) {
                told = Some(tens);
                display::err(&format!("building the base image: {} s", elapsed.as_secs()));
            }
        }
        Progress::BaseReady { path } => display::err(&format!("base image: {}", path.display())),
        Progress::Booting { host } => display::err(&format!("booting {host}")),
        Progress::Ready { host, after } => {
            display::err(&format!("{host} answers after {} ms", after.as_millis()))
        }
    }
}

fn show(lab: &Lab) -> Result<u8, Cannot> {
    let hosts = lab.status()?;
    let look = Look::detect(crate::environment("NO_COLOR").is_some(), false);
    let width = hosts.iter().map(|h| h.name.len()).max().unwrap_or(0).max(4);
    if !hosts.is_empty() {
        display::out(&format!(
            "{:<width$}  {:<24} {:<8} {:>8}  {:<10} faults",
            "host", "address", "power", "up for", "systemd"
        ));
    }
    for host in &hosts {
        let addresses: Vec<String> = host.addresses.iter().map(|a| a.ip.to_string()).collect();
        let up = host.up.map_or_else(|| "-".to_owned(), |time| format!("{} s", time.as_secs()));
        let tone = if host.power == Power::On { Tone::Ok } else { Tone::Error };
        let power = look.paint(tone, &format!("{:<8}", host.power.word()));
        let line = format!(
            "{:<width$}  {:<24} {power} {up:>8}  {:<10} {}",
            host.name,
            addresses.join(","),
            host.systemd.as_deref().unwrap_or("-"),
            host.faults.join("; ")
        );
        display::out(line.trim_end());
    }
    Ok(if hosts.iter().all(|h| h.power == Power::On) { status::DONE } else { status::CANNOT_START })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_host_is_a_name_and_perhaps_an_address() {
        assert_eq!(spec("n1").ok().and_then(|s| s.address), None);
        assert_eq!(spec("10.0.0.1").ok().and_then(|s| s.address), "10.0.0.1".parse().ok());
        assert_eq!(spec("n1=10.0.0.1").ok().and_then(|s| s.address), "10.0.0.1".parse().ok());
        assert_eq!(spec("n1=x").err().map(|c| c.status), Some(status::USAGE));
    }
}
