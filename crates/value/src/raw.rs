//! Bytes that are no UTF-8, inside text: what Python's `surrogateescape` is for.
//!
//! Such a byte is a character at the very end of Unicode's private planes, which nobody writes; output knows it again.
//! **Invariant:** [`encode`] gives back the bytes that [`decode`] was given.

/// The character of byte 0.
const BASE: u32 = 0x10_FF00;

/// Text of bytes, valid or not.
pub fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match byte_of(c) {
                None => out.push(c),
                // the character itself was written: its bytes, so that they come back as they were
                Some(_) => out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(char_of)),
            }
        }
        out.extend(chunk.invalid().iter().copied().map(char_of));
    }
    out
}

/// The bytes of text.
pub fn encode(text: &str) -> Vec<u8> {
    if !holds(text) {
        return text.as_bytes().to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// Whether some of this text is bytes that are no UTF-8.
pub fn holds(text: &str) -> bool {
    // all of them begin with these two bytes in UTF-8
    text.as_bytes().windows(2).any(|pair| pair == [0xf4, 0x8f]) && text.chars().any(|c| byte_of(c).is_some())
}

/// The byte that a character stands for.
pub fn byte_of(c: char) -> Option<u8> {
    (c as u32).checked_sub(BASE).filter(|n| (0x80..=0xff).contains(n)).map(|n| n as u8)
}

fn char_of(byte: u8) -> char {
    char::from_u32(BASE + u32::from(byte)).expect("below the last character")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [b"caf\xe9".as_slice(), &all, "caf\u{e9} \u{10ffe9}".as_bytes(), b""] {
            let text = decode(bytes);
            assert_eq!(encode(&text), bytes);
        }
        assert!(holds(&decode(b"\xe9")) && !holds("caf\u{e9}"));
        assert_eq!(decode(b"caf\xe9").chars().count(), 4);
    }
}
