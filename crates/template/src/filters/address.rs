//! `ansible.utils`: the family of `ipaddr`, and hardware addresses.

use super::{Filter, filter};
use crate::addresses::{Net, grouped, hardware, hardware_bytes, merge};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::rt::{Map, V};
use num_bigint::BigInt;
use quorate_value::{Key, Str, str_repr};
use std::net::Ipv6Addr;
use std::rc::Rc;

pub(super) static FILTERS: [Filter; 20] = [
    filter("ansible.utils.cidr_merge", cidr_merge),
    filter("ansible.utils.hwaddr", hwaddr),
    filter("ansible.utils.ip4_hex", ip4_hex),
    filter("ansible.utils.ipaddr", ipaddr),
    filter("ansible.utils.ipcut", ipcut),
    filter("ansible.utils.ipmath", ipmath),
    filter("ansible.utils.ipsubnet", ipsubnet),
    filter("ansible.utils.ipv4", ipv4),
    filter("ansible.utils.ipv6", ipv6),
    filter("ansible.utils.ipv6form", ipv6form),
    filter("ansible.utils.ipwrap", ipwrap),
    filter("ansible.utils.macaddr", macaddr),
    filter("ansible.utils.network_in_network", network_in_network),
    filter("ansible.utils.network_in_usable", network_in_usable),
    filter("ansible.utils.next_nth_usable", next_nth_usable),
    filter("ansible.utils.nthhost", nthhost),
    filter("ansible.utils.previous_nth_usable", previous_nth_usable),
    filter("ansible.utils.reduce_on_network", reduce_on_network),
    filter("ansible.utils.slaac", slaac),
    filter("ansible.utils.usable_range", usable_range),
];

const NO: V = V::Bool(false);

/// A value as it was given: the address, whether a prefix was written, and the text.
struct Given {
    net: Net,
    written: bool,
    text: String,
}

impl Given {
    fn of(value: &V) -> Option<Given> {
        match value {
            V::Int(number) => {
                let ip = u128::try_from(*number).ok().filter(|ip| *ip > 0)?;
                Some(Given::number(ip))
            }
            V::Big(number) => Some(Given::number(u128::try_from(&**number).ok()?)),
            V::Str(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Some(Given::number(text.parse().ok()?))
            }
            V::Str(text) => {
                let (net, written) = Net::parse(text)?;
                Some(Given { net, written, text: text.to_string() })
            }
            _ => None,
        }
    }

    fn number(ip: u128) -> Given {
        let net = Net::host(ip, ip > u128::from(u32::MAX));
        Given { net, written: false, text: net.show(ip) }
    }

    /// The address with the prefix that was written.
    fn show(&self) -> String {
        if self.written { self.net.cidr(self.net.ip) } else { self.net.show(self.net.ip) }
    }

    fn is_network(&self) -> bool {
        !self.net.is_single() && self.net.ip == self.net.first()
    }
}

fn number(value: u128) -> V {
    V::integer(BigInt::from(value))
}

fn text(value: String) -> V {
    V::text(value)
}

fn not_a_network() -> Error {
    Error::runtime("Not a network address")
}

