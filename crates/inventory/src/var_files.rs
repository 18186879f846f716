//! `group_vars/` and `host_vars/`: which files belong to a name, and what they say.
//!
//! In: directories of inventory sources and of the playbook. Out: variables per group or host, read when first asked for,
//! each file once.
//!
//! **Invariant:** a file of a host or group that nobody asks for is never opened: a vault without its password
//! does not stand in the way of a run that does not need it.

use crate::error::{InventoryError, Warning};
use crate::options::{Decrypt, Options};
use crate::plain::{self, Entry, Tree};
use crate::vars::{HashBehaviour, Vars};
use quorate_value::{FileId, Str};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

const VAULT_HEADER: &[u8] = b"$ANSIBLE_VAULT";

/// Whether a directory belongs to groups or hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Group,
    Host,
}

impl Kind {
    fn directory(self) -> &'static str {
        match self {
            Kind::Group => "group_vars",
            Kind::Host => "host_vars",
        }
    }
}

/// Variables of one file.
#[derive(Debug)]
pub(crate) struct FileVars {
    pub(crate) path: PathBuf,
    pub(crate) vars: Vars,
}

type Read = Result<Arc<FileVars>, Arc<InventoryError>>;
type Files = Result<Arc<[Arc<FileVars>]>, Arc<InventoryError>>;

/// Names in a directory; whether each is itself a directory.
type Listing = Arc<BTreeMap<String, bool>>;

/// All `group_vars/` and `host_vars/` of an inventory.
pub(crate) struct VarFiles {
    extensions: Vec<String>,
    behaviour: HashBehaviour,
    decrypt: Option<Arc<dyn Decrypt>>,
    listings: RwLock<HashMap<PathBuf, Listing>>,
    read: RwLock<HashMap<PathBuf, Read>>,
    warnings: Mutex<Vec<Warning>>,
}

impl std::fmt::Debug for VarFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VarFiles").finish_non_exhaustive()
    }
}

impl VarFiles {
    pub(crate) fn new(options: &Options) -> Self {
        VarFiles {
            extensions: options.vars_extensions.clone(),
            behaviour: options.hash_behaviour,
            decrypt: options.decrypt.clone(),
            listings: RwLock::default(),
            read: RwLock::default(),
            warnings: Mutex::default(),
        }
    }

    /// The variables that files in `base` give to a group or host, in the order in which they combine.
    pub(crate) fn of(&self, base: &Path, kind: Kind, name: &str) -> Files {
        let directory = base.join(kind.directory());
        let listing = self.listing(&directory, Some(kind));
        if listing.is_empty() || name.starts_with('/') {
            return Ok(Arc::from([]));
        }
        let mut files = Vec::new();
        let candidates = std::iter::once("").chain(self.extensions.iter().map(String::as_str));
        for extension in candidates {
            let file = format!("{name}{extension}");
            let path = directory.join(&file);
            let is_directory = match listing.get(&file) {
                Some(is_directory) => *is_directory,
                // Names with a slash reach below the directory.
                None if name.contains('/') && path.exists() => path.is_dir(),
                None => continue,
            };
            if is_directory {
                self.below(&path, &mut files, 0);
            } else {
                files.push(path);
            }
            break;
        }
        files.into_iter().map(|path| self.file(&path)).collect()
    }

    /// Warnings that came up since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn warn(&self, warning: Warning) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    fn listing(&self, directory: &Path, kind: Option<Kind>) -> Listing {
        if let Some(known) = self.listings.read().unwrap_or_else(PoisonError::into_inner).get(directory) {
            return known.clone();
        }
        let mut found = BTreeMap::new();
        if let Ok(entries) = std::fs::read_dir(directory) {
            for entry in entries.flatten() {
                if let Ok(name) = entry.file_name().into_string() {
                    // `metadata` of the path follows links, which the entry's own does not.
                    let is_directory = match entry.file_type() {
                        Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                        _ => entry.path().is_dir(),
                    };
                    found.insert(name, is_directory);
                }
            }
        } else if let Some(kind) = kind
            && directory.exists()
            && !directory.is_dir()
        {
            self.warn(Warning::NotADirectory { name: kind.directory(), path: directory.to_path_buf() });
        }
        let found = Arc::new(found);
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        listings.entry(directory.to_path_buf()).or_insert(found).clone()
    }

    /// All files of variables below a directory, sorted by name, directories in their place.
    fn below(&self, directory: &Path, files: &mut Vec<PathBuf>, depth: u32) {
        // A link to a parent would never end.
        if depth > 40 {
            return;
        }
        for (name, is_directory) in self.listing(directory, None).iter() {
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            let extension = name.rfind('.').filter(|at| *at > 0).map(|at| &name[at..]);
            match (is_directory, extension) {
                (true, None) => self.below(&directory.join(name), files, depth + 1),
                (true, Some(_)) => {}
                (false, Some(extension)) if !self.extensions.iter().any(|known| known == extension) => {}
                (false, _) => files.push(directory.join(name)),
            }
        }
    }

    fn file(&self, path: &Path) -> Read {
        if let Some(known) = self.read.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let read = self
            .load(path)
            .map(|vars| Arc::new(FileVars { path: path.to_path_buf(), vars }))
            .map_err(Arc::new);
        let mut all = self.read.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(path.to_path_buf()).or_insert(read).clone()
    }

    fn load(&self, path: &Path) -> Result<Vars, InventoryError> {
        let bytes = quorate_value::read(path)
            .map_err(|error| InventoryError::Read { path: path.to_path_buf(), problem: error.to_string() })?;
        let vaulted = bytes.starts_with(VAULT_HEADER);
        let (text, file) = if vaulted {
            let problem = |problem: String| InventoryError::Vault { path: path.to_path_buf(), problem };
            let Some(decrypt) = &self.decrypt else {
                return Err(problem("no vault password was given".into()));
            };
            let text = decrypt.decrypt(&bytes, path).map_err(problem)?;
            // The plain text is not kept: what is registered can be shown.
            (Arc::from(text), FileId::register(path, Arc::from("")))
        } else {
            let text: Arc<str> = Arc::from(String::from_utf8_lossy(&bytes));
            let file = FileId::register(path, text.clone());
            quorate_yaml::decode(&bytes, file)?;
            (text, file)
        };
        let tree = match plain::read(&text, file) {
            Some(tree) => tree,
            None => {
                let document = quorate_yaml::parse(&text, file)?;
                for warning in document.warnings {
                    self.warn(Warning::Yaml(warning));
                }
                Tree::Node(document.root, 0)
            }
        };
        let mut vars = Vars::new();
        match tree.into_entries() {
            Ok(entries) => {
                let entry = |entry: Entry| {
                    let value = entry.value.into_value();
                    let value =
                        if vaulted { value.map_text(&|text: &Str| text.clone().secret()) } else { value };
                    (entry.key, value, entry.span)
                };
                vars.set_all(entries.into_iter().map(entry).collect(), self.behaviour);
            }
            Err(tree) if tree.is_null() => {}
            Err(tree) => {
                return Err(InventoryError::Shape {
                    span: tree.span(),
                    what: format!("a file of variables (`{}`)", path.display()),
                    wanted: "a mapping",
                    found: tree.describe().to_owned(),
                    hint: Some("Write one `name: value` per line.".into()),
                });
            }
        }
        Ok(vars)
    }
}
