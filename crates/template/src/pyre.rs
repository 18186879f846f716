//! Python's `re`: patterns translated for `fancy-regex`, and Python's way of finding, splitting and replacing.
//!
//! Differences in syntax that matter: `$` also matches before a newline at the end, `\Z` is the very end, `[` inside
//! a class is a plain character, `{` that begins no repetition is one, too, and `\<` is `<`.

use crate::error::{Error, Result};
use fancy_regex::Regex;
use quorate_value::str_repr;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

/// `re.IGNORECASE` and `re.MULTILINE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multiline: bool,
}

/// A compiled pattern.
pub(crate) struct Pattern {
    regex: Regex,
}

/// One match: the spans of its groups, the whole match first.
pub(crate) struct Match {
    pub(crate) groups: Vec<Option<(usize, usize)>>,
}

impl Match {
    pub(crate) fn span(&self) -> (usize, usize) {
        self.groups.first().copied().flatten().unwrap_or((0, 0))
    }

    pub(crate) fn text<'t>(&self, group: usize, text: &'t str) -> Option<&'t str> {
        self.groups.get(group).copied().flatten().map(|(start, end)| &text[start..end])
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    pattern: String,
    flags: Flags,
    anchored: bool,
    newline: bool,
}

/// How many compiled patterns a thread keeps.
const CACHE: usize = 500;

thread_local! {
    static COMPILED: RefCell<HashMap<Key, Rc<Pattern>>> = RefCell::default();
}

/// The pattern for searching in `text`; anchored at its beginning for `re.match`.
pub(crate) fn compile(pattern: &str, flags: Flags, anchored: bool, text: &str) -> Result<Rc<Pattern>> {
    // Only text that ends with a newline needs the slower form of `$`.
    let newline = text.ends_with('\n') && pattern.contains('$');
    let key = Key { pattern: pattern.to_owned(), flags, anchored, newline };
    if let Some(found) = COMPILED.with_borrow(|cache| cache.get(&key).cloned()) {
        return Ok(found);
    }
    let mut translated = String::new();
    if flags.ignore_case || flags.multiline {
        let _ = write!(
            translated,
            "(?{}{})",
            if flags.ignore_case { "i" } else { "" },
            if flags.multiline { "m" } else { "" }
        );
    }
    if anchored {
        translated.push_str(r"\A(?:");
    }
    translate(pattern, newline && !flags.multiline, &mut translated)?;
    if anchored {
        translated.push(')');
    }
    let regex = Regex::new(&translated).map_err(|error| {
        Error::runtime(format!("Invalid regular expression {}: {error}", str_repr(pattern)))
    })?;
    let compiled = Rc::new(Pattern { regex });
    COMPILED.with_borrow_mut(|cache| {
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.insert(key, Rc::clone(&compiled));
    });
    Ok(compiled)
}

/// Writes a Python pattern as one of `fancy-regex`.
fn translate(pattern: &str, newline: bool, out: &mut String) -> Result<()> {
    let chars: Vec<char> = pattern.chars().collect();
    check(&chars)?;
    if let Some(why) = quorate_value::pattern::refused_by_python(pattern) {
        return Err(Error::runtime(why));
    }
    let mut at = 0;
    let multiline = pattern.starts_with("(?") && pattern[..pattern.find(')').unwrap_or(0)].contains('m');
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' => at = escape(&chars, at, false, out)?,
            '[' => at = class(&chars, at, out)?,
            '{' => {
                let rest: String = chars[at..].iter().take_while(|c| **c != '}').collect();
                let closed = chars.get(at + rest.chars().count()) == Some(&'}');
                let parts: Vec<&str> = rest.splitn(2, ',').collect();
                let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
                let repetition = closed && !rest.is_empty() && rest != "," && parts.iter().all(digits);
                if repetition {
                    if rest.starts_with(',') {
                        let _ = write!(out, "{{0{rest}}}");
                    } else {
                        let _ = write!(out, "{{{rest}}}");
                    }
                    at += rest.chars().count() + 1;
                } else {
                    out.push_str(r"\{");
                }
            }
            '}' => out.push_str(r"\}"),
            '$' if newline && !multiline => out.push_str(r"(?=\n?\z)"),
            '(' if chars.get(at) == Some(&'?') && chars.get(at + 1) == Some(&'#') => {
                while chars.get(at).is_some_and(|c| *c != ')') {
                    at += 1;
                }
                at += 1;
            }
            '(' if chars.get(at) == Some(&'?') => {
                // Flags without a meaning here: `a`, `L`, `u`.
                let flags: String =
                    chars[at + 1..].iter().take_while(|c| c.is_ascii_alphabetic() || **c == '-').collect();
                let after = chars.get(at + 1 + flags.chars().count());
                if !flags.is_empty() && matches!(after, Some(')' | ':')) && !flags.starts_with('P') {
                    let kept: String = flags.chars().filter(|c| !matches!(c, 'a' | 'L' | 'u')).collect();
                    if kept.is_empty() && after == Some(&')') {
                        at += flags.chars().count() + 2;
                    } else {
                        let _ = write!(out, "(?{kept}");
                        at += 1 + flags.chars().count();
                    }
                } else {
                    out.push('(');
                }
            }
            c => out.push(c),
        }
    }
    Ok(())
}

