//! Ansible's filters over lists and mappings: `combine`, `dict2items`, sets, `subelements`, ...

use super::sequence::{Seen, flag};
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::ops;
use crate::rt::{Map, V};
use indexmap::IndexMap;
use quorate_value::{Key, Str};
use std::rc::Rc;

pub(super) static FILTERS: [Filter; 14] = [
    filter("combinations", combinations),
    filter("combine", combine),
    filter("dict2items", dict2items),
    filter("difference", difference),
    filter("extract", extract),
    filter("flatten", flatten),
    filter("intersect", intersect),
    filter("items2dict", items2dict),
    filter("permutations", permutations),
    filter("product", product),
    filter("rekey_on_member", rekey_on_member),
    filter("subelements", subelements),
    filter("symmetric_difference", symmetric_difference),
    filter("union", union),
];

fn dict(entries: IndexMap<Key, V>) -> V {
    V::Dict(Rc::new(Map::own(entries)))
}

fn is_mapping(value: &V) -> bool {
    matches!(value, V::Dict(_) | V::Object(_))
}

fn text(vm: &Vm, value: Option<V>, default: &str) -> Result<Str> {
    value.map_or_else(|| Ok(Str::new(default)), |value| vm.to_text(&value))
}

/// How lists meet in `combine`.
#[derive(Clone, Copy, PartialEq)]
enum Merge {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendNew,
    PrependNew,
}

pub(super) fn combine(vm: &Vm, mut args: Args) -> Result<V> {
    let recursive = args.take("recursive");
    let recursive = flag(vm, recursive, false)?;
    let merge = args.take("list_merge");
    let merge = text(vm, merge, "replace")?;
    let merge = match merge.as_str() {
        "replace" => Merge::Replace,
        "keep" => Merge::Keep,
        "append" => Merge::Append,
        "prepend" => Merge::Prepend,
        "append_rp" => Merge::AppendNew,
        "prepend_rp" => Merge::PrependNew,
        _ => {
            return Err(Error::runtime(
                "merge_hash: 'list_merge' argument can only be equal to 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'",
            ));
        }
    };
    if !args.named.is_empty() {
        return Err(Error::runtime("'recursive' and 'list_merge' are the only valid keyword arguments"));
    }
    let mut all = Vec::new();
    flatten_into(vm, &V::list(args.pos), 1, true, &mut all)?;
    let mut all = all.into_iter();
    let Some(first) = all.next() else { return Ok(dict(IndexMap::new())) };
    let mut result = first;
    for next in all {
        result = merge_two(vm, &result, &next, recursive, merge)?;
    }
    Ok(result)
}

fn merge_two(vm: &Vm, low: &V, high: &V, recursive: bool, merge: Merge) -> Result<V> {
    vm.check_stack()?;
    if !is_mapping(low) || !is_mapping(high) {
        return Err(Error::runtime(format!(
            "failed to combine variables, expected dicts but got a '{}' and a '{}'.",
            low.type_name(),
            high.type_name()
        )));
    }
    let mut out: IndexMap<Key, V> = ops::entries_of(vm, low)?.into_iter().collect();
    for (key, value) in ops::entries_of(vm, high)? {
        let Some(old) = out.get(&key) else {
            out.insert(key, value);
            continue;
        };
        let value = if recursive && is_mapping(old) && is_mapping(&value) {
            merge_two(vm, old, &value, true, merge)?
        } else if let (V::List(_) | V::Tuple(_), V::List(_) | V::Tuple(_)) = (old, &value)
            && merge != Merge::Replace
        {
            merge_lists(vm, old, &value, merge)?
        } else {
            value
        };
        out.insert(key, value);
    }
    Ok(dict(out))
}

fn merge_lists(vm: &Vm, low: &V, high: &V, merge: Merge) -> Result<V> {
    let (low, high) = (vm.iterate(low)?, vm.iterate(high)?);
    let without = |items: &[V], gone: &[V]| -> Result<Vec<V>> {
        let mut seen = Seen::default();
        for item in gone {
            seen.add(vm, item)?;
        }
        let mut out = Vec::new();
        for item in items {
            if !seen.has(vm, item)? {
                out.push(item.clone());
            }
        }
        Ok(out)
    };
    Ok(V::list(match merge {
        Merge::Keep => low,
        Merge::Append => [low, high].concat(),
        Merge::Prepend => [high, low].concat(),
        Merge::AppendNew => [without(&low, &high)?, high].concat(),
        Merge::PrependNew => {
            let rest = without(&low, &high)?;
            [high, rest].concat()
        }
        Merge::Replace => high,
    }))
}

