//! `constructed` and `generator`, with a template engine small enough to read: names, `a.b`, `+`, `==`, quoted text.
//! The groups and variables expected here are those that ansible-core 2.19 made of the same files.

use crate::loading::load_with;
use quorate_inventory::{Inventory, Loaded, Options, Show, Templates};
use quorate_value::{Dict, Str, Value, str_of};
use std::sync::Arc;

struct Small;

impl Templates for Small {
    fn expression(&self, expression: &Str, variables: &Arc<Dict>) -> Result<Value, String> {
        let text = expression.trim();
        if let Some((a, b)) = text.split_once("==") {
            let (a, b) =
                (self.expression(&Str::from(a), variables)?, self.expression(&Str::from(b), variables)?);
            return Ok(Value::Bool(a == b));
        }
        if let Some((a, b)) = text.split_once('+') {
            let (a, b) =
                (self.expression(&Str::from(a), variables)?, self.expression(&Str::from(b), variables)?);
            return match (a, b) {
                (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a + b)),
                (a, b) => Ok(Value::from(str_of(&a) + &str_of(&b))),
            };
        }
        if let Some(quoted) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            return Ok(Value::from(quoted));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Value::Int(number));
        }
        let mut path = text.split('.');
        let first = path.next().unwrap_or_default();
        let mut value = variables.get(first).cloned().ok_or(format!("'{first}' is undefined"))?;
        for part in path {
            value = value.get(part).cloned().ok_or(format!("no attribute '{part}'"))?;
        }
        match &value {
            Value::Str(text) if text.is_template() => self.template(text, variables),
            _ => Ok(value),
        }
    }

    fn template(&self, template: &Str, variables: &Arc<Dict>) -> Result<Value, String> {
        let text = template.as_str();
        let Some((before, rest)) = text.split_once("{{") else { return Ok(Value::Str(template.clone())) };
        let (inside, after) = rest.split_once("}}").ok_or("unclosed")?;
        let value = self.expression(&Str::from(inside), variables)?;
        if before.is_empty() && after.is_empty() {
            return Ok(value);
        }
        let rest = self.template(&Str::from(after), variables)?;
        Ok(Value::from(format!("{before}{}{}", str_of(&value), str_of(&rest))))
    }
}

fn load(files: &[(&str, &str)], sources: &[&str]) -> (tempfile::TempDir, Loaded) {
    load_with(files, sources, |_| Options {
        templates: Some(Arc::new(Small)),
        extra_vars: Arc::new(Dict::from_iter([("ex", "5")])),
        ..Options::default()
    })
}

fn graph(inventory: &Inventory) -> String {
    inventory
        .show_graph(None, &Show::default())
        .unwrap()
        .replace("  |", "")
        .replace("--", "")
        .replace('\n', " ")
}

const HOSTS: &str = r#"
all:
  hosts:
    web1: {var1: 1, var2: 2, os: deb, tags: {env: prod, tier: ""}, lst: [a, b, ""], emp: "", n: 5, bad: "x-y z"}
    web2: {var1: 10, os: "", tags: {}, lst: []}
    db1: {os: rh}
  children:
    g: {hosts: {web1: }, vars: {gv: "{{ var1 }}"}}
"#;

