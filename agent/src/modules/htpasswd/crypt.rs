//! Password hashes of web servers: Apache's MD5, MD5, SHA-256 and SHA-512 of `crypt`, SHA-1, plain text.
//!
//! **Invariant:** salts come from the system's random numbers; what is known of a hash decides how it is verified.

use base64::Engine as _;
use md5::Digest as _;

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The hash of a password.
pub(super) fn hash(scheme: &str, password: &str) -> Result<String, String> {
    Ok(match scheme {
        "apr_md5_crypt" => md5_crypt("$apr1$", password, &salt(8)?),
        "md5_crypt" => md5_crypt("$1$", password, &salt(8)?),
        "sha256_crypt" => sha_crypt::<sha2::Sha256>("$5$", password, &salt(16)?, 535_000),
        "sha512_crypt" => sha_crypt::<sha2::Sha512>("$6$", password, &salt(16)?, 656_000),
        "ldap_sha1" => ldap_sha1(password),
        "plaintext" => password.to_owned(),
        "bcrypt" | "des_crypt" | "bsdi_crypt" | "portable_bcrypt" | "host_apache_22" | "host_apache_24"
        | "apache_22" | "apache_24" | "linux_apache_22" | "linux_apache_24" | "sha1_crypt" => {
            return Err(format!(
                "the hash scheme {scheme} is not supported here; apr_md5_crypt, md5_crypt, sha256_crypt, sha512_crypt, ldap_sha1 and plaintext are"
            ));
        }
        other => return Err(format!("\"no crypt handler found for algorithm: '{other}'\"")),
    })
}

/// Whether a hash is of this password.
pub(super) fn verify(password: &str, hash: &str) -> bool {
    let salt_of =
        |prefix: &str| hash.strip_prefix(prefix).and_then(|rest| rest.split('$').next()).unwrap_or_default();
    let again = if hash.starts_with("$apr1$") {
        md5_crypt("$apr1$", password, salt_of("$apr1$"))
    } else if hash.starts_with("$1$") {
        md5_crypt("$1$", password, salt_of("$1$"))
    } else if let Some(rest) = hash.strip_prefix("$5$") {
        let (rounds, salt) = rounds_and_salt(rest);
        sha_crypt::<sha2::Sha256>("$5$", password, salt, rounds)
    } else if let Some(rest) = hash.strip_prefix("$6$") {
        let (rounds, salt) = rounds_and_salt(rest);
        sha_crypt::<sha2::Sha512>("$6$", password, salt, rounds)
    } else if hash.starts_with("{SHA}") {
        ldap_sha1(password)
    } else if hash.starts_with('$') {
        return false; // of a kind that cannot be verified here: it is written anew
    } else {
        password.to_owned()
    };
    again == hash
}

fn salt(length: usize) -> Result<String, String> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect())
}

fn ldap_sha1(password: &str) -> String {
    let digest = sha1::Sha1::digest(password.as_bytes());
    format!("{{SHA}}{}", base64::engine::general_purpose::STANDARD.encode(digest))
}

/// `count` letters of 24 bits, the lowest first.
fn letters(out: &mut String, bytes: [u8; 3], count: usize) {
    let mut bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    for _ in 0..count {
        out.push(char::from(LETTERS[(bits & 63) as usize]));
        bits >>= 6;
    }
}

fn md5_crypt(magic: &str, password: &str, salt: &str) -> String {
    let (password, salt) = (password.as_bytes(), &salt.as_bytes()[..salt.len().min(8)]);
    let inner = md5::Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut state = md5::Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    let mut left = password.len();
    while left > 0 {
        let take = left.min(16);
        state.update(&inner[..take]);
        left -= take;
    }
    let mut bits = password.len();
    while bits > 0 {
        state.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest = state.finalize();
    for round in 0..1000 {
        let mut state = md5::Md5::new();
        if round & 1 == 1 {
            state.update(password)
        } else {
            state.update(digest)
        }
        if round % 3 != 0 {
            state.update(salt);
        }
        if round % 7 != 0 {
            state.update(password);
        }
        if round & 1 == 1 {
            state.update(digest)
        } else {
            state.update(password)
        }
        digest = state.finalize();
    }
    let mut out = format!("{magic}{}$", String::from_utf8_lossy(salt));
    for at in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        letters(&mut out, at.map(|at| digest[at]), 4);
    }
    letters(&mut out, [0, 0, digest[11]], 2);
    out
}

