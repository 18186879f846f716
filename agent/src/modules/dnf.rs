//! `dnf`: packages of Red Hat's family, through `dnf` (or `yum`) and `rpm`.
//!
//! **Not tested on such hosts yet**; what is installed is asked of `rpm`, and only what is missing of `dnf`.
//!
//! **Invariant:** check mode answers no to every question of `dnf`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use quorate_value::Value;
use std::time::Duration;

/// The `dnf` module.
pub struct Dnf;

static SPEC: Spec = Spec::new(
    "dnf",
    "Installs, upgrades and removes packages of Red Hat's family. Not tested on such hosts yet.",
)
.aliases(&["dnf5", "yum"])
.params(&[
    Param::list("name", Kind::Str)
        .aliases(&["pkg"])
        .default(Lit::List(&[]))
        .doc("Packages, groups (`@name`), files or URLs of packages; `*` with `state: latest` upgrades all."),
    Param::str("state")
        .choices(&["absent", "present", "installed", "removed", "latest"])
        .doc("`present` if absent, or `absent` with `autoremove`."),
    Param::list("enablerepo", Kind::Str)
        .default(Lit::List(&[]))
        .doc("Repositories to use besides those enabled."),
    Param::list("disablerepo", Kind::Str).default(Lit::List(&[])).doc("Repositories not to use."),
    Param::list("exclude", Kind::Str).default(Lit::List(&[])).doc("Packages to leave alone."),
    Param::list("disable_excludes", Kind::Str)
        .doc("Excludes of the configuration not to heed: `all`, `main`, a repository."),
    Param::bool("update_cache")
        .default_bool(false)
        .aliases(&["expire-cache"])
        .doc("Fetch the repositories' data first."),
    Param::bool("update_only")
        .default_bool(false)
        .doc("With `latest`, leave packages alone that are not installed."),
    Param::bool("autoremove").default_bool(false).doc("Remove packages that nothing needs any more."),
    Param::bool("disable_gpg_check").default_bool(false).doc("Do not check signatures."),
    Param::bool("skip_broken").default_bool(false).doc("Leave out packages that cannot be installed."),
    Param::bool("allowerasing").default_bool(false).doc("Remove packages that stand in the way."),
    Param::bool("nobest").doc("Take older versions where the newest cannot be installed."),
    Param::bool("best").doc("Insist on the newest versions."),
    Param::bool("allow_downgrade").default_bool(false).doc("Let an older version replace a newer one."),
    Param::bool("install_weak_deps").default_bool(true).doc("Install recommended packages too."),
    Param::bool("cacheonly").default_bool(false).doc("Use only what has been downloaded."),
    Param::bool("download_only").default_bool(false).doc("Only download."),
    Param::path("download_dir").doc("Where to download to."),
    Param::bool("security").default_bool(false).doc("With `latest`, only security updates."),
    Param::bool("bugfix").default_bool(false).doc("With `latest`, only updates that mend bugs."),
    Param::path("conf_file").doc("The configuration to use."),
    Param::str("releasever").doc("The release to take packages of."),
    Param::str("installroot").default_str("/").doc("Directory to install below."),
    Param::bool("validate_certs").default_bool(true).doc("Check the certificates of repositories."),
    Param::bool("sslverify").default_bool(true).doc("Check the certificates of repositories."),
    Param::int("lock_timeout").default_int(30).doc("Seconds to wait while another program uses dnf."),
    Param::str("list")
        .doc("Return a list instead: `installed`, `updates`, `available`, `repos`, or a package."),
    Param::bool("auto_install_module_deps")
        .default_bool(true)
        .doc("No effect: nothing has to be installed for this module."),
    Param::str("use_backend").default_str("auto").doc("No effect: the program that is installed is used."),
    Param::list("enable_plugin", Kind::Str)
        .default(Lit::List(&[]))
        .doc("Plugins to use besides those enabled."),
    Param::list("disable_plugin", Kind::Str).default(Lit::List(&[])).doc("Plugins not to use."),
])
.mutually_exclusive(&[&["name", "list"], &["autoremove", "list"], &["best", "nobest"]])
.required_one_of(&[&["name", "list", "update_cache", "autoremove"]]);

impl Module for Dnf {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let program = ["dnf", "dnf5", "yum", "microdnf"]
            .into_iter()
            .find_map(|name| ctx.which(name))
            .ok_or_else(|| Failure::new("neither `dnf` nor `yum` is installed on this host"))?;
        Task { args, ctx, program }.run()
    }
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    program: String,
}

