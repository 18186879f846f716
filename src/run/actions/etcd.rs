//! placeholder until the etcd actions land
use super::{ActionCall, ActionResult};
use crate::run::task::Failure;

pub(super) async fn run(call: &ActionCall<'_>) -> ActionResult {
    Err(Failure::action(format!("{} is not there yet", call.module)))
}
