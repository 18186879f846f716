//! The JSON Schemas hold what is shipped, and refuse what is wrong.

//!
//! Validated by a library that others wrote, so that it is not our own idea of JSON Schema that is tested.

#![cfg(test)]

use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn schema(name: &str) -> jsonschema::Validator {
    let load = |name: &str| -> Value {
        let path = root().join("docs/reference").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let mut schema = load(name);
    assert!(jsonschema::meta::is_valid(&schema), "{name} is a schema");
    // tasks are a part of playbooks; files beside each other are one here, so that nothing has to be fetched
    if let Some(part) = schema["$ref"].as_str().and_then(|link| link.strip_prefix("playbook.schema.json")) {
        schema = serde_json::json!({
            "$schema": schema["$schema"], "$ref": part, "definitions": load("playbook.schema.json")["definitions"]
        });
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn yaml(text: &str) -> Value {
    let document = quorate_yaml::parse(text, quorate_value::FileId::default()).unwrap();
    serde_json::from_str(&quorate_value::to_json(&document.root.to_value())).unwrap()
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "yml") {
            out.push(path);
        }
    }
}

#[test]
fn what_is_shipped_is_valid() {
    let root = root();
    let of = |dir: &str| {
        let mut all = Vec::new();
        files(&root.join(dir), &mut all);
        all
    };
    let mut cases: Vec<(PathBuf, &str)> = Vec::new();
    cases.extend(of("playbooks").into_iter().map(|path| (path, "playbook.schema.json")));
    cases.extend(of("inventories").into_iter().map(|path| (path, "inventory.schema.json")));
    let tasks = of("roles").into_iter().filter(|path| {
        path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tasks" | "handlers")))
    });
    cases.extend(tasks.map(|path| (path, "tasks.schema.json")));
    assert!(cases.len() > 50, "{}", cases.len());
    let schemas: std::collections::HashMap<&str, jsonschema::Validator> =
        ["playbook.schema.json", "inventory.schema.json", "tasks.schema.json"]
            .into_iter()
            .map(|name| (name, schema(name)))
            .collect();
    for (path, name) in cases {
        let value = yaml(&std::fs::read_to_string(&path).unwrap());
        let errors: Vec<String> =
            schemas[name].iter_errors(&value).map(|e| format!("{} at {}", e, e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let (playbook, inventory) = (schema("playbook.schema.json"), schema("inventory.schema.json"));
    for text in [
        "hosts: all",
        "- hosts: all\n  tsks: []",
        "- tasks: []",
        "- hosts: all\n  tasks: [{ fiel: { path: /x } }]",
        "- hosts: all\n  tasks: [{ file: { pth: /x } }]",
        "- hosts: all\n  tasks: [{ file: { path: /x, state: directry } }]",
        "- hosts: all\n  tasks: [{ debug: {}, notfy: x }]",
        "- hosts: all\n  tasks: [{ block: [{ file: { pth: /x } }] }]",
        "- import_playbook: a.yml\n  tasks: []",
    ] {
        assert!(!playbook.is_valid(&yaml(text)), "{text}");
    }
    for text in [
        "etcd: { host: { a: {} } }",
        "[a]",
        "etcd: { hosts: { a: { etcd_init: nwe } } }",
        "etcd: { vars: { etcd_port: [1] } }",
    ] {
        assert!(!inventory.is_valid(&yaml(text)), "{text}");
    }
    for text in [
        "- hosts: all\n  tasks: [{ file: { path: /x, state: '{{ s }}' } }]",
        "- hosts: all\n  roles: [a, { role: b, x: 1 }]",
    ] {
        assert!(playbook.is_valid(&yaml(text)), "{text}");
    }
}

/// Playbooks that ansible-core has run to a good end, as the differential corpus has them: no false alarm.
#[test]
fn what_ansible_runs_is_valid() {
    let schema = schema("playbook.schema.json");
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/differential/playbooks")).unwrap().flatten() {
        let corpus = std::fs::read_to_string(entry.path()).unwrap();
        for scene in corpus.trim_start_matches("== ").split("\n== ") {
            let said = |word: &str| scene.lines().any(|line| line.starts_with('|') && line.contains(word));
            if !said("PLAY RECAP") || said("[ERROR]") || said("FAILED!") || said("failed: [") {
                continue;
            }
            let Some((_, rest)) = scene.split_once("\n@ play.yml\n") else { continue };
            let lines: Vec<&str> =
                rest.lines().take_while(|line| !line.starts_with(['>', '|', '@'])).collect();
            let Ok(document) = quorate_yaml::parse(&lines.join("\n"), quorate_value::FileId::default())
            else {
                continue;
            };
            let value: Value =
                serde_json::from_str(&quorate_value::to_json(&document.root.to_value())).unwrap();
            count += 1;
            for error in schema.iter_errors(&value) {
                let title = scene.lines().next().unwrap_or_default();
                wrong.push(format!("{title}: {error} at {}", error.instance_path()));
            }
        }
    }
    assert!(count > 100, "only {count} playbooks");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