/// Python's words for the usual mistakes.
fn check(chars: &[char]) -> Result<()> {
    let wrong = |what: &str, at: usize| Err(Error::runtime(format!("{what} at position {at}")));
    let mut open = Vec::new();
    let mut at = 0;
    // What a repetition would repeat: nothing, something, or something repeated already.
    let mut repeatable = 0;
    while let Some(&c) = chars.get(at) {
        match c {
            '\\' => {
                at += 1;
                repeatable = 1;
            }
            '[' => {
                let mut end = at + 1;
                if chars.get(end) == Some(&'^') {
                    end += 1;
                }
                let first = end;
                while chars.get(end).is_some_and(|c| *c != ']' || end == first) {
                    let (low, dash, high) = (chars.get(end), chars.get(end + 1), chars.get(end + 2));
                    if let (Some(low), Some('-'), Some(high)) = (low, dash, high)
                        && *high != ']'
                        && *low != '\\'
                        && *high != '\\'
                        && low > high
                    {
                        return wrong(&format!("bad character range {low}-{high}"), end);
                    }
                    end += if chars.get(end) == Some(&'\\') { 2 } else { 1 };
                }
                at = end;
                repeatable = 1;
            }
            '(' => {
                open.push(at);
                repeatable = 0;
                if chars.get(at + 1) == Some(&'?') {
                    at += 2;
                    // The name or the kind of the group is no pattern.
                    while chars.get(at).is_some_and(|c| !"(:>=!)".contains(*c)) {
                        at += 1;
                    }
                    if chars.get(at) == Some(&')') {
                        continue;
                    }
                }
            }
            ')' => {
                if open.pop().is_none() {
                    return wrong("unbalanced parenthesis", at);
                }
                repeatable = 1;
            }
            '|' => repeatable = 0,
            '*' | '+' | '?' => match repeatable {
                0 => return wrong("nothing to repeat", at),
                1 => {
                    repeatable = 2;
                    // Lazy and possessive repetitions.
                    if matches!(chars.get(at + 1), Some('?' | '+')) {
                        at += 1;
                    }
                }
                _ => return wrong("multiple repeat", at),
            },
            '^' => repeatable = 0,
            _ => repeatable = 1,
        }
        at += 1;
    }
    match open.pop() {
        Some(at) => wrong("missing ), unterminated subpattern", at),
        None => Ok(()),
    }
}

/// What follows a backslash; gives the position after it.
fn escape(chars: &[char], at: usize, in_class: bool, out: &mut String) -> Result<usize> {
    let Some(&c) = chars.get(at) else {
        return Err(Error::runtime(format!("bad escape (end of pattern) at position {}", at - 1)));
    };
    match c {
        'Z' if !in_class => out.push_str(r"\z"),
        'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => {
            out.push('\\');
            out.push(c);
        }
        'b' if in_class => out.push_str(r"\x08"),
        'A' | 'b' | 'B' if !in_class => {
            out.push('\\');
            out.push(c);
        }
        'x' | 'u' | 'U' => {
            let width = match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let digits: String = chars[at + 1..].iter().take(width).collect();
            if digits.len() != width || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Error::runtime(format!(
                    "incomplete escape \\{c}{digits} at position {}",
                    at - 1
                )));
            }
            let _ = write!(out, r"\x{{{digits}}}");
            return Ok(at + 1 + width);
        }
        '0' => {
            let digits: String = chars[at..].iter().take(3).take_while(|c| c.is_digit(8)).collect();
            let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
            let _ = write!(out, r"\x{{{code:x}}}");
            return Ok(at + digits.len());
        }
        '1'..='9' if !in_class => {
            out.push('\\');
            out.push(c);
        }
        c if c.is_ascii_alphanumeric() => {
            return Err(Error::runtime(format!("bad escape \\{c} at position {}", at - 1)));
        }
        c => literal(c, out),
    }
    Ok(at + 1)
}

