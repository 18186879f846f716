//! Commands as people write them: which of them start, stop or restart a service, or take the whole host away.
//!
//! In: shell text, or words. Out: what each simple command does, in order.
//!
//! **Invariant:** reads, never runs. Where it cannot tell (a variable instead of a unit, a file it does not see) it
//! leans towards "this stops etcd" only if the text speaks of etcd at all.
//!
//! Not here: whether the unit is a member of a cluster ([`recognise`](super::recognise)).

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It comes up.
    Start,
    /// It goes down and comes up.
    Restart,
    /// Its process is killed; whether it comes back is the service manager's choice.
    Kill,
    /// It goes down and stays there.
    Stop,
}

/// What it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A unit (or service), as written.
    Unit(String),
    /// The host.
    Host,
    /// A container, as written.
    Container(String),
    /// A path that goes away with everything below it.
    Path(String),
    /// Pods, wherever the command is run.
    Pods(Pods),
}

/// Pods of a Kubernetes, as a command names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pods {
    /// Which.
    pub(crate) which: Which,
    /// Where, if it is said.
    pub(crate) namespace: Option<String>,
}

/// Which pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// This one.
    Named(String),
    /// Those of a StatefulSet from this number on.
    Set(String, u64),
    /// Those of a namespace.
    All,
    /// Some, and Kubernetes alone knows which: those on a node, those that a variable names.
    Some(String),
}

impl Pods {
    /// Whether it may be this one.
    pub(crate) fn include(&self, pod: &str, namespace: Option<&str>) -> bool {
        if let (Some(ours), Some(theirs)) = (self.namespace.as_deref(), namespace)
            && ours != theirs
        {
            return false;
        }
        match &self.which {
            Which::Named(name) => name == pod,
            Which::Set(name, from) => pod
                .strip_prefix(name.as_str())
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|number| number.parse::<u64>().ok())
                .is_some_and(|number| number >= *from),
            Which::All | Which::Some(_) => true,
        }
    }
}

/// One command that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    /// What becomes of it.
    pub(crate) kind: Kind,
    /// What it is about.
    pub(crate) subject: Subject,
    /// It returns before it is done.
    pub(crate) loose: bool,
    /// It happens at a later time that nobody waits for.
    pub(crate) later: bool,
}

impl Deed {
    pub(crate) fn unit(kind: Kind, unit: &str) -> Self {
        Deed { kind, subject: Subject::Unit(unit.to_owned()), loose: false, later: false }
    }

    pub(crate) fn host(kind: Kind) -> Self {
        Deed { kind, subject: Subject::Host, loose: true, later: false }
    }
}

impl Deed {
    /// Everything below a path is lost, a member that runs on it included.
    pub(crate) fn path(path: &str) -> Self {
        Deed { kind: Kind::Stop, subject: Subject::Path(path.to_owned()), loose: false, later: false }
    }
}

/// Packages whose removal stops the service.
pub(crate) fn is_server_package(name: &str) -> bool {
    // `etcd=3.5`, `etcd:amd64`, `etcd-3.5.1-1.x86_64`, `etcd*`
    let stem = name.split(['=', ':', '*', '?']).next().unwrap_or(name);
    matches!(stem, "etcd" | "etcd-server")
        || stem.strip_prefix("etcd-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// How deep quotes in quotes are followed.
const DEPTH: usize = 5;

/// Everything that text does.
pub(crate) fn scan(text: &str) -> Vec<Deed> {
    let mut deeds = Vec::new();
    if may_matter(text) {
        scan_into(text, speaks_of_etcd(text), DEPTH, &mut deeds);
    }
    deeds
}

/// The same for a command that no shell splits.
pub(crate) fn scan_words(words: &[String]) -> Vec<Deed> {
    let mut deeds = Vec::new();
    if words.iter().any(|word| may_matter(word) || word == "oc") {
        let mentions = words.iter().any(|word| speaks_of_etcd(word));
        command(words, mentions, DEPTH, &mut deeds);
    }
    deeds
}

/// Most commands are none of ours: a look for substrings settles it.
fn may_matter(text: &str) -> bool {
    const SIGNS: [&str; 16] = [
        "etcd",
        "systemctl",
        "reboot",
        "shutdown",
        "poweroff",
        "halt",
        "init",
        "kexec",
        "rm",
        "mv",
        "docker",
        "podman",
        "nerdctl",
        "crictl",
        "kubectl",
        "oc ",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// Whether `etcd` stands there as a word: not `etcdctl`, not `/var/lib/etcd/…`.
fn speaks_of_etcd(text: &str) -> bool {
    text.match_indices("etcd").any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + 4..].chars().next();
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '/' | '-'));
        !word(before) && !word(after)
    })
}

