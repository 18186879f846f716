//! Ways to a cluster: from here, else through helpers on its hosts.
//!
//! In: a cluster, and the hosts whose helpers may carry bytes. Out: an [`Access`] for `quorate_etcd`, and what
//! [`look`] sees with it.
//!
//! **Invariant:** a refused port counts as "nobody listens" only after the host itself (where its helper runs) was
//! asked too: a firewall between us and a cluster looks the same. Silence is waited for once, not at every look.
//!
//! Not here: what is concluded from what is seen.

use super::cluster::{Cluster, Ground, Pki};
use crate::connect::{Become, Kind, Link, Target};
use futures::future::BoxFuture;
use quorate_etcd::endpoint::{Address, Scheme};
use quorate_etcd::observe::ClusterSpec;
use quorate_etcd::tls::ClientIdentity;
use quorate_etcd::{Access, BoxStream, Dialer, Endpoint, Observation, observe};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A way that needed longer than this led nowhere.
const SLOW: Duration = Duration::from_millis(1500);
/// A helper that nobody else starts is given as long.
const TO_START: Duration = Duration::from_secs(15);
/// And is not tried again for this long.
const AVOID: Duration = Duration::from_secs(10);

/// The helper of the host that a step is about to run on.
#[derive(Clone)]
pub(crate) struct Through {
    /// Where.
    pub(crate) target: Target,
    /// As whom.
    pub(crate) become_: Option<Become>,
    /// A helper may be started, since the step will need it anyway.
    start: Arc<AtomicBool>,
}

impl Through {
    /// The helper that a step on this target uses.
    pub(crate) fn new(target: Target, become_: Option<Become>) -> Self {
        Through { target, become_, start: Arc::new(AtomicBool::new(true)) }
    }
}

/// A cluster, and how to ask it.
pub(crate) struct Reach {
    /// The members to ask.
    pub(crate) spec: ClusterSpec,
    /// How.
    pub(crate) access: Access,
    /// Why answers may be missing although members are well.
    pub(crate) trouble: Option<String>,
    starts: Option<Arc<AtomicBool>>,
}

impl Reach {
    /// Ways to a cluster.
    pub(crate) fn new(ground: &Ground, cluster: &Cluster, through: Option<Through>) -> Self {
        let tls = |member: &quorate_etcd::observe::SpecMember| member.client.scheme() == Scheme::Https;
        let plain = !cluster.spec.members.is_empty() && !cluster.spec.members.iter().any(tls);
        let (identity, trouble) = if plain { (None, None) } else { identity(&cluster.pki) };
        let starts = through.as_ref().map(|through| through.start.clone());
        Reach {
            spec: cluster.spec.clone(),
            access: access(ground, &cluster.spec, identity, through),
            trouble,
            starts,
        }
    }

    /// From now on helpers that run are used, and none is started: the host may be away, and a failure to reach it
    /// now would stick to the tasks that come later.
    pub(crate) fn start_nothing(&self) {
        if let Some(starts) = &self.starts {
            starts.store(false, Ordering::Relaxed);
        }
    }

    /// Looks at the cluster. Without any certificate a cluster that speaks plain `http` can still be read.
    pub(crate) async fn look(&mut self) -> Observation {
        if self.access.identity.is_none()
            && self.spec.members.iter().any(|m| m.client.scheme() == Scheme::Https)
        {
            let plain = without_tls(&self.spec);
            let seen = Box::pin(observe(&plain, &self.access)).await;
            if answered(&seen) {
                self.spec = plain;
                self.trouble = None;
                return seen;
            }
        }
        Box::pin(observe(&self.spec, &self.access)).await
    }
}

/// Whether some member answered over gRPC.
pub(crate) fn answered(seen: &Observation) -> bool {
    seen.members.iter().any(|member| member.status.is_some() || member.via.is_some())
}

fn without_tls(spec: &ClusterSpec) -> ClusterSpec {
    let mut plain = spec.clone();
    for member in &mut plain.members {
        for endpoint in [&mut member.client, &mut member.peer] {
            *endpoint = Endpoint::new(Scheme::Http, &endpoint.address().host, endpoint.address().port);
        }
    }
    plain
}

