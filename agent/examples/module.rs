//! Runs one module on this machine:
//! `cargo run --example module -- NAME '{"json": "arguments"}' check|run [FILES OFFERED AS CONTENT]`.

use quorate_agent::module::{Body, ContentProvider, run_local};
use quorate_agent::protocol::{Hash, Job};
use quorate_agent::system::files::sha256_file;
use quorate_agent::system::process::Cancel;
use quorate_value::{Dict, Value, from_json_str, to_json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

struct Files(Vec<PathBuf>);

impl ContentProvider for Files {
    fn fetch(&self, hash: &Hash, _: &Cancel) -> Result<Body, String> {
        let found = self.0.iter().find(|path| sha256_file(path).is_ok_and(|it| it == *hash));
        found.map(|path| Body::File(path.clone())).ok_or_else(|| "no file offered has it".into())
    }
}

fn main() -> ExitCode {
    let mut given = std::env::args().skip(1);
    let (Some(module), args) = (given.next(), given.next()) else {
        return ExitCode::from(2);
    };
    let args = match args.map(|json| from_json_str(&json)) {
        Some(Ok(Value::Dict(args))) => Dict::clone(&args),
        None => Dict::new(),
        Some(_) => return ExitCode::from(2),
    };
    let check = given.next().is_some_and(|word| word == "check");
    let job = Job { module, args, check, diff: true, ..Job::default() };
    match run_local(&job, Arc::new(Files(given.map(PathBuf::from).collect())), &Cancel::default()) {
        Ok(result) => {
            let line = to_json(&Value::from(result)) + "\n";
            if std::io::stdout().write_all(line.as_bytes()).is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(_) => ExitCode::FAILURE,
    }
}
