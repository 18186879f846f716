//! Writing the members of an archive.
//!
//! **Invariant:** no member is written through a link that the same archive brought.

use super::Job;
use crate::system::archive::{Format, Kind, Member};
use crate::system::{files, users};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub(super) struct Extraction<'a> {
    job: &'a Job<'a>,
    /// Links from this archive.
    links: BTreeSet<PathBuf>,
    /// Directories, whose modes and times come last: writing into them would change them.
    directories: Vec<(PathBuf, u32, Option<i64>)>,
    uids: HashMap<String, Option<u32>>,
    gids: HashMap<String, Option<u32>>,
    counter: u64,
}

impl<'a> Extraction<'a> {
    pub(super) fn new(job: &'a Job<'a>) -> Self {
        Extraction {
            job,
            links: BTreeSet::new(),
            directories: Vec::new(),
            uids: HashMap::new(),
            gids: HashMap::new(),
            counter: 0,
        }
    }

    pub(super) fn put(&mut self, member: &Member, path: &Path, content: &mut dyn Read) -> io::Result<()> {
        self.guard(member, path)?;
        if member.kind != Kind::Directory {
            self.make_parents(path)?;
        }
        let standing = std::fs::symlink_metadata(path).ok();
        if standing.is_some() && self.job.options.keep_old && member.kind != Kind::Directory {
            return Ok(());
        }
        match &member.kind {
            Kind::Directory => self.directory(member, path),
            Kind::File => {
                let newer = standing.as_ref().is_some_and(|now| now.is_file() && now.mtime() >= member.mtime);
                if self.job.options.keep_newer && newer {
                    return Ok(());
                }
                clear(path)?;
                self.file(member, path, content)
            }
            Kind::Link(target) => {
                clear(path)?;
                files::replace_link(&path.to_string_lossy(), target)?;
                self.links.insert(path.to_path_buf());
                self.own(member, path)
            }
            Kind::Hard(_)
                if self.job.options.keep_newer
                    && standing.as_ref().is_some_and(|it| it.mtime() > member.mtime) =>
            {
                Ok(())
            }
            Kind::Hard(name) => {
                let target = self.job.options.place(name)?;
                let target = target
                    .ok_or_else(|| io::Error::other(format!("`{name}` is linked to, but not taken")))?;
                let target = Path::new(&self.job.dest).join(target);
                self.guard(member, &target)?;
                let same = |now: &std::fs::Metadata| {
                    std::fs::metadata(&target).is_ok_and(|it| it.ino() == now.ino())
                };
                if standing.as_ref().is_some_and(same) {
                    return Ok(());
                }
                clear(path)?;
                if standing.is_some() {
                    std::fs::remove_file(path)?;
                }
                std::fs::hard_link(target, path)
            }
            Kind::Special => Err(io::Error::other(format!("`{}` is a device or pipe", member.name))),
        }
    }

    /// Modes and times of directories, innermost first.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.directories.sort_by_key(|(path, ..)| std::cmp::Reverse(path.components().count()));
        for (path, mode, mtime) in &self.directories {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
            if let Some(mtime) = mtime.filter(|_| !self.job.options.touch) {
                files::set_times(path, None, Some(mtime as f64), true)?;
            }
        }
        Ok(())
    }

    /// Refuses paths that run through a link of this archive.
    fn guard(&self, member: &Member, path: &Path) -> io::Result<()> {
        match path.ancestors().skip(1).find(|above| self.links.contains(*above)) {
            Some(link) => Err(io::Error::other(format!(
                "`{}` would be written through the link {} of the same archive",
                member.name,
                link.display()
            ))),
            None => Ok(()),
        }
    }

    fn make_parents(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)
    }

    fn directory(&mut self, member: &Member, path: &Path) -> io::Result<()> {
        let existed = path.is_dir();
        if !existed {
            if std::fs::symlink_metadata(path).is_ok() {
                std::fs::remove_file(path)?;
            }
            std::fs::create_dir_all(path)?;
        }
        if let Some(mode) = member.mode {
            let root = path.components().eq(Path::new(&self.job.dest).components());
            if !(root && self.job.format == Format::Zip) {
                let mode = self.job.mode_of(mode);
                self.directories.push((path.to_path_buf(), mode, Some(member.mtime)));
            }
        }
        self.own(member, path)
    }

    fn file(&mut self, member: &Member, path: &Path, content: &mut dyn Read) -> io::Result<()> {
        self.counter += 1;
        let name = format!(".quorate-{}-{}", std::process::id(), self.counter);
        let temporary = path.with_file_name(name);
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
            let copied = io::copy(content, &mut file)?;
            if copied < member.size {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            self.own(member, &temporary)?;
            let mode = member.mode.map_or(0o666 & !files::umask(), |mode| self.job.mode_of(mode));
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            if !self.job.options.touch {
                files::set_times(&temporary, None, Some(member.mtime as f64), true)?;
            }
            std::fs::rename(&temporary, path)
        })();
        written.inspect_err(|_| {
            // Half a file is not left behind.
            std::fs::remove_file(&temporary).ok();
        })
    }

    /// Root gives members to their owners, by name where the name is known here.
    fn own(&mut self, member: &Member, path: &Path) -> io::Result<()> {
        let keeps = self.job.options.same_owner.unwrap_or(true) && rustix::process::geteuid().is_root();
        let Some(owner) = member.owner.as_ref().filter(|_| keeps) else { return Ok(()) };
        let uid = *self
            .uids
            .entry(owner.user.clone())
            .or_insert_with(|| users::by_name(&owner.user).map(|it| it.uid));
        let gid = *self
            .gids
            .entry(owner.group.clone())
            .or_insert_with(|| users::group_by_name(&owner.group).map(|it| it.gid));
        std::os::unix::fs::lchown(path, Some(uid.unwrap_or(owner.uid)), Some(gid.unwrap_or(owner.gid)))
    }
}

/// Makes way for something that is no directory.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(now) if now.is_dir() => std::fs::remove_dir(path),
        _ => Ok(()),
    }
}
