//! Laws that hold for any template: nothing panics, nothing runs away, what is rendered is not rendered again.

use crate::world::Files;
use proptest::prelude::*;
use quorate_template::{Context, Engine, Kind, Notice, Object, Options, Scope, Style, Var, World};
use quorate_value::{Dict, Key, Span, Str, Value, dict};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

fn written(text: &str) -> Str {
    Str::written(text, Span::default())
}

fn scope() -> Dict {
    dict! {
        "a" => 1i64, "b" => "text", "l" => Value::list([Value::Int(1), Value::from("x")]),
        "d" => dict! {"k" => 2i64}, "t" => written("{{ a }}"), "rec" => written("{{ rec }}"),
        "x" => written("{{ y }}"), "y" => written("{{ x }}"),
    }
}

fn render(text: &str) -> quorate_template::Result<Value> {
    let scope = scope();
    Engine::default().render_str(&written(text), &Context::new(&scope).with_world(&Files))
}

/// Pieces that make templates which are nearly right.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{{ ".to_owned()),
        Just(" }}".to_owned()),
        Just("{% ".to_owned()),
        Just(" %}".to_owned()),
        Just("{#".to_owned()),
        Just("#}".to_owned()),
        Just("-".to_owned()),
        prop_oneof![
            Just("if"),
            Just("for x in l"),
            Just("endfor"),
            Just("endif"),
            Just("else"),
            Just("set z ="),
            Just("macro m(p)"),
            Just("endmacro"),
            Just("raw"),
            Just("endraw"),
            Just("block q"),
            Just("endblock"),
            Just("with"),
            Just("endwith"),
            Just("call m()"),
            Just("endcall"),
            Just("filter upper"),
            Just("endfilter"),
            Just("extends 'base.j2'"),
            Just("include 'inc.j2'"),
            Just("import 'mac.j2' as k"),
            Just("self"),
            Just("loop"),
            Just("recursive"),
        ]
        .prop_map(str::to_owned),
        prop_oneof![
            Just("a"),
            Just("b"),
            Just("l"),
            Just("d"),
            Just("t"),
            Just("rec"),
            Just("nope"),
            Just("1"),
            Just("'s'"),
            Just("1.5"),
            Just("none"),
            Just("true"),
            Just("range(3)"),
            Just("99999999999999999999"),
            Just("omit"),
            Just("now()"),
        ]
        .prop_map(str::to_owned),
        prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("/"),
            Just("//"),
            Just("%"),
            Just("**"),
            Just("~"),
            Just("=="),
            Just("<"),
            Just(" in "),
            Just(" not "),
            Just(" and "),
            Just(" or "),
            Just(" is "),
            Just(" if "),
            Just(" else "),
            Just("|"),
            Just("."),
            Just("("),
            Just(")"),
            Just("["),
            Just("]"),
            Just("{"),
            Just("}"),
            Just(","),
            Just(":"),
            Just("="),
        ]
        .prop_map(str::to_owned),
        prop_oneof![
            Just("upper"),
            Just("list"),
            Just("join(',')"),
            Just("map('int')"),
            Just("select('odd')"),
            Just("sort"),
            Just("length"),
            Just("default(1)"),
            Just("defined"),
            Just("regex_replace('a','b')"),
            Just("to_json"),
            Just("combine(d)"),
            Just("items()"),
            Just("append(1)"),
            Just("format(a)"),
            Just("split()"),
            Just("batch(2)"),
            Just("random(seed=1)"),
            Just("zip(l)"),
        ]
        .prop_map(str::to_owned),
        "[ -~äöü\n]{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_us_panic(text in "(\\{\\{|\\}\\}|\\{%|%\\}|[ -~\n]|[äß😀])*") {
        let _unused = render(&text);
    }

    #[test]
    fn no_template_makes_us_panic(pieces in prop::collection::vec(piece(), 0..25)) {
        let text = pieces.concat();
        let _unused = render(&text);
        let _unused = render(&format!("{{{{ {text} }}}}"));
        let ctx_scope = scope();
        let _unused = Engine::default().condition(&Value::Str(written(&text)), &Context::new(&ctx_scope));
    }

    #[test]
    fn text_that_is_not_trusted_is_only_text(text in "(\\{\\{|\\}\\}|\\{%|%\\}|[ -~])*") {
        let mut scope = scope();
        scope.insert("data", Str::new(&text));
        let ctx = Context::new(&scope);
        let engine = Engine::default();
        prop_assert_eq!(engine.render_str(&written("{{ data }}"), &ctx).unwrap(), Value::from(text.as_str()));
        prop_assert_eq!(engine.render_value(&Value::from(text.as_str()), &ctx).unwrap(), Value::from(text.as_str()));
        let again = engine.render_str(&written("{{ data ~ '' }}"), &ctx).unwrap();
        prop_assert_eq!(engine.render_value(&again, &ctx).unwrap(), Value::from(text));
    }

    #[test]
    fn formatting_never_panics(spec in "[<>^=]?[-+ ]?#?0?[0-9]{0,3}[,_]?(\\.[0-9]{1,2})?[a-zA-Z%]?", number in any::<f64>(), whole in any::<i64>()) {
        let mut scope = Dict::new();
        scope.insert("f", Value::Float(number));
        scope.insert("i", whole);
        let ctx = Context::new(&scope);
        for text in [format!("{{{{ '{{:{spec}}}'.format(f) }}}}"), format!("{{{{ '{{:{spec}}}'.format(i) }}}}"), format!("{{{{ '%{spec}' % f }}}}")] {
            let _unused = Engine::default().render_str(&written(&text), &ctx);
        }
    }
}

