//! The outside of a vault: a header line, then hexadecimal in lines of 80.
//!
//! `$ANSIBLE_VAULT;1.1;AES256` or `$ANSIBLE_VAULT;1.2;AES256;id`. A vault without an id has the id `default`.

use crate::VaultError;

const MAGIC: &str = "$ANSIBLE_VAULT";
const COLUMNS: usize = 80;

/// The id of vaults that name none.
pub(crate) const DEFAULT_ID: &str = "default";

/// The id in a vault's header.
pub type VaultId = String;

/// Whether text is a vault, as Ansible decides it: ASCII that starts with `$ANSIBLE_VAULT`.
pub fn is_vault(text: &str) -> bool {
    text.starts_with(MAGIC) && text.is_ascii()
}

/// The id of a vault; `default` where the header names none.
pub fn vault_id(text: &str) -> Result<VaultId, VaultError> {
    Envelope::parse(text).map(|envelope| envelope.id.to_owned())
}

pub(crate) struct Envelope<'t> {
    pub(crate) id: &'t str,
    pub(crate) payload: Vec<u8>,
}

impl<'t> Envelope<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, VaultError> {
        let text = text.trim_start();
        if !text.starts_with(MAGIC) {
            return Err(VaultError::NotAVault);
        }
        let (header, body) = text.split_once('\n').unwrap_or((text, ""));
        let mut parts = header.split(';').map(str::trim).skip(1);
        let version = parts.next().ok_or(VaultError::Damaged("the header names no format"))?;
        let cipher = parts.next().ok_or(VaultError::Damaged("the header names no cipher"))?;
        let id = parts.next().filter(|id| !id.is_empty()).unwrap_or(DEFAULT_ID);
        if !matches!(version, "1.1" | "1.2") {
            return Err(VaultError::UnsupportedVersion(version.to_owned()));
        }
        if cipher != "AES256" {
            return Err(VaultError::UnsupportedCipher(cipher.to_owned()));
        }
        let payload = unhex(body.as_bytes()).ok_or_else(|| {
            let odd = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).count() % 2 == 1;
            VaultError::NotHex(if odd { "Odd-length string" } else { "Non-hexadecimal digit found" })
        })?;
        if payload.is_empty() {
            return Err(VaultError::Damaged("nothing follows the header"));
        }
        Ok(Envelope { id, payload })
    }
}

pub(crate) fn header(id: Option<&str>) -> Result<String, VaultError> {
    match id.filter(|id| *id != DEFAULT_ID) {
        None => Ok(format!("{MAGIC};1.1;AES256")),
        Some(id)
            if id.is_empty() || id.contains(|c: char| c == ';' || c.is_whitespace() || !c.is_ascii()) =>
        {
            Err(VaultError::BadId(id.to_owned()))
        }
        Some(id) => Ok(format!("{MAGIC};1.2;AES256;{id}")),
    }
}

pub(crate) fn wrap(header: &str, payload: &[u8]) -> String {
    let body = hex(payload);
    let mut out = String::with_capacity(header.len() + body.len() + body.len() / COLUMNS + 2);
    out.push_str(header);
    out.push('\n');
    for line in body.as_bytes().chunks(COLUMNS) {
        out.extend(line.iter().map(|&b| char::from(b)));
        out.push('\n');
    }
    out
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    digits.map(char::from).collect()
}

/// Hexadecimal with white space anywhere (pasted vaults are often indented).
pub(crate) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = text.iter().filter(|b| !b.is_ascii_whitespace());
    let mut out = Vec::with_capacity(text.len() / 2);
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    while let Some(&high) = digits.next() {
        out.push(value(high)? << 4 | value(*digits.next()?)?);
    }
    Some(out)
}
