//! One member, one client. A client over several endpoints would balance onto a learner and hide who answered.
//!
//! In: an [`Endpoint`] and an [`Access`] (identity, login, deadlines, vantage points). Out: a [`MemberClient`]
//! whose connection is already open, so that a refused port, a dead host, a mute process and a bad certificate
//! are four different errors.
//!
//! Not here: what is asked ([`ops`](crate::ops), [`kv`](crate::kv), …) and what the answers mean.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Uri};
use tower::service_fn;
use zeroize::Zeroizing;

use crate::dial::{BoxStream, Dialer, DirectDialer, Speak, open};
use crate::endpoint::Endpoint;
use crate::error::EtcdError;
use crate::tls::ClientIdentity;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Connect, and again the TLS handshake.
    pub connect: Duration,
    /// Status, MemberList and other local reads.
    pub status: Duration,
    /// A linearizable read. 3 s says "not healthy now, ask again"; a verdict needs more than the server's own
    /// timeout: see [`Deadlines::verdict`].
    pub read: Duration,
    /// Anything that goes through raft: membership, keys, leases, alarms, users.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            status: Duration::from_secs(3),
            read: Duration::from_secs(3),
            // Longer than the server's own 5 s + 2 elections, so that it is the server that gives up.
            write: Duration::from_secs(10),
        }
    }
}

impl Deadlines {
    /// The wait after which a missing linearizable read is final: 6 s and two elections.
    pub fn verdict(election_timeout: Duration) -> Duration {
        Duration::from_secs(6) + 2 * election_timeout
    }
}

/// A user of etcd's own RBAC. The password has no `Debug`.
#[derive(Clone)]
pub struct Login {
    user: String,
    password: Zeroizing<String>,
}

impl Login {
    /// A user and its password.
    pub fn new(user: impl Into<String>, password: Zeroizing<String>) -> Self {
        Self { user: user.into(), password }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a cluster is reached. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    /// Needed for `https` endpoints.
    pub identity: Option<ClientIdentity>,
    /// Needed where auth is on and the identity's CN is no user.
    pub login: Option<Login>,
    /// How long to wait.
    pub deadlines: Deadlines,
    /// Vantage points, tried in this order.
    pub dialers: Vec<Arc<dyn Dialer>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vantages: Vec<&str> = self.dialers.iter().map(|dialer| dialer.name()).collect();
        f.debug_struct("Access").field("vantages", &vantages).finish_non_exhaustive()
    }
}

impl Access {
    /// Directly from here, with this identity (or none, for plain `http`).
    pub fn direct(identity: Option<ClientIdentity>) -> Self {
        let dialers: Vec<Arc<dyn Dialer>> = vec![Arc::new(DirectDialer)];
        Self { identity, login: None, deadlines: Deadlines::default(), dialers }
    }

    /// Tries one vantage point after the other. The error is the most telling one: an answer over silence.
    pub(crate) async fn open(
        &self,
        endpoint: &Endpoint,
        speak: Speak,
    ) -> Result<(BoxStream, Arc<dyn Dialer>), EtcdError> {
        let mut worst: Option<EtcdError> = None;
        for dialer in &self.dialers {
            let identity = self.identity.as_ref();
            match open(&**dialer, endpoint, identity, speak, self.deadlines.connect).await {
                Ok(stream) => return Ok((stream, Arc::clone(dialer))),
                Err(error) => {
                    if worst.as_ref().is_none_or(|before| telling(before) < telling(&error)) {
                        worst = Some(error);
                    }
                }
            }
        }
        Err(worst.unwrap_or_else(|| EtcdError::Local("no way to reach the cluster is configured".to_owned())))
    }
}

/// How much an error tells about the process behind the port.
fn telling(error: &EtcdError) -> u8 {
    match error {
        EtcdError::Unreachable { .. } | EtcdError::Local(_) => 0,
        EtcdError::Refused { .. } => 1,
        EtcdError::Silent { .. } | EtcdError::Broken { .. } => 2,
        EtcdError::Tls { .. }
        | EtcdError::Protocol { .. }
        | EtcdError::Says { .. }
        | EtcdError::Unknown { .. } => 3,
    }
}

