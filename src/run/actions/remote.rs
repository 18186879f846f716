//! Modules on the host, and actions that are mostly one: raw commands, reboots, facts.

use super::{ActionCall, ActionResult};
use crate::connect::{Blob, Link, RunError};
use crate::run::ahead::Flight;
use crate::run::task::{Failure, connection_failure, number};
use crate::vars::render;
use quorate_agent::kept::Keep;
use quorate_agent::protocol::{AsyncSpec, Job, hex};
use quorate_value::{Dict, Value, dict, str_of};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The helper for this call.
pub(super) async fn link(call: &ActionCall<'_>) -> Result<Arc<Link>, Failure> {
    call.run.pool.link(call.target, call.become_).await.map_err(|error| connection_failure(call.step, &error))
}

/// A helper that did not answer, as a failure.
pub(super) fn run_failure(call: &ActionCall<'_>, error: RunError) -> Failure {
    match error {
        RunError::Lost(error) => connection_failure(call.step, &error),
        RunError::TimedOut(limit) => Failure::action(format!("timed out after {} seconds", limit.as_secs())),
    }
}

/// So often the controllers of a host may be lost under one task.
const HANDS: usize = 5;

fn job(call: &ActionCall<'_>, name: &str, args: Dict) -> Job {
    Job {
        module: name.to_owned(),
        args,
        check: call.check,
        diff: call.diff,
        environment: call.environment.clone(),
        no_log: call.no_log,
        verbosity: call.run.shared.options.verbosity,
        ..Job::default()
    }
}

/// Runs a module of the helper on the host, now and in check mode too: for questions, and for what checks by itself.
pub(super) async fn module_now(call: &ActionCall<'_>, name: &str, args: Dict) -> Result<Dict, Failure> {
    let job = Job { check: false, ..job(call, name, args) };
    link(call).await?.run(job, Vec::new(), None).await.map_err(|e| run_failure(call, e))
}

