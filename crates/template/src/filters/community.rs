//! `community.general`: the filters that need no library of Python's.

use super::sequence::{Seen, flag};
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::sort_by;
use crate::ops;
use crate::pyre::{self, Flags};
use crate::random::Random;
use crate::rt::{Map, V};
use indexmap::IndexMap;
use quorate_value::{Key, Str, Value};
use std::fmt::Write as _;
use std::rc::Rc;
use unicode_normalization::UnicodeNormalization as _;

pub(super) static FILTERS: [Filter; 30] = [
    filter("community.general.accumulate", accumulate),
    filter("community.general.counter", counter),
    filter("community.general.crc32", crc32),
    filter("community.general.dict", dict),
    filter("community.general.dict_kv", dict_kv),
    filter("community.general.from_csv", from_csv),
    filter("community.general.from_ini", from_ini),
    filter("community.general.groupby_as_dict", groupby_as_dict),
    filter("community.general.json_query", json_query),
    filter("community.general.keep_keys", keep_keys),
    filter("community.general.lists_difference", lists_difference),
    filter("community.general.lists_intersect", lists_intersect),
    filter("community.general.lists_mergeby", lists_mergeby),
    filter("community.general.lists_symmetric_difference", lists_symmetric_difference),
    filter("community.general.lists_union", lists_union),
    filter("community.general.random_mac", random_mac),
    filter("community.general.remove_keys", remove_keys),
    filter("community.general.replace_keys", replace_keys),
    filter("community.general.to_days", to_days),
    filter("community.general.to_hours", to_hours),
    filter("community.general.to_ini", to_ini),
    filter("community.general.to_milliseconds", to_milliseconds),
    filter("community.general.to_minutes", to_minutes),
    filter("community.general.to_months", to_months),
    filter("community.general.to_seconds", to_seconds),
    filter("community.general.to_time_unit", to_time_unit),
    filter("community.general.to_weeks", to_weeks),
    filter("community.general.to_years", to_years),
    filter("community.general.unicode_normalize", unicode_normalize),
    filter("community.general.version_sort", version_sort),
];

fn mapping(entries: IndexMap<Key, V>) -> V {
    V::Dict(Rc::new(Map::own(entries)))
}

fn class(value: &V) -> String {
    format!("<class '{}'>", value.type_name())
}

fn json_query(vm: &Vm, args: Args) -> Result<V> {
    let [data, expression] = args.bind("json_query", ["data", "expr"], 2)?;
    let data = vm.finalize(&data.unwrap_or(V::Null))?;
    let expression = vm.to_text(&expression.unwrap_or(V::Null))?;
    crate::jmes::search(&expression, &data).map(|found: Value| V::done(&found))
}

fn dict(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("dict_filter", ["sequence"], 1)?;
    Ok(mapping(ops::entries_of(vm, &value.unwrap_or(V::Null))?.into_iter().collect()))
}

fn dict_kv(vm: &Vm, args: Args) -> Result<V> {
    let [value, key] = args.bind("dict_kv", ["value", "key"], 2)?;
    let key = vm.key(&key.unwrap_or(V::Null))?;
    Ok(mapping([(key, value.unwrap_or(V::Null))].into_iter().collect()))
}

fn counter(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("counter", ["sequence"], 1)?;
    let value = value.unwrap_or(V::Null);
    if !matches!(value, V::Str(_) | V::List(_) | V::Tuple(_)) {
        return Err(Error::runtime(format!(
            "Argument for community.general.counter must be a sequence (string or list). {} is {}",
            vm.to_str(&value)?,
            class(&value)
        )));
    }
    let mut out: IndexMap<Key, V> = IndexMap::new();
    for item in vm.iterate(&value)? {
        let key = vm.key(&item).map_err(|error| {
            Error::runtime(format!(
                "community.general.counter needs a sequence with hashable elements (int, float or str) - {}",
                error.detail()
            ))
        })?;
        match out.entry(key).or_insert(V::Int(0)) {
            V::Int(count) => *count += 1,
            other => *other = V::Int(1),
        }
    }
    Ok(mapping(out))
}

