//! Ansible's other callbacks: `json` instead of the default output; `timer`, `profile_tasks`, `junit` and `tree`
//! beside it.
//!
//! In: the event stream. Out: text on the terminal, or files where the settings say.

use super::display;
use super::junit::escape as xml;
use super::{Event, Outcome, Reader, Recap, Status};
use crate::plan::{Step, StepId};
use indexmap::IndexMap;
use quorate_value::{Dict, JsonStyle, Value, dict, source_of, str_of};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The names that stand in `callbacks_enabled` and are known here.
pub const BESIDE: [&str; 4] = ["timer", "profile_tasks", "junit", "tree"];

/// A reader for a name of `callbacks_enabled`.
pub fn beside(name: &str, columns: usize) -> Option<Box<dyn Reader>> {
    Some(match name.rsplit('.').next().unwrap_or(name) {
        "timer" => Box::new(Timer { began: Instant::now(), columns }),
        "profile_tasks" => Box::new(ProfileTasks::new(columns)),
        "junit" => Box::new(Junit::default()),
        "tree" => Box::new(Tree {
            dir: directory("ANSIBLE_CALLBACK_TREE_DIR", "CALLBACK_TREE_DIR", ".ansible/tree"),
        }),
        _ => return None,
    })
}

/// A directory that an environment variable names, or one in the home.
fn directory(variable: &str, other: &str, otherwise: &str) -> PathBuf {
    let said =
        crate::environment(variable).or_else(|| crate::environment(other)).filter(|dir| !dir.is_empty());
    match said {
        Some(dir) => match dir.strip_prefix("~/") {
            Some(rest) => crate::home().join(rest),
            None => PathBuf::from(dir),
        },
        None => crate::home().join(otherwise),
    }
}

fn place(step: &Step) -> String {
    match source_of(step.task.span.file) {
        Some(source) => {
            let path = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
            format!("{}:{}", path.display(), step.task.span.line)
        }
        None => String::new(),
    }
}

fn banner(text: &str, columns: usize) {
    let stars = columns.saturating_sub(text.chars().count()).max(3);
    display::out(&format!("\n{text} {}", "*".repeat(stars)));
}

