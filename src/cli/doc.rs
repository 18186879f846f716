//! `quorate doc` and `ansible-doc`: the reference of what is built in.
//!
//! In: the parameter tables that also validate tasks. Out: pages, lists, snippets, JSON.
//!
//! **Invariant:** a module's page cannot differ from what it accepts: both are the same table.

mod actions;
mod examples;
mod reference;
pub(super) mod words;

use super::common::Cannot;
use super::status;
use crate::report::display::{self, Look};
use clap::Parser;
use quorate_agent::spec::{Check, Lit, Param, Spec};
use quorate_value::{Dict, JsonStyle, Value, dict, str_of};
use words::Words;

const KINDS: &[&str] = &[
    "become",
    "cache",
    "callback",
    "cliconf",
    "connection",
    "httpapi",
    "inventory",
    "lookup",
    "netconf",
    "shell",
    "vars",
    "module",
    "strategy",
    "test",
    "filter",
    "role",
    "keyword",
];

/// The reference of modules, filters, tests and lookups.
#[derive(Debug, Parser)]
#[command(
    name = "quorate doc",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate doc -l\n  quorate doc copy\n  quorate doc -s systemd_service\n  quorate doc -t filter -l"
)]
struct Args {
    /// Names, short or full
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// What to look among
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "module", value_parser = clap::builder::PossibleValuesParser::new(KINDS))]
    kind: String,
    /// List them, a line each
    #[arg(short, long)]
    list: bool,
    /// List them with where each comes from
    #[arg(short = 'F', long = "list_files", conflicts_with = "list")]
    list_files: bool,
    /// A task to fill in
    #[arg(short, long, conflicts_with_all = ["list", "list_files"])]
    snippet: bool,
    /// As JSON
    #[arg(short, long)]
    json: bool,
    /// Entry point of a role
    #[arg(short, long, value_name = "NAME", hide = true)]
    entry_point: Option<String>,
    /// Folders of roles
    #[arg(short, long, value_name = "PATH", hide = true)]
    roles_path: Option<String>,
    /// Accepted for Ansible's sake; modules are built in
    #[arg(short = 'M', long, value_name = "PATH", hide = true)]
    module_path: Vec<String>,
    /// Accepted for Ansible's sake
    #[arg(long, value_name = "DIR", hide = true)]
    playbook_dir: Option<String>,
    /// Accepted for Ansible's sake
    #[arg(short, long, action = clap::ArgAction::Count, hide = true)]
    verbose: u8,
    /// Write the pages of docs/reference into a folder
    #[arg(long, value_name = "DIR", hide = true)]
    reference: Option<std::path::PathBuf>,
    /// Print the version
    #[arg(long)]
    version: bool,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String], ansible: bool) -> u8 {
    let name = if ansible { "ansible-doc" } else { "quorate doc" };
    let args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    super::ended(doc(&args, ansible), ansible)
}

fn doc(args: &Args, ansible: bool) -> Result<u8, Cannot> {
    let pages: Vec<Page> = match args.kind.as_str() {
        "module" => modules().into_iter().map(Page::Module).collect(),
        "filter" => listed(words::FILTERS),
        "test" => listed(words::TESTS),
        "lookup" => listed(words::LOOKUPS),
        other => {
            return Err(Cannot::start(format!(
                "there are no pages about {other} plug-ins: modules, filters, tests and lookups have pages"
            )));
        }
    };
    if let Some(dir) = &args.reference {
        for (name, text) in reference::pages() {
            let path = dir.join(name);
            std::fs::write(&path, text)
                .map_err(|e| Cannot::start(format!("cannot write {}: {e}", path.display())))?;
        }
        return Ok(status::DONE);
    }
    if args.list || args.list_files {
        list(args, &pages);
        return Ok(status::DONE);
    }
    if args.names.is_empty() {
        return Err(Cannot {
            text: "Missing name(s), incorrect options passed for detailed documentation.".into(),
            status: status::USAGE,
        });
    }
    let mut missing = false;
    let mut json = Dict::new();
    for name in &args.names {
        let Some(page) = pages.iter().find(|page| page.answers(name)) else {
            let near =
                quorate_yaml::nearest(name.rsplit('.').next().unwrap_or(name), pages.iter().map(Page::name));
            let hint = near.first().map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            display::warning(&if ansible {
                format!("{name} was not found")
            } else {
                format!("{name} was not found{hint}")
            });
            missing = true;
            continue;
        };
        match (args.json, args.snippet, page) {
            (true, ..) => drop(json.insert(page.name(), page.json(&args.kind))),
            (false, true, Page::Module(spec)) => display::out(snippet(spec).trim_end()),
            (false, true, Page::Word(name, _)) => display::out(&format!("{{{{ … | {name} }}}}")),
            (false, false, page) => display::out(&page.text(&args.kind)),
        }
    }
    if args.json {
        display::out(&style().write(&Value::dict(json)));
    }
    // ansible-doc ends well whatever it found
    Ok(if missing && !ansible { status::CANNOT_START } else { status::DONE })
}

