//! Which packages a task has to install or remove, given what dpkg has and apt offers.

use crate::args::Args;
use crate::module::{Ctx, Failure};
use crate::system::apt::{self, Policy, Wish};
use crate::system::dpkg::{self, Package, Packages};
use crate::system::glob::fnmatch;
use std::collections::HashMap;
use std::path::Path;

/// What `install` has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// For `apt-get`: names with versions.
    pub(super) packages: Vec<String>,
    /// All packages that the task names.
    pub(super) names: Vec<String>,
    /// Why it cannot be done.
    pub(super) complaint: Option<String>,
}

/// What apt offers under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Offer {
    Real(Policy),
    /// Provided by others only.
    Virtual(Vec<String>),
    Unknown,
}

/// Looks at dpkg and, where that is not enough, at apt's lists; then decides.
pub(super) fn select(ctx: &Ctx, args: &Args, wishes: &[Wish]) -> Result<Selection, Failure> {
    if args.text("state") == "build-dep" {
        let names: Vec<String> = wishes.iter().map(written).collect();
        return Ok(Selection { packages: names.clone(), names, complaint: None });
    }
    let installed = Packages::read(ctx)?;
    let wishes = expand(ctx, wishes)?;
    let latest = args.text("state") == "latest";
    let release = args.nonempty("default_release");
    let unclear: Vec<&str> = wishes
        .iter()
        .filter(|wish| match version_of(&installed, &wish.name) {
            Some(version) => latest || !wish.accepts(version),
            None => true,
        })
        .map(|wish| wish.name.as_str())
        .collect();
    let policies = apt::policy(ctx, &unclear, release)?;
    let mut offers: HashMap<String, Offer> = HashMap::new();
    for name in unclear {
        offers.insert(name.to_owned(), offer(ctx, &policies, name)?);
    }
    // Before anything is decided: are all of them known at all?
    for wish in &wishes {
        if offers.get(&wish.name) == Some(&Offer::Unknown) && version_of(&installed, &wish.name).is_none() {
            return Err(Failure::new(format!("No package matching '{}' is available", wish.name)));
        }
    }
    let rule = Rule { latest, only_upgrade: args.bool("only_upgrade") };
    Ok(decide(&wishes, rule, &offers, |name| version_of(&installed, name).map(str::to_owned)))
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    latest: bool,
    only_upgrade: bool,
}

fn decide(
    wishes: &[Wish],
    rule: Rule,
    offers: &HashMap<String, Offer>,
    installed: impl Fn(&str) -> Option<String>,
) -> Selection {
    let mut selection = Selection::default();
    for wish in wishes {
        selection.names.push(wish.name.clone());
        let standing = installed(&wish.name).or_else(|| match offers.get(&wish.name) {
            // A name with one provider means that provider.
            Some(Offer::Virtual(providers)) if providers.len() == 1 => installed(&providers[0]),
            _ => None,
        });
        let chosen = match offers.get(&wish.name) {
            Some(Offer::Real(policy)) => wish.choose(policy),
            _ => None,
        };
        match standing {
            None if rule.only_upgrade => {}
            None => match (&chosen, &wish.version) {
                (None, Some(_)) => {
                    selection.complaint =
                        Some(format!("no available installation candidate for {}", written(wish)));
                    return selection;
                }
                (None, None) => selection.packages.push(wish.name.clone()),
                (Some(version), _) => selection.packages.push(format!("{}={version}", wish.name)),
            },
            Some(version) if !wish.accepts(&version) => match &chosen {
                None => {
                    selection.complaint =
                        Some(format!("no available installation candidate for {}", written(wish)));
                    return selection;
                }
                Some(version) => selection.packages.push(format!("{}={version}", wish.name)),
            },
            Some(version) if rule.latest => {
                if let Some(better) = chosen.filter(|better| dpkg::compare(better, &version).is_gt()) {
                    selection.packages.push(format!("{}={better}", wish.name));
                }
            }
            Some(_) => {}
        }
    }
    selection
}

