//! `x509_crl_info`: what a list of revoked certificates says.

use super::crypto::{COLLECTION, python_error};
use super::openssl_csr_info::NAME_ENCODING;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::pki::crl::Crl;
use crate::system::pki::general::Encoding;
use base64::Engine as _;

/// The `x509_crl_info` module.
pub struct X509CrlInfo;

static SPEC: Spec = Spec::new("x509_crl_info", "Tells what a list of revoked certificates says.")
    .collection(COLLECTION)
    .params(&[
        Param::path("path").doc("The file: PEM or DER."),
        Param::str("content").doc("The list itself, in PEM or in Base64."),
        Param::bool("list_revoked_certificates")
            .default_bool(true)
            .doc("Returns the revoked certificates too."),
        NAME_ENCODING,
    ])
    .required_one_of(&[&["path", "content"]])
    .mutually_exclusive(&[&["path", "content"]]);

impl Module for X509CrlInfo {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let content = if let Some(text) = args.str("content") {
            if text.contains("-----BEGIN ") {
                text.as_bytes().to_vec()
            } else {
                let packed: String = text.split_whitespace().collect();
                base64::engine::general_purpose::STANDARD
                    .decode(packed)
                    .map_err(|error| Failure::new(format!("Error while Base64 decoding content: {error}")))?
            }
        } else {
            let path = args.text("path");
            std::fs::read(path).map_err(|error| {
                let why = python_error(path, &error);
                Failure::new(format!("Error while reading CRL file from disk: {why}"))
            })?
        };
        let list = Crl::load(&content)
            .map_err(|trouble| Failure::new(format!("Error while decoding CRL: {trouble}")))?;
        let encoding = Encoding::named(args.text("name_encoding"));
        Ok(Outcome::ok().with_all(list.show(encoding, args.bool("list_revoked_certificates"))?))
    }
}
