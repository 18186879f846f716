//! Emitted text against a table that ansible-core 2.19's `to_yaml` and `to_nice_yaml` made, byte for byte.

use crate::value;
use quorate_value::{BigInt, Dict, Key, Value};
use quorate_yaml::{EmitError, EmitStyle, ScalarStyle, to_yaml};
use serde_json::Value as Json;

/// The table's JSON: `$float`, `$int` and `$dict` stand for what JSON cannot say.
fn decoded(json: &Json) -> Value {
    match json {
        Json::Array(items) => items.iter().map(decoded).collect(),
        Json::Object(object) => match object.iter().next() {
            Some((name, Json::String(text))) if name == "$float" => Value::Float(text.parse().unwrap()),
            Some((name, Json::String(text))) if name == "$int" => {
                Value::integer(text.parse::<BigInt>().unwrap())
            }
            Some((_, Json::Array(pairs))) => {
                let entry = |pair: &Json| (Key::of(&decoded(&pair[0])).unwrap(), decoded(&pair[1]));
                Value::dict(pairs.iter().map(entry).collect::<Dict>())
            }
            other => panic!("{other:?}"),
        },
        other => Value::from(other.clone()),
    }
}

fn style(row: &Json) -> EmitStyle {
    let mut style = if row["f"] == "nice" { EmitStyle::nice() } else { EmitStyle::default() };
    for (name, value) in row["kw"].as_object().unwrap() {
        let number = value.as_i64().map(|number| i32::try_from(number).unwrap());
        match name.as_str() {
            "indent" => style.indent = number,
            "width" => style.width = number,
            "sort_keys" => style.sort_keys = value.as_bool().unwrap(),
            "default_flow_style" => style.default_flow_style = value.as_bool(),
            "explicit_start" => style.explicit_start = true,
            "explicit_end" => style.explicit_end = true,
            "default_style" => {
                style.default_style = Some(match value.as_str().unwrap() {
                    "'" => ScalarStyle::SingleQuoted,
                    "\"" => ScalarStyle::DoubleQuoted,
                    "|" => ScalarStyle::Literal,
                    _ => ScalarStyle::Folded,
                });
            }
            other => panic!("{other}"),
        }
    }
    style
}

#[test]
fn is_what_ansible_writes() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("fixtures/emit.jsonl").lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        let value = decoded(&row["v"]);
        let expected = row["y"].as_str().unwrap();
        let found = to_yaml(&value, &style(&row)).unwrap();
        count += 1;
        if found != expected {
            wrong.push(format!(
                "{value:?} {} {}\n  found    {found:?}\n  expected {expected:?}",
                row["f"], row["kw"]
            ));
        }
    }
    assert!(count > 2000);
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn vaults_stay_ciphertext() {
    let written =
        to_yaml(&value("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"), &EmitStyle::nice()).unwrap();
    assert_eq!(written, "a: !vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    6162\n");
    assert!(matches!(value(&written).get("a"), Some(Value::Vault(_))));
}

/// Found by the fuzzer: a vault's text that looks like what stands for characters beyond U+FFFF on their way out.
#[test]
fn a_vault_beside_characters_beyond_ffff_stays_as_it_is() {
    let file = quorate_value::FileId::default();
    let source = "\u{B5CFA}: !vault \\uFFFE\\x90\n";
    let before = quorate_yaml::parse_all(source, file).unwrap()[0].root.to_value();
    let written = to_yaml(&before, &EmitStyle::default()).unwrap();
    let after = quorate_yaml::parse_all(written.as_str(), file).unwrap()[0].root.to_value();
    assert_eq!(before, after, "{written}");
}

#[test]
fn what_yaml_cannot_say_is_refused() {
    assert_eq!(to_yaml(&Value::list([Value::Omit]), &EmitStyle::default()), Err(EmitError::Omit));
    let mut deep = Value::Null;
    for _ in 0..1100 {
        deep = Value::list([deep]);
    }
    assert_eq!(to_yaml(&deep, &EmitStyle::default()), Err(EmitError::TooDeep));
}
