//! Files to plays: reads a playbook, follows static imports and roles, checks every key.
//!
//! In: paths, a way to render names that are known before any host is (`import_*`, role names). Out: [`Play`]s, or
//! every mistake found. Values stay as written.
//!
//! **Invariant:** loading connects nowhere and changes nothing.
//!
//! Not here: flattening to steps and tags (`plan`), dynamic includes at run time (they come back here for their files).

use super::kv;
use super::model::*;
use crate::diag::Diag;
use quorate_value::{Dict, FileId, Key, Span, Str, Value};
use quorate_yaml::Node;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What the loader needs from its surroundings.
pub trait LoadHost: Send + Sync {
    /// Turns file contents that are vaulted into plain text; plain contents pass.
    fn decrypt(&self, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Diag>;

    /// What a key that stands twice is: `warn`, `error` or `ignore` (`DUPLICATE_YAML_DICT_KEY`).
    fn duplicate_keys(&self) -> String;
    /// Renders a name that must be known before any host is, with these variables (nearest first) and the extra ones.
    fn render_static(&self, value: &Value, vars: &[Arc<Dict>]) -> Result<Value, Diag>;
    /// Whether a module or action of this name exists; resolves short names and old names to the one that runs.
    fn resolve_action(&self, name: &str, collections: &[String]) -> Option<String>;
    /// Names to choose from, for did-you-mean.
    fn action_names(&self) -> Vec<String>;
    /// A module in a `library/` folder: told for each role and playbook folder that has one.
    fn add_library(&self, dir: &Path);
}

/// Where roles and collections are searched.
#[derive(Debug, Clone, Default)]
pub struct SearchPaths {
    /// The folder of the first playbook.
    pub playbook_dir: PathBuf,
    /// `roles_path` of the configuration.
    pub roles: Vec<PathBuf>,
    /// `collections_path` of the configuration.
    pub collections: Vec<PathBuf>,
    /// `private_role_vars`: what roles define is theirs alone, unless they are brought in as public.
    pub private_roles: bool,
}

/// Reads playbooks and roles; keeps what it has read.
pub struct Loader {
    host: Arc<dyn LoadHost>,
    paths: SearchPaths,
    files: Mutex<HashMap<PathBuf, Arc<Node>>>,
    /// Which of them are vaults.
    vaulted: Mutex<std::collections::HashSet<FileId>>,
    identities: Mutex<HashMap<String, u32>>,
    warnings: Mutex<Vec<Diag>>,
    /// Mistakes that do not end the reading, where all of them are wanted.
    mistakes: Option<Mutex<Vec<Diag>>>,
}

/// What surrounds the tasks being read.
#[derive(Clone, Default)]
pub struct Around {
    /// The folder of the file being read.
    pub dir: PathBuf,
    /// The role it belongs to: its folder and how it came in.
    pub role_dir: Option<PathBuf>,
    /// Roles around it, outermost first.
    pub parents: Vec<Arc<RoleUse>>,
    /// Variables that static names may use, nearest first.
    pub vars: Vec<Arc<Dict>>,
    /// Whether these are handlers.
    pub handlers: bool,
    /// `collections` in force.
    pub collections: Vec<String>,
}

/// Which entry points of a role to read.
#[derive(Debug, Clone, Default)]
pub struct RoleFrom {
    /// `tasks_from`
    pub tasks: Option<String>,
    /// `vars_from`
    pub vars: Option<String>,
    /// `defaults_from`
    pub defaults: Option<String>,
    /// `handlers_from`
    pub handlers: Option<String>,
}

/// Every key a task may have besides the keywords that all share.
const TASK_KEYS: [&str; 21] = [
    "action",
    "args",
    "async",
    "changed_when",
    "collections",
    "delay",
    "environment",
    "failed_when",
    "local_action",
    "loop",
    "loop_control",
    "module_defaults",
    "name",
    "notify",
    "poll",
    "register",
    "retries",
    "tags",
    "until",
    "vars",
    "when",
];

/// Every key a play may have besides the keywords that all share.
const PLAY_KEYS: [&str; 25] = [
    "name",
    "hosts",
    "vars",
    "vars_files",
    "vars_prompt",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "serial",
    "strategy",
    "order",
    "max_fail_percentage",
    "force_handlers",
    "validate_argspec",
    "pre_tasks",
    "roles",
    "tasks",
    "post_tasks",
    "handlers",
    "tags",
    "environment",
    "module_defaults",
    "collections",
    "user",
];

type Loaded<T> = Result<T, Diag>;

impl Loader {
    /// A loader for one run.
    pub fn new(host: Arc<dyn LoadHost>, paths: SearchPaths) -> Self {
        Loader {
            host,
            paths,
            files: Mutex::default(),
            vaulted: Mutex::default(),
            identities: Mutex::default(),
            warnings: Mutex::default(),
            mistakes: None,
        }
    }

    /// The same, but a mistake in one play, role or task does not hide those in others.
    #[must_use]
    pub fn keep_going(mut self) -> Self {
        self.mistakes = Some(Mutex::default());
        self
    }

    /// Mistakes that were passed over so far; taking them empties the list.
    pub fn take_mistakes(&self) -> Vec<Diag> {
        let list = self.mistakes.as_ref().map(|list| list.lock().expect("no panic while noting"));
        list.map(|mut list| std::mem::take(&mut *list)).unwrap_or_default()
    }

    /// Notes a mistake where all are wanted, and gives it back where the first one ends the reading.
    fn pass_over(&self, result: Loaded<()>) -> Loaded<()> {
        match (result, &self.mistakes) {
            (Err(diag), Some(list)) => {
                list.lock().expect("no panic while noting").push(diag);
                Ok(())
            }
            (result, _) => result,
        }
    }

    /// Every file of YAML that was read.
    pub fn files(&self) -> Vec<(PathBuf, Arc<Node>)> {
        let files = self.files.lock().expect("no panic while reading");
        files.iter().map(|(path, node)| (path.clone(), node.clone())).collect()
    }

    /// Warnings so far; taking them empties the list.
    pub fn take_warnings(&self) -> Vec<Diag> {
        std::mem::take(&mut self.warnings.lock().expect("no panic while warning"))
    }

    /// Where roles and collections are searched.
    pub fn paths(&self) -> &SearchPaths {
        &self.paths
    }

    /// A YAML file, decrypted where it is vaulted, read once.
    pub fn yaml(&self, path: &Path) -> Loaded<Arc<Node>> {
        if let Some(node) = self.files.lock().expect("no panic while reading").get(path) {
            return Ok(node.clone());
        }
        let bytes = quorate_value::read(path).map_err(|e| cannot_read(path, &e))?;
        let vaulted = bytes.starts_with(b"$ANSIBLE_VAULT");
        let bytes = self.host.decrypt(path, bytes)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Diag::error("E0102", format!("{} is not UTF-8 text", path.display())))?;
        // the plain text of a vault is never drawn in a diagnostic
        let shown: Arc<str> = if vaulted { "".into() } else { text.as_str().into() };
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let file = FileId::register(&full, shown);
        if vaulted {
            self.vaulted.lock().expect("no panic while reading").insert(file);
        }
        let document = quorate_yaml::parse(&text, file).map_err(|e| yaml_diag(&e))?;
        for warning in &document.warnings {
            let mut diag = Diag::warning("W0101", warning.to_string()).at(warning.span());
            if let quorate_yaml::Warning::DuplicateKey { key, .. } = warning {
                diag.ansible = Some(format!("Found duplicate mapping key '{key}'."));
                match self.host.duplicate_keys().as_str() {
                    "ignore" => continue,
                    "error" => {
                        diag.severity = crate::diag::Severity::Error;
                        return Err(diag);
                    }
                    _ => {}
                }
            }
            if let Some((span, what)) = warning.related() {
                diag.related.push((span, what.to_owned()));
            }
            self.warn(diag);
        }
        let node = Arc::new(document.root);
        self.files.lock().expect("no panic while reading").insert(path.to_path_buf(), node.clone());
        Ok(node)
    }

    /// A file of variables: a mapping, or nothing at all.
    pub fn vars_file(&self, path: &Path) -> Loaded<Dict> {
        self.variables_of(path, false)
    }

    /// A file that `vars_files` names: a list of mappings is as good.
    pub fn play_vars_file(&self, path: &Path) -> Loaded<Dict> {
        self.variables_of(path, true)
    }

    fn variables_of(&self, path: &Path, lists: bool) -> Loaded<Dict> {
        let node = self.yaml(path)?;
        match self.variables(&node) {
            Value::Null => Ok(Dict::new()),
            Value::Dict(entries) => Ok(Arc::unwrap_or_clone(entries)),
            // several mappings, one over the other
            Value::List(items) if lists && items.iter().all(|item| matches!(item, Value::Dict(_))) => {
                let mut all = Dict::new();
                items.iter().filter_map(Value::as_dict).for_each(|entries| all.update(entries));
                Ok(all)
            }
            _ => Err(Diag::error("E0103", format!("{} must hold a mapping of variables", path.display()))
                .at(node.span)
                .label(format!("found {}", node.describe()))),
        }
    }

