//! Actions that need no host: variables, messages, conditions, the inventory.

use super::{ActionCall, ActionResult};
use crate::playbook::{Loader, is_identifier};
use crate::run::task::{Effect, Expand, Failure, number};
use crate::vars::render;
use quorate_value::{Dict, Key, Span, Str, Value, dict, str_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Refuses parameters an action does not know, in Ansible's words.
fn known(call: &ActionCall<'_>, names: &[&str]) -> Result<(), Failure> {
    let unknown: Vec<&str> = call
        .args
        .keys()
        .filter_map(|key| key.as_str())
        .filter(|key| !names.contains(key) && *key != "_raw_params")
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let (unknown, module) = (unknown.join(", "), call.module.as_str());
    Err(match module {
        "fail" | "set_stats" | "group_by" => {
            invalid(call, &format!("Invalid options for {module}: {unknown}"))
        }
        "include_vars" => told(call, format!("{unknown} is not a valid option in include_vars")),
        _ => {
            let mut all: Vec<&str> = names.to_vec();
            all.sort_unstable();
            let mut all = all.join(", ");
            if module == "assert" {
                all = "fail_msg, quiet, success_msg, that (msg)".into();
            }
            let written = match super::written_name(call.step) {
                name if name.starts_with("ansible.builtin.") => {
                    format!("ansible_collections.ansible.builtin.plugins.action.{module}")
                }
                name => name,
            };
            let text = format!(
                "Unsupported parameters for ({written}) module: {unknown}. Supported parameters include: {all}."
            );
            invalid(call, &text)
        }
    })
}

/// Arguments that do not fit: the result says it alone.
fn invalid(call: &ActionCall<'_>, message: &str) -> Failure {
    told(call, message.to_owned()).saying(message)
}

/// A mistake that an action finds before it begins.
fn told(call: &ActionCall<'_>, message: String) -> Failure {
    Failure::task(call.step, vec![(message, call.step.task.span)])
}

fn flag(call: &ActionCall<'_>, name: &str, otherwise: bool) -> Result<bool, Failure> {
    match call.args.get(name) {
        None | Some(Value::Null) => Ok(otherwise),
        Some(value) => value.to_bool_loose().ok_or_else(|| {
            Failure::action(format!(
                "argument '{name}' is of type {} and we were unable to convert to bool: The value '{}' is not a valid boolean.",
                value.type_name(),
                str_of(value)
            ))
        }),
    }
}

pub(super) fn debug(call: &ActionCall<'_>) -> ActionResult {
    known(call, &["msg", "var", "verbosity"])?;
    if call.args.contains_key("msg") && call.args.contains_key("var") {
        return Err(invalid(call, "parameters are mutually exclusive: msg|var"));
    }
    let mut verbosity = 0;
    if let Some(value) = call.args.get("verbosity").filter(|value| !value.is_null()) {
        let converted = quorate_agent::args::convert(
            quorate_agent::spec::Kind::Int,
            value,
            quorate_agent::args::Place::Controller,
        );
        match converted {
            Ok(value) => verbosity = number(&value).unwrap_or(0.0) as i64,
            Err(why) => {
                let message = format!(
                    "argument 'verbosity' is of type {} and we were unable to convert to int: {why}",
                    value.type_name()
                );
                return Err(
                    Failure::task(call.step, vec![(message.clone(), call.step.task.span)]).saying(&message)
                );
            }
        }
    }
    if verbosity > i64::from(call.run.shared.options.verbosity) {
        return Ok((
            dict! {"skipped" => true, "skipped_reason" => "Verbosity threshold not met.", "changed" => false, "_ansible_verbose_always" => false},
            Vec::new(),
        ));
    }
    let mut result = dict! {"changed" => false};
    if let Some(var) =
        call.args.get("var").filter(|v| !matches!(v, Value::Str(_) | Value::Null | Value::Omit))
    {
        let message = format!(
            "argument 'var' is of type {} and we were unable to convert to _check_type_str_no_conversion: '{}' is not a string and conversion is not allowed",
            var.type_name(),
            str_of(var)
        );
        return Err(Failure::task(call.step, vec![(message.clone(), call.step.task.span)]).saying(&message));
    }
    // `var: "{{ omit }}"` asks for nothing
    let var = call.args.get("var").filter(|var| {
        !(matches!(var, Value::Str(text) if text.is_template())
            && matches!(render::value(call.scope, var), Ok(Value::Omit)))
    });
    match (var, call.args.get("msg")) {
        (Some(var), _) => {
            // `var: "{{ item }}"` names a variable by a template
            let var = match var {
                Value::Str(text) if text.is_template() => &render::value(call.scope, var)
                    .map_err(|e| Failure::task(call.step, vec![(e.to_string(), text.span())]))?,
                other => other,
            };
            let name = str_of(var);
            let value = match var {
                Value::Str(text) => render::expression(call.scope, text),
                other => render::value(call.scope, other),
            };
            let value = match value {
                Ok(Value::Omit) => {
                    let warning = "The result of the `var` expression could not be omitted; a placeholder was used instead.";
                    result.insert("warnings", Value::list([Value::from(warning)]));
                    Value::from("<<Omit>>")
                }
                Ok(value) => value,
                Err(error) if error.is_undefined() => {
                    let text = error.to_string();
                    let text = text.rsplit(": ").next().unwrap_or_default();
                    let warning = format!("Encountered 1 template error.\nerror 1 - {text}");
                    result.insert("warnings", Value::list([Value::from(warning)]));
                    Value::from(format!("<< error 1 - {text} >>"))
                }
                Err(error) => {
                    return Err(Failure::task(call.step, vec![(error.to_string(), call.step.task.span)]));
                }
            };
            let shown = if let Value::List(_) | Value::Dict(_) = var {
                format!("<class '{}'>", var.type_name())
            } else {
                name
            };
            result.insert(shown, value);
        }
        (None, Some(message)) => {
            result.insert("msg", message.clone());
        }
        (None, None) => {
            result.insert("msg", "Hello world!");
        }
    }
    result.insert("_ansible_verbose_always", true);
    Ok((result, Vec::new()))
}

pub(super) fn fail(call: &ActionCall<'_>) -> ActionResult {
    known(call, &["msg"])?;
    let message =
        call.args.get("msg").cloned().unwrap_or_else(|| Value::from("Failed as requested from task"));
    let mut failure = Failure::action(str_of(&message));
    failure.links = vec![(format!("Task failed: Action failed: {}", str_of(&message)), call.step.task.span)];
    failure.result.insert("msg", message);
    Err(failure)
}

pub(super) fn assert(call: &ActionCall<'_>) -> ActionResult {
    known(call, &["fail_msg", "msg", "quiet", "success_msg", "that"])?;
    let Some(that) = call.args.get("that") else {
        return Err(invalid(call, "missing required arguments: that"));
    };
    // `that: "{{ conditions }}"` is a list by way of a template
    let that = match that {
        Value::Str(text)
            if text.is_template() && text.trim().starts_with("{{") && text.trim().ends_with("}}") =>
        {
            render::value(call.scope, that)
                .map_err(|e| Failure::task(call.step, vec![(e.to_string(), text.span())]))?
        }
        other => other.clone(),
    };
    let conditions = match that {
        Value::List(items) => items.to_vec(),
        other => vec![other],
    };
    for name in ["fail_msg", "msg", "success_msg"] {
        let Some(value) = call.args.get(name) else { continue };
        if !matches!(value, Value::Str(_) | Value::List(_) | Value::Null) {
            let name = if name == "msg" { "fail_msg" } else { name };
            return Err(invalid(
                call,
                &format!(
                    "argument '{name}' is of type {} and we were unable to convert to str_or_list_of_str: a string or list of strings is required",
                    value.type_name()
                ),
            ));
        }
    }
    let quiet = flag(call, "quiet", false)?;
    let message = |names: [&str; 2], otherwise: &str| {
        names
            .iter()
            .find_map(|name| call.args.get(name))
            .filter(|v| !v.is_null())
            .cloned()
            .unwrap_or_else(|| Value::from(otherwise))
    };
    for condition in &conditions {
        let (met, evaluated) = match render::condition(call.scope, condition) {
            Ok(met) => (met, Value::Bool(met)),
            Err(error) => {
                let span = crate::run::task::span_of(condition, call.step.task.span);
                return Err(Failure::task(call.step, vec![(error.to_string(), span)]));
            }
        };
        if !met {
            let mut result = dict! {
                "changed" => false, "failed" => true, "evaluated_to" => evaluated, "assertion" => condition.clone(),
                "msg" => message(["fail_msg", "msg"], "Assertion failed"),
            };
            if !quiet {
                result.insert("_ansible_verbose_always", true);
            }
            let text = result.get("msg").map(str_of).unwrap_or_default();
            let links = vec![(format!("Task failed: Action failed: {text}"), call.step.task.span)];
            return Err(Failure { result, links, ..Failure::default() });
        }
    }
    let mut result =
        dict! {"changed" => false, "msg" => message(["success_msg", "success_msg"], "All assertions passed")};
    if !quiet {
        result.insert("_ansible_verbose_always", true);
    }
    Ok((result, Vec::new()))
}

pub(super) fn set_fact(call: &ActionCall<'_>) -> ActionResult {
    let mut vars = call.args.clone();
    let cacheable = vars.remove("cacheable").and_then(|v| v.to_bool_loose()).unwrap_or(false);
    vars.remove("_raw_params");
    if vars.is_empty() {
        return Err(invalid(
            call,
            "No key/value pairs provided, at least one is required for this action to succeed",
        ));
    }
    for key in vars.keys() {
        match key {
            Key::Str(name) if is_identifier(name) => {}
            other => {
                let kind = match other {
                    Key::Str(_) => String::new(),
                    other => format!(" of type '{}'", other.to_value().type_name()),
                };
                let text = format!("Invalid variable name '{}'{kind}.", other.json_text());
                return Err(Failure::task(call.step, vec![(text, call.step.task.span)]));
            }
        }
    }
    let about = facts_host(call);
    tell_reserved(call, &vars);
    let result =
        dict! {"changed" => false, "ansible_facts" => vars.clone(), "_ansible_facts_cacheable" => cacheable};
    Ok((result, vec![Effect::Set { host: about, vars, cacheable }]))
}

/// Variables that have the name of a keyword or of a function are told.
fn tell_reserved(call: &ActionCall<'_>, vars: &Dict) {
    for (key, value) in vars {
        let Some(name) = key.as_str().filter(|name| crate::playbook::is_reserved(name)) else { continue };
        let span = match value {
            Value::Str(text) if text.span().is_known() => text.span(),
            _ => call.step.task.span,
        };
        let text = format!("Found variable using reserved name '{name}'.\n{}", crate::report::origin(span));
        call.run.tell(crate::report::Event::Warning(text.trim_end().to_owned()));
    }
}

/// The host whose variables change: the delegate with `delegate_facts`.
fn facts_host(call: &ActionCall<'_>) -> std::sync::Arc<str> {
    let delegates = call
        .step
        .keywords
        .get(crate::playbook::Kw::DelegateFacts)
        .is_some_and(|v| render::flag(call.scope, v).unwrap_or(false));
    match call.delegated {
        Some(name) if delegates => std::sync::Arc::from(name),
        _ => call.host.clone(),
    }
}

pub(super) fn include_vars(call: &ActionCall<'_>) -> ActionResult {
    known(
        call,
        &[
            "depth",
            "dir",
            "extensions",
            "file",
            "files_matching",
            "hash_behaviour",
            "ignore_files",
            "ignore_unknown_extensions",
            "name",
        ],
    )?;
    let has = |names: &[&str]| names.iter().any(|name| call.args.contains_key(*name));
    if has(&["dir", "depth", "files_matching", "ignore_files", "extensions", "ignore_unknown_extensions"])
        && has(&["file", "_raw_params"])
    {
        return Err(told(
            call,
            "You are mixing file only and dir only arguments, these are incompatible".into(),
        ));
    }
    let loader = call.run.shared.loader();
    let text = |name: &str| call.args.get(name).filter(|v| !v.is_null()).map(str_of);
    let mut files = Vec::new();
    if let Some(dir) = text("dir") {
        let role_dir = call.scope.context.role.as_ref().map(|role| role.role.path.clone());
        let dir = if Path::new(&dir).is_absolute() {
            PathBuf::from(&dir)
        } else {
            // a role's `vars/` first, then beside the task, then the playbook
            let mut candidates = Vec::new();
            if let Some(role) = &role_dir {
                candidates.push(role.join("vars").join(&dir));
                candidates.push(role.join(&dir));
            }
            candidates.push(call.step.dir().join(&dir));
            candidates.push(call.run.shared.options.playbook_dir.join(&dir));
            let first = candidates[0].clone();
            candidates.into_iter().find(|path| path.is_dir()).unwrap_or(first)
        };
        if !dir.is_dir() {
            let message = if dir.exists() {
                format!("{} is not a directory", dir.display())
            } else {
                format!("{} directory does not exist", dir.display())
            };
            return Err(unread(call, &[], message));
        }
        let depth = call.args.get("depth").and_then(number).unwrap_or(0.0) as usize;
        let words = |name: &str, otherwise: &[&str]| -> Vec<String> {
            match call.args.get(name) {
                Some(Value::List(items)) => items.iter().map(str_of).collect(),
                Some(Value::Null) | None => otherwise.iter().map(|s| (*s).to_owned()).collect(),
                Some(other) => {
                    str_of(other).split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned).collect()
                }
            }
        };
        let pattern = |text: &str| {
            quorate_inventory::regex(text)
                .map_err(|e| Failure::action(format!("`{text}` is no regular expression: {e}")))
        };
        let matching = text("files_matching").map(|t| pattern(&t)).transpose()?;
        let ignored = words("ignore_files", &[]).iter().map(|t| pattern(t)).collect::<Result<Vec<_>, _>>()?;
        let extensions = words("extensions", &["json", "yaml", "yml"]);
        let lenient = flag(call, "ignore_unknown_extensions", false)?;
        for path in walk(&dir, if depth == 0 { usize::MAX } else { depth }) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if ignored
                .iter()
                .any(|re| re.is_match(&format!("{name}$").trim_end_matches('$').to_owned()).unwrap_or(false))
            {
                continue;
            }
            if matching.as_ref().is_some_and(|re| !re.is_match(&name).unwrap_or(false)) {
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            if !extensions.contains(&extension) {
                if lenient || matching.is_some() {
                    continue;
                }
                return Err(unread(
                    call,
                    &files,
                    format!("{} does not have a valid extension: {}", path.display(), extensions.join(", ")),
                ));
            }
            files.push(path);
        }
    } else {
        let Some(name) = text("file").or_else(|| text("_raw_params")) else {
            return Err(unread(call, &[], "Could not find file".into()));
        };
        match render::find_file(call.scope, "vars", name.trim()) {
            Ok(path) => files.push(path),
            Err(searched) => return Err(unread(call, &[], render::not_found(name.trim(), &searched))),
        }
    }
    let mut vars = Dict::new();
    // files of one folder lie over each other; what is merged is their sum, with what stands
    let merge = call.run.shared.settings.text("DEFAULT_HASH_BEHAVIOUR") == "merge";
    for path in &files {
        let entries = read_vars(loader, path)?;
        if merge {
            quorate_inventory::combine_into(&mut vars, &entries, quorate_inventory::HashBehaviour::Merge);
        } else {
            vars.update(&entries);
        }
    }
    if let Some(name) = text("name") {
        vars = dict! {&name => vars};
    }
    if let Some(bad) = vars.keys().find(|key| !key.as_str().is_some_and(is_identifier)) {
        return Err(Failure::action(format!("Invalid variable name in included file: {}", bad.json_text())));
    }
    if text("hash_behaviour").as_deref() == Some("merge") {
        let mut merged = Dict::new();
        for (key, value) in &vars {
            let standing = key.as_str().and_then(|name| {
                let expression = Value::Str(Str::written(&format!("{{{{ {name} }}}}"), Span::default()));
                render::value(call.scope, &expression).ok()
            });
            match (standing, value) {
                (Some(Value::Dict(old)), Value::Dict(new)) => {
                    let mut both = Arc::unwrap_or_clone(old);
                    quorate_inventory::combine_into(&mut both, new, quorate_inventory::HashBehaviour::Merge);
                    merged.insert(key.clone(), Value::dict(both));
                }
                _ => drop(merged.insert(key.clone(), value.clone())),
            }
        }
        vars = merged;
    }
    tell_reserved(call, &vars);
    let listed: Value = files
        .iter()
        .map(|f| std::path::absolute(f).unwrap_or_else(|_| f.clone()).display().to_string())
        .collect();
    let mut result =
        dict! {"changed" => false, "ansible_facts" => vars.clone(), "ansible_included_var_files" => listed};
    // nothing of it is shown if any of it was encrypted
    let vaulted = |path: &PathBuf| {
        use std::io::Read as _;
        let mut head = [0u8; 14];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
            && &head == b"$ANSIBLE_VAULT"
    };
    if files.iter().any(vaulted) {
        result.insert("_ansible_no_log", true);
    }
    Ok((result, vec![Effect::Include { host: call.host.clone(), vars }]))
}

