//! `openssh_keypair`: a key pair for SSH in two files.
//!
//! In: kind, size, comment, passphrase. Out: whether a key had to be made, its public line and fingerprint.
//!
//! **Invariant:** the private key is on disk with its final mode from the first byte, 0600 unless the task says
//! otherwise; a key that cannot be read is replaced only when the task allows it.

use super::crypto::{COLLECTION, Target, need_directory, read};
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Kind};
use crate::system::pki::key::{Curve, PrivateKey, Secret, Wish};
use crate::system::pki::keyfile::{self, Format};
use crate::system::pki::{Trouble, openssh, pem};
use quorate_value::{Dict, dict};
use zeroize::Zeroizing;

/// The `openssh_keypair` module.
pub struct OpensshKeypair;

static SPEC: Spec = Spec::new("openssh_keypair", "Makes a key pair for SSH.")
    .collection(COLLECTION)
    .params(&[
        Param::str("state").choices(&["present", "absent"]).default_str("present").doc("Whether the pair should be there."),
        Param::int("size").doc("Bits: RSA has 4096 unless set, ECDSA takes 256, 384 or 521."),
        Param::str("type").choices(&["rsa", "dsa", "rsa1", "ecdsa", "ed25519"]).default_str("rsa").doc("Kind of key. `dsa` and `rsa1` are refused: OpenSSH dropped them."),
        Param::bool("force").default_bool(false).doc("Makes a new pair in any case."),
        Param::path("path").required().doc("The private key's file; the public key stands beside it with `.pub`."),
        Param::str("comment").doc("The public key's comment."),
        Param::str("regenerate")
            .choices(&["never", "fail", "partial_idempotence", "full_idempotence", "always"])
            .default_str("partial_idempotence")
            .doc("When a key that is there may be replaced: `never`; `fail` when it does not fit; `partial_idempotence`, when it does not fit but can be read; `full_idempotence`, also when it cannot be read; `always`."),
        Param::str("passphrase").no_log().doc("Encrypts the private key, and opens the one that is there."),
        Param::str("private_key_format").choices(&["auto", "pkcs1", "pkcs8", "ssh"]).default_str("auto").doc("How the private key is written: `auto` and `ssh` are OpenSSH's own form."),
        Param::str("backend").choices(&["auto", "cryptography", "opensshbin"]).default_str("auto").doc("Accepted for the sake of old playbooks; there is one implementation."),
    ])
    .files()
    .diff();

const UNREADABLE: &str = "Unable to read the key. The key is protected with a passphrase or broken. Will not proceed. To force regeneration, call the module with `generate` set to `full_idempotence` or `always`, or with `force=true`.";
const MISFIT: &str = "Key has wrong type and/or size. Will not proceed. To force regeneration, call the module with `generate` set to `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.";

struct Pair {
    key: PrivateKey,
    comment: String,
    form: &'static str,
}

fn wish(args: &Args) -> Result<(Wish, i64), Failure> {
    let size = args.int("size");
    Ok(match args.text("type") {
        "rsa" => {
            let size = size.unwrap_or(4096);
            if size < 1024 {
                return Err(Failure::new(
                    "For RSA keys, the minimum size is 1024 bits and the default is 4096 bits. Attempting to use bit lengths under 1024 will cause the module to fail.",
                ));
            }
            (Wish::Rsa(size as usize), size)
        }
        "ecdsa" => {
            let size = size.unwrap_or(256);
            let curve = match size {
                256 => Curve::P256,
                384 => Curve::P384,
                521 => Curve::P521,
                _ => {
                    return Err(Failure::new(
                        "For ECDSA keys, size determines the key length by selecting from one of three elliptic curve sizes: 256, 384 or 521 bits. Attempting to use bit lengths other than these three values for ECDSA keys will cause this module to fail.",
                    ));
                }
            };
            (Wish::Ec(curve), size)
        }
        "ed25519" => (Wish::Ed25519, 256),
        other => {
            return Err(Failure::new(format!(
                "Keys of type {other} are not supported; use ed25519, ecdsa or rsa"
            )));
        }
    })
}

fn load(content: &[u8], passphrase: Option<&str>) -> Option<Pair> {
    let blocks = pem::parse(content).ok()?;
    if let Some(block) = blocks.iter().find(|block| block.label == openssh::LABEL) {
        let (key, comment) = openssh::load(&block.data, passphrase).ok()?;
        return Some(Pair { key, comment, form: "ssh" });
    }
    let form = if keyfile::format_of(content) == Format::Pkcs8 { "pkcs8" } else { "pkcs1" };
    Some(Pair { key: keyfile::load(content, passphrase).ok()?, comment: String::new(), form })
}

fn written(args: &Args, key: &PrivateKey, comment: &str) -> Result<Secret, Trouble> {
    let passphrase = args.nonempty("passphrase");
    match args.text("private_key_format") {
        "pkcs1" => keyfile::save(key, Format::Pkcs1, passphrase),
        "pkcs8" => keyfile::save(key, Format::Pkcs8, passphrase),
        _ => openssh::save(key, comment, passphrase),
    }
}

fn size_of(key: &PrivateKey) -> i64 {
    match key {
        PrivateKey::Ec(curve, _) => curve.bits() as i64,
        PrivateKey::Rsa(_) => key.public().map_or(0, |public| {
            crate::system::pki::show::public_data(&public)
                .get("size")
                .and_then(quorate_value::Value::as_int)
                .unwrap_or_default()
        }),
        _ => 256,
    }
}

