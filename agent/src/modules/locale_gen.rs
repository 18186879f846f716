//! `locale_gen`: locales of Debian's kind of systems, through `/etc/locale.gen` and `locale-gen`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::files::{self, Wanted};
use quorate_value::{Value, dict};
use std::path::Path;

/// The `locale_gen` module.
pub struct LocaleGen;

static SPEC: Spec =
    Spec::new("locale_gen", "Makes and removes locales.").collection("community.general").params(&[
        Param::list("name", Kind::Str).required().doc("The locales, such as `de_CH.UTF-8`."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether they should be there."),
    ]);

const FILE: &str = "/etc/locale.gen";

impl Module for LocaleGen {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let names = args.strings("name");
        let entries = dict! {
            "name" => names.iter().map(String::as_str).collect::<Value>(),
            "mechanism" => "glibc",
            "ubuntu_mode" => false,
        };
        let fail = |msg: String| {
            entries
                .clone()
                .into_iter()
                .fold(Failure::new(msg), |failure, (key, value)| failure.with(key, value))
        };
        if !Path::new(FILE).exists() {
            return Err(fail(format!("{FILE} is missing. Is the package \"locales\" installed?")));
        }
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|error| files::trouble("could not read", path, &error))
        };
        let text = read(FILE)?;
        let offered =
            format!("{text}\n{}", std::fs::read_to_string("/usr/share/i18n/SUPPORTED").unwrap_or_default());
        let unknown: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !is_offered(&offered, name)).collect();
        if !unknown.is_empty() {
            let list = unknown.join(", ");
            return Err(fail(format!(
                "The following locales you have entered are not available on your system: {list}"
            )));
        }
        let present = args.text("state") == "present";
        let made = ctx.run_ok(
            &ctx.command([ctx.program("locale")?.as_str(), "-a"]).env("LC_ALL", "C"),
            "locale failed",
        )?;
        let made: Vec<String> = made.stdout_text().lines().map(normal).collect();
        let wrong = names.iter().any(|name| made.contains(&normal(name)) != present);
        if wrong && !ctx.check {
            let after = changed_file(&text, &names, present);
            if after != text {
                files::write(FILE, after.as_bytes(), &Wanted::default())?;
            }
            let output = ctx.run(&ctx.command([ctx.program("locale-gen")?]).env("LC_ALL", "C"))?;
            if !output.ok() {
                return Err(Failure::of_command("locale-gen failed", &output));
            }
        }
        Ok(Outcome::changed_if(wrong).with_all(entries))
    }
}

/// `de_CH.UTF-8` and `de_CH.utf8` are the same.
fn normal(name: &str) -> String {
    match name.split_once('.') {
        Some((language, charset)) => format!("{language}.{}", charset.to_lowercase().replace('-', "")),
        None => name.to_owned(),
    }
}

fn entry(line: &str) -> &str {
    line.trim().trim_start_matches('#').trim()
}

fn is_offered(text: &str, name: &str) -> bool {
    text.lines()
        .any(|line| entry(line).split_whitespace().next().is_some_and(|known| normal(known) == normal(name)))
}

/// The file with the locales' lines taken out of comments, or put into them.
fn changed_file(text: &str, names: &[String], present: bool) -> String {
    let mut missing: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut out = String::new();
    for line in text.lines() {
        let found = entry(line).split_whitespace().next().and_then(|known| {
            names
                .iter()
                .find(|name| normal(name) == normal(known) && entry(line).split_whitespace().count() == 2)
        });
        match found {
            Some(name) => {
                missing.retain(|other| *other != name.as_str());
                let commented = line.trim_start().starts_with('#');
                match (present, commented) {
                    (true, true) => out.push_str(entry(line)),
                    (false, false) => out.push_str(&format!("# {}", line.trim())),
                    _ => out.push_str(line),
                }
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    if present {
        for name in missing {
            let charset = name.split_once('.').map_or("UTF-8", |(_, charset)| charset);
            out.push_str(&format!("{name} {charset}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file() {
        let names = vec!["de_CH.UTF-8".to_owned()];
        let text = "# words about de_CH.UTF-8 here\n# de_CH.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n";
        let on = changed_file(text, &names, true);
        assert_eq!(on, "# words about de_CH.UTF-8 here\nde_CH.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n");
        assert_eq!(changed_file(&on, &names, true), on);
        assert_eq!(changed_file(&on, &names, false), text);
        assert!(changed_file("", &names, true).contains("de_CH.UTF-8 UTF-8"));
        assert!(is_offered(text, "de_CH.utf8") && !is_offered(text, "xx_YY.UTF-8"));
    }
}
