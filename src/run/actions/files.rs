//! Actions that bring content of the controller to a host, or back.
//!
//! Content is named by its hash and crosses the wire only where the host does not have it already.

use super::{ActionCall, ActionResult, remote};
use crate::connect::{Blob, BlobSource};
use crate::playbook::plain_io;
use crate::run::task::Failure;
use crate::vars::render;
use quorate_agent::protocol::hex;
use quorate_value::{Dict, Value, dict, str_of};
use sha2::Digest as _;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::io::AsyncWriteExt as _;

type Hash = [u8; 32];

/// Content up to this size may be kept in memory.
const IN_MEMORY: u64 = 1 << 20;

fn hash_bytes(bytes: &[u8]) -> Hash {
    sha2::Sha256::digest(bytes).into()
}

/// Hash and size of a file, read in pieces.
fn hash_file(path: &Path) -> std::io::Result<(Hash, u64)> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut digest = sha2::Sha256::new();
    let mut buffer = vec![0u8; 256 * 1024];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((digest.finalize().into(), size));
        }
        size += n as u64;
        digest.update(&buffer[..n]);
    }
}

fn text(call: &ActionCall<'_>, name: &str) -> Option<String> {
    call.args.get(name).filter(|v| !v.is_null()).map(str_of)
}

fn flag(call: &ActionCall<'_>, name: &str) -> bool {
    call.args.get(name).and_then(Value::to_bool_loose).unwrap_or(false)
}

fn cannot_find(name: &str, searched: &[PathBuf]) -> Failure {
    Failure::action(render::not_found(name, searched))
}

async fn to_host(call: &ActionCall<'_>, args: Dict, blobs: Vec<Blob>) -> ActionResult {
    let mut result = remote::module(call, "ansible.builtin.copy", args, blobs).await?;
    mask_invocation(&mut result);
    Ok((result, Vec::new()))
}

/// Parameters between controller and helper are nobody's business.
fn mask_invocation(result: &mut Dict) {
    if let Some(Value::Dict(invocation)) = result.get_mut("invocation")
        && let Some(Value::Dict(args)) = Arc::make_mut(invocation).get_mut("module_args")
    {
        Arc::make_mut(args)
            .retain(|key, _| !matches!(key.as_str(), Some("_content" | "_size" | "_manifest")));
    }
}

/// What is known of files of the controller, as long as they stay as they are.
#[derive(Debug, Default)]
pub struct Contents(Mutex<HashMap<PathBuf, Known>>);

#[derive(Debug, Clone)]
struct Known {
    stamp: Stamp,
    hash: Hash,
    size: u64,
    /// The bytes, while some host's job holds them.
    bytes: Option<Weak<[u8]>>,
}

/// Changes when the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Nothing where the file has changed so lately that another change could look the same.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(path).ok()?;
        let settled = meta.modified().ok()?.elapsed().is_ok_and(|age| age.as_secs() >= 2);
        let changed = (meta.ctime(), meta.ctime_nsec());
        settled.then_some(Stamp { inode: (meta.dev(), meta.ino()), size: meta.len(), changed })
    }
}

/// How content is kept until a host wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Small files in memory, so that they may travel with the job.
    Memory,
    /// On the disk: there are many, and most hosts have most of them.
    Disk,
}

/// A file of the controller as content: the text of a vaulted one is decrypted unless `decrypt: false`.
/// Several hosts share what was read for the first.
fn content_of(call: &ActionCall<'_>, path: &Path, keep: Keep) -> Result<(Hash, u64, BlobSource), Failure> {
    let stamp = Stamp::of(path);
    let all = || call.run.contents.0.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all().get(path).filter(|known| Some(known.stamp) == stamp).cloned();
    if let Some(known) = known {
        let bytes = known.bytes.as_ref().and_then(Weak::upgrade);
        let source = if known.size <= IN_MEMORY && keep == Keep::Memory {
            bytes.map(BlobSource::Bytes)
        } else {
            Some(BlobSource::File(path.to_path_buf()))
        };
        if let Some(source) = source {
            return Ok((known.hash, known.size, source));
        }
    }
    let (hash, size, source, vaulted) = read_content(call, path)?;
    let Some(stamp) = stamp.filter(|_| !vaulted) else { return Ok((hash, size, source)) };
    let bytes = match &source {
        BlobSource::Bytes(bytes) => Some(Arc::downgrade(bytes)),
        BlobSource::File(_) => None,
    };
    all().insert(path.to_path_buf(), Known { stamp, hash, size, bytes });
    let source = if keep == Keep::Disk { BlobSource::File(path.to_path_buf()) } else { source };
    Ok((hash, size, source))
}

