//! What stands beside a run in its report: an earlier run of the same playbook, and where variables came from.

use super::super::record::{Earlier, Origin};
use super::{RunRecord, escape, named, seconds, utc};
use std::fmt::Write as _;

/// Differences that are told one by one.
const LINES: usize = 100;

/// How long this run took beside another, in words; nothing where that is no difference.
fn pace(then: u64, now: u64) -> String {
    let (short, long) = (then.min(now), then.max(now));
    // a tenth, or a quarter of a second, is noise
    if long - short < 250 || (long - short) * 10 < long {
        return "took as long".to_owned();
    }
    let word = if now < then { "faster" } else { "slower" };
    format!("was {} {word}", seconds(long - short))
}

pub(super) fn earlier(out: &mut String, run: &RunRecord) {
    let Some(Earlier { id, at, took, command, lines }) = &run.earlier else { return };
    let _ = writeln!(
        out,
        "<section class=\"earlier\"><h2>Beside the run before</h2><p>Run {} of {} (<code>{}</code>) took {}; this one {}.</p>",
        escape(id),
        utc(*at),
        escape(command),
        seconds(*took),
        pace(*took, run.took)
    );
    if lines.is_empty() {
        out.push_str("<p>The same tasks ended the same way on the same hosts.</p></section>\n");
        return;
    }
    out.push_str("<ul>");
    for line in lines.iter().take(LINES) {
        let _ = write!(out, "<li>{}</li>", escape(line));
    }
    if lines.len() > LINES {
        let _ = write!(out, "<li>and {} more differences</li>", lines.len() - LINES);
    }
    out.push_str("</ul></section>\n");
}

pub(super) fn origins(out: &mut String, run: &RunRecord) {
    if run.origins.is_empty() {
        return;
    }
    out.push_str("<section><h2>Where variables came from</h2>\n<p>As inventory, playbook and command line set them; what tasks set while the run was going on won over these. Values that may be secrets are not shown.</p>\n<details><summary><span class=\"name\">");
    let _ = write!(out, "{} settings", run.origins.len());
    out.push_str("</span></summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Variables and where they came from\"><table class=\"origins\"><thead><tr><th scope=\"col\">Variable</th><th scope=\"col\">Value</th><th scope=\"col\">Set by</th><th scope=\"col\">At</th><th scope=\"col\">For</th></tr></thead><tbody>\n");
    for Origin { name, value, by, place, over, hosts } in &run.origins {
        let over = match over {
            0 => String::new(),
            1 => ", over a weaker one".to_owned(),
            n => format!(", over {n} weaker ones"),
        };
        let hosts: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td>{}{over}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            escape(value),
            escape(by),
            escape(place),
            escape(&if hosts.is_empty() { "all hosts".to_owned() } else { named(&hosts) }),
        );
    }
    out.push_str("</tbody></table></div></details></section>\n");
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn paces() {
        assert_eq!(pace(10_000, 10_400), "took as long");
        assert_eq!(pace(10, 200), "took as long");
        assert_eq!(pace(10_000, 5000), "was 5.0 s faster");
        assert_eq!(pace(5000, 65_000), "was 1 min 0 s slower");
    }
}
