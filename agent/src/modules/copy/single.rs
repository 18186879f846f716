//! One file to one place.

use super::diff::{self, LARGEST, Side};
use crate::args::Args;
use crate::module::{Ctx, Failure, Outcome, Reader};
use crate::protocol::{Hash, hex};
use crate::system::files::{self, Kind, Replacement, Wanted};
use crate::system::process::{Output, errno};
use crate::system::shlex;
use quorate_value::{Dict, Value, dict};
use sha2::Digest as _;
use std::io::{self, Read, Write};
use std::path::Path;

/// Where content comes from.
pub(super) enum Source {
    /// The controller, by its hash.
    Content {
        /// SHA-256.
        hash: Hash,
        /// How much, if known.
        size: Option<u64>,
    },
    /// Text that stands in the task.
    Text(String),
    /// A file of this host.
    File(String),
}

impl Source {
    pub(super) fn hash(&self) -> Result<Hash, Failure> {
        match self {
            Source::Content { hash, .. } => Ok(*hash),
            Source::Text(text) => Ok(files::sha256(text.as_bytes())),
            Source::File(path) => {
                files::sha256_file(path).map_err(|error| files::trouble("could not read", path, &error))
            }
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Source::Content { size, .. } => *size,
            Source::Text(text) => Some(text.len() as u64),
            Source::File(path) => std::fs::metadata(path).ok().map(|metadata| metadata.len()),
        }
    }

    fn open(&self, ctx: &Ctx) -> Result<Box<dyn Reader>, Failure> {
        let opened = match self {
            Source::Content { hash, .. } => ctx.content(hash)?.open(),
            Source::Text(text) => Ok(Box::new(io::Cursor::new(text.clone().into_bytes())) as Box<dyn Reader>),
            Source::File(path) => std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Reader>),
        };
        opened.map_err(|error| Failure::new(format!("could not read the content: {}", errno(&error))))
    }

    /// The new side of a diff; large content is not even asked for.
    fn side(&self, ctx: &Ctx) -> Result<Side, Failure> {
        if self.size().is_some_and(|size| size > LARGEST) {
            return Ok(Side::Large);
        }
        let mut bytes = Vec::new();
        let read = self.open(ctx)?.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::new(format!("could not read the content: {}", errno(&error))))?;
        Ok(if bytes.len() as u64 > LARGEST { Side::Large } else { Side::Content(bytes) })
    }
}

/// Where to put it, and how.
#[derive(Clone, Default)]
pub(super) struct Place {
    pub(super) dest: String,
    pub(super) make_parents: bool,
    pub(super) directory_mode: Option<Value>,
    pub(super) shown_source: Option<String>,
    pub(super) after_header: String,
    pub(super) wanted: Wanted,
    pub(super) backup: bool,
    pub(super) force: bool,
    pub(super) follow: bool,
    pub(super) validate: Option<String>,
    pub(super) checksum: Option<String>,
}

impl Place {
    /// What the task says for every file.
    pub(super) fn of(args: &Args) -> Place {
        let mut wanted = args.wanted();
        if wanted.mode == Some(Value::from("preserve")) {
            wanted.mode = None;
        }
        Place {
            directory_mode: args.value("directory_mode").cloned(),
            wanted,
            backup: args.bool("backup"),
            force: args.bool("force"),
            follow: args.bool("follow"),
            validate: args.str("validate").map(str::to_owned),
            checksum: args.str("checksum").map(str::to_owned),
            ..Place::default()
        }
    }

    fn resolve_link(&mut self) {
        if self.follow && Kind::at(&self.dest) == Kind::Link && Path::new(&self.dest).exists() {
            self.dest = files::real_path(&self.dest);
        }
    }
}

/// Puts content in place, and answers as Ansible's `copy` from the controller does.
pub(super) fn put(place: &Place, source: &Source, ctx: &Ctx) -> Result<Outcome, Failure> {
    let mut place = place.clone();
    let named = place.dest.clone();
    let standing = std::fs::symlink_metadata(&place.dest).is_ok();
    if !place.force && standing {
        return Ok(Outcome::ok().with("dest", place.dest).with("src", place.shown_source).plain());
    }
    let hash = source.hash()?;
    if super::hash_of(&place.dest) == Some(hash) {
        place.resolve_link();
        return keep(&place, ctx);
    }
    let difference = if ctx.diff {
        Some(diff::of_content(Side::of_file(&named), &named, source.side(ctx)?, &place.after_header))
    } else {
        None
    };
    let with_diff = |outcome: Outcome| match difference.clone() {
        Some(difference) => outcome.with("diff", difference),
        None => outcome,
    };
    if ctx.check {
        return Ok(with_diff(Outcome::changed()));
    }
    let put = (|| {
        make_parents(&place, ctx)?;
        place.resolve_link();
        write(&place, source, &hash, ctx)
    })();
    let written = put.map_err(|failure| match &difference {
        Some(difference) => failure.with("diff", difference.clone()),
        None => failure,
    })?;
    let mut outcome = with_diff(Outcome::changed())
        .with("dest", place.dest)
        .with("src", place.shown_source)
        .with("checksum", written.sha1)
        .with("md5sum", written.md5);
    if let Some(backup) = written.backup {
        outcome.set("backup_file", backup);
    }
    Ok(outcome)
}

