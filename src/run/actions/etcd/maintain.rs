//! `etcd_defrag`, `etcd_compact` and `etcd_alarm`: space.

use super::session::{Session, told};
use crate::run::actions::ActionCall;
use crate::run::task::Failure;
use quorate_etcd::observation::Alarm;
use quorate_etcd::ops::Done;
use quorate_etcd::settle::Expected;
use quorate_etcd::{Observation, Role, SeenMember, Step, Timing, wait_settled};
use quorate_value::{Dict, Value, dict};
use std::time::Duration;

pub(super) async fn defrag(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let named = session.named();
    let percent = session.args.int("min_free_percent").unwrap_or(30).clamp(0, 100) as u64;
    let bytes = session.args.int("min_free_bytes").unwrap_or(100 << 20).max(0) as u64;
    let worth = |member: &SeenMember| {
        let Some(status) = &member.status else { return false };
        let free = status.db_size.saturating_sub(status.db_in_use);
        member.role == Role::Voter && free >= bytes && free * 100 >= status.db_size * percent
    };
    let sizes = |seen: &Observation| {
        let status = named.find(seen).and_then(|member| member.status.clone());
        status.map_or((0, 0), |status| (status.db_size, status.db_in_use))
    };
    let seen = session.look().await;
    let Some(member) = named.find(&seen) else {
        return Err(Failure::action(format!("{named} is not in the member list")));
    };
    if member.status.is_none() {
        return Err(Failure::action(format!("{named} does not answer: {}", member.condition)));
    }
    let (before, used) = sizes(&seen);
    let told_so = |changed: bool, after: u64| {
        dict! {"changed" => changed, "db_size_before" => before as i64, "db_size" => after as i64, "db_in_use" => used as i64}
    };
    if !worth(member) {
        return Ok(told_so(false, before));
    }
    let (id, target) = (member.id, super::session::Named::target(member));
    let step = Step::Defragment(target.clone());
    if call.check {
        call.run.guard.would_refuse(call, &session.cluster, &step, &seen);
        return Ok(told_so(true, used));
    }
    let wanted = |seen: &Observation| named.find(seen).is_some_and(worth).then(|| step.clone());
    let change = call.run.guard.begin(call, &session.cluster, wanted).await;
    let Some(change) = change.map_err(|refusal| session.refused(refusal))? else {
        return Ok(told_so(false, before));
    };
    // it serves nobody while it runs: as leader it would stop all writes
    let others = change.seen.voters().filter(|voter| voter.id != id && voter.serves(1000)).count();
    if let Some(id) = id.filter(|id| change.seen.leader == Some(*id) && others > 0) {
        session.move_leader(None, &[id]).await?;
    }
    let member = named.find(&change.seen).cloned();
    let member = member.ok_or_else(|| Failure::action(format!("{named} is not in the member list")))?;
    let done = session.client(&member).await?.defragment().await;
    let expected = Expected::voter(target, id);
    let timing = Timing { settle: Duration::ZERO, ..Timing::for_database(before) };
    let back = wait_settled(&session.reach.spec, &session.reach.access, &expected, timing, |_, _| {}).await;
    if let Err(missing) = back {
        let what = format!("{named} does not serve after its defragmentation: {missing}");
        change.poison(what.clone());
        return Err(Failure::action(what));
    }
    done.map_err(told)?;
    let seen = session.look().await;
    Ok(told_so(true, sizes(&seen).0))
}

pub(super) async fn compact(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let keep = session.args.int("keep").unwrap_or(0).max(0);
    let (client, _) = session.any().await?;
    let now = client.status().await.map_err(told)?.revision;
    let revision = now - keep;
    if revision < 1 {
        return Ok(dict! {"changed" => false, "revision" => now});
    }
    if call.check {
        return Ok(dict! {"changed" => true, "revision" => revision});
    }
    let done = client.compact(revision).await.map_err(told)?;
    Ok(dict! {"changed" => done == Done::Now, "revision" => revision})
}

pub(super) async fn alarm(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let corrupt = session.args.text("alarm") == "corrupt";
    let kind = if corrupt { Alarm::Corrupt } else { Alarm::NoSpace };
    let (client, seen) = session.any().await?;
    let raised = client.alarms().await.map_err(told)?;
    let name = |id: &quorate_etcd::MemberId| {
        let member = seen.members.iter().find(|member| member.id == Some(*id));
        Value::from(member.map_or_else(|| id.to_string(), SeenMember::label))
    };
    let on: Vec<Value> = raised.iter().filter(|(_, alarm)| *alarm == kind).map(|(id, _)| name(id)).collect();
    if on.is_empty() {
        return Ok(dict! {"changed" => false, "disarmed" => Value::list(Vec::new())});
    }
    if corrupt && !session.args.bool("force") {
        return Err(Failure::action(
            "CORRUPT is raised: members differ in what they store. Disarming it hides that. Replace the odd member \
             first (etcd-replace.yml), then disarm with `force: true`",
        ));
    }
    if !call.check {
        client.disarm(kind, None).await.map_err(told)?;
        let left = client.alarms().await.map_err(told)?;
        if left.iter().any(|(_, alarm)| *alarm == kind) {
            return Err(Failure::action(
                "the alarm is raised again: no space was made, or not on every member",
            ));
        }
    }
    Ok(dict! {"changed" => true, "disarmed" => Value::list(on)})
}
