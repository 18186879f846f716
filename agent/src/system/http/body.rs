//! Reading a response: its head at once, its body as it comes.

use super::stream::Stream;
use super::{Request, Response, Trouble, Url};
use std::io::{self, BufRead as _, BufReader, Read};

const LONGEST_HEAD: u64 = 256 * 1024;

/// The body of a response.
pub struct Body(Box<dyn Read>);

impl Body {
    /// A body that somebody else reads from.
    pub fn of(reader: impl Read + 'static) -> Body {
        Body(Box::new(reader))
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// How the end of a body is known.
enum Framing {
    Length { left: u64, read: u64 },
    Chunks { left: u64, first: bool, done: bool },
    Close,
}

struct Framed {
    reader: BufReader<Stream>,
    framing: Framing,
}

impl Framed {
    /// The next chunk's size; 0 after the last one.
    fn next_chunk(&mut self, first: bool) -> io::Result<u64> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "the server's chunks are damaged");
        let mut line = String::new();
        let mut limited = (&mut self.reader).take(1024);
        if !first {
            // The line end that closes the chunk before.
            limited.read_line(&mut line)?;
            line.clear();
        }
        limited.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad())?;
        if size == 0 {
            // Trailers, which nobody asked for.
            loop {
                line.clear();
                if (&mut self.reader).take(64 * 1024).read_line(&mut line)? == 0 || line.trim().is_empty() {
                    break;
                }
            }
        }
        Ok(size)
    }
}

impl Read for Framed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.framing {
            Framing::Close => self.reader.read(buffer),
            Framing::Length { left: 0, .. } | Framing::Chunks { done: true, .. } => Ok(0),
            Framing::Length { left, read } => {
                let limit = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let count = self.reader.read(&mut buffer[..limit])?;
                if count == 0 && limit > 0 {
                    let (left, read) = (*left, *read);
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("IncompleteRead({read} bytes read, {left} more expected)"),
                    ));
                }
                *left -= count as u64;
                *read += count as u64;
                Ok(count)
            }
            Framing::Chunks { left: 0, first, .. } => {
                let first = *first;
                let size = self.next_chunk(first)?;
                self.framing = Framing::Chunks { left: size, first: false, done: size == 0 };
                if size == 0 { Ok(0) } else { self.read(buffer) }
            }
            Framing::Chunks { left, .. } => {
                let limit = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let count = self.reader.read(&mut buffer[..limit])?;
                if count == 0 && limit > 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "IncompleteRead(0 bytes read)"));
                }
                *left -= count as u64;
                Ok(count)
            }
        }
    }
}

/// Reads the head of a response; the body follows when somebody wants it.
pub(super) fn read_response(stream: Stream, request: &Request, url: Url) -> Result<Response, Trouble> {
    let mut reader = BufReader::new(stream);
    let (status, reason, headers) = loop {
        let (status, reason, headers) = read_head(&mut reader, request)?;
        // Interim answers such as `100 Continue` announce another one.
        if !(100..200).contains(&status) || status == 101 {
            break (status, reason, headers);
        }
    };
    let header = |name: &str| {
        headers
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let none = request.method == "HEAD" || matches!(status, 204 | 304);
    let framing = if none {
        Framing::Length { left: 0, read: 0 }
    } else if header("transfer-encoding").is_some_and(|value| value.to_lowercase().contains("chunked")) {
        Framing::Chunks { left: 0, first: true, done: false }
    } else if let Some(length) = header("content-length").and_then(|value| value.trim().parse().ok()) {
        Framing::Length { left: length, read: 0 }
    } else {
        Framing::Close
    };
    let packed = header("content-encoding").map(str::to_lowercase).filter(|_| request.decompress && !none);
    let framed = Framed { reader, framing };
    let body = match packed.as_deref() {
        Some("gzip" | "x-gzip") => Body::of(flate2::read::MultiGzDecoder::new(framed)),
        _ => Body::of(framed),
    };
    Ok(Response { status, reason, headers, url, endless: false, body })
}

type Head = (u16, String, Vec<(String, String)>);

fn read_head(reader: &mut BufReader<Stream>, request: &Request) -> Result<Head, Trouble> {
    let mut limited = reader.take(LONGEST_HEAD);
    let mut line = |what: &'static str| -> Result<String, Trouble> {
        let mut bytes = Vec::new();
        limited.read_until(b'\n', &mut bytes).map_err(|error| Trouble::broken(&error, &request.cancel))?;
        if !bytes.ends_with(b"\n") {
            return Err(Trouble::Nonsense(what.into()));
        }
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        // Header bytes are Latin-1 by their old definition.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|b| char::from(*b)).collect()))
    };
    let first = line("Remote end closed connection without response")?;
    let mut words = first.splitn(3, ' ');
    let version = words.next().unwrap_or("");
    let status = words.next().and_then(|code| code.parse().ok()).filter(|_| version.starts_with("HTTP/"));
    let Some(status) = status else { return Err(Trouble::Nonsense(first)) };
    let reason = words.next().unwrap_or("").trim().to_owned();
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let line = line("the headers are cut short")?;
        if line.is_empty() {
            return Ok((status, reason, headers));
        }
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = headers.last_mut()
        {
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
}
