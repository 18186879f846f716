//! Why the guard says no: the reason with its numbers, the members it was decided on, and the way out.
//!
//! `Display` is the headline; [`Refusal::facts`] are the lines below it; [`Refusal::code`] is stable.
//!
//! Not here: colour, wrapping, and the last line ("nothing was changed"), which only the caller knows.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::id::{ClusterId, MemberId};
use crate::observation::Alarm;
use crate::quorum::Tally;

/// The reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The observation is too old to act on.
    Stale {
        /// Its age.
        age: Duration,
        /// The oldest allowed.
        limit: Duration,
    },
    /// Fewer voters than a quorum would be healthy afterwards.
    WouldLoseQuorum {
        /// The count afterwards.
        after: Tally,
    },
    /// A quorum of voters does not name the same leader.
    Leaderless {
        /// Voters that name the same one.
        known_by: usize,
        /// Voters that have to.
        need: usize,
    },
    /// The cluster does not commit now, or not as far as we can see.
    NoQuorumNow {
        /// The count now.
        now: Tally,
        /// A voter did complete a linearizable read: it is our sight that is short.
        commits: bool,
    },
    /// Several clusters answer under one name.
    TwoClusters {
        /// Their ids.
        ids: Vec<ClusterId>,
    },
    /// The member list is not confirmed by a quorum of its voters.
    ViewDisputed {
        /// Voters that returned it.
        by: usize,
        /// Voters that have to.
        need: usize,
    },
    /// Another step holds a slot.
    SlotHeld {
        /// Whose.
        holder: String,
    },
    /// An earlier step of this run left the cluster in a state nobody planned.
    Poisoned {
        /// What happened.
        what: String,
    },
    /// Something is broken already, and this step does not mend it.
    Degraded {
        /// The broken voters.
        broken: Vec<String>,
    },
    /// The cluster is too small to go on without this member.
    Outage {
        /// How many voters it has.
        voters: usize,
    },
    /// A voter that has not started would raise the quorum before it serves.
    VoterBeforeLearner {
        /// The count afterwards.
        after: Tally,
    },
    /// The learner is not close enough behind the leader.
    NotInSync {
        /// How it is.
        condition: String,
        /// How far behind, if known.
        lag: Option<u64>,
        /// How far it may be.
        limit: u64,
    },
    /// An alarm stands.
    AlarmRaised {
        /// Which.
        alarm: Alarm,
        /// On which member.
        member: MemberId,
    },
    /// The last voter cannot be removed.
    LastVoter,
    /// Another member is on its way in.
    Pending {
        /// Which.
        member: String,
    },
    /// A whole-cluster step that leaves members out.
    NotWhole {
        /// Which.
        left: Vec<String>,
    },
    /// It cannot be told whether something lives there.
    InDoubt {
        /// Which members.
        members: Vec<String>,
    },
    /// The step names nobody that is known.
    UnknownMember {
        /// What it names.
        named: String,
    },
    /// Fewer members, less tolerance.
    Shrinks {
        /// Voters now.
        from: usize,
        /// Voters afterwards.
        to: usize,
    },
    /// Updating a learner makes it a voter on this release.
    UpdateOfLearner {
        /// The release.
        version: String,
    },
}

impl Why {
    /// Stable number of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "G0101",
            Self::WouldLoseQuorum { .. } => "G0102",
            Self::Leaderless { .. } => "G0103",
            Self::NoQuorumNow { .. } => "G0104",
            Self::TwoClusters { .. } => "G0105",
            Self::ViewDisputed { .. } => "G0106",
            Self::SlotHeld { .. } => "G0107",
            Self::Poisoned { .. } => "G0108",
            Self::Degraded { .. } => "G0109",
            Self::Outage { .. } => "G0110",
            Self::VoterBeforeLearner { .. } => "G0111",
            Self::NotInSync { .. } => "G0112",
            Self::AlarmRaised { .. } => "G0113",
            Self::LastVoter => "G0114",
            Self::Pending { .. } => "G0115",
            Self::NotWhole { .. } => "G0116",
            Self::InDoubt { .. } => "G0117",
            Self::UnknownMember { .. } => "G0118",
            Self::Shrinks { .. } => "G0119",
            Self::UpdateOfLearner { .. } => "G0120",
        }
    }

    /// Whether looking again in a moment may give another answer without anybody's doing.
    pub fn passes_by_itself(&self) -> bool {
        matches!(
            self,
            Self::Stale { .. }
                | Self::SlotHeld { .. }
                | Self::Leaderless { .. }
                | Self::ViewDisputed { .. }
                | Self::NotInSync { .. }
                | Self::Pending { .. }
        )
    }

    /// Whether the operator's override covers it. Waiting cures the others.
    pub fn can_be_overridden(&self) -> bool {
        !matches!(self, Self::Stale { .. } | Self::SlotHeld { .. } | Self::UnknownMember { .. })
    }
}

