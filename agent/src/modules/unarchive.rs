//! `unarchive`: the content of an archive, in a directory of the host. Tar (plain, gzip, bzip2, xz, zstd) and zip are
//! read here; no programs are needed unless `extra_opts` asks for something that only `tar` or `unzip` know.
//!
//! **Invariant:** nothing is written outside the destination, whatever names and links an archive holds.

mod compare;
mod extract;
mod options;
mod program;

use crate::args::Args;
use crate::module::{Body, Ctx, Failure, Module, Outcome};
use crate::protocol::hash_from_hex;
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::archive::{self, Format, Member};
use crate::system::files::Wanted;
use crate::system::glob;
use crate::system::process::errno;
use options::Options;
use quorate_value::{Value, dict};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The `unarchive` module.
pub struct Unarchive;

static SPEC: Spec = Spec::new("unarchive", "Unpacks an archive into a directory of the host.")
    .params(&[
        Param::path("src").required().doc("The archive, on the controller unless `remote_src`."),
        Param::path("dest").required().doc("The directory; has to exist."),
        Param::bool("remote_src").default_bool(false).doc("The archive is on the host already."),
        Param::path("creates").doc("Path or pattern; when it exists, nothing happens."),
        Param::bool("list_files").default_bool(false).doc("Answers with the names in the archive."),
        Param::bool("keep_newer")
            .default_bool(false)
            .doc("Leaves files alone that are newer than in the archive."),
        Param::list("exclude", Kind::Str).default(Lit::List(&[])).doc("Names or patterns to leave out."),
        Param::list("include", Kind::Str)
            .default(Lit::List(&[]))
            .doc("Names or patterns to take, and nothing else."),
        Param::list("extra_opts", Kind::Str)
            .default(Lit::List(&[]))
            .doc("Options as `tar` or `unzip` know them."),
        Param::int("io_buffer_size")
            .default_int(65536)
            .doc("Has no meaning here; accepted for Ansible's sake."),
        Param::bool("validate_certs")
            .default_bool(true)
            .doc("Verifies certificates when the archive comes by https."),
        Param::bool("copy")
            .default_bool(true)
            .doc("The archive is on the controller; the opposite of `remote_src`."),
        Param::bool("decrypt").default_bool(true).doc("Decrypts a vaulted archive on the controller."),
        Param::str("_content").hidden().doc("SHA-256 of the archive; set by the controller."),
        Param::str("_source").hidden().doc("Where the archive comes from; set by the controller."),
    ])
    .mutually_exclusive(&[&["include", "exclude"]])
    .files()
    .diff();

impl Module for Unarchive {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        if let Some(path) = args.nonempty("creates").filter(|path| glob::matches_any(path, None)) {
            return Ok(Outcome::ok().with("skipped", true).msg(format!("skipped, since {path} exists")));
        }
        let job = Job::of(args, ctx)?;
        let outcome = job.run()?;
        Ok(outcome)
    }
}

/// One task.
struct Job<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    body: Body,
    src: String,
    dest: String,
    format: Format,
    options: Options,
    wanted: Wanted,
}

