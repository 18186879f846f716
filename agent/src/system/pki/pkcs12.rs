//! PKCS#12: a key, its certificate and others in one file.
//!
//! **Invariant:** what was changed since it was written, or is opened with another passphrase, is refused.

use super::cert::Certificate;
use super::der::{self, Reader};
use super::key::{Digest, PrivateKey, Secret};
use super::{Trouble, cipher, keyfile, random};
use zeroize::Zeroizing;

const DATA: &str = "1.2.840.113549.1.7.1";
const ENCRYPTED: &str = "1.2.840.113549.1.7.6";
const KEY_BAG: &str = "1.2.840.113549.1.12.10.1.1";
const SHROUDED_BAG: &str = "1.2.840.113549.1.12.10.1.2";
const CERTIFICATE_BAG: &str = "1.2.840.113549.1.12.10.1.3";
const X509: &str = "1.2.840.113549.1.9.22.1";
const FRIENDLY_NAME: &str = "1.2.840.113549.1.9.20";
const LOCAL_KEY: &str = "1.2.840.113549.1.9.21";
const TRIPLE_DES: &str = "1.2.840.113549.1.12.1.3";

/// What is said about a file that does not open.
pub const WRONG: &str = "Invalid password or PKCS12 data";

fn wrong() -> Trouble {
    Trouble::new(WRONG)
}

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// The private key.
    pub key: Option<PrivateKey>,
    /// The key's certificate.
    pub certificate: Option<Certificate>,
    /// The name of both.
    pub name: Option<String>,
    /// Other certificates.
    pub others: Vec<Certificate>,
}

/// How a file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// AES-256.
    Modern,
    /// Triple DES with this many rounds, for old software.
    Old(u32),
}

/// The passphrase as key derivation takes it: two bytes a character, and two zeros.
fn wide(passphrase: &str) -> Secret {
    let mut out = Zeroizing::new(Vec::new());
    for unit in passphrase.encode_utf16().chain([0]) {
        out.extend(unit.to_be_bytes());
    }
    out
}

/// Key derivation of RFC 7292, appendix B.
fn derive(digest: Digest, id: u8, passphrase: &[u8], salt: &[u8], rounds: u32, length: usize) -> Secret {
    let block = if matches!(digest, Digest::Sha384 | Digest::Sha512) { 128 } else { 64 };
    let filled = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().cycle().take(bytes.len().div_ceil(block) * block).collect()
    };
    let mut input = Zeroizing::new([filled(salt), filled(passphrase)].concat());
    let mut out = Zeroizing::new(Vec::new());
    while out.len() < length {
        let mut hash = digest.of(&[&vec![id; block], input.as_slice()].concat());
        for _ in 1..rounds {
            hash = digest.of(&hash);
        }
        let addend: Vec<u8> = hash.iter().copied().cycle().take(block).collect();
        for part in input.chunks_mut(block) {
            let mut carry = 1u16;
            for (byte, more) in part.iter_mut().zip(&addend).rev() {
                carry += u16::from(*byte) + u16::from(*more);
                *byte = carry as u8;
                carry >>= 8;
            }
        }
        out.extend_from_slice(&hash);
    }
    out.truncate(length);
    out
}

fn mac(digest: Digest, passphrase: &[u8], salt: &[u8], rounds: u32, data: &[u8]) -> Vec<u8> {
    let block = if matches!(digest, Digest::Sha384 | Digest::Sha512) { 128 } else { 64 };
    let key = derive(digest, 3, passphrase, salt, rounds, digest.length());
    let pad = |byte: u8| -> Vec<u8> {
        (0..block).map(|at| key.get(at).copied().unwrap_or_default() ^ byte).collect()
    };
    let inner = digest.of(&[pad(0x36), data.to_vec()].concat());
    digest.of(&[pad(0x5c), inner].concat())
}

fn rounds(number: u64) -> Result<u32, Trouble> {
    if (1..=10_000_000).contains(&number) { Ok(number as u32) } else { Err(wrong()) }
}

fn decrypt(algorithm: Reader<'_>, passphrase: &str, data: &[u8]) -> Result<Secret, Trouble> {
    let mut parts = algorithm;
    let oid = parts.oid()?;
    let (triple, length) = match oid.as_str() {
        TRIPLE_DES => (true, 24),
        "1.2.840.113549.1.12.1.6" => (false, 5),
        "1.2.840.113549.1.12.1.5" => (false, 16),
        _ => return cipher::decrypt(algorithm, passphrase.as_bytes(), data),
    };
    let mut parameters = parts.sequence()?;
    let (salt, rounds) = (parameters.octets()?, rounds(parameters.small()?)?);
    let passphrase = wide(passphrase);
    let key = derive(Digest::Sha1, 1, &passphrase, salt, rounds, length);
    let iv = derive(Digest::Sha1, 2, &passphrase, salt, rounds, 8);
    let cipher = if triple { cipher::Cipher::Des3 } else { cipher::Cipher::Rc2 };
    cipher.decrypt(&key, &iv, data)
}

