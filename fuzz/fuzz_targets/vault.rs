//! Vault envelopes: nothing that looks like a vault does harm, and what was changed never opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_vault::{Secret, VaultSecrets, decrypt, is_vault, vault_id};

fuzz_target!(|text: &str| {
    let _is = is_vault(text);
    let _id = vault_id(text);
    let mut secrets = VaultSecrets::new();
    secrets.push("default", Secret::new(b"password").expect("not empty"));
    if let Ok(plain) = decrypt(text, &secrets) {
        // only a vault of that password can open; its signature covers every byte
        assert_eq!(plain.as_slice(), b"seed\n", "a forged vault opened");
    }
});
