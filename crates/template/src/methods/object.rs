//! Attributes and methods of Jinja2's own objects, and of dates.

use crate::dates::{DateTime, TimeDelta};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::ops;
use crate::rt::{Loop, Native, V};
use quorate_value::Str;
use std::rc::Rc;
use std::sync::Arc;

use super::whole;

pub(super) fn has(native: &Native, name: &str) -> bool {
    match native {
        Native::Loop(_) => matches!(name, "cycle" | "changed"),
        Native::Cycler(_) => matches!(name, "next" | "reset"),
        Native::Date(_) => matches!(
            name,
            "strftime"
                | "isoformat"
                | "timestamp"
                | "date"
                | "weekday"
                | "isoweekday"
                | "isocalendar"
                | "replace"
                | "toordinal"
                | "ctime"
                | "utcoffset"
                | "timetuple"
        ),
        Native::Delta(_) => name == "total_seconds",
        Native::Bytes(_) => matches!(name, "decode" | "hex"),
        Native::Group(..) => matches!(name, "count" | "index"),
        _ => false,
    }
}

pub(super) fn attribute(vm: &Vm, native: &Native, name: &str) -> Result<Option<V>> {
    Ok(match native {
        Native::Loop(state) => looping(vm, state, name),
        Native::Namespace(space) => {
            space.0.borrow().iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone())
        }
        Native::Module(module) if !name.starts_with('_') => module.env.own(name),
        Native::Module(module) if name == "__name__" => Some(V::str(&module.name)),
        Native::Cycler(cycler) if name == "current" => cycler.items.get(cycler.at.get()).cloned(),
        Native::Macro(object) => match name {
            "name" => Some(V::str(&object.definition.name)),
            "arguments" => {
                Some(V::tuple(object.definition.params.iter().map(|param| V::str(param)).collect()))
            }
            "catch_kwargs" => Some(V::Bool(object.definition.uses_kwargs)),
            "catch_varargs" => Some(V::Bool(object.definition.uses_varargs)),
            "caller" => Some(V::Bool(object.definition.uses_caller)),
            _ => None,
        },
        Native::Blocks(frame) => {
            let name: Arc<str> = Arc::from(name);
            let known = frame.blocks.borrow().contains_key(&name);
            known.then(|| V::native(Native::Block(name, Rc::clone(frame))))
        }
        Native::Super(block, level, frame) if name == "super" => {
            Some(V::native(Native::Super(Arc::clone(block), level + 1, Rc::clone(frame))))
        }
        Native::Group(key, items) => match name {
            "grouper" => Some(key.clone()),
            "list" => Some(items.clone()),
            _ => None,
        },
        Native::Date(date) => {
            let [year, month, day, hour, minute, second, micro] = date.parts();
            Some(match name {
                "year" => V::Int(year),
                "month" => V::Int(month),
                "day" => V::Int(day),
                "hour" if !date.date_only => V::Int(hour),
                "minute" if !date.date_only => V::Int(minute),
                "second" if !date.date_only => V::Int(second),
                "microsecond" if !date.date_only => V::Int(micro),
                "tzinfo" if !date.date_only => match date.offset {
                    None => V::Null,
                    Some(_) => V::text(date.strftime("UTC%z", None)),
                },
                _ => return Ok(None),
            })
        }
        Native::Delta(delta) => {
            let (days, seconds, micros) = delta.parts();
            match name {
                "days" => Some(V::Int(days)),
                "seconds" => Some(V::Int(seconds)),
                "microseconds" => Some(V::Int(micros)),
                _ => None,
            }
        }
        _ => None,
    })
}

fn looping(_vm: &Vm, state: &Loop, name: &str) -> Option<V> {
    let index = state.index.get();
    let length = state.items.len();
    let missing = |what: &str| V::Undefined(Rc::new(Error::undefined(format!("there is no {what} item"))));
    Some(match name {
        "index" => V::size(index + 1),
        "index0" => V::size(index),
        "revindex" => V::size(length - index),
        "revindex0" => V::size(length - index - 1),
        "first" => V::Bool(index == 0),
        "last" => V::Bool(index + 1 == length),
        "length" => V::size(length),
        "depth" => V::size(state.depth),
        "depth0" => V::size(state.depth - 1),
        "previtem" => match index.checked_sub(1) {
            Some(before) => state.items[before].clone(),
            None => missing("previous"),
        },
        "nextitem" => state.items.get(index + 1).cloned().unwrap_or_else(|| missing("next")),
        _ => return None,
    })
}

