//! Template text to tokens: delimiters, whitespace control, strings and numbers as Jinja2 reads them.
//!
//! In: text and a [`Style`]. Out: [`Token`]s with byte spans into the text.
//!
//! Not here: what the tokens mean (`parser`).

use crate::error::{Error, Kind, Place, Result};
use num_bigint::BigInt;
use quorate_value::{Span, Value, str_repr};
use std::sync::Arc;

/// How a template is written: delimiters, whitespace, extensions. The `template` module and `#jinja2:` change it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Style {
    /// `{%`
    pub block_start: String,
    /// `%}`
    pub block_end: String,
    /// `{{`
    pub variable_start: String,
    /// `}}`
    pub variable_end: String,
    /// `{#`
    pub comment_start: String,
    /// `#}`
    pub comment_end: String,
    /// Drop the newline after a block.
    pub trim_blocks: bool,
    /// Drop the blanks before a block at the beginning of a line.
    pub lstrip_blocks: bool,
    /// Keep the newline at the end of the text.
    pub keep_trailing_newline: bool,
    /// What ends a line in the output.
    pub newline_sequence: String,
    /// Whether `\n` in a string inside `{{ }}` means a newline. In YAML it does not: the backslash stays.
    pub escapes_in_output: bool,
    /// `{% do %}` (the extension `jinja2.ext.do`).
    pub do_statement: bool,
    /// `{% break %}` and `{% continue %}` (the extension `jinja2.ext.loopcontrols`).
    pub loop_controls: bool,
}

impl Default for Style {
    /// As Ansible renders what is written in YAML.
    fn default() -> Self {
        Style {
            block_start: "{%".into(),
            block_end: "%}".into(),
            variable_start: "{{".into(),
            variable_end: "}}".into(),
            comment_start: "{#".into(),
            comment_end: "#}".into(),
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: false,
            newline_sequence: "\n".into(),
            escapes_in_output: false,
            do_statement: false,
            loop_controls: false,
        }
    }
}

impl Style {
    /// As the `template` module and lookup read files.
    pub fn file() -> Self {
        Style { escapes_in_output: true, ..Style::default() }
    }

    /// The style that a first line `#jinja2: key: value, ...` asks for, and where the template begins after it.
    pub(crate) fn with_header(&self, text: &str) -> Result<(Style, usize)> {
        const HEADER: &str = "#jinja2:";
        let mut style = self.clone();
        if !text.starts_with(HEADER) {
            return Ok((style, 0));
        }
        let end = text.find('\n').unwrap_or(text.len());
        let bad = |what: String| Error::new(Kind::Syntax, what);
        for pair in split_pairs(&text[HEADER.len()..end]) {
            let Some((key, value)) = pair.split_once(':') else {
                return Err(bad(format!(
                    "failed to parse jinja2 override {}. Did you use something different from colon as key-value separator?",
                    str_repr(pair.trim())
                )));
            };
            let (key, value) = (key.trim(), value.trim());
            let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
            let text = unquoted
                .map_or_else(|| value.to_owned(), |inner| inner.replace("\\n", "\n").replace("\\r", "\r"));
            let flag = || match text.as_str() {
                "True" | "true" => Ok(true),
                "False" | "false" => Ok(false),
                _ => Err(bad(format!("{key} must be True or False"))),
            };
            match key {
                "block_start_string" => style.block_start = text,
                "block_end_string" => style.block_end = text,
                "variable_start_string" => style.variable_start = text,
                "variable_end_string" => style.variable_end = text,
                "comment_start_string" => style.comment_start = text,
                "comment_end_string" => style.comment_end = text,
                "newline_sequence" => style.newline_sequence = text,
                "trim_blocks" => style.trim_blocks = flag()?,
                "lstrip_blocks" => style.lstrip_blocks = flag()?,
                "keep_trailing_newline" => style.keep_trailing_newline = flag()?,
                other => return Err(bad(format!("Invalid '#jinja2:' override key {}.", str_repr(other)))),
            }
        }
        Ok((style, (end + 1).min(text.len())))
    }
}

