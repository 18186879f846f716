//! What `--diff` shows of a file: both texts, or why they are not shown.

use crate::module::Diff;
use quorate_value::{Dict, Value, dict};

/// Ansible shows no file larger than this.
pub(super) const LARGEST: u64 = 104_448;

/// One side of the difference.
pub(super) enum Side {
    /// There is no file.
    Absent,
    /// Its content.
    Content(Vec<u8>),
    /// Too large to show.
    Large,
}

impl Side {
    /// A file on the host.
    pub(super) fn of_file(path: &str) -> Side {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.len() > LARGEST => Side::Large,
            Ok(metadata) if metadata.is_file() => std::fs::read(path).map_or(Side::Absent, Side::Content),
            _ => Side::Absent,
        }
    }
}

/// The difference as Ansible reports it, in a list of one.
pub(super) fn of_content(before: Side, before_header: &str, after: Side, after_header: &str) -> Value {
    let mut entries: Dict = dict! {};
    match before {
        Side::Absent => {
            entries.insert("before", "");
        }
        Side::Large => {
            entries.insert("dst_larger", LARGEST);
        }
        Side::Content(bytes) if is_binary(&bytes) => {
            entries.insert("dst_binary", 1i64);
        }
        Side::Content(bytes) => {
            entries.insert("before_header", before_header);
            entries.insert("before", String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    match after {
        Side::Absent => {}
        Side::Large => {
            entries.insert("src_larger", LARGEST);
        }
        Side::Content(bytes) if is_binary(&bytes) => {
            entries.insert("src_binary", 1i64);
        }
        Side::Content(bytes) => {
            entries.insert("after_header", after_header);
            entries.insert("after", String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Value::list([Value::from(entries)])
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

/// The difference of attributes, as `file` reports it.
pub(super) fn of_attributes(before: Dict, after: Dict) -> Value {
    Value::from(Diff::dicts(before, after))
}
