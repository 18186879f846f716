//! Configuration: `ansible.cfg` and `ANSIBLE_*`, read once.
//!
//! In: environment, working directory, home, `/etc`. Out: [`Settings`], and where each value came from.
//! Rules: Ansible's "Configuring Ansible" and "Ansible Configuration Settings".

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// `true`, `yes`, `1`, …
    Flag,
    /// A path, relative to the file that says it.
    Path,
    /// Paths with colons between.
    Paths,
    /// Words with commas between.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in `ansible-config`.
    pub name: &'static str,
    /// Section and key in `ansible.cfg`.
    pub ini: &'static [(&'static str, &'static str)],
    /// Environment variables, first wins.
    pub env: &'static [&'static str],
    /// How it is read.
    pub shape: Shape,
    /// Its default, as it would be written.
    pub default: &'static str,
}

macro_rules! keys {
    ($($name:literal [$(($section:literal, $key:literal)),*] [$($env:literal),*] $shape:ident $default:literal;)*) => {
        &[$(Key {
            name: $name,
            ini: &[$(($section, $key)),*],
            env: &[$($env),*],
            shape: Shape::$shape,
            default: $default,
        }),*]
    };
}

/// Every setting that is understood.
#[rustfmt::skip] // read in columns
pub const KEYS: &[Key] = keys! {
    "DEFAULT_HOST_LIST"          [("defaults", "inventory")] ["ANSIBLE_INVENTORY"] Paths "/etc/ansible/hosts";
    "DEFAULT_ROLES_PATH"         [("defaults", "roles_path")] ["ANSIBLE_ROLES_PATH"] Paths "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles";
    "COLLECTIONS_PATHS"          [("defaults", "collections_path"), ("defaults", "collections_paths")] ["ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_COLLECTIONS_PATHS"] Paths "~/.ansible/collections:/usr/share/ansible/collections";
    "DEFAULT_MODULE_PATH"        [("defaults", "library")] ["ANSIBLE_LIBRARY"] Paths "~/.ansible/plugins/modules:/usr/share/ansible/plugins/modules";
    "DEFAULT_FORKS"              [("defaults", "forks")] ["ANSIBLE_FORKS"] Number "5";
    "DEFAULT_TIMEOUT"            [("defaults", "timeout")] ["ANSIBLE_TIMEOUT"] Number "10";
    "HOST_KEY_CHECKING"          [("defaults", "host_key_checking"), ("ssh_connection", "host_key_checking")] ["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"] Flag "";
    "DEFAULT_REMOTE_USER"        [("defaults", "remote_user")] ["ANSIBLE_REMOTE_USER"] Text "";
    "DEFAULT_REMOTE_PORT"        [("defaults", "remote_port")] ["ANSIBLE_REMOTE_PORT"] Number "";
    "DEFAULT_PRIVATE_KEY_FILE"   [("defaults", "private_key_file")] ["ANSIBLE_PRIVATE_KEY_FILE"] Path "";
    "DEFAULT_TRANSPORT"          [("defaults", "transport")] ["ANSIBLE_TRANSPORT"] Text "ssh";
    "DEFAULT_BECOME"             [("privilege_escalation", "become")] ["ANSIBLE_BECOME"] Flag "false";
    "BECOME_ALLOW_SAME_USER"     [("privilege_escalation", "become_allow_same_user")] ["ANSIBLE_BECOME_ALLOW_SAME_USER"] Flag "false";
    "DEFAULT_LOAD_CALLBACK_PLUGINS" [("defaults", "bin_ansible_callbacks")] ["ANSIBLE_LOAD_CALLBACK_PLUGINS"] Flag "false";
    "LOG_VERBOSITY"              [("defaults", "log_verbosity")] ["ANSIBLE_LOG_VERBOSITY"] Number "0";
    "CACHE_PLUGIN_PREFIX"        [("defaults", "fact_caching_prefix")] ["ANSIBLE_CACHE_PLUGIN_PREFIX"] Text "";
    "DEFAULT_PRIVATE_ROLE_VARS"  [("defaults", "private_role_vars")] ["ANSIBLE_PRIVATE_ROLE_VARS"] Flag "false";
    "DEFAULT_DEBUG"              [("defaults", "debug")] ["ANSIBLE_DEBUG"] Flag "false";
    "ENABLE_TASK_DEBUGGER"       [("defaults", "enable_task_debugger")] ["ANSIBLE_ENABLE_TASK_DEBUGGER"] Flag "false";
    "TASK_DEBUGGER_IGNORE_ERRORS" [("defaults", "task_debugger_ignore_errors")] ["ANSIBLE_TASK_DEBUGGER_IGNORE_ERRORS"] Flag "true";
    "DEFAULT_BECOME_METHOD"      [("privilege_escalation", "become_method")] ["ANSIBLE_BECOME_METHOD"] Text "sudo";
    "DEFAULT_BECOME_USER"        [("privilege_escalation", "become_user")] ["ANSIBLE_BECOME_USER"] Text "root";
    "DEFAULT_BECOME_EXE"         [("privilege_escalation", "become_exe")] ["ANSIBLE_BECOME_EXE"] Text "";
    "DEFAULT_BECOME_FLAGS"       [("privilege_escalation", "become_flags")] ["ANSIBLE_BECOME_FLAGS"] Text "";
    "DEFAULT_BECOME_ASK_PASS"    [("privilege_escalation", "become_ask_pass")] ["ANSIBLE_BECOME_ASK_PASS"] Flag "false";
    "BECOME_PASSWORD_FILE"       [("defaults", "become_password_file")] ["ANSIBLE_BECOME_PASSWORD_FILE"] Path "";
    "DEFAULT_ASK_PASS"           [("defaults", "ask_pass")] ["ANSIBLE_ASK_PASS"] Flag "false";
    "CONNECTION_PASSWORD_FILE"   [("defaults", "connection_password_file")] ["ANSIBLE_CONNECTION_PASSWORD_FILE"] Path "";
    "ANSIBLE_SSH_ARGS"           [("ssh_connection", "ssh_args")] ["ANSIBLE_SSH_ARGS"] Text "-C -o ControlMaster=auto -o ControlPersist=60s";
    "SSH_COMMON_ARGS"            [("ssh_connection", "ssh_common_args")] ["ANSIBLE_SSH_COMMON_ARGS"] Text "";
    "SFTP_EXTRA_ARGS"            [("ssh_connection", "sftp_extra_args")] ["ANSIBLE_SFTP_EXTRA_ARGS"] Text "";
    "SCP_EXTRA_ARGS"             [("ssh_connection", "scp_extra_args")] ["ANSIBLE_SCP_EXTRA_ARGS"] Text "";
    "SSH_EXTRA_ARGS"             [("ssh_connection", "ssh_extra_args")] ["ANSIBLE_SSH_EXTRA_ARGS"] Text "";
    "SSH_EXECUTABLE"             [("ssh_connection", "ssh_executable")] ["ANSIBLE_SSH_EXECUTABLE"] Text "";
    "SSH_RETRIES"                [("ssh_connection", "retries")] ["ANSIBLE_SSH_RETRIES"] Number "0";
    "SSH_CONTROL_PATH_DIR"       [("ssh_connection", "control_path_dir")] ["ANSIBLE_SSH_CONTROL_PATH_DIR"] Path "";
    "ANSIBLE_PIPELINING"         [("defaults", "pipelining"), ("ssh_connection", "pipelining")] ["ANSIBLE_PIPELINING", "ANSIBLE_SSH_PIPELINING"] Flag "false";
    "DEFAULT_GATHERING"          [("defaults", "gathering")] ["ANSIBLE_GATHERING"] Text "implicit";
    "DEFAULT_GATHER_SUBSET"      [("defaults", "gather_subset")] ["ANSIBLE_GATHER_SUBSET"] List "";
    "DEFAULT_GATHER_TIMEOUT"     [("defaults", "gather_timeout")] ["ANSIBLE_GATHER_TIMEOUT"] Number "";
    "CACHE_PLUGIN"               [("defaults", "fact_caching")] ["ANSIBLE_CACHE_PLUGIN"] Text "memory";
    "CACHE_PLUGIN_CONNECTION"    [("defaults", "fact_caching_connection")] ["ANSIBLE_CACHE_PLUGIN_CONNECTION"] Path "";
    "CACHE_PLUGIN_TIMEOUT"       [("defaults", "fact_caching_timeout")] ["ANSIBLE_CACHE_PLUGIN_TIMEOUT"] Number "86400";
    "INJECT_FACTS_AS_VARS"       [("defaults", "inject_facts_as_vars")] ["ANSIBLE_INJECT_FACT_VARS"] Flag "true";
    "DEFAULT_STDOUT_CALLBACK"    [("defaults", "stdout_callback")] ["ANSIBLE_STDOUT_CALLBACK"] Text "default";
    "CALLBACKS_ENABLED"          [("defaults", "callbacks_enabled"), ("defaults", "callback_whitelist")] ["ANSIBLE_CALLBACKS_ENABLED"] List "";
    "CALLBACK_RESULT_FORMAT"     [("defaults", "callback_result_format"), ("defaults", "result_format")] ["ANSIBLE_CALLBACK_RESULT_FORMAT"] Text "json";
    "DISPLAY_SKIPPED_HOSTS"      [("defaults", "display_skipped_hosts")] ["ANSIBLE_DISPLAY_SKIPPED_HOSTS"] Flag "true";
    "DISPLAY_OK_HOSTS"           [("defaults", "display_ok_hosts")] ["ANSIBLE_DISPLAY_OK_HOSTS"] Flag "true";
    "DISPLAY_FAILED_STDERR"      [("defaults", "display_failed_stderr")] ["ANSIBLE_DISPLAY_FAILED_STDERR"] Flag "false";
    "SHOW_CUSTOM_STATS"          [("defaults", "show_custom_stats")] ["ANSIBLE_SHOW_CUSTOM_STATS"] Flag "false";
    "SHOW_PER_HOST_START"        [("defaults", "show_per_host_start")] ["ANSIBLE_SHOW_PER_HOST_START"] Flag "false";
    "CHECK_MODE_MARKERS"         [("defaults", "check_mode_markers")] ["ANSIBLE_CHECK_MODE_MARKERS"] Flag "false";
    "RETRY_FILES_ENABLED"        [("defaults", "retry_files_enabled")] ["ANSIBLE_RETRY_FILES_ENABLED"] Flag "false";
    "RETRY_FILES_SAVE_PATH"      [("defaults", "retry_files_save_path")] ["ANSIBLE_RETRY_FILES_SAVE_PATH"] Path "";
    "DEFAULT_VAULT_PASSWORD_FILE" [("defaults", "vault_password_file")] ["ANSIBLE_VAULT_PASSWORD_FILE"] Path "";
    "DEFAULT_VAULT_IDENTITY_LIST" [("defaults", "vault_identity_list")] ["ANSIBLE_VAULT_IDENTITY_LIST"] List "";
    "DEFAULT_VAULT_IDENTITY"     [("defaults", "vault_identity")] ["ANSIBLE_VAULT_IDENTITY"] Text "default";
    "DEFAULT_VAULT_ENCRYPT_IDENTITY" [("defaults", "vault_encrypt_identity")] ["ANSIBLE_VAULT_ENCRYPT_IDENTITY"] Text "";
    "DEFAULT_VAULT_ID_MATCH"     [("defaults", "vault_id_match")] ["ANSIBLE_VAULT_ID_MATCH"] Flag "false";
    "DEFAULT_ASK_VAULT_PASS"     [("defaults", "ask_vault_pass")] ["ANSIBLE_ASK_VAULT_PASS"] Flag "false";
    "DEFAULT_HASH_BEHAVIOUR"     [("defaults", "hash_behaviour")] ["ANSIBLE_HASH_BEHAVIOUR"] Text "replace";
    "DEFAULT_JINJA2_EXTENSIONS"  [("defaults", "jinja2_extensions")] ["ANSIBLE_JINJA2_EXTENSIONS"] Text "";
    "DEFAULT_MANAGED_STR"        [("defaults", "ansible_managed")] [] Text "Ansible managed";
    "ANY_ERRORS_FATAL"           [("defaults", "any_errors_fatal")] ["ANSIBLE_ANY_ERRORS_FATAL"] Flag "false";
    "DEFAULT_FORCE_HANDLERS"     [("defaults", "force_handlers")] ["ANSIBLE_FORCE_HANDLERS"] Flag "false";
    "DEFAULT_STRATEGY"           [("defaults", "strategy")] ["ANSIBLE_STRATEGY"] Text "linear";
    "DEFAULT_NO_LOG"             [("defaults", "no_log")] ["ANSIBLE_NO_LOG"] Flag "false";
    "DEFAULT_NO_TARGET_SYSLOG"   [("defaults", "no_target_syslog")] ["ANSIBLE_NO_TARGET_SYSLOG"] Flag "false";
    "DIFF_ALWAYS"                [("diff", "always")] ["ANSIBLE_DIFF_ALWAYS"] Flag "false";
    "DIFF_CONTEXT"               [("diff", "context")] ["ANSIBLE_DIFF_CONTEXT"] Number "3";
    "MAX_FILE_SIZE_FOR_DIFF"     [("defaults", "max_diff_size")] ["ANSIBLE_MAX_DIFF_SIZE"] Number "104448";
    "DEFAULT_LOG_PATH"           [("defaults", "log_path")] ["ANSIBLE_LOG_PATH"] Path "";
    "ANSIBLE_NOCOLOR"            [("defaults", "nocolor")] ["ANSIBLE_NOCOLOR", "NO_COLOR"] Flag "false";
    "ANSIBLE_FORCE_COLOR"        [("defaults", "force_color")] ["ANSIBLE_FORCE_COLOR"] Flag "false";
    "DEFAULT_VERBOSITY"          [("defaults", "verbosity")] ["ANSIBLE_VERBOSITY"] Number "0";
    "TAGS_RUN"                   [("tags", "run")] ["ANSIBLE_RUN_TAGS"] List "";
    "TAGS_SKIP"                  [("tags", "skip")] ["ANSIBLE_SKIP_TAGS"] List "";
    "DEFAULT_POLL_INTERVAL"      [("defaults", "poll_interval")] ["ANSIBLE_POLL_INTERVAL"] Number "15";
    "TASK_TIMEOUT"               [("defaults", "task_timeout")] ["ANSIBLE_TASK_TIMEOUT"] Number "0";
    "INTERPRETER_PYTHON"         [("defaults", "interpreter_python")] ["ANSIBLE_PYTHON_INTERPRETER"] Text "auto";
    "DEFAULT_EXECUTABLE"         [("defaults", "executable")] ["ANSIBLE_EXECUTABLE"] Text "/bin/sh";
    "DEFAULT_MODULE_NAME"        [("defaults", "module_name")] [] Text "command";
    "LOCALHOST_WARNING"          [("defaults", "localhost_warning")] ["ANSIBLE_LOCALHOST_WARNING"] Flag "true";
    "INVENTORY_UNPARSED_WARNING" [("inventory", "inventory_unparsed_warning")] ["ANSIBLE_INVENTORY_UNPARSED_WARNING"] Flag "true";
    "INVENTORY_ENABLED"          [("inventory", "enable_plugins")] ["ANSIBLE_INVENTORY_ENABLED"] List "host_list,script,auto,yaml,ini,toml";
    "INVENTORY_ANY_UNPARSED_IS_FAILED" [("inventory", "any_unparsed_is_failed")] ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] Flag "false";
    "INVENTORY_UNPARSED_IS_FAILED" [("inventory", "unparsed_is_failed")] ["ANSIBLE_INVENTORY_UNPARSED_FAILED"] Flag "false";
    "TRANSFORM_INVALID_GROUP_CHARS" [("defaults", "force_valid_group_names")] ["ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS"] Text "never";
    "HOST_PATTERN_MISMATCH"      [("inventory", "host_pattern_mismatch")] ["ANSIBLE_HOST_PATTERN_MISMATCH"] Text "warning";
    "ALLOW_BROKEN_CONDITIONALS"  [("defaults", "allow_broken_conditionals")] ["ANSIBLE_ALLOW_BROKEN_CONDITIONALS"] Flag "false";
    "DEPRECATION_WARNINGS"       [("defaults", "deprecation_warnings")] ["ANSIBLE_DEPRECATION_WARNINGS"] Flag "true";
    "SYSTEM_WARNINGS"            [("defaults", "system_warnings")] ["ANSIBLE_SYSTEM_WARNINGS"] Flag "true";
    "DUPLICATE_YAML_DICT_KEY"    [("defaults", "duplicate_dict_key")] ["ANSIBLE_DUPLICATE_YAML_DICT_KEY"] Text "warn";
    "ERROR_ON_MISSING_HANDLER"   [("defaults", "error_on_missing_handler")] ["ANSIBLE_ERROR_ON_MISSING_HANDLER"] Flag "true";
    "COMMAND_WARNINGS"           [("defaults", "command_warnings")] ["ANSIBLE_COMMAND_WARNINGS"] Flag "false";
    "PLAYBOOK_DIR"               [("defaults", "playbook_dir")] ["ANSIBLE_PLAYBOOK_DIR"] Path "";
    "ANSIBLE_HOME"               [("defaults", "home")] ["ANSIBLE_HOME"] Path "~/.ansible";
    "GALAXY_SERVER_LIST"         [("galaxy", "server_list")] ["ANSIBLE_GALAXY_SERVER_LIST"] List "";
    "DEFAULT_REMOTE_TMP"         [("defaults", "remote_tmp")] ["ANSIBLE_REMOTE_TMP", "ANSIBLE_REMOTE_TEMP"] Text "~/.ansible/tmp";
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// An environment variable.
    Env(&'static str),
    /// A configuration file.
    File(PathBuf),
}

