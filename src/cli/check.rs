//! `quorate check`: everything that is wrong with playbooks, roles and inventories, said at once. Connects to nobody.
//!
//! In: files and folders. Out: diagnostics, for people, as JSON, or as a code host's annotations.
//!
//! **Invariant:** reads files and nothing else: no host, no inventory script, no lookup. Right before strict: a false
//! alarm is a defect.

pub(crate) mod files;
mod members;
pub(crate) mod tasks;

use super::closed;
use super::common::{self, Cannot, Ground, Shape};
use super::status;
use crate::diag::{Diag, Severity};
use crate::playbook::{Around, Keywords, RoleFrom};
use crate::report::display::{self, Look};
use crate::run::Playbook;
use clap::Parser;
use files::Kind;
use quorate_value::{Dict, JsonStyle, Span, Value, dict, source_of};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How to say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// A list of objects
    Json,
    /// Annotations of a code host's CI (`::error file=…`)
    Github,
}

/// Say everything that is wrong with playbooks, roles and inventories. Connects to nobody.
#[derive(Debug, Parser)]
#[command(
    name = "quorate check",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate check\n  quorate check playbooks roles/etcd\n  quorate check site.yml -i inventories/prod.yml\n  quorate check --format github\n\nExit status:\n  0  nothing is wrong (warnings may have been given)\n  1  a file or an inventory cannot be read\n  3  something does not compile"
)]
struct Args {
    /// Files and folders (the working directory unless named)
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Inventory: a file, a directory, or `host1,host2,`. Repeatable
    #[arg(short, long, value_name = "INVENTORY")]
    inventory: Vec<String>,
    /// How to say it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
    /// File (or script) with the vault password. Repeatable
    #[arg(long, value_name = "FILE", alias = "vault-pass-file")]
    vault_password_file: Vec<String>,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed("quorate check", args, false), |args: Args| check(&args))
}

fn check(args: &Args) -> Result<u8, Cannot> {
    let mut paths = Vec::new();
    let named = if args.paths.is_empty() { vec![PathBuf::from(".")] } else { args.paths.clone() };
    for path in &named {
        if path.is_dir() {
            let dir = if path == Path::new(".") { PathBuf::new() } else { path.clone() };
            files::walk(if dir.as_os_str().is_empty() { Path::new(".") } else { &dir }, &mut paths, 0);
        } else if path.exists() {
            paths.push(path.clone());
        } else {
            return Err(Cannot::start(format!("there is no file `{}`", path.display())));
        }
    }
    for path in &mut paths {
        if let Ok(rest) = path.strip_prefix("./") {
            *path = rest.to_path_buf();
        }
    }
    // an inventory that is named beside playbooks is theirs
    let kind = |path: &Path| {
        let text = quorate_value::read(path).unwrap_or_default();
        files::kind_of(path, &String::from_utf8_lossy(&text))
    };
    let mut inventory = args.inventory.clone();
    if inventory.is_empty() && paths.iter().any(|path| kind(path) == Kind::Playbook) {
        let named = named.iter().filter(|path| path.is_file() && kind(path) == Kind::Inventory);
        inventory.extend(named.map(|path| path.display().to_string()));
    }
    let shape =
        Shape { inventory, vault_password_file: args.vault_password_file.clone(), ..Shape::default() };
    let found = all(&paths, &shape)?;
    let (text, code) = said(args, &found);
    for line in text {
        display::out(&line);
    }
    Ok(code)
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub diags: Vec<Diag>,
    pub playbooks: usize,
    pub roles: usize,
    pub inventories: usize,
}

