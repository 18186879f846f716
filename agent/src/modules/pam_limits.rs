//! `pam_limits`: limits of users and groups in `limits.conf`.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};

/// The `pam_limits` module.
pub struct PamLimits;

static SPEC: Spec = Spec::new("pam_limits", "Sets limits of users and groups.")
    .collection("community.general")
    .diff()
    .params(&[
        Param::str("domain").required().doc("A user, `@group`, `*`, or a range of numbers."),
        Param::str("limit_type").required().choices(&["hard", "soft", "-"]).doc("Which limit; `-` for both."),
        Param::str("limit_item")
            .required()
            .choices(&[
                "core",
                "data",
                "fsize",
                "memlock",
                "nofile",
                "rss",
                "stack",
                "cpu",
                "nproc",
                "as",
                "maxlogins",
                "maxsyslogins",
                "priority",
                "locks",
                "sigpending",
                "msgqueue",
                "nice",
                "rtprio",
                "chroot",
            ])
            .doc("What is limited."),
        Param::str("value").required().doc("The limit: a number, `unlimited`, `infinity`, `-1`."),
        Param::bool("use_max").default_bool(false).doc("Keep a greater limit that stands there."),
        Param::bool("use_min").default_bool(false).doc("Keep a smaller limit that stands there."),
        Param::bool("backup").default_bool(false).doc("Keep a copy of what was there."),
        Param::str("dest").default_str("/etc/security/limits.conf").doc("The file."),
        Param::str("comment").default_str("").doc("A comment behind the limit."),
    ]);

impl Module for PamLimits {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        if args.bool("use_max") && args.bool("use_min") {
            return Err(Failure::new("Cannot use use_min and use_max at the same time."));
        }
        if number(args.text("value")).is_none() {
            return Err(Failure::new(
                "Argument 'value' must be one of 'unlimited', 'infinity', '-1' or a number.",
            ));
        }
        let path = args.text("dest");
        let before = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(files::trouble("could not read", path, &error)),
        };
        let key = [args.text("domain"), args.text("limit_type"), args.text("limit_item")];
        let prefer = match (args.bool("use_max"), args.bool("use_min")) {
            (true, _) => Prefer::Greater,
            (_, true) => Prefer::Smaller,
            _ => Prefer::Given,
        };
        let (after, line) = changed_file(&before, key, args.text("value"), prefer, args.text("comment"));
        let changed = after != before;
        let mut outcome = Outcome::changed_if(changed).msg(line);
        if changed {
            if !ctx.check {
                if args.bool("backup")
                    && let Some(copy) = files::backup(path)?
                {
                    outcome.set("backup_file", copy);
                }
                files::write(path, after.as_bytes(), &Wanted::default())?;
            }
            outcome = outcome.diff(Diff::texts(before, after));
        }
        Ok(outcome)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefer {
    Given,
    Greater,
    Smaller,
}

/// A limit to compare; unlimited is the greatest.
fn number(text: &str) -> Option<i64> {
    match text {
        "unlimited" | "infinity" | "-1" => Some(i64::MAX),
        text => text.parse().ok(),
    }
}

/// The file with the limit set, and the limit's line.
fn changed_file(text: &str, key: [&str; 3], value: &str, prefer: Prefer, comment: &str) -> (String, String) {
    let line_of = |value: &str, comment: &str| {
        let comment = if comment.is_empty() { String::new() } else { format!("\t#{comment}") };
        format!("{}\t{value}{comment}\n", key.join("\t"))
    };
    let mut out = String::new();
    let mut found: Option<String> = None;
    for line in text.lines() {
        let (entry, old_comment) = line.split_once('#').unwrap_or((line, ""));
        let words: Vec<&str> = entry.split_whitespace().collect();
        let mine = words.len() == 4 && words[..3] == key;
        if !mine || found.is_some() {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let old = words[3];
        let keep = match (prefer, number(old), number(value)) {
            (Prefer::Greater, Some(old), Some(new)) => old >= new,
            (Prefer::Smaller, Some(old), Some(new)) => old <= new,
            _ => old == value,
        };
        let comment = if comment.is_empty() { old_comment.trim() } else { comment };
        let new = if keep && comment == old_comment.trim() {
            format!("{line}\n")
        } else {
            line_of(if keep { old } else { value }, comment)
        };
        out.push_str(&new);
        found = Some(new);
    }
    match found {
        Some(line) => (out, line),
        None => {
            let line = line_of(value, comment);
            // The line that closes the file as it comes stays the last one.
            let at = out.find("# End of file").unwrap_or(out.len());
            out.insert_str(at, &line);
            (out, line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn limits() {
        let key = ["joe", "soft", "nofile"];
        for (before, value, prefer, comment, after) in [
            ("",                                      "64", Prefer::Given,   "",    "joe\tsoft\tnofile\t64\n"),
            ("joe soft nofile 64\n",                  "64", Prefer::Given,   "",    "joe soft nofile 64\n"),
            ("joe soft nofile 64\n",                  "70", Prefer::Greater, "hey", "joe\tsoft\tnofile\t70\t#hey\n"),
            ("joe soft nofile unlimited\n",           "70", Prefer::Greater, "",    "joe soft nofile unlimited\n"),
            ("joe soft nofile unlimited\n",           "70", Prefer::Smaller, "",    "joe\tsoft\tnofile\t70\n"),
            ("#joe soft nofile 1\nann - core 0\n# End of file\n", "64", Prefer::Given, "", "#joe soft nofile 1\nann - core 0\njoe\tsoft\tnofile\t64\n# End of file\n"),
        ] {
            assert_eq!(changed_file(before, key, value, prefer, comment).0, after, "{before:?}");
        }
    }
}
