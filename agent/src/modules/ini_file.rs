//! `ini_file`: one option, or section, of an INI file.
//!
//! **Invariant:** lines that the task does not name stay as they are, comments and blank lines included.

use super::edit::{self, Text};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::files;
use quorate_value::{Value, str_of};
use std::path::Path;

/// The `ini_file` module.
pub struct IniFile;

static SPEC: Spec = Spec::new("ini_file", "Keeps an option or a section of an INI file.")
    .collection("community.general")
    .params(&[
        Param::path("path").required().aliases(&["dest"]).doc("The file."),
        Param::str("section").doc("The section; without one, the lines before the first section."),
        Param::list("section_has_values", Kind::Dict)
            .options(&[
                Param::str("option").required().doc("An option that the section has to have."),
                Param::str("value").doc("Its value."),
                Param::list("values", Kind::Str).doc("Its values."),
            ])
            .doc("Among several sections of the same name, the one with these options."),
        Param::str("option").aliases(&["name"]).doc("The option; without one, the section is meant."),
        Param::str("value").doc("Its value; empty values need `allow_no_value` or are written as they are."),
        Param::list("values", Kind::Str).doc("Several values, each on a line of its own."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the file as it was."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::bool("exclusive")
            .default_bool(true)
            .doc("Other lines of the same option go; otherwise they stay."),
        Param::bool("no_extra_spaces").default_bool(false).doc("No blanks around the `=`."),
        Param::bool("ignore_spaces")
            .default_bool(false)
            .doc("A line that differs only in blanks around the `=` is right."),
        Param::bool("create").default_bool(true).doc("Makes the file where it is missing."),
        Param::bool("allow_no_value")
            .default_bool(false)
            .doc("The option may stand alone, without `=` and value."),
        Param::bool("modify_inactive_option")
            .default_bool(true)
            .doc("Turns a commented-out line of the option into the new line."),
        Param::bool("follow")
            .default_bool(false)
            .doc("Follows a link at the path; it is followed in any case here."),
    ])
    .mutually_exclusive(&[&["value", "values"]])
    .files()
    .diff();

impl Module for IniFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        edit::no_directory(path)?;
        let exists = Path::new(path).exists();
        if !exists && !args.bool("create") {
            return Err(Failure::new(format!("Destination {path} does not exist!")).with("rc", 257i64));
        }
        if args.text("state") == "present"
            && args.has("option")
            && !args.has("value")
            && !args.has("values")
            && !args.bool("allow_no_value")
        {
            return Err(Failure::new(
                "Parameter 'value(s)' must be defined if state=present and option is given",
            ));
        }
        let content = if exists {
            std::fs::read(path).map_err(|error| files::trouble("could not read", path, &error))?
        } else {
            Vec::new()
        };
        let text = Text::of(content);
        let wish = Wish::of(args, &text);
        let mut lines = edit::lines(&text.text);
        let msg = wish.edit(&mut lines);
        let after = lines.concat();
        let changed = after != text.text;
        let msg = if changed { msg } else { "OK" };
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
            edit::write(path, &text.bytes(&after), None, &wanted, ctx)?;
        }
        let mut outcome =
            Outcome::changed_if(changed).msg(msg).with("path", path).with("diff", Value::from(diff));
        if Path::new(path).exists() && wanted.apply(path, ctx, None)? {
            outcome.set_changed(true);
        }
        if let Some(copy) = backup {
            outcome.set("backup_file", copy);
        }
        Ok(outcome)
    }
}

struct Wish {
    section: Option<String>,
    has: Vec<(String, Vec<String>)>,
    option: Option<String>,
    values: Vec<String>,
    present: bool,
    exclusive: bool,
    tight: bool,
    loose: bool,
    inactive: bool,
}

impl Wish {
    fn of(args: &Args, text: &Text) -> Wish {
        let adapt = |name: &str| args.str(name).map(|value| text.adapt(value));
        let mut values: Vec<String> = args.strings("values").iter().map(|value| text.adapt(value)).collect();
        values.extend(adapt("value"));
        let mut unique = Vec::new();
        for value in values {
            if !unique.contains(&value) {
                unique.push(value);
            }
        }
        let has = args.dicts("section_has_values").into_iter().map(|entry| {
            let mut values: Vec<String> = entry.list("values").iter().map(str_of).collect();
            values.extend(entry.str("value").map(str::to_owned));
            (text.adapt(entry.text("option")), values)
        });
        Wish {
            section: adapt("section").filter(|section| !section.is_empty()),
            has: has.collect(),
            option: adapt("option"),
            values: unique,
            present: args.text("state") == "present",
            exclusive: args.bool("exclusive"),
            tight: args.bool("no_extra_spaces"),
            loose: args.bool("ignore_spaces"),
            inactive: args.bool("modify_inactive_option"),
        }
    }

    fn line(&self, value: Option<&str>) -> String {
        let option = self.option.as_deref().unwrap_or_default();
        match value {
            Some(value) if self.tight => format!("{option}={value}\n"),
            Some(value) => format!("{option} = {value}\n"),
            None => format!("{option}\n"),
        }
    }

