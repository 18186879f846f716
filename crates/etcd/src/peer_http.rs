//! The peer port's HTTP: the only source of a member list while a member waits to join.
//!
//! In: a peer [`Endpoint`]. Out: `/version` and `/members`. Strictly HTTP/1.1, one request a connection: over HTTP/2
//! the peer port breaks answers off.
//!
//! Not here: raft traffic, and anything that changes a cluster.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Access;
use crate::dial::Speak;
use crate::endpoint::Endpoint;
use crate::error::EtcdError;
use crate::id::{ClusterId, MemberId};
use crate::observation::ListedMember;

/// Answers are a few kilobytes; more than this is not etcd.
const LIMIT: usize = 1 << 20;

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerVersion {
    /// This member's release.
    #[serde(rename = "etcdserver")]
    pub server: String,
    /// The version the cluster has agreed on; `not_decided` before that.
    #[serde(rename = "etcdcluster")]
    pub cluster: String,
}

/// What `/members` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerMembers {
    /// From the `X-Etcd-Cluster-ID` header.
    pub cluster: Option<ClusterId>,
    /// The list this member believes in.
    pub members: Vec<ListedMember>,
}

/// The release behind a peer port.
pub async fn version(endpoint: &Endpoint, access: &Access) -> Result<PeerVersion, EtcdError> {
    let answer = get(endpoint, access, "/version").await?;
    answer.json(endpoint)
}

/// The member list behind a peer port. It answers also while the member serves no client.
pub async fn members(endpoint: &Endpoint, access: &Access) -> Result<PeerMembers, EtcdError> {
    /// etcd's JSON: ids are numbers of 64 bits, empty fields are left out.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        id: u64,
        #[serde(default)]
        name: String,
        #[serde(default, rename = "peerURLs")]
        peer_urls: Vec<String>,
        #[serde(default, rename = "clientURLs")]
        client_urls: Vec<String>,
        #[serde(default)]
        is_learner: bool,
    }
    let answer = get(endpoint, access, "/members").await?;
    let cluster = answer.header("x-etcd-cluster-id").and_then(|text| text.parse().ok());
    let members = answer.json::<Vec<Wire>>(endpoint)?.into_iter().map(|wire| ListedMember {
        id: MemberId::new(wire.id),
        name: wire.name,
        peer_urls: wire.peer_urls,
        client_urls: wire.client_urls,
        learner: wire.is_learner,
    });
    Ok(PeerMembers { cluster, members: members.collect() })
}

/// An HTTP answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Body, unchunked.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// A header's value; names compare without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, endpoint: &Endpoint) -> Result<T, EtcdError> {
        let fail = |why| EtcdError::Protocol { address: endpoint.address().clone(), why };
        if self.status != 200 {
            return Err(fail(format!("HTTP status {}", self.status)));
        }
        serde_json::from_slice(&self.body).map_err(|error| fail(format!("not the JSON of etcd: {error}")))
    }
}

/// One `GET`. Works on client and metrics URLs too (`/health`, `/readyz`).
pub async fn get(endpoint: &Endpoint, access: &Access, path: &str) -> Result<HttpAnswer, EtcdError> {
    let address = endpoint.address();
    let (mut stream, _dialer) = access.open(endpoint, Speak::Http).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    // Members often keep the connection open although they were asked not to: the answer's own length ends it.
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut bytes = Vec::new();
        loop {
            // Members close without a TLS goodbye, which comes as an error; the length tells whether all was there.
            let ended = match stream.read_buf(&mut bytes).await {
                Ok(count) => count == 0,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => true,
                Err(error) => return Err(error),
            };
            match parse(&bytes) {
                Ok(Whole::Yes(answer)) => return Ok(Ok(answer)),
                Ok(Whole::IfEnded(answer)) if ended => return Ok(Ok(answer)),
                Err(why) => return Ok(Err(why)),
                Ok(_) if ended => return Ok(Err("the HTTP answer broke off")),
                Ok(_) if bytes.len() > LIMIT => return Ok(Err("the HTTP answer is too long")),
                Ok(_) => {}
            }
        }
    };
    match tokio::time::timeout(access.deadlines.status, exchange).await {
        Err(_elapsed) => Err(EtcdError::Silent { address: address.clone(), after: access.deadlines.status }),
        Ok(Err(error)) => Err(EtcdError::Unreachable { address: address.clone(), why: error.to_string() }),
        Ok(Ok(Err(why))) => Err(EtcdError::Protocol { address: address.clone(), why: why.to_owned() }),
        Ok(Ok(Ok(answer))) => Ok(answer),
    }
}

/// How much of an answer has come.
#[derive(Debug, PartialEq, Eq)]
enum Whole {
    /// All of it.
    Yes(HttpAnswer),
    /// All of it, if the connection ends here: it does not say how long it is.
    IfEnded(HttpAnswer),
    /// More must come.
    No,
}

fn parse(bytes: &[u8]) -> Result<Whole, &'static str> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(Whole::No) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the HTTP head is not text")?;
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or("not an HTTP/1.1 answer")?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let answer = HttpAnswer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(unchunk(body)?.map_or(Whole::No, |body| Whole::Yes(HttpAnswer { body, ..answer })));
    }
    if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().map_err(|_| "the content length is no number")?;
        return Ok(match body.get(..length) {
            Some(body) => Whole::Yes(HttpAnswer { body: body.to_vec(), ..answer }),
            None => Whole::No,
        });
    }
    Ok(Whole::IfEnded(HttpAnswer { body: body.to_vec(), ..answer }))
}

/// The chunks' content, once the last one is there.
fn unchunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[..line])
            .ok()
            .and_then(|text| {
                usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16).ok()
            })
            .ok_or("a chunk has no size")?;
        bytes = &bytes[line + 2..];
        if size == 0 {
            return Ok(Some(body));
        }
        let Some(chunk) = bytes.get(..size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match size.checked_add(2).and_then(|next| bytes.get(next..)) {
            Some(rest) => bytes = rest,
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Status and body; `None` when more must come; or a part of the complaint.
    type Outcome = Result<Option<(u16, &'static str)>, &'static str>;

    #[rustfmt::skip] // read in columns
    const CASES: &[(&str, Outcome)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",                Ok(Some((200, "{}")))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}trailing",        Ok(Some((200, "{}")))),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n", Ok(Some((200, "{}")))),
        ("HTTP/1.0 404 Not Found\r\n\r\nnope",                            Ok(Some((404, "nope")))),
        ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",               Ok(None)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}", Ok(None)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", Err("no size")),
        ("HTTP/1.1 200 OK\r\n",                                           Ok(None)),
        ("SSH-2.0-x\r\n\r\n",                                             Err("not an HTTP/1.1")),
    ];

    #[test]
    fn answers() {
        for (text, expected) in CASES {
            let seen = match parse(text.as_bytes()) {
                Ok(Whole::Yes(answer) | Whole::IfEnded(answer)) => Ok(Some(answer)),
                Ok(Whole::No) => Ok(None),
                Err(why) => Err(why),
            };
            match (seen, expected) {
                (Ok(seen), Ok(expected)) => {
                    let seen = seen.map(|answer| (answer.status, String::from_utf8(answer.body).unwrap()));
                    assert_eq!(seen, expected.map(|(status, body)| (status, body.to_owned())), "{text:?}");
                }
                (Err(why), Err(part)) => assert!(why.contains(part), "{text:?}: {why}"),
                (seen, _) => panic!("{text:?}: {seen:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), chunked in any::<bool>()) {
            let head: &[u8] = if chunked { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"" };
            let _parsed = parse(&[head, &bytes].concat());
        }
    }
}