/// Pieces between commas outside of quotes.
fn split_pairs(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (',', None) => {
                out.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tok {
    Data(Arc<str>),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(Arc<str>),
    Text(Arc<str>),
    Number(Value),
    Op(&'static str),
    Eof,
}

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Tok {
    /// How Jinja2 calls it in a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Tok::Data(_) => "template data / text".into(),
            Tok::VariableBegin => "begin of print statement".into(),
            Tok::VariableEnd => "end of print statement".into(),
            Tok::BlockBegin => "begin of statement block".into(),
            Tok::BlockEnd => "end of statement block".into(),
            Tok::Name(name) => name.to_string(),
            Tok::Text(_) => "string".into(),
            Tok::Number(Value::Float(_)) => "float".into(),
            Tok::Number(_) => "integer".into(),
            Tok::Op(op) => (*op).into(),
            Tok::Eof => "end of template".into(),
        }
    }
}

/// Longest first, so that `//` is not two `/`.
const OPERATORS: [&str; 27] = [
    "==", "!=", ">=", "<=", "//", "**", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",", ";", "!",
];

/// The tokens of the template that begins at a byte of the text.
///
/// A mistake of the lexer comes beside what was read before it: the parser may find an earlier one.
pub(crate) fn tokenize(text: &Arc<str>, style: &Style, begin: usize) -> (Vec<Token>, Option<Error>) {
    let mut lexer =
        Lexer { text, style, at: begin, out: Vec::new(), line_starting: true, kind: Kind::Syntax };
    let error = lexer.root().err();
    lexer.push(Tok::Eof, text.len(), text.len());
    (lexer.out, error)
}

/// The tokens of a bare expression, as in `when`.
pub(crate) fn tokenize_expression(text: &Arc<str>, style: &Style) -> (Vec<Token>, Option<Error>) {
    let kind = Kind::ExpressionSyntax;
    let mut lexer = Lexer { text, style, at: 0, out: Vec::new(), line_starting: true, kind };
    let error = lexer.code(None, true).err();
    lexer.push(Tok::Eof, text.len(), text.len());
    (lexer.out, error)
}

struct Lexer<'a> {
    text: &'a Arc<str>,
    style: &'a Style,
    at: usize,
    out: Vec<Token>,
    line_starting: bool,
    kind: Kind,
}

/// Which delimiter begins here.
#[derive(Clone, Copy, PartialEq)]
enum Begin {
    Variable,
    Block,
    Comment,
}