    /// The values of a file of variables; all secret where the file is a vault.
    fn variables(&self, node: &Node) -> Value {
        let value = node.to_value();
        if !self.vaulted.lock().expect("no panic while reading").contains(&node.span.file) {
            return value;
        }
        crate::secrets::values(&value)
    }

    fn warn(&self, diag: Diag) {
        self.warnings.lock().expect("no panic while warning").push(diag);
    }

    /// Reads a playbook with all that it imports.
    pub fn playbook(&self, path: &Path) -> Result<Vec<Play>, Vec<Diag>> {
        let (plays, errors) = self.playbook_with_mistakes(path);
        if errors.is_empty() { Ok(plays) } else { Err(errors) }
    }

    /// The same: what could be read of it, and every mistake.
    pub fn playbook_with_mistakes(&self, path: &Path) -> (Vec<Play>, Vec<Diag>) {
        let mut plays = Vec::new();
        let mut errors = Vec::new();
        self.playbook_into(path, &Keywords::default(), &[], &mut plays, &mut errors, 0);
        errors.extend(self.take_mistakes());
        (plays, errors)
    }

    fn playbook_into(
        &self,
        path: &Path,
        outer: &Keywords,
        outer_vars: &[Arc<Dict>],
        plays: &mut Vec<Play>,
        errors: &mut Vec<Diag>,
        depth: usize,
    ) {
        let node = match self.yaml(path) {
            Ok(node) => node,
            Err(diag) => return errors.push(diag),
        };
        if depth > 100 {
            return errors.push(
                Diag::error("E0110", format!("{} is imported in a circle", path.display())).at(node.span),
            );
        }
        let Some(items) = node.as_sequence() else {
            return errors.push(
                Diag::error("E0104", "a playbook must be a list of plays")
                    .at(node.span)
                    .label(format!("found {}", node.describe()))
                    .help("start each play with `- hosts: …`"),
            );
        };
        if items.is_empty() {
            let message = format!("A playbook must contain at least one play: {}", path.display());
            return errors.push(Diag::error("E0104", message).at(node.span));
        }
        let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        self.note_library(&dir);
        for item in items {
            let Some(mapping) = item.as_mapping() else {
                errors.push(
                    Diag::error(
                        "E0104",
                        "playbook entries must be either valid plays or 'import_playbook' statements",
                    )
                    .at(item.span)
                    .label(format!("found {}", item.describe())),
                );
                continue;
            };
            let import =
                ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"]
                    .iter()
                    .find_map(|key| mapping.entry(key));
            let result = match import {
                Some(entry) => {
                    self.import_playbook(item, &entry.value, &dir, outer, outer_vars, plays, errors, depth)
                }
                None => self.play(item, path, outer, outer_vars).map(|play| plays.push(play)),
            };
            if let Err(diag) = result {
                errors.push(diag);
            }
        }
    }

    fn import_playbook(
        &self,
        item: &Node,
        name: &Node,
        dir: &Path,
        outer: &Keywords,
        outer_vars: &[Arc<Dict>],
        plays: &mut Vec<Play>,
        errors: &mut Vec<Diag>,
        depth: usize,
    ) -> Loaded<()> {
        let mut keywords = Keywords::default();
        let mut vars = Dict::new();
        for (key, entry) in item.as_mapping().into_iter().flat_map(|m| m.iter()) {
            let Some(key) = key.as_str() else { continue };
            match key {
                "name"
                | "import_playbook"
                | "ansible.builtin.import_playbook"
                | "ansible.legacy.import_playbook" => {}
                "vars" => vars = vars_of(&entry.value)?,
                "tags" => keywords.tags = tags_of(&entry.value)?,
                "when" => keywords.when = conditions_of(&entry.value),
                other => {
                    return Err(unknown_key(
                        other,
                        "a PlaybookInclude",
                        &entry.key,
                        &["name", "import_playbook", "vars", "tags", "when"],
                    ));
                }
            }
        }
        let mut all_vars: Vec<Arc<Dict>> = vec![Arc::new(vars)];
        all_vars.extend(outer_vars.iter().cloned());
        let name_value = self.host.render_static(&name.to_value(), &all_vars)?;
        let Some(text) = name_value.as_str() else {
            return Err(Diag::error("E0105", "playbook import parameter must be a string").at(name.span));
        };
        let path = if text.matches('.').count() >= 2 && !text.contains('/') {
            self.collection_file(text, "playbooks").unwrap_or_else(|| dir.join(text))
        } else {
            dir.join(text)
        };
        if !path.exists() {
            return Err(missing_file(&path, name.span, "playbook"));
        }
        self.playbook_into(&path, &keywords.inside(outer), &all_vars, plays, errors, depth + 1);
        Ok(())
    }

    /// `ns.coll.name` as a file below a collection's folder.
    fn collection_file(&self, name: &str, below: &str) -> Option<PathBuf> {
        let mut parts = name.splitn(3, '.');
        let (ns, coll, rest) = (parts.next()?, parts.next()?, parts.next()?);
        // those beside the playbook come first, as with Ansible
        let beside = self.paths.playbook_dir.join("collections");
        std::iter::once(&beside).chain(&self.paths.collections).find_map(|root| {
            let base =
                root.join("ansible_collections").join(ns).join(coll).join(below).join(rest.replace('.', "/"));
            ["", ".yml", ".yaml"]
                .iter()
                .map(|ext| PathBuf::from(format!("{}{ext}", base.display())))
                .find(|p| p.exists())
        })
    }

    fn note_library(&self, dir: &Path) {
        for library in ["library", "action_plugins"].map(|name| dir.join(name)) {
            if library.is_dir() {
                self.host.add_library(&library);
            }
        }
    }

