//! What the modules for keys and certificates share: their parameters, and reading and writing their files.
//!
//! Not here: keys and certificates themselves (`system::pki`).

pub mod certificate;
pub mod privatekey;
pub mod request;

use crate::args::Args;
use crate::module::{Ctx, Failure, Outcome};
use crate::spec::Param;
use crate::system::files::{self, Kind};
use crate::system::pki::key::PrivateKey;
use crate::system::pki::{Trouble, keyfile};
use crate::system::process::errno;
use quorate_value::{Str, Value};
use std::io;

/// The collection all of them come from.
pub const COLLECTION: &str = "community.crypto";

/// `select_crypto_backend`, which all of them take and none heeds.
pub const BACKEND: Param = Param::str("select_crypto_backend")
    .choices(&["auto", "cryptography"])
    .default_str("auto")
    .doc("Accepted for the sake of old playbooks; there is one implementation.");

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Failure::new(trouble.0)
    }
}

impl From<keyfile::LoadError> for Failure {
    fn from(error: keyfile::LoadError) -> Self {
        Failure::new(error.to_string())
    }
}

/// Python's words for a file that cannot be read.
pub fn python_error(path: &str, error: &io::Error) -> String {
    format!("{}: '{path}'", errno(error))
}

/// What stands at a path; nothing where nothing is.
pub fn read(path: &str) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Failure::new(format!("Error while loading {path} - {}", python_error(path, &error))))
        }
    }
}

/// The directory has to be there already.
pub fn need_directory(path: &str) -> Result<(), Failure> {
    let directory = match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((directory, _)) => directory,
        None => ".",
    };
    if std::path::Path::new(directory).is_dir() {
        return Ok(());
    }
    let msg = format!("The directory {directory} does not exist or the file is not a directory");
    Err(Failure::new(msg).with("name", directory))
}

/// The file a module looks after.
pub struct Target<'a> {
    /// Where it stands.
    pub path: &'a str,
    /// What every module of this kind takes: `backup` and file attributes.
    pub args: &'a Args,
    /// The mode of a file whose task asks for none.
    pub mode: Option<&'static str>,
}

impl Target<'_> {
    /// The attributes it shall have.
    pub fn wanted(&self) -> files::Wanted {
        let mut wanted = self.args.wanted();
        if wanted.mode.is_none() {
            wanted.mode = self.mode.map(Value::from);
        }
        wanted
    }

    /// Replaces the content. Gives the copy of the old one, if one was asked for.
    pub fn write(&self, content: &[u8]) -> Result<Option<String>, Failure> {
        let copy = self.copy()?;
        files::write(self.path, content, &self.wanted())?;
        Ok(copy)
    }

    fn copy(&self) -> Result<Option<String>, Failure> {
        if self.args.bool("backup") { files::backup(self.path) } else { Ok(None) }
    }

    /// Sets attributes of what is there. Says whether anything had to change.
    pub fn settle(&self, ctx: &Ctx) -> Result<bool, Failure> {
        if Kind::at(self.path) == Kind::Absent {
            return Ok(false);
        }
        self.wanted().apply(self.path, ctx, None)
    }

    /// Removes the file. Gives whether it was there, and the copy, if one was asked for.
    pub fn remove(&self, ctx: &Ctx) -> Result<(bool, Option<String>), Failure> {
        if Kind::at(self.path) == Kind::Absent {
            return Ok((false, None));
        }
        if ctx.check {
            return Ok((true, None));
        }
        let copy = self.copy()?;
        match std::fs::remove_file(self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(format!(
                "Error while removing {} - {}",
                self.path,
                python_error(self.path, &error)
            ))),
            _ => Ok((true, copy)),
        }
    }
}

/// Adds `backup_file` where there is a copy.
pub fn with_copy(outcome: Outcome, copy: Option<String>) -> Outcome {
    match copy {
        Some(copy) => outcome.with("backup_file", copy),
        None => outcome,
    }
}

/// Text of a file for a result; secret content stays marked.
pub fn content(bytes: &[u8], secret: bool) -> Value {
    let text = Str::from(String::from_utf8_lossy(bytes).into_owned());
    Value::Str(if secret { text.secret() } else { text })
}

/// A private key from a path or from text in the arguments. `missing` words a path where nothing is.
pub fn private_key(
    args: &Args,
    names: [&str; 3],
    missing: impl Fn(&str) -> Option<String>,
) -> Result<Option<PrivateKey>, Failure> {
    let [path, text, passphrase] = names;
    let from_file;
    let content = if let Some(text) = args.str(text) {
        text.as_bytes()
    } else if let Some(path) = args.str(path) {
        from_file = std::fs::read(path).map_err(|error| {
            let said = missing(path).filter(|_| error.kind() == io::ErrorKind::NotFound);
            Failure::new(said.unwrap_or_else(|| python_error(path, &error)))
        })?;
        &from_file
    } else {
        return Ok(None);
    };
    Ok(Some(keyfile::load(content, args.nonempty(passphrase))?))
}

/// A file that has to be there, or text in the arguments.
pub fn material(args: &Args, path: &str, text: &str, what: &str) -> Result<Option<Vec<u8>>, Failure> {
    if let Some(text) = args.str(text) {
        return Ok(Some(text.as_bytes().to_vec()));
    }
    let Some(path) = args.str(path) else { return Ok(None) };
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(format!("The {what} file {path} does not exist")))
        }
        Err(error) => Err(Failure::new(python_error(path, &error))),
    }
}
