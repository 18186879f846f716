//! Jinja2's filters over text: `upper`, `replace`, `indent`, `wordwrap`, `truncate`, escaping, ...

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, MAX_TEXT, Vm, fits};
use crate::methods::{text as strings, whole};
use crate::rt::V;
use quorate_value::Str;

pub(super) static FILTERS: [Filter; 19] = [
    filter("capitalize", capitalize),
    filter("center", center),
    filter("e", escape),
    filter("escape", escape),
    filter("forceescape", force_escape),
    filter("format", format),
    filter("indent", indent),
    filter("lower", lower),
    filter("replace", replace),
    filter("safe", safe),
    filter("string", string),
    filter("striptags", striptags),
    filter("title", title),
    filter("trim", trim),
    filter("truncate", truncate),
    filter("upper", upper),
    filter("wordcount", wordcount),
    filter("wordwrap", wordwrap),
    filter("xmlattr", xmlattr),
];

fn only(vm: &Vm, args: Args, function: &'static str) -> Result<Str> {
    let [value] = args.bind(function, ["s"], 1)?;
    vm.to_text(&value.unwrap_or(V::Null))
}

fn upper(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::text(only(vm, args, "do_upper")?.to_uppercase()))
}

fn lower(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::text(only(vm, args, "do_lower")?.to_lowercase()))
}

fn capitalize(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::text(strings::capitalize(&only(vm, args, "do_capitalize")?)))
}

/// Each word with a capital, words ending at blanks, dashes and opening brackets.
fn title(vm: &Vm, args: Args) -> Result<V> {
    let text = only(vm, args, "do_title")?;
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        begins = strings::is_space(c) || "-({[<".contains(c);
    }
    Ok(V::text(out))
}

fn string(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("soft_str", ["s"], 1)?;
    match value.unwrap_or(V::Null) {
        text @ V::Str(_) => Ok(text),
        other => Ok(V::text(vm.to_str(&other)?)),
    }
}

/// Text with the characters that mean something in HTML written as entities.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn escape(vm: &Vm, args: Args) -> Result<V> {
    let text = only(vm, args, "escape")?;
    if text.is_markup() {
        return Ok(V::Str(text));
    }
    Ok(V::Str(Str::from(html(&text)).markup(true)))
}

fn force_escape(vm: &Vm, args: Args) -> Result<V> {
    let text = only(vm, args, "do_forceescape")?;
    Ok(V::Str(Str::from(html(&text)).markup(true)))
}

fn safe(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::Str(only(vm, args, "do_mark_safe")?.markup(true)))
}

fn trim(vm: &Vm, args: Args) -> Result<V> {
    let [value, chars] = args.bind("do_trim", ["value", "chars"], 1)?;
    let text = vm.to_text(&value.unwrap_or(V::Null))?;
    let kept = match chars {
        None | Some(V::Null) => text.trim_matches(strings::is_space),
        Some(chars) => {
            let chars = vm.to_text(&chars)?;
            text.trim_matches(|c: char| chars.contains(c))
        }
    };
    Ok(if kept.len() == text.len() { V::Str(text.clone()) } else { V::str(kept) })
}

/// Refuses a replacement that makes too much of little.
pub(crate) fn replaced_size(text: &str, old: &str, new: &str) -> Result<()> {
    if new.len() <= old.len() || text.len().saturating_mul(new.len()) < MAX_TEXT {
        return Ok(());
    }
    let count = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
    fits(text.len().saturating_add(count.saturating_mul(new.len())), MAX_TEXT)
}

fn replace(vm: &Vm, args: Args) -> Result<V> {
    let [value, old, new, count] = args.bind("do_replace", ["s", "old", "new", "count"], 3)?;
    let text = |value: Option<V>| vm.to_text(&value.unwrap_or(V::Null));
    let (value, old, new) = (text(value)?, text(old)?, text(new)?);
    let count = match count {
        None | Some(V::Null) => -1,
        Some(count) => whole(&count)?,
    };
    replaced_size(&value, &old, &new)?;
    Ok(V::text(match usize::try_from(count) {
        Ok(count) => value.replacen(old.as_str(), &new, count),
        Err(_) => value.replace(old.as_str(), &new),
    }))
}

