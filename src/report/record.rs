//! What happened in a run, as data: for the HTML report and for `--events`.
//!
//! In: the event stream, and when steps really began and ended. Out: a [`RunRecord`]; JSON lines.
//!
//! **Invariant:** nothing enters that the terminal would not show: results come with secrets masked and `no_log`
//! censored, and of results only the message, the difference (where it was asked for) and the place are kept.

use super::{Counts, Event, Outcome, Reader, Status, diff};
use crate::plan::{Step, StepId};
use indexmap::IndexMap;
use quorate_value::{Value, str_of};
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The version of the form of `--events`: it changes when a reader of the last one would misread it.
pub const EVENTS_VERSION: u32 = 1;

/// When a step began and ended, in milliseconds, and the gates in front of it.
type Ran = (u64, u64, u32);

/// When steps began and ended on hosts, whatever order they are told in.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    spans: Mutex<HashMap<(StepId, Arc<str>), Ran>>,
    sightings: Mutex<Vec<Sighting>>,
}

/// What a member of a cluster is at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It leads.
    Leader,
    /// It votes.
    Voter,
    /// It has no vote.
    Learner,
    /// It does not serve.
    Away,
}

/// How a cluster was at a moment.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Milliseconds since the run began.
    pub at: u64,
    /// Its name.
    pub cluster: String,
    /// Its members in its order.
    pub members: Vec<(String, Standing)>,
    /// Voters that serve.
    pub healthy: usize,
    /// Voters.
    pub voters: usize,
    /// Voters that are needed.
    pub need: usize,
}

impl Sighting {
    /// What was seen, at no moment yet. `known`: hosts of members by their ids, as far as earlier looks told.
    pub fn of(
        cluster: &str,
        seen: &quorate_etcd::Observation,
        max_lag: u64,
        known: &mut HashMap<String, String>,
    ) -> Self {
        let mut label = |member: &quorate_etcd::SeenMember| match (&member.id, &member.host) {
            (Some(id), Some(host)) => {
                known.insert(id.to_string(), host.clone());
                host.clone()
            }
            (Some(id), None) => known.get(&id.to_string()).cloned().unwrap_or_else(|| member.label()),
            _ => member.label(),
        };
        let state = |member: &quorate_etcd::SeenMember| {
            if !member.serves(max_lag) {
                Standing::Away
            } else if seen.leader.is_some() && member.id == seen.leader {
                Standing::Leader
            } else if member.role == quorate_etcd::Role::Learner {
                Standing::Learner
            } else {
                Standing::Voter
            }
        };
        let mut members: Vec<(String, Standing)> = seen
            .members
            .iter()
            .filter(|member| member.role != quorate_etcd::Role::Unlisted)
            .map(|member| (label(member), state(member)))
            .collect();
        // whoever asks begins with another
        members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        let voters = seen.voters().count();
        let healthy = seen.voters().filter(|voter| voter.serves(max_lag)).count();
        Sighting { at: 0, cluster: cluster.to_owned(), members, healthy, voters, need: voters / 2 + 1 }
    }

    /// Whether another look saw the same.
    pub fn same_as(&self, other: &Sighting) -> bool {
        (&self.cluster, &self.members, self.healthy, self.voters)
            == (&other.cluster, &other.members, other.healthy, other.voters)
    }
}

/// A run of the same playbook before this one, and what was different.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// What people call it.
    pub id: String,
    /// When it began, seconds since 1970.
    pub at: u64,
    /// How long it took, milliseconds.
    pub took: u64,
    /// What it was asked for.
    pub command: String,
    /// What was different, a line each.
    pub lines: Vec<String>,
}

/// Where a variable came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its value on a line; what may be secret is not shown.
    pub value: String,
    /// What set it.
    pub by: String,
    /// File and line.
    pub place: String,
    /// How many weaker definitions there are.
    pub over: usize,
    /// For whom; nobody where it is the same for all.
    pub hosts: Vec<Arc<str>>,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { began: Instant::now(), spans: Mutex::default(), sightings: Mutex::default() }
    }
}

