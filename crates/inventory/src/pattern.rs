//! Which hosts a pattern means: `web:&db:!old[0:2]`, `~regex`, `@file` in limits.
//!
//! In: the text of `hosts:` or `--limit`. Out: hosts in Ansible's order, without repetition, and what matched nothing.
//!
//! **Invariant:** no pattern panics. Checked in `tests/it/laws.rs`.
//!
//! Not here: host ranges of inventory files (`range`).

use crate::error::{Warning, nearest};
use crate::model::{HostId, Inventory, LOCALHOST};
use crate::range::split_port;
use indexmap::IndexSet;
use quorate_value::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Hosts that a pattern means.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// In Ansible's order.
    pub hosts: Vec<HostId>,
    /// Parts that matched nothing, and odd ones.
    pub warnings: Vec<Warning>,
    /// Parts that mean nothing. Ansible stops at the first.
    pub errors: Vec<PatternError>,
}

/// Why a pattern means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `~regex` pattern that is no regular expression.
    #[error("Invalid host list pattern: {pattern}")]
    Regex {
        /// The pattern.
        pattern: String,
        /// What the regex engine says.
        problem: String,
    },
    /// An index beyond the hosts that the rest of the pattern matches.
    #[error("No hosts matched the subscripted pattern '{pattern}'")]
    Subscript {
        /// The pattern.
        pattern: String,
        /// How many hosts the rest matches.
        count: usize,
    },
}

impl PatternError {
    /// The next thing to try, as an imperative sentence.
    pub fn hint(&self) -> String {
        match self {
            PatternError::Regex { problem, .. } => format!("Mend the expression behind `~`: {problem}."),
            PatternError::Subscript { count, .. } => format!(
                "Use an index from 0 to {}, or from -1 to -{count}: the pattern matches {count} hosts.",
                count.saturating_sub(1)
            ),
        }
    }
}

/// A `--limit`: patterns that further narrow every other pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limit {
    patterns: Vec<String>,
}

/// Why a limit means nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LimitError {
    /// `@file` that is not there.
    #[error("Unable to find limit file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// `@directory`.
    #[error("Limit starting with \"@\" must be a file, not a directory: {}", path.display())]
    NotAFile {
        /// The directory.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error("cannot read limit file `{}`: {problem}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
}

impl Limit {
    /// Reads the text of `--limit`; `@file` stands for the lines of a file, one pattern each.
    pub fn parse(text: &str) -> Result<Limit, LimitError> {
        let mut patterns = Vec::new();
        for pattern in split_pattern(text) {
            let Some(path) = pattern.strip_prefix('@') else {
                patterns.push(pattern);
                continue;
            };
            let path = Path::new(path).to_path_buf();
            if !path.exists() {
                return Err(LimitError::Missing { path });
            }
            if path.is_dir() {
                return Err(LimitError::NotAFile { path });
            }
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                    patterns.extend(lines.map(str::to_owned));
                }
                Err(error) => return Err(LimitError::Read { path, problem: error.to_string() }),
            }
        }
        Ok(Limit { patterns })
    }

    /// The patterns, as split.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

/// The patterns in a text: split at commas, else (where the text is no address) at colons outside brackets.
pub fn split_pattern(text: &str) -> Vec<String> {
    let pieces: Vec<&str> = if text.contains(',') {
        text.split(',').collect()
    } else if split_port(text).is_some() {
        vec![text]
    } else {
        split_at_colons(text)
    };
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

fn split_at_colons(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = None;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        // A complete bracket belongs to its pattern whatever it holds.
        let width = match c {
            '[' => text[at..].find(']').map_or(0, |end| end + 1),
            ']' | ':' => 0,
            c if c.is_whitespace() => 0,
            c => c.len_utf8(),
        };
        if width == 0 {
            pieces.extend(start.take().map(|start| &text[start..at]));
            at += c.len_utf8();
        } else {
            start.get_or_insert(at);
            at += width;
        }
    }
    pieces.extend(start.map(|start| &text[start..]));
    pieces
}

impl Inventory {
    /// The hosts that the text of a pattern means.
    pub fn select(&self, pattern: &str) -> Selection {
        self.select_patterns(&split_pattern(pattern), None)
    }

    /// The hosts that a pattern means, narrowed by a limit.
    pub fn select_within(&self, pattern: &str, limit: Option<&Limit>) -> Selection {
        self.select_patterns(&split_pattern(pattern), limit)
    }

    /// The hosts that `hosts:` of a play means: text, or a list of texts.
    pub fn select_value(&self, patterns: &Value, limit: Option<&Limit>) -> Selection {
        let patterns: Vec<String> = match patterns {
            Value::List(items) => {
                items.iter().flat_map(|item| split_pattern(&quorate_value::str_of(item))).collect()
            }
            other => split_pattern(&quorate_value::str_of(other)),
        };
        self.select_patterns(&patterns, limit)
    }

