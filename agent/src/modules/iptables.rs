//! `iptables`: one rule, a chain, a chain's policy, or none of them any more.
//!
//! **Invariant:** the order of the words of a rule is Ansible's, so that `-C` finds rules that it made.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, RequiredIf, Spec};
use crate::system::process::Output;
use quorate_value::Value;

/// The `iptables` module.
pub struct Iptables;

static SPEC: Spec = Spec::new("iptables", "Keeps a rule, a chain or a policy of the kernel's packet filter.")
    .params(&[
        Param::str("table")
            .choices(&["filter", "nat", "mangle", "raw", "security"])
            .default_str("filter")
            .doc("The table."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether the rule should be there."),
        Param::str("action")
            .choices(&["append", "insert"])
            .default_str("append")
            .doc("Where a new rule goes: at the end, or in front."),
        Param::str("ip_version")
            .choices(&["ipv4", "ipv6", "both"])
            .default_str("ipv4")
            .doc("Which filter: `ipv4`, `ipv6` or both."),
        Param::str("chain").doc("The chain."),
        Param::str("rule_num").doc("The place of an inserted rule."),
        Param::str("protocol")
            .doc("The protocol; `!` in front of this and most others turns the match around."),
        Param::str("wait").doc("Seconds to wait for another program that changes the filter."),
        Param::str("source").doc("Addresses it comes from."),
        Param::str("to_source").doc("New source address, for `SNAT`."),
        Param::str("destination").doc("Addresses it goes to."),
        Param::str("to_destination").doc("New destination address, for `DNAT`."),
        Param::list("match", Kind::Str).default(Lit::List(&[])).doc("Extensions to load."),
        Param::new("tcp_flags", Kind::Dict)
            .options(&[
                Param::list("flags", Kind::Str).doc("The flags to look at."),
                Param::list("flags_set", Kind::Str).doc("Those that have to be set."),
            ])
            .doc("TCP flags to look at, and those that have to be set."),
        Param::str("jump").doc("What happens with the packet."),
        Param::str("gateway").doc("Where `TEE` sends the copy."),
        Param::str("log_prefix").doc("The text in front of a log line."),
        Param::str("log_level")
            .choices(&[
                "0", "1", "2", "3", "4", "5", "6", "7", "emerg", "alert", "crit", "error", "warning",
                "notice", "info", "debug",
            ])
            .doc("The level of a log line."),
        Param::str("goto").doc("The chain that goes on, without coming back."),
        Param::str("in_interface").doc("The interface it comes in at."),
        Param::str("out_interface").doc("The interface it goes out at."),
        Param::str("fragment").doc("Second and further fragments only."),
        Param::str("set_counters").doc("Packet and byte counters of the new rule."),
        Param::str("source_port").doc("Port or range it comes from."),
        Param::str("destination_port").doc("Port or range it goes to."),
        Param::list("destination_ports", Kind::Str).default(Lit::List(&[])).doc("Several such ports."),
        Param::str("to_ports").doc("New ports, for `REDIRECT`."),
        Param::str("set_dscp_mark").doc("A DSCP number to set."),
        Param::str("set_dscp_mark_class").doc("A DSCP class to set."),
        Param::str("comment").doc("A comment, part of the rule."),
        Param::list("ctstate", Kind::Str).default(Lit::List(&[])).doc("States of the connection."),
        Param::str("src_range").doc("A range of source addresses."),
        Param::str("dst_range").doc("A range of destination addresses."),
        Param::str("match_set").doc("A set of `ipset`."),
        Param::str("match_set_flags")
            .choices(&["src", "dst", "src,dst", "dst,src", "src,src", "dst,dst"])
            .doc("Which addresses are looked up in the set."),
        Param::str("limit").doc("How often it matches at most."),
        Param::str("limit_burst").doc("How often before the limit counts."),
        Param::str("uid_owner").doc("The user whose process made the packet."),
        Param::str("gid_owner").doc("The group of that process."),
        Param::str("reject_with").doc("The error packet that `REJECT` sends."),
        Param::str("icmp_type").doc("The ICMP type."),
        Param::str("syn")
            .choices(&["ignore", "match", "negate"])
            .default_str("ignore")
            .doc("Packets that open a connection, or all others."),
        Param::bool("flush").default_bool(false).doc("Takes all rules away, of the chain or of the table."),
        Param::str("policy").choices(&["ACCEPT", "DROP", "QUEUE", "RETURN"]).doc("The policy of the chain."),
        Param::bool("chain_management").default_bool(false).doc("Makes and removes the chain itself."),
        Param::bool("numeric").default_bool(false).doc("Lists without looking names up."),
    ])
    .mutually_exclusive(&[&["set_dscp_mark", "set_dscp_mark_class"], &["flush", "policy"]])
    .required_if(&[
        RequiredIf::str("jump", "TEE", &["gateway"]),
        RequiredIf::str("jump", "tee", &["gateway"]),
        RequiredIf::bool("flush", false, &["chain"]),
    ])
    .required_by(&[("set_dscp_mark", &["jump"]), ("set_dscp_mark_class", &["jump"])])
    .world();

impl Module for Iptables {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let jump = args.str("jump");
        if (args.has("log_prefix") || args.has("log_level")) && jump.is_some_and(|jump| jump != "LOG") {
            return Err(Failure::new("Logging options can only be used with the LOG jump target."));
        }
        let rule = rule(args);
        let programs: &[&str] = match args.text("ip_version") {
            "ipv4" => &["iptables"],
            "ipv6" => &["ip6tables"],
            _ => &["iptables", "ip6tables"],
        };
        let mut changed = false;
        for name in programs {
            let filter = Filter { args, ctx, program: ctx.program(name)?, rule: &rule };
            changed |= filter.settle()?;
        }
        let given = |name: &str| args.value(name).cloned().unwrap_or(Value::Null);
        Ok(Outcome::changed_if(changed)
            .with("ip_version", given("ip_version"))
            .with("table", given("table"))
            .with("chain", given("chain"))
            .with("flush", args.bool("flush"))
            .with("rule", rule.join(" "))
            .with("state", given("state"))
            .with("chain_management", args.bool("chain_management"))
            .with("wait", given("wait")))
    }
}

