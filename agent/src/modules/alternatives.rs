//! `alternatives`: which program stands behind a generic name.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use quorate_value::{Dict, Value, dict};

/// The `alternatives` module.
pub struct Alternatives;

static SPEC: Spec = Spec::new("alternatives", "Picks the program behind a generic name.")
    .collection("community.general")
    .diff()
    .params(&[
        Param::str("name").required().doc("The generic name."),
        Param::path("path").doc("The program."),
        Param::path("link").doc("The link that leads to it; known for names that exist."),
        Param::int("priority").doc("Its priority; 50 for a new one."),
        Param::str("state").choices(&["present", "selected", "auto", "absent"]).default_str("selected").doc(
            "`present`: offered; `selected`: picked; `auto`: the best is picked; `absent`: not offered.",
        ),
        Param::str("family").doc("Group of alternatives; only on Red Hat's family."),
        Param::list("subcommands", Kind::Dict)
            .aliases(&["slaves"])
            .options(&[
                Param::str("name").required().doc("The generic name."),
                Param::path("path").required().doc("The program or page."),
                Param::path("link").required().doc("The link that leads to it."),
            ])
            .doc("Links that follow this one."),
    ]);

impl Module for Alternatives {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let program = ctx.which("update-alternatives").map_or_else(|| ctx.program("alternatives"), Ok)?;
        let (name, state) = (args.text("name"), args.text("state"));
        let shown = ctx.run(&ctx.command([program.as_str(), "--query", name]).env("LC_ALL", "C"))?;
        let seen = Seen::parse(&if shown.ok() { shown.stdout_text() } else { String::new() });
        let path = match args.str("path") {
            Some(path) => path,
            None if state == "auto" => "",
            None => return Err(Failure::new("the task needs `path`")),
        };
        let (steps, after) = plan(args, &seen, path)?;
        let mut messages = Vec::new();
        for step in &steps {
            if !ctx.check {
                let output = ctx.run(&ctx.command([&program]).args(&step.words).env("LC_ALL", "C"))?;
                if !output.ok() {
                    return Err(Failure::of_command(output.stderr_text(), &output));
                }
            }
            messages.push(step.message.clone());
        }
        let outcome = Outcome::changed_if(!steps.is_empty()).msg(messages.join(" "));
        Ok(if steps.is_empty() { outcome } else { outcome.diff(Diff::dicts(seen.describe(path), after)) })
    }
}

/// What `--query` prints.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    link: Option<String>,
    auto: bool,
    current: Option<String>,
    offers: Vec<(String, i64)>,
}

impl Seen {
    fn parse(text: &str) -> Seen {
        let mut seen = Seen::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(": ") else { continue };
            match key {
                "Link" => seen.link = Some(value.to_owned()),
                "Status" => seen.auto = value == "auto",
                "Value" => seen.current = Some(value.to_owned()).filter(|value| value != "none"),
                "Alternative" => seen.offers.push((value.to_owned(), 0)),
                "Priority" => {
                    if let Some((_, priority)) = seen.offers.last_mut() {
                        *priority = value.trim().parse().unwrap_or(0);
                    }
                }
                _ => {}
            }
        }
        seen
    }

    fn priority_of(&self, path: &str) -> Option<i64> {
        self.offers.iter().find(|(known, _)| known == path).map(|(_, priority)| *priority)
    }

    fn describe(&self, path: &str) -> Dict {
        match self.priority_of(path) {
            None => dict! {"state" => "absent"},
            Some(priority) => {
                let state =
                    if !self.auto && self.current.as_deref() == Some(path) { "selected" } else { "present" };
                dict! {"link" => self.link.as_deref(), "path" => path, "priority" => priority, "state" => state}
            }
        }
    }
}

struct Step {
    words: Vec<String>,
    message: String,
}

fn plan(args: &Args, seen: &Seen, path: &str) -> Result<(Vec<Step>, Dict), Failure> {
    let (name, state) = (args.text("name"), args.text("state"));
    let mut steps = Vec::new();
    let step = |words: &[&str], message: String| Step {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        message,
    };
    if state == "absent" {
        if seen.priority_of(path).is_some() {
            steps
                .push(step(&["--remove", name, path], format!("Remove alternative '{path}' from '{name}'.")));
        }
        return Ok((steps, dict! {"state" => "absent"}));
    }
    let standing = seen.priority_of(path);
    let priority = args.int("priority").or(standing).unwrap_or(50);
    let mut after = dict! {"state" => if state == "auto" { "present" } else { state }};
    if !path.is_empty() && (standing.is_none() || standing != Some(priority)) {
        let link = args.str("link").or(seen.link.as_deref()).ok_or_else(|| {
            Failure::new("Needed to install the alternative, but unable to do so as we are missing the link")
        })?;
        let mut install = step(
            &["--install", link, name, path, &priority.to_string()],
            format!("Install alternative '{path}' for '{name}'."),
        );
        if let Some(family) = args.str("family") {
            install.words.extend(["--family".to_owned(), family.to_owned()]);
        }
        for follower in args.dicts("subcommands") {
            let part = |key: &str| follower.text(key).to_owned();
            install.words.extend(["--slave".to_owned(), part("link"), part("name"), part("path")]);
        }
        steps.push(install);
        after.extend(dict! {"link" => link, "path" => path, "priority" => priority, "family" => args.str("family").map_or(Value::Null, Value::from)});
    }
    match state {
        // A new alternative may become current by its priority, but only a choice stays.
        "selected" if seen.current.as_deref() != Some(path) || standing.is_none() => {
            steps.push(step(&["--set", name, path], format!("Set alternative '{path}' for '{name}'.")));
        }
        "auto" if !seen.auto && !seen.offers.is_empty() => {
            steps.push(step(&["--auto", name], format!("Set alternative to auto for '{name}'.")));
        }
        _ => {}
    }
    Ok((steps, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Place, check, parse_kv};

    #[rustfmt::skip] // read in columns
    #[test]
    fn plans() {
        const QUERY: &str = "Name: e\nLink: /usr/bin/e\nStatus: manual\nBest: /b\nValue: /a\n\nAlternative: /a\nPriority: 5\n\nAlternative: /b\nPriority: 9\n";
        for (task, query, expected) in [
            ("name=e path=/a",                       QUERY, ""),
            ("name=e path=/b",                       QUERY, "--set e /b"),
            ("name=e path=/b priority=7",            QUERY, "--install /usr/bin/e e /b 7; --set e /b"),
            ("name=e path=/c state=present",         QUERY, "--install /usr/bin/e e /c 50"),
            ("name=e path=/a state=absent",          QUERY, "--remove e /a"),
            ("name=e path=/c state=absent",          QUERY, ""),
            ("name=e path=/a state=auto",            QUERY, "--auto e"),
            ("name=e path=/a link=/l",               "",    "--install /l e /a 50; --set e /a"),
            ("name=e path=/a",                       "",    "Needed to install the alternative, but unable to do so as we are missing the link"),
        ] {
            let checked = check(&SPEC, "alternatives", &parse_kv(task).unwrap(), Place::Host(&[]));
            let args = Args::new(checked.args, &SPEC);
            let text = match plan(&args, &Seen::parse(query), args.text("path")) {
                Ok((steps, _)) => steps.iter().map(|step| step.words.join(" ")).collect::<Vec<_>>().join("; "),
                Err(failure) => failure.message().to_owned(),
            };
            assert_eq!(text, expected, "{task}");
        }
    }
}
