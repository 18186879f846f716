//! A play as a list of steps with markers for blocks: what a host walks through from top to bottom.
//!
//! In: entries as loaded, and what surrounds them. Out: [`Slot`]s. Failure only ever jumps forward (to `rescue`, to
//! `always`, out of a block), so a position in the list orders everything that happens in a play.
//!
//! **Invariant:** every [`Node::Open`] has its `Rescue`, `Always` and `Close`, in that order, further down.
//!
//! Not here: which hosts wait for which (`gates`), running (`run`).

use super::TagFilter;
use crate::playbook::{Entry, Keywords, RoleUse, Task, short_name};
use quorate_value::{Dict, Str, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A step, unique within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub u32);

/// A block, unique within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

static NEXT: AtomicU32 = AtomicU32::new(1);

fn fresh() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `block`
    Body,
    /// `rescue`
    Rescue,
    /// `always`
    Always,
}

/// What surrounds entries: inherited keywords and variables.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Keywords of everything around.
    pub keywords: Arc<Keywords>,
    /// The role whose tasks these are, if any.
    pub role: Option<Arc<RoleUse>>,
    /// Variables of blocks around (and of imports), nearest first.
    pub block_vars: Vec<Arc<Dict>>,
    /// Variables of dynamic includes around, nearest first; they win over registered values.
    pub include_params: Vec<Arc<Dict>>,
    /// Whether these are handlers.
    pub handlers: bool,
}

/// One task with everything it inherits.
#[derive(Debug)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// The task as written.
    pub task: Arc<Task>,
    /// Own and inherited keywords.
    pub keywords: Arc<Keywords>,
    /// What surrounds it: dynamic includes start from here.
    pub context: Arc<Context>,
    /// Own and inherited tags.
    pub tags: Vec<String>,
    /// Made by the engine (fact gathering, argument validation), not written by anybody.
    pub implicit: bool,
}

impl Step {
    /// The module, without `ansible.builtin.`.
    pub fn module(&self) -> &str {
        short_name(&self.task.action.name)
    }

    /// The name as written, or the module; with the role in front, as output shows it. May hold templates.
    pub fn title(&self) -> String {
        if let Some(name) = self.given_name() {
            return self.titled(name);
        }
        let written = self.task.action.written.as_str();
        match self.task.action.args.as_dict().filter(|_| self.module() == "include_role") {
            Some(args) => {
                let role = args.get("name").or_else(|| args.get("role")).map(quorate_value::str_of);
                format!("{written} : {}", role.unwrap_or_default())
            }
            None => self.titled(written),
        }
    }

    /// A name with the role in front; `include_role` belongs to none.
    pub fn titled(&self, name: &str) -> String {
        match &self.context.role {
            Some(role) if self.module() != "include_role" => format!("{} : {name}", role.role.name),
            _ => name.to_owned(),
        }
    }

    /// What lists of tasks call it: without a name of its own it has no role in front.
    pub fn listed(&self) -> String {
        if self.given_name().is_some() { self.title() } else { self.task.action.written.as_str().to_owned() }
    }

    fn given_name(&self) -> Option<&str> {
        self.task.name.as_ref().map(Str::as_str).filter(|name| !name.is_empty())
    }

    /// Everything it says that may hold a template: arguments, loop, conditions, variables of its own and around it.
    pub fn said(&self) -> Vec<&Value> {
        let task = &self.task;
        let mut values: Vec<&Value> = vec![&task.action.args];
        values.extend(task.looped.iter().map(|looped| &looped.items));
        values.extend(self.keywords.when.iter());
        values.extend(self.keywords.environment.iter());
        values.extend(task.until.iter());
        values.extend(task.changed_when.iter().flatten());
        values.extend(task.failed_when.iter().flatten());
        values.extend(task.vars.values());
        values.extend(self.context.block_vars.iter().flat_map(|vars| vars.values()));
        values
    }

    /// The folder of the file it is written in.
    pub fn dir(&self) -> PathBuf {
        quorate_value::source_of(self.task.span.file)
            .and_then(|source| source.path.parent().map(PathBuf::from))
            .unwrap_or_default()
    }
}

/// What stands at one position.
#[derive(Debug, Clone)]
pub enum Node {
    /// A task.
    Step(Arc<Step>),
    /// A block begins.
    Open(BlockId),
    /// Its `rescue` begins (perhaps empty).
    Rescue(BlockId),
    /// Its `always` begins (perhaps empty).
    Always(BlockId),
    /// It ends.
    Close(BlockId),
    /// Notified handlers run here.
    Flush,
    /// A role's last task is done.
    RoleEnd(Arc<RoleUse>),
}

/// A position in the program.
#[derive(Debug, Clone)]
pub struct Slot {
    /// What stands here.
    pub node: Node,
    /// The hosts it is for (by index in the play's batch); all where absent. Dynamic includes may be for some only.
    pub only: Option<Arc<BTreeSet<usize>>>,
}

