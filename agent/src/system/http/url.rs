//! URLs, as far as requests need them.

/// A URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `http`, `https`, `file`, …
    pub scheme: String,
    /// Host, without the brackets of an IPv6 address.
    pub host: String,
    /// Port, that of the scheme if none is written.
    pub port: u16,
    credentials: Option<(String, String)>,
    explicit_port: bool,
    path: String,
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Percent escapes for what may not stand in a URL as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte <= b' ' || byte >= 0x7f || byte == b'"' || byte == b'<' || byte == b'>' {
            out += &format!("%{byte:02X}");
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

/// Undoes percent escapes.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let byte = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Url {
    /// Reads an absolute URL.
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.trim().split_once("://")?;
        if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
            return None;
        }
        let scheme = scheme.to_lowercase();
        let rest = rest.split('#').next().unwrap_or("");
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((user, host)) => {
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                (Some((unescape(user), unescape(password))), host)
            }
            None => (None, authority),
        };
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port.filter(|port| !port.is_empty()) {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        if host.is_empty() && scheme != "file" {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Url {
            port: port.unwrap_or(default_port(&scheme)),
            explicit_port: port.is_some(),
            host: host.to_lowercase(),
            credentials,
            scheme,
            path: escape(&path),
        })
    }

    /// Takes user and password out.
    pub fn take_credentials(&mut self) -> Option<(String, String)> {
        self.credentials.take()
    }

    /// Path and query, as a request line has them.
    pub fn target(&self) -> String {
        self.path.clone()
    }

    /// The path alone, escapes undone.
    pub fn file_path(&self) -> String {
        unescape(self.path.split('?').next().unwrap_or(""))
    }

    /// The last part of the path; `index.html` where there is none.
    pub fn file_name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or("");
        match path.rsplit('/').next() {
            Some("") | None => "index.html".into(),
            Some(name) => name.to_owned(),
        }
    }

    /// Host and port, as the `Host` header has them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.explicit_port { format!("{host}:{}", self.port) } else { host }
    }

    /// All of it, without user and password.
    pub fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority(), self.path)
    }

    /// What a reference on a page at this URL means.
    pub fn join(&self, reference: &str) -> Option<Url> {
        let reference = reference.trim();
        if reference.contains("://") {
            return Url::parse(reference);
        }
        let start = format!("{}://{}", self.scheme, self.authority());
        if let Some(rest) = reference.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme));
        }
        let own = self.path.split('?').next().unwrap_or("/");
        let path = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.starts_with('?') {
            format!("{own}{reference}")
        } else {
            let directory = own.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{reference}")
        };
        Url::parse(&format!("{start}{}", without_dots(&path)))
    }
}

/// Resolves `.` and `..` in a path.
fn without_dots(path: &str) -> String {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (path, String::new()),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn parts() {
        for (text, expected) in [
            ("http://h/a?b=c#d",          "http h 80 /a?b=c"),
            ("https://H:8443",            "https h 8443 /"),
            ("http://u:p%40@h:1/x",       "http h 1 /x"),
            ("http://[::1]:2379/v2",      "http ::1 2379 /v2"),
            ("http://h?x",                "http h 80 /?x"),
            ("http://h/a b/é",            "http h 80 /a%20b/%C3%A9"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(format!("{} {} {} {}", url.scheme, url.host, url.port, url.target()), expected);
        }
        for text in ["nonsense", "http://", "http://h:x/", "://h"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        let mut url = Url::parse("http://u:p%40@h:1/x").unwrap();
        assert_eq!(url.take_credentials(), Some(("u".into(), "p@".into())));
        assert_eq!(url.text(), "http://h:1/x");
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn references() {
        let base = Url::parse("http://h:1/a/b?c").unwrap();
        for (reference, expected) in [
            ("/x",            "http://h:1/x"),
            ("x",             "http://h:1/a/x"),
            ("../x?y",        "http://h:1/x?y"),
            ("./",            "http://h:1/a/"),
            ("?q",            "http://h:1/a/b?q"),
            ("//o/x",         "http://o/x"),
            ("https://o/x",   "https://o/x"),
        ] {
            assert_eq!(base.join(reference).unwrap().text(), expected, "{reference}");
        }
    }

    #[test]
    fn file_names() {
        for (text, expected) in [
            ("http://h/a/b.tar.gz?x=/y", "b.tar.gz"),
            ("http://h/", "index.html"),
            ("http://h", "index.html"),
        ] {
            assert_eq!(Url::parse(text).unwrap().file_name(), expected);
        }
    }
}