fn accumulate(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("list_accumulate", ["sequence"], 1)?;
    let value = value.unwrap_or(V::Null);
    if !matches!(value, V::Str(_) | V::List(_) | V::Tuple(_) | V::Range(_)) {
        return Err(Error::runtime(format!(
            "Invalid value type ({}) for accumulate ({})",
            class(&value),
            vm.to_repr(&value)?
        )));
    }
    let mut out: Vec<V> = Vec::new();
    for item in vm.iterate(&value)? {
        out.push(match out.last() {
            None => item,
            Some(sum) => ops::binary(vm, crate::ast::Binary::Add, sum, &item)?,
        });
    }
    Ok(V::list(out))
}

fn crc32(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("crc32s", ["value"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Str(text) = &value else {
        return Err(Error::runtime(format!(
            "Invalid value type ({}) for crc32 ({})",
            class(&value),
            vm.to_repr(&value)?
        )));
    };
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    Ok(V::text(format!("{:x}", !crc)))
}

fn unicode_normalize(vm: &Vm, args: Args) -> Result<V> {
    let [value, form] = args.bind("unicode_normalize", ["data", "form"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Str(text) = &value else {
        return Err(Error::runtime(format!("{} is not a valid input type", class(&value))));
    };
    let form = form.map_or(Ok(Str::new("NFC")), |form| vm.to_text(&form))?;
    Ok(V::text(match form.as_str() {
        "NFC" => text.nfc().collect::<String>(),
        "NFD" => text.nfd().collect(),
        "NFKC" => text.nfkc().collect(),
        "NFKD" => text.nfkd().collect(),
        other => return Err(Error::runtime(format!("{other} is not a valid form"))),
    }))
}

fn groupby_as_dict(vm: &Vm, args: Args) -> Result<V> {
    let [value, attribute] = args.bind("groupby_as_dict", ["sequence", "attribute"], 2)?;
    let value = value.unwrap_or(V::Null);
    let attribute = vm.to_text(&attribute.unwrap_or(V::Null))?;
    if !matches!(value, V::List(_) | V::Tuple(_)) {
        return Err(Error::runtime("Input is not a sequence"));
    }
    let mut out = IndexMap::new();
    for (index, item) in vm.iterate(&value)?.into_iter().enumerate() {
        let V::Dict(map) = &item else {
            return Err(Error::runtime(format!("Sequence element #{index} is not a mapping")));
        };
        let Some(found) = map.get_str(vm, &attribute)? else {
            return Err(Error::runtime(format!("Attribute not contained in element #{index} of sequence")));
        };
        let key = vm.key(&found)?;
        if out.insert(key, item).is_some() {
            return Err(Error::runtime(format!(
                "Multiple sequence entries have attribute value {}",
                vm.to_repr(&found)?
            )));
        }
    }
    Ok(mapping(out))
}

/// How names are compared with targets.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Matching {
    Equal,
    StartsWith,
    EndsWith,
    Regex,
}

impl Matching {
    pub(super) fn of(vm: &Vm, value: Option<V>) -> Result<Matching> {
        let name = value.map_or(Ok(Str::new("equal")), |value| vm.to_text(&value))?;
        Ok(match name.as_str() {
            "equal" => Matching::Equal,
            "starts_with" => Matching::StartsWith,
            "ends_with" => Matching::EndsWith,
            "regex" => Matching::Regex,
            other => {
                return Err(Error::runtime(format!(
                    "The matching_parameter must be one of ['equal', 'starts_with', 'ends_with', 'regex']. matching_parameter={other}"
                )));
            }
        })
    }

    pub(super) fn matches(self, target: &str, name: &str) -> Result<bool> {
        Ok(match self {
            Matching::Equal => target == name,
            Matching::StartsWith => name.starts_with(target),
            Matching::EndsWith => name.ends_with(target),
            Matching::Regex => pyre::compile(target, Flags::default(), true, name)?.find(name, 0)?.is_some(),
        })
    }
}

/// The mappings of a list.
fn rows(vm: &Vm, value: &V) -> Result<Vec<Vec<(Key, V)>>> {
    if !matches!(value, V::List(_) | V::Tuple(_)) {
        return Err(Error::runtime(format!(
            "First argument must be a list. {} is {}",
            vm.to_str(value)?,
            class(value)
        )));
    }
    let mut out = Vec::new();
    for item in vm.iterate(value)? {
        match &item {
            V::Dict(map) => out.push(map.entries(vm)?),
            other => {
                return Err(Error::runtime(format!(
                    "The data items must be dictionaries. {} is {}",
                    vm.to_str(other)?,
                    class(other)
                )));
            }
        }
    }
    Ok(out)
}

fn targets(vm: &Vm, value: Option<V>) -> Result<Vec<Str>> {
    let targets = match value.unwrap_or(V::Null) {
        V::Str(text) => vec![text],
        list @ (V::List(_) | V::Tuple(_)) => {
            vm.iterate(&list)?.iter().map(|target| vm.to_text(target)).collect::<Result<_>>()?
        }
        other => {
            return Err(Error::runtime(format!(
                "The target must be a string or a list. target is {}.",
                class(&other)
            )));
        }
    };
    if targets.is_empty() {
        return Err(Error::runtime("The target can't be empty."));
    }
    Ok(targets)
}

fn filtered(vm: &Vm, args: Args, function: &'static str, keep: bool) -> Result<V> {
    let [value, target, matching] = args.bind(function, ["data", "target", "matching_parameter"], 1)?;
    let rows = rows(vm, &value.unwrap_or(V::Null))?;
    let matching = Matching::of(vm, matching)?;
    let targets = targets(vm, target)?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let mut kept = IndexMap::new();
        for (key, value) in row {
            let name = vm.to_text(&V::done(&key.to_value()))?;
            let mut hit = false;
            for target in &targets {
                hit = hit || matching.matches(target, &name)?;
            }
            if hit == keep {
                kept.insert(key, value);
            }
        }
        out.push(mapping(kept));
    }
    Ok(V::list(out))
}

fn keep_keys(vm: &Vm, args: Args) -> Result<V> {
    filtered(vm, args, "keep_keys", true)
}

fn remove_keys(vm: &Vm, args: Args) -> Result<V> {
    filtered(vm, args, "remove_keys", false)
}

/// `before` and `after` of every target.
pub(super) fn renames(vm: &Vm, target: Option<V>) -> Result<Vec<(Str, Str)>> {
    let mut out = Vec::new();
    for item in vm.iterate(&target.unwrap_or(V::Null))? {
        let pair = match &item {
            V::Dict(map) => map.get_str(vm, "before")?.zip(map.get_str(vm, "after")?),
            _ => None,
        };
        let Some((before, after)) = pair else {
            return Err(Error::runtime("All dictionaries in target must include attributes: after, before."));
        };
        out.push((vm.to_text(&before)?, vm.to_text(&after)?));
    }
    Ok(out)
}

fn replace_keys(vm: &Vm, args: Args) -> Result<V> {
    let [value, target, matching] = args.bind("replace_keys", ["data", "target", "matching_parameter"], 1)?;
    let rows = rows(vm, &value.unwrap_or(V::Null))?;
    let matching = Matching::of(vm, matching)?;
    let renames = renames(vm, target)?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let mut renamed = IndexMap::new();
        for (key, value) in row {
            let name = vm.to_text(&V::done(&key.to_value()))?;
            let mut new = None;
            for (before, after) in &renames {
                if new.is_none() && matching.matches(before, &name)? {
                    new = Some(Key::from(after.as_str()));
                }
            }
            renamed.insert(new.unwrap_or(key), value);
        }
        out.push(mapping(renamed));
    }
    Ok(V::list(out))
}

/// The lists of the arguments; with `flatten`, the lists in the first.
fn lists(vm: &Vm, mut args: Args) -> Result<Vec<Vec<V>>> {
    let flat = args.take("flatten");
    let flat = flag(vm, flat, false)?;
    if let Some((name, _)) = args.named.first() {
        return Err(Error::runtime(format!("got an unexpected keyword argument '{name}'")));
    }
    let mut out = Vec::new();
    for list in &args.pos {
        let items = vm.iterate(list)?;
        if flat {
            for item in items {
                out.push(vm.iterate(&item)?);
            }
        } else {
            out.push(items);
        }
    }
    Ok(out)
}

fn seen(vm: &Vm, items: &[V]) -> Result<Seen> {
    let mut seen = Seen::default();
    for item in items {
        seen.add(vm, item)?;
    }
    Ok(seen)
}

fn distinct(vm: &Vm, items: Vec<V>) -> Result<Vec<V>> {
    let mut known = Seen::default();
    let mut out = Vec::new();
    for item in items {
        if known.add(vm, &item)? {
            out.push(item);
        }
    }
    Ok(out)
}

fn fold(vm: &Vm, args: Args, join: impl Fn(Vec<V>, Vec<V>) -> Result<Vec<V>>) -> Result<V> {
    let mut all = lists(vm, args)?.into_iter();
    let mut out = match all.next() {
        Some(first) => distinct(vm, first)?,
        None => Vec::new(),
    };
    for next in all {
        out = distinct(vm, join(out, next)?)?;
    }
    Ok(V::list(out))
}

fn keeping(vm: &Vm, a: Vec<V>, b: &[V], present: bool) -> Result<Vec<V>> {
    let b = seen(vm, b)?;
    let mut out = Vec::new();
    for item in a {
        if b.has(vm, &item)? == present {
            out.push(item);
        }
    }
    Ok(out)
}

fn lists_union(vm: &Vm, args: Args) -> Result<V> {
    fold(vm, args, |a, b| Ok([a, b].concat()))
}

fn lists_intersect(vm: &Vm, args: Args) -> Result<V> {
    fold(vm, args, |a, b| keeping(vm, a, &b, true))
}

fn lists_difference(vm: &Vm, args: Args) -> Result<V> {
    fold(vm, args, |a, b| keeping(vm, a, &b, false))
}

fn lists_symmetric_difference(vm: &Vm, args: Args) -> Result<V> {
    fold(vm, args, |a, b| {
        let only_b = keeping(vm, b.clone(), &a, false)?;
        Ok([keeping(vm, a, &b, false)?, only_b].concat())
    })
}

fn lists_mergeby(vm: &Vm, mut args: Args) -> Result<V> {
    let recursive = args.take("recursive");
    let merge = args.take("list_merge");
    let index = args.take("index").or_else(|| if args.pos.len() > 1 { args.pos.pop() } else { None });
    let Some(index) = index else {
        return Err(Error::runtime("At least one list and index are needed."));
    };
    let V::Str(index) = &index else {
        return Err(Error::runtime(format!(
            "First argument after the lists for community.general.lists_mergeby must be string. {} is {}",
            vm.to_str(&index)?,
            class(&index)
        )));
    };
    let mut all: Vec<Vec<V>> = Vec::new();
    for list in &args.pos {
        let V::List(_) = list else {
            return Err(Error::runtime(format!(
                "All arguments before the argument index for community.general.lists_mergeby must be lists. {} is {}",
                vm.to_str(list)?,
                class(list)
            )));
        };
        let items = vm.iterate(list)?;
        // A list of lists counts as several lists.
        if !items.is_empty() && items.iter().all(|item| matches!(item, V::List(_))) {
            for item in &items {
                all.push(vm.iterate(item)?);
            }
        } else {
            all.push(items);
        }
    }
    for item in all.iter().flatten() {
        if !matches!(item, V::Dict(_)) {
            return Err(Error::runtime(format!(
                "Elements of list arguments for lists_mergeby must be dictionaries. {} is {}",
                vm.to_str(item)?,
                class(item)
            )));
        }
    }
    all.retain(|list| !list.is_empty());
    if all.len() < 2 {
        return Ok(V::list(all.pop().unwrap_or_default()));
    }
    let mut merged: Vec<(V, V)> = Vec::new();
    for item in all.into_iter().flatten() {
        let V::Dict(map) = &item else { continue };
        let Some(key) = map.get_str(vm, index)? else { continue };
        let mut known = None;
        for (at, (other, _)) in merged.iter().enumerate() {
            if ops::equal(vm, other, &key)? {
                known = Some(at);
                break;
            }
        }
        match known {
            None => merged.push((key, item)),
            Some(at) => {
                let mut both = Args { pos: vec![merged[at].1.clone(), item], named: Vec::new() };
                both.named.extend(recursive.clone().map(|value| ("recursive".into(), value)));
                both.named.extend(merge.clone().map(|value| ("list_merge".into(), value)));
                merged[at].1 = super::collection::combine(vm, both)?;
            }
        }
    }
    let sorted = sort_by(merged, false, |a, b| ops::order(vm, &a.0, &b.0, "<"))?;
    Ok(V::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

fn random_mac(vm: &Vm, args: Args) -> Result<V> {
    let [value, seed] = args.bind("random_mac", ["value", "seed"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Str(prefix) = &value else {
        return Err(Error::runtime(format!(
            "Invalid value type ({}) for random_mac ({})",
            class(&value),
            vm.to_str(&value)?
        )));
    };
    let prefix = prefix.to_lowercase();
    let items: Vec<&str> = prefix.split(':').collect();
    let refuse = |what: String| Error::runtime(format!("Invalid value ({prefix}) for random_mac: {what}"));
    if items.len() > 5 {
        return Err(refuse("5 colon(:) separated items max".into()));
    }
    for item in &items {
        if item.len() < 2 || !item.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse(format!("{item} not hexa byte")));
        }
    }
    let mut random = match seed.filter(|seed| !matches!(seed, V::Null)) {
        None => {
            vm.saw_impure();
            Random::unpredictable()
        }
        Some(seed) => Random::of_text(&vm.to_text(&seed)?),
    };
    const LOW: u64 = 0x10_0000_0000;
    const HIGH: u64 = 0xff_ffff_ffff;
    let drawn = format!("{:x}", LOW + random.below(HIGH - LOW + 1));
    let mut out = prefix.clone();
    for pair in drawn.as_bytes().chunks(2).take(6usize.saturating_sub(items.len())) {
        let _ = write!(out, ":{}", String::from_utf8_lossy(pair));
    }
    Ok(V::text(out))
}

fn version_sort(vm: &Vm, args: Args) -> Result<V> {
    let [value, reverse] = args.bind("version_sort", ["value", "reverse"], 1)?;
    let reverse = flag(vm, reverse, false)?;
    let mut items = Vec::new();
    for item in vm.iterate(&value.unwrap_or(V::Null))? {
        match item {
            V::Str(text) => items.push(text),
            other => {
                return Err(Error::runtime(format!(
                    "expected string or bytes-like object, got '{}'",
                    other.type_name()
                )));
            }
        }
    }
    let sorted = sort_by(items, reverse, |a, b| crate::tests::loose(a, b).map(Some))?;
    Ok(V::list(sorted.into_iter().map(V::Str).collect()))
}

/// Milliseconds of a unit; months and years have the lengths that the caller says.
fn unit_of(name: &str, month: f64, year: f64) -> Option<f64> {
    const DAY: f64 = 86_400_000.0;
    let single = name.strip_suffix('s').filter(|single| single.len() > 1).unwrap_or(name);
    Some(match single {
        "ms" | "m" if name == "ms" => 1.0,
        "millisecond" | "msec" | "msecond" => 1.0,
        "s" | "sec" | "second" => 1000.0,
        "m" | "min" | "minute" => 60_000.0,
        "h" | "hour" => 3_600_000.0,
        "d" | "day" => DAY,
        "w" | "week" => 7.0 * DAY,
        "mo" | "month" => month * DAY,
        "y" | "year" => year * DAY,
        _ => return None,
    })
}

fn convert(vm: &Vm, mut args: Args, unit: Option<&str>) -> Result<V> {
    let mut length = |name: &str, usual: f64| match args.take(name) {
        None => Ok(usual),
        Some(value) => match ops::Num::of(&value) {
            Some(number) => Ok(number.float()),
            None => Err(Error::runtime(format!("could not convert string to float: {name}"))),
        },
    };
    let (year, month) = (length("year", 365.0)?, length("month", 30.0)?);
    let unknown = args.named.iter().find(|(name, _)| &**name != "unit");
    if let Some((name, _)) = unknown {
        return Err(Error::runtime(format!("to_time_unit() got unknown keyword arguments: {name}")));
    }
    let unit = match unit {
        Some(unit) => Str::new(unit),
        None => match args.take("unit").or_else(|| args.pos.get(1).cloned()) {
            Some(unit) => vm.to_text(&unit)?,
            None => Str::new("ms"),
        },
    };
    let text = match args.pos.first() {
        Some(V::Str(text)) => text.clone(),
        other => {
            return Err(Error::runtime(format!(
                "'{}' object has no attribute 'split'",
                other.map_or("NoneType", V::type_name)
            )));
        }
    };
    let Some(size) = unit_of(&unit, month, year) else {
        return Err(Error::runtime(format!(
            "to_time_unit() can not convert to the following unit: {}. Available units (singular or plural): millisecond, msec, msecond, sec, second, hour, min, minute, day, week, month, year. Available short units: ms, s, m, h, d, w, mo, y",
            unit.as_str()
        )));
    };
    let mut total = 0.0;
    for part in text.split_whitespace() {
        let end = part.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
        let (number, name) = part.split_at(end);
        let fine = !number.starts_with('+');
        let count = number.parse::<i64>().ok().filter(|_| fine);
        let known =
            if matches!(name, "hs" | "ds" | "ws" | "mos" | "ys") { None } else { unit_of(name, month, year) };
        let (Some(count), Some(unit)) = (count, known) else {
            return Err(Error::runtime(format!(
                "to_time_unit() can not interpret following string: {}",
                text.as_str()
            )));
        };
        total += count as f64 * unit;
    }
    let rounded = format!("{:.12}", total / size).parse().unwrap_or(total / size);
    Ok(V::Float(rounded))
}

fn to_time_unit(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, None)
}

fn to_milliseconds(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("ms"))
}

fn to_seconds(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("s"))
}

