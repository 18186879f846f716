//! IP addresses and networks of both families as numbers, and hardware addresses.
//!
//! Not here: what the filters make of them (`filters::address`).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address with a prefix: a host in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) v6: bool,
    pub(crate) ip: u128,
    pub(crate) prefix: u8,
}

impl Net {
    pub(crate) fn bits(self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }

    /// An address alone.
    pub(crate) fn host(ip: u128, v6: bool) -> Net {
        Net { v6, ip, prefix: if v6 { 128 } else { 32 } }
    }

    /// Reads `a.b.c.d`, `a.b.c.d/p`, `a.b.c.d/mask`, and the same of IPv6; and whether a prefix was written.
    pub(crate) fn parse(text: &str) -> Option<(Net, bool)> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let net = if let Ok(ip) = address.parse::<Ipv4Addr>() {
            Net::host(u128::from(u32::from(ip)), false)
        } else {
            Net::host(u128::from(address.parse::<Ipv6Addr>().ok()?), true)
        };
        let Some(prefix) = prefix else { return Some((net, false)) };
        let bits = net.bits();
        let prefix = if !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit()) {
            prefix.parse::<u8>().ok().filter(|prefix| *prefix <= bits)?
        } else {
            let (mask, _) = Net::parse(prefix).filter(|(mask, written)| mask.v6 == net.v6 && !written)?;
            let ones = mask.ip.count_ones() as u8;
            // A netmask, or a hostmask.
            if mask.ip == mask_of(ones, bits) {
                ones
            } else if mask.ip == full(bits) ^ mask_of(bits - ones, bits) {
                bits - ones
            } else {
                return None;
            }
        };
        Some((Net { prefix, ..net }, true))
    }

    pub(crate) fn mask(self) -> u128 {
        mask_of(self.prefix, self.bits())
    }

    pub(crate) fn host_mask(self) -> u128 {
        full(self.bits()) ^ self.mask()
    }

    pub(crate) fn first(self) -> u128 {
        self.ip & self.mask()
    }

    pub(crate) fn last(self) -> u128 {
        self.first() | self.host_mask()
    }

    /// Addresses in it, less one, so that all of IPv6 fits.
    pub(crate) fn size_less_one(self) -> u128 {
        self.host_mask()
    }

    pub(crate) fn is_single(self) -> bool {
        self.prefix == self.bits()
    }

    pub(crate) fn contains(self, other: Net) -> bool {
        self.v6 == other.v6 && self.first() <= other.first() && other.last() <= self.last()
    }

    pub(crate) fn first_usable(self) -> u128 {
        if self.size_less_one() <= 1 { self.first() } else { self.first() + 1 }
    }

    pub(crate) fn last_usable(self) -> u128 {
        if self.size_less_one() <= 1 { self.last() } else { self.last() - 1 }
    }

    pub(crate) fn show(self, ip: u128) -> String {
        show(ip, self.v6)
    }

    /// `address/prefix`
    pub(crate) fn cidr(self, ip: u128) -> String {
        format!("{}/{}", self.show(ip), self.prefix)
    }

    pub(crate) fn is_multicast(self) -> bool {
        if self.v6 { self.ip >> 120 == 0xff } else { self.ip >> 28 == 0xe }
    }

    pub(crate) fn is_loopback(self) -> bool {
        if self.v6 { self.ip == 1 } else { self.ip >> 24 == 127 }
    }

    pub(crate) fn is_link_local(self) -> bool {
        if self.v6 { self.ip >> 118 == 0x3fa } else { self.ip >> 16 == 0xa9fe }
    }

    /// As Python's `ipaddress` has it.
    pub(crate) fn is_private(self) -> bool {
        const V4: [&str; 14] = [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/29",
            "192.0.0.170/31",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "255.255.255.255/32",
        ];
        const V6: [&str; 9] = [
            "::1/128",
            "::/128",
            "::ffff:0:0/96",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
        ];
        let blocks: &[&str] = if self.v6 { &V6 } else { &V4 };
        let host = Net::host(self.ip, self.v6);
        blocks.iter().any(|block| Net::parse(block).is_some_and(|(block, _)| block.contains(host)))
    }

    pub(crate) fn is_reserved(self) -> bool {
        if self.v6 {
            const V6: [&str; 14] = [
                "::/8", "100::/8", "200::/7", "400::/6", "800::/5", "1000::/4", "4000::/3", "6000::/3",
                "8000::/3", "a000::/3", "c000::/3", "e000::/4", "f000::/5", "f800::/6",
            ];
            let host = Net::host(self.ip, true);
            V6.iter().any(|block| Net::parse(block).is_some_and(|(block, _)| block.contains(host)))
        } else {
            self.ip >> 28 == 0xf
        }
    }

    pub(crate) fn is_public(self) -> bool {
        !(self.is_multicast()
            || self.is_private()
            || self.is_loopback()
            || self.is_link_local()
            || self.is_reserved())
    }

    /// The name for reverse DNS.
    pub(crate) fn reverse(self) -> String {
        if self.v6 {
            let nibbles = (0..32).map(|at| format!("{:x}.", self.ip >> (4 * at) & 0xf));
            return nibbles.collect::<String>() + "ip6.arpa.";
        }
        let octets = (0..4).map(|at| format!("{}.", self.ip >> (8 * at) & 0xff));
        octets.collect::<String>() + "in-addr.arpa."
    }
}

