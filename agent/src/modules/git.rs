//! `git`: a working copy, or a bare repository, at a version.
//!
//! In: where from, where to, which version. Out: the commit before and after.
//!
//! **Invariant:** changed files in the working copy are lost only with `force`.
//!
//! Not here: what talks to the repository (`git/repository.rs`).

mod repository;

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use quorate_value::{Value, dict};
use repository::Repository;
use std::path::Path;

/// The `git` module.
pub struct Git;

static SPEC: Spec = Spec::new("git", "Keeps a working copy of a git repository at a version.")
    .params(&[
        Param::path("dest").doc("Where the working copy is; needed unless `clone` is off."),
        Param::str("repo")
            .required()
            .aliases(&["name"])
            .doc("The repository: a URL, `user@host:path`, or a path on the host."),
        Param::str("version").default_str("HEAD").doc("A branch, a tag, a commit, or `HEAD`."),
        Param::str("remote").default_str("origin").doc("The name of the remote."),
        Param::str("refspec").doc("More references to fetch."),
        Param::str("reference").doc("A local repository to take objects from."),
        Param::bool("force").default_bool(false).doc("Discards changed files in the working copy."),
        Param::int("depth").doc("Fetches this many commits only."),
        Param::bool("clone").default_bool(true).doc("Makes the working copy where it is missing."),
        Param::bool("update").default_bool(true).doc("Fetches new commits into a standing working copy."),
        Param::bool("verify_commit").default_bool(false).doc("The commit's signature has to be good."),
        Param::list("gpg_allowlist", Kind::Str)
            .deprecated_aliases(&[("gpg_whitelist", "2.21", "ansible.builtin")])
            .default(Lit::List(&[]))
            .doc("Fingerprints that are trusted; any if empty."),
        Param::bool("accept_hostkey")
            .default_bool(false)
            .doc("Does not ask for the key of an unknown host, nor for a changed one."),
        Param::bool("accept_newhostkey")
            .default_bool(false)
            .doc("Accepts the key of an unknown host; a changed one is refused."),
        Param::path("key_file").doc("The private key for ssh."),
        Param::str("ssh_opts").doc("Options for ssh."),
        Param::path("executable").doc("Another `git`."),
        Param::bool("bare").default_bool(false).doc("A bare repository, without working copy."),
        Param::bool("recursive").default_bool(true).doc("Submodules, too."),
        Param::bool("single_branch").default_bool(false).doc("Clones one branch only."),
        Param::bool("track_submodules")
            .default_bool(false)
            .doc("Submodules follow the newest commit of their branch."),
        Param::raw("umask").doc("The umask for new files, octal text."),
        Param::path("archive").doc("Packs the version into this file (`tar`, `tar.gz`, `tgz`, `zip`)."),
        Param::str("archive_prefix").doc("A directory in front of all names in the archive."),
        Param::path("separate_git_dir").doc("Keeps the repository itself outside of the working copy."),
    ])
    .mutually_exclusive(&[&["separate_git_dir", "bare"], &["accept_hostkey", "accept_newhostkey"]])
    .required_by(&[("archive_prefix", &["archive"])])
    .diff();

impl Module for Git {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let umask = match args.value("umask") {
            None => None,
            Some(value) => Some(octal(value)?),
        };
        if !args.has("dest") && args.bool("clone") {
            return Err(Failure::new("the destination directory must be specified unless clone=no"));
        }
        // Depth and the like need a protocol.
        let url = args.text("repo").trim();
        let url = if url.starts_with('/') { format!("file://{url}") } else { url.to_owned() };
        let repository = Repository::of(args, ctx, &url, umask)?;
        Task { args, ctx, url: &url, it: repository, outcome: Outcome::ok() }.run()
    }
}

fn octal(value: &Value) -> Result<u32, Failure> {
    let Some(text) = value.as_str() else {
        return Err(Failure::new("umask must be defined as a quoted octal integer"));
    };
    u32::from_str_radix(text.trim_start_matches("0o"), 8).map_err(|_| {
        Failure::new("umask must be an octal integer")
            .with("details", format!("invalid literal for int() with base 8: '{text}'"))
    })
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    url: &'a str,
    it: Repository<'a>,
    outcome: Outcome,
}

