//! What may stand at a cursor: modules, their arguments, keywords, variables, filters, hosts, roles, handlers.
//!
//! In: what surrounds the cursor, and the project's names. Out: items for an editor.

use super::index::{How, Index};
use super::place::Around;
use crate::cli::check::files::Kind;
use crate::cli::check::tasks::{entry_keys, spec_of};
use crate::cli::doc;
use crate::playbook::{play_keys, short_name};
use crate::vars::magic_names;
use lsp_types::{CompletionItem, CompletionItemKind, Documentation, MarkupContent, MarkupKind};
use quorate_agent::spec::{Kind as Type, Param};

/// The word at a column of a line.
pub(super) fn word_at(row: &str, column: u32) -> String {
    around(row, column, |c| c.is_alphanumeric() || matches!(c, '_' | '.'))
}

/// The path at a column of a line.
pub(super) fn path_at(row: &str, column: u32) -> String {
    around(row, column, |c| {
        !c.is_whitespace() && !matches!(c, '"' | '\'' | ',' | '[' | ']' | '{' | '}' | ':')
    })
}

fn around(row: &str, column: u32, good: impl Fn(char) -> bool) -> String {
    let chars: Vec<char> = row.chars().collect();
    let at = (column as usize).saturating_sub(1).min(chars.len());
    let start = chars[..at].iter().rposition(|c| !good(*c)).map_or(0, |at| at + 1);
    let end = chars[at..].iter().position(|c| !good(*c)).map_or(chars.len(), |n| at + n);
    chars[start..end].iter().collect()
}

fn item(label: &str, kind: CompletionItemKind, detail: &str, text: &str) -> CompletionItem {
    let markdown = |text: &str| {
        Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: text.to_owned() })
    };
    CompletionItem {
        label: label.to_owned(),
        kind: Some(kind),
        detail: Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
        documentation: (!text.is_empty()).then(|| markdown(text)),
        ..CompletionItem::default()
    }
}

/// The module of a task around the cursor, if the cursor is in its arguments.
fn module_around(around: &Around) -> Option<&str> {
    let last = around.keys.last()?;
    spec_of(last).map(|_| last.as_str())
}

/// Whether the cursor is in a template or a condition.
fn in_expression(around: &Around) -> bool {
    let open = around.before.rfind("{{").or_else(|| around.before.rfind("{%"));
    let close = around.before.rfind("}}").or_else(|| around.before.rfind("%}"));
    let in_braces = open.is_some_and(|open| close.is_none_or(|close| close < open));
    let condition = |key: &str| matches!(key, "when" | "changed_when" | "failed_when" | "until" | "that");
    in_braces
        || around.key.as_deref().is_some_and(condition)
        || (around.key.is_none()
            && around.keys.last().is_some_and(|key| condition(key))
            && around.before.trim_start().starts_with('-'))
}

/// What may stand there.
pub(super) fn complete(
    around: &Around,
    kind: Kind,
    index: &Index,
    hosts: &dyn Fn() -> Vec<String>,
    roles: &dyn Fn() -> Vec<String>,
) -> Vec<CompletionItem> {
    if in_expression(around) || kind == Kind::Template {
        return expression(around, index);
    }
    let parent = around.keys.last().map(|key| short_name(key)).unwrap_or_default();
    if let Some(key) = around.key.as_deref() {
        return values(key, parent, around, index, hosts, roles);
    }
    let dash = around.before.trim_start().starts_with('-');
    match parent {
        "notify" if dash => return named(&index.names(|how| how == How::Handler), CompletionItemKind::EVENT),
        "roles" | "dependencies" if dash => return named(&roles(), CompletionItemKind::MODULE),
        "tags" if dash => return named(&index.tags(), CompletionItemKind::VALUE),
        _ => {}
    }
    if let Some(module) = module_around(around).and_then(spec_of) {
        return doc::shown(module)
            .filter(|param| {
                !param.name.starts_with('_') && !around.beside.iter().any(|key| key == param.name)
            })
            .map(argument)
            .collect();
    }
    let tasks =
        matches!(parent, "tasks" | "pre_tasks" | "post_tasks" | "handlers" | "block" | "rescue" | "always");
    let top = around.keys.is_empty();
    match kind {
        Kind::Playbook if top => keywords(play_keys().into_iter(), around),
        Kind::Tasks | Kind::Handlers if top || tasks => task(around),
        Kind::Playbook if tasks => task(around),
        Kind::Inventory if matches!(parent, "vars") || around.keys.iter().any(|key| key == "hosts") => {
            named(&index.names(|how| matches!(how, How::Defined(2))), CompletionItemKind::VARIABLE)
        }
        Kind::Inventory => {
            named(&["hosts", "children", "vars"].map(str::to_owned), CompletionItemKind::KEYWORD)
        }
        Kind::Vars if top => {
            named(&index.names(|how| matches!(how, How::Defined(2))), CompletionItemKind::VARIABLE)
        }
        _ => Vec::new(),
    }
}

fn named(names: &[String], kind: CompletionItemKind) -> Vec<CompletionItem> {
    names.iter().map(|name| item(name, kind, "", "")).collect()
}

fn keywords(words: impl Iterator<Item = &'static str>, around: &Around) -> Vec<CompletionItem> {
    words
        .filter(|word| !around.beside.iter().any(|key| key == word))
        .map(|word| CompletionItem {
            insert_text: Some(format!("{word}: ")),
            ..item(word, CompletionItemKind::KEYWORD, "keyword", "")
        })
        .collect()
}

