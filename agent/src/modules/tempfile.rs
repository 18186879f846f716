//! `tempfile`: a new file or directory with a name of its own.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Check, Param, Spec};
use crate::system::process::errno;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

/// The `tempfile` module.
pub struct TempFile;

static SPEC: Spec = Spec::new("tempfile", "Makes a temporary file or directory, for its owner only.")
    .params(&[
        Param::str("state").choices(&["file", "directory"]).default_str("file").doc("What to make."),
        Param::path("path").doc("Where; the system's temporary directory by default."),
        Param::str("prefix").default_str("ansible.").doc("How its name starts."),
        Param::str("suffix").default_str("").doc("How its name ends."),
    ])
    .check(Check::None);

impl Module for TempFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let directory = match args.nonempty("path") {
            Some(path) => path.to_owned(),
            None => ctx.env("TMPDIR").unwrap_or_else(|| "/tmp".into()),
        };
        for part in ["prefix", "suffix"] {
            if args.text(part).contains('/') {
                return Err(Failure::new(format!("{part} must be a valid file name component")));
            }
        }
        for _ in 0..100 {
            let name = format!("{}{}{}", args.text("prefix"), random_name(), args.text("suffix"));
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            let made = if args.text("state") == "directory" {
                std::fs::DirBuilder::new().mode(0o700).create(&path)
            } else {
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map(drop)
            };
            match made {
                Ok(()) => return Ok(Outcome::changed().with("path", path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::new(format!("{}: '{path}'", errno(&error)))),
            }
        }
        Err(Failure::new(format!("no name was free in {directory}")))
    }
}

/// Eight characters nobody can guess.
fn random_name() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz_01234";
    let mut bytes = [0; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    if read.is_err() {
        // Without a random device the name only has to be free: it is made exclusively.
        bytes = (std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64).to_le_bytes();
    }
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