fn scan_into(text: &str, mentions: bool, depth: usize, deeds: &mut Vec<Deed>) {
    let mut nested = Vec::new();
    for words in split(text, &mut nested) {
        command(&words, mentions, depth, deeds);
    }
    if depth > 0 {
        for inner in nested {
            scan_into(&inner, mentions, depth - 1, deeds);
        }
    }
}

/// Simple commands of shell text, quotes removed. What `$(…)` and backticks hold goes to `nested`.
fn split(text: &str, nested: &mut Vec<String>) -> Vec<Vec<String>> {
    let mut out = Splitter::default();
    let mut chars = text.chars().peekable();
    let mut held = |inner: String| {
        let shown = format!("$({inner})");
        nested.push(inner);
        shown
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(other) => out.word().push(other),
            },
            '\'' => out.word().extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                out.word();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => out.word().extend(chars.next()),
                        '$' if chars.next_if_eq(&'(').is_some() => {
                            out.word().push_str(&held(parenthesised(&mut chars)))
                        }
                        '`' => out.word().push_str(&held(chars.by_ref().take_while(|c| *c != '`').collect())),
                        other => out.word().push(other),
                    }
                }
            }
            '$' if chars.next_if_eq(&'(').is_some() => out.word().push_str(&held(parenthesised(&mut chars))),
            '`' => out.word().push_str(&held(chars.by_ref().take_while(|c| *c != '`').collect())),
            '#' if out.word.is_none() => {
                chars.by_ref().take_while(|c| *c != '\n').for_each(drop);
                out.end_command();
            }
            '>' | '<' => {
                out.redirection();
                while chars.next_if(|c| matches!(c, '>' | '<' | '&' | '|')).is_some() {}
            }
            ';' | '&' | '|' | '\n' | '(' | ')' => out.end_command(),
            c if c.is_whitespace() => out.end_word(),
            c => out.word().push(c),
        }
    }
    out.end_command();
    out.commands
}

#[derive(Default)]
struct Splitter {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
    /// The next word is where output goes.
    into_file: bool,
}

