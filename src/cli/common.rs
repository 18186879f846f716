//! What `play` and `run` share: flags, inventory, secrets, the run itself.

use crate::connect::Pool;
use crate::diag::Diag;
use crate::playbook::{LoadHost, Loader, SearchPaths, elsewhere, short_name};
use crate::report::{Ansible, Event, Manner, Reader as _, display};
use crate::run::target::CommandLine;
use crate::run::{Guard, Run};
use crate::settings::Settings;
use crate::vars::{Options, Shared};
use quorate_inventory::{Inventory, Limit};
use quorate_value::{Dict, FileId, Key, Str, Value};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex};

/// Flags about hosts, variables and connections.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Shape {
    /// Inventory: a file, a directory, a script, or `host1,host2,`. Repeatable
    #[arg(short, long, value_name = "INVENTORY", alias = "inventory-file", help_heading = "Hosts")]
    pub inventory: Vec<String>,
    /// Work on these hosts only: patterns, or @file
    #[arg(short, long, value_name = "SUBSET", help_heading = "Hosts")]
    pub limit: Vec<String>,
    /// Set variables: k=v, YAML or JSON, or @file. Repeatable
    #[arg(short, long, value_name = "EXTRA_VARS", help_heading = "Variables")]
    pub extra_vars: Vec<String>,
    /// Vault identity: label@prompt, label@file, or a file. Repeatable
    #[arg(long, value_name = "VAULT_ID", help_heading = "Variables")]
    pub vault_id: Vec<String>,
    /// File (or script) with the vault password. Repeatable
    #[arg(long, value_name = "FILE", alias = "vault-pass-file", help_heading = "Variables")]
    pub vault_password_file: Vec<String>,
    /// Ask for the vault password
    #[arg(short = 'J', long, alias = "ask-vault-password", help_heading = "Variables")]
    pub ask_vault_pass: bool,
    /// Change nothing; tell what would change
    #[arg(short = 'C', long, help_heading = "Run")]
    pub check: bool,
    /// Show differences in files
    #[arg(short = 'D', long, help_heading = "Run")]
    pub diff: bool,
    /// Hosts at once
    #[arg(short, long, value_name = "FORKS", help_heading = "Run")]
    pub forks: Option<usize>,
    /// More detail (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Remote user
    #[arg(short, long, value_name = "USER", alias = "remote-user", help_heading = "Connection")]
    pub user: Option<String>,
    /// Private key file
    #[arg(long, value_name = "FILE", alias = "key-file", help_heading = "Connection")]
    pub private_key: Option<PathBuf>,
    /// Connection type: ssh, local, docker, podman, kubectl
    #[arg(short, long, value_name = "CONNECTION", help_heading = "Connection")]
    pub connection: Option<String>,
    /// Seconds to wait for a connection
    #[arg(short = 'T', long, value_name = "SECONDS", help_heading = "Connection")]
    pub timeout: Option<u64>,
    /// Arguments for every ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, help_heading = "Connection")]
    pub ssh_common_args: Option<String>,
    /// More arguments for ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, help_heading = "Connection")]
    pub ssh_extra_args: Option<String>,
    /// Accepted and not used: files travel over ssh itself
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub scp_extra_args: Option<String>,
    /// Accepted and not used: files travel over ssh itself
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub sftp_extra_args: Option<String>,
    /// Ask for the connection password
    #[arg(short = 'k', long, help_heading = "Connection")]
    pub ask_pass: bool,
    /// File with the connection password
    #[arg(long, value_name = "FILE", alias = "conn-pass-file", help_heading = "Connection")]
    pub connection_password_file: Option<PathBuf>,
    /// Become another user (root unless told)
    #[arg(short = 'b', long = "become", help_heading = "Privilege")]
    pub become_: bool,
    /// The user to become
    #[arg(long, value_name = "USER", help_heading = "Privilege")]
    pub become_user: Option<String>,
    /// How: sudo, su, doas
    #[arg(long, value_name = "METHOD", help_heading = "Privilege")]
    pub become_method: Option<String>,
    /// Ask for the password that becoming needs
    #[arg(short = 'K', long, help_heading = "Privilege")]
    pub ask_become_pass: bool,
    /// File with the password that becoming needs
    #[arg(long, value_name = "FILE", alias = "become-pass-file", help_heading = "Privilege")]
    pub become_password_file: Option<PathBuf>,
    /// Accepted for Ansible's sake; modules are built in
    #[arg(short = 'M', long, value_name = "PATH", hide = true)]
    pub module_path: Option<String>,
    /// Fetch facts anew, whatever a cache holds
    #[arg(long, help_heading = "Run")]
    pub flush_cache: bool,
    /// `--force-handlers`, which only playbooks have.
    #[arg(skip)]
    pub force_handlers: bool,
    /// Take a member away even though the cluster loses its quorum. Loud, and recorded
    #[arg(long, value_name = "WHAT", help_heading = "Safety")]
    pub override_guard: Option<String>,
    /// Write what happened as one HTML file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// Write what happens as JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub events: Option<PathBuf>,
    /// Write what happened as JUnit XML, a case for each task on each host
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Line by line, as where nobody watches: for screen readers and logs
    #[arg(long, help_heading = "Output")]
    pub plain: bool,
    /// No colours
    #[arg(long, help_heading = "Output")]
    pub no_color: bool,
    /// Ansible's manners: what is probably a slip passes with a warning
    #[arg(long, help_heading = "Safety")]
    pub lenient: bool,
}

/// Why a command cannot start.
pub struct Cannot {
    /// What to say.
    pub text: String,
    /// The exit status.
    pub status: u8,
}

