//! `replace`: every match of a regular expression in a text file.

use super::edit::{self, Text};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files;
use crate::system::regex::{Flags, Regex};
use quorate_value::dict;
use std::path::Path;

/// The `replace` module.
pub struct Replace;

static SPEC: Spec = Spec::new("replace", "Replaces every match of a regular expression in a text file.")
    .params(&[
        Param::path("path").required().aliases(&["dest", "destfile", "name"]).doc("The file."),
        Param::str("regexp").required().doc("What to look for; `^` and `$` match at every line."),
        Param::str("replace")
            .default_str("")
            .doc("What to put instead; may use groups (`\\1`, `\\g<name>`). Empty removes."),
        Param::str("after").doc("Only text after this regular expression is looked at."),
        Param::str("before").doc("Only text before this regular expression is looked at."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the file as it was."),
        Param::str("validate")
            .doc("Command that has to accept the new file (`%s`) before it takes its place."),
        Param::str("encoding")
            .default_str("utf-8")
            .doc("Character set of the file; bytes outside it are kept as they are."),
    ])
    .files()
    .diff();

impl Module for Replace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        edit::no_directory(path)?;
        if !Path::new(path).exists() {
            return Err(Failure::new(format!("Path {path} does not exist !")).with("rc", 257i64));
        }
        let content = std::fs::read(path).map_err(|error| files::trouble("could not read", path, &error))?;
        let text = Text::of(content);
        let adapt = |name: &str| args.str(name).map(|value| text.adapt(value));
        let section_pattern = match (adapt("after"), adapt("before")) {
            (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
            (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
            (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
            (None, None) => None,
        };
        let (start, end) = match &section_pattern {
            None => (0, text.text.len()),
            Some(pattern) => {
                let regex =
                    Regex::new(pattern, Flags { dotall: true, ..Flags::default() }).map_err(Failure::new)?;
                let found = regex.search(&text.text).map_err(Failure::new)?;
                match found.and_then(|found| found.named("subsection")) {
                    Some(section) => section,
                    None => {
                        let msg = format!(
                            "Pattern for before/after params did not match the given file: {pattern}"
                        );
                        return Ok(Outcome::ok().msg(msg).with("rc", 0i64));
                    }
                }
            }
        };
        let regex =
            Regex::new(&text.adapt(args.text("regexp")), Flags { multiline: true, ..Flags::default() })
                .map_err(Failure::new)?;
        let section = &text.text[start..end];
        let (new, count) = regex
            .substitute(&text.adapt(args.text("replace")), section)
            .map_err(|why| Failure::new(format!("Unable to process replace due to error: {why}")))?;
        let changed = count > 0 && new != section;
        let msg = if changed { format!("{count} replacements made") } else { String::new() };
        let after = format!("{}{new}{}", &text.text[..start], &text.text[end..]);
        let mut outcome = Outcome::ok();
        if changed && ctx.diff {
            outcome.set(
                "diff",
                dict! {
                    "before_header" => path, "before" => text.shown(&text.text),
                    "after_header" => path, "after" => text.shown(&after),
                },
            );
        }
        let wanted = args.wanted();
        if changed && !ctx.check {
            if args.bool("backup")
                && let Some(copy) = files::backup(path)?
            {
                outcome.set("backup_file", copy);
            }
            edit::write(path, &text.bytes(&after), args.str("validate"), &wanted, ctx)?;
        }
        let (changed, msg, _) = edit::settle(path, &wanted, changed, &msg, ctx)?;
        outcome.set_changed(changed);
        Ok(outcome.msg(msg).with("rc", 0i64))
    }
}
