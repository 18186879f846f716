//! The difference between an inventory and a cluster, as an order of steps.
//!
//! In: one observation, and what each host of the inventory holds. Out: a [`Plan`]: what to do, in which order, or why
//! nothing may be done.
//!
//! The order keeps fault tolerance where it was or raises it first: what is down is started, dead members leave, the
//! missing come in, and only then do living members leave. Each step asks the guard again when its turn comes.
//!
//! **Invariant:** pure. The same plan falls out after any step was done and the rest was not.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::MemberId;
use crate::live::Verdict;
use crate::observation::{Condition, Observation, Role, SeenMember, View};
use crate::observe::ClusterSpec;

/// What has to be done to one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Found the cluster together with all others.
    Create,
    /// It has its data and does not run.
    Start,
    /// Dead, and in no inventory: out of the member list.
    RemoveDead,
    /// Its data are gone: out of the member list and in again, empty.
    Replace,
    /// In, as a learner first; or what is left to do of that.
    Add,
    /// It lives and is in no inventory: out.
    Remove,
}

impl Deed {
    /// Whether it takes a member's data or vote away.
    fn destroys(self) -> bool {
        matches!(self, Self::RemoveDead | Self::Replace | Self::Remove)
    }
}

/// One line of the difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Todo {
    /// What.
    pub deed: Deed,
    /// The host of the inventory; empty for members that are in none.
    pub host: String,
    /// Its id in the member list, where it is there.
    pub id: Option<MemberId>,
    /// Its own name, or the host's.
    pub name: String,
    /// Where its peers reach it, for members that are in no inventory.
    pub peer: String,
    /// For people.
    pub why: String,
}

/// What to do, or why nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// In this order.
    pub todo: Vec<Todo>,
    /// Why none of it may be done.
    pub problem: Option<String>,
    /// What is as it is, and worth a line.
    pub notes: Vec<String>,
}

/// What the inventory wants besides the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// What each host holds.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Hosts whose members stay learners.
    pub learners: Vec<String>,
    /// How many members may lose their data or their vote.
    pub allow_destroy: usize,
}

/// Compares.
pub fn plan(spec: &ClusterSpec, seen: &Observation, wish: &Wish) -> Plan {
    let mut plan = compare(spec, seen, wish);
    plan.todo.sort_by_key(|todo| todo.deed);
    let doomed: Vec<&str> =
        plan.todo.iter().filter(|todo| todo.deed.destroys()).map(|todo| todo.name.as_str()).collect();
    if plan.problem.is_none() && doomed.len() > wish.allow_destroy {
        plan.problem = Some(format!(
            "this would take {} members away ({}), and only {} may go without a word",
            doomed.len(),
            doomed.join(", "),
            wish.allow_destroy
        ));
    }
    plan
}

fn compare(spec: &ClusterSpec, seen: &Observation, wish: &Wish) -> Plan {
    let mut plan = Plan::default();
    if seen.cluster_ids.len() > 1 {
        let ids: Vec<String> = seen.cluster_ids.iter().map(ToString::to_string).collect();
        plan.problem = Some(format!("members answer for different clusters: {}", ids.join(" and ")));
        return plan;
    }
    let verdict = |host: &str| wish.verdicts.get(host).copied().unwrap_or(Verdict::Unknown);
    if !seen.commits() || !matches!(seen.view, View::Agreed { .. }) {
        without_quorum(spec, seen, verdict, &mut plan);
        return plan;
    }
    for member in seen.members.iter().filter(|member| member.role != Role::Unlisted) {
        match &member.host {
            Some(host) => of_inventory(member, host, verdict(host), wish, &mut plan),
            None => {
                let dead = member.condition != Condition::Healthy;
                let deed = if dead { Deed::RemoveDead } else { Deed::Remove };
                let why = format!("it is in the member list and not in the inventory ({})", member.condition);
                plan.todo.push(todo(deed, String::new(), Some(member), member.label(), why));
            }
        }
    }
    for host in spec.members.iter().map(|member| &member.host) {
        let listed = seen.members.iter().any(|m| m.role != Role::Unlisted && m.host.as_ref() == Some(host));
        if listed {
            continue;
        }
        match verdict(host) {
            Verdict::Absent | Verdict::Remnant => {
                let why = "it is in the inventory and not in the member list".to_owned();
                plan.todo.push(todo(Deed::Add, host.clone(), None, host.clone(), why));
            }
            Verdict::Dormant => {
                let why = "it is in the inventory and not in the member list; data of an earlier life go"
                    .to_owned();
                plan.todo.push(todo(Deed::Add, host.clone(), None, host.clone(), why));
            }
            Verdict::Live => {
                plan.problem = Some(format!(
                    "{host} runs an etcd that is not a member of this cluster: it belongs to another one, or was removed"
                ));
            }
            Verdict::Unknown => plan.problem = Some(format!("{host} is to be added and cannot be asked")),
        }
    }
    plan
}

