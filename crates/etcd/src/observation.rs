//! What was seen of a cluster at one moment: plain data, and the pure reading of it.
//!
//! In: one [`Probe`] an endpoint, as [`observe`](crate::observe::observe) gathered them. Out: an [`Observation`].
//!
//! **Invariant:** nothing here asks, waits or reads a clock. A member list counts as agreed only when a quorum of
//! the voters in that very list returned it; what one member believes is never proof.
//!
//! Not here: what may be done about it ([`guard`](crate::guard)).

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::EtcdError;
use crate::guard::Target;
use crate::id::{ClusterId, MemberId};
use crate::peer_http::PeerMembers;
use crate::quorum::{Tally, Voter};

mod assemble;

/// A member as a member list names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedMember {
    /// Its id.
    pub id: MemberId,
    /// Empty until it has started once.
    pub name: String,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started once.
    pub client_urls: Vec<String>,
    /// Without a vote.
    pub learner: bool,
}

impl ListedMember {
    /// Whether it has ever published itself.
    pub fn started(&self) -> bool {
        !self.name.is_empty() || !self.client_urls.is_empty()
    }
}

/// `Maintenance.Status` of one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Who answered.
    pub id: MemberId,
    /// Which cluster it belongs to.
    pub cluster: ClusterId,
    /// Whom it follows. May name a leader that died less than 2 s ago.
    pub leader: Option<MemberId>,
    /// Its release.
    pub version: String,
    /// Revision of its store.
    pub revision: i64,
    /// Last raft index it has.
    pub raft_index: u64,
    /// Last raft index it has applied.
    pub raft_applied: u64,
    /// Its term.
    pub raft_term: u64,
    /// Size of its database file, in bytes.
    pub db_size: u64,
    /// The part in use; the difference is what a defragmentation gives back.
    pub db_in_use: u64,
    /// Quota, from releases that report it.
    pub db_quota: Option<u64>,
    /// Without a vote.
    pub learner: bool,
    /// Its complaints, alarms among them.
    pub errors: Vec<String>,
}

/// What one endpoint gave. Calls that failed keep their error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// From which vantage point.
    pub via: String,
    /// Status.
    pub status: Result<Status, EtcdError>,
    /// Who returned it, and the member list it believes in.
    pub list: Result<(MemberId, Vec<ListedMember>), EtcdError>,
    /// A linearizable read. Learners cannot do it.
    pub read: Result<(), EtcdError>,
}

/// One endpoint, asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// gRPC, or why there is none.
    pub grpc: Result<Answers, EtcdError>,
    /// The peer port, asked only where gRPC is mute.
    pub peer: Option<PeerMembers>,
}

/// How much of the cluster stands behind the member list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// A quorum of its voters returned the same list.
    Agreed {
        /// Voters that returned it.
        by: usize,
        /// Voters in it.
        of: usize,
    },
    /// Fewer did: good for showing, not for deciding.
    Partial {
        /// Voters that returned it.
        by: usize,
        /// Voters in it.
        of: usize,
    },
    /// Nobody returned any.
    Missing,
}

/// What a member is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Counts for quorum, started or not.
    Voter,
    /// Follows without a vote.
    Learner,
    /// A host of the inventory that is in no member list.
    Unlisted,
}

/// How a member is, as far as can be told from where we stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// A voter that answered a linearizable read, or a learner that follows a leader.
    Healthy,
    /// Its process answers, the cluster behind it does not.
    NotServing(String),
    /// It answers, but not to us: auth is on and we have no user.
    Denied(String),
    /// The alarm CORRUPT names it.
    Corrupt,
    /// Another member answers at its URL.
    Stranger(MemberId),
    /// Listed, never started.
    Unstarted,
    /// Mute to clients while its peer port answers: it waits to join, or for quorum.
    Joining,
    /// The port takes connections and nothing answers: frozen or hung.
    Silent,
    /// The host says that nothing listens.
    Down,
    /// Not reached; it may be well.
    Unreachable(String),
    /// The TLS handshake fails; it may be well.
    Tls(String),
}

impl Condition {
    /// Whether it is certain that this member serves nobody, whoever asks.
    pub fn proven_dead(&self) -> bool {
        matches!(self, Self::Unstarted | Self::Joining | Self::Silent | Self::Down)
    }

    fn answers(&self) -> bool {
        matches!(
            self,
            Self::Healthy | Self::NotServing(_) | Self::Denied(_) | Self::Corrupt | Self::Stranger(_)
        )
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::NotServing(why) => write!(f, "NOT SERVING ({why})"),
            Self::Denied(why) => write!(f, "UNKNOWN (it wants a login: {why})"),
            Self::Corrupt => f.write_str("CORRUPT"),
            Self::Stranger(id) => write!(f, "UNKNOWN (member {id} answers at its URL)"),
            Self::Unstarted => f.write_str("NOT STARTED"),
            Self::Joining => f.write_str("WAITING (its peer port answers, its client port does not)"),
            Self::Silent => f.write_str("SILENT (accepts connections, answers nothing)"),
            Self::Down => f.write_str("DOWN (connection refused)"),
            Self::Unreachable(why) => write!(f, "UNREACHABLE ({why})"),
            Self::Tls(why) => write!(f, "UNKNOWN (TLS: {why})"),
        }
    }
}

/// A host of the inventory, a member of the list, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenMember {
    /// The inventory's name for it.
    pub host: Option<String>,
    /// Its id in the member list.
    pub id: Option<MemberId>,
    /// Its own name, once it has started.
    pub name: String,
    /// Peer URLs in the member list.
    pub peer_urls: Vec<String>,
    /// Client URLs in the member list.
    pub client_urls: Vec<String>,
    /// What it is to the cluster.
    pub role: Role,
    /// How it is.
    pub condition: Condition,
    /// Its Status, when it gave one.
    pub status: Option<Status>,
    /// Entries it has yet to apply, against the leader's index.
    pub lag: Option<u64>,
    /// From which vantage point it answered.
    pub via: Option<String>,
    /// When it answered last, over several observations.
    #[serde(skip)]
    pub last_answer: Option<Instant>,
}

