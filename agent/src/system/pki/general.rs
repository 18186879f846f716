//! General names: `DNS:`, `IP:`, `email:` and their kin.

use super::der::{self, Malformed, Reader};
use super::name::Name;
use super::{Trouble, colons, from_colons, idn};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of the names by which a certificate is valid.
#[derive(Debug, Clone, PartialEq)]
pub enum GeneralName {
    /// A domain name.
    Dns(String),
    /// An address, or for constraints an address and a mask.
    Ip(Vec<u8>),
    /// A mail address.
    Email(String),
    /// A URI.
    Uri(String),
    /// A registered identifier.
    Rid(String),
    /// A name.
    Dir(Name),
    /// An identifier and any value.
    Other(String, Vec<u8>),
    /// What nobody uses any more, as it stands: tag and content.
    Unknown(u8, Vec<u8>),
}

/// How domain names are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they stand.
    AsIs,
    /// In ASCII.
    Ascii,
    /// As people read them.
    Unicode,
}

impl Encoding {
    /// By the name that tasks use.
    pub fn named(name: &str) -> Encoding {
        match name {
            "idna" => Encoding::Ascii,
            "unicode" => Encoding::Unicode,
            _ => Encoding::AsIs,
        }
    }

    fn domain(self, text: &str) -> String {
        match self {
            Encoding::AsIs => text.to_owned(),
            Encoding::Ascii => idn::to_ascii(text),
            Encoding::Unicode => idn::to_unicode(text),
        }
    }

    fn email(self, text: &str) -> String {
        match text.split_once('@') {
            Some((user, domain)) => format!("{user}@{}", self.domain(domain)),
            None => self.domain(text),
        }
    }

    fn uri(self, text: &str) -> String {
        let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{user}{}{port}{tail}", self.domain(host))
    }
}

impl GeneralName {
    /// Reads `DNS:example.org` and the like. `what` names it in messages.
    pub fn parse(text: &str, what: &str) -> Result<GeneralName, Trouble> {
        let failed = |why: String| Trouble(format!("Cannot parse {what} \"{text}\"{why}"));
        let because = |trouble: Trouble| failed(format!(": {trouble}"));
        let ascii = Encoding::Ascii;
        let Some((kind, value)) = text.split_once(':') else {
            return Err(failed(" (forgot \"DNS:\" prefix?)".into()));
        };
        Ok(match kind {
            "DNS" => GeneralName::Dns(ascii.domain(value)),
            "IP" => GeneralName::Ip(address(value).map_err(because)?),
            "email" => GeneralName::Email(ascii.email(value)),
            "URI" => GeneralName::Uri(ascii.uri(value)),
            "RID" => {
                der::try_oid(value).ok_or_else(|| failed(": invalid object identifier".into()))?;
                GeneralName::Rid(value.to_owned())
            }
            "dirName" => GeneralName::Dir(Name::parse(value).map_err(because)?),
            "otherName" => {
                let (oid, value) = value.split_once(';').ok_or_else(|| {
                    failed(" otherName must be in the format \"otherName:<OID>;[ASN.1 data]\"".into())
                })?;
                der::try_oid(oid).ok_or_else(|| failed(": invalid object identifier".into()))?;
                GeneralName::Other(oid.to_owned(), other_value(value).map_err(because)?)
            }
            _ => return Err(failed(" (potentially unsupported by cryptography backend)".into())),
        })
    }

    /// As [`GeneralName::parse`] reads it.
    pub fn display(&self, encoding: Encoding) -> String {
        match self {
            GeneralName::Dns(name) => format!("DNS:{}", encoding.domain(name)),
            GeneralName::Ip(bytes) => format!("IP:{}", show_address(bytes)),
            GeneralName::Email(name) => format!("email:{}", encoding.email(name)),
            GeneralName::Uri(name) => format!("URI:{}", encoding.uri(name)),
            GeneralName::Rid(oid) => format!("RID:{oid}"),
            GeneralName::Dir(name) => format!("dirName:{}", name.display()),
            GeneralName::Other(oid, value) => format!("otherName:{oid};{}", colons(value)),
            GeneralName::Unknown(tag, value) => format!("unknown:{};{}", tag & 0x1f, colons(value)),
        }
    }

    /// Reads one.
    pub fn read(reader: &mut Reader<'_>) -> Result<GeneralName, Malformed> {
        let value = reader.take()?;
        let text = || String::from_utf8_lossy(value.body).into_owned();
        Ok(match value.tag {
            0xa0 => {
                let mut inside = value.inside();
                let oid = inside.oid()?;
                GeneralName::Other(oid, inside.expect(der::explicit(0))?.body.to_vec())
            }
            0x81 => GeneralName::Email(text()),
            0x82 => GeneralName::Dns(text()),
            0xa4 => GeneralName::Dir(Name::read(&mut value.inside())?),
            0x86 => GeneralName::Uri(text()),
            0x87 => GeneralName::Ip(value.body.to_vec()),
            0x88 => GeneralName::Rid(der::dotted(value.body)?),
            tag => GeneralName::Unknown(tag, value.body.to_vec()),
        })
    }

    /// Reads all that are left.
    pub fn read_all(mut reader: Reader<'_>) -> Result<Vec<GeneralName>, Malformed> {
        let mut names = Vec::new();
        while !reader.is_empty() {
            names.push(GeneralName::read(&mut reader)?);
        }
        Ok(names)
    }

