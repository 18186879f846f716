//! What was found on hosts, as an inventory says it.
//!
//! In: lines of the script that looks. Out: settings of each member, and the text of an inventory.

use quorate_value::{Value, str_of};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use zeroize::Zeroizing;

/// A CA and a client's pair.
pub(super) struct Keys {
    pub(super) ca: Vec<u8>,
    pub(super) cert: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
}

/// An etcd on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pid: u32,
    /// Settings by the names of flags, wherever they were given.
    settings: BTreeMap<String, String>,
    /// What `etcdctl` is told on that host.
    ctl: BTreeMap<String, String>,
    /// Its unit, without `.service`; nothing in a container.
    unit: Option<String>,
    /// What runs its container, where that could be told.
    container: Option<Container>,
    /// Whether these roles made it.
    ours: bool,
}

/// A container, or the pod of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Container {
    /// `podman`, `docker`, `staticpod`.
    runtime: String,
    name: String,
    image: String,
    /// Directories of the host, and where they are in it.
    mounts: Vec<(String, String)>,
}

impl Container {
    /// `RUNTIME NAME [IMAGE [SOURCE:DESTINATION…]]`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(Container {
            runtime: words.next()?,
            name: words.next()?,
            image: words.next().unwrap_or_default(),
            mounts: words
                .filter_map(|pair| {
                    let (source, at) = pair.split_once(':')?;
                    Some((source.to_owned(), at.trim_end_matches('/').to_owned()))
                })
                .collect(),
        })
    }

    /// A path in it, as the host has it.
    fn on_host(&self, path: &str) -> String {
        let path = path.trim_end_matches('/');
        let inside = |at: &str| path.strip_prefix(at).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let mounts = self.mounts.iter().filter_map(|(source, at)| Some((at.len(), source, inside(at)?)));
        mounts
            .max_by_key(|(length, ..)| *length)
            .map_or_else(|| path.to_owned(), |(_, source, rest)| format!("{source}{rest}"))
    }
}

