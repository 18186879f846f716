//! `archive`: files and directories packed, or one file compressed.
//!
//! **Invariant:** the same files make the same bytes, so a second run changes nothing.
//!
//! Not here: how the formats are written (`archive/pack.rs`).

mod pack;

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::files::{self, Wanted};
use crate::system::glob;
use quorate_value::Value;
use std::path::{Path, PathBuf};

/// The `archive` module.
pub struct Archive;

static SPEC: Spec = Spec::new("archive", "Packs files and directories.")
    .collection("community.general")
    .params(&[
        Param::list("path", Kind::Path).required().doc("What to pack; wildcards are expanded."),
        Param::str("format")
            .choices(&["bz2", "gz", "tar", "xz", "zip"])
            .default_str("gz")
            .doc("How it is packed."),
        Param::path("dest").doc("The archive; beside a single file if absent."),
        Param::list("exclude_path", Kind::Path)
            .default(Lit::List(&[]))
            .doc("What is left out; wildcards are expanded."),
        Param::list("exclusion_patterns", Kind::Path).doc("Patterns of names that are left out."),
        Param::bool("force_archive").default_bool(false).doc("Makes an archive even of a single file."),
        Param::bool("remove").default_bool(false).doc("Removes what was packed."),
    ])
    .files();

impl Module for Archive {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let given = args.strings("path");
        let expanded = expand(&given);
        let left_out = expand(&args.strings("exclude_path"));
        let targets: Vec<String> = expanded.iter().filter(|path| !left_out.contains(path)).cloned().collect();
        let there: Vec<String> =
            targets.iter().filter(|path| std::fs::symlink_metadata(path).is_ok()).cloned().collect();
        let missing: Vec<String> = targets.iter().filter(|path| !there.contains(path)).cloned().collect();
        if expanded.is_empty() {
            return Err(Failure::new("Error, no source paths were found")
                .with("path", given.join(", "))
                .with("expanded_paths", "")
                .with("expanded_exclude_paths", left_out.join(", ")));
        }
        let format = args.text("format");
        let many = given.len() > 1
            || given.iter().any(|path| is_pattern(path))
            || there.len() > 1
            || there.iter().any(|path| Path::new(path).is_dir());
        let archives = many || args.bool("force_archive") || matches!(format, "tar" | "zip");
        let dest = match args.str("dest") {
            Some(dest) => dest.to_owned(),
            None if many => {
                return Err(Failure::new(
                    "Error, must specify \"dest\" when archiving multiple files or trees",
                )
                .with("dest", "None")
                .with("path", given.join(", ")));
            }
            None => format!("{}.{format}", targets.first().or(expanded.first()).cloned().unwrap_or_default()),
        };
        if Path::new(&dest).is_dir() {
            return Err(Failure::new(format!("Error, destination {dest} is a directory")));
        }
        if args.bool("remove")
            && there.iter().any(|path| Path::new(path).is_dir() && Path::new(&dest).starts_with(path))
        {
            return Err(Failure::new(
                "Error, created archive can not be contained in source paths when remove=true",
            ));
        }
        let root = root_of(&expanded, archives && many);
        let patterns = args.strings("exclusion_patterns");
        let skip = |path: &Path| {
            let text = path.to_string_lossy();
            let relative = text.strip_prefix(&root).unwrap_or(&text);
            patterns.iter().any(|pattern| glob::fnmatch(relative, pattern))
                || left_out.iter().any(|out| text == out.as_str())
                || text == dest.as_str()
        };
        let members = members(&there, &root, &skip);
        let mut state = "absent";
        let (mut changed, mut packed) = (false, Vec::new());
        if there.is_empty() {
            // nothing to pack; what an earlier run packed (and removed) may stand
            if Path::new(&dest).exists() {
                state = if archives { "archive" } else { "compress" };
            }
        } else {
            let bytes =
                if archives { pack::archive(format, &members) } else { pack::compressed(format, &there[0]) }
                    .map_err(|error| {
                        Failure::new(format!("Error when writing {format} archive at {dest}: {error}"))
                    })?;
            packed = members
                .iter()
                .filter(|it| archives || it.is_file)
                .map(|it| it.path.to_string_lossy().into_owned())
                .collect();
            let stands = std::fs::read(&dest).ok();
            changed = stands.as_deref() != Some(&bytes);
            if changed && !ctx.check {
                files::write(&dest, &bytes, &Wanted::default())?;
            }
            state = match (archives, missing.is_empty()) {
                (false, _) => "compress",
                (true, false) => "incomplete",
                (true, true) => "archive",
            };
            if args.bool("remove") {
                changed = true;
                if !ctx.check {
                    for path in there.iter().filter(|path| **path != dest) {
                        remove(path)?;
                    }
                }
            }
        }
        if ctx.check {
            packed.clear();
            if !Path::new(&dest).exists() {
                state = "absent";
            }
        }
        if Path::new(&dest).exists() {
            changed |= args.wanted().apply(&dest, ctx, None)?;
        }
        let list = |items: &[String]| items.iter().map(String::as_str).collect::<Value>();
        let shown_root = if root.is_empty() { root } else { format!("{}/", root.trim_end_matches('/')) };
        Ok(Outcome::changed_if(changed)
            .with("archived", list(&packed))
            .with("dest", dest)
            .with("dest_state", state)
            .with("arcroot", shown_root)
            .with("missing", list(&missing))
            .with("expanded_paths", list(&expanded))
            .with("expanded_exclude_paths", list(&left_out)))
    }
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', ']'])
}

