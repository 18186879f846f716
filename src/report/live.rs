//! The live view of a terminal: finished tasks scroll, one line each; below them what runs now, where, and since when,
//! and how the cluster is.
//!
//! In: events, and what the scheduler really works on ([`Running`]). Out: lines that scroll, and a region that is drawn
//! anew. [`View`] is pure: it is given the time and the size of the screen.
//!
//! **Invariant:** colour never carries meaning alone, and no line is wider than the screen.

use super::ansible::origin;
use super::display::{self, Look, Tone};
use super::record::{Sighting, Standing};
use super::{Ansible, Event, Manner, Outcome, Reader, Status, diff};
use crate::plan::{Step, StepId};
use indexmap::IndexMap;
use quorate_value::{Value, str_of};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Between two drawings.
const TICK: Duration = Duration::from_millis(120);
/// So many lines of a failed command's own words.
const TAIL: usize = 12;
/// From more hosts on, the recap has a line only for those that failed; and for no more than these.
const ROWS: usize = 60;
/// So many things that were changed are named below the recap.
const CHANGES: usize = 12;

/// What the scheduler works on at this moment, whatever order it is told in.
#[derive(Default)]
pub struct Running {
    inner: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    work: IndexMap<(StepId, Arc<str>), Work>,
    /// How long those took that have ended and are not told yet.
    took: std::collections::HashMap<(StepId, Arc<str>), Duration>,
    clusters: IndexMap<String, Sighting>,
    probe: Option<Arc<crate::probe::Probe>>,
    hosts: usize,
}

struct Work {
    step: Arc<Step>,
    began: Instant,
    waits: Option<&'static str>,
}

impl Running {
    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A play (or a batch of it) works on so many hosts.
    pub fn batch(&self, hosts: usize) {
        self.now().hosts = hosts;
    }

    /// A step begins on a host.
    pub fn begin(&self, step: &Arc<Step>, host: &Arc<str>) {
        let work = Work { step: step.clone(), began: Instant::now(), waits: None };
        self.now().work.insert((step.id, host.clone()), work);
    }

    /// It ends.
    pub fn end(&self, step: StepId, host: &Arc<str>) {
        let mut now = self.now();
        if let Some(work) = now.work.shift_remove(&(step, host.clone())) {
            now.took.insert((step, host.clone()), work.began.elapsed());
        }
    }

    /// It waits for something; nothing, once it goes on.
    pub fn waits(&self, step: StepId, host: &Arc<str>, what: Option<&'static str>) {
        if let Some(work) = self.now().work.get_mut(&(step, host.clone())) {
            work.waits = what;
        }
    }

    /// Who measures meanwhile whether clients can read and write.
    pub fn probe(&self, probe: Arc<crate::probe::Probe>) {
        self.now().probe = Some(probe);
    }

    /// How a cluster was when it was looked at last.
    pub fn cluster(&self, seen: Sighting) {
        self.now().clusters.insert(seen.cluster.clone(), seen);
    }
}

/// Signs in front of lines.
#[derive(Debug, Clone, Copy)]
struct Signs {
    ok: &'static str,
    failed: &'static str,
    skipped: &'static str,
    spin: &'static [&'static str],
    up: &'static str,
    away: &'static str,
    dot: &'static str,
    dots: &'static str,
}

const UNICODE: Signs = Signs {
    ok: "✓",
    failed: "✗",
    skipped: "-",
    spin: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    up: "●",
    away: "◐",
    dot: "·",
    dots: "…",
};

const ASCII: Signs = Signs {
    ok: "ok",
    failed: "XX",
    skipped: "--",
    spin: &["| ", "/ ", "- ", "\\ "],
    up: "*",
    away: "o",
    dot: "-",
    dots: "...",
};

/// A task whose results are being told.
struct Open {
    id: StepId,
    role: String,
    title: String,
    began: Duration,
    handler: bool,
    ok: usize,
    changed: usize,
    skipped: usize,
    ignored: usize,
    failed: usize,
    unreachable: usize,
    slowest: Option<(Arc<str>, Duration)>,
    retry: Option<i64>,
    /// What was said, and by whom: those who say the same share it. With the words of the first.
    said: IndexMap<(Tone, String), (Vec<String>, String)>,
}

/// When an event is told.
#[derive(Debug, Clone, Copy)]
struct At {
    /// Since the run began.
    now: Duration,
    /// Hosts of the play.
    hosts: usize,
    /// How long a result took.
    took: Option<Duration>,
}