/// Looks at files of all kinds.
pub(crate) fn all(paths: &[PathBuf], shape: &Shape) -> Result<Findings, Cannot> {
    let mut kinds: BTreeMap<PathBuf, Kind> = BTreeMap::new();
    for path in paths {
        let text = quorate_value::read(path).unwrap_or_default();
        kinds.insert(path.clone(), files::kind_of(path, &String::from_utf8_lossy(&text)));
    }
    let of = |kind: Kind| kinds.iter().filter(move |(_, it)| **it == kind).map(|(path, _)| path.clone());
    let mut found = Findings::default();

    // inventories by themselves
    let plain = |path: &String| PathBuf::from(path.strip_prefix("./").unwrap_or(path));
    let given: BTreeSet<PathBuf> = shape.inventory.iter().map(plain).collect();
    let mut seen_inventories: HashSet<PathBuf> = HashSet::new();
    for path in of(Kind::Inventory).filter(|path| !given.contains(path)) {
        found.inventories += 1;
        seen_inventories.insert(path.clone());
        let alone = Shape { inventory: vec![path.display().to_string()], ..shape.clone() };
        let ground = common::ground_noting(&alone, None, false, (&[], &[]), Some(&mut found.diags))?;
        members::check(&ground, &mut found.diags);
    }
    found.inventories += given.len();

    // playbooks, by folder: each has its own `group_vars` and `roles`
    let mut by_dir: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in of(Kind::Playbook) {
        by_dir.entry(path.parent().unwrap_or(Path::new("")).to_path_buf()).or_default().push(path);
    }
    let mut roles: BTreeSet<PathBuf> =
        kinds.keys().filter_map(|path| files::role_of(path)).map(|(role, _)| role).collect();
    let mut linted: HashSet<PathBuf> = HashSet::new();
    for books in by_dir.values() {
        found.playbooks += books.len();
        let mut noted = Vec::new();
        let ground = common::ground_noting(
            shape,
            books.first().map(PathBuf::as_path),
            false,
            (&[], &[]),
            Some(&mut noted),
        )?;
        found.diags.extend(noted);
        members::check(&ground, &mut found.diags);
        let mut read = Vec::new();
        let mut sound = true;
        for path in books {
            let (plays, diags) = ground.shared.loader().playbook_with_mistakes(path);
            sound &= diags.is_empty();
            found.diags.extend(diags);
            read.push(Playbook { path: path.display().to_string(), plays });
        }
        found.diags.extend(ground.shared.loader().take_warnings());
        if has_inventory(&ground) {
            let asked = closed::Asked { tags: &[], start_at: None, limit: &[] };
            let run = common::start_silent(&ground);
            let slips = closed::check(&ground, &run, &read, &asked);
            // where something could not be read, nobody knows what it would have read
            found.diags.extend(slips.into_iter().filter(|diag| sound || diag.code == "E0302"));
        }
        for (path, _) in ground.shared.loader().files() {
            roles.extend(files::role_of(&path).map(|(role, _)| role));
        }
        lint(&ground, &mut linted, &mut found.diags);
    }

    // roles, whether or not a playbook names them, with the files that only an include brings in
    let roles: BTreeSet<PathBuf> =
        roles.into_iter().map(|role| role.canonicalize().unwrap_or(role)).collect();
    found.roles = roles.len();
    if !roles.is_empty() || of(Kind::Tasks).next().is_some() {
        let ground = common::ground_noting(shape, None, false, (&[], &[]), Some(&mut Vec::new()))?;
        for role in &roles {
            one_role(&ground, role, &mut found.diags);
        }
        for path in of(Kind::Tasks).chain(of(Kind::Handlers)).filter(|path| files::role_of(path).is_none()) {
            let around =
                Around { dir: path.parent().unwrap_or(Path::new("")).to_path_buf(), ..Around::default() };
            let read = ground.shared.loader().task_file(&path, &around).map(drop);
            alone(read, &ground, &mut found.diags);
        }
        found.diags.extend(ground.shared.loader().take_warnings());
        lint(&ground, &mut linted, &mut found.diags);
        let engine = crate::vars::render::engine(&ground.shared.settings);
        let mut templates: Vec<PathBuf> = of(Kind::Template).collect();
        for role in &roles {
            files::walk(&role.join("templates"), &mut templates, 0);
        }
        let mut lint = tasks::Lint::new(ground.shared.loader(), &engine, false);
        for path in templates.iter().filter(|path| path.extension().is_some_and(|ext| ext == "j2")) {
            let full = path.canonicalize().unwrap_or_else(|_| path.clone());
            if linted.insert(full.clone()) {
                lint.template_file(&full);
            }
        }
        found.diags.append(&mut lint.found);
    }

    // whatever else is YAML
    for path in of(Kind::Yaml).chain(of(Kind::Meta)).chain(of(Kind::Vars)) {
        let full = path.canonicalize().unwrap_or_else(|_| path.clone());
        if linted.insert(full) {
            found.diags.extend(only_yaml(&path));
        }
    }
    // tests of a role call it, and its neighbours, by names that their own settings lead to
    let neighbours: HashSet<String> =
        roles.iter().filter_map(|role| role.file_name()?.to_str().map(str::to_owned)).collect();
    found.diags.retain(|diag| {
        let wanted = diag.message.strip_prefix("the role '").and_then(|rest| rest.split('\'').next());
        let inside = || {
            let source = source_of(diag.span.file)?;
            let path = source.path.canonicalize().ok()?;
            Some(roles.iter().any(|role| path.starts_with(role)))
        };
        !(diag.code == "E0121"
            && wanted.is_some_and(|name| neighbours.contains(name))
            && inside().unwrap_or(false))
    });
    tidy(&mut found.diags);
    Ok(found)
}

