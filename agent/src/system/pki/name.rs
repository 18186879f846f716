//! Names as certificates have them: lists of attributes.

use super::der::{self, Malformed, Reader};
use super::{Trouble, oid};

/// One attribute, such as `CN=example`.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Its identifier.
    pub oid: String,
    /// What it says.
    pub value: String,
    der: Vec<u8>,
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.oid == other.oid && self.value == other.value
    }
}

impl Attribute {
    /// An attribute by its name, such as `CN` or `commonName`.
    pub fn named(name: &str, value: &str) -> Result<Attribute, Trouble> {
        let oid = oid::named(name).ok_or_else(|| Trouble(format!("Cannot find OID for \"{name}\"")))?;
        let length = value.chars().count();
        if matches!(oid.as_str(), "2.5.4.6" | "1.3.6.1.4.1.311.60.2.1.3") && length != 2 {
            return Err(Trouble(format!("Attribute's length must be >= 2 and <= 2, but it was {length}")));
        }
        if oid == "2.5.4.3" && !(1..=64).contains(&length) {
            return Err(Trouble(format!("Attribute's length must be >= 1 and <= 64, but it was {length}")));
        }
        if value.is_empty() {
            return Err(Trouble::new("Value cannot be an empty string"));
        }
        let tag = match oid.as_str() {
            "2.5.4.6" | "1.3.6.1.4.1.311.60.2.1.3" | "2.5.4.5" | "2.5.4.46" => der::PRINTABLE,
            "1.2.840.113549.1.9.1" | "0.9.2342.19200300.100.1.25" => der::IA5,
            _ => der::UTF8,
        };
        let der = der::sequence(&[der::oid(&oid), der::tlv(tag, value.as_bytes())]);
        Ok(Attribute { oid, value: value.to_owned(), der })
    }

    fn read(reader: &mut Reader<'_>) -> Result<Attribute, Malformed> {
        let whole = reader.expect(der::SEQUENCE)?;
        let mut parts = whole.inside();
        let oid = parts.oid()?;
        let value = parts.take()?;
        parts.end()?;
        let text = match value.tag {
            // Strings of two and of four bytes a character.
            0x1e => {
                let units: Vec<u16> = value
                    .body
                    .chunks(2)
                    .map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)))
                    .collect();
                String::from_utf16_lossy(&units)
            }
            0x1c => value
                .body
                .chunks(4)
                .map(|part| part.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
                .map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
            _ => String::from_utf8(value.body.to_vec())
                .unwrap_or_else(|_| value.body.iter().map(|byte| char::from(*byte)).collect()),
        };
        Ok(Attribute { oid, value: text, der: whole.raw.to_vec() })
    }
}

/// A name: its parts in order, each of one attribute or several.
#[derive(Debug, Clone, Default)]
pub struct Name {
    parts: Vec<Vec<Attribute>>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        let same = |(left, right): (&Vec<Attribute>, &Vec<Attribute>)| {
            left.len() == right.len() && left.iter().all(|attribute| right.contains(attribute))
        };
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(same)
    }
}

impl Name {
    /// A name of single attributes.
    pub fn of(attributes: Vec<Attribute>) -> Name {
        Name { parts: attributes.into_iter().map(|attribute| vec![attribute]).collect() }
    }

    /// All attributes in order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.parts.iter().flatten()
    }

    /// Reads one.
    pub fn read(reader: &mut Reader<'_>) -> Result<Name, Malformed> {
        let mut inside = reader.sequence()?;
        let mut parts = Vec::new();
        while !inside.is_empty() {
            let mut set = inside.expect(der::SET)?.inside();
            let mut part = Vec::new();
            while !set.is_empty() {
                part.push(Attribute::read(&mut set)?);
            }
            parts.push(part);
        }
        Ok(Name { parts })
    }

    /// Its DER; what was read comes back byte for byte.
    pub fn to_der(&self) -> Vec<u8> {
        let parts: Vec<Vec<u8>> = self.parts.iter().map(|part| Name::part(part)).collect();
        der::sequence(&parts)
    }

    fn part(attributes: &[Attribute]) -> Vec<u8> {
        der::set(attributes.iter().map(|attribute| attribute.der.clone()).collect())
    }

    /// Attributes as the body of a relative name.
    pub fn relative(attributes: &[Attribute]) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = attributes.iter().map(|attribute| attribute.der.clone()).collect();
        parts.sort();
        parts.concat()
    }

    /// `CN=x,O=y` or `/CN=x/O=y`. The first written is the last in the name.
    pub fn parse(text: &str) -> Result<Name, Trouble> {
        let (separator, rest) = match text.strip_prefix('/') {
            Some(rest) => ('/', rest),
            None => (',', text),
        };
        let mut parts = Vec::new();
        for part in split_unescaped(rest, separator).into_iter().filter(|part| !part.is_empty()) {
            let attributes: Result<Vec<_>, _> = split_unescaped(&part, '+')
                .iter()
                .map(|attribute| parse_attribute(attribute, text))
                .collect();
            parts.push(attributes?);
        }
        parts.reverse();
        Ok(Name { parts })
    }

    /// As [`Name::parse`] reads it.
    pub fn display(&self) -> String {
        let part = |part: &Vec<Attribute>| {
            let shown: Vec<String> =
                part.iter().map(|a| format!("{}={}", oid::short(&a.oid), escape(&a.value))).collect();
            shown.join("+")
        };
        self.parts.iter().rev().map(part).collect::<Vec<_>>().join(",")
    }
}

/// `CN=x`.
pub fn parse_attribute(text: &str, whole: &str) -> Result<Attribute, Trouble> {
    let start = text.trim_start();
    let (name, value) = start
        .split_once('=')
        .filter(|(name, _)| name.trim().starts_with(|c: char| c.is_ascii_alphanumeric()))
        .ok_or_else(|| Trouble(format!("cannot start part in \"{whole}\"")))?;
    Attribute::named(name.trim(), &unescape(value.trim_start()))
}

fn split_unescaped(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut current, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if !escaped && c == separator {
            parts.push(std::mem::take(&mut current));
            continue;
        }
        escaped = !escaped && c == '\\';
        current.push(c);
    }
    parts.push(current);
    parts
}

fn unescape(text: &str) -> String {
    let mut out: Vec<u8> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'\\' && at + 1 < bytes.len() {
            let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
            if let Some(byte) = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
                out.push(byte);
                at += 3;
                continue;
            }
            at += 1;
        }
        out.push(bytes[at]);
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn escape(value: &str) -> String {
    let mut out = String::new();
    for (index, c) in value.chars().enumerate() {
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') || (index == 0 && matches!(c, '#' | ' ')) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, shown, first) in [
            ("/CN=x/O=y", "CN=x,O=y", "organizationName"),
            ("CN=foo,O=bar", "CN=foo,O=bar", "organizationName"),
            (r"CN=a\,b,O=\C3\A9", r"CN=a\,b,O=é", "organizationName"),
            ("commonName=only", "CN=only", "commonName"),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!(name.display(), shown);
            assert_eq!(oid::long(&name.attributes().next().unwrap().oid), first);
            let der = name.to_der();
            let again = Name::read(&mut Reader::new(&der)).unwrap();
            assert_eq!(again, name);
            assert_eq!(again.to_der(), der);
        }
        assert!(Name::parse("CN").is_err());
        assert!(Name::parse("nope=x").is_err());
    }
}
