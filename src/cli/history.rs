//! `quorate history`: runs of the past: all, one, or two side by side.
//!
//! In: the journals of this user. Out: text. Nothing here touches a host.

use super::common::Cannot;
use super::status;
use crate::journal::{self, End, Entry, Past};
use crate::report::Status;
use clap::{Parser, Subcommand};
use indexmap::IndexMap;
use unicode_width::UnicodeWidthStr as _;

/// Runs of the past: all, one, or what two did differently.
#[derive(Debug, Parser)]
#[command(
    name = "quorate history",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate history\n  quorate history show last\n  quorate history diff 7f3a 81c2\n  quorate play --resume 7f3a"
)]
struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// So many of the newest runs
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    count: usize,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One run: its tasks, how they ended, and how long they took
    Show {
        /// The run: its name, the beginning of it, or `last`
        run: String,
        /// Every host of every task
        #[arg(long)]
        all: bool,
    },
    /// What a second run did differently from a first
    Diff {
        /// The first run
        a: String,
        /// The second run
        b: String,
    },
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(super) fn main(args: &[String]) -> u8 {
    super::run(super::parsed("quorate history", args, false), |args: Args| {
        let said = match &args.what {
            None => list(args.count),
            Some(What::Show { run, all }) => journal::find(run).map(|run| show(&run, *all)),
            Some(What::Diff { a, b }) => {
                journal::find(a).and_then(|a| journal::find(b).map(|b| difference(&a, &b)))
            }
        };
        said.map_err(Cannot::start)
    })
}

fn list(count: usize) -> Result<String, String> {
    let runs = journal::newest(count).map_err(|e| format!("the runs of the past cannot be read: {e}"))?;
    if runs.is_empty() {
        return Ok("no run is recorded".into());
    }
    let rows: Vec<[String; 6]> = runs
        .iter()
        .rev()
        .map(|run| {
            [run.id.clone(), when(run.at), seconds(run.took), hosts(run).to_string(), end(run), asked(run)]
        })
        .collect();
    Ok(columns(&["run", "began", "took", "hosts", "end", "command"], &rows))
}

