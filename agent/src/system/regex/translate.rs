//! Python's pattern syntax to that of `fancy-regex`.

use super::Flags;
use std::iter::Peekable;
use std::str::Chars;

/// The same pattern for `fancy-regex`.
pub(super) fn translate(pattern: &str, flags: Flags) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    // Global flags stand first in Python, and may say `m` themselves.
    let global = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')')).map(|(letters, _)| letters);
    let global = global.filter(|letters| letters.chars().all(|c| "aiLmsux".contains(c))).unwrap_or("");
    let multiline = flags.multiline || global.contains('m');
    let verbose = global.contains('x');
    match (multiline, flags.dotall) {
        (true, true) => out.push_str("(?ms)"),
        (true, false) => out.push_str("(?m)"),
        (false, true) => out.push_str("(?s)"),
        (false, false) => {}
    }
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out, false),
            '[' => class(&mut chars, &mut out),
            '$' if !multiline => out.push_str(r"(?=\n?\z)"),
            '{' => brace(&mut chars, &mut out),
            '(' if chars.peek() == Some(&'?') => group(&mut chars, &mut out),
            '#' if verbose => {
                out.push('#');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == '\n' {
                        break;
                    }
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// `(?...`: comments go, and flags that only Python has.
fn group(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let rest: String = chars.clone().skip(1).collect();
    if rest.starts_with('#') {
        for c in chars.by_ref() {
            if c == ')' {
                return;
            }
        }
        return;
    }
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).map_or("", |end| &rest[..end]);
    let after = rest[letters.len()..].chars().next();
    if !letters.is_empty() && letters.contains(['a', 'L', 'u']) && matches!(after, Some(')' | ':')) {
        let kept: String = letters.chars().filter(|c| !"aLu".contains(*c)).collect();
        chars.nth(letters.len());
        match (kept.is_empty(), after) {
            (true, Some(')')) => {
                chars.next();
            }
            (true, _) => {
                chars.next();
                out.push_str("(?:");
            }
            (false, _) => {
                out.push_str("(?");
                out.push_str(&kept);
            }
        }
        return;
    }
    out.push('(');
}

/// `{`: a repetition, or a plain brace.
fn brace(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let inside: String = chars.clone().take_while(|c| *c != '}').collect();
    let closed = chars.clone().nth(inside.chars().count()) == Some('}');
    let numbers = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let repetition = closed
        && match inside.split_once(',') {
            Some((low, high)) => numbers(low) && numbers(high) && !(low.is_empty() && high.is_empty()),
            None => !inside.is_empty() && numbers(&inside),
        };
    if !repetition {
        out.push_str("\\{");
        return;
    }
    out.push('{');
    if inside.starts_with(',') {
        out.push('0');
    }
    for c in chars.by_ref() {
        out.push(c);
        if c == '}' {
            break;
        }
    }
}

fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    match chars.next() {
        None => out.push('\\'),
        Some('Z') if !in_class => out.push_str(r"\z"),
        Some(c @ '0'..='7') if in_class || c == '0' || is_octal(c, chars) => {
            let mut code = c.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                if let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) {
                    code = code * 8 + digit;
                    chars.next();
                }
            }
            out.push_str(&format!("\\x{{{code:x}}}"));
        }
        Some(c) if c.is_ascii_alphanumeric() => out.extend(['\\', c]),
        Some(c) if "\\.+*?()|[]{}^$#&-~".contains(c) => out.extend(['\\', c]),
        // A blank keeps its meaning in verbose patterns.
        Some(c @ (' ' | '\t' | '\n')) => out.push_str(&format!("\\x{{{:x}}}", c as u32)),
        Some(c) => out.push(c),
    }
}

/// `\101`: three octal digits are a character, fewer a group.
fn is_octal(first: char, chars: &Peekable<Chars<'_>>) -> bool {
    first <= '3' && chars.clone().take(2).filter(|c| c.is_digit(8)).count() == 2
}

/// `[...]`, whose inside has no nested classes and no set operations in Python.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.peek() == Some(&'^') {
        out.push('^');
        chars.next();
    }
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            ']' if !first => {
                out.push(']');
                return;
            }
            ']' => out.push_str("\\]"),
            '[' => out.push_str("\\["),
            '\\' => escape(chars, out, true),
            '&' | '~' => out.extend(['\\', c]),
            '-' if chars.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
        first = false;
    }
}
