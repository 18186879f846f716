//! What each setting is for, and whether it does something here.
//!
//! **Invariant:** every key of [`crate::settings::KEYS`] stands here once, and says truly whether anything reads it.
//! Checked below by looking for its name in the sources.

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It does what it does in Ansible.
    Works,
    /// There is nothing it could change here, so it is accepted and needs no thought.
    Moot,
    /// It is read and changes nothing yet.
    NotYet,
}

use Effect::{Moot, NotYet, Works};

/// Name, effect, one sentence.
#[rustfmt::skip] // read in columns
pub(super) const ABOUT: &[(&str, Effect, &str)] = &[
    ("ALLOW_BROKEN_CONDITIONALS", Works, "Conditions may end in something that is not a boolean, as before ansible-core 2.19."),
    ("ANSIBLE_FORCE_COLOR", Works, "Colours also where the output is no terminal."),
    ("ANSIBLE_HOME", NotYet, "Folder of Ansible's own files of this user."),
    ("ANSIBLE_NOCOLOR", Works, "No colours."),
    ("ANSIBLE_PIPELINING", Moot, "Modules without temporary files on the host. The helper never makes any."),
    ("ANSIBLE_SSH_ARGS", Works, "Arguments of every ssh; ControlPersist of them decides how long connections are kept."),
    ("ANY_ERRORS_FATAL", Works, "A failure on one host ends the play on all."),
    ("BECOME_ALLOW_SAME_USER", Works, "Becoming the user one already is goes through the become method all the same."),
    ("BECOME_PASSWORD_FILE", Works, "File (or script) with the password that becoming another user needs."),
    ("CACHE_PLUGIN", Works, "Where facts are kept between runs: memory or jsonfile."),
    ("CACHE_PLUGIN_CONNECTION", Works, "Folder of that cache."),
    ("CACHE_PLUGIN_PREFIX", Works, "What the names of files in that cache begin with."),
    ("CACHE_PLUGIN_TIMEOUT", Works, "Seconds that cached facts are good for."),
    ("CALLBACKS_ENABLED", Works, "Callbacks beside the one that writes to the terminal: timer, profile_tasks, junit, tree."),
    ("CALLBACK_RESULT_FORMAT", Works, "How results look: json or yaml."),
    ("CHECK_MODE_MARKERS", Works, "Banners say that this is check mode."),
    ("COLLECTIONS_PATHS", Works, "Folders in which collections are looked for."),
    ("COMMAND_WARNINGS", Moot, "Has no effect in ansible-core 2.19 either."),
    ("CONNECTION_PASSWORD_FILE", Works, "File (or script) with the password of connections."),
    ("DEFAULT_ASK_PASS", Works, "Ask for the password of connections."),
    ("DEFAULT_ASK_VAULT_PASS", Works, "Ask for the vault password."),
    ("DEFAULT_BECOME", Works, "Become another user."),
    ("DEFAULT_BECOME_ASK_PASS", Works, "Ask for the password that becoming another user needs."),
    ("DEFAULT_BECOME_EXE", Works, "Program that becomes another user."),
    ("DEFAULT_BECOME_FLAGS", Works, "Its flags."),
    ("DEFAULT_BECOME_METHOD", Works, "How to become another user: sudo, su, doas."),
    ("DEFAULT_BECOME_USER", Works, "The user to become."),
    ("DEFAULT_DEBUG", Works, "Tells when handlers are flushed; little else, as what is told is meant for the makers."),
    ("DEFAULT_EXECUTABLE", NotYet, "Shell on the hosts."),
    ("DEFAULT_FORCE_HANDLERS", Works, "Handlers run even on hosts that failed."),
    ("DEFAULT_FORKS", Works, "Hosts worked on at once. Unless it is set, Quorate works on up to 500."),
    ("DEFAULT_GATHERING", Works, "When facts are gathered: implicit, explicit, smart."),
    ("DEFAULT_GATHER_SUBSET", Works, "Which facts are gathered unless a play says."),
    ("DEFAULT_GATHER_TIMEOUT", Works, "Seconds for gathering facts unless a play says."),
    ("DEFAULT_HASH_BEHAVIOUR", Works, "Whether mappings of the same name replace each other or merge."),
    ("DEFAULT_HOST_LIST", Works, "The inventory, where no -i is given."),
    ("DEFAULT_JINJA2_EXTENSIONS", Works, "Extensions of the template language: do, loopcontrols."),
    ("DEFAULT_LOAD_CALLBACK_PLUGINS", Works, "Ad-hoc commands print as the stdout callback says."),
    ("DEFAULT_LOG_PATH", Works, "File that repeats what is shown."),
    ("DEFAULT_MANAGED_STR", Works, "The text of {{ ansible_managed }}."),
    ("DEFAULT_MODULE_NAME", Works, "Module of ad-hoc commands that name none."),
    ("DEFAULT_MODULE_PATH", Works, "Folders in which modules of one's own are looked for."),
    ("DEFAULT_NO_LOG", Works, "Every task hides its results."),
    ("DEFAULT_NO_TARGET_SYSLOG", Moot, "Nothing is written to the system log of hosts."),
    ("DEFAULT_POLL_INTERVAL", Works, "Seconds between looks at a background job, where the task does not say."),
    ("DEFAULT_PRIVATE_KEY_FILE", Works, "Private key of ssh."),
    ("DEFAULT_PRIVATE_ROLE_VARS", Works, "Variables of roles are not seen by the rest of the play."),
    ("DEFAULT_REMOTE_PORT", Works, "Port of ssh."),
    ("DEFAULT_REMOTE_TMP", Moot, "Folder for temporary files on hosts. The helper makes its own, closed to others."),
    ("DEFAULT_REMOTE_USER", Works, "User on the hosts."),
    ("DEFAULT_ROLES_PATH", Works, "Folders in which roles are looked for."),
    ("DEFAULT_STDOUT_CALLBACK", Works, "What writes to the terminal: default, minimal, oneline, json; of `yaml` its results."),
    ("DEFAULT_STRATEGY", Works, "Order of hosts and tasks: linear, free, host_pinned."),
    ("DEFAULT_TIMEOUT", Works, "Seconds to wait for a connection."),
    ("DEFAULT_TRANSPORT", Works, "Connection unless something says: ssh, local."),
    ("DEFAULT_VAULT_ENCRYPT_IDENTITY", Works, "Vault identity to encrypt with."),
    ("DEFAULT_VAULT_IDENTITY", Works, "Label of a vault password that has none."),
    ("DEFAULT_VAULT_IDENTITY_LIST", Works, "Vault identities to try, as with --vault-id."),
    ("DEFAULT_VAULT_ID_MATCH", Works, "Try a vault password only on vaults with its label."),
    ("DEFAULT_VAULT_PASSWORD_FILE", Works, "File (or script) with the vault password."),
    ("DEFAULT_VERBOSITY", Works, "As so many -v."),
    ("DEPRECATION_WARNINGS", Works, "Tell about what will go."),
    ("DIFF_ALWAYS", Works, "As --diff."),
    ("DIFF_CONTEXT", NotYet, "Lines around a difference."),
    ("DISPLAY_FAILED_STDERR", Works, "Failures go to standard error."),
    ("DISPLAY_OK_HOSTS", Works, "Show hosts where nothing changed."),
    ("DISPLAY_SKIPPED_HOSTS", Works, "Show hosts that skipped a task."),
    ("DUPLICATE_YAML_DICT_KEY", Works, "What a key that stands twice is: a warning, an error, nothing."),
    ("ENABLE_TASK_DEBUGGER", Works, "Failed tasks go to the debugger."),
    ("ERROR_ON_MISSING_HANDLER", Works, "Whether a notify that nobody answers is an error."),
    ("GALAXY_SERVER_LIST", NotYet, "Servers that collections are asked of; each has a section `galaxy_server.NAME`."),
    ("HOST_KEY_CHECKING", Works, "Refuse hosts with an unknown key. Unless it is set, new keys are accepted and changed ones refused."),
    ("HOST_PATTERN_MISMATCH", Works, "What a pattern without hosts is: a warning, an error, nothing."),
    ("INJECT_FACTS_AS_VARS", Works, "Facts are variables of their own too (ansible_*)."),
    ("INTERPRETER_PYTHON", Moot, "Python on the hosts. None is needed."),
    ("INVENTORY_ANY_UNPARSED_IS_FAILED", NotYet, "A source that cannot be read ends the run."),
    ("INVENTORY_ENABLED", Works, "Which inventory formats are tried."),
    ("INVENTORY_UNPARSED_IS_FAILED", NotYet, "No readable source at all ends the run."),
    ("INVENTORY_UNPARSED_WARNING", NotYet, "Tell that nothing but localhost is known."),
    ("LOCALHOST_WARNING", NotYet, "Tell that nothing but localhost is known."),
    ("LOG_VERBOSITY", Works, "How many -v the log file gets, whatever the terminal gets."),
    ("MAX_FILE_SIZE_FOR_DIFF", NotYet, "Files larger than that show no differences."),
    ("PLAYBOOK_DIR", NotYet, "Folder of the playbook, for commands that have none."),
    ("RETRY_FILES_ENABLED", NotYet, "Write a file of the hosts that failed."),
    ("RETRY_FILES_SAVE_PATH", NotYet, "Where to write it."),
    ("SCP_EXTRA_ARGS", Moot, "Arguments of every scp. Content goes over the helper's own link."),
    ("SFTP_EXTRA_ARGS", Moot, "Arguments of every sftp. Content goes over the helper's own link."),
    ("SHOW_CUSTOM_STATS", Works, "Show what set_stats collected."),
    ("SHOW_PER_HOST_START", Works, "Show when a task starts on a host."),
    ("SSH_COMMON_ARGS", Works, "More arguments of every ssh."),
    ("SSH_CONTROL_PATH_DIR", Works, "Folder of the sockets of kept connections."),
    ("SSH_EXECUTABLE", Works, "The ssh program."),
    ("SSH_EXTRA_ARGS", Works, "More arguments of ssh."),
    ("SSH_RETRIES", Works, "How often to try again to connect."),
    ("SYSTEM_WARNINGS", Moot, "Warnings about the controller's Python. There is none."),
    ("TAGS_RUN", NotYet, "As --tags."),
    ("TAGS_SKIP", NotYet, "As --skip-tags."),
    ("TASK_DEBUGGER_IGNORE_ERRORS", Works, "Failures that are ignored do not go to the debugger."),
    ("TASK_TIMEOUT", Works, "Seconds that a task may take."),
    ("TRANSFORM_INVALID_GROUP_CHARS", Works, "What is done with group names that are no variable names: ignore, never (warn), always, silently (replace)."),
];

