//! `package_facts`: what is installed, as the fact `packages`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::apt;
use crate::system::dpkg::Packages;
use quorate_value::{Dict, Value, dict};
use std::collections::{BTreeMap, HashMap};

/// The `package_facts` module.
pub struct PackageFacts;

static SPEC: Spec = Spec::new("package_facts", "Lists installed packages as facts.").params(&[
    Param::list("manager", Kind::Str)
        .default(Lit::List(&["auto"]))
        .doc("Managers to ask: `apt`, `rpm` (also `dnf`, `yum`, `zypper`), `apk`, `pacman`; `auto` tries them all."),
    Param::str("strategy")
        .choices(&["first", "all"])
        .default_str("first")
        .doc("Whether the first manager found is enough."),
]);

type Found = BTreeMap<String, Vec<Value>>;

/// Managers, the program that shows they are there, and how to ask.
type Manager = (&'static str, &'static str, fn(&Ctx) -> Result<Found, Failure>);
const MANAGERS: &[Manager] = &[
    ("apt", "dpkg-query", apt_packages),
    ("rpm", "rpm", rpm),
    ("apk", "apk", apk),
    ("pacman", "pacman", pacman),
];

impl Module for PackageFacts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let asked: Vec<String> = args.strings("manager").iter().map(|name| name.to_lowercase()).collect();
        let mut wanted: Vec<&str> = Vec::new();
        let mut unknown: Vec<&str> = Vec::new();
        for name in &asked {
            match name.as_str() {
                "auto" => wanted.extend(MANAGERS.iter().map(|(name, ..)| *name)),
                "dnf" | "dnf5" | "yum" | "zypper" => wanted.push("rpm"),
                name if MANAGERS.iter().any(|(known, ..)| *known == name) => wanted.push(name),
                "pkg" | "pkg5" | "pkgng" | "pkg_info" | "openbsd_pkg" | "portage" => {}
                name => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            return Err(Failure::new(format!(
                "Unsupported package managers requested: {}",
                unknown.join(", ")
            )));
        }
        let mut all = Found::new();
        let mut found = false;
        for (name, program, ask) in MANAGERS {
            if !wanted.contains(name) || ctx.which(program).is_none() {
                continue;
            }
            for (package, mut entries) in ask(ctx)? {
                all.entry(package).or_default().append(&mut entries);
            }
            found = true;
            if args.text("strategy") == "first" {
                break;
            }
        }
        if !found {
            let list: Value = asked.iter().map(String::as_str).collect();
            return Err(Failure::new(format!(
                "Could not detect a supported package manager from the following list: {}, or the required Python library is not installed. Check warnings for details.",
                quorate_value::repr(&list)
            )));
        }
        let packages: Dict = all.into_iter().map(|(name, entries)| (name, Value::list(entries))).collect();
        Ok(Outcome::ok().facts(dict! {"packages" => packages}))
    }
}

fn add(found: &mut Found, name: &str, entry: Dict) {
    found.entry(name.to_owned()).or_default().push(Value::dict(entry));
}

fn apt_packages(ctx: &Ctx) -> Result<Found, Failure> {
    let packages = Packages::read(ctx)?;
    let installed: Vec<_> = packages.iter().filter(|package| package.is_installed()).collect();
    let origins = if ctx.which("apt-cache").is_some() {
        let mut names: Vec<&str> = installed.iter().map(|package| package.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let sources = source_origins(&apt::ask(ctx, &["policy"], None)?);
        let mut arguments = vec!["policy"];
        arguments.extend(names);
        package_origins(&apt::ask(ctx, &arguments, None)?, &sources)
    } else {
        HashMap::new()
    };
    let mut found = Found::new();
    for package in installed {
        add(
            &mut found,
            &package.name,
            dict! {
                "name" => package.name.as_str(),
                "version" => package.version.as_str(),
                "arch" => package.arch.as_str(),
                "category" => package.section.as_str(),
                "origin" => origins.get(&package.name).map_or("", String::as_str),
                "source" => "apt",
            },
        );
    }
    Ok(found)
}

/// The archive behind each source, as `apt-cache policy` without names prints them.
fn source_origins(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut source = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(release) = trimmed.strip_prefix("release ") {
            let origin = release.split(',').find_map(|part| part.strip_prefix("o="));
            if let (Some(source), Some(origin)) = (source.take(), origin) {
                found.insert(source, origin.to_owned());
            }
        } else if let Some((_, rest)) =
            trimmed.split_once(' ').filter(|(priority, _)| priority.parse::<i64>().is_ok())
        {
            source = Some(rest.to_owned());
        }
    }
    found
}

