//! Laws: no text does harm, and what is written reads back as it was.

use crate::read;
use proptest::prelude::*;
use quorate_value::{BigInt, Dict, FileId, Key, Str, Value};
use quorate_yaml::{EmitStyle, parse_all, parse_file, to_yaml};
use std::path::Path;

/// Text that is nearly YAML: pieces that mean something, in any order.
fn nearly_yaml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "a", "b: ", ": ", "- ", "\n", "\n  ", "\n\t", "{", "}", "[", "]", ",", "'", "\"", "|", ">", "|+2\n", "&a ", "*a",
            "!vault ", "!unsafe ", "!!set ", "!!omap ", "!!int ", "!!binary ", "<<: ", "? ", "# c", "---\n", "...\n", "%YAML 1.1\n", "{{ x }}",
            "0644", "1e3", "12:30", "2001-01-01", "=", "\\", "\\u00", "\u{feff}", "é", "😀", "\r", "\u{2028}", "\0", "~",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 :#'\"\\n\\t{}\\[\\],.&*!|>%@`\\\\-]{0,30}",
        "\\PC{0,20}",
        any::<String>(),
        proptest::sample::select(vec!["yes", "0644", "1e3", "null", "2001-01-01", "<<", "=", "12:30", ".5"])
            .prop_map(str::to_owned),
        "([a-z]{1,12} ){10,30}",
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i128>().prop_map(|number| Value::integer(BigInt::from(number))),
        any::<f64>().prop_filter("NaN equals nothing", |number| !number.is_nan()).prop_map(Value::Float),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = prop_oneof![
            6 => text().prop_map(Key::from),
            1 => any::<i64>().prop_map(Key::Int),
            1 => Just(Key::Null),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::list),
            proptest::collection::vec((key, inner), 0..6)
                .prop_map(|entries| Value::dict(entries.into_iter().collect::<Dict>())),
        ]
    })
}

fn any_style() -> impl Strategy<Value = EmitStyle> {
    (
        0..12i32,
        prop_oneof![Just(-1), 0..100i32],
        any::<bool>(),
        any::<Option<bool>>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(indent, width, sort_keys, default_flow_style, explicit_start, allow_unicode)| {
            EmitStyle {
                indent: Some(indent),
                width: Some(width),
                sort_keys,
                default_flow_style,
                explicit_start,
                allow_unicode,
                ..EmitStyle::default()
            }
        })
}

/// libyaml's emitter writes these so that they read back as something else, as PyYAML's does: line breaks beside
/// `\r`, U+0085, U+2028 and U+2029, and a byte order mark.
fn reads_back(value: &Value) -> bool {
    let good = |text: &str| !text.contains(['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']);
    match value {
        Value::Str(text) => good(text),
        Value::List(items) => items.iter().all(reads_back),
        Value::Dict(entries) => {
            entries.iter().all(|(key, value)| key.as_str().is_none_or(good) && reads_back(value))
        }
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nearly_yaml_never_panics(text in nearly_yaml()) {
        if let Ok(document) = read(&text) {
            let value = document.root.to_value();
            let _written = to_yaml(&value, &EmitStyle::default());
        }
        let _documents = parse_all(&text, FileId::default());
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _document = parse_file(Path::new("/t.yml"), &bytes);
    }

    #[test]
    fn places_of_offsets_never_panic(text in nearly_yaml(), offset in 0usize..50) {
        let file = FileId::register(Path::new("/t.yml"), text.as_str().into());
        for line in 0..4 {
            let span = quorate_value::Span::new(file, line, offset as u32 % 7);
            let _place = quorate_yaml::locate(&Str::written(&text, span), offset);
        }
    }

    #[test]
    fn what_is_written_reads_back(value in any_value().prop_filter("see there", reads_back), style in any_style()) {
        let written = to_yaml(&value, &style).unwrap();
        let again = read(&written).map_err(|error| TestCaseError::fail(format!("{}\n{written:?}", error.report())))?;
        prop_assert_eq!(again.root.to_value(), value, "{:?}", written);
    }
}

/// Texts made to be slow. A quadratic scanner would need minutes for each.
#[test]
fn hostile_text_takes_no_time() {
    const SIZE: usize = 300_000;
    for piece in [
        "[", "{", "- ", "? ", "a: ", "a:\n", "[a,", "{a: ", "'\n", "\"\\\n", "!", "&a ", "*", "|\n", ">\n ",
        " ", "\n", "# \n", "<<: ", "%", "---\n", "\t", "&a [*a,", "a, ", "[] ", "{}\n", "'' ", "''", "- [\n",
    ] {
        let text = piece.repeat(SIZE / piece.len());
        for text in [text.clone(), format!("[{text}"), format!("a: |\n  {text}"), format!("\"{text}")] {
            let begun = std::time::Instant::now();
            let _document = read(&text);
            let took = begun.elapsed();
            assert!(took.as_secs() < 20, "{piece:?} took {took:?}");
        }
    }
}
