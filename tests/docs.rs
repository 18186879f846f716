//! The documents: links lead somewhere, every page is in the book, and commands that are named exist.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            pages(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "md") {
            out.push(path);
        }
    }
}

/// Text without blocks of code.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            return false;
        }
        !inside
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Targets of `[text](target)`, outside of `code`.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text).lines() {
        let mut code = false;
        let plain: String = line
            .chars()
            .map(|c| {
                if c == '`' {
                    code = !code;
                }
                if code && c != '`' { ' ' } else { c }
            })
            .collect();
        for (at, _) in plain.match_indices("](") {
            if let Some(end) = plain[at + 2..].find(')') {
                found.push(line_slice(line, &plain, at + 2, end));
            }
        }
    }
    found
}

fn line_slice(line: &str, plain: &str, at: usize, length: usize) -> String {
    // the two have the same characters up to what is code, so the same columns
    let start = plain[..at].chars().count();
    let count = plain[at..at + length].chars().count();
    line.chars().skip(start).take(count).collect()
}

/// What a heading is called in an address, as mdBook and code hosts have it.
fn anchor(heading: &str) -> String {
    let text: String = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
            _ => None,
        })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    prose(text).lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut all =
        vec![root().join("README.md"), root().join("ARCHITECTURE.md"), root().join("CONTRIBUTING.md")];
    pages(&root().join("docs"), &mut all);
    assert!(all.len() > 20);
    let mut broken = Vec::new();
    let mut count = 0;
    for page in &all {
        let text = std::fs::read_to_string(page).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (path, part) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let bad = !target.exists()
                || (!part.is_empty()
                    && target.extension().is_some_and(|ext| ext == "md")
                    && !anchors(&std::fs::read_to_string(&target).unwrap()).contains(part));
            if bad {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(count > 40, "only {count} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_is_in_the_book() {
    let docs = root().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<PathBuf> = links(&summary).into_iter().map(|link| docs.join(link)).collect();
    let mut there = Vec::new();
    pages(&docs, &mut there);
    there.retain(|path| !path.ends_with("SUMMARY.md"));
    let there: BTreeSet<PathBuf> = there.into_iter().collect();
    assert_eq!(there.difference(&listed).collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "not in SUMMARY.md");
    assert_eq!(
        listed.difference(&there).collect::<Vec<_>>(),
        Vec::<&PathBuf>::new(),
        "in SUMMARY.md and not there"
    );
}

#[test]
fn playbooks_that_are_named_exist() {
    let mut all = Vec::new();
    pages(&root().join("docs"), &mut all);
    let mut seen = 0;
    for page in all.iter().filter(|page| !page.components().any(|part| part.as_os_str() == "reference")) {
        let text = std::fs::read_to_string(page).unwrap();
        for word in text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '/' | '_'))) {
            let name = word.strip_prefix("./").or_else(|| word.strip_prefix("playbooks/"));
            let Some(name) = name.filter(|name| name.starts_with("etcd") && name.ends_with(".yml")) else {
                continue;
            };
            seen += 1;
            assert!(root().join("playbooks").join(name).is_file(), "{}: {word}", page.display());
        }
    }
    assert!(seen > 20, "only {seen}");
}
