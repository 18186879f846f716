//! What a run has done, kept so that it can go on after it was stopped, and be looked at later.
//!
//! In: results as the scheduler gets them. Out: one file a run below the user's state folder; a [`Resume`].
//!
//! **Invariant:** no secret enters: results that hold one (marked, or equal to a text that is known to be one), and
//! those of `no_log` tasks, are left out, and the task runs again when somebody resumes. A journal that cannot be
//! written never fails the run. It is a cache: the truth is on the hosts.

mod frames;
mod inputs;
mod store;

pub use inputs::Inputs;
pub(crate) use inputs::changed;

use crate::connect::Link;
use crate::plan::Step;
use crate::report::Status;
use crate::run::task::{Done, Effect, registered};
use quorate_value::{Dict, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
pub(crate) use store::random;
use store::{Name, Store};

/// So many runs are followed that went on with each other.
const LONGEST_CHAIN: usize = 100;
/// So many of the newest runs are looked at for one of a playbook.
const LOOKED_AT: usize = 50;
/// So many bytes of a journal say what its run was asked for.
const HEAD: u64 = 16 * 1024;
/// A result larger than this is not kept: its task runs again.
const LARGEST: usize = 1 << 20;
/// A host that does not say what it has kept within this time has kept nothing.
const ANSWERS_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// What a run was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The program's version.
    pub version: String,
    /// The working directory.
    pub dir: String,
    /// Playbooks as given.
    pub playbooks: Vec<String>,
    /// `-i`
    pub inventory: Vec<String>,
    /// `-l`
    pub limit: Vec<String>,
    /// `-t`
    pub tags: Vec<String>,
    /// `--skip-tags`
    pub skip_tags: Vec<String>,
    /// `--start-at-task`
    pub start_at: Option<String>,
    /// How many `-e` there were.
    pub extra: usize,
    /// A keyed digest of `-e`: what they say is in no journal.
    pub extra_digest: String,
    /// The flags as a report shows them.
    pub shown: String,
    /// Flags about connections and privilege.
    pub flags: Flags,
    /// The run that this one goes on with.
    pub resumes: Option<String>,
}

