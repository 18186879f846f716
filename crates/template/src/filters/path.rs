//! Paths, as `os.path` and `ntpath` take them apart.

use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::host::Files;
use crate::rt::V;
use quorate_value::Str;
use std::path::Path;

pub(super) static FILTERS: [Filter; 14] = [
    filter("basename", basename),
    filter("commonpath", commonpath),
    filter("dirname", dirname),
    filter("expanduser", expanduser),
    filter("expandvars", expandvars),
    filter("fileglob", fileglob),
    filter("normpath", normpath),
    filter("path_join", path_join),
    filter("realpath", realpath),
    filter("relpath", relpath),
    filter("splitext", splitext),
    filter("win_basename", win_basename),
    filter("win_dirname", win_dirname),
    filter("win_splitdrive", win_splitdrive),
];

fn one(vm: &Vm, args: Args, function: &'static str) -> Result<Str> {
    let [value] = args.bind(function, ["path"], 1)?;
    match value.unwrap_or(V::Null) {
        V::Str(text) => Ok(text),
        other => {
            let _ = vm;
            Err(not_a_path(&other))
        }
    }
}

fn not_a_path(value: &V) -> Error {
    match value {
        V::Undefined(error) => (**error).clone(),
        other => {
            Error::runtime(format!("expected str, bytes or os.PathLike object, not {}", other.type_name()))
        }
    }
}

fn files<'v>(vm: &'v Vm) -> Result<&'v dyn Files> {
    vm.saw_impure();
    vm.ctx.world.files().ok_or_else(|| Error::runtime("the controller's files cannot be asked about here"))
}

/// Head and tail at the last slash, as `os.path.split`.
fn split(path: &str) -> (&str, &str) {
    let at = path.rfind('/').map_or(0, |at| at + 1);
    let (head, tail) = path.split_at(at);
    let trimmed = head.trim_end_matches('/');
    (if trimmed.is_empty() { head } else { trimmed }, tail)
}

fn basename(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::str(split(&one(vm, args, "basename")?).1))
}

fn dirname(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::str(split(&one(vm, args, "dirname")?).0))
}

fn splitext(vm: &Vm, args: Args) -> Result<V> {
    let path = one(vm, args, "splitext")?;
    let name = path.rfind('/').map_or(0, |at| at + 1);
    let dot = path[name..].rfind('.').map(|at| name + at);
    // Dots at the beginning of a name begin no extension.
    let at = dot.filter(|at| path[name..*at].bytes().any(|b| b != b'.')).unwrap_or(path.len());
    Ok(V::pair(V::str(&path[..at]), V::str(&path[at..])))
}

/// `os.path.normpath`
fn normal(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let slashes = if path.starts_with("//") && !path.starts_with("///") {
        2
    } else {
        usize::from(path.starts_with('/'))
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if slashes > 0 => {}
            part => parts.push(part),
        }
    }
    let joined = "/".repeat(slashes) + &parts.join("/");
    if joined.is_empty() { ".".into() } else { joined }
}

fn normpath(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::text(normal(&one(vm, args, "normpath")?)))
}

fn join(parts: &[Str]) -> String {
    let mut out = String::new();
    for part in parts {
        if part.starts_with('/') || out.is_empty() {
            out = part.to_string();
        } else {
            if !out.ends_with('/') {
                out.push('/');
            }
            out.push_str(part);
        }
    }
    out
}

fn path_join(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("path_join", ["paths"], 1)?;
    match value.unwrap_or(V::Null) {
        V::Str(text) => Ok(V::Str(text)),
        list @ (V::List(_) | V::Tuple(_)) => {
            let mut parts = Vec::new();
            for part in vm.iterate(&list)? {
                match part {
                    V::Str(text) => parts.push(text),
                    V::Undefined(error) => return Err((*error).clone()),
                    other => {
                        return Err(not_a_path(&other));
                    }
                }
            }
            if parts.is_empty() {
                return Err(Error::runtime("join() missing 1 required positional argument: 'a'"));
            }
            Ok(V::text(join(&parts)))
        }
        other => Err(Error::runtime(format!(
            "|path_join expects string or sequence, got <class '{}'> instead.",
            other.type_name()
        ))),
    }
}

fn commonpath(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("commonpath", ["paths"], 1)?;
    let value = value.unwrap_or(V::Null);
    if !matches!(value, V::List(_) | V::Tuple(_)) {
        return Err(Error::runtime(format!(
            "|commonpath expects sequence, got {} instead.",
            value.type_name()
        )));
    }
    let mut paths = Vec::new();
    for path in vm.iterate(&value)? {
        match path {
            V::Str(path) => paths.push(path),
            other => return Err(not_a_path(&other)),
        }
    }
    let Some(first) = paths.first() else {
        return Err(Error::runtime("commonpath() arg is an empty sequence"));
    };
    let absolute = first.starts_with('/');
    if paths.iter().any(|path| path.starts_with('/') != absolute) {
        return Err(Error::runtime("Can't mix absolute and relative paths"));
    }
    let split: Vec<Vec<&str>> = paths
        .iter()
        .map(|path| path.split('/').filter(|part| !part.is_empty() && *part != ".").collect())
        .collect();
    let mut common = split[0].clone();
    for parts in &split {
        let same = common.iter().zip(parts).take_while(|(a, b)| a == b).count();
        common.truncate(same);
    }
    Ok(V::text(if absolute { "/" } else { "" }.to_owned() + &common.join("/")))
}

