//! Certificate signing requests as tasks ask for them.

use super::python_error;
use crate::args::Args;
use crate::module::Failure;
use crate::system::pki::cert::Request;
use crate::system::pki::ext::{self, Authority, CrlPoint, Extension};
use crate::system::pki::general::{Encoding, GeneralName};
use crate::system::pki::key::{Digest, PrivateKey};
use crate::system::pki::name::{Attribute, Name, parse_attribute};
use crate::system::pki::show::{self, Prints};
use crate::system::pki::{Trouble, from_colons, oid};
use quorate_value::{BigInt, Dict, Value, dict, str_of};

/// Parameters of everything that makes requests, followed by a module's own.
macro_rules! request_params {
    ($($own:expr),* $(,)?) => {
        &[
            Param::str("digest").default_str("sha256").doc("Digest of the signature: sha1, sha256, sha384 or sha512. Ed25519 has its own."),
            Param::path("privatekey_path").doc("The private key that the request is for, and signed by."),
            Param::str("privatekey_content").no_log().doc("The private key itself, in place of `privatekey_path`."),
            Param::str("privatekey_passphrase").no_log().doc("Opens the private key."),
            Param::int("version").choices(&["1"]).default_int(1).doc("There is only one."),
            Param::new("subject", Kind::Dict).doc("Parts of the subject by name; a list gives several of one name."),
            Param::list("subject_ordered", Kind::Dict).doc("Parts of the subject in order, each a mapping of one entry."),
            Param::str("country_name").aliases(&["C", "countryName"]).doc("Country in the subject: two letters."),
            Param::str("state_or_province_name").aliases(&["ST", "stateOrProvinceName"]).doc("State or province in the subject."),
            Param::str("locality_name").aliases(&["L", "localityName"]).doc("City in the subject."),
            Param::str("organization_name").aliases(&["O", "organizationName"]).doc("Organization in the subject."),
            Param::str("organizational_unit_name").aliases(&["OU", "organizationalUnitName"]).doc("Unit of the organization in the subject."),
            Param::str("common_name").aliases(&["CN", "commonName"]).doc("Common name in the subject."),
            Param::str("email_address").aliases(&["E", "emailAddress"]).doc("Mail address in the subject."),
            Param::list("subject_alt_name", Kind::Str).aliases(&["subjectAltName"]).doc("Names the certificate is valid for: `DNS:`, `IP:`, `email:`, `URI:`, `RID:`, `dirName:`, `otherName:`."),
            Param::bool("subject_alt_name_critical").aliases(&["subjectAltName_critical"]).default_bool(false).doc("Marks these names as critical."),
            Param::bool("use_common_name_for_san").aliases(&["useCommonNameForSAN"]).default_bool(true).doc("Takes the common name as `DNS:` name when no other names are given."),
            Param::list("key_usage", Kind::Str).aliases(&["keyUsage"]).doc("What the key may do, such as `digitalSignature`."),
            Param::bool("key_usage_critical").aliases(&["keyUsage_critical"]).default_bool(false).doc("Marks the key usage as critical."),
            Param::list("extended_key_usage", Kind::Str).aliases(&["extKeyUsage", "extendedKeyUsage"]).doc("Purposes by name, such as `serverAuth`, or by identifier."),
            Param::bool("extended_key_usage_critical").aliases(&["extKeyUsage_critical", "extendedKeyUsage_critical"]).default_bool(false).doc("Marks the purposes as critical."),
            Param::list("basic_constraints", Kind::Str).aliases(&["basicConstraints"]).doc("`CA:TRUE` or `CA:FALSE`, and `pathlen:` with a number."),
            Param::bool("basic_constraints_critical").aliases(&["basicConstraints_critical"]).default_bool(false).doc("Marks the basic constraints as critical."),
            Param::bool("ocsp_must_staple").aliases(&["ocspMustStaple"]).default_bool(false).doc("Servers have to staple an OCSP answer."),
            Param::bool("ocsp_must_staple_critical").aliases(&["ocspMustStaple_critical"]).default_bool(false).doc("Marks this demand as critical."),
            Param::list("name_constraints_permitted", Kind::Str).doc("Names that a CA may sign for."),
            Param::list("name_constraints_excluded", Kind::Str).doc("Names that a CA may not sign for."),
            Param::bool("name_constraints_critical").default_bool(false).doc("Marks the name constraints as critical."),
            Param::bool("create_subject_key_identifier").default_bool(false).doc("Computes the subject key identifier from the key."),
            Param::str("subject_key_identifier").doc("The subject key identifier, as `00:11:22`."),
            Param::str("authority_key_identifier").doc("The signing key's identifier, as `00:11:22`."),
            Param::list("authority_cert_issuer", Kind::Str).doc("The issuer of the signing certificate."),
            Param::int("authority_cert_serial_number").doc("The number of the signing certificate."),
            Param::list("crl_distribution_points", Kind::Dict)
                .options(&[
                    Param::list("full_name", Kind::Str).doc("Where the list is, such as `URI:https://...`."),
                    Param::list("relative_name", Kind::Str).doc("Where the list is, relative to its issuer, such as `CN=example`."),
                    Param::list("crl_issuer", Kind::Str).doc("Who signs the list."),
                    Param::list("reasons", Kind::Str)
                        .choices(&["key_compromise", "ca_compromise", "affiliation_changed", "superseded", "cessation_of_operation", "certificate_hold", "privilege_withdrawn", "aa_compromise"])
                        .doc("Reasons of revocation that the list has."),
                ])
                .option_rules(Rules { mutually_exclusive: &[&["full_name", "relative_name"]], required_one_of: &[&["full_name", "relative_name", "crl_issuer"]], ..Rules::NONE })
                .doc("Where lists of revoked certificates are."),
            crate::modules::crypto::BACKEND,
            $($own),*
        ]
    };
}
pub(crate) use request_params;

