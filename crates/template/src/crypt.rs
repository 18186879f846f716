//! Password hashes of crypt(3): MD5 (`$1$`), SHA-256 (`$5$`), SHA-512 (`$6$`) and bcrypt (`$2b$`).
//!
//! In: password, salt, rounds. Out: the line that `/etc/shadow` holds. Checked against passlib's results.

use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha512};

/// The digits of crypt's own base 64.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The digits of bcrypt's.
const BCRYPT_DIGITS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Whether text is made of the characters a salt may have.
pub(crate) fn is_salt(text: &str) -> bool {
    text.bytes().all(|b| DIGITS.contains(&b))
}

/// Three bytes as up to four digits, the low bits first.
fn push(out: &mut String, bytes: [u8; 3], digits: usize) {
    let mut word = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    for _ in 0..digits {
        out.push(DIGITS[(word & 63) as usize] as char);
        word >>= 6;
    }
}

/// `$1$salt$hash`
pub(crate) fn md5(password: &[u8], salt: &str) -> String {
    let mut inner = Md5::new();
    inner.update(password);
    inner.update(salt.as_bytes());
    inner.update(password);
    let inner = inner.finalize();
    let mut context = Md5::new();
    context.update(password);
    context.update(b"$1$");
    context.update(salt.as_bytes());
    for at in (0..password.len()).step_by(16) {
        context.update(&inner[..(password.len() - at).min(16)]);
    }
    let mut length = password.len();
    while length > 0 {
        if length & 1 == 1 {
            context.update([0]);
        } else {
            context.update(&password[..1]);
        }
        length >>= 1;
    }
    let mut digest = context.finalize();
    for round in 0..1000 {
        let mut context = Md5::new();
        if round & 1 == 1 {
            context.update(password);
        } else {
            context.update(digest);
        }
        if round % 3 != 0 {
            context.update(salt.as_bytes());
        }
        if round % 7 != 0 {
            context.update(password);
        }
        if round & 1 == 1 {
            context.update(digest);
        } else {
            context.update(password);
        }
        digest = context.finalize();
    }
    let mut out = format!("$1${salt}$");
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        push(&mut out, [digest[a], digest[b], digest[c]], 4);
    }
    push(&mut out, [0, 0, digest[11]], 2);
    out
}

/// The two SHA variants differ in the hash and in how its bytes are shuffled.
struct Sha {
    prefix: &'static str,
    size: usize,
    hash: fn(&[&[u8]]) -> Vec<u8>,
    last: ([usize; 2], usize),
}

fn sha256_of(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().to_vec()
}

fn sha512_of(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().to_vec()
}

fn sha(kind: &Sha, password: &[u8], salt: &str, rounds: u32, shown: bool) -> String {
    let hash = kind.hash;
    let salt_bytes = salt.as_bytes();
    let inner = hash(&[password, salt_bytes, password]);
    let mut message = [password, salt_bytes].concat();
    for at in (0..password.len()).step_by(kind.size) {
        message.extend_from_slice(&inner[..(password.len() - at).min(kind.size)]);
    }
    let mut length = password.len();
    while length > 0 {
        message.extend_from_slice(if length & 1 == 1 { &inner } else { password });
        length >>= 1;
    }
    let mut digest = hash(&[&message]);
    let repeated =
        |bytes: &[u8], length: usize| -> Vec<u8> { bytes.iter().copied().cycle().take(length).collect() };
    let p = repeated(&hash(&[&password.repeat(password.len())]), password.len());
    let s = repeated(&hash(&[&salt_bytes.repeat(16 + usize::from(digest[0]))]), salt_bytes.len());
    for round in 0..rounds {
        let (first, last): (&[u8], &[u8]) = if round & 1 == 1 { (&p, &digest) } else { (&digest, &p) };
        let mut parts = vec![first];
        if round % 3 != 0 {
            parts.push(&s);
        }
        if round % 7 != 0 {
            parts.push(&p);
        }
        parts.push(last);
        digest = hash(&parts);
    }
    let mut out = kind.prefix.to_owned();
    if shown {
        out.push_str(&format!("rounds={rounds}$"));
    }
    out.push_str(salt);
    out.push('$');
    // The bytes are taken from three thirds of the digest in turn, the starting third rotating.
    let third = kind.size / 3;
    let (mut a, mut b, mut c) = (0, third, third * 2);
    for _ in 0..third {
        push(&mut out, [digest[a], digest[b], digest[c]], 4);
        (a, b, c) = if kind.size == 64 { (b + 1, c + 1, a + 1) } else { (c + 1, a + 1, b + 1) };
    }
    let ([high, low], digits) = kind.last;
    let high = if high == usize::MAX { 0 } else { digest[high] };
    push(&mut out, [0, high, digest[low]], digits);
    out
}