/// Variable files that cannot be had: `include_vars` says so in `message`.
fn unread(call: &ActionCall<'_>, files: &[PathBuf], message: String) -> Failure {
    let listed: Value = files.iter().map(|f| f.display().to_string()).collect();
    Failure {
        result: dict! {"ansible_facts" => Dict::new(), "ansible_included_var_files" => listed, "changed" => false, "failed" => true, "message" => message},
        links: vec![("Task failed: Action failed: Unknown error.".into(), call.step.task.span)],
        ..Failure::default()
    }
}

fn read_vars(loader: &Loader, path: &Path) -> Result<Dict, Failure> {
    loader.vars_file(path).map_err(|diag| Failure::action(diag.one_line()))
}

fn walk(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|e| e.path()).collect();
    entries.sort();
    let (dirs, mut files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    if depth > 1 {
        files.extend(dirs.iter().flat_map(|dir| walk(dir, depth - 1)));
    }
    files
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().map(str_of).collect(),
        Value::Null => Vec::new(),
        other => str_of(other).split(',').map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect(),
    }
}

pub(super) fn add_host(call: &ActionCall<'_>) -> ActionResult {
    let Some(name) = ["name", "hostname", "host"]
        .iter()
        .find_map(|key| call.args.get(key))
        .map(str_of)
        .filter(|n| !n.is_empty())
    else {
        return Err(invalid(call, "name, host or hostname needs to be provided"));
    };
    let groups: Vec<String> = ["groupname", "groups", "group"]
        .iter()
        .find_map(|key| call.args.get(key))
        .map(words)
        .unwrap_or_default();
    const OWN: [&str; 7] = ["name", "hostname", "host", "groupname", "groups", "group", "_raw_params"];
    let mut vars: Dict = call
        .args
        .iter()
        .filter(|(k, _)| !k.as_str().is_some_and(|k| OWN.contains(&k)))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    // `host:2222` carries a port, an IPv6 address does not
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => {
            (host.to_owned(), port.parse::<u16>().ok().map(u32::from))
        }
        _ => (name.clone(), None),
    };
    if let Some(port) = port {
        vars.insert("ansible_ssh_port", port);
    }
    let shown: Vec<Value> = groups.iter().map(Value::from).collect();
    let changed = {
        let inventory = call.run.shared.inventory();
        match inventory.host_id(&host) {
            None => true,
            Some(id) => {
                let known = inventory.host_vars(id).unwrap_or_default();
                let member = |name: &String| {
                    inventory.group_id(name).is_some_and(|group| inventory.hosts_of(group).contains(&id))
                };
                inventory.host(id).is_implicit()
                    || !groups.iter().all(member)
                    || vars.iter().any(|(key, value)| known.get_key(key) != Some(value))
            }
        }
    };
    let result = dict! {
        "changed" => changed,
        "add_host" => dict! {"host_name" => &host, "groups" => Value::list(shown), "host_vars" => vars.clone()},
    };
    Ok((result, vec![Effect::AddHost { name: host, groups, vars }]))
}

