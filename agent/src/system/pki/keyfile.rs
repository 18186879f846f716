//! Private keys as they stand in files: PKCS#1, SEC1, PKCS#8, raw; encrypted or not.

use super::der::{self, Reader};
use super::key::{Curve, PrivateKey, Secret};
use super::{Trouble, cipher, pem};
use zeroize::Zeroizing;

/// How a private key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The old form: PKCS#1 for RSA, SEC1 for curves.
    Pkcs1,
    /// PKCS#8.
    Pkcs8,
    /// Only the secret bytes.
    Raw,
}

/// Why a private key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A passphrase is needed or was given in vain.
    #[error("Wrong or empty passphrase provided for private key")]
    Passphrase,
    /// Something else.
    #[error("Wrong passphrase provided for private key, or private key cannot be parsed: {0}")]
    Unreadable(Trouble),
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        Trouble(error.to_string())
    }
}

impl From<Trouble> for LoadError {
    fn from(trouble: Trouble) -> Self {
        LoadError::Unreadable(trouble)
    }
}

impl From<der::Malformed> for LoadError {
    fn from(error: der::Malformed) -> Self {
        LoadError::Unreadable(error.into())
    }
}

/// What the beginning of a file says about its form.
pub fn format_of(content: &[u8]) -> Format {
    let text = String::from_utf8_lossy(content);
    let Some(label) = text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")) else {
        return Format::Raw;
    };
    match label.trim_end_matches('-') {
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => Format::Pkcs8,
        label if label.ends_with("PRIVATE KEY") => Format::Pkcs1,
        _ => Format::Raw,
    }
}

