//! TOML inventories: `[web.hosts]`, `[web.vars]`, `children = ["db"]`.

use super::hosts_of_entry;
use crate::error::{InventoryError, Warning, nearest};
use crate::model::{GroupId, Inventory};
use quorate_value::{Dict, FileId, Key, Span, Str, Value};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const KEYS: [&str; 3] = ["hosts", "vars", "children"];

/// Adds what the text says; gives every mistake.
pub(super) fn apply(inventory: &mut Inventory, text: &str, file: FileId) -> Vec<InventoryError> {
    let places = Places { text, file };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return errors
            .iter()
            .map(|error| InventoryError::Toml {
                span: places.span(&error.span().unwrap_or(0..0)),
                message: error.message().to_owned(),
            })
            .collect();
    }
    let mut reader = Reader { inventory, places, errors: Vec::new() };
    for (name, body) in table.get_ref() {
        reader.group(name.get_ref(), reader.places.span(&name.span()), body);
    }
    reader.errors
}

struct Places<'a> {
    text: &'a str,
    file: FileId,
}

impl Places<'_> {
    fn span(&self, range: &Range<usize>) -> Span {
        let before = self.text.get(..range.start).unwrap_or(self.text);
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() as u32 + 1;
        Span::new(self.file, line, column)
    }
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    places: Places<'a>,
    errors: Vec<InventoryError>,
}

impl Reader<'_> {
    fn group(&mut self, name: &str, span: Span, body: &Spanned<DeValue<'_>>) {
        let Some(body) = body.get_ref().as_table() else {
            self.inventory.warnings.push(Warning::NotAGroup { group: name.to_owned(), span });
            return;
        };
        let group = match self.inventory.declare_group(name, span) {
            Ok(group) => group,
            Err(error) => return self.errors.push(error),
        };
        for (key, value) in body {
            let span = self.places.span(&key.span());
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("vars", DeValue::Table(vars)) => {
                    for (name, value) in vars {
                        let span = self.places.span(&name.span());
                        let name = Key::from(name.get_ref().as_ref());
                        let value = self.value(value);
                        self.errors.extend(self.inventory.set_group_var(group, name, value, span).err());
                    }
                }
                ("hosts", DeValue::Table(hosts)) => {
                    for (pattern, vars) in hosts {
                        let span = self.places.span(&pattern.span());
                        self.host(group, pattern.get_ref(), span, vars);
                    }
                }
                ("children", DeValue::Array(children)) => {
                    for child in children.iter() {
                        let span = self.places.span(&child.span());
                        match child.get_ref().as_str() {
                            Some(child) => self.child(group, child, span),
                            None => self.shape(span, format!("a child of group `{name}`"), "a string", child),
                        }
                    }
                }
                ("children", DeValue::Table(children)) => {
                    for (child, _) in children {
                        let span = self.places.span(&child.span());
                        self.child(group, child.get_ref(), span);
                    }
                }
                ("vars" | "hosts", _) => {
                    let what = format!("`{}` of group `{name}`", key.get_ref());
                    self.shape(self.places.span(&value.span()), what, "a table", value);
                }
                ("children", _) => {
                    let what = format!("`children` of group `{name}`");
                    self.shape(self.places.span(&value.span()), what, "an array", value);
                }
                (key, _) => self.inventory.warnings.push(Warning::UnknownKey {
                    group: name.to_owned(),
                    key: key.to_owned(),
                    span,
                    nearest: nearest(key, KEYS),
                }),
            }
        }
    }

    fn shape(&mut self, span: Span, what: String, wanted: &'static str, found: &Spanned<DeValue<'_>>) {
        let found = format!("a TOML {}", found.get_ref().type_str());
        self.errors.push(InventoryError::Shape { span, what, wanted, found, hint: None });
    }

    fn child(&mut self, group: GroupId, name: &str, span: Span) {
        let result = self
            .inventory
            .declare_group(name, span)
            .and_then(|child| self.inventory.link(group, child, span));
        self.errors.extend(result.err());
    }

    fn host(&mut self, group: GroupId, pattern: &str, span: Span, vars: &Spanned<DeValue<'_>>) {
        let (names, port) = match hosts_of_entry(pattern, span) {
            Ok(expanded) => expanded,
            Err(error) => return self.errors.push(error),
        };
        let Some(vars) = vars.get_ref().as_table() else {
            return self.shape(self.places.span(&vars.span()), format!("host `{pattern}`"), "a table", vars);
        };
        let vars: Vec<(Key, Value, Span)> = vars
            .iter()
            .map(|(name, value)| {
                (Key::from(name.get_ref().as_ref()), self.value(value), self.places.span(&name.span()))
            })
            .collect();
        for name in names {
            let host = self.inventory.declare_host(&name, group, port, span);
            for (key, value, span) in &vars {
                self.errors
                    .extend(self.inventory.set_host_var(host, key.clone(), value.clone(), *span).err());
            }
        }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Value {
        let text = |text: &str| Value::Str(Str::written(text, self.places.span(&value.span())));
        match value.get_ref() {
            DeValue::String(string) => text(string),
            DeValue::Integer(number) => {
                num_bigint::BigInt::parse_bytes(number.as_str().replace('_', "").as_bytes(), number.radix())
                    .map_or(Value::Null, Value::integer)
            }
            DeValue::Float(number) => {
                number.as_str().replace('_', "").parse().map_or(Value::Null, Value::Float)
            }
            DeValue::Boolean(flag) => Value::Bool(*flag),
            // Like the dates of YAML: as Python prints them, no template, no place.
            DeValue::Datetime(moment) => Value::from(python_moment(moment)),
            DeValue::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            DeValue::Table(entries) => Value::dict(
                entries
                    .iter()
                    .map(|(key, value)| (Key::from(key.get_ref().as_ref()), self.value(value)))
                    .collect::<Dict>(),
            ),
        }
    }
}

/// A moment as Python's `str()` writes it.
fn python_moment(moment: &impl std::fmt::Display) -> String {
    let text = moment.to_string().replacen('T', " ", 1);
    text.strip_suffix(['Z', 'z']).map(|text| format!("{text}+00:00")).unwrap_or(text)
}