struct Filter<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    program: String,
    rule: &'a [String],
}

impl Filter<'_> {
    fn call(&self, verb: &str, place: Option<&str>, rule: bool) -> Result<(String, Output), Failure> {
        let mut command = self.ctx.command([self.program.as_str(), "-t", self.args.text("table"), verb]);
        if let Some(chain) = self.args.str("chain") {
            command = command.arg(chain);
        }
        command = command.args(place);
        if let (Some(seconds), true) = (self.args.str("wait"), verb != "-L") {
            command = command.args(["-w", seconds]);
        }
        if rule {
            command = command.args(self.rule.iter().cloned());
        }
        if verb == "-P" {
            command = command.args(self.args.str("policy"));
        }
        if verb == "-L" && self.args.bool("numeric") {
            command = command.arg("-n");
        }
        command = command.env("LC_ALL", "C");
        Ok((command.display(), self.ctx.run(&command)?))
    }

    fn must(&self, verb: &str, place: Option<&str>, rule: bool) -> Result<String, Failure> {
        let (line, output) = self.call(verb, place, rule)?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        Err(Failure::of_command(output.stderr_text().trim_end(), &output).with("cmd", line))
    }

    /// Makes it so; whether it was not.
    fn settle(&self) -> Result<bool, Failure> {
        let (args, apply) = (self.args, !self.ctx.check);
        let present = args.text("state") == "present";
        if args.bool("flush") {
            if apply {
                self.must("-F", None, false)?;
            }
            return Ok(true);
        }
        if let Some(policy) = args.str("policy") {
            let listed = self.must("-L", None, false)?;
            let stands = listed
                .lines()
                .next()
                .and_then(|line| line.split_once("(policy "))
                .and_then(|(_, rest)| rest.split([' ', ')']).next())
                .ok_or_else(|| Failure::new("Can't detect current policy"))?;
            if stands != policy && apply {
                self.must("-P", None, false)?;
            }
            return Ok(stands != policy);
        }
        if self.rule.is_empty() {
            let there = self.call("-L", None, false)?.1.ok();
            if there != present && args.bool("chain_management") && apply {
                self.must(if present { "-N" } else { "-X" }, None, false)?;
            }
            return Ok(there != present);
        }
        let there = self.call("-C", None, true)?.1.ok();
        if there != present && apply {
            let place = args.str("rule_num");
            match (present, args.text("action")) {
                (false, _) => self.must("-D", None, true)?,
                (true, "insert") => self.must("-I", place, true)?,
                (true, _) => self.must("-A", None, true)?,
            };
        }
        Ok(there != present)
    }
}