impl<'a> Job<'a> {
    fn of(args: &'a Args, ctx: &'a Ctx) -> Result<Job<'a>, Failure> {
        let dest = args.text("dest").to_owned();
        let (body, src) = match args.str("_content") {
            Some(hash) => {
                let hash = hash_from_hex(hash).ok_or_else(|| Failure::new("`_content` is no SHA-256"))?;
                (ctx.content(&hash)?, args.str("_source").unwrap_or(args.text("src")).to_owned())
            }
            None => (Body::File(PathBuf::from(args.text("src"))), args.text("src").to_owned()),
        };
        if src.contains("://") && !args.has("_content") {
            return Err(Failure::new(format!(
                "Failed to download {src}: archives by URL are not supported here; use get_url first"
            )));
        }
        let mut reader = body.open().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(format!("Source '{src}' does not exist")),
            std::io::ErrorKind::PermissionDenied => Failure::new(format!("Source '{src}' not readable")),
            _ => Failure::new(format!("Source '{src}' cannot be read: {}", errno(&error))),
        })?;
        if !Path::new(&dest).is_dir() {
            return Err(Failure::new(format!("Destination '{dest}' is not a directory")));
        }
        let unknown = |why: String| {
            Failure::new(format!(
                "Failed to find handler for \"{src}\". Make sure the required command to extract the file is installed.\n{why}"
            ))
        };
        let format = archive::recognise(&mut *reader)
            .map_err(|error| unknown(errno(&error)))?
            .ok_or_else(|| unknown("It is neither tar (plain, gzip, bzip2, xz, zstd) nor zip.".into()))?;
        let options = Options::parse(&args.strings("extra_opts"), format, args);
        Ok(Job { args, ctx, body, src, dest, format, options, wanted: args.wanted() })
    }

    fn run(self) -> Result<Outcome, Failure> {
        if !self.options.unknown.is_empty() {
            return program::run(&self);
        }
        let mut seen = Seen::default();
        let mut report = compare::Report::default();
        self.each(&mut |member, path, content| {
            seen.note(member, path);
            if self.format == Format::Zip {
                seen.note_top(&self.dest, path);
            }
            report.look(&self, member, path, content)
        })?;
        if !self.args.strings("include").is_empty() && seen.names.is_empty() {
            return Err(Failure::new(format!(
                "Failed to find handler for \"{}\". Make sure the required command to extract the file is installed.\nNothing in the archive matches `include`",
                self.src
            )));
        }
        let mut outcome = Outcome::changed_if(report.differs())
            .with("handler", self.format.handler())
            .with("src", self.src.as_str())
            .with("dest", self.dest.as_str());
        if report.differs() {
            if !self.ctx.check {
                let mut extraction = extract::Extraction::new(&self);
                self.each(&mut |member, path, content| extraction.put(member, path, content))?;
                extraction.finish().map_err(|error| self.trouble(&error))?;
                outcome.set(
                    "extract_results",
                    dict! {"cmd" => Value::list([]), "rc" => 0i64, "out" => "", "err" => ""},
                );
            }
            if self.format == Format::Zip {
                outcome.set("diff", dict! {"prepared" => report.itemized()});
            }
        }
        let attributes = self.settle(&seen)?;
        outcome.set_changed(report.differs() || attributes);
        if self.args.bool("list_files") {
            outcome.set("files", seen.names.iter().map(String::as_str).collect::<Value>());
        }
        Ok(outcome)
    }

    /// Visits what the task asks for, with the path where each member goes.
    fn each(
        &self,
        visit: &mut dyn FnMut(&Member, &Path, &mut dyn std::io::Read) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let reader = self.body.open().map_err(|error| self.trouble(&error))?;
        archive::each(self.format, reader, &mut |member, content| {
            if self.ctx.cancel.is_cancelled() {
                return Err(std::io::Error::other("cancelled"));
            }
            match self.options.place(&member.name)? {
                Some(relative) => visit(member, &Path::new(&self.dest).join(relative), content),
                None => Ok(()),
            }
        })
        .map_err(|error| self.trouble(&error))
    }

    fn trouble(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("failed to unpack {} to {}", self.src, self.dest))
            .with("handler", self.format.handler())
            .with("err", errno(error))
            .cause(errno(error))
    }

    /// Owner, group and mode of the task, on everything that came from the archive.
    fn settle(&self, seen: &Seen) -> Result<bool, Failure> {
        let mut changed = false;
        for path in &seen.paths {
            if std::fs::symlink_metadata(path).is_ok() {
                changed |= self.wanted.apply(&path.to_string_lossy(), self.ctx, None)?;
            }
        }
        Ok(changed)
    }
}

/// Names and paths of what the archive holds.
#[derive(Default)]
struct Seen {
    names: Vec<String>,
    paths: BTreeSet<PathBuf>,
}

impl Seen {
    /// zip archives often leave out the directories that their members stand in.
    fn note_top(&mut self, dest: &str, path: &Path) {
        let below = path.strip_prefix(dest).unwrap_or(path);
        if let (Some(top), true) = (below.components().next(), below.components().count() > 1) {
            self.paths.insert(Path::new(dest).join(top));
        }
    }

    fn note(&mut self, member: &Member, path: &Path) {
        self.names.push(member.name.clone());
        self.paths.insert(path.components().collect());
    }
}
