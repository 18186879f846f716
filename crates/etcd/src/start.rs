//! How a member has to start, decided from the cluster as seen and from its own directory.
//!
//! One function serves units, containers and pods: their arguments cannot vary by member, this answer can.
//! It fails closed: without a quorum of the others behind the member list, a member with an empty directory neither
//! founds a cluster nor joins one.

use serde::Serialize;

use crate::endpoint::{Endpoint, same_place};
use crate::id::MemberId;
use crate::observation::{Condition, Observation, Role, SeenMember, View};

/// What the member's own host knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDir {
    /// The member's name.
    pub name: String,
    /// The peer URL it will advertise.
    pub peer: Endpoint,
    /// `member/wal/*.wal` exists: the directory has an identity, and flags no longer matter.
    pub initialised: bool,
    /// Whether this cluster has been founded before, where somebody keeps record of that.
    pub founded: Option<bool>,
}

/// How to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// The directory decides; `initial-*` is ignored.
    AsIs,
    /// Found the cluster together with all others: `initial-cluster-state: new`.
    New,
    /// Announced and never started: wipe any remnant, then start with `initial-cluster-state: existing`.
    Existing {
        /// Its id.
        id: MemberId,
        /// For `initial-cluster`: `name=url` of exactly the listed members.
        initial_cluster: String,
    },
    /// Listed as started, but the data are gone: remove this id, add a learner, then ask again.
    Replace {
        /// The id to remove.
        old: MemberId,
    },
    /// A cluster lives and does not know this host: add it as a learner, then ask again.
    AddLearner,
    /// Nothing is safe to do.
    Refuse {
        /// Why.
        why: String,
    },
}

/// Decides. `seen` was taken over the whole cluster, this host included.
pub fn decide(seen: &Observation, me: &LocalDir) -> StartMode {
    if me.initialised {
        return StartMode::AsIs;
    }
    if seen.cluster_ids.len() > 1 {
        let ids: Vec<String> = seen.cluster_ids.iter().map(ToString::to_string).collect();
        return StartMode::Refuse { why: format!("two clusters answer: {}", ids.join(" and ")) };
    }
    if let View::Agreed { .. } = seen.view {
        return join(seen, me);
    }
    if seen.anyone_answers() {
        let why =
            "members answer, but not a quorum of them: joining or founding a cluster now could split it";
        return StartMode::Refuse { why: why.to_owned() };
    }
    // A member in doubt may hold the data of a cluster that only sleeps.
    let others = seen.members.iter().filter(|member| !is_me(member, me));
    let doubtful: Vec<String> =
        others.filter(|member| !nothing_there(member)).map(|member| member.label()).collect();
    match me.founded {
        Some(false) if doubtful.is_empty() => StartMode::New,
        Some(false) => StartMode::Refuse { why: format!("{} cannot be asked", doubtful.join(", ")) },
        Some(true) => StartMode::Refuse {
            why: "the cluster was founded before, and none of its members answers".to_owned(),
        },
        None => StartMode::Refuse {
            why: "no member answers, and nothing says that this cluster is to be founded now".to_owned(),
        },
    }
}

fn join(seen: &Observation, me: &LocalDir) -> StartMode {
    let Some(mine) = seen.members.iter().find(|member| member.role != Role::Unlisted && is_me(member, me))
    else {
        return StartMode::AddLearner;
    };
    let id = mine.id.expect("listed members have ids");
    if mine.client_urls.is_empty() && mine.name.is_empty() {
        return StartMode::Existing { id, initial_cluster: initial_cluster(seen, me) };
    }
    StartMode::Replace { old: id }
}

/// `initial-cluster` for a joining member: count and URLs must equal the list; names of others are not checked.
pub fn initial_cluster(seen: &Observation, me: &LocalDir) -> String {
    let mut entries: Vec<String> = seen
        .members
        .iter()
        .filter(|member| member.role != Role::Unlisted)
        .flat_map(|member| {
            let name = match (is_me(member, me), member.name.is_empty(), member.id) {
                (true, ..) => me.name.clone(),
                (false, false, _) => member.name.clone(),
                (false, true, Some(id)) => format!("unstarted-{id}"),
                (false, true, None) => "unstarted".to_owned(),
            };
            member.peer_urls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    entries.sort();
    entries.join(",")
}

fn is_me(member: &SeenMember, me: &LocalDir) -> bool {
    let peer = me.peer.to_string();
    member.peer_urls.iter().any(|url| same_place(url, &peer))
        || (!member.name.is_empty() && member.name == me.name)
}

fn nothing_there(member: &SeenMember) -> bool {
    matches!(member.condition, Condition::Down | Condition::Unstarted)
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
