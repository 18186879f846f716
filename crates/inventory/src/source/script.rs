//! Executable inventories: `--list`, and `--host NAME` where there is no `_meta`.

use crate::error::{InventoryError, Warning};
use crate::model::{GroupId, HostId, Inventory};
use indexmap::IndexSet;
use quorate_value::{Dict, FileId, Span, Value, from_json_str};
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

/// The words of problems are ansible-core's.
fn run(inventory: &mut Inventory, path: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(path).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        let command: Vec<String> = std::iter::once(path.to_string_lossy().into_owned())
            .chain(arguments.iter().map(|a| (*a).to_owned()))
            .collect();
        format!("Failed to execute inventory script command '{}': {error}", command.join(" "))
    })?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !stderr.trim().is_empty() {
        let text = stderr.trim_end().to_owned();
        inventory.warnings.push(Warning::ScriptStderr { path: path.to_path_buf(), text });
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => return Err(format!("Inventory script returned non-zero exit code {code}.")),
        None => return Err("Inventory script was killed by a signal.".into()),
    }
    String::from_utf8(output.stdout).map_err(|_| {
        "Inventory script result contained characters that cannot be interpreted as UTF-8.".to_owned()
    })
}

/// A value that must be of the other type; null is no exception.
fn mismatch(name: &str, value: &Value, wanted: &str) -> String {
    format!("Value contains '{name}' which is '{}' instead of '{wanted}'.", value.type_name())
}

/// What a script wrote, decoded: people own the script as they own a file, so what it says may hold templates,
/// unless it marks it as unsafe.
fn decode(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(text.trusted()),
        Value::List(items) => Arc::unwrap_or_clone(items).into_iter().map(decode).collect(),
        Value::Dict(entries) => match (entries.get("__ansible_unsafe"), entries.get("__ansible_vault")) {
            (Some(Value::Str(text)), _) => Value::Str(text.clone().untrusted()),
            (_, Some(Value::Str(text))) => Value::Vault(text.clone()),
            _ => Value::dict(
                Arc::unwrap_or_clone(entries)
                    .into_iter()
                    .map(|(key, value)| (key, decode(value)))
                    .collect::<Dict>(),
            ),
        },
        other => other,
    }
}

/// Whether something is marked as a vault and is no text.
fn has_odd_vault(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().any(has_odd_vault),
        Value::Dict(entries) => match entries.get("__ansible_vault") {
            Some(Value::Str(_)) => false,
            Some(_) => true,
            None => entries.iter().any(|(_, value)| has_odd_vault(value)),
        },
        _ => false,
    }
}

fn json(text: &str, whose: &str) -> Result<Dict, String> {
    let value = from_json_str(text)
        .map_err(|error| format!("{whose}: Value could not be parsed as JSON: {error}"))?;
    if has_odd_vault(&value) {
        return Err(
            "Inventory script result could not be parsed as JSON: `__ansible_vault` must be text".to_owned()
        );
    }
    match decode(value) {
        Value::Dict(entries) => Ok(Arc::unwrap_or_clone(entries)),
        other => Err(format!("{whose}: Value is '{}' instead of 'dict'.", other.type_name())),
    }
}

/// The host variables of `_meta`, where the script gives them.
fn hostvars(meta: Option<Value>) -> Result<Option<Arc<Dict>>, String> {
    const DECODER: &str = "Unable to get JSON decoder for inventory script result";
    let meta = match meta {
        None => return Ok(None),
        Some(Value::Dict(meta)) => meta,
        Some(other) => return Err(format!("{DECODER}: {}", mismatch("_meta", &other, "dict"))),
    };
    match meta.get("profile") {
        None => {}
        Some(Value::Str(profile)) if profile.as_str() == "inventory_legacy" => {}
        Some(Value::Str(profile)) if profile.starts_with("inventory_") => {
            return Err(format!("{DECODER}: Unknown profile name '{}'.", profile.as_str()));
        }
        Some(Value::Str(profile)) => {
            return Err(format!("{DECODER}: Non-inventory profile '{}' is not allowed.", profile.as_str()));
        }
        Some(other) => return Err(format!("{DECODER}: {}", mismatch("_meta.profile", other, "str"))),
    }
    match meta.get("hostvars") {
        None => Ok(None),
        Some(Value::Dict(hostvars)) => Ok(Some(hostvars.clone())),
        Some(other) => Err(mismatch("_meta.hostvars", other, "dict")),
    }
}

