//! Lookups that read the controller: files, commands, environment.
//!
//! Source: "Lookup plugins" of ansible.builtin. What they return is data: never rendered again.

use super::{TaskScope, render};
use crate::playbook::plain_io;
use quorate_template::{Caller, Error, Kind, LookupCall, Result, Style};
use quorate_value::{Dict, Str, Value, str_of};
use std::path::{Path, PathBuf};

/// Runs a lookup; nothing where there is none of that name.
pub(super) fn run(scope: &TaskScope, call: &LookupCall, caller: &dyn Caller) -> Option<Result<Vec<Value>>> {
    let name = call
        .name
        .strip_prefix("ansible.builtin.")
        .or_else(|| call.name.strip_prefix("ansible.legacy."))
        .unwrap_or(&call.name);
    // what leaves a trace is asked for once, at its time
    if matches!(name, "pipe" | "lines" | "password") && scope.early.as_ref().is_some_and(|early| early.ask())
    {
        return Some(Ok(Vec::new()));
    }
    Some(match name {
        "file" => each(call, |term| file(scope, call, term)),
        "unvault" => each(call, |term| {
            let path = render::find_file(scope, "files", term)
                .map_err(|_| failed(call, format!("Unable to find file matching \"{term}\" ")))?;
            read(scope, &path).map(Value::Str)
        }),
        "template" => each(call, |term| template(scope, call, caller, term)),
        "fileglob" => fileglob(scope, call),
        "first_found" => first_found(scope, call),
        "pipe" => each(call, pipe),
        "lines" => lines(call),
        "inventory_hostnames" => inventory_hostnames(scope, call),
        "password" => each(call, |term| {
            let base = &scope.shared.options.playbook_dir;
            super::password::lookup(call, term, base, |path| read(scope, path))
        }),
        "ini" => ini(scope, call),
        "csvfile" => csvfile(scope, call),
        "config" => configs(scope, call),
        _ => return None,
    })
}

fn failed(call: &LookupCall, why: impl Into<String>) -> Error {
    Error::new(Kind::Lookup(call.name.clone()), why)
}

/// What went wrong, without the words that templates put in front.
fn bare(error: &Error) -> String {
    error.detail().to_owned()
}

fn each(call: &LookupCall, one: impl Fn(&str) -> Result<Value>) -> Result<Vec<Value>> {
    call.terms
        .iter()
        .map(|term| {
            one(&str_of(term))
                .map_err(|e| if matches!(e.kind(), Kind::Runtime) { failed(call, bare(&e)) } else { e })
        })
        .collect()
}

fn option<'a>(call: &'a LookupCall, name: &str) -> Option<&'a Value> {
    call.options.get(name).filter(|v| !v.is_null())
}

fn flag(call: &LookupCall, name: &str, otherwise: bool) -> bool {
    option(call, name).and_then(Value::to_bool_loose).unwrap_or(otherwise)
}

fn read(scope: &TaskScope, path: &Path) -> Result<Str> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::runtime(format!("{}: {}", path.display(), plain_io(&e))))?;
    let vaulted = bytes.starts_with(b"$ANSIBLE_VAULT");
    let bytes = if vaulted {
        crate::secrets::open(&String::from_utf8_lossy(&bytes), &scope.shared.vault)
            .map_err(|e| Error::new(Kind::Vault, e.to_string()))?
            .to_vec()
    } else {
        bytes
    };
    let text = Str::from(String::from_utf8_lossy(&bytes).into_owned());
    Ok(if vaulted { text.secret() } else { text })
}

/// Text in the encoding that the lookup names; Latin-1 and its kin besides UTF-8.
fn read_as(scope: &TaskScope, path: &Path, encoding: &str) -> Result<Str> {
    let plain = encoding.to_ascii_lowercase().replace(['-', '_'], "");
    if !matches!(
        plain.as_str(),
        "iso88591" | "latin1" | "l1" | "8859" | "cp819" | "iso885915" | "latin9" | "ascii"
    ) {
        return read(scope, path);
    }
    let bytes =
        std::fs::read(path).map_err(|e| Error::runtime(format!("{}: {}", path.display(), plain_io(&e))))?;
    let swapped = |byte: u8| match byte {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        other => char::from(other),
    };
    let latin9 = matches!(plain.as_str(), "iso885915" | "latin9");
    let text: String =
        bytes.iter().map(|byte| if latin9 { swapped(*byte) } else { char::from(*byte) }).collect();
    Ok(Str::from(text))
}

