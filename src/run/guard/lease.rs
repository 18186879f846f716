//! One run at a time on one cluster: a lock in that etcd, held by a lease that dies with this process.
//!
//! In: a cluster that has a quorum. Out: the lock, kept until the run ends, or a [`Refusal`] that names its holder.
//!
//! **Invariant:** a lock of this run that was lost is taken anew before the next step, never assumed. A holder on this
//! very machine whose process is gone is not waited for; any other is, until its lease has run out.
//!
//! Without a quorum there is no lock to take: what may be done then is started by hand and shown first.

use super::{Case, Guard, PAUSE, Refusal};
use crate::report::Event;
use crate::run::actions::ActionCall;
use quorate_etcd::lock::{Lock, LockError, evict};
use quorate_etcd::{Access, Endpoint, EtcdError, Observation, Role};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The key that runs take before they change a cluster.
pub(crate) const KEY: &str = "quorate/lock";
/// How long a dead run elsewhere blocks others.
const TTL: u32 = 15;
/// How long a living one is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// Giving back must not hold up the end of a run.
const FAREWELL: Duration = Duration::from_secs(3);

/// By cluster and key.
pub(super) type Locks = tokio::sync::Mutex<HashMap<(String, String), Lock>>;

impl Guard {
    /// The cluster's lock for the rest of this run. `seen` says whether there is a quorum to hold it.
    pub(super) async fn alone(
        &self,
        call: &ActionCall<'_>,
        cluster: &str,
        access: &Access,
        endpoints: &[Endpoint],
        seen: &Observation,
    ) -> Result<(), Refusal> {
        if !seen.commits() || seen.alarmed(quorate_etcd::observation::Alarm::NoSpace).is_some() {
            return Ok(()); // nobody could hold a lease there
        }
        self.lock(call, cluster, KEY, access, endpoints, PATIENCE).await.map(drop)
    }

    /// Whether this run holds the cluster's lock for certain.
    pub(super) async fn holds(&self, cluster: &str) -> bool {
        let locks = self.locks.lock().await;
        locks.get(&(cluster.to_owned(), KEY.to_owned())).is_some_and(|lock| !lock.is_lost())
    }

    /// Takes a lock. Gives whether it was taken now.
    pub(crate) async fn lock(
        &self,
        call: &ActionCall<'_>,
        cluster: &str,
        key: &str,
        access: &Access,
        endpoints: &[Endpoint],
        patience: Duration,
    ) -> Result<bool, Refusal> {
        let place = (cluster.to_owned(), key.to_owned());
        let mut locks = self.locks.lock().await;
        match locks.get(&place) {
            Some(lock) if !lock.is_lost() => return Ok(false),
            Some(_) => {
                locks.remove(&place);
            }
            None => {}
        }
        let me = identity();
        let began = Instant::now();
        let mut told = false;
        loop {
            let error = match Lock::take(endpoints, access, key, &me, TTL).await {
                Ok(lock) => {
                    locks.insert(place, lock);
                    return Ok(true);
                }
                Err(error) => error,
            };
            if let LockError::Held { owner } = &error
                && is_dead(owner)
            {
                let text = format!("cluster \"{cluster}\": the run that held it is gone ({owner})");
                call.run.tell(Event::Verbose(1, text));
                let _evicted = evict(endpoints, access, key, owner).await;
                tokio::time::sleep(PAUSE / 5).await;
            } else {
                if !told {
                    told = true;
                    let text = format!("{}: waits for cluster \"{cluster}\": {error}", call.host);
                    call.run.tell(Event::Warning(text));
                }
                tokio::time::sleep(PAUSE).await;
            }
            if began.elapsed() >= patience || call.run.is_interrupted() {
                return Err(refusal(cluster, key, &error));
            }
        }
    }

    /// Gives one lock back. Gives whether there was one.
    pub(crate) async fn unlock(&self, cluster: &str, key: &str) -> Result<bool, EtcdError> {
        let held = self.locks.lock().await.remove(&(cluster.to_owned(), key.to_owned()));
        match held {
            Some(lock) if !lock.is_lost() => lock.release().await.map(|()| true),
            _ => Ok(false),
        }
    }