/// Runs a module on the host; `async` included.
pub(super) async fn module(
    call: &ActionCall<'_>,
    name: &str,
    args: Dict,
    blobs: Vec<Blob>,
) -> Result<Dict, Failure> {
    let short = crate::playbook::short_name(name);
    let (mut job, mut blobs) = (job(call, name, args), blobs);
    if quorate_agent::modules::find(name).is_none() {
        let found = match library_file(call, short) {
            Some(path) => Some(foreign(call, short, &path).await?),
            None => match super::bridge::installed(call, name).await? {
                Some(payload) => Some(program(call, short, packed_text(&payload), true)?),
                None => None,
            },
        };
        let Some((program, blob)) = found else {
            let mut failure = Failure::action(format!("Quorate does not have the module {short}."));
            failure.help = Some(
                "write the task with modules that `quorate doc -l` lists, or skip it with `when`; where this controller has ansible-core and the collection, and the host Python, it runs as it is"
                    .into(),
            );
            return Err(failure);
        };
        let given = std::mem::replace(&mut job.args, program);
        job.args.insert("_arguments", given);
        job.module = "quorate_foreign".into();
        blobs.push(blob);
    }
    if short == "user"
        && !call.check
        && job.args.get("state").is_some_and(|state| str_of(state) == "absent")
        && let Some(name) = job.args.get("name").or_else(|| job.args.get("user"))
    {
        call.run.pool.leave(call.target, &str_of(name)).await;
    }
    call.run.tell(crate::report::Event::Verbose(
        3,
        format!(
            "<{}> EXEC /bin/sh -c '{}'",
            call.target.address,
            crate::connect::shown_command(call.become_, name)
        ),
    ));
    let detached = call.async_.filter(|_| !call.check && call.module != "async_status");
    if let (Some(flight), None) = (call.flight, detached) {
        let link = match flight.early() {
            None => link(call).await?,
            // nobody connects before his turn
            Some(_) => match call.run.pool.ready(call.target, call.become_) {
                Some(link) => link,
                None => {
                    flight.defer();
                    return Err(Failure::default());
                }
            },
        };
        if let Some(name) = kept_as(call, flight, &job) {
            if let Some(resume) = call.run.resume.get()
                && let Some(result) = resume.kept(&link, &name).await
            {
                return Ok(result);
            }
            let fleet = call.run.pool.fleet();
            let seal = call.run.journal.get().and_then(|journal| journal.seal());
            let seal = fleet.map(|fleet| fleet.seal()).or(seal);
            job.keep = seal.map(|seal| Keep { seal, name, ends: fleet.is_some() });
        } else if call.run.pool.fleet().is_some() {
            job.keep = kept_for_now(call);
        }
        let again = over_fleet(call).then(|| (job.clone(), blobs.clone()));
        return match (flight.run(call.run, &link, job, blobs).await, again) {
            (Some(Err(RunError::Lost(error))), Some((job, blobs))) => {
                taken_over(call, job, blobs, error).await
            }
            (Some(result), _) => result.map_err(|e| run_failure(call, e)),
            (None, _) => Err(Failure::default()),
        };
    }
    let mut link = link(call).await?;
    let Some((limit, poll)) = detached else {
        job.keep = kept_for_now(call);
        let again = over_fleet(call).then(|| (job.clone(), blobs.clone()));
        return match (link.run(job, blobs, None).await, again) {
            (Err(RunError::Lost(error)), Some((job, blobs))) => taken_over(call, job, blobs, error).await,
            (result, _) => result.map_err(|e| run_failure(call, e)),
        };
    };
    let jid = format!("j{}.{}", rand_digits(), std::process::id());
    job.async_ = Some(AsyncSpec { jid: jid.clone(), limit, dir: None });
    let mut started = link.run(job, blobs, None).await.map_err(|e| run_failure(call, e))?;
    if started.get("failed").is_some_and(Value::is_truthy) || poll == 0 {
        started.insert("changed", true);
        return Ok(started);
    }
    let deadline = Instant::now() + Duration::from_secs(limit + poll);
    let say = |what: &str, more: &str| {
        let host = call.host;
        call.run.tell(crate::report::Event::Verbose(0, format!("ASYNC {what} on {host}: jid={jid}{more}")));
    };
    loop {
        tokio::time::sleep(Duration::from_secs(poll.max(1))).await;
        let status =
            Job { check: false, ..self::job(call, "ansible.builtin.async_status", dict! {"jid" => &jid}) };
        match link.run(status, Vec::new(), None).await {
            Ok(result) if result.get("finished").is_some_and(Value::is_truthy) => {
                let cleanup = Job {
                    check: false,
                    ..self::job(
                        call,
                        "ansible.builtin.async_status",
                        dict! {"jid" => &jid, "mode" => "cleanup"},
                    )
                };
                link.run(cleanup, Vec::new(), None).await.ok();
                let failed = result.get("failed").is_some_and(Value::is_truthy)
                    || result.get("rc").and_then(Value::as_int).is_some_and(|rc| rc != 0);
                say(if failed { "FAILED" } else { "OK" }, "");
                return Ok(result);
            }
            Ok(_) => say("POLL", " started=True finished=False"),
            Err(error) if Instant::now() > deadline => return Err(run_failure(call, error)),
            // it runs on by itself; somebody else of the fleet may ask for it
            Err(_) if over_fleet(call) => link = self::link(call).await?,
            Err(_) => {}
        }
        if Instant::now() > deadline {
            say("FAILED", "");
            let mut failure =
                Failure::action(format!("async task did not complete within the requested time - {limit}s"));
            failure.result.insert("ansible_job_id", &jid);
            return Err(failure);
        }
    }
}

/// Whether the host of a call is reached over a fleet.
fn over_fleet(call: &ActionCall<'_>) -> bool {
    call.target.kind == crate::connect::Kind::Ssh && call.run.pool.fleet().is_some()
}

/// How a result is kept that only this run may ask for, and only should the controller be lost that has the host.
fn kept_for_now(call: &ActionCall<'_>) -> Option<Keep> {
    if call.check || call.no_log || !over_fleet(call) || crate::journal::runs_again(call.step.module()) {
        return None;
    }
    let name = format!("once-{}", hex(&crate::journal::random::<16>().ok()?));
    Some(Keep { seal: call.run.pool.fleet()?.seal(), name, ends: true })
}