/// What is on the screen.
struct View {
    look: Look,
    signs: Signs,
    diffs: bool,
    playbook: String,
    run: Option<String>,
    open: Option<Open>,
    warnings: Vec<String>,
    told: HashSet<String>,
    slowest: Option<(String, Duration)>,
    /// What was changed, by what it is called, with the hosts.
    changes: IndexMap<String, Vec<Arc<str>>>,
}

impl View {
    fn new(look: Look, unicode: bool, diffs: bool, run: Option<String>) -> Self {
        View {
            look,
            signs: if unicode { UNICODE } else { ASCII },
            diffs,
            playbook: String::new(),
            run,
            open: None,
            warnings: Vec::new(),
            told: HashSet::new(),
            slowest: None,
            changes: IndexMap::new(),
        }
    }

    /// Takes notice of an event; gives lines that scroll. `took`: how long the result took.
    fn event(&mut self, event: &Event, at: &At, columns: usize) -> Vec<String> {
        let At { now, hosts, took } = *at;
        let mut out = Vec::new();
        match event {
            Event::PlaybookStarted { path, .. } => path.clone_into(&mut self.playbook),
            Event::PlayStarted { name, check } => {
                out.extend(self.close(now, columns));
                let dot = self.signs.dot;
                let mut parts = vec![self.playbook.clone()];
                let hosts = format!("{hosts} host{}", if hosts == 1 { "" } else { "s" });
                parts.push(if name.is_empty() { hosts } else { format!("{name} ({hosts})") });
                parts.extend(self.run.iter().map(|run| format!("run {run}")));
                parts.push(format!("check {}", if *check { "on" } else { "off" }));
                out.push(String::new());
                out.push(cut(&parts.join(&format!(" {dot} ")), columns, self.signs.dots));
            }
            Event::NoHostsMatched => out.push("  no host of the inventory is meant".into()),
            Event::NoHostsRemaining => {
                out.extend(self.close(now, columns));
                out.push("no host is left".into());
            }
            Event::Asked(question) => {
                out.extend(self.close(now, columns));
                out.push(question.clone());
            }
            Event::TaskStarted { step, title, .. } => {
                if self.open.as_ref().is_none_or(|open| open.id != step.id) {
                    out.extend(self.close(now, columns));
                    self.open = Some(Open::new(step, title, now));
                }
            }
            Event::HostStarted { .. } | Event::Notified { .. } | Event::Verbose(..) => {}
            Event::Item { step, label, outcome } => {
                self.note(Some(label.as_str()), outcome);
                self.changed(step, outcome, Some(label.as_str()));
            }
            Event::Retry { left, .. } => {
                if let Some(open) = &mut self.open {
                    open.retry = Some(*left);
                }
            }
            Event::Result { step, looped, outcome } => {
                self.result(step, *looped, outcome, took.unwrap_or(now))
            }
            Event::Included { .. } => {}
            Event::Warning(text) => self.warn(text, &mut out),
            Event::Deprecation(text) => self.warn(&format!("deprecated: {text}"), &mut out),
            Event::Refused { text } => {
                out.extend(text.lines().map(|line| self.look.paint(Tone::Error, line)));
            }
            // told below the recap
            Event::Probed(_) => {}
            Event::Finished(_) => out.extend(self.close(now, columns)),
        }
        out
    }

    fn warn(&mut self, text: &str, out: &mut Vec<String>) {
        if self.told.insert(text.to_owned()) {
            self.warnings.push(text.to_owned());
            out.extend(format!("! {text}").lines().map(|line| self.look.paint(Tone::Warning, line)));
        }
    }

    /// What is worth saying of a result besides its count.
    fn note(&mut self, item: Option<&str>, outcome: &Outcome) {
        let Some(open) = &mut self.open else { return };
        let host = match &outcome.delegate {
            Some(delegate) => format!("{} -> {delegate}", outcome.host),
            None => outcome.host.to_string(),
        };
        let of = |text: String| item.map_or(text.clone(), |item| format!("(item={item}) {text}"));
        let mut say = |tone: Tone, text: String| {
            // a difference shows what it shows
            let same = if tone == Tone::Error { without_host(&text, &outcome.host) } else { text.clone() };
            let (hosts, _) = open.said.entry((tone, same)).or_insert_with(|| (Vec::new(), text));
            if !hosts.contains(&host) {
                hosts.push(host.clone());
            }
        };
        if matches!(outcome.status, Status::Failed | Status::Unreachable) {
            say(Tone::Error, of(failure(outcome)));
        } else if self.diffs
            && outcome.result.get("_ansible_diff").is_some_and(Value::is_truthy)
            && let Some(text) = outcome.result.get("diff").map(diff::render).filter(|text| !text.is_empty())
        {
            say(Tone::Plain, text.trim_end().to_owned());
        }
        for warning in outcome.result.get("warnings").and_then(Value::as_list).unwrap_or_default() {
            say(Tone::Warning, str_of(warning));
        }
    }