impl Lexer<'_> {
    fn push(&mut self, tok: Tok, start: usize, end: usize) {
        self.out.push(Token { tok, start, end });
    }

    fn fail<T>(&self, message: impl Into<String>, start: usize, end: usize) -> Result<T> {
        let text = Arc::clone(self.text);
        let place = Place { template: None, origin: Span::default(), text, start, end };
        Err(Error::new(self.kind.clone(), message).at(|| place))
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next beginning of anything, the longest delimiter where two begin at one place.
    fn next_begin(&self, from: usize) -> Option<(usize, Begin)> {
        let hay = &self.text[from..];
        let kinds = [
            (Begin::Comment, self.style.comment_start.as_str()),
            (Begin::Block, self.style.block_start.as_str()),
            (Begin::Variable, self.style.variable_start.as_str()),
        ];
        let mut best: Option<(usize, Begin, usize)> = None;
        for (begin, delimiter) in kinds {
            if delimiter.is_empty() {
                continue;
            }
            if let Some(found) = hay.find(delimiter) {
                let better = match best {
                    None => true,
                    Some((at, _, length)) => found < at || (found == at && delimiter.len() > length),
                };
                if better {
                    best = Some((found, begin, delimiter.len()));
                }
            }
        }
        best.map(|(at, begin, _)| (from + at, begin))
    }

    fn data(&mut self, start: usize, end: usize) {
        if start >= end {
            return;
        }
        let mut text = &self.text[start..end];
        // Without `keep_trailing_newline`, the last newline of the whole template goes.
        if end == self.text.len() && !self.style.keep_trailing_newline {
            text = text.strip_suffix("\r\n").or_else(|| text.strip_suffix(['\n', '\r'])).unwrap_or(text);
        }
        if text.is_empty() {
            return;
        }
        let newline = self.style.newline_sequence.as_str();
        let data = if text.contains('\r') || (newline != "\n" && text.contains('\n')) {
            Arc::from(text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', newline))
        } else {
            Arc::from(text)
        };
        self.push(Tok::Data(data), start, end);
    }

    /// Where the data before a tag ends, after whitespace control.
    fn trimmed_end(&self, start: usize, end: usize, sign: Option<u8>, begin: Begin) -> usize {
        let text = &self.text[start..end];
        if sign == Some(b'-') {
            return start + text.trim_end().len();
        }
        if sign != Some(b'+') && self.style.lstrip_blocks && begin != Begin::Variable {
            let line = text.rfind('\n').map_or(0, |newline| newline + 1);
            if (line > 0 || self.line_starting) && text[line..].chars().all(char::is_whitespace) {
                return start + line;
            }
        }
        end
    }

    fn root(&mut self) -> Result<()> {
        while self.at < self.text.len() {
            let start = self.at;
            let Some((tag, begin)) = self.next_begin(start) else {
                self.data(start, self.text.len());
                self.at = self.text.len();
                break;
            };
            let delimiter = match begin {
                Begin::Variable => self.style.variable_start.len(),
                Begin::Block => self.style.block_start.len(),
                Begin::Comment => self.style.comment_start.len(),
            };
            let after = tag + delimiter;
            let sign = self.text.as_bytes().get(after).copied().filter(|b| matches!(b, b'-' | b'+'));
            let end = self.trimmed_end(start, tag, sign, begin);
            self.data(start, end);
            self.at = after + usize::from(sign.is_some());
            match begin {
                Begin::Comment => self.comment(tag)?,
                Begin::Variable => {
                    self.push(Tok::VariableBegin, tag, self.at);
                    self.code(Some(Begin::Variable), self.style.escapes_in_output)?;
                    self.line_starting = self.text[..self.at].ends_with('\n');
                }
                Begin::Block => {
                    if let Some(body) = self.keyword_tag(self.at, "raw", false) {
                        self.raw(tag, body)?;
                    } else {
                        self.push(Tok::BlockBegin, tag, self.at);
                        self.code(Some(Begin::Block), true)?;
                    }
                    self.line_starting = self.text[..self.at].ends_with('\n');
                }
            }
        }
        Ok(())
    }

    /// The byte after `raw %}` or `endraw %}` with its whitespace control, if that is what stands at `at`.
    fn keyword_tag(&self, at: usize, word: &str, trim: bool) -> Option<usize> {
        let rest = &self.text[at..];
        let inner = rest.trim_start().strip_prefix(word)?.trim_start();
        let position = self.text.len() - inner.len();
        let end = self.style.block_end.as_str();
        if let Some(after) = inner.strip_prefix('-').and_then(|r| r.strip_prefix(end)) {
            return Some(self.text.len() - after.trim_start().len());
        }
        if let Some(after) = inner.strip_prefix('+').and_then(|r| r.strip_prefix(end)).filter(|_| trim) {
            return Some(self.text.len() - after.len());
        }
        inner.strip_prefix(end)?;
        let mut position = position + end.len();
        if trim && self.style.trim_blocks && self.text[position..].starts_with('\n') {
            position += 1;
        }
        Some(position)
    }

    fn raw(&mut self, tag: usize, body: usize) -> Result<()> {
        let mut from = body;
        // Jinja2 ends quietly where nothing at all follows.
        if body == self.text.len() {
            self.at = body;
            return Ok(());
        }
        while let Some(found) = self.text[from..].find(&self.style.block_start) {
            let open = from + found;
            let inside = open + self.style.block_start.len();
            let sign = self.text.as_bytes().get(inside).copied().filter(|b| matches!(b, b'-' | b'+'));
            if let Some(after) = self.keyword_tag(inside + usize::from(sign.is_some()), "endraw", true) {
                self.line_starting = self.text[..body].ends_with('\n');
                let end = self.trimmed_end(body, open, sign, Begin::Block);
                self.data(body, end);
                self.at = after;
                return Ok(());
            }
            from = inside;
        }
        self.fail("Missing end of raw directive", tag, body)
    }

    fn comment(&mut self, tag: usize) -> Result<()> {
        let end = self.style.comment_end.as_str();
        let Some(found) = self.rest().find(end) else {
            return self.fail("Missing end of comment tag", tag, self.at);
        };
        let body_end = self.at + found;
        let sign = self.text[..body_end].bytes().next_back().filter(|_| found > 0);
        let mut after = body_end + end.len();
        match sign {
            Some(b'-') => after = self.text.len() - self.text[after..].trim_start().len(),
            Some(b'+') => {}
            _ if self.style.trim_blocks && self.text[after..].starts_with('\n') => after += 1,
            _ => {}
        }
        self.at = after;
        self.line_starting = self.text[..after].ends_with('\n');
        Ok(())
    }

    /// The end of the tag if it stands here: its length with the whitespace it eats.
    fn tag_end(&self, begin: Begin) -> Option<(usize, usize)> {
        let rest = self.rest();
        let end = match begin {
            Begin::Variable => self.style.variable_end.as_str(),
            _ => self.style.block_end.as_str(),
        };
        if let Some(after) = rest.strip_prefix('-').and_then(|r| r.strip_prefix(end)) {
            return Some((1 + end.len(), self.text.len() - after.trim_start().len()));
        }
        if begin == Begin::Block
            && let Some(after) = rest.strip_prefix('+').and_then(|r| r.strip_prefix(end))
        {
            return Some((1 + end.len(), self.text.len() - after.len()));
        }
        let after = rest.strip_prefix(end)?;
        let eats = usize::from(begin == Begin::Block && self.style.trim_blocks && after.starts_with('\n'));
        Some((end.len(), self.text.len() - after.len() + eats))
    }

    /// Tokens up to the end of the tag, or of the text.
    fn code(&mut self, begin: Option<Begin>, escapes: bool) -> Result<()> {
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let start = self.at;
            if open.is_empty()
                && let Some(begin) = begin
                && let Some((length, next)) = self.tag_end(begin)
            {
                let tok = if begin == Begin::Variable { Tok::VariableEnd } else { Tok::BlockEnd };
                self.push(tok, start, start + length);
                self.at = next;
                return Ok(());
            }
            if open.is_empty() && begin.is_none() && self.rest().starts_with(&self.style.variable_end) {
                self.at += self.style.variable_end.len();
                self.push(Tok::VariableEnd, start, self.at);
                continue;
            }
            let Some(first) = self.rest().chars().next() else { return Ok(()) };
            if first == '\'' || first == '"' {
                self.string(first, escapes)?;
            } else if first.is_ascii_digit() {
                self.number()?;
            } else if first == '_' || first.is_alphabetic() {
                let name = self.rest();
                let length = name.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(name.len());
                let name = Arc::from(&name[..length]);
                self.at += length;
                self.push(Tok::Name(name), start, self.at);
            } else {
                let operator = OPERATORS.iter().find(|op| self.rest().starts_with(**op));
                match operator.copied() {
                    Some(op) if op != "!" => {
                        self.balance(op, &mut open)?;
                        self.at += op.len();
                        self.push(Tok::Op(op), start, self.at);
                    }
                    _ => {
                        let position = self.text[..start].chars().count();
                        let shown = str_repr(&first.to_string());
                        return self.fail(
                            format!("unexpected char {shown} at {position}"),
                            start,
                            start + first.len_utf8(),
                        );
                    }
                }
            }
        }
    }

    fn balance(&self, op: &'static str, open: &mut Vec<&'static str>) -> Result<()> {
        let closer = match op {
            "(" => ")",
            "[" => "]",
            "{" => "}",
            ")" | "]" | "}" => {
                return match open.pop() {
                    None => self.fail(format!("unexpected '{op}'"), self.at, self.at + 1),
                    Some(expected) if expected != op => {
                        self.fail(format!("unexpected '{op}', expected '{expected}'"), self.at, self.at + 1)
                    }
                    Some(_) => Ok(()),
                };
            }
            _ => return Ok(()),
        };
        open.push(closer);
        Ok(())
    }

    fn string(&mut self, quote: char, escapes: bool) -> Result<()> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        let mut plain = true;
        loop {
            match bytes.get(end) {
                None => {
                    let position = self.text[..start].chars().count();
                    let shown = str_repr(&quote.to_string());
                    return self.fail(
                        format!("unexpected char {shown} at {position}"),
                        start,
                        self.text.len(),
                    );
                }
                Some(b'\\') => {
                    plain = false;
                    end += 2;
                }
                Some(&b) if b as char == quote => break,
                Some(_) => end += 1,
            }
        }
        let body = &self.text[start + 1..end];
        let value = if plain || !escapes {
            Arc::from(body)
        } else {
            match unescape(body) {
                Ok(text) => Arc::from(text),
                Err(message) => return self.fail(message, start, end + 1),
            }
        };
        self.at = end + 1;
        self.push(Tok::Text(value), start, end + 1);
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        let rest = self.rest();
        // `d.0.1` reads the elements 0 and 1, not the number 0.1.
        let after_dot = self.text[..start].ends_with('.');
        let (length, value) = match float_length(rest).filter(|_| !after_dot) {
            Some(length) => {
                let digits = rest[..length].replace('_', "");
                (length, Value::Float(digits.parse().unwrap_or(f64::INFINITY)))
            }
            None => {
                let (length, radix) = integer_length(rest);
                let digits = rest[if radix == 10 { 0 } else { 2 }..length].replace('_', "");
                match BigInt::parse_bytes(digits.as_bytes(), radix) {
                    Some(number) => (length, Value::integer(number)),
                    None => return self.fail("invalid number", start, start + length),
                }
            }
        };
        self.at += length;
        self.push(Tok::Number(value), start, self.at);
        Ok(())
    }
}

