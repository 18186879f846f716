//! `apt_key`: keys that apt trusts, by `gpg` and, for the key ring of all, `apt-key`.

use super::web;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::http;
use crate::system::process::{Command, Output};
use quorate_value::Value;
use std::io::Read as _;

/// The `apt_key` module.
pub struct AptKey;

static SPEC: Spec = Spec::new("apt_key", "Keeps a key that apt trusts.")
    .params(&[
        Param::str("id").doc("The key's identifier, or its fingerprint."),
        Param::str("url").doc("Where to get the key."),
        Param::str("data").doc("The key itself."),
        Param::path("file").doc("A file with the key."),
        Param::path("keyring").doc("The key ring; apt's own if absent."),
        Param::bool("validate_certs").default_bool(true).doc("Whether certificates are checked."),
        Param::str("keyserver").doc("A server to ask for the key."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be there."),
    ])
    .mutually_exclusive(&[&["data", "file", "keyserver", "url"]]);

/// The forms of an identifier: eight digits, the fingerprint's end, sixteen digits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Id {
    short: String,
    print: String,
    key: String,
}

impl Id {
    fn parse(text: &str) -> Option<Id> {
        let key: String = text.trim().to_uppercase().replace(' ', "");
        let key = key.strip_prefix("0X").unwrap_or(&key).to_owned();
        if !matches!(key.len(), 8 | 16 | 18 | 40) && key.len() < 8
            || !key.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return None;
        }
        let end = |length: usize| key[key.len().saturating_sub(length)..].to_owned();
        Some(Id { short: end(8), print: key.clone(), key: end(16) })
    }
}

impl Module for AptKey {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let keys = Keys { args, ctx, gpg: ctx.program("gpg")?, apt_key: ctx.which("apt-key") };
        if keys.apt_key.is_none() && args.str("keyring").is_none() {
            return Err(Failure::new(
                "this host has no apt-key; give `keyring`, or use deb822_repository with `signed_by`",
            ));
        }
        let given = args.str("id");
        let present = args.text("state") == "present";
        let shown = |outcome: Failure| outcome.with("id", given.map_or(Value::Null, Value::from));
        let mut id = match given {
            Some(text) => Some(Id::parse(text).ok_or_else(|| shown(Failure::new("Invalid key_id")))?),
            None => None,
        };
        let mut data = None;
        if id.is_none() || present && (args.has("url") || args.has("data")) {
            let bytes = keys.material()?;
            if id.is_none() {
                let Some((name, content)) = &bytes else {
                    return Err(shown(Failure::new("Invalid key_id")));
                };
                id = Some(keys.id_in(name, content)?);
            }
            data = bytes;
        }
        let id = id.expect("either given or found in the key");
        let before = keys.list()?;
        let has = |list: &[String]| {
            list.iter().any(|it| *it == id.short || *it == id.key || it.ends_with(&id.print))
        };
        let there = has(&before);
        let list = |list: &[String]| list.iter().map(String::as_str).collect::<Value>();
        let outcome = |changed: bool, after: Option<&[String]>| {
            let mut outcome = Outcome::changed_if(changed)
                .with("id", given.map_or_else(|| Value::from(id.short.as_str()), Value::from))
                .with("short_id", id.short.as_str())
                .with("fp", id.print.as_str())
                .with("key_id", id.key.as_str())
                .with("before", list(&shorts(&before)));
            if let Some(after) = after {
                outcome.set("after", list(&shorts(after)));
            }
            outcome
        };
        if there == present {
            return Ok(outcome(false, None));
        }
        if ctx.check {
            return Ok(outcome(true, None));
        }
        if present {
            match (args.str("keyserver"), &data) {
                (Some(server), _) => keys.import(server, &id)?,
                (None, Some((_, content))) => keys.add(content)?,
                (None, None) => {
                    let (_, content) =
                        keys.material()?.ok_or_else(|| Failure::new("No key to add was given"))?;
                    keys.add(&content)?;
                }
            }
        } else {
            keys.remove(&id)?;
        }
        let after = keys.list()?;
        if has(&after) != present {
            let msg = if present {
                format!(
                    "apt-key did not return an error, but failed to add the key (check that the id is correct and *not* a subkey) {}",
                    id.print
                )
            } else {
                format!("apt-key did not return an error, but the key was not removed {}", id.print)
            };
            return Err(Failure::new(msg).with("id", id.short.as_str()));
        }
        Ok(outcome(true, Some(&after)))
    }
}

fn shorts(prints: &[String]) -> Vec<String> {
    prints.iter().map(|print| print[print.len().saturating_sub(8)..].to_owned()).collect()
}