fn expand(paths: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for path in paths {
        if is_pattern(path) {
            found.extend(glob::glob(path, None).into_iter().map(|it| it.to_string_lossy().into_owned()));
        } else {
            found.push(path.clone());
        }
    }
    found
}

/// The directory that names in the archive are relative to.
fn root_of(paths: &[String], _many: bool) -> String {
    let mut parts: Option<Vec<String>> = None;
    for path in paths {
        let parent =
            Path::new(path.trim_end_matches('/')).parent().map(Path::to_path_buf).unwrap_or_default();
        let own: Vec<String> =
            parent.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        parts = Some(match parts {
            None => own,
            Some(known) => {
                known.iter().zip(&own).take_while(|(a, b)| a == b).map(|(a, _)| a.clone()).collect()
            }
        });
    }
    let joined: PathBuf = parts.unwrap_or_default().iter().collect();
    let text = joined.to_string_lossy().into_owned();
    if text.is_empty() || text == "/" { text } else { format!("{text}/") }
}

/// One entry of an archive.
#[derive(Debug, Clone)]
struct Member {
    path: PathBuf,
    name: String,
    is_file: bool,
}

fn members(paths: &[String], root: &str, skip: &dyn Fn(&Path) -> bool) -> Vec<Member> {
    let mut found = Vec::new();
    let mut add = |path: &Path| {
        if skip(path) {
            return;
        }
        let text = path.to_string_lossy();
        let name = text.strip_prefix(root).unwrap_or(&text).trim_start_matches('/').to_owned();
        let is_file = std::fs::symlink_metadata(path).is_ok_and(|it| !it.is_dir());
        found.push(Member { path: path.to_owned(), name, is_file });
    };
    for path in paths {
        let path = Path::new(path);
        if path.is_dir() && !path.is_symlink() {
            walk(path, &mut add);
        } else {
            add(path);
        }
    }
    found
}

/// Directories first, then files, each level before those below it; in the order of names.
fn walk(directory: &Path, add: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let is_dir = |path: &PathBuf| path.is_dir();
    entries.iter().filter(|path| is_dir(path)).for_each(|path| add(path));
    entries.iter().filter(|path| !is_dir(path)).for_each(|path| add(path));
    for path in entries.iter().filter(|path| is_dir(path) && !path.is_symlink()) {
        walk(path, add);
    }
}

fn remove(path: &str) -> Result<(), Failure> {
    let removed = if Path::new(path).is_dir() && !Path::new(path).is_symlink() {
        files::remove_tree(Path::new(path))
    } else {
        std::fs::remove_file(path)
    };
    removed.map_err(|error| files::trouble("could not remove", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_what_paths_share() {
        let root = |paths: &[&str]| root_of(&paths.iter().map(|&it| it.to_owned()).collect::<Vec<_>>(), true);
        assert_eq!(root(&["/a/b/c"]), "/a/b/");
        assert_eq!(root(&["/a/b/c", "/a/d/e"]), "/a/");
        assert_eq!(root(&["/a", "/b/c"]), "/");
    }
}
