//! `known_hosts`: the host keys that `ssh` trusts.
//!
//! Read and written here, hashed names included, so that `ssh-keygen` is not needed.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_value::Value;
use std::path::Path;

/// The `known_hosts` module.
pub struct KnownHosts;

static SPEC: Spec = Spec::new("known_hosts", "Adds and removes host keys of SSH.").diff().params(&[
    Param::str("name")
        .required()
        .aliases(&["host"])
        .doc("The host, as `ssh` looks it up: `name`, `[name]:port`."),
    Param { no_log: Some(false), ..Param::str("key") }
        .doc("The key's line; all keys of the host go where it is absent."),
    Param::path("path").default_str("~/.ssh/known_hosts").doc("The file."),
    Param::bool("hash_host").default_bool(false).doc("Write the name as a hash."),
    Param::str("state")
        .choices(&["absent", "present"])
        .default_str("present")
        .doc("Whether the key should be there."),
]);

impl Module for KnownHosts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let host = args.text("name").to_lowercase();
        let key = args.str("key").map(str::trim).filter(|key| !key.is_empty());
        let present = args.text("state") == "present";
        if host.contains(',') {
            return Err(Failure::new(
                "Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts file.",
            ));
        }
        if present && key.is_none() {
            return Err(Failure::new("No key specified when adding a host"));
        }
        let entry = key.map(|key| check_key(&host, key)).transpose()?;
        let path = args.text("path");
        let before = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(files::trouble("could not read", path, &error)),
        };
        let text = before.as_deref().unwrap_or("");
        let after = if present {
            let (fields, key) = entry.as_ref().map_or(("", ""), |entry| (entry.0.as_str(), entry.1.as_str()));
            with_key(text, &host, fields, key, args.bool("hash_host").then(|| salt(ctx)))
        } else {
            without_key(text, &host, entry.as_ref().map(|entry| entry.1.as_str()))
        };
        let changed = after != text;
        if changed && !ctx.check {
            let new = before.is_none();
            if let Some(parent) = Path::new(path).parent().filter(|parent| new && !parent.exists()) {
                return Err(Failure::new(format!(
                    "Failed to create {path}: {} does not exist",
                    parent.display()
                )));
            }
            files::write(path, after.as_bytes(), &Wanted::default())?;
        }
        let mut outcome = Outcome::changed_if(changed);
        if !(ctx.check && changed) {
            outcome = outcome
                .with("name", host.as_str())
                .with("key", args.str("key").map_or(Value::Null, Value::from))
                .with("path", path)
                .with("hash_host", args.bool("hash_host"))
                .with("state", args.text("state"));
        }
        let header = if before.is_some() { path } else { "/dev/null" };
        // said whatever happens; of a removal that names no key Ansible shows nothing
        let shown = if present || key.is_some() { after } else { text.to_owned() };
        Ok(outcome.diff(Diff::texts(text, shown).headers(header, path)))
    }
}

/// A key's line in two: the names (with a marker before them), and type with key.
fn check_key(host: &str, line: &str) -> Result<(String, String), Failure> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (marker, words) = match words.split_first() {
        Some((marker, rest)) if marker.starts_with('@') => (format!("{marker} "), rest),
        _ => (String::new(), words.as_slice()),
    };
    let [names, kind, key, ..] = words else {
        return Err(Failure::new("Host parameter does not match hashed host field in supplied key"));
    };
    if STANDARD.decode(key).is_err() {
        return Err(Failure::new(format!("the key is no key: {kind}")));
    }
    if !names_match(names, host) {
        return Err(Failure::new("Host parameter does not match hashed host field in supplied key"));
    }
    Ok((format!("{marker}{names}"), words[1..].join(" ")))
}

/// Whether a field of names has this host, hashed or not.
fn names_match(names: &str, host: &str) -> bool {
    if let Some(rest) = names.strip_prefix("|1|") {
        let Some((salt, hash)) = rest.split_once('|') else { return false };
        let Ok(salt) = STANDARD.decode(salt) else { return false };
        return STANDARD.encode(hmac_sha1(&salt, host.as_bytes())) == hash;
    }
    names.split(',').any(|name| {
        name.eq_ignore_ascii_case(host)
            || name.contains(['*', '?']) && crate::system::glob::fnmatch(host, &name.to_lowercase())
    })
}

/// A line's marker, names, and key without its comment.
fn parts(line: &str) -> Option<(Option<&str>, &str, [&str; 2])> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = trimmed.split_whitespace().collect();
    let (marker, words) = match words.split_first()? {
        (marker, rest) if marker.starts_with('@') => (Some(*marker), rest),
        _ => (None, words.as_slice()),
    };
    match words {
        [names, kind, key, ..] => Some((marker, names, [kind, key])),
        _ => None,
    }
}