struct Bag {
    key: Option<PrivateKey>,
    certificate: Option<Certificate>,
    name: Option<String>,
    local: Option<Vec<u8>>,
}

/// Opens a file.
pub fn load(data: &[u8], passphrase: &str) -> Result<Store, Trouble> {
    open(data, passphrase).map_err(|_| wrong())
}

fn open(data: &[u8], passphrase: &str) -> Result<Store, Trouble> {
    let mut whole = der::one(data, der::SEQUENCE)?.inside();
    whole.small()?;
    let mut content = whole.sequence()?;
    if content.oid()? != DATA {
        return Err(wrong());
    }
    let safe = content.expect(der::explicit(0))?.inside().octets()?;
    if let Some(check) = whole.optional(der::SEQUENCE)? {
        let mut check = check.inside();
        let mut info = check.sequence()?;
        let digest = Digest::by_oid(&info.sequence()?.oid()?).ok_or_else(wrong)?;
        let expected = info.octets()?;
        let salt = check.octets()?;
        let rounds = if check.is_empty() { 1 } else { rounds(check.small()?)? };
        // "No passphrase" is written in two ways.
        let ways = if passphrase.is_empty() {
            vec![wide(""), Zeroizing::new(vec![])]
        } else {
            vec![wide(passphrase)]
        };
        if !ways.iter().any(|way| mac(digest, way, salt, rounds, safe) == expected) {
            return Err(wrong());
        }
    }
    let mut bags = Vec::new();
    let mut contents = der::one(safe, der::SEQUENCE)?.inside();
    while !contents.is_empty() {
        let mut info = contents.sequence()?;
        let kind = info.oid()?;
        let inner = info.expect(der::explicit(0))?;
        match kind.as_str() {
            DATA => read_bags(inner.inside().octets()?, passphrase, &mut bags)?,
            ENCRYPTED => {
                let mut encrypted = inner.inside().sequence()?;
                encrypted.small()?;
                let mut info = encrypted.sequence()?;
                info.oid()?;
                let algorithm = info.sequence()?;
                let data = info.expect(der::implicit(0))?.body;
                read_bags(&decrypt(algorithm, passphrase, data)?, passphrase, &mut bags)?;
            }
            other => return Err(Trouble(format!("content of the kind {other} is not understood"))),
        }
    }
    let mut store = Store::default();
    let local = bags.iter().find(|bag| bag.key.is_some()).and_then(|bag| bag.local.clone());
    for bag in bags {
        if bag.key.is_some() {
            store.key = bag.key;
            store.name = bag.name;
        } else if let Some(certificate) = bag.certificate {
            if store.certificate.is_none() && bag.local.is_some() && (local.is_none() || bag.local == local) {
                store.certificate = Some(certificate);
                store.name = bag.name.or(store.name);
            } else {
                store.others.push(certificate);
            }
        }
    }
    Ok(store)
}

fn read_bags(data: &[u8], passphrase: &str, into: &mut Vec<Bag>) -> Result<(), Trouble> {
    let mut all = der::one(data, der::SEQUENCE)?.inside();
    while !all.is_empty() {
        let mut parts = all.sequence()?;
        let kind = parts.oid()?;
        let value = parts.expect(der::explicit(0))?;
        let mut bag = Bag { key: None, certificate: None, name: None, local: None };
        match kind.as_str() {
            KEY_BAG => bag.key = Some(keyfile::load_pkcs8(value.body)?),
            SHROUDED_BAG => {
                let mut shrouded = value.inside().sequence()?;
                let algorithm = shrouded.sequence()?;
                bag.key = Some(keyfile::load_pkcs8(&decrypt(algorithm, passphrase, shrouded.octets()?)?)?);
            }
            CERTIFICATE_BAG => {
                let mut inner = value.inside().sequence()?;
                if inner.oid()? == X509 {
                    let data = inner.expect(der::explicit(0))?.inside().octets()?;
                    bag.certificate = Some(Certificate::read(data)?);
                }
            }
            _ => {}
        }
        if let Some(attributes) = parts.optional(der::SET)? {
            let mut attributes = attributes.inside();
            while !attributes.is_empty() {
                let mut attribute = attributes.sequence()?;
                let oid = attribute.oid()?;
                let value = attribute.expect(der::SET)?.inside().take()?;
                match oid.as_str() {
                    FRIENDLY_NAME => bag.name = Some(from_wide(value.body)),
                    LOCAL_KEY => bag.local = Some(value.body.to_vec()),
                    _ => {}
                }
            }
        }
        into.push(bag);
    }
    Ok(())
}

