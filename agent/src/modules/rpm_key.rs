//! `rpm_key`: keys that rpm trusts, by `rpm` and `gpg`.

use super::web;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::http;
use std::io::Read as _;

/// The `rpm_key` module.
pub struct RpmKey;

static SPEC: Spec = Spec::new("rpm_key", "Keeps a key that rpm trusts.").params(&[
    Param::str("state")
        .choices(&["absent", "present"])
        .default_str("present")
        .doc("Whether it should be there."),
    Param::str("key")
        .required()
        .no_log_false()
        .doc("The key: a URL, a file, or an identifier (to remove one)."),
    Param::list("fingerprint", Kind::Str).doc("What the key's fingerprint has to be, one of these."),
    Param::bool("validate_certs").default_bool(true).doc("Whether certificates are checked."),
]);

impl Module for RpmKey {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let rpm = ctx.program("rpm")?;
        let gpg = ctx.which("gpg").or_else(|| ctx.which("gpg2"));
        let gpg =
            gpg.ok_or_else(|| Failure::new("rpm_key requires a command-line gpg or gpg2, none found"))?;
        let key = args.text("key");
        let present = args.text("state") == "present";
        let url = ["http://", "https://", "ftp://", "file://"].iter().any(|scheme| key.starts_with(scheme));
        let content = if url {
            Some(download(key, args, ctx)?)
        } else if std::path::Path::new(key).is_file() {
            Some(
                std::fs::read(key)
                    .map_err(|error| crate::system::files::trouble("could not read", key, &error))?,
            )
        } else {
            None
        };
        let (id, prints) = match &content {
            Some(bytes) => {
                if !String::from_utf8_lossy(bytes).contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
                    return Err(Failure::new(format!("Not a public key: {key}")));
                }
                describe(&gpg, bytes, ctx)?
            }
            None if is_id(key) => (key.trim().trim_start_matches("0x").to_lowercase(), Vec::new()),
            None => return Err(Failure::new(format!("Not a valid key {key}"))),
        };
        let wanted: Vec<String> =
            args.strings("fingerprint").iter().map(|print| print.replace(' ', "").to_uppercase()).collect();
        if content.is_some() && !wanted.is_empty() && !wanted.iter().any(|print| prints.contains(print)) {
            return Err(Failure::new(format!(
                "The specified fingerprint, '{}', does not match any key fingerprints in '{}'",
                args.strings("fingerprint").join(", "),
                prints.join(", ")
            )));
        }
        let there = installed(&rpm, &gpg, &id, ctx)?;
        if there.is_some() == present {
            return Ok(Outcome::ok());
        }
        if !ctx.check {
            let output = if present {
                let bytes = content
                    .ok_or_else(|| Failure::new("When importing a key, a valid file must be given"))?;
                let path = ctx.temporary_directory()?.join(format!("rpm-key-{}", std::process::id()));
                std::fs::write(&path, bytes).map_err(|error| {
                    crate::system::files::trouble("could not write", &path.to_string_lossy(), &error)
                })?;
                let output = ctx.run(&ctx.command([rpm.as_str(), "--import"]).arg(&path));
                std::fs::remove_file(&path).ok(); // ours, and read already
                output?
            } else {
                let package = there.unwrap_or_default();
                ctx.run(&ctx.command([rpm.as_str(), "--erase", "--allmatches", &package]))?
            };
            if !output.ok() {
                return Err(Failure::of_command(output.stderr_text(), &output));
            }
        }
        Ok(Outcome::changed())
    }
}

fn is_id(text: &str) -> bool {
    let digits = text.trim().trim_start_matches("0x").replace(' ', "");
    matches!(digits.len(), 8 | 16) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn download(url: &str, args: &Args, ctx: &Ctx) -> Result<Vec<u8>, Failure> {
    if let Some(path) = url.strip_prefix("file://") {
        return std::fs::read(path)
            .map_err(|error| crate::system::files::trouble("could not read", path, &error));
    }
    let mut request = web::plain_request(ctx, url);
    request.tls.insecure = !args.bool("validate_certs");
    let trouble = |why: String| Failure::new(format!("failed to fetch key at {url} , error was: {why}"));
    let response = http::fetch(&request).map_err(|it| trouble(web::failure(&it).message().to_owned()))?;
    if !response.is_good() {
        return Err(trouble(response.message()));
    }
    let mut body = response.body;
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).map_err(|error| trouble(error.to_string()))?;
    Ok(bytes)
}

/// The identifier and the fingerprints of a key.
fn describe(gpg: &str, bytes: &[u8], ctx: &Ctx) -> Result<(String, Vec<String>), Failure> {
    let words = [
        gpg,
        "--no-tty",
        "--batch",
        "--with-colons",
        "--fixed-list-mode",
        "--import-options",
        "import-show",
        "--dry-run",
        "--import",
    ];
    let output = ctx.run(&ctx.command(words).input(bytes).env("LC_ALL", "C"))?;
    let text = output.stdout_text();
    let field = |kind: &str, at: usize| {
        let mut found = Vec::new();
        for line in text.lines().filter(|line| line.starts_with(kind)) {
            found.extend(line.split(':').nth(at).map(str::to_owned));
        }
        found
    };
    let id = field("pub:", 4).first().cloned().ok_or_else(|| Failure::new("Unexpected gpg output"))?;
    Ok((id.to_lowercase(), field("fpr:", 9)))
}

/// The package that stands for an installed key.
fn installed(rpm: &str, gpg: &str, id: &str, ctx: &Ctx) -> Result<Option<String>, Failure> {
    let short = &id[id.len().saturating_sub(8)..];
    let listed = ctx.run(&ctx.command([rpm, "-q", "gpg-pubkey"]))?;
    if !listed.ok() {
        return Ok(None); // no key at all
    }
    for package in listed.stdout_text().split_whitespace() {
        if package.starts_with(&format!("gpg-pubkey-{short}-")) {
            return Ok(Some(package.to_owned()));
        }
        // a subkey counts for its key
        let shown = ctx.run(&ctx.command([rpm, "-q", package, "--qf", "%{description}"]))?;
        let words = [gpg, "--no-tty", "--batch", "--with-colons", "--fixed-list-mode"];
        let keys = ctx.run(&ctx.command(words).input(shown.stdout.clone()).env("LC_ALL", "C"))?;
        let mine = keys.stdout_text().lines().any(|line| {
            (line.starts_with("pub:") || line.starts_with("sub:"))
                && line.split(':').nth(4).is_some_and(|key| key.to_lowercase().ends_with(id))
        });
        if mine {
            return Ok(Some(package.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        for (text, expected) in [("DEADBEEF", true), ("0xdeadbeef", true), ("/etc/x", false), ("1234", false)]
        {
            assert_eq!(is_id(text), expected, "{text}");
        }
    }
}
