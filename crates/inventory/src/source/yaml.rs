//! YAML inventories: `all: {hosts: …, vars: …, children: …}`.

use super::hosts_of_entry;
use crate::error::{InventoryError, Warning, nearest};
use crate::model::{GroupId, Inventory};
use crate::plain::{Entry, Tree};
use quorate_value::{Key, Value, str_of};

const KEYS: [&str; 3] = ["hosts", "vars", "children"];

/// Adds what the document says; mistakes do not stop it.
pub(super) fn apply(inventory: &mut Inventory, root: Tree) -> Vec<InventoryError> {
    let groups = match root.into_entries() {
        Ok(groups) => groups,
        Err(root) => {
            return vec![InventoryError::Shape {
                span: root.span(),
                what: "a YAML inventory".into(),
                wanted: "a mapping of groups",
                found: root.describe().into(),
                hint: Some("Start with `all:`, and `hosts:` below it.".into()),
            }];
        }
    };
    let mut reader = Reader { inventory, errors: Vec::new() };
    for entry in groups {
        reader.group(entry);
    }
    reader.errors
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    errors: Vec<InventoryError>,
}

impl Reader<'_> {
    fn group(&mut self, Entry { key, span, value }: Entry) -> Option<GroupId> {
        let Some(name) = key.as_str() else {
            let problem = format!("the group name {} must be text; put it in quotes", key.json_text());
            let ansible = format!(
                "Unable to add group {0}: Invalid group name supplied, expected a string",
                key.json_text()
            );
            self.errors.push(InventoryError::Name { span, problem, ansible });
            return None;
        };
        let body = match value.into_entries() {
            Ok(body) => body,
            Err(value) if value.is_null() => Vec::new(),
            Err(_) => {
                self.inventory.warnings.push(Warning::NotAGroup { group: name.to_owned(), span });
                return self.inventory.group_id(name);
            }
        };
        let group = match self.inventory.declare_group(name, span) {
            Ok(group) => group,
            Err(error) => {
                self.errors.push(error);
                return None;
            }
        };
        for entry in body {
            self.section(group, name, entry);
        }
        Some(group)
    }

    fn section(&mut self, group: GroupId, name: &str, Entry { key, span, value }: Entry) {
        let text = key.json_text();
        let section = key.as_str().filter(|key| KEYS.contains(key));
        // `hosts: name` is short for `hosts: {name: }`.
        if let (Some(section), Some(single)) = (section, value.as_str()) {
            let span = value.span();
            let single = Entry { key: Key::from(single), span, value: Tree::Scalar(Value::Null, span) };
            return self.member(section, group, single);
        }
        let value = match (value.into_entries(), section) {
            (Ok(body), Some(section)) => {
                return body.into_iter().for_each(|entry| self.member(section, group, entry));
            }
            (Ok(_), None) => {
                return self.inventory.warnings.push(Warning::UnknownKey {
                    group: name.to_owned(),
                    key: text.clone().into_owned(),
                    span,
                    nearest: nearest(&text, KEYS),
                });
            }
            (Err(value), _) => value,
        };
        if value.is_null() {
            return;
        }
        if section.is_none() {
            return self.inventory.warnings.push(Warning::NotAMapping {
                group: name.to_owned(),
                key: text.clone().into_owned(),
                found: value.describe().into(),
                span,
                nearest: nearest(&text, KEYS),
            });
        }
        let hint = value.is_list().then(|| "Write `name:` with a colon in place of `- name`.".to_owned());
        self.errors.push(InventoryError::Shape {
            span: value.span(),
            what: format!("`{text}` of group `{name}`"),
            wanted: "a mapping",
            found: value.describe().into(),
            hint,
        });
    }

    fn member(&mut self, section: &str, group: GroupId, entry: Entry) {
        match section {
            "hosts" => self.host(group, entry),
            "children" => {
                let span = entry.span;
                if let Some(child) = self.group(entry) {
                    let result = self.inventory.link(group, child, span);
                    self.errors.extend(result.err());
                }
            }
            _ => {
                let result =
                    self.inventory.set_group_var(group, entry.key, entry.value.into_value(), entry.span);
                self.errors.extend(result.err());
            }
        }
    }

    fn host(&mut self, group: GroupId, Entry { key, span, value }: Entry) {
        let Some(pattern) = key.as_str() else {
            let written = str_of(&key.to_value());
            let problem = format!("the host name {written} must be text; put it in quotes");
            let ansible = format!(
                "Host pattern {written} must be a string. Enclose integers/floats in quotation marks."
            );
            self.errors.push(InventoryError::Name { span, problem, ansible });
            return;
        };
        let (names, port) = match hosts_of_entry(pattern, span) {
            Ok(expanded) => expanded,
            Err(error) => return self.errors.push(error),
        };
        let vars = match value.into_entries() {
            Ok(vars) => vars,
            // Ansible takes everything that Python calls false for no variables.
            Err(value) if !value.clone().into_value().is_truthy() => Vec::new(),
            Err(value) => {
                return self.errors.push(InventoryError::Shape {
                    span: value.span(),
                    what: format!("variables of host `{pattern}`"),
                    wanted: "a mapping",
                    found: value.describe().into(),
                    hint: Some(format!("Write `{pattern}: {{name: value}}`.")),
                });
            }
        };
        let vars = vars.into_iter().map(|entry| (entry.key, entry.value.into_value(), entry.span)).collect();
        let hosts: Vec<_> =
            names.iter().map(|name| self.inventory.declare_host(name, group, port, span)).collect();
        let result = self.inventory.set_host_vars(&hosts, vars);
        self.errors.extend(result.err());
    }
}