#[test]
fn nothing_runs_away() {
    let deep = |open: &str, close: &str, count: usize| {
        format!("{{{{ {}1{} }}}}", open.repeat(count), close.repeat(count))
    };
    for text in [
        deep("(", ")", 100_000),
        deep("[", "]", 100_000),
        deep("-", "", 100_000),
        deep("not ", "", 100_000),
        deep("1 if ", " else 2", 10_000),
        format!("{{{{ {} }}}}", vec!["1"; 50_000].join(" + ")),
        format!("{{{{ 1 {} }}}}", "| string ".repeat(50_000)),
        format!("{{{{ a{} }}}}", ".b".repeat(50_000)),
        "{% for x in l %}".repeat(1000),
        "{% if a %}".repeat(10_000),
        "{{ range(10**12) | list }}".to_owned(),
        "{{ range(10**12) | length }}".to_owned(),
        "{{ 'x' * 10**12 }}".to_owned(),
        "{{ [1] * 10**12 }}".to_owned(),
        "{{ 2 ** 10 ** 9 }}".to_owned(),
        "{{ (10**1000) ** (10**1000) }}".to_owned(),
        "{{ '%1000000000d' % 5 }}".to_owned(),
        "{{ '{:1000000000}'.format(5) }}".to_owned(),
        "{{ rec }}".to_owned(),
        "{{ x }}".to_owned(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}".to_owned(),
        "{% set d = {} %}{% set _ = d.update({'a': d}) %}{{ d | to_json }}".to_owned(),
        "{% block a %}{{ self.a() }}{% endblock %}".to_owned(),
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
        "{% include 'self.j2' %}".to_owned(),
        "{{ range(10) | permutations(9) | list | length }}".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(300000) %}{% set ns.x = [ns.x] %}{% endfor %}x".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(300000) %}{% set ns.x = (ns.x, 1) %}{% endfor %}x".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(300000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}x".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(300000) %}{% set ns.x = namespace(y=ns.x) %}{% endfor %}x".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x == ns.x[:] }}".to_owned(),
        "{% set ns = namespace(x=[]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | flatten }}".to_owned(),
        "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}".to_owned(),
        "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}".to_owned(),
        "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}".to_owned(),
        "{{ ('a' * 10**6) | replace('a', 'b' * 10**6) | length }}".to_owned(),
        "{{ ('a' * 10**6).replace('a', 'b' * 10**6) | length }}".to_owned(),
        "{{ ('a' * 10**6) | regex_replace('a', 'b' * 10**6) | length }}".to_owned(),
        "{{ ('a' * 10**6) | list | join('b' * 10**6) | length }}".to_owned(),
        "{{ 'a' | regex_replace('(a*)*b', 'x') }}{{ ('a' * 40) | regex_search('(a|aa)+$b') }}".to_owned(),
        "{{ lookup('sequence', 'start=1 end=100000000000') }}".to_owned(),
    ] {
        // Some of these are fine; none may take long or take us down.
        let started = std::time::Instant::now();
        let _unused = render(&text);
        assert!(started.elapsed().as_secs() < 20, "{}", &text[..text.len().min(60)]);
    }
}

#[test]
fn engines_and_templates_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
    shared::<quorate_template::Template>();
    shared::<quorate_template::Error>();
}