/// A reason, and everything a person needs beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The reason.
    pub why: Why,
    /// The step in words: `stopping etcd on 10.10.10.11`.
    pub step: String,
    /// The cluster's name.
    pub cluster: String,
    /// Every member in one line.
    pub members: String,
    /// From where they were seen.
    pub vantages: Vec<String>,
    /// What to do, one line each.
    pub way_out: Vec<String>,
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Stable number, for `quorate explain`.
    pub fn code(&self) -> &'static str {
        self.why.code()
    }

    /// The lines below the headline.
    pub fn facts(&self) -> Vec<String> {
        let mut lines = vec![format!("members: {}", self.members)];
        match &self.why {
            Why::WouldLoseQuorum { after } | Why::VoterBeforeLearner { after } => {
                lines.push(format!(
                    "healthy voters after this step: {} of {}, needed: {}",
                    after.healthy, after.voters, after.need
                ));
            }
            Why::NoQuorumNow { now, .. } => {
                lines.push(format!(
                    "healthy voters now: {} of {}, needed: {}",
                    now.healthy, now.voters, now.need
                ));
            }
            _ => {}
        }
        if self.vantages.iter().any(|vantage| vantage != "controller") {
            lines.push(format!("seen from: {}", self.vantages.join(", ")));
        }
        lines.extend(self.way_out.iter().cloned());
        lines
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, cluster, .. } = self;
        match &self.why {
            Why::Stale { age, limit } => {
                let (age, limit) = (age.as_secs_f32(), limit.as_secs_f32());
                write!(
                    f,
                    "{step}: cluster \"{cluster}\" was last read {age:.1} s ago, at most {limit:.1} s is allowed"
                )
            }
            Why::WouldLoseQuorum { .. } => write!(f, "{step} would lose quorum of cluster \"{cluster}\""),
            Why::Leaderless { known_by, need } => write!(
                f,
                "{step}: cluster \"{cluster}\" has no leader that {need} voters agree on ({known_by} name the same one)"
            ),
            Why::NoQuorumNow { commits: false, .. } => {
                write!(f, "{step}: cluster \"{cluster}\" has no quorum, and this step does not bring it back")
            }
            Why::NoQuorumNow { commits: true, .. } => write!(
                f,
                "{step}: cluster \"{cluster}\" has quorum, but too few of its voters can be seen from here to count on it"
            ),
            Why::TwoClusters { ids } => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{step}: {} different clusters answer as \"{cluster}\": {}",
                    ids.len(),
                    ids.join(", ")
                )
            }
            Why::ViewDisputed { by, need } => write!(
                f,
                "{step}: the member list of cluster \"{cluster}\" is confirmed by {by} voters, {need} have to"
            ),
            Why::SlotHeld { holder } => {
                write!(f, "{step}: another step on cluster \"{cluster}\" is under way: {holder}")
            }
            Why::Poisoned { what } => {
                write!(f, "{step}: an earlier step on cluster \"{cluster}\" failed: {what}")
            }
            Why::Degraded { broken } => write!(
                f,
                "{step}: cluster \"{cluster}\" is degraded already ({} not healthy)",
                broken.join(", ")
            ),
            Why::Outage { voters } => {
                let members = if *voters == 1 { "1 voter" } else { "only 2 voters" };
                write!(f, "{step} stops cluster \"{cluster}\": it has {members}")
            }
            Why::VoterBeforeLearner { .. } => {
                write!(f, "{step} as a voter raises the quorum of cluster \"{cluster}\" before it serves")
            }
            Why::NotInSync { condition, lag, limit } => match lag {
                Some(lag) if lag > limit => {
                    write!(f, "{step}: it is {lag} entries behind the leader, {limit} at most")
                }
                _ => write!(f, "{step}: it is not in sync ({condition})"),
            },
            Why::AlarmRaised { alarm, member } => {
                let name = match alarm {
                    Alarm::NoSpace => "NOSPACE",
                    Alarm::Corrupt => "CORRUPT",
                };
                write!(f, "{step}: cluster \"{cluster}\" raises the alarm {name} (member {member})")
            }
            Why::LastVoter => write!(f, "{step}: it is the last voter of cluster \"{cluster}\""),
            Why::Pending { member } => {
                write!(f, "{step}: {member} is still on its way into cluster \"{cluster}\"")
            }
            Why::NotWhole { left } => {
                write!(f, "{step} is not the whole cluster \"{cluster}\": {} stay", left.join(", "))
            }
            Why::InDoubt { members } => {
                write!(
                    f,
                    "{step}: nobody can tell whether {} of cluster \"{cluster}\" live",
                    members.join(", ")
                )
            }
            Why::UnknownMember { named } => write!(f, "{step}: cluster \"{cluster}\" knows no {named}"),
            Why::Shrinks { from, to } => {
                let tolerated = crate::quorum::tolerated(*to);
                write!(
                    f,
                    "{step} shrinks cluster \"{cluster}\" from {from} to {to} voters, which tolerate {tolerated} failures"
                )
            }
            Why::UpdateOfLearner { version } => {
                write!(f, "{step}: etcd {version} turns a learner into a voter when its peer URL is updated")
            }
        }
    }
}
