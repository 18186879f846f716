//! What ansible-core answers, and what we answer: the tables of `tests/differential/expressions`.
//!
//! `known.txt` lists where we differ, each with its reason; an entry that no longer differs fails, too.

use crate::world::{Files, expressions};
use quorate_template::{Context, Engine, Source, Style, World as _};
use quorate_value::{Dict, Span, Str, Value, from_json_str, repr};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

fn variables() -> Dict {
    let text = std::fs::read_to_string(expressions().join("vars.json")).unwrap();
    let Value::Dict(all) = from_json_str(&text).unwrap() else { panic!("vars.json is a mapping") };
    let mut out = Dict::new();
    for (key, value) in all.iter() {
        let trusted = !key.as_str().unwrap().starts_with("unsafe_");
        out.insert(key.clone(), if trusted { value.trusted() } else { value.untrusted() });
    }
    // JSON readers make a double of this one.
    out.insert("big", Value::integer("123456789012345678901234567890".parse().unwrap()));
    out
}

fn answer(engine: &Engine, scope: &Dict, line: &str) -> Result<String, String> {
    let ctx = Context::new(scope).with_world(&Files);
    let written = |text: &str| Str::written(text, Span::default());
    let result = match line.split_at(line.len().min(2)) {
        ("C:", text) => engine.condition(&Value::Str(written(text)), &ctx).map(Value::Bool),
        ("E:", text) => engine.eval_expression(&written(text), &ctx),
        ("N:", text) => engine.render_str(&written(&text.replace("\\n", "\n")), &ctx),
        ("T:", name) => match Files.template(name, None) {
            Ok(Some(Source { text, .. })) => {
                engine.render_file(&Source { name: Arc::from(name), text }, &Style::file(), &ctx)
            }
            _ => panic!("there is no template {name}"),
        },
        _ => engine.render_str(&written(line), &ctx),
    };
    match result {
        Ok(Value::Omit) => Err("A template was resolved to an Omit scalar.".into()),
        Ok(value) => Ok(repr(&value)),
        Err(error) => Err(error.to_string()),
    }
}

/// `TEMPLATE ## REASON` a line.
fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(expressions().join("known.txt")).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (template, reason) = line.rsplit_once(" ## ").unwrap_or_else(|| panic!("no reason: {line}"));
            (template.to_owned(), reason.to_owned())
        })
        .collect()
}

#[test]
fn we_answer_what_ansible_answers() {
    let engine = Engine::default();
    let mut known = known();
    let (mut count, mut differ, mut report) = (0, 0, String::new());
    let mut tables: Vec<_> = std::fs::read_dir(expressions())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json") && !path.ends_with("vars.json"))
        .collect();
    tables.sort();
    for table in tables {
        let rows = from_json_str(&std::fs::read_to_string(&table).unwrap()).unwrap();
        for row in rows.as_list().unwrap() {
            let text = |key: &str| row.get(key).and_then(Value::as_str);
            let line = text("t").unwrap();
            let expected = match (text("v"), text("e")) {
                (Some(value), _) => Ok(value.to_owned()),
                (_, Some(error)) => Err(error.to_owned()),
                _ => panic!("a row has no answer"),
            };
            // Containers may change while a template runs, so each gets its own.
            let found = answer(&engine, &variables(), line);
            count += 1;
            let same = found == expected;
            match (same, known.remove(line)) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(_)) => {
                    let _ = writeln!(report, "{line}\n    no longer differs: take it out of known.txt");
                }
                (false, None) => {
                    differ += 1;
                    let _ = writeln!(report, "{line}\n    expected {expected:?}\n    found    {found:?}");
                }
            }
        }
    }
    for line in known.keys() {
        let _ = writeln!(report, "{line}\n    is in known.txt but in no table");
    }
    assert!(report.is_empty(), "{differ} of {count} differ:\n{report}");
    assert!(count >= 1500, "only {count} expressions");
}
