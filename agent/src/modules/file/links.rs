//! `state=link` and `state=hard`.

use super::{Work, at, beside};
use crate::module::{Failure, Outcome};
use crate::system::files::{self, Kind};
use crate::system::process::errno;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

impl Work<'_> {
    pub(super) fn link(mut self) -> Result<Outcome, Failure> {
        let before = Kind::at(&self.path);
        let src = match self.src.clone() {
            Some(src) => src,
            None if before == Kind::Link => read_link(&self.path),
            None => return Err(Failure::new("src is required for creating new symlinks")),
        };
        let is_directory = before == Kind::Directory;
        let base = if is_directory {
            Path::new(&self.path)
        } else {
            Path::new(&self.path).parent().unwrap_or(Path::new("/"))
        };
        let target = base.join(&src);
        if !self.force && !target.exists() {
            let msg = format!(
                "src file does not exist, use 'force=yes' if you really want to create the link: {}",
                target.display()
            );
            return Err(at(&self.path, msg).with("src", src));
        }
        self.may_become_link(before)?;
        self.note_state(before, "link");
        let changed = match before {
            Kind::Link => {
                let old = read_link(&self.path);
                let differs = old != src;
                if differs {
                    self.before.insert("src", old);
                    self.after.insert("src", src.as_str());
                }
                differs
            }
            _ => true,
        };
        if changed && !self.ctx.check {
            self.put_link(&src, before)?;
        }
        let mut outcome_changed = changed;
        let exists_now = Kind::at(&self.path) == Kind::Link;
        let mut warning = None;
        if exists_now {
            let settled = if self.follow { files::real_path(&self.path) } else { self.path.clone() };
            if self.follow && !Path::new(&settled).exists() {
                warning = Some(
                    "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this.",
                );
            } else {
                outcome_changed |= self.settle(&settled)?;
            }
        }
        let outcome = self.done_link(outcome_changed, src);
        Ok(match warning {
            Some(text) => outcome.warn(text),
            None => outcome,
        })
    }

    fn done_link(self, changed: bool, src: String) -> Outcome {
        let shown = self.src.is_some() || self.follow && src != self.path;
        self.done("dest", changed).with("src", shown.then_some(src))
    }

    fn may_become_link(&self, before: Kind) -> Result<(), Failure> {
        match before {
            Kind::Directory | Kind::File | Kind::Hard if !self.force => Err(at(
                &self.path,
                format!("refusing to convert from {} to symlink for {}", before.name(), self.path),
            )),
            Kind::Directory
                if std::fs::read_dir(&self.path).is_ok_and(|mut inside| inside.next().is_some()) =>
            {
                Err(at(
                    &self.path,
                    format!("the directory {} is not empty, refusing to convert it", self.path),
                ))
            }
            _ => Ok(()),
        }
    }

    fn put_link(&self, src: &str, before: Kind) -> Result<(), Failure> {
        let linking = |error: io::Error| {
            at(&self.path, format!("Error while linking: {}: b'{src}' -> b'{}'", errno(&error), self.path))
        };
        if before == Kind::Absent {
            return std::os::unix::fs::symlink(src, &self.path).map_err(linking);
        }
        let temporary = beside(&self.path);
        let replaced = (|| {
            std::os::unix::fs::symlink(src, &temporary)?;
            if before == Kind::Directory {
                std::fs::remove_dir(&self.path)?;
            }
            std::fs::rename(&temporary, &self.path)
        })();
        replaced.map_err(|error| {
            // The link that could not be put in place is not left behind.
            std::fs::remove_file(&temporary).ok();
            at(&self.path, format!("Error while replacing: {}", errno(&error)))
        })
    }

    pub(super) fn hard(mut self) -> Result<Outcome, Failure> {
        let before = Kind::at(&self.path);
        let src = match self.src.clone() {
            Some(src) => src,
            // It has several names already, and keeps them; only its attributes may change.
            None if before == Kind::Hard => self.path.clone(),
            None => return Err(Failure::new("src is required for creating new hardlinks")),
        };
        let clash =
            |msg: String| Failure::new(msg).with("dest", self.path.as_str()).with("src", src.as_str());
        let Ok(source) = std::fs::metadata(&src) else {
            return Err(clash("src does not exist".into()));
        };
        let same = std::fs::metadata(&self.path)
            .is_ok_and(|now| now.ino() == source.ino() && now.dev() == source.dev());
        let changed = match before {
            Kind::Absent => true,
            Kind::Link => {
                self.after.insert("src", src.as_str());
                self.before.insert("src", read_link(&self.path));
                true
            }
            Kind::Hard if same => false,
            Kind::Hard if !self.force => {
                return Err(clash("Cannot link, different hard link exists at destination".into()));
            }
            Kind::Hard => true,
            Kind::File if !self.force => {
                return Err(clash(format!("Cannot link, {} exists at destination", before.name())));
            }
            Kind::File => true,
            Kind::Directory => {
                if !self.force {
                    return Err(clash(format!("Cannot link, {} exists at destination", before.name())));
                }
                true
            }
        };
        self.note_state(before, "hard");
        if changed && !self.ctx.check {
            self.put_hard(&src, before)?;
        }
        if self.ctx.check && before == Kind::Absent {
            return Ok(self.done_link(true, src));
        }
        let path = self.path.clone();
        let settled = self.settle(&path)?;
        Ok(self.done_link(changed || settled, src))
    }

    fn put_hard(&self, src: &str, before: Kind) -> Result<(), Failure> {
        if before == Kind::Absent {
            return std::fs::hard_link(src, &self.path).map_err(|error| {
                let pair = format!("b'{src}' -> b'{}'", self.path);
                at(&self.path, format!("Error while linking: {}: {pair}", errno(&error)))
            });
        }
        let temporary = beside(&self.path);
        let replaced = (|| {
            if before == Kind::Directory && std::fs::remove_dir(&self.path).is_ok() {
                return std::fs::hard_link(src, &self.path);
            }
            std::fs::hard_link(src, &temporary)?;
            std::fs::rename(&temporary, &self.path)
        })();
        replaced.map_err(|error| {
            // The name that could not be put in place is not left behind.
            std::fs::remove_file(&temporary).ok();
            at(&self.path, format!("Error while replacing: {}", errno(&error)))
        })
    }
}

fn read_link(path: &str) -> String {
    std::fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
}
