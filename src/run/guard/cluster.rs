//! The cluster behind a host, from variables alone: what the inventory says, by the conventions of the role `etcd`.
//!
//! In: a host and the scope of a task. Out: who the members should be, where they listen, which certificates the
//! operator has, and what the inventory's policy allows.
//!
//! **Invariant:** a host without `etcd_cluster` belongs to none, and finding that out costs one lookup.
//!
//! Not here: asking anybody ([`reach`](super::reach)).

use crate::plan::Step;
use crate::run::Run;
use crate::vars::{PlayVars, TaskScope, render};
use quorate_etcd::endpoint::Scheme;
use quorate_etcd::observe::{ClusterSpec, SpecMember};
use quorate_etcd::{Endpoint, Policy};
use quorate_value::{Str, Value, str_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variables that the guard and the modules of ours read by themselves, whether or not a playbook names them.
pub(crate) const VARIABLES: &[&str] = &[
    "etcd_address",
    "etcd_allow_degraded",
    "etcd_allow_outage",
    "etcd_allow_shrink",
    "etcd_cluster",
    "etcd_container",
    "etcd_data",
    "etcd_manifest",
    "etcd_operator",
    "etcd_peer_port",
    "etcd_port",
    "etcd_runtime",
    "etcd_seq",
    "etcd_tls",
    "etcd_unit",
    "pki_dir",
];

/// What scopes of other hosts are made from.
#[derive(Clone)]
pub(crate) struct Ground {
    /// The run.
    pub(crate) run: Arc<Run>,
    /// The play.
    pub(crate) play: Arc<PlayVars>,
    /// The step.
    pub(crate) step: Arc<Step>,
}

impl Ground {
    /// The variables of a host, as the step would see them there.
    pub(crate) fn scope(&self, host: &str) -> TaskScope {
        TaskScope::new(&self.run.shared, &self.play, &Arc::from(host), Some(&self.step))
    }
}

/// The operator's files on the controller. They may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pki {
    /// Whom to trust.
    pub(crate) ca: PathBuf,
    /// Who we are.
    pub(crate) cert: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

/// A cluster as the inventory wants it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Hosts and URLs.
    pub(crate) spec: ClusterSpec,
    /// What runs the member on the host that was asked about: its unit, its container, and the unit whose end is theirs.
    pub(crate) units: Vec<String>,
    /// Paths that must not go away there. Where the data is, as far as the inventory tells: of a role of ours, or of a
    /// package; and the manifest of a static pod.
    pub(crate) data: Vec<String>,
    /// What the inventory allows.
    pub(crate) policy: Policy,
    /// How to log in.
    pub(crate) pki: Pki,
}

impl Cluster {
    /// The cluster that a host belongs to; none if it has no `etcd_cluster`.
    pub(crate) fn of(ground: &Ground, host: &str) -> Option<Self> {
        let scope = ground.scope(host);
        let name = text(&scope, "etcd_cluster").filter(|name| !name.is_empty())?;
        let mut members: Vec<(i64, SpecMember)> = Vec::new();
        for other in neighbours(ground, host) {
            let own = (other.as_str() != host).then(|| ground.scope(&other));
            let scope = own.as_ref().unwrap_or(&scope);
            if text(scope, "etcd_cluster").as_deref() == Some(name.as_str()) {
                members.push(member(scope, &name, &other));
            }
        }
        members.sort_by(|(a, x), (b, y)| (a, &x.host).cmp(&(b, &y.host)));
        Some(Cluster {
            units: units(&scope),
            data: text(&scope, "etcd_data")
                .filter(|path| path.starts_with('/'))
                .into_iter()
                .chain(["/data/etcd".into(), "/var/lib/etcd".into()])
                .chain(text(&scope, "etcd_manifest").filter(|path| path.starts_with('/')))
                .chain(Some("/etc/kubernetes/manifests/etcd.yaml".to_owned()))
                .collect(),
            policy: policy(ground, &scope),
            pki: pki(&scope),
            spec: ClusterSpec { name, members: members.into_iter().map(|(_, member)| member).collect() },
        })
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }
}

/// The unit, and with containers their names too. Docker ends with its containers; podman has nothing that could end.
fn units(scope: &TaskScope) -> Vec<String> {
    let named = |name: &str| text(scope, name).filter(|name| !name.is_empty());
    let mut units: Vec<String> = named("etcd_unit").into_iter().chain(named("etcd_container")).collect();
    if named("etcd_runtime").as_deref() == Some("docker") {
        units.extend(["docker".to_owned(), "containerd".to_owned()]);
    }
    units
}

/// Hosts that may be of the same cluster: those of the group `etcd` if this one is in it, otherwise all. (`-e
/// etcd_cluster=…` and variables of a play reach every host there is.)
fn neighbours(ground: &Ground, host: &str) -> Vec<String> {
    let inventory = ground.run.shared.inventory();
    let group = inventory.group_id("etcd").map(|group| inventory.hosts_of(group)).unwrap_or_default();
    let group: Vec<String> = group.into_iter().map(|id| inventory.host_name(id).to_string()).collect();
    if group.iter().any(|name| name == host) {
        return group;
    }
    let mut all: Vec<String> = inventory.hosts().map(|id| inventory.host_name(id).to_string()).collect();
    if !all.iter().any(|name| name == host) {
        all.push(host.to_owned());
    }
    all
}

