//! What can be told of tasks without running them, beyond what the loader says: arguments against the tables of the
//! modules, and the syntax of templates and conditions.
//!
//! In: nodes of a file. Out: diagnostics with the place of the very word.
//!
//! **Invariant:** only what is certainly wrong. What a template may still make right is left alone.

use crate::cli::doc;
use crate::diag::Diag;
use crate::playbook::{Loader, kv, short_name, task_keys};
use crate::vars::render;
use quorate_agent::args::{Place, convert};
use quorate_agent::spec::{Kind, Param, Spec};
use quorate_template::Engine;
use quorate_value::{Key, Span, Str, Value, str_of};
use quorate_yaml::{Mapping, Node};
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

/// The table of a module, by any of its names.
pub(crate) fn spec_of(name: &str) -> Option<&'static Spec> {
    static SPECS: OnceLock<HashMap<String, &'static Spec>> = OnceLock::new();
    let specs = SPECS.get_or_init(|| {
        let mut all = HashMap::new();
        for spec in doc::modules() {
            for name in std::iter::once(&spec.name).chain(spec.aliases) {
                all.insert((*name).to_owned(), spec);
                all.insert(format!("{}.{name}", spec.collection), spec);
            }
        }
        all
    });
    specs.get(short_name(name)).or_else(|| specs.get(name)).copied()
}

/// Keys of a task that are no module.
pub(crate) fn is_keyword(key: &str) -> bool {
    key.starts_with("with_") || entry_keys().any(|known| known == key)
}

/// What may stand in an entry of a list of tasks: the keys of a task, of a handler and of a block.
pub(crate) fn entry_keys() -> impl Iterator<Item = &'static str> {
    task_keys().into_iter().chain(["listen", "block", "rescue", "always", "rollback_after"])
}

/// Walks files.
pub(crate) struct Lint<'a> {
    loader: &'a Loader,
    engine: &'a Engine,
    /// Somewhere `module_defaults` give arguments.
    defaults: bool,
    /// What was found.
    pub found: Vec<Diag>,
}

impl<'a> Lint<'a> {
    /// Looks with the eyes of a loader and an engine.
    pub(crate) fn new(loader: &'a Loader, engine: &'a Engine, defaults: bool) -> Self {
        Lint { loader, engine, defaults, found: Vec::new() }
    }

    /// A playbook.
    pub(crate) fn playbook(&mut self, node: &Node) {
        for play in node.as_sequence().into_iter().flatten().filter_map(Node::as_mapping) {
            for (key, entry) in play.iter() {
                match key.as_str().unwrap_or_default() {
                    "pre_tasks" | "tasks" | "post_tasks" | "handlers" => self.tasks(&entry.value),
                    "when" => self.conditions(&entry.value),
                    _ => self.templates(&entry.value),
                }
            }
        }
    }

    /// A list of tasks.
    pub(crate) fn tasks(&mut self, node: &Node) {
        for task in node.as_sequence().into_iter().flatten().filter_map(Node::as_mapping) {
            self.task(task);
        }
    }

    fn task(&mut self, task: &Mapping) {
        for (key, entry) in task.iter() {
            match key.as_str().unwrap_or_default() {
                "block" | "rescue" | "always" => self.tasks(&entry.value),
                "when" | "changed_when" | "failed_when" | "until" => self.conditions(&entry.value),
                key if is_keyword(key) => self.templates(&entry.value),
                module => self.module(module, task),
            }
        }
    }

