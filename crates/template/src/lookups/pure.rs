//! Lookups that need variables and their arguments only.

use crate::error::{Error, Result};
use crate::eval::{Frame, Vm};
use crate::filters::{cartesian, flatten_into, number::parse_int};
use crate::ops;
use crate::pyre::{self, Flags};
use crate::random::Random;
use crate::rt::{Map, V};
use quorate_value::{Key, Str, str_repr};
use std::rc::Rc;
use std::sync::Arc;

/// Sorted.
pub(super) const NAMES: [&str; 13] = [
    "dict",
    "env",
    "flattened",
    "indexed_items",
    "items",
    "list",
    "nested",
    "random_choice",
    "sequence",
    "subelements",
    "together",
    "varnames",
    "vars",
];

type Options = [(Arc<str>, V)];

/// Runs a lookup of this family; nothing where the name is none of them.
pub(super) fn run(
    vm: &Vm,
    name: &str,
    terms: &[V],
    options: &Options,
    frame: &Rc<Frame>,
) -> Option<Result<Vec<V>>> {
    Some(match name {
        "dict" => dict(vm, terms),
        "env" => env(vm, terms, options),
        "flattened" => flattened(vm, terms),
        "indexed_items" => indexed_items(vm, terms),
        "items" => one_level(vm, terms),
        "list" => Ok(terms.to_vec()),
        "nested" => nested(vm, terms),
        "random_choice" => random_choice(vm, terms),
        "sequence" => sequence(vm, terms, options),
        "subelements" => subelements(vm, terms),
        "together" => together(vm, terms),
        "varnames" => varnames(vm, terms, frame),
        "vars" => vars(vm, terms, options, frame),
        _ => return None,
    })
}

fn option<'o>(options: &'o Options, name: &str) -> Option<&'o V> {
    options.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
}

fn one_level(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    let mut out = Vec::new();
    for term in terms {
        match term {
            V::List(_) | V::Tuple(_) => out.extend(vm.iterate(term)?),
            other => out.push(other.clone()),
        }
    }
    Ok(out)
}

fn dict(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    let mut out = Vec::new();
    for term in terms {
        if !matches!(term, V::Dict(_) | V::Object(_)) {
            return Err(Error::runtime(format!(
                "the 'dict' lookup plugin expects a dictionary, got '{}' of type <class '{}'>)",
                vm.to_str(term)?,
                term.type_name()
            )));
        }
        for (key, value) in ops::entries_of(vm, term)? {
            let entries = [(Key::from("key"), V::done(&key.to_value())), (Key::from("value"), value)];
            out.push(V::Dict(Rc::new(Map::own(entries.into_iter().collect()))));
        }
    }
    Ok(out)
}

fn env(vm: &Vm, terms: &[V], options: &Options) -> Result<Vec<V>> {
    vm.saw_impure();
    let mut out = Vec::new();
    for term in terms {
        let name = vm.to_text(term)?;
        let name = name.split_whitespace().next().unwrap_or("");
        out.push(match (vm.ctx.world.env(name), option(options, "default")) {
            (Some(value), _) => V::text(value),
            (None, Some(V::Undefined(_))) => {
                return Err(Error::undefined(format!(
                    "The environment variable {} is not set.",
                    str_repr(name)
                )));
            }
            (None, Some(default)) => default.clone(),
            (None, None) => V::str(""),
        });
    }
    Ok(out)
}

fn flattened(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    let mut out = Vec::new();
    flatten_into(vm, &V::list(terms.to_vec()), -1, true, &mut out)?;
    Ok(out)
}

fn indexed_items(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    let items = one_level(vm, terms)?;
    Ok(items.into_iter().enumerate().map(|(index, item)| V::pair(V::size(index), item)).collect())
}

fn columns(vm: &Vm, terms: &[V]) -> Result<Vec<Vec<V>>> {
    terms.iter().map(|term| vm.iterate(term)).collect()
}

