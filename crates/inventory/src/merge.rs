//! Which value of a variable wins: levels 3 to 10 of Ansible's precedence, merged once per host and shared.
//!
//! Order, weakest first: inventory group variables (parents before children; by depth, `ansible_group_priority`, name),
//! `group_vars/all` beside the inventory, beside the playbook, `group_vars/*` beside the inventory, beside the playbook,
//! inventory host variables, `host_vars/*` beside the inventory, beside the playbook.
//!
//! Hosts of the same groups share the merged group part; a host without variables of its own shares all of it.
//!
//! **Invariant:** the value of [`Inventory::host_vars`] is that of the definition that [`Inventory::explain`] says wins.
//! Checked in `tests/it/laws.rs`.

use crate::error::{InventoryError, Warning};
use crate::model::{GroupId, HostId, Inventory};
use crate::var_files::{FileVars, Kind};
use crate::vars::{HashBehaviour, Vars, combine_into};
use quorate_value::{Dict, Key, Span, Value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A value that is computed once, or why it could not be.
pub(crate) type Shared<T> = Result<Arc<T>, Arc<InventoryError>>;

/// Hosts in exactly the same groups.
#[derive(Debug)]
pub(crate) struct GroupSet {
    /// With parents, in merging order.
    pub(crate) groups: Arc<[GroupId]>,
    /// `group_names`.
    pub(crate) names: Value,
    pub(crate) merged: OnceLock<Shared<Dict>>,
}

/// A level of precedence, weakest first. The numbers are those of Ansible's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Group variables in an inventory file or script.
    InventoryGroup = 3,
    /// `group_vars/all` beside the inventory.
    InventoryGroupVarsAll = 4,
    /// `group_vars/all` beside the playbook.
    PlaybookGroupVarsAll = 5,
    /// `group_vars/*` beside the inventory.
    InventoryGroupVars = 6,
    /// `group_vars/*` beside the playbook.
    PlaybookGroupVars = 7,
    /// Host variables in an inventory file or script, and those of `add_host`.
    InventoryHost = 8,
    /// `host_vars/*` beside the inventory.
    InventoryHostVars = 9,
    /// `host_vars/*` beside the playbook.
    PlaybookHostVars = 10,
}

impl Level {
    /// The number in Ansible's list of 22.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Level::InventoryGroup => "inventory group variables",
            Level::InventoryGroupVarsAll => "inventory group_vars/all",
            Level::PlaybookGroupVarsAll => "playbook group_vars/all",
            Level::InventoryGroupVars => "inventory group_vars",
            Level::PlaybookGroupVars => "playbook group_vars",
            Level::InventoryHost => "inventory host variables",
            Level::InventoryHostVars => "inventory host_vars",
            Level::PlaybookHostVars => "playbook host_vars",
        })
    }
}

/// One place that defines a variable for a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its level.
    pub level: Level,
    /// The group or host that it belongs to.
    pub owner: Arc<str>,
    /// The value it gives.
    pub value: Value,
    /// Where the name of the variable stands. Unknown for what scripts and `add_host` say.
    pub span: Span,
    /// The file, for what stands in `group_vars/` and `host_vars/`; the source for scripts.
    pub path: Option<PathBuf>,
    /// Whether this is the one that counts. With `hash_behaviour = merge` every mapping that is merged in counts.
    pub wins: bool,
}

/// Variables of one level and owner.
enum Layer<'a> {
    Inventory(Level, &'a Arc<str>, &'a Vars),
    File(Level, &'a Arc<str>, Arc<FileVars>),
}

impl Layer<'_> {
    fn vars(&self) -> &Vars {
        match self {
            Layer::Inventory(_, _, vars) => vars,
            Layer::File(_, _, file) => &file.vars,
        }
    }
}

impl Inventory {
    /// The variables of a host from inventory, `group_vars/` and `host_vars/`; shared and merged once.
    ///
    /// Magic variables (`inventory_hostname`, `groups`, …) are not among them: see [`Inventory::magic_vars`].
    pub fn host_vars(&self, host: HostId) -> Result<Arc<Dict>, Arc<InventoryError>> {
        self.host(host).merged.get_or_init(|| self.merge_host(host)).clone()
    }