fn rounds_and_salt(rest: &str) -> (u32, &str) {
    match rest.strip_prefix("rounds=").and_then(|rest| rest.split_once('$')) {
        Some((rounds, rest)) => (rounds.parse().unwrap_or(5000), rest.split('$').next().unwrap_or_default()),
        None => (5000, rest.split('$').next().unwrap_or_default()),
    }
}

/// Ulrich Drepper's SHA-crypt.
fn sha_crypt<D: sha2::Digest>(magic: &str, password: &str, salt: &str, rounds: u32) -> String {
    let (key, salt) = (password.as_bytes(), &salt.as_bytes()[..salt.len().min(16)]);
    let rounds = rounds.clamp(1000, 999_999_999);
    let inner = D::new().chain_update(key).chain_update(salt).chain_update(key).finalize();
    let size = inner.len();
    let repeat =
        |block: &[u8], length: usize| -> Vec<u8> { block.iter().copied().cycle().take(length).collect() };
    let mut state = D::new().chain_update(key).chain_update(salt).chain_update(repeat(&inner, key.len()));
    let mut bits = key.len();
    while bits > 0 {
        if bits & 1 == 1 {
            state.update(&inner)
        } else {
            state.update(key)
        }
        bits >>= 1;
    }
    let mut digest = state.finalize();
    let mut state = D::new();
    key.iter().for_each(|_| state.update(key));
    let p = repeat(&state.finalize(), key.len());
    let mut state = D::new();
    (0..16 + usize::from(digest[0])).for_each(|_| state.update(salt));
    let s = repeat(&state.finalize(), salt.len());
    for round in 0..rounds {
        let mut state = D::new();
        if round & 1 == 1 {
            state.update(&p)
        } else {
            state.update(&digest)
        }
        if round % 3 != 0 {
            state.update(&s);
        }
        if round % 7 != 0 {
            state.update(&p);
        }
        if round & 1 == 1 {
            state.update(&digest)
        } else {
            state.update(&p)
        }
        digest = state.finalize();
    }
    let mut out = magic.to_owned();
    if rounds != 5000 {
        out += &format!("rounds={rounds}$");
    }
    out += &format!("{}$", String::from_utf8_lossy(salt));
    // the order of bytes turns by one place in each group
    let third = size / 3;
    let mut group = [0, third, 2 * third];
    if size == 32 {
        for _ in 0..10 {
            letters(&mut out, group.map(|at| digest[at]), 4);
            group = [group[2] + 1, group[0] + 1, group[1] + 1].map(|at| at % 30);
        }
        letters(&mut out, [0, digest[31], digest[30]], 3);
    } else {
        for _ in 0..21 {
            letters(&mut out, group.map(|at| digest[at]), 4);
            group = [group[1] + 1, group[2] + 1, group[0] + 1].map(|at| at % 63);
        }
        letters(&mut out, [0, 0, digest[63]], 2);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of the authors' own programs.
    #[test]
    fn known_hashes() {
        for (password, hash) in [
            ("p", "$apr1$N/fCfT6g$EZbCrGO.i4zLwUqC8U8cE0"),
            ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
            (
                "Hello world!",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
            ("p", "{SHA}UWuXg/ylF+7L0dBk2i0WUxCxl1k="),
            ("plain", "plain"),
        ] {
            assert!(verify(password, hash), "{hash}");
            assert!(!verify("other", hash), "{hash}");
        }
    }

    #[test]
    fn made_hashes_are_verified() {
        for scheme in ["apr_md5_crypt", "md5_crypt", "ldap_sha1", "plaintext"] {
            let hash = hash(scheme, "secret").unwrap();
            assert!(verify("secret", &hash) && !verify("Secret", &hash), "{scheme}");
        }
        assert!(hash("nonsense", "x").is_err());
    }
}
