//! `etcd_plan`: the inventory against the cluster.

use super::session::Session;
use crate::run::actions::ActionCall;
use crate::run::guard::cluster::{Ground, flag};
use crate::run::task::Failure;
use quorate_etcd::Condition;
use quorate_etcd::live::Verdict;
use quorate_etcd::plan::{Deed, Todo, Wish};
use quorate_value::{Dict, Value, dict, str_of};

pub(super) async fn plan(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let mut wish = Wish {
        allow_destroy: session.args.int("allow_destroy").unwrap_or(1).max(0) as usize,
        ..Wish::default()
    };
    for (host, verdict) in session.args.dict("hosts").into_iter().flat_map(Dict::iter) {
        let verdict = match str_of(verdict).as_str() {
            "live" => Verdict::Live,
            "dormant" => Verdict::Dormant,
            "remnant" => Verdict::Remnant,
            "absent" => Verdict::Absent,
            _ => Verdict::Unknown,
        };
        wish.verdicts.insert(host.json_text().into_owned(), verdict);
    }
    let ground: Ground = super::ground(call);
    for member in &session.cluster.spec.members {
        if flag(&ground.scope(&member.host), "etcd_learner") {
            wish.learners.push(member.host.clone());
        }
    }
    let mut seen = session.look().await;
    // a cluster that elects right now is no case for recovery
    if !seen.commits()
        && seen.members.iter().any(|member| matches!(member.condition, Condition::NotServing(_)))
    {
        let settled = session.until(std::time::Duration::from_secs(10), |seen| {
            (!seen.commits()).then(|| "no quorum".to_owned())
        });
        if let Ok(better) = settled.await {
            seen = better;
        }
    }
    let plan = quorate_etcd::plan::plan(&session.cluster.spec, &seen, &wish);
    let steps: Value = plan.todo.iter().map(|todo| Value::from(step(todo))).collect();
    let lines: Value = plan.todo.iter().map(|todo| Value::from(line(todo))).collect();
    Ok(dict! {
        "changed" => false, "steps" => steps, "lines" => lines,
        "problem" => plan.problem.unwrap_or_default(),
        "notes" => plan.notes.iter().map(Value::from).collect::<Value>(),
        "exists" => seen.commits(), "members" => super::member::list(&seen),
        "seen" => seen.members_line(std::time::Instant::now()),
    })
}

fn word(deed: Deed) -> &'static str {
    match deed {
        Deed::Create => "create",
        Deed::Start => "start",
        Deed::RemoveDead | Deed::Remove => "remove",
        Deed::Replace => "replace",
        Deed::Add => "add",
    }
}

fn step(todo: &Todo) -> Dict {
    let id = todo.id.map(|id| id.to_string()).unwrap_or_default();
    let address = todo.peer.parse::<quorate_etcd::Endpoint>().map(|url| url.address().host.clone());
    dict! {
        "do" => word(todo.deed), "host" => &todo.host, "id" => id, "name" => &todo.name,
        "dead" => todo.deed == Deed::RemoveDead, "peer" => &todo.peer,
        "address" => address.unwrap_or_default(), "why" => &todo.why,
    }
}

fn line(todo: &Todo) -> String {
    format!("{:8} {}: {}", word(todo.deed), todo.name, todo.why)
}
