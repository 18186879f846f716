//! `quorate help`: the commands, one command, or one code of a message.

use super::status;
use crate::codes::CODES;
use crate::report::display;

/// The commands, and what each is for.
pub(super) const HELP: &str =
    "quorate: playbooks for the life of etcd clusters and of the clients that point at them

  quorate play PLAYBOOK…        run playbooks                        ansible-playbook
  quorate run PATTERN -a ARGS   run one module on many hosts         ansible
  quorate inventory             show the inventory                   ansible-inventory
  quorate vault                 encrypted files and strings          ansible-vault
  quorate doc [NAME]            the reference of what is built in    ansible-doc
  quorate config                settings, and who said so            ansible-config
  quorate galaxy                install and build roles, collections ansible-galaxy
  quorate plan PLAYBOOK…        what `play` would change, with differences; changes nothing
  quorate history               runs of the past: all, one, two side by side; `play --resume RUN` goes on
  quorate graph PLAYBOOK        what comes before what, and why
  quorate explain VAR|HOST|TASK where a value comes from, and why a task waits
  quorate check [PATH…]         everything that is wrong with playbooks, roles and inventories
  quorate init [FOLDER]         begin a project: inventory, playbooks and roles for a cluster
  quorate import HOST           write the inventory of a cluster that runs already
  quorate lsp                   answer an editor: diagnostics, definitions, hover, rename, completion
  quorate schema WHAT           JSON Schema of playbooks or inventories, for editors
  quorate completions SHELL     completions for bash, zsh or fish
  quorate man FOLDER            manual pages
  quorate fleet play|join|…     several controllers share one run through etcd
  quorate lab up|ssh|down|…     boot the hosts of an inventory as real machines on this computer
  quorate help COMMAND|CODE     help on a command, or on the code of a message

Called by the names on the right (links to this program), a command has Ansible's manners and exit codes.";

/// Every command, for `did you mean`.
pub(super) const COMMANDS: &[&str] = &[
    "play",
    "run",
    "inventory",
    "vault",
    "doc",
    "config",
    "galaxy",
    "plan",
    "graph",
    "history",
    "explain",
    "check",
    "init",
    "import",
    "lsp",
    "schema",
    "completions",
    "man",
    "lab",
    "fleet",
    "help",
    "version",
];

/// Runs `quorate help`; gives its exit status.
pub(super) fn main(args: &[String]) -> u8 {
    let Some(word) = args.first() else {
        display::out(HELP);
        return status::DONE;
    };
    let code = word.to_uppercase();
    if let Some((code, what, remedy)) = CODES.iter().find(|(known, ..)| *known == code) {
        display::out(&format!("{code}: {what}\n\n{remedy}"));
        return status::DONE;
    }
    if code.len() == 5 && code.starts_with(['E', 'G', 'W']) && code[1..].bytes().all(|b| b.is_ascii_digit()) {
        display::err(&format!("error: no message has the code {code}"));
        return status::USAGE;
    }
    let mut words = args.to_vec();
    words.push("--help".into());
    if COMMANDS.contains(&word.as_str()) && !matches!(word.as_str(), "help" | "version") {
        return super::command(&words);
    }
    super::unknown(Some(word))
}
