//! The guard: may this step be done to this cluster, as it was just seen?
//!
//! In: a [`Step`], an [`Observation`], the [`Claims`] in force, a [`Policy`] and the moment of the question. Out: a
//! [`Verdict`] or a [`Refusal`], both with the numbers they rest on.
//!
//! **Invariant:** pure. No clock, no I/O, no retry; the scheduler brings facts and does the waiting. A granted
//! absence of a healthy voter leaves a quorum of healthy voters that nobody else has claimed, unless the policy was
//! told to accept an outage or the operator overrode the guard, and then the verdict says so.
//!
//! The rule, with H the healthy voters, V′ the voters at the step's worst moment and P what other slots may have
//! away: *fresh, one cluster id, leader known to a quorum, and |(H ∩ V′) − leaving − P| ≥ ⌊|V′|/2⌋ + 1; and no other
//! slot while the membership changes.* Policy comes on top and is named in the refusal.
//!
//! Not here: locks, waiting, and what is healthy ([`observation`](crate::observation)).

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::id::MemberId;
use crate::observation::{Alarm, Condition, Observation, Role, SeenMember, View};
use crate::quorum::{Tally, quorum};
use crate::refusal::{Refusal, Why};

mod membership;
mod purge;
mod words;

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
    NoneToSpare,
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

/// Decides whether a step may be taken now.
pub fn may(
    step: &Step,
    seen: &Observation,
    claims: &Claims,
    policy: &Policy,
    now: Instant,
) -> Result<Verdict, Refusal> {
    let scene = Scene { step, seen, claims, policy, now };
    scene.decide().or_else(|why| {
        let refusal = scene.refusal(why);
        if policy.override_quorum && refusal.why.can_be_overridden() {
            let note = Note::Overridden(Box::new(refusal));
            return Ok(Verdict { during: seen.tally(policy.max_lag), notes: vec![note] });
        }
        Err(refusal)
    })
}

/// Everything a decision rests on.
pub(crate) struct Scene<'a> {
    step: &'a Step,
    seen: &'a Observation,
    claims: &'a Claims,
    policy: &'a Policy,
    now: Instant,
}

