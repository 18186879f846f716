//! Modules as tasks see them: a job in, a result out, on real files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod command;
mod copy;
mod crypto;
mod detached;
mod recorded;
mod unarchive;

use quorate_agent::module::{NoContent, run_local};
use quorate_agent::protocol::Job;
use quorate_agent::system::process::Cancel;
use quorate_value::{Dict, Value};
use std::sync::Arc;

/// Runs a module.
pub fn run(module: &str, args: Dict) -> Dict {
    job(Job { module: module.into(), args, diff: true, ..Job::default() })
}

/// Runs a module in check mode.
pub fn check(module: &str, args: Dict) -> Dict {
    job(Job { module: module.into(), args, check: true, diff: true, ..Job::default() })
}

/// Runs any job.
pub fn job(job: Job) -> Dict {
    run_local(&job, Arc::new(NoContent), &Cancel::default()).expect("no module panics")
}

/// Text in a result.
pub fn text<'a>(result: &'a Dict, key: &str) -> &'a str {
    result.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no text `{key}` in {result:?}"))
}

/// A boolean in a result; absent ones are false.
pub fn flag(result: &Dict, key: &str) -> bool {
    result.get(key).is_some_and(Value::is_truthy)
}
