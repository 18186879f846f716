//! Passwords: what they are, where they come from, which one a vault gets.

use crate::{VaultError, envelope::DEFAULT_ID};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A vault password. Wiped when the last copy is dropped; can be neither printed nor compared.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// A password; white space around it goes, as Ansible has it.
    pub fn new(password: &[u8]) -> Result<Self, VaultError> {
        let password = password.trim_ascii();
        if password.is_empty() {
            return Err(VaultError::EmptySecret);
        }
        Ok(Secret(Arc::new(Zeroizing::new(password.to_vec()))))
    }

    /// The password itself, for whoever has to hand it on (a pipe, never a command line).
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The passwords of a run, each with its id, in the order they were given.
#[derive(Clone, Default)]
pub struct VaultSecrets {
    secrets: Vec<(String, Secret)>,
    match_ids: bool,
}

impl VaultSecrets {
    /// No passwords.
    pub fn new() -> Self {
        VaultSecrets::default()
    }

    /// Adds a password.
    pub fn push(&mut self, id: impl Into<String>, secret: Secret) {
        self.secrets.push((id.into(), secret));
    }

    /// Only tries passwords of the vault's own id (Ansible's `VAULT_ID_MATCH`).
    #[must_use]
    pub fn match_ids(mut self, only: bool) -> Self {
        self.match_ids = only;
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|(id, _)| id.as_str())
    }

    /// The first password of an id.
    pub fn get(&self, id: &str) -> Option<&Secret> {
        self.secrets.iter().find(|(name, _)| name == id).map(|(_, secret)| secret)
    }

    /// What to try for a vault, in order: its own id, then everything else.
    pub(crate) fn candidates(&self, id: &str) -> Result<Vec<(&str, &Secret)>, VaultError> {
        if self.secrets.is_empty() {
            return Err(VaultError::NoSecrets);
        }
        let all = || self.secrets.iter().map(|(name, secret)| (name.as_str(), secret));
        let mut found: Vec<_> = all().filter(|(name, _)| *name == id).collect();
        if !self.match_ids {
            found.extend(all().filter(|(name, _)| *name != id));
        } else if found.is_empty() {
            let known = self.ids().map(str::to_owned).collect();
            return Err(VaultError::NoSecretForId { id: id.to_owned(), known });
        }
        Ok(found)
    }
}

/// Where a password comes from: what stands behind `--vault-id` or `--vault-password-file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// The id that the password gets.
    pub id: String,
    /// The file or script; nothing where the person is to be asked.
    pub file: Option<PathBuf>,
}

impl SecretSource {
    /// `id@prompt`, `id@file`, `prompt` or `file`.
    pub fn parse(text: &str) -> Self {
        let (id, from) = text.split_once('@').filter(|(id, _)| !id.is_empty()).unwrap_or((DEFAULT_ID, text));
        let from = from.strip_prefix('@').unwrap_or(from);
        let prompt = matches!(from, "prompt" | "prompt_ask_vault_pass");
        SecretSource { id: id.to_owned(), file: (!prompt).then(|| PathBuf::from(from)) }
    }
}

/// The password in a file, or printed by it if it is executable.
///
/// A script whose name (without extension) ends with `-client` is asked for the id with `--vault-id ID`; it ends with 2
/// where it has none. A file that is a vault itself is opened with the secrets known so far.
pub fn read_password_file(path: &Path, id: &str, known: &VaultSecrets) -> Result<Secret, VaultError> {
    let bytes = if is_executable(path)? { run(path, id)? } else { read(path)? };
    let opened = match std::str::from_utf8(&bytes).map(str::trim) {
        Ok(text) if crate::is_vault(text) => crate::decrypt(text, known)?,
        _ => bytes,
    };
    Secret::new(&opened).map_err(|_| VaultError::EmptyPasswordFile(path.to_path_buf()))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> VaultError {
    let path = path.to_path_buf();
    |source| VaultError::PasswordFile { path, source }
}

fn is_executable(path: &Path) -> Result<bool, VaultError> {
    use std::os::unix::fs::PermissionsExt as _;
    let about = std::fs::metadata(path).map_err(unreadable(path))?;
    Ok(about.is_file() && about.permissions().mode() & 0o111 != 0)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable(path))
}

fn run(path: &Path, id: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    // A bare name must not be looked up in PATH.
    let program = std::path::absolute(path).map_err(unreadable(path))?;
    let mut command = Command::new(program);
    let client = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("-client"));
    if client {
        command.args(["--vault-id", id]);
    }
    // The script may ask on the terminal and complain on it; only what it prints is the password.
    let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| VaultError::ScriptStart { path: path.to_path_buf(), source })?;
    let printed = Zeroizing::new(output.stdout);
    match output.status.code() {
        Some(0) => Ok(printed),
        Some(2) if client => Err(VaultError::ScriptUnknownId { path: path.to_path_buf(), id: id.to_owned() }),
        _ => Err(VaultError::ScriptFailed { path: path.to_path_buf(), status: output.status }),
    }
}