/// How many bytes of digits, with single underscores between them.
fn digits(text: &str, allowed: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if allowed(bytes[at]) {
            at += 1;
        } else if at > 0 && bytes[at] == b'_' && bytes.get(at + 1).is_some_and(|&b| allowed(b)) {
            at += 2;
        } else {
            break;
        }
    }
    at
}

fn float_length(text: &str) -> Option<usize> {
    let digit = |b: u8| b.is_ascii_digit();
    let mut length = digits(text, digit);
    let mut float = false;
    if text[length..].starts_with('.') {
        let fraction = digits(&text[length + 1..], digit);
        if fraction > 0 {
            length += 1 + fraction;
            float = true;
        }
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[length + 1 + sign..], digit);
        if exponent > 0 {
            length += 1 + sign + exponent;
            float = true;
        }
    }
    float.then_some(length)
}

fn integer_length(text: &str) -> (usize, u32) {
    let bytes = text.as_bytes();
    if bytes[0] == b'0' {
        let radix = match bytes.get(1).map(u8::to_ascii_lowercase) {
            Some(b'x') => 16,
            Some(b'o') => 8,
            Some(b'b') => 2,
            _ => return (digits(text, |b| b == b'0'), 10),
        };
        let body = text[2..].strip_prefix('_').unwrap_or(&text[2..]);
        let length = digits(body, |b| (b as char).is_digit(radix));
        if length > 0 {
            return (text.len() - body.len() + length, radix);
        }
        return (1, 10);
    }
    (digits(text, |b| b.is_ascii_digit()), 10)
}

