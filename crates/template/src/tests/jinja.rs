//! Jinja2's tests, and Ansible's about plain values.

use super::{Test, test};
use crate::ast::{Binary, Compare};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::ops;
use crate::pyre::{self, Flags};
use crate::rt::{Native, V};
use quorate_value::Str;
use std::rc::Rc;

pub(super) static TESTS: [Test; 56] = [
    test("!=", ne),
    test("<", lt),
    test("<=", le),
    test("==", eq),
    test(">", gt),
    test(">=", ge),
    test("all", all),
    test("any", any),
    test("boolean", boolean),
    test("callable", callable),
    test("contains", contains),
    Test { name: "defined", accepts_undefined: true, run: defined },
    test("divisibleby", divisibleby),
    test("eq", eq),
    test("equalto", eq),
    test("escaped", escaped),
    test("even", even),
    test("false", is_false),
    test("falsy", falsy),
    test("filter", filter),
    test("float", float),
    test("ge", ge),
    test("greaterthan", gt),
    test("gt", gt),
    test("in", is_in),
    test("integer", integer),
    test("isnan", nan),
    test("issubset", subset),
    test("issuperset", superset),
    test("iterable", iterable),
    test("le", le),
    test("lessthan", lt),
    test("lower", lower),
    test("lt", lt),
    test("mapping", mapping),
    test("match", matches),
    test("nan", nan),
    test("ne", ne),
    test("none", none),
    test("number", number),
    test("odd", odd),
    test("regex", regex),
    test("sameas", sameas),
    test("search", search),
    test("sequence", sequence),
    test("string", string),
    test("subset", subset),
    test("superset", superset),
    test("test", is_test),
    test("true", is_true),
    test("truthy", truthy),
    Test { name: "undefined", accepts_undefined: true, run: undefined },
    test("upper", upper),
    test("uri", uri),
    test("url", url),
    test("urn", urn),
];

fn only(args: Args, function: &'static str) -> Result<V> {
    let [value] = args.bind(function, ["value"], 1)?;
    Ok(value.unwrap_or(V::Null))
}

fn two(args: Args, function: &'static str) -> Result<(V, V)> {
    let given = args.pos.len() + args.named.len();
    if given != 2 {
        return Err(Error::runtime(format!("{function} expected 2 arguments, got {given}")));
    }
    let [a, b] = args.bind(function, ["a", "b"], 2)?;
    Ok((a.unwrap_or(V::Null), b.unwrap_or(V::Null)))
}

fn eq(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "eq")?;
    ops::equal(vm, &a, &b)
}

fn ne(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "ne")?;
    Ok(!ops::equal(vm, &a, &b)?)
}

fn lt(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "lt")?;
    ops::compare(vm, Compare::Lt, &a, &b)
}

fn le(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "le")?;
    ops::compare(vm, Compare::Le, &a, &b)
}

fn gt(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "gt")?;
    ops::compare(vm, Compare::Gt, &a, &b)
}

fn ge(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "ge")?;
    ops::compare(vm, Compare::Ge, &a, &b)
}

fn is_in(vm: &Vm, args: Args) -> Result<bool> {
    let (part, whole) = two(args, "in")?;
    ops::contains(vm, &whole, &part)
}

fn contains(vm: &Vm, args: Args) -> Result<bool> {
    let (whole, part) = two(args, "contains")?;
    ops::contains(vm, &whole, &part)
}

fn defined(_: &Vm, args: Args) -> Result<bool> {
    Ok(!only(args, "test_defined")?.is_missing()?)
}

fn undefined(_: &Vm, args: Args) -> Result<bool> {
    only(args, "test_undefined")?.is_missing()
}

fn none(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_none")?, V::Null))
}

fn boolean(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_boolean")?, V::Bool(_)))
}

fn is_true(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_true")?, V::Bool(true)))
}

fn is_false(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_false")?, V::Bool(false)))
}

fn integer(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_integer")?, V::Int(_) | V::Big(_)))
}

fn float(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_float")?, V::Float(_)))
}

fn number(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_number")?, V::Int(_) | V::Big(_) | V::Float(_) | V::Bool(_)))
}

fn string(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_string")?, V::Str(_)))
}

fn mapping(_: &Vm, args: Args) -> Result<bool> {
    Ok(matches!(only(args, "test_mapping")?, V::Dict(_) | V::Object(_)))
}