    fn module(&mut self, name: &str, task: &Mapping) {
        let Some(entry) = task.entry(name) else { return };
        let full = self.loader.resolve_action(name, &[]);
        let short = full.as_deref().map(short_name).unwrap_or_default();
        let mut by_itself = true;
        for part in [Some(&entry.value), task.get("args")].into_iter().flatten() {
            for (key, inner) in part.as_mapping().into_iter().flat_map(Mapping::iter) {
                match (short, key.as_str().unwrap_or_default()) {
                    ("assert", "that") => self.conditions(&inner.value),
                    ("debug", "var") => {
                        if let Some(text) = inner.value.as_text().filter(|text| !text.is_template()) {
                            let compiled = self.engine.compile_expression(text);
                            self.syntax(compiled.err(), inner.value.span);
                        }
                    }
                    _ => self.templates(&inner.value),
                }
            }
            if part.as_mapping().is_none() {
                self.templates(part);
                // what a template gives, nobody knows yet
                by_itself &= !part.as_text().is_some_and(|text| text.as_str().trim_start().starts_with("{{"));
            }
        }
        let Some(spec) = full.as_deref().and_then(spec_of) else { return };
        if spec.any_params || !by_itself {
            return;
        }
        let mut given: Vec<(String, Span, Value)> = Vec::new();
        for part in [Some(&entry.value), task.get("args")].into_iter().flatten() {
            match (part.as_mapping(), part.as_text()) {
                (Some(mapping), _) => given.extend(mapping.iter().map(|(key, inner)| {
                    (key.json_text().into_owned(), inner.key.span, inner.value.to_value())
                })),
                (None, Some(text)) => {
                    let shell = matches!(short, "command" | "shell" | "script" | "raw");
                    let Ok(pairs) = kv::parse_kv(text, shell) else { return };
                    given.extend(
                        pairs
                            .iter()
                            .map(|(key, value)| (key.json_text().into_owned(), part.span, value.clone())),
                    );
                }
                _ => {}
            }
        }
        self.arguments(spec, name, entry.key.span, &given);
    }

    fn arguments(&mut self, spec: &'static Spec, called: &str, span: Span, given: &[(String, Span, Value)]) {
        let params: Vec<&'static Param> = spec.all_params().collect();
        let find = |name: &str| {
            params.iter().find(|param| {
                param.name == name
                    || param.aliases.contains(&name)
                    || param.deprecated_aliases.iter().any(|(alias, ..)| *alias == name)
            })
        };
        let free = spec.free_form || crate::playbook::FREE_FORM.contains(&short_name(called));
        // what a wrong name was meant for is not missing as well
        let mut meant: Vec<&str> = Vec::new();
        for (name, place, value) in given {
            if free && matches!(name.as_str(), "_raw_params" | "free_form" | "cmd" | "argv") {
                continue;
            }
            let Some(param) = find(name) else {
                if name.contains("{{") {
                    continue;
                }
                let known = params.iter().filter(|param| !param.hidden && !param.name.starts_with('_'));
                let known: BTreeSet<&str> = known.map(|param| param.name).collect();
                // this one never looks at what it does not know
                let unread = matches!(short_name(called), "fetch");
                let diag = if unread {
                    Diag::warning(
                        "W0145",
                        format!("`{called}` knows no argument `{name}`, and passes over it"),
                    )
                } else {
                    Diag::error("E0145", format!("`{called}` takes no argument `{name}`"))
                };
                let mut diag = diag.at(*place).did_you_mean(name, &known);
                meant.extend(quorate_yaml::nearest(name, known.iter().copied()).first().copied());
                if diag.help.is_none() && known.len() <= 12 {
                    diag =
                        diag.note(format!("it takes {}", known.into_iter().collect::<Vec<_>>().join(", ")));
                }
                self.found.push(diag);
                continue;
            };
            self.value(param, called, *place, value);
        }
        if self.defaults {
            return;
        }
        let missing: Vec<&str> = params
            .iter()
            .filter(|param| param.required && !param.hidden && !param.name.starts_with('_'))
            .filter(|param| {
                !given.iter().any(|(name, ..)| find(name).is_some_and(|found| found.name == param.name))
            })
            .map(|param| param.name)
            .filter(|name| !meant.contains(name))
            .collect();
        let takes_text = free && given.iter().any(|(name, ..)| name == "_raw_params");
        if !missing.is_empty() && !takes_text {
            self.found.push(
                Diag::error("E0146", format!("`{called}` needs {}", quoted(&missing)))
                    .at(span)
                    .label("not given here")
                    .help(format!("`quorate doc {called}` says what it means")),
            );
        }
    }

    fn value(&mut self, param: &Param, called: &str, span: Span, value: &Value) {
        if !plain(value) {
            return;
        }
        let items: Vec<&Value> = match (value, param.elements) {
            (Value::List(items), Some(_)) => items.iter().collect(),
            _ => vec![value],
        };
        for item in items {
            // lists are split at commas, booleans have many names: what conversion would do is its own affair
            let wrong_choice = !param.choices.is_empty()
                && !matches!(item, Value::Bool(_) | Value::Null)
                && !str_of(item).contains(',')
                && !param.choices.contains(&str_of(item).as_str());
            if wrong_choice {
                let text = str_of(item);
                self.found.push(
                    Diag::error("E0147", format!("`{}` of `{called}` cannot be `{text}`", param.name))
                        .at(span)
                        .did_you_mean(&text, param.choices)
                        .note(format!("it is one of {}", param.choices.join(", "))),
                );
                return;
            }
        }
        let kind = param.kind;
        if !value.is_null()
            && !matches!(kind, Kind::Raw | Kind::Json | Kind::JsonArg | Kind::Path | Kind::Str)
            && let Err(why) = convert(kind, value, Place::Controller)
        {
            self.found.push(
                Diag::error("E0147", format!("`{}` of `{called}` must be {}", param.name, article(kind)))
                    .at(span)
                    .note(why),
            );
        }
    }

