//! Clusters for tests, written as a line of words: `h1=leader h2=ok h3=down`.
//!
//! Each word becomes a host of the inventory and the probe that such a host would give; the observation is then
//! assembled as in real life.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::error::{Answer, EtcdError};
use crate::id::{ClusterId, MemberId};
use crate::observation::{Answers, ListedMember, Observation, Probe, Status};
use crate::observe::{ClusterSpec, SpecMember};
use crate::peer_http::PeerMembers;

pub(crate) const INDEX: u64 = 50_000;

struct Word<'a> {
    host: &'a str,
    id: MemberId,
    learner: bool,
    listed: bool,
    in_spec: bool,
    started: bool,
    /// What its endpoint does: `ok`, `leader`, `noread`, `down`, …
    does: &'a str,
    lag: u64,
}

fn words(text: &str) -> Vec<Word<'_>> {
    text.split_whitespace()
        .enumerate()
        .map(|(at, word)| {
            let (host, mut does) = word.split_once('=').unwrap_or((word, "ok"));
            let mut flag = |name: &str| match does.strip_prefix(name) {
                Some(rest) => {
                    does = rest.strip_prefix(':').unwrap_or(rest);
                    true
                }
                None => false,
            };
            let (foreign, out, learner) = (flag("foreign"), flag("out"), flag("learner"));
            let unstarted = flag("unstarted");
            let (does, lag) = match does.split_once('-') {
                Some((does, lag)) => (does, lag.parse().expect("a lag is a number")),
                None => (does, 0),
            };
            Word {
                host,
                id: MemberId::new(at as u64 + 1),
                learner,
                listed: !out,
                in_spec: !foreign,
                started: !unstarted,
                does: if unstarted {
                    "down"
                } else if does.is_empty() {
                    "ok"
                } else {
                    does
                },
                lag,
            }
        })
        .collect()
}

pub(crate) fn peer(host: &str) -> Endpoint {
    format!("http://{host}:2380").parse().expect("hosts in tests are names")
}

fn list(words: &[Word<'_>]) -> Vec<ListedMember> {
    words
        .iter()
        .filter(|word| word.listed)
        .map(|word| ListedMember {
            id: word.id,
            name: if word.started { word.host.to_owned() } else { String::new() },
            peer_urls: vec![peer(word.host).to_string()],
            client_urls: if word.started { vec![format!("http://{}:2379", word.host)] } else { vec![] },
            learner: word.learner,
        })
        .collect()
}

fn probe(word: &Word<'_>, all: &[Word<'_>]) -> Probe {
    let address = peer(word.host).address().clone();
    let leader = all.iter().find(|word| word.does == "leader").map(|word| word.id);
    let open = || EtcdError::Unknown { call: "Range", why: "no answer".into() };
    let mute = |error, peer| Probe { grpc: Err(error), peer };
    let answer = |read: Result<(), EtcdError>| {
        let mute = || EtcdError::Says { answer: Answer::NotSupportedForLearner };
        let status = Status {
            id: if word.does == "stranger" { MemberId::new(99) } else { word.id },
            cluster: ClusterId::new(if word.does == "other" { 0xb } else { 0xa }),
            leader,
            version: "3.5.16".into(),
            revision: 7,
            raft_index: INDEX - word.lag,
            raft_applied: INDEX - word.lag,
            raft_term: 3,
            db_size: 1 << 20,
            db_in_use: 1 << 19,
            db_quota: None,
            learner: word.learner,
            errors: match word.does {
                "corrupt" => vec![format!("memberID:{} alarm:CORRUPT ", word.id.raw())],
                "full" => vec![format!("memberID:{} alarm:NOSPACE ", word.id.raw())],
                _ => vec![],
            },
        };
        let seen = if word.learner { Err(mute()) } else { Ok((word.id, list(all))) };
        let read = if word.learner { Err(mute()) } else { read };
        Probe {
            grpc: Ok(Answers { via: "controller".into(), status: Ok(status), list: seen, read }),
            peer: None,
        }
    };
    match word.does {
        "ok" | "leader" | "corrupt" | "full" | "stranger" | "other" => answer(Ok(())),
        "denied" => answer(Err(EtcdError::Says { answer: Answer::UserNameEmpty })),
        "forbidden" => answer(Err(EtcdError::Says { answer: Answer::PermissionDenied })),
        "noread" => answer(Err(open())),
        "down" => mute(EtcdError::Refused { address }, None),
        "silent" => mute(EtcdError::Silent { address, after: Duration::from_secs(3) }, None),
        "joining" => {
            let members = PeerMembers { cluster: None, members: list(all) };
            mute(EtcdError::Silent { address, after: Duration::from_secs(3) }, Some(members))
        }
        "gone" => mute(EtcdError::Unreachable { address, why: "no answer within 2s".into() }, None),
        "badtls" => mute(EtcdError::Tls { address, why: "certificate expired".into() }, None),
        other => panic!("no such word: {other}"),
    }
}

/// The observation those words make.
pub(crate) fn see(text: &str) -> Observation {
    let words = words(text);
    let spec = ClusterSpec {
        name: "etcd".into(),
        members: words
            .iter()
            .filter(|word| word.in_spec)
            .map(|word| SpecMember {
                host: word.host.to_owned(),
                name: None,
                client: format!("http://{}:2379", word.host).parse().expect("hosts in tests are names"),
                peer: peer(word.host),
            })
            .collect(),
    };
    let probes: Vec<Probe> =
        words.iter().filter(|word| word.in_spec).map(|word| probe(word, &words)).collect();
    let extra: BTreeMap<MemberId, Probe> =
        words.iter().filter(|word| !word.in_spec).map(|word| (word.id, probe(word, &words))).collect();
    Observation::assemble(&spec, &probes, &extra, Instant::now())
}
