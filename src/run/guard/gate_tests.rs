use super::*;
use crate::run::guard::cluster::Pki;
use quorate_etcd::endpoint::Scheme;
use quorate_etcd::observation::{Status, View};
use quorate_etcd::observe::{ClusterSpec, SpecMember};
use quorate_etcd::{ClusterId, Endpoint, MemberId, Policy, Role, SeenMember};

fn cluster(hosts: &[&str]) -> Cluster {
    let member = |host: &&str| SpecMember {
        host: (*host).to_owned(),
        name: None,
        client: Endpoint::new(Scheme::Https, host, 2379),
        peer: Endpoint::new(Scheme::Https, host, 2380),
    };
    Cluster {
        data: Vec::new(),
        spec: ClusterSpec { name: "etcd".into(), members: hosts.iter().map(member).collect() },
        units: Vec::new(),
        policy: Policy::default(),
        pki: Pki { ca: "/ca".into(), cert: "/cert".into(), key: "/key".into() },
    }
}

/// One word a host: name, role (`v` voter, `l` learner, `u` unlisted), condition (`+` healthy, `-` down, `?` not
/// reached, `0` never started, `j` waiting to join).
fn seen(words: &str) -> Observation {
    let members: Vec<SeenMember> = words
        .split_whitespace()
        .enumerate()
        .map(|(at, word)| {
            let (host, rest) = word.split_at(1);
            let (role, state) = rest.split_at(1);
            let role = match role {
                "v" => Role::Voter,
                "l" => Role::Learner,
                _ => Role::Unlisted,
            };
            let condition = match state {
                "+" => Condition::Healthy,
                "-" => Condition::Down,
                "?" => Condition::Unreachable("no answer".into()),
                "j" => Condition::Joining,
                _ => Condition::Unstarted,
            };
            let id = MemberId::new(at as u64 + 1);
            let healthy = condition == Condition::Healthy;
            let status = Status {
                id,
                cluster: ClusterId::new(9),
                leader: Some(MemberId::new(1)),
                version: "3.4.23".into(),
                revision: 1,
                raft_index: 9,
                raft_applied: 9,
                raft_term: 2,
                db_size: 1,
                db_in_use: 1,
                db_quota: None,
                learner: role == Role::Learner,
                errors: Vec::new(),
            };
            SeenMember {
                host: Some(host.to_owned()),
                id: (role != Role::Unlisted).then_some(id),
                name: host.to_owned(),
                peer_urls: Vec::new(),
                client_urls: Vec::new(),
                role,
                condition,
                status: healthy.then_some(status),
                lag: healthy.then_some(0),
                via: healthy.then(|| "controller".to_owned()),
                last_answer: None,
            }
        })
        .collect();
    let voters = members.iter().filter(|m| m.role == Role::Voter).count();
    let by = members.iter().filter(|m| m.role == Role::Voter && m.status.is_some()).count();
    let view = match (by, voters) {
        (0, _) => View::Missing,
        (by, of) if by > of / 2 => View::Agreed { by, of },
        (by, of) => View::Partial { by, of },
    };
    Observation {
        cluster: "etcd".into(),
        taken: Instant::now(),
        taken_unix_ms: None,
        cluster_ids: if by > 0 { vec![ClusterId::new(9)] } else { Vec::new() },
        view,
        members,
        leader: (by > 0).then(|| MemberId::new(1)),
        leader_known_by: by,
        raft_term: 2,
        alarms: Default::default(),
    }
}