impl Cannot {
    /// Could not start.
    pub fn start(text: impl Into<String>) -> Self {
        Cannot { text: text.into(), status: super::status::CANNOT_START }
    }
}

/// Everything a run needs, made from flags and files.
pub struct Ground {
    /// Settings and variables.
    pub shared: Arc<Shared>,
    /// `--limit`.
    pub limit: Option<Limit>,
    /// How to show things.
    pub look: display::Look,
    /// What to show.
    pub manner: Manner,
}

impl Ground {
    /// Nothing of this, nor of `more`, is wanted any longer, and the process ends: giving a large tree back piece by piece
    /// takes longer than listing it. Passwords of vaults are wiped all the same.
    pub(super) fn leave<T>(self, more: T) {
        if self.shared.vault.is_empty() {
            std::mem::forget((self, more));
        }
    }
}

struct Secrets(Arc<quorate_vault::VaultSecrets>);

impl quorate_inventory::Decrypt for Secrets {
    fn decrypt(&self, text: &[u8], path: &Path) -> Result<String, String> {
        let plain = quorate_vault::decrypt(&String::from_utf8_lossy(text), &self.0)
            .map_err(|e| format!("{e} ({})", path.display()))?;
        let text = String::from_utf8(plain.to_vec())
            .map_err(|_| format!("{} is not text once decrypted", path.display()))?;
        if let Ok(document) = quorate_yaml::parse(&text, quorate_value::FileId::default()) {
            crate::secrets::keep_values(&document.root.to_value());
        }
        Ok(text)
    }
}

/// `INVENTORY_ENABLED`.
fn enabled_plugins(settings: &Settings) -> Vec<quorate_inventory::Plugin> {
    let named: Vec<_> = settings
        .list("INVENTORY_ENABLED")
        .iter()
        .filter_map(|name| quorate_inventory::Plugin::named(name.trim()))
        .collect();
    if named.is_empty() { quorate_inventory::Options::default().enabled } else { named }
}

/// What `constructed` and `generator` sources compute with.
struct InventoryTemplates(quorate_template::Engine);

impl quorate_inventory::Templates for InventoryTemplates {
    fn expression(&self, expression: &Str, variables: &Arc<Dict>) -> Result<Value, String> {
        let context = quorate_template::Context::new(&**variables);
        self.0.eval_expression(&expression.clone().trusted(), &context).map_err(|e| e.to_string())
    }

    fn template(&self, template: &Str, variables: &Arc<Dict>) -> Result<Value, String> {
        let context = quorate_template::Context::new(&**variables);
        self.0.render_str(template, &context).map_err(|e| e.to_string())
    }
}

/// Reads settings, inventory, secrets and extra variables.
pub fn ground(
    shape: &Shape,
    playbook: Option<&Path>,
    ansible: bool,
    tags: (&[String], &[String]),
) -> Result<Ground, Cannot> {
    ground_noting(shape, playbook, ansible, tags, None)
}

