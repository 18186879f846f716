//! `ansible-galaxy` (and `quorate galaxy`): roles and collections from tarballs, directories and git repositories.
//!
//! In: command line, requirements files, `roles_path`, `collections_path`. Out: roles and collections in their places.
//!
//! Not here: the network index. A name that only the index could answer is refused in words.
//!
//! Source: "Galaxy User Guide" of Ansible's documentation; output as ansible-core 2.19 has it.

mod collection;
mod fetch;
mod role;
mod skeleton;

use super::common::Cannot;
use super::status;
use crate::report::display;
use crate::settings::Settings;
use clap::Parser;
use quorate_value::Value;
use std::path::{Path, PathBuf};

/// Install, list, build and start roles and collections.
#[derive(Debug, Parser)]
#[command(
    name = "quorate galaxy",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate galaxy role install ./ntp.tar.gz -p roles\n  quorate galaxy install -r requirements.yml\n  quorate galaxy collection install git+file:///srv/git/net.git,v1.2\n  quorate galaxy collection list"
)]
struct Args {
    /// `role` or `collection` (a role where neither is said), then what to do with which
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Where to put it
    #[arg(short = 'p', long = "roles-path", visible_alias = "collections-path", value_name = "DIR")]
    path: Option<String>,
    /// A file that lists what to install
    #[arg(short = 'r', long = "role-file", visible_alias = "requirements-file", value_name = "FILE")]
    requirements: Option<PathBuf>,
    /// Replace what is there
    #[arg(short, long)]
    force: bool,
    /// Replace what is there, and what that depends on
    #[arg(long)]
    force_with_deps: bool,
    /// Leave out what it depends on
    #[arg(short, long)]
    no_deps: bool,
    /// Go on after a failure
    #[arg(short, long)]
    ignore_errors: bool,
    /// Keep `.git` in what comes from git
    #[arg(short = 'g', long)]
    keep_scm_meta: bool,
    /// Take a newer version where there is one
    #[arg(short = 'U', long)]
    upgrade: bool,
    /// Where a new role or collection, or a built file, goes
    #[arg(long, visible_alias = "output-path", value_name = "DIR")]
    init_path: Option<PathBuf>,
    /// Form of a list: human, json, yaml
    #[arg(long, default_value = "human")]
    format: String,
    /// The index (only what needs no network is done)
    #[arg(short, long, value_name = "URL")]
    server: Option<String>,
    /// Do not ask the network
    #[arg(long)]
    offline: bool,
    /// Accepted for Ansible's sake
    #[arg(long)]
    pre: bool,
    /// Accepted for Ansible's sake
    #[arg(short = 'c', long)]
    ignore_certs: bool,
    /// Accepted for Ansible's sake
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print the version
    #[arg(long)]
    version: bool,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(super) fn main(args: &[String], ansible: bool) -> u8 {
    let name = if ansible { "ansible-galaxy" } else { "quorate galaxy" };
    let args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    super::ended(galaxy(&args), ansible)
}

/// What a command works with.
struct Place<'a> {
    args: &'a Args,
    /// Where things are looked for; they go to the first.
    paths: Vec<PathBuf>,
    /// The directory was named on the command line.
    named: bool,
    configured: Vec<PathBuf>,
}

impl<'a> Place<'a> {
    fn new(args: &'a Args, settings: &Settings, key: &str) -> Self {
        let configured = settings.paths(key);
        let named: Vec<PathBuf> = args
            .path
            .iter()
            .flat_map(|path| path.split(':'))
            .filter(|path| !path.is_empty())
            .map(|path| absolute(Path::new(&expanded(path))))
            .collect();
        let paths = if named.is_empty() { configured.clone() } else { named.clone() };
        Place { args, paths, named: !named.is_empty(), configured }
    }

    fn target(&self) -> Result<&Path, Cannot> {
        self.paths
            .first()
            .map(PathBuf::as_path)
            .ok_or_else(|| Cannot::start("error: there is no path to install to"))
    }
}

/// The command line cannot be.
fn usage(text: impl Into<String>) -> Cannot {
    Cannot { text: text.into(), status: status::USAGE }
}