/// The wish as a task writes it.
fn written(wish: &Wish) -> String {
    match &wish.version {
        None => wish.name.clone(),
        Some((apt::Comparison::Equal, version)) => format!("{}={version}", wish.name),
        Some((apt::Comparison::AtLeast, version)) => format!("{}>={version}", wish.name),
    }
}

fn version_of<'a>(installed: &'a Packages, name: &str) -> Option<&'a str> {
    installed.get(name).filter(|package| package.is_installed()).map(|package| package.version.as_str())
}

fn offer(ctx: &Ctx, policies: &HashMap<String, Policy>, name: &str) -> Result<Offer, Failure> {
    // apt leaves the host's own architecture out of the names it prints.
    let plain = name.strip_suffix(dpkg::native_arch()).and_then(|name| name.strip_suffix(':'));
    let found = policies.get(name).or_else(|| policies.get(plain?));
    match found {
        Some(policy) if !policy.versions.is_empty() => Ok(Offer::Real(policy.clone())),
        Some(_) => {
            let providers = apt::parse_providers(&apt::ask(ctx, &["showpkg", name], None)?);
            Ok(if providers.is_empty() { Offer::Unknown } else { Offer::Virtual(providers) })
        }
        None => Ok(Offer::Unknown),
    }
}

/// Names with wild cards become all the names that match.
fn expand(ctx: &Ctx, wishes: &[Wish]) -> Result<Vec<Wish>, Failure> {
    let is_pattern = |wish: &Wish| wish.name.contains(['*', '?', '[']);
    if !wishes.iter().any(is_pattern) {
        return Ok(wishes.to_vec());
    }
    let known = apt::ask(ctx, &["pkgnames"], None)?;
    let mut expanded = Vec::new();
    for wish in wishes {
        if !is_pattern(wish) {
            expanded.push(wish.clone());
            continue;
        }
        let (pattern, arch) = match wish.name.split_once(':') {
            Some((pattern, arch)) => (pattern, format!(":{arch}")),
            None => (wish.name.as_str(), String::new()),
        };
        let mut names: Vec<&str> = known.lines().filter(|name| fnmatch(name, pattern)).collect();
        names.sort_unstable();
        // apt also lists names that are only ever provided or mentioned.
        let policies = apt::policy(ctx, &names, None)?;
        names.retain(|name| policies.get(*name).is_some_and(|policy| !policy.versions.is_empty()));
        if names.is_empty() {
            return Err(Failure::new(format!("No package(s) matching '{}' available", wish.name)));
        }
        expanded.extend(
            names.iter().map(|name| Wish { name: format!("{name}{arch}"), version: wish.version.clone() }),
        );
    }
    Ok(expanded)
}

/// The packages that have to go.
pub(super) fn select_for_removal(ctx: &Ctx, args: &Args, wishes: &[Wish]) -> Result<Vec<String>, Failure> {
    let installed = Packages::read(ctx)?;
    let wishes = expand(ctx, wishes)?;
    let purge = args.bool("purge");
    Ok(wishes
        .iter()
        .filter(|wish| {
            installed.get(&wish.name).is_some_and(|package| {
                package.is_installed() && wish.accepts(&package.version) || purge && package.has_files()
            })
        })
        .map(written)
        .collect())
}

/// Whether a package was installed only because another one needs it.
pub(super) fn is_automatic(extended_states: &str, name: &str) -> bool {
    let (name, arch) = name.split_once(':').unwrap_or((name, dpkg::native_arch()));
    extended_states.split("\n\n").any(|stanza| {
        let field = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        field("Package:") == Some(name)
            && field("Auto-Installed:") == Some("1")
            && field("Architecture:").is_none_or(|found| found == arch || found == "all")
    })
}

