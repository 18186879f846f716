//! Digests: for signatures, and for fingerprints.

use super::super::{Trouble, colons, der};
use sha2::Digest as _;

/// A digest that signatures use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// MD5; only to check old signatures.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// `(digest, its identifier, with RSA, with ECDSA, length)`.
#[rustfmt::skip]
const TABLE: &[(Digest, &str, &str, &str, usize)] = &[
    (Digest::Md5, "1.2.840.113549.2.5", "1.2.840.113549.1.1.4", "", 16),
    (Digest::Sha1, "1.3.14.3.2.26", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", 20),
    (Digest::Sha224, "2.16.840.1.101.3.4.2.4", "1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1", 28),
    (Digest::Sha256, "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2", 32),
    (Digest::Sha384, "2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3", 48),
    (Digest::Sha512, "2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4", 64),
];

impl Digest {
    fn row(self) -> &'static (Digest, &'static str, &'static str, &'static str, usize) {
        TABLE.iter().find(|row| row.0 == self).expect("every digest has its row")
    }

    fn find(by: impl Fn(&&(Digest, &str, &str, &str, usize)) -> bool) -> Option<Digest> {
        TABLE.iter().find(by).map(|row| row.0)
    }

    /// By the name that tasks use.
    pub fn named(name: &str) -> Result<Digest, Trouble> {
        Ok(match name {
            "sha1" => Digest::Sha1,
            "sha256" => Digest::Sha256,
            "sha384" => Digest::Sha384,
            "sha512" => Digest::Sha512,
            "md5" => return Err(Trouble::new("MD5 is not allowed for new signatures")),
            _ => return Err(Trouble(format!("Unsupported digest \"{name}\""))),
        })
    }

    /// By its identifier.
    pub fn by_oid(oid: &str) -> Option<Digest> {
        Digest::find(|row| row.1 == oid)
    }

    pub(super) fn by_rsa_oid(oid: &str) -> Option<Digest> {
        Digest::find(|row| row.2 == oid)
    }

    pub(super) fn by_ecdsa_oid(oid: &str) -> Option<Digest> {
        Digest::find(|row| row.3 == oid && !oid.is_empty())
    }

    /// Its identifier.
    pub fn oid(self) -> &'static str {
        self.row().1
    }

    pub(super) fn rsa_oid(self) -> &'static str {
        self.row().2
    }

    pub(super) fn ecdsa_oid(self) -> &'static str {
        self.row().3
    }

    /// How many bytes it gives.
    pub fn length(self) -> usize {
        self.row().4
    }

    /// What stands before the digest in an RSA signature: all of DigestInfo but the digest itself.
    pub(super) fn prefix(self) -> Vec<u8> {
        let whole = der::sequence(&[
            der::sequence(&[der::oid(self.oid()), der::null()]),
            der::octets(&vec![0; self.length()]),
        ]);
        whole[..whole.len() - self.length()].to_vec()
    }

    /// The digest of a message.
    pub fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Digest::Md5 => md5::Md5::digest(message).to_vec(),
            Digest::Sha1 => sha1::Sha1::digest(message).to_vec(),
            Digest::Sha224 => sha2::Sha224::digest(message).to_vec(),
            Digest::Sha256 => sha2::Sha256::digest(message).to_vec(),
            Digest::Sha384 => sha2::Sha384::digest(message).to_vec(),
            Digest::Sha512 => sha2::Sha512::digest(message).to_vec(),
        }
    }
}

/// Digests of fingerprints, sorted by name.
pub const FINGERPRINTS: &[&str] = &[
    "blake2b",
    "blake2s",
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha3_224",
    "sha3_256",
    "sha3_384",
    "sha3_512",
    "sha512",
    "shake_128",
    "shake_256",
];

/// One fingerprint.
pub fn fingerprint(algorithm: &str, bytes: &[u8]) -> Option<String> {
    use shake::digest::{ExtendableOutput as _, Update as _, XofReader as _};
    let digest = match algorithm {
        "blake2b" => blake2::Blake2b512::digest(bytes).to_vec(),
        "blake2s" => blake2::Blake2s256::digest(bytes).to_vec(),
        "md5" => Digest::Md5.of(bytes),
        "sha1" => Digest::Sha1.of(bytes),
        "sha224" => Digest::Sha224.of(bytes),
        "sha256" => Digest::Sha256.of(bytes),
        "sha384" => Digest::Sha384.of(bytes),
        "sha512" => Digest::Sha512.of(bytes),
        "sha3_224" => sha3::Sha3_224::digest(bytes).to_vec(),
        "sha3_256" => sha3::Sha3_256::digest(bytes).to_vec(),
        "sha3_384" => sha3::Sha3_384::digest(bytes).to_vec(),
        "sha3_512" => sha3::Sha3_512::digest(bytes).to_vec(),
        "shake_128" => {
            let mut hasher = shake::Shake128::default();
            hasher.update(bytes);
            let mut reader = hasher.finalize_xof();
            let mut out = [0; 32];
            reader.read(&mut out);
            out.to_vec()
        }
        "shake_256" => {
            let mut hasher = shake::Shake256::default();
            hasher.update(bytes);
            let mut reader = hasher.finalize_xof();
            let mut out = [0; 32];
            reader.read(&mut out);
            out.to_vec()
        }
        _ => return None,
    };
    Some(colons(&digest))
}

/// All fingerprints.
pub fn fingerprints(bytes: &[u8]) -> Vec<(&'static str, String)> {
    FINGERPRINTS.iter().filter_map(|name| fingerprint(name, bytes).map(|text| (*name, text))).collect()
}
