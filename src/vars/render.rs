//! Rendering in the variables of a task: the one place where templates meet the controller's files and environment.

use super::TaskScope;
use super::lookups;
use crate::settings::Settings;
use quorate_template::{
    Caller, Context, Engine, Error, Files, Kind, LookupCall, Notice, Result, Source, Style, World,
};
use quorate_value::{Dict, FileId, Span, Str, Value, dict};
use std::path::{Path, PathBuf};

/// The engine of a run.
pub fn engine(settings: &Settings) -> Engine {
    let mut style = Style::default();
    let extensions = settings.text("DEFAULT_JINJA2_EXTENSIONS");
    style.loop_controls = extensions.contains("loopcontrols") || style.loop_controls;
    style.do_statement = extensions.contains(".do") || style.do_statement;
    Engine::new(quorate_template::Options {
        allow_broken_conditionals: settings.flag("ALLOW_BROKEN_CONDITIONALS"),
        style,
    })
}

/// The controller as templates may see it.
struct Controller<'a> {
    scope: &'a TaskScope,
}

/// Why a vaulted value does not open, as ansible-core says it.
fn words_of(error: &quorate_vault::VaultError) -> String {
    use quorate_vault::VaultError;
    match error {
        VaultError::NoSecrets => "Attempting to decrypt but no vault secrets found.".into(),
        VaultError::WrongSecret { .. } | VaultError::NoSecretForId { .. } => {
            "Decryption failed (no vault secrets were found that could decrypt).".into()
        }
        VaultError::NotAVault => "Input is not vault encrypted data.".into(),
        other => other.to_string(),
    }
}

impl World for Controller<'_> {
    fn lookup(&self, call: &LookupCall, caller: &dyn Caller) -> Option<Result<Vec<Value>>> {
        lookups::run(self.scope, call, caller)
    }

    fn env(&self, name: &str) -> Option<String> {
        crate::environment(name)
    }

    fn template(&self, name: &str, from: Option<&str>) -> Result<Option<Source>> {
        let mut places = Vec::new();
        if let Some(dir) = from.and_then(|from| Path::new(from).parent()) {
            places.push(dir.join(name));
        }
        for dir in search_path(self.scope) {
            places.push(dir.join("templates").join(name));
            places.push(dir.join(name));
        }
        let Some(path) = places.into_iter().find(|path| path.is_file()) else { return Ok(None) };
        source(self.scope, &path).map(Some)
    }

    fn decrypt(&self, vaulted: &str) -> Result<Str> {
        let plain = crate::secrets::open(vaulted, &self.scope.shared.vault)
            .map_err(|e| Error::new(Kind::Undecryptable, words_of(&e)))?;
        let text = String::from_utf8(plain.to_vec())
            .map_err(|_| Error::new(Kind::Undecryptable, "the vaulted value is not text"))?;
        Ok(Str::from(text).secret())
    }

    fn encrypt(&self, request: &quorate_template::Encrypt<'_>) -> Result<String> {
        let secret = quorate_vault::Secret::new(request.password.as_bytes())
            .map_err(|e| Error::new(Kind::Vault, e.to_string()))?;
        let made = match request.salt {
            Some(salt) => quorate_vault::encrypt_with_salt(
                request.plain.as_bytes(),
                &secret,
                request.vault_id,
                salt.as_bytes(),
            ),
            None => quorate_vault::encrypt(request.plain.as_bytes(), &secret, request.vault_id),
        };
        made.map_err(|e| Error::new(Kind::Vault, e.to_string()))
    }

    fn decrypt_with(&self, vaulted: &str, password: &str, vault_id: Option<&str>) -> Result<Str> {
        let mut secrets = quorate_vault::VaultSecrets::default();
        let secret = quorate_vault::Secret::new(password.as_bytes())
            .map_err(|e| Error::new(Kind::Vault, e.to_string()))?;
        secrets.push(vault_id.unwrap_or("default"), secret);
        let plain =
            crate::secrets::open(vaulted, &secrets).map_err(|e| Error::new(Kind::Vault, e.to_string()))?;
        let text = String::from_utf8_lossy(&plain).into_owned();
        Ok(Str::from(text).secret())
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(&Disk)
    }

    fn notice(&self, notice: Notice) {
        // told once, in order
        if self.scope.early.as_ref().is_some_and(|early| early.ask()) {
            return;
        }
        match notice {
            Notice::Warning(text) => self.scope.shared.notice(text),
            Notice::Deprecation(text) => self.scope.shared.deprecation(text),
        }
    }
}

/// The controller's file system.
struct Disk;

