//! `authorized_key`: the keys that may log in as a user.
//!
//! **Invariant:** the file is never readable or writable for others, not even for an instant, and belongs to the user.

use super::web;
use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use crate::system::http;
use crate::system::users;
use quorate_value::{Value, dict};
use std::io::Read as _;
use std::path::Path;

/// The `authorized_key` module.
pub struct AuthorizedKey;

static SPEC: Spec = Spec::new("authorized_key", "Adds and removes SSH keys that may log in.")
    .collection("ansible.posix")
    .diff()
    .params(&[
        Param::str("user").required().doc("Who is logged in as."),
        Param { no_log: Some(false), ..Param::str("key") }
            .required()
            .doc("The public keys, one a line, or a URL of such a list."),
        Param::path("path").doc("The file; `~/.ssh/authorized_keys` of the user if absent."),
        Param::bool("manage_dir")
            .default_bool(true)
            .doc("Make the file's directory, and give it to the user."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the keys should be there."),
        Param { no_log: Some(false), ..Param::str("key_options") }.doc("Options before the keys."),
        Param::bool("exclusive").default_bool(false).doc("Remove all other keys."),
        Param::str("comment").doc("A comment in place of the keys' own."),
        Param::bool("validate_certs").default_bool(true).doc("Check the certificate of a URL's server."),
        Param::bool("follow").default_bool(false).doc("Follow a symbolic link instead of replacing it."),
    ]);

impl Module for AuthorizedKey {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let name = args.text("user");
        let user = users::by_name(name).ok_or_else(|| {
            Failure::new(format!("Failed to lookup user {name}: \"getpwnam(): name not found: '{name}'\""))
        })?;
        let default = format!("{}/.ssh/authorized_keys", user.home);
        let mut path = args.str("path").unwrap_or(&default).to_owned();
        if args.bool("follow") {
            path = files::real_path(&path);
        }
        let listed = keys_text(args, ctx)?;
        let wanted: Vec<Key> = listed
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                Key::parse(line).ok_or_else(|| Failure::new(format!("invalid key specified: {line}")))
            })
            .collect::<Result<_, _>>()?;
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(files::trouble("could not read", &path, &error)),
        };
        let task = Task {
            present: args.text("state") == "present",
            exclusive: args.bool("exclusive"),
            options: args.str("key_options"),
            comment: args.str("comment"),
        };
        let after = changed_file(&before, wanted, &task);
        let changed = after != before;
        if changed && !ctx.check {
            if args.bool("manage_dir")
                && let Some(directory) = Path::new(&path).parent()
            {
                own_directory(directory, &user)?;
            }
            let owner = Some(user.uid.to_string());
            let settings = Wanted {
                mode: Some(Value::from("0600")),
                owner,
                group: Some(user.gid.to_string()),
                ..Wanted::default()
            };
            files::write(&path, after.as_bytes(), &settings)?;
        }
        let outcome = Outcome::changed_if(changed).with_all(dict! {
            "user" => name,
            "key" => args.text("key"),
            "path" => args.str("path"),
            "keyfile" => path.as_str(),
            "manage_dir" => args.bool("manage_dir"),
            "state" => args.text("state"),
            "key_options" => args.str("key_options"),
            "exclusive" => args.bool("exclusive"),
            "comment" => args.str("comment"),
            "validate_certs" => args.bool("validate_certs"),
            "follow" => args.bool("follow"),
        });
        Ok(if changed {
            outcome.diff(Diff::texts(before, after).headers(path.as_str(), path.as_str()))
        } else {
            outcome
        })
    }
}

fn keys_text(args: &Args, ctx: &Ctx) -> Result<String, Failure> {
    let text = args.text("key");
    if !text.starts_with("http") {
        return Ok(text.to_owned());
    }
    let mut request = web::plain_request(ctx, text.trim());
    request.tls.insecure = !args.bool("validate_certs");
    let failed = |why: String| Failure::new(format!("Error getting key from: {text}: {why}"));
    let mut response = http::fetch(&request).map_err(|trouble| failed(trouble.to_string()))?;
    if !response.is_good() {
        return Err(failed(response.message()));
    }
    let mut keys = String::new();
    (&mut response.body)
        .take(1024 * 1024)
        .read_to_string(&mut keys)
        .map_err(|error| failed(error.to_string()))?;
    Ok(keys)
}