/// The settings of a run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file that was read, if any.
    pub config_file: Option<PathBuf>,
    /// `inject_facts_as_vars`: facts are variables of their own too.
    pub inject_facts: bool,
    /// `hash_behaviour = merge`: mappings of several levels are put together.
    pub merges: bool,
    /// Compatibility with what ansible-core has always done: `10.10.10.10` has the short name `10`.
    pub short_names_for_addresses: bool,
    /// Warnings from reading.
    pub warnings: Vec<String>,
    values: HashMap<&'static str, (String, Source)>,
    /// The file as it is, by section and key.
    file: Ini,
}

/// What becomes of a warning about a pattern of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It is told.
    Told,
    /// It is a mistake, and ends the run.
    Refused,
    /// Nobody wants to know.
    Silent,
}

impl Settings {
    /// What becomes of this warning: of patterns that match nothing `HOST_PATTERN_MISMATCH` says so.
    pub fn mismatch(&self, warning: &quorate_inventory::Warning) -> Mismatch {
        match self.text("HOST_PATTERN_MISMATCH") {
            _ if !matches!(warning, quorate_inventory::Warning::NoMatch { .. }) => Mismatch::Told,
            "error" => Mismatch::Refused,
            "ignore" => Mismatch::Silent,
            _ => Mismatch::Told,
        }
    }

