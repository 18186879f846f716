//! `quorate schema`: JSON Schema of playbooks and inventories, from the tables that the program itself uses.
//!
//! In: the parameter tables of modules, the loader's keywords, the argument specifications of the shipped roles.
//! Out: draft 7, which editors understand.
//!
//! **Invariant:** what the loader takes, the schema takes. It may take more: templates are text that nobody can judge yet.

use super::doc;
use super::status;
use crate::playbook::{Kw, play_keys, task_keys};
use crate::report::display;
use clap::Parser;
use quorate_agent::spec::{Kind, Param, Spec};
use serde_json::{Map, Value, json};

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Lists of plays
    Playbook,
    /// Lists of tasks, as roles have them
    Tasks,
    /// Hosts and groups
    Inventory,
    /// One line of --events
    Events,
}

/// Print the JSON Schema of playbooks, tasks, inventories or the lines of --events, for editors and other tools.
#[derive(Debug, Parser)]
#[command(
    name = "quorate schema",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate schema playbook >playbook.schema.json\n  quorate schema inventory >inventory.schema.json\n  quorate schema events >events.schema.json"
)]
struct Args {
    /// What it is about
    #[arg(value_name = "WHAT")]
    what: What,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    let args = match super::parsed::<Args>("quorate schema", args, false) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let schema = match args.what {
        What::Playbook => playbook(),
        What::Tasks => tasks(),
        What::Inventory => inventory(),
        What::Events => events(),
    };
    display::out(&written(&schema, 0));
    status::DONE
}

/// The schemas that are shipped: each its file and its text. That of tasks is a part of that of playbooks.
pub(super) fn files() -> Vec<(&'static str, String)> {
    let text = |value: Value| written(&value, 0) + "\n";
    vec![
        ("playbook.schema.json", text(playbook())),
        (
            "tasks.schema.json",
            text(
                json!({ "$schema": DRAFT, "title": "A list of tasks", "$ref": "playbook.schema.json#/definitions/tasks" }),
            ),
        ),
        ("inventory.schema.json", text(inventory())),
        ("events.schema.json", text(events())),
    ]
}

/// A line of `--events`. What is added later is another property or another event: readers pass over what they do not know.
pub(crate) fn events() -> Value {
    let (text, count, flag) =
        (json!({"type": "string"}), json!({"type": "integer", "minimum": 0}), json!({"type": "boolean"}));
    let status = json!({"enum": ["ok", "changed", "skipped", "failed", "unreachable"]});
    let object = |entries: &[(&str, &Value)]| {
        let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        let of: Map<String, Value> =
            entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect();
        json!({"type": "object", "required": names, "properties": of})
    };
    let outage = object(&[("at_ms", &count), ("took_ms", &count), ("during", &text), ("open", &flag)]);
    let outages = json!({"type": "array", "items": outage});
    let tally = object(&[("count", &count), ("slowest_ms", &count), ("outages", &outages)]);
    let counts = ["ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored"];
    let counts: Vec<(&str, &Value)> = counts.iter().map(|name| (*name, &count)).collect();
    let hosts = json!({"type": "object", "additionalProperties": object(&counts)});
    let version = json!({"const": crate::report::record::EVENTS_VERSION});
    let one = |name: &str, entries: &[(&str, &Value)]| {
        let event = json!({"const": name});
        let mut all = vec![("event", &event)];
        all.extend_from_slice(entries);
        object(&all)
    };
    let lines = [
        one("run", &[("version", &version), ("at", &count)]),
        one("playbook", &[("path", &text)]),
        one("play", &[("name", &text), ("check", &flag)]),
        one("task", &[("task", &count), ("title", &text), ("module", &text), ("place", &text)]),
        one(
            "result",
            &[
                ("task", &count),
                ("host", &text),
                ("status", &status),
                ("ignored", &flag),
                ("from_ms", &count),
                ("to_ms", &count),
                ("message", &text),
            ],
        ),
        one("warning", &[("text", &text)]),
        one("refused", &[("text", &text)]),
        one("probe", &[("cluster", &text), ("reads", &tally), ("writes", &tally)]),
        one("end", &[("took_ms", &count), ("hosts", &hosts)]),
    ];
    json!({"$schema": DRAFT, "title": "A line of --events", "oneOf": lines})
}

