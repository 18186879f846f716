use std::time::Duration;

use super::membership::keeps_learners;
use super::*;
use crate::fixture::see;
use crate::id::MemberId;
use proptest::prelude::*;

/// `stop h1`, `remove h2`, `learner h4`, `voter h4`, `promote h3`, `purge h1,h2`, `purge-all h1,h2`, …
fn step(text: &str) -> Step {
    let (verb, object) = text.split_once(' ').expect("a verb and an object");
    let target = Target::host(object);
    let hosts = || object.split(',').map(str::to_owned).collect();
    match verb {
        "stop" => Step::Stop(target),
        "restart" => Step::Restart(target),
        "defrag" => Step::Defragment(target),
        "remove" => Step::Remove(target),
        "promote" => Step::Promote(target),
        "update" => Step::UpdatePeer(target),
        "learner" => Step::AddLearner { peer: crate::fixture::peer(object) },
        "voter" => Step::AddVoter { peer: crate::fixture::peer(object) },
        "purge" => Step::Purge { hosts: hosts() },
        "purge-all" => Step::PurgeAll { hosts: hosts() },
        other => panic!("no such step: {other}"),
    }
}

fn policy(words: &str) -> Policy {
    Policy {
        allow_outage: words.contains("outage"),
        allow_degraded: words.contains("degraded"),
        allow_shrink: words.contains("shrink"),
        override_quorum: words.contains("override"),
        ..Policy::default()
    }
}

fn ask(cluster: &str, what: &str, words: &str, claims: &Claims) -> String {
    let seen = see(cluster);
    match may(&step(what), &seen, claims, &policy(words), seen.taken) {
        Err(refusal) => format!("{} {}", refusal.code(), refusal.facts()[1..].join(" | ")),
        Ok(verdict) => {
            let Tally { healthy, voters, need } = verdict.during;
            format!("yes {healthy}/{voters} need {need}")
        }
    }
}

