//! `capabilities`: what a program may beyond its user, by `getcap` and `setcap`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::process::Output;

/// The `capabilities` module.
pub struct Capabilities;

static SPEC: Spec =
    Spec::new("capabilities", "Keeps a capability of a program.").collection("community.general").params(&[
        Param::str("path").required().aliases(&["key"]).doc("The program."),
        Param::str("capability")
            .required()
            .aliases(&["cap"])
            .doc("The capability, with operator and flags for `present`."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should have it."),
    ]);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Capability {
    name: String,
    operator: char,
    flags: String,
}

impl Module for Capabilities {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path").trim().to_owned();
        let state = args.text("state");
        let wanted = parse(&args.text("capability").trim().to_lowercase(), state == "present")?;
        let getcap = ctx.program("getcap")?;
        let setcap = ctx.program("setcap")?;
        let shown = ctx.run(&ctx.command([getcap.as_str(), "-v", &path]))?;
        if !shown.ok() || !shown.stderr.is_empty() {
            return Err(refusal(format!("Unable to get capabilities of {path}"), &shown));
        }
        let standing = listed(&shown.stdout_text(), &path)?;
        let mut next: Vec<Capability> =
            standing.iter().filter(|it| it.name != wanted.name).cloned().collect();
        if state == "present" {
            if standing.contains(&wanted) {
                return Ok(Outcome::ok().with("state", state));
            }
            next.push(wanted);
        } else if !standing.iter().any(|it| it.name == wanted.name) {
            return Ok(Outcome::ok().with("state", state));
        }
        if ctx.check {
            return Ok(Outcome::changed().msg("capabilities changed"));
        }
        let text: Vec<String> =
            next.iter().map(|it| format!("{}{}{}", it.name, it.operator, it.flags)).collect();
        let output = ctx.run(&ctx.command([setcap.as_str(), &text.join(" "), &path]))?;
        if !output.ok() {
            return Err(refusal(format!("Unable to set capabilities of {path}"), &output));
        }
        Ok(Outcome::changed()
            .with("state", state)
            .msg("capabilities changed")
            .with("stdout", output.stdout_text()))
    }
}

fn refusal(msg: String, output: &Output) -> Failure {
    Failure::new(msg).with("stdout", output.stdout_text()).with("stderr", output.stderr_text())
}

fn parse(text: &str, with_operator: bool) -> Result<Capability, Failure> {
    let Some(at) = text.find(['=', '-', '+']) else {
        if with_operator {
            return Err(Failure::new("Couldn't find operator (one of: ('=', '-', '+'))"));
        }
        return Ok(Capability { name: text.to_owned(), operator: '=', flags: String::new() });
    };
    let mut flags: Vec<char> = text[at + 1..].chars().collect();
    flags.sort_unstable();
    let operator = text[at..].chars().next().unwrap_or('=');
    Ok(Capability { name: text[..at].to_owned(), operator, flags: flags.into_iter().collect() })
}

/// What `getcap -v` printed: `PATH caps`, of older ones `PATH = caps`.
fn listed(text: &str, path: &str) -> Result<Vec<Capability>, Failure> {
    let Some(caps) = text.trim().strip_prefix(path) else { return Ok(Vec::new()) };
    let caps = caps.trim();
    let caps = caps.strip_prefix("= ").unwrap_or(caps);
    let mut found = Vec::new();
    for group in caps.split_whitespace() {
        let Some(at) = group.find(['=', '-', '+']) else { continue };
        for name in group[..at].split(',') {
            found.push(parse(&format!("{name}{}", &group[at..]), true)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_both_forms() {
        let names = |text: &str| {
            let found = listed(text, "/bin/x").unwrap();
            found.iter().map(|it| format!("{}{}{}", it.name, it.operator, it.flags)).collect::<Vec<_>>()
        };
        assert_eq!(names("/bin/x cap_net_admin,cap_net_raw=pe\n"), ["cap_net_admin=ep", "cap_net_raw=ep"]);
        assert_eq!(names("/bin/x = cap_chown+i cap_fowner+ep"), ["cap_chown+i", "cap_fowner+ep"]);
        assert!(names("/bin/x\n").is_empty());
    }
}
