//! `blockinfile`: a block of lines between two marks.

use super::edit::{self, Text};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files;
use crate::system::regex::{Flags, Regex};
use quorate_value::Value;
use std::path::Path;

/// The `blockinfile` module.
pub struct BlockInFile;

static SPEC: Spec = Spec::new("blockinfile", "Keeps a block of lines in a text file, between two marks.")
    .params(&[
        Param::path("path").required().aliases(&["dest", "destfile", "name"]).doc("The file."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the block should be there."),
        Param::str("marker")
            .default_str("# {mark} ANSIBLE MANAGED BLOCK")
            .doc("The lines around the block; `{mark}` becomes `marker_begin` or `marker_end`."),
        Param::str("marker_begin").default_str("BEGIN").doc("What `{mark}` becomes above the block."),
        Param::str("marker_end").default_str("END").doc("What `{mark}` becomes below the block."),
        Param::str("block")
            .aliases(&["content"])
            .default_str("")
            .doc("The lines; without any, the block is removed."),
        Param::str("insertafter").doc("Where to put a new block: after the last match of this, or `EOF`."),
        Param::str("insertbefore").doc("Where to put a new block: before the last match of this, or `BOF`."),
        Param::bool("create").default_bool(false).doc("Makes the file where it is missing."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the file as it was."),
        Param::str("validate")
            .doc("Command that has to accept the new file (`%s`) before it takes its place."),
        Param::bool("append_newline").default_bool(false).doc("Keeps an empty line below the block."),
        Param::bool("prepend_newline").default_bool(false).doc("Keeps an empty line above the block."),
    ])
    .mutually_exclusive(&[&["insertbefore", "insertafter"]])
    .files()
    .diff();

impl Module for BlockInFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        edit::no_directory(path)?;
        let exists = Path::new(path).exists();
        if !exists && args.text("state") == "absent" {
            return Ok(Outcome::ok().msg(format!("File {path} not present")));
        }
        if !exists && !args.bool("create") {
            return Err(Failure::new(format!("Path {path} does not exist !")).with("rc", 257i64));
        }
        let content = if exists {
            std::fs::read(path).map_err(|error| files::trouble("could not read", path, &error))?
        } else {
            Vec::new()
        };
        let text = Text::of(content);
        let block = Block::of(args, &text)?;
        let after = block.edit(&text.text)?;
        let (changed, msg) = if exists && after == text.text {
            (false, "")
        } else if !exists {
            (true, "File created")
        } else if block.lines.is_empty() {
            (true, "Block removed")
        } else {
            (true, "Block inserted")
        };
        let shown = |side: &str| if ctx.diff { text.shown(side) } else { String::new() };
        let diff = edit::content_diff(path, shown(&text.text), shown(&after));
        let wanted = args.wanted();
        let mut backup = None;
        if changed && !ctx.check {
            if !exists {
                edit::make_parent(path)?;
            }
            if args.bool("backup") && exists {
                backup = files::backup(path)?;
            }
            edit::write(path, &text.bytes(&after), args.str("validate"), &wanted, ctx)?;
        }
        if ctx.check && !exists {
            return Ok(Outcome::changed_if(changed).msg(msg).with("diff", Value::from(diff)));
        }
        let (changed, msg, attributes) = edit::settle(path, &wanted, changed, msg, ctx)?;
        let outcome = Outcome::changed_if(changed).msg(msg).with("diff", edit::both(diff, attributes));
        Ok(match backup {
            Some(copy) => outcome.with("backup_file", copy),
            None => outcome,
        })
    }
}

struct Block {
    begin: String,
    end: String,
    /// Marks and lines, each with its newline; empty when the block should go.
    lines: Vec<String>,
    insert: Insert,
    blank_after: bool,
    blank_before: bool,
}

enum Insert {
    Begin,
    End,
    After(Regex, bool),
    Before(Regex, bool),
}

