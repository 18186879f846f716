//! `plugin: constructed`: variables and groups from Jinja expressions over hosts that earlier sources named.
//!
//! In: the configuration, hosts and variables so far, a [`Templates`]. Out: composed variables, groups by condition,
//! groups by value. What an expression sees is what Ansible shows it: inventory variables of the host and of the groups
//! that name it so far (not `all` unless it is named), `group_vars/` and `host_vars/` only with `use_vars_plugins`.

use super::plugin::{self, Config};
use crate::build::safe_group_name;
use crate::error::InventoryError;
use crate::model::{HostId, Inventory};
use crate::options::Templates;
use crate::var_files::Kind;
use crate::vars::combine_into;
use quorate_value::{Dict, Key, Span, Str, Value, str_of};
use quorate_yaml::Node;
use std::path::PathBuf;
use std::sync::Arc;

const OPTIONS: [&str; 8] = [
    "plugin",
    "compose",
    "groups",
    "keyed_groups",
    "strict",
    "leading_separator",
    "use_extra_vars",
    "use_vars_plugins",
];

/// Adds what the configuration asks for.
pub(super) fn apply(inventory: &mut Inventory, root: &Node) -> Vec<InventoryError> {
    let config = match Config::new("constructed", root, &OPTIONS, inventory) {
        Ok(config) => config,
        Err(errors) => return errors,
    };
    let mut errors = Vec::new();
    let settings = settings(&config, &mut errors);
    if !errors.is_empty() {
        return errors;
    }
    let builder = Builder { settings, templates: config.templates };
    for host in inventory.hosts() {
        // The first mistake ends it, as in Ansible; hosts before it keep what they got.
        if let Err(error) = builder.host(inventory, host) {
            return vec![error];
        }
    }
    Vec::new()
}

struct Settings {
    compose: Vec<(Key, Value, Span)>,
    groups: Vec<(Key, Value, Span)>,
    keyed: Vec<Keyed>,
    strict: bool,
    leading_separator: bool,
    use_extra_vars: bool,
    use_vars_plugins: bool,
}

struct Keyed {
    key: Str,
    prefix: String,
    separator: String,
    parent: Option<Str>,
    default_value: Option<String>,
    trailing_separator: bool,
    span: Span,
}

fn settings(config: &Config<'_>, errors: &mut Vec<InventoryError>) -> Settings {
    Settings {
        compose: config.mapping("compose", errors),
        groups: config.mapping("groups", errors),
        keyed: keyed_groups(config, errors),
        strict: config.flag("strict", false, errors),
        leading_separator: config.flag("leading_separator", true, errors),
        use_extra_vars: config.flag("use_extra_vars", false, errors),
        use_vars_plugins: config.flag("use_vars_plugins", false, errors),
    }
}

fn keyed_groups(config: &Config<'_>, errors: &mut Vec<InventoryError>) -> Vec<Keyed> {
    let Some(node) = config.root.get("keyed_groups").filter(|node| !node.is_null()) else {
        return Vec::new();
    };
    let Some(items) = node.as_sequence() else {
        errors.push(config.shape("keyed_groups", "a list of mappings", node));
        return Vec::new();
    };
    let mut keyed = Vec::new();
    for item in items {
        if item.as_mapping().is_none() {
            errors.push(config.shape("an item of `keyed_groups`", "a mapping", item));
            continue;
        }
        let text =
            |name: &str| item.get(name).filter(|node| !node.is_null()).map(|node| str_of(&node.to_value()));
        let template = |name: &str| item.get(name).and_then(Node::as_text).cloned();
        let trailing = item.get("trailing_separator").and_then(|node| node.to_value().to_bool_loose());
        let default_value = text("default_value");
        if trailing.is_some() && default_value.is_some() {
            errors.push(InventoryError::Plugin {
                span: item.span,
                name: config.name.into(),
                problem: "takes `default_value` or `trailing_separator` in a keyed group, not both".into(),
            });
        }
        keyed.push(Keyed {
            key: template("key").unwrap_or_default(),
            prefix: text("prefix").unwrap_or_default(),
            separator: text("separator").unwrap_or_else(|| "_".into()),
            parent: template("parent_group"),
            default_value,
            trailing_separator: trailing.unwrap_or(true),
            span: item.span,
        });
    }
    keyed
}

struct Builder {
    settings: Settings,
    templates: Arc<dyn Templates>,
}

impl Builder {
    fn host(&self, inventory: &mut Inventory, host: HostId) -> Result<(), InventoryError> {
        let vars = Arc::new(self.variables(inventory, host)?);
        for (name, expression, span) in &self.settings.compose {
            match self.evaluate(expression, &vars) {
                Ok(value) => inventory.set_host_var(host, name.clone(), value, *span)?,
                Err(message) if self.settings.strict => {
                    return Err(self.failed(inventory, host, expression, *span, message));
                }
                Err(_) => {}
            }
        }
        let vars = Arc::new(self.variables(inventory, host)?);
        for (name, condition, span) in &self.settings.groups {
            match self.evaluate(condition, &vars).and_then(|value| truth(&value)) {
                Ok(true) => {
                    let group = inventory.group_named(&safe_group_name(&name.json_text()), *span);
                    inventory.join(group, host);
                }
                Ok(false) => {}
                Err(message) if self.settings.strict => {
                    return Err(self.failed(inventory, host, condition, *span, message));
                }
                Err(_) => {}
            }
        }
        for keyed in &self.settings.keyed {
            self.keyed(inventory, host, keyed, &vars)?;
        }
        Ok(())
    }