pub(super) fn group_by(call: &ActionCall<'_>) -> ActionResult {
    known(call, &["key", "parents"])?;
    let Some(key) = call.args.get("key").map(str_of) else {
        return Err(Failure::action("the 'key' param is required when using group_by"));
    };
    let clean = |name: &str| name.replace(' ', "-");
    let parents: Vec<String> =
        call.args.get("parents").map_or_else(|| vec!["all".into()], words).iter().map(|n| clean(n)).collect();
    let group = clean(&key);
    let result = dict! {
        "changed" => true, "add_group" => &group, "parent_groups" => parents.iter().map(Value::from).collect::<Value>(),
    };
    Ok((result, vec![Effect::GroupBy { host: call.host.clone(), group, parents }]))
}

pub(super) fn set_stats(call: &ActionCall<'_>) -> ActionResult {
    known(call, &["aggregate", "data", "per_host"])?;
    let data = match call.args.get("data") {
        Some(Value::Dict(data)) => (**data).clone(),
        _ => return Err(Failure::action("The 'data' option needs to be a dictionary/hash")),
    };
    // what is no boolean counts as false here
    let loose = |name: &str, otherwise: bool| flag(call, name, otherwise).unwrap_or(false);
    let (per_host, aggregate) = (loose("per_host", false), loose("aggregate", true));
    if let Some(bad) = data.keys().find(|key| !key.as_str().is_some_and(is_identifier)) {
        let message = format!("Invalid variable name '{}'.", bad.json_text());
        return Err(Failure::task(call.step, vec![(message, call.step.task.span)]));
    }
    let stats = dict! {"data" => data.clone(), "per_host" => per_host, "aggregate" => aggregate};
    Ok((
        dict! {"changed" => false, "ansible_stats" => stats},
        vec![Effect::Stats { data, per_host, aggregate }],
    ))
}

