//! The faults as methods of a lab: each changes the state under the lock, and the world with it.

use super::{Cut, Direction, Fill, MAX_CLOCK_STEP, Peer, Signal, Target};
use crate::state::{Host, Lock, State};
use crate::{Lab, LabError, Result, fault, host};

impl Lab {
    /// Changes the state under the lock, and what belongs to it.
    fn change<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        self.state()?;
        let _lock = Lock::take(&self.paths)?;
        let mut state = self.state()?;
        let result = act(&mut state)?;
        state.write(&self.paths)?;
        Ok(result)
    }

    /// Drops traffic of a host. Cuts add up until [`Lab::heal`].
    pub fn cut(&self, host: &str, peer: &Peer, direction: Direction) -> Result<()> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?.spec.name.clone();
            let peer = match peer {
                Peer::Host(name) => Peer::Host(state.host(&self.paths, name)?.spec.name.clone()),
                other => other.clone(),
            };
            let cut = Cut { host, peer, direction };
            if !state.cuts.contains(&cut) {
                state.cuts.push(cut);
            }
            fault::cut::apply(&self.paths, state)
        })
    }

    /// Undoes every fault of a host, or of all hosts: cuts, delays, clocks, full disks, what is frozen.
    /// Hosts that were killed stay off until `up`.
    pub fn heal(&self, host: Option<&str>) -> Result<()> {
        self.change(|state| {
            let only = match host {
                Some(name) => Some(state.host(&self.paths, name)?.spec.name.clone()),
                None => None,
            };
            let meant = |name: &str| only.as_deref().is_none_or(|o| o == name);
            state.cuts.retain(|c| !(meant(&c.host) || matches!(&c.peer, Peer::Host(p) if meant(p))));
            fault::cut::apply(&self.paths, state)?;
            let hosts: Vec<Host> = state.hosts.iter().filter(|h| meant(&h.spec.name)).cloned().collect();
            for host in &hosts {
                if state.delays.remove(&host.spec.name).is_some() {
                    fault::delay::clear(&self.paths, host)?;
                }
                if state.clocks.remove(&host.spec.name).is_some() {
                    fault::clock::clear(&self.paths, host)?;
                }
                fault::process::thaw_all(&self.paths, host)?;
                for fill in state.fills.iter().filter(|f| f.host == host.spec.name) {
                    // A host that is off keeps its full disk: it is remembered and can be freed later.
                    if host::leader(&self.paths, host).is_ok() {
                        fault::fill::unfill(&self.paths, host, &fill.path)?;
                    }
                }
                let on = host::leader(&self.paths, host).is_ok();
                state.fills.retain(|f| f.host != host.spec.name || !on);
            }
            Ok(())
        })
    }

    /// Holds every frame to and from the host back for that long, each way; 0 ends it.
    pub fn delay(&self, host: &str, milliseconds: u32) -> Result<()> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?.clone();
            if milliseconds == 0 {
                state.delays.remove(&host.spec.name);
                return fault::delay::clear(&self.paths, &host);
            }
            fault::delay::set(&self.paths, &host, milliseconds, &self.helper)?;
            state.delays.insert(host.spec.name.clone(), milliseconds);
            Ok(())
        })
    }

    /// Puts the clock of a host's programs that far ahead (behind when negative), also of those that start
    /// later; 0 ends it. See `fault::clock` for what a step does not reach.
    pub fn clock(&self, host: &str, milliseconds: i64) -> Result<()> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?.clone();
            if milliseconds == 0 {
                state.clocks.remove(&host.spec.name);
                return fault::clock::clear(&self.paths, &host);
            }
            if milliseconds.unsigned_abs() > MAX_CLOCK_STEP.as_millis() as u64 {
                let why = "a clock steps by 60 years at most".to_owned();
                return Err(LabError::Unavailable { what: "that step", why });
            }
            fault::clock::set(&self.paths, &host, milliseconds, &self.helper)?;
            state.clocks.insert(host.spec.name.clone(), milliseconds);
            Ok(())
        })
    }

    /// Sends a signal to a unit's or a program's processes, or pulls the plug of the whole host.
    /// How many processes it reached.
    pub fn kill(&self, host: &str, target: &Target, signal: Signal) -> Result<usize> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?;
            fault::process::kill(&self.paths, state, host, target, signal)
        })
    }

    /// Stops a host, a unit or processes in their tracks; the kernel below goes on answering for them.
    pub fn freeze(&self, host: &str, target: &Target) -> Result<()> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?;
            fault::process::set_frozen(&self.paths, host, target, true)
        })
    }

    /// Lets go on what [`Lab::freeze`] has stopped.
    pub fn thaw(&self, host: &str, target: &Target) -> Result<()> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?;
            fault::process::set_frozen(&self.paths, host, target, false)
        })
    }

    /// Fills the disk that holds `path` on the host to the last block. How many bytes that took.
    pub fn fill(&self, host: &str, path: &str) -> Result<u64> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?.clone();
            // Remembered first: an interrupted fill still has to be undone.
            let fill = Fill { host: host.spec.name.clone(), path: path.to_owned() };
            if !state.fills.contains(&fill) {
                state.fills.push(fill);
                state.write(&self.paths)?;
            }
            fault::fill::fill(&self.paths, &host, path)
        })
    }

    /// Gives the room back that [`Lab::fill`] took.
    pub fn unfill(&self, host: &str, path: &str) -> Result<()> {
        self.change(|state| {
            let host = state.host(&self.paths, host)?.clone();
            fault::fill::unfill(&self.paths, &host, path)?;
            state.fills.retain(|f| f.host != host.spec.name || f.path != path);
            Ok(())
        })
    }
}
