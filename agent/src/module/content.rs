//! File content that tasks name by its SHA-256.

use crate::protocol::Hash;
use crate::system::process::Cancel;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;

/// Content, in memory or in a file that only we can read.
#[derive(Debug, Clone)]
pub enum Body {
    /// Small content.
    Memory(Arc<[u8]>),
    /// Large content; the file is removed with the last copy of this.
    Spooled(Arc<Spool>),
    /// A file of the controller's own machine, for jobs that run in its process.
    File(PathBuf),
}

/// A temporary file that goes away by itself.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
}

impl Spool {
    /// Owns this file from now on.
    pub(crate) fn new(path: PathBuf) -> Self {
        Spool { path }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // It lies in a private directory that is removed as well.
        std::fs::remove_file(&self.path).ok();
    }
}

impl Body {
    /// Opens it from its beginning.
    pub fn open(&self) -> io::Result<Box<dyn Reader>> {
        Ok(match self {
            Body::Memory(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            Body::Spooled(spool) => Box::new(File::open(&spool.path)?),
            Body::File(path) => Box::new(File::open(path)?),
        })
    }

    /// All of it in memory.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Content being read, from any place in it.
pub trait Reader: Read + Seek + Send {}

impl<T: Read + Seek + Send> Reader for T {}

/// Gives content by its hash.
pub trait ContentProvider: Send + Sync {
    /// The content, or why it cannot be had. Looks at `cancel` while it waits.
    fn fetch(&self, hash: &Hash, cancel: &Cancel) -> Result<Body, String>;

    /// Asks for content that will be fetched soon, once for each of these, without waiting for it.
    fn expect(&self, _: &[Hash]) {}
}

/// No content but what travels with the job.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl ContentProvider for NoContent {
    fn fetch(&self, hash: &Hash, _: &Cancel) -> Result<Body, String> {
        Err(format!("nobody offers content {}", crate::protocol::hex(hash)))
    }
}
