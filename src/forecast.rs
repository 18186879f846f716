//! A plan as data: what each task would do on each host, and a run that is held to it.
//!
//! In: results of a run in check mode, and what the guard saw of clusters. Out: [`Plan`], a file; a [`Promise`] that
//! says of every task whether what it is about to do is what was planned.
//!
//! **Invariant:** a plan holds no secret: of what `no_log` hides, or what is marked secret, it knows only whether it
//! changes. What cannot be known before running is said to be so, never guessed.

use crate::journal::Key;
use crate::plan::Step;
use crate::report::{Status, diff};
use crate::run::actions::ActionCall;
use crate::run::task::{Done, Effect};
use quorate_value::{Dict, Value, str_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The form of a plan's file.
pub const VERSION: u32 = 1;

/// What a task would do on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// Nothing would change.
    Same,
    /// Something would.
    Change,
    /// Its condition is false.
    Skip,
    /// Only running it tells.
    Unknown,
    /// It would fail.
    Fail,
}

/// One task on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Which.
    pub key: PlanKey,
    /// The task's name.
    pub title: String,
    /// Its module.
    pub module: String,
    /// What it would do.
    pub outlook: Outlook,
    /// The difference, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// A digest of what is there before; nothing where there is no difference to tell, or a secret in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The same of what is there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A task on a host, as a plan's file names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanKey {
    /// The host; `*` for a task that runs once for all.
    pub host: String,
    /// The play's number.
    pub play: u32,
    /// File, line and column.
    pub place: String,
    /// As a handler.
    pub handler: bool,
    /// The how-manieth time there.
    pub nth: u32,
}

impl From<&Key> for PlanKey {
    fn from(key: &Key) -> Self {
        PlanKey {
            host: key.host.clone(),
            play: key.play,
            place: key.place.clone(),
            handler: key.handler,
            nth: key.nth,
        }
    }
}

/// A plan, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The file's form.
    pub version: u32,
    /// The program that made it.
    pub quorate: String,
    /// When, seconds since 1970.
    pub at: u64,
    /// What was asked for.
    pub asked: crate::journal::Asked,
    /// What was read on the controller, with digests.
    pub inputs: BTreeMap<String, String>,
    /// Every task on every host, in order.
    pub items: Vec<Item>,
}

/// A step that takes a member away, met while planning.
#[derive(Debug, Clone)]
pub struct Absence {
    /// The task.
    pub title: String,
    /// The host.
    pub host: String,
    /// Whether the member comes back by the same step.
    pub comes_back: bool,
}

/// A cluster, and what a plan does to it.
#[derive(Debug, Clone)]
pub struct Outlooked {
    /// How it was when it was looked at.
    pub seen: quorate_etcd::Observation,
    /// How far behind counts as well.
    pub max_lag: u64,
    /// In the order of the plan.
    pub steps: Vec<Absence>,
}

/// A module's call, for `--as-shell`.
#[derive(Debug, Clone)]
pub struct Call {
    /// The module.
    pub module: String,
    /// Rendered arguments.
    pub args: Dict,
    /// The user it becomes.
    pub become_: Option<String>,
    /// The host it runs on instead.
    pub delegated: Option<String>,
    /// Hidden by `no_log`.
    pub hidden: bool,
}

/// What a run in check mode collects.
#[derive(Default)]
pub struct Forecast {
    inner: Mutex<Collected>,
}

#[derive(Default)]
struct Collected {
    items: Vec<Item>,
    calls: HashMap<(crate::plan::StepId, String), Vec<Call>>,
    /// Calls by item, once that has ended.
    of: HashMap<usize, Vec<Call>>,
    clusters: BTreeMap<String, Outlooked>,
    made: HashMap<String, HashSet<String>>,
    foggy: HashMap<String, HashSet<String>>,
}

impl Forecast {
    fn inner(&self) -> MutexGuard<'_, Collected> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A module is called.
    pub fn calls(&self, call: &ActionCall<'_>) {
        let seen = Call {
            module: call.module.clone(),
            args: call.args.clone(),
            become_: call.become_.map(|become_| become_.user.clone()),
            delegated: call.delegated.map(str::to_owned),
            hidden: call.no_log,
        };
        self.inner().calls.entry((call.step.id, call.host.to_string())).or_default().push(seen);
    }