    fn play(&self, node: &Node, file: &Path, outer: &Keywords, outer_vars: &[Arc<Dict>]) -> Loaded<Play> {
        let mapping = node.as_mapping().expect("the caller looked");
        let mut vars = Dict::new();
        for outer in outer_vars.iter().rev() {
            vars.update(outer);
        }
        let mut keywords = Keywords::default();
        let Some(hosts) = mapping.entry("hosts") else {
            let action = mapping
                .iter()
                .filter_map(|(k, e)| k.as_str().map(|k| (k, e)))
                .find(|(k, _)| !play_keys().contains(k) && self.host.resolve_action(k, &[]).is_some());
            return Err(match action {
                Some((name, entry)) => {
                    Diag::error("E0107", format!("'{name}' is not a valid attribute for a Play"))
                        .at(entry.key.span)
                        .label("this is a task, and a playbook is a list of plays")
                        .help("put it under `tasks:` of a play that says `hosts:`")
                }
                None => Diag::error("E0106", "the field 'hosts' is required but was not set")
                    .at(node.span)
                    .label("this play does not say which hosts"),
            });
        };
        let hosts_value = hosts.value.to_value();
        let empty = match &hosts_value {
            Value::Null => true,
            Value::Str(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        if empty {
            return Err(Diag::error("E0106", "Hosts list cannot be empty. Please check your playbook")
                .at(hosts.key.span));
        }
        let mut play =
            Play { hosts_span: hosts.value.span, ..Play::of(node.span, file.to_path_buf(), hosts_value) };
        // variables first: static names below may use them
        for (key, entry) in mapping.iter() {
            match key.as_str() {
                Some("vars") => vars.update(&self.own_vars(&entry.value)?),
                Some("collections") => keywords.collections = Some(Arc::new(words_of(&entry.value)?)),
                _ => {}
            }
        }
        play.vars = Arc::new(vars);
        let around = Around {
            dir: file.parent().unwrap_or(Path::new("")).to_path_buf(),
            vars: vec![play.vars.clone()],
            collections: keywords.collections.as_deref().cloned().unwrap_or_default(),
            ..Around::default()
        };
        let mut lists: [(&str, Option<&Node>); 5] =
            [("pre_tasks", None), ("roles", None), ("tasks", None), ("post_tasks", None), ("handlers", None)];
        for (key, entry) in mapping.iter() {
            let Some(key) = key.as_str() else {
                return Err(Diag::error("E0107", "a key of a play must be text").at(entry.key.span));
            };
            let value = || entry.value.to_value();
            match key {
                "hosts" | "vars" | "collections" => {}
                "name" => play.name = text_of(&entry.value)?,
                "vars_files" => {
                    play.vars_files = match value() {
                        Value::Null => Vec::new(),
                        Value::List(items) => items.to_vec(),
                        other => vec![other],
                    };
                }
                "vars_prompt" => play.vars_prompt = prompts_of(&entry.value)?,
                "gather_facts" => play.gather_facts = Some(value()),
                "gather_subset" => play.gather_subset = Some(value()),
                "gather_timeout" => play.gather_timeout = Some(value()),
                "fact_path" => play.fact_path = Some(value()),
                "serial" => play.serial = list_of(value()),
                "strategy" => play.strategy = Some(value()),
                "order" => play.order = Some(value()),
                "max_fail_percentage" => play.max_fail_percentage = Some(value()),
                "force_handlers" => play.force_handlers = Some(value()),
                "validate_argspec" => play.validate_argspec = Some(value()),
                "user" if mapping.entry("remote_user").is_some() => {
                    return Err(Diag::error(
                        "E0107",
                        "both 'user' and 'remote_user' are set for this play. The use of 'user' is deprecated, and should be removed",
                    )
                    .at(entry.key.span));
                }
                "user" => keywords.set(Kw::RemoteUser, value()),
                "pre_tasks" | "roles" | "tasks" | "post_tasks" | "handlers" => {
                    if let Some(slot) = lists.iter_mut().find(|(name, _)| *name == key) {
                        slot.1 = Some(&entry.value);
                    }
                }
                other => {
                    let known = !matches!(other, "when" | "notify" | "delegate_to" | "delegate_facts");
                    let read = match known.then(|| read_keyword(&mut keywords, other, &entry.value)) {
                        Some(Ok(true)) => Ok(()),
                        Some(Err(diag)) => Err(diag),
                        _ => Err(unknown_key(other, "a Play", &entry.key, &play_keys())),
                    };
                    self.pass_over(read)?;
                }
            }
        }
        play.keywords = keywords.inside(outer);
        for (name, node) in lists {
            let Some(node) = node else { continue };
            let around = Around { handlers: name == "handlers", ..around.clone() };
            match name {
                "pre_tasks" => play.pre_tasks = self.entries(node, &around, name)?,
                "tasks" => play.tasks = self.entries(node, &around, name)?,
                "post_tasks" => play.post_tasks = self.entries(node, &around, name)?,
                "handlers" => play.handlers = self.entries(node, &around, name)?,
                _ => play.roles = self.play_roles(node, &around)?,
            }
        }
        Ok(play)
    }

    fn play_roles(&self, node: &Node, around: &Around) -> Loaded<Vec<Entry>> {
        let items = sequence(node, "roles").map_err(|mut diag| {
            diag.ansible = Some("A malformed role declaration was encountered.".to_owned());
            diag
        })?;
        let mut roles = Vec::with_capacity(items.len());
        for item in items {
            let read = self.role_entry(item, around).map(|role| roles.push(Entry::Role(role)));
            self.pass_over(read)?;
        }
        Ok(roles)
    }

    /// One line of `roles:` or of a role's dependencies.
    fn role_entry(&self, node: &Node, around: &Around) -> Loaded<Arc<RoleUse>> {
        let mut keywords = Keywords::default();
        let mut params = Dict::new();
        let mut name = None;
        if let Some(mapping) = node.as_mapping() {
            for (key, entry) in mapping.iter() {
                let Some(key) = key.as_str() else {
                    return Err(Diag::error("E0120", "a parameter of a role must be text").at(entry.key.span));
                };
                match key {
                    "role" | "name" => {
                        if name.is_none() || key == "role" {
                            name = Some(entry.value.to_value());
                        }
                    }
                    "src" | "scm" | "version" if name.is_none() => {
                        if key == "src" {
                            name = Some(entry.value.to_value());
                        }
                    }
                    "vars" => params.update(&vars_of(&entry.value)?),
                    "delegate_facts" => keywords.set(Kw::DelegateFacts, entry.value.to_value()),
                    other => {
                        if !read_keyword(&mut keywords, other, &entry.value)? {
                            params.insert(other, entry.value.to_value());
                        }
                    }
                }
            }
        } else if node.as_scalar().is_some() {
            name = Some(node.to_value());
        }
        let name = name
            .filter(|v| !v.is_null())
            .ok_or_else(|| Diag::error("E0120", "role definitions must contain a role name").at(node.span))?;
        let name = match &name {
            Value::Int(number) => Value::from(number.to_string()),
            other => other.clone(),
        };
        let mut vars = vec![Arc::new(params.clone())];
        vars.extend(around.vars.iter().cloned());
        let name = self.host.render_static(&name, &vars)?;
        let Some(name) = name.as_str() else {
            return Err(Diag::error("E0120", "role definitions must contain a role name").at(node.span));
        };
        if name.contains(',') && node.as_mapping().is_none() {
            let text = format!("Invalid old style role requirement: {name}");
            return Err(Diag::error("E0120", text).at(node.span).help("name each role on a line of its own"));
        }
        self.role(
            name,
            node.span,
            keywords,
            params,
            RoleFrom::default(),
            around,
            !self.paths.private_roles,
            false,
        )
    }

    /// Finds a role's folder.
    pub fn find_role(&self, name: &str, around: &Around) -> Option<PathBuf> {
        if name.matches('.').count() >= 2 && !name.contains('/') {
            return self.collection_file(name, "roles");
        }
        for collection in &around.collections {
            if let Some(path) = self.collection_file(&format!("{collection}.{name}"), "roles") {
                return Some(path);
            }
        }
        let mut dirs = Vec::new();
        if let Some(dir) = &around.role_dir {
            dirs.push(dir.join("roles"));
            dirs.extend(dir.parent().map(Path::to_path_buf));
        }
        dirs.push(self.paths.playbook_dir.join("roles"));
        dirs.push(around.dir.join("roles"));
        dirs.extend(self.paths.roles.iter().cloned());
        dirs.push(self.paths.playbook_dir.clone());
        dirs.push(PathBuf::new());
        // a role's `role_path` and the files it includes have no symbolic links in their names
        dirs.into_iter()
            .map(|dir| dir.join(name))
            .find(|path| path.is_dir())
            .map(|path| path.canonicalize().unwrap_or(path))
    }

    /// Every role that could have been meant.
    fn role_names(&self, around: &Around) -> Vec<String> {
        let mut dirs = vec![self.paths.playbook_dir.join("roles")];
        dirs.extend(self.paths.roles.iter().cloned());
        dirs.extend(around.role_dir.as_ref().and_then(|d| d.parent()).map(Path::to_path_buf));
        let entries =
            dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().filter_map(Result::ok);
        entries.filter(|e| e.path().is_dir()).map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Reads a role for one use.
    #[expect(clippy::too_many_arguments, reason = "one use of a role has that many sides")]
    pub fn role(
        &self,
        name: &str,
        span: Span,
        keywords: Keywords,
        params: Dict,
        from: RoleFrom,
        around: &Around,
        public: bool,
        from_task: bool,
    ) -> Loaded<Arc<RoleUse>> {
        let Some(path) = self.find_role(name, around) else {
            let searched = self.searched(around);
            return Err(Diag::error("E0121", format!("the role '{name}' was not found in {searched}"))
                .at(span)
                .did_you_mean(name, self.role_names(around)));
        };
        let full = full_role_name(&path);
        let name = full.as_deref().unwrap_or(name);
        if around.parents.len() > 50 || around.parents.iter().filter(|p| p.role.path == path).count() > 20 {
            return Err(Diag::error("E0122", format!("role '{name}' depends on itself")).at(span));
        }
        self.note_library(&path);
        let meta = self.role_part(&path, "meta", None)?.map(|(node, _)| node);
        let meta_value = meta.as_ref().map(|node| node.to_value()).unwrap_or_default();
        let mut specs =
            meta_value.get("argument_specs").and_then(Value::as_dict).cloned().unwrap_or_default();
        if let Some((node, _)) = self.role_part(&path, "meta", Some("argument_specs"))?
            && let Some(found) = node.to_value().get("argument_specs").and_then(Value::as_dict)
        {
            specs = found.clone();
        }
        let collections = meta.as_ref().and_then(|node| node.get("collections")).map(words_of).transpose()?;
        let role = Arc::new(Role {
            name: name.to_owned(),
            collection: full.is_some(),
            path: path.clone(),
            allow_duplicates: meta_value
                .get("allow_duplicates")
                .and_then(Value::to_bool_loose)
                .unwrap_or(false),
            collections: collections.clone().map(Arc::new),
            argument_specs: specs,
        });
        let defaults = Arc::new(self.role_vars(&path, "defaults", from.defaults.as_deref(), span)?);
        let vars = Arc::new(self.role_vars(&path, "vars", from.vars.as_deref(), span)?);
        let params = Arc::new(params);
        let identity = {
            let key = format!(
                "{}|{:?}|{:?}|{from:?}|{}",
                path.display(),
                quorate_value::to_json(&Value::Dict(params.clone())),
                keywords.when.iter().map(quorate_value::repr).collect::<Vec<_>>(),
                keywords.tags.iter().map(Str::as_str).collect::<Vec<_>>().join(","),
            );
            let mut identities = self.identities.lock().expect("no panic while counting");
            let next = u32::try_from(identities.len()).expect("fewer than four billion roles");
            *identities.entry(key).or_insert(next)
        };
        let mut shell = RoleUse {
            role: role.clone(),
            span,
            identity,
            keywords,
            params: params.clone(),
            defaults: defaults.clone(),
            vars: vars.clone(),
            parents: around.parents.clone(),
            tasks: Vec::new(),
            handlers: Vec::new(),
            public,
            entry: from.tasks.as_deref().unwrap_or("main").to_owned(),
            validates: true,
            from_task,
        };
        if let Some(collections) = &role.collections {
            shell.keywords.collections.get_or_insert_with(|| collections.clone());
        }
        let mut parents = around.parents.clone();
        // tasks inside see this use (without its tasks) as their parent
        parents.push(Arc::new(RoleUse { tasks: Vec::new(), handlers: Vec::new(), ..clone_shell(&shell) }));
        let about = quorate_value::dict! {"role_path" => path.display().to_string(), "role_name" => name};
        let mut inner_vars = vec![params, vars, defaults, Arc::new(about)];
        inner_vars.extend(around.vars.iter().cloned());
        let mut collections_in_force = shell.keywords.collections.as_deref().cloned().unwrap_or_default();
        if full.is_some() {
            let own = name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
            collections_in_force.insert(0, own);
        }
        let inner = Around {
            dir: path.join("tasks"),
            role_dir: Some(path.clone()),
            parents,
            vars: inner_vars,
            handlers: false,
            collections: collections_in_force,
        };
        let mut tasks = Vec::new();
        if let Some(dependencies) =
            meta.as_ref().and_then(|node| node.get("dependencies")).filter(|node| !node.is_null())
        {
            for item in sequence(dependencies, "dependencies")? {
                tasks.push(Entry::Role(self.role_entry(item, &inner)?));
            }
        }
        match self.role_part(&path, "tasks", from.tasks.as_deref())? {
            Some((node, dir)) => {
                tasks.extend(self.entries(&node, &Around { dir, ..inner.clone() }, "tasks")?)
            }
            None => {
                if let Some(wanted) = &from.tasks {
                    return Err(Diag::error(
                        "E0123",
                        format!("Could not find specified file in role: tasks/{wanted}"),
                    )
                    .at(span)
                    .did_you_mean(wanted, yaml_stems(&path.join("tasks"))));
                }
            }
        }
        if let Some((node, dir)) = self.role_part(&path, "handlers", from.handlers.as_deref())? {
            shell.handlers = self.entries(&node, &Around { dir, handlers: true, ..inner }, "handlers")?;
        }
        shell.tasks = tasks;
        Ok(Arc::new(shell))
    }

    fn searched(&self, around: &Around) -> String {
        let mut dirs = vec![self.paths.playbook_dir.join("roles")];
        dirs.extend(self.paths.roles.iter().cloned());
        dirs.push(self.paths.playbook_dir.clone());
        if let Some(dir) = &around.role_dir {
            dirs.push(dir.join("roles"));
        }
        dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(":")
    }

    /// `main.yml` (or the file asked for) of one part of a role; nothing where the role has none.
    fn role_part(&self, role: &Path, part: &str, file: Option<&str>) -> Loaded<Option<(Arc<Node>, PathBuf)>> {
        let dir = role.join(part);
        let stem = dir.join(file.unwrap_or("main"));
        let candidates =
            ["", ".yml", ".yaml", ".json"].map(|ext| PathBuf::from(format!("{}{ext}", stem.display())));
        // a plain `main` without ending counts, but a folder of that name does not (except for variables)
        let Some(path) = candidates[1..].iter().chain(&candidates[..1]).find(|path| path.is_file()) else {
            return Ok(None);
        };
        // `tasks_from: ../../elsewhere.yml` is no file of the role
        if let Some(file) = file
            && (file.contains("..") || file.starts_with('/'))
            && let (Ok(real), Ok(base)) = (path.canonicalize(), role.canonicalize())
            && !real.starts_with(base.join(part))
        {
            let message = format!(
                "Failed loading '{}' for role ({}) as it is not inside the expected role path: '{}'",
                real.display(),
                role.file_name().unwrap_or_default().to_string_lossy(),
                base.join(part).display()
            );
            return Err(Diag::error("E0123", message));
        }
        let node = self.yaml(path)?;
        Ok(Some((node, path.parent().unwrap_or(&dir).to_path_buf())))
    }

    fn role_vars(&self, role: &Path, part: &str, file: Option<&str>, span: Span) -> Loaded<Dict> {
        let dir = role.join(part).join(file.unwrap_or("main"));
        if dir.is_dir() {
            let mut files: Vec<PathBuf> = walk(&dir);
            files.retain(|path| {
                path.extension().is_none_or(|ext| matches!(ext.to_str(), Some("yml" | "yaml" | "json")))
            });
            files.sort();
            let mut all = Dict::new();
            for path in files {
                all.update(&self.vars_file(&path)?);
            }
            return Ok(all);
        }
        match self.role_part(role, part, file)? {
            Some((node, _)) => match self.variables(&node) {
                Value::Null => Ok(Dict::new()),
                Value::Dict(entries) => Ok(Arc::unwrap_or_clone(entries)),
                _ => Err(Diag::error(
                    "E0103",
                    format!("The {part}/main.yml file for role must contain a dictionary of variables"),
                )
                .at(node.span)
                .label(format!("found {}", node.describe()))),
            },
            None => match file {
                Some(wanted) => Err(Diag::error(
                    "E0123",
                    format!("Could not find specified file in role: {part}/{wanted}"),
                )
                .at(span)
                .did_you_mean(wanted, yaml_stems(&role.join(part)))),
                None => Ok(Dict::new()),
            },
        }
    }

    /// A file of tasks, for `include_tasks` and `import_tasks`.
    pub fn task_file(&self, path: &Path, around: &Around) -> Loaded<Vec<Entry>> {
        let node = self.yaml(path)?;
        let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        self.entries(&node, &Around { dir, ..around.clone() }, "tasks")
    }

    /// Where `include_tasks: name` points from here.
    pub fn find_tasks(&self, name: &str, around: &Around) -> Option<PathBuf> {
        let mut dirs = vec![around.dir.clone()];
        if let Some(role) = &around.role_dir {
            if around.handlers {
                dirs.push(role.join("handlers"));
            }
            dirs.push(role.join("tasks"));
            dirs.push(role.clone());
        }
        dirs.push(self.paths.playbook_dir.join("tasks"));
        dirs.push(self.paths.playbook_dir.clone());
        let name = Path::new(name);
        if name.is_absolute() {
            return name.is_file().then(|| name.to_path_buf());
        }
        // inside a role, `tasks/x.yml` and `x.yml` are both understood
        dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
    }

    /// A list of tasks and blocks.
    pub fn entries(&self, node: &Node, around: &Around, what: &str) -> Loaded<Vec<Entry>> {
        let mut entries = Vec::new();
        for item in sequence(node, what)? {
            if item.is_null() {
                continue;
            }
            self.pass_over(self.entry_into(item, around, &mut entries))?;
        }
        Ok(entries)
    }

    fn entry_into(&self, node: &Node, around: &Around, out: &mut Vec<Entry>) -> Loaded<()> {
        let Some(mapping) = node.as_mapping() else {
            return Err(Diag::error("E0130", "a task must be a mapping")
                .at(node.span)
                .label(format!("found {}", node.describe()))
                .help("write `- name: …` with a module below it"));
        };
        if mapping.get("block").is_some() {
            out.push(Entry::Block(Arc::new(self.block(node, around)?)));
            return Ok(());
        }
        if let Some(key) = ["rescue", "always"].iter().find_map(|key| mapping.entry(key)) {
            return Err(Diag::error("E0131", "`rescue` and `always` need a `block`").at(key.key.span));
        }
        let task = self.task(node, around)?;
        let short = short_name(&task.action.name);
        if around.handlers && matches!(short, "include_role" | "import_role") {
            let text = format!("Using '{short}' as a handler is not supported.");
            return Err(Diag::error("E0158", text).at(node.span));
        }
        match short {
            "import_tasks" => {
                let entries = self.import_tasks(&task, around)?;
                out.push(wrap(&task, entries));
            }
            "import_role" => {
                let role = self.import_role(&task, around)?;
                out.push(wrap(&task, vec![Entry::Role(role)]));
            }
            _ => out.push(Entry::Task(Arc::new(task))),
        }
        Ok(())
    }

    fn import_tasks(&self, task: &Task, around: &Around) -> Loaded<Vec<Entry>> {
        let args = task.action.args.as_dict().cloned().unwrap_or_default();
        if let Some(looped) = &task.looped {
            return Err(Diag::error(
                "E0132",
                "You cannot use loops on 'import_tasks' statements. You should use 'include_tasks' instead.",
            )
            .at(looped.span));
        }
        let mut vars = vec![task.vars.clone()];
        vars.extend(around.vars.iter().cloned());
        let name = args.get("_raw_params").or_else(|| args.get("file")).cloned().unwrap_or_default();
        let name = self.host.render_static(&name, &vars)?;
        let Some(name) = name.as_str().filter(|name| !name.is_empty()) else {
            return Err(
                Diag::error("E0133", "No file specified for ansible.builtin.import_tasks").at(task.span)
            );
        };
        let Some(path) = self.find_tasks(name.trim(), around) else {
            return Err(missing_file(&around.dir.join(name), task.action.name.span(), "tasks"));
        };
        if around.vars.len() > 200 {
            return Err(
                Diag::error("E0134", format!("{} is imported in a circle", path.display())).at(task.span)
            );
        }
        self.task_file(&path, &Around { vars, ..around.clone() })
    }

    fn import_role(&self, task: &Task, around: &Around) -> Loaded<Arc<RoleUse>> {
        let args = task.action.args.as_dict().cloned().unwrap_or_default();
        if let Some(looped) = &task.looped {
            return Err(Diag::error(
                "E0132",
                "You cannot use loops on 'import_role' statements. You should use 'include_role' instead.",
            )
            .at(looped.span));
        }
        let mut vars = vec![task.vars.clone()];
        vars.extend(around.vars.iter().cloned());
        let render = |key: &str| -> Loaded<Option<Value>> {
            args.get(key).map(|value| self.host.render_static(value, &vars)).transpose()
        };
        let from = |key: &str| -> Loaded<Option<String>> {
            Ok(render(key)?.and_then(|value| value.as_str().map(str::to_owned)))
        };
        let name = render("name")?.or(render("role")?);
        let Some(name) = name.as_ref().and_then(Value::as_str).filter(|n| !n.is_empty()) else {
            return Err(Diag::error("E0124", "'name' is a required field for import_role.").at(task.span));
        };
        check_role_args(task, &args)?;
        let roles = RoleFrom {
            tasks: from("tasks_from")?,
            vars: from("vars_from")?,
            defaults: from("defaults_from")?,
            handlers: from("handlers_from")?,
        };
        let allow = args.get("allow_duplicates").and_then(Value::to_bool_loose).unwrap_or(true);
        let public = args.get("public").and_then(Value::to_bool_loose).unwrap_or(!self.paths.private_roles);
        let around = Around { vars, ..around.clone() };
        let used =
            self.role(name, task.span, Keywords::default(), Dict::new(), roles, &around, public, true)?;
        let validates = args.get("rolespec_validate").and_then(Value::to_bool_loose).unwrap_or(true);
        if (allow && !used.role.allow_duplicates) || !validates {
            let mut own = clone_shell(&used);
            own.validates = validates;
            own.role = Arc::new(Role {
                name: used.role.name.clone(),
                collection: used.role.collection,
                path: used.role.path.clone(),
                allow_duplicates: allow || used.role.allow_duplicates,
                collections: used.role.collections.clone(),
                argument_specs: used.role.argument_specs.clone(),
            });
            own.tasks.clone_from(&used.tasks);
            own.handlers.clone_from(&used.handlers);
            return Ok(Arc::new(own));
        }
        Ok(used)
    }

    fn block(&self, node: &Node, around: &Around) -> Loaded<Block> {
        const KEYS: [&str; 29] = [
            "block",
            "rollback_after",
            "rescue",
            "always",
            "name",
            "vars",
            "when",
            "tags",
            "become",
            "become_user",
            "become_method",
            "become_flags",
            "become_exe",
            "check_mode",
            "diff",
            "connection",
            "port",
            "remote_user",
            "no_log",
            "run_once",
            "ignore_errors",
            "ignore_unreachable",
            "any_errors_fatal",
            "throttle",
            "timeout",
            "debugger",
            "delegate_to",
            "environment",
            "notify",
        ];
        let mut block = Block {
            span: node.span,
            name: None,
            keywords: Keywords::default(),
            vars: Arc::default(),
            body: Vec::new(),
            rescue: Vec::new(),
            always: Vec::new(),
        };
        let mapping = node.as_mapping().expect("the caller looked");
        if around.handlers {
            let inside = ["block", "rescue", "always"].iter().filter_map(|key| mapping.get(key));
            for item in inside.filter_map(Node::as_sequence).flatten() {
                if item.as_mapping().is_some_and(|entries| entries.get("block").is_some()) {
                    return Err(
                        Diag::error("E0158", "Using a block as a handler is not supported.").at(item.span)
                    );
                }
            }
        }
        let mut lists = Vec::new();
        let mut rollback = None;
        for (key, entry) in mapping.iter() {
            let Some(key) = key.as_str() else {
                return Err(Diag::error("E0107", "a key of a block must be text").at(entry.key.span));
            };
            match key {
                "block" | "rescue" | "always" => lists.push((key, &entry.value)),
                "name" => block.name = text_of(&entry.value)?,
                "vars" => block.vars = Arc::new(self.own_vars(&entry.value)?),
                "rollback_after" => rollback = Some((entry.value.to_value(), entry.key.span)),
                other => {
                    if !read_keyword(&mut block.keywords, other, &entry.value)? {
                        return Err(unknown_key(other, "a Block", &entry.key, &KEYS));
                    }
                }
            }
        }
        let mut around = around.clone();
        around.vars.insert(0, block.vars.clone());
        if let Some(collections) = &block.keywords.collections {
            around.collections = collections.to_vec();
        }
        for (key, node) in lists {
            let entries = self.entries(node, &around, key)?;
            match key {
                "block" => block.body = entries,
                "rescue" => block.rescue = entries,
                _ => block.always = entries,
            }
        }
        if let Some((after, span)) = rollback {
            switched(&mut block, &after, span);
        }
        Ok(block)
    }

    /// The full name behind a module's name, if there is such a module.
    pub fn resolve_action(&self, name: &str, collections: &[String]) -> Option<String> {
        self.host.resolve_action(name, collections)
    }

    /// `vars:` of a play, block or task. Names that mean something else already are told.
    fn own_vars(&self, node: &Node) -> Loaded<Dict> {
        let vars = vars_of(node)?;
        let maps = node.as_sequence().unwrap_or_else(|| std::slice::from_ref(node));
        for entry in maps.iter().filter_map(Node::as_mapping).flat_map(|mapping| mapping.iter()) {
            if let Some(name) = entry.0.as_str().filter(|name| is_reserved(name)) {
                let text = format!("Found variable using reserved name '{name}'.");
                self.warn(Diag::warning("W0103", text).at(entry.1.key.span));
            }
        }
        Ok(vars)
    }

    /// One task.
    pub fn task(&self, node: &Node, around: &Around) -> Loaded<Task> {
        let mapping = node.as_mapping().expect("the caller looked");
        let mut task = Task::plain("", "", Dict::new(), node.span);
        let mut candidates: Vec<(&str, &quorate_yaml::Entry)> = Vec::new();
        let mut extra_args = None;
        for (key, entry) in mapping.iter() {
            let Some(key) = key.as_str() else {
                return Err(Diag::error("E0107", "a key of a task must be text").at(entry.key.span));
            };
            let value = || entry.value.to_value();
            match key {
                "name" => task.name = text_of(&entry.value)?,
                "vars" => task.vars = Arc::new(self.own_vars(&entry.value)?),
                "args" => extra_args = Some(&entry.value),
                "loop" => {
                    self.one_loop(&task, entry)?;
                    task.looped = Some(Loop { lookup: None, items: value(), span: entry.key.span });
                }
                "loop_control" => task.loop_control = loop_control_of(&entry.value)?,
                "register" => task.register = Some(value()),
                "until" => task.until = conditions_of(&entry.value),
                "retries" => task.retries = Some(value()),
                "delay" => task.delay = Some(value()),
                "async" => task.async_seconds = Some(value()),
                "poll" => task.poll = Some(value()),
                "changed_when" => task.changed_when = Some(conditions_of(&entry.value)),
                "failed_when" => task.failed_when = Some(conditions_of(&entry.value)),
                "listen" => task.listen = list_of(value()),
                "action" | "local_action" => candidates.push((key, entry)),
                _ if key.starts_with("with_") => {
                    self.one_loop(&task, entry)?;
                    let lookup = Some(key["with_".len()..].to_owned());
                    task.looped = Some(Loop { lookup, items: value(), span: entry.key.span });
                }
                _ => {
                    if !read_keyword(&mut task.keywords, key, &entry.value)? {
                        candidates.push((key, entry));
                    }
                }
            }
        }
        if !task.listen.is_empty() && !around.handlers {
            return Err(Diag::error("E0135", "'listen' is not a valid attribute for a Task")
                .at(mapping.entry("listen").map_or(node.span, |e| e.key.span))
                .help("`listen` belongs to handlers"));
        }
        let collections =
            task.keywords.collections.as_deref().cloned().unwrap_or_else(|| around.collections.clone());
        let (key, entry) = self.pick_action(node, candidates, &collections)?;
        self.read_action(&mut task, key, entry)?;
        if let Some(extra) = extra_args {
            merge_args(&mut task, extra)?;
        }
        let name = task.action.name.clone();
        let given = task.action.args.as_dict().into_iter().flat_map(Dict::keys);
        if let Some(own) = given.filter_map(Key::as_str).find(|key| key.starts_with("_ansible_")) {
            let text = format!(
                "Invalid parameter specified beginning with keyword '_ansible_' for action '{}': '{own}'. The prefix '_ansible_' is reserved for internal use only.",
                name.as_str()
            );
            return Err(Diag::error("E0145", text).at(node.span));
        }
        task.action.written = name.clone();
        match self.host.resolve_action(&name, &collections) {
            Some(resolved) => task.action.name = Str::new(&resolved).at(name.span()),
            None if name.contains("{{") => {}
            None => return Err(self.unknown_action(&name, entry.key.span)),
        }
        let short = short_name(&task.action.name);
        if task
            .register
            .as_ref()
            .is_some_and(|r| r.as_str().is_none_or(|name| !is_identifier(name) && !name.contains("{{")))
        {
            let span = mapping.entry("register").map_or(node.span, |e| e.value.span);
            let written = task.register.clone().unwrap_or_default();
            let kind = if matches!(written, Value::Str(_)) {
                String::new()
            } else {
                format!(" of type '{}'", written.type_name())
            };
            return Err(Diag::error(
                "E0136",
                format!(
                    "Invalid 'register' specified: Invalid variable name '{}'{kind}.",
                    quorate_value::str_of(&written)
                ),
            )
            .help("Variable names must be strings starting with a letter or underscore character, and contain only letters, numbers and underscores.")
            .at(span));
        }
        if short == "include_role" || short == "import_role" {
            let args = task.action.args.as_dict().cloned().unwrap_or_default();
            check_role_args(&task, &args)?;
        }
        Ok(task)
    }

    fn one_loop(&self, task: &Task, entry: &quorate_yaml::Entry) -> Loaded<()> {
        match &task.looped {
            None => Ok(()),
            Some(first) => {
                let mut diag = Diag::error("E0137", "duplicate loop in task").at(entry.key.span);
                diag.related.push((first.span, "the other loop".into()));
                Err(diag)
            }
        }
    }

    fn pick_action<'n>(
        &self,
        node: &Node,
        candidates: Vec<(&'n str, &'n quorate_yaml::Entry)>,
        collections: &[String],
    ) -> Loaded<(&'n str, &'n quorate_yaml::Entry)> {
        let known = |key: &str| {
            matches!(key, "action" | "local_action") || self.host.resolve_action(key, collections).is_some()
        };
        match candidates.as_slice() {
            [] => Err(Diag::error("E0138", "no module/action detected in task.")
                .at(node.span)
                .label("this task does nothing")),
            [one] => Ok(*one),
            many => {
                let actions: Vec<_> = many.iter().filter(|(key, _)| known(key)).collect();
                match actions.as_slice() {
                    [] => Err(self.unknown_action(many[0].0, many[0].1.key.span)),
                    [action] => {
                        let (key, entry) =
                            many.iter().find(|(key, _)| *key != action.0).expect("several candidates");
                        Err(unknown_key(key, "a Task", &entry.key, &task_keys()))
                    }
                    [first, second, ..] => {
                        let mut diag = Diag::error(
                            "E0139",
                            format!("conflicting action statements: {}, {}", first.0, second.0),
                        )
                        .at(second.1.key.span)
                        .label("a task does one thing");
                        diag.related.push((first.1.key.span, "the other action".into()));
                        Err(diag)
                    }
                }
            }
        }
    }

    fn unknown_action(&self, name: &str, span: Span) -> Diag {
        let mut known = self.host.action_names();
        known.extend(task_keys().iter().map(|key| (*key).to_owned()));
        Diag::error(
            "E0140",
            format!("couldn't resolve module/action '{name}'. This often indicates a misspelling, missing collection, or incorrect module path."),
        )
        .at(span)
        .did_you_mean(name, known)
    }

    fn read_action(&self, task: &mut Task, key: &str, entry: &quorate_yaml::Entry) -> Loaded<()> {
        let value = entry.value.to_value();
        if key == "local_action" {
            task.keywords.set(Kw::DelegateTo, Value::from("localhost"));
        }
        if key == "action" || key == "local_action" {
            match value {
                Value::Str(text) => {
                    let (name, rest) = split_action(text.as_str().trim());
                    task.action.name = carry(&text, name).at(entry.value.span);
                    let rest = carry(&text, rest.trim());
                    task.action.args = self.free_args(name, &rest, entry.value.span)?;
                }
                Value::Dict(entries) => {
                    let mut args = Arc::unwrap_or_clone(entries);
                    if let Some(inner) = args.get("args").and_then(Value::as_dict).cloned() {
                        args.remove("args");
                        args.update(&inner);
                    }
                    let Some(name) = args.remove("module").and_then(|v| v.as_text().cloned()) else {
                        return Err(
                            Diag::error("E0138", "no module/action detected in task.").at(entry.value.span)
                        );
                    };
                    let (module, rest) = split_action(name.as_str().trim());
                    task.action.name = carry(&name, module).at(entry.value.span);
                    if !rest.is_empty() {
                        let mut parsed =
                            self.free_args(module, &carry(&name, rest.trim()), entry.value.span)?;
                        if let Value::Dict(parsed) = &mut parsed {
                            Arc::make_mut(parsed).update(&args);
                        }
                        task.action.args = parsed;
                    } else {
                        task.action.args = Value::dict(args);
                    }
                }
                _ => {
                    return Err(Diag::error("E0141", "unexpected parameter type in action")
                        .at(entry.value.span)
                        .label(format!("found {}", entry.value.describe())));
                }
            }
            return Ok(());
        }
        task.action.name = Str::new(key).at(entry.key.span);
        task.action.args = match value {
            Value::Null => Value::dict(Dict::new()),
            Value::Dict(entries) => Value::Dict(entries),
            Value::Str(text) => self.free_args(key, &text, entry.value.span)?,
            Value::List(items) if takes_free_form(key) => {
                Value::from(quorate_value::dict! {"_raw_params" => Value::List(items)})
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Big(_) if takes_free_form(key) => {
                let text = entry.value.as_scalar().map(|s| s.text().to_owned()).unwrap_or_default();
                Value::from(
                    quorate_value::dict! {"_raw_params" => Value::Str(Str::written(&text, entry.value.span))},
                )
            }
            _ => {
                return Err(Diag::error(
                    "E0141",
                    format!("unexpected parameter type in action: {}", entry.value.describe()),
                )
                .at(entry.value.span)
                .help(format!("write the arguments of `{key}` as a mapping")));
            }
        };
        Ok(())
    }

    /// A task of the command line: a module and its arguments, as one value.
    pub fn adhoc(&self, module: &str, args: Value, span: Span) -> Loaded<Task> {
        let mut task = Task::plain("", module, Dict::new(), span);
        task.action.args = match args {
            Value::Str(text) if text.is_empty() => Value::dict(Dict::new()),
            Value::Str(text) => self.free_args(module, &text, span)?,
            other => other,
        };
        match self.host.resolve_action(module, &[]) {
            Some(resolved) => task.action.name = Str::new(&resolved).at(span),
            None => return Err(self.unknown_action(module, span)),
        }
        Ok(task)
    }

    fn free_args(&self, module: &str, text: &Str, span: Span) -> Loaded<Value> {
        let raw = takes_free_form(module);
        let trimmed = text.as_str().trim();
        if !raw && trimmed.starts_with("{{") && trimmed.ends_with("}}") && !trimmed[2..].contains("{{") {
            // arguments as one variable: `module: "{{ args }}"`
            return Ok(Value::Str(text.clone()));
        }
        let args = kv::parse_kv(text, is_shell_like(module)).map_err(|e| {
            Diag::error("E0142", e.to_string())
                .at(span)
                .help("quote the whole value, or write the arguments as a mapping")
        })?;
        // what a template would add is refused where it is run
        let later = |rest: &Value| rest.as_text().is_some_and(Str::is_template);
        if !raw && let Some(rest) = args.get("_raw_params").filter(|rest| !later(rest) || args.len() == 1) {
            return Err(Diag::error(
                "E0143",
                format!("this task '{module}' has extra params, which is only allowed in the following modules: {}", FREE_FORM.join(", ")),
            )
            .at(span)
            .label(format!("`{}` is no k=v pair", quorate_value::str_of(rest)))
            .help("write `key=value` pairs, or a mapping"));
        }
        Ok(Value::dict(args))
    }
}

/// A part of `text` with its marks.
fn carry(text: &Str, part: &str) -> Str {
    let out = Str::new(part).at(text.span());
    let out = if text.is_trusted() { out.trusted() } else { out };
    if text.is_secret() { out.secret() } else { out }
}

/// `ns.coll.role` for a role that lies in a collection, however it was asked for.
fn full_role_name(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let at = parts.iter().rposition(|part| *part == "ansible_collections")?;
    match &parts[at + 1..] {
        [namespace, collection, "roles", role @ ..] if !role.is_empty() => {
            Some(format!("{namespace}.{collection}.{}", role.join(".")))
        }
        _ => None,
    }
}

/// The module and the rest; blanks inside a template do not part them.
fn split_action(text: &str) -> (&str, &str) {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        if rest.starts_with("{{") {
            depth += 1;
        } else if rest.starts_with("}}") {
            depth = depth.saturating_sub(1);
        } else if c.is_whitespace() && depth == 0 {
            return (&text[..at], &text[at..]);
        }
    }
    (text, "")
}

/// Modules whose text is a command line rather than pairs.
fn is_shell_like(module: &str) -> bool {
    matches!(short_name(module), "command" | "shell" | "script" | "raw" | "win_command" | "win_shell")
}

/// Modules that take free text (`_raw_params`).
pub const FREE_FORM: [&str; 16] = [
    "add_host",
    "command",
    "group_by",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "raw",
    "script",
    "set_fact",
    "shell",
    "win_command",
    "win_shell",
    "import_playbook",
];

fn takes_free_form(module: &str) -> bool {
    let short = short_name(module);
    FREE_FORM.contains(&short.strip_prefix("ansible.windows.").unwrap_or(short))
}

/// `ansible.builtin.copy` and `ansible.legacy.copy` are `copy`; other collections keep their names.
pub fn short_name(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name)
}

fn clone_shell(role: &RoleUse) -> RoleUse {
    RoleUse {
        role: role.role.clone(),
        span: role.span,
        identity: role.identity,
        keywords: role.keywords.clone(),
        params: role.params.clone(),
        defaults: role.defaults.clone(),
        vars: role.vars.clone(),
        parents: role.parents.clone(),
        tasks: Vec::new(),
        handlers: Vec::new(),
        public: role.public,
        entry: role.entry.clone(),
        validates: role.validates,
        from_task: role.from_task,
    }
}

/// What a static import leaves: its tasks in a block with the keywords and variables of the import.
fn wrap(task: &Task, body: Vec<Entry>) -> Entry {
    let keywords = task.keywords.clone();
    Entry::Block(Arc::new(Block {
        span: task.span,
        name: None,
        keywords,
        vars: task.vars.clone(),
        body,
        rescue: Vec::new(),
        always: Vec::new(),
    }))
}

fn check_role_args(task: &Task, args: &Dict) -> Loaded<()> {
    const KNOWN: [&str; 11] = [
        "name",
        "role",
        "tasks_from",
        "vars_from",
        "defaults_from",
        "handlers_from",
        "public",
        "apply",
        "allow_duplicates",
        "rolespec_validate",
        "_raw_params",
    ];
    for key in args.keys().filter_map(Key::as_str) {
        if !KNOWN.contains(&key) {
            return Err(Diag::error(
                "E0125",
                format!("Invalid options for {}: {key}", task.action.name.as_str()),
            )
            .at(task.span)
            .did_you_mean(key, KNOWN));
        }
    }
    Ok(())
}

/// Every key a task may have besides its module.
pub fn task_keys() -> Vec<&'static str> {
    let mut keys = TASK_KEYS.to_vec();
    keys.extend(Kw::ALL.iter().map(|(_, name)| *name));
    keys
}

