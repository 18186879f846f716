//! The modules of our own: `etcd_live`, `etcd_info`, `etcd_health`, `etcd_guard`.
//!
//! In: members as the role names them, and the operator's certificate on the controller. Out: what is there; none of
//! them ever changes anything, so all of them run in check mode too.
//!
//! Not here: the guard that stands before steps without being asked (`run::guard`).

mod cluster;
mod live;

use super::{ActionCall, ActionResult};
use crate::run::guard::cluster::{Cluster, Ground, Pki, policy, text};
use crate::run::task::{Failure, number};
use quorate_etcd::observe::{ClusterSpec, SpecMember};
use quorate_etcd::{Address, Endpoint};
use quorate_value::{Value, str_of};
use std::path::PathBuf;

pub(super) async fn run(call: &ActionCall<'_>) -> ActionResult {
    let result = match call.module.as_str() {
        "etcd_live" => live::live(call).await,
        "etcd_info" => cluster::info(call).await,
        "etcd_health" => cluster::health(call).await,
        _ => cluster::guard(call).await,
    };
    result.map(|result| (result, Vec::new()))
}

/// Refuses arguments that the module does not have, with the nearest one that it has.
fn known(call: &ActionCall<'_>, names: &[&str]) -> Result<(), Failure> {
    let unknown: Vec<String> = call
        .args
        .keys()
        .map(|key| key.json_text().into_owned())
        .filter(|key| !names.contains(&key.as_str()))
        .collect();
    let Some(first) = unknown.first() else { return Ok(()) };
    let near = quorate_yaml::nearest(first, names.iter().copied());
    let hint = near.first().map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default();
    Err(Failure::action(format!(
        "Unsupported parameters for ({}) module: {}. Supported parameters include: {}.{hint}",
        call.module,
        unknown.join(", "),
        names.join(", ")
    )))
}

fn required(call: &ActionCall<'_>, name: &str) -> Result<String, Failure> {
    let given = call.args.get(name).filter(|value| !value.is_null()).map(str_of);
    given.ok_or_else(|| Failure::action(format!("missing required arguments: {name}")))
}

fn choice<T: Copy>(
    call: &ActionCall<'_>,
    name: &str,
    otherwise: Option<T>,
    choices: &[(&str, T)],
) -> Result<T, Failure> {
    let Some(given) = call.args.get(name).filter(|value| !value.is_null()).map(str_of) else {
        return otherwise.ok_or_else(|| Failure::action(format!("missing required arguments: {name}")));
    };
    let found = choices.iter().find(|(text, _)| *text == given).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let all: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
        Failure::action(format!("value of {name} must be one of: {}, got: {given}", all.join(", ")))
    })
}

fn whole_number(call: &ActionCall<'_>, name: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = call.args.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    match number(value).filter(|n| *n >= 0.0 && n.fract() == 0.0) {
        Some(n) => Ok(Some(n as u64)),
        None => Err(Failure::action(format!("{name} must be a whole number, not `{}`", str_of(value)))),
    }
}

fn endpoint(name: &str, text: &str) -> Result<Endpoint, Failure> {
    text.parse().map_err(|error| Failure::action(format!("{name}: {error}")))
}

/// The operator's files, as given.
fn pki(call: &ActionCall<'_>) -> Result<Pki, Failure> {
    let path = |name: &str| -> Result<PathBuf, Failure> {
        let text = required(call, name)?;
        Ok(match text.strip_prefix("~/") {
            Some(rest) => crate::home().join(rest),
            None => PathBuf::from(text),
        })
    };
    Ok(Pki { ca: path("ca")?, cert: path("cert")?, key: path("key")? })
}

fn ground(call: &ActionCall<'_>) -> Ground {
    Ground { run: call.run.clone(), play: call.play.clone(), step: call.step.clone() }
}

/// `members`: a mapping by inventory name of `{name, endpoint, peer, …}`.
fn members(call: &ActionCall<'_>) -> Result<Cluster, Failure> {
    let Some(Value::Dict(given)) = call.args.get("members") else {
        return Err(match call.args.get("members") {
            None => Failure::action("missing required arguments: members"),
            Some(other) => {
                Failure::action(format!("members must be a mapping by host, not {}", other.type_name()))
            }
        });
    };
    let mut members = Vec::with_capacity(given.len());
    for (host, entry) in given.iter() {
        let host = host.json_text().into_owned();
        let part = |name: &str| {
            let value = match entry {
                Value::Dict(parts) => parts.get(name).filter(|value| !value.is_null()).map(str_of),
                _ => None,
            };
            value.ok_or_else(|| Failure::action(format!("members: {host} has no `{name}`")))
        };
        members.push(SpecMember {
            client: endpoint(&format!("members: {host}: endpoint"), &part("endpoint")?)?,
            peer: endpoint(&format!("members: {host}: peer"), &part("peer")?)?,
            name: part("name").ok().filter(|name| !name.is_empty()),
            host,
        });
    }
    let scope = ground(call).scope(call.host);
    let name = text(call.scope, "etcd_cluster").unwrap_or_else(|| "etcd".into());
    Ok(Cluster {
        spec: ClusterSpec { name, members },
        unit: "etcd".into(),
        policy: policy(&ground(call), &scope),
        pki: pki(call)?,
    })
}

/// An address for messages.
fn shown(address: &Address) -> String {
    address.to_string()
}
