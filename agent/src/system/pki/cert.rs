//! Certificates and certificate signing requests: read, checked, made.

use super::der::{self, Malformed, Reader};
use super::ext::{self, Extension};
use super::key::{Digest, PrivateKey, PublicKey};
use super::name::Name;
use super::{Trouble, pem, random, times};

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const MICROSOFT_REQUEST: &str = "1.3.6.1.4.1.311.2.1.14";

/// What was signed, how, and the signature.
#[derive(Debug, Clone)]
pub struct Signed {
    /// All of it.
    pub der: Vec<u8>,
    /// The signed part.
    pub body: Vec<u8>,
    /// AlgorithmIdentifier.
    pub algorithm: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Signed {
    /// Splits a signed structure.
    pub fn read(data: &[u8]) -> Result<Signed, Malformed> {
        let mut outer = Reader::new(data);
        let whole = outer.expect(der::SEQUENCE)?;
        outer.end()?;
        let mut parts = whole.inside();
        let body = parts.expect(der::SEQUENCE)?.raw.to_vec();
        let algorithm = parts.expect(der::SEQUENCE)?.raw.to_vec();
        let signature = parts.bits()?.to_vec();
        parts.end()?;
        Ok(Signed { der: data.to_vec(), body, algorithm, signature })
    }

    /// The signature algorithm's identifier.
    pub fn algorithm_oid(&self) -> Result<String, Malformed> {
        der::one(&self.algorithm, der::SEQUENCE)?.inside().oid()
    }

    /// Whether the owner of this key signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> Result<bool, Trouble> {
        key.verify(&self.algorithm, &self.body, &self.signature)
    }
}

/// PEM with this label, or DER.
pub fn decode(content: &[u8], labels: &[&str], what: &str) -> Result<Vec<u8>, Trouble> {
    if !pem::is_pem(content) && content.first() == Some(&der::SEQUENCE) {
        return Ok(content.to_vec());
    }
    let blocks = pem::parse(content)?;
    blocks
        .into_iter()
        .find(|block| labels.contains(&block.label.as_str()))
        .map(|block| block.data)
        .ok_or_else(|| {
            let label = labels[0];
            Trouble(format!(
                "Valid PEM but no BEGIN {label}/END {label} delimiters. Are you sure this is a {what}?"
            ))
        })
}

/// A certificate signing request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The signed structure.
    pub signed: Signed,
    /// For whom.
    pub subject: Name,
    /// For which key.
    pub public: PublicKey,
    /// What the certificate should say.
    pub extensions: Vec<Extension>,
}

impl Request {
    /// From PEM or DER.
    pub fn load(content: &[u8]) -> Result<Request, Trouble> {
        let labels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
        Ok(Request::read(&decode(content, &labels, "CSR")?)?)
    }

    fn read(data: &[u8]) -> Result<Request, Malformed> {
        let signed = Signed::read(data)?;
        let mut info = der::one(&signed.body, der::SEQUENCE)?.inside();
        info.small()?;
        let subject = Name::read(&mut info)?;
        let public = PublicKey::read(&mut info)?;
        let mut extensions = Vec::new();
        if let Some(attributes) = info.optional(der::explicit(0))? {
            let mut attributes = attributes.inside();
            while !attributes.is_empty() {
                let mut attribute = attributes.sequence()?;
                if matches!(attribute.oid()?.as_str(), EXTENSION_REQUEST | MICROSOFT_REQUEST) {
                    let mut values = attribute.expect(der::SET)?.inside();
                    extensions.extend(ext::read_all(values.sequence()?)?);
                }
            }
        }
        Ok(Request { signed, subject, public, extensions })
    }

    /// Makes one.
    pub fn make(
        subject: &Name,
        extensions: &[Extension],
        key: &PrivateKey,
        digest: Digest,
    ) -> Result<Request, Trouble> {
        let attributes = if extensions.is_empty() {
            Vec::new()
        } else {
            der::sequence(&[der::oid(EXTENSION_REQUEST), der::tlv(der::SET, &ext::all_der(extensions))])
        };
        let info = der::sequence(&[
            der::small(0),
            subject.to_der(),
            key.public()?.der,
            der::tlv(der::explicit(0), &attributes),
        ]);
        Ok(Request::read(&sign(info, key, digest)?)?)
    }

