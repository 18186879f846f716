//! Facts about keys, requests and certificates, in the shapes of `community.crypto`.

use super::cert::{Certificate, Request};
use super::der;
use super::ext::{self, Extension};
use super::general::{Encoding, GeneralName};
use super::key::{FINGERPRINTS, PrivateKey, PublicKey, PublicKind, fingerprint};
use super::name::Name;
use super::{Trouble, colons, oid, times};
use base64::Engine as _;
use quorate_value::{BigInt, Dict, Value, dict};

/// A big-endian number.
pub fn number(bytes: &[u8]) -> Value {
    let mut signed = vec![0];
    signed.extend_from_slice(bytes);
    Value::integer(BigInt::from_signed_bytes_be(&signed))
}

/// A number with a sign, as INTEGER has it.
pub fn signed_number(bytes: &[u8]) -> Value {
    Value::integer(BigInt::from_signed_bytes_be(bytes))
}

/// Which fingerprints to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prints {
    /// All of them.
    All,
    /// Only SHA-256, for differences.
    One,
}

/// Fingerprints of some DER.
pub fn fingerprints(der: &[u8], which: Prints) -> Dict {
    FINGERPRINTS
        .iter()
        .filter(|name| which == Prints::All || **name == "sha256")
        .filter_map(|name| fingerprint(name, der).map(|text| (*name, text)))
        .fold(Dict::new(), |mut all, (name, text)| {
            all.insert(name, text);
            all
        })
}

/// A public key's numbers.
pub fn public_data(key: &PublicKey) -> Dict {
    match &key.kind {
        PublicKind::Rsa { n, e } => dict! {
            "size" => (n.len() * 8) as i64 - i64::from(n.first().map_or(0, |byte| byte.leading_zeros())),
            "modulus" => number(n),
            "exponent" => number(e),
        },
        PublicKind::Ec { curve, point } => {
            let (x, y) = point.get(1..).unwrap_or_default().split_at(curve.size().min(point.len() - 1));
            dict! {
                "curve" => curve.name(),
                "x" => number(x),
                "y" => number(y),
                "exponent_size" => curve.bits() as i64,
            }
        }
        _ => Dict::new(),
    }
}

/// A private key's numbers: secrets.
pub fn private_data(key: &PrivateKey) -> Result<Dict, Trouble> {
    Ok(match key {
        PrivateKey::Rsa(key) => {
            let numbers = PrivateKey::rsa_numbers(key)?;
            dict! {
                "p" => number(&numbers.all[3]),
                "q" => number(&numbers.all[4]),
                "exponent" => number(&numbers.all[2]),
            }
        }
        PrivateKey::Ec(_, secret) => dict! {"multiplier" => number(secret)},
        PrivateKey::Ed25519(_) | PrivateKey::X25519(_) => Dict::new(),
    })
}

/// A name as mapping (of a repeated part, the last) and as list of pairs.
pub fn name(name: &Name) -> (Dict, Value) {
    let mut mapping = Dict::new();
    let mut ordered = Vec::new();
    for attribute in name.attributes() {
        let key = oid::long(&attribute.oid);
        mapping.insert(key, attribute.value.as_str());
        ordered.push(Value::list(vec![Value::from(key), Value::from(attribute.value.as_str())]));
    }
    (mapping, Value::list(ordered))
}

fn names(names: &[GeneralName], encoding: Encoding) -> Value {
    names.iter().map(|name| Value::from(name.display(encoding))).collect()
}

fn or_null<T>(value: Option<T>, show: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Null, show)
}

/// What the extensions that requests and certificates have in common say.
fn extensions(all: &[Extension], encoding: Encoding, into: &mut Dict) -> Result<(), Trouble> {
    let find = |oid: &str| ext::find(all, oid);
    let critical = |oid: &str| Value::Bool(find(oid).is_some_and(|extension| extension.critical));

    let usage = find(ext::KEY_USAGE).map(|e| ext::read_key_usage(&e.value)).transpose()?;
    into.insert("key_usage", or_null(usage, |names| names.into_iter().collect()));
    into.insert("key_usage_critical", critical(ext::KEY_USAGE));

    let extended = find(ext::EXTENDED).map(|e| ext::read_extended(&e.value)).transpose()?;
    into.insert(
        "extended_key_usage",
        or_null(extended, |oids| {
            let mut names: Vec<&str> = oids.iter().map(|known| oid::long(known)).collect();
            names.sort_unstable();
            names.into_iter().collect()
        }),
    );
    into.insert("extended_key_usage_critical", critical(ext::EXTENDED));

    let basic = find(ext::BASIC).map(|e| ext::read_basic(&e.value)).transpose()?;
    into.insert(
        "basic_constraints",
        or_null(basic, |(ca, path)| {
            let mut entries = vec![format!("CA:{}", if ca { "TRUE" } else { "FALSE" })];
            entries.extend(path.map(|length| format!("pathlen:{length}")));
            entries.into_iter().map(Value::from).collect()
        }),
    );
    into.insert("basic_constraints_critical", critical(ext::BASIC));

    let staple = find(ext::TLS_FEATURE).map(|e| ext::read_must_staple(&e.value)).transpose()?;
    into.insert("ocsp_must_staple", or_null(staple, Value::Bool));
    into.insert("ocsp_must_staple_critical", critical(ext::TLS_FEATURE));

    let alternative = find(ext::ALT_NAME).map(|e| ext::read_alt_names(&e.value)).transpose()?;
    into.insert("subject_alt_name", or_null(alternative, |list| names(&list, encoding)));
    into.insert("subject_alt_name_critical", critical(ext::ALT_NAME));

    let subject_key = find(ext::SUBJECT_KEY).map(|e| ext::read_subject_key(&e.value)).transpose()?;
    into.insert("subject_key_identifier", or_null(subject_key, |bytes| Value::from(colons(&bytes))));

    let authority = find(ext::AUTHORITY_KEY).map(|e| ext::read_authority_key(&e.value)).transpose()?;
    let authority = authority.unwrap_or_default();
    into.insert("authority_key_identifier", or_null(authority.key, |bytes| Value::from(colons(&bytes))));
    into.insert("authority_cert_issuer", or_null(authority.issuer, |list| names(&list, encoding)));
    into.insert("authority_cert_serial_number", or_null(authority.serial, |bytes| signed_number(&bytes)));

    let mut by_oid = Dict::new();
    for extension in all {
        let value = base64::engine::general_purpose::STANDARD.encode(&extension.value);
        by_oid.insert(extension.oid.as_str(), dict! {"critical" => extension.critical, "value" => value});
    }
    into.insert("extensions_by_oid", by_oid);
    Ok(())
}

