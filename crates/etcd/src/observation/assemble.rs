//! From probes to an observation: joining inventory and member list, and naming each member's condition.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Alarm, Condition, ListedMember, Observation, Probe, Role, SeenMember, Status, View};
use crate::endpoint::same_place;
use crate::error::{Answer, EtcdError};
use crate::id::MemberId;
use crate::observe::ClusterSpec;
use crate::quorum::quorum;

impl Observation {
    /// Joins what was gathered. `probes` runs parallel to `spec.members`; `extra` are members outside the spec,
    /// or members whose listed client URL answered where the spec's did not.
    pub fn assemble(
        spec: &ClusterSpec,
        probes: &[Probe],
        extra: &BTreeMap<MemberId, Probe>,
        taken: Instant,
    ) -> Self {
        let all = || probes.iter().chain(extra.values());
        let (view, listed) = majority(all());
        let mut cluster_ids: Vec<_> = all().filter_map(status).map(|status| status.cluster).collect();
        cluster_ids.sort_unstable();
        cluster_ids.dedup();
        let alarms = alarms(all());

        let mut members = Vec::new();
        let mut taken_ids = Vec::new();
        for (host, probe) in spec.members.iter().zip(probes) {
            let entry = find_listed(&listed, &host.peer.to_string(), host.name.as_deref());
            taken_ids.extend(entry.map(|entry| entry.id));
            let better = entry.and_then(|entry| extra.get(&entry.id)).filter(|_| probe.grpc.is_err());
            members.push(seen(Some(host.host.clone()), entry, better.unwrap_or(probe), &alarms, taken));
        }
        for entry in listed.iter().filter(|entry| !taken_ids.contains(&entry.id)) {
            let unasked = Probe { grpc: Err(nowhere(entry)), peer: None };
            members.push(seen(None, Some(entry), extra.get(&entry.id).unwrap_or(&unasked), &alarms, taken));
        }

        let mut said: BTreeMap<MemberId, usize> = BTreeMap::new();
        let voters = || members.iter().filter(|member: &&SeenMember| member.role == Role::Voter);
        for leader in voters().filter_map(|member| member.status.as_ref()?.leader) {
            *said.entry(leader).or_default() += 1;
        }
        let named = said.into_iter().max_by_key(|(_, times)| *times);
        let named = named.filter(|(id, _)| voters().any(|member| member.id == Some(*id)));
        let (leader, leader_known_by) = named.map_or((None, 0), |(id, times)| (Some(id), times));
        let raft_term = all().filter_map(status).map(|status| status.raft_term).max().unwrap_or(0);

        let index_of = |member: &SeenMember| member.status.as_ref().map(|status| status.raft_index);
        let ahead = members
            .iter()
            .find(|member| leader.is_some() && member.id == leader)
            .and_then(index_of)
            .or_else(|| voters().filter_map(index_of).max());
        for member in &mut members {
            let applied = member.status.as_ref().map(|status| status.raft_applied);
            member.lag = ahead.zip(applied).map(|(ahead, applied)| ahead.saturating_sub(applied));
        }
        Self {
            cluster: spec.name.clone(),
            taken,
            taken_unix_ms: None,
            cluster_ids,
            view,
            members,
            leader,
            leader_known_by,
            raft_term,
            alarms,
        }
    }
}

/// An error for a listed member that names no place to ask.
fn nowhere(entry: &ListedMember) -> EtcdError {
    EtcdError::Local(match entry.client_urls.first() {
        Some(url) => format!("{url} was not asked"),
        None => "it advertises no client URL".to_owned(),
    })
}

fn status(probe: &Probe) -> Option<&Status> {
    probe.grpc.as_ref().ok()?.status.as_ref().ok()
}

/// By peer URL first, by name second: a member that never started has no name.
fn find_listed<'a>(listed: &'a [ListedMember], peer: &str, name: Option<&str>) -> Option<&'a ListedMember> {
    let by_url = |entry: &&ListedMember| entry.peer_urls.iter().any(|url| same_place(url, peer));
    let by_name = |entry: &&ListedMember| !entry.name.is_empty() && Some(entry.name.as_str()) == name;
    listed.iter().find(by_url).or_else(|| listed.iter().find(by_name))
}

/// What two lists must share to be the same list. Names and client URLs come later than membership.
fn shape(list: &[ListedMember]) -> Vec<(MemberId, bool, Vec<String>)> {
    let mut shape: Vec<_> = list
        .iter()
        .map(|entry| {
            let mut urls = entry.peer_urls.clone();
            urls.sort();
            (entry.id, entry.learner, urls)
        })
        .collect();
    shape.sort();
    shape
}

pub(super) fn majority<'a>(probes: impl Iterator<Item = &'a Probe> + Clone) -> (View, Vec<ListedMember>) {
    let lists: Vec<&(MemberId, Vec<ListedMember>)> =
        probes.clone().filter_map(|probe| probe.grpc.as_ref().ok()?.list.as_ref().ok()).collect();
    let mut best: Option<(usize, usize, &Vec<ListedMember>)> = None;
    for (_, list) in &lists {
        let form = shape(list);
        let voters: Vec<_> = list.iter().filter(|entry| !entry.learner).map(|entry| entry.id).collect();
        let mut by: Vec<_> = lists
            .iter()
            .filter(|(who, other)| voters.contains(who) && shape(other) == form)
            .map(|(who, _)| *who)
            .collect();
        by.sort_unstable();
        by.dedup();
        // Of equally many voices, the list with the most names: a name appears once the member has started.
        let names = |list: &[ListedMember]| list.iter().filter(|entry| entry.started()).count();
        if best.is_none_or(|(most, _, other)| (most, names(other)) < (by.len(), names(list))) {
            best = Some((by.len(), voters.len(), list));
        }
    }
    if let Some((by, of, list)) = best {
        let view = if by >= quorum(of) { View::Agreed { by, of } } else { View::Partial { by, of } };
        return (view, list.clone());
    }
    // Nobody serves clients: what the peer ports say is all there is.
    let heard = probes.filter_map(|probe| probe.peer.as_ref()).max_by_key(|peer| peer.members.len());
    match heard {
        Some(peer) if !peer.members.is_empty() => {
            let of = peer.members.iter().filter(|entry| !entry.learner).count();
            (View::Partial { by: 0, of }, peer.members.clone())
        }
        _ => (View::Missing, Vec::new()),
    }
}