#[test]
fn composed_variables() {
    let config = "
plugin: constructed
compose:
  sum: var1 + var2
  label: \"'x' + inventory_hostname\"
  through: gv
  chained: sum + 1
  names: group_names
  file: fromfile
  extra: ex
  flag: true
";
    let files = [("h.yml", HOSTS), ("c.yml", config), ("group_vars/all.yml", "fromfile: 1\n")];
    let (_kept, loaded) = load(&files, &["h.yml", "c.yml"]);
    assert!(loaded.failures.is_empty(), "{:?}", loaded.failures);
    let inventory = loaded.inventory;
    let vars = inventory.host_vars(inventory.host_id("web1").unwrap()).unwrap();
    assert_eq!(vars.get("sum"), Some(&Value::Int(3)));
    assert_eq!(vars.get("label"), Some(&Value::from("xweb1")));
    assert_eq!(vars.get("through"), Some(&Value::Int(1)));
    assert_eq!(vars.get("names"), Some(&Value::list([Value::from("g")])));
    assert_eq!(vars.get("flag"), Some(&Value::Bool(true)));
    for absent in ["chained", "file", "extra"] {
        assert_eq!(vars.get(absent), None, "{absent}");
    }
    let more = format!("{config}use_vars_plugins: true\nuse_extra_vars: true\n");
    let (_kept, loaded) = load(
        &[("h.yml", HOSTS), ("c.yml", &more), ("group_vars/all.yml", "fromfile: 1\n")],
        &["h.yml", "c.yml"],
    );
    let inventory = loaded.inventory;
    let vars = inventory.host_vars(inventory.host_id("db1").unwrap()).unwrap();
    assert_eq!(vars.get("file"), Some(&Value::Int(1)));
    assert_eq!(vars.get("extra"), Some(&Value::from("5")));
}

#[test]
fn groups_by_condition_and_by_value() {
    let cases = [
        (
            "groups: {deb: os == 'deb', bad-name: true, never: false, text: \"'yes'\", undef: nope}",
            "deb web1",
            "bad_name",
        ),
        ("keyed_groups: [{key: os}]", "_deb web1 @_rh: db1", "os"),
        ("keyed_groups: [{key: os, prefix: os}]", "os_deb web1 @os_rh: db1", ""),
        ("keyed_groups: [{key: os, prefix: '', separator: ''}]", "deb web1 @rh: db1", ""),
        ("leading_separator: false\nkeyed_groups: [{key: os}]", "deb web1 @rh: db1", ""),
        ("keyed_groups: [{key: tags, prefix: t}]", "t_env_prod web1 @t_tier_: web1", ""),
        (
            "keyed_groups: [{key: tags, prefix: t, trailing_separator: false}]",
            "t_env_prod web1 @t_tier: web1",
            "",
        ),
        ("keyed_groups: [{key: tags, prefix: t, default_value: dv}]", "t_env_prod web1 @t_tier_dv: web1", ""),
        ("keyed_groups: [{key: lst, prefix: l, separator: '-'}]", "l_a web1 @l_b: web1 @l_: web1", ""),
        ("keyed_groups: [{key: lst, prefix: l, default_value: dv}]", "l_a web1 @l_b: web1 @l_dv: web1", ""),
        ("keyed_groups: [{key: emp, prefix: e, default_value: dv}]", "e_dv web1", ""),
        ("keyed_groups: [{key: emp, prefix: e}]", "", ""),
        ("keyed_groups: [{key: bad, prefix: b}]", "b_x_y_z web1", ""),
        ("keyed_groups: [{key: missing, prefix: m}]", "", ""),
        (
            "keyed_groups: [{key: os, parent_group: 'p_{{ os }}', prefix: k}]",
            "p_deb @k_deb: web1 @p_rh: @k_rh: db1",
            "",
        ),
    ];
    for (body, expected, _) in cases {
        let config = format!("plugin: ansible.builtin.constructed\n{body}\n");
        let (_kept, loaded) = load(&[("h.yml", HOSTS), ("c.yml", &config)], &["h.yml", "c.yml"]);
        assert!(loaded.failures.is_empty(), "{body}: {:?}", loaded.failures);
        let graph = graph(&loaded.inventory);
        let (_, made) = graph.split_once("@g: web1 ").unwrap();
        let made = made.trim().trim_start_matches('@').replacen(':', "", 1);
        let made = made.split(" @bad_name").next().unwrap();
        assert_eq!(made, expected, "{body}");
    }
}

