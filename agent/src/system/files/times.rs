//! Access and modification times.

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use std::io;
use std::path::Path;

fn spec(seconds: Option<f64>) -> Timespec {
    match seconds {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(at) if at.is_nan() => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(at) => {
            let whole = at.floor();
            Timespec { tv_sec: whole as i64, tv_nsec: ((at - whole) * 1e9) as i64 }
        }
    }
}

/// Sets access and modification time (seconds since the epoch; absent ones stay), of a link itself unless `follow`.
pub fn set_times(
    path: &Path,
    access: Option<f64>,
    modification: Option<f64>,
    follow: bool,
) -> io::Result<()> {
    let times = Timestamps { last_access: spec(access), last_modification: spec(modification) };
    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    Ok(utimensat(CWD, path, &times, flags)?)
}
