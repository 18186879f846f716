//! `/etc/shadow` and the settings of `/etc/login.defs` that matter when homes are made.
//!
//! **Invariant:** password hashes leave this file only to be compared; nothing here prints them.

use crate::module::{Ctx, Failure};
use crate::system::process::Output;

/// The fields of a `shadow` line that modules compare.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Shadow {
    /// The hash, possibly locked with `!`.
    pub password: String,
    /// Days between changes, at least.
    pub min: Option<i64>,
    /// Days between changes, at most.
    pub max: Option<i64>,
    /// Days of warning.
    pub warn: Option<i64>,
    /// Days from expiry to the end of the account.
    pub inactive: Option<i64>,
    /// The account's last day, counted from the epoch.
    pub expires: Option<i64>,
}

impl Shadow {
    /// A line of `shadow`.
    pub fn parse(line: &str) -> Option<(&str, Shadow)> {
        let fields: Vec<_> = line.split(':').collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
        let shadow = Shadow {
            password: (*fields.get(1)?).to_owned(),
            min: number(3),
            max: number(4),
            warn: number(5),
            inactive: number(6),
            expires: number(7),
        };
        Some((fields[0], shadow))
    }

    /// What the host knows about a user; nothing if we may not look or it is kept elsewhere.
    pub fn of(name: &str) -> Option<Shadow> {
        let text = std::fs::read_to_string("/etc/shadow").ok()?;
        let found = text.lines().filter_map(Shadow::parse).find(|(user, _)| *user == name);
        found.map(|(_, shadow)| shadow)
    }
}

/// Sets a password hash. It goes through a pipe, so that no process list shows it.
pub fn set_password(ctx: &Ctx, user: &str, hash: &str) -> Result<Output, Failure> {
    if hash.is_empty() {
        // `chpasswd` refuses an empty one, and there is nothing to hide.
        let usermod = ctx.program("usermod")?;
        return ctx.run(&ctx.command([usermod.as_str(), "-p", "", user]));
    }
    let chpasswd = ctx.program("chpasswd")?;
    ctx.run(&ctx.command([chpasswd.as_str(), "-e"]).input(format!("{user}:{hash}\n")).env("LC_ALL", "C"))
}

/// The permission bits of a new home directory.
pub fn home_mode(login_defs: &str, umask: Option<u32>) -> u32 {
    let setting = |name: &str| {
        login_defs.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.next()).flatten().and_then(octal)
        })
    };
    match umask {
        Some(mask) => 0o777 & !mask,
        None => setting("HOME_MODE").unwrap_or_else(|| 0o777 & !setting("UMASK").unwrap_or(0o022)),
    }
}

/// Octal text with or without a prefix.
pub fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8).ok()
}

/// Whether text does not look like the hash of a password; a few words only disable the account.
pub fn looks_unhashed(password: &str) -> bool {
    if matches!(password, "*" | "!" | "*************") {
        return false;
    }
    if password.contains([':', '*', '!']) {
        return true;
    }
    let fields: Vec<_> = password.split('$').collect();
    let [_, scheme, .., last] = fields.as_slice() else { return true };
    if fields.len() < 3 || last.contains(|c: char| !c.is_ascii_alphanumeric() && !"./=".contains(c)) {
        return true;
    }
    match *scheme {
        "1" => last.len() != 22,
        "5" | "y" => last.len() != 43,
        "6" => last.len() != 86,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let (name, shadow) = Shadow::parse("u2:bad:20778:2:20:5:5:21990:").unwrap();
        assert_eq!((name, shadow.min, shadow.max, shadow.warn), ("u2", Some(2), Some(20), Some(5)));
        assert_eq!((shadow.inactive, shadow.expires), (Some(5), Some(21990)));
        assert_eq!(Shadow::parse("u3:!:20778::::::").unwrap().1.max, None);
        assert!(Shadow::parse("nonsense").is_none());
    }

    #[test]
    fn homes() {
        for (defs, umask, expected) in [
            ("", None, 0o755),
            ("UMASK\t\t022\n#HOME_MODE 0700\n", None, 0o755),
            ("UMASK 027\n", None, 0o750),
            ("UMASK 022\nHOME_MODE\t0700\n", None, 0o700),
            ("HOME_MODE 0700\n", Some(0o077), 0o700),
            ("HOME_MODE 0700\n", Some(0o022), 0o755),
        ] {
            assert_eq!(home_mode(defs, umask), expected, "{defs:?}");
        }
    }

    #[test]
    fn hashes() {
        let sha512 = format!("$6$saltsalt${}", "x".repeat(86));
        for (password, expected) in [
            ("*", false),
            ("!", false),
            ("secret", true),
            ("$6$abc$def", true),
            ("a:b", true),
            (sha512.as_str(), false),
        ] {
            assert_eq!(looks_unhashed(password), expected, "{password}");
        }
    }
}