/// Modules that do something more each time they run.
fn adds_up(module: &str) -> bool {
    matches!(module, "command" | "shell" | "script" | "raw" | "expect" | "quorate_foreign")
        || quorate_agent::modules::find(module).is_none()
}

/// Goes on with a job on whichever controller takes the host over from the one that was lost. What ended on the host is not
/// done again; what began there and did not end in a way that anybody knows is lost, as with any connection that breaks.
async fn taken_over(
    call: &ActionCall<'_>,
    job: Job,
    blobs: Vec<Blob>,
    lost: crate::connect::ConnectError,
) -> Result<Dict, Failure> {
    use crate::connect::fleet::Fate;
    let Some(fleet) = call.run.pool.fleet() else { return Err(connection_failure(call.step, &lost)) };
    let harmless = call.check || crate::journal::runs_again(call.step.module());
    let adds_up = adds_up(crate::playbook::short_name(&job.module));
    let mut lost = lost;
    // what waited behind another job has waited for it
    let job = Job { after: None, ..job };
    for _ in 0..HANDS {
        if call.run.interrupted.load(std::sync::atomic::Ordering::Relaxed) > 1 || fleet.is_lost() {
            break;
        }
        let link = link(call).await?;
        let fate = match &job.keep {
            Some(keep) => fleet.fate(call.target, call.become_, &keep.name),
            None if harmless => Fate::Never,
            None => Fate::Unknown,
        };
        match fate {
            Fate::Ended(result) => return Ok(result),
            Fate::Unknown if adds_up || job.keep.is_none() => {
                let mut error = lost;
                error.message = format!(
                    "{}; nobody knows whether this task was done: another controller has the host now, and did not do it again",
                    error.message
                );
                return Err(connection_failure(call.step, &error));
            }
            Fate::Unknown | Fate::Never => {}
        }
        match link.run(job.clone(), blobs.clone(), None).await {
            Err(RunError::Lost(error)) => lost = error,
            result => return result.map_err(|e| run_failure(call, e)),
        }
    }
    Err(connection_failure(call.step, &lost))
}

/// What a host calls the result of a job, so that a run that goes on finds it: the task, the item, the job. Nothing
/// where the result is of no use later, or may stand nowhere.
fn kept_as(call: &ActionCall<'_>, flight: &Flight, job: &Job) -> Option<String> {
    use sha2::{Digest as _, Sha256};
    let work = flight.work()?;
    let task = &call.step.task;
    // each attempt of these is another
    let tried_again = !task.until.is_empty() || task.retries.is_some();
    if call.check || call.no_log || tried_again || crate::journal::runs_again(call.step.module()) {
        return None;
    }
    let mut digest = Sha256::new();
    digest.update(format!("{work}\n{}\n{}\n", call.nth, job.module));
    digest.update(quorate_value::to_json(&Value::dict(job.args.clone())));
    digest.update(format!("{:?}", job.environment));
    digest.update(format!("{:?}", call.become_.map(|become_| &become_.user)));
    Some(hex(&digest.finalize()[..16]))
}

/// Runs a module of ours somewhere else than the call says.
pub(super) async fn module_at(
    call: &ActionCall<'_>,
    target: &crate::connect::Target,
    become_: Option<&crate::connect::Become>,
    name: &str,
    args: Dict,
) -> Result<Dict, Failure> {
    let link =
        call.run.pool.link(target, become_).await.map_err(|error| connection_failure(call.step, &error))?;
    link.run(job(call, name, args), Vec::new(), None).await.map_err(|error| run_failure(call, error))
}

