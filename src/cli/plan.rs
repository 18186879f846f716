//! `quorate plan`: what `play` would do, by resource, with differences; nothing is changed.
//!
//! In: the same flags as `play`. Out: changes a task, hosts that would change alike together; what cannot be known
//! before running; what the guard would say. Status 10 with `--exit-code` where changes are pending.
//!
//! **Invariant:** the hosts are read in check mode, by the same modules that would change them.

mod shell;

use super::common::{self, Cannot, Ground, Shape};
use super::status;
use crate::forecast::{Call, Forecast, Item, Plan};
use crate::plan::TagFilter;
use crate::report::record::{Cell, RunRecord, TaskRecord};
use crate::report::{Status, display};
use crate::run::{Playbook, Runner};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Read the hosts, and show what `play` would change on them.
#[derive(Debug, Parser)]
#[command(
    name = "quorate plan",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate plan playbooks/etcd.yml -t etcd_conf\n  quorate plan playbooks/etcd.yml -e etcd_init=existing --exit-code\n  quorate plan playbooks/etcd.yml --out plan.json\n  quorate play --plan plan.json\n  quorate plan playbooks/etcd.yml -l 10.10.10.11 --as-shell"
)]
struct Args {
    /// Playbooks, one after another
    #[arg(required = true, value_name = "PLAYBOOK")]
    playbooks: Vec<String>,
    /// Only tasks with these tags. Repeatable
    #[arg(short, long, value_name = "TAGS", help_heading = "Tasks")]
    tags: Vec<String>,
    /// No tasks with these tags. Repeatable
    #[arg(long, value_name = "TAGS", help_heading = "Tasks")]
    skip_tags: Vec<String>,
    /// End with status 10 where changes are pending
    #[arg(long)]
    exit_code: bool,
    /// No differences, only what changes
    #[arg(long)]
    brief: bool,
    /// Save the plan: `quorate play --plan FILE` does what it says, and nothing else
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// In place of the plan, shell commands for each host that come to the same: for the night when only ssh is left
    #[arg(long, conflicts_with_all = ["out", "exit_code"])]
    as_shell: bool,
    #[command(flatten)]
    shape: Shape,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    super::without(<Args as clap::CommandFactory>::command(), &["check", "diff", "plain"])
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed_by(command(), args, &[]), |args: Args| plan(&args))
}

fn plan(args: &Args) -> Result<u8, Cannot> {
    let mut shape = args.shape.clone();
    (shape.check, shape.diff) = (true, true);
    let first = super::play::locate(&args.playbooks[0], false)?;
    let words = (super::play::filter_words(&args.tags), super::play::filter_words(&args.skip_tags));
    let ground = common::ground(&shape, Some(&first), false, (&words.0, &words.1))?;
    let colour = ground.look.colour;
    let mut books = Vec::new();
    for name in &args.playbooks {
        let path: PathBuf = super::play::locate(name, false)?;
        let plays = common::plays(&ground, &path)?;
        books.push(Playbook { path: name.clone(), plays });
    }
    super::play::slips_of(
        &ground,
        &books,
        &words.0.iter().chain(&words.1).cloned().collect::<Vec<_>>(),
        None,
        &shape,
        false,
    )?;
    let filter = TagFilter::new(&args.tags, &args.skip_tags);
    let (recording, forecast, failed) = look(&ground, &books, filter, None, &shape, colour)?;
    recording.finish(&format!("quorate plan {}{}", args.playbooks.join(" "), shape.shown()))?;
    let record = recording.record();
    let items = forecast.items();
    if args.as_shell {
        display::out(shell::script(&items).trim_end());
        return Ok(failed);
    }
    let (text, changes) = show(&record, args.brief);
    display::out(text.trim_end());
    let quorum: Vec<String> = forecast.clusters().iter().flat_map(crate::forecast::quorum).collect();
    if !quorum.is_empty() {
        display::out(&format!("\n{}", quorum.join("\n")));
    }
    if let Some(path) = &args.out {
        if failed != 0 {
            return Err(Cannot {
                text: format!("what would fail is no plan: {} was not written", path.display()),
                status: failed,
            });
        }
        save(args, &ground, items, path)?;
        display::out(&format!(
            "\nplan saved; `quorate play --plan {}` does this, and nothing else",
            path.display()
        ));
    }
    Ok(match failed {
        0 if changes > 0 && args.exit_code => status::CHANGES_PENDING,
        code => code,
    })
}