fn sequence(vm: &Vm, args: Args) -> Result<bool> {
    let value = only(args, "test_sequence")?;
    Ok(match &value {
        V::Native(native) => matches!(**native, Native::Group(..) | Native::Bytes(_)),
        other => vm.length(other).is_ok(),
    })
}

fn iterable(vm: &Vm, args: Args) -> Result<bool> {
    let value = only(args, "test_iterable")?;
    Ok(match &value {
        V::Range(_) => true,
        other => vm.iterate(other).is_ok(),
    })
}

fn callable(_: &Vm, args: Args) -> Result<bool> {
    Ok(match only(args, "callable")? {
        V::Native(native) => matches!(
            &*native,
            Native::Global(_)
                | Native::Method(_)
                | Native::Macro(_)
                | Native::Joiner(_)
                | Native::Super(..)
                | Native::Block(..)
                | Native::Loop(_)
        ),
        _ => false,
    })
}

fn sameas(_: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "test_sameas")?;
    Ok(match (&a, &b) {
        (V::Null, V::Null) | (V::Omit, V::Omit) => true,
        (V::Bool(a), V::Bool(b)) => a == b,
        // Whether equal numbers and texts are one object is Python's affair; here they are.
        (V::Int(a), V::Int(b)) => a == b,
        (V::Str(a), V::Str(b)) => a == b,
        (V::List(a), V::List(b)) => Rc::ptr_eq(a, b),
        (V::Dict(a), V::Dict(b)) => Rc::ptr_eq(a, b),
        (V::Tuple(a), V::Tuple(b)) => Rc::ptr_eq(a, b),
        (V::Native(a), V::Native(b)) => Rc::ptr_eq(a, b),
        _ => false,
    })
}

fn escaped(_: &Vm, args: Args) -> Result<bool> {
    Ok(only(args, "test_escaped")?.as_text().is_some_and(Str::is_markup))
}

fn remainder(vm: &Vm, value: &V, by: &V) -> Result<bool> {
    let rest = ops::binary(vm, Binary::Mod, value, by)?;
    ops::equal(vm, &rest, &V::Int(0))
}

fn divisibleby(vm: &Vm, args: Args) -> Result<bool> {
    let [value, by] = args.bind("test_divisibleby", ["value", "num"], 2)?;
    remainder(vm, &value.unwrap_or(V::Null), &by.unwrap_or(V::Null))
}

fn even(vm: &Vm, args: Args) -> Result<bool> {
    remainder(vm, &only(args, "test_even")?, &V::Int(2))
}

fn odd(vm: &Vm, args: Args) -> Result<bool> {
    let rest = ops::binary(vm, Binary::Mod, &only(args, "test_odd")?, &V::Int(2))?;
    ops::equal(vm, &rest, &V::Int(1))
}

fn nan(_: &Vm, args: Args) -> Result<bool> {
    let value = only(args, "isnan")?;
    match ops::Num::of(&value) {
        Some(number) => Ok(number.float().is_nan()),
        None => Ok(false),
    }
}

fn cased(vm: &Vm, args: Args, upper: bool) -> Result<bool> {
    let text = vm.to_text(&only(args, "test_lower")?)?;
    let (wanted, other): (fn(char) -> bool, fn(char) -> bool) = if upper {
        (char::is_uppercase, char::is_lowercase)
    } else {
        (char::is_lowercase, char::is_uppercase)
    };
    Ok(text.chars().any(wanted) && !text.chars().any(other))
}

fn lower(vm: &Vm, args: Args) -> Result<bool> {
    cased(vm, args, false)
}

fn upper(vm: &Vm, args: Args) -> Result<bool> {
    cased(vm, args, true)
}

fn filter(vm: &Vm, args: Args) -> Result<bool> {
    Ok(crate::filters::find(&vm.to_text(&only(args, "test_filter")?)?).is_some())
}

fn is_test(vm: &Vm, args: Args) -> Result<bool> {
    Ok(super::find(&vm.to_text(&only(args, "test_test")?)?).is_some())
}

