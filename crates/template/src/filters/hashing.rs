//! Base64, hashes, UUIDs and password hashes.

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::hashes::{digest, hex};
use crate::methods::text::{decode, encode};
use crate::methods::whole;
use crate::rt::{Native, V};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use quorate_value::Str;

pub(super) static FILTERS: [Filter; 8] = [
    filter("b64decode", b64decode),
    filter("b64encode", b64encode),
    filter("checksum", sha1),
    filter("hash", hash),
    filter("md5", md5),
    filter("password_hash", password_hash),
    filter("sha1", sha1),
    filter("to_uuid", to_uuid),
];

fn text(vm: &Vm, value: Option<V>, default: &str) -> Result<Str> {
    value.map_or_else(|| Ok(Str::new(default)), |value| vm.to_text(&value))
}

fn b64encode(vm: &Vm, args: Args) -> Result<V> {
    let [value, encoding, urlsafe] = args.bind("b64encode", ["string", "encoding", "urlsafe"], 1)?;
    let encoding = text(vm, encoding, "utf-8")?;
    let bytes = match value.unwrap_or(V::Null) {
        V::Native(native) => match &*native {
            Native::Bytes(bytes) => bytes.to_vec(),
            _ => encode(&vm.to_text(&V::Native(native))?, &encoding, "strict")?,
        },
        other => {
            let text = vm.to_text(&other)?;
            if quorate_value::raw::holds(&text) {
                quorate_value::raw::encode(&text)
            } else {
                encode(&text, &encoding, "strict")?
            }
        }
    };
    let engine = if flag(vm, urlsafe, false)? { URL_SAFE } else { STANDARD };
    Ok(V::text(engine.encode(bytes)))
}

fn b64decode(vm: &Vm, args: Args) -> Result<V> {
    let [value, encoding, urlsafe] = args.bind("b64decode", ["string", "encoding", "urlsafe"], 1)?;
    let encoding = text(vm, encoding, "utf-8")?;
    let value = text(vm, value, "")?;
    // Python skips what is no base64 character, and stops at the padding.
    let urlsafe = flag(vm, urlsafe, false)?;
    let mut symbols: String = value
        .chars()
        .map(|c| match c {
            '-' if urlsafe => '+',
            '_' if urlsafe => '/',
            c => c,
        })
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))
        .collect();
    let data = symbols.trim_end_matches('=').len();
    let padding = symbols.len() - data;
    if data % 4 == 1 {
        return Err(Error::runtime(format!(
            "Invalid base64-encoded string: number of data characters ({data}) cannot be 1 more than a multiple of 4"
        )));
    }
    let needed = (4 - data % 4) % 4;
    if padding < needed {
        return Err(Error::runtime("Incorrect padding"));
    }
    symbols.truncate(data + needed);
    let lenient = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let bytes = lenient.decode(symbols).map_err(|error| Error::runtime(error.to_string()))?;
    // as Python's surrogateescape: what is no UTF-8 stays as it is
    if matches!(encoding.to_lowercase().as_str(), "utf-8" | "utf8" | "utf_8") {
        return Ok(V::text(quorate_value::raw::decode(&bytes)));
    }
    decode(&bytes, &encoding).map(V::text)
}

fn bytes_of(vm: &Vm, value: Option<V>) -> Result<Vec<u8>> {
    match value.unwrap_or(V::Null) {
        V::Native(native) if matches!(&*native, Native::Bytes(_)) => match &*native {
            Native::Bytes(bytes) => Ok(bytes.to_vec()),
            _ => Ok(Vec::new()),
        },
        other => Ok(quorate_value::raw::encode(&vm.to_text(&other)?)),
    }
}

fn hash(vm: &Vm, args: Args) -> Result<V> {
    let [value, algorithm] = args.bind("get_hash", ["data", "hashtype"], 1)?;
    let algorithm = text(vm, algorithm, "sha1")?;
    let bytes = bytes_of(vm, value)?;
    match digest(&algorithm, &bytes) {
        Some(digest) => Ok(V::text(hex(&digest))),
        None => Err(Error::runtime(format!("unsupported hash type {}", algorithm.as_str()))),
    }
}

fn named(vm: &Vm, args: Args, algorithm: &'static str) -> Result<V> {
    let [value] = args.bind(algorithm, ["data"], 1)?;
    let bytes = bytes_of(vm, value)?;
    Ok(V::text(hex(&digest(algorithm, &bytes).unwrap_or_default())))
}

fn md5(vm: &Vm, args: Args) -> Result<V> {
    named(vm, args, "md5")
}

fn sha1(vm: &Vm, args: Args) -> Result<V> {
    named(vm, args, "sha1")
}