#[test]
fn extensions_are_on_when_named() {
    let engine = |change: fn(&mut Style)| {
        let mut options = Options::default();
        change(&mut options.style);
        Engine::new(options)
    };
    let scope = scope();
    let ctx = Context::new(&scope);
    let text = "{% set x = [] %}{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{% do x.append(i) %}{% endfor %}{{ x }}";
    let both = engine(|style| (style.do_statement, style.loop_controls) = (true, true));
    let expected = Value::list([Value::Int(0), Value::Int(2)]);
    assert_eq!(both.render_str(&written(text), &ctx).unwrap(), expected);
    let error = Engine::default().render_str(&written(text), &ctx).unwrap_err();
    assert_eq!(error.detail().split('.').next(), Some("Encountered unknown tag 'continue'"));
}

#[test]
fn broken_conditions_hold_as_python_has_it_where_allowed() {
    let engine = Engine::new(Options { allow_broken_conditionals: true, ..Options::default() });
    let scope = scope();
    let world = Listener::default();
    let ctx = Context::new(&scope).with_world(&world);
    for (text, expected) in [
        ("b", true),
        ("''", false),
        ("l", true),
        ("0", false),
        ("none", false),
        ("", true),
        ("'false'", true),
    ] {
        assert_eq!(engine.condition(&Value::Str(written(text)), &ctx).unwrap(), expected, "{text}");
    }
    assert_eq!(world.0.borrow().len(), 7);
    assert!(
        matches!(&world.0.borrow()[0], Notice::Deprecation(words) if words.starts_with("Conditional result (True) was derived from value of type 'str'"))
    );
}

#[test]
fn loops_of_variables_are_found() {
    for text in ["{{ rec }}", "{{ x }}"] {
        let error = render(text).unwrap_err();
        assert_eq!(*error.kind(), Kind::Recursion, "{text}");
        assert!(error.to_string().starts_with("Recursive loop detected in template"));
    }
    let via: Vec<_> =
        render("{{ x }}").unwrap_err().via().iter().filter_map(|via| via.variable.clone()).collect();
    assert!(via.contains(&Arc::from("x")) && via.contains(&Arc::from("y")));
}

#[test]
fn mistakes_say_where() {
    let scope = dict! { "etcd_port" => 1i64, "url" => written("http://{{ etcd_prot }}") };
    let ctx = Context::new(&scope);
    let error = Engine::default().render_str(&written("x\n  {{ url | upper }}"), &ctx).unwrap_err();
    assert_eq!(error.to_string(), "'etcd_prot' is undefined");
    assert_eq!((error.name(), error.similar()), (Some("etcd_prot"), &["etcd_port".to_owned()][..]));
    assert_eq!(error.place().unwrap().snippet(), "etcd_prot");
    assert_eq!(error.via()[0].variable.as_deref(), Some("url"));
    let error = Engine::default().render_str(&written("a\nb {{ 1 / 0 }}"), &ctx).unwrap_err();
    assert_eq!((error.place().unwrap().position(), error.place().unwrap().snippet()), ((2, 6), "1 / 0"));
    let error = Engine::default().render_str(&written("{{ 1 | nofilter }}"), &ctx).unwrap_err();
    assert_eq!(error.place().unwrap().snippet(), "nofilter");
}

/// Another host's variables, seen lazily.
struct Hosts(Rc<dyn Scope>);

impl Object for Hosts {
    fn type_name(&self) -> &'static str {
        "HostVars"
    }

    fn get(&self, key: &Key) -> quorate_template::Result<Option<Var>> {
        Ok((key.as_str() == Some("db1")).then(|| Var::Object(Rc::new(Host(Rc::clone(&self.0))))))
    }

    fn keys(&self) -> Vec<Key> {
        vec![Key::from("db1")]
    }
}

struct Host(Rc<dyn Scope>);

impl Object for Host {
    fn type_name(&self) -> &'static str {
        "HostVarsVars"
    }

    fn get(&self, key: &Key) -> quorate_template::Result<Option<Var>> {
        let Some(name) = key.as_str() else { return Ok(None) };
        Ok(match self.0.get(name) {
            Some(Var::Lazy(value)) => Some(Var::LazyIn(value, Rc::clone(&self.0))),
            other => other,
        })
    }

    fn keys(&self) -> Vec<Key> {
        self.0.names().into_iter().map(Key::Str).collect()
    }
}

