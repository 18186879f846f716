//! What a file of a project is, by where it lies and by what it holds.

use std::path::{Path, PathBuf};

/// What people keep in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Plays.
    Playbook,
    /// A list of tasks.
    Tasks,
    /// A list of handlers.
    Handlers,
    /// A mapping of variables, defaults included.
    Vars,
    /// A role's `meta/`.
    Meta,
    /// A template of its own.
    Template,
    /// Hosts and groups.
    Inventory,
    /// Some other file of YAML, which only has to be YAML.
    Yaml,
    /// Nothing we read.
    Other,
}

/// Folders that hold no playbooks, however many files of YAML lie there.
const SKIPPED: [&str; 9] =
    ["files", "node_modules", "target", "venv", "collections", "library", "__pycache__", "molecule", "dist"];

/// The role that a file belongs to, and the part of it: `roles/etcd/tasks/main.yml` → (`roles/etcd`, `tasks`).
pub(crate) fn role_of(path: &Path) -> Option<(PathBuf, &'static str)> {
    const PARTS: [&str; 6] = ["tasks", "handlers", "defaults", "vars", "meta", "templates"];
    let mut dir = path.parent()?;
    let mut found = None;
    while let Some(name) = dir.file_name().and_then(|name| name.to_str()) {
        let above = dir.parent()?;
        if let Some(part) = PARTS.iter().copied().find(|part| *part == name) {
            let in_roles = above.parent().and_then(Path::file_name).is_some_and(|name| name == "roles");
            // `tasks/` beside a playbook is no role
            let whole = above.join("tasks").is_dir()
                && PARTS[1..].iter().any(|part| *part != "vars" && above.join(part).is_dir());
            if in_roles || whole {
                found = Some((above.to_path_buf(), part));
            }
        }
        dir = above;
    }
    found
}

fn is_yaml(path: &Path) -> bool {
    matches!(path.extension().and_then(|ext| ext.to_str()), Some("yml" | "yaml"))
}

fn below(path: &Path, names: &[&str]) -> bool {
    let dirs = path.parent().into_iter().flat_map(Path::components);
    dirs.filter_map(|part| part.as_os_str().to_str()).any(|part| names.contains(&part))
}

/// What a file is. `text` is what it holds.
pub(crate) fn kind_of(path: &Path, text: &str) -> Kind {
    // `globals.yml` below a role's templates is no YAML before it is rendered
    let of_role = matches!(role_of(path), Some((_, "templates")));
    if of_role || path.extension().is_some_and(|ext| ext == "j2") {
        return Kind::Template;
    }
    if below(path, &["group_vars", "host_vars"]) {
        return Kind::Vars;
    }
    let in_inventory = below(path, &["inventory", "inventories"]);
    if !is_yaml(path) {
        let ini = matches!(path.extension().and_then(|ext| ext.to_str()), Some("ini") | None);
        let hosts = path.file_name().is_some_and(|name| name == "hosts");
        let script = text.starts_with("#!");
        let listed = ini && in_inventory && !script && !text.is_empty();
        return if listed || (hosts && text.contains('[')) { Kind::Inventory } else { Kind::Other };
    }
    match role_of(path).map(|(_, part)| part) {
        Some("tasks") => return Kind::Tasks,
        Some("handlers") => return Kind::Handlers,
        Some("defaults" | "vars") => return Kind::Vars,
        Some("meta") => return Kind::Meta,
        Some(_) => return Kind::Yaml,
        None => {}
    }
    by_content(text, in_inventory)
}

