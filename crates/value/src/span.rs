//! Where something was written: a file, a line, a column.
//!
//! Files are registered once for the life of the process, so that a [`Span`] is twelve bytes and every
//! diagnostic can draw the source line. Registering the same path again gives a new id where its text differs.
//!
//! Text that an editor holds and has not saved stands in for the file, for whoever reads by [`read`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// A registered source file. Zero is reserved for "nowhere".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(u32);

/// One place in a source file. Lines and columns count from 1, columns in characters; line 0 means the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// A file as it was read.
#[derive(Debug)]
pub struct SourceFile {
    /// The path as it should be shown; or a name such as `<command line>`.
    pub path: PathBuf,
    /// The text as it was read; empty for vaulted files, whose plain text is never kept for display.
    pub text: Arc<str>,
}

#[derive(Default)]
struct Files {
    all: Vec<Arc<SourceFile>>,
    /// The last id of each path.
    last: HashMap<PathBuf, u32>,
}

fn files() -> &'static RwLock<Files> {
    static FILES: OnceLock<RwLock<Files>> = OnceLock::new();
    FILES.get_or_init(RwLock::default)
}

fn unsaved() -> &'static RwLock<HashMap<PathBuf, Arc<str>>> {
    static UNSAVED: OnceLock<RwLock<HashMap<PathBuf, Arc<str>>>> = OnceLock::new();
    UNSAVED.get_or_init(RwLock::default)
}

/// Lets text stand in for a file until it is taken back with nothing.
pub fn set_unsaved(path: &Path, text: Option<Arc<str>>) {
    let mut all = unsaved().write().unwrap_or_else(PoisonError::into_inner);
    match text {
        Some(text) => drop(all.insert(path.to_path_buf(), text)),
        None => drop(all.remove(path)),
    }
}

/// The bytes of a file: as an editor holds them, or as they are on the disk.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let all = unsaved().read().unwrap_or_else(PoisonError::into_inner);
    if !all.is_empty()
        && let Some(text) = all.get(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
    {
        return Ok(text.as_bytes().to_vec());
    }
    drop(all);
    std::fs::read(path)
}

impl FileId {
    /// Registers a file and its text.
    pub fn register(path: &Path, text: Arc<str>) -> Self {
        let mut files = files().write().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = files.last.get(path).copied()
            && files.all.get(last as usize - 1).is_some_and(|file| file.text == text)
        {
            return FileId(last);
        }
        files.all.push(Arc::new(SourceFile { path: path.to_path_buf(), text }));
        let id = u32::try_from(files.all.len()).expect("fewer than four billion files");
        files.last.insert(path.to_path_buf(), id);
        FileId(id)
    }
}

/// The file behind an id; nothing for "nowhere".
pub fn source_of(file: FileId) -> Option<Arc<SourceFile>> {
    let files = files().read().unwrap_or_else(PoisonError::into_inner);
    files.all.get((file.0 as usize).checked_sub(1)?).cloned()
}

/// Every file that has been read, in that order.
pub fn sources() -> Vec<Arc<SourceFile>> {
    files().read().unwrap_or_else(PoisonError::into_inner).all.clone()
}

/// How many files have been read.
pub fn source_count() -> usize {
    files().read().unwrap_or_else(PoisonError::into_inner).all.len()
}

impl Span {
    /// A place in a file.
    pub fn new(file: FileId, line: u32, column: u32) -> Self {
        Span { file, line, column }
    }

    /// Whether this names a place at all.
    pub fn is_known(self) -> bool {
        self.file != FileId::default()
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match source_of(self.file) {
            Some(source) if self.line > 0 => {
                write!(f, "{}:{}:{}", source.path.display(), self.line, self.column)
            }
            Some(source) => write!(f, "{}", source.path.display()),
            None => f.write_str("<unknown>"),
        }
    }
}
