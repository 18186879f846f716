//! Ansible's own output, line by line: the grammar of the `default` callback of ansible-core 2.19.

use super::display::{self, Look, Tone};
use super::{ErrorChain, Event, Outcome, Reader, Status, diff};
use crate::plan::Step;
use indexmap::IndexMap;
use quorate_value::{Dict, JsonStyle, Span, Value, dict, source_of, str_of};
use std::collections::HashSet;

/// What to show.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How many `-v`.
    pub verbosity: u8,
    /// The same for the log file.
    pub log_verbosity: u8,
    /// `display_skipped_hosts`.
    pub show_skipped: bool,
    /// `display_ok_hosts`.
    pub show_ok: bool,
    /// `result_format=yaml`.
    pub yaml: bool,
    /// `show_custom_stats`.
    pub custom_stats: bool,
    /// `display_failed_stderr`.
    pub failed_to_stderr: bool,
    /// `show_per_host_start`.
    pub per_host_start: bool,
    /// `check_mode_markers`.
    pub check_markers: bool,
    /// Failures that several hosts share are told once more at the end, together, to standard error.
    pub merges: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            verbosity: 0,
            log_verbosity: 0,
            show_skipped: true,
            show_ok: true,
            yaml: false,
            custom_stats: false,
            failed_to_stderr: false,
            per_host_start: false,
            check_markers: false,
            merges: false,
        }
    }
}

/// The `default` callback.
pub struct Ansible {
    look: Look,
    manner: Manner,
    /// A task banner that waits for its first line worth showing.
    waiting: Option<String>,
    told: HashSet<String>,
    /// Failures that nobody ignores, and whose they are.
    alike: IndexMap<(String, String), Vec<String>>,
}

impl Ansible {
    /// A reader that prints.
    pub fn new(look: Look, manner: Manner) -> Self {
        Ansible { look, manner, waiting: None, told: HashSet::new(), alike: IndexMap::new() }
    }

    fn banner(&self, text: &str) {
        let text = text.trim();
        let width =
            text.chars().map(|c| unicode_width::UnicodeWidthChar::width(c).unwrap_or(0)).sum::<usize>();
        let stars = self.look.columns.saturating_sub(width).max(3);
        display::out(&format!("\n{text} {}", "*".repeat(stars)));
    }

    fn line(&mut self, tone: Tone, text: &str) {
        if let Some(banner) = self.waiting.take() {
            self.banner(&banner);
        }
        display::out(&self.look.paint(tone, text));
    }

    fn host(outcome: &Outcome) -> String {
        match &outcome.delegate {
            Some(delegate) => format!("{} -> {delegate}", outcome.host),
            None => outcome.host.to_string(),
        }
    }

