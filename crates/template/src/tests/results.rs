//! Tests about registered results: `failed`, `changed`, `skipped`, ...

use super::{Test, test};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::rt::V;

pub(super) static TESTS: [Test; 15] = [
    test("change", changed),
    test("changed", changed),
    test("failed", failed),
    test("failure", failed),
    test("finished", finished),
    test("reachable", reachable),
    test("skip", skipped),
    test("skipped", skipped),
    test("started", started),
    test("succeeded", succeeded),
    test("success", succeeded),
    test("successful", succeeded),
    test("timedout", timedout),
    test("unreachable", unreachable),
    test("vault_encrypted", vault_encrypted),
];

fn only(args: Args, name: &'static str) -> Result<V> {
    let [value] = args.bind(name, ["result"], 1)?;
    Ok(value.unwrap_or(V::Null))
}

/// A field of a result; the test complains where there is no result.
fn field(vm: &Vm, result: &V, test: &str, name: &str) -> Result<Option<V>> {
    match result {
        V::Dict(map) => map.get_str(vm, name),
        V::Object(_) => {
            let found = crate::ops::element(vm, result, &V::str(name))?;
            Ok(found)
        }
        V::Undefined(error) => Err((**error).clone()),
        _ => Err(Error::runtime(format!("The '{test}' test expects a dictionary"))),
    }
}

fn holds(vm: &Vm, value: Option<V>) -> Result<bool> {
    value.map_or(Ok(false), |value| vm.truth(&value))
}

fn failed(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "failed")?;
    let found = field(vm, &result, "failed", "failed")?;
    holds(vm, found)
}

fn succeeded(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "success")?;
    let found = field(vm, &result, "failed", "failed")?;
    Ok(!holds(vm, found)?)
}

fn unreachable(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "unreachable")?;
    let found = field(vm, &result, "unreachable", "unreachable")?;
    holds(vm, found)
}

fn reachable(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "reachable")?;
    let found = field(vm, &result, "unreachable", "unreachable")?;
    Ok(!holds(vm, found)?)
}

fn timedout(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "timedout")?;
    let found = field(vm, &result, "timedout", "timedout")?;
    match found {
        Some(period @ (V::Dict(_) | V::Object(_))) => {
            let period = field(vm, &period, "timedout", "period")?;
            holds(vm, period)
        }
        other => holds(vm, other),
    }
}

fn changed(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "changed")?;
    if let Some(found) = field(vm, &result, "changed", "changed")? {
        return vm.truth(&found);
    }
    // A loop's result without a word of its own: any of its items.
    let Some(items @ V::List(_)) = field(vm, &result, "changed", "results")? else { return Ok(false) };
    for item in vm.iterate(&items)? {
        if let V::Dict(_) = &item {
            let found = field(vm, &item, "changed", "changed")?;
            if holds(vm, found)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn skipped(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "skipped")?;
    let found = field(vm, &result, "skipped", "skipped")?;
    holds(vm, found)
}

fn finished(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "finished")?;
    match field(vm, &result, "finished", "finished")? {
        // What was never started in the background is finished.
        None => Ok(true),
        found => holds(vm, found),
    }
}

fn started(vm: &Vm, args: Args) -> Result<bool> {
    let result = only(args, "started")?;
    match field(vm, &result, "started", "started")? {
        None => Ok(true),
        found => holds(vm, found),
    }
}

fn vault_encrypted(vm: &Vm, args: Args) -> Result<bool> {
    let value = only(args, "vault_encrypted")?;
    match &value {
        V::Str(text) => Ok(text.is_vaulted()),
        other => {
            let _ = vm;
            Ok(matches!(other, V::Lazy(_)))
        }
    }
}
