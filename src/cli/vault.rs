//! `quorate vault` and `ansible-vault`: encrypted files and strings.
//!
//! In: flags, files, standard input, passwords. Out: files that either tool opens.
//!
//! **Invariant:** no password and no plain text reaches a message; files with plain text are made closed to others
//! (0600) and, where they were only in between, overwritten before they go.
//!
//! Not here: the cipher (`crates/vault`).

use super::common::Cannot;
use super::{ask, status};
use crate::report::display;
use crate::settings::Settings;
use clap::{Parser, Subcommand};
use quorate_vault::{Secret, SecretSource, VaultError, VaultSecrets};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Encrypt and decrypt files and strings, so that either tool opens them.
#[derive(Debug, Parser)]
#[command(name = "quorate vault", disable_version_flag = true, disable_help_subcommand = true)]
struct Args {
    /// Print the version
    #[arg(long)]
    version: bool,
    /// Accepted for Ansible's sake
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a new encrypted file in an editor
    Create {
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        with: With,
        /// Open the editor even though this is no terminal
        #[arg(long)]
        skip_tty_check: bool,
        #[arg(value_name = "FILE")]
        files: Vec<String>,
    },
    /// Decrypt files (or standard input) in place
    Decrypt {
        #[command(flatten)]
        given: Given,
        /// Where to write; `-` is standard output
        #[arg(long, value_name = "FILE")]
        output: Option<String>,
        #[arg(value_name = "FILE")]
        files: Vec<String>,
    },
    /// Change encrypted files in an editor
    Edit {
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        with: With,
        #[arg(value_name = "FILE")]
        files: Vec<String>,
    },
    /// Show encrypted files
    View {
        #[command(flatten)]
        given: Given,
        #[arg(value_name = "FILE")]
        files: Vec<String>,
    },
    /// Encrypt files (or standard input) in place
    Encrypt {
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        with: With,
        /// Where to write; `-` is standard output
        #[arg(long, value_name = "FILE")]
        output: Option<String>,
        #[arg(value_name = "FILE")]
        files: Vec<String>,
    },
    /// Encrypt strings, ready to paste into YAML
    #[command(name = "encrypt_string")]
    EncryptString {
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        with: With,
        /// Where to write
        #[arg(long, value_name = "FILE")]
        output: Option<String>,
        /// Ask for the string
        #[arg(short, long)]
        prompt: bool,
        /// Show what is typed
        #[arg(long)]
        show_input: bool,
        /// Name of the variable. Repeatable, in the order of the strings
        #[arg(short, long, value_name = "NAME")]
        name: Vec<String>,
        /// Name of the variable for the string on standard input
        #[arg(long, value_name = "NAME")]
        stdin_name: Option<String>,
        /// The strings; `-` is standard input
        #[arg(value_name = "STRING")]
        strings: Vec<String>,
    },
    /// Give encrypted files another password
    Rekey {
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        with: With,
        /// File (or script) with the new password
        #[arg(long, value_name = "FILE", conflicts_with = "new_vault_id")]
        new_vault_password_file: Option<String>,
        /// The new identity: label@prompt or label@file
        #[arg(long, value_name = "VAULT_ID")]
        new_vault_id: Option<String>,
        #[arg(value_name = "FILE")]
        files: Vec<String>,
    },
}

/// Where passwords come from.
#[derive(Debug, clap::Args)]
struct Given {
    /// Vault identity: label@prompt, label@file, or a file. Repeatable
    #[arg(long, value_name = "VAULT_ID")]
    vault_id: Vec<String>,
    /// File (or script) with the vault password. Repeatable
    #[arg(long, value_name = "FILE", alias = "vault-pass-file")]
    vault_password_file: Vec<String>,
    /// Ask for the vault password
    #[arg(short = 'J', long, alias = "ask-vault-password", conflicts_with = "vault_password_file")]
    ask_vault_pass: bool,
}

