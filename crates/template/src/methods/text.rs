//! Methods of text: all that Python's `str` has.

use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::rt::{Native, V};
use quorate_value::Str;

use super::whole;

/// Sorted, for a binary search.
pub(super) const METHODS: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

/// The methods without arguments, sorted.
const TAKES_NOTHING: [&str; 18] = [
    "capitalize",
    "casefold",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "lower",
    "swapcase",
    "title",
    "upper",
];

/// What Python's `str.isspace` and `strip` take for white space.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.capitalize`
pub(crate) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// `str.title`
pub(crate) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `str.center`; an odd blank goes where Python puts it.
pub(crate) fn center(text: &str, width: usize, fill: char) -> String {
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    let left = missing / 2 + (missing & width & 1);
    let fill = |count: usize| fill.to_string().repeat(count);
    format!("{}{text}{}", fill(left), fill(missing - left))
}

/// `str.splitlines`
pub(crate) fn split_lines(text: &str, keep: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        ) {
            continue;
        }
        let mut end = at + c.len_utf8();
        if c == '\r' && matches!(chars.peek(), Some((_, '\n'))) {
            chars.next();
            end += 1;
        }
        out.push(&text[start..if keep { end } else { at }]);
        start = end;
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

/// `str.split` and `str.rsplit`; no separator means runs of white space.
pub(crate) fn split<'t>(
    text: &'t str,
    separator: Option<&str>,
    most: i64,
    right: bool,
) -> Result<Vec<&'t str>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let Some(separator) = separator else {
        let mut out = Vec::new();
        if right {
            let mut rest = text.trim_end_matches(is_space);
            while !rest.is_empty() {
                if out.len() == most {
                    out.push(rest);
                    break;
                }
                let at = rest
                    .rfind(is_space)
                    .map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
                out.push(&rest[at..]);
                rest = rest[..at].trim_end_matches(is_space);
            }
            out.reverse();
        } else {
            let mut rest = text.trim_start_matches(is_space);
            while !rest.is_empty() {
                if out.len() == most {
                    out.push(rest);
                    break;
                }
                let at = rest.find(is_space).unwrap_or(rest.len());
                out.push(&rest[..at]);
                rest = rest[at..].trim_start_matches(is_space);
            }
        }
        return Ok(out);
    };
    if separator.is_empty() {
        return Err(Error::runtime("empty separator"));
    }
    let parts = most.saturating_add(1);
    if right {
        let mut out: Vec<&str> = text.rsplitn(parts, separator).collect();
        out.reverse();
        Ok(out)
    } else {
        Ok(text.splitn(parts, separator).collect())
    }
}

/// The bytes that the characters from `start` to `stop` take; nothing where that is no range.
fn window(text: &str, start: Option<&V>, stop: Option<&V>) -> Result<Option<(usize, usize)>> {
    let bound = |value: Option<&V>| match value {
        None | Some(V::Null) => Ok(None),
        Some(value) => whole(value).map(Some),
    };
    let (start, stop) = (bound(start)?, bound(stop)?);
    if start.is_none() && stop.is_none() {
        return Ok(Some((0, text.len())));
    }
    let length = text.chars().count() as i64;
    let clamp = |at: i64| if at < 0 { (at + length).max(0) } else { at };
    let (start, stop) = (clamp(start.unwrap_or(0)), clamp(stop.unwrap_or(length)).min(length));
    if start > stop {
        return Ok(None);
    }
    let byte = |at: i64| text.char_indices().nth(at as usize).map_or(text.len(), |(byte, _)| byte);
    Ok(Some((byte(start), byte(stop))))
}

fn chars_before(text: &str, byte: usize) -> i64 {
    text[..byte].chars().count() as i64
}

fn needle(value: Option<V>) -> Result<Str> {
    match value {
        Some(V::Str(text)) => Ok(text),
        Some(V::Undefined(error)) => Err((*error).clone()),
        other => Err(Error::runtime(format!(
            "must be str, not {}",
            other.map_or("NoneType", |value| value.type_name())
        ))),
    }
}

