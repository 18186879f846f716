//! `etcd_info`, `etcd_health` and `etcd_guard`: a cluster, seen from the controller.

use super::session::Session;
use crate::report::Event;
use crate::run::actions::ActionCall;
use crate::run::guard::cluster::Cluster;
use crate::run::guard::reach::answered;
use crate::run::guard::{Plan, Refusal};
use crate::run::task::Failure;
use quorate_etcd::{Condition, Observation, Role, SeenMember, Target};
use quorate_value::{Dict, Value, dict};
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) async fn info(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let mut seen = session.look().await;
    let patience = Duration::from_secs(session.args.int("timeout").unwrap_or(0).max(0) as u64);
    let began = Instant::now();
    while !seen.commits() && began.elapsed() < patience && !call.run.is_interrupted() {
        tokio::time::sleep(PAUSE).await;
        seen = session.look().await;
    }
    Ok(told(&session.cluster, &seen, session.reach.trouble.as_deref()))
}

/// What was seen, as both modules return it.
fn told(cluster: &Cluster, seen: &Observation, trouble: Option<&str>) -> Dict {
    let live = answered(seen);
    let one = |member: &SeenMember| {
        let id = member.id?;
        let list = |urls: &[String]| urls.iter().map(Value::from).collect::<Value>();
        Some(Value::from(dict! {
            "id" => id.to_string(), "name" => &member.name,
            "peer_urls" => list(&member.peer_urls), "client_urls" => list(&member.client_urls),
            "learner" => member.role == Role::Learner, "started" => !member.name.is_empty(),
            "healthy" => member.role == Role::Voter && member.condition == Condition::Healthy,
            "host" => member.host.as_deref().unwrap_or_default(), "condition" => member.condition.to_string(),
            "leader" => seen.leader == Some(id), "status" => status(member),
        }))
    };
    // a list that only peer ports told is nobody's answer
    let listed: Vec<Value> = if live { seen.members.iter().filter_map(one).collect() } else { Vec::new() };
    let ids: Vec<Value> = seen.cluster_ids.iter().map(|id| Value::from(id.to_string())).collect();
    let cluster_id = match seen.cluster_ids.as_slice() {
        [id] => id.to_string(),
        _ => String::new(),
    };
    let mut why: Vec<String> = cluster.spec.members.iter().map(|member| say(seen, &member.host)).collect();
    why.extend(trouble.map(str::to_owned));
    dict! {
        "changed" => false, "live" => live, "cluster_id" => cluster_id, "cluster_ids" => Value::list(ids),
        "leader" => seen.leader.filter(|_| live).map(|id| id.to_string()).unwrap_or_default(),
        "members" => Value::list(listed), "quorum" => seen.commits(), "alarms" => alarms(seen), "why" => why.iter().map(Value::from).collect::<Value>(),
    }
}

/// What a member says of itself; empty where it does not answer.
fn status(member: &SeenMember) -> Value {
    let Some(status) = &member.status else { return Value::from(Dict::new()) };
    Value::from(dict! {
        "version" => &status.version, "revision" => status.revision, "raft_term" => status.raft_term as i64,
        "raft_index" => status.raft_index as i64, "raft_applied" => status.raft_applied as i64,
        "lag" => member.lag.map(|lag| lag as i64), "db_size" => status.db_size as i64,
        "db_in_use" => status.db_in_use as i64, "errors" => status.errors.iter().map(Value::from).collect::<Value>(),
    })
}

/// `NOSPACE on 10.0.0.1`, …
fn alarms(seen: &Observation) -> Value {
    use quorate_etcd::observation::Alarm;
    let on = |id| {
        let member = seen.members.iter().find(|member| member.id == Some(id));
        member.map_or_else(|| id.to_string(), SeenMember::label)
    };
    let word = |alarm: &Alarm| match alarm {
        Alarm::NoSpace => "NOSPACE",
        Alarm::Corrupt => "CORRUPT",
    };
    let each = seen.alarms.iter().flat_map(|(id, all)| all.iter().map(move |alarm| (*id, alarm)));
    each.map(|(id, alarm)| Value::from(format!("{} on {}", word(alarm), on(id)))).collect()
}