pub(super) fn call(vm: &Vm, native: &Native, name: &str, args: Args) -> Result<V> {
    match native {
        Native::Loop(state) => {
            if name == "cycle" {
                if args.pos.is_empty() {
                    return Err(Error::runtime("no items for cycling given"));
                }
                return Ok(args.pos[state.index.get() % args.pos.len()].clone());
            }
            let mut last = state.last_changed.borrow_mut();
            let same = match &*last {
                Some(before) if before.len() == args.pos.len() => {
                    let mut same = true;
                    for (a, b) in before.iter().zip(&args.pos) {
                        same = same && ops::equal(vm, a, b)?;
                    }
                    same
                }
                _ => false,
            };
            if !same {
                *last = Some(args.pos);
            }
            Ok(V::Bool(!same))
        }
        Native::Cycler(cycler) => {
            if name == "reset" {
                cycler.at.set(0);
                return Ok(V::Null);
            }
            let current = cycler.items[cycler.at.get()].clone();
            cycler.at.set((cycler.at.get() + 1) % cycler.items.len());
            Ok(current)
        }
        Native::Date(date) => date_method(vm, date, name, args),
        Native::Delta(delta) => Ok(V::Float(delta.micros as f64 / 1e6)),
        Native::Bytes(bytes) => {
            if name == "hex" {
                return Ok(V::text(crate::hashes::hex(bytes)));
            }
            String::from_utf8(bytes.to_vec())
                .map(V::text)
                .map_err(|_| Error::runtime("'utf-8' codec can't decode bytes: invalid start byte"))
        }
        Native::Group(key, items) => {
            super::list::call_fixed(vm, &[key.clone(), items.clone()], "tuple", name, args)
        }
        other => Err(Error::runtime(format!("'{}' object has no attribute '{name}'", other.type_name()))),
    }
}

fn date_method(vm: &Vm, date: &DateTime, name: &str, mut args: Args) -> Result<V> {
    Ok(match name {
        "strftime" => {
            let [format] = args.bind("strftime", ["format"], 1)?;
            let format = vm.to_text(&format.unwrap_or(V::Null))?;
            V::text(date.strftime(&format, None))
        }
        "isoformat" => {
            let separator = args.take("sep").or_else(|| args.pos.first().cloned());
            let separator = separator.map_or(Ok(Str::new("T")), |value| vm.to_text(&value))?;
            V::text(date.iso(&separator))
        }
        "ctime" => V::text(date.strftime("%a %b %e %H:%M:%S %Y", None)),
        "timestamp" => {
            let seconds = date.micros.div_euclid(1_000_000) as i64;
            let offset = date.offset.unwrap_or_else(|| {
                let guess = vm.ctx.world.local_zone(seconds).1;
                vm.ctx.world.local_zone(seconds - i64::from(guess)).1
            });
            V::Float((date.micros - i128::from(offset) * 1_000_000) as f64 / 1e6)
        }
        "date" => {
            let [year, month, day, ..] = date.parts();
            let day = DateTime::of([year, month, day, 0, 0, 0, 0], None)?;
            V::native(Native::Date(DateTime { date_only: true, ..day }))
        }
        "weekday" => V::Int(date.weekday()),
        "isoweekday" => V::Int(date.weekday() + 1),
        "isocalendar" => {
            let (year, week, day) = date.iso_week();
            V::tuple(vec![V::Int(year), V::Int(week), V::Int(day)])
        }
        "toordinal" => V::Int(date.micros.div_euclid(86_400_000_000) as i64 + 719_163),
        "utcoffset" => match date.offset {
            None => V::Null,
            Some(offset) => V::native(Native::Delta(TimeDelta { micros: i128::from(offset) * 1_000_000 })),
        },
        "timetuple" => {
            let [year, month, day, hour, minute, second, _] = date.parts();
            let parts = [year, month, day, hour, minute, second, date.weekday(), date.day_of_year(), -1];
            V::tuple(parts.into_iter().map(V::Int).collect())
        }
        "replace" => {
            let mut parts = date.parts();
            let names = ["year", "month", "day", "hour", "minute", "second", "microsecond"];
            for (slot, value) in parts.iter_mut().zip(&args.pos) {
                *slot = whole(value)?;
            }
            let mut offset = date.offset;
            for (name, value) in &args.named {
                match names.iter().position(|known| *known == &**name) {
                    Some(at) => parts[at] = whole(value)?,
                    None if &**name == "tzinfo" => offset = None,
                    None => {
                        return Err(Error::runtime(format!(
                            "replace() got an unexpected keyword argument '{name}'"
                        )));
                    }
                }
            }
            let changed = DateTime::of(parts, offset)?;
            V::native(Native::Date(DateTime { date_only: date.date_only, ..changed }))
        }
        _ => {
            return Err(Error::runtime(format!("'datetime' object has no attribute '{name}'")));
        }
    })
}
