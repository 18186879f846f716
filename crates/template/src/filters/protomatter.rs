//! `ansible._protomatter`: what Ansible's own tests ask about trust, places and secrets of values.

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::rt::V;
use quorate_value::Str;

pub(super) static FILTERS: [Filter; 7] = [
    filter("ansible._protomatter.apply_trust", apply_trust),
    filter("ansible._protomatter.dump_object", same),
    filter("ansible._protomatter.finalize", finalize),
    filter("ansible._protomatter.origin", origin),
    filter("ansible._protomatter.python_literal_eval", python_literal_eval),
    filter("ansible._protomatter.tag_names", tag_names),
    Filter { name: "ansible._protomatter.true_type", accepts_undefined: true, run: true_type },
];

/// The tags of a value, by Ansible's names, in order.
pub(crate) fn tags(value: &V) -> Vec<&'static str> {
    let mut tags = Vec::new();
    if let V::Lazy(_) = value {
        return vec!["VaultedValue"];
    }
    if let V::Str(text) = value {
        if text.span().is_known() {
            tags.push("Origin");
        }
        if text.is_trusted() {
            tags.push("TrustedAsTemplate");
        }
        if text.is_vaulted() {
            tags.push("VaultedValue");
        }
    }
    tags
}

fn only(args: Args, name: &'static str) -> Result<V> {
    let [value] = args.bind(name, ["value"], 1)?;
    Ok(value.unwrap_or(V::Null))
}

fn apply_trust(_: &Vm, args: Args) -> Result<V> {
    Ok(match only(args, "apply_trust")? {
        V::Str(text) => V::Str(text.trusted()),
        other => other,
    })
}

fn same(_: &Vm, args: Args) -> Result<V> {
    only(args, "dump_object")
}

fn finalize(vm: &Vm, args: Args) -> Result<V> {
    let value = only(args, "finalize")?;
    Ok(V::done(&vm.finalize(&value)?))
}

fn origin(_: &Vm, args: Args) -> Result<V> {
    Ok(match only(args, "origin")? {
        V::Str(text) if text.span().is_known() => V::text(text.span().to_string()),
        _ => V::Null,
    })
}

fn python_literal_eval(vm: &Vm, args: Args) -> Result<V> {
    let [value, ignore] = args.bind("python_literal_eval", ["value", "ignore_errors"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Str(text) = &value else {
        return Err(Error::runtime(format!("Filter `data` must be `str`, not {:?}.", value.type_name())));
    };
    match super::serial::read_json(text) {
        Ok(found) => Ok(V::done(&found)),
        Err(_) if flag(vm, ignore, false)? => Ok(V::Str(text.clone())),
        Err(error) => Err(error),
    }
}

fn tag_names(_: &Vm, args: Args) -> Result<V> {
    Ok(V::list(tags(&only(args, "tag_names")?).into_iter().map(|name| V::Str(Str::new(name))).collect()))
}

fn true_type(_: &Vm, args: Args) -> Result<V> {
    let value = only(args, "true_type")?;
    Ok(match &value {
        V::Str(_) if !tags(&value).is_empty() => V::str("_AnsibleTaggedStr"),
        V::Undefined(error) if !error.is_undefined() => V::str("CapturedExceptionMarker"),
        other => V::str(other.type_name()),
    })
}