/// Parts of the subject that have a parameter of their own, in their order.
const PARTS: [(&str, &str); 7] = [
    ("C", "country_name"),
    ("ST", "state_or_province_name"),
    ("L", "locality_name"),
    ("O", "organization_name"),
    ("OU", "organizational_unit_name"),
    ("CN", "common_name"),
    ("emailAddress", "email_address"),
];

/// A task's wishes.
pub struct Wanted<'a> {
    args: &'a Args,
    subject: Vec<(String, String)>,
    alternative: Option<Vec<String>>,
}

fn values(key: &str, value: &Value) -> Vec<(String, String)> {
    let one = |value: &Value| (key.to_owned(), str_of(value));
    match value {
        Value::List(items) => items.iter().map(one).collect(),
        value => vec![one(value)],
    }
}

impl<'a> Wanted<'a> {
    /// From a task's arguments.
    pub fn of(args: &'a Args) -> Result<Self, Failure> {
        let mut subject: Vec<(String, String)> = PARTS
            .iter()
            .filter_map(|(name, param)| {
                args.nonempty(param).map(|value| ((*name).to_owned(), value.to_owned()))
            })
            .collect();
        if args.has("subject_ordered") {
            if !subject.is_empty() {
                return Err(Failure::new("subject_ordered cannot be combined with any other subject field"));
            }
            for (index, entry) in args.list("subject_ordered").iter().filter_map(Value::as_dict).enumerate() {
                if entry.len() != 1 {
                    return Err(Failure::new(format!(
                        "Entry #{} in subject_ordered must be a dictionary with exactly one key-value pair",
                        index + 1
                    )));
                }
                subject.extend(entry.iter().flat_map(|(key, value)| values(&str_of(&key.to_value()), value)));
            }
        }
        if let Some(more) = args.dict("subject") {
            subject.extend(more.iter().flat_map(|(key, value)| values(&str_of(&key.to_value()), value)));
        }
        subject.retain(|(_, value)| !value.is_empty());
        let mut alternative = Some(args.strings("subject_alt_name")).filter(|names| !names.is_empty());
        if alternative.is_none() && args.bool("use_common_name_for_san") {
            let common = subject.iter().find(|(key, _)| matches!(key.as_str(), "CN" | "commonName"));
            alternative = common.map(|(_, value)| vec![format!("DNS:{value}")]);
        }
        Ok(Wanted { args, subject, alternative })
    }

    /// The private key it is for.
    pub fn key(&self) -> Result<PrivateKey, Failure> {
        let names = ["privatekey_path", "privatekey_content", "privatekey_passphrase"];
        let key = super::private_key(self.args, names, |_| None)?;
        key.ok_or_else(|| Failure::new("one of privatekey_path and privatekey_content is required"))
    }

    fn subject(&self) -> Result<Name, Trouble> {
        let parts: Result<Vec<_>, _> =
            self.subject.iter().map(|(key, value)| Attribute::named(key, value)).collect();
        Ok(Name::of(parts?))
    }