fn dict2items(vm: &Vm, args: Args) -> Result<V> {
    let [value, key_name, value_name] =
        args.bind("dict_to_list_of_dict_key_value_elements", ["mydict", "key_name", "value_name"], 1)?;
    let value = value.unwrap_or(V::Null);
    if !is_mapping(&value) {
        return Err(Error::runtime(format!(
            "dict2items requires a dictionary, got <class '{}'> instead.",
            value.type_name()
        )));
    }
    let (key_name, value_name) = (text(vm, key_name, "key")?, text(vm, value_name, "value")?);
    let entries = ops::entries_of(vm, &value)?.into_iter().map(|(key, value)| {
        let pair = [
            (Key::from(key_name.as_str()), V::done(&key.to_value())),
            (Key::from(value_name.as_str()), value),
        ];
        dict(pair.into_iter().collect())
    });
    Ok(V::list(entries.collect()))
}

fn items2dict(vm: &Vm, args: Args) -> Result<V> {
    let [value, key_name, value_name] =
        args.bind("list_of_dict_key_value_elements_to_dict", ["mylist", "key_name", "value_name"], 1)?;
    let value = value.unwrap_or(V::Null);
    if !matches!(value, V::List(_) | V::Tuple(_)) {
        return Err(Error::runtime(format!(
            "items2dict requires a list, got <class '{}'> instead.",
            value.type_name()
        )));
    }
    let (key_name, value_name) = (text(vm, key_name, "key")?, text(vm, value_name, "value")?);
    let mut out = IndexMap::new();
    let items = vm.iterate(&value)?;
    if let Some(other) = items.iter().find(|item| !is_mapping(item)) {
        if let V::Undefined(error) = other {
            return Err((**error).clone());
        }
        return Err(Error::runtime(format!(
            "items2dict requires a list of dictionaries, got {} instead.",
            vm.to_repr(&value)?
        )));
    }
    for item in items {
        let found = match &item {
            V::Dict(map) => (map.get_str(vm, &key_name)?, map.get_str(vm, &value_name)?),
            other => (
                ops::element(vm, other, &V::Str(key_name.clone()))?,
                ops::element(vm, other, &V::Str(value_name.clone()))?,
            ),
        };
        let (Some(key), Some(value)) = found else {
            return Err(Error::runtime(format!(
                "items2dict requires each dictionary in the list to contain the keys '{}' and '{}', got {} instead.",
                key_name.as_str(),
                value_name.as_str(),
                vm.to_repr(&value)?
            )));
        };
        out.insert(vm.key(&key)?, value);
    }
    Ok(dict(out))
}

/// The items of a list, and of the lists in it.
pub(crate) fn flatten_into(
    vm: &Vm,
    value: &V,
    levels: i64,
    skip_nulls: bool,
    out: &mut Vec<V>,
) -> Result<()> {
    vm.check_stack()?;
    for item in vm.iterate(value)? {
        let null = match &item {
            V::Null => true,
            V::Str(text) => matches!(text.as_str(), "None" | "null"),
            _ => false,
        };
        if skip_nulls && null {
            continue;
        }
        match &item {
            V::List(_) | V::Tuple(_) if levels != 0 => {
                flatten_into(vm, &item, levels - 1, skip_nulls, out)?;
            }
            _ => out.push(item),
        }
    }
    Ok(())
}

fn flatten(vm: &Vm, args: Args) -> Result<V> {
    let [value, levels, skip_nulls] = args.bind("flatten", ["mylist", "levels", "skip_nulls"], 1)?;
    let levels = match levels {
        None | Some(V::Null) => -1,
        Some(levels) => whole(&levels)?,
    };
    let skip_nulls = flag(vm, skip_nulls, true)?;
    let mut out = Vec::new();
    flatten_into(vm, &value.unwrap_or(V::Null), levels, skip_nulls, &mut out)?;
    Ok(V::list(out))
}

fn two(vm: &Vm, args: Args, function: &'static str) -> Result<(Vec<V>, Vec<V>)> {
    let [a, b] = args.bind(function, ["a", "b"], 2)?;
    Ok((vm.iterate(&a.unwrap_or(V::Null))?, vm.iterate(&b.unwrap_or(V::Null))?))
}

fn union(vm: &Vm, args: Args) -> Result<V> {
    let (a, b) = two(vm, args, "union")?;
    distinct(vm, a.into_iter().chain(b), |_| Ok(true))
}

