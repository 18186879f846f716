//! Addresses: who gets which, where the controller sits, and the text that `ip` and `/etc/hosts` read.
//!
//! Pure: the same specs always give the same plan.

use crate::{HostSpec, LabError, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with the length of its subnet's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostAddress {
    pub ip: IpAddr,
    pub prefix: u8,
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl HostAddress {
    /// The first address of the subnet, with the prefix.
    pub(crate) fn subnet(self) -> Self {
        let bits = self.bits() & self.mask();
        Self { ip: self.with_bits(bits), prefix: self.prefix }
    }

    fn width(self) -> u8 {
        if self.ip.is_ipv4() { 32 } else { 128 }
    }

    fn mask(self) -> u128 {
        let host = u32::from(self.width() - self.prefix.min(self.width()));
        let all = if self.ip.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX };
        if host >= 128 { 0 } else { all & (u128::MAX << host) }
    }

    fn bits(self) -> u128 {
        match self.ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip),
        }
    }

    fn with_bits(self, bits: u128) -> IpAddr {
        match self.ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(bits as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(bits)),
        }
    }

    fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && Self { ip, prefix: self.prefix }.subnet().ip == self.subnet().ip
    }
}

/// Who has which address in a lab.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Per host, in the order of the specs; the first address is the one it is reached at.
    pub(crate) hosts: Vec<Vec<HostAddress>>,
    /// The controller's addresses: one in every subnet.
    pub(crate) controller: Vec<HostAddress>,
}

/// Gives every host its addresses and the controller one in every subnet, away from hosts and `reserved`.
pub(crate) fn plan(specs: &[HostSpec], reserved: &[IpAddr]) -> Result<Plan> {
    let mut taken: BTreeMap<IpAddr, &str> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for spec in specs {
        spec.check()?;
        if !names.insert(spec.name.as_str()) {
            return Err(LabError::HostTwice { name: spec.name.clone() });
        }
        for ip in spec.address.iter().chain(&spec.extra) {
            usable(spec, *ip)?;
            if let Some(first) = taken.insert(*ip, &spec.name) {
                let second = spec.name.clone();
                return Err(LabError::AddressTwice { first: first.to_owned(), second, address: *ip });
            }
        }
    }

    let mut invented = (10..=250).map(|n| IpAddr::V4(Ipv4Addr::new(10, 255, 0, n)));
    let mut hosts = Vec::new();
    for spec in specs {
        let primary = match spec.address {
            Some(ip) => ip,
            None => invented
                .find(|ip| !taken.contains_key(ip) && !reserved.contains(ip))
                .ok_or_else(|| LabError::SubnetFull { subnet: "10.255.0.0/24".into() })?,
        };
        let of = |ip: IpAddr, prefix: Option<u8>| {
            let default = if ip.is_ipv4() { 24 } else { 64 };
            HostAddress {
                ip,
                prefix: prefix.unwrap_or(default).clamp(8, if ip.is_ipv4() { 30 } else { 126 }),
            }
        };
        taken.insert(primary, &spec.name);
        let mut addresses = vec![of(primary, spec.prefix)];
        addresses.extend(spec.extra.iter().map(|ip| of(*ip, None)));
        hosts.push(addresses);
    }

    let subnets: BTreeSet<HostAddress> = hosts.iter().flatten().map(|a| a.subnet()).collect();
    let mut controller = Vec::new();
    for subnet in subnets {
        let last = subnet.bits()
            | (!subnet.mask() & if subnet.ip.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX });
        // From the top of the subnet downwards: people number hosts from the bottom.
        let ip = (1..200u128)
            .filter_map(|n| last.checked_sub(n))
            .take_while(|bits| *bits > subnet.bits())
            .map(|bits| subnet.with_bits(bits))
            .find(|ip| !taken.contains_key(ip) && !reserved.contains(ip))
            .ok_or_else(|| LabError::SubnetFull { subnet: subnet.to_string() })?;
        controller.push(HostAddress { ip, prefix: subnet.prefix });
    }
    Ok(Plan { hosts, controller })
}