fn to_minutes(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("m"))
}

fn to_hours(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("h"))
}

fn to_days(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("d"))
}

fn to_weeks(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("w"))
}

fn to_months(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("mo"))
}

fn to_years(vm: &Vm, args: Args) -> Result<V> {
    convert(vm, args, Some("y"))
}

/// Rows of separated values, quoted as Python's `csv` reads them.
fn csv(text: &str, delimiter: char, skip_blanks: bool) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut chars = text.chars().peekable();
    let mut begins = true;
    let mut quoted = false;
    while let Some(c) = chars.next() {
        if quoted {
            match (c, chars.peek()) {
                ('"', Some('"')) => {
                    cell.push('"');
                    chars.next();
                }
                ('"', _) => quoted = false,
                (c, _) => cell.push(c),
            }
            continue;
        }
        match c {
            '"' if begins => {
                quoted = true;
                begins = false;
            }
            ' ' if begins && skip_blanks => {}
            c if c == delimiter => {
                row.push(std::mem::take(&mut cell));
                begins = true;
            }
            '\n' | '\r' => {
                if c == '\r' && chars.peek() == Some(&'\n') {
                    chars.next();
                }
                if !row.is_empty() || !cell.is_empty() || !begins {
                    row.push(std::mem::take(&mut cell));
                }
                rows.push(std::mem::take(&mut row));
                begins = true;
            }
            c => {
                cell.push(c);
                begins = false;
            }
        }
    }
    if !row.is_empty() || !cell.is_empty() || !begins {
        row.push(cell);
        rows.push(row);
    }
    rows.retain(|row| !row.is_empty());
    rows
}

