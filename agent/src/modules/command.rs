//! `command` and `shell`: runs a program, or a line through a shell.
//!
//! Not here: `raw` (the controller runs it over the bare connection), `script` (its own file).

use crate::args::{Args, Place};
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Check, Kind, Param, Spec};
use crate::system::process::{RunError, errno};
use crate::system::{clock, glob, shlex};
use quorate_value::{Dict, Value, dict};
use std::time::Instant;

/// The `command` module.
pub struct CommandModule;

/// The `shell` module.
pub struct Shell;

const EXECUTABLE: Param = Param::path("executable");
const COMMON: [Param; 11] = [
    Param::str("_raw_params").doc("The command as written in the task."),
    Param::str("cmd").doc("The command."),
    Param::list("argv", Kind::Str).doc("The command as a list; nothing in it is split or quoted."),
    Param::path("chdir").doc("Directory to run in."),
    Param::path("creates").doc("Path or pattern; when it exists, nothing runs."),
    Param::path("removes").doc("Path or pattern; when it does not exist, nothing runs."),
    Param::str("stdin").doc("What the command reads from its standard input."),
    Param::bool("stdin_add_newline").default_bool(true).doc("Ends `stdin` with a newline."),
    Param::bool("strip_empty_ends").default_bool(true).doc("Takes empty lines from the end of the output."),
    Param::bool("expand_argument_vars")
        .default_bool(true)
        .doc("Expands `$VAR` and `~` in the arguments; a shell does so anyway."),
    EXECUTABLE.doc("The shell to use instead of `/bin/sh`."),
];

const fn with_shell(shell: bool) -> [Param; 12] {
    let mut all = [EXECUTABLE; 12];
    let mut at = 0;
    while at < COMMON.len() {
        all[at] = COMMON[at];
        at += 1;
    }
    all[11] = Param::bool("_uses_shell").default_bool(shell).doc("Whether a shell reads the command.");
    all
}

static COMMAND: Spec = Spec::new("command", "Runs a program on the host, without a shell.")
    .params(&const { with_shell(false) })
    .mutually_exclusive(&[&["_raw_params", "cmd", "argv"]])
    .required_one_of(&[&["_raw_params", "cmd", "argv"]])
    .check(Check::Partial)
    .free_form()
    .world();

static SHELL: Spec = Spec::new("shell", "Runs a command line on the host through a shell.")
    .params(&const { with_shell(true) })
    .mutually_exclusive(&[&["_raw_params", "cmd", "argv"]])
    .required_one_of(&[&["_raw_params", "cmd", "argv"]])
    .check(Check::Partial)
    .free_form()
    .world();

impl Module for CommandModule {
    fn spec(&self) -> &'static Spec {
        &COMMAND
    }
    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        run(args, ctx)
    }
}

impl Module for Shell {
    fn spec(&self) -> &'static Spec {
        &SHELL
    }
    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        run(args, ctx)
    }
}

/// What the result says about the command before anything ran.
fn empty(cmd: impl Into<Value>) -> Dict {
    dict! {
        "cmd" => cmd.into(), "rc" => Value::Null, "stdout" => "", "stderr" => "",
        "start" => Value::Null, "end" => Value::Null, "delta" => Value::Null, "msg" => "",
    }
}

fn failed(mut entries: Dict, msg: &str) -> Failure {
    entries.remove("msg");
    entries.into_iter().fold(Failure::new(msg), |failure, (key, value)| failure.with(key, value))
}

