//! A module, what it is given, and what it answers.
//!
//! In: a [`Job`]. Out: a result in Ansible's shape ([`run`], [`run_local`]): arguments checked, secrets masked,
//! `invocation` and the facts about `path` or `dest` added.
//!
//! **Invariant:** no secret parameter's value appears in a result; values marked secret stay marked.
//!
//! Not here: frames and threads (`serve`), the modules themselves (`modules`).

mod content;
mod outcome;

pub(crate) use content::Spool;
pub use content::{Body, ContentProvider, NoContent, Reader};
pub use outcome::{Diff, Failure, Outcome, split_lines};

use crate::args::{self, Args, Place};
use crate::modules;
use crate::protocol::{Hash, Job};
use crate::spec::{Check, Spec};
use crate::system::process::{Cancel, Command, Output, RunError};
use quorate_value::{Dict, Str, Value, dict};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// One module: a table and a function. Observe, decide, apply; in check mode everything but apply.
pub trait Module: Sync {
    /// Its name, parameters, rules and documentation.
    fn spec(&self) -> &'static Spec;
    /// Does it.
    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure>;
}

/// What a module may know and use beside its arguments.
pub struct Ctx {
    /// `--check`: nothing may be written.
    pub check: bool,
    /// `--diff`: somebody wants to see differences.
    pub diff: bool,
    /// The task's `no_log`.
    pub no_log: bool,
    /// How many `-v`.
    pub verbosity: u8,
    /// The module's name as the task has it.
    pub module: String,
    /// The task's `environment`.
    pub environment: Vec<(String, String)>,
    /// Where commands start by default.
    pub cwd: Option<String>,
    /// Stops the job.
    pub cancel: Cancel,
    resolved: Mutex<Dict>,
    revealed: Mutex<Dict>,
    temporary: Option<String>,
    provider: Arc<dyn ContentProvider>,
    inline: Vec<crate::protocol::Content>,
}

impl Ctx {
    /// Content by its hash: what travelled along, else what the controller sends now.
    pub fn content(&self, hash: &Hash) -> Result<Body, Failure> {
        if let Some(content) = self.inline.iter().find(|content| content.hash == *hash) {
            return Ok(Body::Memory(Arc::from(content.data.as_slice())));
        }
        self.provider
            .fetch(hash, &self.cancel)
            .map_err(|why| Failure::new(format!("could not receive the content of this task: {why}")))
    }

    /// Asks for content that will be wanted soon, each as often as it is named here, without waiting for it.
    pub fn expect(&self, hashes: &[Hash]) {
        let coming: Vec<Hash> = hashes
            .iter()
            .filter(|hash| !self.inline.iter().any(|content| content.hash == **hash))
            .copied()
            .collect();
        self.provider.expect(&coming);
    }

    /// Tells what an argument came to mean, for `invocation` in the result.
    pub fn resolved(&self, name: &str, value: impl Into<Value>) {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    /// An entry of the result that masking leaves alone, though it repeats a secret argument: the task asked for it.
    pub fn reveal(&self, name: &str, value: impl Into<Value>) {
        self.revealed.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    /// A directory for temporary files; exists, and is closed to others.
    pub fn temporary_directory(&self) -> Result<PathBuf, Failure> {
        let path = match &self.temporary {
            Some(path) => PathBuf::from(self.place().expand_path(path)),
            None => std::env::temp_dir(),
        };
        if !path.is_dir() {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| {
                crate::system::files::trouble("could not create", &path.to_string_lossy(), &error)
            })?;
        }
        Ok(path)
    }

    /// Where arguments are expanded: the host, with the task's environment.
    pub fn place(&self) -> Place<'_> {
        Place::Host(&self.environment)
    }

    /// A variable as a program of this job would see it.
    pub fn env(&self, name: &str) -> Option<String> {
        self.place().var(name)
    }

