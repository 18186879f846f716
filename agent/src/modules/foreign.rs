//! Modules that somebody wrote as a program of their own: scripts and binaries from a `library/` folder.
//!
//! In: the program (content by hash), the task's arguments. Out: what it printed as JSON, junk around it passed over.
//! The conventions are those of "Developing modules": a file of `k=v` pairs, a JSON file where the program says
//! `WANT_JSON` or is a binary, or the arguments put into the text where it says so.
//!
//! Not here: which file it is and what its first line becomes (the controller knows), packing Python modules (the same).

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::protocol::hash_from_hex;
use crate::spec::{Check, Param, Spec};
use crate::system::process::{RunError, errno};
use crate::system::shlex;
use quorate_value::{Dict, JsonStyle, Value, dict, from_json_str, str_of, to_json};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A program of somebody's own as a module.
pub struct Foreign;

/// What the program's text says where it wants its arguments.
const MARK: &str = "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>";

/// Where a packed Python module has its arguments, as a literal of Python.
pub const PLACE: &str = "<<QUORATE_MODULE_PARAMS>>";

static SPEC: Spec =
    Spec::new("quorate_foreign", "Runs a module that is a program of its own, from a `library/` folder.")
        .params(&[
            Param::str("_content").hidden().doc("SHA-256 of the program; set by the controller."),
            Param::str("_name").hidden().doc("The module's name; set by the controller."),
            Param::raw("_arguments").hidden().doc("The task's arguments; set by the controller."),
        ])
        .check(Check::Full)
        .world();

/// The folder with the program and its arguments, as long as it runs.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies in a temporary directory, which the system cleans if we cannot.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Module for Foreign {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let name = args.nonempty("_name").unwrap_or("module").to_owned();
        let mut given = args.value("_arguments").and_then(Value::as_dict).cloned().unwrap_or_default();
        let shown = Value::from(dict! {"module_args" => given.clone()});
        for (key, value) in [
            ("_ansible_check_mode", Value::Bool(ctx.check)),
            ("_ansible_diff", Value::Bool(ctx.diff)),
            ("_ansible_no_log", Value::Bool(ctx.no_log)),
            ("_ansible_verbosity", Value::Int(i64::from(ctx.verbosity))),
            ("_ansible_debug", Value::Bool(false)),
            ("_ansible_module_name", Value::from(name.as_str())),
        ] {
            given.insert(key, value);
        }
        let hash = args.str("_content").and_then(hash_from_hex);
        let hash =
            hash.ok_or_else(|| Failure::new("the program of the module did not travel with its task"))?;
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut ctx.content(&hash)?.open().map_err(|e| trouble(&e))?, &mut body)
            .map_err(|e| trouble(&e))?;
        let folder = Folder(folder(ctx)?);
        let json = to_json(&Value::dict(given.clone()));
        let text = std::str::from_utf8(&body).ok();
        // JSON of JSON is text in Python's spelling, too
        let literal = || {
            let params = Value::dict(dict! {"ANSIBLE_MODULE_ARGS" => Value::dict(given.clone())});
            let plain = |value: &Value| JsonStyle { ascii: false, ..JsonStyle::default() }.write(value);
            plain(&Value::from(plain(&params)))
        };
        let packed = text.filter(|text| text.contains(PLACE)).map(|text| text.replace(PLACE, &literal()));
        let is_packed = packed.is_some();
        let marked =
            packed.or_else(|| text.filter(|text| text.contains(MARK)).map(|text| text.replace(MARK, &json)));
        let arguments = match text {
            _ if marked.is_some() => None,
            Some(text) if !text.contains("WANT_JSON") => Some(pairs(&given)),
            _ => Some(json),
        };
        let program = folder.0.join(name.rsplit('/').next().unwrap_or("module"));
        write(&program, marked.as_ref().map_or(body.as_slice(), |text| text.as_bytes()), 0o700)?;
        let mut argv = vec![program.clone().into_os_string()];
        if let Some(arguments) = arguments {
            let file = folder.0.join("args");
            write(&file, arguments.as_bytes(), 0o600)?;
            argv.push(file.into_os_string());
        }
        let output = ctx.command(argv).run(&ctx.cancel).map_err(|error| match error {
            RunError::Cancelled => Failure::new("cancelled"),
            RunError::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let interpreter = text.and_then(interpreter).unwrap_or_else(|| name.clone());
                Failure::new(format!("The module interpreter '{interpreter}' was not found."))
                    .with("rc", 127i64)
            }
            error => Failure::new(format!("could not run the module: {error}")),
        })?;
        let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
        if is_packed && output.rc == 127 && stdout.is_empty() {
            return Err(Failure::new(format!(
                "the module {name} is written in Python, and this host has none: {}",
                stderr.trim()
            ))
            .with("rc", 127i64));
        }
        let Some((found, junk)) = result_in(&stdout) else {
            return Err(Failure::new(
                "Module result deserialization failed: No start of json char found. See stdout/stderr for the returned output.",
            )
            .with("module_stdout", stdout)
            .with("module_stderr", stderr)
            .with("rc", output.rc)
            .with("invocation", shown));
        };
        let changed = found.get("changed").is_some_and(Value::is_truthy);
        let has_invocation = found.contains_key("invocation");
        let mut outcome = Outcome::changed_if(changed).with_all(found);
        outcome.set_changed(changed);
        if !junk.is_empty() {
            outcome = outcome.warn(format!("Module invocation had junk after the JSON data: {junk}"));
        }
        if is_packed && has_invocation {
            return Ok(outcome.plain());
        }
        Ok(outcome.with("invocation", shown).plain())
    }
}

