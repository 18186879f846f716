//! A container as somebody made it: what `docker inspect` and `podman inspect` tell, and the words that make it again.
//!
//! In: the text of an inspection, or a shape taken from another host. Out: etcd's own flags, where its files are on
//! the host, and a command line for `create`.
//!
//! **Invariant:** making a container again from its own inspection changes nothing but what was asked for: name, image,
//! command, environment, mounts, network, labels and limits stay.

use quorate_value::{Dict, Value, dict, from_json_str, str_of};

/// The configuration that containers of ours are started with.
pub(crate) const OUR_CONFIG: &str = "/etc/etcd/etcd.conf";
/// A container's restart policy while its member is stopped for good, noted as a label.
const POLICY: &str = "quorate.restart";

/// What a container is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) image: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<String>,
    /// As after `--volume`.
    pub(crate) mounts: Vec<String>,
    pub(crate) network: String,
    pub(crate) restart: String,
    /// Everything else, as options of `create`.
    pub(crate) options: Vec<String>,
}

/// A container that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) shape: Shape,
    pub(crate) running: bool,
    /// When it was started last, as the tool writes it.
    pub(crate) started: String,
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_list).unwrap_or_default().iter().map(str_of).collect()
}

fn text(dict: Option<&Dict>, key: &str) -> String {
    dict.and_then(|dict| dict.get(key)).filter(|value| !value.is_null()).map(str_of).unwrap_or_default()
}

fn number(dict: Option<&Dict>, key: &str) -> i64 {
    dict.and_then(|dict| dict.get(key)?.as_int()).unwrap_or(0)
}

impl Found {
    /// What `inspect` printed about one container.
    pub(crate) fn parse(json: &str) -> Option<Found> {
        let all = from_json_str(json).ok()?;
        let one = all.as_list()?.first()?.as_dict()?;
        let part = |name: &str| one.get(name).and_then(Value::as_dict);
        let (config, host, state) = (part("Config"), part("HostConfig"), part("State"));
        let network = text(host, "NetworkMode");
        let policy = host.and_then(|host| host.get("RestartPolicy")?.as_dict());
        let mut restart = text(policy, "Name");
        if restart == "on-failure" && number(policy, "MaximumRetryCount") > 0 {
            restart = format!("on-failure:{}", number(policy, "MaximumRetryCount"));
        }
        if restart.is_empty() {
            restart = "no".into();
        }
        let image = [text(Some(one), "ImageName"), text(config, "Image"), text(Some(one), "Image")];
        let mut argv = vec![text(Some(one), "Path")];
        argv.extend(texts(one.get("Args")));
        // what the tools themselves put there
        let ours =
            |pair: &String| !["container=", "HOSTNAME=", "TERM="].iter().any(|name| pair.starts_with(name));
        let shape = Shape {
            image: image.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
            argv,
            env: texts(config.and_then(|config| config.get("Env"))).into_iter().filter(ours).collect(),
            mounts: mounts(one, host),
            options: options(config, host, &network),
            network,
            restart,
        };
        Some(Found {
            shape,
            running: state.and_then(|state| state.get("Running")?.as_bool()).unwrap_or(false),
            started: text(state, "StartedAt"),
        })
    }
}

/// `Binds` as they were written; where there are none, what is mounted.
fn mounts(one: &Dict, host: Option<&Dict>) -> Vec<String> {
    let binds = texts(host.and_then(|host| host.get("Binds")));
    let listed = one.get("Mounts").and_then(Value::as_list).unwrap_or_default();
    let mut mounts = binds;
    for mount in listed.iter().filter_map(Value::as_dict) {
        let (mut source, inside) = (text(Some(mount), "Source"), text(Some(mount), "Destination"));
        if text(Some(mount), "Type") == "volume" {
            source = text(Some(mount), "Name");
        }
        let known = |bind: &String| bind.split(':').nth(1).map(trimmed) == Some(trimmed(&inside));
        if !mounts.iter().any(known) {
            let read_only = mount.get("RW").and_then(Value::as_bool) == Some(false);
            mounts.push(format!("{source}:{inside}{}", if read_only { ":ro" } else { "" }));
        }
    }
    mounts
}

