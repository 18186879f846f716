//! `subversion`: a working copy, or an export, at a revision.
//!
//! **Invariant:** changed files are lost only with `force`; passwords go through standard input.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::process::{Command, Output};
use quorate_value::Value;
use std::path::Path;

/// The `subversion` module.
pub struct Subversion;

static SPEC: Spec = Spec::new("subversion", "Keeps a working copy of a subversion repository at a revision.")
    .params(&[
        Param::path("dest").doc("Where the working copy is."),
        Param::str("repo").required().aliases(&["name", "repository"]).doc("The repository's URL."),
        Param::str("revision").aliases(&["rev", "version"]).default_str("HEAD").doc("The revision."),
        Param::bool("force").default_bool(false).doc("Discards changed files; an export overwrites."),
        Param::str("username").doc("User for the repository."),
        Param::str("password").no_log().doc("Password for the repository."),
        Param::path("executable").doc("Another `svn`."),
        Param::bool("export").default_bool(false).doc("Exports in place of checking out."),
        Param::bool("checkout").default_bool(true).doc("Makes the working copy where it is missing."),
        Param::bool("update").default_bool(true).doc("Updates a standing working copy."),
        Param::bool("switch")
            .default_bool(true)
            .doc("Switches to the repository where the working copy is of another."),
        Param::bool("in_place").default_bool(false).doc("Turns a directory with files into a working copy."),
        Param::bool("validate_certs").default_bool(false).doc("Whether certificates are checked."),
    ]);

impl Module for Subversion {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (checkout, update, export) = (args.bool("checkout"), args.bool("update"), args.bool("export"));
        if !args.has("dest") && (checkout || update || export) {
            return Err(Failure::new(
                "the destination directory must be specified unless checkout=no, update=no, and export=no",
            ));
        }
        let program = match args.str("executable") {
            Some(path) => path.to_owned(),
            None => ctx.program("svn")?,
        };
        let svn = Svn { args, ctx, program };
        if !checkout && !update && !export {
            let revision = svn.revision_of(args.text("repo"))?;
            return Ok(Outcome::ok().with("after", revision.map_or(Value::Null, Value::from)));
        }
        let (repo, revision, dest) = (args.text("repo"), args.text("revision"), args.text("dest"));
        if export || !Path::new(dest).exists() || args.bool("in_place") && !svn.is_copy()? {
            if ctx.check {
                return Ok(Outcome::changed());
            }
            if !export && !checkout {
                return Ok(Outcome::ok());
            }
            let mut words = vec![if export { "export" } else { "checkout" }];
            if args.bool("force") || args.bool("in_place") && !export {
                words.push("--force");
            }
            words.extend(["-r", revision, repo, dest]);
            svn.must(&words)?;
            if export {
                return Ok(Outcome::changed());
            }
            let after = svn.state()?;
            return Ok(Outcome::changed().with("before", Value::Null).with("after", after.shown()));
        }
        if !svn.is_copy()? {
            return Err(Failure::new(format!(
                "ERROR: {dest} folder already exists, but its not a subversion repository."
            )));
        }
        if !update && !args.bool("switch") {
            return Ok(Outcome::ok());
        }
        let before = svn.state()?;
        let local = svn.has_local_changes()?;
        if ctx.check {
            if local && !args.bool("force") {
                return Err(Failure::new("ERROR: modified files exist in the repository."));
            }
            let head = svn.info(dest, Some(revision))?;
            let head = head
                .iter()
                .find(|(key, _)| key == "Revision")
                .map(|(_, value)| value.clone())
                .unwrap_or_default();
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            return Ok(Outcome::changed_if(number(&before.revision) < number(&head))
                .with("before", format!("Revision: {}", before.revision))
                .with("after", format!("Revision: {head}")));
        }
        if local && !args.bool("force") {
            return Err(Failure::new("ERROR: modified files exist in the repository."));
        }
        if !update {
            return Ok(Outcome::ok());
        }
        let mut moved = false;
        if args.bool("switch") && before.url != repo.trim_end_matches('/') {
            let said = svn.must(&["switch", "--revision", revision, repo, dest])?;
            moved = said
                .lines()
                .any(|line| line.len() > 2 && line.starts_with(['A', 'B', 'D', 'U', 'C', 'G', 'E']));
        }
        if local {
            svn.must(&["revert", "-R", dest])?;
        }
        let said = svn.must(&["update", "-r", revision, dest])?;
        let updated = said.lines().any(|line| {
            line.len() > 2
                && line.starts_with(['A', 'B', 'D', 'U', 'C', 'G', 'E'])
                && line[1..].starts_with([' ', 'U', 'C', 'G', 'B'])
        });
        let after = svn.state()?;
        Ok(Outcome::changed_if(local || moved || updated || before != after)
            .with("before", before.shown())
            .with("after", after.shown()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    revision: String,
    url: String,
}

impl State {
    fn shown(&self) -> Value {
        [format!("Revision: {}", self.revision), format!("URL: {}", self.url)]
            .into_iter()
            .map(Value::from)
            .collect()
    }
}

struct Svn<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    program: String,
}

impl Svn<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.ctx.command([self.program.as_str(), "--non-interactive", "--no-auth-cache"]);
        if !self.args.bool("validate_certs") {
            command = command.arg("--trust-server-cert");
        }
        if let Some(user) = self.args.str("username") {
            command = command.args(["--username", user]);
        }
        if let Some(password) = self.args.str("password") {
            command = command.arg("--password-from-stdin").input(password.as_bytes());
        }
        command.args(words.iter().copied()).env("LC_ALL", "C").env("LANG", "C")
    }

    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        self.ctx.run(&self.command(words))
    }

    fn must(&self, words: &[&str]) -> Result<String, Failure> {
        let command = self.command(words);
        let output = self.ctx.run(&command)?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        Err(Failure::of_command(output.stderr_text().trim_end(), &output).with("cmd", command.display()))
    }

    fn is_copy(&self) -> Result<bool, Failure> {
        Ok(self.call(&["info", self.args.text("dest")])?.ok())
    }

    fn has_local_changes(&self) -> Result<bool, Failure> {
        let said = self.must(&["status", "--quiet", "--ignore-externals", self.args.text("dest")])?;
        // the second column is about properties; the first says what happened to the file
        Ok(said.lines().any(|line| {
            line.len() > 1 && !line.starts_with(['?', 'X', '>', '-', ' ']) || line.get(1..2) == Some("M")
        }))
    }

    fn info(&self, target: &str, revision: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
        let mut words = vec!["info"];
        if let Some(revision) = revision {
            words.extend(["-r", revision]);
        }
        words.push(target);
        let said = self.must(&words)?;
        Ok(said
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }

    /// `Revision: N` of what stands at a URL.
    fn revision_of(&self, url: &str) -> Result<Option<String>, Failure> {
        let info = self.info(url, None)?;
        Ok(info.iter().find(|(key, _)| key == "Revision").map(|(_, value)| format!("Revision: {value}")))
    }

    fn state(&self) -> Result<State, Failure> {
        let info = self.info(self.args.text("dest"), None)?;
        let find = |name: &str| info.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let unable = || Failure::new("Unable to get revision");
        Ok(State { revision: find("Revision").ok_or_else(unable)?, url: find("URL").ok_or_else(unable)? })
    }
}
