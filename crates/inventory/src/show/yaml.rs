//! `--list --yaml` and `--host --yaml`.
//!
//! A value that several hosts share is written once with an anchor, as PyYAML does. Dates differ: they are text here,
//! so they stand in quotes.

use super::{Lister, ShowError};
use crate::model::GroupId;
use quorate_value::{Dict, Key, Value};
use quorate_yaml::{EmitStyle, to_yaml};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Stands behind the name of a variable whose value gets an anchor, and for the value of an alias.
const MARK: &str = "QUORATEMARK";

fn style() -> EmitStyle {
    EmitStyle { default_flow_style: Some(false), sort_keys: false, ..EmitStyle::default() }
}

/// A value as YAML with sorted keys.
pub(super) fn write(value: &Value) -> Result<String, ShowError> {
    to_yaml(value, &EmitStyle { sort_keys: true, ..style() }).map_err(|error| ShowError::Unwritable {
        name: "the inventory".into(),
        format: "YAML",
        problem: error.to_string(),
    })
}

impl Lister<'_> {
    pub(super) fn yaml(&self) -> Result<String, ShowError> {
        let mut seen_groups = HashSet::new();
        let mut seen_hosts = HashSet::new();
        let root = self.yaml_group(self.inventory.all(), &mut seen_groups, &mut seen_hosts)?;
        let mut top = Dict::new();
        if !root.is_empty() {
            top.insert("all", root);
        }
        let sorted = sorted(&Value::dict(top));
        let text = to_yaml(&Anchors::mark(&sorted), &style()).map_err(|error| ShowError::Unwritable {
            name: "the inventory".into(),
            format: "YAML",
            problem: error.to_string(),
        })?;
        Ok(unmark(&text))
    }

    fn yaml_group(
        &self,
        id: GroupId,
        seen_groups: &mut HashSet<GroupId>,
        seen_hosts: &mut HashSet<crate::HostId>,
    ) -> Result<Dict, ShowError> {
        let group = self.inventory.group(id);
        let mut entry = Dict::new();
        let mut children = Dict::new();
        for child in group.children() {
            let name = self.inventory.group(child).name().clone();
            if seen_groups.insert(child) {
                let body = self.yaml_group(child, seen_groups, seen_hosts)?;
                if !body.is_empty() {
                    children.insert(name, body);
                }
            } else {
                children.insert(name, Dict::new());
            }
        }
        let mut hosts = Dict::new();
        for host in self.hosts_in(id) {
            let vars = if seen_hosts.insert(host) { self.host_vars(host)? } else { Dict::new() };
            hosts.insert(self.inventory.host_name(host).clone(), vars);
        }
        let vars = if self.show.export { self.group_vars(id)? } else { Dict::new() };
        for (key, body) in [("children", children), ("hosts", hosts), ("vars", vars)] {
            if !body.is_empty() {
                entry.insert(key, body);
            }
        }
        Ok(entry)
    }
}

/// Mappings sorted all the way down, what is shared kept shared.
fn sorted(value: &Value) -> Value {
    fn inner(value: &Value, done: &mut HashMap<usize, Value>) -> Value {
        let address = match value {
            Value::Dict(entries) => Arc::as_ptr(entries) as usize,
            Value::List(items) => Arc::as_ptr(items) as usize,
            other => return other.clone(),
        };
        if let Some(known) = done.get(&address) {
            return known.clone();
        }
        let result = match value {
            Value::Dict(entries) => {
                let mut pairs: Vec<(&Key, &Value)> = entries.iter().collect();
                // Keys that Python cannot compare stay in their order.
                let comparable = pairs.windows(2).all(|pair| {
                    quorate_value::compare(&pair[0].0.to_value(), &pair[1].0.to_value()).is_some()
                });
                if comparable {
                    pairs.sort_by(|(a, _), (b, _)| {
                        quorate_value::compare(&a.to_value(), &b.to_value()).unwrap_or(Ordering::Equal)
                    });
                }
                Value::dict(pairs.into_iter().map(|(key, value)| (key.clone(), inner(value, done))).collect())
            }
            Value::List(items) => items.iter().map(|item| inner(item, done)).collect(),
            other => other.clone(),
        };
        done.insert(address, result.clone());
        result
    }
    inner(value, &mut HashMap::new())
}