impl Files for Disk {
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn is_link(&self, path: &Path) -> bool {
        path.is_symlink()
    }
    fn is_mount(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(own) = std::fs::symlink_metadata(path) else { return false };
        let parent = std::fs::metadata(path.join(".."));
        parent.is_ok_and(|parent| own.is_dir() && (parent.dev() != own.dev() || parent.ino() == own.ino()))
    }
    fn same_file(&self, a: &Path, b: &Path) -> Option<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let (a, b) = (std::fs::metadata(a).ok()?, std::fs::metadata(b).ok()?);
        Some(a.dev() == b.dev() && a.ino() == b.ino())
    }
    fn begins_with(&self, path: &Path, bytes: &[u8]) -> Option<bool> {
        use std::io::Read as _;
        let mut head = Vec::new();
        std::fs::File::open(path).ok()?.take(bytes.len() as u64).read_to_end(&mut head).ok()?;
        Some(head == bytes)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path)
            .or_else(|_| std::path::absolute(path))
            .unwrap_or_else(|_| path.to_path_buf())
    }
    fn current_dir(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }
    fn home(&self, user: Option<&str>) -> Option<PathBuf> {
        match user {
            None => Some(crate::home().to_path_buf()),
            Some(name) => quorate_agent::system::users::by_name(name).map(|user| PathBuf::from(user.home)),
        }
    }
    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        quorate_agent::system::glob::glob(pattern, None)
    }
}

fn within<T>(scope: &TaskScope, work: impl FnOnce(&Engine, &Context<'_>) -> Result<T>) -> Result<T> {
    let world = Controller { scope };
    let context = Context { scope, world: &world };
    work(&scope.shared.engine, &context)
}

/// A value with its templates rendered.
pub fn value(scope: &TaskScope, value: &Value) -> Result<Value> {
    match value {
        Value::Str(text) if !text.is_template() => Ok(value.clone()),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Omit => {
            Ok(value.clone())
        }
        _ => within(scope, |engine, context| engine.render_value(value, context)),
    }
}

/// Whether a condition holds.
pub fn condition(scope: &TaskScope, value: &Value) -> Result<bool> {
    if let Value::Bool(flag) = value {
        return Ok(*flag);
    }
    within(scope, |engine, context| engine.condition(value, context))
}

/// A keyword's value as a boolean, in any of the forms people write.
pub fn flag(scope: &TaskScope, written: &Value) -> Result<bool> {
    let rendered = value(scope, written)?;
    rendered.to_bool_loose().ok_or_else(|| {
        Error::runtime(format!("The value '{}' is not a valid boolean.", quorate_value::str_of(&rendered)))
    })
}

/// The value of a bare expression.
pub fn expression(scope: &TaskScope, text: &Str) -> Result<Value> {
    within(scope, |engine, context| engine.eval_expression(text, context))
}

/// The items of `with_NAME: terms`.
pub fn with_lookup(scope: &TaskScope, name: &str, terms: &Value) -> Result<Vec<Value>> {
    let rendered = match value(scope, terms) {
        // a missing variable in the list of `with_first_found` is passed over, as its files are
        Err(error) if error.is_undefined() && name == "first_found" => return Err(error),
        other => other?,
    };
    let terms = match rendered {
        Value::List(items) => items.to_vec(),
        other => vec![other],
    };
    let call = Str::new("query(quorate_lookup_name, *quorate_lookup_terms)").trusted();
    let mut here = scope.fork();
    here.locals.insert("quorate_lookup_name", name);
    here.locals.insert("quorate_lookup_terms", Value::list(terms));
    match expression(&here, &call)? {
        Value::List(items) => Ok(items.to_vec()),
        Value::Null => Ok(Vec::new()),
        one => Ok(vec![one]),
    }
}

/// The text of a template file of the controller.
pub fn source(scope: &TaskScope, path: &Path) -> Result<Source> {
    let bytes = quorate_value::read(path).map_err(|e| {
        Error::runtime(format!("could not read {}: {}", path.display(), crate::playbook::plain_io(&e)))
    })?;
    let vaulted = bytes.starts_with(b"$ANSIBLE_VAULT");
    let bytes = if vaulted {
        quorate_vault::decrypt(&String::from_utf8_lossy(&bytes), &scope.shared.vault)
            .map_err(|e| Error::new(Kind::Vault, format!("{e}: {}", path.display())))?
            .to_vec()
    } else {
        bytes
    };
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::runtime(format!("Template source files must be utf-8 encoded: {}", path.display()))
    })?;
    let shown = if vaulted { "" } else { text.as_str() };
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let file = FileId::register(&full, shown.into());
    let text = Str::written(&text, Span::new(file, 1, 1));
    Ok(Source { name: path.display().to_string().into(), text: if vaulted { text.secret() } else { text } })
}

/// A template file rendered with the options of the `template` module.
pub fn template_file(scope: &TaskScope, path: &Path, options: &Dict) -> Result<Str> {
    let source = source(scope, path)?;
    let mut style = Style::file();
    apply_options(&mut style, options);
    let mut here = scope.fork();
    here.locals.update(&template_vars(scope, path, options));
    within(&here, |engine, context| engine.render_text(&source, &style, context))
}