/// Keys of a play that are known: its own, and the keywords that it hands on to its tasks.
pub fn play_keys() -> Vec<&'static str> {
    let handed_on = Kw::ALL.iter().filter(|(kw, _)| !matches!(kw, Kw::DelegateTo | Kw::DelegateFacts));
    let mut keys = PLAY_KEYS.to_vec();
    keys.extend(handed_on.map(|(_, name)| *name));
    keys
}

/// `rollback_after`: the block arms a switch first, and confirms over a fresh connection last, handlers included; what
/// fails in between rolls back before anything else is done about it.
fn switched(block: &mut Block, after: &Value, span: Span) {
    let entry = |name: &str, module: &str, args: Dict| {
        let mut task = Task::plain(name, module, args, span);
        // whatever tags are asked for: without it nothing is safe
        task.keywords.tags.push(Str::new("always"));
        Entry::Task(Arc::new(task))
    };
    let switch = |name: &str, args: Dict| entry(name, "quorate_switch", args);
    let after = after.clone();
    block
        .body
        .insert(0, switch("Arm the rollback", quorate_value::dict! {"state" => "armed", "after" => after}));
    block.body.push(entry(
        "",
        "ansible.builtin.meta",
        quorate_value::dict! {"_raw_params" => "flush_handlers"},
    ));
    block.body.push(switch("Confirm over a fresh connection", quorate_value::dict! {"state" => "confirmed"}));
    let fails = block.rescue.is_empty();
    block
        .rescue
        .insert(0, switch("Roll back", quorate_value::dict! {"state" => "rolled_back", "fails" => fails}));
}

