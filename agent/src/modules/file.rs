//! `file`: what stands at one path, and with which attributes.
//!
//! In: a path and a state. Out: whether anything had to change, with a diff of attributes.
//!
//! **Invariant:** check mode looks and compares, and writes nothing.
//!
//! Not here: content (`copy`), other trees than a directory's attributes.

mod links;
mod times;

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Kind, Wanted};
use crate::system::process::errno;
use crate::system::users;
use quorate_value::{Dict, Value, dict};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use times::Times;

/// The `file` module.
pub struct FileModule;

static SPEC: Spec = Spec::new(
    "file",
    "Sets what stands at a path: file, directory, link or nothing, and its attributes.",
)
.params(&[
    Param::path("path").required().aliases(&["dest", "name"]).doc("The path to manage."),
    Param::str("state").choices(&["absent", "directory", "file", "hard", "link", "touch"]).doc(
        "What should stand there. Without it: what is there now, or a directory with `recurse`, or a file.",
    ),
    Param::path("src").doc("What a link leads to, or which file gets a second name. Links may be relative."),
    Param::bool("recurse").default_bool(false).doc("Applies attributes to everything inside a directory."),
    Param::bool("force")
        .default_bool(false)
        .doc("Makes links whose target is missing, and replaces files and empty directories by links."),
    Param::bool("follow").default_bool(true).doc("Follows links that stand at the path."),
    Param::str("modification_time")
        .doc("Modification time: `preserve`, `now`, or by `modification_time_format`. `touch` means `now`."),
    Param::str("modification_time_format")
        .default_str("%Y%m%d%H%M.%S")
        .doc("How `modification_time` is written, for `strptime`."),
    Param::str("access_time")
        .doc("Access time: `preserve`, `now`, or by `access_time_format`. `touch` means `now`."),
    Param::str("access_time_format")
        .default_str("%Y%m%d%H%M.%S")
        .doc("How `access_time` is written, for `strptime`."),
    Param::str("_original_basename").doc("Name to add when the path is a directory; set by other modules."),
    Param::bool("_diff_peek").doc("Asks whether the path holds something binary; set by other modules."),
])
.files()
.diff();

impl Module for FileModule {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let asked = args.str("state");
        let mut path = args.text("path").to_owned();
        let before = Kind::at(&path);
        let state = match (asked, before) {
            (Some(state), _) => state,
            (None, Kind::Absent) if args.bool("recurse") => "directory",
            (None, Kind::Absent) => "file",
            (None, kind) => kind.name(),
        };
        ctx.resolved("state", state);
        if args.bool("recurse") && state != "directory" {
            return Err(at(&path, "recurse option requires state to be 'directory'"));
        }
        if args.has("src") && !matches!(state, "link" | "hard") {
            return Err(at(&path, "src option requires state to be 'link' or 'hard'"));
        }
        if !matches!(state, "link" | "absent") && Path::new(&path).is_dir() {
            let name = args
                .nonempty("_original_basename")
                .or_else(|| args.nonempty("src").map(|src| src.rsplit('/').next().unwrap_or(src)));
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                path = format!("{}/{name}", path.trim_end_matches('/'));
            }
        }
        ctx.resolved("path", path.as_str());
        let job = Work {
            wanted: args.wanted(),
            times: Times::wanted(args, state)?,
            follow: args.bool("follow"),
            force: args.bool("force"),
            src: args.str("src").map(str::to_owned),
            recurse: args.bool("recurse"),
            before: dict! {"path" => path.as_str()},
            after: dict! {"path" => path.as_str()},
            path,
            ctx,
        };
        let missing = if ctx.check { nobody(args) } else { Vec::new() };
        let done = match state {
            "absent" => job.absent(),
            "directory" => job.directory(),
            "touch" => job.touch(),
            "link" => job.link(),
            "hard" => job.hard(),
            _ => job.file(),
        };
        match done {
            Ok(outcome) => Ok(missing.into_iter().fold(outcome, Outcome::warn)),
            Err(failure) => Err(missing.into_iter().fold(failure, Failure::warn)),
        }
    }
}

