//! Path patterns as Python's `glob` and `fnmatch` have them.

use std::path::{Path, PathBuf};

/// Whether text matches a pattern of `*`, `?`, `[seq]`, `[!seq]`.
pub fn fnmatch(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], text[t]),
            Some(c) => (*c == text[t]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((at, from))) => {
                p = at + 1;
                t = from + 1;
                star = Some((at, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How long a `[...]` is that matches; nothing where it does not.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    let Some(length) = pattern.iter().skip(start + 1).position(|c| *c == ']') else {
        return (c == '[').then_some(1);
    };
    let end = start + 1 + length;
    let inside = &pattern[start..end];
    let mut matched = false;
    let mut at = 0;
    while at < inside.len() {
        if at + 2 < inside.len() && inside[at + 1] == '-' {
            matched |= inside[at] <= c && c <= inside[at + 2];
            at += 3;
        } else {
            matched |= inside[at] == c;
            at += 1;
        }
    }
    (matched != negated).then_some(end + 1)
}

fn magic(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// The paths that match; relative patterns start at `base`.
pub fn glob(pattern: &str, base: Option<&str>) -> Vec<PathBuf> {
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::from(base.unwrap_or("")) };
    let mut found = vec![start];
    let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let mut next = Vec::new();
        for directory in found {
            if !magic(part) {
                let path = directory.join(part);
                if !last || std::fs::symlink_metadata(&path).is_ok() {
                    next.push(path);
                }
                continue;
            }
            let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
            let mut names: Vec<_> = std::fs::read_dir(listed)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name())
                .filter(|name| {
                    let name = name.to_string_lossy();
                    fnmatch(&name, part) && (!name.starts_with('.') || part.starts_with('.'))
                })
                .collect();
            names.sort();
            next.extend(names.into_iter().map(|name| directory.join(name)));
        }
        found = next;
    }
    found.retain(|path| std::fs::symlink_metadata(path).is_ok());
    found
}

/// Whether anything matches.
pub fn matches_any(pattern: &str, base: Option<&str>) -> bool {
    !glob(pattern, base).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (text, pattern, expected) in [
            ("etcd.conf", "*.conf", true),
            ("etcd.conf", "etcd.?onf", true),
            ("a1", "a[0-9]", true),
            ("ab", "a[!0-9]", true),
            ("a]", "a[]]", true),
            ("abc", "a*d", false),
            ("", "*", true),
            ("[x", "[x", true),
        ] {
            assert_eq!(fnmatch(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn paths() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("d1")).unwrap();
        for name in ["d1/a.txt", "d1/b.txt", "d1/.hidden"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let base = directory.path().to_str().unwrap();
        assert_eq!(glob("d*/*.txt", Some(base)).len(), 2);
        assert_eq!(glob(&format!("{base}/d1/*"), None).len(), 2);
        assert!(matches_any("d1", Some(base)) && !matches_any("d2", Some(base)));
    }
}
