//! Integration tests of the template engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod differential;
mod laws;
mod secrets;
mod world;
