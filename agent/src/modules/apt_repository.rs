//! `apt_repository`: one-line package sources.
//!
//! **Invariant:** if the lists cannot be updated from a new source, everything is as it was before.
//!
//! Not here: sources in paragraphs (`deb822_repository`), keys (`apt_key`).

mod sources;

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::apt;
use crate::system::files::{self, Wanted};
use quorate_value::Value;
use sources::{Sources, parse_source, suggest_name};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The `apt_repository` module.
pub struct AptRepository;

static SPEC: Spec =
    Spec::new("apt_repository", "Adds and removes one-line package sources.").diff().params(&[
        Param::str("repo")
            .required()
            .doc("The line: `deb [options] URI suite components`, or `ppa:OWNER/NAME`."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::raw("mode").doc("Permission bits of a new file in `sources.list.d`."),
        Param::bool("update_cache")
            .aliases(&["update-cache"])
            .default_bool(true)
            .doc("Update the package lists after a change."),
        Param::int("update_cache_retries").default_int(5).doc("How often a failing update is tried."),
        Param::int("update_cache_retry_max_delay")
            .default_int(12)
            .doc("The longest pause between tries, in seconds."),
        Param::str("filename")
            .doc("Name of the file in `sources.list.d`, without `.list`; made from the URI if absent."),
        Param::bool("install_python_apt")
            .default_bool(true)
            .doc("No effect: nothing has to be installed for this module."),
        Param::bool("validate_certs")
            .default_bool(true)
            .doc("No effect here: apt checks certificates itself."),
        Param::str("codename").doc("Release to use for a PPA, in place of the host's."),
    ]);

impl Module for AptRepository {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let repo = args.text("repo").trim();
        if repo.is_empty() {
            return Err(Failure::new("Please set argument 'repo' to a non-empty value"));
        }
        let outcome = |changed: bool| {
            Outcome::changed_if(changed).with("repo", args.text("repo")).with("state", args.text("state"))
        };
        if let Some(archive) = repo.strip_prefix("ppa:") {
            let changed = ppa(args, ctx, archive)?;
            return Ok(outcome(changed)
                .with("sources_added", Value::list(vec![]))
                .with("sources_removed", Value::list(vec![])));
        }
        let source =
            parse_source(repo).ok_or_else(|| Failure::new(format!("Invalid repository string: {repo}")))?;
        let before = Sources::read("/etc/apt")?;
        let mut after = before.clone();
        if args.text("state") == "absent" {
            after.remove(&source);
        } else {
            let name = args
                .nonempty("filename")
                .map_or_else(|| suggest_name(&source), |name| format!("{name}.list"));
            let path = if name.starts_with('/') { name } else { format!("/etc/apt/sources.list.d/{name}") };
            after.add(&source, &path);
        }
        let (old, new) = (before.texts(), after.texts());
        let changed = old != new;
        if changed && !ctx.check {
            write(args, &old, &new)?;
            if args.bool("update_cache")
                && let Err(failure) = update(args, ctx)
            {
                // Put everything back, so that the next run starts from where this one did.
                write(args, &new, &old)?;
                return Err(failure);
            }
        }
        let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Value {
            a.keys().filter(|path| !b.contains_key(*path)).map(String::as_str).collect()
        };
        let mut outcome = outcome(changed)
            .with("sources_added", only(&new, &old))
            .with("sources_removed", only(&old, &new));
        for path in old.keys().chain(new.keys().filter(|path| !old.contains_key(*path))) {
            let (a, b) = (old.get(path), new.get(path));
            if a != b {
                let header = |text: Option<&String>| if text.is_some() { path.as_str() } else { "/dev/null" };
                let text = |text: Option<&String>| text.cloned().unwrap_or_default();
                outcome = outcome.diff(Diff::texts(text(a), text(b)).headers(header(a), header(b)));
            }
        }
        Ok(outcome)
    }
}

fn write(args: &Args, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Result<(), Failure> {
    for (path, text) in new {
        let standing = old.get(path);
        if standing == Some(text) {
            continue;
        }
        let mode = if standing.is_none() { args.value("mode").cloned() } else { None };
        let fresh = standing.is_none().then(|| Value::from("0644"));
        files::write(path, text.as_bytes(), &Wanted { mode: mode.or(fresh), ..Wanted::default() })?;
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        if Path::new(path).exists() {
            std::fs::remove_file(path).map_err(|error| files::trouble("could not remove", path, &error))?;
        }
    }
    Ok(())
}

fn update(args: &Args, ctx: &Ctx) -> Result<(), Failure> {
    let tries = args.int("update_cache_retries").unwrap_or(5);
    let pause = args.int("update_cache_retry_max_delay").unwrap_or(12);
    apt::update(ctx, tries, pause, Duration::from_mins(1)).map_err(|failure| {
        let said =
            failure.message().strip_prefix("Failed to update apt cache: ").unwrap_or_default().to_owned();
        Failure::new(format!("Failed to update apt cache after {tries} retries: {said}"))
    })
}

/// A PPA, through Ubuntu's own program, which knows the archive's address and fetches its key.
fn ppa(args: &Args, ctx: &Ctx, archive: &str) -> Result<bool, Failure> {
    let (owner, name) = archive.split_once('/').unwrap_or((archive, "ppa"));
    let mark = format!("/{owner}/{name}/ubuntu");
    let standing =
        std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().any(|entry| {
            std::fs::read_to_string(entry.path()).is_ok_and(|text| {
                text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(&mark))
            })
        });
    let wanted = args.text("state") == "present";
    if standing == wanted {
        return Ok(false);
    }
    if args.has("codename") {
        return Err(Failure::new(
            "`codename` is not supported for PPAs; write the `deb` line of the archive instead",
        ));
    }
    let program = ctx.which("add-apt-repository").ok_or_else(|| {
        Failure::new("PPAs need `add-apt-repository` (package `software-properties-common`); or write the `deb` line of the archive")
    })?;
    if ctx.check {
        return Ok(true);
    }
    let mut words = vec![program.as_str(), "-y"];
    words.extend((!wanted).then_some("--remove"));
    words.extend((!args.bool("update_cache")).then_some("--no-update"));
    let full = format!("ppa:{archive}");
    words.push(&full);
    ctx.run_ok(&apt::command(ctx, words), "add-apt-repository failed")?;
    Ok(true)
}