fn relpath(vm: &Vm, args: Args) -> Result<V> {
    let [value, start] = args.bind("relpath", ["path", "start"], 1)?;
    let (path, start) = match (value.unwrap_or(V::Null), start) {
        (V::Str(path), None | Some(V::Null)) => (path, Str::new(".")),
        (V::Str(path), Some(V::Str(start))) => (path, start),
        (V::Str(_), Some(other)) | (other, _) => return Err(not_a_path(&other)),
    };
    if path.is_empty() {
        return Err(Error::runtime("no path specified"));
    }
    let absolute = |path: &str| -> Result<String> {
        if path.starts_with('/') {
            return Ok(normal(path));
        }
        let here = files(vm)?.current_dir();
        Ok(normal(&format!("{}/{path}", here.display())))
    };
    let (path, start) = (absolute(&path)?, absolute(&start)?);
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (path, start) = (parts(&path), parts(&start));
    let same = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), start.len() - same);
    let all: Vec<String> = up.chain(path[same..].iter().cloned()).collect();
    Ok(V::text(if all.is_empty() { ".".to_owned() } else { all.join("/") }))
}

fn realpath(vm: &Vm, args: Args) -> Result<V> {
    let path = one(vm, args, "realpath")?;
    Ok(V::text(files(vm)?.real_path(Path::new(path.as_str())).display().to_string()))
}

fn expanduser(vm: &Vm, args: Args) -> Result<V> {
    let path = one(vm, args, "expanduser")?;
    let Some(rest) = path.strip_prefix('~') else { return Ok(V::Str(path.clone())) };
    let (user, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = if user.is_empty() {
        vm.saw_impure();
        vm.ctx.world.env("HOME").or_else(|| {
            vm.ctx.world.files().and_then(|files| files.home(None)).map(|home| home.display().to_string())
        })
    } else {
        vm.saw_impure();
        let files = vm.ctx.world.files();
        files.and_then(|files| files.home(Some(user))).map(|home| home.display().to_string())
    };
    Ok(match home {
        Some(home) => {
            let all = home.trim_end_matches('/').to_owned() + tail;
            V::text(if all.is_empty() { "/".to_owned() } else { all })
        }
        None => V::Str(path.clone()),
    })
}

fn expandvars(vm: &Vm, args: Args) -> Result<V> {
    let text = one(vm, args, "expandvars")?;
    vm.saw_impure();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = if let Some(inner) = after.strip_prefix('{') {
            match inner.find('}') {
                Some(end) => (&inner[..end], end + 2),
                None => ("", 0),
            }
        } else {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            (&after[..end], end)
        };
        match vm.ctx.world.env(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    Ok(V::text(out))
}

fn fileglob(vm: &Vm, args: Args) -> Result<V> {
    let pattern = one(vm, args, "fileglob")?;
    let files = files(vm)?;
    let found = files.glob(&pattern).into_iter().filter(|path| files.is_file(path));
    Ok(V::list(found.map(|path| V::text(path.display().to_string())).collect()))
}

/// Drive and rest of a Windows path.
fn drive(path: &str) -> (&str, &str) {
    let slash = |c: char| c == '\\' || c == '/';
    if path.len() >= 2 && path.starts_with(slash) && path[1..].starts_with(slash) {
        // \\server\share\rest
        let server = path[2..].find(slash).map(|at| at + 2);
        return match server {
            None => (path, ""),
            Some(server) => match path[server + 1..].find(slash) {
                None => (path, ""),
                Some(share) => path.split_at(server + 1 + share),
            },
        };
    }
    if path.as_bytes().get(1) == Some(&b':') { path.split_at(2) } else { ("", path) }
}

fn win_split(path: &str) -> (String, &str) {
    let slash = |c: char| c == '\\' || c == '/';
    let (drive, rest) = drive(path);
    let at = rest.rfind(slash).map_or(0, |at| at + 1);
    let (head, tail) = rest.split_at(at);
    let trimmed = head.trim_end_matches(slash);
    (format!("{drive}{}", if trimmed.is_empty() { head } else { trimmed }), tail)
}

fn win_basename(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::str(win_split(&one(vm, args, "basename")?).1))
}

fn win_dirname(vm: &Vm, args: Args) -> Result<V> {
    Ok(V::text(win_split(&one(vm, args, "dirname")?).0))
}

fn win_splitdrive(vm: &Vm, args: Args) -> Result<V> {
    let path = one(vm, args, "splitdrive")?;
    let (drive, rest) = drive(&path);
    Ok(V::pair(V::str(drive), V::str(rest)))
}
