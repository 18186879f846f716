//! Variables: who defines what, and which definition a task on a host sees.

mod facts;
mod lookups;
mod magic;
mod password;
pub mod render;
pub use magic::{ANSIBLE_VERSION, magic_names};
mod scope;
mod store;

pub use scope::{Early, PlayVars, TaskScope, collect_roles};
pub use store::{Addition, HostVars, Options, Shared};

/// How many hosts are worked on at once where nobody says so.
pub const WIDE: usize = 500;
