//! DER: reading and writing of tag, length and value.
//!
//! **Invariant:** the reader never looks past its input and never panics on it.

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BITS: u8 = 0x03;
/// OCTET STRING.
pub const OCTETS: u8 = 0x04;
/// NULL.
pub const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// UTF8String.
pub const UTF8: u8 = 0x0c;
/// PrintableString.
pub const PRINTABLE: u8 = 0x13;
/// IA5String.
pub const IA5: u8 = 0x16;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const TIME: u8 = 0x18;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// SET.
pub const SET: u8 = 0x31;

/// `[n]` around one value.
pub const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// `[n]` in place of a primitive value's tag.
pub const fn implicit(number: u8) -> u8 {
    0x80 | number
}

/// One value with its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Class, form and number in one byte.
    pub tag: u8,
    /// What is inside.
    pub body: &'a [u8],
    /// All of it, tag and length included.
    pub raw: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// What is inside, as values.
    pub fn inside(self) -> Reader<'a> {
        Reader::new(self.body)
    }
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A failure if something is left.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("extra data")) }
    }

    /// The next value's tag.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value.
    pub fn take(&mut self) -> Result<Tlv<'a>, Malformed> {
        let short = Malformed("short data");
        let whole = self.rest;
        let (&tag, after) = whole.split_first().ok_or(short)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed("long tags are not understood"));
        }
        let (&first, mut after) = after.split_first().ok_or(short)?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return Err(Malformed("invalid length"));
            }
            let (bytes, rest) = after.split_at_checked(count).ok_or(short)?;
            after = rest;
            bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let (body, rest) = after.split_at_checked(length).ok_or(short)?;
        self.rest = rest;
        Ok(Tlv { tag, body, raw: &whole[..whole.len() - rest.len()] })
    }

    /// The next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Tlv<'a>, Malformed> {
        match self.peek() {
            Some(found) if found == tag => self.take(),
            Some(_) => Err(Malformed("unexpected tag")),
            None => Err(Malformed("short data")),
        }
    }

    /// The next value if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, Malformed> {
        if self.peek() == Some(tag) { self.take().map(Some) } else { Ok(None) }
    }

    /// What is inside a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Reader<'a>, Malformed> {
        Ok(self.expect(SEQUENCE)?.inside())
    }

    /// An OBJECT IDENTIFIER with dots.
    pub fn oid(&mut self) -> Result<String, Malformed> {
        dotted(self.expect(OID)?.body)
    }

    /// An INTEGER's bytes, leading zeros removed; negative ones are refused.
    pub fn unsigned(&mut self) -> Result<&'a [u8], Malformed> {
        let body = self.expect(INTEGER)?.body;
        match body.first() {
            None => Err(Malformed("invalid integer")),
            Some(first) if first & 0x80 != 0 => Err(Malformed("negative integer")),
            Some(_) => Ok(strip(body)),
        }
    }

    /// A small INTEGER.
    pub fn small(&mut self) -> Result<u64, Malformed> {
        let bytes = self.unsigned()?;
        if bytes.len() > 8 {
            return Err(Malformed("integer too large"));
        }
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// A BIT STRING of whole bytes.
    pub fn bits(&mut self) -> Result<&'a [u8], Malformed> {
        match self.expect(BITS)?.body.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(Malformed("invalid bit string")),
        }
    }

    /// An OCTET STRING.
    pub fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.expect(OCTETS)?.body)
    }
}

/// Bytes of a number without leading zeros; zero is no bytes.
pub fn strip(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    &bytes[start..]
}

/// The one value that fills these bytes.
pub fn one(bytes: &[u8], tag: u8) -> Result<Tlv<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let value = reader.expect(tag)?;
    reader.end()?;
    Ok(value)
}

/// An OBJECT IDENTIFIER's bytes, with dots.
pub fn dotted(body: &[u8]) -> Result<String, Malformed> {
    let bad = Malformed("invalid object identifier");
    if body.last().is_none_or(|byte| byte & 0x80 != 0) {
        return Err(bad);
    }
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0u64;
    for byte in body {
        arc = arc.checked_mul(128).ok_or(bad)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let first = arcs[0].min(80) / 40;
    let mut text = format!("{first}.{}", arcs[0] - first * 40);
    for arc in &arcs[1..] {
        text += &format!(".{arc}");
    }
    Ok(text)
}

/// A value.
pub fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = body.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = strip(&bytes);
        out.push(0x80 | bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(body);
    out
}

/// A SEQUENCE of encoded values.
pub fn sequence<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    let body: Vec<u8> = parts.iter().flat_map(|part| part.as_ref()).copied().collect();
    tlv(SEQUENCE, &body)
}

