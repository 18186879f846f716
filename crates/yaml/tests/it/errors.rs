//! What is said about classic mistakes: the place, the message, the hint.

use crate::read;

#[test]
fn classic_mistakes_get_advice() {
    let mut out = String::new();
    for text in [
        "a:\n\tb: 1\n",
        "- name: x\n\tdebug:\n",
        "msg: {{ x }}\n",
        "msg: {{ x }}/bin\n",
        "- {{ x }}\n",
        "- debug:\n    msg: {{ x }} and \"y\"\n",
        "when: {% if a %}b{% endif %}\n",
        "name:web\nhosts: all\n",
        "- name: a\n  hosts:all\n  gather_facts: no\n",
        "name: install: etcd\n",
        "- shell: echo 'name: x'\n",
        "a: 'x\nb: 2\n",
        "a: \"x\n",
        "a: \"x\" y\n",
        "- when: \"x\" in y\n",
        "a: 1\n  b: 2\n",
        "a:\n    b: 1\n  c: 2\n",
        "a:\n  - 1\n - 2\n",
        "- a\nb: 1\n",
        "a: 1\n- b\n",
        "- copy: src=x\n    dest: y\n",
        "a: @x\n",
        "a: `x`\n",
        "a: %x\n",
        "hosts: *\n",
        "a: *nowhere\n",
        "a: &bse 1\nb: *base\n",
        "a: {b\nc: 1\n",
        "a: [b\nc: 1\n",
        "a: - b\n",
        "a: \"C:\\data\"\n",
        "a: | x\n  y\n",
        "a: \u{1}\n",
        "a: !vaultt x\n",
        "a: =\n",
        "d: 2024-02-30\n",
        "? [a]\n: b\n",
        "a: &x 1\nb: &x 2\n",
        "a: 1\n---\nb: 2\n",
        "c: {<<: 1}\n",
        "a: !foo x\nb: {{ y }}\nc: !bar z\n",
        "foo\na: 1\n",
    ] {
        let error = read(text).expect_err(text);
        out += &format!("{text:?}\n{}\n\n", error.report().replace("/t.yml:", ""));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/errors.txt");
    if std::env::var_os("QUORATE_BLESS").is_some() {
        std::fs::write(path, &out).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(out == expected, "differs from {path}; set QUORATE_BLESS to accept:\n{out}");
}

#[test]
fn one_run_shows_every_mistake() {
    let error = read("a: !foo x\nb: {{ y }}\nc: !bar z\nd: '\n").unwrap_err();
    let lines: Vec<_> =
        std::iter::once(&error).chain(error.others()).map(|error| error.span().line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}