impl Found {
    /// Reads what the script said.
    pub(super) fn read(text: &str) -> Result<Found, String> {
        let mut found = Found::default();
        let (mut flags, mut env, mut conf) = (Vec::new(), BTreeMap::new(), String::new());
        let (mut processes, mut configured) = (0, false);
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "process" => {
                    processes += 1;
                    found.pid = rest.parse().unwrap_or_default();
                }
                "arg" => flags.push(rest.to_owned()),
                "env" => {
                    if let Some((name, value)) = rest.split_once('=') {
                        env.insert(name.to_owned(), value.to_owned());
                    }
                }
                "conf" => {
                    conf.push_str(rest);
                    conf.push('\n');
                }
                "cgroup" => {
                    let unit = rest.rsplit('/').next().and_then(|last| last.strip_suffix(".service"));
                    if let Some(unit) = unit.filter(|_| !rest.contains("kubepods")) {
                        found.unit = Some(unit.to_owned());
                    }
                }
                "ctl" => {
                    if let Some((name, value)) = rest.split_once('=') {
                        found.ctl.insert(name.to_owned(), value.to_owned());
                    }
                }
                "container" => found.container = found.container.take().or_else(|| Container::read(rest)),
                "ours" => found.ours = true,
                "configured" => configured = true,
                _ => {}
            }
        }
        match processes {
            0 => return Err("no etcd runs there".into()),
            1 => {}
            n => return Err(format!("{n} processes of etcd run there, and a host carries one member")),
        }
        let made = found.container.as_ref().is_some_and(|container| container.runtime != "staticpod");
        found.ours |= made && configured && flags.iter().any(|flag| flag == "/etc/etcd/etcd.conf");
        for (name, value) in &env {
            if name.starts_with("ETCDCTL_") {
                found.ctl.insert(name.clone(), value.clone());
            } else if let Some(name) = name.strip_prefix("ETCD_") {
                found.settings.insert(name.to_lowercase().replace('_', "-"), value.clone());
            }
        }
        // with a file, etcd ignores both of the others
        if conf.is_empty() {
            found.flags(&flags);
        } else {
            found.settings.clear();
            found.file(&conf)?;
        }
        Ok(found)
    }

    fn flags(&mut self, flags: &[String]) {
        let mut flags = flags.iter().skip(1).peekable();
        while let Some(flag) = flags.next() {
            let Some(flag) = flag.strip_prefix('-') else { continue };
            let flag = flag.trim_start_matches('-');
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => {
                    let value = flags.next_if(|next| !next.starts_with('-')).cloned();
                    (flag, value.unwrap_or_else(|| "true".into()))
                }
            };
            self.settings.insert(name.to_owned(), value);
        }
    }

    fn file(&mut self, text: &str) -> Result<(), String> {
        let file = quorate_value::FileId::register(Path::new("<etcd.conf>"), text.into());
        let document =
            quorate_yaml::parse(text, file).map_err(|e| format!("its configuration is no YAML: {e}"))?;
        let Value::Dict(entries) = document.root.to_value() else {
            return Err("its configuration is no mapping".into());
        };
        for (key, value) in entries.iter() {
            let key = key.json_text().into_owned();
            match value {
                Value::Dict(inner) => {
                    let prefix = if key.starts_with("peer") { "peer-" } else { "" };
                    for (name, value) in inner.iter() {
                        self.settings.insert(format!("{prefix}{}", name.json_text()), str_of(value));
                    }
                }
                Value::Null => {}
                value => drop(self.settings.insert(key, str_of(value))),
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where clients reach it.
    pub(super) fn client_url(&self) -> String {
        let urls = self.get("advertise-client-urls").unwrap_or("http://localhost:2379");
        let mut urls = urls.split(',').map(str::trim);
        let first = urls.clone().next().unwrap_or_default().to_owned();
        urls.find(|url| url.starts_with("https://")).map_or(first, str::to_owned)
    }

    /// CA, certificate and key of a client, the likeliest first.
    pub(super) fn pairs(&self) -> Vec<(String, String, String)> {
        let ctl = |new: &str, old: &str| self.ctl.get(new).or_else(|| self.ctl.get(old)).cloned();
        let mut pairs = Vec::new();
        if let (Some(ca), Some(cert), Some(key)) = (
            ctl("ETCDCTL_CACERT", "ETCDCTL_CA_FILE"),
            ctl("ETCDCTL_CERT", "ETCDCTL_CERT_FILE"),
            ctl("ETCDCTL_KEY", "ETCDCTL_KEY_FILE"),
        ) {
            pairs.push((ca, cert, key));
        }
        if let (Some(ca), Some(cert), Some(key)) =
            (self.get("trusted-ca-file"), self.get("cert-file"), self.get("key-file"))
        {
            // kubeadm and its kin keep a client's pair beside
            if let Some((dir, _)) = ca.rsplit_once('/') {
                let beside = |end: &str| format!("{dir}/healthcheck-client.{end}");
                pairs.push((ca.to_owned(), cert.to_owned(), key.to_owned()));
                pairs.push((ca.to_owned(), beside("crt"), beside("key")));
            }
        }
        pairs
    }
}

/// A member as the cluster lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// The host of its peer URL.
    pub(super) address: String,
    peer: String,
    peer_port: String,
    client_port: String,
    learner: bool,
}

impl Member {
    pub(super) fn new(name: &str, peers: &[String], clients: &[String], learner: bool) -> Self {
        let (address, peer_port) = peers.first().map(|url| parts(url)).unwrap_or_default();
        let secure = clients.iter().find(|url| url.starts_with("https://")).or_else(|| clients.first());
        let client_port = secure.map(|url| parts(url).1).unwrap_or_default();
        Member {
            name: name.to_owned(),
            address,
            peer: peers.first().cloned().unwrap_or_default(),
            peer_port,
            client_port,
            learner,
        }
    }

    /// Whether this is what was found on a host.
    pub(super) fn is(&self, host: &str, found: &Found) -> bool {
        let advertised = found.get("initial-advertise-peer-urls").unwrap_or_default();
        advertised.split(',').any(|url| url.trim() == self.peer)
            || (advertised.is_empty() && host == self.address)
    }
}

/// Host and port of a URL, brackets taken away.
fn parts(url: &str) -> (String, String) {
    let rest = url.split("://").nth(1).unwrap_or(url).trim_end_matches('/');
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host.trim_matches(['[', ']']).to_owned(), port.to_owned())
        }
        _ => (rest.trim_matches(['[', ']']).to_owned(), String::new()),
    }
}

