//! Renders lines of templates with a few variables: `C:` begins a condition, `E:` an expression.
//!
//! Usage: `eval VARS.json < templates`; `\n` in a line that begins with `N:` is a newline.

use quorate_template::{Context, Engine};
use quorate_value::{Span, Str, Value};
use std::io::{BufRead as _, Write as _};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let vars = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
    let vars = quorate_value::from_json_str(&vars).unwrap_or_default().trusted();
    let empty = quorate_value::Dict::new();
    let scope = vars.as_dict().unwrap_or(&empty);
    let engine = Engine::default();
    let ctx = Context::new(scope);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let line = match line.strip_prefix("N:") {
            Some(rest) => rest.replace("\\n", "\n"),
            None => line,
        };
        let written = |text: &str| Str::written(text, Span::default());
        let result = if let Some(text) = line.strip_prefix("C:") {
            engine.condition(&Value::Str(written(text)), &ctx).map(Value::Bool)
        } else if let Some(text) = line.strip_prefix("E:") {
            engine.eval_expression(&written(text), &ctx)
        } else {
            engine.render_str(&written(&line), &ctx)
        };
        match result {
            Ok(value) => {
                writeln!(out, "{line} => {} {}", value.type_name(), quorate_value::repr(&value))?;
            }
            Err(error) => writeln!(out, "{line} => ERR {error}")?,
        }
    }
    Ok(())
}
