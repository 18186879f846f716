//! INI inventories: `[group]`, `[group:vars]`, `[group:children]`.
//!
//! Reading and applying are two steps, so that text that is no INI leaves nothing behind.

use super::hosts_of_entry;
use crate::error::{InventoryError, nearest};
use crate::literal;
use crate::model::{GroupId, Inventory};
use crate::split::{self, Unclosed};
use indexmap::IndexMap;
use quorate_value::{FileId, Key, Span, Value};
use std::collections::HashMap;

/// What a file says, in order, and its mistakes.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    lines: Vec<Line>,
    pub(super) errors: Vec<InventoryError>,
}

#[derive(Debug)]
enum Line {
    Section { group: String, kind: Kind, span: Span },
    Hosts { names: Vec<String>, port: Option<u32>, vars: Vec<(Key, Value, Span)>, span: Span },
    Var { name: String, value: Value, span: Span },
    Child { name: String, span: Span },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hosts,
    Vars,
    Children,
}

/// Reads the text.
pub(super) fn parse(text: &str, file: FileId) -> Parsed {
    let mut parsed = Parsed::default();
    let mut keys = HashMap::new();
    let mut kind = Some(Kind::Hosts);
    for (number, raw) in (1u32..).zip(text.lines()) {
        let line = raw.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let indent = raw.chars().take_while(|c| c.is_whitespace()).count() as u32;
        let span = Span::new(file, number, indent + 1);
        if let Some((group, word)) = section(line) {
            kind = match word {
                None | Some("hosts") => Some(Kind::Hosts),
                Some("vars") => Some(Kind::Vars),
                Some("children") => Some(Kind::Children),
                Some(word) => {
                    let near = nearest(word, ["hosts", "vars", "children"]);
                    let hint = near.first().map_or_else(
                        || "Write `[group]`, `[group:vars]` or `[group:children]`.".to_owned(),
                        |near| format!("Did you mean `[{group}:{near}]`?"),
                    );
                    let message = format!("section `[{group}:{word}]` has the unknown type `{word}`");
                    let ansible = format!("Section [{group}:{word}] has unknown type: {word}");
                    parsed.errors.push(InventoryError::Ini { span, message, ansible, hint: Some(hint) });
                    None
                }
            };
            if let Some(kind) = kind {
                parsed.lines.push(Line::Section { group: group.to_owned(), kind, span });
            }
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') {
            parsed.errors.push(InventoryError::Ini {
                span,
                message: format!("`{line}` is no section"),
                ansible: format!(
                    "Invalid section entry: '{line}'. Please make sure that there are no spaces in the section entry, \
                     and that there are no other invalid characters"
                ),
                hint: Some("A section is `[name]`, without blanks, `:` or `]` in the name.".into()),
            });
            kind = None;
            continue;
        }
        let read = match kind {
            Some(Kind::Hosts) => host_line(line, span, &mut keys),
            Some(Kind::Vars) => var_line(line, span),
            Some(Kind::Children) => child_line(line, span),
            // Lines of a section that means nothing mean nothing.
            None => continue,
        };
        match read {
            Ok(line) => parsed.lines.push(line),
            Err(error) => parsed.errors.push(error),
        }
    }
    parsed
}

