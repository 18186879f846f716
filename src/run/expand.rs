//! Dynamic includes: `include_tasks` and `include_role`, once their names are known.
//!
//! In: what hosts asked for. Out: steps to put behind the include, for those hosts only.

use super::play::{Batch, Runner};
use super::task::Expand;
use crate::diag::Diag;
use crate::plan::{Context, Program, Step, flatten};
use crate::playbook::{Around, Keywords, Kw, RoleFrom};
use quorate_value::{Dict, Str, Value, str_of};
use std::path::Path;
use std::sync::Arc;

/// One host's include (or one item of its loop).
pub(super) struct Wish {
    pub(super) host: usize,
    pub(super) step: Arc<Step>,
    pub(super) expand: Expand,
}

/// Hosts that want the same thing.
pub(super) struct Group {
    pub(super) hosts: Vec<usize>,
    pub(super) step: Arc<Step>,
    pub(super) label: Option<Str>,
    pub(super) include: String,
    args: Dict,
    locals: Dict,
}

/// What an include brings.
pub(super) struct Part {
    pub(super) what: String,
    pub(super) program: Program,
    pub(super) handlers: Program,
}

/// Same file, same arguments, same item: one include for many hosts. In the order of the loop.
pub(super) fn group(wishes: Vec<Wish>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for wish in wishes {
        let include = ["_raw_params", "name"]
            .iter()
            .find_map(|key| wish.expand.args.get(key))
            .map(str_of)
            .unwrap_or_default();
        let same = groups.iter_mut().find(|group| {
            group.step.id == wish.step.id
                && group.args == wish.expand.args
                && group.locals == wish.expand.locals
                && !group.hosts.contains(&wish.host)
        });
        match same {
            Some(group) => group.hosts.push(wish.host),
            None => groups.push(Group {
                hosts: vec![wish.host],
                step: wish.step,
                label: wish.expand.label,
                include,
                args: wish.expand.args,
                locals: wish.expand.locals,
            }),
        }
    }
    groups
}

/// Reads what a group wants.
pub(super) fn read(runner: &Runner, batch: &Batch, group: &Group) -> Result<Part, Diag> {
    let step = &group.step;
    let name = batch_host(batch, group);
    let render_tags = runner.tag_renderer(&batch.vars, &name);
    let mut context = (*step.context).clone();
    // nothing of a dynamic include is inherited but its variables, which stand above facts, and `apply`
    if !step.task.vars.is_empty() {
        context.include_params.insert(0, step.task.vars.clone());
    }
    if !group.locals.is_empty() {
        context.include_params.insert(0, Arc::new(group.locals.clone()));
    }
    if let Some(apply) = group.args.get("apply").filter(|v| !v.is_null()) {
        let (keywords, vars) = applied(apply, step)?;
        context.keywords = Arc::new(keywords.inside(&context.keywords));
        if let Some(vars) = vars {
            context.block_vars.insert(0, Arc::new(vars));
        }
    }
    let loader = runner.run.shared.loader();
    let role = step.context.role.as_ref();
    let around = Around {
        dir: step.dir(),
        role_dir: role.map(|role| role.role.path.clone()),
        parents: role
            .map(|role| {
                let mut parents = role.parents.clone();
                parents.push(role.clone());
                parents
            })
            .unwrap_or_default(),
        vars: vec![step.task.vars.clone(), batch.vars.vars.clone()],
        handlers: context.handlers,
        collections: context.keywords.collections.as_deref().cloned().unwrap_or_default(),
    };
    if step.module() == "include_tasks" {
        let wanted = group.include.trim();
        let Some(path) = loader.find_tasks(wanted, &around) else {
            let base =
                std::path::absolute(around.dir.join(wanted)).unwrap_or_else(|_| around.dir.join(wanted));
            let base = base.display();
            return Err(Diag::error(
                "E0230",
                format!(
                    "Could not find or access '{base}' on the Ansible Controller: Unable to retrieve file contents.\nCould not find or access '{base}' on the Ansible Controller.\nIf you are using a module and expect the file to exist on the remote, see the remote_src option: [Errno 2] No such file or directory: '{base}'"
                ),
            )
            .at(step.task.span)
            .did_you_mean(wanted, yaml_names(&around.dir)));
        };
        let entries = loader.task_file(&path, &around)?;
        let program = flatten(&entries, &context, &runner.tags, &render_tags);
        let handlers = handlers_of(runner, batch, &entries, &render_tags);
        let what = std::path::absolute(&path).unwrap_or(path).display().to_string();
        return Ok(Part { what, program, handlers });
    }
    let text = |key: &str| group.args.get(key).filter(|v| !v.is_null()).map(str_of);
    let flag = |key: &str| group.args.get(key).and_then(Value::to_bool_loose);
    let from = RoleFrom {
        tasks: text("tasks_from"),
        vars: text("vars_from"),
        defaults: text("defaults_from"),
        handlers: text("handlers_from"),
    };
    let settings = &runner.run.shared.settings;
    // the setting speaks for includes only where somebody has said it
    let said = settings.source("DEFAULT_PRIVATE_ROLE_VARS") != &crate::settings::Source::Default;
    let public = flag("public").unwrap_or(said && !settings.flag("DEFAULT_PRIVATE_ROLE_VARS"));
    let wanted = group.include.clone();
    let keywords = Keywords::default();
    let named = match step.task.action.args.get("name").or_else(|| step.task.action.args.get("role")) {
        Some(Value::Str(name)) if name.span().is_known() => name.span(),
        _ => step.task.span,
    };
    let used = loader.role(&wanted, named, keywords, Dict::new(), from, &around, public, true)?;
    // an included role runs each time it is asked for
    let again = flag("allow_duplicates").unwrap_or(true);
    let used = if again && !used.role.allow_duplicates {
        let role = crate::playbook::Role { allow_duplicates: true, ..(*used.role).clone() };
        Arc::new(crate::playbook::RoleUse { role: Arc::new(role), ..(*used).clone() })
    } else {
        used
    };
    let used = match flag("rolespec_validate") {
        Some(false) => Arc::new(crate::playbook::RoleUse { validates: false, ..(*used).clone() }),
        _ => used,
    };
    if public {
        batch.vars.publish(&used);
    }
    let wrapped = [crate::playbook::Entry::Role(used.clone())];
    let program = flatten(&wrapped, &context, &runner.tags, &render_tags);
    let handlers = handlers_of(runner, batch, &wrapped, &render_tags);
    let what = wanted;
    Ok(Part { what, program, handlers })
}

