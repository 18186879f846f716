//! Encryption of private keys by a passphrase: PKCS#8 (PBES2), and the old headers of OpenSSL.

use super::der::{self, Reader};
use super::key::Secret;
use super::{Trouble, pem, random};
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use md5::Digest as _;
use zeroize::Zeroizing;

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";
const SCRYPT: &str = "1.3.6.1.4.1.11591.4.11";
const HMAC_SHA256: &str = "1.2.840.113549.2.9";
const AES256: &str = "2.16.840.1.101.3.4.1.42";

/// What is said when the passphrase does not fit.
pub const WRONG: &str = "Incorrect password, could not decrypt key";

fn wrong() -> Trouble {
    Trouble::new(WRONG)
}

/// A cipher in CBC mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES with 128 bits.
    Aes128,
    /// AES with 192 bits.
    Aes192,
    /// AES with 256 bits.
    Aes256,
    /// Triple DES.
    Des3,
    /// RC2 with 40 or 128 bits; only to read old files.
    Rc2,
}

impl Cipher {
    fn by_oid(oid: &str) -> Option<Cipher> {
        Some(match oid {
            "2.16.840.1.101.3.4.1.2" => Cipher::Aes128,
            "2.16.840.1.101.3.4.1.22" => Cipher::Aes192,
            AES256 => Cipher::Aes256,
            "1.2.840.113549.3.7" => Cipher::Des3,
            _ => return None,
        })
    }

    fn named(name: &str) -> Option<Cipher> {
        Some(match name {
            "AES-128-CBC" => Cipher::Aes128,
            "AES-192-CBC" => Cipher::Aes192,
            "AES-256-CBC" => Cipher::Aes256,
            "DES-EDE3-CBC" => Cipher::Des3,
            _ => return None,
        })
    }

    fn key_length(self) -> usize {
        match self {
            Cipher::Aes128 | Cipher::Rc2 => 16,
            Cipher::Aes192 | Cipher::Des3 => 24,
            Cipher::Aes256 => 32,
        }
    }

    /// Decrypts; a failure means that the key is not the right one.
    pub fn decrypt(self, key: &[u8], iv: &[u8], data: &[u8]) -> Result<Secret, Trouble> {
        macro_rules! with {
            ($cipher:ty) => {
                cbc::Decryptor::<$cipher>::new_from_slices(key, iv)
                    .map_err(|_| wrong())?
                    .decrypt_padded_vec::<Pkcs7>(data)
                    .map_err(|_| wrong())?
            };
        }
        Ok(Zeroizing::new(match self {
            Cipher::Aes128 => with!(aes::Aes128),
            Cipher::Aes192 => with!(aes::Aes192),
            Cipher::Aes256 => with!(aes::Aes256),
            Cipher::Des3 => with!(des::TdesEde3),
            Cipher::Rc2 => with!(rc2::Rc2),
        }))
    }
}

fn encrypt_aes256(key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<aes::Aes256>::new_from_slices(key, iv)
        .expect("key and vector have the cipher's lengths")
        .encrypt_padded_vec::<Pkcs7>(data)
}

/// Encrypts with triple DES, for old software.
pub fn encrypt_des3(key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<des::TdesEde3>::new_from_slices(key, iv)
        .expect("key and vector have the cipher's lengths")
        .encrypt_padded_vec::<Pkcs7>(data)
}