/// JSON with a line for each definition, so that a change of one is a change of a line.
fn written(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(entries) if depth < 3 && !entries.is_empty() => {
            let pad = "  ".repeat(depth + 1);
            let lines: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{pad}{}: {}", json!(key), written(value, depth + 1)))
                .collect();
            format!("{{\n{}\n{}}}", lines.join(",\n"), "  ".repeat(depth))
        }
        other => other.to_string(),
    }
}

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Text with a template in it.
fn template() -> Value {
    json!({ "type": "string", "pattern": "\\{[{%]" })
}

fn or_template(one: Value) -> Value {
    json!({ "anyOf": [one, { "$ref": "#/definitions/template" }] })
}

fn strings() -> Value {
    json!({ "anyOf": [{ "type": ["string", "number", "boolean", "null"] }, { "type": "array" }] })
}

/// The keywords that plays, blocks and tasks share.
fn keyword(name: &str) -> Value {
    match name {
        "become" | "check_mode" | "diff" | "no_log" | "run_once" | "ignore_errors" | "ignore_unreachable"
        | "any_errors_fatal" | "delegate_facts" | "gather_facts" | "force_handlers" => {
            or_template(json!({ "type": ["boolean", "string", "integer", "null"] }))
        }
        "port" | "throttle" | "timeout" | "retries" | "delay" | "async" | "poll" | "gather_timeout" => {
            or_template(json!({ "type": ["number", "string", "null"] }))
        }
        "tags" | "when" | "changed_when" | "failed_when" | "until" | "notify" | "listen" | "collections"
        | "serial" | "hosts" | "gather_subset" => strings(),
        "vars" => json!({ "type": ["object", "array", "null"] }),
        "environment" | "module_defaults" => json!({ "type": ["object", "array", "string", "null"] }),
        "loop_control" => json!({
            "type": "object",
            "properties": {
                "loop_var": {}, "index_var": {}, "label": {}, "pause": {}, "extended": {}, "extended_allitems": {}, "break_when": {}
            },
            "additionalProperties": false
        }),
        "args" => json!({ "type": ["object", "string", "null"] }),
        "name" | "register" | "connection" | "remote_user" | "become_user" | "become_method" => {
            json!({ "type": ["string", "number", "boolean", "null"] })
        }
        "order" => or_template(
            json!({ "enum": ["inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"] }),
        ),
        _ => json!({}),
    }
}

fn shared() -> impl Iterator<Item = &'static str> {
    Kw::ALL.iter().map(|(_, name)| *name)
}

fn scalar_or_list() -> Value {
    json!({ "type": ["string", "number", "boolean", "null", "array", "object"] })
}

fn parameter(param: &Param) -> Value {
    let mut one = match param.kind {
        Kind::Bool => json!({ "type": ["boolean", "string", "integer"] }),
        Kind::Int | Kind::Float => json!({ "type": ["number", "string"] }),
        Kind::Bytes | Kind::Bits => json!({ "type": ["number", "string"] }),
        Kind::List => json!({ "type": ["array", "string", "number", "boolean"] }),
        Kind::Dict => json!({ "type": ["object", "string"] }),
        Kind::Str | Kind::Path => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Raw | Kind::Json | Kind::JsonArg => scalar_or_list(),
    };
    if !param.choices.is_empty() {
        let choices: Vec<Value> = param.choices.iter().map(|choice| json!(choice)).collect();
        let known = match param.kind {
            Kind::List => json!({ "anyOf": [{ "type": "array" }, { "type": "string" }] }),
            // YAML's `yes` and `no` are booleans, numbers are numbers
            _ => json!({ "anyOf": [{ "enum": choices }, { "type": ["boolean", "number"] }] }),
        };
        one = known;
    }
    if param.kind == Kind::List && !param.options.is_empty() {
        one = json!({ "type": ["array", "string", "object"] });
    }
    let mut schema = or_template(json!({ "anyOf": [one, { "type": "null" }] }));
    if let Some(entries) = schema.as_object_mut().filter(|_| !param.doc.is_empty()) {
        entries.insert("description".into(), json!(param.doc));
    }
    schema
}

