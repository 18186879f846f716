//! Roles: install, list, remove.

use super::{Place, Wanted, absolute, fetch, requirements};
use crate::cli::common::Cannot;
use crate::cli::status;
use crate::report::display;
use quorate_value::{Value, str_of};
use std::path::Path;

/// Where a role keeps what was installed and when.
const INFO: &str = "meta/.galaxy_install_info";

/// `SRC[,VERSION[,NAME]]` as people write roles.
pub(super) fn spec(text: &str) -> Wanted {
    let mut parts = text.split(',').map(|part| part.trim().to_owned());
    let written = parts.next().unwrap_or_default();
    let version = parts.next().filter(|part| !part.is_empty());
    let name = parts.next().filter(|part| !part.is_empty());
    let (kind, source) = match written.split_once('+') {
        Some(("git", url)) => (Some("git".to_owned()), url.to_owned()),
        Some(("hg", url)) => (Some("hg".to_owned()), url.to_owned()),
        _ if written.ends_with(".git") || written.starts_with("git@") => (Some("git".to_owned()), written),
        _ => (None, written),
    };
    Wanted { source, name, version, kind }
}

/// The name that a source gives its role.
fn name_of(wanted: &Wanted) -> String {
    if let Some(name) = &wanted.name {
        return name.clone();
    }
    let source = wanted.source.trim_end_matches('/');
    if !source.contains("://") && !source.contains('@') {
        // a local file keeps its whole name, as Ansible has it
        return Path::new(source).file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    let last = source.rsplit(['/', ':']).next().unwrap_or(source);
    last.trim_end_matches(".git").trim_end_matches(".tar.gz").trim_end_matches(".tgz").to_owned()
}

pub(super) fn install(place: &Place<'_>, words: &[&str]) -> Result<u8, Cannot> {
    let mut wanted: Vec<Wanted> = words.iter().map(|word| spec(word)).collect();
    if let Some(file) = &place.args.requirements {
        wanted.extend(requirements(file)?.roles);
    } else if wanted.is_empty() {
        return Err(super::usage("error: - you must specify a user/role name or a roles file"));
    }
    if wanted.is_empty() {
        return Ok(status::DONE);
    }
    display::out("Starting galaxy role install process");
    let target = place.target()?;
    let mut seen: Vec<String> = Vec::new();
    let mut next = 0;
    while let Some(role) = wanted.get(next).cloned() {
        next += 1;
        let name = name_of(&role);
        if seen.contains(&name) {
            continue;
        }
        seen.push(name.clone());
        match one(place, &role, &name, target) {
            Ok(dependencies) if !place.args.no_deps => wanted.extend(dependencies),
            Ok(_) => {}
            Err(why) => {
                display::warning(&format!("- {name} was NOT installed successfully: {why}"));
                if !place.args.ignore_errors {
                    return Err(Cannot::start(
                        "error: - you can use --ignore-errors to skip failed roles and finish processing the list.",
                    ));
                }
            }
        }
    }
    Ok(status::DONE)
}

/// Installs one role; what it depends on.
fn one(place: &Place<'_>, role: &Wanted, name: &str, target: &Path) -> Result<Vec<Wanted>, String> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(format!("'{name}' is no name for a role"));
    }
    let to = target.join(name);
    let version = role.version.as_deref();
    let shown = version.map_or_else(|| name.to_owned(), |version| format!("{name} ({version})"));
    if to.exists() {
        let force = place.args.force || place.args.force_with_deps;
        let there = installed(&to);
        if !force && (version.is_none() || there.as_deref() == version) {
            let shown =
                there.filter(|v| !v.is_empty()).map_or_else(|| name.to_owned(), |v| format!("{name} ({v})"));
            display::out(&format!("- {shown} is already installed, skipping."));
            return Ok(Vec::new());
        }
        if !force {
            return Err(format!(
                "the specified role {name} appears to already exist. Use --force to replace it."
            ));
        }
        display::out(&format!(
            "- changing role {name} from {} to {}",
            there.filter(|v| !v.is_empty()).unwrap_or_else(|| "unspecified".into()),
            version.unwrap_or("unspecified")
        ));
    }
    std::fs::create_dir_all(target).map_err(|e| format!("{}: {e}", target.display()))?;
    let work = tempfile::tempdir_in(target).map_err(|e| format!("{}: {e}", target.display()))?;
    let into = work.path().join("content");
    let local = role.source.strip_prefix("file://").unwrap_or(&role.source);
    match role.kind.as_deref() {
        Some("git") => {
            fetch::clone(&role.source, version, &into)?;
            if !place.args.keep_scm_meta {
                std::fs::remove_dir_all(into.join(".git")).ok();
            }
        }
        Some(other) => return Err(format!("roles from `{other}` are not fetched: git is")),
        None if Path::new(local).is_file() => {
            if role.source.starts_with("file://") {
                display::out(&format!("- downloading role from {}", role.source));
            }
            fetch::unpack(Path::new(local), &into)?;
        }
        None if Path::new(local).is_dir() => {
            fetch::copy(Path::new(local), &into, &|path| path.ends_with(".git"))
                .map_err(|e| e.to_string())?;
        }
        None if role.source.contains("://") => {
            return Err(format!("{} is not downloaded: fetch it, and give the file", role.source));
        }
        None => {
            return Err(format!(
                "there is no file or directory '{}', and the network index of roles is not asked: give a tarball, a directory or git+URL",
                role.source
            ));
        }
    }
    let is = |dir: &Path| dir.join("meta/main.yml").is_file() || dir.join("meta/main.yaml").is_file();
    let Some(root) = fetch::root(&into, &is) else {
        return Err("this role does not appear to have a meta/main.yml file.".to_owned());
    };
    let origin =
        if role.kind.is_some() || role.source.starts_with("file://") { name } else { role.source.as_str() };
    display::out(&format!("- extracting {origin} to {}", to.display()));
    let meta = read_yaml(&root.join("meta/main.yml")).or_else(|| read_yaml(&root.join("meta/main.yaml")));
    let info = format!(
        "install_date: {}\nversion: {}\n",
        jiff::Timestamp::now().strftime("%a %b %e %H:%M:%S %Y"),
        version.map_or_else(
            || "''".to_owned(),
            |v| if v.parse::<f64>().is_ok() { format!("'{v}'") } else { v.to_owned() }
        )
    );
    std::fs::write(root.join(INFO), info).map_err(|e| e.to_string())?;
    fetch::place(&root, &to)?;
    display::out(&format!("- {shown} was installed successfully"));
    Ok(dependencies(meta.as_ref(), &to, place, name))
}

