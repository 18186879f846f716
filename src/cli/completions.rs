//! `quorate completions`: what the Tab key offers, with the names of the files at hand.
//!
//! In: the words of a command line. Out: candidates with a word about each. The scripts for bash, zsh and fish only ask
//! for them, so they never grow old.
//!
//! **Invariant:** reads files and nothing else, and a project with mistakes in it costs candidates, never an error.

use super::check::count;
use super::common::{self, Shape};
use super::lsp::index::{How, Index};
use super::status;
use crate::plan::{Node, TagFilter};
use crate::report::display;
use crate::run::Runner;
use crate::vars::PlayVars;
use clap::Parser;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    /// `source <(quorate completions bash)`
    Bash,
    /// `source <(quorate completions zsh)`
    Zsh,
    /// `quorate completions fish | source`
    Fish,
}

/// Print what a shell needs to complete command lines: flags, and the tags, hosts and groups of the files at hand.
#[derive(Debug, Parser)]
#[command(
    name = "quorate completions",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate completions bash >/etc/bash_completion.d/quorate\n  source <(quorate completions zsh)\n  quorate completions fish >~/.config/fish/completions/quorate.fish"
)]
struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    let args = match super::parsed::<Args>("quorate completions", args, false) {
        Ok(args) => args,
        Err(status) => return status,
    };
    display::out(match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    });
    status::DONE
}

const BASH: &str = r#"# bash completion for quorate, and for the ansible-* names that lead to it
_quorate() {
  local line files=
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = :files ]; then files=1; else COMPREPLY+=("${line%%$'\t'*}"); fi
  done < <("${COMP_WORDS[0]}" --quorate-complete "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
  if [ -n "$files" ]; then compopt -o default -o filenames 2>/dev/null; fi
  case ${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac
}
complete -F _quorate quorate
for _quorate_name in ansible ansible-playbook ansible-inventory ansible-vault ansible-doc ansible-config; do
  case $(readlink -f "$(command -v $_quorate_name)" 2>/dev/null) in */quorate) complete -F _quorate $_quorate_name ;; esac
done
unset _quorate_name"#;

