//! Purging: data go, not only processes. The whole cluster on purpose, or a part that the rest can do without.

use super::{Note, Scene, Target, Verdict};
use crate::observation::{Condition, Role, SeenMember, View};
use crate::quorum::Tally;
use crate::refusal::Why;

impl Scene<'_> {
    /// Documented behaviour: allowed without another word, as long as it really is all of it.
    pub(super) fn purge_all(&self, hosts: &[String]) -> Result<Verdict, Why> {
        let covered = |member: &&SeenMember| member.host.as_ref().is_some_and(|host| hosts.contains(host));
        let counts = |member: &&SeenMember| member.role == Role::Voter || member.status.is_some();
        let left: Vec<String> = self
            .seen
            .members
            .iter()
            .filter(counts)
            .filter(|member| !covered(member))
            .map(SeenMember::label)
            .collect();
        if !left.is_empty() {
            return Err(Why::NotWhole { left });
        }
        let during = Tally::new(0, self.seen.voters().count());
        let note = if self.seen.anyone_answers() { Note::WholeCluster } else { Note::NoCluster };
        Ok(Verdict { during, notes: vec![note] })
    }

    /// Arithmetic alone decides: what stays must be a quorum of what the member list says now.
    pub(super) fn purge(&self, hosts: &[String]) -> Result<Verdict, Why> {
        let on_hosts = |member: &SeenMember| member.host.as_ref().is_some_and(|host| hosts.contains(host));
        let now = self.seen.tally(self.policy.max_lag);
        for host in hosts {
            self.target(&Target::host(host))?;
        }
        if self.seen.view == View::Missing {
            return self.purge_without_list();
        }
        let lost: Vec<&SeenMember> = self.seen.voters().filter(|voter| on_hosts(voter)).collect();
        if lost.is_empty() {
            // Not a member any more, or a learner: nothing depends on it, if the list is to be believed.
            self.one_cluster().or_else(|why| if self.agreed() { Ok(()) } else { Err(why) })?;
            if !self.agreed() {
                return Err(self.unconfirmed());
            }
            let names = self.seen.members.iter().filter(|member| on_hosts(member)).map(SeenMember::label);
            return Ok(Verdict { during: now, notes: names.map(Note::NotAMember).collect() });
        }
        if lost.len() == self.seen.voters().count() {
            return self.purge_all(hosts);
        }
        self.one_cluster()?;
        let after = Tally::new(self.staying(on_hosts), self.seen.voters().count());
        if !after.has_quorum() {
            return Err(Why::WouldLoseQuorum { after });
        }
        if !self.agreed() {
            return Err(self.unconfirmed());
        }
        let still = Note::StillListed(lost.iter().map(|voter| voter.label()).collect());
        Ok(Verdict::with(after, vec![still]))
    }

    fn unconfirmed(&self) -> Why {
        let need = self.seen.tally(self.policy.max_lag).need;
        match self.seen.view {
            View::Agreed { by, .. } | View::Partial { by, .. } => Why::ViewDisputed { by, need },
            View::Missing => Why::ViewDisputed { by: 0, need },
        }
    }

    /// Nobody tells who is a member. That is harmless only where every host says that nothing runs.
    fn purge_without_list(&self) -> Result<Verdict, Why> {
        let doubtful: Vec<String> = self
            .seen
            .members
            .iter()
            .filter(|member| member.condition != Condition::Down)
            .map(SeenMember::label)
            .collect();
        if !doubtful.is_empty() {
            return Err(Why::InDoubt { members: doubtful });
        }
        Ok(Verdict { during: Tally::new(0, 0), notes: vec![Note::NoCluster] })
    }
}
