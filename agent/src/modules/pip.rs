//! `pip`: Python packages, by the host's own `pip`.
//!
//! **Invariant:** what is installed is decided by `pip`; versions are compared here only to foretell in check mode.

mod version;

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::{Command, Output};
use crate::system::shlex;
use quorate_value::Value;
use std::path::Path;
use version::Requirement;

/// The `pip` module.
pub struct Pip;

static SPEC: Spec = Spec::new("pip", "Installs and removes Python packages.")
    .params(&[
        Param::str("state")
            .choices(&["present", "absent", "latest", "forcereinstall"])
            .default_str("present")
            .doc("Whether they should be there; `latest` upgrades, `forcereinstall` installs anew."),
        Param::list("name", Kind::Str).doc("Packages, with version limits if wanted, or URLs."),
        Param::str("version").doc("The version of the one package."),
        Param::str("requirements").doc("A file that lists packages."),
        Param::path("virtualenv").doc("A virtual environment to work in; made where it is missing."),
        Param::bool("virtualenv_site_packages")
            .default_bool(false)
            .doc("The new environment sees the host's packages."),
        Param::path("virtualenv_command")
            .default_str("virtualenv")
            .doc("The program that makes the environment, with its options."),
        Param::str("virtualenv_python").doc("The interpreter of the new environment."),
        Param::str("extra_args").doc("More options for `pip`."),
        Param::bool("editable").default_bool(false).doc("Installs sources in place (`-e`)."),
        Param::path("chdir").doc("Where `pip` runs."),
        Param::path("executable").doc("Another `pip`."),
        Param::str("umask").doc("The umask `pip` runs with, octal."),
        Param::bool("break_system_packages")
            .default_bool(false)
            .doc("Installs beside the host's own packages although their manager objects."),
    ])
    .mutually_exclusive(&[&["name", "requirements"], &["executable", "virtualenv"]])
    .required_one_of(&[&["name", "requirements"]])
    .world();

impl Module for Pip {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let umask = args.str("umask").map(octal).transpose()?;
        let state = args.text("state");
        if state == "latest" && args.has("version") {
            return Err(Failure::new("version is incompatible with state=latest"));
        }
        let env = args.str("virtualenv");
        let task = Task { args, ctx, umask, chdir: args.str("chdir").unwrap_or("/tmp").to_owned() };
        let (mut out, mut err, mut created) = (String::new(), String::new(), false);
        if let Some(env) = env
            && !Path::new(env).join("bin/activate").exists()
        {
            if ctx.check {
                return Ok(Outcome::changed());
            }
            (out, err) = task.make_environment(env)?;
            created = true;
        }
        let pip = task.find_pip()?;
        let packages = packages(args)?;
        let sources = packages.iter().any(|package| package.is_source());
        let mut extra = match args.str("extra_args") {
            Some(text) => shlex::split(text).map_err(Failure::new)?,
            None => Vec::new(),
        };
        if args.bool("editable") && !extra.iter().any(|word| word == "-e") {
            extra.push("-e".into());
        }
        if ctx.check {
            if !extra.is_empty() || args.has("requirements") || state == "latest" || packages.is_empty() {
                return Ok(Outcome::changed());
            }
            let (command, list) = task.list(&pip)?;
            let installed = version::installed(&list.stdout_text());
            let any = |wanted: bool| {
                packages.iter().any(|package| installed.iter().any(|one| package.is_met_by(one)) == wanted)
            };
            let changed = match state {
                "present" => any(false),
                "absent" => any(true),
                _ => state == "forcereinstall",
            };
            return Ok(Outcome::changed_if(changed)
                .with("cmd", command)
                .with("stdout", list.stdout_text())
                .with("stderr", list.stderr_text()));
        }
        let mut argv = pip.clone();
        argv.extend(
            match state {
                "absent" => &["uninstall", "-y"][..],
                "latest" => &["install", "-U"],
                "forcereinstall" => &["install", "-U", "--force-reinstall"],
                _ => &["install"],
            }
            .iter()
            .map(|&word| word.to_owned()),
        );
        argv.extend(extra);
        argv.extend(packages.iter().map(|package| package.written()));
        if let Some(file) = args.str("requirements") {
            argv.extend(["-r".into(), file.to_owned()]);
        }
        let compare = args.has("requirements") || sources;
        let before = if compare { Some(task.list(&pip)?.1.stdout) } else { None };
        let output = ctx.run(&task.command(&argv))?;
        out += &output.stdout_text();
        err += &output.stderr_text();
        let nothing_there = output.rc == 1
            && state == "absent"
            && [&output.stdout_text(), &output.stderr_text()]
                .iter()
                .any(|text| text.contains("not installed"));
        if !output.ok() && !nothing_there {
            return Err(failure(&argv, &out, &err));
        }
        let said = output.stdout_text();
        let mut changed = match before {
            _ if state == "absent" => said.contains("Successfully uninstalled"),
            None => said.contains("Successfully installed"),
            Some(before) => task.list(&pip)?.1.stdout != before,
        };
        changed |= created;
        let given = |name: &str| args.value(name).cloned().unwrap_or(Value::Null);
        Ok(Outcome::changed_if(changed)
            .with("cmd", argv.iter().map(String::as_str).collect::<Value>())
            .with("name", given("name"))
            .with("version", given("version"))
            .with("state", state)
            .with("requirements", given("requirements"))
            .with("virtualenv", given("virtualenv"))
            .with("stdout", out)
            .with("stderr", err))
    }
}

fn octal(text: &str) -> Result<u32, Failure> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8).map_err(|_| {
        Failure::new("umask must be an octal integer")
            .with("details", format!("invalid literal for int() with base 8: '{text}'"))
    })
}