    fn result(&mut self, step: &Arc<Step>, looped: bool, outcome: &Outcome, took: Duration) {
        // the items of a loop have spoken for themselves
        if !looped {
            self.note(None, outcome);
            self.changed(step, outcome, None);
        }
        let Some(open) = &mut self.open else { return };
        if step.module() == "debug"
            && outcome.status == Status::Ok
            && !looped
            && let Some(text) = debug_text(outcome)
        {
            let (hosts, _) =
                open.said.entry((Tone::Plain, text.clone())).or_insert_with(|| (Vec::new(), text));
            hosts.push(outcome.host.to_string());
        }
        open.retry = None;
        match outcome.status {
            Status::Ok => open.ok += 1,
            Status::Changed => open.changed += 1,
            Status::Skipped => open.skipped += 1,
            Status::Failed | Status::Unreachable if outcome.ignored => open.ignored += 1,
            Status::Failed => open.failed += 1,
            Status::Unreachable => open.unreachable += 1,
        }
        if open.slowest.as_ref().is_none_or(|(_, longest)| *longest < took) {
            open.slowest = Some((outcome.host.clone(), took));
        }
    }

    /// Notes what a result has changed: a file, a unit, packages; where nothing says what, the task.
    fn changed(&mut self, step: &Arc<Step>, outcome: &Outcome, item: Option<&str>) {
        if outcome.status != Status::Changed {
            return;
        }
        let text = |name: &str| {
            outcome
                .result
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let what = match step.module() {
            "service" | "systemd" | "systemd_service" | "etcd_service" => {
                text("name").map(|name| format!("unit {name}"))
            }
            "user" | "group" => text("name").map(|name| format!("{} {name}", step.module())),
            _ => text("dest").or_else(|| text("path")).filter(|path| path.starts_with('/')),
        };
        let what = what.unwrap_or_else(|| {
            // as it was told: a name may be a template
            let open = self.open.as_ref().filter(|open| open.id == step.id);
            let title = open.map_or_else(|| step.title(), Open::name);
            item.map_or(title.clone(), |item| format!("{title} ({item})"))
        });
        let hosts = self.changes.entry(what).or_default();
        if !hosts.contains(&outcome.host) {
            hosts.push(outcome.host.clone());
        }
    }

    /// What was changed, and where: some lines, in the order of the run.
    fn changes(&self, columns: usize) -> Vec<String> {
        let most = if self.changes.len() > CHANGES { CHANGES - 1 } else { CHANGES };
        let wide = columns.saturating_sub(34).clamp(20, 56);
        let shown = || self.changes.iter().take(most);
        let width = shown().map(|(what, _)| what.width().min(wide)).max().unwrap_or(0);
        let mut out: Vec<String> = shown()
            .map(|(what, hosts)| {
                let what = cut(what, wide, self.signs.dots);
                let pad = " ".repeat(width.saturating_sub(what.width()));
                let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                let room = columns.saturating_sub(width + 4);
                cut(
                    &format!("  {what}{pad}  {}", names(&hosts, room, self.signs.dots)),
                    columns,
                    self.signs.dots,
                )
            })
            .collect();
        if self.changes.len() > most {
            out.push(format!("  and {} more", self.changes.len() - most));
        }
        out
    }

    /// The task at hand is over: its line.
    fn close(&mut self, now: Duration, columns: usize) -> Vec<String> {
        let Some(open) = self.open.take() else { return Vec::new() };
        let total = open.ok + open.changed + open.skipped + open.ignored + open.failed + open.unreachable;
        if total == 0 {
            return Vec::new();
        }
        let took = open.slowest.as_ref().map_or(now.saturating_sub(open.began), |(_, took)| *took);
        let (sign, tone) = if open.failed + open.unreachable > 0 {
            (self.signs.failed, Tone::Error)
        } else if open.skipped == total {
            (self.signs.skipped, Tone::Skipped)
        } else if open.changed > 0 {
            (self.signs.ok, Tone::Changed)
        } else {
            (self.signs.ok, Tone::Ok)
        };
        let mut tail = format!("{:<22} {:>6}", open.counts(), seconds(took));
        if total > 1
            && took >= Duration::from_secs(1)
            && let Some((host, _)) = &open.slowest
        {
            tail.push_str(&format!("   {host}"));
        }
        if self.slowest.as_ref().is_none_or(|(_, longest)| *longest < took) {
            let on = open.slowest.as_ref().map(|(host, _)| format!(" on {host}")).unwrap_or_default();
            self.slowest = Some((format!("{}{on}", open.name()), took));
        }
        let line = self.row(sign, &open.role, &open.name_alone(), &tail, columns, 44);
        let mut out = vec![self.look.paint(tone, &line)];
        for ((tone, same), (hosts, text)) in &open.said {
            let text = if hosts.len() > 1 { same } else { text };
            let mut hosts = hosts.clone();
            hosts.sort();
            let several = total > 1;
            let who = if several {
                names(&hosts, columns.saturating_sub(10), self.signs.dots)
            } else {
                hosts.join(" ")
            };
            out.push(self.look.paint(*tone, &format!("    {who}:")));
            out.extend(text.lines().map(|line| {
                let tone = match (*tone, line.as_bytes().first()) {
                    (Tone::Plain, Some(b'+')) => Tone::DiffPlus,
                    (Tone::Plain, Some(b'-')) => Tone::DiffMinus,
                    (tone, _) => tone,
                };
                self.look.paint(tone, format!("      {line}").trim_end())
            }));
        }
        out
    }

    /// `✓ role   title   counts   time`, as wide as fits.
    fn row(&self, sign: &str, role: &str, title: &str, tail: &str, columns: usize, widest: usize) -> String {
        let role_width = if columns >= 100 { 16 } else { 12 };
        let head = format!("{sign} {:<role_width$} ", cut(role, role_width, self.signs.dots));
        let room = columns.saturating_sub(head.width() + tail.width() + 2).clamp(12, widest.max(12));
        let title = cut(title, room, self.signs.dots);
        let pad = " ".repeat(room.saturating_sub(title.width()));
        cut(format!("{head}{title}{pad}  {tail}").trim_end(), columns, self.signs.dots)
    }

    /// What stands below the lines that scroll.
    fn region(
        &self,
        running: &Running,
        tick: usize,
        now: Instant,
        columns: usize,
        rows: usize,
    ) -> Vec<String> {
        let state = running.now();
        let spin = self.signs.spin[tick % self.signs.spin.len()];
        let mut steps: IndexMap<StepId, Vec<(&Arc<str>, &Work)>> = IndexMap::new();
        for ((id, host), work) in &state.work {
            steps.entry(*id).or_default().push((host, work));
        }
        let mut out = Vec::new();
        let probes = state.probe.as_ref().map(|probe| probe.now()).unwrap_or_default();
        let most = rows.saturating_sub(state.clusters.len() + probes.len() + 2).clamp(1, 5);
        for (id, work) in steps.iter().take(most) {
            out.push(self.running(*id, work, spin, now, columns));
        }
        if steps.len() > most {
            let rest: usize = steps.values().skip(most).map(Vec::len).sum();
            out.push(format!("  and {rest} more on {} later tasks", steps.len() - most));
        }
        for (name, cluster) in &state.clusters {
            out.push(self.cluster(name, cluster, columns));
        }
        for line in probes {
            let line = line.replace('·', self.signs.dot);
            let tone = if line.contains("CANNOT") { Tone::Error } else { Tone::Plain };
            out.push(self.look.paint(tone, &cut(&format!("  {line}"), columns, self.signs.dots)));
        }
        out.truncate(rows.saturating_sub(1).max(1));
        out
    }

    fn running(
        &self,
        id: StepId,
        work: &[(&Arc<str>, &Work)],
        spin: &str,
        now: Instant,
        columns: usize,
    ) -> String {
        let step = &work[0].1.step;
        let (role, title) = split(&step.title());
        let mut slowest: Vec<&(&Arc<str>, &Work)> = work.iter().collect();
        slowest.sort_by_key(|(_, work)| work.began);
        let since = now.saturating_duration_since(slowest[0].1.began);
        let open = self.open.as_ref().filter(|open| open.id == id);
        let mut counts = open.map(Open::counts).unwrap_or_default();
        if !counts.is_empty() {
            counts.push_str("  ");
        }
        counts.push_str(&format!("{} running", work.len()));
        let mut who: Vec<String> = slowest
            .iter()
            .take(2)
            .map(|(host, work)| match work.waits {
                Some(what) => format!("{host} (waits: {what})"),
                None => host.to_string(),
            })
            .collect();
        if slowest.len() > 2 {
            who.push(format!("and {} more", slowest.len() - 2));
        }
        let retry = open.and_then(|open| open.retry);
        let retry = retry.map_or_else(String::new, |left| format!("   {left} retries left"));
        let tail = format!("{counts:<12} {:>6}   {}{retry}", seconds(since), who.join(" "));
        // here the title gives way to the hosts
        let widest = (columns * 23 / 100).max(12);
        let tail = cut(&tail, columns.saturating_sub(widest + 16).max(24), self.signs.dots);
        self.row(spin, &role, &title, &tail, columns, widest)
    }

    fn cluster(&self, name: &str, cluster: &Sighting, columns: usize) -> String {
        let mut parts = Vec::new();
        let mut before = "";
        for (host, member) in &cluster.members {
            // of addresses that differ in their last part, that part
            let short = match (before.rsplit_once('.'), host.rsplit_once('.')) {
                (Some((left, _)), Some((right, last)))
                    if left == right && last.bytes().all(|b| b.is_ascii_digit()) =>
                {
                    format!(".{last}")
                }
                _ => host.clone(),
            };
            before = host;
            let (sign, word) = match member {
                Standing::Leader => (self.signs.up, "leader"),
                Standing::Voter => (self.signs.up, "voter"),
                Standing::Learner => (self.signs.up, "learner"),
                Standing::Away => (self.signs.away, "away"),
            };
            parts.push(format!("{sign} {short} {word}"));
        }
        let spare = cluster.healthy.saturating_sub(cluster.need);
        let quorum = if cluster.healthy < cluster.need {
            format!("NO QUORUM: {} of {}", cluster.healthy, cluster.voters)
        } else {
            format!("quorum {} of {}, {spare} to spare", cluster.need, cluster.voters)
        };
        let line = format!("  cluster {name}   {}   {quorum}", parts.join("  "));
        if line.width() <= columns {
            return line;
        }
        let up = cluster.members.iter().filter(|(_, member)| *member != Standing::Away).count();
        cut(
            &format!("  cluster {name}   {up} of {} members up   {quorum}", cluster.members.len()),
            columns,
            self.signs.dots,
        )
    }
}

impl Open {
    fn new(step: &Arc<Step>, title: &str, now: Duration) -> Self {
        let (role, title) = split(title.trim());
        Open {
            id: step.id,
            role,
            title,
            began: now,
            handler: step.context.handlers,
            ok: 0,
            changed: 0,
            skipped: 0,
            ignored: 0,
            failed: 0,
            unreachable: 0,
            slowest: None,
            retry: None,
            said: IndexMap::new(),
        }
    }

