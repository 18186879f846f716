//! A small HTTP client: one request a connection, redirects, passwords, proxies, unix sockets, and TLS where the
//! helper was built with it (feature `https`).
//!
//! In: a [`Request`]. Out: a [`Response`] whose body is read as it comes, or [`Trouble`] in ansible-core's words.
//!
//! **Invariant:** names are resolved by `resolve`, never by the C library; passwords leave for another host only
//! if they stand in its own URL; a cancelled job stops within moments.
//!
//! Not here: what a task wants with the answer (`modules::uri`, `modules::get_url`).

mod auth;
mod body;
mod proxy;
mod stream;
#[cfg(feature = "https")]
mod tls;
mod url;

pub use auth::credentials_from_netrc;
pub use body::Body;
pub use url::Url;

use crate::system::process::Cancel;
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::Duration;
use stream::Stream;

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// All of them.
    All,
    /// None.
    None,
    /// Those of GET and HEAD.
    Safe,
    /// As Python's `urllib` does: POST too where it turns into GET.
    Urllib,
}

/// How the other side of a TLS connection is checked, and who we are to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Take any certificate.
    pub insecure: bool,
    /// File of certificates to trust in place of the system's.
    pub ca_path: Option<String>,
    /// Our certificate, and perhaps its key.
    pub client_cert: Option<String>,
    /// Our key.
    pub client_key: Option<String>,
}

/// What to ask.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Where.
    pub url: String,
    /// Headers, as the task has them.
    pub headers: Vec<(String, String)>,
    /// What to send.
    pub body: Option<Vec<u8>>,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// Send them before they are asked for.
    pub force_basic_auth: bool,
    /// Look for them in `~/.netrc`.
    pub netrc: Option<String>,
    /// Which redirects are followed.
    pub redirects: Redirects,
    /// Headers that redirects do not get.
    pub unredirected: Vec<String>,
    /// How long nothing may happen.
    pub timeout: Duration,
    /// TLS.
    pub tls: Tls,
    /// Connect here in place of the URL's host.
    pub unix_socket: Option<String>,
    /// Proxies from these variables (`http_proxy`, …); none if absent.
    pub proxy_environment: Option<HashMap<String, String>>,
    /// Unpack a body that comes packed.
    pub decompress: bool,
    /// `User-Agent`.
    pub agent: String,
    /// Stops it.
    pub cancel: Cancel,
}