fn public_key(key: &PublicKey, which: Prints, into: &mut Dict) {
    into.insert("public_key", key.to_pem());
    into.insert("public_key_type", key.kind());
    into.insert("public_key_data", public_data(key));
    into.insert("public_key_fingerprints", fingerprints(&key.der, which));
}

/// A request.
pub fn request(request: &Request, encoding: Encoding, which: Prints) -> Result<Dict, Trouble> {
    let (subject, ordered) = name(&request.subject);
    let mut out = dict! {"subject" => subject, "subject_ordered" => ordered};
    extensions(&request.extensions, encoding, &mut out)?;
    let constraints = ext::find(&request.extensions, ext::NAMES);
    let [permitted, excluded] = match constraints.map(|e| ext::read_names(&e.value)).transpose()? {
        // An absent side is shown like an absent extension.
        Some(both) => {
            both.map(|list| if list.is_empty() { Value::list(vec![]) } else { names(&list, encoding) })
        }
        None => [Value::Null, Value::Null],
    };
    out.insert("name_constraints_permitted", permitted);
    out.insert("name_constraints_excluded", excluded);
    out.insert("name_constraints_critical", constraints.is_some_and(|e| e.critical));
    public_key(&request.public, which, &mut out);
    out.insert("signature_valid", request.is_valid());
    Ok(out)
}

/// A certificate.
pub fn certificate(certificate: &Certificate, encoding: Encoding, which: Prints) -> Result<Dict, Trouble> {
    let (subject, subject_ordered) = name(&certificate.subject);
    let (issuer, issuer_ordered) = name(&certificate.issuer);
    let mut out = dict! {
        "signature_algorithm" => oid::long(&certificate.signed.algorithm_oid()?),
        "subject" => subject,
        "subject_ordered" => subject_ordered,
        "issuer" => issuer,
        "issuer_ordered" => issuer_ordered,
        "version" => certificate.version as i64,
    };
    extensions(&certificate.extensions, encoding, &mut out)?;
    public_key(&certificate.public, which, &mut out);
    out.insert("not_before", times::show(certificate.not_before));
    out.insert("not_after", times::show(certificate.not_after));
    out.insert("expired", certificate.not_after < times::now());
    out.insert("fingerprints", fingerprints(&certificate.signed.der, which));
    out.insert("serial_number", signed_number(&certificate.serial));
    let access = ext::find(&certificate.extensions, ext::ACCESS);
    let (ocsp, issuers) = access.map(|e| access_uris(&e.value)).transpose()?.unwrap_or_default();
    out.insert("ocsp_uri", or_null(ocsp, Value::from));
    out.insert("issuer_uri", or_null(issuers, Value::from));
    Ok(out)
}

/// Where to ask about revocation, and where the issuer's certificate is.
fn access_uris(value: &[u8]) -> Result<(Option<String>, Option<String>), Trouble> {
    let mut inside = der::one(value, der::SEQUENCE)?.inside();
    let (mut ocsp, mut issuer) = (None, None);
    while !inside.is_empty() {
        let mut entry = inside.sequence()?;
        let method = entry.oid()?;
        if let GeneralName::Uri(uri) = GeneralName::read(&mut entry)? {
            match method.as_str() {
                "1.3.6.1.5.5.7.48.1" if ocsp.is_none() => ocsp = Some(uri),
                "1.3.6.1.5.5.7.48.2" if issuer.is_none() => issuer = Some(uri),
                _ => {}
            }
        }
    }
    Ok((ocsp, issuer))
}

/// A private key: only what may be shown.
pub fn private_key(key: &PrivateKey, which: Prints) -> Result<Dict, Trouble> {
    let public = key.public()?;
    Ok(dict! {
        "type" => key.kind(),
        "public_data" => public_data(&public),
        "public_key" => public.to_pem(),
        "public_key_fingerprints" => fingerprints(&public.der, which),
    })
}