fn read_content(call: &ActionCall<'_>, path: &Path) -> Result<(Hash, u64, BlobSource, bool), Failure> {
    let read =
        |e: std::io::Error| Failure::action(format!("could not read {}: {}", path.display(), plain_io(&e)));
    let mut head = [0u8; 14];
    let vaulted = std::fs::File::open(path).map_err(read).and_then(|mut file| {
        use std::io::Read as _;
        Ok(file.read(&mut head).map_err(read)? == 14 && &head == b"$ANSIBLE_VAULT")
    })?;
    let decrypt = call.args.get("decrypt").and_then(Value::to_bool_loose).unwrap_or(true);
    if vaulted && decrypt {
        let bytes = std::fs::read(path).map_err(read)?;
        let plain =
            crate::secrets::open(&String::from_utf8_lossy(&bytes), &call.run.shared.vault).map_err(|e| {
                match e {
                    quorate_vault::VaultError::NoSecrets => Failure::action(format!(
                        "A vault password or secret must be specified to decrypt {}",
                        path.display()
                    )),
                    other => Failure::action(format!("{other}: {}", path.display())),
                }
            })?;
        let bytes: Arc<[u8]> = plain.to_vec().into();
        return Ok((hash_bytes(&bytes), bytes.len() as u64, BlobSource::Bytes(bytes), true));
    }
    if std::fs::metadata(path).map_err(read)?.len() <= IN_MEMORY {
        let bytes: Arc<[u8]> = std::fs::read(path).map_err(read)?.into();
        return Ok((hash_bytes(&bytes), bytes.len() as u64, BlobSource::Bytes(bytes), vaulted));
    }
    let (hash, size) = hash_file(path).map_err(read)?;
    Ok((hash, size, BlobSource::File(path.to_path_buf()), vaulted))
}

