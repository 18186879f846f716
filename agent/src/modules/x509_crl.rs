//! `x509_crl`: a list of revoked certificates in a file.
//!
//! In: the CA's key and name, times, and what is revoked. Out: whether a list had to be made, and what it says.

use super::crypto::{
    BACKEND, COLLECTION, Target, content, need_directory, private_key, python_error, read, with_copy,
};
use super::openssl_csr_info::NAME_ENCODING;
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Rules, Spec};
use crate::system::pki::cert::Certificate;
use crate::system::pki::crl::{Crl, Entry};
use crate::system::pki::general::{Encoding, GeneralName};
use crate::system::pki::key::{Digest, PrivateKey};
use crate::system::pki::name::{Attribute, Name};
use crate::system::pki::{Trouble, der, from_colons, times};
use base64::Engine as _;
use quorate_value::{BigInt, Dict, Value, dict, repr, str_of};

/// The `x509_crl` module.
pub struct X509Crl;

static SPEC: Spec = Spec::new("x509_crl", "Makes a list of revoked certificates and keeps it in a file.")
    .collection(COLLECTION)
    .params(&[
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the list should be there."),
        Param::str("crl_mode")
            .choices(&["generate", "update"])
            .default_str("generate")
            .doc("`generate`: the list has these entries only; `update`: it keeps those it has."),
        Param::bool("force").default_bool(false).doc("Makes a new list in any case."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the list that is replaced."),
        Param::path("path").required().doc("The file."),
        Param::str("format")
            .choices(&["pem", "der"])
            .default_str("pem")
            .doc("How it is written. A list that only differs in this is converted."),
        Param::path("privatekey_path").doc("The CA's private key."),
        Param::str("privatekey_content").no_log().doc("The CA's private key itself."),
        Param::str("privatekey_passphrase").no_log().doc("Opens the private key."),
        Param::new("issuer", Kind::Dict).doc("Parts of the issuer's name; a list gives several of one name."),
        Param::list("issuer_ordered", Kind::Dict)
            .doc("Parts of the issuer's name in order, each a mapping of one entry."),
        Param::str("last_update")
            .default_str("+0s")
            .doc("From when the list counts: relative, or `YYYYMMDDHHMMSSZ`."),
        Param::str("next_update").doc("When the next list comes: relative, or `YYYYMMDDHHMMSSZ`."),
        Param::str("digest").default_str("sha256").doc("Digest of the signature."),
        Param::bool("ignore_timestamps")
            .default_bool(false)
            .doc("A list with other times will do. Relative times are never the same twice."),
        Param::bool("return_content")
            .default_bool(false)
            .doc("Returns the list as `crl`, in Base64 when it is DER."),
        Param::list("revoked_certificates", Kind::Dict)
            .options(&[
                Param::path("path").doc("The revoked certificate."),
                Param::str("content").doc("The revoked certificate itself."),
                Param::raw("serial_number").doc("The revoked certificate's number."),
                Param::str("revocation_date").default_str("+0s").doc("When it was revoked."),
                Param::list("issuer", Kind::Str).doc("Who issued it."),
                Param::bool("issuer_critical").default_bool(false).doc("Marks this as critical."),
                Param::str("reason")
                    .choices(&[
                        "unspecified",
                        "key_compromise",
                        "ca_compromise",
                        "affiliation_changed",
                        "superseded",
                        "cessation_of_operation",
                        "certificate_hold",
                        "privilege_withdrawn",
                        "aa_compromise",
                        "remove_from_crl",
                    ])
                    .doc("Why it was revoked."),
                Param::bool("reason_critical").default_bool(false).doc("Marks this as critical."),
                Param::str("invalidity_date").doc("Since when it was not to be trusted."),
                Param::bool("invalidity_date_critical").default_bool(false).doc("Marks this as critical."),
            ])
            .option_rules(Rules {
                required_one_of: &[&["path", "content", "serial_number"]],
                mutually_exclusive: &[&["path", "content", "serial_number"]],
                ..Rules::NONE
            })
            .doc("What is revoked."),
        Param::str("serial_numbers")
            .choices(&["integer", "hex-octets"])
            .default_str("integer")
            .doc("How `serial_number` is written: as a number, or as `01:02:AF`."),
        NAME_ENCODING,
        BACKEND,
    ])
    .required_if(&[
        RequiredIf::str("state", "present", &["privatekey_path", "privatekey_content"]).any(),
        RequiredIf::str("state", "present", &["issuer", "issuer_ordered"]).any(),
        RequiredIf::str("state", "present", &["next_update", "revoked_certificates"]),
    ])
    .mutually_exclusive(&[&["privatekey_path", "privatekey_content"], &["issuer", "issuer_ordered"]])
    .files()
    .diff();

struct Wanted<'a> {
    args: &'a Args,
    key: PrivateKey,
    issuer: Vec<(String, String)>,
    entries: Vec<Entry>,
    last_update: i64,
    next_update: i64,
    digest: Digest,
}