fn from_csv(vm: &Vm, args: Args) -> Result<V> {
    let [value, dialect, fieldnames, delimiter, skip, _] = args.bind(
        "from_csv",
        ["data", "dialect", "fieldnames", "delimiter", "skipinitialspace", "strict"],
        1,
    )?;
    let text = vm.to_text(&value.unwrap_or(V::Null))?;
    let dialect = dialect.map_or(Ok(Str::new("excel")), |dialect| vm.to_text(&dialect))?;
    let usual = match dialect.as_str() {
        "excel" | "unix" => ',',
        "excel-tab" => '\t',
        other => {
            return Err(Error::runtime(format!(
                "Dialect '{other}' is not supported by your version of python."
            )));
        }
    };
    let delimiter = match delimiter.filter(|delimiter| !matches!(delimiter, V::Null)) {
        None => usual,
        Some(delimiter) => {
            let text = vm.to_text(&delimiter)?;
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => c,
                _ => return Err(Error::runtime("\"delimiter\" must be a 1-character string")),
            }
        }
    };
    let mut rows = csv(&text, delimiter, flag(vm, skip, false)?).into_iter();
    let names: Vec<Key> = match fieldnames.filter(|names| !matches!(names, V::Null)) {
        Some(names) => vm.iterate(&names)?.iter().map(|name| vm.key(name)).collect::<Result<_>>()?,
        None => rows.next().unwrap_or_default().into_iter().map(Key::from).collect(),
    };
    let rows = rows.map(|row| {
        let mut entries = IndexMap::new();
        let mut cells = row.into_iter();
        for name in &names {
            entries.insert(name.clone(), cells.next().map_or(V::Null, V::text));
        }
        let rest: Vec<V> = cells.map(V::text).collect();
        if !rest.is_empty() {
            entries.insert(Key::Null, V::list(rest));
        }
        mapping(entries)
    });
    Ok(V::list(rows.collect()))
}

