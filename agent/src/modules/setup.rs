//! `setup`: the facts of a host.
//!
//! [`COLLECTORS`] is the table of all families; [`choose`] picks those that a task asked for, and they run side by
//! side, because the slow ones wait for a program or a server.
//!
//! **Invariant:** a family that nobody asked for costs nothing.
//!
//! Not here: how each fact is found (`system::facts`).

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::facts::{
    self, Host, distribution, hardware, network, platform, security, software, surroundings, virtualization,
};
use crate::system::{clock, glob, systemd};
use quorate_value::{Dict, Value, dict};
use std::collections::BTreeSet;
use std::time::Duration;

/// The `setup` module.
pub struct Setup;

static SPEC: Spec = Spec::new("setup", "Gathers facts about a host.").params(&[
    Param::list("gather_subset", Kind::Str).default(Lit::List(&["all"])).doc(
        "Families of facts: `all`, `min`, `hardware`, `network`, `virtual`, … or one fact's name; `!` in front leaves it out.",
    ),
    Param::int("gather_timeout").default_int(10).doc("Seconds that one slow question may take."),
    Param::list("filter", Kind::Str)
        .default(Lit::List(&[]))
        .doc("Keep only facts whose names match one of these patterns."),
    Param::path("fact_path")
        .default_str("/etc/ansible/facts.d")
        .doc("Directory of the host's own facts: `*.fact` files, JSON, INI, or programs that print it."),
]);

/// A family of facts.
struct Collector {
    name: &'static str,
    /// Other names that ask for it.
    names: &'static [&'static str],
    /// Gathered unless a task says `!min`.
    minimal: bool,
    /// Families that come along.
    needs: &'static [&'static str],
    collect: fn(&Host) -> Dict,
}

const fn collector(
    name: &'static str,
    names: &'static [&'static str],
    minimal: bool,
    collect: fn(&Host) -> Dict,
) -> Collector {
    Collector { name, names, minimal, needs: &[], collect }
}

#[rustfmt::skip] // one line a family
const COLLECTORS: &[Collector] = &[
    collector("apparmor", &[], true, security::apparmor),
    collector("caps", &["system_capabilities", "system_capabilities_enforced"], true, security::capabilities),
    collector("chroot", &["is_chroot"], false, chroot),
    collector("cmdline", &[], true, surroundings::command_line),
    collector("date_time", &[], true, |_| surroundings::date_time(&clock::now())),
    collector("distribution", &["distribution_version", "distribution_release", "distribution_major_version", "os_family"], true, distribution::distribution),
    collector("dns", &[], true, surroundings::dns),
    collector("env", &[], true, surroundings::environment),
    collector("facter", &[], false, |host| software::foreign(host, "facter", &["--json"])),
    collector("fibre_channel_wwn", &[], false, surroundings::fibre_channel),
    collector("fips", &[], true, security::fips),
    Collector { needs: &["platform"], ..collector("hardware", &["processor", "processor_cores", "processor_count", "mounts", "devices"], false, hardware::hardware) },
    collector("iscsi", &[], false, surroundings::iscsi),
    collector("loadavg", &[], false, surroundings::load),
    collector("local", &[], true, |_| Dict::new()), // needs `fact_path`: see `run`
    collector("lsb", &[], true, |host| dict! {"lsb" => distribution::lsb(host)}),
    Collector { needs: &["platform", "distribution"], ..collector("network", &["interfaces", "default_ipv4", "default_ipv6", "all_ipv4_addresses", "all_ipv6_addresses"], false, network::network) },
    collector("nvme", &[], false, surroundings::nvme),
    collector("ohai", &[], false, |host| software::foreign(host, "ohai", &[])),
    Collector { needs: &["distribution"], ..collector("pkg_mgr", &[], true, package_manager) },
    collector("platform", &["system", "kernel", "kernel_version", "machine", "machine_id", "architecture", "python_version"], true, platform::platform),
    collector("python", &[], true, software::python),
    collector("selinux", &[], true, security::selinux),
    Collector { needs: &["platform", "distribution"], ..collector("service_mgr", &[], true, service_manager) },
    collector("ssh_pub_keys", &["ssh_host_pub_keys", "ssh_host_key_dsa_public", "ssh_host_key_rsa_public", "ssh_host_key_ecdsa_public", "ssh_host_key_ed25519_public"], true, security::ssh_host_keys),
    collector("systemd", &[], false, software::systemd),
    collector("user", &["user_id", "user_uid", "user_gid", "user_gecos", "user_dir", "user_shell", "real_user_id", "effective_user_id", "effective_group_ids"], true, |_| surroundings::user()),
    collector("virtual", &["virtualization_type", "virtualization_role", "virtualization_tech_guest", "virtualization_tech_host"], false, virtualization::virtualization),
];

fn chroot(_: &Host) -> Dict {
    dict! {"is_chroot" => systemd::is_chroot()}
}

fn package_manager(host: &Host) -> Dict {
    let facts = distribution::distribution(host);
    let family = facts.get("os_family").and_then(Value::as_str).unwrap_or_default().to_owned();
    dict! {"pkg_mgr" => facts::packages::package_manager(host, &family)}
}

fn service_manager(host: &Host) -> Dict {
    dict! {"service_mgr" => facts::service_manager::service_manager(host)}
}

