//! `openssl_publickey`: the public half of a private key in a file.

use super::crypto::{BACKEND, COLLECTION, Target, content, need_directory, private_key, read, with_copy};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use crate::system::pki::der::Reader;
use crate::system::pki::key::PublicKey;
use crate::system::pki::show::{self, Prints};
use crate::system::pki::{Trouble, openssh, pem};
use quorate_value::{Dict, Value, dict};

/// The `openssl_publickey` module.
pub struct OpensslPublickey;

static SPEC: Spec = Spec::new("openssl_publickey", "Keeps the public half of a private key in a file.")
    .collection(COLLECTION)
    .params(&[
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the public key should be there."),
        Param::bool("force").default_bool(false).doc("Writes the file in any case."),
        Param::path("path").required().doc("The file."),
        Param::path("privatekey_path").doc("The private key."),
        Param::str("privatekey_content")
            .no_log()
            .doc("The private key itself, in place of `privatekey_path`."),
        Param::str("privatekey_passphrase").no_log().doc("Opens the private key."),
        Param::str("format").choices(&["OpenSSH", "PEM"]).default_str("PEM").doc("How it is written."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the file that is replaced."),
        Param::bool("return_content").default_bool(false).doc("Returns the public key as `publickey`."),
        BACKEND,
    ])
    .mutually_exclusive(&[&["privatekey_path", "privatekey_content"]])
    .required_if(&[RequiredIf::str("state", "present", &["privatekey_path", "privatekey_content"]).any()])
    .files()
    .diff();

/// A public key from PEM.
pub fn parse(content: &[u8]) -> Result<PublicKey, Trouble> {
    let blocks = pem::parse(content)?;
    let block = blocks.iter().find(|block| block.label == "PUBLIC KEY").ok_or_else(|| {
        Trouble::new(
            "Valid PEM but no BEGIN PUBLIC KEY/END PUBLIC KEY delimiters. Are you sure this is a public key?",
        )
    })?;
    Ok(PublicKey::read(&mut Reader::new(&block.data))?)
}

/// What a difference shows of a file.
fn side(content: Option<&[u8]>) -> Dict {
    match content.map(parse) {
        None => Dict::new(),
        Some(Err(_)) => dict! {"can_parse_key" => false},
        Some(Ok(key)) => dict! {
            "can_parse_key" => true,
            "type" => key.kind(),
            "public_data" => show::public_data(&key),
            "fingerprints" => show::fingerprints(&key.der, Prints::One),
        },
    }
}

fn same(there: &[u8], wanted: &PublicKey, openssh: bool) -> bool {
    if openssh {
        let text = String::from_utf8_lossy(there);
        return openssh::parse_line(&text).is_ok_and(|(key, _)| key == *wanted);
    }
    parse(there).is_ok_and(|key| key == *wanted)
}

impl Module for OpensslPublickey {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        let target = Target { path, args, mode: None };
        let facts = dict! {
            "privatekey" => args.value("privatekey_path").cloned().unwrap_or_default(),
            "filename" => path,
            "format" => args.text("format"),
            "fingerprint" => Dict::new(),
        };
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            let outcome =
                Outcome::changed_if(changed).with_all(facts).diff(Diff::dicts(Dict::new(), Dict::new()));
            return Ok(with_copy(outcome, copy));
        }
        let names = ["privatekey_path", "privatekey_content", "privatekey_passphrase"];
        let key = private_key(args, names, |path| Some(format!("The private key {path} does not exist")))?
            .ok_or_else(|| Failure::new("a private key is required"))?;
        let public = key.public()?;
        let openssh = args.text("format") == "OpenSSH";
        let there = read(path)?;
        let good = !args.bool("force") && there.as_ref().is_some_and(|there| same(there, &public, openssh));
        let before = side(there.as_deref());
        let (mut after, mut copy, mut now) = (before.clone(), None, there);
        if !good && !ctx.check {
            let text = if openssh { openssh::public_line(&public)? } else { public.to_pem() };
            copy = target.write(text.as_bytes())?;
            after = side(Some(text.as_bytes()));
            now = Some(text.into_bytes());
        }
        let changed = target.settle(ctx)? || !good;
        let mut outcome = Outcome::changed_if(changed).with_all(facts).diff(Diff::dicts(before, after));
        if now.is_some() {
            outcome.set("fingerprint", show::fingerprints(&public.der, Prints::All));
        }
        if args.bool("return_content") {
            outcome.set("publickey", now.map_or(Value::Null, |now| content(&now, false)));
        }
        Ok(with_copy(outcome, copy))
    }
}
