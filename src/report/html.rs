//! A run as one HTML file: no network, light and dark, readable in print, by keyboard and by screen readers.
//!
//! In: a [`RunRecord`]. Out: text. Its size grows with what is worth looking at (changes and failures one by one), not
//! with hosts times tasks: cells that say nothing are counted.

mod beside;
mod members;

use super::Status;
use super::record::{Cell, RunRecord, TaskRecord, word};
use crate::plan::critical::{self, Piece};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// Hosts with a lane of their own in the chart; of more, those that changed, failed or took longest.
const LANES: usize = 60;
/// Results shown one by one below a task.
const SHOWN: usize = 200;

fn escape(text: &str) -> String {
    super::marked_up(text, |c| match c {
        '\'' => Some("&#39;"),
        // control characters have no place in HTML
        c if c.is_control() => Some("\u{fffd}"),
        _ => None,
    })
}

fn seconds(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// The outcome in a sentence, and whether it is a good one.
fn outcome(run: &RunRecord) -> (String, &'static str) {
    let hosts = run.recap.len();
    let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let failed = run.recap.values().filter(|c| c.failed > 0).count();
    let lost = run.recap.values().filter(|c| c.unreachable > 0).count();
    let changed: u32 = run.recap.values().map(|c| c.changed).sum();
    if !run.refusals.is_empty() {
        return ("The guard refused a step: nothing was changed by it.".into(), "bad");
    }
    if !run.ended {
        return ("The run did not come to its end.".into(), "bad");
    }
    if failed + lost > 0 {
        let mut parts = Vec::new();
        if failed > 0 {
            parts.push(format!("{} failed", plural(failed, "host", "hosts")));
        }
        if lost > 0 {
            parts.push(format!("{} could not be reached", plural(lost, "host", "hosts")));
        }
        return (format!("{} (of {hosts}).", parts.join(", ")), "bad");
    }
    let what = match changed {
        0 => "nothing had to change".to_owned(),
        n => plural(n as usize, "change", "changes"),
    };
    (format!("All went well on {}: {what}.", plural(hosts, "host", "hosts")), "good")
}

/// The whole file.
pub fn page(run: &RunRecord, command: &str) -> String {
    let (sentence, mood) = outcome(run);
    let title = run.playbooks.join(", ");
    let mut out = String::with_capacity(64 * 1024);
    let _ = writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0} · {1}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header class=\"{mood}\">\n<h1>{0}</h1>\n<p class=\"outcome\">{1}</p>\n<p class=\"facts\"><time data-at=\"{2}\">{3}</time> · {4} · <code>{5}</code></p>\n</header>\n<main id=\"main\">",
        escape(&title),
        escape(&sentence),
        run.at,
        utc(run.at),
        seconds(run.took),
        escape(command),
    );
    for text in &run.refusals {
        let _ = writeln!(
            out,
            "<section class=\"refusal\"><h2>Refused by the guard</h2><pre tabindex=\"0\">{}</pre></section>",
            escape(text)
        );
    }
    failures(&mut out, run);
    members::section(&mut out, run);
    probes(&mut out, run);
    recap(&mut out, run);
    chart(&mut out, run);
    waited_for(&mut out, run);
    beside::earlier(&mut out, run);
    tasks(&mut out, run);
    beside::origins(&mut out, run);
    if !run.warnings.is_empty() {
        out.push_str("<section><h2>Warnings</h2><ul>");
        for text in &run.warnings {
            let _ = write!(out, "<li>{}</li>", escape(text));
        }
        out.push_str("</ul></section>\n");
    }
    let _ = writeln!(
        out,
        "</main>\n<footer>Written by quorate {}. This file holds all it shows and asks no network for anything.</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    );
    out
}

fn cells(run: &RunRecord) -> impl Iterator<Item = (&TaskRecord, &Arc<str>, &Cell)> {
    run.plays
        .iter()
        .flat_map(|play| &play.tasks)
        .flat_map(|(_, task)| task.hosts.iter().map(move |(host, cell)| (task, host, cell)))
}

