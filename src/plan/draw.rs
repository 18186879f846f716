//! Pictures of a play's graph: text for a terminal, DOT, Mermaid.
//!
//! In: graphs with a title each. Out: text. Nothing here is read by the engine.

use super::critical::{Link, longest};
use super::graph::{PlayGraph, Point, Why};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// A graph with what stands above it.
#[derive(Debug)]
pub struct Picture {
    /// The play's name.
    pub title: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its graph.
    pub graph: PlayGraph,
    /// What decides how long it takes, and whose timings say so; nothing where it has not run yet.
    pub critical: Option<(String, Vec<Link>)>,
}

impl Picture {
    /// The points of the critical path, where it is known.
    fn on_path(&self) -> HashSet<usize> {
        self.critical
            .iter()
            .flat_map(|(_, links)| links)
            .filter(|link| link.took > 0)
            .map(|link| link.point)
            .collect()
    }
}

/// The critical path in words.
fn critical(out: &mut String, picture: &Picture, numbers: &HashMap<usize, usize>) {
    let points: HashMap<usize, &Point> = picture.graph.points().collect();
    let Some((run, links)) = &picture.critical else {
        // without timings every step counts the same, and a host goes through them all
        let rescues = |id: usize| picture.graph.before(id).iter().any(|(_, why)| **why == Why::Rescues);
        let steps = points.keys().filter(|id| !rescues(**id)).count();
        let _ = writeln!(
            out,
            "     critical path: {steps} steps one behind the other; how long they take is known once they have run"
        );
        return;
    };
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    let _ = writeln!(
        out,
        "     critical path: {}, as long as these steps took in run {run}:",
        seconds(links.iter().map(|link| link.took).sum())
    );
    let shown = longest(&links.iter().map(|link| link.took).collect::<Vec<_>>());
    for at in &shown {
        let link = &links[*at];
        let _ = writeln!(
            out,
            "{:>9} {} · {}  {}",
            numbers.get(&link.point).copied().unwrap_or_default(),
            points.get(&link.point).map(|point| label(point)).unwrap_or_default(),
            link.host,
            seconds(link.took)
        );
    }
    if links.len() > shown.len() {
        let _ = writeln!(out, "          and {} shorter ones", links.len() - shown.len());
    }
}

fn label(point: &Point) -> String {
    match point {
        Point::Step(step) => step.title(),
        Point::Handlers => "handlers that were notified".into(),
    }
}

fn module(point: &Point) -> &str {
    match point {
        Point::Step(step) => step.module(),
        Point::Handlers => "",
    }
}

fn binds(why: &Why) -> bool {
    matches!(why, Why::Order | Why::Gate(_) | Why::Rescues)
}

/// A list from top to bottom: each step, why all hosts wait in front of it, whose results it reads.
pub fn text(pictures: &[Picture]) -> String {
    let mut out = String::new();
    for (number, picture) in pictures.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let hosts = match picture.hosts.len() {
            0 => "no hosts".to_owned(),
            1..=6 => picture.hosts.join(" "),
            n => format!("{} … ({n} hosts)", picture.hosts[..4].join(" ")),
        };
        let _ = writeln!(out, "{} · {hosts}", picture.title);
        let steps = picture.graph.points().count();
        let mut waits = 0;
        let numbers: HashMap<usize, usize> =
            picture.graph.points().enumerate().map(|(number, (id, _))| (id, number + 1)).collect();
        for (id, point) in picture.graph.points() {
            let before = picture.graph.before(id);
            for (_, why) in &before {
                if let Why::Gate(gate) = why {
                    waits += 1;
                    let _ = writeln!(out, "   ══ all hosts wait here: {}", gate.reason());
                }
            }
            let module = match module(point) {
                "" => String::new(),
                module => format!("  [{module}]"),
            };
            let _ = write!(out, "{:>4} {}{module}", numbers[&id], label(point));
            let mut notes: Vec<String> = Vec::new();
            for (from, why) in before.iter().rev() {
                match why {
                    Why::Reads(name) => notes.push(format!("reads `{name}` of {}", numbers[from])),
                    Why::Notifies(name) => notes.push(format!("`{name}` from {}", numbers[from])),
                    Why::Rescues => notes.push(why.reason()),
                    Why::Order | Why::Gate(_) => {}
                }
            }
            if !notes.is_empty() {
                let _ = write!(out, "  ← {}", notes.join(", "));
            }
            out.push('\n');
        }
        let _ = writeln!(
            out,
            "     {steps} steps, {waits} waits for all hosts; between them each host goes on alone"
        );
        if steps > 0 && !picture.hosts.is_empty() {
            critical(&mut out, picture, &numbers);
        }
    }
    out
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}

/// Graphviz: a cluster a play.
pub fn dot(pictures: &[Picture]) -> String {
    let mut out =
        String::from("digraph playbook {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (number, picture) in pictures.iter().enumerate() {
        let path = picture.on_path();
        let _ = writeln!(out, "  subgraph cluster_{number} {{\n    label=\"{}\";", quoted(&picture.title));
        for (id, point) in picture.graph.points() {
            let shape = if matches!(point, Point::Handlers) { ", style=rounded" } else { "" };
            let weight = if path.contains(&id) { ", color=red, penwidth=2" } else { "" };
            let _ = writeln!(out, "    p{number}n{id} [label=\"{}\"{shape}{weight}];", quoted(&label(point)));
        }
        out.push_str("  }\n");
        for (from, to, why) in sorted(&picture.graph) {
            let style = match why {
                Why::Order => "color=gray",
                Why::Gate(_) => "color=black, penwidth=2",
                Why::Rescues => "color=red",
                Why::Reads(_) | Why::Notifies(_) => "style=dashed, constraint=false",
            };
            let _ = writeln!(
                out,
                "  p{number}n{from} -> p{number}n{to} [label=\"{}\", {style}];",
                quoted(&why.reason())
            );
        }
    }
    out.push_str("}\n");
    out
}

