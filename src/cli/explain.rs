//! `quorate explain`: where a variable's value comes from, what a host is, why a task waits. Connects to nobody.
//!
//! In: inventory, and the playbook if one is named. Out: every definition by Ansible's 22 levels, weakest first, and
//! which one counts. What only a run can know (facts, registered results, `set_fact`) is said to be so.

use super::common::{self, Cannot, Ground, Shape};
use crate::plan::{Node, PlayGraph, Point, TagFilter, Why};
use crate::playbook::Play;
use crate::report::record::Origin;
use crate::run::Runner;
use crate::vars::{PlayVars, TaskScope, collect_roles, render};
use clap::Parser;
use quorate_value::{Dict, JsonStyle, Span, Value, str_of};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A report says of so many hosts where their variables came from, and of so many variables.
const MOST_HOSTS: usize = 60;
const MOST_ORIGINS: usize = 250;

/// Explain a variable, a task or a host: every definition, its file and line, and which one counts.
#[derive(Debug, Parser)]
#[command(
    name = "quorate explain",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate explain etcd_init -l 10.10.10.13 -p playbooks/etcd.yml\n  quorate explain 10.10.10.13\n  quorate explain 'Write etcd.conf' -p playbooks/etcd.yml"
)]
struct Args {
    /// A variable, a host, or a task
    #[arg(value_name = "VAR|HOST|TASK")]
    what: String,
    /// The playbook it is about
    #[arg(short, long, value_name = "PLAYBOOK")]
    playbook: Option<String>,
    #[command(flatten)]
    shape: Shape,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    super::without(<Args as clap::CommandFactory>::command(), &super::OF_RUNS)
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed_looking(command(), args), |args: Args| explain(&args))
}

fn explain(args: &Args) -> Result<String, Cannot> {
    let path = args.playbook.as_deref().map(|name| super::play::locate(name, false)).transpose()?;
    let ground = common::ground(&args.shape, path.as_deref(), false, (&[], &[]))?;
    let plays = path.as_ref().map(|path| common::plays(&ground, path)).transpose()?.unwrap_or_default();
    let what = args.what.as_str();
    let is_host = ground.shared.inventory().host_id(what).is_some();
    if is_host {
        return host(&ground, what);
    }
    if crate::playbook::is_identifier(what)
        && let Some(text) = variable(&ground, &plays, what)?
    {
        return Ok(text);
    }
    if let Some(text) = task(&ground, &plays, what)? {
        return Ok(text);
    }
    Err(unknown(&ground, &plays, what))
}

fn unknown(ground: &Ground, plays: &[Play], what: &str) -> Cannot {
    let inventory = ground.shared.inventory();
    let mut known: BTreeSet<String> =
        inventory.hosts().map(|id| inventory.host_name(id).to_string()).collect();
    for (key, _) in inventory.all_definitions().unwrap_or_default() {
        known.extend(key.as_str().map(str::to_owned));
    }
    for play in plays {
        for (_, _, vars, _) in of_play(play) {
            known.extend(vars.keys().filter_map(|key| key.as_str()).map(str::to_owned));
        }
    }
    let near = quorate_yaml::nearest(what, known.iter().map(String::as_str));
    let near = near.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let where_ = if plays.is_empty() {
        "the inventory (-p names a playbook to look into, too)"
    } else {
        "inventory and playbook"
    };
    Cannot::start(format!("nothing in {where_} is called `{what}`{near}"))
}

/// A value on one line; secrets and vaults are not shown.
fn shown(value: &Value) -> String {
    if value.holds_secret() {
        return "********".into();
    }
    let text = JsonStyle::default().write(value);
    if text.chars().count() > 100 { text.chars().take(97).chain("...".chars()).collect() } else { text }
}

struct Line {
    level: u8,
    what: String,
    place: String,
    value: Value,
}

/// Level, name, variables, and the file they stand in (where it is known).
type Layer = (u8, String, Arc<Dict>, Option<std::path::PathBuf>);

