//! Lists of revoked certificates.

use super::cert::Signed;
use super::der::{self, Malformed, Reader};
use super::ext::{self, Extension};
use super::general::{Encoding, GeneralName, all_to_der};
use super::key::{Digest, PrivateKey};
use super::name::Name;
use super::{Trouble, cert, oid, pem, show, times};
use quorate_value::{Dict, Value, dict};

const REASON: &str = "2.5.29.21";
const INVALIDITY: &str = "2.5.29.24";
const ISSUER: &str = "2.5.29.29";

/// Reasons by name and number.
const REASONS: &[(&str, u8)] = &[
    ("unspecified", 0),
    ("key_compromise", 1),
    ("ca_compromise", 2),
    ("affiliation_changed", 3),
    ("superseded", 4),
    ("cessation_of_operation", 5),
    ("certificate_hold", 6),
    ("remove_from_crl", 8),
    ("privilege_withdrawn", 9),
    ("aa_compromise", 10),
];

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number: the INTEGER's bytes, signed.
    pub serial: Vec<u8>,
    /// When it was revoked.
    pub date: i64,
    /// Who issued it, and whether that is critical.
    pub issuer: Option<(Vec<GeneralName>, bool)>,
    /// Why.
    pub reason: Option<(&'static str, bool)>,
    /// Since when it was not to be trusted.
    pub invalidity: Option<(i64, bool)>,
}

impl Entry {
    fn read(reader: &mut Reader<'_>) -> Result<Entry, Malformed> {
        let mut parts = reader.sequence()?;
        let serial = parts.expect(der::INTEGER)?.body.to_vec();
        let date = times::read(&mut parts)?;
        let mut entry = Entry { serial, date, issuer: None, reason: None, invalidity: None };
        let extensions = match parts.optional(der::SEQUENCE)? {
            Some(list) => ext::read_all(list.inside())?,
            None => Vec::new(),
        };
        for extension in extensions {
            let critical = extension.critical;
            match extension.oid.as_str() {
                ISSUER => entry.issuer = Some((ext::read_alt_names(&extension.value)?, critical)),
                REASON => {
                    let number = der::one(&extension.value, der::ENUMERATED)?.body.first().copied();
                    let known = REASONS.iter().find(|(_, code)| Some(*code) == number);
                    entry.reason = Some((known.map_or("unspecified", |(name, _)| *name), critical));
                }
                INVALIDITY => {
                    entry.invalidity = Some((times::read(&mut Reader::new(&extension.value))?, critical));
                }
                _ => {}
            }
        }
        Ok(entry)
    }

    fn to_der(&self) -> Vec<u8> {
        let extension = |oid: &str, critical: bool, value: Vec<u8>| {
            Extension { oid: oid.into(), critical, value }.to_der()
        };
        let mut extensions = Vec::new();
        if let Some((names, critical)) = &self.issuer {
            extensions.push(extension(ISSUER, *critical, der::tlv(der::SEQUENCE, &all_to_der(names))));
        }
        if let Some((reason, critical)) = &self.reason {
            let code = REASONS.iter().find(|(name, _)| name == reason).map_or(0, |(_, code)| *code);
            extensions.push(extension(REASON, *critical, der::tlv(der::ENUMERATED, &[code])));
        }
        if let Some((at, critical)) = self.invalidity {
            extensions.push(extension(INVALIDITY, critical, der::tlv(der::TIME, times::show(at).as_bytes())));
        }
        let tail = if extensions.is_empty() { Vec::new() } else { der::sequence(&extensions) };
        der::sequence(&[der::tlv(der::INTEGER, &self.serial), times::to_der(self.date), tail])
    }