/// What a role depends on and is not there yet.
fn dependencies(meta: Option<&Value>, role: &Path, place: &Place<'_>, name: &str) -> Vec<Wanted> {
    let own = read_yaml(&role.join("meta/requirements.yml"));
    let listed = own.as_ref().or_else(|| meta?.as_dict()?.get("dependencies")).and_then(Value::as_list);
    let mut found = Vec::new();
    for entry in listed.unwrap_or_default() {
        let mut list = Vec::new();
        let as_role = match entry {
            Value::Dict(about) if !about.contains_key("src") && about.contains_key("role") => {
                Value::from(about.get("role").map(str_of).unwrap_or_default())
            }
            other => other.clone(),
        };
        if super::read_entry(&as_role, true, role, &mut list).is_err() {
            continue;
        }
        for wanted in list {
            let called = name_of(&wanted);
            let there = place.paths.iter().any(|path| path.join(&called).exists());
            let version = wanted.version.clone().unwrap_or_else(|| "unspecified".into());
            if there && !place.args.force_with_deps {
                display::out(&format!("- dependency {called} is already installed, skipping."));
            } else if wanted.kind.is_some() || wanted.source.contains('/') {
                display::out(&format!("- adding dependency: {called} ({version})"));
                found.push(wanted);
            } else {
                display::warning(&format!(
                    "{name} depends on {called}, which is not installed, and the network index is not asked"
                ));
            }
        }
    }
    found
}

fn read_yaml(path: &Path) -> Option<Value> {
    let bytes = std::fs::read(path).ok()?;
    Some(quorate_yaml::parse_file(path, &bytes).ok()?.root.to_value())
}

/// The version that was installed; empty where none was asked for.
fn installed(role: &Path) -> Option<String> {
    let value = read_yaml(&role.join(INFO))?;
    Some(value.as_dict()?.get("version").filter(|v| !v.is_null()).map(str_of).unwrap_or_default())
}

pub(super) fn list(place: &Place<'_>, words: &[&str]) -> Result<u8, Cannot> {
    let mut paths = place.paths.clone();
    if place.named {
        paths.extend(place.configured.iter().filter(|path| !place.paths.contains(path)).cloned());
    }
    let mut found = false;
    let mut missing = Vec::new();
    for path in &paths {
        if !path.exists() {
            missing.push(format!("- the configured path {} does not exist.", absolute(path).display()));
            continue;
        }
        if !path.is_dir() {
            missing.push(format!(
                "- the configured path {}, exists, but it is not a directory.",
                path.display()
            ));
            continue;
        }
        found = true;
        let mut roles: Vec<_> = std::fs::read_dir(path)
            .map_err(|e| Cannot::start(format!("error: {}: {e}", path.display())))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|role| role.join(INFO).exists() || role.join("meta/main.yml").exists())
            .collect();
        roles.sort();
        if words.is_empty() {
            display::out(&format!("# {}", path.display()));
        }
        for role in roles {
            let name = role.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !words.is_empty() && !words.contains(&name.as_str()) {
                continue;
            }
            if !words.is_empty() {
                display::out(&format!("# {}", path.display()));
            }
            let version =
                installed(&role).filter(|v| !v.is_empty()).unwrap_or_else(|| "(unknown version)".into());
            display::out(&format!("- {name}, {version}"));
        }
    }
    for warning in missing {
        display::warning(&warning);
    }
    if !found {
        return Err(Cannot::start(
            "error: - None of the provided paths were usable. Please specify a valid path with --roles-path",
        ));
    }
    Ok(status::DONE)
}

pub(super) fn remove(place: &Place<'_>, words: &[&str]) -> Result<u8, Cannot> {
    if words.is_empty() {
        return Err(super::usage("error: - you must specify at least one role to remove."));
    }
    for name in words {
        if name.contains('/') || *name == ".." || *name == "." {
            return Err(super::usage(format!("error: '{name}' is no name of a role")));
        }
        let there = place.paths.iter().map(|path| path.join(name)).find(|role| role.join("meta").is_dir());
        match there {
            Some(role) => {
                std::fs::remove_dir_all(&role)
                    .map_err(|e| Cannot::start(format!("error: Failed to remove role {name}: {e}")))?;
                display::out(&format!("- successfully removed {name}"));
            }
            None => display::out(&format!("- {name} is not installed, skipping.")),
        }
    }
    Ok(status::DONE)
}