/// `name=value` words of a term that a lookup does not have.
fn known_words(call: &LookupCall, parsed: &Dict, known: &[&str]) -> Result<()> {
    let odd = parsed
        .keys()
        .filter_map(quorate_value::Key::as_str)
        .find(|key| *key != "_raw_params" && !known.contains(key));
    match odd {
        Some(name) => Err(failed(call, format!("'{name}' is not a valid option."))),
        None => Ok(()),
    }
}

fn file(scope: &TaskScope, call: &LookupCall, term: &str) -> Result<Value> {
    let path = render::find_file(scope, "files", term).map_err(|_| {
        failed(
            call,
            format!("Unable to access the file '{term}': File not found. Use -vvvvv to see paths searched."),
        )
    })?;
    let text = read(scope, &path)?;
    let mut out = text.as_str();
    if flag(call, "rstrip", true) {
        out = out.trim_end();
    }
    if flag(call, "lstrip", false) {
        out = out.trim_start();
    }
    let piece = Str::new(out);
    Ok(Value::Str(if text.is_secret() { piece.secret() } else { piece }))
}

fn template(scope: &TaskScope, call: &LookupCall, caller: &dyn Caller, term: &str) -> Result<Value> {
    let path = render::find_file(scope, "templates", term)
        .map_err(|_| failed(call, format!("the template file '{term}' could not be found for the lookup")))?;
    let source = render::source(scope, &path)?;
    let mut style = Style::file();
    for (name, slot) in [
        ("variable_start_string", &mut style.variable_start),
        ("variable_end_string", &mut style.variable_end),
        ("comment_start_string", &mut style.comment_start),
        ("comment_end_string", &mut style.comment_end),
    ] {
        if let Some(text) = option(call, name) {
            *slot = str_of(text);
        }
    }
    style.trim_blocks = flag(call, "trim_blocks", style.trim_blocks);
    style.lstrip_blocks = flag(call, "lstrip_blocks", style.lstrip_blocks);
    let mut over = render::template_vars(scope, &path, &Dict::new());
    if let Some(Value::Dict(vars)) = option(call, "template_vars") {
        over.update(vars);
    }
    caller.render_file(&source, &style, &over)
}

fn fileglob(scope: &TaskScope, call: &LookupCall) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for term in &call.terms {
        let term = str_of(term);
        let pattern = Path::new(&term);
        let base = pattern.file_name().unwrap_or_default();
        let dirs: Vec<PathBuf> = match pattern.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            Some(dir) => render::find_file(scope, "files", &dir.display().to_string()).into_iter().collect(),
            None => {
                render::search_path(scope).iter().flat_map(|dir| [dir.join("files"), dir.clone()]).collect()
            }
        };
        for dir in dirs {
            let full = dir.join(base);
            let matches: Vec<String> = quorate_agent::system::glob::glob(&full.display().to_string(), None)
                .into_iter()
                .filter(|path| path.is_file())
                .map(|path| std::path::absolute(&path).unwrap_or(path).display().to_string())
                .collect();
            if !matches.is_empty() {
                found.extend(matches.into_iter().map(Value::from));
                break;
            }
        }
    }
    Ok(found)
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().flat_map(words).collect(),
        Value::Null => Vec::new(),
        other => {
            str_of(other).split([',', ';']).map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect()
        }
    }
}

