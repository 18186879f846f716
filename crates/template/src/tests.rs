//! All tests (`x is name`), one file a family.

mod address;
mod files;
mod jinja;
mod protomatter;
mod results;
mod version;

pub(crate) use version::loose;

use crate::error::Result;
use crate::eval::{Args, Vm};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A test.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    /// Whether it is called with undefined arguments.
    pub(crate) accepts_undefined: bool,
    pub(crate) run: fn(&Vm, Args) -> Result<bool>,
}

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A test that does not want to see undefined arguments.
const fn test(name: &'static str, run: fn(&Vm, Args) -> Result<bool>) -> Test {
    Test { name, accepts_undefined: false, run }
}

static FAMILIES: [&[Test]; 6] =
    [&address::TESTS, &files::TESTS, &jinja::TESTS, &protomatter::TESTS, &results::TESTS, &version::TESTS];

static TABLE: LazyLock<HashMap<&'static str, &'static Test>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.iter()).map(|t| (t.name, t)).collect());

/// The test of a name, `ansible.builtin.x` included.
pub(crate) fn find(name: &str) -> Option<&'static Test> {
    TABLE.get(name).or_else(|| TABLE.get(name.strip_prefix("ansible.builtin.")?)).copied()
}

pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = TABLE
        .keys()
        .copied()
        .filter(|name| name.starts_with(char::is_alphabetic) && !name.contains("._"))
        .collect();
    names.sort_unstable();
    names
}