fn unknown_key(key: &str, of: &str, node: &Node, known: &[&str]) -> Diag {
    let known: Vec<&str> = known.iter().copied().chain(Kw::ALL.iter().map(|(_, n)| *n)).collect();
    Diag::error("E0107", format!("'{key}' is not a valid attribute for {of}"))
        .at(node.span)
        .did_you_mean(key, known)
}

/// Reads one of the shared keywords; false where the key is not one.
fn read_keyword(keywords: &mut Keywords, key: &str, node: &Node) -> Loaded<bool> {
    if let Some(kw) = Kw::named(key) {
        let value = node.to_value();
        if !value.is_null() {
            keywords.set(kw, value);
        }
        return Ok(true);
    }
    match key {
        "tags" => keywords.tags = tags_of(node)?,
        "when" => keywords.when = conditions_of(node),
        "environment" => keywords.environment = list_of(node.to_value()),
        "module_defaults" => keywords.module_defaults = list_of(node.to_value()),
        "notify" => keywords.notify = list_of(node.to_value()),
        "collections" => keywords.collections = Some(Arc::new(words_of(node)?)),
        _ => return Ok(false),
    }
    Ok(true)
}

fn sequence<'n>(node: &'n Node, what: &str) -> Loaded<&'n [Node]> {
    if node.is_null() {
        return Ok(&[]);
    }
    node.as_sequence().ok_or_else(|| {
        let mut diag = Diag::error("E0130", format!("`{what}` must be a list"))
            .at(node.span)
            .label(format!("found {}", node.describe()));
        let value = node.to_value();
        diag.ansible = Some(format!(
            "A malformed block was encountered while loading {what}: {} should be a list or None but is <class '{}'>",
            quorate_value::str_of(&value),
            value.type_name()
        ));
        diag
    })
}

