//! Variables that the engine itself defines. Source: Ansible's "Special Variables" page.

use super::scope::{HostScope, TaskScope, shared_scope};
use super::store::Shared;
use quorate_template::{Object, Scope as _, Var};
use quorate_value::{Key, Value, dict};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Names that every task sees.
pub(super) const NAMES: [&str; 36] = [
    "hostvars",
    "groups",
    "group_names",
    "inventory_hostname",
    "inventory_hostname_short",
    "inventory_file",
    "inventory_dir",
    "playbook_dir",
    "role_name",
    "role_path",
    "ansible_role_name",
    "ansible_role_names",
    "role_names",
    "ansible_parent_role_names",
    "ansible_parent_role_paths",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_batch",
    "play_hosts",
    "ansible_play_name",
    "ansible_play_role_names",
    "ansible_dependent_role_names",
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_forks",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_limit",
    "ansible_inventory_sources",
    "ansible_verbosity",
    "ansible_version",
    "ansible_facts",
    "ansible_config_file",
    "ansible_playbook_python",
    "environment",
    "vars",
];

/// Names that every task sees, for those who list them.
pub fn magic_names() -> &'static [&'static str] {
    &NAMES
}

/// Names that `hostvars[x]` has besides what is defined.
pub(super) const HOST_NAMES: [&str; 18] = [
    "inventory_hostname",
    "inventory_hostname_short",
    "inventory_file",
    "inventory_dir",
    "group_names",
    "groups",
    "ansible_facts",
    "playbook_dir",
    "ansible_check_mode",
    "ansible_config_file",
    "ansible_diff_mode",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_playbook_python",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
];

/// The version of Ansible whose semantics these are.
pub const ANSIBLE_VERSION: (i64, i64, i64) = (2, 19, 14);

fn version() -> Value {
    let (major, minor, revision) = ANSIBLE_VERSION;
    let full = format!("{major}.{minor}.{revision}");
    Value::from(dict! {
        "full" => &full, "string" => &full, "major" => major, "minor" => minor, "revision" => revision,
    })
}

fn names(list: &[Arc<str>]) -> Value {
    list.iter().map(|name| Value::from(name.as_ref())).collect()
}

fn strings(list: &[String]) -> Value {
    list.iter().map(Value::from).collect()
}

fn path(path: &Path) -> Value {
    Value::from(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string())
}

/// What is known of a host without any play.
fn of_host(shared: &Arc<Shared>, host: &str, name: &str) -> Option<Value> {
    Some(match name {
        // what is read before any host is known
        "inventory_hostname" | "inventory_hostname_short" | "group_names" if host.is_empty() => return None,
        "inventory_hostname" => Value::from(host),
        "inventory_hostname_short" => {
            // an address is no name with a domain
            let short = if host.parse::<std::net::IpAddr>().is_ok() {
                host
            } else {
                host.split('.').next().unwrap_or(host)
            };
            Value::from(if shared.settings.short_names_for_addresses {
                host.split('.').next().unwrap_or(host)
            } else {
                short
            })
        }
        "group_names" => {
            let inventory = shared.inventory();
            inventory.host_id(host).map_or_else(|| Value::list([]), |id| inventory.group_names(id).clone())
        }
        "groups" => shared.groups(),
        "inventory_file" | "inventory_dir" => {
            let inventory = shared.inventory();
            let vars = inventory.host_id(host).map(|id| inventory.magic_vars(id))?;
            vars.get(name).cloned()?
        }
        "playbook_dir" => path(&shared.options.playbook_dir),
        "ansible_version" => version(),
        "ansible_check_mode" => Value::Bool(shared.options.check),
        "ansible_diff_mode" => Value::Bool(shared.options.diff),
        // what nobody has said is told as Ansible has it, however wide this run is
        "ansible_forks" if shared.options.forks == crate::vars::WIDE => Value::Int(5),
        "ansible_forks" => Value::from(shared.options.forks),
        "ansible_verbosity" => Value::Int(i64::from(shared.options.verbosity)),
        "ansible_run_tags" => strings(&shared.options.run_tags),
        "ansible_skip_tags" => strings(&shared.options.skip_tags),
        "ansible_limit" => return shared.options.limit.as_ref().map(Value::from),
        "ansible_inventory_sources" => strings(&shared.options.sources),
        "ansible_config_file" => shared.settings.config_file.as_ref().map_or(Value::Null, |file| path(file)),
        "ansible_playbook_python" => Value::from("/usr/bin/python3"),
        _ => return None,
    })
}

/// Where a host is when nobody says so.
pub(super) fn address(shared: &Arc<Shared>, host: &str) -> Value {
    let inventory = shared.inventory();
    let implicit = inventory.host_id(host).is_some_and(|id| inventory.host(id).is_implicit());
    Value::from(if implicit { "127.0.0.1" } else { host })
}

pub(super) fn host(scope: &HostScope, name: &str) -> Option<Var> {
    match name {
        "ansible_facts" => Some(Var::Final(Value::Dict(scope.facts()))),
        "hostvars" => Some(Var::Object(Rc::new(AllHosts { shared: scope.shared().clone() }))),
        _ => of_host(scope.shared(), scope.host(), name).map(Var::Final),
    }
}