#[rustfmt::skip] // read in columns
const CASES: &[(&str, &str, &str, &str)] = &[
    // cluster                               step              policy      verdict
    // Away for a while: who stays must be a quorum.
    ("h1=leader h2 h3",                      "restart h2",     "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3",                      "stop h1",        "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3 h4 h5",                "restart h5",     "",         "yes 4/5 need 3"),
    ("h1=leader h2 h3=down",                 "restart h2",     "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2 h3=gone",                 "restart h2",     "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2 h3=unstarted",            "restart h2",     "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2 h3=corrupt",              "restart h2",     "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2 h3=ok-5000",              "restart h2",     "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2 h3=down",                 "restart h2",     "degraded", "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2 h3 h4",                   "restart h2",     "",         "yes 3/4 need 3"),
    // Arithmetic would do, policy does not: redundancy is not lowered while something is broken.
    ("h1=leader h2 h3 h4 h5=down",           "restart h2",     "",         "G0109"),
    ("h1=leader h2 h3 h4 h5=down",           "restart h2",     "degraded", "yes 3/5 need 3"),
    // One or two voters: every stop is an outage.
    ("h1=leader",                            "restart h1",     "",         "G0110"),
    ("h1=leader",                            "restart h1",     "outage",   "yes 0/1 need 1"),
    ("h1=leader",                            "restart h1",     "override", "yes 1/1 need 1"),
    ("h1=leader h2",                         "restart h2",     "",         "G0110"),
    ("h1=leader h2",                         "restart h2",     "outage",   "yes 1/2 need 2"),
    ("h1=leader h2",                         "defrag h2",      "",         "G0110"),
    // Mending: what serves nobody may be restarted, also when the cluster is out.
    ("h1=leader h2 h3=down",                 "restart h3",     "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3=silent",               "restart h3",     "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3=noread",               "restart h3",     "",         "yes 2/3 need 2"),
    ("h1=noread h2=down h3=down",            "restart h2",     "",         "yes 0/3 need 2"),
    ("h1=joining h2=down h3=down",           "restart h1",     "",         "yes 0/3 need 2"),
    // … but not the survivor, which is the last to give a snapshot; nor where our own sight is short.
    ("h1=noread h2=down h3=down",            "restart h1",     "",         "G0104 healthy voters now: 0 of 3, needed: 2"),
    ("h1=leader h2=gone h3=down",            "restart h3",     "",         "G0104 healthy voters now: 1 of 3, needed: 2"),
    ("h1=leader h2=gone h3=gone",            "restart h1",     "",         "G0104 healthy voters now: 1 of 3, needed: 2"),
    // Learners have no vote; hosts outside the list none either.
    ("h1=leader h2 h3 h4=learner",           "restart h4",     "",         "yes 3/3 need 2"),
    ("h1=leader h2 h3=learner",              "restart h2",     "",         "G0110"),
    ("h1=leader h2 h3 h4=out:ok",            "stop h4",        "",         "yes 3/3 need 2"),
    ("h1=out:down h2=out:down",              "restart h1",     "",         "yes 0/0 need 1"),
    ("h1=out:gone h2=out:down",              "restart h1",     "",         "G0117"),
    // Sanity of the view.
    ("h1 h2 h3",                             "restart h1",     "",         "G0103"),
    ("h1=leader h2 h3=other",                "restart h1",     "",         "G0105"),
    ("h1=denied h2=denied h3=denied",        "restart h1",     "",         "G0104 healthy voters now: 0 of 3, needed: 2"),
    ("h1=leader h2 h3",                      "restart h9",     "",         "G0118"),
    // Alarms.
    ("h1=leader h2 h3=full",                 "restart h2",     "",         "G0113"),
    ("h1=leader h2 h3=full",                 "defrag h2",      "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3 h4 h5=corrupt",        "defrag h2",      "",         "G0113"),
    ("h1=leader h2 h3=full",                 "learner h4",     "",         "G0113"),
    // Removing, beside what etcd's own check does (OPERATIONS 14.3).
    ("h1=leader h2 h3",                      "remove h3",      "",         "G0119"),
    ("h1=leader h2 h3",                      "remove h3",      "shrink",   "yes 2/2 need 2"),
    ("h1=leader h2 h3=down",                 "remove h2",      "shrink",   "G0102 healthy voters after this step: 1 of 2, needed: 2"),
    ("h1=leader h2 h3 h4=down",              "remove h3",      "",         "G0109"),
    ("h1=leader h2 h3 h4 h5=down",           "remove h4",      "",         "G0109"),
    ("h1=leader h2 h3 h4=down h5=down",      "remove h3",      "",         "G0102 healthy voters after this step: 2 of 4, needed: 3"),
    ("h1=leader h2 h3=down",                 "remove h3",      "",         "yes 2/2 need 2"),
    ("h1=leader h2 h3 h4=down h5=down",      "remove h5",      "",         "yes 3/4 need 3"),
    ("h1=leader h2=down",                    "remove h2",      "",         "G0104 healthy voters now: 1 of 2, needed: 2"),
    ("h1=noread h2=down h3=down",            "remove h2",      "",         "G0104 healthy voters now: 0 of 3, needed: 2"),
    ("h1=leader",                            "remove h1",      "",         "G0114"),
    ("h1=leader h2=learner:down",            "remove h2",      "",         "yes 1/1 need 1"),
    ("h1=leader h2 h3 h4=out:down",          "remove h4",      "",         "yes 3/3 need 2"),
    // Adding.
    ("h1=leader",                            "learner h2",     "",         "yes 1/1 need 1"),
    ("h1=leader",                            "voter h2",       "",         "G0111 healthy voters after this step: 1 of 2, needed: 2"),
    ("h1=leader h2",                         "voter h3",       "",         "G0111 healthy voters after this step: 2 of 3, needed: 2"),
    ("h1=leader h2 h3",                      "voter h4",       "",         "yes 3/4 need 3"),
    ("h1=leader h2 h3=down",                 "learner h4",     "",         "G0109"),
    ("h1=leader h2 h3=unstarted",            "learner h4",     "",         "G0115"),
    ("h1=leader h2 h3 h4=learner",           "learner h5",     "",         "G0115"),
    ("h1=leader h2 h3 h4=learner:unstarted", "learner h4",     "",         "yes 3/3 need 2"),
    // Promoting: by our measure of "in sync", not by etcd's.
    ("h1=leader h2=learner",                 "promote h2",     "",         "yes 2/2 need 2"),
    ("h1=leader h2=learner:ok-300",          "promote h2",     "",         "G0112"),
    ("h1=leader h2=learner:silent",          "promote h2",     "",         "G0112"),
    ("h1=leader h2 h3=down h4=learner",      "promote h4",     "",         "G0109"),
    ("h1=leader h2",                         "promote h2",     "",         "yes 2/2 need 2"),
    // Updating a learner on a release that would give it a vote.
    ("h1=leader h2=learner",                 "update h2",      "",         "G0120"),
    ("h1=leader h2 h3",                      "update h2",      "",         "yes 3/3 need 2"),
    // Purging: all of it, or a part that the rest can do without.
    ("h1=leader h2 h3",                      "purge-all h1,h2,h3", "",     "yes 0/3 need 2"),
    ("h1=noread h2=down h3=down",            "purge-all h1,h2,h3", "",     "yes 0/3 need 2"),
    ("h1=out:down h2=out:gone",              "purge-all h1,h2", "",        "yes 0/0 need 1"),
    ("h1=leader h2=down h3=down h4=learner", "purge h4",       "",         "G0106"),
    ("h1=leader h2 h3",                      "purge-all h1,h2", "",        "G0116"),
    ("h1=leader h2 h3=foreign",              "purge-all h1,h2", "",        "G0116"),
    ("h1=leader",                            "purge h1",       "",         "yes 0/1 need 1"),
    ("h1=leader h2 h3",                      "purge h1,h2,h3", "",         "yes 0/3 need 2"),
    ("h1=leader h2 h3",                      "purge h2",       "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3",                      "purge h2,h3",    "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=leader h2",                         "purge h2",       "outage",   "G0102 healthy voters after this step: 1 of 2, needed: 2"),
    ("h1=leader h2 h3=down",                 "purge h3",       "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3=down",                 "purge h2",       "",         "G0102 healthy voters after this step: 1 of 3, needed: 2"),
    ("h1=noread h2=down h3=down",            "purge h3",       "",         "G0102 healthy voters after this step: 0 of 3, needed: 2"),
    ("h1=leader h2 h3 h4=out:down",          "purge h4",       "",         "yes 3/3 need 2"),
    ("h1=leader h2 h3=down h4=out:ok",       "purge h4",       "",         "yes 2/3 need 2"),
    ("h1=leader h2 h3=learner:down",         "purge h3",       "",         "yes 2/2 need 2"),
    ("h1=out:down h2=out:down",              "purge h1",       "",         "yes 0/0 need 1"),
    ("h1=out:down h2=out:gone",              "purge h1",       "",         "G0117"),
];

