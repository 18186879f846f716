//! `service_facts`: services and what they are doing, as the fact `services`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::Spec;
use crate::system::systemd::{properties, property};
use quorate_value::{Dict, Value, dict};
use std::collections::BTreeMap;
use std::path::Path;

/// The `service_facts` module.
pub struct ServiceFacts;

static SPEC: Spec = Spec::new("service_facts", "Lists services as facts.");

type Services = BTreeMap<String, Dict>;

impl Module for ServiceFacts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, _: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let mut services = Services::new();
        if let Some(program) = ctx.which("service") {
            let output = ctx.run(&ctx.command([program.as_str(), "--status-all"]).env("LC_ALL", "C"))?;
            scripts(&(output.stdout_text() + &output.stderr_text()), &mut services);
        }
        if let Some(program) = ctx.which("rc-status") {
            openrc(ctx, &program, &mut services)?;
        }
        let booted = ["/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"];
        if let Some(program) =
            ctx.which("systemctl").filter(|_| booted.iter().any(|path| Path::new(path).exists()))
        {
            systemd(ctx, &program, &mut services)?;
        }
        if services.is_empty() {
            return Ok(Outcome::ok().with("skipped", true).msg(
                "Failed to find any services. This can be due to privileges or some other configuration issue.",
            ));
        }
        let services: Dict = services.into_iter().collect();
        Ok(Outcome::ok().facts(dict! {"services" => services}))
    }
}

/// ` [ + ]  cron`, as Debian's `service --status-all` prints.
fn scripts(text: &str, services: &mut Services) {
    for line in text.lines() {
        let Some((mark, name)) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            continue;
        };
        let state = match mark.trim() {
            "+" => "running",
            "-" => "stopped",
            _ => continue,
        };
        let name = name.trim();
        services.insert(name.to_owned(), dict! {"name" => name, "state" => state, "source" => "sysv"});
    }
}

fn openrc(ctx: &Ctx, status: &str, services: &mut Services) -> Result<(), Failure> {
    let states = ctx.run(&ctx.command([status, "-a", "-s", "-m"]).env("LC_ALL", "C"))?.stdout_text();
    let levels = match ctx.which("rc-update") {
        Some(program) => ctx.run(&ctx.command([program.as_str(), "show", "-v"]))?.stdout_text(),
        None => String::new(),
    };
    for line in states.lines().filter(|line| line.starts_with(' ')) {
        let Some((name, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        let state = rest.trim().trim_matches(['[', ']', ' ']).split_whitespace().next().unwrap_or("");
        let state = if state == "started" { "running" } else { state };
        let levels: Value = levels
            .lines()
            .filter_map(|line| line.split_once('|'))
            .filter(|(service, _)| service.trim() == name)
            .flat_map(|(_, levels)| levels.split_whitespace())
            .collect();
        services.insert(
            name.to_owned(),
            dict! {"name" => name, "state" => state, "runlevels" => levels, "source" => "openrc"},
        );
    }
    Ok(())
}

fn systemd(ctx: &Ctx, program: &str, services: &mut Services) -> Result<(), Failure> {
    let list = |verb: &str| {
        let words = [program, verb, "--no-pager", "--type", "service", "--all", "--plain", "--no-legend"];
        ctx.run(&ctx.command(words).env("LC_ALL", "C")).map(|output| output.stdout_text())
    };
    units(&list("list-units")?, services);
    let files = list("list-unit-files")?;
    let unloaded: Vec<&str> = files
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !services.contains_key(*name) && !name.contains("@."))
        .collect();
    let mut active = BTreeMap::new();
    if !unloaded.is_empty() {
        let mut words = vec![program, "show", "--property=Id,ActiveState", "--"];
        words.extend(&unloaded);
        let shown = ctx.run(&ctx.command(words).env("LC_ALL", "C"))?.stdout_text();
        // One block a unit, in the order asked for.
        for (name, block) in unloaded.iter().zip(shown.split("\n\n")) {
            active.insert((*name).to_owned(), property(&properties(block), "ActiveState").to_owned());
        }
    }
    unit_files(&files, &active, services);
    Ok(())
}

fn units(text: &str, services: &mut Services) {
    for line in text.lines() {
        let words: Vec<&str> =
            line.trim_start_matches(['●', '*', '○', '×', ' ']).split_whitespace().collect();
        let [name, load, active, sub, ..] = words.as_slice() else { continue };
        let state = if *sub == "running" { "running" } else { "stopped" };
        let status = match (*load, *active) {
            ("not-found" | "masked", _) => *load,
            (_, active) => active,
        };
        services.insert(
            (*name).to_owned(),
            dict! {"name" => *name, "state" => state, "status" => status, "source" => "systemd"},
        );
    }
}

fn unit_files(text: &str, active: &BTreeMap<String, String>, services: &mut Services) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(status)) = (words.next(), words.next()) else { continue };
        match services.get_mut(name) {
            Some(service) => {
                let bad = ["not-found", "masked", "failed"];
                if !bad.contains(&property(service, "status")) {
                    service.insert("status", status);
                }
            }
            None => {
                let state = active.get(name).map_or("unknown", String::as_str);
                services.insert(
                    name.to_owned(),
                    dict! {"name" => name, "state" => state, "status" => status, "source" => "systemd"},
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_their_files() {
        let mut services = Services::new();
        units(
            "cron.service loaded active running Regular\n● auditd.service not-found inactive dead auditd.service\n\
             bad.service loaded failed failed bad\nssh.service masked inactive dead ssh\ngetty@tty1.service loaded inactive dead Getty\n",
            &mut services,
        );
        let active = BTreeMap::from([("rc.service".to_owned(), "inactive".to_owned())]);
        unit_files(
            "cron.service enabled enabled\nbad.service enabled enabled\nssh.service masked enabled\nrc.service masked enabled\nautovt@.service alias -\n",
            &active,
            &mut services,
        );
        for (name, expected) in [
            ("cron.service", "running enabled"),
            ("auditd.service", "stopped not-found"),
            ("bad.service", "stopped failed"),
            ("ssh.service", "stopped masked"),
            ("getty@tty1.service", "stopped inactive"),
            ("rc.service", "inactive masked"),
            ("autovt@.service", "unknown alias"),
        ] {
            let service = &services[name];
            assert_eq!(
                format!("{} {}", property(service, "state"), property(service, "status")),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn init_scripts() {
        let mut services = Services::new();
        scripts(" [ + ]  cron\n [ - ]  ssh\n [ ? ]  odd\n", &mut services);
        assert_eq!(services.len(), 2);
        assert_eq!(property(&services["cron"], "state"), "running");
    }
}