impl Clock {
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// A step begins on a host, behind so many gates of its play.
    pub fn begin(&self, step: StepId, host: &Arc<str>, gates: u32) {
        let now = self.now();
        self.spans().insert((step, host.clone()), (now, now, gates));
    }

    /// It ends.
    pub fn end(&self, step: StepId, host: &Arc<str>) {
        let now = self.now();
        if let Some(span) = self.spans().get_mut(&(step, host.clone())) {
            span.1 = now;
        }
    }

    /// A cluster has been looked at.
    pub fn saw(&self, mut seen: Sighting) {
        seen.at = self.now();
        let mut all = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        // who waits looks often: what stays as it was is one sighting
        if all.iter().rev().find(|last| last.cluster == seen.cluster).is_none_or(|last| !last.same_as(&seen))
        {
            all.push(seen);
        }
    }

    /// What was noted, once: nobody asks again.
    fn take(&self, step: StepId, host: &Arc<str>) -> Ran {
        self.spans().remove(&(step, host.clone())).unwrap_or_else(|| (self.now(), self.now(), 0))
    }

    fn spans(&self) -> std::sync::MutexGuard<'_, HashMap<(StepId, Arc<str>), Ran>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task on a host.
#[derive(Debug, Clone)]
pub struct Cell {
    /// How it ended.
    pub status: Status,
    /// A failure that the task ignores.
    pub ignored: bool,
    /// Milliseconds since the run began.
    pub from: u64,
    /// The same, at its end.
    pub to: u64,
    /// How many gates of its play were in front of it.
    pub gates: u32,
    /// What was said of a failure.
    pub message: String,
    /// The difference, where it was asked for.
    pub diff: String,
}

/// A task.
#[derive(Debug, Clone)]
pub struct TaskRecord {
    /// Its name, role in front.
    pub title: String,
    /// Its module.
    pub module: String,
    /// File and line.
    pub place: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// By host, in the order told.
    pub hosts: IndexMap<Arc<str>, Cell>,
}

/// A play, or a batch of it.
#[derive(Debug, Clone, Default)]
pub struct PlayRecord {
    /// Its name.
    pub name: String,
    /// Its tasks in order.
    pub tasks: Vec<(StepId, TaskRecord)>,
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub struct RunRecord {
    /// Playbooks.
    pub playbooks: Vec<String>,
    /// When it began, seconds since 1970.
    pub at: u64,
    /// How long it took, milliseconds.
    pub took: u64,
    /// Its plays.
    pub plays: Vec<PlayRecord>,
    /// Warnings, in order.
    pub warnings: Vec<String>,
    /// What the guard refused.
    pub refusals: Vec<String>,
    /// What clients of clusters could do meanwhile.
    pub probes: Vec<Arc<crate::probe::Probed>>,
    /// Looks at clusters.
    pub sightings: Vec<Sighting>,
    /// A run of the same playbook before.
    pub earlier: Option<Earlier>,
    /// Where variables came from.
    pub origins: Vec<Origin>,
    /// Counts by host.
    pub recap: IndexMap<Arc<str>, Counts>,
    /// Whether the end was told.
    pub ended: bool,
}

/// Collects a run, and writes events as they come.
pub struct Recorder {
    /// What was collected so far.
    pub record: Arc<Mutex<RunRecord>>,
    clock: Arc<Clock>,
    lines: Option<std::fs::File>,
}

impl Recorder {
    /// A recorder that also writes JSON lines, if there is a file for them.
    pub fn new(clock: Arc<Clock>, lines: Option<std::fs::File>) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let record = Arc::new(Mutex::new(RunRecord { at, ..RunRecord::default() }));
        let mut recorder = Recorder { record, clock, lines };
        recorder.line(serde_json::json!({"event": "run", "version": EVENTS_VERSION, "at": at}));
        recorder
    }

