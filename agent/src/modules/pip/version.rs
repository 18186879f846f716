//! Requirements and versions of Python packages, as far as check mode needs them (PEP 440, PEP 508).

use std::cmp::Ordering;

/// What a task asks for: a package with limits, or something that only `pip` understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    raw: String,
    plain: Option<Plain>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plain {
    name: String,
    extras: Vec<String>,
    limits: Vec<(String, String)>,
    marker: Option<String>,
}

/// `name==version` lines of `pip list`.
pub(super) fn installed(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.trim().split_once("=="))
        .map(|(name, version)| (canonical(name), version.to_owned()))
        .collect()
}

fn canonical(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_lowercase()
}

impl Requirement {
    pub(super) fn parse(text: &str) -> Requirement {
        Requirement { raw: text.to_owned(), plain: plain(text) }
    }

    /// A URL with version control in front, a path, an archive.
    pub(super) fn is_source(&self) -> bool {
        ["svn+", "git+", "hg+", "bzr+"].iter().any(|scheme| self.raw.contains(scheme))
    }

    pub(super) fn has_limits(&self) -> bool {
        self.plain.as_ref().is_some_and(|plain| !plain.limits.is_empty())
    }

    /// As `pip` gets it.
    pub(super) fn written(&self) -> String {
        let Some(plain) = &self.plain else { return self.raw.clone() };
        let mut text = plain.name.clone();
        if !plain.extras.is_empty() {
            text += &format!("[{}]", plain.extras.join(","));
        }
        let mut limits: Vec<String> =
            plain.limits.iter().map(|(op, version)| format!("{op}{version}")).collect();
        limits.sort();
        text += &limits.join(",");
        if let Some(marker) = &plain.marker {
            text += &format!("; {marker}");
        }
        text
    }

    pub(super) fn is_met_by(&self, (name, version): &(String, String)) -> bool {
        self.plain.as_ref().is_some_and(|plain| {
            canonical(&plain.name) == *name
                && plain.limits.iter().all(|(op, limit)| holds(op, version, limit))
        })
    }
}

fn plain(text: &str) -> Option<Plain> {
    let (text, marker) = match text.split_once(';') {
        Some((text, marker)) => (text, Some(marker.trim().to_owned())),
        None => (text, None),
    };
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    rest = rest.trim();
    let mut extras = Vec::new();
    if let Some(inner) = rest.strip_prefix('[') {
        let (list, after) = inner.split_once(']')?;
        extras = list.split(',').map(|extra| extra.trim().to_owned()).filter(|e| !e.is_empty()).collect();
        extras.sort();
        rest = after.trim();
    }
    let rest = rest.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(rest);
    let mut limits = Vec::new();
    for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let op =
            ["===", "==", "~=", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| part.starts_with(op))?;
        let version = part[op.len()..].trim();
        if version.is_empty() || version.contains(char::is_whitespace) {
            return None;
        }
        limits.push((op.to_owned(), version.to_owned()));
    }
    Some(Plain { name: name.to_owned(), extras, limits, marker })
}

fn holds(op: &str, version: &str, limit: &str) -> bool {
    if op == "===" {
        return version == limit;
    }
    if let Some(prefix) = limit.strip_suffix(".*") {
        let (have, want) = (release(version), release(prefix));
        let same = want.iter().enumerate().all(|(at, number)| have.get(at).unwrap_or(&0) == number);
        return if op == "!=" { !same } else { same };
    }
    let order = compare(version, limit);
    match op {
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        "<=" => order != Ordering::Greater,
        ">=" => order != Ordering::Less,
        "<" => order == Ordering::Less,
        ">" => order == Ordering::Greater,
        _ => {
            let mut prefix = release(limit);
            prefix.pop();
            let have = release(version);
            order != Ordering::Less
                && prefix.iter().enumerate().all(|(at, number)| have.get(at).unwrap_or(&0) == number)
        }
    }
}

fn split(version: &str) -> (u64, Vec<u64>, String) {
    let version = version.trim().trim_start_matches(['v', 'V']).to_lowercase();
    let version = version.split('+').next().unwrap_or_default().to_owned();
    let (epoch, rest) = match version.split_once('!') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest.to_owned()),
        None => (0, version.clone()),
    };
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let numbers = rest[..end].split('.').filter_map(|part| part.parse().ok()).collect();
    (epoch, numbers, rest[end..].to_owned())
}

fn release(version: &str) -> Vec<u64> {
    split(version).1
}

/// Development, alpha, beta, candidate, final, post: each with its number.
fn stage(suffix: &str) -> Vec<(i8, u64)> {
    let mut found = Vec::new();
    let mut rest = suffix.trim_start_matches(['.', '-', '_']);
    while !rest.is_empty() {
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let rank = match &rest[..letters] {
            "dev" => -4,
            "a" | "alpha" => -3,
            "b" | "beta" => -2,
            "c" | "rc" | "pre" | "preview" => -1,
            _ => 1,
        };
        rest = rest[letters..].trim_start_matches(['.', '-', '_']);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        found.push((rank, rest[..digits].parse().unwrap_or(0)));
        rest = rest[digits..].trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if letters == 0 && digits == 0 {
            break;
        }
    }
    found.push((0, 0));
    found
}

/// The order of two versions.
fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, mut a, tail_a), (epoch_b, mut b, tail_b)) = (split(a), split(b));
    let length = a.len().max(b.len());
    a.resize(length, 0);
    b.resize(length, 0);
    epoch_a.cmp(&epoch_b).then(a.cmp(&b)).then_with(|| stage(&tail_a).cmp(&stage(&tail_b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_written_as_pip_gets_them() {
        for (given, written) in [
            ("six", "six"),
            ("foo >1.0, <2", "foo<2,>1.0"),
            ("Foo_Bar[b, a]==1", "Foo_Bar[a,b]==1"),
            ("git+https://x/y#egg=z", "git+https://x/y#egg=z"),
            ("./local", "./local"),
        ] {
            assert_eq!(Requirement::parse(given).written(), written);
        }
    }

    #[test]
    fn what_is_installed_meets_limits() {
        let have = installed("Foo.Bar==1.10\nsix==1.16.0rc1\n# x\n");
        assert_eq!(have.len(), 2);
        for (wanted, expected) in [
            ("foo-bar", true),
            ("foo_bar>1.9", true),
            ("foo_bar~=1.9", true),
            ("foo_bar~=1.9.1", false),
            ("foo_bar==1.*", true),
            ("foo_bar!=1.10.0", false),
            ("foo_bar===1.10.0", false),
            ("six<1.16", true),
            ("six>=1.16", false),
            ("six>1.16.0b4,<2", true),
            ("other", false),
        ] {
            let wish = Requirement::parse(wanted);
            assert_eq!(have.iter().any(|one| wish.is_met_by(one)), expected, "{wanted}");
        }
    }
}
