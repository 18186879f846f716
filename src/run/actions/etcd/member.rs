//! `etcd_member` and `etcd_leader`: the member list, changed one step at a time.
//!
//! In: a member, named by host, id, name or URL, and a state. Out: what the member list says then.
//!
//! **Invariant:** a call whose outcome is unknown is never repeated blindly: the list is read again, and says.

use super::session::{Named, Session, message, told};
use crate::run::actions::ActionCall;
use crate::run::task::Failure;
use quorate_etcd::error::Answer;
use quorate_etcd::observation::View;
use quorate_etcd::ops::Enter;
use quorate_etcd::settle::Expected;
use quorate_etcd::start::{LocalDir, initial_cluster};
use quorate_etcd::{
    Condition, Endpoint, MemberId, Observation, Role, SeenMember, Step, Timing, wait_settled,
};
use quorate_value::{Dict, Value, dict};
use std::time::Duration;

/// Releases below 3.5.30 call a cluster unhealthy until every voter has been connected for 5 s.
const PATIENCE: Duration = Duration::from_secs(20);
/// A change of the list is everywhere within a moment.
const SPREADS: Duration = Duration::from_secs(15);

pub(super) async fn member(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    match session.args.text("state") {
        "absent" => absent(&mut session).await,
        "promoted" => promoted(&mut session).await,
        "updated" => updated(&mut session).await,
        _ => present(&mut session).await,
    }
}

/// What a task learns of the member: the same of every state.
fn result(session: &Session<'_>, seen: &Observation, member: Option<&SeenMember>, changed: bool) -> Dict {
    let mut result = dict! {"changed" => changed};
    let Some(member) = member else {
        result.insert("id", "");
        result.insert("members", list(seen));
        return result;
    };
    let host = member.host.as_deref().unwrap_or_default();
    let wish = session.cluster.spec.members.iter().find(|wish| wish.host == host);
    let name = wish.and_then(|wish| wish.name.clone()).filter(|_| member.name.is_empty());
    let name = name.unwrap_or_else(|| member.name.clone());
    let peer = member.peer_urls.first().and_then(|url| url.parse::<Endpoint>().ok());
    result.insert("id", member.id.map(|id| id.to_string()).unwrap_or_default());
    result.insert("name", name.clone());
    result.insert("learner", member.role == Role::Learner);
    result.insert("started", !member.name.is_empty());
    result.insert("healthy", member.condition == Condition::Healthy);
    result.insert("members", list(seen));
    if let Some(peer) = peer {
        let me = LocalDir { name, peer, initialised: false, founded: None };
        result.insert("initial_cluster", initial_cluster(seen, &me));
    }
    result
}

/// The member list.
pub(super) fn list(seen: &Observation) -> Value {
    let urls = |urls: &[String]| urls.iter().map(Value::from).collect::<Value>();
    seen.members
        .iter()
        .filter_map(|member| {
            let id = member.id?;
            Some(Value::from(dict! {
                "id" => id.to_string(), "name" => &member.name, "host" => member.host.as_deref().unwrap_or_default(),
                "peer_urls" => urls(&member.peer_urls), "client_urls" => urls(&member.client_urls),
                "learner" => member.role == Role::Learner, "started" => !member.name.is_empty(),
                "healthy" => member.role == Role::Voter && member.condition == Condition::Healthy,
            }))
        })
        .collect()
}

async fn present(session: &mut Session<'_>) -> Result<Dict, Failure> {
    let named = session.named();
    let peer: Endpoint = match &named {
        Named::Peer(url) => super::endpoint("peer", url)?,
        Named::Host(host) => session.wish(host)?.peer.clone(),
        Named::Id(_) | Named::Name(_) => {
            return Err(Failure::action(
                "a new member is named by its `host` or its `peer`: it has no id and no name yet",
            ));
        }
    };
    let learner = session.args.bool("learner");
    let step =
        if learner { Step::AddLearner { peer: peer.clone() } } else { Step::AddVoter { peer: peer.clone() } };
    let seen = session.look().await;
    if let Some(member) = named.find(&seen) {
        return Ok(result(session, &seen, Some(member), false));
    }
    if session.call.check {
        session.call.run.guard.would_refuse(session.call, &session.cluster, &step, &seen);
        return Ok(result(session, &seen, None, true));
    }
    let wanted = |seen: &Observation| named.find(seen).is_none().then(|| step.clone());
    let change = session.call.run.guard.begin(session.call, &session.cluster, wanted).await;
    let change = change.map_err(|refusal| session.refused(refusal))?;
    let mut changed = false;
    if let Some(change) = &change {
        let client = session.voter(&change.seen, None).await?;
        let enter = if learner { Enter::AsLearner } else { Enter::AsVoter };
        match client.member_add_patiently(&peer, enter, PATIENCE).await {
            Ok(_) => changed = true,
            // there already, or nobody knows: the list tells
            Err(error) if error.says(&Answer::MemberExists) || error.says(&Answer::PeerUrlExists) => {}
            Err(error) if error.outcome_unknown() => {
                session.tell(format!("{error}; looking whether it was done"));
                changed = true;
            }
            Err(error) => return Err(Failure::action(format!("{peer} was not announced: {error}"))),
        }
    }
    let seen = session
        .until(SPREADS, |seen| {
            let agreed = matches!(seen.view, View::Agreed { .. });
            (!agreed || named.find(seen).is_none()).then(|| "the member list does not have it yet".to_owned())
        })
        .await
        .map_err(|why| Failure::action(format!("{peer} was announced, but {why}. Run this again")))?;
    let member = named.find(&seen);
    Ok(result(session, &seen, member, changed))
}