/// `shutdown`: asks for it, and that is all.
pub(super) async fn shutdown(call: &ActionCall<'_>) -> ActionResult {
    if call.target.kind == crate::connect::Kind::Local {
        let mut failure =
            Failure::action("Running shutdown with local connection would shutdown the control node.");
        failure.result.insert("elapsed", 0i64);
        failure.result.insert("shutdown", false);
        return Err(failure);
    }
    let known = ["delay", "msg", "search_paths"];
    if let Some(name) =
        call.args.keys().map(|key| key.json_text().into_owned()).find(|it| !known.contains(&it.as_str()))
    {
        return Err(Failure::action(format!("Invalid options for community.general.shutdown: {name}")));
    }
    if call.check {
        return Ok((dict! {"changed" => true, "elapsed" => 0i64, "shutdown" => true}, Vec::new()));
    }
    let minutes = (call.args.get("delay").and_then(number).unwrap_or(0.0) / 60.0) as i64;
    let message = call
        .args
        .get("msg")
        .filter(|v| v.is_truthy())
        .map_or_else(|| "Shut down initiated by Ansible".to_owned(), str_of);
    let paths: Vec<String> = match call.args.get("search_paths").and_then(Value::as_list) {
        Some(paths) => paths.iter().map(str_of).collect(),
        None => ["/sbin", "/usr/sbin", "/usr/local/sbin"].map(str::to_owned).to_vec(),
    };
    let when = if minutes > 0 { format!("+{minutes}") } else { "now".into() };
    let line = format!(
        "PATH=\"$PATH:{}\"; command -v shutdown >/dev/null || exit 127; shutdown -h {when} {}",
        paths.join(":"),
        shell_quote(&message)
    );
    let command = format!("shutdown -h {when} \"{message}\"");
    match run_line(call, &line).await {
        Ok(output) if output.rc == 127 => {
            return Err(Failure::action(format!(
                "Could not find command \"shutdown\" in search paths: {}",
                paths.join(", ")
            )));
        }
        Ok(output) if output.rc != 0 && output.rc != 255 && output.rc != 143 => {
            let mut failure = Failure::action(format!(
                "Shutdown command failed, error was: {}",
                format!("{} {}", output.stdout.trim(), output.stderr.trim()).trim()
            ));
            failure.result.insert("shutdown", false);
            return Err(failure);
        }
        // a connection that breaks now is what was asked for
        Ok(_) | Err(_) => {}
    }
    Ok((dict! {"changed" => true, "shutdown" => true, "shutdown_command" => command}, Vec::new()))
}

/// A module of the playbook's (or a role's) own.
fn library_file(call: &ActionCall<'_>, name: &str) -> Option<std::path::PathBuf> {
    let mut dirs: Vec<std::path::PathBuf> = Vec::new();
    if let Some(role) = &call.step.context.role {
        dirs.push(role.role.path.join("library"));
    }
    let known = call.run.shared.libraries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    dirs.extend(known.iter().cloned());
    drop(known);
    dirs.iter()
        .flat_map(|dir| ["", ".py", ".sh", ".pl", ".rb"].map(|ext| dir.join(format!("{name}{ext}"))))
        .find(|path| path.is_file())
}

/// Whether a module is written with Ansible's libraries.
fn is_ansibles(text: &str) -> bool {
    ["ansible.module_utils", "ansible.plugins.action", "#<<INCLUDE_ANSIBLE_MODULE_COMMON>>", "AnsibleModule("]
        .iter()
        .any(|sign| text.contains(sign))
}

/// What the helper needs to run such a module: its content, with the interpreter that the host has.
async fn foreign(call: &ActionCall<'_>, name: &str, path: &std::path::Path) -> Result<(Dict, Blob), Failure> {
    let bytes = std::fs::read(path).map_err(|e| {
        Failure::action(format!("could not read {}: {}", path.display(), crate::playbook::plain_io(&e)))
    })?;
    let packed = match std::str::from_utf8(&bytes) {
        Ok(text) if is_ansibles(text) => super::bridge::payload(call, name, path).await?,
        _ => None,
    };
    if let Some(payload) = packed {
        return program(call, name, packed_text(&payload), true);
    }
    if std::str::from_utf8(&bytes).is_ok_and(is_ansibles) {
        let mut failure = Failure::action(format!(
            "the module {name} ({}) is written in Python with Ansible's libraries, which hosts do not get from Quorate",
            path.display()
        ));
        failure.help = Some(
            "install ansible-core on this controller, which packs such modules, or write it as a program of its own: a shebang, arguments from a file, JSON on standard output"
                .into(),
        );
        return Err(failure);
    }
    program(call, name, bytes, false)
}

/// A packed module for any Python of the host, unless a variable says which.
fn packed_text(payload: &str) -> Vec<u8> {
    match payload.split_once('\n') {
        Some((_, rest)) => format!("#!/usr/bin/env python3\n{rest}").into_bytes(),
        None => payload.as_bytes().to_vec(),
    }
}

