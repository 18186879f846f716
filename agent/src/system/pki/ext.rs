//! Extensions of certificates and requests: made from what a task asks for, and read back.

use super::Trouble;
use super::der::{self, Malformed, Reader};
use super::general::{GeneralName, all_to_der};
use super::name::{Attribute, Name};

/// Subject key identifier.
pub const SUBJECT_KEY: &str = "2.5.29.14";
/// Key usage.
pub const KEY_USAGE: &str = "2.5.29.15";
/// Alternative names.
pub const ALT_NAME: &str = "2.5.29.17";
/// Basic constraints.
pub const BASIC: &str = "2.5.29.19";
/// Name constraints.
pub const NAMES: &str = "2.5.29.30";
/// CRL distribution points.
pub const CRL_POINTS: &str = "2.5.29.31";
/// Authority key identifier.
pub const AUTHORITY_KEY: &str = "2.5.29.35";
/// Extended key usage.
pub const EXTENDED: &str = "2.5.29.37";
/// Authority information access.
pub const ACCESS: &str = "1.3.6.1.5.5.7.1.1";
/// TLS features, such as "must staple".
pub const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its identifier.
    pub oid: String,
    /// Whether who does not understand it must refuse.
    pub critical: bool,
    /// What it says, as DER.
    pub value: Vec<u8>,
}

impl Extension {
    fn new(oid: &str, critical: bool, value: Vec<u8>) -> Extension {
        Extension { oid: oid.to_owned(), critical, value }
    }

    /// Its DER.
    pub fn to_der(&self) -> Vec<u8> {
        let critical = if self.critical { der::yes() } else { Vec::new() };
        der::sequence(&[der::oid(&self.oid), critical, der::octets(&self.value)])
    }
}

/// Reads the content of a SEQUENCE of extensions.
pub fn read_all(mut reader: Reader<'_>) -> Result<Vec<Extension>, Malformed> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        let mut parts = reader.sequence()?;
        let oid = parts.oid()?;
        let critical = parts.optional(der::BOOLEAN)?.is_some_and(|value| value.body != [0]);
        all.push(Extension { oid, critical, value: parts.octets()?.to_vec() });
    }
    Ok(all)
}

/// The extension of this kind.
pub fn find<'a>(all: &'a [Extension], oid: &str) -> Option<&'a Extension> {
    all.iter().find(|extension| extension.oid == oid)
}

/// All of them as a SEQUENCE.
pub fn all_der(all: &[Extension]) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = all.iter().map(Extension::to_der).collect();
    der::sequence(&parts)
}

/// Alternative names.
pub fn alt_names(names: &[GeneralName], critical: bool) -> Extension {
    Extension::new(ALT_NAME, critical, der::tlv(der::SEQUENCE, &all_to_der(names)))
}

/// Reads alternative names.
pub fn read_alt_names(value: &[u8]) -> Result<Vec<GeneralName>, Malformed> {
    GeneralName::read_all(der::one(value, der::SEQUENCE)?.inside())
}

/// `(name in tasks, name in information)`, in the order of the bits.
pub const USAGES: &[(&str, &str)] = &[
    ("digitalSignature", "Digital Signature"),
    ("nonRepudiation", "Non Repudiation"),
    ("keyEncipherment", "Key Encipherment"),
    ("dataEncipherment", "Data Encipherment"),
    ("keyAgreement", "Key Agreement"),
    ("keyCertSign", "Certificate Sign"),
    ("cRLSign", "CRL Sign"),
    ("encipherOnly", "Encipher Only"),
    ("decipherOnly", "Decipher Only"),
];

/// Key usage by names.
pub fn key_usage(names: &[String], critical: bool) -> Result<Extension, Trouble> {
    let mut flags = [false; 9];
    for name in names {
        let wanted = if name == "contentCommitment" { "nonRepudiation" } else { name };
        let bit = USAGES.iter().position(|(short, long)| *short == wanted || *long == wanted);
        flags[bit.ok_or_else(|| Trouble(format!("Unknown key usage \"{name}\"")))?] = true;
    }
    if (flags[7] || flags[8]) && !flags[4] {
        return Err(Trouble::new(
            "encipher_only and decipher_only can only be true when key_agreement is true",
        ));
    }
    Ok(Extension::new(KEY_USAGE, critical, der::named_bits(&flags)))
}

/// Reads key usage: names for information, sorted.
pub fn read_key_usage(value: &[u8]) -> Result<Vec<&'static str>, Malformed> {
    let bits = der::bit_numbers(der::one(value, der::BITS)?.body);
    let mut names: Vec<_> =
        bits.into_iter().filter_map(|bit| USAGES.get(bit)).map(|(_, long)| *long).collect();
    names.sort_unstable();
    Ok(names)
}