fn at(path: &str, msg: impl Into<String>) -> Failure {
    Failure::new(msg).with("path", path)
}

/// One task: what is wanted, and both sides of the diff so far.
struct Work<'a> {
    path: String,
    src: Option<String>,
    wanted: Wanted,
    times: Times,
    follow: bool,
    force: bool,
    recurse: bool,
    before: Dict,
    after: Dict,
    ctx: &'a Ctx,
}

/// Owner and group that do not exist: check mode cannot know whether a task before would have made them.
fn nobody(args: &Args) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(owner) = args.nonempty("owner") {
        let (known, what) = match owner.parse() {
            Ok(uid) => (users::by_uid(uid).is_some(), "user with uid"),
            Err(_) => (users::by_name(owner).is_some(), "user"),
        };
        if !known {
            missing
                .push(format!("failed to look up {what} {owner}. Create user up to this point in real play"));
        }
    }
    if let Some(group) = args.nonempty("group") {
        let (known, what) = match group.parse() {
            Ok(gid) => (users::group_by_gid(gid).is_some(), "group with gid"),
            Err(_) => (users::group_by_name(group).is_some(), "group"),
        };
        if !known {
            missing.push(format!(
                "failed to look up {what} {group}. Create group up to this point in real play"
            ));
        }
    }
    missing
}