/// Python's `unicode-escape`: known escapes become their character, unknown ones stay.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find('\\') {
        out.push_str(&rest[..found]);
        rest = &rest[found + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            'x' | 'u' | 'U' => {
                let width = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let code = rest.get(..width).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                let Some(code) = code else {
                    return Err(format!("'unicodeescape' codec can't decode bytes: truncated \\{c} escape"));
                };
                // A lone surrogate has no place in our text.
                out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                rest = &rest[width..];
            }
            '0'..='7' => {
                let more = rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let code = u32::from_str_radix(&format!("{c}{}", &rest[..more]), 8).unwrap_or(0);
                out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                rest = &rest[more..];
            }
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, style: &Style) -> String {
        match tokenize(&Arc::from(text), style, 0) {
            (_, Some(error)) => error.detail().to_owned(),
            (tokens, None) => tokens
                .iter()
                .map(|token| match &token.tok {
                    Tok::Data(text) => format!("{text:?}"),
                    Tok::Text(text) => format!("'{text}'"),
                    Tok::Number(number) => quorate_value::repr(number),
                    Tok::VariableBegin => "{{".into(),
                    Tok::VariableEnd => "}}".into(),
                    Tok::BlockBegin => "{%".into(),
                    Tok::BlockEnd => "%}".into(),
                    Tok::Eof => String::new(),
                    other => other.describe(),
                })
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn whitespace_control() {
        let plain = Style::default();
        let strip = Style { lstrip_blocks: true, ..Style::default() };
        for (style, text, expected) in [
            (&plain, "{% if x %}\ny\n", r#"{% if x %} "y" "#),
            (&plain, "a {%- if x -%} \n b", r#""a" {% if x %} "b" "#),
            (&plain, "a\n  {% x +%}\nb", r#""a\n  " {% x %} "\nb" "#),
            (&strip, "a\n  {% x %}\nb", r#""a\n" {% x %} "b" "#),
            (&strip, "a\n  {%+ x %}\nb", r#""a\n  " {% x %} "b" "#),
            (&strip, "  {{ x }}", r#""  " {{ x }} "#),
            (&strip, "  {# c #}\n  {% x %}", r"{% x %} "),
            (&plain, "a{# c -#}  b", r#""a" "b" "#),
            (&plain, "{% raw %}\n{{ x }}\n{% endraw %}\ny", r#""\n{{ x }}\n" "y" "#),
            (&plain, "{%- raw -%} {{ x }} {%- endraw -%} y", r#""{{ x }}" "y" "#),
            (&plain, "a\r\nb\r\n", r#""a\nb" "#),
        ] {
            assert_eq!(shown(text, style), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_and_strings() {
        let file = Style::file();
        for (text, expected) in [
            ("{{ 1_000 0x1F 0b11 0o17 1e3 1.5e-3 00 }}", "{{ 1000 31 3 15 1000.0 0.0015 0 }} "),
            ("{{ a.0.1 }}", "{{ a . 0 . 1 }} "),
            (r"{{ 'a\n\x41\u00e9\101\q' }}", "{{ 'a\nAéA\\q' }} "),
            ("{{ {'a': {}} }}", "{{ { 'a' : { } } }} "),
            ("{{ 99999999999999999999 }}", "{{ 99999999999999999999 }} "),
        ] {
            assert_eq!(shown(text, &file), expected);
        }
        assert_eq!(shown(r"{{ 'a\n' }}", &Style::default()), "{{ 'a\\n' }} ");
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("{{ 1 $ }}", "unexpected char '$' at 5"),
            ("{{ 'abc }}", "unexpected char \"'\" at 3"),
            ("{{ (1 }}", "unexpected '}', expected ')'"),
            ("{{ 1) }}", "unexpected ')'"),
            ("{# foo", "Missing end of comment tag"),
            ("{% raw %}x", "Missing end of raw directive"),
        ] {
            assert_eq!(shown(text, &Style::default()), expected);
        }
    }

    #[test]
    fn own_delimiters() {
        let style = Style {
            variable_start: "[[".into(),
            variable_end: "]]".into(),
            block_start: "<%".into(),
            block_end: "%>".into(),
            ..Style::default()
        };
        assert_eq!(shown("{{ a }}[[ b[0] ]]<% if x %>", &style), r#""{{ a }}" {{ b [ 0 ] }} {% if x %} "#);
    }
}
