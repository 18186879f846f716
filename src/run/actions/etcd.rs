//! The modules of our own, all of one family: they speak to etcd clusters over gRPC, from the controller or through
//! helpers on the members' hosts.
//!
//! In: arguments by the tables in [`SPECS`]. Out: what is, and what was changed. Every one has a check mode.
//!
//! Not here: the guard that stands before steps without being asked (`run::guard`).

mod cluster;
mod keys;
mod live;
mod maintain;
mod member;
mod plan;
mod rbac;
mod session;
mod snapshot;
mod spec;

use super::{ActionCall, ActionResult};
use crate::run::guard::cluster::{Ground, Pki};
use crate::run::task::Failure;
use quorate_agent::args::{Args, Place, check};
use quorate_etcd::{Address, Endpoint};
use quorate_value::str_of;
use std::path::PathBuf;

pub use spec::SPECS;

pub(super) async fn run(call: &ActionCall<'_>) -> ActionResult {
    let result = match call.module.as_str() {
        "etcd_live" => live::live(call).await,
        "etcd_info" => cluster::info(call).await,
        "etcd_health" => cluster::health(call).await,
        "etcd_guard" => cluster::guard(call).await,
        "etcd_member" => member::member(call).await,
        "etcd_leader" => member::leader(call).await,
        "etcd_snapshot" => snapshot::snapshot(call).await,
        "etcd_restore" => snapshot::restore(call).await,
        "etcd_defrag" => maintain::defrag(call).await,
        "etcd_compact" => maintain::compact(call).await,
        "etcd_alarm" => maintain::alarm(call).await,
        "etcd_user" => rbac::user(call).await,
        "etcd_role" => rbac::role(call).await,
        "etcd_auth" => rbac::auth(call).await,
        "etcd_key" => keys::key(call).await,
        "etcd_lock" => keys::lock(call).await,
        _ => plan::plan(call).await,
    };
    result.map(|result| (result, Vec::new()))
}

/// Arguments as the module's table has them.
fn checked(call: &ActionCall<'_>) -> Result<Args, Failure> {
    let spec = spec::of(&call.module);
    let checked = check(spec, &call.module, &call.args, Place::Controller);
    match checked.error {
        None => Ok(Args::new(checked.args, spec)),
        Some(complaint) => {
            let hint = complaint.hint.map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default();
            Err(Failure::action(format!("{}{hint}", complaint.msg)))
        }
    }
}

fn required(call: &ActionCall<'_>, name: &str) -> Result<String, Failure> {
    let given = call.args.get(name).filter(|value| !value.is_null()).map(str_of);
    given.ok_or_else(|| Failure::action(format!("missing required arguments: {name}")))
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

/// An address for messages.
fn shown(address: &Address) -> String {
    address.to_string()
}