    /// Edits the lines, and says what it did. Pure.
    fn edit(&self, lines: &mut Vec<String>) -> &'static str {
        let Some((start, end)) = self.find_section(lines) else {
            if !self.present {
                return "OK";
            }
            if lines.last().is_some_and(|last| !last.ends_with('\n')) {
                lines.push("\n".into());
            }
            if let Some(section) = &self.section {
                lines.push(format!("[{section}]\n"));
            }
            for (option, values) in &self.has {
                let wish = Wish { option: Some(option.clone()), ..self.plain() };
                lines.extend(values.iter().map(|value| wish.line(Some(value))));
            }
            lines.extend(self.new_lines());
            return if self.option.is_some() { "section and option added" } else { "only section added" };
        };
        if self.option.is_none() {
            if !self.present {
                let from = if self.section.is_some() { start.saturating_sub(1) } else { start };
                lines.drain(from..end);
                return "section removed";
            }
            return "OK";
        }
        if self.present { self.put(lines, start, end) } else { self.take(lines, start, end) }
    }

    fn plain(&self) -> Wish {
        Wish {
            section: None,
            has: Vec::new(),
            option: None,
            values: Vec::new(),
            present: true,
            exclusive: true,
            tight: self.tight,
            loose: self.loose,
            inactive: false,
        }
    }

    fn new_lines(&self) -> Vec<String> {
        if self.option.is_none() {
            return Vec::new();
        }
        if self.values.is_empty() {
            return vec![self.line(None)];
        }
        self.values.iter().map(|value| self.line(Some(value))).collect()
    }

    /// Where the section's lines are, its heading not counted.
    fn find_section(&self, lines: &[String]) -> Option<(usize, usize)> {
        let heading = |line: &str| {
            let line = line.trim();
            line.starts_with('[')
                .then(|| line.split(']').next().unwrap_or(line).trim_start_matches('[').to_owned())
        };
        let next = |from: usize| {
            lines[from..].iter().position(|line| heading(line).is_some()).map_or(lines.len(), |at| from + at)
        };
        let Some(section) = &self.section else {
            let end = next(0);
            return Some((0, end)).filter(|_| !lines.is_empty() || self.has.is_empty());
        };
        for (number, line) in lines.iter().enumerate() {
            if heading(line).as_ref() == Some(section) {
                let end = next(number + 1);
                let holds = |(option, values): &(String, Vec<String>)| {
                    let found: Vec<&str> = lines[number + 1..end]
                        .iter()
                        .filter_map(|line| option_of(line, option)?.value)
                        .collect();
                    values.iter().all(|value| found.contains(&value.as_str()))
                        && (!values.is_empty()
                            || lines[number + 1..end].iter().any(|line| option_of(line, option).is_some()))
                };
                if self.has.iter().all(holds) {
                    return Some((number + 1, end));
                }
            }
        }
        None
    }

    fn put(&self, lines: &mut Vec<String>, start: usize, end: usize) -> &'static str {
        let option = self.option.as_deref().unwrap_or_default();
        let mut wanted: Vec<Option<&str>> = self.values.iter().map(|value| Some(value.as_str())).collect();
        if wanted.is_empty() {
            wanted.push(None);
        }
        let mut section: Vec<String> = lines[start..end].to_vec();
        // Lines that are right already stay where they are.
        let mut kept = vec![false; section.len()];
        wanted.retain(|value| {
            let right = section.iter().enumerate().position(|(at, line)| {
                !kept[at]
                    && option_of(line, option).is_some_and(|found| !found.inactive && found.value == *value)
            });
            if let Some(at) = right {
                kept[at] = true;
                if !self.loose {
                    section[at] = self.line(*value);
                }
            }
            right.is_none()
        });
        let mut msg = "option changed";
        // Others are changed to what is missing, active ones first.
        for inactive in [false, true] {
            if inactive && !self.inactive || !self.exclusive && !inactive {
                continue;
            }
            for at in 0..section.len() {
                if wanted.is_empty() {
                    break;
                }
                if !kept[at]
                    && option_of(&section[at], option).is_some_and(|found| found.inactive == inactive)
                {
                    section[at] = self.line(wanted.remove(0));
                    kept[at] = true;
                }
            }
        }
        if self.exclusive {
            let mut at = 0;
            section.retain(|line| {
                at += 1;
                kept[at - 1] || option_of(line, option).is_none_or(|found| found.inactive)
            });
        }
        if !wanted.is_empty() {
            msg = "option added";
            // New lines go behind the last line that says something.
            let at = section
                .iter()
                .rposition(|line| !line.trim().is_empty() && !is_comment(line))
                .map_or(0, |at| at + 1);
            if let Some(before) =
                at.checked_sub(1).map(|at| &mut section[at]).filter(|line| !line.ends_with('\n'))
            {
                before.push('\n');
            }
            let new: Vec<String> = wanted.into_iter().map(|value| self.line(value)).collect();
            section.splice(at..at, new);
        }
        if let (Some(heading), true) = (start.checked_sub(1).map(|at| &mut lines[at]), !section.is_empty())
            && !heading.ends_with('\n')
        {
            heading.push('\n');
        }
        lines.splice(start..end, section);
        msg
    }

    fn take(&self, lines: &mut Vec<String>, start: usize, end: usize) -> &'static str {
        let option = self.option.as_deref().unwrap_or_default();
        let section: Vec<String> = lines[start..end]
            .iter()
            .filter(|line| {
                option_of(line, option).is_none_or(|found| {
                    let named = self.values.is_empty()
                        || found.value.is_some_and(|v| self.values.iter().any(|w| w == v));
                    found.inactive || !(self.exclusive || named)
                })
            })
            .cloned()
            .collect();
        lines.splice(start..end, section);
        "option changed"
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