/// Group and type of `[group:type]`, which only a comment may follow.
fn section(line: &str) -> Option<(&str, Option<&str>)> {
    let (inside, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim_start();
    if !(after.is_empty() || after.starts_with('#')) {
        return None;
    }
    let (group, word) = inside.split_once(':').map_or((inside, None), |(group, word)| (group, Some(word)));
    let word_ok =
        word.is_none_or(|word| !word.is_empty() && word.chars().all(|c| c == '_' || c.is_alphanumeric()));
    (!group.is_empty() && !group.contains(char::is_whitespace) && word_ok).then_some((group, word))
}

/// `keys` holds the names seen so far, so that hosts share them.
fn host_line(line: &str, span: Span, keys: &mut HashMap<String, Key>) -> Result<Line, InventoryError> {
    let at = |column: u32| Span::new(span.file, span.line, span.column + column);
    let words = split::words(line).map_err(|Unclosed(column)| InventoryError::Ini {
        span: at(column),
        message: "a quote is not closed on this line".into(),
        ansible: format!("Error parsing host definition '{line}': No closing quotation"),
        hint: Some("Close it, or put a backslash before it.".into()),
    })?;
    let Some((host, vars)) = words.split_first() else {
        return Err(InventoryError::Ini {
            span,
            message: "no host on this line".into(),
            ansible: "no host on this line".into(),
            hint: None,
        });
    };
    if host.text.trim().ends_with(':') && host.text.matches(':').count() == 1 && !host.text.contains('[') {
        let name = host.text.trim_end_matches(':');
        return Err(InventoryError::Ini {
            span,
            message: format!("the host `{}` ends with `:`, but no port follows", host.text),
            ansible: format!(
                "Invalid host pattern '{}' supplied, ending in ':' is not allowed, this character is reserved to \
                 provide a port.",
                host.text
            ),
            hint: Some(format!("Write `{name}` or `{name}:22`; for YAML, name the file `.yml`.")),
        });
    }
    let vars = vars
        .iter()
        .map(|word| {
            let span = at(word.column);
            let (name, value) = word.text.split_once('=').ok_or_else(|| InventoryError::Ini {
                span,
                message: format!("expected `name=value` after the host, not `{}`", word.text),
                ansible: format!("Expected key=value host variable assignment, got: {}", word.text),
                hint: Some("Write one host a line; quote values with blanks: `name='a b'`.".into()),
            })?;
            let key = match keys.get(name) {
                Some(key) => key.clone(),
                None => keys.entry(name.to_owned()).or_insert_with(|| Key::from(name)).clone(),
            };
            Ok((key, literal::value(value, span), span))
        })
        .collect::<Result<_, InventoryError>>()?;
    let (names, port) = hosts_of_entry(&host.text, at(host.column))?;
    Ok(Line::Hosts { names, port, vars, span: at(host.column) })
}

fn var_line(line: &str, span: Span) -> Result<Line, InventoryError> {
    let (name, value) = line.split_once('=').ok_or_else(|| InventoryError::Ini {
        span,
        message: format!("expected `name=value`, not `{line}`"),
        ansible: format!("Expected key=value, got: {line}"),
        hint: line.contains(':').then(|| "Variables of an INI inventory take `=`, not `:`.".to_owned()),
    })?;
    Ok(Line::Var { name: name.trim().to_owned(), value: literal::value(value.trim(), span), span })
}

fn child_line(line: &str, span: Span) -> Result<Line, InventoryError> {
    let name = line.split(|c: char| c.is_whitespace() || c == ':' || c == ']').next().unwrap_or_default();
    let rest = line[name.len()..].trim_start();
    if name.is_empty() || !(rest.is_empty() || rest.starts_with('#')) {
        return Err(InventoryError::Ini {
            span,
            message: format!("expected the name of a group, not `{line}`"),
            ansible: format!("Expected group name, got: {line}"),
            hint: Some("Write one group a line, without variables.".into()),
        });
    }
    Ok(Line::Child { name: name.to_owned(), span })
}

/// Groups that a `:children` or `:vars` section names before they are defined.
#[derive(Default)]
struct Pending {
    /// The section that named it first, for the error.
    section: String,
    span: Span,
    parents: Vec<(GroupId, Span)>,
}

/// Adds what was read; gives all mistakes, those of reading included.
pub(super) fn apply(inventory: &mut Inventory, parsed: Parsed) -> Vec<InventoryError> {
    let Parsed { lines, mut errors } = parsed;
    let mut pending: IndexMap<String, Pending> = IndexMap::new();
    let mut current = (inventory.ungrouped(), "ungrouped".to_owned());
    let mut waiting_vars: Vec<(String, Key, Value, Span)> = Vec::new();
    let mut undefined: Option<String> = None;
    for line in lines {
        match line {
            Line::Section { group, kind, span } => {
                undefined = None;
                if kind == Kind::Vars && inventory.group_id(&group).is_none() {
                    pending.entry(group.clone()).or_insert_with(|| Pending {
                        section: format!("`[{group}:vars]`"),
                        span,
                        parents: Vec::new(),
                    });
                    undefined = Some(group);
                    continue;
                }
                match inventory.declare_group(&group, span) {
                    Ok(id) => current = (id, group.clone()),
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                }
                if kind != Kind::Vars
                    && let Some(known) = pending.shift_remove(&group)
                {
                    for (parent, span) in known.parents {
                        errors.extend(inventory.link(parent, current.0, span).err());
                    }
                }
            }
            Line::Hosts { names, port, vars, span } => {
                let hosts: Vec<_> =
                    names.iter().map(|name| inventory.declare_host(name, current.0, port, span)).collect();
                errors.extend(inventory.set_host_vars(&hosts, vars).err());
            }
            Line::Var { name, value, span } => match &undefined {
                Some(group) => waiting_vars.push((group.clone(), Key::from(name), value, span)),
                None => errors.extend(inventory.set_group_var(current.0, Key::from(name), value, span).err()),
            },
            Line::Child { name, span } => match inventory.group_id(&name) {
                Some(child) => errors.extend(inventory.link(current.0, child, span).err()),
                None => {
                    let entry = pending.entry(name).or_insert_with(|| Pending {
                        section: format!("`[{}:children]`", current.1),
                        span,
                        parents: Vec::new(),
                    });
                    entry.parents.push((current.0, span));
                }
            },
        }
    }
    for (group, key, value, span) in waiting_vars {
        if let Some(group) = inventory.group_id(&group) {
            errors.extend(inventory.set_group_var(group, key, value, span).err());
        }
    }
    let known: Vec<String> = inventory.groups.keys().map(ToString::to_string).collect();
    errors.extend(pending.into_iter().map(|(name, pending)| InventoryError::UnknownGroup {
        span: pending.span,
        used_in: pending.section,
        nearest: nearest(&name, known.iter().map(String::as_str)),
        name,
    }));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let cases = [
            ("[web]", Some(("web", None))),
            ("[web:vars]  # c", Some(("web", Some("vars")))),
            ("[we b]", None),
            ("[]", None),
            ("[:vars]", None),
            ("[a:b:c]", None),
            ("[1:3]x", None),
            ("[web", None),
        ];
        for (line, expected) in cases {
            assert_eq!(section(line), expected, "{line}");
        }
    }

    #[test]
    fn every_mistake_has_its_place() {
        let text = "h1 foo\n[web:var]\nx\n[db:vars]\nnot a var\n[g]\nh2:\n  h3 a='x\nweb[1:\n[a b]\n";
        let errors = parse(text, FileId::default()).errors;
        let places: Vec<(u32, u32)> = errors.iter().map(error_place).collect();
        assert_eq!(places, [(1, 4), (2, 1), (5, 1), (7, 1), (8, 8), (9, 1), (10, 1)]);
        assert_eq!(errors[1].hint().as_deref(), Some("Did you mean `[web:vars]`?"));
    }

    fn error_place(error: &InventoryError) -> (u32, u32) {
        match error {
            InventoryError::Ini { span, .. } | InventoryError::Range { span, .. } => (span.line, span.column),
            other => panic!("{other}"),
        }
    }
}