/// The handlers of the roles that are among what was included: the play has them from now on.
fn handlers_of(
    runner: &Runner,
    batch: &Batch,
    entries: &[crate::playbook::Entry],
    render_tags: &dyn Fn(&[Str], &Context) -> Vec<String>,
) -> Program {
    let mut roles = Vec::new();
    crate::vars::collect_roles(entries, &mut roles);
    let mut slots = Vec::new();
    for role in roles {
        let context = Context {
            handlers: true,
            role: Some(role.clone()),
            keywords: batch.base.keywords.clone(),
            ..Context::default()
        };
        slots.extend(flatten(&role.handlers, &context, &runner.tags, render_tags));
    }
    slots
}

fn batch_host(batch: &Batch, group: &Group) -> Arc<str> {
    batch.name_of(group.hosts[0])
}

/// `apply:` keywords (and variables) for everything included.
fn applied(apply: &Value, step: &Step) -> Result<(Keywords, Option<Dict>), Diag> {
    let Value::Dict(entries) = apply else {
        return Err(
            Diag::error("E0231", "Expected a dict for apply but got something else").at(step.task.span)
        );
    };
    let mut keywords = Keywords::default();
    let mut vars = None;
    let list = |value: &Value| match value {
        Value::List(items) => items.to_vec(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    for (key, value) in entries.iter() {
        let name = key.json_text();
        if let Some(kw) = Kw::named(&name) {
            keywords.set(kw, value.clone());
            continue;
        }
        match name.as_ref() {
            "tags" => {
                keywords.tags = list(value)
                    .iter()
                    .flat_map(|v| str_of(v).split(',').map(|t| Str::new(t.trim())).collect::<Vec<_>>())
                    .collect()
            }
            "when" => keywords.when = list(&value.trusted()),
            "environment" => keywords.environment = list(value),
            "module_defaults" => keywords.module_defaults = list(value),
            "notify" => keywords.notify = list(value),
            "vars" => vars = value.as_dict().cloned(),
            "collections" => keywords.collections = Some(Arc::new(list(value).iter().map(str_of).collect())),
            other => {
                return Err(Diag::error("E0231", format!("'{other}' is not a valid attribute for apply"))
                    .at(step.task.span)
                    .did_you_mean(other, Kw::ALL.iter().map(|(_, n)| *n)));
            }
        }
    }
    Ok((keywords, vars))
}

fn yaml_names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
