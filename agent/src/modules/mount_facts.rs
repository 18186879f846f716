//! `mount_facts`: what is mounted, and what should be, from several tables.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::facts::hardware::mount_entries;
use crate::system::glob::fnmatch;
use quorate_value::{Dict, Value, dict, str_of};
use std::time::{Duration, Instant};

/// The `mount_facts` module.
pub struct MountFacts;

const DYNAMIC: &[&str] = &["/etc/mtab", "/proc/mounts", "/etc/mnttab"];
const STATIC: &[&str] = &["/etc/fstab", "/etc/vfstab", "/etc/filesystems"];

static SPEC: Spec = Spec::new("mount_facts", "Tells what is mounted.").params(&[
    Param::list("sources", Kind::Str).doc("Tables: files, `mount`, or `all`, `dynamic`, `static`."),
    Param::raw("mount_binary").default_str("mount").doc("The program for `mount`; none if empty."),
    Param::list("devices", Kind::Str).doc("Patterns that devices have to match."),
    Param::list("fstypes", Kind::Str).doc("Patterns that types have to match."),
    Param::new("timeout", Kind::Float).doc("Seconds that looking at file systems may take."),
    Param::str("on_timeout")
        .choices(&["error", "warn", "ignore"])
        .default_str("error")
        .doc("What happens when it takes longer."),
    Param::bool("include_aggregate_mounts").doc("Tells all mounts of a mount point, too."),
]);

impl Module for MountFacts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let timeout = args.float("timeout");
        if timeout.is_some_and(|seconds| seconds <= 0.0) {
            return Err(Failure::new(
                "argument 'timeout' must be a positive number or null, not ".to_owned()
                    + &args.value("timeout").map(str_of).unwrap_or_default(),
            ));
        }
        let binary = args.value("mount_binary").map(str_of).filter(|it| !it.is_empty());
        if args.value("mount_binary").is_some_and(|it| it.as_str().is_none()) {
            return Err(Failure::new(format!(
                "argument 'mount_binary' must be a string or null, not {}",
                str_of(args.value("mount_binary").expect("looked at above"))
            )));
        }
        let mut outcome = Outcome::ok();
        let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        let uuids = uuids();
        let mut mounts: Vec<(String, Dict)> = Vec::new();
        let mut repeated: Vec<(String, Vec<String>)> = Vec::new();
        for source in sources(args)? {
            let table = match source.as_str() {
                "mount" => match &binary {
                    Some(binary) => from_program(binary, ctx)?,
                    None => continue,
                },
                path => from_file(path),
            };
            let mut seen: Vec<String> = Vec::new();
            for (line, entry) in table {
                let fits = |name: &str, text: &str| {
                    let patterns = args.strings(name);
                    !args.has(name) || patterns.iter().any(|pattern| fnmatch(text, pattern))
                };
                if !fits("devices", &entry.device) || !fits("fstypes", &entry.fstype) {
                    continue;
                }
                if deadline.is_some_and(|at| Instant::now() > at) {
                    let msg = format!(
                        "Timed out getting information for mount {} (type {})",
                        entry.mount, entry.fstype
                    );
                    match args.text("on_timeout") {
                        "error" => return Err(Failure::new(msg)),
                        "warn" => outcome = outcome.warn(msg),
                        _ => {}
                    }
                    continue;
                }
                if seen.contains(&entry.mount) {
                    match repeated.iter_mut().find(|(name, _)| *name == source) {
                        Some((_, list)) => list.push(entry.mount.clone()),
                        None => repeated.push((source.clone(), vec![entry.mount.clone()])),
                    }
                }
                seen.push(entry.mount.clone());
                mounts.push((entry.mount.clone(), describe(&entry, &source, &line, &uuids)));
            }
        }
        let aggregate = args.flag("include_aggregate_mounts");
        if aggregate.is_none() && !repeated.is_empty() {
            let said: Vec<String> = repeated
                .iter()
                .map(|(source, points)| {
                    let points: Vec<String> = points.iter().map(|point| format!("'{point}'")).collect();
                    format!("{source} ([{}])", points.join(", "))
                })
                .collect();
            outcome = outcome.warn(format!(
                "mount_facts: ignoring repeat mounts in the following sources: {}. You can disable this warning by configuring the 'include_aggregate_mounts' option as True or False.",
                said.join(", ")
            ));
        }
        let mut points = Dict::new();
        // the first table that knows a mount point counts; of its lines, the last
        let mut owner: Vec<(String, String)> = Vec::new();
        for (point, facts) in &mounts {
            let source = facts
                .get("ansible_context")
                .and_then(|it| it.get("source").cloned())
                .map(|it| str_of(&it))
                .unwrap_or_default();
            match owner.iter().find(|(known, _)| known == point) {
                Some((_, first)) if *first != source => continue,
                Some(_) => {}
                None => owner.push((point.clone(), source)),
            }
            points.insert(point.as_str(), facts.clone());
        }
        let all: Vec<Value> = if aggregate == Some(true) {
            mounts.iter().map(|(_, facts)| Value::from(facts.clone())).collect()
        } else {
            Vec::new()
        };
        Ok(outcome.facts(dict! {"mount_points" => points, "aggregate_mounts" => Value::list(all)}))
    }
}

