//! Methods of lists and tuples.

use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::ops;
use crate::rt::{List, V};
use std::cmp::Ordering;
use std::rc::Rc;

use super::whole;

/// Sorted, for a binary search.
pub(super) const METHODS: [&str; 11] =
    ["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

pub(super) fn call(vm: &Vm, list: &Rc<List>, name: &str, mut args: Args) -> Result<V> {
    match name {
        "append" => {
            let item = exactly_one("list.append", args)?;
            list.change(|items| items.push(item));
        }
        "extend" => {
            let more = vm.iterate(&exactly_one("list.extend", args)?)?;
            list.change(|items| items.extend(more));
        }
        "insert" => {
            let [at, item] = args.bind("insert", ["index", "object"], 2)?;
            let at = whole(&at.unwrap_or(V::Null))?;
            list.change(|items| {
                let length = items.len() as i64;
                let at = if at < 0 { (at + length).max(0) } else { at.min(length) };
                items.insert(at as usize, item.unwrap_or(V::Null));
            });
        }
        "pop" => {
            let [at] = args.bind("pop", ["index"], 0)?;
            let at = at.as_ref().map_or(Ok(-1), whole)?;
            let length = list.len() as i64;
            if length == 0 {
                return Err(Error::runtime("pop from empty list"));
            }
            let at = if at < 0 { at + length } else { at };
            let Some(found) = usize::try_from(at).ok().map(|at| list.get(vm, at)).transpose()?.flatten()
            else {
                return Err(Error::runtime("pop index out of range"));
            };
            list.change(|items| drop(items.remove(at as usize)));
            return Ok(found);
        }
        "remove" => {
            let [item] = args.bind("remove", ["value"], 1)?;
            let item = item.unwrap_or(V::Null);
            match position(vm, &list.items(vm)?, &item)? {
                Some(at) => list.change(|items| drop(items.remove(at))),
                None => return Err(Error::runtime("list.remove(x): x not in list")),
            }
        }
        "clear" => list.change(Vec::clear),
        "reverse" => list.change(|items| items.reverse()),
        "copy" => return Ok(V::list(list.items(vm)?)),
        "sort" => {
            let reverse = args.take("reverse");
            let reverse = reverse.map_or(Ok(false), |flag| vm.truth(&flag))?;
            if args.take("key").is_some_and(|key| !matches!(key, V::Null)) {
                return Err(Error::runtime("sort(): a key function cannot be given in a template"));
            }
            let sorted = sort_by(list.items(vm)?, reverse, |a, b| ops::order(vm, a, b, "<"))?;
            list.change(|items| *items = sorted);
        }
        _ => return call_fixed(vm, &list.items(vm)?, "list", name, args),
    }
    Ok(V::Null)
}

/// The one argument of a function that has to have it.
pub(super) fn exactly_one(function: &str, args: Args) -> Result<V> {
    let given = args.pos.len();
    if !args.named.is_empty() {
        return Err(Error::runtime(format!("{function}() takes no keyword arguments")));
    }
    match <[V; 1]>::try_from(args.pos) {
        Ok([only]) => Ok(only),
        Err(_) => Err(Error::runtime(format!("{function}() takes exactly one argument ({given} given)"))),
    }
}

fn position(vm: &Vm, items: &[V], wanted: &V) -> Result<Option<usize>> {
    for (at, item) in items.iter().enumerate() {
        if ops::equal(vm, item, wanted)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// `count` and `index`, which tuples have, too.
pub(super) fn call_fixed(vm: &Vm, items: &[V], kind: &str, name: &str, args: Args) -> Result<V> {
    if name == "count" {
        let item = exactly_one("list.count", args)?;
        let mut count = 0;
        for other in items {
            count += i64::from(ops::equal(vm, other, &item)?);
        }
        return Ok(V::Int(count));
    }
    let [item, start, stop] = args.bind("index", ["value", "start", "stop"], 1)?;
    let item = item.unwrap_or(V::Null);
    let length = items.len() as i64;
    let clamp = |at: i64| if at < 0 { (at + length).max(0) } else { at.min(length) } as usize;
    let start = clamp(start.as_ref().map_or(Ok(0), whole)?);
    let stop = clamp(stop.as_ref().map_or(Ok(length), whole)?);
    match position(vm, items.get(start..stop).unwrap_or(&[]), &item)? {
        Some(at) => Ok(V::size(start + at)),
        None if kind == "tuple" => Err(Error::runtime("tuple.index(x): x not in tuple")),
        None => Err(Error::runtime(format!("{} is not in {kind}", vm.to_repr(&item)?))),
    }
}

/// A stable sort whose comparison may fail; the first failure is the result.
pub(crate) fn sort_by<T>(
    mut items: Vec<T>,
    reverse: bool,
    compare: impl Fn(&T, &T) -> Result<Option<Ordering>>,
) -> Result<Vec<T>> {
    // Python sorts a reversed list by reversing, sorting and reversing, which keeps equal ones in order.
    if reverse {
        items.reverse();
    }
    let mut failure = None;
    items.sort_by(|a, b| {
        if failure.is_some() {
            return Ordering::Equal;
        }
        match compare(a, b) {
            Ok(order) => order.unwrap_or(Ordering::Equal),
            Err(error) => {
                failure = Some(error);
                Ordering::Equal
            }
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    if reverse {
        items.reverse();
    }
    Ok(items)
}
