//! Arguments against a module's table, exactly as Ansible checks them, with its messages.
//!
//! In: a [`Spec`] and the arguments of a task, already templated. Out: [`Args`] with aliases resolved, types
//! converted, defaults filled; or the first complaint, in ansible-core's words, with the nearest right name as a hint.
//!
//! **Invariant:** the controller and the host call the same function; only the host expands `~` and `$VAR` in paths.

mod convert;
mod typed;

pub use convert::{Place, convert, expand_vars, parse_kv, python_literal, size};
pub use typed::Args;

use crate::spec::{Kind, Lit, Param, Rules, Spec};
use quorate_value::{Dict, Key, Value, dict, str_of};
use std::collections::BTreeSet;

/// What came of checking.
#[derive(Debug, Default)]
pub struct Checked {
    /// The arguments as the module will see them; complete only without [`Checked::error`].
    pub args: Dict,
    /// The first complaint.
    pub error: Option<Complaint>,
    /// Values that must never be shown.
    pub secrets: BTreeSet<String>,
    /// Names of top-level parameters that only the controller sets.
    pub hidden: BTreeSet<&'static str>,
    /// Names of top-level parameters whose values must never be shown.
    pub secret_names: BTreeSet<String>,
    /// Entries for the result's `deprecations`.
    pub deprecations: Vec<Value>,
    /// Entries for the result's `warnings`.
    pub warnings: Vec<String>,
}

/// Why arguments were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// ansible-core's message.
    pub msg: String,
    /// The nearest right name, where a name was wrong.
    pub hint: Option<String>,
}

/// Checks the arguments of a task. `called` is the module's name as the messages should show it.
pub fn check(spec: &Spec, called: &str, given: &Dict, place: Place<'_>) -> Checked {
    let mut checked = Checked { args: given.clone(), ..Checked::default() };
    let params: Vec<Param> = spec.all_params().copied().collect();
    checked.hidden = params.iter().filter(|param| param.hidden).map(|param| param.name).collect();
    let mut run = Run { out: &mut checked, place, complaints: Vec::new(), unsupported: Vec::new() };
    let mut args = std::mem::take(&mut run.out.args);
    run.level(&params, &spec.rules, &mut args, &[]);
    let Run { mut complaints, unsupported, .. } = run;
    if let Some((names, supported, hint)) = unsupported.into_iter().next()
        && !spec.any_params
    {
        let msg = format!(
            "Unsupported parameters for ({called}) module: {}. Supported parameters include: {supported}.",
            names.join(", "),
        );
        complaints.push(Complaint { msg, hint });
    }
    checked.args = args;
    checked.error = complaints.into_iter().next();
    checked
}

type Unsupported = (Vec<String>, String, Option<String>);

struct Run<'a> {
    out: &'a mut Checked,
    place: Place<'a>,
    complaints: Vec<Complaint>,
    unsupported: Vec<Unsupported>,
}