fn vars_of(node: &Node) -> Loaded<Dict> {
    let mut vars = Dict::new();
    let maps: Vec<&Node> = match node.as_sequence() {
        Some(items) => items.iter().collect(),
        None => vec![node],
    };
    for map in maps.into_iter().filter(|node| !node.is_null()) {
        let Some(mapping) = map.as_mapping() else {
            return Err(Diag::error(
                "E0150",
                "Vars in a playbook must be specified as a dictionary, or a list of dictionaries",
            )
            .at(map.span)
            .label(format!("found {}", map.describe())));
        };
        for (key, entry) in mapping.iter() {
            match key.as_str() {
                Some(name) if is_identifier(name) => {
                    vars.insert(name, entry.value.to_value());
                }
                _ => {
                    let shown = entry.key.as_scalar().map(|s| s.text().to_owned()).unwrap_or_default();
                    return Err(Diag::error(
                        "E0151",
                        format!("Invalid variable name in vars specified: '{shown}'"),
                    )
                    .at(entry.key.span)
                    .label("letters, digits and underscores, not starting with a digit"));
                }
            }
        }
    }
    Ok(vars)
}

/// Whether a name is a keyword of plays and tasks, or a function of templates: a variable of that name hides it, or is
/// hidden by it.
pub fn is_reserved(name: &str) -> bool {
    const FUNCTIONS: [&str; 12] = [
        "cycler",
        "dict",
        "joiner",
        "lipsum",
        "lookup",
        "namespace",
        "now",
        "omit",
        "q",
        "query",
        "range",
        "undef",
    ];
    let keyword = TASK_KEYS.contains(&name) || PLAY_KEYS.contains(&name) || Kw::named(name).is_some();
    // Ansible leaves these two out
    (keyword && !matches!(name, "vars" | "gather_subset"))
        || matches!(name, "block" | "rescue" | "always" | "with_")
        || FUNCTIONS.contains(&name)
}