    fn name_alone(&self) -> String {
        if self.handler { format!("handler: {}", self.title) } else { self.title.clone() }
    }

    fn name(&self) -> String {
        if self.role.is_empty() { self.name_alone() } else { format!("{} : {}", self.role, self.title) }
    }

    fn counts(&self) -> String {
        [
            (self.ok, "ok"),
            (self.changed, "changed"),
            (self.skipped, "skipped"),
            (self.ignored, "ignored"),
            (self.failed, "FAILED"),
            (self.unreachable, "UNREACHABLE"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect::<Vec<_>>()
        .join("  ")
    }
}

/// `role : title` in two.
fn split(title: &str) -> (String, String) {
    match title.split_once(" : ") {
        Some((role, title)) => (role.to_owned(), title.to_owned()),
        None => (String::new(), title.to_owned()),
    }
}

/// What `debug` has to say.
fn debug_text(outcome: &Outcome) -> Option<String> {
    let hidden = ["changed", "failed", "invocation", "skipped"];
    let shown = |value: &Value| match value {
        Value::Str(text) => text.as_str().to_owned(),
        other => quorate_value::to_json_pretty(other),
    };
    if let Some(text) = outcome.result.get("msg") {
        return Some(shown(text));
    }
    outcome.result.iter().find_map(|(key, value)| {
        let key = key.as_str()?;
        (!key.starts_with("_ansible_") && !hidden.contains(&key)).then(|| format!("{key}: {}", shown(value)))
    })
}

/// A message without what is the host's own in it, so that hosts that fail alike say the same.
pub(super) fn without_host(text: &str, host: &str) -> String {
    let after = |words: &str| {
        let rest = text.split_once(words)?.1;
        rest.split([' ', ':']).next().filter(|word| !word.is_empty() && !rest.starts_with('['))
    };
    let names = [Some(host), after("connect to host "), after("resolve hostname ")];
    let mut out = text.to_owned();
    for name in names.into_iter().flatten().filter(|name| name.len() > 1) {
        let mut fresh = String::with_capacity(out.len());
        let mut rest = out.as_str();
        while let Some(at) = rest.find(name) {
            let part = |c: Option<char>| {
                c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
            };
            let (before, behind) = (&rest[..at], &rest[at + name.len()..]);
            // `10.0.0.1` is no part of `10.0.0.10`; a full stop may end a sentence
            let mut next = behind.chars();
            let ends = match next.next() {
                Some('.') => !part(next.next()),
                other => !part(other),
            };
            let whole = ends && !part(before.chars().next_back().or(fresh.chars().next_back()));
            fresh.push_str(before);
            fresh.push_str(if whole { "HOST" } else { name });
            rest = behind;
        }
        fresh.push_str(rest);
        out = fresh;
    }
    out
}

/// A failure for people: what was said, where, and the last words of the command.
pub(super) fn failure(outcome: &Outcome) -> String {
    let mut out = match &outcome.error {
        Some(chain) if !chain.links.is_empty() => {
            let words: Vec<&str> = chain.links.iter().map(|(text, _)| text.trim_end_matches('.')).collect();
            let words = words.join(": ");
            match chain.code {
                Some(code) => {
                    format!("error[{code}]: {}", words.strip_prefix("Task failed: ").unwrap_or(&words))
                }
                None => words,
            }
        }
        _ => outcome.result.get("msg").map(str_of).unwrap_or_default(),
    };
    for name in ["stderr", "stdout", "module_stderr"] {
        let text = outcome.result.get(name).map(str_of).unwrap_or_default();
        let lines: Vec<&str> = text.trim_end().lines().collect();
        if lines.is_empty() || (lines.len() == 1 && out.contains(lines[0])) {
            continue;
        }
        out.push_str(&format!("\n{name}:"));
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            out.push_str(&format!("\n  {line}"));
        }
        break;
    }
    if let Some(chain) = &outcome.error {
        if let Some((_, span)) = chain.links.iter().rev().find(|(_, span)| span.is_known()) {
            out.push('\n');
            out.push_str(origin(*span).trim_end());
        }
        if let Some(help) = &chain.help {
            out.push_str(&format!("\nhelp: {help}"));
        } else if let Some(code) = chain.code {
            out.push_str(&format!("\nhelp: quorate help {code}"));
        }
    }
    if outcome.ignored {
        out.push_str("\nignored, as the task says");
    }
    out
}

/// A recap that a screen has room for: of many hosts, those that failed or were lost; what became of the others, counted.
fn brief(recap: &super::Recap) -> (super::Recap, Option<String>) {
    if recap.hosts.len() <= ROWS {
        return (recap.clone(), None);
    }
    let mut shown = super::Recap { custom: recap.custom.clone(), ..super::Recap::default() };
    let (mut count, mut bad, mut sums) = (0, 0, super::Counts::default());
    for (host, counts) in &recap.hosts {
        let failed = counts.failed + counts.unreachable > 0;
        if failed && shown.hosts.len() < ROWS {
            shown.hosts.insert(host.clone(), *counts);
            continue;
        }
        count += 1;
        bad += usize::from(failed);
        sums.ok += counts.ok;
        sums.changed += counts.changed;
        sums.skipped += counts.skipped;
    }
    let well = if bad == 0 {
        "none of them failed".to_owned()
    } else {
        format!("{bad} OF THEM FAILED OR WERE UNREACHABLE")
    };
    let more = if shown.hosts.is_empty() { "" } else { "more " };
    let rest = format!(
        "{count} {more}hosts, {well}: ok={} changed={} skipped={} in all",
        sums.ok, sums.changed, sums.skipped
    );
    (shown, (count > 0).then_some(rest))
}

fn seconds(took: Duration) -> String {
    let millis = took.as_millis();
    if millis < 60_000 {
        format!("{}.{}s", millis / 1000, millis % 1000 / 100)
    } else {
        format!("{}m{:02}s", millis / 60_000, millis / 1000 % 60)
    }
}

/// Some names, and how many more: no wider than so many columns, as long as one name is not.
pub(super) fn names(hosts: &[String], room: usize, dots: &str) -> String {
    let all = hosts.join(" ");
    if all.width() <= room {
        return all;
    }
    let mut out = String::new();
    for (at, host) in hosts.iter().enumerate() {
        let tail = format!(" {dots} ({} more of {} hosts)", hosts.len() - at, hosts.len());
        if at > 0 && out.width() + 1 + host.width() + tail.width() > room {
            return out + &tail;
        }
        if at > 0 {
            out.push(' ');
        }
        out.push_str(host);
    }
    out
}

/// Text no wider than so many columns.
fn cut(text: &str, columns: usize, dots: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(dots.width());
    let mut width = 0;
    let mut out = String::new();
    for c in text.chars() {
        width += c.width().unwrap_or(0);
        if width > room {
            break;
        }
        out.push(c);
    }
    out + dots
}

/// The reader of a terminal.
pub struct Live {
    view: Arc<Mutex<View>>,
    running: Arc<Running>,
    began: Instant,
    inner: Ansible,
    over: Arc<AtomicBool>,
    drawer: Option<std::thread::JoinHandle<()>>,
}

impl Live {
    /// A view that draws itself until the run has ended.
    pub fn new(look: Look, manner: Manner, diffs: bool, run: Option<String>, running: Arc<Running>) -> Self {
        let view = Arc::new(Mutex::new(View::new(look, display::unicode(), diffs, run)));
        let over = Arc::new(AtomicBool::new(false));
        let drawer = {
            let (view, running, over) = (view.clone(), running.clone(), over.clone());
            std::thread::spawn(move || {
                let mut tick = 0;
                while !over.load(Ordering::Relaxed) {
                    let (columns, rows) = display::size();
                    let lines = {
                        let view = view.lock().unwrap_or_else(PoisonError::into_inner);
                        view.region(&running, tick, Instant::now(), columns.saturating_sub(1), rows)
                    };
                    display::region(lines);
                    tick += 1;
                    std::thread::sleep(TICK);
                }
            })
        };
        Live {
            view,
            running,
            began: Instant::now(),
            inner: Ansible::new(look, manner),
            over,
            drawer: Some(drawer),
        }
    }

