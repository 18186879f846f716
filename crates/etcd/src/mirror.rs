//! A copy of all keys below a prefix that follows the cluster: read once, then watched.
//!
//! In: endpoints, an [`Access`], a prefix. Out: a receiver of [`Seen`], a whole state at one revision each time.
//!
//! **Invariant:** while no member answers, what was seen last stays: silence never looks like keys that were deleted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Access, MemberClient};
use crate::endpoint::Endpoint;
use crate::error::EtcdError;
use crate::kv::KeyValue;

/// So long a quiet watch goes without asking whether its member still follows the others.
const QUIET: Duration = Duration::from_secs(4);
/// Between two endpoints that do not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// The keys below the prefix, as they were at one revision.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// By what comes after the prefix.
    pub keys: BTreeMap<String, KeyValue>,
    /// Of the cluster; 0 before the first look.
    pub revision: i64,
}

impl Seen {
    /// What comes after `below` in the names of keys, and their values.
    pub fn below<'a>(&'a self, below: &'a str) -> impl Iterator<Item = (&'a str, &'a KeyValue)> {
        self.keys
            .range(below.to_owned()..)
            .map_while(move |(name, kv)| name.strip_prefix(below).map(|rest| (rest, kv)))
    }
}

/// The copy; it follows as long as this is held.
#[derive(Debug)]
pub struct Mirror {
    seen: watch::Receiver<Arc<Seen>>,
    task: JoinHandle<()>,
}

impl Mirror {
    /// Follows a prefix from now on; comes back when it has been read once.
    pub async fn of(endpoints: &[Endpoint], access: &Access, prefix: &str) -> Result<Self, EtcdError> {
        let client = Box::pin(crate::lock::any_voter(endpoints, access)).await?;
        let first = read(&client, prefix).await?;
        let (sender, seen) = watch::channel(Arc::new(first));
        let task =
            tokio::spawn(follow(client, endpoints.to_vec(), access.clone(), prefix.to_owned(), sender));
        Ok(Self { seen, task })
    }

    /// What is there now, and word of what changes.
    pub fn receiver(&self) -> watch::Receiver<Arc<Seen>> {
        self.seen.clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(client: &MemberClient, prefix: &str) -> Result<Seen, EtcdError> {
    let (found, revision) = client.range_at(prefix.as_bytes()).await?;
    let keys = found.into_iter().filter_map(|kv| Some((named(&kv.key, prefix)?, kv))).collect();
    Ok(Seen { keys, revision })
}

fn named(key: &[u8], prefix: &str) -> Option<String> {
    std::str::from_utf8(key).ok()?.strip_prefix(prefix).map(str::to_owned)
}

async fn follow(
    first: MemberClient,
    endpoints: Vec<Endpoint>,
    access: Access,
    prefix: String,
    sender: watch::Sender<Arc<Seen>>,
) {
    let mut client = first;
    while !sender.is_closed() {
        // whatever ends it: another member is asked, and everything is read again
        drop(watched(&client, &prefix, &sender).await);
        loop {
            if let Ok(next) = Box::pin(crate::lock::any_voter(&endpoints, &access)).await
                && let Ok(seen) = read(&next, &prefix).await
            {
                if seen.revision >= sender.borrow().revision {
                    sender.send_replace(Arc::new(seen));
                }
                client = next;
                break;
            }
            if sender.is_closed() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn watched(
    client: &MemberClient,
    prefix: &str,
    sender: &watch::Sender<Arc<Seen>>,
) -> Result<(), EtcdError> {
    let from = sender.borrow().revision + 1;
    let options = etcd_client::WatchOptions::new().with_prefix().with_start_revision(from);
    let mut raw = client.raw();
    let deadline = client.deadlines().read;
    let mut stream = client.call("Watch", deadline, raw.watch(prefix.as_bytes(), Some(options))).await?;
    loop {
        let message = match tokio::time::timeout(QUIET, stream.message()).await {
            Ok(Ok(Some(message))) => message,
            // a compaction, a member that goes, a stream that breaks: all is read again
            Ok(_) => return Ok(()),
            Err(_) => {
                client.linearizable_read().await?;
                if sender.is_closed() {
                    return Ok(());
                }
                continue;
            }
        };
        if message.canceled() {
            return Ok(());
        }
        if message.events().is_empty() {
            continue;
        }
        let mut seen = Seen::clone(&sender.borrow());
        for event in message.events() {
            let Some(kv) = event.kv() else { continue };
            let Some(name) = named(kv.key(), prefix) else { continue };
            seen.revision = seen.revision.max(kv.mod_revision());
            if event.event_type() == etcd_client::EventType::Delete {
                seen.keys.remove(&name);
            } else {
                seen.keys.insert(name, KeyValue::from(kv));
            }
        }
        sender.send_replace(Arc::new(seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_name_is_found_and_nothing_beside_it() {
        let kv = KeyValue {
            key: Vec::new(),
            value: Vec::new(),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
            lease: None,
        };
        let names = ["runs/a/hosts/x", "runs/a/hosts/y", "runs/a/wanted/x", "runs/ab/hosts/z", "workers/1"];
        let keys = names.iter().map(|name| ((*name).to_owned(), kv.clone())).collect();
        let seen = Seen { keys, revision: 1 };
        let below = |word: &str| seen.below(word).map(|(rest, _)| rest.to_owned()).collect::<Vec<_>>();
        assert_eq!(below("runs/a/hosts/"), ["x", "y"]);
        assert_eq!(below("workers/"), ["1"]);
        assert!(below("lead").is_empty());
    }
}
