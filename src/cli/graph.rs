//! `quorate graph`: the DAG of a playbook, with the reason on each edge. Reads files only; connects to nobody.

use super::common::{self, Cannot, Shape};
use crate::plan::TagFilter;
use crate::plan::draw::{self, Picture};
use crate::report::display;
use crate::run::{Playbook, Runner};
use crate::vars::{PlayVars, TaskScope};
use clap::Parser;
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
    match super::parsed_looking::<Args>(command(), args) {
        Ok(args) => super::ended(graph(&args), false),
        Err(status) => status,
    }
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
    let mut pictures = Vec::new();
    for play in &plays {
        let vars = Arc::new(PlayVars::new(play));
        let scope = TaskScope::new(&ground.shared, &vars, &Arc::from("localhost"), None);
        let cannot = |diag: crate::diag::Diag| Cannot::start(diag.render(colour));
        let (hosts, _) = runner.hosts_of(play, &scope).map_err(cannot)?;
        let graph = runner.graph(play, &vars, &hosts).map_err(cannot)?;
        let title =
            play.name.as_ref().map_or_else(|| quorate_value::str_of(&play.hosts), |n| n.as_str().to_owned());
        pictures.push(Picture { title, hosts: hosts.iter().map(ToString::to_string).collect(), graph });
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