async fn promoted(session: &mut Session<'_>) -> Result<Dict, Failure> {
    let named = session.named();
    let timeout = Duration::from_secs(session.args.int("timeout").unwrap_or(300).max(1) as u64);
    let seen = session.look().await;
    let Some(member) = named.find(&seen) else {
        if !seen.commits() {
            return Err(session.without_quorum(&seen));
        }
        if session.call.check {
            return Ok(result(session, &seen, None, true)); // a run would have announced it before
        }
        return Err(Failure::action(format!(
            "{named} is not in the member list: announce it first, with `state: present`"
        )));
    };
    let (id, target) = (member.id, Named::target(member));
    if member.role == Role::Voter && !member.name.is_empty() {
        return Ok(result(session, &seen, Some(member), false));
    }
    if session.call.check {
        return Ok(result(session, &seen, Some(member), true));
    }
    let mut changed = false;
    if member.role == Role::Learner {
        settle(session, &Expected::learner(target.clone(), id), timeout).await.map_err(|why| {
            Failure::action(format!("{named} was not promoted: {why}. It stays a learner; run this again"))
        })?;
        let wanted = |seen: &Observation| {
            let member = named.find(seen)?;
            (member.role == Role::Learner).then(|| Step::Promote(Named::target(member)))
        };
        let change = session.call.run.guard.begin(session.call, &session.cluster, wanted).await;
        if let Some(change) = change.map_err(|refusal| session.refused(refusal))? {
            let client = session.voter(&change.seen, None).await?;
            let id = id.ok_or_else(|| Failure::action(format!("{named} has no id")))?;
            match client.member_promote_patiently(id, PATIENCE).await {
                Ok(done) => changed = done == quorate_etcd::ops::Done::Now,
                Err(error) if error.outcome_unknown() => changed = true,
                Err(error) => return Err(Failure::action(format!("{named} was not promoted: {error}"))),
            }
        }
    }
    settle(session, &Expected::voter(target, id), timeout)
        .await
        .map_err(|why| Failure::action(format!("{named} is not a healthy voter: {why}")))?;
    let seen = session.look().await;
    Ok(result(session, &seen, named.find(&seen), changed))
}

async fn settle(session: &Session<'_>, expected: &Expected, deadline: Duration) -> Result<(), String> {
    let timing = Timing { poll: Duration::from_millis(300), deadline, settle: Duration::ZERO };
    let mut last = 0;
    let began = std::time::Instant::now();
    let progress = |_: &Observation, missing: Option<&quorate_etcd::settle::Missing>| {
        let elapsed = began.elapsed().as_secs();
        if let Some(missing) = missing.filter(|_| elapsed >= last + 5) {
            last = elapsed;
            session.tell(format!("{}: waiting for etcd, {elapsed} s: {missing}", session.call.host));
        }
    };
    wait_settled(&session.reach.spec, &session.reach.access, expected, timing, progress)
        .await
        .map(drop)
        .map_err(|missing| format!("{missing} (after {} s)", began.elapsed().as_secs()))
}

