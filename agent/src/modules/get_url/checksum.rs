//! Checksums of downloads: written out, or looked up in a published list.

use crate::module::Failure;
use crate::system::files::Algorithm;

/// What a file has to sum up to.
#[derive(Debug, Clone)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    pub(super) sum: String,
}

impl Checksum {
    /// Algorithm and sum (or URL) of a parameter.
    pub(super) fn split(text: &str) -> Result<(&str, &str), String> {
        text.split_once(':')
            .map(|(algorithm, sum)| (algorithm.trim(), sum.trim()))
            .ok_or_else(|| "The checksum parameter has to be in format <algorithm>:<checksum>".to_owned())
    }

    /// A checksum; its sum in hexadecimal.
    pub(super) fn new(algorithm: &str, sum: &str) -> Result<Checksum, String> {
        let sum: String =
            sum.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>().to_lowercase();
        if sum.is_empty() || !sum.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err("Invalid checksum format".into());
        }
        let algorithm = Algorithm::named(algorithm).ok_or_else(|| {
            format!("Could not hash the file with algorithm '{algorithm}'. Available algorithms: sha1, sha224, sha256, sha384, sha512, md5")
        })?;
        Ok(Checksum { algorithm, sum })
    }

    /// What a file sums up to.
    pub(super) fn of(&self, path: &str) -> Result<String, Failure> {
        let digest = self.algorithm.digest_file(path);
        digest.map_err(|error| crate::system::files::trouble("could not read", path, &error))
    }

    /// Whether a file has it.
    pub(super) fn fits(&self, path: &str) -> Result<bool, Failure> {
        Ok(self.of(path)? == self.sum)
    }
}

/// The sum of a file in a list: `SUM  NAME`, `SUM *NAME`, `ALGORITHM (NAME) = SUM`, or a lone sum.
pub(super) fn find(list: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = list.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let [line] = lines.as_slice()
        && !line.contains(char::is_whitespace)
    {
        return Some((*line).to_owned());
    }
    let matches = |listed: &str| {
        let listed = listed.trim().trim_start_matches('*');
        let listed = listed.strip_prefix("./").unwrap_or(listed);
        listed == name || listed.rsplit('/').next() == Some(name)
    };
    lines.iter().find_map(|line| {
        if let Some((sum, listed)) = line.split_once(char::is_whitespace)
            && matches(listed)
        {
            return Some(sum.to_owned());
        }
        let (_, rest) = line.split_once(" (")?;
        let (listed, sum) = rest.split_once(") = ")?;
        matches(listed).then(|| sum.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn lists() {
        let list = "aa  other.bin\nbb *file.bin\ncc  ./dir/deep.bin\nSHA256 (bsd.bin) = dd\n";
        for (text, name, expected) in [
            (list,       "file.bin",  Some("bb")),
            (list,       "deep.bin",  Some("cc")),
            (list,       "bsd.bin",   Some("dd")),
            (list,       "none.bin",  None),
            ("ee\n",     "any.bin",   Some("ee")),
            ("ee  a\n",  "b",         None),
        ] {
            assert_eq!(find(text, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn parameters() {
        assert_eq!(
            Checksum::split("123").unwrap_err(),
            "The checksum parameter has to be in format <algorithm>:<checksum>"
        );
        assert_eq!(Checksum::new("sha256", "AB cd").unwrap().sum, "abcd");
        assert!(Checksum::new("foo", "ab").unwrap_err().contains("algorithm 'foo'"));
        assert!(Checksum::new("sha256", "xyz").is_err());
    }
}
