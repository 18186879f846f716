//! Keys in OpenSSH's forms: public keys of one line, and its own form of private keys.

use super::cipher::WRONG;
use super::key::{Curve, PrivateKey, PublicKey, PublicKind, Secret};
use super::keyfile::LoadError;
use super::{Trouble, der, pem, random};
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// The label of OpenSSH's own form.
pub const LABEL: &str = "OPENSSH PRIVATE KEY";
const ROUNDS: u32 = 16;

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

/// A number that is not negative.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes = der::strip(bytes);
    let pad: &[u8] = if bytes.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    string(&[pad, bytes].concat())
}

struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Trouble> {
        let (head, tail) =
            self.0.split_at_checked(length).ok_or_else(|| Trouble::new("the key is cut off"))?;
        self.0 = tail;
        Ok(head)
    }

    fn int(&mut self) -> Result<u32, Trouble> {
        Ok(self.take(4)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], Trouble> {
        let length = self.int()? as usize;
        self.take(length)
    }
}

fn curve_name(curve: Curve) -> Result<&'static str, Trouble> {
    match curve {
        Curve::P256 => Ok("nistp256"),
        Curve::P384 => Ok("nistp384"),
        Curve::P521 => Ok("nistp521"),
        Curve::K256 => Err(unknown()),
    }
}

fn unknown() -> Trouble {
    Trouble::new("OpenSSH has no form for keys of this kind")
}

/// The kind's name and the key in SSH's binary form.
pub fn blob(key: &PublicKey) -> Result<(String, Vec<u8>), Trouble> {
    let (name, rest) = match &key.kind {
        PublicKind::Rsa { n, e } => ("ssh-rsa".to_owned(), [number(e), number(n)].concat()),
        PublicKind::Ec { curve, point } => {
            let curve = curve_name(*curve)?;
            (format!("ecdsa-sha2-{curve}"), [string(curve.as_bytes()), string(point)].concat())
        }
        PublicKind::Ed25519(bytes) => ("ssh-ed25519".to_owned(), string(bytes)),
        _ => return Err(unknown()),
    };
    let blob = [string(name.as_bytes()), rest].concat();
    Ok((name, blob))
}

/// `ssh-ed25519 AAAA...`, without comment.
pub fn public_line(key: &PublicKey) -> Result<String, Trouble> {
    let (name, blob) = blob(key)?;
    Ok(format!("{name} {}", STANDARD.encode(blob)))
}

/// `SHA256:...`.
pub fn fingerprint(key: &PublicKey) -> Result<String, Trouble> {
    let (_, blob) = blob(key)?;
    Ok(format!("SHA256:{}", STANDARD_NO_PAD.encode(super::key::Digest::Sha256.of(&blob))))
}

/// Reads a public key of one line, and its comment.
pub fn parse_line(line: &str) -> Result<(PublicKey, String), Trouble> {
    let bad = || Trouble::new("the public key is not one of OpenSSH's");
    let mut words = line.trim().splitn(3, ' ');
    let (name, encoded) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
    let comment = words.next().unwrap_or_default().to_owned();
    let data = STANDARD.decode(encoded).map_err(|_| bad())?;
    let mut parts = Parts(&data);
    if parts.string()? != name.as_bytes() {
        return Err(bad());
    }
    Ok((PublicKey::of(public_parts(name, &mut parts)?), comment))
}

fn public_parts(name: &str, parts: &mut Parts<'_>) -> Result<PublicKind, Trouble> {
    Ok(match name {
        "ssh-rsa" => {
            let e = der::strip(parts.string()?).to_vec();
            PublicKind::Rsa { n: der::strip(parts.string()?).to_vec(), e }
        }
        "ssh-ed25519" => {
            let bytes = parts.string()?;
            PublicKind::Ed25519(<[u8; 32]>::try_from(bytes).map_err(|_| unknown())?)
        }
        _ => {
            let curve = match name.strip_prefix("ecdsa-sha2-") {
                Some("nistp256") => Curve::P256,
                Some("nistp384") => Curve::P384,
                Some("nistp521") => Curve::P521,
                _ => return Err(Trouble(format!("keys of the kind {name} are not supported"))),
            };
            parts.string()?;
            PublicKind::Ec { curve, point: curve.point(parts.string()?).ok_or_else(unknown)? }
        }
    })
}

/// AES-256 in counter mode; encrypting and decrypting are the same.
fn counter_mode(key: &[u8], iv: &[u8], data: &mut [u8]) -> Result<(), Trouble> {
    let cipher = aes::Aes256::new_from_slice(key).map_err(|_| Trouble::new(WRONG))?;
    let start = <[u8; 16]>::try_from(iv).map_err(|_| Trouble::new(WRONG))?;
    let mut counter = u128::from_be_bytes(start);
    for chunk in data.chunks_mut(16) {
        let mut block = counter.to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        for (byte, mask) in chunk.iter_mut().zip(block.iter()) {
            *byte ^= mask;
        }
        counter = counter.wrapping_add(1);
    }
    Ok(())
}