impl Task<'_> {
    fn run(mut self) -> Result<Outcome, Failure> {
        let bare = self.args.bool("bare");
        let version = self.args.text("version");
        let relocated = self.relocate()?;
        let standing = self.it.stands();
        let (mut before, mut local, mut moved) = (None, false, false);
        if !standing {
            if self.ctx.check || !self.args.bool("clone") {
                let after = self.it.remote_head(true)?;
                return self.finish(true, None, &after);
            }
            self.it.clone()?;
        } else if !self.args.bool("update") {
            let now = self.it.version()?;
            self.outcome.set("before", now.as_str());
            self.outcome.set("after", now.as_str());
            let packed = self.archive()?;
            self.outcome.set_changed(packed || relocated);
            return Ok(self.outcome);
        } else {
            local = self.it.has_local_changes()?;
            before = self.it.version_if_any()?;
            self.outcome.set("before", before.clone().map_or(Value::Null, Value::from));
            if local {
                if !self.args.bool("force") {
                    return Err(Failure::new(format!(
                        "Local modifications exist in the destination: {} (force=no).",
                        self.args.text("dest")
                    ))
                    .with("before", before.unwrap_or_default()));
                }
                if !self.ctx.check {
                    self.it.reset()?;
                    self.outcome.set(
                        "msg",
                        format!("Local modifications exist in the destination: {}", self.args.text("dest")),
                    );
                }
            }
            moved = self.it.point_to(self.url)?;
            self.outcome.set("remote_url_changed", moved);
            if self.ctx.check {
                let after = self.it.remote_head(false)?;
                let changed = before.as_deref() != Some(after.as_str()) || moved || relocated || local;
                return self.finish(changed, before.as_deref(), &after);
            }
            self.it.fetch(version)?;
        }
        if !bare {
            self.it.check_out()?;
        } else if self.args.bool("verify_commit") {
            self.it.verify()?;
        }
        let mut submodules = false;
        if self.args.bool("recursive") && !bare {
            submodules = self.it.submodules_differ()?;
            if submodules {
                self.outcome.set("submodules_changed", true);
                self.it.update_submodules()?;
            }
        }
        let after = self.it.version_if_any()?;
        let packed = self.archive()?;
        let changed = before != after || local || submodules || moved || relocated || packed || !standing;
        match after {
            Some(after) => self.finish(changed, before.as_deref(), &after),
            None => {
                self.outcome.set("before", before.map_or(Value::Null, Value::from));
                self.outcome.set("after", Value::Null);
                self.outcome.set_changed(changed);
                Ok(self.outcome)
            }
        }
    }

    fn finish(mut self, changed: bool, before: Option<&str>, after: &str) -> Result<Outcome, Failure> {
        self.outcome.set("before", before.map_or(Value::Null, Value::from));
        self.outcome.set("after", after);
        self.outcome.set_changed(changed);
        if self.ctx.diff && changed && before != Some(after) {
            let diff = match before {
                None => Some(format!(">> Newly checked out {after}")),
                Some(before) => self.it.difference(before, after)?,
            };
            if let Some(text) = diff {
                return Ok(self.outcome.diff(Diff::prepared(text)));
            }
        }
        Ok(self.outcome)
    }

    /// Moves the repository where `separate_git_dir` says; whether it had to.
    fn relocate(&mut self) -> Result<bool, Failure> {
        let Some(wanted) = self.args.str("separate_git_dir") else { return Ok(false) };
        let Some(stands) = self.it.directory_if_any() else { return Ok(false) };
        if !self.it.stands() || Path::new(&stands) == Path::new(wanted) {
            return Ok(false);
        }
        if self.ctx.check {
            return Ok(true);
        }
        self.it.relocate(&stands, wanted)?;
        self.outcome.set("git_dir_before", stands);
        self.outcome.set("git_dir_now", wanted);
        Ok(true)
    }

    /// Packs the version; whether the file is another one than before.
    fn archive(&mut self) -> Result<bool, Failure> {
        let Some(archive) = self.args.str("archive") else { return Ok(false) };
        let known = ["tar.gz", "tar", "zip", "tgz"];
        let Some(format) = known.iter().find(|format| archive.ends_with(&format!(".{format}"))) else {
            return Err(Failure::new(format!(
                "Unable to get file extension from archive file name : {archive}"
            ))
            .with_all(dict! {"details" => "Please specify archive as filename with extension. File extension can be one of ['tar', 'tar.gz', 'zip', 'tgz']"}));
        };
        if self.ctx.check {
            return Ok(false);
        }
        self.it.pack(archive, format)
    }
}