fn style() -> JsonStyle {
    JsonStyle { indent: Some(4), sort_keys: true, ascii: false, compact: false }
}

/// Everything with parameters, in order: modules of the helper, and actions of the controller.
pub(super) fn modules() -> Vec<&'static Spec> {
    let helper = quorate_agent::modules::MODULES.iter().map(|module| module.spec());
    let mut all: Vec<&'static Spec> = helper.collect();
    let own = actions::ACTIONS.iter().chain(crate::run::actions::etcd::SPECS);
    let own = own.filter(|spec| all.iter().all(|known| known.name != spec.name));
    let own: Vec<&'static Spec> = own.collect();
    all.extend(own);
    // what starts a playbook's own modules is no module of its own
    all.retain(|spec| !spec.name.starts_with('_') && spec.name != "quorate_foreign");
    all.sort_by_key(|spec| (spec.collection, spec.name));
    all
}

fn listed(words: Words) -> Vec<Page> {
    words.iter().map(|(name, text)| Page::Word(name, text)).collect()
}

/// One page.
enum Page {
    Module(&'static Spec),
    Word(&'static str, &'static str),
}

impl Page {
    fn name(&self) -> &'static str {
        match self {
            Page::Module(spec) => spec.name,
            Page::Word(name, _) => name,
        }
    }

    fn full_name(&self) -> String {
        match self {
            Page::Module(spec) => format!("{}.{}", spec.collection, spec.name),
            Page::Word(name, _) if name.contains('.') => (*name).to_owned(),
            Page::Word(name, _) => format!("ansible.builtin.{name}"),
        }
    }

    fn summary(&self) -> &'static str {
        match self {
            Page::Module(spec) => spec.summary,
            Page::Word(_, text) => text,
        }
    }

    fn answers(&self, name: &str) -> bool {
        let short = name
            .strip_prefix("ansible.builtin.")
            .or_else(|| name.strip_prefix("ansible.legacy."))
            .unwrap_or(name);
        match self {
            Page::Module(spec) => {
                short == spec.name || spec.aliases.contains(&short) || name == self.full_name()
            }
            Page::Word(own, _) => short == *own,
        }
    }

    fn text(&self, kind: &str) -> String {
        let mut out = format!("> {} {} (built in)\n\n", kind.to_uppercase(), self.full_name());
        out.push_str(&wrapped(self.summary(), "  "));
        let Page::Module(spec) = self else {
            if let Some(example) = examples::of(kind, self.name()) {
                out.push_str(&format!(
                    "\nEXAMPLE:\n\n        {{{{ {} }}}}\n        # {}\n",
                    example.expression, example.result
                ));
            }
            return out;
        };
        if !spec.aliases.is_empty() {
            out.push_str(&format!("  Also called: {}\n", spec.aliases.join(", ")));
        }
        let mut params: Vec<&Param> = shown(spec).collect();
        params.sort_by_key(|param| param.name);
        if !params.is_empty() {
            out.push_str("\nOPTIONS (= indicates it is required):\n");
            for param in params {
                out.push('\n');
                out.push_str(&option(param, ""));
            }
        }
        out.push_str("\nATTRIBUTES:\n");
        for (name, support) in attributes(spec) {
            out.push_str(&format!("\n        `{name}:`\n        support: {support}\n"));
        }
        if let Some(example) = examples::task(spec.name) {
            out.push_str(&format!("\nEXAMPLES:\n\n{}\n", example.trim_end()));
        }
        out
    }

    fn json(&self, kind: &str) -> Value {
        let mut doc = dict! {
            "collection" => self.full_name().rsplit_once('.').map_or("", |(c, _)| c),
            "plugin_name" => self.full_name(),
            "short_description" => self.summary(),
            "description" => Value::list(vec![Value::from(self.summary())]),
        };
        match self {
            Page::Word(name, _) => drop(doc.insert("name", *name)),
            Page::Module(spec) => {
                doc.insert(kind, spec.name);
                let options: Dict =
                    shown(spec).map(|p| (quorate_value::Key::from(p.name), described(p))).collect();
                doc.insert("options", Value::dict(options));
                let attributes: Dict = attributes(spec)
                    .into_iter()
                    .map(|(name, support)| {
                        (quorate_value::Key::from(name), Value::dict(dict! { "support" => support }))
                    })
                    .collect();
                doc.insert("attributes", Value::dict(attributes));
            }
        }
        let example = match self {
            Page::Module(spec) => examples::task(spec.name).map(ToOwned::to_owned),
            Page::Word(name, _) => {
                examples::of(kind, name).map(|e| format!("{{{{ {} }}}}\n# {}\n", e.expression, e.result))
            }
        };
        Value::dict(dict! {
            "doc" => Value::dict(doc),
            "examples" => example.map_or(Value::Null, Value::from),
            "metadata" => Value::Null,
            "return" => Value::Null
        })
    }
}