fn from_ini(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("from_ini", ["obj"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Str(text) = &value else {
        return Err(Error::runtime(format!("from_ini requires a str, got {}", class(&value))));
    };
    let _ = vm;
    let wrong = |what: String| Error::runtime(format!("from_ini failed to parse given string: {what}"));
    let mut sections: IndexMap<String, IndexMap<String, String>> = IndexMap::new();
    let mut defaults: IndexMap<String, String> = IndexMap::new();
    let mut section: Option<String> = None;
    let mut option: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let place =
            |section: &str| format!("While reading from '<string>' [line {:2}]: {section}", number + 1);
        let continues = line.starts_with([' ', '\t']) && option.is_some();
        if !continues && let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let name = name.0.to_owned();
            if name != "DEFAULT" {
                if sections.contains_key(&name) {
                    return Err(wrong(place(&format!("section '{name}' already exists"))));
                }
                sections.insert(name.clone(), IndexMap::new());
            }
            section = Some(name);
            option = None;
            continue;
        }
        let Some(current) = &section else {
            return Err(wrong(format!(
                "File contains no section headers.\nfile: '<???>', line: {}\n{}",
                number + 1,
                quorate_value::str_repr(line)
            )));
        };
        let entries = match sections.get_mut(current) {
            Some(entries) => entries,
            None => &mut defaults,
        };
        if let (true, Some(name)) = (continues, &option) {
            if let Some(value) = entries.get_mut(name) {
                value.push('\n');
                value.push_str(trimmed);
            }
            continue;
        }
        let Some((name, value)) = trimmed.split_once(['=', ':']) else {
            return Err(wrong(format!(
                "Source contains parsing errors: '<???>'\n\t[line {:2}]: {}",
                number + 1,
                quorate_value::str_repr(line)
            )));
        };
        let name = name.trim().to_owned();
        if entries.insert(name.clone(), value.trim().to_owned()).is_some() {
            return Err(wrong(place(&format!("option '{name}' in section '{current}' already exists"))));
        }
        option = Some(name);
    }
    let own = |entries: IndexMap<String, String>| {
        mapping(entries.into_iter().map(|(name, value)| (Key::from(name), V::text(value))).collect())
    };
    let mut out = IndexMap::new();
    for (name, entries) in sections {
        let mut all = defaults.clone();
        all.extend(entries);
        out.insert(Key::from(name), own(all));
    }
    if !defaults.is_empty() {
        out.insert(Key::from("DEFAULT"), own(defaults));
    }
    Ok(mapping(out))
}

