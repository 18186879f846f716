//! One repository as the `git` program shows and changes it.
//!
//! **Invariant:** `git` never asks anybody: no terminal, ssh in batch mode.

use crate::args::Args;
use crate::module::{Ctx, Failure};
use crate::system::files;
use crate::system::process::{Command, Output};
use crate::system::shlex;
use std::path::{Path, PathBuf};

pub(super) struct Repository<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    program: String,
    url: String,
    umask: Option<u32>,
}

type Done = Result<(), Failure>;

impl<'a> Repository<'a> {
    pub(super) fn of(args: &'a Args, ctx: &'a Ctx, url: &str, umask: Option<u32>) -> Result<Self, Failure> {
        let program = match args.str("executable") {
            Some(path) => path.to_owned(),
            None => ctx.program("git")?,
        };
        Ok(Repository { args, ctx, program, url: url.to_owned(), umask })
    }

    fn dest(&self) -> &str {
        self.args.text("dest")
    }

    fn remote(&self) -> &str {
        self.args.text("remote")
    }

    fn wanted(&self) -> &str {
        self.args.text("version")
    }

    fn bare(&self) -> bool {
        self.args.bool("bare")
    }

    fn depth(&self) -> Option<i64> {
        self.args.int("depth").filter(|depth| *depth > 0)
    }

    fn command(&self, words: &[&str], inside: bool) -> Command {
        let mut command = self.ctx.command([self.program.as_str()]).args(words.iter().copied());
        command = command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("LANG", "C");
        let ssh = self.ssh();
        if !ssh.is_empty() {
            command = command.env("GIT_SSH_COMMAND", ssh);
        }
        if let Some(mask) = self.umask {
            command = command.umask(mask);
        }
        if inside { command.directory(self.dest()) } else { command }
    }