/// `pause`: so many seconds or minutes, or until somebody presses a key.
pub(super) async fn pause(call: &ActionCall<'_>) -> ActionResult {
    known(call, &["echo", "minutes", "prompt", "seconds"])?;
    if call.args.contains_key("minutes") && call.args.contains_key("seconds") {
        return Err(invalid(call, "parameters are mutually exclusive: minutes|seconds"));
    }
    let amount = |name: &str| -> Result<Option<f64>, Failure> {
        match call.args.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => number(value).map(Some).ok_or_else(|| {
                let message = format!(
                    "argument '{name}' is of type {} and we were unable to convert to int: invalid literal for int() with base 10: {}",
                    value.type_name(),
                    quorate_value::repr(value)
                );
                Failure::task(call.step, vec![(message.clone(), call.step.task.span)]).saying(&message)
            }),
        }
    };
    let (minutes, seconds) = (amount("minutes")?, amount("seconds")?);
    let wait = minutes.map(|m| m * 60.0).or(seconds).map(|s| s.max(1.0));
    let prompt = call.args.get("prompt").filter(|v| !v.is_null()).map(str_of);
    let echo = flag(call, "echo", true)?;
    let started = Instant::now();
    let clock = || quorate_agent::system::clock::datetime(&quorate_agent::system::clock::now());
    let start = clock();
    let mut input = Str::default();
    match wait {
        Some(wait) => {
            let text = prompt.as_ref().map_or_else(
                || format!("Pausing for {} seconds", wait as i64),
                |_| format!("Pausing for {} seconds\n(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)\r", wait as i64),
            );
            call.run.tell(crate::report::Event::Verbose(0, text));
            let mut left = Duration::from_secs_f64(wait);
            while !left.is_zero() && !call.run.is_interrupted() {
                let piece = left.min(Duration::from_millis(200));
                tokio::time::sleep(piece).await;
                left -= piece;
            }
        }
        None => {
            use std::io::IsTerminal as _;
            let text = format!(
                "[{}]\n{}:",
                call.step.title(),
                prompt.as_deref().unwrap_or("Press enter to continue, Ctrl+C to interrupt")
            );
            call.run.tell(crate::report::Event::Verbose(0, text));
            if std::io::stdin().is_terminal() {
                let line = tokio::task::spawn_blocking(move || crate::cli::ask::line(echo)).await;
                input = Str::from(line.ok().and_then(Result::ok).unwrap_or_default());
            } else {
                call.run.tell(crate::report::Event::Warning(
                    "Not waiting for response to prompt as stdin is not interactive".into(),
                ));
            }
        }
    }
    let elapsed = started.elapsed();
    let (delta, unit) = if minutes.is_some() {
        (elapsed.as_secs_f64() / 60.0, "minutes")
    } else {
        (elapsed.as_secs_f64(), "seconds")
    };
    let result = dict! {
        "changed" => false, "delta" => elapsed.as_secs(), "echo" => echo, "rc" => 0i64, "stderr" => "",
        "start" => &start, "stop" => clock(), "user_input" => input,
        "stdout" => format!("Paused for {} {unit}", (delta * 100.0).round() / 100.0),
    };
    Ok((result, Vec::new()))
}

