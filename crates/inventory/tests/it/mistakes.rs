//! What people read when an inventory is wrong: message, place, hint, nearest names.

use crate::loading::{load, load_with};
use quorate_inventory::{Decrypt, Inventory, InventoryError, Limit, Options, Secrets, Show, Warning};
use quorate_value::Span;
use std::path::Path;
use std::sync::Arc;

fn place(span: Option<Span>) -> String {
    span.map_or_else(|| "-".into(), |span| format!("{}:{}", span.line, span.column))
}

fn told(error: &InventoryError) -> String {
    let mut text = format!("{} {error}", place(error.span()));
    if let Some(hint) = error.hint() {
        text.push_str(&format!(" | {hint}"));
    }
    if !error.nearest().is_empty() {
        text.push_str(&format!(" | near: {}", error.nearest().join(", ")));
    }
    text
}

#[test]
fn every_mistake_of_a_source_at_once() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "h.ini",
            "[web]\nh1 foo\nh2:\nh[1:\n[web:var]\n[db:children]\nwbe\n[prod:vars]\na=1\n",
            &[
                "2:4 expected `name=value` after the host, not `foo` | Write one host a line; quote values with blanks: `name='a b'`.",
                "3:1 the host `h2:` ends with `:`, but no port follows | Write `h2` or `h2:22`; for YAML, name the file `.yml`.",
                "4:1 `h[1:`: a `[` of the host range is not closed | Close the range with `]`, as in `web[01:10]`.",
                "5:1 section `[web:var]` has the unknown type `var` | Did you mean `[web:vars]`?",
                "7:1 `[db:children]` names group `wbe`, which is not defined | Define it with a section `[wbe]`, which may be empty. | near: web",
                "8:1 `[prod:vars]` names group `prod`, which is not defined | Define it with a section `[prod]`, which may be empty.",
            ],
        ),
        (
            "h.yml",
            "web:\n  hosts: [a]\ndb:\n  vars: 5\n  hosts:\n    1:\n    h[2:1]:\n    x[b:a]:\n    y: 3\n",
            &[
                "2:10 `hosts` of group `web` must be a mapping, not a list | Write `name:` with a colon in place of `- name`.",
                "4:9 `vars` of group `db` must be a mapping, not an integer",
                "6:5 the host name 1 must be text; put it in quotes",
                "8:5 `x[b:a]`: the first value of the host range comes after its last | Write a range as `web[01:10]` or `web[a:c]`, with a step as `web[01:10:2]`.",
                "9:8 variables of host `y` must be a mapping, not an integer | Write `y: {name: value}`.",
            ],
        ),
        (
            "loop.yml",
            "a: {children: {b: {children: {a: }}}}\n",
            &[
                "1:16 adding group `b` as child to `a` creates a recursive dependency loop | Take `b` out of the children of `a`.",
            ],
        ),
        (
            "prio.yml",
            "a: {vars: {ansible_group_priority: high}}\n",
            &["1:12 `ansible_group_priority` of group `a` must be an integer, not `high`"],
        ),
        ("bad.toml", "[web\nx = 1\n", &["1:5 not TOML: unclosed table, expected `]`"]),
        (
            "list.yml",
            "- a\n",
            &[
                "1:1 a YAML inventory must be a mapping of groups, not a list | Start with `all:`, and `hosts:` below it.",
            ],
        ),
    ];
    for (name, text, expected) in cases {
        let (_kept, loaded) = load(&[(name, text)], &[name]);
        let found: Vec<String> = loaded.failures[0].errors().iter().map(told).collect();
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn a_broken_source_hides_no_other() {
    let files = [("a.yml", "a: ["), ("b.ini", "[ok]\nz\n"), ("c.ini", "h x\n")];
    let (_kept, loaded) = load(&files, &["a.yml", "b.ini", "c.ini", "hosts.inn"]);
    assert_eq!(loaded.failures.len(), 3);
    assert!(loaded.parsed && loaded.inventory.host_id("z").is_some());
    assert!(matches!(loaded.failures[0].errors(), [InventoryError::Yaml(_)]));
    assert!(matches!(loaded.failures[2].errors(), [InventoryError::Missing { .. }]));
    let (_kept, loaded) = load(&[("hosts.ini", "a\n")], &["host.ini"]);
    assert_eq!(loaded.failures[0].errors()[0].nearest(), ["hosts.ini"]);
}

#[test]
fn nearest_names() {
    let text = "etcd: {hosts: {etcd-1: , etcd-2: }}\npgsql: {hosts: {pg-1: }, chidren: {}, hots: 5}\n";
    let (_kept, loaded) = load(&[("h.yml", text)], &["h.yml"]);
    let near: Vec<(String, &[String])> =
        loaded.warnings.iter().map(|w| (place(w.span()), w.nearest())).collect();
    assert_eq!(
        near,
        [("2:26".into(), &["children".to_owned()][..]), ("2:39".into(), &["hosts".to_owned()][..])]
    );
    let found = loaded.inventory.select("ectd:pgsq:etcd-3");
    let near: Vec<&[String]> = found.warnings.iter().map(Warning::nearest).collect();
    assert_eq!(
        near,
        [
            &["etcd".to_owned()][..],
            &["pgsql".to_owned()],
            &["etcd".to_owned(), "etcd-1".to_owned(), "etcd-2".to_owned()]
        ]
    );
    let error = &loaded.inventory.select("etcd[7]").errors[0];
    assert_eq!(error.to_string(), "No hosts matched the subscripted pattern 'etcd[7]'");
    assert_eq!(error.hint(), "Use an index from 0 to 1, or from -1 to -2: the pattern matches 2 hosts.");
}

#[test]
fn limits_from_files() {
    let (kept, loaded) = load(&[("h", "[web]\na\nb\nc\n"), ("retry", "a\n\n c \n")], &["h"]);
    let file = kept.path().join("retry");
    let limit = Limit::parse(&format!("@{}", file.display())).unwrap();
    let hosts = loaded.inventory.select_within("web:!c", Some(&limit)).hosts;
    assert_eq!(hosts, [loaded.inventory.host_id("a").unwrap()]);
    let missing = Limit::parse("@/nope").unwrap_err();
    assert_eq!(missing.to_string(), "Unable to find limit file /nope");
    let directory = Limit::parse(&format!("@{}", kept.path().display())).unwrap_err();
    assert!(directory.to_string().starts_with("Limit starting with \"@\" must be a file, not a directory: "));
}

struct Vault;

impl Decrypt for Vault {
    fn decrypt(&self, text: &[u8], _path: &Path) -> Result<String, String> {
        let text = String::from_utf8_lossy(text);
        text.strip_prefix("$ANSIBLE_VAULT;1.1;AES256\n")
            .map(str::to_owned)
            .ok_or_else(|| "no password opens it".into())
    }
}

const VAULTED: [(&str, &str); 4] = [
    ("h", "[web]\na\n[db]\nb\n"),
    ("group_vars/web/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\npassword: hunter2\nnested: {key: [hunter2]}\n"),
    ("group_vars/web/vars.yml", "user: \"{{ password }}\"\n"),
    ("host_vars/b.yml", "$ANSIBLE_VAULT;9.9\nx: 1\n"),
];

#[test]
fn a_vault_matters_only_to_those_who_need_it() {
    let (_kept, loaded) = load(&VAULTED, &["h"]);
    let inventory = loaded.inventory;
    let error = inventory.host_vars(inventory.host_id("a").unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("group_vars/web/vault.yml`: no vault password was given"), "{error}");
    assert!(error.hint().unwrap().contains("--vault-password-file"));
    let (_kept, loaded) =
        load_with(&VAULTED, &["h"], |_| Options { decrypt: Some(Arc::new(Vault)), ..Options::default() });
    let inventory = loaded.inventory;
    let vars = inventory.host_vars(inventory.host_id("a").unwrap()).unwrap();
    assert_eq!(vars.get("password").unwrap().as_str(), Some("hunter2"));
    assert!(vars.get("password").unwrap().holds_secret() && vars.get("nested").unwrap().holds_secret());
    assert!(!vars.get("user").unwrap().holds_secret());
    let errors: Vec<String> = inventory.check_vars().iter().map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("host_vars/b.yml`: no password opens it"), "{errors:?}");
}

