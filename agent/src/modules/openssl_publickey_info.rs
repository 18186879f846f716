//! `openssl_publickey_info`: what kind of public key this is.

use super::crypto::{BACKEND, COLLECTION, python_error};
use super::openssl_publickey::parse;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::pki::show::{self, Prints};

/// The `openssl_publickey_info` module.
pub struct OpensslPublickeyInfo;

static SPEC: Spec = Spec::new("openssl_publickey_info", "Tells what a public key is.")
    .collection(COLLECTION)
    .params(&[
        Param::path("path").doc("The file, in PEM."),
        Param::str("content").doc("The key itself, in place of `path`."),
        BACKEND,
    ])
    .required_one_of(&[&["path", "content"]])
    .mutually_exclusive(&[&["path", "content"]]);

impl Module for OpensslPublickeyInfo {
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
                Failure::new(format!("Error while reading public key file from disk: {why}"))
            })?
        };
        let key = parse(&content)
            .map_err(|trouble| Failure::new(format!("Error while deserializing key: {trouble}")))?;
        Ok(Outcome::ok()
            .with("type", key.kind())
            .with("public_data", show::public_data(&key))
            .with("fingerprints", show::fingerprints(&key.der, Prints::All)))
    }
}