fn stretch(passphrase: &str, salt: &[u8], rounds: u32) -> Result<Secret, Trouble> {
    if rounds > 10_000 {
        return Err(Trouble::new("key derivation is too costly"));
    }
    let mut out = Zeroizing::new(vec![0; 48]);
    bcrypt_pbkdf::bcrypt_pbkdf(passphrase.as_bytes(), salt, rounds, &mut out)
        .map_err(|_| Trouble::new(WRONG))?;
    Ok(out)
}

/// Reads a private key in OpenSSH's own form, and its comment.
pub fn load(data: &[u8], passphrase: Option<&str>) -> Result<(PrivateKey, String), LoadError> {
    let bad = || Trouble::new("the private key is not one of OpenSSH's");
    let mut parts = Parts(data.strip_prefix(MAGIC).ok_or_else(bad)?);
    let (cipher, kdf) = (parts.string()?, parts.string()?);
    let mut settings = Parts(parts.string()?);
    if parts.int()? != 1 {
        return Err(Trouble::new("files of several keys are not understood").into());
    }
    parts.string()?;
    let mut inner = Zeroizing::new(parts.string()?.to_vec());
    match (cipher, kdf, passphrase) {
        (b"none", b"none", None) => {}
        (b"none", b"none", Some(_)) => return Err(LoadError::Passphrase),
        (_, _, None) => return Err(LoadError::Passphrase),
        (b"aes256-ctr", b"bcrypt", Some(passphrase)) => {
            let salt = settings.string()?;
            let key = stretch(passphrase, salt, settings.int()?)?;
            counter_mode(&key[..32], &key[32..], &mut inner)?;
        }
        (cipher, ..) => {
            let cipher = String::from_utf8_lossy(cipher);
            return Err(Trouble(format!("the cipher {cipher} is not understood")).into());
        }
    }
    let mut parts = Parts(&inner);
    if parts.int()? != parts.int()? {
        return Err(Trouble::new(WRONG).into());
    }
    let name = String::from_utf8_lossy(parts.string()?).into_owned();
    let key = match name.as_str() {
        "ssh-rsa" => {
            let (n, e, d) = (parts.string()?, parts.string()?, parts.string()?);
            parts.string()?;
            PrivateKey::from_rsa(n, e, d, [parts.string()?, parts.string()?])?
        }
        "ssh-ed25519" => {
            parts.string()?;
            let both = parts.string()?;
            PrivateKey::Ed25519(Zeroizing::new(both.get(..32).ok_or_else(bad)?.to_vec()))
        }
        other => {
            let PublicKind::Ec { curve, .. } = public_parts(other, &mut parts)? else {
                return Err(bad().into());
            };
            let secret = der::strip(parts.string()?);
            let missing = curve.size().checked_sub(secret.len()).ok_or_else(bad)?;
            PrivateKey::Ec(curve, Zeroizing::new([vec![0; missing], secret.to_vec()].concat()))
        }
    };
    let comment = String::from_utf8_lossy(parts.string()?).into_owned();
    Ok((key, comment))
}

/// Writes a private key in OpenSSH's own form.
pub fn save(key: &PrivateKey, comment: &str, passphrase: Option<&str>) -> Result<Secret, Trouble> {
    let public = key.public()?;
    let (name, blob) = blob(&public)?;
    let secret = match (key, &public.kind) {
        (PrivateKey::Rsa(key), _) => {
            let numbers = PrivateKey::rsa_numbers(key)?;
            let [n, e, d, p, q, _, _, coefficient] = &numbers.all;
            [n, e, d, coefficient, p, q].map(|part| number(part)).concat()
        }
        (PrivateKey::Ed25519(seed), PublicKind::Ed25519(bytes)) => {
            [string(bytes), string(&[seed.as_slice(), bytes].concat())].concat()
        }
        (PrivateKey::Ec(curve, secret), PublicKind::Ec { point, .. }) => {
            [string(curve_name(*curve)?.as_bytes()), string(point), number(secret)].concat()
        }
        _ => return Err(unknown()),
    };
    let check = random::<4>()?;
    let mut inner = Zeroizing::new(
        [check.to_vec(), check.to_vec(), string(name.as_bytes()), secret, string(comment.as_bytes())]
            .concat(),
    );
    let block = if passphrase.is_some() { 16 } else { 8 };
    let mut pad = 1;
    while inner.len() % block != 0 {
        inner.push(pad);
        pad += 1;
    }
    let (cipher, kdf, settings) = match passphrase {
        None => ("none", "none", Vec::new()),
        Some(passphrase) => {
            let salt = random::<16>()?;
            let key = stretch(passphrase, &salt, ROUNDS)?;
            counter_mode(&key[..32], &key[32..], &mut inner)?;
            ("aes256-ctr", "bcrypt", [string(&salt), ROUNDS.to_be_bytes().to_vec()].concat())
        }
    };
    let whole = Zeroizing::new(
        [
            MAGIC.to_vec(),
            string(cipher.as_bytes()),
            string(kdf.as_bytes()),
            string(&settings),
            1u32.to_be_bytes().to_vec(),
            string(&blob),
            string(&inner),
        ]
        .concat(),
    );
    // OpenSSH writes 70 characters a line; readers take any.
    Ok(Zeroizing::new(pem::write(LABEL, &[], &whole).into_bytes()))
}
