//! What can go wrong in a lab, and the next thing to try.

use std::net::IpAddr;
use std::path::PathBuf;

/// Why the lab could not do what was asked. `Display` is the headline, [`LabError::next_step`] the help.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("the lab boots Linux machines and cannot run on {os}")]
    NotLinux { os: &'static str },
    #[error("the lab needs root to make network namespaces and mounts")]
    NotRoot,
    #[error("this machine lacks {}", missing.join(", "))]
    MissingTools { missing: Vec<String> },
    #[error("this kernel lacks {what}")]
    Kernel { what: &'static str },
    #[error("`{name}` is not a name for a lab")]
    BadLabName { name: String },
    #[error("`{name}` cannot be the name of a host: {why}")]
    BadHostName { name: String, why: &'static str },
    #[error("the host list is empty")]
    NoHosts,
    #[error("`{address}` cannot be the address of `{host}`: {why}")]
    BadAddress { host: String, address: IpAddr, why: &'static str },
    #[error("`{first}` and `{second}` both want the address {address}")]
    AddressTwice { first: String, second: String, address: IpAddr },
    #[error("the host `{name}` is listed twice")]
    HostTwice { name: String },
    #[error("the lab already runs `{host}` with another address")]
    HostChanged { host: String },
    #[error("no address is left for the controller in {subnet}")]
    SubnetFull { subnet: String },
    #[error("the directory `{path}` cannot hold a lab: its name has a `:` or a `,`")]
    BadDirectory { path: PathBuf },
    #[error("there is no lab `{lab}`")]
    NoSuchLab { lab: String },
    #[error("the lab `{lab}` has no host `{host}`")]
    NoSuchHost { lab: String, host: String, known: Vec<String> },
    #[error("the host `{host}` is not running")]
    HostDown { host: String },
    #[error("nothing called `{what}` runs on `{host}`")]
    NothingRuns { host: String, what: String },
    #[error("`{signal}` is not a signal")]
    BadSignal { signal: String },
    #[error("no apt source for the suite `{suite}` is configured on this machine")]
    NoMirror { suite: String },
    #[error("the base image could not be built")]
    Base { log: PathBuf, tail: String },
    #[error("the host `{host}` did not come up: {why}")]
    Boot { host: String, why: String, log: PathBuf, tail: String },
    #[error("`{command}` failed: {stderr}")]
    Command { command: String, stderr: String },
    #[error("{action} `{path}`")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the state of the lab `{lab}` cannot be read: {why}")]
    State { lab: String, why: String },
    #[error("{what} is not available: {why}")]
    Unavailable { what: &'static str, why: String },
}

impl LabError {
    /// The next thing to try, as one imperative sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::NotLinux { .. } => "Run it on a Linux machine or in a Linux virtual machine.".into(),
            Self::NotRoot => "Run the same command with sudo.".into(),
            Self::MissingTools { .. } => {
                format!("Install them: apt-get install {}", crate::preflight::HOST_PACKAGES.join(" "))
            }
            Self::Kernel { .. } => "Use a kernel of Debian 12 or later, or load the module.".into(),
            Self::BadLabName { .. } => {
                "Use 1 to 20 small letters, digits and dashes, beginning with a letter.".into()
            }
            Self::BadHostName { .. } | Self::BadAddress { .. } => "Change it in the inventory.".into(),
            Self::NoHosts => "Name at least one host, or an inventory with hosts.".into(),
            Self::AddressTwice { .. } | Self::HostTwice { .. } => {
                "Give every host of the inventory a name and an address of its own.".into()
            }
            Self::HostChanged { .. } => "Take the lab down first: quorate lab down".into(),
            Self::SubnetFull { .. } => "Use a larger subnet or fewer hosts.".into(),
            Self::BadDirectory { .. } => "Set QUORATE_LAB_DIR to a plain path.".into(),
            Self::NoSuchLab { lab } => match crate::Lab::list().as_slice() {
                [] => format!("Boot it first: quorate lab up -n {lab}"),
                labs => format!(
                    "These are up: {}; another is booted with: quorate lab up -n {lab}",
                    labs.join(", ")
                ),
            },
            Self::NoSuchHost { known, .. } => format!("Name one of: {}.", known.join(", ")),
            Self::HostDown { .. } => "Boot it again: quorate lab up".into(),
            Self::NothingRuns { host, .. } => {
                format!("See what runs there: quorate lab ssh {host} systemctl list-units --type=service")
            }
            Self::BadSignal { .. } => {
                "Name it as kill(1) does: TERM, KILL, STOP, CONT, HUP, INT, USR1 or a number.".into()
            }
            Self::NoMirror { .. } => {
                "Configure a Debian or Ubuntu mirror in /etc/apt/sources.list.d and run apt-get update."
                    .into()
            }
            Self::Base { log, .. } => {
                format!("Read {}; run apt-get update and try again.", log.display())
            }
            Self::Boot { log, host, .. } => {
                format!("Read {}; a fresh disk often helps: quorate lab reset {host}", log.display())
            }
            Self::Command { .. } | Self::Io { .. } => {
                "Take the lab down and up again; if it happens again, report it.".into()
            }
            Self::State { .. } => "Take the lab down and up again: quorate lab down".into(),
            Self::Unavailable { .. } => "Use another fault.".into(),
        }
    }

    /// More lines for a person: what the failing program said last.
    pub fn details(&self) -> Option<&str> {
        match self {
            Self::Base { tail, .. } | Self::Boot { tail, .. } => Some(tail),
            _ => None,
        }
    }
}

/// Puts a path and a verb on an I/O error.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> crate::Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> crate::Result<T> {
        self.map_err(|source| LabError::Io { action, path: path.into(), source })
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> crate::Result<T> {
        self.map_err(|errno| LabError::Io { action, path: path.into(), source: errno.into() })
    }
}
