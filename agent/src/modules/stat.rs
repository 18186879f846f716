//! `stat`: all that can be known about a path.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::clock::seconds;
use crate::system::files::{self, Algorithm};
use crate::system::process::errno;
use crate::system::users;
use quorate_value::{Dict, Value, dict};
use rustix::fs::Access;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

/// The `stat` module.
pub struct Stat;

static SPEC: Spec = Spec::new("stat", "Tells what stands at a path.").params(&[
    Param::path("path").required().aliases(&["dest", "name"]).doc("The path to look at."),
    Param::bool("follow").default_bool(false).doc("Looks at what a link leads to, not at the link."),
    Param::bool("get_checksum").default_bool(true).doc("Computes a digest of regular files."),
    Param::bool("get_mime")
        .aliases(&["mime", "mime_type", "mime-type"])
        .default_bool(true)
        .doc("Asks the program `file` for the type of content and its character set."),
    Param::bool("get_attributes")
        .aliases(&["attr", "attributes"])
        .default_bool(true)
        .doc("Reads the file system's attributes (`lsattr`)."),
    Param::str("checksum_algorithm")
        .aliases(&["checksum", "checksum_algo"])
        .choices(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
        .default_str("sha1")
        .doc("The digest to compute."),
]);

impl Module for Stat {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        let looked =
            if args.bool("follow") { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        let metadata = match looked {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Outcome::ok().with("stat", dict! {"exists" => false}));
            }
            Err(error) => {
                let text = errno(&error);
                return Err(Failure::new(text.split_once("] ").map_or(text.as_str(), |(_, text)| text)));
            }
        };
        let mut stat = describe(path, &metadata);
        let access = |access: Access| rustix::fs::access(path, access).is_ok();
        stat.insert("readable", access(Access::READ_OK));
        stat.insert("writeable", access(Access::WRITE_OK));
        stat.insert("executable", access(Access::EXEC_OK));
        if metadata.file_type().is_symlink() {
            if let Ok(target) = std::fs::read_link(path) {
                stat.insert("lnk_target", target.to_string_lossy().into_owned());
            }
            stat.insert("lnk_source", files::real_path(path));
        }
        if metadata.is_file() && args.bool("get_checksum") && access(Access::READ_OK) {
            let algorithm = Algorithm::named(args.text("checksum_algorithm")).unwrap_or(Algorithm::Sha1);
            stat.insert("checksum", algorithm.digest_file(path).ok());
        }
        if args.bool("get_mime") {
            let (mimetype, charset) = mime(path, ctx);
            stat.insert("mimetype", mimetype);
            stat.insert("charset", charset);
        }
        if args.bool("get_attributes") {
            let flags = if metadata.file_type().is_symlink() { None } else { files::read_flags(path).ok() };
            stat.insert(
                "version",
                flags.and_then(|_| files::generation(path)).map(|number| number.to_string()),
            );
            stat.insert("attr_flags", flags.map(files::attribute_flags).unwrap_or_default());
            let names: Value = flags.map(files::attribute_names).unwrap_or_default().into_iter().collect();
            stat.insert("attributes", names);
        }
        Ok(Outcome::ok().with("stat", stat))
    }
}

/// What metadata alone tell; also one entry of `find`'s list.
pub fn describe(path: &str, metadata: &Metadata) -> Dict {
    let mode = files::permission_bits(metadata);
    let kind = metadata.file_type();
    let bit = |bit: u32| mode & bit != 0;
    let mut stat = dict! {
        "exists" => true,
        "path" => path,
        "mode" => format!("{mode:04o}"),
        "isdir" => kind.is_dir(), "ischr" => kind.is_char_device(), "isblk" => kind.is_block_device(),
        "isreg" => kind.is_file(), "isfifo" => kind.is_fifo(), "islnk" => kind.is_symlink(),
        "issock" => kind.is_socket(),
        "uid" => metadata.uid(), "gid" => metadata.gid(), "size" => metadata.size(),
        "inode" => metadata.ino(), "dev" => metadata.dev(), "nlink" => metadata.nlink(),
        "atime" => seconds(metadata.atime(), metadata.atime_nsec()),
        "mtime" => seconds(metadata.mtime(), metadata.mtime_nsec()),
        "ctime" => seconds(metadata.ctime(), metadata.ctime_nsec()),
        "wusr" => bit(0o200), "rusr" => bit(0o400), "xusr" => bit(0o100),
        "wgrp" => bit(0o020), "rgrp" => bit(0o040), "xgrp" => bit(0o010),
        "woth" => bit(0o002), "roth" => bit(0o004), "xoth" => bit(0o001),
        "isuid" => bit(0o4000), "isgid" => bit(0o2000),
        "blocks" => metadata.blocks(), "block_size" => metadata.blksize(), "device_type" => metadata.rdev(),
    };
    if let Some(user) = users::by_uid(metadata.uid()) {
        stat.insert("pw_name", user.name);
    }
    if let Some(group) = users::group_by_gid(metadata.gid()) {
        stat.insert("gr_name", group.name);
    }
    stat
}

fn mime(path: &str, ctx: &Ctx) -> (String, String) {
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    let Some(program) = ctx.which("file") else { return unknown() };
    let asked = ctx.command([program.as_str(), "--mime-type", "--mime-encoding", "--", path]);
    let Ok(output) = ctx.run(&asked) else { return unknown() };
    let text = output.stdout_text();
    let answer = text.trim_end().rsplit_once(": ").map_or("", |(_, answer)| answer);
    match answer.split_once("; charset=") {
        Some((mimetype, charset)) if output.ok() => (mimetype.to_owned(), charset.to_owned()),
        _ => unknown(),
    }
}