/// `include_tasks`, `include_role`: the scheduler reads the file; here only arguments are settled.
pub(super) fn expand(call: &ActionCall<'_>) -> ActionResult {
    let mut args = call.args.clone();
    if call.module == "include_tasks" {
        if let Some(file) = args.remove("file") {
            args.insert("_raw_params", file);
        }
        if args.get("_raw_params").is_none_or(|v| v.is_null() || str_of(v).trim().is_empty()) {
            return Err(Failure::action("No file specified for ansible.builtin.include_tasks"));
        }
        let include = str_of(args.get("_raw_params").expect("just looked"));
        // arguments as written: what `apply` holds is rendered where it applies
        let mut rest = args.clone();
        rest.remove("_raw_params");
        let result = dict! {"changed" => false, "include" => include.trim(), "include_args" => rest};
        let expand = Expand { args, locals: Dict::new(), label: None };
        return Ok((result, vec![Effect::Expand(Box::new(expand))]));
    }
    if !args.contains_key("name") {
        if let Some(role) = args.remove("role") {
            args.insert("name", role);
        }
    }
    let Some(name) = args.get("name").map(str_of).filter(|n| !n.is_empty()) else {
        return Err(Failure::action("'name' is a required field for include_role."));
    };
    args.insert("name", name);
    let result = dict! {"changed" => false, "include_variables" => args.clone()};
    let expand = Expand { args, locals: Dict::new(), label: None };
    Ok((result, vec![Effect::Expand(Box::new(expand))]))
}

