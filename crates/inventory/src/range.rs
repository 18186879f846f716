//! Host patterns of inventory files: `web[01:10:2].example:22` to names and a port.
//!
//! In: the text where a host may stand. Out: the names it stands for, in order, and its port.
//!
//! **Invariant:** no text makes more than [`MOST_NAMES`] names or panics. Checked in `tests/it/laws.rs`.
//!
//! Not here: patterns of plays and limits (`pattern`).

use std::net::Ipv6Addr;

/// More names than this from one range are taken for a mistake.
pub const MOST_NAMES: usize = 1_000_000;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Why a range means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// `web[1:3`.
    #[error("a `[` of the host range is not closed")]
    Unclosed,
    /// `web[1]`, `web[1:2:3:4]`.
    #[error("a host range is `[first:last]` or `[first:last:step]`")]
    Form,
    /// `web[1:]`.
    #[error("the host range has no last value")]
    NoEnd,
    /// `web[01:100]`.
    #[error("first and last value of a zero-padded host range have the same number of digits")]
    Width,
    /// `web[c:a]`.
    #[error("the first value of the host range comes after its last")]
    Backwards,
    /// `web[a:10]`, `web[1:x]`.
    #[error("`{0}` is neither a number nor a single letter")]
    NotANumber(String),
    /// `web[1:5:0]`.
    #[error("the step of a host range is at least 1")]
    Step,
    /// `web[0:99999999999]`.
    #[error("the host range stands for more than a million hosts")]
    TooMany,
}

impl RangeError {
    /// The words ansible-core has for it.
    pub(crate) fn ansible_text(&self) -> String {
        match self {
            RangeError::Unclosed => "not enough values to unpack (expected 3, got 2)".into(),
            RangeError::Form => "host range must be begin:end or begin:end:step".into(),
            RangeError::NoEnd => "host range must specify end value".into(),
            RangeError::Width => "host range must specify equal-length begin and end formats".into(),
            RangeError::Backwards => "host range must have begin <= end".into(),
            RangeError::NotANumber(text) => format!("invalid literal for int() with base 10: '{text}'"),
            RangeError::Step => "range() arg 3 must not be zero".into(),
            RangeError::TooMany => self.to_string(),
        }
    }
}

/// Host and port of `host:port`, `[host]:port`, `host`; nothing where the text is no address at all.
pub(crate) fn split_port(text: &str) -> Option<(&str, Option<u32>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[')
        && let Some((host, port)) = rest.rsplit_once("]:")
        && let Some(port) = number(port)
    {
        (host, Some(port))
    } else if let Some((host, port)) = text.rsplit_once(':')
        && let Some(port) = number(port)
        && outside_brackets(host).is_some_and(|plain| !plain.contains(':'))
    {
        (host, Some(port))
    } else {
        (text, None)
    };
    (is_hostname(host) || is_ipv6(host)).then_some((host, port))
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The text with every complete `[…]` left out; nothing where brackets do not pair.
fn outside_brackets(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        rest = after.split_once(']')?.1;
    }
    plain.push_str(rest);
    (!plain.contains(']')).then_some(plain)
}

/// Whether `[…]` at the start of `text` is a range with bounds of this kind; gives the first bound and what follows.
fn leading_range(text: &str, digits: fn(char) -> bool) -> Option<(&str, &str)> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let mut bounds = inside.split(':');
    let (first, last) = (bounds.next()?, bounds.next()?);
    let step = bounds.next();
    let numbers = |text: &str| !text.is_empty() && text.chars().all(digits);
    let letter = |text: &str| text.len() == 1 && text.chars().all(|c| c.is_ascii_alphabetic());
    let bounds_ok = (numbers(first) && numbers(last)) || (letter(first) && letter(last));
    let step_ok = step.is_none_or(|step| number(step).is_some());
    (bounds_ok && step_ok && bounds.next().is_none()).then_some((first, rest))
}

/// Labels of letters, digits, `_`, `-` and ranges, joined by dots, neither starting nor ending with `-`.
fn is_hostname(text: &str) -> bool {
    let mut rest = text;
    let (mut length, mut last) = (0, '.');
    while let Some(c) = rest.chars().next() {
        if let Some((_, after)) = leading_range(rest, |c| c.is_ascii_digit()) {
            rest = after;
            (length, last) = (length + 1, '0');
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '.' if length > 0 && last != '-' => length = 0,
            '-' if length > 0 => length += 1,
            c if c == '_' || c.is_alphanumeric() => length += 1,
            _ => return false,
        }
        if length > 63 {
            return false;
        }
        last = c;
    }
    length > 0 && last != '-'
}

