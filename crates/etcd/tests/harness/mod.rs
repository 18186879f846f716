//! Real etcd processes on loopback addresses, each killed by its own id when its test ends.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_etcd::{
    Access, ClientIdentity, ClusterSpec, Condition, Endpoint, Observation, SpecMember, observe,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustix::process::{Pid, Signal, kill_process};
use zeroize::Zeroizing;

const ETCD: &str = "/usr/bin/etcd";

/// Whether there is an etcd to test with. Says so when there is none.
#[expect(clippy::print_stdout, reason = "whoever reads the test's output shall see that nothing was tested")]
pub(crate) fn etcd_is_here(test: &str) -> bool {
    let here = Path::new(ETCD).exists();
    if !here {
        println!("SKIPPED {test}: {ETCD} is not installed");
    }
    here
}

/// A CA, and what it signed.
pub(crate) struct Pki {
    pub(crate) ca: String,
    pub(crate) server: (String, String),
    pub(crate) operator: (String, String),
}

impl Pki {
    /// Server certificates for these addresses; an operator certificate `CN=root` without SANs.
    pub(crate) fn new(addresses: &[Ipv4Addr]) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let sign = |cn: &str, addresses: &[Ipv4Addr], uses: &[ExtendedKeyUsagePurpose]| {
            let key = KeyPair::generate().unwrap();
            let mut leaf = CertificateParams::default();
            leaf.distinguished_name = rcgen::DistinguishedName::new();
            leaf.distinguished_name.push(DnType::CommonName, cn);
            leaf.subject_alt_names = addresses.iter().map(|ip| SanType::IpAddress((*ip).into())).collect();
            leaf.extended_key_usages = uses.to_vec();
            (leaf.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (serve, dial) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
        let all: Vec<Ipv4Addr> = addresses.iter().copied().chain([Ipv4Addr::LOCALHOST]).collect();
        Self {
            ca: ca_pem,
            server: sign("etcd", &all, &[serve, dial.clone()]),
            operator: sign("root", &[], &[dial]),
        }
    }

    pub(crate) fn identity(&self) -> ClientIdentity {
        let key = Zeroizing::new(self.operator.1.clone().into_bytes());
        ClientIdentity::new(self.ca.as_bytes(), self.operator.0.as_bytes(), key).unwrap()
    }
}

/// One member: an address, a directory, and a process while it runs.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: Endpoint,
    pub(crate) peer: Endpoint,
    dir: PathBuf,
    child: Option<Child>,
}

impl Node {
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    pub(crate) fn initialised(&self) -> bool {
        let wal = self.dir.join("data/member/wal");
        wal.read_dir().is_ok_and(|mut files| files.next().is_some())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster in a temporary directory. `net` keeps tests apart: members are 127.83.net.1, .2, …
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) pki: Option<Pki>,
    pub(crate) extra: Vec<String>,
    token: String,
    dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn plan(net: u8, size: u8, tls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = |n: u8| Ipv4Addr::new(127, 83, net, n);
        let scheme = if tls { "https" } else { "http" };
        let nodes = (1..=size).map(|n| Node {
            name: format!("e{n}"),
            client: format!("{scheme}://{}:2379", address(n)).parse().unwrap(),
            peer: format!("{scheme}://{}:2380", address(n)).parse().unwrap(),
            dir: dir.path().join(format!("e{n}")),
            child: None,
        });
        let pki = tls.then(|| Pki::new(&(1..=size).map(address).collect::<Vec<_>>()));
        if let Some(pki) = &pki {
            std::fs::write(dir.path().join("ca.pem"), &pki.ca).unwrap();
            std::fs::write(dir.path().join("cert.pem"), &pki.server.0).unwrap();
            std::fs::write(dir.path().join("key.pem"), &pki.server.1).unwrap();
        }
        Self { nodes: nodes.collect(), pki, extra: Vec::new(), token: format!("test-{net}"), dir }
    }

    /// Plans and starts a whole new cluster, and waits until it is healthy.
    pub(crate) async fn start(net: u8, size: u8, tls: bool) -> Self {
        let mut cluster = Self::plan(net, size, tls);
        let all = cluster.initial_cluster(usize::from(size));
        for at in 0..usize::from(size) {
            cluster.spawn(at, "new", &all);
        }
        cluster
            .until("every member is healthy", |seen| {
                seen.voters().filter(|voter| voter.condition == Condition::Healthy).count()
                    == usize::from(size)
                    && seen.leader_known_by == usize::from(size)
            })
            .await;
        cluster
    }

    /// `initial-cluster` of the first `count` nodes.
    pub(crate) fn initial_cluster(&self, count: usize) -> String {
        let entries = self.nodes[..count].iter().map(|node| format!("{}={}", node.name, node.peer));
        entries.collect::<Vec<_>>().join(",")
    }

    pub(crate) fn spawn(&mut self, at: usize, state: &str, initial_cluster: &str) {
        let (root, token) = (self.dir.path().to_owned(), self.token.clone());
        let node = &mut self.nodes[at];
        std::fs::create_dir_all(&node.dir).unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(node.dir.join("log")).unwrap();
        let (client, peer) = (node.client.to_string(), node.peer.to_string());
        let mut command = Command::new(ETCD);
        command
            .args(["--name", &node.name, "--data-dir"])
            .arg(node.dir.join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", initial_cluster, "--initial-cluster-state", state])
            .args(["--initial-cluster-token", &token])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap"])
            .args(&self.extra);
        if self.pki.is_some() {
            for (flag, file) in [
                ("--trusted-ca-file", "ca.pem"),
                ("--cert-file", "cert.pem"),
                ("--key-file", "key.pem"),
                ("--peer-trusted-ca-file", "ca.pem"),
                ("--peer-cert-file", "cert.pem"),
                ("--peer-key-file", "key.pem"),
            ] {
                command.arg(flag).arg(root.join(file));
            }
            command.args(["--client-cert-auth", "--peer-client-cert-auth"]);
        }
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        node.child = Some(child);
    }

    /// Starts a member on the directory it has.
    pub(crate) fn respawn(&mut self, at: usize) {
        let all = self.initial_cluster(self.nodes.len());
        self.spawn(at, "existing", &all);
    }

    pub(crate) fn spec(&self) -> ClusterSpec {
        let member = |node: &Node| SpecMember {
            host: node.name.clone(),
            name: None,
            client: node.client.clone(),
            peer: node.peer.clone(),
        };
        ClusterSpec { name: "etcd".to_owned(), members: self.nodes.iter().map(member).collect() }
    }

    pub(crate) fn access(&self) -> Access {
        Access::direct(self.pki.as_ref().map(Pki::identity))
    }

    pub(crate) async fn see(&self) -> Observation {
        observe(&self.spec(), &self.access()).await
    }

    /// Observes until it is so, for at most 20 s.
    pub(crate) async fn until(&self, what: &str, mut so: impl FnMut(&Observation) -> bool) -> Observation {
        let started = Instant::now();
        loop {
            let seen = self.see().await;
            if so(&seen) {
                return seen;
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "waited in vain until {what}: {}\n{}",
                seen.members_line(Instant::now()),
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn logs(&self) -> String {
        let last = |node: &Node| {
            let text = std::fs::read_to_string(node.dir.join("log")).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(5).collect();
            format!("{}: {}", node.name, lines.join("\n    "))
        };
        self.nodes.iter().map(last).collect::<Vec<_>>().join("\n")
    }
}
