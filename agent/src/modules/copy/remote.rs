//! `remote_src`: files and directories that are on the host already.

use super::single::{Place, Source, sums_of, write};
use crate::args::Args;
use crate::module::{Ctx, Failure, Outcome};
use crate::system::files::{self, Kind};
use crate::system::{clock, process::errno};
use quorate_value::Value;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// One file.
pub(super) fn put_file(args: &Args, ctx: &Ctx, src: &str, metadata: &Metadata) -> Result<Outcome, Failure> {
    let mut dest = args.text("dest").to_owned();
    let mut place = Place::of(args);
    if args.value("mode").is_some_and(|mode| *mode == Value::from("preserve")) {
        place.wanted.mode = Some(Value::Int(i64::from(metadata.mode() & 0o7777)));
    }
    let name = args.nonempty("_original_basename").unwrap_or(base_name(src));
    if dest.ends_with('/') && !Path::new(&dest).exists() {
        let directory = dest.trim_end_matches('/').to_owned();
        if ctx.check {
            return Ok(Outcome::changed()
                .with("src", src)
                .msg(format!("dest directory {directory} would be created")));
        }
        super::single::make_directories(&directory, &place.wanted, place.directory_mode.as_ref(), ctx)?;
    }
    if Path::new(&dest).is_dir() {
        dest = format!("{}/{name}", dest.trim_end_matches('/'));
    }
    if !place.force && std::fs::symlink_metadata(&dest).is_ok() {
        return Ok(Outcome::ok().msg("file already exists").with("src", src).with("dest", dest));
    }
    if place.follow && Kind::at(&dest) == Kind::Link && Path::new(&dest).exists() {
        dest = files::real_path(&dest);
    }
    if let Some(parent) =
        Path::new(&dest).parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
    {
        return Err(Failure::new(format!("Destination directory {} does not exist", parent.display())));
    }
    place.dest = dest.clone();
    let source = Source::File(src.to_owned());
    let hash = source.hash()?;
    let sums = sums_of(src);
    if let (Some(expected), Some(found)) =
        (args.str("checksum"), sums.get("checksum").and_then(Value::as_str))
        && expected != found
    {
        return Err(Failure::new("Copied file does not match the expected checksum. Transfer failed.")
            .with("checksum", found)
            .with("expected_checksum", expected));
    }
    // A link at the destination is replaced, even where it leads to the same content.
    let same = super::hash_of(&dest) == Some(hash) && Kind::at(&dest) != Kind::Link;
    let mut outcome = Outcome::changed_if(!same).with("src", src).with("dest", dest.as_str()).with_all(sums);
    if !same && !ctx.check {
        let written = write(&place, &source, &hash, ctx)?;
        if let Some(backup) = written.backup {
            outcome.set("backup_file", backup);
        }
    }
    if same && place.wanted.apply(&dest, ctx, None)? {
        outcome.set_changed(true);
    }
    Ok(outcome)
}

/// A directory, into one that exists or is made.
pub(super) fn put_directory(args: &Args, ctx: &Ctx, src: &str) -> Result<Outcome, Failure> {
    let named = args.text("dest");
    let place = Place::of(args);
    let existed = Path::new(named).is_dir();
    if Path::new(named).exists() && !existed {
        return Err(Failure::new(format!("cannot overwrite non-directory '{named}' with directory '{src}'")));
    }
    let (into, shown) = if src.ends_with('/') {
        let shown = if existed { format!("{}/", named.trim_end_matches('/')) } else { named.to_owned() };
        (named.trim_end_matches('/').to_owned(), shown)
    } else {
        let into = format!("{}/{}", named.trim_end_matches('/'), base_name(src));
        (into.clone(), if existed { into } else { named.to_owned() })
    };
    let from = Path::new(src);
    if files::real_path(&into).starts_with(&format!("{}/", files::real_path(src).trim_end_matches('/'))) {
        return Err(Failure::new(format!("cannot copy the directory {src} into itself, {into}")));
    }
    let mut walk = Walk { ctx, place: &place, follow: args.bool("local_follow"), changed: false };
    if !existed && !ctx.check {
        let parent = Path::new(&into).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        super::single::make_directories(&parent, &place.wanted, place.directory_mode.as_ref(), ctx)?;
    }
    walk.directory(from, Path::new(&into))
        .map_err(|error| Failure::new(format!("could not copy {src} to {into}: {}", errno(&error))))?;
    let mut changed = walk.changed;
    let settled = if existed || src.ends_with('/') { into.as_str() } else { named.trim_end_matches('/') };
    if Path::new(settled).exists() {
        changed |= place.wanted.apply(settled, ctx, None)?;
    }
    Ok(Outcome::changed_if(changed)
        .with("src", src)
        .with("dest", shown)
        .with("checksum", Value::Null)
        .with("md5sum", Value::Null))
}

struct Walk<'a> {
    ctx: &'a Ctx,
    place: &'a Place,
    follow: bool,
    changed: bool,
}

impl Walk<'_> {
    fn directory(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let made = !to.is_dir();
        if made {
            self.changed = true;
            if !self.ctx.check {
                std::fs::create_dir(to)?;
            }
        }
        let mut entries = std::fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            if self.ctx.cancel.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            let (inside, target) = (entry.path(), to.join(entry.file_name()));
            let kind = std::fs::symlink_metadata(&inside)?.file_type();
            if kind.is_symlink() && !self.follow {
                self.link(&inside, &target)?;
            } else if inside.is_dir() {
                self.directory(&inside, &target)?;
            } else if inside.is_file() {
                self.file(&inside, &target)?;
            }
        }
        if made && !self.ctx.check {
            same_attributes(from, to)?;
            self.own(to)?;
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let standing = files::observe(to)?;
        if standing.is_some() {
            let text = to.to_string_lossy();
            let same =
                super::hash_of(&text).is_some_and(|hash| files::sha256_file(from).is_ok_and(|it| it == hash));
            if same || !self.place.force {
                return Ok(());
            }
        }
        self.changed = true;
        if self.ctx.check {
            return Ok(());
        }
        let text = to.to_string_lossy();
        let place = Place { dest: text.clone().into_owned(), ..Place::default() };
        let source = Source::File(from.to_string_lossy().into_owned());
        let hash = files::sha256_file(from)?;
        write(&place, &source, &hash, self.ctx)
            .map_err(|failure| io::Error::other(failure.message().to_owned()))?;
        if standing.is_none() {
            same_attributes(from, to)?;
        }
        self.own(to)
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let target = std::fs::read_link(from)?;
        if std::fs::read_link(to).is_ok_and(|now| now == target) {
            return Ok(());
        }
        if files::observe(to)?.is_some() && !self.place.force {
            return Ok(());
        }
        self.changed = true;
        if self.ctx.check {
            return Ok(());
        }
        files::replace_link(&to.to_string_lossy(), &target.to_string_lossy())?;
        self.own(to)
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        let text = path.to_string_lossy();
        let failed = |failure: Failure| io::Error::other(failure.message().to_owned());
        let wanted = &self.place.wanted;
        let (uid, gid) = (wanted.uid(&text).map_err(failed)?, wanted.gid(&text).map_err(failed)?);
        std::os::unix::fs::lchown(path, uid, gid)
    }
}

/// Mode and times of the original.
fn same_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(from)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    let at = |whole, nanos| Some(clock::seconds(whole, nanos));
    let access = at(metadata.atime(), metadata.atime_nsec());
    files::set_times(to, access, at(metadata.mtime(), metadata.mtime_nsec()), true)
}
