//! YAML inventories: `all: {hosts: …, vars: …, children: …}`.

use super::hosts_of_entry;
use crate::error::{InventoryError, Warning, nearest};
use crate::model::{GroupId, Inventory};
use quorate_value::{Key, Span, Value};
use quorate_yaml::{Entry, Mapping, Node, NodeKind};

const KEYS: [&str; 3] = ["hosts", "vars", "children"];

/// Adds what the document says; mistakes do not stop it.
pub(super) fn apply(inventory: &mut Inventory, root: &Node) -> Vec<InventoryError> {
    let Some(groups) = root.as_mapping() else {
        return vec![InventoryError::Shape {
            span: root.span,
            what: "a YAML inventory".into(),
            wanted: "a mapping of groups",
            found: root.describe().into(),
            hint: Some("Start with `all:`, and `hosts:` below it.".into()),
        }];
    };
    let mut reader = Reader { inventory, errors: Vec::new() };
    for (name, entry) in groups.iter() {
        reader.group(name, entry);
    }
    reader.errors
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    errors: Vec<InventoryError>,
}

impl Reader<'_> {
    fn group(&mut self, name: &Key, entry: &Entry) -> Option<GroupId> {
        let span = entry.key.span;
        let Some(name) = name.as_str() else {
            let problem = format!("the group name {} must be text", name.json_text());
            self.errors.push(InventoryError::Name { span, problem });
            return None;
        };
        let body = match &entry.value.kind {
            NodeKind::Mapping(body) => Some(body),
            _ if entry.value.is_null() => None,
            _ => {
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
        if let Some(body) = body {
            for (key, entry) in body.iter() {
                self.section(group, name, key, entry);
            }
        }
        Some(group)
    }

    fn section(&mut self, group: GroupId, name: &str, key: &Key, entry: &Entry) {
        let text = key.json_text();
        let section = key.as_str().filter(|key| KEYS.contains(key));
        let span = entry.key.span;
        // `hosts: name` is short for `hosts: {name: }`.
        if let (Some(section), Some(single)) = (section, entry.value.as_str()) {
            let key = Key::from(single);
            let nothing = Entry { key: entry.value.clone(), value: null_at(&entry.value) };
            match section {
                "hosts" => self.host(group, &key, &nothing),
                "children" => self.child(group, &key, &nothing),
                _ => self.var(group, &key, &nothing),
            }
            return;
        }
        let body = match &entry.value.kind {
            NodeKind::Mapping(body) => body,
            _ if entry.value.is_null() => return,
            _ if section.is_some() => {
                let list = entry.value.as_sequence().is_some();
                self.errors.push(InventoryError::Shape {
                    span: entry.value.span,
                    what: format!("`{text}` of group `{name}`"),
                    wanted: "a mapping",
                    found: entry.value.describe().into(),
                    hint: list.then(|| "Write `name:` with a colon in place of `- name`.".to_owned()),
                });
                return;
            }
            _ => {
                self.inventory.warnings.push(Warning::NotAMapping {
                    group: name.to_owned(),
                    key: text.clone().into_owned(),
                    found: entry.value.describe().into(),
                    span,
                    nearest: nearest(&text, KEYS),
                });
                return;
            }
        };
        match section {
            Some("hosts") => self.each(body, |reader, key, entry| reader.host(group, key, entry)),
            Some("children") => self.each(body, |reader, key, entry| reader.child(group, key, entry)),
            Some(_) => self.each(body, |reader, key, entry| reader.var(group, key, entry)),
            None => self.inventory.warnings.push(Warning::UnknownKey {
                group: name.to_owned(),
                key: text.clone().into_owned(),
                span,
                nearest: nearest(&text, KEYS),
            }),
        }
    }

    fn each(&mut self, body: &Mapping, mut apply: impl FnMut(&mut Self, &Key, &Entry)) {
        for (key, entry) in body.iter() {
            apply(self, key, entry);
        }
    }

    fn var(&mut self, group: GroupId, key: &Key, entry: &Entry) {
        let result = self.inventory.set_group_var(group, key.clone(), entry.value.to_value(), entry.key.span);
        self.errors.extend(result.err());
    }

    fn child(&mut self, group: GroupId, key: &Key, entry: &Entry) {
        if let Some(child) = self.group(key, entry) {
            let result = self.inventory.link(group, child, entry.key.span);
            self.errors.extend(result.err());
        }
    }

    fn host(&mut self, group: GroupId, key: &Key, entry: &Entry) {
        let span = entry.key.span;
        let Some(pattern) = key.as_str() else {
            let written =
                entry.key.as_scalar().map_or_else(|| key.json_text(), |scalar| scalar.text().into());
            let problem = format!("the host name {written} must be text; put it in quotes");
            self.errors.push(InventoryError::Name { span, problem });
            return;
        };
        let (names, port) = match hosts_of_entry(pattern, span) {
            Ok(expanded) => expanded,
            Err(error) => return self.errors.push(error),
        };
        let vars = match &entry.value.kind {
            NodeKind::Mapping(vars) => Some(vars),
            // Ansible takes everything that Python calls false for no variables.
            _ if !entry.value.to_value().is_truthy() => None,
            _ => {
                return self.errors.push(InventoryError::Shape {
                    span: entry.value.span,
                    what: format!("variables of host `{pattern}`"),
                    wanted: "a mapping",
                    found: entry.value.describe().into(),
                    hint: Some(format!("Write `{pattern}: {{name: value}}`.")),
                });
            }
        };
        let vars: Vec<(Key, Value, Span)> = vars.map_or_else(Vec::new, |vars| {
            vars.iter().map(|(key, entry)| (key.clone(), entry.value.to_value(), entry.key.span)).collect()
        });
        for name in names {
            let host = self.inventory.declare_host(&name, group, port, span);
            for (key, value, span) in &vars {
                let result = self.inventory.set_host_var(host, key.clone(), value.clone(), *span);
                self.errors.extend(result.err());
            }
        }
    }
}

fn null_at(node: &Node) -> Node {
    let mut node = node.clone();
    if let NodeKind::Scalar(scalar) = &mut node.kind {
        scalar.value = Value::Null;
    }
    node
}