fn is_bad(cell: &Cell) -> bool {
    matches!(cell.status, Status::Failed | Status::Unreachable) && !cell.ignored
}

/// Failures once each: hosts that fail alike share a paragraph.
fn failures(out: &mut String, run: &RunRecord) {
    let mut alike: indexmap::IndexMap<(&str, &str, &str), Vec<&str>> = indexmap::IndexMap::new();
    for (task, host, cell) in cells(run).filter(|(_, _, cell)| is_bad(cell)) {
        alike.entry((&task.title, &task.place, &cell.message)).or_default().push(host);
    }
    if alike.is_empty() {
        return;
    }
    out.push_str("<section class=\"failures\"><h2>What failed</h2>\n");
    for ((title, place, message), hosts) in alike {
        let _ = writeln!(
            out,
            "<article><h3>{}</h3><p class=\"place\">{}</p><pre tabindex=\"0\">{}</pre><p>{}</p></article>",
            escape(title),
            escape(place),
            escape(message),
            escape(&named(&hosts)),
        );
    }
    out.push_str("</section>\n");
}

fn named(hosts: &[&str]) -> String {
    match hosts.len() {
        0..=12 => hosts.join(", "),
        n => format!("{} and {} more", hosts[..10].join(", "), n - 10),
    }
}

/// What clients could do meanwhile.
fn probes(out: &mut String, run: &RunRecord) {
    if run.probes.is_empty() {
        return;
    }
    out.push_str("<section class=\"probes\"><h2>Could clients read and write?</h2>\n");
    for probed in &run.probes {
        let _ = writeln!(out, "<h3>{}</h3><ul>", escape(&probed.cluster));
        for (wish, tally) in probed.tallies() {
            let sentence = tally.sentence(wish);
            let mut letters = sentence.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            let _ = writeln!(out, "<li>{}{}.</li>", escape(&first), escape(letters.as_str()));
        }
        out.push_str("</ul>\n");
        let outages = probed
            .tallies()
            .into_iter()
            .flat_map(|(wish, tally)| tally.outages.iter().map(move |outage| (wish, outage)));
        let mut outages: Vec<_> = outages.collect();
        if outages.is_empty() {
            continue;
        }
        outages.sort_by_key(|(_, outage)| outage.at);
        out.push_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Times in which clients could not\"><table><thead><tr><th scope=\"col\">At</th><th scope=\"col\">Clients could not</th><th scope=\"col\">For</th><th scope=\"col\">While</th></tr></thead><tbody>\n");
        for (wish, outage) in outages.iter().take(SHOWN) {
            let _ = writeln!(
                out,
                "<tr class=\"failed\"><th scope=\"row\">{}</th><td>{}</td><td>{}{}</td><td>{}</td></tr>",
                seconds(outage.at),
                wish.word(),
                seconds(outage.took),
                if outage.open { ", until the end" } else { "" },
                escape(&outage.during),
            );
        }
        out.push_str("</tbody></table></div>\n");
    }
    out.push_str("</section>\n");
}

