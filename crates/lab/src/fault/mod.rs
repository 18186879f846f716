//! Faults: what a production network, disk or kernel may do to a host, on request and undone on request.
//!
//! Each is remembered in the lab's state until healed, and survives a reboot of the host it belongs to.

pub(crate) mod cut;
pub(crate) mod delay;
pub(crate) mod fill;
pub(crate) mod process;
mod relay;

pub use cut::{Cut, Direction, Peer};
pub use fill::Fill;
pub use process::{Signal, Target};
pub use relay::relay_main;

use crate::state::State;

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