/// The words of the rule.
fn rule(args: &Args) -> Vec<String> {
    let mut rule = Rule { args, words: Vec::new() };
    let matches = args.strings("match");
    let loaded = |name: &str| matches.iter().any(|it| it == name);
    for (name, flag) in [("protocol", "-p"), ("source", "-s"), ("destination", "-d")] {
        rule.param(name, flag);
    }
    for name in &matches {
        rule.load(name);
    }
    if let Some(flags) = args.sub("tcp_flags")
        && args.dict("tcp_flags").is_some_and(|d| !d.is_empty())
        && flags.has("flags")
        && flags.has("flags_set")
    {
        rule.push(&["--tcp-flags", &flags.strings("flags").join(","), &flags.strings("flags_set").join(",")]);
    }
    rule.param("jump", "-j");
    if args.str("jump").is_some_and(|jump| jump.eq_ignore_ascii_case("tee")) {
        rule.param("gateway", "--gateway");
    }
    rule.param("log_prefix", "--log-prefix");
    rule.param("log_level", "--log-level");
    rule.param("to_destination", "--to-destination");
    if !args.list("destination_ports").is_empty() {
        rule.load("multiport");
        rule.push(&["--dports", &args.strings("destination_ports").join(",")]);
    }
    for (name, flag) in [
        ("to_source", "--to-source"),
        ("goto", "-g"),
        ("in_interface", "-i"),
        ("out_interface", "-o"),
        ("fragment", "-f"),
        ("set_counters", "-c"),
        ("source_port", "--source-port"),
        ("destination_port", "--destination-port"),
        ("to_ports", "--to-ports"),
    ] {
        rule.param(name, flag);
    }
    for (name, flag) in [("set_dscp_mark", "--set-dscp"), ("set_dscp_mark_class", "--set-dscp-class")] {
        if args.has(name) {
            rule.param(name, flag);
            rule.push(&["-j", "DSCP"]);
        }
    }
    match args.text("syn") {
        "match" => rule.push(&["--syn"]),
        "negate" => rule.push(&["!", "--syn"]),
        _ => {}
    }
    let states = args.strings("ctstate").join(",");
    if !states.is_empty() {
        if loaded("state") && !loaded("conntrack") {
            rule.push(&["--state", &states]);
        } else {
            if !loaded("conntrack") {
                rule.load("conntrack");
            }
            rule.push(&["--ctstate", &states]);
        }
    }
    if args.has("src_range") || args.has("dst_range") {
        if !loaded("iprange") {
            rule.load("iprange");
        }
        rule.param("src_range", "--src-range");
        rule.param("dst_range", "--dst-range");
    }
    if args.has("match_set") {
        if !loaded("set") {
            rule.load("set");
        }
        rule.param("match_set", "--match-set");
        rule.words.extend(args.str("match_set_flags").map(str::to_owned));
    }
    if args.has("limit") || args.has("limit_burst") {
        rule.load("limit");
        rule.param("limit", "--limit");
        rule.param("limit_burst", "--limit-burst");
    }
    for (name, flag) in [("uid_owner", "--uid-owner"), ("gid_owner", "--gid-owner")] {
        if args.has(name) {
            rule.load("owner");
            rule.param(name, flag);
        }
    }
    if args.has("reject_with") {
        if !args.has("jump") {
            rule.push(&["-j", "REJECT"]);
        }
        rule.param("reject_with", "--reject-with");
    }
    rule.param("icmp_type", "--icmp-type");
    if args.has("comment") {
        rule.load("comment");
        rule.param("comment", "--comment");
    }
    rule.words
}

