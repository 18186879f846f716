//! Vaults that `ansible-vault` of ansible-core 2.19 made, our own, broken ones; and where passwords come from.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use proptest::prelude::*;
use quorate_vault::{
    Secret, SecretSource, VaultError, VaultSecrets, decrypt, encrypt, encrypt_with_salt, is_vault,
    read_password_file, vault_id,
};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const PLAIN_11: &str = include_str!("fixtures/plain-1.1.vault");
const PLAIN_12: &str = include_str!("fixtures/plain-1.2.vault");
const BLOCK: &str = include_str!("fixtures/block.vault");
const BINARY: &str = include_str!("fixtures/bin.vault");
const EMPTY: &str = include_str!("fixtures/empty.vault");
const SALTED: &str = include_str!("fixtures/salted.vault");

fn secret(password: &str) -> Secret {
    Secret::new(password.as_bytes()).unwrap()
}

fn secrets(list: &[(&str, &str)]) -> VaultSecrets {
    let mut secrets = VaultSecrets::new();
    for (id, password) in list {
        secrets.push(*id, secret(password));
    }
    secrets
}

fn message(result: Result<impl Sized, VaultError>) -> String {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn opens_what_ansible_wrote() {
    let all = secrets(&[("default", "hunter2"), ("prod", "pässwörd zwei")]);
    for (text, id, plain) in [
        (PLAIN_11, "default", &b"key: value\n"[..]),
        (PLAIN_12, "prod", b"key: value\n"),
        (BLOCK, "default", b"0123456789abcdef"),
        (BINARY, "dev", &[0xff; 300]),
        (EMPTY, "default", b""),
        (SALTED, "dev", b"key: value\n"),
    ] {
        assert!(is_vault(text));
        assert_eq!(vault_id(text).unwrap(), id);
        assert_eq!(*decrypt(text, &all).unwrap(), plain);
    }
    // Pasted into YAML, a vault is indented.
    let indented: String = PLAIN_11.lines().flat_map(|line| ["          ", line, "\n"]).collect();
    assert_eq!(*decrypt(&indented, &all).unwrap(), b"key: value\n");
}

#[test]
fn writes_what_ansible_writes() {
    let written =
        encrypt_with_salt(b"key: value\n", &secret("hunter2"), Some("dev"), b"pinch-of-salt").unwrap();
    assert_eq!(written, SALTED);
    for (id, header) in [
        (None, "$ANSIBLE_VAULT;1.1;AES256\n"),
        (Some("default"), "$ANSIBLE_VAULT;1.1;AES256\n"),
        (Some("prod"), "$ANSIBLE_VAULT;1.2;AES256;prod\n"),
    ] {
        let written = encrypt(b"x", &secret("a"), id).unwrap();
        assert!(written.starts_with(header) && written.ends_with('\n'));
        assert!(written.lines().all(|line| line.len() <= 80));
    }
    assert_ne!(encrypt(b"x", &secret("a"), None).unwrap(), encrypt(b"x", &secret("a"), None).unwrap());
    for id in ["", "a;b", "a b", "a\nb", "é"] {
        assert!(matches!(encrypt(b"x", &secret("a"), Some(id)), Err(VaultError::BadId(_))), "{id:?}");
    }
}

#[test]
fn the_right_secret_is_found() {
    let prod = ("prod", "pässwörd zwei");
    assert!(decrypt(PLAIN_12, &secrets(&[("other", "x"), prod])).is_ok());
    // Ids are hints, unless they must match.
    let renamed = secrets(&[("other", "pässwörd zwei")]);
    assert!(decrypt(PLAIN_12, &renamed).is_ok());
    assert_eq!(
        message(decrypt(PLAIN_12, &renamed.match_ids(true))),
        "no vault secret has the id `prod`; given are `other`"
    );
    assert!(decrypt(PLAIN_12, &secrets(&[("other", "x"), prod]).match_ids(true)).is_ok());
    assert_eq!(
        message(decrypt(PLAIN_12, &secrets(&[("a", "x"), ("prod", "y")]))),
        "no secret opens the vault with the id `prod` (tried `prod`, `a`): wrong password, or a damaged file"
    );
    assert_eq!(
        message(decrypt(PLAIN_12, &VaultSecrets::new())),
        "a vault must be opened, but no vault secrets are given"
    );
}

#[test]
fn broken_vaults_say_what_is_wrong() {
    let all = secrets(&[("default", "hunter2")]);
    let body = PLAIN_11.split_once('\n').unwrap().1;
    for (text, expected) in [
        ("key: value".to_owned(), "this is no vault: it does not start with `$ANSIBLE_VAULT;`"),
        (String::new(), "this is no vault: it does not start with `$ANSIBLE_VAULT;`"),
        ("$ANSIBLE_VAULT".into(), "the vault is damaged: the header names no format"),
        ("$ANSIBLE_VAULT;1.1".into(), "the vault is damaged: the header names no cipher"),
        ("$ANSIBLE_VAULT;1.1;AES256".into(), "the vault is damaged: nothing follows the header"),
        (
            "$ANSIBLE_VAULT;1.1;AES256\nxyzz\n".into(),
            "Vault format unhexlify error: Non-hexadecimal digit found",
        ),
        ("$ANSIBLE_VAULT;1.1;AES256\n616\n".into(), "Vault format unhexlify error: Odd-length string"),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n6161\n".into(),
            "the vault is damaged: it does not hold salt, HMAC and ciphertext",
        ),
        (
            format!("$ANSIBLE_VAULT;1.0;AES\n{body}"),
            "vault format `1.0` is not supported (only 1.1 and 1.2 are)",
        ),
        (format!("$ANSIBLE_VAULT;1.1;AES\n{body}"), "vault cipher `AES` is not supported (only AES256 is)"),
    ] {
        assert_eq!(message(decrypt(&text, &all)), expected, "{text:?}");
    }
    assert!(!is_vault("key: value") && !is_vault("$ANSIBLE_VAULT;é"));
    // One flipped digit of the ciphertext, which is hexadecimal of hexadecimal: 3x stays a digit.
    let mut flipped = PLAIN_11.trim_end().to_owned();
    let last = if flipped.ends_with('0') { '1' } else { '0' };
    flipped.pop();
    flipped.push(last);
    assert!(matches!(decrypt(&flipped, &all), Err(VaultError::WrongSecret { .. } | VaultError::Damaged(_))));
}

