//! After a step: is the member back for good, or gone for good?
//!
//! In: the outcome of a step that had a [`Permit`]. Out: the same outcome, or a failure if the member did not come
//! back. The cluster's turn ends here.
//!
//! **Invariant:** a permit that is dropped without having been settled stops further steps on its cluster: nobody
//! knows what its step did.

use super::reach::Reach;
use super::recognise::Kind;
use super::shell::Deed;
use super::{Desk, Lane, PAUSE, record};
use crate::report::Event;
use crate::run::actions::ActionCall;
use crate::run::task::{Effect, Failure};
use quorate_etcd::settle::Expected;
use quorate_etcd::{Claim, MemberId, Observation, Role, Target, Timing, wait_settled};
use quorate_value::{Dict, Value};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long a step that returns early is given to begin.
const TO_BEGIN: Duration = Duration::from_secs(5);
/// How long a stopped member may go on answering.
const TO_STOP: Duration = Duration::from_secs(15);
/// How long a member is waited for whose return nobody has promised.
const PERHAPS: Duration = Duration::from_secs(15);

/// A slot that was granted.
pub struct Permit {
    pub(super) overridden: Option<Dict>,
    pub(super) watch: Option<Watch>,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Afterwards {
    kind: Kind,
    /// The step returns before it has begun.
    loose: bool,
    /// It happens some time later.
    later: bool,
    /// The operator wanted it, and the cluster may be unable to come back by itself.
    forlorn: bool,
}

impl Afterwards {
    pub(super) fn of(deed: &Deed, overridden: bool, keeps_quorum: bool) -> Self {
        Afterwards {
            kind: deed.kind,
            loose: deed.loose,
            later: deed.later,
            forlorn: overridden && !keeps_quorum,
        }
    }
}

/// The member that is away.
pub(super) struct Watch {
    #[expect(dead_code, reason = "held, not read: the turn ends when this is dropped")]
    pub(super) turn: tokio::sync::OwnedMutexGuard<()>,
    pub(super) desk: Arc<Desk>,
    pub(super) lane: Arc<Lane>,
    pub(super) reach: Reach,
    pub(super) claim: Claim,
    pub(super) host: String,
    /// The step in words.
    pub(super) step: String,
    pub(super) id: Option<MemberId>,
    pub(super) role: Role,
    pub(super) max_lag: u64,
    /// Who is told what is seen meanwhile, and of which cluster.
    pub(super) run: Arc<crate::run::Run>,
    pub(super) cluster: String,
    /// Bytes of its database.
    pub(super) store: u64,
    pub(super) afterwards: Afterwards,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.lane.poison(format!("{} was given up half-way", watch.step));
            watch.release();
        }
    }
}

impl Watch {
    fn release(self) {
        self.desk.held.lock().unwrap_or_else(PoisonError::into_inner).retain(|claim| *claim != self.claim);
        let mut state = self.lane.state();
        state.holder = None;
        state.rested = Some(Instant::now());
        drop(state);
    }

    async fn look(&mut self) -> Observation {
        let seen = self.reach.look().await;
        let mut state = self.lane.state();
        let seen = match &state.seen {
            Some(before) => seen.remembering(before),
            None => seen,
        };
        state.seen = Some(seen.clone());
        self.run.saw(&self.cluster, &seen, self.max_lag);
        seen
    }

    fn serves(&self, seen: &Observation) -> bool {
        seen.find(&Target::host(&self.host)).is_some_and(|member| member.serves(self.max_lag))
    }

    /// Looks until the member serves nobody, at most so long.
    async fn gone(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        loop {
            let seen = self.look().await;
            if !self.serves(&seen) {
                return true;
            }
            if began.elapsed() >= limit {
                return false;
            }
            // a small member is gone and back within half a second
            tokio::time::sleep(PAUSE / 5).await;
        }
    }