fn first_found(scope: &TaskScope, call: &LookupCall) -> Result<Vec<Value>> {
    let mut candidates: Vec<String> = Vec::new();
    let mut skip = flag(call, "skip", false);
    let mut add = |files: Vec<String>, paths: Vec<String>| {
        if paths.is_empty() {
            candidates.extend(files);
        } else {
            for path in &paths {
                candidates.extend(files.iter().map(|file| Path::new(path).join(file).display().to_string()));
            }
        }
    };
    if let Some(files) = option(call, "files") {
        add(words(files), option(call, "paths").map(words).unwrap_or_default());
    }
    let mut terms: Vec<Value> = Vec::new();
    for term in &call.terms {
        match term {
            Value::List(items) => terms.extend(items.iter().cloned()),
            other => terms.push(other.clone()),
        }
    }
    for term in &terms {
        match term {
            Value::Dict(entries) => {
                add(
                    entries.get("files").map(words).unwrap_or_default(),
                    entries.get("paths").map(words).unwrap_or_default(),
                );
                skip |= entries.get("skip").and_then(Value::to_bool_loose).unwrap_or(false);
            }
            other => add(words(other), option(call, "paths").map(words).unwrap_or_default()),
        }
    }
    let kind = match scope.step.as_ref().map(|step| step.module().to_owned()).as_deref() {
        Some("template") => "templates",
        Some("include_tasks" | "import_tasks") => "tasks",
        Some("include_vars") => "vars",
        _ => "files",
    };
    for name in &candidates {
        if name.is_empty() {
            continue;
        }
        if let Ok(path) = render::find_file(scope, kind, name) {
            return Ok(vec![Value::from(std::path::absolute(&path).unwrap_or(path).display().to_string())]);
        }
    }
    if skip {
        return Ok(Vec::new());
    }
    Err(failed(call, "No file was found when using first_found."))
}

fn pipe(term: &str) -> Result<Value> {
    crate::run::hold_if_ending();
    let output = std::process::Command::new("/bin/sh")
        .arg("-c")
        .arg(term)
        .output()
        .map_err(|e| Error::runtime(plain_io(&e)))?;
    if !output.status.success() {
        return Err(Error::runtime(format!(
            "lookup_plugin.pipe({term}) returned {}",
            output.status.code().unwrap_or(-1)
        )));
    }
    Ok(Value::from(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()))
}

fn lines(call: &LookupCall) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for term in &call.terms {
        let term = str_of(term);
        let output = std::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(&term)
            .output()
            .map_err(|e| failed(call, plain_io(&e)))?;
        if !output.status.success() {
            return Err(failed(
                call,
                format!("lookup_plugin.lines({term}) returned {}", output.status.code().unwrap_or(-1)),
            ));
        }
        all.extend(String::from_utf8_lossy(&output.stdout).lines().map(|line| Value::from(line.trim_end())));
    }
    Ok(all)
}

fn inventory_hostnames(scope: &TaskScope, call: &LookupCall) -> Result<Vec<Value>> {
    let inventory = scope.shared.inventory();
    let selected = inventory.select_value(&Value::list(call.terms.clone()), None);
    Ok(selected.hosts.iter().map(|id| Value::from(inventory.host_name(*id).as_ref())).collect())
}