/// One query of `ipaddr`.
fn ask(given: &Given, query: &str) -> Result<V> {
    let net = given.net;
    let show = |ip: u128| text(net.show(ip));
    let when = |holds: bool, value: V| Ok(if holds { value } else { V::Null });
    let usable = |value: V| if net.is_single() { Err(not_a_network()) } else { Ok(value) };
    Ok(match query {
        "" => text(given.show()),
        "address" | "ip" => {
            let has_broadcast = !net.v6 && net.size_less_one() > 1;
            return when(!has_broadcast || !given.is_network(), show(net.ip));
        }
        "host" => return when(!given.is_network(), text(net.cidr(net.ip))),
        "address/prefix" | "gw" | "gateway" | "router" | "host/prefix" | "hostnet" => {
            if given.is_network() {
                NO
            } else {
                text(net.cidr(net.ip))
            }
        }
        "ip/prefix" => return when(!given.is_network() && !net.is_single(), text(net.cidr(net.ip))),
        "cidr" => text(net.cidr(net.ip)),
        "net" => return when(given.is_network(), text(net.cidr(net.first()))),
        "network" | "network_id" => show(net.first()),
        "subnet" | "network/prefix" => text(net.cidr(net.first())),
        "netmask" => show(net.mask()),
        "hostmask" | "wildcard" => show(net.host_mask()),
        "prefix" => V::Int(i64::from(net.prefix)),
        "size" => V::integer(BigInt::from(net.size_less_one()) + 1),
        "size_usable" => match net.size_less_one() {
            0 => V::Int(0),
            1 => V::Int(2),
            more => number(more - 1),
        },
        "broadcast" => return when(net.size_less_one() > 1, show(net.last())),
        "int" if given.written => text(format!("{}/{}", net.ip, net.prefix)),
        "int" => number(net.ip),
        "revdns" => text(net.reverse()),
        "version" => V::Int(if net.v6 { 6 } else { 4 }),
        "type" => V::str(if given.is_network() { "network" } else { "address" }),
        "bool" => V::Bool(true),
        "ip_netmask" => {
            let pair = format!("{} {}", net.show(net.ip), net.show(net.mask()));
            return when(!net.is_single() && !given.is_network(), text(pair));
        }
        "network_netmask" => text(format!("{} {}", net.show(net.first()), net.show(net.mask()))),
        "network_wildcard" => text(format!("{} {}", net.show(net.first()), net.show(net.host_mask()))),
        "first_usable" => return usable(show(net.first_usable())),
        "last_usable" => return usable(show(net.last_usable())),
        "range_usable" => {
            return usable(text(format!("{}-{}", net.show(net.first_usable()), net.show(net.last_usable()))));
        }
        "next_usable" => {
            usable(V::Null)?;
            return when(net.ip < net.last_usable(), show(net.ip.saturating_add(1)));
        }
        "previous_usable" => {
            usable(V::Null)?;
            return when(net.ip > net.first_usable(), show(net.ip.saturating_sub(1)));
        }
        "peer" => match net.size_less_one() {
            0 => return Err(not_a_network()),
            1 => show(if net.ip == net.first() { net.last() } else { net.first() }),
            3 if net.ip != net.first() && net.ip != net.last() => show(net.first() + net.last() - net.ip),
            3 if net.ip == net.first() => {
                return Err(Error::runtime("Network address of /30 has no peer"));
            }
            3 => return Err(Error::runtime("Broadcast address of /30 has no peer")),
            _ => return Err(Error::runtime("Not a point-to-point network")),
        },
        "public" => return when(net.is_public(), text(given.text.clone())),
        "private" => return when(net.is_private(), text(given.text.clone())),
        "multicast" => return when(net.is_multicast(), text(given.show())),
        "unicast" => return when(!net.is_multicast(), text(given.show())),
        "loopback" | "lo" => return when(net.is_loopback(), text(given.show())),
        "link-local" => return when(net.is_link_local(), text(given.show())),
        "ipv4" => match (net.v6, net.ip >> 32) {
            (false, _) => text(given.show()),
            (true, 0xffff) => {
                let v4 = Net { v6: false, ip: net.ip & 0xffff_ffff, prefix: net.prefix.saturating_sub(96) };
                text(v4.cidr(v4.ip))
            }
            _ => NO,
        },
        "ipv6" if net.v6 => text(given.show()),
        "ipv6" => {
            let mapped = Net { v6: true, ip: net.ip | 0xffff << 32, prefix: net.prefix + 96 };
            text(mapped.cidr(mapped.ip))
        }
        "6to4" => {
            if net.v6 {
                return Ok(if net.ip >> 112 == 0x2002 { text(given.text.clone()) } else { NO });
            }
            if given.is_network() {
                return Ok(NO);
            }
            text(format!("2002:{:04x}:{:04x}::1/48", net.ip >> 16, net.ip & 0xffff))
        }
        "wrap" => text(wrap(given)),
        other => match (other.parse::<i128>(), Net::parse(other)) {
            (Ok(index), _) => nth(given, index),
            (_, Some((network, _))) => {
                return when(network.contains(net), text(given.show()));
            }
            _ => {
                return Err(Error::runtime(format!("unknown filter type: {other}")));
            }
        },
    })
}

/// The address at a position of the network, counted from the end where negative.
fn nth(given: &Given, index: i128) -> V {
    let net = given.net;
    if net.is_single() {
        return text(given.show());
    }
    match position(net, index) {
        Some(ip) => text(net.cidr(ip)),
        None => NO,
    }
}