/// A program as a module, with the interpreter that the host's variables name.
fn program(
    call: &ActionCall<'_>,
    name: &str,
    mut bytes: Vec<u8>,
    bridged: bool,
) -> Result<(Dict, Blob), Failure> {
    use sha2::Digest as _;
    if let Ok(text) = std::str::from_utf8(&bytes) {
        // `ansible_bash_interpreter` replaces the program of the first line
        if let Some(line) = text.lines().next().filter(|line| line.starts_with("#!")) {
            let words: Vec<&str> = line[2..].split_whitespace().collect();
            let base = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
            let (program, rest) = match words.as_slice() {
                [env, program, rest @ ..] if base(env) == "env" => (base(program), rest),
                [program, rest @ ..] => (base(program), rest),
                [] => (String::new(), &[][..]),
            };
            let family = if program.starts_with("python") { "python" } else { program.as_str() };
            let variable = format!("ansible_{family}_interpreter");
            let raw = call.scope.locals.get(&variable).cloned().or_else(|| call.scope.lookup(&variable));
            // `auto` asks Ansible to look for one
            let raw = raw.filter(|raw| !(bridged && str_of(raw).starts_with("auto")));
            if let Some(raw) = raw {
                let wanted = crate::vars::render::value(call.scope, &raw).map_err(|e| {
                    Failure::task(
                        call.step,
                        vec![(
                            format!("Error while resolving value for '{variable}': {e}"),
                            call.step.task.span,
                        )],
                    )
                })?;
                let mut first = format!("#!{}", str_of(&wanted));
                rest.iter().for_each(|word| first.push_str(&format!(" {word}")));
                bytes = format!("{first}{}", &text[line.len()..]).into_bytes();
            }
        }
    }
    let hash: [u8; 32] = sha2::Sha256::digest(&bytes).into();
    let blob = Blob { hash, source: crate::connect::BlobSource::Bytes(bytes.into()) };
    Ok((dict! {"_content" => hex(&hash), "_name" => name}, blob))
}

fn rand_digits() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000_000_000_000
}

