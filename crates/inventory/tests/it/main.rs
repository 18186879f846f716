//! Inventories as their users see them: files in, hosts and variables out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod differential;
mod laws;
mod loading;
mod mistakes;
mod plugins;
mod runtime;