/// Extended key usage by identifiers.
pub fn extended(oids: &[String], critical: bool) -> Extension {
    let parts: Vec<Vec<u8>> = oids.iter().map(|oid| der::oid(oid)).collect();
    Extension::new(EXTENDED, critical, der::sequence(&parts))
}

/// Reads extended key usage: identifiers.
pub fn read_extended(value: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut inside = der::one(value, der::SEQUENCE)?.inside();
    let mut oids = Vec::new();
    while !inside.is_empty() {
        oids.push(inside.oid()?);
    }
    Ok(oids)
}

/// Basic constraints from `CA:TRUE` and `pathlen:1`.
pub fn basic(entries: &[String], critical: bool) -> Result<Extension, Trouble> {
    let (mut ca, mut path) = (false, None);
    for entry in entries {
        let unknown = || Trouble(format!("Unknown basic constraint \"{entry}\""));
        match entry.split_once(':') {
            Some(("CA", value)) => {
                ca = match value {
                    "TRUE" => true,
                    "FALSE" => false,
                    other => {
                        return Err(Trouble(format!("Unknown basic constraint value \"{other}\" for CA")));
                    }
                }
            }
            Some(("pathlen", value)) => {
                let number: u64 = value.parse().map_err(|_| {
                    Trouble(format!("Cannot parse path length constraint \"{value}\" (not an integer)"))
                })?;
                path = Some(number);
            }
            _ => return Err(unknown()),
        }
    }
    if path.is_some() && !ca {
        return Err(Trouble::new("path_length must be None when ca is False"));
    }
    let mut parts = Vec::new();
    if ca {
        parts.push(der::yes());
    }
    parts.extend(path.map(der::small));
    Ok(Extension::new(BASIC, critical, der::sequence(&parts)))
}

/// Reads basic constraints: whether it is a CA, and how long its chain may be.
pub fn read_basic(value: &[u8]) -> Result<(bool, Option<u64>), Malformed> {
    let mut inside = der::one(value, der::SEQUENCE)?.inside();
    let ca = inside.optional(der::BOOLEAN)?.is_some_and(|value| value.body != [0]);
    Ok((ca, if inside.is_empty() { None } else { Some(inside.small()?) }))
}

/// The server has to staple an OCSP answer.
pub fn must_staple(critical: bool) -> Extension {
    Extension::new(TLS_FEATURE, critical, der::sequence(&[der::small(5)]))
}

/// Whether a TLS feature says "must staple".
pub fn read_must_staple(value: &[u8]) -> Result<bool, Malformed> {
    let mut inside = der::one(value, der::SEQUENCE)?.inside();
    let mut found = false;
    while !inside.is_empty() {
        found |= matches!(inside.small()?, 5 | 17);
    }
    Ok(found)
}

/// Name constraints.
pub fn names(permitted: &[GeneralName], excluded: &[GeneralName], critical: bool) -> Extension {
    let trees = |names: &[GeneralName]| -> Vec<u8> {
        names.iter().flat_map(|name| der::sequence(&[name.to_der()])).collect()
    };
    let mut parts = Vec::new();
    for (number, list) in [(0, permitted), (1, excluded)] {
        if !list.is_empty() {
            parts.push(der::tlv(der::explicit(number), &trees(list)));
        }
    }
    Extension::new(NAMES, critical, der::sequence(&parts))
}

/// Reads name constraints: permitted and excluded.
pub fn read_names(value: &[u8]) -> Result<[Vec<GeneralName>; 2], Malformed> {
    let mut inside = der::one(value, der::SEQUENCE)?.inside();
    let mut out = [Vec::new(), Vec::new()];
    for (number, list) in (0u8..).zip(&mut out) {
        if let Some(trees) = inside.optional(der::explicit(number))? {
            let mut trees = trees.inside();
            while !trees.is_empty() {
                list.push(GeneralName::read(&mut trees.sequence()?)?);
            }
        }
    }
    Ok(out)
}

/// Subject key identifier.
pub fn subject_key(identifier: &[u8]) -> Extension {
    Extension::new(SUBJECT_KEY, false, der::octets(identifier))
}

/// Reads a subject key identifier.
pub fn read_subject_key(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    Ok(der::one(value, der::OCTETS)?.body.to_vec())
}

