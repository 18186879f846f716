//! What people did wrong when the syntax is broken, told from the line they wrote.
//!
//! In: libyaml's complaint and the text. Out: a [`YamlError`] in plain words, with the fix for the classic mistakes:
//! tabs, templates without quotes, a missing space after a colon, quotes that do not match, wrong indentation.

use crate::YamlError;
use crate::libyaml::{Mark, Problem};
use quorate_value::{FileId, Span};

fn line(text: &str, number: usize) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').nth(number).unwrap_or("").trim_end_matches('\r')
}

/// The template that starts at a place, up to its end on that line.
pub(crate) fn template_at(text: &str, number: usize, column: usize) -> String {
    let rest: String = line(text, number).chars().skip(column).collect();
    let rest = rest.split(" #").next().unwrap_or("").trim();
    if rest.contains("}}") || rest.contains("%}") { rest.replace('"', "'") } else { "{{ … }}".to_owned() }
}

/// Place of a byte offset.
pub(crate) fn place_of(text: &str, offset: usize) -> Mark {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { line: number(before.matches('\n').count()), column: number(before[start..].chars().count()) }
}

/// A line without its indentation and list dashes, and how many characters those were.
fn body(line: &str) -> (usize, &str) {
    let mut rest = line;
    loop {
        let next = rest.trim_start_matches([' ', '\t']);
        let next = next.strip_prefix("- ").unwrap_or(next);
        if next.len() == rest.len() {
            let before = &line[..line.len() - rest.len()];
            return (before.chars().count(), rest);
        }
        rest = next;
    }
}

/// The value of `key: value`, or the whole where there is no key; and the column where it starts.
fn value(line: &str) -> (usize, &str) {
    let (column, rest) = body(line);
    let name = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(b)).count();
    match rest[name..].strip_prefix(": ") {
        Some(after) if name > 0 => {
            let value = after.trim_start();
            (column + name + 2 + (after.len() - value.len()), value)
        }
        _ => (column, rest),
    }
}

/// `name:value`: the key that wants a space behind its colon.
fn missing_space(line: &str) -> Option<(usize, &str)> {
    let (column, rest) = body(line);
    let name = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
    let after = rest[name..].strip_prefix(':')?;
    let first = after.chars().next()?;
    (name > 0 && !first.is_whitespace() && first != ':' && first != '/')
        .then(|| (column + name, &rest[..name]))
}

/// Text behind a closing quote: `"foo" in bar`.
fn behind_quote(value: &str) -> Option<char> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let close = value[1..].find(quote)? + 2;
    let rest = value[close..].trim_start();
    (!rest.is_empty() && !rest.starts_with(['#', ':', ',', ']', '}'])).then_some(quote)
}

struct Advice {
    mark: Mark,
    message: String,
    hint: String,
}

impl Advice {
    fn at(line: u32, column: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        Advice { mark: Mark { line, column }, message: message.into(), hint: hint.into() }
    }
}

fn is_template(value: &str) -> bool {
    value.starts_with("{{") || value.starts_with("{%")
}

/// Advice that depends on what a line looks like, whatever libyaml said about it.
fn on_line(text: &str, number: u32) -> Option<Advice> {
    let line = line(text, number as usize);
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    if let Some(tab) = line[..indent].find('\t') {
        return Some(Advice::at(
            number,
            tab,
            "a tab is used for indentation",
            "Indent with spaces; YAML does not allow tabs there.",
        ));
    }
    let (column, value) = value(line);
    if is_template(value) {
        let written = template_at(text, number as usize, column);
        return Some(Advice::at(
            number,
            column,
            format!("a value that starts with `{}` must be in quotes", &value[..2]),
            format!("Write \"{written}\"."),
        ));
    }
    if let Some(quote) = behind_quote(value) {
        let other = if quote == '"' { '\'' } else { '"' };
        return Some(Advice::at(
            number,
            column,
            "a value that starts with a quote must end with it",
            format!("Put the whole value in quotes of the other kind: {other}{}{other}.", value.trim_end()),
        ));
    }
    None
}