/// Keywords and modules.
fn task(around: &Around) -> Vec<CompletionItem> {
    let mut all = keywords(entry_keys(), around);
    let has_module = around.beside.iter().any(|key| spec_of(key).is_some());
    if !has_module {
        // by the name that is being typed: short, or with its collection
        let full = around.word.contains('.');
        all.extend(doc::modules().into_iter().map(|spec| {
            let label = match (full, spec.collection) {
                (true, _) => format!("{}.{}", spec.collection, spec.name),
                (false, "ansible.builtin") => spec.name.to_owned(),
                (false, _) if spec.name.starts_with("etcd_") => spec.name.to_owned(),
                (false, collection) => format!("{collection}.{}", spec.name),
            };
            item(&label, CompletionItemKind::FUNCTION, spec.collection, spec.summary)
        }));
    }
    all
}

fn argument(param: &'static Param) -> CompletionItem {
    let mut detail = param.kind.name().to_owned();
    if param.required {
        detail.push_str(", required");
    }
    let mut text = param.doc.to_owned();
    if !param.choices.is_empty() {
        text.push_str(&format!("\n\nOne of `{}`.", param.choices.join("`, `")));
    }
    CompletionItem {
        insert_text: Some(format!("{}: ", param.name)),
        sort_text: Some(format!("{}{}", u8::from(!param.required), param.name)),
        ..item(param.name, CompletionItemKind::PROPERTY, &detail, &text)
    }
}

/// What may follow a key.
fn values(
    key: &str,
    parent: &str,
    around: &Around,
    index: &Index,
    hosts: &dyn Fn() -> Vec<String>,
    roles: &dyn Fn() -> Vec<String>,
) -> Vec<CompletionItem> {
    let words = |words: &[&str]| {
        words.iter().map(|word| item(word, CompletionItemKind::ENUM_MEMBER, "", "")).collect::<Vec<_>>()
    };
    if let Some(spec) = module_around(around).and_then(spec_of)
        && let Some(param) = spec.all_params().find(|param| param.name == key || param.aliases.contains(&key))
        && !(key == "name" && parent.ends_with("_role"))
    {
        return match param.kind {
            Type::Bool => words(&["true", "false"]),
            _ => words(param.choices),
        };
    }
    match key {
        "hosts" => named(&hosts(), CompletionItemKind::VALUE),
        "delegate_to" => named(&hosts(), CompletionItemKind::VALUE),
        "notify" => named(&index.names(|how| how == How::Handler), CompletionItemKind::EVENT),
        "tags" => named(&index.tags(), CompletionItemKind::VALUE),
        "role" => named(&roles(), CompletionItemKind::MODULE),
        "name" if matches!(parent, "import_role" | "include_role" | "roles") => {
            named(&roles(), CompletionItemKind::MODULE)
        }
        "strategy" => words(&["linear", "free", "host_pinned", "debug"]),
        "order" => words(&["inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"]),
        "become_method" => words(&["sudo", "su", "doas"]),
        "become" | "check_mode" | "diff" | "no_log" | "run_once" | "ignore_errors" | "ignore_unreachable"
        | "any_errors_fatal" | "gather_facts" | "force_handlers" | "delegate_facts" => {
            words(&["true", "false"])
        }
        _ => Vec::new(),
    }
}

/// Variables, filters and tests.
fn expression(around: &Around, index: &Index) -> Vec<CompletionItem> {
    let before = around.before.strip_suffix(around.word.as_str()).unwrap_or(&around.before).trim_end();
    let listed = |words: &[(&'static str, &'static str)], kind| {
        words.iter().map(|(name, text)| item(name, kind, "", text)).collect::<Vec<_>>()
    };
    if before.ends_with('|') {
        return listed(doc::words::FILTERS, CompletionItemKind::FUNCTION);
    }
    if before.ends_with(" is") || before.ends_with(" is not") {
        return listed(doc::words::TESTS, CompletionItemKind::FUNCTION);
    }
    let mut all = named(&index.names(|how| matches!(how, How::Defined(_))), CompletionItemKind::VARIABLE);
    all.extend(magic_names().iter().map(|name| item(name, CompletionItemKind::CONSTANT, "always there", "")));
    all
}

/// What a module or an argument under the cursor is for, as Markdown.
pub(super) fn about(around: &Around, word: &str) -> Option<String> {
    if let Some(spec) = around.keys.last().and_then(|key| spec_of(key))
        && let Some(param) =
            spec.all_params().find(|param| param.name == word || param.aliases.contains(&word))
    {
        let mut text =
            format!("**{}** ({}) of `{}`\n\n{}", param.name, param.kind.name(), spec.name, param.doc);
        if !param.choices.is_empty() {
            text.push_str(&format!("\n\nOne of `{}`.", param.choices.join("`, `")));
        }
        return Some(text);
    }
    let spec = spec_of(word)?;
    let needed: Vec<&str> = doc::shown(spec).filter(|param| param.required).map(|param| param.name).collect();
    let mut text = format!("**{}.{}**\n\n{}", spec.collection, spec.name, spec.summary);
    if !needed.is_empty() {
        text.push_str(&format!("\n\nNeeds `{}`.", needed.join("`, `")));
    }
    Some(text)
}