/// A valid variable name: a Python identifier that is no keyword.
pub fn is_identifier(name: &str) -> bool {
    const KEYWORDS: [&str; 38] = [
        "true", "false", "none", "False", "None", "True", "and", "as", "assert", "async", "await", "break",
        "class", "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global",
        "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try",
        "while", "with", "yield",
    ];
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&name)
}

fn text_of(node: &Node) -> Loaded<Option<Str>> {
    match node.to_value() {
        Value::Null => Ok(None),
        Value::Str(text) => Ok(Some(text)),
        Value::List(_) | Value::Dict(_) => Err(Diag::error("E0152", "a name must be text").at(node.span)),
        _ => Ok(node.as_scalar().map(|s| Str::written(s.text(), node.span))),
    }
}

fn tags_of(node: &Node) -> Loaded<Vec<Str>> {
    let mut tags = Vec::new();
    let items = match node.to_value() {
        Value::Null => Vec::new(),
        Value::List(items) => items.to_vec(),
        one => vec![one],
    };
    for item in items {
        match item {
            Value::Str(text) if text.is_template() => tags.push(text),
            Value::Str(text) => {
                tags.extend(text.split(',').map(|t| carry(&text, t.trim())).filter(|t| !t.is_empty()))
            }
            Value::Int(number) => tags.push(Str::from(number.to_string())),
            other => {
                return Err(Diag::error(
                    "E0153",
                    format!("tags must be specified as a list of text, found {}", other.type_name()),
                )
                .at(node.span));
            }
        }
    }
    Ok(tags)
}