fn of_problem(problem: &Problem, text: &str, mark: Mark) -> Option<Advice> {
    let shown = line(text, mark.line as usize);
    let at = |message: &str, hint: &str| Some(Advice { mark, message: message.into(), hint: hint.into() });
    let context = problem.context.as_ref();
    match problem.problem.as_str() {
        "found character that cannot start any token" => {
            let found = shown.chars().nth(mark.column as usize).unwrap_or(' ');
            if found == '\t' {
                return at("a tab stands where a value should start", "Use spaces in place of tabs.");
            }
            let found = if found == '`' { "a backquote".to_owned() } else { format!("`{found}`") };
            at(&format!("text cannot start with {found} outside quotes"), "Put the value in quotes.")
        }
        "mapping values are not allowed in this context" => {
            let (start, _) = body(shown);
            let before: String =
                shown.chars().skip(start).take((mark.column as usize).saturating_sub(start)).collect();
            if before.contains(": ") {
                at(
                    "a second `: ` on one line",
                    "Put the value in quotes; outside quotes a colon with a space starts a new value.",
                )
            } else if let Some((line, column, name)) = missing_space_above(text, mark.line) {
                Some(missing_space_advice(line, column, name))
            } else if let Some(advice) = no_colon_above(text, mark.line) {
                Some(advice)
            } else {
                at(
                    "a key is not expected here",
                    "Check the indentation: this line is deeper than the keys above it, or the line above already has a value.",
                )
            }
        }
        "could not find expected ':'" => {
            let start = context.map_or(mark, |(_, start)| *start);
            if let Some((column, name)) = missing_space(line(text, start.line as usize)) {
                return Some(missing_space_advice(start.line, column, name));
            }
            Some(Advice {
                mark: start,
                message: "this line is neither `key: value` nor a list item".into(),
                hint: "Write `key: value`, or indent the line if it continues the one above.".into(),
            })
        }
        "found unexpected end of stream" | "found unexpected document indicator" => {
            let (_, start) = context?;
            let quote = line(text, start.line as usize).chars().nth(start.column as usize).unwrap_or('"');
            Some(Advice {
                mark: *start,
                message: format!("the quote `{quote}` that opens here is never closed"),
                hint: format!("Close it with `{quote}`."),
            })
        }
        "did not find expected key" => at(
            "this line does not fit the mapping around it",
            "Check the indentation: keys of one mapping start in the same column.",
        ),
        "did not find expected '-' indicator" => at(
            "a list item is expected here",
            "Start the line with `- ` in the same column as the other items, or end the list by indenting less.",
        ),
        "did not find expected ',' or ']'" => at(
            "a list in brackets is not closed here",
            "Separate items with `,` and close the list with `]`; put text that starts with `[` in quotes.",
        ),
        "did not find expected ',' or '}'" => at(
            "a mapping in braces is not closed here",
            "Separate entries with `,` and close with `}`; put text that starts with `{` in quotes.",
        ),
        "did not find expected alphabetic or numeric character" => {
            let (_, start) = context?;
            let mark = line(text, start.line as usize).chars().nth(start.column as usize).unwrap_or('*');
            Some(Advice {
                mark: *start,
                message: format!("text cannot start with `{mark}` outside quotes"),
                hint: "Put the value in quotes.".into(),
            })
        }
        "block sequence entries are not allowed in this context" => {
            at("a list cannot start here", "Put the first `- ` on a line of its own, below its key.")
        }
        "found unknown escape character"
        | "did not find expected hexadecimal number"
        | "found invalid Unicode character escape code" => at(
            "this `\\` escape is not known in double quotes",
            "Write `\\\\` for a backslash, or use single quotes.",
        ),
        "found a tab character that violates indentation"
        | "found a tab character where an indentation space is expected" => {
            at("a tab is used for indentation", "Indent with spaces; YAML does not allow tabs there.")
        }
        "did not find expected <document start>" => at(
            "nothing may follow here",
            "Check the indentation: the file's value has ended on the lines above.",
        ),
        "did not find expected node content" => {
            at("a value is expected here", "Put text that starts with a special character in quotes.")
        }
        "did not find expected comment or line break" => at(
            "nothing but a comment may follow here",
            "Start the text of a block on the line below `|` or `>`.",
        ),
        _ => None,
    }
}

