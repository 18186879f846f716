//! `plugin: generator`: a host for every combination of layers, with groups named by templates.

use super::plugin::Config;
use crate::error::InventoryError;
use crate::model::{GroupId, HostId, Inventory};
use crate::options::Templates;
use crate::range::MOST_NAMES;
use quorate_value::{Dict, Key, Span, Str, Value, str_of};
use quorate_yaml::Node;
use std::sync::Arc;

const OPTIONS: [&str; 3] = ["plugin", "hosts", "layers"];

/// Groups inside groups inside groups: more than this is a mistake.
const MOST_LEVELS: usize = 100;

/// Adds the hosts and groups of every combination.
pub(super) fn apply(inventory: &mut Inventory, root: &Node) -> Vec<InventoryError> {
    let result = Config::new("generator", root, &OPTIONS, inventory)
        .and_then(|config| generate(inventory, &config).map_err(|error| vec![error]));
    result.err().unwrap_or_default()
}

#[derive(Clone, Copy)]
enum Child {
    Host(HostId),
    Group(GroupId),
}

struct Generator<'a> {
    config: &'a Config<'a>,
    templates: &'a dyn Templates,
}

fn generate(inventory: &mut Inventory, config: &Config<'_>) -> Result<(), InventoryError> {
    let missing = |name: &str| InventoryError::Plugin {
        span: config.root.span,
        name: config.name.into(),
        problem: format!("needs `{name}`"),
    };
    let hosts = config.root.get("hosts").ok_or_else(|| missing("hosts"))?;
    if hosts.as_mapping().is_none() {
        return Err(config.shape("hosts", "a mapping", hosts));
    }
    let name = hosts.get("name").ok_or_else(|| missing("hosts.name"))?;
    let layers = config.root.get("layers").ok_or_else(|| missing("layers"))?;
    let Some(layers) = layers.as_mapping() else { return Err(config.shape("layers", "a mapping", layers)) };
    let mut combinations: Vec<Dict> = vec![Dict::new()];
    for (layer, entry) in layers.iter() {
        let values: Vec<Value> = match entry.value.to_value() {
            Value::List(values) => values.to_vec(),
            Value::Str(text) => text.chars().map(|c| Value::from(c.to_string())).collect(),
            Value::Dict(entries) => entries.keys().map(Key::to_value).collect(),
            _ => return Err(config.shape("a layer", "a list", &entry.value)),
        };
        if combinations.len().saturating_mul(values.len()) > MOST_NAMES {
            return Err(InventoryError::Plugin {
                span: entry.key.span,
                name: config.name.into(),
                problem: "makes more than a million hosts of these layers".into(),
            });
        }
        combinations = combinations
            .iter()
            .flat_map(|combination| {
                values.iter().map(|value| {
                    let mut combination = combination.clone();
                    combination.insert(layer.clone(), value.clone());
                    combination
                })
            })
            .collect();
    }
    let generator = Generator { config, templates: &*config.templates };
    for combination in combinations {
        let vars = Arc::new(combination);
        let host = generator.text(name, &vars)?;
        let host = inventory.declare_host_alone(&host, name.span);
        generator.parents(inventory, Child::Host(host), hosts, &vars, 0)?;
    }
    Ok(())
}

impl Generator<'_> {
    fn parents(
        &self,
        inventory: &mut Inventory,
        child: Child,
        node: &Node,
        vars: &Arc<Dict>,
        level: usize,
    ) -> Result<(), InventoryError> {
        let Some(parents) = node.get("parents").filter(|node| !node.is_null()) else { return Ok(()) };
        let parents = match parents.as_sequence() {
            Some(parents) if level < MOST_LEVELS => parents,
            _ => return Err(self.config.shape("`parents` of a generated host or group", "a list", parents)),
        };
        for parent in parents {
            let Some(name) = parent.get("name") else {
                let child = match child {
                    Child::Host(host) => inventory.host_name(host).to_string(),
                    Child::Group(group) => inventory.group(group).name().to_string(),
                };
                let problem = format!("Element {child} has a parent with no name.");
                let ansible = problem.clone();
                return Err(InventoryError::Name { span: parent.span, problem, ansible });
            };
            let group = inventory.declare_group(&self.text(name, vars)?, name.span)?;
            for (key, entry) in
                parent.get("vars").and_then(Node::as_mapping).into_iter().flat_map(|vars| vars.iter())
            {
                // what is inside lists and mappings is for the plays to render
                let value = match entry.value.to_value() {
                    text @ Value::Str(_) => self.value(&text, entry.key.span, vars)?,
                    other => other,
                };
                inventory.set_group_var(group, key.clone(), value, entry.key.span)?;
            }
            match child {
                Child::Host(host) => inventory.join(group, host),
                Child::Group(child) => inventory.link(group, child, name.span)?,
            }
            self.parents(inventory, Child::Group(group), parent, vars, level + 1)?;
        }
        Ok(())
    }

    fn text(&self, node: &Node, vars: &Arc<Dict>) -> Result<String, InventoryError> {
        self.value(&node.to_value(), node.span, vars).map(|value| str_of(&value))
    }

    fn value(&self, value: &Value, span: Span, vars: &Arc<Dict>) -> Result<Value, InventoryError> {
        let render = |text: &Str| {
            self.templates.template(text, vars).map_err(|message| InventoryError::Template {
                span: if text.span().is_known() { text.span() } else { span },
                expression: text.to_string(),
                host: None,
                message,
            })
        };
        Ok(match value {
            Value::Str(text) => render(text)?,
            other => other.clone(),
        })
    }
}
