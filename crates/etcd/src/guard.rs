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

use std::time::Instant;

use crate::observation::{Alarm, Condition, Observation, Role, SeenMember, View};
use crate::quorum::{Tally, quorum};
use crate::refusal::{Refusal, Why};

mod membership;
mod purge;
mod step;
mod words;

pub use step::{Claim, Claims, Effect, Note, Policy, Step, Target, Verdict};

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

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
