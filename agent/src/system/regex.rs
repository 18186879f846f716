//! Python's `re` over `fancy-regex`: its syntax translated, its substitution rules kept.
//!
//! In: a pattern as Ansible's users write it. Out: searching, expanding, substituting as Python does.
//!
//! **Invariant:** a pattern that Python accepts means the same here; what cannot be said is an error, not a guess.

mod translate;

use fancy_regex::Captures;
use quorate_value::str_repr;

/// `re.MULTILINE` and `re.DOTALL`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    /// `^` and `$` match at every line.
    pub multiline: bool,
    /// `.` matches newlines too.
    pub dotall: bool,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Regex(fancy_regex::Regex);

/// One match: byte offsets and text of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    groups: Vec<Option<(usize, usize, String)>>,
    names: Vec<(String, usize)>,
}

impl Match {
    /// Where it starts, in bytes.
    pub fn start(&self) -> usize {
        self.groups.first().and_then(Option::as_ref).map_or(0, |group| group.0)
    }

    /// Where it ends, in bytes.
    pub fn end(&self) -> usize {
        self.groups.first().and_then(Option::as_ref).map_or(0, |group| group.1)
    }

    /// Text of a group; empty where it took no part.
    pub fn group(&self, number: usize) -> &str {
        self.groups.get(number).and_then(Option::as_ref).map_or("", |group| group.2.as_str())
    }

    /// Python's `match.groups()`: the text of each group but the whole; nothing where it took no part.
    pub fn groups(&self) -> impl Iterator<Item = Option<&str>> {
        self.groups.iter().skip(1).map(|group| group.as_ref().map(|group| group.2.as_str()))
    }

    /// Python's `match.groupdict()`.
    pub fn named_groups(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.names.iter().map(|(name, number)| {
            (name.as_str(), self.groups.get(*number).and_then(Option::as_ref).map(|group| group.2.as_str()))
        })
    }

    /// Start and end of a named group.
    pub fn named(&self, name: &str) -> Option<(usize, usize)> {
        let number = self.names.iter().find(|(known, _)| known == name)?.1;
        self.groups.get(number)?.as_ref().map(|group| (group.0, group.1))
    }

    /// Python's `match.expand(template)`.
    pub fn expand(&self, template: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = template.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('g') => {
                    if chars.next() != Some('<') {
                        return Err("missing <".into());
                    }
                    let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                    out.push_str(self.group(self.number_of(&name)?));
                }
                Some('0') => {
                    let mut code = 0;
                    for _ in 0..2 {
                        if let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) {
                            code = code * 8 + digit;
                            chars.next();
                        }
                    }
                    out.extend(char::from_u32(code));
                }
                Some(c) if c.is_ascii_digit() => {
                    let mut number = c.to_digit(10).unwrap_or(0) as usize;
                    if let Some(second) = chars.peek().and_then(|c| c.to_digit(10)) {
                        number = number * 10 + second as usize;
                        chars.next();
                    }
                    if number >= self.groups.len() {
                        return Err(format!("invalid group reference {number}"));
                    }
                    out.push_str(self.group(number));
                }
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('a') => out.push('\u{7}'),
                Some('f') => out.push('\u{c}'),
                Some('v') => out.push('\u{b}'),
                Some('b') => out.push('\u{8}'),
                Some('\\') | None => out.push('\\'),
                Some(c) if c.is_ascii_alphabetic() => return Err(format!("bad escape \\{c}")),
                Some(c) => out.extend(['\\', c]),
            }
        }
        Ok(out)
    }

    fn number_of(&self, name: &str) -> Result<usize, String> {
        let number = match name.parse::<usize>() {
            Ok(number) => Some(number),
            Err(_) => self.names.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
        };
        number
            .filter(|number| *number < self.groups.len())
            .ok_or_else(|| format!("unknown group name {}", str_repr(name)))
    }
}

impl Regex {
    /// Compiles a pattern as `re.compile(pattern, flags)`.
    pub fn new(pattern: &str, flags: Flags) -> Result<Regex, String> {
        if let Some(why) = quorate_value::pattern::refused_by_python(pattern) {
            return Err(format!("{pattern} is no regular expression: {why}"));
        }
        let translated = translate::translate(pattern, flags);
        fancy_regex::RegexBuilder::new(&translated)
            .backtrack_limit(10_000_000)
            .build()
            .map(Regex)
            .map_err(|error| format!("{pattern} is no regular expression: {error}"))
    }

