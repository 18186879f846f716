//! Secrets stay secrets through templates, conditions and errors.

use crate::world::Files;
use quorate_template::{Context, Engine};
use quorate_value::{Dict, Span, Str, Value, dict};

fn written(text: &str) -> Str {
    Str::written(text, Span::default())
}

fn scope() -> Dict {
    let mut scope = dict! {
        "user" => written("admin"),
        "password" => Str::new("hunter2").secret(),
        "url" => written("https://{{ user }}:{{ password }}@db1"),
        "plain" => written("{{ user }}@db1"),
        "not_trusted" => Str::new("{{ password }}"),
    };
    scope.insert("vaulted", Value::Vault(written("$VAULT;s3cret-{{ user }}")));
    let both = dict! { "name" => "x", "pass" => Str::new("hunter2").secret() };
    scope.insert("both", both);
    scope
}

fn render(text: &str) -> quorate_template::Result<Value> {
    let scope = scope();
    Engine::default().render_str(&written(text), &Context::new(&scope).with_world(&Files))
}

#[test]
fn text_made_of_a_secret_is_secret() {
    for text in [
        "{{ password }}",
        "{{ url }}",
        "x{{ password }}",
        "{{ password | b64encode }}",
        "{{ password[0] }}",
        "{{ [password] | join }}",
        "{{ url.split(':') }}",
        "{{ vaulted }}",
        "{{ vaulted | upper }}",
        "{{ {'a': password} | to_json }}",
        "{% set p = password %}{{ p ~ user }}",
        "{{ both | combine({'q': 1}) }}",
        "x{{ both }}",
    ] {
        let value = render(text).unwrap();
        assert!(value.holds_secret(), "{text}");
        assert!(!format!("{value:?}").contains("hunter2"), "{text}");
    }
}

#[test]
fn other_text_is_not() {
    for text in
        ["{{ plain }}", "{{ user }}", "{{ password | length }}", "{{ both.name }}", "{{ not_trusted }}"]
    {
        assert!(!render(text).unwrap().holds_secret(), "{text}");
    }
    // What only passes through keeps its own marks.
    let both = render("{{ both }}").unwrap();
    let secret = |key: &str| both.get(key).and_then(Value::as_text).unwrap().is_secret();
    assert!(secret("pass") && !secret("name"));
}

#[test]
fn decrypted_text_is_rendered_where_it_is_trusted() {
    assert_eq!(render("{{ vaulted }}").unwrap(), Value::from("s3cret-admin"));
    assert_eq!(render("{{ not_trusted }}").unwrap(), Value::from("{{ password }}"));
}

#[test]
fn words_do_not_tell_secrets() {
    for text in [
        "{{ password + 1 }}",
        "{{ [password].index('x' ~ password) }}",
        "{{ password | from_json }}",
        "{{ 1 / (password | length - 7) }}",
        "{{ '%d' % password }}",
        "{{ password | human_to_bytes }}",
    ] {
        let error = render(text).unwrap_err();
        assert!(error.is_secret(), "{text}");
        assert!(
            !error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"),
            "{text}: {error}"
        );
    }
}