#[test]
fn mistakes_name_host_and_expression() {
    let cases = [
        ("strict: true\ncompose: {a: nope}", "cannot evaluate `nope` for host `web1`: 'nope' is undefined"),
        (
            "strict: true\ngroups: {a: os}",
            "cannot evaluate `os` for host `web1`: the condition is 'deb', not a boolean",
        ),
        (
            "keyed_groups: [{key: n}]",
            "cannot evaluate `n` for host `web1`: a group name is text, a list of texts or a mapping, not int",
        ),
        (
            "strict: true\nkeyed_groups: [{key: emp}]",
            "cannot evaluate `emp` for host `web1`: the key is empty",
        ),
        ("compose: [a]", "`compose` of plugin `constructed` must be a mapping, not a list"),
        (
            "keyed_groups: {a: b}",
            "`keyed_groups` of plugin `constructed` must be a list of mappings, not a mapping",
        ),
        (
            "keyed_groups: [{key: os, default_value: x, trailing_separator: false}]",
            "the inventory plugin `constructed` takes `default_value` or `trailing_separator` in a keyed group, not both",
        ),
    ];
    for (body, message) in cases {
        let config = format!("plugin: constructed\n{body}\n");
        let (_kept, loaded) = load(&[("h.yml", HOSTS), ("c.yml", &config)], &["h.yml", "c.yml"]);
        let errors: Vec<String> = loaded.failures[0].errors().iter().map(ToString::to_string).collect();
        assert_eq!(errors, [message], "{body}");
        assert!(loaded.failures[0].errors()[0].span().is_some(), "{body}");
    }
    let config = "plugin: constructed\nkeyed_group: []\n";
    let (_kept, loaded) = load(&[("h.yml", HOSTS), ("c.yml", config)], &["h.yml", "c.yml"]);
    assert_eq!(loaded.warnings[0].nearest(), ["keyed_groups"]);
}

#[test]
fn generated_hosts() {
    let config = r#"
plugin: generator
hosts:
  name: "{{ operation }}_{{ application }}_runner"
  parents:
    - name: "{{ operation }}_{{ application }}"
      parents:
        - name: "{{ operation }}"
        - name: "{{ application }}"
          vars: {application: "{{ application }}", n: 5}
    - name: runner
layers:
  operation: [build, launch]
  application: [web, api]
"#;
    let (_kept, loaded) = load(&[("g.yml", config)], &["g.yml"]);
    assert!(loaded.failures.is_empty(), "{:?}", loaded.failures);
    let inventory = loaded.inventory;
    assert_eq!(
        graph(&inventory),
        "@all: @ungrouped: @build: @build_web: build_web_runner @build_api: build_api_runner @web: @build_web: \
         build_web_runner @launch_web: launch_web_runner @runner: build_web_runner build_api_runner launch_web_runner \
         launch_api_runner @api: @build_api: build_api_runner @launch_api: launch_api_runner @launch: @launch_web: \
         launch_web_runner @launch_api: launch_api_runner "
    );
    let vars = inventory.host_vars(inventory.host_id("launch_api_runner").unwrap()).unwrap();
    assert_eq!(*vars, Dict::from_iter([("application", Value::from("api")), ("n", Value::Int(5))]));
    for (config, message) in [
        ("hosts: {name: a}", "the inventory plugin `generator` needs `layers`"),
        ("layers: {x: [1]}", "the inventory plugin `generator` needs `hosts`"),
        (
            "hosts: {name: '{{ nope }}'}\nlayers: {x: [1]}",
            "cannot evaluate `{{ nope }}`: 'nope' is undefined",
        ),
        ("hosts: {name: a, parents: [{vars: {}}]}\nlayers: {x: [1]}", "Element a has a parent with no name."),
    ] {
        let (_kept, loaded) = load(&[("g.yml", &format!("plugin: generator\n{config}\n"))], &["g.yml"]);
        assert_eq!(loaded.failures[0].errors()[0].to_string(), message);
    }
}

#[test]
fn without_templates_it_says_so() {
    let (_kept, loaded) =
        load_with(&[("c.yml", "plugin: constructed\n")], &["c.yml"], |_| Options::default());
    let error = &loaded.failures[0].errors()[0];
    assert_eq!(
        error.to_string(),
        "the inventory plugin `constructed` needs the template engine, which was not given"
    );
    let (_kept, loaded) = load(&[("c.yml", "plugin: construct\n")], &["c.yml"]);
    assert_eq!(loaded.failures[0].errors()[0].nearest(), ["constructed"]);
}