fn fill_of(value: Option<V>) -> Result<char> {
    let Some(value) = value else { return Ok(' ') };
    let text = needle(Some(value))?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(Error::runtime("The fill character must be exactly one character long")),
    }
}

fn width_of(value: Option<&V>) -> Result<usize> {
    let width = value.map_or(Ok(0), whole)?.max(0) as usize;
    if width > 1 << 24 {
        return Err(Error::runtime("the padded text would be too wide"));
    }
    Ok(width)
}

pub(super) fn call(vm: &Vm, text: &Str, name: &str, args: Args) -> Result<V> {
    if TAKES_NOTHING.binary_search(&name).is_ok() && !(args.pos.is_empty() && args.named.is_empty()) {
        return Err(Error::runtime(if args.named.is_empty() {
            format!("str.{name}() takes no arguments ({} given)", args.pos.len())
        } else {
            format!("str.{name}() takes no keyword arguments")
        }));
    }
    let all = |test: fn(char) -> bool| Ok(V::Bool(!text.is_empty() && text.chars().all(test)));
    match name {
        "upper" => Ok(V::text(text.to_uppercase())),
        "lower" | "casefold" => {
            Ok(V::text(if name == "lower" { text.to_lowercase() } else { casefold(text) }))
        }
        "capitalize" => Ok(V::text(capitalize(text))),
        "title" => Ok(V::text(title(text))),
        "swapcase" => Ok(V::text(
            text.chars()
                .flat_map(|c| {
                    if c.is_uppercase() {
                        c.to_lowercase().collect::<Vec<_>>()
                    } else {
                        c.to_uppercase().collect()
                    }
                })
                .collect::<String>(),
        )),
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => Ok(V::Bool(text.is_ascii())),
        "isdecimal" => all(|c| c.is_ascii_digit()),
        "isdigit" => {
            all(|c| c.is_ascii_digit() || matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉'))
        }
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isprintable" => {
            Ok(V::Bool(text.chars().all(|c| !c.is_control() && (c == ' ' || !c.is_whitespace()))))
        }
        "isidentifier" => {
            let mut chars = text.chars();
            let first = chars.next().is_some_and(|c| c == '_' || c.is_alphabetic());
            Ok(V::Bool(first && chars.all(|c| c == '_' || c.is_alphanumeric())))
        }
        "islower" => {
            Ok(V::Bool(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)))
        }
        "isupper" => {
            Ok(V::Bool(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)))
        }
        "istitle" => Ok(V::Bool(text.chars().any(char::is_alphabetic) && title(text) == text.as_str())),
        "strip" | "lstrip" | "rstrip" => strip(text, name, args),
        "startswith" | "endswith" => starts_or_ends(vm, text, name, args),
        "split" | "rsplit" => {
            let [separator, most] =
                args.bind(if name == "split" { "split" } else { "rsplit" }, ["sep", "maxsplit"], 0)?;
            let separator = match separator {
                None | Some(V::Null) => None,
                Some(V::Str(separator)) => Some(separator),
                Some(other) => {
                    return Err(Error::runtime(format!("must be str or None, not {}", other.type_name())));
                }
            };
            let most = most.as_ref().map_or(Ok(-1), whole)?;
            let parts = split(text, separator.as_deref(), most, name == "rsplit")?;
            Ok(V::list(parts.into_iter().map(V::str).collect()))
        }
        "splitlines" => {
            let [keep] = args.bind("splitlines", ["keepends"], 0)?;
            let keep = keep.map_or(Ok(false), |keep| vm.truth(&keep))?;
            Ok(V::list(split_lines(text, keep).into_iter().map(V::str).collect()))
        }
        "partition" | "rpartition" => {
            let [separator] =
                args.bind(if name == "partition" { "partition" } else { "rpartition" }, ["sep"], 1)?;
            let separator = needle(separator)?;
            if separator.is_empty() {
                return Err(Error::runtime("empty separator"));
            }
            let found = if name == "partition" {
                text.split_once(separator.as_str()).map(|(a, b)| [a, separator.as_str(), b])
            } else {
                text.rsplit_once(separator.as_str()).map(|(a, b)| [a, separator.as_str(), b])
            };
            let empty = if name == "partition" { [text.as_str(), "", ""] } else { ["", "", text.as_str()] };
            Ok(V::tuple(found.unwrap_or(empty).into_iter().map(V::str).collect()))
        }
        "join" => {
            let items = super::list::exactly_one("str.join", args)?;
            let items = vm.iterate(&items).map_err(|error| {
                if error.is_undefined() { error } else { Error::runtime("can only join an iterable") }
            })?;
            let mut out = String::new();
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(text);
                }
                match item {
                    V::Str(item) => out.push_str(item),
                    V::Undefined(error) => return Err((**error).clone()),
                    other => {
                        return Err(Error::runtime(format!(
                            "sequence item {index}: expected str instance, {} found",
                            other.type_name()
                        )));
                    }
                }
            }
            Ok(V::text(out))
        }
        "replace" => {
            let [old, new, count] = args.bind("replace", ["old", "new", "count"], 2)?;
            let (old, new) = (needle(old)?, needle(new)?);
            let count = count.as_ref().map_or(Ok(-1), whole)?;
            crate::filters::replaced_size(text, &old, &new)?;
            Ok(V::text(match usize::try_from(count) {
                Ok(count) => text.replacen(old.as_str(), &new, count),
                Err(_) => text.replace(old.as_str(), &new),
            }))
        }
        "find" | "rfind" | "index" | "rindex" => {
            let [part, start, stop] = args.bind("find", ["sub", "start", "end"], 1)?;
            let part = needle(part)?;
            let found = window(text, start.as_ref(), stop.as_ref())?.and_then(|(start, stop)| {
                let hay = &text[start..stop];
                let at =
                    if name.starts_with('r') { hay.rfind(part.as_str()) } else { hay.find(part.as_str()) };
                at.map(|at| chars_before(text, start + at))
            });
            match found {
                Some(at) => Ok(V::Int(at)),
                None if name.ends_with("index") => Err(Error::runtime("substring not found")),
                None => Ok(V::Int(-1)),
            }
        }
        "count" => {
            let [part, start, stop] = args.bind("count", ["sub", "start", "end"], 1)?;
            let part = needle(part)?;
            let hay = window(text, start.as_ref(), stop.as_ref())?.map_or("", |(a, b)| &text[a..b]);
            Ok(V::size(if part.is_empty() {
                hay.chars().count() + 1
            } else {
                hay.matches(part.as_str()).count()
            }))
        }
        "removeprefix" | "removesuffix" => {
            let [part] = args.bind("removeprefix", ["part"], 1)?;
            let part = needle(part)?;
            let kept = if name == "removeprefix" {
                text.strip_prefix(part.as_str())
            } else {
                text.strip_suffix(part.as_str())
            };
            Ok(kept.map_or_else(|| V::Str(text.clone()), V::str))
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = args.bind("center", ["width", "fillchar"], 1)?;
            let (width, fill) = (width_of(width.as_ref())?, fill_of(fill)?);
            let missing = width.saturating_sub(text.chars().count());
            let padding = fill.to_string().repeat(missing);
            Ok(V::text(match name {
                "center" => center(text, width, fill),
                "ljust" => format!("{}{padding}", text.as_str()),
                _ => format!("{padding}{}", text.as_str()),
            }))
        }
        "zfill" => {
            let [width] = args.bind("zfill", ["width"], 1)?;
            let missing = width_of(width.as_ref())?.saturating_sub(text.chars().count());
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            Ok(V::text(format!("{sign}{}{digits}", "0".repeat(missing))))
        }
        "expandtabs" => {
            let [size] = args.bind("expandtabs", ["tabsize"], 0)?;
            let size = size.as_ref().map_or(Ok(8), whole)?.clamp(0, 1 << 16) as usize;
            let mut out = String::new();
            let mut column = 0;
            for c in text.chars() {
                match c {
                    '\t' if size > 0 => {
                        let blanks = size - column % size;
                        out.extend(std::iter::repeat_n(' ', blanks));
                        column += blanks;
                    }
                    '\t' => {}
                    '\n' | '\r' => {
                        out.push(c);
                        column = 0;
                    }
                    c => {
                        out.push(c);
                        column += 1;
                    }
                }
            }
            Ok(V::text(out))
        }
        "format" => crate::format::braces(vm, text, &args).map(V::text),
        "format_map" => {
            let [mapping] = args.bind("format_map", ["mapping"], 1)?;
            let mut named = Vec::new();
            for (key, value) in crate::ops::entries_of(vm, &mapping.unwrap_or(V::Null))? {
                if let Some(name) = key.as_str() {
                    named.push((std::sync::Arc::from(name), value));
                }
            }
            crate::format::braces(vm, text, &Args { pos: Vec::new(), named }).map(V::text)
        }
        "encode" => {
            let [encoding, errors] = args.bind("encode", ["encoding", "errors"], 0)?;
            let encoding = encoding.map_or(Ok(Str::new("utf-8")), |value| vm.to_text(&value))?;
            let errors = errors.map_or(Ok(Str::new("strict")), |value| vm.to_text(&value))?;
            encode(text, &encoding, &errors).map(|bytes| V::native(Native::Bytes(bytes.into())))
        }
        "maketrans" | "translate" => translate(vm, text, name, args),
        _ => Err(Error::runtime(format!("'str' object has no attribute '{name}'"))),
    }
}

