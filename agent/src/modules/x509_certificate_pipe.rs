//! `x509_certificate_pipe`: a certificate that never touches a disk.

use super::crypto::certificate::{self, Wanted, certificate_params};
use super::crypto::{COLLECTION, content};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::pki::cert::Certificate;

/// The `x509_certificate_pipe` module.
pub struct X509CertificatePipe;

static SPEC: Spec = Spec::new("x509_certificate_pipe", "Makes a certificate and returns it.")
    .collection(COLLECTION)
    .params(certificate_params![
        Param::str("provider").choices(&["ownca", "selfsigned"]).required().doc("Who signs."),
        Param::str("content")
            .doc("The certificate from before. When it will still do, it is returned as it is."),
    ])
    .mutually_exclusive(&[
        &["csr_path", "csr_content"],
        &["privatekey_path", "privatekey_content"],
        &["ownca_path", "ownca_content"],
        &["ownca_privatekey_path", "ownca_privatekey_content"],
    ])
    .diff();

impl Module for X509CertificatePipe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let wanted = Wanted::of(args)?;
        let there = args.str("content").map(str::as_bytes);
        let found = there.and_then(|content| Certificate::load(content).ok());
        let good = match &found {
            Some(found) if !args.bool("force") => wanted.fits(found)?,
            _ => false,
        };
        let before = certificate::side(there);
        let (now, text) = match (found, there) {
            (Some(found), Some(there)) if good => (found, there.to_vec()),
            _ => {
                let made = wanted.make()?;
                let pem = made.to_pem().into_bytes();
                (made, pem)
            }
        };
        let after = certificate::side(Some(&text));
        Ok(Outcome::changed_if(!good)
            .with_all(wanted.facts(&now))
            .with("certificate", content(&text, false))
            .diff(Diff::dicts(before, after)))
    }
}
