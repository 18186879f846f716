//! Jinja2's filters over sequences: `map`, `select`, `sort`, `groupby`, `join`, ...
//!
//! What Jinja2 computes lazily is a list here, as it is in ansible-core 2.19.

use super::{Filter, filter, find};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::text::split;
use crate::methods::whole;
use crate::ops;
use crate::random::Random;
use crate::rt::{Native, V};
use num_bigint::BigInt;
use quorate_value::{Str, str_repr};
use std::cmp::Ordering;

pub(super) static FILTERS: [Filter; 30] = [
    filter("attr", attr),
    filter("batch", batch),
    filter("count", length),
    Filter { name: "d", accepts_undefined: true, run: default },
    Filter { name: "default", accepts_undefined: true, run: default },
    filter("dictsort", dictsort),
    filter("first", first),
    filter("groupby", groupby),
    filter("items", items),
    filter("join", join),
    filter("last", last),
    filter("length", length),
    filter("list", list),
    Filter { name: "map", accepts_undefined: true, run: map },
    filter("max", max),
    filter("min", min),
    filter("random", random),
    Filter { name: "reject", accepts_undefined: true, run: reject },
    Filter { name: "rejectattr", accepts_undefined: true, run: rejectattr },
    filter("reverse", reverse),
    Filter { name: "select", accepts_undefined: true, run: select },
    Filter { name: "selectattr", accepts_undefined: true, run: selectattr },
    filter("shuffle", shuffle),
    filter("slice", slice),
    filter("sort", sort),
    filter("split", split_filter),
    filter("sum", sum),
    filter("unique", unique),
    filter("zip", zip),
    filter("zip_longest", zip_longest),
];

pub(super) fn flag(vm: &Vm, value: Option<V>, default: bool) -> Result<bool> {
    value.map_or(Ok(default), |value| vm.truth(&value))
}

fn input(value: Option<V>) -> V {
    value.unwrap_or(V::Null)
}

fn default(vm: &Vm, args: Args) -> Result<V> {
    let [value, other, boolean] = args.bind("do_default", ["value", "default_value", "boolean"], 1)?;
    let value = input(value);
    let missing =
        (value.is_undefined() && value.is_missing()?) || (flag(vm, boolean, false)? && !vm.truth(&value)?);
    Ok(if missing { other.unwrap_or_else(|| V::str("")) } else { value })
}

fn length(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("len", ["obj"], 1)?;
    Ok(V::size(vm.length(&input(value))?))
}

fn list(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_list", ["value"], 1)?;
    Ok(V::list(vm.iterate(&input(value))?))
}

fn first(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_first", ["seq"], 1)?;
    let value = input(value);
    let found = match &value {
        V::List(items) => items.get(vm, 0)?,
        other => vm.iterate(other)?.into_iter().next(),
    };
    found.ok_or_else(|| Error::undefined("No first item, sequence was empty."))
}

fn last(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_last", ["seq"], 1)?;
    let value = input(value);
    let found = match &value {
        V::List(items) => items.len().checked_sub(1).map_or(Ok(None), |at| items.get(vm, at))?,
        other => vm.iterate(other)?.pop(),
    };
    found.ok_or_else(|| Error::undefined("No last item, sequence was empty."))
}

fn batch(vm: &Vm, args: Args) -> Result<V> {
    let [value, size, fill] = args.bind("do_batch", ["value", "linecount", "fill_with"], 2)?;
    let size = whole(&input(size))?.max(0) as usize;
    let mut out = Vec::new();
    let mut row = Vec::new();
    for item in vm.iterate(&input(value))? {
        if row.len() == size {
            out.push(V::list(std::mem::take(&mut row)));
        }
        row.push(item);
    }
    if !row.is_empty() {
        if let Some(fill) = fill.filter(|fill| !matches!(fill, V::Null)) {
            while row.len() < size {
                row.push(fill.clone());
            }
        }
        out.push(V::list(row));
    }
    Ok(V::list(out))
}

