//! `find`: files by name, age, size, mode and content.

use super::stat::describe;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Lit, Param, Spec};
use crate::system::files::{Algorithm, parse_mode, permission_bits};
use crate::system::glob::fnmatch;
use crate::system::process::errno;
use crate::system::regex::{Flags, Regex};
use quorate_value::{Dict, Value, str_repr};
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The `find` module.
pub struct Find;

static SPEC: Spec = Spec::new("find", "Lists files by name, age, size, mode and content.").params(&[
    Param::list("paths", Kind::Path).required().aliases(&["name", "path"]).doc("The directories to look in."),
    Param::list("patterns", Kind::Str).aliases(&["pattern"]).default(Lit::List(&[])).doc("Names to find: shell patterns, or regular expressions with `use_regex`."),
    Param::list("excludes", Kind::Str).aliases(&["exclude"]).doc("Names to leave out, written as `patterns` are."),
    Param::str("contains").doc("Regular expression that a line of the file starts with; with `read_whole_file`, that is found anywhere."),
    Param::bool("read_whole_file").default_bool(false).doc("Matches `contains` against the whole file."),
    Param::str("file_type").choices(&["any", "directory", "file", "link"]).default_str("file").doc("What to find."),
    Param::str("age").doc("At least this old: seconds, or with `s`, `m`, `h`, `d`, `w` behind. Negative: at most."),
    Param::str("age_stamp").choices(&["atime", "ctime", "mtime"]).default_str("mtime").doc("The time that counts for `age`."),
    Param::str("size").doc("At least this large: bytes, or with `b`, `k`, `m`, `g`, `t` behind. Negative: at most."),
    Param::bool("recurse").default_bool(false).doc("Looks into directories below."),
    Param::int("depth").doc("How many levels to look at."),
    Param::bool("hidden").default_bool(false).doc("Finds names that start with a dot."),
    Param::bool("follow").default_bool(false).doc("Looks into directories behind links."),
    Param::bool("get_checksum").default_bool(false).doc("Computes a digest of each file."),
    Param::str("checksum_algorithm").aliases(&["checksum", "checksum_algo"]).choices(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]).default_str("sha1").doc("The digest to compute."),
    Param::bool("use_regex").default_bool(false).doc("Names are regular expressions."),
    Param::raw("mode").doc("Permission bits, in octal or letters."),
    Param::bool("exact_mode").default_bool(true).doc("Exactly these bits; otherwise at least these."),
    Param::int("limit").doc("Stops after this many."),
    Param::str("encoding").doc("Character set of files that `contains` looks at; other bytes are passed over."),
]);

impl Module for Find {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let mut search = Search::of(args, ctx)?;
        for path in args.strings("paths") {
            search.start(&path)?;
        }
        let msg = if search.full() {
            "Limit of matches reached"
        } else if search.skipped.is_empty() {
            "All paths examined"
        } else {
            "Not all paths examined, check warnings for details"
        };
        let mut outcome = Outcome::ok().msg(msg);
        for warning in search.warnings {
            outcome = outcome.warn(warning);
        }
        Ok(outcome
            .with("matched", search.found.len())
            .with("files", search.found)
            .with("examined", search.examined)
            .with("skipped_paths", search.skipped))
    }
}

enum Name {
    Shell(String),
    Regex(Regex),
}

impl Name {
    fn list(patterns: &[String], regex: bool) -> Result<Vec<Name>, Failure> {
        let name = |pattern: &String| {
            if !regex {
                return Ok(Name::Shell(pattern.clone()));
            }
            Regex::new(pattern, Flags::default()).map(Name::Regex).map_err(Failure::new)
        };
        patterns.iter().map(name).collect()
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Name::Shell(pattern) => fnmatch(name, pattern),
            Name::Regex(regex) => regex.matches_start(name).unwrap_or(false),
        }
    }
}

struct Search<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    names: Vec<Name>,
    excludes: Vec<Name>,
    age: Option<i64>,
    size: Option<i64>,
    contains: Option<Regex>,
    now: f64,
    found: Vec<Value>,
    examined: usize,
    skipped: Dict,
    warnings: Vec<String>,
}

