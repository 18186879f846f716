//! Plays: batches of hosts walking through a program, each as far as the gates let it.
//!
//! In: plays as loaded. Out: events in linear order, counts by host, an exit status.
//!
//! **Invariant:** a host starts a step only when every host of the batch has come to the last gate in front of it.

use super::Run;
use super::ahead::{self, Commit, Flight, Tail};
use super::cursor::{Cursor, Fate, Health, Waiting, Work, step_at};
use super::debugger::{self, Decision};
use super::expand;
use super::outbox::Outbox;
use super::task::{self, Done, Effect, registered, shown};
use crate::diag::Diag;
use crate::plan::program::implicit_step;
use crate::plan::{Context, Node, PlayGraph, Program, Slot, Step, StepId, TagFilter, flatten, gates};
use crate::playbook::{Kw, Play, Task};
use crate::report::{Counts, Event, Outcome, Recap, Status};
use crate::settings::Mismatch;
use crate::vars::{Addition, PlayVars, TaskScope, render};
use quorate_value::{Dict, Str, Value, dict, str_of};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A playbook that has been read.
pub struct Playbook {
    /// Its path as given.
    pub path: String,
    /// Its plays.
    pub plays: Vec<Play>,
}

/// Runs playbooks and keeps the score.
pub struct Runner {
    pub(super) run: Arc<Run>,
    pub(super) tags: TagFilter,
    limit: Option<quorate_inventory::Limit>,
    start_at: Option<String>,
    /// `--step`: ask before each task.
    pub asks: bool,
    /// Steps that were asked about, and whether they are to run.
    answered: HashMap<StepId, bool>,
    /// Names of steps as the journal has them, where they are templates.
    titles: HashMap<StepId, String>,
    /// Counts so far.
    pub recap: Recap,
    failed: HashSet<Arc<str>>,
    unreachable: HashSet<Arc<str>>,
    /// Rescued from somebody else's failure that was everybody's: fine, but in no later play.
    barred: HashSet<Arc<str>>,
    /// Handlers that were said to be out of reach.
    said_unusable: HashSet<String>,
    broke: bool,
    /// A mistake in the playbook came to light: no recap, as Ansible has it.
    aborted: bool,
    /// `end_play`: no further batch of this play.
    ended_play: bool,
    prompted: HashMap<usize, Dict>,
    /// The play's number within the run.
    number: u32,
    /// How often a place was come to, by host.
    visits: HashMap<(Arc<str>, String, bool), u32>,
    /// The result at hand stands from an earlier run.
    stands: bool,
}

pub(super) enum Message {
    Event(StepId, Event),
    /// A step has sent what it sends; others may run ahead behind it.
    Sent(usize, Arc<Step>, Commit),
    Done(usize, Arc<Step>, Box<Done>),
    /// A step was put off, and nothing new begins any more.
    NotBegun(usize, Arc<Step>),
}

/// One batch of a play, being run.
pub(super) struct Batch {
    pub(super) vars: Arc<PlayVars>,
    pub(super) program: Program,
    graph: PlayGraph,
    rules: crate::plan::gates::GateRules,
    hosts: Vec<Cursor>,
    handlers: Vec<Arc<Step>>,
    handler_slots: Program,
    /// Steps of a flush and the handler each is of.
    handler_of: HashMap<StepId, usize>,
    outbox: Outbox,
    expansions: Vec<expand::Wish>,
    in_flight: usize,
    in_step: HashMap<StepId, usize>,
    once: HashSet<StepId>,
    told: HashSet<StepId>,
    force_handlers: bool,
    free: bool,
    max_fail: Option<f64>,
    last_free: Option<StepId>,
    stop: bool,
    /// `max_fail_percentage` has ended it.
    nobody_left: bool,
    /// Somebody waits at the end of a section for others who are still in it.
    held: bool,
    /// Who has taken part in a failure of a step, as its own or as somebody else's.
    shared: HashSet<(StepId, usize)>,
    /// Failures of every task go to the debugger.
    debugs: bool,
    /// Steps may be sent ahead of their turn.
    runs_ahead: bool,
    watch: Watch,
    pub(super) base: Context,
}

/// What is kept so that one host's step costs nothing for the others.
#[derive(Default)]
struct Watch {
    /// Everything may have changed: all hosts are looked at.
    all: bool,
    /// Hosts that have moved since they were looked at.
    moved: BTreeSet<usize>,
    /// How many hosts that still walk are at each position.
    crowd: BTreeMap<usize, usize>,
    /// Where each host counts in `crowd`.
    counted: Vec<Option<usize>>,
    /// Hosts that stand in front of a step, by position.
    ready: BTreeSet<(usize, usize)>,
    /// Where each host is in `ready`.
    stands: Vec<Option<usize>>,
    /// The first position that hosts may not enter alone.
    gate: usize,
    /// Everything of the steps in front of this position has been told.
    told: usize,
}

impl Watch {
    fn new(hosts: usize) -> Self {
        Watch { all: true, counted: vec![None; hosts], stands: vec![None; hosts], ..Watch::default() }
    }

    /// The lowest position of any host that takes part.
    fn lowest(&self) -> Option<usize> {
        self.crowd.first_key_value().map(|(at, _)| *at)
    }

    fn count(&mut self, index: usize, at: Option<usize>) {
        if self.counted[index] == at {
            return;
        }
        if let Some(before) = self.counted[index]
            && let Some(here) = self.crowd.get_mut(&before)
        {
            *here -= 1;
            if *here == 0 {
                self.crowd.remove(&before);
            }
        }
        if let Some(at) = at {
            *self.crowd.entry(at).or_default() += 1;
        }
        self.counted[index] = at;
    }

    fn stand(&mut self, index: usize, at: Option<usize>) {
        if self.stands[index] == at {
            return;
        }
        if let Some(before) = self.stands[index] {
            self.ready.remove(&(before, index));
        }
        if let Some(at) = at {
            self.ready.insert((at, index));
        }
        self.stands[index] = at;
    }
}

impl Batch {
    /// Notes anew where a host is.
    fn look(&mut self, index: usize) {
        let host = &self.hosts[index];
        let takes_part = takes_part(self, host);
        let at = (takes_part || host.busy).then(|| host.at - usize::from(host.waits && host.at > 0));
        let stands = (takes_part && !host.busy && !host.waits).then_some(host.at);
        self.watch.count(index, at);
        self.watch.stand(index, stands);
    }

    /// The name of a host by its number.
    pub(super) fn name_of(&self, index: usize) -> Arc<str> {
        self.hosts[index].name.clone()
    }
}

type Sender = mpsc::UnboundedSender<Message>;

impl Runner {
    /// A runner for one command.
    pub fn new(
        run: Arc<Run>,
        tags: TagFilter,
        limit: Option<quorate_inventory::Limit>,
        start_at: Option<String>,
    ) -> Self {
        Runner {
            run,
            tags,
            limit,
            start_at,
            asks: false,
            answered: HashMap::new(),
            titles: HashMap::new(),
            recap: Recap::default(),
            failed: HashSet::new(),
            unreachable: HashSet::new(),
            barred: HashSet::new(),
            said_unusable: HashSet::new(),
            broke: false,
            aborted: false,
            ended_play: false,
            prompted: HashMap::new(),
            number: 0,
            visits: HashMap::new(),
            stands: false,
        }
    }

    /// Answers to `vars_prompt`, by the play's position in the playbook.
    pub fn answers(&mut self, play: usize, answers: Dict) {
        self.prompted.insert(play, answers);
    }

    /// Ansible's exit status: 1 for a mistake of the playbook's, 4 where a host was unreachable, 2 where one failed.
    pub fn status(&self) -> u8 {
        if self.aborted {
            1
        } else if !self.failed.is_empty() || self.broke {
            2
        } else if !self.unreachable.is_empty() {
            4
        } else {
            0
        }
    }

    /// Runs every play of a playbook.
    pub async fn playbook(&mut self, playbook: &Playbook) -> Result<(), Diag> {
        self.run.tell(Event::PlaybookStarted { path: playbook.path.clone(), plays: playbook.plays.len() });
        for (index, play) in playbook.plays.iter().enumerate() {
            let answers = self.prompted.remove(&index).unwrap_or_default();
            if self.play(play, answers).await? || self.run.is_interrupted() {
                break;
            }
        }
        Ok(())
    }

    /// The end: counts for everybody.
    pub fn finish(&mut self) {
        if self.aborted {
            return;
        }
        let recap = self.recap.clone();
        self.run.tell(Event::Finished(recap));
    }

    fn count(&mut self, host: &Arc<str>) -> &mut Counts {
        self.recap.hosts.entry(host.clone()).or_default()
    }

    /// The hosts of a play, in its order: without those that are lost, and all.
    pub fn hosts_of(&self, play: &Play, scope: &TaskScope) -> Result<(Vec<Arc<str>>, Vec<Arc<str>>), Diag> {
        let pattern = render::value(scope, &play.hosts).map_err(|e| {
            Diag::error("E0200", format!("the hosts of this play cannot be told: {e}")).at(play.hosts_span)
        })?;
        let inventory = self.run.shared.inventory();
        // a play about those around the limited host: who is told that a member came or went
        let everybody = play.vars.get("quorate_beyond_limit").and_then(Value::to_bool_loose) == Some(true);
        let limit = self.limit.as_ref().filter(|_| !everybody);
        let selection = inventory.select_value(&pattern, limit);
        for warning in &selection.warnings {
            let text = warning.to_string();
            match self.run.shared.settings.mismatch(warning) {
                Mismatch::Refused => return Err(Diag::error("E0207", text).at(play.hosts_span)),
                Mismatch::Silent => {}
                Mismatch::Told => self.run.tell(Event::Warning(text)),
            }
        }
        let mut names: Vec<Arc<str>> =
            selection.hosts.iter().map(|id| inventory.host_name(*id).clone()).collect();
        drop(inventory);
        let order = match &play.order {
            None => "inventory".to_owned(),
            Some(value) => str_of(
                &render::value(scope, value)
                    .map_err(|e| Diag::error("E0201", e.to_string()).at(task::span_of(value, play.span)))?,
            ),
        };
        match order.as_str() {
            "inventory" | "None" => {}
            "reverse_inventory" => names.reverse(),
            "sorted" => names.sort(),
            "reverse_sorted" => {
                names.sort();
                names.reverse();
            }
            "shuffle" => {
                use std::hash::{BuildHasher as _, Hasher as _};
                let state = std::collections::hash_map::RandomState::new();
                names.sort_by_key(|name| {
                    let mut hasher = state.build_hasher();
                    hasher.write(name.as_bytes());
                    hasher.finish()
                });
            }
            other => {
                return Err(Diag::error("E0201", format!("'{other}' is no order of hosts"))
                    .at(play.order.as_ref().map_or(play.span, |v| task::span_of(v, play.span)))
                    .did_you_mean(
                        other,
                        ["inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle"],
                    ));
            }
        }
        let matched = names.clone();
        names.retain(|name| !self.is_lost(name));
        Ok((names, matched))
    }

    /// Whether a host takes no part in later plays.
    fn is_lost(&self, name: &Arc<str>) -> bool {
        self.failed.contains(name) || self.unreachable.contains(name) || self.barred.contains(name)
    }