pub(super) async fn copy(call: &ActionCall<'_>) -> ActionResult {
    let (src, content) = (text(call, "src"), call.args.get("content").filter(|v| !v.is_null()));
    let dest = text(call, "dest");
    if src.as_ref().is_none_or(String::is_empty) && content.is_none() {
        return Err(Failure::action("src (or content) is required"));
    }
    if src.is_some() && content.is_some() {
        return Err(Failure::action("src and content are mutually exclusive"));
    }
    let Some(dest) = dest.filter(|d| !d.is_empty()) else {
        return Err(Failure::action("dest is required"));
    };
    if content.is_some() && dest.ends_with('/') {
        return Err(Failure::action("can not use content with a dir as dest"));
    }
    let mut args = call.args.clone();
    for own in ["content", "decrypt"] {
        args.remove(own);
    }
    if let Some(content) = content {
        let text = match content {
            Value::Dict(_) | Value::List(_) => quorate_value::to_json(content),
            other => str_of(other),
        };
        let bytes: Arc<[u8]> = quorate_value::raw::encode(&text).into();
        return send_bytes(call, args, bytes, None).await;
    }
    if flag(call, "remote_src") {
        return to_host(call, args, Vec::new()).await;
    }
    let src = src.expect("looked above");
    let path = render::find_file(call.scope, "files", src.trim_end_matches('/'))
        .map_err(|searched| cannot_find(&src, &searched))?;
    if path.is_dir() {
        return copy_tree(call, args, &src, &path).await;
    }
    let (hash, size, source) = content_of(call, &path, Keep::Memory)?;
    args.insert("_content", hex(&hash));
    args.insert("_size", size);
    args.insert("_original_basename", path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    args.insert("src", path.display().to_string());
    if args.get("mode").and_then(Value::as_str) == Some("preserve") {
        args.insert("mode", mode_of(&path));
    }
    to_host(call, args, vec![Blob { hash, source }]).await
}

fn mode_of(path: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .map_or_else(|_| "0644".into(), |meta| format!("0{:03o}", meta.permissions().mode() & 0o7777))
}

async fn send_bytes(
    call: &ActionCall<'_>,
    mut args: Dict,
    bytes: Arc<[u8]>,
    name: Option<&str>,
) -> ActionResult {
    let hash = hash_bytes(&bytes);
    args.insert("_content", hex(&hash));
    args.insert("_size", bytes.len());
    if let Some(name) = name {
        args.insert("_original_basename", name);
    }
    to_host(call, args, vec![Blob { hash, source: BlobSource::Bytes(bytes) }]).await
}

/// A directory: one manifest, compared on the host in one round trip.
async fn copy_tree(call: &ActionCall<'_>, mut args: Dict, src: &str, path: &Path) -> ActionResult {
    let mut manifest = Vec::new();
    let mut blobs = Vec::new();
    // `dir` copies the directory itself, `dir/` what is in it
    let prefix =
        if src.ends_with('/') { PathBuf::new() } else { PathBuf::from(path.file_name().unwrap_or_default()) };
    if !prefix.as_os_str().is_empty() {
        manifest.push(Value::from(
            dict! {"path" => prefix.display().to_string(), "kind" => "directory", "mode" => mode_of(path)},
        ));
    }
    let follow = call.args.get("local_follow").and_then(Value::to_bool_loose).unwrap_or(true);
    let mut above = vec![std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())];
    tree(call, path, &prefix, follow, &mut manifest, &mut blobs, &mut above)?;
    args.insert("_manifest", Value::list(manifest));
    let slash = if src.ends_with('/') { "/" } else { "" };
    args.insert("src", format!("{}{slash}", path.display()));
    to_host(call, args, blobs).await
}

fn tree(
    call: &ActionCall<'_>,
    dir: &Path,
    below: &Path,
    follow: bool,
    manifest: &mut Vec<Value>,
    blobs: &mut Vec<Blob>,
    above: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    if above.len() > 100 {
        return Err(Failure::action(format!("{} holds itself by way of a link", dir.display())));
    }
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .map_err(|e| Failure::action(format!("could not read {}: {}", dir.display(), plain_io(&e))))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    // the files of a folder before what is in folders below it
    entries.sort_by_cached_key(|path| (path.is_dir(), path.clone()));
    for path in entries {
        let name = below.join(path.file_name().unwrap_or_default());
        let link = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.file_type().is_symlink());
        let shown = name.display().to_string();
        // a link to what is around it, or to nothing, stays a link
        let around = || std::fs::canonicalize(&path).is_ok_and(|real| above.contains(&real));
        if link && (!follow || !path.exists() || (path.is_dir() && around())) {
            let target = std::fs::read_link(&path).unwrap_or_default();
            manifest.push(Value::from(
                dict! {"path" => shown, "kind" => "link", "target" => target.display().to_string()},
            ));
        } else if path.is_dir() {
            manifest
                .push(Value::from(dict! {"path" => shown, "kind" => "directory", "mode" => mode_of(&path)}));
            above.push(std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone()));
            tree(call, &path, &name, follow, manifest, blobs, above)?;
            above.pop();
        } else {
            let (hash, size, source) = content_of(call, &path, Keep::Disk)?;
            let mut entry = dict! {"path" => shown, "kind" => "file", "hash" => hex(&hash), "size" => size};
            if call.args.get("mode").and_then(Value::as_str) == Some("preserve") {
                entry.insert("mode", mode_of(&path));
            }
            manifest.push(Value::from(entry));
            blobs.push(Blob { hash, source });
        }
    }
    Ok(())
}

