//! Which definition of a variable a task on a host sees: Ansible's 22 levels, looked up from the top.
//!
//! In: the layers. Out: [`quorate_template::Scope`]. Nothing is merged or copied to answer one name.
//!
//! Source of the order: "Variable precedence: where should I put a variable?" in Ansible's documentation.

use super::magic;
use super::store::Shared;
use crate::plan::{Context, Step};
use crate::playbook::{Entry, Play, RoleUse};
use quorate_template::{Scope, Var};
use quorate_value::{Dict, Value};
use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

/// Variables of a play that its tasks share.
#[derive(Debug, Default)]
pub struct PlayVars {
    /// The play's name.
    pub name: String,
    /// `vars`.
    pub vars: Arc<Dict>,
    /// `vars_prompt`.
    pub prompted: Arc<Dict>,
    /// `vars_files` that do not depend on the host.
    pub files: Arc<Dict>,
    /// `vars_files` that do.
    pub host_files: RwLock<std::collections::HashMap<Arc<str>, Arc<Dict>>>,
    /// Variables that roles export to the play.
    pub role_vars: RwLock<Arc<Dict>>,
    /// Defaults of the play's roles.
    pub role_defaults: RwLock<Arc<Dict>>,
    /// Names of the play's roles.
    pub role_names: Vec<String>,
    /// Names of the roles that these depend on.
    pub dependency_names: Vec<String>,
    /// Hosts the play was for at its start.
    pub all_hosts: RwLock<Arc<Vec<Arc<str>>>>,
    /// Hosts of the current batch, failed ones included.
    pub batch: RwLock<Arc<Vec<Arc<str>>>>,
    /// Hosts of the play that have not failed.
    pub alive: RwLock<Arc<Vec<Arc<str>>>>,
    /// The folder of the playbook file.
    pub dir: PathBuf,
}

impl PlayVars {
    /// The variables of a play before it begins.
    pub fn new(play: &Play) -> Self {
        let mut roles: Vec<Arc<RoleUse>> = Vec::new();
        collect_roles(&play.roles, &mut roles);
        let mut vars = Dict::new();
        let mut defaults = Dict::new();
        for role in roles.iter().filter(|role| role.public) {
            vars.update(&role.vars);
            defaults.update(&role.defaults);
        }
        let mut imported = Vec::new();
        for entries in [&play.pre_tasks, &play.tasks, &play.post_tasks, &play.handlers] {
            collect_roles(entries, &mut imported);
        }
        for role in imported.iter().filter(|role| role.public) {
            vars.update(&role.vars);
            for (key, value) in role.defaults.iter() {
                defaults.insert(key.clone(), value.clone());
            }
        }
        PlayVars {
            // a play without a name is called by its hosts
            name: play.name.as_ref().map_or_else(
                || match &play.hosts {
                    Value::List(items) => {
                        items.iter().map(quorate_value::str_of).collect::<Vec<_>>().join(",")
                    }
                    other => quorate_value::str_of(other),
                },
                |name| name.as_str().to_owned(),
            ),
            vars: play.vars.clone(),
            role_vars: RwLock::new(Arc::new(vars)),
            role_defaults: RwLock::new(Arc::new(defaults)),
            role_names: {
                let mut names: Vec<String> = Vec::new();
                for entry in &play.roles {
                    if let Entry::Role(role) = entry
                        && !names.contains(&role.role.name)
                    {
                        names.push(role.role.name.clone());
                    }
                }
                names
            },
            dependency_names: {
                let direct: Vec<&Arc<RoleUse>> = play
                    .roles
                    .iter()
                    .filter_map(|entry| if let Entry::Role(role) = entry { Some(role) } else { None })
                    .collect();
                let mut names: Vec<String> = Vec::new();
                for role in &roles {
                    let dependency = !direct.iter().any(|known| Arc::ptr_eq(known, role));
                    if dependency && !role.from_task && !names.contains(&role.role.name) {
                        names.push(role.role.name.clone());
                    }
                }
                names
            },
            dir: play.file.parent().map(PathBuf::from).unwrap_or_default(),
            ..PlayVars::default()
        }
    }

    /// A role brought in at run time whose variables the rest of the play sees.
    pub fn publish(&self, role: &RoleUse) {
        let mut vars = self.role_vars.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::make_mut(&mut vars).update(&role.vars);
        let mut defaults = self.role_defaults.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::make_mut(&mut defaults).update(&role.defaults);
    }
}

