//! Changes of the member list: what must hold at their worst moment.

use super::{Note, Scene, Target, Verdict};
use crate::endpoint::{Endpoint, same_place};
use crate::observation::{Alarm, Condition, Role, SeenMember};
use crate::quorum::Tally;
use crate::refusal::Why;

impl Scene<'_> {
    pub(super) fn remove(&self, target: &Target) -> Result<Verdict, Why> {
        let member = self.target(target)?;
        self.governed()?;
        let voters = self.seen.voters().count();
        let now = self.seen.tally(self.policy.max_lag);
        match member.role {
            Role::Unlisted => return Ok(Verdict { during: now, notes: vec![Note::AlreadySo] }),
            Role::Learner => return Ok(Verdict::with(now, vec![])),
            Role::Voter if voters == 1 => return Err(Why::LastVoter),
            Role::Voter => {}
        }
        let after = Tally::new(self.staying(|voter| voter.id == member.id), voters - 1);
        if !after.has_quorum() {
            return Err(Why::WouldLoseQuorum { after });
        }
        let mut notes = Vec::new();
        if self.serves(member) {
            self.not_degraded(Some(member), &mut notes)?;
            if matches!(voters, 2 | 3) && !self.policy.allow_shrink {
                return Err(Why::Shrinks { from: voters, to: voters - 1 });
            }
        } else {
            notes.push(Note::Repairs);
        }
        if (voters - 1).is_multiple_of(2) {
            notes.push(Note::EvenSize(voters - 1));
        }
        Ok(Verdict::with(after, notes))
    }

    pub(super) fn add(&self, peer: &Endpoint, role: Role) -> Result<Verdict, Why> {
        self.governed()?;
        let peer = peer.to_string();
        let listed = |member: &&SeenMember| member.peer_urls.iter().any(|url| same_place(url, &peer));
        let now = self.seen.tally(self.policy.max_lag);
        if self.seen.members.iter().any(|member| listed(&member)) {
            return Ok(Verdict::with(now, vec![Note::AlreadySo]));
        }
        let coming = |member: &&SeenMember| {
            member.role == Role::Learner
                || (member.role == Role::Voter && member.condition == Condition::Unstarted)
        };
        if let Some(other) = self.seen.members.iter().find(coming) {
            return Err(Why::Pending { member: other.label() });
        }
        let mut notes = Vec::new();
        let during = match role {
            Role::Voter => {
                let after = Tally::new(self.staying(|_| false), now.voters + 1);
                // Of one or two voters all would have to serve, the new one included.
                if now.voters <= 2 || !after.has_quorum() {
                    return Err(Why::VoterBeforeLearner { after });
                }
                after
            }
            Role::Learner | Role::Unlisted => now,
        };
        for alarm in [Alarm::Corrupt, Alarm::NoSpace] {
            if let Some(member) = self.seen.alarmed(alarm) {
                return Err(Why::AlarmRaised { alarm, member });
            }
        }
        self.not_degraded(None, &mut notes)?;
        Ok(Verdict::with(during, notes))
    }

    pub(super) fn promote(&self, target: &Target) -> Result<Verdict, Why> {
        let learner = self.target(target)?;
        self.governed()?;
        let now = self.seen.tally(self.policy.max_lag);
        match learner.role {
            Role::Voter => return Ok(Verdict { during: now, notes: vec![Note::AlreadySo] }),
            Role::Unlisted => {
                return Err(Why::UnknownMember { named: format!("learner on {}", learner.label()) });
            }
            Role::Learner => {}
        }
        let applied = learner.status.as_ref().map_or(0, |status| status.raft_applied);
        let limit = self.policy.max_learner_lag.max((applied + learner.lag.unwrap_or(0)) / 1000);
        if learner.condition != Condition::Healthy || learner.lag.is_none_or(|lag| lag > limit) {
            let condition = learner.condition.to_string();
            return Err(Why::NotInSync { condition, lag: learner.lag, limit });
        }
        let during = Tally::new(self.staying(|_| false) + 1, now.voters + 1);
        if !during.has_quorum() {
            return Err(Why::WouldLoseQuorum { after: during });
        }
        let mut notes = Vec::new();
        self.not_degraded(None, &mut notes)?;
        if during.voters.is_multiple_of(2) {
            notes.push(Note::EvenSize(during.voters));
        }
        Ok(Verdict::with(during, notes))
    }

    pub(super) fn update(&self, target: &Target) -> Result<Verdict, Why> {
        let member = self.target(target)?;
        self.governed()?;
        if member.role == Role::Unlisted {
            return Err(Why::UnknownMember { named: format!("member on {}", member.label()) });
        }
        if member.role == Role::Learner {
            // The leader applies the change; the oldest release among the voters decides.
            let versions =
                self.seen.voters().filter_map(|voter| voter.status.as_ref()).map(|s| s.version.as_str());
            if let Some(version) = versions.into_iter().find(|version| !keeps_learners(version)) {
                return Err(Why::UpdateOfLearner { version: version.to_owned() });
            }
        }
        let during = Tally::new(self.staying(|_| false), self.seen.voters().count());
        let mut notes = Vec::new();
        self.not_degraded(Some(member), &mut notes)?;
        Ok(Verdict::with(during, notes))
    }
}

/// Whether MemberUpdate leaves a learner a learner: 3.5.31, 3.6.12 and later.
pub(super) fn keeps_learners(version: &str) -> bool {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor)), Some(Some(patch))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    match (major, minor) {
        (3, ..=4) | (..=2, _) => false,
        (3, 5) => patch >= 31,
        (3, 6) => patch >= 12,
        _ => true,
    }
}
