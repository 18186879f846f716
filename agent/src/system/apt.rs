//! apt: what its lists offer, and running `apt-get` without a terminal.
//!
//! Not here: what is installed (`dpkg`).

use crate::module::{Ctx, Failure};
use crate::system::dpkg;
use crate::system::process::{Command, Output};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

/// What `apt-cache policy` knows about a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The version that would be installed.
    pub candidate: Option<String>,
    /// All versions, best first, each with its priority.
    pub versions: Vec<(String, i64)>,
}

/// The words of `apt-cache policy`, by package. Packages that nobody offers are not in it.
pub fn parse_policy(text: &str) -> HashMap<String, Policy> {
    let mut all = HashMap::new();
    let mut current: Option<(String, Policy)> = None;
    for line in text.lines() {
        if !line.starts_with(' ') {
            all.extend(current.take());
            current = line.strip_suffix(':').map(|name| (name.to_owned(), Policy::default()));
            continue;
        }
        let Some((_, policy)) = &mut current else { continue };
        if let Some(version) = line.trim().strip_prefix("Candidate: ") {
            policy.candidate = (version != "(none)").then(|| version.to_owned());
        } else if line.starts_with("     ") && !line.starts_with("        ") || line.starts_with(" *** ") {
            let mut words = line.trim_start_matches([' ', '*']).split_whitespace();
            if let (Some(version), priority) = (words.next(), words.next()) {
                let priority = priority.and_then(|number| number.parse().ok()).unwrap_or(500);
                policy.versions.push((version.to_owned(), priority));
            }
        }
    }
    all.extend(current);
    all
}

/// The packages that provide a virtual one, from `apt-cache showpkg`.
pub fn parse_providers(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("Reverse Provides:")).skip(1) {
        if let Some(name) = line.split_whitespace().next()
            && !found.iter().any(|known| known == name)
        {
            found.push(name.to_owned());
        }
    }
    found
}

/// Asks `apt-cache`; nothing it prints to standard error matters.
pub fn ask(ctx: &Ctx, arguments: &[&str], release: Option<&str>) -> Result<String, Failure> {
    let mut command = ctx.command([ctx.program("apt-cache")?]).env("LC_ALL", "C");
    if let Some(release) = release {
        command = command.args(["-o".to_owned(), format!("APT::Default-Release={release}")]);
    }
    Ok(ctx.run(&command.args(arguments.iter().copied()))?.stdout_text())
}

/// What apt offers of these packages.
pub fn policy(ctx: &Ctx, names: &[&str], release: Option<&str>) -> Result<HashMap<String, Policy>, Failure> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let mut arguments = vec!["policy"];
    arguments.extend(names);
    Ok(parse_policy(&ask(ctx, &arguments, release)?))
}

/// A program of apt's family that asks no questions.
pub fn command<'a>(ctx: &Ctx, argv: impl IntoIterator<Item = &'a str>) -> Command {
    ctx.command(argv)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("DEBIAN_PRIORITY", "critical")
        .env("LANG", "C")
        .env("LC_ALL", "C")
        .env("LC_MESSAGES", "C")
        .env("LC_CTYPE", "C")
}

/// Runs a command; as long as somebody else holds apt's locks, tries again until `patience` is over.
pub fn run_patiently(ctx: &Ctx, command: &Command, patience: Duration) -> Result<Output, Failure> {
    let end = Instant::now() + patience;
    loop {
        let output = ctx.run(command)?;
        let locked = !output.ok() && is_lock_trouble(&output.stderr_text());
        if !locked || Instant::now() >= end {
            return Ok(output);
        }
        ctx.sleep(Duration::from_secs(1))?;
    }
}

/// Whether what apt said means that another process is at work.
pub fn is_lock_trouble(said: &str) -> bool {
    ["Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock"]
        .iter()
        .any(|words| said.contains(words))
        && !said.contains("Permission denied")
}

/// When the lists were last updated, in seconds since the epoch; 0 if never.
pub fn updated_at() -> i64 {
    let seconds = |path: &str| {
        let time = std::fs::metadata(path).ok()?.modified().ok()?;
        time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs() as i64)
    };
    seconds("/var/lib/apt/periodic/update-success-stamp")
        .or_else(|| seconds("/var/lib/apt/lists"))
        .unwrap_or(0)
}

/// Updates the lists, several times if need be, pausing longer and longer.
pub fn update(ctx: &Ctx, retries: i64, longest_pause: i64, patience: Duration) -> Result<(), Failure> {
    let get = ctx.program("apt-get")?;
    let command = command(ctx, [get.as_str(), "-q", "-y", "-o", "APT::Update::Error-Mode=any", "update"]);
    let mut said = String::new();
    for attempt in 0..retries.max(1) {
        let output = run_patiently(ctx, &command, patience)?;
        if output.ok() {
            return Ok(());
        }
        said = complaints(&output.stderr_text());
        if attempt + 1 < retries {
            let pause = 2i64.saturating_pow(u32::try_from(attempt).unwrap_or(30)).min(longest_pause.max(0));
            ctx.sleep(Duration::from_secs(pause.unsigned_abs()))?;
        }
    }
    let reason = if said.is_empty() { "unknown reason".to_owned() } else { said };
    Err(Failure::new(format!("Failed to update apt cache: {reason}")))
}

