//! A role's argument specification (`meta/argument_specs.yml`) against what was given.
//!
//! Source: "Role argument validation" of Ansible's documentation; messages of ansible-core 2.19.

use quorate_agent::args::{Place, convert};
use quorate_agent::spec::Kind;
use quorate_value::{Dict, Value, str_of};

/// Checks variables against `options` of an entry point; every mistake found, in the order that Ansible finds them.
pub fn validate(spec: &Dict, given: &Dict) -> Result<(), Vec<String>> {
    let mut found = Found::default();
    level(spec, given, &[], &mut found);
    if !found.unsupported.is_empty() {
        found.unsupported.sort();
        let names = found.unsupported.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let known = &found.unsupported[0].1;
        found.errors.push(format!("{names}. Supported parameters include: {known}."));
    }
    if found.errors.is_empty() { Ok(()) } else { Err(found.errors) }
}

/// What is wrong.
#[derive(Default)]
struct Found {
    errors: Vec<String>,
    /// Names that no specification knows, each with those that stand there.
    unsupported: Vec<(String, String)>,
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

fn level(spec: &Dict, given: &Dict, inside: &[&str], found: &mut Found) {
    let place = if inside.is_empty() { String::new() } else { format!(" found in {}", inside.join(" -> ")) };
    let context =
        if inside.is_empty() { String::new() } else { format!(" found in '{}'.", inside.join(" -> ")) };
    let options: Vec<(String, &Dict)> = spec
        .iter()
        .filter_map(|(key, value)| Some((key.json_text().into_owned(), value.as_dict()?)))
        .collect();
    let flag = |options: &Dict, name: &str| options.get(name).and_then(Value::to_bool_loose).unwrap_or(false);
    if !inside.is_empty() {
        let known = options.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        for key in given.keys() {
            let key = key.json_text();
            if !spec.contains_key(&key) {
                found.unsupported.push((format!("{}.{key}", inside.join(".")), known.clone()));
            }
        }
    }
    let mut missing: Vec<&str> = options
        .iter()
        .filter(|(name, options)| flag(options, "required") && !given.contains_key(name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        found.errors.push(format!("missing required arguments: {}{place}", missing.join(", ")));
    }
    let mut values: Vec<(&str, &Dict, Value)> = Vec::new();
    for (name, options) in &options {
        // nothing is fine where nothing has to be
        let optional = !flag(options, "required") && options.get("default").is_none_or(Value::is_null);
        let Some(value) = given.get(name).filter(|value| !(value.is_null() && optional)) else { continue };
        if let Some(value) = converted(name, options, value, &context, &mut found.errors) {
            values.push((name, options, value));
        }
    }
    for (name, options, value) in &values {
        let Some(choices) = options.get("choices").and_then(Value::as_list) else { continue };
        let shown = choices.iter().map(str_of).collect::<Vec<_>>().join(", ");
        match value.as_list() {
            Some(items) => {
                let bad: Vec<String> =
                    items.iter().filter(|item| !choices.contains(item)).map(str_of).collect();
                if !bad.is_empty() {
                    let bad = bad.join(", ");
                    found.errors.push(format!(
                        "value of {name} must be one or more of: {shown}. Got no match for: {bad}{place}"
                    ));
                }
            }
            None if !choices.contains(value) => found
                .errors
                .push(format!("value of {name} must be one of: {shown}, got: {}{place}", str_of(value))),
            None => {}
        }
    }
    for (name, options, value) in &values {
        let Some(inner) = options.get("options").and_then(Value::as_dict) else { continue };
        let mut deeper = inside.to_vec();
        deeper.push(name);
        match value.as_list() {
            Some(items) => {
                for item in items.iter().filter_map(Value::as_dict) {
                    level(inner, item, &deeper, found);
                }
            }
            None => {
                if let Some(item) = value.as_dict() {
                    level(inner, item, &deeper, found);
                }
            }
        }
    }
}

/// A value as its type wants it; none where it cannot be, which is told.
fn converted(
    name: &str,
    options: &Dict,
    value: &Value,
    context: &str,
    errors: &mut Vec<String>,
) -> Option<Value> {
    let wanted = options.get("type").map_or_else(|| "str".to_owned(), str_of);
    let kind = kind(&wanted)?;
    let value = match convert(kind, value, Place::Controller) {
        Ok(value) => value,
        Err(why) => {
            errors.push(format!(
                "argument '{name}' is of type {}{context} and we were unable to convert to {wanted}: {why}",
                value.type_name()
            ));
            return None;
        }
    };
    let element = options.get("elements").map(str_of);
    let Some((items, (element, element_kind))) = value
        .as_list()
        .zip(element.and_then(|element| self::kind(&element).map(|kind| (element, kind))))
        .filter(|_| kind == Kind::List)
    else {
        return Some(value);
    };
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        match convert(element_kind, item, Place::Controller) {
            Ok(item) => all.push(item),
            Err(why) => errors.push(format!(
                "Elements value for option '{name}'{context} is of type {} and we were unable to convert to {element}: {why}",
                item.type_name()
            )),
        }
    }
    Some(Value::list(all))
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