/// `raw`: the bare connection, nothing else.
pub(super) async fn raw(call: &ActionCall<'_>) -> ActionResult {
    let command = call.args.get("_raw_params").map(str_of).unwrap_or_default();
    let executable = call.args.get("executable").filter(|v| v.is_truthy()).map(str_of);
    if call.check {
        return Ok((dict! {"changed" => false, "skipped" => true}, Vec::new()));
    }
    let mut line = String::new();
    for (key, value) in &call.environment {
        line.push_str(&format!("{key}={} ", shell_quote(value)));
    }
    let line = if line.is_empty() { command } else { format!("{line}sh -c {}", shell_quote(&command)) };
    let output = call
        .run
        .pool
        .raw(call.target, call.become_, &line, executable.as_deref())
        .await
        .map_err(|error| connection_failure(call.step, &error))?;
    let mut result = dict! {
        "changed" => true, "rc" => output.rc, "stdout" => output.stdout.replace("\r\n", "\n"), "stderr" => output.stderr.replace("\r\n", "\n"),
    };
    if output.rc != 0 {
        result.insert("msg", "non-zero return code");
        result.insert("failed", true);
    }
    Ok((result, Vec::new()))
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `gather_facts`: the `setup` module, or what `facts_modules` names.
pub(super) async fn gather_facts(call: &ActionCall<'_>) -> ActionResult {
    let mut args = call.args.clone();
    args.remove("parallel");
    let result = module(call, "ansible.builtin.setup", args, Vec::new()).await?;
    Ok((result, Vec::new()))
}

fn fact(call: &ActionCall<'_>, name: &str) -> Option<String> {
    call.run.shared.host(call.host).read().ok()?.facts.get(name).map(str_of)
}

/// `package`: the package manager of the host.
pub(super) async fn package(call: &ActionCall<'_>) -> ActionResult {
    let mut args = call.args.clone();
    let wanted = args.remove("use").map(|v| str_of(&v)).filter(|v| v != "auto");
    let manager = match wanted.or_else(|| used(call, "ansible_package_use")).or_else(|| fact(call, "pkg_mgr"))
    {
        Some(manager) => manager,
        None => {
            let setup = dict! {"gather_subset" => Value::list([Value::from("!all"), Value::from("!min"), Value::from("pkg_mgr")]), "filter" => "ansible_pkg_mgr"};
            let facts = module(call, "ansible.builtin.setup", setup, Vec::new()).await?;
            facts
                .get("ansible_facts")
                .and_then(|f| f.get("ansible_pkg_mgr").cloned())
                .map(|v| str_of(&v))
                .unwrap_or_default()
        }
    };
    let name = match manager.as_str() {
        "apt" => "ansible.builtin.apt",
        "dnf" | "dnf5" | "yum" => "ansible.builtin.dnf",
        "apk" => "community.general.apk",
        other => other,
    };
    if quorate_agent::modules::find(name).is_none() {
        return Err(Failure::action(format!(
            "Could not find a matching action for the \"{manager}\" package manager."
        )));
    }
    let result = module(call, name, args, Vec::new()).await?;
    Ok((result, Vec::new()))
}

/// What a variable chooses in place of `use`.
fn used(call: &ActionCall<'_>, name: &str) -> Option<String> {
    let value = render::value(call.scope, &call.scope.lookup(name)?).ok()?;
    Some(str_of(&value)).filter(|text| !text.is_empty() && text != "auto")
}

/// `service`: systemd where it runs, the rest otherwise.
pub(super) async fn service(call: &ActionCall<'_>) -> ActionResult {
    let mut args = call.args.clone();
    let wanted = args.get("use").map(str_of).filter(|v| v != "auto" && !v.is_empty());
    let manager =
        wanted.or_else(|| used(call, "ansible_service_mgr_use")).or_else(|| fact(call, "service_mgr"));
    if manager.as_deref() == Some("systemd") {
        for unused in ["use", "pattern", "runlevel", "sleep", "arguments", "args"] {
            args.remove(unused);
        }
        let result = module(call, "ansible.builtin.systemd", args, Vec::new()).await?;
        return Ok((result, Vec::new()));
    }
    // the module itself looks which service manager is there
    let result = module(call, "ansible.builtin.service", args, Vec::new()).await?;
    Ok((result, Vec::new()))
}

/// `wait_for_connection`: until a helper answers.
pub(super) async fn wait_for_connection(call: &ActionCall<'_>) -> ActionResult {
    let seconds = |name: &str, otherwise: f64| call.args.get(name).and_then(number).unwrap_or(otherwise);
    if call.check {
        return Ok((dict! {"changed" => false, "skipped" => true}, Vec::new()));
    }
    let (timeout, delay, sleep) = (seconds("timeout", 600.0), seconds("delay", 0.0), seconds("sleep", 1.0));
    let started = Instant::now();
    if delay > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(delay)).await;
    }
    reach(
        call,
        Duration::from_secs_f64(timeout),
        Duration::from_secs_f64(sleep.max(0.05)),
        seconds("connect_timeout", 5.0),
    )
    .await
    .map_err(|why| {
        let mut failure = Failure::action(format!("timed out waiting for ping module test: {why}"));
        failure.result.insert("elapsed", started.elapsed().as_secs());
        failure
    })?;
    Ok((dict! {"changed" => false, "elapsed" => started.elapsed().as_secs()}, Vec::new()))
}