    /// PEM.
    pub fn to_pem(&self) -> String {
        pem::write("CERTIFICATE REQUEST", &[], &self.signed.der)
    }

    /// Whether the owner of its key signed it.
    pub fn is_valid(&self) -> bool {
        self.signed.is_signed_by(&self.public).unwrap_or(false)
    }
}

/// Puts a signature behind a body.
pub fn sign(body: Vec<u8>, key: &PrivateKey, digest: Digest) -> Result<Vec<u8>, Trouble> {
    let (algorithm, signature) = key.sign(digest, &body)?;
    Ok(der::sequence(&[body, algorithm, der::bits(&signature)]))
}

/// A certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The signed structure.
    pub signed: Signed,
    /// 1 to 3.
    pub version: u64,
    /// Its number: the INTEGER's bytes, signed.
    pub serial: Vec<u8>,
    /// Who signed it.
    pub issuer: Name,
    /// From when it is valid.
    pub not_before: i64,
    /// Until when it is valid.
    pub not_after: i64,
    /// For whom.
    pub subject: Name,
    /// For which key.
    pub public: PublicKey,
    /// What else it says.
    pub extensions: Vec<Extension>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.signed.der == other.signed.der
    }
}

/// What a certificate will say.
pub struct Draft<'a> {
    /// Who signs it.
    pub issuer: &'a Name,
    /// For whom.
    pub subject: &'a Name,
    /// From when it is valid.
    pub not_before: i64,
    /// Until when it is valid.
    pub not_after: i64,
    /// For which key.
    pub public: &'a PublicKey,
    /// What else it says.
    pub extensions: &'a [Extension],
}

impl Certificate {
    /// From PEM or DER.
    pub fn load(content: &[u8]) -> Result<Certificate, Trouble> {
        let labels = ["CERTIFICATE", "X509 CERTIFICATE"];
        Ok(Certificate::read(&decode(content, &labels, "certificate")?)?)
    }

    /// From DER.
    pub fn read(data: &[u8]) -> Result<Certificate, Malformed> {
        let signed = Signed::read(data)?;
        let mut body = der::one(&signed.body, der::SEQUENCE)?.inside();
        let version = match body.optional(der::explicit(0))? {
            Some(version) => version.inside().small()? + 1,
            None => 1,
        };
        let serial = body.expect(der::INTEGER)?.body.to_vec();
        body.expect(der::SEQUENCE)?;
        let issuer = Name::read(&mut body)?;
        let mut validity = body.sequence()?;
        let (not_before, not_after) = (times::read(&mut validity)?, times::read(&mut validity)?);
        let subject = Name::read(&mut body)?;
        let public = PublicKey::read(&mut body)?;
        body.optional(der::implicit(1))?;
        body.optional(der::implicit(2))?;
        let extensions = match body.optional(der::explicit(3))? {
            Some(list) => ext::read_all(list.inside().sequence()?)?,
            None => Vec::new(),
        };
        Ok(Certificate {
            signed,
            version,
            serial,
            issuer,
            not_before,
            not_after,
            subject,
            public,
            extensions,
        })
    }

    /// Makes one with a random number.
    pub fn make(draft: &Draft<'_>, key: &PrivateKey, digest: Digest) -> Result<Certificate, Trouble> {
        let mut serial = random::<20>()?;
        // 159 bits, never zero, never negative.
        serial[0] = serial[0] & 0x7f | 0x01;
        let (algorithm, _) = key.sign(digest, &[])?;
        let body = der::sequence(&[
            der::tlv(der::explicit(0), &der::small(2)),
            der::unsigned(&serial),
            algorithm,
            draft.issuer.to_der(),
            der::sequence(&[times::to_der(draft.not_before), times::to_der(draft.not_after)]),
            draft.subject.to_der(),
            draft.public.der.clone(),
            if draft.extensions.is_empty() {
                Vec::new()
            } else {
                der::tlv(der::explicit(3), &ext::all_der(draft.extensions))
            },
        ]);
        Ok(Certificate::read(&sign(body, key, digest)?)?)
    }

    /// PEM.
    pub fn to_pem(&self) -> String {
        pem::write("CERTIFICATE", &[], &self.signed.der)
    }

    /// Whether it is valid at this time.
    pub fn is_valid_at(&self, at: i64) -> bool {
        (self.not_before..=self.not_after).contains(&at)
    }
}