/// The same; where a list is given, what is wrong with the inventory goes there and ends nothing, and the loader goes on
/// after a mistake.
pub fn ground_noting(
    shape: &Shape,
    playbook: Option<&Path>,
    ansible: bool,
    tags: (&[String], &[String]),
    mut noted: Option<&mut Vec<Diag>>,
) -> Result<Ground, Cannot> {
    let cwd =
        std::env::current_dir().map_err(|e| Cannot::start(format!("the working directory is gone: {e}")))?;
    let settings = Settings::load(&crate::environment, &cwd).map_err(Cannot::start)?;
    for warning in &settings.warnings {
        display::warning(warning);
    }
    if let Some(path) = settings.some("DEFAULT_LOG_PATH") {
        if let Err(e) = display::log_to(Path::new(path)) {
            display::warning(&format!(
                "log file at '{path}' is not writeable and we cannot create it, aborting: {e}"
            ));
        }
    }
    let settings = Arc::new(settings);
    let vault = vault_secrets(shape, &settings)?;
    let vault = Arc::new(vault);
    let playbook_dir = playbook
        .and_then(Path::parent)
        .map(|dir| if dir.as_os_str().is_empty() { cwd.clone() } else { cwd.join(dir) })
        .unwrap_or_else(|| cwd.clone());
    let extra = Arc::new(extra_vars(&shape.extra_vars, &settings, &vault, ansible || shape.lenient)?);
    let mut sources: Vec<String> = if shape.inventory.is_empty() {
        let configured = settings.paths("DEFAULT_HOST_LIST");
        if settings.source("DEFAULT_HOST_LIST") == &crate::settings::Source::Default {
            default_inventory(&playbook_dir, &cwd).into_iter().collect()
        } else {
            configured.iter().map(|p| p.display().to_string()).collect()
        }
    } else {
        shape.inventory.clone()
    };
    if noted.is_some() && sources.iter().any(|source| is_program(Path::new(source))) {
        // reading files runs nobody's program, and a part of an inventory would be taken for the whole
        sources.clear();
    }
    for source in &sources {
        if !ansible && !shape.lenient && !source.contains(',') && !Path::new(source).exists() {
            let diag = Diag::error("E0300", format!("the inventory `{source}` does not exist"))
                .did_you_mean(source, neighbours(Path::new(source)));
            match &mut noted {
                Some(noted) => noted.push(diag),
                None => return Err(Cannot::start(diag.render(false))),
            }
        }
    }
    let options = quorate_inventory::Options {
        playbook_dir: Some(playbook_dir.clone()),
        extra_vars: extra.clone(),
        decrypt: Some(Arc::new(Secrets(vault.clone()))),
        hash_behaviour: if settings.text("DEFAULT_HASH_BEHAVIOUR") == "merge" {
            quorate_inventory::HashBehaviour::Merge
        } else {
            quorate_inventory::HashBehaviour::Replace
        },
        group_names: match settings.text("TRANSFORM_INVALID_GROUP_CHARS") {
            "ignore" => quorate_inventory::GroupNames::Ignore,
            "always" => quorate_inventory::GroupNames::Always,
            "silently" => quorate_inventory::GroupNames::Silently,
            _ => quorate_inventory::GroupNames::Never,
        },
        enabled: enabled_plugins(&settings),
        templates: Some(Arc::new(InventoryTemplates(crate::vars::render::engine(&settings)))),
        ..quorate_inventory::Options::default()
    };
    let loaded = Inventory::load(&sources, options);
    if let Some(noted) = &mut noted {
        note_inventory(&loaded, noted);
    }
    let quiet = noted.is_some();
    if !quiet && !ansible && !shape.lenient {
        let mut found = Vec::new();
        note_sources(&loaded, &mut found);
        let text =
            |diags: &[&Diag]| diags.iter().map(|diag| diag.render(false)).collect::<Vec<_>>().join("\n");
        let (errors, warnings): (Vec<_>, Vec<_>) =
            found.iter().partition(|diag| diag.severity == crate::diag::Severity::Error);
        if !warnings.is_empty() {
            display::err(&text(&warnings));
        }
        if !errors.is_empty() {
            return Err(Cannot::start(text(&errors)));
        }
    }
    let ours = quiet || !(ansible || shape.lenient);
    for warning in loaded.warnings.iter().filter(|warning| !ours || (!quiet && is_told_plainly(warning))) {
        display::warning(&warning.to_string());
    }
    for warning in loaded.failures.iter().filter(|_| !ours).flat_map(|failure| failure.ansible_warnings()) {
        // the headline was among the warnings already
        display::warning(&warning);
    }
    let limit_text = (!shape.limit.is_empty()).then(|| shape.limit.join(","));
    let limit = match &limit_text {
        None => None,
        Some(text) => Some(Limit::parse(text).map_err(|e| Cannot::start(e.to_string()))?),
    };
    let forks = shape.forks.or_else(|| {
        (settings.source("DEFAULT_FORKS") != &crate::settings::Source::Default)
            .then(|| settings.number("DEFAULT_FORKS").map(|n| n.max(1) as usize))
            .flatten()
    });
    let verbosity = shape.verbose.max(settings.number("DEFAULT_VERBOSITY").unwrap_or(0).clamp(0, 9) as u8);
    let connection = CommandLine {
        user: shape.user.clone(),
        private_key: shape.private_key.clone(),
        connection: shape.connection.clone(),
        timeout: shape.timeout,
        become_: shape.become_,
        become_user: shape.become_user.clone(),
        become_method: shape.become_method.clone(),
        password: password(
            shape.ask_pass || settings.flag("DEFAULT_ASK_PASS"),
            shape
                .connection_password_file
                .as_deref()
                .or(settings.some("CONNECTION_PASSWORD_FILE").map(Path::new)),
            "SSH password: ",
        )?,
        become_password: password(
            shape.ask_become_pass || settings.flag("DEFAULT_BECOME_ASK_PASS"),
            shape.become_password_file.as_deref().or(settings.some("BECOME_PASSWORD_FILE").map(Path::new)),
            "BECOME password: ",
        )?,
        ssh_common_args: shape.ssh_common_args.clone(),
        ssh_extra_args: shape.ssh_extra_args.clone(),
    };
    let override_guard = match shape.override_guard.as_deref() {
        None => false,
        Some("quorum") => true,
        Some(other) => {
            return Err(Cannot {
                text: format!(
                    "error: `--override-guard={other}` is unknown; `quorum` is the guard that can be overridden"
                ),
                status: super::status::USAGE,
            });
        }
    };
    let options = Options {
        check: shape.check,
        diff: shape.diff || settings.flag("DIFF_ALWAYS"),
        verbosity,
        // waiting for hosts costs nothing, so without an explicit number many are worked on at once
        forks: forks.unwrap_or(crate::vars::WIDE),
        limit: limit_text,
        run_tags: if tags.0.is_empty() { vec!["all".into()] } else { tags.0.to_vec() },
        skip_tags: tags.1.to_vec(),
        sources: sources
            .iter()
            .map(|s| if s.contains(',') { s.clone() } else { cwd.join(s).display().to_string() })
            .collect(),
        playbook_dir: playbook_dir.clone(),
        force_handlers: shape.force_handlers,
        override_guard,
        ansible_manners: ansible || shape.lenient,
        connection,
    };
    let vault = Arc::try_unwrap(vault).unwrap_or_else(|shared| (*shared).clone());
    let look = display::Look::detect(
        shape.no_color || settings.flag("ANSIBLE_NOCOLOR"),
        settings.flag("ANSIBLE_FORCE_COLOR"),
    );
    let manner = Manner {
        verbosity,
        log_verbosity: settings.number("LOG_VERBOSITY").unwrap_or(0).clamp(0, 9) as u8,
        show_skipped: settings.flag("DISPLAY_SKIPPED_HOSTS"),
        show_ok: settings.flag("DISPLAY_OK_HOSTS"),
        yaml: settings.text("CALLBACK_RESULT_FORMAT") == "yaml"
            || settings.text("DEFAULT_STDOUT_CALLBACK").ends_with("yaml"),
        custom_stats: settings.flag("SHOW_CUSTOM_STATS"),
        failed_to_stderr: settings.flag("DISPLAY_FAILED_STDERR"),
        per_host_start: settings.flag("SHOW_PER_HOST_START"),
        check_markers: settings.flag("CHECK_MODE_MARKERS"),
        merges: !ansible,
    };
    let shared = Arc::new(Shared::new(settings.clone(), options, loaded.inventory, extra, vault));
    shared
        .libraries
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .extend(settings.paths("DEFAULT_MODULE_PATH").into_iter().filter(|dir| dir.is_dir()));
    let paths = SearchPaths {
        playbook_dir,
        roles: settings.paths("DEFAULT_ROLES_PATH"),
        collections: settings.paths("COLLECTIONS_PATHS"),
        private_roles: settings.flag("DEFAULT_PRIVATE_ROLE_VARS"),
    };
    let loader = Loader::new(Arc::new(Host { shared: Arc::downgrade(&shared) }), paths);
    let loader = if quiet { loader.keep_going() } else { loader };
    shared.loader.set(Arc::new(loader)).unwrap_or_else(|_| unreachable!("set once"));
    Ok(Ground { shared, limit, look, manner })
}

