//! Security facts: SELinux, AppArmor, FIPS, capabilities, the host's SSH keys.

use super::Host;
use quorate_value::{Dict, Value, dict};

/// `selinux`.
pub fn selinux(host: &Host) -> Dict {
    let mut facts = dict! {"status" => "disabled"};
    if host.exists("/sys/fs/selinux/policyvers") {
        let config = super::distribution::assignments(&host.read("/etc/selinux/config").unwrap_or_default());
        let setting = |key: &str| config.get(key).map_or("unknown", String::as_str);
        let version = host.line("/sys/fs/selinux/policyvers").and_then(|text| text.parse::<i64>().ok());
        let mode = match host.line("/sys/fs/selinux/enforce").as_deref() {
            Some("1") => "enforcing",
            Some("0") => "permissive",
            _ => "unknown",
        };
        facts = dict! {
            "status" => "enabled",
            "policyvers" => version.map_or(Value::from("unknown"), Value::from),
            "config_mode" => setting("SELINUX"),
            "mode" => mode,
            "type" => setting("SELINUXTYPE"),
        };
    }
    dict! {"selinux" => facts, "selinux_python_present" => true}
}

/// `apparmor`.
pub fn apparmor(host: &Host) -> Dict {
    let status = if host.exists("/sys/kernel/security/apparmor") { "enabled" } else { "disabled" };
    dict! {"apparmor" => dict! {"status" => status}}
}

/// `fips`.
pub fn fips(host: &Host) -> Dict {
    dict! {"fips" => host.line("/proc/sys/crypto/fips_enabled").as_deref() == Some("1")}
}

/// `system_capabilities`, where `capsh` can tell.
pub fn capabilities(host: &Host) -> Dict {
    let Some(text) = host.ask("capsh", &["--print"]) else { return Dict::new() };
    let current = text.lines().find_map(|line| line.strip_prefix("Current:")).unwrap_or("").trim();
    if current == "=ep" {
        return dict! {"system_capabilities_enforced" => "False", "system_capabilities" => Value::list(vec![])};
    }
    let list = current.split_once('=').map_or("", |(_, list)| list);
    dict! {
        "system_capabilities_enforced" => "True",
        "system_capabilities" => list.split(',').map(str::trim).collect::<Value>(),
    }
}

/// `ssh_host_key_TYPE_public` and its type, for each key the server has.
pub fn ssh_host_keys(host: &Host) -> Dict {
    let mut facts = Dict::new();
    for directory in ["/etc/ssh", "/etc/openssh", "/etc"] {
        for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
            let Some(line) = host.line(&format!("{directory}/ssh_host_{kind}_key.pub")) else { continue };
            let mut words = line.split_whitespace();
            if let (Some(name), Some(key)) = (words.next(), words.next()) {
                facts.insert(format!("ssh_host_key_{kind}_public"), key);
                facts.insert(format!("ssh_host_key_{kind}_public_keytype"), name);
            }
        }
        if !facts.is_empty() {
            break;
        }
    }
    facts
}