impl Task<'_> {
    fn run(&self) -> Result<Outcome, Failure> {
        let args = self.args;
        if let Some(list) = args.str("list") {
            return self.list(list);
        }
        let names: Vec<String> =
            args.strings("name").into_iter().filter(|name| !name.trim().is_empty()).collect();
        let default = if args.bool("autoremove") { "absent" } else { "present" };
        let state = args.str("state").unwrap_or(default);
        if args.bool("update_cache") && !self.ctx.check {
            let output = self.call(&["makecache"])?;
            if !output.ok() {
                return Err(Failure::of_command("Failed to update the repositories' data", &output));
            }
        }
        if names.is_empty() && !args.bool("autoremove") {
            return Ok(Outcome::ok()
                .with("rc", 0i64)
                .with("results", Value::list(vec![]))
                .msg("Cache updated"));
        }
        let mut missing = Vec::new();
        for name in &names {
            let there = self.is_installed(name)?;
            let wanted = match state {
                "absent" | "removed" => there,
                "latest" if args.bool("update_only") => there,
                "latest" => true,
                _ => !there,
            };
            if wanted {
                missing.push(name.as_str());
            }
        }
        let removing = matches!(state, "absent" | "removed");
        if missing.is_empty() && !(removing && args.bool("autoremove")) {
            return Ok(Outcome::ok()
                .with("rc", 0i64)
                .with("results", Value::list(vec![]))
                .msg("Nothing to do"));
        }
        let installed: Vec<bool> =
            missing.iter().map(|name| self.is_installed(name)).collect::<Result<_, _>>()?;
        let mut words = match state {
            "absent" | "removed" if missing.is_empty() => vec!["autoremove"],
            "absent" | "removed" => vec!["remove"],
            "latest" if installed.iter().all(|there| *there) || missing == ["*"] => vec!["upgrade"],
            _ => vec!["install"],
        };
        words.extend(missing.iter().filter(|name| **name != "*"));
        self.transact(&words)
    }

    fn options(&self) -> Vec<String> {
        let args = self.args;
        let mut words = Vec::new();
        let mut lists = |param: &str, option: &str| {
            for item in args.strings(param) {
                words.push(format!("{option}={item}"));
            }
        };
        lists("enablerepo", "--enablerepo");
        lists("disablerepo", "--disablerepo");
        lists("exclude", "--exclude");
        lists("disable_excludes", "--disableexcludes");
        lists("enable_plugin", "--enableplugin");
        lists("disable_plugin", "--disableplugin");
        for (param, option) in [
            ("disable_gpg_check", "--nogpgcheck"),
            ("skip_broken", "--skip-broken"),
            ("allowerasing", "--allowerasing"),
            ("nobest", "--nobest"),
            ("best", "--best"),
            ("cacheonly", "--cacheonly"),
            ("download_only", "--downloadonly"),
            ("security", "--security"),
            ("bugfix", "--bugfix"),
        ] {
            if args.bool(param) {
                words.push(option.to_owned());
            }
        }
        for (param, option) in
            [("conf_file", "--config"), ("releasever", "--releasever"), ("download_dir", "--downloaddir")]
        {
            if let Some(value) = args.str(param) {
                words.push(format!("{option}={value}"));
            }
        }
        if args.text("installroot") != "/" {
            words.push(format!("--installroot={}", args.text("installroot")));
        }
        if !args.bool("install_weak_deps") {
            words.push("--setopt=install_weak_deps=False".into());
        }
        if !args.bool("validate_certs") || !args.bool("sslverify") {
            words.push("--setopt=sslverify=False".into());
        }
        words
    }

    fn call(&self, words: &[&str]) -> Result<crate::system::process::Output, Failure> {
        let answer = if self.ctx.check { "--assumeno" } else { "-y" };
        let command = self
            .ctx
            .command([self.program.as_str(), answer])
            .args(self.options())
            .args(words.iter().copied());
        let patience =
            Duration::from_secs(self.args.int("lock_timeout").unwrap_or(30).try_into().unwrap_or(0));
        let end = std::time::Instant::now() + patience;
        loop {
            let output = self.ctx.run(&command.clone().env("LC_ALL", "C"))?;
            let said = output.stderr_text();
            let locked = !output.ok() && (said.contains("lock") && said.contains("another"));
            if !locked || std::time::Instant::now() >= end {
                return Ok(output);
            }
            self.ctx.sleep(Duration::from_secs(1))?;
        }
    }

    fn is_installed(&self, name: &str) -> Result<bool, Failure> {
        // Groups, files and wild cards are dnf's business.
        if name.starts_with('@') || name.contains('/') || name.contains(['*', '?', '<', '>', '=']) {
            return Ok(matches!(self.args.str("state"), Some("absent" | "removed")));
        }
        let rpm = self.ctx.program("rpm")?;
        let mut command = self.ctx.command([rpm.as_str(), "-q", "--quiet", "--whatprovides", name]);
        if self.args.text("installroot") != "/" {
            command = command.args(["--root", self.args.text("installroot")]);
        }
        if self.ctx.run(&command)?.ok() {
            return Ok(true);
        }
        // `name-version` is a package, but nothing provides it under that name.
        Ok(self.ctx.run(&self.ctx.command([rpm.as_str(), "-q", "--quiet", name]))?.ok())
    }

    fn transact(&self, words: &[&str]) -> Result<Outcome, Failure> {
        let output = self.call(words)?;
        let text = output.stdout_text();
        let results = results(&text);
        let idle = text.lines().any(|line| matches!(line.trim(), "Nothing to do." | "Nothing to do"));
        // `--assumeno` ends with an error after it has shown what it would do.
        let declined = self.ctx.check && (!results.is_empty() || text.contains("Operation aborted"));
        if !output.ok() && !declined {
            return Err(Failure::of_command("Failed to install some of the specified packages", &output)
                .with(
                    "failures",
                    output.stderr_text().lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Value>(),
                )
                .with("results", Value::list(vec![])));
        }
        let changed = !idle && (!results.is_empty() || declined);
        let msg = match (changed, self.ctx.check) {
            (false, _) => "Nothing to do",
            (true, true) => "Check mode: No changes made, but would have if not in check mode",
            (true, false) => "",
        };
        Ok(Outcome::changed_if(changed)
            .with("rc", 0i64)
            .with("results", results.into_iter().collect::<Value>())
            .msg(msg))
    }

    fn list(&self, what: &str) -> Result<Outcome, Failure> {
        let words: Vec<&str> = match what {
            "installed" => vec!["-q", "list", "--installed"],
            "updates" | "upgrades" => vec!["-q", "list", "--upgrades"],
            "available" => vec!["-q", "list", "--available"],
            "repos" | "repositories" => vec!["-q", "repolist"],
            package => vec!["-q", "list", package],
        };
        let output = self.call(&words)?;
        let rows = output.stdout_text();
        let results: Value = rows
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [full, version, repo] = words.as_slice() else { return None };
                let (name, arch) = full.rsplit_once('.')?;
                let (version, release) = version.rsplit_once('-')?;
                let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
                Some(Value::dict(quorate_value::dict! {
                    "name" => name, "arch" => arch, "epoch" => epoch, "version" => version, "release" => release,
                    "repo" => *repo, "yumstate" => if repo.starts_with('@') { "installed" } else { "available" },
                    "nevra" => format!("{epoch}:{name}-{version}-{release}.{arch}"),
                    "envra" => format!("{epoch}:{name}-{version}-{release}.{arch}"),
                }))
            })
            .collect();
        Ok(Outcome::ok().with("results", results).msg(""))
    }
}