fn nested(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    if terms.is_empty() {
        return Err(Error::runtime("with_nested requires at least one element in the nested list"));
    }
    Ok(cartesian(&columns(vm, terms)?)?.into_iter().map(V::list).collect())
}

fn together(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    if terms.is_empty() {
        return Err(Error::runtime("with_together requires at least one element in each list"));
    }
    let columns = columns(vm, terms)?;
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    Ok((0..longest)
        .map(|row| {
            V::list(columns.iter().map(|column| column.get(row).cloned().unwrap_or(V::Null)).collect())
        })
        .collect())
}

fn random_choice(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    vm.saw_impure();
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let at = Random::unpredictable().below(terms.len() as u64) as usize;
    Ok(vec![terms[at].clone()])
}

fn subelements(vm: &Vm, terms: &[V]) -> Result<Vec<V>> {
    let terms = match terms {
        [V::List(only)] if matches!(only.get(vm, 1)?, Some(V::Str(_))) => only.items(vm)?,
        _ => terms.to_vec(),
    };
    let wrong = |what: &str| {
        Error::runtime(format!("subelements lookup expects a list of two or three items, {what}"))
    };
    if !(2..=3).contains(&terms.len()) {
        return Err(Error::runtime("subelements lookup expects a list of two or three items,"));
    }
    let skip = match terms.get(2) {
        None => false,
        Some(V::Dict(flags)) => match flags.get_str(vm, "skip_missing")? {
            Some(flag) => vm.finalize(&flag)?.to_bool_loose().unwrap_or(false),
            None => false,
        },
        Some(_) => return Err(wrong("the optional third item must be a dict with flags skip_missing")),
    };
    let first = "first a dict or a list, second a string pointing to the subkey";
    let V::Str(path) = &terms[1] else { return Err(wrong(first)) };
    let path: Vec<&str> = path.split('.').collect();
    let items = match &terms[0] {
        // a whole result that was skipped has no elements
        V::Dict(map) => match map.get_str(vm, "skipped")? {
            Some(flag) if !matches!(flag, V::Bool(false)) => return Ok(Vec::new()),
            _ => map.entries(vm)?.into_iter().map(|(_, value)| value).collect(),
        },
        V::List(list) => list.items(vm)?,
        _ => return Err(wrong(first)),
    };
    let mut out = Vec::new();
    for item in items {
        let V::Dict(_) = &item else {
            return Err(Error::runtime(format!(
                "subelements lookup expects a dictionary, got {}",
                vm.to_repr(&item)?
            )));
        };
        if let V::Dict(map) = &item
            && let Some(flag) = map.get_str(vm, "skipped")?
            && !matches!(flag, V::Bool(false))
        {
            continue;
        }
        // The loop variable has no subkey of its own.
        let rest = without(vm, &item, &path)?;
        let mut values = item.clone();
        for (depth, part) in path.iter().enumerate() {
            let found = match &values {
                V::Dict(map) => map.get_str(vm, part)?,
                _ => None,
            };
            values = match found {
                Some(found) => found,
                None if skip => V::list(Vec::new()),
                None => {
                    return Err(Error::runtime(format!(
                        "could not find {} key in iterated item '{}'",
                        str_repr(part),
                        vm.to_str(&values)?
                    )));
                }
            };
            let last = depth + 1 == path.len();
            if skip && (matches!(&values, V::List(list) if list.len() == 0) || matches!(&values, V::Null)) {
                values = V::list(Vec::new());
                break;
            }
            match &values {
                V::List(_) if last => {}
                V::Dict(_) if !last => {}
                other => {
                    return Err(Error::runtime(format!(
                        "the key {} should point to a {}, got {}",
                        part,
                        if last { "list" } else { "dictionary" },
                        vm.to_repr(other)?
                    )));
                }
            }
        }
        for value in vm.iterate(&values)? {
            out.push(V::list(vec![rest.clone(), value]));
        }
    }
    Ok(out)
}