/// Every role in these entries, dependencies before the roles that want them.
pub fn collect_roles(entries: &[Entry], out: &mut Vec<Arc<RoleUse>>) {
    for entry in entries {
        match entry {
            Entry::Role(role) => {
                collect_roles(&role.tasks, out);
                out.push(role.clone());
            }
            Entry::Block(block) => {
                collect_roles(&block.body, out);
                collect_roles(&block.rescue, out);
                collect_roles(&block.always, out);
            }
            Entry::Task(_) => {}
        }
    }
}

fn read<T: Clone>(lock: &RwLock<T>) -> T {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// What a task on a host sees.
pub struct TaskScope {
    /// The run.
    pub shared: Arc<Shared>,
    /// The play.
    pub play: Arc<PlayVars>,
    /// The host.
    pub host: Arc<str>,
    /// The step; none while a play is being set up.
    pub step: Option<Arc<Step>>,
    /// What surrounds the step (or what is being read, without a step).
    pub context: Arc<Context>,
    /// `item`, `ansible_loop`, results in `until` and `changed_when`, …: these win over all.
    pub locals: Dict,
    /// What may not be known yet, for a task that is looked at before its turn.
    pub early: Option<Arc<Early>>,
    host_vars: Arc<RwLock<super::HostVars>>,
    inventory: Arc<Dict>,
}

/// Variables that tasks in front are about to set, for a task that is looked at before they have ended.
///
/// Whoever asks for one gets nothing, and that it was asked for is noted: what came of it counts for nothing then.
#[derive(Debug)]
pub struct Early {
    unknown: Vec<String>,
    asked: AtomicBool,
    over: AtomicBool,
}

impl Early {
    /// These names are not known yet.
    pub fn new(unknown: Vec<String>) -> Self {
        Early { unknown, asked: AtomicBool::new(false), over: AtomicBool::new(false) }
    }

    /// Everything is known.
    pub fn over() -> Self {
        Early { unknown: Vec::new(), asked: AtomicBool::new(false), over: AtomicBool::new(true) }
    }

    /// The task's turn has come.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether its turn has come.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Notes that something was wanted that is not known (or must not happen) yet; whether that is so.
    pub fn ask(&self) -> bool {
        if self.is_over() {
            return false;
        }
        self.asked.store(true, Ordering::Release);
        true
    }

    /// Whether something was wanted that is not known yet.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn hides(&self, name: &str) -> bool {
        // what other hosts do in the meantime, and what may hold anything
        let others = matches!(name, "hostvars" | "vars" | "play_hosts")
            || (name.starts_with("ansible_play_") && name != "ansible_play_name");
        (others || self.unknown.iter().any(|unknown| unknown == name)) && self.ask()
    }
}

impl TaskScope {
    /// The variables of a step on a host.
    pub fn new(
        shared: &Arc<Shared>,
        play: &Arc<PlayVars>,
        host: &Arc<str>,
        step: Option<&Arc<Step>>,
    ) -> Self {
        let context = step.map(|step| step.context.clone()).unwrap_or_default();
        TaskScope {
            shared: shared.clone(),
            play: play.clone(),
            host: host.clone(),
            step: step.cloned(),
            context,
            locals: Dict::new(),
            early: None,
            host_vars: shared.host(host),
            inventory: shared.host_inventory(host),
        }
    }