fn position(net: Net, index: i128) -> Option<u128> {
    let size = net.size_less_one();
    let offset = if index < 0 {
        (size + 1)
            .checked_sub(index.unsigned_abs())
            .or_else(|| (size == u128::MAX).then(|| size - (index.unsigned_abs() - 1)))?
    } else {
        index as u128
    };
    (offset <= size).then(|| net.first() + offset)
}

fn wrap(given: &Given) -> String {
    match (given.net.v6, given.written) {
        (false, _) => given.show(),
        (true, true) => format!("[{}]/{}", given.net.show(given.net.ip), given.net.prefix),
        (true, false) => format!("[{}]", given.net.show(given.net.ip)),
    }
}

fn query_text(vm: &Vm, query: Option<V>) -> Result<Str> {
    match query {
        None | Some(V::Null) => Ok(Str::default()),
        Some(query) => vm.to_text(&query),
    }
}

fn family(vm: &Vm, value: &V, query: &str, version: Option<bool>) -> Result<V> {
    match value {
        V::List(_) | V::Tuple(_) => {
            let mut out = Vec::new();
            for item in vm.iterate(value)? {
                let found = family(vm, &item, query, version)?;
                if vm.truth(&found)? {
                    out.push(found);
                }
            }
            Ok(V::list(out))
        }
        V::Bool(_) | V::Int(_) | V::Big(_) | V::Str(_) => match Given::of(value) {
            Some(given) if version.is_none_or(|v6| given.net.v6 == v6) => ask(&given, query),
            _ => Ok(NO),
        },
        V::Undefined(error) => Err((**error).clone()),
        other => Err(Error::runtime(format!(
            "Unrecognized type <<class '{}'>> for ipaddr filter <value>",
            other.type_name()
        ))),
    }
}

fn ipaddr(vm: &Vm, args: Args) -> Result<V> {
    let [value, query, version, _] = args.bind("ipaddr", ["value", "query", "version", "alias"], 1)?;
    let version = match version {
        None | Some(V::Null) => None,
        Some(version) => Some(whole(&version)? == 6),
    };
    family(vm, &value.unwrap_or(V::Null), &query_text(vm, query)?, version)
}

fn ipv4(vm: &Vm, args: Args) -> Result<V> {
    let [value, query] = args.bind("ipv4", ["value", "query"], 1)?;
    family(vm, &value.unwrap_or(V::Null), &query_text(vm, query)?, Some(false))
}

fn ipv6(vm: &Vm, args: Args) -> Result<V> {
    let [value, query] = args.bind("ipv6", ["value", "query"], 1)?;
    family(vm, &value.unwrap_or(V::Null), &query_text(vm, query)?, Some(true))
}

/// IPv6 addresses in brackets; everything else as it is.
fn ipwrap(vm: &Vm, args: Args) -> Result<V> {
    let [value, _] = args.bind("ipwrap", ["value", "query"], 1)?;
    let one = |value: &V| match Given::of(value).filter(|given| given.net.v6) {
        Some(given) => text(wrap(&given)),
        None => value.clone(),
    };
    match value.unwrap_or(V::Null) {
        list @ (V::List(_) | V::Tuple(_)) => Ok(V::list(vm.iterate(&list)?.iter().map(one).collect())),
        other => Ok(one(&other)),
    }
}

/// The given value, or nothing where it is no address.
fn first(args: &[Option<V>]) -> Option<Given> {
    args.first()?.as_ref().and_then(Given::of)
}