fn distinct(vm: &Vm, items: impl Iterator<Item = V>, keep: impl Fn(&V) -> Result<bool>) -> Result<V> {
    let mut seen = Seen::default();
    let mut out = Vec::new();
    for item in items {
        if keep(&item)? && seen.add(vm, &item)? {
            out.push(item);
        }
    }
    Ok(V::list(out))
}

fn seen(vm: &Vm, items: &[V]) -> Result<Seen> {
    let mut seen = Seen::default();
    for item in items {
        seen.add(vm, item)?;
    }
    Ok(seen)
}

fn intersect(vm: &Vm, args: Args) -> Result<V> {
    let (a, b) = two(vm, args, "intersect")?;
    let b = seen(vm, &b)?;
    distinct(vm, a.into_iter(), |item| b.has(vm, item))
}

fn difference(vm: &Vm, args: Args) -> Result<V> {
    let (a, b) = two(vm, args, "difference")?;
    let b = seen(vm, &b)?;
    distinct(vm, a.into_iter(), |item| Ok(!b.has(vm, item)?))
}

fn symmetric_difference(vm: &Vm, args: Args) -> Result<V> {
    let (a, b) = two(vm, args, "symmetric_difference")?;
    let (in_a, in_b) = (seen(vm, &a)?, seen(vm, &b)?);
    distinct(vm, a.into_iter().chain(b), |item| Ok(in_a.has(vm, item)? != in_b.has(vm, item)?))
}

/// How many rows a product may have.
const MAX_ROWS: usize = 1_000_000;

fn rows_fit(rows: usize) -> Result<()> {
    if rows > MAX_ROWS {
        return Err(Error::runtime(format!("the result would have more than {MAX_ROWS} items")));
    }
    Ok(())
}

/// All ways to take one of each.
pub(crate) fn cartesian(columns: &[Vec<V>]) -> Result<Vec<Vec<V>>> {
    let mut rows = vec![Vec::new()];
    for column in columns {
        rows_fit(rows.len().saturating_mul(column.len()))?;
        rows = rows
            .iter()
            .flat_map(|row| {
                column.iter().map(|item| {
                    let mut row = row.clone();
                    row.push(item.clone());
                    row
                })
            })
            .collect();
    }
    Ok(rows)
}

fn product(vm: &Vm, mut args: Args) -> Result<V> {
    let repeat = args.take("repeat");
    let repeat = repeat.as_ref().map_or(Ok(1), whole)?.clamp(0, 1000) as usize;
    if let Some((name, _)) = args.named.first() {
        return Err(Error::runtime(format!("product() got an unexpected keyword argument '{name}'")));
    }
    let mut columns = Vec::new();
    for column in &args.pos {
        columns.push(vm.iterate(column)?);
    }
    let columns: Vec<Vec<V>> = std::iter::repeat_n(columns, repeat).flatten().collect();
    Ok(V::list(cartesian(&columns)?.into_iter().map(V::tuple).collect()))
}

fn choose(items: &[V], size: usize, ordered: bool) -> Result<Vec<V>> {
    let mut out = Vec::new();
    let mut picked = Vec::new();
    pick(items, size, ordered, &mut picked, &mut out)?;
    Ok(out)
}

fn pick(items: &[V], size: usize, ordered: bool, picked: &mut Vec<usize>, out: &mut Vec<V>) -> Result<()> {
    if picked.len() == size {
        out.push(V::tuple(picked.iter().map(|at| items[*at].clone()).collect()));
        return rows_fit(out.len());
    }
    let start = if ordered { 0 } else { picked.last().map_or(0, |last| last + 1) };
    for at in start..items.len() {
        if ordered && picked.contains(&at) {
            continue;
        }
        picked.push(at);
        pick(items, size, ordered, picked, out)?;
        picked.pop();
    }
    Ok(())
}

fn combinations(vm: &Vm, args: Args) -> Result<V> {
    let [value, size] = args.bind("combinations", ["iterable", "r"], 2)?;
    let items = vm.iterate(&value.unwrap_or(V::Null))?;
    let size = whole(&size.unwrap_or(V::Null))?;
    let size = usize::try_from(size).map_err(|_| Error::runtime("r must be non-negative"))?;
    if size > items.len() {
        return Ok(V::list(Vec::new()));
    }
    Ok(V::list(choose(&items, size, false)?))
}

fn permutations(vm: &Vm, args: Args) -> Result<V> {
    let [value, size] = args.bind("permutations", ["iterable", "r"], 1)?;
    let items = vm.iterate(&value.unwrap_or(V::Null))?;
    let size = match size {
        None | Some(V::Null) => items.len() as i64,
        Some(size) => whole(&size)?,
    };
    let size = usize::try_from(size).map_err(|_| Error::runtime("r must be non-negative"))?;
    if size > items.len() {
        return Ok(V::list(Vec::new()));
    }
    Ok(V::list(choose(&items, size, true)?))
}

