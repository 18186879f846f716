//! Whether a member is back: serving, caught up, and itself.
//!
//! [`settled`] is a pure reading of the last few observations; [`wait_settled`] takes them until it is satisfied or
//! out of time. A unit that is active, an open port or a healthy `/health` are no such proof.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::Access;
use crate::guard::Target;
use crate::id::MemberId;
use crate::observation::{Condition, Observation, Role};
use crate::observe::{ClusterSpec, observe};
use crate::quorum::quorum;

/// What a member has to be again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which one.
    pub member: Target,
    /// Its id from before, where it must be the same one.
    pub id: Option<MemberId>,
    /// Voter or learner.
    pub role: Role,
    /// Observations in a row that must agree.
    pub polls: usize,
    /// Entries it may be behind the leader.
    pub max_lag: u64,
}

impl Expected {
    /// A restarted voter: three polls, at most 100 entries behind.
    pub fn voter(member: Target, id: Option<MemberId>) -> Self {
        Self { member, id, role: Role::Voter, polls: 3, max_lag: 100 }
    }

    /// A learner that is ready for promotion.
    pub fn learner(member: Target, id: Option<MemberId>) -> Self {
        Self { role: Role::Learner, ..Self::voter(member, id) }
    }
}

/// What is still missing, the first obstacle first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is in no agreed member list.
    NotListed,
    /// It is listed as something else.
    OtherRole(Role),
    /// Another member stands there now.
    OtherId(MemberId),
    /// It does not serve: condition in words.
    NotHealthy(String),
    /// Behind by so many entries.
    Behind(u64),
    /// Its store is much smaller than the leader's.
    StoreNotFull {
        /// Bytes it uses.
        has: u64,
        /// Bytes the leader uses.
        leader: u64,
    },
    /// A quorum of voters does not name the same leader yet.
    NoLeader,
    /// Fine so far, for this many polls of the second number.
    MorePolls(usize, usize),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListed => f.write_str("not in an agreed member list"),
            Self::OtherRole(Role::Learner) => f.write_str("still a learner"),
            Self::OtherRole(Role::Voter) => f.write_str("a voter already"),
            Self::OtherRole(Role::Unlisted) => f.write_str("not in the member list"),
            Self::OtherId(id) => write!(f, "member {id} stands in its place"),
            Self::NotHealthy(condition) => f.write_str(condition),
            Self::Behind(lag) => write!(f, "{lag} entries behind"),
            Self::StoreNotFull { has, leader } => write!(f, "its store holds {has} of {leader} bytes"),
            Self::NoLeader => f.write_str("no leader known to a quorum"),
            Self::MorePolls(have, need) => write!(f, "healthy for {have} of {need} polls"),
        }
    }
}

/// Decides from the last observations, oldest first. `Ok` when the member is back for good.
pub fn settled<'a>(
    expected: &Expected,
    polls: impl DoubleEndedIterator<Item = &'a Observation>,
) -> Result<(), Missing> {
    let mut good = 0;
    for seen in polls.rev() {
        match one(expected, seen) {
            Ok(()) => good += 1,
            Err(missing) if good == 0 => return Err(missing),
            Err(_) => break,
        }
        if good >= expected.polls {
            return Ok(());
        }
    }
    Err(Missing::MorePolls(good, expected.polls))
}

/// One poll.
fn one(expected: &Expected, seen: &Observation) -> Result<(), Missing> {
    let member = seen.find(&expected.member).ok_or(Missing::NotListed)?;
    let id = member.id.ok_or(Missing::NotListed)?;
    if expected.id.is_some_and(|before| before != id) {
        return Err(Missing::OtherId(id));
    }
    if member.role != expected.role {
        return Err(Missing::OtherRole(member.role));
    }
    if member.condition != Condition::Healthy {
        return Err(Missing::NotHealthy(member.condition.to_string()));
    }
    if seen.leader_known_by < quorum(seen.voters().count()) {
        return Err(Missing::NoLeader);
    }
    let (Some(lag), Some(status)) = (member.lag, &member.status) else {
        return Err(Missing::NotHealthy("its raft index is not known".to_owned()));
    };
    // Under heavy writing the two indexes are read moments apart; a thousandth of a long log is such a moment.
    let leader_index = status.raft_applied.saturating_add(lag);
    if lag > expected.max_lag.max(leader_index / 1000) {
        return Err(Missing::Behind(lag));
    }
    // A learner cannot prove itself by a read: a store of another order of size is still being filled.
    let leader = seen.members.iter().find(|other| other.id.is_some() && other.id == seen.leader);
    let full = leader.and_then(|leader| leader.status.as_ref()).map_or(0, |leader| leader.db_in_use);
    if member.role == Role::Learner && full > SMALL_STORE && status.db_in_use < full / 2 {
        return Err(Missing::StoreNotFull { has: status.db_in_use, leader: full });
    }
    Ok(())
}

/// Below this, sizes of stores differ by allocation alone.
const SMALL_STORE: u64 = 16 << 20;

/// How long to wait, and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between observations.
    pub poll: Duration,
    /// In all.
    pub deadline: Duration,
    /// After success, before the next step: etcd itself counts a peer as connected only after 5 s.
    pub settle: Duration,
}

impl Timing {
    /// For a member with a database of this size: 60 s and a second for every 50 MB.
    pub fn for_database(bytes: u64) -> Self {
        Self {
            poll: Duration::from_millis(500),
            deadline: Duration::from_secs(60 + bytes / 50_000_000),
            settle: Duration::from_secs(5),
        }
    }
}

/// Looks until the member is back. The error is what was missing last.
///
/// `progress` hears every observation and what it still lacks.
pub async fn wait_settled(
    spec: &ClusterSpec,
    access: &Access,
    expected: &Expected,
    timing: Timing,
    mut progress: impl FnMut(&Observation, Option<&Missing>),
) -> Result<Observation, Missing> {
    let started = Instant::now();
    let mut polls: VecDeque<Observation> = VecDeque::new();
    loop {
        let seen = observe(spec, access).await;
        let seen = match polls.back() {
            Some(before) => seen.remembering(before),
            None => seen,
        };
        polls.push_back(seen);
        if polls.len() > expected.polls.max(1) {
            polls.pop_front();
        }
        let state = settled(expected, polls.iter());
        let last = polls.back().expect("one was just pushed");
        progress(last, state.as_ref().err());
        match state {
            Ok(()) => {
                let last = last.clone();
                tokio::time::sleep(timing.settle).await;
                return Ok(last);
            }
            Err(missing) if started.elapsed() >= timing.deadline => return Err(missing),
            Err(_) => tokio::time::sleep(timing.poll).await,
        }
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