/// Layers of a play.
fn of_play(play: &Play) -> Vec<Layer> {
    let mut roles = Vec::new();
    for entries in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
        collect_roles(entries, &mut roles);
    }
    let mut seen = BTreeSet::new();
    roles.retain(|role| seen.insert((role.role.path.clone(), role.identity)));
    let mut layers = Vec::new();
    let file = |role: &crate::playbook::RoleUse, part: &str| {
        ["yml", "yaml"]
            .iter()
            .map(|ext| role.role.path.join(part).join(format!("main.{ext}")))
            .find(|p| p.is_file())
    };
    for role in &roles {
        layers.push((
            2,
            format!("defaults of role {}", role.role.name),
            role.defaults.clone(),
            file(role, "defaults"),
        ));
    }
    layers.push((12, "vars of the play".into(), play.vars.clone(), Some(play.file.clone())));
    for role in &roles {
        layers.push((15, format!("vars of role {}", role.role.name), role.vars.clone(), file(role, "vars")));
    }
    for role in &roles {
        layers.push((
            20,
            format!("parameters of role {}", role.role.name),
            role.params.clone(),
            Some(play.file.clone()),
        ));
    }
    layers
}

/// Where a name stands in a file: the value's own place, or the line that begins with the name.
fn place(name: &str, value: &Value, file: Option<&Path>) -> String {
    if let Value::Str(text) = value
        && text.span().is_known()
    {
        return relative(&text.span().to_string());
    }
    let Some(file) = file else { return String::new() };
    let line = std::fs::read_to_string(file).ok().and_then(|text| {
        text.lines().position(|line| {
            line.trim_start()
                .trim_start_matches("- ")
                .strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with(':'))
        })
    });
    let path = relative(&file.display().to_string());
    line.map_or(path.clone(), |line| format!("{path}:{}", line + 1))
}

fn relative(place: &str) -> String {
    let cwd = std::env::current_dir().map(|dir| format!("{}/", dir.display())).unwrap_or_default();
    place.strip_prefix(&cwd).unwrap_or(place).to_owned()
}