struct Own(Dict, Rc<Hosts>);

impl Scope for Own {
    fn get(&self, name: &str) -> Option<Var> {
        if name == "hostvars" {
            return Some(Var::Object(Rc::clone(&self.1) as Rc<dyn Object>));
        }
        Scope::get(&self.0, name)
    }

    fn names(&self) -> Vec<Arc<str>> {
        Scope::names(&self.0)
    }
}

#[test]
fn another_hosts_templates_see_that_hosts_variables() {
    let there = dict! {
        "name" => "db1", "address" => written("{{ name }}.example.org"), "broken" => written("{{ nope }}"),
        "list" => Value::list([Value::from(written("{{ name }}")), Value::from(written("{{ nope }}"))]),
    };
    let here = Own(dict! { "name" => "web1", "nope" => "here" }, Rc::new(Hosts(Rc::new(there))));
    let ctx = Context::new(&here);
    let engine = Engine::default();
    let render = |text: &str| engine.render_str(&written(text), &ctx);
    assert_eq!(
        render("{{ hostvars['db1'].address }} {{ name }}").unwrap(),
        Value::from("db1.example.org web1")
    );
    assert_eq!(render("{{ hostvars.db1.list[0] }}").unwrap(), Value::from("db1"));
    assert_eq!(render("{{ hostvars.db1.broken | default('d') }}").unwrap(), Value::from("d"));
    assert_eq!(render("{{ hostvars | list }}").unwrap(), Value::list([Value::from("db1")]));
    assert_eq!(render("{{ 'db2' in hostvars }}").unwrap(), Value::Bool(false));
    assert_eq!(
        render("{{ hostvars['db2'].x }}").unwrap_err().to_string(),
        "object of type 'HostVars' has no attribute 'db2'"
    );
    assert_eq!(
        render("{{ ['db1'] | map('extract', hostvars, 'address') | list }}")
            .unwrap()
            .as_list()
            .map(<[_]>::len),
        Some(1)
    );
}

#[derive(Default)]
struct Listener(RefCell<Vec<Notice>>);

impl World for Listener {
    fn notice(&self, notice: Notice) {
        self.0.borrow_mut().push(notice);
    }
}

#[test]
fn templates_in_literals_of_conditions_are_rendered_with_a_warning() {
    let scope = dict! { "a" => 1i64 };
    let world = Listener::default();
    let ctx = Context::new(&scope).with_world(&world);
    let engine = Engine::default();
    assert!(engine.condition(&Value::Str(written("'{{ a }}x' == '1x'")), &ctx).unwrap());
    assert!(
        matches!(&world.0.borrow()[..], [Notice::Warning(words)] if words.contains("embedded templates"))
    );
    let error = engine.condition(&Value::from("a == 1"), &ctx).unwrap_err();
    assert_eq!(*error.kind(), Kind::Untrusted);
}

#[test]
fn results_of_a_run_are_freed() {
    // Macros hold the scope that holds them; the rendering lets go of both.
    struct Counted(Rc<()>);
    impl Object for Counted {
        fn type_name(&self) -> &'static str {
            "Counted"
        }
        fn get(&self, _: &Key) -> quorate_template::Result<Option<Var>> {
            Ok(None)
        }
        fn keys(&self) -> Vec<Key> {
            let _ = &self.0;
            Vec::new()
        }
    }
    struct Holding(Rc<()>);
    impl Scope for Holding {
        fn get(&self, name: &str) -> Option<Var> {
            (name == "object").then(|| Var::Object(Rc::new(Counted(Rc::clone(&self.0)))))
        }
        fn names(&self) -> Vec<Arc<str>> {
            Vec::new()
        }
    }
    let counter = Rc::new(());
    let scope = Holding(Rc::clone(&counter));
    for text in [
        "{% set o = object %}{% macro m() %}{{ o is mapping }}{% endmacro %}{{ m() }}",
        "{% set o = object %}{% block b %}{{ o is mapping }}{% endblock %}",
        "{% for i in [1] %}{% set o = object %}{% macro m() %}{{ o is mapping }}{% endmacro %}{{ m() }}{% endfor %}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% set o = object %}{% call m() %}{{ o is mapping }}{% endcall %}",
    ] {
        let value = Engine::default().render_str(&written(text), &Context::new(&scope)).unwrap();
        assert_eq!(value, Value::Bool(true), "{text}");
        assert_eq!(Rc::strong_count(&counter), 2, "{text}");
    }
}
