//! `quorate inventory` and `ansible-inventory`: what an inventory says, as JSON, YAML, TOML or a tree.
//!
//! In: flags. Out: the text of `quorate_inventory::Show`, on standard output or in a file.

use super::common::{self, Cannot, Shape};
use super::status;
use crate::report::display;
use clap::Parser;
use quorate_inventory::{Format, Secrets, Show, ShowError};
use std::path::Path;

/// Show what an inventory says.
#[derive(Debug, Parser)]
#[command(
    name = "quorate inventory",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate inventory --graph\n  quorate inventory --list -y\n  quorate inventory --host 10.10.10.10"
)]
struct Args {
    /// A group, for --graph
    #[arg(value_name = "GROUP")]
    group: Vec<String>,
    /// All groups and hosts with their variables
    #[arg(long, help_heading = "What")]
    list: bool,
    /// The variables of one host
    #[arg(long, value_name = "HOST", help_heading = "What")]
    host: Option<String>,
    /// A tree of groups and hosts
    #[arg(long, help_heading = "What")]
    graph: bool,
    /// As YAML
    #[arg(short, long, help_heading = "Form")]
    yaml: bool,
    /// As TOML
    #[arg(long, help_heading = "Form")]
    toml: bool,
    /// Variables in the graph too
    #[arg(long, help_heading = "Form")]
    vars: bool,
    /// Variables stay with the group that has them
    #[arg(long, help_heading = "Form")]
    export: bool,
    /// Into a file
    #[arg(long, value_name = "FILE", help_heading = "Form")]
    output: Option<String>,
    /// Show values from encrypted files (as `ansible-inventory` always does)
    #[arg(long, help_heading = "Form")]
    show_secrets: bool,
    /// Inventory: a file, a directory, a script, or `host1,host2,`. Repeatable
    #[arg(short, long, value_name = "INVENTORY", alias = "inventory-file", help_heading = "Hosts")]
    inventory: Vec<String>,
    /// These hosts only, for --list
    #[arg(short, long, value_name = "SUBSET", help_heading = "Hosts")]
    limit: Vec<String>,
    /// Set variables: k=v, YAML or JSON, or @file. Repeatable
    #[arg(short, long, value_name = "EXTRA_VARS", help_heading = "Variables")]
    extra_vars: Vec<String>,
    /// Vault identity: label@prompt, label@file, or a file. Repeatable
    #[arg(long, value_name = "VAULT_ID", help_heading = "Variables")]
    vault_id: Vec<String>,
    /// File (or script) with the vault password. Repeatable
    #[arg(long, value_name = "FILE", alias = "vault-pass-file", help_heading = "Variables")]
    vault_password_file: Vec<String>,
    /// Ask for the vault password
    #[arg(
        short = 'J',
        long,
        alias = "ask-vault-password",
        conflicts_with = "vault_password_file",
        help_heading = "Variables"
    )]
    ask_vault_pass: bool,
    /// Where group_vars and host_vars of a playbook would be
    #[arg(long, value_name = "DIR", help_heading = "Variables")]
    playbook_dir: Option<String>,
    /// Accepted for Ansible's sake: facts are not part of what is shown
    #[arg(long, hide = true)]
    flush_cache: bool,
    /// More detail (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Ansible's manners: what is probably a slip passes with a warning
    #[arg(long)]
    lenient: bool,
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
    let name = if ansible { "ansible-inventory" } else { "quorate inventory" };
    let args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    super::ended(inventory(&args, ansible), ansible)
}

fn inventory(args: &Args, ansible: bool) -> Result<(), Cannot> {
    let usage = |text: &str| Err(Cannot { text: text.to_owned(), status: status::USAGE });
    match [args.list, args.host.is_some(), args.graph].iter().filter(|asked| **asked).count() {
        0 => {
            return usage(
                "No action selected, at least one of --host, --graph or --list needs to be specified.",
            );
        }
        1 => {}
        _ => {
            return usage(
                "Conflicting options used, only one of --host, --graph or --list can be used at the same time.",
            );
        }
    }
    let shape = Shape {
        inventory: args.inventory.clone(),
        limit: args.limit.clone(),
        extra_vars: args.extra_vars.clone(),
        vault_id: args.vault_id.clone(),
        vault_password_file: args.vault_password_file.clone(),
        ask_vault_pass: args.ask_vault_pass,
        verbose: args.verbose,
        lenient: args.lenient,
        ..Shape::default()
    };
    let beside = args.playbook_dir.as_ref().map(|dir| Path::new(dir).join("inventory.yml"));
    let ground = common::ground(&shape, beside.as_deref(), ansible, (&[], &[]))?;
    let inventory = ground.shared.inventory();
    let show = Show {
        format: match (args.yaml, args.toml) {
            (true, _) => Format::Yaml,
            (_, true) => Format::Toml,
            _ => Format::Json,
        },
        export: args.export,
        vars: args.vars,
        limit: ground.limit.clone(),
        extra_vars: (*ground.shared.extra).clone(),
        secrets: if ansible || args.show_secrets { Secrets::Plain } else { Secrets::Masked },
    };
    // one host and a tree look at everything, whatever the limit
    let pattern = args.host.as_deref().or(args.list.then_some("all"));
    let selection =
        pattern.map(|pattern| inventory.select_within(pattern, ground.limit.as_ref().filter(|_| args.list)));
    let warnings = selection.map(|selection| selection.warnings).unwrap_or_default();
    warnings.iter().for_each(|warning| display::warning(&warning.to_string()));
    let text = match &args.host {
        _ if args.graph => inventory.show_graph(args.group.first().map(String::as_str), &show),
        Some(host) => inventory.show_host(host, &show),
        None => inventory.show_list(&show),
    };
    let text = text.map_err(|error| Cannot {
        status: match &error {
            ShowError::Inventory(_) => 4,
            ShowError::NotOneHost | ShowError::NotAGroup => status::USAGE,
            ShowError::Unwritable { .. } => status::BUG,
        },
        text: error.to_string(),
    })?;
    for warning in inventory.take_vars_warnings() {
        display::warning(&warning.to_string());
    }
    let Some(path) = &args.output else {
        display::out(text.trim_end_matches('\n'));
        drop(inventory);
        ground.leave(());
        return Ok(());
    };
    let lines = args.yaml || args.toml;
    let text = if lines && !args.graph { text.as_str() } else { text.trim_end_matches('\n') };
    std::fs::write(path, text).map_err(|error| {
        Cannot::start(format!(
            "Unable to write to destination file '{path}': {}",
            super::errno(&error, Some(Path::new(path))).replace(": '", ": b'")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
