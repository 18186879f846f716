//! `etcd_facts`: what a host holds of etcd, looked at on the host itself. The action `etcd_live` asks it.
//!
//! In: the unit and the data directory. Out: the unit's state, the processes that have the data open, and which
//! data there are. Decides nothing: that needs the network's answers too.
//!
//! **Invariant:** what could not be looked at is null, never "no".

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use quorate_value::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The `etcd_facts` module.
pub struct EtcdFacts;

static SPEC: Spec =
    Spec::new("etcd_facts", "Looks at the unit, the processes and the data of an etcd member.")
        .collection("quorate.etcd")
        .params(&[
            Param::str("unit").default_str("etcd").doc("The systemd unit that runs the member."),
            Param::path("data").required().doc("The member's data directory."),
        ]);

impl Module for EtcdFacts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let data = Path::new(args.text("data"));
        let member = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf()).join("member");
        Ok(Outcome::ok()
            .with("unit_state", unit_state(ctx, args.text("unit"))?)
            .with("holders", holders(&member, Path::new("/proc")))
            .with("wal", wal(&member.join("wal")))
            .with("db", exists(&member.join("snap/db"))))
    }
}

/// `ActiveState`; `inactive` where there is no systemd, null where it does not answer.
fn unit_state(ctx: &Ctx, unit: &str) -> Result<Value, Failure> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(Value::from("inactive"));
    }
    let systemctl = ctx.program("systemctl")?;
    let command = ctx
        .command([systemctl.as_str(), "show", "-p", "ActiveState", "--value", "--", unit])
        .env("LC_ALL", "C");
    let output = ctx.run(&command)?;
    let state = output.stdout_text().trim().to_owned();
    Ok(if output.ok() && !state.is_empty() { Value::from(state) } else { Value::Null })
}

/// Processes with a file below `member` open. Null if an etcd is there into which we cannot look.
fn holders(member: &Path, proc: &Path) -> Value {
    let inside = member.join("");
    let inside = inside.to_string_lossy();
    let mut found: Vec<i64> = Vec::new();
    let mut hidden = false;
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok()) else {
            continue;
        };
        match std::fs::read_dir(entry.path().join("fd")) {
            Ok(files) => {
                let open = files
                    .flatten()
                    .filter_map(|file| std::fs::read_link(file.path()).ok())
                    .any(|target| target.to_string_lossy().starts_with(&*inside));
                if open {
                    found.push(pid);
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                hidden |= name.trim() == "etcd";
            }
            // it has ended meanwhile
            Err(_) => {}
        }
    }
    if found.is_empty() && hidden {
        return Value::Null;
    }
    found.sort_unstable();
    Value::list(found.into_iter().map(Value::from).collect::<Vec<_>>())
}

/// Whether there is a write-ahead log.
fn wal(directory: &PathBuf) -> Value {
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            let is_log = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "wal");
            Value::from(entries.flatten().any(|entry| is_log(&entry)))
        }
        Err(error) => absent(&error),
    }
}

fn exists(path: &Path) -> Value {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Value::from(true),
        Err(error) => absent(&error),
    }
}

fn absent(error: &std::io::Error) -> Value {
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        Value::from(false)
    } else {
        Value::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::to_json;

    #[test]
    fn data_and_holders() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().canonicalize().unwrap();
        let member = data.join("member");
        assert_eq!(wal(&member.join("wal")), Value::from(false), "nothing is there");
        assert_eq!(exists(&member.join("snap/db")), Value::from(false));

        std::fs::create_dir_all(member.join("wal")).unwrap();
        std::fs::create_dir_all(member.join("snap")).unwrap();
        std::fs::write(member.join("wal/0.tmp"), "").unwrap();
        assert_eq!(wal(&member.join("wal")), Value::from(false), "a preallocated file is no log");
        assert_eq!(to_json(&holders(&member, Path::new("/proc"))), "[]");

        let open = std::fs::File::create(member.join("wal/0-0.wal")).unwrap();
        std::fs::write(member.join("snap/db"), "").unwrap();
        assert_eq!(wal(&member.join("wal")), Value::from(true));
        assert_eq!(exists(&member.join("snap/db")), Value::from(true));
        let own = format!("[{}]", std::process::id());
        assert_eq!(to_json(&holders(&member, Path::new("/proc"))), own);
        drop(open);
    }

    #[test]
    fn a_neighbour_is_not_a_holder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("member-old")).unwrap();
        let _open = std::fs::File::create(root.join("member-old/x")).unwrap();
        assert_eq!(to_json(&holders(&root.join("member"), Path::new("/proc"))), "[]");
    }
}