/// A key from a passphrase, by PBKDF2.
pub fn pbkdf2(
    prf: &str,
    passphrase: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Result<Secret, Trouble> {
    let mut key = Zeroizing::new(vec![0; length]);
    match prf {
        "1.2.840.113549.2.7" => pbkdf2::pbkdf2_hmac::<sha1::Sha1>(passphrase, salt, rounds, &mut key),
        "1.2.840.113549.2.8" => pbkdf2::pbkdf2_hmac::<sha2::Sha224>(passphrase, salt, rounds, &mut key),
        HMAC_SHA256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>(passphrase, salt, rounds, &mut key),
        "1.2.840.113549.2.10" => pbkdf2::pbkdf2_hmac::<sha2::Sha384>(passphrase, salt, rounds, &mut key),
        "1.2.840.113549.2.11" => pbkdf2::pbkdf2_hmac::<sha2::Sha512>(passphrase, salt, rounds, &mut key),
        other => return Err(Trouble(format!("key derivation with {other} is not understood"))),
    }
    Ok(key)
}

/// Decrypts what an AlgorithmIdentifier (its content) describes.
pub fn decrypt(mut algorithm: Reader<'_>, passphrase: &[u8], data: &[u8]) -> Result<Secret, Trouble> {
    let oid = algorithm.oid()?;
    if oid != PBES2 {
        return Err(Trouble(format!("encryption of the kind {oid} is not understood")));
    }
    let mut parameters = algorithm.sequence()?;
    let mut kdf = parameters.sequence()?;
    let mut scheme = parameters.sequence()?;
    let cipher_oid = scheme.oid()?;
    let cipher = Cipher::by_oid(&cipher_oid)
        .ok_or_else(|| Trouble(format!("the cipher {cipher_oid} is not understood")))?;
    let iv = scheme.octets()?;
    let kdf_oid = kdf.oid()?;
    let mut values = kdf.sequence()?;
    let salt = values.octets()?;
    // Bounded, because the numbers come from a file: hours of work are not a way to open a key.
    let bounded = |number: u64, most: u64| -> Result<u32, Trouble> {
        if (1..=most).contains(&number) {
            Ok(number as u32)
        } else {
            Err(Trouble::new("key derivation is too costly"))
        }
    };
    let key = match kdf_oid.as_str() {
        PBKDF2 => {
            let rounds = bounded(values.small()?, 50_000_000)?;
            if values.peek() == Some(der::INTEGER) {
                values.small()?;
            }
            let prf = match values.optional(der::SEQUENCE)? {
                Some(prf) => prf.inside().oid()?,
                None => "1.2.840.113549.2.7".into(),
            };
            pbkdf2(&prf, passphrase, salt, rounds, cipher.key_length())?
        }
        SCRYPT => {
            let cost = bounded(values.small()?, 1 << 20)?;
            let (block, parallel) = (bounded(values.small()?, 64)?, bounded(values.small()?, 64)?);
            let costly = || Trouble::new("key derivation is not understood");
            if !cost.is_power_of_two() {
                return Err(costly());
            }
            let settings =
                scrypt::Params::new(cost.trailing_zeros() as u8, block, parallel).map_err(|_| costly())?;
            let mut key = Zeroizing::new(vec![0; cipher.key_length()]);
            scrypt::scrypt(passphrase, salt, &settings, &mut key).map_err(|_| costly())?;
            key
        }
        other => return Err(Trouble(format!("key derivation by {other} is not understood"))),
    };
    cipher.decrypt(&key, iv, data)
}

/// Encrypts with AES-256 and a key from PBKDF2. Gives the AlgorithmIdentifier and the data.
pub fn encrypt(passphrase: &[u8], rounds: u32, data: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
    let (salt, iv) = (random::<16>()?, random::<16>()?);
    let key = pbkdf2(HMAC_SHA256, passphrase, &salt, rounds, 32)?;
    let prf = der::sequence(&[der::oid(HMAC_SHA256), der::null()]);
    let kdf = der::sequence(&[der::octets(&salt), der::small(rounds.into()), prf]);
    let scheme = der::sequence(&[der::oid(AES256), der::octets(&iv)]);
    let parameters = der::sequence(&[der::sequence(&[der::oid(PBKDF2), kdf]), scheme]);
    Ok((der::sequence(&[der::oid(PBES2), parameters]), encrypt_aes256(&key, &iv, data)))
}

/// The key of OpenSSL's old headers: MD5 over and over.
fn old_key(passphrase: &[u8], salt: &[u8], length: usize) -> Secret {
    let mut key = Zeroizing::new(Vec::new());
    let mut last: Vec<u8> = Vec::new();
    while key.len() < length {
        let mut hasher = md5::Md5::new();
        hasher.update(&last);
        hasher.update(passphrase);
        hasher.update(salt);
        last = hasher.finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

/// Decrypts a block that has a `DEK-Info` header; nothing when it has none.
pub fn decrypt_old(block: &pem::Block, passphrase: &[u8]) -> Option<Result<Secret, Trouble>> {
    let info = block.header("DEK-Info")?;
    let decrypt = || {
        let (name, iv) =
            info.split_once(',').ok_or_else(|| Trouble::new("the header DEK-Info is not understood"))?;
        let cipher = Cipher::named(name.trim())
            .ok_or_else(|| Trouble(format!("the cipher {name} is not understood")))?;
        let iv = super::from_colons(iv.trim())?;
        let salt = iv.get(..8).ok_or_else(wrong)?;
        cipher.decrypt(&old_key(passphrase, salt, cipher.key_length()), &iv, &block.data)
    };
    Some(decrypt())
}

/// An encrypted block with OpenSSL's old headers.
pub fn encrypt_old(label: &str, passphrase: &[u8], data: &[u8]) -> Result<String, Trouble> {
    let iv = random::<16>()?;
    let encrypted = encrypt_aes256(&old_key(passphrase, &iv[..8], 32), &iv, data);
    let hex = super::hex_upper(&iv);
    let info = format!("AES-256-CBC,{hex}");
    Ok(pem::write(label, &[("Proc-Type", "4,ENCRYPTED"), ("DEK-Info", &info)], &encrypted))
}
