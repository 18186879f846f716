//! Plays, blocks, tasks, roles and handlers as people wrote them, with their places.
//!
//! In: nothing. Out: plain data. Values stay as written (templates and all); nothing here is rendered or run.
//!
//! Keywords follow Ansible's "Playbook Keywords" page.

use quorate_value::{Dict, Span, Str, Value};
use std::path::PathBuf;
use std::sync::Arc;

/// Keywords that a child takes from its parent unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Kw {
    /// `become`
    Become,
    /// `become_user`
    BecomeUser,
    /// `become_method`
    BecomeMethod,
    /// `become_flags`
    BecomeFlags,
    /// `become_exe`
    BecomeExe,
    /// `check_mode`
    CheckMode,
    /// `diff`
    Diff,
    /// `connection`
    Connection,
    /// `port`
    Port,
    /// `remote_user`
    RemoteUser,
    /// `no_log`
    NoLog,
    /// `run_once`
    RunOnce,
    /// `ignore_errors`
    IgnoreErrors,
    /// `ignore_unreachable`
    IgnoreUnreachable,
    /// `any_errors_fatal`
    AnyErrorsFatal,
    /// `throttle`
    Throttle,
    /// `timeout`
    Timeout,
    /// `debugger`
    Debugger,
    /// `delegate_to`
    DelegateTo,
    /// `delegate_facts`
    DelegateFacts,
}

impl Kw {
    /// Every inherited keyword with its name.
    pub const ALL: [(Kw, &'static str); 20] = [
        (Kw::Become, "become"),
        (Kw::BecomeUser, "become_user"),
        (Kw::BecomeMethod, "become_method"),
        (Kw::BecomeFlags, "become_flags"),
        (Kw::BecomeExe, "become_exe"),
        (Kw::CheckMode, "check_mode"),
        (Kw::Diff, "diff"),
        (Kw::Connection, "connection"),
        (Kw::Port, "port"),
        (Kw::RemoteUser, "remote_user"),
        (Kw::NoLog, "no_log"),
        (Kw::RunOnce, "run_once"),
        (Kw::IgnoreErrors, "ignore_errors"),
        (Kw::IgnoreUnreachable, "ignore_unreachable"),
        (Kw::AnyErrorsFatal, "any_errors_fatal"),
        (Kw::Throttle, "throttle"),
        (Kw::Timeout, "timeout"),
        (Kw::Debugger, "debugger"),
        (Kw::DelegateTo, "delegate_to"),
        (Kw::DelegateFacts, "delegate_facts"),
    ];

    /// The keyword with this name.
    pub fn named(name: &str) -> Option<Kw> {
        Kw::ALL.iter().find(|(_, n)| *n == name).map(|(kw, _)| *kw)
    }
}

/// What plays, blocks, roles and tasks share.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    simple: [Option<Value>; 20],
    /// `tags`, as written: text (with commas) and lists.
    pub tags: Vec<Str>,
    /// `when`, outermost first.
    pub when: Vec<Value>,
    /// `environment`, outermost first.
    pub environment: Vec<Value>,
    /// `module_defaults`, outermost first.
    pub module_defaults: Vec<Value>,
    /// `notify`.
    pub notify: Vec<Value>,
    /// `collections`.
    pub collections: Option<Arc<Vec<String>>>,
}

impl Keywords {
    /// The value as written.
    pub fn get(&self, kw: Kw) -> Option<&Value> {
        self.simple[kw as usize].as_ref()
    }

    /// Sets a value.
    pub fn set(&mut self, kw: Kw, value: Value) {
        self.simple[kw as usize] = Some(value);
    }

    /// These keywords inside a parent with `outer`: own values win, lists grow from the outside in.
    #[must_use]
    pub fn inside(&self, outer: &Keywords) -> Keywords {
        let join = |a: &[Value], b: &[Value]| a.iter().chain(b).cloned().collect::<Vec<_>>();
        let mut tags = outer.tags.clone();
        tags.extend(self.tags.iter().filter(|tag| !outer.tags.contains(tag)).cloned());
        Keywords {
            simple: std::array::from_fn(|i| self.simple[i].clone().or_else(|| outer.simple[i].clone())),
            tags,
            when: join(&outer.when, &self.when),
            environment: join(&outer.environment, &self.environment),
            module_defaults: join(&outer.module_defaults, &self.module_defaults),
            notify: join(&outer.notify, &self.notify),
            collections: self.collections.clone().or_else(|| outer.collections.clone()),
        }
    }
}

/// What a task does: a module and its arguments, as written.
#[derive(Debug, Clone)]
pub struct Action {
    /// The name as written (`copy`, `ansible.builtin.copy`, `community.general.ini_file`), once loaded the full one.
    pub name: Str,
    /// The name as written, which is what an unnamed task is called.
    pub written: Str,
    /// Arguments: a mapping (`_raw_params` holds free-form text), or a template that makes one.
    pub args: Value,
}