/// Looks at the hosts in check mode, and collects what would be done.
pub(super) fn look(
    ground: &Ground,
    books: &[Playbook],
    filter: TagFilter,
    start_at: Option<String>,
    shape: &Shape,
    colour: bool,
) -> Result<(common::Recording, Arc<Forecast>, u8), Cannot> {
    let runtime = common::runtime()?;
    let found = runtime.block_on(async {
        let run = common::start_silent(ground);
        let recording = common::collect(&run, shape)?;
        let forecast = Arc::new(Forecast::default());
        run.forecast.set(forecast.clone()).ok();
        common::watch_interrupts(&run);
        let mut runner = Runner::new(run.clone(), filter, ground.limit.clone(), start_at);
        for book in books {
            runner.playbook(book).await.map_err(|diag| Cannot::start(diag.render(colour)))?;
            if runner.status() != 0 || run.is_interrupted() {
                break;
            }
        }
        runner.finish();
        run.pool.close().await;
        if run.is_interrupted() {
            return Err(Cannot {
                text: "interrupted; nothing was changed".into(),
                status: status::INTERRUPTED,
            });
        }
        Ok((recording, forecast, runner.status()))
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    found
}

/// Writes the plan, for the user's eyes only.
fn save(args: &Args, ground: &Ground, items: Vec<(Item, Vec<Call>)>, path: &Path) -> Result<(), Cannot> {
    use std::io::Write as _;
    let cannot =
        |e: &dyn std::fmt::Display| Cannot::start(format!("error: cannot write {}: {e}", path.display()));
    let shape = &args.shape;
    let asked = super::play::resume::asked(&args.playbooks, &args.tags, &args.skip_tags, None, shape)
        .map_err(|e| cannot(&e))?;
    let at =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let plan = Plan {
        version: crate::forecast::VERSION,
        quorate: env!("CARGO_PKG_VERSION").to_owned(),
        at,
        asked,
        inputs: super::play::resume::inputs(ground, shape).all().into_iter().collect(),
        items: items.into_iter().map(|(item, _)| item).collect(),
    };
    let text = serde_json::to_string_pretty(&plan).map_err(|e| cannot(&e))?;
    // in place at once, with the permissions it keeps: what stood there is not written through
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(|e| cannot(&e))?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(|e| cannot(&e))?;
    file.persist(path).map_err(|e| cannot(&e.error))?;
    Ok(())
}

/// The plan as text, and how many changes it holds.
fn show(run: &RunRecord, brief: bool) -> (String, usize) {
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let mut out = format!(
        "plan: {} · {} · nothing was changed\n",
        run.playbooks.join(", "),
        count(run.recap.len(), "host")
    );
    let (mut changes, mut same) = (0, 0);
    let mut hosts = std::collections::BTreeSet::new();
    let mut unknown: Vec<(String, Vec<&Arc<str>>)> = Vec::new();
    let mut failures = Vec::new();
    for (_, task) in run.plays.iter().flat_map(|play| &play.tasks) {
        // hosts whose difference is the same share it
        let mut alike: indexmap::IndexMap<&str, Vec<&Arc<str>>> = indexmap::IndexMap::new();
        let mut unsure = Vec::new();
        for (host, cell) in &task.hosts {
            match cell.status {
                Status::Changed => alike.entry(&cell.diff).or_default().push(host),
                Status::Skipped if !cell.message.is_empty() => unsure.push(host),
                Status::Ok => same += 1,
                Status::Failed | Status::Unreachable if !cell.ignored => failures.push((task, host, cell)),
                _ => {}
            }
        }
        for (diff, on) in alike {
            changes += on.len();
            hosts.extend(on.iter().map(|host| (*host).clone()));
            out.push_str(&format!("\n  ~ {}  [{}]  {}\n", task.title, task.module, names(&on)));
            if !brief {
                for line in diff.lines() {
                    out.push_str(&format!("      {line}\n"));
                }
            }
        }
        if !unsure.is_empty() {
            unknown.push((format!("{}  [{}]", task.title, task.module), unsure));
        }
    }
    if !unknown.is_empty() {
        out.push_str("\nnot known before running (these only run, and say then what they changed):\n");
        for (title, on) in &unknown {
            out.push_str(&format!("  ? {title}  {}\n", names(on)));
        }
    }
    for (task, host, cell) in &failures {
        out.push_str(&failure(task, host, cell));
    }
    if !run.warnings.is_empty() {
        out.push_str("\nwhat to know first:\n");
        for text in &run.warnings {
            out.push_str(&format!("  ! {}\n", text.replace('\n', "\n    ")));
        }
    }
    let end = match (changes, failures.len()) {
        (_, 1..) => "this run would not come to its end".to_owned(),
        (0, _) if unknown.is_empty() => "nothing to change".to_owned(),
        (0, _) => "nothing else to change".to_owned(),
        (n, _) => format!("{} on {}", count(n, "change"), count(hosts.len(), "host")),
    };
    out.push_str(&format!("\n{end}; {} would stay\n", count(same, "result")));
    (out, changes)
}

fn failure(task: &TaskRecord, host: &Arc<str>, cell: &Cell) -> String {
    format!(
        "\n  ✗ {}  {host}\n      {}\n      {}\n",
        task.title,
        cell.message.replace('\n', "\n      "),
        task.place
    )
}

fn names(hosts: &[&Arc<str>]) -> String {
    let some: Vec<&str> = hosts.iter().take(6).map(|host| host.as_ref()).collect();
    match hosts.len() {
        0..=6 => some.join(" "),
        n => format!("{} … ({n} hosts)", some.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StepId;
    use crate::report::record::PlayRecord;

    #[test]
    fn hosts_that_change_alike_share_a_difference() {
        let cell = |status, diff: &str, message: &str| Cell {
            status,
            ignored: false,
            from: 0,
            to: 0,
            gates: 0,
            message: message.into(),
            diff: diff.into(),
        };
        let task = |title: &str, cells: Vec<(&str, Cell)>| TaskRecord {
            title: title.into(),
            module: "template".into(),
            place: "p.yml:3:5".into(),
            tags: Vec::new(),
            hosts: cells.into_iter().map(|(host, cell)| (Arc::from(host), cell)).collect(),
        };
        let write = task(
            "Write",
            vec![
                ("a", cell(Status::Changed, "-x\n+y\n", "")),
                ("b", cell(Status::Changed, "-x\n+y\n", "")),
                ("c", cell(Status::Ok, "", "")),
            ],
        );
        let start = task("Start", vec![("a", cell(Status::Skipped, "", "Command would have run"))]);
        let run = RunRecord {
            playbooks: vec!["p.yml".into()],
            plays: vec![PlayRecord { name: "p".into(), tasks: vec![(StepId(1), write), (StepId(2), start)] }],
            ..RunRecord::default()
        };
        let (text, changes) = show(&run, false);
        assert_eq!(changes, 2);
        assert_eq!(
            text,
            "plan: p.yml · 0 hosts · nothing was changed\n\n  ~ Write  [template]  a b\n      -x\n      +y\n\nnot known before running (these only run, and say then what they changed):\n  ? Start  [template]  a\n\n2 changes on 2 hosts; 1 result would stay\n"
        );
    }
}