/// Bytes of a line of base64.
pub(super) fn decode(line: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(line.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for c in line.trim().bytes().filter(|c| *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// One line of the inventory.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    host: String,
    seq: u64,
    name: String,
    /// Variables of this host, in order.
    vars: Vec<(&'static str, String)>,
    /// Why it was not looked at.
    unseen: Option<String>,
    where_: String,
}

/// A cluster, ready to be written down.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) user: Option<String>,
    /// Somebody else made it.
    pub(super) adopted: bool,
    cluster: String,
    rows: Vec<Row>,
    /// Variables that all hosts share.
    shared: Vec<(&'static str, String)>,
}

/// A setting: the variable, the flag, what the variable defaults to, and what etcd does without the flag.
const SETTINGS: [(&str, &str, &str, &str); 8] = [
    ("etcd_data", "data-dir", "/data/etcd", ""),
    ("etcd_metrics", "listen-metrics-urls", "http://127.0.0.1:2381", ""),
    ("etcd_heartbeat_interval", "heartbeat-interval", "100", "100"),
    ("etcd_election_timeout", "election-timeout", "1000", "1000"),
    ("etcd_quota", "quota-backend-bytes", "2147483648", "2147483648"),
    ("etcd_compaction", "auto-compaction-retention", "24h", ""),
    ("etcd_log_level", "log-level", "info", "info"),
    ("etcd_token", "initial-cluster-token", "", ""),
];

impl Site {
    /// Puts together what the cluster and its hosts said.
    pub(super) fn new(
        named: Option<&str>,
        members: &[Member],
        looked: &BTreeMap<String, Found>,
        silent: &BTreeMap<String, String>,
    ) -> Result<Site, String> {
        let numbered: Option<Vec<(&str, u64)>> = members
            .iter()
            .map(|member| {
                let (prefix, number) = member.name.rsplit_once('-')?;
                Some((prefix, number.parse().ok()?))
            })
            .collect();
        let numbered = numbered.filter(|names| {
            let prefixes: BTreeSet<&str> = names.iter().map(|(prefix, _)| *prefix).collect();
            let numbers: BTreeSet<u64> = names.iter().map(|(_, number)| *number).collect();
            prefixes.len() == 1
                && numbers.len() == names.len()
                && names.iter().all(|(prefix, _)| is_name(prefix))
        });
        let token = looked.values().find_map(|found| found.get("initial-cluster-token")).unwrap_or_default();
        let cluster = match (named, &numbered) {
            (Some(name), _) if is_name(name) => name.to_owned(),
            (Some(name), _) => {
                return Err(format!(
                    "`{name}` names members and files: letters, digits, `_`, `.` and `-` only"
                ));
            }
            (None, Some(names)) => names.first().map(|(prefix, _)| (*prefix).to_owned()).unwrap_or_default(),
            (None, None) if is_name(token) && token.len() <= 32 => token.to_owned(),
            (None, None) => "etcd".into(),
        };
        let mut order: Vec<&Member> = members.iter().collect();
        order.sort_by_key(|member| {
            let numbers: Vec<u32> = member.address.split('.').filter_map(|part| part.parse().ok()).collect();
            (numbers, member.address.clone())
        });
        let mut rows = Vec::new();
        let mut adopted = false;
        for (at, member) in order.iter().enumerate() {
            let seen = looked.iter().find(|(host, found)| member.is(host, found));
            let host = seen.map_or_else(|| member.address.clone(), |(host, _)| host.clone());
            let seq = match (&numbered, member.name.rsplit_once('-')) {
                (Some(_), Some((_, number))) => number.parse().unwrap_or(at as u64 + 1),
                _ => at as u64 + 1,
            };
            let mut vars: Vec<(&'static str, String)> = Vec::new();
            if host != member.address {
                vars.push(("etcd_address", member.address.clone()));
            }
            for (variable, port, default) in
                [("etcd_port", &member.client_port, "2379"), ("etcd_peer_port", &member.peer_port, "2380")]
            {
                if !port.is_empty() && port != default {
                    vars.push((variable, port.clone()));
                }
            }
            if member.learner {
                vars.push(("etcd_learner", "true".into()));
            }
            let mut where_ = String::new();
            if let Some((_, found)) = seen {
                adopted |= !found.ours;
                for (variable, flag, default, otherwise) in SETTINGS {
                    let default = if variable == "etcd_token" { cluster.as_str() } else { default };
                    let value = found.get(flag).unwrap_or(otherwise);
                    let there =
                        found.container.as_ref().filter(|_| variable == "etcd_data" && !value.is_empty());
                    let on_host = there.map(|container| container.on_host(value));
                    let value = on_host.as_deref().unwrap_or(value);
                    let value = if value == "0" && variable == "etcd_quota" { otherwise } else { value };
                    if !value.is_empty() && value != default {
                        vars.push((variable, value.to_owned()));
                    }
                }
                if found.client_url().starts_with("http://") {
                    vars.push(("etcd_tls", "false".into()));
                }
                match (&found.container, &found.unit) {
                    (Some(container), _) => {
                        vars.push(("etcd_runtime", container.runtime.clone()));
                        if container.runtime != "staticpod" && container.name != "etcd" {
                            vars.push(("etcd_container", container.name.clone()));
                        }
                        // another one of its own making needs it; of somebody else's, the others are the pattern
                        if found.ours && !container.image.is_empty() {
                            vars.push(("etcd_image", container.image.clone()));
                        }
                    }
                    (None, Some(unit)) if unit == "etcd" => {}
                    (None, Some(unit)) => vars.push(("etcd_unit", unit.clone())),
                    (None, None) => "in a container, whose name could not be told".clone_into(&mut where_),
                }
            }
            rows.push(Row {
                unseen: seen
                    .is_none()
                    .then(|| silent.get(&member.address).cloned().unwrap_or_else(|| "nobody looked".into())),
                host,
                seq,
                name: member.name.clone(),
                vars,
                where_,
            });
        }
        rows.sort_by_key(|row| row.seq);
        let adopted = adopted || rows.iter().any(|row| row.unseen.is_some());
        let mut site = Site { user: None, adopted, cluster, rows, shared: Vec::new() };
        site.share();
        Ok(site)
    }

    /// What all hosts that were looked at say alike is said once.
    fn share(&mut self) {
        let seen = || self.rows.iter().filter(|row| row.unseen.is_none());
        let Some(first) = seen().next() else { return };
        let common: Vec<(&'static str, String)> = first
            .vars
            .iter()
            .filter(|(name, _)| !matches!(*name, "etcd_address" | "etcd_learner"))
            .filter(|pair| seen().all(|row| row.vars.contains(pair)))
            .cloned()
            .collect();
        for row in &mut self.rows {
            row.vars.retain(|pair| !common.contains(pair));
        }
        self.shared = common;
    }

    /// The text of the inventory. `pki` is the folder of certificates, where it is an unusual one.
    pub(super) fn inventory(&self, pki: Option<&Path>) -> String {
        let mut out = format!(
            "# Cluster {}, as it was found running. `quorate plan playbooks/etcd-sync.yml` tells where the hosts differ from it.\n# What is not here has a default: roles/etcd/defaults/main.yml lists every variable.\nall:\n  children:\n    etcd:\n      hosts:\n",
            self.cluster
        );
        let width = self.rows.iter().map(|row| scalar(&row.host).len()).max().unwrap_or(0) + 1;
        for row in &self.rows {
            let mut vars = format!("etcd_seq: {}", row.seq);
            for (name, value) in &row.vars {
                vars.push_str(&format!(", {name}: {}", scalar(value)));
            }
            let mut notes = Vec::new();
            if row.name != format!("{}-{}", self.cluster, row.seq) {
                notes.push(if row.name.is_empty() {
                    "has never started".into()
                } else {
                    format!("its member is called {}", row.name)
                });
            }
            if !row.where_.is_empty() {
                notes.push(row.where_.clone());
            }
            if let Some(why) = &row.unseen {
                notes.push(format!("not looked at: {}", why.lines().next().unwrap_or_default()));
            }
            let note = if notes.is_empty() { String::new() } else { format!("   # {}", notes.join("; ")) };
            out.push_str(&format!("        {:<width$} {{ {vars} }}{note}\n", scalar(&row.host) + ":"));
        }
        out.push_str(&format!("      vars:\n        etcd_cluster: {}\n", scalar(&self.cluster)));
        out.push_str("        etcd_safeguard: true       # forbids that etcd.yml purges members that live\n");
        if self.adopted {
            out.push_str(
                "\n        # Others set these members up: their units, files and certificates stay as they are, and only\n        # membership is looked after. Take the line away to have the role set them up its own way, which restarts\n        # them, one by one; it needs the CA's key in files/pki/ca.key.\n        etcd_keep: true\n",
            );
        }
        if !self.shared.is_empty() {
            out.push('\n');
        }
        for (name, value) in &self.shared {
            out.push_str(&format!("        {name}: {}\n", scalar(value)));
        }
        if let Some(user) = &self.user {
            out.push_str(&format!("        ansible_user: {}\n", scalar(user)));
        }
        if let Some(pki) = pki {
            out.push_str(&format!("        pki_dir: {}\n", scalar(&pki.display().to_string())));
        }
        out
    }

    /// What was found, in a line or two.
    pub(super) fn summary(&self) -> String {
        let unseen: Vec<&str> =
            self.rows.iter().filter(|row| row.unseen.is_some()).map(|row| row.host.as_str()).collect();
        let mut text = format!(
            "cluster {}: {} member{}, {}",
            self.cluster,
            self.rows.len(),
            if self.rows.len() == 1 { "" } else { "s" },
            if self.adopted { "set up by others (etcd_keep)" } else { "made by etcd.yml" }
        );
        if !unseen.is_empty() {
            text.push_str(&format!("\nnot looked at: {}", unseen.join(", ")));
        }
        text
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// A value as it stands in a flow mapping.
fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/'))
        && !text.starts_with('-');
    let number_like =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit());
    let word = matches!(
        text.to_lowercase().as_str(),
        "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "y" | "n"
    );
    if plain && (number_like || !word || matches!(text, "true" | "false")) {
        text.to_owned()
    } else {
        quorate_value::JsonStyle::default().write(&Value::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RKE: &str = "process 812\narg /usr/local/bin/etcd\narg --name=etcd-node1\narg --data-dir=/var/lib/rancher/etcd/\narg --advertise-client-urls=https://10.0.0.1:2379\narg --initial-advertise-peer-urls=https://10.0.0.1:2380\narg --initial-cluster-token=etcd-cluster-1\narg --trusted-ca-file=/etc/kubernetes/ssl/kube-ca.pem\narg --cert-file=/etc/kubernetes/ssl/kube-etcd-10-0-0-1.pem\narg --key-file=/etc/kubernetes/ssl/kube-etcd-10-0-0-1-key.pem\narg --heartbeat-interval=500\narg --election-timeout\narg 5000\nenv ETCDCTL_CACERT=/etc/kubernetes/ssl/kube-ca.pem\nenv ETCDCTL_CERT=/etc/kubernetes/ssl/kube-etcd-10-0-0-1.pem\nenv ETCDCTL_KEY=/etc/kubernetes/ssl/kube-etcd-10-0-0-1-key.pem\ncgroup 0::/system.slice/docker-4f.scope\ndone\n";
    const HAND: &str = "process 90\narg /usr/bin/etcd\narg --config-file\narg /etc/etcd/etcd.conf\nenv ETCD_NAME=ignored\ncgroup 0::/system.slice/etcd.service\nconf name: etcd-1\nconf data-dir: /data/etcd\nconf advertise-client-urls: https://10.0.0.1:2379\nconf initial-advertise-peer-urls: https://10.0.0.1:2380\nconf initial-cluster-token: etcd\nconf listen-metrics-urls: http://127.0.0.1:2381\nconf auto-compaction-retention: \"24h\"\nconf client-transport-security:\nconf   trusted-ca-file: /etc/etcd/ca.crt\nconf   cert-file: /etc/etcd/server.crt\nconf   key-file: /etc/etcd/server.key\nours\ndone\n";

    fn site(text: &str, name: &str) -> Site {
        let found = Found::read(text).unwrap();
        let urls = |port: u16| [format!("https://10.0.0.1:{port}")];
        let member = Member::new(name, &urls(2380), &urls(2379), false);
        let looked = BTreeMap::from([("node1".to_owned(), found)]);
        Site::new(None, &[member], &looked, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn a_container_of_rke() {
        let found = Found::read(RKE).unwrap();
        assert_eq!(found.client_url(), "https://10.0.0.1:2379");
        assert_eq!(found.pairs()[0].2, "/etc/kubernetes/ssl/kube-etcd-10-0-0-1-key.pem");
        let text = site(RKE, "etcd-node1").inventory(None);
        for line in [
            "node1: { etcd_seq: 1, etcd_address: 10.0.0.1 }   # its member is called etcd-node1; in a container, whose name could not be told",
            "etcd_cluster: etcd-cluster-1",
            "etcd_keep: true",
            "etcd_data: /var/lib/rancher/etcd/",
            "etcd_heartbeat_interval: 500",
            "etcd_election_timeout: 5000",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("etcd_token"), "{text}");
    }

    #[test]
    fn a_container_by_its_name() {
        let named = RKE.replace(
            "done\n",
            "container docker rke-etcd rancher/etcd:v3.5.9 /var/lib/etcd:/var/lib/rancher/etcd /etc/kubernetes:/etc/kubernetes\ndone\n",
        );
        let text = site(&named, "etcd-node1").inventory(None);
        for line in [
            "etcd_runtime: docker",
            "etcd_container: rke-etcd",
            "etcd_data: /var/lib/etcd\n",
            "etcd_keep: true",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("etcd_image") && !text.contains("could not be told"), "{text}");
        // of the role's own making
        let own = HAND.replace(
            "ours\n",
            "configured\ncontainer podman etcd registry.example/etcd:v3.5.16 /data/etcd:/data/etcd\n",
        );
        let text = site(&own, "etcd-1").inventory(None);
        assert!(
            text.contains("etcd_runtime: podman\n")
                && text.contains("etcd_image: \"registry.example/etcd:v3.5.16\""),
            "{text}"
        );
        assert!(!text.contains("etcd_keep") && !text.contains("etcd_container"), "{text}");
    }

    #[test]
    fn what_our_role_made_has_nothing_to_say() {
        let site = site(HAND, "etcd-1");
        assert!(!site.adopted);
        let text = site.inventory(None);
        assert!(text.contains("node1: { etcd_seq: 1, etcd_address: 10.0.0.1 }\n"), "{text}");
        assert!(text.ends_with("purges members that live\n"), "{text}");
    }

    #[test]
    fn a_host_without_etcd_says_so() {
        assert_eq!(Found::read("done\n"), Err("no etcd runs there".into()));
    }

    #[test]
    fn base64_is_read() {
        assert_eq!(decode("aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode("no base64!"), None);
    }

    #[test]
    fn urls_fall_apart() {
        assert_eq!(parts("https://[fd00::1]:2380"), ("fd00::1".into(), "2380".into()));
        assert_eq!(parts("https://a.b:1/"), ("a.b".into(), "1".into()));
    }
}