/// Mermaid, as code hosts draw it.
pub fn mermaid(pictures: &[Picture]) -> String {
    let escape = |text: &str| {
        text.replace('"', "#quot;")
            .replace('`', "'")
            .replace('<', "#lt;")
            .replace('>', "#gt;")
            .replace('\n', " ")
    };
    let mut out = String::from("flowchart TB\n");
    for (number, picture) in pictures.iter().enumerate() {
        let _ = writeln!(out, "  subgraph play{number}[\"{}\"]", escape(&picture.title));
        for (id, point) in picture.graph.points() {
            let (open, close) = if matches!(point, Point::Handlers) { ("([", "])") } else { ("[", "]") };
            let _ = writeln!(out, "    p{number}n{id}{open}\"{}\"{close}", escape(&label(point)));
        }
        out.push_str("  end\n");
        let path = picture.on_path();
        for (id, _) in picture.graph.points().filter(|(id, _)| path.contains(id)) {
            let _ = writeln!(out, "  style p{number}n{id} stroke:#c00,stroke-width:3px");
        }
        for (from, to, why) in sorted(&picture.graph) {
            let arrow = match why {
                Why::Gate(_) => "==>",
                Why::Order | Why::Rescues => "-->",
                Why::Reads(_) | Why::Notifies(_) => "-.->",
            };
            let _ = writeln!(out, "  p{number}n{from} {arrow}|\"{}\"| p{number}n{to}", escape(&why.reason()));
        }
    }
    out
}

/// Edges from top to bottom; where a gate says why, the plain order is not said again.
fn sorted(graph: &PlayGraph) -> Vec<(usize, usize, &Why)> {
    let mut edges: Vec<_> = graph.edges().collect();
    let gated: std::collections::HashSet<usize> =
        edges.iter().filter(|(_, _, why)| matches!(why, Why::Gate(_))).map(|(_, to, _)| *to).collect();
    edges.retain(|(_, to, why)| **why != Why::Order || !gated.contains(to));
    edges.sort_by_key(|(from, to, why)| (*to, *from, !binds(why), why.reason()));
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Gate;
    use crate::plan::program::{Context, Node, Slot, implicit_step};
    use crate::playbook::Task;
    use quorate_value::{Dict, Span, Value};
    use std::sync::Arc;

    fn picture() -> Picture {
        let step = |name: &str, register: Option<&str>, when: &str| {
            let mut task = Task::plain(name, "ansible.builtin.command", Dict::new(), Span::default());
            task.register = register.map(Value::from);
            task.vars = Arc::new(quorate_value::dict! {"x" => when});
            Slot {
                node: Node::Step(implicit_step(task, &Arc::new(Context::default()), Vec::new())),
                only: None,
            }
        };
        let program = vec![step("Say \"hi\"", Some("said"), ""), step("Go <on>", None, "{{ said.rc }}")];
        let graph = PlayGraph::new(&program, &[None, Some(Gate::World)]).explain(&[]);
        Picture { title: "etcd".into(), hosts: vec!["a".into(), "b".into()], graph, critical: None }
    }

    #[test]
    fn pictures_say_the_same_in_three_languages() {
        let all = [picture()];
        assert_eq!(
            text(&all),
            "etcd · a b\n   1 Say \"hi\"  [command]\n   ══ all hosts wait here: the step can be seen from other hosts\n   2 Go <on>  [command]  ← reads `said` of 1\n     2 steps, 1 waits for all hosts; between them each host goes on alone\n     critical path: 2 steps one behind the other; how long they take is known once they have run\n"
        );
        let dot = dot(&all);
        assert!(dot.contains("p0n0 [label=\"Say \\\"hi\\\"\"]"), "{dot}");
        assert!(dot.contains("p0n0 -> p0n1 [label=\"reads `said`\", style=dashed"), "{dot}");
        let mermaid = mermaid(&all);
        assert!(mermaid.contains("p0n0[\"Say #quot;hi#quot;\"]"), "{mermaid}");
        assert!(
            mermaid.contains("p0n0 ==>|\"all hosts: the step can be seen from other hosts\"| p0n1"),
            "{mermaid}"
        );
    }

    #[test]
    fn the_critical_path_is_drawn() {
        let mut picture = picture();
        // `a` is slow in the first step, `b` in the second, and a gate stands between them
        let took = |id: usize, _: &Point, host: &str| {
            Some(match (id, host) {
                (0, "a") => 2000,
                (1, "b") => 3000,
                _ => 10,
            })
        };
        let links = crate::plan::critical::expected(&picture.graph, &picture.hosts, &took);
        picture.critical = Some(("7f3a".into(), links));
        let all = [picture];
        let text = text(&all);
        assert!(
            text.ends_with("     critical path: 5.0 s, as long as these steps took in run 7f3a:\n        1 Say \"hi\" · a  2.0 s\n        2 Go <on> · b  3.0 s\n"),
            "{text}"
        );
        assert!(dot(&all).contains("p0n1 [label=\"Go <on>\", color=red, penwidth=2];"), "{}", dot(&all));
        assert!(mermaid(&all).contains("style p0n0 stroke:#c00"), "{}", mermaid(&all));
    }
}