fn full(bits: u8) -> u128 {
    if bits == 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// The netmask of a prefix.
pub(crate) fn mask_of(prefix: u8, bits: u8) -> u128 {
    let host = bits - prefix;
    if host == 128 { 0 } else { full(bits) >> host << host }
}

/// An address as text.
pub(crate) fn show(ip: u128, v6: bool) -> String {
    if v6 { Ipv6Addr::from(ip).to_string() } else { Ipv4Addr::from(ip as u32).to_string() }
}

/// The fewest networks that cover the same addresses.
pub(crate) fn merge(mut nets: Vec<Net>) -> Vec<Net> {
    nets.sort_by_key(|net| (net.v6, net.first(), net.prefix));
    let mut out: Vec<Net> = Vec::new();
    for net in nets {
        let net = Net { ip: net.first(), ..net };
        if out.last().is_some_and(|last| last.contains(net)) {
            continue;
        }
        out.push(net);
        // Two halves of one network become it.
        while let [.., a, b] = out.as_slice() {
            let whole = Net { prefix: a.prefix.saturating_sub(1), ..*a };
            if a.v6 != b.v6
                || a.prefix != b.prefix
                || a.prefix == 0
                || whole.first() != a.ip
                || !whole.contains(*b)
            {
                break;
            }
            out.truncate(out.len() - 2);
            out.push(whole);
        }
    }
    out
}

/// A hardware address of 48 bits, in any of the usual spellings.
pub(crate) fn hardware(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split([':', '-', '.']).collect();
    let width = match parts.len() {
        1 => 12,
        2 => 6,
        3 => 4,
        6 => 2,
        _ => return None,
    };
    let mut out = 0u64;
    for part in &parts {
        let short = parts.len() == 6 || parts.len() == 3;
        let fine = if short { !part.is_empty() && part.len() <= width } else { part.len() == width };
        if !fine || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out = out << (4 * width) | u64::from_str_radix(part, 16).ok()?;
    }
    Some(out)
}

/// The six bytes of a hardware address.
pub(crate) fn hardware_bytes(address: u64) -> [u8; 6] {
    let [_, _, bytes @ ..] = address.to_be_bytes();
    bytes
}

/// The bytes in groups, with a separator between groups.
pub(crate) fn grouped(bytes: &[u8; 6], size: usize, separator: &str) -> String {
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % size == 0 {
            out.push_str(separator);
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows() {
        for (text, cidr) in [
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.1/24", "10.0.0.1/24"),
            ("10.0.0.1/255.255.0.0", "10.0.0.1/16"),
            ("10.0.0.1/0.0.0.255", "10.0.0.1/24"),
            ("2001:db8::1/64", "2001:db8::1/64"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1/128"),
        ] {
            let (net, _) = Net::parse(text).unwrap();
            assert_eq!(net.cidr(net.ip), cidr);
        }
        for text in [
            "",
            "x",
            "10.0.0",
            "10.0.0.1/33",
            "10.0.0.1/",
            "300.1.1.1",
            "::1/129",
            "1/2/3",
            "10.0.0.1/255.0.255.0",
        ] {
            assert!(Net::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn merges() {
        let nets = |texts: &[&str]| texts.iter().map(|t| Net::parse(t).unwrap().0).collect::<Vec<_>>();
        let shown = |nets: Vec<Net>| nets.iter().map(|net| net.cidr(net.ip)).collect::<Vec<_>>();
        assert_eq!(shown(merge(nets(&["10.0.0.128/25", "10.0.0.0/26", "10.0.0.64/26"]))), ["10.0.0.0/24"]);
        assert_eq!(shown(merge(nets(&["10.0.0.1", "10.0.0.2"]))), ["10.0.0.1/32", "10.0.0.2/32"]);
        assert_eq!(shown(merge(nets(&["0.0.0.0/1", "128.0.0.0/1", "::/0"]))), ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn hardware_addresses() {
        for text in
            ["52:54:00:12:34:56", "52-54-0-12-34-56", "5254.0012.3456", "525400123456", "525400:123456"]
        {
            assert_eq!(hardware(text), Some(0x5254_0012_3456), "{text}");
        }
        assert!(hardware("xx").is_none() && hardware("52:54").is_none());
    }
}
