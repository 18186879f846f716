//! Times a few templates over 10,000 items: `bench TEMPLATES.json`, a mapping of names to templates.

use quorate_template::{Context, Engine};
use quorate_value::{Span, Str, Value, dict};
use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let templates = quorate_value::from_json_str(&std::fs::read_to_string(path)?)?;
    let items: Value = (0..10_000i64)
        .map(|i| {
            let tags: Vec<Value> =
                if i % 3 == 0 { Vec::new() } else { ["a", "b", "c"].map(Value::from).to_vec() };
            Value::from(dict! {
                "name" => format!("host{i}"), "ip" => format!("10.0.{}.{}", i / 250, i % 250),
                "port" => 2379 + i % 7, "tags" => tags,
            })
        })
        .collect();
    let scope = dict! {
        "items_" => items.trusted(), "scheme" => "https",
        "suffix" => Str::written("{{ scheme }}-x", Span::default()),
    };
    let (engine, ctx) = (Engine::default(), Context::new(&scope));
    let mut out = std::io::stdout().lock();
    for (name, template) in templates.as_dict().into_iter().flatten() {
        let text = Str::written(template.as_str().unwrap_or(""), Span::default());
        let started = std::time::Instant::now();
        let value = engine.render_str(&text, &ctx).map_err(std::io::Error::other)?;
        let length = quorate_value::str_of(&value).len();
        writeln!(out, "{} {length} {:?}", name.json_text(), started.elapsed())?;
    }
    Ok(())
}