/// A mapping without the entry that a path names.
fn without(vm: &Vm, item: &V, path: &[&str]) -> Result<V> {
    let (V::Dict(map), Some((first, more))) = (item, path.split_first()) else { return Ok(item.clone()) };
    let mut out = indexmap::IndexMap::new();
    for (key, value) in map.entries(vm)? {
        if key.as_str() != Some(*first) {
            out.insert(key, value);
        } else if !more.is_empty() {
            out.insert(key, without(vm, &value, more)?);
        }
    }
    Ok(V::Dict(Rc::new(Map::own(out))))
}

fn varnames(vm: &Vm, terms: &[V], frame: &Rc<Frame>) -> Result<Vec<V>> {
    let names = vm.names(&frame.realm);
    let mut out = Vec::new();
    for term in terms {
        let V::Str(pattern) = term else {
            return Err(Error::runtime(format!(
                "Invalid setting identifier, \"{}\" is not a string, it is a <class '{}'>",
                vm.to_str(term)?,
                term.type_name()
            )));
        };
        let unusable =
            |e: Error| Error::runtime(format!("Unable to use \"{}\" as a search parameter: {e}", &**pattern));
        for name in &names {
            if pyre::compile(pattern, Flags::default(), false, name)
                .map_err(unusable)?
                .find(name, 0)?
                .is_some()
            {
                out.push(V::str(name));
            }
        }
    }
    Ok(out)
}

fn vars(vm: &Vm, terms: &[V], options: &Options, frame: &Rc<Frame>) -> Result<Vec<V>> {
    let default = option(options, "default");
    let mut out = Vec::new();
    for term in terms {
        let V::Str(name) = term else {
            return Err(Error::runtime(format!("Variable name must be 'str' not '{}'.", term.type_name())));
        };
        out.push(match (vm.variable(name, &frame.realm)?, default) {
            (Some(found), _) => found,
            (None, Some(default)) => default.clone(),
            (None, None) => {
                return Err(Error::undefined(format!("No variable named {} was found.", str_repr(name)))
                    .named(Arc::from(name.as_str())));
            }
        });
    }
    Ok(out)
}

/// How many numbers a sequence may have.
const MAX_SEQUENCE: i64 = 1_000_000;

#[derive(Default)]
struct Sequence {
    start: Option<i64>,
    end: Option<i64>,
    count: Option<i64>,
    stride: Option<i64>,
    format: Option<Str>,
}

fn sequence(vm: &Vm, terms: &[V], options: &Options) -> Result<Vec<V>> {
    let mut out = Vec::new();
    // Options alone, as in `query('sequence', start=1, end=3)`, make one sequence.
    let empty = [V::str("")];
    let terms = if terms.is_empty() && !options.is_empty() { &empty[..] } else { terms };
    for term in terms {
        let mut wanted = Sequence::default();
        for (name, value) in options {
            wanted.set(vm, name, value)?;
        }
        let text = match term {
            V::Str(text) => text.clone(),
            V::Undefined(error) => return Err((**error).clone()),
            other => {
                return Err(Error::runtime(format!(
                    "unknown error parsing with_sequence arguments: {}. Error was: expected string or bytes-like object, got '{}'",
                    vm.to_repr(other)?,
                    other.type_name()
                )));
            }
        };
        if let Some(parts) = Sequence::shortcut(&text) {
            for (name, part) in parts {
                wanted.set(vm, name, &V::str(part))?;
            }
        } else {
            for part in text.split_whitespace() {
                let Some((name, value)) = part.split_once('=') else {
                    return Err(Error::runtime("unrecognized arguments to with_sequence: ['_raw_params']"));
                };
                wanted.set(vm, name, &V::str(value))?;
            }
        }
        out.extend(wanted.numbers(vm)?);
    }
    Ok(out)
}