/// A result without what is only for us.
fn plain(result: &Dict) -> Dict {
    result
        .iter()
        .filter(|(key, _)| !key.as_str().is_some_and(|key| key.starts_with("_ansible_") || key == "_cause"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The `json` callback: one document at the end.
#[derive(Default)]
pub struct Json {
    plays: Vec<(Dict, Vec<JsonTask>)>,
}

struct JsonTask {
    step: StepId,
    about: Dict,
    began: String,
    ended: Option<String>,
    hosts: Dict,
}

impl Json {
    fn result(&mut self, step: &Step, outcome: &Outcome) {
        let Some((_, tasks)) = self.plays.last_mut() else { return };
        let Some(task) = tasks.iter_mut().rev().find(|task| task.step == step.id) else { return };
        let mut result = plain(&outcome.result);
        let censored = outcome.result.get("_ansible_no_log").is_some_and(Value::is_truthy);
        result.insert("_ansible_no_log", censored);
        result.insert("action", step.task.action.written.as_str());
        match outcome.status {
            Status::Failed => result.insert("failed", true),
            Status::Unreachable => result.insert("unreachable", true),
            Status::Skipped => result.insert("skipped", true),
            Status::Ok | Status::Changed => None,
        };
        if let Some(items) = result.get("results").and_then(Value::as_list) {
            let items: Value = items
                .iter()
                .map(|item| item.as_dict().map_or_else(|| item.clone(), |d| Value::dict(plain(d))))
                .collect();
            result.insert("results", items);
        }
        task.hosts.insert(outcome.host.as_ref(), Value::dict(result));
        task.ended = Some(stamp());
    }

    fn finish(&mut self, recap: &Recap) {
        let mut stats = Dict::new();
        for (host, n) in &recap.hosts {
            let counts = dict! {
                "changed" => n.changed, "failures" => n.failed, "ignored" => n.ignored, "ok" => n.ok,
                "rescued" => n.rescued, "skipped" => n.skipped, "unreachable" => n.unreachable,
            };
            stats.insert(host.as_ref(), Value::dict(counts));
        }
        let mut custom = recap.custom.clone();
        let global = custom.remove("_run").unwrap_or_else(|| Value::dict(Dict::new()));
        let plays: Value = std::mem::take(&mut self.plays)
            .into_iter()
            .map(|(mut play, tasks)| {
                let ended = tasks.iter().rev().find_map(|task| task.ended.clone());
                if let (Some(ended), Some(Value::Dict(duration))) = (ended, play.get_mut("duration")) {
                    Arc::make_mut(duration).insert("end", ended);
                }
                let tasks: Value = tasks
                    .into_iter()
                    .map(|task| {
                        let mut about = task.about;
                        let mut duration = dict! {"start" => task.began};
                        if let Some(ended) = task.ended {
                            duration.insert("end", ended);
                        }
                        about.insert("duration", Value::dict(duration));
                        Value::dict(dict! {"hosts" => Value::dict(task.hosts), "task" => Value::dict(about)})
                    })
                    .collect();
                Value::dict(dict! {"play" => Value::dict(play), "tasks" => tasks})
            })
            .collect();
        let whole = dict! {
            "custom_stats" => Value::dict(custom), "global_custom_stats" => global, "plays" => plays,
            "stats" => Value::dict(stats),
        };
        let style = JsonStyle { indent: Some(4), sort_keys: true, ascii: true, compact: false };
        display::out(&style.write(&Value::dict(whole)));
    }
}

impl Reader for Json {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, .. } => {
                let play = dict! {
                    "duration" => Value::dict(dict! {"start" => stamp()}), "name" => name.as_str(),
                    "id" => format!("play-{}", self.plays.len() + 1),
                };
                self.plays.push((play, Vec::new()));
            }
            Event::TaskStarted { step, title, .. } => {
                if let Some((_, tasks)) = self.plays.last_mut() {
                    let about = dict! {
                        "name" => title.as_str(), "path" => place(step), "id" => format!("task-{}", tasks.len() + 1),
                    };
                    tasks.push(JsonTask {
                        step: step.id,
                        about,
                        began: stamp(),
                        ended: None,
                        hosts: Dict::new(),
                    });
                }
            }
            Event::Result { step, outcome, .. } => self.result(step, outcome),
            Event::Warning(text) => display::warning(text),
            Event::Refused { text } => display::err(text),
            Event::Finished(recap) => self.finish(recap),
            _ => {}
        }
    }
}

/// The `timer` callback: how long it all took.
struct Timer {
    began: Instant,
    columns: usize,
}

impl Reader for Timer {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Finished(_)) {
            let all = self.began.elapsed().as_secs();
            banner("PLAYBOOK RECAP", self.columns);
            display::out(&format!(
                "Playbook run took {} days, {} hours, {} minutes, {} seconds",
                all / 86_400,
                all / 3_600 % 24,
                all / 60 % 60,
                all % 60
            ));
            display::out("");
        }
    }
}

/// The `profile_tasks` callback: when each task began, and which took longest.
struct ProfileTasks {
    began: Instant,
    last: Instant,
    columns: usize,
    now: Option<StepId>,
    tasks: IndexMap<StepId, (String, Instant, f64)>,
}

impl ProfileTasks {
    fn new(columns: usize) -> Self {
        let now = Instant::now();
        ProfileTasks { began: now, last: now, columns, now: None, tasks: IndexMap::new() }
    }

    /// Seconds as `0:00:01.757`.
    fn clock(seconds: f64) -> String {
        let whole = seconds as u64;
        let thousandths = ((seconds - whole as f64) * 1000.0) as u64;
        format!("{}:{:02}:{:02}.{thousandths:03}", whole / 3600, whole / 60 % 60, whole % 60)
    }

    fn timestamp(&mut self) {
        let now = Instant::now();
        if let Some((_, began, spent)) = self.now.and_then(|step| self.tasks.get_mut(&step)) {
            *spent = (now - *began).as_secs_f64();
        }
        let text = format!(
            "{} ({})       {} ",
            jiff::Zoned::now().strftime("%A %d %B %Y  %H:%M:%S %z"),
            Self::clock((now - self.last).as_secs_f64()),
            Self::clock((now - self.began).as_secs_f64())
        );
        self.last = now;
        let stars = self.columns.saturating_sub(text.chars().count());
        display::out(&format!("{text}{} ", "*".repeat(stars)));
    }
}

