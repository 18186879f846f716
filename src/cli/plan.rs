//! `quorate plan`: what `play` would do, by resource, with differences; nothing is changed.
//!
//! In: the same flags as `play`. Out: changes a task, hosts that would change alike together; what cannot be known
//! before running; what the guard would say. Status 10 with `--exit-code` where changes are pending.
//!
//! **Invariant:** the hosts are read in check mode, by the same modules that would change them.

use super::common::{self, Cannot, Shape};
use super::status;
use crate::plan::TagFilter;
use crate::report::record::{Cell, RunRecord, TaskRecord};
use crate::report::{Status, display};
use crate::run::{Playbook, Runner};
use clap::Parser;
use std::path::PathBuf;
use std::sync::Arc;

/// Read the hosts, and show what `play` would change on them.
#[derive(Debug, Parser)]
#[command(
    name = "quorate plan",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate plan playbooks/etcd.yml -t etcd_conf\n  quorate plan playbooks/etcd.yml -e etcd_init=existing --exit-code"
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
    #[command(flatten)]
    shape: Shape,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    let args = match super::parsed::<Args>("quorate plan", args, false) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match plan(&args) {
        Ok(code) => code,
        Err(cannot) => {
            display::err(&super::headline(&cannot.text, false));
            cannot.status
        }
    }
}

fn plan(args: &Args) -> Result<u8, Cannot> {
    let mut shape = args.shape.clone();
    (shape.check, shape.diff) = (true, true);
    let first = super::play::locate(&args.playbooks[0])?;
    let words = (super::play::filter_words(&args.tags), super::play::filter_words(&args.skip_tags));
    let ground = common::ground(&shape, Some(&first), false, (&words.0, &words.1))?;
    let colour = ground.look.colour;
    let mut books = Vec::new();
    for name in &args.playbooks {
        let path: PathBuf = super::play::locate(name)?;
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
    let runtime = common::runtime()?;
    let filter = TagFilter::new(&args.tags, &args.skip_tags);
    let (record, failed) = runtime.block_on(async {
        let run = common::start_silent(&ground);
        let recording = common::collect(&run, &shape)?;
        common::watch_interrupts(&run);
        let mut runner = Runner::new(run.clone(), filter, ground.limit.clone(), None);
        for book in &books {
            runner.playbook(book).await.map_err(|diag| Cannot::start(diag.render(colour)))?;
            if runner.status() != 0 || run.is_interrupted() {
                break;
            }
        }
        runner.finish();
        run.pool.close().await;
        recording.finish(&format!("quorate plan {}{}", args.playbooks.join(" "), shape.shown()))?;
        if run.is_interrupted() {
            return Err(Cannot {
                text: "interrupted; nothing was changed".into(),
                status: status::INTERRUPTED,
            });
        }
        Ok((recording.record(), runner.status()))
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    let (text, changes) = show(&record, args.brief);
    display::out(text.trim_end());
    Ok(match failed {
        0 if changes > 0 && args.exit_code => status::CHANGES_PENDING,
        code => code,
    })
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