fn parts(entries: &Dict) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (key, value) in entries {
        let key = str_of(&key.to_value());
        match value {
            Value::List(items) => out.extend(items.iter().map(|item| (key.clone(), str_of(item)))),
            value => out.push((key, str_of(value))),
        }
    }
    out
}

fn serial(args: &Args, value: &Value, at: &str) -> Result<Vec<u8>, Failure> {
    if args.text("serial_numbers") == "hex-octets" {
        let text = value.as_str().ok_or_else(|| {
            let kind = value.type_name();
            Failure::new(format!("The value for {at} must be of type string (got <class '{kind}'>)"))
        })?;
        let bytes = from_colons(text).map_err(|trouble| {
            Failure::new(format!("Error while parsing {at} as a hex octet string: {trouble}"))
        })?;
        let encoded = der::unsigned(&bytes);
        return Ok(der::one(&encoded, der::INTEGER).map_err(Trouble::from)?.body.to_vec());
    }
    let number = match value {
        Value::Int(number) => Some(BigInt::from(*number)),
        Value::Big(number) => Some((**number).clone()),
        Value::Str(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(|number| number.to_signed_bytes_be()).ok_or_else(|| {
        let shown = repr(value);
        Failure::new(format!(
            "Error while parsing {at} as an integer: \"{shown}\" cannot be converted to an int"
        ))
    })
}

fn entry(args: &Args, given: &Args, number: usize, now: i64) -> Result<Entry, Failure> {
    let at = |name: &str| format!("revoked_certificates[{number}].{name}");
    let from_certificate = |content: &[u8]| -> Result<Vec<u8>, Failure> {
        let certificate = Certificate::load(content).map_err(|trouble| {
            Failure::new(format!("Cannot read certificate for {}: {trouble}", at("path")))
        })?;
        Ok(certificate.serial)
    };
    let serial = if let Some(path) = given.str("path") {
        let content = std::fs::read(path).map_err(|error| {
            Failure::new(format!("Cannot read certificate {path}: {}", python_error(path, &error)))
        })?;
        from_certificate(&content)?
    } else if let Some(text) = given.str("content") {
        from_certificate(text.as_bytes())?
    } else {
        serial(args, given.value("serial_number").unwrap_or(&Value::Null), &at("serial_number"))?
    };
    let issuer = if given.has("issuer") {
        let names: Result<Vec<_>, _> =
            given.strings("issuer").iter().map(|name| GeneralName::parse(name, "issuer")).collect();
        Some((names?, given.bool("issuer_critical")))
    } else {
        None
    };
    let reason =
        given.str("reason").and_then(Entry::reason).map(|reason| (reason, given.bool("reason_critical")));
    let invalidity = match given.str("invalidity_date") {
        Some(text) => {
            Some((times::parse(text, &at("invalidity_date"), now)?, given.bool("invalidity_date_critical")))
        }
        None => None,
    };
    let date = times::parse(given.text("revocation_date"), &at("revocation_date"), now)?;
    Ok(Entry { serial, date, issuer, reason, invalidity })
}

impl<'a> Wanted<'a> {
    fn of(args: &'a Args) -> Result<Self, Failure> {
        let now = times::now();
        let last_update = times::parse(args.text("last_update"), "last_update", now)?;
        let next_update = times::parse(args.text("next_update"), "next_update", now)?;
        let digest = Digest::named(args.text("digest"))
            .map_err(|_| Failure::new(format!("The digest \"{}\" is not supported", args.text("digest"))))?;
        let issuer: Vec<(String, String)> = match args.dict("issuer") {
            Some(entries) => parts(entries),
            None => args.list("issuer_ordered").iter().filter_map(Value::as_dict).flat_map(parts).collect(),
        };
        let issuer: Vec<_> = issuer.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut entries = Vec::new();
        for (index, given) in args.dicts("revoked_certificates").iter().enumerate() {
            entries.push(entry(args, given, index + 1, now)?);
        }
        let names = ["privatekey_path", "privatekey_content", "privatekey_passphrase"];
        let key =
            private_key(args, names, |_| None)?.ok_or_else(|| Failure::new("a private key is required"))?;
        Ok(Wanted { args, key, issuer, entries, last_update, next_update, digest })
    }

    fn name(&self) -> Result<Name, Trouble> {
        let parts: Result<Vec<_>, _> =
            self.issuer.iter().map(|(key, value)| Attribute::named(key, value)).collect();
        Ok(Name::of(parts?))
    }

    /// An entry as it is compared.
    fn compared(&self, entry: &Entry) -> Entry {
        let date = if self.args.bool("ignore_timestamps") { 0 } else { entry.date };
        Entry { date, ..entry.clone() }
    }

    fn has(&self, list: &[Entry], entry: &Entry) -> bool {
        let entry = self.compared(entry);
        list.iter().any(|other| self.compared(other) == entry)
    }

    fn fits(&self, there: &Crl) -> Result<bool, Trouble> {
        let times = self.args.bool("ignore_timestamps")
            || (there.last_update == self.last_update && there.next_update == Some(self.next_update));
        let (algorithm, _) = self.key.sign(self.digest, &[])?;
        let name = self.name()?;
        let ordered = self.args.has("issuer_ordered");
        let sorted = |name: &Name| {
            let mut parts: Vec<_> = name.attributes().map(|a| (a.oid.clone(), a.value.clone())).collect();
            parts.sort();
            parts
        };
        let all = self.entries.iter().all(|entry| self.has(&there.entries, entry));
        let only = self.args.text("crl_mode") == "update"
            || (there.entries.len() == self.entries.len()
                && there.entries.iter().all(|entry| self.has(&self.entries, entry)));
        Ok(times
            && all
            && only
            && there.signed.algorithm == algorithm
            && (if ordered { name == there.issuer } else { sorted(&name) == sorted(&there.issuer) })
            && there.signed.is_signed_by(&self.key.public()?)?)
    }

    fn make(&self, there: Option<&Crl>) -> Result<Crl, Trouble> {
        let mut entries = Vec::new();
        if let Some(there) = there.filter(|_| self.args.text("crl_mode") == "update") {
            let old = there.entries.iter().filter(|entry| !self.has(&self.entries, entry));
            entries.extend(old.cloned());
        }
        entries.extend(self.entries.iter().cloned());
        Crl::make(&self.name()?, self.last_update, self.next_update, &entries, &self.key, self.digest)
    }

    /// What a list would say, without making it.
    fn planned(&self) -> Dict {
        let pairs: Vec<Value> = self
            .issuer
            .iter()
            .map(|(key, value)| Value::list(vec![Value::from(key.as_str()), Value::from(value.as_str())]))
            .collect();
        let issuer: Dict = self.issuer.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let encoding = Encoding::named(self.args.text("name_encoding"));
        let entries: Vec<Value> =
            self.entries.iter().map(|entry| Value::dict(entry.show(encoding))).collect();
        dict! {
            "format" => self.args.text("format"),
            "digest" => self.args.text("digest"),
            "issuer" => issuer,
            "issuer_ordered" => pairs,
            "last_update" => times::show(self.last_update),
            "next_update" => times::show(self.next_update),
            "revoked_certificates" => entries,
        }
    }
}

fn side(content: Option<&[u8]>) -> Dict {
    let Some(content) = content else { return Dict::new() };
    match Crl::load(content).and_then(|list| list.show(Encoding::AsIs, true)) {
        Ok(facts) => {
            let mut side = dict! {"can_parse_crl" => true};
            side.extend(facts);
            side
        }
        Err(_) => dict! {"can_parse_crl" => false},
    }
}

impl Module for X509Crl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        let target = Target { path, args, mode: None };
        let facts = dict! {
            "filename" => path,
            "privatekey" => args.value("privatekey_path").cloned().unwrap_or_default(),
        };
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            return Ok(with_copy(Outcome::changed_if(changed).with_all(facts), copy));
        }
        let wanted = Wanted::of(args)?;
        let as_pem = args.text("format") == "pem";
        let there = read(path)?;
        let found = there.as_ref().and_then(|content| Crl::load(content).ok());
        let good = match &found {
            Some(found) if !args.bool("force") => wanted.fits(found)?,
            _ => false,
        };
        let good_form = found.as_ref().is_some_and(|found| found.is_pem == as_pem);
        let keep = good && good_form;
        let before = side(there.as_deref());
        let (mut after, mut copy, mut now, mut said) = (before.clone(), None, there, None);
        if keep || !ctx.check {
            let list = match found {
                Some(found) if good => found,
                found => wanted.make(found.as_ref())?,
            };
            let list = Crl { is_pem: as_pem, ..list };
            if !keep {
                let bytes = if as_pem { list.to_pem().into_bytes() } else { list.signed.der.clone() };
                copy = target.write(&bytes)?;
                after = side(Some(&bytes));
                now = Some(bytes);
            }
            said = Some(list.show(Encoding::named(args.text("name_encoding")), true)?);
        }
        let changed = target.settle(ctx)? || !keep;
        let mut outcome = Outcome::changed_if(changed)
            .with_all(facts)
            .with_all(said.unwrap_or_else(|| wanted.planned()))
            .diff(Diff::dicts(before, after));
        if args.bool("return_content") {
            let shown = now.map(|now| {
                if as_pem {
                    content(&now, false)
                } else {
                    Value::from(base64::engine::general_purpose::STANDARD.encode(now))
                }
            });
            outcome.set("crl", shown.unwrap_or_default());
        }
        Ok(with_copy(outcome, copy))
    }
}
