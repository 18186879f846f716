//! What is so simple in YAML that it is read without libyaml, by whoever reads line by line: `quick` here, and the reader of
//! inventories, which makes something leaner than nodes.

/// Deeper nesting is left to libyaml's way, which limits it.
pub const MAX_DEPTH: u32 = 60;

/// Longer keys are no simple keys for libyaml.
pub const LONGEST_KEY: usize = 200;

/// Whether the text has no character that is a line break, blank or mistake for YAML beside LF and space.
pub fn characters_are_plain(text: &str) -> bool {
    // in pieces, each without a way out, so that many bytes are looked at at a time
    let odd = |byte: &u8| u8::from((*byte < 0x20 && *byte != b'\n') || *byte == 0x7f);
    let odd = |piece: &[u8]| piece.iter().fold(0, |any, byte| any | odd(byte)) != 0;
    if text.as_bytes().chunks(256).any(odd) {
        return false;
    }
    text.is_ascii()
        || text.chars().all(|c| {
            let odd = ('\u{80}'..='\u{a0}').contains(&c)
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
                || c > '\u{ffff}';
            !odd
        })
}

/// Whether a line is an item of a list.
pub fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// Whether nothing follows on the line but a comment.
pub fn is_comment_or_nothing(rest: &str) -> bool {
    let trimmed = rest.trim_start_matches(' ');
    trimmed.is_empty() || (trimmed.starts_with('#') && trimmed.len() < rest.len())
}

/// The inside of a quoted text.
#[derive(Debug)]
pub enum Quoted<'a> {
    /// As it stands.
    As(&'a str),
    /// With escapes undone.
    Made(String),
}

/// The inside of a quoted text that ends on its line, and the offset behind it.
pub fn quoted(text: &str, quote: u8) -> Option<(Quoted<'_>, usize)> {
    let bytes = text.as_bytes();
    let mut at = 1;
    let mut from = 1;
    let mut made = String::new();
    loop {
        let byte = *bytes.get(at)?;
        if byte == quote {
            if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') {
                made.push_str(&text[from..=at]);
                at += 2;
                from = at;
                continue;
            }
            break;
        }
        if byte == b'\\' && quote == b'"' {
            made.push_str(&text[from..at]);
            made.push(match bytes.get(at + 1)? {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'"' => '"',
                b'\\' => '\\',
                b'/' => '/',
                b'e' => '\u{1b}',
                _ => return None,
            });
            at += 2;
            from = at;
            continue;
        }
        at += 1;
    }
    if made.is_empty() {
        // nothing was undone, or only what stood at the very start
        if from == 1 {
            return Some((Quoted::As(&text[1..at]), at + 1));
        }
    }
    made.push_str(&text[from..at]);
    Some((Quoted::Made(made), at + 1))
}
