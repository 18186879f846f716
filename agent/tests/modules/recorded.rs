//! Results recorded from ansible-core 2.19: same task, same prepared directory, same answers and files.
//!
//! `recorded.jsonl` holds one case a line: `setup` (shell, in an empty directory written as `@@`), `module`, `args`,
//! `check`, and what two runs answered; `no_tree` leaves the files out. What depends on time, file system or user is left out or replaced.

use super::{check, run};
use quorate_agent::system::regex::{Flags, Regex};
use quorate_value::{Dict, Value, from_json_str, to_json};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

const DROPPED: &[&str] = &[
    "stdout_lines",
    "stderr_lines",
    "skipped_paths",
    "_cause",
    "hint",
    "deprecations",
    "warnings",
    "invocation",
];
const VOLATILE: &[&str] = &[
    "inode",
    "dev",
    "block_size",
    "blocks",
    "device_type",
    "version",
    "attributes",
    "attr_flags",
    "mimetype",
    "charset",
];

struct World {
    root: String,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
}

impl World {
    fn clean(&self, value: &Value) -> Value {
        match value {
            Value::Dict(entries) => self.clean_dict(entries),
            Value::List(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.clean(item)).collect();
                if items.iter().all(|item| item.get("path").is_some()) {
                    items.sort_by_key(|item| item.get("path").and_then(Value::as_str).map(str::to_owned));
                }
                Value::list(items)
            }
            Value::Float(number) if (number - now()).abs() < 1e5 => Value::from("T"),
            Value::Str(text) => Value::from(self.clean_text(text)),
            other => other.clone(),
        }
    }

    fn clean_dict(&self, entries: &Dict) -> Value {
        let has = |key: &str| entries.get(key).is_some_and(Value::is_truthy);
        let state = entries.get("state").and_then(Value::as_str).unwrap_or_default();
        // Their size depends on the file system, and on where the directory of this test is.
        let sized = !(has("isdir") || has("islnk") || matches!(state, "directory" | "link"));
        let stat = entries.contains_key("isreg");
        let mut out = Dict::new();
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            if DROPPED.contains(&name) || stat && VOLATILE.contains(&name) || !sized && name == "size" {
                continue;
            }
            let same = |own: &str| value.as_str() == Some(own);
            let me = match name {
                "uid" => value.as_int() == Some(i64::from(self.uid)),
                "gid" => value.as_int() == Some(i64::from(self.gid)),
                "owner" | "pw_name" => same(&self.user),
                "group" | "gr_name" => same(&self.group),
                _ => false,
            };
            let time = matches!(name, "atime" | "mtime" | "ctime")
                && !matches!(value, Value::Float(at) if (at - 1e9).abs() < 1.0);
            out.insert(
                key.clone(),
                if me {
                    Value::from("ME")
                } else if time && matches!(value, Value::Float(_)) {
                    Value::from("T")
                } else {
                    self.clean(value)
                },
            );
        }
        Value::dict(out)
    }

    fn clean_text(&self, text: &str) -> String {
        let text = text.replace(&self.root, "@@");
        let mut text = text;
        for (regex, by) in patterns() {
            text = regex.substitute(by, &text).unwrap().0;
        }
        text
    }

    fn tree(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut queue = vec![std::path::PathBuf::from(&self.root)];
        while let Some(directory) = queue.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let metadata = std::fs::symlink_metadata(&path).unwrap();
                let id = |id: u32, own: u32| if id == own { "ME".to_owned() } else { id.to_string() };
                let owner = format!("{}:{}", id(metadata.uid(), self.uid), id(metadata.gid(), self.gid));
                let mut says = format!("{:o} {owner}", metadata.mode());
                if metadata.is_symlink() {
                    says += &format!(" -> {}", std::fs::read_link(&path).unwrap().display());
                } else if metadata.is_file() {
                    let content = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
                    says += &format!(" n{} {content}", metadata.nlink());
                } else if metadata.is_dir() {
                    queue.push(path.clone());
                }
                let name = path.strip_prefix(&self.root).unwrap().to_string_lossy().into_owned();
                found.insert(self.clean_text(&name), says.replace(&self.root, "@@"));
            }
        }
        found
    }
}

/// What names the moment of a run.
fn patterns() -> &'static [(Regex, &'static str)] {
    static PATTERNS: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        [
            (r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~", ".BACKUP~"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "TIME"),
            (r"\d:\d\d:\d\d\.\d+", "DELTA"),
        ]
        .map(|(pattern, by)| (Regex::new(pattern, Flags::default()).unwrap(), by))
        .into()
    })
}

fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

fn prepare(root: &str, setup: &str) {
    if Path::new(root).exists() {
        std::fs::remove_dir_all(root).unwrap();
    }
    std::fs::create_dir(root).unwrap();
    // The recording was made with the usual umask.
    let script = format!("umask 022; cd {root}; {setup}");
    assert!(Command::new("sh").args(["-ec", &script]).status().unwrap().success(), "{setup}");
}

#[test]
fn answers_and_files_are_ansibles() {
    let directory = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(directory.path()).unwrap().join("d").to_string_lossy().into_owned();
    let greeting = quorate_agent::serve::greeting();
    let gid = rustix::process::getegid().as_raw();
    let world = World {
        root: root.clone(),
        uid: greeting.uid,
        gid,
        user: greeting.user,
        group: quorate_agent::system::files::group_name(gid),
    };
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in include_str!("recorded.jsonl").lines() {
        let case = from_json_str(line).unwrap();
        if case.get("root").is_some() && world.uid != 0 {
            continue;
        }
        let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap().to_owned();
        let args = from_json_str(&to_json(case.get("args").unwrap()).replace("@@", &root)).unwrap();
        let args = args.as_dict().unwrap();
        let expected = case.get("results").and_then(Value::as_list).unwrap();
        prepare(&root, &text("setup").replace("@@", &root));
        let checked = case.get("check") == Some(&Value::Bool(true));
        for (number, expected) in expected.iter().enumerate() {
            let mut result = if checked {
                check(&text("module"), args.clone())
            } else {
                run(&text("module"), args.clone())
            };
            for key in ["failed", "changed"] {
                if !result.contains_key(key) {
                    result.insert(key, false);
                }
            }
            let result = world.clean(&Value::dict(result));
            let expected = world.clean(expected);
            if result != expected {
                wrong.push(format!("{line:.200}\n run {number}:\n  is  {result:?}\n  not {expected:?}"));
            }
        }
        // what is inside a repository depends on the version of git
        if case.get("no_tree").is_some() {
            cases += 1;
            continue;
        }
        let tree: BTreeMap<String, String> = case
            .get("tree")
            .and_then(Value::as_dict)
            .unwrap()
            .iter()
            .map(|(name, says)| (name.as_str().unwrap().to_owned(), says.as_str().unwrap().to_owned()))
            .collect();
        let stands = world.tree();
        if stands != tree {
            wrong.push(format!("{line:.200}\n  is  {stands:?}\n  not {tree:?}"));
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
}
