//! Collections: install, list, build.

use super::{Args, Place, Wanted, absolute, fetch, requirements};
use crate::cli::common::Cannot;
use crate::cli::status;
use crate::report::display;
use quorate_agent::protocol::hex;
use quorate_value::{Dict, JsonStyle, Value, dict, str_of};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `NAME[:VERSION]`, a path, or `git+URL[#/below][,VERSION]`.
pub(super) fn spec(text: &str) -> Wanted {
    let git = text.strip_prefix("git+").or_else(|| text.starts_with("git@").then_some(text));
    if let Some(url) = git {
        let (url, version) =
            url.split_once(',').map_or((url, None), |(url, version)| (url, Some(version.to_owned())));
        return Wanted { source: url.to_owned(), version, kind: Some("git".into()), name: None };
    }
    let local = Path::new(text).exists() || text.contains('/') || text.ends_with(".tar.gz");
    match text.split_once(':').filter(|_| !local) {
        Some((name, version)) => {
            let version = Some(version.trim_start_matches("==").to_owned()).filter(|v| v != "*");
            Wanted { source: name.to_owned(), version, ..Wanted::default() }
        }
        None => Wanted { source: text.to_owned(), ..Wanted::default() },
    }
}

/// What a collection says of itself.
struct About {
    namespace: String,
    name: String,
    version: String,
    dependencies: Vec<(String, String)>,
}

impl About {
    fn full(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    fn of(info: &Dict) -> Result<Self, String> {
        let text = |key: &str| info.get(key).filter(|v| !v.is_null()).map(str_of).filter(|v| !v.is_empty());
        let need = |key: &str| text(key).ok_or_else(|| format!("its metadata lack '{key}'"));
        let plain =
            |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
        let about = About {
            namespace: need("namespace")?,
            name: need("name")?,
            version: text("version").unwrap_or_else(|| "*".into()),
            dependencies: info
                .get("dependencies")
                .and_then(Value::as_dict)
                .map(|d| d.iter().map(|(k, v)| (k.json_text().into_owned(), str_of(v))).collect())
                .unwrap_or_default(),
        };
        if plain(&about.namespace) && plain(&about.name) {
            Ok(about)
        } else {
            Err(format!("'{}' is no name of a collection", about.full()))
        }
    }
}

fn json_file(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|_| format!("there is no {}", path.display()))?;
    quorate_yaml::parse_file(path, &text).map(|d| d.root.to_value()).map_err(|e| e.to_string())
}

/// What the directory of a collection holds: `MANIFEST.json` of one that was built, else `galaxy.yml`.
fn about(dir: &Path) -> Result<(About, bool), String> {
    if dir.join("MANIFEST.json").is_file() {
        let manifest = json_file(&dir.join("MANIFEST.json"))?;
        let info = manifest.as_dict().and_then(|m| m.get("collection_info")).and_then(Value::as_dict);
        return Ok((About::of(info.ok_or("MANIFEST.json has no collection_info")?)?, true));
    }
    let value = json_file(&galaxy_file(dir).ok_or("neither MANIFEST.json nor galaxy.yml is there")?)?;
    Ok((About::of(value.as_dict().ok_or("galaxy.yml must be a mapping")?)?, false))
}

