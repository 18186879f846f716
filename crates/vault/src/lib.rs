//! Ansible Vault: encrypted text that `ansible-vault` reads and writes, formats 1.1 and 1.2.
//!
//! In: text that starts with `$ANSIBLE_VAULT;` and [`VaultSecrets`]. Out: bytes that wipe themselves; and the way back.
//!
//! **Invariant:** a [`Secret`] has no `Debug`, no `Display`, no serialization, and is wiped when dropped; no error of
//! this crate holds plain text or a password.
//!
//! Not here: prompting (the caller has the terminal), `!vault` in YAML (`quorate-yaml`), which identities a run has.

mod crypt;
mod envelope;
mod error;
mod secret;

pub use envelope::{VaultId, is_vault, vault_id};
pub use error::VaultError;
pub use secret::{Secret, SecretSource, VaultSecrets, read_password_file};

use zeroize::Zeroizing;

/// Plain bytes of a vault: the secret with the vault's own id first, then all others (unless
/// [`VaultSecrets::match_ids`] forbids that).
pub fn decrypt(text: &str, secrets: &VaultSecrets) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let envelope = envelope::Envelope::parse(text)?;
    let candidates = secrets.candidates(envelope.id)?;
    for (_, secret) in &candidates {
        if let Some(plain) = crypt::open(&envelope.payload, secret)? {
            return Ok(plain);
        }
    }
    Err(VaultError::WrongSecret {
        id: envelope.id.to_owned(),
        tried: candidates.iter().map(|(id, _)| (*id).to_owned()).collect(),
    })
}

/// A vault of plain bytes: format 1.2 with an id, 1.1 without one (or with `default`, as Ansible has it).
pub fn encrypt(plain: &[u8], secret: &Secret, id: Option<&str>) -> Result<String, VaultError> {
    let mut salt = [0; crypt::SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| VaultError::Random(error.to_string()))?;
    encrypt_with_salt(plain, secret, id, &salt)
}

/// The same with a salt of the caller's (Ansible's `VAULT_ENCRYPT_SALT`), so that equal text gives an equal vault.
/// Who sees two vaults of one salt learns whether they are equal; prefer [`encrypt`].
pub fn encrypt_with_salt(
    plain: &[u8],
    secret: &Secret,
    id: Option<&str>,
    salt: &[u8],
) -> Result<String, VaultError> {
    if secret.is_empty() {
        return Err(VaultError::EmptySecret);
    }
    let header = envelope::header(id)?;
    Ok(envelope::wrap(&header, &crypt::seal(plain, secret, salt)))
}
