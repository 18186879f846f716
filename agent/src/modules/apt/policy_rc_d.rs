//! `/usr/sbin/policy-rc.d` while packages are installed: whether they may start services.
//!
//! **Invariant:** what stood there before stands there after, also when the task fails or is cancelled.

use crate::module::Failure;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const FILE: &str = "/usr/sbin/policy-rc.d";

/// Puts things back when dropped.
pub(super) enum PolicyRcD {
    Untouched,
    New,
    Replaced(PathBuf),
}

impl PolicyRcD {
    /// Answers every question with this exit code from now on.
    pub(super) fn set(code: Option<i64>) -> Result<PolicyRcD, Failure> {
        let Some(code) = code else { return Ok(PolicyRcD::Untouched) };
        let fail =
            |what: &str, error: std::io::Error| Failure::new(format!("Fail to {what} {FILE}: {error}"));
        let standing = fs::symlink_metadata(FILE).is_ok();
        let aside = PathBuf::from(format!("{FILE}.quorate-{}", std::process::id()));
        if standing {
            fs::rename(FILE, &aside).map_err(|error| fail("move", error))?;
        }
        let guard = if standing { PolicyRcD::Replaced(aside) } else { PolicyRcD::New };
        fs::write(FILE, format!("#!/bin/sh\nexit {code}\n")).map_err(|error| fail("create", error))?;
        fs::set_permissions(FILE, fs::Permissions::from_mode(0o755))
            .map_err(|error| fail("make executable", error))?;
        Ok(guard)
    }
}

impl Drop for PolicyRcD {
    fn drop(&mut self) {
        let back = match self {
            PolicyRcD::Untouched => Ok(()),
            PolicyRcD::New => fs::remove_file(FILE),
            PolicyRcD::Replaced(aside) => fs::rename(aside, FILE),
        };
        // There is nobody left to tell; the next package run shows it.
        back.ok();
    }
}