impl Work<'_> {
    fn note_state(&mut self, before: Kind, after: &str) {
        if before.name() != after {
            self.before.insert("state", before.name());
            self.after.insert("state", after);
        }
    }

    /// Applies attributes and times to `path`.
    fn settle(&mut self, path: &str) -> Result<bool, Failure> {
        let mut changed = self.wanted.apply(path, self.ctx, Some((&mut self.before, &mut self.after)))?;
        changed |= self.times.apply(path, self.follow, self.ctx, &mut self.before, &mut self.after)?;
        Ok(changed)
    }

    fn done(self, key: &str, changed: bool) -> Outcome {
        Outcome::changed_if(changed).with(key, self.path).diff(Diff::dicts(self.before, self.after))
    }

    fn resolve(&mut self) {
        if self.follow && Kind::at(&self.path) == Kind::Link {
            self.path = files::real_path(&self.path);
            self.before.insert("path", self.path.as_str());
            self.after.insert("path", self.path.as_str());
        }
    }

    fn absent(mut self) -> Result<Outcome, Failure> {
        let before = Kind::at(&self.path);
        self.note_state(before, "absent");
        if before == Kind::Absent {
            return Ok(Outcome::ok().with("path", self.path).with("state", "absent"));
        }
        if before == Kind::Directory {
            self.before.insert("path_content", listing(&self.path));
        }
        if !self.ctx.check {
            let removed = files::remove_tree(Path::new(&self.path));
            let word = if before == Kind::Directory { "rmtree" } else { "unlinking" };
            removed.map_err(|error| at(&self.path, format!("{word} failed: {}", errno(&error))))?;
        }
        let outcome = self.done("path", true);
        Ok(outcome.with("state", "absent"))
    }

    fn file(mut self) -> Result<Outcome, Failure> {
        self.resolve();
        let before = Kind::at(&self.path);
        if !matches!(before, Kind::File | Kind::Hard) {
            let msg = format!("file ({}) is {}, cannot continue", self.path, before.name());
            return Err(at(&self.path, msg).with("state", before.name()));
        }
        let path = self.path.clone();
        let changed = self.settle(&path)?;
        Ok(self.done("path", changed))
    }

    fn directory(mut self) -> Result<Outcome, Failure> {
        self.resolve();
        let before = Kind::at(&self.path);
        self.note_state(before, "directory");
        let mut changed = false;
        match before {
            Kind::Directory => {}
            Kind::Absent => {
                if self.ctx.check {
                    return Ok(self.done("path", true));
                }
                for part in missing_parents(&self.path) {
                    let made = std::fs::create_dir(&part);
                    match made {
                        Ok(()) => changed = true,
                        // Somebody else was faster; it is a directory all the same.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && part.is_dir() => {}
                        Err(error) => {
                            let msg = format!(
                                "There was an issue creating {} as requested: {}",
                                part.display(),
                                errno(&error)
                            );
                            return Err(at(&self.path, format!("{msg}: b'{}'", part.display())));
                        }
                    }
                    let part = part.to_string_lossy().into_owned();
                    changed |=
                        self.wanted.apply(&part, self.ctx, Some((&mut self.before, &mut self.after)))?;
                }
            }
            other => {
                return Err(at(&self.path, format!("{} already exists as a {}", self.path, other.name())));
            }
        }
        let path = self.path.clone();
        changed |= self.settle(&path)?;
        if self.recurse {
            changed |= self.inside(Path::new(&path), 0)?;
        }
        Ok(self.done("path", changed))
    }

    /// Applies attributes to all that is inside a directory.
    fn inside(&self, directory: &Path, depth: usize) -> Result<bool, Failure> {
        self.ctx.alive()?;
        let failed = |error: io::Error| {
            let path = directory.to_string_lossy();
            at(
                &self.path,
                format!(
                    "Could not recursively set attributes on {path}. Original error was: '{}'",
                    errno(&error)
                ),
            )
        };
        let mut changed = false;
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let text = path.to_string_lossy().into_owned();
            let kind = Kind::at(&path);
            let mut sides = (Dict::new(), Dict::new());
            changed |= self.wanted.apply(&text, self.ctx, Some((&mut sides.0, &mut sides.1)))?;
            changed |= self.times.apply(&text, self.follow, self.ctx, &mut sides.0, &mut sides.1)?;
            if kind == Kind::Directory {
                changed |= self.inside(&path, depth)?;
            } else if kind == Kind::Link && self.follow && path.exists() && depth < 40 {
                let real = files::real_path(&text);
                changed |= self.wanted.apply(&real, self.ctx, None)?;
                if Path::new(&real).is_dir() {
                    changed |= self.inside(Path::new(&real), depth + 1)?;
                }
            }
        }
        Ok(changed)
    }

    fn touch(mut self) -> Result<Outcome, Failure> {
        let before = Kind::at(&self.path);
        self.note_state(before, "touch");
        if self.ctx.check && before == Kind::Absent {
            return Ok(Outcome::changed().with("dest", self.path));
        }
        let created = before == Kind::Absent;
        if created {
            let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o666).open(&self.path);
            made.map_err(|error| {
                let cause = format!("{}: b'{}'", errno(&error), self.path);
                at(&self.path, "Error, could not touch target.").cause(cause)
            })?;
        }
        let path = if self.follow { files::real_path(&self.path) } else { self.path.clone() };
        let settled = self.settle(&path).map_err(|failure| {
            let mut standing = Dict::new();
            files::describe(&path, &mut standing);
            if created {
                // A file that could not be made right is not left behind.
                std::fs::remove_file(&self.path).ok();
            }
            failure.with_all(standing)
        });
        let changed = settled? || created;
        Ok(self.done("dest", changed))
    }
}

/// The directories that have to be made for `path`, outermost first, the path itself last.
fn missing_parents(path: &str) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = Path::new(path)
        .ancestors()
        .take_while(|part| !part.as_os_str().is_empty() && !part.exists())
        .map(Path::to_path_buf)
        .collect();
    missing.reverse();
    missing
}

/// What a directory holds, for the diff of its removal.
fn listing(path: &str) -> Value {
    let (mut directories, mut names) = (Vec::new(), Vec::new());
    let mut queue = vec![PathBuf::from(path)];
    while let Some(directory) = queue.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let inside = entry.path();
            let text = Value::from(inside.to_string_lossy().into_owned());
            if inside.is_dir() {
                directories.push(text);
                if Kind::at(&inside) == Kind::Directory {
                    queue.push(inside);
                }
            } else {
                names.push(text);
            }
        }
    }
    Value::from(dict! {"directories" => directories, "files" => names})
}

/// A name beside `path` that is not taken, for something that is renamed into place.
fn beside(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').map_or((".", path), |(directory, name)| (directory, name));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{directory}/.quorate-{}-{now}-{name}", std::process::id())
}
