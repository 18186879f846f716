//! Sources to an inventory: files, directories, scripts and lists of hosts, as `-i` names them.
//!
//! In: the texts of `-i`, in order. Out: a [`Loaded`] inventory with every mistake and warning found.
//!
//! **Invariant:** a source that cannot be read hides neither the others nor their mistakes.
//!
//! Not here: `group_vars/` and `host_vars/` (`var_files`).

mod constructed;
mod generator;
mod host_list;
mod ini;
mod plugin;
mod script;
mod toml;
mod yaml;

use crate::error::{Attempt, InventoryError, SourceFailure, Warning, nearest};
use crate::model::{Inventory, Source};
use crate::options::{Options, Plugin};
use crate::plain::{self, Tree};
use crate::range::expand_host;
use quorate_value::{FileId, Span};
use quorate_yaml::{Document, YamlError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An inventory and what was wrong with its sources.
#[derive(Debug)]
pub struct Loaded {
    /// The inventory; never without `all`, `ungrouped` and the implicit localhost.
    pub inventory: Inventory,
    /// Sources that could not be read. Ansible warns of them and goes on.
    pub failures: Vec<SourceFailure>,
    /// What is odd, in order; [`Warning::Unparsed`] and [`Warning::NothingParsed`] stand for failures.
    pub warnings: Vec<Warning>,
    /// Whether any source could be read.
    pub parsed: bool,
}

impl Inventory {
    /// Reads sources, in order. Without any there is only the implicit localhost.
    pub fn load(sources: &[impl AsRef<str>], options: Options) -> Loaded {
        let mut loader = Loader { inventory: Inventory::new(options), failures: Vec::new() };
        let mut parsed = false;
        for source in sources {
            parsed |= loader.top_level(source.as_ref());
        }
        let Loader { mut inventory, failures } = loader;
        inventory.current = None;
        if parsed {
            inventory.reconcile();
            inventory.warn_of_shared_names();
        } else {
            inventory.clear();
        }
        let mut warnings = std::mem::take(&mut inventory.warnings);
        if !parsed {
            warnings.push(Warning::NothingParsed);
        }
        Loaded { inventory, failures, warnings, parsed }
    }
}

struct Loader {
    inventory: Inventory,
    failures: Vec<SourceFailure>,
}

/// What a way of reading a source says about it.
enum Outcome {
    /// It is not for this plugin.
    NotMine,
    Parsed,
    Failed(Vec<InventoryError>),
}

impl From<Vec<InventoryError>> for Outcome {
    fn from(errors: Vec<InventoryError>) -> Self {
        if errors.is_empty() { Outcome::Parsed } else { Outcome::Failed(errors) }
    }
}

impl Loader {
    fn top_level(&mut self, text: &str) -> bool {
        if text.contains(',') && !Path::new(text).exists() {
            let source = Arc::new(Source { text: text.to_owned(), directory: None });
            self.inventory.sources.push(source.clone());
            return self.host_list(text, source);
        }
        let path = absolute(text);
        let directory = if path.is_dir() { Some(path.clone()) } else { path.parent().map(Path::to_path_buf) };
        let source = Source { text: path.to_string_lossy().into_owned(), directory };
        self.inventory.sources.push(Arc::new(source));
        self.path(&path, text, 0)
    }

    fn host_list(&mut self, text: &str, source: Arc<Source>) -> bool {
        self.inventory.current = Some(source);
        let plugins = self.inventory.options.enabled.clone();
        let mut attempts = Vec::new();
        for plugin in plugins {
            let errors = match plugin {
                Plugin::HostList => host_list::apply(&mut self.inventory, text, false),
                Plugin::AdvancedHostList => host_list::apply(&mut self.inventory, text, true),
                _ => continue,
            };
            if errors.is_empty() {
                return true;
            }
            attempts.push(Attempt { plugin: plugin.name(), errors });
        }
        self.fail(text.to_owned(), attempts);
        false
    }

    fn fail(&mut self, source: String, attempts: Vec<Attempt>) {
        self.inventory.warnings.push(Warning::Unparsed { source_text: source.clone() });
        self.failures.push(SourceFailure { source, attempts });
    }

    fn path(&mut self, path: &Path, text: &str, depth: u32) -> bool {
        if path.is_dir() {
            return self.directory(path, depth);
        }
        let shown = path.to_string_lossy().into_owned();
        if !path.exists() {
            let siblings = std::fs::read_dir(path.parent().unwrap_or(Path::new("/"))).into_iter().flatten();
            let names: Vec<String> =
                siblings.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let nearest = nearest(name, names.iter().map(String::as_str));
            let error = InventoryError::Missing { source_text: text.to_owned(), nearest };
            self.fail(shown, vec![Attempt { plugin: "auto", errors: vec![error] }]);
            return false;
        }
        let directory = path.parent().map(Path::to_path_buf);
        self.inventory.current = Some(Arc::new(Source { text: shown.clone(), directory }));
        let mut file = File { path, text: None, document: None, tree: None };
        let mut attempts: Vec<Attempt> = Vec::new();
        for plugin in self.inventory.options.enabled.clone() {
            match self.attempt(plugin, &mut file) {
                Outcome::NotMine => {}
                Outcome::Parsed => return true,
                Outcome::Failed(errors) => attempts.push(Attempt { plugin: plugin.name(), errors }),
            }
        }
        // What fits the name of the file best leads: nobody wants to hear why YAML is no INI.
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let yaml_like = file.looks_like_yaml();
        attempts.sort_by_key(|attempt| match (attempt.plugin, extension) {
            ("script", _) => 0,
            ("toml", "toml") => 1,
            // A `plugin:` file is for `auto`; otherwise `auto` only says that there is no `plugin:`.
            ("auto", _) => 1,
            ("yaml", "yml" | "yaml" | "json") => 2,
            ("yaml", _) if yaml_like => 2,
            ("ini", _) => 3,
            _ => 4,
        });
        self.fail(shown, attempts);
        false
    }

    fn directory(&mut self, path: &Path, depth: u32) -> bool {
        let mut names: Vec<String> = match std::fs::read_dir(path) {
            Ok(entries) => {
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            Err(error) => {
                let error = InventoryError::Read { path: path.to_path_buf(), problem: error.to_string() };
                self.fail(
                    path.to_string_lossy().into_owned(),
                    vec![Attempt { plugin: "auto", errors: vec![error] }],
                );
                return false;
            }
        };
        names.sort_unstable();
        let options = &self.inventory.options;
        let patterns: Vec<_> = options
            .ignored_patterns
            .iter()
            .filter_map(|pattern| crate::pattern::regex(pattern).ok())
            .collect();
        names.retain(|name| {
            let ignored = name.starts_with('.')
                || matches!(name.as_str(), "host_vars" | "group_vars" | "vars_plugins")
                || options.ignored_extensions.iter().any(|extension| name.ends_with(extension.as_str()))
                || patterns.iter().any(|pattern| pattern.is_match(name).unwrap_or(false));
            !ignored
        });
        let mut parsed = false;
        // A link to a parent would never end.
        if depth < 40 {
            for name in names {
                let below = path.join(name);
                let shown = below.to_string_lossy().into_owned();
                parsed |= self.path(&below, &shown, depth + 1);
            }
        }
        if !parsed {
            self.inventory
                .warnings
                .push(Warning::Unparsed { source_text: path.to_string_lossy().into_owned() });
        }
        parsed
    }

    fn attempt(&mut self, plugin: Plugin, file: &mut File<'_>) -> Outcome {
        let extension = file.path.extension().and_then(|extension| extension.to_str());
        let ends_as = |known: &[String]| {
            extension
                .is_none_or(|extension| known.iter().any(|known| known.strip_prefix('.') == Some(extension)))
        };
        let inventory = &mut self.inventory;
        match plugin {
            Plugin::HostList | Plugin::AdvancedHostList => Outcome::NotMine,
            Plugin::Script if script::is_script(file.path) => script::apply(inventory, file.path).into(),
            Plugin::Script => Outcome::NotMine,
            Plugin::Toml | Plugin::Ini if (extension == Some("toml")) != (plugin == Plugin::Toml) => {
                Outcome::NotMine
            }
            Plugin::Toml => match file.text(inventory) {
                Ok((text, id)) => toml::apply(inventory, &text, id).into(),
                Err(error) => Outcome::Failed(vec![error]),
            },
            Plugin::Ini => match file.text(inventory) {
                Ok((text, id)) => {
                    let parsed = ini::parse(&text, id);
                    // YAML is not to leave its first words behind as hosts.
                    if parsed.errors.is_empty() || !file.looks_like_yaml() {
                        ini::apply(inventory, parsed).into()
                    } else {
                        Outcome::Failed(parsed.errors)
                    }
                }
                Err(error) => Outcome::Failed(vec![error]),
            },
            Plugin::Auto | Plugin::Constructed | Plugin::Generator => {
                if plugin == Plugin::Auto && !matches!(extension, Some("yml" | "yaml")) {
                    return Outcome::NotMine;
                }
                if plugin != Plugin::Auto
                    && !(ends_as(&inventory.options.yaml_extensions) || extension == Some("config"))
                {
                    return Outcome::NotMine;
                }
                // Most files have no such key, and most of those are seen to have none without the YAML parser.
                if file.tree(inventory).is_ok_and(|(tree, _)| plugin_key(&tree).is_none()) {
                    return Outcome::NotMine;
                }
                let Ok(document) = file.document(inventory) else { return Outcome::NotMine };
                let Some(node) = document.root.get("plugin") else { return Outcome::NotMine };
                let name = node.as_str().unwrap_or_default();
                match Plugin::named(name) {
                    Some(named) if plugin != Plugin::Auto && named != plugin => Outcome::NotMine,
                    Some(Plugin::Constructed) => constructed::apply(inventory, &document.root).into(),
                    Some(Plugin::Generator) => generator::apply(inventory, &document.root).into(),
                    Some(Plugin::Yaml) => yaml::apply(inventory, Tree::Node(document.root.clone(), 0)).into(),
                    Some(_) => Outcome::Failed(vec![InventoryError::Plugin {
                        span: node.span,
                        name: name.to_owned(),
                        problem: "reads no file with a `plugin` key".into(),
                    }]),
                    None => Outcome::Failed(vec![InventoryError::UnknownPlugin {
                        span: node.span,
                        name: name.to_owned(),
                        nearest: nearest(name, ["constructed", "generator"]),
                    }]),
                }
            }
            Plugin::Yaml if !ends_as(&inventory.options.yaml_extensions) => Outcome::NotMine,
            Plugin::Yaml => match file.tree(inventory) {
                Ok((tree, warnings)) => {
                    // A `plugin:` that `auto` could not run is no group.
                    if plugin_key(&tree).is_some_and(|plugin| plugin.as_str().is_some()) {
                        return Outcome::NotMine;
                    }
                    if tree.is_null() {
                        return Outcome::Failed(vec![InventoryError::Shape {
                            span: tree.span(),
                            what: "a YAML inventory".into(),
                            wanted: "a mapping of groups",
                            found: "nothing".into(),
                            hint: None,
                        }]);
                    }
                    inventory.warnings.extend(warnings);
                    // Nobody else needs the tree, unless this fails.
                    file.tree = None;
                    yaml::apply(inventory, Arc::unwrap_or_clone(tree)).into()
                }
                Err(error) => Outcome::Failed(vec![error]),
            },
        }
    }
}

fn plugin_key(tree: &Tree) -> Option<Tree> {
    let entries = tree.entries()?;
    entries.iter().find(|entry| entry.key.as_str() == Some("plugin")).map(|entry| entry.value.clone())
}

/// A file that several plugins may look at, read once.
struct File<'a> {
    path: &'a Path,
    text: Option<Result<(Arc<str>, FileId), InventoryError>>,
    document: Option<Result<Arc<Document>, InventoryError>>,
    tree: Option<Arc<Tree>>,
}

impl File<'_> {
    fn text(&mut self, inventory: &mut Inventory) -> Result<(Arc<str>, FileId), InventoryError> {
        let path = self.path;
        self.text.get_or_insert_with(|| read(path, inventory)).clone()
    }

    fn document(&mut self, inventory: &mut Inventory) -> Result<Arc<Document>, InventoryError> {
        if self.document.is_none() {
            let (text, id) = self.text(inventory)?;
            let parsed = quorate_yaml::parse(&text, id).map(Arc::new).map_err(InventoryError::Yaml);
            self.document = Some(parsed);
        }
        self.document.clone().unwrap_or_else(|| Err(YamlError::new(Span::default(), "not read").into()))
    }

    /// The document as a tree, and what is odd about it; read the short way where that is possible.
    fn tree(&mut self, inventory: &mut Inventory) -> Result<(Arc<Tree>, Vec<Warning>), InventoryError> {
        if self.tree.is_none() {
            let (text, id) = self.text(inventory)?;
            let tree = match plain::read(&text, id) {
                Some(tree) => tree,
                None => Tree::Node(self.document(inventory)?.root.clone(), 0),
            };
            self.tree = Some(Arc::new(tree));
        }
        let warnings = match &self.document {
            Some(Ok(document)) => document.warnings.iter().cloned().map(Warning::Yaml).collect(),
            _ => Vec::new(),
        };
        let null = || Arc::new(Tree::Scalar(quorate_value::Value::Null, Span::default()));
        Ok((self.tree.clone().unwrap_or_else(null), warnings))
    }

    /// Whether the text is a YAML mapping or list, or looks as if it was meant to be one.
    fn looks_like_yaml(&self) -> bool {
        match &self.document {
            Some(Ok(document)) => document.root.as_scalar().is_none(),
            _ => self.text.as_ref().and_then(|text| text.as_ref().ok()).is_some_and(|(text, _)| {
                let first =
                    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
                first.is_some_and(|line| {
                    line.ends_with(':') || line == "---" || line.starts_with('{') || line.contains(": ")
                })
            }),
        }
    }
}