/// A magic variable as a task sees it.
pub(super) fn task(scope: &TaskScope, name: &str) -> Option<Var> {
    let read = |lock: &std::sync::RwLock<Arc<Vec<Arc<str>>>>| {
        names(&lock.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    };
    let role = scope.context.role.as_ref();
    let value = match name {
        "hostvars" => return Some(Var::Object(Rc::new(AllHosts { shared: scope.shared.clone() }))),
        "vars" => return Some(Var::Object(Rc::new(AllVars { scope: Rc::new(scope.fork()) }))),
        "ansible_facts" => Value::Dict(scope.facts()),
        "ansible_play_hosts" | "play_hosts" => read(&scope.play.alive),
        "ansible_play_hosts_all" => read(&scope.play.all_hosts),
        // of the batch, those who are still there
        "ansible_play_batch" => {
            let get = |lock: &std::sync::RwLock<Arc<Vec<Arc<str>>>>| {
                lock.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
            };
            let alive = get(&scope.play.alive);
            get(&scope.play.batch)
                .iter()
                .filter(|name| alive.contains(name))
                .map(|name| Value::from(name.as_ref()))
                .collect()
        }
        "ansible_play_name" => Value::from(&scope.play.name),
        "playbook_dir" => path(&scope.shared.options.playbook_dir),
        "role_name" | "ansible_role_name" => {
            let role = &role?.role;
            Value::from(if name == "role_name" { role.short_name() } else { role.name.as_str() })
        }
        "role_path" => path(&role?.role.path),
        // a role that no other role brings in has no parents
        "ansible_parent_role_names" | "ansible_parent_role_paths" if role?.parents.is_empty() => return None,
        "ansible_parent_role_names" => {
            role?.parents.iter().rev().map(|r| Value::from(r.role.name.as_str())).collect()
        }
        "ansible_parent_role_paths" => role?.parents.iter().rev().map(|r| path(&r.role.path)).collect(),
        "ansible_play_role_names" => strings(&scope.play.role_names),
        "role_names" => strings(&scope.play.role_names),
        "ansible_role_names" => {
            let mut all = scope.play.role_names.clone();
            all.extend(
                scope.play.dependency_names.iter().filter(|n| !scope.play.role_names.contains(n)).cloned(),
            );
            strings(&all)
        }
        "ansible_dependent_role_names" => strings(&scope.play.dependency_names),
        "ansible_search_path" => super::render::search_path(scope).iter().map(|dir| path(dir)).collect(),
        _ => of_host(&scope.shared, &scope.host, name)?,
    };
    Some(Var::Final(value))
}

/// `hostvars`.
struct AllHosts {
    shared: Arc<Shared>,
}

impl Object for AllHosts {
    fn type_name(&self) -> &'static str {
        "HostVars"
    }

    fn get(&self, key: &Key) -> quorate_template::Result<Option<Var>> {
        let Some(name) = key.as_str() else { return Ok(None) };
        let known = self.shared.inventory().host_id(name).is_some();
        Ok(known
            .then(|| Var::Object(Rc::new(OneHost { scope: Rc::new(HostScope::new(&self.shared, name)) }))))
    }

    fn keys(&self) -> Vec<Key> {
        let inventory = self.shared.inventory();
        inventory.hosts().map(|id| Key::from(inventory.host_name(id).as_ref())).collect()
    }

    fn contains(&self, key: &Key) -> bool {
        key.as_str().is_some_and(|name| self.shared.inventory().host_id(name).is_some())
    }
}

/// `hostvars[x]`.
struct OneHost {
    scope: Rc<HostScope>,
}

impl Object for OneHost {
    fn type_name(&self) -> &'static str {
        "HostVarsVars"
    }

    fn get(&self, key: &Key) -> quorate_template::Result<Option<Var>> {
        let Some(name) = key.as_str() else { return Ok(None) };
        Ok(self.scope.get(name).map(|var| match var {
            Var::Lazy(value) => Var::LazyIn(value, shared_scope(self.scope.shared(), self.scope.host())),
            other => other,
        }))
    }

    fn keys(&self) -> Vec<Key> {
        self.scope.all_names().iter().map(|name| Key::from(name.as_ref())).collect()
    }
}

/// `vars`.
struct AllVars {
    scope: Rc<TaskScope>,
}

impl Object for AllVars {
    fn type_name(&self) -> &'static str {
        "dict"
    }

    fn get(&self, key: &Key) -> quorate_template::Result<Option<Var>> {
        let Some(name) = key.as_str().filter(|name| *name != "vars") else { return Ok(None) };
        Ok(self.scope.get(name).map(|var| match var {
            Var::Lazy(value) => Var::LazyIn(value, self.scope.clone()),
            other => other,
        }))
    }

    fn keys(&self) -> Vec<Key> {
        self.scope
            .all_names()
            .iter()
            .filter(|name| name.as_ref() != "vars")
            .map(|name| Key::from(name.as_ref()))
            .collect()
    }
}