/// Whether a package file still has to be installed.
pub(super) fn file_is_missing(ctx: &Ctx, args: &Args, path: &str) -> Result<bool, Failure> {
    if let Err(error) = std::fs::File::open(Path::new(path)) {
        let code = error.raw_os_error().unwrap_or(0);
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        return Err(Failure::new(format!(
            "Unable to install package: E:Could not open file {path} - open ({code}: {text})"
        )));
    }
    let tool = ctx.program("dpkg-deb")?;
    let output =
        ctx.run(&apt::command(ctx, [tool.as_str(), "-f", path, "Package", "Version", "Architecture"]))?;
    if !output.ok() {
        return Err(Failure::new(format!("Unable to install package: {}", output.stderr_text().trim())));
    }
    let text = output.stdout_text();
    let field =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("").trim().to_owned();
    let (name, version, arch) = (field("Package:"), field("Version:"), field("Architecture:"));
    let installed = Packages::read(ctx)?;
    let full = if arch == "all" { name } else { format!("{name}:{arch}") };
    let Some(standing) = installed.get(&full).filter(|package| Package::is_installed(package)) else {
        return Ok(true);
    };
    let order = dpkg::compare(&version, &standing.version);
    if order.is_lt() && !args.bool("allow_downgrade") && !args.bool("force") {
        return Err(Failure::new("A later version is already installed"));
    }
    Ok(order.is_ne() || args.bool("force"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(task: &str, rule: Rule, standing: &str) -> String {
        let real = |candidate: &str, others: &[&str]| {
            let mut versions = vec![(candidate.to_owned(), 500)];
            versions.extend(others.iter().map(|version| ((*version).to_owned(), 500)));
            Offer::Real(Policy { candidate: Some(candidate.into()), versions })
        };
        let offers = HashMap::from([
            ("tree".to_owned(), real("2.1-2", &["2.1-1", "2.0-1"])),
            ("jq".to_owned(), real("1.6", &[])),
            ("mta".to_owned(), Offer::Virtual(vec!["exim".into(), "postfix".into()])),
            ("default-mta".to_owned(), Offer::Virtual(vec!["exim".into()])),
        ]);
        let wishes: Vec<Wish> = task.split_whitespace().map(Wish::parse).collect();
        let installed = |name: &str| {
            standing.split_whitespace().find_map(|pair| {
                pair.split_once('=')
                    .filter(|(known, _)| *known == name)
                    .map(|(_, version)| version.to_owned())
            })
        };
        let selection = decide(&wishes, rule, &offers, installed);
        selection.complaint.unwrap_or_else(|| selection.packages.join(" "))
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn what_to_install() {
        let present = Rule { latest: false, only_upgrade: false };
        let latest = Rule { latest: true, only_upgrade: false };
        let upgrade = Rule { latest: true, only_upgrade: true };
        for (task, rule, standing, expected) in [
            ("tree",            present, "",           "tree=2.1-2"),
            ("tree jq",         present, "jq=1.5",     "tree=2.1-2"),
            ("tree jq",         latest,  "jq=1.5",     "tree=2.1-2 jq=1.6"),
            ("tree",            latest,  "tree=2.1-2", ""),
            ("tree",            latest,  "tree=3.0",   ""),
            ("tree",            upgrade, "",           ""),
            ("tree",            upgrade, "tree=2.0-1", "tree=2.1-2"),
            ("tree=2.1*",       present, "",           "tree=2.1-2"),
            ("tree=2.0*",       present, "tree=2.1-2", "tree=2.0-1"),
            ("tree=2.1*",       present, "tree=2.1-1", ""),
            ("tree=2.1*",       latest,  "tree=2.1-1", "tree=2.1-2"),
            ("tree>=2",         present, "tree=2.0-1", ""),
            ("tree>=9",         present, "tree=2.0-1", "no available installation candidate for tree>=9"),
            ("tree=9",          present, "",           "no available installation candidate for tree=9"),
            ("mta",             present, "",           "mta"),
            ("default-mta",     present, "exim=4",     ""),
            ("default-mta",     present, "",           "default-mta"),
        ] {
            assert_eq!(outcome(task, rule, standing), expected, "{task} with {standing}");
        }
    }

    #[test]
    fn automatic_packages() {
        let arch = dpkg::native_arch();
        let states = format!(
            "Package: libjq1\nArchitecture: {arch}\nAuto-Installed: 1\n\nPackage: jq\nArchitecture: {arch}\nAuto-Installed: 0\n"
        );
        assert!(is_automatic(&states, "libjq1"));
        assert!(!is_automatic(&states, "libjq1:foreign"));
        assert!(!is_automatic(&states, "jq"));
        assert!(!is_automatic(&states, "tree"));
    }
}