/// Who signed, by key, or by name and serial number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Authority {
    /// The key's identifier.
    pub key: Option<Vec<u8>>,
    /// Its names.
    pub issuer: Option<Vec<GeneralName>>,
    /// Its certificate's number, big-endian.
    pub serial: Option<Vec<u8>>,
}

/// Authority key identifier.
pub fn authority_key(authority: &Authority) -> Extension {
    let mut parts = Vec::new();
    parts.extend(authority.key.as_ref().map(|key| der::tlv(der::implicit(0), key)));
    parts.extend(authority.issuer.as_ref().map(|names| der::tlv(der::explicit(1), &all_to_der(names))));
    if let Some(serial) = &authority.serial {
        let number = der::unsigned(serial);
        let body = Reader::new(&number).take().map(|value| value.body.to_vec()).unwrap_or_default();
        parts.push(der::tlv(der::implicit(2), &body));
    }
    Extension::new(AUTHORITY_KEY, false, der::sequence(&parts))
}

/// Reads an authority key identifier.
pub fn read_authority_key(value: &[u8]) -> Result<Authority, Malformed> {
    let mut inside = der::one(value, der::SEQUENCE)?.inside();
    let key = inside.optional(der::implicit(0))?.map(|value| value.body.to_vec());
    let issuer = match inside.optional(der::explicit(1))? {
        Some(names) => Some(GeneralName::read_all(names.inside())?),
        None => None,
    };
    let serial = inside.optional(der::implicit(2))?.map(|value| value.body.to_vec());
    Ok(Authority { key, issuer, serial })
}

/// Where to find a list of revoked certificates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrlPoint {
    /// Full names.
    pub full: Option<Vec<GeneralName>>,
    /// A name relative to the issuer.
    pub relative: Option<Vec<Attribute>>,
    /// Who signs the list.
    pub issuer: Option<Vec<GeneralName>>,
    /// For which reasons, by bit.
    pub reasons: Option<Vec<usize>>,
}

/// Reasons for revocation, by bit; the first is not used.
pub const REASONS: &[&str] = &[
    "unspecified",
    "key_compromise",
    "ca_compromise",
    "affiliation_changed",
    "superseded",
    "cessation_of_operation",
    "certificate_hold",
    "privilege_withdrawn",
    "aa_compromise",
];

/// CRL distribution points.
pub fn crl_points(points: &[CrlPoint]) -> Extension {
    let point = |point: &CrlPoint| {
        let mut parts = Vec::new();
        if let Some(full) = &point.full {
            parts.push(der::tlv(der::explicit(0), &der::tlv(der::explicit(0), &all_to_der(full))));
        } else if let Some(relative) = &point.relative {
            parts.push(der::tlv(der::explicit(0), &der::tlv(der::explicit(1), &Name::relative(relative))));
        }
        if let Some(reasons) = &point.reasons {
            let flags: Vec<bool> = (0..REASONS.len()).map(|bit| reasons.contains(&bit)).collect();
            let bits = der::named_bits(&flags);
            parts.push(der::tlv(der::implicit(1), &bits[2..]));
        }
        parts.extend(point.issuer.as_ref().map(|names| der::tlv(der::explicit(2), &all_to_der(names))));
        der::sequence(&parts)
    };
    let all: Vec<Vec<u8>> = points.iter().map(point).collect();
    Extension::new(CRL_POINTS, false, der::sequence(&all))
}

/// Whether two extensions say the same; where order has no meaning, it does not count.
pub fn same(left: &Extension, right: &Extension) -> bool {
    if left.oid != right.oid || left.critical != right.critical {
        return false;
    }
    let unordered = |read: fn(&[u8]) -> Option<Vec<Vec<u8>>>| match (read(&left.value), read(&right.value)) {
        (Some(left), Some(right)) => {
            left.iter().all(|item| right.contains(item)) && right.iter().all(|item| left.contains(item))
        }
        _ => left.value == right.value,
    };
    match left.oid.as_str() {
        ALT_NAME | EXTENDED => unordered(|value| {
            let mut inside = der::one(value, der::SEQUENCE).ok()?.inside();
            let mut items = Vec::new();
            while !inside.is_empty() {
                items.push(inside.take().ok()?.raw.to_vec());
            }
            Some(items)
        }),
        NAMES => match (read_names(&left.value), read_names(&right.value)) {
            (Ok(left), Ok(right)) => left.iter().zip(&right).all(|(left, right)| {
                left.iter().all(|name| right.contains(name)) && right.iter().all(|name| left.contains(name))
            }),
            _ => left.value == right.value,
        },
        _ => left.value == right.value,
    }
}