fn recap(out: &mut String, run: &RunRecord) {
    out.push_str("<section><h2>Hosts</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Hosts and their counts\"><table><thead><tr><th scope=\"col\">Host</th>");
    for name in ["ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored"] {
        let _ = write!(out, "<th scope=\"col\" class=\"n\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    let mut quiet = 0;
    let many = run.recap.len() > SHOWN;
    for (host, c) in &run.recap {
        if many && c.changed + c.failed + c.unreachable + c.rescued + c.ignored == 0 {
            quiet += 1;
            continue;
        }
        let class = if c.failed + c.unreachable > 0 {
            "failed"
        } else if c.changed > 0 {
            "changed"
        } else {
            "ok"
        };
        let _ = write!(out, "<tr class=\"{class}\"><th scope=\"row\">{}</th>", escape(host));
        for n in [c.ok, c.changed, c.unreachable, c.failed, c.skipped, c.rescued, c.ignored] {
            let _ = write!(out, "<td class=\"n\">{n}</td>");
        }
        out.push_str("</tr>\n");
    }
    if quiet > 0 {
        let _ = writeln!(
            out,
            "<tr><td colspan=\"8\">{quiet} hosts where nothing changed and nothing failed</td></tr>"
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}

/// Hosts × time.
fn chart(out: &mut String, run: &RunRecord) {
    let mut lanes: indexmap::IndexMap<&Arc<str>, Vec<(&TaskRecord, &Cell)>> = indexmap::IndexMap::new();
    for (task, host, cell) in cells(run) {
        lanes.entry(host).or_default().push((task, cell));
    }
    if lanes.is_empty() {
        return;
    }
    let all = lanes.len();
    if all > LANES {
        let weight = |cells: &Vec<(&TaskRecord, &Cell)>| {
            let bad = cells.iter().any(|(_, cell)| is_bad(cell));
            (bad, cells.iter().map(|(_, cell)| cell.to - cell.from).sum::<u64>())
        };
        lanes.sort_by(|_, a, _, b| weight(b).cmp(&weight(a)));
        lanes.truncate(LANES);
    }
    let end = lanes.values().flatten().map(|(_, cell)| cell.to).max().unwrap_or(1).max(1);
    let (left, width, row) = (150.0, 850.0, 18.0);
    let height = lanes.len() as f64 * row + 26.0;
    let _ = writeln!(
        out,
        "<section><h2>Who worked when</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Chart of hosts over time\"><svg viewBox=\"0 0 1000 {height}\" role=\"img\" aria-label=\"{} hosts over {}\">",
        lanes.len(),
        seconds(end)
    );
    for tick in 0..=4u64 {
        let x = left + width * tick as f64 / 4.0;
        let anchor = if tick == 4 { "end" } else { "start" };
        let _ = write!(
            out,
            "<line class=\"tick\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"0\" y2=\"{:.0}\"/><text class=\"tick\" text-anchor=\"{anchor}\" x=\"{x:.0}\" y=\"{:.0}\">{}</text>",
            height - 20.0,
            height - 6.0,
            seconds(end * tick / 4)
        );
    }
    for (lane, (host, cells)) in lanes.iter().enumerate() {
        let y = lane as f64 * row;
        let short: String = host.chars().take(22).collect();
        let _ = write!(out, "<text x=\"0\" y=\"{:.0}\">{}</text>", y + 13.0, escape(&short));
        for (task, cell) in cells {
            let x = left + width * cell.from as f64 / end as f64;
            let w = (width * (cell.to - cell.from) as f64 / end as f64).max(1.0);
            // what takes no room and says nothing is left out
            if w < 1.5 && matches!(cell.status, Status::Ok | Status::Skipped) {
                continue;
            }
            let _ = write!(
                out,
                "<rect class=\"{}\" x=\"{x:.1}\" y=\"{:.0}\" width=\"{w:.1}\" height=\"14\"><title>{} · {} · {} · {}</title></rect>",
                word(cell.status),
                y + 2.0,
                escape(host),
                escape(&task.title),
                word(cell.status),
                seconds(cell.to - cell.from)
            );
        }
        out.push('\n');
    }
    out.push_str("</svg></div>");
    if all > LANES {
        let _ =
            write!(out, "<p>{LANES} of {all} hosts: those that failed, then those that took longest.</p>");
    }
    out.push_str("<p class=\"key\"><span class=\"ok\">ok</span> <span class=\"changed\">changed</span> <span class=\"failed\">failed</span> <span class=\"skipped\">skipped</span></p></section>\n");
}

/// What stood in the way, one behind the other: making anything else faster makes the run no faster.
fn waited_for(out: &mut String, run: &RunRecord) {
    let mut numbers: HashMap<&Arc<str>, usize> = HashMap::new();
    let mut all = Vec::new();
    let mut pieces = Vec::new();
    for (play, record) in run.plays.iter().enumerate() {
        for (_, task) in &record.tasks {
            for (host, cell) in &task.hosts {
                let next = numbers.len();
                let number = *numbers.entry(host).or_insert(next);
                pieces.push(Piece { stage: (play, cell.gates), host: number, from: cell.from, to: cell.to });
                all.push((task.title.as_str(), host, cell.to - cell.from));
            }
        }
    }
    let path = critical::path(&pieces);
    let Some(last) = path.last().copied() else { return };
    let sum: u64 = path.iter().map(|number| all[*number].2).sum();
    let shown = critical::longest(&path.iter().map(|number| all[*number].2).collect::<Vec<_>>());
    let _ = write!(
        out,
        "<section><h2>What the run waited for</h2><p>{} was the last to finish. Of {}, {} went by in these tasks, one behind the other:</p><ol class=\"critical\">",
        escape(all[last].1),
        seconds(run.took.max(pieces[last].to)),
        seconds(sum),
    );
    for at in &shown {
        let (title, host, took) = all[path[*at]];
        let _ = write!(out, "<li>{} · {} <b>{}</b></li>", escape(title), escape(host), seconds(took));
    }
    out.push_str("</ol>");
    if path.len() > shown.len() {
        let _ = write!(out, "<p>And {} shorter ones.</p>", path.len() - shown.len());
    }
    out.push_str("</section>\n");
}

fn tasks(out: &mut String, run: &RunRecord) {
    out.push_str("<section><h2>Tasks</h2>\n<p class=\"tools\"><label>Show tasks with <input id=\"find\" type=\"search\" placeholder=\"a word, a tag, a host\"></label> <label><input id=\"quiet\" type=\"checkbox\"> only changes and failures</label></p>\n");
    for play in &run.plays {
        let _ = writeln!(out, "<h3>{}</h3>", escape(&play.name));
        for (_, task) in &play.tasks {
            let count = |status: Status| task.hosts.values().filter(|cell| cell.status == status).count();
            let counts: Vec<String> =
                [Status::Failed, Status::Unreachable, Status::Changed, Status::Ok, Status::Skipped]
                    .into_iter()
                    .map(|status| (count(status), word(status)))
                    .filter(|(n, _)| *n > 0)
                    .map(|(n, word)| format!("<span class=\"{word}\">{n} {word}</span>"))
                    .collect();
            let worth = task.hosts.values().any(|cell| is_bad(cell) || cell.status == Status::Changed);
            let took = task.hosts.values().map(|cell| cell.to - cell.from).max().unwrap_or(0);
            let open = if task.hosts.values().any(is_bad) { " open" } else { "" };
            let class = if worth { "worth" } else { "quiet" };
            let _ = write!(
                out,
                "<details class=\"task {class}\"{open}><summary><span class=\"name\">{}</span> {} <span class=\"took\">{}</span></summary><p class=\"place\">{}{}{}</p>",
                escape(&task.title),
                counts.join(" "),
                seconds(took),
                escape(&task.module),
                if task.place.is_empty() { String::new() } else { format!(" · {}", escape(&task.place)) },
                if task.tags.is_empty() {
                    String::new()
                } else {
                    format!(" · tags: {}", escape(&task.tags.join(", ")))
                },
            );
            results(out, task);
            out.push_str("</details>\n");
        }
    }
    out.push_str("</section>\n");
}

fn results(out: &mut String, task: &TaskRecord) {
    let telling =
        |cell: &Cell| is_bad(cell) || cell.ignored || !cell.diff.is_empty() || cell.status == Status::Changed;
    let mut shown = 0;
    let mut quiet: indexmap::IndexMap<&str, Vec<&str>> = indexmap::IndexMap::new();
    for (host, cell) in &task.hosts {
        if !telling(cell) || shown >= SHOWN {
            quiet.entry(word(cell.status)).or_default().push(host);
            continue;
        }
        shown += 1;
        let _ = write!(
            out,
            "<div class=\"result {0}\"><b>{1}</b> {0}{2} · {3}",
            word(cell.status),
            escape(host),
            if cell.ignored { " (ignored)" } else { "" },
            seconds(cell.to - cell.from)
        );
        if !cell.message.is_empty() {
            let _ = write!(out, "<pre tabindex=\"0\">{}</pre>", escape(&cell.message));
        }
        if !cell.diff.is_empty() {
            out.push_str("<pre class=\"diff\" tabindex=\"0\">");
            for line in cell.diff.lines().take(2000) {
                let (tag, end) = match line.as_bytes().first() {
                    Some(b'+') => ("<ins>", "</ins>"),
                    Some(b'-') => ("<del>", "</del>"),
                    _ => ("", ""),
                };
                let _ = writeln!(out, "{tag}{}{end}", escape(line));
            }
            out.push_str("</pre>");
        }
        out.push_str("</div>");
    }
    for (word, hosts) in quiet {
        let _ = write!(out, "<p class=\"{word}\">{word}: {}</p>", escape(&named(&hosts)));
    }
}

/// Seconds since 1970 as people write them.
fn utc(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok()).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Counts;
    use super::super::record::PlayRecord;
    use super::*;
    use crate::plan::StepId;
    use indexmap::IndexMap;

    fn run(hosts: usize, tasks: usize) -> RunRecord {
        let cell = |n: usize| Cell {
            status: if n % 50 == 7 { Status::Changed } else { Status::Ok },
            ignored: false,
            from: n as u64,
            to: n as u64 + 30,
            gates: 0,
            message: String::new(),
            diff: String::new(),
        };
        let names: Vec<Arc<str>> = (0..hosts).map(|n| Arc::from(format!("host{n:04}"))).collect();
        let task = |id: usize| {
            let record = TaskRecord {
                title: format!("Task {id}"),
                module: "copy".into(),
                place: "roles/x/tasks/main.yml:3:3".into(),
                tags: vec!["conf".into()],
                hosts: names.iter().cloned().enumerate().map(|(n, name)| (name, cell(n))).collect(),
            };
            (StepId(id as u32), record)
        };
        RunRecord {
            playbooks: vec!["etcd.yml".into()],
            at: 1_767_225_599,
            took: 2500,
            plays: vec![PlayRecord { name: "etcd".into(), tasks: (0..tasks).map(task).collect() }],
            recap: names.iter().cloned().map(|name| (name, Counts { ok: 3, ..Counts::default() })).collect(),
            ended: true,
            ..RunRecord::default()
        }
    }

    #[test]
    fn what_hosts_say_is_text_and_nothing_else() {
        let mut run = run(1, 1);
        run.plays[0].tasks[0].1.title = "<script>alert(1)</script>".into();
        let host: Arc<str> = Arc::from("\"><img src=x>");
        let cell = Cell {
            status: Status::Failed,
            ignored: false,
            from: 0,
            to: 1,
            gates: 0,
            message: "</pre><script>x</script>\u{1b}[2J".into(),
            diff: "+<b>\n-</pre>\n".into(),
        };
        run.plays[0].tasks[0].1.hosts.insert(host.clone(), cell);
        run.recap = IndexMap::from([(host, Counts { failed: 1, ..Counts::default() })]);
        let page = page(&run, "quorate play '<x>'");
        let body = page.replace(SCRIPT, "").replace(STYLE, "");
        assert_eq!(body.matches("<script>").count(), 1, "only ours");
        assert!(!body.contains("<img") && !body.contains('\u{1b}'));
        assert!(body.contains("1 host failed (of 1)."));
        assert!(body.contains("<ins>+&lt;b&gt;</ins>"));
    }

    #[test]
    fn pages_stay_small() {
        assert!(page(&run(3, 60), "x").len() < 300_000);
        let big = page(&run(1000, 60), "x").len();
        assert!(big < 3_000_000, "{big}");
    }

    #[test]
    fn the_critical_path_goes_from_host_to_host() {
        let mut run = run(2, 3);
        // the second host is slow in the first task, the first in the last; a gate stands between them
        for (task, host, from, to, gates) in [
            (0, "host0000", 0, 100, 0),
            (0, "host0001", 0, 700, 0),
            (1, "host0000", 100, 120, 0),
            (1, "host0001", 700, 720, 0),
            (2, "host0000", 720, 2220, 1),
            (2, "host0001", 720, 800, 1),
        ] {
            let cell = run.plays[0].tasks[task].1.hosts.get_mut(host).unwrap();
            (cell.from, cell.to, cell.gates) = (from, to, gates);
        }
        let page = page(&run, "x");
        assert!(
            page.contains("host0000 was the last to finish. Of 2.5 s, 2.2 s went by in these tasks, one behind the other:</p><ol class=\"critical\"><li>Task 0 · host0001 <b>700 ms</b></li><li>Task 1 · host0001 <b>20 ms</b></li><li>Task 2 · host0000 <b>1.5 s</b></li></ol></section>"),
            "{}",
            &page[page.find("What the run waited").unwrap()..][..800]
        );
    }

    #[test]
    fn members_are_told_as_they_were_seen() {
        use super::super::record::{Earlier, Origin, Sighting, Standing};
        let mut run = run(3, 1);
        let host: Arc<str> = Arc::from("host0001");
        let cell = run.plays[0].tasks[0].1.hosts.get_mut(&host).unwrap();
        (cell.from, cell.to) = (900, 1800);
        let seen = |at: u64, third: Standing, healthy: usize| Sighting {
            at,
            cluster: "<etcd>".into(),
            members: vec![
                ("10.10.10.10".into(), Standing::Leader),
                ("10.10.10.11".into(), Standing::Voter),
                ("10.10.10.12".into(), third),
            ],
            healthy,
            voters: 3,
            need: 2,
        };
        run.sightings = vec![
            seen(0, Standing::Voter, 3),
            seen(500, Standing::Voter, 3),
            seen(1000, Standing::Away, 2),
            seen(1500, Standing::Voter, 3),
        ];
        run.earlier = Some(Earlier {
            id: "7f3a".into(),
            at: 0,
            took: 12_500,
            command: "etcd.yml".into(),
            lines: vec!["~ Task 0: ok → changed on host0001".into()],
        });
        run.origins = vec![Origin {
            name: "etcd_cluster".into(),
            value: "\"<b>\"".into(),
            by: "inventory group variables of etcd".into(),
            place: "inv.yml:7:5".into(),
            over: 1,
            hosts: vec![host],
        }];
        let page = page(&run, "x");
        let text = page.split("Members over time").nth(1).unwrap();
        assert!(text.contains("At the lowest, 2 of 3 voters served (2 needed): 0 to spare."), "{text}");
        // what stays as it was is one row
        assert_eq!(text.split("</table>").next().unwrap().matches("<tr><th scope=\"row\">").count(), 3);
        assert!(text.contains("<td>10.10.10.10 leader · 10.10.10.11 voter · 10.10.10.12 away</td><td>0 to spare</td><td>Task 0 on host0001</td>"), "{text}");
        assert!(text.contains("<rect class=\"away\" x=\"622.2\""), "{text}");
        assert!(page.contains("took 12.5 s; this one was 10.0 s faster.</p>\n<ul><li>~ Task 0: ok → changed on host0001</li></ul>"));
        assert!(page.contains("<td>inventory group variables of etcd, over a weaker one</td><td>inv.yml:7:5</td><td>host0001</td>"));
        assert!(!page.contains("<etcd>") && !page.contains("<b>\""));
        run.sightings.push(seen(2000, Standing::Away, 1));
        let page = super::page(&run, "x");
        assert!(page.contains("At the lowest, 1 of 3 voters served (2 needed): the cluster had no quorum."));
        assert!(page.contains("<tr class=\"failed\"><th scope=\"row\">2.0 s</th>"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page(&run(3, 3), "x");
        for sign in ["http://", "https://", "@import", "url(", " src="] {
            assert!(!page.contains(sign), "{sign}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_767_225_599), "2025-12-31 23:59:59 UTC");
    }
}
