//! `fetch`, the part on the host: what is there, and its digests. The controller then streams the file if it needs it.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::protocol::hex;
use crate::spec::{Param, Spec};
use crate::system::files::{self, Algorithm};
use crate::system::process::errno;
use std::io::ErrorKind;
use std::path::Path;

/// The `fetch` module.
pub struct Fetch;

static SPEC: Spec = Spec::new("fetch", "Brings a file of the host to the controller.").params(&[
    Param::path("src").required().doc("The file on the host."),
    Param::str("dest")
        .required()
        .doc("Directory on the controller; the host's name and the path go below it, unless `flat`."),
    Param::bool("flat")
        .default_bool(false)
        .doc("Writes to `dest` itself; a trailing `/` keeps the file's name."),
    Param::bool("fail_on_missing").default_bool(true).doc("Fails where the file is missing."),
    Param::bool("validate_checksum").default_bool(true).doc("Compares digests after the transfer."),
]);

impl Module for Fetch {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("src");
        let refuse = |msg: &str| {
            if args.bool("fail_on_missing") {
                Err(Failure::new(msg).with("file", path))
            } else {
                Ok(Outcome::ok().msg(format!("{msg}, not transferring, ignored")).with("file", path))
            }
        };
        match std::fs::metadata(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return refuse("the remote file does not exist");
            }
            Err(error) => return refuse(&format!("the remote file cannot be read: {}", errno(&error))),
            Ok(metadata) if metadata.is_dir() => {
                return refuse("remote file is a directory, fetch cannot work on directories");
            }
            Ok(_) => {}
        }
        let sums = Algorithm::Sha1.digest_file(path).and_then(|sha1| {
            Ok((sha1, Algorithm::Md5.digest_file(path)?, hex(&files::sha256_file(Path::new(path))?)))
        });
        match sums {
            Ok((sha1, md5, sha256)) => Ok(Outcome::ok()
                .with("src", path)
                .with("checksum", sha1)
                .with("md5sum", md5)
                .with("_sha256", sha256)
                .with("size", std::fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default())),
            Err(error) => refuse(&format!("the remote file cannot be read: {}", errno(&error))),
        }
    }
}
