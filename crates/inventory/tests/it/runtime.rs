//! `add_host` and `group_by`. Groups and orders are those that ansible-core 2.19 gave for the same steps.

use crate::loading::load;
use quorate_inventory::Inventory;
use quorate_value::{Dict, Value, dict, repr};

fn groups(inventory: &Inventory) -> String {
    inventory
        .groups_value()
        .as_dict()
        .unwrap()
        .iter()
        .map(|(name, hosts)| {
            let hosts: Vec<&str> = hosts.as_list().unwrap().iter().filter_map(Value::as_str).collect();
            format!("{}:{}", name.as_str().unwrap(), hosts.join(","))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn names(inventory: &Inventory, host: &str) -> String {
    repr(inventory.group_names(inventory.host_id(host).unwrap()))
}

#[test]
fn the_same_steps_as_ansible() {
    let (_kept, loaded) = load(&[("rt.ini", "h0\nh1\n[b]\nh2\n")], &["rt.ini"]);
    let mut inventory = loaded.inventory;
    assert_eq!(groups(&inventory), "all:h0,h1,h2 ungrouped:h0,h1 b:h2");
    let none = Dict::new();
    let (new1, changed) = inventory.add_host("new1", &["a", "b"], &dict! {"x" => 1i64}).unwrap();
    assert!(changed);
    assert!(!inventory.add_host("new1", &["a", "b"], &dict! {"x" => 1i64}).unwrap().1);
    inventory.add_host("new2", &[] as &[&str], &none).unwrap();
    inventory.add_host("h1", &["c"], &none).unwrap();
    let h0 = inventory.host_id("h0").unwrap();
    assert!(inventory.group_by(h0, "k_h0", &["p1", "p2"]).unwrap());
    assert!(!inventory.group_by(h0, "k_h0", &["p1", "p2"]).unwrap());
    assert!(inventory.group_by(h0, "k-x-y", &["all"]).unwrap());
    inventory.add_host("new3", &["a", "z"], &none).unwrap();
    assert_eq!(
        groups(&inventory),
        "all:new1,new2,new3,h2,h1,h0 ungrouped:new2 b:h2,new1 a:new1,new3 c:h1 k_h0:h0 p1:h0 p2:h0 k-x-y:h0 z:new3"
    );
    assert_eq!(names(&inventory, "new1"), "['a', 'b']");
    assert_eq!(names(&inventory, "h1"), "['c']");
    assert_eq!(names(&inventory, "new2"), "['ungrouped']");
    assert_eq!(names(&inventory, "h0"), "['k-x-y', 'k_h0', 'p1', 'p2']");
    assert_eq!(inventory.host_vars(new1).unwrap().get("x"), Some(&Value::Int(1)));
    assert_eq!(inventory.select("p1").hosts, [h0]);
}

#[test]
fn new_members_get_the_variables_of_their_groups() {
    let files = [
        ("h", "h0\n[old]\nh1\n"),
        ("group_vars/made.yml", "v: made\n"),
        ("host_vars/fresh.yml", "w: file\n"),
    ];
    let (_kept, loaded) = load(&files, &["h"]);
    let mut inventory = loaded.inventory;
    let h0 = inventory.host_id("h0").unwrap();
    assert_eq!(inventory.host_vars(h0).unwrap().get("v"), None);
    inventory.group_by(h0, "made", &[] as &[&str]).unwrap();
    assert_eq!(inventory.host_vars(h0).unwrap().get("v"), Some(&Value::from("made")));
    let (fresh, _) = inventory.add_host("fresh", &["made"], &dict! {"w" => "argument"}).unwrap();
    let vars = inventory.host_vars(fresh).unwrap();
    assert_eq!((vars.get("v"), vars.get("w")), (Some(&Value::from("made")), Some(&Value::from("file"))));
    inventory.add_host("fresh", &[] as &[&str], &dict! {"x" => 1i64}).unwrap();
    assert_eq!(inventory.host_vars(fresh).unwrap().get("x"), Some(&Value::Int(1)));
}

#[test]
fn a_loop_of_groups_is_refused() {
    let (_kept, loaded) = load(&[("h", "[a:children]\nb\n[b]\nh\n")], &["h"]);
    let mut inventory = loaded.inventory;
    let error = inventory.add_group("a", &["b"]).unwrap_err();
    assert_eq!(error.to_string(), "adding group `a` as child to `b` creates a recursive dependency loop");
    assert_eq!(
        inventory.add_host("", &[] as &[&str], &Dict::new()).unwrap_err().to_string(),
        "a host needs a name"
    );
}