/// A diagnostic of an inventory: its place, and the way out as the inventory knows it.
fn noted(mut diag: Diag, span: Option<quorate_value::Span>, hint: Option<String>, near: &[String]) -> Diag {
    diag.span = span.unwrap_or_default();
    diag.help = match near {
        [] => hint,
        [first, ..] => Some(format!("did you mean `{first}`?")),
    };
    diag
}

/// Whether a warning is about the whole of what was asked for, and has no place in a file.
fn is_told_plainly(warning: &quorate_inventory::Warning) -> bool {
    matches!(warning, quorate_inventory::Warning::Unparsed { .. } | quorate_inventory::Warning::NothingParsed)
}

/// What is wrong with an inventory, as diagnostics.
fn note_inventory(loaded: &quorate_inventory::Loaded, found: &mut Vec<Diag>) {
    note_sources(loaded, found);
    for error in loaded.inventory.check_vars() {
        let place = error.span().or_else(|| error.path().and_then(whole_file));
        found.push(noted(Diag::error("E0303", error.to_string()), place, error.hint(), error.nearest()));
    }
    for warning in loaded.inventory.take_vars_warnings() {
        let diag = Diag::warning("W0303", warning.to_string());
        found.push(noted(diag, warning.span(), None, warning.nearest()));
    }
}

/// What is wrong with its sources.
fn note_sources(loaded: &quorate_inventory::Loaded, found: &mut Vec<Diag>) {
    for failure in &loaded.failures {
        // the first attempt is the one that fits the file
        for error in failure.attempts.first().map(|attempt| attempt.errors.as_slice()).unwrap_or_default() {
            let place = error.span().or_else(|| whole_file(Path::new(&failure.source)));
            found.push(noted(Diag::error("E0303", error.to_string()), place, error.hint(), error.nearest()));
        }
    }
    for warning in loaded.warnings.iter().filter(|warning| !is_told_plainly(warning)) {
        let diag = Diag::warning("W0303", warning.to_string());
        found.push(noted(diag, warning.span(), None, warning.nearest()));
    }
}

/// Whether an inventory is a program, or a folder with one in it.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
            && std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!"))
    };
    let inside =
        || std::fs::read_dir(path).into_iter().flatten().flatten().any(|entry| executable(&entry.path()));
    executable(path) || (path.is_dir() && inside())
}

/// A file as a place, where nothing more exact is known.
pub(super) fn whole_file(path: &Path) -> Option<quorate_value::Span> {
    let full = std::path::absolute(path).ok()?;
    full.is_file().then(|| quorate_value::Span::new(FileId::register(&full, "".into()), 0, 0))
}

/// `inventory` beside the playbook or `inventories/`, then Ansible's `/etc/ansible/hosts`.
fn default_inventory(playbook_dir: &Path, cwd: &Path) -> Option<String> {
    let mut candidates = vec![PathBuf::from("/etc/ansible/hosts")];
    for dir in [cwd, playbook_dir] {
        for name in ["inventory.yml", "inventory.yaml", "inventory.ini", "inventory"] {
            candidates.push(dir.join(name));
        }
    }
    candidates.into_iter().find(|path| path.exists()).map(|path| path.display().to_string())
}

fn neighbours(path: &Path) -> Vec<String> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|e| path.with_file_name(e.file_name()).display().to_string())
        .collect()
}

fn password(ask: bool, file: Option<&Path>, prompt: &str) -> Result<Option<Str>, Cannot> {
    if let Some(path) = file {
        let secret = quorate_vault::read_password_file(path, "default", &quorate_vault::VaultSecrets::new())
            .map_err(|e| Cannot::start(e.to_string()))?;
        let text = String::from_utf8_lossy(secret.expose()).into_owned();
        crate::secrets::keep_password(&text);
        return Ok(Some(Str::from(text).secret()));
    }
    if !ask {
        return Ok(None);
    }
    let text =
        super::ask::password(prompt).map_err(|e| Cannot::start(format!("no password was given: {e}")))?;
    crate::secrets::keep_password(&text);
    Ok(Some(Str::from(text).secret()))
}