fn ipsubnet(vm: &Vm, args: Args) -> Result<V> {
    let bound = args.bind("ipsubnet", ["value", "query", "index"], 1)?;
    let Some(given) = first(&bound) else { return Ok(NO) };
    let [_, query, index] = bound;
    let query = query_text(vm, query)?;
    let net = given.net;
    if query.is_empty() {
        return Ok(text(net.cidr(net.first())));
    }
    let Ok(size) = query.parse::<u8>() else {
        // The rank of the value among the subnets of its size.
        let Some((whole, _)) = Net::parse(&query) else { return Ok(NO) };
        if !whole.contains(net) {
            return Err(Error::runtime(format!(
                "{} is not in the subnet {}",
                net.cidr(net.ip),
                whole.cidr(whole.ip)
            )));
        }
        let rank = (net.first() - whole.first()) >> (net.bits() - net.prefix).min(127);
        return Ok(text((rank + 1).to_string()));
    };
    if size > net.bits() {
        return Ok(NO);
    }
    let index = match index {
        None | Some(V::Null) => None,
        Some(V::Str(text)) => text.parse::<i128>().ok(),
        Some(index) => Some(i128::from(whole(&index)?)),
    };
    let larger = |prefix: u8| {
        let net = Net { prefix, ..net };
        text(net.cidr(net.first()))
    };
    if size < net.prefix {
        // The networks around it, the largest first.
        let index = match index {
            None if net.is_single() => 0,
            None => {
                return Err(Error::runtime(format!("Requested subnet size of {size} is invalid")));
            }
            Some(index) => index,
        };
        let count = i128::from(net.prefix - size);
        let at = if index < 0 { index + count } else { index };
        return Ok(if (0..count).contains(&at) { larger(size + at as u8) } else { NO });
    }
    let shift = size - net.prefix;
    let Some(index) = index else {
        return Ok(text((BigInt::from(1) << u32::from(shift)).to_string()));
    };
    let count = if shift >= 127 { i128::MAX } else { 1i128 << shift };
    let at = if index < 0 { index + count } else { index };
    if !(0..count).contains(&at) {
        return Ok(NO);
    }
    let step = net.bits() - size;
    let part = Net { prefix: size, ip: net.first() + ((at as u128) << step.min(127)), ..net };
    Ok(text(part.cidr(part.ip)))
}

fn ipmath(vm: &Vm, args: Args) -> Result<V> {
    let [value, amount] = args.bind("ipmath", ["value", "amount"], 2)?;
    let value = value.unwrap_or(V::Null);
    let Some(given) = Given::of(&value) else {
        return Err(Error::runtime(format!(
            "You must pass a valid IP address; {} is invalid",
            vm.to_str(&value)?
        )));
    };
    let amount = match amount.unwrap_or(V::Null) {
        V::Str(text) => text.trim().parse::<i64>().map_err(|_| {
            Error::runtime(format!(
                "argument 'amount' is of type str and we were unable to convert to int: {}",
                str_repr(&text)
            ))
        })?,
        other => whole(&other)?,
    };
    let ip = BigInt::from(given.net.ip) + amount;
    let limit = Net { prefix: 0, ..given.net }.last();
    match u128::try_from(ip).ok().filter(|ip| *ip <= limit) {
        Some(ip) => Ok(text(given.net.show(ip))),
        None => Err(Error::runtime("result outside valid IP address boundary!")),
    }
}

fn nthhost(vm: &Vm, args: Args) -> Result<V> {
    let bound = args.bind("nthhost", ["value", "query"], 2)?;
    let Some(given) = first(&bound).filter(|given| !given.net.is_single()) else { return Ok(NO) };
    let [_, index] = bound;
    let index = query_text(vm, index)?;
    let Some(ip) = index.parse().ok().and_then(|index| position(given.net, index)) else { return Ok(NO) };
    Ok(text(given.net.show(ip)))
}

fn usable_at(args: Args, function: &'static str, sign: i64) -> Result<V> {
    let bound = args.bind(function, ["value", "offset"], 2)?;
    let Some(given) = first(&bound).filter(|given| !given.net.is_single()) else { return Ok(V::Null) };
    let [_, offset] = bound;
    let offset = whole(&offset.unwrap_or(V::Null))? * sign;
    let net = given.net;
    let ip = BigInt::from(net.ip) + offset;
    let found = u128::try_from(ip).ok().filter(|ip| (net.first_usable()..=net.last_usable()).contains(ip));
    Ok(found.map_or(V::Null, |ip| text(net.show(ip))))
}

fn next_nth_usable(_: &Vm, args: Args) -> Result<V> {
    usable_at(args, "next_nth_usable", 1)
}

fn previous_nth_usable(_: &Vm, args: Args) -> Result<V> {
    usable_at(args, "previous_nth_usable", -1)
}

fn two(args: Args, function: &'static str) -> Result<Option<(Net, Net)>> {
    let [a, b] = args.bind(function, ["value", "test"], 2)?;
    let net = |value: &Option<V>| value.as_ref().and_then(Given::of).map(|given| given.net);
    Ok(net(&a).zip(net(&b)))
}

fn network_in_network(_: &Vm, args: Args) -> Result<V> {
    Ok(V::Bool(two(args, "network_in_network")?.is_some_and(|(whole, part)| whole.contains(part))))
}