    /// Looks until it is back: caught up, and a healthy voter (or learner) several times in a row.
    async fn back(&mut self, limit: Option<Duration>, tell: impl Fn(String)) -> Result<(), String> {
        let expected = match self.role {
            Role::Learner => Expected::learner(Target::host(&self.host), self.id),
            Role::Voter | Role::Unlisted => Expected::voter(Target::host(&self.host), self.id),
        };
        let mut timing = Timing::for_database(self.store);
        timing.settle = Duration::ZERO; // the next turn waits, not this one
        timing.deadline = limit.unwrap_or(timing.deadline);
        let began = Instant::now();
        let mut next = Duration::from_secs(5);
        let progress = |seen: &Observation, missing: Option<&quorate_etcd::settle::Missing>| {
            self.run.saw(&self.cluster, seen, self.max_lag);
            if let Some(missing) = missing.filter(|_| began.elapsed() >= next) {
                next = began.elapsed() + Duration::from_secs(5);
                tell(format!("{}: waiting for etcd, {} s: {missing}", self.host, began.elapsed().as_secs()));
            }
        };
        match wait_settled(&self.reach.spec, &self.reach.access, &expected, timing, progress).await {
            Ok(seen) => {
                self.lane.state().seen = Some(seen);
                Ok(())
            }
            Err(missing) => Err(format!("not back after {} s: {missing}", began.elapsed().as_secs())),
        }
    }
}

type Outcome = Result<(Dict, Vec<Effect>), Failure>;

fn truthy(outcome: &Outcome, key: &str) -> bool {
    let result = match outcome {
        Ok((result, _)) => result,
        Err(failure) => &failure.result,
    };
    result.get(key).is_some_and(Value::is_truthy)
}

impl Permit {
    /// Waits until the member is back (or gone, where that was the step), and ends the cluster's turn.
    pub async fn settle(mut self, call: &ActionCall<'_>, outcome: Outcome) -> Outcome {
        let mut outcome = outcome;
        match &mut outcome {
            Ok((result, _)) => record(result, self.overridden.as_ref()),
            Err(failure) => record(&mut failure.result, self.overridden.as_ref()),
        }
        // while we wait the permit stays whole, so that being cut off counts as given up
        let Some(watch) = &mut self.watch else { return outcome };
        let failed = outcome.is_err() || truthy(&outcome, "failed");
        let nothing_done = !failed && (truthy(&outcome, "skipped") || !truthy(&outcome, "changed"));
        let trouble = if nothing_done { None } else { watch.settle(call, failed).await };
        let watch = self.watch.take().expect("it was there a moment ago");
        if let Some(trouble) = &trouble {
            watch.lane.poison(trouble.clone());
        }
        let (host, cluster) = (watch.host.clone(), watch.claim.cluster.clone());
        watch.release();
        match (trouble, outcome) {
            (None, outcome) => outcome,
            (Some(trouble), Err(failure)) => {
                call.run.tell(Event::Warning(format!("{host}: {trouble}")));
                Err(failure)
            }
            (Some(trouble), Ok((mut result, _))) => {
                let message =
                    format!("{trouble}. No other member of cluster \"{cluster}\" is taken away in this run");
                result.insert("msg", message);
                result.insert("failed", true);
                Err(Failure { result, ..Failure::default() })
            }
        }
    }
}

impl Watch {
    /// What went wrong, if something did that must stop further steps.
    async fn settle(&mut self, call: &ActionCall<'_>, failed: bool) -> Option<String> {
        let Afterwards { kind, loose, later, forlorn } = self.afterwards;
        let tell = |text: String| call.run.tell(Event::Verbose(1, text));
        if later {
            return Some(format!("{} is due at a later time", self.step));
        }
        match kind {
            Kind::Stop => {
                if !self.gone(TO_STOP).await {
                    tell(format!("{}: etcd still answers after the step that was to stop it", self.host));
                }
                None
            }
            Kind::Kill => {
                self.gone(TO_BEGIN).await;
                if let Err(why) = self.back(Some(PERHAPS), tell).await {
                    tell(format!("{}: {why}", self.step));
                }
                None
            }
            Kind::Restart | Kind::Start => {
                if loose || call.async_.is_some() {
                    self.gone(TO_BEGIN).await;
                }
                let limit = (failed || forlorn).then_some(PERHAPS);
                match self.back(limit, tell).await {
                    Ok(()) => None,
                    Err(why) if forlorn => {
                        call.run.tell(Event::Warning(format!("{}: {why}", self.step)));
                        None
                    }
                    Err(why) => Some(format!("{}: {why}", self.step)),
                }
            }
        }
    }
}