fn run(args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    let shell = args.bool("_uses_shell");
    let line = args.str("_raw_params").or(args.str("cmd"));
    let mut executable = args.str("executable");
    let mut warning = None;
    if let (false, Some(given)) = (shell, executable.take_if(|_| !shell)) {
        warning = Some(format!(
            "As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module. Not using '{given}'."
        ));
    }
    let argv = if args.has("argv") {
        args.strings("argv")
    } else {
        let line = line.unwrap_or_default();
        if shell {
            vec![line.to_owned()]
        } else {
            shlex::split(line).map_err(|why| failed(empty(line), &why).with("rc", 256i64))?
        }
    };
    let blank = |list: &[String]| list.iter().all(|arg| arg.trim().is_empty());
    if argv.is_empty() || (!args.has("argv") && blank(&argv)) {
        return Err(failed(empty(Value::Null), "no command given").with("rc", 256i64));
    }
    let shown: Value =
        if shell { Value::from(argv.join(" ")) } else { argv.iter().map(String::as_str).collect() };
    let directory = args.nonempty("chdir").map(str::to_owned);
    if let Some(directory) = &directory
        && let Err(error) = std::fs::metadata(directory).and_then(|_| std::fs::read_dir(directory).map(drop))
        && error.kind() != std::io::ErrorKind::PermissionDenied
    {
        return Err(failed(empty(shown), "Unable to change directory before execution.")
            .cause(format!("{}: b'{directory}'", errno(&error))));
    }
    let base = directory.clone().or_else(|| ctx.cwd.clone());
    if let Some(reason) = not_needed(args, ctx, base.as_deref()) {
        return Ok(Outcome::ok()
            .with_all(empty(shown))
            .with("rc", 0i64)
            .with("stdout", reason.stdout)
            .msg(reason.msg));
    }
    let outcome = if ctx.check {
        // Only `creates` and `removes` tell what would happen.
        let foreseen = args.has("creates") || args.has("removes");
        let outcome = Outcome::changed_if(foreseen)
            .with_all(empty(shown))
            .with("rc", 0i64)
            .msg("Command would have run if not in check mode");
        if foreseen { outcome } else { outcome.with("skipped", true) }
    } else {
        execute(args, ctx, shell, executable, &argv, directory, shown)?
    };
    Ok(match warning {
        Some(text) => outcome.warn(text),
        None => outcome,
    })
}

struct Reason {
    msg: String,
    stdout: String,
}

/// Why nothing needs to run, if so.
fn not_needed(args: &Args, ctx: &Ctx, base: Option<&str>) -> Option<Reason> {
    let would = if ctx.check { "Would not run" } else { "Did not run" };
    if let Some(path) = args.nonempty("creates")
        && glob::matches_any(path, base)
    {
        return Some(Reason {
            msg: format!("{would} command since '{path}' exists"),
            stdout: format!("skipped, since {path} exists"),
        });
    }
    let path = args.nonempty("removes").filter(|path| !glob::matches_any(path, base))?;
    Some(Reason {
        msg: format!("{would} command since '{path}' does not exist"),
        stdout: format!("skipped, since {path} does not exist"),
    })
}

fn execute(
    args: &Args,
    ctx: &Ctx,
    shell: bool,
    executable: Option<&str>,
    argv: &[String],
    directory: Option<String>,
    shown: Value,
) -> Result<Outcome, Failure> {
    let mut command = if shell {
        ctx.command([executable.unwrap_or("/bin/sh"), "-c", argv.join(" ").as_str()])
    } else if args.bool("expand_argument_vars") {
        let place: Place<'_> = ctx.place();
        ctx.command(argv.iter().map(|arg| place.expand_path(arg)))
    } else {
        ctx.command(argv)
    };
    if let Some(directory) = &directory {
        command = command.directory(directory);
    }
    if let Some(input) = args.str("stdin") {
        let end = if args.bool("stdin_add_newline") { "\n" } else { "" };
        command = command.input(format!("{input}{end}"));
    }
    let (start, clock_start) = (clock::now(), Instant::now());
    let output = command.run(&ctx.cancel).map_err(|error| match error {
        RunError::Cancelled => failed(empty(shown.clone()), "cancelled"),
        error => {
            let quoted = shlex::join(argv);
            let code = if error.to_string().starts_with("[Errno 13]") { 13i64 } else { 2 };
            Failure::new("Error executing command.")
                .with("cmd", if shell { argv.join(" ") } else { quoted })
                .with("rc", code)
                .with("stdout", "")
                .with("stderr", "")
                .cause(format!("{error}: b'{}'", argv[0]))
        }
    })?;
    let (end, took) = (clock::now(), clock_start.elapsed());
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if args.bool("strip_empty_ends") { text.trim_end_matches(['\r', '\n']).to_owned() } else { text }
    };
    let entries = dict! {
        "cmd" => shown, "rc" => output.rc,
        "stdout" => text(&output.stdout), "stderr" => text(&output.stderr),
        "start" => clock::datetime(&start), "end" => clock::datetime(&end), "delta" => clock::delta(took),
        "msg" => "", "changed" => true,
    };
    if output.rc != 0 {
        return Err(failed(entries, "non-zero return code"));
    }
    Ok(Outcome::changed().with_all(entries))
}
