//! The same questions to us and (recorded) to ansible-core: `tests/differential/inventory/` of the workspace.

use quorate_inventory::{
    Format, HashBehaviour, Inventory, Limit, Options, Plugin, Secrets, Show, ShowError, SourceFailure,
    Warning,
};
use quorate_value::Dict;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Beginnings of the warnings that both tools word alike.
const KEPT: [&str; 11] = [
    "Failed to parse inventory with 'ini' plugin",
    "Failed to parse inventory with 'script' plugin",
    "Failed to parse inventory with 'advanced_host_list' plugin",
    "Could not match supplied host pattern",
    "Unable to parse",
    "No inventory was parsed",
    "Skipping",
    "Found both group and host",
    "A duplicate localhost-like entry",
    "Invalid characters were found in group names",
    "Use [x:y] inclusive subscripts",
];

/// Questions whose answers differ on purpose: where, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("toml", "-i d.toml | list", "one wording for unknown keys of YAML and TOML"),
    ("toml", "-i e.toml | list --export", "one wording for unknown keys of YAML and TOML"),
    ("yaml-structure", "-i typo.yml | list", "no Python class names"),
    ("scripts", "-i badjson.sh | list", "each JSON parser has its own words"),
];

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential/inventory/cases")
}

fn unpack(text: &str, root: &Path) {
    let mut current: Option<(PathBuf, String, bool)> = None;
    let put = |file: Option<(PathBuf, String, bool)>| {
        let Some((path, text, executable)) = file else { return };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if executable {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    };
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --\n")) {
            let executable = name.ends_with(" +x");
            let path = root.join(name.trim_end_matches(" +x"));
            put(current.replace((path, String::new(), executable)));
        } else if let Some((_, text, _)) = &mut current {
            text.push_str(line);
        }
    }
    put(current);
}

/// Words of a question, with single quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in text.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[derive(Default)]
struct Question {
    sources: Vec<String>,
    options: Options,
    show: Show,
    limit: Option<String>,
    command: String,
    argument: Option<String>,
}

fn question(text: &str, root: &Path) -> Question {
    let (before, command) = text.rsplit_once(" | ").unwrap();
    let mut question = Question::default();
    question.show.secrets = Secrets::Plain;
    let mut all = words(before).into_iter().chain(words(command));
    while let Some(word) = all.next() {
        let mut next = || all.next().unwrap();
        match word.as_str() {
            "ANSIBLE_HASH_BEHAVIOUR=merge" => question.options.hash_behaviour = HashBehaviour::Merge,
            "ANSIBLE_INVENTORY_ENABLED=advanced_host_list" => {
                question.options.enabled = vec![Plugin::AdvancedHostList];
            }
            "-i" => {
                let source = next();
                let path = !source.contains(',') && !source.starts_with('/');
                question.sources.push(if path {
                    root.join(&source).to_string_lossy().into_owned()
                } else {
                    source
                });
            }
            "--playbook-dir" => question.options.playbook_dir = Some(root.join(next())),
            "--limit" => question.limit = Some(next()),
            "-e" => {
                for pair in words(&next()) {
                    let (name, value) = pair.split_once('=').unwrap();
                    question.show.extra_vars.insert(name, value);
                }
            }
            "--yaml" => question.show.format = Format::Yaml,
            "--toml" => question.show.format = Format::Toml,
            "--export" => question.show.export = true,
            "--vars" => question.show.vars = true,
            "list" | "host" | "graph" | "patterns" if question.command.is_empty() => question.command = word,
            _ => question.argument = Some(word),
        }
    }
    if question.options.playbook_dir.is_none() {
        // Ansible takes the working directory for the playbook's.
        question.options.playbook_dir = Some(root.to_path_buf());
    }
    question
}

