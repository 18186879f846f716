//! What runs on the controller for a task: actions of their own, and the way to a module on the host.
//!
//! One family a file. Adding an action is one line in [`ACTIONS`].

pub(crate) mod bridge;
mod control;
pub mod etcd;
mod files;
pub use files::Contents;
mod remote;
pub(crate) mod switch;
mod synchronize;

use super::Run;
use super::ahead::Flight;
use super::task::{Effect, Failure};
use crate::connect::{Become, Target};
use crate::plan::Step;
use crate::vars::{PlayVars, TaskScope};
use quorate_value::Dict;
use std::sync::Arc;

/// One run of an action: everything rendered and resolved.
pub struct ActionCall<'a> {
    /// The run.
    pub run: &'a Arc<Run>,
    /// The play.
    pub play: &'a Arc<PlayVars>,
    /// The host whose variables these are.
    pub host: &'a Arc<str>,
    /// The step.
    pub step: &'a Arc<Step>,
    /// Its variables.
    pub scope: &'a TaskScope,
    /// The module without `ansible.builtin.`.
    pub module: String,
    /// The module as resolved.
    pub module_as_written: String,
    /// Arguments, rendered.
    pub args: Dict,
    /// Check mode.
    pub check: bool,
    /// Diffs wanted.
    pub diff: bool,
    /// `environment`.
    pub environment: Vec<(String, String)>,
    /// Hide everything.
    pub no_log: bool,
    /// Where it runs.
    pub target: &'a Target,
    /// As whom.
    pub become_: Option<&'a Become>,
    /// The host it is delegated to.
    pub delegated: Option<&'a str>,
    /// How it may be sent before its turn.
    pub flight: Option<&'a Flight>,
    /// The how-manieth item of a loop.
    pub nth: usize,
    /// `async` and `poll`, seconds.
    pub async_: Option<(u64, u64)>,
}

impl ActionCall<'_> {
    /// The name of the task as people read it: rendered, or as it is written where that cannot be.
    pub(crate) fn title(&self) -> String {
        let name = self.step.task.name.as_ref().filter(|name| name.is_template());
        let rendered = name.and_then(|name| {
            crate::vars::render::value(self.scope, &quorate_value::Value::Str(name.clone())).ok()
        });
        rendered.map_or_else(|| self.step.title(), |name| self.step.titled(&quorate_value::str_of(&name)))
    }
}

/// A result and what follows from it.
pub type ActionResult = Result<(Dict, Vec<Effect>), Failure>;

/// Actions of the controller. Everything else is a module on the host.
pub const ACTIONS: &[&str] = &[
    "add_host",
    "ansible.posix.synchronize",
    "assemble",
    "assert",
    "async_status",
    "community.general.shutdown",
    "copy",
    "debug",
    "etcd_alarm",
    "etcd_auth",
    "etcd_compact",
    "etcd_defrag",
    "etcd_guard",
    "etcd_health",
    "etcd_info",
    "etcd_key",
    "etcd_leader",
    "etcd_live",
    "etcd_lock",
    "etcd_member",
    "etcd_plan",
    "etcd_restore",
    "etcd_role",
    "etcd_snapshot",
    "etcd_user",
    "fail",
    "fetch",
    "gather_facts",
    "group_by",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "package",
    "pause",
    "quorate_switch",
    "raw",
    "reboot",
    "script",
    "service",
    "set_fact",
    "set_stats",
    "template",
    "unarchive",
    "validate_argument_spec",
    "wait_for_connection",
];

/// Whether the controller does (a part of) it.
pub fn is_action(module: &str) -> bool {
    ACTIONS.contains(&module)
}

/// Whether an action's failures are a module's failures.
pub fn runs_module(module: &str) -> bool {
    matches!(
        module,
        "copy"
            | "template"
            | "script"
            | "unarchive"
            | "package"
            | "service"
            | "gather_facts"
            | "assemble"
            | "async_status"
            | "ansible.posix.synchronize"
    )
}

/// The module's name as it stands in the file.
pub fn written_name(step: &Step) -> String {
    let name = &step.task.action.name;
    let span = name.span();
    let written = quorate_value::source_of(span.file).and_then(|source| {
        let line = source.text.lines().nth(span.line.checked_sub(1)? as usize)?;
        let rest: String = line.chars().skip(span.column.checked_sub(1)? as usize).collect();
        let word: String =
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.')).collect();
        Some(word).filter(|word| crate::playbook::short_name(word) == step.module())
    });
    written.unwrap_or_else(|| step.module().to_owned())
}

/// Arguments that an action renders (or evaluates) by itself.
pub fn renders_itself(module: &str) -> &'static [&'static str] {
    match module {
        "assert" => &["that"],
        "debug" => &["var"],
        _ => &[],
    }
}

/// `module_defaults` groups that a module belongs to.
pub fn groups_of(full: &str) -> Vec<String> {
    match full {
        _ if full.starts_with("community.crypto.acme") => vec!["acme".into(), "community.crypto.acme".into()],
        _ if full.starts_with("community.docker.") => vec!["docker".into(), "community.docker.docker".into()],
        _ => Vec::new(),
    }
}

/// Whether a module touches and looks at its own host only.
pub fn reach_is_host(module: &str) -> bool {
    match module {
        "debug"
        | "set_fact"
        | "assert"
        | "fail"
        | "include_vars"
        | "copy"
        | "template"
        | "gather_facts"
        | "package"
        | "set_stats"
        | "validate_argument_spec"
        | "assemble" => true,
        _ => quorate_agent::modules::find(module)
            .is_some_and(|module| module.spec().reach == quorate_agent::spec::Reach::Host),
    }
}

/// Runs the action.
pub async fn run(call: &ActionCall<'_>) -> ActionResult {
    match call.module.as_str() {
        "debug" => control::debug(call),
        "set_fact" => control::set_fact(call),
        "fail" => control::fail(call),
        "assert" => control::assert(call),
        "include_vars" => control::include_vars(call),
        "add_host" => control::add_host(call),
        "group_by" => control::group_by(call),
        "set_stats" => control::set_stats(call),
        "pause" => control::pause(call).await,
        "quorate_switch" => switch::switch(call).await,
        "validate_argument_spec" => control::validate_argument_spec(call),
        "include_tasks" | "include_role" => control::expand(call),
        "copy" => files::copy(call).await,
        "template" => files::template(call).await,
        "fetch" => files::fetch(call).await,
        "script" => files::script(call).await,
        "unarchive" => files::unarchive(call).await,
        "assemble" => files::assemble(call).await,
        "raw" => remote::raw(call).await,
        "reboot" => remote::reboot(call).await,
        "community.general.shutdown" => remote::shutdown(call).await,
        "ansible.posix.synchronize" => synchronize::synchronize(call).await,
        "wait_for_connection" => remote::wait_for_connection(call).await,
        "gather_facts" => remote::gather_facts(call).await,
        "package" => remote::package(call).await,
        "service" => remote::service(call).await,
        module if etcd::SPECS.iter().any(|spec| spec.name == module) => etcd::run(call).await,
        "shell" if call.args.contains_key("expand_argument_vars") => {
            Err(Failure::action("Unsupported parameters for (shell) module: expand_argument_vars"))
        }
        _ => remote::module(call, &call.module_as_written, call.args.clone(), Vec::new())
            .await
            .map(|result| (result, Vec::new())),
    }
}
