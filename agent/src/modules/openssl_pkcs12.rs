//! `openssl_pkcs12`: a key and certificates in one PKCS#12 file, and back to PEM.
//!
//! **Invariant:** the file is on disk with its final mode from the first byte, 0400 unless the task says otherwise.

use super::crypto::{
    BACKEND, COLLECTION, Target, need_directory, private_key, python_error, read, with_copy,
};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Spec};
use crate::system::files;
use crate::system::pki::cert::Certificate;
use crate::system::pki::key::Secret;
use crate::system::pki::keyfile::{self, Format};
use crate::system::pki::pkcs12::{self, Protection, Store};
use crate::system::pki::{Trouble, pem};
use base64::Engine as _;
use quorate_value::Str;
use zeroize::Zeroizing;

/// The `openssl_pkcs12` module.
pub struct OpensslPkcs12;

static SPEC: Spec =
    Spec::new("openssl_pkcs12", "Puts a key and certificates into a PKCS#12 file, or takes them out.")
        .collection(COLLECTION)
        .params(&[
            Param::str("action")
                .choices(&["export", "parse"])
                .default_str("export")
                .doc("`export` makes a PKCS#12 file from PEM, `parse` makes PEM from a PKCS#12 file."),
            Param::list("other_certificates", Kind::Path)
                .aliases(&["ca_certificates"])
                .doc("`export`: files of other certificates."),
            Param::list("other_certificates_content", Kind::Str)
                .doc("`export`: other certificates themselves."),
            Param::bool("other_certificates_parse_all")
                .default_bool(false)
                .doc("`export`: these files may hold several certificates each, or none."),
            Param::path("certificate_path").doc("`export`: the key's certificate."),
            Param::str("certificate_content").doc("`export`: the certificate itself."),
            Param::bool("force").default_bool(false).doc("Writes the file in any case."),
            Param::str("friendly_name").aliases(&["name"]).doc("`export`: the name of key and certificate."),
            Param::str("encryption_level")
                .choices(&["auto", "compatibility2022"])
                .default_str("auto")
                .doc("`export`: AES-256, or triple DES for old software."),
            Param::int("iter_size")
                .doc("`export`: rounds of key derivation with `compatibility2022`; 50000 unless set."),
            Param::int("maciter_size").doc("Not used."),
            Param::str("passphrase").no_log().doc("Encrypts and opens the PKCS#12 file."),
            Param::path("path").required().doc("The file to write."),
            Param::str("privatekey_passphrase").no_log().doc("Opens the private key."),
            Param::path("privatekey_path").doc("`export`: the private key."),
            Param::str("privatekey_content").no_log().doc("`export`: the private key itself."),
            Param::str("state")
                .choices(&["absent", "present"])
                .default_str("present")
                .doc("Whether the file should be there."),
            Param::path("src").doc("`parse`: the PKCS#12 file to read."),
            Param::bool("backup").default_bool(false).doc("Keeps a copy of the file that is replaced."),
            Param::bool("return_content").default_bool(false).doc("Returns the file in Base64 as `pkcs12`."),
            BACKEND,
        ])
        .required_if(&[RequiredIf::str("action", "parse", &["src"])])
        .mutually_exclusive(&[
            &["privatekey_path", "privatekey_content"],
            &["certificate_path", "certificate_content"],
            &["other_certificates", "other_certificates_content"],
        ])
        .files();

fn read_file(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(python_error(path, &error)))
}

fn others(args: &Args) -> Result<Vec<Certificate>, Failure> {
    let mut contents: Vec<Vec<u8>> = Vec::new();
    for path in args.strings("other_certificates") {
        contents.push(read_file(&path)?);
    }
    contents.extend(args.strings("other_certificates_content").into_iter().map(String::into_bytes));
    let mut all = Vec::new();
    for content in contents {
        if !args.bool("other_certificates_parse_all") {
            all.push(Certificate::load(&content)?);
            continue;
        }
        let blocks = if pem::is_pem(&content) { pem::parse(&content)? } else { Vec::new() };
        for block in blocks.iter().filter(|block| block.label == "CERTIFICATE") {
            all.push(Certificate::read(&block.data).map_err(Trouble::from)?);
        }
    }
    Ok(all)
}