fn casefold(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss").replace('ς', "σ")
}

fn strip(text: &Str, name: &str, args: Args) -> Result<V> {
    let [chars] = args.bind(if name == "strip" { "strip" } else { "lstrip" }, ["chars"], 0)?;
    let chars = match chars {
        None | Some(V::Null) => None,
        other => Some(needle(other)?),
    };
    let drop = |c: char| chars.as_ref().map_or_else(|| is_space(c), |chars| chars.contains(c));
    let mut kept = text.as_str();
    if name != "rstrip" {
        kept = kept.trim_start_matches(drop);
    }
    if name != "lstrip" {
        kept = kept.trim_end_matches(drop);
    }
    Ok(if kept.len() == text.len() { V::Str(text.clone()) } else { V::str(kept) })
}

fn starts_or_ends(vm: &Vm, text: &Str, name: &str, args: Args) -> Result<V> {
    let function = if name == "startswith" { "startswith" } else { "endswith" };
    let [parts, start, stop] = args.bind(function, ["prefix", "start", "end"], 1)?;
    let Some((start, stop)) = window(text, start.as_ref(), stop.as_ref())? else {
        return Ok(V::Bool(false));
    };
    let hay = &text[start..stop];
    let matches = |part: &str| if name == "startswith" { hay.starts_with(part) } else { hay.ends_with(part) };
    match parts.unwrap_or(V::Null) {
        V::Str(part) => Ok(V::Bool(matches(&part))),
        V::Tuple(parts) => {
            for part in parts.iter() {
                if matches(&needle(Some(part.clone()))?) {
                    return Ok(V::Bool(true));
                }
            }
            Ok(V::Bool(false))
        }
        V::Undefined(error) => Err((*error).clone()),
        other => {
            let _ = vm;
            Err(Error::runtime(format!(
                "{function} first arg must be str or a tuple of str, not {}",
                other.type_name()
            )))
        }
    }
}

