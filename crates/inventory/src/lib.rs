//! Inventories: sources to groups, hosts and variables; patterns to hosts.
//!
//! In: what `-i`, `--limit` and `hosts:` say. Out: an [`Inventory`] that answers who exists, who belongs where, what each
//! variable of a host is and where it was written.
//!
//! **Invariant:** loading never fails as a whole: mistakes are collected, each with its place, and what can be read is read.
//!
//! Not here: vault and templates (handed in through [`Decrypt`] and [`Templates`]), the levels of precedence above the
//! inventory (play, facts, `-e`), terminals.

mod build;
mod error;
mod literal;
mod merge;
mod model;
mod options;
mod pattern;
mod plain;
mod range;
mod runtime;
mod show;
mod source;
mod split;
mod var_files;
mod vars;

pub use error::{Attempt, InventoryError, SourceFailure, Warning};
pub use merge::{Definition, Level};
pub use model::{Group, GroupId, Host, HostId, Inventory, LOCALHOST, Source};
pub use options::{Decrypt, GroupNames, Options, Plugin, Templates};
pub use pattern::{Limit, LimitError, PatternError, Selection, regex, split_pattern};
pub use range::{MOST_NAMES, RangeError, expand_host, expand_range};
pub use show::{Format, Secrets, Show, ShowError};
pub use source::Loaded;
pub use vars::{HashBehaviour, Vars, combine_into};