fn member(scope: &TaskScope, cluster: &str, host: &str) -> (i64, SpecMember) {
    let address = ["etcd_address", "ansible_host", "ansible_ssh_host"]
        .iter()
        .find_map(|name| text(scope, name).filter(|address| !address.is_empty()))
        .unwrap_or_else(|| host.to_owned());
    let port = |name: &str, otherwise: u16| {
        text(scope, name)
            .and_then(|port| port.trim().parse().ok())
            .filter(|port| *port > 0)
            .unwrap_or(otherwise)
    };
    let tls = value(scope, "etcd_tls").and_then(|value| value.to_bool_loose()).unwrap_or(true);
    let scheme = if tls { Scheme::Https } else { Scheme::Http };
    let endpoint = |port| Endpoint::new(scheme, &address, port);
    let seq = text(scope, "etcd_seq");
    let order = seq.as_ref().and_then(|seq| seq.parse().ok()).unwrap_or(i64::MAX);
    let member = SpecMember {
        host: host.to_owned(),
        name: seq.map(|seq| format!("{cluster}-{seq}")),
        client: endpoint(port("etcd_port", 2379)),
        peer: endpoint(port("etcd_peer_port", 2380)),
    };
    (order, member)
}

/// `etcd_allow_*` of the inventory or `-e`, and the operator's word on the command line.
pub(crate) fn policy(ground: &Ground, scope: &TaskScope) -> Policy {
    let flag = |name: &str| flag(scope, name);
    let mut policy = Policy {
        allow_outage: flag("etcd_allow_outage"),
        allow_degraded: flag("etcd_allow_degraded"),
        allow_shrink: flag("etcd_allow_shrink"),
        override_quorum: ground.run.shared.options.override_guard,
        ..Policy::default()
    };
    if std::path::Path::new("playbooks/etcd.yml").is_file() {
        policy.playbook = "playbooks/etcd.yml".into();
    }
    policy.playbook.push_str(&inventories(ground));
    policy
}

/// `-i …`, where the configuration alone would find another inventory: a command that is named is to work as it stands.
fn inventories(ground: &Ground) -> String {
    let shared = &ground.run.shared;
    let configured = shared.settings.paths("DEFAULT_HOST_LIST");
    let sources = &shared.options.sources;
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if sources.iter().map(|source| full(Path::new(source))).eq(configured.iter().map(|path| full(path))) {
        return String::new();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = |source: &String| {
        let path = Path::new(source).strip_prefix(&here).unwrap_or(Path::new(source));
        format!(" -i {}", path.display())
    };
    sources.iter().map(shown).collect()
}

/// `etcd_operator`, or what lies in `pki_dir`, which is beside the inventory unless told otherwise.
pub(crate) fn pki(scope: &TaskScope) -> Pki {
    let dir = PathBuf::from(text(scope, "pki_dir").filter(|dir| !dir.is_empty()).unwrap_or_else(|| {
        let inventory =
            expression(scope, "{{ inventory_dir | default('.', true) }}").unwrap_or_else(|| ".".into());
        format!("{inventory}/files/pki")
    }));
    let operator = value(scope, "etcd_operator");
    let named = |part: &str, otherwise: &str, pigsty: &str| {
        let given = match &operator {
            Some(Value::Dict(parts)) => parts.get(part).filter(|path| path.is_truthy()).map(str_of),
            _ => None,
        };
        given.map_or_else(
            || {
                let (ours, theirs) = (dir.join(otherwise), dir.join(pigsty));
                if !ours.exists() && theirs.exists() { theirs } else { ours }
            },
            PathBuf::from,
        )
    };
    // Pigsty keeps its authority in a folder of its own, and only the members have certificates
    let member = |end: &str| {
        let part = |name| text(scope, name).unwrap_or_default();
        format!("etcd/{}-{}.{end}", part("etcd_cluster"), part("etcd_seq"))
    };
    Pki {
        ca: named("ca", "ca.crt", "ca/ca.crt"),
        cert: named("cert", "etcd/root.crt", &member("crt")),
        key: named("key", "etcd/root.key", &member("key")),
    }
}

fn value(scope: &TaskScope, name: &str) -> Option<Value> {
    let raw = scope.lookup(name)?;
    render::value(scope, &raw).ok().filter(|value| !matches!(value, Value::Null | Value::Omit))
}

/// A variable as text; none where it is a structure (a role registers a result as `etcd_unit`) or cannot be rendered.
pub(crate) fn text(scope: &TaskScope, name: &str) -> Option<String> {
    value(scope, name)
        .filter(|value| matches!(value, Value::Str(_) | Value::Int(_)))
        .map(|value| str_of(&value))
}

/// A variable as yes or no; no where it is neither.
pub(crate) fn flag(scope: &TaskScope, name: &str) -> bool {
    value(scope, name).and_then(|value| value.to_bool_loose()).unwrap_or(false)
}

fn expression(scope: &TaskScope, template: &str) -> Option<String> {
    render::value(scope, &Value::Str(Str::new(template).trusted())).ok().map(|value| str_of(&value))
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
