//! `openssl_privatekey_info`: what kind of private key this is, and its public half.
//!
//! **Invariant:** the key's secret numbers are returned only when the task asks for them.

use super::crypto::{BACKEND, COLLECTION, python_error};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::pki::keyfile;
use crate::system::pki::show::{self, Prints};
use quorate_value::{Value, dict};

/// The `openssl_privatekey_info` module.
pub struct OpensslPrivatekeyInfo;

static SPEC: Spec = Spec::new("openssl_privatekey_info", "Tells what a private key is.")
    .collection(COLLECTION)
    .params(&[
        Param::path("path").doc("The file."),
        Param::str("content").no_log().doc("The key itself, in place of `path`."),
        Param::str("passphrase").no_log().doc("Opens the key."),
        Param::bool("return_private_key_data")
            .default_bool(false)
            .doc("Returns the key's numbers. They are secret."),
        Param::bool("check_consistency")
            .default_bool(false)
            .doc("Checks that public and private half fit, by signing something."),
        BACKEND,
    ])
    .required_one_of(&[&["path", "content"]])
    .mutually_exclusive(&[&["path", "content"]]);

impl Module for OpensslPrivatekeyInfo {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let state = |load: bool, parse: bool| {
            dict! {"can_load_key" => load, "can_parse_key" => parse, "key_is_consistent" => Value::Null}
        };
        let from_file;
        let content = if let Some(text) = args.str("content") {
            text.as_bytes()
        } else {
            let path = args.text("path");
            from_file = std::fs::read(path).map_err(|error| {
                let why = python_error(path, &error);
                Failure::new(format!("Error while reading private key file from disk: {why}"))
                    .with_all(state(false, false))
            })?;
            &from_file
        };
        let key = keyfile::load(content, args.nonempty("passphrase"))
            .map_err(|error| Failure::from(error).with_all(state(true, false)))?;
        let mut outcome =
            Outcome::ok().with_all(state(true, true)).with_all(show::private_key(&key, Prints::All)?);
        if args.bool("check_consistency") {
            let consistent = key.is_consistent();
            if consistent == Some(false) {
                let msg = "Private key is not consistent! (See https://blog.hboeck.de/archives/888-How-I-tricked-Symantec-with-a-Fake-Private-Key.html)";
                return Err(Failure::new(msg).with_all(state(true, true)).with("key_is_consistent", false));
            }
            outcome.set("key_is_consistent", consistent.map_or(Value::Null, Value::Bool));
        }
        if args.bool("return_private_key_data") {
            outcome.set("private_data", show::private_data(&key)?);
        }
        Ok(outcome)
    }
}
