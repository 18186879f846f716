//! Where a member listens: a URL of etcd's kind (`http` or `https`, host, port), and nothing else.
//!
//! In: URLs as inventories, configuration files and MemberList spell them. Out: one normal form, so that two
//! spellings of one place compare equal. IPv6 hosts are kept without brackets and printed with them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// A host and a port: what a [`Dialer`](crate::Dialer) is asked to reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// IP address or DNS name, lower case, no brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One client or peer URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    scheme: Scheme,
    address: Address,
}

/// Text that is no URL etcd would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an etcd URL: {why}")]
pub struct NotAnEndpoint {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// An endpoint from its parts. The host may carry brackets.
    pub fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        // One spelling for one IPv6 address, whatever zeros were written.
        let host = bare.parse::<IpAddr>().map_or(bare, |ip| ip.to_string());
        Self { scheme, address: Address { host, port } }
    }

    /// With or without TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host and port to dial.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let fail = |why| NotAnEndpoint { text: text.to_owned(), why };
        let (scheme, rest) =
            text.trim().split_once("://").ok_or_else(|| fail("`http://` or `https://` is missing"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(fail("only `http` and `https` are reached over TCP")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(fail("a path is not allowed"));
        }
        if authority.contains('@') {
            return Err(fail("a user name is not allowed"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once("]:").ok_or_else(|| fail("a port is required after `]`"))?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| fail("not an IPv6 address between the brackets"))?;
                (host, port)
            }
            None => authority.rsplit_once(':').ok_or_else(|| fail("a port is required"))?,
        };
        if host.is_empty() {
            return Err(fail("the host is missing"));
        }
        if authority.starts_with('[') == host.contains(':') {
            let port = port.parse().map_err(|_| fail("the port is not a number from 1 to 65535"))?;
            if port == 0 {
                return Err(fail("the port is not a number from 1 to 65535"));
            }
            return Ok(Self::new(scheme, host, port));
        }
        Err(fail("an IPv6 address needs brackets"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether two URLs name one place, though spelled differently. Text that is no URL equals only itself.
pub fn same_place(a: &str, b: &str) -> bool {
    match (a.parse::<Endpoint>(), b.parse::<Endpoint>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    const CASES: &[(&str, Result<&str, &str>)] = &[
        ("http://10.10.10.10:2379",   Ok("http://10.10.10.10:2379")),
        ("HTTPS://Etcd-1.Local:2380/", Ok("https://etcd-1.local:2380")),
        ("https://[2001:DB8:0::1]:2379", Ok("https://[2001:db8::1]:2379")),
        ("10.10.10.10:2379",          Err("is missing")),
        ("http://10.10.10.10",        Err("port is required")),
        ("http://:2379",              Err("host is missing")),
        ("http://2001:db8::1:2379",   Err("needs brackets")),
        ("http://[etcd]:2379",        Err("IPv6 address between")),
        ("http://h:0",                Err("1 to 65535")),
        ("http://h:99999",            Err("1 to 65535")),
        ("http://h:2379/v3",          Err("path")),
        ("http://u:p@h:2379",         Err("user name")),
        ("unix:///run/etcd.sock",     Err("over TCP")),
    ];

    #[test]
    fn urls() {
        for (text, expected) in CASES {
            match (text.parse::<Endpoint>(), expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen.to_string(), *expected, "{text}"),
                (Err(seen), Err(part)) => assert!(seen.to_string().contains(part), "{text}: {seen}"),
                (seen, _) => panic!("{text}: {seen:?}"),
            }
        }
    }

    #[test]
    fn one_place_two_spellings() {
        assert!(same_place("https://A:2380", "https://a:2380/"));
        assert!(!same_place("https://a:2380", "http://a:2380"));
        assert!(same_place("odd", "odd"));
    }
}
