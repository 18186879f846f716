//! What `ssh_config(5)` says about a host, as far as it can be honoured without OpenSSH.
//!
//! In: the files that `ssh` would read, and its arguments. Out: a [`Way`], or nothing where only `ssh` itself knows.
//!
//! **Invariant:** a word that is not known here, and applies to the host, makes the answer "ask OpenSSH", never a guess.

use super::Target;
use quorate_agent::system::glob::fnmatch;
use std::path::{Path, PathBuf};

/// What is done with the key of a host that nobody has seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is noted (`accept-new`, `no`).
    Accept,
    /// It is refused (`yes`; `ask`, as nobody is there to answer).
    Refuse,
}

/// How to reach one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    /// Private keys, in the order in which they are tried.
    pub(super) identities: Vec<PathBuf>,
    /// Whether an agent's other keys are left alone.
    pub(super) identities_only: bool,
    /// Files of known keys; new ones go to the first.
    pub(super) known: Vec<PathBuf>,
    pub(super) unknown: Unknown,
    /// Whether names are hashed in what is written.
    pub(super) hash: bool,
}

/// A line of a file, in the order in which they count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// `Host` with its patterns: what follows is for these.
    Host(Vec<String>),
    Set(String, Vec<String>),
}

/// The files of a user and of the machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    lines: Vec<Line>,
    /// `Match` and what cannot be read: nothing can be said about any host.
    unclear: bool,
}

/// Directives that change nothing of what a run without a terminal does or sees.
const HARMLESS: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "checkhostip",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "hostbasedauthentication",
    "ignoreunknown",
    "ipqos",
    "kbdinteractiveauthentication",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "numberofpasswordprompts",
    "obscurekeystroketiming",
    "passwordauthentication",
    "rekeylimit",
    "requesttty",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "tcpkeepalive",
    "updatehostkeys",
    "usekeychain",
    "visualhostkey",
];

/// Directives that are harmless only where they say this.
const HARMLESS_IF: &[(&str, &str)] = &[
    ("addressfamily", "any"),
    ("canonicalizehostname", "no"),
    ("forwardagent", "no"),
    ("permitlocalcommand", "no"),
    ("proxycommand", "none"),
    ("proxyjump", "none"),
    ("pubkeyauthentication", "yes"),
    ("stdinnull", "no"),
    ("tunnel", "no"),
    ("verifyhostkeydns", "no"),
];

impl Files {
    /// Reads `~/.ssh/config` and `/etc/ssh/ssh_config`, with what they include.
    pub(super) fn of_this_machine() -> Self {
        let mut files = Files::default();
        let user = crate::home().join(".ssh");
        files.read(&user.join("config"), &user, 0);
        files.lines.push(Line::Host(vec!["*".into()]));
        let machine = Path::new("/etc/ssh");
        files.read(&machine.join("ssh_config"), machine, 0);
        files
    }

    fn read(&mut self, path: &Path, beside: &Path, depth: usize) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.parse(&text, beside, depth),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => self.unclear = true,
        }
    }

    fn parse(&mut self, text: &str, beside: &Path, depth: usize) {
        let mut block = vec!["*".to_owned()];
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((key, words)) = directive(line) else {
                self.unclear = true;
                continue;
            };
            match key.as_str() {
                "match" => self.unclear = true,
                // `[` means itself in a pattern of ssh's
                "host" if words.iter().any(|word| word.contains('[')) => self.unclear = true,
                "host" => {
                    block.clone_from(&words);
                    self.lines.push(Line::Host(words));
                }
                // what is included within a block is for the hosts of both
                "include" if depth < 16 && block == ["*"] => {
                    for pattern in words {
                        let pattern = home_of(&pattern);
                        let mut found =
                            quorate_agent::system::glob::glob(&pattern, Some(&beside.to_string_lossy()));
                        found.sort();
                        for path in found {
                            let path = if path.is_absolute() { path } else { beside.join(path) };
                            // its last block ends with it
                            self.read(&path, beside, depth + 1);
                            self.lines.push(Line::Host(block.clone()));
                        }
                    }
                }
                "include" => self.unclear = true,
                _ => self.lines.push(Line::Set(key, words)),
            }
        }
    }

    /// The way to a target; nothing where only OpenSSH can tell.
    pub(super) fn way(&self, target: &Target) -> Option<Way> {
        // a password is asked for by methods that lock accounts when they are tried twice
        if self.unclear || target.password.is_some() || target.ssh_executable.is_some() {
            return None;
        }
        let mut said = arguments(&target.ssh_args)?;
        match target.host_key_checking {
            Some(false) => said.push(("stricthostkeychecking".into(), vec!["no".into()])),
            None => said.push(("stricthostkeychecking".into(), vec!["accept-new".into()])),
            Some(true) => {}
        }
        let own = [
            ("port", target.port.map(|port| port.to_string())),
            ("user", target.user.clone()),
            ("identityfile", target.private_key.as_ref().map(|key| key.display().to_string())),
        ];
        said.extend(own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), vec![value?]))));
        let mut applies = true;
        for line in &self.lines {
            match line {
                Line::Host(patterns) => applies = host_matches(patterns, &target.address),
                Line::Set(key, words) if applies => said.push((key.clone(), words.clone())),
                Line::Set(..) => {}
            }
        }
        settle(&said, &target.address)
    }
}