/// A role's argument specification against the variables of the host.
pub(super) fn validate_argument_spec(call: &ActionCall<'_>) -> ActionResult {
    let Some(Value::Dict(spec)) = call.args.get("argument_spec") else {
        return Err(Failure::action("\"argument_spec\" arg is required in args: {}"));
    };
    let context = call.args.get("validate_args_context").cloned().unwrap_or_else(|| Value::dict(Dict::new()));
    let mut given = Dict::new();
    for key in spec.keys() {
        let name = key.json_text();
        if let Some(raw) = call.scope.locals.get(&name).cloned().or_else(|| call.scope.lookup(&name)) {
            let value = render::value(call.scope, &raw).map_err(|e| {
                Failure::task(
                    call.step,
                    vec![(format!("Error while resolving value for '{name}': {e}"), call.step.task.span)],
                )
            })?;
            given.insert(name.as_ref(), value);
        }
    }
    if let Some(Value::Dict(provided)) = call.args.get("provided_arguments") {
        given.update(provided);
    }
    match crate::run::argspec::validate(spec, &given) {
        Ok(()) => Ok((
            dict! {"changed" => false, "msg" => "The arg spec validation passed", "validate_args_context" => context},
            Vec::new(),
        )),
        Err(errors) => {
            let message = format!("Validation of arguments failed:\n{}", errors.join("\n"));
            let result = dict! {
                "changed" => false, "failed" => true, "msg" => message, "argument_spec_data" => Value::Dict(spec.clone()),
                "argument_errors" => errors.iter().map(Value::from).collect::<Value>(), "validate_args_context" => context,
            };
            Err(Failure { result, links: Vec::new(), ..Failure::default() })
        }
    }
}