/// The archive of each installed version; packages that no source has any more are left out.
fn package_origins(text: &str, sources: &HashMap<String, String>) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let (mut name, mut installed) = (String::new(), false);
    for line in text.lines() {
        if let Some(title) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            title.clone_into(&mut name);
            installed = false;
        } else if line.starts_with(" *** ") {
            installed = true;
        } else if line.starts_with("        ") && installed {
            let source = line.trim().split_once(' ').map_or("", |(_, source)| source);
            if let Some(origin) = sources.get(source).filter(|_| !found.contains_key(&name)) {
                found.insert(name.clone(), origin.clone());
            }
        } else if line.starts_with("     ") {
            installed = false;
        }
    }
    found
}

fn rpm(ctx: &Ctx) -> Result<Found, Failure> {
    let format = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%|EPOCH?{%{EPOCH}}:{}|\\t%{ARCH}\\n";
    let command = ctx.command(["rpm", "-qa", "--qf", format]).env("LC_ALL", "C");
    let output = ctx.run_ok(&command, "rpm could not list packages")?;
    let mut found = Found::new();
    for line in output.stdout_text().lines() {
        if let [name, version, release, epoch, arch] = line.split('\t').collect::<Vec<_>>().as_slice() {
            let arch = (*arch != "(none)").then_some(*arch);
            add(
                &mut found,
                name,
                dict! {
                    "name" => *name, "version" => *version, "release" => *release,
                    "epoch" => epoch.parse::<i64>().ok(), "arch" => arch, "source" => "rpm",
                },
            );
        }
    }
    Ok(found)
}

fn apk(ctx: &Ctx) -> Result<Found, Failure> {
    let output =
        ctx.run_ok(&ctx.command(["apk", "info", "-v"]).env("LC_ALL", "C"), "apk could not list packages")?;
    let mut found = Found::new();
    for line in output.stdout_text().lines() {
        // `name-1.2.3-r0`
        let mut parts = line.trim().rsplitn(3, '-');
        if let (Some(release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) {
            let entry = dict! {"name" => name, "version" => version, "release" => release.trim_start_matches('r'), "source" => "apk"};
            add(&mut found, name, entry);
        }
    }
    Ok(found)
}

fn pacman(ctx: &Ctx) -> Result<Found, Failure> {
    let output =
        ctx.run_ok(&ctx.command(["pacman", "-Q"]).env("LC_ALL", "C"), "pacman could not list packages")?;
    let mut found = Found::new();
    for line in output.stdout_text().lines() {
        if let Some((name, version)) = line.split_once(' ') {
            add(&mut found, name, dict! {"name" => name, "version" => version, "source" => "pacman"});
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let sources = source_origins(
            "Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n 500 http://x bookworm/main amd64 Packages\n     \
             release v=12,o=Debian,a=stable\n     origin x\nPinned packages:\n",
        );
        let text = "acl:\n  Installed: 2\n  Candidate: 2\n  Version table:\n *** 2 500\n        500 http://x bookworm/main amd64 Packages\n        \
                    100 /var/lib/dpkg/status\nbash:\n  Installed: 1\n  Version table:\n     2 500\n        \
                    500 http://x bookworm/main amd64 Packages\n *** 1 100\n        100 /var/lib/dpkg/status\n";
        let found = package_origins(text, &sources);
        assert_eq!(found.get("acl").map(String::as_str), Some("Debian"));
        assert_eq!(found.get("bash"), None, "the installed version is in no source");
    }
}
