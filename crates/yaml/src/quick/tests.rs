//! Both ways of reading, side by side.

use super::*;
use proptest::prelude::*;
use quorate_value::repr;
use std::path::{Path, PathBuf};

/// Everything that two readings must agree on.
fn told(node: &Node, out: &mut String) {
    let (span, end) = (node.span, node.end);
    out.push_str(&format!("{}:{}-{}:{} {:?} ", span.line, span.column, end.line, end.column, node.tag));
    match &node.kind {
        NodeKind::Scalar(Scalar { value, style, written }) => {
            out.push_str(&format!("{style:?} {written:?} {} {}", value.type_name(), repr(value)));
            if let Value::Str(text) | Value::Vault(text) = value {
                let Span { line, column, .. } = text.span();
                out.push_str(&format!("@{line}:{column} {}", text.is_trusted()));
            }
        }
        NodeKind::Sequence(items) => {
            out.push_str(&format!("{:?}[", items.size));
            items.iter().for_each(|item| told(item, out));
            out.push(']');
        }
        NodeKind::Mapping(mapping) => {
            out.push_str(&format!("{:?}{{", mapping.size));
            for (key, entry) in mapping.iter() {
                out.push_str(&format!("{key:?} = "));
                told(&entry.key, out);
                told(&entry.value, out);
            }
            out.push('}');
        }
    }
    out.push('\n');
}

/// Whether the text is read here; fails where the two ways of reading differ.
fn agrees(text: &str) -> bool {
    let Some(node) = read(text, FileId::default()) else { return false };
    let document = match compose::composed(text, FileId::default(), ParseOptions::default()) {
        Ok(document) => document,
        Err(error) => panic!("{}\n---\n{text}\n---", error.report()),
    };
    assert!(document.warnings.is_empty(), "{:?}\n{text}", document.warnings);
    let (mut ours, mut theirs) = (String::new(), String::new());
    told(&node, &mut ours);
    told(&document.root, &mut theirs);
    assert_eq!(ours, theirs, "\n---\n{text}\n---");
    true
}

#[test]
fn read_the_short_way() {
    let not: Vec<&str> = [
        "a: 1\n",
        "a: 1",
        "---\na: b\n\n# c\n",
        "- a\n- b: c\n  d: e\n-\n- - x\n  - y\n-   z\n",
        "a:\n- b\n- c: d\n\n  e: f\ng:\n  - h\n",
        "a : b\nc   :   d # e\n\"f g\" : h\n'i': j\n1: k\nno: l\n",
        "a: yes\nb: 0644\nc: 1.5\nd: 12:30\ne: ~\nf:\ng: 1_000\nh: 0x1F\ni: -5\n",
        "a: 'it''s'\nb: \"\\ttab\\n\" # c\nc: \"\"\nd: ''\n",
        "a: [1, 'b', \"c\", {d: e, f: [ ]}]\nb: { }\nc: [ x y, http://z ,]\nd: {a: 1, }\n",
        "a: |\n  text\n\n  more\n\nb: >-\n  folded\n  text\n\n    deep\n  end\nc: |+ # x\n  keep\n\nd: 1\n",
        "- |\n  x\n- >\n  y\n",
        "a: !vault |\n  x\n  y\nb: !unsafe '{{ y }}'\nc: !unsafe\n  d: e\nf: 1\n",
        "a: b\n  c\nd: \"x\n  y\"\ne: [1,\n  2]\nf:\n  words\n  more\ng: 1\n",
        "- name: x\n  when: a and\n        b\n  copy: { src: x,\n          dest: y }\n- b\n",
        "a: é b\nü: { ä: ö, x: y }\nc: |\n  ß\n",
        "a: http://x/y?z=1#f\nb: -x\nc: a:b\n",
    ]
    .into_iter()
    .filter(|text| !agrees(text))
    .collect();
    assert_eq!(not, ["a: é b\nü: { ä: ö, x: y }\nc: |\n  ß\n"]);
}

#[test]
fn left_to_libyaml() {
    for text in [
        "",
        "# c\n",
        "a\n",
        "a: 1\na: 2\n",
        "a: &x 1\nb: *x\n",
        "a: !unsafe\n  - &x 1\nb: 1\n",
        "a:\n  b: 1\n c: 2\n",
        "a: b: c\n",
        "a: 'x\n",
        "a:\t1\n",
        "a: 1\r\nb: 2\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n...\n",
        "%YAML 1.1\n---\na: 1\n",
        "<<: {a: 1}\n",
        "? a\n: b\n",
        "a: {b: 1, b: 2}\n",
        "a: @x\n",
        "a: 2020-01-01\n",
        "a: 1\n- b\n",
        "- a\nb: 1\n",
        "a: |2\n   x\n",
        "a: =\n",
    ] {
        assert!(read(text, FileId::default()).is_none(), "{text}");
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') || name == "target" {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml") {
            found.push(path);
        }
    }
}