fn trimmed(path: &str) -> &str {
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

/// What else was asked for when it was made.
fn options(config: Option<&Dict>, host: Option<&Dict>, network: &str) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    let mut option = |name: &str, value: &str| options.push(format!("--{name}={value}"));
    let labels = config.and_then(|config| config.get("Labels")?.as_dict());
    for (key, value) in labels.into_iter().flatten() {
        option("label", &format!("{}={}", key.json_text(), str_of(value)));
    }
    let hostname = text(config, "Hostname");
    if !hostname.is_empty() && !matches!(network, "host") {
        option("hostname", &hostname);
    }
    let user = text(config, "User");
    if !user.is_empty() {
        option("user", &user);
    }
    if host.and_then(|host| host.get("Privileged")?.as_bool()) == Some(true) {
        option("privileged", "true");
    }
    for (key, name) in [("CapAdd", "cap-add"), ("CapDrop", "cap-drop"), ("SecurityOpt", "security-opt")] {
        for value in texts(host.and_then(|host| host.get(key))) {
            option(name, &value);
        }
    }
    for (key, name) in [("PidMode", "pid"), ("IpcMode", "ipc")] {
        if text(host, key) == "host" {
            option(name, "host");
        }
    }
    for (key, name) in [("Memory", "memory"), ("CpuShares", "cpu-shares"), ("OomScoreAdj", "oom-score-adj")] {
        if number(host, key) != 0 {
            option(name, &number(host, key).to_string());
        }
    }
    let limits = host.and_then(|host| host.get("Ulimits")?.as_list()).unwrap_or_default();
    for limit in limits.iter().filter_map(Value::as_dict) {
        let name = text(Some(limit), "Name").to_lowercase().replace("rlimit_", "");
        option("ulimit", &format!("{name}={}:{}", number(Some(limit), "Soft"), number(Some(limit), "Hard")));
    }
    options
}

impl Shape {
    /// As a value, to travel to another host.
    pub(crate) fn to_dict(&self) -> Dict {
        let list = |texts: &[String]| -> Value { texts.iter().map(Value::from).collect() };
        dict! {
            "image" => &self.image, "argv" => list(&self.argv), "env" => list(&self.env),
            "mounts" => list(&self.mounts), "network" => &self.network, "restart" => &self.restart,
            "options" => list(&self.options),
        }
    }

    /// From such a value.
    pub(crate) fn of_dict(dict: &Dict) -> Shape {
        Shape {
            image: text(Some(dict), "image"),
            argv: texts(dict.get("argv")),
            env: texts(dict.get("env")),
            mounts: texts(dict.get("mounts")),
            network: text(Some(dict), "network"),
            restart: text(Some(dict), "restart"),
            options: texts(dict.get("options")),
        }
    }

    /// Whether it is one of those that the role makes: all its settings are in a file.
    pub(crate) fn is_ours(&self) -> bool {
        self.flag("config-file").as_deref() == Some(OUR_CONFIG)
    }

    /// A flag of etcd's, wherever it was given.
    pub(crate) fn flag(&self, name: &str) -> Option<String> {
        flag(&self.argv, name).or_else(|| {
            let variable = format!("{}=", variable(name));
            self.env.iter().find_map(|pair| pair.strip_prefix(&variable)).map(str::to_owned)
        })
    }

    /// Sets a flag where it was given; a flag beside a variable would keep etcd from starting.
    pub(crate) fn set_flag(&mut self, name: &str, value: &str) {
        let prefix = format!("{}=", variable(name));
        if let Some(pair) = self.env.iter_mut().find(|pair| pair.starts_with(&prefix)) {
            *pair = format!("{prefix}{value}");
            return;
        }
        set_flag(&mut self.argv, name, value);
    }

    /// Where a path inside it is on the host.
    pub(crate) fn on_host(&self, inside: &str) -> Option<String> {
        let inside = trimmed(inside);
        let mut best: Option<(usize, String)> = None;
        for mount in &self.mounts {
            let mut parts = mount.split(':');
            let (Some(source), Some(target)) = (parts.next(), parts.next().map(trimmed)) else { continue };
            let Some(rest) = inside.strip_prefix(target) else { continue };
            let whole = rest.is_empty() || rest.starts_with('/') || target == "/";
            if whole
                && source.starts_with('/')
                && best.as_ref().is_none_or(|(length, _)| target.len() > *length)
            {
                best = Some((target.len(), format!("{}{rest}", trimmed(source))));
            }
        }
        best.map(|(_, path)| path)
    }

