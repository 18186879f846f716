//! Keys, requests and certificates: against files and results recorded from `community.crypto`, and on their own.
//!
//! `crypto/made` holds what that collection made (keys for these tests and nothing else), `crypto/recorded.jsonl` what
//! it said about them when it ran a second time.

use super::{check, flag, run, text};
use quorate_value::{Dict, Value, dict, from_json_str};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules/crypto")
}

/// The recorded files with the modes they had; version control keeps none.
fn made() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(recorded().join("made")).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_string_lossy().into_owned();
        let to = directory.path().join(&name);
        std::fs::copy(&from, &to).unwrap();
        let mode = match name.rsplit('.').next().unwrap() {
            "p12" => 0o400,
            "pem" if name != "dh.pem" => 0o400,
            "key" | "id_ed25519" | "id_rsa" => 0o600,
            _ => 0o644,
        };
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

/// Numbers that do not fit 64 bits are recorded as text.
fn plain(value: &Value) -> Value {
    match value {
        Value::Big(number) => Value::from(dict! {"big" => number.to_string()}),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Dict(entries) => {
            Value::dict(entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn what_the_collection_made_is_left_alone_and_read_alike() {
    let directory = made();
    let root = directory.path().to_string_lossy().into_owned();
    let lines = std::fs::read_to_string(recorded().join("recorded.jsonl")).unwrap();
    assert!(lines.lines().count() > 70, "the record is complete");
    for line in lines.lines() {
        let case = from_json_str(&line.replace("{dir}", &root)).unwrap();
        let case = case.as_dict().unwrap();
        let module = text(case, "module");
        let args = case.get("args").and_then(Value::as_dict).unwrap().clone();
        let result = run(module, args.clone());
        for (key, expected) in case.get("result").and_then(Value::as_dict).unwrap() {
            let found = result.get_key(key).map(plain).unwrap_or_default();
            assert_eq!(
                found,
                *expected,
                "`{}` of {module} {args:?}: {:?}",
                key.json_text(),
                result.get("msg")
            );
        }
        assert!(!flag(&result, "changed"), "{module} {args:?}");
    }
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).to_string_lossy().into_owned()
}

fn key(directory: &tempfile::TempDir, name: &str, more: Dict) -> Dict {
    let mut args =
        dict! {"path" => path(directory, name), "type" => "ECC", "curve" => "secp256r1", "format" => "pkcs8"};
    args.extend(more);
    args
}

fn names(directory: &tempfile::TempDir) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_key_is_made_once_and_private() {
    let directory = tempfile::tempdir().unwrap();
    let args = key(&directory, "a.key", Dict::new());
    assert!(flag(&check("openssl_privatekey", args.clone()), "changed"));
    assert_eq!(names(&directory), Vec::<String>::new(), "check mode writes nothing");
    let first = run("openssl_privatekey", args.clone());
    assert!(flag(&first, "changed"));
    assert!(!first.contains_key("privatekey"), "the key itself stays where it is");
    assert_eq!(std::fs::metadata(path(&directory, "a.key")).unwrap().mode() & 0o7777, 0o600);
    let again = run("openssl_privatekey", args.clone());
    assert!(!flag(&again, "changed"));
    assert_eq!(first.get("fingerprint"), again.get("fingerprint"));

    let mut wider = args;
    wider.insert("mode", "0640");
    wider.insert("return_content", true);
    let moded = run("openssl_privatekey", wider);
    assert!(flag(&moded, "changed"), "only the mode");
    let content = moded.get("privatekey").unwrap();
    assert!(matches!(content, Value::Str(text) if text.is_secret()), "content is marked as secret");
    assert_eq!(first.get("fingerprint"), moded.get("fingerprint"));
}

#[test]
fn when_a_key_may_be_replaced() {
    // (what is asked for, regenerate, format_mismatch) => changed, or the beginning of the refusal
    let other_curve = dict! {"curve" => "secp384r1"};
    let other_form = dict! {"format" => "pkcs1"};
    let passphrase = dict! {"passphrase" => "hunter2"};
    let cases: [(&Dict, &str, Result<bool, &str>); 15] = [
        (&other_curve, "never", Ok(false)),
        (&other_curve, "fail", Err("Key has wrong type and/or size.")),
        (&other_curve, "partial_idempotence", Ok(true)),
        (&other_curve, "full_idempotence", Ok(true)),
        (&other_curve, "always", Ok(true)),
        (&other_form, "never", Ok(false)),
        (&other_form, "fail", Err("Key has wrong format.")),
        (&other_form, "partial_idempotence", Ok(true)),
        (&other_form, "full_idempotence", Ok(true)),
        (&other_form, "always", Ok(true)),
        (&passphrase, "never", Err("Unable to read the key.")),
        (&passphrase, "fail", Err("Unable to read the key.")),
        (&passphrase, "partial_idempotence", Err("Unable to read the key.")),
        (&passphrase, "full_idempotence", Ok(true)),
        (&passphrase, "always", Ok(true)),
    ];
    for (asked, regenerate, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        run("openssl_privatekey", key(&directory, "a.key", Dict::new()));
        let before = std::fs::read(path(&directory, "a.key")).unwrap();
        let mut args = key(&directory, "a.key", asked.clone());
        args.insert("regenerate", regenerate);
        let tried = check("openssl_privatekey", args.clone());
        assert_eq!(std::fs::read(path(&directory, "a.key")).unwrap(), before, "check mode writes nothing");
        let result = run("openssl_privatekey", args.clone());
        match expected {
            Ok(changed) => {
                assert_eq!(flag(&result, "changed"), changed, "{asked:?} {regenerate} {result:?}");
                assert_eq!(flag(&tried, "changed"), changed, "check mode says the same");
                assert_eq!(std::fs::read(path(&directory, "a.key")).unwrap() != before, changed);
            }
            Err(why) => {
                assert!(text(&result, "msg").starts_with(why), "{asked:?} {regenerate} {result:?}");
                assert!(text(&tried, "msg").starts_with(why));
            }
        }
        assert!(!format!("{result:?}").contains("hunter2"), "secrets are masked");
    }
}

#[test]
fn a_key_in_another_form_is_converted_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let first = run("openssl_privatekey", key(&directory, "a.key", Dict::new()));
    let more =
        dict! {"format" => "pkcs1", "format_mismatch" => "convert", "backup" => true, "regenerate" => "fail"};
    let converted = run("openssl_privatekey", key(&directory, "a.key", more));
    assert!(flag(&converted, "changed"));
    assert_eq!(first.get("fingerprint"), converted.get("fingerprint"));
    let copy = text(&converted, "backup_file");
    assert_eq!(std::fs::metadata(copy).unwrap().mode() & 0o7777, 0o600);
    let content = std::fs::read_to_string(path(&directory, "a.key")).unwrap();
    assert!(content.starts_with("-----BEGIN EC PRIVATE KEY-----"));
}

/// A CA and a leaf of its own. Gives the arguments that made the leaf.
fn authority(directory: &tempfile::TempDir) -> Dict {
    for name in ["ca.key", "leaf.key"] {
        run("openssl_privatekey", key(directory, name, Dict::new()));
    }
    let request = run(
        "openssl_csr_pipe",
        dict! {
            "privatekey_path" => path(directory, "ca.key"), "common_name" => "CA", "use_common_name_for_san" => false,
            "basic_constraints" => Value::list(vec!["CA:TRUE".into()]), "basic_constraints_critical" => true,
            "key_usage" => Value::list(vec!["keyCertSign".into(), "cRLSign".into()]), "key_usage_critical" => true,
        },
    );
    let made = run(
        "x509_certificate",
        dict! {
            "path" => path(directory, "ca.crt"), "provider" => "selfsigned", "csr_content" => text(&request, "csr"),
            "privatekey_path" => path(directory, "ca.key"), "selfsigned_not_before" => "-5m",
        },
    );
    assert!(flag(&made, "changed"), "{made:?}");
    leaf(directory, "leaf.key", &["DNS:n1", "IP:10.0.0.1"])
}

fn leaf(directory: &tempfile::TempDir, key: &str, names: &[&str]) -> Dict {
    let request = run(
        "openssl_csr_pipe",
        dict! {
            "privatekey_path" => path(directory, key), "common_name" => "n1", "use_common_name_for_san" => false,
            "subject_alt_name" => names.iter().map(|name| Value::from(*name)).collect::<Value>(),
            "extended_key_usage" => Value::list(vec!["serverAuth".into(), "clientAuth".into()]),
        },
    );
    dict! {
        "path" => path(directory, "leaf.crt"), "provider" => "ownca", "csr_content" => text(&request, "csr"),
        "ownca_path" => path(directory, "ca.crt"), "ownca_privatekey_path" => path(directory, "ca.key"),
        "ownca_not_before" => "-5m", "ownca_not_after" => "+730d", "mode" => "0644",
    }
}

#[test]
fn a_certificate_is_replaced_when_it_no_longer_fits() {
    let directory = tempfile::tempdir().unwrap();
    let args = authority(&directory);
    assert!(flag(&check("x509_certificate", args.clone()), "changed"));
    assert!(!Path::new(&path(&directory, "leaf.crt")).exists());
    assert!(flag(&run("x509_certificate", args.clone()), "changed"));
    assert!(
        !flag(&run("x509_certificate", args.clone()), "changed"),
        "the second run finds it as it should be"
    );
    assert!(!flag(
        &run("x509_certificate", leaf(&directory, "leaf.key", &["IP:10.0.0.1", "DNS:n1"])),
        "changed"
    ));
    let changes = [
        ("other names", leaf(&directory, "leaf.key", &["DNS:n2"])),
        ("another key", leaf(&directory, "ca.key", &["DNS:n1", "IP:10.0.0.1"])),
        ("times that count", {
            let mut args = args.clone();
            args.insert("ignore_timestamps", false);
            args.insert("ownca_not_after", "20500101000000Z");
            args
        }),
        ("no identifier", {
            let mut args = args.clone();
            args.insert("ownca_create_subject_key_identifier", "never_create");
            args
        }),
        ("force", {
            let mut args = args.clone();
            args.insert("force", true);
            args
        }),
    ];
    for (why, changed) in changes {
        assert!(!flag(&check("x509_certificate", args.clone()), "changed"), "before {why}");
        assert!(flag(&check("x509_certificate", changed), "changed"), "{why}");
    }
    // Another CA of the same name.
    run("openssl_privatekey", key(&directory, "ca.key", dict! {"force" => true}));
    let refused = run("x509_certificate", args);
    assert_eq!(text(&refused, "msg"), "The CA private key does not belong to the CA certificate");
    let args = authority(&directory);
    assert!(flag(&run("x509_certificate", args.clone()), "changed"), "signed by the new CA");
    assert!(!flag(&run("x509_certificate", args), "changed"));
}

#[test]
fn validity_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut args = authority(&directory);
    args.insert("ownca_not_after", "+80d");
    run("x509_certificate", args);
    let asked = dict! {"now" => "+0s", "renewal" => "+90d", "earlier" => "-1d"};
    let told =
        run("x509_certificate_info", dict! {"path" => path(&directory, "leaf.crt"), "valid_at" => asked});
    let expected = dict! {"now" => true, "renewal" => false, "earlier" => false};
    assert_eq!(told.get("valid_at"), Some(&Value::dict(expected)));
    assert!(!flag(&told, "expired"));
}

#[test]
fn changed_requests_and_certificates_are_noticed() {
    let directory = made();
    let request = std::fs::read_to_string(path(&directory, "p256.leaf.csr")).unwrap();
    let data: String = request.lines().filter(|line| !line.starts_with('-')).collect();
    use base64::Engine as _;
    let mut der = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    let at = der.windows(2).position(|pair| pair == b"n1").unwrap();
    der[at + 1] = b'2';
    std::fs::write(path(&directory, "changed.csr"), &der).unwrap();
    let told = run("openssl_csr_info", dict! {"path" => path(&directory, "changed.csr")});
    assert_eq!((text(&told, "msg"), flag(&told, "signature_valid")), ("CSR signature is invalid!", false));
    // Every cut and every changed byte is refused or read, but never a panic.
    let certificate = std::fs::read(path(&directory, "p256.full.crt")).unwrap();
    let text = String::from_utf8(certificate).unwrap();
    let data: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    for at in 0..der.len() {
        quorate_agent::system::pki::cert::Certificate::load(&der[..at]).unwrap_err();
        let mut other = der.clone();
        other[at] ^= 0xff;
        if let Ok(read) = quorate_agent::system::pki::cert::Certificate::load(&other) {
            assert!(!read.signed.is_signed_by(&read.public).unwrap_or(false));
        }
    }
}

#[test]
fn a_key_that_never_touches_a_disk() {
    let args = dict! {"type" => "Ed25519"};
    let made = run("openssl_privatekey_pipe", args.clone());
    assert!(flag(&made, "changed"));
    let mut again = args;
    again.insert("content", made.get("privatekey").cloned().unwrap());
    let kept = run("openssl_privatekey_pipe", again.clone());
    assert!(!flag(&kept, "changed") && !kept.contains_key("privatekey"));
    again.insert("return_current_key", true);
    let shown = run("openssl_privatekey_pipe", again);
    assert_eq!(shown.get("privatekey"), made.get("privatekey"));
}
