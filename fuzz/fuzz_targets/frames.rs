//! Frames of helper and controller: any bytes decode or are refused, without asking for more memory than they carry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_agent::protocol::{Assembler, Reply, Request, read_frame};

fn both<M: quorate_agent::protocol::Message>(mut bytes: &[u8]) {
    let mut parts = Assembler::default();
    while let Ok(Some(frame)) = read_frame::<M>(&mut bytes) {
        if parts.push(frame).is_err() {
            break;
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    both::<Reply>(bytes);
    both::<Request>(bytes);
});