    /// A task has ended.
    pub fn ended(&self, key: &Key, host: &str, step: &Step, done: &Done) {
        let mut inner = self.inner();
        let item = item(key, step, done);
        if item.outlook == Outlook::Unknown
            && let Some(name) = &done.register
        {
            inner.foggy.entry(host.to_owned()).or_default().insert(name.clone());
        }
        // what is set from it is not known either
        let set: Vec<String> = done
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Set { vars, .. } => Some(vars),
                _ => None,
            })
            .flat_map(|vars| vars.keys().map(|key| key.json_text().into_owned()))
            .collect();
        if !set.is_empty() {
            drop(inner);
            let fog = self.fog(host, step);
            inner = self.inner();
            if fog.is_some() {
                inner.foggy.entry(host.to_owned()).or_default().extend(set);
            }
        }
        let calls = inner.calls.remove(&(step.id, host.to_owned())).unwrap_or_default();
        if item.outlook == Outlook::Change {
            for call in &calls {
                // what another host does for this one, or one for all, is there for everybody
                let whom = if call.delegated.is_some() || key.host == "*" { "*" } else { host };
                inner.made.entry(whom.to_owned()).or_default().extend(made(&call.module, &call.args));
            }
        }
        let at = inner.items.len();
        inner.of.insert(at, calls);
        inner.items.push(item);
    }

    /// A step that takes a member away would ask the guard.
    pub fn absence(&self, seen: &quorate_etcd::Observation, max_lag: u64, absence: Absence) {
        let mut inner = self.inner();
        let known = inner.clusters.entry(seen.cluster.clone()).or_insert_with(|| Outlooked {
            seen: seen.clone(),
            max_lag,
            steps: Vec::new(),
        });
        known.steps.push(absence);
    }

    /// Clusters, as the plan goes through them.
    pub fn clusters(&self) -> Vec<Outlooked> {
        self.inner().clusters.values().cloned().collect()
    }

    /// The items, each with its calls.
    pub fn items(&self) -> Vec<(Item, Vec<Call>)> {
        let mut inner = self.inner();
        let mut of = std::mem::take(&mut inner.of);
        let items = inner.items.iter().enumerate();
        items.map(|(at, item)| (item.clone(), of.remove(&at).unwrap_or_default())).collect()
    }

    /// Why a failure in check mode is none: what it lacks would be there by then. Nothing where it is a failure.
    pub fn excuse(&self, host: &str, step: &Step, message: &str) -> Option<String> {
        let inner = self.inner();
        let empty = HashSet::new();
        let made = [host, "*"].into_iter().flat_map(|host| inner.made.get(host).unwrap_or(&empty));
        let mut texts = vec![message.to_owned()];
        for call in inner.calls.get(&(step.id, host.to_owned())).into_iter().flatten() {
            call.args.values().for_each(|value| texts_of(value, &mut texts));
        }
        let of = |path: &String| {
            texts.iter().any(|text| {
                text.match_indices(path.as_str()).any(|(at, found)| {
                    let rest = &text[at + found.len()..];
                    !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
                })
            })
        };
        if let Some(path) = made.filter(|path| of(path)).max_by_key(|path| path.len()) {
            return Some(format!("{path} would be there by then"));
        }
        drop(inner);
        self.fog(host, step)
    }

    /// Why a result in check mode says nothing: it rests on a variable that is not known before running.
    pub fn fog(&self, host: &str, step: &Step) -> Option<String> {
        let inner = self.inner();
        let foggy = inner.foggy.get(host)?;
        let mut said = Vec::new();
        step.said().into_iter().for_each(|value| texts_of(value, &mut said));
        let mut names: Vec<&String> =
            foggy.iter().filter(|name| said.iter().any(|text| mentions(text, name))).collect();
        names.sort();
        names.first().map(|name| format!("`{name}` is known by then"))
    }
}

fn texts_of(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Str(text) => out.push(text.as_str().to_owned()),
        Value::List(items) => items.iter().for_each(|item| texts_of(item, out)),
        Value::Dict(entries) => entries.values().for_each(|item| texts_of(item, out)),
        _ => {}
    }
}

/// Whether a text has a name as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