pub(super) async fn template(call: &ActionCall<'_>) -> ActionResult {
    let (Some(src), Some(_)) = (text(call, "src"), text(call, "dest")) else {
        return Err(Failure::action("src and dest are required"));
    };
    if let Some(state) = call.args.get("state").filter(|v| !v.is_null()) {
        return Err(Failure::action(format!(
            "'state' cannot be specified on a template, got: {}",
            str_of(state)
        )));
    }
    let path =
        render::find_file(call.scope, "templates", &src).map_err(|searched| cannot_find(&src, &searched))?;
    if path.is_dir() {
        return Err(Failure::action(format!("{} is a directory, a template is a file", path.display())));
    }
    let output = render::template_file(call.scope, &path, &call.args).map_err(|error| {
        let span = render::place_of(&error).unwrap_or(call.step.task.span);
        Failure::task(call.step, vec![(error.to_string(), span)])
    })?;
    let encoding = text(call, "output_encoding").unwrap_or_else(|| "utf-8".into());
    let mut args = call.args.clone();
    for own in [
        "newline_sequence",
        "block_start_string",
        "block_end_string",
        "variable_start_string",
        "variable_end_string",
        "comment_start_string",
        "comment_end_string",
        "trim_blocks",
        "lstrip_blocks",
        "output_encoding",
    ] {
        args.remove(own);
    }
    if args.get("mode").and_then(Value::as_str) == Some("preserve") {
        args.insert("mode", mode_of(&path));
    }
    if !args.contains_key("follow") {
        args.insert("follow", false);
    }
    args.insert("src", path.display().to_string());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.clone();
    let bytes: Arc<[u8]> = encoded(&output, &encoding).map_err(Failure::action)?.into();
    let outcome = send_bytes(call, args, bytes, Some(&stem)).await?;
    let (mut result, effects) = outcome;
    // a diff names the template, as Ansible's does
    for key in ["diff"] {
        if let Some(Value::List(items)) = result.get_mut(key) {
            for item in Arc::make_mut(items) {
                rename_after(item, &path);
            }
        } else if let Some(item) = result.get_mut(key) {
            rename_after(item, &path);
        }
    }
    Ok((result, effects))
}

/// Text in one of the encodings that files are written in.
fn encoded(text: &str, encoding: &str) -> Result<Vec<u8>, String> {
    let name = encoding.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let wide = |big: bool| -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    };
    let single = |byte: &dyn Fn(char) -> Option<u8>| -> Result<Vec<u8>, String> {
        text.chars()
            .enumerate()
            .map(|(at, letter)| {
                byte(letter).ok_or_else(|| {
                    format!(
                        "'{encoding}' codec can't encode character '\\u{:04x}' in position {at}",
                        u32::from(letter)
                    )
                })
            })
            .collect()
    };
    let latin = |letter: char| u8::try_from(u32::from(letter)).ok();
    match name.as_str() {
        "utf8" => Ok(quorate_value::raw::encode(text)),
        "utf8sig" => Ok([b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat()),
        "utf16" => Ok([vec![0xff, 0xfe], wide(false)].concat()),
        "utf16le" => Ok(wide(false)),
        "utf16be" => Ok(wide(true)),
        "ascii" | "usascii" => single(&|letter| letter.is_ascii().then(|| latin(letter)).flatten()),
        "latin1" | "iso88591" | "l1" => single(&latin),
        "cp1252" | "windows1252" => single(&|letter| match letter {
            '\u{80}'..='\u{9f}' => None,
            letter => latin(letter).or_else(|| {
                let at = CP1252.chars().position(|known| known == letter && known != ' ')?;
                u8::try_from(0x80 + at).ok()
            }),
        }),
        _ => Err(format!("unknown encoding: {encoding}")),
    }
}

/// What Windows-1252 has from 0x80 to 0x9F; a space stands where it has nothing.
const CP1252: &str = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";

fn rename_after(diff: &mut Value, path: &Path) {
    if let Value::Dict(entries) = diff
        && entries.contains_key("after")
        && entries.contains_key("after_header")
    {
        let name = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Arc::make_mut(entries).insert("after_header", name.display().to_string());
    }
}