/// `loop` or one of `with_*`.
#[derive(Debug, Clone)]
pub struct Loop {
    /// The lookup behind `with_*`; nothing for `loop`.
    pub lookup: Option<String>,
    /// The items, as written.
    pub items: Value,
    /// Where it stands.
    pub span: Span,
}

/// `loop_control`.
#[derive(Debug, Clone)]
pub struct LoopControl {
    /// The variable that holds the item. Templates are allowed.
    pub loop_var: Value,
    /// The variable that holds the position, from 0.
    pub index_var: Option<Value>,
    /// What output shows for an item.
    pub label: Option<Value>,
    /// Seconds between items.
    pub pause: Option<Value>,
    /// Whether `ansible_loop` is there.
    pub extended: Option<Value>,
    /// Whether `ansible_loop.allitems` is there.
    pub extended_allitems: Option<Value>,
    /// Conditions that end the loop after an item.
    pub break_when: Vec<Value>,
}

impl Default for LoopControl {
    fn default() -> Self {
        LoopControl {
            loop_var: Value::from("item"),
            index_var: None,
            label: None,
            pause: None,
            extended: None,
            extended_allitems: None,
            break_when: Vec::new(),
        }
    }
}

/// A task or a handler.
#[derive(Debug, Clone)]
pub struct Task {
    /// Where it begins.
    pub span: Span,
    /// Its name, as written.
    pub name: Option<Str>,
    /// What it does.
    pub action: Action,
    /// Keywords it says itself.
    pub keywords: Keywords,
    /// `vars`.
    pub vars: Arc<Dict>,
    /// `loop`, `with_*`.
    pub looped: Option<Loop>,
    /// `loop_control`.
    pub loop_control: LoopControl,
    /// `register`.
    pub register: Option<Value>,
    /// `until`.
    pub until: Vec<Value>,
    /// `retries`.
    pub retries: Option<Value>,
    /// `delay`, seconds.
    pub delay: Option<Value>,
    /// `async`, seconds.
    pub async_seconds: Option<Value>,
    /// `poll`, seconds.
    pub poll: Option<Value>,
    /// `changed_when`.
    pub changed_when: Option<Vec<Value>>,
    /// `failed_when`.
    pub failed_when: Option<Vec<Value>>,
    /// `listen` (handlers).
    pub listen: Vec<Value>,
}

impl Task {
    /// A task that says nothing but its name, its module and the arguments.
    pub fn plain(name: &str, module: &str, args: Dict, span: Span) -> Self {
        Task {
            span,
            name: (!name.is_empty()).then(|| Str::new(name)),
            action: Action {
                name: Str::new(module).at(span),
                written: Str::new(module).at(span),
                args: Value::dict(args),
            },
            keywords: Keywords::default(),
            vars: Arc::default(),
            looped: None,
            loop_control: LoopControl::default(),
            register: None,
            until: Vec::new(),
            retries: None,
            delay: None,
            async_seconds: None,
            poll: None,
            changed_when: None,
            failed_when: None,
            listen: Vec::new(),
        }
    }
}

/// `block`, `rescue`, `always`.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it begins.
    pub span: Span,
    /// Its name.
    pub name: Option<Str>,
    /// Keywords it says itself.
    pub keywords: Keywords,
    /// `vars`.
    pub vars: Arc<Dict>,
    /// `block`.
    pub body: Vec<Entry>,
    /// `rescue`.
    pub rescue: Vec<Entry>,
    /// `always`.
    pub always: Vec<Entry>,
}

/// What stands in a list of tasks.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A task.
    Task(Arc<Task>),
    /// A block; also what an `import_*` leaves behind, with the keywords of the import.
    Block(Arc<Block>),
    /// The tasks of a role (from `roles:`, a dependency, or `import_role`).
    Role(Arc<RoleUse>),
}

/// A role on disk, read once.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name as asked for (`etcd`, `ns.coll.role`).
    pub name: String,
    /// Whether that names a collection, too (a plain role may have dots in its name as well).
    pub collection: bool,
    /// Its folder.
    pub path: PathBuf,
    /// `meta/main.yml`: `allow_duplicates`.
    pub allow_duplicates: bool,
    /// `meta/main.yml`: `collections`.
    pub collections: Option<Arc<Vec<String>>>,
    /// `meta/argument_specs.yml` (or in `meta/main.yml`), by entry point.
    pub argument_specs: Dict,
}

impl Role {
    /// The name without the collection.
    pub fn short_name(&self) -> &str {
        if self.collection { self.name.rsplit('.').next().unwrap_or(&self.name) } else { &self.name }
    }
}

