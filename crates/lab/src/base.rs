//! The base image: one small system that every host of every lab starts from, built once and cached.
//!
//! In: the apt sources of this machine. Out: `<big>/base-<flavour>-<hash>`, read-only by convention.
//!
//! **Invariant:** the finished directory appears by one rename under a lock that the builder itself holds,
//! so a killed controller neither loses the build nor lets a second one in.

use crate::command::{program, tail};
use crate::error::At;
use crate::paths::Paths;
use crate::state::State;
use crate::{LabError, Result, paths};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What a host has installed when it boots for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Flavour {
    /// etcd, PostgreSQL, Patroni and vip-manager are installed and off.
    #[default]
    Full,
    /// Only the system, ssh, sudo and Python: the playbook installs the rest from the local repository.
    Bare,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Bare => "bare",
        }
    }
}

/// What every host has: a small server, and what ansible-core needs to drive it too.
const SYSTEM: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "iproute2",
    "iputils-ping",
    "procps",
    "ca-certificates",
    "curl",
    "acl",
    "less",
    "cron",
    "netcat-openbsd",
    "rsync",
    "tzdata",
    "unzip",
    "xz-utils",
    "zstd",
    "bzip2",
];

/// What the playbooks are about; installed in [`Flavour::Full`], in the local repository always.
const CLUSTER: &[&str] = &[
    "etcd-server",
    "etcd-client",
    "postgresql",
    "patroni",
    "python3-psycopg2",
    "python3-etcd",
    "python3-dnspython",
];

/// Small packages for tests of package tasks; never installed beforehand.
const SPARE: &[&str] = &["jq", "tree", "hello", "cowsay", "bc", "haproxy", "chrony", "logrotate"];

const BUILD: &str = include_str!("../assets/build-base.sh");
const NEWER: &str = include_str!("../assets/newer-packages.sh");
const FINISH: &str = include_str!("../assets/finish-base.sh");

/// A finished base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub path: PathBuf,
}

impl Base {
    /// Where the image of that flavour is, or will be once it is built.
    pub fn locate(flavour: Flavour) -> Result<Self> {
        let hash = fingerprint(&[
            &suite()?,
            std::env::consts::ARCH,
            &include(flavour),
            &repository(),
            BUILD,
            NEWER,
            FINISH,
        ]);
        Ok(Self { path: paths::big()?.join(format!("base-{}-{hash:016x}", flavour.name())) })
    }

    pub fn is_built(&self) -> bool {
        self.path.is_dir()
    }

    /// Removes every image that no lab uses, and the cached packages. The next `up` builds again.
    pub fn clean() -> Result<()> {
        let big = paths::big()?;
        let used: Vec<PathBuf> = crate::Lab::list()
            .iter()
            .filter_map(|lab| State::read(&Paths::new(lab).ok()?).ok()?)
            .map(|state| state.base)
            .collect();
        let Ok(entries) = fs::read_dir(&big) else { return Ok(()) };
        for path in entries.flatten().map(|e| e.path()) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let ours = name.starts_with("base-") || name == "debs" || name == "build";
            if ours && !used.contains(&path) {
                fs::remove_dir_all(&path).at("remove", &path)?;
            }
        }
        // Still there only when a lab is.
        drop(fs::remove_dir(&big));
        Ok(())
    }

    /// Builds the image if it is not there; about a minute. `tick` hears how long it has been at it.
    pub fn ensure(flavour: Flavour, tick: &mut dyn FnMut(Duration)) -> Result<Self> {
        let base = Self::locate(flavour)?;
        if base.is_built() {
            return Ok(base);
        }
        let started = Instant::now();
        let big = paths::big()?;
        let name = base.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let build = big.join("build");
        fs::create_dir_all(&build).at("create", &build)?;
        let file = |suffix: &str| build.join(format!("{name}.{suffix}"));

        let suite = suite()?;
        let sources = mirror_lines(&read_sources(Path::new("/etc/apt")), &suite);
        if sources.is_empty() {
            return Err(LabError::NoMirror { suite });
        }
        // Everything the build reads is written whole before it starts, by rename: two builders may race here.
        let inputs = [
            ("sources.list", sources.join("\n") + "\n"),
            ("apt.conf", apt_options()),
            ("build.sh", BUILD.to_owned()),
            ("newer.sh", NEWER.to_owned()),
            ("finish.sh", FINISH.to_owned()),
        ];
        for (suffix, text) in inputs {
            write_by_rename(&file(suffix), &text)?;
        }

        let log_path = file("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(&log_path).at("open", &log_path)?;
        let log2 = log.try_clone().at("open", &log_path)?;
        // flock hands its lock down to the builder; kill-child ends a build whose supervisor dies.
        let mut child = program("setsid")
            .args(["flock"])
            .arg(big.join("build/lock"))
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
            .arg(file("build.sh"))
            .env("BASE", &base.path)
            .env("DEBS", big.join("debs"))
            .env("SOURCES", file("sources.list"))
            .env("APTCONF", file("apt.conf"))
            .env("NEWER", file("newer.sh"))
            .env("FINISH", file("finish.sh"))
            .env("SUITE", &suite)
            .env("INCLUDE", include(flavour))
            .env("REPO", repository())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log2)
            .spawn()
            .at("start", "flock")?;
        let status = loop {
            match child.try_wait().at("wait for", "mmdebstrap")? {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(100)),
            }
            tick(started.elapsed());
        };
        if !status.success() || !base.is_built() {
            return Err(LabError::Base { tail: tail(&log_path, 12), log: log_path });
        }
        Ok(base)
    }
}