#[test]
fn verdicts() {
    for (cluster, what, words, expected) in CASES {
        let said = ask(cluster, what, words, &Claims::default());
        // The way out follows the facts; it has a test of its own.
        let matches = if expected.len() == 5 {
            said.starts_with(expected)
        } else {
            said == *expected || said.starts_with(&format!("{expected} |"))
        };
        assert!(matches, "{cluster} / {what} / {words}: {said}, not {expected}");
    }
}

fn claim(member: u64, effect: Effect) -> Claim {
    Claim {
        cluster: "etcd".into(),
        member: Some(MemberId::new(member)),
        host: Some(format!("h{member}")),
        effect,
        holder: format!("Restart etcd on h{member}"),
    }
}

#[test]
fn one_slot_at_a_time() {
    let held = |claim: Claim| Claims { held: vec![claim], poisoned: None };
    let five = "h1=leader h2 h3 h4 h5";
    assert!(ask(five, "restart h2", "", &held(claim(3, Effect::Absence))).starts_with("G0107"));
    // With more slots, what others may have away is gone for the arithmetic.
    let seen = see(five);
    let roomy = Policy { slots: 3, ..Policy::default() };
    let during = |held: Vec<Claim>| {
        let claims = Claims { held, poisoned: None };
        may(&step("restart h2"), &seen, &claims, &roomy, seen.taken).map(|verdict| verdict.during.healthy)
    };
    assert_eq!(during(vec![claim(3, Effect::Absence)]), Ok(3));
    let refused = during(vec![claim(3, Effect::Absence), claim(4, Effect::Absence)]).unwrap_err();
    assert_eq!(refused.why, Why::WouldLoseQuorum { after: Tally::new(2, 5) });
    // A change of membership wants the cluster for itself, in both directions.
    assert_eq!(during(vec![claim(3, Effect::Membership)]).unwrap_err().code(), "G0107");
    let claims = held(claim(3, Effect::Absence));
    assert_eq!(may(&step("remove h2"), &seen, &claims, &roomy, seen.taken).unwrap_err().code(), "G0107");
}

#[test]
fn slots_of_other_clusters_matter_only_on_a_shared_host() {
    let other = |member| Claim { cluster: "other".into(), ..claim(member, Effect::Absence) };
    let held = |claim: Claim| Claims { held: vec![claim], poisoned: None };
    assert!(ask("h1=leader h2 h3", "restart h2", "", &held(other(3))).starts_with("yes"));
    assert!(ask("h1=leader h2 h3", "restart h2", "", &held(other(2))).starts_with("G0107"));
}