/// What the task wants in the file.
fn wanted(args: &Args) -> Result<Store, Failure> {
    if !args.has("friendly_name") {
        return Err(Failure::new("Friendly_name is required"));
    }
    let names = ["privatekey_path", "privatekey_content", "privatekey_passphrase"];
    let key = private_key(args, names, |_| None)?;
    let certificate = match (args.str("certificate_content"), args.str("certificate_path")) {
        (Some(text), _) => Some(Certificate::load(text.as_bytes())?),
        (None, Some(path)) => Some(Certificate::load(&read_file(path)?)?),
        (None, None) => None,
    };
    let store =
        Store { key, certificate, name: args.str("friendly_name").map(str::to_owned), others: others(args)? };
    if let (Some(key), Some(certificate)) = (&store.key, &store.certificate)
        && key.public()? != certificate.public
    {
        return Err(Failure::new("Certificate public key and provided private key do not match"));
    }
    if store.key.is_none() && store.certificate.is_none() && store.others.is_empty() {
        return Err(Failure::new("You must supply at least one of key, cert, or cas"));
    }
    Ok(store)
}

fn same(there: &Store, wanted: &Store) -> Result<bool, Trouble> {
    let public = |store: &Store| store.key.as_ref().map(|key| key.public()).transpose();
    let certificate = |store: &Store| store.certificate.as_ref().map(|c| c.signed.der.clone());
    let others = |store: &Store| {
        let mut all: Vec<_> = store.others.iter().map(|other| other.signed.der.clone()).collect();
        all.sort();
        all
    };
    let named = wanted.key.is_none() && wanted.certificate.is_none();
    Ok(public(there)? == public(wanted)?
        && certificate(there) == certificate(wanted)
        && others(there) == others(wanted)
        && (named || there.name == wanted.name))
}

/// All that a file holds, as PEM.
fn as_pem(store: &Store) -> Result<Secret, Trouble> {
    let mut out = Zeroizing::new(Vec::new());
    if let Some(key) = &store.key {
        let old =
            keyfile::save(key, Format::Pkcs1, None).or_else(|_| keyfile::save(key, Format::Pkcs8, None))?;
        out.extend_from_slice(&old);
    }
    for certificate in store.certificate.iter().chain(&store.others) {
        out.extend_from_slice(certificate.to_pem().as_bytes());
    }
    Ok(out)
}

impl Module for OpensslPkcs12 {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        let target = Target { path, args, mode: Some("0400") };
        let facts = |changed: bool| {
            let outcome = Outcome::changed_if(changed).with("filename", path);
            match args.value("privatekey_path") {
                Some(key) => outcome.with("privatekey_path", key.clone()),
                None => outcome,
            }
        };
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            return Ok(with_copy(facts(changed), copy));
        }
        let there = read(path)?.map(Zeroizing::new);
        let passphrase = args.nonempty("passphrase");
        let (good, made) = if args.text("action") == "parse" {
            let store = pkcs12::load(&read_file(args.text("src"))?, passphrase.unwrap_or_default())?;
            let text = as_pem(&store)?;
            (there.as_ref().is_some_and(|there| **there == *text), Some(text))
        } else {
            let wanted = wanted(args)?;
            let found =
                there.as_ref().and_then(|there| pkcs12::load(there, passphrase.unwrap_or_default()).ok());
            let good = match found {
                Some(found) => same(&found, &wanted)?,
                None => false,
            };
            let rounds =
                args.int("iter_size").and_then(|rounds| u32::try_from(rounds).ok()).unwrap_or(50_000);
            let protection = match args.text("encryption_level") {
                "auto" => Protection::Modern,
                _ => Protection::Old(rounds.max(1)),
            };
            let keep = good && !args.bool("force");
            let made =
                if keep || ctx.check { None } else { Some(pkcs12::save(&wanted, passphrase, protection)?) };
            (good, made)
        };
        let good = good && !args.bool("force");
        let (mut copy, mut now) = (None, there);
        if let (Some(made), false, false) = (made, good, ctx.check) {
            copy = target.write(&made)?;
            now = Some(made);
        }
        let mut outcome = facts(target.settle(ctx)? || !good);
        if let Ok(metadata) = std::fs::metadata(path) {
            outcome.set("mode", format!("0{:03o}", files::permission_bits(&metadata)));
        }
        if args.bool("return_content") {
            let text = now.map(|now| base64::engine::general_purpose::STANDARD.encode(now.as_slice()));
            outcome.set(
                "pkcs12",
                text.map_or_else(Default::default, |text| {
                    quorate_value::Value::Str(Str::from(text).secret())
                }),
            );
        }
        Ok(with_copy(outcome, copy))
    }
}