    fn conditions(&mut self, node: &Node) {
        if let Some(items) = node.as_sequence() {
            items.iter().for_each(|item| self.conditions(item));
            return;
        }
        let Some(text) = node.as_text() else { return };
        if text.is_template() {
            self.templates(node);
        } else if !text.as_str().trim().is_empty() {
            let compiled = self.engine.compile_condition(text);
            self.syntax(compiled.err(), node.span);
        }
    }

    /// Every template in a value.
    pub(crate) fn templates(&mut self, node: &Node) {
        if node.tag.as_deref().is_some_and(|tag| tag.starts_with("!unsafe") || tag.starts_with("!vault")) {
            return;
        }
        if let Some(text) = node.as_text().filter(|text| text.is_template()) {
            let compiled = self.engine.compile(text);
            self.syntax(compiled.err(), node.span);
        }
        for item in node.as_sequence().into_iter().flatten() {
            self.templates(item);
        }
        for (_, entry) in node.as_mapping().into_iter().flat_map(Mapping::iter) {
            self.templates(&entry.value);
        }
    }

    /// A file that is one template.
    pub(crate) fn template_file(&mut self, path: &std::path::Path) {
        let Ok(bytes) = quorate_value::read(path) else { return };
        let Ok(text) = String::from_utf8(bytes) else { return };
        // written in other brackets, as its first line says
        if text.starts_with("#jinja2:") {
            return;
        }
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let file = quorate_value::FileId::register(&full, text.as_str().into());
        let span = Span::new(file, 1, 1);
        let source = quorate_template::Source {
            name: full.display().to_string().into(),
            text: Str::written(&text, span),
        };
        let compiled = self.engine.compile_source(&source, &quorate_template::Style::file());
        self.syntax(compiled.err(), span);
    }

    fn syntax(&mut self, error: Option<quorate_template::Error>, span: Span) {
        let Some(error) = error else { return };
        let place = render::place_of(&error).unwrap_or(span);
        let mut diag = Diag::error("E0160", error.detail().to_owned()).at(place);
        let unknown = |kind: &str| {
            let name = error.detail().strip_prefix(&format!("No {kind} named '"))?;
            name.split('\'').next().map(str::to_owned)
        };
        if let Some(name) = unknown("filter") {
            diag = diag.did_you_mean(&name, doc::words::FILTERS.iter().map(|(name, _)| *name));
            diag.help.get_or_insert_with(|| "`quorate doc -t filter -l` lists what there is".into());
        } else if let Some(name) = unknown("test") {
            diag = diag.did_you_mean(&name, doc::words::TESTS.iter().map(|(name, _)| *name));
            diag.help.get_or_insert_with(|| "`quorate doc -t test -l` lists what there is".into());
        }
        self.found.push(diag);
    }
}

/// Whether a value is what it is, without a template or a vault in it.
fn plain(value: &Value) -> bool {
    match value {
        Value::Str(text) => !text.is_template(),
        Value::Vault(_) => false,
        Value::List(items) => items.iter().all(plain),
        Value::Dict(entries) => entries
            .iter()
            .all(|(key, value)| key.as_str().is_none_or(|key| !key.contains("{{")) && plain(value)),
        _ => true,
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "a whole number",
        Kind::Float => "a number",
        Kind::Bool => "true or false",
        Kind::List => "a list",
        Kind::Dict => "a mapping",
        Kind::Bytes | Kind::Bits => "a size such as 10M",
        _ => "text",
    }
}

/// Whether `module_defaults` stand anywhere in a document.
pub(crate) fn has_defaults(node: &Node) -> bool {
    match (node.as_mapping(), node.as_sequence()) {
        (Some(mapping), _) => mapping
            .iter()
            .any(|(key, entry)| *key == Key::from("module_defaults") || has_defaults(&entry.value)),
        (_, Some(items)) => items.iter().any(has_defaults),
        _ => false,
    }
}
