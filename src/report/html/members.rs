//! Members of clusters over time, as the run saw them.
//!
//! In: looks at clusters, with the tasks of the run. Out: a chart, and the same as a table.
//!
//! **Invariant:** nothing is drawn that nobody looked at: between two looks a lane says what the first of them saw.

use super::super::record::{Cell, RunRecord, Sighting, Standing, TaskRecord};
use super::{cells, escape, seconds};
use std::fmt::Write as _;
use std::sync::Arc;

/// Rows of the table of a cluster; of more looks, the first ones.
const ROWS: usize = 120;

fn sign(standing: Standing) -> &'static str {
    match standing {
        Standing::Leader => "leader",
        Standing::Voter => "voter",
        Standing::Learner => "learner",
        Standing::Away => "away",
    }
}

/// Looks of one cluster that differ from the one before.
fn told<'a>(run: &'a RunRecord, cluster: &str) -> Vec<&'a Sighting> {
    let mut out: Vec<&Sighting> = Vec::new();
    for seen in run.sightings.iter().filter(|seen| seen.cluster == cluster) {
        if out.last().is_none_or(|last| !last.same_as(seen)) {
            out.push(seen);
        }
    }
    out
}

/// What the run was at: of the tasks that were at work, the one that began last.
fn meanwhile(run: &RunRecord, at: u64) -> String {
    let mut found: Option<(&TaskRecord, &Arc<str>, &Cell)> = None;
    for (task, host, cell) in cells(run) {
        let there = cell.from <= at && at <= cell.to;
        if there && found.is_none_or(|(_, _, before)| before.from <= cell.from) {
            found = Some((task, host, cell));
        }
    }
    found.map(|(task, host, _)| format!("{} on {host}", task.title)).unwrap_or_default()
}

/// How many voters may be lost, in words.
fn spare(seen: &Sighting) -> String {
    if seen.healthy < seen.need {
        return format!("NO QUORUM: {} of {}", seen.healthy, seen.voters);
    }
    format!("{} to spare", seen.healthy - seen.need)
}

/// The lowest point in a sentence.
fn lowest(looks: &[&Sighting]) -> String {
    let Some(low) = looks.iter().min_by_key(|seen| seen.healthy as i64 - seen.need as i64) else {
        return String::new();
    };
    format!(
        "At the lowest, {} of {} voters served ({} needed): {}.",
        low.healthy,
        low.voters,
        low.need,
        if low.healthy < low.need { "the cluster had no quorum".to_owned() } else { spare(low) }
    )
}

pub(super) fn section(out: &mut String, run: &RunRecord) {
    let mut clusters: Vec<&str> = Vec::new();
    for seen in &run.sightings {
        if !clusters.contains(&seen.cluster.as_str()) {
            clusters.push(&seen.cluster);
        }
    }
    if clusters.is_empty() {
        return;
    }
    out.push_str("<section class=\"members\"><h2>Members over time</h2>\n");
    for cluster in clusters {
        let looks = told(run, cluster);
        let _ = writeln!(
            out,
            "<h3>{}</h3><p>{} Between two looks, what the first of them saw is shown.</p>",
            escape(cluster),
            escape(&lowest(&looks))
        );
        chart(out, run, cluster, &looks);
        table(out, run, cluster, &looks);
    }
    out.push_str(
        "<p class=\"key\"><span class=\"leader\">leader</span> <span class=\"voter\">voter</span> <span class=\"learner\">learner</span> <span class=\"away\">away</span></p></section>\n",
    );
}

fn chart(out: &mut String, run: &RunRecord, cluster: &str, looks: &[&Sighting]) {
    let mut members: Vec<&str> = Vec::new();
    for (member, _) in looks.iter().flat_map(|seen| &seen.members) {
        if !members.contains(&member.as_str()) {
            members.push(member);
        }
    }
    let last = run.sightings.iter().map(|seen| seen.at).max().unwrap_or(0);
    let end = cells(run).map(|(_, _, cell)| cell.to).max().unwrap_or(0).max(last).max(1);
    let (left, width, row) = (150.0, 850.0, 18.0);
    let x = |at: u64| left + width * at as f64 / end as f64;
    let height = members.len() as f64 * row + 26.0;
    let _ = writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Members of {0} over time\"><svg viewBox=\"0 0 1000 {height}\" role=\"img\" aria-label=\"{1} members of {0} over {2}; the table below says the same\">",
        escape(cluster),
        members.len(),
        seconds(end)
    );
    for tick in 0..=4u64 {
        let at = left + width * tick as f64 / 4.0;
        let anchor = if tick == 4 { "end" } else { "start" };
        let _ = write!(
            out,
            "<line class=\"tick\" x1=\"{at:.0}\" x2=\"{at:.0}\" y1=\"0\" y2=\"{:.0}\"/><text class=\"tick\" text-anchor=\"{anchor}\" x=\"{at:.0}\" y=\"{:.0}\">{}</text>",
            height - 20.0,
            height - 6.0,
            seconds(end * tick / 4)
        );
    }
    for (lane, member) in members.iter().enumerate() {
        let y = lane as f64 * row;
        let short: String = member.chars().take(22).collect();
        let _ = write!(out, "<text x=\"0\" y=\"{:.0}\">{}</text>", y + 13.0, escape(&short));
        for (at, seen) in looks.iter().enumerate() {
            // who is in no list any more, or not yet, has no lane there
            let Some((_, standing)) = seen.members.iter().find(|(name, _)| name == member) else { continue };
            let until = looks.get(at + 1).map_or(end, |next| next.at);
            let word = sign(*standing);
            let _ = write!(
                out,
                "<rect class=\"{word}\" x=\"{:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"14\"><title>{} · {word} · from {}</title></rect>",
                x(seen.at),
                y + 2.0,
                (x(until) - x(seen.at)).max(1.0),
                escape(member),
                seconds(seen.at)
            );
        }
        out.push('\n');
    }
    out.push_str("</svg></div>\n");
}

fn table(out: &mut String, run: &RunRecord, cluster: &str, looks: &[&Sighting]) {
    let _ = writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"What {} was seen as, and when\"><table><thead><tr><th scope=\"col\">At</th><th scope=\"col\">Members</th><th scope=\"col\">Quorum</th><th scope=\"col\">While</th></tr></thead><tbody>",
        escape(cluster)
    );
    for seen in looks.iter().take(ROWS) {
        let members: Vec<String> =
            seen.members.iter().map(|(name, standing)| format!("{name} {}", sign(*standing))).collect();
        let _ = writeln!(
            out,
            "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            if seen.healthy < seen.need { " class=\"failed\"" } else { "" },
            seconds(seen.at),
            escape(&members.join(" · ")),
            spare(seen),
            escape(&meanwhile(run, seen.at)),
        );
    }
    if looks.len() > ROWS {
        let _ = writeln!(out, "<tr><td colspan=\"4\">and {} more changes</td></tr>", looks.len() - ROWS);
    }
    out.push_str("</tbody></table></div>\n");
}
