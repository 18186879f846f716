//! `openssl_privatekey_pipe`: a private key that never touches a disk.
//!
//! **Invariant:** the key is returned only when it is new, or when the task asks for it; marked as secret.

use super::crypto::COLLECTION;
use super::crypto::privatekey::{self, Step, Wanted, privatekey_params};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use base64::Engine as _;
use zeroize::Zeroizing;

/// The `openssl_privatekey_pipe` module.
pub struct OpensslPrivatekeyPipe;

static SPEC: Spec = Spec::new("openssl_privatekey_pipe", "Makes a private key and returns it.")
    .collection(COLLECTION)
    .params(privatekey_params![
        Param::str("content").no_log().doc("The key from before. When it will do, nothing changes."),
        Param::bool("content_base64").default_bool(false).doc("`content` is in Base64, as raw keys are."),
        Param::bool("return_current_key")
            .default_bool(false)
            .doc("Returns the key from before when it will do."),
    ])
    .required_if(&[RequiredIf::str("type", "ECC", &["curve"])])
    .diff();

impl Module for OpensslPrivatekeyPipe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let wanted = Wanted::of(args)?;
        let there =
            match args.str("content") {
                Some(text) if args.bool("content_base64") => {
                    let decoded = base64::engine::general_purpose::STANDARD.decode(text.trim());
                    Some(Zeroizing::new(decoded.map_err(|error| {
                        Failure::new(format!("Cannot decode Base64 encoded data: {error}"))
                    })?))
                }
                Some(text) => Some(Zeroizing::new(text.as_bytes().to_vec())),
                None => None,
            };
        let content = there.as_ref().map(|content| content.as_slice());
        let mut key = content.and_then(|content| wanted.load(content));
        let step = wanted.decide(content, key.as_ref())?;
        let before = wanted.side(content);
        let mut after = before.clone();
        let mut shown =
            there.filter(|_| args.bool("return_current_key") || (ctx.check && step != Step::Keep));
        if step != Step::Keep && !ctx.check {
            if step == Step::Generate {
                key = Some(wanted.generate()?);
            }
            if let Some(key) = &key {
                let written = wanted.written(key)?;
                after = wanted.side(Some(&written));
                shown = Some(written);
            }
        }
        if let Some(shown) = shown {
            // The masking of `content` would hide the very thing that was asked for.
            ctx.reveal("privatekey", privatekey::returned(&shown));
        }
        Ok(Outcome::changed_if(step != Step::Keep)
            .with_all(wanted.facts(key.as_ref()))
            .diff(Diff::dicts(before, after)))
    }
}