/// One use of a role: with these parameters, in this place.
#[derive(Debug, Clone)]
pub struct RoleUse {
    /// The role.
    pub role: Arc<Role>,
    /// Where it is used.
    pub span: Span,
    /// Same number = same role with the same parameters in the same play: runs once per host unless it allows duplicates.
    pub identity: u32,
    /// Keywords beside the role's name.
    pub keywords: Keywords,
    /// `vars:` and free parameters.
    pub params: Arc<Dict>,
    /// `defaults/` (or `defaults_from`).
    pub defaults: Arc<Dict>,
    /// `vars/` (or `vars_from`).
    pub vars: Arc<Dict>,
    /// Roles that brought this one in, outermost first.
    pub parents: Vec<Arc<RoleUse>>,
    /// Dependencies, then the role's own tasks.
    pub tasks: Vec<Entry>,
    /// The role's handlers.
    pub handlers: Vec<Entry>,
    /// Whether variables of the role are seen by the play's other tasks.
    pub public: bool,
    /// The entry point: `main`, or the stem of `tasks_from`.
    pub entry: String,
    /// Whether its arguments are checked against its specification (`rolespec_validate`).
    pub validates: bool,
    /// Brought in by `import_role` or `include_role` rather than `roles:`.
    pub from_task: bool,
}

/// `vars_prompt`, one entry.
#[derive(Debug, Clone)]
pub struct VarsPrompt {
    /// The variable.
    pub name: Str,
    /// What to ask.
    pub prompt: Option<Str>,
    /// The answer when none is given.
    pub default: Option<Value>,
    /// Whether the answer stays hidden.
    pub private: bool,
    /// Whether to ask twice.
    pub confirm: bool,
    /// Hash with this scheme.
    pub encrypt: Option<String>,
    /// Salt of that hash.
    pub salt: Option<String>,
    /// Length of a random salt.
    pub salt_size: Option<i64>,
    /// The answer may hold anything, templates included, and is taken as it is.
    pub unsafe_text: bool,
}

/// A play.
#[derive(Debug, Clone)]
pub struct Play {
    /// Where it begins.
    pub span: Span,
    /// The playbook file it stands in.
    pub file: PathBuf,
    /// `name`.
    pub name: Option<Str>,
    /// `hosts`, as written.
    pub hosts: Value,
    /// Where `hosts` stands.
    pub hosts_span: Span,
    /// Keywords it says itself (and those of the `import_playbook` that brought it in).
    pub keywords: Keywords,
    /// `vars`.
    pub vars: Arc<Dict>,
    /// `vars_files`: each a name or a list of alternatives.
    pub vars_files: Vec<Value>,
    /// `vars_prompt`.
    pub vars_prompt: Vec<VarsPrompt>,
    /// `gather_facts`.
    pub gather_facts: Option<Value>,
    /// `gather_subset`.
    pub gather_subset: Option<Value>,
    /// `gather_timeout`.
    pub gather_timeout: Option<Value>,
    /// `fact_path`.
    pub fact_path: Option<Value>,
    /// `serial`.
    pub serial: Vec<Value>,
    /// `strategy`.
    pub strategy: Option<Value>,
    /// `order`.
    pub order: Option<Value>,
    /// `max_fail_percentage`.
    pub max_fail_percentage: Option<Value>,
    /// `force_handlers`.
    pub force_handlers: Option<Value>,
    /// `validate_argspec`.
    pub validate_argspec: Option<Value>,
    /// `pre_tasks`.
    pub pre_tasks: Vec<Entry>,
    /// `roles`.
    pub roles: Vec<Entry>,
    /// `tasks`.
    pub tasks: Vec<Entry>,
    /// `post_tasks`.
    pub post_tasks: Vec<Entry>,
    /// `handlers` of the play; those of its roles are with the roles.
    pub handlers: Vec<Entry>,
}

impl Play {
    /// A play for these hosts that says nothing else.
    pub fn of(span: Span, file: PathBuf, hosts: Value) -> Self {
        Self {
            span,
            file,
            name: None,
            hosts,
            hosts_span: span,
            keywords: Keywords::default(),
            vars: Arc::default(),
            vars_files: Vec::new(),
            vars_prompt: Vec::new(),
            gather_facts: None,
            gather_subset: None,
            gather_timeout: None,
            fact_path: None,
            serial: Vec::new(),
            strategy: None,
            order: None,
            max_fail_percentage: None,
            force_handlers: None,
            validate_argspec: None,
            pre_tasks: Vec::new(),
            roles: Vec::new(),
            tasks: Vec::new(),
            post_tasks: Vec::new(),
            handlers: Vec::new(),
        }
    }
}
