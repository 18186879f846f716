//! `ufw`: rules and state of the uncomplicated firewall, by `ufw` itself.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::process::Output;
use quorate_value::Value;
use std::cell::RefCell;

/// The `ufw` module.
pub struct Ufw;

const RULES: &[&str] = &[
    "/lib/ufw/user.rules",
    "/lib/ufw/user6.rules",
    "/etc/ufw/user.rules",
    "/etc/ufw/user6.rules",
    "/var/lib/ufw/user.rules",
    "/var/lib/ufw/user6.rules",
];

static SPEC: Spec = Spec::new("ufw", "Keeps a rule, a default or the state of ufw.")
    .collection("community.general")
    .params(&[
        Param::str("state")
            .choices(&["enabled", "disabled", "reloaded", "reset"])
            .doc("Whether it is on; or what to do with it."),
        Param::str("default")
            .aliases(&["policy"])
            .choices(&["allow", "deny", "reject"])
            .doc("What happens where no rule matches."),
        Param::str("logging")
            .choices(&["full", "high", "low", "medium", "off", "on"])
            .doc("How much is logged."),
        Param::str("direction")
            .choices(&["in", "incoming", "out", "outgoing", "routed"])
            .doc("Which way the traffic goes."),
        Param::bool("delete").default_bool(false).doc("Takes the rule away."),
        Param::bool("route").default_bool(false).doc("A rule for traffic that only passes."),
        Param::int("insert").doc("The place of the rule."),
        Param::str("insert_relative_to")
            .choices(&["zero", "first-ipv4", "last-ipv4", "first-ipv6", "last-ipv6"])
            .default_str("zero")
            .doc("What `insert` counts from."),
        Param::str("rule")
            .choices(&["allow", "deny", "limit", "reject"])
            .doc("What happens with the traffic."),
        Param::str("interface").aliases(&["if"]).doc("The interface, with `direction`."),
        Param::str("interface_in").aliases(&["if_in"]).doc("The interface it comes in at."),
        Param::str("interface_out").aliases(&["if_out"]).doc("The interface it goes out at."),
        Param::bool("log").default_bool(false).doc("Logs new connections."),
        Param::str("from_ip").aliases(&["from", "src"]).default_str("any").doc("Where it comes from."),
        Param::str("from_port").doc("The port it comes from."),
        Param::str("to_ip").aliases(&["dest", "to"]).default_str("any").doc("Where it goes to."),
        Param::str("to_port").aliases(&["port"]).doc("The port it goes to."),
        Param::str("proto")
            .aliases(&["protocol"])
            .choices(&["ah", "any", "esp", "ipv6", "tcp", "udp", "gre", "igmp", "vrrp"])
            .doc("The protocol."),
        Param::str("name").aliases(&["app"]).doc("An application profile."),
        Param::str("comment").doc("A comment."),
    ])
    .mutually_exclusive(&[
        &["name", "proto", "logging"],
        &["direction", "interface_in"],
        &["direction", "interface_out"],
    ])
    .required_one_of(&[&["state", "default", "rule", "logging"]])
    .required_by(&[("interface", &["direction"])])
    .world();

impl Module for Ufw {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let it = Wall { args, ctx, ufw: ctx.program("ufw")?, commands: RefCell::new(Vec::new()) };
        it.run().map_err(|failure| {
            if it.commands.borrow().is_empty() { failure } else { failure.or_with("commands", it.said()) }
        })
    }
}

struct Wall<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    ufw: String,
    commands: RefCell<Vec<String>>,
}

