//! `etcd_key` and `etcd_lock`.

use super::session::{Session, told};
use crate::run::actions::ActionCall;
use crate::run::task::Failure;
use quorate_etcd::kv::Read;
use quorate_value::{Dict, dict};
use std::time::Duration;

pub(super) async fn key(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let (client, _) = session.any().await?;
    let args = &session.args;
    let name = args.text("name").as_bytes();
    if name.is_empty() {
        return Err(Failure::action("name: the empty key is none"));
    }
    if args.text("state") == "absent" {
        let there = if args.bool("prefix") {
            client.get_prefix(name, Read::Linearizable).await.map_err(told)?.len() as u64
        } else {
            u64::from(client.get(name, Read::Linearizable).await.map_err(told)?.is_some())
        };
        if there > 0 && !call.check {
            if args.bool("prefix") {
                client.delete_prefix(name).await.map_err(told)?;
            } else {
                client.delete(name).await.map_err(told)?;
            }
        }
        return Ok(dict! {"changed" => there > 0, "deleted" => there as i64});
    }
    if args.bool("prefix") {
        return Err(Failure::action("prefix goes with state: absent only"));
    }
    let value = args.text("value").as_bytes();
    let has = client.get(name, Read::Linearizable).await.map_err(told)?;
    let mut revision = has.as_ref().map_or(0, |kv| kv.mod_revision);
    let changed = has.is_none_or(|kv| kv.value != value);
    if changed && !call.check {
        revision = client.put(name, value, None).await.map_err(told)?;
    }
    Ok(dict! {"changed" => changed, "revision" => revision})
}

pub(super) async fn lock(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let key = session.args.text("name").to_owned();
    let cluster = session.cluster.name().to_owned();
    let guard = &call.run.guard;
    if call.check {
        return Ok(dict! {"changed" => true});
    }
    if session.args.text("state") == "absent" {
        let changed = guard.unlock(&cluster, &key).await.map_err(told)?;
        return Ok(dict! {"changed" => changed});
    }
    let seen = session.look().await;
    let patience = Duration::from_secs(session.args.int("timeout").unwrap_or(60).max(0) as u64);
    let endpoints = session.endpoints(&seen);
    let taken = guard.lock(call, &cluster, &key, &session.reach.access, &endpoints, patience).await;
    let changed = taken.map_err(|refusal| session.refused(refusal))?;
    Ok(dict! {"changed" => changed})
}