async fn reach(
    call: &ActionCall<'_>,
    limit: Duration,
    pause: Duration,
    connect: f64,
) -> Result<Dict, String> {
    let deadline = Instant::now() + limit;
    let mut target = call.target.clone();
    target.timeout = Duration::from_secs_f64(connect.max(1.0));
    loop {
        call.run.pool.reset(&call.target.host).await;
        let why = match call.run.pool.link(&target, call.become_).await {
            Ok(link) => match link
                .run(
                    job(call, "ansible.builtin.ping", Dict::new()),
                    Vec::new(),
                    Some(Duration::from_secs(30)),
                )
                .await
            {
                Ok(result) => return Ok(result),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline || call.run.is_interrupted() {
            return Err(why);
        }
        tokio::time::sleep(pause).await;
    }
}

async fn run_line(
    call: &ActionCall<'_>,
    line: &str,
) -> Result<crate::connect::RawOutput, crate::connect::ConnectError> {
    call.run.pool.raw(call.target, call.become_, line, None).await
}

/// `reboot`: asks for it, waits until the boot id is another one and a test command works.
pub(super) async fn reboot(call: &ActionCall<'_>) -> ActionResult {
    if call.target.kind == crate::connect::Kind::Local {
        let mut failure =
            Failure::action("Running reboot with local connection would reboot the control node.");
        failure.result.insert("elapsed", 0i64);
        failure.result.insert("rebooted", false);
        return Err(failure);
    }
    if call.check {
        return Ok((dict! {"changed" => true, "elapsed" => 0i64, "rebooted" => true}, Vec::new()));
    }
    let seconds = |names: [&str; 2], otherwise: f64| {
        names.iter().find_map(|name| call.args.get(name)).and_then(number).unwrap_or(otherwise)
    };
    let timeout = seconds(["reboot_timeout", "reboot_timeout_sec"], 600.0);
    let pre = seconds(["pre_reboot_delay", "pre_reboot_delay_sec"], 0.0);
    let post = seconds(["post_reboot_delay", "post_reboot_delay_sec"], 0.0);
    let connect = seconds(["connect_timeout", "connect_timeout_sec"], 5.0);
    let text = |name: &str, otherwise: &str| {
        call.args.get(name).filter(|v| v.is_truthy()).map_or_else(|| otherwise.to_owned(), str_of)
    };
    let boot_id = text("boot_time_command", "cat /proc/sys/kernel/random/boot_id");
    let test = text("test_command", "whoami");
    let message = text("msg", "Reboot initiated by Ansible");
    let started = Instant::now();
    let before = run_line(call, &boot_id).await.map_err(|error| connection_failure(call.step, &error))?;
    if before.rc != 0 {
        return Err(Failure::action(format!(
            "failed to get host boot time info, rc: {}, stdout: {}, stderr: {}",
            before.rc, before.stdout, before.stderr
        )));
    }
    let minutes = (pre / 60.0) as i64;
    let line = match call.args.get("reboot_command").filter(|v| v.is_truthy()).map(str_of) {
        Some(line) => line,
        None => format!(
            "shutdown -r {} {}",
            if minutes > 0 { format!("+{minutes}") } else { "now".into() },
            shell_quote(&message)
        ),
    };
    match run_line(call, &line).await {
        Ok(output) if output.rc != 0 && output.rc != 255 && output.rc != 143 => {
            let mut failure = Failure::action(format!(
                "Reboot command failed. Error was: '{}, {}'",
                output.stdout.trim(),
                output.stderr.trim()
            ));
            failure.result.insert("rebooted", false);
            return Err(failure);
        }
        // a connection that breaks now is what was asked for
        Ok(_) | Err(_) => {}
    }
    let deadline = Instant::now() + Duration::from_secs_f64(timeout);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.run.pool.reset(&call.target.host).await;
        let mut target = call.target.clone();
        target.timeout = Duration::from_secs_f64(connect.max(1.0));
        let after = call.run.pool.raw(&target, call.become_, &boot_id, None).await;
        if after.is_ok_and(|output| output.rc == 0 && output.stdout != before.stdout) {
            break;
        }
        if Instant::now() > deadline {
            let mut failure = Failure::action(format!(
                "Timed out waiting for last boot time check (timeout={})",
                timeout as i64
            ));
            failure.result.insert("rebooted", true);
            failure.result.insert("elapsed", started.elapsed().as_secs());
            return Err(failure);
        }
    }
    if post > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(post)).await;
    }
    loop {
        if run_line(call, &test).await.is_ok_and(|output| output.rc == 0) {
            break;
        }
        if Instant::now() > deadline {
            return Err(Failure::action(format!(
                "Timed out waiting for post-reboot test command (timeout={})",
                timeout as i64
            )));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.run.pool.reset(&call.target.host).await;
    }
    Ok((dict! {"changed" => true, "elapsed" => started.elapsed().as_secs(), "rebooted" => true}, Vec::new()))
}