#[test]
fn old_facts_and_failed_steps() {
    let seen = see("h1=leader h2 h3");
    let late = seen.taken + Duration::from_secs(3);
    let overridden = policy("override");
    let stale = may(&step("restart h2"), &seen, &Claims::default(), &overridden, late).unwrap_err();
    assert_eq!(
        stale.to_string(),
        "restarting etcd on h2: cluster \"etcd\" was last read 3.0 s ago, at most 2.0 s is allowed"
    );
    let poisoned = Claims { held: vec![], poisoned: Some("h1 did not come back in 60 s".into()) };
    assert!(ask("h1=leader h2 h3", "restart h2", "", &poisoned).starts_with("G0108"));
}

#[test]
fn every_code_is_said_to_somebody() {
    let mut said: std::collections::BTreeSet<String> = CASES
        .iter()
        .map(|(cluster, what, words, _)| ask(cluster, what, words, &Claims::default()))
        .filter_map(|verdict| verdict.split_whitespace().next().map(str::to_owned))
        .filter(|word| word.starts_with('G'))
        .collect();
    // what a picture of a cluster does not hold: time, and what else is under way
    let seen = see("h1=leader h2 h3");
    let late = seen.taken + Duration::from_secs(3);
    let code =
        |claims: &Claims, now| may(&step("stop h2"), &seen, claims, &policy(""), now).unwrap_err().code();
    said.insert(code(&Claims::default(), late).to_owned());
    said.insert(
        code(&Claims { held: vec![claim(3, Effect::Absence)], poisoned: None }, seen.taken).to_owned(),
    );
    said.insert(
        code(&Claims { held: vec![], poisoned: Some("h1 did not come back".into()) }, seen.taken).to_owned(),
    );
    // one command that names several pods: told by the controller, which reads commands (src/run/guard/pods.rs)
    said.insert("G0121".to_owned());
    let documented: std::collections::BTreeSet<String> = include_str!("../../../docs/reference/errors.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| ")?.split_once(" |")?.0.to_owned()))
        .filter(|code| code.starts_with('G'))
        .collect();
    assert_eq!(said, documented);
}

#[test]
fn a_refusal_as_people_read_it() {
    let seen = see("h1=leader h2 h3=down");
    let refusal =
        may(&step("stop h2"), &seen, &Claims::default(), &Policy::default(), seen.taken).unwrap_err();
    assert_eq!(refusal.code(), "G0102");
    assert_eq!(refusal.to_string(), "stopping etcd on h2 would lose quorum of cluster \"etcd\"");
    assert_eq!(
        refusal.facts(),
        [
            "members: h1 leader healthy · h2 voter healthy · h3 voter DOWN (connection refused)",
            "healthy voters after this step: 1 of 3, needed: 2",
            "bring h3 back first:  quorate play etcd.yml -l h3 -t etcd_launch",
        ]
    );
    assert!(!refusal.why.passes_by_itself());
}

#[test]
fn a_closed_door_is_not_a_dead_member() {
    let seen = see("h1=denied h2=denied h3=denied");
    let refusal =
        may(&step("stop h2"), &seen, &Claims::default(), &Policy::default(), seen.taken).unwrap_err();
    assert_eq!(
        refusal.way_out,
        ["log in: a client certificate with CN=root, or the user root and its password"]
    );
}

#[test]
fn the_override_is_loud() {
    let seen = see("h1=leader h2 h3=down");
    let verdict = may(&step("stop h2"), &seen, &Claims::default(), &policy("override"), seen.taken).unwrap();
    assert_eq!(verdict.overridden().map(Refusal::code), Some("G0102"));
    assert_eq!(
        verdict.notes[0].to_string(),
        "GUARD OVERRIDDEN [G0102]: stopping etcd on h2 would lose quorum of cluster \"etcd\""
    );
}

#[test]
fn a_grant_says_when_nothing_is_to_spare() {
    let notes = |cluster: &str, what: &str| {
        let seen = see(cluster);
        let verdict = may(&step(what), &seen, &Claims::default(), &Policy::default(), seen.taken).unwrap();
        verdict.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        notes("h1=leader h2 h3", "restart h2"),
        ["during this step the cluster tolerates no failure (2 of 3)"]
    );
    assert!(notes("h1=leader h2 h3 h4 h5", "restart h2").is_empty());
    assert_eq!(
        notes("h1=leader h2 h3", "purge h2")[0],
        "h2 still in the member list: remove it there, it can only come back under a new id"
    );
}

