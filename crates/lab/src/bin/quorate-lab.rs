//! The lab on its own, for work on the lab itself. People use `quorate lab`, which knows inventories.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a development tool prints its answers itself"
)]

use quorate_lab::fault::{self, Direction, Peer, Signal, Target};
use quorate_lab::{Base, Flavour, HostSpec, Lab, LabError, Power, Progress, UpOptions};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

const USAGE: &str = "\
usage: quorate-lab [-n LAB] COMMAND
  up --host NAME[=ADDRESS] ... [--vip ADDRESS] [--bare] [--user NAME]
  status | env | list | down | clean
  reset [HOST ...]
  ssh HOST [COMMAND ...]
  exec -- COMMAND ...
  cut HOST [--from HOST|controller] [--in|--out]
  heal [HOST]
  delay HOST MILLISECONDS
  clock HOST MILLISECONDS
  kill HOST [-s SIGNAL] [--unit UNIT | --process NAME]
  freeze|thaw HOST [--unit UNIT | --process NAME]
  fill|unfill HOST PATH";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match act(&args) {
        Ok(code) => code,
        Err(Trouble::Usage(what)) => {
            eprintln!("quorate-lab: {what}\n{USAGE}");
            ExitCode::from(2)
        }
        Err(Trouble::Lab(error)) => {
            eprintln!("quorate-lab: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                eprintln!("  caused by: {next}");
                cause = next.source();
            }
            if let Some(details) = error.details() {
                eprintln!("{details}");
            }
            eprintln!("hint: {}", error.next_step());
            ExitCode::FAILURE
        }
    }
}

enum Trouble {
    Usage(String),
    Lab(LabError),
}

impl From<LabError> for Trouble {
    fn from(error: LabError) -> Self {
        Self::Lab(error)
    }
}

fn usage<T>(what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Usage(what.into()))
}

