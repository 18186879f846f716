//! What `plugin:` files have in common: options, their types, the template engine.

use crate::error::{InventoryError, Warning, nearest};
use crate::model::Inventory;
use crate::options::Templates;
use quorate_value::{Key, Span, Value};
use quorate_yaml::Node;
use std::sync::Arc;

/// The configuration of a plugin.
pub(super) struct Config<'a> {
    pub(super) name: &'static str,
    pub(super) root: &'a Node,
    pub(super) templates: Arc<dyn Templates>,
}

impl<'a> Config<'a> {
    /// Checks the names of options and that there is a template engine.
    pub(super) fn new(
        name: &'static str,
        root: &'a Node,
        options: &[&str],
        inventory: &mut Inventory,
    ) -> Result<Self, Vec<InventoryError>> {
        let Some(templates) = inventory.options.templates.clone() else {
            return Err(vec![InventoryError::Plugin {
                span: root.get("plugin").map_or(root.span, |node| node.span),
                name: name.into(),
                problem: "needs the template engine, which was not given".into(),
            }]);
        };
        for (key, entry) in root.as_mapping().into_iter().flat_map(|options| options.iter()) {
            let text = key.json_text();
            if !options.contains(&text.as_ref()) {
                inventory.warnings.push(Warning::UnknownOption {
                    plugin: name,
                    key: text.clone().into_owned(),
                    span: entry.key.span,
                    nearest: nearest(&text, options.iter().copied()),
                });
            }
        }
        Ok(Config { name, root, templates })
    }

    pub(super) fn shape(&self, what: &str, wanted: &'static str, node: &Node) -> InventoryError {
        InventoryError::Shape {
            span: node.span,
            what: if what.contains(' ') {
                what.to_owned()
            } else {
                format!("`{what}` of plugin `{}`", self.name)
            },
            wanted,
            found: node.describe().into(),
            hint: None,
        }
    }

    /// The entries of an option that is a mapping, with their places.
    pub(super) fn mapping(&self, name: &str, errors: &mut Vec<InventoryError>) -> Vec<(Key, Value, Span)> {
        let Some(node) = self.root.get(name).filter(|node| !node.is_null()) else { return Vec::new() };
        match node.as_mapping() {
            Some(mapping) => mapping
                .iter()
                .map(|(key, entry)| (key.clone(), entry.value.to_value(), entry.key.span))
                .collect(),
            None => {
                errors.push(self.shape(name, "a mapping", node));
                Vec::new()
            }
        }
    }

    /// An option that is a boolean.
    pub(super) fn flag(&self, name: &str, default: bool, errors: &mut Vec<InventoryError>) -> bool {
        let Some(node) = self.root.get(name).filter(|node| !node.is_null()) else { return default };
        node.to_value().to_bool_loose().unwrap_or_else(|| {
            errors.push(self.shape(name, "a boolean", node));
            default
        })
    }
}

/// A value as an error names it.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Str(text) if text.is_secret() => "text".into(),
        other => quorate_value::repr(other),
    }
}
