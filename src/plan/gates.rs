//! Gates: positions that a host may pass only when every other host has come as far. And why.
//!
//! In: a program, and for each step whether it can be seen from (or looks at) other hosts. Out: a reason a position.
//! Between two gates each host goes on alone, so a slow host delays only itself.
//!
//! **Invariant:** dropping a gate never changes what any host can observe, nor what output says: a step without a
//! gate touches one host's own files, users, packages, facts or variables, and reads no other host's run-time state.
//! Checked by running the same playbooks with every gate kept (`QUORATE_GATES=all`) and comparing.
//!
//! Not here: `serial` batches and the quorum gate (`run`).

use super::program::{Node, Program, Step};
use crate::playbook::Kw;
use quorate_value::Value;
use std::collections::HashSet;

/// Why hosts wait for each other at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Gate {
    /// The step can be seen from outside its host: a service, a command, a wait.
    World,
    /// It runs once for all hosts.
    RunOnce,
    /// It runs on another host than its own.
    Delegated,
    /// It reads what other hosts have gathered or registered.
    ReadsOthers,
    /// It changes the play itself: includes, `add_host`, `meta`.
    ChangesPlay,
    /// One failure ends the play for all, so nobody may be ahead.
    ErrorsFatal,
    /// Notified handlers run here.
    Handlers,
    /// At most so many hosts at once.
    Throttled,
    /// Every position, because somebody asked for it.
    Asked,
}

impl Gate {
    /// The reason as people read it on an edge.
    pub fn reason(self) -> &'static str {
        match self {
            Gate::World => "the step can be seen from other hosts",
            Gate::RunOnce => "the step runs once for all hosts",
            Gate::Delegated => "the step runs on another host",
            Gate::ReadsOthers => "the step reads other hosts' state",
            Gate::ChangesPlay => "the step changes the play",
            Gate::ErrorsFatal => "one failure ends the play",
            Gate::Handlers => "handlers run here",
            Gate::Throttled => "so many hosts at once, no more",
            Gate::Asked => "linear order was asked for",
        }
    }
}

/// What decides about gates in a play, besides its steps.
#[derive(Debug, Clone, Default)]
pub struct GateRules {
    /// Every position is a gate.
    pub all: bool,
    /// No position is (strategies `free` and `host_pinned`).
    pub none: bool,
    /// `max_fail_percentage` is set: nobody may be ahead of a failure.
    pub counts_failures: bool,
    /// Names of variables that lead to other hosts' state.
    pub tainted: HashSet<String>,
}

/// The gate in front of each position.
pub fn gates(
    program: &Program,
    rules: &GateRules,
    reach_is_host: &dyn Fn(&str) -> bool,
) -> Vec<Option<Gate>> {
    let mut out = vec![None; program.len()];
    if rules.none {
        return out;
    }
    let mut after: Option<Gate> = None;
    for (at, slot) in program.iter().enumerate() {
        match &slot.node {
            Node::Step(step) => {
                let own = if rules.all { Some(Gate::Asked) } else { gate_of(step, rules, reach_is_host) };
                out[at] = own.or(after);
                after = own;
            }
            Node::Flush => {
                out[at] = Some(Gate::Handlers);
                after = Some(Gate::Handlers);
            }
            Node::Open(_) | Node::Rescue(_) | Node::Always(_) | Node::Close(_) | Node::RoleEnd(_) => {}
        }
    }
    out
}

fn gate_of(step: &Step, rules: &GateRules, reach_is_host: &dyn Fn(&str) -> bool) -> Option<Gate> {
    let set = |kw: Kw| {
        step.keywords.get(kw).is_some_and(|value| value.to_bool_loose() != Some(false) && !value.is_null())
    };
    match step.module() {
        "include_tasks" | "include_role" | "meta" | "add_host" | "group_by" | "import_role"
        | "import_tasks" => {
            return Some(Gate::ChangesPlay);
        }
        _ => {}
    }
    if set(Kw::RunOnce) {
        return Some(Gate::RunOnce);
    }
    if set(Kw::AnyErrorsFatal) || rules.counts_failures {
        return Some(Gate::ErrorsFatal);
    }
    if set(Kw::Throttle) {
        return Some(Gate::Throttled);
    }
    if step.keywords.get(Kw::DelegateTo).is_some() {
        return Some(Gate::Delegated);
    }
    if !reach_is_host(step.module()) {
        return Some(Gate::World);
    }
    reads_others(step, rules).then_some(Gate::ReadsOthers)
}

fn reads_others(step: &Step, rules: &GateRules) -> bool {
    // a file-based template may read anything
    if matches!(step.module(), "template") && !rules.tainted.is_empty() {
        return true;
    }
    step.said().into_iter().any(|value| mentions_others(value, &rules.tainted))
}

/// Whether a value's text names `hostvars` (or a variable that does), directly or through a variable.
pub fn mentions_others(value: &Value, tainted: &HashSet<String>) -> bool {
    match value {
        Value::Str(text) => {
            let text = text.as_str();
            // who is still in the play depends on how the others fare
            ["hostvars", "play_hosts", "ansible_play_batch"].iter().any(|name| text.contains(name))
                || (!tainted.is_empty()
                    && text
                        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                        .any(|word| tainted.contains(word)))
        }
        Value::List(items) => items.iter().any(|item| mentions_others(item, tainted)),
        Value::Dict(entries) => entries.values().any(|item| mentions_others(item, tainted)),
        _ => false,
    }
}