/// Reads a private key from PEM.
pub fn load(content: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, LoadError> {
    let blocks = pem::parse(content)?;
    let block = blocks.into_iter().find(|block| block.label.ends_with("PRIVATE KEY")).ok_or_else(|| {
        LoadError::Unreadable(Trouble::new("Valid PEM but no BEGIN/END delimiters for a private key found. Are you sure this is a private key?"))
    })?;
    if let Some(passphrase) = passphrase
        && let Some(decrypted) = cipher::decrypt_old(&block, passphrase.as_bytes())
    {
        // With the wrong passphrase the padding may be right by chance.
        return old_form(&block.label, &decrypted?)
            .map_err(|_| LoadError::Unreadable(Trouble::new(cipher::WRONG)));
    }
    let encrypted = block.header("DEK-Info").is_some() || block.label == "ENCRYPTED PRIVATE KEY";
    if encrypted != passphrase.is_some() {
        return Err(LoadError::Passphrase);
    }
    let data = Zeroizing::new(block.data);
    match (block.label.as_str(), passphrase) {
        ("ENCRYPTED PRIVATE KEY", Some(passphrase)) => {
            let mut whole = der::one(&data, der::SEQUENCE)?.inside();
            let decrypted = cipher::decrypt(whole.sequence()?, passphrase.as_bytes(), whole.octets()?)?;
            load_pkcs8(&decrypted).map_err(LoadError::Unreadable)
        }
        ("PRIVATE KEY", _) => load_pkcs8(&data).map_err(LoadError::Unreadable),
        (label, _) => old_form(label, &data).map_err(LoadError::Unreadable),
    }
}

fn old_form(label: &str, data: &[u8]) -> Result<PrivateKey, Trouble> {
    match label {
        "RSA PRIVATE KEY" => pkcs1(data),
        "EC PRIVATE KEY" => sec1(data, None),
        other => Err(Trouble(format!("keys of the kind \"{other}\" are not supported"))),
    }
}

/// Reads PKCS#8.
pub fn load_pkcs8(data: &[u8]) -> Result<PrivateKey, Trouble> {
    let mut whole = der::one(data, der::SEQUENCE)?.inside();
    whole.small()?;
    let mut algorithm = whole.sequence()?;
    let oid = algorithm.oid()?;
    let secret = whole.octets()?;
    let raw = || -> Result<Secret, Trouble> {
        let inner = der::one(secret, der::OCTETS)?.body;
        if inner.len() == 32 {
            Ok(Zeroizing::new(inner.to_vec()))
        } else {
            Err(Trouble::new("Invalid private key"))
        }
    };
    match oid.as_str() {
        "1.2.840.113549.1.1.1" => pkcs1(secret),
        "1.2.840.10045.2.1" => {
            let named = algorithm.oid()?;
            let curve = Curve::by_oid(&named)
                .ok_or_else(|| Trouble(format!("the curve {named} is not supported")))?;
            sec1(secret, Some(curve))
        }
        "1.3.101.112" => Ok(PrivateKey::Ed25519(raw()?)),
        "1.3.101.110" => Ok(PrivateKey::X25519(raw()?)),
        other => Err(Trouble(format!("keys of the kind {other} are not supported"))),
    }
}

fn pkcs1(data: &[u8]) -> Result<PrivateKey, Trouble> {
    let mut numbers = der::one(data, der::SEQUENCE)?.inside();
    if numbers.small()? != 0 {
        return Err(Trouble::new("RSA keys of more than two primes are not understood"));
    }
    let (n, e, d) = (numbers.unsigned()?, numbers.unsigned()?, numbers.unsigned()?);
    PrivateKey::from_rsa(n, e, d, [numbers.unsigned()?, numbers.unsigned()?])
}

fn sec1(data: &[u8], outer: Option<Curve>) -> Result<PrivateKey, Trouble> {
    let mut parts = der::one(data, der::SEQUENCE)?.inside();
    parts.small()?;
    let number = parts.octets()?;
    let mut curve = outer;
    if let Some(parameters) = parts.optional(der::explicit(0))? {
        let named = Reader::new(parameters.body).oid()?;
        curve = Some(
            Curve::by_oid(&named).ok_or_else(|| Trouble(format!("the curve {named} is not supported")))?,
        );
    }
    let curve = curve.ok_or_else(|| Trouble::new("the key does not name its curve"))?;
    let number = der::strip(number);
    let missing = curve.size().checked_sub(number.len()).ok_or_else(|| Trouble::new("Invalid EC key"))?;
    let mut secret = Zeroizing::new(vec![0; missing]);
    secret.extend_from_slice(number);
    curve.public(&secret)?;
    Ok(PrivateKey::Ec(curve, secret))
}

/// A key from its raw bytes.
pub fn load_raw(content: &[u8], kind: &str) -> Result<PrivateKey, Trouble> {
    let secret = || -> Result<Secret, Trouble> {
        if content.len() == 32 {
            Ok(Zeroizing::new(content.to_vec()))
        } else {
            Err(Trouble::new("An X25519/Ed25519 private key is 32 bytes long"))
        }
    };
    match kind {
        "Ed25519" => Ok(PrivateKey::Ed25519(secret()?)),
        "X25519" => Ok(PrivateKey::X25519(secret()?)),
        _ => Err(Trouble::new("Cannot load raw key")),
    }
}

fn sec1_der(curve: Curve, secret: &[u8], with_curve: bool) -> Result<Secret, Trouble> {
    let mut parts = vec![der::small(1), der::octets(secret)];
    if with_curve {
        parts.push(der::tlv(der::explicit(0), &der::oid(curve.oid())));
    }
    parts.push(der::tlv(der::explicit(1), &der::bits(&curve.public(secret)?)));
    Ok(Zeroizing::new(der::sequence(&parts)))
}

fn pkcs1_der(key: &rsa::RsaPrivateKey) -> Result<Secret, Trouble> {
    let numbers = PrivateKey::rsa_numbers(key)?;
    let mut parts = vec![der::small(0)];
    parts.extend(numbers.all.iter().map(|number| der::unsigned(number)));
    Ok(Zeroizing::new(der::sequence(&parts)))
}

/// PKCS#8.
pub fn pkcs8_der(key: &PrivateKey) -> Result<Secret, Trouble> {
    let (algorithm, secret) = match key {
        PrivateKey::Rsa(key) => (vec![der::oid("1.2.840.113549.1.1.1"), der::null()], pkcs1_der(key)?),
        PrivateKey::Ec(curve, secret) => {
            (vec![der::oid("1.2.840.10045.2.1"), der::oid(curve.oid())], sec1_der(*curve, secret, false)?)
        }
        PrivateKey::Ed25519(seed) => (vec![der::oid("1.3.101.112")], Zeroizing::new(der::octets(seed))),
        PrivateKey::X25519(secret) => (vec![der::oid("1.3.101.110")], Zeroizing::new(der::octets(secret))),
    };
    Ok(Zeroizing::new(der::sequence(&[der::small(0), der::sequence(&algorithm), der::octets(&secret)])))
}

/// Writes a private key.
pub fn save(key: &PrivateKey, format: Format, passphrase: Option<&str>) -> Result<Secret, Trouble> {
    let cannot = |name: &str| {
        Trouble(format!(
            "Cryptography backend cannot serialize the private key in the required format \"{name}\""
        ))
    };
    let text = match (format, key) {
        (Format::Raw, PrivateKey::Ed25519(secret) | PrivateKey::X25519(secret)) if passphrase.is_none() => {
            return Ok(secret.clone());
        }
        (Format::Raw, _) => return Err(cannot("raw")),
        (Format::Pkcs8, _) => {
            let data = pkcs8_der(key)?;
            match passphrase {
                None => pem::write("PRIVATE KEY", &[], &data),
                Some(passphrase) => {
                    let (algorithm, encrypted) = cipher::encrypt(passphrase.as_bytes(), 2048, &data)?;
                    pem::write(
                        "ENCRYPTED PRIVATE KEY",
                        &[],
                        &der::sequence(&[algorithm, der::octets(&encrypted)]),
                    )
                }
            }
        }
        (Format::Pkcs1, PrivateKey::Rsa(_) | PrivateKey::Ec(..)) => {
            let (label, data) = match key {
                PrivateKey::Rsa(key) => ("RSA PRIVATE KEY", pkcs1_der(key)?),
                PrivateKey::Ec(curve, secret) => ("EC PRIVATE KEY", sec1_der(*curve, secret, true)?),
                _ => return Err(cannot("pkcs1")),
            };
            match passphrase {
                None => pem::write(label, &[], &data),
                Some(passphrase) => cipher::encrypt_old(label, passphrase.as_bytes(), &data)?,
            }
        }
        (Format::Pkcs1, _) => return Err(cannot("pkcs1")),
    };
    Ok(Zeroizing::new(text.into_bytes()))
}