    /// The end of the run: all locks go back.
    pub async fn close(&self) {
        let locks = std::mem::take(&mut *self.locks.lock().await);
        let all = futures::future::join_all(locks.into_values().map(Lock::release));
        // a cluster that was purged takes nothing back; the lease ends by itself elsewhere
        let _given_back = tokio::time::timeout(FAREWELL, all).await;
    }
}

impl Case<'_> {
    /// Looks, unless this run holds the cluster already, and takes hold of it.
    pub(super) async fn alone(&mut self, guard: &Guard) -> Result<(), Refusal> {
        if guard.holds(self.cluster.name()).await {
            return Ok(());
        }
        let seen = self.look().await;
        let endpoints = endpoints(&self.reach.spec, &seen);
        let name = self.cluster.name().to_owned();
        guard.alone(self.call, &name, &self.reach.access, &endpoints, &seen).await
    }
}

/// Where to ask for the lock: voters that answer before all others.
pub(crate) fn endpoints(spec: &quorate_etcd::ClusterSpec, seen: &Observation) -> Vec<Endpoint> {
    let of = |host: &Option<String>| {
        let known = spec.members.iter().find(|member| Some(&member.host) == host.as_ref());
        known.map(|member| member.client.clone())
    };
    let mut all: Vec<Endpoint> = seen
        .voters()
        .filter(|voter| voter.condition == quorate_etcd::Condition::Healthy)
        .filter_map(|voter| {
            of(&voter.host).or_else(|| voter.client_urls.iter().find_map(|url| url.parse().ok()))
        })
        .collect();
    let learner =
        |host: &str| seen.members.iter().any(|m| m.role == Role::Learner && m.host.as_deref() == Some(host));
    let rest = spec.members.iter().filter(|member| !learner(&member.host));
    for endpoint in rest.map(|member| member.client.clone()) {
        if !all.contains(&endpoint) {
            all.push(endpoint);
        }
    }
    all
}

fn refusal(cluster: &str, key: &str, error: &LockError) -> Refusal {
    let (message, fact) = match error {
        LockError::Held { owner } => {
            (format!("another run works on cluster \"{cluster}\""), format!("lock {key}: held by {owner}"))
        }
        LockError::Etcd(error) => {
            (format!("the lock of cluster \"{cluster}\" cannot be taken"), format!("lock {key}: {error}"))
        }
    };
    let text = format!("refused[locked]: {message}\n  {fact}\n  nothing was changed");
    Refusal { text, message: format!("{message}: {fact}"), code: "locked".into(), facts: vec![fact] }
}

/// This process, for people and for [`is_dead`].
fn identity() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let pid = std::process::id();
    let machine = machine().unwrap_or_default();
    let began = began(pid).unwrap_or_default();
    format!("{user} on {}, process {pid} [{machine}/{pid}/{began}]", host.trim())
}

/// One kernel and one space of process numbers.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let space: String = space.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}.{space}", boot.trim()))
}

/// When a process began, in ticks; none if there is none.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name may hold anything, so count from behind its bracket
    let state = stat.rsplit_once(')')?.1;
    let mut fields = state.split_whitespace();
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// Whether an owner ran on this machine and is gone for certain.
fn is_dead(owner: &str) -> bool {
    let token = owner.rsplit_once('[').and_then(|(_, token)| token.strip_suffix(']'));
    let mut parts = token.unwrap_or_default().rsplitn(3, '/');
    let (Some(start), Some(pid), Some(place)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(pid) = pid.parse::<u32>() else { return false };
    !start.is_empty() && machine().as_deref() == Some(place) && began(pid).as_deref() != Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_not_taken_for_dead() {
        assert!(!is_dead(&identity()));
        assert!(!is_dead("somebody"));
        assert!(!is_dead("x [other-machine/1/5]"));
        assert!(!is_dead("x [//]"));
    }

    #[test]
    fn a_process_that_ended_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let owner = format!("x [{}/{pid}/{}]", machine().unwrap(), began(pid).unwrap());
        assert!(!is_dead(&owner));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_dead(&owner));
        let other_start = format!("x [{}/{}/1]", machine().unwrap(), std::process::id());
        assert!(is_dead(&other_start), "its number belongs to somebody else by now");
    }
}