/// Flags that say how hosts are reached. No password is among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// `--vault-id`
    pub vault_id: Vec<String>,
    /// `--vault-password-file`
    pub vault_password_file: Vec<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--private-key`
    pub private_key: Option<PathBuf>,
    /// `--connection`
    pub connection: Option<String>,
    /// `--timeout`
    pub timeout: Option<u64>,
    /// `--become`
    pub become_: bool,
    /// `--become-user`
    pub become_user: Option<String>,
    /// `--become-method`
    pub become_method: Option<String>,
    /// `--become-password-file`
    pub become_password_file: Option<PathBuf>,
    /// `--connection-password-file`
    pub connection_password_file: Option<PathBuf>,
    /// `--diff`
    pub diff: bool,
    /// `--forks`
    pub forks: Option<usize>,
    /// `--lenient`
    pub lenient: bool,
    /// `--force-handlers`
    pub force_handlers: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Begun {
        at: u64,
        user: String,
        pid: u32,
        asked: Asked,
    },
    /// Something that was read: a file or a folder, and its digest.
    Input(String, String),
    Play {
        number: u32,
        name: String,
    },
    Done(Box<Entry>),
    /// A failure of a host has been taken care of after all.
    Rescued(String),
    Refused(String),
    Ended {
        status: u8,
        interrupted: bool,
        took: u64,
        counts: Vec<(String, [u32; 7])>,
    },
    /// What hosts keep results under until the run has ended well.
    Seal([u8; 32]),
    /// A failure of a host is being taken care of.
    Rescuing(String),
}

/// Which run of which task on which host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The play's number within the run.
    pub play: u32,
    /// The host; `*` for a task that runs once for all.
    pub host: String,
    /// File, line and column; the module for tasks that nobody wrote.
    pub place: String,
    /// As a handler.
    pub handler: bool,
    /// The how-manieth time on that host in that play.
    pub nth: u32,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key { play, host, place, handler, nth } = self;
        write!(f, "{play} {host} {place} {handler} {nth}")
    }
}

/// A result, as a journal has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub key: Key,
    /// The host it ran on.
    pub host: String,
    /// The task's name.
    pub title: String,
    /// How it ended.
    pub status: u8,
    /// A failure that is ignored.
    pub ignored: bool,
    /// It failed, and that was not ignored.
    pub failed: bool,
    /// Milliseconds since the run began.
    pub from: u64,
    /// The same at its end.
    pub to: u64,
    /// What was said of a failure.
    pub message: String,
    /// Taken from an earlier run.
    pub stood: bool,
    looped: bool,
    kept: Option<Kept>,
}

/// What is needed to go on as if the task had just ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    result: Option<Value>,
    facts: Vec<(String, Value)>,
    notify: Vec<String>,
    register: Option<String>,
}

const STATUSES: [Status; 5] =
    [Status::Ok, Status::Changed, Status::Skipped, Status::Failed, Status::Unreachable];

impl Entry {
    /// How it ended.
    pub fn status(&self) -> Status {
        STATUSES.get(usize::from(self.status)).copied().unwrap_or(Status::Failed)
    }
}

/// Tasks that only read, decide or change nothing but variables of the controller: they run again, for what they say
/// must be of now (facts, what the guard allows, locks), or costs nothing.
pub(crate) fn runs_again(module: &str) -> bool {
    matches!(
        module,
        "add_host"
            | "assert"
            | "debug"
            | "etcd_guard"
            | "etcd_health"
            | "etcd_info"
            | "etcd_live"
            | "etcd_lock"
            | "etcd_plan"
            | "gather_facts"
            | "group_by"
            | "include_role"
            | "include_tasks"
            | "include_vars"
            | "meta"
            | "quorate_switch"
            | "set_fact"
            | "set_stats"
            | "setup"
            | "validate_argument_spec"
            | "wait_for"
            | "wait_for_connection"
    ) || module.ends_with("_facts")
}

/// The place of a step, as a key has it.
pub fn place(step: &Step) -> String {
    if step.implicit && !step.context.handlers {
        return format!("{} {}", step.task.span, step.module());
    }
    step.task.span.to_string()
}

/// A result on its way to the journal.
pub struct Told {
    /// Which.
    pub key: Key,
    /// The host.
    pub host: Arc<str>,
    /// The step.
    pub step: Arc<Step>,
    /// The step's name, as people read it.
    pub title: String,
    /// How it ended.
    pub done: Box<Done>,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Taken from an earlier run.
    pub stood: bool,
}

/// The journal of this run.
pub struct Journal {
    /// What people call the run.
    pub id: String,
    writer: Mutex<Writer>,
    read: AtomicUsize,
    began: Instant,
    seal: Option<[u8; 32]>,
}

struct Writer {
    /// Nothing once a write has failed: what follows a torn record must not look whole.
    file: Option<std::fs::File>,
    inputs: Inputs,
}

impl Writer {
    /// A record is one write.
    fn put(&mut self, record: &Record) {
        let Some(file) = &mut self.file else { return };
        let Ok(bytes) = postcard::to_allocvec(record) else { return };
        // a full disk must not end a run on other people's hosts
        if file.write_all(&frames::framed(&bytes)).is_err() {
            self.file = None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A keyed digest of words that may be secret.
pub fn digest_of(words: &[String]) -> std::io::Result<String> {
    if words.is_empty() {
        return Ok(String::new());
    }
    let key = Store::open(&Store::usual(), true)?.key()?;
    Ok(inputs::keyed(&key, words))
}

impl Journal {
    /// Begins the journal of a run.
    pub fn begin(asked: Asked, inputs: Inputs) -> std::io::Result<Arc<Self>> {
        let store = Store::open(&Store::usual(), true)?;
        // runs that nobody asks for any more; that it fails is nobody's loss
        store.tidy().ok();
        let at = now();
        let (id, file) = store.create(millis())?;
        let user = quorate_agent::system::users::own().map(|user| user.name).unwrap_or_default();
        let began = Instant::now();
        let mut writer = Writer { file: Some(file), inputs };
        writer.put(&Record::Begun { at, user, pid: std::process::id(), asked });
        let seal: Option<[u8; 32]> = random().ok();
        if let Some(seal) = seal {
            writer.put(&Record::Seal(seal));
        }
        let (writer, read) = (Mutex::new(writer), AtomicUsize::new(usize::MAX));
        let journal = Journal { id, writer, read, began, seal };
        journal.look();
        Ok(Arc::new(journal))
    }

    fn put(&self, record: &Record) {
        lock(&self.writer).put(record);
    }

    /// What hosts are to keep results under.
    pub fn seal(&self) -> Option<[u8; 32]> {
        self.seal
    }

    /// Files that have been read since.
    fn look(&self) {
        let count = quorate_value::source_count();
        if self.read.swap(count, Ordering::Relaxed) == count {
            return;
        }
        let mut writer = lock(&self.writer);
        for (path, digest) in writer.inputs.more() {
            writer.put(&Record::Input(path, digest));
        }
    }

    /// A play begins.
    pub fn play(&self, number: u32, name: &str) {
        self.put(&Record::Play { number, name: name.to_owned() });
    }

    /// A task has ended on a host. It is written before the host's next one begins.
    pub fn told(&self, told: Told) {
        self.look();
        self.put(&Record::Done(Box::new(entry(told, self.began))));
    }

    /// A failure is being taken care of.
    pub fn rescuing(&self, host: &str) {
        self.put(&Record::Rescuing(host.to_owned()));
    }

    /// A failure has been taken care of.
    pub fn rescued(&self, host: &str) {
        self.put(&Record::Rescued(host.to_owned()));
    }

    /// The guard said no.
    pub fn refused(&self, text: &str) {
        self.put(&Record::Refused(inputs::without_secrets(text)));
    }

    /// The end.
    pub fn end(&self, status: u8, interrupted: bool, recap: &crate::report::Recap) {
        let counts = recap
            .hosts
            .iter()
            .map(|(host, c)| {
                let counts = [c.ok, c.changed, c.unreachable, c.failed, c.skipped, c.rescued, c.ignored];
                (host.to_string(), counts)
            })
            .collect();
        let took = self.began.elapsed().as_millis() as u64;
        self.put(&Record::Ended { status, interrupted, took, counts });
        if let Some(file) = lock(&self.writer).file.take() {
            file.sync_all().ok();
        }
    }
}

fn entry(told: Told, began: Instant) -> Entry {
    let Told { key, host, step, title, done, began: from, ended, stood } = told;
    let no_log = done.result.get("_ansible_no_log").is_some_and(Value::is_truthy);
    let failed = matches!(done.status, Status::Failed | Status::Unreachable);
    let message = match &done.error {
        _ if !failed => String::new(),
        _ if no_log => "(hidden by no_log)".to_owned(),
        Some(chain) if !chain.links.is_empty() => {
            chain.links.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => done.result.get("msg").map(quorate_value::str_of).unwrap_or_default(),
    };
    let since = |at: Instant| at.saturating_duration_since(began).as_millis() as u64;
    Entry {
        host: host.to_string(),
        title: inputs::without_secrets(&title),
        status: STATUSES.iter().position(|status| *status == done.status).unwrap_or(0) as u8,
        ignored: done.ignored,
        failed: failed && !done.ignored,
        from: since(from),
        to: since(ended),
        message: inputs::without_secrets(&message),
        stood,
        looped: done.looped,
        kept: kept(&step, &done, no_log),
        key,
    }
}

/// What of a result may be kept, where that is enough to go on.
fn kept(step: &Step, done: &Done, no_log: bool) -> Option<Kept> {
    if done.status == Status::Unreachable || runs_again(step.module()) {
        return None;
    }
    let mut facts = Vec::new();
    for effect in &done.effects {
        match effect {
            Effect::Facts { host, facts: found } => {
                facts.push((host.to_string(), Value::dict(found.clone())))
            }
            Effect::ResetConnection => {}
            _ => return None,
        }
    }
    // a failure is looked at by whoever rescues it
    let read = done.register.is_some() || done.status == Status::Failed;
    let result = read.then(|| Value::dict(registered(&done.result)));
    let values = || result.iter().chain(facts.iter().map(|(_, facts)| facts));
    if values().next().is_some() {
        if no_log || values().any(|value| value.holds_secret() || holds_template(value)) {
            return None;
        }
        let size = postcard::to_allocvec(&result).map_or(usize::MAX, |bytes| bytes.len());
        let texts = || values().any(inputs::holds_known_secret);
        if size > LARGEST || texts() {
            return None;
        }
    }
    let plain = |texts: &[String]| texts.iter().all(|text| inputs::without_secrets(text) == *text);
    plain(&done.notify).then(|| Kept {
        result,
        facts,
        notify: done.notify.clone(),
        register: done.register.clone(),
    })
}

/// Trust does not travel: a result with a text that would be a template is not kept.
fn holds_template(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.is_template(),
        Value::List(items) => items.iter().any(holds_template),
        Value::Dict(entries) => entries.values().any(holds_template),
        _ => false,
    }
}

// ---- reading

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is going on.
    Going,
    /// It did not come to write its end: killed, or the machine went down.
    Torn,
    /// By itself, with this status.
    Status(u8),
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// How far it has come that a failure is taken care of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Begun,
    Done,
}

/// A run of the past.
#[derive(Debug, Clone)]
pub struct Past {
    /// What people call it.
    pub id: String,
    /// When it began, seconds since 1970.
    pub at: u64,
    /// Who ran it.
    pub user: String,
    /// What it was asked for.
    pub asked: Asked,
    /// How it ended.
    pub end: End,
    /// How long it took, milliseconds, as far as is known.
    pub took: u64,
    /// Plays by number.
    pub plays: BTreeMap<u32, String>,
    /// Results in the order they came.
    pub entries: Vec<Entry>,
    /// What was read, and its digest.
    pub inputs: Vec<(String, String)>,
    /// What the guard refused.
    pub refusals: Vec<String>,
    /// Counts by host.
    pub counts: Vec<(String, [u32; 7])>,
    /// Failures that were taken care of later on: the number of entries before, the host, and how far that came.
    rescued: Vec<(usize, String, Care)>,
    seal: Option<[u8; 32]>,
}

impl Past {
    fn read(name: &Name, bytes: &[u8], going: bool) -> Option<Self> {
        let mut past = Past {
            id: name.id.clone(),
            at: name.at / 1000,
            user: String::new(),
            asked: Asked::default(),
            end: if going { End::Going } else { End::Torn },
            took: 0,
            plays: BTreeMap::new(),
            entries: Vec::new(),
            inputs: Vec::new(),
            refusals: Vec::new(),
            counts: Vec::new(),
            rescued: Vec::new(),
            seal: None,
        };
        let mut begun = false;
        for payload in frames::whole(bytes)? {
            let Ok(record) = postcard::from_bytes::<Record>(payload) else { break };
            match record {
                Record::Begun { at, user, asked, .. } => {
                    (past.at, past.user, past.asked, begun) = (at, user, asked, true);
                }
                Record::Input(path, digest) => past.inputs.push((path, digest)),
                Record::Play { number, name } => {
                    past.plays.insert(number, name);
                }
                Record::Done(entry) => {
                    past.took = past.took.max(entry.to);
                    past.entries.push(*entry);
                }
                Record::Rescued(host) => past.rescued.push((past.entries.len(), host, Care::Done)),
                Record::Rescuing(host) => past.rescued.push((past.entries.len(), host, Care::Begun)),
                Record::Refused(text) => past.refusals.push(text),
                Record::Ended { status, interrupted, took, counts } => {
                    past.end = if interrupted { End::Interrupted } else { End::Status(status) };
                    (past.took, past.counts) = (took, counts);
                }
                Record::Seal(seal) => past.seal = Some(seal),
            }
        }
        begun.then_some(past)
    }

    /// What stands of it, for a run that goes on from there: on each host everything before the first failure that
    /// nothing took care of. Where care had only begun, and nothing else failed, it goes on.
    fn standing(&self) -> HashMap<Key, Entry> {
        // each failure with whether it is being taken care of
        let mut hosts: HashMap<&str, (Vec<&Entry>, Vec<(usize, bool)>)> = HashMap::new();
        let mut rescued = self.rescued.iter().peekable();
        for at in 0..=self.entries.len() {
            while let Some((_, host, care)) = rescued.next_if(|(before, ..)| *before <= at) {
                let (_, failures) = hosts.entry(host).or_default();
                match care {
                    Care::Done => drop(failures.pop()),
                    Care::Begun => {
                        failures.iter_mut().last().into_iter().for_each(|(_, cared)| *cared = true)
                    }
                }
            }
            let Some(entry) = self.entries.get(at) else { break };
            let (entries, failures) = hosts.entry(&entry.host).or_default();
            if entry.failed {
                failures.push((entries.len(), false));
            }
            entries.push(entry);
        }
        let stands = |(entries, failures): (Vec<&Entry>, Vec<(usize, bool)>)| {
            let first = failures.first().filter(|_| failures.iter().any(|(_, cared)| !cared));
            let end = first.map_or(entries.len(), |(at, _)| *at);
            entries[..end]
                .iter()
                .filter(|entry| entry.kept.is_some())
                .map(|e| (*e).clone())
                .collect::<Vec<_>>()
        };
        hosts.into_values().flat_map(stands).map(|entry| (entry.key.clone(), entry)).collect()
    }
}

/// The newest runs, so many of them, oldest first.
pub fn newest(count: usize) -> std::io::Result<Vec<Past>> {
    let Some(store) = existing()? else { return Ok(Vec::new()) };
    let names = store.list()?;
    let newest = names.iter().rev();
    let mut runs: Vec<Past> = newest.filter_map(|name| read(&store, name)).take(count).collect();
    runs.reverse();
    Ok(runs)
}

/// The store, where there is one.
fn existing() -> std::io::Result<Option<Store>> {
    match Store::open(&Store::usual(), false) {
        Ok(store) => Ok(Some(store)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(store: &Store, name: &Name) -> Option<Past> {
    let (bytes, going) = store.read(name).ok()?;
    Past::read(name, &bytes, going)
}

/// The newest run of a playbook that came to its end, `but` for one. Of other playbooks' runs only the beginning is read.
pub fn last_of(playbook: &std::path::Path, but: Option<&str>) -> Option<Past> {
    last_in(&Store::open(&Store::usual(), false).ok()?, playbook, but)
}

fn last_in(store: &Store, playbook: &std::path::Path, but: Option<&str>) -> Option<Past> {
    let full = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let wanted = full(playbook.to_path_buf());
    let is_of = |past: &Past| {
        let dir = PathBuf::from(&past.asked.dir);
        past.asked.playbooks.iter().any(|playbook| full(dir.join(playbook)) == wanted)
    };
    let names = store.list().ok()?;
    names.iter().rev().filter(|name| but != Some(name.id.as_str())).take(LOOKED_AT).find_map(|name| {
        let (head, going) = store.read_up_to(name, HEAD).ok()?;
        // what was asked for is the first record; one that is longer than that is read whole
        let begun = Past::read(name, &head, going);
        if going || begun.is_some_and(|begun| !is_of(&begun)) {
            return None;
        }
        let (bytes, going) = store.read(name).ok()?;
        let past = Past::read(name, &bytes, going)?;
        (is_of(&past) && past.end == End::Status(0)).then_some(past)
    })
}

/// A run that is going on, as far as it is recorded.
pub fn so_far(id: &str) -> Option<Past> {
    let store = Store::open(&Store::usual(), false).ok()?;
    let name = store.list().ok()?.into_iter().rev().find(|name| name.id == id)?;
    let (bytes, going) = store.read(&name).ok()?;
    Past::read(&name, &bytes, going)
}

/// The newest run that was made in this folder; nothing where none of the newest was.
pub fn last_here() -> Option<Past> {
    let here = std::env::current_dir().ok()?;
    let store = existing().ok()??;
    let names = store.list().ok()?;
    let made_here = |name: &&Name| {
        let head = store.read_up_to(name, HEAD).ok();
        let begun = head.and_then(|(head, going)| Past::read(name, &head, going));
        begun.is_some_and(|begun| here == std::path::Path::new(&begun.asked.dir))
    };
    names.iter().rev().take(LOOKED_AT).find(made_here).and_then(|name| read(&store, name))
}

/// The run that people call so: its name, the beginning of it, or `last`. Of the others only names are looked at.
pub fn find(word: &str) -> Result<Past, String> {
    let cannot = |e: std::io::Error| format!("the runs of the past cannot be read: {e}");
    let none = || "no run is recorded".to_owned();
    let store = existing().map_err(cannot)?.ok_or_else(none)?;
    let names = store.list().map_err(cannot)?;
    if word == "last" {
        return names.iter().rev().find_map(|name| read(&store, name)).ok_or_else(none);
    }
    let mut found: Vec<&Name> = names.iter().filter(|name| name.id.starts_with(word)).collect();
    if let Some(exact) = found.iter().copied().find(|name| name.id == word) {
        found = vec![exact];
    }
    match found.as_slice() {
        [one] => read(&store, one).ok_or_else(|| format!("the record of run `{}` cannot be read", one.id)),
        [] => {
            let near = quorate_yaml::nearest(word, names.iter().map(|name| name.id.as_str()));
            let near = near.first().map_or_else(
                || "`quorate history` lists the runs there are".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            Err(format!("no run is called `{word}`; {near}"))
        }
        many => {
            let names: Vec<&str> = many.iter().map(|name| name.id.as_str()).collect();
            Err(format!("`{word}` could be any of {}", names.join(", ")))
        }
    }
}

/// What a helper has kept, once it has said so.
type Answer = Arc<tokio::sync::OnceCell<Mutex<HashMap<String, Dict>>>>;

/// What stands of an earlier run, as the scheduler asks for it.
pub struct Resume {
    /// The run's name.
    pub id: String,
    standing: HashMap<Key, Entry>,
    used: AtomicUsize,
    /// What hosts have kept results under.
    seals: Vec<[u8; 32]>,
    /// What they have kept, asked once a helper, of all at a time.
    kept: Mutex<Vec<(Arc<Link>, Answer)>>,
}

impl Resume {
    /// What stands of a run.
    pub fn of(past: &Past) -> Arc<Self> {
        let mut runs = vec![past.standing()];
        let mut seals: Vec<[u8; 32]> = past.seal.into_iter().collect();
        // what the run before stood on stands still, though this one may not have come to it
        let mut before = past.asked.resumes.clone();
        while let Some(past) =
            before.take().filter(|_| runs.len() < LONGEST_CHAIN).and_then(|id| find(&id).ok())
        {
            runs.push(past.standing());
            seals.extend(past.seal);
            before = past.asked.resumes;
        }
        let standing = runs.into_iter().rev().flatten().collect();
        let (used, kept) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Resume { id: past.id.clone(), standing, used, seals, kept })
    }

    /// Asks a helper, once, what it has kept; it knows from then on which runs this one goes on with.
    pub async fn ask(&self, link: &Arc<Link>) {
        self.answer(link).await;
    }

    async fn answer(&self, link: &Arc<Link>) -> Option<Answer> {
        if self.seals.is_empty() {
            return None;
        }
        let answer = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.iter().find(|(known, _)| Arc::ptr_eq(known, link)) {
                Some((_, answer)) => answer.clone(),
                None => {
                    let answer = Answer::default();
                    kept.push((link.clone(), answer.clone()));
                    answer
                }
            }
        };
        answer.get_or_init(async || Mutex::new(asked_for(link, &self.seals).await)).await;
        Some(answer)
    }

    /// What a job came to of which only its host knows: the controller was gone before it heard. Each once.
    pub async fn kept(&self, link: &Arc<Link>, name: &str) -> Option<Dict> {
        let answer = self.answer(link).await?;
        let result = answer.get()?.lock().unwrap_or_else(PoisonError::into_inner).remove(name)?;
        self.used.fetch_add(1, Ordering::Relaxed);
        Some(result)
    }

    /// How many results stand.
    pub fn standing(&self) -> usize {
        self.standing.len()
    }

    /// How many were needed.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The result of a task that does not run again.
    pub fn result(&self, key: &Key) -> Option<Done> {
        let entry = self.standing.get(key)?;
        let kept = entry.kept.as_ref()?;
        self.used.fetch_add(1, Ordering::Relaxed);
        let mut result = match &kept.result {
            Some(Value::Dict(result)) => (**result).clone(),
            _ => Dict::new(),
        };
        if !result.contains_key("changed") {
            result.insert("changed", entry.status() == Status::Changed);
        }
        let facts = kept.facts.iter().filter_map(|(host, facts)| {
            let facts = facts.as_dict()?.clone();
            Some(Effect::Facts { host: Arc::from(host.as_str()), facts })
        });
        Some(Done {
            status: entry.status(),
            result: Arc::new(result),
            looped: entry.looped,
            ignored: entry.ignored,
            effects: facts.collect(),
            error: None,
            delegate: None,
            notify: kept.notify.clone(),
            register: kept.register.clone(),
        })
    }
}

/// Asks a host what it has kept of runs. One that does not say has kept nothing.
async fn asked_for(link: &Link, seals: &[[u8; 32]]) -> HashMap<String, Dict> {
    let seals = seals.iter().map(|seal| Value::from(quorate_agent::protocol::hex(seal))).collect::<Vec<_>>();
    let args = quorate_value::dict! {"seals" => Value::list(seals)};
    let job = quorate_agent::protocol::Job { module: "_kept".into(), args, ..Default::default() };
    let Ok(said) = link.run(job, Vec::new(), Some(ANSWERS_WITHIN)).await else { return HashMap::new() };
    let entries = said.get("kept").and_then(Value::as_list).unwrap_or_default();
    let entry = |entry: &Value| {
        let entry = entry.as_dict()?;
        let result = entry.get("result")?.as_dict()?;
        // what began is no result
        (!result.contains_key(quorate_agent::kept::BEGUN))
            .then(|| Some((entry.get("name")?.as_str()?.to_owned(), result.clone())))?
    };
    entries.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(host: &str, place: &str, status: Status) -> Record {
        let key = Key { play: 1, host: host.into(), place: place.into(), handler: false, nth: 0 };
        Record::Done(Box::new(Entry {
            key,
            host: host.into(),
            title: place.into(),
            status: STATUSES.iter().position(|s| *s == status).unwrap() as u8,
            ignored: false,
            failed: status == Status::Failed,
            from: 0,
            to: 1,
            message: String::new(),
            stood: false,
            looped: false,
            kept: Some(Kept {
                result: Some(Value::from("x")),
                facts: Vec::new(),
                notify: vec!["restart".into()],
                register: None,
            }),
        }))
    }

    fn journal() -> (Vec<Record>, Vec<u8>, Vec<usize>) {
        let asked = Asked { playbooks: vec!["p.yml".into()], ..Asked::default() };
        let records = vec![
            Record::Begun { at: 5, user: "me".into(), pid: 1, asked },
            Record::Play { number: 1, name: "p".into() },
            entry("a", "p.yml:3", Status::Changed),
            entry("b", "p.yml:3", Status::Failed),
            entry("b", "p.yml:9", Status::Ok),
            entry("a", "p.yml:5", Status::Ok),
            Record::Rescued("b".into()),
            entry("b", "p.yml:11", Status::Failed),
            Record::Ended { status: 2, interrupted: false, took: 9, counts: Vec::new() },
        ];
        let mut bytes = frames::MAGIC.to_vec();
        let mut ends = Vec::new();
        for record in &records {
            bytes.extend(frames::framed(&postcard::to_allocvec(record).unwrap()));
            ends.push(bytes.len());
        }
        (records, bytes, ends)
    }

    /// Killed at any byte: what was written whole stands, and nothing that came later is believed.
    #[test]
    fn a_journal_cut_at_any_byte_stands_up_to_there() {
        let (_, bytes, ends) = journal();
        let name = Name { at: 5, id: "ab".into() };
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let Some(past) = Past::read(&name, &bytes[..cut], false) else {
                assert_eq!(whole, 0, "{cut}");
                continue;
            };
            assert_eq!(past.end, if whole == 9 { End::Status(2) } else { End::Torn });
            let places: std::collections::BTreeSet<String> =
                past.standing().keys().map(|key| format!("{}@{}", key.host, key.place)).collect();
            let expected: &[&str] = match whole {
                0..=2 => &[],
                3..=5 => &["a@p.yml:3"],
                6 => &["a@p.yml:3", "a@p.yml:5"],
                _ => &["a@p.yml:3", "a@p.yml:5", "b@p.yml:3", "b@p.yml:9"],
            };
            assert_eq!(places.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{whole} records");
        }
    }

    /// A run that is killed while a failure is taken care of goes on with that; one whose care failed too begins anew.
    #[test]
    fn care_that_had_begun_goes_on() {
        let stands = |more: Vec<Record>| {
            let mut bytes = frames::MAGIC.to_vec();
            let mut records = vec![
                Record::Begun { at: 5, user: "me".into(), pid: 1, asked: Asked::default() },
                entry("a", "try", Status::Failed),
            ];
            records.extend(more);
            records.iter().for_each(|r| bytes.extend(frames::framed(&postcard::to_allocvec(r).unwrap())));
            let past = Past::read(&Name { at: 5, id: "ab".into() }, &bytes, false).unwrap();
            let mut places: Vec<String> = past.standing().keys().map(|key| key.place.clone()).collect();
            places.sort();
            places.join(" ")
        };
        let care = || Record::Rescuing("a".into());
        assert_eq!(stands(Vec::new()), "");
        assert_eq!(stands(vec![care()]), "try");
        assert_eq!(stands(vec![care(), entry("a", "rescue", Status::Ok)]), "rescue try");
        assert_eq!(stands(vec![care(), entry("a", "rescue", Status::Failed)]), "");
        let nested =
            vec![care(), entry("a", "rescue", Status::Failed), care(), entry("a", "more", Status::Ok)];
        assert_eq!(stands(nested), "more rescue try");
    }

    #[test]
    fn what_stands_comes_back_as_it_was() {
        let (_, bytes, _) = journal();
        let past = Past::read(&Name { at: 5, id: "ab".into() }, &bytes, false).unwrap();
        let resume = Resume::of(&past);
        let key =
            |place: &str| Key { play: 1, host: "a".into(), place: place.into(), handler: false, nth: 0 };
        let done = resume.result(&key("p.yml:3")).unwrap();
        assert_eq!((done.status, done.notify), (Status::Changed, vec!["restart".to_owned()]));
        assert!(resume.result(&key("p.yml:4")).is_none());
        assert!(resume.result(&Key { nth: 1, ..key("p.yml:3") }).is_none());
        assert_eq!(resume.used(), 1);
    }

    #[test]
    fn the_last_run_of_a_playbook_is_found_by_the_beginning_of_its_journal() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("runs"), true).unwrap();
        let dir = home.path().display().to_string();
        let write = |at: u64, playbook: &str, status: Option<u8>, padding: usize| {
            let (id, mut file) = store.create(at).unwrap();
            let mut put = |record: &Record| {
                file.write_all(&frames::framed(&postcard::to_allocvec(record).unwrap())).unwrap();
            };
            let asked = Asked {
                dir: dir.clone(),
                playbooks: vec![playbook.into()],
                tags: vec!["x".repeat(padding)],
                ..Asked::default()
            };
            put(&Record::Begun { at, user: String::new(), pid: 1, asked });
            for _ in 0..20 {
                put(&Record::Refused("y".repeat(HEAD as usize / 4)));
            }
            if let Some(status) = status {
                put(&Record::Ended { status, interrupted: false, took: 9, counts: Vec::new() });
            }
            id
        };
        let book = home.path().join("etcd.yml");
        let first = write(1, "etcd.yml", Some(0), 0);
        let second = write(2, "./etcd.yml", Some(0), 2 * HEAD as usize);
        write(3, "etcd.yml", Some(2), 0);
        write(4, "etcd.yml", None, 0);
        write(5, "other.yml", Some(0), 0);
        std::fs::write(&book, "").unwrap();
        let found = |but: Option<&str>| last_in(&store, &book, but).map(|past| past.id);
        assert_eq!(found(None), Some(second.clone()), "though its first record is long");
        assert_eq!(found(Some(&second)), Some(first));
        assert_eq!(last_in(&store, &home.path().join("none.yml"), None).map(|past| past.id), None);
    }
}
