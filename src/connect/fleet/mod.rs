//! Several controllers share one run: one leads it, the others (workers) hold the connections to its hosts.
//!
//! In: an etcd cluster that all of them reach, and a fleet's name. Out: for whoever leads, [`Lead::link`] in place of a
//! connection of its own; for a worker, [`work`].
//!
//! What etcd holds, below `/quorate/fleet/NAME/`:
//!
//! | key | is | dies with |
//! |---|---|---|
//! | `lead` | who leads, its run and public key | the lead's lease |
//! | `workers/ID` | a worker: where it listens, its public key, what it can carry | the worker's lease |
//! | `runs/RUN/wanted/HOST` | a host that the run works on | the lead's lease |
//! | `runs/RUN/hosts/HOST` | the worker that has it, claimed by compare-and-swap | the worker's lease |
//! | `runs/RUN/shunned/ID` | a worker that the lead cannot reach | the lead's lease |
//!
//! Bytes to and from helpers do not go through etcd but over one SSH connection from the lead to each worker, with keys of
//! either side that were made for it and are in memory only. Who may write below that prefix is believed.
//!
//! Not here: tasks, gates, the guard: they are the lead's alone, so they are global.

mod claim;
mod lead;
mod relay;
mod worker;

pub use lead::{Fate, Lead};
pub use worker::{Offer, work};