fn ini(scope: &TaskScope, call: &LookupCall) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in &call.terms {
        let parsed = crate::playbook::kv::parse_kv(&Str::from(str_of(term)), false)
            .map_err(|e| failed(call, e.to_string()))?;
        let pick = |name: &str, otherwise: &str| {
            parsed
                .get(name)
                .map(str_of)
                .or_else(|| option(call, name).map(str_of))
                .unwrap_or_else(|| otherwise.to_owned())
        };
        let key = parsed.get("_raw_params").map(str_of).unwrap_or_default();
        known_words(
            call,
            &parsed,
            &[
                "type",
                "file",
                "section",
                "re",
                "encoding",
                "default",
                "case_sensitive",
                "allow_no_value",
                "allow_none",
                "interpolation",
            ],
        )?;
        if key.is_empty() && !parsed.is_empty() {
            let message = format!(
                "No key to look up was provided as first term within string inline options: {}",
                str_of(term)
            );
            return Err(failed(call, message));
        }
        let (section, name, kind) =
            (pick("section", "global"), pick("file", "ansible.ini"), pick("type", "ini"));
        let path = render::find_file(scope, "files", &name)
            .map_err(|_| failed(call, format!("Unable to access the file '{name}'")))?;
        let text = read_as(scope, &path, &pick("encoding", "utf-8"))?;
        let regex =
            flag(call, "re", false) || parsed.get("re").and_then(Value::to_bool_loose).unwrap_or(false);
        let pattern = regex
            .then(|| {
                let fine = quorate_inventory::regex(&key);
                fine.and_then(|_| quorate_inventory::regex(&format!("^(?:{key})")))
                    .map_err(|e| failed(call, e))
            })
            .transpose()?;
        let mut current = if kind == "properties" { section.clone() } else { String::new() };
        let mut own: Vec<(String, String)> = Vec::new();
        let mut defaults: Vec<(String, String)> = Vec::new();
        let mut others: Vec<(String, String)> = Vec::new();
        let case = flag(call, "case_sensitive", false);
        let mut there = current == section;
        let asked = |name: &str, otherwise: bool| {
            parsed.get(name).and_then(Value::to_bool_loose).unwrap_or_else(|| flag(call, name, otherwise))
        };
        let bare = asked("allow_no_value", false) || asked("allow_none", false);
        let mut valueless = false;
        let mut wrong = String::new();
        // whether the line before said something that this one may go on with
        let mut open = false;
        for (number, written) in text.lines().enumerate() {
            let line = written.trim();
            let entries = match current.as_str() {
                here if here == section => &mut own,
                "DEFAULT" => &mut defaults,
                _ => &mut others,
            };
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if open
                && written.starts_with([' ', '\t'])
                && let Some((_, value)) = entries.last_mut()
            {
                value.push('\n');
                value.push_str(line);
                continue;
            }
            open = false;
            if let Some(header) = line.strip_prefix('[') {
                current = header.trim_end_matches(']').to_owned();
                there |= current == section;
                others.clear();
                continue;
            }
            if !line.contains(['=', ':']) {
                if !bare {
                    wrong.push_str(&format!("\n\t[line {:2}]: '{line}\\n'", number + 1));
                }
                // a name without a value: it is there, and there is nothing of it
                valueless |= current == section && line.eq_ignore_ascii_case(&key);
                continue;
            }
            if let Some((k, v)) = line.split_once(['=', ':']) {
                // as Python's ConfigParser, which reads properties the same way
                let k = if case { k.trim().to_owned() } else { k.trim().to_lowercase() };
                if entries.iter().any(|(known, _)| *known == k) {
                    return Err(failed(
                        call,
                        format!(
                            "Duplicate option in '{name}': While reading from '{name}': option '{k}' in section '{current}' already exists"
                        ),
                    ));
                }
                entries.push((k, v.trim().to_owned()));
                open = true;
            }
        }
        if section != "DEFAULT" {
            defaults.retain(|(name, _)| own.iter().all(|(known, _)| known != name));
            own.append(&mut defaults);
        }
        let interpolates = asked("interpolation", true);
        let mut values = Vec::new();
        for (k, v) in &own {
            let same = match &pattern {
                Some(re) => re.is_match(k).unwrap_or(false),
                None if case => *k == key,
                None => k.eq_ignore_ascii_case(&key),
            };
            if same {
                let value = if interpolates {
                    interpolated(v, &own, 1).map_err(|why| match why {
                        Interpolation::Unknown(key) => failed(
                            call,
                            format!(
                                "Bad value substitution: option '{k}' in section '{section}' contains an interpolation key '{key}' which is not a valid option name. Raw value: '{v}'"
                            ),
                        ),
                        Interpolation::Deep => failed(
                            call,
                            format!(
                                "Recursion limit exceeded in value substitution: option '{k}' in section '{section}' contains an interpolation key which cannot be substituted in 10 steps. Raw value: '{v}'"
                            ),
                        ),
                        Interpolation::Bad(why) => failed(call, why),
                    })?
                } else {
                    v.clone()
                };
                values.push(Value::from(value));
            }
        }
        if !wrong.is_empty() {
            return Err(failed(call, format!("Source contains parsing errors: '<???>'{wrong}")));
        }
        if !there && !section.eq_ignore_ascii_case("global") {
            return Err(failed(call, format!("No section '{section}' in '{name}'.")));
        }
        if regex {
            out.extend(values);
        } else if valueless && values.is_empty() {
        } else if let Some(last) = values.pop() {
            out.push(last);
        } else {
            out.push(
                option(call, "default")
                    .cloned()
                    .unwrap_or_else(|| parsed.get("default").cloned().unwrap_or_else(Value::empty)),
            );
        }
    }
    Ok(out)
}

/// Why a value with `%` in it comes to nothing.
enum Interpolation {
    Unknown(String),
    Deep,
    Bad(String),
}

