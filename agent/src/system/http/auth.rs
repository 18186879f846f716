//! Passwords: Basic and Digest, and where `~/.netrc` keeps them.

use crate::system::files::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The header for Basic.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The header that answers a server's challenges; the strongest one that we can.
pub(super) fn answer(
    challenges: &[&str],
    user: &str,
    password: &str,
    method: &str,
    target: &str,
) -> Option<String> {
    let of = |scheme: &str| {
        challenges.iter().find_map(|challenge| {
            let (name, rest) = challenge.trim().split_once(' ').unwrap_or((challenge.trim(), ""));
            name.eq_ignore_ascii_case(scheme).then_some(rest)
        })
    };
    if let Some(parameters) = of("digest") {
        let client: [u8; 8] = std::array::from_fn(nonce_byte);
        let client: String = client.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        return digest(parameters, user, password, method, target, &client);
    }
    of("basic").map(|_| basic(user, password))
}

/// Something that no two requests share. It need not be secret.
fn nonce_byte(nth: usize) -> u8 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_usize(nth);
    hasher.finish() as u8
}

/// `key="value", key=value` by key.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim().trim_start_matches(',').trim().to_lowercase();
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        found.push((key, value.trim().to_owned()));
        rest = tail.trim_start().trim_start_matches(',').trim_start();
    }
    found
}

fn digest(
    challenge: &str,
    user: &str,
    password: &str,
    method: &str,
    target: &str,
    client: &str,
) -> Option<String> {
    let given = parameters(challenge);
    let get = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (realm, nonce) = (get("realm")?, get("nonce")?);
    let algorithm = get("algorithm").unwrap_or("MD5");
    let hash = match algorithm.to_uppercase().trim_end_matches("-SESS") {
        "MD5" => Algorithm::named("md5")?,
        "SHA-256" => Algorithm::named("sha256")?,
        _ => return None,
    };
    let hash = |text: String| hash.digest(text.as_bytes());
    let mut secret = hash(format!("{user}:{realm}:{password}"));
    if algorithm.to_uppercase().ends_with("-SESS") {
        secret = hash(format!("{secret}:{nonce}:{client}"));
    }
    let request = hash(format!("{method}:{target}"));
    let with_quality = get("qop").is_some_and(|list| list.split(',').any(|quality| quality.trim() == "auth"));
    let response = if with_quality {
        hash(format!("{secret}:{nonce}:00000001:{client}:auth:{request}"))
    } else {
        hash(format!("{secret}:{nonce}:{request}"))
    };
    let mut header = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{target}\", response=\"{response}\", algorithm={algorithm}"
    );
    if let Some(opaque) = get("opaque") {
        header += &format!(", opaque=\"{opaque}\"");
    }
    if with_quality {
        header += &format!(", qop=auth, nc=00000001, cnonce=\"{client}\"");
    }
    Some(header)
}

/// User and password that a netrc file has for a host.
pub fn credentials_from_netrc(file: &str, host: &str) -> Option<(String, String)> {
    let text = std::fs::read_to_string(file).ok()?;
    netrc(&text, host)
}

fn netrc(text: &str, host: &str) -> Option<(String, String)> {
    let mut words =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let (mut mine, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if mine && password.is_some() {
                    break;
                }
                mine = word == "default" || words.next() == Some(host);
                (user, password) = (None, None);
            }
            "login" => user = words.next().filter(|_| mine).map(str::to_owned),
            "password" => password = words.next().filter(|_| mine).map(str::to_owned),
            "account" => drop(words.next()),
            _ => {}
        }
    }
    Some((user.unwrap_or_default(), password?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_as_in_rfc_2617() {
        let challenge = "realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let header =
            digest(challenge, "Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b").unwrap();
        assert!(header.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{header}");
        assert!(header.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""));
    }

    #[test]
    fn the_stronger_challenge_is_answered() {
        let both = ["Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"n\""];
        assert!(answer(&both, "u", "p", "GET", "/").unwrap().starts_with("Digest "));
        assert_eq!(answer(&both[..1], "u", "p", "GET", "/").unwrap(), "Basic dTpw");
        assert_eq!(answer(&["Negotiate"], "u", "p", "GET", "/"), None);
    }

    #[test]
    fn netrc_files() {
        let text = "# c\nmachine a login u password p\nmachine b\n login v\n password q\ndefault login d password e\n";
        for (host, expected) in [("a", "u p"), ("b", "v q"), ("other", "d e")] {
            let (user, password) = netrc(text, host).unwrap();
            assert_eq!(format!("{user} {password}"), expected);
        }
        assert_eq!(netrc("machine a login u password p\n", "b"), None);
    }
}
