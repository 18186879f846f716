//! An etcd cluster as seen over gRPC, its quorum arithmetic, and the guard that reasons about both.
//!
//! Three values, and pure functions between them:
//!
//! * [`observe`](observe::observe) asks every member at once and gives an [`Observation`]: plain data.
//! * [`guard::may`] reads an observation and a [`Step`] and grants or refuses, with numbers.
//! * [`settle::settled`] reads observations and says whether a member is back for good.
//!
//! Beside them: [`ops`], [`kv`], [`rbac`], [`snapshot`] and [`lock`] do things to a cluster; [`live`] and
//! [`start`] decide from facts what a host holds and how its member must start.
//!
//! **Invariants.** Only [`client`] and [`peer_http`] open connections, and only through a [`Dialer`].
//! `guard`, `live`, `quorum`, `settle::settled` and `start` do no I/O and read no clock.
//! A timeout is [`EtcdError::Unknown`]: never failure, never success.
//!
//! Not here: when to ask the guard and what to do while waiting (the scheduler), unit files, certificates on
//! disk, and everything about hosts rather than members.

pub mod client;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod guard;
pub mod id;
pub mod kv;
pub mod live;
pub mod lock;
pub mod mirror;
pub mod observation;
pub mod observe;
pub mod ops;
pub mod peer_http;
pub mod plan;
pub mod quorum;
pub mod rbac;
pub mod refusal;
pub mod settle;
pub mod snapshot;
pub mod start;
pub mod tls;

#[cfg(test)]
mod fixture;

pub use client::{Access, Deadlines, Login, MemberClient};
pub use dial::{BoxStream, Dialer, DirectDialer};
pub use endpoint::{Address, Endpoint, Scheme};
pub use error::EtcdError;
pub use guard::{Claim, Claims, Effect, Policy, Step, Target, Verdict, may};
pub use id::{ClusterId, MemberId};
pub use observation::{Condition, Observation, Role, SeenMember, View};
pub use observe::{ClusterSpec, SpecMember, observe};
pub use quorum::{Tally, Voter, quorum};
pub use refusal::{Refusal, Why};
pub use settle::{Expected, Timing, settled, wait_settled};
pub use start::{LocalDir, StartMode, decide};
pub use tls::ClientIdentity;