    /// Reads what the environment points at. `env` answers for environment variables.
    pub fn load(env: &dyn Fn(&str) -> Option<String>, cwd: &Path) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let file = find(env, cwd, &mut warnings);
        let text = match &file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|e| format!("cannot read {}: {}", path.display(), crate::playbook::plain_io(&e)))?,
            None => String::new(),
        };
        let ini = parse_ini(&text).map_err(|(line, why)| {
            format!("{}:{line}: {why}", file.as_ref().map(|f| f.display().to_string()).unwrap_or_default())
        })?;
        let base = file.as_ref().and_then(|f| f.parent()).unwrap_or(cwd).to_path_buf();
        let mut values = HashMap::new();
        for key in KEYS {
            let from_env = key.env.iter().find_map(|name| {
                env(name)
                    .filter(|v| !v.is_empty() || key.shape == Shape::Text)
                    .map(|v| (v, Source::Env(name), cwd))
            });
            let from_file = || {
                let (section, name) =
                    key.ini.iter().find(|(s, k)| ini.contains_key(&((*s).to_owned(), (*k).to_owned())))?;
                let value = ini.get(&((*section).to_owned(), (*name).to_owned()))?.clone();
                Some((value, Source::File(file.clone().unwrap_or_default()), base.as_path()))
            };
            let (raw, source, relative_to) =
                from_env.or_else(from_file).unwrap_or_else(|| (key.default.to_owned(), Source::Default, cwd));
            let home = env("HOME").unwrap_or_else(|| "/root".into());
            let value = match key.shape {
                Shape::Path => expand(&raw, relative_to, &home),
                Shape::Paths => raw
                    .split(if key.name == "DEFAULT_HOST_LIST" { ',' } else { ':' })
                    .filter(|p| !p.is_empty())
                    .map(|p| expand(p, relative_to, &home))
                    .collect::<Vec<_>>()
                    .join(if key.name == "DEFAULT_HOST_LIST" { "," } else { ":" }),
                _ => raw,
            };
            if key.shape == Shape::Number && !value.is_empty() && value.trim().parse::<i64>().is_err() {
                let from = match &source {
                    Source::Env(name) => format!("env: {name}"),
                    Source::File(path) => path.display().to_string(),
                    Source::Default => "default".to_owned(),
                };
                return Err(format!(
                    "Config '{}' from '{from}' has an invalid value: Invalid value provided for 'integer': '{value}'",
                    key.name
                ));
            }
            values.insert(key.name, (value, source));
        }
        let mut settings = Settings { config_file: file, warnings, values, file: ini, ..Settings::default() };
        settings.inject_facts = settings.flag("INJECT_FACTS_AS_VARS");
        settings.merges = settings.text("DEFAULT_HASH_BEHAVIOUR") == "merge";
        settings.short_names_for_addresses = true;
        Ok(settings)
    }

    /// The text of a setting.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |(value, _)| value)
    }

    /// The text, unless it is empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A flag; false where it is neither.
    pub fn flag(&self, name: &str) -> bool {
        quorate_value::Value::from(self.text(name))
            .to_bool_loose()
            .unwrap_or(name == "ANSIBLE_NOCOLOR" && !self.text(name).is_empty())
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name).trim().parse().ok()
    }

    /// Words.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
    }

    /// Paths.
    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        let separator = if name == "DEFAULT_HOST_LIST" { ',' } else { ':' };
        self.text(name).split(separator).filter(|p| !p.is_empty()).map(PathBuf::from).collect()
    }

    /// What the file says under a section and a key, setting or not.
    pub fn written(&self, section: &str, key: &str) -> Option<&str> {
        self.file.get(&(section.to_owned(), key.to_owned())).map(String::as_str)
    }

    /// Where a value came from.
    pub fn source(&self, name: &str) -> &Source {
        self.values.get(name).map_or(&Source::Default, |(_, source)| source)
    }
}