fn password_hash(vm: &Vm, args: Args) -> Result<V> {
    let [password, kind, salt, size, rounds, ident] = args.bind(
        "get_encrypted_password",
        ["password", "hashtype", "salt", "salt_size", "rounds", "ident"],
        1,
    )?;
    let given = |value: Option<V>| value.filter(|value| !matches!(value, V::Null));
    let password = match password.unwrap_or(V::Null) {
        V::Str(text) => text,
        V::Undefined(error) => return Err((*error).clone()),
        other => {
            return Err(Error::runtime(format!(
                "secret must be unicode or bytes, not {}",
                other.type_name()
            )));
        }
    };
    let kind = text(vm, kind, "sha512")?;
    let (kind, most) = hash_kind(&kind)?;
    let size = match given(size) {
        None => most,
        Some(V::Int(size)) => {
            if size > most {
                return Err(refuse(format!("{kind}: salt_size ({size}) above max_salt_size ({most})")));
            }
            size.max(0)
        }
        Some(_) => return Err(Error::runtime("salt_size must be an integer")),
    };
    let salt = match given(salt) {
        Some(salt) => vm.to_text(&salt)?.to_string(),
        None => String::new(),
    };
    let salt = if salt.is_empty() {
        vm.saw_impure();
        let mut random = crate::random::Random::unpredictable();
        let digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".as_bytes();
        (0..size).map(|_| digits[random.below(64) as usize] as char).collect()
    } else {
        salt
    };
    let rounds = given(rounds).map(|rounds| whole(&rounds)).transpose()?;
    let ident = given(ident).map(|ident| vm.to_text(&ident)).transpose()?;
    let hashed = hashed(&password, kind, &salt, rounds, ident.as_deref())?;
    // The hash of a password is no secret by itself, but nothing to show either.
    Ok(V::Str(Str::from(hashed)))
}

fn refuse(words: impl std::fmt::Display) -> Error {
    Error::runtime(format!("Could not hash the secret: {words}"))
}

/// The algorithm behind a name, and how long its salt can be.
fn hash_kind(name: &str) -> Result<(&'static str, i64)> {
    Ok(match name {
        "md5" | "md5_crypt" => ("md5_crypt", 8),
        "blowfish" | "bcrypt" => ("bcrypt", 22),
        "sha256" | "sha256_crypt" => ("sha256_crypt", 16),
        "sha512" | "sha512_crypt" => ("sha512_crypt", 16),
        other => {
            return Err(Error::runtime(format!(
                "{other} is not in the list of supported passlib algorithms: md5, blowfish, sha256, sha512"
            )));
        }
    })
}

/// A password as `/etc/shadow` has it, for callers outside of templates.
///
/// # Errors
/// Those of the filter `password_hash`.
pub fn password_hashed(password: &str, kind: &str, salt: &str, ident: Option<&str>) -> Result<String> {
    hashed(password, hash_kind(kind)?.0, salt, None, ident)
}

/// How long the salt of an algorithm is.
///
/// # Errors
/// There is no such algorithm.
pub fn salt_length(kind: &str) -> Result<usize> {
    Ok(hash_kind(kind)?.1 as usize)
}

fn hashed(
    password: &str,
    kind: &str,
    salt: &str,
    rounds: Option<i64>,
    ident: Option<&str>,
) -> Result<String> {
    let most = hash_kind(kind)?.1;
    if !crate::crypt::is_salt(salt) {
        return Err(refuse(format!("invalid characters in {kind} salt")));
    }
    let length = salt.len() as i64;
    if kind == "bcrypt" && length != most {
        let size = if length < most { "small" } else { "large" };
        return Err(refuse(format!("salt too {size} (bcrypt requires exactly 22 chars)")));
    }
    if length > most {
        return Err(refuse(format!("salt too large ({kind} requires <= {most} chars)")));
    }
    let within = |default: i64, low: i64, high: i64| -> Result<u32> {
        let rounds = rounds.unwrap_or(default);
        if rounds < low {
            return Err(refuse(format!("{kind}: rounds ({rounds}) below min_rounds ({low})")));
        }
        if rounds > high {
            return Err(refuse(format!("{kind}: rounds ({rounds}) above max_rounds ({high})")));
        }
        Ok(rounds as u32)
    };
    let secret = password.as_bytes();
    Ok(match kind {
        "md5_crypt" => crate::crypt::md5(secret, salt),
        "sha256_crypt" => crate::crypt::sha256(secret, salt, within(535_000, 1000, 999_999_999)?),
        "sha512_crypt" => crate::crypt::sha512(secret, salt, within(656_000, 1000, 999_999_999)?),
        _ => {
            let ident = ident.unwrap_or("2b").trim_matches('$');
            if !matches!(ident, "2" | "2a" | "2b" | "2y") {
                return Err(refuse(format!("invalid ident {ident} for bcrypt")));
            }
            crate::crypt::bcrypt(secret, salt, within(12, 4, 31)?, ident)
                .ok_or_else(|| refuse("invalid characters in bcrypt salt"))?
        }
    })
}

/// Ansible's own namespace for UUIDs made from text.
const NAMESPACE: &str = "361e6d51-faec-444a-9079-341386da8e2e";

fn to_uuid(vm: &Vm, args: Args) -> Result<V> {
    let [value, namespace] = args.bind("to_uuid", ["string", "namespace"], 1)?;
    let value = text(vm, value, "")?;
    let namespace = text(vm, namespace, NAMESPACE)?;
    let digits: String =
        namespace.trim_start_matches("urn:uuid:").chars().filter(|c| !"{}-".contains(*c)).collect();
    let bytes: Option<Vec<u8>> = (digits.len() == 32)
        .then(|| (0..16).map(|i| u8::from_str_radix(&digits[i * 2..i * 2 + 2], 16).ok()).collect())
        .flatten();
    let Some(mut bytes) = bytes else {
        return Err(Error::runtime(format!(
            "Invalid value '{}' for 'namespace': badly formed hexadecimal UUID string",
            namespace.as_str()
        )));
    };
    bytes.extend_from_slice(value.as_bytes());
    let mut id = digest("sha1", &bytes).unwrap_or_default();
    id.truncate(16);
    id[6] = (id[6] & 0x0f) | 0x50;
    id[8] = (id[8] & 0x3f) | 0x80;
    let text = hex(&id);
    Ok(V::text(format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )))
}
