//! What `ansible-inventory` prints: `--list`, `--host`, `--graph`, as JSON, YAML and TOML.
//!
//! In: an [`Inventory`] and a [`Show`]. Out: text, equal to ansible-core's but for the differences named at each format.
//! Checked in `tests/it/differential.rs` against recorded output.
//!
//! Not here: warnings, where the text goes.

mod toml;
mod yaml;

use crate::error::InventoryError;
use crate::model::{GroupId, HostId, Inventory};
use crate::pattern::Limit;
use crate::vars::{HashBehaviour, combine_into};
use quorate_value::{Dict, JsonStyle, Str, Value, dict, str_of};
use std::collections::HashSet;
use std::sync::Arc;

/// Variables that Ansible makes itself, so they are not shown even where an inventory sets them.
const INTERNAL: [&str; 33] = [
    "ansible_async_path",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
];

/// The format of `--list` and `--host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The default.
    #[default]
    Json,
    /// `--yaml`
    Yaml,
    /// `--toml`
    Toml,
}

/// What becomes of secrets (whole files that were encrypted) in the text. Inline `!vault` values stay ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// `********`
    #[default]
    Masked,
    /// As they are: Ansible's way, for programs that read the text.
    Plain,
}

/// How to show an inventory.
#[derive(Debug, Clone, Default)]
pub struct Show {
    /// The format.
    pub format: Format,
    /// `--export`: variables stay with the group that has them.
    pub export: bool,
    /// `--vars`, for the graph.
    pub vars: bool,
    /// `--limit`, for the list.
    pub limit: Option<Limit>,
    /// Extra variables (`-e`), which win over all others of a host.
    pub extra_vars: Dict,
    /// What becomes of secrets.
    pub secrets: Secrets,
}

/// Why an inventory cannot be shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShowError {
    /// A file of variables is broken.
    #[error(transparent)]
    Inventory(#[from] Arc<InventoryError>),
    /// `--host` with something that is not exactly one host.
    #[error("You must pass a single valid host to --host parameter")]
    NotOneHost,
    /// `--graph` with something that is no group.
    #[error("Pattern must be valid group name when using --graph")]
    NotAGroup,
    /// A value that the format cannot say.
    #[error("`{name}` cannot be written as {format}: {problem}")]
    Unwritable {
        /// The variable.
        name: String,
        /// The format.
        format: &'static str,
        /// What it cannot say.
        problem: String,
    },
}

impl Inventory {
    /// The text of `ansible-inventory --list`.
    pub fn show_list(&self, show: &Show) -> Result<String, ShowError> {
        let hosts = self.select_within("all", show.limit.as_ref()).hosts;
        let lister = Lister { inventory: self, show, available: hosts.iter().copied().collect() };
        match show.format {
            Format::Json => lister.json(&hosts),
            Format::Yaml => lister.yaml(),
            Format::Toml => lister.toml(),
        }
    }

    /// The text of `ansible-inventory --host`, for the one host that a pattern means.
    pub fn show_host(&self, pattern: &str, show: &Show) -> Result<String, ShowError> {
        let &[host] = &self.select(pattern).hosts[..] else { return Err(ShowError::NotOneHost) };
        let lister = Lister { inventory: self, show, available: HashSet::new() };
        let vars = lister.host_vars(host)?;
        match show.format {
            Format::Json => Ok(json(&vault_marked(&Value::dict(vars)))),
            Format::Yaml => yaml::write(&Value::dict(vars)),
            Format::Toml => toml::write(&vars),
        }
    }

    /// The text of `ansible-inventory --graph`, from a group (`all` where none is named).
    pub fn show_graph(&self, group: Option<&str>, show: &Show) -> Result<String, ShowError> {
        let group = self.group_id(group.unwrap_or("all")).ok_or(ShowError::NotAGroup)?;
        let lister = Lister { inventory: self, show, available: HashSet::new() };
        let mut out = String::new();
        lister.graph(&mut out, group, 0)?;
        Ok(out)
    }
}

/// JSON as `ansible-inventory` lays it out.
fn json(value: &Value) -> String {
    JsonStyle { indent: Some(4), sort_keys: true, ascii: false, compact: false }.write(value) + "\n"
}

/// What must not be shown, masked.
fn masked(value: &Value) -> Value {
    value.map_text(&|text| if text.is_secret() { Str::from("********") } else { text.clone() })
}

/// A date or time of YAML or TOML: text without a place, which Python's JSON writes with a `T`.
fn moment(text: &Str) -> Option<String> {
    if text.is_trusted() || text.span().is_known() {
        return None;
    }
    let digits: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_time = |text: &str| {
        text == "00:00:00"
            || (text.starts_with("00:00:00.")
                || text.starts_with("00:00:00+")
                || text.starts_with("00:00:00-"))
    };
    match digits.split_once(' ') {
        None => (digits == "0000-00-00" || is_time(&digits)).then(|| text.to_string()),
        Some((day, time)) => (day == "0000-00-00" && is_time(time)).then(|| text.replacen(' ', "T", 1)),
    }
}

