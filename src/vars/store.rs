//! What a run knows: settings, inventory, and what each host has gathered, set and registered so far.
//!
//! **Invariant:** values that came from a host or a command are untrusted text: they are never rendered as templates.

use crate::playbook::Loader;
use crate::report::Event;
use crate::settings::Settings;
use quorate_inventory::Inventory;
use quorate_template::Engine;
use quorate_value::{Dict, Value};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

/// What the command line asked for, as far as variables and tasks see it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--check`
    pub check: bool,
    /// `--diff`
    pub diff: bool,
    /// How many `-v`.
    pub verbosity: u8,
    /// `--forks`
    pub forks: usize,
    /// `--limit`
    pub limit: Option<String>,
    /// `--tags`
    pub run_tags: Vec<String>,
    /// `--skip-tags`
    pub skip_tags: Vec<String>,
    /// The inventory sources as given.
    pub sources: Vec<String>,
    /// The folder of the playbook; of the working directory for ad-hoc commands.
    pub playbook_dir: PathBuf,
    /// `--force-handlers`
    pub force_handlers: bool,
    /// `--override-guard=quorum`
    pub override_guard: bool,
    /// Whether we are called by Ansible's names.
    pub ansible_manners: bool,
    /// What flags say about connections.
    pub connection: crate::run::target::CommandLine,
}

/// Variables that a host collects while a run goes on.
#[derive(Debug, Default)]
pub struct HostVars {
    /// `ansible_facts`, without the `ansible_` prefix.
    pub facts: Arc<Dict>,
    /// Facts as top-level variables (`ansible_*`, and cacheable ones of `set_fact`).
    pub injected: Arc<Dict>,
    /// `set_fact` and `register`.
    pub set: Arc<Dict>,
    /// `include_vars`.
    pub included: Arc<Dict>,
    /// Facts for later runs, by their full names.
    pub kept: Arc<Dict>,
}

/// A host or a group that a task has made.
#[derive(Debug, Clone)]
pub enum Addition {
    /// `add_host`
    Host {
        /// Its name.
        name: String,
        /// The groups it joins.
        groups: Vec<String>,
        /// Its variables.
        vars: Dict,
    },
    /// `group_by`
    Group {
        /// The host that joins.
        host: String,
        /// The group.
        group: String,
        /// The group's parents.
        parents: Vec<String>,
    },
}

impl Addition {
    /// Makes it so. A host that is there no more joins nothing.
    pub fn apply(&self, inventory: &mut Inventory) -> Result<(), String> {
        fn words(texts: &[String]) -> Vec<&str> {
            texts.iter().map(String::as_str).collect()
        }
        match self {
            Addition::Host { name, groups, vars } => {
                inventory.add_host(name, &words(groups), vars).map(drop).map_err(|e| e.to_string())
            }
            Addition::Group { host, group, parents } => match inventory.host_id(host) {
                Some(id) => {
                    inventory.group_by(id, group, &words(parents)).map(drop).map_err(|e| e.to_string())
                }
                None => Ok(()),
            },
        }
    }
}

/// What everybody in a run shares.
pub struct Shared {
    /// `ansible.cfg`, environment and their defaults.
    pub settings: Arc<Settings>,
    /// What the command line asked for.
    pub options: Options,
    /// Hosts and groups; `add_host` and `group_by` change it.
    pub inventory: RwLock<Inventory>,
    /// The template engine.
    pub engine: Engine,
    /// Reads roles and task files.
    pub loader: OnceLock<Arc<Loader>>,
    /// `-e`.
    pub extra: Arc<Dict>,
    /// Vault passwords.
    pub vault: quorate_vault::VaultSecrets,
    /// Folders with modules of the playbook's own.
    pub libraries: Mutex<Vec<PathBuf>>,
    /// What somebody should be told, collected by whoever has no event stream at hand.
    pub notices: Mutex<Vec<Event>>,
    /// What tasks have added to the inventory, in order.
    pub added: Mutex<Vec<Addition>>,
    hosts: RwLock<HashMap<Arc<str>, Arc<RwLock<HostVars>>>>,
    groups: Mutex<Option<Value>>,
    /// Facts of earlier runs.
    cache: Option<super::facts::FactCache>,
}

impl Shared {
    /// A run that has not begun.
    pub fn new(
        settings: Arc<Settings>,
        options: Options,
        inventory: Inventory,
        extra: Arc<Dict>,
        vault: quorate_vault::VaultSecrets,
    ) -> Self {
        let engine = crate::vars::render::engine(&settings);
        let cache = super::facts::FactCache::of(&settings);
        Shared {
            cache,
            settings,
            options,
            inventory: RwLock::new(inventory),
            engine,
            loader: OnceLock::new(),
            extra,
            vault,
            libraries: Mutex::default(),
            notices: Mutex::default(),
            added: Mutex::default(),
            hosts: RwLock::default(),
            groups: Mutex::default(),
        }
    }