struct Rule<'a> {
    args: &'a Args,
    words: Vec<String>,
}

impl Rule<'_> {
    fn push(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(|&word| word.to_owned()));
    }

    fn load(&mut self, extension: &str) {
        self.push(&["-m", extension]);
    }

    /// `FLAG value`, or `! FLAG value` where the value starts with `!`.
    fn param(&mut self, name: &str, flag: &str) {
        let Some(value) = self.args.str(name) else { return };
        match value.strip_prefix('!') {
            Some(value) => self.push(&["!", flag, value.trim_start()]),
            None => self.push(&[flag, value]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::{Dict, dict};

    fn words(given: Dict) -> String {
        let checked = crate::args::check(&SPEC, "iptables", &given, crate::args::Place::Controller);
        assert_eq!(checked.error, None);
        rule(&Args::new(checked.args, &SPEC)).join(" ")
    }

    fn list(items: &[&str]) -> Value {
        items.iter().copied().collect()
    }

    #[test]
    fn rules_have_the_order_that_ansible_gives_them() {
        let all = dict! {
            "chain" => "INPUT", "protocol" => "tcp", "destination_ports" => list(&["22", "80:90"]),
            "ctstate" => list(&["NEW", "EST"]), "syn" => "match", "jump" => "LOG", "log_prefix" => "p",
            "log_level" => "4", "limit" => "2/s", "limit_burst" => "3", "in_interface" => "!eth0",
            "source" => "!1.2.3.4", "fragment" => "f", "set_counters" => "1 2", "match" => list(&["set"]),
            "match_set" => "a", "match_set_flags" => "src",
            "tcp_flags" => dict! {"flags" => list(&["ALL"]), "flags_set" => list(&["ACK", "RST"])},
            "uid_owner" => "!1", "gid_owner" => "2", "icmp_type" => "8", "src_range" => "1-2",
            "dst_range" => "3-4", "to_ports" => "8", "to_source" => "s", "to_destination" => "d",
            "gateway" => "g", "goto" => "gg", "out_interface" => "o", "set_dscp_mark" => "8",
            "destination" => "dd", "source_port" => "9", "destination_port" => "10", "comment" => "cc",
        };
        assert_eq!(
            words(all),
            "-p tcp ! -s 1.2.3.4 -d dd -m set --tcp-flags ALL ACK,RST -j LOG --log-prefix p --log-level 4 --to-destination d -m multiport --dports 22,80:90 --to-source s -g gg ! -i eth0 -o o -f f -c 1 2 --source-port 9 --destination-port 10 --to-ports 8 --set-dscp 8 -j DSCP --syn -m conntrack --ctstate NEW,EST -m iprange --src-range 1-2 --dst-range 3-4 --match-set a src -m limit --limit 2/s --limit-burst 3 -m owner ! --uid-owner 1 -m owner --gid-owner 2 --icmp-type 8 -m comment --comment cc"
        );
        let loaded = dict! {
            "chain" => "INPUT", "protocol" => "!tcp", "jump" => "SET", "match_set" => "!a",
            "match_set_flags" => "src", "set_dscp_mark_class" => "x", "ctstate" => list(&["NEW"]),
            "match" => list(&["conntrack", "iprange", "owner"]), "syn" => "negate", "src_range" => "1",
            "uid_owner" => "3",
        };
        assert_eq!(
            words(loaded),
            "! -p tcp -m conntrack -m iprange -m owner -j SET --set-dscp-class x -j DSCP ! --syn --ctstate NEW --src-range 1 -m set ! --match-set a src -m owner --uid-owner 3"
        );
        assert_eq!(words(dict! {"chain" => "INPUT", "reject_with" => "x"}), "-j REJECT --reject-with x");
        assert_eq!(words(dict! {"chain" => "INPUT", "policy" => "DROP"}), "");
    }
}
