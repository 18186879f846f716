//! What a failure of a task is, for people: a code of the catalogue, and the next thing to try.
//!
//! In: what was said and what the task sees. Out: an [`ErrorChain`]. Ansible's own commands say what Ansible says.
//!
//! **Invariant:** this only adds words; no result, no verdict and no exit status depends on it.

use super::task::span_of;
use crate::connect::{ConnectError, Stage};
use crate::plan::Step;
use crate::report::ErrorChain;
use crate::vars::TaskScope;
use quorate_value::{Dict, JsonStyle, Span, Value, str_of};
use std::sync::Arc;

/// Of a value, so many characters.
const SHOWN: usize = 60;

/// What is known of a failure.
pub(super) struct Known<'a> {
    /// What a failure was told to be where it happened.
    pub code: Option<&'static str>,
    /// The next thing to try, as whoever failed knew it.
    pub help: Option<&'a str>,
    /// Messages with places.
    pub links: &'a [(String, Span)],
    /// The result.
    pub result: &'a Dict,
    /// Nobody has to act on it.
    pub ignored: bool,
}

/// The chain of messages of a failure, with its code and the way out.
pub(super) fn chain(scope: &TaskScope, step: &Step, known: &Known) -> Option<Arc<ErrorChain>> {
    if known.links.is_empty() {
        return None;
    }
    let mut chain =
        ErrorChain { links: known.links.to_vec(), help: known.help.map(str::to_owned), code: None };
    let quiet = scope.shared.options.ansible_manners || known.ignored || known.result.contains_key("refused");
    if !quiet && let Some((code, help)) = told(scope, step, known) {
        chain.code = Some(code);
        chain.help = chain.help.or(help).or_else(|| crate::codes::remedy(code));
    }
    Some(Arc::new(chain))
}

/// The code of a stage of connecting.
pub(super) fn of_stage(error: &ConnectError) -> &'static str {
    match error.stage {
        Stage::Name => "E0500",
        Stage::Tcp => "E0501",
        Stage::HostKey => "E0502",
        Stage::Auth => "E0503",
        Stage::Become => "E0504",
        Stage::Slow => "E0505",
        Stage::Helper => "E0506",
        Stage::Lost => "E0507",
    }
}

/// The code of a failure, and its own way out where there is one that fits better than the catalogue's.
fn told(scope: &TaskScope, step: &Step, known: &Known) -> Option<(&'static str, Option<String>)> {
    if let Some(code) = known.code {
        return Some((code, None));
    }
    let result = known.result;
    let said = known.links.last().map(|(text, _)| text.as_str()).unwrap_or_default();
    let whole = || known.links.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" ");
    if let Some(name) = undefined(said) {
        return Some(("E0400", near(scope, name)));
    }
    if said.contains(" has no attribute '") || said.contains(" has no element ") {
        return Some(("E0401", None));
    }
    if result.contains_key("timedout") {
        return Some(("E0414", None));
    }
    if said.contains("The `loop` value must resolve to a 'list'") {
        return Some(("E0420", None));
    }
    if said.contains("was derived from value of type") {
        return Some((
            "E0403",
            Some("write a comparison, or `… is truthy`, whose result is true or false".into()),
        ));
    }
    if said.contains("Could not find or access '") {
        return Some(("E0412", None));
    }
    let about_arguments = [
        ("Unsupported parameters for ", "E0145"),
        ("missing required arguments: ", "E0146"),
        (" must be one of: ", "E0147"),
    ];
    if let Some((_, code)) = about_arguments.iter().find(|(words, _)| said.contains(words)) {
        return Some((code, None));
    }
    let renders =
        ["Finalization of task args", "Error while evaluating conditional", "Error processing keyword"];
    let all = whole();
    if said.contains("not healthy after ") {
        return Some(("E0419", None));
    }
    if renders.iter().any(|words| all.contains(words)) {
        return Some(("E0402", None));
    }
    if matches!(step.module(), "assert" | "fail") {
        return None;
    }
    of_host(step, result, said)
}

/// What a module says of the host.
fn of_host(step: &Step, result: &Dict, said: &str) -> Option<(&'static str, Option<String>)> {
    let text = |name: &str| result.get(name).map(str_of).unwrap_or_default();
    let words = format!("{said}\n{}\n{}\n{}", text("msg"), text("stderr"), text("stdout"));
    let lower = words.to_lowercase();
    if lower.contains("no space left on device") || lower.contains("disk quota exceeded") {
        return Some(("E0415", None));
    }
    if lower.contains("address already in use") {
        return Some(("E0417", None));
    }
    if matches!(step.module(), "service" | "systemd" | "systemd_service" | "etcd_service") {
        let written = step.task.action.args.as_dict().and_then(|args| args.get("name"));
        let unit = written.map(str_of).filter(|name| !name.contains("{{")).unwrap_or_else(|| text("name"));
        let unit = if unit.is_empty() { "UNIT" } else { &unit };
        let help = if lower.contains("could not find the requested service") {
            format!("check its name, on the host: systemctl list-unit-files '*{unit}*'")
        } else {
            format!("see what it says itself, on the host: journalctl -n 50 -u {unit}")
        };
        return Some(("E0418", Some(help)));
    }
    if lower.contains("permission denied") || lower.contains("operation not permitted") {
        return Some(("E0416", None));
    }
    let judged = result.get("failed_when_result").is_some_and(Value::is_truthy);
    if judged {
        return Some(("E0413", None));
    }
    if result.get("rc").and_then(super::number).is_some_and(|rc| rc != 0.0) {
        return Some(("E0411", None));
    }
    if said.starts_with("Task failed: Module failed") {
        return Some((
            "E0410",
            Some(format!("`quorate doc {}` says what it takes and needs", step.module())),
        ));
    }
    None
}

/// The name in `'name' is undefined`.
fn undefined(said: &str) -> Option<&str> {
    let before = said.split("' is undefined").next().filter(|before| before.len() < said.len())?;
    let name = &before[before.rfind('\'')? + 1..];
    crate::playbook::is_identifier(name).then_some(name)
}

/// A variable of nearly this name, where it is set, and to what.
fn near(scope: &TaskScope, name: &str) -> Option<String> {
    let names = scope.all_names();
    let near = *quorate_yaml::nearest(name, names.iter().map(AsRef::as_ref)).first()?;
    let mut text = format!("did you mean `{near}`?");
    if let Some(value) = scope.lookup(near) {
        let span = span_of(&value, Span::default());
        if span.is_known() {
            text.push_str(&format!(" It is set in {}", crate::diag::short_place(span)));
            let plain = !value.holds_secret() && !crate::secrets::may_be_named(near);
            let shown = JsonStyle::default().write(&value);
            if plain && shown.chars().count() <= SHOWN {
                text.push_str(&format!(" to {shown}"));
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::undefined;

    #[test]
    fn names_of_what_is_undefined() {
        assert_eq!(
            undefined("Error while resolving value for 'msg': 'etcd_clster' is undefined"),
            Some("etcd_clster")
        );
        assert_eq!(undefined("'a' is undefined. 'a' is undefined"), Some("a"));
        assert_eq!(undefined("'no name' is undefined"), None);
        assert_eq!(undefined("all is well"), None);
    }
}
