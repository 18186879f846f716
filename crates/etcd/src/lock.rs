//! One operator at a time: a key in the cluster itself, held by a lease that dies with its owner.
//!
//! In: the endpoints of the cluster and a word about the owner. Out: a [`Lock`] that renews itself through any member
//! that answers, so that it survives the restarts it guards; [`Lock::is_lost`] tells when it could not.
//!
//! Not here: the lock for a cluster that does not exist yet (a file lock on the controller).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::client::{Access, MemberClient};
use crate::endpoint::Endpoint;
use crate::error::{Answer, EtcdError};
use crate::kv::{Compare, CompareOp, LeaseId, Read, Txn, TxnOp};

/// Why a lock was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("held by {owner}")]
    Held {
        /// What the holder wrote about itself.
        owner: String,
    },
    /// No member could be asked.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
}

/// A lock in hand. Dropping it stops the renewal: others get it when the lease has run out. Prefer
/// [`Lock::release`].
#[derive(Debug)]
pub struct Lock {
    key: String,
    lease: LeaseId,
    endpoints: Vec<Endpoint>,
    access: Access,
    life: Arc<Life>,
    renewal: JoinHandle<()>,
}

/// Until when the lease lasts for certain: counted from before the renewal was sent.
#[derive(Debug)]
struct Life {
    ttl: Duration,
    renewed: Mutex<Option<Instant>>,
}

impl Life {
    fn renew(&self, sent: Option<Instant>) {
        *self.renewed.lock().expect("no holder of this lock panics") = sent;
    }

    fn is_over(&self) -> bool {
        let renewed = *self.renewed.lock().expect("no holder of this lock panics");
        renewed.is_none_or(|at| at.elapsed() >= self.ttl)
    }
}

impl Lock {
    /// Takes the lock `key`, or says who holds it. `owner` is for people: user, host, run.
    pub async fn take(
        endpoints: &[Endpoint],
        access: &Access,
        key: &str,
        owner: &str,
        ttl: u32,
    ) -> Result<Self, LockError> {
        let client = Box::pin(any_voter(endpoints, access)).await?;
        let granted = Instant::now();
        let lease = client.lease_grant(ttl).await?;
        let free = Compare::create_revision(key, CompareOp::Equal, 0);
        let put = TxnOp::put(key, owner, Some(etcd_client::PutOptions::new().with_lease(lease.raw())));
        let taken = client.txn(Txn::new().when([free]).and_then([put])).await;
        let holder = match taken {
            Ok(done) if done.succeeded => None,
            Ok(_) => Some(client.get(key.as_bytes(), Read::Linearizable).await?),
            // Our own transaction may have come through: the lease on the key tells.
            Err(error) if error.outcome_unknown() => {
                match client.get(key.as_bytes(), Read::Linearizable).await {
                    Ok(Some(kv)) if kv.lease == Some(lease) => None,
                    Ok(other) => Some(other),
                    Err(_) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(holder) = holder {
            // Ours is of no use to anybody; if this fails it runs out by itself.
            let _revoked = client.lease_revoke(lease).await;
            let owner = holder.map_or_else(
                || "somebody who gave it back just now".to_owned(),
                |kv| String::from_utf8_lossy(&kv.value).into_owned(),
            );
            return Err(LockError::Held { owner });
        }
        let life =
            Arc::new(Life { ttl: Duration::from_secs(u64::from(ttl)), renewed: Mutex::new(Some(granted)) });
        let renewal = tokio::spawn(renew(endpoints.to_vec(), access.clone(), lease, Arc::clone(&life)));
        Ok(Self {
            key: key.to_owned(),
            lease,
            endpoints: endpoints.to_vec(),
            access: access.clone(),
            life,
            renewal,
        })
    }

    /// The key it is.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What it dies with: other keys may die with it, too.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Whether it can no longer be counted on: nothing may be done under it any more.
    pub fn is_lost(&self) -> bool {
        self.life.is_over()
    }

    /// Gives it back.
    pub async fn release(self) -> Result<(), EtcdError> {
        self.renewal.abort();
        let client = Box::pin(any_voter(&self.endpoints, &self.access)).await?;
        client.lease_revoke(self.lease).await.map(drop)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Takes the lock `key` from an owner who is known to be dead: ends its lease. Whoever holds it by now under another
/// name keeps it.
pub async fn evict(endpoints: &[Endpoint], access: &Access, key: &str, owner: &str) -> Result<(), EtcdError> {
    let client = Box::pin(any_voter(endpoints, access)).await?;
    match client.get(key.as_bytes(), Read::Linearizable).await? {
        Some(kv) if kv.value == owner.as_bytes() => match kv.lease {
            Some(lease) => client.lease_revoke(lease).await.map(drop),
            None => client.delete(key.as_bytes()).await.map(drop),
        },
        _ => Ok(()),
    }
}

/// A client of the first member that completes a linearizable read.
pub async fn any_voter(endpoints: &[Endpoint], access: &Access) -> Result<MemberClient, EtcdError> {
    let mut last = EtcdError::Local("no endpoint is known".to_owned());
    for endpoint in endpoints {
        let client = match MemberClient::connect(endpoint, access).await {
            Ok(client) => client,
            Err(error) => {
                last = error;
                continue;
            }
        };
        match client.linearizable_read().await {
            Ok(_) => return Ok(client),
            Err(error) if error.says(&Answer::PermissionDenied) => return Ok(client),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Renews three times within the lease's life, through whichever member answers.
async fn renew(endpoints: Vec<Endpoint>, access: Access, lease: LeaseId, life: Arc<Life>) {
    let mut members = endpoints.iter().cycle();
    let mut client: Option<MemberClient> = None;
    while !life.is_over() {
        tokio::time::sleep(life.ttl / 3).await;
        while !life.is_over() {
            if client.is_none() {
                let Some(endpoint) = members.next() else { return };
                client = MemberClient::connect(endpoint, &access).await.ok();
            }
            let sent = Instant::now();
            let answer = match &client {
                Some(member) => tokio::time::timeout(life.ttl / 6, member.lease_keep_alive(lease)).await.ok(),
                None => None,
            };
            match answer {
                Some(Ok(())) => {
                    life.renew(Some(sent));
                    break;
                }
                Some(Err(error)) if error.says(&Answer::LeaseNotFound) => {
                    life.renew(None);
                    return;
                }
                _ => client = None,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