    /// The result as output shows it: internals, and at low verbosity invocation and diff, left out.
    fn dump(&self, result: &Dict, indent: bool) -> String {
        let verbose = self.manner.verbosity;
        let always = result.get("_ansible_verbose_always").is_some_and(Value::is_truthy);
        let mut shown: Dict = result
            .iter()
            .filter(|(key, _)| !key.as_str().is_some_and(|k| k.starts_with("_ansible_")))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if verbose < 3 {
            shown.remove("invocation");
        }
        if verbose < 3 && result.contains_key("diff") {
            shown.remove("diff");
        }
        shown.remove("exception");
        shown.remove("warnings");
        shown.remove("deprecations");
        shown.remove("failed");
        shown.remove("skipped");
        shown.remove("_cause");
        let indent = (indent || always || verbose > 2).then_some(4);
        if self.manner.yaml {
            let mut yaml = String::new();
            // lines are not told twice
            for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
                if shown.contains_key(text) && shown.contains_key(lines) {
                    shown.insert(lines, "<omitted>");
                }
            }
            let style = quorate_yaml::EmitStyle { literal_blocks: true, ..quorate_yaml::EmitStyle::nice() };
            if let Ok(text) = quorate_yaml::to_yaml(&Value::dict(shown.clone()), &style) {
                for line in text.lines() {
                    yaml.push_str("\n    ");
                    yaml.push_str(line);
                }
                return yaml;
            }
        }
        let style = JsonStyle { indent, sort_keys: true, ascii: false, compact: false };
        style.write(&Value::dict(shown))
    }

    fn details(&self, result: &Dict) -> String {
        let always = result.get("_ansible_verbose_always").is_some_and(Value::is_truthy);
        let never = result.get("_ansible_verbose_override").is_some_and(Value::is_truthy);
        if (self.manner.verbosity > 0 || always) && !never {
            format!(" => {}", self.dump(result, false))
        } else {
            String::new()
        }
    }

    fn warnings(&mut self, result: &Dict) {
        for warning in result.get("warnings").and_then(Value::as_list).unwrap_or_default() {
            let text = str_of(warning);
            self.warn(&text);
        }
    }

    fn warn(&mut self, text: &str) {
        if self.told.insert(text.to_owned()) {
            display::err(&self.look.paint(Tone::Warning, &format!("[WARNING]: {text}")));
        }
    }

    fn show_diff(&mut self, outcome: &Outcome) {
        let is = |key: &str| outcome.result.get(key).is_some_and(Value::is_truthy);
        // `changed_when: false` takes the difference along
        let wanted = is("_ansible_diff") && is("changed");
        if let Some(value) = outcome.result.get("diff").filter(|_| wanted) {
            let text = diff::render(value);
            if !text.is_empty() {
                let painted: Vec<String> = text
                    .trim_end_matches('\n')
                    .split('\n')
                    .map(|line| {
                        let tone = match line.as_bytes().first() {
                            Some(b'+') => Tone::DiffPlus,
                            Some(b'-') => Tone::DiffMinus,
                            Some(b'@') => Tone::DiffLines,
                            _ => Tone::Plain,
                        };
                        self.look.paint(tone, line)
                    })
                    .collect();
                // Ansible prints the text of a diff with its own empty line behind it
                self.line(Tone::Plain, &(painted.join("\n") + "\n"));
            }
        }
    }

    fn error(&mut self, chain: &ErrorChain) {
        let text = format_chain(chain);
        // the same words are told once
        if !self.told.insert(text.clone()) {
            return;
        }
        let text = self.look.paint(Tone::Error, text.strip_suffix('\n').unwrap_or(&text));
        if self.manner.failed_to_stderr { display::err(&text) } else { display::out(&text) }
    }

    fn remember(&mut self, step: &Step, outcome: &Outcome) {
        let failed = matches!(outcome.status, Status::Failed | Status::Unreachable) && !outcome.ignored;
        if self.manner.merges && failed {
            // the name of the host is no difference
            let said = super::live::without_host(&super::live::failure(outcome), &outcome.host);
            let what = (step.title(), said);
            self.alike.entry(what).or_default().push(Self::host(outcome));
        }
    }

    /// What several hosts have failed at alike.
    fn merged(&mut self) {
        for ((title, text), mut hosts) in std::mem::take(&mut self.alike) {
            if hosts.len() < 2 {
                continue;
            }
            hosts.sort();
            let hosts = super::live::names(&hosts, self.look.columns.saturating_sub(30), "...");
            let lines: Vec<String> =
                text.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect();
            display::err(
                &self
                    .look
                    .paint(Tone::Error, &format!("failed alike on {hosts}: {title}\n{}", lines.join("\n"))),
            );
        }
    }

    fn failure(&mut self, step: &Step, outcome: &Outcome, looped: bool) {
        if let Some(banner) = self.waiting.take() {
            self.banner(&banner);
        }
        self.warnings(&outcome.result);
        if let Some(chain) = &outcome.error {
            // what cannot be included is told by the engine, not as a result
            let include = matches!(step.module(), "include_tasks" | "include_role");
            let standing = self.manner.failed_to_stderr;
            self.manner.failed_to_stderr |= include;
            self.error(chain);
            self.manner.failed_to_stderr = standing;
        }
        // of a loop of `debug`, what is left says that it has failed
        if looped && step.module() == "debug" {
            let text = format!(
                "fatal: [{}]: FAILED! => {}",
                Self::host(outcome),
                self.dump(&dict! {"msg" => "One or more items failed"}, false)
            );
            if self.manner.failed_to_stderr {
                display::err(&self.look.paint(Tone::Error, &text));
            } else {
                self.line(Tone::Error, &text);
            }
        }
        if !looped {
            let host = Self::host(outcome);
            let word = if outcome.status == Status::Unreachable { "UNREACHABLE" } else { "FAILED" };
            let mut result = (*outcome.result).clone();
            clean(&mut result, step);
            let text = format!("fatal: [{host}]: {word}! => {}", self.dump(&result, false));
            if self.manner.failed_to_stderr {
                display::err(&self.look.paint(Tone::Error, &text));
            } else {
                self.line(Tone::Error, &text);
            }
        }
        if outcome.ignored {
            self.line(Tone::Skipped, "...ignoring");
        }
    }

    fn result(&mut self, step: &Step, outcome: &Outcome, looped: bool) {
        if matches!(step.module(), "include_tasks" | "include_role")
            && outcome.status == Status::Ok
            && !looped
        {
            return;
        }
        match outcome.status {
            Status::Failed | Status::Unreachable => self.failure(step, outcome, looped),
            Status::Ok | Status::Changed => {
                self.warnings(&outcome.result);
                if looped {
                    return;
                }
                self.show_diff(outcome);
                let (word, tone) = if outcome.status == Status::Changed {
                    ("changed", Tone::Changed)
                } else {
                    ("ok", Tone::Ok)
                };
                if word == "ok" && !self.manner.show_ok {
                    return;
                }
                let mut result = (*outcome.result).clone();
                clean(&mut result, step);
                self.line(tone, &format!("{word}: [{}]{}", Self::host(outcome), self.details(&result)));
            }
            Status::Skipped => {
                self.warnings(&outcome.result);
                if self.manner.show_skipped {
                    let mut result = (*outcome.result).clone();
                    clean(&mut result, step);
                    self.line(
                        Tone::Skipped,
                        &format!("skipping: [{}]{}", Self::host(outcome), self.details(&result)),
                    );
                }
            }
        }
    }

    fn item(&mut self, step: &Step, label: &str, outcome: &Outcome) {
        let host = Self::host(outcome);
        let mut result = (*outcome.result).clone();
        clean(&mut result, step);
        match outcome.status {
            Status::Failed | Status::Unreachable => {
                if let Some(banner) = self.waiting.take() {
                    self.banner(&banner);
                }
                self.warnings(&outcome.result);
                if let Some(chain) = &outcome.error {
                    self.error(chain);
                }
                let text = format!("failed: [{host}] (item={label}) => {}", self.dump(&result, false));
                if self.manner.failed_to_stderr {
                    display::err(&self.look.paint(Tone::Error, &text));
                } else {
                    self.line(Tone::Error, &text);
                }
            }
            Status::Skipped => {
                if self.manner.show_skipped {
                    let details = self.details(&result);
                    self.line(Tone::Skipped, &format!("skipping: [{host}] => (item={label}) {details}"));
                }
            }
            Status::Ok | Status::Changed => {
                self.warnings(&outcome.result);
                self.show_diff(outcome);
                let (word, tone) = if outcome.status == Status::Changed {
                    ("changed", Tone::Changed)
                } else {
                    ("ok", Tone::Ok)
                };
                if word == "ok" && !self.manner.show_ok
                    || matches!(step.module(), "include_tasks" | "include_role")
                {
                    return;
                }
                self.line(tone, &format!("{word}: [{host}] => (item={label}){}", self.details(&result)));
            }
        }
    }
}

