//! The DAG of a play: what comes before what, and why.
//!
//! In: a program, its gates, where its steps' names stand. Out: a `petgraph` graph whose nodes are the steps (each
//! stands for all hosts it is for) and whose edges have a reason that people can read; the scheduler asks it where
//! hosts wait for each other, `quorate graph` draws it.
//!
//! **Invariant:** every edge leads forward in the program, so the graph has no cycle, and a step's host-to-host
//! waiting is exactly its incoming [`Why::Gate`] edge.
//!
//! A graph of (step, host) pairs would be this one times the hosts: an [`Why::Order`] edge binds each host to itself
//! only, a [`Why::Gate`] edge binds every host to every other. Kept as the quotient it costs the same for 3 hosts and
//! for 3,000.
//!
//! Not here: who runs when (`run`), pictures (`draw`).

use super::gates::Gate;
use super::program::{BlockId, Node, Program, Step};
use crate::playbook::Kw;
use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{EdgeRef as _, IntoEdgeReferences as _};
use quorate_value::{Str, Value, str_of};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What a node of the graph stands for.
#[derive(Debug, Clone)]
pub enum Point {
    /// A task, for every host that it is for.
    Step(Arc<Step>),
    /// Notified handlers run here.
    Handlers,
}

/// Why one point comes before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// On each host, tasks run in the order they are written.
    Order,
    /// Every host waits until all have come as far.
    Gate(Gate),
    /// The later step reads a variable that the earlier one sets.
    Reads(String),
    /// The earlier step notifies a handler that runs at the later point.
    Notifies(String),
    /// `rescue` runs only where the block failed.
    Rescues,
}

impl Why {
    /// The reason as people read it on the edge.
    pub fn reason(&self) -> String {
        match self {
            Why::Order => "same host, in order".into(),
            Why::Gate(gate) => format!("all hosts: {}", gate.reason()),
            Why::Reads(name) => format!("reads `{name}`"),
            Why::Notifies(name) => format!("notifies `{name}`"),
            Why::Rescues => "only where the block failed".into(),
        }
    }
}

/// The graph of one play (or of one batch of it).
#[derive(Debug, Default)]
pub struct PlayGraph {
    dag: StableDiGraph<Point, Why>,
    /// The node of each position; markers of blocks have none.
    at: Vec<Option<NodeIndex>>,
    /// The positions that have a gate, in order, and the how-manieth it is.
    gated: BTreeMap<usize, (Gate, u32)>,
}

impl PlayGraph {
    /// Lays the edges of order and of waiting. Enough to run; [`PlayGraph::explain`] adds the others.
    pub fn new(program: &Program, gates: &[Option<Gate>]) -> Self {
        let mut dag = StableDiGraph::with_capacity(program.len(), program.len() * 2);
        let mut at = Vec::with_capacity(program.len());
        let mut gated = BTreeMap::new();
        let mut last: Option<NodeIndex> = None;
        // for each open block: its last step of the body, for the edge to `rescue`
        let mut rescued: HashMap<BlockId, Option<NodeIndex>> = HashMap::new();
        let mut rescuing: Option<Option<NodeIndex>> = None;
        for (position, slot) in program.iter().enumerate() {
            let point = match &slot.node {
                Node::Step(step) => Point::Step(step.clone()),
                Node::Flush => Point::Handlers,
                Node::Rescue(block) => {
                    rescued.insert(*block, last);
                    rescuing = Some(last);
                    at.push(None);
                    continue;
                }
                Node::Always(block) => {
                    // an empty rescue; or `always`, which follows the body where nothing failed
                    rescuing = None;
                    rescued.remove(block);
                    at.push(None);
                    continue;
                }
                Node::Open(_) | Node::Close(_) | Node::RoleEnd(_) => {
                    at.push(None);
                    continue;
                }
            };
            let node = dag.add_node(point);
            if let Some(before) = last {
                let why = if rescuing.take().is_some() { Why::Rescues } else { Why::Order };
                dag.add_edge(before, node, why);
            }
            if let Some(gate) = gates.get(position).copied().flatten() {
                gated.insert(position, (gate, gated.len() as u32 + 1));
                if let Some(before) = last {
                    dag.add_edge(before, node, Why::Gate(gate));
                }
            }
            at.push(Some(node));
            last = Some(node);
        }
        PlayGraph { dag, at, gated }
    }