fn module(spec: &Spec) -> Value {
    let mut properties = Map::new();
    for param in spec.all_params().filter(|param| !param.hidden && !param.name.starts_with('_')) {
        properties.insert(param.name.into(), parameter(param));
        let old = param.deprecated_aliases.iter().map(|(name, ..)| *name);
        for alias in param.aliases.iter().copied().chain(old) {
            properties
                .insert(alias.into(), json!({ "description": format!("The same as `{}`.", param.name) }));
        }
    }
    // what is only shown may be anything
    if matches!(spec.name, "debug" | "assert" | "fail") {
        for name in ["msg", "fail_msg", "success_msg"] {
            if let Some(Value::Object(entries)) = properties.get_mut(name) {
                entries.remove("anyOf");
            }
        }
    }
    if spec.free_form || crate::playbook::FREE_FORM.contains(&spec.name) {
        for name in ["cmd", "argv", "free_form"] {
            properties.entry(name).or_insert_with(|| json!({}));
        }
    }
    json!({
        "description": spec.summary,
        "anyOf": [
            { "type": "object", "properties": properties, "additionalProperties": spec.any_params || spec.name == "set_fact" || spec.name == "add_host" },
            { "type": ["string", "null", "array", "number", "boolean"] }
        ]
    })
}

/// Definitions that all of a playbook's parts use.
fn definitions() -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("template".into(), template());
    let mut modules = Map::new();
    let mut names = Map::new();
    for spec in doc::modules() {
        let full = format!("{}.{}", spec.collection, spec.name);
        modules.insert(full.clone(), module(spec));
        let reference = json!({ "$ref": format!("#/definitions/modules/{full}") });
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            names.insert((*name).to_owned(), reference.clone());
            names.insert(format!("{}.{name}", spec.collection), reference.clone());
        }
        if spec.collection == "ansible.builtin" {
            names.insert(format!("ansible.legacy.{}", spec.name), reference);
        }
    }
    all.insert("modules".into(), Value::Object(modules));
    let mut task = Map::new();
    for key in task_keys().into_iter().chain(["listen"]) {
        task.insert(key.into(), keyword(key));
    }
    task.extend(names);
    all.insert(
        "task".into(),
        json!({
            "type": "object",
            "properties": task,
            "patternProperties": { "^with_": {}, "^[a-z0-9_]+\\.[a-z0-9_]+\\.": {} },
            "additionalProperties": false
        }),
    );
    let mut block = Map::new();
    for key in [
        "name",
        "vars",
        "when",
        "tags",
        "environment",
        "notify",
        "collections",
        "module_defaults",
        "rollback_after",
    ]
    .into_iter()
    .chain(shared())
    {
        block.insert(key.into(), keyword(key));
    }
    for key in ["block", "rescue", "always"] {
        block.insert(key.into(), json!({ "$ref": "#/definitions/tasks" }));
    }
    all.insert(
        "block".into(),
        json!({
            "type": "object", "required": ["block"], "properties": block, "additionalProperties": false
        }),
    );
    all.insert(
        "tasks".into(),
        json!({
            "type": ["array", "null"],
            "items": {
                "if": { "required": ["block"] },
                "then": { "$ref": "#/definitions/block" },
                "else": { "anyOf": [{ "$ref": "#/definitions/task" }, { "type": "null" }] }
            }
        }),
    );
    all
}

