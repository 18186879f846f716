//! Integration tests of the template engine.

mod differential;
mod laws;
mod secrets;
mod world;