    /// The first position behind `position` that hosts may not pass alone.
    pub fn next_gate(&self, position: usize) -> Option<usize> {
        self.gated.range(position.saturating_add(1)..).next().map(|(at, _)| *at)
    }

    /// Why hosts wait for each other at a position, if they do.
    pub fn gate(&self, position: usize) -> Option<Gate> {
        self.gated.get(&position).map(|(gate, _)| *gate)
    }

    /// How many gates there are up to a position.
    pub fn gates_up_to(&self, position: usize) -> u32 {
        self.gated.range(..=position).next_back().map_or(0, |(_, (_, number))| *number)
    }

    /// Adds what explains rather than binds: who reads what, who notifies whom.
    pub fn explain(mut self, handlers: &[Arc<Step>]) -> Self {
        let nodes: Vec<NodeIndex> = self.at.iter().copied().flatten().collect();
        let mut set_by: HashMap<String, NodeIndex> = HashMap::new();
        let mut notified: Vec<(NodeIndex, String)> = Vec::new();
        let mut edges = Vec::new();
        for node in nodes {
            match &self.dag[node] {
                Point::Handlers => {
                    for (from, name) in notified.drain(..) {
                        edges.push((from, node, Why::Notifies(name)));
                    }
                }
                Point::Step(step) => {
                    let mut read = BTreeSet::new();
                    step_words(step, &mut |word| {
                        if set_by.contains_key(word) {
                            read.insert(word.to_owned());
                        }
                    });
                    for name in read {
                        edges.push((set_by[&name], node, Why::Reads(name)));
                    }
                    for name in sets(step) {
                        set_by.insert(name, node);
                    }
                    for name in &step.keywords.notify {
                        for name in texts(name) {
                            // only what somebody answers to
                            if handlers.is_empty() || handlers.iter().any(|handler| answers(handler, &name)) {
                                notified.push((node, name));
                            }
                        }
                    }
                }
            }
        }
        for (from, to, why) in edges {
            self.dag.add_edge(from, to, why);
        }
        self.drop_idle_flushes();
        self
    }

    /// Where nobody notifies anything, no handlers run; what stood around such a point stands next to each other.
    fn drop_idle_flushes(&mut self) {
        for slot in &mut self.at {
            let Some(node) = *slot else { continue };
            let notified = self
                .dag
                .edges_directed(node, Direction::Incoming)
                .any(|edge| matches!(edge.weight(), Why::Notifies(_)));
            if notified || !matches!(self.dag[node], Point::Handlers) {
                continue;
            }
            let before: Vec<NodeIndex> = self.dag.neighbors_directed(node, Direction::Incoming).collect();
            let after: Vec<(NodeIndex, Why)> = self
                .dag
                .edges_directed(node, Direction::Outgoing)
                .map(|edge| (edge.target(), edge.weight().clone()))
                .filter(|(_, why)| *why != Why::Gate(Gate::Handlers))
                .collect();
            if let Some(&from) = before.first() {
                for (to, why) in after {
                    self.dag.add_edge(from, to, why);
                }
            }
            self.dag.remove_node(node);
            *slot = None;
        }
    }

    /// The points from first to last.
    pub fn points(&self) -> impl Iterator<Item = (usize, &Point)> {
        self.at.iter().copied().flatten().map(|node| (node.index(), &self.dag[node]))
    }

    /// The edges, each from an earlier to a later point.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize, &Why)> {
        self.dag.edge_references().map(|edge| (edge.source().index(), edge.target().index(), edge.weight()))
    }

    /// Why a point has to wait, nearest reasons first.
    pub fn before(&self, point: usize) -> Vec<(usize, &Why)> {
        let mut reasons: Vec<_> = self
            .dag
            .edges_directed(NodeIndex::new(point), Direction::Incoming)
            .map(|edge| (edge.source().index(), edge.weight()))
            .collect();
        reasons.sort_by_key(|(from, _)| std::cmp::Reverse(*from));
        reasons
    }

    /// Whether no step waits for itself, however indirectly.
    pub fn is_acyclic(&self) -> bool {
        !petgraph::algo::is_cyclic_directed(&self.dag)
    }
}

