//! What the guard is asked and what it answers: plain values.

use std::time::Duration;

use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::id::MemberId;
use crate::quorum::Tally;
use crate::refusal::Refusal;

/// Whom a step is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// By id.
    Id(MemberId),
    /// By the inventory's name for its host.
    Host(String),
}

impl Target {
    /// The member on this host.
    pub fn host(name: impl Into<String>) -> Self {
        Self::Host(name.into())
    }
}

/// What somebody is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Stop its process, host included.
    Stop(Target),
    /// Stop and start it.
    Restart(Target),
    /// Defragment it: it serves nobody meanwhile.
    Defragment(Target),
    /// Stop it, change its release, start it.
    Upgrade(Target),
    /// Stop it, move its data, start it elsewhere.
    Migrate(Target),
    /// Take it out of the member list.
    Remove(Target),
    /// Announce a learner.
    AddLearner {
        /// Its peer URL.
        peer: Endpoint,
    },
    /// Announce a member with a vote.
    AddVoter {
        /// Its peer URL.
        peer: Endpoint,
    },
    /// Give a learner its vote.
    Promote(Target),
    /// Change a member's peer URL.
    UpdatePeer(Target),
    /// Stop etcd on these hosts and put their data aside.
    Purge {
        /// The hosts.
        hosts: Vec<String>,
    },
    /// The same for all of the cluster, on purpose.
    PurgeAll {
        /// The hosts; every voter has to be on one of them.
        hosts: Vec<String>,
    },
}

/// What a slot in force may do to the cluster while it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A member may be away.
    Absence,
    /// The member list may change.
    Membership,
}

impl Step {
    /// What a slot for this step means to others.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Stop(_)
            | Self::Restart(_)
            | Self::Defragment(_)
            | Self::Upgrade(_)
            | Self::Migrate(_)
            | Self::Purge { .. }
            | Self::PurgeAll { .. } => Effect::Absence,
            Self::Remove(_)
            | Self::AddLearner { .. }
            | Self::AddVoter { .. }
            | Self::Promote(_)
            | Self::UpdatePeer(_) => Effect::Membership,
        }
    }

    /// The member it is about, where there is exactly one.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Stop(target)
            | Self::Restart(target)
            | Self::Defragment(target)
            | Self::Upgrade(target)
            | Self::Migrate(target)
            | Self::Remove(target)
            | Self::Promote(target)
            | Self::UpdatePeer(target) => Some(target),
            Self::AddLearner { .. } | Self::AddVoter { .. } | Self::Purge { .. } | Self::PurgeAll { .. } => {
                None
            }
        }
    }
}

/// A slot somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Which cluster it is about.
    pub cluster: String,
    /// The member that may be away.
    pub member: Option<MemberId>,
    /// Its host: two clusters may share one.
    pub host: Option<String>,
    /// What it may do.
    pub effect: Effect,
    /// Who holds it, for people: task and host.
    pub holder: String,
}

/// All slots in force, whatever the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Slots.
    pub held: Vec<Claim>,
    /// A failed postcondition of an earlier step on this cluster.
    pub poisoned: Option<String>,
}

/// What the caller accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Stopping a member of a cluster of one or two is fine (`etcd_allow_outage`).
    pub allow_outage: bool,
    /// Steps that mend nothing are fine while voters are broken (`etcd_allow_degraded`).
    pub allow_degraded: bool,
    /// Going from 3 to 2 or from 2 to 1 voters is fine (`etcd_allow_shrink`).
    pub allow_shrink: bool,
    /// The operator's word stands above the guard (`--override-guard=quorum`). Loud.
    pub override_quorum: bool,
    /// Slots of one cluster at a time.
    pub slots: usize,
    /// The oldest observation to act on.
    pub stale_after: Duration,
    /// Entries a voter may be behind and still count. A linearizable read is the real proof; this catches a member
    /// that is being filled from a snapshot.
    pub max_lag: u64,
    /// Entries a learner may be behind and be promoted, or a thousandth of the leader's index if that is more.
    pub max_learner_lag: u64,
    /// The playbook that ways out name.
    pub playbook: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_outage: false,
            allow_degraded: false,
            allow_shrink: false,
            override_quorum: false,
            slots: 1,
            stale_after: Duration::from_secs(2),
            max_lag: 1000,
            max_learner_lag: 100,
            playbook: "etcd.yml".to_owned(),
        }
    }
}

/// A grant, and what to say with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The count while the step runs.
    pub during: Tally,
    /// What people should know, most important first.
    pub notes: Vec<Note>,
}

/// Something worth a line although the step is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The guard said no, and the operator said yes.
    Overridden(Box<Refusal>),
    /// No further failure is tolerated while the step runs.
    NoneToSpare(Tally),
    /// The cluster does not serve while the step runs, as the policy allows.
    Outage,
    /// The step mends a member that serves nobody.
    Repairs,
    /// Voters are broken, and the policy accepts it.
    Degraded(Vec<String>),
    /// No cluster answers, so none can be harmed.
    NoCluster,
    /// It is not in the member list.
    NotAMember(String),
    /// Its postcondition holds already.
    AlreadySo,
    /// The whole cluster goes, as asked.
    WholeCluster,
    /// Its data go while the member list still has it: it can only come back under a new id.
    StillListed(Vec<String>),
    /// An even number of voters tolerates no more than one less.
    EvenSize(usize),
}

impl Verdict {
    pub(super) fn with(during: Tally, mut notes: Vec<Note>) -> Self {
        if during.has_quorum() && during.spare() == 0 && during.voters > 1 {
            notes.push(Note::NoneToSpare(during));
        }
        Self { during, notes }
    }

    /// What the operator overrode, if anything.
    pub fn overridden(&self) -> Option<&Refusal> {
        self.notes.iter().find_map(|note| match note {
            Note::Overridden(refusal) => Some(&**refusal),
            _ => None,
        })
    }
}
