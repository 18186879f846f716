//! `quorate graph`: the DAG of a playbook, with the reason on each edge. Reads files only; connects to nobody.

use super::common::{self, Cannot, Shape};
use crate::journal::Past;
use crate::plan::critical::{self, Link};
use crate::plan::draw::{self, Picture};
use crate::plan::{PlayGraph, Point, TagFilter};
use crate::report::display;
use crate::run::{Playbook, Runner};
use crate::vars::{PlayVars, TaskScope};
use clap::Parser;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// How it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A list for a terminal
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, as code hosts draw it
    Mermaid,
    /// A picture
    Svg,
}

/// Draw what comes before what in a playbook, and why.
#[derive(Debug, Parser)]
#[command(
    name = "quorate graph",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate graph playbooks/etcd.yml\n  quorate graph playbooks/etcd.yml -t etcd_config --format mermaid\n  quorate graph playbooks/etcd.yml --format svg -o etcd.svg"
)]
struct Args {
    /// The playbook
    #[arg(value_name = "PLAYBOOK")]
    playbook: String,
    /// How to draw it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Where to write it, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only tasks with these tags. Repeatable
    #[arg(short, long, value_name = "TAGS", help_heading = "Tasks")]
    tags: Vec<String>,
    /// No tasks with these tags. Repeatable
    #[arg(long, value_name = "TAGS", help_heading = "Tasks")]
    skip_tags: Vec<String>,
    #[command(flatten)]
    shape: Shape,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    super::without(<Args as clap::CommandFactory>::command(), &super::OF_RUNS)
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed_looking(command(), args), |args: Args| graph(&args))
}

fn graph(args: &Args) -> Result<(), Cannot> {
    let path = super::play::locate(&args.playbook, false)?;
    let words = (super::play::filter_words(&args.tags), super::play::filter_words(&args.skip_tags));
    let ground = common::ground(&args.shape, Some(&path), false, (&words.0, &words.1))?;
    let colour = ground.look.colour;
    let plays = common::plays(&ground, &path)?;
    let books = [Playbook { path: args.playbook.clone(), plays }];
    let tags: Vec<String> = words.0.iter().chain(&words.1).cloned().collect();
    super::play::slips_of(&ground, &books, &tags, None, &args.shape, false)?;
    let [Playbook { plays, .. }] = books;
    let filter = TagFilter::new(&args.tags, &args.skip_tags);
    let runner = Runner::new(common::start(&ground), filter, ground.limit.clone(), None);
    let past = crate::journal::last_of(&path, None);
    let mut pictures = Vec::new();
    for play in &plays {
        let vars = Arc::new(PlayVars::new(play));
        let scope = TaskScope::new(&ground.shared, &vars, &Arc::from("localhost"), None);
        let cannot = |diag: crate::diag::Diag| Cannot::start(diag.render(colour));
        let (hosts, _) = runner.hosts_of(play, &scope).map_err(cannot)?;
        let graph = runner.graph(play, &vars, &hosts).map_err(cannot)?;
        let title =
            play.name.as_ref().map_or_else(|| quorate_value::str_of(&play.hosts), |n| n.as_str().to_owned());
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let critical = past.as_ref().and_then(|past| critical(past, &graph, &hosts));
        pictures.push(Picture { title, hosts, graph, critical });
    }
    let drawn = match args.format {
        Format::Text => draw::text(&pictures),
        Format::Dot => draw::dot(&pictures),
        Format::Mermaid => draw::mermaid(&pictures),
        Format::Svg => svg(&draw::dot(&pictures))?,
    };
    match &args.output {
        None => display::out(drawn.trim_end()),
        Some(path) => std::fs::write(path, drawn)
            .map_err(|e| Cannot::start(format!("cannot write {}: {e}", path.display())))?,
    }
    Ok(())
}

/// What would decide how long a play takes, by the timings of a run of the past; nothing where it says nothing of it.
fn critical(past: &Past, graph: &PlayGraph, hosts: &[String]) -> Option<(String, Vec<Link>)> {
    // a step that stands in a file read while running counts for the one that reads it, handlers for where they run
    let mut at: HashMap<String, usize> = HashMap::new();
    for (id, point) in graph.points() {
        if let Point::Step(step) = point {
            at.entry(crate::journal::place(step)).or_insert(id);
        }
    }
    let order: HashMap<usize, usize> =
        graph.points().enumerate().map(|(number, (id, _))| (id, number)).collect();
    let points: Vec<(usize, &Point)> = graph.points().collect();
    let mut took: HashMap<(usize, &str), u64> = HashMap::new();
    let mut now: HashMap<&str, usize> = HashMap::new();
    let mut known: HashMap<usize, (u64, u64)> = HashMap::new();
    for entry in past.entries.iter().filter(|entry| !entry.stood) {
        let point = match at.get(&entry.key.place).filter(|_| !entry.key.handler) {
            Some(point) => {
                now.insert(&entry.host, *point);
                *point
            }
            None => {
                let Some(last) = now.get(entry.host.as_str()).copied() else { continue };
                let behind = order.get(&last).map_or(0, |number| number + 1);
                let flush = |(_, point): &&(usize, &Point)| matches!(point, Point::Handlers);
                match points[behind..].iter().find(flush).filter(|_| entry.key.handler) {
                    Some((flush, _)) => *flush,
                    None => last,
                }
            }
        };
        let lasted = entry.to.saturating_sub(entry.from);
        *took.entry((point, &entry.host)).or_default() += lasted;
        let all = known.entry(point).or_default();
        *all = (all.0 + lasted, all.1 + 1);
    }
    if took.is_empty() {
        return None;
    }
    let seen: HashSet<&str> = past.entries.iter().map(|entry| entry.host.as_str()).collect();
    let expected = critical::expected(graph, hosts, &|id, _, host| {
        took.get(&(id, host)).copied().or_else(|| {
            // a host that was not there: as the others on average
            let (sum, count) = known.get(&id).filter(|_| !seen.contains(host))?;
            Some(sum / count.max(&1))
        })
    });
    Some((past.id.clone(), expected))
}

/// Lays a drawing out.
fn svg(dot: &str) -> Result<String, Cannot> {
    // its layout knows no clusters: plays stand under each other all the same
    let flat: String = dot
        .lines()
        .filter(|line| {
            let line = line.trim();
            !(line.starts_with("subgraph")
                || line.starts_with("label=")
                || line == "}"
                || line.starts_with("rankdir"))
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let mut parser = layout::gv::DotParser::new(&format!("{flat}}}\n"));
    let tree = parser.process().map_err(|e| Cannot::start(format!("the drawing cannot be laid out: {e}")))?;
    let mut builder = layout::gv::GraphBuilder::new();
    builder.visit_graph(&tree);
    let mut visual = builder.get();
    let mut writer = layout::backends::svg::SVGWriter::new();
    visual.do_it(false, false, false, &mut writer);
    Ok(writer.finalize())
}