fn expand(path: &str, relative_to: &Path, home: &str) -> String {
    let path = path.trim();
    if path.is_empty() {
        return String::new();
    }
    let path = match path.strip_prefix("~/") {
        Some(rest) => format!("{home}/{rest}"),
        None if path == "~" => home.to_owned(),
        None => path.to_owned(),
    };
    let path = path.replace("{{CWD}}", ".");
    if Path::new(&path).is_absolute() || path.contains("{{") || path.ends_with(',') {
        path
    } else {
        relative_to.join(path).display().to_string()
    }
}

/// `ANSIBLE_CONFIG`, the working directory (unless everybody may write there), home, `/etc`.
fn find(env: &dyn Fn(&str) -> Option<String>, cwd: &Path, warnings: &mut Vec<String>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(path) = env("ANSIBLE_CONFIG").filter(|p| !p.is_empty()) {
        let mut path = PathBuf::from(expand(&path, cwd, &env("HOME").unwrap_or_default()));
        if path.is_dir() {
            path = path.join("ansible.cfg");
        }
        return path.exists().then_some(path);
    }
    let local = cwd.join("ansible.cfg");
    if local.exists() {
        let open = std::fs::metadata(cwd).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0);
        if !open {
            return Some(local);
        }
        warnings.push(format!(
            "Ansible is being run in a world writable directory ({}), ignoring it as an ansible.cfg source.",
            cwd.display()
        ));
    }
    let home = env("HOME").map(|home| PathBuf::from(home).join(".ansible.cfg"));
    home.into_iter().chain([PathBuf::from("/etc/ansible/ansible.cfg")]).find(|path| path.exists())
}