async fn absent(session: &mut Session<'_>) -> Result<Dict, Failure> {
    let named = session.named();
    let seen = session.look().await;
    let Some(member) = named.find(&seen) else {
        if !seen.commits() {
            return Err(session.without_quorum(&seen));
        }
        return Ok(result(session, &seen, None, false));
    };
    let id = member.id.ok_or_else(|| Failure::action(format!("{named} has no id")))?;
    if session.call.check {
        let step = Step::Remove(Named::target(member));
        session.call.run.guard.would_refuse(session.call, &session.cluster, &step, &seen);
        return Ok(result(session, &seen, Some(member), true));
    }
    let wanted = |seen: &Observation| named.find(seen).map(|member| Step::Remove(Named::target(member)));
    let change = session.call.run.guard.begin(session.call, &session.cluster, wanted).await;
    let Some(change) = change.map_err(|refusal| session.refused(refusal))? else {
        let seen = session.look().await;
        return Ok(result(session, &seen, None, false));
    };
    let mut seen = change.seen.clone();
    // removed as it leads, it would leave the others without a leader for more than a second
    if seen.leader == Some(id) {
        session.move_leader(None, &[id]).await?;
        seen = session.look().await;
    }
    let client = session.voter(&seen, Some(id)).await?;
    match client.member_remove_patiently(id, PATIENCE).await {
        Ok(_) => {}
        Err(error) if error.outcome_unknown() => {
            session.tell(format!("{error}; looking whether it was done"));
        }
        Err(error) => return Err(Failure::action(format!("{named} was not removed: {error}"))),
    }
    let seen = session
        .until(SPREADS, |seen| {
            if seen.members.iter().any(|member| member.id == Some(id)) {
                return Some("the member list still has it".to_owned());
            }
            let serve = matches!(seen.view, View::Agreed { .. })
                && seen.leader_known_by >= quorate_etcd::quorum(seen.voters().count());
            (!serve).then(|| "the others have not agreed on it yet".to_owned())
        })
        .await
        .map_err(|why| Failure::action(format!("{named}: {why}. Run this again")))?;
    let mut result = result(session, &seen, None, true);
    result.insert("id", id.to_string());
    drop(change);
    Ok(result)
}

/// Another peer URL for a member that moved with its data.
async fn updated(session: &mut Session<'_>) -> Result<Dict, Failure> {
    let named = session.named();
    let peer = super::endpoint(
        "peer",
        session.args.nonempty("peer").ok_or_else(|| Failure::action("missing required arguments: peer"))?,
    )?;
    let is_there = |seen: &Observation| {
        let url = Named::Peer(peer.to_string());
        url.find(seen).and_then(|member| member.id)
    };
    let seen = session.look().await;
    let by_url = is_there(&seen);
    let before = named.find(&seen).and_then(|member| member.id);
    if by_url.is_some() && (before.is_none() || by_url == before) {
        let member = Named::Peer(peer.to_string()).find(&seen).cloned();
        return Ok(result(session, &seen, member.as_ref(), false));
    }
    let Some(id) = before else {
        return Err(Failure::action(format!("{named} is not in the member list")));
    };
    if session.call.check {
        return Ok(result(session, &seen, named.find(&seen), true));
    }
    let wanted = |seen: &Observation| {
        let member = seen.members.iter().find(|member| member.id == Some(id))?;
        (is_there(seen) != Some(id)).then(|| Step::UpdatePeer(Named::target(member)))
    };
    let change = session.call.run.guard.begin(session.call, &session.cluster, wanted).await;
    let change = change.map_err(|refusal| session.refused(refusal))?;
    if let Some(change) = &change {
        let client = session.voter(&change.seen, Some(id)).await?;
        match client.member_update(id, std::slice::from_ref(&peer)).await {
            Ok(()) => {}
            Err(error) if error.outcome_unknown() => {}
            Err(error) => return Err(told(error)),
        }
    }
    let seen = session
        .until(SPREADS, |seen| {
            (is_there(seen) != Some(id)).then(|| "the member list has its old URL".to_owned())
        })
        .await
        .map_err(Failure::action)?;
    let member = seen.members.iter().find(|member| member.id == Some(id)).cloned();
    Ok(result(session, &seen, member.as_ref(), change.is_some()))
}

pub(super) async fn leader(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let seen = session.look().await;
    let id = |host: &str| -> Result<MemberId, Failure> {
        let found = seen.voters().find(|voter| voter.host.as_deref() == Some(host) || voter.name == host);
        found
            .and_then(|voter| voter.id)
            .ok_or_else(|| Failure::action(format!("{host} is no voter of the cluster")))
    };
    let to = session.args.nonempty("to").map(id).transpose()?;
    let mut away: Vec<MemberId> = Vec::new();
    if to.is_none() {
        let mut hosts = session.args.strings("away_from");
        if hosts.is_empty() {
            hosts.push(call.host.to_string());
        }
        // whoever is no voter cannot lead
        away = hosts.iter().filter_map(|host| id(host).ok()).collect();
    }
    let leads = seen.leader.is_some_and(|leader| to.map_or(!away.contains(&leader), |to| to == leader));
    let label = |leader: Option<MemberId>| {
        seen.members.iter().find(|member| member.id.is_some() && member.id == leader).map(SeenMember::label)
    };
    if leads || call.check {
        let leader = label(if leads { seen.leader } else { to }).unwrap_or_default();
        return Ok(dict! {"changed" => !leads, "leader" => leader});
    }
    if !seen.commits() {
        return Err(session.without_quorum(&seen));
    }
    let leader =
        session.move_leader(to, &away).await.map_err(|failure| Failure::action(message(&failure)))?;
    Ok(dict! {"changed" => true, "leader" => leader})
}
