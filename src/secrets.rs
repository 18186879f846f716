//! What must not be seen: the plain text of vaults, and passwords, wherever they come up again.
//!
//! Marks on text ([`quorate_value::Str::secret`]) follow a secret through templates. They end where it leaves: a host
//! that echoes a password sends plain bytes back, and so does a difference of files. So every stream that people or
//! files get is searched for the secrets of this run, and what is found becomes stars.
//!
//! **Invariant:** nothing here changes what a run does; only what it shows.
//!
//! Words such as `postgres` or `5432` in a vault are no secrets worth a screen full of stars: text counts that is long
//! enough, and mixed enough, not to be met by chance.

use quorate_value::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// What a secret is shown as.
pub const STARS: &str = "********";

static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static SEARCH: RwLock<Option<Arc<aho_corasick::AhoCorasick>>> = RwLock::new(None);
static ANY: AtomicBool = AtomicBool::new(false);

/// How many secrets are looked for; a vault with more lines than that holds something else than passwords.
const MOST: usize = 100_000;

/// The plain text of a vault, or of one vaulted value: all of it, and each of its lines that is like no other text.
pub fn keep(text: &str) {
    let text = text.trim();
    let lines = text.lines().map(str::trim);
    learn(std::iter::once(text).chain(lines).filter(|text| telling(text)));
}

/// Something that was asked for, or set, as a password: all of it, however simple.
pub fn keep_password(text: &str) {
    learn(std::iter::once(text.trim_end_matches(['\r', '\n'])).filter(|text| text.chars().count() >= 6));
}

/// The values of a vaulted file of variables.
pub fn keep_values(value: &Value) {
    match value {
        Value::Str(text) if text.as_str().contains("{{") => {}
        Value::Str(text) => keep(text.as_str()),
        Value::List(items) => items.iter().for_each(keep_values),
        Value::Dict(entries) => entries.values().for_each(keep_values),
        _ => {}
    }
}

/// The values of a vaulted file of variables, marked as what they are.
pub fn values(plain: &Value) -> Value {
    keep_values(plain);
    plain.map_text(&|text| text.clone().secret())
}

/// Opens a vault: what was in it is a secret from here on.
///
/// # Errors
/// Those of [`quorate_vault::decrypt`].
pub fn open(
    vault: &str,
    with: &quorate_vault::VaultSecrets,
) -> Result<zeroize::Zeroizing<Vec<u8>>, quorate_vault::VaultError> {
    let plain = quorate_vault::decrypt(vault, with)?;
    keep(&String::from_utf8_lossy(&plain));
    Ok(plain)
}

/// Eight characters of two kinds, or twelve of any.
fn telling(text: &str) -> bool {
    let count = text.chars().count();
    let kinds = [
        text.contains(|c: char| c.is_lowercase()),
        text.contains(|c: char| c.is_uppercase()),
        text.contains(|c: char| c.is_ascii_digit()),
        text.contains(|c: char| !c.is_alphanumeric()),
    ];
    let kinds = kinds.into_iter().filter(|kind| *kind).count();
    // `-----BEGIN …-----` is in every key
    (count >= 12 || (count >= 8 && kinds >= 2)) && !text.starts_with("-----")
}

fn learn<'a>(texts: impl Iterator<Item = &'a str>) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = known.len();
    for text in texts {
        if known.len() >= MOST {
            break;
        }
        if known.contains(text) {
            continue;
        }
        // as it stands in JSON, too
        let quoted = serde_json::Value::from(text).to_string();
        let ascii = quorate_value::JsonStyle { ascii: true, ..Default::default() }.write(&Value::from(text));
        for form in [&quoted, &ascii] {
            known.insert(form.trim_matches('"').to_owned());
        }
        known.insert(text.to_owned());
    }
    if known.len() > before {
        *SEARCH.write().unwrap_or_else(PoisonError::into_inner) = None;
        ANY.store(true, Ordering::Release);
    }
}

/// The text with stars for every secret of this run.
pub fn scrub(text: &str) -> Cow<'_, str> {
    if !ANY.load(Ordering::Acquire) {
        return text.into();
    }
    let ready = SEARCH.read().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(search) = ready.or_else(prepare) else { return text.into() };
    if !search.is_match(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    search.replace_all_with(text, &mut out, |_, _, out| {
        out.push_str(STARS);
        true
    });
    out.into()
}

fn prepare() -> Option<Arc<aho_corasick::AhoCorasick>> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let search = aho_corasick::AhoCorasick::builder()
        .match_kind(aho_corasick::MatchKind::LeftmostLongest)
        .build(known.iter())
        .ok()?;
    let search = Arc::new(search);
    *SEARCH.write().unwrap_or_else(PoisonError::into_inner) = Some(search.clone());
    Some(search)
}

/// Whether a variable is called as secrets are. What is vaulted needs no such guess.
pub(crate) fn may_be_named(name: &str) -> bool {
    let name = name.to_lowercase();
    ["pass", "secret", "token", "private", "credential", "apikey", "api_key"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_never_shown() {
        assert_eq!(scrub("nothing learnt"), "nothing learnt");
        keep("t0p-Secret\n");
        keep("-----BEGIN KEY-----\nMIIBVgIBADANBgkq\n-----END KEY-----\n");
        keep("qu\"ote\\d-9ü");
        keep_password("simple");
        keep("postgres");
        keep("5432");
        for (text, shown) in [
            ("p=t0p-Secret;", "p=********;"),
            (r#"{"a": "qu\"ote\\d-9ü"}"#, r#"{"a": "********"}"#),
            (r#"{"a": "qu\"ote\\d-9\u00fc"}"#, r#"{"a": "********"}"#),
            ("a simple thing", "a ******** thing"),
            ("MIIBVgIBADANBgkq", "********"),
            ("-----BEGIN KEY-----", "-----BEGIN KEY-----"),
            ("postgres on 5432", "postgres on 5432"),
            ("", ""),
        ] {
            assert_eq!(scrub(text), shown);
        }
    }
}