type Ini = HashMap<(String, String), String>;

fn parse_ini(text: &str) -> Result<Ini, (usize, String)> {
    let mut out = Ini::new();
    let mut section = String::new();
    let mut last: Option<(String, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        if line.starts_with([' ', '\t'])
            && let Some(key) = &last
        {
            let value = out.get_mut(key).expect("just put");
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let Some(name) = name.split(']').next().filter(|_| name.contains(']')) else {
                return Err((number + 1, format!("`{trimmed}` is no section header")));
            };
            name.clone_into(&mut section);
            last = None;
            continue;
        }
        let Some((key, value)) = trimmed.split_once(['=', ':']) else {
            return Err((number + 1, format!("`{trimmed}` is neither a section nor `key = value`")));
        };
        // a comment behind a value starts with ` ;`
        let value = value.split(" ;").next().unwrap_or(value).trim();
        let key = (section.clone(), key.trim().to_lowercase());
        out.insert(key.clone(), value.to_owned());
        last = Some(key);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_beats_file_beats_default() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("ansible.cfg"),
            "[defaults]\nforks = 20 ; many\nroles_path = roles:/x\n",
        )
        .unwrap();
        let env = |name: &str| match name {
            "ANSIBLE_TIMEOUT" => Some("7".to_owned()),
            "ANSIBLE_CONFIG" => Some(dir.path().join("ansible.cfg").display().to_string()),
            _ => None,
        };
        let settings = Settings::load(&env, Path::new("/")).unwrap();
        assert_eq!(settings.number("DEFAULT_FORKS"), Some(20));
        assert_eq!(settings.number("DEFAULT_TIMEOUT"), Some(7));
        assert_eq!(settings.source("DEFAULT_TIMEOUT"), &Source::Env("ANSIBLE_TIMEOUT"));
        assert_eq!(settings.paths("DEFAULT_ROLES_PATH"), [dir.path().join("roles"), PathBuf::from("/x")]);
        assert_eq!(settings.text("DEFAULT_STRATEGY"), "linear");
    }
}
