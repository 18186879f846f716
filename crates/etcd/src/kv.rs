//! Keys and leases of one member, with deadlines and sorted errors.
//!
//! Plain bytes in, plain bytes out. Transactions use the client library's own builders, re-exported here.

use serde::Serialize;

pub use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};

use crate::client::MemberClient;
use crate::error::{Answer, EtcdError};
use crate::ops::{Done, done_if};

/// A key with its value and history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Revision of its creation.
    pub create_revision: i64,
    /// Revision of its last change.
    pub mod_revision: i64,
    /// Changes since its creation, from 1.
    pub version: i64,
    /// The lease it dies with, if any.
    pub lease: Option<LeaseId>,
}

/// A lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct LeaseId(i64);

impl LeaseId {
    /// The number etcd knows it by.
    pub const fn raw(self) -> i64 {
        self.0
    }
}

/// How much a read must promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Sees every write acknowledged before it began. Needs quorum.
    Linearizable,
    /// Whatever this member has. Works without quorum, may be old.
    Serializable,
}

/// What a transaction did.
#[derive(Debug, Clone)]
pub struct TxnDone {
    /// Whether the comparisons held.
    pub succeeded: bool,
    /// Revision after it.
    pub revision: i64,
    /// The answers of the branch that ran.
    pub responses: Vec<TxnOpResponse>,
}

impl From<&etcd_client::KeyValue> for KeyValue {
    fn from(kv: &etcd_client::KeyValue) -> Self {
        Self {
            key: kv.key().to_vec(),
            value: kv.value().to_vec(),
            create_revision: kv.create_revision(),
            mod_revision: kv.mod_revision(),
            version: kv.version(),
            lease: Some(kv.lease()).filter(|lease| *lease != 0).map(LeaseId),
        }
    }
}

impl MemberClient {
    /// One key.
    pub async fn get(&self, key: &[u8], read: Read) -> Result<Option<KeyValue>, EtcdError> {
        let found = self.range(key, read, None).await?;
        Ok(found.into_iter().next())
    }

    /// All keys that begin with `prefix`, in order. The empty prefix means every key.
    pub async fn get_prefix(&self, prefix: &[u8], read: Read) -> Result<Vec<KeyValue>, EtcdError> {
        let options = etcd_client::GetOptions::new();
        let options = if prefix.is_empty() { options.with_all_keys() } else { options.with_prefix() };
        self.range(prefix, read, Some(options)).await
    }

    async fn range(
        &self,
        key: &[u8],
        read: Read,
        options: Option<etcd_client::GetOptions>,
    ) -> Result<Vec<KeyValue>, EtcdError> {
        let mut client = self.raw();
        let options = options.unwrap_or_default();
        let options = match read {
            Read::Linearizable => options,
            Read::Serializable => options.with_serializable(),
        };
        let answer = self.call("Range", self.deadlines().read, client.get(key, Some(options))).await?;
        Ok(answer.kvs().iter().map(KeyValue::from).collect())
    }

    /// All keys that begin with `prefix`, and the revision at which that was so.
    pub(crate) async fn range_at(&self, prefix: &[u8]) -> Result<(Vec<KeyValue>, i64), EtcdError> {
        let mut client = self.raw();
        let options = etcd_client::GetOptions::new().with_prefix();
        let answer = self.call("Range", self.deadlines().read, client.get(prefix, Some(options))).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((answer.kvs().iter().map(KeyValue::from).collect(), revision))
    }

    /// Sets a key, bound to a lease if one is given. Gives the new revision.
    pub async fn put(&self, key: &[u8], value: &[u8], lease: Option<LeaseId>) -> Result<i64, EtcdError> {
        let mut client = self.raw();
        let options = lease.map(|lease| etcd_client::PutOptions::new().with_lease(lease.0));
        let answer = self.call("Put", self.deadlines().write, client.put(key, value, options)).await?;
        Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// Deletes one key. Gives whether it was there.
    pub async fn delete(&self, key: &[u8]) -> Result<Done, EtcdError> {
        let deleted = self.delete_range(key, None).await?;
        Ok(if deleted == 0 { Done::Already } else { Done::Now })
    }

    /// Deletes all keys that begin with `prefix`, which must not be empty. Gives how many there were.
    pub async fn delete_prefix(&self, prefix: &[u8]) -> Result<u64, EtcdError> {
        if prefix.is_empty() {
            return Err(EtcdError::Local("an empty prefix would delete every key".to_owned()));
        }
        self.delete_range(prefix, Some(etcd_client::DeleteOptions::new().with_prefix())).await
    }

    async fn delete_range(
        &self,
        key: &[u8],
        options: Option<etcd_client::DeleteOptions>,
    ) -> Result<u64, EtcdError> {
        let mut client = self.raw();
        let answer = self.call("DeleteRange", self.deadlines().write, client.delete(key, options)).await?;
        Ok(u64::try_from(answer.deleted()).unwrap_or(0))
    }

    /// Compares, then does one of two lists of operations, all at one revision.
    pub async fn txn(&self, txn: Txn) -> Result<TxnDone, EtcdError> {
        let mut client = self.raw();
        let answer = self.call("Txn", self.deadlines().write, client.txn(txn)).await?;
        Ok(TxnDone {
            succeeded: answer.succeeded(),
            revision: answer.header().map_or(0, etcd_client::ResponseHeader::revision),
            responses: answer.op_responses(),
        })
    }

    /// A lease of `ttl` seconds.
    pub async fn lease_grant(&self, ttl: u32) -> Result<LeaseId, EtcdError> {
        let mut client = self.raw();
        let answer =
            self.call("LeaseGrant", self.deadlines().write, client.lease_grant(i64::from(ttl), None)).await?;
        Ok(LeaseId(answer.id()))
    }

    /// Renews a lease once. A lease that is gone is [`Answer::LeaseNotFound`].
    pub async fn lease_keep_alive(&self, lease: LeaseId) -> Result<(), EtcdError> {
        let mut client = self.raw();
        let renew = async {
            // Opening the stream sends one renewal and reads its answer.
            match client.lease_keep_alive(lease.0).await {
                Ok(_opened) => Ok(true),
                // The library's word for an answer without time to live.
                Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(false),
                Err(error) => Err(error),
            }
        };
        let lives = self.call("LeaseKeepAlive", self.deadlines().write, renew).await?;
        if lives { Ok(()) } else { Err(EtcdError::Says { answer: Answer::LeaseNotFound }) }
    }

    /// Ends a lease and deletes its keys. Gone already is done.
    pub async fn lease_revoke(&self, lease: LeaseId) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let revoke = client.lease_revoke(lease.0);
        done_if(self.call("LeaseRevoke", self.deadlines().write, revoke).await, &Answer::LeaseNotFound)
    }
}
