//! Sources of every kind to groups, hosts and variables.

use quorate_inventory::{Inventory, Loaded, Options, Warning};
use quorate_value::{Value, repr};
use std::fs;
use std::path::Path;

/// Writes files below a fresh directory and loads the sources, named relative to it.
pub(crate) fn load(files: &[(&str, &str)], sources: &[&str]) -> (tempfile::TempDir, Loaded) {
    load_with(files, sources, |_| Options::default())
}

pub(crate) fn load_with(
    files: &[(&str, &str)],
    sources: &[&str],
    options: impl FnOnce(&Path) -> Options,
) -> (tempfile::TempDir, Loaded) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let sources: Vec<String> = sources
        .iter()
        .map(|source| {
            let list = source.contains(',');
            if list {
                (*source).to_owned()
            } else {
                directory.path().join(source).to_string_lossy().into_owned()
            }
        })
        .collect();
    let loaded = Inventory::load(&sources, options(directory.path()));
    (directory, loaded)
}

fn hosts(inventory: &Inventory, pattern: &str) -> String {
    let found = inventory.select(pattern).hosts;
    found.into_iter().map(|host| inventory.host_name(host).to_string()).collect::<Vec<_>>().join(" ")
}

fn var(inventory: &Inventory, host: &str, name: &str) -> String {
    let vars = inventory.host_vars(inventory.host_id(host).unwrap()).unwrap();
    vars.get(name).map_or_else(|| "-".into(), repr)
}

const CLUSTER: &str = "\
etcd:
  hosts:
    10.10.10.10: { etcd_seq: 1 }
    10.10.10.11: { etcd_seq: 2 }
    10.10.10.12: { etcd_seq: 3 }
  vars: { etcd_cluster: etcd }
";

#[test]
fn a_cluster_in_yaml() {
    let (_kept, loaded) = load(&[("hosts.yml", CLUSTER)], &["hosts.yml"]);
    assert!(loaded.parsed && loaded.failures.is_empty() && loaded.warnings.is_empty(), "{loaded:?}");
    let inventory = loaded.inventory;
    assert_eq!(hosts(&inventory, "etcd"), "10.10.10.10 10.10.10.11 10.10.10.12");
    assert_eq!(var(&inventory, "10.10.10.11", "etcd_seq"), "2");
    assert_eq!(var(&inventory, "10.10.10.11", "etcd_cluster"), "'etcd'");
    let host = inventory.host_id("10.10.10.12").unwrap();
    assert_eq!(repr(inventory.group_names(host)), "['etcd']");
    assert_eq!(repr(inventory.magic_vars(host).get("inventory_hostname_short").unwrap()), "'10'");
    let cluster = inventory.host_vars(host).unwrap().get("etcd_cluster").cloned().unwrap();
    let Value::Str(text) = cluster else { panic!("text") };
    assert!(text.is_trusted());
    assert_eq!((text.span().line, text.span().column), (6, 25));
}

#[test]
fn precedence_from_weakest_to_strongest() {
    let files = [
        (
            "inv/hosts.ini",
            "[web]\nh v0=host\n[web:vars]\nv0=group\nv1=group\nv2=group\nv3=group\nv4=group\nv5=group\nv6=group\n[all:vars]\nv1=all\nva=all\n",
        ),
        (
            "inv/group_vars/all.yml",
            "v1: invall\nv2: invall\nv3: invall\nv4: invall\nv5: invall\nv6: invall\nva: invall\n",
        ),
        ("play/group_vars/all/main.yml", "v2: playall\nv3: playall\nv4: playall\nv5: playall\nv6: playall\n"),
        ("inv/group_vars/web.yaml", "v3: invweb\nv4: invweb\nv5: invweb\nv6: invweb\n"),
        ("play/group_vars/web", "v4: playweb\nv5: playweb\nv6: playweb\nv0: playweb\n"),
        ("inv/host_vars/h.json", "{\"v5\": \"invhost\", \"v6\": \"invhost\"}"),
        ("play/host_vars/h/x.yml", "v6: playhost\n"),
    ];
    let (kept, loaded) = load_with(&files, &["inv/hosts.ini"], |directory| Options {
        playbook_dir: Some(directory.join("play")),
        ..Options::default()
    });
    let inventory = loaded.inventory;
    for (name, value) in [
        ("va", "'invall'"),
        ("v0", "'host'"),
        ("v1", "'invall'"),
        ("v2", "'playall'"),
        ("v3", "'invweb'"),
        ("v4", "'playweb'"),
        ("v5", "'invhost'"),
        ("v6", "'playhost'"),
    ] {
        assert_eq!(var(&inventory, "h", name), value, "{name}");
    }
    let told: Vec<String> = inventory
        .explain(inventory.host_id("h").unwrap(), "v6")
        .unwrap()
        .iter()
        .map(|d| format!("{} {} {}:{} {}", d.level.number(), d.owner, d.span.line, d.span.column, d.wins))
        .collect();
    assert_eq!(
        told,
        [
            "3 web 10:1 false",
            "4 all 6:1 false",
            "5 all 5:1 false",
            "6 web 4:1 false",
            "7 web 3:1 false",
            "9 h 1:19 false",
            "10 h 1:1 true",
        ]
    );
    drop(kept);
}

#[test]
fn nothing_parsed_leaves_localhost() {
    let (_kept, loaded) = load(&[], &["nope"]);
    assert!(!loaded.parsed);
    assert!(loaded.warnings.contains(&Warning::NothingParsed));
    assert_eq!(hosts(&loaded.inventory, "all"), "");
    assert_eq!(hosts(&loaded.inventory, "localhost"), "localhost");
    assert_eq!(var(&loaded.inventory, "localhost", "ansible_connection"), "'local'");
}