    fn failed(
        &self,
        inventory: &Inventory,
        host: HostId,
        expression: &Value,
        span: Span,
        message: String,
    ) -> InventoryError {
        InventoryError::Template {
            span: expression.as_text().map_or(span, Str::span),
            expression: str_of(expression),
            host: Some(inventory.host_name(host).to_string()),
            message,
        }
    }

    fn evaluate(&self, expression: &Value, vars: &Arc<Dict>) -> Result<Value, String> {
        match expression {
            Value::Str(text) => self.templates.expression(text, vars),
            Value::Bool(_) => Ok(expression.clone()),
            other => Err(format!("an expression is text, not {}", quorate_value::repr(other))),
        }
    }

    fn keyed(
        &self,
        inventory: &mut Inventory,
        host: HostId,
        keyed: &Keyed,
        vars: &Arc<Dict>,
    ) -> Result<(), InventoryError> {
        let strict = self.settings.strict;
        let fail = |inventory: &Inventory, expression: &Str, message: String| {
            self.failed(inventory, host, &Value::Str(expression.clone()), keyed.span, message)
        };
        let key = match self.templates.expression(&keyed.key, vars) {
            Ok(key) => key,
            Err(message) if strict => return Err(fail(inventory, &keyed.key, message)),
            Err(_) => return Ok(()),
        };
        let usable = key.is_truthy() || (is_empty(&key) && keyed.default_value.is_some());
        if !usable {
            if strict && !matches!(key, Value::List(_) | Value::Dict(_)) {
                return Err(fail(inventory, &keyed.key, "the key is empty".into()));
            }
            return Ok(());
        }
        let parent = match &keyed.parent {
            None => None,
            Some(parent) => match self.templates.template(parent, vars) {
                Ok(parent) => Some(str_of(&parent)),
                Err(message) if strict => return Err(fail(inventory, parent, message)),
                Err(_) => return Ok(()),
            },
        };
        let or_default = |value: &Value| match &keyed.default_value {
            Some(default) if is_empty(value) => default.clone(),
            _ => str_of(value),
        };
        let names: Vec<String> = match &key {
            Value::Str(_) | Value::Null => vec![or_default(&key)],
            Value::List(items) => items.iter().map(or_default).collect(),
            Value::Dict(entries) => entries
                .iter()
                .map(|(name, value)| {
                    let name = str_of(&name.to_value());
                    if is_empty(value) && keyed.default_value.is_none() && !keyed.trailing_separator {
                        return name;
                    }
                    format!("{name}{}{}", keyed.separator, or_default(value))
                })
                .collect(),
            other => {
                let message =
                    format!("a group name is text, a list of texts or a mapping, not {}", other.type_name());
                return Err(fail(inventory, &keyed.key, message));
            }
        };
        let separator = if keyed.prefix.is_empty() && !self.settings.leading_separator {
            ""
        } else {
            keyed.separator.as_str()
        };
        for name in names {
            let name = safe_group_name(&format!("{}{separator}{name}", keyed.prefix));
            if name.is_empty() {
                continue;
            }
            let group = inventory.group_named(&name, keyed.span);
            inventory.join(group, host);
            if let Some(parent) = parent.as_deref().filter(|parent| !parent.is_empty()) {
                let parent = inventory.group_named(&safe_group_name(parent), keyed.span);
                inventory.link(parent, group, keyed.span)?;
            }
        }
        Ok(())
    }

    /// What expressions see of a host while the inventory is not settled yet.
    fn variables(&self, inventory: &mut Inventory, host: HostId) -> Result<Dict, InventoryError> {
        inventory.refresh_set(host);
        let behaviour = inventory.options.hash_behaviour;
        let groups = inventory.groups_of(host).to_vec();
        let bases: Vec<PathBuf> = if self.settings.use_vars_plugins {
            inventory.bases().map(PathBuf::from).collect()
        } else {
            Vec::new()
        };
        let mut vars = Dict::new();
        for group in &groups {
            combine_into(&mut vars, inventory.group(*group).vars().values(), behaviour);
        }
        let name = inventory.host_name(host).clone();
        let names = groups.iter().map(|group| (Kind::Group, inventory.group(*group).name().clone()));
        let files = |kind: Kind, name: &str, vars: &mut Dict| -> Result<(), InventoryError> {
            for base in &bases {
                let found = inventory.files.of(base, kind, name).map_err(|error| (*error).clone())?;
                for file in found.iter() {
                    combine_into(vars, file.vars.values(), behaviour);
                }
            }
            Ok(())
        };
        for (kind, name) in names.collect::<Vec<_>>() {
            files(kind, &name, &mut vars)?;
        }
        combine_into(&mut vars, inventory.host(host).vars().values(), behaviour);
        files(Kind::Host, &name, &mut vars)?;
        vars.update(&inventory.magic_vars(host));
        if self.settings.use_extra_vars {
            combine_into(&mut vars, &inventory.options.extra_vars, behaviour);
        }
        Ok(vars)
    }
}

/// What `default_value` stands in for.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Conditions are booleans; everything else is a mistake, as in ansible-core 2.19.
fn truth(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("the condition is {}, not a boolean", plugin::described(value)))
}