/// Which of them encrypts.
#[derive(Debug, clap::Args)]
struct With {
    /// The identity to encrypt with, needed where several are given
    #[arg(long, value_name = "LABEL")]
    encrypt_vault_id: Option<String>,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String], ansible: bool) -> u8 {
    let name = if ansible { "ansible-vault" } else { "quorate vault" };
    let args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    let Some(action) = args.action else {
        display::err(&super::headline("the following arguments are required: action", ansible));
        return if ansible { 2 } else { status::USAGE };
    };
    super::ended(Tool::new().and_then(|tool| tool.act(action)), ansible)
}

fn usage(text: impl Into<String>) -> Cannot {
    Cannot { text: text.into(), status: status::USAGE }
}

/// A vault's complaint in Ansible's words where it has words for it.
fn complaint(error: &VaultError) -> String {
    match error {
        VaultError::NotAVault => "Input is not vault encrypted data.".into(),
        VaultError::WrongSecret { .. } | VaultError::NoSecretForId { .. } => {
            "Decryption failed (no vault secrets were found that could decrypt).".into()
        }
        VaultError::NoSecrets => "A vault password is required to use Ansible's Vault".into(),
        VaultError::PasswordFile { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            format!("The vault password file {} was not found", absolute(path).display())
        }
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(next) = cause {
                text.push_str(&format!(": {next}"));
                cause = next.source();
            }
            text
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

struct Tool {
    settings: Settings,
}

impl Tool {
    fn new() -> Result<Self, Cannot> {
        let cwd = std::env::current_dir()
            .map_err(|e| Cannot::start(format!("the working directory is gone: {e}")))?;
        let settings = Settings::load(&crate::environment, &cwd).map_err(Cannot::start)?;
        settings.warnings.iter().for_each(|warning| display::warning(warning));
        Ok(Tool { settings })
    }

    fn act(&self, action: Action) -> Result<(), Cannot> {
        match action {
            Action::Create { given, with, skip_tty_check, files } => {
                self.create(&given, &with, skip_tty_check, &files)
            }
            Action::Decrypt { given, output, files } => self.decrypt(&given, output.as_deref(), &files),
            Action::Edit { given, with, files } => self.edit(&given, &with, &files),
            Action::View { given, files } => self.view(&given, &files),
            Action::Encrypt { given, with, output, files } => {
                self.encrypt(&given, &with, output.as_deref(), &files)
            }
            Action::EncryptString { given, with, output, prompt, show_input, name, stdin_name, strings } => {
                let what = Strings { prompt, show_input, names: name, stdin_name, strings };
                self.encrypt_string(&given, &with, output.as_deref(), what)
            }
            Action::Rekey { given, with, new_vault_password_file, new_vault_id, files } => {
                self.rekey(&given, &with, new_vault_password_file, new_vault_id, &files)
            }
        }
    }

    /// The identities that are known, as they are written on the command line.
    fn sources(&self, given: &Given) -> Vec<String> {
        let mut sources = self.settings.list("DEFAULT_VAULT_IDENTITY_LIST");
        sources.extend(given.vault_id.iter().cloned());
        let label = self.settings.text("DEFAULT_VAULT_IDENTITY");
        let files = match self.settings.some("DEFAULT_VAULT_PASSWORD_FILE") {
            Some(file) if given.vault_password_file.is_empty() => vec![file.to_owned()],
            _ => given.vault_password_file.clone(),
        };
        sources.extend(files.iter().map(|file| format!("{label}@{file}")));
        if given.ask_vault_pass || sources.is_empty() {
            sources.push(format!("{label}@prompt_ask_vault_pass"));
        }
        sources
    }

    /// The passwords behind identities. New ones are asked for twice.
    fn passwords(&self, sources: &[String], new: bool) -> Result<VaultSecrets, Cannot> {
        let mut known = VaultSecrets::new().match_ids(self.settings.flag("DEFAULT_VAULT_ID_MATCH"));
        for written in sources {
            let source = SecretSource::parse(written);
            let secret = match &source.file {
                Some(path) => quorate_vault::read_password_file(path, &source.id, &known)
                    .map_err(|error| Cannot::start(complaint(&error)))?,
                None => asked(&source.id, written.ends_with("prompt_ask_vault_pass"), new)?,
            };
            known.push(source.id, secret);
        }
        Ok(known)
    }

    /// The passwords, and which of them encrypts: its label and itself.
    fn encrypting(&self, given: &Given, with: &With) -> Result<(String, Secret), Cannot> {
        let sources = self.sources(given);
        let wanted = self.wanted(with);
        if sources.len() > 1 && wanted.is_none() {
            let labels: Vec<String> = sources.iter().map(|s| SecretSource::parse(s).id).collect();
            return Err(usage(format!(
                "The vault-ids {} are available to encrypt. Specify the vault-id to encrypt with --encrypt-vault-id",
                labels.join(",")
            )));
        }
        choose(&self.passwords(&sources, true)?, wanted)
    }

    fn wanted<'a>(&'a self, with: &'a With) -> Option<&'a str> {
        with.encrypt_vault_id.as_deref().or_else(|| self.settings.some("DEFAULT_VAULT_ENCRYPT_IDENTITY"))
    }

    fn encrypt(
        &self,
        given: &Given,
        with: &With,
        output: Option<&str>,
        files: &[String],
    ) -> Result<(), Cannot> {
        one_output(output, files)?;
        let (label, secret) = self.encrypting(given, with)?;
        for name in or_stdin(files) {
            if name == "-" && std::io::stdin().is_terminal() {
                display::err("Reading plaintext input from stdin");
            }
            let plain = read(name)?;
            if plain.starts_with(b"$ANSIBLE_VAULT") {
                return Err(Cannot::start("input is already encrypted"));
            }
            let text = sealed(&plain, &secret, &label)?;
            write(output.unwrap_or(name), text.as_bytes(), Keep::Nothing)?;
        }
        successful("Encryption");
        Ok(())
    }

    fn decrypt(&self, given: &Given, output: Option<&str>, files: &[String]) -> Result<(), Cannot> {
        one_output(output, files)?;
        let secrets = self.passwords(&self.sources(given), false)?;
        for name in or_stdin(files) {
            if name == "-" && std::io::stdin().is_terminal() {
                display::err("Reading ciphertext input from stdin");
            }
            let plain = opened(name, &absolute(Path::new(name)), &secrets)?;
            write(output.unwrap_or(name), &plain, Keep::Nothing)?;
        }
        successful("Decryption");
        Ok(())
    }

    fn view(&self, given: &Given, files: &[String]) -> Result<(), Cannot> {
        let secrets = self.passwords(&self.sources(given), false)?;
        for name in files {
            page(&opened(name, Path::new(name), &secrets)?);
        }
        Ok(())
    }

    fn rekey(
        &self,
        given: &Given,
        with: &With,
        password_file: Option<String>,
        id: Option<String>,
        files: &[String],
    ) -> Result<(), Cannot> {
        let secrets = self.passwords(&self.sources(given), false)?;
        let label = self.settings.text("DEFAULT_VAULT_IDENTITY");
        let new = match (id, password_file) {
            (Some(id), _) => id,
            (None, Some(file)) => format!("{label}@{file}"),
            (None, None) => format!("{label}@prompt_ask_vault_pass"),
        };
        let (label, secret) = choose(&self.passwords(&[new], true)?, self.wanted(with))?;
        for name in files {
            let plain = opened(name, &absolute(Path::new(name)), &secrets)?;
            write(name, sealed(&plain, &secret, &label)?.as_bytes(), Keep::Access)?;
        }
        display::err("Rekey successful");
        Ok(())
    }

    fn create(
        &self,
        given: &Given,
        with: &With,
        skip_tty_check: bool,
        files: &[String],
    ) -> Result<(), Cannot> {
        let [name] = files else {
            return Err(usage("ansible-vault create can take only one filename argument"));
        };
        let (label, secret) = self.encrypting(given, with)?;
        if !skip_tty_check && !std::io::stdout().is_terminal() {
            return Err(usage("not a tty, editor cannot be opened"));
        }
        let path = Path::new(name);
        if path.is_file() {
            return Err(Cannot::start(format!("{name} exists, please use 'edit' instead")));
        }
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
            display::warning(&format!("{} does not exist, creating...", dir.display()));
            std::fs::create_dir_all(dir).map_err(|e| {
                Cannot::start(format!("cannot create {}: {}", dir.display(), super::errno(&e, None)))
            })?;
        }
        let plain = edited(path, b"")?;
        write(name, sealed(&plain, &secret, &label)?.as_bytes(), Keep::Nothing)
    }

    fn edit(&self, given: &Given, with: &With, files: &[String]) -> Result<(), Cannot> {
        let secrets = self.passwords(&self.sources(given), false)?;
        for name in files {
            let path = absolute(Path::new(name));
            let text = read(name)?;
            let about =
                |error: &VaultError| Cannot::start(format!("{} for {}", complaint(error), path.display()));
            let text = std::str::from_utf8(&text).map_err(|_| about(&VaultError::NotAVault))?;
            let (label, secret, plain) = unlocked(text, &secrets).map_err(|error| about(&error))?;
            let (label, secret) = match self.wanted(with) {
                Some(wanted) => choose(&secrets, Some(wanted))?,
                None => (label, secret),
            };
            let changed = edited(&path, &plain)?;
            if *changed != *plain {
                write(name, sealed(&changed, &secret, &label)?.as_bytes(), Keep::Access)?;
            }
        }
        Ok(())
    }

    fn encrypt_string(
        &self,
        given: &Given,
        with: &With,
        output: Option<&str>,
        what: Strings,
    ) -> Result<(), Cannot> {
        let from_stdin = what.strings.iter().any(|s| s == "-") || (what.strings.is_empty() && !what.prompt);
        if what.prompt && from_stdin {
            return Err(usage("The --prompt option is not supported if also reading input from stdin"));
        }
        let (label, secret) = self.encrypting(given, with)?;
        let found = what.collect(from_stdin)?;
        let mut blocks = Vec::new();
        for (index, string) in found.iter().enumerate() {
            if found.len() > 1 {
                let number = index + 1;
                display::err(&match &string.name {
                    Some(name) => format!(
                        "# The encrypted version of variable (\"{name}\", the string #{number} from {}).",
                        string.from
                    ),
                    None => {
                        format!("# The encrypted version of the string #{number} from {}.)", string.from)
                    }
                });
            }
            blocks.push(yaml_block(string.name.as_deref(), &sealed(&string.text, &secret, &label)?));
        }
        let text = blocks.join("\n");
        match output {
            None | Some("-") => display::out(&text),
            Some(path) => write(path, format!("{text}\n").as_bytes(), Keep::Nothing)?,
        }
        successful("Encryption");
        Ok(())
    }
}

/// What `encrypt_string` was asked to encrypt.
struct Strings {
    prompt: bool,
    show_input: bool,
    names: Vec<String>,
    stdin_name: Option<String>,
    strings: Vec<String>,
}

struct Found {
    name: Option<String>,
    text: Zeroizing<Vec<u8>>,
    from: &'static str,
}

impl Strings {
    fn collect(self, from_stdin: bool) -> Result<Vec<Found>, Cannot> {
        let empty = |from: &str| {
            usage(match from {
                "stdin" => "stdin was empty, not encrypting".to_owned(),
                from => format!("The plaintext provided from {from} was empty, not encrypting"),
            })
        };
        let mut found = Vec::new();
        if self.prompt {
            const FROM: &str = "the prompt";
            let name =
                ask::visible("Variable name (enter for no name): ").map_err(|e| no_answer(&e, "name"))?;
            let text = if self.show_input {
                ask::visible("String to encrypt: ")
            } else {
                ask::password("String to encrypt (hidden): ")
            };
            let text = Zeroizing::new(text.map_err(|e| no_answer(&e, "string"))?.into_bytes());
            if text.is_empty() {
                return Err(empty(FROM));
            }
            found.push(Found { name: Some(name).filter(|n| !n.is_empty()), text, from: FROM });
        }
        if from_stdin {
            if std::io::stdin().is_terminal() {
                display::err(
                    "Reading plaintext input from stdin. (ctrl-d to end input, twice if your content does not already have a newline)",
                );
            }
            let text = read("-")?;
            if text.is_empty() {
                return Err(empty("stdin"));
            }
            found.push(Found { name: self.stdin_name, text, from: "stdin" });
        }
        let strings: Vec<&String> = self.strings.iter().filter(|s| s.as_str() != "-").collect();
        if let Some(last) = self.names.last().filter(|_| self.names.len() < strings.len()) {
            display::err("The number of --name options do not match the number of args.");
            display::err(&format!(
                "The last named variable will be \"{last}\". The rest will not have names."
            ));
        }
        for (index, text) in strings.into_iter().enumerate() {
            const FROM: &str = "the command line args";
            if text.is_empty() {
                return Err(empty(FROM));
            }
            let text = Zeroizing::new(text.clone().into_bytes());
            found.push(Found { name: self.names.get(index).cloned(), text, from: FROM });
        }
        Ok(found)
    }
}

fn no_answer(error: &std::io::Error, what: &str) -> Cannot {
    Cannot::start(format!("no {what} was given: {error}"))
}

fn one_output(output: Option<&str>, files: &[String]) -> Result<(), Cannot> {
    if output.is_some() && files.len() > 1 {
        return Err(usage("At most one input file may be used with the --output option"));
    }
    Ok(())
}

fn or_stdin(files: &[String]) -> Vec<&str> {
    if files.is_empty() { vec!["-"] } else { files.iter().map(String::as_str).collect() }
}

fn successful(what: &str) {
    if std::io::stdout().is_terminal() {
        display::err(&format!("{what} successful"));
    }
}

/// Asks for a password; a new one twice.
fn asked(id: &str, plain: bool, new: bool) -> Result<Secret, Cannot> {
    let about = if plain { String::new() } else { format!(" ({id})") };
    let word = if plain { "Vault" } else { "vault" };
    let answer = |prompt: &str| {
        let text = ask::password(prompt)
            .map_err(|_| Cannot::start(format!("EOFError (ctrl-d) on prompt for ({id})")))?;
        Secret::new(text.as_bytes())
            .map_err(|_| Cannot::start("Invalid vault password was provided, it must not be empty"))
    };
    if !new {
        return answer(&format!("Vault password{about}: "));
    }
    let first = answer(&format!("New {word} password{about}: "))?;
    let second = answer(&format!("Confirm new {word} password{about}: ").replace("new Vault", "New Vault"))?;
    if first.expose() != second.expose() {
        return Err(Cannot::start("Passwords do not match"));
    }
    Ok(first)
}

/// The password that encrypts: the one asked for, else the first.
fn choose(secrets: &VaultSecrets, wanted: Option<&str>) -> Result<(String, Secret), Cannot> {
    let label = wanted.or_else(|| secrets.ids().next()).unwrap_or_default().to_owned();
    match secrets.get(&label) {
        Some(secret) => Ok((label, secret.clone())),
        None => {
            let known: Vec<String> = secrets.ids().map(|id| format!("'{id}'")).collect();
            Err(Cannot::start(format!(
                "Did not find a match for --encrypt-vault-id={label} in the known vault-ids [{}]",
                known.join(", ")
            )))
        }
    }
}

fn sealed(plain: &[u8], secret: &Secret, label: &str) -> Result<String, Cannot> {
    // the same text gives the same vault, for people who keep vaults in git and asked for it
    let text = match crate::environment("ANSIBLE_VAULT_ENCRYPT_SALT").filter(|salt| !salt.is_empty()) {
        Some(salt) => quorate_vault::encrypt_with_salt(plain, secret, Some(label), salt.as_bytes()),
        None => quorate_vault::encrypt(plain, secret, Some(label)),
    };
    text.map_err(|error| Cannot::start(complaint(&error)))
}

/// What a vault holds; `called` is its name in a complaint.
fn opened(name: &str, called: &Path, secrets: &VaultSecrets) -> Result<Zeroizing<Vec<u8>>, Cannot> {
    let text = read(name)?;
    let text = std::str::from_utf8(&text).map_err(|_| VaultError::NotAVault);
    text.and_then(|text| quorate_vault::decrypt(text, secrets)).map_err(|error| {
        let of = if name == "-" { String::new() } else { format!(" for {}", called.display()) };
        Cannot::start(format!("{}{of}", complaint(&error)))
    })
}

/// What a vault holds, its own label, and the password that opened it.
fn unlocked(text: &str, secrets: &VaultSecrets) -> Result<(String, Secret, Zeroizing<Vec<u8>>), VaultError> {
    let label = quorate_vault::vault_id(text)?;
    let plain = quorate_vault::decrypt(text, secrets)?;
    for id in secrets.ids() {
        let Some(secret) = secrets.get(id) else { continue };
        let mut alone = VaultSecrets::new();
        alone.push(id, secret.clone());
        if quorate_vault::decrypt(text, &alone).is_ok() {
            return Ok((label, secret.clone(), plain));
        }
    }
    Err(VaultError::NoSecrets)
}

/// A variable as it stands in YAML.
fn yaml_block(name: Option<&str>, vault: &str) -> String {
    let mut text = name.map_or_else(String::new, |name| format!("{name}: "));
    text.push_str("!vault |");
    for line in vault.lines() {
        text.push_str("\n          ");
        text.push_str(line);
    }
    text
}

fn read(name: &str) -> Result<Zeroizing<Vec<u8>>, Cannot> {
    let mut bytes = Zeroizing::new(Vec::new());
    if name == "-" {
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|e| Cannot::start(format!("cannot read standard input: {}", super::errno(&e, None))))?;
        return Ok(bytes);
    }
    let path = absolute(Path::new(name));
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|e| {
        Cannot::start(format!(
            "Unable to read source file ({}): {}",
            path.display(),
            super::errno(&e, Some(&path))
        ))
    })?;
    Ok(bytes)
}