impl Run<'_> {
    fn complain(&mut self, msg: String, inside: &[&str]) {
        let msg = if inside.is_empty() { msg } else { format!("{msg} found in {}", inside.join(" -> ")) };
        self.complaints.push(Complaint { msg, hint: None });
    }

    /// One level of parameters: the module's own, or the options of one of them.
    fn level(&mut self, params: &[Param], rules: &Rules, args: &mut Dict, inside: &[&str]) {
        self.aliases(params, args);
        for param in params.iter().filter(|p| !p.env.is_empty()) {
            if !args.contains_key(param.name)
                && let Some(value) = param.env.iter().find_map(|name| self.place.var(name))
            {
                args.insert(param.name, value);
            }
        }
        self.secrets(params, args, inside);
        self.names(params, args, inside);
        if let Some(group) = groups(rules.mutually_exclusive, |group| present(group, args) > 1) {
            self.complain(format!("parameters are mutually exclusive: {group}"), inside);
        }
        for param in params {
            if param.default != Lit::None && !args.contains_key(param.name) {
                args.insert(param.name, lit(param.default));
            }
        }
        let missing: Vec<_> =
            params.iter().filter(|p| p.required && !args.contains_key(p.name)).map(|p| p.name).collect();
        if !missing.is_empty() {
            let mut missing = missing;
            missing.sort_unstable();
            self.complain(format!("missing required arguments: {}", missing.join(", ")), inside);
        }
        for param in params {
            self.types(param, args, inside);
        }
        for param in params.iter().filter(|p| !p.choices.is_empty()) {
            self.choices(param, args, inside);
        }
        self.rules(rules, args, inside);
        for param in params {
            if !args.contains_key(param.name) {
                args.insert(param.name, Value::Null);
            }
        }
        for param in params.iter().filter(|p| !p.options.is_empty()) {
            self.options(param, args, inside);
        }
    }

    fn aliases(&mut self, params: &[Param], args: &mut Dict) {
        for param in params {
            let mut last: Option<&str> = args.contains_key(param.name).then_some(param.name);
            let deprecated = param.deprecated_aliases.iter().map(|(name, ..)| *name);
            for alias in param.aliases.iter().copied().chain(deprecated) {
                let Some(value) = args.get(alias).cloned() else { continue };
                if last.is_some() {
                    self.out
                        .warnings
                        .push(format!("Both option {} and its alias {alias} are set.", param.name));
                }
                last = Some(alias);
                args.insert(param.name, value);
            }
            for (alias, version, collection) in param.deprecated_aliases {
                if args.contains_key(alias) {
                    self.deprecate(format!("Alias '{alias}' is deprecated."), version, collection);
                }
            }
            if let Some((version, collection)) = param.removed_in
                && args.contains_key(param.name)
            {
                self.deprecate(format!("Param '{}' is deprecated.", param.name), version, collection);
            }
        }
    }

    fn deprecate(&mut self, what: String, version: &str, collection: &str) {
        self.out.deprecations.push(Value::from(dict! {
            "msg" => format!("{what} See the module docs for more information"),
            "version" => version,
            "collection_name" => collection,
        }));
    }

    fn secrets(&mut self, params: &[Param], args: &Dict, inside: &[&str]) {
        for param in params.iter().filter(|p| p.no_log == Some(true)) {
            if inside.is_empty() {
                self.out.secret_names.insert(param.name.to_owned());
            }
            if let Some(value) = args.get(param.name) {
                collect_texts(value, &mut self.out.secrets);
            }
        }
    }

    fn names(&mut self, params: &[Param], args: &Dict, inside: &[&str]) {
        let known = |name: &str| {
            params.iter().any(|p| {
                p.name == name
                    || p.aliases.contains(&name)
                    || p.deprecated_aliases.iter().any(|(alias, ..)| *alias == name)
            })
        };
        let mut strange: Vec<String> = args
            .keys()
            .map(|key| key.json_text().into_owned())
            .filter(|name| !known(name))
            .filter(|name| !inside.is_empty() || !name.starts_with("_ansible_"))
            .collect();
        if strange.is_empty() {
            return;
        }
        strange.sort();
        let mut names: Vec<_> = params.iter().filter(|p| !p.hidden).map(|p| p.name).collect();
        names.sort_unstable();
        let mut aliases: Vec<_> = params
            .iter()
            .flat_map(|p| p.aliases.iter().copied().chain(p.deprecated_aliases.iter().map(|(a, ..)| *a)))
            .collect();
        aliases.sort_unstable();
        let mut supported = names.join(", ");
        if !aliases.is_empty() {
            supported += &format!(" ({})", aliases.join(", "));
        }
        let hint = nearest(&strange[0], names.iter().chain(&aliases).copied())
            .map(|name| format!("did you mean `{name}` instead of `{}`?", strange[0]));
        let path = |name: String| {
            if inside.is_empty() { name } else { format!("{}.{name}", inside.join(".")) }
        };
        self.unsupported.push((strange.into_iter().map(path).collect(), supported, hint));
    }

    fn types(&mut self, param: &Param, args: &mut Dict, inside: &[&str]) {
        let Some(value) = args.get(param.name) else { return };
        if value.is_null() && !param.required && param.default == Lit::None {
            return;
        }
        let context =
            if inside.is_empty() { String::new() } else { format!(" found in '{}'.", inside.join(" -> ")) };
        let value = match convert(param.kind, value, self.place) {
            Ok(value) => value,
            Err(why) => {
                let msg = format!(
                    "argument '{}' is of type {}{context} and we were unable to convert to {}: {why}",
                    param.name,
                    value.type_name(),
                    param.kind.name(),
                );
                self.complaints.push(Complaint { msg, hint: None });
                return;
            }
        };
        let value = match (param.elements, &value) {
            (Some(kind), Value::List(items)) if kind != Kind::Raw => {
                self.elements(param, kind, items, &context)
            }
            _ => value,
        };
        args.insert(param.name, value);
    }

    fn elements(&mut self, param: &Param, kind: Kind, items: &[Value], context: &str) -> Value {
        let mut converted = Vec::with_capacity(items.len());
        for item in items {
            match convert(kind, item, self.place) {
                Ok(item) => converted.push(item),
                Err(why) => {
                    if !param.options.is_empty() && !matches!(item, Value::Str(_) | Value::Dict(_)) {
                        let msg = format!(
                            "Value '{}' in the sub parameter field '{}' must be a list, not '{}'",
                            str_of(item),
                            param.name,
                            item.type_name(),
                        );
                        self.complaints.push(Complaint { msg, hint: None });
                    }
                    let msg = format!(
                        "Elements value for option '{}'{context} is of type {} and we were unable to convert to {}: {why}",
                        param.name,
                        item.type_name(),
                        kind.name(),
                    );
                    self.complaints.push(Complaint { msg, hint: None });
                }
            }
        }
        Value::list(converted)
    }

    fn choices(&mut self, param: &Param, args: &mut Dict, inside: &[&str]) {
        let Some(value) = args.get(param.name) else { return };
        let allowed = |value: &Value| param.choices.contains(&str_of(value).as_str());
        let named = param.choices.join(", ");
        match value {
            Value::Null if param.default == Lit::None && !param.required => {}
            Value::List(items) => {
                let bad: Vec<_> = items.iter().filter(|item| !allowed(item)).map(str_of).collect();
                if !bad.is_empty() {
                    let bad = bad.join(", ");
                    self.complain(
                        format!(
                            "value of {} must be one or more of: {named}. Got no match for: {bad}",
                            param.name
                        ),
                        inside,
                    );
                }
            }
            value if allowed(value) => {}
            value => {
                // YAML turned the choice `yes` into a boolean: give it back.
                let text = str_of(value);
                let words: &[&str] = match text.as_str() {
                    "True" => &["y", "yes", "on", "1", "true", "t"],
                    "False" => &["n", "no", "off", "0", "false", "f"],
                    _ => &[],
                };
                let mut meant = param.choices.iter().filter(|choice| words.contains(choice));
                if let (Some(choice), None) = (meant.next(), meant.next()) {
                    args.insert(param.name, *choice);
                    return;
                }
                let hint = nearest(&text, param.choices.iter().copied())
                    .map(|choice| format!("did you mean `{choice}` instead of `{text}`?"));
                self.complain(
                    format!("value of {} must be one of: {named}, got: {text}", param.name),
                    inside,
                );
                if let Some(complaint) = self.complaints.last_mut() {
                    complaint.hint = hint;
                }
            }
        }
    }

    fn rules(&mut self, rules: &Rules, args: &Dict, inside: &[&str]) {
        for group in rules.required_together {
            let count = present(group, args);
            if count > 0 && count < group.len() {
                self.complain(format!("parameters are required together: {}", group.join(", ")), inside);
            }
        }
        for group in rules.required_one_of {
            if present(group, args) == 0 {
                self.complain(format!("one of the following is required: {}", group.join(", ")), inside);
            }
        }
        for rule in rules.required_if {
            let Some(value) = args.get(rule.param) else { continue };
            if *value != lit(rule.value) {
                continue;
            }
            let missing: Vec<_> =
                rule.needs.iter().copied().filter(|name| !args.contains_key(name)).collect();
            let (fails, word) = if rule.any {
                (missing.len() == rule.needs.len(), "any")
            } else {
                (!missing.is_empty(), "all")
            };
            if fails {
                self.complain(
                    format!(
                        "{} is {} but {word} of the following are missing: {}",
                        rule.param,
                        str_of(value),
                        missing.join(", ")
                    ),
                    inside,
                );
            }
        }
        for (param, needs) in rules.required_by {
            if args.get(param).is_none_or(Value::is_null) {
                continue;
            }
            let missing: Vec<_> =
                needs.iter().copied().filter(|name| args.get(name).is_none_or(Value::is_null)).collect();
            if !missing.is_empty() {
                self.complain(
                    format!("missing parameter(s) required by '{param}': {}", missing.join(", ")),
                    inside,
                );
            }
        }
    }

    fn options(&mut self, param: &Param, args: &mut Dict, inside: &[&str]) {
        let mut deeper = inside.to_vec();
        deeper.push(param.name);
        let value = match args.get(param.name) {
            Some(Value::Null) | None if param.apply_defaults => Value::dict(Dict::new()),
            Some(Value::Null) | None => return,
            Some(value) => value.clone(),
        };
        let mut fill = |value: &Value| match value {
            Value::Dict(entries) => {
                let mut entries = Dict::clone(entries);
                self.level(param.options, &param.option_rules, &mut entries, &deeper);
                Value::dict(entries)
            }
            other => other.clone(),
        };
        let filled = match &value {
            Value::List(items) => Value::list(items.iter().map(&mut fill).collect::<Vec<_>>()),
            one => fill(one),
        };
        args.insert(param.name, filled);
    }
}