pub(super) async fn assemble(call: &ActionCall<'_>) -> ActionResult {
    let (Some(src), Some(_)) = (text(call, "src"), text(call, "dest")) else {
        return Err(Failure::action("src and dest are required"));
    };
    if call.args.get("remote_src").and_then(Value::to_bool_loose).unwrap_or(true) {
        let result = remote::module(call, "ansible.builtin.assemble", call.args.clone(), Vec::new()).await?;
        return Ok((result, Vec::new()));
    }
    let dir =
        render::find_file(call.scope, "files", &src).map_err(|searched| cannot_find(&src, &searched))?;
    if !dir.is_dir() {
        return Err(Failure::action(format!("Source ({src}) is not a directory")));
    }
    let pattern = match text(call, "regexp") {
        Some(pattern) => Some(
            quorate_inventory::regex(&pattern)
                .map_err(|e| Failure::action(format!("Invalid Regexp ({e}) in \"{pattern}\"")))?,
        ),
        None => None,
    };
    let hidden = flag(call, "ignore_hidden");
    let delimiter = text(call, "delimiter").map(|d| d.replace("\\n", "\n").replace("\\t", "\t"));
    let mut names: Vec<PathBuf> = std::fs::read_dir(&dir)
        .map_err(|e| Failure::action(format!("could not read {}: {}", dir.display(), plain_io(&e))))?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|path| path.is_file())
        .collect();
    names.sort();
    let mut whole: Vec<u8> = Vec::new();
    let mut want_newline = false;
    for (i, path) in names.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if pattern.as_ref().is_some_and(|re| !re.is_match(&name).unwrap_or(false))
            || (hidden && name.starts_with('.'))
        {
            continue;
        }
        let bytes = std::fs::read(path)
            .map_err(|e| Failure::action(format!("could not read {}: {}", path.display(), plain_io(&e))))?;
        if want_newline && i > 0 {
            whole.push(b'\n');
        }
        if let Some(delimiter) = delimiter.as_ref().filter(|_| !whole.is_empty()) {
            whole.extend(delimiter.as_bytes());
            if !delimiter.ends_with('\n') {
                whole.push(b'\n');
            }
        }
        want_newline = !bytes.ends_with(b"\n");
        whole.extend(bytes);
    }
    let mut args = call.args.clone();
    for own in ["regexp", "delimiter", "ignore_hidden", "remote_src", "decrypt"] {
        args.remove(own);
    }
    let (mut result, effects) = send_bytes(call, args, whole.into(), Some("assembled")).await?;
    // one file, one diff
    if let Some(first) = result.get("diff").and_then(Value::as_list).and_then(|list| list.first()).cloned() {
        result.insert("diff", first);
    }
    Ok((result, effects))
}