    /// A program with the job's environment and directory. Run it with [`Ctx::run`].
    pub fn command<I, S>(&self, argv: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: Into<std::ffi::OsString>,
    {
        let command = Command::new(argv).envs(&self.environment);
        match &self.cwd {
            Some(directory) => command.directory(directory),
            None => command,
        }
    }

    /// Runs a program; it fails the module only when it cannot be started. Ends when the job is cancelled.
    pub fn run(&self, command: &Command) -> Result<Output, Failure> {
        command.run(&self.cancel).map_err(|error| match error {
            RunError::Cancelled => Failure::new("cancelled"),
            error => Failure::new("Error executing command.")
                .with("rc", 2i64)
                .with("cmd", command.display())
                .with("stdout", "")
                .with("stderr", "")
                .cause(format!("{error}: b'{}'", command.display().split(' ').next().unwrap_or_default())),
        })
    }

    /// Runs a program that has to succeed; `msg` is the failure's message when it does not.
    pub fn run_ok(&self, command: &Command, msg: &str) -> Result<Output, Failure> {
        let output = self.run(command)?;
        if output.ok() { Ok(output) } else { Err(Failure::of_command(msg, &output)) }
    }

    /// The program's path, or a failure that names it.
    pub fn program(&self, name: &str) -> Result<String, Failure> {
        crate::system::process::which(name, &self.environment).ok_or_else(|| {
            let path = self.env("PATH").unwrap_or_default();
            Failure::new(format!(
                "Failed to find required executable \"{name}\" in paths: {path}:/sbin:/usr/sbin:/usr/local/sbin"
            ))
        })
    }

    /// The program's path, if it is installed.
    pub fn which(&self, name: &str) -> Option<String> {
        crate::system::process::which(name, &self.environment)
    }

    /// A failure if the job was cancelled; long loops ask now and then.
    pub fn alive(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() { Err(Failure::new("cancelled")) } else { Ok(()) }
    }

    /// Sleeps; ends early with a failure when the job is cancelled.
    pub fn sleep(&self, time: std::time::Duration) -> Result<(), Failure> {
        let until = std::time::Instant::now() + time;
        loop {
            self.alive()?;
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(std::time::Duration::from_millis(50)));
        }
    }
}

/// A module had a bug: what it said while it fell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the module `{module}` has a bug: {message}")]
pub struct Panicked {
    /// The module.
    pub module: String,
    /// Its last words.
    pub message: String,
}

/// Runs a job in this process, for `connection: local`.
pub fn run_local(job: &Job, provider: Arc<dyn ContentProvider>, cancel: &Cancel) -> Result<Dict, Panicked> {
    run(job.clone(), provider, cancel)
}

/// Runs a job to its result.
pub fn run(job: Job, provider: Arc<dyn ContentProvider>, cancel: &Cancel) -> Result<Dict, Panicked> {
    let module = job.module.clone();
    let keep = job.keep.clone();
    if let Some(keep) = keep.as_ref().filter(|keep| keep.ends) {
        crate::kept::begin(keep);
    }
    let ended = catch_unwind(AssertUnwindSafe(|| run_job(job, provider, cancel)));
    if let (Some(keep), Ok(result)) = (&keep, &ended)
        && crate::kept::counts(keep, result)
    {
        crate::kept::put(keep, result);
    }
    ended.map_err(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "no message".into());
        Panicked { module, message }
    })
}