    /// Its DER.
    pub fn to_der(&self) -> Vec<u8> {
        match self {
            GeneralName::Other(oid, value) => {
                der::tlv(0xa0, &[der::oid(oid), der::tlv(der::explicit(0), value)].concat())
            }
            GeneralName::Email(text) => der::tlv(0x81, text.as_bytes()),
            GeneralName::Dns(text) => der::tlv(0x82, text.as_bytes()),
            GeneralName::Dir(name) => der::tlv(0xa4, &name.to_der()),
            GeneralName::Uri(text) => der::tlv(0x86, text.as_bytes()),
            GeneralName::Ip(bytes) => der::tlv(0x87, bytes),
            GeneralName::Rid(oid) => {
                let whole = der::oid(oid);
                let inner = Reader::new(&whole).take().map(|value| value.body.to_vec()).unwrap_or_default();
                der::tlv(0x88, &inner)
            }
            GeneralName::Unknown(tag, body) => der::tlv(*tag, body),
        }
    }
}

/// Several as the body of a SEQUENCE.
pub fn all_to_der(names: &[GeneralName]) -> Vec<u8> {
    names.iter().flat_map(GeneralName::to_der).collect()
}

fn address(text: &str) -> Result<Vec<u8>, Trouble> {
    let bytes = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let Some((network, mask)) = text.split_once('/') else {
        return match text.parse::<IpAddr>() {
            Ok(ip) => Ok(bytes(ip)),
            Err(_) => Err(Trouble(format!("'{text}' does not appear to be an IPv4 or IPv6 address"))),
        };
    };
    let wrong = || Trouble(format!("'{text}' does not appear to be an IPv4 or IPv6 network"));
    let network = bytes(network.parse().map_err(|_| wrong())?);
    let mask = match mask.parse::<usize>() {
        Ok(prefix) if prefix <= network.len() * 8 => {
            (0..network.len()).map(|i| (0xff00u32 >> prefix.saturating_sub(i * 8).min(8)) as u8).collect()
        }
        Ok(_) => return Err(wrong()),
        Err(_) => bytes(mask.parse().map_err(|_| wrong())?),
    };
    if mask.len() != network.len() {
        return Err(wrong());
    }
    if network.iter().zip(&mask).any(|(byte, mask)| byte & !mask != 0) {
        return Err(Trouble(format!("{text} has host bits set")));
    }
    Ok([network, mask].concat())
}

fn show_address(bytes: &[u8]) -> String {
    let ip = |bytes: &[u8]| -> Option<IpAddr> {
        match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into()),
            16 => <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    };
    if let Some(ip) = ip(bytes) {
        return ip.to_string();
    }
    let (network, mask) = bytes.split_at(bytes.len() / 2);
    let prefix: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
    match ip(network) {
        Some(ip) if network.len() == mask.len() => format!("{ip}/{prefix}"),
        _ => colons(bytes),
    }
}

/// `UTF8:text`, or bytes as `0c:02:...`.
fn other_value(text: &str) -> Result<Vec<u8>, Trouble> {
    if let Some((kind, value)) = text.split_once(':')
        && !kind.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return match kind {
            "UTF8" | "UTF8String" => Ok(der::tlv(der::UTF8, value.as_bytes())),
            _ => Err(Trouble(format!(
                "The ASN.1 serialized string is not in a known format; \"{kind}\" is not understood, use UTF8 or bytes in hexadecimal"
            ))),
        };
    }
    from_colons(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        for (text, shown) in [
            ("DNS:a.example", "DNS:a.example"),
            ("DNS:bücher.example", "DNS:xn--bcher-kva.example"),
            ("IP:10.0.0.1", "IP:10.0.0.1"),
            ("IP:fe80::1", "IP:fe80::1"),
            ("IP:10.0.0.0/8", "IP:10.0.0.0/8"),
            ("IP:2001:db8::/33", "IP:2001:db8::/33"),
            ("email:x@y.z", "email:x@y.z"),
            ("URI:https://u@bücher.example:8/p?q", "URI:https://u@xn--bcher-kva.example:8/p?q"),
            ("RID:1.2.3.4", "RID:1.2.3.4"),
            ("dirName:/CN=x/O=y", "dirName:CN=x,O=y"),
            ("otherName:1.2.3.4;UTF8:hello", "otherName:1.2.3.4;0c:05:68:65:6c:6c:6f"),
            ("otherName:1.2.3.4;0c:01:41", "otherName:1.2.3.4;0c:01:41"),
        ] {
            let name = GeneralName::parse(text, "x").unwrap();
            let der = name.to_der();
            let again = GeneralName::read(&mut Reader::new(&der)).unwrap();
            assert_eq!(again, name);
            assert_eq!(again.display(Encoding::AsIs), shown);
        }
    }

    #[test]
    fn wrong_names_are_explained() {
        for (text, why) in [
            ("foo", "Cannot parse SAN \"foo\" (forgot \"DNS:\" prefix?)"),
            ("foo:bar", "Cannot parse SAN \"foo:bar\" (potentially unsupported by cryptography backend)"),
            ("IP:bar", "Cannot parse SAN \"IP:bar\": 'bar' does not appear to be an IPv4 or IPv6 address"),
            ("IP:10.0.0.1/8", "Cannot parse SAN \"IP:10.0.0.1/8\": 10.0.0.1/8 has host bits set"),
        ] {
            assert_eq!(GeneralName::parse(text, "SAN").unwrap_err().0, why);
        }
    }
}