    fn stop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(drawer) = self.drawer.take() {
            drawer.join().ok();
        }
        display::region(Vec::new());
    }

    /// The line below the recap.
    fn sum(&self, recap: &super::Recap) {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let dot = format!(" {} ", view.signs.dot);
        let mut parts = vec![seconds(self.began.elapsed())];
        parts.extend(view.slowest.as_ref().map(|(what, took)| format!("slowest: {what} {}", seconds(*took))));
        let changed: u32 = recap.hosts.values().map(|counts| counts.changed).sum();
        parts.push(format!("{changed} changed"));
        display::out(&parts.join(&dot));
        let columns = display::size().0.saturating_sub(1);
        for line in view.changes(columns) {
            display::out(&view.look.paint(Tone::Changed, &line));
        }
        for text in &view.warnings {
            display::out(&view.look.paint(Tone::Warning, &format!("! {text}")));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Reader for Live {
    fn event(&mut self, event: &Event) {
        let (columns, _) = display::size();
        let at = {
            let mut state = self.running.now();
            let took = match event {
                Event::Result { step, outcome, .. } => state.took.remove(&(step.id, outcome.host.clone())),
                _ => None,
            };
            At { now: self.began.elapsed(), hosts: state.hosts, took }
        };
        let lines = self.view.lock().unwrap_or_else(PoisonError::into_inner).event(
            event,
            &at,
            columns.saturating_sub(1),
        );
        if !lines.is_empty() {
            display::out(&lines.join("\n"));
        }
        if let Event::Finished(recap) = event {
            self.stop();
            let (shown, rest) = brief(recap);
            self.inner.event(&Event::Finished(shown));
            if let Some(rest) = rest {
                display::out(&rest);
                display::out("");
            }
            self.sum(recap);
        }
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
