//! The helper that runs on hosts, and the modules it carries.
//!
//! In: frames ([`protocol`]) that name a module and its arguments. Out: a result in Ansible's shape.
//! The controller links the same library: it reads the parameter tables, validates arguments early, and runs
//! modules in process for `connection: local` ([`module::run_local`]).
//!
//! **Invariant:** synchronous and small: threads, no async runtime, no TLS. Nothing here decides what the
//! controller could decide (when, loops, retries, privilege), and nothing outlives the connection but async jobs.
//!
//! Not here: how the helper gets to a host (`connect` in the controller), templates, variables.

pub mod args;
pub mod kept;
pub mod module;
pub mod modules;
pub mod protocol;
pub mod serve;
pub mod spec;
pub mod system;
