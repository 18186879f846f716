//! Examples of the reference.
//!
//! **Invariant:** none can be wrong: `tests/playbooks` holds expressions to what ansible-core makes of them, and the tests
//! below hold tasks to the parameters of their modules.

/// An expression and what it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Example {
    /// Jinja, without its braces.
    pub(super) expression: &'static str,
    /// JSON.
    pub(super) result: &'static str,
}

const EXPRESSIONS: &str = include_str!("examples.txt");
const TASKS: &str = include_str!("tasks.yml");

/// The example of a filter, test or lookup.
pub(super) fn of(kind: &str, name: &str) -> Option<Example> {
    EXPRESSIONS.lines().find_map(|line| {
        let mut cells = line.split('\t');
        let word = cells.next()?.split_once(' ')?;
        (word == (kind, name)).then_some(())?;
        Some(Example { expression: cells.next()?, result: cells.next()? })
    })
}

/// The example of a module: a task, as it would stand in a playbook.
pub(super) fn task(module: &str) -> Option<&'static str> {
    tasks().find(|task| called(task) == Some(module))
}

fn tasks() -> impl Iterator<Item = &'static str> {
    let mut rest = TASKS.split_once('\n').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        (!rest.is_empty()).then_some(())?;
        let end = rest.get(1..)?.find("\n- ").map_or(rest.len(), |at| at + 2);
        let (task, after) = rest.split_at(end);
        rest = after;
        Some(task)
    })
}

/// The module that a task calls: the key of its second line.
fn called(task: &'static str) -> Option<&'static str> {
    task.lines().nth(1)?.trim_start().split_once(':').map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::super::{modules, words};
    use super::*;
    use quorate_value::{FileId, Value};
    use std::collections::BTreeSet;

    #[test]
    fn everything_has_an_example_and_nothing_else() {
        let mut missing = String::new();
        for (kind, words) in [("filter", words::FILTERS), ("test", words::TESTS), ("lookup", words::LOOKUPS)]
        {
            for (name, _) in words {
                if of(kind, name).is_none() {
                    missing.push_str(&format!("{kind} {name}, "));
                }
            }
        }
        let known: BTreeSet<&str> = modules().iter().map(|spec| spec.name).collect();
        let shown: Vec<&str> = tasks().filter_map(called).collect();
        for name in &known {
            if !shown.contains(name) {
                missing.push_str(&format!("module {name}, "));
            }
        }
        assert!(missing.is_empty(), "without example (examples.txt, tasks.yml): {missing}");
        for name in shown {
            assert!(known.contains(name), "{name} is no module");
        }
    }

    #[test]
    fn each_task_fits_its_module() {
        for task in tasks() {
            let document = quorate_yaml::parse(task, FileId::default()).unwrap();
            let Value::List(tasks) = document.root.to_value() else { panic!("no list: {task}") };
            let name = called(task).unwrap();
            let spec = *modules().iter().find(|spec| spec.name == name).unwrap();
            let Some(Value::Dict(args)) = tasks[0].get(name) else { continue };
            for (given, value) in args.iter() {
                let given = given.as_str().unwrap();
                // a playbook takes free names, these modules' purpose
                if ["add_host", "set_fact"].contains(&name) {
                    continue;
                }
                let param = spec
                    .all_params()
                    .find(|param| param.name == given || param.aliases.contains(&given))
                    .unwrap_or_else(|| panic!("{name} has no parameter {given}"));
                if let Some(text) = value.as_str()
                    && !param.choices.is_empty()
                    && !text.contains("{{")
                {
                    assert!(param.choices.contains(&text), "{name}: {given} cannot be {text}");
                }
            }
            for param in spec.all_params().filter(|param| param.required) {
                let given = std::iter::once(&param.name).chain(param.aliases);
                assert!(
                    given.into_iter().any(|name| args.get(*name).is_some()),
                    "{name} needs {}",
                    param.name
                );
            }
        }
    }
}
