//! Everything people look at: events in, text out.
//!
//! In: [`Event`]s in the order of the linear strategy. Out: Ansible's grammar ([`Ansible`]), and what else reads the stream.
//!
//! **Invariant:** a reader never decides anything, and has no way back into the run.

mod ansible;
pub mod callbacks;
pub mod diff;
pub mod display;
pub mod html;
pub mod junit;
pub mod live;
mod minimal;
pub mod record;

pub use ansible::{Ansible, Manner, origin};
pub use live::{Live, Running};
pub use minimal::{ADHOC, Minimal};

use crate::plan::Step;
use indexmap::IndexMap;
use quorate_value::{Dict, Span, Str};
use std::sync::Arc;

/// Text for markup, in which some characters of it are not themselves; `odd` says which more (line ends and tabs stay).
fn marked_up(text: &str, odd: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c => match odd(c) {
                Some(text) => out.push_str(text),
                None => out.push(c),
            },
        }
    }
    out
}

/// How a task ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing had to change.
    Ok,
    /// Something changed.
    Changed,
    /// Its condition was false, or there was nothing to loop over.
    Skipped,
    /// It failed.
    Failed,
    /// The host could not be reached.
    Unreachable,
}

/// A result of a task, or of one item of its loop.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The host.
    pub host: Arc<str>,
    /// The host it was delegated to, as output names it.
    pub delegate: Option<String>,
    /// How it ended.
    pub status: Status,
    /// The result as registered.
    pub result: Arc<Dict>,
    /// A failure that the task ignores.
    pub ignored: bool,
    /// What to say about a failure before the result: chain of messages with places.
    pub error: Option<Arc<ErrorChain>>,
}

/// A failure as ansible-core 2.19 tells it: the whole message, then each cause with its place.
#[derive(Debug, Clone, Default)]
pub struct ErrorChain {
    /// Messages with places, outermost first.
    pub links: Vec<(String, Span)>,
    /// The next thing to try.
    pub help: Option<String>,
    /// What `quorate help CODE` says more of. Nothing where Ansible's own commands speak.
    pub code: Option<&'static str>,
}

impl ErrorChain {
    /// The way out on one line, with the code to look it up by.
    pub fn way_out(&self) -> Option<String> {
        match (&self.help, self.code) {
            (Some(help), Some(code)) => Some(format!("{help} [{code}]")),
            (Some(help), None) => Some(help.clone()),
            (None, Some(code)) => Some(format!("quorate help {code}")),
            (None, None) => None,
        }
    }
}

/// Counts of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that ended well, changed ones included.
    pub ok: u32,
    /// Tasks that changed something.
    pub changed: u32,
    /// Times the host could not be reached.
    pub unreachable: u32,
    /// Tasks that failed.
    pub failed: u32,
    /// Tasks skipped.
    pub skipped: u32,
    /// Failures that a `rescue` took care of.
    pub rescued: u32,
    /// Failures ignored.
    pub ignored: u32,
}

/// The end of a run, host by host.
#[derive(Debug, Clone, Default)]
pub struct Recap {
    /// Counts by host, in order of first appearance.
    pub hosts: IndexMap<Arc<str>, Counts>,
    /// `set_stats`, for all (`_run`) and by host.
    pub custom: Dict,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A playbook begins.
    PlaybookStarted {
        /// Its path as given.
        path: String,
        /// How many plays it has.
        plays: usize,
    },
    /// A play begins, or its next batch of hosts.
    PlayStarted {
        /// Its name, or its hosts.
        name: String,
        /// Whether check mode is on for it.
        check: bool,
    },
    /// The pattern named nobody.
    NoHostsMatched,
    /// Every host has failed.
    NoHostsRemaining,
    /// `--step` has asked this, and somebody has answered.
    Asked(String),
    /// A task begins.
    TaskStarted {
        /// The step.
        step: Arc<Step>,
        /// Its name with the role, templates rendered where they can be.
        title: String,
        /// Whether check mode is on for it.
        check: bool,
    },
    /// A host is about to work on a task (verbose and live views).
    HostStarted {
        /// The step.
        step: Arc<Step>,
        /// The host.
        host: Arc<str>,
    },
    /// One item of a loop has ended.
    Item {
        /// The step.
        step: Arc<Step>,
        /// What to call the item.
        label: Str,
        /// How it ended.
        outcome: Outcome,
    },
    /// `until` is not met yet.
    Retry {
        /// The step.
        step: Arc<Step>,
        /// Retries left.
        left: i64,
        /// The attempt.
        outcome: Outcome,
    },
    /// A task has ended on a host.
    Result {
        /// The step.
        step: Arc<Step>,
        /// Whether it was a loop (its items have been told).
        looped: bool,
        /// How it ended.
        outcome: Outcome,
    },
    /// A dynamic include brought in tasks.
    Included {
        /// The file, or the role.
        what: String,
        /// The hosts it is for.
        hosts: Vec<Arc<str>>,
        /// The loop item, if any.
        label: Option<Str>,
    },
    /// A handler was notified.
    Notified {
        /// Its name.
        handler: String,
        /// The host that did.
        host: Arc<str>,
    },
    /// Something somebody should look at.
    Warning(String),
    /// Something that will stop working.
    Deprecation(String),
    /// A message at a verbosity level.
    Verbose(u8, String),
    /// A step that takes a member away was refused.
    Refused {
        /// The whole text, several lines.
        text: String,
    },
    /// What clients of a cluster could do meanwhile.
    Probed(std::sync::Arc<crate::probe::Probed>),
    /// The run has ended.
    Finished(Recap),
}

/// A reader of the event stream.
pub trait Reader: Send {
    /// Takes notice of an event.
    fn event(&mut self, event: &Event);
}