fn galaxy_file(dir: &Path) -> Option<PathBuf> {
    ["galaxy.yml", "galaxy.yaml"].iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

fn is_collection(dir: &Path) -> bool {
    dir.join("MANIFEST.json").is_file() || galaxy_file(dir).is_some()
}

fn checksum(path: &Path) -> std::io::Result<String> {
    Ok(hex(&Sha256::digest(std::fs::read(path)?)))
}

/// A collection that is ready to be put in its place.
struct Ready {
    about: About,
    dir: PathBuf,
    built: bool,
}

pub(super) fn install(place: &Place<'_>, words: &[&str]) -> Result<u8, Cannot> {
    let args = place.args;
    let mut wanted: Vec<Wanted> = words.iter().map(|word| spec(word)).collect();
    if let Some(file) = &args.requirements {
        if !wanted.is_empty() {
            return Err(Cannot::start(
                "error: The positional collection_name arg and --requirements-file are mutually exclusive.",
            ));
        }
        wanted = requirements(file)?.collections;
    } else if wanted.is_empty() {
        return Err(Cannot::start("error: You must specify a collection name or a requirements file."));
    }
    let target = place.target()?;
    let root = if target.ends_with("ansible_collections") {
        target.to_path_buf()
    } else {
        target.join("ansible_collections")
    };
    display::out("Starting galaxy collection install process");
    if place.named && !place.configured.iter().any(|path| *path == target) {
        let paths: Vec<String> = place.configured.iter().map(|path| path.display().to_string()).collect();
        display::warning(&format!(
            "The specified collections path '{}' is not part of the configured Ansible collections paths '{}'. The installed collection will not be picked up in an Ansible run, unless within a playbook-adjacent collections directory.",
            target.display(),
            paths.join(":")
        ));
    }
    std::fs::create_dir_all(&root).map_err(|e| Cannot::start(format!("error: {}: {e}", root.display())))?;
    let work =
        tempfile::tempdir_in(&root).map_err(|e| Cannot::start(format!("error: {}: {e}", root.display())))?;
    let mut ready = Vec::new();
    for (number, one) in wanted.iter().enumerate() {
        match get(one, &work.path().join(number.to_string()), place) {
            Ok(found) => ready.extend(found),
            Err(why) if args.ignore_errors => {
                display::warning(&format!("Failed to install collection {}: {why}", one.source));
            }
            Err(why) => return Err(Cannot::start(format!("error: {why}"))),
        }
    }
    let force = args.force || args.force_with_deps;
    let there = |name: &str| {
        version_at(&root, name)
            .or_else(|| place.paths.iter().find_map(|p| version_at(&p.join("ansible_collections"), name)))
    };
    if !args.no_deps {
        for one in &ready {
            for (name, version) in &one.about.dependencies {
                if !ready.iter().any(|other| other.about.full() == *name) && there(name).is_none() {
                    return Err(Cannot::start(format!(
                        "error: {} needs {name}:{version}, which is not installed, and the network index is not asked: give it as a tarball, a directory or git+URL, or say --no-deps",
                        one.about.full()
                    )));
                }
            }
        }
    }
    ready.retain(|one| {
        let same = version_at(&root, &one.about.full()).as_deref() == Some(one.about.version.as_str());
        force || !same || !one.built
    });
    if ready.is_empty() {
        display::out(
            "Nothing to do. All requested collections are already installed. If you want to reinstall them, consider using `--force`.",
        );
        return Ok(status::DONE);
    }
    display::out("Process install dependency map\nStarting collection install process");
    for one in ready {
        let to = root.join(&one.about.namespace).join(&one.about.name);
        let shown = format!("{}:{}", one.about.full(), one.about.version);
        display::out(&format!("Installing '{shown}' to '{}'", to.display()));
        let failed = |why: String| Cannot::start(format!("error: {shown} could not be installed: {why}"));
        if one.built {
            verify(&one.dir).map_err(failed)?;
        } else {
            write_manifest(&one.dir).map_err(failed)?;
            display::out(&format!("Created collection for {shown} at {}", to.display()));
        }
        fetch::place(&one.dir, &to).map_err(failed)?;
        display::out(&format!("{shown} was installed successfully"));
    }
    Ok(status::DONE)
}

/// Gets what was asked for: one collection, or all below a directory.
fn get(wanted: &Wanted, work: &Path, place: &Place<'_>) -> Result<Vec<Ready>, String> {
    let source = wanted.source.as_str();
    let local = Path::new(source.strip_prefix("file://").unwrap_or(source));
    let kind = wanted.kind.as_deref();
    let from = if kind == Some("git") {
        let source = source.strip_prefix("git+").unwrap_or(source);
        let (url, below) =
            source.split_once('#').map_or((source, ""), |(url, below)| (url, below.trim_matches('/')));
        let (below, inner) =
            below.split_once(',').map_or((below, None), |(below, version)| (below, Some(version)));
        if Path::new(below).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(format!("'{below}' is no directory inside of {url}"));
        }
        fetch::clone(url, wanted.version.as_deref().or(inner), work)?;
        work.join(below)
    } else if local.is_file() {
        fetch::unpack(local, work)?;
        work.to_path_buf()
    } else if local.is_dir() {
        local.to_path_buf()
    } else if source.contains("://") {
        return Err(format!("{source} is not downloaded: fetch it, and give the file"));
    } else if source.contains('/') || matches!(kind, Some("file" | "dir" | "subdirs")) {
        return Err(format!("there is no file or directory '{source}'"));
    } else {
        let has =
            place.paths.iter().any(|path| version_at(&path.join("ansible_collections"), source).is_some());
        if has && wanted.version.is_none() && !place.args.force && !place.args.upgrade {
            return Ok(Vec::new());
        }
        return Err(format!(
            "{source} would have to come from the network index, which is not asked: give a tarball, a directory or git+URL"
        ));
    };
    let mut dirs = Vec::new();
    if kind != Some("subdirs") && is_collection(&from) {
        dirs.push(from.clone());
    } else {
        let mut below: Vec<PathBuf> = std::fs::read_dir(&from)
            .map_err(|e| e.to_string())?
            .filter_map(Result::ok)
            .map(|e| e.path())
            .collect();
        below.sort();
        dirs.extend(below.into_iter().filter(|dir| is_collection(dir)));
    }
    if dirs.is_empty() {
        return Err(format!(
            "neither the collection requirement entry key 'name', nor 'source' point to a concrete resolvable collection artifact: {source}"
        ));
    }
    let mut ready = Vec::new();
    for (number, dir) in dirs.into_iter().enumerate() {
        let (about, built) = about(&dir).map_err(|why| format!("{}: {why}", dir.display()))?;
        // what was unpacked is ours to move; a person's directory is copied
        let dir = if dir.starts_with(work) && built {
            dir
        } else {
            let copied = work.with_file_name(format!(
                "{}-copy{number}",
                work.file_name().unwrap_or_default().to_string_lossy()
            ));
            let ignored = ignored(&dir);
            let base = dir.clone();
            fetch::copy(&dir, &copied, &|path| leaves_out(&base, path, &ignored, &about))
                .map_err(|e| e.to_string())?;
            if let Some(file) = galaxy_file(&dir) {
                std::fs::copy(file, copied.with_extension("galaxy")).map_err(|e| e.to_string())?;
            }
            copied
        };
        ready.push(Ready { about, dir, built });
    }
    Ok(ready)
}

