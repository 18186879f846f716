//! Changes while a run is under way: `add_host`, `group_by`.

use crate::error::{InventoryError, Warning};
use crate::model::{GroupId, HostId, Inventory};
use quorate_value::{Dict, Span};
use std::sync::OnceLock;

impl Inventory {
    /// Adds a host to groups, making what is not there, and sets its variables. Tells whether anything was new.
    ///
    /// Without groups the host is in `ungrouped`, unless it is elsewhere already.
    pub fn add_host(
        &mut self,
        name: &str,
        groups: &[impl AsRef<str>],
        vars: &Dict,
    ) -> Result<(HostId, bool), InventoryError> {
        if name.is_empty() {
            let problem = String::from("a host needs a name");
            return Err(InventoryError::Name { span: Span::default(), ansible: problem.clone(), problem });
        }
        let known = self.hosts.contains_key(name);
        let mut changed = !known;
        let id = self.declare_host_alone(name, Span::default());
        if !known {
            self.join(self.all(), id);
        }
        for group in groups {
            let (group, new) = self.run_time_group(group.as_ref())?;
            changed |= new || !self.group(group).hosts.contains(&id);
            self.join(group, id);
        }
        for (key, value) in vars {
            changed |= self.host(id).vars.values().get_key(key) != Some(value);
            self.set_host_var(id, key.clone(), value.clone(), Span::default())?;
        }
        self.regroup(id);
        Ok((id, changed))
    }

    /// Adds a group below parents, making what is not there. Tells whether anything was new.
    pub fn add_group(
        &mut self,
        name: &str,
        parents: &[impl AsRef<str>],
    ) -> Result<(GroupId, bool), InventoryError> {
        let (group, mut changed) = self.run_time_group(name)?;
        for parent in parents {
            let (parent, _) = self.run_time_group(parent.as_ref())?;
            if !self.group(parent).children.contains(&group) {
                self.link(parent, group, Span::default())?;
                changed = true;
            }
        }
        if changed {
            self.reconcile();
        }
        Ok((group, changed))
    }

    /// Puts a host into a group, which is made below `parents` where it is not there: `group_by` for one host.
    /// Tells whether anything was new.
    pub fn group_by(
        &mut self,
        host: HostId,
        name: &str,
        parents: &[impl AsRef<str>],
    ) -> Result<bool, InventoryError> {
        let (group, mut changed) = self.add_group(name, parents)?;
        if self.host(host).is_implicit() || self.group(group).hosts.contains(&host) {
            return Ok(changed);
        }
        changed = true;
        self.join(group, host);
        self.regroup(host);
        Ok(changed)
    }

    /// Warnings that changes at run time gave rise to; each is given once.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    fn run_time_group(&mut self, name: &str) -> Result<(GroupId, bool), InventoryError> {
        let count = self.groups.len();
        let group = self.declare_group(name, Span::default())?;
        let new = self.groups.len() > count;
        if new {
            let all = self.all();
            self.link(all, group, Span::default())?;
            self.groups[group.0 as usize].depth = 1;
        }
        Ok((group, new))
    }

    /// Settles one host after it joined a group: in `ungrouped` only if nowhere else.
    fn regroup(&mut self, id: HostId) {
        let (all, ungrouped) = (self.all(), self.ungrouped());
        let host = &mut self.hosts[id.0 as usize];
        if host.groups.iter().any(|group| *group != all && *group != ungrouped) {
            host.groups.retain(|group| *group != ungrouped);
            self.groups[ungrouped.0 as usize].hosts.shift_remove(&id);
        } else {
            self.join(ungrouped, id);
        }
        self.settle_host(id);
        self.magic_groups = OnceLock::new();
    }
}
