//! Jinja2 as ansible-core 2.19 runs it: templates, bare expressions, conditions; filters, tests and lookups.
//!
//! ```
//! use quorate_template::{Context, Engine};
//! use quorate_value::{Span, Str, Value, dict};
//!
//! let written = |text: &str| Str::written(text, Span::default());
//! let scope = dict! { "port" => 2379i64, "url" => written("http://db1:{{ port }}") };
//! let engine = Engine::default();
//! let ctx = Context::new(&scope);
//! let value = engine.render_str(&written("{{ url }}/health"), &ctx).unwrap();
//! assert_eq!(value, Value::from("http://db1:2379/health"));
//! assert!(engine.condition(&written("port > 1024").into(), &ctx).unwrap());
//! ```
//!
//! In: text that people wrote (trusted [`quorate_value::Str`]), variables ([`Scope`]) and the world ([`World`]).
//! Out: native values ([`quorate_value::Value`]), or an [`Error`] that says where and why.
//!
//! **Invariant:** text that is not trusted is never taken for a template, and what came out of one is never rendered
//! again. **Invariant:** nothing here opens files, connections or processes.
//!
//! Not here: plays, hosts, connections; lookups that read the world (`World::lookup`).

mod addresses;
mod analysis;
mod ast;
mod crypt;
mod dates;
mod engine;
mod error;
mod eval;
mod filters;
mod format;
mod globals;
mod hashes;
mod host;
mod jmes;
mod lexer;
mod lookups;
mod methods;
mod ops;
mod parser;
mod pyre;
mod random;
mod rt;
mod tests;

pub use analysis::Reads;
pub use engine::{Engine, Options, Template};
pub use error::{Error, Kind, Place, Result, Via};
pub use filters::{password_hashed, salt_length};
pub use host::{
    Caller, Context, Encrypt, Files, Layered, LookupCall, Notice, Nowhere, Object, Scope, Source, Var, World,
};
pub use lexer::Style;
pub use random::seeded_picks;

/// Names of all filters, sorted.
pub fn filter_names() -> Vec<&'static str> {
    filters::names()
}

/// Names of all tests, sorted.
pub fn test_names() -> Vec<&'static str> {
    tests::names()
}

/// Names of the lookups that need nothing of the world, sorted.
pub fn lookup_names() -> Vec<&'static str> {
    lookups::names()
}