    fn given(&self, name: &str) -> Option<Vec<String>> {
        Some(self.args.strings(name)).filter(|list| !list.is_empty())
    }

    /// The extensions it will have.
    fn extensions(&self, key: &PrivateKey) -> Result<Vec<Extension>, Trouble> {
        let args = self.args;
        let mut all = Vec::new();
        if let Some(alternative) = &self.alternative {
            let names = general(alternative, "Subject Alternative Name")?;
            all.push(ext::alt_names(&names, args.bool("subject_alt_name_critical")));
        }
        if let Some(usage) = self.given("key_usage") {
            all.push(ext::key_usage(&usage, args.bool("key_usage_critical"))?);
        }
        if let Some(purposes) = self.given("extended_key_usage") {
            let oids: Result<Vec<String>, Trouble> = purposes
                .iter()
                .map(|name| {
                    oid::named(name).ok_or_else(|| Trouble(format!("Cannot find OID for \"{name}\"")))
                })
                .collect();
            all.push(ext::extended(&oids?, args.bool("extended_key_usage_critical")));
        }
        if let Some(constraints) = self.given("basic_constraints") {
            all.push(ext::basic(&constraints, args.bool("basic_constraints_critical"))?);
        }
        if args.bool("ocsp_must_staple") {
            all.push(ext::must_staple(args.bool("ocsp_must_staple_critical")));
        }
        let permitted = general(&args.strings("name_constraints_permitted"), "Name Constraints permitted")?;
        let excluded = general(&args.strings("name_constraints_excluded"), "Name Constraints excluded")?;
        if !permitted.is_empty() || !excluded.is_empty() {
            all.push(ext::names(&permitted, &excluded, args.bool("name_constraints_critical")));
        }
        if args.bool("create_subject_key_identifier") {
            all.push(ext::subject_key(&key.public()?.identifier()?));
        } else if let Some(text) = args.nonempty("subject_key_identifier") {
            all.push(ext::subject_key(&identifier(text, "subject_key_identifier")?));
        }
        all.extend(self.authority()?.map(|authority| ext::authority_key(&authority)));
        let points = crl_points(args)?;
        if !points.is_empty() {
            all.push(ext::crl_points(&points));
        }
        Ok(all)
    }

    fn authority(&self) -> Result<Option<Authority>, Trouble> {
        let args = self.args;
        let key = match args.nonempty("authority_key_identifier") {
            Some(text) => Some(identifier(text, "authority_key_identifier")?),
            None => None,
        };
        let issuer = match self.given("authority_cert_issuer") {
            Some(names) => Some(general(&names, "Authority Cert Issuer")?),
            None => None,
        };
        let serial = match args.value("authority_cert_serial_number") {
            Some(number) => Some(big(number)?),
            None => None,
        };
        let authority = Authority { key, issuer, serial };
        Ok(Some(authority).filter(|authority| *authority != Authority::default()))
    }

    /// Whether a request that is there says all this, and nothing else of the kind.
    pub fn fits(&self, there: &Request, key: &PrivateKey) -> Result<bool, Failure> {
        const OURS: [&str; 9] = [
            ext::ALT_NAME,
            ext::KEY_USAGE,
            ext::EXTENDED,
            ext::BASIC,
            ext::TLS_FEATURE,
            ext::NAMES,
            ext::SUBJECT_KEY,
            ext::AUTHORITY_KEY,
            ext::CRL_POINTS,
        ];
        let subject = self.subject()?;
        let extensions = self.extensions(key)?;
        let same_subject = if self.args.has("subject_ordered") {
            subject == there.subject
        } else {
            let all = |name: &Name| {
                let mut parts: Vec<_> = name.attributes().map(|a| (a.oid.clone(), a.value.clone())).collect();
                parts.sort();
                parts
            };
            all(&subject) == all(&there.subject)
        };
        let same_extension =
            |oid: &&str| match (ext::find(&extensions, oid), ext::find(&there.extensions, oid)) {
                (Some(wanted), Some(found)) => ext::same(wanted, found),
                (wanted, found) => wanted.is_none() && found.is_none(),
            };
        Ok(same_subject
            && OURS.iter().all(same_extension)
            && there.public == key.public()?
            && there.is_valid())
    }

    /// Makes the request.
    pub fn make(&self, key: &PrivateKey) -> Result<Request, Failure> {
        let digest = Digest::named(self.args.text("digest"))?;
        Ok(Request::make(&self.subject()?, &self.extensions(key)?, key, digest)?)
    }