impl Splitter {
    fn word(&mut self) -> &mut String {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        if let Some(done) = self.word.take()
            && !std::mem::take(&mut self.into_file)
        {
            self.words.push(done);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.into_file = false;
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }

    fn redirection(&mut self) {
        // the 2 of `2>` is no word
        if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.into_file = true;
    }
}

fn parenthesised(chars: &mut impl Iterator<Item = char>) -> String {
    let mut open = 1;
    chars
        .take_while(|c| {
            match c {
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            open > 0
        })
        .collect()
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// One simple command; wrappers such as `sudo` are taken off first.
fn command(words: &[String], mentions: bool, depth: usize, deeds: &mut Vec<Deed>) {
    let keyword = |word: &str| {
        matches!(word, "if" | "then" | "else" | "elif" | "do" | "while" | "until" | "!" | "{" | "time")
    };
    let assigns = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let skipped = words.iter().take_while(|word| keyword(word) || assigns(word)).count();
    let words = &words[skipped..];
    let Some((first, rest)) = words.split_first() else { return };
    let go_on = |rest: &[String], deeds: &mut Vec<Deed>| {
        if depth > 0 {
            command(rest, mentions, depth - 1, deeds);
        }
    };
    match base(first) {
        "sudo" | "doas" => go_on(
            after_options(rest, &["-u", "-g", "-U", "-C", "-h", "-p", "-r", "-t", "-T", "-D", "-R"]),
            deeds,
        ),
        "env" => go_on(after_options(rest, &["-u", "-C"]), deeds),
        "nohup" | "setsid" | "exec" | "command" | "builtin" | "busybox" | "systemd-inhibit" | "unshare" => {
            go_on(after_options(rest, &[]), deeds);
        }
        "nice" | "ionice" | "watch" => go_on(after_options(rest, &["-n", "-c", "-p", "--interval"]), deeds),
        "stdbuf" => go_on(after_options(rest, &["-i", "-o", "-e"]), deeds),
        "timeout" => go_on(after_options(rest, &["-k", "-s"]).get(1..).unwrap_or_default(), deeds),
        "flock" => go_on(after_options(rest, &["-w", "-E"]).get(1..).unwrap_or_default(), deeds),
        "xargs" => go_on(after_options(rest, &["-n", "-P", "-I", "-a", "-L", "-d"]), deeds),
        "strace" => go_on(after_options(rest, &["-o", "-e", "-s"]), deeds),
        "nsenter" => go_on(after_options(rest, &["-t", "-S", "-G"]), deeds),
        "systemd-run" => go_on(after_options(rest, &["-p", "-u", "-E", "--unit", "--property"]), deeds),
        "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" | "su" | "runuser" | "script" => {
            let at = rest
                .iter()
                .position(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'));
            if let Some(text) = at.and_then(|at| rest[at + 1..].iter().find(|word| !word.starts_with('-')))
                && depth > 0
            {
                scan_into(text, mentions, depth - 1, deeds);
            }
        }
        "eval" if depth > 0 => scan_into(&rest.join(" "), mentions, depth - 1, deeds),
        "systemctl" => systemctl(rest, mentions, deeds),
        "service" | "rc-service" | "invoke-rc.d" => {
            let rest = after_options(rest, &[]);
            if let [unit, verb, ..] = rest {
                service(unit, verb, mentions, deeds);
            }
        }
        unit if first.contains("/init.d/") => {
            if let Some(verb) = rest.first() {
                service(unit, verb, mentions, deeds);
            }
        }
        "pkill" | "killall" | "skill" => {
            let harmless = rest.iter().any(|word| matches!(word.as_str(), "-0" | "-l" | "--list" | "--help"));
            let names = rest.iter().filter(|word| !word.starts_with('-'));
            let hit = names.filter(|word| word.contains("etcd") && !word.contains("etcdctl")).count() > 0;
            if hit && !harmless {
                deeds.push(Deed::unit(Kind::Kill, "etcd"));
            }
        }
        "kill" => {
            let harmless = rest.iter().any(|word| matches!(word.as_str(), "-0" | "-l" | "-L"));
            if !harmless && rest.iter().any(|word| word.starts_with("$(") && speaks_of_etcd(word)) {
                deeds.push(Deed::unit(Kind::Kill, "etcd"));
            }
        }
        name @ ("reboot" | "poweroff" | "halt") => {
            if !rest.iter().any(|word| matches!(word.as_str(), "-w" | "--wtmp-only" | "--help")) {
                let restarts = name == "reboot"
                    && !rest.iter().any(|word| matches!(word.as_str(), "-p" | "--poweroff" | "--halt"));
                deeds.push(Deed::host(if restarts { Kind::Restart } else { Kind::Stop }));
            }
        }
        "rm" => remove(rest, deeds),
        "mv" => moved(rest, deeds),
        "apt" | "apt-get" | "aptitude" | "dpkg" | "yum" | "dnf" | "dnf5" | "microdnf" | "rpm" | "apk"
        | "zypper" => {
            packages(base(first), rest, deeds);
        }
        "podman" | "docker" | "nerdctl" | "crictl" => container(rest, mentions, deeds),
        "kubectl" | "oc" => kubernetes(rest, deeds),
        // they carry a kubectl of their own
        "k3s" | "microk8s" | "k0s" if rest.first().is_some_and(|word| word == "kubectl") => {
            kubernetes(&rest[1..], deeds);
        }
        "minikube" if rest.first().is_some_and(|word| word == "kubectl") => {
            kubernetes(after_options(&rest[1..], &[]), deeds);
        }
        "shutdown" => shutdown(rest, deeds),
        "init" | "telinit" => match rest.first().map(String::as_str) {
            Some("0" | "1") => deeds.push(Deed::host(Kind::Stop)),
            Some("6") => deeds.push(Deed::host(Kind::Restart)),
            _ => {}
        },
        _ => {}
    }
}

/// What follows the options of a wrapper. `with_value` name options whose value is the next word.
fn after_options<'a>(words: &'a [String], with_value: &[&str]) -> &'a [String] {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            return &words[at + 1..];
        }
        if !word.starts_with('-') {
            break;
        }
        at += if with_value.contains(&word.as_str()) { 2 } else { 1 };
    }
    words.get(at..).unwrap_or_default()
}

