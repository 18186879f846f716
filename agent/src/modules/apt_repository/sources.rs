//! `sources.list` and its directory: lines kept as they are, sources found among them.

use crate::module::Failure;
use std::collections::BTreeMap;

/// All one-line sources of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<String, Vec<Line>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Source { enabled: bool, source: String, comment: String },
    Other(String),
}

/// A source with its white space in order; nothing if it is none.
pub(super) fn parse_source(text: &str) -> Option<String> {
    let text = text.split_once(" #").map_or(text, |(source, _)| source);
    let words: Vec<&str> = text.split_whitespace().collect();
    let (kind, rest) = words.split_first()?;
    if !matches!(*kind, "deb" | "deb-src") {
        return None;
    }
    // Options may have spaces of their own.
    let joined = rest.join(" ");
    let after = match joined.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?.1.trim(),
        None => joined.as_str(),
    };
    (after.split_whitespace().count() >= 2).then(|| format!("{kind} {joined}"))
}

/// The file that a source is put into: made from its URI.
pub(super) fn suggest_name(source: &str) -> String {
    let mut text = source.trim_start_matches("deb-src ").trim_start_matches("deb ").trim();
    if let Some((_, rest)) = text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        text = rest.trim();
    }
    let uri = text.split_whitespace().next().unwrap_or_default();
    let uri = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let uri = uri.split_once('@').map_or(uri, |(_, rest)| rest);
    let words: Vec<&str> =
        uri.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{}.list", words.join("_"))
}

impl Sources {
    /// What is under `/etc/apt`.
    pub(super) fn read(directory: &str) -> Result<Sources, Failure> {
        let mut paths = vec![format!("{directory}/sources.list")];
        let listed = std::fs::read_dir(format!("{directory}/sources.list.d")).into_iter().flatten().flatten();
        paths.extend(
            listed
                .map(|entry| entry.path().to_string_lossy().into_owned())
                .filter(|path| path.ends_with(".list")),
        );
        let mut all = BTreeMap::new();
        for path in paths {
            match std::fs::read(&path) {
                Ok(bytes) => {
                    all.insert(path, String::from_utf8_lossy(&bytes).lines().map(Line::parse).collect());
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(crate::system::files::trouble("could not read", &path, &error)),
            }
        }
        Ok(Sources(all))
    }

    /// Makes a source be there: what is commented out comes alive, else it goes to the end of a file.
    pub(super) fn add(&mut self, wanted: &str, path: &str) {
        let mut found = false;
        for line in self.0.values_mut().flatten() {
            if let Line::Source { enabled, source, .. } = line
                && source == wanted
            {
                *enabled = true;
                found = true;
            }
        }
        if !found {
            let line = Line::Source { enabled: true, source: wanted.to_owned(), comment: String::new() };
            self.0.entry(path.to_owned()).or_default().push(line);
        }
    }

    /// Takes a source away; a file left empty goes with it.
    pub(super) fn remove(&mut self, unwanted: &str) {
        let mut emptied = Vec::new();
        for (path, lines) in &mut self.0 {
            let count = lines.len();
            lines.retain(
                |line| !matches!(line, Line::Source { enabled: true, source, .. } if source == unwanted),
            );
            if lines.len() < count && lines.is_empty() {
                emptied.push(path.clone());
            }
        }
        for path in emptied {
            self.0.remove(&path);
        }
    }

    /// The files' texts.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let text = |lines: &[Line]| lines.iter().map(Line::text).collect::<String>();
        self.0.iter().map(|(path, lines)| (path.clone(), text(lines))).collect()
    }
}

impl Line {
    fn parse(line: &str) -> Line {
        let trimmed = line.trim();
        let (enabled, text) = match trimmed.strip_prefix('#') {
            Some(rest) => (false, rest.trim()),
            None => (true, trimmed),
        };
        let (source, comment) = match text.split_once(" #") {
            Some((source, comment)) => (source, comment.trim()),
            None => (text, ""),
        };
        match parse_source(source) {
            Some(source) => Line::Source { enabled, source, comment: comment.to_owned() },
            None => Line::Other(line.to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Line::Other(line) => format!("{line}\n"),
            Line::Source { enabled, source, comment } => {
                let mark = if *enabled { "" } else { "# " };
                let comment = if comment.is_empty() { String::new() } else { format!(" # {comment}") };
                format!("{mark}{source}{comment}\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn lines_and_names() {
        for (line, source, name) in [
            ("deb http://x.org/debian  stable main", Some("deb http://x.org/debian stable main"), "x_org_debian.list"),
            ("deb [arch=amd64 signed-by=/k.gpg] https://u:p@x.org/d ./", Some("deb [arch=amd64 signed-by=/k.gpg] https://u:p@x.org/d ./"), "x_org_d.list"),
            ("deb-src http://x.org/debian stable main", Some("deb-src http://x.org/debian stable main"), "x_org_debian.list"),
            ("deb http://x.org", None, ""),
            ("nonsense", None, ""),
        ] {
            assert_eq!(parse_source(line).as_deref(), source, "{line}");
            if let Some(source) = source {
                assert_eq!(suggest_name(source), name);
            }
        }
    }

    #[test]
    fn a_file_keeps_its_other_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sources.list");
        std::fs::write(&path, "# main\ndeb http://a/ s main # ours\n#deb http://b/ s main\n").unwrap();
        let read = || Sources::read(directory.path().to_str().unwrap()).unwrap();
        let text = |sources: &Sources| sources.texts().values().cloned().collect::<String>();
        let mut sources = read();
        sources.add("deb http://a/ s main", "/new");
        assert_eq!(text(&sources), "# main\ndeb http://a/ s main # ours\n# deb http://b/ s main\n");
        sources.add("deb http://b/ s main", "/new");
        assert_eq!(text(&sources), "# main\ndeb http://a/ s main # ours\ndeb http://b/ s main\n");
        sources.add("deb http://c/ s main", "/new");
        assert_eq!(sources.texts()["/new"], "deb http://c/ s main\n");
        sources.remove("deb http://c/ s main");
        assert!(!sources.texts().contains_key("/new"));
        sources.remove("deb http://a/ s main");
        assert_eq!(text(&sources), "# main\ndeb http://b/ s main\n");
    }
}