/// `str.encode`
pub(crate) fn encode(text: &str, encoding: &str, errors: &str) -> Result<Vec<u8>> {
    let limit = match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => return Ok(text.as_bytes().to_vec()),
        "utf-16-le" => return Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16-be" => return Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        "utf-16" => {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            return Ok(units.flat_map(u16::to_le_bytes).collect());
        }
        "ascii" | "us-ascii" => 0x80,
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => 0x100,
        _ => return Err(Error::runtime(format!("unknown encoding: {encoding}"))),
    };
    let mut out = Vec::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        match (u32::from(c) < limit, errors) {
            (true, _) => out.push(c as u8),
            (false, "ignore") => {}
            (false, "replace") => out.push(b'?'),
            _ => {
                return Err(Error::runtime(format!(
                    "'{encoding}' codec can't encode character '\\u{:04x}' in position {at}: ordinal not in range({limit})",
                    c as u32
                )));
            }
        }
    }
    Ok(out)
}

/// `bytes.decode`
pub(crate) fn decode(bytes: &[u8], encoding: &str) -> Result<String> {
    let units = |bytes: &[u8], join: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes.chunks_exact(2).map(|pair| join([pair[0], pair[1]])).collect()
    };
    match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
            let at = error.valid_up_to();
            Error::runtime(format!(
                "'utf-8' codec can't decode byte 0x{:02x} in position {at}: invalid start byte",
                bytes.get(at).copied().unwrap_or(0)
            ))
        }),
        "utf-16-le" => Ok(String::from_utf16_lossy(&units(bytes, u16::from_le_bytes))),
        "utf-16-be" => Ok(String::from_utf16_lossy(&units(bytes, u16::from_be_bytes))),
        "utf-16" => {
            let body = bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(bytes);
            Ok(String::from_utf16_lossy(&units(body, u16::from_le_bytes)))
        }
        "ascii" | "us-ascii" | "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => {
            Ok(bytes.iter().map(|&b| b as char).collect())
        }
        _ => Err(Error::runtime(format!("unknown encoding: {encoding}"))),
    }
}

