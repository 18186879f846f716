//! `ansible.utils` and `ansible.netcommon`: paths into data, keys at any depth, VLANs, type 5 passwords.

use super::community::{Matching, renames};
use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::rt::{Map, V};
use indexmap::IndexMap;
use quorate_value::{Key, Str};
use std::rc::Rc;

pub(super) static FILTERS: [Filter; 13] = [
    filter("ansible.netcommon.comp_type5", comp_type5),
    filter("ansible.netcommon.hash_salt", hash_salt),
    filter("ansible.netcommon.type5_pw", type5_pw),
    filter("ansible.netcommon.vlan_expander", vlan_expander),
    filter("ansible.netcommon.vlan_parser", vlan_parser),
    filter("ansible.utils.consolidate", consolidate),
    filter("ansible.utils.get_path", get_path),
    filter("ansible.utils.index_of", index_of),
    filter("ansible.utils.keep_keys", keep_keys),
    filter("ansible.utils.param_list_compare", param_list_compare),
    filter("ansible.utils.remove_keys", remove_keys),
    filter("ansible.utils.replace_keys", replace_keys),
    filter("ansible.utils.to_paths", to_paths),
];

fn mapping(entries: IndexMap<Key, V>) -> V {
    V::Dict(Rc::new(Map::own(entries)))
}

fn wrapped(vm: &Vm, want_list: Option<V>, value: V) -> Result<V> {
    Ok(if flag(vm, want_list, false)? { V::list(vec![value]) } else { value })
}

/// One step of a path.
enum Step {
    Name(String),
    Index(i64),
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            match quote {
                Some(quote) => {
                    let (name, after) = inner[1..].split_once(quote)?;
                    out.push(Step::Name(name.to_owned()));
                    rest = after.strip_prefix(']')?;
                }
                None => {
                    let (index, after) = inner.split_once(']')?;
                    out.push(Step::Index(index.trim().parse().ok()?));
                    rest = after;
                }
            }
        } else {
            let body = rest.strip_prefix('.').filter(|_| !out.is_empty()).unwrap_or(rest);
            let end = body.find(['.', '[']).unwrap_or(body.len());
            let name = &body[..end];
            if name.is_empty() {
                return None;
            }
            out.push(Step::Name(name.to_owned()));
            rest = &body[end..];
        }
    }
    Some(out)
}

fn get_path(vm: &Vm, args: Args) -> Result<V> {
    let [var, path, want_list] = args.bind("get_path", ["var", "path", "wantlist"], 2)?;
    let path = vm.to_text(&path.unwrap_or(V::Null))?;
    let Some(steps) = steps(&path) else {
        return Err(Error::runtime(format!("{} is no path", quorate_value::str_repr(&path))));
    };
    let mut value = var.unwrap_or(V::Null);
    let mut name = None;
    for (depth, step) in steps.iter().enumerate() {
        let key = match step {
            Step::Name(name) => V::str(name),
            Step::Index(index) => V::Int(*index),
        };
        if depth == 0 {
            name = Some(vm.to_str(&key)?);
        }
        let found = crate::ops::element(vm, &value, &key)?;
        value = match (found, depth, &name) {
            (Some(found), ..) => found,
            // The first step is a variable of the little template that Ansible makes of the path.
            (None, 0, Some(name)) => return Err(Error::undefined(format!("'{name}' is undefined"))),
            (None, ..) => return Err(crate::eval::missing(&value, &key)),
        };
    }
    wrapped(vm, want_list, value)
}

fn to_paths(vm: &Vm, args: Args) -> Result<V> {
    let [var, prepend, want_list] = args.bind("to_paths", ["var", "prepend", "wantlist"], 1)?;
    let var = var.unwrap_or(V::Null);
    let mut out = IndexMap::new();
    let prepend = match prepend {
        None | Some(V::Null) => String::new(),
        Some(prepend) => vm.to_str(&prepend)?,
    };
    if prepend.is_empty() && vm.length(&var)? == 0 {
        return wrapped(vm, want_list, var);
    }
    flatten(vm, &var, &prepend, &mut out)?;
    wrapped(vm, want_list, mapping(out))
}