/// Makes the directory, closed to others, and gives it to the user.
fn own_directory(directory: &Path, user: &users::User) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let shown = directory.to_string_lossy();
    let failed = |error: std::io::Error| files::trouble("could not make", &shown, &error);
    if !directory.exists() {
        std::fs::DirBuilder::new().mode(0o700).create(directory).map_err(failed)?;
    }
    std::os::unix::fs::chown(directory, Some(user.uid), Some(user.gid)).map_err(failed)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// A line of the file: options, type, key, comment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    options: String,
    kind: String,
    key: String,
    comment: String,
}

const KINDS: &[&str] = &[
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-rsa",
    "ssh-xmss@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
];

impl Key {
    fn parse(line: &str) -> Option<Key> {
        let (mut options, mut rest) = (String::new(), line.trim());
        if !KINDS.contains(&rest.split_whitespace().next()?) {
            // Options end at the first blank outside quotes.
            let mut quoted = false;
            let mut escaped = false;
            let end = rest.find(|c: char| {
                if c == '"' && !escaped {
                    quoted = !quoted;
                }
                escaped = c == '\\' && !escaped;
                c.is_whitespace() && !quoted
            })?;
            options = rest[..end].to_owned();
            rest = rest[end..].trim_start();
        }
        let mut words = rest.splitn(3, char::is_whitespace);
        let kind = words.next().filter(|kind| KINDS.contains(kind))?.to_owned();
        let key = words.next().filter(|key| !key.is_empty())?.to_owned();
        Some(Key { options, kind, key, comment: words.next().unwrap_or("").trim().to_owned() })
    }

    fn line(&self) -> String {
        let words = [&self.options, &self.kind, &self.key, &self.comment];
        words.iter().filter(|word| !word.is_empty()).map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// What the task wants of its keys.
struct Task<'a> {
    present: bool,
    exclusive: bool,
    options: Option<&'a str>,
    comment: Option<&'a str>,
}

fn changed_file(text: &str, wanted: Vec<Key>, task: &Task<'_>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let position = |lines: &[String], key: &Key| {
        lines.iter().position(|line| {
            Key::parse(line).is_some_and(|known| known.key == key.key && known.kind == key.kind)
        })
    };
    let mut kept: Vec<String> = Vec::new();
    for mut key in wanted {
        if let Some(options) = task.options {
            options.clone_into(&mut key.options);
        }
        if let Some(comment) = task.comment {
            comment.clone_into(&mut key.comment);
        }
        kept.push(key.key.clone());
        match (position(&lines, &key), task.present) {
            (Some(at), true) => {
                let known = Key::parse(&lines[at]);
                // The standing comment is good enough unless the task names one.
                let same = known.is_some_and(|known| {
                    known.options == key.options && (task.comment.is_none() || known.comment == key.comment)
                });
                if !same {
                    lines[at] = key.line();
                }
            }
            (None, true) => lines.push(key.line()),
            (Some(at), false) => {
                lines.remove(at);
            }
            (None, false) => {}
        }
    }
    if task.present && task.exclusive {
        lines.retain(|line| Key::parse(line).is_none_or(|known| kept.contains(&known.key)));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn files() {
        const A: &str = "ssh-ed25519 AAAA one";
        const B: &str = "from=\"10.0.0.1, x\",no-pty ssh-rsa BBBB two";
        let task = |text: &str| Task {
            present: !text.contains("absent"), exclusive: text.contains("exclusive"),
            options: text.contains("options").then_some("no-pty"), comment: text.contains("comment").then_some("new"),
        };
        for (before, keys, what, after) in [
            ("",                             A, "",          format!("{A}\n")),
            ("# c\nssh-ed25519 AAAA x\n",    A, "",          "# c\nssh-ed25519 AAAA x\n".into()),
            ("ssh-ed25519 AAAA x\n",         A, "comment",   "ssh-ed25519 AAAA new\n".into()),
            ("ssh-ed25519 AAAA x\n",         A, "options",   "no-pty ssh-ed25519 AAAA one\n".into()),
            ("# c\nssh-ed25519 AAAA x\nssh-rsa BBBB y\n", A, "exclusive", "# c\nssh-ed25519 AAAA x\n".into()),
            ("ssh-ed25519 AAAA x\nssh-rsa BBBB y\n", A, "absent", "ssh-rsa BBBB y\n".into()),
            ("ssh-rsa BBBB y\n",             B, "",          format!("{B}\n")),
        ] {
            let wanted = keys.lines().map(|line| Key::parse(line).unwrap()).collect();
            assert_eq!(changed_file(before, wanted, &task(what)), after, "{before:?} {what}");
        }
        assert_eq!(Key::parse("garbage"), None);
        assert_eq!(Key::parse("garbage more"), None);
    }
}
