//! `etcd_facts`: what a host holds of etcd, looked at on the host itself. The action `etcd_live` asks it.
//!
//! In: the unit and the data directory. Out: the unit's state, the processes that have the data open, and which
//! data there are. Decides nothing: that needs the network's answers too.
//!
//! **Invariant:** what could not be looked at is null, never "no".

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::modules::etcd_service::{self, PROCESS};
use crate::spec::{Kind, Param, Spec};
use quorate_value::{Dict, Value, dict};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The `etcd_facts` module.
pub struct EtcdFacts;

static SPEC: Spec =
    Spec::new("etcd_facts", "Looks at the unit, the processes and the data of an etcd member.")
        .collection("quorate.etcd")
        .params(&[
            Param::str("unit").default_str("etcd").doc("The systemd unit that runs the member."),
            Param::new("process", Kind::Dict)
                .options(PROCESS)
                .apply_defaults()
                .doc("How the member is run, where no unit does."),
            Param::path("data").required().doc("The member's data directory."),
        ]);

impl Module for EtcdFacts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let data = Path::new(args.text("data"));
        let member = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf()).join("member");
        let process = args.sub("process").unwrap_or_else(|| Args::new(Dict::new(), &SPEC));
        let (state, process) = etcd_service::look(ctx, &process, args.text("unit"))?;
        Ok(Outcome::ok()
            .with("unit_state", state)
            .with("process", process)
            .with("holders", holders(&member, Path::new("/proc")))
            .with("wal", wal(&member.join("wal")))
            .with("db", exists(&member.join("snap/db")))
            .with("log", log(&member.join("wal"))))
    }
}

/// Processes with a file below `member` open. Null if an etcd is there into which we cannot look.
fn holders(member: &Path, proc: &Path) -> Value {
    let inside = member.join("");
    let inside = inside.to_string_lossy();
    // a process in a container sees the directory under another path
    let own = identities(member);
    let mut found: Vec<i64> = Vec::new();
    let mut hidden = false;
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok()) else {
            continue;
        };
        match std::fs::read_dir(entry.path().join("fd")) {
            Ok(files) => {
                let open = files.flatten().any(|file| {
                    let path = file.path();
                    let Ok(target) = std::fs::read_link(&path) else { return false };
                    let target = target.to_string_lossy();
                    target.starts_with(&*inside)
                        || (is_of_etcd(&target)
                            && std::fs::metadata(&path)
                                .is_ok_and(|seen| own.contains(&(seen.dev(), seen.ino()))))
                });
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

/// The database and the logs of a member, by what is the same wherever they are mounted.
fn identities(member: &Path) -> BTreeSet<(u64, u64)> {
    let mut paths = vec![member.join("snap/db"), member.join("wal")];
    paths.extend(
        std::fs::read_dir(member.join("wal")).into_iter().flatten().flatten().map(|entry| entry.path()),
    );
    paths
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|seen| (seen.dev(), seen.ino()))
        .collect()
}

/// Whether a path, wherever it is mounted, may be a database, a log, or the directory of the logs.
fn is_of_etcd(path: &str) -> bool {
    path.ends_with("/snap/db") || path.ends_with("/wal") || path.contains("/wal/")
}

/// Whether a process has the member's data open.
pub(crate) fn is_held(data: &Path) -> bool {
    let member = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf()).join("member");
    holders(&member, Path::new("/proc")).as_list().is_none_or(|pids| !pids.is_empty())
}

/// How far the newest write-ahead log goes: who wrote it, its last term, entry and commit. Null if there is none, or
/// none that can be read. Good for comparing members that do not run; a running one tells more itself.
fn log(directory: &Path) -> Value {
    let Ok(entries) = std::fs::read_dir(directory) else { return Value::Null };
    let is_log = |path: &PathBuf| path.extension().is_some_and(|end| end == "wal");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_log).collect();
    files.sort(); // by number, then by first entry, both of fixed width
    let Some(newest) = files.pop() else { return Value::Null };
    let first = newest
        .file_stem()
        .and_then(|stem| stem.to_str()?.rsplit_once('-'))
        .and_then(|(_, first)| u64::from_str_radix(first, 16).ok());
    let Ok(bytes) = std::fs::read(&newest) else { return Value::Null };
    let found = Log::read(&bytes, first.unwrap_or(0).saturating_sub(1));
    Value::from(dict! {
        "member" => format!("{:x}", found.member), "cluster" => format!("{:x}", found.cluster),
        "term" => found.term as i64, "index" => found.index as i64, "commit" => found.commit as i64,
    })
}