fn systemctl(words: &[String], mentions: bool, deeds: &mut Vec<Deed>) {
    const WITH_VALUE: [&str; 15] = [
        "-t",
        "--type",
        "-p",
        "--property",
        "-P",
        "-s",
        "--signal",
        "-n",
        "--lines",
        "-o",
        "--output",
        "--job-mode",
        "--kill-whom",
        "--kill-who",
        "--state",
    ];
    let mut names: Vec<&str> = Vec::new();
    let (mut now, mut loose, mut later) = (false, false, false);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--now" => now = true,
            "--no-block" => loose = true,
            // another manager, another machine, or a mere file tree
            "--user" | "--global" | "-H" | "-M" => return,
            _ if ["--host", "--machine", "--root", "--image"]
                .iter()
                .any(|option| word.starts_with(option)) =>
            {
                return;
            }
            _ if word.starts_with("--when") => later = true,
            _ if WITH_VALUE.contains(&word) => {
                words.next();
            }
            _ if word.starts_with('-') => {}
            _ => names.push(word),
        }
    }
    let Some((verb, units)) = names.split_first() else { return };
    let kind = match *verb {
        "start" => Kind::Start,
        "enable" | "reenable" if now => Kind::Start,
        "stop" => Kind::Stop,
        "disable" | "mask" if now => Kind::Stop,
        // etcd's units know no reload, so these restart it
        "restart"
        | "try-restart"
        | "condrestart"
        | "force-reload"
        | "reload-or-restart"
        | "try-reload-or-restart" => Kind::Restart,
        "kill" => Kind::Kill,
        "reboot" | "kexec" | "soft-reboot" => {
            deeds.push(Deed { later, ..Deed::host(Kind::Restart) });
            return;
        }
        "poweroff"
        | "halt"
        | "suspend"
        | "hibernate"
        | "hybrid-sleep"
        | "suspend-then-hibernate"
        | "rescue"
        | "emergency"
        | "isolate" => {
            deeds.push(Deed { later, ..Deed::host(Kind::Stop) });
            return;
        }
        verb if verb.contains('$') && mentions => Kind::Stop,
        _ => return,
    };
    for unit in units {
        // a variable: in a text that speaks of etcd it may be etcd
        let unit = if unit.contains('$') && mentions { "etcd" } else { unit };
        deeds.push(Deed { loose, ..Deed::unit(kind, unit) });
    }
}

/// `rm -r PATH…`: what is deleted with everything below it.
fn remove(words: &[String], deeds: &mut Vec<Deed>) {
    let recursive = words.iter().any(|word| {
        word == "--recursive"
            || (word.starts_with('-') && !word.starts_with("--") && word.contains(['r', 'R']))
    });
    // a single file that matters is the manifest of a static pod
    let matters = |path: &&String| {
        path.starts_with('/') && (recursive || path.ends_with(".yaml") || path.ends_with(".yml"))
    };
    deeds.extend(words.iter().filter(matters).map(|path| Deed::path(path)));
}

/// `mv PATH… TO`: whoever used it by its path has it no longer.
fn moved(words: &[String], deeds: &mut Vec<Deed>) {
    let mut paths: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    if !words.iter().any(|word| word == "-t" || word.starts_with("--target-directory")) {
        paths.pop();
    }
    deeds.extend(paths.into_iter().filter(|path| path.starts_with('/')).map(|path| Deed::path(path)));
}