/// `Installed: …` lines out of the table and the summary that dnf prints.
fn results(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut verb = None;
    for line in text.lines() {
        let title = line.trim_end_matches(':').trim();
        verb = match title {
            "Installed" | "Installing" | "Installing dependencies" | "Installing weak dependencies" => {
                Some("Installed")
            }
            "Removed" | "Removing" | "Removing dependent packages" | "Removing unused dependencies" => {
                Some("Removed")
            }
            "Upgraded" | "Upgrading" => Some("Installed"),
            "Downgraded" | "Downgrading" => Some("Installed"),
            _ if line.starts_with(' ') => verb,
            _ => None,
        };
        if let Some(verb) = verb.filter(|_| line.starts_with(' ')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            // The table has name, architecture and version; the summary has whole names.
            if let [name, arch, version, ..] = words.as_slice()
                && version.starts_with(|c: char| c.is_ascii_digit())
            {
                found.push(format!("{verb}: {name}-{version}.{arch}"));
            }
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dnf_says_it_does() {
        let text = "Dependencies resolved.\n====\n Package Arch Version Repository Size\n====\nInstalling:\n tree x86_64 1.8.0-10.el9 baseos 56 k\n\
                    Removing dependent packages:\n old noarch 1.0-1 @base 1 k\n\nTransaction Summary\n Install 1 Package\n";
        assert_eq!(results(text), ["Installed: tree-1.8.0-10.el9.x86_64", "Removed: old-1.0-1.noarch"]);
        assert!(results("Nothing to do.\n").is_empty());
    }
}