fn of_inventory(member: &SeenMember, host: &str, verdict: Verdict, wish: &Wish, plan: &mut Plan) {
    let learner = wish.learners.iter().any(|learner| learner == host);
    let mut push = |deed, why: &str| {
        plan.todo.push(todo(deed, host.to_owned(), Some(member), host.to_owned(), why.to_owned()));
    };
    if member.name.is_empty() {
        return push(Deed::Add, "it was announced and has never started");
    }
    let serves = member.condition == Condition::Healthy;
    match (serves, verdict) {
        (true, _) if member.role == Role::Learner && !learner => push(Deed::Add, "it is a learner still"),
        (true, _) if member.role == Role::Voter && learner => {
            plan.notes.push(format!("{host} is to be a learner and is a voter: remove it and add it again"));
        }
        (true, _) => {}
        (false, Verdict::Dormant) => push(Deed::Start, "it has its data and does not run"),
        (false, Verdict::Absent | Verdict::Remnant) => push(Deed::Replace, "its data are gone"),
        (false, Verdict::Live) => {
            plan.notes.push(format!("{host} runs and does not serve: {}", member.condition))
        }
        (false, Verdict::Unknown) => {
            plan.notes.push(format!("{host} cannot be asked, and stays as it is: {}", member.condition));
        }
    }
}

/// Nothing commits: found it, start it, or say that this is a case for recovery.
fn without_quorum(
    spec: &ClusterSpec,
    seen: &Observation,
    verdict: impl Fn(&str) -> Verdict,
    plan: &mut Plan,
) {
    let hosts = || spec.members.iter().map(|member| member.host.clone());
    if hosts().all(|host| matches!(verdict(&host), Verdict::Absent | Verdict::Remnant))
        && !seen.anyone_answers()
    {
        for host in hosts() {
            let why = "no host has any data: the cluster is founded".to_owned();
            plan.todo.push(todo(Deed::Create, host.clone(), None, host, why));
        }
        return;
    }
    let resting: Vec<String> = hosts().filter(|host| verdict(host) == Verdict::Dormant).collect();
    let there = hosts().filter(|host| matches!(verdict(host), Verdict::Dormant | Verdict::Live)).count();
    if resting.is_empty() || there < crate::quorum::quorum(spec.members.len()) {
        plan.problem = Some(format!(
            "the cluster has no quorum, and data on {there} of {} hosts do not make one: etcd-recover.yml shows what is left",
            spec.members.len()
        ));
        return;
    }
    for host in resting {
        let why = "it has its data and does not run".to_owned();
        plan.todo.push(todo(Deed::Start, host.clone(), None, host, why));
    }
}

fn todo(deed: Deed, host: String, member: Option<&SeenMember>, name: String, why: String) -> Todo {
    let peer = member.and_then(|member| member.peer_urls.first().cloned()).unwrap_or_default();
    Todo { deed, host, id: member.and_then(|member| member.id), name, peer, why }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
