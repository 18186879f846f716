//! Which members are taken, and where they go: `include`, `exclude`, and the options of `tar` that we know.

use crate::args::Args;
use crate::system::archive::Format;
use crate::system::glob::fnmatch;
use crate::system::shlex;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How to take an archive apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Leading parts of names to drop.
    pub(super) strip: usize,
    /// Existing files are left alone.
    pub(super) keep_old: bool,
    /// Newer files are left alone.
    pub(super) keep_newer: bool,
    /// Owners in the archive count; nothing says as the user does (root keeps them).
    pub(super) same_owner: Option<bool>,
    /// Modes in the archive count even against the umask.
    pub(super) same_mode: Option<bool>,
    /// Times in the archive do not count.
    pub(super) touch: bool,
    /// zip: all files into one directory.
    pub(super) junk_paths: bool,
    pub(super) exclude: Vec<String>,
    pub(super) include: Vec<String>,
    /// Options that we do not know.
    pub(super) unknown: Vec<String>,
}

impl Options {
    pub(super) fn parse(extra: &[String], format: Format, args: &Args) -> Options {
        let mut options = Options {
            exclude: args.strings("exclude"),
            include: args.strings("include"),
            keep_newer: args.bool("keep_newer"),
            ..Options::default()
        };
        let words: Vec<String> =
            extra.iter().flat_map(|text| shlex::split(text).unwrap_or_else(|_| vec![text.clone()])).collect();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) if word.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (word.clone(), None),
            };
            if matches!(name.as_str(), "--strip-components" | "--strip" | "--exclude") && value.is_none() {
                value = words.next();
            }
            let zip = format == Format::Zip;
            match (name.as_str(), value) {
                ("--strip-components" | "--strip", Some(count)) if count.parse::<usize>().is_ok() => {
                    options.strip = count.parse().unwrap_or_default();
                }
                ("--exclude", Some(pattern)) => options.exclude.push(pattern),
                ("--no-same-owner" | "-o", _) if !zip => options.same_owner = Some(false),
                ("--same-owner", _) => options.same_owner = Some(true),
                ("--no-same-permissions", _) => options.same_mode = Some(false),
                ("-p" | "--preserve-permissions" | "--same-permissions", _) => options.same_mode = Some(true),
                ("-k" | "--keep-old-files" | "--skip-old-files", _) if !zip => options.keep_old = true,
                ("-n", _) if zip => options.keep_old = true,
                ("--keep-newer-files", _) => options.keep_newer = true,
                ("-m" | "--touch", _) if !zip => options.touch = true,
                ("-j", _) if zip => options.junk_paths = true,
                // What these ask for is what happens anyway, or is only talk.
                ("-o" | "-q" | "-qq", _) if zip => {}
                (
                    "-v"
                    | "--verbose"
                    | "--overwrite"
                    | "--wildcards"
                    | "--numeric-owner"
                    | "--no-overwrite-dir"
                    | "--show-transformed-names"
                    | "--warning",
                    _,
                ) => {}
                _ => options.unknown.push(word),
            }
        }
        options
    }

    /// Where a member goes below the destination; nothing where it is not taken. Names that lead out are an error.
    pub(super) fn place(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let plain = name.trim_start_matches("./").trim_matches('/');
        if self.exclude.iter().any(|pattern| excludes(pattern, name, plain)) {
            return Ok(None);
        }
        if !self.include.is_empty() && !self.include.iter().any(|pattern| includes(pattern, plain)) {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
                Component::ParentDir => {
                    return Err(io::Error::other(format!(
                        "the archive holds `{name}`, which leads out of it"
                    )));
                }
            }
        }
        if self.junk_paths {
            return Ok(if name.ends_with('/') { None } else { parts.last().map(PathBuf::from) });
        }
        if self.strip > 0 {
            // tar counts `./` as a part of the name, too.
            let dropped = self.strip.saturating_sub(usize::from(name.starts_with("./")));
            if parts.len() <= dropped && !(dropped == 0 && parts.is_empty()) {
                return Ok(None);
            }
            parts.drain(..dropped);
        }
        Ok(Some(parts.iter().collect()))
    }
}

/// A pattern matches a name, the end of it, or a directory above it.
fn excludes(pattern: &str, name: &str, plain: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    let bare = pattern.trim_start_matches("./");
    let hits = |text: &str| fnmatch(text, bare) || fnmatch(text, pattern);
    let mut prefix = String::new();
    for part in plain.split('/') {
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix += part;
        if hits(&prefix) || hits(&format!("./{prefix}")) {
            return true;
        }
        let mut tail = prefix.as_str();
        while let Some((_, rest)) = tail.split_once('/') {
            if hits(rest) {
                return true;
            }
            tail = rest;
        }
    }
    hits(name)
}

fn includes(pattern: &str, plain: &str) -> bool {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    fnmatch(plain, pattern) || plain.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |options: &Options, name: &str| {
            options.place(name).unwrap().map(|p| p.to_string_lossy().into_owned())
        };
        let plain = Options::default();
        assert_eq!(place(&plain, "./a/b").as_deref(), Some("a/b"));
        assert_eq!(place(&plain, "/etc/passwd").as_deref(), Some("etc/passwd"));
        assert_eq!(place(&plain, "./").as_deref(), Some(""));
        assert!(plain.place("a/../../b").is_err());
        let strip = Options { strip: 1, ..Options::default() };
        assert_eq!(place(&strip, "etcd-v3/etcd").as_deref(), Some("etcd"));
        assert_eq!(place(&strip, "etcd-v3/"), None);
        assert_eq!(place(&strip, "./a").as_deref(), Some("a"));
        let exclude = Options { exclude: vec!["d/b".into(), "*.md".into()], ..Options::default() };
        assert_eq!(place(&exclude, "./d/b"), None);
        assert_eq!(place(&exclude, "x/y.md"), None);
        assert_eq!(place(&exclude, "d/c").as_deref(), Some("d/c"));
        let include = Options { include: vec!["v/etcd".into()], ..Options::default() };
        assert_eq!(place(&include, "v/etcd").as_deref(), Some("v/etcd"));
        assert_eq!(place(&include, "v/etcdctl"), None);
    }
}
