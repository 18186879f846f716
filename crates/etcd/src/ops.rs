//! What can be asked of one member and done to its cluster: status, membership, leadership, maintenance.
//!
//! Every call goes to exactly the member of its [`MemberClient`], has a deadline, and sorts its error. Nothing here
//! asks the guard: whoever calls has a granted step in hand.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::MemberClient;
use crate::endpoint::Endpoint;
use crate::error::{Answer, EtcdError};
use crate::id::{ClusterId, MemberId};
use crate::observation::{Alarm, ListedMember, Status};

/// A defragmentation blocks its member for minutes; a client that gives up does not stop it.
const DEFRAGMENT: Duration = Duration::from_mins(10);

/// A member list, and who returned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberList {
    /// The member that answered.
    pub responder: MemberId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its list. A local read: stale while a change is under way.
    pub members: Vec<ListedMember>,
}

/// What an add gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// The new member's id.
    pub id: MemberId,
    /// The list its `initial-cluster` must be made of, the new member included.
    pub members: Vec<ListedMember>,
}

/// How a new member enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enter {
    /// Without a vote until promoted. The way to do it.
    AsLearner,
    /// With a vote at once, which raises quorum before it serves.
    AsVoter,
}

/// The hash of a member's store at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KvHash {
    /// The hash.
    pub hash: u32,
    /// Hashes compare only between members compacted at the same revision.
    pub compact_revision: i64,
    /// The revision hashed up to, from releases that say it.
    pub revision: i64,
}

impl MemberClient {
    fn broken(&self, why: &str) -> EtcdError {
        EtcdError::Protocol { address: self.endpoint().address().clone(), why: why.to_owned() }
    }

