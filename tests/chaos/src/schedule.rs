//! What happens in one schedule: an operation, a fault, a death of the controller, and how it ends. All of it from one
//! number.

use crate::dice::Dice;
use std::fmt;

/// The hosts of the lab; the first three or five are the cluster at the beginning and at the end, the next is the one
/// that comes and goes.
pub(crate) const HOSTS: [&str; 6] =
    ["10.10.10.10", "10.10.10.11", "10.10.10.12", "10.10.10.13", "10.10.10.14", "10.10.10.15"];

/// What kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// Members: three or five.
    pub(crate) size: usize,
    /// Over plain HTTP.
    pub(crate) plain: bool,
}

impl Shape {
    /// Those who are members at the beginning and at the end.
    pub(crate) fn members(self) -> Vec<usize> {
        (0..self.size).collect()
    }

    /// Those hosts of the lab that a schedule of this shape knows.
    pub(crate) fn hosts(self) -> Vec<usize> {
        (0..=self.size).collect()
    }

    /// The host that is no member.
    pub(crate) fn spare(self) -> usize {
        self.size
    }
}

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
    pub(crate) shape: Shape,
    pub(crate) operation: Operation,
    pub(crate) fault: Option<Fault>,
    /// Milliseconds after which the controller is killed.
    pub(crate) kill: Option<u64>,
    /// Whether the same command is run again before the inventory is made true.
    pub(crate) again: bool,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        // of dice of its own, so that a seed's operation is what it was before there were shapes
        let mut dice = Dice::new(seed ^ 0x5ba9_e5ba_9e5b_a9e5);
        let shape = Shape { size: if dice.chance(30) { 5 } else { 3 }, plain: dice.chance(35) };
        let (members, spare) = (shape.members(), shape.spare());
        let mut dice = Dice::new(seed);
        let member = dice.below(shape.size as u64) as usize;
        let without = |hosts: &[usize]| hosts.iter().copied().filter(|host| *host != member).collect();
        let operation = match dice.below(100) {
            0..8 => Operation::Sync(shape.hosts()),
            8..24 => Operation::Sync(without(&shape.hosts())),
            24..28 => Operation::Sync(without(&members)),
            28..38 => Operation::Add(spare),
            38..46 => Operation::Remove(member),
            46..54 => Operation::Migrate(member, spare, false),
            54..62 => Operation::Migrate(member, spare, true),
            62..70 => Operation::Replace(member),
            70..79 => Operation::Restart,
            79..83 => Operation::Defrag,
            83..86 => Operation::Backup,
            // without certificates there is none to renew
            86..94 if shape.plain => Operation::Restart,
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
            let host = if dice.chance(20) { spare } else { dice.below(shape.size as u64) as usize };
            let at = if dice.chance(40) { -(dice.below(3000) as i64) } else { dice.below(6000) as i64 };
            Fault { kind, host, at, lasts: 2000 + dice.below(7000) }
        });
        let kill = dice.chance(40).then(|| dice.below(9000));
        Self { seed, shape, operation, fault, kill, again: dice.chance(40) }
    }

    /// Who is a member when the operation is done.
    pub(crate) fn target(&self) -> Vec<usize> {
        let mut hosts = self.shape.members();
        match &self.operation {
            Operation::Sync(wanted) => hosts.clone_from(wanted),
            Operation::Add(host) => hosts.push(*host),
            Operation::Remove(host) => hosts.retain(|other| other != host),
            Operation::Migrate(from, to, _) => {
                hosts.retain(|other| other != from);
                hosts.push(*to);
            }
            _ => {}
        }
        hosts
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { size, plain } = self.shape;
        write!(f, "{size} {}, {:?}", if plain { "plain" } else { "TLS" }, self.operation)?;
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
            let size = schedule.shape.size;
            assert!((size - 1..=size + 1).contains(&schedule.target().len()), "{schedule}");
            assert!(schedule.target().iter().all(|host| schedule.shape.hosts().contains(host)), "{schedule}");
        }
        let some = |which: fn(&Operation) -> bool| (0..500).any(|seed| which(&Schedule::of(seed).operation));
        assert!(
            some(|o| matches!(o, Operation::Authority))
                && some(|o| matches!(o, Operation::Migrate(_, _, true)))
        );
        for shape in [(3, false), (3, true), (5, false), (5, true)] {
            let of = |seed| Schedule::of(seed).shape;
            assert!((0..500).any(|seed| (of(seed).size, of(seed).plain) == shape), "{shape:?}");
        }
    }
}