    /// The inventory, to read.
    pub fn inventory(&self) -> std::sync::RwLockReadGuard<'_, Inventory> {
        self.inventory.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The inventory, to change; what was derived from it is forgotten.
    pub fn inventory_mut(&self) -> std::sync::RwLockWriteGuard<'_, Inventory> {
        *self.groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        self.inventory.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds a host or a group, for this run.
    pub fn add(&self, addition: Addition) -> Result<(), String> {
        addition.apply(&mut self.inventory_mut())?;
        self.added.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(addition);
        Ok(())
    }

    /// `groups`: every group with its hosts.
    pub fn groups(&self) -> Value {
        let mut cached = self.groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cached.get_or_insert_with(|| self.inventory().groups_value().clone()).clone()
    }

    /// What a host has collected.
    pub fn host(&self, name: &str) -> Arc<RwLock<HostVars>> {
        if let Some(host) = self.hosts.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(name) {
            return host.clone();
        }
        let mut hosts = self.hosts.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let host = hosts.entry(Arc::from(name)).or_default().clone();
        drop(hosts);
        if let Some(facts) = self.cache.as_ref().and_then(|cache| cache.load(name)) {
            self.remember(&mut host.write().unwrap_or_else(std::sync::PoisonError::into_inner), &facts);
        }
        host
    }

    /// Facts of a host, by the names that modules give them.
    fn remember(&self, vars: &mut HostVars, facts: &Dict) {
        let inject = self.settings.inject_facts;
        let (known, injected) = (Arc::make_mut(&mut vars.facts), Arc::make_mut(&mut vars.injected));
        for (key, value) in facts {
            let name = key.json_text();
            let short = name.strip_prefix("ansible_").unwrap_or(&name);
            known.insert(short, value.clone());
            if inject {
                injected.insert(name.as_ref(), value.clone());
            }
        }
        if self.cache.is_some() {
            Arc::make_mut(&mut vars.kept).update(facts);
        }
    }

    fn keep(&self, host: &str) {
        let Some(cache) = &self.cache else { return };
        let kept = self.host(host).read().unwrap_or_else(std::sync::PoisonError::into_inner).kept.clone();
        if let Err(error) = cache.store(host, &kept) {
            self.notice(format!("facts of {host} cannot be cached: {error}"));
        }
    }

    /// `--flush-cache`: nothing is known from before.
    pub fn flush_cache(&self) {
        if let Some(cache) = &self.cache {
            let inventory = self.inventory();
            for host in inventory.hosts() {
                cache.forget(inventory.host_name(host));
            }
            cache.forget("localhost");
        }
    }

    fn change(&self, host: &str, change: impl FnOnce(&mut HostVars)) {
        change(&mut self.host(host).write().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// `register` and `set_fact`.
    pub fn set(&self, host: &str, name: &str, value: Value) {
        self.change(host, |vars| {
            Arc::make_mut(&mut vars.set).insert(name, value);
        });
    }

    /// `set_fact: cacheable`.
    pub fn set_cacheable(&self, host: &str, name: &str, value: Value) {
        self.change(host, |vars| {
            Arc::make_mut(&mut vars.facts).insert(name, value.clone());
            Arc::make_mut(&mut vars.injected).insert(name, value.clone());
            if self.cache.is_some() {
                Arc::make_mut(&mut vars.kept).insert(name, value);
            }
        });
        self.keep(host);
    }

    /// `include_vars`.
    pub fn include(&self, host: &str, vars: &Dict) {
        self.change(host, |host| Arc::make_mut(&mut host.included).update(vars));
    }

    /// Facts that a module returned (`ansible_facts`).
    pub fn add_facts(&self, host: &str, facts: &Dict) {
        self.change(host, |vars| self.remember(vars, facts));
        self.keep(host);
    }

    /// Whether facts of a host have been gathered.
    pub fn knows_facts(&self, host: &str) -> bool {
        let host = self.host(host);
        let vars = host.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        vars.facts.contains_key("fqdn") || vars.facts.contains_key("gather_subset")
    }

    /// `meta: clear_facts`.
    pub fn clear_facts(&self, host: &str) {
        self.change(host, |vars| {
            vars.facts = Arc::default();
            vars.injected = Arc::default();
            vars.kept = Arc::default();
        });
        if let Some(cache) = &self.cache {
            cache.forget(host);
        }
    }

    /// The loader; set before anything runs.
    pub fn loader(&self) -> &Arc<Loader> {
        self.loader.get().expect("set before anything runs")
    }

    /// Something to tell.
    pub fn notice(&self, text: impl Into<String>) {
        self.notices
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Event::Warning(text.into()));
    }

    /// Something that will stop working.
    pub fn deprecation(&self, text: impl Into<String>) {
        if self.settings.flag("DEPRECATION_WARNINGS") {
            let event = Event::Deprecation(text.into());
            self.notices.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
        }
    }

    /// What the inventory says about a host; broken variable files are told once and count as empty.
    pub fn host_inventory(&self, name: &str) -> Arc<Dict> {
        let inventory = self.inventory();
        let Some(id) = inventory.host_id(name) else { return Arc::default() };
        inventory.host_vars(id).unwrap_or_else(|error| {
            drop(inventory);
            self.notice(error.to_string());
            Arc::default()
        })
    }
}