fn with_key(text: &str, host: &str, names: &str, key: &str, salt: Option<[u8; 20]>) -> String {
    let mut wanted = key.split_whitespace();
    let (kind, bytes) = (wanted.next().unwrap_or(""), wanted.next().unwrap_or(""));
    let field = match salt {
        Some(salt) => {
            format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hmac_sha1(&salt, host.as_bytes())))
        }
        None => names.to_owned(),
    };
    let fresh = format!("{field} {key}\n");
    let mut out = String::new();
    let mut done = false;
    for line in text.lines() {
        match parts(line) {
            Some((None, listed, [listed_kind, listed_key]))
                if names_match(listed, host) && listed_kind == kind =>
            {
                // Another key of this type is replaced where it stands; this one stays if its name is written as asked.
                let hashed = listed.starts_with("|1|");
                let alone = !listed.contains(',');
                if listed_key == bytes && (hashed == salt.is_some() || !alone) {
                    out.push_str(line);
                    out.push('\n');
                } else if !done {
                    out.push_str(&fresh);
                }
                done = true;
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    if !done {
        out.push_str(&fresh);
    }
    out
}

fn without_key(text: &str, host: &str, key: Option<&str>) -> String {
    let wanted: Option<Vec<&str>> = key.map(|key| key.split_whitespace().take(2).collect());
    let mut out = String::new();
    for line in text.lines() {
        let gone = parts(line).is_some_and(|(_, names, listed)| {
            names_match(names, host) && wanted.as_ref().is_none_or(|wanted| wanted.as_slice() == listed)
        });
        if !gone {
            out.push_str(line);
            out.push('\n');
        }
    }
    // A file without a newline at its end is not changed by looking at it.
    if !text.is_empty() && !text.ends_with('\n') && out.trim_end_matches('\n') == text {
        text.to_owned()
    } else {
        out
    }
}

fn salt(_: &Ctx) -> [u8; 20] {
    let mut salt = [0; 20];
    // A salt only keeps equal names apart; should the kernel have none, a constant one still works.
    getrandom::fill(&mut salt).ok();
    salt
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPVTtj+UwP36yBsNTlEz6G0idpl3xhB6zklqZp73g6LF";

    #[test]
    fn hashed_names_of_openssh() {
        assert!(names_match("|1|duI+FtDesQ/a2hsSCzx8PHcI34g=|AYcPYnmdU6M0cagaFazg8U63TOU=", "h2"));
        assert!(!names_match("|1|duI+FtDesQ/a2hsSCzx8PHcI34g=|AYcPYnmdU6M0cagaFazg8U63TOU=", "h3"));
        for (names, host, expected) in
            [("a,b", "b", true), ("[h]:2222", "[h]:2222", true), ("*.lan", "x.lan", true), ("a", "ab", false)]
        {
            assert_eq!(names_match(names, host), expected, "{names}");
        }
    }

    #[test]
    fn keys_come_change_and_go() {
        let other = "ssh-ed25519 AAAA";
        let one = with_key("# c\n", "h1", "h1", KEY, None);
        assert_eq!(one, format!("# c\nh1 {KEY}\n"));
        assert_eq!(with_key(&one, "h1", "h1", KEY, None), one);
        let two = with_key(&one, "h1", "h1", other, None);
        assert_eq!(two, format!("# c\nh1 {other}\n"));
        let hashed = with_key(&one, "h1", "h1", KEY, Some([7; 20]));
        assert!(hashed.contains("|1|") && !hashed.contains("h1 "));
        assert_eq!(with_key(&hashed, "h1", "h1", KEY, Some([8; 20])), hashed);
        assert_eq!(without_key(&hashed, "h1", None), "# c\n");
        assert_eq!(without_key(&one, "h1", Some(other)), one);
        let rsa = format!("{one}h1 ssh-rsa BBBB\n");
        assert_eq!(without_key(&rsa, "h1", Some(KEY)), "# c\nh1 ssh-rsa BBBB\n");
    }

    #[test]
    fn keys_that_do_not_fit() {
        assert!(check_key("h1", &format!("hx {KEY}")).is_err());
        assert!(check_key("h1", "h1 ssh-rsa").is_err());
        assert_eq!(check_key("h1", &format!("h1 {KEY} one")).unwrap().1, format!("{KEY} one"));
    }
}
