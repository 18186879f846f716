//! A connection: TCP, a unix socket, or TLS on top; with a limit on how long nothing may happen.

use super::proxy::Proxy;
use super::{Request, Trouble, Url};
use crate::system::process::{Cancel, errno};
use crate::system::resolve;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Tcp(stream) => stream.as_fd(),
            Wire::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A socket that gives up after a while, or when the job is cancelled.
pub(super) struct Socket {
    wire: Wire,
    timeout: Duration,
    cancel: Cancel,
}

impl Socket {
    fn wait(&self, what: PollFlags) -> io::Result<()> {
        let end = Instant::now() + self.timeout;
        loop {
            if self.cancel.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let slice = left.min(Duration::from_millis(200));
            let time = Timespec { tv_sec: 0, tv_nsec: i64::from(slice.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.wire, what)], Some(&time)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN)?;
        match &mut self.wire {
            Wire::Tcp(stream) => stream.read(buffer),
            Wire::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.wait(PollFlags::OUT)?;
        // One chunk at a time, so that a full pipe cannot hold us past our patience.
        let chunk = &buffer[..buffer.len().min(16 * 1024)];
        match &mut self.wire {
            Wire::Tcp(stream) => stream.write(chunk),
            Wire::Unix(stream) => stream.write(chunk),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a request is written to and a response read from.
pub(super) enum Stream {
    Plain(Socket),
    #[cfg(feature = "https")]
    Tls(Box<super::tls::TlsStream>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "https")]
            Stream::Tls(stream) => match stream.read(buffer) {
                // Many servers close without saying so; the length of the body tells whether all came.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                result => result,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(buffer),
            #[cfg(feature = "https")]
            Stream::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            #[cfg(feature = "https")]
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Stream {
    /// Connects to where the request goes, through a proxy if there is one.
    pub(super) fn open(request: &Request, url: &Url, proxy: Option<&Proxy>) -> Result<Stream, Trouble> {
        if !matches!(url.scheme.as_str(), "http" | "https") {
            return Err(Trouble::Connect(format!("unknown url type: {}", url.scheme)));
        }
        let wire = match (&request.unix_socket, proxy) {
            (Some(path), _) => Wire::Unix(UnixStream::connect(path).map_err(|error| {
                Trouble::Connect(format!("Invalid Socket File ({path}): {}", errno(&error)))
            })?),
            (None, Some(proxy)) => Wire::Tcp(connect(&proxy.host, proxy.port, request.timeout)?),
            (None, None) => Wire::Tcp(connect(&url.host, url.port, request.timeout)?),
        };
        let mut socket = Socket { wire, timeout: request.timeout, cancel: request.cancel.clone() };
        if url.scheme == "http" {
            return Ok(Stream::Plain(socket));
        }
        if let Some(proxy) = proxy.filter(|_| request.unix_socket.is_none()) {
            tunnel(&mut socket, url, proxy)?;
        }
        secure(socket, request, url)
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, Trouble> {
    let stream = resolve::connect(host, port, timeout).map_err(|error| {
        Trouble::Connect(match error.kind() {
            io::ErrorKind::NotFound => "[Errno -2] Name or service not known".into(),
            io::ErrorKind::TimedOut => "timed out".into(),
            _ => errno(&error),
        })
    })?;
    stream.set_nodelay(true).ok(); // only a matter of speed
    Ok(stream)
}

/// Asks a proxy for a way through.
fn tunnel(socket: &mut Socket, url: &Url, proxy: &Proxy) -> Result<(), Trouble> {
    let place = format!("{}:{}", url.host, url.port);
    let mut head = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
    if let Some(authorization) = &proxy.authorization {
        head += &format!("Proxy-Authorization: {authorization}\r\n");
    }
    head += "\r\n";
    let failed = |what: String| Trouble::Connect(format!("Tunnel connection failed: {what}"));
    socket.write_all(head.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < 16 * 1024 {
        match socket.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            Ok(_) => break,
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    let mut words = line.splitn(3, ' ').skip(1);
    match words.next() {
        Some("200") => Ok(()),
        Some(status) => Err(failed(format!("{status} {}", words.next().unwrap_or_default()))),
        None => Err(failed("no answer".into())),
    }
}

#[cfg(feature = "https")]
fn secure(socket: Socket, request: &Request, url: &Url) -> Result<Stream, Trouble> {
    Ok(Stream::Tls(Box::new(super::tls::handshake(socket, request, url)?)))
}

#[cfg(not(feature = "https"))]
fn secure(_: Socket, _: &Request, _: &Url) -> Result<Stream, Trouble> {
    Err(Trouble::Connect("this helper was built without TLS".into()))
}