/// What a new file takes over from the one in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Nothing: 0600, and ours.
    Nothing,
    /// Owner, group and mode.
    Access,
}

/// Replaces a file at once, and overwrites what stood there before. `-` is standard output.
fn write(name: &str, bytes: &[u8], keep: Keep) -> Result<(), Cannot> {
    let failed = |what: &str, error: &std::io::Error| {
        Cannot::start(format!("cannot {what} {name}: {}", super::errno(error, None)))
    };
    if name == "-" {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        return written.map_err(|e| failed("write", &e));
    }
    let path = std::fs::canonicalize(name).unwrap_or_else(|_| absolute(Path::new(name)));
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new()
        .prefix(".quorate-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(dir)
        .map_err(|e| failed("write", &e))?;
    let old = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file);
    let finish = || -> std::io::Result<()> {
        new.write_all(bytes)?;
        if let (Some(old), Keep::Access) = (&old, keep) {
            std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
            new.as_file().set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o7777))?;
        }
        new.as_file().sync_all()?;
        let before = std::fs::OpenOptions::new().write(true).open(&path).ok();
        new.persist(&path).map_err(|e| e.error)?;
        if let (Some(file), Some(old)) = (before, &old) {
            shred(file, old.len());
        }
        Ok(())
    };
    finish().map_err(|e| failed("write", &e))
}