/// `build_ignore` of `galaxy.yml`.
fn ignored(dir: &Path) -> Vec<String> {
    let value = galaxy_file(dir).and_then(|path| json_file(&path).ok());
    let list =
        value.as_ref().and_then(Value::as_dict).and_then(|d| d.get("build_ignore")).and_then(Value::as_list);
    list.unwrap_or_default().iter().map(str_of).collect()
}

fn leaves_out(base: &Path, path: &Path, ignored: &[String], about: &About) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let below = path.strip_prefix(base).unwrap_or(path).display().to_string();
    let glob = quorate_agent::system::glob::fnmatch;
    let own = format!("{}-{}-*.tar.gz", about.namespace, about.name);
    let top = path.parent() == Some(base);
    matches!(name.as_ref(), ".git" | "__pycache__")
        || name.ends_with(".pyc")
        || name.ends_with(".retry")
        || top
            && (matches!(name.as_ref(), "galaxy.yml" | "galaxy.yaml" | "MANIFEST.json" | "FILES.json")
                || glob(&name, &own)
                || below == "tests/output")
        || ignored.iter().any(|pattern| glob(&below, pattern))
}

/// The version of a collection below `ansible_collections`.
fn version_at(root: &Path, name: &str) -> Option<String> {
    let (namespace, name) = name.split_once('.')?;
    about(&root.join(namespace).join(name)).ok().map(|(about, _)| about.version)
}

/// Every file and directory of a collection, by its path.
fn files(dir: &Path, below: &Path, out: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = below.join(path.file_name().unwrap_or_default());
        out.insert(name.display().to_string(), path.clone());
        if path.is_dir() && !path.is_symlink() {
            files(&path, &name, out)?;
        }
    }
    Ok(())
}

