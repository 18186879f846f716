//! The functions every template has: `range`, `dict`, `lookup`, `now`, ...

use crate::dates::DateTime;
use crate::error::{Error, Result};
use crate::eval::{Args, Env, Frame, Vm};
use crate::lookups;
use crate::methods::whole;
use crate::ops;
use crate::rt::{Cycler, Joiner, Map, Namespace, Native, Range, V};
use indexmap::IndexMap;
use quorate_value::{Key, Str};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A function that every template has.
pub(crate) struct Global {
    pub(crate) name: &'static str,
    pub(crate) type_name: &'static str,
    /// Whether it is called with undefined arguments.
    pub(crate) accepts_undefined: bool,
    pub(crate) run: fn(&Vm, Args, &Rc<Frame>, &Rc<Env>) -> Result<V>,
}

static GLOBALS: [Global; 10] = [
    Global { name: "range", type_name: "type", accepts_undefined: false, run: range },
    Global { name: "dict", type_name: "type", accepts_undefined: false, run: dict },
    Global { name: "lookup", type_name: "function", accepts_undefined: true, run: lookups::lookup },
    Global { name: "query", type_name: "function", accepts_undefined: true, run: lookups::query },
    Global { name: "q", type_name: "function", accepts_undefined: true, run: lookups::query },
    Global { name: "now", type_name: "function", accepts_undefined: false, run: now },
    Global { name: "undef", type_name: "function", accepts_undefined: false, run: undef },
    Global { name: "namespace", type_name: "type", accepts_undefined: true, run: namespace },
    Global { name: "cycler", type_name: "type", accepts_undefined: false, run: cycler },
    Global { name: "joiner", type_name: "type", accepts_undefined: false, run: joiner },
];

/// The global of this name.
pub(crate) fn find(name: &str) -> Option<V> {
    if name == "omit" {
        return Some(V::Omit);
    }
    let global = GLOBALS.iter().find(|global| global.name == name)?;
    Some(V::native(Native::Global(global)))
}

fn range(_: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let number = |value: &V| whole(value);
    let (start, stop, step) = match args.pos.as_slice() {
        [stop] => (0, number(stop)?, 1),
        [start, stop] => (number(start)?, number(stop)?, 1),
        [start, stop, step] => (number(start)?, number(stop)?, number(step)?),
        [] => return Err(Error::runtime("range expected at least 1 argument, got 0")),
        more => {
            return Err(Error::runtime(format!("range expected at most 3 arguments, got {}", more.len())));
        }
    };
    if step == 0 {
        return Err(Error::runtime("range() arg 3 must not be zero"));
    }
    Ok(V::Range(Range { start, stop, step }))
}

fn dict(vm: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let mut out = IndexMap::new();
    if let Some(first) = args.pos.first() {
        out.extend(ops::entries_of(vm, first)?);
    }
    out.extend(args.named.into_iter().map(|(name, value)| (Key::Str(name), value)));
    Ok(V::Dict(Rc::new(Map::own(out))))
}

fn now(vm: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let [utc, format] = args.bind("_now", ["utc", "fmt"], 0)?;
    vm.saw_impure();
    let utc = utc.map_or(Ok(false), |utc| vm.truth(&utc))?;
    let unix = vm.ctx.world.now_micros();
    let (_, offset) = vm.ctx.world.local_zone(unix.div_euclid(1_000_000) as i64);
    let shift = if utc { 0 } else { i128::from(offset) * 1_000_000 };
    let date = DateTime::naive(unix + shift);
    match format {
        None | Some(V::Null) => Ok(V::native(Native::Date(date))),
        Some(format) => Ok(V::text(date.strftime(&vm.to_text(&format)?, None))),
    }
}

fn undef(vm: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let [hint] = args.bind("_undef", ["hint"], 0)?;
    let hint = match hint {
        None | Some(V::Null) => Str::new("Mandatory variable has not been overridden"),
        Some(hint) => vm.to_text(&hint)?,
    };
    Ok(V::Undefined(Rc::new(Error::undefined(hint.as_str()))))
}

fn namespace(vm: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let mut attributes = Vec::new();
    if let Some(first) = args.pos.first() {
        for (key, value) in ops::entries_of(vm, first)? {
            if let Some(name) = key.as_str() {
                attributes.push((std::sync::Arc::from(name), value));
            }
        }
    }
    attributes.extend(args.named);
    Ok(V::native(Native::Namespace(Namespace(RefCell::new(attributes)))))
}

fn cycler(_: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    if args.pos.is_empty() {
        return Err(Error::runtime("at least one item has to be provided"));
    }
    Ok(V::native(Native::Cycler(Cycler { items: args.pos, at: Cell::new(0) })))
}

fn joiner(_: &Vm, args: Args, _: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let [separator] = args.bind("joiner", ["sep"], 0)?;
    let separator = separator.unwrap_or_else(|| V::str(", "));
    Ok(V::native(Native::Joiner(Joiner { separator, used: Cell::new(false) })))
}
