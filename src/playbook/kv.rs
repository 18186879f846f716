//! The `k=v` form of task arguments, and the free form of `command` and its kin.
//!
//! In: the text after `module:`. Out: words split as Ansible splits them (quotes and Jinja blocks keep a word
//! together), then pairs. Rules: "Playbook keywords", `args`, and the documented `_raw_params` of free-form modules.

use quorate_value::{Dict, Str, Value};

/// Why the text does not split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// A quote or a Jinja block stays open.
    #[error("failed at splitting arguments, either an unbalanced jinja2 block or quotes: {0}")]
    Unbalanced(String),
}

/// Splits at white space outside quotes and outside `{{ }}`, `{% %}`, `{# #}`. Quotes stay in the words.
///
/// Newlines inside the text are kept as `\n` at the end of the word before them, so that shell scripts survive.
pub fn split_args(text: &str) -> Result<Vec<String>, KvError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut depth = 0usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if depth == 0 => {
                word.push(c);
                match chars.peek() {
                    // an escaped newline joins lines, as in the shell
                    Some('\n') if quote.is_none() => {
                        chars.next();
                        word.pop();
                        if !word.is_empty() {
                            words.push(std::mem::take(&mut word));
                        }
                    }
                    Some(&next) => {
                        word.push(next);
                        chars.next();
                    }
                    None => {}
                }
            }
            '{' if matches!(chars.peek(), Some('{' | '%' | '#')) => {
                depth += 1;
                word.push(c);
                word.push(chars.next().expect("peeked"));
            }
            '}' | '%' | '#' if depth > 0 && chars.peek() == Some(&'}') => {
                depth -= 1;
                word.push(c);
                word.push(chars.next().expect("peeked"));
            }
            '\'' | '"' if depth == 0 => {
                match quote {
                    None => quote = Some(c),
                    Some(open) if open == c => quote = None,
                    Some(_) => {}
                }
                word.push(c);
            }
            '\n' if quote.is_none() && depth == 0 => {
                word.push('\n');
                words.push(std::mem::take(&mut word));
            }
            c if c.is_whitespace() && quote.is_none() && depth == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if quote.is_some() || depth > 0 {
        return Err(KvError::Unbalanced(text.to_owned()));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Takes matching quotes off both ends.
pub fn unquote(text: &str) -> &str {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(a @ (b'"' | b'\'')), Some(b)) if a == b && text.len() > 1 && bytes[text.len() - 2] != b'\\' => {
            &text[1..text.len() - 1]
        }
        _ => text,
    }
}

/// Reads `k=v k2="v 2" rest of it`. With `raw`, words that are no pair (and pairs that the free-form modules do not
/// know) go to `_raw_params`; without, words that are no pair go there too, so that the caller can complain.
pub fn parse_kv(text: &Str, raw: bool) -> Result<Dict, KvError> {
    const FREE_FORM_OPTIONS: [&str; 11] = [
        "creates",
        "removes",
        "chdir",
        "executable",
        "warn",
        "stdin",
        "stdin_add_newline",
        "strip_empty_ends",
        "expand_argument_vars",
        "argv",
        "cmd",
    ];
    let mark = |piece: &str| {
        let out = Str::new(piece).at(text.span());
        let out = if text.is_secret() { out.secret() } else { out };
        Value::Str(if text.is_trusted() { out.trusted() } else { out })
    };
    let mut options = Dict::new();
    let mut rest: Vec<String> = Vec::new();
    for word in split_args(text)? {
        let pair = word.trim_end_matches('\n');
        let cut = equals_outside_jinja(pair).filter(|at| !pair[..*at].ends_with('\\'));
        match cut {
            Some(at) if at > 0 => {
                let (key, value) = (pair[..at].trim(), pair[at + 1..].trim());
                let known = !raw || FREE_FORM_OPTIONS.contains(&key);
                let plain = key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '.');
                // `{{ name }}=value` names a variable by a template
                if known && (plain || key.contains("{{")) {
                    options.insert(key, mark(&decode_escapes(unquote(value))));
                } else {
                    rest.push(word);
                }
            }
            _ if word == "\n" && rest.is_empty() => {}
            _ => rest.push(word),
        }
    }
    if !rest.is_empty() {
        let raw_params = match (options.is_empty(), raw) {
            (true, true) => join_lines(text.as_str().trim_start()),
            (true, false) => text.as_str().trim().to_owned(),
            (false, _) => join_args(&rest),
        };
        options.insert("_raw_params", mark(&raw_params));
    }
    Ok(options)
}

