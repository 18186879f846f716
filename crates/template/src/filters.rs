//! All filters, one file a family.
//!
//! A filter gets its input as the first positional argument. Undefined input passes through a filter that does not
//! ask for it, and an undefined element that a filter uses makes its result undefined.

mod collection;
mod hashing;
mod jinja_text;
mod misc;
pub(crate) mod number;
mod path;
mod regex;
mod sequence;
mod serial;
mod url;

pub(crate) use collection::{cartesian, flatten_into};

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

static FAMILIES: [&[Filter]; 10] = [
    &collection::FILTERS,
    &hashing::FILTERS,
    &jinja_text::FILTERS,
    &misc::FILTERS,
    &number::FILTERS,
    &path::FILTERS,
    &regex::FILTERS,
    &sequence::FILTERS,
    &serial::FILTERS,
    &url::FILTERS,
];

static TABLE: LazyLock<HashMap<&'static str, &'static Filter>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.iter()).map(|f| (f.name, f)).collect());

/// The filter of a name, `ansible.builtin.x` included.
pub(crate) fn find(name: &str) -> Option<&'static Filter> {
    TABLE.get(name).or_else(|| TABLE.get(name.strip_prefix("ansible.builtin.")?)).copied()
}

pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = TABLE.keys().copied().collect();
    names.sort_unstable();
    names
}