fn network_in_usable(_: &Vm, args: Args) -> Result<V> {
    Ok(V::Bool(two(args, "network_in_usable")?.is_some_and(|(whole, part)| {
        whole.v6 == part.v6 && whole.first_usable() <= part.first() && part.last() <= whole.last_usable()
    })))
}

fn reduce_on_network(vm: &Vm, args: Args) -> Result<V> {
    let [value, network] = args.bind("reduce_on_network", ["value", "network"], 2)?;
    let Some(network) = network.as_ref().and_then(Given::of) else { return Ok(V::list(Vec::new())) };
    let mut out = Vec::new();
    for item in vm.iterate(&value.unwrap_or(V::Null))? {
        if Given::of(&item).is_some_and(|given| network.net.contains(given.net)) {
            out.push(item);
        }
    }
    Ok(V::list(out))
}

fn cidr_merge(vm: &Vm, args: Args) -> Result<V> {
    let [value, action] = args.bind("cidr_merge", ["value", "action"], 1)?;
    let action = action.map_or(Ok(Str::new("merge")), |action| vm.to_text(&action))?;
    let mut nets = Vec::new();
    for item in vm.iterate(&value.unwrap_or(V::Null))? {
        match Given::of(&item) {
            Some(given) => nets.push(given.net),
            None => {
                return Err(Error::runtime(format!(
                    "cidr_merge: error in netaddr:\ninvalid IPNetwork {}",
                    vm.to_str(&item)?
                )));
            }
        }
    }
    match action.as_str() {
        "merge" => Ok(V::list(merge(nets).iter().map(|net| text(net.cidr(net.ip))).collect())),
        "span" => {
            let (Some(low), Some(high)) =
                (nets.iter().map(|net| net.first()).min(), nets.iter().map(|net| net.last()).max())
            else {
                return Ok(V::Null);
            };
            if let Some(other) = nets.iter().find(|net| net.v6 != nets[0].v6) {
                return Err(Error::runtime(format!(
                    "cidr_merge: error in netaddr:\n{} is of another family",
                    other.cidr(other.ip)
                )));
            }
            let mut net = nets[0];
            while net.first() > low || net.last() < high {
                net.prefix -= 1;
            }
            Ok(text(net.cidr(net.first())))
        }
        other => Err(Error::runtime(format!("cidr_merge: invalid action '{other}'"))),
    }
}

fn spelled(vm: &Vm, args: Args, alias: &'static str) -> Result<V> {
    let [value, query, _] = args.bind(alias, ["value", "query", "alias"], 1)?;
    let value = value.unwrap_or(V::Null);
    let query = query_text(vm, query)?;
    let shown = vm.to_text(&value)?;
    if let (V::Int(_), "") = (&value, query.as_str()) {
        return Ok(V::Str(shown));
    }
    let Some(address) = hardware(&shown) else {
        return match query.as_str() {
            "" => Ok(V::Null),
            "bool" => Ok(V::Null),
            _ => Err(Error::runtime(format!("{alias}: not a hardware address: {}", shown.as_str()))),
        };
    };
    let bytes = hardware_bytes(address);
    Ok(match query.as_str() {
        "" => value,
        "bool" => V::Bool(true),
        "int" => V::Int(address as i64),
        "linux" => text(grouped(&bytes, 1, ":")),
        "win" | "eui48" => text(grouped(&bytes, 1, "-").to_uppercase()),
        "cisco" => text(grouped(&bytes, 2, ".")),
        "bare" => text(grouped(&bytes, 6, "").to_uppercase()),
        "pgsql" | "postgresql" | "psql" => text(grouped(&bytes, 3, ":")),
        "unix" => text(bytes.map(|byte| format!("{byte:x}")).join(":")),
        other => return Err(Error::runtime(format!("{alias}: unknown filter type: {other}"))),
    })
}

fn hwaddr(vm: &Vm, args: Args) -> Result<V> {
    spelled(vm, args, "hwaddr")
}

fn macaddr(vm: &Vm, args: Args) -> Result<V> {
    spelled(vm, args, "macaddr")
}