/// Members repeat the raised alarms in Status, for free; asking for alarms would write to the raft log.
fn alarms<'a>(probes: impl Iterator<Item = &'a Probe>) -> BTreeMap<MemberId, Vec<Alarm>> {
    let mut raised: BTreeMap<MemberId, Vec<Alarm>> = BTreeMap::new();
    for text in probes.filter_map(status).flat_map(|status| &status.errors) {
        let Some((id, alarm)) = alarm(text) else { continue };
        let known = raised.entry(id).or_default();
        if !known.contains(&alarm) {
            known.push(alarm);
            known.sort_unstable();
        }
    }
    raised
}

/// `memberID:1234 alarm:NOSPACE`, the text form of the protobuf message.
pub(super) fn alarm(text: &str) -> Option<(MemberId, Alarm)> {
    let field = |name: &str| {
        text.split_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .map(|value| value.trim_start_matches(':'))
    };
    let id = field("memberID:").and_then(|id| id.parse().ok()).map_or(MemberId::new(0), MemberId::new);
    match field("alarm:")? {
        "NOSPACE" => Some((id, Alarm::NoSpace)),
        "CORRUPT" => Some((id, Alarm::Corrupt)),
        _ => None,
    }
}

fn seen(
    host: Option<String>,
    entry: Option<&ListedMember>,
    probe: &Probe,
    alarms: &BTreeMap<MemberId, Vec<Alarm>>,
    taken: Instant,
) -> SeenMember {
    let condition = condition(entry, probe, alarms);
    let role = match entry {
        None => Role::Unlisted,
        Some(entry) if entry.learner => Role::Learner,
        Some(_) => Role::Voter,
    };
    SeenMember {
        host,
        id: entry.map(|entry| entry.id),
        name: entry.map(|entry| entry.name.clone()).unwrap_or_default(),
        peer_urls: entry.map(|entry| entry.peer_urls.clone()).unwrap_or_default(),
        client_urls: entry.map(|entry| entry.client_urls.clone()).unwrap_or_default(),
        role,
        last_answer: condition.answers().then_some(taken),
        condition,
        status: status(probe).cloned(),
        lag: None,
        via: probe.grpc.as_ref().ok().map(|answers| answers.via.clone()),
    }
}

fn condition(
    entry: Option<&ListedMember>,
    probe: &Probe,
    alarms: &BTreeMap<MemberId, Vec<Alarm>>,
) -> Condition {
    let answers = match &probe.grpc {
        Ok(answers) => answers,
        Err(error) => {
            let mute = match error {
                EtcdError::Refused { .. } => Condition::Down,
                EtcdError::Silent { .. } | EtcdError::Unknown { .. } => Condition::Silent,
                EtcdError::Tls { why, .. } => Condition::Tls(why.clone()),
                EtcdError::Says { answer } => Condition::Denied(answer.to_string()),
                EtcdError::Unreachable { why, .. }
                | EtcdError::Protocol { why, .. }
                | EtcdError::Broken { why, .. } => Condition::Unreachable(why.clone()),
                EtcdError::Local(why) => Condition::Unreachable(why.clone()),
            };
            return match (&mute, entry) {
                (Condition::Silent, _) if probe.peer.is_some() => Condition::Joining,
                // It never ran, so nobody was there to be reached.
                (Condition::Down | Condition::Unreachable(_), Some(entry)) if !entry.started() => {
                    Condition::Unstarted
                }
                _ => mute,
            };
        }
    };
    if let (Some(entry), Ok(status)) = (entry, &answers.status) {
        if status.id != entry.id {
            return Condition::Stranger(status.id);
        }
        if alarms.get(&entry.id).is_some_and(|raised| raised.contains(&Alarm::Corrupt)) {
            return Condition::Corrupt;
        }
    }
    match &answers.read {
        Ok(()) => return Condition::Healthy,
        // The read itself was done before the question of rights: as good as an answer.
        Err(EtcdError::Says { answer: Answer::PermissionDenied }) => return Condition::Healthy,
        Err(EtcdError::Says {
            answer: answer @ (Answer::UserNameEmpty | Answer::UserNotFound | Answer::InvalidToken),
        }) => {
            return Condition::Denied(answer.to_string());
        }
        Err(_) => {}
    }
    match (&answers.status, &answers.read) {
        (Ok(status), _) if status.learner => match status.leader {
            Some(_) => Condition::Healthy,
            None => Condition::NotServing("it follows no leader".to_owned()),
        },
        (Ok(status), _) if status.leader.is_none() => Condition::NotServing("no leader".to_owned()),
        (_, Err(EtcdError::Unknown { .. })) => {
            Condition::NotServing("a linearizable read got no answer".to_owned())
        }
        (_, Err(error)) => Condition::NotServing(error.to_string()),
        (_, Ok(())) => Condition::Healthy,
    }
}