fn usable(spec: &HostSpec, ip: IpAddr) -> Result<()> {
    let why = match ip {
        _ if ip.is_loopback() => "it is this machine's loopback",
        _ if ip.is_unspecified() => "it is unspecified",
        _ if ip.is_multicast() => "it is a multicast address",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "it is link-local",
        IpAddr::V4(v4) if v4.is_broadcast() => "it is the broadcast address",
        _ => return Ok(()),
    };
    Err(LabError::BadAddress { host: spec.name.clone(), address: ip, why })
}

/// What `ip -batch` has to do inside a host's network namespace.
pub(crate) fn host_network(own: &[HostAddress], controller: &[HostAddress], reserved: &[IpAddr]) -> String {
    let mut lines = vec!["link set lo up".to_owned(), "link set eth0 up".to_owned()];
    for address in own {
        let nodad = if address.ip.is_ipv6() { " nodad" } else { "" };
        lines.push(format!("addr add {address} dev eth0{nodad}"));
    }
    // Every subnet of the lab is on the same wire, so no router stands between two of them.
    for there in controller.iter().map(|c| c.subnet()).filter(|s| !own.iter().any(|a| a.subnet() == *s)) {
        if own.iter().any(|a| a.ip.is_ipv4() == there.ip.is_ipv4()) {
            lines.push(format!("route add {there} dev eth0"));
        }
    }
    lines.extend(strays(controller, reserved).map(|ip| format!("route add {ip} dev eth0")));
    for v4 in [true, false] {
        let gateway = own
            .iter()
            .filter(|a| a.ip.is_ipv4() == v4)
            .find_map(|a| controller.iter().find(|c| c.subnet() == a.subnet()));
        if let Some(gateway) = gateway {
            lines.push(format!("route add default via {} dev eth0", gateway.ip));
        }
    }
    lines.join("\n") + "\n"
}