fn to_ini(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("to_ini", ["obj"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Dict(map) = &value else {
        return Err(Error::runtime(format!("to_ini requires a dict, got {}", class(&value))));
    };
    let sections = map.entries(vm)?;
    if sections.is_empty() {
        return Err(Error::runtime("to_ini received an empty dict. An empty dict cannot be converted."));
    }
    let wrong = |what: String| Error::runtime(format!("to_ini failed to parse given dict:{what}"));
    let mut parts = Vec::new();
    for (name, section) in sections {
        let V::Dict(entries) = &section else {
            return Err(wrong(format!("'{}' object has no attribute 'items'", section.type_name())));
        };
        let mut text = format!("[{}]\n", vm.to_str(&V::done(&name.to_value()))?);
        for (key, value) in entries.entries(vm)? {
            if !matches!(value, V::Str(_) | V::Int(_) | V::Big(_) | V::Float(_) | V::Bool(_)) {
                return Err(wrong("option values must be strings".into()));
            }
            let value = vm.to_str(&value)?.replace('\n', "\n\t");
            let _ = writeln!(text, "{} = {value}", vm.to_str(&V::done(&key.to_value()))?);
        }
        parts.push(text);
    }
    Ok(V::text(parts.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_values() {
        for (text, expected) in [
            ("a,b\n1,2\n", vec![vec!["a", "b"], vec!["1", "2"]]),
            ("\"a,b\",\"c\"\"d\"\r\n\r\nx,\n", vec![vec!["a,b", "c\"d"], vec!["x", ""]]),
            ("\"two\nlines\",z", vec![vec!["two\nlines", "z"]]),
            ("", vec![]),
        ] {
            assert_eq!(csv(text, ',', false), expected, "{text:?}");
        }
    }
}