fn extract(vm: &Vm, args: Args) -> Result<V> {
    let [item, container, more] = args.bind("extract", ["item", "container", "morekeys"], 2)?;
    let mut path = vec![item.unwrap_or(V::Null)];
    match more {
        None | Some(V::Null) => {}
        Some(V::List(keys)) => path.extend(keys.items(vm)?),
        Some(key) => path.push(key),
    }
    let mut value = container.unwrap_or(V::Null);
    for key in &path {
        value = vm.item(&value, key, || crate::error::Place {
            template: None,
            origin: quorate_value::Span::default(),
            text: std::sync::Arc::from(""),
            start: 0,
            end: 0,
        })?;
    }
    Ok(value)
}

fn rekey_on_member(vm: &Vm, args: Args) -> Result<V> {
    let [data, key, duplicates] = args.bind("rekey_on_member", ["data", "key", "duplicates"], 2)?;
    let key = vm.to_text(&key.unwrap_or(V::Null))?;
    let duplicates = text(vm, duplicates, "error")?;
    if !matches!(duplicates.as_str(), "error" | "overwrite") {
        return Err(Error::runtime(format!(
            "duplicates parameter to rekey_on_member has unknown value {}",
            quorate_value::str_repr(&duplicates)
        )));
    }
    let data = data.unwrap_or(V::Null);
    let items = match &data {
        V::Dict(map) => map.entries(vm)?.into_iter().map(|(_, value)| value).collect(),
        V::List(_) | V::Tuple(_) => vm.iterate(&data)?,
        _ => return Err(Error::runtime("Type is not a valid list, set, or dict")),
    };
    let mut out = IndexMap::new();
    for item in items {
        let V::Dict(map) = &item else {
            return Err(Error::runtime("List item is not a valid dict"));
        };
        let Some(new_key) = map.get_str(vm, &key)? else {
            return Err(Error::runtime(format!("Key {} was not found.", quorate_value::str_repr(&key))));
        };
        let new_key = vm.key(&new_key)?;
        if out.contains_key(&new_key) && duplicates.as_str() == "error" {
            return Err(Error::runtime(format!(
                "Key {} is not unique, cannot convert to dict.",
                vm.to_repr(&V::done(&new_key.to_value()))?
            )));
        }
        out.insert(new_key, item);
    }
    Ok(dict(out))
}

fn subelements(vm: &Vm, args: Args) -> Result<V> {
    let [value, path, skip] = args.bind("subelements", ["obj", "subelements", "skip_missing"], 2)?;
    let skip = flag(vm, skip, false)?;
    let value = value.unwrap_or(V::Null);
    let items = match &value {
        V::Dict(map) => map.entries(vm)?.into_iter().map(|(_, value)| value).collect(),
        V::List(_) | V::Tuple(_) => vm.iterate(&value)?,
        _ => return Err(Error::runtime("obj must be a list of dicts or a nested dict")),
    };
    let path = match path.unwrap_or(V::Null) {
        V::Str(text) => text.split('.').map(V::str).collect(),
        list @ (V::List(_) | V::Tuple(_)) => vm.iterate(&list)?,
        _ => return Err(Error::runtime("subelements must be a list or a string")),
    };
    let mut out = Vec::new();
    for item in items {
        let mut values = item.clone();
        for part in &path {
            let found = match &values {
                V::Dict(map) => map.get(vm, &vm.key(part)?)?,
                _ => {
                    let shown = vm.to_str(&values)?;
                    return Err(Error::runtime(format!(
                        "the key {} should point to a dictionary, got '{shown}'",
                        vm.to_str(part)?
                    )));
                }
            };
            values = match found {
                Some(found) => found,
                None if skip => V::list(Vec::new()),
                None => {
                    return Err(Error::runtime(format!(
                        "could not find {} key in iterated item {}",
                        vm.to_repr(part)?,
                        vm.to_repr(&values)?
                    )));
                }
            };
            if let (V::List(list), true) = (&values, skip)
                && list.len() == 0
            {
                break;
            }
        }
        let V::List(list) = &values else {
            return Err(Error::runtime(format!(
                "the key {} should point to a list, got {}",
                path.last().map_or(Ok(String::new()), |last| vm.to_repr(last))?,
                vm.to_repr(&values)?
            )));
        };
        for value in list.items(vm)? {
            out.push(V::pair(item.clone(), value));
        }
    }
    Ok(V::list(out))
}