fn format(vm: &Vm, args: Args) -> Result<V> {
    let Args { mut pos, named } = args;
    if pos.is_empty() {
        return Err(Error::runtime("do_format() missing 1 required positional argument: 'value'"));
    }
    let text = vm.to_text(&pos.remove(0))?;
    if !pos.is_empty() && !named.is_empty() {
        return Err(Error::runtime("can't handle positional and keyword arguments at the same time"));
    }
    let values = if named.is_empty() {
        V::tuple(pos)
    } else {
        let entries = named.into_iter().map(|(name, value)| (quorate_value::Key::Str(name), value));
        V::Dict(std::rc::Rc::new(crate::rt::Map::own(entries.collect())))
    };
    crate::format::percent(vm, &text, &values).map(V::text)
}

fn indent(vm: &Vm, args: Args) -> Result<V> {
    let [value, width, first, blank] = args.bind("do_indent", ["s", "width", "first", "blank"], 1)?;
    let text = match value.unwrap_or(V::Null) {
        V::Str(text) => text,
        other => {
            return Err(Error::runtime(format!(
                "unsupported operand type(s) for +=: '{}' and 'str'",
                other.type_name()
            )));
        }
    };
    let (first, blank) = (flag(vm, first, false)?, flag(vm, blank, false)?);
    let indention = match width {
        None => "    ".to_owned(),
        Some(V::Str(text)) => text.to_string(),
        Some(width) => " ".repeat(whole(&width)?.clamp(0, 1 << 20) as usize),
    };
    // A newline at the end counts as the beginning of one more line.
    let text = text.as_str().to_owned() + "\n";
    let lines = strings::split_lines(&text, false);
    let mut out = String::with_capacity(text.len() + lines.len() * indention.len());
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let wanted = if index == 0 { first } else { blank || !line.is_empty() };
        if wanted {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(V::text(out))
}

fn center(vm: &Vm, args: Args) -> Result<V> {
    let [value, width] = args.bind("do_center", ["value", "width"], 1)?;
    let text = vm.to_text(&value.unwrap_or(V::Null))?;
    let width = width.as_ref().map_or(Ok(80), whole)?.clamp(0, 1 << 20) as usize;
    Ok(V::text(strings::center(&text, width, ' ')))
}

fn truncate(vm: &Vm, args: Args) -> Result<V> {
    let [value, length, kill, end, leeway] =
        args.bind("do_truncate", ["s", "length", "killwords", "end", "leeway"], 1)?;
    let text = vm.to_text(&value.unwrap_or(V::Null))?;
    let length = length.as_ref().map_or(Ok(255), whole)?;
    let kill = flag(vm, kill, false)?;
    let end = end.map_or(Ok(Str::new("...")), |end| vm.to_text(&end))?;
    let leeway = match leeway {
        None | Some(V::Null) => 5,
        Some(leeway) => whole(&leeway)?,
    };
    let end_length = end.chars().count() as i64;
    if length < end_length {
        return Err(Error::runtime(format!("expected length >= {end_length}, got {length}")));
    }
    let count = text.chars().count() as i64;
    if count <= length + leeway {
        return Ok(V::Str(text));
    }
    let kept: String = text.chars().take((length - end_length) as usize).collect();
    if kill {
        return Ok(V::text(kept + &end));
    }
    let kept = kept.rsplit_once(' ').map_or(kept.as_str(), |(head, _)| head);
    Ok(V::text(kept.to_owned() + &end))
}

fn wordcount(vm: &Vm, args: Args) -> Result<V> {
    let text = only(vm, args, "do_wordcount")?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    Ok(V::size(words.count()))
}

fn striptags(vm: &Vm, args: Args) -> Result<V> {
    let text = only(vm, args, "do_striptags")?;
    let mut rest = text.to_string();
    while let Some(start) = rest.find("<!--") {
        let Some(end) = rest[start..].find("-->") else { break };
        rest.replace_range(start..start + end + 3, "");
    }
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>') else { break };
        rest.replace_range(start..=start + end, "");
    }
    let joined = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = joined
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    Ok(V::text(plain))
}