#[derive(Debug, Clone, Default)]
struct Entry {
    device: String,
    mount: String,
    fstype: String,
    options: String,
    dump: Option<i64>,
    passno: Option<i64>,
}

fn sources(args: &Args) -> Result<Vec<String>, Failure> {
    let mut given = args.strings("sources");
    if given.is_empty() {
        given.push("all".into());
    }
    let mut found: Vec<String> = Vec::new();
    let mut push = |name: &str| {
        let same = |known: &String| {
            known == name
                || std::fs::canonicalize(known)
                    .ok()
                    .is_some_and(|it| std::fs::canonicalize(name).ok() == Some(it))
        };
        if !found.iter().any(same) {
            found.push(name.to_owned());
        }
    };
    for source in &given {
        match source.as_str() {
            "" => return Err(Failure::new("sources contains an empty string")),
            "all" => DYNAMIC.iter().chain(STATIC).chain(&["mount"]).for_each(|name| push(name)),
            "dynamic" => DYNAMIC.iter().for_each(|name| push(name)),
            "static" => STATIC.iter().for_each(|name| push(name)),
            other => push(other),
        }
    }
    Ok(found)
}

fn from_file(path: &str) -> Vec<(String, Entry)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let parsed = mount_entries(line).into_iter().next()?;
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
            let entry = Entry {
                device: parsed.device,
                mount: parsed.mount,
                fstype: parsed.fstype,
                options: fields.get(3).copied().unwrap_or_default().to_owned(),
                dump: number(4),
                passno: number(5),
            };
            Some((line.to_owned(), entry))
        })
        .collect()
}

/// `DEVICE on POINT type TYPE (OPTIONS)`.
fn from_program(program: &str, ctx: &Ctx) -> Result<Vec<(String, Entry)>, Failure> {
    let Some(path) = ctx.which(program) else { return Ok(Vec::new()) };
    let output = ctx.run(&ctx.command([path]).env("LC_ALL", "C"))?;
    Ok(output
        .stdout_text()
        .lines()
        .filter_map(|line| {
            let (device, rest) = line.split_once(" on ")?;
            let (mount, rest) = rest.split_once(" type ")?;
            let (fstype, options) = rest.split_once(" (")?;
            let entry = Entry {
                device: device.to_owned(),
                mount: mount.to_owned(),
                fstype: fstype.to_owned(),
                options: options.trim_end_matches(')').to_owned(),
                ..Entry::default()
            };
            Some((line.to_owned(), entry))
        })
        .collect())
}

/// UUIDs by device.
fn uuids() -> Vec<(String, String)> {
    let entries = std::fs::read_dir("/dev/disk/by-uuid").into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let device = crate::system::files::real_path(&entry.path().to_string_lossy());
            (device, entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

fn describe(entry: &Entry, source: &str, line: &str, uuids: &[(String, String)]) -> Dict {
    let mut facts = dict! {
        "device" => entry.device.as_str(), "mount" => entry.mount.as_str(),
        "fstype" => entry.fstype.as_str(), "options" => entry.options.as_str(),
    };
    for (name, number) in [("dump", entry.dump), ("passno", entry.passno)] {
        if let Some(number) = number {
            facts.insert(name, number);
        }
    }
    if let Ok(size) = rustix::fs::statvfs(entry.mount.as_str()) {
        let block = size.f_bsize.max(1);
        facts.extend(dict! {
            "size_total" => (size.f_frsize * size.f_blocks) as i64,
            "size_available" => (size.f_frsize * size.f_bavail) as i64,
            "block_size" => block as i64,
            "block_total" => size.f_blocks as i64,
            "block_available" => size.f_bavail as i64,
            "block_used" => (size.f_blocks - size.f_bavail.min(size.f_blocks)) as i64,
            "inode_total" => size.f_files as i64,
            "inode_available" => size.f_favail as i64,
            "inode_used" => (size.f_files - size.f_favail.min(size.f_files)) as i64,
        });
    }
    facts.insert("ansible_context", dict! {"source" => source, "source_data" => line});
    let real = crate::system::files::real_path(&entry.device);
    let uuid = uuids.iter().find(|(device, _)| *device == entry.device || *device == real);
    let uuid =
        uuid.map(|(_, uuid)| uuid.clone()).or_else(|| entry.device.strip_prefix("UUID=").map(str::to_owned));
    facts.insert("uuid", uuid.map_or(Value::Null, Value::from));
    facts
}
