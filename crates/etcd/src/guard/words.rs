//! The guard in words: what a step is called, and the way out of a refusal.

use std::fmt;

use super::{Note, Scene, Step, Target};
use crate::observation::{Condition, Observation, SeenMember};
use crate::refusal::{Refusal, Why};

impl Step {
    /// The step in words: `stopping etcd on 10.10.10.11`.
    pub fn describe(&self, seen: &Observation) -> String {
        let named = |target: &Target| match (seen.find(target), target) {
            (Some(member), _) => member.label(),
            (None, Target::Host(host)) => host.clone(),
            (None, Target::Id(id)) => format!("member {id}"),
        };
        match self {
            Self::Stop(target) => format!("stopping etcd on {}", named(target)),
            Self::Restart(target) => format!("restarting etcd on {}", named(target)),
            Self::Defragment(target) => format!("defragmenting {}", named(target)),
            Self::Upgrade(target) => format!("upgrading etcd on {}", named(target)),
            Self::Migrate(target) => format!("moving the data of {}", named(target)),
            Self::Remove(target) => format!("removing member {}", named(target)),
            Self::AddLearner { peer } => format!("adding learner {peer}"),
            Self::AddVoter { peer } => format!("adding {peer}"),
            Self::Promote(target) => format!("promoting {}", named(target)),
            Self::UpdatePeer(target) => format!("changing the peer URL of {}", named(target)),
            Self::Purge { hosts } => format!("purging etcd on {}", hosts.join(", ")),
            Self::PurgeAll { hosts } => format!("purging the whole cluster on {}", hosts.join(", ")),
        }
    }
}

impl Scene<'_> {
    pub(super) fn refusal(&self, why: Why) -> Refusal {
        let mut vantages: Vec<String> =
            self.seen.members.iter().filter_map(|member| member.via.clone()).collect();
        vantages.sort();
        vantages.dedup();
        Refusal {
            way_out: self.way_out(&why),
            step: self.step.describe(self.seen),
            cluster: self.seen.cluster.clone(),
            members: self.seen.members_line(self.now),
            vantages,
            why,
        }
    }

    fn way_out(&self, why: &Why) -> Vec<String> {
        match why {
            Why::NoQuorumNow { .. } | Why::InDoubt { .. } if self.wants_login() => vec![
                "log in: a client certificate with CN=root, or the user root and its password".to_owned(),
            ],
            Why::WouldLoseQuorum { .. } | Why::Degraded { .. } | Why::NoQuorumNow { commits: false, .. } => {
                self.mend_first(why)
            }
            Why::NoQuorumNow { commits: true, .. } | Why::InDoubt { .. } => {
                vec!["make the hosts above reachable from here, or look at them yourself".to_owned()]
            }
            Why::Stale { .. } => vec!["read the cluster again".to_owned()],
            Why::Leaderless { .. } | Why::ViewDisputed { .. } => {
                vec!["wait for the election or the change under way to end, then run this again".to_owned()]
            }
            Why::TwoClusters { .. } => {
                vec![
                    "find out which one is the right one before anything is changed:  quorate etcd doctor"
                        .to_owned(),
                ]
            }
            Why::SlotHeld { .. } => vec!["it goes on when that step has ended".to_owned()],
            Why::Poisoned { .. } => {
                vec!["look at the cluster, mend it, then start a new run:  quorate etcd status".to_owned()]
            }
            Why::Outage { .. } => {
                vec![
                    "if the outage is meant: -e etcd_allow_outage=true; better, grow the cluster to 3 first"
                        .to_owned(),
                ]
            }
            Why::VoterBeforeLearner { .. } => {
                vec!["add it as a learner, start it, then promote it".to_owned()]
            }
            Why::NotInSync { .. } => vec!["wait until it has caught up".to_owned()],
            Why::AlarmRaised { alarm, .. } => vec![match alarm {
                crate::observation::Alarm::NoSpace => {
                    "make space first: compact, defragment every member, disarm".to_owned()
                }
                crate::observation::Alarm::Corrupt => {
                    "compare the members' stores first:  quorate etcd doctor".to_owned()
                }
            }],
            Why::LastVoter => vec!["purge the cluster, if that is what is meant".to_owned()],
            Why::Pending { member } => vec![format!("promote or remove {member} first")],
            Why::NotWhole { left } => {
                vec![format!(
                    "name all of them, or remove these from the member list first: {}",
                    left.join(", ")
                )]
            }
            Why::UnknownMember { .. } => vec!["compare the inventory with the member list".to_owned()],
            Why::Shrinks { .. } => vec!["if that is meant: -e etcd_allow_shrink=true".to_owned()],
            Why::UpdateOfLearner { .. } => vec!["remove the learner and add it with the new URL".to_owned()],
        }
    }

    fn wants_login(&self) -> bool {
        self.seen.members.iter().any(|member| matches!(member.condition, Condition::Denied(_)))
    }

    /// Whatever is broken comes first; if nothing is, the step itself asks for too much.
    fn mend_first(&self, why: &Why) -> Vec<String> {
        let broken: Vec<&SeenMember> = self
            .seen
            .voters()
            .filter(|voter| {
                !self.serves(voter)
                    && self.step.target().is_none_or(|target| self.seen.find(target) != Some(voter))
            })
            .collect();
        let playbook = &self.policy.playbook;
        let mut lines: Vec<String> = broken
            .iter()
            .map(|voter| match &voter.host {
                Some(host) => {
                    format!("bring {host} back first:  quorate play {playbook} -l {host} -t etcd_launch")
                }
                None => format!("bring {} back first; no host of the inventory has it", voter.label()),
            })
            .collect();
        if matches!(self.step, Step::Remove(_)) && !broken.is_empty() {
            let dead: Vec<String> = broken.iter().map(|voter| voter.label()).collect();
            lines.push(format!("or remove the broken one first: {}", dead.join(", ")));
        }
        if let Step::Purge { hosts } = self.step {
            lines.push(format!(
                "or take the member out of the cluster first: etcdctl member remove ({})",
                hosts.join(", ")
            ));
        }
        if lines.is_empty() {
            lines.push("wait until the steps that hold other members have ended".to_owned());
        }
        if matches!(why, Why::Degraded { .. }) {
            lines.push("if it is to go on all the same: -e etcd_allow_degraded=true".to_owned());
        }
        lines
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overridden(refusal) => write!(f, "GUARD OVERRIDDEN [{}]: {refusal}", refusal.code()),
            Self::NoneToSpare(during) => write!(
                f,
                "during this step the cluster tolerates no failure ({} of {})",
                during.healthy, during.voters
            ),
            Self::Outage => f.write_str("during this step the cluster does not serve, as allowed"),
            Self::Repairs => f.write_str("this step mends a member that serves nobody"),
            Self::Degraded(broken) => {
                write!(f, "goes on although the cluster is degraded: {}", broken.join(", "))
            }
            Self::NoCluster => f.write_str("no cluster answers, so none can be harmed"),
            Self::NotAMember(name) => write!(f, "{name} has no vote in the cluster"),
            Self::AlreadySo => f.write_str("it is so already"),
            Self::WholeCluster => f.write_str("the whole cluster goes, with its data"),
            Self::StillListed(names) => write!(
                f,
                "{} still in the member list: remove it there, it can only come back under a new id",
                names.join(", ")
            ),
            Self::EvenSize(voters) => {
                write!(f, "{voters} voters tolerate no more failures than {}", voters.saturating_sub(1))
            }
        }
    }
}