#[test]
fn secrets_are_masked_unless_asked_for() {
    let (_kept, loaded) = load_with(&VAULTED[..3], &["h"], |_| Options {
        decrypt: Some(Arc::new(Vault)),
        ..Options::default()
    });
    let inventory: Inventory = loaded.inventory;
    let show = |secrets, vars| {
        let show = Show { secrets, vars, ..Show::default() };
        inventory.show_list(&show).unwrap()
            + &inventory.show_graph(None, &show).unwrap()
            + &inventory.show_host("a", &show).unwrap()
    };
    let masked = show(Secrets::Masked, true);
    assert!(!masked.contains("hunter2") && masked.contains("********"), "{masked}");
    assert!(show(Secrets::Plain, true).contains("hunter2"));
    assert!(!format!("{inventory:?}").contains("hunter2"));
}

#[test]
fn broken_files_of_variables_have_their_place() {
    let files = [
        ("h", "[web]\na\nb\nc\n"),
        ("host_vars/a.yml", "x: 1\ny: [\n"),
        ("host_vars/b.yml", "- x\n"),
        ("group_vars/web.yml", "k: 1\nk: 2\n"),
    ];
    let (_kept, loaded) = load(&files, &["h"]);
    let inventory = loaded.inventory;
    let error = |host| inventory.host_vars(inventory.host_id(host).unwrap()).unwrap_err();
    assert_eq!(place(error("a").span()), "3:1");
    assert!(told(&error("b")).ends_with("must be a mapping, not a list | Write one `name: value` per line."));
    assert_eq!(
        inventory.host_vars(inventory.host_id("c").unwrap()).unwrap().get("k").unwrap().as_int(),
        Some(2)
    );
    assert!(matches!(inventory.take_vars_warnings()[..], [Warning::Yaml(_)]));
    assert_eq!(inventory.check_vars().len(), 2);
}
