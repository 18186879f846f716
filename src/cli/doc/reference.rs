//! `docs/reference/`, written from the tables that the program itself uses.
//!
//! **Invariant:** the files in the repository are what this writes; checked below (`QUORATE_RECORD=self` writes them).

use super::{Param, Spec, attributes, examples, literal, modules, shown, words};
use quorate_value::JsonStyle;
use std::fmt::Write as _;

/// Every page: its file and its text.
pub(in crate::cli) fn pages() -> Vec<(&'static str, String)> {
    let mut pages = vec![
        ("modules.md", modules_page()),
        ("filters.md", words_page("Filters", "filter", words::FILTERS)),
        ("tests.md", words_page("Tests", "test", words::TESTS)),
        ("lookups.md", words_page("Lookups", "lookup", words::LOOKUPS)),
        ("errors.md", errors_page()),
        ("commands.md", commands_page()),
    ];
    pages.extend(crate::cli::schema::files());
    pages
}

const NOTE: &str = "<!-- Written by the program from its own tables; change those. -->\n";

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}

fn modules_page() -> String {
    let all = modules();
    let mut out = format!(
        "# Modules\n{NOTE}\n{} modules are built in. `quorate doc NAME` shows the same in a terminal. Each runs in the helper on the host, or on the\ncontroller where it has to; none needs Python anywhere.\n\n",
        all.len()
    );
    let mut collection = "";
    for spec in &all {
        if spec.collection != collection {
            collection = spec.collection;
            let _ = write!(out, "\n**{collection}**: ");
        } else {
            out.push_str(" · ");
        }
        let _ = write!(out, "[{0}](#{1})", spec.name, anchor(spec));
    }
    out.push('\n');
    for spec in all {
        let _ = write!(out, "\n## {}.{}\n\n{}\n\n", spec.collection, spec.name, spec.summary);
        if !spec.aliases.is_empty() {
            let _ = writeln!(out, "Also called: {}.\n", spec.aliases.join(", "));
        }
        let [(_, check), (_, diff)] = attributes(spec);
        let _ = writeln!(out, "Check mode: {check}. Differences: {diff}.");
        let mut params: Vec<&Param> = shown(spec).collect();
        params.sort_by_key(|param| (!param.required, param.name));
        if !params.is_empty() {
            out.push_str("\n| parameter | type | default | |\n|---|---|---|---|\n");
            for param in params {
                row(&mut out, param, "");
            }
        }
        if let Some(example) = examples::task(spec.name) {
            let _ = write!(out, "\n```yaml\n{}\n```\n", example.trim_end());
        }
    }
    out
}

fn anchor(spec: &Spec) -> String {
    format!("{}{}", spec.collection.replace('.', ""), spec.name)
}

fn row(out: &mut String, param: &Param, within: &str) {
    let name = format!("{within}{}", param.name);
    let also =
        if param.aliases.is_empty() { String::new() } else { format!(" ({})", param.aliases.join(", ")) };
    let kind = match param.elements {
        Some(elements) => format!("{} of {}", param.kind.name(), elements.name()),
        None => param.kind.name().to_owned(),
    };
    let default = match literal(&param.default) {
        _ if param.required => "required".to_owned(),
        Some(value) => format!("`{}`", cell(&JsonStyle::default().write(&value))),
        None => String::new(),
    };
    let mut text = cell(param.doc);
    if !param.choices.is_empty() {
        let _ = write!(text, " One of: {}.", cell(&param.choices.join(", ")));
    }
    let _ = writeln!(out, "| `{name}`{also} | {kind} | {default} | {text} |");
    for inner in param.options {
        row(out, inner, &format!("{name}."));
    }
}

fn words_page(title: &str, kind: &str, words: super::Words) -> String {
    let mut out = format!(
        "# {title}\n{NOTE}\n{} {}s, with the semantics of ansible-core 2.19 (and of the collections whose name is in front).\n\n| {kind} | | example | comes to |\n|---|---|---|---|\n",
        words.len(),
        kind
    );
    for (name, text) in words {
        let (example, result) = examples::of(kind, name).map_or_else(Default::default, |example| {
            (code(&format!("{{{{ {} }}}}", example.expression)), code(example.result))
        });
        let _ = writeln!(out, "| `{name}` | {} | {example} | {result} |", cell(text));
    }
    out
}

/// Code within a table: a bar would end the cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn errors_page() -> String {
    let mut out = format!(
        "# Codes of messages\n{NOTE}\n`quorate help CODE` shows the same. E: an error, W: a warning, G: a refusal of the guard.\n\n| code | what it means | what to do |\n|---|---|---|\n"
    );
    for (code, what, remedy) in crate::codes::CODES {
        let _ = writeln!(out, "| {code} | {} | {} |", cell(what), cell(remedy));
    }
    out.push_str("\n## Exit statuses\n\n| status | of Quorate's own commands |\n|---|---|\n");
    for (status, what) in [
        (0, "done"),
        (1, "could not start: files, inventory, configuration, a slip in a name"),
        (2, "a host failed"),
        (3, "the playbook does not compile"),
        (4, "a host was unreachable, and none failed"),
        (5, "wrong usage"),
        (6, "refused by a guard"),
        (7, "out of date: the plan, or the run to go on with, is not of now"),
        (8, "failed, and rolled back (`rollback_after`)"),
        (10, "changes are pending (`plan --exit-code`)"),
        (99, "interrupted"),
        (250, "a bug of ours"),
    ] {
        let _ = writeln!(out, "| {status} | {what} |");
    }
    out.push_str("\nCalled by Ansible's names, a command has Ansible's statuses.\n");
    out
}

fn commands_page() -> String {
    let mut out = format!("# Commands\n{NOTE}\n```text\n{}\n```\n", crate::cli::help::HELP);
    for (name, mut command) in crate::cli::commands() {
        let _ = write!(
            out,
            "\n## quorate {name}\n\n```text\n{}\n```\n",
            command.render_long_help().to_string().trim_end()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_what_the_program_says() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
        let record = std::env::var("QUORATE_RECORD").is_ok_and(|word| word == "self");
        for (name, text) in super::pages() {
            let text: String = text.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
            if record {
                std::fs::write(dir.join(name), &text).unwrap();
            }
            let stands = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
            assert!(
                stands == text,
                "docs/reference/{name} is old: QUORATE_RECORD=self cargo test the_reference"
            );
        }
    }
}