/// `FILES.json` and `MANIFEST.json` of the collection in a directory that has been copied; as texts.
fn manifest(dir: &Path, info: &Dict) -> std::io::Result<(String, String)> {
    let mut all = BTreeMap::new();
    files(dir, Path::new(""), &mut all)?;
    let none = || Value::Null;
    let mut listed = vec![Value::dict(dict! {
        "name" => ".", "ftype" => "dir", "chksum_type" => none(), "chksum_sha256" => none(), "format" => 1i64,
    })];
    for (name, path) in &all {
        let is_dir = path.is_dir();
        let sum = if is_dir { Value::Null } else { Value::from(checksum(path)?) };
        listed.push(Value::dict(dict! {
            "name" => name.as_str(), "ftype" => if is_dir { "dir" } else { "file" },
            "chksum_type" => if is_dir { Value::Null } else { Value::from("sha256") }, "chksum_sha256" => sum, "format" => 1i64,
        }));
    }
    let style = JsonStyle { indent: Some(1), sort_keys: false, ascii: true, compact: false };
    let files = style.write(&Value::dict(dict! {"files" => Value::list(listed), "format" => 1i64}));
    let text = |key: &str| info.get(key).cloned().unwrap_or_default();
    let list = |key: &str| match info.get(key) {
        Some(Value::List(items)) => Value::List(items.clone()),
        Some(Value::Null) | None => Value::list([]),
        Some(one) => Value::list([one.clone()]),
    };
    let info = dict! {
        "namespace" => text("namespace"), "name" => text("name"), "version" => text("version"),
        "authors" => list("authors"), "readme" => text("readme"), "tags" => list("tags"), "description" => text("description"),
        "license" => list("license"), "license_file" => text("license_file"),
        "dependencies" => info.get("dependencies").filter(|v| !v.is_null()).cloned().unwrap_or_else(|| Value::dict(Dict::new())),
        "repository" => text("repository"), "documentation" => text("documentation"), "homepage" => text("homepage"),
        "issues" => text("issues"),
    };
    let manifest = style.write(&Value::dict(dict! {
        "collection_info" => Value::dict(info),
        "file_manifest_file" => Value::dict(dict! {
            "name" => "FILES.json", "ftype" => "file", "chksum_type" => "sha256",
            "chksum_sha256" => hex(&Sha256::digest(files.as_bytes())), "format" => 1i64,
        }),
        "format" => 1i64,
    }));
    Ok((files, manifest))
}

/// Writes the two files; the metadata come from the `galaxy.yml` that was kept beside.
fn write_manifest(dir: &Path) -> Result<(), String> {
    let kept = dir.with_extension("galaxy");
    let info = json_file(&kept)?;
    let info = info.as_dict().cloned().unwrap_or_default();
    let (files, manifest) = manifest(dir, &info).map_err(|e| e.to_string())?;
    std::fs::write(dir.join("FILES.json"), files)
        .and_then(|()| std::fs::write(dir.join("MANIFEST.json"), manifest))
        .map_err(|e| e.to_string())
}

/// Whether every file is what the manifest says.
fn verify(dir: &Path) -> Result<(), String> {
    let manifest = json_file(&dir.join("MANIFEST.json"))?;
    let about = manifest.as_dict().and_then(|m| m.get("file_manifest_file")).and_then(Value::as_dict);
    let sum = about.and_then(|a| a.get("chksum_sha256")).map(str_of).unwrap_or_default();
    let path = dir.join("FILES.json");
    if checksum(&path).map_err(|e| e.to_string())? != sum {
        return Err("Mismatched checksum for file 'FILES.json'".into());
    }
    let files = json_file(&path)?;
    let listed = files.as_dict().and_then(|f| f.get("files")).and_then(Value::as_list).unwrap_or_default();
    for file in listed.iter().filter_map(Value::as_dict) {
        let text = |key: &str| file.get(key).map(str_of).unwrap_or_default();
        if text("ftype") != "file" {
            continue;
        }
        let name = text("name");
        if Path::new(&name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(format!("'{name}' leads out of the collection"));
        }
        if checksum(&dir.join(&name)).ok().as_deref() != Some(text("chksum_sha256").as_str()) {
            return Err(format!("Mismatched checksum for file '{name}'"));
        }
    }
    Ok(())
}