use claim::Board;
use quorate_etcd::kv::{Compare, CompareOp, LeaseId, PutOptions, Txn, TxnOp};
use quorate_etcd::lock::{LockError, any_voter};
use quorate_etcd::mirror::{Mirror, Seen};
use quorate_etcd::{Access, Endpoint, EtcdError, MemberClient};
use russh::keys::{PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Seconds that a controller of which nothing is heard counts as alive.
const LIFE: u32 = 10;
/// How many claims are under way at a time.
const AT_ONCE: usize = 64;
/// The user that the lead logs in to a worker as; it means nothing.
const USER: &str = "fleet";

/// Where a fleet meets.
#[derive(Clone)]
pub struct Meeting {
    /// Client URLs of the cluster.
    pub endpoints: Vec<Endpoint>,
    /// Who we are to it.
    pub access: Access,
    /// The fleet's name.
    pub name: String,
}

impl Meeting {
    fn prefix(&self) -> String {
        format!("/quorate/fleet/{}/", self.name)
    }

    async fn mirror(&self) -> Result<Mirror, String> {
        Mirror::of(&self.endpoints, &self.access, &self.prefix())
            .await
            .map_err(|e| format!("the etcd of the fleet does not answer: {e}"))
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Worker {
    /// What people call it.
    pub name: String,
    /// Where it listens: `host:port`. Nothing for the lead itself, which needs no connection.
    pub address: Option<String>,
    /// Its public key.
    pub key: String,
    /// How much it takes in relation to the others.
    pub carries: u32,
    /// The helper it brings to hosts.
    pub helper: String,
}

/// What the lead says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leads {
    /// What people call it.
    pub name: String,
    /// The run.
    pub run: String,
    /// Its public key.
    pub key: String,
    /// The helper it speaks with.
    pub helper: String,
}

fn read<T: for<'a> Deserialize<'a>>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

fn public(text: &str) -> Option<PublicKey> {
    PublicKey::from_openssh(text).ok()
}

/// A key pair for this process alone.
fn new_key() -> Result<(Arc<PrivateKey>, String), String> {
    use russh::keys::ssh_key::private::Ed25519Keypair;
    let cannot = |e: &dyn std::fmt::Display| format!("no key can be made: {e}");
    let seed = zeroize::Zeroizing::new(crate::journal::random::<32>().map_err(|e| cannot(&e))?);
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let public = key.public_key().to_openssh().map_err(|e| cannot(&e))?;
    Ok((Arc::new(key), public))
}

fn new_id() -> Result<String, String> {
    let bytes = crate::journal::random::<6>().map_err(|e| format!("no name can be made: {e}"))?;
    Ok(quorate_agent::protocol::hex(&bytes))
}

/// The name of this machine and process, where nobody has given one.
pub fn own_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// What is known of the fleet at one moment.
pub struct Picture {
    /// Who leads.
    pub lead: Option<Leads>,
    /// Workers by id.
    pub workers: Vec<(String, Worker)>,
    /// Hosts of the run that is led, and who has each.
    pub hosts: Vec<(String, Option<String>)>,
    /// Workers that the lead cannot reach.
    pub shunned: Vec<String>,
}

impl Picture {
    fn of(seen: &Seen) -> Self {
        let lead = seen.keys.get("lead").and_then(|kv| read::<Leads>(&kv.value));
        let workers = seen
            .below("workers/")
            .filter_map(|(id, kv)| Some((id.to_owned(), read::<Worker>(&kv.value)?)))
            .collect();
        let run = lead.as_ref().map(|lead| lead.run.clone()).unwrap_or_default();
        let held = |host: &str| {
            let kv = seen.keys.get(&format!("runs/{run}/hosts/{host}"))?;
            Some(String::from_utf8_lossy(&kv.value).into_owned())
        };
        let below = |what: &str| {
            let names: Vec<String> =
                seen.below(&format!("runs/{run}/{what}/")).map(|(name, _)| name.to_owned()).collect();
            names
        };
        let hosts = below("wanted").into_iter().map(|host| (host.clone(), held(&host))).collect();
        Picture { lead, workers, hosts, shunned: below("shunned") }
    }

    /// Who may claim what.
    fn board(&self) -> Board {
        let helper = self.lead.as_ref().map(|lead| lead.helper.as_str());
        let able = self
            .workers
            .iter()
            .filter(|(id, worker)| !self.shunned.contains(id) && Some(worker.helper.as_str()) == helper);
        Board {
            workers: able.map(|(id, worker)| (id.clone(), worker.carries)).collect(),
            wanted: self.hosts.iter().map(|(host, _)| host.clone()).collect(),
            held: self.hosts.iter().filter_map(|(host, by)| Some((host.clone(), by.clone()?))).collect(),
        }
    }
}

/// Looks at a fleet once.
pub async fn look(meeting: &Meeting) -> Result<Picture, String> {
    let mirror = meeting.mirror().await?;
    let seen = mirror.receiver().borrow().clone();
    Ok(Picture::of(&seen))
}

/// Changes in the fleet's etcd; a member that does not answer is left for another one.
struct Etcd {
    meeting: Meeting,
    client: tokio::sync::Mutex<Option<MemberClient>>,
}

impl Etcd {
    fn new(meeting: &Meeting) -> Arc<Self> {
        Arc::new(Etcd { meeting: meeting.clone(), client: tokio::sync::Mutex::default() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.meeting.prefix())
    }

    async fn client(&self) -> Result<MemberClient, EtcdError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let found = Box::pin(any_voter(&self.meeting.endpoints, &self.meeting.access)).await?;
        Ok(client.insert(found).clone())
    }

    /// Every transaction here may be sent twice: the comparison, or the value, sees to that.
    async fn txn(&self, txn: Txn) -> Result<bool, EtcdError> {
        let first = match self.client().await {
            Ok(client) => client.txn(txn.clone()).await,
            Err(error) => Err(error),
        };
        let done = match first {
            Ok(done) => done,
            Err(_) => {
                *self.client.lock().await = None;
                self.client().await?.txn(txn).await?
            }
        };
        Ok(done.succeeded)
    }

    /// Takes a host for a worker, where nobody has it and somebody wants it.
    async fn claim(&self, run: &str, host: &str, me: &str, lease: LeaseId) -> Result<bool, EtcdError> {
        let key = self.key(&format!("runs/{run}/hosts/{host}"));
        let free = Compare::create_revision(key.as_str(), CompareOp::Equal, 0);
        let wanted = self.key(&format!("runs/{run}/wanted/{host}"));
        let wanted = Compare::create_revision(wanted, CompareOp::Greater, 0);
        let shunned = self.key(&format!("runs/{run}/shunned/{me}"));
        let welcome = Compare::create_revision(shunned, CompareOp::Equal, 0);
        let put = TxnOp::put(key, me, Some(PutOptions::new().with_lease(lease.raw())));
        self.txn(Txn::new().when([free, wanted, welcome]).and_then([put])).await
    }

    /// Gives a host back that a worker has.
    async fn release(&self, run: &str, host: &str, of: &str) -> Result<bool, EtcdError> {
        let key = self.key(&format!("runs/{run}/hosts/{host}"));
        let his = Compare::value(key.as_str(), CompareOp::Equal, of);
        self.txn(Txn::new().when([his]).and_then([TxnOp::delete(key, None)])).await
    }

    async fn put(&self, name: &str, value: &str, lease: LeaseId) -> Result<(), EtcdError> {
        let put = TxnOp::put(self.key(name), value, Some(PutOptions::new().with_lease(lease.raw())));
        self.txn(Txn::new().and_then([put])).await.map(drop)
    }
}

/// Claims hosts as long as it is not dropped.
async fn claims(etcd: Arc<Etcd>, me: String, lease: LeaseId, mut seen: watch::Receiver<Arc<Seen>>) {
    loop {
        let now = seen.borrow_and_update().clone();
        let picture = Picture::of(&now);
        let board = picture.board();
        let run = picture.lead.map(|lead| lead.run).unwrap_or_default();
        let claim = board.to_claim(&me);
        let mut failed = false;
        for some in claim.chunks(AT_ONCE) {
            let tries = some.iter().map(|host| etcd.claim(&run, host, &me, lease));
            failed |= futures::future::join_all(tries).await.iter().any(Result::is_err);
        }
        // hosts of a run that is over, too
        let mine: Vec<(String, String)> = now
            .below("runs/")
            .filter(|(_, kv)| kv.value == me.as_bytes())
            .filter_map(|(rest, _)| {
                let (of, rest) = rest.split_once('/')?;
                let host = rest.strip_prefix("hosts/")?;
                (!now.keys.contains_key(&format!("runs/{of}/wanted/{host}")))
                    .then(|| (of.to_owned(), host.to_owned()))
            })
            .collect();
        for some in mine.chunks(AT_ONCE) {
            let tries = some.iter().map(|(run, host)| etcd.release(run, host, &me));
            failed |= futures::future::join_all(tries).await.iter().any(Result::is_err);
        }
        if failed {
            tokio::time::sleep(Duration::from_millis(500)).await;
        } else if seen.changed().await.is_err() {
            return;
        }
    }
}

/// Why a key in etcd could not be taken.
fn not_taken(error: LockError) -> String {
    match error {
        LockError::Held { owner } => owner,
        LockError::Etcd(error) => format!("the etcd of the fleet does not answer: {error}"),
    }
}
