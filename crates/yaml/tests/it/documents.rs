//! Whole documents against a table that PyYAML 6.0.3 (with libyaml) made: values, places, and what is an error.

use crate::{read, value};
use quorate_value::{Dict, Key, Value, dict};
use quorate_yaml::{MAX_DEPTH, Node, NodeKind, ParseOptions, Warning, parse_all, parse_file, parse_with};
use serde_json::Value as Json;
use std::path::Path;

/// The table's JSON: `$n` is a number as Python prints it, `$d` a mapping with any keys.
fn decoded(json: &Json) -> Value {
    match json {
        Json::Array(items) => items.iter().map(decoded).collect(),
        Json::Object(object) => match object.iter().next() {
            Some((name, Json::String(text))) if name == "$n" => match text.parse::<i64>() {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Float(text.parse().unwrap()),
            },
            Some((_, Json::Array(pairs))) => {
                let entry = |pair: &Json| (Key::of(&decoded(&pair[0])).unwrap(), decoded(&pair[1]));
                Value::dict(pairs.iter().map(entry).collect::<Dict>())
            }
            other => panic!("{other:?}"),
        },
        other => Value::from(other.clone()),
    }
}

fn places(node: &Node, out: &mut Vec<(u32, u32)>) {
    out.push((node.span.line, node.span.column));
    match &node.kind {
        NodeKind::Scalar(_) => {}
        NodeKind::Sequence(items) => items.iter().for_each(|item| places(item, out)),
        NodeKind::Mapping(mapping) => mapping.iter().for_each(|(_, entry)| {
            places(&entry.key, out);
            places(&entry.value, out);
        }),
    }
}

