//! Groups and hosts: who belongs where.
//!
//! In: calls of the sources while loading, of `add_host` and `group_by` while running. Out: memberships, depths, order.
//!
//! **Invariant:** groups form no cycle; `all` and `ungrouped` always exist; ids stay valid for the life of the inventory.
//!
//! Not here: which value of a variable wins (`merge`), what a pattern matches (`pattern`).

use crate::error::Warning;
use crate::merge::{GroupSet, Shared};
use crate::options::Options;
use crate::var_files::VarFiles;
use crate::vars::Vars;
use indexmap::{IndexMap, IndexSet};
use quorate_value::{Dict, Key, Span, Value};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A host of one inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub(crate) u32);

/// A group of one inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub(crate) u32);

/// The names that mean this machine even where no inventory has them.
pub const LOCALHOST: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// Hosts from this number on are the implicit ones.
pub(crate) const FIRST_IMPLICIT: u32 = u32::MAX - 3;

/// A host.
#[derive(Debug)]
pub struct Host {
    pub(crate) name: Arc<str>,
    /// Groups that name it, without their parents.
    pub(crate) groups: Vec<GroupId>,
    pub(crate) vars: Vars,
    pub(crate) implicit: bool,
    /// The source that named it first.
    pub(crate) source: Option<Arc<Source>>,
    pub(crate) span: Span,
    /// Index into the group sets.
    pub(crate) set: usize,
    pub(crate) merged: OnceLock<Shared<Dict>>,
}

impl Host {
    /// Its name, `inventory_hostname`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether no inventory names it: the `localhost` that is always there.
    pub fn is_implicit(&self) -> bool {
        self.implicit
    }

    /// Where the inventory names it first.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Variables that inventory sources give to it (not `host_vars/`, not its groups).
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// The source that named it first.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_deref()
    }
}

/// A group.
#[derive(Debug, Default)]
pub struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) children: IndexSet<GroupId>,
    pub(crate) parents: Vec<GroupId>,
    pub(crate) hosts: IndexSet<HostId>,
    pub(crate) vars: Vars,
    pub(crate) depth: u32,
    pub(crate) priority: i64,
    pub(crate) span: Span,
}

impl Group {
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its children, in order.
    pub fn children(&self) -> impl Iterator<Item = GroupId> {
        self.children.iter().copied()
    }

    /// Its parents.
    pub fn parents(&self) -> &[GroupId] {
        &self.parents
    }

    /// The hosts it names itself, without those of its children.
    pub fn own_hosts(&self) -> impl Iterator<Item = HostId> {
        self.hosts.iter().copied()
    }

    /// Variables that inventory sources give to it (not `group_vars/`).
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// The longest way from `all`.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// `ansible_group_priority`, 1 unless set.
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// Where the inventory names it first.
    pub fn span(&self) -> Span {
        self.span
    }
}

/// Where hosts and groups came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path, made absolute, or the list of hosts as given.
    pub text: String,
    /// The directory of `group_vars/` and `host_vars/` beside it; nothing for lists of hosts.
    pub directory: Option<PathBuf>,
}

/// Groups, hosts and their variables.
#[derive(Debug)]
pub struct Inventory {
    pub(crate) groups: IndexMap<Arc<str>, Group>,
    pub(crate) hosts: IndexMap<Arc<str>, Host>,
    pub(crate) implicit: Vec<Host>,
    /// The host that `localhost` and its other names mean where they are not hosts themselves.
    pub(crate) localhost: OnceLock<HostId>,
    pub(crate) sets: IndexMap<Vec<GroupId>, GroupSet>,
    pub(crate) sources: Vec<Arc<Source>>,
    pub(crate) options: Options,
    pub(crate) files: VarFiles,
    pub(crate) warnings: Vec<Warning>,
    /// The source being read; hosts remember it.
    pub(crate) current: Option<Arc<Source>>,
    pub(crate) magic_groups: OnceLock<Value>,
}

