//! `openssl_csr_pipe`: a certificate signing request that never touches a disk.
//!
//! In: subject, names, usage, the private key, and perhaps a request from before. Out: a request.

use super::crypto::request::{self, Wanted, request_params};
use super::crypto::{COLLECTION, content};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Rules, Spec};
use crate::system::pki::cert::Request;

/// The `openssl_csr_pipe` module.
pub struct OpensslCsrPipe;

static SPEC: Spec =
    Spec::new("openssl_csr_pipe", "Makes a certificate signing request and returns it.")
        .collection(COLLECTION)
        .params(request_params![Param::str("content").doc(
            "The request from before. When it still says what the task asks for, it is returned as it is."
        ),])
        .required_together(&[&["authority_cert_issuer", "authority_cert_serial_number"]])
        .mutually_exclusive(&[&["privatekey_path", "privatekey_content"], &["subject", "subject_ordered"]])
        .required_one_of(&[&["privatekey_path", "privatekey_content"]])
        .diff();

impl Module for OpensslCsrPipe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let wanted = Wanted::of(args)?;
        let key = wanted.key()?;
        let there = args.str("content").map(str::as_bytes);
        let good = match there.and_then(|content| Request::load(content).ok()) {
            Some(request) => wanted.fits(&request, &key)?,
            None => false,
        };
        let before = request::side(there);
        let now = match there {
            Some(there) if good => there.to_vec(),
            _ => wanted.make(&key)?.to_pem().into_bytes(),
        };
        let after = request::side(Some(&now));
        Ok(Outcome::changed_if(!good)
            .with_all(wanted.facts())
            .with("csr", content(&now, false))
            .diff(Diff::dicts(before, after)))
    }
}
