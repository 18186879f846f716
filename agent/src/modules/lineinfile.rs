//! `lineinfile`: one line of a text file.

use super::edit::{self, Text};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files;
use crate::system::regex::{Flags, Match, Regex};
use quorate_value::{Dict, Value};
use std::path::Path;

/// The `lineinfile` module.
pub struct LineInFile;

static SPEC: Spec = Spec::new("lineinfile", "Makes sure that a line is in a text file, or is not.")
    .params(&[
        Param::path("path").required().aliases(&["dest", "destfile", "name"]).doc("The file."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the line should be there."),
        Param::str("regexp")
            .aliases(&["regex"])
            .doc("Regular expression for the line to replace (the last that matches) or to remove (all)."),
        Param::str("search_string").doc("Text that the line to replace or to remove contains."),
        Param::str("line")
            .aliases(&["value"])
            .doc("The line. With `backrefs` it may use groups of `regexp`."),
        Param::bool("backrefs")
            .default_bool(false)
            .doc("Expands `\\1` and the like in `line`; does nothing where `regexp` is not found."),
        Param::str("insertafter")
            .doc("Where to put a new line: after the last line that matches this, or `EOF`."),
        Param::str("insertbefore")
            .doc("Where to put a new line: before the last line that matches this, or `BOF`."),
        Param::bool("create").default_bool(false).doc("Makes the file where it is missing."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the file as it was."),
        Param::bool("firstmatch")
            .default_bool(false)
            .doc("Takes the first line that matches instead of the last."),
        Param::str("validate")
            .doc("Command that has to accept the new file (`%s`) before it takes its place."),
    ])
    .mutually_exclusive(&[
        &["insertbefore", "insertafter"],
        &["regexp", "search_string"],
        &["backrefs", "search_string"],
    ])
    .files()
    .diff();

impl Module for LineInFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        edit::no_directory(path)?;
        let outcome =
            if args.text("state") == "present" { present(path, args, ctx) } else { absent(path, args, ctx) }?;
        let empty = |name: &str| args.str(name) == Some("");
        let words = if empty("regexp") {
            Some(("regular expression", "'^'"))
        } else if empty("search_string") {
            Some(("search string", "'^' with regexp"))
        } else {
            None
        };
        Ok(match words {
            Some((what, _)) => outcome.warn(format!(
                "The {what} is an empty string, which will match every line in the file. This may have unintended consequences, such as replacing the last line in the file rather than appending.{}",
                if what == "regular expression" { " If this is desired, use '^' to match every line in the file and avoid this warning." } else { "" },
            )),
            None => outcome,
        })
    }
}

/// What to look for, and where to put a new line.
struct Search {
    regexp: Option<Regex>,
    text: Option<String>,
    insert: Insert,
    first: bool,
    backrefs: bool,
}

#[derive(Debug, Clone)]
enum Insert {
    Begin,
    End,
    After(Regex),
    Before(Regex),
}

/// What became of the lines.
#[derive(Debug, PartialEq, Eq)]
enum Edit {
    Nothing,
    Replaced,
    Added,
}

impl Search {
    fn of(args: &Args, text: &Text) -> Result<Search, Failure> {
        let compile =
            |pattern: &str| Regex::new(&text.adapt(pattern), Flags::default()).map_err(Failure::new);
        let insert = match (args.str("insertafter"), args.str("insertbefore")) {
            (Some("EOF") | None, None) => Insert::End,
            (Some("BOF"), _) | (_, Some("BOF")) => Insert::Begin,
            (Some(pattern), _) => Insert::After(compile(pattern)?),
            (None, Some(pattern)) => Insert::Before(compile(pattern)?),
        };
        Ok(Search {
            regexp: args.str("regexp").map(compile).transpose()?,
            text: args.str("search_string").map(|wanted| text.adapt(wanted)),
            insert,
            first: args.bool("firstmatch"),
            backrefs: args.bool("backrefs"),
        })
    }
}

fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Edits the lines; pure, but for what regular expressions may say.
fn edit(lines: &mut Vec<String>, line: &str, search: &Search) -> Result<Edit, String> {
    let mut matched: Option<(usize, Option<Match>)> = None;
    for (number, current) in lines.iter().enumerate() {
        let found = match (&search.regexp, &search.text) {
            (Some(regexp), _) => regexp.search(current)?.map(Some),
            (None, Some(text)) => current.contains(text.as_str()).then_some(None),
            (None, None) => None,
        };
        if let Some(found) = found {
            matched = Some((number, found));
            if search.first {
                break;
            }
        }
    }
    let (mut place, mut insert_at) = (matched.as_ref().map(|(number, _)| *number), None);
    if matched.is_none() {
        for (number, current) in lines.iter().enumerate() {
            if bare(current) == line {
                place = Some(number);
            } else if let Insert::After(regexp) | Insert::Before(regexp) = &search.insert
                && regexp.found_in(current)?
            {
                insert_at = Some(number + usize::from(matches!(search.insert, Insert::After(_))));
                if search.first {
                    break;
                }
            }
        }
    }
    if let Some(number) = place {
        let mut new = match &matched {
            Some((_, Some(found))) if search.backrefs => found.expand(line)?,
            _ => line.to_owned(),
        };
        if !new.ends_with('\n') {
            new.push('\n');
        }
        if lines[number] == new {
            return Ok(Edit::Nothing);
        }
        lines[number] = new;
        return Ok(Edit::Replaced);
    }
    if search.backrefs {
        return Ok(Edit::Nothing);
    }
    let new = format!("{line}\n");
    match (&search.insert, insert_at) {
        (Insert::Begin, _) => lines.insert(0, new),
        (Insert::End, _) | (_, None) => {
            if lines.last().is_some_and(|last| !last.ends_with(['\n', '\r'])) {
                lines.push("\n".into());
            }
            lines.push(new);
        }
        (Insert::After(_), Some(at)) if at == lines.len() => {
            if bare(&lines[at - 1]) == line {
                return Ok(Edit::Nothing);
            }
            if !lines[at - 1].ends_with(['\n', '\r']) {
                lines[at - 1].push('\n');
            }
            lines.push(new);
        }
        (Insert::After(_), Some(at)) if bare(&lines[at]) == line => return Ok(Edit::Nothing),
        (Insert::After(_) | Insert::Before(_), Some(at)) => lines.insert(at, new),
    }
    Ok(Edit::Added)
}

fn present(path: &str, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    if args.bool("backrefs") && !args.has("regexp") {
        return Err(Failure::new("regexp is required with backrefs=true"));
    }
    let Some(line) = args.str("line") else {
        return Err(Failure::new("line is required with state=present"));
    };
    let exists = Path::new(path).exists();
    if !exists && !args.bool("create") {
        return Err(Failure::new(format!("Destination {path} does not exist !")).with("rc", 257i64));
    }
    let content = if exists {
        std::fs::read(path).map_err(|error| files::trouble("could not read", path, &error))?
    } else {
        Vec::new()
    };
    let text = Text::of(content);
    let mut lines = edit::lines(&text.text);
    let search = Search::of(args, &text)?;
    let edited = edit(&mut lines, &text.adapt(line), &search).map_err(Failure::new)?;
    let msg = match edited {
        Edit::Nothing => "",
        Edit::Replaced => "line replaced",
        Edit::Added => "line added",
    };
    let after = lines.concat();
    finish(path, args, ctx, &text, &after, edited != Edit::Nothing, msg, exists)
}

fn absent(path: &str, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    if !["regexp", "search_string", "line"].into_iter().any(|name| args.has(name)) {
        return Err(Failure::new("one of line, search_string, or regexp is required with state=absent"));
    }
    if !Path::new(path).exists() {
        return Ok(Outcome::ok().msg("file not present"));
    }
    let content = std::fs::read(path).map_err(|error| files::trouble("could not read", path, &error))?;
    let text = Text::of(content);
    let search = Search::of(args, &text)?;
    let line = args.str("line").map(|line| text.adapt(line));
    let (mut kept, mut found) = (String::new(), Vec::new());
    for current in edit::lines(&text.text) {
        let goes = match (&search.regexp, &search.text) {
            (Some(regexp), _) => regexp.found_in(&current).map_err(Failure::new)?,
            (None, Some(wanted)) => current.contains(wanted.as_str()),
            (None, None) => line.as_deref() == Some(bare(&current)),
        };
        if goes {
            found.push(current);
        } else {
            kept.push_str(&current);
        }
    }
    let msg = if found.is_empty() { String::new() } else { format!("{} line(s) removed", found.len()) };
    let outcome = finish(path, args, ctx, &text, &kept, !found.is_empty(), &msg, true)?;
    Ok(outcome.with("found", found.len()))
}

fn finish(
    path: &str,
    args: &Args,
    ctx: &Ctx,
    text: &Text,
    after: &str,
    changed: bool,
    msg: &str,
    exists: bool,
) -> Result<Outcome, Failure> {
    let (before_shown, after_shown) =
        if ctx.diff { (text.shown(&text.text), text.shown(after)) } else { (String::new(), String::new()) };
    let diff = edit::content_diff(path, before_shown, after_shown);
    let wanted = args.wanted();
    let mut backup = String::new();
    if changed && !ctx.check {
        if !exists {
            edit::make_parent(path)?;
        }
        if args.bool("backup") && exists {
            backup = files::backup(path)?.unwrap_or_default();
        }
        edit::write(path, &text.bytes(after), args.str("validate"), &wanted, ctx)?;
    }
    if ctx.check && !exists {
        return Ok(Outcome::changed_if(changed)
            .msg(msg)
            .with("backup", backup)
            .with("diff", Value::from(diff)));
    }
    let (changed, msg, attributes): (bool, String, Dict) = edit::settle(path, &wanted, changed, msg, ctx)?;
    Ok(Outcome::changed_if(changed)
        .msg(msg)
        .with("backup", backup)
        .with("diff", edit::both(diff, attributes)))
}
