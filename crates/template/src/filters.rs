//! All filters, one file a family.
//!
//! A filter gets its input as the first positional argument. Undefined input passes through a filter that does not
//! ask for it, and an undefined element that a filter uses makes its result undefined.

mod address;
mod collection;
mod community;
mod hashing;
mod jinja_text;
mod misc;
pub(crate) mod number;
mod path;
mod protomatter;
mod regex;
mod sequence;
mod serial;
mod url;
mod utils;

pub(crate) use collection::{cartesian, flatten_into};
pub use hashing::{password_hashed, salt_length};
pub(crate) use jinja_text::replaced_size;
pub(crate) use protomatter::tags;
pub(crate) use serial::read_json;

use crate::error::Result;
use crate::eval::{Args, Vm};
use crate::rt::V;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A filter.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    /// Whether it is called with undefined arguments.
    pub(crate) accepts_undefined: bool,
    pub(crate) run: fn(&Vm, Args) -> Result<V>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A filter that does not want to see undefined arguments.
const fn filter(name: &'static str, run: fn(&Vm, Args) -> Result<V>) -> Filter {
    Filter { name, accepts_undefined: false, run }
}

static FAMILIES: [&[Filter]; 14] = [
    &address::FILTERS,
    &collection::FILTERS,
    &community::FILTERS,
    &hashing::FILTERS,
    &jinja_text::FILTERS,
    &misc::FILTERS,
    &number::FILTERS,
    &path::FILTERS,
    &protomatter::FILTERS,
    &regex::FILTERS,
    &sequence::FILTERS,
    &serial::FILTERS,
    &url::FILTERS,
    &utils::FILTERS,
];

static TABLE: LazyLock<HashMap<&'static str, &'static Filter>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.iter()).map(|f| (f.name, f)).collect());

/// Short names of the filters that collections bring; where two bring one, the first family's.
static SHORT: LazyLock<HashMap<&'static str, &'static Filter>> = LazyLock::new(|| {
    let mut short = HashMap::new();
    for filter in FAMILIES.iter().flat_map(|family| family.iter()) {
        if let Some((collection, name)) = filter.name.rsplit_once('.')
            && collection != "ansible._protomatter"
        {
            short.entry(name).or_insert(filter);
        }
    }
    short
});

/// The filter of a name: `x`, `ansible.builtin.x`, `community.general.x`; and the short names of collections.
pub(crate) fn find(name: &str) -> Option<&'static Filter> {
    if let Some(found) = TABLE.get(name) {
        return Some(found);
    }
    let Some((collection, short)) = name.rsplit_once('.') else { return SHORT.get(name).copied() };
    match collection {
        "ansible.builtin" => TABLE.get(short).copied(),
        // The addresses moved from one collection to the other.
        "ansible.netcommon" => TABLE.get(format!("ansible.utils.{short}").as_str()).copied(),
        _ => None,
    }
}

pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = TABLE.keys().copied().filter(|name| !name.starts_with("ansible._")).collect();
    names.sort_unstable();
    names
}