    fn header<'a>(
        &self,
        header: Option<&'a etcd_client::ResponseHeader>,
    ) -> Result<&'a etcd_client::ResponseHeader, EtcdError> {
        header.ok_or_else(|| self.broken("the answer has no header"))
    }

    /// Its status. Answers without quorum; may name a leader that died less than 2 s ago.
    pub async fn status(&self) -> Result<Status, EtcdError> {
        let mut client = self.raw();
        let answer = self.call("Status", self.deadlines().status, client.status()).await?;
        let header = self.header(answer.header())?;
        let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Status {
            id: MemberId::new(header.member_id()),
            cluster: ClusterId::new(header.cluster_id()),
            leader: (answer.leader() != 0).then(|| MemberId::new(answer.leader())),
            version: answer.version().to_owned(),
            revision: header.revision(),
            raft_index: answer.raft_index(),
            raft_applied: answer.raft_applied_index(),
            raft_term: answer.raft_term(),
            db_size: bytes(answer.db_size()),
            db_in_use: bytes(answer.raft_used_db_size()),
            db_quota: Some(bytes(answer.db_size_quota())).filter(|quota| *quota != 0),
            learner: answer.is_learner(),
            errors: answer.errors().to_vec(),
        })
    }

    /// The member list this member believes in. Not proof: ask a quorum, or read linearizably here as well.
    pub async fn member_list(&self) -> Result<MemberList, EtcdError> {
        let mut client = self.raw();
        let answer = self.call("MemberList", self.deadlines().status, client.member_list()).await?;
        let header = self.header(answer.header())?;
        Ok(MemberList {
            responder: MemberId::new(header.member_id()),
            cluster: ClusterId::new(header.cluster_id()),
            members: answer.members().iter().map(listed).collect(),
        })
    }

    /// A read that only a member of a living quorum can answer. Gives the member that did.
    pub async fn linearizable_read(&self) -> Result<MemberId, EtcdError> {
        let mut client = self.raw();
        let options = etcd_client::GetOptions::new().with_keys_only().with_limit(1);
        let read = client.get("health", Some(options));
        let answer = self.call("Range", self.deadlines().read, read).await?;
        Ok(MemberId::new(self.header(answer.header())?.member_id()))
    }

    /// Announces a member by its peer URL.
    ///
    /// The same URL again is [`Answer::MemberExists`] or [`Answer::PeerUrlExists`]: already there, resume.
    pub async fn member_add(&self, peer: &Endpoint, enter: Enter) -> Result<Added, EtcdError> {
        let mut client = self.raw();
        let options = match enter {
            Enter::AsLearner => Some(etcd_client::MemberAddOptions::new().with_is_learner()),
            Enter::AsVoter => None,
        };
        let add = client.member_add([peer.to_string()], options);
        let answer = self.call("MemberAdd", self.deadlines().write, add).await?;
        let new = answer.member().ok_or_else(|| self.broken("the answer names no member"))?;
        Ok(Added { id: MemberId::new(new.id()), members: answer.member_list().iter().map(listed).collect() })
    }

    /// [`MemberClient::member_add`], asked again for up to `patience` while the cluster says it is unhealthy: releases
    /// below 3.5.30 say so until every voter has been connected for 5 s. An add of a URL that was removed in this very
    /// second is asked again as well.
    pub async fn member_add_patiently(
        &self,
        peer: &Endpoint,
        enter: Enter,
        patience: Duration,
    ) -> Result<Added, EtcdError> {
        let started = Instant::now();
        loop {
            match self.member_add(peer, enter).await {
                Err(error)
                    if started.elapsed() < patience
                        && (error.says(&Answer::UnhealthyCluster) || error.says(&Answer::MemberNotFound)) =>
                {
                    tokio::time::sleep(Duration::from_millis(1100)).await;
                }
                other => return other,
            }
        }
    }

    /// Removes a member. Send it to one that stays. Absent already is done.
    pub async fn member_remove(&self, id: MemberId) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let remove = client.member_remove(id.raw());
        done_if(self.call("MemberRemove", self.deadlines().write, remove).await, &Answer::MemberNotFound)
    }

    /// [`MemberClient::member_remove`], asked again for up to `patience` while the cluster says it is unhealthy: it
    /// says so until every voter has been connected for 5 s.
    pub async fn member_remove_patiently(&self, id: MemberId, patience: Duration) -> Result<Done, EtcdError> {
        let started = Instant::now();
        loop {
            match self.member_remove(id).await {
                Err(error) if started.elapsed() < patience && error.says(&Answer::UnhealthyCluster) => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                other => return other,
            }
        }
    }

    /// Gives a learner its vote. Send it to the leader. A voter already is done.
    ///
    /// etcd promotes at nine tenths of the leader's index; ask [`settled`](crate::settle::settled) first.
    pub async fn member_promote(&self, id: MemberId) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let promote = client.member_promote(id.raw());
        done_if(self.call("MemberPromote", self.deadlines().write, promote).await, &Answer::NotALearner)
    }

    /// [`MemberClient::member_promote`], asked again for up to `patience` while the leader has not heard yet how far
    /// the learner is. A leader may say the same of a voter it promoted a moment ago; the member list tells.
    pub async fn member_promote_patiently(
        &self,
        id: MemberId,
        patience: Duration,
    ) -> Result<Done, EtcdError> {
        let started = Instant::now();
        loop {
            match self.member_promote(id).await {
                Err(error) if started.elapsed() < patience && error.says(&Answer::LearnerNotInSync) => {
                    let listed = self.member_list().await?.members;
                    if listed.iter().any(|member| member.id == id && !member.learner) {
                        return Ok(Done::Already);
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => return other,
            }
        }
    }

    /// Changes a member's peer URLs. Below 3.5.31 this turns a learner into a voter: the guard refuses that.
    pub async fn member_update(&self, id: MemberId, peers: &[Endpoint]) -> Result<(), EtcdError> {
        let mut client = self.raw();
        let urls: Vec<String> = peers.iter().map(ToString::to_string).collect();
        let update = client.member_update(id.raw(), urls);
        self.call("MemberUpdate", self.deadlines().write, update).await.map(drop)
    }

    /// Hands leadership over. Only the leader takes this call.
    pub async fn move_leader(&self, to: MemberId) -> Result<(), EtcdError> {
        let mut client = self.raw();
        self.call("MoveLeader", self.deadlines().write, client.move_leader(to.raw())).await.map(drop)
    }

    /// Gives free pages back to the file system. Blocks this member, for reads and writes, while it runs.
    pub async fn defragment(&self) -> Result<(), EtcdError> {
        let mut client = self.raw();
        self.call("Defragment", DEFRAGMENT, client.defragment()).await.map(drop)
    }

    /// Raised alarms, asked through raft. [`Observation`](crate::Observation) carries them without a write.
    pub async fn alarms(&self) -> Result<Vec<(MemberId, Alarm)>, EtcdError> {
        use etcd_client::{AlarmAction, AlarmType};
        let mut client = self.raw();
        let ask = client.alarm(AlarmAction::Get, AlarmType::None, None);
        let answer = self.call("Alarm", self.deadlines().write, ask).await?;
        let known = answer.alarms().iter().filter_map(|raised| {
            let alarm = match raised.alarm() {
                AlarmType::Nospace => Alarm::NoSpace,
                AlarmType::Corrupt => Alarm::Corrupt,
                AlarmType::None => return None,
            };
            Some((MemberId::new(raised.member_id()), alarm))
        });
        Ok(known.collect())
    }

    /// Disarms an alarm, on one member or wherever it is raised. Gives where that was.
    ///
    /// NOSPACE comes back at the next write if space was not made first.
    pub async fn disarm(&self, alarm: Alarm, member: Option<MemberId>) -> Result<Vec<MemberId>, EtcdError> {
        use etcd_client::{AlarmAction, AlarmOptions, AlarmType};
        let kind = match alarm {
            Alarm::NoSpace => AlarmType::Nospace,
            Alarm::Corrupt => AlarmType::Corrupt,
        };
        // The server matches the id exactly: "all" has to be spelled out.
        let raised = self
            .alarms()
            .await?
            .into_iter()
            .filter(|(id, kind)| *kind == alarm && member.is_none_or(|one| one == *id));
        let mut disarmed = Vec::new();
        for (id, _) in raised {
            let mut client = self.raw();
            let mut options = AlarmOptions::new();
            options.with_member(id.raw());
            let disarm = client.alarm(AlarmAction::Deactivate, kind, Some(options));
            self.call("Alarm", self.deadlines().write, disarm).await?;
            disarmed.push(id);
        }
        Ok(disarmed)
    }

    /// Forgets history before `revision`, and waits until the pages are free. Forgotten already is done.
    pub async fn compact(&self, revision: i64) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let options = etcd_client::CompactionOptions::new().with_physical();
        let compact = client.compact(revision, Some(options));
        // Scrubbing a large store takes as long as defragmenting it.
        done_if(self.call("Compact", DEFRAGMENT, compact).await, &Answer::Compacted)
    }

    /// The hash of this member's store up to `revision` (0: its current one).
    pub async fn hash_kv(&self, revision: i64) -> Result<KvHash, EtcdError> {
        let mut client = self.raw();
        // Reads the whole store.
        let answer = self.call("HashKV", Duration::from_mins(1), client.hash_kv(revision)).await?;
        Ok(KvHash {
            hash: answer.hash(),
            compact_revision: answer.compact_version(),
            revision: answer.hash_revision(),
        })
    }
}

/// Whether a call changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// This call did it.
    Now,
    /// It was so before.
    Already,
}

/// An answer that says the postcondition holds already is success.
pub(crate) fn done_if<T>(result: Result<T, EtcdError>, already: &Answer) -> Result<Done, EtcdError> {
    match result {
        Ok(_) => Ok(Done::Now),
        Err(error) if error.says(already) => Ok(Done::Already),
        Err(error) => Err(error),
    }
}

fn listed(member: &etcd_client::Member) -> ListedMember {
    ListedMember {
        id: MemberId::new(member.id()),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
        learner: member.is_learner(),
    }
}