/// `-3d`, `10m`: a number with a unit behind it.
fn quantity(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let text = text.to_lowercase();
    let (number, factor) = match text.chars().next_back() {
        Some(last) if !last.is_ascii_digit() => {
            let factor = units.iter().find(|(unit, _)| *unit == last)?.1;
            (&text[..text.len() - last.len_utf8()], factor)
        }
        _ => (text.as_str(), 1),
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

const TIMES: &[(char, i64)] = &[('s', 1), ('m', 60), ('h', 3600), ('d', 86400), ('w', 604_800)];
const SIZES: &[(char, i64)] = &[('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];

impl<'a> Search<'a> {
    fn of(args: &'a Args, ctx: &'a Ctx) -> Result<Search<'a>, Failure> {
        let regex = args.bool("use_regex");
        let mut patterns = args.strings("patterns");
        if patterns.is_empty() {
            patterns.push(if regex { ".*" } else { "*" }.into());
            ctx.resolved("patterns", patterns.iter().map(String::as_str).collect::<Value>());
        }
        let read = |name: &str, units| match args.str(name) {
            None => Ok(None),
            Some(text) => quantity(text, units)
                .map(Some)
                .ok_or_else(|| Failure::new(format!("failed to process {name}")).with(name, text)),
        };
        if let Some(limit) = args.int("limit").filter(|limit| *limit <= 0) {
            return Err(Failure::new(format!("limit cannot be {limit} (use None for unlimited)")));
        }
        let contains = args.str("contains").map(|pattern| Regex::new(pattern, Flags::default()));
        Ok(Search {
            names: Name::list(&patterns, regex)?,
            excludes: Name::list(&args.strings("excludes"), regex)?,
            age: read("age", TIMES)?,
            size: read("size", SIZES)?,
            contains: contains.transpose().map_err(Failure::new)?,
            now: std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64(),
            args,
            ctx,
            found: Vec::new(),
            examined: 0,
            skipped: Dict::new(),
            warnings: Vec::new(),
        })
    }

    fn start(&mut self, path: &str) -> Result<(), Failure> {
        if !Path::new(path).is_dir() {
            self.skip(path, format!("{} is not a directory", str_repr(path)));
            return Ok(());
        }
        self.directory(path, 1)
    }

    fn skip(&mut self, path: &str, why: String) {
        self.warnings.push(format!("Skipped '{path}' path due to this access issue: {why}\n"));
        self.skipped.insert(path, why);
    }

    fn full(&self) -> bool {
        self.args.int("limit").is_some_and(|limit| self.found.len() as i64 >= limit)
    }

    fn directory(&mut self, path: &str, depth: i64) -> Result<(), Failure> {
        self.ctx.alive()?;
        let entries: Vec<DirEntry> = match std::fs::read_dir(path) {
            Ok(entries) => entries.flatten().collect(),
            Err(error) => {
                let why = format!("{}: '{path}'", errno(&error));
                self.skip(path, why);
                return Ok(());
            }
        };
        self.examined += entries.len();
        if self.args.int("depth").is_some_and(|most| most > 0 && depth > most) {
            return Ok(());
        }
        let join = |entry: &DirEntry| {
            format!("{}/{}", path.trim_end_matches('/'), entry.file_name().to_string_lossy())
        };
        let (directories, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.path().is_dir());
        for entry in others.iter().chain(&directories) {
            self.look(&join(entry), &entry.file_name().to_string_lossy());
            if self.full() {
                return Ok(());
            }
        }
        if self.args.bool("recurse") {
            for entry in &directories {
                let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                if (!link || self.args.bool("follow")) && depth < 1000 {
                    self.directory(&join(entry), depth + 1)?;
                    if self.full() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, path: &str, name: &str) {
        if name.starts_with('.') && !self.args.bool("hidden") {
            return;
        }
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                let why = format!("{}: '{path}'", errno(&error));
                return self.skip(path, why);
            }
        };
        let kind = metadata.file_type();
        let wanted = match self.args.text("file_type") {
            "directory" => kind.is_dir(),
            "file" => kind.is_file(),
            "link" => kind.is_symlink(),
            _ => true,
        };
        let named = self.names.iter().any(|pattern| pattern.matches(name))
            && !self.excludes.iter().any(|pattern| pattern.matches(name));
        if !(wanted && named && self.old_enough(&metadata) && self.has_mode(&metadata)) {
            return;
        }
        let strict = self.args.text("file_type") == "file";
        if kind.is_file() && !self.large_enough(&metadata) || strict && !self.holds(path) {
            return;
        }
        let mut entry = describe(path, &metadata);
        for key in ["exists", "blocks", "block_size", "device_type"] {
            entry.remove(key);
        }
        if kind.is_file() && self.args.bool("get_checksum") {
            let algorithm = Algorithm::named(self.args.text("checksum_algorithm")).unwrap_or(Algorithm::Sha1);
            entry.insert("checksum", algorithm.digest_file(path).ok());
        }
        self.found.push(Value::from(entry));
    }

    fn old_enough(&self, metadata: &Metadata) -> bool {
        let Some(age) = self.age else { return true };
        let stamp = match self.args.text("age_stamp") {
            "atime" => metadata.atime(),
            "ctime" => metadata.ctime(),
            _ => metadata.mtime(),
        };
        let old = self.now - stamp as f64;
        if age >= 0 { old >= age.abs() as f64 } else { old <= age.abs() as f64 }
    }

    fn large_enough(&self, metadata: &Metadata) -> bool {
        let Some(size) = self.size else { return true };
        let length = metadata.len() as i64;
        if size >= 0 { length >= size } else { length <= -size }
    }

    fn has_mode(&self, metadata: &Metadata) -> bool {
        let bits = match self.args.value("mode") {
            None => return true,
            Some(Value::Int(bits)) => *bits as u32,
            Some(value) => match parse_mode(&quorate_value::str_of(value), 0, metadata.is_dir(), 0) {
                Some(bits) => bits,
                None => return false,
            },
        };
        let now = permission_bits(metadata);
        if self.args.bool("exact_mode") { now == bits } else { now & bits != 0 }
    }

    fn holds(&mut self, path: &str) -> bool {
        let Some(regex) = &self.contains else { return true };
        let Ok(bytes) = std::fs::read(path) else { return false };
        let encoding = self.args.nonempty("encoding").unwrap_or("utf-8");
        let utf8 = matches!(encoding.to_lowercase().as_str(), "utf-8" | "utf8");
        if utf8 && self.args.nonempty("encoding").is_some() && std::str::from_utf8(&bytes).is_err() {
            let why = format!(
                "Failed to read the file {path} due to an encoding error. current encoding: {encoding}"
            );
            let directory = Path::new(path).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
            self.skip(&directory, why);
            return false;
        }
        let other = charset(encoding).filter(|_| !utf8);
        if other.is_none() && !utf8 {
            let directory = Path::new(path).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
            self.skip(&directory, format!("unknown encoding: {encoding}"));
            return false;
        }
        let (text, wrong) = match other {
            Some(other) => other.decode_without_bom_handling(&bytes),
            None => (String::from_utf8_lossy(&bytes), false),
        };
        if wrong {
            let why = format!(
                "Failed to read the file {path} due to an encoding error. current encoding: {encoding}"
            );
            let directory = Path::new(path).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
            self.skip(&directory, why);
            return false;
        }
        if self.args.bool("read_whole_file") {
            return regex.found_in(&text).unwrap_or(false);
        }
        text.split_inclusive('\n').any(|line| regex.matches_start(line).unwrap_or(false))
    }
}

/// A character set by the name that Python or the web has for it.
fn charset(name: &str) -> Option<&'static encoding_rs::Encoding> {
    let dashed = name.replace('_', "-");
    let bare = dashed.replace('-', "");
    // Python's names for the orders of bytes: utf_16_le
    let ordered = dashed.replace("-le", "le").replace("-be", "be");
    [name, &dashed, &bare, &ordered]
        .iter()
        .find_map(|label| encoding_rs::Encoding::for_label(label.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets() {
        for (name, found) in
            [("gbk", true), ("latin_1", true), ("utf_16_le", true), ("cp1251", true), ("none", false)]
        {
            assert_eq!(charset(name).is_some(), found, "{name}");
        }
        let bytes = [0xc4, 0xe3, 0xba, 0xc3];
        assert_eq!(charset("GBK").unwrap().decode_without_bom_handling(&bytes), ("你好".into(), false));
    }

    #[test]
    fn quantities() {
        for (text, units, expected) in [
            ("10", TIMES, Some(10)),
            ("2d", TIMES, Some(172_800)),
            ("-1W", TIMES, Some(-604_800)),
            ("1m", SIZES, Some(1 << 20)),
            ("1x", SIZES, None),
            ("", SIZES, None),
        ] {
            assert_eq!(quantity(text, units), expected, "{text}");
        }
    }
}
