//! A run as JUnit XML, for whoever shows the results of tests: a case for each task on each host.
//!
//! In: a [`RunRecord`]. Out: text. The `junit` callback of Ansible writes files of its own form (`callbacks`).

use super::Status;
use super::record::{Cell, RunRecord, TaskRecord};
use std::fmt::Write as _;

/// Text in XML 1.0, which has no place for control characters, nor for the last two of a plane.
pub(super) fn escape(text: &str) -> String {
    super::marked_up(text, |c| (c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')).then_some(""))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn case(out: &mut String, task: &TaskRecord, host: &str, cell: &Cell) {
    let class = if task.place.is_empty() { task.module.as_str() } else { task.place.as_str() };
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{} [{}]\" time=\"{}\"",
        escape(class),
        escape(&task.title),
        escape(host),
        seconds(cell.to.saturating_sub(cell.from))
    );
    let message = escape(&cell.message);
    let body = match cell.status {
        Status::Failed if !cell.ignored => {
            format!(
                "<failure message=\"{}\" type=\"failed\">{message}</failure>",
                message.replace('\n', "&#10;")
            )
        }
        Status::Unreachable if !cell.ignored => {
            format!(
                "<error message=\"{}\" type=\"unreachable\">{message}</error>",
                message.replace('\n', "&#10;")
            )
        }
        Status::Skipped => "<skipped/>".to_owned(),
        _ if !cell.diff.is_empty() => format!("<system-out>{}</system-out>", escape(&cell.diff)),
        _ => String::new(),
    };
    out.push_str(&if body.is_empty() { "/>\n".to_owned() } else { format!(">{body}</testcase>\n") });
}

/// The whole file: a suite for each play.
pub fn page(run: &RunRecord) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" time=\"{}\">",
        escape(&run.playbooks.join(", ")),
        seconds(run.took)
    );
    for play in &run.plays {
        let cells: Vec<_> = play
            .tasks
            .iter()
            .flat_map(|(_, task)| task.hosts.iter().map(move |(host, cell)| (task, host, cell)))
            .collect();
        let count = |is: &dyn Fn(&Cell) -> bool| cells.iter().filter(|(.., cell)| is(cell)).count();
        let took: u64 = cells.iter().map(|(.., cell)| cell.to.saturating_sub(cell.from)).sum();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\">",
            escape(&play.name),
            cells.len(),
            count(&|cell| cell.status == Status::Failed && !cell.ignored),
            count(&|cell| cell.status == Status::Unreachable && !cell.ignored),
            count(&|cell| cell.status == Status::Skipped),
            seconds(took)
        );
        for (task, host, cell) in &cells {
            case(&mut out, task, host, cell);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::record::PlayRecord;
    use super::*;
    use indexmap::IndexMap;
    use std::sync::Arc;

    #[test]
    fn a_case_for_each_task_on_each_host() {
        let cell = |status, message: &str| Cell {
            status,
            ignored: false,
            from: 100,
            to: 1350,
            message: message.into(),
            diff: String::new(),
            gates: Default::default(),
        };
        let hosts: IndexMap<Arc<str>, Cell> = [
            (Arc::from("a"), cell(Status::Changed, "")),
            (Arc::from("b"), cell(Status::Failed, "no \"room\" <here>\n\u{1b}[2J& there")),
            (Arc::from("c"), cell(Status::Unreachable, "gone")),
            (Arc::from("d"), cell(Status::Skipped, "")),
        ]
        .into_iter()
        .collect();
        let task = TaskRecord {
            title: "Write".into(),
            module: "copy".into(),
            place: "p.yml:3:7".into(),
            tags: Vec::new(),
            hosts,
        };
        let play = PlayRecord { name: "etcd".into(), tasks: vec![(crate::plan::StepId(1), task)] };
        let run = RunRecord {
            playbooks: vec!["p.yml".into()],
            took: 2000,
            plays: vec![play],
            ..RunRecord::default()
        };
        assert_eq!(
            page(&run),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="p.yml" time="2.000">
  <testsuite name="etcd" tests="4" failures="1" errors="1" skipped="1" time="5.000">
    <testcase classname="p.yml:3:7" name="Write [a]" time="1.250"/>
    <testcase classname="p.yml:3:7" name="Write [b]" time="1.250"><failure message="no &quot;room&quot; &lt;here&gt;&#10;[2J&amp; there" type="failed">no &quot;room&quot; &lt;here&gt;
[2J&amp; there</failure></testcase>
    <testcase classname="p.yml:3:7" name="Write [c]" time="1.250"><error message="gone" type="unreachable">gone</error></testcase>
    <testcase classname="p.yml:3:7" name="Write [d]" time="1.250"><skipped/></testcase>
  </testsuite>
</testsuites>
"#
        );
    }
}
