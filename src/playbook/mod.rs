//! Playbooks as people write them: plays, roles, blocks, tasks, with the place of each word.

pub mod elsewhere;
pub mod kv;
pub mod load;
pub mod model;

pub use load::{
    Around, FREE_FORM, LoadHost, Loader, RoleFrom, SearchPaths, beside, is_identifier, is_reserved, plain_io,
    play_keys, short_name, task_keys, yaml_diag,
};
pub use model::*;