    /// The same, with more locals.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.locals.insert(name, value);
        self
    }

    /// The same again, to look from another thread of thought.
    #[must_use]
    pub fn fork(&self) -> Self {
        TaskScope {
            shared: self.shared.clone(),
            play: self.play.clone(),
            host: self.host.clone(),
            step: self.step.clone(),
            context: self.context.clone(),
            locals: self.locals.clone(),
            early: self.early.clone(),
            host_vars: self.host_vars.clone(),
            inventory: self.inventory.clone(),
        }
    }

    /// The value as it is defined, not rendered. With `hash_behaviour=merge`, the mappings of all levels together.
    pub fn lookup(&self, name: &str) -> Option<Value> {
        if self.hides(name) {
            return None;
        }
        if !self.shared.settings.merges {
            return self.level(name, &|value| Some(value.clone()));
        }
        layered(|keep| self.level(name, keep))
    }

    fn hides(&self, name: &str) -> bool {
        self.early.as_ref().is_some_and(|early| early.hides(name))
    }

    /// Asks the levels from the top until `keep` keeps a value.
    fn level(&self, name: &str, keep: &dyn Fn(&Value) -> Option<Value>) -> Option<Value> {
        let take = |dict: &Dict| dict.get(name).and_then(keep);
        if let Some(value) = take(&self.shared.extra) {
            return Some(value);
        }
        for params in &self.context.include_params {
            if let Some(value) = take(params) {
                return Some(value);
            }
        }
        let role = self.context.role.as_ref();
        if let Some(role) = role {
            let chain = std::iter::once(role).chain(role.parents.iter().rev());
            if let Some(value) = chain.map(|role| &role.params).find_map(|params| take(params)) {
                return Some(value);
            }
        }
        {
            let host = self.host_vars.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(value) = take(&host.set).or_else(|| take(&host.included)) {
                return Some(value);
            }
        }
        if let Some(value) = self.step.as_ref().and_then(|step| take(&step.task.vars)) {
            return Some(value);
        }
        if let Some(value) = self.context.block_vars.iter().find_map(|vars| take(vars)) {
            return Some(value);
        }
        if let Some(role) = role {
            let own =
                take(&role.vars).or_else(|| dependency(role, &|dep| &dep.vars, name).and_then(|v| keep(&v)));
            let parents = || role.parents.iter().rev().find_map(|role| take(&role.vars));
            if let Some(value) = own.or_else(parents) {
                return Some(value);
            }
        }
        if let Some(value) = take(&*read::<Arc<Dict>>(&self.play.role_vars)) {
            return Some(value);
        }
        let host_files = self.play.host_files.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(value) = host_files.get(&self.host).and_then(|files| take(files)) {
            return Some(value);
        }
        drop(host_files);
        if let Some(value) =
            take(&self.play.files).or_else(|| take(&self.play.prompted)).or_else(|| take(&self.play.vars))
        {
            return Some(value);
        }
        let injected =
            self.host_vars.read().unwrap_or_else(std::sync::PoisonError::into_inner).injected.clone();
        if let Some(value) = take(&injected) {
            return Some(value);
        }
        if let Some(value) = take(&self.inventory) {
            return Some(value);
        }
        if let Some(role) = role {
            let own = take(&role.defaults)
                .or_else(|| dependency(role, &|dep| &dep.defaults, name).and_then(|v| keep(&v)));
            let parents = || role.parents.iter().rev().find_map(|role| take(&role.defaults));
            if let Some(value) = own.or_else(parents) {
                return Some(value);
            }
        }
        take(&*read::<Arc<Dict>>(&self.play.role_defaults))
    }

    /// Every name that [`Self::lookup`] answers.
    pub fn all_names(&self) -> Vec<Arc<str>> {
        if let Some(early) = &self.early {
            early.ask();
        }
        let mut names: HashSet<Arc<str>> = HashSet::new();
        let mut add = |dict: &Dict| names.extend(dict.keys().filter_map(|key| key.as_str()).map(Arc::from));
        add(&self.locals);
        add(&self.shared.extra);
        self.context.include_params.iter().for_each(|d| add(d));
        if let Some(role) = &self.context.role {
            for role in std::iter::once(role).chain(role.parents.iter()) {
                add(&role.params);
                add(&role.vars);
                add(&role.defaults);
            }
        }
        {
            let host = self.host_vars.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            add(&host.set);
            add(&host.included);
            add(&host.injected);
        }
        if let Some(step) = &self.step {
            add(&step.task.vars);
        }
        self.context.block_vars.iter().for_each(|d| add(d));
        let exported: Arc<Dict> = read(&self.play.role_vars);
        add(&exported);
        {
            let files = self.play.host_files.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(files) = files.get(&self.host) {
                add(files);
            }
        }
        add(&self.play.files);
        add(&self.play.prompted);
        add(&self.play.vars);
        add(&self.inventory);
        let defaults: Arc<Dict> = read(&self.play.role_defaults);
        add(&defaults);
        names.extend(magic::NAMES.iter().map(|name| Arc::from(*name)));
        let mut names: Vec<Arc<str>> = names.into_iter().collect();
        names.sort();
        names
    }

    /// Facts of the host.
    pub(super) fn facts(&self) -> Arc<Dict> {
        self.host_vars.read().unwrap_or_else(std::sync::PoisonError::into_inner).facts.clone()
    }
}