fn missing_space_above(text: &str, number: u32) -> Option<(u32, usize, &str)> {
    let above = number.checked_sub(1)?;
    missing_space(line(text, above as usize)).map(|(column, name)| (above, column, name))
}

/// A line of plain text where a key should be: `foo` above `a: 1`.
fn no_colon_above(text: &str, number: u32) -> Option<Advice> {
    let above = number.checked_sub(1)?;
    let (column, rest) = body(line(text, above as usize));
    let plain = rest.chars().next().is_some_and(char::is_alphanumeric) && !rest.contains([':', '#']);
    plain.then(|| {
        let message = "this line is neither `key: value` nor a list item";
        Advice::at(above, column, message, format!("Write `{}: …`, or remove the line.", rest.trim_end()))
    })
}

fn missing_space_advice(line: u32, column: usize, name: &str) -> Advice {
    Advice::at(
        line,
        column,
        format!("a space is missing behind the colon of `{name}:`"),
        format!("Write `{name}: ` with a space."),
    )
}

/// What began at the place that libyaml names as context; nothing where that helps nobody.
fn began(what: &str) -> Option<&'static str> {
    Some(match what {
        "while parsing a block mapping" | "while parsing a flow mapping" => "the mapping starts here",
        "while parsing a block collection" | "while parsing a flow sequence" => "the list starts here",
        "while scanning a block scalar" => "the block of text starts here",
        "while scanning a quoted scalar" | "while parsing a quoted scalar" => "the quoted text starts here",
        "while scanning a directive" => "the directive starts here",
        "while scanning an anchor" | "while scanning an alias" => "the name starts here",
        _ => return None,
    })
}

/// The error to show for what libyaml refused.
pub(crate) fn explain(problem: &Problem, text: &str, file: FileId) -> YamlError {
    let span = |mark: Mark| Span::new(file, mark.line.saturating_add(1), mark.column.saturating_add(1));
    let Some(mark) = problem.mark else {
        let mark = place_of(text, problem.offset);
        let what = match problem.refused {
            Some(c) => format!("the control character U+{:04X} is not allowed in YAML", u32::from(c)),
            None => problem.problem.clone(),
        };
        return YamlError::new(span(mark), what)
            .hint("Remove it, or write it as an escape such as \"\\x1b\" in double quotes.");
    };
    let unclosed = problem.problem == "found unexpected end of stream";
    let near = if unclosed { None } else { on_line(text, mark.line) };
    let near = near.or_else(|| {
        let (_, start) = problem.context.as_ref().filter(|_| !unclosed)?;
        // The start of the broken thing is only worth a look when it is the same or the line above.
        (mark.line.abs_diff(start.line) <= 1).then(|| on_line(text, start.line))?
    });
    let began = problem.context.as_ref().and_then(|(what, start)| Some((*start, began(what)?)));
    let Some(Advice { mark: at, message, hint }) = near.or_else(|| of_problem(problem, text, mark)) else {
        let error = YamlError::new(span(mark), &problem.problem).problem(&problem.problem);
        return match began {
            Some((start, what)) => error.context(span(start), what),
            None => error,
        };
    };
    let error = YamlError::new(span(at), message).hint(hint).problem(&problem.problem);
    match began {
        Some((start, what)) if start != at => error.context(span(start), what),
        _ if at.line != mark.line => error.context(span(mark), "it is noticed here"),
        _ => error,
    }
}
