//! The life of one task on one host: condition, loop, arguments, privilege, module, retries, verdict.
//!
//! In: a step, a host, its variables. Out: [`Done`]: how it ended, what to register, what else follows.
//!
//! **Invariant:** nothing here touches another host's state; what a task does to the play is an [`Effect`] that the
//! scheduler carries out.
//!
//! Source: "Playbook Keywords", "Loops", "Error handling", "Conditionals" of Ansible's documentation; messages of 2.19.

use super::actions::{self, ActionCall};
use super::ahead::{self, Commit, Flight, Tail};
use super::{Run, diagnose, target};
use crate::connect::ConnectError;
use crate::plan::Step;
use crate::playbook::{Kw, short_name};
use crate::report::{ErrorChain, Event, Outcome, Status};
use crate::vars::{PlayVars, TaskScope, render};
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use quorate_template::Error as TemplateError;
use quorate_value::{Dict, Key, Span, Str, Value, dict, str_of};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a task wants done to the play, besides its result.
#[derive(Debug, Clone)]
pub enum Effect {
    /// `set_fact`, by host.
    Set {
        /// The host.
        host: Arc<str>,
        /// Variables.
        vars: Dict,
        /// They are facts too.
        cacheable: bool,
    },
    /// Facts that a module returned.
    Facts {
        /// The host they are about.
        host: Arc<str>,
        /// `ansible_*` names.
        facts: Dict,
    },
    /// `include_vars`.
    Include {
        /// The host.
        host: Arc<str>,
        /// Variables.
        vars: Dict,
    },
    /// `add_host`.
    AddHost {
        /// Its name.
        name: String,
        /// Groups to put it in.
        groups: Vec<String>,
        /// Its variables.
        vars: Dict,
    },
    /// `group_by`.
    GroupBy {
        /// The host.
        host: Arc<str>,
        /// The group.
        group: String,
        /// Its parents.
        parents: Vec<String>,
    },
    /// Dynamic include of tasks or a role.
    Expand(Box<Expand>),
    /// `set_stats`.
    Stats {
        /// Values.
        data: Dict,
        /// One set a host, rather than one for all.
        per_host: bool,
        /// Numbers add up, lists and mappings grow.
        aggregate: bool,
    },
    /// The connection must be made anew.
    ResetConnection,
}

/// A dynamic include, rendered.
#[derive(Debug, Clone)]
pub struct Expand {
    /// Rendered arguments.
    pub args: Dict,
    /// `item` and its like, which included tasks see.
    pub locals: Dict,
    /// What to call the loop item.
    pub label: Option<Str>,
}

/// How a task ended on a host.
#[derive(Debug, Clone)]
pub struct Done {
    /// How it ended.
    pub status: Status,
    /// The whole result, as registered.
    pub result: Arc<Dict>,
    /// It was a loop.
    pub looped: bool,
    /// A failure that `ignore_errors` (or `ignore_unreachable`) covers.
    pub ignored: bool,
    /// What else follows.
    pub effects: Vec<Effect>,
    /// What to say about a failure.
    pub error: Option<Arc<ErrorChain>>,
    /// The host it ran on instead, as output names it.
    pub delegate: Option<String>,
    /// Handlers to notify.
    pub notify: Vec<String>,
    /// Name to register under.
    pub register: Option<String>,
}

/// Why a task (or an item) has no ordinary result.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// The result.
    pub result: Dict,
    /// Messages with places, outermost first.
    pub links: Vec<(String, Span)>,
    /// The host could not be reached.
    pub unreachable: bool,
    /// The next thing to try.
    pub help: Option<String>,
    /// What it is, in the catalogue of codes.
    pub code: Option<&'static str>,
}

impl Failure {
    /// A failure of the task's own making: `Task failed: …`.
    pub fn task(step: &Step, links: Vec<(String, Span)>) -> Self {
        let mut all = vec![("Task failed.".to_owned(), step.task.span)];
        all.extend(links);
        let message = all.iter().map(|(text, _)| text.trim_end_matches('.')).collect::<Vec<_>>().join(": ");
        let message = match all.last() {
            Some((last, _)) if last.ends_with('.') && all.len() > 1 => message + ".",
            _ => message,
        };
        Failure {
            result: dict! {"msg" => message, "failed" => true, "changed" => false},
            links: all,
            ..Failure::default()
        }
    }

    /// The same, with another `msg` in the result than the whole chain.
    #[must_use]
    pub fn saying(mut self, message: &str) -> Self {
        self.result = dict! {"msg" => message, "failed" => true};
        self.links =
            vec![(format!("Task failed: {message}"), self.links.first().map_or(Span::default(), |l| l.1))];
        self
    }

    /// A failure told by an action: `Action failed: …`.
    pub fn action(message: impl Into<String>) -> Self {
        let message = message.into();
        Failure {
            result: dict! {"msg" => message, "failed" => true, "changed" => false},
            links: Vec::new(),
            ..Failure::default()
        }
    }
}

/// One item's (or the only) attempt.
struct Attempt {
    result: Dict,
    status: Status,
    links: Vec<(String, Span)>,
    effects: Vec<Effect>,
    delegate: Option<String>,
    ignored: bool,
    help: Option<String>,
    code: Option<&'static str>,
}

/// Runs a step on a host.
pub async fn run(
    run: &Arc<Run>,
    play: &Arc<PlayVars>,
    host: &Arc<str>,
    step: &Arc<Step>,
    rescuing: Option<(Value, Value)>,
    tell: Tell<'_>,
    flight: Option<&Flight>,
) -> Done {
    let mut scope = TaskScope::new(&run.shared, play, host, Some(step));
    scope.early = flight.and_then(Flight::early);
    let named;
    let mut step = step;
    let mut nowhere = None;
    if step.task.action.name.contains("{{") {
        match resolved(run, &scope, step) {
            Ok(found) => {
                named = found;
                step = &named;
                scope.step = Some(step.clone());
            }
            Err(failure) => nowhere = Some(failure),
        }
    }
    if let Some((task, result)) = rescuing {
        scope.locals.insert("ansible_failed_task", task);
        scope.locals.insert("ansible_failed_result", result);
    }
    let life = Life { run, play, host, step, tell, flight, nth: 0 };
    if let Some(failure) = nowhere {
        // a task that does not run needs no module
        let attempt = match life.first_false(&scope) {
            Ok(Some(condition)) => skipped(condition),
            _ => life.failed(&scope, failure),
        };
        return life.finish_single(&scope, attempt);
    }
    life.run(scope).await
}

/// The step with the module that its template names.
fn resolved(run: &Run, scope: &TaskScope, step: &Arc<Step>) -> Result<Arc<Step>, Failure> {
    let written = &step.task.action.name;
    let span = if written.span().is_known() { written.span() } else { step.task.span };
    let fail = |text: String| Failure::task(step, vec![(text, span)]);
    let name = render::value(scope, &Value::Str(written.clone())).map_err(|e| fail(e.to_string()))?;
    let name = str_of(&name);
    let collections = step.keywords.collections.as_ref().map(|c| c.to_vec()).unwrap_or_default();
    let Some(full) = run.shared.loader().resolve_action(&name, &collections) else {
        return Err(fail(format!("Cannot resolve '{name}' to an action or module.")));
    };
    let mut task = (*step.task).clone();
    task.name.get_or_insert_with(|| written.clone());
    task.action.name = Str::new(&full).at(span);
    Ok(Arc::new(Step {
        id: step.id,
        task: Arc::new(task),
        keywords: step.keywords.clone(),
        context: step.context.clone(),
        tags: step.tags.clone(),
        implicit: step.implicit,
    }))
}

