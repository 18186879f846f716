//! Ad-hoc output: the grammar of the `minimal` and `oneline` callbacks.

use super::display::{self, Look, Tone};
use super::{ErrorChain, Event, Manner, Outcome, Reader, Status, ansible, diff};
use crate::plan::Step;
use crate::playbook::Kw;
use quorate_value::{Dict, JsonStyle, Span, Value, dict, repr, source_of, str_of};
use std::path::Path;

/// Where the tasks of ad-hoc commands come from.
pub const ADHOC: &str = "<command line>";

/// The `minimal` callback, or `oneline`.
pub struct Minimal {
    look: Look,
    manner: Manner,
    one_line: bool,
    /// Whether failures say what to try next.
    helps: bool,
    helped: std::collections::HashSet<String>,
    /// Errors that have been told: the same words are told once.
    told: std::collections::HashSet<String>,
}

impl Minimal {
    /// A reader that prints.
    pub fn new(look: Look, manner: Manner, one_line: bool, helps: bool) -> Self {
        Minimal { look, manner, one_line, helps, helped: Default::default(), told: Default::default() }
    }

    fn dump(&self, result: &Dict) -> String {
        let shown: Dict = result
            .iter()
            .filter(|(key, _)| {
                let hidden = key.as_str().is_some_and(|k| {
                    k.starts_with("_ansible_")
                        || k == "exception"
                        || k == "failed"
                        || k == "_cause"
                        || k == "warnings"
                        || k == "deprecations"
                        || k == "skipped"
                });
                let verbose = key.as_str().is_some_and(|k| k == "invocation" || k == "diff")
                    && self.manner.verbosity < 3;
                !hidden && !verbose
            })
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let write = |indent| {
            let style = JsonStyle { indent: Some(indent), sort_keys: true, ascii: false, compact: false };
            style.write(&Value::dict(shown.clone()))
        };
        // on one line, the ends of lines are left out, and what indents only for modules that always show all
        let always = result.get("_ansible_verbose_always").is_some_and(Value::is_truthy);
        match self.one_line {
            false => write(4),
            true if always => write(4).replace('\n', ""),
            true => write(1).lines().map(str::trim_start).collect(),
        }
    }

    /// Why a task failed, as the callbacks of ansible-core 2.19 tell it in front of the result.
    fn error(&mut self, chain: &ErrorChain, step: &Step) {
        if self.one_line {
            let words = "An exception occurred during task execution. To see the full traceback, use -vvv. The error was: (traceback unavailable)";
            return display::out(&self.look.paint(Tone::Error, words));
        }
        let task = &step.task;
        let adhoc = source_of(task.span.file).is_none_or(|source| source.path == Path::new(ADHOC));
        let mut chain = chain.clone();
        if adhoc {
            chain.links.iter_mut().for_each(|(_, span)| *span = Span::default());
        }
        let mut text = ansible::format_chain(&chain);
        if adhoc {
            let or = |value: Option<&Value>, otherwise| value.cloned().unwrap_or(Value::Int(otherwise));
            let whole = dict! {
                "action" => task.action.written.clone(), "args" => task.action.args.clone(),
                "timeout" => or(task.keywords.get(Kw::Timeout), 0),
                "async_val" => or(task.async_seconds.as_ref(), 0), "poll" => or(task.poll.as_ref(), 15),
            };
            text.push_str(&format!(
                "Origin: <adhoc '{}' task>\n\n{}\n\n",
                task.action.written.as_str(),
                repr(&Value::dict(whole))
            ));
        }
        if self.told.insert(text.clone()) {
            display::out(&self.look.paint(Tone::Error, text.strip_suffix('\n').unwrap_or(&text)));
        }
    }

    fn result(&mut self, outcome: &Outcome, step: &Step) {
        let host = &outcome.host;
        let mut result = (*outcome.result).clone();
        // the results of a loop over `debug` are in its items
        if !self.one_line {
            ansible::clean(&mut result, step);
        }
        let result = &result;
        for warning in result.get("warnings").and_then(Value::as_list).unwrap_or_default() {
            display::warning(&str_of(warning));
        }
        let (word, tone) = match outcome.status {
            Status::Ok => ("SUCCESS", Tone::Ok),
            Status::Changed => ("CHANGED", Tone::Changed),
            Status::Skipped => ("SKIPPED", Tone::Skipped),
            Status::Failed => ("FAILED!", Tone::Error),
            Status::Unreachable => ("UNREACHABLE!", Tone::Error),
        };
        if result.get("_ansible_diff").is_some_and(Value::is_truthy)
            && let Some(value) = result.get("diff")
        {
            let text = diff::render(value);
            if !text.is_empty() {
                display::out(text.trim_end_matches('\n'));
            }
        }
        if let Some(chain) = outcome.error.as_ref().filter(|_| !self.helps) {
            self.error(chain, step);
        }
        let raw = matches!(step.module(), "command" | "shell" | "raw" | "script")
            && !result.contains_key("module_stdout")
            && outcome.status != Status::Unreachable;
        let text = if outcome.status == Status::Skipped {
            format!("{host} | SKIPPED")
        } else if raw {
            let rc = result.get("rc").map_or_else(|| "-1".to_owned(), str_of);
            let (stdout, stderr, msg) = (text(result, "stdout"), text(result, "stderr"), text(result, "msg"));
            let word = word.trim_end_matches('!');
            if self.one_line {
                let joined = |t: &str| t.replace('\n', "\\n").replace('\r', "\\r");
                let err =
                    if stderr.is_empty() { String::new() } else { format!(" (stderr) {}", joined(&stderr)) };
                format!("{host} | {word} | rc={rc} | (stdout) {}{err}", joined(&stdout))
            } else {
                let parts: Vec<&str> = [stdout.as_str(), stderr.as_str(), msg.as_str()]
                    .into_iter()
                    .filter(|t| !t.is_empty())
                    .collect();
                format!("{host} | {word} | rc={rc} >>\n{}", parts.join("\n"))
            }
        } else {
            format!("{host} | {word} => {}", self.dump(result))
        };
        display::out(&self.look.paint(tone, &text));
        // beside the grammar that scripts read
        if let Some(help) = outcome.error.as_ref().and_then(|chain| chain.way_out()).filter(|_| self.helps)
            && self.helped.insert(help.clone())
        {
            display::err(&format!("help: {help}"));
        }
    }
}

fn text(result: &Dict, key: &str) -> String {
    result.get(key).map(str_of).unwrap_or_default()
}

impl Reader for Minimal {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Result { step, outcome, .. } => {
                self.result(outcome, step);
            }
            Event::Warning(text) => display::warning(text),
            Event::Deprecation(text) => display::err(&format!("[DEPRECATION WARNING]: {text}")),
            Event::Refused { text } => display::err(&self.look.paint(Tone::Error, text)),
            Event::Verbose(level, text) => {
                if self.manner.verbosity >= *level {
                    display::out(text);
                }
            }
            Event::PlaybookStarted { .. }
            | Event::PlayStarted { .. }
            | Event::NoHostsMatched
            | Event::NoHostsRemaining
            | Event::Asked(_)
            | Event::TaskStarted { .. }
            | Event::HostStarted { .. }
            | Event::Item { .. }
            | Event::Retry { .. }
            | Event::Included { .. }
            | Event::Notified { .. }
            | Event::Probed(_)
            | Event::Finished(_) => {}
        }
    }
}
