//! Ad-hoc output: the grammar of the `minimal` and `oneline` callbacks.

use super::display::{self, Look, Tone};
use super::{Event, Manner, Outcome, Reader, Status, diff};
use quorate_value::{Dict, JsonStyle, Value, str_of};

/// The `minimal` callback, or `oneline`.
pub struct Minimal {
    look: Look,
    manner: Manner,
    one_line: bool,
    /// Whether failures say what to try next.
    helps: bool,
    helped: std::collections::HashSet<String>,
}

impl Minimal {
    /// A reader that prints.
    pub fn new(look: Look, manner: Manner, one_line: bool, helps: bool) -> Self {
        Minimal { look, manner, one_line, helps, helped: std::collections::HashSet::new() }
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
                });
                let verbose = key.as_str().is_some_and(|k| k == "invocation" || k == "diff")
                    && self.manner.verbosity < 3;
                !hidden && !verbose
            })
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let indent = (!self.one_line).then_some(4);
        JsonStyle { indent, sort_keys: true, ascii: false, compact: false }.write(&Value::dict(shown))
    }

    fn result(&mut self, outcome: &Outcome, command: bool) {
        let host = &outcome.host;
        let result = &outcome.result;
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
        let raw = command && result.contains_key("rc") && outcome.status != Status::Unreachable;
        let text = if raw {
            let rc = result.get("rc").map(str_of).unwrap_or_default();
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
                self.result(outcome, matches!(step.module(), "command" | "shell" | "raw" | "script"));
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
