//! Owner, group, mode, label and file system attributes: what is asked for, what differs, making it so.
//!
//! **Invariant:** in check mode nothing is written; the answer is the same.

use super::{label, mode, permission_bits};
use crate::module::{Ctx, Failure};
use crate::system::process::errno;
use crate::system::users;
use quorate_value::{Dict, Value};
use rustix::fs::{Gid, IFlags, Mode, OFlags, Uid};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// What a task asks for beside content. Absent parts are left alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Bits: a number, or text in octal or letters.
    pub mode: Option<Value>,
    /// User, by name or number.
    pub owner: Option<String>,
    /// Group, by name or number.
    pub group: Option<String>,
    /// `chattr`'s letters.
    pub attributes: Option<String>,
    /// SELinux user, role, type, level.
    pub context: [Option<String>; 4],
    /// Write in place where replacing is impossible.
    pub unsafe_writes: bool,
}

/// `before` and `after` of a diff about attributes; nothing is collected where nobody wants it.
pub type Sides<'a> = Option<(&'a mut Dict, &'a mut Dict)>;

fn note(sides: &mut Sides<'_>, key: &str, before: impl Into<Value>, after: impl Into<Value>) {
    if let Some((old, new)) = sides {
        old.insert(key, before);
        new.insert(key, after);
    }
}

fn refuse(path: &str, msg: impl Into<String>) -> Failure {
    Failure::new(msg).with("path", path)
}

impl Wanted {
    /// Makes `path` so; says whether anything had to change.
    pub fn apply(&self, path: &str, ctx: &Ctx, mut sides: Sides<'_>) -> Result<bool, Failure> {
        let mut changed = self.apply_label(path, ctx, &mut sides)?;
        changed |= self.apply_owner(path, ctx, &mut sides)?;
        changed |= self.apply_group(path, ctx, &mut sides)?;
        changed |= self.apply_mode(path, ctx, &mut sides)?;
        changed |= self.apply_attributes(path, ctx, &mut sides)?;
        Ok(changed)
    }

    /// The user's number, if one is asked for.
    pub fn uid(&self, path: &str) -> Result<Option<u32>, Failure> {
        let Some(owner) = &self.owner else { return Ok(None) };
        let found = owner.parse().ok().or_else(|| users::by_name(owner).map(|user| user.uid));
        let missing = || refuse(path, format!("chown failed: failed to look up user {owner}"));
        found.map(Some).ok_or_else(missing)
    }

    /// The group's number, if one is asked for.
    pub fn gid(&self, path: &str) -> Result<Option<u32>, Failure> {
        let Some(group) = &self.group else { return Ok(None) };
        let found = group.parse().ok().or_else(|| users::group_by_name(group).map(|group| group.gid));
        let missing = || refuse(path, format!("chgrp failed: failed to look up group {group}"));
        found.map(Some).ok_or_else(missing)
    }

    /// The bits for something that has `current` bits now, if any are asked for.
    pub fn bits(&self, path: &str, current: u32, is_dir: bool) -> Result<Option<u32>, Failure> {
        let bits = match &self.mode {
            None => return Ok(None),
            Some(Value::Int(number)) => Some(*number as u32),
            Some(value) => {
                let text = quorate_value::str_of(value);
                let bad = || {
                    refuse(path, "mode must be in octal or symbolic form")
                        .with("details", format!("bad symbolic permission for mode: {text}"))
                };
                Some(mode::parse_mode(&text, current, is_dir, mode::umask()).ok_or_else(bad)?)
            }
        };
        Ok(bits.map(|bits| bits & 0o7777))
    }

    fn apply_owner(&self, path: &str, ctx: &Ctx, sides: &mut Sides<'_>) -> Result<bool, Failure> {
        let Some(uid) = self.uid(path)? else { return Ok(false) };
        let now = look(path)?.uid();
        if now == uid {
            return Ok(false);
        }
        note(sides, "owner", now, uid);
        if !ctx.check {
            own(path, Some(uid), None)
                .map_err(|error| refuse(path, format!("chown failed: {}", errno(&error))))?;
        }
        Ok(true)
    }

    fn apply_group(&self, path: &str, ctx: &Ctx, sides: &mut Sides<'_>) -> Result<bool, Failure> {
        let Some(gid) = self.gid(path)? else { return Ok(false) };
        let now = look(path)?.gid();
        if now == gid {
            return Ok(false);
        }
        note(sides, "group", now, gid);
        if !ctx.check {
            own(path, None, Some(gid))
                .map_err(|error| refuse(path, format!("chgrp failed: {}", errno(&error))))?;
        }
        Ok(true)
    }