/// apt's complaints on one line, `E:` and `W:` as python-apt joins them.
fn complaints(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.replacen(": ", ":", 1)).collect::<Vec<_>>().join(", ")
}

/// A package as a task names it: `NAME`, `NAME=VERSION`, `NAME>=VERSION`; a version may have wild cards after `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Name, perhaps with an architecture.
    pub name: String,
    /// What its version must be.
    pub version: Option<(Comparison, String)>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same, or matching wild cards.
    Equal,
    /// The same or newer.
    AtLeast,
}

impl Wish {
    /// Reads what a task wrote.
    pub fn parse(text: &str) -> Wish {
        let text = text.trim();
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => match name.strip_suffix('>') {
                Some(name) => (name, Some((Comparison::AtLeast, version.trim().to_owned()))),
                None => (name, Some((Comparison::Equal, version.trim().to_owned()))),
            },
            None => (text, None),
        };
        Wish { name: name.trim().to_owned(), version }
    }

    /// Whether a version is good.
    pub fn accepts(&self, version: &str) -> bool {
        match &self.version {
            None => true,
            Some((Comparison::Equal, wanted)) => crate::system::glob::fnmatch(version, wanted),
            Some((Comparison::AtLeast, wanted)) => dpkg::compare(version, wanted).is_ge(),
        }
    }

    /// The version to install, of those on offer.
    pub fn choose(&self, policy: &Policy) -> Option<String> {
        match &self.version {
            None => policy.candidate.clone(),
            Some(_) => {
                let candidate = policy.candidate.iter().find(|version| self.accepts(version));
                let best = policy
                    .versions
                    .iter()
                    .filter(|(version, _)| self.accepts(version))
                    .max_by(|a, b| a.1.cmp(&b.1).then_with(|| dpkg::compare(&a.0, &b.0)));
                candidate.or(best.map(|(version, _)| version)).cloned()
            }
        }
    }
}

/// What `apt-get` is about to change, cut out of all it printed.
pub fn change_summary(printed: &str) -> String {
    let lines: Vec<&str> = crate::module::split_lines(printed);
    let at = |text: &str| lines.iter().position(|line| *line == text);
    let start = at("Resolving dependencies...").or(at("Reading state information...")).map_or(0, |at| at + 1);
    let is_count = |line: &str| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < line.len() && (rest.starts_with(" upgraded") || rest.starts_with(" packages upgraded"))
    };
    let end = lines.iter().position(|line| is_count(line)).map_or(lines.len(), |at| at + 1);
    lines.get(start..end.max(start)).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "tree:\n  Installed: 2.1.0-1\n  Candidate: 2.1.0-2\n  Version table:\n     2.1.0-2 500\n        \
        500 http://x bookworm/main amd64 Packages\n *** 2.1.0-1 100\n        100 /var/lib/dpkg/status\nmta:\n  \
        Installed: (none)\n  Candidate: (none)\n  Version table:\n";

    #[test]
    fn policies() {
        let all = parse_policy(POLICY);
        let tree = &all["tree"];
        assert_eq!(tree.candidate.as_deref(), Some("2.1.0-2"));
        assert_eq!(tree.versions, [("2.1.0-2".into(), 500), ("2.1.0-1".into(), 100)]);
        assert_eq!(all["mta"], Policy::default());
        assert!(!all.contains_key("nonesuch"));
    }

    #[test]
    fn providers() {
        let text = "Package: mta\nVersions: \n\nReverse Depends: \n  a,mta\nDependencies: \nProvides: \nReverse Provides: \n\
                    exim4 4.96 (= )\nexim4 4.95 (= )\npostfix 3 (= )\n";
        assert_eq!(parse_providers(text), ["exim4", "postfix"]);
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn wishes() {
        let offered = Policy {
            candidate: Some("1.3-1".into()),
            versions: vec![("1.3-1".into(), 500), ("1.2-2".into(), 500), ("1.2-1".into(), 500), ("2.0-1".into(), 100)],
        };
        for (wish, chosen) in [
            ("p",         Some("1.3-1")),
            ("p=1.2*",    Some("1.2-2")),
            ("p=1.2-1",   Some("1.2-1")),
            ("p>=1.3",    Some("1.3-1")),
            ("p>=1.9",    Some("2.0-1")),
            ("p=9",       None),
            ("p >= 9",    None),
        ] {
            assert_eq!(Wish::parse(wish).choose(&offered).as_deref(), chosen, "{wish}");
        }
        let wish = Wish::parse("libc6:i386=2.36-9");
        assert_eq!((wish.name.as_str(), wish.accepts("2.36-9"), wish.accepts("2.36-90")), ("libc6:i386", true, false));
    }

    #[test]
    fn locks() {
        assert!(is_lock_trouble(
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 5 (apt)"
        ));
        assert!(!is_lock_trouble(
            "E: Could not open lock file /x - open (13: Permission denied)\nE: Unable to lock"
        ));
    }

    #[test]
    fn summaries() {
        let printed = "Reading package lists...\nReading state information...\nThe following NEW packages will be installed:\n  \
                       tree\n0 upgraded, 1 newly installed, 0 to remove and 1 not upgraded.\nInst tree\n";
        assert_eq!(
            change_summary(printed),
            "The following NEW packages will be installed:\n  tree\n\
             0 upgraded, 1 newly installed, 0 to remove and 1 not upgraded."
        );
        assert_eq!(change_summary("a\nb\n"), "a\nb");
    }
}
