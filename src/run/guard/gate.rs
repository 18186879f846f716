//! The question that roles ask before they stop members: `etcd_guard`.
//!
//! In: a step, the hosts it is about, the whole cluster. Out: why it may happen, or a [`Refusal`]; and a gate through
//! which the role's own later steps on these hosts pass.
//!
//! The rule is arithmetic alone: what stays must be a quorum of what the member list says now. All of a cluster may
//! go, and so may what is in no member list. Redundancy that is low already is the role's business, not the guard's.

use super::cluster::{Cluster, Ground};
use super::reach::{Reach, answered};
use super::{Gate, Guard, PATIENCE, PAUSE, Refusal, record};
use crate::report::Event;
use crate::run::actions::ActionCall;
use quorate_etcd::guard::Note;
use quorate_etcd::{Claims, Condition, Observation, Step, Target, may};
use quorate_value::{Dict, Value, dict};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What is about to happen to hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Stopped, and the data put aside.
    Purge,
    /// Stopped.
    Stop,
    /// Stopped and started.
    Restart,
}

impl Plan {
    fn describe(self, hosts: &[String]) -> String {
        let hosts = hosts.join(", ");
        match self {
            Plan::Purge => format!("purging etcd on {hosts}"),
            Plan::Stop => format!("stopping etcd on {hosts}"),
            Plan::Restart => format!("restarting etcd on {hosts}"),
        }
    }
}

impl Guard {
    /// Answers a role's question, and opens the gate if the answer is yes.
    pub(crate) async fn question(
        &self,
        call: &ActionCall<'_>,
        cluster: &Cluster,
        plan: Plan,
        hosts: &[String],
    ) -> Result<Dict, Refusal> {
        let ground = Ground { run: call.run.clone(), play: call.play.clone(), step: call.step.clone() };
        let mut reach = Reach::new(&ground, cluster, None);
        let lane = self.lane(cluster.name());
        let poisoned = lane.state().poisoned.clone().filter(|_| plan != Plan::Purge);
        let claims = Claims { held: Vec::new(), poisoned };
        let began = Instant::now();
        let (answer, seen) = loop {
            let seen = reach.look().await;
            match decide(cluster, plan, hosts, &claims, &seen) {
                Err(why)
                    if why.why.passes_by_itself()
                        && began.elapsed() < PATIENCE
                        && !call.run.is_interrupted()
                        && !call.check =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => break (answer, seen),
            }
        };
        lane.state().seen = Some(seen.clone());
        if !call.check && answer.is_ok() && !self.holds(cluster.name()).await {
            let endpoints = super::lease::endpoints(&reach.spec, &seen);
            self.alone(call, cluster.name(), &reach.access, &endpoints, &seen).await.inspect_err(|_| {
                self.refused.store(true, Ordering::Relaxed);
            })?;
        }
        let answer = answer.map_err(|why| {
            self.refused.store(true, Ordering::Relaxed);
            Refusal::new(&why, reach.trouble.as_deref())
        })?;
        let mut overridden = None;
        if let Some(refusal) = &answer.overridden {
            let refusal = Refusal::overridden(refusal, reach.trouble.as_deref());
            call.run.tell(Event::Warning(refusal.text.clone()));
            overridden = Some(refusal.into_record());
        }
        // in check mode too: the stops that follow are foretold there
        let mut gates = self.gates();
        for host in hosts {
            let gate = match plan {
                Plan::Purge => Gate::Purge,
                Plan::Stop | Plan::Restart => Gate::Away { whole: answer.whole },
            };
            gates.insert(host.clone(), gate);
            lane.touch(host, plan == Plan::Restart);
        }
        drop(gates);
        let why: Value = answer.why.iter().map(Value::from).collect();
        let mut result = dict! {"changed" => false, "why" => why};
        record(&mut result, overridden.as_ref());
        Ok(result)
    }
}

/// A yes.
#[derive(Debug)]
struct Yes {
    why: Vec<String>,
    /// Every voter is among the hosts.
    whole: bool,
    overridden: Option<quorate_etcd::Refusal>,
}

/// Pure: the rule of this module on one observation.
fn decide(
    cluster: &Cluster,
    plan: Plan,
    hosts: &[String],
    claims: &Claims,
    seen: &Observation,
) -> Result<Yes, Box<quorate_etcd::Refusal>> {
    let on_hosts = |host: &Option<String>| host.as_ref().is_some_and(|host| hosts.contains(host));
    let all_of_inventory = cluster.spec.members.iter().all(|member| hosts.contains(&member.host));
    let line = seen.members_line(Instant::now());
    let yes = |why: String, whole: bool| Yes {
        why: vec![why, format!("members: {line}")],
        whole,
        overridden: None,
    };
    if claims.poisoned.is_none() {
        if !answered(seen) {
            // Nobody tells who is a member. Somebody who stays and somebody who goes, both in doubt, may be a quorum.
            let doubtful = |stays: bool| {
                seen.members.iter().any(|m| on_hosts(&m.host) != stays && !m.condition.proven_dead())
            };
            if all_of_inventory || !(doubtful(true) && doubtful(false)) {
                return Ok(yes("nobody answers, so no cluster can be harmed".into(), all_of_inventory));
            }
        }
        // A learner tells no member list, and it keeps nobody's quorum.
        let voteless = seen.members.iter().all(|member| match &member.status {
            Some(status) => status.learner,
            None => member.condition.proven_dead(),
        });
        if all_of_inventory && voteless {
            return Ok(yes("no voter is left, only learners answer".into(), true));
        }
        let voters = || seen.voters();
        let going = || voters().filter(|voter| on_hosts(&voter.host));
        if going().next().is_some() && going().count() == voters().count() {
            return Ok(yes("all voters go, as asked".into(), true));
        }
        // listed, but never there: nobody has ever counted on them
        if going().next().is_some() && going().all(|voter| voter.condition == Condition::Unstarted) {
            return Ok(yes("they have never started".into(), false));
        }
    }
    let mut policy = cluster.policy.clone();
    policy.allow_degraded = true;
    let step = match (plan, hosts) {
        // two of two: no quorum without it, but an outage that the inventory may allow
        (Plan::Restart, [host]) if policy.allow_outage && seen.find(&Target::host(host)).is_some() => {
            Step::Restart(Target::host(host))
        }
        (Plan::Stop, [host]) if policy.allow_outage && seen.find(&Target::host(host)).is_some() => {
            Step::Stop(Target::host(host))
        }
        _ => Step::Purge { hosts: hosts.to_vec() },
    };
    let verdict = may(&step, seen, claims, &policy, Instant::now()).map_err(|mut refusal| {
        refusal.step = plan.describe(hosts);
        if plan != Plan::Purge {
            refusal.way_out.retain(|line| !line.contains("etcdctl member remove"));
        }
        if let Some(rest) = refusal.way_out.first().and_then(|first| first.strip_prefix("or ")) {
            refusal.way_out[0] = rest.to_owned();
        }
        Box::new(refusal)
    })?;
    let tally = verdict.during;
    let mut why =
        vec![format!("{} of {} voters stay healthy, needed: {}", tally.healthy, tally.voters, tally.need)];
    why.push(format!("members: {line}"));
    let told = |note: &&Note| !matches!(note, Note::StillListed(_) | Note::Overridden(_));
    why.extend(verdict.notes.iter().filter(told).map(ToString::to_string));
    Ok(Yes { why, whole: false, overridden: verdict.overridden().cloned() })
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