#[test]
fn sources_of_passwords() {
    for (text, id, file) in [
        ("prod@prompt", "prod", None),
        ("prompt", "default", None),
        ("prod@prompt_ask_vault_pass", "prod", None),
        ("prod@/etc/pw", "prod", Some("/etc/pw")),
        ("pw.txt", "default", Some("pw.txt")),
        ("@pw.txt", "default", Some("pw.txt")),
        ("a@b@c", "a", Some("b@c")),
    ] {
        assert_eq!(
            SecretSource::parse(text),
            SecretSource { id: id.into(), file: file.map(PathBuf::from) },
            "{text}"
        );
    }

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let none = VaultSecrets::new();
    let opens = |path: &std::path::Path, id: &str, known: &VaultSecrets| {
        let mut secrets = VaultSecrets::new();
        secrets.push(id, read_password_file(path, id, known).unwrap_or_else(|error| panic!("{error}")));
        decrypt(PLAIN_11, &secrets).is_ok()
    };
    assert!(opens(&file("plain", "  hunter2\n", 0o600), "x", &none));
    assert!(opens(&file("script.sh", "#!/bin/sh\necho hunter2\n", 0o700), "x", &none));
    let client =
        file("my-client.sh", "#!/bin/sh\n[ \"$1 $2\" = '--vault-id dev' ] || exit 2\necho hunter2\n", 0o700);
    assert!(opens(&client, "dev", &none));
    assert!(message(read_password_file(&client, "prod", &none)).ends_with("has no secret for the id `prod`"));
    let failing = file("fails", "#!/bin/sh\necho half\nexit 3\n", 0o700);
    assert!(message(read_password_file(&failing, "x", &none)).ends_with("failed: exit status: 3"));
    assert!(message(read_password_file(&file("empty", " \n", 0o600), "x", &none)).ends_with("is empty"));
    assert!(message(read_password_file(&dir.path().join("nowhere"), "x", &none)).ends_with("cannot be read"));
    // A password file may be a vault itself.
    let inner = encrypt(b"hunter2\n", &secret("outer"), None).unwrap();
    let vaulted = file("vaulted", &inner, 0o600);
    assert!(opens(&vaulted, "x", &secrets(&[("outer", "outer")])));
    assert!(matches!(read_password_file(&vaulted, "x", &none), Err(VaultError::NoSecrets)));
    assert!(matches!(Secret::new(b" \n"), Err(VaultError::EmptySecret)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens(plain in proptest::collection::vec(any::<u8>(), 0..200), password in "\\PC{1,20}[a-z]") {
        let written = encrypt(&plain, &secret(&password), Some("id")).unwrap();
        prop_assert_eq!(&**decrypt(&written, &secrets(&[("id", &password)])).unwrap(), &plain[..]);
    }

    #[test]
    fn no_text_panics(body in "[0-9a-f\\n]{0,200}", header in "(;1\\.[12];AES256(;[a-z]{0,3})?|\\PC{0,20})") {
        let text = format!("$ANSIBLE_VAULT{header}\n{body}");
        prop_assert!(decrypt(&text, &secrets(&[("a", "b")])).is_err());
    }
}
