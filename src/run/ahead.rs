//! Tasks that are sent to a host before the ones in front of them have ended, so that many cost one round trip.
//!
//! In: what the scheduler knows of the tasks in front. Out: a [`Flight`] for each task: when it may send, what it may
//! not know yet, when its turn has come.
//!
//! A task that runs ahead is evaluated at once. Where that asks for anything that a task in front of it will set, it
//! is put off: everything is thrown away and done again at its turn. Otherwise its job travels at once, with the order
//! to the helper to run it only when the job in front has ended without failure. Its result waits here until the tasks
//! in front have been told, counted and registered; only then are `changed_when`, `notify` and their like looked at.
//!
//! **Invariant:** a job runs ahead only where a success on the host is a success of the task, so what the host has
//! done is what the linear strategy would have had it do; and nothing is told before its turn.
//!
//! Not here: which steps may follow which (`play`), the order on the host (the helper's `after`).

use crate::connect::{Blob, Link, RunError};
use crate::plan::Step;
use crate::playbook::Kw;
use crate::vars::Early;
use quorate_agent::protocol::Job;
use quorate_value::{Dict, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// So many tasks of a host may wait for their turn.
pub(super) const DEPTH: usize = 32;

/// The last job in a host's queue.
#[derive(Clone)]
pub struct Tail {
    link: Arc<Link>,
    id: u64,
}

/// A task has done everything it does before its result comes.
pub struct Commit {
    /// What a task behind it is to wait for on the host; nothing where none was sent.
    pub tail: Option<Tail>,
    /// Whether the next one may be sent.
    pub well: bool,
}

type Tell = Box<dyn FnOnce(Commit) + Send>;

/// One task on its way.
pub struct Flight {
    early: Arc<Early>,
    chain: Option<Tail>,
    commit: Mutex<Option<Tell>>,
    turn: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
    deferred: AtomicBool,
    dropped: AtomicBool,
    alone: bool,
    /// An item of a loop that is at work.
    item: bool,
    /// What the journal calls the work; nothing where there is none.
    work: Option<Arc<str>>,
}

impl Flight {
    /// A task whose turn it is.
    pub fn head(commit: impl FnOnce(Commit) + Send + 'static) -> Self {
        Flight {
            early: Arc::new(Early::over()),
            chain: None,
            commit: Mutex::new(Some(Box::new(commit))),
            turn: tokio::sync::Mutex::new(None),
            deferred: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            alone: false,
            item: false,
            work: None,
        }
    }

    /// The same for work that the journal calls so.
    #[must_use]
    pub fn of(mut self, work: Option<Arc<str>>) -> Self {
        self.work = work;
        self
    }

    /// What the journal calls the work.
    pub fn work(&self) -> Option<Arc<str>> {
        self.work.clone()
    }

    /// A task behind others, which will set the variables `unknown`.
    pub fn ahead(
        unknown: Vec<String>,
        chain: Option<Tail>,
        turn: oneshot::Receiver<()>,
        commit: impl FnOnce(Commit) + Send + 'static,
    ) -> Self {
        Flight {
            early: Arc::new(Early::new(unknown)),
            chain,
            turn: tokio::sync::Mutex::new(Some(turn)),
            ..Flight::head(commit)
        }
    }

    /// What its variables are looked up through while its turn has not come.
    pub fn early(&self) -> Option<Arc<Early>> {
        (!self.early.is_over()).then(|| self.early.clone())
    }

    /// The same where nothing at all is to be sent ahead.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The same for an item of a loop that is at work.
    #[must_use]
    pub fn item(mut self) -> Self {
        self.item = true;
        self
    }

    /// Whether anything may be sent ahead.
    pub fn runs_ahead(&self) -> bool {
        !self.alone
    }

    /// Puts the task off where it is not yet its turn; whether it was.
    pub fn defer(&self) -> bool {
        if self.early.is_over() {
            return false;
        }
        self.deferred.store(true, Ordering::Release);
        true
    }

    /// Whether what was found out so far counts for nothing.
    pub fn is_deferred(&self) -> bool {
        self.deferred.load(Ordering::Acquire)
    }

    /// Nothing may follow before this task has ended.
    pub fn hold(&self) {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether this task never was: the host went another way.
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    fn tell(&self, commit: Commit) {
        let tell = self.commit.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tell) = tell {
            tell(commit);
        }
    }

    /// Runs a job, behind the one in front of it. Nothing where the task was put off.
    pub async fn run(
        &self,
        run: &super::Run,
        link: &Arc<Link>,
        mut job: Job,
        blobs: Vec<Blob>,
    ) -> Option<Result<Dict, RunError>> {
        let early = !self.early.is_over();
        if early {
            let tail = self.chain.as_ref().filter(|tail| Arc::ptr_eq(&tail.link, link));
            match tail {
                Some(tail) if !self.early.was_asked() && !self.is_deferred() => job.after = Some(tail.id),
                _ => {
                    self.defer();
                    return None;
                }
            }
        }
        let sent = |id: u64| self.tell(Commit { tail: Some(Tail { link: link.clone(), id }), well: true });
        // what has not begun when a run is stopped does not begin; items of a loop are part of what has
        let withdrawn = async {
            if !early || self.item {
                std::future::pending::<()>().await;
            }
            run.stops().await;
        };
        let result = link.run_noting(job, blobs, sent, withdrawn).await;
        if early {
            self.settle(true).await;
            if matches!(&result, Ok(result) if result.contains_key("_skipped_after")) {
                // the job in front failed, and that was no reason to stop
                self.deferred.store(true, Ordering::Release);
                return None;
            }
        }
        Some(result)
    }

    /// What can be found out before its turn is found out; waits for it.
    pub async fn settle(&self, well: bool) {
        if self.early.is_over() {
            return;
        }
        if self.early.was_asked() {
            self.deferred.store(true, Ordering::Release);
        }
        if self.is_deferred() {
            self.hold();
        } else {
            self.tell(Commit { tail: self.chain.clone(), well });
        }
        let turn = self.turn.lock().await.take();
        if let Some(turn) = turn
            && turn.await.is_err()
        {
            self.dropped.store(true, Ordering::Release);
        }
        self.early.end();
    }
}

/// Whether a step is one question to its host and nothing else, so that it may be asked before its turn.
pub(super) fn may_lead(step: &Step) -> bool {
    let task = &step.task;
    let set = |kw: Kw| step.keywords.get(kw).is_some();
    task.looped.is_none()
        && task.until.is_empty()
        && task.retries.is_none()
        && task.async_seconds.is_none()
        && !task.action.name.contains("{{")
        && ![Kw::RunOnce, Kw::Throttle, Kw::DelegateTo, Kw::AnyErrorsFatal, Kw::Debugger, Kw::Timeout]
            .into_iter()
            .any(set)
        && asks_once(step.module())
}

/// Whether the items of a loop may be sent one behind the other: a failed one stops those behind it on the host only
/// until it has been looked at.
pub(super) fn may_stream(step: &Step) -> bool {
    let task = &step.task;
    let control = &task.loop_control;
    let module = step.module();
    task.until.is_empty()
        && task.retries.is_none()
        && task.async_seconds.is_none()
        && !task.action.name.contains("{{")
        && control.pause.is_none()
        && control.break_when.is_empty()
        && ![Kw::DelegateTo, Kw::Debugger, Kw::Timeout].into_iter().any(|kw| step.keywords.get(kw).is_some())
        && (matches!(module, "copy" | "template")
            || (!super::actions::is_action(module) && quorate_agent::modules::find(module).is_some()))
}

/// Actions and modules that ask the host at most once, and touch nothing but their own host.
fn asks_once(module: &str) -> bool {
    match module {
        "debug" | "set_fact" | "assert" | "copy" | "template" => true,
        _ if super::actions::is_action(module) => false,
        _ => quorate_agent::modules::find(module).is_some() && super::actions::reach_is_host(module),
    }
}

/// Whether others may run ahead behind a step: its success is known from its result alone, and so is what it sets.
pub(super) fn may_follow(step: &Step) -> bool {
    let task = &step.task;
    let plain = |value: &Value| value.as_str().is_some_and(|name| !name.contains("{{"));
    let sets_facts = matches!(step.module(), "setup" | "gather_facts" | "hostname" | "getent")
        || step.module().ends_with("_facts");
    may_lead(step)
        && task.failed_when.as_ref().is_none_or(Vec::is_empty)
        && task.register.as_ref().is_none_or(plain)
        && !sets_facts
        && (step.module() != "set_fact" || set_by(step).is_some())
}

/// The names that `set_fact` sets, where they are plain and of this host alone.
fn set_by(step: &Step) -> Option<Vec<String>> {
    let args = step.task.action.args.as_dict()?;
    let names: Option<Vec<String>> =
        args.keys().map(|key| key.as_str().filter(|name| !name.contains("{{")).map(str::to_owned)).collect();
    names.filter(|names| {
        !names.iter().any(|name| matches!(name.as_str(), "cacheable" | "_variable_params" | "_raw_params"))
    })
}

/// The variables that a step sets when it has ended.
pub(super) fn sets(step: &Step) -> Vec<String> {
    let mut names: Vec<String> =
        step.task.register.as_ref().and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    if step.module() == "set_fact" {
        names.extend(set_by(step).unwrap_or_default());
    }
    names
}