impl SeenMember {
    /// What people call it: host, name, id, in this order.
    pub fn label(&self) -> String {
        match (&self.host, self.id) {
            (Some(host), _) => host.clone(),
            (None, Some(id)) if self.name.is_empty() => id.to_string(),
            _ => self.name.clone(),
        }
    }

    /// Healthy, and not further behind than this.
    pub fn serves(&self, max_lag: u64) -> bool {
        self.condition == Condition::Healthy && self.lag.is_none_or(|lag| lag <= max_lag)
    }
}

/// An alarm, as members report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// Over quota: no more writes.
    NoSpace,
    /// Its data differ from the others'.
    Corrupt,
}

/// A cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// The cluster's name in the inventory.
    pub cluster: String,
    /// The oldest fact in here is not older than this.
    #[serde(skip)]
    pub taken: Instant,
    /// The run's clock at that moment, for people and journals.
    pub taken_unix_ms: Option<u64>,
    /// Every cluster id that answered. More than one means split configuration.
    pub cluster_ids: Vec<ClusterId>,
    /// How sure the member list is.
    pub view: View,
    /// Inventory and member list, joined by peer URL first and name second.
    pub members: Vec<SeenMember>,
    /// The leader most voters name.
    pub leader: Option<MemberId>,
    /// How many voters name it.
    pub leader_known_by: usize,
    /// The highest term seen.
    pub raft_term: u64,
    /// Alarms by member.
    pub alarms: BTreeMap<MemberId, Vec<Alarm>>,
}

impl Observation {
    /// Stamps the run's clock on it.
    #[must_use]
    pub fn stamped(mut self, unix_ms: u64) -> Self {
        self.taken_unix_ms = Some(unix_ms);
        self
    }

    /// Carries over from an earlier observation since when silent members have been silent.
    #[must_use]
    pub fn remembering(mut self, before: &Self) -> Self {
        for member in &mut self.members {
            if member.last_answer.is_none() {
                let same = |old: &&SeenMember| {
                    (old.id.is_some() && old.id == member.id)
                        || (old.host.is_some() && old.host == member.host)
                };
                member.last_answer = before.members.iter().find(same).and_then(|old| old.last_answer);
            }
        }
        self
    }

    /// Members that count for quorum.
    pub fn voters(&self) -> impl Iterator<Item = &SeenMember> {
        self.members.iter().filter(|member| member.role == Role::Voter)
    }

    /// Members without a vote.
    pub fn learners(&self) -> impl Iterator<Item = &SeenMember> {
        self.members.iter().filter(|member| member.role == Role::Learner)
    }

    /// The voters as arithmetic wants them.
    pub fn votes(&self, max_lag: u64) -> Vec<Voter> {
        let vote = |member: &SeenMember| Some(Voter { id: member.id?, healthy: member.serves(max_lag) });
        self.voters().filter_map(vote).collect()
    }

    /// Healthy voters against needed ones.
    pub fn tally(&self, max_lag: u64) -> Tally {
        Tally::of(&self.votes(max_lag))
    }

    /// Whether some voter just completed a linearizable read: then a quorum exists, seen by us or not.
    pub fn commits(&self) -> bool {
        self.voters().any(|member| member.condition == Condition::Healthy)
    }

    /// Whether anything of etcd answered at all.
    pub fn anyone_answers(&self) -> bool {
        self.members.iter().any(|member| member.condition.answers() || member.condition == Condition::Joining)
    }

    /// The member a step means.
    pub fn find(&self, target: &Target) -> Option<&SeenMember> {
        self.members.iter().find(|member| match target {
            Target::Id(id) => member.id == Some(*id),
            Target::Host(host) => member.host.as_deref() == Some(host),
        })
    }

    /// Whether any member raises this alarm.
    pub fn alarmed(&self, alarm: Alarm) -> Option<MemberId> {
        self.alarms.iter().find(|(_, raised)| raised.contains(&alarm)).map(|(id, _)| *id)
    }

    /// All members in one line, as refusals show them. `now` turns last answers into "no answer for 41 s".
    pub fn members_line(&self, now: Instant) -> String {
        if self.members.is_empty() {
            return "none known".to_owned();
        }
        self.members.iter().map(|member| self.describe(member, now)).collect::<Vec<_>>().join(" · ")
    }

    fn describe(&self, member: &SeenMember, now: Instant) -> String {
        let role = match member.role {
            Role::Voter if self.leader.is_some() && member.id == self.leader => "leader",
            Role::Voter => "voter",
            Role::Learner => "learner",
            Role::Unlisted => "not a member",
        };
        let silent_for = member.last_answer.map(|last| now.saturating_duration_since(last));
        let condition = match (&member.condition, silent_for) {
            (Condition::Down | Condition::Unreachable(_) | Condition::Silent, Some(silent))
                if silent >= Duration::from_secs(1) =>
            {
                let word = if member.condition == Condition::Silent { "SILENT" } else { "DOWN" };
                format!("{word} (no answer for {} s)", silent.as_secs())
            }
            (Condition::Healthy, _) if member.lag.is_some_and(|lag| lag > 1000) => {
                format!("BEHIND by {} entries", member.lag.unwrap_or_default())
            }
            (condition, _) => condition.to_string(),
        };
        format!("{} {role} {condition}", member.label())
    }
}

#[cfg(test)]
#[path = "observation_tests.rs"]
mod tests;