impl Sequence {
    fn set(&mut self, vm: &Vm, name: &str, value: &V) -> Result<()> {
        if name == "format" {
            self.format = Some(vm.to_text(value)?);
            return Ok(());
        }
        if !matches!(name, "start" | "end" | "count" | "stride") {
            return Err(Error::runtime(format!("unrecognized arguments to with_sequence: ['{name}']")));
        }
        let number = match value {
            V::Int(number) => Some(*number),
            V::Str(text) => parse_int(text, 10).and_then(|number| i64::try_from(number).ok()),
            _ => None,
        };
        let Some(number) = number else {
            return Err(Error::runtime(format!(
                "Config '{name}' for 'sequence' lookup plugin from 'Direct' has an invalid value: Invalid value provided for 'integer': {}",
                vm.to_repr(value)?
            )));
        };
        match name {
            "start" => self.start = Some(number),
            "end" => self.end = Some(number),
            "count" => self.count = Some(number),
            "stride" => self.stride = Some(number),
            other => {
                return Err(Error::runtime(format!("unrecognized arguments to with_sequence: ['{other}']")));
            }
        }
        Ok(())
    }

    /// The parts of `[start-]end[/stride][:format]`, in the order in which they are looked at; none where the text is no
    /// such thing. Numbers may look hexadecimal there: whether they are numbers is `set`'s to say.
    fn shortcut(text: &str) -> Option<Vec<(&'static str, &str)>> {
        let (range, format) = match text.split_once(':') {
            Some((range, format)) => (range, Some(format)),
            None => (text, None),
        };
        let (range, stride) = match range.split_once('/') {
            Some((range, stride)) => (range, Some(stride)),
            None => (range, None),
        };
        let (start, end) = match range.split_once('-') {
            Some((start, end)) => (Some(start), end),
            None => (None, range),
        };
        let digits = |part: &str| {
            let part = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")).unwrap_or(part);
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit())
        };
        let fits = [start, Some(end), stride].into_iter().flatten().all(digits) && format != Some("");
        let parts = [("start", start), ("end", Some(end)), ("stride", stride), ("format", format)];
        fits.then(|| parts.into_iter().filter_map(|(name, part)| Some((name, part?))).collect())
    }

    fn numbers(&self, vm: &Vm) -> Result<Vec<V>> {
        let start = self.start.unwrap_or(1);
        let stride = self.stride.unwrap_or(1);
        let (end, stride) = match (self.count, self.end) {
            (None, None) => {
                return Err(Error::runtime("must specify count or end in with_sequence"));
            }
            (Some(_), Some(_)) => {
                return Err(Error::runtime("can't specify both count and end in with_sequence"));
            }
            (Some(0), None) => return Ok(Vec::new()),
            (Some(count), None) => (start.saturating_add(count.saturating_mul(stride)) - 1, stride),
            (None, Some(end)) => (end, stride),
        };
        if stride > 0 && end < start {
            return Err(Error::runtime("to count backwards make stride negative"));
        }
        if stride < 0 && end > start {
            return Err(Error::runtime("to count forward don't make stride negative"));
        }
        if stride == 0 {
            return Ok(Vec::new());
        }
        if let Some(format) = &self.format
            && !format.contains('%')
        {
            return Err(Error::runtime(format!("bad formatting string: {}", format.as_str())));
        }
        let mut out = Vec::new();
        let mut number = start;
        while (stride > 0 && number <= end) || (stride < 0 && number >= end) {
            if out.len() as i64 >= MAX_SEQUENCE {
                return Err(Error::runtime(format!("with_sequence makes {MAX_SEQUENCE} items at most")));
            }
            out.push(match &self.format {
                None => V::text(number.to_string()),
                Some(format) => {
                    let text = crate::format::percent(vm, format, &V::Int(number)).map_err(|_| {
                        Error::runtime(format!("problem formatting {number} with {}", str_repr(format)))
                    })?;
                    V::text(text)
                }
            });
            number = number.saturating_add(stride);
        }
        Ok(out)
    }
}