fn act(args: &[String]) -> Result<ExitCode, Trouble> {
    let mut words = args.iter().map(String::as_str).peekable();
    let mut name = std::env::var("QUORATE_LAB").unwrap_or_else(|_| "lab".into());
    if words.peek() == Some(&"-n") {
        words.next();
        name = words.next().map_or_else(|| usage("-n needs a name"), |n| Ok(n.to_owned()))?;
    }
    let Some(command) = words.next() else { return usage("what to do?") };
    let rest: Vec<&str> = words.collect();
    if command == "helper" {
        let args: Vec<OsString> = rest.iter().map(OsString::from).collect();
        if let Err(e) = fault::helper_main(&args) {
            eprintln!("{e}");
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let lab = Lab::open(&name)?.with_helper(vec![exe.into(), "helper".into()]);
    match (command, rest.as_slice()) {
        ("up", options) => up(&lab, options)?,
        ("env", []) => print!("{}", lab.describe()?.env()),
        ("list", []) => Lab::list().iter().for_each(|n| println!("{n}")),
        ("down", []) => lab.down()?,
        ("clean", []) => Base::clean()?,
        ("status", []) => return status(&lab),
        ("reset", hosts) => {
            let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
            lab.reset(&hosts, &mut tell)?;
        }
        ("ssh", [host, remote @ ..]) => return Ok(replace(lab.ssh_command(host, remote)?)),
        ("exec", ["--", argv @ ..] | argv) if !argv.is_empty() => {
            return Ok(replace(lab.enter_command(argv)?));
        }
        ("cut", [host, options @ ..]) => cut(&lab, host, options)?,
        ("heal", []) => lab.heal(None)?,
        ("heal", [host]) => lab.heal(Some(host))?,
        ("delay", [host, ms]) => match ms.parse() {
            Ok(ms) => lab.delay(host, ms)?,
            Err(_) => return usage(format!("`{ms}` is not a number of milliseconds")),
        },
        ("clock", [host, ms]) => match ms.parse() {
            Ok(ms) => lab.clock(host, ms)?,
            Err(_) => return usage(format!("`{ms}` is not a number of milliseconds")),
        },
        ("kill", [host, options @ ..]) => {
            let (target, signal) = target(options)?;
            println!("{} processes", lab.kill(host, &target, signal)?);
        }
        ("freeze", [host, options @ ..]) => lab.freeze(host, &target(options)?.0)?,
        ("thaw", [host, options @ ..]) => lab.thaw(host, &target(options)?.0)?,
        ("fill", [host, path]) => println!("{} bytes", lab.fill(host, path)?),
        ("unfill", [host, path]) => lab.unfill(host, path)?,
        _ => return usage(format!("`{}` is not understood", args.join(" "))),
    }
    Ok(ExitCode::SUCCESS)
}

fn up(lab: &Lab, options: &[&str]) -> Result<(), Trouble> {
    let mut up = UpOptions::default();
    let mut hosts: Vec<HostSpec> = Vec::new();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().map_or_else(|| usage(format!("{word} needs a value")), Ok);
        match *word {
            "--bare" => up.flavour = Flavour::Bare,
            "--host" => {
                let text = value()?;
                let (name, address) = text.split_once('=').unwrap_or((text, ""));
                let address = match address {
                    "" => None,
                    a => Some(a.parse().or_else(|_| usage(format!("`{a}` is not an address")))?),
                };
                hosts.push(HostSpec::new(name, address));
            }
            "--vip" => {
                let a = value()?;
                up.reserved.push(a.parse().or_else(|_| usage(format!("`{a}` is not an address")))?);
            }
            "--user" => {
                let user = value()?;
                for host in &mut hosts {
                    host.user = Some(user.to_owned());
                }
            }
            other => return usage(format!("`{other}` is not understood")),
        }
    }
    print!("{}", lab.up(&hosts, &up, &mut tell)?.env());
    Ok(())
}

fn tell(progress: Progress) {
    match progress {
        Progress::BuildingBase { elapsed } => {
            if elapsed.subsec_millis() < 100 && elapsed.as_secs().is_multiple_of(10) {
                eprintln!("building the base image: {} s", elapsed.as_secs());
            }
        }
        Progress::BaseReady { path } => eprintln!("base image: {}", path.display()),
        Progress::Booting { host } => eprintln!("booting {host}"),
        Progress::Ready { host, after } => eprintln!("{host} answers after {} ms", after.as_millis()),
    }
}

fn status(lab: &Lab) -> Result<ExitCode, Trouble> {
    let hosts = lab.status()?;
    for host in &hosts {
        let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
        let up = host.up.map_or_else(|| "-".to_owned(), |d| format!("{} s", d.as_secs()));
        println!(
            "{:<16} {:<24} {:<8} {:>8}  {:<10} {}",
            host.name,
            addresses.join(","),
            host.power.word(),
            up,
            host.systemd.as_deref().unwrap_or("-"),
            host.faults.join("; ")
        );
    }
    Ok(if hosts.iter().all(|h| h.power == Power::On) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cut(lab: &Lab, host: &str, options: &[&str]) -> Result<(), Trouble> {
    let (mut peers, mut direction) = (Vec::new(), Direction::Both);
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match (*word, words.as_slice().first()) {
            ("--in", _) => direction = Direction::In,
            ("--out", _) => direction = Direction::Out,
            ("--from", Some(peer)) => {
                words.next();
                peers.push(if *peer == "controller" {
                    Peer::Controller
                } else {
                    Peer::Host((*peer).to_owned())
                });
            }
            _ => return usage(format!("`{word}` is not understood")),
        }
    }
    if peers.is_empty() {
        peers.push(Peer::Everyone);
    }
    peers.iter().try_for_each(|peer| lab.cut(host, peer, direction))?;
    Ok(())
}

fn target(options: &[&str]) -> Result<(Target, Signal), Trouble> {
    let (mut target, mut signal) = (Target::Host, Signal::KILL);
    for pair in options.chunks(2) {
        match *pair {
            ["-s", s] => signal = s.parse()?,
            ["--unit", unit] => target = Target::Unit(unit.to_owned()),
            ["--process", name] => target = Target::Process(name.to_owned()),
            _ => return usage(format!("`{}` is not understood", pair.join(" "))),
        }
    }
    Ok((target, signal))
}

/// Becomes that command. Returns only when it cannot be started.
fn replace(mut command: std::process::Command) -> ExitCode {
    let error = command.exec();
    eprintln!("quorate-lab: {error}");
    ExitCode::from(126)
}