/// Reads what was said, of which the first word counts, into a way.
fn settle(said: &[(String, Vec<String>)], name: &str) -> Option<Way> {
    let mut way = Way {
        address: name.to_owned(),
        port: 22,
        user: None,
        identities: Vec::new(),
        identities_only: false,
        known: Vec::new(),
        unknown: Unknown::Refuse,
        hash: false,
    };
    let (mut users_files, mut global_files) = (None, None);
    let mut seen: Vec<&str> = Vec::new();
    for (key, words) in said {
        let first = words.first()?.as_str();
        // tokens such as %h are for OpenSSH to fill in
        let plain = || words.iter().all(|word| !word.contains('%') && !word.contains("${"));
        if key == "identityfile" {
            if first.eq_ignore_ascii_case("none") {
                return None;
            }
            way.identities.push(PathBuf::from(home_of(plain().then_some(first)?)));
            continue;
        }
        if seen.contains(&key.as_str()) {
            continue;
        }
        seen.push(key);
        match key.as_str() {
            "hostname" => plain().then_some(first)?.clone_into(&mut way.address),
            "port" => way.port = first.parse().ok()?,
            "user" => way.user = Some(plain().then_some(first)?.to_owned()),
            "identitiesonly" => way.identities_only = yes(first)?,
            "userknownhostsfile" => users_files = Some(files(words, plain())?),
            "globalknownhostsfile" => global_files = Some(files(words, plain())?),
            "hashknownhosts" => way.hash = yes(first)?,
            "stricthostkeychecking" => {
                way.unknown = match first.to_ascii_lowercase().as_str() {
                    "no" | "off" | "accept-new" => Unknown::Accept,
                    "yes" | "ask" => Unknown::Refuse,
                    _ => return None,
                }
            }
            key if HARMLESS.contains(&key) => {}
            key if HARMLESS_IF.iter().any(|(k, v)| *k == key && first.eq_ignore_ascii_case(v)) => {}
            _ => return None,
        }
    }
    let beside = |dir: &Path, names: [&str; 2]| names.map(|name| dir.join(name)).to_vec();
    let home = crate::home().join(".ssh");
    way.known = users_files.unwrap_or_else(|| beside(&home, ["known_hosts", "known_hosts2"]));
    way.known.extend(
        global_files
            .unwrap_or_else(|| beside(Path::new("/etc/ssh"), ["ssh_known_hosts", "ssh_known_hosts2"])),
    );
    if way.identities.is_empty() {
        way.identities = ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| home.join(name)).to_vec();
    }
    // a certificate beside a key is offered before it
    let certified = |key: &PathBuf| {
        let mut name = key.clone().into_os_string();
        name.push("-cert.pub");
        Path::new(&name).exists()
    };
    (!way.identities.iter().any(certified) && !way.known.is_empty()).then_some(way)
}

fn files(words: &[String], plain: bool) -> Option<Vec<PathBuf>> {
    let named = plain && !words.iter().any(|word| word.eq_ignore_ascii_case("none"));
    named.then(|| words.iter().map(|word| PathBuf::from(home_of(word))).collect())
}