/// Paths that a module's change makes.
fn made(module: &str, args: &Dict) -> Vec<String> {
    let absent = args.get("state").map(str_of).is_some_and(|state| state == "absent");
    if absent {
        return Vec::new();
    }
    let names: &[&str] = match crate::playbook::short_name(module) {
        "file" => &["path", "dest", "name"],
        "copy" | "template" | "get_url" | "unarchive" | "assemble" | "synchronize" => &["dest"],
        "openssl_privatekey" | "openssl_csr" | "x509_certificate" | "x509_crl" | "openssl_pkcs12"
        | "openssl_dhparam" | "openssh_keypair" | "openssl_publickey" => &["path"],
        "lineinfile" | "blockinfile" | "ini_file" => &["path", "dest"],
        _ => &[],
    };
    names.iter().filter_map(|name| args.get(*name)).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn digest(value: Option<&Value>) -> Option<String> {
    let value = value?;
    if value.holds_secret() {
        return None;
    }
    let text = quorate_value::to_json(value);
    Some(quorate_agent::protocol::hex(&Sha256::digest(text)[..16]))
}

fn item(key: &Key, step: &Step, done: &Done) -> Item {
    let no_log = done.result.get("_ansible_no_log").is_some_and(Value::is_truthy);
    let about_check = step.said().iter().any(|value| {
        let mut texts = Vec::new();
        texts_of(value, &mut texts);
        texts.iter().any(|text| mentions(text, "ansible_check_mode"))
    });
    let outlook = match done.status {
        _ if about_check => Outlook::Unknown,
        Status::Failed | Status::Unreachable if !done.ignored => Outlook::Fail,
        Status::Failed | Status::Unreachable => Outlook::Unknown,
        Status::Changed => Outlook::Change,
        Status::Ok => Outlook::Same,
        Status::Skipped if unsure(&done.result) => Outlook::Unknown,
        Status::Skipped => Outlook::Skip,
    };
    let differences =
        if no_log || done.status != Status::Changed { Vec::new() } else { differences(&done.result) };
    let secret = differences.iter().any(Value::holds_secret);
    let sides = |name: &str| {
        let all: Vec<Value> = differences.iter().filter_map(|value| value.get(name)).cloned().collect();
        digest(Some(&Value::list(all)).filter(|value| value.is_truthy() && !secret))
    };
    let shown: String = if secret { String::new() } else { differences.iter().map(diff::render).collect() };
    Item {
        key: key.into(),
        title: step.title(),
        module: step.module().to_owned(),
        outlook,
        diff: crate::secrets::scrub(&shown).into_owned(),
        before: sides("before"),
        after: sides("after"),
    }
}

/// The differences of a result, or of the items of its loop.
fn differences(result: &Dict) -> Vec<Value> {
    match (result.get("diff"), result.get("results")) {
        (Some(Value::List(items)), _) => items.to_vec(),
        (Some(one), _) => vec![one.clone()],
        (None, Some(Value::List(items))) => {
            items.iter().filter_map(Value::as_dict).flat_map(differences).collect()
        }
        _ => Vec::new(),
    }
}

/// Skipped for no condition of its own: check mode cannot tell. The same of any item of a loop.
fn unsure(result: &Dict) -> bool {
    match result.get("results") {
        Some(Value::List(items)) => items.iter().any(|item| item.as_dict().is_some_and(unsure)),
        _ => {
            !result.contains_key("skip_reason")
                && !result.contains_key("skipped_reason")
                && result.get("msg").is_some_and(Value::is_truthy)
                && result.get("skipped").is_some_and(Value::is_truthy)
        }
    }
}

/// A run that does what a plan says, and nothing else.
pub struct Promise {
    items: HashMap<PlanKey, Item>,
    /// Hosts on which something planned has been done.
    begun: Mutex<HashSet<String>>,
    broken: Mutex<Vec<String>>,
}

impl Promise {
    /// Holds a run to a plan.
    pub fn of(plan: &Plan) -> Arc<Self> {
        let items = plan.items.iter().map(|item| (item.key.clone(), item.clone())).collect();
        Arc::new(Promise { items, begun: Mutex::default(), broken: Mutex::default() })
    }

    /// What did not go as planned.
    pub fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something planned happens on a host.
    pub fn begins(&self, host: &str) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
    }

    /// Whether a task needs no look before it runs: it was planned as one that only running tells.
    pub fn lets_run(&self, key: &Key) -> bool {
        self.items.get(&key.into()).is_some_and(|item| item.outlook == Outlook::Unknown)
    }

    /// Compares what check mode says right before a task runs with what was planned. An error is why it may not.
    pub fn check(&self, key: &Key, host: &str, step: &Step, done: &Done) -> Result<(), String> {
        let now = item(key, step, done);
        let planned = self.items.get(&key.into());
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).contains(host);
        let why = match (planned.map(|item| item.outlook), now.outlook) {
            (_, Outlook::Same | Outlook::Skip) => return Ok(()),
            (Some(Outlook::Unknown), _) => return Ok(()),
            (_, Outlook::Fail) => "it would fail now".to_owned(),
            (None, _) => "it is not in the plan".to_owned(),
            (Some(Outlook::Change), Outlook::Unknown) => return Ok(()),
            (Some(Outlook::Change), Outlook::Change) => {
                let planned = planned.expect("just looked at");
                if planned.after != now.after {
                    "it would make something else of it than was planned".to_owned()
                } else if planned.before != now.before && !begun {
                    "what it would change is not what it was".to_owned()
                } else {
                    return Ok(());
                }
            }
            (Some(Outlook::Same), _) => "it would change something, and was to change nothing".to_owned(),
            (Some(Outlook::Skip), _) => "it would run, and was to be skipped".to_owned(),
            (Some(Outlook::Fail), _) => "it was to fail".to_owned(),
        };
        let text = format!("{} on {host}: {why}", step.title());
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
        Err(text)
    }
}

