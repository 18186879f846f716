//! Templates and conditions: any text renders or is refused, within the engine's own limits of time and memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_template::{Context, Engine, World};
use quorate_value::{Dict, Span, Str, Value, dict};

struct Nowhere;
impl World for Nowhere {}

fn written(text: &str) -> Str {
    Str::written(text, Span::default())
}

fn scope() -> Dict {
    dict! {
        "a" => 1i64, "b" => "text", "f" => Value::Float(1.5),
        "l" => Value::list([Value::Int(1), Value::from("x")]),
        "d" => dict! {"k" => 2i64}, "t" => written("{{ a }}"), "rec" => written("{{ rec }}"),
    }
}

fuzz_target!(|text: &str| {
    let scope = scope();
    let context = Context::new(&scope).with_world(&Nowhere);
    let engine = Engine::default();
    let _rendered = engine.render_str(&written(text), &context);
    let _decided = engine.condition(&Value::Str(written(text)), &context);
});
