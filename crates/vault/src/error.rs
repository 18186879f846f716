//! Why a vault cannot be opened or written.

use std::path::PathBuf;

/// Why a vault cannot be opened or written. Never holds plain text or passwords.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The text does not start as a vault does.
    #[error("this is no vault: it does not start with `$ANSIBLE_VAULT;`")]
    NotAVault,
    /// The text starts as a vault but is broken.
    #[error("the vault is damaged: {0}")]
    Damaged(&'static str),
    /// What follows the header is not hexadecimal; Python's words for it.
    #[error("Vault format unhexlify error: {0}")]
    NotHex(&'static str),
    /// A format from another time.
    #[error("vault format `{0}` is not supported (only 1.1 and 1.2 are)")]
    UnsupportedVersion(String),
    /// A cipher other than AES256.
    #[error("vault cipher `{0}` is not supported (only AES256 is)")]
    UnsupportedCipher(String),
    /// There is a vault but no secret at all.
    #[error("a vault must be opened, but no vault secrets are given")]
    NoSecrets,
    /// Ids must match, and no secret has the vault's.
    #[error("no vault secret has the id `{id}`; given are {}", listed(.known))]
    NoSecretForId {
        /// The id in the vault's header.
        id: String,
        /// The ids that are given.
        known: Vec<String>,
    },
    /// No secret fits, or the text was changed: the two look the same.
    #[error("no secret opens the vault with the id `{id}` (tried {}): wrong password, or a damaged file", listed(.tried))]
    WrongSecret {
        /// The id in the vault's header.
        id: String,
        /// The ids of the secrets that were tried.
        tried: Vec<String>,
    },
    /// Ansible refuses empty passwords.
    #[error("a vault password cannot be empty")]
    EmptySecret,
    /// An id that the header cannot hold.
    #[error("`{0}` cannot be a vault id: it must not be empty nor hold `;` or white space")]
    BadId(String),
    /// A password file that cannot be read.
    #[error("the vault password file `{}` cannot be read", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A password file or script that gave nothing.
    #[error("the vault password from `{}` is empty", .0.display())]
    EmptyPasswordFile(PathBuf),
    /// A password script that cannot be started.
    #[error("the vault password script `{}` cannot be started", path.display())]
    ScriptStart {
        /// The script.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A password script that failed.
    #[error("the vault password script `{}` failed: {status}", path.display())]
    ScriptFailed {
        /// The script.
        path: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A client script that has no secret of this id (it ended with 2).
    #[error("the vault password script `{}` has no secret for the id `{id}`", path.display())]
    ScriptUnknownId {
        /// The script.
        path: PathBuf,
        /// The id it was asked for.
        id: String,
    },
    /// The system gave no randomness.
    #[error("no random bytes for a salt: {0}")]
    Random(String),
}

fn listed(ids: &[String]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}
