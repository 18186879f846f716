//! Network facts: interfaces, addresses, the way out.

use super::Host;
use crate::system::netlink::{self, Address, Family, Route};
use quorate_value::{Dict, Value, dict};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where packets to the world go; only the kernel is asked, nothing is sent.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2404, 0x6800, 0x400a, 0x800, 0, 0, 0, 0x1012));

/// What the kernel says.
#[derive(Debug, Default)]
struct Kernel {
    addresses: Vec<Address>,
    way_v4: Option<Route>,
    way_v6: Option<Route>,
    local_v4: Vec<Route>,
    local_v6: Vec<Route>,
}

/// All network facts.
pub fn network(host: &Host) -> Dict {
    let kernel = if host.is_live() {
        Kernel {
            addresses: netlink::addresses().unwrap_or_default(),
            way_v4: netlink::route_to(FAR_V4).ok(),
            way_v6: netlink::route_to(FAR_V6).ok(),
            local_v4: netlink::local_routes(Family::V4).unwrap_or_default(),
            local_v6: netlink::local_routes(Family::V6).unwrap_or_default(),
        }
    } else {
        Kernel::default()
    };
    describe(host, &kernel)
}

fn describe(host: &Host, kernel: &Kernel) -> Dict {
    let names: Vec<String> =
        host.list("/sys/class/net").into_iter().filter(|name| name != "bonding_masters").collect();
    let mut numbers: HashMap<u32, String> = HashMap::new();
    let mut interfaces: Vec<(String, Dict)> = Vec::new();
    for name in &names {
        let file = |file: &str| host.line(&format!("/sys/class/net/{name}/{file}"));
        // `/sys` may show another network namespace than the one we are in.
        let own = if host.is_live() { netlink::interface_number(name) } else { None };
        if let Some(number) = own.or_else(|| file("ifindex").and_then(|text| text.parse().ok())) {
            numbers.insert(number, name.clone());
        }
        interfaces.push((name.clone(), device(host, name)));
    }
    let mut all = Found::new(kernel, &numbers);
    // Primary addresses of an interface come first, as `ip addr show primary` has them.
    for secondary in [false, true] {
        for name in &names {
            let own = kernel.addresses.iter().filter(|address| {
                address.secondary == secondary && numbers.get(&address.interface) == Some(name)
            });
            for address in own {
                all.add(&mut interfaces, name, address);
            }
        }
    }
    let mut facts = dict! {
        "interfaces" => interfaces.iter().map(|(name, _)| name.as_str()).collect::<Value>(),
        "all_ipv4_addresses" => all.v4.iter().map(String::as_str).collect::<Value>(),
        "all_ipv6_addresses" => all.v6.iter().map(String::as_str).collect::<Value>(),
        "default_ipv4" => all.default_v4.unwrap_or_default(),
        "default_ipv6" => all.default_v6.unwrap_or_default(),
        "locally_reachable_ips" => dict! {
            "ipv4" => reachable(&kernel.local_v4),
            "ipv6" => reachable(&kernel.local_v6),
        },
    };
    for (name, interface) in interfaces {
        facts.insert(name.replace(['-', ':'], "_"), interface);
    }
    facts
}

fn reachable(routes: &[Route]) -> Value {
    let mut found: Vec<(IpAddr, String)> = routes
        .iter()
        .filter_map(|route| {
            let address = route.destination?;
            let full = if address.is_ipv4() { 32 } else { 128 };
            let text = if route.prefix == full {
                address.to_string()
            } else {
                format!("{address}/{}", route.prefix)
            };
            Some((address, text))
        })
        .collect();
    found.dedup();
    found.into_iter().map(|(_, text)| text).collect()
}