#[rustfmt::skip] // read in columns
const CASES: &[(&str, Plan, &str, &str)] = &[
    // who is there,        what,          to whom, refusal's code or why
    ("au- bu- cu-",         Plan::Purge,   "abc",   "nobody answers"),          // first creation
    ("au- bu- cu?",         Plan::Purge,   "ab",    "nobody answers"),          // two of three are created
    ("au? bu? cu-",         Plan::Purge,   "a",     "G0117"),                   // a and b may be a quorum
    ("au? bu- cu-",         Plan::Purge,   "a",     "nobody answers"),
    ("au? bu? cu?",         Plan::Purge,   "abc",   "nobody answers"),          // all of it, as asked
    ("avj bvj cv-",         Plan::Purge,   "ab",    "nobody answers"),          // they wait for a quorum that never was
    ("av+ bv+ cv+",         Plan::Purge,   "abc",   "all voters go"),
    ("av+ bv+ cv-",         Plan::Purge,   "abc",   "all voters go"),
    ("av+ bv+ cv+",         Plan::Purge,   "a",     "2 of 3 voters stay"),
    ("av+ bv+ cv+",         Plan::Purge,   "ab",    "G0102"),
    ("av+ bv+ cv-",         Plan::Purge,   "a",     "G0102"),
    ("av+ bv+ cv-",         Plan::Purge,   "c",     "2 of 3 voters stay"),
    ("av+ bv+ cv+ du-",     Plan::Purge,   "d",     "3 of 3 voters stay"),      // in no member list
    ("av+ bv+ cv+ dl0",     Plan::Purge,   "d",     "3 of 3 voters stay"),      // announced as a learner
    ("av+ bv+ cv+ dv0",     Plan::Purge,   "d",     "they have never started"), // announced as a voter
    ("au- bu- cl+",         Plan::Purge,   "abc",   "no voter is left"),        // a learner outlived them
    ("au- bu? cl+",         Plan::Purge,   "abc",   "G0117"),
    ("av+",                 Plan::Restart, "a",     "all voters go"),           // one member: the role's own restart
    ("av+ bv+",             Plan::Restart, "a",     "G0102"),
    ("av+ bv+ cv+",         Plan::Restart, "b",     "2 of 3 voters stay"),
    ("av+ bv+ cv-",         Plan::Restart, "b",     "G0102"),
    ("av+ bv+ cv+ dv+ ev-", Plan::Stop,    "b",     "3 of 5 voters stay"),      // arithmetic alone
    ("av+ bv+ cv+ dv+ ev-", Plan::Stop,    "bc",    "G0102"),
];

fn answer(cluster: &Cluster, plan: Plan, hosts: &str, seen: &Observation) -> String {
    let hosts: Vec<String> = hosts.chars().map(String::from).collect();
    match decide(cluster, plan, &hosts, &Claims::default(), seen) {
        Ok(yes) => yes.why.first().cloned().unwrap_or_default(),
        Err(refusal) => refusal.code().to_owned(),
    }
}

#[test]
fn who_may_go() {
    for (members, plan, hosts, expected) in CASES {
        let seen = seen(members);
        let names: Vec<&str> = members.split_whitespace().map(|word| &word[..1]).collect();
        let said = answer(&cluster(&names), *plan, hosts, &seen);
        assert!(said.starts_with(expected), "{members}: {plan:?} {hosts}: {said}, expected {expected}");
    }
}

#[test]
fn the_inventory_may_allow_an_outage() {
    let mut two = cluster(&["a", "b"]);
    two.policy.allow_outage = true;
    assert!(answer(&two, Plan::Restart, "a", &seen("av+ bv+")).contains("voters stay"));
    assert_eq!(answer(&two, Plan::Purge, "a", &seen("av+ bv+")), "G0102", "data are another matter");
}

#[test]
fn a_refusal_is_about_what_was_asked() {
    let refusal = decide(
        &cluster(&["a", "b", "c"]),
        Plan::Restart,
        &["b".into()],
        &Claims::default(),
        &seen("av+ bv+ cv-"),
    );
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.to_string(), "restarting etcd on b would lose quorum of cluster \"etcd\"");
    assert!(refusal.facts().iter().all(|line| !line.contains("member remove")), "{:?}", refusal.facts());
    assert!(refusal.facts().iter().any(|line| line.contains("bring c back first")), "{:?}", refusal.facts());
}

#[test]
fn a_step_that_went_wrong_stops_restarts() {
    let poisoned = Claims { poisoned: Some("b did not come back".into()), ..Claims::default() };
    let answer =
        decide(&cluster(&["a", "b", "c"]), Plan::Restart, &["a".into()], &poisoned, &seen("av+ bv+ cv+"));
    assert_eq!(answer.unwrap_err().code(), "G0108");
}