fn expanded(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => crate::home().join(rest).display().to_string(),
        None => path.to_owned(),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn galaxy(args: &Args) -> Result<u8, Cannot> {
    let cwd = std::env::current_dir().map_err(|e| Cannot::start(format!("error: {e}")))?;
    let settings = Settings::load(&|name| crate::environment(name), &cwd).map_err(Cannot::start)?;
    let mut words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let kind = match words.first() {
        Some(&"role") => Some("role"),
        Some(&"collection") => Some("collection"),
        _ => None,
    };
    if kind.is_some() {
        words.remove(0);
    }
    let Some((&action, rest)) = words.split_first() else {
        return Err(usage("error: say what to do: install, list, remove, init or build"));
    };
    let roles = Place::new(args, &settings, "DEFAULT_ROLES_PATH");
    let collections = Place::new(args, &settings, "COLLECTIONS_PATHS");
    match (kind.unwrap_or("role"), action) {
        ("role", "install") => {
            let code = role::install(&roles, rest)?;
            match &args.requirements {
                Some(file) if kind.is_none() => {
                    let list = requirements(file)?;
                    if list.collections.is_empty() {
                        return Ok(code);
                    }
                    if args.path.is_some() {
                        display::warning(&format!(
                            "The requirements file '{}' contains collections which will be ignored. To install these collections run 'ansible-galaxy collection install -r' or to install both at the same time run 'ansible-galaxy install -r' without a custom install path.",
                            absolute(file).display()
                        ));
                        return Ok(code);
                    }
                    Ok(code.max(collection::install(&collections, &[])?))
                }
                _ => Ok(code),
            }
        }
        ("role", "list") => role::list(&roles, rest),
        ("role", "remove") => role::remove(&roles, rest),
        ("role", "init") => skeleton::role(args, rest),
        ("collection", "install") => collection::install(&collections, rest),
        ("collection", "list") => collection::list(&collections, rest),
        ("collection", "build") => collection::build(args, rest),
        ("collection", "init") => skeleton::collection(args, rest),
        (
            kind,
            "delete" | "import" | "info" | "search" | "setup" | "download" | "publish" | "verify" | "login",
        ) => Err(Cannot::start(format!(
            "error: `galaxy {kind} {action}` asks the network index, which Quorate does not speak to; install, list, remove, init and build work without it"
        ))),
        (kind, other) => {
            let known = ["install", "list", "remove", "init", "build"];
            let near = quorate_yaml::nearest(other, known.iter().copied());
            let near = near.first().map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(usage(format!("error: `galaxy {kind}` cannot `{other}`{near}")))
        }
    }
}

/// One thing to install, as written.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// Path, URL or name.
    source: String,
    /// The name it gets (roles).
    name: Option<String>,
    version: Option<String>,
    /// `git`, `file`, `dir`, `subdirs`, `galaxy`, `url`.
    kind: Option<String>,
}

/// A requirements file.
#[derive(Debug, Default)]
struct Requirements {
    roles: Vec<Wanted>,
    collections: Vec<Wanted>,
}

/// Reads a file of requirements: a list of roles, or `roles:` and `collections:`.
fn requirements(file: &Path) -> Result<Requirements, Cannot> {
    let bytes = std::fs::read(file).map_err(|_| {
        Cannot::start(format!("error: The requirements file '{}' does not exist.", absolute(file).display()))
    })?;
    let document = quorate_yaml::parse_file(file, &bytes).map_err(|e| {
        Cannot::start(format!("error: Failed to parse the requirements yml at '{}': {e}", file.display()))
    })?;
    let value = document.root.to_value();
    let mut found = Requirements::default();
    match &value {
        Value::List(entries) => {
            for entry in entries.iter() {
                read_entry(entry, true, file, &mut found.roles)?;
            }
        }
        Value::Dict(parts) => {
            for (key, list) in parts.iter() {
                let roles = match key.json_text().as_ref() {
                    "roles" => true,
                    "collections" => false,
                    other => {
                        return Err(Cannot::start(format!(
                            "error: Expecting only 'roles' and/or 'collections' as base keys in the requirements file. Found: {other}"
                        )));
                    }
                };
                for entry in list.as_list().unwrap_or_default() {
                    let into = if roles { &mut found.roles } else { &mut found.collections };
                    read_entry(entry, roles, file, into)?;
                }
            }
        }
        Value::Null => {
            return Err(Cannot::start(format!("error: No requirements found in file '{}'", file.display())));
        }
        _ => {
            return Err(Cannot::start(
                "error: Expecting requirements file to be a dict or a list.".to_owned(),
            ));
        }
    }
    Ok(found)
}

fn read_entry(entry: &Value, role: bool, file: &Path, into: &mut Vec<Wanted>) -> Result<(), Cannot> {
    match entry {
        Value::Str(text) => {
            into.push(if role { role::spec(text.as_str()) } else { collection::spec(text.as_str()) })
        }
        Value::Dict(about) => {
            let text = |key: &str| about.get(key).filter(|v| !v.is_null()).map(quorate_value::str_of);
            if let Some(other) = text("include").filter(|_| role) {
                let other = file.parent().unwrap_or(Path::new(".")).join(other);
                into.extend(requirements(&other)?.roles);
                return Ok(());
            }
            let (source, name) = if role {
                (text("src").or_else(|| text("name")), text("name"))
            } else {
                (
                    text("source")
                        .filter(|_| text("type").as_deref() == Some("url"))
                        .or_else(|| text("name")),
                    None,
                )
            };
            let Some(source) = source else {
                let what = if role {
                    "Must specify name or src for role"
                } else {
                    "Collections requirement entry should contain the key name."
                };
                return Err(Cannot::start(format!("error: {what}")));
            };
            let mut wanted = if role { role::spec(&source) } else { collection::spec(&source) };
            if role && text("scm").is_some() {
                wanted.kind = text("scm");
            }
            wanted.name = name.filter(|_| about.contains_key("src")).or(wanted.name);
            wanted.version = text("version").filter(|v| v != "*").or(wanted.version);
            if !role {
                wanted.kind = text("type").or(wanted.kind);
            }
            into.push(wanted);
        }
        _ => return Err(Cannot::start("error: each requirement is a name or a mapping".to_owned())),
    }
    Ok(())
}