impl Reader for ProfileTasks {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { step, title, .. } => {
                self.timestamp();
                self.now = Some(step.id);
                self.tasks.insert(step.id, (title.clone(), Instant::now(), 0.0));
            }
            Event::Finished(_) => {
                banner("TASKS RECAP", self.columns);
                self.timestamp();
                display::out(&format!("{} ", "=".repeat(self.columns)));
                let mut tasks: Vec<&(String, Instant, f64)> = self.tasks.values().collect();
                tasks.sort_by(|a, b| b.2.total_cmp(&a.2));
                let limit = crate::environment("PROFILE_TASKS_TASK_OUTPUT_LIMIT");
                let limit = limit.and_then(|n| n.parse().ok()).unwrap_or(20);
                for (title, _, seconds) in tasks.into_iter().take(limit) {
                    let name = format!("{title} ");
                    let name = name.as_str();
                    let width = self.columns.saturating_sub(9);
                    let took = format!(" {seconds:.02}s");
                    display::out(&format!("{name:-<width$}{took:->9}"));
                }
            }
            _ => {}
        }
    }
}

/// The `tree` callback: each host's last result, in a file of its name.
struct Tree {
    dir: PathBuf,
}

impl Reader for Tree {
    fn event(&mut self, event: &Event) {
        let Event::Result { outcome, .. } = event else { return };
        let mut result = plain(&outcome.result);
        for key in ["invocation", "exception", "failed", "skipped", "diff"] {
            result.remove(key);
        }
        let style = JsonStyle { indent: None, sort_keys: true, ascii: true, compact: false };
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| {
            std::fs::write(self.dir.join(outcome.host.as_ref()), style.write(&Value::dict(result)))
        });
        if let Err(error) = written {
            display::warning(&format!("Unable to write to {}'s file: {error}", outcome.host));
        }
    }
}

/// The `junit` callback: a file with a test case for each task on each host.
struct Junit {
    dir: PathBuf,
    playbook: String,
    play: String,
    began: HashMap<StepId, Instant>,
    cases: Vec<String>,
    spent: f64,
    counts: [usize; 3],
}

impl Default for Junit {
    fn default() -> Self {
        Junit {
            dir: directory("JUNIT_OUTPUT_DIR", "JUNIT_OUTPUT_DIR", ".ansible.log"),
            playbook: "playbook".into(),
            play: String::new(),
            began: HashMap::new(),
            cases: Vec::new(),
            spent: 0.0,
            counts: [0; 3],
        }
    }
}

impl Junit {
    fn said(name: &str) -> bool {
        crate::environment(name)
            .is_some_and(|v| matches!(v.to_lowercase().as_str(), "true" | "yes" | "1" | "on" | "y" | "t"))
    }

