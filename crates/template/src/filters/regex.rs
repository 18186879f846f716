//! Regular expressions: `regex_replace`, `regex_search`, `regex_findall`, `regex_escape`.

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::pyre::{self, Flags};
use crate::rt::V;
use quorate_value::Str;

pub(super) static FILTERS: [Filter; 4] = [
    filter("regex_escape", regex_escape),
    filter("regex_findall", regex_findall),
    filter("regex_replace", regex_replace),
    filter("regex_search", regex_search),
];

fn text(vm: &Vm, value: Option<V>) -> Result<Str> {
    value.map_or(Ok(Str::default()), |value| vm.to_text(&value))
}

fn regex_replace(vm: &Vm, args: Args) -> Result<V> {
    let [value, pattern, replacement, ignore_case, multiline, count, mandatory] = args.bind(
        "regex_replace",
        ["value", "pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"],
        0,
    )?;
    let (value, pattern, replacement) = (text(vm, value)?, text(vm, pattern)?, text(vm, replacement)?);
    let flags = Flags { ignore_case: flag(vm, ignore_case, false)?, multiline: flag(vm, multiline, false)? };
    let count = count.as_ref().map_or(Ok(0), whole)?.max(0) as usize;
    let mandatory = mandatory.as_ref().map_or(Ok(0), whole)?;
    let (out, found) = pyre::compile(&pattern, flags, false, &value)?.replace(&value, &replacement, count)?;
    if mandatory > 0 && mandatory != found as i64 {
        return Err(Error::runtime(format!(
            "'{pattern}' should match {mandatory} times, but matches {found} times in '{value}'",
            pattern = pattern.as_str(),
            value = value.as_str(),
        )));
    }
    Ok(V::text(out))
}

fn regex_findall(vm: &Vm, args: Args) -> Result<V> {
    let [value, pattern, multiline, ignore_case] =
        args.bind("regex_findall", ["value", "regex", "multiline", "ignorecase"], 2)?;
    let (value, pattern) = (text(vm, value)?, text(vm, pattern)?);
    let flags = Flags { ignore_case: flag(vm, ignore_case, false)?, multiline: flag(vm, multiline, false)? };
    let compiled = pyre::compile(&pattern, flags, false, &value)?;
    let group = |found: &pyre::Match, group: usize| V::str(found.text(group, &value).unwrap_or(""));
    let groups = compiled.groups();
    let out = compiled.find_all(&value, usize::MAX)?.into_iter().map(|found| match groups {
        0 => group(&found, 0),
        1 => group(&found, 1),
        _ => V::tuple((1..=groups).map(|number| group(&found, number)).collect()),
    });
    Ok(V::list(out.collect()))
}

fn regex_search(vm: &Vm, mut args: Args) -> Result<V> {
    let multiline = args.take("multiline");
    let ignore_case = args.take("ignorecase");
    let flags = Flags { ignore_case: flag(vm, ignore_case, false)?, multiline: flag(vm, multiline, false)? };
    if let Some((name, _)) = args.named.iter().find(|(name, _)| !matches!(&**name, "regex" | "value")) {
        return Err(Error::runtime(format!("regex_search() got an unexpected keyword argument '{name}'")));
    }
    let pattern = match args.take("regex") {
        Some(pattern) => pattern,
        None if args.pos.len() > 1 => args.pos.remove(1),
        None => {
            return Err(Error::runtime("regex_search() missing 1 required positional argument: 'regex'"));
        }
    };
    let (value, pattern) = (text(vm, args.pos.first().cloned())?, vm.to_text(&pattern)?);
    let compiled = pyre::compile(&pattern, flags, false, &value)?;
    let Some(found) = compiled.find(&value, 0)? else { return Ok(V::Null) };
    let mut wanted = Vec::new();
    for group in args.pos.iter().skip(1) {
        let name = vm.to_text(group)?;
        let number = if let Some(name) = name.strip_prefix("\\g<").and_then(|n| n.strip_suffix('>')) {
            name.parse().ok().or_else(|| compiled.group_of(name))
        } else if let Some(number) = name.strip_prefix('\\') {
            number.parse().ok()
        } else {
            return Err(Error::runtime("Unknown argument"));
        };
        match number.filter(|number: &usize| *number <= compiled.groups()) {
            Some(number) => wanted.push(number),
            None => return Err(Error::runtime("no such group")),
        }
    }
    let group = |number: usize| found.text(number, &value).map_or(V::Null, V::str);
    if wanted.is_empty() {
        return Ok(group(0));
    }
    Ok(V::list(wanted.into_iter().map(group).collect()))
}

fn regex_escape(vm: &Vm, args: Args) -> Result<V> {
    let [value, kind] = args.bind("regex_escape", ["string", "re_type"], 1)?;
    let value = text(vm, value)?;
    let kind = kind.map_or(Ok(Str::new("python")), |kind| vm.to_text(&kind))?;
    match kind.as_str() {
        "python" => Ok(V::text(pyre::quote(&value))),
        "posix_basic" => {
            let mut out = String::with_capacity(value.len());
            for c in value.chars() {
                if r"[].^$*\".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            Ok(V::text(out))
        }
        "posix_extended" => Err(Error::runtime("Regex type (posix_extended) not yet implemented")),
        other => Err(Error::runtime(format!("Invalid regex type ({other})"))),
    }
}