fn hosts_asked(ground: &Ground, runner: &Runner, plays: &[Play]) -> Result<Vec<Arc<str>>, Cannot> {
    let inventory = ground.shared.inventory();
    if ground.limit.is_some() || plays.is_empty() {
        let selection = inventory.select_within("all", ground.limit.as_ref());
        return Ok(selection.hosts.iter().map(|id| inventory.host_name(*id).clone()).collect());
    }
    drop(inventory);
    let mut hosts: Vec<Arc<str>> = Vec::new();
    for play in plays {
        let vars = Arc::new(PlayVars::new(play));
        let scope = TaskScope::new(&ground.shared, &vars, &Arc::from("localhost"), None);
        let (some, _) = runner.hosts_of(play, &scope).map_err(|diag| Cannot::start(diag.render(false)))?;
        for host in some {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    Ok(hosts)
}

/// Every definition of a variable for a host, weakest first.
fn definitions(ground: &Ground, layers: &[Layer], host: &str, name: &str) -> Result<Vec<Line>, Cannot> {
    let mut lines: Vec<Line> = Vec::new();
    {
        let inventory = ground.shared.inventory();
        let id = inventory.host_id(host);
        let found = id.map(|id| inventory.explain(id, name)).transpose();
        for definition in found.map_err(|e| Cannot::start(e.to_string()))?.unwrap_or_default() {
            let place = match &definition.path {
                _ if definition.span.is_known() => relative(&definition.span.to_string()),
                Some(path) => relative(&path.display().to_string()),
                None => String::new(),
            };
            let what = format!("{} of {}", definition.level, definition.owner);
            lines.push(Line { level: definition.level.number(), what, place, value: definition.value });
        }
    }
    for (level, what, vars, file) in layers {
        if let Some(value) = vars.get(name) {
            let place = place(name, value, file.as_deref());
            lines.push(Line { level: *level, what: what.clone(), place, value: value.clone() });
        }
    }
    if let Some(value) = ground.shared.extra.get(name) {
        lines.push(Line {
            level: 22,
            what: "command line (-e)".into(),
            place: String::new(),
            value: value.clone(),
        });
    }
    lines.sort_by_key(|line| line.level);
    Ok(lines)
}

/// Where the variables of a run came from, for its report: those that inventory, plays and command line set. Defaults
/// and variables of roles are only there where something stands over them, or under them.
pub(super) fn origins(ground: &Ground, books: &[crate::run::Playbook], runner: &Runner) -> Vec<Origin> {
    let layers: Vec<Layer> = books.iter().flat_map(|book| &book.plays).flat_map(of_play).collect();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut add = |key: &quorate_value::Key| names.extend(key.as_str().map(str::to_owned));
    for (key, _) in ground.shared.inventory().all_definitions().unwrap_or_default() {
        add(&key);
    }
    layers
        .iter()
        .filter(|(level, ..)| !matches!(level, 2 | 15))
        .flat_map(|(_, _, vars, _)| vars.keys())
        .for_each(&mut add);
    ground.shared.extra.keys().for_each(&mut add);
    // what a role sets twice over, by its defaults and its variables, is worth a line, too
    let of_roles =
        |level| layers.iter().filter(move |(at, ..)| *at == level).flat_map(|(_, _, vars, _)| vars.keys());
    let defaults: BTreeSet<&str> = of_roles(2).filter_map(quorate_value::Key::as_str).collect();
    of_roles(15).filter(|key| key.as_str().is_some_and(|key| defaults.contains(key))).for_each(&mut add);
    let hosts: Vec<Arc<str>> = runner.recap.hosts.keys().cloned().collect();
    let looked_at = &hosts[..hosts.len().min(MOST_HOSTS)];
    let mut found: indexmap::IndexMap<(String, String, String, String, usize), Vec<Arc<str>>> =
        indexmap::IndexMap::new();
    for name in names {
        for host in looked_at {
            let Some(mut lines) = definitions(ground, &layers, host, &name).ok() else { continue };
            let Some(winner) = lines.pop() else { continue };
            let value = match winner.level {
                22 => "(given on the command line)".to_owned(),
                _ if crate::secrets::may_be_named(&name) => "(not shown)".to_owned(),
                _ => shown(&winner.value),
            };
            found
                .entry((name.clone(), value, winner.what, winner.place, lines.len()))
                .or_default()
                .push(host.clone());
        }
        if found.len() > MOST_ORIGINS {
            break;
        }
    }
    let origin = |((name, value, by, place, over), at): (_, Vec<Arc<str>>)| Origin {
        name,
        value,
        by,
        place,
        over,
        hosts: if at.len() == looked_at.len() { Vec::new() } else { at },
    };
    found.into_iter().map(origin).take(MOST_ORIGINS).collect()
}

/// Every definition of a variable, and which one counts.
pub(super) fn variable(ground: &Ground, plays: &[Play], name: &str) -> Result<Option<String>, Cannot> {
    let runner =
        Runner::new(common::start_silent(ground), TagFilter::new(&[], &[]), ground.limit.clone(), None);
    // hosts whose answer is the same share a paragraph
    let mut answers: indexmap::IndexMap<String, Vec<Arc<str>>> = indexmap::IndexMap::new();
    let layers: Vec<Layer> = plays.iter().flat_map(of_play).collect();
    for host in hosts_asked(ground, &runner, plays)? {
        let lines = definitions(ground, &layers, &host, name)?;
        if lines.is_empty() {
            continue;
        }
        let play = plays.first().map(|play| Arc::new(PlayVars::new(play))).unwrap_or_default();
        let scope = TaskScope::new(&ground.shared, &play, &host, None);
        let last = lines.len() - 1;
        let mut text = String::new();
        let width = lines.iter().map(|line| line.what.chars().count()).max().unwrap_or(0);
        let places = lines.iter().map(|line| line.place.chars().count()).max().unwrap_or(0);
        for (at, line) in lines.iter().enumerate() {
            let mark = if at == last { '→' } else { ' ' };
            text.push_str(&format!(
                " {mark} {:>2}  {:width$}  {:places$}  {}\n",
                line.level,
                line.what,
                line.place,
                shown(&line.value)
            ));
        }
        let winner = &lines[last].value;
        match render::value(&scope, winner) {
            Ok(value) if value != *winner => text.push_str(&format!("   rendered: {}\n", shown(&value))),
            Ok(_) => {}
            Err(error) => text.push_str(&format!("   cannot be rendered before a run: {error}\n")),
        }
        answers.entry(text).or_default().push(host);
    }
    let setters = setters(&runner, plays, name);
    if answers.is_empty() && setters.is_empty() {
        return Ok(None);
    }
    let mut out = String::new();
    if answers.is_empty() {
        out.push_str(&format!("{name} has no value before a run\n\n"));
    }
    for (text, hosts) in answers {
        let names: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
        let names = if names.len() > 8 {
            format!("{} … ({} hosts)", names[..6].join(" "), names.len())
        } else {
            names.join(" ")
        };
        out.push_str(&format!("{name} on {names}\n{text}\n"));
    }
    if !setters.is_empty() {
        out.push_str("set while running (these win over levels below 18):\n");
        for setter in setters {
            out.push_str(&format!("   {setter}\n"));
        }
    }
    Ok(Some(out))
}

/// Tasks that set a variable while they run.
fn setters(runner: &Runner, plays: &[Play], name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for play in plays {
        let vars = Arc::new(PlayVars::new(play));
        for slot in runner.outline(play, &vars, &Arc::from("localhost")) {
            let Node::Step(step) = &slot.node else { continue };
            let registers = step.task.register.as_ref().is_some_and(|value| str_of(value) == name);
            let sets = step.module() == "set_fact"
                && step.task.action.args.as_dict().is_some_and(|args| args.contains_key(name));
            let own = step.task.vars.contains_key(name);
            if registers || sets || own {
                let how = if registers {
                    "register"
                } else if sets {
                    "set_fact"
                } else {
                    "vars of the task"
                };
                found.push(format!("{how:10} {}  {}", step.title(), relative(&step.task.span.to_string())));
            }
        }
    }
    found
}

fn host(ground: &Ground, name: &str) -> Result<String, Cannot> {
    let inventory = ground.shared.inventory();
    let Some(id) = inventory.host_id(name) else { return Ok(String::new()) };
    let span = inventory.host(id).span();
    let at = |span: Span| {
        if span.is_known() { format!("  {}", relative(&span.to_string())) } else { String::new() }
    };
    let mut out = format!("{name}{}\n", at(span));
    let groups: Vec<String> =
        inventory.groups_of(id).iter().map(|group| inventory.group(*group).name().to_string()).collect();
    out.push_str(&format!("groups: {}\n", groups.join(", ")));
    let vars = inventory.host_vars(id).map_err(|e| Cannot::start(e.to_string()))?;
    let mut names: Vec<String> = vars.keys().filter_map(|key| key.as_str()).map(str::to_owned).collect();
    names.sort();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for variable in names {
        let definitions = inventory.explain(id, &variable).map_err(|e| Cannot::start(e.to_string()))?;
        let Some(winner) = definitions.iter().rev().find(|definition| definition.wins) else { continue };
        let hidden = match definitions.len() {
            1 => String::new(),
            n => format!(", over {} weaker", n - 1),
        };
        out.push_str(&format!(
            "  {variable:width$} = {}  ({} {} of {}{}{hidden})\n",
            shown(&winner.value),
            winner.level.number(),
            winner.level,
            winner.owner,
            at(winner.span)
        ));
    }
    Ok(out)
}

fn task(ground: &Ground, plays: &[Play], what: &str) -> Result<Option<String>, Cannot> {
    let runner = Runner::new(common::start(ground), TagFilter::new(&[], &[]), ground.limit.clone(), None);
    let mut out = String::new();
    for play in plays {
        let vars = Arc::new(PlayVars::new(play));
        let scope = TaskScope::new(&ground.shared, &vars, &Arc::from("localhost"), None);
        let cannot = |diag: crate::diag::Diag| Cannot::start(diag.render(false));
        let (hosts, _) = runner.hosts_of(play, &scope).map_err(cannot)?;
        let graph = runner.graph(play, &vars, &hosts).map_err(cannot)?;
        for (id, point) in graph.points() {
            let Point::Step(step) = point else { continue };
            let named = step.task.name.as_ref().is_some_and(|name| name.as_str() == what);
            if !(named || step.title() == what || step.title().to_lowercase().contains(&what.to_lowercase()))
            {
                continue;
            }
            let names: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
            out.push_str(&format!("{}\n", step.title()));
            out.push_str(&format!("  written at  {}\n", relative(&step.task.span.to_string())));
            out.push_str(&format!("  module      {}\n", step.task.action.name.as_str()));
            out.push_str(&format!("  hosts       {}\n", names.join(" ")));
            if !step.tags.is_empty() {
                out.push_str(&format!("  tags        {}\n", step.tags.join(", ")));
            }
            for condition in &step.keywords.when {
                out.push_str(&format!("  when        {}\n", str_of(condition)));
            }
            for (from, why) in graph.before(id) {
                if *why != Why::Order {
                    out.push_str(&format!("  after       {} ({})\n", title(&graph, from), why.reason()));
                }
            }
            out.push('\n');
        }
    }
    Ok((!out.is_empty()).then_some(out))
}

fn title(graph: &PlayGraph, point: usize) -> String {
    graph
        .points()
        .find(|(id, _)| *id == point)
        .map(|(_, point)| match point {
            Point::Step(step) => step.title(),
            Point::Handlers => "handlers".into(),
        })
        .unwrap_or_default()
}
