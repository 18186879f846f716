//! SELinux labels, through the `security.selinux` attribute; nothing happens on hosts without SELinux.

use std::path::Path;
use std::sync::OnceLock;

const ATTRIBUTE: &str = "security.selinux";

/// Whether the kernel enforces or logs by labels.
pub fn enabled() -> bool {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    *ENABLED.get_or_init(|| Path::new("/sys/fs/selinux/enforce").exists())
}

/// The label of a path itself.
pub fn context(path: &Path) -> Option<String> {
    let mut bytes = vec![0; 1024];
    let length = rustix::fs::lgetxattr(path, ATTRIBUTE, &mut bytes[..]).ok()?;
    bytes.truncate(length);
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

/// Gives a path this label.
pub(super) fn set(path: &Path, label: &str) -> std::io::Result<()> {
    let mut bytes = label.as_bytes().to_vec();
    bytes.push(0);
    Ok(rustix::fs::lsetxattr(path, ATTRIBUTE, &bytes, rustix::fs::XattrFlags::empty())?)
}

/// What the policy says for a path, asked of `matchpathcon`.
pub(super) fn policy(path: &Path) -> Option<String> {
    let program = crate::system::process::which("matchpathcon", &[])?;
    let output =
        crate::system::process::Command::new([program.as_str(), "-n"]).arg(path).run_quietly().ok()?;
    let text = output.stdout_text();
    let label = text.trim();
    (output.ok() && label.contains(':')).then(|| label.to_owned())
}

/// Gives `new` the label that `old` has, or that the policy has for it where it is not there yet.
pub fn keep(old: &Path, new: &Path) {
    if !enabled() {
        return;
    }
    if let Some(label) = context(old).or_else(|| policy(old)) {
        // A file system without labels is no reason to fail: it has none on the old file either.
        set(new, &label).ok();
    }
}

/// The label after `wanted` (user, role, type, level) replaces its parts; `_default` takes the policy's part.
pub(super) fn merge(current: &str, wanted: &[Option<String>; 4], policy: Option<&str>) -> String {
    let parts = |label: &str| -> Vec<String> { label.splitn(4, ':').map(str::to_owned).collect() };
    let mut merged = parts(current);
    let policy = policy.map(parts).unwrap_or_default();
    merged.resize(merged.len().max(3), String::new());
    for (at, part) in wanted.iter().enumerate() {
        let value = match part.as_deref() {
            Some("_default") => policy.get(at).cloned(),
            Some(value) => Some(value.to_owned()),
            None => None,
        };
        if let Some(value) = value {
            merged.resize(merged.len().max(at + 1), String::new());
            merged[at] = value;
        }
    }
    merged.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_replaced() {
        let wanted = [None, None, Some("etcd_data_t".to_owned()), Some("_default".to_owned())];
        let merged = merge("system_u:object_r:var_t:s0", &wanted, Some("system_u:object_r:x_t:s1:c0.c3"));
        assert_eq!(merged, "system_u:object_r:etcd_data_t:s1:c0.c3");
    }
}
