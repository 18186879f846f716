//! `pids`: processes by name.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::regex::{Flags, Regex};
use quorate_value::Value;

/// The `pids` module.
pub struct Pids;

static SPEC: Spec = Spec::new("pids", "Tells the numbers of processes.")
    .collection("community.general")
    .params(&[
        Param::str("name").doc("The program's exact name."),
        Param::str("pattern").doc("A regular expression for the name or the command line."),
        Param::bool("ignore_case")
            .default_bool(false)
            .doc("Upper and lower case are the same, in the pattern."),
    ])
    .mutually_exclusive(&[&["name", "pattern"]])
    .required_one_of(&[&["name", "pattern"]]);

impl Module for Pids {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let regex = match args.str("pattern") {
            Some(pattern) => {
                let flagged =
                    if args.bool("ignore_case") { format!("(?i){pattern}") } else { pattern.to_owned() };
                Some(Regex::new(&flagged, Flags::default()).map_err(|why| {
                    Failure::new(format!("'{pattern}' is not a valid regular expression: {why}"))
                })?)
            }
            None => None,
        };
        let mut found: Vec<i64> = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok()) else {
                continue;
            };
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let words: Vec<String> = String::from_utf8_lossy(&read("cmdline"))
                .split('\0')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            let name = name_of(String::from_utf8_lossy(&read("comm")).trim_end(), &words);
            let matches = match &regex {
                Some(regex) => {
                    let hit = |text: &str| regex.found_in(text).unwrap_or(false);
                    hit(&name) || hit(&words.join(" "))
                }
                None => Some(name.to_lowercase()) == args.str("name").map(str::to_lowercase),
            };
            if matches {
                found.push(pid);
            }
        }
        found.sort_unstable();
        Ok(Outcome::ok().with("pids", Value::list(found.into_iter().map(Value::Int).collect::<Vec<_>>())))
    }
}

/// The kernel cuts names after 15 bytes; the command line knows the rest.
fn name_of(short: &str, words: &[String]) -> String {
    let first = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    if short.len() >= 15 && first.starts_with(short) { first.to_owned() } else { short.to_owned() }
}