fn wordwrap(vm: &Vm, args: Args) -> Result<V> {
    let [value, width, break_long, separator, break_hyphens] =
        args.bind("do_wordwrap", ["s", "width", "break_long_words", "wrapstring", "break_on_hyphens"], 1)?;
    let text = match value.unwrap_or(V::Null) {
        V::Str(text) => text,
        other => {
            return Err(Error::runtime(format!(
                "'{}' object has no attribute 'splitlines'",
                other.type_name()
            )));
        }
    };
    let width = width.as_ref().map_or(Ok(79), whole)?;
    if width <= 0 {
        return Err(Error::runtime(format!("invalid width {width} (must be > 0)")));
    }
    let break_long = flag(vm, break_long, true)?;
    let break_hyphens = flag(vm, break_hyphens, true)?;
    let separator = match separator {
        None | Some(V::Null) => Str::new("\n"),
        Some(separator) => vm.to_text(&separator)?,
    };
    let mut lines = Vec::new();
    for line in strings::split_lines(&text, false) {
        let wrapped = wrap(line, width as usize, break_long, break_hyphens);
        lines.push(wrapped.join(separator.as_str()));
    }
    Ok(V::text(lines.join(separator.as_str())))
}

/// The pieces that `textwrap` never breaks: blanks, words, parts of hyphenated words.
fn chunks(line: &str, break_hyphens: bool) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    let mut out = Vec::new();
    let mut current = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let blank = c == ' ' || c == '\t';
        let was_blank = current.ends_with([' ', '\t']);
        if !current.is_empty() && blank != was_blank {
            out.push(std::mem::take(&mut current));
        }
        current.push(c);
        // A hyphen between letters may end a line.
        let letter = |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic());
        if break_hyphens
            && c == '-'
            && at >= 2
            && letter(chars.get(at - 1))
            && chars.get(at - 2).is_some_and(|c| c.is_alphanumeric() || *c == '_')
            && letter(chars.get(at + 1))
            && chars.get(at + 2).is_some_and(|c| c.is_alphanumeric() || *c == '_')
        {
            out.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

fn wrap(line: &str, width: usize, break_long: bool, break_hyphens: bool) -> Vec<String> {
    let mut rest: std::collections::VecDeque<String> = chunks(line, break_hyphens).into();
    let length = |text: &str| text.chars().count();
    let mut lines: Vec<String> = Vec::new();
    while !rest.is_empty() {
        let mut current: Vec<String> = Vec::new();
        let mut used = 0;
        // Blanks between two lines belong to neither.
        if !lines.is_empty() && rest.front().is_some_and(|chunk| chunk.trim().is_empty()) {
            rest.pop_front();
        }
        while let Some(chunk) = rest.front() {
            if used + length(chunk) > width {
                break;
            }
            used += length(chunk);
            current.extend(rest.pop_front());
        }
        if let Some(chunk) = rest.front_mut()
            && length(chunk) > width
        {
            if break_long {
                let room = width.saturating_sub(used);
                let head: String = chunk.chars().take(room).collect();
                *chunk = chunk.chars().skip(room).collect();
                current.push(head);
            } else if current.is_empty() {
                current.extend(rest.pop_front());
            }
        }
        if current.last().is_some_and(|chunk| chunk.trim().is_empty()) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat());
        }
    }
    lines
}

fn xmlattr(vm: &Vm, args: Args) -> Result<V> {
    let [value, space] = args.bind("do_xmlattr", ["d", "autospace"], 1)?;
    let space = flag(vm, space, true)?;
    let mut parts = Vec::new();
    let value = value.unwrap_or(V::Null);
    if !matches!(value, V::Dict(_) | V::Object(_)) {
        return Err(Error::runtime(format!("'{}' object has no attribute 'items'", value.type_name())));
    }
    for (key, value) in crate::ops::entries_of(vm, &value)? {
        if matches!(value, V::Null) || value.is_undefined() {
            continue;
        }
        let key = vm.to_str(&V::done(&key.to_value()))?;
        if key.contains([' ', '/', '>', '=', '\t', '\n', '\r', '\u{c}']) {
            return Err(Error::runtime(format!(
                "Invalid character in attribute name: {}",
                quorate_value::str_repr(&key)
            )));
        }
        parts.push(format!("{}=\"{}\"", html(&key), html(&vm.to_str(&value)?)));
    }
    let joined = parts.join(" ");
    Ok(V::text(if space && !joined.is_empty() { format!(" {joined}") } else { joined }))
}
