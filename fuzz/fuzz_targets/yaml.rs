//! The YAML layer: any bytes parse or are refused, and what parses survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_value::FileId;
use quorate_yaml::{EmitStyle, decode, parse_all, to_yaml};

fuzz_target!(|bytes: &[u8]| {
    let file = FileId::default();
    let Ok(text) = decode(bytes, file) else { return };
    let Ok(documents) = parse_all(text, file) else { return };
    for document in &documents {
        let value = document.root.to_value();
        let Ok(written) = to_yaml(&value, &EmitStyle::default()) else { continue };
        parse_all(&written, file).expect("what we write, we read");
    }
});
