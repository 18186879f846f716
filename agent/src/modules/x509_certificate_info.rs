//! `x509_certificate_info`: what a certificate says, and whether it is valid at some times.

use super::crypto::{BACKEND, COLLECTION, python_error};
use super::openssl_csr_info::NAME_ENCODING;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::pki::cert::Certificate;
use crate::system::pki::general::Encoding;
use crate::system::pki::show::{self, Prints};
use crate::system::pki::times;
use quorate_value::{Dict, str_of};

/// The `x509_certificate_info` module.
pub struct X509CertificateInfo;

static SPEC: Spec = Spec::new("x509_certificate_info", "Tells what a certificate says.")
    .collection(COLLECTION)
    .params(&[
        Param::path("path").doc("The file: PEM or DER."),
        Param::str("content").doc("The certificate itself, in place of `path`."),
        Param::new("valid_at", Kind::Dict).doc("Times by name: relative, such as `+90d`, or `YYYYMMDDHHMMSSZ`. The result's `valid_at` tells for each whether the certificate is valid then."),
        NAME_ENCODING,
        BACKEND,
    ])
    .required_one_of(&[&["path", "content"]])
    .mutually_exclusive(&[&["path", "content"]]);

impl Module for X509CertificateInfo {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let content = if let Some(text) = args.str("content") {
            text.as_bytes().to_vec()
        } else {
            let path = args.text("path");
            std::fs::read(path).map_err(|error| {
                let why = python_error(path, &error);
                Failure::new(format!("Error while reading certificate file from disk: {why}"))
            })?
        };
        let mut asked = Vec::new();
        for (name, at) in args.dict("valid_at").into_iter().flat_map(Dict::iter) {
            let label = format!("valid_at.{}", str_of(&name.to_value()));
            let Some(text) = at.as_str() else {
                let kind = at.type_name();
                return Err(Failure::new(format!(
                    "The value for {label} must be of type string (got <class '{kind}'>)"
                )));
            };
            asked.push((name.clone(), times::parse(text, &label, times::now())?));
        }
        let certificate = Certificate::load(&content)?;
        let encoding = Encoding::named(args.text("name_encoding"));
        let valid: Dict = asked.into_iter().map(|(name, at)| (name, certificate.is_valid_at(at))).collect();
        Ok(Outcome::ok()
            .with_all(show::certificate(&certificate, encoding, Prints::All)?)
            .with("valid_at", valid))
    }
}
