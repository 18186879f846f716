//! Faults: what a production network, disk or kernel may do to a host, on request and undone on request.
//!
//! Each is remembered in the lab's state until healed, and survives a reboot of the host it belongs to.

pub(crate) mod clock;
mod commands;
pub(crate) mod cut;
pub(crate) mod delay;
pub(crate) mod fill;
pub(crate) mod process;
mod relay;

pub use cut::{Cut, Direction, Peer};
pub use fill::Fill;
pub use process::{Signal, Target};

use crate::state::State;
use std::ffi::OsString;
use std::io;

/// How far a clock can be put off its time.
pub const MAX_CLOCK_STEP: std::time::Duration = std::time::Duration::from_hours(60 * 365 * 24);

/// The long-running helpers of faults, in a process of their own: the first argument says which.
/// The program that calls [`crate::Lab`] has to route its hidden command here; see [`crate::Lab::with_helper`].
pub fn helper_main(args: &[OsString]) -> io::Result<()> {
    match args.split_first() {
        Some((which, rest)) if which == "relay" => relay::relay(rest),
        Some((which, rest)) if which == "clock" => clock::keep(rest),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "relay or clock?")),
    }
}

impl State {
    /// The faults that hold for a host, for `status`.
    pub(crate) fn faults_of(&self, name: &str) -> Vec<String> {
        let mut faults: Vec<String> =
            self.cuts.iter().filter(|c| c.host == name).map(ToString::to_string).collect();
        faults.extend(self.delays.get(name).map(|ms| format!("{ms} ms late each way")));
        faults
            .extend(self.fills.iter().filter(|f| f.host == name).map(|f| format!("full disk at {}", f.path)));
        faults.extend(self.clocks.get(name).map(|ms| format!("clock {ms:+} ms")));
        faults
    }
}
