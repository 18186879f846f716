//! `version`: loose, strict, semantic and PEP 440 version numbers compared.

use super::{Test, test};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::rt::V;
use quorate_value::{Str, str_repr};
use std::cmp::Ordering;

pub(super) static TESTS: [Test; 2] = [test("version", version), test("version_compare", version)];

fn version(vm: &Vm, args: Args) -> Result<bool> {
    let [value, wanted, operator, strict, kind] =
        args.bind("version_compare", ["value", "version", "operator", "strict", "version_type"], 2)?;
    let text = |value: Option<V>| vm.to_text(&value.unwrap_or(V::Null));
    let (value, wanted) = (text(value)?, text(wanted)?);
    let operator = operator.map_or(Ok(Str::new("eq")), |operator| vm.to_text(&operator))?;
    let given = |value: Option<V>| value.filter(|value| !matches!(value, V::Null));
    let (strict, kind) = (given(strict), given(kind));
    if strict.is_some() && kind.is_some() {
        return Err(Error::runtime("Cannot specify both 'strict' and 'version_type'"));
    }
    if value.is_empty() {
        return Err(Error::runtime("Input version value cannot be empty"));
    }
    if wanted.is_empty() {
        return Err(Error::runtime("Version parameter to compare against cannot be empty"));
    }
    let kind = match (strict, kind) {
        (Some(strict), _) => Str::new(if vm.truth(&strict)? { "strict" } else { "loose" }),
        (None, Some(kind)) => vm.to_text(&kind)?,
        (None, None) => Str::new("loose"),
    };
    let compare: fn(&str, &str) -> Result<Ordering> = match kind.as_str() {
        "loose" => loose,
        "strict" => strict_order,
        "semver" | "semantic" => semantic,
        "pep440" => pep440,
        other => {
            return Err(Error::runtime(format!(
                "Invalid version type ({other}). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'"
            )));
        }
    };
    let accept: fn(Ordering) -> bool = match operator.as_str() {
        "==" | "=" | "eq" => Ordering::is_eq,
        "<" | "lt" => Ordering::is_lt,
        "<=" | "le" => Ordering::is_le,
        ">" | "gt" => Ordering::is_gt,
        ">=" | "ge" => Ordering::is_ge,
        "!=" | "<>" | "ne" => Ordering::is_ne,
        other => {
            return Err(Error::runtime(format!(
                "Invalid operator type ({other}). Must be one of '==', '=', 'eq', '<', 'lt', '<=', 'le', '>', 'gt', '>=', 'ge', '!=', '<>', 'ne'"
            )));
        }
    };
    let order = compare(&value, &wanted)
        .map_err(|error| Error::runtime(format!("Version comparison failed: {}", error.detail())))?;
    Ok(accept(order))
}

#[derive(PartialEq)]
enum Part<'t> {
    Number(&'t str),
    Word(&'t str),
}

/// Digits and letters in turn; dots and nothing part them.
fn loose_parts(text: &str) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let same: fn(char) -> bool = match first {
            '0'..='9' => |c| c.is_ascii_digit(),
            'a'..='z' => |c| c.is_ascii_lowercase(),
            '.' => {
                rest = &rest[1..];
                continue;
            }
            _ => |c| !c.is_ascii_digit() && !c.is_ascii_lowercase() && c != '.',
        };
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let part = &rest[..end];
        out.push(if first.is_ascii_digit() { Part::Number(part) } else { Part::Word(part) });
        rest = &rest[end..];
    }
    out
}