/// Lines that end in a backslash outside quotes go on in the next one.
fn join_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote.is_none() && chars.peek() == Some(&'\n') => {
                chars.next();
            }
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '\'' | '"' => {
                match quote {
                    None => quote = Some(c),
                    Some(open) if open == c => quote = None,
                    Some(_) => {}
                }
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// The reverse of splitting: one space between words, none after a newline.
fn join_args(words: &[String]) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// `\n`, `\t` and their like inside a `k=v` value, as Python's `unicode_escape` reads the common ones.
fn decode_escapes(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('\\') => out.push('\\'),
            Some(q @ ('"' | '\'')) => out.push(q),
            Some(kind @ ('x' | 'u' | 'U')) => {
                let len = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = chars.clone().take(len).collect();
                match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                    Some(decoded) if digits.len() == len => {
                        out.push(decoded);
                        chars.nth(len - 1);
                    }
                    _ => {
                        out.push('\\');
                        out.push(kind);
                    }
                }
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

/// Where the first `=` stands that is outside a Jinja block.
fn equals_outside_jinja(word: &str) -> Option<usize> {
    let bytes = word.as_bytes();
    let mut depth = 0usize;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'{' if matches!(bytes.get(i + 1), Some(b'{' | b'%')) => {
                depth += 1;
                i += 1;
            }
            b'}' | b'%' if depth > 0 && bytes.get(i + 1) == Some(&b'}') => {
                depth -= 1;
                i += 1;
            }
            b'=' if depth == 0 => return Some(i),
            _ => {}
        }
        i += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let split = |text: &str| split_args(text).unwrap();
        assert_eq!(split("a b=\"c d\" {{ e f }}"), ["a", "b=\"c d\"", "{{ e f }}"]);
        assert_eq!(split("a\nb"), ["a\n", "b"]);
        assert!(split_args("a 'b").is_err());
        assert!(split_args("{{ a").is_err());
    }

    #[test]
    fn pairs() {
        let kv = |text: &str, raw| parse_kv(&Str::new(text), raw).unwrap();
        assert_eq!(
            kv("path=/a state=absent", false),
            quorate_value::dict! {"path" => "/a", "state" => "absent"}
        );
        assert_eq!(kv("msg=\"a b\"", false), quorate_value::dict! {"msg" => "a b"});
        assert_eq!(kv("msg='a\\nb'", false), quorate_value::dict! {"msg" => "a\nb"});
        assert_eq!(kv("x={{ a == b }}", false), quorate_value::dict! {"x" => "{{ a == b }}"});
        assert_eq!(
            kv("echo a=b chdir=/tmp", true),
            quorate_value::dict! {"chdir" => "/tmp", "_raw_params" => "echo a=b"}
        );
        assert_eq!(kv("echo 'a b'  c", true), quorate_value::dict! {"_raw_params" => "echo 'a b'  c"});
        assert_eq!(
            kv("echo a \\\n\"b\nc\" | cat\nd\n", true),
            quorate_value::dict! {"_raw_params" => "echo a \"b\nc\" | cat\nd\n"}
        );
        assert_eq!(kv("regexp=\"\\bx\"", false), quorate_value::dict! {"regexp" => "\u{8}x"});
        assert_eq!(kv("", true), Dict::new());
    }
}