impl Wall<'_> {
    fn said(&self) -> Value {
        self.commands.borrow().iter().map(String::as_str).collect()
    }

    fn call(&self, words: &[String]) -> Result<Output, Failure> {
        let quoted: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(at, word)| {
                let free = at > 0 && matches!(words[at - 1].as_str(), "comment" | "app");
                if free { format!("'{word}'") } else { word.clone() }
            })
            .collect();
        self.commands.borrow_mut().push(format!("{} {}", self.ufw, quoted.join(" ")));
        let command = self
            .ctx
            .command([self.ufw.as_str()])
            .args(words.iter().cloned())
            .env("LANG", "C")
            .env("LC_ALL", "C");
        self.ctx.run(&command)
    }

    fn must(&self, words: &[String]) -> Result<String, Failure> {
        let output = self.call(words)?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        let said = output.stderr_text();
        Err(Failure::new(if said.is_empty() { output.stdout_text() } else { said }))
    }

    fn rules(&self) -> String {
        self.commands.borrow_mut().push(format!(
            "{} -h '^### tuple' {}",
            self.ctx.which("grep").unwrap_or_else(|| "grep".into()),
            RULES.join(" ")
        ));
        tuples(&RULES.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect::<String>())
    }

    fn status(&self) -> Result<String, Failure> {
        self.must(&words(&["status", "verbose"]))
    }

    fn run(&self) -> Result<Outcome, Failure> {
        let (args, check) = (self.args, self.ctx.check);
        if args.has("default")
            && !matches!(args.str("direction"), None | Some("outgoing" | "incoming" | "routed"))
        {
            return Err(Failure::new(
                "For default, direction must be one of \"outgoing\", \"incoming\" and \"routed\", or direction must not be specified.",
            ));
        }
        if args.has("rule") {
            if !args.bool("route") && args.has("interface_in") && args.has("interface_out") {
                return Err(Failure::new("Only route rules can combine interface_in and interface_out"));
            }
            if matches!(args.str("direction"), Some("outgoing" | "incoming" | "routed")) {
                return Err(Failure::new(
                    "For rules, direction must be one of \"in\" and \"out\", or direction must not be specified.",
                ));
            }
        }
        let before = self.status()?;
        let rules_before = self.rules();
        let active = before.contains("Status: active") || before.lines().any(|line| line == "Status: active");
        let mut changed = false;
        if let Some(state) = args.str("state") {
            if check {
                changed |= match state {
                    "enabled" => !active,
                    "disabled" => active,
                    _ => true,
                };
            } else {
                let verb = state.trim_end_matches("ed");
                let verb = match state {
                    "enabled" => "enable",
                    "disabled" => "disable",
                    "reloaded" => "reload",
                    _ => verb,
                };
                self.must(&words(&["-f", verb]))?;
            }
        }
        if let Some(level) = args.str("logging") {
            if check {
                let now = before.lines().find_map(|line| line.strip_prefix("Logging: "));
                changed |= match (now, level) {
                    (None | Some(""), _) => true,
                    (Some(now), "off") => now != "off",
                    (Some(now), "on") => !now.starts_with("on"),
                    (Some(now), level) => !now.starts_with(&format!("on ({level})")),
                };
            } else {
                self.must(&words(&["logging", level]))?;
            }
        }
        if let Some(policy) = args.str("default") {
            let direction = args.str("direction");
            if check {
                let pattern = format!("{policy} ({})", direction.unwrap_or("incoming"));
                let now = before.lines().find_map(|line| line.strip_prefix("Default: "));
                changed |= !now.is_some_and(|now| now.split(", ").any(|it| it == pattern));
            } else {
                let mut line = vec!["default".to_owned(), policy.to_owned()];
                line.extend(direction.map(str::to_owned));
                self.must(&line)?;
            }
        }
        if args.has("rule") {
            changed |= self.rule(&before, &rules_before)?;
        }
        if check {
            return Ok(Outcome::changed_if(changed).with("commands", self.said()));
        }
        let after = self.status()?;
        let changed = after != before || self.rules() != rules_before;
        Ok(Outcome::changed_if(changed).with("commands", self.said()).msg(after.trim_end()))
    }

    /// Adds or deletes the rule; in check mode says whether that would change anything.
    fn rule(&self, status: &str, rules: &str) -> Result<bool, Failure> {
        let args = self.args;
        let version = self.must(&words(&["--version"]))?;
        let commented = version_of(&version) >= (0, 35);
        let mut line: Vec<String> = Vec::new();
        let mut push = |text: &str| line.push(text.to_owned());
        if self.ctx.check {
            push("--dry-run");
        }
        if args.bool("route") {
            push("route");
        }
        if args.bool("delete") {
            push("delete");
        }
        if let Some(place) = args.int("insert") {
            let place = place_of(place, args.text("insert_relative_to"), self, status)?;
            if let Some(place) = place {
                push("insert");
                push(&place.to_string());
            }
        }
        push(args.text("rule"));
        for name in ["direction"] {
            if let Some(value) = args.str(name) {
                push(value);
            }
        }
        for (name, lead) in
            [("interface", &["on"][..]), ("interface_in", &["in", "on"]), ("interface_out", &["out", "on"])]
        {
            if let Some(value) = args.str(name) {
                lead.iter().for_each(|word| push(word));
                push(value);
            }
        }
        if args.bool("log") {
            push("log");
        }
        for (name, lead) in [
            ("from_ip", "from"),
            ("from_port", "port"),
            ("to_ip", "to"),
            ("to_port", "port"),
            ("proto", "proto"),
            ("name", "app"),
        ] {
            if let Some(value) = args.nonempty(name) {
                push(lead);
                push(value);
            }
        }
        if let Some(comment) = args.nonempty("comment").filter(|_| commented) {
            push("comment");
            push(comment);
        }
        let output = self.call(&line)?;
        let (said, why) = (output.stdout_text(), output.stderr_text());
        let missing = (said.clone() + &why).contains("Could not delete non-existent rule");
        if !output.ok() && !missing {
            return Err(Failure::new(if why.is_empty() { said } else { why }));
        }
        if !self.ctx.check {
            return Ok(false);
        }
        let skipped = said.lines().any(|line| line.starts_with("Skipping"));
        if missing || skipped {
            return Ok(false);
        }
        if self.args.bool("delete") {
            return Ok(true);
        }
        let next = tuples(&said);
        let known: Vec<&str> = rules.lines().collect();
        // a dry run prints the file it would write, for each family that it touches
        let six = |line: &&str| line.contains("v6") || line.contains(':') || line.contains("::/0");
        let families = [next.lines().any(|line| six(&line)), next.lines().any(|line| !six(&line))];
        let mut now: Vec<&str> =
            known.iter().copied().filter(|line| if six(line) { families[0] } else { families[1] }).collect();
        let mut then: Vec<&str> = next.lines().collect();
        now.sort_unstable();
        then.sort_unstable();
        Ok(now != then)
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn tuples(text: &str) -> String {
    text.lines().filter(|line| line.starts_with("### tuple")).map(|line| format!("{line}\n")).collect()
}

fn version_of(text: &str) -> (u32, u32) {
    let word = text.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = word.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The absolute place of a rule; nothing where it belongs at the end.
fn place_of(place: i64, relative: &str, wall: &Wall<'_>, _status: &str) -> Result<Option<i64>, Failure> {
    if relative == "zero" {
        return Ok(Some(place));
    }
    let listed = wall.must(&words(&["status", "numbered"]))?;
    let rules: Vec<(i64, bool)> = listed
        .lines()
        .filter_map(|line| {
            let number = line.strip_prefix('[')?.split(']').next()?.trim().parse().ok()?;
            Some((number, line.contains("(v6)")))
        })
        .collect();
    let last = rules.last().map_or(0, |(number, _)| *number);
    let last4 = rules.iter().filter(|(_, six)| !six).map(|(number, _)| *number).max().unwrap_or(0);
    let base = match relative {
        "first-ipv4" => 1,
        "last-ipv4" => last4.max(1),
        "first-ipv6" => last4 + 1,
        _ => last.max(last4 + 1),
    };
    let at = place + base;
    Ok((at <= last).then_some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_print() {
        assert_eq!(version_of("ufw 0.36.2\nCopyright"), (0, 36));
        assert_eq!(tuples("# x\n### tuple ### allow any 22\n-A\n"), "### tuple ### allow any 22\n");
    }
}