impl Block {
    fn of(args: &Args, text: &Text) -> Result<Block, Failure> {
        let mark = |which: &str| text.adapt(&args.text("marker").replace("{mark}", args.text(which))) + "\n";
        let (begin, end) = (mark("marker_begin"), mark("marker_end"));
        let present = args.text("state") == "present";
        let content = text.adapt(args.text("block"));
        let mut lines = Vec::new();
        if present && !content.is_empty() {
            lines.push(begin.clone());
            lines.extend(edit::lines(&content));
            if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
                last.push('\n');
            }
            lines.push(end.clone());
        }
        let compile = |pattern: &str| {
            let multiline = pattern.starts_with("(?")
                && pattern.split(')').next().is_some_and(|flags| flags.contains('m'));
            Ok::<_, Failure>((
                Regex::new(&text.adapt(pattern), Flags::default()).map_err(Failure::new)?,
                multiline,
            ))
        };
        let insert = match (args.str("insertafter"), args.str("insertbefore")) {
            (None | Some("EOF"), None) => Insert::End,
            (_, Some("BOF")) => Insert::Begin,
            (Some(pattern), _) => compile(pattern).map(|(regex, whole)| Insert::After(regex, whole))?,
            (None, Some(pattern)) => compile(pattern).map(|(regex, whole)| Insert::Before(regex, whole))?,
        };
        let blank = |name: &str| present && args.bool(name);
        Ok(Block {
            begin,
            end,
            lines,
            insert,
            blank_after: blank("append_newline"),
            blank_before: blank("prepend_newline"),
        })
    }

    /// The text with the block in its place; pure.
    fn edit(&self, text: &str) -> Result<String, Failure> {
        let mut lines = edit::lines(text);
        let last = |wanted: &str| lines.iter().rposition(|line| line == wanted);
        let mut at = match (last(&self.begin), last(&self.end)) {
            (Some(begin), Some(end)) => {
                let (from, to) = (begin.min(end), begin.max(end));
                lines.drain(from..=to);
                from
            }
            _ => self.place(text, &lines)?,
        };
        if let Some(before) =
            at.checked_sub(1).and_then(|at| lines.get_mut(at)).filter(|line| !line.ends_with('\n'))
        {
            before.push('\n');
        }
        if self.blank_before && at > 0 && lines[at - 1] != "\n" {
            lines.insert(at, "\n".into());
            at += 1;
        }
        lines.splice(at..at, self.lines.iter().cloned());
        let below = at + self.lines.len();
        if self.blank_after && lines.get(below).is_some_and(|line| line != "\n") {
            lines.insert(below, "\n".into());
        }
        Ok(lines.concat())
    }

    /// Where a new block goes.
    fn place(&self, text: &str, lines: &[String]) -> Result<usize, Failure> {
        let (regex, whole, after) = match &self.insert {
            Insert::Begin => return Ok(0),
            Insert::End => return Ok(lines.len()),
            Insert::After(regex, whole) => (regex, *whole, true),
            Insert::Before(regex, whole) => (regex, *whole, false),
        };
        if whole {
            // A pattern over several lines is searched in the whole text; the last match counts.
            let (mut from, mut found) = (0, None);
            while let Some(hit) = regex.search_from(text, from).map_err(Failure::new)? {
                found = Some(if after { hit.end() } else { hit.start() });
                from = hit.end().max(hit.start() + 1);
                if from > text.len() || !text.is_char_boundary(from) {
                    break;
                }
            }
            return Ok(match found {
                None => lines.len(),
                // After the line in which the match ends, even where it ends with that line's newline: as Ansible does.
                Some(offset) => (text[..offset].matches('\n').count() + usize::from(after)).min(lines.len()),
            });
        }
        let mut found = None;
        for (number, line) in lines.iter().enumerate() {
            if regex.found_in(line).map_err(Failure::new)? {
                found = Some(number);
            }
        }
        Ok(found.map_or(lines.len(), |number| number + usize::from(after)))
    }
}