/// The content is right; attributes may not be.
fn keep(place: &Place, ctx: &Ctx) -> Result<Outcome, Failure> {
    let (mut before, mut after) =
        (dict! {"path" => place.dest.as_str()}, dict! {"path" => place.dest.as_str()});
    let changed = place.wanted.apply(&place.dest, ctx, Some((&mut before, &mut after)))?;
    let sum = files::Algorithm::Sha1.digest_file(&place.dest).ok();
    let outcome = Outcome::changed_if(changed)
        .with("dest", place.dest.as_str())
        .with("path", place.dest.as_str())
        .with("checksum", sum);
    Ok(if ctx.diff { outcome.with("diff", diff::of_attributes(before, after)) } else { outcome })
}

/// What was written.
pub(super) struct Written {
    pub(super) sha1: String,
    pub(super) md5: String,
    pub(super) backup: Option<String>,
}

/// Makes the directories above the destination, where the task's path asks for that; fails where they are missing.
fn make_parents(place: &Place, ctx: &Ctx) -> Result<(), Failure> {
    let parent = Path::new(&place.dest).parent().filter(|parent| !parent.as_os_str().is_empty());
    let Some(parent) = parent else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    if !place.make_parents {
        return Err(Failure::new(format!("Destination directory {} does not exist", parent.display())));
    }
    make_directories(&parent.to_string_lossy(), &place.wanted, place.directory_mode.as_ref(), ctx)
}

/// Makes a directory and what is missing above it, all with the same attributes.
pub(super) fn make_directories(
    path: &str,
    wanted: &Wanted,
    mode: Option<&Value>,
    ctx: &Ctx,
) -> Result<(), Failure> {
    let wanted = Wanted { mode: mode.cloned(), attributes: None, ..wanted.clone() };
    let mut missing: Vec<_> = Path::new(path).ancestors().take_while(|part| !part.exists()).collect();
    missing.retain(|part| !part.as_os_str().is_empty());
    for part in missing.into_iter().rev() {
        let text = part.to_string_lossy();
        std::fs::create_dir(part)
            .map_err(|error| files::trouble("could not create directory", &text, &error))?;
        wanted.apply(&text, ctx, None)?;
    }
    Ok(())
}

/// Writes content beside its place, has it checked, and puts it in place.
pub(super) fn write(place: &Place, source: &Source, hash: &Hash, ctx: &Ctx) -> Result<Written, Failure> {
    if Path::new(&place.dest).is_dir() {
        return Err(Failure::new(format!("Destination {} is a directory", place.dest)));
    }
    if let Some(template) = place.validate.as_deref().filter(|template| !template.contains("%s")) {
        return Err(Failure::new(format!("validate must contain %s: {template}")));
    }
    let mut replacement = Replacement::of(&place.dest, &place.wanted)?;
    let sums = pour(source.open(ctx)?, replacement.file())
        .map_err(|error| files::trouble("could not write", &place.dest, &error))?;
    if sums.sha256 != *hash {
        return Err(Failure::new(format!(
            "Copied file does not match the expected checksum. Transfer failed. (SHA-256 {} instead of {})",
            hex(&sums.sha256),
            hex(hash)
        )));
    }
    if let Some(expected) = place.checksum.as_deref().filter(|expected| *expected != sums.sha1) {
        return Err(Failure::new("Copied file does not match the expected checksum. Transfer failed.")
            .with("checksum", sums.sha1)
            .with("expected_checksum", expected));
    }
    if let Some(template) = &place.validate {
        validate(template, replacement.temporary(), ctx)
            .map_err(|failure| failure.with("checksum", sums.sha1.as_str()))?;
    }
    let backup = if place.backup { files::backup(&place.dest)? } else { None };
    replacement.commit()?;
    place.wanted.apply(&place.dest, ctx, None)?;
    Ok(Written { sha1: sums.sha1, md5: sums.md5, backup })
}

/// Runs a `validate` command on a file that is not in its place yet.
pub(crate) fn check_with(template: &str, file: &Path, ctx: &Ctx) -> Result<Output, Failure> {
    let words = shlex::split(template).map_err(Failure::new)?;
    let path = file.to_string_lossy();
    let words: Vec<String> =
        words.iter().map(|word| ctx.place().expand_path(&word.replace("%s", &path))).collect();
    ctx.run(&ctx.command(&words))
}

fn validate(template: &str, file: &Path, ctx: &Ctx) -> Result<(), Failure> {
    let output = check_with(template, file, ctx)?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new("failed to validate")
        .with("exit_status", output.rc)
        .with("stdout", output.stdout_text())
        .with("stderr", output.stderr_text()))
}

struct Sums {
    sha1: String,
    md5: String,
    sha256: Hash,
}

fn pour(mut from: impl Read, to: &mut impl Write) -> io::Result<Sums> {
    let (mut sha1, mut md5, mut sha256) = (sha1::Sha1::new(), md5::Md5::new(), sha2::Sha256::new());
    let mut chunk = vec![0; 65536];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sha1.update(&chunk[..count]);
        md5.update(&chunk[..count]);
        sha256.update(&chunk[..count]);
        to.write_all(&chunk[..count])?;
    }
    Ok(Sums { sha1: hex(&sha1.finalize()), md5: hex(&md5.finalize()), sha256: sha256.finalize().into() })
}

/// `checksum` and `md5sum` of a file, as results name them.
pub(super) fn sums_of(path: &str) -> Dict {
    dict! {
        "checksum" => files::Algorithm::Sha1.digest_file(path).ok(),
        "md5sum" => files::Algorithm::Md5.digest_file(path).ok(),
    }
}
