//! The splitters of words: `k=v` arguments as playbooks write them, the helper's own, and the shell's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_value::{Span, Str};

#[path = "../../src/playbook/kv.rs"]
#[allow(dead_code, reason = "the module's own tests use the rest")]
mod kv;

fuzz_target!(|text: &str| {
    let _words = kv::split_args(text);
    for raw in [false, true] {
        let _pairs = kv::parse_kv(&Str::written(text, Span::default()), raw);
    }
    let _pairs = quorate_agent::args::parse_kv(text);
    let _words = quorate_agent::system::shlex::split(text);
});