fn digits(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

pub(crate) fn loose(a: &str, b: &str) -> Result<Ordering> {
    let (a, b) = (loose_parts(a), loose_parts(b));
    for (a, b) in a.iter().zip(&b) {
        let order = match (a, b) {
            (Part::Number(a), Part::Number(b)) => digits(a, b),
            (Part::Word(a), Part::Word(b)) => a.cmp(b),
            (Part::Number(_), Part::Word(_)) => {
                return Err(Error::runtime("'<' not supported between instances of 'int' and 'str'"));
            }
            (Part::Word(_), Part::Number(_)) => {
                return Err(Error::runtime("'<' not supported between instances of 'str' and 'int'"));
            }
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

fn strict_order(a: &str, b: &str) -> Result<Ordering> {
    fn parse(text: &str) -> Result<([u64; 3], Option<(char, u64)>)> {
        let bad = || Error::runtime(format!("invalid version number {}", str_repr(text)));
        let (numbers, pre) = match text.find(['a', 'b']) {
            Some(at) => {
                let letter = text[at..].chars().next().ok_or_else(bad)?;
                (&text[..at], Some((letter, text[at + 1..].parse().map_err(|_| bad())?)))
            }
            None => (text, None),
        };
        let parts: Vec<&str> = numbers.split('.').collect();
        if !(2..=3).contains(&parts.len()) {
            return Err(bad());
        }
        let mut out = [0; 3];
        for (slot, part) in out.iter_mut().zip(parts) {
            *slot = part.parse().map_err(|_| bad())?;
        }
        Ok((out, pre))
    }
    let (a, b) = (parse(a)?, parse(b)?);
    Ok(a.0.cmp(&b.0).then_with(|| match (a.1, b.1) {
        (None, None) => Ordering::Equal,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(a), Some(b)) => a.cmp(&b),
    }))
}

fn semantic(a: &str, b: &str) -> Result<Ordering> {
    fn parse(text: &str) -> Result<([u64; 3], Option<&str>)> {
        let bad = || Error::runtime(format!("invalid semantic version {}", str_repr(text)));
        let core = text.split_once('+').map_or(text, |(core, _)| core);
        let (core, pre) = match core.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (core, None),
        };
        let parts: Vec<&str> = core.split('.').collect();
        let fine = parts.len() == 3
            && parts.iter().all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_digit())
                    && (*part == "0" || !part.starts_with('0'))
            });
        if !fine || pre.is_some_and(|pre| pre.split('.').any(str::is_empty)) {
            return Err(bad());
        }
        let mut out = [0; 3];
        for (slot, part) in out.iter_mut().zip(parts) {
            *slot = part.parse().map_err(|_| bad())?;
        }
        Ok((out, pre))
    }
    let (a, b) = (parse(a)?, parse(b)?);
    Ok(a.0.cmp(&b.0).then_with(|| match (a.1, b.1) {
        (None, None) => Ordering::Equal,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(a), Some(b)) => {
            let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
            for (a, b) in a.iter().zip(&b) {
                let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
                let order = match (number(a), number(b)) {
                    (true, true) => digits(a, b),
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    (false, false) => a.cmp(b),
                };
                if order.is_ne() {
                    return order;
                }
            }
            a.len().cmp(&b.len())
        }
    }))
}

/// Epoch, release, pre, post, dev, local: in the order that compares.
type Pep440 = (u64, Vec<u64>, (u8, u64), (u8, u64), (u8, u64), Vec<(u8, u64, String)>);

fn pep440(a: &str, b: &str) -> Result<Ordering> {
    Ok(parse_pep440(a)?.cmp(&parse_pep440(b)?))
}

fn parse_pep440(text: &str) -> Result<Pep440> {
    let pattern = crate::pyre::compile(
        r"^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d+)?)?(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d+)?)?(?:[-_.]?(dev)[-_.]?(\d+)?)?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$",
        crate::pyre::Flags { ignore_case: true, multiline: false },
        true,
        text,
    )?;
    let clean = text.trim();
    let Some(found) = pattern.find(clean, 0)? else {
        return Err(Error::runtime(format!("Invalid version: {}", str_repr(text))));
    };
    let part = |group: usize| found.text(group, clean);
    let number = |group: usize| part(group).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let mut release: Vec<u64> =
        part(2).unwrap_or("").split('.').map(|digits| digits.parse().unwrap_or(u64::MAX)).collect();
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let has_post = part(5).is_some() || part(6).is_some();
    let has_dev = part(8).is_some();
    let pre = match part(3).map(str::to_lowercase).as_deref() {
        Some("a" | "alpha") => (1, number(4)),
        Some("b" | "beta") => (2, number(4)),
        Some(_) => (3, number(4)),
        // A development release of the final version comes before its first alpha.
        None if has_dev && !has_post => (0, 0),
        None => (9, 0),
    };
    let post = match (part(5), has_post) {
        (Some(_), _) => (1, number(5)),
        (None, true) => (1, number(7)),
        (None, false) => (0, 0),
    };
    let dev = if has_dev { (0, number(9)) } else { (1, 0) };
    let local = part(10).map_or_else(Vec::new, |local| {
        local
            .split(['-', '_', '.'])
            .map(|piece| match piece.parse() {
                Ok(number) => (1, number, String::new()),
                Err(_) => (0, 0, piece.to_lowercase()),
            })
            .collect()
    });
    Ok((number(1), release, pre, post, dev, local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let check = |compare: fn(&str, &str) -> Result<Ordering>, ascending: &[&str]| {
            for pair in ascending.windows(2) {
                assert_eq!(compare(pair[0], pair[1]).unwrap(), Ordering::Less, "{pair:?}");
            }
        };
        check(loose, &["1.2", "1.10", "1.10.1", "2.0", "2.0rc1"]);
        check(strict_order, &["1.0a1", "1.0b1", "1.0", "1.0.1"]);
        check(semantic, &["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2.0"]);
        check(pep440, &["1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.1", "1!0.1"]);
        assert_eq!(pep440("1.0", "1.0.0").unwrap(), Ordering::Equal);
        assert!(loose("1.x", "1.0").is_err() && semantic("1.0", "1.0.0").is_err());
    }
}