fn packages(tool: &str, words: &[String], deeds: &mut Vec<Deed>) {
    let removes = match tool {
        "dpkg" => words.iter().any(|word| matches!(word.as_str(), "-r" | "-P" | "--remove" | "--purge")),
        "rpm" => words.iter().any(|word| matches!(word.as_str(), "-e" | "--erase")),
        _ => words.iter().find(|word| !word.starts_with('-')).is_some_and(|verb| {
            matches!(verb.as_str(), "remove" | "purge" | "autoremove" | "autopurge" | "erase" | "del" | "rm")
        }),
    };
    let pretends = words
        .iter()
        .any(|word| matches!(word.as_str(), "-s" | "--simulate" | "--dry-run" | "--assumeno" | "--test"));
    if removes && !pretends && words.iter().any(|word| is_server_package(word)) {
        deeds.push(Deed::unit(Kind::Stop, "etcd"));
    }
}

/// `podman stop etcd` and the like.
fn container(words: &[String], mentions: bool, deeds: &mut Vec<Deed>) {
    const VERBS: [&str; 10] =
        ["run", "stop", "stopp", "rm", "rmp", "pause", "kill", "restart", "start", "exec"];
    let mut names = words.iter().filter(|word| !word.starts_with('-')).map(String::as_str);
    // values of options may stand before it (`-r unix:///run/containerd.sock stop`)
    let verb = names.find(|word| VERBS.contains(word));
    let kind = match verb {
        Some("stop" | "stopp" | "rm" | "rmp" | "pause") => Kind::Stop,
        Some("kill") => Kind::Kill,
        Some("restart") => Kind::Restart,
        Some("start") => Kind::Start,
        _ => return,
    };
    for name in names {
        // a variable: in a text that speaks of etcd it may be etcd
        let name = if name.contains('$') && mentions { "etcd" } else { name };
        let subject = Subject::Container(name.to_owned());
        deeds.push(Deed { subject, ..Deed::unit(kind, name) });
    }
}