/// What a setting is for.
pub(super) fn about(name: &str) -> Option<(Effect, &'static str)> {
    ABOUT.iter().find(|(known, ..)| *known == name).map(|(_, effect, text)| (*effect, *text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_setting_is_described_once() {
        let mut described: Vec<&str> = ABOUT.iter().map(|(name, ..)| *name).collect();
        let mut known: Vec<&str> = crate::settings::KEYS.iter().map(|key| key.name).collect();
        described.sort_unstable();
        known.sort_unstable();
        assert_eq!(described, known);
    }

    #[test]
    fn what_works_is_read_somewhere_and_nothing_else_is() {
        fn gather(dir: &Path, out: &mut String) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                let path = entry.path();
                // the lookup `config` tells what is set; that is no effect
                let tells = ["cli/config", "cli/config.rs", "vars/lookups.rs"];
                if tells.iter().any(|end| path.ends_with(end)) {
                    continue;
                }
                if path.is_dir() {
                    gather(&path, out);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                // of the settings themselves only what comes after the table
                out.push_str(text.split("impl Settings {").nth(1).unwrap_or(text));
            }
        }
        let mut sources = String::new();
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
        for (name, effect, _) in ABOUT {
            let read = sources.contains(&format!("\"{name}\""));
            assert_eq!(read, *effect == Works, "{name} is {effect:?}");
        }
    }
}
