//! The lookup `password`: characters drawn once and kept in a file, or drawn anew each time (`/dev/null`).
//!
//! In: the term with its own options, and the call's. Out: secret text. Several hosts may ask at the same moment: the
//! file appears whole or not at all, the first one's draw is everybody's, and nobody but its owner may read it.
//!
//! With `encrypt` what is given is the hash, and the file keeps the salt beside the password.
//!
//! Not here: the hashing itself (filter `password_hash`).

use crate::playbook::plain_io;
use quorate_template::{Error, LookupCall, Result};
use quorate_value::{Str, Value, str_of};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What is asked for: the path, and how to draw.
#[derive(Debug, PartialEq)]
struct Wish {
    path: String,
    length: usize,
    alphabet: Vec<char>,
    seed: Option<String>,
    encrypt: Option<String>,
    ident: Option<String>,
}

/// The password that a term names. `read` reads a file that is there, perhaps a vault.
pub(super) fn lookup(
    call: &LookupCall,
    term: &str,
    base: &Path,
    read: impl Fn(&Path) -> Result<Str>,
) -> Result<Value> {
    let wish = wish(call, term)?;
    if wish.path == "/dev/null" {
        return given(&wish, &Kept { word: draw(&wish)?, salt: None, ident: None });
    }
    let path = base.join(&wish.path);
    let salted = |kept: Kept| -> Result<Kept> {
        let Some(kind) = wish.encrypt.as_deref() else { return Ok(kept) };
        let bcrypt = matches!(kind, "bcrypt" | "blowfish");
        let ident = kept.ident.or_else(|| wish.ident.clone()).or_else(|| bcrypt.then(|| "2b".to_owned()));
        Ok(Kept { salt: Some(kept.salt.map_or_else(|| salt_for(kind), Ok)?), ident, ..kept })
    };
    if !path.exists() {
        let new = salted(Kept { word: draw(&wish)?, salt: None, ident: None })?;
        keep(&path, &new.written(), false)?;
    }
    let found = Kept::read(&read(&path)?);
    let kept = salted(found.clone())?;
    if kept != found {
        if wish.ident.is_some() && found.ident.is_some() && wish.ident != found.ident {
            return Err(Error::runtime("The ident parameter provided does not match the stored one"));
        }
        keep(&path, &kept.written(), true)?;
    }
    given(&wish, &kept)
}

/// What the file keeps: the password, and what goes into its hash.
#[derive(Clone, PartialEq)]
struct Kept {
    word: String,
    salt: Option<String>,
    ident: Option<String>,
}

impl Kept {
    fn read(text: &str) -> Self {
        let first = text.lines().next().unwrap_or("");
        let (first, ident) = match first.rsplit_once(" ident=") {
            Some((before, ident)) => (before, Some(ident.to_owned())),
            None => (first, None),
        };
        let (word, salt) = match first.rsplit_once(" salt=") {
            Some((word, salt)) => (word, Some(salt.to_owned())),
            None => (first, None),
        };
        Kept { word: word.to_owned(), salt, ident }
    }

    fn written(&self) -> String {
        let mut line = self.word.clone();
        for (name, value) in [("salt", &self.salt), ("ident", &self.ident)] {
            if let Some(value) = value {
                line.push_str(&format!(" {name}={value}"));
            }
        }
        line
    }
}

/// What the template gets: the password, or its hash.
fn given(wish: &Wish, kept: &Kept) -> Result<Value> {
    crate::secrets::keep_password(&kept.word);
    let text = match wish.encrypt.as_deref() {
        None => kept.word.clone(),
        Some(kind) => {
            let salt = kept.salt.clone().map_or_else(|| salt_for(kind), Ok)?;
            let ident = kept.ident.as_deref().or(wish.ident.as_deref());
            quorate_template::password_hashed(&kept.word, kind, &salt, ident)?
        }
    };
    Ok(Value::Str(Str::from(text).secret()))
}

fn salt_for(kind: &str) -> Result<String> {
    let alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./".as_bytes();
    let picks = random_picks(quorate_template::salt_length(kind)?, alphabet.len())?;
    Ok(picks.into_iter().map(|at| char::from(alphabet[at])).collect())
}

