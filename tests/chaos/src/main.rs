//! Random operations on a lab's real hosts, random faults, random deaths of the controller; a client that writes and
//! reads all the while; and invariants that hold at the end of each schedule.
//!
//! `tests/chaos/run` is how it is called. `quorate-chaos client` and `verify` run inside the lab's network.
#![expect(clippy::print_stdout, reason = "this is a program whose output is its product")]

mod client;
mod dice;
mod schedule;
mod trial;
mod verify;

use client::Reach;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "quorate-chaos run --quorate FILE --lab NAME --dir DIR SEED…
quorate-chaos show SEED…
quorate-chaos client --pki DIR --prefix PREFIX --log FILE ENDPOINT…
quorate-chaos verify --pki DIR --prefix PREFIX --log FILE --members A,B ENDPOINT…";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let Some(command) = (!words.is_empty()).then(|| words.remove(0)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut option = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.remove(at);
        (at < words.len()).then(|| words.remove(at))
    };
    let (pki, prefix, log) = (option("--pki"), option("--prefix"), option("--log"));
    let (quorate, lab, dir, members) =
        (option("--quorate"), option("--lab"), option("--dir"), option("--members"));
    let result = match (command.as_str(), pki, prefix, log) {
        ("client", Some(pki), Some(prefix), Some(log)) => with(words, pki, |reach, runtime| {
            runtime.block_on(client::run(reach, prefix, Path::new(&log))).map_err(|error| error.to_string())
        }),
        ("verify", Some(pki), Some(prefix), Some(log)) => with(words, pki, |reach, runtime| {
            let log = std::fs::read_to_string(&log).map_err(|error| format!("{log}: {error}"))?;
            let members = members.unwrap_or_default();
            let members: Vec<&str> = members.split(',').filter(|name| !name.is_empty()).collect();
            let said = runtime.block_on(verify::verify(&reach, &prefix, &log, &members))?;
            println!("{said}");
            Ok(())
        }),
        ("show", ..) => seeds(&words).map(|seeds| {
            for seed in seeds {
                println!("{seed}: {}", schedule::Schedule::of(seed));
            }
        }),
        ("run", ..) => match (quorate, lab, dir) {
            (Some(quorate), Some(lab), Some(dir)) => seeds(&words)
                .and_then(|seeds| trial::run(&PathBuf::from(quorate), &lab, Path::new(&dir), &seeds)),
            _ => Err(USAGE.to_owned()),
        },
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn seeds(words: &[String]) -> Result<Vec<u64>, String> {
    words
        .iter()
        .map(|word| word.parse().map_err(|_| format!("`{word}` is no seed: a whole number")))
        .collect()
}

fn with(
    words: Vec<String>,
    pki: String,
    job: impl FnOnce(Reach, &tokio::runtime::Runtime) -> Result<(), String>,
) -> Result<(), String> {
    let endpoints = words.iter().map(|word| word.parse().map_err(|error| format!("{error}")));
    let endpoints = endpoints.collect::<Result<Vec<_>, String>>()?;
    if endpoints.is_empty() {
        return Err(USAGE.to_owned());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    job(Reach { endpoints, pki: pki.into() }, &runtime.map_err(|error| error.to_string())?)
}