/// The address that a host gives itself in a network.
fn slaac(vm: &Vm, args: Args) -> Result<V> {
    let bound = args.bind("slaac", ["value", "query"], 2)?;
    let Some(given) = first(&bound).filter(|given| given.net.v6) else { return Ok(NO) };
    let [_, mac] = bound;
    let Some(mac) = hardware(&vm.to_text(&mac.unwrap_or(V::Null))?) else { return Ok(NO) };
    let [a, b, c, d, e, f] = hardware_bytes(mac).map(u64::from);
    let id = (a ^ 2) << 56 | b << 48 | c << 40 | 0xff << 32 | 0xfe << 24 | d << 16 | e << 8 | f;
    let network = given.net.first() >> 64 << 64;
    Ok(text(given.net.show(network | u128::from(id))))
}

fn ip4_hex(vm: &Vm, args: Args) -> Result<V> {
    let [value, delimiter] = args.bind("ip4_hex", ["arg", "delimiter"], 1)?;
    let delimiter = query_text(vm, delimiter)?;
    let value = value.unwrap_or(V::Null);
    let Some(given) = Given::of(&value).filter(|given| !given.net.v6) else {
        return Err(Error::runtime(format!("{} is no IPv4 address", vm.to_repr(&value)?)));
    };
    let octets: Vec<String> =
        (0..4).rev().map(|at| format!("{:02x}", given.net.ip >> (8 * at) & 0xff)).collect();
    Ok(text(octets.join(&delimiter)))
}

/// How many addresses `usable_range` lists.
const MAX_RANGE: u128 = 1 << 16;

fn usable_range(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("usable_range", ["ip"], 1)?;
    let value = value.unwrap_or(V::Null);
    let wrong = |what: String| Error::runtime(format!("Error while using plugin 'usable_range': {what}"));
    let Some(given) = Given::of(&value) else {
        return Err(wrong(format!("{} does not appear to be an IPv4 or IPv6 network", vm.to_repr(&value)?)));
    };
    let net = given.net;
    if net.ip != net.first() {
        return Err(wrong(format!("{} has host bits set", given.text)));
    }
    if net.size_less_one() >= MAX_RANGE {
        return Err(wrong(format!("{} has more than {MAX_RANGE} addresses", given.text)));
    }
    let ips: Vec<V> = (net.first()..=net.last()).map(|ip| text(net.show(ip))).collect();
    let count = V::size(ips.len());
    let entries = [(Key::from("usable_ips"), V::list(ips)), (Key::from("number_of_ips"), count)];
    Ok(V::Dict(Rc::new(Map::own(entries.into_iter().collect()))))
}

/// The first bits of an IPv6 address, or the last where negative, as groups.
fn ipcut(vm: &Vm, args: Args) -> Result<V> {
    let bound = args.bind("ipcut", ["value", "amount"], 2)?;
    let Some(given) = first(&bound).filter(|given| given.net.v6) else {
        let shown = bound[0].as_ref().map_or(Ok(String::new()), |value| vm.to_str(value))?;
        return Err(Error::runtime(format!("You must pass a valid IPv6 address; {shown} is invalid")));
    };
    let amount = whole(&bound[1].clone().unwrap_or(V::Null))?;
    let bits = format!("{:0128b}", given.net.ip);
    let count = usize::try_from(amount.unsigned_abs()).unwrap_or(128).min(128);
    let part = if amount < 0 { &bits[128 - count..] } else { &bits[..count] };
    let groups: Vec<String> = part
        .as_bytes()
        .chunks(16)
        .map(|chunk| {
            let value = chunk.iter().fold(0u32, |sum, bit| sum << 1 | u32::from(bit - b'0'));
            format!("{value:x}")
        })
        .collect();
    Ok(text(groups.join(":")))
}

fn ipv6form(vm: &Vm, args: Args) -> Result<V> {
    let bound = args.bind("ipv6form", ["value", "format"], 2)?;
    let Some(given) = first(&bound).filter(|given| given.net.v6) else {
        let shown = bound[0].as_ref().map_or(Ok(String::new()), |value| vm.to_str(value))?;
        return Err(Error::runtime(format!("You must pass a valid IPv6 address; {shown} is invalid")));
    };
    let segments = Ipv6Addr::from(given.net.ip).segments();
    let form = query_text(vm, bound[1].clone())?;
    Ok(text(match form.as_str() {
        "expand" => segments.map(|segment| format!("{segment:04x}")).join(":"),
        "x509" => segments.map(|segment| format!("{segment:x}")).join(":"),
        "compress" => given.net.show(given.net.ip),
        other => return Err(Error::runtime(format!("ipv6form: unknown format: {other}"))),
    }))
}
