//! Is this a machine that can run a lab? Asked before anything is changed.

use crate::command::search_path;
use crate::{LabError, Result};
use std::path::PathBuf;

/// The Debian packages that the machine itself needs for the lab.
pub const HOST_PACKAGES: &[&str] =
    &["systemd-container", "mmdebstrap", "iproute2", "nftables", "openssh-client", "e2fsprogs", "util-linux"];

/// Programs the lab calls, each with the reason a person can act on.
const TOOLS: &[&str] = &[
    "systemd-nspawn",
    "mmdebstrap",
    "ip",
    "nft",
    "ssh",
    "ssh-keygen",
    "mkfs.ext4",
    "nsenter",
    "unshare",
    "setsid",
    "flock",
    "mount",
];

/// Checks the machine and changes nothing.
pub fn check() -> Result<()> {
    if std::env::consts::OS != "linux" {
        return Err(LabError::NotLinux { os: std::env::consts::OS });
    }
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    let missing = missing_tools(TOOLS, &search_path());
    if !missing.is_empty() {
        return Err(LabError::MissingTools { missing });
    }
    for (filesystem, what) in [("overlay", "overlayfs"), ("cgroup2", "cgroup v2")] {
        if !has_filesystem(filesystem) {
            return Err(LabError::Kernel { what });
        }
    }
    Ok(())
}

fn has_filesystem(name: &str) -> bool {
    let listed = || {
        std::fs::read_to_string("/proc/filesystems")
            .is_ok_and(|text| text.lines().any(|l| l.split_whitespace().next_back() == Some(name)))
    };
    // Distribution kernels have overlayfs as a module that the first mount would load.
    listed() || (crate::command::run("modprobe", &[name]).is_ok() && listed())
}

/// A machine that boots needs this many watchers of files, for systemd and what it starts.
const WATCHERS_OF_A_HOST: usize = 8;

/// Why hosts do not come up, if that is why: the kernel lets each user watch files so many times, all labs together.
pub(crate) fn inotify_used_up() -> Option<String> {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok()?;
    used_up(watchers(), limit.trim().parse().ok()?)
}

fn used_up(used: usize, limit: usize) -> Option<String> {
    (used + WATCHERS_OF_A_HOST > limit).then(|| {
        format!(
            "of the {limit} watchers of files that this kernel allows {used} are in use, and a host needs \
             {WATCHERS_OF_A_HOST}: take labs down, or `sysctl fs.inotify.max_user_instances={}`",
            limit * 4
        )
    })
}

/// Open descriptors of inotify, of all processes.
fn watchers() -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let descriptors =
        processes.flatten().filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok());
    let targets = descriptors.flatten().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets.filter(|target| target.as_os_str() == "anon_inode:inotify").count()
}

fn missing_tools(tools: &[&str], directories: &[PathBuf]) -> Vec<String> {
    let found = |tool: &str| directories.iter().any(|d: &PathBuf| d.join(tool).is_file());
    tools.iter().filter(|tool| !found(tool)).map(|tool| (*tool).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named() {
        let directories = search_path();
        assert_eq!(missing_tools(&["sh", "no-such-tool-of-ours"], &directories), ["no-such-tool-of-ours"]);
    }

    #[test]
    fn watchers_are_counted() {
        assert_eq!(used_up(120, 128), None);
        assert!(used_up(121, 128).is_some_and(|why| why.contains("121 are in use") && why.contains("=512")));
    }

    #[test]
    fn every_refusal_has_a_next_step() {
        for error in [LabError::NotRoot, LabError::MissingTools { missing: vec!["nft".into()] }] {
            assert!(!error.next_step().is_empty(), "{error}");
        }
        assert!(LabError::MissingTools { missing: vec![] }.next_step().contains("systemd-container"));
    }
}