/// `%(name)s` becomes what `name` says in the same section, `%%` a percent sign: Python's basic interpolation.
fn interpolated(
    text: &str,
    entries: &[(String, String)],
    depth: usize,
) -> std::result::Result<String, Interpolation> {
    if depth > 10 {
        return Err(Interpolation::Deep);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
        } else if let Some(name) = after.strip_prefix('(') {
            let Some((name, after)) = name.split_once(")s") else {
                return Err(Interpolation::Bad(format!("bad interpolation variable reference '%{after}'")));
            };
            let name = name.to_lowercase();
            let Some((_, value)) = entries.iter().find(|(known, _)| known.to_lowercase() == name) else {
                return Err(Interpolation::Unknown(name));
            };
            out.push_str(&interpolated(value, entries, depth + 1)?);
            rest = after;
        } else {
            return Err(Interpolation::Bad(format!("'%' must be followed by '%' or '(', found: '%{after}'")));
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn csvfile(scope: &TaskScope, call: &LookupCall) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    if call.terms.is_empty() {
        return Err(failed(call, "Search key is required but was not found"));
    }
    for term in &call.terms {
        let parsed = crate::playbook::kv::parse_kv(&Str::from(str_of(term)), false)
            .map_err(|e| failed(call, e.to_string()))?;
        let pick = |name: &str, otherwise: &str| {
            parsed
                .get(name)
                .map(str_of)
                .or_else(|| option(call, name).map(str_of))
                .unwrap_or_else(|| otherwise.to_owned())
        };
        let key = parsed.get("_raw_params").map(str_of).unwrap_or_default();
        if key.is_empty() {
            return Err(failed(call, "Search key is required but was not found".to_owned()));
        }
        known_words(call, &parsed, &["file", "delimiter", "col", "keycol", "default", "encoding"])?;
        let name = pick("file", "ansible.csv");
        let delimiter = match pick("delimiter", "TAB").as_str() {
            "TAB" | "\\t" => '\t',
            other => other.chars().next().unwrap_or('\t'),
        };
        let number = |option: &str, otherwise: &str| {
            let text = pick(option, otherwise);
            text.trim().parse::<usize>().map_err(|_| {
                failed(
                    call,
                    format!(
                        "Config '{option}' for 'csvfile' lookup plugin from 'Direct' has an invalid value: Invalid value provided for 'int': '{text}'"
                    ),
                )
            })
        };
        let (column, key_column) = (number("col", "1")?, number("keycol", "0")?);
        let path = render::find_file(scope, "files", &name)
            .map_err(|_| failed(call, format!("csvfile: [Errno 2] No such file or directory: '{name}'")))?;
        let text = read_as(scope, &path, &pick("encoding", "utf-8"))?;
        let found = csv_rows(&text, delimiter).into_iter().find(|row| row.get(key_column) == Some(&key));
        let value = found.and_then(|row| row.get(column).cloned());
        let value = value
            .map(Value::from)
            .or_else(|| option(call, "default").cloned())
            .or_else(|| parsed.get("default").cloned());
        match value {
            Some(Value::List(items)) => out.extend(items.iter().cloned()),
            other => out.extend(other),
        }
    }
    Ok(out)
}

fn csv_rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                cell.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            c if c == delimiter && !quoted => row.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// `config`: settings by name; `on_missing` says what becomes of names that are none.
fn configs(scope: &TaskScope, call: &LookupCall) -> Result<Vec<Value>> {
    let missing = option(call, "on_missing").map_or_else(|| "error".to_owned(), str_of);
    let plugin = match (option(call, "plugin_type"), option(call, "plugin_name")) {
        (None, None) => None,
        (Some(kind), Some(name)) => Some((str_of(kind), str_of(name))),
        _ => {
            let text = "Both plugin_type and plugin_name are required, cannot use one without the other.";
            return Err(failed(call, text));
        }
    };
    let origins = flag(call, "show_origin", false);
    let mut out = Vec::new();
    for term in &call.terms {
        let term = str_of(term);
        let found = match &plugin {
            None => config(scope, &term),
            Some((kind, name)) => plugin_config(scope, kind, name, &term),
        };
        let Some(value) = found else {
            match missing.as_str() {
                "skip" => {}
                "warn" => {
                    crate::report::display::warning(&format!("Skipping, did not find setting {term}"));
                }
                _ => return Err(failed(call, format!("No config definition exists for '{term}'."))),
            }
            continue;
        };
        out.push(if origins {
            let origin = match scope.shared.settings.source(&term) {
                crate::settings::Source::Default => "default".to_owned(),
                crate::settings::Source::Env(name) => format!("env: {name}"),
                crate::settings::Source::File(path) => path.display().to_string(),
            };
            Value::list([value, Value::from(origin)])
        } else {
            value
        });
    }
    Ok(out)
}

/// Options of the plug-ins that Quorate stands in for: the settings behind them, or what is always so.
fn plugin_config(scope: &TaskScope, kind: &str, name: &str, term: &str) -> Option<Value> {
    let setting = |key: &str, otherwise: Value| match config(scope, key) {
        Some(value) if value.is_truthy() || matches!(value, Value::Bool(_)) => Some(value),
        _ => Some(otherwise),
    };
    let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    match (kind, name, term) {
        ("become", "sudo" | "su" | "runas", "become_user") => {
            setting("DEFAULT_BECOME_USER", Value::from("root"))
        }
        ("become", "sudo" | "su", "become_exe") => setting("DEFAULT_BECOME_EXE", Value::from(name)),
        ("become", "sudo", "become_flags") => setting("DEFAULT_BECOME_FLAGS", Value::from("-H -S -n")),
        ("become", "su", "become_flags") => setting("DEFAULT_BECOME_FLAGS", Value::from("")),
        ("become", "sudo" | "su", "become_pass") | ("become", "sudo", "sudo_chdir") => Some(Value::Null),
        ("shell", "sh", "remote_tmp") => setting("DEFAULT_REMOTE_TMP", Value::from("~/.ansible/tmp")),
        ("shell", "sh", "system_tmpdirs") => {
            Some(Value::list([Value::from("/var/tmp"), Value::from("/tmp")]))
        }
        ("shell", "sh", "async_dir") => Some(Value::from("~/.ansible_async")),
        ("shell", "sh", "admin_users") => Some(Value::list([Value::from("root"), Value::from("toor")])),
        ("shell", "sh", "common_remote_group") => Some(Value::Null),
        ("shell", "sh", "world_readable_temp") => Some(Value::Bool(false)),
        ("connection", "ssh", term) => match term {
            "remote_user" => setting("DEFAULT_REMOTE_USER", Value::Null),
            "port" => setting("DEFAULT_REMOTE_PORT", Value::Null),
            "host_key_checking" => setting("HOST_KEY_CHECKING", Value::Bool(true)),
            "pipelining" => setting("ANSIBLE_PIPELINING", Value::Bool(false)),
            "ssh_args" => config(scope, "ANSIBLE_SSH_ARGS"),
            "ssh_common_args" => setting("SSH_COMMON_ARGS", Value::from("")),
            "ssh_extra_args" => setting("SSH_EXTRA_ARGS", Value::from("")),
            "sftp_extra_args" => setting("SFTP_EXTRA_ARGS", Value::from("")),
            "scp_extra_args" => setting("SCP_EXTRA_ARGS", Value::from("")),
            "ssh_executable" => setting("SSH_EXECUTABLE", Value::from("ssh")),
            "reconnection_retries" => config(scope, "SSH_RETRIES"),
            "control_path_dir" => setting("SSH_CONTROL_PATH_DIR", Value::from("~/.ansible/cp")),
            "timeout" => config(scope, "DEFAULT_TIMEOUT"),
            "private_key_file" => setting("DEFAULT_PRIVATE_KEY_FILE", Value::Null),
            // content goes over the helper's own link, whatever is said of these
            "ssh_transfer_method" => Some(Value::from("smart")),
            "sftp_executable" => Some(Value::from("sftp")),
            "scp_executable" => Some(Value::from("scp")),
            "use_tty" | "sftp_batch_mode" => Some(Value::Bool(true)),
            "control_path" => Some(Value::Null),
            _ => None,
        },
        _ => None,
    }
}

fn config(scope: &TaskScope, term: &str) -> Option<Value> {
    let key = crate::settings::KEYS.iter().find(|key| key.name == term)?;
    use crate::settings::Shape;
    let settings = &scope.shared.settings;
    Some(match key.shape {
        Shape::Flag => Value::Bool(settings.flag(term)),
        Shape::Number => settings.number(term).map_or(Value::Null, Value::Int),
        Shape::List => settings.list(term).iter().map(Value::from).collect(),
        Shape::Paths => {
            settings.paths(term).iter().map(|p| p.display().to_string()).map(Value::from).collect()
        }
        Shape::Text | Shape::Path => settings.some(term).map_or(Value::Null, Value::from),
    })
}