/// Columns as wide as their widest cell; the last one is left as it is.
fn columns<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heads.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut out = String::new();
    let all = std::iter::once(heads.map(str::to_owned)).chain(rows.iter().cloned());
    for row in all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn when(at: u64) -> String {
    jiff::Timestamp::from_second(at as i64).map_or_else(
        |_| at.to_string(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn seconds(millis: u64) -> String {
    match millis {
        0..60_000 => format!("{:.1}s", millis as f64 / 1000.0),
        _ => format!("{}m{:02}s", millis / 60_000, millis / 1000 % 60),
    }
}

fn hosts(run: &Past) -> usize {
    run.entries.iter().map(|entry| &entry.host).collect::<std::collections::BTreeSet<_>>().len()
}

/// How a run ended, in words.
fn end(run: &Past) -> String {
    match run.end {
        End::Going => "going on".into(),
        End::Torn => "broke off".into(),
        End::Interrupted => "interrupted".into(),
        End::Status(0) => {
            let changed = run.counts.iter().map(|(_, counts)| counts[1]).sum::<u32>();
            if changed == 0 { "done, nothing changed".into() } else { format!("done, {changed} changed") }
        }
        End::Status(status::FAILED) => "failed".into(),
        End::Status(status::UNREACHABLE) => "unreachable".into(),
        End::Status(status::REFUSED) => "refused".into(),
        End::Status(status::OUT_OF_DATE) => "plan out of date".into(),
        End::Status(status::ROLLED_BACK) => "rolled back".into(),
        End::Status(code) => format!("status {code}"),
    }
}

fn asked(run: &Past) -> String {
    let mut text = format!("quorate play {}", run.asked.playbooks.join(" "));
    for tags in &run.asked.tags {
        text.push_str(&format!(" -t {tags}"));
    }
    for tags in &run.asked.skip_tags {
        text.push_str(&format!(" --skip-tags {tags}"));
    }
    text.push_str(&run.asked.shown);
    if let Some(earlier) = &run.asked.resumes {
        text.push_str(&format!(" --resume {earlier}"));
    }
    text
}

/// Tasks of a run in the order of their first result: play, place and title, with what happened on each host.
fn tasks(run: &Past) -> IndexMap<(u32, String, bool, u32), Vec<&Entry>> {
    let mut out: IndexMap<_, Vec<&Entry>> = IndexMap::new();
    for entry in &run.entries {
        let key = (entry.key.play, entry.key.place.clone(), entry.key.handler, entry.key.nth);
        out.entry(key).or_default().push(entry);
    }
    out
}

fn word(entry: &Entry) -> &'static str {
    match entry.status() {
        _ if entry.ignored => "ignored",
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Unreachable => "unreachable",
    }
}

fn counted(entries: &[&Entry]) -> String {
    ["ok", "changed", "skipped", "ignored", "failed", "unreachable"]
        .iter()
        .filter_map(|wanted| {
            let count = entries.iter().filter(|entry| word(entry) == *wanted).count();
            (count > 0).then(|| format!("{count} {wanted}"))
        })
        .collect::<Vec<_>>()
        .join("  ")
}

fn took(entries: &[&Entry]) -> u64 {
    let from = entries.iter().map(|e| e.from).min().unwrap_or(0);
    entries.iter().map(|e| e.to).max().unwrap_or(0).saturating_sub(from)
}

fn show(run: &Past, all: bool) -> String {
    let mut out = format!(
        "run {} · {} · {} · {}\n  {} (in {}, by {})\n",
        run.id,
        when(run.at),
        seconds(run.took),
        end(run),
        asked(run),
        run.asked.dir,
        run.user
    );
    let mut play = None;
    let width = tasks(run).values().map(|entries| entries[0].title.width().min(56)).max().unwrap_or(0);
    for ((number, ..), entries) in tasks(run) {
        if play != Some(number) {
            play = Some(number);
            let name = run.plays.get(&number).map_or("", String::as_str);
            out.push_str(&format!("\nplay {number}: {name}\n"));
        }
        let mark = if entries.iter().any(|e| e.failed) { "✗" } else { "✓" };
        let title = &entries[0].title;
        let pad = " ".repeat(width.saturating_sub(title.width()));
        let stood = if entries.iter().all(|e| e.stood) { "  stood" } else { "" };
        out.push_str(&format!(
            "  {mark} {title}{pad}  {}  {}{stood}\n",
            counted(&entries),
            seconds(took(&entries))
        ));
        for entry in entries.iter().filter(|entry| all || entry.failed) {
            let message = if entry.message.is_empty() { word(entry) } else { &entry.message };
            let message = message.replace('\n', "\n        ");
            out.push_str(&format!("      {}: {message}\n", entry.host));
        }
    }
    for text in &run.refusals {
        out.push_str(&format!("\n{text}\n"));
    }
    if !matches!(run.end, End::Status(0) | End::Going) {
        let stand = journal::Resume::of(run).standing();
        out.push_str(&format!("\nit goes on with `quorate play --resume {}`: {}\n", run.id, standing(stand)));
    }
    out
}

/// `1 result stands`, `2 results stand`.
pub(super) fn standing(count: usize) -> String {
    if count == 1 { "1 result stands".into() } else { format!("{count} results stand") }
}

/// Tasks of two runs are the same where their play, their title and their turn are: lines move when files are edited.
fn by_title(run: &Past) -> IndexMap<(u32, String, usize), Vec<&Entry>> {
    let mut turns: std::collections::HashMap<(u32, &str), usize> = std::collections::HashMap::new();
    let mut out = IndexMap::new();
    for ((play, ..), entries) in tasks(run) {
        let turn = turns.entry((play, &entries[0].title)).or_default();
        out.insert((play, entries[0].title.clone(), *turn), entries);
        *turn += 1;
    }
    out
}

fn difference(a: &Past, b: &Past) -> String {
    let mut out = format!(
        "a: run {} · {} · {} · {}\n   {}\nb: run {} · {} · {} · {}\n   {}\n",
        a.id,
        when(a.at),
        seconds(a.took),
        end(a),
        asked(a),
        b.id,
        when(b.at),
        seconds(b.took),
        end(b),
        asked(b)
    );
    let mut lines = differences(a, b, ("only in a", "only in b"));
    if lines.is_empty() {
        lines.push("the same tasks ended the same way on the same hosts".into());
    }
    out.push('\n');
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
    out
}

/// What a run did differently from another, a line each; `only` names tasks of the first, and of the second.
fn differences(a: &Past, b: &Past, only: (&str, &str)) -> Vec<String> {
    let (left, right) = (by_title(a), by_title(b));
    let mut lines = Vec::new();
    for ((play, title, turn), entries) in &left {
        let Some(others) = right.get(&(*play, title.clone(), *turn)) else {
            lines.push(format!("- {title}: {} ({})", only.0, counted(entries)));
            continue;
        };
        // hosts that went the same way from a to b share a line
        let mut ways: IndexMap<(&str, &str), Vec<&str>> = IndexMap::new();
        for entry in entries {
            let then = others.iter().find(|other| other.host == entry.host).map_or("not run", |e| word(e));
            ways.entry((word(entry), then)).or_default().push(&entry.host);
        }
        for other in others.iter().filter(|other| entries.iter().all(|e| e.host != other.host)) {
            ways.entry(("not run", word(other))).or_default().push(&other.host);
        }
        for ((before, after), hosts) in ways.iter().filter(|((before, after), _)| before != after) {
            lines.push(format!("~ {title}: {before} → {after} on {}", hosts.join(" ")));
        }
        let (before, after) = (took(entries), took(others));
        if before.abs_diff(after) >= 1000 && before.max(after) >= 2 * before.min(after).max(1) {
            lines.push(format!("~ {title}: {} → {}", seconds(before), seconds(after)));
        }
    }
    for ((play, title, turn), entries) in &right {
        if !left.contains_key(&(*play, title.clone(), *turn)) {
            lines.push(format!("+ {title}: {} ({})", only.1, counted(entries)));
        }
    }
    for (path, digest) in &b.inputs {
        if a.inputs.iter().any(|(other, then)| other == path && then != digest) {
            lines.push(format!("~ {path} was another then"));
        }
    }
    lines
}

/// The run of the same playbook before the one that is going on, beside it; nothing where there is none.
pub(super) fn before(run: &str, playbook: &std::path::Path) -> Option<crate::report::record::Earlier> {
    let then = journal::last_of(playbook, Some(run))?;
    let now = journal::so_far(run)?;
    let lines = differences(&then, &now, ("only then", "only now"));
    Some(crate::report::record::Earlier {
        lines,
        at: then.at,
        took: then.took,
        command: asked(&then),
        id: then.id,
    })
}