pub(super) async fn unarchive(call: &ActionCall<'_>) -> ActionResult {
    let (Some(src), Some(_)) = (text(call, "src"), text(call, "dest")) else {
        return Err(Failure::action("src (or content) and dest are required"));
    };
    let mut args = call.args.clone();
    args.remove("decrypt");
    if flag(call, "remote_src") || src.contains("://") {
        if src.contains("://") && !flag(call, "remote_src") {
            args.insert("remote_src", true);
        }
        let result = remote::module(call, "ansible.builtin.unarchive", args, Vec::new()).await?;
        return Ok((result, Vec::new()));
    }
    let path =
        render::find_file(call.scope, "files", &src).map_err(|searched| cannot_find(&src, &searched))?;
    let (hash, size, source) = content_of(call, &path, Keep::Memory)?;
    args.insert("_content", hex(&hash));
    args.insert("_size", size);
    args.insert("_original_basename", path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    args.insert("src", path.display().to_string());
    let mut result =
        remote::module(call, "ansible.builtin.unarchive", args, vec![Blob { hash, source }]).await?;
    mask_invocation(&mut result);
    Ok((result, Vec::new()))
}

/// Arguments that do not fit, in Ansible's words.
pub(super) fn invalid(call: &ActionCall<'_>, message: &str) -> Failure {
    Failure::task(call.step, vec![(message.to_owned(), call.step.task.span)]).saying(message)
}

pub(super) async fn script(call: &ActionCall<'_>) -> ActionResult {
    if call.async_.is_some() {
        return Err(invalid(call, "This action (script) does not support async."));
    }
    let line = text(call, "_raw_params").or_else(|| text(call, "cmd")).unwrap_or_default();
    let words = quorate_agent::system::shlex::split(&line)
        .map_err(|e| Failure::action(format!("the command line does not split: {e}")))?;
    let Some(name) = words.first() else {
        return Err(invalid(call, "one of the following is required: _raw_params, cmd"));
    };
    let path =
        render::find_file(call.scope, "files", name).map_err(|searched| cannot_find(name, &searched))?;
    let (hash, size, source) = content_of(call, &path, Keep::Memory)?;
    let mut args = call.args.clone();
    for own in ["_raw_params", "cmd", "decrypt"] {
        args.remove(own);
    }
    let rest = line
        .trim_start()
        .strip_prefix(name.as_str())
        .map_or_else(|| quorate_agent::system::shlex::join(&words[1..]), |r| r.trim_start().to_owned());
    args.insert("_content", hex(&hash));
    args.insert("_size", size);
    args.insert("_arguments", rest);
    args.insert("_original_basename", path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let mut result =
        remote::module(call, "ansible.builtin.script", args, vec![Blob { hash, source }]).await?;
    mask_invocation(&mut result);
    Ok((result, Vec::new()))
}

/// Where a fetched file goes: never outside `dest`, whatever the host calls it.
fn fetch_path(dest: &str, host: &str, source: &str, flat: bool) -> PathBuf {
    if flat {
        let base = Path::new(source).file_name().unwrap_or_default();
        return if dest.ends_with('/') { Path::new(dest).join(base) } else { PathBuf::from(dest) };
    }
    let mut path = PathBuf::from(dest).join(host.replace('/', "_"));
    for part in Path::new(source).components() {
        if let Component::Normal(part) = part {
            path.push(part);
        }
    }
    path
}

pub(super) async fn fetch(call: &ActionCall<'_>) -> ActionResult {
    for (name, word) in [("src", "source"), ("dest", "dest")] {
        if call.args.get(name).is_some_and(|value| matches!(value, Value::List(_) | Value::Dict(_))) {
            let message = format!("Invalid type supplied for {word} option, it must be a string");
            return Err(Failure::action(message));
        }
    }
    let (Some(source), Some(dest)) = (text(call, "src"), text(call, "dest")) else {
        return Err(Failure::action("src and dest are required"));
    };
    if call.check {
        return Ok((
            dict! {"changed" => false, "skipped" => true, "msg" => "check mode not (yet) supported for this module"},
            Vec::new(),
        ));
    }
    let strict = call.args.get("fail_on_missing").and_then(Value::to_bool_loose).unwrap_or(true);
    let flat = flag(call, "flat");
    let stat_args = dict! {"path" => &source, "follow" => true, "get_checksum" => true, "get_mime" => false, "get_attributes" => false};
    let stat = remote::module(call, "ansible.builtin.stat", stat_args, Vec::new()).await?;
    let Some(Value::Dict(stat)) = stat.get("stat") else {
        let message = stat.get("msg").map_or_else(|| "the file could not be looked at".into(), str_of);
        if message.contains("Permission denied") {
            return Err(Failure::action(format!("File is not readable: {source}")));
        }
        return Err(Failure::action(message));
    };
    let problem = if !stat.get("exists").is_some_and(Value::is_truthy) {
        Some("the remote file does not exist, not transferring, ignored")
    } else if stat.get("isdir").is_some_and(Value::is_truthy) {
        Some("remote file is a directory, fetch cannot work on directories")
    } else if !stat.get("readable").is_none_or(Value::is_truthy) {
        Some("no read permission on remote file, not transferring, ignored")
    } else {
        None
    };
    if let Some(problem) = problem {
        if strict {
            let message = problem.replace(", not transferring, ignored", "");
            let mut failure = Failure::action(message);
            failure.result.insert("file", &source);
            return Err(failure);
        }
        return Ok((
            dict! {"changed" => false, "failed" => false, "file" => &source, "msg" => problem},
            Vec::new(),
        ));
    }
    let base = if Path::new(&dest).is_absolute() {
        PathBuf::from(&dest)
    } else {
        call.run.shared.options.playbook_dir.join(&dest)
    };
    let base = if dest.ends_with('/') { format!("{}/", base.display()) } else { base.display().to_string() };
    let path: PathBuf = fetch_path(&base, call.host, &source, flat).components().collect();
    if path.is_dir() {
        return Err(Failure::action(if dest.ends_with('/') || !flat {
            format!(
                "calculated dest '{}' is an existing directory, use another path that does not point to an existing directory",
                path.display()
            )
        } else {
            "dest is an existing directory, use a trailing slash if you want to fetch src into that directory"
                .to_owned()
        }));
    }
    let remote_sum = stat.get("checksum").map(str_of).unwrap_or_default();
    let local_sum = if path.is_file() { sha1_of(&path).unwrap_or_default() } else { String::new() };
    let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
    if !remote_sum.is_empty() && remote_sum == local_sum {
        return Ok((
            dict! {"changed" => false, "md5sum" => Value::Null, "file" => &source, "dest" => shown, "checksum" => remote_sum},
            Vec::new(),
        ));
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .map_err(|e| Failure::action(format!("cannot make {}: {}", parent.display(), plain_io(&e))))?;
    let link = remote::link(call).await?;
    // the host has made something of `~user` by now
    let real = stat.get("path").and_then(Value::as_str).unwrap_or(&source);
    let mut chunks = link.read_file(real).await.map_err(|e| remote::run_failure(call, e))?;
    let temporary = tempfile::Builder::new()
        .prefix(".quorate-")
        .tempfile_in(parent)
        .map_err(|e| Failure::action(format!("cannot write in {}: {}", parent.display(), plain_io(&e))))?;
    let write_failed = |e: std::io::Error| Failure::action(format!("cannot write {shown}: {}", plain_io(&e)));
    let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(write_failed)?);
    let mut digest = sha1::Sha1::new();
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk.map_err(|why| Failure::action(format!("could not read {source}: {why}")))?;
        sha1::Digest::update(&mut digest, &chunk);
        file.write_all(&chunk).await.map_err(write_failed)?;
    }
    file.flush().await.map_err(write_failed)?;
    file.sync_all().await.map_err(write_failed)?;
    let got = hex(&sha1::Digest::finalize(digest));
    let validate = call.args.get("validate_checksum").and_then(Value::to_bool_loose).unwrap_or(true);
    if validate && !remote_sum.is_empty() && got != remote_sum {
        let mut failure = Failure::action("checksum mismatch");
        for (key, value) in [
            ("file", source.clone()),
            ("dest", shown.clone()),
            ("remote_checksum", remote_sum.clone()),
            ("checksum", got.clone()),
        ] {
            failure.result.insert(key, value);
        }
        return Err(failure);
    }
    {
        use std::os::unix::fs::PermissionsExt as _;
        // what a host keeps from others stays so here
        let bits = stat
            .get("mode")
            .and_then(Value::as_str)
            .and_then(|m| u32::from_str_radix(m, 8).ok())
            .unwrap_or(0o600);
        let bits = 0o600 | (bits & 0o044);
        std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(bits))
            .map_err(write_failed)?;
    }
    temporary.persist(&path).map_err(|e| write_failed(e.error))?;
    Ok((
        dict! {
            "changed" => true, "md5sum" => Value::Null, "dest" => shown, "remote_md5sum" => Value::Null,
            "checksum" => &got, "remote_checksum" => remote_sum,
        },
        Vec::new(),
    ))
}

fn sha1_of(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut digest = sha1::Sha1::new();
    let mut buffer = vec![0u8; 256 * 1024];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&sha1::Digest::finalize(digest)));
        }
        sha1::Digest::update(&mut digest, &buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetched_file_stays_inside_its_destination() {
        for (dest, host, source, flat, expected) in [
            ("/d", "h", "/etc/passwd", false, "/d/h/etc/passwd"),
            ("/d", "h", "/../../x", false, "/d/h/x"),
            ("/d", "../h", "/x", false, "/d/.._h/x"),
            ("/d/", "h", "/etc/passwd", true, "/d/passwd"),
            ("/d/f", "h", "/etc/passwd", true, "/d/f"),
        ] {
            assert_eq!(
                fetch_path(dest, host, source, flat),
                PathBuf::from(expected),
                "{dest} {host} {source}"
            );
        }
    }
}