#[test]
fn read_as_pyyaml_reads_them() {
    let table: Vec<Json> = serde_json::from_str(include_str!("fixtures/documents.json")).unwrap();
    assert!(table.len() > 100);
    let mut wrong = Vec::new();
    for row in &table {
        let text = row["text"].as_str().unwrap();
        let (name, found) = (&row["name"], read(text));
        match (&found, row.get("error")) {
            (Err(_), Some(_)) => {}
            (Err(error), None) => wrong.push(format!("{name}: {}", error.report())),
            (Ok(document), Some(error)) => {
                wrong.push(format!("{name}: {:?}, PyYAML: {error}", document.root.to_value()));
            }
            (Ok(document), None) => {
                let (found, expected) = (document.root.to_value(), decoded(&row["value"]));
                // `repr` tells `1` from `1.0` and sees the order of keys.
                if quorate_value::repr(&found) != quorate_value::repr(&expected) {
                    wrong.push(format!("{name}: {found:?}, PyYAML {expected:?}"));
                }
                // `1` and `true` are one key to us, but PyYAML still has a node for each.
                let marks = row.get("marks").and_then(Json::as_array).filter(|_| name != "keys");
                if let Some(marks) = marks.filter(|marks| !marks.is_empty()) {
                    let number = |n: &Json| u32::try_from(n.as_u64().unwrap()).unwrap();
                    let expected: Vec<_> =
                        marks.iter().map(|mark| (number(&mark[0]), number(&mark[1]))).collect();
                    let mut found = Vec::new();
                    places(&document.root, &mut found);
                    if found != expected {
                        wrong.push(format!("{name}: at {found:?}, PyYAML {expected:?}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn text_carries_its_marks() {
    let document =
        read("a: '{{ x }}'\nb: !unsafe '{{ y }}'\nc: !unsafe\n  d: ['{{ z }}']\ne: {f: g}\n").unwrap();
    let text = |path: &[&str]| {
        let mut node = &document.root;
        for name in path {
            node = node.get(name).unwrap();
        }
        node.as_sequence().map_or(node, |items| &items[0]).as_text().unwrap().clone()
    };
    for (path, trusted, place) in [
        (&["a"][..], true, (1, 4)),
        (&["b"], false, (2, 4)),
        (&["c", "d"], false, (4, 7)),
        (&["e", "f"], true, (5, 8)),
    ] {
        let text = text(path);
        assert_eq!((text.is_trusted(), (text.span().line, text.span().column)), (trusted, place), "{path:?}");
    }
    let options = ParseOptions { trusted: false, local_tags: false };
    let plain = parse_with("a: b", quorate_value::FileId::default(), options).unwrap().root;
    assert!(!plain.get("a").unwrap().as_text().unwrap().is_trusted());
    let tagged = parse_with("a: !unsafe b", quorate_value::FileId::default(), options);
    assert_eq!(tagged.unwrap_err().message(), "the tag `!unsafe` is not known");
}

#[test]
fn ansible_resolves_below_its_tags_as_if_plain() {
    assert_eq!(value("a: !unsafe '123'\nb: !unsafe 'yes'"), Value::from(dict! {"a" => 123i64, "b" => true}));
    let vault = value("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  31\n");
    let Some(Value::Vault(text)) = vault.get("a") else { panic!("no vault") };
    assert_eq!((text.as_str(), text.span().line), ("$ANSIBLE_VAULT;1.1;AES256\n31\n", 1));
    for text in ["!vault 1", "!vault [a]", "!vault {a: b}", "!vault"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn duplicates_warn_and_the_last_wins() {
    let document = read("a: 1\nb: 2\na: 3\nc: {<<: {d: 1}, d: 2}\n").unwrap();
    let [Warning::DuplicateKey { key, first, second }] = &document.warnings[..] else {
        panic!("{:?}", document.warnings)
    };
    assert_eq!((key.as_str(), first.line, second.line), ("a", 1, 3));
    assert_eq!(document.root.get("a").unwrap().to_value(), Value::Int(3));
}

#[test]
fn written_text_is_kept() {
    let root = read("a: 0644\nb: 1.10\nc: Yes\nd: 'x'\ne: 2001-01-01\nf:\n").unwrap().root;
    let text = |name: &str| root.get(name).unwrap().as_scalar().unwrap().text().to_owned();
    for (name, expected) in
        [("a", "0644"), ("b", "1.10"), ("c", "Yes"), ("d", "x"), ("e", "2001-01-01"), ("f", "")]
    {
        assert_eq!(text(name), expected);
    }
}

#[test]
fn many_documents() {
    let file = quorate_value::FileId::default();
    let values = |text: &str| -> Vec<Value> {
        parse_all(text, file).unwrap().iter().map(|document| document.root.to_value()).collect()
    };
    assert_eq!(values("--- 1\n--- [2]\n---\n"), [Value::Int(1), Value::list([Value::Int(2)]), Value::Null]);
    assert_eq!(values(""), []);
    // Anchors end with their document.
    assert!(parse_all("--- &a 1\n--- *a\n", file).is_err());
}

#[test]
fn aliases_share_and_cannot_explode() {
    let shared = value("a: &a [1, 2]\nb: *a\n");
    let (Some(Value::List(a)), Some(Value::List(b))) = (shared.get("a"), shared.get("b")) else { panic!() };
    assert!(std::sync::Arc::ptr_eq(a, b));

    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
        laughs += &format!("a{i}: &a{i} [{aliases}]\n");
    }
    assert!(read(&laughs).unwrap_err().message().starts_with("the aliases of this file make more than"));

    assert!(read("a: &a [*a]").unwrap_err().message().contains("inside what it names"));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deepest = read(&deep(MAX_DEPTH as usize)).unwrap().root.to_value();
    assert!(quorate_yaml::to_yaml(&deepest, &quorate_yaml::EmitStyle::nice()).is_ok());
    assert!(read(&deep(MAX_DEPTH as usize + 1)).unwrap_err().message().contains("levels of nesting"));
    // Depth through aliases counts as well.
    let half = deep(150);
    let chained = format!("a: &a {half}\nb: {}*a{}\n", "[".repeat(150), "]".repeat(150));
    assert!(read(&chained).unwrap_err().message().contains("levels of nesting"));
}

#[test]
fn bytes_must_be_utf8() {
    let error = |bytes: &[u8]| parse_file(Path::new("/t.yml"), bytes).unwrap_err();
    let wrong = error(b"a: 1\nb\xc3\xa9: \xff\n");
    assert_eq!(wrong.report(), "/t.yml:2:5: the byte 0xff here is not UTF-8\nhint: Save the file as UTF-8.");
    assert_eq!(error(b"\xff\xfea\0").message(), "the file is UTF-16, not UTF-8");
    let root = parse_file(Path::new("/t.yml"), b"\xef\xbb\xbfa: 1\n").unwrap().root;
    assert_eq!((root.get("a").unwrap().span.line, root.get("a").unwrap().span.column), (1, 4));
}