    /// The first match at or after `from`.
    pub fn search_from(&self, text: &str, from: usize) -> Result<Option<Match>, String> {
        let found = self.0.captures_from_pos(text, from).map_err(|error| error.to_string())?;
        Ok(found.map(|captures| self.owned(&captures)))
    }

    /// `re.search`.
    pub fn search(&self, text: &str) -> Result<Option<Match>, String> {
        self.search_from(text, 0)
    }

    /// Whether it is found anywhere.
    pub fn found_in(&self, text: &str) -> Result<bool, String> {
        self.0.is_match(text).map_err(|error| error.to_string())
    }

    /// `re.match`: whether it is found at the very beginning.
    pub fn matches_start(&self, text: &str) -> Result<bool, String> {
        // The leftmost match is at the beginning exactly if there is one there.
        Ok(self.search(text)?.is_some_and(|found| found.start() == 0))
    }

    fn owned(&self, captures: &Captures<'_, str>) -> Match {
        Match {
            groups: captures
                .iter()
                .map(|group| group.map(|group| (group.start(), group.end(), group.as_str().to_owned())))
                .collect(),
            names: self
                .0
                .capture_names()
                .enumerate()
                .filter_map(|(number, name)| name.map(|name| (name.to_owned(), number)))
                .collect(),
        }
    }

    /// `re.subn`: the text with all matches replaced by the expanded template, and how many there were.
    pub fn substitute(&self, template: &str, text: &str) -> Result<(String, usize), String> {
        check_template(template)?;
        let (mut out, mut count) = (String::with_capacity(text.len()), 0);
        let (mut copied, mut from) = (0, 0);
        while from <= text.len() {
            let Some(found) = self.search_from(text, from)? else { break };
            out.push_str(&text[copied..found.start()]);
            out.push_str(&found.expand(template)?);
            copied = found.end();
            count += 1;
            from = found.end();
            if found.start() == found.end() {
                // An empty match is not repeated at the same place.
                from += text[from..].chars().next().map_or(1, char::len_utf8);
            }
        }
        out.push_str(&text[copied..]);
        Ok((out, count))
    }
}

/// A template is wrong whether or not anything matches.
fn check_template(template: &str) -> Result<(), String> {
    let mut chars = template.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            continue;
        }
        match chars.next() {
            Some((_, c)) if c.is_ascii_alphabetic() && !"gntrafvb".contains(c) => {
                return Err(format!("bad escape \\{c} at position {at}"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Flags = Flags { multiline: true, dotall: false };

    fn sub(pattern: &str, template: &str, text: &str) -> String {
        Regex::new(pattern, LINES).unwrap().substitute(template, text).unwrap().0
    }

    #[test]
    fn substitutes_as_python_does() {
        assert_eq!(sub("x*", "-", "abxd"), "-a-b--d-");
        assert_eq!(sub("^(.*)=(.*)$", r"\2=\1", "a=b\nc=d\n"), "b=a\nd=c\n");
        assert_eq!(sub(r"(?P<k>\w+)=", r"\g<k>:\g<0>", "a="), "a:a=");
        assert_eq!(sub("a(b)?", r"[\1]", "a ab"), "[] [b]");
        assert_eq!(sub("a", r"\n\\", "a"), "\n\\");
        assert!(Regex::new("a", LINES).unwrap().substitute(r"\d", "a").is_err());
        assert!(Regex::new("a", LINES).unwrap().substitute(r"\2", "a").is_err());
    }

    #[test]
    fn ends_and_classes_are_pythons() {
        let found = |pattern: &str, text: &str| {
            Regex::new(pattern, Flags::default()).unwrap().found_in(text).unwrap()
        };
        for (pattern, text, expected) in [
            ("^a$", "a\n", true),
            ("^a$", "a\nb", false),
            (r"a\Z", "a\n", false),
            ("[[]x", "[x", true),
            ("[]x]", "]", true),
            ("[a&&b]", "&", true),
            ("{{ x }}", "{{ x }}", true),
            ("a{2}", "aa", true),
            ("a{,2}b", "aab", true),
            (r"\<div\>", "<div>", true),
            (r"a\ b\-c\/d", "a b-c/d", true),
            ("(?#note)a", "a", true),
            (r"(?<=x)a(?!b)", "xac", true),
            (r"(a)\1", "aa", true),
            (r"\x41\101", "AA", true),
            ("(?i)ABC", "abc", true),
            (r"[\w.-]+@", "a.b-c@", true),
        ] {
            assert_eq!(found(pattern, text), expected, "{pattern} in {text:?}");
        }
        assert!(Regex::new("(", Flags::default()).is_err());
    }
}
