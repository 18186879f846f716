//! `apt`: packages of Debian and Ubuntu, through `apt-get`, `apt-cache` and dpkg's own records.
//!
//! What is installed is read from dpkg's status file and only what is missing asked of `apt-cache`, so a task
//! with nothing to do starts no program at all.
//!
//! **Invariant:** check mode runs `apt-get` with `--simulate` only.
//!
//! Not here: sources (`apt_repository`), keys (`apt_key`), answers to questions (`debconf`).

mod choose;
mod policy_rc_d;

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::apt::{self, Wish};
use crate::system::process::Output;
use choose::{Selection, select};
use policy_rc_d::PolicyRcD;
use quorate_value::{Dict, dict};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The `apt` module.
pub struct Apt;

static SPEC: Spec = Spec::new("apt", "Installs, upgrades and removes packages of Debian and Ubuntu.")
    .diff()
    .params(&[
        Param::list("name", Kind::Str).aliases(&["package", "pkg"]).doc(
            "Packages: `foo`, `foo=1.2*`, `foo>=1.2`, `foo:arm64`, `foo*`; `*` with `state: latest` upgrades all.",
        ),
        Param::str("state")
            .choices(&["absent", "build-dep", "fixed", "latest", "present"])
            .default_str("present")
            .doc("`build-dep` installs what building the packages needs, `fixed` mends broken dependencies."),
        Param::bool("update_cache").aliases(&["update-cache"]).doc("Run `apt-get update` first."),
        Param::int("update_cache_retries").default_int(5).doc("How often a failing update is tried."),
        Param::int("update_cache_retry_max_delay").default_int(12).doc("The longest pause between tries, in seconds."),
        Param::int("cache_valid_time")
            .default_int(0)
            .doc("Update only if the lists are older than this many seconds; implies `update_cache`."),
        Param::bool("purge").default_bool(false).doc("Delete configuration files too when removing."),
        Param::str("default_release")
            .aliases(&["default-release"])
            .doc("Release to prefer, as `apt-get -t`."),
        Param::bool("install_recommends")
            .aliases(&["install-recommends"])
            .doc("Whether recommended packages come along; apt's own setting if absent."),
        Param::bool("force")
            .default_bool(false)
            .doc("As `apt-get --force-yes`: no signatures, downgrades allowed. Dangerous."),
        Param::bool("allow_unauthenticated")
            .default_bool(false)
            .aliases(&["allow-unauthenticated"])
            .doc("Install packages without a valid signature."),
        Param::bool("allow_downgrade")
            .default_bool(false)
            .aliases(&["allow-downgrade", "allow_downgrades", "allow-downgrades"])
            .doc("Let an older version replace a newer one."),
        Param::bool("allow_change_held_packages")
            .default_bool(false)
            .doc("Change packages that are on hold."),
        Param::str("upgrade").choices(&["dist", "full", "no", "safe", "yes"]).default_str("no").doc(
            "Upgrade everything: `yes` and `safe` never remove packages, `full` and `dist` may.",
        ),
        Param::str("dpkg_options")
            .default_str("force-confdef,force-confold")
            .doc("Options for dpkg, separated by commas."),
        Param::path("deb").doc("A package file on the host or its URL; several separated by commas."),
        Param::bool("autoremove")
            .default_bool(false)
            .doc("Remove packages that nothing needs any more."),
        Param::bool("autoclean")
            .default_bool(false)
            .doc("Delete downloaded packages that cannot be downloaded any more."),
        Param::bool("clean").default_bool(false).doc("Delete all downloaded packages."),
        Param::int("policy_rc_d").doc(
            "Exit code of `/usr/sbin/policy-rc.d` meanwhile; 101 keeps packages from starting services.",
        ),
        Param::bool("only_upgrade").default_bool(false).doc("Leave packages alone that are not installed."),
        Param::bool("fail_on_autoremove").default_bool(false).doc("Fail rather than remove packages."),
        Param::bool("force_apt_get").default_bool(false).doc("Use `apt-get` even where `aptitude` is installed."),
        Param::int("lock_timeout").default_int(60).doc("Seconds to wait while another program uses apt."),
        Param::bool("auto_install_module_deps").default_bool(true).doc("No effect: nothing has to be installed for this module."),
    ])
    .mutually_exclusive(&[&["deb", "package", "upgrade"]]);