fn is_ipv6(text: &str) -> bool {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let Some((first, after)) = leading_range(&rest[at..], |c| c.is_ascii_hexdigit()) else {
            return false;
        };
        plain.push_str(&rest[..at]);
        plain.push_str(first);
        rest = after;
    }
    plain.push_str(rest);
    plain.parse::<Ipv6Addr>().is_ok()
}

/// The names that a host entry of an inventory stands for, and its port.
pub fn expand_host(text: &str) -> Result<(Vec<String>, Option<u32>), RangeError> {
    let (host, port) = split_port(text).unwrap_or((text, None));
    Ok((expand_range(host)?, port))
}

/// The names that a text with ranges stands for; the text itself where it has none.
pub fn expand_range(text: &str) -> Result<Vec<String>, RangeError> {
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (inside, tail) = after.split_once(']').ok_or(RangeError::Unclosed)?;
        let values = values(inside)?;
        if names.len().saturating_mul(values.len()) > MOST_NAMES {
            return Err(RangeError::TooMany);
        }
        names = names
            .iter()
            .flat_map(|name| values.iter().map(move |value| format!("{name}{before}{value}")))
            .collect();
        rest = tail;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn values(inside: &str) -> Result<Vec<String>, RangeError> {
    let bounds: Vec<&str> = inside.split(':').collect();
    let (first, last, step) = match bounds[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Err(RangeError::Form),
    };
    let first = if first.is_empty() { "0" } else { first };
    if last.is_empty() {
        return Err(RangeError::NoEnd);
    }
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.len() != last.len() {
        return Err(RangeError::Width);
    }
    let parse = |text: &str| text.parse::<u64>().map_err(|_| RangeError::NotANumber(text.to_owned()));
    let step = parse(step)?;
    let step = usize::try_from(step).ok().filter(|step| *step > 0).ok_or(RangeError::Step)?;
    if let (Some(from), Some(to)) = (letter(first), letter(last)) {
        if from > to {
            return Err(RangeError::Backwards);
        }
        return Ok(LETTERS[from..=to].chars().step_by(step).map(String::from).collect());
    }
    let (from, to) = (parse(first)?, parse(last)?);
    if to.saturating_sub(from) / (step as u64) >= MOST_NAMES as u64 {
        return Err(RangeError::TooMany);
    }
    let width = if padded { first.len() } else { 0 };
    Ok((from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

fn letter(text: &str) -> Option<usize> {
    (text.len() == 1).then(|| LETTERS.find(text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports() {
        let cases: &[(&str, &[&str], Option<u32>)] = &[
            ("web", &["web"], None),
            ("web:22", &["web"], Some(22)),
            ("web[01:03].x:80", &["web01.x", "web02.x", "web03.x"], Some(80)),
            ("web[1:5:2]", &["web1", "web3", "web5"], None),
            ("[1:3]", &["1", "2", "3"], None),
            ("x[a:c:2]y[1:2]", &["xay1", "xay2", "xcy1", "xcy2"], None),
            ("h[1:2]-[a:b]", &["h1-a", "h1-b", "h2-a", "h2-b"], None),
            ("q[:2]", &["q0", "q1", "q2"], None),
            ("[fe80::1]:99", &["fe80::1"], Some(99)),
            ("fe80::2", &["fe80::2"], None),
            ("fe80::[1:3]", &["fe80::1", "fe80::2", "fe80::3"], None),
            ("[fe80::[1:2]]:5", &["fe80::1", "fe80::2"], Some(5)),
            ("h:22x", &["h:22x"], None),
            ("a b:22", &["a b:22"], None),
            ("ho_st-:22", &["ho_st-:22"], None),
            ("-host:22", &["-host:22"], None),
            ("h.:22", &["h.:22"], None),
            ("1.2.3.4:5", &["1.2.3.4"], Some(5)),
            ("host:99999", &["host"], Some(99999)),
            ("[5:1]", &[], None),
        ];
        for (text, names, port) in cases {
            let (found, found_port) = expand_host(text).unwrap();
            assert_eq!(found, *names, "{text}");
            assert_eq!(found_port, *port, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        let cases = [
            ("web[1:]", RangeError::NoEnd),
            ("web[01:100]", RangeError::Width),
            ("web[c:a]", RangeError::Backwards),
            ("web[1]", RangeError::Form),
            ("web[1:2", RangeError::Unclosed),
            ("web[1:2:3:4]", RangeError::Form),
            ("web[a:10]", RangeError::NotANumber("a".into())),
            ("web[1:5:0]", RangeError::Step),
            ("web[0:9999999999]", RangeError::TooMany),
            ("a[1:2000]b[1:2000]", RangeError::TooMany),
        ];
        for (text, error) in cases {
            assert_eq!(expand_host(text), Err(error), "{text}");
        }
    }
}
