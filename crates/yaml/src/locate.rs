//! From an offset in a text value back to its place in the file.
//!
//! A value remembers where its scalar starts. Between that place and a character inside lie the header of a block
//! scalar, indentation, folded lines and escapes; this walks the source beside the value and skips them.

use quorate_value::{Span, Str, source_of};

/// Where the character at a byte offset of a text value stands in its file; where its scalar starts if that cannot
/// be told (a vaulted file, a value that a template made, a source that changed).
pub fn locate(text: &Str, offset: usize) -> Span {
    let span = text.span();
    source_of(span.file)
        .filter(|_| span.line > 0)
        .and_then(|source| {
            let source = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
            let mut cursor = Cursor::at(source, span)?;
            cursor.enter();
            let target = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
            cursor.follow(&text[..target], text[target..].chars().next())
        })
        .unwrap_or(span)
}

struct Cursor<'a> {
    rest: &'a str,
    span: Span,
    double: bool,
    single: bool,
}

impl<'a> Cursor<'a> {
    fn at(source: &'a str, span: Span) -> Option<Self> {
        let mut rest = source;
        for _ in 1..span.line {
            rest = &rest[rest.find('\n')? + 1..];
        }
        let line = rest.split('\n').next().unwrap_or("");
        let skipped = span.column.saturating_sub(1) as usize;
        let start = line.char_indices().nth(skipped).map_or(line.len(), |(at, _)| at);
        Some(Cursor { rest: &rest[start..], span, double: false, single: false })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.span.line += 1;
            self.span.column = 1;
        } else {
            self.span.column += 1;
        }
        Some(c)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.step();
        }
    }

    /// Over tags, anchors, an opening quote or the header of a block scalar.
    fn enter(&mut self) {
        loop {
            match self.peek() {
                Some('!' | '&') => {
                    self.skip_while(|c| !c.is_whitespace());
                    self.skip_while(char::is_whitespace);
                }
                Some('|' | '>') => {
                    self.skip_while(|c| c != '\n');
                    self.step();
                    return;
                }
                Some(quote @ ('"' | '\'')) => {
                    self.double = quote == '"';
                    self.single = quote == '\'';
                    self.step();
                    return;
                }
                _ => return,
            }
        }
    }

    /// Over white space that folding made or dropped, and over `\\` at the end of a line in double quotes.
    fn skip_folds(&mut self) {
        loop {
            self.skip_while(char::is_whitespace);
            if !(self.double && (self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r\n"))) {
                return;
            }
            self.step();
        }
    }

    /// One character of the value out of the source, escapes undone.
    fn value_char(&mut self) -> Option<char> {
        let c = self.step()?;
        if self.single && c == '\'' {
            return (self.step()? == '\'').then_some('\'');
        }
        if !(self.double && c == '\\') {
            return Some(c);
        }
        let digits = match self.step()? {
            'n' => return Some('\n'),
            't' => return Some('\t'),
            'r' => return Some('\r'),
            '0' => return Some('\0'),
            'e' => return Some('\x1b'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => return Some(other),
        };
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.step()?.to_digit(16)?;
        }
        char::from_u32(code)
    }

    fn follow(mut self, before: &str, target: Option<char>) -> Option<Span> {
        for c in before.chars() {
            if c.is_whitespace() {
                // Folding and indentation change white space; the next visible character finds the place again.
                let literal = self.double && self.peek() == Some('\\');
                if literal {
                    self.value_char()?;
                } else if self.peek().is_some_and(char::is_whitespace) {
                    self.step();
                }
                continue;
            }
            self.skip_folds();
            if self.value_char()? != c {
                return None;
            }
        }
        if target.is_some_and(|c| !c.is_whitespace()) {
            self.skip_folds();
        }
        Some(self.span)
    }
}

#[cfg(test)]
mod tests {
    use quorate_value::FileId;
    use std::path::Path;

    /// Every `§` in the source must be found again from the value, which keeps it.
    #[test]
    fn finds_the_place_in_every_style() {
        for source in [
            "a: some §text",
            "a: 'it''s §text'",
            "a: \"tab\\t quote\\\" \\u00e9 §text\"",
            "a: !unsafe 'x §y'",
            "a: |\n  one\n   two\n\n  three §x\n",
            "a: &x |2-   # why\n    one\n  §x\n",
            "a: >\n  one\n  two §x\n\n  three\n",
            "a: >-\n  one\n  two\n\n  three §x\n",
            "a: plain\n  over lines\n  §x",
            "a: 'quoted\n\n  over §lines'",
            "a: \"quoted \\\n  over §lines\"",
            "é: [1, \"ü §x\"]",
        ] {
            let file = FileId::register(Path::new("/x.yml"), source.into());
            let node = crate::parse(source, file).unwrap().root;
            let node = &node.as_mapping().unwrap().iter().next().unwrap().1.value;
            let node = node.as_sequence().map_or(node, |items| &items[1]);
            let text = node.as_text().unwrap();
            let span = super::locate(text, text.find('§').unwrap());
            let before = &source[..source.find('§').unwrap()];
            let expected =
                (before.lines().count() as u32, before.lines().last().unwrap().chars().count() as u32 + 1);
            assert_eq!((span.line, span.column), expected, "{source:?}");
        }
    }

    #[test]
    fn says_where_the_scalar_starts_when_the_source_is_other() {
        let file = FileId::register(Path::new("/x.yml"), "a: b".into());
        let span = quorate_value::Span::new(file, 1, 4);
        let text = quorate_value::Str::written("quite different", span);
        assert_eq!(super::locate(&text, 7), span);
        assert_eq!(super::locate(&"nowhere".into(), 3), quorate_value::Span::default());
    }
}
