//! Running: plays in order, each host walking through its program, handlers, failures, the recap.
//!
//! **Invariant:** this room prints nothing (it tells events) and makes no choice that the playbook or a live fact did not make.

pub mod actions;
mod ahead;
pub mod argspec;
mod cursor;
mod debugger;
mod diagnose;
mod expand;
pub mod guard;
mod outbox;
mod play;
pub mod target;
pub mod task;

pub use guard::Guard;
pub(crate) use play::name_of;
pub use play::{Playbook, Runner};
pub use task::{number, span_of};

use crate::connect::Pool;
use crate::report::Event;
use crate::vars::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What every task of a run gets handed.
pub struct Run {
    /// Settings, inventory, variables.
    pub shared: Arc<Shared>,
    /// Connections.
    pub pool: Pool,
    /// Who may take a member of an etcd cluster away, and when.
    pub guard: Guard,
    /// Somebody pressed Ctrl-C: 1 = finish what is in flight, 2 = at once.
    pub interrupted: AtomicU8,
    /// Wakes whoever waits for that.
    pub stopping: tokio::sync::Notify,
    /// Hashes of files of the controller: read once for all hosts.
    pub contents: actions::Contents,
    /// Python modules that ansible-core has packed.
    pub(crate) payloads: actions::bridge::Payloads,
    /// When steps began and ended, where somebody records it.
    pub clock: std::sync::OnceLock<Arc<crate::report::record::Clock>>,
    /// Hosts of members that were seen, by their ids: who asks about one of them only sees names of the others.
    pub members: std::sync::Mutex<std::collections::HashMap<String, String>>,
    /// What is worked on now, where somebody watches.
    pub running: std::sync::OnceLock<Arc<crate::report::Running>>,
    /// What has been done, where it is kept.
    pub journal: std::sync::OnceLock<Arc<crate::journal::Journal>>,
    /// What stands of an earlier run.
    pub resume: std::sync::OnceLock<Arc<crate::journal::Resume>>,
    /// What would be done, in check mode where somebody plans.
    pub forecast: std::sync::OnceLock<Arc<crate::forecast::Forecast>>,
    /// Who measures whether clients can read and write meanwhile.
    pub probe: std::sync::OnceLock<Arc<crate::probe::Probe>>,
    /// The plan that this run is held to.
    pub promise: std::sync::OnceLock<Arc<crate::forecast::Promise>>,
    /// Blocks that are rolled back unless confirmed.
    pub switches: actions::switch::Switches,
    /// The order in which hosts are told things.
    pub events: std::sync::Mutex<Box<dyn FnMut(Event) + Send>>,
}

impl Run {
    /// Tells readers what happened.
    pub fn tell(&self, event: Event) {
        (self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(event);
    }

    /// A cluster has been looked at: for whoever watches, and for the report.
    pub fn saw(&self, cluster: &str, seen: &quorate_etcd::Observation, max_lag: u64) {
        if self.running.get().is_none() && self.clock.get().is_none() {
            return;
        }
        let seen = {
            let mut known = self.members.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            crate::report::record::Sighting::of(cluster, seen, max_lag, &mut known)
        };
        if let Some(clock) = self.clock.get() {
            clock.saw(seen.clone());
        }
        if let Some(running) = self.running.get() {
            running.cluster(seen);
        }
    }

    /// Nothing more is to start; how often that was said before.
    pub fn interrupt(&self) -> u8 {
        let before = self.interrupted.fetch_add(1, Ordering::Relaxed);
        self.stopping.notify_waiters();
        before
    }

    /// Comes back once nothing more is to start.
    pub async fn stops(&self) {
        let woken = self.stopping.notified();
        if !self.is_interrupted() {
            woken.await;
        }
    }

    /// Whether to start nothing more.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) > 0
    }
}

static ENDING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// The program ends at once: nobody starts another process.
pub fn end_now() {
    ENDING.store(true, Ordering::SeqCst);
}

/// Whoever is about to start a process while the program ends waits for the end.
pub fn hold_if_ending() {
    while ENDING.load(Ordering::SeqCst) {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