/// Overwrites a file's content. Best effort: a copy-on-write file system keeps the old blocks.
fn shred(mut file: std::fs::File, mut left: u64) {
    let zeros = [0; 8192];
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        if file.write_all(&zeros[..part as usize]).is_err() {
            return;
        }
        left -= part;
    }
    file.sync_all().ok();
}

/// What a person makes of some text in their editor.
fn edited(path: &Path, plain: &[u8]) -> Result<Zeroizing<Vec<u8>>, Cannot> {
    let failed = |e: std::io::Error| {
        Cannot::start(format!("cannot prepare a file to edit: {}", super::errno(&e, None)))
    };
    // in memory rather than on a disk, where there is such a place
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let dir = tempfile::Builder::new()
        .prefix("quorate-vault-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(&place)
        .or_else(|_| tempfile::tempdir())
        .map_err(failed)?;
    let file = dir.path().join(path.file_name().unwrap_or(std::ffi::OsStr::new("vault.yml")));
    let mut open = std::fs::OpenOptions::new();
    let mut made = open.write(true).create_new(true).mode(0o600).open(&file).map_err(failed)?;
    made.write_all(plain).map_err(failed)?;
    drop(made);
    let editor =
        ["EDITOR", "VISUAL"].into_iter().find_map(|name| crate::environment(name).filter(|e| !e.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".into());
    let words = quorate_agent::system::shlex::split(&editor).unwrap_or_default();
    let outcome = match words.split_first() {
        Some((program, rest)) => {
            std::process::Command::new(program).args(rest).arg(&file).status().map(drop).map_err(|e| {
                let what = Path::new(program);
                Cannot::start(format!(
                    "Unable to execute the command \"{editor} {}\": {}",
                    file.display(),
                    super::errno(&e, Some(what))
                ))
            })
        }
        None => Err(Cannot::start(format!("EDITOR is `{editor}`, which is no command"))),
    };
    let mut after = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(&file).and_then(|mut file| file.read_to_end(&mut after));
    for entry in std::fs::read_dir(dir.path()).into_iter().flatten().flatten() {
        let length = entry.metadata().map(|m| m.len()).unwrap_or(0);
        if let Ok(file) = std::fs::OpenOptions::new().write(true).open(entry.path()) {
            shred(file, length);
        }
    }
    outcome?;
    read.map_err(failed)?;
    Ok(after)
}

/// Through a pager on a terminal, plainly elsewhere.
fn page(text: &[u8]) {
    if std::io::stdout().is_terminal() {
        let pager = crate::environment("PAGER").filter(|p| !p.is_empty()).unwrap_or_else(|| "less".into());
        let child = std::process::Command::new("sh")
            .args(["-c", &pager])
            .env("LESS", crate::environment("LESS").unwrap_or_else(|| "FRSX".into()))
            .stdin(std::process::Stdio::piped())
            .spawn();
        if let Ok(mut child) = child {
            // a pager that was left early is nobody's error
            child.stdin.take().map(|mut pipe| pipe.write_all(text));
            if child.wait().is_ok_and(|status| status.code() != Some(127)) {
                return;
            }
        }
    }
    display::out(String::from_utf8_lossy(text).trim_end_matches('\n'));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_string_is_ready_for_yaml() {
        let text = yaml_block(Some("password"), "$ANSIBLE_VAULT;1.1;AES256\n0102\n");
        assert_eq!(text, "password: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          0102");
        assert!(yaml_block(None, "x").starts_with("!vault |\n"));
    }

    #[test]
    fn the_password_that_encrypts_is_the_one_asked_for_else_the_first() {
        let mut secrets = VaultSecrets::new();
        secrets.push("one", Secret::new(b"1").unwrap());
        secrets.push("two", Secret::new(b"2").unwrap());
        assert_eq!(choose(&secrets, None).map(|c| c.0).ok().as_deref(), Some("one"));
        assert_eq!(choose(&secrets, Some("two")).map(|c| c.0).ok().as_deref(), Some("two"));
        let refused = choose(&secrets, Some("three")).err().map(|c| c.text).unwrap();
        assert_eq!(
            refused,
            "Did not find a match for --encrypt-vault-id=three in the known vault-ids ['one', 'two']"
        );
    }

    #[test]
    fn editing_keeps_the_label_and_the_password_that_opened() {
        let mut secrets = VaultSecrets::new();
        secrets.push("wrong", Secret::new(b"1").unwrap());
        secrets.push("right", Secret::new(b"2").unwrap());
        let vault = quorate_vault::encrypt(b"x", &Secret::new(b"2").unwrap(), Some("old")).unwrap();
        let (label, secret, plain) = unlocked(&vault, &secrets).unwrap();
        assert_eq!((label.as_str(), secret.expose(), plain.as_slice()), ("old", &b"2"[..], &b"x"[..]));
    }

    #[test]
    fn replacing_keeps_access_only_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        std::fs::write(&path, "plain").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(path.to_str().unwrap(), b"a", Keep::Access).unwrap_or_else(|c| panic!("{}", c.text));
        assert_eq!(mode(), 0o644);
        write(path.to_str().unwrap(), b"b", Keep::Nothing).unwrap_or_else(|c| panic!("{}", c.text));
        assert_eq!((mode(), std::fs::read(&path).unwrap()), (0o600, b"b".to_vec()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing stays behind");
    }
}
