//! What happens in parallel, told in the order of the linear strategy.
//!
//! In: events of steps as they happen. Out: the same events, a step at a time, in the order of the program.

use crate::plan::StepId;
use crate::report::Event;
use std::collections::HashMap;

/// Events that wait for earlier steps to end.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: HashMap<StepId, Vec<Event>>,
    /// The step whose events go out as they come.
    open: Option<StepId>,
}

impl Outbox {
    /// An event of a step: what may be told now.
    pub(super) fn put(&mut self, step: StepId, event: Event) -> Vec<Event> {
        if self.open == Some(step) {
            return vec![event];
        }
        self.waiting.entry(step).or_default().push(event);
        Vec::new()
    }

    /// Every host has come to `now` (or past all): what of the steps before may be told, in order. `order` are the
    /// steps of the program up to and including `now`.
    pub(super) fn reach(&mut self, order: impl Iterator<Item = StepId>, now: Option<StepId>) -> Vec<Event> {
        let mut out = Vec::new();
        if !self.waiting.is_empty() {
            for step in order {
                if let Some(events) = self.waiting.remove(&step) {
                    out.extend(events);
                }
            }
        }
        self.open = now;
        out
    }
}