    fn line(&mut self, value: serde_json::Value) {
        if let Some(file) = &mut self.lines {
            // a full disk must not end a run on other people's hosts
            let value = value.to_string();
            if writeln!(file, "{}", crate::secrets::scrub(&value)).is_err() {
                self.lines = None;
            }
        }
    }

    fn result(&mut self, step: &Arc<Step>, outcome: &Outcome) {
        let (from, to, gates) = self.clock.take(step.id, &outcome.host);
        let failed = matches!(outcome.status, Status::Failed | Status::Unreachable);
        let message = match (&outcome.error, failed) {
            (Some(chain), true) if !chain.links.is_empty() => {
                let words: Vec<&str> = chain.links.iter().map(|(text, _)| text.as_str()).collect();
                let mut message = words.join(" ");
                if let Some(help) = chain.way_out() {
                    message.push_str(&format!("\n{help}"));
                }
                message
            }
            (_, true) => outcome.result.get("msg").map(str_of).unwrap_or_default(),
            // skipped, but for no condition of its own: check mode cannot tell
            _ if outcome.status == Status::Skipped
                && !outcome.result.contains_key("skip_reason")
                && !outcome.result.contains_key("results")
                && !outcome.result.contains_key("skipped_reason") =>
            {
                outcome.result.get("msg").map(str_of).unwrap_or_default()
            }
            _ => String::new(),
        };
        let wanted = outcome.result.get("_ansible_diff").is_some_and(Value::is_truthy);
        let shown = outcome.result.get("diff").filter(|_| wanted).map(diff::render).unwrap_or_default();
        let cell =
            Cell { status: outcome.status, ignored: outcome.ignored, from, to, gates, message, diff: shown };
        self.line(serde_json::json!({
            "event": "result", "task": step.id.0, "host": &*outcome.host, "status": word(cell.status),
            "ignored": cell.ignored, "from_ms": from, "to_ms": to, "message": cell.message,
        }));
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(play) = record.plays.last_mut() else { return };
        if let Some((_, task)) = play.tasks.iter_mut().rev().find(|(id, _)| *id == step.id) {
            task.hosts.insert(outcome.host.clone(), cell);
        }
    }
}

/// A status as one word.
pub fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Unreachable => "unreachable",
    }
}