fn trouble(error: &std::io::Error) -> Failure {
    Failure::new(format!("could not put the module on the host: {}", errno(error)))
}

/// A folder that nobody else can look into.
fn folder(ctx: &Ctx) -> Result<PathBuf, Failure> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = ctx.temporary_directory()?.join(format!("quorate-{}-{now}-{number}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| trouble(&e))?;
    Ok(path)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|e| trouble(&e))
}

/// `key='value' …`, as a shell reads it.
fn pairs(args: &Dict) -> String {
    let pair = |(key, value): (&quorate_value::Key, &Value)| {
        format!("{}={}", key.json_text(), shlex::quote(&str_of(value)))
    };
    args.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// The program of a script's first line.
fn interpreter(text: &str) -> Option<String> {
    text.lines().next()?.strip_prefix("#!")?.split_whitespace().next().map(str::to_owned)
}

/// The JSON object in what a module printed, and the lines behind it.
fn result_in(stdout: &str) -> Option<(Dict, String)> {
    let start = stdout.split_inclusive('\n').scan(0, |at, line| {
        let here = *at;
        *at += line.len();
        Some((here, line))
    });
    let start = start.filter(|(_, line)| line.starts_with('{')).map(|(at, _)| at).next()?;
    let lines: Vec<&str> = stdout[start..].lines().collect();
    let last = lines.iter().rposition(|line| line.trim_end().ends_with('}'))?;
    match from_json_str(&lines[..=last].join("\n")) {
        Ok(Value::Dict(found)) => {
            let junk = lines[last + 1..].join("\n").trim().to_owned();
            Some((std::sync::Arc::unwrap_or_clone(found), junk))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_around_the_result_is_passed_over() {
        for (stdout, expected) in [
            ("{\"a\": 1}", Some("")),
            ("hello\n[ a list ]\n{\"a\": 1}\n", Some("")),
            ("{\n\"a\":\n1}\nmore\n", Some("more")),
            ("nothing", None),
            ("{\"a\": ", None),
        ] {
            let found = result_in(stdout);
            assert_eq!(found.as_ref().map(|(_, junk)| junk.as_str()), expected, "{stdout}");
            if let Some((found, _)) = found {
                assert_eq!(found, dict! {"a" => 1i64});
            }
        }
    }

    #[test]
    fn pairs_are_quoted() {
        assert_eq!(pairs(&dict! {"a" => "b c", "d" => true}), "a='b c' d=True");
    }
}