fn slice(vm: &Vm, args: Args) -> Result<V> {
    let [value, slices, fill] = args.bind("sync_do_slice", ["value", "slices", "fill_with"], 2)?;
    let items = vm.iterate(&input(value))?;
    let slices = whole(&input(slices))?;
    if slices == 0 {
        return Err(Error::runtime("integer division or modulo by zero"));
    }
    let slices = slices.max(0) as usize;
    let (each, extra) = (items.len().checked_div(slices).unwrap_or(0), items.len() % slices.max(1));
    let fill = fill.filter(|fill| !matches!(fill, V::Null));
    let mut out = Vec::new();
    let mut at = 0;
    for number in 0..slices {
        let end = at + each + usize::from(number < extra);
        let mut part = items[at..end].to_vec();
        if number >= extra {
            part.extend(fill.clone());
        }
        at = end;
        out.push(V::list(part));
    }
    Ok(V::list(out))
}

fn reverse(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_reverse", ["value"], 1)?;
    let value = input(value);
    if let V::Str(text) = &value {
        return Ok(V::text(text.chars().rev().collect::<String>()));
    }
    let mut items = vm.iterate(&value).map_err(|error| {
        if error.is_undefined() {
            return error;
        }
        Error::runtime(format!("argument must be iterable: {}", error.detail()))
    })?;
    items.reverse();
    Ok(V::list(items))
}

fn items(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_items", ["value"], 1)?;
    match input(value) {
        value @ (V::Dict(_) | V::Object(_)) => {
            Ok(V::list(ops::entries_of(vm, &value)?.into_iter().map(pair).collect()))
        }
        _ => Err(Error::runtime("Can only get item pairs from a mapping.")),
    }
}

fn pair((key, value): (quorate_value::Key, V)) -> V {
    V::pair(V::done(&key.to_value()), value)
}

fn join(vm: &Vm, args: Args) -> Result<V> {
    let [value, separator, attribute] = args.bind("sync_do_join", ["value", "d", "attribute"], 1)?;
    let separator = separator.map_or(Ok(Str::default()), |separator| vm.to_text(&separator))?;
    let path = attribute.filter(|a| !matches!(a, V::Null)).map(|a| Path::of(vm, &a)).transpose()?;
    let mut out = String::new();
    for (index, item) in vm.iterate(&input(value))?.into_iter().enumerate() {
        if index > 0 {
            out.push_str(&separator);
        }
        let item = match &path {
            Some(path) => path.get(vm, &item)?,
            None => item,
        };
        vm.write_str(&mut out, &item)?;
        crate::eval::fits(out.len(), crate::eval::MAX_TEXT)?;
    }
    Ok(V::text(out))
}

fn attr(vm: &Vm, args: Args) -> Result<V> {
    let [value, name] = args.bind("do_attr", ["obj", "name"], 2)?;
    let value = input(value);
    let name = vm.to_text(&input(name))?;
    if let Some(found) = crate::methods::attribute(vm, &value, &name)? {
        return Ok(found);
    }
    Err(Error::undefined(format!(
        "object of type '{}' has no attribute {}",
        value.type_name(),
        str_repr(&name)
    )))
}

/// The way to an attribute: `a.b.0`, or an index.
pub(super) struct Path(Vec<V>);

impl Path {
    pub(super) fn of(vm: &Vm, value: &V) -> Result<Path> {
        Ok(Path(match value {
            V::Str(text) => text
                .split('.')
                .map(|part| match part.parse::<i64>() {
                    Ok(number) if part.bytes().all(|b| b.is_ascii_digit()) => V::Int(number),
                    _ => V::str(part),
                })
                .collect(),
            V::Undefined(error) => return Err((**error).clone()),
            other => {
                let _ = vm;
                vec![other.clone()]
            }
        }))
    }

