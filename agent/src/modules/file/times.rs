//! Access and modification time of `file`.

use crate::args::Args;
use crate::module::{Ctx, Failure};
use crate::system::process::errno;
use crate::system::{clock, files};
use quorate_value::{Dict, Value};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// One of both times.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Time {
    /// Stays as it is.
    Keep,
    /// The moment of the change.
    Now,
    /// Seconds since the epoch.
    At(f64),
}

/// Both times as the task wants them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    modification: Time,
    access: Time,
}

impl Times {
    pub(super) fn wanted(args: &Args, state: &str) -> Result<Times, Failure> {
        let read = |name: &str| {
            let text = args.str(name).unwrap_or(if state == "touch" { "now" } else { "preserve" });
            let pattern = args.text(&format!("{name}_format")).to_owned();
            match text {
                "preserve" | "" => Ok(Time::Keep),
                "now" => Ok(Time::Now),
                text => clock::parse(text, &pattern).map(Time::At).map_err(|_| {
                    Failure::new(format!(
                        "Error while obtaining timestamp for time {text} using format {pattern}: time data '{text}' does not match format '{pattern}'"
                    ))
                }),
            }
        };
        Ok(Times { modification: read("modification_time")?, access: read("access_time")? })
    }

    /// Sets both; says whether anything changed.
    pub(super) fn apply(
        self,
        path: &str,
        follow: bool,
        ctx: &Ctx,
        before: &mut Dict,
        after: &mut Dict,
    ) -> Result<bool, Failure> {
        if self.modification == Time::Keep && self.access == Time::Keep {
            return Ok(false);
        }
        let failed = |error: std::io::Error| {
            Failure::new(format!(
                "Error while updating modification or access time: {}: b'{path}'",
                errno(&error)
            ))
            .with("path", path)
        };
        let metadata = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        let metadata = metadata.map_err(failed)?;
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
        let was_m = clock::seconds(metadata.mtime(), metadata.mtime_nsec());
        let was_a = clock::seconds(metadata.atime(), metadata.atime_nsec());
        let becomes = |time: Time, was: f64| match time {
            Time::Keep => None,
            Time::Now => Some(now),
            Time::At(at) => Some(at).filter(|at| *at != was),
        };
        let (modification, access) = (becomes(self.modification, was_m), becomes(self.access, was_a));
        if modification.is_none() && access.is_none() {
            return Ok(false);
        }
        for (key, was, becomes) in [("mtime", was_m, modification), ("atime", was_a, access)] {
            if let Some(becomes) = becomes {
                before.insert(key, Value::Float(was));
                after.insert(key, Value::Float(becomes));
            }
        }
        if !ctx.check {
            // who may only write to it can set it to now, and to nothing else
            let now =
                |time: Time, at: Option<f64>| if matches!(time, Time::Now) { Some(f64::NAN) } else { at };
            let (access, modification) = (now(self.access, access), now(self.modification, modification));
            files::set_times(Path::new(path), access, modification, follow).map_err(failed)?;
        }
        Ok(true)
    }
}