    /// `inventory_hostname`, `inventory_hostname_short`, `inventory_file`, `inventory_dir`, `group_names` of a host.
    pub fn magic_vars(&self, id: HostId) -> Dict {
        let host = self.host(id);
        let short = host.name.split('.').next().unwrap_or_default();
        let mut magic = Dict::with_capacity(5);
        magic.insert("inventory_hostname", host.name.as_ref());
        magic.insert("inventory_hostname_short", short);
        magic.insert("group_names", self.group_names(id).clone());
        let source = host.source.as_ref();
        magic.insert(
            "inventory_file",
            source.map(|source| source.text.as_str()).map_or(Value::Null, Value::from),
        );
        let directory = source.and_then(|source| source.directory.as_ref());
        magic.insert(
            "inventory_dir",
            directory.map_or(Value::Null, |path| Value::from(path.to_string_lossy().as_ref())),
        );
        magic
    }

    /// Every definition of a variable for a host, strongest last.
    pub fn explain(&self, host: HostId, name: &str) -> Result<Vec<Definition>, Arc<InventoryError>> {
        let mut layers = self.group_layers(self.groups_of(host))?;
        layers.extend(self.host_layers(host)?);
        let mut found = Vec::new();
        for layer in &layers {
            let Some((value, span)) = layer.vars().get(name) else { continue };
            let (level, owner, path) = match layer {
                Layer::Inventory(level, owner, _) => (*level, Arc::clone(owner), None),
                Layer::File(level, owner, file) => (*level, Arc::clone(owner), Some(file.path.clone())),
            };
            found.push(Definition { level, owner, value: value.clone(), span, path, wins: false });
        }
        let merges = self.options.hash_behaviour == HashBehaviour::Merge;
        let mut mappings = true;
        for (place, definition) in found.iter_mut().rev().enumerate() {
            mappings &= matches!(definition.value, Value::Dict(_));
            definition.wins = place == 0 || (merges && mappings);
        }
        Ok(found)
    }