/// Where a plan and a look at the same hosts later differ, in words.
pub fn moved(plan: &Plan, now: &[Item]) -> Vec<String> {
    let then: HashMap<&PlanKey, &Item> = plan.items.iter().map(|item| (&item.key, item)).collect();
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for item in now {
        seen.insert(&item.key);
        let say = |why: &str| format!("{} on {}: {why}", item.title, item.key.host);
        match then.get(&item.key) {
            None if matches!(item.outlook, Outlook::Same | Outlook::Skip) => {}
            None => out.push(say("it is not in the plan")),
            Some(planned) if planned.outlook != item.outlook => {
                out.push(say(&format!("{} was planned, now it is {}", planned.outlook, item.outlook)));
            }
            Some(planned) if (&planned.before, &planned.after) != (&item.before, &item.after) => {
                out.push(say("its difference is another one now"));
            }
            Some(_) => {}
        }
    }
    for item in &plan.items {
        if !seen.contains(&item.key) && !matches!(item.outlook, Outlook::Same | Outlook::Skip) {
            out.push(format!("{} on {}: it would not be come to now", item.title, item.key.host));
        }
    }
    out
}

impl std::fmt::Display for Outlook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Outlook::Same => "no change",
            Outlook::Change => "a change",
            Outlook::Skip => "a skip",
            Outlook::Unknown => "what only running tells",
            Outlook::Fail => "a failure",
        })
    }
}

/// The quorum forecast of a cluster: a line for now, one for each step, and the lowest point.
pub fn quorum(cluster: &Outlooked) -> Vec<String> {
    let seen = &cluster.seen;
    let voters: Vec<&quorate_etcd::SeenMember> = seen.voters().collect();
    if voters.is_empty() {
        return vec![format!(
            "quorum of cluster \"{}\": nobody answers; there is no quorum to lose",
            seen.cluster
        )];
    }
    let need = voters.len() / 2 + 1;
    let mut up: Vec<(String, bool)> =
        voters.iter().map(|voter| (voter.label(), voter.serves(cluster.max_lag))).collect();
    let mut leader = voters.iter().find(|v| seen.leader.is_some() && v.id == seen.leader).map(|v| v.label());
    let mut touched: HashSet<String> = HashSet::new();
    let count = |up: &[(String, bool)]| up.iter().filter(|(_, up)| *up).count();
    let word = |healthy: usize, leader: &Option<String>| {
        let spare =
            if healthy < need { "NO QUORUM".to_owned() } else { format!("{} to spare", healthy - need) };
        let leads = leader.as_ref().map_or_else(|| "nobody leads".to_owned(), |name| format!("{name} leads"));
        format!("{healthy} of {} up, {spare}; {leads}", up_of(voters.len()))
    };
    let mut lowest = (count(&up), "now".to_owned());
    let mut lines = vec![
        format!("quorum of cluster \"{}\" ({} voters, {need} needed)", seen.cluster, voters.len()),
        format!("  now: {}", word(lowest.0, &leader)),
    ];
    for step in &cluster.steps {
        let Some(at) = up.iter().position(|(label, _)| *label == step.host) else { continue };
        touched.insert(step.host.clone());
        let was = up[at].1;
        up[at].1 = false;
        let mut note = String::new();
        if leader.as_deref() == Some(step.host.as_str()) {
            // whoever had its turn already keeps it; the others would have to hand it on
            let heir = up
                .iter()
                .filter(|(_, up)| *up)
                .min_by_key(|(label, _)| touched.contains(label))
                .map(|(label, _)| label.clone());
            if count(&up) < need {
                leader = None;
            } else {
                leader = heir;
                note = " (leadership is handed over)".to_owned();
            }
        }
        let healthy = count(&up);
        if healthy < lowest.0 {
            lowest = (healthy, format!("while {} is away", step.host));
        }
        let verb = if step.comes_back { "restarts" } else { "stops" };
        lines.push(format!("  {} {verb} ({}): {}{note}", step.host, step.title, word(healthy, &leader)));
        if step.comes_back {
            up[at].1 = true;
        } else if !was {
            up[at].1 = false;
        }
    }
    lines.push(format!(
        "  lowest: {} of {} {}, {}",
        lowest.0,
        voters.len(),
        lowest.1,
        if lowest.0 < need { "WITHOUT A QUORUM".to_owned() } else { format!("{} to spare", lowest.0 - need) }
    ));
    lines
}