fn wish(call: &LookupCall, term: &str) -> Result<Wish> {
    let own =
        crate::playbook::kv::parse_kv(&Str::new(term), false).map_err(|e| Error::runtime(e.to_string()))?;
    let known = ["_raw_params", "length", "chars", "seed", "encrypt", "ident"];
    if let Some(bad) = own.keys().filter_map(|k| k.as_str()).find(|k| !known.contains(k)) {
        return Err(Error::runtime(format!("Unrecognized parameter(s) given to password lookup: {bad}")));
    }
    // a term with options of its own answers for all of them
    let from = if own.keys().any(|key| key.as_str() != Some("_raw_params")) { &own } else { &call.options };
    let option = |name: &str| from.get(name).filter(|value| !value.is_null());
    let length = match option("length") {
        None => 20,
        Some(value) => match crate::run::number(value) {
            Some(number) if number >= 0.0 => number as usize,
            _ => return Err(Error::runtime(format!("length is a number, not `{}`", str_of(value)))),
        },
    };
    let parts: Vec<String> = match option("chars") {
        None => ["ascii_letters", "digits", ".,:-_"].map(String::from).to_vec(),
        Some(Value::List(items)) => items.iter().map(str_of).collect(),
        Some(value) => {
            // a comma among the characters is written twice
            let text = str_of(value);
            let mut parts: Vec<String> = if text.contains(",,") { vec![",".into()] } else { Vec::new() };
            parts.extend(text.replace(",,", ",").split(',').filter(|p| !p.is_empty()).map(String::from));
            parts
        }
    };
    let mut alphabet = Vec::new();
    for part in &parts {
        match part.as_str() {
            "ascii_letters" => alphabet.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => alphabet.extend('a'..='z'),
            "ascii_uppercase" => alphabet.extend('A'..='Z'),
            "digits" => alphabet.extend('0'..='9'),
            "hexdigits" => alphabet.extend("0123456789abcdefABCDEF".chars()),
            "octdigits" => alphabet.extend('0'..='7'),
            "punctuation" => alphabet.extend("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars()),
            other => alphabet.extend(other.chars()),
        }
    }
    alphabet.retain(|c| !matches!(c, '"' | '\'')); // they would need quoting wherever it is used
    Ok(Wish {
        path: own.get("_raw_params").map(str_of).unwrap_or_default(),
        length,
        alphabet,
        seed: option("seed").map(str_of),
        encrypt: option("encrypt").map(str_of).filter(|kind| !kind.is_empty()),
        ident: option("ident").map(str_of).filter(|ident| !ident.is_empty()),
    })
}

fn draw(wish: &Wish) -> Result<String> {
    let limit = wish.alphabet.len();
    if limit == 0 || limit > 256 {
        return Err(Error::runtime("the password lookup needs between 1 and 256 characters to choose from"));
    }
    let picks = match &wish.seed {
        Some(seed) => quorate_template::seeded_picks(seed, wish.length, limit),
        None => random_picks(wish.length, limit)?,
    };
    Ok(picks.into_iter().filter_map(|at| wish.alphabet.get(at)).collect())
}

/// Positions below `limit`, from the system's generator, without bias.
fn random_picks(count: usize, limit: usize) -> Result<Vec<usize>> {
    let mut source = std::fs::File::open("/dev/urandom").map_err(|e| Error::runtime(plain_io(&e)))?;
    let fair = 256 - 256 % limit;
    let mut out = Vec::with_capacity(count);
    let mut byte = [0u8; 1];
    while out.len() < count {
        source.read_exact(&mut byte).map_err(|e| Error::runtime(plain_io(&e)))?;
        if usize::from(byte[0]) < fair {
            out.push(usize::from(byte[0]) % limit);
        }
    }
    Ok(out)
}

/// Writes the file, whole; one that is there stays, unless it is to be replaced.
fn keep(path: &Path, word: &str, replace: bool) -> Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let failed = |at: &Path, e: &std::io::Error| Error::runtime(format!("{}: {}", at.display(), plain_io(e)));
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| failed(dir, &e))?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let new: PathBuf = dir.join(format!(".password-{}-{number}", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| writeln!(file, "{word}").and_then(|()| file.sync_all()));
    // a link is made only where there is nothing yet, and what it names is complete
    let linked = written
        .and_then(|()| if replace { std::fs::rename(&new, path) } else { std::fs::hard_link(&new, path) });
    drop(std::fs::remove_file(&new));
    match linked {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(path, &e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::Dict;

    fn call(options: &[(&str, Value)]) -> LookupCall {
        let mut dict = Dict::new();
        for (name, value) in options {
            dict.insert(*name, value.clone());
        }
        LookupCall { name: "password".into(), terms: Vec::new(), options: dict }
    }

    fn made(term: &str, options: &[(&str, Value)], base: &Path) -> String {
        let read = |path: &Path| Ok(Str::from(std::fs::read_to_string(path).expect("it is there")));
        str_of(&lookup(&call(options), term, base, read).expect("a password"))
    }

    /// As ansible-core 2.19.14 answers.
    #[test]
    fn a_seed_draws_what_python_draws() {
        let punctuation = Value::list(vec![Value::from("punctuation")]);
        let cases: [(&str, &[(&str, Value)], &str); 5] = [
            ("/dev/null", &[("seed", Value::from("abc"))], "6TTuIhBjbajOIpXYV3o6"),
            ("/dev/null length=8 seed=abc chars=digits", &[], "87552403"),
            (
                "/dev/null",
                &[("seed", Value::from("7")), ("chars", punctuation), ("length", Value::Int(40))],
                "]?}>&,_`);>.{<`~*$)[&+?;%[%?+-(@,`$?(+{[",
            ),
            ("/dev/null seed=7", &[("length", Value::Int(4))], "qMz6U8FjyrH7nnHPuLku"),
            ("/dev/null seed=7 chars=ascii_letters,,:", &[], "SJHhsWYlCHw:DYodlNhp"),
        ];
        for (term, options, expected) in cases {
            assert_eq!(made(term, options, Path::new("/")), expected, "{term}");
        }
    }

    #[test]
    fn hosts_that_ask_at_once_get_the_same() {
        let dir = std::env::temp_dir().join(format!("quorate-password-{}", std::process::id()));
        for round in 0..20 {
            let term = format!("secrets/{round} length=32");
            let seen: Vec<String> = std::thread::scope(|scope| {
                let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| made(&term, &[], &dir))).collect();
                asked.into_iter().map(|one| one.join().expect("no panic")).collect()
            });
            assert!(seen.iter().all(|one| *one == seen[0] && one.len() == 32), "{seen:?}");
        }
        let left = std::fs::read_dir(dir.join("secrets")).expect("it is there").count();
        std::fs::remove_dir_all(&dir).expect("ours");
        assert_eq!(left, 20);
    }
}
