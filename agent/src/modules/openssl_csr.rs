//! `openssl_csr`: a certificate signing request in a file.
//!
//! In: subject, names, usage, and the private key. Out: whether a request had to be made, and what it asks for.
//!
//! **Invariant:** a request that says what the task asks for, for the same key, is never replaced unless forced.

use super::crypto::request::{self, Wanted, request_params};
use super::crypto::{COLLECTION, Target, content, need_directory, read, with_copy};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Rules, Spec};
use crate::system::pki::cert::Request;
use quorate_value::Dict;

/// The `openssl_csr` module.
pub struct OpensslCsr;

static SPEC: Spec = Spec::new("openssl_csr", "Makes a certificate signing request and keeps it in a file.")
    .collection(COLLECTION)
    .params(request_params![
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the request should be there."),
        Param::bool("force").default_bool(false).doc("Makes a new request in any case."),
        Param::path("path").required().doc("The file."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the request that is replaced."),
        Param::bool("return_content").default_bool(false).doc("Returns the request as `csr`."),
    ])
    .required_together(&[&["authority_cert_issuer", "authority_cert_serial_number"]])
    .mutually_exclusive(&[&["privatekey_path", "privatekey_content"], &["subject", "subject_ordered"]])
    .required_if(&[RequiredIf::str("state", "present", &["privatekey_path", "privatekey_content"]).any()])
    .files()
    .diff();

impl Module for OpensslCsr {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        let target = Target { path, args, mode: None };
        let wanted = Wanted::of(args)?;
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            let outcome = Outcome::changed_if(changed)
                .with_all(wanted.facts())
                .with("filename", path)
                .diff(Diff::dicts(Dict::new(), Dict::new()));
            return Ok(with_copy(outcome, copy));
        }
        let key = wanted.key()?;
        let there = read(path)?;
        let good = match there.as_ref().and_then(|content| Request::load(content).ok()) {
            Some(request) => wanted.fits(&request, &key)?,
            None => false,
        };
        // What cannot be made is said in check mode too.
        let made = if good && !args.bool("force") { None } else { Some(wanted.make(&key)?.to_pem()) };
        let before = request::side(there.as_deref());
        let (mut after, mut copy, mut now) = (before.clone(), None, there);
        if let (Some(made), false) = (&made, ctx.check) {
            copy = target.write(made.as_bytes())?;
            after = request::side(Some(made.as_bytes()));
            now = Some(made.clone().into_bytes());
        }
        let changed = target.settle(ctx)? || made.is_some();
        let mut outcome = Outcome::changed_if(changed)
            .with_all(wanted.facts())
            .with("filename", path)
            .diff(Diff::dicts(before, after));
        if args.bool("return_content") {
            outcome.set("csr", now.map_or_else(Default::default, |now| content(&now, false)));
        }
        Ok(with_copy(outcome, copy))
    }
}