fn yes(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

fn home_of(path: &str) -> String {
    path.strip_prefix("~/")
        .map_or_else(|| path.to_owned(), |rest| format!("{}/{rest}", crate::home().display()))
}

/// `Key value`, `Key=value`, with quoted words.
fn directive(line: &str) -> Option<(String, Vec<String>)> {
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start().strip_prefix('=').unwrap_or(rest).trim();
    let words = quorate_agent::system::shlex::split(rest).ok()?;
    let words: Vec<String> = words.into_iter().take_while(|word| !word.starts_with('#')).collect();
    (!words.is_empty()).then(|| (key.to_ascii_lowercase(), words))
}

/// The arguments of `ssh`, as directives; nothing where one of them has no other form here.
fn arguments(words: &[String]) -> Option<Vec<(String, Vec<String>)>> {
    let mut said = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (letter, joined) = (word.get(..2)?, &word[2..]);
        let mut value = || if joined.is_empty() { words.next().cloned() } else { Some(joined.to_owned()) };
        match letter {
            "-C" | "-q" | "-x" | "-a" | "-T" if joined.is_empty() => {}
            "-o" => said.push(directive(value()?.trim())?),
            "-i" => said.push(("identityfile".into(), vec![value()?])),
            "-p" => said.push(("port".into(), vec![value()?])),
            "-l" => said.push(("user".into(), vec![value()?])),
            _ => return None,
        }
    }
    Some(said)
}

/// Whether a `Host` line is about this name: one pattern fits, and none that is negated.
fn host_matches(patterns: &[String], name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let fits = |pattern: &str| fnmatch(&name, &pattern.to_ascii_lowercase());
    let denied = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(fits);
    !denied && patterns.iter().filter(|pattern| !pattern.starts_with('!')).any(|pattern| fits(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Kind;
    use std::time::Duration;

    fn target(args: &str) -> Target {
        Target {
            host: "a".into(),
            kind: Kind::Ssh,
            address: "db1.example.org".into(),
            port: None,
            user: None,
            private_key: None,
            password: None,
            ssh_args: args.split_whitespace().map(str::to_owned).collect(),
            ssh_executable: None,
            host_key_checking: None,
            timeout: Duration::from_secs(10),
            retries: 0,
        }
    }

    fn way(text: &str, args: &str) -> Option<Way> {
        let mut files = Files::default();
        files.parse(text, Path::new("/nonexistent"), 0);
        files.way(&target(args))
    }

    #[test]
    fn the_first_word_counts_and_blocks_are_for_their_hosts() {
        let text = "User root\nHost db*.example.org !db2.example.org\n  Port 2222\n  IdentityFile /keys/db\n  User late\n\
                    Host db2.example.org\n  ProxyJump gate\nHost *\n  HashKnownHosts yes\n  IdentityFile=\"/keys/all\"\n  \
                    UserKnownHostsFile /a /b\n";
        let way = way(text, "-C -o ServerAliveInterval=5 -l admin").unwrap();
        assert_eq!((way.user.as_deref(), way.port, way.hash), (Some("admin"), 2222, true));
        assert_eq!(way.identities, [Path::new("/keys/db"), Path::new("/keys/all")]);
        assert_eq!(way.known[..2], [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(way.unknown, Unknown::Accept);
    }

    #[test]
    fn what_is_not_known_here_is_left_to_openssh() {
        for text in [
            "ProxyJump gate",
            "ProxyCommand nc %h %p",
            "Match all\n User x",
            "HostKeyAlias other",
            "Ciphers aes128-ctr",
            "IdentityAgent none",
            "Hostname %h.example.org",
            "IdentityFile ~/.ssh/%r",
            "ForwardAgent yes",
            "PreferredAuthentications password",
            "StrictHostKeyChecking",
            "Port many",
        ] {
            assert_eq!(way(text, ""), None, "{text}");
        }
        for args in ["-J gate", "-F other", "-4", "-v", "-o ProxyCommand=x", "-o", "-W a:1"] {
            assert_eq!(way("", args), None, "{args}");
        }
        assert!(way("Host other\n ProxyJump gate\n", "").is_some());
        assert!(way("ProxyJump none\nForwardAgent no\n# nothing\nSendEnv LANG LC_*\n", "").is_some());
    }

    #[test]
    fn keys_are_checked_as_ansible_cfg_says() {
        let mut files = Files::default();
        files.parse("StrictHostKeyChecking no", Path::new("/"), 0);
        let unknown = |checking, args: &str| {
            files.way(&Target { host_key_checking: checking, ..target(args) }).map(|way| way.unknown)
        };
        assert_eq!(unknown(None, ""), Some(Unknown::Accept));
        assert_eq!(unknown(None, "-o StrictHostKeyChecking=yes"), Some(Unknown::Refuse));
        assert_eq!(unknown(Some(true), ""), Some(Unknown::Accept));
        assert_eq!(way("", "").map(|way| way.unknown), Some(Unknown::Accept));
        let asked = Files::default().way(&Target { host_key_checking: Some(true), ..target("") });
        assert_eq!(asked.map(|way| way.unknown), Some(Unknown::Refuse));
        let password = Target { password: Some("x".into()), ..target("") };
        assert_eq!(files.way(&password), None);
    }
}