/// What `debug` shows, and what no output shows.
pub(super) fn clean(result: &mut Dict, step: &Step) {
    if !matches!(step.module(), "debug") {
        return;
    }
    // a message stands alone; a variable without what every result has
    let alone = result.contains_key("msg");
    result.retain(|key, value| {
        let key = key.as_str().unwrap_or_default();
        match key {
            "msg" | "exception" | "warnings" | "deprecations" | "skipped_reason" => true,
            "failed" => value.is_truthy(),
            _ if key.starts_with("_ansible_") => true,
            "changed" | "invocation" | "ansible_loop_var" | "skipped" | "skip_reason"
            | "failed_when_result" | "results" => false,
            _ => !alone,
        }
    });
}

/// `[ERROR]: …` with each cause and its source lines.
pub(super) fn format_chain(chain: &ErrorChain) -> String {
    let whole: Vec<&str> = chain.links.iter().map(|(text, _)| text.trim_end_matches('.')).collect();
    let mut headline = whole.join(": ");
    if whole.len() == 1 {
        headline.clone_from(&chain.links[0].0);
    } else if chain.links.last().is_some_and(|(text, _)| text.ends_with('.')) {
        headline.push('.');
    }
    let mut out = format!("[ERROR]: {headline}\n");
    // what is said of one place is said at once
    let mut links: Vec<(String, Span)> = Vec::new();
    for (text, span) in &chain.links {
        match links.last_mut() {
            Some((before, place)) if *place == *span && span.is_known() => {
                *before = format!("{}: {text}", before.trim_end_matches('.'));
            }
            _ => links.push((text.clone(), *span)),
        }
    }
    let many = links.len() > 1;
    for (i, (text, span)) in links.iter().enumerate() {
        if i > 0 {
            out.push_str("<<< caused by >>>\n\n");
        }
        if many {
            if i == 0 {
                out.push('\n');
            }
            let last = i + 1 == links.len();
            out.push_str(&if last { text.clone() } else { format!("{}.", text.trim_end_matches('.')) });
            out.push('\n');
        }
        out.push_str(&origin(*span));
    }
    if let Some(help) = chain.way_out() {
        out.push_str(&help);
        out.push_str("\n\n");
    }
    out
}