/// What `/sys` says about an interface.
fn device(host: &Host, name: &str) -> Dict {
    let base = format!("/sys/class/net/{name}");
    let file = |file: &str| host.line(&format!("{base}/{file}"));
    let number = |file_name: &str| file(file_name).and_then(|text| text.parse::<i64>().ok());
    let mut facts = dict! {"device" => name};
    if let Some(address) = file("address").filter(|address| address != "00:00:00:00:00:00") {
        facts.insert("macaddress", address);
    }
    if let Some(mtu) = number("mtu") {
        facts.insert("mtu", mtu);
    }
    let flags = file("flags").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    match file("operstate") {
        Some(state) => facts.insert("active", state != "down"),
        None => None,
    };
    // `lo` has the state `unknown`; an interface that is not up cannot be active.
    if flags.is_some_and(|flags| flags & 1 == 0) {
        facts.insert("active", false);
    }
    if let Some(module) = host.link(&format!("{base}/device/driver/module")) {
        facts.insert("module", module.rsplit('/').next().unwrap_or_default());
    }
    if let Some(kind) = number("type") {
        let kind = match kind {
            1 => "ether",
            32 => "infiniband",
            512 => "ppp",
            772 => "loopback",
            65534 => "tunnel",
            _ => "unknown",
        };
        facts.insert("type", kind);
    }
    if host.exists(&format!("{base}/bridge")) {
        facts.insert("type", "bridge");
        let members = host.list(&format!("{base}/brif"));
        facts.insert("interfaces", members.iter().map(String::as_str).collect::<Value>());
        if let Some(id) = file("bridge/bridge_id") {
            facts.insert("id", id);
        }
        if let Some(state) = file("bridge/stp_state") {
            facts.insert("stp", state == "1");
        }
    }
    if host.exists(&format!("{base}/bonding")) {
        facts.insert("type", "bonding");
        let text = |name: &str| file(&format!("bonding/{name}")).unwrap_or_default();
        facts.insert("slaves", text("slaves").split_whitespace().collect::<Value>());
        facts.insert("mode", text("mode").split_whitespace().next().unwrap_or_default());
        facts.insert("miimon", text("miimon"));
        facts.insert("lacp_rate", text("lacp_rate").split_whitespace().next().unwrap_or_default());
        if let Some(primary) = file("bonding/primary") {
            facts.insert("primary", primary);
            if let Some(selected) = file("bonding/all_slaves_active") {
                facts.insert("all_slaves_active", selected == "1");
            }
        }
    }
    if host.exists(&format!("{base}/bonding_slave")) {
        let text = |name: &str| file(&format!("bonding_slave/{name}"));
        if let Some(address) = text("perm_hwaddr") {
            facts.insert("perm_macaddress", address);
        }
    }
    if let Some(target) = host.link(&format!("{base}/device")) {
        facts.insert("pciid", target.rsplit('/').next().unwrap_or_default());
    }
    if let Some(speed) = number("speed") {
        facts.insert("speed", speed);
    }
    if let Some(flags) = flags {
        facts.insert("promisc", flags & 0x100 != 0);
    }
    facts
}

/// Facts about addresses as they come together.
struct Found<'a> {
    kernel: &'a Kernel,
    v4: Vec<String>,
    v6: Vec<String>,
    default_v4: Option<Dict>,
    default_v6: Option<Dict>,
}

impl<'a> Found<'a> {
    fn new(kernel: &'a Kernel, numbers: &HashMap<u32, String>) -> Self {
        let start = |route: &Option<Route>| {
            let route = route.as_ref()?;
            let mut way = dict! {"interface" => numbers.get(&route.interface?)?.as_str()};
            if let Some(source) = route.source {
                way.insert("address", source.to_string());
            }
            if let Some(gateway) = route.gateway {
                way.insert("gateway", gateway.to_string());
            }
            Some(way)
        };
        Found {
            kernel,
            v4: vec![],
            v6: vec![],
            default_v4: start(&kernel.way_v4),
            default_v6: start(&kernel.way_v6),
        }
    }

    fn add(&mut self, interfaces: &mut Vec<(String, Dict)>, name: &str, address: &Address) {
        match address.local {
            IpAddr::V4(local) => self.add_v4(interfaces, name, address, local),
            IpAddr::V6(local) => self.add_v6(interfaces, name, address, local),
        }
    }

    fn add_v4(&mut self, interfaces: &mut Vec<(String, Dict)>, name: &str, seen: &Address, local: Ipv4Addr) {
        let (prefix, broadcast) = match seen.peer {
            Some(_) => (32, String::new()),
            None => (seen.prefix, seen.broadcast.map(|address| address.to_string()).unwrap_or_default()),
        };
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let network = Ipv4Addr::from(u32::from(local) & mask).to_string();
        let netmask = Ipv4Addr::from(mask).to_string();
        let entry = dict! {
            "address" => local.to_string(),
            "broadcast" => broadcast.as_str(),
            "netmask" => netmask.as_str(),
            "network" => network.as_str(),
            "prefix" => prefix.to_string(),
        };
        let label = seen.label.as_deref().unwrap_or(name);
        if !interfaces.iter().any(|(known, _)| known == label) {
            interfaces.push((label.to_owned(), Dict::new()));
        }
        let mut put = |target: &str, secondary: bool| {
            let Some((_, interface)) = interfaces.iter_mut().find(|(known, _)| known == target) else {
                return;
            };
            if !secondary && !interface.contains_key("ipv4") {
                interface.insert("ipv4", entry.clone());
                return;
            }
            let mut list =
                interface.get("ipv4_secondaries").and_then(Value::as_list).unwrap_or_default().to_vec();
            list.push(Value::dict(entry.clone()));
            interface.insert("ipv4_secondaries", list);
        };
        put(label, seen.secondary);
        if seen.secondary && label != name {
            put(name, true);
        }
        let is_default = self.kernel.way_v4.as_ref().is_some_and(|way| way.source == Some(seen.local));
        if let Some(default) = self.default_v4.as_mut().filter(|_| is_default) {
            default.extend(dict! {
                "broadcast" => broadcast, "netmask" => netmask, "network" => network,
                "prefix" => prefix.to_string(), "alias" => label,
            });
            copy_link(default, interfaces, name);
        }
        if !local.is_loopback() {
            self.v4.push(local.to_string());
        }
    }