impl Inventory {
    /// An inventory with nothing in it but `all`, `ungrouped` and the implicit localhost.
    pub fn new(options: Options) -> Self {
        let mut inventory = Inventory {
            groups: IndexMap::new(),
            hosts: IndexMap::new(),
            implicit: Vec::new(),
            localhost: OnceLock::new(),
            sets: IndexMap::new(),
            sources: Vec::new(),
            files: VarFiles::new(&options),
            options,
            warnings: Vec::new(),
            current: None,
            magic_groups: OnceLock::new(),
        };
        inventory.clear();
        inventory
    }

    /// A host by id.
    pub fn host(&self, id: HostId) -> &Host {
        match id.0.checked_sub(FIRST_IMPLICIT) {
            Some(implicit) => &self.implicit[implicit as usize],
            None => &self.hosts[id.0 as usize],
        }
    }

    /// A group by id.
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.0 as usize]
    }

    /// The name of a host.
    pub fn host_name(&self, id: HostId) -> &Arc<str> {
        &self.host(id).name
    }

    /// The host of this name. `localhost` and its other names always exist.
    pub fn host_id(&self, name: &str) -> Option<HostId> {
        self.hosts.get_index_of(name).map(|index| HostId(index as u32)).or_else(|| {
            let place = LOCALHOST.iter().position(|local| *local == name)?;
            Some(*self.localhost.get_or_init(|| HostId(FIRST_IMPLICIT + place as u32)))
        })
    }

    /// The group of this name.
    pub fn group_id(&self, name: &str) -> Option<GroupId> {
        self.groups.get_index_of(name).map(|index| GroupId(index as u32))
    }

    /// All hosts that inventory sources name, in order.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = HostId> + use<> {
        (0..self.hosts.len() as u32).map(HostId)
    }

    /// All groups, in order.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupId> + use<> {
        (0..self.groups.len() as u32).map(GroupId)
    }

    /// The group that contains all others.
    pub fn all(&self) -> GroupId {
        GroupId(0)
    }

    /// The group of hosts in no other group.
    pub fn ungrouped(&self) -> GroupId {
        GroupId(1)
    }

    /// Sources that were given, in order.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().map(Arc::as_ref)
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Hosts of a group and of the groups below it, in Ansible's order: its own first, then level by level.
    pub fn hosts_of(&self, group: GroupId) -> Vec<HostId> {
        let mut order = IndexSet::from([group]);
        let mut next = 0;
        while let Some(&group) = order.get_index(next) {
            order.extend(self.group(group).children.iter().copied());
            next += 1;
        }
        let mut hosts = IndexSet::new();
        for group in order {
            hosts.extend(self.group(group).hosts.iter().copied());
        }
        hosts.into_iter().collect()
    }

    /// All groups above a group, itself not counted.
    pub(crate) fn ancestors(&self, group: GroupId) -> IndexSet<GroupId> {
        let mut found: IndexSet<GroupId> = self.group(group).parents.iter().copied().collect();
        let mut next = 0;
        while let Some(&group) = found.get_index(next) {
            found.extend(self.group(group).parents.iter().copied());
            next += 1;
        }
        found
    }

    /// Groups of a host with all their parents, in the order in which their variables are merged.
    pub fn groups_of(&self, host: HostId) -> &[GroupId] {
        &self.set_of(host).groups
    }

    /// `group_names`: groups of a host with all their parents but `all`, sorted by name.
    pub fn group_names(&self, host: HostId) -> &Value {
        &self.set_of(host).names
    }

    pub(crate) fn set_of(&self, host: HostId) -> &GroupSet {
        &self.sets[self.host(host).set]
    }

    /// `groups`: every group with the names of its hosts.
    pub fn groups_value(&self) -> &Value {
        self.magic_groups.get_or_init(|| {
            let names = |group| -> Value {
                self.hosts_of(group)
                    .into_iter()
                    .map(|host| Value::from(self.host_name(host).as_ref()))
                    .collect()
            };
            Value::dict(
                self.groups().map(|group| (Key::Str(self.group(group).name.clone()), names(group))).collect(),
            )
        })
    }

    /// The directory of `group_vars/` beside the source that named a host first (`inventory_dir`).
    pub fn directory_of(&self, host: HostId) -> Option<&Path> {
        self.host(host).source.as_ref()?.directory.as_deref()
    }
}
