//! Private keys as tasks ask for them: which kind, and whether what is there will do.
//!
//! **Invariant:** a key that can be read and fits is never replaced unless the task says `always` or `force`.

use crate::args::Args;
use crate::module::Failure;
use crate::system::pki::key::{Curve, PrivateKey, Secret, Wish};
use crate::system::pki::keyfile::{self, Format};
use crate::system::pki::show::{self, Prints};
use quorate_value::{Dict, Value, dict};

/// Parameters of everything that makes private keys, followed by a module's own.
macro_rules! privatekey_params {
    ($($own:expr),* $(,)?) => {
        &[
            Param::int("size").default_int(4096).doc("Bits of an RSA key."),
            Param::str("type")
                .choices(&["DSA", "ECC", "Ed25519", "Ed448", "RSA", "X25519", "X448"])
                .default_str("RSA")
                .doc("Kind of key. DSA, Ed448 and X448 are refused: nothing here can make them."),
            Param::str("curve")
                .choices(&[
                    "secp224r1", "secp256k1", "secp256r1", "secp384r1", "secp521r1", "secp192r1", "brainpoolP256r1",
                    "brainpoolP384r1", "brainpoolP512r1", "sect163k1", "sect163r2", "sect233k1", "sect233r1",
                    "sect283k1", "sect283r1", "sect409k1", "sect409r1", "sect571k1", "sect571r1",
                ])
                .doc("Curve of an ECC key. `secp256r1`, `secp384r1`, `secp521r1` and `secp256k1` can be made."),
            Param::str("passphrase").no_log().doc("Encrypts the key, and opens the one that is there."),
            Param::str("cipher").default_str("auto").doc("Only `auto`: AES-256."),
            Param::str("format")
                .choices(&["pkcs1", "pkcs8", "raw", "auto", "auto_ignore"])
                .default_str("auto_ignore")
                .doc("How the key is written. `auto` is `pkcs1` for RSA and ECC and `pkcs8` for the others; `auto_ignore` is the same, but takes a key that is there in any form."),
            Param::str("format_mismatch")
                .choices(&["regenerate", "convert"])
                .default_str("regenerate")
                .doc("What to do with a key that fits but is written in another form."),
            Param::str("regenerate")
                .choices(&["never", "fail", "partial_idempotence", "full_idempotence", "always"])
                .default_str("full_idempotence")
                .doc("When a key that is there may be replaced: `never`; `fail` when it does not fit; `partial_idempotence`, when it does not fit but can be read; `full_idempotence`, also when it cannot be read; `always`."),
            crate::modules::crypto::BACKEND,
            $($own),*
        ]
    };
}
pub(crate) use privatekey_params;

/// A task's wishes.
pub struct Wanted<'a> {
    args: &'a Args,
    wish: Wish,
    passphrase: Option<&'a str>,
    regenerate: &'a str,
}

/// What has to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// Write the same key in another form.
    Convert,
    /// Make a new key.
    Generate,
}

const UNREADABLE: &str = "Unable to read the key. The key is protected with a another passphrase / no passphrase or broken. Will not proceed. To force regeneration, call the module with `generate` set to `full_idempotence` or `always`, or with `force=true`.";
const MISFIT: &str = "Key has wrong type and/or size. Will not proceed. To force regeneration, call the module with `generate` set to `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.";
const MISFORMED: &str = "Key has wrong format. Will not proceed. To force regeneration, call the module with `generate` set to `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`. To convert the key, set `format_mismatch` to `convert`.";

impl<'a> Wanted<'a> {
    /// From a task's arguments.
    pub fn of(args: &'a Args) -> Result<Self, Failure> {
        let kind = args.text("type");
        let wish = match kind {
            "RSA" => Wish::Rsa(usize::try_from(args.int("size").unwrap_or(4096)).unwrap_or_default()),
            "ECC" => {
                let name = args.text("curve");
                Wish::Ec(Curve::named(name).ok_or_else(|| {
                    Failure::new(format!(
                        "The curve {name} is not supported; use secp256r1, secp384r1 or secp521r1"
                    ))
                })?)
            }
            "Ed25519" => Wish::Ed25519,
            "X25519" => Wish::X25519,
            other => {
                return Err(Failure::new(format!(
                    "Keys of type {other} are not supported; use RSA, ECC or Ed25519"
                )));
            }
        };
        let regenerate = if args.bool("force") { "always" } else { args.text("regenerate") };
        Ok(Wanted { args, wish, passphrase: args.nonempty("passphrase"), regenerate })
    }

