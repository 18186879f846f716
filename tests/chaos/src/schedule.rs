//! What happens in one schedule: an operation, a fault, a death of the controller, and how it ends. All of it from one
//! number.

use crate::dice::Dice;
use std::fmt;

/// The hosts of the lab; the first three are the cluster at the beginning and at the end.
pub(crate) const HOSTS: [&str; 4] = ["10.10.10.10", "10.10.10.11", "10.10.10.12", "10.10.10.13"];

/// What the operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `etcd-sync.yml` with these hosts in the inventory.
    Sync(Vec<usize>),
    Add(usize),
    Remove(usize),
    /// From, to, with the data.
    Migrate(usize, usize, bool),
    /// The host's data is lost first.
    Replace(usize),
    Restart,
    Defrag,
    Backup,
    Renew,
    Authority,
    Check,
    /// `systemctl restart etcd` on all hosts, by hand; the guard stands before it.
    ByHand,
}

/// What happens to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    Stop,
    Freeze,
    FreezeHost,
    Cut,
    CutIn,
    CutOut,
    CutPeers,
    CutController,
    Delay(u64),
    Fill,
    Clock(i64),
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) host: usize,
    /// Milliseconds after the operation began; negative: as long before it.
    pub(crate) at: i64,
    /// Milliseconds until it is healed, from when it began.
    pub(crate) lasts: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) operation: Operation,
    pub(crate) fault: Option<Fault>,
    /// Milliseconds after which the controller is killed.
    pub(crate) kill: Option<u64>,
    /// Whether the same command is run again before the inventory is made true.
    pub(crate) again: bool,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let member = dice.below(3) as usize;
        let operation = match dice.below(100) {
            0..8 => Operation::Sync(vec![0, 1, 2, 3]),
            8..24 => Operation::Sync((0..4).filter(|host| *host != member).collect()),
            24..28 => Operation::Sync((0..3).filter(|host| *host != member).collect()),
            28..38 => Operation::Add(3),
            38..46 => Operation::Remove(member),
            46..54 => Operation::Migrate(member, 3, false),
            54..62 => Operation::Migrate(member, 3, true),
            62..70 => Operation::Replace(member),
            70..79 => Operation::Restart,
            79..83 => Operation::Defrag,
            83..86 => Operation::Backup,
            86..90 => Operation::Renew,
            90..94 => Operation::Authority,
            94..95 => Operation::Check,
            _ => Operation::ByHand,
        };
        let fault = dice.chance(75).then(|| {
            let kind = match dice.below(15) {
                0 | 1 => Kind::Kill,
                2 => Kind::Stop,
                3 => Kind::Freeze,
                4 => Kind::FreezeHost,
                5 => Kind::Cut,
                6 => Kind::CutIn,
                7 => Kind::CutOut,
                8 => Kind::CutPeers,
                9 => Kind::CutController,
                10 => Kind::Delay(20 + dice.below(200)),
                11 => Kind::Fill,
                12 => Kind::Clock(dice.pick(&[-86_400_000, -120_000, 30_000, 86_400_000])),
                _ => Kind::Power,
            };
            // mostly a member; the one to come at times
            let host = if dice.chance(20) { 3 } else { dice.below(3) as usize };
            let at = if dice.chance(40) { -(dice.below(3000) as i64) } else { dice.below(6000) as i64 };
            Fault { kind, host, at, lasts: 2000 + dice.below(7000) }
        });
        let kill = dice.chance(40).then(|| dice.below(9000));
        Self { seed, operation, fault, kill, again: dice.chance(40) }
    }

    /// Who is a member when the operation is done.
    pub(crate) fn target(&self) -> Vec<usize> {
        match &self.operation {
            Operation::Sync(hosts) => hosts.clone(),
            Operation::Add(host) => [0, 1, 2].into_iter().chain([*host]).collect(),
            Operation::Remove(host) => (0..3).filter(|other| other != host).collect(),
            Operation::Migrate(from, to, _) => (0..3).filter(|other| other != from).chain([*to]).collect(),
            _ => vec![0, 1, 2],
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.operation)?;
        if let Some(Fault { kind, host, at, lasts }) = self.fault {
            write!(f, ", {kind:?} of {host} at {at} ms for {lasts} ms")?;
        }
        if let Some(kill) = self.kill {
            write!(f, ", controller killed at {kill} ms")?;
        }
        f.write_str(if self.again { ", the same again" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        for seed in 0..500 {
            let schedule = Schedule::of(seed);
            assert_eq!(schedule, Schedule::of(seed));
            assert!((2..=4).contains(&schedule.target().len()), "{schedule}");
        }
        let some = |which: fn(&Operation) -> bool| (0..500).any(|seed| which(&Schedule::of(seed).operation));
        assert!(
            some(|o| matches!(o, Operation::Authority))
                && some(|o| matches!(o, Operation::Migrate(_, _, true)))
        );
    }
}
