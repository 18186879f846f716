//! `tar` and `unzip` themselves, for options that only they know.

use super::Job;
use crate::module::{Failure, Outcome};
use crate::system::archive::Format;
use crate::system::process::errno;
use quorate_value::{Value, dict};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// An archive that only lives as long as we need it.
struct OnDisk(PathBuf, bool);

impl Drop for OnDisk {
    fn drop(&mut self) {
        if self.1 {
            // It lies in a temporary directory, which the system cleans if we cannot.
            std::fs::remove_file(&self.0).ok();
        }
    }
}

pub(super) fn run(job: &Job<'_>) -> Result<Outcome, Failure> {
    let archive = place(job)?;
    let src = archive.0.to_string_lossy().into_owned();
    let zip = job.format == Format::Zip;
    let program = job.ctx.program(if zip { "unzip" } else { "tar" }).map_err(|failure| {
        let asked = job.options.unknown.join(" ");
        Failure::new(format!("{}; it is needed for the options {asked}", failure.message()))
    })?;
    let extra = job.args.strings("extra_opts");
    let mut outcome = Outcome::changed()
        .with("handler", job.format.handler())
        .with("src", job.src.as_str())
        .with("dest", job.dest.as_str());
    let extract: Vec<String> = if zip {
        let mut words = vec![program, "-o".into()];
        words.extend(extra);
        words.extend([src, "-d".into(), job.dest.clone()]);
        for pattern in job.args.strings("exclude") {
            words.extend(["-x".into(), pattern]);
        }
        words
    } else {
        let common = |verb: &str| {
            let mut words = vec![program.clone(), verb.to_owned(), "-C".into(), job.dest.clone()];
            words.extend(compression(job.format).map(str::to_owned));
            words.extend(extra.iter().cloned());
            words.extend(
                job.args.strings("exclude").into_iter().map(|pattern| format!("--exclude={pattern}")),
            );
            words.extend(["-f".into(), src.clone()]);
            words.extend(job.args.strings("include"));
            words
        };
        let same = job.ctx.run(&job.ctx.command(common("--diff")).env("LC_ALL", "C"))?;
        if same.ok() {
            outcome.set_changed(false);
            return Ok(outcome);
        }
        common("--extract")
    };
    if job.ctx.check {
        return Ok(outcome);
    }
    let output = job.ctx.run(&job.ctx.command(&extract).env("LC_ALL", "C"))?;
    let results = dict! {
        "cmd" => extract.iter().map(String::as_str).collect::<Value>(),
        "rc" => output.rc, "out" => output.stdout_text(), "err" => output.stderr_text(),
    };
    if !output.ok() {
        return Err(Failure::new(format!("failed to unpack {} to {}", job.src, job.dest))
            .with("extract_results", results));
    }
    Ok(outcome.with("extract_results", results))
}

fn compression(format: Format) -> Option<&'static str> {
    match format {
        Format::Gzip => Some("-z"),
        Format::Bzip2 => Some("-j"),
        Format::Xz => Some("-J"),
        Format::Zstd => Some("--zstd"),
        Format::Tar | Format::Zip => None,
    }
}

/// The archive as a file that a program can read.
fn place(job: &Job<'_>) -> Result<OnDisk, Failure> {
    if !job.args.has("_content") {
        return Ok(OnDisk(PathBuf::from(&job.src), false));
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let path = job.ctx.temporary_directory()?.join(format!("quorate-{}-{now}.archive", std::process::id()));
    let failed = |error: std::io::Error| {
        Failure::new(format!("could not write {}: {}", path.display(), errno(&error)))
    };
    let mut from = job.body.open().map_err(failed)?;
    let mut to =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let archive = OnDisk(path.clone(), true);
    std::io::copy(&mut from, &mut to).and_then(|_| to.flush()).map_err(failed)?;
    Ok(archive)
}