/// A client of exactly one member. Cheap to clone; reconnects by itself through the same vantage point.
#[derive(Clone)]
pub struct MemberClient {
    endpoint: Endpoint,
    vantage: String,
    deadlines: Deadlines,
    channel: Channel,
    inner: etcd_client::Client,
    logged_in: bool,
}

impl fmt::Debug for MemberClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberClient")
            .field("endpoint", &self.endpoint.to_string())
            .field("vantage", &self.vantage)
            .finish_non_exhaustive()
    }
}

impl MemberClient {
    /// Connects, shakes hands, and logs in where a login is given.
    ///
    /// A login that cannot be checked (it goes through raft, and there may be no quorum) is left out: the
    /// certificate may still be enough, and [`MemberClient::logged_in`] tells.
    pub async fn connect(endpoint: &Endpoint, access: &Access) -> Result<Self, EtcdError> {
        let (stream, dialer) = access.open(endpoint, Speak::Grpc).await?;
        let vantage = dialer.name().to_owned();
        let channel = channel(endpoint, access, dialer, stream);
        let from = |options| {
            etcd_client::Client::from_channel(etcd_client::Channel::Tonic(channel.clone()), options)
        };
        let sort = |error| EtcdError::from_client("Authenticate", endpoint.address(), &error);
        let mut logged_in = false;
        let mut inner = None;
        if let Some(login) = &access.login {
            let options = etcd_client::ConnectOptions::new()
                .with_user(login.user.clone(), login.password.as_str())
                .with_auto_token_refresh(true);
            match tokio::time::timeout(access.deadlines.read, from(Some(options))).await {
                Ok(Ok(client)) => {
                    logged_in = true;
                    inner = Some(client);
                }
                Ok(Err(error)) => match sort(error) {
                    error if error.outcome_unknown() => {}
                    // Auth is off, or this is a learner: there is nothing to log in to.
                    EtcdError::Says {
                        answer:
                            crate::error::Answer::AuthNotEnabled | crate::error::Answer::NotSupportedForLearner,
                    } => {}
                    error => return Err(error),
                },
                Err(_elapsed) => {}
            }
        }
        let inner = match inner {
            Some(client) => client,
            None => from(None).await.map_err(sort)?,
        };
        Ok(Self {
            endpoint: endpoint.clone(),
            vantage,
            deadlines: access.deadlines,
            channel,
            inner,
            logged_in,
        })
    }

    /// Where this client goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// From where it goes there.
    pub fn vantage(&self) -> &str {
        &self.vantage
    }

    /// Whether requests carry a token.
    pub fn logged_in(&self) -> bool {
        self.logged_in
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    pub(crate) fn raw(&self) -> etcd_client::Client {
        self.inner.clone()
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Runs one request under a deadline and sorts its error.
    pub(crate) async fn call<T>(
        &self,
        call: &'static str,
        deadline: Duration,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        match tokio::time::timeout(deadline, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(EtcdError::from_client(call, self.endpoint.address(), &error)),
            Err(_elapsed) => Err(EtcdError::Unknown { call, why: format!("no answer within {deadline:?}") }),
        }
    }
}

/// A channel whose first connection is the one already made; later ones are dialled the same way.
fn channel(endpoint: &Endpoint, access: &Access, dialer: Arc<dyn Dialer>, first: BoxStream) -> Channel {
    // tonic must not add TLS of its own, hence `http` here; members must still see `https`, because gRPC-Go takes
    // the client certificate of a request from its scheme.
    let plain: Uri =
        format!("http://{}", endpoint.address()).parse().expect("an address is a valid authority");
    let origin: Uri = endpoint.to_string().parse().expect("an endpoint is a valid URL");
    let first = Arc::new(Mutex::new(Some(first)));
    let (endpoint, identity, deadline) =
        (endpoint.clone(), access.identity.clone(), access.deadlines.connect);
    let connector = service_fn(move |_: Uri| {
        let ready = first.lock().expect("no holder of this lock panics").take();
        let (endpoint, identity, dialer) = (endpoint.clone(), identity.clone(), Arc::clone(&dialer));
        async move {
            match ready {
                Some(stream) => Ok(TokioIo::new(stream)),
                None => open(&*dialer, &endpoint, identity.as_ref(), Speak::Grpc, deadline)
                    .await
                    .map(TokioIo::new),
            }
        }
    });
    Channel::builder(plain).origin(origin).connect_with_connector_lazy(connector)
}
