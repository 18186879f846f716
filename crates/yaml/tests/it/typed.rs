//! Mappings to fields and structs: what is read, and what is said about the rest.

use crate::read;
use quorate_value::Value;
use quorate_yaml::{Fields, Node, Spanned, as_value};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Fast,
    Slow { delay: u32 },
    Named(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cluster {
    name: String,
    version: Option<Spanned<String>>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    modes: Vec<Mode>,
    #[serde(default)]
    secure: bool,
    ratio: Option<f64>,
    pair: Option<(i64, String)>,
    labels: Option<BTreeMap<String, String>>,
    raw: Option<Node>,
    #[serde(default, deserialize_with = "as_value")]
    value: Value,
}

#[test]
fn structs() {
    let text = "name: a\nversion: 3.10\nports: [2379, '2380']\nmodes: [fast, slow: {delay: 5}, named: x]\nsecure: 'yes'\nratio: 1\npair: [1, b]\nlabels: {a: 1, b: yes}\nraw: !unsafe [x]\nvalue: ['{{ y }}']\n";
    let cluster: Cluster = read(text).unwrap().root.decode().unwrap();
    assert_eq!(cluster.name, "a");
    let version = cluster.version.unwrap();
    assert_eq!((version.as_str(), version.span.line, version.span.column), ("3.10", 2, 10));
    assert_eq!(cluster.ports, [2379, 2380]);
    assert_eq!(cluster.modes, [Mode::Fast, Mode::Slow { delay: 5 }, Mode::Named("x".into())]);
    assert!(cluster.secure);
    assert_eq!((cluster.ratio, cluster.pair), (Some(1.0), Some((1, "b".into()))));
    assert_eq!(cluster.labels.unwrap()["b"], "yes");
    assert_eq!(cluster.raw.unwrap().tag.as_deref(), Some("!unsafe"));
    let text = cluster.value.as_list().unwrap()[0].as_text().unwrap().clone();
    assert_eq!((text.is_trusted(), text.span().line), (true, 10));
}

#[test]
fn errors_name_the_place() {
    for (text, expected) in [
        ("name: a\nprts: [1]\n", "/t.yml:2:1: `prts` is not known here\nhint: Did you mean `ports`?"),
        ("name: a\nports: [1, x]\n", "/t.yml:2:12: expected u16, but this is `x`"),
        ("name: a\nports: 5\n", "/t.yml:2:8: expected a sequence, but this is `5`"),
        ("name: a\nports: [70000]\n", "/t.yml:2:9: expected u16, but this is `70000`"),
        ("name: [a]\n", "/t.yml:1:7: expected a string, but this is a list"),
        ("name:\n", "/t.yml:1:6: expected a string, but this is nothing"),
        ("ports: []\n", "/t.yml:1:1: `name` is missing"),
        ("- a\n", "/t.yml:1:1: expected a mapping, but this is a list"),
        (
            "name: a\nmodes: [fats]\n",
            "/t.yml:2:9: `fats` is none of `fast`, `slow`, `named`\nhint: Did you mean `fast`?",
        ),
        ("name: a\nmodes: [slow]\n", "/t.yml:2:9: `slow` needs a value: write `slow: …`"),
        ("name: a\nmodes: [{slow: {dely: 1}}]\n", "/t.yml:2:16: `delay` is missing"),
        ("name: a\nsecure: maybe\n", "/t.yml:2:9: expected a boolean, but this is `maybe`"),
        ("name: !vault |\n  3132\n", "/t.yml:1:7: expected a string, but this is an encrypted value"),
    ] {
        let error = read(text).unwrap().root.decode::<Cluster>().unwrap_err();
        assert_eq!(error.report(), expected, "{text}");
    }
}

#[test]
fn fields() {
    let root = read("name: x\nhosts: all\nbecom: yes\n7: z\ntask: []\n").unwrap().root;
    let mut fields = Fields::of(&root, "a play").unwrap();
    assert_eq!(fields.decode::<String>("name").unwrap().as_deref(), Some("x"));
    assert_eq!(fields.required("hosts").unwrap().as_str(), Some("all"));
    assert_eq!(fields.required("roles").unwrap_err().report(), "/t.yml:1:1: a play needs `roles`");
    fields.know(["become", "become_user", "tasks"]);
    assert!(fields.get("tasks").is_none());
    let unknown: Vec<_> = fields.unknown().into_iter().map(|field| (field.name, field.span.line)).collect();
    assert_eq!(unknown, [("becom".into(), 3), ("7".into(), 4), ("task".into(), 5)]);
    assert_eq!(
        fields.finish().unwrap_err().report(),
        "/t.yml:3:1: a play has no `becom`\nhint: Did you mean `become`?\n/t.yml:4:1: a play has no `7`\n\
         /t.yml:5:1: a play has no `task`\nhint: Did you mean `tasks`?"
    );
    let list = read("- a").unwrap().root;
    assert_eq!(Fields::of(&list, "a play").unwrap_err().message(), "a play is a mapping, but this is a list");
}
