//! `xattr`: extended attributes of files, by the system calls.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::process::errno;
use quorate_value::{Dict, Value};
use std::path::Path;

/// The `xattr` module.
pub struct Xattr;

static SPEC: Spec = Spec::new("xattr", "Keeps or tells extended attributes of a file.")
    .collection("community.general")
    .params(&[
        Param::path("path").required().aliases(&["name"]).doc("The file."),
        Param::str("namespace").default_str("user").doc("The attribute's namespace."),
        Param::str("key").no_log_false().doc("The attribute."),
        Param::str("value").doc("Its value."),
        Param::str("state")
            .choices(&["absent", "all", "keys", "present", "read"])
            .default_str("read")
            .doc("Whether it should be there, or what to tell."),
        Param::bool("follow").default_bool(true).doc("Follows a link at the path."),
    ]);

impl Module for Xattr {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (path, state) = (args.text("path"), args.text("state"));
        if !Path::new(path).exists() {
            return Err(Failure::new("path not found or not accessible!"));
        }
        let key = args.str("key").map(|key| {
            let space = args.text("namespace");
            if space.is_empty() || key.starts_with(&format!("{space}.")) {
                key.to_owned()
            } else {
                format!("{space}.{key}")
            }
        });
        if key.is_none() && matches!(state, "absent" | "present") {
            return Err(Failure::new(format!("{state} needs a key parameter")));
        }
        let follow = args.bool("follow");
        let (mut changed, mut msg) = (false, String::new());
        let mut found = Dict::new();
        match (state, &key) {
            ("present", Some(key)) => {
                let value = args.text("value");
                let standing = get(path, key, follow)?;
                changed = standing.as_deref() != Some(value.as_bytes());
                if let Some(standing) = standing {
                    found.insert(key.as_str(), String::from_utf8_lossy(&standing).into_owned());
                }
                if changed && !ctx.check {
                    set(path, key, value.as_bytes(), follow)?;
                }
                msg = format!("{key} set to {value}");
            }
            ("absent", Some(key)) => {
                if let Some(standing) = get(path, key, follow)? {
                    changed = true;
                    found.insert(key.as_str(), String::from_utf8_lossy(&standing).into_owned());
                    if !ctx.check {
                        remove(path, key, follow)?;
                    }
                }
                msg = format!("{key} removed");
            }
            ("keys", _) => {
                for name in names(path, follow)? {
                    found.insert(name, "");
                }
                msg += "returning all keys";
            }
            (_, Some(key)) if state == "read" => {
                if let Some(value) = get(path, key, follow)? {
                    found.insert(key.as_str(), String::from_utf8_lossy(&value).into_owned());
                }
                msg = format!("returning {key}");
            }
            _ => {
                msg += if state == "read" { "returning None" } else { "dumping all" };
                for name in names(path, follow)? {
                    let value = get(path, &name, follow)?.unwrap_or_default();
                    found.insert(name, String::from_utf8_lossy(&value).into_owned());
                }
            }
        }
        Ok(Outcome::changed_if(changed).msg(msg).with("xattr", Value::dict(found)))
    }
}

fn trouble(path: &str, error: rustix::io::Errno) -> Failure {
    Failure::new(format!("{path}: {}", errno(&error.into())))
}

fn get(path: &str, key: &str, follow: bool) -> Result<Option<Vec<u8>>, Failure> {
    let mut buffer = vec![0; 65536];
    let read = if follow {
        rustix::fs::getxattr(path, key, buffer.as_mut_slice())
    } else {
        rustix::fs::lgetxattr(path, key, buffer.as_mut_slice())
    };
    match read {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(rustix::io::Errno::NODATA) => Ok(None),
        Err(error) => Err(trouble(path, error)),
    }
}

fn set(path: &str, key: &str, value: &[u8], follow: bool) -> Result<(), Failure> {
    let flags = rustix::fs::XattrFlags::empty();
    let done = if follow {
        rustix::fs::setxattr(path, key, value, flags)
    } else {
        rustix::fs::lsetxattr(path, key, value, flags)
    };
    done.map_err(|error| trouble(path, error))
}

fn remove(path: &str, key: &str, follow: bool) -> Result<(), Failure> {
    let done = if follow { rustix::fs::removexattr(path, key) } else { rustix::fs::lremovexattr(path, key) };
    done.map_err(|error| trouble(path, error))
}

/// The attributes of users; those of the system are no part of a dump.
fn names(path: &str, follow: bool) -> Result<Vec<String>, Failure> {
    let mut buffer = vec![0; 65536];
    let length = if follow {
        rustix::fs::listxattr(path, buffer.as_mut_slice())
    } else {
        rustix::fs::llistxattr(path, buffer.as_mut_slice())
    }
    .map_err(|error| trouble(path, error))?;
    Ok(String::from_utf8_lossy(&buffer[..length])
        .split('\0')
        .filter(|name| name.starts_with("user."))
        .map(str::to_owned)
        .collect())
}
