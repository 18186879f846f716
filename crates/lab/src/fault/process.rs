//! Kill, freeze and thaw: a whole host, a unit of its systemd, or processes by name.

use crate::paths::Paths;
use crate::state::{Host, State};
use crate::{LabError, Result, cgroup, host};
use rustix::process::{Pid, kill_process};
use std::path::PathBuf;

/// What of a host is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The whole machine.
    Host,
    /// Everything in the cgroup of a unit; `.service` may be left out.
    Unit(String),
    /// Every process of that name.
    Process(String),
}

/// A signal by name or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(rustix::process::Signal);

impl Signal {
    pub const KILL: Self = Self(rustix::process::Signal::KILL);
}

impl std::str::FromStr for Signal {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        use rustix::process::Signal as S;
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        let known = [
            ("HUP", S::HUP),
            ("INT", S::INT),
            ("QUIT", S::QUIT),
            ("ABRT", S::ABORT),
            ("KILL", S::KILL),
            ("USR1", S::USR1),
            ("SEGV", S::SEGV),
            ("USR2", S::USR2),
            ("PIPE", S::PIPE),
            ("ALRM", S::ALARM),
            ("TERM", S::TERM),
            ("CONT", S::CONT),
            ("STOP", S::STOP),
        ];
        let by_name = known.iter().find(|(n, _)| *n == name).map(|(_, s)| *s);
        let by_number = || name.parse::<i32>().ok().and_then(S::from_named_raw);
        by_name.or_else(by_number).map(Self).ok_or_else(|| LabError::BadSignal { signal: text.to_owned() })
    }
}

/// Sends a signal; with [`Target::Host`] pulls the plug, whatever the signal. How many processes heard it.
pub(crate) fn kill(
    paths: &Paths,
    state: &State,
    host: &Host,
    target: &Target,
    signal: Signal,
) -> Result<usize> {
    let pids = match target {
        Target::Host => {
            let count = cgroup::processes(&host::cgroup_of(paths, host)?).len();
            host::power_off(paths, state, host)?;
            return Ok(count);
        }
        Target::Unit(unit) => cgroup::processes(&unit_cgroup(paths, host, unit)?),
        Target::Process(name) => named(paths, host, name)?,
    };
    if pids.is_empty() {
        return Err(nothing(host, target));
    }
    Ok(pids.into_iter().filter(|pid| send(*pid, signal)).count())
}

/// Stops or lets go on. A host and a unit are held by the freezer, processes by SIGSTOP.
pub(crate) fn set_frozen(paths: &Paths, host: &Host, target: &Target, freeze: bool) -> Result<()> {
    match target {
        Target::Host => {
            host::leader(paths, host)?;
            cgroup::set_frozen(&host::payload(paths, host)?, freeze)
        }
        Target::Unit(unit) => cgroup::set_frozen(&unit_cgroup(paths, host, unit)?, freeze),
        Target::Process(name) => {
            let signal = if freeze { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
            let pids = named(paths, host, name)?;
            if pids.is_empty() {
                return Err(nothing(host, target));
            }
            for pid in pids {
                send(pid, Signal(signal));
            }
            Ok(())
        }
    }
}

/// Lets everything on the host go on that was frozen, by the freezer or by SIGSTOP.
pub(crate) fn thaw_all(paths: &Paths, host: &Host) -> Result<()> {
    let payload = host::payload(paths, host)?;
    for frozen in cgroup::all_frozen(&payload) {
        cgroup::set_frozen(&frozen, false)?;
    }
    let stopped = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
        })
    };
    for pid in cgroup::processes(&payload).into_iter().filter(stopped) {
        send(pid, Signal(rustix::process::Signal::CONT));
    }
    Ok(())
}

fn send(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, signal.0).is_ok())
}

fn unit_cgroup(paths: &Paths, host: &Host, unit: &str) -> Result<PathBuf> {
    let name = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    host::leader(paths, host)?;
    cgroup::find(&host::payload(paths, host)?, &name)
        .ok_or_else(|| nothing(host, &Target::Unit(unit.to_owned())))
}

/// Processes of that name on the host. The kernel keeps 15 characters of a name.
fn named(paths: &Paths, host: &Host, name: &str) -> Result<Vec<i32>> {
    host::leader(paths, host)?;
    let short: String = name.chars().take(15).collect();
    let is_it =
        |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim_end() == short);
    Ok(cgroup::processes(&host::payload(paths, host)?).into_iter().filter(is_it).collect())
}

fn nothing(host: &Host, target: &Target) -> LabError {
    let what = match target {
        Target::Host => "anything".to_owned(),
        Target::Unit(name) | Target::Process(name) => name.clone(),
    };
    LabError::NothingRuns { host: host.spec.name.clone(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["KILL", "sigkill", "9"] {
            assert_eq!(text.parse::<Signal>().unwrap(), Signal::KILL, "{text}");
        }
        assert!("NOPE".parse::<Signal>().is_err());
        assert!("0".parse::<Signal>().is_err());
    }
}