/// Whether there are hosts that a play could mean.
fn has_inventory(ground: &Ground) -> bool {
    let inventory = ground.shared.inventory();
    inventory.hosts().any(|id| !inventory.host(id).is_implicit())
}

/// A role by itself: its main files, and every other file of tasks.
fn one_role(ground: &Ground, role: &Path, out: &mut Vec<Diag>) {
    let loader = ground.shared.loader();
    let around = Around { dir: role.to_path_buf(), ..Around::default() };
    let name = role.display().to_string();
    let read = loader
        .role(
            &name,
            Span::default(),
            Keywords::default(),
            Dict::new(),
            RoleFrom::default(),
            &around,
            true,
            false,
        )
        .map(drop);
    alone(read, ground, out);
    let inside = Around { role_dir: Some(role.to_path_buf()), ..around };
    for (part, handlers) in [("tasks", false), ("handlers", true)] {
        let mut files = Vec::new();
        files::walk(&role.join(part), &mut files, 0);
        for path in files
            .iter()
            .filter(|path| matches!(path.extension().and_then(|e| e.to_str()), Some("yml" | "yaml")))
        {
            let read = loader.task_file(path, &Around { handlers, ..inside.clone() }).map(drop);
            alone(read, ground, out);
        }
    }
}

/// Mistakes of what was read outside of any play, where names of imports may not be known.
fn alone(read: Result<(), Diag>, ground: &Ground, out: &mut Vec<Diag>) {
    let diags = read.err().into_iter().chain(ground.shared.loader().take_mistakes());
    // what a play would define, and roles and files that are looked for beside a playbook
    let elsewhere = |diag: &Diag| match diag.code {
        "E0112" | "E0121" | "E0101" | "E0123" => true,
        // a play's `collections` may have it, unless it looks like a slip
        "E0140" => diag.help.is_none(),
        _ => false,
    };
    out.extend(diags.filter(|diag| !elsewhere(diag)));
}

/// Arguments and templates of everything that a loader has read.
fn lint(ground: &Ground, linted: &mut HashSet<PathBuf>, out: &mut Vec<Diag>) {
    let loader = ground.shared.loader();
    let engine = crate::vars::render::engine(&ground.shared.settings);
    let files = loader.files();
    let defaults = files.iter().any(|(_, node)| tasks::has_defaults(node));
    let mut lint = tasks::Lint::new(loader, &engine, defaults);
    for (path, node) in files {
        let full = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !linted.insert(full) {
            continue;
        }
        let text = quorate_value::read(&path).unwrap_or_default();
        if text.starts_with(b"$ANSIBLE_VAULT") {
            continue;
        }
        match files::kind_of(&path, &String::from_utf8_lossy(&text)) {
            Kind::Playbook => lint.playbook(&node),
            Kind::Tasks | Kind::Handlers => lint.tasks(&node),
            Kind::Vars => lint.templates(&node),
            _ => {}
        }
    }
    out.append(&mut lint.found);
}