fn flatten(vm: &Vm, value: &V, path: &str, out: &mut IndexMap<Key, V>) -> Result<()> {
    vm.check_stack()?;
    match value {
        V::Dict(map) if map.len() > 0 => {
            for (key, value) in map.entries(vm)? {
                let plain = |name: &str| {
                    !name.is_empty()
                        && !name.starts_with(|c: char| c.is_ascii_digit())
                        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
                };
                let step = match key.as_str() {
                    Some(name) if path.is_empty() => name.to_owned(),
                    Some(name) if plain(name) => format!(".{name}"),
                    Some(name) => format!("['{name}']"),
                    None => format!("[{}]", vm.to_str(&V::done(&key.to_value()))?),
                };
                flatten(vm, &value, &format!("{path}{step}"), out)?;
            }
        }
        V::List(list) if list.len() > 0 => {
            for (index, item) in list.items(vm)?.iter().enumerate() {
                flatten(vm, item, &format!("{path}[{index}]"), out)?;
            }
        }
        other => drop(out.insert(Key::from(path), other.clone())),
    }
    Ok(())
}

fn index_of(vm: &Vm, args: Args) -> Result<V> {
    let [data, name, value, key, want_list, fail] =
        args.bind("index_of", ["data", "test", "value", "key", "wantlist", "fail_on_missing"], 2)?;
    let data = data.unwrap_or(V::Null);
    let name = vm.to_text(&name.unwrap_or(V::Null))?;
    let fail = flag(vm, fail, false)?;
    let key = key.filter(|key| !matches!(key, V::Null));
    let (test_name, negated) = match name.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => match name.strip_prefix("not ") {
            Some(rest) => (rest, true),
            None => (name.as_str(), false),
        },
    };
    let V::List(list) = &data else { return Ok(V::list(Vec::new())) };
    let mut out = Vec::new();
    for (index, item) in list.items(vm)?.into_iter().enumerate() {
        let subject = match &key {
            None => item,
            Some(key) => match crate::ops::element(vm, &item, key)? {
                Some(found) => found,
                None if fail => {
                    return Err(Error::runtime(format!(
                        "Error when using plugin 'index_of': {} was not found in {}",
                        vm.to_repr(key)?,
                        vm.to_repr(&item)?
                    )));
                }
                None => continue,
            },
        };
        let Some(test) = crate::tests::find(test_name) else {
            let shown = value.clone().unwrap_or(V::Null);
            return Err(Error::runtime(format!(
                "Error when using plugin 'index_of': Error encountered when testing value '{}' (type={}) against '{}' (type={}) with '{test_name}'.  Error was: the test '{test_name}' was not found.",
                vm.to_str(&subject)?,
                subject.type_name(),
                vm.to_str(&shown)?,
                shown.type_name()
            )));
        };
        let mut pos = vec![subject];
        pos.extend(value.clone());
        let found = vm.run_test(test, Args { pos, named: Vec::new() })?;
        if vm.truth(&found)? != negated {
            out.push(V::size(index));
        }
    }
    Ok(match (flag(vm, want_list, false)?, out.len()) {
        (false, 1) => out.swap_remove(0),
        _ => V::list(out),
    })
}

/// What to do with the keys of mappings at any depth.
enum Change {
    Keep(Vec<Str>),
    Remove(Vec<Str>),
    Rename(Vec<(Str, Str)>),
}