fn literal(c: char, out: &mut String) {
    if r"\.+*?()|[]{}^$#&-~".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

/// A class in brackets; gives the position after it.
fn class(chars: &[char], mut at: usize, out: &mut String) -> Result<usize> {
    let begin = at;
    out.push('[');
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let Some(&c) = chars.get(at) else {
            return Err(Error::runtime(format!("unterminated character set at position {}", begin - 1)));
        };
        at += 1;
        match c {
            ']' if at - 1 > first => {
                out.push(']');
                return Ok(at);
            }
            '\\' => at = escape(chars, at, true, out)?,
            '[' | ']' | '&' | '~' | '^' => {
                out.push('\\');
                out.push(c);
            }
            '-' => {
                // A dash between two characters is a range; one at an end is itself.
                let last = chars.get(at) == Some(&']');
                if at - 1 == first || last {
                    out.push('\\');
                }
                out.push('-');
            }
            c => out.push(c),
        }
    }
}

impl Pattern {
    /// The first match from a byte position on.
    pub(crate) fn find(&self, text: &str, from: usize) -> Result<Option<Match>> {
        let captures = self
            .regex
            .captures_from_pos(text, from)
            .map_err(|error| Error::runtime(format!("the regular expression gave up: {error}")))?;
        Ok(captures.map(|captures| Match {
            groups: (0..captures.len())
                .map(|group| captures.get(group).map(|found| (found.start(), found.end())))
                .collect(),
        }))
    }

    /// How many groups the pattern has.
    pub(crate) fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The number of a named group.
    pub(crate) fn group_of(&self, name: &str) -> Option<usize> {
        self.regex.capture_names().position(|known| known == Some(name))
    }

    /// All matches, as `finditer` finds them.
    pub(crate) fn find_all(&self, text: &str, most: usize) -> Result<Vec<Match>> {
        let mut out: Vec<Match> = Vec::new();
        let mut at = 0;
        let mut last_empty = None;
        while at <= text.len() && out.len() < most {
            let Some(found) = self.find(text, at)? else { break };
            let (start, end) = found.span();
            let step = |at: usize| at + text[at..].chars().next().map_or(1, char::len_utf8);
            // Two empty matches never stand at one place.
            if start == end && last_empty == Some(start) {
                at = step(start);
                last_empty = None;
                continue;
            }
            if start == end {
                last_empty = Some(start);
                at = start;
            } else {
                last_empty = None;
                at = end;
            }
            out.push(found);
        }
        Ok(out)
    }

    /// `re.subn`: the new text and how many places were replaced.
    pub(crate) fn replace(&self, text: &str, replacement: &str, count: usize) -> Result<(String, usize)> {
        let parts = self.replacement(replacement)?;
        let matches = self.find_all(text, if count == 0 { usize::MAX } else { count })?;
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for found in &matches {
            crate::eval::fits(out.len(), crate::eval::MAX_TEXT)?;
            let (start, end) = found.span();
            out.push_str(&text[at..start]);
            for part in &parts {
                match part {
                    Piece::Text(literal) => out.push_str(literal),
                    Piece::Group(group) => out.push_str(found.text(*group, text).unwrap_or("")),
                }
            }
            at = end;
        }
        out.push_str(&text[at..]);
        Ok((out, matches.len()))
    }

