//! What the caller decides about an inventory: where to look, how values combine, who opens vaults and templates.

use crate::vars::HashBehaviour;
use quorate_value::{Dict, Str, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens vaulted files.
pub trait Decrypt: Send + Sync {
    /// The plain text of an encrypted file. The error is a fragment: "no password opens it".
    fn decrypt(&self, text: &[u8], path: &Path) -> Result<String, String>;
}

/// Evaluates the expressions of `constructed` and `generator` sources.
pub trait Templates: Send + Sync {
    /// The value of a bare Jinja expression, such as `var1 + var2`.
    fn expression(&self, expression: &Str, variables: &Arc<Dict>) -> Result<Value, String>;

    /// The value of a template, such as `{{ operation }}_{{ application }}`.
    fn template(&self, template: &Str, variables: &Arc<Dict>) -> Result<Value, String>;
}

/// What to do with group names that are no variable names (`TRANSFORM_INVALID_GROUP_CHARS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupNames {
    /// Keep them and warn.
    #[default]
    Never,
    /// Keep them.
    Ignore,
    /// Replace what is wrong and warn.
    Always,
    /// Replace what is wrong.
    Silently,
}

/// A way of reading a source (`INVENTORY_ENABLED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// `a,b`
    HostList,
    /// `web[1:3],db`
    AdvancedHostList,
    /// An executable that prints JSON.
    Script,
    /// YAML with a `plugin:` key.
    Auto,
    /// YAML.
    Yaml,
    /// INI.
    Ini,
    /// TOML.
    Toml,
    /// `plugin: constructed`
    Constructed,
    /// `plugin: generator`
    Generator,
}

impl Plugin {
    /// All of them, by Ansible's names.
    pub const NAMES: [(&'static str, Plugin); 9] = [
        ("host_list", Plugin::HostList),
        ("advanced_host_list", Plugin::AdvancedHostList),
        ("script", Plugin::Script),
        ("auto", Plugin::Auto),
        ("yaml", Plugin::Yaml),
        ("ini", Plugin::Ini),
        ("toml", Plugin::Toml),
        ("constructed", Plugin::Constructed),
        ("generator", Plugin::Generator),
    ];

    /// The plugin of this name, with or without `ansible.builtin.`.
    pub fn named(name: &str) -> Option<Plugin> {
        let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy."));
        let short = short.unwrap_or(name);
        Self::NAMES.iter().find(|(known, _)| *known == short).map(|(_, plugin)| *plugin)
    }

    /// Ansible's name for it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, plugin)| *plugin == self).map_or("", |(name, _)| name)
    }
}

/// How to read an inventory.
#[derive(Clone)]
pub struct Options {
    /// Ways of reading a source, in the order in which they are tried.
    pub enabled: Vec<Plugin>,
    /// The directory whose `group_vars/` and `host_vars/` belong to the playbook.
    pub playbook_dir: Option<PathBuf>,
    /// How values of several levels combine.
    pub hash_behaviour: HashBehaviour,
    /// What to do with odd group names.
    pub group_names: GroupNames,
    /// Endings of files that are no sources in an inventory directory.
    pub ignored_extensions: Vec<String>,
    /// Regular expressions of file names that are no sources in an inventory directory.
    pub ignored_patterns: Vec<String>,
    /// Endings of YAML inventories (`yaml_valid_extensions`).
    pub yaml_extensions: Vec<String>,
    /// Endings of files in `group_vars/` and `host_vars/`, in the order in which they are looked for.
    pub vars_extensions: Vec<String>,
    /// `ansible_python_interpreter` of the implicit localhost.
    pub implicit_python: String,
    /// `ansible_playbook`'s extra variables, for `constructed` sources with `use_extra_vars`.
    pub extra_vars: Arc<Dict>,
    /// Opens vaulted files; without it they are errors.
    pub decrypt: Option<Arc<dyn Decrypt>>,
    /// Evaluates templates; without it `constructed` and `generator` sources are errors.
    pub templates: Option<Arc<dyn Templates>>,
}

impl Default for Options {
    fn default() -> Self {
        let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        Options {
            enabled: vec![
                Plugin::HostList,
                Plugin::Script,
                Plugin::Auto,
                Plugin::Yaml,
                Plugin::Ini,
                Plugin::Toml,
            ],
            playbook_dir: None,
            hash_behaviour: HashBehaviour::Replace,
            group_names: GroupNames::Never,
            ignored_extensions: owned(&[
                ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
            ]),
            ignored_patterns: Vec::new(),
            yaml_extensions: owned(&[".yaml", ".yml", ".json"]),
            vars_extensions: owned(&[".yml", ".yaml", ".json"]),
            implicit_python: "/usr/bin/python3".into(),
            extra_vars: Arc::default(),
            decrypt: None,
            templates: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("enabled", &self.enabled)
            .field("playbook_dir", &self.playbook_dir)
            .field("hash_behaviour", &self.hash_behaviour)
            .finish_non_exhaustive()
    }
}