fn up_of(voters: usize) -> String {
    voters.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Context, program::implicit_step};
    use crate::playbook::Task;
    use quorate_value::{Span, dict};

    fn key() -> Key {
        Key { play: 1, host: "a".into(), place: "p.yml:3:5".into(), handler: false, nth: 0 }
    }

    fn step() -> Arc<Step> {
        let task = Task::plain("Write", "ansible.builtin.copy", Dict::new(), Span::default());
        implicit_step(task, &Arc::new(Context::default()), Vec::new())
    }

    fn done(status: Status, before: &str, after: &str) -> Done {
        Done {
            status,
            result: Arc::new(dict! {"diff" => dict! {"before" => before, "after" => after}}),
            looped: false,
            ignored: false,
            effects: Vec::new(),
            error: None,
            delegate: None,
            notify: Vec::new(),
            register: None,
        }
    }

    fn plan(status: Status, before: &str, after: &str) -> Plan {
        Plan {
            version: VERSION,
            quorate: String::new(),
            at: 0,
            asked: crate::journal::Asked::default(),
            inputs: BTreeMap::new(),
            items: vec![item(&key(), &step(), &done(status, before, after))],
        }
    }

    #[test]
    fn what_was_not_planned_does_not_happen() {
        let says = |plan: &Plan, done: &Done, begun: bool| {
            let promise = Promise::of(plan);
            if begun {
                promise.begins("a");
            }
            promise
                .check(&key(), "a", &step(), done)
                .map_err(|text| text.split(": ").nth(1).unwrap().to_owned())
        };
        let change = plan(Status::Changed, "x\n", "y\n");
        assert_eq!(says(&change, &done(Status::Changed, "x\n", "y\n"), false), Ok(()));
        assert_eq!(says(&change, &done(Status::Ok, "", ""), false), Ok(()));
        assert_eq!(
            says(&change, &done(Status::Changed, "x\n", "z\n"), false),
            Err("it would make something else of it than was planned".into())
        );
        assert_eq!(
            says(&change, &done(Status::Changed, "w\n", "y\n"), false),
            Err("what it would change is not what it was".into())
        );
        assert_eq!(says(&change, &done(Status::Changed, "w\n", "y\n"), true), Ok(()));
        let same = plan(Status::Ok, "", "");
        assert_eq!(
            says(&same, &done(Status::Changed, "x\n", "y\n"), true),
            Err("it would change something, and was to change nothing".into())
        );
        let nothing = Plan { items: Vec::new(), ..same };
        assert_eq!(
            says(&nothing, &done(Status::Changed, "x\n", "y\n"), true),
            Err("it is not in the plan".into())
        );
    }

    #[test]
    fn a_world_that_moved_is_told() {
        let before = plan(Status::Changed, "x\n", "y\n");
        assert!(moved(&before, &before.items).is_empty());
        let after = plan(Status::Changed, "w\n", "y\n");
        assert_eq!(moved(&before, &after.items), ["Write on a: its difference is another one now"]);
        let none = plan(Status::Ok, "", "");
        assert_eq!(moved(&before, &none.items), ["Write on a: a change was planned, now it is no change"]);
        assert_eq!(moved(&before, &[]), ["Write on a: it would not be come to now"]);
    }

    #[test]
    fn a_plan_survives_its_file() {
        let plan = plan(Status::Changed, "x\n", "y\n");
        let text = serde_json::to_string_pretty(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn secrets_are_not_in_a_plan() {
        let mut hidden = done(Status::Changed, "x\n", "y\n");
        Arc::make_mut(&mut hidden.result).insert("_ansible_no_log", true);
        let hidden = item(&key(), &step(), &hidden);
        assert_eq!((hidden.outlook, hidden.diff.as_str(), hidden.after), (Outlook::Change, "", None));
        let mut marked = done(Status::Changed, "x\n", "y\n");
        let secret = quorate_value::Str::new("a-Secret-of-6\n").secret();
        Arc::make_mut(&mut marked.result).insert("diff", dict! {"before" => "", "after" => secret});
        let marked = item(&key(), &step(), &marked);
        assert_eq!((marked.diff.as_str(), marked.after), ("", None));
    }
}