impl Module for Apt {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        Task { args, ctx, get: ctx.program("apt-get")? }.run()
    }
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    get: String,
}

/// What is known about the lists.
struct Cache {
    updated: bool,
    time: i64,
}

impl Cache {
    fn entries(&self) -> Dict {
        dict! {"cache_updated" => self.updated, "cache_update_time" => self.time}
    }
}

impl Task<'_> {
    fn run(&self) -> Result<Outcome, Failure> {
        let args = self.args;
        let wanted: Vec<String> =
            args.strings("name").into_iter().filter(|name| !name.trim().is_empty()).collect();
        let upgrade = args.str("upgrade").filter(|mode| *mode != "no");
        let nothing_else = wanted.is_empty() && upgrade.is_none() && !args.has("deb");
        if args.bool("clean") {
            let outcome = self.clean()?;
            if nothing_else {
                return Ok(outcome);
            }
        }
        let cache = self.refresh()?;
        if nothing_else && !args.bool("autoremove") && !args.bool("autoclean") {
            // Alone, the update is the change; before other work it is a means to an end.
            return Ok(Outcome::changed_if(cache.updated).with_all(cache.entries()));
        }
        if let Some(mode) = upgrade {
            return self.upgrade(mode);
        }
        if let Some(files) = args.str("deb") {
            if args.text("state") != "present" {
                return Err(Failure::new("deb only supports state=present"));
            }
            return self.install_files(files);
        }
        let all = wanted.iter().filter(|name| *name == "*").count();
        if args.text("state") == "latest" && all > 0 {
            if wanted.len() == all {
                return self.upgrade("yes");
            }
            return Err(Failure::new(
                "unable to install additional packages when upgrading all installed packages",
            ));
        }
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).filter(|name| *name != "*").collect();
        if wanted.is_empty() {
            if args.bool("autoclean") {
                return self.clean_up("autoclean");
            }
            if args.bool("autoremove") {
                return self.clean_up("autoremove");
            }
        }
        let wishes: Vec<Wish> = wanted.iter().map(|name| Wish::parse(name)).collect();
        let with_cache = |failure: Failure| {
            cache.entries().into_iter().fold(failure, |failure, (key, value)| failure.with(key, value))
        };
        match args.text("state") {
            "absent" => self.remove(&wishes),
            _ => self.install(&wishes, &cache, with_cache),
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.args.int("lock_timeout").unwrap_or(60).try_into().unwrap_or(0))
    }

    /// Updates the lists if they are too old.
    fn refresh(&self) -> Result<Cache, Failure> {
        let args = self.args;
        let time = apt::updated_at();
        let valid = args.int("cache_valid_time").unwrap_or(0);
        if !args.bool("update_cache") && valid == 0 {
            return Ok(Cache { updated: false, time });
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if valid > 0 && time + valid >= now as i64 {
            return Ok(Cache { updated: false, time });
        }
        if self.ctx.check {
            return Ok(Cache { updated: true, time });
        }
        apt::update(
            self.ctx,
            args.int("update_cache_retries").unwrap_or(5),
            args.int("update_cache_retry_max_delay").unwrap_or(12),
            self.patience(),
        )?;
        let after = apt::updated_at();
        Ok(Cache { updated: after != time, time: after })
    }

    /// `dpkg_options` and the lock's timeout, as arguments.
    fn dpkg_options(&self) -> Vec<String> {
        let mut words = Vec::new();
        for option in self.args.text("dpkg_options").split(',').map(str::trim).filter(|o| !o.is_empty()) {
            words.extend(["-o".into(), format!("Dpkg::Options::=--{option}")]);
        }
        words.extend(["-o".into(), format!("DPkg::Lock::Timeout={}", self.patience().as_secs())]);
        words
    }

    fn flag(&self, param: &str, option: &'static str) -> Option<&'static str> {
        self.args.bool(param).then_some(option)
    }

    fn simulate(&self) -> Option<&'static str> {
        self.ctx.check.then_some("--simulate")
    }

    /// Runs apt's program with these arguments. In its place `None` stands for an option not used.
    fn call(&self, parts: Vec<Part>) -> Result<Called, Failure> {
        let mut argv: Vec<String> = Vec::new();
        let mut shown: Vec<String> = Vec::new();
        for part in parts {
            match part {
                Part::Program(path) => {
                    argv.push(path.clone());
                    shown.push(path);
                }
                Part::Word(word) => {
                    argv.extend(word.map(str::to_owned));
                    shown.push(word.unwrap_or("").to_owned());
                }
                Part::Options(words) => {
                    shown.push(
                        words
                            .chunks(2)
                            .map(|pair| {
                                let quoted = pair[1].starts_with("Dpkg::Options");
                                if quoted { format!("-o \"{}\"", pair[1]) } else { pair.join(" ") }
                            })
                            .collect::<Vec<_>>()
                            .join(" "),
                    );
                    argv.extend(words);
                }
                Part::Packages(names) => {
                    shown.push(names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(" "));
                    argv.extend(names);
                }
                Part::More(words) => {
                    shown.extend(words.iter().cloned());
                    argv.extend(words);
                }
            }
        }
        let _guard = PolicyRcD::set(self.args.int("policy_rc_d").filter(|_| !self.ctx.check))?;
        let command = apt::command(self.ctx, argv.iter().map(String::as_str));
        let output = apt::run_patiently(self.ctx, &command, self.patience())?;
        Ok(Called { shown: shown.join(" "), output })
    }

    fn release(&self) -> Vec<String> {
        self.args.nonempty("default_release").map_or(vec![], |release| vec!["-t".into(), release.into()])
    }

    fn permissions(&self) -> Vec<String> {
        [
            ("allow_unauthenticated", "--allow-unauthenticated"),
            ("allow_downgrade", "--allow-downgrades"),
            ("allow_change_held_packages", "--allow-change-held-packages"),
        ]
        .into_iter()
        .filter_map(|(param, option)| self.flag(param, option))
        .map(str::to_owned)
        .collect()
    }

    fn install(
        &self,
        wishes: &[Wish],
        cache: &Cache,
        with_cache: impl Fn(Failure) -> Failure,
    ) -> Result<Outcome, Failure> {
        let args = self.args;
        let build = args.text("state") == "build-dep";
        let Selection { packages, names, complaint } = select(self.ctx, args, wishes)?;
        if let Some(complaint) = complaint {
            return Err(with_cache(Failure::new(complaint)));
        }
        let mut outcome = Outcome::ok();
        if !packages.is_empty() {
            let fixed = (args.text("state") == "fixed").then_some("--fix-broken");
            let mut parts = vec![
                Part::Program(self.get.clone()),
                Part::Word(Some("-y")),
                Part::Options(self.dpkg_options()),
                Part::Word(self.flag("only_upgrade", "--only-upgrade")),
                Part::Word(fixed),
                Part::Word(self.flag("force", "--force-yes")),
            ];
            if !build {
                parts.push(Part::Word(self.flag("autoremove", "--auto-remove")));
            }
            parts.extend([
                Part::Word(self.flag("fail_on_autoremove", "--no-remove")),
                Part::Word(self.simulate()),
                Part::Word(Some(if build { "build-dep" } else { "install" })),
                Part::Packages(packages),
            ]);
            let mut more = self.release();
            if let Some(recommends) = args.flag("install_recommends") {
                let value = if recommends { "yes" } else { "no" };
                more.extend(["-o".into(), format!("APT::Install-Recommends={value}")]);
            }
            more.extend(self.permissions());
            parts.push(Part::More(more));
            let called = self.call(parts)?;
            if !called.output.ok() {
                return Err(with_cache(called.failure(&format!("'{}'", called.shown))));
            }
            let changed = !build || !called.changes_nothing();
            outcome = called.outcome(changed);
        }
        if !build && !self.ctx.check {
            self.mark_manual(&names)?;
        }
        Ok(outcome.with_all(cache.entries()))
    }

    /// Packages that a task names stay when nothing else needs them any more.
    fn mark_manual(&self, names: &[String]) -> Result<(), Failure> {
        let states = std::fs::read_to_string("/var/lib/apt/extended_states").unwrap_or_default();
        let automatic: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| choose::is_automatic(&states, name)).collect();
        let Some(mark) = self.ctx.which("apt-mark").filter(|_| !automatic.is_empty()) else { return Ok(()) };
        let mut words = vec![mark.as_str(), "manual"];
        words.extend(automatic);
        let output = self.ctx.run(&apt::command(self.ctx, words))?;
        if output.ok() { Ok(()) } else { Err(Failure::of_command("apt-mark failed", &output)) }
    }

    fn remove(&self, wishes: &[Wish]) -> Result<Outcome, Failure> {
        let args = self.args;
        let packages = choose::select_for_removal(self.ctx, args, wishes)?;
        if packages.is_empty() {
            return Ok(Outcome::ok());
        }
        let listed = packages.join(" ");
        let mut more = Vec::new();
        more.extend(
            self.flag("allow_change_held_packages", "--allow-change-held-packages").map(str::to_owned),
        );
        more.push("remove".into());
        let called = self.call(vec![
            Part::Program(self.get.clone()),
            Part::Word(Some("-q")),
            Part::Word(Some("-y")),
            Part::Options(self.dpkg_options()),
            Part::Word(self.flag("purge", "--purge")),
            Part::Word(self.flag("force", "--force-yes")),
            Part::Word(self.flag("autoremove", "--auto-remove")),
            Part::Word(self.simulate()),
            Part::More(more),
            Part::Packages(packages),
        ])?;
        if !called.output.ok() {
            return Err(called.failure(&format!("'apt-get remove {listed}'")));
        }
        Ok(called.outcome(true))
    }

    fn upgrade(&self, mode: &str) -> Result<Outcome, Failure> {
        let args = self.args;
        let aptitude = match mode {
            "dist" => None,
            _ if args.bool("force_apt_get") => None,
            _ => self.ctx.which("aptitude"),
        };
        let warn = aptitude.is_none() && mode != "dist" && !args.bool("force_apt_get");
        let verb: &[&str] = match (mode, aptitude.is_some()) {
            ("dist", _) | ("full", false) => &["dist-upgrade"],
            ("full", true) => &["full-upgrade"],
            (_, false) => &["upgrade", "--with-new-pkgs"],
            (_, true) => &["safe-upgrade"],
        };
        let program = aptitude.clone().unwrap_or_else(|| self.get.clone());
        let mut words: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
        if aptitude.is_none() {
            words.extend(self.flag("autoremove", "--auto-remove").map(str::to_owned));
        }
        let shown = words.join(" ");
        let mut tail = words;
        tail.extend(self.release());
        let mut parts = vec![
            Part::Program(program.clone()),
            Part::Word(Some("-y")),
            Part::Options(self.dpkg_options()),
            Part::Word(self.flag("force", "--force-yes")),
            Part::Word(self.flag("fail_on_autoremove", "--no-remove")),
        ];
        parts.push(Part::More(if aptitude.is_none() { self.permissions() } else { vec![] }));
        parts.push(Part::Word(self.simulate()));
        parts.push(Part::More(tail));
        let called = self.call(parts)?;
        if !called.output.ok() {
            let failure = called.failure(&format!("'{program} {shown}'"));
            return Err(if warn { failure.warn(NO_APTITUDE) } else { failure });
        }
        let changed = !called.changes_nothing()
            && !called.output.stdout_text().contains("\n0 packages upgraded, 0 newly installed, 0 to remove");
        let said = called.output.stdout_text();
        let outcome = called.outcome(changed).msg(said);
        Ok(if warn { outcome.warn(NO_APTITUDE) } else { outcome })
    }

    fn clean(&self) -> Result<Outcome, Failure> {
        let called = self.call(vec![
            Part::Program(self.get.clone()),
            Part::Word(Some("clean")),
            Part::Word(self.simulate()),
        ])?;
        if !called.output.ok() {
            return Err(called.failure("apt-get clean"));
        }
        let said = called.output.stdout_text();
        Ok(called.outcome(true).msg(said))
    }

    fn clean_up(&self, verb: &'static str) -> Result<Outcome, Failure> {
        let called = self.call(vec![
            Part::Program(self.get.clone()),
            Part::Word(Some("-y")),
            Part::Options(self.dpkg_options()),
            Part::Word(self.flag("purge", "--purge")),
            Part::Word(self.flag("force", "--force-yes")),
            Part::Word(Some(verb)),
            Part::Word(self.simulate()),
        ])?;
        if !called.output.ok() {
            return Err(called.failure(&format!("'apt-get {verb}'")));
        }
        let sign = if verb == "autoremove" { "The following packages will be REMOVED" } else { "Del " };
        let changed = called.output.stdout_text().contains(sign);
        Ok(called.outcome(changed))
    }

    /// Package files: `apt-get install ./file.deb`, so that what they need comes along.
    fn install_files(&self, files: &str) -> Result<Outcome, Failure> {
        let mut downloads = Vec::new();
        let mut packages = Vec::new();
        for file in files.split(',').map(str::trim).filter(|file| !file.is_empty()) {
            let path = if file.contains("://") {
                let download = super::get_url::fetch_to_temporary(self.ctx, file)?;
                // apt takes only files for packages whose names say so.
                let named = download.path().with_extension("deb");
                std::fs::hard_link(download.path(), &named)
                    .map_err(|error| Failure::new(format!("could not keep {file}: {error}")))?;
                downloads.push(Named(named.clone()));
                named.to_string_lossy().into_owned()
            } else {
                file.to_owned()
            };
            if choose::file_is_missing(self.ctx, self.args, &path)? {
                packages.push(if Path::new(&path).is_absolute() { path } else { format!("./{path}") });
            }
        }
        if packages.is_empty() {
            return Ok(Outcome::ok().with("stdout", "").with("stderr", ""));
        }
        let mut more = self.permissions();
        if let Some(recommends) = self.args.flag("install_recommends") {
            let value = if recommends { "yes" } else { "no" };
            more.extend(["-o".into(), format!("APT::Install-Recommends={value}")]);
        }
        let called = self.call(vec![
            Part::Program(self.get.clone()),
            Part::Word(Some("-y")),
            Part::Options(self.dpkg_options()),
            Part::Word(self.flag("force", "--force-yes")),
            Part::Word(self.flag("fail_on_autoremove", "--no-remove")),
            Part::Word(self.simulate()),
            Part::Word(Some("install")),
            Part::Packages(packages),
            Part::More(more),
        ])?;
        if !called.output.ok() {
            return Err(called.failure(&format!("'{}'", called.shown)));
        }
        Ok(called.outcome(true))
    }
}

const NO_APTITUDE: &str = "Could not find aptitude. Using apt-get instead";

/// A file that goes away with this.
struct Named(std::path::PathBuf);

impl Drop for Named {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok(); // it lies in a private directory
    }
}

/// A piece of a command line: how it runs, and how a message shows it.
enum Part {
    Program(String),
    Word(Option<&'static str>),
    Options(Vec<String>),
    Packages(Vec<String>),
    More(Vec<String>),
}

/// A run of apt's program.
struct Called {
    shown: String,
    output: Output,
}

impl Called {
    fn changes_nothing(&self) -> bool {
        self.output.stdout_text().contains("\n0 upgraded, 0 newly installed, 0 to remove")
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::of_command(format!("{what} failed: {}", self.output.stderr_text()), &self.output)
    }

    fn outcome(&self, changed: bool) -> Outcome {
        let out = self.output.stdout_text();
        Outcome::changed_if(changed)
            .diff(Diff::prepared(apt::change_summary(&out)))
            .with("stdout", out)
            .with("stderr", self.output.stderr_text())
    }
}