fn apply_options(style: &mut Style, options: &Dict) {
    let text = |name: &str| options.get(name).filter(|v| !v.is_null()).map(quorate_value::str_of);
    let flag = |name: &str| options.get(name).and_then(Value::to_bool_loose);
    for (name, slot) in [
        ("block_start_string", &mut style.block_start),
        ("block_end_string", &mut style.block_end),
        ("variable_start_string", &mut style.variable_start),
        ("variable_end_string", &mut style.variable_end),
        ("comment_start_string", &mut style.comment_start),
        ("comment_end_string", &mut style.comment_end),
    ] {
        if let Some(text) = text(name) {
            *slot = text;
        }
    }
    if let Some(newline) = text("newline_sequence") {
        style.newline_sequence = newline.replace("\\n", "\n").replace("\\r", "\r");
    }
    if let Some(flag) = flag("trim_blocks") {
        style.trim_blocks = flag;
    }
    if let Some(flag) = flag("lstrip_blocks") {
        style.lstrip_blocks = flag;
    }
}

/// `ansible_managed`, `template_path` and their like.
pub fn template_vars(scope: &TaskScope, path: &Path, options: &Dict) -> Dict {
    use std::os::unix::fs::MetadataExt as _;
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let meta = std::fs::metadata(path).ok();
    let uid = meta.as_ref().map_or(0, |m| m.uid());
    let owner = quorate_agent::system::users::by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name);
    let managed = scope
        .lookup("ansible_managed")
        .unwrap_or_else(|| Value::from(scope.shared.settings.text("DEFAULT_MANAGED_STR")));
    let mtime = meta.as_ref().and_then(|m| m.modified().ok()).unwrap_or(std::time::UNIX_EPOCH);
    dict! {
        "ansible_managed" => managed,
        "template_host" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        "template_uid" => owner,
        "template_path" => path.display().to_string(),
        "template_fullpath" => full.display().to_string(),
        "template_run_date" => quorate_agent::system::clock::datetime(&quorate_agent::system::clock::now()),
        "template_mtime" => quorate_agent::system::clock::format(mtime, "%Y-%m-%d %H:%M:%S"),
        "template_destpath" => options.get("dest").map_or(Value::Null, Clone::clone),
    }
}

/// Folders that files of a task are searched in: the role, the task's own, the playbook.
pub fn search_path(scope: &TaskScope) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(role) = &scope.context.role {
        dirs.push(role.role.path.clone());
        dirs.extend(role.parents.iter().rev().map(|parent| parent.role.path.clone()));
    }
    if let Some(step) = &scope.step {
        dirs.push(step.dir());
    }
    dirs.push(scope.play.dir.clone());
    dirs.push(scope.shared.options.playbook_dir.clone());
    let mut seen = std::collections::HashSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

/// A file of the controller as a task names it; the places searched, if it is nowhere.
pub fn find_file(scope: &TaskScope, kind: &str, name: &str) -> std::result::Result<PathBuf, Vec<PathBuf>> {
    let name = match name.strip_prefix("~/") {
        Some(rest) => crate::home().join(rest),
        None => PathBuf::from(name),
    };
    if name.is_absolute() {
        return if name.exists() { Ok(name) } else { Err(vec![name]) };
    }
    let mut searched = Vec::new();
    for dir in search_path(scope) {
        for place in [dir.join(kind).join(&name), dir.join("tasks").join(kind).join(&name), dir.join(&name)] {
            if place.exists() {
                return Ok(place);
            }
            if !place.components().any(|part| part.as_os_str() == "tasks") {
                searched.push(place);
            }
        }
    }
    Err(searched)
}

/// What to say where a file is nowhere, with the nearest name.
pub fn not_found(name: &str, searched: &[PathBuf]) -> String {
    let mut message = format!("Could not find or access '{name}'\nSearched in:");
    for place in searched {
        let full = std::path::absolute(place).unwrap_or_else(|_| place.clone());
        message.push_str(&format!("\n\t{}", full.display()));
    }
    message.push(' ');
    let mut names: Vec<String> = Vec::new();
    for dir in searched.iter().filter_map(|place| place.parent()) {
        names.extend(
            std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .filter_map(std::result::Result::ok)
                .map(|e| e.file_name().to_string_lossy().into_owned()),
        );
    }
    let wanted = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(near) = quorate_yaml::nearest(&wanted, names.iter().map(String::as_str)).first() {
        message.push_str(&format!("did you mean '{near}'? "));
    }
    message
        + "on the Ansible Controller.\nIf you are using a module and expect the file to exist on the remote, see the remote_src option"
}

/// Where a template is wrong, in the file that people edit.
pub fn place_of(error: &Error) -> Option<Span> {
    let place = error.place()?;
    let span = if place.template.is_some() {
        let (line, column) = place.position();
        let base = place.origin.line.max(1) - 1;
        Span::new(place.origin.file, base + line, column)
    } else {
        quorate_yaml::locate(&Str::written(&place.text, place.origin), place.start)
    };
    span.is_known().then_some(span)
}
