//! Does what an archive holds stand at the destination already?

use super::Job;
use crate::system::archive::{Format, Kind, Member};
use crate::system::files::permission_bits;
use crate::system::users;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What differs, in `rsync`'s letters.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<String>,
    unlisted: bool,
}

impl Report {
    pub(super) fn differs(&self) -> bool {
        self.unlisted || !self.lines.is_empty()
    }

    pub(super) fn itemized(&self) -> String {
        self.lines.concat()
    }

    /// Looks at one member.
    pub(super) fn look(
        &mut self,
        job: &Job<'_>,
        member: &Member,
        path: &Path,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let letter = match &member.kind {
            Kind::File | Kind::Hard(_) => 'f',
            Kind::Directory => 'd',
            Kind::Link(_) => 'L',
            Kind::Special => return Ok(()),
        };
        let Ok(metadata) = std::fs::symlink_metadata(path) else {
            self.lines.push(format!(">{letter}++++++.?? {}\n", member.name));
            return Ok(());
        };
        if job.options.keep_old {
            return Ok(());
        }
        let mut marks = ['.'; 7];
        match &member.kind {
            Kind::File => {
                if job.options.keep_newer && metadata.mtime() > member.mtime && metadata.is_file() {
                    return Ok(());
                }
                if !metadata.is_file() || !same_content(path, content)? {
                    marks[2] = 'c';
                }
                if metadata.len() != member.size {
                    marks[3] = 's';
                }
                if metadata.mtime() != member.mtime
                    && !job.options.touch
                    && !times_are_vague(job, &metadata, member)
                {
                    marks[4] = 't';
                }
            }
            Kind::Directory if !path.is_dir() => marks[2] = 'c',
            Kind::Link(target) if std::fs::read_link(path).map_or(true, |now| now != Path::new(target)) => {
                marks[2] = 'c';
            }
            Kind::Hard(_) if job.options.keep_newer && metadata.mtime() > member.mtime => {}
            Kind::Hard(name) => {
                let other = job
                    .options
                    .place(name)?
                    .and_then(|it| std::fs::metadata(Path::new(&job.dest).join(it)).ok());
                if other.is_some_and(|other| other.ino() != metadata.ino()) {
                    marks[2] = 'c';
                }
            }
            _ => {}
        }
        let link = matches!(member.kind, Kind::Link(_));
        let root = rustix::process::geteuid().is_root();
        if let Some(mode) = member.mode.filter(|_| job.wanted.mode.is_none() && !link)
            && permission_bits(&metadata) != job.mode_of(mode)
        {
            marks[5] = 'p';
        }
        if let (Some(owner), true) = (&member.owner, root && job.options.same_owner != Some(false)) {
            let uid = users::by_name(&owner.user).map_or(owner.uid, |user| user.uid);
            let gid = users::group_by_name(&owner.group).map_or(owner.gid, |group| group.gid);
            if job.wanted.owner.is_none() && metadata.uid() != uid
                || job.wanted.group.is_none() && metadata.gid() != gid
            {
                self.unlisted = true;
            }
        }
        if marks.iter().any(|mark| *mark != '.') {
            marks[0] = '>';
            marks[1] = letter;
            self.lines.push(format!("{}.?? {}\n", marks.iter().collect::<String>(), member.name));
        }
        Ok(())
    }
}

impl Job<'_> {
    /// The bits a member gets: root keeps the archive's, others have a umask.
    pub(super) fn mode_of(&self, mode: u32) -> u32 {
        let exact = self
            .options
            .same_mode
            .unwrap_or(rustix::process::geteuid().is_root() && self.format != Format::Zip);
        if exact { mode } else { mode & !crate::system::files::umask() & 0o777 }
    }
}

/// zip keeps times to two seconds.
fn times_are_vague(job: &Job<'_>, metadata: &Metadata, member: &Member) -> bool {
    job.format == Format::Zip && (metadata.mtime() - member.mtime).abs() <= 2
}

fn same_content(path: &Path, content: &mut dyn Read) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let (mut ours, mut theirs) = (vec![0; 65536], vec![0; 65536]);
    loop {
        let wanted = fill(content, &mut theirs)?;
        let standing = fill(&mut file, &mut ours)?;
        if ours[..standing] != theirs[..wanted] {
            return Ok(false);
        }
        if wanted == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