fn add(inventory: &mut Inventory, path: &Path) -> Result<Vec<InventoryError>, String> {
    let text = run(inventory, path, &["--list"])?;
    let mut groups = json(&text, "Unable to get JSON decoder for inventory script result")?;
    let span = Span::new(FileId::register(path, Arc::from("")), 0, 0);
    let hostvars = hostvars(groups.remove("_meta"))?;
    let mut errors = Vec::new();
    let mut named = IndexSet::new();
    for (name, body) in &groups {
        let Some(name) = name.as_str() else { continue };
        match inventory.declare_group(name, span) {
            Ok(group) => {
                let mut script = Script { inventory, path, span, errors: &mut errors, named: &mut named };
                script.group(group, name, body)?;
            }
            Err(error) => errors.push(error),
        }
    }
    let Some(hostvars) = hostvars else {
        inventory.warnings.push(Warning::ScriptShape {
            path: path.to_path_buf(),
            problem: "Inventory scripts should always provide 'meta.hostvars'. Host variables will be collected by \
                      running the inventory script with the '--host' option for each host."
                .into(),
        });
        for host in named {
            let name = inventory.host_name(host).clone();
            let text = run(inventory, path, &["--host", &name])?;
            if text.trim().is_empty() {
                continue;
            }
            let vars = json(
                &text,
                &format!("Inventory script result for host '{name}' could not be parsed as JSON"),
            )?;
            set_all(inventory, host, &vars, span, &mut errors);
        }
        return Ok(errors);
    };
    for host in named {
        let name = inventory.host_name(host).clone();
        match hostvars.get(&name) {
            Some(Value::Dict(vars)) => set_all(inventory, host, vars, span, &mut errors),
            None => {}
            Some(other) => {
                let got = quorate_value::str_of(other);
                return Err(format!("Invalid data from file, expected dictionary and got:\n\n{got}"));
            }
        }
    }
    Ok(errors)
}

fn set_all(
    inventory: &mut Inventory,
    host: HostId,
    vars: &Dict,
    span: Span,
    errors: &mut Vec<InventoryError>,
) {
    for (key, value) in vars {
        errors.extend(inventory.set_host_var(host, key.clone(), value.clone(), span).err());
    }
}

struct Script<'a> {
    inventory: &'a mut Inventory,
    path: &'a Path,
    span: Span,
    errors: &'a mut Vec<InventoryError>,
    /// Hosts that the script names, each once.
    named: &'a mut IndexSet<HostId>,
}

impl Script<'_> {
    fn odd(&mut self, problem: String) {
        self.inventory.warnings.push(Warning::ScriptShape { path: self.path.to_path_buf(), problem });
    }

    fn host(&mut self, name: &str, group: GroupId) -> HostId {
        let host = self.inventory.declare_host(name, group, None, self.span);
        self.named.insert(host);
        host
    }

    fn group(&mut self, group: GroupId, name: &str, body: &Value) -> Result<(), String> {
        let body = match body {
            Value::Dict(body) if ["hosts", "vars", "children"].iter().any(|key| body.contains_key(key)) => {
                body.clone()
            }
            Value::Dict(vars) => {
                self.odd(format!(
                    "Treating malformed group '{name}' as the sole host of that group. Variables provided in this \
                     manner cannot be templated."
                ));
                let host = self.host(name, group);
                set_all(self.inventory, host, &untrusted(vars), self.span, self.errors);
                return Ok(());
            }
            other => {
                self.odd(format!("Group '{name}' was converted to 'dict' from '{}'.", other.type_name()));
                let mut body = Dict::new();
                body.insert("hosts", other.clone());
                Arc::new(body)
            }
        };
        for host in names(&body, name, "hosts")? {
            self.host(host, group);
        }
        match body.get("vars") {
            None => {}
            Some(Value::Dict(vars)) => {
                for (key, value) in vars.iter() {
                    let result = self.inventory.set_group_var(group, key.clone(), value.clone(), self.span);
                    self.errors.extend(result.err());
                }
            }
            Some(other) => return Err(mismatch(&format!("{name}.vars"), other, "dict")),
        }
        for child in names(&body, name, "children")? {
            let result = self
                .inventory
                .declare_group(child, self.span)
                .and_then(|child| self.inventory.link(group, child, self.span));
            self.errors.extend(result.err());
        }
        Ok(())
    }
}

fn untrusted(vars: &Dict) -> Dict {
    vars.iter().map(|(key, value)| (key.clone(), value.untrusted())).collect()
}

/// The names in a list of a group.
fn names<'a>(body: &'a Dict, group: &str, key: &str) -> Result<Vec<&'a str>, String> {
    let items = match body.get(key) {
        None => return Ok(Vec::new()),
        Some(Value::List(items)) => items,
        Some(other) => return Err(mismatch(&format!("{group}.{key}"), other, "list")),
    };
    let kind = if key == "hosts" { "host" } else { "group" };
    items
        .iter()
        .map(|item| {
            item.as_str().ok_or_else(|| {
                format!(
                    "Invalid {kind} name supplied, expected a string but got '{}' for {}",
                    item.type_name(),
                    quorate_value::str_of(item)
                )
            })
        })
        .collect()
}