fn vault_secrets(shape: &Shape, settings: &Settings) -> Result<quorate_vault::VaultSecrets, Cannot> {
    let mut secrets = quorate_vault::VaultSecrets::new().match_ids(settings.flag("DEFAULT_VAULT_ID_MATCH"));
    let mut sources: Vec<String> = settings.list("DEFAULT_VAULT_IDENTITY_LIST");
    sources.extend(shape.vault_id.iter().cloned());
    // what is said here does not take the place of what is set
    if let Some(file) = settings.some("DEFAULT_VAULT_PASSWORD_FILE") {
        sources.push(format!("default@{file}"));
    }
    sources.extend(shape.vault_password_file.iter().map(|file| format!("default@{file}")));
    if shape.ask_vault_pass || (settings.flag("DEFAULT_ASK_VAULT_PASS") && sources.is_empty()) {
        sources.push("default@prompt_ask_vault_pass".into());
    }
    for source in sources {
        let parsed = quorate_vault::SecretSource::parse(&source);
        let (id, secret) = match (parsed.id, parsed.file) {
            (id, None) => {
                let prompt = if id == "default" {
                    "Vault password: ".to_owned()
                } else {
                    format!("Vault password ({id}): ")
                };
                let text = super::ask::password(&prompt)
                    .map_err(|e| Cannot::start(format!("no vault password was given: {e}")))?;
                let secret =
                    quorate_vault::Secret::new(text.as_bytes()).map_err(|e| Cannot::start(e.to_string()))?;
                (id, secret)
            }
            (id, Some(path)) => {
                let secret = quorate_vault::read_password_file(&path, &id, &secrets)
                    .map_err(|e| Cannot::start(e.to_string()))?;
                (id, secret)
            }
        };
        secrets.push(&id, secret);
    }
    Ok(secrets)
}

/// `-e`: files, JSON or YAML, or `k=v` words. Later ones win.
fn extra_vars(
    given: &[String],
    settings: &Settings,
    vault: &quorate_vault::VaultSecrets,
    ansible: bool,
) -> Result<Dict, Cannot> {
    let _ = settings;
    let mut all = Dict::new();
    for text in given {
        let text = text.trim();
        let mut vaulted = false;
        let (source, name) = match text.strip_prefix('@') {
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|e| {
                    Cannot::start(format!(
                        "error: cannot read the variables of -e @{path}: {}",
                        crate::playbook::plain_io(&e)
                    ))
                })?;
                vaulted = bytes.starts_with(b"$ANSIBLE_VAULT");
                let bytes = if vaulted {
                    quorate_vault::decrypt(&String::from_utf8_lossy(&bytes), vault)
                        .map_err(|e| Cannot::start(format!("{e}: {path}")))?
                        .to_vec()
                } else {
                    bytes
                };
                let text = String::from_utf8(bytes)
                    .map_err(|_| Cannot::start(format!("error: {path} is not UTF-8 text")))?;
                (text, path.to_owned())
            }
            None if text.starts_with(['{', '[']) => (text.to_owned(), "<command line>".into()),
            None => {
                let parsed = crate::playbook::kv::parse_kv(&Str::new(text).trusted(), false)
                    .map_err(|e| Cannot::start(format!("error: -e {text}: {e}")))?;
                if let Some(rest) = parsed.get("_raw_params") {
                    let rest = quorate_value::str_of(rest);
                    let file = Path::new(&rest).exists();
                    let help = if file {
                        format!("did you mean `-e @{rest}`?")
                    } else {
                        "write -e name=value, or -e @file".to_owned()
                    };
                    let message = format!("-e {rest}: this is neither name=value nor @file; {help}");
                    if ansible {
                        display::warning(&message);
                    } else {
                        return Err(Cannot {
                            text: format!("error[E0301]: {message}"),
                            status: super::status::USAGE,
                        });
                    }
                }
                all.extend(
                    parsed
                        .iter()
                        .filter(|(k, _)| k.as_str() != Some("_raw_params"))
                        .map(|(k, v)| (k.clone(), v.clone())),
                );
                continue;
            }
        };
        let value = match quorate_value::from_json_str(&source) {
            Ok(value) => value.trusted(),
            Err(_) => {
                // the plain text of a vault is never drawn in a diagnostic
                let shown = if vaulted { "" } else { source.as_str() };
                let file = FileId::register(Path::new(&name), shown.into());
                quorate_yaml::parse(&source, file).map_err(|e| Cannot::start(e.report()))?.root.to_value()
            }
        };
        let value = if vaulted { crate::secrets::values(&value) } else { value };
        match value {
            Value::Dict(entries) => all.update(&entries),
            Value::Null => {}
            other => {
                return Err(Cannot::start(format!(
                    "error: the variables of -e {name} must be a mapping, found {}",
                    other.type_name()
                )));
            }
        }
    }
    if let Some(bad) = all.keys().find(|key| !key.as_str().is_some_and(crate::playbook::is_identifier)) {
        return Err(Cannot::start(format!("error: invalid variable name in -e: `{}`", bad.json_text())));
    }
    Ok(all)
}

/// What the loader asks of a run.
struct Host {
    shared: std::sync::Weak<Shared>,
}

impl LoadHost for Host {
    fn duplicate_keys(&self) -> String {
        let shared = self.shared.upgrade().expect("the run outlives its loader");
        shared.settings.text("DUPLICATE_YAML_DICT_KEY").to_owned()
    }