/// A program: positions from top to bottom.
pub type Program = Vec<Slot>;

/// Lays entries out, keeping the tasks that `tags` select (handlers are always kept).
pub fn flatten(
    entries: &[Entry],
    context: &Context,
    tags: &TagFilter,
    render_tags: &dyn Fn(&[Str], &Context) -> Vec<String>,
) -> Program {
    let mut flattener = Flattener { tags, render_tags, out: Vec::new() };
    flattener.entries(entries, context);
    flattener.out
}

struct Flattener<'a> {
    tags: &'a TagFilter,
    render_tags: &'a dyn Fn(&[Str], &Context) -> Vec<String>,
    out: Program,
}

impl Flattener<'_> {
    fn push(&mut self, node: Node) {
        self.out.push(Slot { node, only: None });
    }

    fn entries(&mut self, entries: &[Entry], context: &Context) {
        // tasks of one list share what surrounds them
        let shared = Arc::new(context.clone());
        for entry in entries {
            match entry {
                Entry::Task(task) => self.task(task, &shared),
                Entry::Block(block) => {
                    let mut inner = context.clone();
                    inner.keywords = Arc::new(block.keywords.inside(&context.keywords));
                    if !block.vars.is_empty() {
                        inner.block_vars.insert(0, block.vars.clone());
                    }
                    if block.rescue.is_empty() && block.always.is_empty() {
                        self.entries(&block.body, &inner);
                        continue;
                    }
                    let id = BlockId(fresh());
                    let before = self.out.len();
                    self.push(Node::Open(id));
                    self.entries(&block.body, &inner);
                    self.push(Node::Rescue(id));
                    self.entries(&block.rescue, &inner);
                    self.push(Node::Always(id));
                    self.entries(&block.always, &inner);
                    self.push(Node::Close(id));
                    if !self.out[before..].iter().any(|slot| matches!(slot.node, Node::Step(_))) {
                        self.out.truncate(before);
                    }
                }
                Entry::Role(role) => {
                    let mut inner = context.clone();
                    inner.keywords = Arc::new(role.keywords.inside(&context.keywords));
                    inner.role = Some(role.clone());
                    let before = self.out.len();
                    if let Some(step) = self.validation(role, &inner) {
                        self.push(Node::Step(step));
                    }
                    self.entries(&role.tasks, &inner);
                    if self.out.len() > before {
                        self.push(Node::RoleEnd(role.clone()));
                    }
                }
            }
        }
    }

    /// The check of a role's arguments, where the role describes them.
    fn validation(&self, role: &Arc<RoleUse>, context: &Context) -> Option<Arc<Step>> {
        let spec = role.role.argument_specs.get(&role.entry)?.as_dict().filter(|_| role.validates)?;
        let options = spec.get("options").cloned().unwrap_or_else(|| Value::dict(Dict::new()));
        let mut title = format!("Validating arguments against arg spec '{}'", role.entry);
        if let Some(about) = spec.get("short_description").and_then(Value::as_str) {
            title.push_str(&format!(" - {about}"));
        }
        let mut tags = (self.render_tags)(&context.keywords.tags, context);
        if !tags.iter().any(|tag| tag == "always") {
            tags.push("always".into());
        }
        if !self.tags.selects(&tags) {
            return None;
        }
        // of a collection's role the last part of its name
        let short = match &role.role.name {
            name if role.role.collection => name.rsplit('.').next().unwrap_or(name),
            name => name,
        };
        let about = quorate_value::dict! {
            "type" => "role", "name" => short, "argument_spec_name" => role.entry.as_str(),
            "path" => role.role.path.display().to_string(),
        };
        // the specification is data: nothing in it is a template
        let args = quorate_value::dict! {
            "argument_spec" => options.untrusted(), "provided_arguments" => Dict::new(), "validate_args_context" => about,
        };
        let task = Task::plain(&title, "ansible.builtin.validate_argument_spec", args, role.span);
        Some(implicit_step(task, &Arc::new(context.clone()), tags))
    }

    fn task(&mut self, task: &Arc<Task>, context: &Arc<Context>) {
        let keywords = Arc::new(task.keywords.inside(&context.keywords));
        let tags = (self.render_tags)(&keywords.tags, context);
        if !context.handlers && !self.tags.selects(&tags) {
            return;
        }
        let step = Step {
            id: StepId(fresh()),
            task: task.clone(),
            keywords,
            context: context.clone(),
            tags,
            implicit: false,
        };
        self.push(Node::Step(Arc::new(step)));
    }
}

/// A step that the engine adds by itself.
pub fn implicit_step(task: Task, context: &Arc<Context>, tags: Vec<String>) -> Arc<Step> {
    let keywords = Arc::new(task.keywords.inside(&context.keywords));
    Arc::new(Step {
        id: StepId(fresh()),
        task: Arc::new(task),
        keywords,
        context: context.clone(),
        tags,
        implicit: true,
    })
}