/// Names of variables that a step sets for later ones.
fn sets(step: &Step) -> Vec<String> {
    let mut names: Vec<String> = step.task.register.iter().map(str_of).collect();
    if step.module() == "set_fact"
        && let Some(args) = step.task.action.args.as_dict()
    {
        names.extend(
            args.keys().filter_map(|key| key.as_str()).filter(|k| *k != "cacheable").map(String::from),
        );
    }
    names
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().map(str_of).collect(),
        one => vec![str_of(one)],
    }
}

fn answers(handler: &Step, name: &str) -> bool {
    let plain = handler.task.name.as_ref().map(Str::as_str);
    plain == Some(name)
        || handler.title() == name
        || handler.task.listen.iter().flat_map(texts).any(|listen| listen == name)
}

/// Every word that may be a variable in what a step says: arguments, conditions, loops.
pub fn step_words(step: &Step, found: &mut dyn FnMut(&str)) {
    for value in step.said().into_iter().chain(step.keywords.get(Kw::DelegateTo)) {
        words(value, found);
    }
    if let Some(name) = step.task.name.as_ref().filter(|name| name.is_template()) {
        words(&Value::Str(name.clone()), found);
    }
}

/// Every word of a value's text.
pub fn words(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::Str(text) => text
            .as_str()
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
            .for_each(found),
        Value::List(items) => items.iter().for_each(|item| words(item, found)),
        Value::Dict(entries) => entries.iter().for_each(|(key, item)| {
            if let Some(key) = key.as_str().filter(|key| key.contains("{{")) {
                words(&Value::from(key), found);
            }
            words(item, found);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::{Context, Slot, implicit_step};
    use super::*;
    use crate::playbook::Task;
    use quorate_value::{Dict, Span, dict};

    fn step(name: &str, module: &str, args: Dict, change: impl FnOnce(&mut Task)) -> Slot {
        let mut task = Task::plain(name, module, args, Span::default());
        change(&mut task);
        Slot { node: Node::Step(implicit_step(task, &Arc::new(Context::default()), Vec::new())), only: None }
    }

    fn edges(graph: &PlayGraph) -> Vec<String> {
        let mut all: Vec<String> =
            graph.edges().map(|(from, to, why)| format!("{from}→{to} {}", why.reason())).collect();
        all.sort();
        all
    }

    #[test]
    fn edges_say_why() {
        let program = vec![
            step("look", "stat", Dict::new(), |task| task.register = Some(Value::from("seen"))),
            step("write", "copy", dict! {"content" => "{{ seen.stat.size }}"}, |task| {
                task.keywords.notify = vec![Value::from("again")];
            }),
            Slot { node: Node::Flush, only: None },
        ];
        let gates = vec![None, None, Some(Gate::Handlers)];
        let graph = PlayGraph::new(&program, &gates).explain(&[]);
        assert!(graph.is_acyclic());
        assert_eq!(
            edges(&graph),
            [
                "0→1 reads `seen`",
                "0→1 same host, in order",
                "1→2 all hosts: handlers run here",
                "1→2 notifies `again`",
                "1→2 same host, in order",
            ]
        );
        assert_eq!(graph.next_gate(0), Some(2));
        assert_eq!(graph.next_gate(2), None);
        assert_eq!(graph.gate(2), Some(Gate::Handlers));
    }

    #[test]
    fn rescue_is_no_plain_successor() {
        let block = BlockId(1);
        let mark = |node| Slot { node, only: None };
        let program = vec![
            mark(Node::Open(block)),
            step("try", "command", Dict::new(), |_| ()),
            mark(Node::Rescue(block)),
            step("repair", "command", Dict::new(), |_| ()),
            mark(Node::Always(block)),
            step("end", "command", Dict::new(), |_| ()),
            mark(Node::Close(block)),
        ];
        let graph = PlayGraph::new(&program, &[None; 7]);
        assert_eq!(edges(&graph), ["0→1 only where the block failed", "1→2 same host, in order"]);
        assert_eq!(graph.before(1), [(0, &Why::Rescues)]);
    }
}
