//! Where something was written: a file, a line, a column.
//!
//! Files are registered once for the life of the process, so that a [`Span`] is twelve bytes and every
//! diagnostic can draw the source line. Registering the same path again gives a new id (its text may differ).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};

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

fn files() -> &'static RwLock<Vec<Arc<SourceFile>>> {
    static FILES: OnceLock<RwLock<Vec<Arc<SourceFile>>>> = OnceLock::new();
    FILES.get_or_init(|| RwLock::new(Vec::new()))
}

impl FileId {
    /// Registers a file and its text.
    pub fn register(path: &Path, text: Arc<str>) -> Self {
        let mut files = files().write().unwrap_or_else(std::sync::PoisonError::into_inner);
        files.push(Arc::new(SourceFile { path: path.to_path_buf(), text }));
        FileId(u32::try_from(files.len()).expect("fewer than four billion files"))
    }
}

/// The file behind an id; nothing for "nowhere".
pub fn source_of(file: FileId) -> Option<Arc<SourceFile>> {
    let files = files().read().unwrap_or_else(std::sync::PoisonError::into_inner);
    files.get((file.0 as usize).checked_sub(1)?).cloned()
}

/// Every file that has been read, in that order.
pub fn sources() -> Vec<Arc<SourceFile>> {
    files().read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// How many files have been read.
pub fn source_count() -> usize {
    files().read().unwrap_or_else(std::sync::PoisonError::into_inner).len()
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