    fn replacement(&self, text: &str) -> Result<Vec<Piece>> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            if c != '\\' {
                literal.push(c);
                continue;
            }
            let Some(&c) = chars.get(at) else {
                return Err(Error::runtime(format!("bad escape (end of pattern) at position {}", at - 1)));
            };
            at += 1;
            let group = match c {
                'g' => {
                    let name: String = chars[at..].iter().skip(1).take_while(|c| **c != '>').collect();
                    if chars.get(at) != Some(&'<') {
                        return Err(Error::runtime(format!("missing < at position {at}")));
                    }
                    if chars.get(at + 1 + name.chars().count()) != Some(&'>') {
                        return Err(Error::runtime(format!(
                            "missing >, unterminated name at position {}",
                            at + 1
                        )));
                    }
                    at += name.chars().count() + 2;
                    match name.parse::<usize>() {
                        Ok(number) => number,
                        Err(_) => self.group_of(&name).ok_or_else(|| {
                            Error::runtime(format!("unknown group name {}", str_repr(&name)))
                        })?,
                    }
                }
                '0' => {
                    let digits: String = chars[at..].iter().take(2).take_while(|c| c.is_digit(8)).collect();
                    at += digits.len();
                    let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
                    literal.extend(char::from_u32(code));
                    continue;
                }
                '1'..='9' => {
                    let mut number = c as usize - '0' as usize;
                    if let Some(&next @ '0'..='9') = chars.get(at) {
                        number = number * 10 + (next as usize - '0' as usize);
                        at += 1;
                    }
                    number
                }
                'n' => {
                    literal.push('\n');
                    continue;
                }
                't' => {
                    literal.push('\t');
                    continue;
                }
                'r' => {
                    literal.push('\r');
                    continue;
                }
                'a' | 'f' | 'v' => {
                    literal.push(match c {
                        'a' => '\u{7}',
                        'f' => '\u{c}',
                        _ => '\u{b}',
                    });
                    continue;
                }
                c if c.is_ascii_alphabetic() => {
                    return Err(Error::runtime(format!("bad escape \\{c} at position {}", at - 2)));
                }
                '\\' => {
                    literal.push('\\');
                    continue;
                }
                c => {
                    literal.push('\\');
                    literal.push(c);
                    continue;
                }
            };
            if group > self.groups() {
                return Err(Error::runtime(format!(
                    "invalid group reference {group} at position {}",
                    at - 1
                )));
            }
            parts.push(Piece::Text(std::mem::take(&mut literal)));
            parts.push(Piece::Group(group));
        }
        parts.push(Piece::Text(literal));
        Ok(parts)
    }
}

enum Piece {
    Text(String),
    Group(usize),
}

/// `re.escape`
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(pattern: &str, replacement: &str, text: &str) -> String {
        let compiled = compile(pattern, Flags::default(), false, text).unwrap();
        compiled.replace(text, replacement, 0).unwrap().0
    }

    #[test]
    fn replaces_as_python_does() {
        for (pattern, replacement, text, expected) in [
            ("x*", "-", "abxd", "-a-b--d-"),
            (r"(\w+) (\w+)", r"\2 \g<1>", "a b", "b a"),
            ("(?P<n>b)", r"[\g<n>]", "abc", "a[b]c"),
            ("(a)|(b)", r"<\1\2>", "ab", "<a><b>"),
            ("b$", "X", "ab\n", "aX\n"),
            (r"b\Z", "X", "ab\n", "ab\n"),
            ("[[]", "(", "a[b", "a(b"),
            ("{{.*?}}", "V", "a{{ x }}b", "aVb"),
            ("[^]]", "x", "a]b", "x]x"),
            ("(?<=a)b", "X", "ab", "aX"),
            (r"\<b\>", "i", "<b>", "i"),
            (r"[\w.-]+", "x", "a.b-c d", "x x"),
            ("[a&&b]", "x", "a&b", "xxx"),
            ("(?i)A", "x", "aA", "xx"),
            (r"a{,2}b", "x", "aab", "x"),
            ("é", "e", "é", "e"),
            ("#", r"\n", "a#b", "a\nb"),
        ] {
            assert_eq!(sub(pattern, replacement, text), expected, "{pattern}");
        }
    }

    #[test]
    fn mistakes() {
        for (pattern, replacement, expected) in [
            (r"\q", "", r"bad escape \q at position 0"),
            ("[a", "", "unterminated character set at position 0"),
            ("a", r"\1", "invalid group reference 1 at position 1"),
            ("a", r"\q", r"bad escape \q at position 0"),
        ] {
            let result = compile(pattern, Flags::default(), false, "a")
                .and_then(|compiled| compiled.replace("a", replacement, 0));
            assert_eq!(result.err().map(|error| error.detail().to_owned()).as_deref(), Some(expected));
        }
    }
}
