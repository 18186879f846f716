//! A role's argument specification (`meta/argument_specs.yml`) against what was given.
//!
//! Source: "Role argument validation" of Ansible's documentation; messages of ansible-core 2.19.

use quorate_agent::args::{Place, convert};
use quorate_agent::spec::Kind;
use quorate_value::{Dict, Value, str_of};

/// Checks variables against `options` of an entry point; every mistake found.
pub fn validate(spec: &Dict, given: &Dict) -> Result<(), Vec<String>> {
    let mut errors = Vec::new();
    level(spec, given, &mut Vec::new(), &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "str" => Kind::Str,
        "int" => Kind::Int,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        "list" => Kind::List,
        "dict" => Kind::Dict,
        "path" => Kind::Path,
        "raw" => Kind::Raw,
        "jsonarg" => Kind::JsonArg,
        "json" => Kind::JsonArg,
        "bytes" => Kind::Bytes,
        "bits" => Kind::Bits,
        _ => return None,
    })
}

fn level(spec: &Dict, given: &Dict, inside: &mut Vec<String>, errors: &mut Vec<String>) {
    let suffix = |inside: &[String]| {
        if inside.is_empty() { String::new() } else { format!(" found in {}", inside.join(" -> ")) }
    };
    let mut missing: Vec<String> = Vec::new();
    for (key, options) in spec {
        let name = key.json_text().into_owned();
        let Some(options) = options.as_dict() else { continue };
        let flag = |name: &str| options.get(name).and_then(Value::to_bool_loose).unwrap_or(false);
        let Some(value) = given.get(&name) else {
            if flag("required") {
                missing.push(name);
            }
            continue;
        };
        if value.is_null() {
            if flag("required") {
                // an explicit nothing satisfies `required` and no type
                continue;
            }
            continue;
        }
        let wanted = options.get("type").map_or_else(|| "str".to_owned(), str_of);
        let Some(kind) = kind(&wanted) else { continue };
        let value = match convert(kind, value, Place::Controller) {
            Ok(value) => value,
            Err(why) => {
                errors.push(format!(
                    "argument '{name}' is of type {} and we were unable to convert to {wanted}: {why}{}",
                    value.type_name(),
                    suffix(inside)
                ));
                continue;
            }
        };
        let mut items = vec![value.clone()];
        if kind == Kind::List {
            items = value.as_list().unwrap_or_default().to_vec();
            if let Some(element) = options.get("elements").map(str_of)
                && let Some(element_kind) = self::kind(&element)
            {
                let mut converted = Vec::with_capacity(items.len());
                for item in &items {
                    match convert(element_kind, item, Place::Controller) {
                        Ok(item) => converted.push(item),
                        Err(why) => errors.push(format!(
                            "Elements value for option '{name}' is of type {} and we were unable to convert to {element}: {why}{}",
                            item.type_name(),
                            suffix(inside)
                        )),
                    }
                }
                items = converted;
            }
        }
        if let Some(choices) = options.get("choices").and_then(Value::as_list) {
            let shown = choices.iter().map(str_of).collect::<Vec<_>>().join(", ");
            let bad: Vec<String> = items.iter().filter(|item| !choices.contains(item)).map(str_of).collect();
            if !bad.is_empty() {
                let word = if kind == Kind::List { "one or more of" } else { "one of" };
                errors.push(format!(
                    "value of {name} must be {word}: {shown}, got: {}{}",
                    bad.join(", "),
                    suffix(inside)
                ));
            }
        }
        if let Some(inner) = options.get("options").and_then(Value::as_dict) {
            inside.push(name.clone());
            for item in items.iter().filter_map(Value::as_dict) {
                let unknown: Vec<String> = item
                    .keys()
                    .map(|k| k.json_text().into_owned())
                    .filter(|k| !inner.contains_key(k))
                    .collect();
                if !unknown.is_empty() {
                    let known =
                        inner.keys().map(|k| k.json_text().into_owned()).collect::<Vec<_>>().join(", ");
                    errors.push(format!(
                        "{}. Supported parameters include: {known}.",
                        unknown
                            .iter()
                            .map(|k| format!("{}.{k}", inside.join(".")))
                            .collect::<Vec<_>>()
                            .join(", ")
                    ));
                }
                level(inner, item, inside, errors);
            }
            inside.pop();
        }
    }
    if !missing.is_empty() {
        missing.sort();
        errors.insert(0, format!("missing required arguments: {}{}", missing.join(", "), suffix(inside)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::dict;

    #[test]
    fn what_is_missing_and_what_is_wrong() {
        let spec = dict! {
            "a" => dict! {"type" => "int", "required" => true},
            "b" => dict! {"type" => "str", "choices" => Value::list([Value::from("x"), Value::from("y")])},
        };
        assert_eq!(validate(&spec, &dict! {"a" => "1", "b" => "x"}), Ok(()));
        assert_eq!(validate(&spec, &Dict::new()), Err(vec!["missing required arguments: a".to_owned()]));
        assert_eq!(
            validate(&spec, &dict! {"a" => 1i64, "b" => "z"}),
            Err(vec!["value of b must be one of: x, y, got: z".to_owned()])
        );
    }
}