fn translate(vm: &Vm, text: &Str, name: &str, args: Args) -> Result<V> {
    if name == "maketrans" {
        let mut table = indexmap::IndexMap::new();
        let code = |c: char| quorate_value::Key::Int(i64::from(c as u32));
        match args.pos.as_slice() {
            [V::Dict(map)] => {
                for (key, value) in map.entries(vm)? {
                    let key = match key.as_str().and_then(|text| text.chars().next()) {
                        Some(c) => code(c),
                        None => key,
                    };
                    table.insert(key, value);
                }
            }
            [V::Str(from), V::Str(to), rest @ ..] => {
                if from.chars().count() != to.chars().count() {
                    return Err(Error::runtime("the first two maketrans arguments must have equal length"));
                }
                for (a, b) in from.chars().zip(to.chars()) {
                    table.insert(code(a), V::Int(i64::from(b as u32)));
                }
                if let [V::Str(gone)] = rest {
                    for c in gone.chars() {
                        table.insert(code(c), V::Null);
                    }
                }
            }
            _ => {
                return Err(Error::runtime("if you give only one argument to maketrans it must be a dict"));
            }
        }
        return Ok(V::Dict(std::rc::Rc::new(crate::rt::Map::own(table))));
    }
    let [table] = args.bind("translate", ["table"], 1)?;
    let Some(V::Dict(table)) = table else {
        return Err(Error::runtime("translate() needs a mapping"));
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match table.get(vm, &quorate_value::Key::Int(i64::from(c as u32)))? {
            None => out.push(c),
            Some(V::Null) => {}
            Some(V::Int(code)) => out.extend(u32::try_from(code).ok().and_then(char::from_u32)),
            Some(other) => vm.write_str(&mut out, &other)?,
        }
    }
    Ok(V::text(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sorted() {
        assert!(METHODS.is_sorted() && TAKES_NOTHING.is_sorted());
    }

    #[test]
    fn splitting() {
        assert_eq!(split(" a  b c ", None, -1, false).unwrap(), ["a", "b", "c"]);
        assert_eq!(split(" a  b c ", None, 1, false).unwrap(), ["a", "b c "]);
        assert_eq!(split(" a  b c ", None, 1, true).unwrap(), [" a  b", "c"]);
        assert_eq!(split("a,b,c", Some(","), 1, true).unwrap(), ["a,b", "c"]);
        assert_eq!(split_lines("a\r\nb\n\nc", false), ["a", "b", "", "c"]);
    }

    #[test]
    fn cases() {
        assert_eq!(title("hello wORLD it's"), "Hello World It'S");
        assert_eq!(capitalize("hELLO"), "Hello");
        assert_eq!((center("x", 4, '*'), center("ab", 5, '*')), ("*x**".into(), "**ab*".into()));
    }
}