/// How many attempts there were, for the conditions of the task itself.
const ATTEMPTS: &str = "quorate_attempts";

/// A result that only running tells.
const UNKNOWN: &str = "_ansible_unknown";

/// Where events of a task go.
pub type Tell<'a> = &'a (dyn Fn(Event) + Send + Sync);

struct Life<'a> {
    tell: Tell<'a>,
    run: &'a Arc<Run>,
    play: &'a Arc<PlayVars>,
    host: &'a Arc<str>,
    step: &'a Arc<Step>,
    flight: Option<&'a Flight>,
    /// The how-manieth item of a loop.
    nth: usize,
}

impl Life<'_> {
    async fn run(&self, scope: TaskScope) -> Done {
        match &self.step.task.looped {
            None => {
                let attempt = self.item(scope.fork()).await;
                if let Some(flight) = self.flight {
                    flight.settle(!matches!(attempt.status, Status::Failed | Status::Unreachable)).await;
                }
                self.finish_single(&scope, attempt)
            }
            Some(_) => self.run_loop(scope).await,
        }
    }

    fn finish_single(&self, scope: &TaskScope, attempt: Attempt) -> Done {
        let chain = self.chain(scope, &attempt);
        let mut result = attempt.result;
        let no_log = self.no_log(scope);
        if no_log {
            result.insert("_ansible_no_log", true);
        }
        Done {
            status: attempt.status,
            looped: false,
            ignored: attempt.ignored,
            effects: attempt.effects,
            error: chain,
            delegate: attempt.delegate,
            notify: if attempt.status == Status::Changed { self.notified(scope) } else { Vec::new() },
            register: self.register_name(scope),
            result: Arc::new(result),
        }
    }

    /// What is said of a failure.
    fn chain(&self, scope: &TaskScope, attempt: &Attempt) -> Option<Arc<ErrorChain>> {
        let known = diagnose::Known {
            code: attempt.code,
            help: attempt.help.as_deref(),
            links: &attempt.links,
            result: &attempt.result,
            ignored: attempt.ignored,
        };
        diagnose::chain(scope, self.step, &known)
    }

    fn register_name(&self, scope: &TaskScope) -> Option<String> {
        let name = self.step.task.register.as_ref()?;
        render::value(scope, name).ok().and_then(|v| v.as_str().map(str::to_owned)).filter(|n| !n.is_empty())
    }

    fn notified(&self, scope: &TaskScope) -> Vec<String> {
        let mut names = Vec::new();
        for value in &self.step.keywords.notify {
            match render::value(scope, value) {
                Ok(Value::List(items)) => names.extend(items.iter().map(str_of)),
                Ok(Value::Null) => {}
                Ok(other) => names.push(str_of(&other)),
                Err(_) => names.push(str_of(value)),
            }
        }
        names
    }

    fn no_log(&self, scope: &TaskScope) -> bool {
        match self.step.keywords.get(Kw::NoLog) {
            None => self.run.shared.settings.flag("DEFAULT_NO_LOG"),
            // what cannot be rendered is hidden rather than shown
            Some(value) => render::flag(scope, value).unwrap_or(true),
        }
    }

    fn flag(&self, scope: &TaskScope, kw: Kw) -> Result<bool, TemplateError> {
        self.step.keywords.get(kw).map_or(Ok(false), |value| render::flag(scope, value))
    }

    // ---- loops

    fn items(&self, scope: &TaskScope) -> Result<Vec<Value>, Failure> {
        let looped = self.step.task.looped.as_ref().expect("only loops come here");
        let fail = |error: TemplateError| {
            let span = span_of(&looped.items, looped.span);
            Failure::task(self.step, vec![(error.to_string(), span)])
        };
        match &looped.lookup {
            None => match render::value(scope, &looped.items).map_err(fail)? {
                Value::List(items) => Ok(items.to_vec()),
                other => {
                    let span = span_of(&looped.items, looped.span);
                    let message =
                        format!("The `loop` value must resolve to a 'list', not '{}'.", other.type_name());
                    Err(Failure {
                        result: dict! {"msg" => &message, "failed" => true},
                        links: vec![(message, span)],
                        help: Some(
                            "Provide a list of items/templates, or a template resolving to a list.".into(),
                        ),
                        ..Failure::default()
                    })
                }
            },
            Some(lookup) => render::with_lookup(scope, lookup, &looped.items).map_err(fail),
        }
    }

    async fn run_loop(&self, mut scope: TaskScope) -> Done {
        let control = &self.step.task.loop_control;
        let items = match self.items(&scope) {
            Ok(items) => items,
            Err(failure) => {
                // a condition that is false without any item skips the task, whatever the loop is
                if let Ok(Some(condition)) = self.first_false(&scope) {
                    return self.finish_single(&scope, skipped(condition));
                }
                let attempt = self.failed(&scope, failure);
                return self.finish_single(&scope, attempt);
            }
        };
        if items.is_empty() {
            let result = dict! {
                "changed" => false, "results" => Value::list([]), "skipped" => true, "skipped_reason" => "No items in the list",
            };
            let mut done = self.finish_single(
                &scope,
                Attempt {
                    result,
                    status: Status::Skipped,
                    links: Vec::new(),
                    effects: Vec::new(),
                    delegate: None,
                    ignored: false,
                    help: None,
                    code: None,
                },
            );
            done.looped = false;
            return done;
        }
        let var = self.loop_name(&scope, &control.loop_var).unwrap_or_else(|| "item".into());
        let index_var = control.index_var.as_ref().and_then(|value| self.loop_name(&scope, value));
        let extended = control.extended.as_ref().is_some_and(|v| render::flag(&scope, v).unwrap_or(false));
        let all_items =
            control.extended_allitems.as_ref().is_none_or(|v| render::flag(&scope, v).unwrap_or(true));
        let no_log = self.no_log(&scope);
        let count = items.len();
        let shared_items = Value::list(items.clone());
        let mut results = Vec::with_capacity(count);
        let mut effects = Vec::new();
        let (mut any_changed, mut any_failed, mut any_unreachable, mut all_skipped) =
            (false, false, false, true);
        let mut all_ignored = true;
        let mut delegate = None;
        let mut notify: Vec<String> = Vec::new();
        let locals_of = |index: usize| {
            let mut locals = dict! {&var => items[index].clone(), "ansible_loop_var" => &var};
            if let Some(name) = &index_var {
                locals.insert(name, index);
                locals.insert("ansible_index_var", name);
            }
            if extended {
                let mut info = dict! {
                    "length" => count, "index" => index + 1, "index0" => index, "first" => index == 0,
                    "last" => index + 1 == count, "revindex" => count - index, "revindex0" => count - index - 1,
                };
                if all_items {
                    info.insert("allitems", shared_items.clone());
                }
                if let Some(previous) = index.checked_sub(1).and_then(|i| items.get(i)) {
                    info.insert("previtem", previous.clone());
                }
                if let Some(next) = items.get(index + 1) {
                    info.insert("nextitem", next.clone());
                }
                locals.insert("ansible_loop", info);
            }
            locals
        };
        let streams =
            count > 1 && self.flight.is_some_and(Flight::runs_ahead) && ahead::may_stream(self.step);
        // items on their way, how to tell the first of those that wait that its turn has come, how it learns that
        // the one in front has been sent
        let mut stream = FuturesOrdered::new();
        let mut turns: VecDeque<oneshot::Sender<()>> = VecDeque::new();
        let mut behind: Option<oneshot::Receiver<Tail>> = None;
        let mut next = 0;
        for (index, item) in items.iter().enumerate() {
            while streams && next < count && next < index + ahead::DEPTH {
                let (sent, hears) = oneshot::channel();
                let (turn, comes) = oneshot::channel();
                let locals = locals_of(next);
                let mut here = scope.fork();
                here.locals.update(&locals);
                let front = behind.replace(hears);
                if next > index {
                    turns.push_back(turn);
                } else {
                    turn.send(()).ok();
                }
                stream.push_back(self.streamed(next, here, front, comes, sent));
                next += 1;
            }
            if index > 0
                && let Some(seconds) = control
                    .pause
                    .as_ref()
                    .and_then(|v| render::value(&scope, v).ok())
                    .and_then(|v| number(&v))
            {
                tokio::time::sleep(Duration::from_secs_f64(seconds.max(0.0))).await;
            }
            let locals = locals_of(index);
            scope.locals.update(&locals);
            let mut attempt = match stream.next().await {
                Some(attempt) => attempt,
                None => Life { nth: index, ..*self }.item(scope.fork()).await,
            };
            attempt.result.update(&locals_of_result(&locals));
            if let Some(template) = control.label.as_ref()
                && let Err(error) = self.label_checked(&scope, &attempt, template)
            {
                let span = span_of(template, self.step.task.span);
                let failure = Failure::task(
                    self.step,
                    vec![(format!("Failed to template loop_control.label: {error}"), span)],
                );
                let mut failed = self.failed(&scope, failure);
                failed.result.update(&locals_of_result(&locals));
                attempt = failed;
            }
            let label = self.label(&scope, control.label.as_ref(), item, no_log);
            if let Some(text) = label.as_ref().filter(|_| control.label.is_some()) {
                attempt.result.insert("_ansible_item_label", text.clone());
            }
            // what an earlier item has added is there for this one
            let again = |effect: &Effect| match effect {
                Effect::AddHost { name, groups, vars } => effects.iter().any(|earlier| {
                    matches!(earlier, Effect::AddHost { name: n, groups: g, vars: v }
                        if n == name && groups.iter().all(|group| g.contains(group)) && v == vars)
                }),
                _ => false,
            };
            if attempt.status == Status::Changed
                && !attempt.effects.is_empty()
                && attempt.effects.iter().all(again)
            {
                attempt.status = Status::Ok;
                attempt.result.insert("changed", false);
            }
            // later items see what earlier ones set
            for effect in &attempt.effects {
                if let Effect::Set { vars, .. } | Effect::Include { vars, .. } = effect {
                    scope.locals.update(vars);
                }
            }
            if attempt.status == Status::Changed {
                notify.extend(self.notified(&scope));
            }
            any_changed |= attempt.status == Status::Changed
                || attempt.result.get("changed").is_some_and(Value::is_truthy);
            all_skipped &= attempt.status == Status::Skipped;
            match attempt.status {
                Status::Failed => {
                    any_failed = true;
                    all_ignored &= attempt.ignored;
                }
                Status::Unreachable => any_unreachable = true,
                Status::Ok | Status::Changed | Status::Skipped => {}
            }
            delegate = attempt.delegate.clone().or(delegate);
            let include = matches!(self.step.module(), "include_tasks" | "include_role");
            if !(include && attempt.status == Status::Ok) {
                let outcome = Outcome {
                    host: self.host.clone(),
                    delegate: attempt.delegate.clone(),
                    status: attempt.status,
                    result: Arc::new(shown(&attempt.result, no_log)),
                    ignored: attempt.ignored,
                    error: self.chain(&scope, &attempt),
                };
                let label = Str::from(label.as_ref().map(str_of).unwrap_or_default());
                (self.tell)(Event::Item { step: self.step.clone(), label, outcome });
            }
            for mut effect in std::mem::take(&mut attempt.effects) {
                if let Effect::Expand(expand) = &mut effect {
                    expand.label = label.as_ref().map(|label| Str::from(str_of(label)));
                    expand.locals = locals.clone();
                }
                effects.push(effect);
            }
            let mut kept = registered(&attempt.result);
            kept.remove("_ansible_no_log");
            results.push(Value::dict(kept));
            if let Some(turn) = turns.pop_front() {
                turn.send(()).ok();
            }
            if !control.break_when.is_empty() {
                let mut here = scope.fork();
                if let Some(name) = self.register_name(&scope) {
                    here.locals.insert(name, Value::dict(attempt.result.clone()));
                }
                if control
                    .break_when
                    .iter()
                    .all(|condition| render::condition(&here, condition).unwrap_or(false))
                {
                    break;
                }
            }
        }
        for name in [Some(&var), index_var.as_ref()].into_iter().flatten() {
            scope.locals.remove(name);
        }
        let message = if any_unreachable {
            // a host that is gone for one item is gone
            "One or more items failed"
        } else if any_failed {
            "One or more items failed"
        } else if all_skipped {
            "All items skipped"
        } else {
            "All items completed"
        };
        let mut result = dict! {
            "results" => Value::list(results), "changed" => any_changed, "msg" => message, "skipped" => all_skipped,
        };
        let status = if any_unreachable {
            result.insert("unreachable", true);
            Status::Unreachable
        } else if any_failed {
            result.insert("failed", true);
            Status::Failed
        } else if all_skipped {
            Status::Skipped
        } else if any_changed {
            Status::Changed
        } else {
            Status::Ok
        };
        if no_log {
            result.insert("_ansible_no_log", true);
        }
        notify.dedup();
        Done {
            status,
            looped: true,
            ignored: match status {
                Status::Failed => all_ignored,
                Status::Unreachable => self.flag(&scope, Kw::IgnoreUnreachable).unwrap_or(false),
                Status::Ok | Status::Changed | Status::Skipped => false,
            },
            effects,
            error: None,
            delegate,
            notify,
            register: self.register_name(&scope),
            result: Arc::new(result),
        }
    }

    /// An item that may be sent before those in front of it have ended: `front` tells that (and behind what) it may go,
    /// `turn` that all of them have been dealt with, and `sent` tells the same to the one behind it.
    async fn streamed(
        &self,
        nth: usize,
        scope: TaskScope,
        front: Option<oneshot::Receiver<Tail>>,
        turn: oneshot::Receiver<()>,
        sent: oneshot::Sender<Tail>,
    ) -> Attempt {
        let sent = Arc::new(Mutex::new(Some(sent)));
        let commit = || {
            let sent = sent.clone();
            move |commit: Commit| {
                let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let (Some(sent), Some(tail)) = (sent, commit.tail) {
                    sent.send(tail).ok();
                }
            }
        };
        let work = || self.flight.and_then(Flight::work);
        let tail = match front {
            None => None,
            Some(front) => front.await.ok(),
        };
        let flight = match tail {
            Some(tail) => Flight::ahead(Vec::new(), Some(tail), turn, commit()).of(work()).item(),
            None => {
                turn.await.ok();
                Flight::head(commit()).of(work())
            }
        };
        let mut here = scope.fork();
        here.early = flight.early();
        let attempt = Life { flight: Some(&flight), nth, ..*self }.item(here).await;
        flight.settle(true).await;
        if !flight.is_deferred() {
            return attempt;
        }
        let flight = Flight::head(commit()).of(work());
        Life { flight: Some(&flight), nth, ..*self }.item(scope).await
    }

    fn loop_name(&self, scope: &TaskScope, value: &Value) -> Option<String> {
        render::value(scope, value).ok().and_then(|v| v.as_str().map(str::to_owned))
    }

    /// A label may name what the task registers.
    fn label_checked(
        &self,
        scope: &TaskScope,
        attempt: &Attempt,
        label: &Value,
    ) -> Result<(), TemplateError> {
        render::value(&self.with_result(scope, attempt), label).map(|_| ())
    }

    fn label(&self, scope: &TaskScope, label: Option<&Value>, item: &Value, no_log: bool) -> Option<Value> {
        if no_log {
            return Some(Value::from("(censored due to no_log)"));
        }
        match label {
            None => Some(item.clone()),
            Some(template) => Some(render::value(scope, template).unwrap_or_else(|_| item.clone())),
        }
    }

    // ---- one item

    /// The first condition that is false, if one is.
    fn first_false(&self, scope: &TaskScope) -> Result<Option<Value>, (TemplateError, Span)> {
        for condition in &self.step.keywords.when {
            let span = span_of(condition, self.step.task.span);
            if !render::condition(scope, condition).map_err(|error| (error, span))? {
                return Ok(Some(condition.clone()));
            }
        }
        Ok(None)
    }

    async fn item(&self, scope: TaskScope) -> Attempt {
        // a template that comes out as nobody is a mistake, whatever the condition says
        if let Some(written @ Value::Str(text)) = self.step.keywords.get(Kw::DelegateTo)
            && text.is_template()
            && render::value(&scope, written).is_ok_and(|v| v.as_str() == Some(""))
        {
            let text = format!(
                "Empty hostname produced from delegate_to: {}.",
                quorate_value::repr(&written.untrusted())
            );
            return self.failed(
                &scope,
                Failure::task(self.step, vec![(text, span_of(written, self.step.task.span))]),
            );
        }
        match self.first_false(&scope) {
            Ok(None) => {}
            Ok(Some(condition)) => return self.excused(skipped(condition)),
            Err((error, span)) => {
                let mut failure = Failure::task(self.step, vec![(condition_error(&error), span)]);
                if matches!(error.kind(), quorate_template::Kind::Conditional) {
                    failure.help = Some("Broken conditionals can be temporarily allowed with the `ALLOW_BROKEN_CONDITIONALS` configuration option.".into());
                }
                return self.failed(&scope, failure);
            }
        }
        if self.run.is_interrupted() && self.run.interrupted.load(std::sync::atomic::Ordering::Relaxed) > 1 {
            return self.failed(&scope, Failure::action("interrupted"));
        }
        let mut attempt = self.attempts(&scope).await;
        if attempt.status == Status::Failed {
            attempt.ignored = self.flag(&scope, Kw::IgnoreErrors).unwrap_or(false);
        }
        if attempt.status == Status::Unreachable {
            attempt.ignored = self.flag(&scope, Kw::IgnoreUnreachable).unwrap_or(false);
        }
        attempt
    }

    async fn attempts(&self, scope: &TaskScope) -> Attempt {
        let task = &self.step.task;
        let until = &task.until;
        let number_of = |value: &Option<Value>| {
            value.as_ref().and_then(|v| render::value(scope, v).ok()).and_then(|v| number(&v))
        };
        let retries = match (&task.retries, until.is_empty()) {
            (None, true) => 1,
            (None, false) => 3,
            (Some(_), _) => number_of(&task.retries).map_or(3, |n| (n as i64).max(0)),
        };
        let looping = !until.is_empty() || task.retries.is_some();
        // so many retries after the first attempt; a failure reports the retries as its attempts
        let attempts = if looping { retries + 1 } else { 1 };
        let delay = number_of(&task.delay).unwrap_or(5.0).max(0.0);
        let mut number = 1;
        loop {
            let mut attempt = match self.register_name(scope).filter(|_| looping) {
                // conditions of the task may ask how often it has been tried
                Some(_) => self.once(&scope.fork().with(ATTEMPTS, number)).await,
                None => self.once(scope).await,
            };
            if !looping || attempt.status == Status::Unreachable || attempt.result.contains_key(UNKNOWN) {
                return attempt;
            }
            attempt.result.insert("attempts", number);
            let met = if until.is_empty() {
                attempt.status != Status::Failed
            } else {
                let here = self.with_result(scope, &attempt);
                let mut met = true;
                for condition in until {
                    match render::condition(&here, condition) {
                        Ok(true) => {}
                        Ok(false) => met = false,
                        Err(error) => {
                            let span = span_of(condition, task.span);
                            return self.failed(
                                scope,
                                Failure::task(self.step, vec![(condition_error(&error), span)]),
                            );
                        }
                    }
                }
                met
            };
            if met || self.run.is_interrupted() {
                return attempt;
            }
            if number >= attempts {
                attempt.result.insert("attempts", retries);
                if attempt.status != Status::Failed {
                    // the task's own verdict stands, but what is registered has failed all the same
                    let excused = attempt.result.get("failed_when_result").is_some_and(|v| !v.is_truthy());
                    if !excused {
                        attempt.status = Status::Failed;
                    }
                    attempt.result.insert("failed", true);
                    if !attempt.result.contains_key("msg") {
                        attempt.result.insert("msg", "Task failed: Action failed: Unknown error.");
                    }
                    if attempt.links.is_empty() {
                        attempt.links = vec![(judged(&attempt.result), task.span)];
                    }
                }
                return attempt;
            }
            let left = attempts - number;
            let outcome = Outcome {
                host: self.host.clone(),
                delegate: attempt.delegate.clone(),
                status: attempt.status,
                result: Arc::new(shown(&attempt.result, self.no_log(scope))),
                ignored: false,
                error: None,
            };
            let mut outcome = outcome;
            Arc::make_mut(&mut outcome.result).insert("retries", attempts);
            (self.tell)(Event::Retry { step: self.step.clone(), left, outcome });
            number += 1;
            tokio::time::sleep(Duration::from_secs_f64(delay)).await;
        }
    }

    /// The variables of the task plus what it would register.
    fn with_result(&self, scope: &TaskScope, attempt: &Attempt) -> TaskScope {
        let mut here = scope.fork();
        let mut kept = registered(&attempt.result);
        if let Some(number) = scope.locals.get(ATTEMPTS) {
            kept.insert("attempts", number.clone());
        }
        for effect in &attempt.effects {
            match effect {
                Effect::Set { vars, .. } | Effect::Include { vars, .. } => here.locals.update(vars),
                _ => {}
            }
        }
        if let Some(name) = self.register_name(scope) {
            here.locals.insert(name, Value::dict(kept.clone()).untrusted());
        }
        // conditions of the task may name parts of the result directly in `failed_when` and `changed_when`
        here
    }

    fn failed(&self, scope: &TaskScope, failure: Failure) -> Attempt {
        let ignored = self
            .flag(scope, if failure.unreachable { Kw::IgnoreUnreachable } else { Kw::IgnoreErrors })
            .unwrap_or(false);
        let status = if failure.unreachable { Status::Unreachable } else { Status::Failed };
        let mut result = failure.result;
        if !failure.unreachable {
            result.insert("failed", true);
            for (key, value) in
                [("changed", Value::Bool(false)), ("exception", Value::from("(traceback unavailable)"))]
            {
                if !result.contains_key(key) {
                    result.insert(key, value);
                }
            }
        }
        let (help, code) = (failure.help, failure.code);
        let links = if failure.links.is_empty() {
            let message = result.get("msg").map(str_of).unwrap_or_default();
            vec![(format!("Task failed: Action failed: {message}"), self.step.task.span)]
        } else {
            failure.links
        };
        self.excused(Attempt {
            result,
            status,
            links,
            effects: Vec::new(),
            delegate: None,
            ignored,
            help,
            code,
        })
    }

    async fn once(&self, scope: &TaskScope) -> Attempt {
        match self.execute(scope).await {
            Ok(attempt) => self.excused(attempt),
            Err(failure) => self.failed(scope, failure),
        }
    }

    /// In check mode, where somebody plans: what fails for want of something that would be there by then is not known.
    fn excused(&self, attempt: Attempt) -> Attempt {
        let Some(forecast) = self.run.forecast.get() else { return attempt };
        let why = if attempt.status == Status::Failed {
            let mut said: Vec<String> = attempt.links.iter().map(|(text, _)| text.clone()).collect();
            said.extend(["msg", "stderr"].iter().filter_map(|name| attempt.result.get(*name)).map(str_of));
            forecast.excuse(self.host, self.step, &said.join(" "))
        } else if attempt.status == Status::Unreachable || crate::journal::runs_again(self.step.module()) {
            None
        } else {
            forecast.fog(self.host, self.step)
        };
        let Some(why) = why else { return attempt };
        let result = dict! {
            "changed" => false, "skipped" => true, "msg" => format!("not known before running: {why}"), UNKNOWN => true,
        };
        Attempt {
            result,
            status: Status::Skipped,
            links: Vec::new(),
            effects: Vec::new(),
            delegate: attempt.delegate,
            ignored: false,
            help: None,
            code: None,
        }
    }

    fn keyword(&self, scope: &TaskScope, kw: Kw) -> Result<Option<Value>, Failure> {
        // `omit` leaves what is said around the task
        for keywords in [&self.step.keywords, &self.step.context.keywords] {
            let Some(value) = keywords.get(kw) else { return Ok(None) };
            let rendered = render::value(scope, value).map_err(|error| {
                let name = Kw::ALL.iter().find(|(k, _)| *k == kw).map_or("", |(_, n)| *n);
                let text = format!("Error processing keyword '{name}': {error}");
                Failure::task(self.step, vec![(text, span_of(value, self.step.task.span))])
            })?;
            if !matches!(rendered, Value::Omit) {
                return Ok(Some(rendered).filter(|v| !v.is_null()));
            }
        }
        Ok(None)
    }

    async fn execute(&self, scope: &TaskScope) -> Result<Attempt, Failure> {
        let task = &self.step.task;
        let delegated =
            self.keyword(scope, Kw::DelegateTo)?.map(|v| str_of(&v)).filter(|name| !name.is_empty());
        let mut scope_for_args = scope.fork();
        let delegate_scope = delegated.as_ref().map(|name| {
            let mut other = TaskScope::new(&self.run.shared, self.play, &Arc::from(name.as_str()), None);
            other.locals = Dict::new();
            other
        });
        if let Some(name) = &delegated {
            scope_for_args.locals.insert(
                "ansible_delegated_vars",
                dict! {name => dict! {"inventory_hostname" => name, "ansible_delegated_host" => name}},
            );
        }
        let args = self.arguments(&scope_for_args)?;
        let flag = |kw: Kw, otherwise: bool| -> Result<bool, Failure> {
            let Some(value) = self.keyword(scope, kw)? else { return Ok(otherwise) };
            value.to_bool_loose().ok_or_else(|| {
                let name = Kw::ALL.iter().find(|(k, _)| *k == kw).map_or("", |(_, n)| *n);
                let written = self.step.keywords.get(kw).cloned().unwrap_or_default();
                let text = format!(
                    "Error processing keyword '{name}': The value {} could not be converted to 'bool'.",
                    quorate_value::repr(&value)
                );
                Failure::task(self.step, vec![(text, span_of(&written, task.span))])
            })
        };
        let check = flag(Kw::CheckMode, self.run.shared.options.check)?;
        let diff = flag(Kw::Diff, self.run.shared.options.diff)?;
        flag(Kw::Become, false)?;
        let environment = self.environment(scope)?;
        let timeout = self
            .keyword(scope, Kw::Timeout)?
            .and_then(|v| number(&v))
            .or_else(|| self.run.shared.settings.number("TASK_TIMEOUT").map(|n| n as f64))
            .filter(|n| *n != 0.0);
        if let Some(seconds) = timeout.filter(|n| !(0.0..=100_000_000.0).contains(n)) {
            let text = format!("Timeout {seconds} is invalid, it must be between 0 and 100000000.");
            return Err(Failure::task(self.step, vec![(text, task.span)]));
        }
        let no_log = self.no_log(scope);
        let where_ = delegate_scope.as_ref().unwrap_or(scope);
        let (target, become_) = target::resolve(self.run, scope, where_, self.step, delegated.as_deref())
            .map_err(|(text, span)| Failure::task(self.step, vec![(text, span)]))?;
        let delegate_label =
            delegated.as_ref().filter(|name| name.as_str() != self.host.as_ref()).map(|name| {
                if target.address == *name || target.kind == crate::connect::Kind::Local {
                    name.clone()
                } else {
                    format!("{name}({})", target.address)
                }
            });
        let call = ActionCall {
            run: self.run,
            play: self.play,
            host: self.host,
            step: self.step,
            scope,
            module: short_name(&task.action.name).to_owned(),
            module_as_written: task.action.name.as_str().to_owned(),
            args,
            check,
            diff,
            environment,
            no_log,
            target: &target,
            become_: become_.as_ref(),
            delegated: delegated.as_deref(),
            flight: self.flight,
            nth: self.nth,
            async_: self.async_of(scope)?,
        };
        let outcome = self.guarded(&call, timeout).await;
        if let Some(flight) = self.flight {
            let well =
                outcome.as_ref().is_ok_and(|(result, _)| !result.get("failed").is_some_and(Value::is_truthy));
            flight.settle(well).await;
        }
        let (mut result, effects) = match outcome {
            Ok((result, effects)) => (result, effects),
            Err(failure) if failure.result.get("timedout").is_some() && !failure.links.is_empty() => {
                return Err(failure);
            }
            Err(mut failure) => {
                if failure.links.is_empty() && !failure.unreachable {
                    let message = failure.result.get("msg").map(str_of).unwrap_or_default();
                    failure.links = vec![(format!("Task failed: Action failed: {message}"), task.span)];
                }
                let mut attempt = self.failed(scope, failure);
                attempt.delegate = delegate_label;
                if attempt.status == Status::Failed {
                    self.verdict(scope, &mut attempt);
                }
                return Ok(attempt);
            }
        };
        normalise(&mut result);
        // facts are too many for any output
        if matches!(self.step.module(), "gather_facts" | "setup")
            && !result.get("failed").is_some_and(Value::is_truthy)
        {
            result.insert("_ansible_verbose_override", true);
        }
        if let Some(text) = result
            .get("msg")
            .and_then(Value::as_str)
            .filter(|text| text.starts_with("Unsupported parameters for (ansible.builtin."))
        {
            let text = renamed(text, &actions::written_name(self.step));
            result.insert("msg", text);
        }
        if !diff && call.module == "file" {
            result.remove("diff");
        }
        if diff {
            result.insert("_ansible_diff", true);
        }
        let mut effects = effects;
        if let Some(Value::Dict(facts)) = result.get("ansible_facts")
            && !matches!(call.module.as_str(), "set_fact" | "include_vars")
        {
            let about = if self.delegates_facts(scope) {
                delegated.as_deref().unwrap_or(self.host)
            } else {
                self.host
            };
            effects.push(Effect::Facts { host: Arc::from(about), facts: untrusted(facts) });
        }
        let failed = result.get("failed").is_some_and(Value::is_truthy);
        let skipped = result.get("skipped").is_some_and(Value::is_truthy);
        let changed = result.get("changed").is_some_and(Value::is_truthy);
        let status = match (failed, skipped, changed) {
            (true, ..) => Status::Failed,
            (_, true, _) => Status::Skipped,
            (_, _, true) => Status::Changed,
            _ => Status::Ok,
        };
        let links = if failed {
            vec![(failure_text(&call.module, &result, &self.step.task.action.name), task.span)]
        } else {
            Vec::new()
        };
        let mut attempt = Attempt {
            result,
            status,
            links,
            effects,
            delegate: delegate_label,
            ignored: false,
            help: None,
            code: None,
        };
        self.verdict(scope, &mut attempt);
        Ok(attempt)
    }

    fn delegates_facts(&self, scope: &TaskScope) -> bool {
        self.flag(scope, Kw::DelegateFacts).unwrap_or(false)
    }

    fn async_of(&self, scope: &TaskScope) -> Result<Option<(u64, u64)>, Failure> {
        let task = &self.step.task;
        let Some(value) = &task.async_seconds else { return Ok(None) };
        let read = |value: &Value| {
            render::value(scope, value)
                .map_err(|e| Failure::task(self.step, vec![(e.to_string(), span_of(value, task.span))]))
                .map(|v| number(&v).unwrap_or(0.0) as u64)
        };
        let limit = read(value)?;
        let poll = match &task.poll {
            Some(value) => read(value)?,
            None => self.run.shared.settings.number("DEFAULT_POLL_INTERVAL").unwrap_or(15) as u64,
        };
        Ok((limit > 0).then_some((limit, poll)))
    }

    /// Asks the guard before a step that can take a member of a cluster away.
    /// What is waited for before and after it counts for no `timeout`, which is the module's.
    async fn guarded(
        &self,
        call: &ActionCall<'_>,
        timeout: Option<f64>,
    ) -> Result<(Dict, Vec<Effect>), Failure> {
        if let Some(flight) = self.flight
            && (super::Guard::is_interested(call) || actions::switch::is_armed(call))
        {
            flight.hold();
            if flight.defer() {
                return Err(Failure::default());
            }
        }
        if let Some(forecast) = self.run.forecast.get() {
            forecast.calls(call);
        }
        actions::switch::before(call).await?;
        let permit = match self.run.guard.ask(call).await {
            Ok(permit) => permit,
            Err(refusal) => {
                if let Some(journal) = self.run.journal.get() {
                    journal.refused(&refusal.text);
                }
                self.run.tell(Event::Refused { text: refusal.text.clone() });
                let result = dict! {
                    "changed" => false, "failed" => true, "msg" => refusal.message, "refused" => refusal.code, "facts" => refusal.facts.iter().map(Value::from).collect::<Value>(),
                };
                return Err(Failure { result, links: Vec::new(), ..Failure::default() });
            }
        };
        let work = actions::run(call);
        let outcome = match timeout {
            None => work.await,
            Some(seconds) => {
                let timed = tokio::time::timeout(Duration::from_secs_f64(seconds), work).await;
                timed.unwrap_or_else(|_| {
                    let message = format!("Task failed: Timed out after {} second(s).", seconds as u64);
                    let result = dict! {
                        "changed" => false, "failed" => true, "msg" => &message,
                        "timedout" => dict! {"period" => seconds as i64, "frame" => "the task was stopped on the host"},
                    };
                    let links = vec![(message, self.step.task.span)];
                    Err(Failure { result, links, ..Failure::default() })
                })
            }
        };
        match permit {
            None => outcome,
            Some(permit) => permit.settle(call, outcome).await,
        }
    }

    fn arguments(&self, scope: &TaskScope) -> Result<Dict, Failure> {
        let task = &self.step.task;
        let full = match task.action.name.as_str() {
            name if name.contains('.') => name.to_owned(),
            name => format!("ansible.builtin.{name}"),
        };
        let fail = |key: Option<&str>, error: TemplateError, span: Span| {
            let what =
                key.map(|key| format!("Error while resolving value for '{key}': ")).unwrap_or_default();
            Failure::task(
                self.step,
                vec![
                    (format!("Finalization of task args for '{full}' failed."), task.action.name.span()),
                    (format!("{what}{error}"), span),
                ],
            )
        };
        let mut args = match &task.action.args {
            Value::Dict(entries) => (**entries).clone(),
            Value::Null => Dict::new(),
            template => match render::value(scope, template)
                .map_err(|e| fail(None, e, span_of(template, task.span)))?
            {
                Value::Dict(entries) => Arc::unwrap_or_clone(entries),
                Value::Str(text) => {
                    let raw = matches!(self.step.module(), "command" | "shell" | "script" | "raw");
                    crate::playbook::kv::parse_kv(&text, raw)
                        .map_err(|e| Failure::task(self.step, vec![(e.to_string(), task.span)]))?
                }
                other => {
                    let text =
                        format!("the arguments of `{full}` must be a mapping, not '{}'", other.type_name());
                    return Err(Failure::task(self.step, vec![(text, span_of(template, task.span))]));
                }
            },
        };
        if let Some(extra) = args.remove("_variable_params") {
            match render::value(scope, &extra).map_err(|e| fail(None, e, span_of(&extra, task.span)))? {
                Value::Dict(entries) => {
                    let mut merged = Arc::unwrap_or_clone(entries);
                    merged.update(&args);
                    args = merged;
                }
                Value::Omit | Value::Null => {}
                other => {
                    let text = format!(
                        "Finalization of task args for '{full}' failed: Task args must resolve to a 'dict' not '{}'.",
                        other.type_name()
                    );
                    return Err(Failure::task(self.step, vec![(text, span_of(&extra, task.span))]));
                }
            }
        }
        // `add_host: "{{ entry }}"`: one template that comes out as all arguments
        let free = !matches!(
            self.step.module(),
            "command" | "shell" | "script" | "raw" | "include_vars" | "include_tasks" | "meta"
        );
        if let Some(raw) = args
            .get("_raw_params")
            .filter(|raw| free && matches!(raw, Value::Str(text) if text.is_template()))
            .cloned()
        {
            let rendered = render::value(scope, &raw).map_err(|e| fail(None, e, span_of(&raw, task.span)))?;
            if let Value::Dict(entries) = rendered {
                args.remove("_raw_params");
                args.update(&entries);
            }
        }
        if free
            && args.len() > 1
            && args.get("_raw_params").and_then(Value::as_text).is_some_and(Str::is_template)
        {
            let text = format!(
                "this task '{}' has extra params, which is only allowed in the following modules: {}",
                task.action.name.as_str(),
                crate::playbook::FREE_FORM.join(", ")
            );
            return Err(Failure::task(self.step, vec![(text, task.span)]));
        }
        let mut out = self.defaults(scope, &full)?;
        let lazy = actions::renders_itself(self.step.module());
        for (key, value) in &args {
            let name = key.json_text();
            if lazy.contains(&name.as_ref()) {
                out.insert(key.clone(), value.clone());
                continue;
            }
            let key = match (key, self.step.module()) {
                (Key::Str(text), "set_fact") if text.contains("{{") => {
                    let rendered = render::value(scope, &Value::Str(Str::new(text).trusted()))
                        .map_err(|e| fail(Some(&name), e, task.span))?;
                    match &rendered {
                        Value::Str(text) => Key::from(text.as_str()),
                        Value::Int(number) => Key::Int(*number),
                        Value::Bool(flag) => Key::Bool(*flag),
                        other => Key::from(str_of(other)),
                    }
                }
                _ => key.clone(),
            };
            let rendered =
                render::value(scope, value).map_err(|e| fail(Some(&name), e, span_of(value, task.span)))?;
            if !matches!(rendered, Value::Omit) {
                out.insert(key, rendered);
            } else {
                out.remove_key(&key);
            }
        }
        Ok(out)
    }

    /// `module_defaults` for this module: groups of it first, then the module, nearer ones last.
    fn defaults(&self, scope: &TaskScope, full: &str) -> Result<Dict, Failure> {
        let mut out = Dict::new();
        for set in &self.step.keywords.module_defaults {
            let set = match set {
                Value::Dict(entries) => entries.clone(),
                template => match render::value(scope, template) {
                    Ok(Value::Dict(entries)) => entries,
                    Ok(_) => continue,
                    Err(e) => {
                        return Err(Failure::task(
                            self.step,
                            vec![(e.to_string(), span_of(template, self.step.task.span))],
                        ));
                    }
                },
            };
            let mut apply = |name: &str| -> Result<(), Failure> {
                let Some(values) = set.get(name) else { return Ok(()) };
                match render::value(scope, values) {
                    Ok(Value::Dict(values)) => {
                        out.update(&values);
                        Ok(())
                    }
                    Ok(_) => Ok(()),
                    Err(e) => Err(Failure::task(
                        self.step,
                        vec![(e.to_string(), span_of(values, self.step.task.span))],
                    )),
                }
            };
            for group in actions::groups_of(full) {
                apply(&format!("group/{group}"))?;
            }
            apply(short_name(full))?;
            if short_name(full) != full {
                apply(&format!("ansible.legacy.{}", short_name(full)))?;
                apply(full)?;
            }
        }
        Ok(out)
    }

    fn environment(&self, scope: &TaskScope) -> Result<Vec<(String, String)>, Failure> {
        let mut out: BTreeMap<String, String> = BTreeMap::new();
        let gathers = matches!(self.step.module(), "gather_facts" | "setup");
        for value in &self.step.keywords.environment {
            // facts are gathered without what needs facts: `PATH: "{{ ansible_env.PATH }}:/more"`
            if let (true, Value::Dict(entries)) = (gathers, value) {
                for (key, value) in entries.iter() {
                    match render::value(scope, value) {
                        Ok(Value::Omit) => {}
                        Ok(value) => {
                            out.insert(key.json_text().into_owned(), str_of(&value));
                        }
                        Err(error) if error.is_undefined() && error.to_string().contains("ansible_env") => {}
                        Err(error) => {
                            let text = format!("Error processing keyword 'environment': {error}");
                            return Err(Failure::task(
                                self.step,
                                vec![(text, span_of(value, self.step.task.span))],
                            ));
                        }
                    }
                }
                continue;
            }
            let rendered = render::value(scope, value).map_err(|e| {
                Failure::task(
                    self.step,
                    vec![(
                        format!("Error processing keyword 'environment': {e}"),
                        span_of(value, self.step.task.span),
                    )],
                )
            })?;
            match rendered {
                Value::Dict(entries) => {
                    for (key, value) in entries.iter().filter(|(_, v)| !matches!(v, Value::Omit)) {
                        out.insert(key.json_text().into_owned(), str_of(value));
                    }
                }
                Value::Null | Value::Omit => {}
                other => {
                    let text = format!(
                        "environment must be a dictionary, received {} ({})",
                        str_of(&other),
                        other.type_name()
                    );
                    return Err(Failure::task(self.step, vec![(text, span_of(value, self.step.task.span))]));
                }
            }
        }
        Ok(out.into_iter().collect())
    }

    /// `changed_when` and `failed_when`.
    fn verdict(&self, scope: &TaskScope, attempt: &mut Attempt) {
        let task = &self.step.task;
        if attempt.status == Status::Unreachable
            || (attempt.status == Status::Skipped && attempt.result.get("skip_reason").is_some())
        {
            return;
        }
        if let Some(conditions) = &task.changed_when {
            let here = self.with_result(scope, attempt);
            match all_true(&here, conditions) {
                Ok(changed) => {
                    attempt.result.insert("changed", changed);
                }
                Err(error) => {
                    attempt.result.insert("changed_when_result", condition_error(&error));
                    attempt.result.insert("failed", true);
                }
            }
        }
        if let Some(conditions) = task.failed_when.as_ref().filter(|c| !c.is_empty()) {
            let here = self.with_result(scope, attempt);
            match all_true(&here, conditions) {
                Ok(failed) => {
                    attempt.result.insert("failed_when_result", failed);
                    attempt.result.insert("failed", failed);
                    if !failed {
                        attempt.links.clear();
                        if let Some(exception) = attempt.result.remove("exception") {
                            attempt.result.insert("failed_when_suppressed_exception", exception);
                        }
                    } else if !attempt.result.contains_key("exception") {
                        attempt.result.insert("exception", "(traceback unavailable)");
                        if !attempt.result.contains_key("msg") {
                            attempt.result.insert("msg", "Task failed: Action failed: Unknown error.");
                        }
                    }
                }
                Err(error) => {
                    attempt.result.insert("failed_when_result", condition_error(&error));
                    attempt.result.insert("failed", true);
                }
            }
        }
        if attempt.status == Status::Skipped {
            return;
        }
        let truthy = |key: &str| attempt.result.get(key).is_some_and(Value::is_truthy);
        attempt.status = if truthy("failed") {
            Status::Failed
        } else if truthy("changed") {
            Status::Changed
        } else {
            Status::Ok
        };
        if attempt.status == Status::Failed && !attempt.result.contains_key("msg") {
            attempt.result.insert("msg", "Task failed: Action failed: Unknown error.");
        }
        if attempt.status == Status::Failed && attempt.links.is_empty() {
            attempt.links = vec![(judged(&attempt.result), task.span)];
        }
    }
}