fn change_keys(vm: &Vm, value: &V, change: &Change, matching: Matching) -> Result<Option<V>> {
    vm.check_stack()?;
    let hit = |targets: &[Str], name: &str| -> Result<bool> {
        for target in targets {
            if matching.matches(target, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    Ok(match value {
        V::Dict(map) => {
            let mut out = IndexMap::new();
            let mut late = Vec::new();
            for (key, value) in map.entries(vm)? {
                let name = vm.to_str(&V::done(&key.to_value()))?;
                match change {
                    Change::Keep(targets) if hit(targets, &name)? => drop(out.insert(key, value)),
                    Change::Keep(_) => {
                        if let V::Dict(_) | V::List(_) = &value
                            && let Some(inner) = change_keys(vm, &value, change, matching)?
                            && vm.truth(&inner)?
                        {
                            out.insert(key, inner);
                        }
                    }
                    Change::Remove(targets) if hit(targets, &name)? => {}
                    Change::Remove(_) => {
                        out.extend(change_keys(vm, &value, change, matching)?.map(|inner| (key, inner)));
                    }
                    Change::Rename(pairs) => {
                        let mut new = None;
                        for (before, after) in pairs {
                            if new.is_none() && matching.matches(before, &name)? {
                                new = Some(Key::from(after.as_str()));
                            }
                        }
                        let inner = change_keys(vm, &value, change, matching)?.unwrap_or(V::Null);
                        // A renamed key goes behind the others.
                        match new {
                            Some(new) => late.push((new, inner)),
                            None => drop(out.insert(key, inner)),
                        }
                    }
                }
            }
            out.extend(late);
            Some(mapping(out))
        }
        V::List(list) => {
            let mut out = Vec::new();
            for item in list.items(vm)? {
                match (&item, change) {
                    (V::Dict(_) | V::List(_), _) => {
                        let inner = change_keys(vm, &item, change, matching)?;
                        let empty = |inner: &V| matches!(inner, V::Dict(map) if map.len() == 0);
                        out.extend(inner.filter(|inner| !matches!(change, Change::Keep(_)) || !empty(inner)));
                    }
                    _ => out.push(item),
                }
            }
            Some(V::list(out))
        }
        other => Some(other.clone()),
    })
}

fn names(vm: &Vm, target: Option<V>) -> Result<Vec<Str>> {
    match target.unwrap_or(V::Null) {
        V::Str(text) => Ok(vec![text]),
        other => vm.iterate(&other)?.iter().map(|name| vm.to_text(name)).collect(),
    }
}

fn changed(
    vm: &Vm,
    args: Args,
    function: &'static str,
    change: fn(&Vm, Option<V>) -> Result<Change>,
) -> Result<V> {
    let [data, target, matching] = args.bind(function, ["data", "target", "matching_parameter"], 2)?;
    let matching = Matching::of(vm, matching.filter(|matching| !matches!(matching, V::Null)))?;
    let change = change(vm, target)?;
    Ok(change_keys(vm, &data.unwrap_or(V::Null), &change, matching)?.unwrap_or(V::Null))
}

fn keep_keys(vm: &Vm, args: Args) -> Result<V> {
    changed(vm, args, "keep_keys", |vm, target| names(vm, target).map(Change::Keep))
}

fn remove_keys(vm: &Vm, args: Args) -> Result<V> {
    changed(vm, args, "remove_keys", |vm, target| names(vm, target).map(Change::Remove))
}

fn replace_keys(vm: &Vm, args: Args) -> Result<V> {
    changed(vm, args, "replace_keys", |vm, target| renames(vm, target).map(Change::Rename))
}

fn consolidate(vm: &Vm, args: Args) -> Result<V> {
    let [sources, missing_key, missing_value, duplicate] = args.bind(
        "consolidate",
        ["data_sources", "fail_missing_match_key", "fail_missing_match_value", "fail_duplicate"],
        1,
    )?;
    let strict = [flag(vm, missing_key, true)?, flag(vm, missing_value, true)?, flag(vm, duplicate, true)?];
    let mut tables: Vec<(Key, IndexMap<Key, V>)> = Vec::new();
    for source in vm.iterate(&sources.unwrap_or(V::Null))? {
        let V::Dict(source) = &source else {
            return Err(Error::runtime("consolidate: every data source must be a dictionary"));
        };
        let part = |name: &str| source.get_str(vm, name);
        let (Some(name), Some(data), Some(match_key)) = (part("name")?, part("data")?, part("match_key")?)
        else {
            return Err(Error::runtime(
                "missing required arguments: data, match_key, name found in data_sources",
            ));
        };
        let mut table = IndexMap::new();
        for item in vm.iterate(&data)? {
            match crate::ops::element(vm, &item, &match_key)? {
                Some(found) => {
                    let key = vm.key(&found)?;
                    if table.insert(key, item).is_some() && strict[2] {
                        return Err(Error::runtime(format!(
                            "Error when using plugin 'consolidate': 'fail_duplicate' reported duplicate values in data source, key {}",
                            vm.to_str(&found)?
                        )));
                    }
                }
                None if strict[0] => {
                    return Err(Error::runtime(format!(
                        "Error when using plugin 'consolidate': 'fail_missing_match_key' reported missing match key '{}'",
                        vm.to_str(&match_key)?
                    )));
                }
                None => {}
            }
        }
        tables.push((vm.key(&name)?, table));
    }
    let mut keys: indexmap::IndexSet<Key> = indexmap::IndexSet::new();
    for (_, table) in &tables {
        keys.extend(table.keys().cloned());
    }
    let mut out = IndexMap::new();
    for key in keys {
        let mut entry = IndexMap::new();
        for (name, table) in &tables {
            match table.get(&key) {
                Some(item) => drop(entry.insert(name.clone(), item.clone())),
                None if strict[1] => {
                    return Err(Error::runtime(format!(
                        "Error when using plugin 'consolidate': 'fail_missing_match_value' reported missing match value {}",
                        vm.to_str(&V::done(&key.to_value()))?
                    )));
                }
                None => drop(entry.insert(name.clone(), mapping(IndexMap::new()))),
            }
        }
        out.insert(key, mapping(entry));
    }
    Ok(mapping(out))
}

fn param_list_compare(vm: &Vm, args: Args) -> Result<V> {
    let [base, target] = args.bind("param_list_compare", ["base", "target"], 2)?;
    let texts = |value: Option<V>| names(vm, value);
    let (base, target) = (texts(base)?, texts(target)?);
    let (removed, wanted): (Vec<&Str>, Vec<&Str>) = target.iter().partition(|name| name.starts_with('!'));
    let removed: Vec<&str> = removed.iter().map(|name| &name[1..]).collect();
    let all = wanted.iter().any(|name| name.as_str() == "all");
    let actionable =
        base.iter().filter(|name| (all || wanted.contains(name)) && !removed.contains(&name.as_str()));
    let unsupported = wanted.iter().filter(|name| name.as_str() != "all" && !base.contains(name));
    let entries = [
        (Key::from("actionable"), V::list(actionable.cloned().map(V::Str).collect())),
        (Key::from("unsupported"), V::list(unsupported.map(|name| V::Str((*name).clone())).collect())),
    ];
    Ok(mapping(entries.into_iter().collect()))
}

fn vlan_parser(vm: &Vm, args: Args) -> Result<V> {
    let [data, first, other] = args.bind("vlan_parser", ["data", "first_line_len", "other_line_len"], 1)?;
    let first = first.as_ref().map_or(Ok(48), whole)?.max(1) as usize;
    let other = other.as_ref().map_or(Ok(44), whole)?.max(1) as usize;
    let mut ids = Vec::new();
    for id in vm.iterate(&data.unwrap_or(V::Null))? {
        ids.push(match &id {
            V::Str(text) => text.trim().parse::<i64>().map_err(|_| {
                Error::runtime(format!(
                    "invalid literal for int() with base 10: {}",
                    quorate_value::str_repr(text)
                ))
            })?,
            other => whole(other)?,
        });
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err(Error::runtime("list index out of range"));
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while at < ids.len() {
        let mut end = at;
        while end + 1 < ids.len() && ids[end + 1] == ids[end] + 1 {
            end += 1;
        }
        match end - at {
            0 => parts.push(ids[at].to_string()),
            1 => parts.extend([ids[at].to_string(), ids[end].to_string()]),
            _ => parts.push(format!("{}-{}", ids[at], ids[end])),
        }
        at = end + 1;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for part in parts {
        let limit = if lines.is_empty() { first } else { other };
        if !line.is_empty() && line.len() + 1 + part.len() > limit {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(',');
        }
        line.push_str(&part);
    }
    lines.push(line);
    Ok(V::list(lines.into_iter().map(V::text).collect()))
}

fn vlan_expander(vm: &Vm, args: Args) -> Result<V> {
    let [data] = args.bind("vlan_expander", ["data"], 1)?;
    let text = vm.to_text(&data.unwrap_or(V::Null))?;
    let mut out: Vec<i64> = Vec::new();
    for part in text.split(',') {
        let number = |text: &str| {
            text.trim().parse::<i64>().map_err(|_| {
                Error::runtime(format!(
                    "invalid literal for int() with base 10: {}",
                    quorate_value::str_repr(text)
                ))
            })
        };
        match part.split_once('-') {
            None => out.push(number(part)?),
            Some((low, high)) => {
                let (low, high) = (number(low)?, number(high)?);
                if high.saturating_sub(low) > 1 << 16 {
                    return Err(Error::runtime("the range of VLANs is too long"));
                }
                out.extend(low..=high);
            }
        }
    }
    out.sort_unstable();
    Ok(V::list(out.into_iter().map(V::Int).collect()))
}

fn hash_salt(vm: &Vm, args: Args) -> Result<V> {
    let [password] = args.bind("hash_salt", ["password"], 1)?;
    let password = vm.to_text(&password.unwrap_or(V::Null))?;
    let parts: Vec<&str> = password.split('$').collect();
    match parts.as_slice() {
        [_, _, salt, _] => Ok(V::str(salt)),
        _ => Err(Error::runtime(format!(
            "Could not parse salt out password correctly from {}",
            password.as_str()
        ))),
    }
}

fn type5_pw(vm: &Vm, args: Args) -> Result<V> {
    let [password, salt] = args.bind("type5_pw", ["password", "salt"], 1)?;
    let password = vm.to_text(&password.unwrap_or(V::Null))?;
    let salt = match salt.filter(|salt| !matches!(salt, V::Null)) {
        Some(salt) => vm.to_text(&salt)?,
        None => {
            vm.saw_impure();
            let mut random = crate::random::Random::unpredictable();
            Str::from((0..4).map(|_| char::from(b'a' + random.below(26) as u8)).collect::<String>())
        }
    };
    if !crate::crypt::is_salt(&salt) {
        return Err(Error::runtime(
            "type5_pw salt used inproper characters, must be one of abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./",
        ));
    }
    let salt: String = salt.chars().take(8).collect();
    Ok(V::text(crate::crypt::md5(password.as_bytes(), &salt)))
}

fn comp_type5(vm: &Vm, args: Args) -> Result<V> {
    let [plain, encrypted, original] =
        args.bind("comp_type5", ["unencrypted_password", "encrypted_password", "return_original"], 2)?;
    let plain = vm.to_text(&plain.unwrap_or(V::Null))?;
    let encrypted = vm.to_text(&encrypted.unwrap_or(V::Null))?;
    let salt = encrypted.split('$').nth(2).unwrap_or("");
    let same = crate::crypt::md5(plain.as_bytes(), salt) == encrypted.as_str();
    Ok(match (same, flag(vm, original, false)?) {
        (true, true) => V::Str(encrypted),
        (same, _) => V::Bool(same),
    })
}
