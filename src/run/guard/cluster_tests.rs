use super::*;
use crate::cli::common::{self, Shape};
use crate::plan::{Step, StepId};
use quorate_value::Span;
use std::path::Path;

/// A step of an ad-hoc run with this inventory, and what `-e` says.
fn ground(dir: &Path, inventory: &str, extra: &[&str]) -> Ground {
    let path = dir.join("hosts.yml");
    std::fs::write(&path, inventory).unwrap();
    let shape = Shape {
        inventory: vec![path.display().to_string()],
        extra_vars: extra.iter().map(|text| (*text).to_owned()).collect(),
        ..Shape::default()
    };
    let ground =
        common::ground(&shape, None, false, (&[], &[])).unwrap_or_else(|cannot| panic!("{}", cannot.text));
    let span = Span::default();
    let task = ground.shared.loader().adhoc("command", Value::from("true"), span).unwrap();
    let step = Step {
        id: StepId(0),
        task: Arc::new(task),
        keywords: Arc::default(),
        context: Arc::default(),
        tags: Vec::new(),
        implicit: false,
    };
    Ground { run: common::start_minimal(&ground, false), play: Arc::default(), step: Arc::new(step) }
}

fn told(cluster: &Cluster) -> String {
    let one =
        |m: &SpecMember| format!("{} {} {} {}", m.host, m.name.as_deref().unwrap_or("-"), m.client, m.peer);
    cluster.spec.members.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[test]
fn by_convention() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = "
all:
  children:
    etcd:
      children:
        main:
          hosts:
            10.0.0.3: { etcd_seq: 3 }
            b: { etcd_seq: 2, ansible_host: 10.0.0.2 }
            a: { etcd_seq: 1, ansible_host: 10.0.0.1, etcd_address: '{{ inventory_hostname }}.example', etcd_unit: store }
          vars: { etcd_cluster: main, etcd_port: 3379 }
        other:
          hosts: { c: { etcd_seq: 1, etcd_allow_outage: true, pki_dir: /pki } }
          vars: { etcd_cluster: other }
    web:
      hosts: { w: {} }
";
    let ground = ground(dir.path(), inventory, &[]);
    let main = Cluster::of(&ground, "a").unwrap();
    assert_eq!(main.name(), "main");
    assert_eq!(
        told(&main),
        "a main-1 https://a.example:3379 https://a.example:2380\n\
         b main-2 https://10.0.0.2:3379 https://10.0.0.2:2380\n\
         10.0.0.3 main-3 https://10.0.0.3:3379 https://10.0.0.3:2380"
    );
    assert_eq!(main.units, ["store"]);
    assert_eq!(main.pki.ca, dir.path().join("files/pki/ca.crt"));
    assert_eq!(main.pki.cert, dir.path().join("files/pki/etcd/root.crt"));
    assert!(!main.policy.allow_outage && !main.policy.override_quorum);

    // what Pigsty leaves on the controller does where nothing of ours lies
    let left = dir.path().join("files/pki");
    for file in ["ca/ca.crt", "etcd/main-1.crt", "etcd/main-1.key"] {
        std::fs::create_dir_all(left.join(file).parent().unwrap()).unwrap();
        std::fs::write(left.join(file), "x").unwrap();
    }
    let main = Cluster::of(&ground, "a").unwrap();
    assert_eq!(main.pki.ca, left.join("ca/ca.crt"));
    assert_eq!((main.pki.cert, main.pki.key), (left.join("etcd/main-1.crt"), left.join("etcd/main-1.key")));
    std::fs::write(left.join("ca.crt"), "x").unwrap();
    assert_eq!(Cluster::of(&ground, "a").unwrap().pki.ca, left.join("ca.crt"));

    let other = Cluster::of(&ground, "c").unwrap();
    assert_eq!(told(&other), "c other-1 https://c:2379 https://c:2380");
    assert_eq!((other.units.len(), other.pki.key.to_str()), (0, Some("/pki/etcd/root.key")));
    assert!(other.policy.allow_outage && !other.policy.allow_degraded);

    assert!(Cluster::of(&ground, "w").is_none(), "a host without etcd_cluster is nobody's member");
    assert!(Cluster::of(&ground, "localhost").is_none());
}

#[test]
fn extra_variables_reach_everybody_and_still_name_one_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = "
all:
  children:
    etcd: { hosts: { a: {}, b: {} } }
    web: { hosts: { w: {} } }
";
    let ground =
        ground(dir.path(), inventory, &["etcd_cluster=x", "{etcd_operator: {ca: /a, cert: /b, key: /c}}"]);
    let cluster = Cluster::of(&ground, "a").unwrap();
    assert_eq!(told(&cluster), "a - https://a:2379 https://a:2380\nb - https://b:2379 https://b:2380");
    assert_eq!(cluster.pki, Pki { ca: "/a".into(), cert: "/b".into(), key: "/c".into() });
}

#[test]
fn without_a_group_of_that_name_the_variable_decides() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = "
all:
  hosts:
    a: { etcd_cluster: x }
    b: { etcd_cluster: x }
    c: { etcd_cluster: y }
    d: {}
";
    let ground = ground(dir.path(), inventory, &[]);
    let hosts = |of: &str| {
        Cluster::of(&ground, of).map(|c| c.spec.members.iter().map(|m| m.host.clone()).collect::<Vec<_>>())
    };
    assert_eq!(hosts("a"), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(hosts("c"), Some(vec!["c".to_owned()]));
    assert_eq!(hosts("d"), None);
}

#[test]
fn a_registered_result_is_no_unit() {
    let dir = tempfile::tempdir().unwrap();
    let ground =
        ground(dir.path(), "all: { hosts: { a: { etcd_cluster: x, etcd_unit: { changed: true } } } }", &[]);
    assert!(Cluster::of(&ground, "a").unwrap().units.is_empty());
}

#[test]
fn containers_and_manifests() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = "
etcd:
  hosts:
    a: { etcd_runtime: docker, etcd_container: store }
    b: { etcd_runtime: staticpod, etcd_manifest: /k/etcd.yaml }
  vars: { etcd_cluster: x }
";
    let ground = ground(dir.path(), inventory, &[]);
    let of = |host: &str| Cluster::of(&ground, host).unwrap();
    assert_eq!(of("a").units, ["store", "docker", "containerd"]);
    assert!(of("b").units.is_empty());
    assert!(of("b").data.contains(&"/k/etcd.yaml".to_owned()));
}

#[test]
fn without_tls() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = "
etcd:
  hosts: { 10.0.0.1: { etcd_seq: 1 }, 10.0.0.2: { etcd_seq: 2, etcd_tls: 'yes' } }
  vars: { etcd_cluster: plain, etcd_tls: false }
";
    let ground = ground(dir.path(), inventory, &[]);
    assert_eq!(
        told(&Cluster::of(&ground, "10.0.0.1").unwrap()),
        "10.0.0.1 plain-1 http://10.0.0.1:2379 http://10.0.0.1:2380\n\
         10.0.0.2 plain-2 https://10.0.0.2:2379 https://10.0.0.2:2380"
    );
}