fn write_by_rename(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension(format!("new.{}", std::process::id()));
    fs::write(&new, text).at("write", &new)?;
    fs::rename(&new, path).at("write", path)
}

fn include(flavour: Flavour) -> String {
    let mut all = SYSTEM.to_vec();
    if flavour == Flavour::Full {
        all.extend(CLUSTER);
    }
    all.join(",")
}

/// The local repository of the image can install everything again, and the spare packages.
fn repository() -> String {
    [SYSTEM, CLUSTER, SPARE].concat().join(" ")
}

/// FNV-1a: stable across versions of the compiler, which the hasher of std does not promise.
fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|p| p.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The release this machine runs: the lab's hosts run the same, from the same mirror.
fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").at("read", "/etc/os-release")?;
    let value = text.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME="));
    let suite = value.map(|v| v.trim_matches('"').to_owned()).filter(|v| !v.is_empty());
    suite.ok_or_else(|| LabError::NoMirror { suite: "unknown".into() })
}

/// Proxy and certificate settings of this machine's apt, so that the build reaches the mirror as apt does.
fn apt_options() -> String {
    let dump = crate::command::run("apt-config", &["dump"]).unwrap_or_default();
    let wanted = |l: &&str| l.starts_with("Acquire::http") || l.starts_with("Acquire::Retries");
    dump.lines().filter(wanted).fold(String::new(), |text, line| text + line + "\n")
}

/// The texts of apt's source files, with whether each is in the deb822 form.
fn read_sources(apt: &Path) -> Vec<(String, bool)> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|e| e.path()));
    }
    files.sort();
    files
        .iter()
        .filter_map(|path| {
            let form = path.extension()?.to_str()?;
            let deb822 = match form {
                "sources" => true,
                "list" => false,
                _ => return None,
            };
            Some((fs::read_to_string(path).ok()?, deb822))
        })
        .collect()
}

/// The one-line sources of this suite (and its updates and security) in apt's configuration.
fn mirror_lines(files: &[(String, bool)], suite: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (text, deb822) in files {
        let entries = if *deb822 { deb822_entries(text) } else { one_line_entries(text) };
        for entry in entries {
            let ours = entry.suite == suite
                || ["-updates", "-security"].iter().any(|s| entry.suite == format!("{suite}{s}"));
            let line = entry.line();
            if ours && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// One binary source of apt.
struct Entry {
    options: Vec<String>,
    uri: String,
    suite: String,
    components: String,
}

impl Entry {
    fn line(&self) -> String {
        let options =
            if self.options.is_empty() { String::new() } else { format!("[{}] ", self.options.join(" ")) };
        format!("deb {options}{} {} {}", self.uri, self.suite, self.components)
    }
}

fn one_line_entries(text: &str) -> Vec<Entry> {
    let parse = |line: &str| {
        let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?.to_owned(), words.next()?.to_owned());
        let components = words.collect::<Vec<_>>().join(" ");
        Some(Entry {
            options: options.split_whitespace().map(str::to_owned).collect(),
            uri,
            suite,
            components,
        })
    };
    text.lines().filter_map(parse).collect()
}

fn deb822_entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let without_comments: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    for stanza in without_comments.split(|l| l.trim().is_empty()) {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let field = |key: &str| fields.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
        let binary = field("types").split_whitespace().any(|t| t == "deb");
        if !binary || field("enabled").eq_ignore_ascii_case("no") {
            continue;
        }
        // A key given inline has no file to name; apt's trusted keys then have to do.
        let signed_by = Some(field("signed-by")).filter(|v| v.starts_with('/') && !v.contains('\n'));
        for uri in field("uris").split_whitespace() {
            for suite in field("suites").split_whitespace() {
                entries.push(Entry {
                    options: signed_by.iter().map(|key| format!("signed-by={key}")).collect(),
                    uri: uri.to_owned(),
                    suite: suite.to_owned(),
                    components: field("components").split_whitespace().collect::<Vec<_>>().join(" "),
                });
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deb822_sources_become_one_line_sources_of_our_suite() {
        let text = "Types: deb deb-src\n# a comment inside\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main contrib\nSigned-By: /usr/share/keyrings/k.gpg\n\n\
                    Types: deb\nURIs: http://mirror/security\nSuites: bookworm-security\nComponents: main\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off/debian\nSuites: bookworm\nComponents: main\n\n\
                    Types: deb\nURIs: http://other/\nSuites: nodistro\nComponents: main\nSigned-By:\n -----BEGIN\n .\n";
        assert_eq!(
            mirror_lines(&[(text.to_owned(), true)], "bookworm"),
            [
                "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror/debian bookworm main contrib",
                "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror/debian bookworm-updates main contrib",
                "deb http://mirror/security bookworm-security main",
            ]
        );
    }

    #[test]
    fn one_line_sources_keep_their_options() {
        let text = "deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian bookworm main # why\n\
                    # deb http://off bookworm main\ndeb-src http://mirror/debian bookworm main\n\
                    deb http://cloud cloud-bookworm main\ndeb http://mirror/debian bookworm-backports main\n";
        assert_eq!(
            mirror_lines(&[(text.to_owned(), false)], "bookworm"),
            ["deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian bookworm main"]
        );
    }

    #[test]
    fn a_change_of_the_package_list_changes_the_image() {
        assert_ne!(include(Flavour::Full), include(Flavour::Bare));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab"]));
        assert_eq!(fingerprint(&[]), 0xcbf2_9ce4_8422_2325);
    }
}
