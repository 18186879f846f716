//! Addresses and routes straight from the kernel, over a routing socket.
//!
//! In: questions. Out: [`Address`]es, [`Route`]s. Replaces a dozen runs of `ip`, and works where it is missing.
//!
//! **Invariant:** reads only; a reply that is cut short or odd is skipped, never trusted.

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const GET_ADDRESSES: u16 = 22;
const GET_ROUTE: u16 = 26;
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const SECONDARY: u32 = 1;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Number of the interface.
    pub interface: u32,
    /// The interface's own address.
    pub local: IpAddr,
    /// The other end, on a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Length of the prefix.
    pub prefix: u8,
    /// Broadcast address, where one is set.
    pub broadcast: Option<Ipv4Addr>,
    /// Its label, such as `eth0:1`.
    pub label: Option<String>,
    /// `global`, `site`, `link`, `host`.
    pub scope: &'static str,
    /// Whether another address of the same network came first.
    pub secondary: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it leads to; everything if absent.
    pub destination: Option<IpAddr>,
    /// Length of the destination's prefix.
    pub prefix: u8,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The address packets leave with.
    pub source: Option<IpAddr>,
    /// Number of the interface.
    pub interface: Option<u32>,
    /// Whether packets for it are for this host.
    pub local: bool,
    /// The routing table.
    pub table: u32,
}

/// All addresses, in the kernel's order.
pub fn addresses() -> io::Result<Vec<Address>> {
    let replies = ask(GET_ADDRESSES, DUMP, &[0; 8])?;
    Ok(replies.iter().filter_map(|message| parse_address(message)).collect())
}

/// The routes of the table `local`: which addresses are this host's.
pub fn local_routes(family: Family) -> io::Result<Vec<Route>> {
    let mut header = [0; 12];
    header[0] = family.number();
    let replies = ask(GET_ROUTE, DUMP, &header)?;
    let routes = replies.iter().filter_map(|message| parse_route(message));
    Ok(routes.filter(|route| route.table == 255 && route.local).collect())
}

/// The route a packet to this address would take; an error where there is none.
pub fn route_to(destination: IpAddr) -> io::Result<Route> {
    let bytes = match destination {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let family = if destination.is_ipv4() { Family::V4 } else { Family::V6 };
    let mut payload = vec![0; 12];
    payload[0] = family.number();
    payload[1] = bytes.len() as u8 * 8;
    payload.extend_from_slice(&(bytes.len() as u16 + 4).to_ne_bytes());
    payload.extend_from_slice(&1u16.to_ne_bytes());
    payload.extend_from_slice(&bytes);
    let replies = ask(GET_ROUTE, 0, &payload)?;
    replies.iter().find_map(|message| parse_route(message)).ok_or_else(|| io::Error::from_raw_os_error(101))
}

/// The number of an interface.
pub fn interface_number(name: &str) -> Option<u32> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

/// Which addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn number(self) -> u8 {
        match self {
            Family::V4 => AddressFamily::INET.as_raw() as u8,
            Family::V6 => AddressFamily::INET6.as_raw() as u8,
        }
    }
}

/// Sends one question; gives the payloads of the answers.
fn ask(kind: u16, flags: u16, payload: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    // Protocol 0 of this family is routing.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut message = Vec::with_capacity(16 + payload.len());
    message.extend_from_slice(&(16 + payload.len() as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
    message.extend_from_slice(&1u32.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(payload);
    sendto(&socket, &message, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
    let mut answers = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        for (kind, body) in messages(&buffer[..length]) {
            match kind {
                DONE => return Ok(answers),
                ERROR => {
                    let code = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    return if code == 0 { Ok(answers) } else { Err(io::Error::from_raw_os_error(-code)) };
                }
                _ => answers.push(body.to_vec()),
            }
        }
        if flags & DUMP == 0 || length == 0 {
            return Ok(answers);
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The messages in a datagram: kind and payload.
fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (number(bytes, 0), short(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(16..length) else { break };
        found.push((kind, body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The attributes behind a header: kind and value.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (short(bytes, 0), short(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..length) else { break };
        found.push((kind & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(*bytes.first_chunk::<4>()?))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(*bytes.first_chunk::<16>()?))),
        _ => None,
    }
}

fn parse_address(message: &[u8]) -> Option<Address> {
    let (mut local, mut address, mut broadcast, mut label) = (None, None, None, None);
    let mut flags = u32::from(*message.get(2)?);
    for (kind, value) in attributes(message.get(8..)?) {
        match kind {
            1 => address = ip(value),
            2 => local = ip(value),
            3 => label = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()),
            4 => broadcast = ip(value),
            8 => flags = number(value, 0)?,
            _ => {}
        }
    }
    let own = local.or(address)?;
    Some(Address {
        interface: number(message, 4)?,
        local: own,
        peer: address.filter(|address| *address != own),
        prefix: *message.get(1)?,
        broadcast: match broadcast {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        },
        label,
        scope: match message.get(3)? {
            0 => "global",
            200 => "site",
            253 => "link",
            254 => "host",
            _ => "nowhere",
        },
        secondary: flags & SECONDARY != 0,
    })
}

fn parse_route(message: &[u8]) -> Option<Route> {
    let mut route = Route {
        destination: None,
        prefix: *message.get(1)?,
        gateway: None,
        source: None,
        interface: None,
        local: *message.get(7)? == 2,
        table: u32::from(*message.get(4)?),
    };
    for (kind, value) in attributes(message.get(12..)?) {
        match kind {
            1 => route.destination = ip(value),
            4 => route.interface = number(value, 0),
            5 => route.gateway = ip(value),
            7 => route.source = ip(value),
            15 => route.table = number(value, 0)?,
            _ => {}
        }
    }
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        let all = addresses().unwrap();
        let home = all.iter().find(|address| address.local == IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert_eq!((home.prefix, home.scope, home.secondary), (8, "host", false));
        assert_eq!(home.label.as_deref(), Some("lo"));
        let route = route_to(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert_eq!(route.interface, Some(home.interface));
        assert!(local_routes(Family::V4).unwrap().iter().any(|route| route.destination == Some(home.local)));
    }

    #[test]
    fn short_answers_are_skipped() {
        for length in 0..24 {
            let bytes = [7u8; 24];
            assert!(parse_address(&bytes[..length]).is_none(), "{length}");
            assert!(length >= 12 || parse_route(&bytes[..length]).is_none(), "{length}");
            assert!(messages(&bytes[..length]).is_empty());
        }
    }
}