    /// The attribute, which may be undefined.
    pub(super) fn get(&self, vm: &Vm, item: &V) -> Result<V> {
        let mut value = item.clone();
        for part in &self.0 {
            let found = vm.item(&value, part, no_place)?;
            // Jinja2 looks numbers up by itself, and has words of its own.
            if let (V::Undefined(_), V::Int(index), false) = (&found, part, value.is_undefined()) {
                let kind = if matches!(value, V::Null) { "None" } else { value.type_name() };
                let object = if matches!(value, V::Null) { "" } else { " object" };
                let words = format!("{kind}{object} has no element {index}");
                return Ok(V::Undefined(std::rc::Rc::new(Error::undefined(words))));
            }
            value = found;
        }
        Ok(value)
    }
}

fn no_place() -> crate::error::Place {
    crate::error::Place {
        template: None,
        origin: quorate_value::Span::default(),
        text: std::sync::Arc::from(""),
        start: 0,
        end: 0,
    }
}

/// What to do to each item: an attribute, or another filter.
enum Mapper {
    Attribute(Path, Option<V>),
    Filter(&'static Filter, Vec<V>, Vec<(std::sync::Arc<str>, V)>),
}

impl Mapper {
    fn apply(&self, vm: &Vm, item: V) -> Result<V> {
        match self {
            Mapper::Attribute(path, default) => {
                let found = path.get(vm, &item)?;
                Ok(match default {
                    Some(default) if found.is_undefined() => default.clone(),
                    _ => found,
                })
            }
            Mapper::Filter(filter, pos, named) => {
                let mut all = Vec::with_capacity(pos.len() + 1);
                all.push(item);
                all.extend(pos.iter().cloned());
                vm.run_filter(filter, Args { pos: all, named: named.clone() })
            }
        }
    }
}

/// Undefined input stays undefined; the arguments are for the inner filter or test to judge.
fn undefined_input(args: &Args) -> Option<V> {
    args.pos.first().filter(|value| value.is_undefined()).cloned()
}

fn map(vm: &Vm, mut args: Args) -> Result<V> {
    if let Some(undefined) = undefined_input(&args) {
        return Ok(undefined);
    }
    let mapper = if args.pos.len() == 1 && args.named.iter().any(|(name, _)| &**name == "attribute") {
        let attribute = args.take("attribute").unwrap_or(V::Null);
        let default = args.take("default");
        if let Some((name, _)) = args.named.first() {
            return Err(Error::runtime(format!("Unexpected keyword argument {}", str_repr(name))));
        }
        Mapper::Attribute(Path::of(vm, &attribute)?, default.filter(|d| !matches!(d, V::Null)))
    } else {
        if args.pos.len() < 2 {
            return Err(Error::runtime("map requires a filter argument"));
        }
        let name = args.pos.remove(1);
        let name = vm.to_text(&name)?;
        let Some(filter) = find(&name) else {
            return Err(Error::runtime(format!("No filter named {}.", str_repr(&name))));
        };
        Mapper::Filter(filter, args.pos.split_off(1), std::mem::take(&mut args.named))
    };
    let mut out = Vec::new();
    if !vm.truth(&args.pos[0])? {
        return Ok(V::list(out));
    }
    for item in vm.iterate(&args.pos[0])? {
        out.push(mapper.apply(vm, item)?);
    }
    Ok(V::list(out))
}

fn select(vm: &Vm, args: Args) -> Result<V> {
    choose(vm, args, true, false)
}

fn reject(vm: &Vm, args: Args) -> Result<V> {
    choose(vm, args, false, false)
}

fn selectattr(vm: &Vm, args: Args) -> Result<V> {
    choose(vm, args, true, true)
}

fn rejectattr(vm: &Vm, args: Args) -> Result<V> {
    choose(vm, args, false, true)
}

fn choose(vm: &Vm, args: Args, wanted: bool, by_attribute: bool) -> Result<V> {
    if let Some(undefined) = undefined_input(&args) {
        return Ok(undefined);
    }
    let Args { mut pos, named } = args;
    let path = if by_attribute {
        if pos.len() < 2 {
            return Err(Error::runtime("Missing parameter for attribute name"));
        }
        Some(Path::of(vm, &pos.remove(1))?)
    } else {
        None
    };
    let test = if pos.len() > 1 {
        let name = pos.remove(1);
        let name = vm.to_text(&name)?;
        match crate::tests::find(&name) {
            Some(test) => Some(test),
            None => return Err(Error::runtime(format!("No test named {}.", str_repr(&name)))),
        }
    } else {
        None
    };
    let extra = pos.split_off(1);
    let mut out = Vec::new();
    if !vm.truth(&pos[0])? {
        return Ok(V::list(out));
    }
    for item in vm.iterate(&pos[0])? {
        let subject = match &path {
            Some(path) => path.get(vm, &item)?,
            None => item.clone(),
        };
        let holds = match test {
            None => vm.truth(&subject)?,
            Some(test) => {
                let mut all = Vec::with_capacity(extra.len() + 1);
                all.push(subject);
                all.extend(extra.iter().cloned());
                let found = vm.run_test(test, Args { pos: all, named: named.clone() })?;
                vm.truth(&found)?
            }
        };
        if holds == wanted {
            out.push(item);
        }
    }
    Ok(V::list(out))
}

/// Text compares without regard to case unless asked.
fn fold(value: V, case_sensitive: bool) -> V {
    match value {
        V::Str(text) if !case_sensitive => V::text(text.to_lowercase()),
        other => other,
    }
}

fn sort(vm: &Vm, args: Args) -> Result<V> {
    let [value, reverse, case, attribute] =
        args.bind("do_sort", ["value", "reverse", "case_sensitive", "attribute"], 1)?;
    let (reverse, case) = (flag(vm, reverse, false)?, flag(vm, case, false)?);
    let mut paths = Vec::new();
    match attribute {
        None | Some(V::Null) => {}
        Some(V::Str(text)) => {
            for part in text.split(',') {
                paths.push(Path::of(vm, &V::str(part.trim()))?);
            }
        }
        Some(other) => paths.push(Path::of(vm, &other)?),
    }
    let mut keyed = Vec::new();
    for item in vm.iterate(&input(value))? {
        let mut keys = Vec::with_capacity(paths.len().max(1));
        if paths.is_empty() {
            keys.push(fold(item.clone(), case));
        }
        for path in &paths {
            keys.push(fold(path.get(vm, &item)?, case));
        }
        keyed.push((keys, item));
    }
    let sorted = crate::methods::sort_by(keyed, reverse, |a, b| {
        for (x, y) in a.0.iter().zip(&b.0) {
            if a.0.len() > 1 && ops::equal(vm, x, y)? {
                continue;
            }
            return ops::order(vm, x, y, "<");
        }
        Ok(Some(Ordering::Equal))
    })?;
    Ok(V::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

fn dictsort(vm: &Vm, args: Args) -> Result<V> {
    let [value, case, by, reverse] =
        args.bind("do_dictsort", ["value", "case_sensitive", "by", "reverse"], 1)?;
    let (case, reverse) = (flag(vm, case, false)?, flag(vm, reverse, false)?);
    let by = by.map_or(Ok(Str::new("key")), |by| vm.to_text(&by))?;
    let by_value = match by.as_str() {
        "key" => false,
        "value" => true,
        _ => return Err(Error::runtime("You can only sort by either \"key\" or \"value\"")),
    };
    let value = input(value);
    if !matches!(value, V::Dict(_) | V::Object(_)) {
        return Err(Error::runtime(format!("'{}' object has no attribute 'items'", value.type_name())));
    }
    let entries = ops::entries_of(vm, &value)?;
    let keyed = entries
        .into_iter()
        .map(|(key, value)| {
            let by = if by_value { value.clone() } else { V::done(&key.to_value()) };
            (fold(by, case), pair((key, value)))
        })
        .collect();
    let sorted = crate::methods::sort_by(keyed, reverse, |a, b| ops::order(vm, &a.0, &b.0, "<"))?;
    Ok(V::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

fn groupby(vm: &Vm, args: Args) -> Result<V> {
    let [value, attribute, default, case] =
        args.bind("sync_do_groupby", ["value", "attribute", "default", "case_sensitive"], 2)?;
    let path = Path::of(vm, &input(attribute))?;
    let case = flag(vm, case, false)?;
    let default = default.filter(|default| !matches!(default, V::Null));
    let mut keyed = Vec::new();
    for item in vm.iterate(&input(value))? {
        let mut key = path.get(vm, &item)?;
        if key.is_undefined()
            && let Some(default) = &default
        {
            key = default.clone();
        }
        keyed.push((fold(key.clone(), case), key, item));
    }
    let sorted = crate::methods::sort_by(keyed, false, |a, b| ops::order(vm, &a.0, &b.0, "<"))?;
    let mut groups: Vec<(V, V, Vec<V>)> = Vec::new();
    for (folded, key, item) in sorted {
        match groups.last_mut() {
            Some((last, _, items)) if ops::equal(vm, last, &folded)? => items.push(item),
            _ => groups.push((folded, key, vec![item])),
        }
    }
    Ok(V::list(
        groups.into_iter().map(|(_, key, items)| V::native(Native::Group(key, V::list(items)))).collect(),
    ))
}

fn extreme(vm: &Vm, args: Args, function: &'static str, sign: &str, wanted: Ordering) -> Result<V> {
    let [value, case, attribute] = args.bind(function, ["value", "case_sensitive", "attribute"], 1)?;
    let case = flag(vm, case, false)?;
    let path = attribute.filter(|a| !matches!(a, V::Null)).map(|a| Path::of(vm, &a)).transpose()?;
    let mut best: Option<(V, V)> = None;
    for item in vm.iterate(&input(value))? {
        let key = match &path {
            Some(path) => path.get(vm, &item)?,
            None => item.clone(),
        };
        let key = fold(key, case);
        let better = match &best {
            None => true,
            Some((known, _)) => ops::order(vm, &key, known, sign)? == Some(wanted),
        };
        if better {
            best = Some((key, item));
        }
    }
    best.map(|(_, item)| item).ok_or_else(|| Error::undefined("No aggregated item, sequence was empty."))
}

fn min(vm: &Vm, args: Args) -> Result<V> {
    extreme(vm, args, "do_min", "<", Ordering::Less)
}

fn max(vm: &Vm, args: Args) -> Result<V> {
    extreme(vm, args, "do_max", ">", Ordering::Greater)
}

fn sum(vm: &Vm, args: Args) -> Result<V> {
    let [value, attribute, start] = args.bind("sync_do_sum", ["iterable", "attribute", "start"], 1)?;
    let path = attribute.filter(|a| !matches!(a, V::Null)).map(|a| Path::of(vm, &a)).transpose()?;
    let mut total = start.unwrap_or(V::Int(0));
    if matches!(total, V::Str(_)) {
        return Err(Error::runtime("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    for item in vm.iterate(&input(value))? {
        let item = match &path {
            Some(path) => path.get(vm, &item)?,
            None => item,
        };
        total = ops::binary(vm, crate::ast::Binary::Add, &total, &item)?;
    }
    Ok(total)
}

fn unique(vm: &Vm, args: Args) -> Result<V> {
    let [value, case, attribute] = args.bind("unique", ["a", "case_sensitive", "attribute"], 1)?;
    let asked = case.as_ref().is_some_and(|c| !matches!(c, V::Null))
        || attribute.as_ref().is_some_and(|a| !matches!(a, V::Null));
    // Ansible hands on that nothing was said as `false`.
    let case = flag(vm, case, false)?;
    let path = attribute.filter(|a| !matches!(a, V::Null)).map(|a| Path::of(vm, &a)).transpose()?;
    let mut seen = Seen::default();
    let mut out = Vec::new();
    for item in vm.iterate(&input(value))? {
        let key = match &path {
            Some(path) => path.get(vm, &item)?,
            None => item.clone(),
        };
        if asked && matches!(key, V::Dict(_) | V::List(_)) {
            let kind = if matches!(key, V::Dict(_)) { "Dict" } else { "List" };
            return Err(Error::runtime(format!(
                "Jinja2's unique filter failed and we cannot fall back to Ansible's version as it does not support the parameters supplied: unhashable type: '_AnsibleLazyTemplate{kind}'"
            )));
        }
        if seen.add(vm, &fold(key, case))? {
            out.push(item);
        }
    }
    Ok(V::list(out))
}

/// A set of values: quick for text and numbers, correct for all.
#[derive(Default)]
pub(super) struct Seen {
    keys: std::collections::HashSet<quorate_value::Key>,
    others: Vec<V>,
}

impl Seen {
    /// Adds a value; whether it is new.
    pub(super) fn add(&mut self, vm: &Vm, value: &V) -> Result<bool> {
        if self.has(vm, value)? {
            return Ok(false);
        }
        match value {
            V::Str(_) | V::Int(_) | V::Bool(_) | V::Float(_) | V::Null => {
                self.keys.insert(vm.key(value)?);
            }
            other => self.others.push(other.clone()),
        }
        Ok(true)
    }

    /// Whether a value was added.
    pub(super) fn has(&self, vm: &Vm, value: &V) -> Result<bool> {
        match value {
            V::Undefined(error) => Err((**error).clone()),
            V::Str(_) | V::Int(_) | V::Bool(_) | V::Float(_) | V::Null => {
                Ok(self.keys.contains(&vm.key(value)?))
            }
            other => {
                for known in &self.others {
                    if ops::equal(vm, known, other)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// The generator that a `seed` argument names.
fn generator(vm: &Vm, seed: Option<V>) -> Result<Random> {
    Ok(match seed {
        None | Some(V::Null) => {
            vm.saw_impure();
            Random::unpredictable()
        }
        Some(V::Int(seed)) => Random::of_integer(&BigInt::from(seed)),
        Some(V::Bool(seed)) => Random::of_integer(&BigInt::from(u8::from(seed))),
        Some(V::Big(seed)) => Random::of_integer(&seed),
        Some(V::Float(seed)) => Random::of_integer(&BigInt::from(float_hash(seed) as u64)),
        Some(other) => Random::of_text(&vm.to_text(&other)?),
    })
}

/// Python's `hash()` of a float.
fn float_hash(number: f64) -> i64 {
    const BITS: i32 = 61;
    const MODULUS: u64 = (1 << BITS) - 1;
    if !number.is_finite() {
        return if number.is_nan() { 0 } else { 314_159 };
    }
    let magnitude = number.abs();
    let raw = magnitude.to_bits();
    if raw == 0 {
        return 0;
    }
    let biased = (raw >> 52) as i32;
    let fraction = raw & ((1 << 52) - 1);
    let (mantissa, exponent) =
        if biased == 0 { (fraction, -1074) } else { (fraction | (1 << 52), biased - 1075) };
    let mantissa = mantissa % MODULUS;
    let shift = exponent.rem_euclid(BITS);
    let hash = ((mantissa << shift) & MODULUS) | (mantissa >> (BITS - shift));
    let hash = (hash % MODULUS) as i64;
    if number < 0.0 { -hash } else { hash }
}

fn random(vm: &Vm, args: Args) -> Result<V> {
    let [end, start, step, seed] = args.bind("rand", ["end", "start", "step", "seed"], 1)?;
    let end = input(end);
    let mut generator = generator(vm, seed)?;
    let number = |value: Option<V>, default: i64| match value {
        None | Some(V::Null) => Ok(default),
        Some(value) => whole(&value),
    };
    match &end {
        V::Int(_) | V::Bool(_) => {
            let end = whole(&end)?;
            let (start, step) = (number(start, 0)?, number(step, 1)?);
            if step == 0 {
                return Err(Error::runtime("zero step for randrange()"));
            }
            let count = crate::rt::Range { start, stop: end, step }.len();
            if count == 0 {
                return Err(Error::runtime(if step == 1 {
                    format!("empty range for randrange() ({start}, {end}, {})", end.saturating_sub(start))
                } else {
                    format!("empty range in randrange({start}, {end}, {step})")
                }));
            }
            Ok(V::Int(start + step * generator.below(count as u64) as i64))
        }
        V::Float(_) | V::Null => Err(Error::runtime("random can only be used on sequences and integers")),
        other => {
            if start.is_some() || step.is_some() {
                return Err(Error::runtime("start and step can only be used with integer values"));
            }
            let items = vm
                .iterate(other)
                .map_err(|_| Error::runtime("random can only be used on sequences and integers"))?;
            if items.is_empty() {
                return Err(Error::runtime("Cannot choose from an empty sequence"));
            }
            Ok(items[generator.below(items.len() as u64) as usize].clone())
        }
    }
}

fn shuffle(vm: &Vm, args: Args) -> Result<V> {
    let [value, seed] = args.bind("randomize_list", ["mylist", "seed"], 1)?;
    let value = input(value);
    let Ok(mut items) = vm.iterate(&value) else { return Ok(value) };
    generator(vm, seed)?.shuffle(&mut items);
    Ok(V::list(items))
}

fn split_filter(vm: &Vm, args: Args) -> Result<V> {
    let [value, separator, most] = args.bind("split", ["self", "sep", "maxsplit"], 1)?;
    let value = input(value);
    let V::Str(text) = &value else {
        return Err(Error::runtime(format!(
            "descriptor 'split' for 'str' objects doesn't apply to a '{}' object",
            value.type_name()
        )));
    };
    let separator = match separator {
        None | Some(V::Null) => None,
        Some(V::Str(separator)) => Some(separator),
        Some(other) => {
            return Err(Error::runtime(format!("must be str or None, not {}", other.type_name())));
        }
    };
    let most = most.as_ref().map_or(Ok(-1), whole)?;
    let _ = vm;
    Ok(V::list(split(text, separator.as_deref(), most, false)?.into_iter().map(V::str).collect()))
}

fn zip(vm: &Vm, args: Args) -> Result<V> {
    let Args { pos, mut named } = args;
    let strict = match named.iter().position(|(name, _)| &**name == "strict") {
        Some(at) => vm.truth(&named.remove(at).1)?,
        None => false,
    };
    if let Some((name, _)) = named.first() {
        return Err(Error::runtime(format!("zip() got an unexpected keyword argument '{name}'")));
    }
    let columns = columns(vm, &pos)?;
    let shortest = columns.iter().map(Vec::len).min().unwrap_or(0);
    if strict && let Some(at) = columns.iter().position(|column| column.len() != columns[0].len()) {
        let what = if columns[at].len() < columns[0].len() { "shorter" } else { "longer" };
        let others = if at == 1 { "argument 1".to_owned() } else { format!("arguments 1-{at}") };
        return Err(Error::runtime(format!("zip() argument {} is {what} than {others}", at + 1)));
    }
    Ok(V::list(
        (0..shortest)
            .map(|row| V::tuple(columns.iter().map(|column| column[row].clone()).collect()))
            .collect(),
    ))
}

fn columns(vm: &Vm, args: &[V]) -> Result<Vec<Vec<V>>> {
    args.iter().map(|column| vm.iterate(column)).collect()
}

fn zip_longest(vm: &Vm, args: Args) -> Result<V> {
    let Args { pos, mut named } = args;
    let fill = match named.iter().position(|(name, _)| &**name == "fillvalue") {
        Some(at) => named.remove(at).1,
        None => V::Null,
    };
    let columns = columns(vm, &pos)?;
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    Ok(V::list(
        (0..longest)
            .map(|row| {
                let cells = columns.iter().map(|column| column.get(row).unwrap_or(&fill).clone());
                V::tuple(cells.collect())
            })
            .collect(),
    ))
}
