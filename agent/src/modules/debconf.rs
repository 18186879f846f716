//! `debconf`: answers to the questions that packages ask when they are installed.
//!
//! **Invariant:** passwords are compared and set, never returned.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use quorate_value::{Dict, Value, dict, str_of};

/// The `debconf` module.
pub struct Debconf;

static SPEC: Spec = Spec::new("debconf", "Answers the questions of Debian packages in advance.")
    .diff()
    .params(&[
        Param::str("name").required().aliases(&["pkg"]).doc("The package."),
        Param::str("question")
            .aliases(&["selection", "setting"])
            .doc("The question; without one its answers are returned."),
        Param::str("vtype")
            .choices(&[
                "boolean",
                "error",
                "multiselect",
                "note",
                "password",
                "seen",
                "select",
                "string",
                "text",
                "title",
            ])
            .doc("The type of the answer."),
        Param::raw("value").aliases(&["answer"]).doc("The answer; a list for `multiselect`."),
        Param::bool("unseen").default_bool(false).doc("Do not mark the question as seen."),
    ])
    .required_together(&[&["question", "vtype", "value"]]);

const OMITTED: &str = "(password omitted)";

impl Module for Debconf {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let name = args.text("name");
        let shown = ctx.run_ok(
            &ctx.command([ctx.program("debconf-show")?.as_str(), name]).env("LC_ALL", "C"),
            "debconf-show failed",
        )?;
        let mut before = answers(&shown.stdout_text());
        let Some(question) = args.str("question") else {
            return Ok(Outcome::ok().with("current", before).msg(""));
        };
        let kind = args.text("vtype");
        if let Some((at, odd)) = args
            .value("value")
            .filter(|_| kind == "multiselect")
            .and_then(Value::as_list)
            .and_then(|items| items.iter().enumerate().find(|(_, item)| item.as_str().is_none()))
        {
            return Err(Failure::new(format!(
                "Invalid value provided for 'multiselect': sequence item {at}: expected str instance, {} found",
                odd.type_name()
            )));
        }
        let value = written(args.value("value").unwrap_or(&Value::Null), kind);
        let secret = kind == "password";
        let current = if secret { ask(ctx, question)? } else { answer(&before, question) };
        if current.as_deref().is_some_and(|current| same(args.value("value"), current, &value, kind)) {
            return Ok(Outcome::ok().with("current", before).msg(""));
        }
        if !ctx.check {
            let mut command = ctx.command([ctx.program("debconf-set-selections")?]).env("LC_ALL", "C");
            if args.bool("unseen") {
                command = command.arg("-u");
            }
            let output = ctx.run(&command.input(format!("{name} {question} {kind} {value}\n")))?;
            if !output.ok() {
                return Err(Failure::new(output.stderr_text()));
            }
        }
        let shown =
            |text: &str| if secret && !text.is_empty() { OMITTED.to_owned() } else { text.to_owned() };
        let old = shown(current.as_deref().unwrap_or(""));
        // Ansible repeats a question that was known, and everything else where it was not.
        let previous = if before.contains_key(question) {
            dict! {question => old.as_str()}
        } else {
            before.insert(question, "");
            before
        };
        let after = dict! {question => shown(&value)};
        Ok(Outcome::changed()
            .msg("")
            .with("current", after.clone())
            .with("previous", previous)
            .diff(Diff::dicts(dict! {question => old}, after)))
    }
}

/// `* question: answer`, as `debconf-show` prints.
fn answers(text: &str) -> Dict {
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start_matches('*').trim();
            let (question, answer) = line.split_once(':')?;
            Some((question.to_owned(), Value::from(answer.trim())))
        })
        .collect()
}

fn answer(answers: &Dict, question: &str) -> Option<String> {
    answers.get(question).map(str_of)
}

/// A hidden answer, which `debconf-show` does not print.
fn ask(ctx: &Ctx, question: &str) -> Result<Option<String>, Failure> {
    let Some(program) = ctx.which("debconf-communicate") else { return Ok(None) };
    let output = ctx.run(&ctx.command([program]).input(format!("GET {question}\n")).env("LC_ALL", "C"))?;
    let text = output.stdout_text();
    Ok(text.trim_end_matches('\n').strip_prefix("0 ").map(str::to_owned))
}

/// The answer as debconf writes it.
fn written(value: &Value, kind: &str) -> String {
    match value {
        Value::Bool(flag) if kind == "boolean" => flag.to_string(),
        Value::List(items) => items.iter().map(str_of).collect::<Vec<_>>().join(", "),
        other => str_of(other),
    }
}

/// Whether the answer stands already. The order of a list does not matter.
fn same(given: Option<&Value>, current: &str, wanted: &str, kind: &str) -> bool {
    if kind == "multiselect" && given.is_some_and(|value| value.as_list().is_some()) {
        let set = |text: &str| {
            let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
            parts.sort();
            parts
        };
        return set(current) == set(wanted);
    }
    kind != "seen" && current == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_answers() {
        let found = answers("* tzdata/Areas: Etc\n  tzdata/Zones/US:\n  foo/pw: (password omitted)\n");
        assert_eq!(answer(&found, "tzdata/Areas").as_deref(), Some("Etc"));
        assert_eq!(answer(&found, "tzdata/Zones/US").as_deref(), Some(""));
        assert_eq!(answer(&found, "gone"), None);
    }

    #[test]
    fn standing_answers() {
        let list = Value::list(vec![Value::from("b"), Value::from("a")]);
        for (given, current, kind, expected) in [
            (Value::from("x"), "x", "string", true),
            (Value::from("x"), "y", "string", false),
            (Value::from(true), "true", "boolean", true),
            (Value::from("yes"), "true", "boolean", false),
            (list, "a, b", "multiselect", true),
            (Value::from("b, a"), "a, b", "multiselect", false),
        ] {
            let wanted = written(&given, kind);
            assert_eq!(same(Some(&given), current, &wanted, kind), expected, "{wanted} {current}");
        }
    }
}