    fn add_v6(&mut self, interfaces: &mut [(String, Dict)], name: &str, seen: &Address, local: Ipv6Addr) {
        let entry = dict! {
            "address" => local.to_string(), "prefix" => seen.prefix.to_string(), "scope" => seen.scope,
        };
        if let Some((_, interface)) = interfaces.iter_mut().find(|(known, _)| known == name) {
            let mut list = interface.get("ipv6").and_then(Value::as_list).unwrap_or_default().to_vec();
            list.push(Value::dict(entry));
            interface.insert("ipv6", list);
        }
        let is_default = self.kernel.way_v6.as_ref().is_some_and(|way| way.source == Some(seen.local));
        if let Some(default) = self.default_v6.as_mut().filter(|_| is_default) {
            default.extend(dict! {"prefix" => seen.prefix.to_string(), "scope" => seen.scope});
            copy_link(default, interfaces, name);
        }
        if local != Ipv6Addr::LOCALHOST {
            self.v6.push(local.to_string());
        }
    }
}

fn copy_link(default: &mut Dict, interfaces: &[(String, Dict)], name: &str) {
    let Some((_, interface)) = interfaces.iter().find(|(known, _)| known == name) else { return };
    for key in ["macaddress", "mtu", "type"] {
        if let Some(value) = interface.get(key) {
            default.insert(key, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::to_json;

    fn address(text: &str, label: &str, secondary: bool) -> Address {
        let (local, prefix) = text.split_once('/').unwrap();
        Address {
            interface: 2,
            local: local.parse().unwrap(),
            peer: None,
            prefix: prefix.parse().unwrap(),
            broadcast: None,
            label: (!label.is_empty()).then(|| label.to_owned()),
            scope: "global",
            secondary,
        }
    }

    fn host(tree: &std::path::Path) -> Host {
        let net = tree.join("sys/class/net/eth0");
        std::fs::create_dir_all(&net).unwrap();
        for (file, text) in [
            ("ifindex", "2"),
            ("address", "02:fc:00:00:00:01"),
            ("mtu", "1400"),
            ("type", "1"),
            ("operstate", "up"),
            ("flags", "0x1003"),
        ] {
            std::fs::write(net.join(file), text).unwrap();
        }
        Host::at(tree)
    }

    #[test]
    fn addresses_and_the_way_out() {
        let tree = tempfile::tempdir().unwrap();
        let route = Route {
            destination: Some(FAR_V4),
            prefix: 32,
            gateway: Some("192.0.2.1".parse().unwrap()),
            source: Some("192.0.2.2".parse().unwrap()),
            interface: Some(2),
            local: false,
            table: 254,
        };
        let kernel = Kernel {
            addresses: vec![
                address("192.0.2.3/24", "eth0", true),
                address("192.0.2.2/24", "eth0", false),
                address("198.51.100.7/25", "eth0:1", false),
                address("fd00::2/64", "", false),
            ],
            way_v4: Some(route),
            ..Kernel::default()
        };
        let facts = describe(&host(tree.path()), &kernel);
        let text = |key: &str| to_json(facts.get(key).unwrap());
        assert_eq!(text("all_ipv4_addresses"), r#"["192.0.2.2", "198.51.100.7", "192.0.2.3"]"#);
        let default = facts.get("default_ipv4").unwrap();
        for (key, expected) in [
            ("address", "192.0.2.2"),
            ("gateway", "192.0.2.1"),
            ("interface", "eth0"),
            ("network", "192.0.2.0"),
            ("macaddress", "02:fc:00:00:00:01"),
            ("prefix", "24"),
            ("alias", "eth0"),
        ] {
            assert_eq!(default.get(key).and_then(Value::as_str), Some(expected), "{key}");
        }
        let eth0 = facts.get("eth0").unwrap();
        assert_eq!(eth0.get("active").and_then(Value::as_bool), Some(true));
        let second = &eth0.get("ipv4_secondaries").unwrap().as_list().unwrap()[0];
        assert_eq!(second.get("address").and_then(Value::as_str), Some("192.0.2.3"));
        let labelled = facts.get("eth0_1").unwrap().get("ipv4").unwrap();
        assert_eq!(labelled.get("network").and_then(Value::as_str), Some("198.51.100.0"));
        assert_eq!(text("default_ipv6"), "{}");
    }
}