fn answer(text: &str, root: &Path) -> String {
    let mut question = question(text, root);
    question.options.implicit_python = "PYTHON".into();
    let limit = question.limit.as_deref().map(|limit| Limit::parse(limit).unwrap());
    let loaded = Inventory::load(&question.sources, question.options);
    let inventory = loaded.inventory;
    let mut warnings: Vec<Warning> = loaded.warnings;
    let mut out = String::new();
    let shown: Result<String, ShowError>;
    match question.command.as_str() {
        "patterns" => {
            for pattern in fs::read_to_string(root.join("patterns")).unwrap().lines() {
                let found = inventory.select_within(pattern, limit.as_ref());
                let mut names: Vec<&str> =
                    found.hosts.iter().map(|host| inventory.host_name(*host).as_ref()).collect();
                if !found.errors.is_empty() {
                    names = vec!["ERROR"];
                }
                out.push_str(format!("{pattern} => {}", names.join(" ")).trim_end());
                out.push('\n');
            }
            return out;
        }
        "list" => {
            warnings.extend(inventory.select_within("all", limit.as_ref()).warnings);
            question.show.limit = limit;
            shown = inventory.show_list(&question.show);
        }
        "host" => {
            let pattern = question.argument.unwrap();
            warnings.extend(inventory.select(&pattern).warnings);
            shown = inventory.show_host(&pattern, &question.show);
        }
        "graph" => shown = inventory.show_graph(question.argument.as_deref(), &question.show),
        other => panic!("unknown question `{other}`"),
    }
    let failed = match shown {
        Ok(text) => {
            out.push_str(&text);
            None
        }
        Err(ShowError::NotOneHost | ShowError::NotAGroup) => Some(5),
        Err(ShowError::Inventory(_)) => Some(4),
        Err(ShowError::Unwritable { .. }) => Some(250),
    };
    let mut seen = BTreeSet::new();
    let failures = loaded.failures.iter().flat_map(SourceFailure::ansible_warnings);
    // Ansible says this only with `-vvv`.
    warnings.retain(|warning| !matches!(warning, Warning::RangeAsName { .. }));
    for text in warnings.iter().map(ToString::to_string).chain(failures) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if KEPT.iter().any(|kept| text.starts_with(kept)) && seen.insert(text.clone()) {
            out.push_str(&format!("!! {text}\n"));
        }
    }
    if let Some(code) = failed {
        out.push_str(&format!("!! exit {code}\n"));
    }
    out.replace(&*root.to_string_lossy(), "ROOT")
}

/// Answers with the lines that need not be equal taken out: Python's path, the order of warnings.
fn normal(text: &str) -> String {
    let (mut warnings, lines): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("!! "));
    warnings.sort_unstable();
    let mut out = String::new();
    for line in lines.into_iter().chain(warnings) {
        let line = match line.split_once("ansible_python_interpreter\": \"") {
            Some((before, _)) => format!("{before}ansible_python_interpreter\": \"PYTHON\""),
            None => line.to_owned(),
        };
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn as_ansible_core_answers() {
    let only = std::env::var("CASE").unwrap_or_default();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for entry in fs::read_dir(cases()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "case") || !name.contains(&only) {
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        unpack(&fs::read_to_string(&path).unwrap(), &root);
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
        for block in expected.split(">>> ").skip(1) {
            let (text, expected) = block.split_once('\n').unwrap();
            asked += 1;
            let (found, expected) = (normal(&answer(text, &root)), normal(expected));
            let differs = DIFFERENCES.iter().any(|(case, question, _)| *case == name && *question == text);
            if differs == (found == expected) {
                let why = if differs { "is equal now: take it out of DIFFERENCES" } else { "differs" };
                wrong.push(format!("{name}: {text}: {why}\n{}", difference(&expected, &found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} questions:\n\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 100 || !only.is_empty(), "only {asked} questions");
}

fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let show = |lines: &[&str]| -> String {
        let some: Vec<String> =
            lines.iter().skip(same.saturating_sub(2)).take(8).map(|line| format!("    {line}\n")).collect();
        some.concat()
    };
    format!("  expected:\n{}  found:\n{}", show(&expected), show(&found))
}

#[test]
fn questions_use_dicts() {
    let root = Path::new("/r");
    let question = question("-i a.yml -e 'x=1 y=2' | host h --yaml", root);
    assert_eq!(question.sources, ["/r/a.yml"]);
    assert_eq!(question.show.extra_vars, Dict::from_iter([("x", "1"), ("y", "2")]));
}