    fn apply_mode(&self, path: &str, ctx: &Ctx, sides: &mut Sides<'_>) -> Result<bool, Failure> {
        if self.mode.is_none() {
            return Ok(false);
        }
        let metadata = look(path)?;
        let Some(bits) = self.bits(path, metadata.mode(), metadata.is_dir())? else { return Ok(false) };
        let now = permission_bits(&metadata);
        // Linux has no bits of a link's own, and the file behind it is not ours to change.
        if now == bits || metadata.file_type().is_symlink() {
            return Ok(false);
        }
        note(sides, "mode", format!("0{now:03o}"), format!("0{bits:03o}"));
        if !ctx.check {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits))
                .map_err(|error| refuse(path, "chmod failed").with("details", errno(&error)))?;
        }
        Ok(true)
    }

    fn apply_label(&self, path: &str, ctx: &Ctx, sides: &mut Sides<'_>) -> Result<bool, Failure> {
        if self.context.iter().all(Option::is_none) || !label::enabled() {
            return Ok(false);
        }
        let at = Path::new(path);
        let now = label::context(at).unwrap_or_default();
        let wants_default = self.context.iter().any(|part| part.as_deref() == Some("_default"));
        let policy = if wants_default { label::policy(at) } else { None };
        let wanted = label::merge(&now, &self.context, policy.as_deref());
        if wanted == now {
            return Ok(false);
        }
        note(sides, "secontext", now.as_str(), wanted.as_str());
        if !ctx.check {
            label::set(at, &wanted)
                .map_err(|error| refuse(path, "set selinux context failed").with("details", errno(&error)))?;
        }
        Ok(true)
    }

    fn apply_attributes(&self, path: &str, ctx: &Ctx, sides: &mut Sides<'_>) -> Result<bool, Failure> {
        let Some(text) = self.attributes.as_deref().filter(|text| !text.is_empty()) else { return Ok(false) };
        let failed = |details: String| refuse(path, "chattr failed").with("details", details);
        if look(path)?.file_type().is_symlink() {
            return Ok(false);
        }
        let now = read_flags(path)
            .map_err(|error| failed(format!("Error while setting attributes: {}", errno(&error))))?;
        let (operator, letters) = match text.chars().next() {
            Some(operator @ ('+' | '-' | '=')) => (operator, &text[1..]),
            _ => ('=', text),
        };
        let mut asked = 0;
        for letter in letters.chars() {
            asked |=
                FLAGS.iter().find(|(known, ..)| *known == letter).map(|(.., bit)| *bit).ok_or_else(|| {
                    failed(format!("Error while setting attributes: no attribute is named `{letter}`"))
                })?;
        }
        let wanted = match operator {
            '+' => now | asked,
            '-' => now & !asked,
            _ => (now & !SETTABLE) | asked,
        };
        if wanted == now {
            return Ok(false);
        }
        note(sides, "attributes", attribute_flags(now), format!("{operator}{letters}"));
        if !ctx.check {
            write_flags(path, wanted)
                .map_err(|error| failed(format!("Error while setting attributes: {}", errno(&error))))?;
        }
        Ok(true)
    }
}

fn look(path: &str) -> Result<std::fs::Metadata, Failure> {
    std::fs::symlink_metadata(path).map_err(|error| super::trouble("could not look at", path, &error))
}

/// Changes owner and group of a path itself, not of what a link leads to.
pub(super) fn own(path: &str, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    std::os::unix::fs::lchown(path, uid, gid)
}

/// Letter, Ansible's word, kernel bit; in the order `lsattr` prints them.
const FLAGS: &[(char, &str, u32)] = &[
    ('s', "secure-deletion", 0x1),
    ('u', "undelete", 0x2),
    ('S', "synchronous-updates", 0x8),
    ('D', "synchronous-directory-updates", 0x10000),
    ('i', "immutable", 0x10),
    ('a', "append-only", 0x20),
    ('d', "no-dump", 0x40),
    ('A', "no-atime", 0x80),
    ('c', "compressed", 0x4),
    ('E', "encrypted", 0x800),
    ('j', "journalled-data", 0x4000),
    ('I', "indexed", 0x1000),
    ('t', "no-tailmerge", 0x8000),
    ('T', "top-of-directory-hierarchies", 0x20000),
    ('e', "extents", 0x80000),
    ('V', "verity", 0x0010_0000),
    ('C', "no-cow", 0x0080_0000),
    ('x', "dax", 0x0200_0000),
    ('F', "casefold", 0x4000_0000),
    ('N', "inline-data", 0x1000_0000),
    ('P', "project-hierarchy", 0x2000_0000),
];

/// What `=` may clear; the rest belongs to the file system (extents, index, encryption…).
const SETTABLE: u32 =
    0x1 | 0x2 | 0x8 | 0x10000 | 0x10 | 0x20 | 0x40 | 0x80 | 0x4 | 0x4000 | 0x8000 | 0x20000 | 0x0080_0000;

fn open(path: &str) -> io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// File system attributes of a path; an error where the file system has none.
pub fn read_flags(path: &str) -> io::Result<u32> {
    Ok(rustix::fs::ioctl_getflags(open(path)?)?.bits() as u32)
}

fn write_flags(path: &str, bits: u32) -> io::Result<()> {
    Ok(rustix::fs::ioctl_setflags(open(path)?, IFlags::from_bits_retain(bits))?)
}

/// The letters `lsattr` prints.
pub fn attribute_flags(bits: u32) -> String {
    FLAGS.iter().filter(|(.., bit)| bits & bit != 0).map(|(letter, ..)| *letter).collect()
}

/// Ansible's words for them.
pub fn attribute_names(bits: u32) -> Vec<&'static str> {
    FLAGS.iter().filter(|(.., bit)| bits & bit != 0).map(|(_, word, _)| *word).collect()
}

/// The generation number that file systems keep for each file (`lsattr -v`).
pub fn generation(path: &str) -> Option<u32> {
    super::generation_ioctl::generation(&open(path).ok()?)
}

/// Owner and group for a file that is still open and has no name that matters.
pub(super) fn own_open(file: &std::fs::File, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    Ok(rustix::fs::fchown(file, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?)
}