/// `Origin: file:line:column` with two lines before and a caret below.
pub fn origin(span: Span) -> String {
    let Some(source) = source_of(span.file).filter(|_| span.line > 0) else { return String::new() };
    let path = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
    let mut out = format!("Origin: {}:{}:{}\n\n", path.display(), span.line, span.column);
    let lines: Vec<&str> = source.text.lines().collect();
    let line = span.line as usize;
    if line > lines.len() {
        return out;
    }
    let width = line.to_string().len();
    for number in line.saturating_sub(2).max(1)..=line {
        let text = lines[number - 1];
        out.push_str(format!("{number:>width$} {text}").trim_end());
        out.push('\n');
    }
    let pad = " ".repeat(width + span.column.max(1) as usize);
    out.push_str(&format!("{pad}^ column {}\n\n", span.column));
    out
}

impl Reader for Ansible {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlaybookStarted { path, plays } => {
                if self.manner.verbosity > 1 {
                    let name = std::path::Path::new(path)
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned();
                    self.banner(&format!("PLAYBOOK: {name}"));
                    display::out(&format!("{plays} plays in {path}"));
                }
            }
            Event::PlayStarted { name, check } => {
                let marker = if *check && self.manner.check_markers { " [CHECK MODE]" } else { "" };
                let text =
                    if name.is_empty() { format!("PLAY{marker}") } else { format!("PLAY [{name}]{marker}") };
                self.waiting = None;
                self.banner(&text);
            }
            Event::NoHostsMatched => {
                display::out(&self.look.paint(Tone::Skipped, "skipping: no hosts matched"))
            }
            Event::NoHostsRemaining => self.banner("NO MORE HOSTS LEFT"),
            Event::Asked(question) => self.banner(question),
            Event::TaskStarted { step, title, check } => {
                let prefix = if step.context.handlers { "RUNNING HANDLER" } else { "TASK" };
                let marker = if *check && self.manner.check_markers { " [CHECK MODE]" } else { "" };
                let text = format!("{prefix} [{}]{marker}", title.trim());
                if self.manner.show_skipped && self.manner.show_ok {
                    self.waiting = None;
                    self.banner(&text);
                } else {
                    self.waiting = Some(text);
                }
                if self.manner.verbosity > 1
                    && let Some(source) = source_of(step.task.span.file)
                {
                    let path = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
                    self.line(
                        Tone::Verbose,
                        &format!("task path: {}:{}", path.display(), step.task.span.line),
                    );
                }
            }
            Event::HostStarted { step, host } => {
                if self.manner.per_host_start {
                    self.line(Tone::Plain, &format!(" [started TASK: {} on {host}]", step.title()));
                }
            }
            Event::Item { step, label, outcome } => self.item(step, label, outcome),
            Event::Retry { step, left, outcome } => {
                let title = step.title();
                let mut text =
                    format!("FAILED - RETRYING: [{}]: {title} ({left} retries left).", Self::host(outcome));
                let always = outcome.result.get("_ansible_verbose_always").is_some_and(Value::is_truthy);
                if self.manner.verbosity > 2 || always {
                    text.push_str(&format!("Result was: {}", self.dump(&outcome.result, false)));
                }
                self.line(Tone::Verbose, &text);
            }
            Event::Result { step, looped, outcome } => {
                self.result(step, outcome, *looped);
                self.remember(step, outcome);
            }
            Event::Included { what, hosts, label } => {
                let hosts: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
                let label =
                    label.as_ref().map(|label| format!(" => (item={})", label.as_str())).unwrap_or_default();
                self.line(Tone::Skipped, &format!("included: {what} for {}{label}", hosts.join(", ")));
            }
            Event::Notified { handler, host } => {
                if self.manner.verbosity > 1 {
                    self.line(Tone::Verbose, &format!("NOTIFIED HANDLER {handler} for {host}"));
                }
            }
            Event::Warning(text) => self.warn(text),
            Event::Deprecation(text) => {
                if self.told.insert(text.clone()) {
                    display::err(&self.look.paint(Tone::Warning, &format!("[DEPRECATION WARNING]: {text}")));
                }
            }
            Event::Verbose(level, text) => {
                if self.manner.verbosity >= *level {
                    self.line(Tone::Verbose, text);
                } else if self.manner.log_verbosity >= *level {
                    display::log(text);
                }
            }
            Event::Refused { text } => display::err(&self.look.paint(Tone::Error, text)),
            // told below the recap
            Event::Probed(_) => {}
            Event::Finished(recap) => {
                self.banner("PLAY RECAP");
                let mut hosts: Vec<_> = recap.hosts.iter().collect();
                hosts.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (host, n) in hosts {
                    let tone = if n.failed > 0 || n.unreachable > 0 {
                        Tone::Error
                    } else if n.changed > 0 {
                        Tone::Changed
                    } else {
                        Tone::Ok
                    };
                    let count = |name: &str, n: u32, tone: Tone| {
                        let text = format!("{name}={n:<4}");
                        if n > 0 { self.look.paint(tone, &text) } else { text }
                    };
                    let padded = if self.look.colour {
                        format!("{:<37}", self.look.paint(tone, host))
                    } else {
                        format!("{host:<26}")
                    };
                    display::out(&format!(
                        "{padded} : {} {} {} {} {} {} {}",
                        count("ok", n.ok, Tone::Ok),
                        count("changed", n.changed, Tone::Changed),
                        count("unreachable", n.unreachable, Tone::Error),
                        count("failed", n.failed, Tone::Error),
                        count("skipped", n.skipped, Tone::Skipped),
                        count("rescued", n.rescued, Tone::Ok),
                        count("ignored", n.ignored, Tone::Warning),
                    ));
                }
                display::out("");
                if self.manner.custom_stats && !recap.custom.is_empty() {
                    self.banner("CUSTOM STATS: ");
                    for (key, value) in &recap.custom {
                        let style = JsonStyle { sort_keys: true, ascii: false, ..JsonStyle::default() };
                        let name = if key.as_str() == Some("_run") {
                            "RUN".to_owned()
                        } else {
                            key.json_text().into_owned()
                        };
                        display::out(&format!("\t{name}: {}", style.write(value).replace('\n', "")));
                    }
                    display::out("");
                }
                self.merged();
            }
        }
    }
}
