//! A whole tree in one job: the controller sends a manifest, and content only for what differs.

use super::single::{Place, Source, make_directories, put};
use crate::args::Args;
use crate::module::{Ctx, Failure, Outcome};
use crate::protocol::hash_from_hex;
use crate::system::files::{self, Kind, Wanted};
use crate::system::process::errno;
use quorate_value::{Dict, Value};
use std::path::Path;

/// Puts a tree under `dest`. Entries: `path` (relative), `kind` (`file`, `directory`, `link`), and by kind `hash`,
/// `size`, `mode`, `source` or `target`.
pub(super) fn put_tree(args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    let root = args.text("dest").trim_end_matches('/').to_owned();
    let common = Place::of(args);
    if Path::new(&root).exists() && !Path::new(&root).is_dir() {
        let first =
            args.list("_manifest").iter().filter_map(Value::as_dict).find_map(|e| e.get("path")?.as_str());
        let first = first.unwrap_or_default();
        return Err(Failure::new(format!(
            "Failed to get information on remote file ({root}/{first}): Not a directory"
        )));
    }
    let mut tree = Tree { root: &root, common, ctx, changed: false, only: None, files: 0 };
    for entry in args.list("_manifest") {
        let entry = entry.as_dict().ok_or_else(|| Failure::new("a manifest entry is no mapping"))?;
        tree.put(entry)?;
    }
    let (changed, count, only) = (tree.changed, tree.files, tree.only);
    if let (1, Some(mut only)) = (count, only) {
        // One file answers for itself, as in Ansible.
        only.set_changed(changed);
        return Ok(only);
    }
    let source = args.str("_source").or(args.str("src"));
    Ok(Outcome::changed_if(changed).with("dest", format!("{root}/")).with("src", source).plain())
}

struct Tree<'a> {
    root: &'a str,
    common: Place,
    ctx: &'a Ctx,
    changed: bool,
    files: usize,
    only: Option<Outcome>,
}

impl Tree<'_> {
    fn put(&mut self, entry: &Dict) -> Result<(), Failure> {
        self.ctx.alive()?;
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let path = text("path").unwrap_or_default();
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(Failure::new(format!("the manifest names `{path}`, which is not inside the tree")));
        }
        let dest = if path.is_empty() { self.root.to_owned() } else { format!("{}/{path}", self.root) };
        match text("kind") {
            Some("file") => self.file(entry, dest),
            Some("directory") => self.directory(&dest),
            Some("link") => self.link(&dest, text("target").unwrap_or_default()),
            other => Err(Failure::new(format!("the manifest has an entry of kind {other:?}"))),
        }
    }

    fn file(&mut self, entry: &Dict, dest: String) -> Result<(), Failure> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let hash = text("hash").and_then(hash_from_hex);
        let hash = hash.ok_or_else(|| Failure::new(format!("the manifest has no SHA-256 for {dest}")))?;
        let size = entry.get("size").and_then(Value::as_int).map(|size| size as u64);
        let mut place = Place { make_parents: true, dest, ..self.common.clone() };
        if let Some(mode) = entry.get("mode").filter(|mode| !mode.is_null()) {
            place.wanted.mode = Some(mode.clone());
        }
        place.shown_source = text("source").map(str::to_owned);
        place.after_header = place.shown_source.clone().unwrap_or_else(|| place.dest.clone());
        let outcome = put(&place, &Source::Content { hash, size }, self.ctx)?;
        self.changed |= outcome.is_changed();
        self.files += 1;
        self.only = Some(outcome);
        Ok(())
    }

    fn wanted_directory(&self) -> Wanted {
        Wanted { mode: self.common.directory_mode.clone(), attributes: None, ..self.common.wanted.clone() }
    }

    fn directory(&mut self, dest: &str) -> Result<(), Failure> {
        if Path::new(dest).is_dir() {
            // An existing root keeps its attributes, as the task names only what is inside it.
            if dest != self.root {
                self.changed |= self.wanted_directory().apply(dest, self.ctx, None)?;
            }
            return Ok(());
        }
        if Kind::at(dest) != Kind::Absent {
            let kind = Kind::at(dest).name();
            return Err(Failure::new(format!("{dest} already exists as a {kind}")).with("path", dest));
        }
        self.changed = true;
        if self.ctx.check {
            return Ok(());
        }
        make_directories(dest, &self.common.wanted, self.common.directory_mode.as_ref(), self.ctx)
    }

    fn link(&mut self, dest: &str, target: &str) -> Result<(), Failure> {
        let standing = Kind::at(dest);
        if standing == Kind::Link && std::fs::read_link(dest).is_ok_and(|now| now == Path::new(target)) {
            return Ok(());
        }
        if standing == Kind::Directory {
            return Err(Failure::new(format!("refusing to convert from directory to symlink for {dest}"))
                .with("path", dest));
        }
        if standing != Kind::Absent && !self.common.force {
            return Ok(());
        }
        self.changed = true;
        if self.ctx.check {
            return Ok(());
        }
        let parent = Path::new(dest).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        make_directories(&parent, &self.common.wanted, self.common.directory_mode.as_ref(), self.ctx)?;
        files::replace_link(dest, target).map_err(|error| {
            Failure::new(format!("Error while linking: {}", errno(&error))).with("path", dest)
        })?;
        let wanted = Wanted { mode: None, attributes: None, ..self.common.wanted.clone() };
        wanted.apply(dest, self.ctx, None)?;
        Ok(())
    }
}