/// Every file of YAML in the repository, and below `QUORATE_YAML_CORPUS`.
#[test]
fn files_that_people_wrote() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut found);
    if let Some(more) = std::env::var_os("QUORATE_YAML_CORPUS") {
        files(Path::new(&more), &mut found);
    }
    let texts: Vec<String> = found.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let read = texts.iter().filter(|text| agrees(text)).count();
    eprintln!("{read} of {} files", texts.len());
    assert!(texts.len() > 20 && read * 2 > texts.len(), "{read} of {}", texts.len());
    // the same files with a line left out, doubled, or moved in or out
    let mut seed = 1u64;
    let mut next = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    for text in texts.iter().filter(|text| text.len() < 4000) {
        for _ in 0..4 {
            let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
            if lines.is_empty() {
                continue;
            }
            let at = next(lines.len());
            match next(6) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines[at].insert(0, ' '),
                3 => lines[at] = lines[at].trim_start().to_owned() + "\n",
                4 => lines.truncate(at),
                _ => {
                    let place = next(lines[at].chars().count());
                    let byte = lines[at].char_indices().nth(place).map_or(0, |(byte, _)| byte);
                    let marks = [":", "#", "-", "\"", "'", "{", "]", ",", " ", "&", "|", "\n", "é"];
                    lines[at].insert_str(byte, marks[next(marks.len())]);
                }
            }
            agrees(&lines.concat());
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "a: ",
        "b: ",
        "c: ",
        "d : ",
        "- ",
        "- ",
        "- a: ",
        "- - ",
        "-   e: ",
        "\"q k\": ",
        "'s': ",
        "1: ",
        "yes: ",
        "a.b-c: ",
        "? ",
        "<<: ",
        "x:y: ",
        "é: ",
        "#",
        "",
        "--- ",
        "... ",
        "{a: ",
        "[",
    ]);
    let value = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "1",
        "text",
        "two words",
        "'q'",
        "\"d\"",
        "'it''s'",
        "\"\\t\\\"\"",
        "{ k: v }",
        "{k: v, l: [2, 'x']}",
        "{}",
        "[]",
        "[a, {b: c}]",
        "[a, b,]",
        "[-1, .5]",
        "|",
        "|-",
        "|+",
        ">",
        ">-",
        ">+",
        "!vault z",
        "!unsafe u",
        "# c",
        "v # c",
        "-a",
        "yes",
        "NO",
        "~",
        "0644",
        "1.5",
        "1e3",
        "12:30:45",
        "2020-01-01",
        "0x1F",
        "10.0.0.1",
        "\"a\" # c",
        "a#b",
        "http://a/b",
        "{a: 1} # c",
        "9999999999999999999",
        "'open",
        "\"open",
        "[open,",
        "{open: 1,",
        "close']",
        "close\"}",
        "}",
        "]",
        "&x y",
        "*x",
        "a: b",
        "a:",
        ":a",
        "{ k: }",
        "{ 1: v }",
        "{a: b: c}",
        "[a: b]",
        "{'a': 1, \"b\": 2}",
        "<<",
        "=",
        "@",
        "%x",
        "'a' b",
        "\"a\"#c",
        "- b",
        "-",
        "a\u{85}b",
        "[a ?b]",
        "[a,b]",
        "{a,b}",
        "[a #b]",
        "[a:b]",
        "[http://x]",
        "{a:b}",
        "[a b  c ]",
    ]);
    let indent = prop::sample::select(vec![0usize, 0, 0, 2, 2, 2, 4, 4, 6, 1, 3]);
    (indent, key, value).prop_map(|(indent, key, value)| format!("{}{key}{value}", " ".repeat(indent)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4000), ..ProptestConfig::default() })]

    #[test]
    fn both_ways_agree(lines in prop::collection::vec(line(), 1..7), end in any::<bool>()) {
        agrees(&(lines.join("\n") + if end { "\n" } else { "" }));
    }

    #[test]
    fn blocks_agree(text in "a:( \\||  >)[-+]?\n([ ]{0,4}[ab#]?[ ]?\n){0,6}(b: 1\n?)?") {
        agrees(&text);
        agrees(&format!("- {}", text.replace('\n', "\n  ")));
    }

    #[test]
    fn any_text_agrees(text in "([ab:\\-#'\"{}\\[\\],|>&*! \n0-9]{0,40})") {
        agrees(&text);
    }
}
