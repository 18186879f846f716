//! Host patterns and ranges, on a small inventory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_inventory::{Inventory, Limit, Options, expand_host, split_pattern};

thread_local! {
    static INVENTORY: Inventory = Inventory::load(&["web1,web2,db1,db-2,10.10.10.10,fe80::1,"], Options::default()).inventory;
}

fuzz_target!(|text: &str| {
    let _pieces = split_pattern(text);
    let _names = expand_host(text);
    INVENTORY.with(|inventory| {
        let _all = inventory.select(text);
        // `@file` would read whatever file it names
        if !text.contains('@')
            && let Ok(limit) = Limit::parse(text)
        {
            let _some = inventory.select_within("all", Some(&limit));
        }
    });
});
