//! The lab's processes, found and ended through cgroup v2: `quorate-lab/<lab>/<host>`.
//!
//! **Invariant:** only processes inside the lab's own cgroup are ever signalled, so a reused pid is never hit.

use crate::error::At;
use crate::{LabError, Result, paths};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The root of all labs in the cgroup v2 tree, wherever this machine has it mounted.
pub(crate) fn labs() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").at("read", "/proc/self/mountinfo")?;
    let own = PathBuf::from(paths::RUN).join(".cgroup2");
    if let Some(root) = find_cgroup2(&mounts) {
        return Ok(root.join("quorate-lab"));
    }
    // A machine with only the old hierarchies: the new one can be mounted beside them.
    fs::create_dir_all(&own).at("create", &own)?;
    crate::command::run("mount", &["-t", "cgroup2", "none", &own.to_string_lossy()])?;
    Ok(own.join("quorate-lab"))
}

/// The first mount of cgroup v2 that shows the whole tree.
fn find_cgroup2(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (right.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(point))
    })
}

/// Makes a cgroup; being there already is fine.
pub(crate) fn make(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at("create", path)
}

/// Is any process in this cgroup or below?
pub(crate) fn populated(path: &Path) -> bool {
    fs::read_to_string(path.join("cgroup.events")).is_ok_and(|text| text.lines().any(|l| l == "populated 1"))
}

/// Is everything in this cgroup stopped by the freezer?
pub(crate) fn frozen(path: &Path) -> bool {
    fs::read_to_string(path.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
}

/// Every cgroup here and below that was frozen by name, not by a parent.
pub(crate) fn all_frozen(path: &Path) -> Vec<PathBuf> {
    tree(path).into_iter().filter(|d| frozen(d)).collect()
}

/// Freezes or thaws a cgroup and all below, and waits until it is so.
pub(crate) fn set_frozen(path: &Path, freeze: bool) -> Result<()> {
    let file = path.join("cgroup.freeze");
    fs::write(&file, if freeze { "1" } else { "0" }).at("write", &file)?;
    let wanted = format!("frozen {}", u8::from(freeze));
    wait_for(Duration::from_secs(10), || {
        fs::read_to_string(path.join("cgroup.events")).is_ok_and(|text| text.lines().any(|l| l == wanted))
    });
    Ok(())
}

/// Every process in this cgroup and below.
pub(crate) fn processes(path: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for directory in tree(path) {
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    found
}

/// Ends every process in this cgroup and below with SIGKILL, all at once, and waits for it.
pub(crate) fn kill(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let file = path.join("cgroup.kill");
    fs::write(&file, "1").at("write", &file)?;
    if wait_for(Duration::from_secs(20), || !populated(path)) {
        return Ok(());
    }
    Err(LabError::Unavailable { what: "SIGKILL", why: format!("processes in {} do not end", path.display()) })
}

/// Removes an empty cgroup and everything below.
pub(crate) fn remove(path: &Path) -> Result<()> {
    for directory in tree(path).iter().rev() {
        // Just after the last process has gone the kernel may still say busy.
        let gone = wait_for(Duration::from_secs(5), || match fs::remove_dir(directory) {
            Ok(()) => true,
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
        });
        if !gone {
            fs::remove_dir(directory).at("remove", directory)?;
        }
    }
    Ok(())
}

/// The directory of a unit or slice of that name below `path`.
pub(crate) fn find(path: &Path, name: &str) -> Option<PathBuf> {
    tree(path).into_iter().find(|d| d.file_name().is_some_and(|f| f == name))
}

/// The cgroup and all below, parents before children.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        open.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        all.push(directory);
    }
    all
}

/// Polls until it holds; false when the time is over.
pub(crate) fn wait_for(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_in_hybrid_and_unified_trees() {
        let hybrid = "30 29 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 29 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let unified = "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let part = "25 20 0:22 /../x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(find_cgroup2(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(find_cgroup2(unified), Some("/sys/fs/cgroup".into()));
        assert_eq!(find_cgroup2(part), None);
    }
}