    /// The same for another host: every place of these words takes what stands beside them.
    pub(crate) fn swapped(mut self, words: &[(String, String)]) -> Shape {
        let swap = |text: &mut String| {
            for (from, to) in words {
                *text = replace_word(text, from, to);
            }
        };
        for list in [&mut self.argv, &mut self.env, &mut self.mounts, &mut self.options] {
            list.iter_mut().for_each(swap);
        }
        self
    }

    /// Not started when its host boots, and what it was before is written down; or back to what was written down.
    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        let label = format!("--label={POLICY}=");
        let noted = self.options.iter().find_map(|option| option.strip_prefix(&label)).map(str::to_owned);
        if enabled {
            if self.restart == "no" {
                self.restart = noted.clone().unwrap_or_else(|| "always".into());
            }
            self.options.retain(|option| !option.starts_with(&label));
        } else if self.restart != "no" {
            self.options.retain(|option| !option.starts_with(&label));
            self.options.push(format!("{label}{}", self.restart));
            self.restart = "no".into();
        }
    }

    /// Whether both would make the same container. Image names may be written with or without a registry.
    pub(crate) fn equals(&self, other: &Shape) -> bool {
        let bare = |shape: &Shape| {
            // podman lists them in any order
            let mut mounts: Vec<String> = shape.mounts.iter().map(|mount| plain(mount)).collect();
            mounts.sort();
            Shape { image: String::new(), mounts, ..shape.clone() }
        };
        same_image(&self.image, &other.image) && bare(self) == bare(other)
    }

    /// The words that make it.
    pub(crate) fn create(&self, program: &str, name: &str) -> Vec<String> {
        let mut words: Vec<String> = vec![program.into(), "create".into(), format!("--name={name}")];
        if !self.network.is_empty() {
            words.push(format!("--network={}", self.network));
        }
        words.push(format!("--restart={}", self.restart));
        words.extend(self.options.iter().cloned());
        words.extend(self.env.iter().map(|pair| format!("--env={pair}")));
        words.extend(self.mounts.iter().map(|mount| format!("--volume={mount}")));
        let (entry, rest) =
            self.argv.split_first().map_or(("", &[][..]), |(entry, rest)| (entry.as_str(), rest));
        if !entry.is_empty() {
            words.push(format!("--entrypoint={entry}"));
        }
        words.push(self.image.clone());
        words.extend(rest.iter().cloned());
        words
    }
}

/// A mount without what the tools add to it: where from, where to, and whether it may be written.
fn plain(mount: &str) -> String {
    let mut parts = mount.split(':');
    let (source, inside) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let read_only = parts.flat_map(|part| part.split(',')).any(|option| option == "ro");
    format!("{}:{}:{read_only}", trimmed(source), trimmed(inside))
}

/// `registry/name:tag` and `name:tag` are one image.
pub(crate) fn same_image(one: &str, other: &str) -> bool {
    let tagged = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or(name);
        if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
    };
    let (one, other) = (tagged(one), tagged(other));
    one == other || one.ends_with(&format!("/{other}")) || other.ends_with(&format!("/{one}"))
}

/// The variable that etcd reads for a flag.
fn variable(flag: &str) -> String {
    format!("ETCD_{}", flag.to_uppercase().replace('-', "_"))
}

/// A flag among arguments: `--name=value`, `--name value`, with one dash or two.
pub(crate) fn flag(argv: &[String], name: &str) -> Option<String> {
    for (at, word) in argv.iter().enumerate() {
        let Some(bare) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        if let Some(value) = bare.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.to_owned());
        }
        if bare == name {
            return Some(argv.get(at + 1).filter(|next| !next.starts_with('-')).cloned().unwrap_or_default());
        }
    }
    None
}

/// Sets a flag among arguments, in its place or at the end.
pub(crate) fn set_flag(argv: &mut Vec<String>, name: &str, value: &str) {
    for at in 0..argv.len() {
        let Some(bare) = argv[at].strip_prefix("--").or_else(|| argv[at].strip_prefix('-')) else { continue };
        if bare.starts_with(&format!("{name}=")) {
            argv[at] = format!("--{name}={value}");
            return;
        }
        if bare == name {
            if argv.get(at + 1).is_some_and(|next| !next.starts_with('-')) {
                argv[at + 1] = value.to_owned();
            } else {
                argv[at] = format!("--{name}={value}");
            }
            return;
        }
    }
    argv.push(format!("--{name}={value}"));
}

