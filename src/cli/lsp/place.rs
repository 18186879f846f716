//! Places in a text as editors count them, and what surrounds a cursor in half-written YAML.

use lsp_types::{Position, Range, Uri};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// A place as an editor says it: lines from 0, columns in UTF-16. From lines and columns that count from 1 in characters.
pub(crate) fn position(text: &str, line: u32, column: u32) -> Position {
    let row = text.split('\n').nth((line as usize).saturating_sub(1)).unwrap_or_default();
    let units: usize = row.chars().take((column as usize).saturating_sub(1)).map(char::len_utf16).sum();
    Position::new(line.saturating_sub(1), u32::try_from(units).unwrap_or(0))
}

/// The other way.
pub(crate) fn place(text: &str, position: Position) -> (u32, u32) {
    let row = text.split('\n').nth(position.line as usize).unwrap_or_default();
    let mut units = 0;
    let mut column = 0;
    for c in row.chars() {
        if units >= position.character {
            break;
        }
        units += u32::try_from(c.len_utf16()).unwrap_or(1);
        column += 1;
    }
    (position.line + 1, column + 1)
}

/// A word at a place.
pub(crate) fn range(text: &str, line: u32, column: u32, length: u32) -> Range {
    Range::new(position(text, line, column), position(text, line, column + length))
}

/// The file behind an address.
pub(crate) fn path_of(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    let mut bytes = Vec::with_capacity(rest.len());
    let mut all = rest.bytes();
    while let Some(byte) = all.next() {
        if byte == b'%' {
            let hex = [all.next()?, all.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The address of a file.
pub(crate) fn uri_of(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    for byte in path.to_str()?.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Uri::from_str(&text).ok()
}

/// What surrounds a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Around {
    /// Keys of the mappings around, outermost first.
    pub(crate) keys: Vec<String>,
    /// Keys beside the cursor, in the same mapping.
    pub(crate) beside: Vec<String>,
    /// The key whose value the cursor is in, if it is in one.
    pub(crate) key: Option<String>,
    /// What stands before the cursor, of the word it is in.
    pub(crate) word: String,
    /// What stands before the cursor on its line.
    pub(crate) before: String,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

fn key(line: &str) -> Option<&str> {
    let text = line.trim_start_matches([' ', '-']);
    let (name, _) = text.split_once(':')?;
    let good = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    good.then_some(name)
}

/// Looks around a cursor; lines and columns count from 1. By indentation, for what is being typed is rarely YAML yet.
pub(crate) fn around(text: &str, line: u32, column: u32) -> Around {
    let lines: Vec<&str> = text.split('\n').collect();
    let at = (line as usize).saturating_sub(1);
    let row = lines.get(at).copied().unwrap_or_default();
    let before: String = row.chars().take((column as usize).saturating_sub(1)).collect();
    let start =
        before.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).map_or(0, |at| at + 1);
    let word = before[before.char_indices().map(|(i, _)| i).find(|i| *i >= start).unwrap_or(before.len())..]
        .to_owned();
    let own = if row.trim().is_empty() { before.len() } else { indent(row) };
    let own = if before.trim_matches([' ', '-']).is_empty() {
        before.len().max(own.min(before.len()))
    } else {
        own
    };
    let written = key(&before).filter(|name| before.contains(&format!("{name}:"))).map(str::to_owned);
    let mut keys = Vec::new();
    let mut beside = Vec::new();
    let begins = row.trim_start().starts_with('-');
    // only what hangs further out than this is around the cursor
    let mut limit = if begins { row.len() - row.trim_start().len() + 1 } else { own };
    let mut same_item = !begins;
    let skip = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    for above in lines[..at.min(lines.len())].iter().rev().filter(|line| !skip(line)) {
        let depth = indent(above);
        let dash = above.trim_start().starts_with('-');
        let outer = above.len() - above.trim_start().len();
        if same_item && depth == own {
            beside.extend(key(above).map(str::to_owned));
            if dash {
                same_item = false;
                limit = outer + 1;
            }
        } else if depth < limit {
            same_item = false;
            keys.extend(key(above).map(str::to_owned));
            limit = if dash { outer + 1 } else { depth };
        } else if dash && outer < limit {
            // the item that the last key belongs to begins here; its list hangs further out
            limit = outer + 1;
        }
    }
    for below in lines.iter().skip(at + 1).filter(|line| !skip(line)) {
        if indent(below) < own || below.trim_start().starts_with('-') {
            break;
        }
        if indent(below) == own {
            beside.extend(key(below).map(str::to_owned));
        }
    }
    keys.reverse();
    Around { keys, beside, key: written, word, before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_both_ways() {
        let text = "a: 1\nü𝄞x: 2\n";
        assert_eq!(position(text, 2, 3), Position::new(1, 3));
        assert_eq!(place(text, Position::new(1, 3)), (2, 3));
        assert_eq!(place(text, Position::new(0, 3)), (1, 4));
    }

    #[test]
    fn addresses_go_both_ways() {
        let path = Path::new("/tmp/a b/ü.yml");
        let uri = uri_of(path).unwrap();
        assert_eq!(uri.as_str(), "file:///tmp/a%20b/%C3%BC.yml");
        assert_eq!(path_of(&uri).as_deref(), Some(path));
    }

    #[test]
    fn the_surroundings_of_a_cursor() {
        let text =
            "- hosts: all\n  tasks:\n    - name: x\n      copy:\n        de\n        src: a\n    - na\n";
        let it = around(text, 5, 11);
        assert_eq!((it.keys, it.word.as_str()), (vec!["tasks".to_owned(), "copy".to_owned()], "de"));
        assert_eq!(it.beside, ["src"]);
        let it = around(text, 7, 9);
        assert_eq!((it.keys, it.word.as_str(), it.key), (vec!["tasks".to_owned()], "na", None));
        let it = around(text, 1, 11);
        assert_eq!((it.key.as_deref(), it.word.as_str()), (Some("hosts"), "a"));
    }
}