    /// The reason by its name.
    pub fn reason(name: &str) -> Option<&'static str> {
        REASONS.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
    }

    /// As tasks see it.
    pub fn show(&self, encoding: Encoding) -> Dict {
        let (issuer, issuer_critical) = match &self.issuer {
            Some((names, critical)) => {
                (names.iter().map(|name| Value::from(name.display(encoding))).collect(), *critical)
            }
            None => (Value::Null, false),
        };
        dict! {
            "serial_number" => show::signed_number(&self.serial),
            "revocation_date" => times::show(self.date),
            "issuer" => issuer,
            "issuer_critical" => issuer_critical,
            "reason" => self.reason.map_or(Value::Null, |(name, _)| Value::from(name)),
            "reason_critical" => self.reason.is_some_and(|(_, critical)| critical),
            "invalidity_date" => self.invalidity.map_or(Value::Null, |(at, _)| Value::from(times::show(at))),
            "invalidity_date_critical" => self.invalidity.is_some_and(|(_, critical)| critical),
        }
    }
}

/// A list.
#[derive(Debug, Clone)]
pub struct Crl {
    /// The signed structure.
    pub signed: Signed,
    /// Who signed it.
    pub issuer: Name,
    /// From when it counts.
    pub last_update: i64,
    /// When the next one comes.
    pub next_update: Option<i64>,
    /// What it revokes.
    pub entries: Vec<Entry>,
    /// Whether it was read from PEM.
    pub is_pem: bool,
}

impl Crl {
    /// From PEM or DER.
    pub fn load(content: &[u8]) -> Result<Crl, Trouble> {
        let data = if pem::is_pem(content) {
            cert::decode(content, &["X509 CRL"], "CRL")?
        } else {
            content.to_vec()
        };
        let mut list = Crl::read(&data)?;
        list.is_pem = pem::is_pem(content);
        Ok(list)
    }

    fn read(data: &[u8]) -> Result<Crl, Malformed> {
        let signed = Signed::read(data)?;
        let mut body = der::one(&signed.body, der::SEQUENCE)?.inside();
        if body.peek() == Some(der::INTEGER) {
            body.small()?;
        }
        body.expect(der::SEQUENCE)?;
        let issuer = Name::read(&mut body)?;
        let last_update = times::read(&mut body)?;
        let next_update = match body.peek() {
            Some(der::UTC_TIME | der::TIME) => Some(times::read(&mut body)?),
            _ => None,
        };
        let mut entries = Vec::new();
        if let Some(list) = body.optional(der::SEQUENCE)? {
            let mut list = list.inside();
            while !list.is_empty() {
                entries.push(Entry::read(&mut list)?);
            }
        }
        Ok(Crl { signed, issuer, last_update, next_update, entries, is_pem: true })
    }

    /// Makes one.
    pub fn make(
        issuer: &Name,
        last_update: i64,
        next_update: i64,
        entries: &[Entry],
        key: &PrivateKey,
        digest: Digest,
    ) -> Result<Crl, Trouble> {
        let (algorithm, _) = key.sign(digest, &[])?;
        let list: Vec<Vec<u8>> = entries.iter().map(Entry::to_der).collect();
        let body = der::sequence(&[
            der::small(1),
            algorithm,
            issuer.to_der(),
            times::to_der(last_update),
            times::to_der(next_update),
            if list.is_empty() { Vec::new() } else { der::sequence(&list) },
        ]);
        Ok(Crl::read(&cert::sign(body, key, digest)?)?)
    }

    /// PEM.
    pub fn to_pem(&self) -> String {
        pem::write("X509 CRL", &[], &self.signed.der)
    }

    /// The signature algorithm's name.
    pub fn algorithm(&self) -> Result<String, Trouble> {
        Ok(oid::long(&self.signed.algorithm_oid()?).to_owned())
    }

    /// As tasks see it.
    pub fn show(&self, encoding: Encoding, with_entries: bool) -> Result<Dict, Trouble> {
        let (issuer, ordered) = show::name(&self.issuer);
        let mut out = dict! {
            "format" => if self.is_pem { "pem" } else { "der" },
            "digest" => self.algorithm()?,
            "issuer" => issuer,
            "issuer_ordered" => ordered,
            "last_update" => times::show(self.last_update),
            "next_update" => self.next_update.map_or(Value::Null, |at| Value::from(times::show(at))),
        };
        if with_entries {
            let list: Vec<Value> =
                self.entries.iter().map(|entry| Value::dict(entry.show(encoding))).collect();
            out.insert("revoked_certificates", list);
        }
        Ok(out)
    }
}