const ZSH: &str = r#"#compdef quorate
# zsh completion for quorate
_quorate() {
  local line files=
  local -a all
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1; continue; fi
    local name=${line%%$'\t'*} about=
    [[ $line == *$'\t'* ]] && about=${line#*$'\t'}
    all+=("${name//:/\\:}:$about")
  done < <("${words[1]}" --quorate-complete "${(@)words[1,CURRENT]}" 2>/dev/null)
  (( ${#all} )) && _describe -V quorate all
  [[ -n $files ]] && _files
}
if [[ ${funcstack[1]} == _quorate ]]; then _quorate "$@"; else compdef _quorate quorate; fi"#;

const FISH: &str = r"# fish completion for quorate
function __quorate_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] --quorate-complete $words 2>/dev/null)
        if test $line = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c quorate -f -a '(__quorate_complete)'";

/// What `--quorate-complete WORDS…` prints: a candidate a line, a tab, a word about it; `:files` where files may stand.
pub(crate) fn answer(words: &[String]) -> u8 {
    let asked = Asked::read(words);
    let mut lines = Vec::new();
    for (name, about) in asked.candidates() {
        lines.push(match about.lines().next().unwrap_or_default() {
            "" => name,
            about => format!("{name}\t{about}"),
        });
    }
    if asked.files {
        lines.push(":files".into());
    }
    if !lines.is_empty() {
        display::out(&lines.join("\n"));
    }
    status::DONE
}

/// A command line that is being typed.
struct Asked {
    command: Option<clap::Command>,
    /// Words before the one being typed, after the command's name.
    before: Vec<String>,
    /// The word being typed.
    word: String,
    /// The option whose value is being typed.
    option: Option<clap::Arg>,
    /// The argument without a name that is being typed.
    place: Option<clap::Arg>,
    files: bool,
}

impl Asked {
    fn read(words: &[String]) -> Asked {
        // bash parts `--tags=x` at the sign
        let mut parts: Vec<String> = Vec::new();
        for word in words {
            match (word.as_str(), parts.last()) {
                ("=", Some(last)) if last.starts_with("--") => {}
                _ => parts.push(word.clone()),
            }
        }
        if words.last().is_some_and(|word| word == "=") {
            parts.push(String::new());
        }
        let mut parts = parts.into_iter();
        let called = parts.next().unwrap_or_default();
        let mut rest: Vec<String> = parts.collect();
        let mut word = rest.pop().unwrap_or_default();
        let name = match called.rsplit('/').next().unwrap_or_default() {
            "ansible-playbook" => Some("play"),
            "ansible" => Some("run"),
            "ansible-inventory" => Some("inventory"),
            "ansible-vault" => Some("vault"),
            "ansible-doc" => Some("doc"),
            "ansible-config" => Some("config"),
            _ => None,
        };
        let all = super::commands();
        let find =
            |name: &str| all.iter().find(|(known, _)| *known == name).map(|(_, command)| command.clone());
        let mut command = match name {
            Some(name) => find(name),
            None if rest.is_empty() => None,
            None => {
                let first = rest.remove(0);
                let found = find(&first);
                if found.is_none() {
                    // `help`: a command or a code
                    rest.insert(0, first);
                }
                found
            }
        };
        // `lab up`, `vault edit`
        while let Some(next) = command.as_ref().and_then(|command| {
            let at = rest.iter().position(|word| command.find_subcommand(word).is_some())?;
            Some((at, command.find_subcommand(&rest[at])?.clone()))
        }) {
            rest.remove(next.0);
            command = Some(next.1);
        }
        let mut asked =
            Asked { command, before: rest, word: String::new(), option: None, place: None, files: false };
        if let Some((flag, value)) = word.clone().split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
            asked.option = asked.flag(flag);
            value.clone_into(&mut word);
        } else {
            asked.option = asked.before.last().and_then(|last| asked.flag(last));
        }
        asked.word = word;
        if asked.option.is_none() && !asked.word.starts_with('-') {
            asked.place = asked.positional();
        }
        asked.files = asked.wants_files();
        asked
    }

    /// The option of this spelling, if it takes a value.
    fn flag(&self, text: &str) -> Option<clap::Arg> {
        let command = self.command.as_ref()?;
        let takes = |arg: &&clap::Arg| arg.get_action().takes_values();
        command
            .get_arguments()
            .filter(takes)
            .find(|arg| {
                let long = arg.get_long_and_visible_aliases().unwrap_or_default();
                let hidden = arg.get_all_aliases().unwrap_or_default();
                let short = arg.get_short().map(String::from);
                match text.strip_prefix("--") {
                    Some(name) => long.contains(&name) || hidden.contains(&name),
                    None => text.strip_prefix('-').is_some_and(|name| {
                        // `-bt`: the last letter takes the value
                        !name.is_empty() && name.chars().last().map(String::from) == short
                    }),
                }
            })
            .cloned()
    }

    fn positional(&self) -> Option<clap::Arg> {
        let command = self.command.as_ref()?;
        let mut given = 0;
        let mut value = false;
        for word in &self.before {
            if value {
                value = false;
            } else if word.starts_with('-') {
                value = self.flag(word).is_some() && !word.contains('=');
            } else {
                given += 1;
            }
        }
        let all: Vec<&clap::Arg> = command.get_positionals().collect();
        all.get(given).or(all.last()).copied().cloned()
    }

    /// What the value being typed is called.
    fn value_name(&self) -> String {
        let arg = self.option.as_ref().or(self.place.as_ref());
        arg.and_then(|arg| arg.get_value_names()?.first().map(ToString::to_string)).unwrap_or_default()
    }

    fn wants_files(&self) -> bool {
        if self.word.starts_with('-') {
            return false;
        }
        match self.value_name().as_str() {
            "PLAYBOOK" | "INVENTORY" | "FILE" | "PATH" | "DIR" | "FOLDER" | "VAULT_ID" => true,
            "EXTRA_VARS" | "SUBSET" => self.word.starts_with('@'),
            _ => false,
        }
    }

    fn candidates(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        match (&self.command, &self.option) {
            (None, _) => {
                if self.before.first().is_some_and(|word| word == "help") {
                    for (code, what, _) in crate::codes::CODES {
                        all.insert((*code).to_owned(), (*what).to_owned());
                    }
                }
                for (name, command) in super::commands() {
                    all.insert(
                        name.to_owned(),
                        command.get_about().map(ToString::to_string).unwrap_or_default(),
                    );
                }
                all.insert("help".into(), "Help on a command, or on the code of a message".into());
            }
            (Some(command), None) if self.word.starts_with('-') => {
                for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()) {
                    let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    if let Some(long) = arg.get_long() {
                        all.insert(format!("--{long}"), about.clone());
                    }
                    if let Some(short) = arg.get_short().filter(|_| self.word.len() < 2) {
                        all.insert(format!("-{short}"), about);
                    }
                }
                all.insert("--help".into(), "Print help".into());
            }
            (Some(command), option) => {
                for sub in command.get_subcommands().filter(|sub| option.is_none() && !sub.is_hide_set()) {
                    all.insert(
                        sub.get_name().to_owned(),
                        sub.get_about().map(ToString::to_string).unwrap_or_default(),
                    );
                }
                if let Some(arg) = option.as_ref().or(self.place.as_ref()) {
                    for value in arg.get_possible_values() {
                        all.insert(
                            value.get_name().to_owned(),
                            value.get_help().map(ToString::to_string).unwrap_or_default(),
                        );
                    }
                }
                self.live(&mut all);
            }
        }
        let typed = self.word.rsplit_once(',').map_or("", |(before, _)| before);
        all.into_iter()
            .filter(|(name, _)| name.starts_with(&self.word) && (typed.is_empty() || name.starts_with(typed)))
            .collect()
    }

    /// Names of the files at hand.
    fn live(&self, all: &mut BTreeMap<String, String>) {
        // in a list, the part after the last sign is being typed
        let listed = |names: Vec<(String, String)>, all: &mut BTreeMap<String, String>, signs: &[char]| {
            let at = self.word.rfind(signs).map_or(0, |at| at + 1);
            let (before, _) = self.word.split_at(at);
            all.extend(names.into_iter().map(|(name, about)| (format!("{before}{name}"), about)));
        };
        match self.value_name().as_str() {
            "TAGS" => listed(self.tags(), all, &[',']),
            "SUBSET" | "PATTERN" | "HOST" | "HOSTS" => listed(self.hosts(), all, &[',', ':', '!', '&']),
            "EXTRA_VARS" => {
                let names = index().names(|how| matches!(how, How::Defined(level) if level < 17));
                all.extend(names.into_iter().map(|name| (format!("{name}="), String::new())));
            }
            "VAR|HOST|TASK" => {
                let names = index().names(|how| matches!(how, How::Defined(_)));
                all.extend(names.into_iter().map(|name| (name, String::new())));
                all.extend(self.hosts());
            }
            "MODULE_NAME" | "NAME"
                if self
                    .command
                    .as_ref()
                    .is_some_and(|command| matches!(command.get_name(), "quorate run" | "quorate doc")) =>
            {
                all.extend(
                    super::doc::modules()
                        .into_iter()
                        .map(|spec| (spec.name.to_owned(), spec.summary.to_owned())),
                );
            }
            "TASK" => {
                for book in self.books() {
                    all.extend(self.steps(&book).into_iter().map(|(name, _)| (name, String::new())));
                }
            }
            "PLAYBOOK" => {
                // those of the folder where people keep them, by their path
                for dir in ["playbooks", "."] {
                    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                        let path = entry.path();
                        let text = std::fs::read_to_string(&path).unwrap_or_default();
                        if super::check::files::kind_of(&path, &text) == super::check::files::Kind::Playbook {
                            let path = path.strip_prefix("./").unwrap_or(&path).display().to_string();
                            all.insert(path, String::new());
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        let mut words = self.before.iter();
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-i" | "--inventory" | "--inventory-file") {
                shape.inventory.extend(words.next().cloned());
            } else if let Some(source) = word.strip_prefix("--inventory=") {
                shape.inventory.push(source.to_owned());
            }
        }
        shape
    }

    /// Playbooks named so far.
    fn books(&self) -> Vec<PathBuf> {
        let named = self.before.iter().filter(|word| word.ends_with(".yml") || word.ends_with(".yaml"));
        named.filter_map(|name| super::play::locate(name, true).ok()).filter(|path| path.is_file()).collect()
    }

    fn hosts(&self) -> Vec<(String, String)> {
        let ground = common::ground_noting(&self.shape(), None, false, (&[], &[]), Some(&mut Vec::new()));
        let Ok(ground) = ground else { return Vec::new() };
        let inventory = ground.shared.inventory();
        let mut names: Vec<(String, String)> = inventory
            .groups()
            .map(|id| (inventory.group(id).name().to_string(), count(inventory.hosts_of(id).len(), "host")))
            .collect();
        let hosts = inventory.hosts().filter(|id| !inventory.host(*id).is_implicit());
        names.extend(hosts.map(|id| (inventory.host_name(id).to_string(), "host".to_owned())));
        names
    }

    /// Titles and tags of a playbook's steps.
    fn steps(&self, book: &Path) -> Vec<(String, Vec<String>)> {
        let ground =
            common::ground_noting(&self.shape(), Some(book), false, (&[], &[]), Some(&mut Vec::new()));
        let Ok(ground) = ground else { return Vec::new() };
        let Ok(plays) = ground.shared.loader().playbook(book) else { return Vec::new() };
        let every = ["all".to_owned(), "never".to_owned()];
        let runner = Runner::new(common::start_silent(&ground), TagFilter::new(&every, &[]), None, None);
        let mut found = Vec::new();
        for play in &plays {
            let vars = Arc::new(PlayVars::new(play));
            for slot in runner.outline(play, &vars, &Arc::from("localhost")) {
                if let Node::Step(step) = &slot.node {
                    found.push((step.title(), step.tags.clone()));
                }
            }
        }
        found
    }

    fn tags(&self) -> Vec<(String, String)> {
        let books = self.books();
        if books.is_empty() {
            return index().tags().into_iter().map(|tag| (tag, String::new())).collect();
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for book in &books {
            for tag in self.steps(book).into_iter().flat_map(|(_, tags)| tags) {
                *counts.entry(tag).or_default() += 1;
            }
        }
        counts.into_iter().map(|(tag, n)| (tag, count(n, "task"))).collect()
    }
}

/// Names of the files below the working directory.
fn index() -> Index {
    let mut index = Index::default();
    index.refresh(Path::new("."), &[]);
    index
}