pub(super) fn build(args: &Args, words: &[&str]) -> Result<u8, Cannot> {
    let words = if words.is_empty() { &["."][..] } else { words };
    let to = absolute(args.init_path.as_deref().unwrap_or(Path::new(".")));
    for word in words {
        let dir = absolute(Path::new(word));
        let cannot = |why: String| Cannot::start(format!("error: {why}"));
        let Some(file) = galaxy_file(&dir) else {
            return Err(cannot(format!(
                "The collection galaxy.yml path '{}/galaxy.yml' does not exist.",
                dir.display()
            )));
        };
        let info = json_file(&file).map_err(cannot)?;
        let info = info.as_dict().cloned().ok_or_else(|| cannot("galaxy.yml must be a mapping".into()))?;
        let about = About::of(&info).map_err(cannot)?;
        let archive = to.join(format!("{}-{}-{}.tar.gz", about.namespace, about.name, about.version));
        if archive.exists() && !args.force {
            return Err(cannot(format!(
                "The file '{}' already exists. You can use --force to re-create the collection artifact.",
                archive.display()
            )));
        }
        let work = tempfile::tempdir().map_err(|e| cannot(e.to_string()))?;
        let copied = work.path().join("c");
        let ignored = ignored(&dir);
        let io = |e: std::io::Error| cannot(e.to_string());
        fetch::copy(&dir, &copied, &|path| leaves_out(&dir, path, &ignored, &about)).map_err(io)?;
        let (files, manifest) = manifest(&copied, &info).map_err(io)?;
        std::fs::write(copied.join("FILES.json"), files).map_err(io)?;
        std::fs::write(copied.join("MANIFEST.json"), manifest).map_err(io)?;
        let out = std::fs::File::create(&archive).map_err(io)?;
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(out, flate2::Compression::default()));
        tar.follow_symlinks(false);
        tar.append_dir_all("", &copied).map_err(io)?;
        tar.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(io)?;
        display::out(&format!("Created collection for {} at {}", about.full(), archive.display()));
    }
    Ok(status::DONE)
}

pub(super) fn list(place: &Place<'_>, words: &[&str]) -> Result<u8, Cannot> {
    let mut paths = place.paths.clone();
    if place.named {
        paths.extend(place.configured.iter().filter(|path| !place.paths.contains(path)).cloned());
    }
    let mut all: Vec<(PathBuf, Vec<(String, String)>)> = Vec::new();
    for path in &paths {
        let root = if path.ends_with("ansible_collections") {
            path.clone()
        } else {
            path.join("ansible_collections")
        };
        let below = |dir: &Path| -> Vec<PathBuf> {
            let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .map(|e| e.path())
                .filter(|p| p.is_dir())
                .collect();
            found.sort();
            found
        };
        let name = |dir: &Path| dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for namespace in below(&root).into_iter().filter(|dir| !name(dir).contains('.')) {
            for collection in below(&namespace) {
                let full = format!("{}.{}", name(&namespace), name(&collection));
                if words.is_empty() || words.contains(&full.as_str()) {
                    let version =
                        about(&collection).map_or_else(|_| "*".to_owned(), |(about, _)| about.version);
                    found.push((full, version));
                }
            }
        }
        if !found.is_empty() {
            all.push((root, found));
        }
    }
    if all.is_empty() {
        if let Some(name) = words.first() {
            return Err(Cannot::start(format!("error: unable to find {name} in collection paths")));
        }
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        display::warning(&format!("there is no collection in {}", shown.join(":")));
    }
    let as_value = || -> Value {
        let mut whole = Dict::new();
        for (root, found) in &all {
            let mut list = Dict::new();
            for (name, version) in found {
                list.insert(name.as_str(), Value::dict(dict! {"version" => version.as_str()}));
            }
            whole.insert(root.display().to_string(), Value::dict(list));
        }
        Value::dict(whole)
    };
    match place.args.format.as_str() {
        "json" => display::out(
            &JsonStyle { indent: None, sort_keys: false, ascii: true, compact: false }.write(&as_value()),
        ),
        "yaml" => display::out(
            quorate_yaml::to_yaml(&as_value(), &quorate_yaml::EmitStyle::nice())
                .unwrap_or_default()
                .trim_end(),
        ),
        _ => {
            for (root, found) in &all {
                let names = found.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(10);
                let versions = found.iter().map(|(_, version)| version.len()).max().unwrap_or(0).max(7);
                display::out(&format!("\n# {}", root.display()));
                display::out(&format!("{:<names$} {:<versions$}", "Collection", "Version"));
                display::out(&format!("{} {}", "-".repeat(names), "-".repeat(versions)));
                for (name, version) in found {
                    display::out(&format!("{name:<names$} {version:<versions$}"));
                }
            }
        }
    }
    Ok(status::DONE)
}