fn present(group: &[&str], args: &Dict) -> usize {
    group.iter().filter(|name| args.contains_key(name)).count()
}

/// The groups that break the rule, as Ansible joins them in one message.
fn groups(groups: &[&[&str]], broken: impl Fn(&[&str]) -> bool) -> Option<String> {
    let broken: Vec<_> = groups.iter().filter(|group| broken(group)).map(|group| group.join("|")).collect();
    (!broken.is_empty()).then(|| broken.join(", "))
}

/// A constant as a value.
pub fn lit(lit: Lit) -> Value {
    match lit {
        Lit::None => Value::Null,
        Lit::Str(text) => Value::from(text),
        Lit::Int(number) => Value::Int(number),
        Lit::Float(number) => Value::Float(number),
        Lit::Bool(flag) => Value::Bool(flag),
        Lit::List(items) => items.iter().copied().collect(),
        Lit::EmptyDict => Value::dict(Dict::new()),
    }
}

fn collect_texts(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Str(text) if !text.is_empty() => {
            into.insert(text.as_str().to_owned());
        }
        Value::Int(_) | Value::Float(_) | Value::Big(_) => {
            into.insert(str_of(value));
        }
        Value::List(items) => items.iter().for_each(|item| collect_texts(item, into)),
        Value::Dict(entries) => entries.iter().for_each(|(_, item): (&Key, _)| collect_texts(item, into)),
        _ => {}
    }
}

/// The candidate that `name` most likely meant; nothing when none is close.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.chars().count() / 3 + 1;
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counting once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let differ = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + differ);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