/// `kubectl delete pod etcd-0` and the like. A pod that is deleted is made anew by whoever owns it.
fn kubernetes(words: &[String], deeds: &mut Vec<Deed>) {
    // options whose value is the next word, and that matter to nobody here
    const WITH_VALUE: [&str; 17] = [
        "-f",
        "-o",
        "-c",
        "-s",
        "--context",
        "--cluster",
        "--user",
        "--kubeconfig",
        "--server",
        "--token",
        "--as",
        "--grace-period",
        "--timeout",
        "--container",
        "--output",
        "--cascade",
        "--field-manager",
    ];
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let inside = words.get(end + 1..).unwrap_or_default();
    let (mut namespace, mut selector, mut replicas) = (None, None, None);
    let (mut all, mut loose) = (false, false);
    let mut names: Vec<&str> = Vec::new();
    let mut words = words[..end].iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (option, value) =
            word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        let mut value = || value.map(str::to_owned).or_else(|| words.next().map(str::to_owned));
        match option {
            "-n" | "--namespace" => namespace = value(),
            "-l" | "--selector" => selector = value(),
            "--replicas" => replicas = value(),
            "--dry-run" if !word.ends_with("=none") => return,
            "--help" | "-h" => return,
            "--wait" => loose = word.ends_with("=false"),
            "--now" | "--force" => {}
            "--all" => all = !word.ends_with("=false"),
            _ if option.starts_with('-') => {
                if WITH_VALUE.contains(&word) {
                    words.next();
                }
            }
            _ => names.push(word),
        }
    }
    let which = |name: &str| {
        let name = name.to_owned();
        if name.contains('$') { Which::Some(name) } else { Which::Named(name) }
    };
    let mut told = |kind: Kind, which: Which| {
        let subject = Subject::Pods(Pods { which, namespace: namespace.clone() });
        deeds.push(Deed { kind, subject, loose, later: false });
    };
    // `TYPE/NAME…`, or `TYPE NAME…`; several types stand with commas between them
    let things = |names: &[&str]| -> Vec<(String, Option<String>)> {
        let Some(first) = names.first() else { return Vec::new() };
        if names.iter().any(|name| name.contains('/')) {
            let pair = |name: &&str| {
                name.split_once('/').map(|(kind, name)| (kind.to_owned(), Some(name.to_owned())))
            };
            return names.iter().filter_map(pair).collect();
        }
        let kinds = first.split(',').map(str::to_owned);
        kinds
            .flat_map(|kind| {
                let none = (names.len() == 1).then(|| (kind.clone(), None));
                let named = names[1..]
                    .iter()
                    .map(|name| (kind.clone(), Some((*name).to_owned())))
                    .collect::<Vec<_>>();
                named.into_iter().chain(none)
            })
            .collect()
    };
    let (pod, set) = (
        |kind: &str| matches!(kind, "pod" | "pods" | "po"),
        |kind: &str| matches!(kind.split('.').next(), Some("statefulset" | "statefulsets" | "sts")),
    );
    match names.as_slice() {
        ["delete", rest @ ..] => {
            // what a selector chooses only Kubernetes knows; if it speaks of etcd, it is taken for etcd
            let unclear = selector.as_ref().filter(|text| text.contains('$'));
            let chosen =
                all || unclear.is_some() || selector.as_ref().is_some_and(|text| text.contains("etcd"));
            let chosen_ones = unclear.map_or(Which::All, |text| Which::Some(format!("-l {text}")));
            for (kind, name) in things(rest) {
                match name {
                    Some(name) if pod(&kind) => told(Kind::Restart, which(&name)),
                    Some(name) if set(&kind) => told(Kind::Stop, Which::Set(name, 0)),
                    Some(name) if matches!(kind.as_str(), "namespace" | "namespaces" | "ns") => {
                        let pods = Pods { which: Which::All, namespace: Some(name) };
                        deeds.push(Deed {
                            kind: Kind::Stop,
                            subject: Subject::Pods(pods),
                            loose,
                            later: false,
                        });
                        return;
                    }
                    None if chosen && pod(&kind) => told(Kind::Restart, chosen_ones.clone()),
                    None if chosen && (set(&kind) || kind == "all") => told(Kind::Stop, chosen_ones.clone()),
                    _ => {}
                }
            }
        }
        ["scale", rest @ ..] => {
            let left = replicas.and_then(|number| number.parse().ok()).unwrap_or(0);
            for (kind, name) in things(rest) {
                if let Some(name) = name.filter(|_| set(&kind)) {
                    told(Kind::Stop, Which::Set(name, left));
                }
            }
        }
        // one after the other, but nobody asks etcd in between
        ["rollout", "restart", rest @ ..] => {
            for (kind, name) in things(rest) {
                if let Some(name) = name.filter(|_| set(&kind)) {
                    told(Kind::Restart, Which::Set(name, 0));
                }
            }
        }
        ["drain", nodes @ ..] => {
            for node in nodes {
                let which = Which::Some(format!("those on {node}"));
                // whichever namespaces they are in
                let subject = Subject::Pods(Pods { which, namespace: None });
                deeds.push(Deed { kind: Kind::Restart, subject, loose: false, later: false });
            }
        }
        ["exec", name, ..] => {
            let name = name.rsplit('/').next().unwrap_or(name);
            let ends = |c: char| c.is_whitespace() || ";&|()".contains(c);
            let inner: Vec<&str> = inside.iter().flat_map(|word| word.split(ends)).collect();
            let kills = inner.iter().any(|word| matches!(base(word), "kill" | "pkill" | "killall"));
            // etcd is what the first process of its pod is
            if kills && !inner.iter().any(|word| matches!(*word, "-0" | "-l" | "-L")) {
                told(Kind::Kill, which(name));
            }
        }
        _ => {}
    }
}

fn service(unit: &str, verb: &str, mentions: bool, deeds: &mut Vec<Deed>) {
    let kind = match verb {
        "start" => Kind::Start,
        "stop" => Kind::Stop,
        "restart" | "force-reload" | "condrestart" | "try-restart" | "--full-restart" => Kind::Restart,
        _ => return,
    };
    let unit = if unit.contains('$') && mentions { "etcd" } else { unit };
    deeds.push(Deed::unit(kind, unit));
}

fn shutdown(words: &[String], deeds: &mut Vec<Deed>) {
    let has = |letter: char| {
        words.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    let long = |name: &str| words.iter().any(|word| word == name);
    if has('c') || has('k') || long("--help") || long("--show") {
        return;
    }
    let kind = if has('r') || long("--reboot") { Kind::Restart } else { Kind::Stop };
    let when = words.iter().find(|word| !word.starts_with('-')).map(String::as_str);
    let later = !matches!(when, Some("now" | "+0"));
    deeds.push(Deed { later, ..Deed::host(kind) });
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
