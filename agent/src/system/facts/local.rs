//! `local`: what the host's owner says about it, in `/etc/ansible/facts.d/*.fact`.
//!
//! A file is JSON or INI; an executable one is run and prints it.

use super::Host;
use crate::system::process::{Command, is_executable};
use quorate_value::{Dict, Value, dict, from_json_str};
use std::path::Path;

/// `local`, and what went wrong on the way.
pub fn local(host: &Host, directory: &str) -> (Dict, Vec<String>) {
    let mut warnings = Vec::new();
    let mut facts = Dict::new();
    let mut names: Vec<String> =
        host.list(directory).into_iter().filter(|name| name.ends_with(".fact")).collect();
    names.sort();
    for name in names {
        let path = host.path(&format!("{directory}/{name}"));
        let base = name.trim_end_matches(".fact");
        let shown = path.to_string_lossy().into_owned();
        let text = match contents(host, &path, &shown) {
            Ok(text) => text,
            Err(why) => {
                facts.insert(base, why.as_str());
                warnings.push(why);
                continue;
            }
        };
        match parse(&text) {
            Ok(value) => facts.insert(base, value),
            Err(why) => {
                let kind = if why.starts_with('%') || why.starts_with("'%'") { "ini" } else { "JSON or ini" };
                let why = format!("error loading facts as {kind} - please check content: {shown}: {why}");
                warnings.push(why.clone());
                facts.insert(base, why)
            }
        };
    }
    (dict! {"local" => facts}, warnings)
}

fn contents(host: &Host, path: &Path, shown: &str) -> Result<String, String> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(format!("Could not stat fact ({shown}): {}", crate::system::process::errno(&error)));
    }
    if host.is_live() && is_executable(path) {
        let command = Command::new([path]).envs(host.environment()).timeout(host.timeout());
        let output = command
            .run_quietly()
            .map_err(|error| format!("Could not execute fact script ({shown}): {error}"))?;
        if !output.ok() {
            return Err(format!(
                "Failure executing fact script ({shown}), rc: {}, err: {}",
                output.rc,
                output.stderr_text()
            ));
        }
        return Ok(output.stdout_text());
    }
    let bytes =
        std::fs::read(path).map_err(|error| format!("Could not read fact file ({shown}): {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse(text: &str) -> Result<Value, String> {
    match from_json_str(text) {
        Ok(value) => Ok(value),
        Err(_) => ini(text).and_then(interpolated).map(Value::dict),
    }
}

/// Values as `configparser` gives them: `%%` is a percent sign, `%(name)s` another option, anything else a mistake.
fn interpolated(mut sections: Dict) -> Result<Dict, String> {
    let names: Vec<_> = sections.keys().cloned().collect();
    for (section, entries) in names.iter().zip(sections.values_mut()) {
        let Value::Dict(entries) = entries else { continue };
        let known = entries.clone();
        for value in std::sync::Arc::make_mut(entries).values_mut() {
            let Some(text) = value.as_str().filter(|text| text.contains('%')).map(str::to_owned) else {
                continue;
            };
            let (mut out, mut rest) = (String::new(), text.as_str());
            while let Some(at) = rest.find('%') {
                out.push_str(&rest[..at]);
                let behind = &rest[at + 1..];
                if let Some(more) = behind.strip_prefix('%') {
                    out.push('%');
                    rest = more;
                } else if let Some((name, more)) = behind.strip_prefix('(').and_then(|r| r.split_once(")s")) {
                    let other = known.get(name.to_lowercase().as_str()).and_then(Value::as_str);
                    out.push_str(other.ok_or_else(|| {
                        format!("%({name})s in section {} names no option", section.json_text())
                    })?);
                    rest = more;
                } else {
                    return Err(format!("'%' must be followed by '%' or '(', found: '%{behind}'"));
                }
            }
            out.push_str(rest);
            *value = Value::from(out);
        }
    }
    Ok(sections)
}

/// INI as Python's `configparser` reads it: option names in lower case, `=` or `:`, continuation lines, `[DEFAULT]`.
fn ini(text: &str) -> Result<Dict, String> {
    let mut sections: Vec<(String, Dict)> = Vec::new();
    let mut defaults = Dict::new();
    let mut current: Option<String> = None;
    let mut last: Option<String> = None;
    for (nth, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let target =
            |sections: &mut Vec<(String, Dict)>, defaults: &mut Dict, key: &str, value: Value| match &current
            {
                Some(name) if name != "DEFAULT" => {
                    if let Some((_, section)) = sections.iter_mut().find(|(known, _)| known == name) {
                        section.insert(key, value);
                    }
                }
                _ => {
                    defaults.insert(key, value);
                }
            };
        if line.starts_with([' ', '\t'])
            && let (Some(key), Some(name)) = (&last, &current)
        {
            let section =
                sections.iter().find(|(known, _)| known == name).map_or(&defaults, |(_, section)| section);
            let before = section.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            target(&mut sections, &mut defaults, key, Value::from(format!("{before}\n{trimmed}")));
            continue;
        }
        if let Some(name) =
            trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name)
        {
            if name != "DEFAULT" && !sections.iter().any(|(known, _)| known == name) {
                sections.push((name.to_owned(), Dict::new()));
            }
            current = Some(name.to_owned());
            last = None;
            continue;
        }
        let (Some(_), Some(at)) = (&current, trimmed.find(['=', ':'])) else {
            return Err(format!("line {} is neither a section nor an option", nth + 1));
        };
        let key = trimmed[..at].trim().to_lowercase();
        target(&mut sections, &mut defaults, &key, Value::from(trimmed[at + 1..].trim()));
        last = Some(key);
    }
    if sections.is_empty() && current.is_none() {
        return Err("no section".into());
    }
    Ok(sections
        .into_iter()
        .map(|(name, own)| {
            let mut section = defaults.clone();
            section.update(&own);
            (name, section)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::to_json;

    #[test]
    fn contents_of_fact_files() {
        for (text, expected) in [
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
            (r#"["x"]"#, r#"["x"]"#),
            ("[general]\nOne=1\ntwo : b c\n", r#"{"general": {"one": "1", "two": "b c"}}"#),
            ("[DEFAULT]\nd=1\n[a]\nx=2\n y\n# c\n", r#"{"a": {"d": "1", "x": "2\ny"}}"#),
        ] {
            assert_eq!(to_json(&parse(text).unwrap()), expected);
        }
        assert!(parse("just words").is_err());
    }

    #[test]
    fn a_bad_file_does_not_spoil_the_others() {
        let tree = tempfile::tempdir().unwrap();
        for (name, text) in [("good.fact", "{\"a\": true}"), ("bad.fact", "words"), ("other.txt", "{}")] {
            std::fs::write(tree.path().join(name), text).unwrap();
        }
        let (facts, warnings) = local(&Host::at("/"), tree.path().to_str().unwrap());
        let local = facts.get("local").unwrap();
        assert_eq!(to_json(local.get("good").unwrap()), r#"{"a": true}"#);
        assert!(
            local.get("bad").unwrap().as_str().unwrap().starts_with("error loading facts as JSON or ini")
        );
        assert_eq!((warnings.len(), local.get("other")), (1, None));
    }
}