/// All ways, the nearest first.
pub(crate) fn access(
    ground: &Ground,
    spec: &ClusterSpec,
    identity: Option<ClientIdentity>,
    through: Option<Through>,
) -> Access {
    access_by(ground, spec, identity, through, ground.run.guard.memory())
}

/// The same for somebody whose failures are nobody else's.
pub(crate) fn access_apart(ground: &Ground, spec: &ClusterSpec, identity: Option<ClientIdentity>) -> Access {
    access_by(ground, spec, identity, None, Arc::default())
}

fn access_by(
    ground: &Ground,
    spec: &ClusterSpec,
    identity: Option<ClientIdentity>,
    through: Option<Through>,
    memory: Arc<Memory>,
) -> Access {
    let through = through.filter(|through| through.target.kind != Kind::Local);
    let hosts: HashMap<String, String> = spec
        .members
        .iter()
        .filter(|member| through.as_ref().is_none_or(|through| through.target.host != member.host))
        .flat_map(|member| {
            [&member.client, &member.peer].map(|url| (url.address().host.clone(), member.host.clone()))
        })
        .collect();
    let mut dialers: Vec<Arc<dyn Dialer>> = vec![Arc::new(FromHere { memory: memory.clone() })];
    if let Some(through) = through {
        let name = format!("via {}", through.target.host);
        let own = spec.members.iter().find(|member| member.host == through.target.host);
        let own = own.map(|member| member.client.address().host.clone());
        dialers.push(Arc::new(FromHost {
            name,
            own,
            through,
            ground: ground.clone(),
            memory: memory.clone(),
        }));
    }
    dialers.push(Arc::new(FromOwnHost { hosts, ground: ground.clone(), memory }));
    Access { dialers, ..Access::direct(identity) }
}

/// CA, certificate and key; or nothing, and why.
pub(crate) fn identity(pki: &Pki) -> (Option<ClientIdentity>, Option<String>) {
    let read = |path: &std::path::Path| {
        std::fs::read(path)
            .map_err(|error| format!("{}: {}", path.display(), crate::playbook::plain_io(&error)))
    };
    let made = || -> Result<ClientIdentity, String> {
        let ca = read(&pki.ca)?;
        if !pki.cert.exists() && !pki.key.exists() {
            return ClientIdentity::trust_only(&ca).map_err(|error| format!("{}: {error}", pki.ca.display()));
        }
        let (cert, key) = (read(&pki.cert)?, Zeroizing::new(read(&pki.key)?));
        ClientIdentity::new(&ca, &cert, key).map_err(|error| format!("{}: {error}", pki.cert.display()))
    };
    match made() {
        Ok(identity) => (Some(identity), None),
        Err(why) => (None, Some(format!("members that speak TLS cannot be asked from here: {why}"))),
    }
}

/// What led nowhere lately, by way and address. One for the whole run.
#[derive(Default)]
pub(crate) struct Memory {
    tried: Mutex<HashMap<(String, Address), Instant>>,
    refused: Mutex<HashMap<Address, Instant>>,
}

impl Memory {
    /// Fails at once where the last try was given up.
    fn begin(&self, way: &str, to: &Address) -> io::Result<()> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, key) = (Instant::now(), (way.to_owned(), to.clone()));
        let age = now.saturating_duration_since(*tried.entry(key.clone()).or_insert(now));
        if age >= AVOID {
            tried.insert(key, now);
        } else if age >= SLOW {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer a moment ago"));
        }
        Ok(())
    }

    fn end<T>(&self, way: &str, to: &Address, outcome: io::Result<T>) -> io::Result<T> {
        let refused = matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
        if outcome.is_ok() || refused {
            self.tried.lock().unwrap_or_else(PoisonError::into_inner).remove(&(way.to_owned(), to.clone()));
        }
        if refused {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(to.clone(), Instant::now());
        }
        outcome
    }

    fn refused(&self, to: &Address) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(to).is_some_and(|at| at.elapsed() < AVOID)
    }
}

/// The controller's own network.
struct FromHere {
    memory: Arc<Memory>,
}