impl Module for Setup {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let asked = args.strings("gather_subset");
        let chosen = choose(&asked).map_err(Failure::new)?;
        let timeout = Duration::from_secs(args.int("gather_timeout").unwrap_or(10).try_into().unwrap_or(10));
        let host = Host::here(&ctx.environment, timeout);
        let gathered: Vec<Dict> = std::thread::scope(|scope| {
            let host = &host;
            let families = COLLECTORS.iter().filter(|collector| chosen.contains(collector.name));
            let running: Vec<_> =
                families.map(|collector| scope.spawn(move || (collector.collect)(host))).collect();
            // A family that falls over leaves its facts out and spares the others.
            running.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        ctx.alive()?;
        let mut outcome = Outcome::ok();
        let mut facts = Dict::new();
        if chosen.contains("local") {
            let (local, warnings) = facts::local::local(&host, args.text("fact_path"));
            facts.update(&local);
            outcome = warnings.into_iter().fold(outcome, Outcome::warn);
        }
        for family in gathered {
            facts.update(&family);
        }
        let mut named: Dict = facts
            .iter()
            .map(|(key, value)| {
                let key = key.json_text();
                let foreign = key.starts_with("facter_") || key.starts_with("ohai_");
                (if foreign { key.into_owned() } else { format!("ansible_{key}") }, value.clone())
            })
            .collect();
        named.insert("gather_subset", asked.iter().map(String::as_str).collect::<Value>());
        named.insert("module_setup", true);
        let filters = args.strings("filter");
        named.retain(|key, _| wanted(&key.json_text(), &filters));
        Ok(outcome.facts(named.sorted()))
    }
}

/// Whether a fact is asked for by one of the patterns, with or without its prefix.
fn wanted(name: &str, filters: &[String]) -> bool {
    let filters: Vec<&str> = filters.iter().map(|filter| filter.trim()).filter(|f| !f.is_empty()).collect();
    let short = name.strip_prefix("ansible_").unwrap_or(name);
    filters.is_empty()
        || filters.iter().any(|pattern| glob::fnmatch(name, pattern) || glob::fnmatch(short, pattern))
}

/// The families that a task asked for, with those they need.
fn choose(asked: &[String]) -> Result<BTreeSet<&'static str>, String> {
    let all = || COLLECTORS.iter().map(|collector| collector.name);
    let minimal = || COLLECTORS.iter().filter(|collector| collector.minimal).map(|collector| collector.name);
    let family = |name: &str| {
        let found =
            COLLECTORS.iter().find(|collector| collector.name == name || collector.names.contains(&name));
        found.map(|collector| collector.name)
    };
    let mut added: BTreeSet<&str> = minimal().collect();
    let mut explicit: BTreeSet<&str> = BTreeSet::new();
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    for subset in asked.iter().map(|subset| subset.trim()).filter(|subset| !subset.is_empty()) {
        match (subset, subset.strip_prefix('!')) {
            ("all", _) => added.extend(all()),
            ("min", _) => {}
            (_, Some("min")) => left_out.extend(minimal()),
            (_, Some("all")) => {
                left_out.extend(COLLECTORS.iter().filter(|collector| !collector.minimal).map(|c| c.name));
            }
            (_, Some(name)) => left_out.extend(family(name)),
            (name, None) => {
                explicit.insert(family(name).ok_or_else(|| complaint(name))?);
            }
        }
    }
    let mut chosen: BTreeSet<&'static str> = added.difference(&left_out).copied().collect();
    chosen.extend(explicit);
    let needed: Vec<&str> = COLLECTORS
        .iter()
        .filter(|collector| chosen.contains(collector.name))
        .flat_map(|collector| collector.needs.iter().copied())
        .collect();
    chosen.extend(needed);
    Ok(chosen)
}

fn complaint(name: &str) -> String {
    let names = COLLECTORS.iter().flat_map(|c| std::iter::once(c.name).chain(c.names.iter().copied()));
    let sorted: BTreeSet<&str> = names.collect();
    let list: Vec<&str> = sorted.into_iter().collect();
    format!("Bad subset '{name}' given to Ansible. gather_subset options allowed: all, {}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(asked: &str) -> Vec<&'static str> {
        let asked: Vec<String> = asked.split(',').map(str::to_owned).collect();
        choose(&asked).unwrap().into_iter().collect()
    }

    #[test]
    fn subsets() {
        let minimal: Vec<&str> = COLLECTORS.iter().filter(|c| c.minimal).map(|c| c.name).collect();
        assert_eq!(chosen("all").len(), COLLECTORS.len());
        assert_eq!(chosen("!all"), minimal);
        assert_eq!(chosen("min"), minimal);
        assert_eq!(chosen("!network,!hardware"), minimal);
        assert!(chosen("!all,!min").is_empty());
        assert_eq!(chosen("!all,!min,dns"), ["dns"]);
        assert_eq!(chosen("!all,!min,network"), ["distribution", "network", "platform"]);
        assert_eq!(chosen("!all,!min,mounts"), ["hardware", "platform"]);
        assert_eq!(chosen("network,!all").len(), minimal.len() + 1);
        assert!(!chosen("all,!facter,!ohai").contains(&"facter"));
        assert!(choose(&["nosuch".into()]).unwrap_err().starts_with("Bad subset 'nosuch' given to Ansible."));
    }

    #[test]
    fn filters() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (name, filters, expected) in [
            ("ansible_distribution", "ansible_dist*", true),
            ("ansible_distribution", "distribution", true),
            ("ansible_distribution_version", "distribution", false),
            ("ansible_fqdn", "*ipv4*,ansible_fqdn", true),
            ("module_setup", "ansible_*", false),
            ("module_setup", "", true),
        ] {
            assert_eq!(wanted(name, &list(filters)), expected, "{name} {filters}");
        }
    }
}