    /// The hosts that patterns mean together, narrowed by a limit.
    pub fn select_patterns(&self, patterns: &[String], limit: Option<&Limit>) -> Selection {
        let mut notes = Selection::default();
        let mut hosts = self.evaluate(patterns, &mut notes);
        if let Some(limit) = limit {
            let within: HashSet<HostId> = self.evaluate(&limit.patterns, &mut notes).into_iter().collect();
            hosts.retain(|host| within.contains(host));
        }
        Selection { hosts, ..notes }
    }

    fn evaluate(&self, patterns: &[String], notes: &mut Selection) -> Vec<HostId> {
        let starts =
            |c: char| patterns.iter().map(String::as_str).filter(move |pattern| pattern.starts_with(c));
        let mut plain: Vec<&str> = patterns
            .iter()
            .map(String::as_str)
            .filter(|p| !p.is_empty() && !p.starts_with(['&', '!']))
            .collect();
        if plain.is_empty() {
            plain.push("all");
        }
        let mut hosts: IndexSet<HostId> = IndexSet::new();
        for pattern in plain {
            hosts.extend(self.one(pattern, notes));
        }
        for pattern in starts('&') {
            let kept: HashSet<HostId> = self.one(pattern, notes).into_iter().collect();
            hosts.retain(|host| kept.contains(host));
        }
        for pattern in starts('!') {
            let gone: HashSet<HostId> = self.one(pattern, notes).into_iter().collect();
            hosts.retain(|host| !gone.contains(host));
        }
        hosts.into_iter().collect()
    }

    /// The hosts of one pattern, `&` and `!` left out of account.
    fn one(&self, pattern: &str, notes: &mut Selection) -> Vec<HostId> {
        if let Some(index) = self.hosts.get_index_of(pattern) {
            return vec![HostId(index as u32)];
        }
        let pattern = pattern.strip_prefix(['&', '!']).unwrap_or(pattern);
        if pattern.is_empty() {
            return Vec::new();
        }
        let (expression, subscript) = split_subscript(pattern, &mut notes.warnings);
        let hosts = self.matching(expression, notes);
        let Some(subscript) = subscript.filter(|_| !hosts.is_empty()) else { return hosts };
        let chosen = subscript.apply(&hosts);
        if chosen.is_empty() && matches!(subscript, Subscript::Index(_)) {
            notes.errors.push(PatternError::Subscript { pattern: pattern.to_owned(), count: hosts.len() });
        }
        chosen
    }

    fn matching(&self, pattern: &str, notes: &mut Selection) -> Vec<HostId> {
        let matcher = match Matcher::new(pattern) {
            Ok(matcher) => matcher,
            Err(problem) => {
                notes.errors.push(PatternError::Regex { pattern: pattern.to_owned(), problem });
                return Vec::new();
            }
        };
        let mut hosts = Vec::new();
        let mut any_group = false;
        for group in self.groups() {
            if matcher.matches(&self.group(group).name) {
                any_group = true;
                hosts.extend(self.hosts_of(group));
            }
        }
        if !any_group || pattern.starts_with('~') || pattern.contains(['.', '?', '*', '[']) {
            hosts.extend(self.hosts().filter(|host| matcher.matches(self.host_name(*host))));
        }
        if hosts.is_empty() && LOCALHOST.contains(&pattern) {
            hosts.extend(self.host_id(pattern));
        }
        if hosts.is_empty() && !any_group && pattern != "all" {
            let names = self.groups.keys().chain(self.hosts.keys()).map(AsRef::as_ref);
            let nearest = if pattern.starts_with('~') { Vec::new() } else { nearest(pattern, names) };
            notes.warnings.push(Warning::NoMatch { pattern: pattern.to_owned(), nearest });
        }
        hosts
    }
}

/// `[1]`, `[-1]`, `[1:3]`, `[1:]` behind a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscript {
    Index(i64),
    /// Both ends included.
    Slice(usize, usize),
}

impl Subscript {
    fn apply(self, hosts: &[HostId]) -> Vec<HostId> {
        match self {
            Subscript::Index(index) => {
                let index = if index < 0 { index + hosts.len() as i64 } else { index };
                usize::try_from(index).ok().and_then(|index| hosts.get(index)).copied().into_iter().collect()
            }
            Subscript::Slice(first, last) => {
                hosts.iter().skip(first).take(last.saturating_add(1).saturating_sub(first)).copied().collect()
            }
        }
    }
}

