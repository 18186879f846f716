//! `x509_certificate`: a certificate in a file, signed by a CA of one's own or by its own key.
//!
//! In: a signing request, keys, times. Out: whether a certificate had to be made, its number and its times.
//!
//! **Invariant:** a certificate that says what the request asks for, signed by the right key, is never replaced unless
//! forced; that it will expire is not looked at (`x509_certificate_info` tells it).

use super::crypto::certificate::{self, Wanted, certificate_params};
use super::crypto::{COLLECTION, Target, content, need_directory, read, with_copy};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use crate::system::pki::cert::Certificate;

/// The `x509_certificate` module.
pub struct X509Certificate;

static SPEC: Spec = Spec::new("x509_certificate", "Makes a certificate and keeps it in a file.")
    .collection(COLLECTION)
    .params(certificate_params![
        Param::str("provider")
            .choices(&["acme", "ownca", "selfsigned"])
            .doc("Who signs: `ownca` or `selfsigned`. `acme` is refused: nothing here can do it."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the certificate should be there."),
        Param::path("path").required().doc("The file."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the certificate that is replaced."),
        Param::bool("return_content").default_bool(false).doc("Returns the certificate as `certificate`."),
        Param::path("acme_accountkey_path").doc("`acme` only."),
        Param::path("acme_challenge_path").doc("`acme` only."),
        Param::bool("acme_chain").default_bool(false).doc("`acme` only."),
        Param::str("acme_directory")
            .default_str("https://acme-v02.api.letsencrypt.org/directory")
            .doc("`acme` only."),
    ])
    .mutually_exclusive(&[
        &["csr_path", "csr_content"],
        &["privatekey_path", "privatekey_content"],
        &["ownca_path", "ownca_content"],
        &["ownca_privatekey_path", "ownca_privatekey_content"],
    ])
    .required_if(&[RequiredIf::str("state", "present", &["provider"])])
    .files()
    .diff();

impl Module for X509Certificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        let target = Target { path, args, mode: None };
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            let outcome =
                Outcome::changed_if(changed).with_all(certificate::origins(args)).with("filename", path);
            return Ok(with_copy(outcome, copy));
        }
        let wanted = Wanted::of(args)?;
        let there = read(path)?;
        let found = there.as_ref().and_then(|content| Certificate::load(content).ok());
        let good = match &found {
            Some(found) if !args.bool("force") => wanted.fits(found)?,
            _ => false,
        };
        let before = certificate::side(there.as_deref());
        let (mut after, mut copy, mut text) = (before.clone(), None, there);
        let now = match found {
            Some(found) if good => found,
            _ => {
                let made = wanted.make()?;
                if !ctx.check {
                    let pem = made.to_pem().into_bytes();
                    copy = target.write(&pem)?;
                    after = certificate::side(Some(&pem));
                    text = Some(pem);
                }
                made
            }
        };
        let changed = target.settle(ctx)? || !good;
        let mut outcome = Outcome::changed_if(changed)
            .with_all(wanted.facts(&now))
            .with("filename", path)
            .diff(Diff::dicts(before, after));
        if args.bool("return_content") {
            outcome.set("certificate", text.map_or_else(Default::default, |text| content(&text, false)));
        }
        Ok(with_copy(outcome, copy))
    }
}