/// A file that only has to be YAML.
pub(crate) fn only_yaml(path: &Path) -> Vec<Diag> {
    let Ok(bytes) = quorate_value::read(path) else { return Vec::new() };
    if bytes.starts_with(b"$ANSIBLE_VAULT") {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let file = quorate_value::FileId::register(&full, text.as_str().into());
    // several documents in one file are fine where nobody of ours reads it
    match quorate_yaml::parse_all(&text, file) {
        Ok(documents) => documents
            .iter()
            .flat_map(|document| &document.warnings)
            .map(|warning| Diag::warning("W0101", warning.to_string()).at(warning.span()))
            .collect(),
        Err(error) => vec![crate::playbook::yaml_diag(&error)],
    }
}

/// In order of files and lines, each once.
fn tidy(diags: &mut Vec<Diag>) {
    let key = |diag: &Diag| {
        let path = source_of(diag.span.file)
            .map(|source| source.path.canonicalize().unwrap_or_else(|_| source.path.clone()));
        (path, diag.span.line, diag.span.column, diag.code, diag.message.clone())
    };
    diags.sort_by_cached_key(key);
    let mut seen = HashSet::new();
    diags.retain(|diag| seen.insert(key(diag)));
}

/// What is printed, and the exit status.
fn said(args: &Args, found: &Findings) -> (Vec<String>, u8) {
    let errors = found.diags.iter().filter(|diag| diag.severity == Severity::Error).count();
    let warnings = found.diags.len() - errors;
    let unreadable = |diag: &Diag| matches!(diag.code, "E0101" | "E0300" | "E0303" | "E0111");
    let code = match errors {
        0 if warnings > 0 && args.strict => status::DOES_NOT_COMPILE,
        0 => status::DONE,
        _ if found.diags.iter().all(|diag| diag.severity == Severity::Warning || unreadable(diag)) => {
            status::CANNOT_START
        }
        _ => status::DOES_NOT_COMPILE,
    };
    let text = match args.format {
        Format::Json => {
            let list: Value = found.diags.iter().map(json).collect();
            vec![JsonStyle { indent: Some(2), sort_keys: false, ascii: false, compact: false }.write(&list)]
        }
        Format::Github => found.diags.iter().map(annotation).collect(),
        Format::Text => {
            let look = Look::detect(crate::environment("NO_COLOR").is_some(), false);
            let mut text: Vec<String> =
                alike(&found.diags).iter().map(|diag| diag.render(look.colour) + "\n").collect();
            let looked = [
                count(found.playbooks, "playbook"),
                count(found.roles, "role"),
                format!("{} inventor{}", found.inventories, if found.inventories == 1 { "y" } else { "ies" }),
            ];
            let outcome = match (errors, warnings) {
                (0, 0) => "nothing is wrong".into(),
                _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
            };
            text.push(format!("{}: {outcome}", looked.join(", ")));
            text
        }
    };
    (text, code)
}

/// From so many places on, what is said of all of them is said once.
const ALIKE: usize = 4;

/// What is said word for word of many places, once, with the other places.
fn alike(diags: &[Diag]) -> Vec<Diag> {
    let key = |diag: &Diag| (diag.code, diag.message.clone(), diag.help.clone());
    let mut places: HashMap<_, Vec<Span>> = HashMap::new();
    for diag in diags {
        places.entry(key(diag)).or_default().push(diag.span);
    }
    let mut out = Vec::new();
    for diag in diags {
        match places.get(&key(diag)).map_or(0, Vec::len) {
            0 => {}
            n if n < ALIKE => out.push(diag.clone()),
            n => {
                let others = places.remove(&key(diag)).unwrap_or_default();
                let some: Vec<String> =
                    others[1..].iter().take(3).map(|span| crate::diag::short_place(*span)).collect();
                let rest = if n > 4 { format!(" and {} more", n - 4) } else { String::new() };
                let mut first = diag.clone();
                let text = format!("the same in {} more places: {}{rest}", n - 1, some.join(", "));
                first.related.push((Span::default(), text));
                out.push(first);
            }
        }
    }
    out
}

/// `1 host`, `2 hosts`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The path of a place as people would type it.
fn path_of(span: Span) -> String {
    let Some(source) = source_of(span.file) else { return String::new() };
    let cwd = std::env::current_dir().unwrap_or_default();
    source.path.strip_prefix(&cwd).unwrap_or(&source.path).display().to_string()
}

fn word(diag: &Diag) -> &'static str {
    match diag.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn json(diag: &Diag) -> Value {
    let notes: Value = diag.notes.iter().map(|note| Value::from(note.as_str())).collect();
    Value::dict(dict! {
        "severity" => word(diag),
        "code" => diag.code,
        "message" => diag.message.as_str(),
        "file" => path_of(diag.span),
        "line" => i64::from(diag.span.line),
        "column" => i64::from(diag.span.column),
        "help" => diag.help.as_deref().map_or(Value::Null, Value::from),
        "notes" => notes,
    })
}

/// `::error file=…,line=…::…`, as code hosts read it from a log.
fn annotation(diag: &Diag) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut message = diag.message.clone();
    for more in diag.help.iter().chain(&diag.notes) {
        message.push_str(&format!("\n{more}"));
    }
    let mut place = String::new();
    if diag.span.is_known() {
        place = format!(
            "file={},line={},col={},",
            property(&path_of(diag.span)),
            diag.span.line.max(1),
            diag.span.column.max(1)
        );
    }
    format!("::{} {place}title={}::{}", word(diag), diag.code, data(&message))
}
