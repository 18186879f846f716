//! `openssl_dhparam`: parameters for Diffie-Hellman in a file.
//!
//! In: a size. Out: whether parameters had to be made: a safe prime of that size, and the generator 2.

use super::crypto::{COLLECTION, Target, content, read, with_copy};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::pki::{Trouble, der, key, pem};
use quorate_value::Value;

/// The `openssl_dhparam` module.
pub struct OpensslDhparam;

const LABEL: &str = "DH PARAMETERS";

static SPEC: Spec = Spec::new("openssl_dhparam", "Makes Diffie-Hellman parameters and keeps them in a file.")
    .collection(COLLECTION)
    .params(&[
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the parameters should be there."),
        Param::int("size").default_int(4096).doc("Bits of the prime. Large ones take minutes."),
        Param::bool("force").default_bool(false).doc("Makes new parameters in any case."),
        Param::path("path").required().doc("The file."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of the parameters that are replaced."),
        Param::bool("return_content").default_bool(false).doc("Returns the parameters as `dhparams`."),
        Param::str("select_crypto_backend")
            .choices(&["auto", "cryptography", "openssl"])
            .default_str("auto")
            .doc(
                "`openssl` lets the program of this name make the parameters; otherwise they are made here.",
            ),
    ])
    .files();

/// The bits of the prime in a file; nothing when it holds no parameters.
fn size_of(content: &[u8]) -> Option<usize> {
    let block = pem::parse(content).ok()?.into_iter().find(|block| block.label == LABEL)?;
    let mut numbers = der::one(&block.data, der::SEQUENCE).ok()?.inside();
    let prime = numbers.unsigned().ok()?;
    numbers.unsigned().ok()?;
    Some(prime.len() * 8 - prime.first()?.leading_zeros() as usize)
}

fn make(size: usize) -> Result<String, Trouble> {
    if size < 512 {
        return Err(Trouble::new("DH key_size must be at least 512 bits"));
    }
    let prime = key::safe_prime(size)?;
    Ok(pem::write(LABEL, &[], &der::sequence(&[der::unsigned(&prime), der::small(2)])))
}

impl Module for OpensslDhparam {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        let directory = path
            .rsplit_once('/')
            .map_or(".", |(directory, _)| if directory.is_empty() { "/" } else { directory });
        if !std::path::Path::new(directory).is_dir() {
            let msg = format!("The directory '{directory}' does not exist or the file is not a directory");
            return Err(Failure::new(msg).with("name", directory));
        }
        let size = usize::try_from(args.int("size").unwrap_or_default()).unwrap_or_default();
        let target = Target { path, args, mode: None };
        let facts =
            |changed: bool| Outcome::changed_if(changed).with("size", size as i64).with("filename", path);
        if args.text("state") == "absent" {
            let (changed, copy) = target.remove(ctx)?;
            return Ok(with_copy(facts(changed), copy));
        }
        let there = read(path)?;
        let good = !args.bool("force") && there.as_ref().and_then(|there| size_of(there)) == Some(size);
        let (mut copy, mut now) = (None, there);
        if !good && !ctx.check {
            let program = match args.text("select_crypto_backend") {
                "openssl" => Some(ctx.program("openssl")?),
                "auto" => ctx.which("openssl"),
                _ => None,
            };
            let made = match program {
                Some(program) => {
                    let command = ctx.command([program, "dhparam".into(), size.to_string()]);
                    ctx.run_ok(&command, "openssl could not make the parameters")?.stdout
                }
                None => make(size)?.into_bytes(),
            };
            copy = target.write(&made)?;
            now = Some(made);
        }
        let mut outcome = facts(target.settle(ctx)? || !good);
        if args.bool("return_content") {
            outcome.set("dhparams", now.map_or(Value::Null, |now| content(&now, false)));
        }
        Ok(with_copy(outcome, copy))
    }
}
