//! `deb822_repository`: a file of apt sources in the newer form, with its key.

use super::web;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::files::{self, Wanted};
use crate::system::http;
use quorate_value::{Value, str_of};
use std::io::Read as _;
use std::path::Path;

/// The `deb822_repository` module.
pub struct Deb822Repository;

const SOURCES: &str = "/etc/apt/sources.list.d";
const KEYRINGS: &str = "/etc/apt/keyrings";

static SPEC: Spec = Spec::new("deb822_repository", "Keeps a repository of apt, in deb822 form.").params(&[
    Param::bool("allow_downgrade_to_insecure").doc("Goes on when a repository that was signed no longer is."),
    Param::bool("allow_insecure").doc("Accepts a repository without signature."),
    Param::bool("allow_weak").doc("Accepts weak signatures."),
    Param::list("architectures", Kind::Str).doc("Architectures to use."),
    Param::bool("by_hash").doc("Fetches indexes by their hash."),
    Param::bool("check_date").doc("Whether the clock and the release's date have to fit."),
    Param::bool("check_valid_until").doc("Whether releases expire."),
    Param::list("components", Kind::Str).doc("Components of the distribution."),
    Param::int("date_max_future").doc("How many seconds in the future a release may be."),
    Param::bool("enabled").doc("Whether it is used."),
    Param::str("inrelease_path").doc("The signed release file, relative to the usual place."),
    Param::list("languages", Kind::Str).doc("Languages of descriptions."),
    Param::str("name").required().doc("Its name, and the file's."),
    Param::bool("pdiffs").doc("Whether indexes are updated by differences."),
    Param::str("signed_by").doc("The key: a URL, a path, fingerprints, or the key itself."),
    Param::list("suites", Kind::Str).doc("Suites, or exact paths."),
    Param::list("targets", Kind::Str).doc("What to download."),
    Param::bool("trusted").doc("Whether it is trusted without (or distrusted in spite of) a signature."),
    Param::list("types", Kind::Str)
        .choices(&["deb", "deb-src"])
        .default(Lit::List(&["deb"]))
        .doc("Packages, sources or both."),
    Param::list("uris", Kind::Str).doc("Where the repository is."),
    Param::raw("mode").default_str("0644").doc("Permission bits of the file."),
    Param::str("state")
        .choices(&["present", "absent"])
        .default_str("present")
        .doc("Whether it should be there."),
]);

impl Module for Deb822Repository {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let slug = slug(args.text("name"));
        let dest = format!("{SOURCES}/{slug}.sources");
        if args.text("state") == "absent" {
            return absent(&slug, &dest, ctx);
        }
        let mut changed = false;
        let mut key_file = None;
        let mut text = String::new();
        for param in SPEC.params {
            let Some(value) = args.value(param.name) else { continue };
            let said = match (param.name, value) {
                ("mode" | "state", _) => continue,
                ("signed_by", value) => {
                    let key = signer(&str_of(value), &slug, ctx)?;
                    changed |= key.changed;
                    key_file = key.file;
                    key.text
                }
                (_, Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
                (_, Value::List(items)) => items.iter().map(str_of).collect::<Vec<_>>().join(" "),
                (_, value) => str_of(value),
            };
            text += &field(param.name, &said);
        }
        let stands = std::fs::read_to_string(&dest).ok();
        let wanted = Wanted { mode: args.value("mode").cloned(), ..Wanted::default() };
        if stands.as_deref() != Some(&text) {
            changed = true;
            if !ctx.check {
                files::write(&dest, text.as_bytes(), &Wanted::default())?;
            }
        }
        if Path::new(&dest).exists() {
            changed |= wanted.apply(&dest, ctx, None)?;
        }
        Ok(Outcome::changed_if(changed)
            .with("repo", text)
            .with("dest", dest)
            .with("key_filename", key_file.map_or(Value::Null, Value::from)))
    }
}

fn absent(slug: &str, dest: &str, ctx: &Ctx) -> Result<Outcome, Failure> {
    let mut changed = false;
    let mut key = format!("{KEYRINGS}/{slug}.gpg");
    let armored = format!("{KEYRINGS}/{slug}.asc");
    if Path::new(&armored).exists() {
        key = armored;
    }
    for path in [key.as_str(), dest] {
        if Path::new(path).exists() {
            changed = true;
            if !ctx.check {
                std::fs::remove_file(path)
                    .map_err(|error| files::trouble("could not remove", path, &error))?;
            }
        }
    }
    Ok(Outcome::changed_if(changed).with("repo", Value::Null).with("dest", dest).with("key_filename", key))
}

fn slug(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-").to_lowercase()
}

fn field(param: &str, said: &str) -> String {
    let name = match param {
        "name" => "X-Repolib-Name".to_owned(),
        "uris" => "URIs".to_owned(),
        other => {
            let words = other.split('_').map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_uppercase() + rest
            });
            words.collect::<Vec<_>>().join("-")
        }
    };
    if !said.contains('\n') {
        return format!("{name}: {said}\n");
    }
    let lines = said
        .trim()
        .lines()
        .map(|line| if line.trim().is_empty() { "    .".to_owned() } else { format!("    {line}") });
    format!("{name}:\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

struct Signer {
    changed: bool,
    file: Option<String>,
    text: String,
}

/// What `Signed-By` says; a key from a URL is kept in a file.
fn signer(given: &str, slug: &str, ctx: &Ctx) -> Result<Signer, Failure> {
    let scheme = given.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("http" | "https" | "ftp" | "file")) || given.trim().contains('\n') {
        return Ok(Signer { changed: false, file: None, text: given.to_owned() });
    }
    let trouble = |why: String| Failure::new(format!("Could not fetch signed_by key: {why}"));
    let key = if let Some(path) = given.strip_prefix("file://") {
        std::fs::read(path).map_err(|error| trouble(crate::system::process::errno(&error)))?
    } else {
        let response = http::fetch(&web::plain_request(ctx, given)).map_err(|it| trouble(it.to_string()))?;
        if !response.is_good() {
            return Err(trouble(response.message()));
        }
        let mut body = response.body;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(|error| trouble(error.to_string()))?;
        bytes
    };
    let armored = key.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK");
    let file = format!("{KEYRINGS}/{slug}.{}", if armored { "asc" } else { "gpg" });
    let mut changed = std::fs::read(&file).ok().as_deref() != Some(&key);
    if changed && !ctx.check {
        std::fs::create_dir_all(KEYRINGS)
            .map_err(|error| files::trouble("could not create", KEYRINGS, &error))?;
        files::write(&file, &key, &Wanted::default())?;
    }
    if Path::new(&file).exists() {
        changed |= Wanted { mode: Some(Value::from("0644")), ..Wanted::default() }.apply(&file, ctx, None)?;
    }
    Ok(Signer { changed, file: Some(file.clone()), text: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        assert_eq!(slug("My repo (x)"), "my-repo-x");
        assert_eq!(field("by_hash", "yes"), "By-Hash: yes\n");
        assert_eq!(field("name", "a b"), "X-Repolib-Name: a b\n");
        assert_eq!(field("signed_by", "BEGIN\n\nabc\n"), "Signed-By:\n    BEGIN\n    .\n    abc\n");
    }
}
