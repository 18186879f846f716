//! Keys, certificate signing requests and certificates: read, checked, made.
//!
//! In: PEM or DER, and what a task asks for. Out: PEM, and facts in the shapes of `community.crypto`.
//!
//! **Invariant:** what somebody else wrote is read without panics; what is not understood is named in a [`Trouble`].
//! **Invariant:** secret parts of keys are wiped when dropped, and never printed.
//!
//! Not here: files and their attributes (`system::files`), deciding what has to change (`modules`).

pub mod cert;
pub mod chain;
pub mod cipher;
pub mod crl;
pub mod der;
pub mod ext;
pub mod general;
pub mod handshake;
pub mod idn;
pub mod key;
pub mod keyfile;
pub mod name;
pub mod oid;
pub mod openssh;
pub mod pem;
pub mod pkcs12;
pub mod show;
pub mod times;

/// Why something could not be read, made or checked, in the words that a task's message uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

impl Trouble {
    /// With these words.
    pub fn new(text: impl Into<String>) -> Self {
        Trouble(text.into())
    }
}

impl From<der::Malformed> for Trouble {
    fn from(error: der::Malformed) -> Self {
        Trouble(format!("error parsing asn1 value: {error}"))
    }
}

/// Random bytes for keys, salts and serial numbers.
pub fn random<const N: usize>() -> Result<[u8; N], Trouble> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Trouble(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

/// `00:11:22`, as fingerprints and identifiers are shown.
pub fn colons(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

/// Digits in upper case without anything between them.
pub fn hex_upper(bytes: &[u8]) -> String {
    colons(bytes).replace(':', "").to_ascii_uppercase()
}

/// Bytes written as `00:11:22` or `001122`.
pub fn from_colons(text: &str) -> Result<Vec<u8>, Trouble> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Trouble::new("Non-hexadecimal digit found"));
    }
    if !digits.len().is_multiple_of(2) {
        return Err(Trouble::new("Odd-length string"));
    }
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    Ok(digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect())
}