impl Dialer for FromHere {
    fn name(&self) -> &'static str {
        "controller"
    }

    fn dial<'a>(&'a self, to: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            self.memory.begin(self.name(), to)?;
            let stream = tokio::net::TcpStream::connect((to.host.as_str(), to.port)).await;
            let stream = self.memory.end(self.name(), to, stream)?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

/// The host that the step runs on, as any of its neighbours sees the cluster.
struct FromHost {
    name: String,
    /// Its own address as a member.
    own: Option<String>,
    through: Through,
    ground: Ground,
    memory: Arc<Memory>,
}

impl Dialer for FromHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn dial<'a>(&'a self, to: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            self.memory.begin(&self.name, to)?;
            let link = match self.ground.run.pool.running(&self.through.target.host) {
                Some(link) => link,
                None if self.through.start.load(Ordering::Relaxed) => {
                    started(&self.ground, self.through.target.clone(), self.through.become_.clone()).await?
                }
                None => return self.memory.end(&self.name, to, Err(io::ErrorKind::NotConnected.into())),
            };
            let own = self.own.as_ref() == Some(&to.host);
            self.memory.end(&self.name, to, tunnel(&link, to, own).await)
        })
    }
}

/// The member's own host, which reaches it when nobody else can.
struct FromOwnHost {
    /// Inventory name by address.
    hosts: HashMap<String, String>,
    ground: Ground,
    memory: Arc<Memory>,
}

impl Dialer for FromOwnHost {
    fn name(&self) -> &'static str {
        "via the member's own host"
    }

    fn dial<'a>(&'a self, to: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let Some(host) = self.hosts.get(&to.host) else { return Err(io::ErrorKind::NotConnected.into()) };
            let link = match self.ground.run.pool.running(host) {
                Some(link) => link,
                // somebody there answered: not worth a connection that nobody needs otherwise
                None if self.memory.refused(to) => return Err(io::ErrorKind::ConnectionRefused.into()),
                None => {
                    self.memory.begin(self.name(), to)?;
                    own_helper(&self.ground, host, Duration::from_secs(3)).await?
                }
            };
            self.memory.end(self.name(), to, tunnel(&link, to, true).await)
        })
    }
}

/// The helper on a member's own host, which nobody else may have asked for yet.
async fn own_helper(ground: &Ground, host: &str, timeout: Duration) -> io::Result<Arc<Link>> {
    let scope = ground.scope(host);
    let resolved = crate::run::target::resolve(&ground.run, &scope, &scope, &ground.step, Some(host));
    let (target, _) = resolved.map_err(|(why, _)| io::Error::other(why))?;
    if target.kind == Kind::Local {
        return Err(io::ErrorKind::NotConnected.into());
    }
    // not the target that tasks use: a failure of ours must not become theirs
    let target = Target { timeout, retries: 0, ..target };
    started(ground, target, None).await
}

/// Starts the helpers of these hosts, and waits until each is there or cannot be had: for members whom nobody else
/// reaches, before they are looked at.
pub(crate) async fn start_helpers(ground: &Ground, hosts: impl IntoIterator<Item = &str>) {
    let each = hosts.into_iter().map(|host| own_helper(ground, host, TO_START));
    let all = futures::future::join_all(each);
    let _whoever_came = tokio::time::timeout(TO_START * 2, all).await;
}

/// A helper. Starting it goes on where the caller stops waiting.
async fn started(ground: &Ground, target: Target, become_: Option<Become>) -> io::Result<Arc<Link>> {
    let run = ground.run.clone();
    let start = tokio::spawn(async move { run.pool.link(&target, become_.as_ref()).await });
    let link = start.await.map_err(io::Error::other)?;
    link.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error.message))
}

/// A connection made on the host. `own`: to an address of its own, where "no route" means that nobody can be there.
async fn tunnel(link: &Link, to: &Address, own: bool) -> io::Result<BoxStream> {
    match link.tunnel(&to.host, to.port).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(why) => {
            let said = |words: &str| why.to_ascii_lowercase().contains(words);
            let nobody = said("connection refused")
                || (own
                    && (said("no route to host")
                        || said("unreachable")
                        || said("cannot assign requested address")));
            let kind = if nobody { io::ErrorKind::ConnectionRefused } else { io::ErrorKind::NotConnected };
            Err(io::Error::new(kind, why))
        }
    }
}
