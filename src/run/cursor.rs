//! Where a host is in its program, and where a failure takes it.
//!
//! **Invariant:** a host only ever moves forward. Rules: Ansible's "Blocks" and "Error handling in playbooks".

use crate::plan::{BlockId, Node, Program, Section, Step, StepId};
use quorate_value::Value;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// How a host fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It goes on.
    Well,
    /// A task failed, nothing rescued it.
    Failed,
    /// It could not be reached.
    Unreachable,
    /// It was told to stop (`end_host`, `end_play`).
    Ended,
}

/// A block that a host is inside of.
#[derive(Debug, Clone)]
struct Inside {
    block: BlockId,
    section: Section,
    /// A failure that goes on when the block ends.
    pending: bool,
}

/// One host in a play's batch.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Its name.
    pub(super) name: Arc<str>,
    /// The next position.
    pub(super) at: usize,
    /// A step is being run.
    pub(super) busy: bool,
    /// An include it has met is not yet read.
    pub(super) waits: bool,
    /// Another host's failure is this one's too, once the step at hand has ended here.
    pub(super) doomed: bool,
    /// The failure it is at was another host's.
    pub(super) shares: bool,
    /// How it fares.
    pub(super) health: Health,
    inside: Vec<Inside>,
    /// Handlers to run, by number.
    pub(super) notified: HashSet<usize>,
    /// Roles that have run to their end here.
    pub(super) roles_done: HashSet<u32>,
    /// Roles of which something has run here.
    pub(super) roles_begun: HashSet<u32>,
    /// `ansible_failed_task` and `ansible_failed_result`, while a rescue goes on.
    pub(super) rescuing: VecDeque<(Value, Value)>,
    /// Steps on their way behind the one at hand, in order.
    pub(super) ahead: VecDeque<Waiting>,
    /// What is being done, as the journal calls it, and since when.
    pub(super) work: Option<Work>,
}

/// A step that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The step.
    pub(super) step: Arc<Step>,
    /// Tells it that its turn has come; dropped, that it never will.
    pub(super) turn: tokio::sync::oneshot::Sender<()>,
}

/// A step that runs on a host.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) key: crate::journal::Key,
    pub(super) began: std::time::Instant,
    /// Its result stands from an earlier run.
    pub(super) stood: bool,
}

/// What a failure means for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A `rescue` takes over.
    Rescued,
    /// An `always` runs first, then the failure goes on.
    Delayed,
    /// The host is out.
    Out,
}

impl Cursor {
    pub(super) fn new(name: Arc<str>) -> Self {
        Cursor {
            name,
            at: 0,
            busy: false,
            waits: false,
            doomed: false,
            shares: false,
            health: Health::Well,
            inside: Vec::new(),
            notified: HashSet::new(),
            roles_done: HashSet::new(),
            roles_begun: HashSet::new(),
            rescuing: VecDeque::new(),
            ahead: VecDeque::new(),
            work: None,
        }
    }

    /// Whether it takes part.
    pub(super) fn is_active(&self, program: &Program) -> bool {
        self.at < program.len() && matches!(self.health, Health::Well)
    }

    pub(super) fn open(&mut self, block: BlockId) {
        self.inside.push(Inside { block, section: Section::Body, pending: false });
        self.at += 1;
    }

    /// The body has ended well: on to `always`.
    pub(super) fn meet_rescue(&mut self, block: BlockId, program: &Program) {
        self.at = find(program, self.at, &Node::Always(block));
    }

    /// On to `always`; whether a rescue has just gone well.
    pub(super) fn meet_always(&mut self, block: BlockId) -> bool {
        let mut rescued = false;
        if let Some(inside) = self.inside.iter_mut().rev().find(|inside| inside.block == block) {
            if inside.section == Section::Rescue {
                // the rescue went well
                self.rescuing.pop_back();
                rescued = true;
            }
            inside.section = Section::Always;
        }
        self.at += 1;
        rescued
    }

    /// The block ends; a failure that waited for its `always` goes on.
    pub(super) fn close(&mut self, block: BlockId, program: &Program) -> Option<Fate> {
        let mut pending = false;
        while let Some(inside) = self.inside.pop() {
            if inside.block == block {
                pending = inside.pending;
                break;
            }
        }
        self.at += 1;
        pending.then(|| self.fail(program))
    }

    /// A task failed here: jumps to what takes care of it.
    pub(super) fn fail(&mut self, program: &Program) -> Fate {
        while let Some(inside) = self.inside.last_mut() {
            let always = find(program, self.at, &Node::Always(inside.block));
            match inside.section {
                Section::Body => {
                    let rescue = find(program, self.at, &Node::Rescue(inside.block));
                    if rescue + 1 < always {
                        inside.section = Section::Rescue;
                        self.at = rescue + 1;
                        return Fate::Rescued;
                    }
                    inside.section = Section::Always;
                    inside.pending = true;
                    self.at = always + 1;
                    return Fate::Delayed;
                }
                Section::Rescue => {
                    self.rescuing.pop_back();
                    inside.section = Section::Always;
                    inside.pending = true;
                    self.at = always + 1;
                    return Fate::Delayed;
                }
                Section::Always => {
                    self.inside.pop();
                }
            }
        }
        self.health = Health::Failed;
        Fate::Out
    }

    /// `clear_host_errors`: failures that wait for an `always` to end are forgotten.
    pub(super) fn forgive(&mut self) {
        for inside in &mut self.inside {
            inside.pending = false;
        }
        self.health = Health::Well;
    }

    /// Forgets blocks: nothing rescues any more.
    pub(super) fn leave_blocks(&mut self) {
        self.inside.clear();
    }
}

/// The position of a marker, from `from` on; the end of the program where there is none.
fn find(program: &Program, from: usize, marker: &Node) -> usize {
    let same = |node: &Node| match (node, marker) {
        (Node::Rescue(a), Node::Rescue(b))
        | (Node::Always(a), Node::Always(b))
        | (Node::Close(a), Node::Close(b)) => a == b,
        _ => false,
    };
    // a step that fails stands before the markers of every block around it, a marker at most at `from` itself
    let start = from.saturating_sub(1);
    program[start..].iter().position(|slot| same(&slot.node)).map_or(program.len(), |i| start + i)
}

/// The step at a position.
pub(super) fn step_at(program: &Program, at: usize) -> Option<StepId> {
    match program.get(at).map(|slot| &slot.node) {
        Some(Node::Step(step)) => Some(step.id),
        _ => None,
    }
}
