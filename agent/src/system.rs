//! What modules share: files, users, processes, the operating system.
//!
//! **Invariant:** the only place that starts processes, and the only one where `unsafe` may be opened, file by file.

pub mod apt;
pub mod archive;
pub mod clock;
pub mod dpkg;
pub mod facts;
pub mod files;
pub mod glob;
pub mod http;
pub mod netlink;
pub mod pki;
pub mod process;
pub mod pty;
pub mod regex;
pub mod resolve;
pub mod shadow;
pub mod shlex;
pub mod systemd;
pub mod users;