/// A line that sets an option.
struct Found<'a> {
    value: Option<&'a str>,
    inactive: bool,
}

fn option_of<'a>(line: &'a str, option: &str) -> Option<Found<'a>> {
    let trimmed = line.trim_start_matches([' ', '\t']);
    let active = trimmed.trim_start_matches(['#', ';']);
    let inactive = active.len() < trimmed.len();
    let rest = active.trim_start_matches([' ', '\t']).strip_prefix(option)?;
    let rest = rest.trim_end_matches(['\r', '\n']);
    match rest.trim_start_matches([' ', '\t']).strip_prefix('=') {
        Some(value) => Some(Found { value: Some(value.trim_matches([' ', '\t'])), inactive }),
        None if rest.trim().is_empty() => Some(Found { value: None, inactive }),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::{Dict, dict};

    fn edit(before: &str, given: Dict) -> (String, &'static str) {
        let mut all = dict! {"path" => "/x"};
        all.update(&given);
        let checked = crate::args::check(&SPEC, "ini_file", &all, crate::args::Place::Controller);
        assert_eq!(checked.error, None);
        let wish = Wish::of(&Args::new(checked.args, &SPEC), &Text::of(Vec::new()));
        let mut lines = edit::lines(before);
        let msg = wish.edit(&mut lines);
        (lines.concat(), msg)
    }

    #[test]
    fn options_and_sections() {
        let o = |section: &str, option: &str, value: &str| dict! {"section" => section, "option" => option, "value" => value};
        for (before, given, after, msg) in [
            ("", o("a", "x", "1"), "[a]\nx = 1\n", "section and option added"),
            ("[a]\nx = 1\n", o("a", "x", "2"), "[a]\nx = 2\n", "option changed"),
            ("[a]\nx = 1\n\n[b]\n", o("a", "y", "2"), "[a]\nx = 1\ny = 2\n\n[b]\n", "option added"),
            ("[a]\n#x = 1\n", o("a", "x", "2"), "[a]\nx = 2\n", "option changed"),
            ("[a]\nx=1\nx=2\n", o("a", "x", "2"), "[a]\nx = 2\n", "option changed"),
            ("[a]\n", o("b", "x", "2"), "[a]\n[b]\nx = 2\n", "section and option added"),
            ("[a]", o("a", "x", "2"), "[a]\nx = 2\n", "option added"),
        ] {
            assert_eq!(edit(before, given), (after.to_owned(), msg), "{before:?}");
        }
        let absent = dict! {"section" => "a", "option" => "x", "state" => "absent"};
        assert_eq!(edit("[a]\nx = 1\ny = 2\n", absent).0, "[a]\ny = 2\n");
        let section = dict! {"section" => "a", "state" => "absent"};
        assert_eq!(edit("[b]\n[a]\nx = 1\n[c]\n", section).0, "[b]\n[c]\n");
        let several = dict! {
            "section" => "a", "option" => "x", "values" => Value::list([Value::from("1"), Value::from("2")]),
        };
        assert_eq!(edit("[a]\nx = 2\nx = 3\n", several.clone()).0, "[a]\nx = 2\nx = 1\n");
        let mut keep = several;
        keep.insert("exclusive", false);
        assert_eq!(edit("[a]\nx = 3\n", keep).0, "[a]\nx = 3\nx = 1\nx = 2\n");
        let tight = dict! {"section" => "a", "option" => "x", "value" => "1", "no_extra_spaces" => true};
        assert_eq!(edit("[a]\nx = 1\n", tight).0, "[a]\nx=1\n");
        let loose = dict! {"section" => "a", "option" => "x", "value" => "1", "ignore_spaces" => true};
        assert_eq!(edit("[a]\nx=1\n", loose).0, "[a]\nx=1\n");
        let none = dict! {"option" => "x", "value" => "1"};
        assert_eq!(edit("a = b\n[s]\n", none).0, "a = b\nx = 1\n[s]\n");
        let alone = dict! {"section" => "a", "option" => "skip", "allow_no_value" => true};
        assert_eq!(edit("[a]\n", alone).0, "[a]\nskip\n");
    }
}