/// Finds values that several hosts share, and marks the first for an anchor, the others as aliases.
#[derive(Default)]
struct Anchors {
    /// How often each was met, by name of the variable and address.
    met: HashMap<(String, usize), u32>,
    /// Anchors in the order in which their values came a second time.
    numbers: HashMap<(String, usize), usize>,
}

impl Anchors {
    fn mark(root: &Value) -> Value {
        let mut anchors = Anchors::default();
        anchors.walk(root, &mut |anchors, name, value| {
            if let Some(id) = identity(name, value) {
                let met = anchors.met.entry(id.clone()).or_default();
                *met += 1;
                if *met == 2 {
                    let number = anchors.numbers.len() + 1;
                    anchors.numbers.insert(id, number);
                }
            }
            None
        });
        anchors.met.clear();
        anchors.walk(root, &mut |anchors, name, value| {
            let id = identity(name, value)?;
            let number = *anchors.numbers.get(&id)?;
            let met = anchors.met.entry(id).or_default();
            *met += 1;
            Some(if *met == 1 {
                (Key::from(format!("{name}{MARK}{number:03}")), value.clone())
            } else {
                (Key::from(name), Value::from(format!("{MARK}{number:03}")))
            })
        })
    }

    /// Visits every variable of every host and group, in the order of writing.
    fn walk(
        &mut self,
        group: &Value,
        visit: &mut impl FnMut(&mut Self, &str, &Value) -> Option<(Key, Value)>,
    ) -> Value {
        let Value::Dict(sections) = group else { return group.clone() };
        let mut out = Dict::new();
        for (section, body) in sections.iter() {
            let Value::Dict(entries) = body else { continue };
            let body = match section.as_str() {
                Some("vars") => self.vars(entries, visit),
                Some("hosts") => Value::dict(
                    entries
                        .iter()
                        .map(|(name, vars)| match vars {
                            Value::Dict(vars) => (name.clone(), self.vars(vars, visit)),
                            other => (name.clone(), other.clone()),
                        })
                        .collect(),
                ),
                // `children`, and `all` at the top, hold groups.
                Some("children") => Value::dict(
                    entries.iter().map(|(name, group)| (name.clone(), self.walk(group, visit))).collect(),
                ),
                _ => self.walk(body, visit),
            };
            out.insert(section.clone(), body);
        }
        Value::dict(out)
    }

    fn vars(
        &mut self,
        vars: &Dict,
        visit: &mut impl FnMut(&mut Self, &str, &Value) -> Option<(Key, Value)>,
    ) -> Value {
        let marked = vars.iter().map(|(key, value)| {
            let changed = key.as_str().and_then(|name| visit(self, name, value));
            changed.unwrap_or_else(|| (key.clone(), value.clone()))
        });
        Value::dict(marked.collect())
    }
}

/// What makes a value the same one; nothing for what PyYAML repeats, and for names that need quotes.
fn identity(name: &str, value: &Value) -> Option<(String, usize)> {
    let plain =
        name.len() > 3 || !matches!(name.to_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
    let address = match value {
        Value::List(items) => Arc::as_ptr(items) as usize,
        Value::Dict(entries) => Arc::as_ptr(entries) as usize,
        Value::Vault(text) => text.as_ptr() as usize,
        _ => return None,
    };
    (plain && crate::vars::is_variable_name(&Key::from(name))).then(|| (name.to_owned(), address))
}

fn unmark(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.split_once(MARK) {
            // `name: MARK001`
            Some((before, number)) if before.ends_with(": ") => {
                out.push_str(before);
                out.push_str("*id");
                out.push_str(number);
            }
            // `nameMARK001: value`
            Some((before, rest)) => {
                let (number, rest) = rest.split_at(rest.find(':').unwrap_or(0));
                out.push_str(before);
                out.push_str(": &id");
                out.push_str(number);
                out.push_str(&rest[1..]);
            }
            None => out.push_str(line),
        }
    }
    out
}