impl Request {
    /// A plain GET with the defaults of Ansible's modules.
    pub fn get(url: &str) -> Self {
        Request {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            credentials: None,
            force_basic_auth: false,
            netrc: None,
            redirects: Redirects::Urllib,
            unredirected: Vec::new(),
            timeout: Duration::from_secs(10),
            tls: Tls::default(),
            unix_socket: None,
            proxy_environment: None,
            decompress: true,
            agent: "ansible-httpget".into(),
            cancel: Cancel::default(),
        }
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

/// What came back.
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The words behind it.
    pub reason: String,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// Where it came from in the end.
    pub url: Url,
    /// Set where redirects went round in circles.
    pub endless: bool,
    /// The body, to be read.
    pub body: Body,
}

impl Response {
    /// A header's value; the last where it comes more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether Ansible counts it as an answer: below 300.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `OK (12 bytes)` or `HTTP Error 404: Not Found`.
    pub fn message(&self) -> String {
        if self.is_good() {
            return format!("OK ({} bytes)", self.header("content-length").unwrap_or("unknown"));
        }
        let (status, reason) = (self.status, &self.reason);
        if self.endless {
            return format!(
                "HTTP Error {status}: The HTTP server returned a redirect error that would lead to an infinite loop.\n\
                 The last 30x error message was:\n{reason}"
            );
        }
        format!("HTTP Error {status}: {reason}")
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The URL is none.
    #[error("unknown url type: '{0}'")]
    Url(String),
    /// No connection.
    #[error("Request failed: <urlopen error {0}>")]
    Connect(String),
    /// The connection broke.
    #[error("Connection failure: {0}")]
    Broken(String),
    /// What came back is not HTTP.
    #[error("Connection failure: connection was closed before a valid response was received: {0}")]
    Nonsense(String),
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl Trouble {
    /// An error on an open connection.
    fn broken(error: &io::Error, cancel: &Cancel) -> Trouble {
        if cancel.is_cancelled() {
            return Trouble::Cancelled;
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Trouble::Broken("timed out".into()),
            io::ErrorKind::UnexpectedEof => {
                Trouble::Nonsense("Remote end closed connection without response".into())
            }
            _ => Trouble::Broken(crate::system::process::errno(error)),
        }
    }
}

/// Asks, follows redirects as told, and gives the answer.
pub fn fetch(request: &Request) -> Result<Response, Trouble> {
    let mut request = request.clone();
    let mut url = Url::parse(&request.url).ok_or_else(|| Trouble::Url(request.url.clone()))?;
    if let Some((user, password)) = url.take_credentials() {
        request.credentials = Some((user, password));
        request.force_basic_auth = true;
    }
    let mut seen: HashMap<String, u32> = HashMap::new();
    for hop in 0.. {
        let mut response = ask_with_password(&request, &url)?;
        let Some(target) = redirect_target(&request, &response, &url) else { return Ok(response) };
        let visits = seen.entry(target.text()).or_default();
        *visits += 1;
        if *visits > 4 || hop >= 10 {
            response.endless = true;
            return Ok(response);
        }
        redirect(&mut request, &response, &url, &target);
        url = target;
    }
    Err(Trouble::Broken("too many redirects".into()))
}

/// Where a redirect leads, if it is to be followed.
fn redirect_target(request: &Request, response: &Response, url: &Url) -> Option<Url> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let get = matches!(request.method.as_str(), "GET" | "HEAD");
    let follow = match request.redirects {
        Redirects::All => true,
        Redirects::None => false,
        Redirects::Safe => get,
        Redirects::Urllib => get || request.method == "POST" && matches!(response.status, 301..=303),
    };
    let location = response.header("location").filter(|_| follow)?;
    url.join(location).filter(|target| matches!(target.scheme.as_str(), "http" | "https"))
}

/// Turns the request into the one that follows a redirect.
fn redirect(request: &mut Request, response: &Response, from: &Url, to: &Url) {
    let keeps = matches!(response.status, 307 | 308);
    if !keeps {
        let becomes_get = match response.status {
            302 | 303 => request.method != "HEAD",
            _ => request.method == "POST",
        };
        if becomes_get {
            request.method = "GET".into();
        }
        request.body = None;
        request.headers.retain(|(name, _)| {
            !["content-length", "content-type", "transfer-encoding"].contains(&name.to_lowercase().as_str())
        });
    }
    let unredirected = std::mem::take(&mut request.unredirected);
    request.headers.retain(|(name, _)| !unredirected.iter().any(|other| other.eq_ignore_ascii_case(name)));
    request.unredirected = unredirected;
    if (&from.host, from.port) != (&to.host, to.port) {
        request.credentials = None;
        request.headers.retain(|(name, _)| {
            !name.eq_ignore_ascii_case("authorization") && !name.eq_ignore_ascii_case("cookie")
        });
    }
}

/// One request; a second one where the server wants a password that we have.
fn ask_with_password(request: &Request, url: &Url) -> Result<Response, Trouble> {
    let credentials =
        request.credentials.clone().or_else(|| credentials_from_netrc(request.netrc.as_deref()?, &url.host));
    let at_once =
        (request.force_basic_auth || request.credentials.is_none()) && !request.has_header("authorization");
    let first = credentials.as_ref().filter(|_| at_once).map(|(user, password)| auth::basic(user, password));
    let response = ask(request, url, first.as_deref())?;
    let Some((user, password)) = credentials.filter(|_| response.status == 401 && first.is_none()) else {
        return Ok(response);
    };
    let challenges: Vec<&str> = response
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"))
        .map(|(_, value)| value.as_str())
        .collect();
    match auth::answer(&challenges, &user, &password, &request.method, &url.target()) {
        Some(answer) => ask(request, url, Some(&answer)),
        None => Ok(response),
    }
}

/// One request on one connection.
fn ask(request: &Request, url: &Url, authorization: Option<&str>) -> Result<Response, Trouble> {
    let proxy = request.proxy_environment.as_ref().and_then(|variables| proxy::proxy_for(url, variables));
    let mut stream = Stream::open(request, url, proxy.as_ref())?;
    let plain_proxy = proxy.filter(|_| url.scheme == "http" && request.unix_socket.is_none());
    let head = head(request, url, authorization, plain_proxy.as_ref())?;
    let broken = |error: io::Error| Trouble::broken(&error, &request.cancel);
    let sent = stream.write_all(head.as_bytes()).and_then(|()| match &request.body {
        Some(body) => stream.write_all(body),
        None => Ok(()),
    });
    // A server may answer and close before it has read everything: its answer counts.
    if let Err(error) = sent.and_then(|()| stream.flush())
        && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
    {
        return Err(broken(error));
    }
    body::read_response(stream, request, url.clone())
}

/// The request line and headers.
fn head(
    request: &Request,
    url: &Url,
    authorization: Option<&str>,
    proxy: Option<&proxy::Proxy>,
) -> Result<String, Trouble> {
    let target = if proxy.is_some() { url.text() } else { url.target() };
    let mut head = format!("{} {target} HTTP/1.1\r\nAccept-Encoding: identity\r\n", request.method);
    let mut put = |name: &str, value: &str| {
        if name.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
            return Err(Trouble::Broken(format!("Invalid header value {value:?}")));
        }
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
        Ok(())
    };
    if !request.has_header("host") {
        put("Host", &url.authority())?;
    }
    if !request.has_header("user-agent") {
        put("User-Agent", &request.agent)?;
    }
    if let Some(body) = &request.body {
        put("Content-Length", &body.len().to_string())?;
        if !request.has_header("content-type") {
            put("Content-Type", "application/x-www-form-urlencoded")?;
        }
    }
    if let Some(authorization) = authorization {
        put("Authorization", authorization)?;
    }
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_deref()) {
        put("Proxy-Authorization", authorization)?;
    }
    for (name, value) in &request.headers {
        let ours = ["accept-encoding", "content-length", "connection"];
        if !ours.contains(&name.to_lowercase().as_str()) {
            put(name, value)?;
        }
    }
    put("Connection", "close")?;
    head.push_str("\r\n");
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    /// Serves canned answers, one a connection; gives the URL and, in the end, the requests' heads.
    fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    assert_ne!(reader.read_line(&mut head).unwrap(), 0);
                }
                heads.push(head);
                stream.write_all(answer.as_bytes()).unwrap();
            }
            heads
        });
        (format!("http://127.0.0.1:{port}"), thread)
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn read(response: &mut Response) -> String {
        let mut text = String::new();
        response.body.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn bodies() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nT: 1\r\n\r\n";
        for (answer, expected) in [
            (answer("200 OK", "hello"), "hello"),
            (chunked.to_owned(), "abcdefgh"),
            ("HTTP/1.0 200 OK\r\n\r\nto the end".to_owned(), "to the end"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), "ok"),
            ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        ] {
            let (url, _server) = serve(vec![answer.clone()]);
            let mut response = fetch(&Request::get(&url)).unwrap();
            assert_eq!(read(&mut response), expected, "{answer}");
        }
    }

    #[test]
    fn a_body_that_is_cut_short_is_an_error() {
        let (url, _server) = serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()]);
        let mut response = fetch(&Request::get(&url)).unwrap();
        let error = response.body.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "IncompleteRead(5 bytes read, 95 more expected)");
    }

    #[test]
    fn redirects_keep_or_drop_the_body() {
        for (status, method, sent) in [("303 See", "GET", false), ("307 Temporary", "POST", true)] {
            let there = answer(&format!("{status}\r\nLocation: /b?x=1"), "");
            let (url, server) = serve(vec![there, answer("200 OK", "done")]);
            let request = Request {
                method: "POST".into(),
                body: Some(b"data".to_vec()),
                redirects: Redirects::All,
                ..Request::get(&format!("{url}/a"))
            };
            let mut response = fetch(&request).unwrap();
            assert_eq!(read(&mut response), "done");
            let heads = server.join().unwrap();
            assert!(heads[1].starts_with(&format!("{method} /b?x=1 HTTP/1.1")), "{}", heads[1]);
            assert_eq!(heads[1].contains("Content-Length: 4"), sent, "{status}");
        }
    }

    #[test]
    fn a_password_is_sent_when_asked_for_and_not_to_strangers() {
        let asks = answer("401 No\r\nWWW-Authenticate: Basic realm=\"x\"", "");
        let (other, strange) = serve(vec![answer("200 OK", "")]);
        let away = answer(&format!("302 Found\r\nLocation: {other}/"), "");
        let (url, server) = serve(vec![asks, away]);
        let request = Request { credentials: Some(("u".into(), "p".into())), ..Request::get(&url) };
        assert_eq!(fetch(&request).unwrap().status, 200);
        let heads = server.join().unwrap();
        assert!(!heads[0].contains("Authorization"));
        assert!(heads[1].contains("Authorization: Basic dTpw\r\n"));
        assert!(!strange.join().unwrap()[0].contains("Authorization"));
    }

    #[test]
    fn circles_end() {
        let circle = || answer("302 Found\r\nLocation: /", "");
        let (url, _server) = serve((0..6).map(|_| circle()).collect());
        let response = fetch(&Request::get(&url)).unwrap();
        assert!(response.endless && response.message().contains("infinite loop"));
    }

    #[test]
    fn troubles_in_ansibles_words() {
        let refused = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        };
        for (url, expected) in [
            ("nonsense", "unknown url type: 'nonsense'"),
            (refused.as_str(), "Request failed: <urlopen error [Errno 111] Connection refused>"),
            ("ftp://127.0.0.1/x", "Request failed: <urlopen error unknown url type: ftp>"),
        ] {
            let error = fetch(&Request::get(url)).err().unwrap();
            assert_eq!(error.to_string(), expected, "{url}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("http://{}", listener.local_addr().unwrap());
        let request = Request { timeout: Duration::from_millis(50), ..Request::get(&silent) };
        assert_eq!(fetch(&request).err().unwrap().to_string(), "Connection failure: timed out");
    }

    #[test]
    fn headers_cannot_smuggle() {
        let (url, _server) = serve(vec![]);
        let request = Request { headers: vec![("X".into(), "a\r\nEvil: 1".into())], ..Request::get(&url) };
        assert!(fetch(&request).err().unwrap().to_string().contains("Invalid header value"));
    }
}