/// Every value from the highest level down to the first that is no mapping, put together.
fn layered(ask: impl FnOnce(&dyn Fn(&Value) -> Option<Value>) -> Option<Value>) -> Option<Value> {
    let found = std::cell::RefCell::new(Vec::new());
    ask(&|value| {
        found.borrow_mut().push(value.clone());
        (!matches!(value, Value::Dict(_))).then(|| value.clone())
    });
    let mut found = found.into_inner();
    // a mapping above something else replaces it
    if found.len() > 1 && !matches!(found.last(), Some(Value::Dict(_))) {
        found.pop();
    }
    let mut layers = found.into_iter().rev();
    let lowest = layers.next()?;
    let Value::Dict(lowest) = lowest else { return Some(lowest) };
    let mut all = Arc::unwrap_or_clone(lowest);
    for layer in layers {
        if let Value::Dict(layer) = layer {
            quorate_inventory::combine_into(&mut all, &layer, quorate_inventory::HashBehaviour::Merge);
        }
    }
    // the value of a mapping, as one variable of that name would be combined
    Some(Value::dict(all))
}

/// A variable of the dependencies of a role.
fn dependency(role: &RoleUse, part: &dyn Fn(&RoleUse) -> &Arc<Dict>, name: &str) -> Option<Value> {
    role.tasks.iter().rev().find_map(|entry| match entry {
        Entry::Role(dep) => part(dep).get(name).cloned().or_else(|| dependency(dep, part, name)),
        _ => None,
    })
}

impl Scope for TaskScope {
    fn get(&self, name: &str) -> Option<Var> {
        if let Some(value) = self.locals.get(name) {
            return Some(Var::Lazy(value.clone()));
        }
        if self.hides(name) {
            return None;
        }
        magic::task(self, name).or_else(|| self.lookup(name).map(Var::Lazy)).or_else(|| {
            (name == "ansible_host").then(|| Var::Final(magic::address(&self.shared, &self.host)))
        })
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.all_names()
    }
}

/// What `hostvars['name']` sees: inventory, facts, set and registered variables, no play and no role.
pub(super) struct HostScope {
    shared: Arc<Shared>,
    host: Arc<str>,
    inventory: Arc<Dict>,
    vars: Arc<RwLock<super::HostVars>>,
}

impl HostScope {
    /// The variables of a host outside any play.
    pub(super) fn new(shared: &Arc<Shared>, host: &str) -> Self {
        HostScope {
            shared: shared.clone(),
            host: Arc::from(host),
            inventory: shared.host_inventory(host),
            vars: shared.host(host),
        }
    }

    pub(super) fn host(&self) -> &Arc<str> {
        &self.host
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn facts(&self) -> Arc<Dict> {
        self.vars.read().unwrap_or_else(std::sync::PoisonError::into_inner).facts.clone()
    }

    fn lookup(&self, name: &str) -> Option<Value> {
        if !self.shared.settings.merges {
            return self.level(name, &|value| Some(value.clone()));
        }
        layered(|keep| self.level(name, keep))
    }

    fn level(&self, name: &str, keep: &dyn Fn(&Value) -> Option<Value>) -> Option<Value> {
        let take = |dict: &Dict| dict.get(name).and_then(keep);
        let vars = self.vars.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        take(&self.shared.extra)
            .or_else(|| take(&vars.set))
            .or_else(|| take(&vars.included))
            .or_else(|| take(&vars.injected))
            .or_else(|| take(&self.inventory))
    }

    /// Every name.
    pub(super) fn all_names(&self) -> Vec<Arc<str>> {
        let mut names: indexmap::IndexSet<Arc<str>> = indexmap::IndexSet::new();
        let vars = self.vars.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        for dict in [&self.inventory, &vars.injected, &vars.included, &vars.set, &self.shared.extra] {
            names.extend(dict.keys().filter_map(|key| key.as_str()).map(Arc::from));
        }
        names.extend(magic::HOST_NAMES.iter().map(|name| Arc::from(*name)));
        names.into_iter().collect()
    }
}

impl Scope for HostScope {
    fn get(&self, name: &str) -> Option<Var> {
        magic::host(self, name).or_else(|| self.lookup(name).map(Var::Lazy))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.all_names()
    }
}

/// A scope behind a pointer that templates can keep.
pub(super) fn shared_scope(shared: &Arc<Shared>, host: &str) -> Rc<dyn Scope> {
    Rc::new(HostScope::new(shared, host))
}