    fn decrypt(&self, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Diag> {
        if !bytes.starts_with(b"$ANSIBLE_VAULT") {
            return Ok(bytes);
        }
        let shared = self.shared.upgrade().expect("the run outlives its loader");
        quorate_vault::decrypt(&String::from_utf8_lossy(&bytes), &shared.vault)
            .map(|plain| plain.to_vec())
            .map_err(|e| Diag::error("E0111", format!("{e}: {}", path.display())))
    }

    fn render_static(&self, value: &Value, vars: &[Arc<Dict>]) -> Result<Value, Diag> {
        if !matches!(value, Value::Str(text) if text.is_template()) {
            return Ok(value.clone());
        }
        let shared = self.shared.upgrade().expect("the run outlives its loader");
        let play = Arc::new(crate::vars::PlayVars::default());
        let mut scope = crate::vars::TaskScope::new(&shared, &play, &Arc::from(""), None);
        for layer in vars.iter().rev() {
            scope.locals.update(layer);
        }
        let extra = shared.extra.clone();
        scope.locals.update(&extra);
        crate::vars::render::value(&scope, value).map_err(|e| {
            let span = crate::run::span_of(value, quorate_value::Span::default());
            Diag::error("E0112", format!("this name must be known before any host is: {e}"))
                .at(span)
                .help("use `include_*` in place of `import_*`, or set the variable with -e")
        })
    }

    fn resolve_action(&self, name: &str, collections: &[String]) -> Option<String> {
        resolve(name, collections).or_else(|| {
            let shared = self.shared.upgrade()?;
            let libraries = shared.libraries.lock().expect("no panic while loading");
            let found = libraries.iter().any(|dir| {
                ["", ".py", ".sh", ".pl", ".rb", ".json"]
                    .iter()
                    .any(|ext| dir.join(format!("{name}{ext}")).is_file())
            });
            drop(libraries);
            found.then(|| name.to_owned()).or_else(|| elsewhere::find(name, collections)).or_else(|| {
                let mut roots = vec![shared.options.playbook_dir.join("collections")];
                roots.extend(shared.settings.paths("COLLECTIONS_PATHS"));
                in_collection(&roots, name, collections)
            })
        })
    }

    fn action_names(&self) -> Vec<String> {
        let mut names: Vec<String> = crate::run::actions::ACTIONS.iter().map(|n| (*n).to_owned()).collect();
        names.extend(quorate_agent::modules::names().map(str::to_owned));
        names
    }

    fn add_library(&self, dir: &Path) {
        if let Some(shared) = self.shared.upgrade() {
            let mut libraries = shared.libraries.lock().expect("no panic while loading");
            if !libraries.iter().any(|known| known == dir) {
                libraries.push(dir.to_path_buf());
            }
        }
    }
}

/// The full name of a module that an installed collection has (as Python, so that it can only be listed).
fn in_collection(roots: &[PathBuf], name: &str, collections: &[String]) -> Option<String> {
    let full = |name: String| {
        let mut parts = name.splitn(3, '.');
        let (namespace, collection, module) = (parts.next()?, parts.next()?, parts.next()?);
        let file = format!("{}.py", module.replace('.', "/"));
        let has = roots.iter().any(|root| {
            let plugins = root.join("ansible_collections").join(namespace).join(collection).join("plugins");
            ["modules", "action"].iter().any(|kind| plugins.join(kind).join(&file).is_file())
        });
        has.then_some(name)
    };
    full(name.to_owned())
        .or_else(|| collections.iter().find_map(|collection| full(format!("{collection}.{name}"))))
}

/// The full name behind a module's name; nothing where it does not exist here.
pub fn resolve(name: &str, collections: &[String]) -> Option<String> {
    let short = short_name(name);
    if crate::run::actions::is_action(short) {
        return Some(if name.contains('.') || short.starts_with("etcd_") {
            name.to_owned()
        } else {
            format!("ansible.builtin.{short}")
        });
    }
    let shutdown = "community.general.shutdown";
    if matches!(name, "shutdown") && crate::run::actions::is_action(shutdown) {
        return Some(shutdown.to_owned());
    }
    if let Some(module) = quorate_agent::modules::find(name) {
        let spec = module.spec();
        return Some(if name.contains('.') {
            name.to_owned()
        } else {
            format!("{}.{name}", spec.collection)
        });
    }
    let _ = collections;
    None
}

/// The run itself, with its readers.
pub fn start(ground: &Ground) -> Arc<Run> {
    match stdout_callback(ground) {
        "minimal" => start_minimal_as(ground, false),
        "oneline" => start_minimal_as(ground, true),
        "json" => read_by(ground, Box::new(crate::report::callbacks::Json::default())),
        _ => {
            tell_config(ground);
            read_by(ground, Box::new(Ansible::new(ground.look, ground.manner)))
        }
    }
}

/// Shows a run as it happens on the terminal that watches it, where one does and nothing else is asked for.
pub fn watch(ground: &Ground, run: &Run, shape: &Shape, ansible: bool) {
    use std::io::IsTerminal as _;
    let settings = &ground.shared.settings;
    let asked = stdout_callback(ground) == "live";
    let chosen = settings.source("DEFAULT_STDOUT_CALLBACK") != &crate::settings::Source::Default;
    let dumb = crate::environment("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let plain = shape.plain || dumb || ground.manner.verbosity > 0 || !std::io::stdout().is_terminal();
    if plain || (!asked && (ansible || chosen)) {
        return;
    }
    let running = Arc::new(crate::report::Running::default());
    run.running.set(running.clone()).ok();
    let id = run.journal.get().map(|journal| journal.id.clone());
    let diffs = ground.shared.options.diff;
    let mut live = crate::report::Live::new(ground.look, ground.manner, diffs, id, running);
    *run.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
        Box::new(move |event: Event| live.event(&event));
}

/// The name of the stdout callback, without its collection.
fn stdout_callback(ground: &Ground) -> &str {
    let name = ground.shared.settings.text("DEFAULT_STDOUT_CALLBACK");
    name.rsplit('.').next().unwrap_or(name)
}

/// The same where nothing is to be printed as it happens.
pub fn start_silent(ground: &Ground) -> Arc<Run> {
    run_with(ground, Box::new(|_| ()))
}

/// The same for ad-hoc commands, which print a block (or a line) a host.
pub fn start_minimal(ground: &Ground, one_line: bool) -> Arc<Run> {
    if !one_line && ground.shared.settings.flag("DEFAULT_LOAD_CALLBACK_PLUGINS") {
        return start(ground);
    }
    start_minimal_as(ground, one_line)
}

fn start_minimal_as(ground: &Ground, one_line: bool) -> Arc<Run> {
    tell_config(ground);
    let helps = !ground.shared.options.ansible_manners;
    read_by(ground, Box::new(crate::report::Minimal::new(ground.look, ground.manner, one_line, helps)))
}

/// A run with its own output, and with what `callbacks_enabled` asks for beside it.
fn read_by(ground: &Ground, mut reader: Box<dyn crate::report::Reader>) -> Arc<Run> {
    let mut beside = Vec::new();
    for name in ground.shared.settings.text("CALLBACKS_ENABLED").split(',').map(str::trim) {
        if name.is_empty() {
            continue;
        }
        match crate::report::callbacks::beside(name, ground.look.columns) {
            Some(reader) => beside.push(reader),
            // the default output may be named as well
            None if matches!(name.rsplit('.').next(), Some("default" | "minimal" | "oneline" | "json")) => {}
            None => display::warning(&format!(
                "Skipping callback plugin '{name}', unable to load: callbacks in Python are not run; there are {}",
                crate::report::callbacks::BESIDE.join(", ")
            )),
        }
    }
    run_with(
        ground,
        Box::new(move |event: Event| {
            reader.event(&event);
            for other in &mut beside {
                other.event(&event);
            }
        }),
    )
}

/// Which configuration this is, for those who ask for more.
fn tell_config(ground: &Ground) {
    static SAID: std::sync::Once = std::sync::Once::new();
    let shared = &ground.shared;
    if shared.options.ansible_manners && shared.options.verbosity > 0 {
        SAID.call_once(|| match &shared.settings.config_file {
            None => display::out("No config file found; using defaults"),
            Some(file) => display::out(&format!("Using {} as config file", file.display())),
        });
    }
}

/// Connections as the settings say.
pub fn pool(settings: &Settings) -> Pool {
    let control = settings
        .some("SSH_CONTROL_PATH_DIR")
        .map_or_else(|| crate::home().join(".cache/quorate/cp"), PathBuf::from);
    Pool::new(control, persist_seconds(settings.text("ANSIBLE_SSH_ARGS")))
}

fn run_with(ground: &Ground, reader: Box<dyn FnMut(Event) + Send>) -> Arc<Run> {
    Arc::new(Run {
        shared: ground.shared.clone(),
        pool: pool(&ground.shared.settings),
        guard: Guard::default(),
        interrupted: AtomicU8::new(0),
        stopping: tokio::sync::Notify::new(),
        contents: crate::run::actions::Contents::default(),
        payloads: crate::run::actions::bridge::Payloads::default(),
        clock: std::sync::OnceLock::new(),
        members: Mutex::default(),
        running: std::sync::OnceLock::new(),
        journal: std::sync::OnceLock::new(),
        resume: std::sync::OnceLock::new(),
        forecast: std::sync::OnceLock::new(),
        probe: std::sync::OnceLock::new(),
        promise: std::sync::OnceLock::new(),
        switches: crate::run::actions::switch::Switches::default(),
        events: Mutex::new(reader),
    })
}

/// Reads a playbook, with the diagnostics of our own commands.
pub fn plays(ground: &Ground, path: &Path) -> Result<Vec<crate::playbook::Play>, Cannot> {
    ground.shared.loader().playbook(path).map_err(|diags| Cannot {
        text: diags.iter().map(|diag| diag.render(ground.look.colour)).collect::<Vec<_>>().join("\n"),
        status: super::status::DOES_NOT_COMPILE,
    })
}

/// The threads that a run works on.
pub fn runtime() -> Result<tokio::runtime::Runtime, Cannot> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(4 * 1024 * 1024)
        .build()
        .map_err(|e| Cannot::start(format!("cannot start: {e}")))
}

/// What `--report` and `--events` collect.
pub struct Recording {
    record: Arc<Mutex<crate::report::record::RunRecord>>,
    report: Option<PathBuf>,
    junit: Option<PathBuf>,
}

/// Lets a recorder read along where `--report` or `--events` ask for it. The files are opened first, so that a run does
/// not end with nowhere to write.
pub fn record(run: &Run, shape: &Shape) -> Result<Option<Recording>, Cannot> {
    if shape.report.is_none() && shape.events.is_none() && shape.junit.is_none() {
        return Ok(None);
    }
    collect(run, shape).map(Some)
}

/// The same, whether or not a file is asked for.
pub fn collect(run: &Run, shape: &Shape) -> Result<Recording, Cannot> {
    let create = |path: &PathBuf| {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        // what hosts said is for the operator's eyes
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(path).map_err(|e| Cannot::start(format!("error: cannot write {}: {e}", path.display())))
    };
    let lines = shape.events.as_ref().map(&create).transpose()?;
    drop(shape.report.as_ref().map(&create).transpose()?);
    drop(shape.junit.as_ref().map(&create).transpose()?);
    let mut recorder =
        crate::report::record::Recorder::new(run.clock.get_or_init(Arc::default).clone(), lines);
    let record = recorder.record.clone();
    let mut events = run.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut before = std::mem::replace(&mut *events, Box::new(|_| ()));
    *events = Box::new(move |event| {
        recorder.event(&event);
        before(event);
    });
    Ok(Recording { record, report: shape.report.clone(), junit: shape.junit.clone() })
}

impl Recording {
    /// What was collected.
    pub fn record(&self) -> crate::report::record::RunRecord {
        self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether a report is to be written: what it shows beside the run costs something.
    pub fn reports(&self) -> bool {
        self.report.is_some()
    }

    /// What the report is to show beside the run.
    pub fn beside(
        &self,
        earlier: Option<crate::report::record::Earlier>,
        origins: Vec<crate::report::record::Origin>,
    ) {
        let mut record = self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (record.earlier, record.origins) = (earlier, origins);
    }

    /// Writes the report.
    pub fn finish(&self, command: &str) -> Result<(), Cannot> {
        let record = self.record();
        let write = |path: &PathBuf, text: String| {
            std::fs::write(path, crate::secrets::scrub(&text).as_bytes())
                .map_err(|e| Cannot::start(format!("error: cannot write {}: {e}", path.display())))
        };
        if let Some(path) = &self.junit {
            write(path, crate::report::junit::page(&record))?;
        }
        match &self.report {
            Some(path) => write(path, crate::report::html::page(&record, command)),
            None => Ok(()),
        }
    }
}

impl Shape {
    /// The flags as a report shows them: values of variables are left out, for some are secrets.
    pub fn shown(&self) -> String {
        let mut out = String::new();
        for source in &self.inventory {
            out.push_str(&format!(" -i {source}"));
        }
        for limit in &self.limit {
            out.push_str(&format!(" -l {limit}"));
        }
        for extra in &self.extra_vars {
            match extra.split_once('=') {
                _ if extra.starts_with('@') => out.push_str(&format!(" -e {extra}")),
                Some((name, _)) if !name.contains(['{', ' ']) => out.push_str(&format!(" -e {name}=…")),
                _ => out.push_str(" -e …"),
            }
        }
        for (set, flag) in [(self.check, " -C"), (self.diff, " -D"), (self.become_, " -b")] {
            if set {
                out.push_str(flag);
            }
        }
        out
    }
}

/// `ControlPersist=60s` of the ssh arguments, in seconds.
fn persist_seconds(args: &str) -> u64 {
    let text =
        args.split("ControlPersist=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or("60s");
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().unwrap_or(60);
    match text[digits.len()..].chars().next() {
        Some('m') => number * 60,
        Some('h') => number * 3600,
        _ => number,
    }
}

/// Waits for Ctrl-C: once finishes what is in flight, twice stops at once. By Ansible's names once is enough.
pub fn watch_interrupts(run: &Arc<Run>) {
    let run = run.clone();
    // a thread of its own: templates may keep every other one busy
    let watch = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            loop {
                if tokio::signal::ctrl_c().await.is_err() {
                    return;
                }
                let before = run.interrupt();
                if before == 0 && !run.shared.options.ansible_manners {
                    display::err("\nfinishing what is in flight (Ctrl-C again stops at once)");
                    continue;
                }
                // what dies with us has not failed
                display::last_words(&match run.journal.get() {
                    _ if run.shared.options.ansible_manners => {
                        "[ERROR]: User interrupted execution".to_owned()
                    }
                    Some(journal) => format!("\nstopped; `quorate play --resume {}` goes on", journal.id),
                    None => "\nstopped; running the same command again continues".to_owned(),
                });
                crate::run::end_now();
                if let Some(journal) = run.journal.get() {
                    journal.end(super::status::INTERRUPTED, true, &crate::report::Recap::default());
                }
                // a process may have been on its way: once more
                for _ in 0..2 {
                    end_children();
                    std::thread::sleep(std::time::Duration::from_millis(30));
                }
                #[expect(clippy::exit, reason = "an interrupt means at once")]
                std::process::exit(i32::from(super::status::INTERRUPTED));
            }
        });
    };
    std::thread::spawn(watch);
}

