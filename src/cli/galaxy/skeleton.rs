//! New roles and collections, with the files that every one has.

use super::Args;
use crate::cli::common::Cannot;
use crate::cli::status;
use crate::report::display;
use std::path::PathBuf;

fn start(args: &Args, below: &str, what: &str) -> Result<PathBuf, Cannot> {
    let dir = args.init_path.clone().unwrap_or_default().join(below);
    if dir.exists() && !args.force {
        return Err(Cannot::start(format!(
            "error: - the directory {} already exists. You can use --force to re-initialize this directory,\nhowever it will reset any main.yml files that may have been modified there already.",
            super::absolute(&dir).display()
        )));
    }
    let _ = what;
    Ok(dir)
}

fn write(files: &[(PathBuf, String)]) -> Result<(), Cannot> {
    for (path, text) in files {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            if path.to_string_lossy().ends_with('/') {
                std::fs::create_dir_all(path)
            } else {
                std::fs::write(path, text)
            }
        });
        made.map_err(|e| Cannot::start(format!("error: {}: {e}", path.display())))?;
    }
    Ok(())
}

/// A name that a role or a collection may have.
fn fits(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn role(args: &Args, words: &[&str]) -> Result<u8, Cannot> {
    let [name] = words else {
        return Err(super::usage("error: - no role name specified for init"));
    };
    if name.contains('/') || name.starts_with('.') {
        return Err(super::usage(format!("error: '{name}' is no name for a role")));
    }
    let dir = start(args, name, "role")?;
    let file = |path: &str, text: String| (dir.join(path), text);
    let part = |part: &str| file(&format!("{part}/main.yml"), format!("---\n# {part} of {name}\n"));
    write(&[
        file("README.md", format!("# {name}\n\nWhat the role does, and the variables that it takes.\n")),
        part("defaults"),
        part("handlers"),
        part("tasks"),
        part("vars"),
        file(
            "meta/main.yml",
            "---\ngalaxy_info:\n  author: your name\n  description: what the role does\n  license: MIT\n  min_ansible_version: \"2.19\"\n  galaxy_tags: []\ndependencies: []\n".to_owned(),
        ),
        file("tests/inventory", "localhost\n".to_owned()),
        file("tests/test.yml", format!("---\n- hosts: localhost\n  roles:\n    - {name}\n")),
        file("files/", String::new()),
        file("templates/", String::new()),
    ])?;
    display::out(&format!("- Role {name} was created successfully"));
    Ok(status::DONE)
}

pub(super) fn collection(args: &Args, words: &[&str]) -> Result<u8, Cannot> {
    let parts = match words {
        [name] => name.split_once('.').filter(|(a, b)| fits(a) && fits(b)),
        _ => None,
    };
    let Some((namespace, name)) = parts else {
        let said = words.first().copied().unwrap_or_default();
        return Err(Cannot::start(format!(
            "error: Invalid collection name '{said}', name must be in the format <namespace>.<collection>. Please make sure namespace and collection name contains characters from [a-zA-Z0-9_] only."
        )));
    };
    let dir = start(args, &format!("{namespace}/{name}"), "collection")?;
    let file = |path: &str, text: String| (dir.join(path), text);
    write(&[
        file("README.md", format!("# {namespace}.{name}\n")),
        file(
            "galaxy.yml",
            format!(
                "---\nnamespace: {namespace}\nname: {name}\nversion: 1.0.0\nreadme: README.md\nauthors:\n  - your name <example@domain.com>\ndescription: what the collection holds\nlicense:\n  - MIT\ntags: []\ndependencies: {{}}\n"
            ),
        ),
        file("meta/runtime.yml", "---\nrequires_ansible: \">=2.19\"\n".to_owned()),
        file(
            "plugins/README.md",
            "# Plug-ins\n\nModules in `modules/`, filters in `filter/`, and so on.\n".to_owned(),
        ),
        file("docs/", String::new()),
        file("roles/", String::new()),
    ])?;
    display::out(&format!("- Collection {namespace}.{name} was created successfully"));
    Ok(status::DONE)
}