fn from_wide(bytes: &[u8]) -> String {
    let units: Vec<u16> =
        bytes.chunks(2).map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte))).collect();
    String::from_utf16_lossy(&units)
}

fn attributes(name: Option<&str>, local: Option<&[u8]>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(name) = name {
        let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        all.push(der::sequence(&[der::oid(FRIENDLY_NAME), der::tlv(der::SET, &der::tlv(0x1e, &wide))]));
    }
    if let Some(local) = local {
        all.push(der::sequence(&[der::oid(LOCAL_KEY), der::tlv(der::SET, &der::octets(local))]));
    }
    if all.is_empty() { Vec::new() } else { der::set(all) }
}

fn encrypt(protection: Protection, passphrase: &str, data: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
    match protection {
        Protection::Modern => cipher::encrypt(passphrase.as_bytes(), 20_000, data),
        Protection::Old(rounds) => {
            let salt = random::<8>()?;
            let passphrase = wide(passphrase);
            let key = derive(Digest::Sha1, 1, &passphrase, &salt, rounds, 24);
            let iv = derive(Digest::Sha1, 2, &passphrase, &salt, rounds, 8);
            let parameters = der::sequence(&[der::octets(&salt), der::small(rounds.into())]);
            let algorithm = der::sequence(&[der::oid(TRIPLE_DES), parameters]);
            Ok((algorithm, cipher::encrypt_des3(&key, &iv, data)))
        }
    }
}

/// Writes a file. Without a passphrase, nothing in it is encrypted.
pub fn save(store: &Store, passphrase: Option<&str>, protection: Protection) -> Result<Secret, Trouble> {
    let local = store.certificate.as_ref().map(|certificate| Digest::Sha1.of(&certificate.signed.der));
    let name = store.name.as_deref();
    let certificate_bag = |certificate: &Certificate, attributes: Vec<u8>| {
        let value = der::sequence(&[
            der::oid(X509),
            der::tlv(der::explicit(0), &der::octets(&certificate.signed.der)),
        ]);
        der::sequence(&[der::oid(CERTIFICATE_BAG), der::tlv(der::explicit(0), &value), attributes])
    };
    let data_info =
        |data: &[u8]| der::sequence(&[der::oid(DATA), der::tlv(der::explicit(0), &der::octets(data))]);
    let mut contents = Vec::new();
    let mut certificates: Vec<Vec<u8>> = Vec::new();
    if let Some(certificate) = &store.certificate {
        certificates.push(certificate_bag(certificate, attributes(name, local.as_deref())));
    }
    certificates.extend(store.others.iter().map(|other| certificate_bag(other, Vec::new())));
    if !certificates.is_empty() {
        let bags = der::sequence(&certificates);
        contents.push(match passphrase {
            None => data_info(&bags),
            Some(passphrase) => {
                let (algorithm, data) = encrypt(protection, passphrase, &bags)?;
                let info = der::sequence(&[der::oid(DATA), algorithm, der::tlv(der::implicit(0), &data)]);
                let encrypted = der::sequence(&[der::small(0), info]);
                der::sequence(&[der::oid(ENCRYPTED), der::tlv(der::explicit(0), &encrypted)])
            }
        });
    }
    if let Some(key) = &store.key {
        let plain = keyfile::pkcs8_der(key)?;
        let (kind, value) = match passphrase {
            None => (KEY_BAG, plain.to_vec()),
            Some(passphrase) => {
                let (algorithm, data) = encrypt(protection, passphrase, &plain)?;
                (SHROUDED_BAG, der::sequence(&[algorithm, der::octets(&data)]))
            }
        };
        let bag = der::sequence(&[
            der::oid(kind),
            der::tlv(der::explicit(0), &value),
            attributes(name, local.as_deref()),
        ]);
        contents.push(data_info(&der::sequence(&[bag])));
    }
    let safe = der::sequence(&contents);
    let (salt, rounds) = (random::<8>()?, 2048);
    let digest = if matches!(protection, Protection::Old(_)) { Digest::Sha1 } else { Digest::Sha256 };
    let sum = mac(digest, &wide(passphrase.unwrap_or_default()), &salt, rounds, &safe);
    let algorithm = der::sequence(&[der::oid(digest.oid()), der::null()]);
    let check = der::sequence(&[
        der::sequence(&[algorithm, der::octets(&sum)]),
        der::octets(&salt),
        der::small(rounds.into()),
    ]);
    Ok(Zeroizing::new(der::sequence(&[der::small(3), data_info(&safe), check])))
}
