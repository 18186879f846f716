//! `async_status`: how a detached job is getting on.

use super::detached;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::process::errno;
use quorate_value::{Dict, Value, dict, from_json_str};
use std::path::Path;

/// The `async_status` module.
pub struct AsyncStatus;

static SPEC: Spec =
    Spec::new("async_status", "Tells how a task that was started with `async` is getting on.").params(&[
        Param::str("jid").required().doc("The job, as `ansible_job_id` named it."),
        Param::str("mode")
            .choices(&["cleanup", "status"])
            .default_str("status")
            .doc("`cleanup` forgets the job's result."),
        Param::path("_async_dir")
            .default_str("~/.ansible_async")
            .doc("Where results are kept; set by the controller."),
    ]);

impl Module for AsyncStatus {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let jid = args.text("jid");
        let path = format!("{}/{jid}", args.text("_async_dir").trim_end_matches('/'));
        let unknown = |msg: &str| {
            Failure::new(msg).with_all(about(jid, &path, true, true)).with("stdout", "").with("stderr", "")
        };
        // A job's name is a name, not a way around the directory.
        if jid.contains('/') || !Path::new(&path).is_file() {
            return Err(unknown("could not find job"));
        }
        if args.text("mode") == "cleanup" {
            std::fs::remove_file(&path)
                .map_err(|error| unknown(&format!("could not erase {path}: {}", errno(&error))))?;
            let about = about(jid, &path, false, false);
            let mut outcome =
                Outcome::ok().with_all(about).with("erased", path).with("stdout", "").with("stderr", "");
            outcome.unset("results_file");
            return Ok(outcome);
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| unknown(&format!("could not read {path}: {}", errno(&error))))?;
        let status = match from_json_str(&text) {
            Ok(Value::Dict(status)) => Dict::clone(&status),
            _ => return Err(unknown("Could not parse job output").with("results_file", path.as_str())),
        };
        let flag = |key: &str| status.get(key).is_some_and(Value::is_truthy);
        if !flag("finished") {
            if let Some(pid) =
                status.get("_pid").and_then(Value::as_int).filter(|pid| !detached::is_running(*pid))
            {
                return Err(
                    unknown("the job ended without a result; was the host restarted?").with("child_pid", pid)
                );
            }
            let about = about(jid, &path, true, false);
            return Ok(Outcome::ok().with_all(about).with("stdout", "").with("stderr", ""));
        }
        let mut entries = status.clone();
        entries.remove("_pid");
        entries.extend(about(jid, &path, true, true));
        if flag("failed") {
            let msg = entries.remove("msg").map(|msg| quorate_value::str_of(&msg)).unwrap_or_default();
            return Err(Failure::new(msg).with_all(entries));
        }
        Ok(Outcome::changed_if(flag("changed")).with_all(entries).plain())
    }
}

fn about(jid: &str, path: &str, started: bool, finished: bool) -> Dict {
    dict! {"ansible_job_id" => jid, "results_file" => path, "started" => started, "finished" => finished}
}
