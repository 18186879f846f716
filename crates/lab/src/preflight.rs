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
    fn every_refusal_has_a_next_step() {
        for error in [LabError::NotRoot, LabError::MissingTools { missing: vec!["nft".into()] }] {
            assert!(!error.next_step().is_empty(), "{error}");
        }
        assert!(LabError::MissingTools { missing: vec![] }.next_step().contains("systemd-container"));
    }
}