impl Scene<'_> {
    fn decide(&self) -> Result<Verdict, Why> {
        self.fresh()?;
        self.slot()?;
        match self.step {
            Step::PurgeAll { hosts } => self.purge_all(hosts),
            Step::Purge { hosts } => self.purge(hosts),
            Step::Stop(target)
            | Step::Restart(target)
            | Step::Defragment(target)
            | Step::Upgrade(target)
            | Step::Migrate(target) => self.away(target),
            Step::Remove(target) => self.remove(target),
            Step::AddLearner { peer } => self.add(peer, Role::Learner),
            Step::AddVoter { peer } => self.add(peer, Role::Voter),
            Step::Promote(target) => self.promote(target),
            Step::UpdatePeer(target) => self.update(target),
        }
    }

    fn fresh(&self) -> Result<(), Why> {
        let age = self.now.saturating_duration_since(self.seen.taken);
        let limit = self.policy.stale_after;
        if age > limit { Err(Why::Stale { age, limit }) } else { Ok(()) }
    }

    /// Slots are for one member at a time; a change of membership wants the cluster for itself.
    fn slot(&self) -> Result<(), Why> {
        if let Some(what) = &self.claims.poisoned {
            return Err(Why::Poisoned { what: what.clone() });
        }
        let ours: Vec<&Claim> =
            self.claims.held.iter().filter(|claim| claim.cluster == self.seen.cluster).collect();
        let full = ours.len() >= self.policy.slots.max(1);
        let exclusive = self.step.effect() == Effect::Membership
            || ours.iter().any(|claim| claim.effect == Effect::Membership);
        let in_the_way = if full || exclusive { ours.first().copied() } else { None };
        let host = self
            .step
            .target()
            .and_then(|target| self.seen.find(target))
            .and_then(|member| member.host.as_ref());
        let shared = || self.claims.held.iter().find(|claim| host.is_some() && claim.host.as_ref() == host);
        match in_the_way.or_else(shared) {
            Some(claim) => Err(Why::SlotHeld { holder: claim.holder.clone() }),
            None => Ok(()),
        }
    }

    fn one_cluster(&self) -> Result<(), Why> {
        match self.seen.cluster_ids.as_slice() {
            [] | [_] => Ok(()),
            ids => Err(Why::TwoClusters { ids: ids.to_vec() }),
        }
    }

    /// One cluster, with a quorum, a leader, and an agreed member list.
    fn governed(&self) -> Result<(), Why> {
        self.one_cluster()?;
        let now = self.seen.tally(self.policy.max_lag);
        if !now.has_quorum() {
            return Err(Why::NoQuorumNow { now, commits: self.seen.commits() });
        }
        if self.seen.leader_known_by < now.need {
            return Err(Why::Leaderless { known_by: self.seen.leader_known_by, need: now.need });
        }
        match self.seen.view {
            View::Agreed { .. } => Ok(()),
            View::Partial { by, of } => Err(Why::ViewDisputed { by, need: quorum(of) }),
            View::Missing => Err(Why::ViewDisputed { by: 0, need: 1 }),
        }
    }

    fn agreed(&self) -> bool {
        matches!(self.seen.view, View::Agreed { .. })
    }

    fn serves(&self, member: &SeenMember) -> bool {
        member.role == Role::Voter && member.serves(self.policy.max_lag)
    }

    fn claimed(&self, member: &SeenMember) -> bool {
        self.claims.held.iter().any(|claim| {
            claim.cluster == self.seen.cluster && claim.member.is_some() && claim.member == member.id
        })
    }

    /// Healthy voters that stay: not leaving, not claimed by others.
    fn staying(&self, leaving: impl Fn(&SeenMember) -> bool) -> usize {
        self.seen
            .voters()
            .filter(|voter| self.serves(voter) && !leaving(voter) && !self.claimed(voter))
            .count()
    }

    fn broken_besides(&self, member: Option<&SeenMember>) -> Vec<String> {
        let me = member.and_then(|member| member.id);
        let broken =
            self.seen.voters().filter(|voter| !self.serves(voter) && (me.is_none() || voter.id != me));
        broken.map(SeenMember::label).collect()
    }

    fn target(&self, target: &Target) -> Result<&SeenMember, Why> {
        self.seen.find(target).ok_or_else(|| Why::UnknownMember {
            named: match target {
                Target::Id(id) => format!("member {id}"),
                Target::Host(host) => format!("host {host}"),
            },
        })
    }

    /// A member serves nobody for a while.
    fn away(&self, target: &Target) -> Result<Verdict, Why> {
        let member = self.target(target)?;
        if let Some(granted) = self.without_loss(member)? {
            return Ok(granted);
        }
        self.governed()?;
        let voters = self.seen.voters().count();
        let leaving = |voter: &SeenMember| voter.id == member.id;
        let during = Tally::new(self.staying(leaving), voters);
        if member.role == Role::Learner {
            return Ok(Verdict::with(during, vec![]));
        }
        if voters <= 2 && self.serves(member) {
            if self.policy.allow_outage {
                return Ok(Verdict { during, notes: vec![Note::Outage] });
            }
            return Err(Why::Outage { voters });
        }
        if !during.has_quorum() {
            return Err(Why::WouldLoseQuorum { after: during });
        }
        let mut notes = Vec::new();
        if !self.serves(member) {
            notes.push(Note::Repairs);
        }
        self.no_alarm_forbids(&mut notes)?;
        self.not_degraded(Some(member), &mut notes)?;
        Ok(Verdict::with(during, notes))
    }

    /// The cases in which nobody can miss the member: it is none, or it provably serves nobody as it is.
    fn without_loss(&self, member: &SeenMember) -> Result<Option<Verdict>, Why> {
        let now = self.seen.tally(self.policy.max_lag);
        if member.role == Role::Unlisted {
            // Without an agreed list "not in it" means nothing; a port that refuses still does.
            if self.agreed() {
                return Ok(Some(Verdict { during: now, notes: vec![Note::NotAMember(member.label())] }));
            }
            if member.condition == Condition::Down {
                let note = if self.seen.anyone_answers() { Note::Repairs } else { Note::NoCluster };
                return Ok(Some(Verdict { during: now, notes: vec![note] }));
            }
            self.one_cluster()?;
            return Err(Why::InDoubt { members: vec![member.label()] });
        }
        if !member.condition.proven_dead() {
            return Ok(None);
        }
        // "Dead" is what we see. If the cluster commits although we count no quorum, our sight is what is short.
        if now.has_quorum() || !self.seen.commits() {
            return Ok(Some(Verdict { during: now, notes: vec![Note::Repairs] }));
        }
        Ok(None)
    }

    /// Redundancy is not lowered while something is broken.
    fn not_degraded(&self, besides: Option<&SeenMember>, notes: &mut Vec<Note>) -> Result<(), Why> {
        let broken = self.broken_besides(besides);
        if broken.is_empty() {
            return Ok(());
        }
        if !self.policy.allow_degraded {
            return Err(Why::Degraded { broken });
        }
        notes.push(Note::Degraded(broken));
        Ok(())
    }

    /// CORRUPT stops all automation; NOSPACE is not cured by restarting, only by making space.
    fn no_alarm_forbids(&self, notes: &mut Vec<Note>) -> Result<(), Why> {
        let corrupt = self.seen.alarmed(Alarm::Corrupt).map(|member| (Alarm::Corrupt, member));
        let full = self.seen.alarmed(Alarm::NoSpace).map(|member| (Alarm::NoSpace, member));
        let full = full.filter(|_| !matches!(self.step, Step::Defragment(_)));
        match corrupt.or(full) {
            Some(_) if self.policy.allow_degraded => {
                notes.push(Note::Degraded(vec!["an alarm is raised".to_owned()]));
                Ok(())
            }
            Some((alarm, member)) => Err(Why::AlarmRaised { alarm, member }),
            None => Ok(()),
        }
    }
}

impl Verdict {
    fn with(during: Tally, mut notes: Vec<Note>) -> Self {
        if during.has_quorum() && during.spare() == 0 && during.voters > 1 {
            notes.push(Note::NoneToSpare);
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

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
