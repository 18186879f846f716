//! Base64, hashes, UUIDs and password hashes.

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::hashes::{digest, hex};
use crate::methods::text::{decode, encode};
use crate::rt::{Native, V};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use quorate_value::Str;

pub(super) static FILTERS: [Filter; 7] = [
    filter("b64decode", b64decode),
    filter("b64encode", b64encode),
    filter("checksum", sha1),
    filter("hash", hash),
    filter("md5", md5),
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
        other => encode(&vm.to_text(&other)?, &encoding, "strict")?,
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
    decode(&bytes, &encoding).map(V::text)
}

fn bytes_of(vm: &Vm, value: Option<V>) -> Result<Vec<u8>> {
    match value.unwrap_or(V::Null) {
        V::Native(native) if matches!(&*native, Native::Bytes(_)) => match &*native {
            Native::Bytes(bytes) => Ok(bytes.to_vec()),
            _ => Ok(Vec::new()),
        },
        other => Ok(vm.to_text(&other)?.as_bytes().to_vec()),
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
