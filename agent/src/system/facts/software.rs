//! Software that playbooks ask about: Python, systemd, facter, ohai.

use super::Host;
use quorate_value::{Dict, Key, Value, dict, from_json_str};

/// Where a Python is, and its version; nothing on a host without.
pub fn python_version(host: &Host) -> Option<(String, String)> {
    let candidates =
        ["/usr/bin/python3", "/usr/libexec/platform-python", "/usr/bin/python", "/usr/local/bin/python3"];
    let path = candidates.into_iter().find(|path| host.exists(path))?;
    let said = host.ask(path, &["-V"])?;
    Some((path.to_owned(), said.trim().strip_prefix("Python ")?.to_owned()))
}

/// `python` and `python_version`; nothing on a host without.
pub fn python(host: &Host) -> Dict {
    let Some((path, version)) = python_version(host) else { return Dict::new() };
    let numbers: Vec<i64> = version
        .split('.')
        .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0))
        .collect();
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    let level = match version.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').chars().next() {
        Some('a') => "alpha",
        Some('b') => "beta",
        Some('r') => "candidate",
        _ => "final",
    };
    dict! {
        "python" => dict! {
            "executable" => path,
            "type" => "cpython",
            "has_sslcontext" => true,
            "version" => dict! {
                "major" => number(0), "minor" => number(1), "micro" => number(2),
                "releaselevel" => level, "serial" => 0i64,
            },
            "version_info" => vec![
                Value::from(number(0)), Value::from(number(1)), Value::from(number(2)),
                Value::from(level), Value::from(0i64),
            ],
        },
    }
}

/// `systemd`: version and features.
pub fn systemd(host: &Host) -> Dict {
    if !host.exists("/run/systemd/system") {
        return Dict::new();
    }
    let Some(text) = host.ask("systemctl", &["--version"]) else { return Dict::new() };
    let mut lines = text.lines();
    let version = lines
        .next()
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|text| text.parse::<i64>().ok());
    match version {
        Some(version) => dict! {
            "systemd" => dict! {"version" => version, "features" => lines.next().unwrap_or_default()},
        },
        None => Dict::new(),
    }
}

/// What another fact gatherer says, each name with its prefix.
pub fn foreign(host: &Host, program: &str, arguments: &[&str]) -> Dict {
    let Some(Value::Dict(facts)) = host.ask(program, arguments).and_then(|text| from_json_str(&text).ok())
    else {
        return Dict::new();
    };
    facts
        .iter()
        .map(|(key, value)| (Key::from(format!("{program}_{}", key.json_text())), value.clone()))
        .collect()
}