/// What `ip -batch` has to do in the lab's own namespace, once the bridge is there.
pub(crate) fn controller_network(controller: &[HostAddress], reserved: &[IpAddr]) -> String {
    let mut lines = Vec::new();
    for address in controller {
        let nodad = if address.ip.is_ipv6() { " nodad" } else { "" };
        lines.push(format!("addr replace {address} dev br0{nodad}"));
    }
    lines.extend(strays(controller, reserved).map(|ip| format!("route replace {ip} dev br0")));
    // The lab ends here, and says so at once instead of letting packets vanish.
    lines.push("route replace unreachable default".to_owned());
    if controller.iter().any(|c| c.ip.is_ipv6()) {
        lines.push("route replace unreachable ::/0 metric 1".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Reserved addresses (virtual IPs) outside every subnet need a route of their own.
fn strays<'a>(controller: &'a [HostAddress], reserved: &'a [IpAddr]) -> impl Iterator<Item = IpAddr> + 'a {
    reserved.iter().copied().filter(|ip| !controller.iter().any(|c| c.contains(*ip)))
}

/// Marks the lab's lines in a hosts file, so that they can be replaced and nothing else is.
const BEGIN: &str = "# quorate-lab begin";
const END: &str = "# quorate-lab end";

/// The lab's block for `/etc/hosts`: every host by all its names, and the controller.
pub(crate) fn hosts_block(hosts: &[(&HostSpec, &[HostAddress])], controller: &[HostAddress]) -> String {
    let mut text = format!("{BEGIN}\n");
    for (spec, addresses) in hosts {
        let mut names = Vec::new();
        let mut add = |name: String| {
            if name.parse::<IpAddr>().is_err() && !names.contains(&name) {
                names.push(name);
            }
        };
        add(spec.name.clone());
        add(spec.hostname());
        if let Some((short, _)) = spec.hostname().split_once('.') {
            add(short.to_owned());
        }
        spec.aliases.iter().for_each(|alias| add(alias.clone()));
        for address in *addresses {
            text.push_str(&format!("{} {}\n", address.ip, names.join(" ")));
        }
    }
    for address in controller {
        text.push_str(&format!("{} controller.quorate-lab\n", address.ip));
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// Replaces the lab's block in a hosts file, or appends it.
pub(crate) fn with_block(file: &str, block: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in file.lines() {
        match line {
            BEGIN => inside = true,
            END => inside = false,
            _ if inside => {}
            _ => {
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    kept + block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(list: &[(&str, &str)]) -> Vec<HostSpec> {
        list.iter().map(|(name, ip)| HostSpec::new(*name, ip.parse().ok())).collect()
    }

    fn text<T: ToString>(list: &[T]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_controller_sits_at_the_top_of_every_subnet() {
        let hosts = specs(&[("a", "10.10.10.10"), ("b", "10.10.20.254"), ("c", "fd00::1")]);
        let plan = plan(&hosts, &["10.10.10.254".parse().unwrap()]).unwrap();
        assert_eq!(
            text(&plan.controller),
            ["10.10.10.253/24", "10.10.20.253/24", "fd00::ffff:ffff:ffff:fffe/64"]
        );
        assert_eq!(text(&plan.hosts[1]), ["10.10.20.254/24"]);
    }

    #[test]
    fn hosts_without_an_address_get_one_that_nobody_has() {
        let hosts = specs(&[("a", ""), ("b", "10.255.0.11"), ("c", "")]);
        let plan = plan(&hosts, &["10.255.0.10".parse().unwrap()]).unwrap();
        assert_eq!(
            plan.hosts.iter().map(|h| h[0].to_string()).collect::<Vec<_>>(),
            ["10.255.0.12/24", "10.255.0.11/24", "10.255.0.13/24"]
        );
    }

    #[test]
    fn conflicts_and_useless_addresses_are_refused() {
        for list in [
            &[("a", "10.0.0.1"), ("b", "10.0.0.1")][..],
            &[("a", "10.0.0.1"), ("a", "10.0.0.2")],
            &[("a", "127.0.0.1")],
            &[("a", "fe80::1")],
            &[("a", "224.0.0.1")],
        ] {
            assert!(plan(&specs(list), &[]).is_err(), "{list:?}");
        }
    }

    #[test]
    fn a_host_reaches_other_subnets_strays_and_the_controller() {
        let hosts = specs(&[("a", "10.10.10.10"), ("b", "10.10.20.10")]);
        let reserved = ["10.10.10.2".parse().unwrap(), "10.99.0.2".parse().unwrap()];
        let plan = plan(&hosts, &reserved).unwrap();
        assert_eq!(
            host_network(&plan.hosts[0], &plan.controller, &reserved),
            "link set lo up\nlink set eth0 up\naddr add 10.10.10.10/24 dev eth0\n\
             route add 10.10.20.0/24 dev eth0\nroute add 10.99.0.2 dev eth0\n\
             route add default via 10.10.10.254 dev eth0\n"
        );
    }

    #[test]
    fn names_lead_to_addresses_and_addresses_are_not_names() {
        let mut named = HostSpec::new("etcd_1.dc", "10.0.0.1".parse().ok());
        named.aliases = vec!["etcd.example.com".into()];
        let plain = HostSpec::new("10.0.0.2", None);
        let plan = plan(&[named.clone(), plain.clone()], &[]).unwrap();
        let block = hosts_block(&[(&named, &plan.hosts[0]), (&plain, &plan.hosts[1])], &plan.controller);
        assert_eq!(
            block,
            "# quorate-lab begin\n10.0.0.1 etcd_1.dc etcd-1.dc etcd-1 etcd.example.com\n\
             10.0.0.2 node-10-0-0-2\n10.0.0.254 controller.quorate-lab\n# quorate-lab end\n"
        );
    }

    #[test]
    fn a_block_is_replaced_in_place_of_the_old_one() {
        let old = "127.0.0.1 localhost\n# quorate-lab begin\n1.1.1.1 x\n# quorate-lab end\n10.0.0.9 mine\n";
        let block = "# quorate-lab begin\n2.2.2.2 y\n# quorate-lab end\n";
        let new = with_block(old, block);
        assert_eq!(new, format!("127.0.0.1 localhost\n10.0.0.9 mine\n{block}"));
        assert_eq!(with_block(&new, block), new);
    }
}