fn say(seen: &Observation, host: &str) -> String {
    match seen.find(&Target::host(host)) {
        None => format!("{host} was not asked"),
        Some(member) => match &member.condition {
            Condition::Healthy => format!("{host} answers"),
            Condition::NotServing(why) => format!("{host} answers, without a quorum ({why})"),
            Condition::Down => format!("{host} does not answer: connection refused"),
            other => format!("{host}: {other}"),
        },
    }
}

/// Whom `etcd_health` waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Voters,
    Learner,
}

pub(super) async fn health(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let session = Session::open(call).await?;
    let args = &session.args;
    let expect = if args.text("expect") == "learner" { Expect::Learner } else { Expect::Voters };
    let count = args.int("count").map(|count| count.max(0) as u64);
    let timeout = Duration::from_secs(args.int("timeout").unwrap_or(60).max(0) as u64);
    if call.check {
        return Ok(dict! {"changed" => false, "skipped" => true});
    }
    let Session { cluster, mut reach, .. } = session;
    let began = Instant::now();
    let mut next = Duration::from_secs(5);
    loop {
        let seen = reach.look().await;
        call.run.saw(cluster.name(), &seen, cluster.policy.max_lag);
        let lacks = lacks(&cluster, &seen, expect, count);
        if lacks.is_empty() {
            return Ok(told(&cluster, &seen, reach.trouble.as_deref()));
        }
        let elapsed = began.elapsed();
        if elapsed >= timeout || call.run.is_interrupted() {
            let trouble = reach.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
            let message = format!("not healthy after {} s: {}{trouble}", elapsed.as_secs(), lacks.join("; "));
            let silent = cluster.spec.members.iter().find(|spec| {
                seen.find(&Target::host(&spec.host)).is_none_or(|member| member.status.is_none())
            });
            let help = match (silent, cluster.units.as_slice()) {
                (Some(spec), [unit]) => Some(format!(
                    "see what it said there: quorate run {} -b -a 'journalctl -u {unit} -n 20 --no-pager'",
                    spec.host
                )),
                _ => None,
            };
            return Err(Failure { help, ..Failure::action(message) });
        }
        if elapsed >= next {
            next = elapsed + Duration::from_secs(5);
            let text =
                format!("{}: waiting for etcd, {} s: {}", call.host, elapsed.as_secs(), lacks.join("; "));
            call.run.tell(Event::Verbose(1, text));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is not as expected yet, in words.
fn lacks(cluster: &Cluster, seen: &Observation, expect: Expect, count: Option<u64>) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut ids = Vec::new();
    for spec in &cluster.spec.members {
        let host = &spec.host;
        let Some(member) = seen.find(&Target::host(host)) else {
            lacks.push(format!("{host} was not asked"));
            continue;
        };
        // a learner does not tell the member list, so its own word counts
        let Some(status) = &member.status else {
            lacks.push(format!("{host} does not answer: {}", member.condition));
            continue;
        };
        ids.push(status.cluster);
        if status.leader.is_none() {
            lacks.push(format!("{host} knows no leader"));
        } else if let Condition::Stranger(_) | Condition::Corrupt = member.condition {
            lacks.push(format!("{host}: {}", member.condition));
        } else if expect == Expect::Voters && status.learner {
            lacks.push(format!("{host} is still a learner"));
        } else if expect == Expect::Voters && member.condition != Condition::Healthy {
            lacks.push(format!("{host} does not read linearizably: {}", member.condition));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > 1 {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        lacks.push(format!("members answer for different clusters: {}", ids.join(", ")));
    }
    if let Some(count) = count {
        let started =
            seen.members.iter().filter(|member| member.id.is_some() && !member.name.is_empty()).count();
        if started as u64 != count {
            lacks.push(format!("{started} members are started, {count} expected"));
        }
    }
    lacks
}

pub(super) async fn guard(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let session = Session::open(call).await?;
    let (args, cluster) = (&session.args, &session.cluster);
    let plan = match args.text("step") {
        "purge" => Plan::Purge,
        "stop" => Plan::Stop,
        _ => Plan::Restart,
    };
    let hosts = args.strings("hosts");
    if let Some(stranger) =
        hosts.iter().find(|host| !cluster.spec.members.iter().any(|member| member.host == **host))
    {
        return Err(Failure::action(format!("hosts: {stranger} is not among the members")));
    }
    call.run.guard.question(call, cluster, plan, &hosts).await.map_err(|refusal| {
        call.run.tell(Event::Refused { text: refusal.text.clone() });
        Refusal::into_failure(refusal)
    })
}