/// Replaces a word where it stands by itself: 10.0.0.1 is not in 10.0.0.12.
fn replace_word(text: &str, from: &str, to: &str) -> String {
    if from.is_empty() {
        return text.to_owned();
    }
    let part = |c: char| c.is_ascii_alphanumeric();
    let (mut done, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let alone = !before.chars().next_back().or_else(|| done.chars().next_back()).is_some_and(part)
            && !after.chars().next().is_some_and(part);
        done.push_str(before);
        done.push_str(if alone { to } else { from });
        rest = after;
    }
    done.push_str(rest);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Docker 20.10 tells of a container of RKE, shortened to what has a meaning here.
    const RKE: &str = r#"[{
        "Id": "e1", "Path": "/usr/local/bin/etcd",
        "Args": ["--data-dir=/var/lib/rancher/etcd/", "--name=etcd-master1", "--initial-cluster-state=new",
          "--initial-cluster=etcd-master1=https://192.168.31.101:2380,etcd-x=https://192.168.31.10:2380",
          "--listen-client-urls=https://0.0.0.0:2379", "--advertise-client-urls=https://192.168.31.101:2379",
          "--cert-file=/etc/kubernetes/ssl/kube-etcd-192-168-31-101.pem", "--client-cert-auth=true",
          "--trusted-ca-file", "/etc/kubernetes/ssl/kube-ca.pem", "--election-timeout=5000"],
        "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-21T20:40:31.454529863Z"},
        "Image": "sha256:ab12", "Name": "/etcd", "RestartCount": 0,
        "HostConfig": {"Binds": ["/var/lib/etcd:/var/lib/rancher/etcd/:z", "/etc/kubernetes:/etc/kubernetes:z"],
          "NetworkMode": "host", "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}, "Privileged": false,
          "CapAdd": null, "CapDrop": null, "SecurityOpt": ["label=disable"], "Memory": 0, "Ulimits": null,
          "Runtime": "runc", "OomScoreAdj": 0, "PidMode": "", "IpcMode": "private"},
        "Mounts": [
          {"Type": "bind", "Source": "/var/lib/etcd", "Destination": "/var/lib/rancher/etcd", "Mode": "z", "RW": true},
          {"Type": "bind", "Source": "/etc/kubernetes", "Destination": "/etc/kubernetes", "Mode": "z", "RW": true},
          {"Type": "volume", "Name": "spare", "Source": "/var/lib/docker/volumes/spare/_data", "Destination": "/spare", "RW": false}],
        "Config": {"Hostname": "master1", "User": "", "Image": "rancher/coreos-etcd:v3.4.14-rancher1",
          "Env": ["ETCDCTL_API=3", "ETCD_HEARTBEAT_INTERVAL=500", "PATH=/usr/bin"],
          "Labels": {"io.rancher.rke.container.name": "etcd"}}
    }]"#;

    fn rke() -> Shape {
        Found::parse(RKE).unwrap().shape
    }

    #[test]
    fn what_docker_tells() {
        let found = Found::parse(RKE).unwrap();
        assert!(found.running);
        let shape = found.shape;
        assert_eq!(shape.image, "rancher/coreos-etcd:v3.4.14-rancher1");
        assert_eq!((shape.network.as_str(), shape.restart.as_str()), ("host", "always"));
        assert_eq!(shape.flag("name").as_deref(), Some("etcd-master1"));
        assert_eq!(shape.flag("trusted-ca-file").as_deref(), Some("/etc/kubernetes/ssl/kube-ca.pem"));
        assert_eq!(shape.flag("heartbeat-interval").as_deref(), Some("500"), "by its variable");
        assert_eq!(shape.flag("force-new-cluster"), None);
        assert_eq!(shape.on_host("/var/lib/rancher/etcd/").as_deref(), Some("/var/lib/etcd"));
        assert_eq!(
            shape.on_host("/etc/kubernetes/ssl/kube-ca.pem").as_deref(),
            Some("/etc/kubernetes/ssl/kube-ca.pem")
        );
        assert_eq!(shape.on_host("/var/lib/rancher/etcd2"), None);
        assert_eq!(shape.mounts.last().map(String::as_str), Some("spare:/spare:ro"));
        assert!(!shape.is_ours());
    }

    #[test]
    fn it_is_made_again_as_it_was() {
        let shape = rke();
        let words = shape.create("docker", "etcd");
        for word in [
            "--name=etcd",
            "--network=host",
            "--restart=always",
            "--volume=/var/lib/etcd:/var/lib/rancher/etcd/:z",
            "--label=io.rancher.rke.container.name=etcd",
            "--security-opt=label=disable",
            "--env=ETCDCTL_API=3",
            "--entrypoint=/usr/local/bin/etcd",
        ] {
            assert!(words.iter().any(|have| have == word), "{word} is missing: {words:?}");
        }
        let at = words.iter().position(|word| *word == shape.image).unwrap();
        assert_eq!(words[at + 1..], shape.argv[1..]);
        assert!(
            !words.iter().any(|word| word.starts_with("--hostname")),
            "not together with the host's network"
        );
        assert_eq!(Shape::of_dict(&shape.to_dict()), shape);
    }

    #[test]
    fn flags_are_set_where_they_stand() {
        let mut shape = rke();
        shape.set_flag("initial-cluster-state", "existing");
        shape.set_flag("trusted-ca-file", "/ca");
        shape.set_flag("heartbeat-interval", "100");
        shape.set_flag("force-new-cluster", "true");
        assert_eq!(shape.flag("initial-cluster-state").as_deref(), Some("existing"));
        assert_eq!(shape.flag("trusted-ca-file").as_deref(), Some("/ca"));
        assert!(shape.env.contains(&"ETCD_HEARTBEAT_INTERVAL=100".to_owned()));
        assert!(!shape.argv.iter().any(|word| word.contains("heartbeat")));
        assert_eq!(shape.argv.last().map(String::as_str), Some("--force-new-cluster=true"));
    }

    #[test]
    fn another_host_gets_its_own_words() {
        let words = [
            ("192.168.31.101", "192.168.31.104"),
            ("192-168-31-101", "192-168-31-104"),
            ("etcd-master1", "etcd-master4"),
        ];
        let words: Vec<(String, String)> =
            words.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let shape = rke().swapped(&words);
        assert_eq!(
            shape.flag("cert-file").as_deref(),
            Some("/etc/kubernetes/ssl/kube-etcd-192-168-31-104.pem")
        );
        assert_eq!(shape.flag("name").as_deref(), Some("etcd-master4"));
        assert_eq!(
            replace_word("192.168.31.10:1,192.168.31.101", "192.168.31.10", "X"),
            "X:1,192.168.31.101"
        );
        assert_eq!(replace_word("aa", "a", "b"), "aa");
    }

    #[test]
    fn out_of_the_boot_and_back() {
        let mut shape = rke();
        shape.set_enabled(false);
        assert_eq!(shape.restart, "no");
        let mut off = shape.clone();
        off.set_enabled(false);
        assert_eq!(off, shape, "once is enough");
        shape.set_enabled(true);
        assert!(shape.equals(&rke()), "{shape:?}");
    }

    #[test]
    fn mounts_as_the_tools_list_them() {
        let shape = |mounts: [&str; 2]| Shape { mounts: mounts.map(str::to_owned).to_vec(), ..rke() };
        let ours = shape(["/etc/etcd:/etc/etcd:ro", "/data:/data"]);
        assert!(
            ours.equals(&shape(["/data:/data:rw,rprivate,rbind", "/etc/etcd:/etc/etcd/:ro,rprivate,rbind"]))
        );
        assert!(!ours.equals(&shape(["/data:/data", "/etc/etcd:/etc/etcd"])), "it may be written");
    }

    #[test]
    fn images_by_short_names() {
        assert!(same_image("localhost/lab/etcd:v1", "lab/etcd:v1"));
        assert!(same_image("docker.io/library/etcd", "etcd:latest"));
        assert!(!same_image("lab/etcd:v1", "lab/etcd:v2"));
        assert!(!same_image("myetcd:v1", "etcd:v1"));
    }

    #[test]
    fn what_is_no_inspection() {
        for text in ["", "[]", "{}", "[{}]", "null", "[1]"] {
            let found = Found::parse(text);
            assert!(found.is_none_or(|found| found.shape.image.is_empty()), "{text}");
        }
    }
}