fn all(vm: &Vm, args: Args) -> Result<bool> {
    for item in vm.iterate(&only(args, "all")?)? {
        if !vm.truth(&item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any(vm: &Vm, args: Args) -> Result<bool> {
    for item in vm.iterate(&only(args, "any")?)? {
        if vm.truth(&item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// With `convert_bool`, text and numbers that mean a boolean count as that.
fn truth_of(vm: &Vm, args: Args, function: &'static str) -> Result<bool> {
    let [value, convert] = args.bind(function, ["value", "convert_bool"], 1)?;
    let value = value.unwrap_or(V::Null);
    let convert = convert.map_or(Ok(false), |convert| vm.truth(&convert))?;
    if convert && let Some(flag) = vm.finalize(&value)?.to_bool_loose() {
        return Ok(flag);
    }
    vm.truth(&value)
}

fn truthy(vm: &Vm, args: Args) -> Result<bool> {
    truth_of(vm, args, "truthy")
}

fn falsy(vm: &Vm, args: Args) -> Result<bool> {
    Ok(!truth_of(vm, args, "falsy")?)
}

fn within(vm: &Vm, part: &V, whole: &V) -> Result<bool> {
    let items = vm.iterate(whole)?;
    let parts = vm.iterate(part)?;
    // Python makes sets of both.
    for item in items.iter().chain(&parts) {
        if matches!(item, V::List(_) | V::Dict(_)) {
            return Err(Error::runtime(format!("unhashable type: '{}'", item.type_name())));
        }
    }
    let whole = V::list(items);
    for item in parts {
        if !ops::contains(vm, &whole, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn subset(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "issubset")?;
    within(vm, &a, &b)
}

fn superset(vm: &Vm, args: Args) -> Result<bool> {
    let (a, b) = two(args, "issuperset")?;
    within(vm, &b, &a)
}

fn regex_with(vm: &Vm, args: Args, default: &str) -> Result<bool> {
    let [value, pattern, ignore_case, multiline, kind] =
        args.bind("regex", ["value", "pattern", "ignorecase", "multiline", "match_type"], 1)?;
    let text = |value: Option<V>, default: &str| match value {
        None => Ok(Str::new(default)),
        Some(V::Null) => Ok(Str::new("None")),
        Some(value) => vm.to_text(&value),
    };
    let flag = |value: Option<V>| value.map_or(Ok(false), |value| vm.truth(&value));
    let (value, pattern) = (text(value, "")?, text(pattern, "")?);
    let kind = text(kind, default)?;
    let flags = Flags { ignore_case: flag(ignore_case)?, multiline: flag(multiline)? };
    let (pattern, anchored) = match kind.as_str() {
        "match" => (pattern, true),
        "fullmatch" => (Str::from(format!("(?:{})\\Z", pattern.as_str())), true),
        _ => (pattern, false),
    };
    Ok(pyre::compile(&pattern, flags, anchored, &value)?.find(&value, 0)?.is_some())
}

fn matches(vm: &Vm, args: Args) -> Result<bool> {
    regex_with(vm, args, "match")
}

fn search(vm: &Vm, args: Args) -> Result<bool> {
    regex_with(vm, args, "search")
}

fn regex(vm: &Vm, args: Args) -> Result<bool> {
    regex_with(vm, args, "search")
}

/// Scheme and network location, as `urlparse` finds them; nothing for what is no text.
fn address(vm: &Vm, args: Args) -> Result<Option<(String, String)>> {
    let [value, schemes] = args.bind("uri", ["value", "schemes"], 1)?;
    let text = match value.unwrap_or(V::Null) {
        V::Null => Str::default(),
        V::Str(text) => text,
        V::Undefined(error) => return Err((*error).clone()),
        _ => return Ok(None),
    };
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest))
            if scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
        {
            (scheme.to_lowercase(), rest)
        }
        _ => (String::new(), text.as_str()),
    };
    if let Some(schemes) = schemes.filter(|schemes| !matches!(schemes, V::Null)) {
        let mut allowed = false;
        let mut any = false;
        for known in vm.iterate(&schemes)? {
            any = true;
            allowed = allowed || vm.to_text(&known)?.as_str() == scheme;
        }
        if any && !allowed {
            return Ok(None);
        }
    }
    let host = rest.strip_prefix("//").map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    Ok(Some((scheme, host.to_owned())))
}

fn uri(vm: &Vm, args: Args) -> Result<bool> {
    Ok(address(vm, args)?.is_some())
}

fn url(vm: &Vm, args: Args) -> Result<bool> {
    Ok(address(vm, args)?.is_some_and(|(_, host)| !host.is_empty()))
}

fn urn(vm: &Vm, args: Args) -> Result<bool> {
    Ok(address(vm, args)?.is_some_and(|(scheme, _)| scheme == "urn"))
}
