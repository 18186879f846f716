//! Steps that modules of ours take themselves: changes of the member list, defragmentations.
//!
//! In: what is to be reached, as a question to an observation. Out: a [`Change`] in whose life the step may be taken,
//! or nothing where it is so already, or a [`Refusal`].
//!
//! **Invariant:** the same as for tasks: the cluster's turn and its lock first, then the look that decides. A timeout
//! of a step is no failure of it; whoever steps looks again and says what is.

use super::cluster::{Cluster, Ground};
use super::reach::Reach;
use super::{Case, Desk, Guard, Lane, Refusal};
use crate::report::Event;
use crate::run::actions::ActionCall;
use quorate_etcd::guard::Note;
use quorate_etcd::{Claim, Observation, Step};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// A step that may be taken now. Ends when it is dropped.
pub(crate) struct Change {
    #[expect(dead_code, reason = "held, not read: the turn ends when this is dropped")]
    turn: tokio::sync::OwnedMutexGuard<()>,
    desk: Arc<Desk>,
    lane: Arc<Lane>,
    claim: Claim,
    /// What allowed it.
    pub(crate) seen: Observation,
}

impl Drop for Change {
    fn drop(&mut self) {
        self.desk.held.lock().unwrap_or_else(PoisonError::into_inner).retain(|claim| *claim != self.claim);
        let mut state = self.lane.state();
        state.holder = None;
        state.rested = Some(Instant::now());
    }
}

impl Change {
    /// A step whose postcondition did not come: nothing more is done to this cluster in this run.
    pub(crate) fn poison(&self, what: String) {
        self.lane.poison(what);
    }
}

impl Guard {
    /// Asks for a step. `wanted` gives the step for what is seen, or nothing where it is done already.
    pub(crate) async fn begin(
        &self,
        call: &ActionCall<'_>,
        cluster: &Cluster,
        wanted: impl Fn(&Observation) -> Option<Step>,
    ) -> Result<Option<Change>, Refusal> {
        let ground = Ground { run: call.run.clone(), play: call.play.clone(), step: call.step.clone() };
        let host = call.host.to_string();
        let mut case = Case {
            call,
            step: Step::Stop(quorate_etcd::Target::host(&host)),
            host,
            reach: Reach::new(&ground, cluster, None),
            cluster: cluster.clone(),
            lane: self.lane(cluster.name()),
            gated: false,
        };
        let refused = |refusal| {
            self.refused.store(true, Ordering::Relaxed);
            refusal
        };
        let turn = case.turn().await?;
        case.alone(self).await.map_err(refused)?;
        let seen = case.look().await;
        let Some(step) = wanted(&seen) else { return Ok(None) };
        case.step = step;
        let (verdict, seen) = self.decide(&mut case).await.map_err(refused)?;
        let Some(step) = wanted(&seen) else { return Ok(None) };
        let what = step.describe(&seen);
        for note in &verdict.notes {
            if let Note::Overridden(refusal) = note {
                let text = Refusal::overridden(refusal, case.reach.trouble.as_deref()).text;
                call.run.tell(Event::Warning(text));
            } else {
                case.tell(1, format!("{what}: {note}"));
            }
        }
        let holder = format!("{what} ({})", call.title());
        case.lane.state().holder = Some(holder.clone());
        let target = step.target().and_then(|target| seen.find(target));
        let claim = Claim {
            cluster: cluster.name().to_owned(),
            member: target.and_then(|member| member.id),
            host: target.and_then(|member| member.host.clone()),
            effect: step.effect(),
            holder,
        };
        self.desk.held.lock().unwrap_or_else(PoisonError::into_inner).push(claim.clone());
        Ok(Some(Change { turn, desk: self.desk.clone(), lane: case.lane.clone(), claim, seen }))
    }

    /// Check mode: says what [`Guard::begin`] would refuse, as far as one look tells.
    pub(crate) fn would_refuse(
        &self,
        call: &ActionCall<'_>,
        cluster: &Cluster,
        step: &Step,
        seen: &Observation,
    ) {
        let claims = self.claims(&self.lane(cluster.name()));
        if let Err(why) = quorate_etcd::may(step, seen, &claims, &cluster.policy, Instant::now()) {
            let facts = why.facts().join("\n  ");
            let text =
                format!("in a run without --check the guard would refuse [{}]: {why}\n  {facts}", why.code());
            call.run.tell(Event::Warning(text));
        }
    }
}
