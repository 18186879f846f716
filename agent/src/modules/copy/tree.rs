//! A whole tree in one job: the controller sends a manifest, and content only for what differs.

use super::single::{Place, Source, make_directories, put};
use crate::args::Args;
use crate::module::{Ctx, Failure, Outcome};
use crate::protocol::{Hash, hash_from_hex};
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
    let mut missing = Missing::new(args, &root, ctx);
    for (number, entry) in args.list("_manifest").iter().enumerate() {
        missing.ask(number, ctx);
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

/// So many files, and so many bytes of them, are asked for before they are put in place.
const FILES_AHEAD: usize = 512;
const BYTES_AHEAD: u64 = 8 << 20;

/// Content that the host does not have, asked for a little ahead, so that its way here is not waited for file by file.
struct Missing {
    /// Position in the manifest, hash, size.
    wanted: std::collections::VecDeque<(usize, Hash, u64)>,
    /// Where what was asked for and not yet put in place stands, and its size.
    asked: std::collections::VecDeque<(usize, u64)>,
    bytes: u64,
}

impl Missing {
    fn new(args: &Args, root: &str, ctx: &Ctx) -> Self {
        let mut missing = Missing { wanted: [].into(), asked: [].into(), bytes: 0 };
        let force = args.bool("force");
        for (number, entry) in args.list("_manifest").iter().enumerate() {
            let Some(entry) = entry.as_dict() else { continue };
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            let (Some("file"), Some(path), Some(hash)) =
                (text("kind"), text("path"), text("hash").and_then(hash_from_hex))
            else {
                continue;
            };
            let size = entry.get("size").and_then(Value::as_int).map_or(0, |size| size as u64);
            // as often as it will be read: to show the difference, and to write it
            let times = usize::from(!ctx.check) + usize::from(ctx.diff && size <= super::diff::LARGEST);
            let dest = file_at(format!("{root}/{path}"));
            let kept = !force && std::fs::symlink_metadata(&dest).is_ok();
            if times > 0 && !kept && !stands(&dest, &hash, size) {
                missing.wanted.extend(std::iter::repeat_n((number, hash, size), times));
            }
        }
        missing
    }

    /// Asks for as much as fits, with everything in front of `number` in place.
    fn ask(&mut self, number: usize, ctx: &Ctx) {
        while let Some((_, size)) = self.asked.front().copied().filter(|(at, _)| *at < number) {
            self.asked.pop_front();
            self.bytes -= size;
        }
        let mut hashes = Vec::new();
        while let Some((at, hash, size)) = self.wanted.front().copied() {
            let full = self.asked.len() >= FILES_AHEAD || self.bytes + size > BYTES_AHEAD;
            if full && !self.asked.is_empty() {
                break;
            }
            self.wanted.pop_front();
            // what has been passed already was fetched by whoever needed it
            if at >= number {
                self.asked.push_back((at, size));
                self.bytes += size;
                hashes.push(hash);
            }
        }
        if !hashes.is_empty() {
            ctx.expect(&hashes);
        }
    }
}

/// Where a file goes: into a directory that stands in its place.
fn file_at(dest: String) -> String {
    match dest.rsplit_once('/') {
        Some((_, name)) if Path::new(&dest).is_dir() => format!("{dest}/{name}"),
        _ => dest,
    }
}

/// Whether a file stands there with this content.
fn stands(path: &str, hash: &Hash, size: u64) -> bool {
    use sha2::Digest as _;
    let Ok(meta) = std::fs::metadata(path) else { return false };
    if !meta.is_file() || meta.len() != size {
        return false;
    }
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    let mut digest = sha2::Sha256::new();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        match std::io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return <Hash>::from(digest.finalize()) == *hash,
            Ok(n) => digest.update(&buffer[..n]),
            Err(_) => return false,
        }
    }
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
        let mut place = Place { make_parents: true, dest: file_at(dest), ..self.common.clone() };
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