/// `$5$rounds=N$salt$hash`; the usual 5000 rounds are not written.
pub(crate) fn sha256(password: &[u8], salt: &str, rounds: u32) -> String {
    let kind = Sha { prefix: "$5$", size: 32, hash: sha256_of, last: ([31, 30], 3) };
    sha(&kind, password, salt, rounds, rounds != 5000)
}

/// `$6$rounds=N$salt$hash`; the usual 5000 rounds are not written.
pub(crate) fn sha512(password: &[u8], salt: &str, rounds: u32) -> String {
    let kind = Sha { prefix: "$6$", size: 64, hash: sha512_of, last: ([usize::MAX, 63], 2) };
    sha(&kind, password, salt, rounds, rounds != 5000)
}

/// `$2b$NN$salthash`; nothing where the salt is not 22 digits of bcrypt's.
pub(crate) fn bcrypt(password: &[u8], salt: &str, cost: u32, ident: &str) -> Option<String> {
    let mut bits = Vec::new();
    for b in salt.bytes() {
        let digit = BCRYPT_DIGITS.iter().position(|known| *known == b)?;
        bits.extend((0..6).rev().map(|bit| digit >> bit & 1 == 1));
    }
    let bytes: Vec<u8> =
        bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect();
    let salt: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    // bcrypt reads 72 bytes at most, the zero at the end included.
    let mut key = password.to_vec();
    key.push(0);
    key.truncate(72);
    let hash = bcrypt::bcrypt(cost, salt, &key);
    Some(format!("${ident}${cost:02}${}{}", bcrypt_text(&salt), bcrypt_text(&hash[..23])))
}

fn bcrypt_text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            out.push(BCRYPT_DIGITS[(word >> (18 - 6 * digit) & 63) as usize] as char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_passlib() {
        let secret = b"secret";
        for (made, expected) in [
            (md5(secret, "saltsalt"), "$1$saltsalt$9xy1btjgzLYfb7hivXtC//"),
            (
                sha512(secret, "saltsalt", 10000),
                "$6$rounds=10000$saltsalt$WowrPBpEDVlCoruBosYlrZycTCx3//TyDHYqEhX9DUHHt0XTztUqzQDDUuvUGRA8aUe9p55hcAxeGcu58sm3u.",
            ),
            (
                sha512(secret, "salt", 5001),
                "$6$rounds=5001$salt$1mFqPFFRDOLIfFE6s8gg0enRtStSMRbVzOFyUF26PksZpqDTtPLOuVWQp6rXCoO8Ume9O08/dRnjMxG1ODnZk/",
            ),
            (
                sha256(b"Hello world!", "saltstring", 5000),
                "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            ),
            (
                bcrypt(secret, "c6vYFSNYBVFsSe7eLbCqre", 4, "2b").unwrap(),
                "$2b$04$c6vYFSNYBVFsSe7eLbCqreTryZ6Dw/ZrVCJcJxrvxUNcimk46pS22",
            ),
        ] {
            assert_eq!(made, expected);
        }
        assert!(bcrypt(secret, "short", 4, "2b").is_none() && !is_salt("s a") && is_salt("a.B/9"));
    }
}