    /// The entries that results have in common.
    pub fn facts(&self) -> Dict {
        let list = |name: &str| match self.args.value(name) {
            Some(Value::List(items)) if !items.is_empty() => Value::List(items.clone()),
            _ => Value::Null,
        };
        let strings =
            |name: &str| -> Value { self.args.strings(name).into_iter().map(Value::from).collect() };
        let subject: Vec<Value> = self
            .subject
            .iter()
            .map(|(key, value)| Value::list(vec![Value::from(key.as_str()), Value::from(value.as_str())]))
            .collect();
        let alternative = self
            .alternative
            .as_ref()
            .map_or(Value::Null, |names| names.iter().map(|name| Value::from(name.as_str())).collect());
        dict! {
            "privatekey" => self.args.value("privatekey_path").cloned().unwrap_or_default(),
            "subject" => subject,
            "subjectAltName" => alternative,
            "keyUsage" => list("key_usage"),
            "extendedKeyUsage" => list("extended_key_usage"),
            "basicConstraints" => list("basic_constraints"),
            "ocspMustStaple" => self.args.bool("ocsp_must_staple"),
            "name_constraints_permitted" => strings("name_constraints_permitted"),
            "name_constraints_excluded" => strings("name_constraints_excluded"),
        }
    }
}

/// What a difference shows of a request.
pub fn side(content: Option<&[u8]>) -> Dict {
    let Some(content) = content else { return Dict::new() };
    let shown =
        Request::load(content).and_then(|request| show::request(&request, Encoding::AsIs, Prints::One));
    match shown {
        Ok(facts) => {
            let mut side = dict! {"can_parse_csr" => true};
            side.extend(facts);
            side
        }
        Err(_) => dict! {"can_parse_csr" => false},
    }
}

fn general(names: &[String], what: &str) -> Result<Vec<GeneralName>, Trouble> {
    names.iter().map(|name| GeneralName::parse(name, what)).collect()
}

fn identifier(text: &str, what: &str) -> Result<Vec<u8>, Trouble> {
    from_colons(text).map_err(|trouble| Trouble(format!("Cannot parse {what}: {trouble}")))
}

/// A number of any size, big-endian.
fn big(number: &Value) -> Result<Vec<u8>, Trouble> {
    match number {
        Value::Int(number) if *number >= 0 => Ok(number.to_be_bytes().to_vec()),
        Value::Big(number) if **number > BigInt::from(0) => Ok(number.to_signed_bytes_be()),
        _ => Err(Trouble::new("authority_cert_serial_number must not be negative")),
    }
}

fn crl_points(args: &Args) -> Result<Vec<CrlPoint>, Trouble> {
    let mut points = Vec::new();
    for (index, entry) in args.dicts("crl_distribution_points").iter().enumerate() {
        let point = || -> Result<CrlPoint, Trouble> {
            let names = |name: &str, what: &str| -> Result<Option<Vec<GeneralName>>, Trouble> {
                if entry.has(name) { general(&entry.strings(name), what).map(Some) } else { Ok(None) }
            };
            let relative = if entry.has("relative_name") {
                let parts: Result<Vec<_>, _> = entry
                    .strings("relative_name")
                    .iter()
                    .map(|part| {
                        parse_attribute(part, part).map_err(|trouble| {
                            Trouble(format!(
                                "Error while parsing relative distinguished name '{part}': {trouble}"
                            ))
                        })
                    })
                    .collect();
                Some(parts?)
            } else {
                None
            };
            let bit = |name: &String| ext::REASONS.iter().position(|reason| reason == name);
            Ok(CrlPoint {
                full: names("full_name", "CRL distribution point's full name")?,
                relative,
                issuer: names("crl_issuer", "CRL issuer")?,
                reasons: entry
                    .has("reasons")
                    .then(|| entry.strings("reasons").iter().filter_map(bit).collect()),
            })
        };
        let failed =
            |trouble| Trouble(format!("Error while parsing CRL distribution point #{index}: {trouble}"));
        points.push(point().map_err(failed)?);
    }
    Ok(points)
}

/// A request from a file or text, for information.
pub fn load_for_information(args: &Args) -> Result<Vec<u8>, Failure> {
    if let Some(text) = args.str("content") {
        return Ok(text.as_bytes().to_vec());
    }
    let path = args.text("path");
    std::fs::read(path).map_err(|error| {
        Failure::new(format!("Error while reading CSR file from disk: {}", python_error(path, &error)))
    })
}