/// A non-negative INTEGER from big-endian bytes.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let bytes = strip(bytes);
    let mut body = Vec::with_capacity(bytes.len() + 1);
    if bytes.first().is_none_or(|first| first & 0x80 != 0) {
        body.push(0);
    }
    body.extend_from_slice(bytes);
    tlv(INTEGER, &body)
}

/// A small INTEGER.
pub fn small(number: u64) -> Vec<u8> {
    unsigned(&number.to_be_bytes())
}

/// BOOLEAN true.
pub fn yes() -> Vec<u8> {
    tlv(BOOLEAN, &[0xff])
}

/// NULL.
pub fn null() -> Vec<u8> {
    tlv(NULL, &[])
}

/// A BIT STRING of whole bytes.
pub fn bits(bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend_from_slice(bytes);
    tlv(BITS, &body)
}

/// A BIT STRING of named bits, the first being the highest; trailing zeros are left out, as DER wants.
pub fn named_bits(flags: &[bool]) -> Vec<u8> {
    let used = flags.iter().rposition(|flag| *flag).map_or(0, |last| last + 1);
    let mut body = vec![0; 1 + used.div_ceil(8)];
    body[0] = ((8 - used % 8) % 8) as u8;
    for (index, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
        body[1 + index / 8] |= 0x80 >> (index % 8);
    }
    tlv(BITS, &body)
}

/// The set bits of a BIT STRING's body.
pub fn bit_numbers(body: &[u8]) -> Vec<usize> {
    let bytes = body.get(1..).unwrap_or_default();
    (0..bytes.len() * 8).filter(|index| bytes[index / 8] & (0x80 >> (index % 8)) != 0).collect()
}

/// An OCTET STRING.
pub fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(OCTETS, bytes)
}

/// An OBJECT IDENTIFIER from its dotted form; nothing when that is none.
pub fn try_oid(text: &str) -> Option<Vec<u8>> {
    let arcs: Vec<u64> = text.split('.').map(|arc| arc.parse().ok()).collect::<Option<_>>()?;
    let [first, second, rest @ ..] = arcs.as_slice() else { return None };
    if *first > 2 || (*first < 2 && *second > 39) {
        return None;
    }
    let mut body = Vec::new();
    for arc in std::iter::once(first.checked_mul(40)?.checked_add(*second)?).chain(rest.iter().copied()) {
        let mut digits = vec![(arc & 0x7f) as u8];
        let mut left = arc >> 7;
        while left > 0 {
            digits.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        digits.reverse();
        body.extend(digits);
    }
    Some(tlv(OID, &body))
}

/// An OBJECT IDENTIFIER that is known to be one.
pub fn oid(text: &str) -> Vec<u8> {
    try_oid(text).expect("identifiers come from tables or were read before")
}

/// Values as a SET OF, in DER's order.
pub fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(SET, &parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identifiers_survive() {
        for text in ["1.2.840.113549.1.1.11", "2.5.29.17", "2.999.3", "0.9.2342.19200300.100.1.25"] {
            let encoded = oid(text);
            assert_eq!(Reader::new(&encoded).oid().unwrap(), text);
        }
        assert_eq!(try_oid("1.40.3"), None);
        assert_eq!(try_oid("serverAuth"), None);
        assert_eq!(small(0), [2, 1, 0]);
        assert_eq!(small(128), [2, 2, 0, 128]);
        assert_eq!(Reader::new(&small(65537)).small().unwrap(), 65537);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn named_bits_are_short() {
        assert_eq!(named_bits(&[false, false, false, false, false, true, true, false, false]), [3, 2, 1, 6]);
        assert_eq!(named_bits(&[false; 9]), [3, 1, 0]);
        assert_eq!(bit_numbers(&[7, 0x8c, 0x80]), [0, 4, 5, 8]);
    }

    #[test]
    fn nonsense_is_refused() {
        let nonsense: [&[u8]; 7] = [
            &[],
            &[0x30],
            &[0x30, 5, 1],
            &[0x30, 0x80],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x1f, 1, 1],
            &[0x30, 0x82, 1],
        ];
        for bytes in nonsense {
            assert!(Reader::new(bytes).take().is_err(), "{bytes:?}");
        }
        assert!(dotted(&[0x80]).is_err());
        assert!(dotted(&[]).is_err());
    }
}