/// What a segment of the log says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log {
    member: u64,
    cluster: u64,
    term: u64,
    index: u64,
    commit: u64,
}

impl Log {
    /// Frames of `length, record, padding` until the preallocated zeros. A frame cut off by a crash ends it.
    fn read(mut bytes: &[u8], before: u64) -> Self {
        let mut log = Log { index: before, ..Log::default() };
        while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
            let field = u64::from_le_bytes(*head);
            let length = (field & !(0xff << 56)) as usize;
            let padding = if field >> 63 == 1 { (field >> 56 & 7) as usize } else { 0 };
            if length == 0 || rest.len() < length + padding {
                break;
            }
            let record = fields(&rest[..length]);
            let number = |fields: &[(u64, Part<'_>)], which: u64| {
                fields.iter().find_map(|(tag, part)| match part {
                    Part::Number(number) if *tag == which => Some(*number),
                    _ => None,
                })
            };
            let data = record.iter().find_map(|(tag, part)| match part {
                Part::Bytes(bytes) if *tag == 3 => Some(fields(bytes)),
                _ => None,
            });
            let data = data.unwrap_or_default();
            match number(&record, 1).unwrap_or(0) {
                1 => {
                    log.member = number(&data, 1).unwrap_or(0);
                    log.cluster = number(&data, 2).unwrap_or(0);
                }
                // an entry may overwrite later ones of an older term
                2 => {
                    log.term = log.term.max(number(&data, 2).unwrap_or(0));
                    log.index = number(&data, 3).unwrap_or(log.index);
                }
                3 => {
                    log.term = log.term.max(number(&data, 1).unwrap_or(0));
                    log.commit = number(&data, 3).unwrap_or(log.commit);
                }
                5 => log.index = log.index.max(number(&data, 1).unwrap_or(0)),
                _ => {}
            }
            bytes = &rest[length + padding..];
        }
        log
    }
}

/// A field of a protobuf message.
enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message, as far as they can be read.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Part<'_>)> {
    fn number(bytes: &mut &[u8]) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let Some(key) = number(&mut bytes) else { break };
        let part = match key & 7 {
            0 => number(&mut bytes).map(Part::Number),
            2 => number(&mut bytes).and_then(|length| {
                let (field, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
                bytes = rest;
                Some(Part::Bytes(field))
            }),
            _ => None,
        };
        let Some(part) = part else { break };
        all.push((key >> 3, part));
    }
    all
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

    /// A frame around a record of this type with these fields, each a number.
    fn frame(kind: u8, data: &[(u8, u8)]) -> Vec<u8> {
        let data: Vec<u8> = data.iter().flat_map(|(tag, number)| [tag << 3, *number]).collect();
        let mut record = vec![1 << 3, kind, 3 << 3 | 2, data.len() as u8];
        record.extend(&data);
        let padding = (8 - record.len() % 8) % 8;
        let mark = if padding > 0 { (0x80 | padding as u64) << 56 } else { 0 };
        let mut bytes = (record.len() as u64 | mark).to_le_bytes().to_vec();
        bytes.extend(&record);
        bytes.extend(vec![0; padding]);
        bytes
    }

    #[test]
    fn how_far_a_log_goes() {
        let mut bytes = frame(1, &[(1, 0x11), (2, 0x22)]);
        bytes.extend(frame(2, &[(2, 3), (3, 7)]));
        bytes.extend(frame(3, &[(1, 4), (2, 1), (3, 7)]));
        bytes.extend(frame(2, &[(2, 4), (3, 8)]));
        let whole = Log { member: 0x11, cluster: 0x22, term: 4, index: 8, commit: 7 };
        let mut zeros = bytes.clone();
        zeros.extend(vec![0; 64]);
        assert_eq!(Log::read(&zeros, 0), whole);
        assert_eq!(Log::read(&bytes[..bytes.len() - 1], 0).index, 7, "the last frame was cut off");
        assert_eq!(
            Log::read(&frame(1, &[(1, 1)]), 99).index,
            99,
            "a segment without entries begins behind the last"
        );
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
