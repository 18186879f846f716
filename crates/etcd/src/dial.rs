//! How bytes reach a member: directly, or through something that carries them.
//!
//! A [`Dialer`] is one vantage point. The controller's own network is [`DirectDialer`]; a tunnel through a helper
//! on some host is another, written where helpers live. TLS and gRPC run on top, end to end: a tunnel sees
//! nothing.

use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::endpoint::{Address, Endpoint, Scheme};
use crate::error::EtcdError;
use crate::tls::{ClientIdentity, server_name};

/// A connection, whatever carries it.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection, boxed.
pub type BoxStream = Box<dyn ByteStream>;

/// One way to reach addresses.
///
/// An implementation keeps [`io::ErrorKind::ConnectionRefused`] for "the host answered that nobody listens":
/// that is proof of absence, and the guard uses it as such. Everything else is only "not reached".
pub trait Dialer: Send + Sync {
    /// Names the vantage point in observations, for example `controller` or `via 10.10.10.11`.
    fn name(&self) -> &str;

    /// Opens a connection. The caller sets the deadline.
    fn dial<'a>(&'a self, to: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>>;
}

/// TCP from where this process runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectDialer;

impl Dialer for DirectDialer {
    fn name(&self) -> &'static str {
        "controller"
    }

    fn dial<'a>(&'a self, to: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

/// Which of the two protocols will run on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speak {
    Grpc,
    Http,
}

/// Dials and, for `https`, shakes hands. Each stage that fails has its own error.
pub(crate) async fn open(
    dialer: &dyn Dialer,
    endpoint: &Endpoint,
    identity: Option<&ClientIdentity>,
    speak: Speak,
    deadline: Duration,
) -> Result<BoxStream, EtcdError> {
    let address = endpoint.address();
    let stream = match tokio::time::timeout(deadline, dialer.dial(address)).await {
        Err(_elapsed) => {
            let why = format!("no answer within {deadline:?}");
            return Err(EtcdError::Unreachable { address: address.clone(), why });
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(EtcdError::Refused { address: address.clone() });
        }
        Ok(Err(error)) => {
            return Err(EtcdError::Unreachable { address: address.clone(), why: plain(&error) });
        }
        Ok(Ok(stream)) => stream,
    };
    if endpoint.scheme() == Scheme::Http {
        return Ok(stream);
    }
    let tls = |why| EtcdError::Tls { address: address.clone(), why };
    let identity = identity.ok_or_else(|| tls("no CA is configured for this cluster".to_owned()))?;
    let config = match speak {
        Speak::Grpc => identity.for_grpc(),
        Speak::Http => identity.for_http(),
    };
    let name = server_name(address).map_err(tls)?;
    match tokio::time::timeout(deadline, TlsConnector::from(config).connect(name, stream)).await {
        // The kernel took the connection, the process did not: frozen, or stuck before it serves.
        Err(_elapsed) => Err(EtcdError::Silent { address: address.clone(), after: deadline }),
        Ok(Err(error)) => Err(tls(plain(&error))),
        Ok(Ok(stream)) => Ok(Box::new(stream)),
    }
}

/// An I/O error in words a person would use.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed during the handshake".to_owned(),
        _ => error.to_string(),
    }
}