    fn case(&mut self, step: &Step, outcome: &Outcome) {
        let implicit = step.implicit && step.module() == "gather_facts";
        if implicit
            && crate::environment("JUNIT_INCLUDE_SETUP_TASKS_IN_REPORT")
                .is_some_and(|v| v.eq_ignore_ascii_case("false"))
        {
            return;
        }
        let mut title = format!("[{}] {}: {}", outcome.host, self.play, step.title());
        if let Some(prefix) = crate::environment("JUNIT_TEST_CASE_PREFIX").filter(|prefix| !prefix.is_empty())
        {
            if !step.title().starts_with(&prefix) {
                return;
            }
            title = step.title()[prefix.len()..].trim().to_owned();
        }
        let censored = outcome.result.get("_ansible_no_log").is_some_and(Value::is_truthy)
            || outcome.result.contains_key("censored");
        if !censored
            && !Self::said("JUNIT_HIDE_TASK_ARGUMENTS")
            && let Some(args) = step.task.action.args.as_dict()
        {
            for (key, value) in args {
                title.push_str(&format!(" {}={}", key.json_text(), str_of(value)));
            }
        }
        let seconds = self.began.get(&step.id).map_or(0.0, |began| began.elapsed().as_secs_f64());
        self.spent += seconds;
        let mut shown = plain(&outcome.result);
        for key in ["invocation", "exception", "failed", "skipped"] {
            shown.remove(key);
        }
        let style = JsonStyle { indent: Some(0), sort_keys: true, ascii: true, compact: false };
        let output = format!("<system-out>{}</system-out>", xml(&style.write(&Value::dict(shown))));
        let message = outcome.error.as_ref().map_or_else(
            || outcome.result.get("msg").map(str_of).unwrap_or_default(),
            |chain| {
                chain.links.iter().map(|(text, _)| text.trim_end_matches('.')).collect::<Vec<_>>().join(": ")
            },
        );
        let expected = step.title().contains("EXPECTED FAILURE");
        let body = match outcome.status {
            Status::Skipped => {
                self.counts[2] += 1;
                let why = outcome.result.get("skip_reason").or_else(|| outcome.result.get("skipped_reason"));
                format!("<skipped>{}</skipped>", xml(&why.map_or_else(|| "skipped".into(), str_of)))
            }
            Status::Failed if !outcome.ignored || Self::said("JUNIT_FAIL_ON_IGNORE") => {
                if expected {
                    output
                } else {
                    self.counts[0] += 1;
                    format!("<error message=\"{}\" type=\"error\">{}</error>", xml(&message), xml(&message))
                }
            }
            Status::Unreachable if !outcome.ignored => {
                self.counts[0] += 1;
                format!("<error message=\"{}\" type=\"error\">{}</error>", xml(&message), xml(&message))
            }
            Status::Changed if Self::said("JUNIT_FAIL_ON_CHANGE") => {
                self.counts[1] += 1;
                format!("<failure message=\"the task changed something\" type=\"failure\"/>\n\t\t\t{output}")
            }
            _ => output,
        };
        let mut class = place(step);
        if Self::said("JUNIT_TASK_CLASS") {
            class = class
                .rsplit_once(':')
                .map_or(class.clone(), |(path, _)| path.trim_end_matches(".yml").to_owned());
        }
        if let Some(base) = crate::environment("JUNIT_TASK_RELATIVE_PATH").filter(|base| !base.is_empty()) {
            let base = format!("{}/", base.trim_end_matches('/'));
            class = class.strip_prefix(&base).map_or(class.clone(), str::to_owned);
        }
        self.cases.push(format!(
            "\t\t<testcase classname=\"{}\" name=\"{}\" time=\"{seconds}\">\n\t\t\t{body}\n\t\t</testcase>\n",
            xml(&class),
            xml(&title)
        ));
    }

    fn write(&self) {
        let [errors, failures, skipped] = self.counts;
        let counts = format!("errors=\"{errors}\" failures=\"{failures}\"");
        let (tests, time) = (self.cases.len(), self.spent);
        let text = format!(
            "<?xml version=\"1.0\" ?>\n<testsuites disabled=\"0\" {counts} tests=\"{tests}\" time=\"{time}\">\n\t<testsuite disabled=\"0\" {counts} name=\"{}\" skipped=\"{skipped}\" tests=\"{tests}\" time=\"{time}\">\n{}\t</testsuite>\n</testsuites>\n",
            xml(&self.playbook),
            self.cases.concat()
        );
        let now = jiff::Timestamp::now();
        let name = format!("{}-{}.{:06}.xml", self.playbook, now.as_second(), now.subsec_microsecond());
        let written =
            std::fs::create_dir_all(&self.dir).and_then(|()| std::fs::write(self.dir.join(name), text));
        if let Err(error) = written {
            display::warning(&format!(
                "the JUnit report could not be written to {}: {error}",
                self.dir.display()
            ));
        }
    }
}

impl Reader for Junit {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlaybookStarted { path, .. } => {
                let stem = std::path::Path::new(path).file_stem().unwrap_or_default();
                self.playbook = stem.to_string_lossy().into_owned();
            }
            Event::PlayStarted { name, .. } => self.play.clone_from(name),
            Event::TaskStarted { step, .. } => {
                self.began.entry(step.id).or_insert_with(Instant::now);
            }
            Event::Result { step, outcome, .. } => self.case(step, outcome),
            Event::Finished(_) => self.write(),
            _ => {}
        }
    }
}