    /// Reads a key that is there.
    pub fn load(&self, content: &[u8]) -> Option<PrivateKey> {
        if keyfile::format_of(content) == Format::Raw {
            if self.passphrase.is_some() {
                return None;
            }
            return keyfile::load_raw(content, self.args.text("type")).ok();
        }
        keyfile::load(content, self.passphrase).ok()
    }

    fn format(&self) -> Format {
        match (self.args.text("format"), self.wish) {
            ("pkcs1", _) => Format::Pkcs1,
            ("pkcs8", _) => Format::Pkcs8,
            ("raw", _) => Format::Raw,
            (_, Wish::Rsa(_) | Wish::Ec(_)) => Format::Pkcs1,
            _ => Format::Pkcs8,
        }
    }

    /// What has to happen, given what is there.
    pub fn decide(&self, there: Option<&[u8]>, key: Option<&PrivateKey>) -> Result<Step, Failure> {
        let (Some(content), true) = (there, self.regenerate != "always") else { return Ok(Step::Generate) };
        let Some(key) = key else {
            return if self.regenerate == "full_idempotence" {
                Ok(Step::Generate)
            } else {
                Err(Failure::new(UNREADABLE))
            };
        };
        if self.regenerate != "never" && !key.fits(self.wish) {
            return if self.regenerate == "fail" { Err(Failure::new(MISFIT)) } else { Ok(Step::Generate) };
        }
        if self.args.text("format") == "auto_ignore" || keyfile::format_of(content) == self.format() {
            return Ok(Step::Keep);
        }
        match (self.args.text("format_mismatch"), self.regenerate) {
            ("convert", _) => Ok(Step::Convert),
            (_, "never") => Ok(Step::Keep),
            (_, "fail") => Err(Failure::new(MISFORMED)),
            _ => Ok(Step::Generate),
        }
    }

    /// A new key.
    pub fn generate(&self) -> Result<PrivateKey, Failure> {
        Ok(PrivateKey::generate(self.wish)?)
    }

    /// A key as it will be written.
    pub fn written(&self, key: &PrivateKey) -> Result<Secret, Failure> {
        if self.passphrase.is_some() && self.args.text("cipher") != "auto" {
            return Err(Failure::new("Cryptography backend can only use \"auto\" for cipher option."));
        }
        Ok(keyfile::save(key, self.format(), self.passphrase)?)
    }

    /// What a difference shows of a file.
    pub fn side(&self, content: Option<&[u8]>) -> Dict {
        let Some(content) = content else { return Dict::new() };
        let unknown = dict! {"can_parse_key" => false, "key_is_consistent" => Value::Null};
        let Ok(key) = keyfile::load(content, self.passphrase) else { return unknown };
        let Ok(facts) = show::private_key(&key, Prints::One) else { return unknown };
        let mut side = dict! {"can_parse_key" => true, "key_is_consistent" => Value::Null};
        side.extend(facts);
        side
    }

    /// The entries that results have in common.
    pub fn facts(&self, key: Option<&PrivateKey>) -> Dict {
        let prints = key
            .and_then(|key| key.public().ok())
            .map_or(Value::Null, |public| Value::dict(show::fingerprints(&public.der, Prints::All)));
        let mut facts = basics(self.args);
        facts.insert("fingerprint", prints);
        facts
    }
}

/// The entries of a result when there is no key.
pub fn basics(args: &Args) -> Dict {
    let mut facts = dict! {
        "size" => args.int("size").unwrap_or_default(),
        "type" => args.text("type"),
        "fingerprint" => Value::Null,
    };
    if args.text("type") == "ECC" {
        facts.insert("curve", args.value("curve").cloned().unwrap_or_default());
    }
    facts
}

/// A key's content for a result: raw ones in Base64.
pub fn returned(content: &[u8]) -> Value {
    if keyfile::format_of(content) == Format::Raw {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(content);
        return super::content(encoded.as_bytes(), true);
    }
    super::content(content, true)
}