fn split_subscript<'a>(pattern: &'a str, warnings: &mut Vec<Warning>) -> (&'a str, Option<Subscript>) {
    let none = (pattern, None);
    if pattern.starts_with('~') {
        return none;
    }
    let Some((expression, inside)) = pattern.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else {
        return none;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A number too big to count hosts with is bigger than every count of hosts.
    let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
    if expression.is_empty() {
        return none;
    }
    if digits(inside.strip_prefix('-').unwrap_or(inside)) {
        let index = inside.parse::<i64>().unwrap_or(i64::MAX);
        return (expression, Some(Subscript::Index(index)));
    }
    let Some(at) = inside.find([':', '-']) else { return none };
    let (first, last) = (&inside[..at], &inside[at + 1..]);
    if !digits(first) || !(last.is_empty() || digits(last)) {
        return none;
    }
    if inside[at..].starts_with('-') {
        warnings.push(Warning::OldSubscript { pattern: pattern.to_owned() });
    }
    let subscript = match last {
        "" => Subscript::Slice(number(first), usize::MAX),
        // Ansible takes a last value of 0 for none.
        last if number(last) == 0 => Subscript::Index(first.parse().unwrap_or(i64::MAX)),
        last => Subscript::Slice(number(first), number(last)),
    };
    (expression, Some(subscript))
}

enum Matcher {
    Exact(String),
    Glob(Vec<Glob>),
    Regex(Box<fancy_regex::Regex>),
}

#[derive(Debug, PartialEq, Eq)]
enum Glob {
    Literal(char),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A regular expression as users of Python write them.
///
/// # Errors
/// What is wrong with it, in words; one that Python's `re` refuses is refused.
pub fn regex(expression: &str) -> Result<fancy_regex::Regex, String> {
    match quorate_value::pattern::refused_by_python(expression) {
        Some(why) => Err(why),
        None => fancy_regex::Regex::new(expression).map_err(|error| error.to_string()),
    }
}

impl Matcher {
    fn new(pattern: &str) -> Result<Matcher, String> {
        if let Some(expression) = pattern.strip_prefix('~') {
            // the expression by itself first: what is wrong with it is not wrong with what is put around it
            regex(expression)?;
            return Ok(Matcher::Regex(Box::new(regex(&format!("\\A(?:{expression})"))?)));
        }
        if pattern.contains(['*', '?', '[']) {
            return Ok(Matcher::Glob(glob(pattern)));
        }
        Ok(Matcher::Exact(pattern.to_owned()))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Matcher::Exact(exact) => exact == name,
            Matcher::Glob(glob) => glob_matches(glob, name),
            // An expression that would take for ever matches nothing.
            Matcher::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

/// A shell pattern as Python's `fnmatch` reads it.
fn glob(pattern: &str) -> Vec<Glob> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        parts.push(match c {
            '*' => Glob::Star,
            '?' => Glob::Any,
            '[' => {
                let negated = chars.get(at) == Some(&'!');
                let first = at + usize::from(negated);
                // A `]` right at the start is a member.
                let search = first + usize::from(chars.get(first) == Some(&']'));
                let end = chars.iter().skip(search).position(|c| *c == ']').map(|place| place + search);
                match end {
                    Some(end) => {
                        at = end + 1;
                        Glob::Class { negated, ranges: ranges(&chars[first..end]) }
                    }
                    None => Glob::Literal('['),
                }
            }
            c => Glob::Literal(c),
        });
    }
    parts
}

fn ranges(members: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&first) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some('-'), Some(&last)) => {
                ranges.push((first, last));
                at += 3;
            }
            _ => {
                ranges.push((first, first));
                at += 1;
            }
        }
    }
    ranges
}

fn glob_matches(glob: &[Glob], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut g, mut n) = (0, 0);
    // The last star and where it began, to come back to.
    let mut back: Option<(usize, usize)> = None;
    loop {
        let fits = match (glob.get(g), name.get(n)) {
            (None, None) => return true,
            (Some(Glob::Star), _) => {
                back = Some((g, n));
                g += 1;
                continue;
            }
            (Some(Glob::Any), Some(_)) => true,
            (Some(Glob::Literal(wanted)), Some(c)) => wanted == c,
            (Some(Glob::Class { negated, ranges }), Some(c)) => {
                ranges.iter().any(|(first, last)| (first..=last).contains(&c)) != *negated
            }
            _ => false,
        };
        if fits {
            g += 1;
            n += 1;
            continue;
        }
        match back {
            Some((star, from)) if from < name.len() => {
                back = Some((star, from + 1));
                g = star + 1;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting() {
        let cases: &[(&str, &[&str])] = &[
            ("web", &["web"]),
            ("web:db", &["web", "db"]),
            ("web:&db:!old[0:2]", &["web", "&db", "!old[0:2]"]),
            ("web[0:2]:db", &["web[0:2]", "db"]),
            ("web[0:2]", &["web[0:2]"]),
            (" web , db,", &["web", "db"]),
            ("web db", &["web", "db"]),
            ("web:22", &["web:22"]),
            ("fe80::1", &["fe80::1"]),
            ("::1", &["::1"]),
            ("web[1:-1]", &["web[1:-1]"]),
            ("a]b", &["a", "b"]),
            ("", &[]),
            ("[", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(split_pattern(text), *expected, "{text}");
        }
    }

    #[test]
    fn globs_as_fnmatch() {
        let cases = [
            ("w*", "web1", true),
            ("w*b", "web1", false),
            ("*eb*", "web1", true),
            ("?eb1", "web1", true),
            ("[we]eb1", "web1", true),
            ("web[!1]", "web1", false),
            ("web[!1]", "web2", true),
            ("web[1:-1]", "web1", true),
            ("web[-2:]", "web2", true),
            ("a[]]b", "a]b", true),
            ("a[b", "a[b", true),
            ("web[3-1]", "web2", false),
            ("*", "", true),
            ("**a", "ba", true),
            ("web[!]", "web[!]", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(glob_matches(&glob(pattern), name), expected, "{pattern} {name}");
        }
    }
}