#[test]
fn releases_that_keep_learners() {
    for (version, keeps) in [
        ("3.4.45", false),
        ("3.5.30", false),
        ("3.5.31", true),
        ("3.6.11", false),
        ("3.6.12", true),
        ("3.7.0", true),
        ("4.0.0", true),
        ("x", false),
        ("3.5.31-rc.1", true),
    ] {
        assert_eq!(keeps_learners(version), keeps, "{version}");
    }
}

const STATES: &[&str] = &[
    "ok",
    "ok",
    "ok",
    "down",
    "silent",
    "gone",
    "noread",
    "joining",
    "corrupt",
    "full",
    "unstarted",
    "learner",
    "ok-5000",
    "out:down",
];

fn cluster() -> impl Strategy<Value = String> {
    (proptest::collection::vec(0..STATES.len(), 1..8), any::<bool>()).prop_map(|(states, led)| {
        let word = |(at, state): (usize, &usize)| match (at, led) {
            (0, true) => "h1=leader".to_owned(),
            _ => format!("h{}={}", at + 1, STATES[*state]),
        };
        states.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
    })
}

fn claims(upto: u64) -> impl Strategy<Value = Claims> {
    proptest::collection::vec(1..=upto, 0..3).prop_map(|ids| Claims {
        held: ids.into_iter().map(|id| claim(id, Effect::Absence)).collect(),
        poisoned: None,
    })
}

proptest! {
    /// The law of the guard: whoever is let go, a quorum of healthy voters that nobody else has away stays. The only
    /// grants outside of it take away somebody who serves nobody.
    #[test]
    fn a_granted_stop_keeps_quorum(
        text in cluster(),
        who in 1_usize..8,
        claims in claims(7),
        slots in 1_usize..4,
        verb in proptest::sample::select(vec!["stop", "restart", "defrag", "purge"]),
        allow_degraded in any::<bool>(),
    ) {
        let seen = see(&text);
        let policy = Policy { allow_degraded, slots, ..Policy::default() };
        let granted = may(&step(&format!("{verb} h{who}")), &seen, &claims, &policy, seen.taken);
        if granted.is_ok() {
            let target = seen.find(&Target::host(format!("h{who}"))).expect("granted for a known host");
            let away = |id: Option<MemberId>| {
                id == target.id || claims.held.iter().any(|claim| claim.member == id)
            };
            let voters = seen.voters().count();
            let stay = seen.voters().filter(|voter| voter.serves(policy.max_lag) && !away(voter.id)).count();
            let served = target.role == Role::Voter && target.serves(policy.max_lag);
            let whole = verb == "purge" && voters == 1;
            prop_assert!(
                !served || stay >= quorum(voters) || whole,
                "{text}: {verb} h{who} leaves {stay} of {voters}"
            );
        }
    }

    /// A member list never shrinks or grows into one that the healthy cannot carry.
    #[test]
    fn a_granted_change_of_membership_keeps_quorum(
        text in cluster(),
        who in 1_usize..9,
        verb in proptest::sample::select(vec!["remove", "learner", "voter", "promote"]),
        allow_degraded in any::<bool>(),
    ) {
        let seen = see(&text);
        let policy = Policy { allow_degraded, allow_shrink: true, ..Policy::default() };
        let step = step(&format!("{verb} h{who}"));
        if let Ok(verdict) = may(&step, &seen, &Claims::default(), &policy, seen.taken) {
            prop_assert!(verdict.during.has_quorum(), "{text}: {step:?} gives {:?}", verdict.during);
            prop_assert!(seen.commits());
        }
    }

    /// More health never turns a yes into a no.
    #[test]
    fn mending_a_member_never_forbids(text in cluster(), who in 1_usize..8) {
        let before = see(&text);
        let better = text.replace("=down", "=ok").replace("=silent", "=ok").replace("=gone", "=ok");
        let after = see(&better);
        let step = step(&format!("restart h{who}"));
        let ask = |seen: &Observation| may(&step, seen, &Claims::default(), &Policy::default(), seen.taken);
        let target = before.find(&Target::host(format!("h{who}")));
        let needs_mending = target.is_none_or(|member| member.condition != Condition::Healthy);
        if before.voters().count() > 2 && !needs_mending && ask(&before).is_ok() {
            prop_assert!(ask(&after).is_ok(), "{text} -> {better}: {:?}", ask(&after));
        }
    }
}