/// Asks everything that we have started to end: no module, no lookup and no connection outlives us.
fn end_children() {
    use rustix::process::{Pid, Signal, kill_process};
    let mut parents = vec![std::process::id()];
    // the whole tree first: who loses its parent is somebody else's child
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        let tasks =
            std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().filter_map(Result::ok);
        for task in tasks {
            let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for pid in text.split_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
                parents.push(pid.unsigned_abs());
                found.extend(Pid::from_raw(pid));
            }
        }
    }
    for pid in found {
        kill_process(pid, Signal::TERM).ok();
    }
}

/// `meta: refresh_inventory`.
pub fn refresh_inventory(shared: &Shared) -> Result<(), String> {
    let options = shared.inventory().options().clone();
    let loaded = Inventory::load(&shared.options.sources, options);
    for warning in &loaded.warnings {
        display::warning(&warning.to_string());
    }
    // Ansible goes on without the hosts of what it cannot read; hosts that vanish so are nobody's wish
    if let Some(failure) = loaded.failures.first().filter(|_| !shared.options.ansible_manners) {
        let why = failure.attempts.iter().flat_map(|attempt| &attempt.errors).next();
        let why = why.map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("the inventory {} cannot be read again{why}", failure.source));
    }
    let mut inventory = shared.inventory_mut();
    *inventory = loaded.inventory;
    // hosts and groups that tasks have made are none of the sources' business
    for addition in shared.added.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
        addition.apply(&mut inventory)?;
    }
    Ok(())
}

/// The keys of a mapping as text.
pub fn names(dict: &Dict) -> Vec<String> {
    dict.keys().filter_map(Key::as_str).map(str::to_owned).collect()
}