fn read(path: &Path, inventory: &mut Inventory) -> Result<(Arc<str>, FileId), InventoryError> {
    let bytes = quorate_value::read(path)
        .map_err(|error| InventoryError::Read { path: path.to_path_buf(), problem: error.to_string() })?;
    if bytes.starts_with(b"$ANSIBLE_VAULT") {
        let problem = |problem: String| InventoryError::Vault { path: path.to_path_buf(), problem };
        let Some(decrypt) = &inventory.options.decrypt else {
            return Err(problem("no vault password was given".into()));
        };
        let text = decrypt.decrypt(&bytes, path).map_err(problem)?;
        // The plain text is not kept: what is registered can be shown.
        return Ok((Arc::from(text), FileId::register(path, Arc::from(""))));
    }
    let text: Arc<str> = match String::from_utf8(bytes) {
        Ok(text) => Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text)),
        Err(error) => {
            inventory.warnings.push(Warning::NotUtf8 { path: path.to_path_buf() });
            Arc::from(String::from_utf8_lossy(error.as_bytes()))
        }
    };
    Ok((text.clone(), FileId::register(path, text)))
}

/// A path made absolute, with `~` and `.`, `..` resolved by name.
fn absolute(text: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    let path = match text.strip_prefix("~/") {
        Some(rest) => home().map_or_else(|| PathBuf::from(text), |home| home.join(rest)),
        None if text == "~" => home().unwrap_or_else(|| PathBuf::from(text)),
        None => PathBuf::from(text),
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// Names of a host entry and its port, with the place in errors.
fn hosts_of_entry(text: &str, span: Span) -> Result<(Vec<String>, Option<u32>), InventoryError> {
    expand_host(text).map_err(|problem| InventoryError::Range { span, pattern: text.to_owned(), problem })
}