fn kind_of(key: &PrivateKey) -> &'static str {
    match key {
        PrivateKey::Rsa(_) => "rsa",
        PrivateKey::Ec(..) => "ecdsa",
        _ => "ed25519",
    }
}

/// What results and differences tell of a pair.
fn facts(pair: &Pair) -> Result<Dict, Trouble> {
    let public = pair.key.public()?;
    Ok(dict! {
        "size" => size_of(&pair.key),
        "type" => kind_of(&pair.key),
        "fingerprint" => openssh::fingerprint(&public)?,
        "public_key" => openssh::public_line(&public)?,
        "comment" => pair.comment.as_str(),
    })
}

fn side(pair: Option<&Pair>) -> Result<Dict, Trouble> {
    let Some(pair) = pair else { return Ok(Dict::new()) };
    let mut side = facts(pair)?;
    let line = openssh::public_line(&pair.key.public()?)?;
    side.insert("public_key", line.split(' ').nth(1).unwrap_or_default());
    side.insert(
        "format",
        match pair.form {
            "ssh" => "",
            "pkcs8" => "PKCS8",
            _ => "PKCS1",
        },
    );
    Ok(side)
}

impl Module for OpensshKeypair {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        need_directory(path)?;
        if Kind::at(path) == Kind::Directory {
            return Err(Failure::new(format!("{path} is a directory. Please specify a path to a file.")));
        }
        let (wish, size) = wish(args)?;
        if args.text("private_key_format") != "auto" && args.text("backend") == "opensshbin" {
            let msg = "'auto' is the only valid option for 'private_key_format' when 'backend' is not 'cryptography'";
            return Err(Failure::new(msg));
        }
        let public_path = format!("{path}.pub");
        let private = Target { path, args, mode: Some("0600") };
        let public = Target { path: &public_path, args, mode: None };
        let passphrase = args.nonempty("passphrase");
        let there = read(path)?.map(Zeroizing::new);
        let line = read(&public_path)?.map(|content| String::from_utf8_lossy(&content).into_owned());
        let mut pair = there.as_ref().and_then(|content| load(content, passphrase));
        if let (Some(pair), Some((_, comment))) =
            (&mut pair, line.as_ref().and_then(|line| openssh::parse_line(line).ok()))
        {
            pair.comment = comment;
        }
        let nothing = dict! {
            "size" => size, "type" => args.text("type"), "fingerprint" => "", "public_key" => "", "comment" => "",
        };
        let before = side(pair.as_ref())?;
        if args.text("state") == "absent" {
            let said = match &pair {
                Some(pair) => facts(pair)?,
                None => nothing,
            };
            let mut changed = false;
            for target in [&private, &public] {
                changed |= target.remove(ctx)?.0;
            }
            return Ok(Outcome::changed_if(changed)
                .with_all(said)
                .with("filename", path)
                .diff(Diff::dicts(before, Dict::new())));
        }
        let regenerate = if args.bool("force") { "always" } else { args.text("regenerate") };
        let make = match (&there, &pair) {
            (None, _) => true,
            _ if regenerate == "always" => true,
            (_, None) if regenerate == "full_idempotence" => true,
            (_, None) => return Err(Failure::new(UNREADABLE)),
            (_, Some(pair)) => {
                let form = args.text("private_key_format");
                let fits = pair.key.fits(wish) && (form == "auto" || form == pair.form);
                match regenerate {
                    _ if fits => false,
                    "never" => false,
                    "fail" => return Err(Failure::new(MISFIT)),
                    _ => true,
                }
            }
        };
        let mut changed = make;
        if make && !ctx.check {
            let key = PrivateKey::generate(wish)?;
            let comment = args.text("comment").to_owned();
            let content = written(args, &key, &comment)?;
            files::write(path, &content, &private.wanted())?;
            let form = match args.text("private_key_format") {
                "pkcs1" => "pkcs1",
                "pkcs8" => "pkcs8",
                _ => "ssh",
            };
            pair = Some(Pair { key, comment, form });
        }
        if let Some(pair) = pair.as_mut().filter(|_| !(make && ctx.check)) {
            let new_comment = args.str("comment").filter(|comment| *comment != pair.comment);
            if let Some(comment) = new_comment {
                changed = true;
                if !ctx.check {
                    pair.comment = comment.to_owned();
                    if pair.form == "ssh" {
                        let content = openssh::save(&pair.key, comment, passphrase)?;
                        files::write(path, &content, &private.wanted())?;
                    }
                }
            }
            let text = openssh::public_line(&pair.key.public()?)?;
            let wanted = format!("{text} {}", pair.comment).trim_end().to_owned();
            if line.as_ref().is_none_or(|line| line.trim_end() != wanted) {
                changed = true;
                if !ctx.check {
                    let mut attributes = public.wanted();
                    if attributes.mode.is_none() {
                        attributes.mode = Some("0644".into());
                    }
                    files::write(&public_path, format!("{wanted}\n").as_bytes(), &attributes)?;
                }
            }
        }
        for target in [&private, &public] {
            changed |= target.settle(ctx)?;
        }
        let said = match &pair {
            Some(pair) => facts(pair)?,
            None => nothing,
        };
        let after = side(pair.as_ref())?;
        Ok(Outcome::changed_if(changed)
            .with_all(said)
            .with("filename", path)
            .diff(Diff::dicts(before, after)))
    }
}