/// Parameters that people give.
pub(super) fn shown(spec: &'static Spec) -> impl Iterator<Item = &'static Param> {
    spec.all_params()
        .filter(|param| !param.hidden && (!param.name.starts_with('_') || param.name == "_raw_params"))
}

fn attributes(spec: &Spec) -> [(&'static str, &'static str); 2] {
    let check = match spec.check {
        Check::Full => "full",
        Check::Partial => "partial",
        Check::None => "none",
    };
    [("check_mode", check), ("diff_mode", if spec.diff { "full" } else { "none" })]
}

fn literal(lit: &Lit) -> Option<Value> {
    Some(match lit {
        Lit::None => return None,
        Lit::Str(text) => Value::from(*text),
        Lit::Int(number) => Value::from(*number),
        Lit::Float(number) => Value::from(*number),
        Lit::Bool(flag) => Value::Bool(*flag),
        Lit::List(items) => items.iter().map(|item| Value::from(*item)).collect(),
        Lit::EmptyDict => Value::dict(Dict::new()),
    })
}

fn described(param: &Param) -> Value {
    let words = |words: &[&'static str]| words.iter().map(|word| Value::from(*word)).collect::<Value>();
    let mut doc = dict! {
        "description" => Value::list(vec![Value::from(param.doc)]),
        "type" => param.kind.name(),
    };
    if param.required {
        doc.insert("required", true);
    }
    if !param.aliases.is_empty() {
        doc.insert("aliases", words(param.aliases));
    }
    if !param.choices.is_empty() {
        doc.insert("choices", words(param.choices));
    }
    if let Some(default) = literal(&param.default) {
        doc.insert("default", default);
    }
    if let Some(elements) = param.elements {
        doc.insert("elements", elements.name());
    }
    if !param.options.is_empty() {
        let inner: Dict =
            param.options.iter().map(|p| (quorate_value::Key::from(p.name), described(p))).collect();
        doc.insert("suboptions", Value::dict(inner));
    }
    Value::dict(doc)
}

/// One option of a page, and those within it.
fn option(param: &Param, margin: &str) -> String {
    let mark = if param.required { '=' } else { '-' };
    let text = wrapped(param.doc, &format!("{margin}           "));
    let mut out = format!("{margin}{mark} {}\n{text}", param.name);
    let mut fact = |name: &str, text: &str| out.push_str(&format!("{margin}        {name}: {text}\n"));
    if !param.aliases.is_empty() {
        fact("aliases", &format!("[{}]", param.aliases.join(", ")));
    }
    if !param.choices.is_empty() {
        fact("choices", &format!("[{}]", param.choices.join(", ")));
    }
    match literal(&param.default) {
        Some(Value::Bool(flag)) => fact("default", if flag { "true" } else { "false" }),
        Some(value) => fact("default", &str_of(&value)),
        None => {}
    }
    if let Some(elements) = param.elements {
        fact("elements", elements.name());
    }
    fact("type", param.kind.name());
    if !param.options.is_empty() {
        out.push_str(&format!("{margin}        options:\n"));
        for inner in param.options {
            out.push('\n');
            out.push_str(&option(inner, &format!("{margin}        ")));
        }
    }
    out
}

/// A task with every option, to be filled in.
fn snippet(spec: &'static Spec) -> String {
    let mut out = format!("- name: {}\n", spec.summary.trim_end_matches('.'));
    out.push_str(&format!(
        "  {}:\n",
        if spec.collection == "ansible.builtin" {
            spec.name.to_owned()
        } else {
            format!("{}.{}", spec.collection, spec.name)
        }
    ));
    let mut params: Vec<&Param> = shown(spec).collect();
    params.sort_by_key(|param| param.name);
    for param in params {
        let required = if param.required { "(required) " } else { "" };
        let head = format!("      {:<23}# ", format!("{}:", param.name));
        let margin = format!("{}# ", " ".repeat(head.chars().count() - 2));
        let text = wrapped(&format!("{required}{}", param.doc), &margin);
        out.push_str(&head);
        out.push_str(text.strip_prefix(&margin).unwrap_or(&text));
    }
    out
}

fn list(args: &Args, pages: &[Page]) {
    let wanted = |page: &&Page| {
        let full = page.full_name();
        args.names.is_empty()
            || args.names.iter().any(|name| full == *name || full.starts_with(&format!("{name}.")))
    };
    let chosen: Vec<&Page> = pages.iter().filter(wanted).collect();
    if args.json {
        let what = |page: &Page| if args.list_files { "built in" } else { page.summary() };
        let all: Dict =
            chosen.iter().map(|p| (quorate_value::Key::from(p.full_name()), Value::from(what(p)))).collect();
        display::out(&style().write(&Value::dict(all)));
        return;
    }
    let width = chosen.iter().map(|page| page.full_name().len()).max().unwrap_or(0);
    let columns = Look::detect(true, false).columns.max(80);
    for page in chosen {
        let room = columns.saturating_sub(width + 2).max(20);
        let text = if args.list_files { "built in" } else { page.summary() };
        let text = if text.chars().count() > room {
            format!("{}...", text.chars().take(room - 3).collect::<String>())
        } else {
            text.to_owned()
        };
        display::out(format!("{:<width$}  {text}", page.full_name()).trim_end());
    }
}

/// Text in lines, each with a margin.
fn wrapped(text: &str, margin: &str) -> String {
    const WIDTH: usize = 78;
    let mut out = String::new();
    let mut line = margin.to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() > WIDTH && line.len() > margin.len() {
            out.push_str(line.trim_end());
            out.push('\n');
            margin.clone_into(&mut line);
        }
        line.push_str(word);
        line.push(' ');
    }
    if line.len() > margin.len() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use std::collections::BTreeSet;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_action_has_a_page() {
        let pages = modules();
        for name in crate::run::actions::ACTIONS {
            let short = name.rsplit('.').next().unwrap_or(name);
            assert!(pages.iter().any(|spec| spec.name == short), "{name} has no page");
        }
        let names: BTreeSet<&str> = pages.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), pages.len(), "each once");
    }

    #[test]
    fn filters_and_tests_are_those_of_the_template_language() {
        let names = |words: Words| words.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>();
        assert_eq!(names(words::FILTERS), quorate_template::filter_names().into_iter().collect());
        assert_eq!(names(words::TESTS), quorate_template::test_names().into_iter().collect());
        for name in quorate_template::lookup_names() {
            assert!(names(words::LOOKUPS).contains(name), "{name} has no page");
        }
    }

    #[test]
    fn a_page_says_what_the_table_says() {
        let text = Page::Module(quorate_agent::modules::find("stat").unwrap().spec()).text("module");
        assert!(text.starts_with("> MODULE ansible.builtin.stat (built in)\n"), "{text}");
        assert!(text.contains("\n= path\n"), "{text}");
        assert!(text.contains("        aliases: [dest, name]\n"), "{text}");
    }

    #[test]
    fn long_text_is_wrapped() {
        let text = wrapped(&"word ".repeat(40), "    ");
        assert!(
            text.lines().count() > 2
                && text.lines().all(|line| line.len() <= 78 && line.starts_with("    word")),
            "{text}"
        );
    }
}