    /// Runs a play; true where nothing may follow.
    async fn play(&mut self, play: &Play, answers: Dict) -> Result<bool, Diag> {
        self.number += 1;
        self.visits.clear();
        let mut vars = PlayVars::new(play);
        vars.prompted = Arc::new(answers);
        let vars = Arc::new(vars);
        let nobody: Arc<str> = Arc::from("localhost");
        let scope = TaskScope::new(&self.run.shared, &vars, &nobody, None);
        let (hosts, matched) = self.hosts_of(play, &scope)?;
        let name = name_of(play, &scope);
        if let Some(journal) = self.run.journal.get() {
            journal.play(self.number, &name);
        }
        let check = play
            .keywords
            .get(Kw::CheckMode)
            .and_then(Value::to_bool_loose)
            .unwrap_or(self.run.shared.options.check);
        if matched.is_empty() {
            self.run.tell(Event::PlayStarted { name, check });
            self.run.tell(Event::NoHostsMatched);
            return Ok(false);
        }
        *vars.all_hosts.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Arc::new(matched.clone());
        *vars.alive.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(hosts);
        let sizes = batch_sizes(play, &scope, matched.len())?;
        let mut rest = matched.as_slice();
        for size in sizes {
            let (all, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            let batch: Vec<Arc<str>> = all.iter().filter(|h| !self.is_lost(h)).cloned().collect();
            // the headline says for how many
            if let Some(running) = self.run.running.get() {
                running.batch(batch.len());
            }
            self.run.tell(Event::PlayStarted { name: name.clone(), check });
            // everybody has failed before
            if batch.is_empty() {
                continue;
            }
            let broke = self.batch(play, &vars, &batch).await?;
            if std::mem::take(&mut self.ended_play) {
                return Ok(broke);
            }
            if broke {
                self.broke = true;
                return Ok(true);
            }
            let lost = batch.iter().filter(|h| self.is_lost(h)).count();
            if lost >= all.len() || self.run.is_interrupted() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn batch(&mut self, play: &Play, vars: &Arc<PlayVars>, names: &[Arc<str>]) -> Result<bool, Diag> {
        let list = Arc::new(names.to_vec());
        let set = |lock: &std::sync::RwLock<Arc<Vec<Arc<str>>>>, value: Arc<Vec<Arc<str>>>| {
            *lock.write().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
        };
        set(&vars.batch, list);
        self.run.pool.expect(names.len());
        self.read_vars_files(play, vars, names)?;
        let mut batch = self.prepare(play, vars, names)?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        loop {
            self.advance(&mut batch, &sender)?;
            self.flush_notices();
            if batch.in_flight == 0 {
                if self.settle_expansions(&mut batch)? {
                    continue;
                }
                break;
            }
            let Some(message) = receiver.recv().await else { break };
            self.receive(&mut batch, message, &sender)?;
            while let Ok(message) = receiver.try_recv() {
                self.receive(&mut batch, message, &sender)?;
            }
        }
        self.tell_up_to(&mut batch, usize::MAX);
        self.flush_notices();
        if batch.nobody_left {
            // once for the percentage, once because everybody is gone by it
            self.run.tell(Event::NoHostsRemaining);
            self.run.tell(Event::NoHostsRemaining);
        }
        Ok(batch.stop)
    }

    fn flush_notices(&self) {
        let notices = std::mem::take(
            &mut *self.run.shared.notices.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for notice in notices {
            self.run.tell(notice);
        }
    }

    /// `vars_files`: a list of names, each perhaps with alternatives; those that need a host are read for each.
    fn read_vars_files(&self, play: &Play, vars: &Arc<PlayVars>, hosts: &[Arc<str>]) -> Result<(), Diag> {
        if play.vars_files.is_empty() {
            return Ok(());
        }
        let loader = self.run.shared.loader();
        let mut warned = std::collections::HashSet::new();
        for host in hosts {
            let mut all = Dict::new();
            for entry in &play.vars_files {
                let alternatives = match entry {
                    Value::List(items) => items.to_vec(),
                    one => vec![one.clone()],
                };
                let scope = TaskScope::new(&self.run.shared, vars, host, None);
                let mut here = scope;
                here.locals = all.clone();
                let mut found = false;
                let mut undefined = None;
                let mut missing = String::new();
                for alternative in &alternatives {
                    let name = match render::value(&here, alternative) {
                        Ok(name) => str_of(&name),
                        Err(error) => {
                            undefined = Some(error.to_string());
                            continue;
                        }
                    };
                    let path = std::path::Path::new(&name);
                    let path = if path.is_absolute() {
                        path.to_path_buf()
                    } else {
                        [vars.dir.join("vars").join(path), vars.dir.join(path), path.to_path_buf()]
                            .into_iter()
                            .find(|p| p.exists())
                            .unwrap_or_else(|| vars.dir.join(path))
                    };
                    if path.exists() {
                        all.update(&loader.play_vars_file(&path)?);
                        found = true;
                        break;
                    }
                    missing = name;
                }
                if !found && undefined.is_some() && warned.insert(str_of(entry)) {
                    let warning = "skipping vars_files item due to an undefined variable";
                    self.run.tell(crate::report::Event::Warning(warning.into()));
                }
                if !found && undefined.is_none() && self.run.shared.options.ansible_manners {
                    // ansible-core 2.19 goes on without a word
                    if warned.insert(missing.clone()) {
                        self.run.tell(crate::report::Event::Warning(format!(
                            "vars file {missing} was not found, and is passed over"
                        )));
                    }
                } else if !found && undefined.is_none() {
                    let span = task::span_of(entry, play.span);
                    return Err(Diag::error("E0202", format!("vars file {missing} was not found"))
                        .at(span)
                        .label("listed in `vars_files`")
                        .did_you_mean(&missing, crate::playbook::beside(&vars.dir, &missing)));
                }
            }
            vars.host_files
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(host.clone(), Arc::new(all));
        }
        Ok(())
    }

    fn prepare(&self, play: &Play, vars: &Arc<PlayVars>, names: &[Arc<str>]) -> Result<Batch, Diag> {
        let settings = &self.run.shared.settings;
        let scope = TaskScope::new(&self.run.shared, vars, &names[0], None);
        let mut keywords = play.keywords.clone();
        if keywords.get(Kw::AnyErrorsFatal).is_none() && settings.flag("ANY_ERRORS_FATAL") {
            keywords.set(Kw::AnyErrorsFatal, Value::Bool(true));
        }
        let base = Context { keywords: Arc::new(keywords), ..Context::default() };
        let (program, handler_slots) = self.lay_out(play, vars, &base, &scope)?;
        let (strategy, free) = self.strategy(play, &scope)?;
        let max_fail = match &play.max_fail_percentage {
            None => None,
            Some(value) => {
                let span = task::span_of(value, play.span);
                let value =
                    render::value(&scope, value).map_err(|e| Diag::error("E0204", e.to_string()).at(span))?;
                let text = str_of(&value);
                Some(
                    text.trim()
                        .trim_end_matches('%')
                        .parse::<f64>()
                        .map_err(|_| Diag::error("E0204", format!("`{text}` is no percentage")).at(span))?,
                )
            }
        };
        let force_handlers = match &play.force_handlers {
            Some(value) => value.to_bool_loose().unwrap_or(false),
            None => self.run.shared.options.force_handlers || settings.flag("DEFAULT_FORCE_HANDLERS"),
        };
        let rules = crate::plan::gates::GateRules {
            all: self.asks
                || crate::environment("QUORATE_GATES").as_deref() == Some("all")
                || super::debugger::possible(&self.run, &strategy, &program),
            none: free,
            counts_failures: max_fail.is_some(),
            tainted: self.tainted(vars, names),
        };
        let mut batch = Batch {
            vars: vars.clone(),
            graph: PlayGraph::new(&program, &gates(&program, &rules, &super::actions::reach_is_host)),
            program,
            rules,
            hosts: names.iter().cloned().map(Cursor::new).collect(),
            handlers: Vec::new(),
            handler_slots,
            handler_of: HashMap::new(),
            outbox: Outbox::default(),
            expansions: Vec::new(),
            in_flight: 0,
            in_step: HashMap::new(),
            once: HashSet::new(),
            told: HashSet::new(),
            force_handlers,
            free,
            max_fail,
            last_free: None,
            stop: false,
            nobody_left: false,
            held: false,
            shared: HashSet::new(),
            debugs: super::debugger::everywhere(&self.run, &strategy),
            // whoever reads along line by line reads them in order
            runs_ahead: crate::environment("QUORATE_BATCH").as_deref() != Some("off")
                && !self.asks
                // what stands of an earlier run, a plan and a look ahead go step by step
                && self.run.resume.get().is_none()
                && self.run.promise.get().is_none()
                && self.run.forecast.get().is_none()
                && self.run.shared.options.verbosity < 3
                && settings.number("TASK_TIMEOUT").is_none_or(|seconds| seconds == 0),
            watch: Watch::new(names.len()),
            base,
        };
        index_handlers(&mut batch);
        Ok(batch)
    }

    /// A play's strategy, and whether its hosts never wait for each other.
    fn strategy(&self, play: &Play, scope: &TaskScope) -> Result<(String, bool), Diag> {
        let strategy = match &play.strategy {
            Some(value) => str_of(
                &render::value(scope, value)
                    .map_err(|e| Diag::error("E0203", e.to_string()).at(play.span))?,
            ),
            None => self.run.shared.settings.text("DEFAULT_STRATEGY").to_owned(),
        };
        let short = strategy.rsplit('.').next().unwrap_or(&strategy);
        let free = match short {
            "linear" | "debug" => false,
            "free" | "host_pinned" => true,
            // other people's plug-ins that only make things faster
            "mitogen_linear" => false,
            "mitogen_free" | "mitogen_host_pinned" => true,
            other => {
                return Err(Diag::error("E0203", format!("Invalid play strategy specified: {other}"))
                    .at(play.strategy.as_ref().map_or(play.span, |v| task::span_of(v, play.span)))
                    .did_you_mean(other, ["linear", "free", "host_pinned", "debug"]));
            }
        };
        Ok((strategy, free))
    }

    /// A play as its program, and its handlers.
    fn lay_out(
        &self,
        play: &Play,
        vars: &Arc<PlayVars>,
        base: &Context,
        scope: &TaskScope,
    ) -> Result<(Program, Program), Diag> {
        let render_tags = self.tag_renderer(vars, &scope.host);
        let lay = |entries: &[crate::playbook::Entry]| flatten(entries, base, &self.tags, &render_tags);
        let mut program: Program = Vec::new();
        let flush = || Slot { node: Node::Flush, only: None };
        if let Some(step) = self.facts_step(play, base, scope)? {
            program.push(Slot { node: Node::Step(step), only: None });
        }
        program.extend(lay(&play.pre_tasks));
        program.push(flush());
        program.extend(lay(&play.roles));
        program.extend(lay(&play.tasks));
        program.push(flush());
        program.extend(lay(&play.post_tasks));
        program.push(flush());
        if let Some(name) = &self.start_at {
            let at = program.iter().position(|slot| match &slot.node {
                Node::Step(step) => {
                    let title = step.title();
                    title == *name
                        || step.task.name.as_ref().is_some_and(|n| n.as_str() == name)
                        || quorate_agent::system::glob::fnmatch(&title, name)
                }
                _ => false,
            });
            if let Some(at) = at {
                let keep: Program =
                    program.drain(..at).filter(|slot| matches!(slot.node, Node::Open(_))).collect();
                program.splice(0..0, keep);
            }
        }
        let handler_context = Context { handlers: true, ..base.clone() };
        let mut handler_slots: Program = Vec::new();
        let mut seen = HashSet::new();
        let mut of_roles = |lists: &[&Vec<crate::playbook::Entry>], slots: &mut Program| {
            let mut roles = Vec::new();
            for entries in lists {
                crate::vars::collect_roles(entries, &mut roles);
            }
            for role in &roles {
                if seen.insert((role.identity, role.role.path.clone())) {
                    let context = Context {
                        role: Some(role.clone()),
                        keywords: Arc::new(role.keywords.inside(&handler_context.keywords)),
                        ..handler_context.clone()
                    };
                    slots.extend(flatten(&role.handlers, &context, &self.tags, &render_tags));
                }
            }
        };
        // the play's own stand between those of its roles and those of roles that its tasks import
        of_roles(&[&play.roles], &mut handler_slots);
        handler_slots.extend(flatten(&play.handlers, &handler_context, &self.tags, &render_tags));
        of_roles(&[&play.pre_tasks, &play.tasks, &play.post_tasks], &mut handler_slots);
        Ok((program, handler_slots))
    }

    pub(super) fn tag_renderer(
        &self,
        vars: &Arc<PlayVars>,
        host: &Arc<str>,
    ) -> impl Fn(&[Str], &Context) -> Vec<String> + use<> {
        let (shared, vars, host) = (self.run.shared.clone(), vars.clone(), host.clone());
        move |tags: &[Str], context: &Context| {
            let mut out: Vec<String> = Vec::with_capacity(tags.len());
            let mut push = |tag: &str| {
                let tag = tag.trim();
                if !tag.is_empty() && !out.iter().any(|t| t == tag) {
                    out.push(tag.to_owned());
                }
            };
            for tag in tags {
                if !tag.is_template() {
                    push(tag);
                    continue;
                }
                let mut scope = TaskScope::new(&shared, &vars, &host, None);
                scope.context = Arc::new(context.clone());
                match render::value(&scope, &Value::Str(tag.clone())) {
                    Ok(Value::List(items)) => items.iter().for_each(|item| push(&str_of(item))),
                    Ok(other) => str_of(&other).split(',').for_each(&mut push),
                    Err(_) => push(tag),
                }
            }
            out
        }
    }

    /// Names of variables whose text leads to other hosts' state, through any number of steps.
    fn tainted(&self, vars: &PlayVars, hosts: &[Arc<str>]) -> HashSet<String> {
        let mut tainted = HashSet::new();
        let read = |lock: &std::sync::RwLock<Arc<Dict>>| {
            lock.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        };
        let mut layers = vec![
            read(&vars.role_defaults),
            read(&vars.role_vars),
            vars.vars.clone(),
            self.run.shared.extra.clone(),
        ];
        if let Some(host) = hosts.first() {
            layers.push(self.run.shared.host_inventory(host));
        }
        loop {
            let before = tainted.len();
            for layer in &layers {
                for (key, value) in layer.iter() {
                    if let Some(name) = key.as_str()
                        && !tainted.contains(name)
                        && crate::plan::gates::mentions_others(value, &tainted)
                    {
                        tainted.insert(name.to_owned());
                    }
                }
            }
            if tainted.len() == before {
                return tainted;
            }
        }
    }

    fn facts_step(&self, play: &Play, base: &Context, scope: &TaskScope) -> Result<Option<Arc<Step>>, Diag> {
        let policy = self.run.shared.settings.text("DEFAULT_GATHERING");
        let wanted = match &play.gather_facts {
            Some(value) => render::flag(scope, value).map_err(|e| {
                Diag::error("E0205", format!("gather_facts: {e}")).at(task::span_of(value, play.span))
            })?,
            None => policy != "explicit",
        };
        if !wanted {
            return Ok(None);
        }
        // hosts that are known already are not asked again
        if policy == "smart" && play.gather_facts.is_none() {
            let all = scope.play.batch.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let known = |host: &Arc<str>| self.run.shared.knows_facts(host);
            if !all.is_empty() && all.iter().all(known) {
                return Ok(None);
            }
        }
        let mut args = Dict::new();
        for (name, value, setting) in [
            ("gather_subset", &play.gather_subset, "DEFAULT_GATHER_SUBSET"),
            ("gather_timeout", &play.gather_timeout, "DEFAULT_GATHER_TIMEOUT"),
            ("fact_path", &play.fact_path, ""),
        ] {
            match value {
                Some(value) => {
                    args.insert(name, value.clone());
                }
                None if !setting.is_empty() => {
                    let text = self.run.shared.settings.text(setting);
                    if !text.is_empty() {
                        let value: Value = if name == "gather_subset" {
                            text.split(',').map(|w| Value::from(w.trim())).collect()
                        } else {
                            Value::from(text)
                        };
                        args.insert(name, value);
                    }
                }
                None => {}
            }
        }
        let tags: Vec<String> = base.keywords.tags.iter().map(|t| t.as_str().to_owned()).collect();
        let tags = if tags.is_empty() { vec!["always".to_owned()] } else { tags };
        if !self.tags.selects(&tags) {
            return Ok(None);
        }
        let task = Task::plain("Gathering Facts", "ansible.builtin.gather_facts", args, play.span);
        Ok(Some(implicit_step(task, &Arc::new(base.clone()), tags)))
    }

    /// The graph of a play, with reasons; dynamic includes are one step each, for nobody knows yet what they bring.
    pub fn graph(&self, play: &Play, vars: &Arc<PlayVars>, hosts: &[Arc<str>]) -> Result<PlayGraph, Diag> {
        let host = hosts.first().cloned().unwrap_or_else(|| Arc::from("localhost"));
        let scope = TaskScope::new(&self.run.shared, vars, &host, None);
        let base = Context { keywords: Arc::new(play.keywords.clone()), ..Context::default() };
        let (program, handlers) = self.lay_out(play, vars, &base, &scope)?;
        let rules = crate::plan::gates::GateRules {
            all: crate::environment("QUORATE_GATES").as_deref() == Some("all"),
            none: self.strategy(play, &scope)?.1,
            counts_failures: play.max_fail_percentage.is_some(),
            tainted: self.tainted(vars, hosts),
        };
        let gates = gates(&program, &rules, &super::actions::reach_is_host);
        let handlers: Vec<Arc<Step>> = handlers
            .iter()
            .filter_map(|slot| if let Node::Step(step) = &slot.node { Some(step.clone()) } else { None })
            .collect();
        Ok(PlayGraph::new(&program, &gates).explain(&handlers))
    }

    /// The tasks of a play as they would be laid out, for `--list-tasks` and `--list-tags`.
    pub fn outline(&self, play: &Play, vars: &Arc<PlayVars>, host: &Arc<str>) -> Program {
        let base = Context { keywords: Arc::new(play.keywords.clone()), ..Context::default() };
        let render_tags = self.tag_renderer(vars, host);
        [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks]
            .into_iter()
            .flat_map(|entries| flatten(entries, &base, &self.tags, &render_tags))
            .collect()
    }

    // ---- moving on

    /// Takes every host as far as it may go, and starts what may start.
    fn advance(&mut self, batch: &mut Batch, sender: &Sender) -> Result<(), Diag> {
        loop {
            let mut moved = false;
            if std::mem::take(&mut batch.watch.all) {
                batch.watch.moved.extend(0..batch.hosts.len());
            }
            while let Some(index) = batch.watch.moved.pop_first() {
                moved |= self.walk(batch, index);
                batch.look(index);
            }
            if moved && std::mem::take(&mut batch.held) {
                batch.watch.all = true;
            }
            // steps that have just come in may not be for everybody: hosts walk again before anything starts
            if self.settle_expansions(batch)? || self.flush_handlers(batch) {
                batch.watch.all = true;
                continue;
            }
            let begun = self.start_steps(batch, sender)?;
            if !moved && !begun {
                let lowest = batch.watch.lowest();
                self.tell_up_to(batch, lowest.unwrap_or(usize::MAX));
                return Ok(());
            }
        }
    }

    /// Moves a host over markers and steps that are not for it.
    fn walk(&mut self, batch: &mut Batch, index: usize) -> bool {
        let mut moved = false;
        loop {
            let host = &mut batch.hosts[index];
            let handlers_only = host.health == Health::Failed && batch.force_handlers;
            if host.busy
                || host.waits
                || host.at >= batch.program.len()
                || !(host.health == Health::Well || handlers_only)
            {
                return moved;
            }
            if self.is_held(batch, index) {
                batch.held = true;
                return moved;
            }
            let host = &mut batch.hosts[index];
            let slot = &batch.program[host.at];
            match slot.node.clone() {
                Node::Open(block) => host.open(block),
                Node::Rescue(block) => host.meet_rescue(block, &batch.program),
                Node::Always(block) => {
                    if host.meet_always(block)
                        && let Some(journal) = self.run.journal.get()
                    {
                        journal.rescued(&host.name);
                    }
                }
                Node::Close(block) => {
                    let name = host.name.clone();
                    match host.close(block, &batch.program) {
                        Some(Fate::Out) => self.lose(batch, index),
                        // a failure on its way has been taken care of after all
                        Some(Fate::Rescued) if batch.hosts[index].shares => {}
                        Some(Fate::Rescued) => {
                            let counts = self.count(&name);
                            counts.failed = counts.failed.saturating_sub(1);
                            counts.rescued += 1;
                        }
                        Some(Fate::Delayed) | None => {}
                    }
                }
                Node::RoleEnd(role) => {
                    // what may run again and again is never done
                    if host.roles_begun.contains(&role.identity) && !role.role.allow_duplicates {
                        host.roles_done.insert(role.identity);
                    }
                    host.at += 1;
                }
                Node::Flush => {
                    return moved;
                }
                Node::Step(step) => {
                    let for_others = slot.only.as_ref().is_some_and(|only| !only.contains(&index));
                    let handler = batch.handler_of.get(&step.id);
                    let unwanted = match handler {
                        Some(number) => !host.notified.contains(number),
                        // what a handler includes is the handler's
                        None => handlers_only && !step.context.handlers,
                    };
                    let again = step.context.role.as_ref().is_some_and(|role| {
                        !step.context.handlers
                            && !role.role.allow_duplicates
                            && host.roles_done.contains(&role.identity)
                    });
                    if !(for_others || unwanted || again) {
                        return moved;
                    }
                    host.at += 1;
                }
            }
            moved = true;
        }
    }

    /// Whether a host may not leave a section of a block yet: the step that ended it may still fail for everybody.
    fn is_held(&self, batch: &Batch, index: usize) -> bool {
        let at = batch.hosts[index].at;
        if batch.free || !matches!(batch.program[at].node, Node::Rescue(_) | Node::Always(_) | Node::Close(_))
        {
            return false;
        }
        let before = batch.program[..at].iter().enumerate().rev().find_map(|(at, slot)| match &slot.node {
            Node::Step(step) => Some((at, step)),
            _ => None,
        });
        let Some((before, step)) = before else { return false };
        let set = |kw| step.keywords.get(kw).is_some();
        if !(set(Kw::AnyErrorsFatal) || set(Kw::RunOnce) || batch.max_fail.is_some()) {
            return false;
        }
        batch.hosts.iter().enumerate().any(|(other, host)| {
            other != index
                && (takes_part(batch, host) || host.busy)
                && host.at - usize::from(host.waits && host.at > 0) <= before
        })
    }

    /// Everybody is at a flush (or past it): notified handlers run next.
    fn flush_handlers(&mut self, batch: &mut Batch) -> bool {
        let flushes = |at: usize| matches!(batch.program.get(at).map(|s| &s.node), Some(Node::Flush));
        if !batch.free && !batch.watch.lowest().is_some_and(flushes) {
            return false;
        }
        let waiting: Vec<usize> = (0..batch.hosts.len())
            .filter(|i| {
                let host = &batch.hosts[*i];
                takes_part(batch, host)
                    && !host.busy
                    && matches!(batch.program.get(host.at).map(|s| &s.node), Some(Node::Flush))
            })
            .collect();
        let Some(&first) = waiting.first() else { return false };
        let at = if batch.free {
            batch.hosts[first].at
        } else {
            waiting.iter().map(|i| batch.hosts[*i].at).min().expect("somebody waits")
        };
        if !batch.free
            && batch
                .hosts
                .iter()
                .any(|host| takes_part(batch, host) && (host.at < at || (host.at == at && host.busy)))
        {
            return false;
        }
        let here: Vec<usize> = waiting.into_iter().filter(|i| batch.hosts[*i].at == at).collect();
        if here.iter().any(|i| !batch.hosts[*i].notified.is_empty()) {
            self.insert_handlers(batch, at + 1, &here);
        }
        let debug = self.run.shared.settings.flag("DEFAULT_DEBUG");
        for index in here {
            if debug && !batch.hosts[index].notified.is_empty() {
                let text = format!("META: triggered running handlers for {}", batch.hosts[index].name);
                self.run.tell(Event::Verbose(0, text));
            }
            batch.hosts[index].at = at + 1;
        }
        true
    }

    /// Puts every handler at a position; each host runs those it has notified.
    fn insert_handlers(&self, batch: &mut Batch, at: usize, hosts: &[usize]) {
        let only: Arc<BTreeSet<usize>> = Arc::new(hosts.iter().copied().collect());
        let mut slots = Vec::with_capacity(batch.handler_slots.len());
        let mut number = 0;
        for slot in &batch.handler_slots {
            let node = match &slot.node {
                Node::Step(step) => {
                    let copy = implicit_step((*step.task).clone(), &step.context, step.tags.clone());
                    batch.handler_of.insert(copy.id, number);
                    number += 1;
                    Node::Step(copy)
                }
                other => other.clone(),
            };
            slots.push(Slot { node, only: Some(only.clone()) });
        }
        insert(batch, at, slots);
    }

    /// Reads dynamic includes that every host has come to.
    fn settle_expansions(&mut self, batch: &mut Batch) -> Result<bool, Diag> {
        if batch.expansions.is_empty() {
            return Ok(false);
        }
        if !batch.free {
            let at =
                batch.expansions.iter().filter_map(|wish| position(batch, wish.step.id)).min().unwrap_or(0);
            if batch.hosts.iter().any(|host| takes_part(batch, host) && host.at <= at) {
                return Ok(false);
            }
        }
        let wishes = std::mem::take(&mut batch.expansions);
        let hosts: Vec<usize> = wishes.iter().map(|wish| wish.host).collect();
        // each include's steps go behind that include: with the free strategy there may be several at once
        let mut slots: Vec<(StepId, Vec<Slot>)> = Vec::new();
        let mut lost: HashSet<usize> = HashSet::new();
        for mut group in expand::group(wishes) {
            // one host fails once, however many items of its loop are not there
            group.hosts.retain(|host| !lost.contains(host));
            if group.hosts.is_empty() {
                continue;
            }
            // in the play's order, whoever came first
            group.hosts.sort_unstable();
            match expand::read(self, batch, &group) {
                Ok(part) => {
                    let event = Event::Included {
                        what: part.what,
                        hosts: group.hosts.iter().map(|i| batch.hosts[*i].name.clone()).collect(),
                        label: group.label.clone(),
                    };
                    self.tell(batch, group.step.id, event);
                    for index in &group.hosts {
                        let name = batch.hosts[*index].name.clone();
                        self.count(&name).ok += 1;
                    }
                    let only: Arc<BTreeSet<usize>> = Arc::new(group.hosts.iter().copied().collect());
                    let behind = match slots.iter_mut().find(|(step, _)| *step == group.step.id) {
                        Some((_, behind)) => behind,
                        None => {
                            slots.push((group.step.id, Vec::new()));
                            &mut slots.last_mut().expect("just pushed").1
                        }
                    };
                    behind.extend(
                        part.program.into_iter().map(|slot| Slot { only: Some(only.clone()), ..slot }),
                    );
                    if !part.handlers.is_empty() {
                        batch.handler_slots.extend(part.handlers);
                        index_handlers(batch);
                    }
                }
                Err(diag) => {
                    for index in &group.hosts {
                        let name = batch.hosts[*index].name.clone();
                        let message = diag.message.clone();
                        let mut result = dict! {"reason" => &message, "failed" => true, "changed" => false};
                        if group.step.module() == "include_tasks" {
                            result.insert("include", group.include.clone());
                        }
                        let links = vec![(
                            message,
                            if diag.span.is_known() { diag.span } else { group.step.task.span },
                        )];
                        let done = Done {
                            status: Status::Failed,
                            result: Arc::new(result),
                            looped: false,
                            ignored: false,
                            effects: Vec::new(),
                            error: Some(Arc::new(crate::report::ErrorChain {
                                links,
                                help: if self.run.shared.options.ansible_manners {
                                    diag.help.clone()
                                } else {
                                    diag.way_out()
                                },
                                code: (!self.run.shared.options.ansible_manners).then_some(diag.code),
                            })),
                            delegate: None,
                            notify: Vec::new(),
                            register: None,
                        };
                        batch.hosts[*index].waits = false;
                        lost.insert(*index);
                        self.ended(batch, *index, &group.step, &name, done);
                    }
                }
            }
        }
        for (step, slots) in slots {
            if let Some(at) = position(batch, step) {
                insert(batch, at + 1, slots);
            }
        }
        for index in hosts {
            batch.hosts[index].waits = false;
        }
        Ok(true)
    }

    /// Starts every step that hosts stand in front of and no gate forbids, lowest first.
    fn start_steps(&mut self, batch: &mut Batch, sender: &Sender) -> Result<bool, Diag> {
        let ending = self.run.is_interrupted();
        if ending {
            for index in 0..batch.hosts.len() {
                let host = &mut batch.hosts[index];
                // what is on its way already comes to its end
                if host.health == Health::Well && !host.busy && host.ahead.is_empty() {
                    host.health = Health::Ended;
                    batch.look(index);
                }
            }
        }
        let forks = self.run.shared.options.forks.max(1);
        let lowest_at = batch.watch.lowest().unwrap_or(usize::MAX);
        let next_gate = batch.graph.next_gate(lowest_at).unwrap_or(usize::MAX);
        batch.watch.gate = if batch.free { usize::MAX } else { next_gate };
        let room = if batch.in_flight >= forks { 0 } else { usize::MAX };
        // those who wait because of `throttle` or `run_once` may be many: everybody is asked
        let ready: Vec<(usize, usize)> =
            batch.watch.ready.range(..(batch.watch.gate, 0)).take(room).copied().collect();
        let mut begun = false;
        for (at, index) in ready {
            if batch.in_flight >= forks {
                break;
            }
            let Some(Node::Step(step)) = batch.program.get(at).map(|slot| slot.node.clone()) else {
                continue;
            };
            if batch.hosts[index].at != at || batch.hosts[index].busy {
                continue;
            }
            if let Some(waiting) = batch.hosts[index].ahead.pop_front() {
                if waiting.step.id == step.id {
                    self.stands(batch, index, &step, false, sender);
                    if !ending {
                        self.announce(batch, &step, index);
                    }
                    self.resume(batch, index, waiting);
                    begun = true;
                    continue;
                }
                batch.hosts[index].ahead.clear();
            }
            if ending {
                batch.hosts[index].health = Health::Ended;
                batch.look(index);
                continue;
            }
            if step.module() == "meta" {
                self.meta(batch, index, &step)?;
                batch.watch.all = true;
                begun = true;
                continue;
            }
            if !self.may_run(batch, &step, index) {
                batch.hosts[index].at += 1;
                batch.watch.all = true;
                begun = true;
                continue;
            }
            let name = batch.hosts[index].name.clone();
            let once = self.set(batch, &step, &name, Kw::RunOnce);
            if once && batch.free {
                let text = "Using run_once with the free strategy is not currently supported. This task will still be executed for every host in the inventory list.";
                self.tell(batch, step.id, Event::Warning(text.to_owned()));
            } else if once {
                if batch.once.contains(&step.id) {
                    continue;
                }
                batch.once.insert(step.id);
            }
            if let Some(limit) = self.throttle(batch, &step, &name)?
                && batch.in_step.get(&step.id).copied().unwrap_or(0) >= limit
            {
                continue;
            }
            begun = true;
            if self.stands(batch, index, &step, once, sender) {
                continue;
            }
            self.announce(batch, &step, index);
            self.start(batch, index, &step, sender);
        }
        Ok(begun)
    }

    fn set(&self, batch: &Batch, step: &Arc<Step>, host: &Arc<str>, kw: Kw) -> bool {
        let Some(value) = step.keywords.get(kw) else { return false };
        let scope = TaskScope::new(&self.run.shared, &batch.vars, host, Some(step));
        render::flag(&scope, value).unwrap_or(false)
    }

    fn throttle(&self, batch: &Batch, step: &Arc<Step>, host: &Arc<str>) -> Result<Option<usize>, Diag> {
        let Some(value) = step.keywords.get(Kw::Throttle) else { return Ok(None) };
        let scope = TaskScope::new(&self.run.shared, &batch.vars, host, Some(step));
        let rendered = render::value(&scope, value).map_err(|error| {
            let text = format!("Failed to convert the throttle value to an integer: {error}");
            Diag::error("E0224", text).at(task::span_of(value, step.task.span))
        })?;
        let limit = task::number(&rendered).ok_or_else(|| {
            let text = format!(
                "Failed to convert the throttle value to an integer: invalid literal for int() with base 10: {}",
                quorate_value::repr(&rendered)
            );
            Diag::error("E0224", text).at(task::span_of(value, step.task.span))
        })?;
        Ok((limit >= 1.0).then_some(limit as usize))
    }

    fn tell(&mut self, batch: &mut Batch, step: StepId, event: Event) {
        if batch.free {
            let repeat = batch.last_free != Some(step) && !matches!(event, Event::TaskStarted { .. });
            if repeat && let Some(banner) = self.banner_of(batch, step) {
                self.run.tell(banner);
            }
            batch.last_free = Some(step);
            self.run.tell(event);
            return;
        }
        for event in batch.outbox.put(step, event) {
            self.run.tell(event);
        }
    }

    fn banner_of(&self, batch: &Batch, step: StepId) -> Option<Event> {
        let step = batch.program.iter().find_map(|slot| match &slot.node {
            Node::Step(found) if found.id == step => Some(found.clone()),
            _ => None,
        })?;
        let title = step.title();
        Some(Event::TaskStarted { step, title, check: false })
    }

    fn tell_up_to(&mut self, batch: &mut Batch, at: usize) {
        let end = at.min(batch.program.len().saturating_sub(1));
        let now = step_at(&batch.program, at.min(batch.program.len()));
        // what stands further up has been told before
        let from = if batch.watch.told <= end { batch.watch.told } else { 0 };
        batch.watch.told = end;
        let order: Vec<StepId> = if batch.program.is_empty() {
            Vec::new()
        } else {
            batch.program[from..=end]
                .iter()
                .filter_map(|slot| if let Node::Step(step) = &slot.node { Some(step.id) } else { None })
                .collect()
        };
        for event in batch.outbox.reach(order.into_iter(), now) {
            self.run.tell(event);
        }
    }

    /// The name of a step as output shows it.
    fn title_of(&self, scope: &TaskScope, step: &Step) -> String {
        let Some(name) = step.task.name.as_ref().filter(|name| name.is_template()) else {
            return step.title();
        };
        let rendered = render::value(scope, &Value::Str(name.clone()))
            .map_or_else(|error| marked(name.as_str(), &error.to_string()), |v| str_of(&v));
        step.titled(&rendered)
    }

    /// Asks whether a step is to run, where `--step` was given.
    fn may_run(&mut self, batch: &mut Batch, step: &Arc<Step>, index: usize) -> bool {
        if let Some(answer) = self.answered.get(&step.id) {
            return *answer;
        }
        if !self.asks {
            return true;
        }
        // what came before is told before the question
        let at = batch.hosts[index].at;
        self.tell_up_to(batch, at);
        let question = format!("Perform task: TASK: {} (N)o/(y)es/(c)ontinue: ", step.title());
        crate::report::display::prompt(&question);
        let answer = tokio::task::block_in_place(|| crate::cli::ask::line(true)).unwrap_or_default();
        let answer = answer.trim().to_lowercase();
        let run = match answer.as_str() {
            "y" | "yes" => true,
            "c" | "continue" => {
                self.asks = false;
                true
            }
            _ => false,
        };
        self.run.tell(Event::Asked(question));
        self.answered.insert(step.id, run);
        run
    }

    /// The banner of a step, once.
    fn announce(&mut self, batch: &mut Batch, step: &Arc<Step>, index: usize) {
        if !batch.told.insert(step.id) {
            return;
        }
        let name = batch.hosts[index].name.clone();
        let scope = TaskScope::new(&self.run.shared, &batch.vars, &name, Some(step));
        let title = self.title_of(&scope, step);
        let check = step
            .keywords
            .get(Kw::CheckMode)
            .and_then(Value::to_bool_loose)
            .unwrap_or(self.run.shared.options.check);
        let event = Event::TaskStarted { step: step.clone(), title, check };
        self.tell(batch, step.id, event);
    }

    /// Notes which work is at hand; where an earlier run has done it, its result stands and nothing runs.
    fn stands(
        &mut self,
        batch: &mut Batch,
        index: usize,
        step: &Arc<Step>,
        once: bool,
        sender: &Sender,
    ) -> bool {
        let run = &self.run;
        if run.journal.get().is_none()
            && run.resume.get().is_none()
            && run.forecast.get().is_none()
            && run.promise.get().is_none()
        {
            return false;
        }
        let host: Arc<str> = if once { Arc::from("*") } else { batch.hosts[index].name.clone() };
        let (place, handler) = (crate::journal::place(step), step.context.handlers);
        let visits = self.visits.entry((host.clone(), place.clone(), handler)).or_default();
        let nth = *visits;
        *visits += 1;
        let key = crate::journal::Key { play: self.number, host: host.to_string(), place, handler, nth };
        let done = self.run.resume.get().and_then(|resume| resume.result(&key));
        let host = &mut batch.hosts[index];
        host.work = Some(Work { key, began: std::time::Instant::now(), stood: done.is_some() });
        let Some(done) = done else { return false };
        host.busy = true;
        if let Some(number) = batch.handler_of.get(&step.id) {
            host.notified.remove(number);
        }
        batch.in_flight += 1;
        *batch.in_step.entry(step.id).or_default() += 1;
        batch.look(index);
        sender.send(Message::Done(index, step.clone(), Box::new(done))).ok();
        true
    }

    fn start(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>, sender: &Sender) {
        self.occupy(batch, index, step);
        let work = batch.hosts[index].work.as_ref().map(|work| Arc::from(work.key.to_string()));
        let flight = Flight::head(committer(index, step, sender)).of(work);
        let flight = if batch.runs_ahead { flight } else { flight.alone() };
        self.launch(batch, index, step, flight, sender);
    }

    /// The turn of a step that ran ahead has come.
    fn resume(&mut self, batch: &mut Batch, index: usize, waiting: Waiting) {
        self.occupy(batch, index, &waiting.step);
        waiting.turn.send(()).ok();
    }

    /// A host is at work on a step from now on.
    fn occupy(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>) {
        let host = &mut batch.hosts[index];
        host.busy = true;
        if let Some(number) = batch.handler_of.get(&step.id) {
            host.notified.remove(number);
        }
        let name = host.name.clone();
        batch.in_flight += 1;
        *batch.in_step.entry(step.id).or_default() += 1;
        batch.look(index);
        if let Some(clock) = self.run.clock.get() {
            let gates = batch.graph.gates_up_to(batch.hosts[index].at);
            clock.begin(step.id, &name, gates);
        }
        if let Some(probe) = self.run.probe.get() {
            probe.work(step, &name);
        }
        if let Some(running) = self.run.running.get() {
            running.begin(step, &name);
        }
        let told = Event::HostStarted { step: step.clone(), host: name };
        self.tell(batch, step.id, told);
    }

    fn launch(&self, batch: &Batch, index: usize, step: &Arc<Step>, flight: Flight, sender: &Sender) {
        let host = &batch.hosts[index];
        let (name, rescuing) = (host.name.clone(), host.rescuing.back().cloned());
        let key = host.work.as_ref().map(|work| work.key.clone());
        let work = flight.work();
        let (run, play, step, sender) = (self.run.clone(), batch.vars.clone(), step.clone(), sender.clone());
        tokio::spawn(async move {
            let events = {
                let (sender, step) = (sender.clone(), step.id);
                move |event: Event| {
                    sender.send(Message::Event(step, event)).ok();
                }
            };
            if let Some(broken) = held(&run, &play, &name, &step, rescuing.as_ref(), key).await {
                sender.send(Message::Done(index, step, Box::new(broken))).ok();
                return;
            }
            let mut done =
                task::run(&run, &play, &name, &step, rescuing.clone(), &events, Some(&flight)).await;
            if flight.is_dropped() {
                return;
            }
            if flight.is_deferred() {
                if run.is_interrupted() {
                    sender.send(Message::NotBegun(index, step)).ok();
                    return;
                }
                let flight = Flight::head(committer(index, &step, &sender)).of(work);
                done = task::run(&run, &play, &name, &step, rescuing, &events, Some(&flight)).await;
            }
            sender.send(Message::Done(index, step, Box::new(done))).ok();
        });
    }

    /// Sends the next step of a host behind the one that has just been sent, where nothing speaks against it.
    fn run_ahead(
        &mut self,
        batch: &mut Batch,
        index: usize,
        sent: &Arc<Step>,
        commit: Commit,
        sender: &Sender,
    ) {
        if !batch.runs_ahead || !commit.well || self.run.is_interrupted() || !ahead::may_follow(sent) {
            return;
        }
        let Some(step) = follower(batch, index, sent.id) else { return };
        let now = match batch.program.get(batch.hosts[index].at).map(|slot| &slot.node) {
            Some(Node::Step(step)) => step.clone(),
            _ => return,
        };
        let in_front =
            std::iter::once(&now).chain(batch.hosts[index].ahead.iter().map(|waiting| &waiting.step));
        let unknown: Vec<String> = in_front.flat_map(|step| ahead::sets(step)).collect();
        let (turn, comes) = tokio::sync::oneshot::channel();
        let tail: Option<Tail> = commit.tail;
        let work = self.key_ahead(batch, index, &step).map(|key| Arc::from(key.to_string()));
        let flight = Flight::ahead(unknown, tail, comes, committer(index, &step, sender)).of(work);
        self.launch(batch, index, &step, flight, sender);
        batch.hosts[index].ahead.push_back(Waiting { step, turn });
    }

    /// What the journal will call a step whose turn has not come, where there is a journal.
    fn key_ahead(&self, batch: &Batch, index: usize, step: &Arc<Step>) -> Option<crate::journal::Key> {
        self.run.journal.get()?;
        let host = &batch.hosts[index];
        let (place, handler) = (crate::journal::place(step), step.context.handlers);
        let same = |waiting: &&Waiting| {
            crate::journal::place(&waiting.step) == place && waiting.step.context.handlers == handler
        };
        let before = host.ahead.iter().filter(same).count() as u32;
        let visits = self.visits.get(&(host.name.clone(), place.clone(), handler)).copied().unwrap_or(0);
        let nth = visits + before;
        Some(crate::journal::Key { play: self.number, host: host.name.to_string(), place, handler, nth })
    }

    /// A host is no longer at work on a step.
    fn rests(&self, step: StepId, host: &Arc<str>) {
        if let Some(clock) = self.run.clock.get() {
            clock.end(step, host);
        }
        if let Some(probe) = self.run.probe.get() {
            probe.rest(step, host);
        }
        if let Some(running) = self.run.running.get() {
            running.end(step, host);
        }
    }

    fn receive(&mut self, batch: &mut Batch, message: Message, sender: &Sender) -> Result<(), Diag> {
        match message {
            Message::Event(step, event) => self.tell(batch, step, event),
            Message::Sent(index, step, commit) => self.run_ahead(batch, index, &step, commit, sender),
            Message::NotBegun(index, step) => {
                batch.in_flight -= 1;
                if let Some(count) = batch.in_step.get_mut(&step.id) {
                    *count -= 1;
                }
                batch.hosts[index].busy = false;
                batch.hosts[index].ahead.clear();
                batch.watch.moved.insert(index);
                let name = batch.hosts[index].name.clone();
                self.rests(step.id, &name);
            }
            Message::Done(index, step, done) => {
                batch.in_flight -= 1;
                if let Some(count) = batch.in_step.get_mut(&step.id) {
                    *count -= 1;
                }
                batch.hosts[index].busy = false;
                batch.watch.moved.insert(index);
                let name = batch.hosts[index].name.clone();
                self.rests(step.id, &name);
                let stood = batch.hosts[index].work.as_ref().is_some_and(|work| work.stood);
                // one that was on its way when the run was stopped: only now is it known that it had begun
                if !stood {
                    self.announce(batch, &step, index);
                }
                let once = batch.once.contains(&step.id);
                if stood {
                    self.apply(batch, index, &step, &name, &done, once)?;
                    self.stands = true;
                    self.went(batch, index, &step, &name, *done);
                    self.stands = false;
                    return Ok(());
                }
                match self.debug(batch, &step, &name, &done) {
                    None => {}
                    Some(Decision::Continue) => {
                        self.apply(batch, index, &step, &name, &done, once)?;
                        self.went(batch, index, &step, &name, *done);
                        return Ok(());
                    }
                    Some(Decision::Redo(step)) => {
                        self.start(batch, index, &step, sender);
                        return Ok(());
                    }
                    Some(Decision::Quit) => {
                        self.run.interrupt();
                        return Ok(());
                    }
                }
                self.apply(batch, index, &step, &name, &done, once)?;
                self.ended(batch, index, &step, &name, *done);
            }
        }
        Ok(())
    }

    /// Shows the end of a step to whoever debugs, and asks what to do.
    fn debug(
        &mut self,
        batch: &mut Batch,
        step: &Arc<Step>,
        name: &Arc<str>,
        done: &Done,
    ) -> Option<Decision> {
        if !batch.debugs && step.keywords.get(Kw::Debugger).is_none() {
            return None;
        }
        let scope = TaskScope::new(&self.run.shared, &batch.vars, name, Some(step));
        if self.run.is_interrupted() || !debugger::wanted(&self.run, &scope, step, done, batch.debugs) {
            return None;
        }
        self.tell_result(batch, step, name, done);
        let at = position(batch, step.id).unwrap_or(usize::MAX);
        self.tell_up_to(batch, at);
        let title = self.title_of(&scope, step);
        Some(tokio::task::block_in_place(|| {
            debugger::converse(&self.run, &batch.vars, name, step, &title, done)
        }))
    }

    // ---- results

    /// Carries out what a task wants done: registered variables, facts, hosts, includes.
    fn apply(
        &mut self,
        batch: &mut Batch,
        index: usize,
        step: &Arc<Step>,
        name: &Arc<str>,
        done: &Done,
        once: bool,
    ) -> Result<(), Diag> {
        let shared = self.run.shared.clone();
        let everybody: Vec<Arc<str>> =
            if once { batch.hosts.iter().map(|h| h.name.clone()).collect() } else { vec![name.clone()] };
        for effect in &done.effects {
            match effect {
                Effect::Set { host, vars, cacheable } => {
                    let about = if host == name { everybody.clone() } else { vec![host.clone()] };
                    for host in &about {
                        for (key, value) in vars {
                            shared.set(host, &key.json_text(), value.clone());
                            if *cacheable {
                                shared.set_cacheable(host, &key.json_text(), value.clone());
                            }
                        }
                    }
                }
                Effect::Facts { host, facts } => {
                    let about = if host == name { everybody.clone() } else { vec![host.clone()] };
                    for host in &about {
                        shared.add_facts(host, facts);
                    }
                }
                Effect::Include { host, vars } => {
                    let about = if host == name { everybody.clone() } else { vec![host.clone()] };
                    for host in &about {
                        shared.include(host, vars);
                    }
                }
                Effect::AddHost { name, groups, vars } => {
                    let addition =
                        Addition::Host { name: name.clone(), groups: groups.clone(), vars: vars.clone() };
                    shared.add(addition).map_err(|e| Diag::error("E0210", e).at(step.task.span))?;
                }
                Effect::GroupBy { host, group, parents } => {
                    let addition = Addition::Group {
                        host: host.to_string(),
                        group: group.clone(),
                        parents: parents.clone(),
                    };
                    shared.add(addition).map_err(|e| Diag::error("E0210", e).at(step.task.span))?;
                }
                Effect::Expand(expand) => {
                    let hosts = if once {
                        (0..batch.hosts.len()).filter(|i| takes_part(batch, &batch.hosts[*i])).collect()
                    } else {
                        vec![index]
                    };
                    for host in hosts {
                        batch.expansions.push(expand::Wish {
                            host,
                            step: step.clone(),
                            expand: (**expand).clone(),
                        });
                        batch.hosts[host].waits = true;
                    }
                }
                Effect::Stats { data, per_host, aggregate } => self.stats(name, data, *per_host, *aggregate),
                Effect::ResetConnection => {
                    let (run, name) = (self.run.clone(), name.clone());
                    tokio::spawn(async move { run.pool.reset(&name).await });
                }
            }
        }
        if let Some(variable) = &done.register
            && (done.status != Status::Unreachable || done.ignored)
        {
            let mut value = registered(&done.result);
            if done.looped {
                value.remove("failed");
                if done.status == Status::Failed {
                    value.insert("failed", true);
                }
            }
            // what people wrote themselves stays what they wrote
            let written = matches!(step.module(), "set_fact" | "include_vars");
            let value = if written { Value::dict(value) } else { Value::dict(value).untrusted() };
            for host in &everybody {
                shared.set(host, variable, value.clone());
            }
        }
        Ok(())
    }

    fn stats(&mut self, host: &Arc<str>, data: &Dict, per_host: bool, aggregate: bool) {
        let key = if per_host { host.to_string() } else { "_run".to_owned() };
        let mut own = self.recap.custom.get(&key).and_then(Value::as_dict).cloned().unwrap_or_default();
        for (name, value) in data {
            let merged = match (own.get_key(name), value, aggregate) {
                (Some(Value::Dict(old)), Value::Dict(new), true) => {
                    let mut sum = (**old).clone();
                    sum.update(new);
                    Value::dict(sum)
                }
                (Some(Value::List(old)), Value::List(new), true) => {
                    Value::list(old.iter().chain(new.iter()).cloned().collect::<Vec<_>>())
                }
                (Some(Value::Int(old)), Value::Int(new), true) => Value::Int(old + new),
                (Some(Value::Str(old)), Value::Str(new), true) => {
                    Value::from(format!("{}{}", old.as_str(), new.as_str()))
                }
                _ => value.clone(),
            };
            own.insert(name.clone(), merged);
        }
        self.recap.custom.insert(key, own);
    }

    /// A step has ended on a host: told, counted, and the host goes where that leads.
    fn ended(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>, name: &Arc<str>, done: Done) {
        self.tell_result(batch, step, name, &done);
        self.went(batch, index, step, name, done);
    }

    fn tell_result(&mut self, batch: &mut Batch, step: &Arc<Step>, name: &Arc<str>, done: &Done) {
        let no_log = done.result.get("_ansible_no_log").is_some_and(Value::is_truthy);
        let outcome = Outcome {
            host: name.clone(),
            delegate: done.delegate.clone(),
            status: done.status,
            result: Arc::new(shown(&done.result, no_log)),
            ignored: done.ignored,
            error: done.error.clone().filter(|_| !done.looped),
        };
        let expands = done.effects.iter().any(|effect| matches!(effect, Effect::Expand(_)));
        if !expands {
            let event = Event::Result { step: step.clone(), looped: done.looped, outcome };
            self.tell(batch, step.id, event);
        }
    }

    /// Counts how a step went, and takes the host where that leads.
    fn went(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>, name: &Arc<str>, done: Done) {
        let expands = done.effects.iter().any(|effect| matches!(effect, Effect::Expand(_)));
        if let Some(role) = &step.context.role
            && !matches!(done.status, Status::Skipped | Status::Unreachable)
        {
            batch.hosts[index].roles_begun.insert(role.identity);
        }
        if let Some(work) = batch.hosts[index].work.take() {
            if let Some(forecast) = self.run.forecast.get() {
                forecast.ended(&work.key, name, step, &done);
            }
            if let Some(journal) = self.run.journal.get() {
                // one name for all hosts: that of the first
                let title = match self.titles.get(&step.id) {
                    Some(title) => title.clone(),
                    None => {
                        let scope = TaskScope::new(&self.run.shared, &batch.vars, name, Some(step));
                        let title = self.title_of(&scope, step);
                        if step.task.name.as_ref().is_some_and(Str::is_template) {
                            self.titles.insert(step.id, title.clone());
                        }
                        title
                    }
                };
                journal.told(crate::journal::Told {
                    title,
                    key: work.key,
                    host: name.clone(),
                    step: step.clone(),
                    done: Box::new(done.clone()),
                    began: work.began,
                    ended: std::time::Instant::now(),
                    stood: work.stood,
                });
            }
        }
        let once = batch.once.contains(&step.id);
        let at = batch.hosts[index].at;
        let failed = matches!(done.status, Status::Failed | Status::Unreachable);
        if failed && !done.ignored {
            // those who run ahead have found out, or find out now, that they are not to be
            batch.hosts[index].ahead.clear();
        }
        // what happens to one host only leaves the others where they are
        batch.watch.all |= std::mem::take(&mut batch.held)
            || once
            || failed
            || expands
            || batch.hosts[index].doomed
            || !done.effects.is_empty();
        let stands = self.stands;
        let counts = self.count(name);
        let changed = done.result.get("changed").is_some_and(Value::is_truthy);
        match done.status {
            Status::Ok | Status::Changed => {
                if !expands {
                    counts.ok += 1;
                }
                counts.changed += u32::from(done.status == Status::Changed && !expands && !stands);
                batch.hosts[index].at += 1;
            }
            Status::Skipped => {
                counts.skipped += 1;
                batch.hosts[index].at += 1;
            }
            Status::Failed if done.ignored => {
                counts.ok += 1;
                counts.ignored += 1;
                counts.changed += u32::from(changed && !stands);
                batch.hosts[index].at += 1;
            }
            Status::Unreachable if done.ignored => {
                counts.ok += 1;
                counts.ignored += 1;
                batch.hosts[index].at += 1;
                // what is ignored here is everybody's all the same
                self.lost_somebody(batch, step);
            }
            Status::Failed => self.failed(batch, index, step, &done),
            Status::Unreachable => {
                counts.unreachable += 1;
                batch.hosts[index].health = Health::Unreachable;
                self.unreachable.insert(name.clone());
                self.lost_somebody(batch, step);
            }
        }
        if std::mem::take(&mut batch.hosts[index].doomed) && batch.hosts[index].health == Health::Well {
            batch.shared.insert((step.id, index));
            self.share_failure(batch, index);
        }
        for handler in &done.notify {
            self.notify(batch, index, step, handler);
        }
        if once {
            // the others take the same way, without having done anything
            let failed = done.status == Status::Failed && !done.ignored;
            for other in 0..batch.hosts.len() {
                if other != index
                    && takes_part(batch, &batch.hosts[other])
                    && batch.hosts[other].at == at
                    && !batch.hosts[other].busy
                {
                    if failed {
                        // as Ansible has it: once for the step, and once more because it was everybody's; so
                        // whoever only followed is rescued by nothing
                        self.share_failure(batch, other);
                        if batch.hosts[other].health == Health::Well {
                            self.share_failure(batch, other);
                        }
                    } else {
                        if let Some(number) = batch.handler_of.get(&step.id) {
                            batch.hosts[other].notified.remove(number);
                        }
                        batch.hosts[other].at += 1;
                    }
                }
            }
            batch.once.remove(&step.id);
            if batch.hosts.iter().any(|host| takes_part(batch, host) && host.at == at) {
                batch.once.insert(step.id);
            }
        }
    }

    fn failed(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>, done: &Done) {
        let name = batch.hosts[index].name.clone();
        batch.hosts[index]
            .rescuing
            .push_back((failed_task(step), Value::dict(registered(&done.result)).untrusted()));
        batch.hosts[index].doomed = false; // it has failed by itself
        batch.hosts[index].shares = false;
        batch.shared.insert((step.id, index));
        let fate = batch.hosts[index].fail(&batch.program);
        let counts = self.count(&name);
        match fate {
            Fate::Rescued => {
                counts.rescued += 1;
                if let Some(journal) = self.run.journal.get() {
                    journal.rescuing(&name);
                }
            }
            Fate::Delayed | Fate::Out => counts.failed += 1,
        }
        if fate == Fate::Out {
            self.lose(batch, index);
        }
        self.lost_somebody(batch, step);
    }

    /// A host is out of the play for good.
    fn lose(&mut self, batch: &mut Batch, index: usize) {
        let name = batch.hosts[index].name.clone();
        self.failed.insert(name);
        batch.hosts[index].health = Health::Failed;
        self.refresh_alive(batch);
    }

    fn refresh_alive(&self, batch: &Batch) {
        let gone = |name: &Arc<str>| self.failed.contains(name) || self.unreachable.contains(name);
        let all = batch.vars.all_hosts.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let ended: HashSet<&Arc<str>> =
            batch.hosts.iter().filter(|h| h.health == Health::Ended).map(|h| &h.name).collect();
        let alive: Vec<Arc<str>> =
            all.iter().filter(|name| !gone(name) && !ended.contains(name)).cloned().collect();
        *batch.vars.alive.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(alive);
    }

    /// `any_errors_fatal` and `max_fail_percentage`: one host's failure may be everybody's.
    fn lost_somebody(&mut self, batch: &mut Batch, step: &Arc<Step>) {
        batch.watch.all = true;
        self.refresh_alive(batch);
        let once = batch.once.contains(&step.id);
        let first = batch.hosts[0].name.clone();
        let fatal = self.set(batch, step, &first, Kw::AnyErrorsFatal);
        let over = batch.max_fail.is_some_and(|limit| {
            let lost = batch
                .hosts
                .iter()
                .filter(|h| matches!(h.health, Health::Failed | Health::Unreachable))
                .count();
            lost as f64 / batch.hosts.len() as f64 * 100.0 > limit
        });
        if !fatal && !over {
            return;
        }
        let somebody_out =
            batch.hosts.iter().any(|h| matches!(h.health, Health::Failed | Health::Unreachable));
        if somebody_out {
            batch.stop = true;
        }
        if over {
            batch.nobody_left = true;
        } else if once {
            // who follows a step that runs once follows it in its failure, too
            return;
        }
        for other in 0..batch.hosts.len() {
            let host = &mut batch.hosts[other];
            if host.health != Health::Well || batch.shared.contains(&(step.id, other)) {
                continue;
            }
            if over {
                host.leave_blocks();
            }
            // a host that is at this very step ends it first, and finds itself failed afterwards
            if host.busy || (!once && step_at(&batch.program, host.at) == Some(step.id)) {
                host.doomed = true;
                continue;
            }
            batch.shared.insert((step.id, other));
            self.share_failure(batch, other);
        }
    }

    /// Somebody's failure is this host's, too.
    fn share_failure(&mut self, batch: &mut Batch, index: usize) {
        let host = &mut batch.hosts[index];
        host.rescuing.push_back((Value::Null, Value::dict(Dict::new())));
        host.shares = true;
        self.barred.insert(host.name.clone());
        if host.fail(&batch.program) == Fate::Out {
            self.lose(batch, index);
        }
    }

    // ---- handlers

    fn notify(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>, wanted: &str) {
        let name = batch.hosts[index].name.clone();
        let mut found = Vec::new();
        let titles: Vec<(usize, String, String, Vec<String>)> = batch
            .handlers
            .iter()
            .enumerate()
            .map(|(number, handler)| {
                let scope = TaskScope::new(&self.run.shared, &batch.vars, &name, Some(handler));
                let text = |value: &Str| {
                    render::value(&scope, &Value::Str(value.clone())).map(|v| str_of(&v)).unwrap_or_default()
                };
                let plain = handler.task.name.as_ref().map(text).unwrap_or_default();
                let full = match &handler.context.role {
                    Some(role) => format!("{} : {plain}", role.role.name),
                    None => plain.clone(),
                };
                // topics are what is written: nothing in them is a template
                let mut listens: Vec<String> = handler
                    .task
                    .listen
                    .iter()
                    .flat_map(|v| match v {
                        Value::List(items) => items.iter().map(str_of).collect::<Vec<_>>(),
                        other => vec![str_of(other)],
                    })
                    .collect();
                // a collection's role answers to its short name as well
                if let Some(role) = &handler.context.role {
                    // topics, too, may be named with their role in front
                    let named: Vec<String> = listens
                        .iter()
                        .flat_map(|topic| {
                            [role.role.name.as_ref(), role.role.short_name()]
                                .map(|r| format!("{r} : {topic}"))
                        })
                        .collect();
                    listens.extend(named);
                    if role.role.collection && !plain.is_empty() {
                        listens.push(format!("{} : {plain}", role.role.short_name()));
                    }
                }
                (number, plain, full, listens)
            })
            .collect();
        // The last file of handlers wins, the play's own over its roles'; within a file, the first of a name.
        let mut searched: Vec<&(usize, String, String, Vec<String>)> = Vec::with_capacity(titles.len());
        let source =
            |number: usize| batch.handlers[number].context.role.as_ref().map(|role| role.role.path.clone());
        for group in titles.chunk_by(|a, b| source(a.0) == source(b.0)).rev() {
            searched.extend(group);
        }
        for (number, plain, full, listens) in &searched {
            if plain.is_empty() && listens.is_empty() {
                self.unusable(batch, step, &name, *number);
            }
            if !plain.is_empty() && (plain == wanted || full == wanted) {
                found.push(*number);
                break;
            }
        }
        let mut seen: HashSet<&str> = HashSet::new();
        for (number, plain, _, listens) in &searched {
            if listens.iter().any(|topic| topic == wanted) && (plain.is_empty() || seen.insert(plain)) {
                found.push(*number);
            }
        }
        if found.is_empty() {
            let known: Vec<String> = titles
                .iter()
                .flat_map(|(_, plain, full, listens)| {
                    let mut all = vec![plain.clone(), full.clone()];
                    all.extend(listens.iter().cloned());
                    all
                })
                .filter(|n| !n.is_empty())
                .collect();
            let near = quorate_yaml::nearest(wanted, known.iter().map(String::as_str))
                .first()
                .map(|n| format!(" Did you mean '{n}'?"))
                .unwrap_or_default();
            let message = format!(
                "The requested handler '{wanted}' was not found in either the main handlers list nor in the listening handlers list.{near}"
            );
            if self.run.shared.settings.flag("ERROR_ON_MISSING_HANDLER") {
                let text = format!("[ERROR]: {message}\n{}", crate::report::origin(step.task.span));
                self.run.tell(Event::Refused { text: text.trim_end().to_owned() });
                batch.stop = true;
                self.aborted = true;
                for host in &mut batch.hosts {
                    if host.health == Health::Well {
                        host.health = Health::Ended;
                    }
                }
            } else {
                self.run.tell(Event::Warning(message));
            }
            return;
        }
        for number in found {
            if batch.hosts[index].notified.insert(number) {
                let event = Event::Notified { handler: batch.handlers[number].title(), host: name.clone() };
                self.tell(batch, step.id, event);
            }
        }
    }

    /// Says why nobody can notify a handler whose name does not render.
    fn unusable(&mut self, batch: &mut Batch, step: &Step, host: &Arc<str>, number: usize) {
        let handler = &batch.handlers[number];
        let Some(written) = handler.task.name.as_ref() else { return };
        let scope = TaskScope::new(&self.run.shared, &batch.vars, host, Some(handler));
        if let Err(error) = render::value(&scope, &Value::Str(written.clone())) {
            let text = format!(
                "Handler '{}' is unusable because it has no listen topics and the name could not be templated (host-specific variables are not supported in handler names). The error: {}",
                written.as_str(),
                error.detail()
            );
            if self.said_unusable.insert(text.clone()) {
                self.tell(batch, step.id, Event::Warning(text));
            }
        }
    }

    // ---- meta

    fn meta(&mut self, batch: &mut Batch, index: usize, step: &Arc<Step>) -> Result<(), Diag> {
        let name = batch.hosts[index].name.clone();
        let at = batch.hosts[index].at;
        let scope = TaskScope::new(&self.run.shared, &batch.vars, &name, Some(step));
        let written = match &step.task.action.args {
            Value::Dict(args) => args.get("_raw_params").cloned().unwrap_or_default(),
            other => other.clone(),
        };
        let action = render::value(&scope, &written).map(|v| str_of(&v)).unwrap_or_default();
        let holds = |scope: &TaskScope| -> Result<bool, Diag> {
            for condition in &step.keywords.when {
                let met = render::condition(scope, condition).map_err(|e| {
                    Diag::error("E0220", e.to_string()).at(task::span_of(condition, step.task.span))
                })?;
                if !met {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let action = action.trim().to_owned();
        if let Some(number) = batch.handler_of.get(&step.id).copied() {
            if action == "flush_handlers" {
                return Err(
                    Diag::error("E0221", "flush_handlers cannot be used as a handler").at(step.task.span)
                );
            }
            batch.hosts[index].notified.remove(&number);
        }
        // these are each host's own; the others happen once, as the first host says
        let each = matches!(
            action.as_str(),
            "noop" | "reset_connection" | "end_host" | "flush_handlers" | "end_role"
        );
        if each {
            batch.told.remove(&step.id);
        }
        self.announce(batch, step, index);
        if !each && !batch.free {
            for host in &mut batch.hosts {
                if host.at == at && host.health == Health::Well && !host.busy && host.name != name {
                    host.at += 1;
                }
            }
        }
        let unconditional = matches!(action.as_str(), "noop" | "refresh_inventory" | "reset_connection");
        if unconditional && !step.keywords.when.is_empty() {
            let text = format!("{action} task does not support when conditional");
            self.tell(batch, step.id, Event::Warning(text));
        }
        if !unconditional && !holds(&scope)? {
            let rest = match action.as_str() {
                "end_host" => format!(", continuing execution for {name}"),
                "end_role" => format!(", continuing execution for {name}"),
                "end_batch" => ", continuing current batch".to_owned(),
                "end_play" => ", continuing play".to_owned(),
                "clear_facts" => format!(", not clearing facts and fact cache for {name}"),
                "flush_handlers" => format!(", not running handlers for {name}"),
                _ => String::new(),
            };
            let message = match action.as_str() {
                "end_host" => format!("end_host conditional evaluated to false{rest}"),
                other => other.to_owned(),
            };
            let reason = format!("{action} conditional evaluated to False{rest}");
            self.tell(batch, step.id, Event::Verbose(2, format!("META: {reason}")));
            let result = dict! {"msg" => message, "skip_reason" => reason};
            let outcome = Outcome {
                host: name.clone(),
                delegate: None,
                status: Status::Skipped,
                result: Arc::new(result),
                ignored: false,
                error: None,
            };
            if !matches!(action.as_str(), "clear_host_errors") {
                self.tell(batch, step.id, Event::Result { step: step.clone(), looped: false, outcome });
            }
            batch.hosts[index].at += 1;
            return Ok(());
        }
        batch.hosts[index].at += 1;
        let told = match action.as_str() {
            "noop" => Some("noop".to_owned()),
            "flush_handlers" => Some(format!("triggered running handlers for {name}")),
            "clear_facts" => Some("facts cleared".to_owned()),
            "refresh_inventory" => Some("inventory successfully refreshed".to_owned()),
            "clear_host_errors" => Some("cleared host errors".to_owned()),
            "reset_connection" => Some("reset connection".to_owned()),
            "end_host" => Some(format!("ending play for {name}")),
            "end_batch" => Some("ending batch".to_owned()),
            "end_play" => Some("ending play".to_owned()),
            _ => None,
        };
        if let Some(text) = told {
            self.tell(batch, step.id, Event::Verbose(2, format!("META: {text}")));
        }
        match action.as_str() {
            "noop" => {}
            "flush_handlers" => {
                // everybody who is here flushes together
                let slot = Slot { node: Node::Flush, only: None };
                let already = matches!(batch.program.get(at + 1).map(|s| &s.node), Some(Node::Flush));
                if !already {
                    insert(batch, at + 1, vec![slot]);
                }
            }
            "end_host" => {
                batch.hosts[index].health = Health::Ended;
                self.refresh_alive(batch);
            }
            "end_play" | "end_batch" => {
                for host in &mut batch.hosts {
                    if host.health == Health::Well {
                        host.health = Health::Ended;
                    }
                }
                if action == "end_play" {
                    self.ended_play = true;
                    self.refresh_alive(batch);
                }
            }
            "end_role" if batch.handler_of.contains_key(&step.id) => {
                return Err(
                    Diag::error("E0221", "Cannot execute 'end_role' from a handler").at(step.task.span)
                );
            }
            "end_role" => {
                let role = step.context.role.as_ref().map(|role| role.identity);
                let end = batch.program[at..].iter().position(
                    |slot| matches!(&slot.node, Node::RoleEnd(found) if Some(found.identity) == role),
                );
                match end {
                    Some(offset) => batch.hosts[index].at = at + offset,
                    None => {
                        return Err(Diag::error("E0221", "Cannot execute 'end_role' from outside of a role")
                            .at(step.task.span));
                    }
                }
            }
            "clear_facts" => {
                let all: Vec<Arc<str>> = if batch.free {
                    vec![name.clone()]
                } else {
                    batch.vars.all_hosts.read().unwrap_or_else(std::sync::PoisonError::into_inner).to_vec()
                };
                for host in &all {
                    self.run.shared.clear_facts(host);
                }
            }
            "clear_host_errors" => {
                self.failed.clear();
                self.unreachable.clear();
                self.barred.clear();
                for host in &mut batch.hosts {
                    if let Some(journal) = self.run.journal.get()
                        && host.health != Health::Ended
                    {
                        journal.rescued(&host.name);
                    }
                    if host.health == Health::Unreachable {
                        host.at = host.at.max(at + 1);
                        host.forgive();
                    } else if host.health == Health::Failed {
                        // a failure is forgotten for the plays to come; this one is over for the host
                        host.health = Health::Ended;
                    } else if host.health == Health::Well {
                        // a failure on its way through `always` ends here
                        host.forgive();
                    }
                }
                self.refresh_alive(batch);
            }
            "reset_connection" => {
                let (run, name) = (self.run.clone(), name.clone());
                tokio::spawn(async move { run.pool.reset(&name).await });
            }
            "refresh_inventory" => crate::cli::refresh_inventory(&self.run.shared)
                .map_err(|e| Diag::error("E0222", e).at(step.task.span))?,
            other => {
                return Err(Diag::error("E0223", format!("invalid meta action requested: {other}"))
                    .at(step.task.span)
                    .did_you_mean(
                        other,
                        [
                            "noop",
                            "flush_handlers",
                            "refresh_inventory",
                            "clear_facts",
                            "clear_host_errors",
                            "end_play",
                            "end_batch",
                            "end_host",
                            "end_role",
                            "reset_connection",
                        ],
                    ));
            }
        }
        Ok(())
    }
}

/// The name of a play as output shows it: its own, or whom it is for.
pub(crate) fn name_of(play: &Play, scope: &TaskScope) -> String {
    let shown = |value: &Value| str_of(&render::value(scope, value).unwrap_or_else(|_| value.clone()));
    match (&play.name, &play.hosts) {
        (Some(name), _) if !name.is_empty() => shown(&Value::Str(name.clone())),
        (_, Value::List(items)) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        (_, other) => shown(other),
    }
}

/// A name that does not render: where its only template stands, what is wrong with it; else as it is written.
fn marked(name: &str, why: &str) -> String {
    match (name.find("{{"), name.rfind("}}")) {
        (Some(from), Some(to)) if name.matches("{{").count() == 1 && !name.contains("{%") && from < to => {
            format!("{}<< error 1 - {why} >>{}", &name[..from], &name[to + 2..])
        }
        _ => name.to_owned(),
    }
}

fn failed_task(step: &Step) -> Value {
    let name = step.task.name.as_ref().map(|n| n.as_str().to_owned()).unwrap_or_default();
    let args = step.task.action.args.clone();
    Value::from(dict! {
        "name" => name, "action" => step.module(), "args" => args,
        "tags" => step.tags.iter().map(Value::from).collect::<Value>(),
    })
    .untrusted()
}

/// A run that is held to a plan looks before it does anything; where that is not what was planned, a failure.
async fn held(
    run: &Arc<Run>,
    play: &Arc<PlayVars>,
    host: &Arc<str>,
    step: &Arc<Step>,
    rescuing: Option<&(Value, Value)>,
    key: Option<crate::journal::Key>,
) -> Option<Done> {
    let promise = run.promise.get()?;
    let key = key?;
    // what checks by itself whether it may run, or touches no host, needs no look
    let own = step.keywords.get(Kw::CheckMode).is_some();
    if own || crate::journal::runs_again(step.module()) || promise.lets_run(&key) {
        return None;
    }
    let mut keywords = (*step.keywords).clone();
    keywords.set(Kw::CheckMode, Value::Bool(true));
    keywords.set(Kw::Diff, Value::Bool(true));
    let look = Arc::new(Step {
        id: step.id,
        task: step.task.clone(),
        keywords: Arc::new(keywords),
        context: step.context.clone(),
        tags: step.tags.clone(),
        implicit: step.implicit,
    });
    let seen = task::run(run, play, host, &look, rescuing.cloned(), &|_| (), None).await;
    if let Err(why) = promise.check(&key, host, step, &seen) {
        let message = format!("the plan is out of date: {why}; nothing was changed by this task");
        if !run.is_interrupted() {
            run.interrupt();
        }
        return Some(Done {
            status: Status::Failed,
            result: Arc::new(dict! {"msg" => &message, "failed" => true, "changed" => false}),
            looped: false,
            ignored: false,
            effects: Vec::new(),
            error: Some(Arc::new(crate::report::ErrorChain {
                links: vec![(message, step.task.span)],
                help: Some("make a new plan, and look at it".into()),
                code: None,
            })),
            delegate: None,
            notify: Vec::new(),
            register: None,
        });
    }
    if seen.status == Status::Changed {
        promise.begins(host);
    }
    None
}

/// What befell another host befalls this one too: a `rescue` of its own takes over, or it is out.
/// Whether a host still walks: well, or failed with handlers to run.
fn takes_part(batch: &Batch, host: &Cursor) -> bool {
    host.is_active(&batch.program)
        || (host.health == Health::Failed && batch.force_handlers && host.at < batch.program.len())
}

/// The step of a host behind `sent` that may be sent before its turn, if the next one may.
fn follower(batch: &Batch, index: usize, sent: StepId) -> Option<Arc<Step>> {
    let host = &batch.hosts[index];
    if !host.busy || host.health != Health::Well || host.doomed || host.ahead.len() >= ahead::DEPTH {
        return None;
    }
    // a host that has gone another way, or another step was sent last
    let last = host.ahead.back().map_or_else(|| step_at(&batch.program, host.at), |last| Some(last.step.id));
    if last != Some(sent) {
        return None;
    }
    let mut behind = false;
    let mut ended: Vec<u32> = Vec::new();
    for slot in batch.program[..batch.watch.gate.min(batch.program.len())].get(host.at..)? {
        match &slot.node {
            Node::Step(step) if !behind => behind = step.id == sent,
            Node::Step(step) => {
                if slot.only.as_ref().is_some_and(|only| !only.contains(&index)) {
                    continue;
                }
                // whether a handler runs may be decided by the steps that are on their way
                let handler = batch.handler_of.contains_key(&step.id);
                let again = step.context.role.as_ref().is_some_and(|role| {
                    !role.role.allow_duplicates
                        && (host.roles_done.contains(&role.identity) || ended.contains(&role.identity))
                });
                return (!handler && !again && ahead::may_lead(step)).then(|| step.clone());
            }
            Node::RoleEnd(role) => ended.push(role.identity),
            Node::Open(_) => {}
            Node::Flush | Node::Rescue(_) | Node::Always(_) | Node::Close(_) => {
                if behind {
                    return None;
                }
            }
        }
    }
    None
}

/// Tells the scheduler that a step has been sent.
fn committer(index: usize, step: &Arc<Step>, sender: &Sender) -> impl FnOnce(Commit) + Send + 'static {
    let (step, sender) = (step.clone(), sender.clone());
    move |commit| {
        sender.send(Message::Sent(index, step, commit)).ok();
    }
}

fn position(batch: &Batch, step: StepId) -> Option<usize> {
    batch.program.iter().position(|slot| matches!(&slot.node, Node::Step(found) if found.id == step))
}

/// Puts slots at a position; hosts beyond it move along.
fn insert(batch: &mut Batch, at: usize, slots: Vec<Slot>) {
    let count = slots.len();
    if count == 0 {
        return;
    }
    batch.program.splice(at..at, slots);
    batch.watch.all = true;
    batch.watch.told = batch.watch.told.min(at);
    for host in &mut batch.hosts {
        // who is at work on the step that stood here goes on with it
        if host.at > at || (host.at == at && host.busy) {
            host.at += count;
        }
    }
    let gates = gates(&batch.program, &batch.rules, &super::actions::reach_is_host);
    batch.graph = PlayGraph::new(&batch.program, &gates);
}

fn index_handlers(batch: &mut Batch) {
    batch.handlers = batch
        .handler_slots
        .iter()
        .filter_map(|slot| match &slot.node {
            Node::Step(step) => Some(step.clone()),
            _ => None,
        })
        .collect();
}

/// `serial`: sizes and percentages, the last one repeating.
fn batch_sizes(play: &Play, scope: &TaskScope, hosts: usize) -> Result<Vec<usize>, Diag> {
    let mut sizes = Vec::new();
    for value in &play.serial {
        let span = task::span_of(value, play.span);
        let value = render::value(scope, value).map_err(|e| Diag::error("E0206", e.to_string()).at(span))?;
        let items = match &value {
            Value::List(items) => items.to_vec(),
            one => vec![one.clone()],
        };
        for item in items.into_iter().filter(|item| !matches!(item, Value::Omit | Value::Null)) {
            let text = str_of(&item);
            let size = match text.trim().strip_suffix('%') {
                Some(percent) => {
                    let percent: f64 = percent
                        .trim()
                        .parse()
                        .map_err(|_| Diag::error("E0206", format!("`{text}` is no batch size")).at(span))?;
                    ((percent / 100.0) * hosts as f64) as usize
                }
                None => text
                    .trim()
                    .parse::<i64>()
                    .map_err(|_| Diag::error("E0206", format!("`{text}` is no batch size")).at(span))?
                    .max(0) as usize,
            };
            // zero means everybody; a percentage below one host means one
            sizes.push(if text.contains('%') {
                size.max(1)
            } else if size == 0 {
                hosts
            } else {
                size
            });
        }
    }
    if sizes.is_empty() {
        return Ok(vec![hosts]);
    }
    let mut out = Vec::new();
    let mut left = hosts;
    let mut at = 0;
    while left > 0 {
        let size = sizes[at.min(sizes.len() - 1)].min(left).max(1);
        out.push(size);
        left -= size;
        at += 1;
    }
    Ok(out)
}
