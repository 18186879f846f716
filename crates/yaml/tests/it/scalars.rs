//! Scalars against a table that PyYAML 6.0.3 made (`yaml.load("- " + text, CSafeLoader)`).

use crate::read;
use quorate_value::{Value, float_repr};

fn shown(value: &Value) -> (&'static str, String) {
    match value {
        Value::Null => ("null", String::new()),
        Value::Bool(true) => ("bool", "True".into()),
        Value::Bool(false) => ("bool", "False".into()),
        Value::Int(number) => ("int", number.to_string()),
        Value::Big(number) => ("int", number.to_string()),
        Value::Float(number) => ("float", float_repr(*number)),
        Value::Str(text) => ("str", text.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn resolve_as_pyyaml_resolves_them() {
    let table: Vec<serde_json::Value> = serde_json::from_str(include_str!("fixtures/scalars.json")).unwrap();
    assert!(table.len() > 700);
    let mut wrong = Vec::new();
    for row in &table {
        let text = row["text"].as_str().unwrap();
        let kind = row["k"].as_str().unwrap();
        let expected = match kind {
            "error" => ("error", String::new()),
            // Dates are the text that Python prints for them.
            "time" => ("str", row["v"].as_str().unwrap().to_owned()),
            kind => (kind, row["v"].as_str().unwrap_or("").to_owned()),
        };
        let found = match read(&format!("- {text}")) {
            Ok(document) => {
                let (kind, text) = shown(&document.root.to_value().as_list().unwrap()[0]);
                (kind, text)
            }
            Err(_) => ("error", String::new()),
        };
        if found != expected {
            wrong.push(format!("{text:?}: {found:?}, PyYAML {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
