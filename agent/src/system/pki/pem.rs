//! PEM: text around DER.

use super::Trouble;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands between `BEGIN` and the dashes.
    pub label: String,
    /// Old-style headers, such as `DEK-Info`.
    pub headers: Vec<(String, String)>,
    /// What it holds.
    pub data: Vec<u8>,
}

impl Block {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What is said about text that holds no PEM.
pub const NOT_PEM: &str = "Unable to load PEM file. See https://cryptography.io/en/latest/faq/#why-can-t-i-import-my-pem-file for more details. MalformedFraming";

/// Whether this looks like PEM at all.
pub fn is_pem(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).lines().any(|line| line.starts_with("-----BEGIN "))
}

/// All blocks. Text between them does not matter.
pub fn parse(bytes: &[u8]) -> Result<Vec<Block>, Trouble> {
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    let bad = || Trouble::new(NOT_PEM);
    while let Some(line) = lines.next() {
        let Some(label) = line.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"))
        else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let (mut headers, mut encoded) = (Vec::new(), String::new());
        loop {
            let line = lines.next().ok_or_else(bad)?.trim();
            if line == end {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
                None => encoded.push_str(line),
            }
        }
        let data = STANDARD.decode(encoded.as_bytes()).map_err(|_| bad())?;
        blocks.push(Block { label: label.to_owned(), headers, data });
    }
    if blocks.is_empty() { Err(bad()) } else { Ok(blocks) }
}

/// One block as text, 64 characters a line.
pub fn write(label: &str, headers: &[(&str, &str)], data: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for (name, value) in headers {
        out += &format!("{name}: {value}\n");
    }
    if !headers.is_empty() {
        out.push('\n');
    }
    let encoded = STANDARD.encode(data);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_survive() {
        let text = format!("bag\n{}{}", write("A B", &[], &[1; 60]), write("C", &[("X", "1,2")], &[2]));
        let blocks = parse(text.as_bytes()).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].label.as_str(), blocks[0].data.len()), ("A B", 60));
        assert_eq!(blocks[1].header("X"), Some("1,2"));
        assert!(parse(b"-----BEGIN X-----\nAAAA\n").is_err());
        assert!(parse(b"junk").is_err());
    }
}
