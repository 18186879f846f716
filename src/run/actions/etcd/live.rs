//! `etcd_live`: does a live instance run on this host, and if not, which data are there?
//!
//! Four questions, asked at once: the client port, the peer port, the unit, and the processes that have the data open.
//! The host answers the last two itself. What cannot be asked counts as "may be there".

use super::{checked, endpoint, ground, pki, required, shown};
use crate::run::actions::{ActionCall, remote};
use crate::run::guard::reach::{Through, access, identity};
use crate::run::task::Failure;
use quorate_etcd::live::{Facts, Verdict};
use quorate_etcd::observe::{ClusterSpec, SpecMember};
use quorate_etcd::{Access, Endpoint, EtcdError, MemberClient, peer_http};
use quorate_value::{Dict, Value, dict, str_of};

pub(super) async fn live(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    checked(call)?;
    let client = endpoint("endpoint", &required(call, "endpoint")?)?;
    let peer = endpoint("peer", &required(call, "peer")?)?;
    let data = required(call, "data")?;
    let unit = call.args.get("unit").filter(|v| !v.is_null()).map_or_else(|| "etcd".into(), str_of);
    // first, so that a host that cannot be reached is said to be unreachable, whatever its ports say
    let process = call.args.get("process").filter(|given| !given.is_null()).cloned();
    let mut asked = dict! {"unit" => &unit, "data" => &data};
    if let Some(process) = &process {
        asked.insert("process", process.clone());
    }
    let facts = remote::module(call, "etcd_facts", asked, Vec::new()).await?;
    if facts.get("failed").is_some_and(Value::is_truthy) {
        return Ok(facts);
    }
    let spec = ClusterSpec {
        name: String::new(),
        members: vec![SpecMember {
            host: call.target.host.clone(),
            name: None,
            client: client.clone(),
            peer: peer.clone(),
        }],
    };
    let through = Through::new(call.target.clone(), call.become_.cloned());
    let access = access(&ground(call), &spec, identity(&pki(call)?).0, Some(through));
    let (grpc, peers) =
        tokio::join!(Box::pin(grpc(&client, &access)), Box::pin(peer_answers(&peer, &access)));

    let state = facts.get("unit_state").and_then(Value::as_str).map(str::to_owned);
    let holders = facts.get("holders").and_then(Value::as_list).map(<[Value]>::to_vec);
    let known = |name: &str| facts.get(name).and_then(Value::as_bool);
    let log_says =
        |name: &str| facts.get("log").and_then(Value::as_dict).and_then(|log| log.get(name)?.as_int());
    let seen = Facts {
        log_empty: log_says("index") == Some(0) && log_says("commit") == Some(0),
        grpc_answers: grpc,
        peer_answers: peers,
        unit_active: state.as_deref().map(|state| !matches!(state, "inactive" | "failed")),
        process_holds_dir: holders.as_ref().map(|pids| !pids.is_empty()),
        wal_exists: known("wal"),
        db_exists: known("db"),
    };
    let verdict = Verdict::of(seen);
    let mut why: Vec<String> = Vec::new();
    for (answer, url) in [(grpc, &client), (peers, &peer)] {
        match answer {
            Some(true) => why.push(format!("{url} answers")),
            None if verdict == Verdict::Unknown => why.push(format!("{} is silent", shown(url.address()))),
            _ => {}
        }
    }
    let runner = runner(process.as_ref(), &unit);
    match (&state, seen.unit_active) {
        (Some(state), Some(true)) => why.push(format!("{runner} is {state}")),
        (None, _) => why.push(format!("the state of {runner} could not be read")),
        _ => {}
    }
    match &holders {
        Some(pids) if !pids.is_empty() => {
            let pids: Vec<String> = pids.iter().map(str_of).collect();
            why.push(format!("process {} has {data} open", pids.join(", ")));
        }
        None => why.push("an etcd runs whose open files cannot be read without root".into()),
        Some(_) => {}
    }
    match (seen.wal_exists, seen.db_exists) {
        (Some(true), _) if seen.log_empty => {
            why.push(format!(
                "{data} holds a log without an entry: the member was started after its data was lost"
            ));
        }
        (Some(true), _) => why.push(format!("{data} holds a write-ahead log")),
        (None, _) => why.push(format!("{data} cannot be read")),
        (_, Some(true)) => why.push(format!("{data} holds a database without a log")),
        _ => {}
    }
    let why: Value = why.iter().map(Value::from).collect();
    Ok(dict! {
        "changed" => false, "live" => verdict == Verdict::Live, "verdict" => verdict.to_string(),
        "wal" => seen.wal_exists.unwrap_or(true), "why" => why,
        "process" => facts.get("process").cloned().unwrap_or(Value::Null),
        // whose data it is, from the log itself
        "log" => facts.get("log").cloned().unwrap_or(Value::Null),
    })
}

/// `unit etcd`, `container etcd`, `manifest /etc/…`.
fn runner(process: Option<&Value>, unit: &str) -> String {
    let process = process.and_then(Value::as_dict);
    let text =
        |name: &str| process.and_then(|process| process.get(name)).filter(|v| !v.is_null()).map(str_of);
    let what = match text("runtime").as_deref() {
        Some("podman" | "docker") => "container",
        Some("staticpod") => "manifest",
        _ => return format!("unit {unit}"),
    };
    format!("{what} {}", text("name").unwrap_or_else(|| "etcd".into()))
}

async fn grpc(url: &Endpoint, access: &Access) -> Option<bool> {
    somebody(MemberClient::connect(url, access).await.map(drop))
}

async fn peer_answers(url: &Endpoint, access: &Access) -> Option<bool> {
    somebody(peer_http::members(url, access).await.map(drop))
}

/// Whether somebody is there, from how a call ended. A certificate that does not suit is somebody's too.
fn somebody(outcome: Result<(), EtcdError>) -> Option<bool> {
    match outcome {
        Ok(())
        | Err(
            EtcdError::Tls { .. }
            | EtcdError::Says { .. }
            | EtcdError::Protocol { .. }
            | EtcdError::Broken { .. },
        ) => Some(true),
        Err(EtcdError::Refused { .. }) => Some(false),
        Err(
            EtcdError::Silent { .. }
            | EtcdError::Unknown { .. }
            | EtcdError::Unreachable { .. }
            | EtcdError::Local(_),
        ) => None,
    }
}