/// What the top of a document looks like; half-written text must do.
fn by_content(text: &str, in_inventory: bool) -> Kind {
    let lines = || {
        text.lines().filter(|line| {
            let line = line.trim();
            !(line.is_empty() || line.starts_with('#') || line == "---" || line.starts_with('%'))
        })
    };
    let Some(first) = lines().next() else { return Kind::Yaml };
    let indent = first.len() - first.trim_start().len();
    let key = |line: &str, key: &str| {
        line.trim_start()
            .trim_start_matches("- ")
            .trim_start()
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    };
    if first.trim_start().starts_with('-') {
        let shallow = |line: &&str| line.len() - line.trim_start().len() <= indent + 2;
        // most entries of a playbook are plays, and a list of tasks may have one that imports a playbook by mistake
        let items = lines().filter(|line| {
            line.trim_start().starts_with('-') && line.len() - line.trim_start().len() == indent
        });
        let starts = lines().filter(shallow).filter(|line| {
            ["hosts", "import_playbook", "ansible.builtin.import_playbook"].iter().any(|word| key(line, word))
        });
        let starts = starts.count();
        let plays = starts > 0 && 2 * starts >= items.count();
        let tasks = || {
            lines().filter(shallow).any(|line| {
                ["name", "block", "when", "include_tasks", "import_tasks"].iter().any(|word| key(line, word))
                    || line.trim_start().starts_with("- ansible.")
            })
        };
        return if plays {
            Kind::Playbook
        } else if tasks() {
            Kind::Tasks
        } else {
            Kind::Yaml
        };
    }
    if key(first, "plugin") && in_inventory {
        return Kind::Inventory;
    }
    // groups, with hosts, children or variables below each
    let groups = lines().any(|line| {
        let depth = line.len() - line.trim_start().len();
        depth > indent && depth <= indent + 4 && (key(line, "hosts") || key(line, "children"))
    }) || lines().any(|line| {
        line.len() - line.trim_start().len() == indent
            && line.contains(": {")
            && (line.contains("hosts:") || line.contains("children:"))
    });
    if groups { Kind::Inventory } else { Kind::Yaml }
}

/// Files below a folder that may be of interest.
pub(crate) fn walk(dir: &Path, out: &mut Vec<PathBuf>, depth: usize) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || depth > 12 {
            continue;
        }
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) && !path.is_symlink() {
                walk(&path, out, depth + 1);
            }
        } else {
            let interesting =
                is_yaml(&path) || path.extension().is_none_or(|ext| ext == "ini" || ext == "j2");
            if interesting && std::fs::metadata(&path).is_ok_and(|meta| meta.len() < 4 << 20) {
                out.push(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_look_like() {
        for (path, text, kind) in [
            ("site.yml", "- hosts: all\n", Kind::Playbook),
            ("site.yml", "---\n# why\n- name: x\n  hosts: all\n", Kind::Playbook),
            ("site.yml", "- import_playbook: a.yml\n", Kind::Playbook),
            ("tasks/x.yml", "- name: x\n  debug:\n", Kind::Tasks),
            ("x.yml", "- name: x\n  debug:\n- name: y\n  debug:\n- import_playbook: z\n", Kind::Tasks),
            ("roles/a/tasks/main.yml", "", Kind::Tasks),
            ("roles/a/tasks/deep/main.yml", "", Kind::Tasks),
            ("roles/a/handlers/main.yml", "", Kind::Handlers),
            ("roles/a/defaults/main.yml", "", Kind::Vars),
            ("roles/a/meta/argument_specs.yml", "", Kind::Meta),
            ("roles/a/templates/x.conf.j2", "", Kind::Template),
            ("inventories/prod.yml", "all:\n  children:\n    etcd:\n", Kind::Inventory),
            ("etcd.yml", "etcd:\n  hosts:\n    a: {}\n", Kind::Inventory),
            ("etcd.yml", "etcd: { hosts: { a: {} } }\n", Kind::Inventory),
            ("inventories/hosts", "[etcd]\na\n", Kind::Inventory),
            ("inventories/group_vars/etcd.yml", "a: 1\n", Kind::Vars),
            ("vars/x.yml", "a: 1\n", Kind::Yaml),
            ("compose.yml", "services:\n  a:\n    image: b\n", Kind::Yaml),
            ("README", "text", Kind::Other),
        ] {
            assert_eq!(kind_of(Path::new(path), text), kind, "{path} {text:?}");
        }
    }
}
