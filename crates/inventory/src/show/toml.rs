//! `--list --toml` and `--host --toml`, laid out as `tomli_w` does.
//!
//! Two differences from Ansible: variables of a host are written where the host is first, also where Ansible loses them
//! because its group is reached twice; and null, which TOML cannot say, is an error that names the variable.

use super::{Lister, ShowError};
use crate::model::GroupId;
use quorate_value::{Dict, Key, Value, float_repr};
use std::collections::HashSet;

/// A table longer than this on one line is written as a table of its own.
const WIDEST_INLINE: usize = 100;

impl Lister<'_> {
    pub(super) fn toml(&self) -> Result<String, ShowError> {
        let mut out = Dict::new();
        let mut seen = HashSet::new();
        let mut seen_hosts = HashSet::new();
        self.toml_group(self.inventory.all(), &mut out, &mut seen, &mut seen_hosts)?;
        out.retain(|_, body| body.is_truthy());
        write(&out)
    }

    fn toml_group(
        &self,
        id: GroupId,
        out: &mut Dict,
        seen: &mut HashSet<GroupId>,
        seen_hosts: &mut HashSet<crate::HostId>,
    ) -> Result<(), ShowError> {
        if !seen.insert(id) {
            return Ok(());
        }
        let group = self.inventory.group(id);
        let name = group.name().clone();
        // The place is taken before the children take theirs.
        out.insert(name.clone(), Dict::new());
        for child in group.children() {
            self.toml_group(child, out, seen, seen_hosts)?;
        }
        let mut entry = Dict::new();
        if id != self.inventory.all() && !group.children.is_empty() {
            let children: Value =
                group.children().map(|child| self.inventory.group(child).name().as_ref()).collect();
            entry.insert("children", children);
        }
        let mut hosts = Dict::new();
        for host in self.hosts_in(id) {
            let vars = if seen_hosts.insert(host) { self.host_vars(host)? } else { Dict::new() };
            hosts.insert(self.inventory.host_name(host).clone(), vars);
        }
        if !hosts.is_empty() {
            entry.insert("hosts", hosts);
        }
        if self.show.export {
            let vars = self.group_vars(id)?;
            if !vars.is_empty() {
                entry.insert("vars", vars);
            }
        }
        out.insert(name, entry);
        Ok(())
    }
}

/// A mapping as TOML.
pub(super) fn write(table: &Dict) -> Result<String, ShowError> {
    let mut out = String::new();
    write_table(&mut out, table, "", false)?;
    Ok(out)
}

fn write_table(out: &mut String, table: &Dict, name: &str, in_array: bool) -> Result<(), ShowError> {
    let mut literals = Vec::new();
    let mut tables: Vec<(&Key, &Dict, bool)> = Vec::new();
    for (key, value) in table {
        match value {
            Value::Dict(table) => tables.push((key, table, false)),
            Value::List(items) => match array_of_tables(items) {
                Some(items) => tables.extend(items.into_iter().map(|table| (key, table, true))),
                None => literals.push((key, value)),
            },
            _ => literals.push((key, value)),
        }
    }
    let mut written = in_array || (!name.is_empty() && (!literals.is_empty() || tables.is_empty()));
    if in_array {
        out.push_str(&format!("[[{name}]]\n"));
    } else if written {
        out.push_str(&format!("[{name}]\n"));
    }
    for (key, value) in literals {
        written = true;
        let shown = if name.is_empty() {
            key.json_text().into_owned()
        } else {
            format!("{name}.{}", key.json_text())
        };
        out.push_str(&format!("{} = {}\n", key_part(key), literal(value, 0, &shown)?));
    }
    for (key, table, in_array) in tables {
        if written {
            out.push('\n');
        }
        written = true;
        let part = key_part(key);
        let name = if name.is_empty() { part } else { format!("{name}.{part}") };
        write_table(out, table, &name, in_array)?;
    }
    Ok(())
}

/// The items of a list that is written as `[[name]]` tables: all mappings, one too long for a line.
fn array_of_tables(items: &[Value]) -> Option<Vec<&Dict>> {
    let tables: Vec<&Dict> = items.iter().map(Value::as_dict).collect::<Option<_>>()?;
    let inline = |table: &Dict| {
        // What cannot be written is an error wherever it stands.
        inline_table(table, 0, "")
            .is_ok_and(|text| text.chars().count() + 5 <= WIDEST_INLINE && !text.contains('\n'))
    };
    (!tables.is_empty() && !tables.iter().all(|table| inline(table))).then_some(tables)
}

fn literal(value: &Value, level: usize, name: &str) -> Result<String, ShowError> {
    let unwritable = |problem: &str| ShowError::Unwritable {
        name: name.to_owned(),
        format: "TOML",
        problem: problem.to_owned(),
    };
    Ok(match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Big(number) => number.to_string(),
        Value::Float(number) => float_repr(*number),
        Value::Str(text) => string(text),
        Value::Vault(_) => return Err(unwritable("it is encrypted")),
        Value::Null => return Err(unwritable("TOML has no null")),
        Value::Omit => return Err(unwritable("TOML has no `omit`")),
        Value::List(items) if items.is_empty() => "[]".into(),
        Value::List(items) => {
            let indent = " ".repeat(4 * (level + 1));
            let mut out = "[\n".to_owned();
            for item in items.iter() {
                out.push_str(&format!("{indent}{},\n", literal(item, level + 1, name)?));
            }
            out + &" ".repeat(4 * level) + "]"
        }
        Value::Dict(table) => inline_table(table, level, name)?,
    })
}

fn inline_table(table: &Dict, level: usize, name: &str) -> Result<String, ShowError> {
    if table.is_empty() {
        return Ok("{}".into());
    }
    let parts = table
        .iter()
        .map(|(key, value)| Ok(format!("{} = {}", key_part(key), literal(value, level, name)?)))
        .collect::<Result<Vec<_>, ShowError>>()?;
    Ok(format!("{{ {} }}", parts.join(", ")))
}

fn key_part(key: &Key) -> String {
    let text = key.json_text();
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { text.into_owned() } else { string(&text) }
}

fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{8}' => out.push_str("\\b"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push('\t'),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
