//! URLs: taking them apart, quoting, linking.

use super::jinja_text::html;
use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::rt::{Map, V};
use indexmap::IndexMap;
use quorate_value::{Key, Str};
use std::fmt::Write as _;
use std::rc::Rc;

pub(super) static FILTERS: [Filter; 4] = [
    filter("urldecode", urldecode),
    filter("urlencode", urlencode),
    filter("urlize", urlize),
    filter("urlsplit", urlsplit),
];

/// Percent-encoding; `plus` writes a blank as `+` and no slash as it is.
fn quote(text: &str, plus: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(b as char),
            b'/' if !plus => out.push('/'),
            b' ' if plus => out.push('+'),
            b => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

fn urlencode(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_urlencode", ["value"], 1)?;
    let value = value.unwrap_or(V::Null);
    let pairs = match &value {
        V::Dict(_) | V::Object(_) => crate::ops::entries_of(vm, &value)?
            .into_iter()
            .map(|(key, value)| (V::done(&key.to_value()), value))
            .collect::<Vec<_>>(),
        V::List(_) | V::Tuple(_) => {
            let mut pairs = Vec::new();
            for pair in vm.iterate(&value)? {
                let pair = vm.iterate(&pair)?;
                let [key, value] = pair.as_slice() else {
                    return Err(Error::runtime(format!(
                        "not enough values to unpack (expected 2, got {})",
                        pair.len()
                    )));
                };
                pairs.push((key.clone(), value.clone()));
            }
            pairs
        }
        other => return Ok(V::text(quote(&vm.to_text(other)?, false))),
    };
    let mut parts = Vec::new();
    for (key, value) in &pairs {
        parts.push(format!("{}={}", quote(&vm.to_text(key)?, true), quote(&vm.to_text(value)?, true)));
    }
    Ok(V::text(parts.join("&")))
}

fn urldecode(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_urldecode", ["string"], 1)?;
    let text = vm.to_text(&value.unwrap_or(V::Null))?;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        at += 1;
        let hex = text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (b, hex) {
            (b'+', _) => out.push(b' '),
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            _ => out.push(b),
        }
    }
    Ok(V::text(String::from_utf8_lossy(&out).into_owned()))
}

fn urlsplit(vm: &Vm, args: Args) -> Result<V> {
    let [value, query] = args.bind("split_url", ["value", "query", "alias"], 1).map(|[a, b, _]| [a, b])?;
    let text = match value.unwrap_or(V::Null) {
        V::Str(text) => text,
        other => {
            return Err(Error::runtime(format!("'{}' object has no attribute 'decode'", other.type_name())));
        }
    };
    let (mut rest, fragment) = text.split_once('#').unwrap_or((&text, ""));
    let query_part;
    (rest, query_part) = rest.split_once('?').unwrap_or((rest, ""));
    let mut scheme = String::new();
    if let Some((head, tail)) = rest.split_once(':') {
        let fine = head.starts_with(|c: char| c.is_ascii_alphabetic())
            && head.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if fine {
            scheme = head.to_lowercase();
            rest = tail;
        }
    }
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", rest),
    };
    let (user, host) = match netloc.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, netloc),
    };
    let (username, password) = match user {
        None => (V::Null, V::Null),
        Some(user) => match user.split_once(':') {
            Some((name, password)) => (V::str(name), V::str(password)),
            None => (V::str(user), V::Null),
        },
    };
    let (hostname, port) = if let Some(inner) = host.strip_prefix('[') {
        let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
        (name, after.strip_prefix(':').unwrap_or(""))
    } else {
        host.split_once(':').unwrap_or((host, ""))
    };
    let port = match port {
        "" => V::Null,
        digits => match digits.parse::<u32>() {
            Ok(port) if port <= 65535 => V::Int(i64::from(port)),
            Ok(_) => return Err(Error::runtime("Port out of range 0-65535")),
            Err(_) => {
                return Err(Error::runtime(format!(
                    "Port could not be cast to integer value as {}",
                    quorate_value::str_repr(digits)
                )));
            }
        },
    };
    let hostname = if hostname.is_empty() { V::Null } else { V::text(hostname.to_lowercase()) };
    let parts = [
        ("fragment", V::str(fragment)),
        ("hostname", hostname),
        ("netloc", V::str(netloc)),
        ("password", password),
        ("path", V::str(path)),
        ("port", port),
        ("query", V::str(query_part)),
        ("scheme", V::text(scheme)),
        ("username", username),
    ];
    let query = query.map_or(Ok(Str::default()), |query| vm.to_text(&query))?;
    if query.is_empty() {
        let entries: IndexMap<Key, V> =
            parts.into_iter().map(|(name, value)| (Key::from(name), value)).collect();
        return Ok(V::Dict(Rc::new(Map::own(entries))));
    }
    parts
        .into_iter()
        .find(|(name, _)| *name == query.as_str())
        .map(|(_, value)| value)
        .ok_or_else(|| Error::runtime(format!("urlsplit: unknown URL component: {}", query.as_str())))
}

