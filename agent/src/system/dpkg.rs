//! dpkg: which packages are installed, and which of two versions is newer.
//!
//! In: `/var/lib/dpkg/status`, read directly because that is some ten times faster than asking.
//!
//! **Invariant:** reads only. While dpkg has changes that are not merged yet, `dpkg-query` is asked instead.

use crate::module::{Ctx, Failure};
use std::cmp::Ordering;
use std::collections::HashMap;

/// A package that dpkg knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Architecture.
    pub arch: String,
    /// Version.
    pub version: String,
    /// `Status`, such as `install ok installed`.
    pub status: String,
    /// Section of the archive.
    pub section: String,
    /// Source package, where it has another name.
    pub source: String,
    /// What it stands in for.
    pub provides: String,
}

impl Package {
    /// Unpacked and configured, or at least unpacked.
    pub fn is_installed(&self) -> bool {
        let state = self.status.rsplit(' ').next().unwrap_or("");
        matches!(
            state,
            "installed" | "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending"
        )
    }

    /// Whether files are left, be it configuration only.
    pub fn has_files(&self) -> bool {
        !self.status.is_empty() && !self.status.ends_with("not-installed")
    }
}

/// All packages that dpkg knows, by name; several where architectures mix.
pub struct Packages(HashMap<String, Vec<Package>>);

impl Packages {
    /// What is on this host.
    pub fn read(ctx: &Ctx) -> Result<Packages, Failure> {
        let pending = std::fs::read_dir("/var/lib/dpkg/updates")
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| e.file_name() != "tmp.i")));
        if !pending && let Ok(bytes) = std::fs::read("/var/lib/dpkg/status") {
            return Ok(Packages::parse(&String::from_utf8_lossy(&bytes)));
        }
        let format = "Package: ${Package}\nArchitecture: ${Architecture}\nVersion: ${Version}\nStatus: ${Status}\n\
                      Section: ${Section}\nSource: ${Source}\nProvides: ${Provides}\n\n";
        let query = ctx.program("dpkg-query")?;
        let output = ctx.run(&ctx.command([query.as_str(), "-W", "-f", format]).env("LC_ALL", "C"))?;
        Ok(Packages::parse(&output.stdout_text()))
    }

    /// The stanzas of a status file.
    pub fn parse(text: &str) -> Packages {
        let mut all: HashMap<String, Vec<Package>> = HashMap::new();
        for stanza in text.split("\n\n") {
            let mut package = Package::default();
            for line in stanza.lines() {
                let Some((key, value)) = line.split_once(": ") else { continue };
                let field = match key {
                    "Package" => &mut package.name,
                    "Architecture" => &mut package.arch,
                    "Version" => &mut package.version,
                    "Status" => &mut package.status,
                    "Section" => &mut package.section,
                    "Source" => &mut package.source,
                    "Provides" => &mut package.provides,
                    _ => continue,
                };
                value.clone_into(field);
            }
            if !package.name.is_empty() {
                all.entry(package.name.clone()).or_default().push(package);
            }
        }
        Packages(all)
    }

    /// The package of a name, `NAME` or `NAME:ARCH`; without one the host's own architecture.
    pub fn get(&self, name: &str) -> Option<&Package> {
        let (name, arch) = match name.split_once(':') {
            Some((name, arch)) if arch != "native" => (name, (arch != "any").then_some(arch)),
            _ => (name, Some(native_arch())),
        };
        let candidates = self.0.get(name)?;
        candidates
            .iter()
            .find(|package| arch.is_none_or(|arch| package.arch == arch || package.arch == "all"))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Package> {
        self.0.values().flatten()
    }
}

/// dpkg's name for the architecture this helper was built for, which is the host's.
pub fn native_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

/// Which of two versions is newer, by Debian's rules.
pub fn compare(a: &str, b: &str) -> Ordering {
    let split = |version: &str| -> (u64, String, String) {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), upstream.to_owned(), revision.to_owned())
    };
    let (a, b) = (split(a), split(b));
    a.0.cmp(&b.0).then_with(|| compare_part(&a.1, &b.1)).then_with(|| compare_part(&a.2, &b.2))
}

fn compare_part(a: &str, b: &str) -> Ordering {
    // `~` sorts before the end, the end before letters, letters before everything else.
    fn weight(byte: Option<&u8>) -> i32 {
        match byte {
            None => 0,
            Some(b'~') => -1,
            Some(byte) if byte.is_ascii_digit() => 0,
            Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
            Some(byte) => i32::from(*byte) + 256,
        }
    }
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|byte| !byte.is_ascii_digit())
            || b.first().is_some_and(|byte| !byte.is_ascii_digit())
        {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order.is_ne() {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let number = |text: &mut &[u8]| {
            let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            let (digits, rest) = text.split_at(end);
            *text = rest;
            let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
            digits[zeros..].to_vec()
        };
        let (left, right) = (number(&mut a), number(&mut b));
        let order = left.len().cmp(&right.len()).then_with(|| left.cmp(&right));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (a, b, expected) in [
            ("1.0", "1.0", Ordering::Equal),
            ("1.0-1", "1.0-2", Ordering::Less),
            ("1:0.1", "2.0", Ordering::Greater),
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1.10", "1.9", Ordering::Greater),
            ("1.0+b1", "1.0", Ordering::Greater),
            ("1.0a", "1.0+", Ordering::Less),
            ("2.1.0-1+deb12u1", "2.1.0-1", Ordering::Greater),
            ("0:1.0", "1.0", Ordering::Equal),
            ("1.007", "1.7", Ordering::Equal),
            ("3.03+dfsg2-8", "3.03+dfsg2-10", Ordering::Less),
            ("1.0-1~bpo12+1", "1.0-1", Ordering::Less),
        ] {
            assert_eq!(compare(a, b), expected, "{a} {b}");
            assert_eq!(compare(b, a), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn status_file() {
        let native = native_arch();
        let text = format!(
            "Package: tree\nStatus: install ok installed\nSection: utils\nArchitecture: {native}\nVersion: 2.1.0-1\n\
             Description: x\n a: b\n\nPackage: libc6\nStatus: install ok installed\nArchitecture: foreign\nVersion: 2\n\n\
             Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
        );
        let packages = Packages::parse(&text);
        assert!(packages.get("tree").is_some_and(Package::is_installed));
        assert!(packages.get(&format!("tree:{native}")).is_some());
        assert!(packages.get("libc6").is_none(), "another architecture is another package");
        assert!(packages.get("libc6:foreign").is_some_and(Package::is_installed));
        assert!(packages.get("libc6:any").is_some());
        let gone = packages.get("gone").unwrap();
        assert!(!gone.is_installed() && gone.has_files());
    }
}
