//! `async`: a job that outlives the connection, in a session of its own.
//!
//! The helper starts itself once more with [`FLAG`]; that process leaves the session, runs the job, and keeps its
//! state in `~/.ansible_async/JID`, where `async_status` reads it.
//!
//! **Invariant:** the status file is always complete JSON, and readable by its owner only.

use crate::module::{ContentProvider, Failure, NoContent};
use crate::protocol::{self, AsyncSpec, Content, Job, Request};
use crate::system::files::{self, Wanted};
use crate::system::process::{Cancel, errno};
use quorate_value::{Dict, JsonStyle, Value, dict};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The first argument that makes a program which links this library run [`main`] instead of its own work.
pub const FLAG: &str = "--quorate-detached-job";

/// Where status files are.
pub fn directory(given: Option<&str>, environment: &[(String, String)]) -> PathBuf {
    PathBuf::from(crate::args::Place::Host(environment).expand_path(given.unwrap_or("~/.ansible_async")))
}

/// Starts a job in a session of its own; answers as soon as it runs.
pub(crate) fn start(mut job: Job, provider: &Arc<dyn ContentProvider>, cancel: &Cancel) -> Dict {
    let Some(spec) = job.async_.clone() else { return Failure::new("no async job").into_result() };
    match launch(&mut job, &spec, provider, cancel) {
        Ok(status) => dict! {
            "changed" => true,
            "started" => true,
            "finished" => false,
            "ansible_job_id" => spec.jid,
            "results_file" => status.to_string_lossy().into_owned(),
        },
        Err(failure) => failure.into_result(),
    }
}

fn launch(
    job: &mut Job,
    spec: &AsyncSpec,
    provider: &Arc<dyn ContentProvider>,
    cancel: &Cancel,
) -> Result<PathBuf, Failure> {
    let directory = directory(spec.dir.as_deref(), &job.environment);
    let status = directory.join(&spec.jid);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(|error| {
        Failure::new(format!("could not create: {} - {}", directory.display(), errno(&error)))
    })?;
    gather_content(job, provider, cancel)?;
    let failed = |error: std::io::Error| Failure::new(format!("could not start the job: {}", errno(&error)));
    let mut child = std::process::Command::new("/proc/self/exe")
        .arg(FLAG)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let request = Request::Run { id: 0, job: Box::new(std::mem::take(job)) };
    let bytes = protocol::encode(&request).map_err(|error| Failure::new(error.to_string()))?;
    let running = dict! {"started" => true, "finished" => false, "ansible_job_id" => spec.jid.as_str(), "_pid" => child.id()};
    save(&status, &running)?;
    child.stdin.take().map_or(Ok(()), |mut input| input.write_all(&bytes)).map_err(failed)?;
    // It forks no more, so somebody has to collect it while we live.
    std::thread::spawn(move || child.wait());
    Ok(status)
}

/// Content has to travel along: there will be nobody to ask.
fn gather_content(
    job: &mut Job,
    provider: &Arc<dyn ContentProvider>,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let mut hashes = Vec::new();
    named_content(&Value::dict(job.args.clone()), &mut hashes);
    for hash in hashes {
        if job.content.iter().any(|content| content.hash == hash) {
            continue;
        }
        let data = provider
            .fetch(&hash, cancel)
            .and_then(|body| body.bytes().map_err(|error| errno(&error)))
            .map_err(|why| Failure::new(format!("could not receive the content of this task: {why}")))?;
        job.content.push(Content { hash, data });
    }
    Ok(())
}

fn named_content(value: &Value, into: &mut Vec<protocol::Hash>) {
    match value {
        Value::Dict(entries) => {
            for (key, value) in entries.iter() {
                match (key.as_str(), value.as_str().and_then(protocol::hash_from_hex)) {
                    (Some("_content" | "hash"), Some(hash)) => into.push(hash),
                    _ => named_content(value, into),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| named_content(item, into)),
        _ => {}
    }
}

fn save(path: &std::path::Path, status: &Dict) -> Result<(), Failure> {
    let json = JsonStyle::default().write(&Value::dict(status.clone()));
    let wanted = Wanted { mode: Some(Value::from("0600")), ..Wanted::default() };
    files::write(&path.to_string_lossy(), json.as_bytes(), &wanted)
}

/// The detached process: reads one job, runs it, leaves its result.
pub fn main() -> ExitCode {
    // A new session: no terminal, and no signal meant for the connection reaches us. It fails only for the leader of a
    // process group, which whoever starts us by hand may make us; then the group is ours already.
    rustix::process::setsid().ok();
    let Ok(Some(Request::Run { mut job, .. })) = protocol::read_message(&mut std::io::stdin().lock()) else {
        return ExitCode::FAILURE;
    };
    let Some(spec) = job.async_.take() else { return ExitCode::FAILURE };
    let status = directory(spec.dir.as_deref(), &job.environment).join(&spec.jid);
    let cancel = Cancel::default();
    if spec.limit > 0 {
        let (cancel, status, jid) = (cancel.clone(), status.clone(), spec.jid.clone());
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(spec.limit));
            cancel.cancel();
            let late = Failure::new("Timeout exceeded").with("child_pid", std::process::id());
            // Whether or not that could be written, the time is over: the whole session goes.
            save(&status, &finished(late.into_result(), &jid)).ok();
            let own = rustix::process::getpid();
            rustix::process::kill_process_group(own, rustix::process::Signal::KILL).ok();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).ok();
        });
    }
    let result = crate::module::run(*job, Arc::new(NoContent), &cancel)
        .unwrap_or_else(|panic| Failure::new(panic.to_string()).into_result());
    if cancel.is_cancelled() {
        // The thread above writes the end of the story, and then ends us.
        std::thread::sleep(Duration::from_secs(10));
        return ExitCode::FAILURE;
    }
    match save(&status, &finished(result, &spec.jid)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Whether a job's process is still there (and not another that got its number).
pub(super) fn is_running(pid: i64) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == FLAG.as_bytes())
}

fn finished(mut result: Dict, jid: &str) -> Dict {
    result.insert("ansible_job_id", jid);
    result.insert("started", true);
    result.insert("finished", true);
    result
}