fn conditions_of(node: &Node) -> Vec<Value> {
    list_of(node.to_value())
}

fn list_of(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::List(items) => Arc::unwrap_or_clone(items),
        one => vec![one],
    }
}

fn words_of(node: &Node) -> Loaded<Vec<String>> {
    list_of(node.to_value())
        .into_iter()
        .map(|value| match value {
            Value::Str(text) => Ok(text.as_str().to_owned()),
            other => {
                Err(Diag::error("E0154", format!("expected a list of names, found {}", other.type_name()))
                    .at(node.span))
            }
        })
        .collect()
}

fn loop_control_of(node: &Node) -> Loaded<LoopControl> {
    const KEYS: [&str; 7] =
        ["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];
    let mut control = LoopControl::default();
    let Some(mapping) = node.as_mapping() else {
        return Err(Diag::error("E0155", "the `loop_control` value must be specified as a dictionary and cannot be a variable itself (though it can contain variables)").at(node.span));
    };
    for (key, entry) in mapping.iter() {
        let value = entry.value.to_value();
        match key.as_str().unwrap_or_default() {
            "loop_var" => control.loop_var = value,
            "index_var" => control.index_var = Some(value),
            "label" => control.label = Some(value),
            "pause" => control.pause = Some(value),
            "extended" => control.extended = Some(value),
            "extended_allitems" => control.extended_allitems = Some(value),
            "break_when" => control.break_when = list_of(value),
            other => return Err(unknown_key(other, "a LoopControl", &entry.key, &KEYS)),
        }
    }
    Ok(control)
}

fn prompts_of(node: &Node) -> Loaded<Vec<VarsPrompt>> {
    let mut prompts = Vec::new();
    for item in sequence(node, "vars_prompt")? {
        let Some(mapping) = item.as_mapping() else {
            return Err(Diag::error(
                "E0156",
                "Invalid vars_prompt data structure, expected a list of mappings",
            )
            .at(item.span));
        };
        let text = |key: &str| mapping.get(key).and_then(Node::as_str).map(str::to_owned);
        let flag = |key: &str, otherwise: bool| {
            mapping.get(key).and_then(|n| n.to_value().to_bool_loose()).unwrap_or(otherwise)
        };
        let Some(name) = mapping.get("name").and_then(Node::as_text) else {
            return Err(
                Diag::error("E0156", "Invalid vars_prompt data structure, missing 'name' key").at(item.span)
            );
        };
        for (key, entry) in mapping.iter() {
            const KEYS: [&str; 9] =
                ["name", "prompt", "default", "private", "confirm", "encrypt", "salt_size", "salt", "unsafe"];
            let key = key.as_str().unwrap_or_default();
            if !KEYS.contains(&key) {
                return Err(unknown_key(key, "vars_prompt", &entry.key, &KEYS));
            }
        }
        prompts.push(VarsPrompt {
            name: name.clone(),
            prompt: mapping.get("prompt").and_then(Node::as_text).cloned(),
            default: mapping.get("default").map(Node::to_value).filter(|v| !v.is_null()),
            private: flag("private", true),
            confirm: flag("confirm", false),
            encrypt: text("encrypt"),
            salt: text("salt"),
            salt_size: mapping.get("salt_size").and_then(|n| n.to_value().as_int()),
            unsafe_text: flag("unsafe", false),
        });
    }
    Ok(prompts)
}

fn merge_args(task: &mut Task, node: &Node) -> Loaded<()> {
    match (node.to_value(), &mut task.action.args) {
        (Value::Null, _) => {}
        (Value::Dict(extra), Value::Dict(args)) => {
            let mut merged = (*extra).clone();
            merged.update(args);
            *args = Arc::new(merged);
        }
        (Value::Str(text), Value::Dict(args)) if text.is_template() => {
            Arc::make_mut(args).insert("_variable_params", Value::Str(text));
        }
        (Value::Dict(extra), Value::Str(text)) if text.is_template() => {
            let mut merged = (*extra).clone();
            merged.insert("_variable_params", Value::Str(text.clone()));
            task.action.args = Value::dict(merged);
        }
        _ => {
            return Err(Diag::error(
                "E0144",
                "Complex args must be a dictionary or variable string ('{{ var }}')",
            )
            .at(node.span)
            .label(format!("found {}", node.describe())));
        }
    }
    Ok(())
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Diag {
    let diag = Diag::error("E0101", format!("cannot read {}: {}", path.display(), plain_io(error)));
    let names = path.parent().and_then(|dir| {
        std::fs::read_dir(if dir.as_os_str().is_empty() { Path::new(".") } else { dir }).ok()
    });
    match (path.file_name(), names) {
        (Some(name), Some(entries)) => {
            let names = entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned());
            diag.did_you_mean(&name.to_string_lossy(), names)
        }
        _ => diag,
    }
}

/// The files that stand where a path leads, named the way that path is.
pub fn beside(dir: &Path, wanted: &str) -> Vec<String> {
    let folder = Path::new(wanted).parent().unwrap_or(Path::new(""));
    // without a dot, the working directory has no name
    let place = Path::new(".").join(dir).join(folder);
    let entries = std::fs::read_dir(place).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| folder.join(entry.file_name()).display().to_string()).collect()
}

/// An I/O error without Rust's `(os error 2)`.
pub fn plain_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn missing_file(path: &Path, span: Span, what: &str) -> Diag {
    let mut diag = cannot_read(path, &std::io::Error::from(std::io::ErrorKind::NotFound));
    diag.message = format!("Could not find or access '{}' ({what})", path.display());
    diag.span = span;
    diag
}

/// What is wrong with a text of YAML.
pub fn yaml_diag(error: &quorate_yaml::YamlError) -> Diag {
    let mut diag = Diag::error("E0100", error.message().to_owned()).at(error.span());
    if let Some((span, what)) = error.related() {
        diag.related.push((span, what.to_owned()));
    }
    diag.help = error.help().map(str::to_owned);
    diag.ansible = error.libyaml().map(|words| {
        let mut words = words.to_owned();
        words[..1].make_ascii_uppercase();
        format!("YAML parsing failed: {words}.")
    });
    diag
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn yaml_stems(dir: &Path) -> Vec<String> {
    walk(dir)
        .iter()
        .filter_map(|path| path.strip_prefix(dir).ok())
        .map(|path| path.with_extension("").to_string_lossy().into_owned())
        .collect()
}
