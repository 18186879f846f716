//! `assemble`: one file from the files of a directory of the host, in the order of their names.
//!
//! Not here: directories of the controller, whose content comes as one `copy`.

use super::copy::single::check_with;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Algorithm, Replacement};
use crate::system::regex::{Flags, Regex};
use std::io::Write as _;
use std::path::Path;

/// The `assemble` module.
pub struct Assemble;

static SPEC: Spec = Spec::new("assemble", "Joins the files of a directory to one file.")
    .params(&[
        Param::path("src").required().doc("The directory with the pieces."),
        Param::path("dest").required().doc("The file to make."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the file as it was."),
        Param::str("delimiter").doc("Text between the pieces."),
        Param::bool("remote_src")
            .default_bool(true)
            .doc("The directory is on the host; otherwise on the controller."),
        Param::str("regexp").doc("Only names that match this regular expression."),
        Param::bool("ignore_hidden").default_bool(false).doc("Leaves out names that start with a dot."),
        Param::str("validate")
            .doc("Command that has to accept the new file (`%s`) before it takes its place."),
        Param::bool("decrypt").default_bool(true).doc("Decrypts vaulted pieces on the controller."),
    ])
    .files()
    .diff();

impl Module for Assemble {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (src, dest) = (args.text("src"), args.text("dest"));
        if !Path::new(src).exists() {
            return Err(Failure::new(format!("Source ({src}) does not exist")));
        }
        if !Path::new(src).is_dir() {
            return Err(Failure::new(format!("Source ({src}) is not a directory")));
        }
        let regexp = args.str("regexp").map(|pattern| Regex::new(pattern, Flags::default()));
        let regexp = regexp.transpose().map_err(|error| {
            Failure::new(format!("Invalid Regexp ({error}) in \"{}\"", args.text("regexp")))
        })?;
        let content = join(src, args.str("delimiter"), regexp.as_ref(), args.bool("ignore_hidden"))?;
        let (checksum, md5) = (Algorithm::Sha1.digest(&content), Algorithm::Md5.digest(&content));
        let standing = Path::new(dest).is_file().then(|| Algorithm::Sha1.digest_file(dest).ok()).flatten();
        let differs = standing.as_ref() != Some(&checksum);
        let wanted = args.wanted();
        let mut outcome = Outcome::changed_if(differs)
            .with("src", src)
            .with("dest", dest)
            .with("checksum", checksum)
            .with("md5sum", md5);
        if differs {
            if let Some(template) = args.str("validate").filter(|template| !template.contains("%s")) {
                return Err(Failure::new(format!("validate must contain %s: {template}")));
            }
            if !ctx.check {
                let mut replacement = Replacement::of(dest, &wanted)?;
                replacement
                    .file()
                    .write_all(&content)
                    .map_err(|error| files::trouble("could not write", dest, &error))?;
                if let Some(template) = args.str("validate") {
                    let output = check_with(template, replacement.temporary(), ctx)?;
                    if !output.ok() {
                        return Err(Failure::new(format!(
                            "failed to validate: rc:{} error:{}",
                            output.rc,
                            output.stderr_text()
                        )));
                    }
                }
                if args.bool("backup")
                    && let Some(copy) = files::backup(dest)?
                {
                    outcome.set("backup_file", copy);
                }
                replacement.commit()?;
            }
        }
        if !ctx.check || Path::new(dest).exists() {
            let changed = wanted.apply(dest, ctx, None)? || outcome.is_changed();
            outcome.set_changed(changed);
        }
        Ok(outcome.msg("OK"))
    }
}

/// The pieces, with the delimiter between them and each on lines of its own.
fn join(
    src: &str,
    delimiter: Option<&str>,
    regexp: Option<&Regex>,
    ignore_hidden: bool,
) -> Result<Vec<u8>, Failure> {
    let trouble = |error| files::trouble("could not read", src, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(src).map_err(trouble)? {
        names.push(entry.map_err(trouble)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let delimiter = delimiter.map(unescape);
    let mut content: Vec<u8> = Vec::new();
    let mut first = true;
    for name in names {
        if let Some(regexp) = regexp
            && !regexp.found_in(&name).map_err(Failure::new)?
        {
            continue;
        }
        let path = format!("{}/{name}", src.trim_end_matches('/'));
        if !Path::new(&path).is_file() || ignore_hidden && name.starts_with('.') {
            continue;
        }
        let piece = std::fs::read(&path).map_err(|error| files::trouble("could not read", &path, &error))?;
        if !first && content.last().is_some_and(|last| *last != b'\n') {
            content.push(b'\n');
        }
        if let (false, Some(delimiter)) = (first, &delimiter) {
            content.extend_from_slice(delimiter.as_bytes());
            if !delimiter.ends_with('\n') {
                content.push(b'\n');
            }
        }
        first = false;
        content.extend(piece);
    }
    Ok(content)
}

/// `\n`, `\t` and the like in a delimiter, as Python's text literals have them.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('\\')) => out.push('\\'),
            ('\\', Some(other)) => out.extend(['\\', other]),
            (c, _) => out.push(c),
        }
    }
    out
}
