//! Platform facts: kernel, architecture, names of the host.

use super::Host;
use quorate_value::{Dict, dict};

/// Kernel, architecture, names.
pub fn platform(host: &Host) -> Dict {
    let uname = rustix::system::uname();
    let text = |field: &std::ffi::CStr| field.to_string_lossy().into_owned();
    let nodename = text(uname.nodename());
    let fqdn = fqdn(host, &nodename);
    let machine = text(uname.machine());
    let bits = usize::BITS.to_string();
    let userspace = match (machine.as_str(), bits.as_str()) {
        ("x86_64" | "i386" | "i486" | "i586" | "i686", "64") => "x86_64".to_owned(),
        ("x86_64" | "i386" | "i486" | "i586" | "i686", _) => "i386".to_owned(),
        (other, _) => other.to_owned(),
    };
    let architecture = match machine.as_str() {
        "i386" | "i486" | "i586" | "i686" => "i386",
        other => other,
    };
    let mut facts = dict! {
        "system" => text(uname.sysname()),
        "kernel" => text(uname.release()),
        "kernel_version" => text(uname.version()),
        "machine" => machine.as_str(),
        "architecture" => architecture,
        "userspace_bits" => bits,
        "userspace_architecture" => userspace,
        "nodename" => nodename.as_str(),
        "hostname" => nodename.split('.').next().unwrap_or_default(),
        "domain" => fqdn.split_once('.').map_or("", |(_, domain)| domain),
        "fqdn" => fqdn.as_str(),
    };
    if let Some((_, version)) = super::software::python_version(host) {
        facts.insert("python_version", version);
    }
    let id = host.line("/var/lib/dbus/machine-id").or_else(|| host.line("/etc/machine-id"));
    if let Some(id) = id {
        facts.insert("machine_id", id.lines().next().unwrap_or_default());
    }
    facts
}

/// The host's full name: `/etc/hosts` first, then whatever name service there is.
fn fqdn(host: &Host, nodename: &str) -> String {
    let hosts = host.read("/etc/hosts").unwrap_or_default();
    let names = names_in(&hosts, nodename).or_else(|| {
        let forward = host.ask("getent", &["hosts", nodename])?;
        let address = forward.split_whitespace().next()?.to_owned();
        let line = names_of_address(&hosts, &address)
            .or_else(|| names_of(host.ask("getent", &["hosts", &address])?.lines().next()?))
            .or_else(|| names_of(&forward))?;
        Some(line)
    });
    let names = names.unwrap_or_else(|| vec![nodename.to_owned()]);
    // Without a full name the first one counts, as Python's `getfqdn` has it.
    names.iter().find(|name| name.contains('.')).or(names.first()).cloned().unwrap_or_default()
}

fn names_of(line: &str) -> Option<Vec<String>> {
    let line = line.split('#').next()?;
    let names: Vec<_> = line.split_whitespace().skip(1).map(str::to_owned).collect();
    (!names.is_empty()).then_some(names)
}

fn names_of_address(hosts: &str, address: &str) -> Option<Vec<String>> {
    hosts
        .lines()
        .find(|line| line.split('#').next().and_then(|line| line.split_whitespace().next()) == Some(address))
        .and_then(names_of)
}

/// All names of the address that a hosts file gives to a name.
fn names_in(hosts: &str, name: &str) -> Option<Vec<String>> {
    let address = hosts.lines().find_map(|line| {
        let names = names_of(line)?;
        names.iter().any(|known| known.eq_ignore_ascii_case(name)).then(|| line.split_whitespace().next())?
    })?;
    names_of_address(hosts, address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.9 db\n10.0.0.1 db.example.com db # main\n::1 localhost\n";
        assert_eq!(names_in(hosts, "db").unwrap(), ["db.example.com", "db"]);
        assert_eq!(names_in(hosts, "DB").unwrap(), ["db.example.com", "db"]);
        assert_eq!(names_in(hosts, "other"), None);
        let twice = "127.0.1.1 box.lan\n127.0.1.1 box\n";
        assert_eq!(names_in(twice, "box").unwrap(), ["box.lan"]);
    }
}