fn run_job(job: Job, provider: Arc<dyn ContentProvider>, cancel: &Cancel) -> Dict {
    let Some(module) = modules::find(&job.module) else {
        let hint = modules::nearest(&job.module).map(|name| format!("did you mean `{name}`?"));
        let mut result = Failure::new(format!("The module {} was not found.", job.module)).into_result();
        if let Some(hint) = hint {
            result.insert("hint", hint);
        }
        return result;
    };
    if job.async_.is_some() {
        return modules::detached::start(job, &provider, cancel);
    }
    let spec = module.spec();
    let mut job = job;
    if spec.files
        && !job.args.contains_key("unsafe_writes")
        && let Some(wanted) = Place::Host(&job.environment).var("ANSIBLE_UNSAFE_WRITES")
        && Value::from(wanted).to_bool_loose() == Some(true)
    {
        job.args.insert("unsafe_writes", true);
    }
    let checked = args::check(spec, &job.module, &job.args, Place::Host(&job.environment));
    let mut invocation = invocation(&checked);
    let mut marked = BTreeSet::new();
    secret_texts(&Value::dict(job.args), &mut marked);
    let mut revealed = Dict::new();
    let mut result = if let Some(complaint) = &checked.error {
        let failure = Failure::new(complaint.msg.clone());
        match &complaint.hint {
            Some(hint) => failure.with("hint", hint.as_str()),
            None => failure,
        }
        .into_result()
    } else if job.check && spec.check == Check::None {
        dict! {
            "changed" => false,
            "skipped" => true,
            "msg" => format!("remote module ({}) does not support check mode", job.module),
        }
    } else {
        let ctx = Ctx {
            check: job.check,
            diff: job.diff,
            no_log: job.no_log,
            verbosity: job.verbosity,
            module: job.module,
            environment: job.environment,
            cwd: job.cwd,
            cancel: cancel.clone(),
            resolved: Mutex::default(),
            revealed: Mutex::default(),
            temporary: job.tmp,
            provider,
            inline: job.content,
        };
        let result = match module.run(&Args::new(checked.args.clone(), spec), &ctx) {
            Ok(outcome) => outcome.into_result(),
            Err(failure) => failure.into_result(),
        };
        revealed = ctx.revealed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let resolved = ctx.resolved.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (Value::Dict(entries), false) = (&mut invocation, resolved.is_empty()) {
            Arc::make_mut(entries).extend(resolved);
        }
        result
    };
    let path = result.get("path").or(result.get("dest")).and_then(Value::as_str).map(str::to_owned);
    let plain = result.remove(outcome::PLAIN).is_some() || spec.any_params;
    if let Some(path) = path.filter(|_| !plain) {
        crate::system::files::describe(&path, &mut result);
    }
    add_all(&mut result, "warnings", checked.warnings.iter().map(Value::from));
    add_all(&mut result, "deprecations", checked.deprecations.iter().cloned());
    let mut result = mask(Value::dict(result), &checked.secrets, &marked);
    if let (Value::Dict(entries), false) = (&mut result, revealed.is_empty()) {
        Arc::make_mut(entries).extend(revealed);
    }
    if let Value::Dict(entries) = &mut result
        && !entries.contains_key("invocation")
    {
        Arc::make_mut(entries).insert("invocation", Value::from(dict! {"module_args" => invocation}));
    }
    match result {
        Value::Dict(entries) => Arc::unwrap_or_clone(entries),
        _ => Dict::new(),
    }
}

fn add_all(result: &mut Dict, key: &str, items: impl Iterator<Item = Value>) {
    let mut all: Vec<Value> = result.get(key).and_then(Value::as_list).unwrap_or_default().to_vec();
    all.extend(items);
    if !all.is_empty() {
        result.insert(key, all);
    }
}

fn invocation(checked: &args::Checked) -> Value {
    let hidden = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER";
    let mut shown = Dict::new();
    for (name, value) in &checked.args {
        if name.as_str().is_some_and(|name| checked.hidden.contains(name)) {
            continue;
        }
        let secret =
            name.as_str().is_some_and(|name| checked.secret_names.contains(name)) && !value.is_null();
        shown.insert(name.clone(), if secret { Value::from(hidden) } else { value.clone() });
    }
    mask(Value::dict(shown), &checked.secrets, &BTreeSet::new())
}

fn secret_texts(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Str(text) if text.is_secret() && text.len() > 2 => {
            into.insert(text.as_str().to_owned());
        }
        Value::List(items) => items.iter().for_each(|item| secret_texts(item, into)),
        Value::Dict(entries) => entries.values().for_each(|item| secret_texts(item, into)),
        _ => {}
    }
}

/// Hides the values of secret parameters as Ansible does, and marks text that repeats a marked value.
fn mask(value: Value, hidden: &BTreeSet<String>, marked: &BTreeSet<String>) -> Value {
    if hidden.is_empty() && marked.is_empty() {
        return value;
    }
    match value {
        Value::Str(text) => Value::Str(mask_text(text, hidden, marked)),
        Value::Int(_) | Value::Float(_) | Value::Big(_)
            if hidden.contains(&quorate_value::str_of(&value)) =>
        {
            Value::from("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
        }
        Value::List(items) => {
            Value::list(items.iter().map(|item| mask(item.clone(), hidden, marked)).collect::<Vec<_>>())
        }
        Value::Dict(entries) => Value::dict(
            entries.iter().map(|(key, item)| (key.clone(), mask(item.clone(), hidden, marked))).collect(),
        ),
        other => other,
    }
}

fn mask_text(text: Str, hidden: &BTreeSet<String>, marked: &BTreeSet<String>) -> Str {
    if hidden.contains(text.as_str()) {
        return Str::from("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER");
    }
    let mut shown = text.clone();
    for secret in hidden.iter().filter(|secret| text.contains(secret.as_str())) {
        let masked = Str::from(shown.replace(secret.as_str(), "********"));
        shown = if shown.is_secret() { masked.secret() } else { masked };
    }
    if !shown.is_secret() && marked.iter().any(|secret| shown.contains(secret.as_str())) {
        return shown.secret();
    }
    shown
}