fn playbook() -> Value {
    let mut definitions = definitions();
    let mut play = Map::new();
    for key in play_keys() {
        play.insert(key.into(), keyword(key));
    }
    for key in ["pre_tasks", "tasks", "post_tasks", "handlers"] {
        play.insert(key.into(), json!({ "$ref": "#/definitions/tasks" }));
    }
    play.insert("roles".into(), json!({
        "type": ["array", "null"],
        "items": { "anyOf": [
            { "type": ["string", "integer"] },
            { "type": "object", "anyOf": [{ "required": ["role"] }, { "required": ["name"] }, { "required": ["src"] }] }
        ] }
    }));
    definitions.insert(
        "play".into(),
        json!({
            "type": "object", "required": ["hosts"], "properties": play, "additionalProperties": false
        }),
    );
    let import = json!({
        "type": "object",
        "properties": {
            "name": {}, "import_playbook": { "type": "string" }, "ansible.builtin.import_playbook": { "type": "string" },
            "vars": { "type": ["object", "null"] }, "tags": keyword("tags"), "when": keyword("when")
        },
        "additionalProperties": false
    });
    json!({
        "$schema": DRAFT,
        "title": "A playbook",
        "type": "array",
        "items": {
            "if": { "required": ["hosts"] },
            "then": { "$ref": "#/definitions/play" },
            "else": import
        },
        "definitions": definitions
    })
}

fn tasks() -> Value {
    json!({ "$schema": DRAFT, "title": "A list of tasks", "$ref": "#/definitions/tasks", "definitions": definitions() })
}

/// Variables of the shipped roles, as their argument specifications have them.
fn variables() -> Map<String, Value> {
    let mut all = Map::new();
    for (path, text) in super::init::PROJECT {
        if !path.ends_with("meta/argument_specs.yml") {
            continue;
        }
        let Ok(document) = quorate_yaml::parse(text, quorate_value::FileId::default()) else { continue };
        let specs = document.root.get("argument_specs").and_then(quorate_yaml::Node::as_mapping);
        for (_, entry) in specs.into_iter().flat_map(quorate_yaml::Mapping::iter) {
            let options = entry.value.get("options").and_then(quorate_yaml::Node::as_mapping);
            for (name, option) in options.into_iter().flat_map(quorate_yaml::Mapping::iter) {
                let word = |key: &str| {
                    option.value.get(key).and_then(quorate_yaml::Node::as_str).unwrap_or_default()
                };
                let one = match word("type") {
                    "int" | "float" => json!({ "type": ["number", "string"] }),
                    "bool" => json!({ "type": ["boolean", "string"] }),
                    "list" => json!({ "type": ["array", "string"] }),
                    "dict" => json!({ "type": ["object", "string"] }),
                    _ => json!({ "type": ["string", "number", "boolean", "null"] }),
                };
                let choices: Vec<Value> = option
                    .value
                    .get("choices")
                    .and_then(quorate_yaml::Node::as_sequence)
                    .into_iter()
                    .flatten()
                    .filter_map(|choice| choice.as_str().map(|choice| json!(choice)))
                    .collect();
                let one = if choices.is_empty() { one } else { json!({ "enum": choices }) };
                let mut schema = or_template(one);
                if let Some(entries) = schema.as_object_mut() {
                    entries.insert("description".into(), json!(word("description")));
                }
                all.insert(name.json_text().into_owned(), schema);
            }
        }
    }
    all
}

fn inventory() -> Value {
    json!({
        "$schema": DRAFT,
        "title": "An inventory",
        "type": "object",
        "additionalProperties": { "$ref": "#/definitions/group" },
        "definitions": {
            "template": template(),
            "variables": { "type": ["object", "null"], "properties": variables() },
            "group": {
                "type": ["object", "null"],
                "properties": {
                    "hosts": {
                        "description": "Hosts, each with variables of its own.",
                        "anyOf": [
                            { "type": "object", "additionalProperties": { "$ref": "#/definitions/variables" } },
                            { "type": ["string", "null"] }
                        ]
                    },
                    "children": {
                        "description": "Groups whose hosts belong to this one, too.",
                        "anyOf": [
                            { "type": "object", "additionalProperties": { "$ref": "#/definitions/group" } },
                            { "type": ["string", "null"] }
                        ]
                    },
                    "vars": { "$ref": "#/definitions/variables" }
                },
                "additionalProperties": false
            }
        }
    })
}