    /// Names of all variables that any inventory source or variable file of any host defines, with where they stand.
    pub fn all_definitions(&self) -> Result<Vec<(Key, Span)>, Arc<InventoryError>> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut take = |layers: Vec<Layer<'_>>| {
            for layer in layers {
                for (key, _, span) in layer.vars().iter() {
                    if seen.insert((key.clone(), span)) {
                        found.push((key.clone(), span));
                    }
                }
            }
        };
        take(self.group_layers(&self.groups().collect::<Vec<_>>())?);
        for host in self.hosts() {
            take(self.host_layers(host)?);
        }
        Ok(found)
    }

    /// Reads every file of variables and gives all that is wrong in any of them, each once.
    pub fn check_vars(&self) -> Vec<Arc<InventoryError>> {
        let mut errors: Vec<Arc<InventoryError>> = Vec::new();
        let mut note = |result: Result<(), Arc<InventoryError>>| {
            if let Err(error) = result
                && !errors.iter().any(|known| Arc::ptr_eq(known, &error))
            {
                errors.push(error);
            }
        };
        for base in self.bases() {
            for group in self.groups.keys() {
                note(self.files.of(base, Kind::Group, group).map(drop));
            }
            for host in self.hosts.keys() {
                note(self.files.of(base, Kind::Host, host).map(drop));
            }
        }
        errors
    }

    /// Warnings about files of variables read so far; each is given once.
    pub fn take_vars_warnings(&self) -> Vec<Warning> {
        self.files.take_warnings()
    }

    /// Variables of a group as sources and files give them to it, without its parents (for `--graph --vars`, `--export`).
    pub fn group_vars(&self, group: GroupId) -> Result<Dict, Arc<InventoryError>> {
        let entry = self.group(group);
        let mut merged = entry.vars.values().clone();
        for base in self.bases() {
            for file in self.files.of(base, Kind::Group, &entry.name)?.iter() {
                combine_into(&mut merged, file.vars.values(), self.options.hash_behaviour);
            }
        }
        Ok(merged)
    }

    /// Variables of a host as sources and files give them to it, without its groups (for `--export`).
    pub fn own_host_vars(&self, host: HostId) -> Result<Dict, Arc<InventoryError>> {
        let mut merged = Dict::new();
        for layer in self.host_layers(host)? {
            combine_into(&mut merged, layer.vars().values(), self.options.hash_behaviour);
        }
        Ok(merged)
    }

    fn merge_host(&self, host: HostId) -> Shared<Dict> {
        let set = self.set_of(host);
        let base = set.merged.get_or_init(|| self.merge_groups(&set.groups)).clone()?;
        let layers = self.host_layers(host)?;
        if layers.is_empty() {
            return Ok(base);
        }
        let mut merged = if base.is_empty() { Dict::new() } else { Dict::clone(&base) };
        for layer in &layers {
            combine_into(&mut merged, layer.vars().values(), self.options.hash_behaviour);
        }
        Ok(Arc::new(merged))
    }

    fn merge_groups(&self, groups: &[GroupId]) -> Shared<Dict> {
        let mut merged = Dict::new();
        for layer in self.group_layers(groups)? {
            combine_into(&mut merged, layer.vars().values(), self.options.hash_behaviour);
        }
        Ok(Arc::new(merged))
    }

    fn group_layers(&self, groups: &[GroupId]) -> Result<Vec<Layer<'_>>, Arc<InventoryError>> {
        let mut layers = Vec::new();
        // The variables of `all` reach every host, also the implicit localhost, which is in no group.
        let all = [self.all()];
        let others: Vec<GroupId> = groups.iter().copied().filter(|group| *group != self.all()).collect();
        for group in all.iter().chain(&others) {
            let group = self.group(*group);
            if !group.vars.is_empty() {
                layers.push(Layer::Inventory(Level::InventoryGroup, &group.name, &group.vars));
            }
        }
        let inventories: Vec<&Path> = self.inventory_bases().collect();
        let playbook: Vec<&Path> = self.options.playbook_dir.iter().map(PathBuf::as_path).collect();
        for (level, bases, groups) in [
            (Level::InventoryGroupVarsAll, &inventories, &all[..]),
            (Level::PlaybookGroupVarsAll, &playbook, &all[..]),
            (Level::InventoryGroupVars, &inventories, &others[..]),
            (Level::PlaybookGroupVars, &playbook, &others[..]),
        ] {
            for base in bases {
                for group in groups {
                    let name = &self.group(*group).name;
                    let files = self.files.of(base, Kind::Group, name)?;
                    layers.extend(files.iter().map(|file| Layer::File(level, name, file.clone())));
                }
            }
        }
        Ok(layers)
    }

    fn host_layers(&self, id: HostId) -> Result<Vec<Layer<'_>>, Arc<InventoryError>> {
        let host = self.host(id);
        let mut layers = Vec::new();
        if !host.vars.is_empty() {
            layers.push(Layer::Inventory(Level::InventoryHost, &host.name, &host.vars));
        }
        let playbook = self.options.playbook_dir.iter().map(PathBuf::as_path);
        let bases = self
            .inventory_bases()
            .map(|base| (Level::InventoryHostVars, base))
            .chain(playbook.map(|base| (Level::PlaybookHostVars, base)));
        for (level, base) in bases {
            let files = self.files.of(base, Kind::Host, &host.name)?;
            layers.extend(files.iter().map(|file| Layer::File(level, &host.name, file.clone())));
        }
        Ok(layers)
    }

    /// Directories of inventory sources, in order; one that comes again counts where it comes last.
    fn inventory_bases(&self) -> impl Iterator<Item = &Path> {
        let directories = || self.sources.iter().filter_map(|source| source.directory.as_deref());
        directories()
            .enumerate()
            .filter(move |(place, base)| !directories().skip(place + 1).any(|later| later == *base))
            .map(|(_, base)| base)
    }

    pub(crate) fn bases(&self) -> impl Iterator<Item = &Path> {
        self.inventory_bases().chain(self.options.playbook_dir.as_deref())
    }
}
