//! From a tarball, a directory or a git repository to a directory with its content.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Unpacks a `.tar.gz` (or `.tar`) into a directory; nothing leaves that directory.
pub(super) fn unpack(archive: &Path, into: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| {
        format!("{} could not be unpacked: {}", archive.display(), crate::playbook::plain_io(&e))
    };
    let mut file = std::fs::File::open(archive).map_err(told)?;
    let mut start = [0u8; 2];
    let zipped = std::io::Read::read_exact(&mut file, &mut start).is_ok() && start == [0x1f, 0x8b];
    std::io::Seek::rewind(&mut file).map_err(told)?;
    std::fs::create_dir_all(into).map_err(told)?;
    if zipped {
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(into).map_err(told)
    } else {
        tar::Archive::new(file).unpack(into).map_err(told)
    }
}

/// Clones a repository at a version.
pub(super) fn clone(url: &str, version: Option<&str>, into: &Path) -> Result<(), String> {
    if version.is_some_and(|version| version.starts_with('-')) {
        return Err(format!("'{}' is no version", version.unwrap_or_default()));
    }
    run(
        Command::new("git").args(["clone", "--quiet", "--"]).arg(url).arg(into),
        &format!("git clone {url}"),
    )?;
    let version = version.filter(|version| *version != "HEAD");
    if let Some(version) = version {
        let mut checkout = Command::new("git");
        checkout.arg("-C").arg(into).args(["checkout", "--quiet", version, "--"]);
        run(&mut checkout, &format!("git checkout {version}"))?;
    }
    Ok(())
}

fn run(command: &mut Command, what: &str) -> Result<(), String> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| format!("`git` could not be started: {}", crate::playbook::plain_io(&e)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("- command {what} failed: {}", said.trim()))
}

/// The directory, at most one level down, that a test accepts.
pub(super) fn root(dir: &Path, is: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    if is(dir) {
        return Some(dir.to_path_buf());
    }
    let mut below: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| p.is_dir())
        .collect();
    below.sort();
    below.into_iter().find(|dir| is(dir))
}

/// Copies a tree: files with their modes, links as links.
pub(super) fn copy(from: &Path, to: &Path, leave: &dyn Fn(&Path) -> bool) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if leave(&source) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
        } else if kind.is_dir() {
            copy(&source, &target, leave)?;
        } else if kind.is_file() {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Puts a finished directory in its place; what was there goes.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| {
        format!("{} could not be written: {}", to.display(), crate::playbook::plain_io(&e))
    };
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(told)?;
    }
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(told)?;
    }
    std::fs::rename(from, to).or_else(|_| copy(from, to, &|_| false)).map_err(told)
}