/// The identifiers of public keys and their subkeys in what `gpg --with-colons` printed, fingerprints where there are some.
fn listed(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut fresh = false;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            ["pub" | "sub", _, _, _, key, ..] => {
                found.push((*key).to_owned());
                fresh = true;
            }
            ["fpr", _, _, _, _, _, _, _, _, print, ..] if fresh => {
                if let Some(last) = found.last_mut() {
                    *last = (*print).to_owned();
                }
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

struct Keys<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    gpg: String,
    apt_key: Option<String>,
}

impl Keys<'_> {
    /// `apt-key`, or `gpg` on the key ring where hosts no longer have that.
    fn tool(&self, gpg: &[&str], apt: &[&str]) -> Command {
        let command = match (&self.apt_key, self.args.str("keyring")) {
            (Some(program), Some(ring)) => {
                self.ctx.command([program.as_str(), "--keyring", ring]).args(apt.iter().copied())
            }
            (Some(program), None) => self.ctx.command([program.as_str()]).args(apt.iter().copied()),
            (None, ring) => self
                .ctx
                .command([
                    self.gpg.as_str(),
                    "--batch",
                    "--no-default-keyring",
                    "--keyring",
                    ring.unwrap_or_default(),
                ])
                .args(gpg.iter().copied()),
        };
        command.env("LC_ALL", "C").env("LANG", "C").env("APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE", "1")
    }

    fn list(&self) -> Result<Vec<String>, Failure> {
        let words = [
            "--with-colons",
            "--with-fingerprint",
            "--fixed-list-mode",
            "--list-keys",
            "--keyid-format=long",
        ];
        let apt = ["adv", "--list-public-keys", "--keyid-format=long", "--with-colons", "--with-fingerprint"];
        let output = self.ctx.run(&self.tool(&words, &apt))?;
        if !output.ok() && self.apt_key.is_some() {
            return Err(failure(&output, "Unable to list public keys".into()));
        }
        Ok(listed(&output.stdout_text()))
    }

    /// The key as the task gives it, and what to call it.
    fn material(&self) -> Result<Option<(String, Vec<u8>)>, Failure> {
        if let Some(url) = self.args.str("url") {
            let mut request = web::plain_request(self.ctx, url);
            request.tls.insecure = !self.args.bool("validate_certs");
            let trouble = |why: String| Failure::new(format!("Failed to download key at {url}: {why}"));
            let response =
                http::fetch(&request).map_err(|it| trouble(web::failure(&it).message().to_owned()))?;
            if !response.is_good() {
                return Err(trouble(response.message()));
            }
            let mut body = response.body;
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes).map_err(|error| trouble(error.to_string()))?;
            return Ok(Some((url.to_owned(), bytes)));
        }
        if let Some(data) = self.args.str("data") {
            return Ok(Some(("inline data".into(), data.as_bytes().to_vec())));
        }
        if let Some(path) = self.args.str("file") {
            let bytes = std::fs::read(path)
                .map_err(|_| Failure::new(format!("Unable to extract key from '{path}'")))?;
            return Ok(Some((path.to_owned(), bytes)));
        }
        Ok(None)
    }

    fn id_in(&self, name: &str, content: &[u8]) -> Result<Id, Failure> {
        let words = [
            self.gpg.as_str(),
            "--with-colons",
            "--with-fingerprint",
            "--dry-run",
            "--import-options",
            "import-show",
            "--import",
        ];
        let output = self.ctx.run(&self.ctx.command(words).input(content).env("LC_ALL", "C"))?;
        listed(&output.stdout_text())
            .first()
            .and_then(|print| Id::parse(print))
            .ok_or_else(|| failure(&output, format!("Unable to extract key from '{name}'")))
    }

    fn import(&self, server: &str, id: &Id) -> Result<(), Failure> {
        let words = ["adv", "--no-tty", "--keyserver", server, "--recv", &id.print];
        let gpg = ["--keyserver", server, "--recv-keys", &id.print];
        for _ in 0..5 {
            let output = self.ctx.run(&self.tool(&gpg, &words))?;
            if output.ok() {
                return Ok(());
            }
            if !output.stderr_text().contains("timed out") {
                return Err(failure(
                    &output,
                    format!("Error fetching key {} from keyserver: {server}", id.print),
                ));
            }
        }
        Err(Failure::new(format!("Error fetching key {} from keyserver: {server}", id.print)))
    }

    fn add(&self, content: &[u8]) -> Result<(), Failure> {
        let output = self.ctx.run(&self.tool(&["--import"], &["add", "-"]).input(content))?;
        if output.ok() {
            Ok(())
        } else {
            Err(failure(&output, "Unable to add a key from binary data".into()))
        }
    }

    fn remove(&self, id: &Id) -> Result<(), Failure> {
        let output = self.ctx.run(&self.tool(&["--yes", "--delete-keys", &id.print], &["del", &id.print]))?;
        if output.ok() {
            Ok(())
        } else {
            Err(failure(&output, format!("Unable to remove a key with id {}", id.print)))
        }
    }
}

fn failure(output: &Output, msg: String) -> Failure {
    Failure::new(msg).with("stdout", output.stdout_text()).with("stderr", output.stderr_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let id = Id::parse("0x1234 5678").unwrap();
        assert_eq!(
            (id.short.as_str(), id.print.as_str(), id.key.as_str()),
            ("12345678", "12345678", "12345678")
        );
        let id = Id::parse("36A1D7869245C8950F966E92D8576A8BA88D21E9").unwrap();
        assert_eq!((id.short.as_str(), id.key.as_str()), ("A88D21E9", "D8576A8BA88D21E9"));
        assert_eq!(Id::parse("zz"), None);
    }

    #[test]
    fn lists_of_keys() {
        let text = "tru::1\npub:-:4096:1:D8576A8BA88D21E9:1:::-:\nfpr:::::::::36A1D7869245C8950F966E92D8576A8BA88D21E9:\nsub:-:1:1:AAAA:\nfpr:::::::::BBBB:\n";
        assert_eq!(listed(text), ["36A1D7869245C8950F966E92D8576A8BA88D21E9", "BBBB"]);
        assert_eq!(shorts(&listed(text)), ["A88D21E9", "BBBB"]);
    }
}
