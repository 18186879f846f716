//! `openssl_privatekey`: a private key in a file.
//!
//! In: kind, size, form, passphrase. Out: whether a key had to be made, and the public key's fingerprints.
//!
//! **Invariant:** the key is on disk with its final mode from the first byte, 0600 unless the task says otherwise.

use super::crypto::privatekey::{self, Step, Wanted, privatekey_params};
use super::crypto::{COLLECTION, Target, need_directory, read, with_copy};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use quorate_value::Dict;

/// The `openssl_privatekey` module.
pub struct OpensslPrivatekey;

static SPEC: Spec = Spec::new("openssl_privatekey", "Makes a private key and keeps it in a file.")
    .collection(COLLECTION)
    .params(privatekey_params![
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the key should be there."),
        Param::bool("force").default_bool(false).doc("Makes a new key in any case."),
        Param::path("path").required().doc("The file. Its mode is 0600 unless `mode` is set."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the key that is replaced."),
        Param::bool("return_content")
            .default_bool(false)
            .doc("Returns the key as `privatekey`. It is secret: take care."),
    ])
    .required_if(&[RequiredIf::str("type", "ECC", &["curve"])])
    .files()
    .diff();

impl Module for OpensslPrivatekey {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        let target = Target { path, args, mode: Some("0600") };
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            let outcome = Outcome::changed_if(changed)
                .with_all(privatekey::basics(args))
                .with("filename", path)
                .diff(Diff::dicts(Dict::new(), Dict::new()));
            return Ok(with_copy(outcome, copy));
        }
        let wanted = Wanted::of(args)?;
        let there = read(path)?.map(zeroize::Zeroizing::new);
        let mut key = there.as_ref().and_then(|content| wanted.load(content));
        let step = wanted.decide(there.as_ref().map(|content| content.as_slice()), key.as_ref())?;
        let before = wanted.side(there.as_ref().map(|content| content.as_slice()));
        let (mut after, mut copy, mut content) = (before.clone(), None, there);
        if step != Step::Keep && !ctx.check {
            if step == Step::Generate {
                key = Some(wanted.generate()?);
            }
            if let Some(key) = &key {
                let written = wanted.written(key)?;
                copy = target.write(&written)?;
                after = wanted.side(Some(&written));
                content = Some(written);
            }
        }
        let changed = target.settle(ctx)? || step != Step::Keep;
        let mut outcome = Outcome::changed_if(changed)
            .with_all(wanted.facts(key.as_ref()))
            .with("filename", path)
            .diff(Diff::dicts(before, after));
        if args.bool("return_content") {
            outcome.set(
                "privatekey",
                content.map_or_else(Default::default, |content| privatekey::returned(&content)),
            );
        }
        Ok(with_copy(outcome, copy))
    }
}
