//! `openssl_csr_info`: what a certificate signing request says.

use super::crypto::request::load_for_information;
use super::crypto::{BACKEND, COLLECTION};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::pki::cert::Request;
use crate::system::pki::general::Encoding;
use crate::system::pki::show::{self, Prints};

/// The `openssl_csr_info` module.
pub struct OpensslCsrInfo;

/// How names are shown.
pub const NAME_ENCODING: Param = Param::str("name_encoding")
    .choices(&["ignore", "idna", "unicode"])
    .default_str("ignore")
    .doc("How domain names are shown: as they stand, in ASCII, or as people read them.");

static SPEC: Spec = Spec::new("openssl_csr_info", "Tells what a certificate signing request says.")
    .collection(COLLECTION)
    .params(&[
        Param::path("path").doc("The file: PEM or DER."),
        Param::str("content").doc("The request itself, in place of `path`."),
        NAME_ENCODING,
        BACKEND,
    ])
    .required_one_of(&[&["path", "content"]])
    .mutually_exclusive(&[&["path", "content"]]);

impl Module for OpensslCsrInfo {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let request = Request::load(&load_for_information(args)?)?;
        let facts = show::request(&request, Encoding::named(args.text("name_encoding")), Prints::All)?;
        if !request.is_valid() {
            return Err(Failure::new("CSR signature is invalid!").with_all(facts));
        }
        Ok(Outcome::ok().with_all(facts))
    }
}
