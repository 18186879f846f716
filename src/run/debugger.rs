//! The task debugger: `debugger:`, `strategy: debug`, `ANSIBLE_ENABLE_TASK_DEBUGGER`.
//!
//! In: a step that has ended on a host, and lines of standard input. Out: go on, do it again (changed, perhaps), or quit.
//!
//! Source: "Debugging tasks" of Ansible's documentation.

use super::Run;
use super::task::{Done, registered};
use crate::plan::Step;
use crate::playbook::{Kw, Task};
use crate::report::{Status, display};
use crate::vars::{PlayVars, TaskScope, render};
use quorate_value::{Dict, Str, Value, dict, repr, str_of};
use std::sync::Arc;

/// What the person decided.
pub(super) enum Decision {
    /// The result stands.
    Continue,
    /// Once more, as it is now.
    Redo(Arc<Step>),
    /// Nothing more.
    Quit,
}

const HELP: &str = "\nDocumented commands (type help <topic>):\n========================================\n\
    EOF  c  continue  h  help  p  pprint  q  quit  r  redo  u  update_task\n";

/// Whether a play may come to the debugger at all.
pub(super) fn possible(run: &Run, strategy: &str, program: &crate::plan::Program) -> bool {
    everywhere(run, strategy)
        || program.iter().any(|slot| match &slot.node {
            crate::plan::Node::Step(step) => step.keywords.get(Kw::Debugger).is_some(),
            _ => false,
        })
}

/// Whether failures of every task come here.
pub(super) fn everywhere(run: &Run, strategy: &str) -> bool {
    strategy.rsplit('.').next() == Some("debug") || run.shared.settings.flag("ENABLE_TASK_DEBUGGER")
}

/// Whether this end of a step is one to look at.
pub(super) fn wanted(run: &Run, scope: &TaskScope, step: &Step, done: &Done, everywhere: bool) -> bool {
    let spared = run.shared.settings.flag("TASK_DEBUGGER_IGNORE_ERRORS")
        && step.keywords.get(Kw::IgnoreErrors).is_some_and(|v| render::flag(scope, v).unwrap_or(false));
    let failed = done.status == Status::Failed && !spared;
    let unreachable = done.status == Status::Unreachable;
    let word = step.keywords.get(Kw::Debugger).and_then(|v| render::value(scope, v).ok()).map(|v| str_of(&v));
    match word.as_deref() {
        Some("always") => true,
        Some("never") => false,
        Some("on_failed") => failed,
        Some("on_unreachable") => unreachable,
        Some("on_skipped") => done.status == Status::Skipped,
        _ => everywhere && (failed || unreachable),
    }
}

/// Talks until the person decides.
pub(super) fn converse(
    run: &Arc<Run>,
    play: &Arc<PlayVars>,
    host: &Arc<str>,
    step: &Arc<Step>,
    title: &str,
    done: &Done,
) -> Decision {
    let mut now = step.clone();
    let mut args = step.task.action.args.clone();
    let mut vars = (*step.task.vars).clone();
    loop {
        display::prompt(&format!("[{host}] TASK: {title} (debug)> "));
        let mut line = String::new();
        if !matches!(std::io::stdin().read_line(&mut line), Ok(n) if n > 0) {
            return Decision::Quit;
        }
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" => {}
            "c" | "continue" => return Decision::Continue,
            "q" | "quit" | "EOF" => return Decision::Quit,
            "r" | "redo" => return Decision::Redo(with(step, args, vars)),
            "u" | "update_task" => now = with(step, args.clone(), vars.clone()),
            "h" | "help" | "?" => display::out(HELP),
            "p" | "pprint" => {
                let scope = TaskScope::new(&run.shared, play, host, Some(&now));
                display::out(&show(scope, &now, &args, host, title, done, rest.trim()));
            }
            _ => {
                let scope = TaskScope::new(&run.shared, play, host, Some(&now));
                if let Err(why) = assign(scope, &mut args, &mut vars, line) {
                    display::out(&why);
                }
            }
        }
    }
}

fn with(step: &Step, args: Value, vars: Dict) -> Arc<Step> {
    let mut task: Task = (*step.task).clone();
    task.action.args = args;
    task.vars = Arc::new(vars);
    Arc::new(Step {
        id: step.id,
        task: Arc::new(task),
        keywords: step.keywords.clone(),
        context: step.context.clone(),
        tags: step.tags.clone(),
        implicit: step.implicit,
    })
}

fn no_name(word: &str) -> String {
    let name: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    format!("***NameError:NameError(\"name '{name}' is not defined\")")
}

fn show(
    mut scope: TaskScope,
    step: &Step,
    args: &Value,
    host: &str,
    title: &str,
    done: &Done,
    what: &str,
) -> String {
    match what {
        "task" => return format!("TASK: {title}"),
        "host" => return host.to_owned(),
        "result" => return format!("<{title} on {host}>"),
        _ => {}
    }
    let root: String = what.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let expression = match root.as_str() {
        "task_vars" => format!("vars{}", &what[root.len()..]),
        "task" | "host" | "result" => what.to_owned(),
        _ if root.starts_with(|c: char| c.is_alphabetic() || c == '_') => return no_name(&root),
        _ => what.to_owned(),
    };
    let result = Value::dict(registered(&done.result));
    let name = step.task.name.as_ref().map_or(Value::Null, |name| Value::from(name.as_str()));
    scope.locals.insert("host", dict! {"name" => host});
    scope.locals.insert("result", dict! {"_result" => result.clone(), "_return_data" => result});
    // arguments are shown as they are written
    scope.locals.insert(
        "task",
        dict! {"args" => args.untrusted(), "name" => name, "vars" => Value::dict((*step.task.vars).clone()).untrusted(), "action" => step.module()},
    );
    match render::expression(&scope, &Str::new(&expression).trusted()) {
        Ok(value) => repr(&value),
        Err(error) if error.is_undefined() => {
            let key = error.to_string();
            let key = key.rsplit("attribute ").next().unwrap_or_default().trim_end_matches('.').to_owned();
            format!("***KeyError:KeyError({key})")
        }
        Err(error) => format!("***{error}"),
    }
}

/// `task.args["name"] = expression` and `task_vars["name"] = expression`.
fn assign(scope: TaskScope, args: &mut Value, vars: &mut Dict, line: &str) -> Result<(), String> {
    let unknown = || no_name(line);
    let (target, rest) = if let Some(rest) = line.strip_prefix("task.args") {
        (true, rest)
    } else if let Some(rest) = line.strip_prefix("task_vars") {
        (false, rest)
    } else {
        return Err(unknown());
    };
    let invalid = || "***SyntaxError:SyntaxError('invalid syntax')".to_owned();
    let rest = rest.trim_start().strip_prefix('[').ok_or_else(invalid)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or_else(invalid)?;
    let (key, rest) = rest[1..].split_once(quote).ok_or_else(invalid)?;
    let rest = rest.trim_start().strip_prefix(']').ok_or_else(invalid)?.trim_start();
    let written = rest.strip_prefix('=').ok_or_else(invalid)?.trim();
    let value = render::expression(&scope, &Str::new(written).trusted()).map_err(|e| format!("***{e}"))?;
    // who types here may write templates
    let value = value.trusted();
    if target {
        if !matches!(args, Value::Dict(_)) {
            *args = Value::dict(Dict::new());
        }
        if let Value::Dict(entries) = args {
            Arc::make_mut(entries).insert(key, value);
        }
    } else {
        vars.insert(key, value);
    }
    Ok(())
}
