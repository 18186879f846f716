//! Executable inventories: `--list`, and `--host NAME` where there is no `_meta`.

use crate::error::{InventoryError, Warning};
use crate::model::{GroupId, Inventory};
use quorate_value::{Dict, FileId, Key, Span, Value, from_json_str};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Whether the file can be executed.
pub(super) fn is_script(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Runs the script and adds what it says.
pub(super) fn apply(inventory: &mut Inventory, path: &Path) -> Vec<InventoryError> {
    match add(inventory, path) {
        Ok(errors) => errors,
        Err(problem) => vec![InventoryError::Script { path: path.to_path_buf(), problem }],
    }
}

fn run(inventory: &mut Inventory, path: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot be run: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !stderr.trim().is_empty() {
        let text = stderr.trim_end().to_owned();
        inventory.warnings.push(Warning::ScriptStderr { path: path.to_path_buf(), text });
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => return Err(format!("returned non-zero exit code {code}")),
        None => return Err("was killed by a signal".into()),
    }
    String::from_utf8(output.stdout).map_err(|_| "wrote something that is not UTF-8".into())
}

fn json(text: &str) -> Result<Dict, String> {
    let value = from_json_str(text).map_err(|error| format!("did not write JSON: {error}"))?;
    match value {
        // People own the script as they own a file: what it says may hold templates.
        Value::Dict(_) => match value.trusted() {
            Value::Dict(entries) => Ok(Arc::unwrap_or_clone(entries)),
            _ => Ok(Dict::new()),
        },
        other => Err(format!("wrote a JSON {}, not an object", json_type(&other))),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        _ => "number",
    }
}

fn add(inventory: &mut Inventory, path: &Path) -> Result<Vec<InventoryError>, String> {
    let text = run(inventory, path, &["--list"])?;
    let mut groups = json(&text)?;
    let span = Span::new(FileId::register(path, Arc::from("")), 0, 0);
    let meta = groups.remove("_meta");
    let mut errors = Vec::new();
    for (name, body) in &groups {
        let Some(name) = name.as_str() else { continue };
        match inventory.declare_group(name, span) {
            Ok(group) => {
                if let Err(problem) = add_group(inventory, group, name, body, span, path, &mut errors) {
                    return Err(format!("group `{name}`: {problem}"));
                }
            }
            Err(error) => errors.push(error),
        }
    }
    let hostvars = match &meta {
        Some(Value::Dict(meta)) => meta.get("hostvars"),
        Some(Value::Null) | None => None,
        Some(other) => return Err(format!("`_meta` is a JSON {}, not an object", json_type(other))),
    };
    let hosts: Vec<_> = inventory
        .hosts()
        .filter(|host| {
            inventory.host(*host).source.as_ref().map(|s| &s.text)
                == inventory.current.as_ref().map(|s| &s.text)
                || hostvars.is_some()
        })
        .collect();
    match hostvars {
        Some(Value::Dict(hostvars)) => {
            for host in hosts {
                let name = inventory.host_name(host).clone();
                match hostvars.get(&name) {
                    Some(Value::Dict(vars)) => set_all(inventory, host, vars, span, &mut errors),
                    None | Some(Value::Null) => {}
                    Some(other) => {
                        return Err(format!(
                            "`_meta.hostvars` of host `{name}` is a JSON {}, not an object",
                            json_type(other)
                        ));
                    }
                }
            }
        }
        Some(other) => return Err(format!("`_meta.hostvars` is a JSON {}, not an object", json_type(other))),
        None => {
            inventory.warnings.push(Warning::ScriptShape {
                path: path.to_path_buf(),
                problem: "Inventory scripts should always provide '_meta.hostvars'. Host variables will be collected by running the inventory script with the '--host' option for each host.".into(),
            });
            for host in hosts {
                let name = inventory.host_name(host).clone();
                let text = run(inventory, path, &["--host", &name])?;
                if text.trim().is_empty() {
                    continue;
                }
                let vars = json(&text).map_err(|problem| format!("with `--host {name}`: {problem}"))?;
                set_all(inventory, host, &vars, span, &mut errors);
            }
        }
    }
    Ok(errors)
}

fn set_all(
    inventory: &mut Inventory,
    host: crate::HostId,
    vars: &Dict,
    span: Span,
    errors: &mut Vec<InventoryError>,
) {
    for (key, value) in vars {
        errors.extend(inventory.set_host_var(host, key.clone(), value.clone(), span).err());
    }
}

fn add_group(
    inventory: &mut Inventory,
    group: GroupId,
    name: &str,
    body: &Value,
    span: Span,
    path: &Path,
    errors: &mut Vec<InventoryError>,
) -> Result<(), String> {
    let shape = |inventory: &mut Inventory, problem: String| {
        inventory.warnings.push(Warning::ScriptShape { path: path.to_path_buf(), problem });
    };
    let body = match body {
        Value::Dict(body) if ["hosts", "vars", "children"].iter().any(|key| body.contains_key(key)) => {
            body.clone()
        }
        Value::Dict(vars) => {
            shape(
                inventory,
                format!(
                    "Treating malformed group '{name}' as the sole host of that group. Variables provided in this manner cannot be templated."
                ),
            );
            let host = inventory.declare_host(name, group, None, span);
            for (key, value) in vars.iter() {
                errors.extend(inventory.set_host_var(host, key.clone(), value.untrusted(), span).err());
            }
            return Ok(());
        }
        other => {
            shape(inventory, format!("Group '{name}' was converted to 'dict' from '{}'.", other.type_name()));
            let mut body = Dict::new();
            body.insert("hosts", other.clone());
            Arc::new(body)
        }
    };
    let names = |key: &str| -> Result<Vec<String>, String> {
        match body.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::List(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| format!("`{key}` holds a JSON {}, not only strings", json_type(item)))
                })
                .collect(),
            Some(other) => Err(format!("`{key}` is a JSON {}, not an array", json_type(other))),
        }
    };
    for host in names("hosts")? {
        inventory.declare_host(&host, group, None, span);
    }
    match body.get("vars") {
        None | Some(Value::Null) => {}
        Some(Value::Dict(vars)) => {
            for (key, value) in vars.iter() {
                let key: Key = key.clone();
                errors.extend(inventory.set_group_var(group, key, value.clone(), span).err());
            }
        }
        Some(other) => return Err(format!("`vars` is a JSON {}, not an object", json_type(other))),
    }
    for child in names("children")? {
        match inventory.declare_group(&child, span) {
            Ok(child) => errors.extend(inventory.link(group, child, span).err()),
            Err(error) => errors.push(error),
        }
    }
    Ok(())
}