impl Reader for Recorder {
    fn event(&mut self, event: &Event) {
        let shared = self.record.clone();
        let record = || shared.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PlaybookStarted { path, .. } => {
                record().playbooks.push(path.clone());
                self.line(serde_json::json!({"event": "playbook", "path": path}));
            }
            Event::PlayStarted { name, check } => {
                record().plays.push(PlayRecord { name: name.clone(), tasks: Vec::new() });
                self.line(serde_json::json!({"event": "play", "name": name, "check": check}));
            }
            Event::TaskStarted { step, title, .. } => {
                let task = TaskRecord {
                    title: title.clone(),
                    module: step.module().to_owned(),
                    place: if step.implicit { String::new() } else { step.task.span.to_string() },
                    tags: step.tags.clone(),
                    hosts: IndexMap::new(),
                };
                self.line(serde_json::json!({
                    "event": "task", "task": step.id.0, "title": title, "module": task.module, "place": task.place,
                }));
                if let Some(play) = record().plays.last_mut() {
                    play.tasks.push((step.id, task));
                }
            }
            Event::Result { step, outcome, .. } => self.result(step, outcome),
            Event::Warning(text) => {
                record().warnings.push(text.clone());
                self.line(serde_json::json!({"event": "warning", "text": text}));
            }
            Event::Refused { text } => {
                record().refusals.push(text.clone());
                self.line(serde_json::json!({"event": "refused", "text": text}));
            }
            Event::Probed(probed) => {
                let told = |tally: &crate::probe::Tally| {
                    let outages: Vec<serde_json::Value> = tally
                        .outages
                        .iter()
                        .map(|it| {
                            serde_json::json!({
                                "at_ms": it.at, "took_ms": it.took, "during": it.during, "open": it.open,
                            })
                        })
                        .collect();
                    serde_json::json!({
                        "count": tally.count, "slowest_ms": tally.slowest, "outages": outages,
                    })
                };
                self.line(serde_json::json!({
                    "event": "probe", "cluster": probed.cluster,
                    "reads": told(&probed.reads), "writes": told(&probed.writes),
                }));
                record().probes.push(probed.clone());
            }
            Event::Finished(recap) => {
                let took = self.clock.now();
                {
                    let mut record = record();
                    record.recap = recap.hosts.clone();
                    record.took = took;
                    record.ended = true;
                    record.sightings =
                        self.clock.sightings.lock().unwrap_or_else(PoisonError::into_inner).clone();
                }
                let hosts: serde_json::Map<String, serde_json::Value> = recap
                    .hosts
                    .iter()
                    .map(|(host, c)| {
                        let counts = serde_json::json!({
                            "ok": c.ok, "changed": c.changed, "unreachable": c.unreachable, "failed": c.failed,
                            "skipped": c.skipped, "rescued": c.rescued, "ignored": c.ignored,
                        });
                        (host.to_string(), counts)
                    })
                    .collect();
                self.line(serde_json::json!({"event": "end", "took_ms": took, "hosts": hosts}));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Context, program::implicit_step};
    use crate::playbook::Task;
    use quorate_value::{Dict, Span, dict};
    use std::collections::BTreeSet;

    #[test]
    fn a_run_is_collected() {
        let clock = Arc::new(Clock::default());
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut recorder = Recorder::new(clock.clone(), Some(file.reopen().unwrap()));
        let task = Task::plain("Write", "ansible.builtin.copy", Dict::new(), Span::default());
        let step = implicit_step(task, &Arc::new(Context::default()), vec!["conf".into()]);
        let host: Arc<str> = Arc::from("a");
        recorder.event(&Event::PlaybookStarted { path: "p.yml".into(), plays: 1 });
        recorder.event(&Event::PlayStarted { name: "etcd".into(), check: false });
        recorder.event(&Event::TaskStarted { step: step.clone(), title: "Write".into(), check: false });
        clock.begin(step.id, &host, 0);
        clock.end(step.id, &host);
        let result = dict! {
            "failed" => true, "msg" => "no room", "_ansible_diff" => true,
            "diff" => dict! {"before" => "a\n", "after" => "b\n"},
        };
        let outcome = Outcome {
            host: host.clone(),
            delegate: None,
            status: Status::Failed,
            result: Arc::new(result),
            ignored: false,
            error: None,
        };
        recorder.event(&Event::Result { step, looped: false, outcome });
        let mut recap = super::super::Recap::default();
        recap.hosts.insert(host.clone(), Counts { failed: 1, ..Counts::default() });
        let tally = crate::probe::Tally::default();
        let probed = crate::probe::Probed { cluster: "etcd".into(), reads: tally.clone(), writes: tally };
        recorder.event(&Event::Probed(Arc::new(probed)));
        recorder.event(&Event::Finished(recap));
        let record = recorder.record.lock().unwrap().clone();
        let cell = &record.plays[0].tasks[0].1.hosts[&host];
        assert_eq!((cell.message.as_str(), cell.status), ("no room", Status::Failed));
        assert!(cell.diff.contains("-a\n+b"), "{}", cell.diff);
        assert!(record.ended);
        let text = std::fs::read_to_string(file.path()).unwrap();
        let kinds: Vec<String> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(kinds, ["run", "playbook", "play", "task", "result", "probe", "end"]);
        // the schema that is shipped knows each line, and each of its names
        let schema = crate::cli::events_schema();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let of = |it: &&serde_json::Value| it["properties"]["event"]["const"] == line["event"];
            let form =
                schema["oneOf"].as_array().unwrap().iter().find(of).expect("the schema has this event");
            let names: BTreeSet<&String> = form["properties"].as_object().unwrap().keys().collect();
            let said: BTreeSet<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(names, said, "{line}");
        }
    }
}
