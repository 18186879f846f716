//! Building an inventory: declaring groups and hosts, joining them, setting variables, settling what sources leave open.
//!
//! In: what sources and run-time actions say. Out: an [`Inventory`] whose memberships, depths and group sets agree.

use crate::error::{InventoryError, Warning};
use crate::merge::GroupSet;
use crate::model::{FIRST_IMPLICIT, Group, GroupId, Host, HostId, Inventory, LOCALHOST};
use crate::options::GroupNames;
use crate::vars::{Vars, is_variable_name};
use indexmap::IndexSet;
use quorate_value::{Key, Span, Value};
use std::sync::{Arc, OnceLock};

impl Inventory {
    /// Forgets all groups and hosts.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
        self.hosts.clear();
        self.localhost = OnceLock::new();
        let all = self.group_named("all", Span::default());
        let ungrouped = self.group_named("ungrouped", Span::default());
        self.link(all, ungrouped, Span::default()).expect("two groups make no loop");
        let behaviour = self.options.hash_behaviour;
        self.implicit = LOCALHOST
            .iter()
            .map(|name| {
                let mut vars = Vars::new();
                vars.set("ansible_connection", Value::from("local"), Span::default(), behaviour);
                let python = self.options.implicit_python.as_str();
                vars.set("ansible_python_interpreter", Value::from(python), Span::default(), behaviour);
                Host {
                    name: Arc::from(*name),
                    groups: Vec::new(),
                    vars,
                    implicit: true,
                    source: None,
                    span: Span::default(),
                    set: 0,
                    merged: OnceLock::new(),
                }
            })
            .collect();
        self.reconcile();
    }

    /// The group of this name, made where it is not there. The name is taken as it is.
    pub(crate) fn group_named(&mut self, name: &str, span: Span) -> GroupId {
        let entry = self.groups.entry(Arc::from(name));
        let index = entry.index();
        let name = entry.key().clone();
        entry.or_insert_with(|| Group { name, priority: 1, span, ..Group::default() });
        GroupId(index as u32)
    }

    /// The group of this name, made where it is not there, its name checked as the options say.
    pub(crate) fn declare_group(&mut self, name: &str, span: Span) -> Result<GroupId, InventoryError> {
        if name.is_empty() {
            let problem = String::from("a group needs a name");
            return Err(InventoryError::Name { span, ansible: problem.clone(), problem });
        }
        if let Some(group) = self.group_id(name) {
            return Ok(group);
        }
        let good = safe_group_name(name) == name;
        match self.options.group_names {
            _ if good => {}
            GroupNames::Ignore => {}
            GroupNames::Never => self.warnings.push(Warning::GroupName { name: name.to_owned(), span }),
            GroupNames::Silently | GroupNames::Always => {
                let to = safe_group_name(name);
                if self.options.group_names == GroupNames::Always {
                    self.warnings.push(Warning::GroupRenamed { name: name.to_owned(), to: to.clone(), span });
                }
                return Ok(self.group_named(&to, span));
            }
        }
        Ok(self.group_named(name, span))
    }

    /// The host of this name, made where it is not there, in a group.
    pub(crate) fn declare_host(
        &mut self,
        name: &str,
        group: GroupId,
        port: Option<u32>,
        span: Span,
    ) -> HostId {
        let id = match self.hosts.get_index_of(name) {
            Some(index) => HostId(index as u32),
            None => self.new_host(name, port, span),
        };
        self.join(group, id);
        id
    }

    /// The host of this name, made where it is not there, in no group yet.
    pub(crate) fn declare_host_alone(&mut self, name: &str, span: Span) -> HostId {
        match self.hosts.get_index_of(name) {
            Some(index) => HostId(index as u32),
            None => self.new_host(name, None, span),
        }
    }

    /// Finds the groups of a host anew while sources are still being read.
    pub(crate) fn refresh_set(&mut self, host: HostId) {
        self.measure_depths();
        self.sets.clear();
        self.host_set_of_implicit();
        self.settle_host(host);
    }

    fn new_host(&mut self, name: &str, port: Option<u32>, span: Span) -> HostId {
        let id = HostId(self.hosts.len() as u32);
        let name: Arc<str> = Arc::from(name);
        let mut vars = Vars::new();
        if let Some(port) = port {
            vars.set("ansible_port", Value::from(port), span, self.options.hash_behaviour);
        }
        if LOCALHOST.contains(&name.as_ref()) {
            let mut first = None;
            if let Some(&local) = self.localhost.get() {
                first = (local.0 < FIRST_IMPLICIT).then(|| self.host_name(local).to_string());
            }
            match first {
                Some(first) => {
                    self.warnings.push(Warning::SecondLocalhost { first, second: name.to_string() });
                }
                None => self.localhost = OnceLock::from(id),
            }
        }
        let host = Host {
            name: name.clone(),
            groups: Vec::new(),
            vars,
            implicit: false,
            source: self.current.clone(),
            span,
            set: 0,
            merged: OnceLock::new(),
        };
        self.hosts.insert(name, host);
        id
    }

    pub(crate) fn join(&mut self, group: GroupId, host: HostId) {
        if self.groups[group.0 as usize].hosts.insert(host) {
            self.hosts[host.0 as usize].groups.push(group);
        }
    }

    /// Makes `child` a child of `parent`.
    pub(crate) fn link(&mut self, parent: GroupId, child: GroupId, span: Span) -> Result<(), InventoryError> {
        if parent == child || self.ancestors(parent).contains(&child) {
            let name = |id| self.group(id).name.to_string();
            return Err(InventoryError::Loop { span, parent: name(parent), child: name(child) });
        }
        if self.groups[parent.0 as usize].children.insert(child) {
            self.groups[child.0 as usize].parents.push(parent);
        }
        Ok(())
    }

    /// Sets a variable of a group. `ansible_group_priority` is no variable.
    pub(crate) fn set_group_var(
        &mut self,
        group: GroupId,
        name: Key,
        value: Value,
        span: Span,
    ) -> Result<(), InventoryError> {
        if name.as_str() == Some("ansible_group_priority") {
            let priority = match &value {
                Value::Int(number) => Some(*number),
                Value::Bool(flag) => Some(i64::from(*flag)),
                Value::Float(number) => Some(*number as i64),
                Value::Str(text) => text.trim().parse().ok(),
                _ => None,
            };
            let Some(priority) = priority else {
                let group = self.group(group).name.to_string();
                return Err(InventoryError::Priority { span, group, value: quorate_value::str_of(&value) });
            };
            self.groups[group.0 as usize].priority = priority;
            return Ok(());
        }
        self.check_variable_name(&name, span);
        let behaviour = self.options.hash_behaviour;
        self.groups[group.0 as usize].vars.set(name, value, span, behaviour);
        Ok(())
    }

    /// Sets a variable of a host; where a group has the same name, of that group, as Ansible does.
    pub(crate) fn set_host_var(
        &mut self,
        host: HostId,
        name: Key,
        value: Value,
        span: Span,
    ) -> Result<(), InventoryError> {
        if let Some(group) = self.group_id(&self.host(host).name) {
            let host = self.host(host).name.to_string();
            if !self
                .warnings
                .iter()
                .any(|warning| matches!(warning, Warning::HostVarsToGroup { name, .. } if *name == host))
            {
                self.warnings.push(Warning::HostVarsToGroup { name: host, span });
            }
            return self.set_group_var(group, name, value, span);
        }
        self.check_variable_name(&name, span);
        let behaviour = self.options.hash_behaviour;
        self.hosts[host.0 as usize].vars.set(name, value, span, behaviour);
        Ok(())
    }

    /// Sets the same variables for hosts that one entry names.
    pub(crate) fn set_host_vars(
        &mut self,
        hosts: &[HostId],
        vars: Vec<(Key, Value, Span)>,
    ) -> Result<(), InventoryError> {
        for (name, _, span) in &vars {
            self.check_variable_name(name, *span);
        }
        let Some((&last, others)) = hosts.split_last() else { return Ok(()) };
        for &host in others {
            self.give_vars(host, vars.clone())?;
        }
        self.give_vars(last, vars)
    }

    fn give_vars(&mut self, host: HostId, vars: Vec<(Key, Value, Span)>) -> Result<(), InventoryError> {
        if self.groups.contains_key(&self.host(host).name) {
            return vars
                .into_iter()
                .try_for_each(|(name, value, span)| self.set_host_var(host, name, value, span));
        }
        let behaviour = self.options.hash_behaviour;
        self.hosts[host.0 as usize].vars.set_all(vars, behaviour);
        Ok(())
    }

    fn check_variable_name(&mut self, name: &Key, span: Span) {
        if !is_variable_name(name) {
            self.warnings.push(Warning::VariableName { name: name.json_text().into_owned(), span });
        }
    }

    /// Settles what sources leave open: every group under `all`, hosts without a group in `ungrouped`, depths, sets.
    pub(crate) fn reconcile(&mut self) {
        let (all, ungrouped) = (self.all(), self.ungrouped());
        for group in self.groups() {
            if group != all && self.group(group).parents.is_empty() {
                self.link(all, group, Span::default()).expect("a group without parents is above nothing");
            }
        }
        let mut settled = std::mem::take(&mut self.groups[ungrouped.0 as usize].hosts);
        settled.retain(|host| {
            let host = &mut self.hosts[host.0 as usize];
            let elsewhere = host.groups.iter().any(|group| *group != all && *group != ungrouped);
            if elsewhere {
                host.groups.retain(|group| *group != ungrouped);
            }
            !elsewhere
        });
        self.groups[ungrouped.0 as usize].hosts = settled;
        for id in self.hosts() {
            let groups = &self.hosts[id.0 as usize].groups;
            if groups.iter().all(|group| *group == all) {
                self.join(ungrouped, id);
            }
        }
        self.measure_depths();
        self.sets.clear();
        self.host_set_of_implicit();
        for id in self.hosts() {
            self.settle_host(id);
        }
        self.magic_groups = OnceLock::new();
    }

    fn host_set_of_implicit(&mut self) {
        let set = self.set_for(&[]);
        for host in &mut self.implicit {
            host.set = set;
            host.merged = OnceLock::new();
        }
    }

    /// Finds the group set of a host anew and forgets its merged variables.
    pub(crate) fn settle_host(&mut self, id: HostId) {
        let mut direct = self.hosts[id.0 as usize].groups.clone();
        direct.sort_unstable();
        let set = self.set_for(&direct);
        let host = &mut self.hosts[id.0 as usize];
        host.set = set;
        host.merged = OnceLock::new();
    }

    fn set_for(&mut self, direct: &[GroupId]) -> usize {
        if let Some(index) = self.sets.get_index_of(direct) {
            return index;
        }
        let mut groups: IndexSet<GroupId> = direct.iter().copied().collect();
        for group in direct {
            groups.extend(self.ancestors(*group));
        }
        let mut groups: Vec<GroupId> = groups.into_iter().collect();
        groups.sort_by(|a, b| {
            let (a, b) = (self.group(*a), self.group(*b));
            (a.depth, a.priority, &a.name).cmp(&(b.depth, b.priority, &b.name))
        });
        let mut names: Vec<&str> = groups
            .iter()
            .filter(|group| **group != self.all())
            .map(|group| &*self.group(*group).name)
            .collect();
        names.sort_unstable();
        let names = names.into_iter().collect();
        let set = GroupSet { groups: groups.into(), names, merged: OnceLock::new() };
        self.sets.insert_full(direct.to_vec(), set).0
    }

    /// Depth is the longest way from `all`.
    fn measure_depths(&mut self) {
        for group in self.groups.values_mut() {
            group.depth = 0;
        }
        let mut waiting: Vec<usize> = self.groups.values().map(|group| group.parents.len()).collect();
        let mut ready: Vec<GroupId> = self.groups().filter(|group| waiting[group.0 as usize] == 0).collect();
        while let Some(group) = ready.pop() {
            let depth = self.group(group).depth + 1;
            let children: Vec<GroupId> = self.group(group).children().collect();
            for child in children {
                let entry = &mut self.groups[child.0 as usize];
                entry.depth = entry.depth.max(depth);
                waiting[child.0 as usize] -= 1;
                if waiting[child.0 as usize] == 0 {
                    ready.push(child);
                }
            }
        }
    }

    /// Names that are a group and a host.
    pub(crate) fn warn_of_shared_names(&mut self) {
        let mut shared: Vec<_> = self
            .groups
            .keys()
            .filter(|name| self.hosts.contains_key(*name))
            .map(ToString::to_string)
            .collect();
        shared.sort_unstable();
        self.warnings.extend(shared.into_iter().map(|name| Warning::GroupAndHost { name }));
    }
}

/// Every character that no variable name may have, as `_`.
pub(crate) fn safe_group_name(name: &str) -> String {
    let mut first = true;
    let mut keep = |c: char| {
        let first = std::mem::take(&mut first);
        c == '_' || if first { c.is_alphabetic() } else { c.is_alphanumeric() }
    };
    name.chars().map(|c| if keep(c) { c } else { '_' }).collect()
}
