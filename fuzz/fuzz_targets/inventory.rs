//! Inventory files of every kind: the first byte chooses the kind, the rest is the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_inventory::{Inventory, Options, Show};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, text)) = bytes.split_first() else { return };
    let suffix = [".ini", ".yml", ".toml", ""][usize::from(kind % 4)];
    let dir = std::env::temp_dir().join(format!("quorate-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let path = dir.join(format!("hosts{suffix}"));
    std::fs::write(&path, text).expect("a temporary file");
    let loaded = Inventory::load(&[path.to_string_lossy()], Options::default());
    let _list = loaded.inventory.show_list(&Show::default());
    let _graph = loaded.inventory.show_graph(None, &Show::default());
});