/// Vaulted text and text that is no template, as the legacy inventory profile marks them in `--list`.
fn marked(value: &Value) -> Value {
    match value {
        Value::Str(text) if moment(text).is_some() => moment(text).map_or(Value::Null, Value::from),
        Value::Str(text) if !text.is_trusted() => Value::dict(dict! {"__ansible_unsafe" => text.clone()}),
        Value::Vault(text) => Value::dict(dict! {"__ansible_vault" => text.clone()}),
        Value::List(items) => items.iter().map(marked).collect(),
        Value::Dict(entries) => {
            Value::dict(entries.iter().map(|(key, value)| (key.clone(), marked(value))).collect())
        }
        other => other.clone(),
    }
}

/// Vaulted text as `--host` writes it.
fn vault_marked(value: &Value) -> Value {
    match value {
        Value::Str(text) => moment(text).map_or_else(|| value.clone(), Value::from),
        Value::Vault(text) => Value::dict(dict! {"__ansible_vault" => text.clone()}),
        Value::List(items) => items.iter().map(vault_marked).collect(),
        Value::Dict(entries) => {
            Value::dict(entries.iter().map(|(key, value)| (key.clone(), vault_marked(value))).collect())
        }
        other => other.clone(),
    }
}

struct Lister<'a> {
    inventory: &'a Inventory,
    show: &'a Show,
    /// Hosts within the limit.
    available: HashSet<HostId>,
}

impl Lister<'_> {
    fn host_vars(&self, host: HostId) -> Result<Dict, ShowError> {
        let mut vars = if self.show.export {
            self.inventory.own_host_vars(host)?
        } else {
            let mut vars = Dict::clone(&*self.inventory.host_vars(host)?);
            combine_into(&mut vars, &self.show.extra_vars, HashBehaviour::Replace);
            vars
        };
        self.clean(&mut vars);
        Ok(vars)
    }

    fn group_vars(&self, group: GroupId) -> Result<Dict, ShowError> {
        let mut vars = self.inventory.group_vars(group)?;
        let priority = self.inventory.group(group).priority();
        if priority != 1 {
            vars.insert("ansible_group_priority", priority);
        }
        self.clean(&mut vars);
        Ok(vars)
    }

    fn clean(&self, vars: &mut Dict) {
        vars.retain(|key, value| {
            if self.show.secrets == Secrets::Masked && value.holds_secret() {
                *value = masked(value);
            }
            !key.as_str().is_some_and(|name| INTERNAL.contains(&name))
        });
    }

    /// The hosts that a group names itself, within the limit.
    fn hosts_in(&self, group: GroupId) -> impl Iterator<Item = HostId> {
        let hosts = (group != self.inventory.all()).then(|| self.inventory.group(group).own_hosts());
        hosts.into_iter().flatten().filter(|host| self.available.contains(host))
    }

    fn json(&self, hosts: &[HostId]) -> Result<String, ShowError> {
        let mut out = Dict::new();
        let mut waiting = vec![self.inventory.all()];
        let mut seen = HashSet::new();
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            let group = self.inventory.group(id);
            let mut entry = Dict::new();
            let hosts: Value =
                self.hosts_in(id).map(|host| self.inventory.host_name(host).as_ref()).collect();
            if hosts.is_truthy() {
                entry.insert("hosts", hosts);
            }
            let children: Value =
                group.children().map(|child| self.inventory.group(child).name().as_ref()).collect();
            if children.is_truthy() {
                entry.insert("children", children);
            }
            if self.show.export {
                let vars = self.group_vars(id)?;
                if !vars.is_empty() {
                    entry.insert("vars", marked(&Value::dict(vars)));
                }
            }
            if !entry.is_empty() {
                out.insert(group.name().clone(), entry);
            }
            waiting.extend(group.children());
        }
        let mut hostvars = Dict::new();
        for host in hosts {
            let vars = self.host_vars(*host)?;
            if !vars.is_empty() {
                hostvars.insert(self.inventory.host_name(*host).clone(), marked(&Value::dict(vars)));
            }
        }
        out.insert("_meta", dict! {"hostvars" => hostvars, "profile" => "inventory_legacy"});
        Ok(json(&Value::dict(out)))
    }

    fn graph(&self, out: &mut String, id: GroupId, depth: usize) -> Result<(), ShowError> {
        let group = self.inventory.group(id);
        line(out, depth, &format!("@{}:", group.name()));
        for child in group.children() {
            self.graph(out, child, depth + 1)?;
        }
        if id != self.inventory.all() {
            for host in group.own_hosts() {
                line(out, depth + 1, self.inventory.host_name(host));
                if self.show.vars {
                    self.graph_vars(out, &self.host_vars(host)?, depth + 2);
                }
            }
        }
        if self.show.vars {
            self.graph_vars(out, &self.group_vars(id)?, depth + 1);
        }
        Ok(())
    }

    fn graph_vars(&self, out: &mut String, vars: &Dict, depth: usize) {
        for (key, value) in &vars.sorted() {
            let value = match value {
                // Ansible decrypts here; a graph is for reading, so the secret stays one.
                Value::Vault(_) => "********".to_owned(),
                value => str_of(value),
            };
            line(out, depth, &format!("{{{} = {value}}}", key.json_text()));
        }
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    for _ in 0..depth {
        out.push_str("  |");
    }
    if depth > 0 {
        out.push_str("--");
    }
    out.push_str(text);
    out.push('\n');
}