fn failure(argv: &[String], out: &str, err: &str) -> Failure {
    let mut msg = String::new();
    if !out.is_empty() {
        msg += &format!("stdout: {out}");
    }
    if !err.is_empty() {
        msg += &format!("\n:stderr: {err}");
    }
    Failure::new(msg).with("cmd", argv.iter().map(String::as_str).collect::<Value>())
}

/// The packages; limits that a comma split off are put back.
fn packages(args: &Args) -> Result<Vec<Requirement>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for part in args.strings("name") {
        let continues = part.trim_start().starts_with(['<', '>', '!', '=', '~']);
        match names.last_mut() {
            Some(last) if continues || last.contains('[') && !last.contains(']') => {
                *last += &format!(",{part}");
            }
            _ => names.push(part),
        }
    }
    let Some(version) = args.str("version") else {
        return Ok(names.iter().map(|name| Requirement::parse(name)).collect());
    };
    match names.as_slice() {
        [] => Ok(Vec::new()),
        [name] => {
            let plain = Requirement::parse(name);
            if plain.has_limits() {
                return Err(Failure::new(
                    "The 'version' argument conflicts with any version specifier provided along with a package name. Please keep the version specifier, but remove the 'version' argument.",
                ));
            }
            let between = if version.starts_with(|c: char| c.is_ascii_digit()) { "==" } else { " " };
            Ok(vec![Requirement::parse(&format!("{name}{between}{version}"))])
        }
        _ => Err(Failure::new(
            "'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.",
        )),
    }
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    umask: Option<u32>,
    chdir: String,
}

impl Task<'_> {
    fn command(&self, argv: &[String]) -> Command {
        let mut command = self.ctx.command(argv.iter().cloned()).directory(self.chdir.as_str());
        command = command.env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8").env("LC_MESSAGES", "C.UTF-8");
        if let Some(mask) = self.umask {
            command = command.umask(mask);
        }
        if self.args.bool("break_system_packages") {
            command = command.env("PIP_BREAK_SYSTEM_PACKAGES", "1");
        }
        command
    }

    fn python(&self) -> Option<String> {
        ["python3", "python"].iter().find_map(|name| self.ctx.which(name))
    }

    fn find_pip(&self) -> Result<Vec<String>, Failure> {
        let named = self.args.str("executable");
        if let Some(path) = named.filter(|path| path.starts_with('/')) {
            return Ok(vec![path.to_owned()]);
        }
        let missing = |name: &str| {
            Failure::new(format!("Unable to find any of {name} to use.  pip needs to be installed."))
        };
        if let Some(env) = self.args.str("virtualenv") {
            let found = ["pip3", "pip"].iter().map(|name| format!("{env}/bin/{name}"));
            return found
                .into_iter()
                .find(|path| crate::system::process::is_executable(path.as_ref()))
                .map(|path| vec![path])
                .ok_or_else(|| {
                    Failure::new(format!(
                        "Unable to find pip in the virtualenv, {env}, under any of these names: pip3. Make sure pip is present in the virtualenv."
                    ))
                });
        }
        if let Some(name) = named {
            return self.ctx.which(name).map(|path| vec![path]).ok_or_else(|| missing(name));
        }
        if let Some(python) = self.python() {
            let argv = vec![python, "-m".into(), "pip".into()];
            let asked: Vec<String> = argv.iter().cloned().chain(["--version".into()]).collect();
            if self.ctx.run(&self.command(&asked))?.ok() {
                return Ok(argv);
            }
        }
        self.ctx.which("pip3").map(|path| vec![path]).ok_or_else(|| missing("pip3"))
    }

    fn make_environment(&self, env: &str) -> Result<(String, String), Failure> {
        let mut argv = shlex::split(self.args.text("virtualenv_command")).map_err(Failure::new)?;
        let program = argv.first().cloned().unwrap_or_default();
        if !program.contains('/') {
            argv[0] = self.ctx.program(&program)?;
        }
        let is_venv = argv.iter().any(|word| word == "venv")
            || Path::new(&program)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("pyvenv"));
        if self.args.bool("virtualenv_site_packages") {
            argv.push("--system-site-packages".into());
        } else if !is_venv {
            let help: Vec<String> = vec![argv[0].clone(), "--help".into()];
            let help =
                self.ctx.run_ok(&self.command(&help), "Could not get output from virtualenv --help")?;
            if help.stdout_text().contains("--no-site-packages") {
                argv.push("--no-site-packages".into());
            }
        }
        match (self.args.str("virtualenv_python"), is_venv) {
            (Some(_), true) => {
                return Err(Failure::new(
                    "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command",
                ));
            }
            (Some(python), false) => argv.push(format!("-p{python}")),
            (None, false) => argv.extend(self.python().map(|python| format!("-p{python}"))),
            (None, true) => {}
        }
        argv.push(env.to_owned());
        let output = self.ctx.run(&self.command(&argv))?;
        let (out, err) = (output.stdout_text(), output.stderr_text());
        if output.ok() { Ok((out, err)) } else { Err(failure(&argv, &out, &err)) }
    }

    fn list(&self, pip: &[String]) -> Result<(String, Output), Failure> {
        let mut argv = pip.to_vec();
        argv.extend(["list".into(), "--format=freeze".into()]);
        let mut output = self.ctx.run(&self.command(&argv))?;
        if !output.ok() {
            argv.truncate(pip.len());
            argv.push("freeze".into());
            output = self.ctx.run(&self.command(&argv))?;
            if !output.ok() {
                return Err(failure(&argv, &output.stdout_text(), &output.stderr_text()));
            }
        }
        Ok((argv.join(" "), output))
    }
}
