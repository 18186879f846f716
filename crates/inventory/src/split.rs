//! Words of a host line, as Python's `shlex` splits them with comments.
//!
//! In: one line. Out: words, quotes undone, each with the column (in characters, from 0) where it starts.

use std::borrow::Cow;

/// A word and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) column: u32,
}

/// A quote that is never closed, or a backslash at the end, with its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclosed(pub(crate) u32);

/// Splits a line. `#` outside quotes ends it, also inside a word.
pub(crate) fn words(line: &str) -> Result<Vec<Word<'_>>, Unclosed> {
    if line.is_ascii() && !line.bytes().any(|b| matches!(b, b'\'' | b'"' | b'\\' | b'#')) {
        return Ok(plain_words(line));
    }
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut open: Option<(String, u32)> = None;
    let mut chars = (0u32..).zip(line.chars());
    while let Some((column, c)) = chars.next() {
        if c == '#' {
            break;
        }
        if c.is_whitespace() {
            words.extend(open.take().map(owned));
            continue;
        }
        let (word, _) = open.get_or_insert_with(|| (String::new(), column));
        match c {
            '\'' => loop {
                match chars.next() {
                    Some((_, '\'')) => break,
                    Some((_, c)) => word.push(c),
                    None => return Err(Unclosed(column)),
                }
            },
            '"' => loop {
                match chars.next() {
                    Some((_, '"')) => break,
                    Some((_, '\\')) => match chars.next() {
                        Some((_, c @ ('"' | '\\'))) => word.push(c),
                        Some((_, c)) => word.extend(['\\', c]),
                        None => return Err(Unclosed(column)),
                    },
                    Some((_, c)) => word.push(c),
                    None => return Err(Unclosed(column)),
                }
            },
            '\\' => match chars.next() {
                Some((_, c)) => word.push(c),
                None => return Err(Unclosed(column)),
            },
            c => word.push(c),
        }
    }
    words.extend(open.map(owned));
    Ok(words)
}

fn owned<'a>((text, column): (String, u32)) -> Word<'a> {
    Word { text: Cow::Owned(text), column }
}

/// Words of a line without quotes, escapes and comments.
fn plain_words(line: &str) -> Vec<Word<'_>> {
    let start = line.as_ptr() as usize;
    line.split_ascii_whitespace()
        .map(|word| Word { text: Cow::Borrowed(word), column: (word.as_ptr() as usize - start) as u32 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_shlex() {
        let cases: &[(&str, &[&str])] = &[
            ("h1 a=b", &["h1", "a=b"]),
            ("h1 a='b c' d=\"e # f\" # g", &["h1", "a=b c", "d=e # f"]),
            ("h1 a=x#y b=1", &["h1", "a=x"]),
            ("a=\"x\\\"y\\n\" b\\ c", &["a=x\"y\\n", "b c"]),
            ("a=\\\"1\\\"", &["a=\"1\""]),
            ("'' a", &["", "a"]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            let found: Vec<_> = words(line).unwrap().into_iter().map(|w| w.text).collect();
            assert_eq!(found, *expected, "{line}");
        }
        assert_eq!(words("h 'x"), Err(Unclosed(2)));
        assert_eq!(words("h é=1 x").unwrap()[2].column, 6);
    }
}