    /// The command line of ssh; empty where git's own will do.
    fn ssh(&self) -> String {
        let given = self
            .ctx
            .env("GIT_SSH_COMMAND")
            .or_else(|| self.ctx.env("GIT_SSH").map(|path| shlex::quote(&path)));
        let mut words = vec![given.unwrap_or_else(|| "ssh".into())];
        if let Some(options) = self.args.nonempty("ssh_opts") {
            words.push(options.to_owned());
        }
        let has = |word: &str| words.iter().any(|part| part.contains(word));
        let (strict, batch) = (has("StrictHostKeyChecking"), has("BatchMode"));
        if self.args.bool("accept_hostkey") && !strict {
            words.push("-o StrictHostKeyChecking=no".into());
        } else if self.args.bool("accept_newhostkey") && !strict {
            words.push("-o StrictHostKeyChecking=accept-new".into());
        }
        if !batch {
            words.push("-o BatchMode=yes".into());
        }
        if let Some(key) = self.args.str("key_file") {
            words.push(format!("-i {} -o IdentitiesOnly=yes", shlex::quote(key)));
        }
        words.join(" ")
    }

    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        self.ctx.run(&self.command(words, true))
    }

    /// A command that has to succeed, with the message that any program's failure has.
    fn must(&self, words: &[&str], inside: bool) -> Result<String, Failure> {
        let command = self.command(words, inside);
        let output = self.ctx.run(&command)?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        Err(Failure::of_command(output.stderr_text().trim_end(), &output).with("cmd", command.display()))
    }

    fn must_say(&self, words: &[&str], msg: impl Fn(&Output) -> String) -> Done {
        let command = self.command(words, true);
        let output = self.ctx.run(&command)?;
        if output.ok() {
            return Ok(());
        }
        Err(Failure::of_command(msg(&output), &output).with("cmd", command.display()))
    }

    /// Where the repository itself is.
    pub(super) fn directory_if_any(&self) -> Option<String> {
        if !self.args.has("dest") {
            return None;
        }
        let dest = Path::new(self.dest());
        let inner = if self.bare() { dest.to_owned() } else { dest.join(".git") };
        if inner.is_file() {
            let text = std::fs::read_to_string(&inner).ok()?;
            let target = text.trim().strip_prefix("gitdir:")?.trim().to_owned();
            let target = if target.starts_with('/') { PathBuf::from(target) } else { dest.join(target) };
            return Some(target.to_string_lossy().into_owned());
        }
        inner.is_dir().then(|| inner.to_string_lossy().into_owned())
    }

    pub(super) fn stands(&self) -> bool {
        self.directory_if_any().is_some_and(|directory| Path::new(&directory).join("config").exists())
    }

    pub(super) fn version(&self) -> Result<String, Failure> {
        Ok(self.must(&["rev-parse", "HEAD"], true)?.trim_end().to_owned())
    }

    pub(super) fn version_if_any(&self) -> Result<Option<String>, Failure> {
        let output = self.call(&["rev-parse", "--verify", "HEAD"])?;
        Ok(output.ok().then(|| output.stdout_text().trim_end().to_owned()))
    }

    pub(super) fn has_local_changes(&self) -> Result<bool, Failure> {
        if self.bare() {
            return Ok(false);
        }
        let text = self.must(&["status", "--porcelain"], true)?;
        Ok(text.lines().any(|line| !line.is_empty() && !line.starts_with("??")))
    }

    pub(super) fn reset(&self) -> Done {
        self.must(&["reset", "--hard", "HEAD"], true).map(drop)
    }

    fn lists(&self, remote: &str, kind: &str, name: &str) -> Result<bool, Failure> {
        let inside = remote == self.remote();
        Ok(self.must(&["ls-remote", remote, kind, name], inside)?.lines().any(|line| line.ends_with(name)))
    }

    fn is_remote_branch(&self, remote: &str, version: &str) -> Result<bool, Failure> {
        self.lists(remote, "-h", &format!("refs/heads/{version}"))
    }

    fn is_remote_tag(&self, remote: &str, version: &str) -> Result<bool, Failure> {
        self.lists(remote, "-t", &format!("refs/tags/{version}"))
    }

    fn is_local_branch(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.call(&["show-ref", "--verify", "--quiet", &format!("refs/heads/{name}")])?.ok())
    }

    /// The branch that the remote's `HEAD` means, or the one that is checked out.
    fn head_branch(&self) -> Result<String, Failure> {
        let current = self.call(&["symbolic-ref", "-q", "--short", "HEAD"])?;
        if current.ok() {
            return Ok(current.stdout_text().trim_end().to_owned());
        }
        let remote = self.remote();
        let output = self.call(&["symbolic-ref", "-q", &format!("refs/remotes/{remote}/HEAD")])?;
        let text = output.stdout_text();
        if let Some(name) = text.trim_end().strip_prefix(&format!("refs/remotes/{remote}/")) {
            return Ok(name.to_owned());
        }
        let asked = self.must(&["ls-remote", "--symref", remote, "HEAD"], true)?;
        asked
            .lines()
            .find_map(|line| line.strip_prefix("ref: refs/heads/")?.split_whitespace().next())
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("Unable to determine the branch of {remote}/HEAD")))
    }

    /// The commit that the version means in the remote repository. Asks the repository of the task (`anew`), or the remote.
    pub(super) fn remote_head(&self, anew: bool) -> Result<String, Failure> {
        let (remote, inside) = if anew { (self.url.as_str(), false) } else { (self.remote(), true) };
        let version = self.wanted();
        let mut tag = false;
        let (kind, name) = if version == "HEAD" {
            let name = if anew { "HEAD".to_owned() } else { format!("refs/heads/{}", self.head_branch()?) };
            ("-h", name)
        } else if self.is_remote_branch(remote, version)? {
            ("-h", format!("refs/heads/{version}"))
        } else if self.is_remote_tag(remote, version)? {
            tag = true;
            ("-t", format!("refs/tags/{version}*"))
        } else {
            return Ok(version.to_owned());
        };
        let text = self.must(&["ls-remote", remote, kind, &name], inside)?;
        let peeled = format!("refs/tags/{version}^{{}}");
        let exact = format!("refs/tags/{version}");
        let line = if tag {
            text.lines()
                .find(|line| line.ends_with(&peeled))
                .or_else(|| text.lines().find(|line| line.ends_with(&exact)))
        } else {
            text.lines().next()
        };
        line.and_then(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("Could not determine remote revision for {version}")))
    }

    pub(super) fn clone(&self) -> Done {
        let dest = self.dest();
        if let Some(parent) = Path::new(dest).parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| files::trouble("could not create", &parent.to_string_lossy(), &error))?;
        }
        let version = self.wanted();
        let branch_or_tag =
            self.is_remote_branch(&self.url, version)? || self.is_remote_tag(&self.url, version)?;
        let depth = self.depth().map(|depth| depth.to_string());
        let mut words = vec!["clone"];
        if self.bare() {
            words.push("--bare");
        } else {
            words.extend(["--origin", self.remote()]);
        }
        let mut named = false;
        if let Some(depth) = &depth {
            if version == "HEAD" || self.args.has("refspec") {
                words.extend(["--depth", depth]);
            } else if branch_or_tag {
                words.extend(["--depth", depth, "--branch", version]);
                named = true;
            }
        }
        if self.args.bool("single_branch") {
            words.push("--single-branch");
            if branch_or_tag && !named {
                words.extend(["--branch", version]);
            }
        }
        if let Some(reference) = self.args.str("reference") {
            words.extend(["--reference", reference]);
        }
        let separate = self.args.str("separate_git_dir").map(|path| format!("--separate-git-dir={path}"));
        words.extend(separate.as_deref());
        words.extend([self.url.as_str(), dest]);
        self.must(&words, false)?;
        if self.bare() && self.remote() != "origin" {
            self.must(&["remote", "add", self.remote(), &self.url], true)?;
        }
        if let Some(refspec) = self.args.str("refspec") {
            let mut words = vec!["fetch"];
            if let Some(depth) = &depth {
                words.extend(["--depth", depth]);
            }
            words.extend([self.remote(), refspec]);
            self.must(&words, true)?;
        }
        if self.args.bool("verify_commit") { self.verify() } else { Ok(()) }
    }

    /// Sets the remote's URL; whether it was another one.
    pub(super) fn point_to(&self, url: &str) -> Result<bool, Failure> {
        let output = self.call(&["ls-remote", "--get-url", self.remote()])?;
        let text = output.stdout_text();
        let stands = text.trim_end();
        // git answers with the name where there is no such remote
        let known = output.ok() && stands != self.remote();
        let plain = |url: &str| {
            if url.starts_with("file://") { url.trim_end_matches('/').to_owned() } else { url.to_owned() }
        };
        let differs = known && plain(stands) != plain(url);
        if self.ctx.check || stands == url {
            return Ok(differs);
        }
        let output = self.call(&["remote", "set-url", self.remote(), url])?;
        if !output.ok() {
            let said = (output.stdout_text(), output.stderr_text());
            return Err(Failure::new(format!(
                "Failed to set a new url {url} for {}: {} {}",
                self.remote(),
                said.0,
                said.1
            )));
        }
        Ok(differs)
    }

    pub(super) fn fetch(&self, version: &str) -> Done {
        let remote = self.remote();
        let mut words: Vec<String> = vec!["fetch".into()];
        let mut specs: Vec<String> = Vec::new();
        let refspec = self.args.str("refspec").map(str::to_owned);
        if let Some(depth) = self.depth() {
            if let Some(refspec) = &refspec {
                specs.push(refspec.clone());
            } else if version == "HEAD" {
                specs.push(self.head_branch()?);
            } else if self.is_remote_branch(remote, version)? {
                specs.push(format!("+refs/heads/{version}:refs/remotes/{remote}/{version}"));
            } else if self.is_remote_tag(remote, version)? {
                specs.push(format!("+refs/tags/{version}:refs/tags/{version}"));
            }
            if !specs.is_empty() {
                words.extend(["--depth".into(), depth.to_string()]);
            }
        }
        if specs.is_empty() {
            if self.bare() {
                specs = vec!["+refs/heads/*:refs/heads/*".into(), "+refs/tags/*:refs/tags/*".into()];
            } else {
                words.push("--tags".into());
            }
            specs.extend(refspec);
            let shallow =
                self.directory_if_any().is_some_and(|path| Path::new(&path).join("shallow").exists());
            if self.depth().is_none() && shallow {
                words.push("--unshallow".into());
            }
        }
        if self.args.bool("force") {
            words.push("--force".into());
        }
        words.push(remote.to_owned());
        words.extend(specs);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.must_say(&words, |output| {
            format!(
                "Failed to download remote objects and refs: {} {}",
                output.stdout_text(),
                output.stderr_text()
            )
        })
    }

    pub(super) fn check_out(&self) -> Done {
        let (version, remote) = (self.wanted(), self.remote());
        if version == "HEAD" {
            let branch = self.head_branch_of_remote()?;
            self.must_say(&["checkout", "--force", &branch], |_| {
                format!("Failed to checkout branch {branch}")
            })?;
            let target = format!("{remote}/{branch}");
            if self.call(&["rev-parse", "--verify", "-q", &target])?.ok() {
                self.must_say(&["reset", "--hard", &target, "--"], |_| {
                    format!("Failed to checkout {target}")
                })?;
            }
        } else if self.is_remote_branch(remote, version)? {
            let target = format!("{remote}/{version}");
            if let Some(depth) = self.depth()
                && !self.call(&["rev-parse", "--verify", "-q", &format!("refs/remotes/{target}")])?.ok()
            {
                let spec = format!("+refs/heads/{version}:refs/remotes/{target}");
                self.must_say(&["fetch", &format!("--depth={depth}"), remote, &spec], |output| {
                    format!("Failed to fetch branch from remote: {}", output.stderr_text())
                })?;
            }
            let words: &[&str] = if self.is_local_branch(version)? {
                &["checkout", "--force", version]
            } else {
                &["checkout", "--track", "-b", version, &target]
            };
            self.must_say(words, |_| format!("Failed to checkout {version}"))?;
            self.must_say(&["reset", "--hard", &format!("refs/remotes/{target}"), "--"], |_| {
                format!("Failed to checkout {version}")
            })?;
        } else {
            self.must_say(&["checkout", "--force", version], |_| format!("Failed to checkout {version}"))?;
        }
        if self.args.bool("verify_commit") { self.verify() } else { Ok(()) }
    }

    /// As [`Self::head_branch`], but a detached head of ours does not hide the remote's.
    fn head_branch_of_remote(&self) -> Result<String, Failure> {
        self.head_branch()
    }

    /// The signature of the version has to be good, by a key that is allowed.
    pub(super) fn verify(&self) -> Done {
        let version = self.wanted();
        let annotated = self.call(&["cat-file", "-t", &format!("refs/tags/{version}")])?;
        let is_tag = annotated.ok() && annotated.stdout_text().trim() == "tag";
        let verb = if is_tag { "verify-tag" } else { "verify-commit" };
        let allowed = self.args.strings("gpg_allowlist");
        let mut words = vec![verb];
        if !allowed.is_empty() {
            words.push("--raw");
        }
        words.push(version);
        let output = self.call(&words)?;
        if !output.ok() {
            return Err(Failure::of_command(
                format!("Failed to verify GPG signature of commit/tag \"{version}\""),
                &output,
            ));
        }
        if allowed.is_empty() {
            return Ok(());
        }
        let said = output.stdout_text() + &output.stderr_text();
        let print = said.lines().find_map(|line| {
            let words: Vec<&str> = line.strip_prefix("[GNUPG:] VALIDSIG ")?.split_whitespace().collect();
            // of a subkey, its primary key counts
            words.get(9).or(words.first()).map(|&word| word.to_owned())
        });
        if print.as_ref().is_some_and(|print| allowed.contains(print)) {
            return Ok(());
        }
        Err(Failure::of_command(
            format!(
                "The gpg_allowlist does not include the public key \"{}\" for this commit",
                print.unwrap_or_default()
            ),
            &output,
        ))
    }

    /// Whether submodules are not as the commit (or their branch) wants them; fetches what that takes.
    pub(super) fn submodules_differ(&self) -> Result<bool, Failure> {
        let listed = Path::new(self.dest()).join(".gitmodules");
        let Ok(text) = std::fs::read_to_string(&listed) else { return Ok(false) };
        let missing = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='))
            .any(|path| !Path::new(self.dest()).join(path.trim()).join(".git").exists());
        if missing {
            return Ok(true);
        }
        if self.args.bool("track_submodules") {
            let before = self.submodule_versions("HEAD")?;
            self.must_say(&["submodule", "foreach", "--quiet", "git fetch --quiet"], |output| {
                format!("Failed to fetch submodules: {}{}", output.stdout_text(), output.stderr_text())
            })?;
            let after = self.submodule_versions("origin/HEAD")?;
            return Ok(before != after);
        }
        let status = self.must(&["submodule", "status", "--recursive"], true)?;
        Ok(status.lines().any(|line| line.starts_with(['+', '-', 'U'])))
    }

    fn submodule_versions(&self, version: &str) -> Result<String, Failure> {
        let line = format!("echo $name $(git rev-parse {version} || git rev-parse HEAD)");
        self.must(&["submodule", "foreach", "--quiet", &line], true)
    }

    pub(super) fn update_submodules(&self) -> Done {
        let trouble = |output: &Output| {
            format!("Failed to init/update submodules: {}", output.stdout_text() + &output.stderr_text())
        };
        self.must_say(&["submodule", "sync"], trouble)?;
        let mut words = vec!["submodule", "update", "--init", "--recursive"];
        if self.args.bool("track_submodules") {
            words.push("--remote");
        }
        if self.args.bool("force") {
            words.push("--force");
        }
        self.must_say(&words, trouble)
    }

    /// The difference between two commits, to show.
    pub(super) fn difference(&self, before: &str, after: &str) -> Result<Option<String>, Failure> {
        if self.ctx.check {
            // the objects have to be here to be compared; nothing that is checked out changes
            self.fetch(self.wanted()).ok();
        }
        let output = self.call(&["diff", "--no-color", before, after])?;
        let text = output.stdout_text();
        Ok(match (output.ok(), text.is_empty()) {
            (true, false) => Some(text),
            (true, true) => Some(format!(">> No visual differences found between {before} and {after}")),
            (false, _) => Some(format!(
                ">> Failed to get proper diff between {before} and {after}:\n>> {}",
                output.stderr_text()
            )),
        })
    }

    pub(super) fn relocate(&self, from: &str, to: &str) -> Done {
        let trouble = |error: &std::io::Error| {
            Failure::new(format!("Unable to move git dir. {}", crate::system::process::errno(error)))
        };
        if Path::new(to).exists() {
            return Err(Failure::new(format!("Separate-git-dir path {to} already exists.")));
        }
        files::rename_or_copy(Path::new(from), Path::new(to)).map_err(|error| trouble(&error))?;
        let link = Path::new(self.dest()).join(".git");
        std::fs::write(&link, format!("gitdir: {to}")).map_err(|error| trouble(&error))
    }

    pub(super) fn pack(&self, archive: &str, format: &str) -> Result<bool, Failure> {
        let temporary = self.ctx.temporary_directory()?.join(format!(".git-archive-{}", std::process::id()));
        let output = format!("--output={}", temporary.display());
        let format = format!("--format={format}");
        let prefix = self.args.str("archive_prefix").map(|prefix| format!("--prefix={prefix}"));
        let mut words = vec!["archive", &format, &output];
        words.extend(prefix.as_deref());
        words.push(if self.wanted() == "HEAD" { "HEAD" } else { self.wanted() });
        let command = self.command(&words, true);
        let made = self.ctx.run(&command)?;
        if !made.ok() {
            return Err(Failure::of_command("Failed to perform archive operation", &made).with(
                "details",
                format!(
                    "Git archive command failed to create archive {archive} using {} directory.Error: {}",
                    self.dest(),
                    made.stderr_text()
                ),
            ));
        }
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| files::trouble("could not read", &path.to_string_lossy(), &error))
        };
        let new = read(&temporary)?;
        std::fs::remove_file(&temporary).ok(); // it was ours, in a directory of ours
        if Path::new(archive).exists() && read(Path::new(archive))? == new {
            return Ok(false);
        }
        files::write(archive, &new, &files::Wanted::default())?;
        Ok(true)
    }
}