/// Links for what looks like an address in text.
fn urlize(vm: &Vm, args: Args) -> Result<V> {
    let [value, limit, nofollow, target, rel, schemes] =
        args.bind("do_urlize", ["value", "trim_url_limit", "nofollow", "target", "rel", "extra_schemes"], 1)?;
    let text = vm.to_text(&value.unwrap_or(V::Null))?;
    let limit = match limit {
        None | Some(V::Null) => None,
        Some(limit) => Some(whole(&limit)?.max(0) as usize),
    };
    let optional = |value: Option<V>| match value {
        None | Some(V::Null) => Ok(None),
        Some(value) => vm.to_text(&value).map(Some),
    };
    let (target, rel) = (optional(target)?, optional(rel)?);
    let mut rels: Vec<String> =
        rel.iter().flat_map(|rel| rel.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    if flag(vm, nofollow, false)? {
        rels.push("nofollow".into());
    }
    rels.push("noopener".into());
    rels.sort();
    rels.dedup();
    let mut attributes = format!(" rel=\"{}\"", html(&rels.join(" ")));
    if let Some(target) = target {
        let _ = write!(attributes, " target=\"{}\"", html(&target));
    }
    let mut extra = Vec::new();
    if let Some(schemes) = schemes.filter(|schemes| !matches!(schemes, V::Null)) {
        for scheme in vm.iterate(&schemes)? {
            extra.push(vm.to_text(&scheme)?);
        }
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start().len();
        out.push_str(&rest[..blanks]);
        rest = &rest[blanks..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = html(&rest[..end]);
        rest = &rest[end..];
        let head_length = word.len() - word.trim_start_matches(['(', '<']).trim_start_matches("&lt;").len();
        let (head, middle) = word.split_at(head_length);
        let kept = middle.trim_end_matches([')', '>', '.', ',', '\n']);
        let kept = kept.strip_suffix("&gt;").unwrap_or(kept);
        let (middle, tail) = middle.split_at(kept.len());
        let shown = match limit {
            Some(limit) if middle.chars().count() > limit => {
                middle.chars().take(limit).collect::<String>() + "..."
            }
            _ => middle.to_owned(),
        };
        let domain = middle.starts_with("www.")
            || [".com", ".net", ".org", ".info", ".edu", ".gov", ".int"]
                .iter()
                .any(|end| middle.ends_with(end));
        let link = if middle.starts_with("https://") || middle.starts_with("http://") {
            Some(format!("<a href=\"{middle}\"{attributes}>{shown}</a>"))
        } else if extra
            .iter()
            .any(|scheme| middle.starts_with(scheme.as_str()) && middle.len() > scheme.len())
        {
            Some(format!("<a href=\"{middle}\"{attributes}>{middle}</a>"))
        } else if middle.contains('@') && !middle.starts_with("www.") && !middle.contains(':') {
            let fine =
                middle.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            fine.then(|| format!("<a href=\"mailto:{middle}\">{middle}</a>"))
        } else if domain && middle.len() > 4 {
            Some(format!("<a href=\"https://{middle}\"{attributes}>{shown}</a>"))
        } else {
            None
        };
        out.push_str(head);
        out.push_str(link.as_deref().unwrap_or(middle));
        out.push_str(tail);
    }
    Ok(V::text(out))
}