/// Refused parameters: modules that an action runs have their old names, others the name that people wrote.
fn renamed(text: &str, written: &str) -> String {
    let Some((_, rest)) = text.split_once("(ansible.builtin.") else { return text.to_owned() };
    let Some((module, rest)) = rest.split_once(')') else { return text.to_owned() };
    let name = match module {
        "copy" | "command" | "unarchive" | "assemble" | "script" | "service" | "uri" | "dnf" => {
            format!("ansible.legacy.{module}")
        }
        _ if crate::playbook::short_name(written) == module => written.to_owned(),
        _ => format!("ansible.builtin.{module}"),
    };
    format!("Unsupported parameters for ({name}){rest}")
}

/// What to say where a condition has made a failure of a result.
fn judged(result: &Dict) -> String {
    match result.get("msg").map(str_of) {
        None => "Task failed: Action failed: Unknown error.".into(),
        Some(text) if text.is_empty() => "Task failed: Action failed.".into(),
        Some(text) if text.starts_with("Task failed: ") => text,
        Some(text) => format!("Task failed: Action failed: {text}"),
    }
}

fn all_true(scope: &TaskScope, conditions: &[Value]) -> Result<bool, TemplateError> {
    for condition in conditions {
        if !render::condition(scope, condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn condition_error(error: &TemplateError) -> String {
    error.to_string()
}

fn skipped(condition: Value) -> Attempt {
    let result = dict! {
        "changed" => false, "skipped" => true, "skip_reason" => "Conditional result was False", "false_condition" => condition,
    };
    Attempt {
        result,
        status: Status::Skipped,
        links: Vec::new(),
        effects: Vec::new(),
        delegate: None,
        ignored: false,
        help: None,
        code: None,
    }
}

/// What of a result is registered: no invocation, no internals.
pub fn registered(result: &Dict) -> Dict {
    let mut kept: Dict = result
        .iter()
        .filter(|(key, _)| {
            !key.as_str().is_some_and(|k| k.starts_with("_ansible_") || k == "invocation" || k == "_cause")
        })
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if !kept.contains_key("failed") && kept.get("skipped").is_none_or(|v| !v.is_truthy()) {
        kept.insert("failed", false);
    }
    kept
}

/// A result as output may show it.
pub fn shown(result: &Dict, no_log: bool) -> Dict {
    if !no_log {
        return masked(result);
    }
    let mut out = dict! {
        "censored" => "the output has been hidden due to the fact that 'no_log: true' was specified for this result",
    };
    for key in [
        "changed",
        "failed",
        "skipped",
        "attempts",
        "retries",
        "unreachable",
        "_ansible_no_log",
        "_ansible_delegated_vars",
    ] {
        if let Some(value) = result.get(key) {
            out.insert(key, value.clone());
        }
    }
    out.remove("failed");
    if out.get("skipped").is_some_and(|v| !v.is_truthy()) {
        out.remove("skipped");
    }
    out
}

/// Secrets inside a result are stars.
fn masked(result: &Dict) -> Dict {
    if !result.values().any(Value::holds_secret) {
        return result.clone();
    }
    let hide = |text: &Str| if text.is_secret() { Str::new("********") } else { text.clone() };
    result.iter().map(|(k, v)| (k.clone(), v.map_text(&hide))).collect()
}

fn locals_of_result(locals: &Dict) -> Dict {
    locals.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn untrusted(dict: &Dict) -> Dict {
    dict.iter().map(|(k, v)| (k.clone(), v.untrusted())).collect()
}

/// What every result has.
fn normalise(result: &mut Dict) {
    if !result.contains_key("changed") {
        result.insert("changed", false);
    }
    for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        if let Some(value) = result.get(text).and_then(Value::as_str)
            && !result.contains_key(lines)
        {
            let list: Value = value.lines().map(Value::from).collect();
            result.insert(lines, list);
        }
    }
    if result.get("failed").is_some_and(Value::is_truthy) && !result.contains_key("exception") {
        result.insert("exception", "(traceback unavailable)");
    }
}

/// `Task failed: Module failed: …`, as 2.19 says it.
fn failure_text(module: &str, result: &Dict, full: &Str) -> String {
    let message = result.get("msg").map(str_of).unwrap_or_default();
    if message.starts_with("Task failed: ") {
        return message;
    }
    let cause = result.get("_cause").map(str_of).unwrap_or_default();
    let kind = if actions::is_action(module) && !actions::runs_module(module) { "Action" } else { "Module" };
    let _ = full;
    let mut text = format!("Task failed: {kind} failed");
    if message.is_empty() {
        text.push('.');
    } else {
        text.push_str(&format!(": {message}"));
    }
    if !cause.is_empty() {
        text = format!("{}: {cause}", text.trim_end_matches('.'));
    }
    text
}

/// A number in whatever form people write it.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Str(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Where a value is written, or else where its task is.
pub fn span_of(value: &Value, otherwise: Span) -> Span {
    match value {
        Value::Str(text) | Value::Vault(text) if text.span().is_known() => text.span(),
        Value::List(items) => items
            .iter()
            .map(|item| span_of(item, Span::default()))
            .find(|s| s.is_known())
            .unwrap_or(otherwise),
        Value::Dict(entries) => entries
            .values()
            .map(|item| span_of(item, Span::default()))
            .find(|s| s.is_known())
            .unwrap_or(otherwise),
        _ => otherwise,
    }
}

/// A failure to reach the host (or to become somebody there) as a result.
pub fn connection_failure(step: &Step, error: &ConnectError) -> Failure {
    let message = error.message.clone();
    if error.is_unreachable() {
        let text = format!("Task failed: {message}");
        Failure {
            result: dict! {"changed" => false, "unreachable" => true, "msg" => &text},
            links: vec![(text, step.task.span)],
            unreachable: true,
            help: error.help.clone(),
            code: Some(diagnose::of_stage(error)),
        }
    } else {
        let text = format!("Task failed: {message}");
        Failure {
            result: dict! {"changed" => false, "failed" => true, "msg" => &text},
            links: vec![(text, step.task.span)],
            unreachable: false,
            help: error.help.clone(),
            code: Some(diagnose::of_stage(error)),
        }
    }
}
