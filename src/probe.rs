//! `--probe`: how long clients of a cluster could not read or write while a run was at work.
//!
//! In: the clusters of a run, what it works on. Out: a [`Tally`] for reads and one for writes of each.
//!
//! A probe is a client like any other: it reads and writes one key every 100 ms, over any member that serves, and goes to
//! the next member where one does not answer. What takes longer than [`LATE`] is time in which clients could not.
//!
//! **Invariant:** it measures clusters, not the controller: it has a thread of its own, and time in which the machine
//! itself stood still is left out. It never changes how a run goes.
//!
//! Not here: what is done about it.

use crate::plan::{Step, StepId};
use crate::run::guard::cluster::{Cluster, Ground};
use crate::run::guard::reach;
use indexmap::IndexMap;
use quorate_etcd::kv::Read;
use quorate_etcd::observe::ClusterSpec;
use quorate_etcd::{Access, Deadlines, Endpoint, EtcdError, MemberClient};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two tries.
const EVERY: Duration = Duration::from_millis(100);
/// Whoever waits longer could not.
const LATE: Duration = Duration::from_millis(250);
/// A member that does not answer within this time is left for another.
const ANSWERS: Duration = Duration::from_secs(1);
/// Before the cluster is there for the first time.
const NOT_YET: Duration = Duration::from_millis(500);
/// Between two members that do not answer.
const NEXT: Duration = Duration::from_millis(20);
const BEAT: Duration = Duration::from_millis(20);
/// The key that is written and read; one for all probes, and gone afterwards.
const KEY: &[u8] = b"/quorate/probe";

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A linearizable read.
    Read,
    /// A write.
    Write,
}

impl Wish {
    /// The verb.
    pub fn word(self) -> &'static str {
        match self {
            Wish::Read => "read",
            Wish::Write => "write",
        }
    }
}

/// A time in which clients could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Milliseconds since the run began.
    pub at: u64,
    /// How long, milliseconds.
    pub took: u64,
    /// What the run was at.
    pub during: String,
    /// It had not ended when the run did.
    pub open: bool,
}

/// What came of one kind of wish.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Wishes that came true.
    pub count: u64,
    /// The longest that one took and that was no outage, milliseconds.
    pub slowest: u64,
    /// Times in which clients could not.
    pub outages: Vec<Outage>,
    /// What was said last by who did not answer.
    pub last: String,
    /// Since when a wish that has not come true is waited for.
    pub since: Option<Instant>,
}

impl Tally {
    /// How long clients could not, in all, milliseconds.
    pub fn total(&self) -> u64 {
        self.outages.iter().map(|outage| outage.took).sum()
    }

    /// The longest time at a stretch, milliseconds.
    pub fn longest(&self) -> u64 {
        self.outages.iter().map(|outage| outage.took).max().unwrap_or(0)
    }

    fn note(&mut self, at: u64, took: Duration, during: impl FnOnce() -> String, open: bool) {
        let took_ms = took.as_millis() as u64;
        self.since = None;
        if !open {
            self.count += 1;
        }
        if took > LATE {
            self.outages.push(Outage { at, took: took_ms, during: during(), open });
        } else if !open {
            self.slowest = self.slowest.max(took_ms);
        }
    }

    /// While the run is at work, in a few words.
    fn now(&self, wish: Wish) -> String {
        let word = wish.word();
        match self.since.map(|since| since.elapsed()).filter(|waits| *waits > LATE) {
            Some(waits) => format!("CANNOT {word} for {}", seconds(waits.as_millis() as u64)),
            None if self.count == 0 => format!("no {word} yet"),
            None if self.outages.is_empty() => format!("{word}s without a gap"),
            None => format!("{word}s again, {} lost so far", seconds(self.total())),
        }
    }

    /// For people, in one sentence.
    pub fn sentence(&self, wish: Wish) -> String {
        let word = wish.word();
        if self.count == 0 {
            let why = if self.last.is_empty() { String::new() } else { format!(": {}", self.last) };
            return format!("nobody could {word} during the whole run{why}");
        }
        if self.outages.is_empty() {
            return format!(
                "clients could {word} all the time ({} {word}s, the slowest {} ms)",
                self.count, self.slowest
            );
        }
        let times = match self.outages.len() {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        let mut worst: Vec<&Outage> = self.outages.iter().collect();
        worst.sort_by_key(|outage| std::cmp::Reverse(outage.took));
        let shown = worst.iter().take(3).map(|outage| {
            let during =
                if outage.during.is_empty() { String::new() } else { format!(" ({})", outage.during) };
            let open = if outage.open { " until the end" } else { "" };
            format!("{} at {}{open}{during}", seconds(outage.took), seconds(outage.at))
        });
        format!(
            "clients could not {word} for {} in all, {times} in {} {word}s: {}",
            seconds(self.total()),
            self.count,
            shown.collect::<Vec<_>>().join(", ")
        )
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// What was found out about a cluster.
#[derive(Debug, Clone)]
pub struct Probed {
    /// Its name.
    pub cluster: String,
    /// Reads.
    pub reads: Tally,
    /// Writes.
    pub writes: Tally,
}

impl Probed {
    /// What came of each kind of wish.
    pub fn tallies(&self) -> [(Wish, &Tally); 2] {
        [(Wish::Read, &self.reads), (Wish::Write, &self.writes)]
    }

    /// For people, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.tallies().map(|(wish, tally)| format!("probe {}: {}", self.cluster, tally.sentence(wish))).into()
    }
}

struct Watched {
    spec: ClusterSpec,
    /// From here, and through helpers where that leads nowhere.
    access: Access,
    reads: Mutex<Tally>,
    writes: Mutex<Tally>,
}

/// The probes of a run.
pub struct Probe {
    clusters: Vec<Arc<Watched>>,
    began: Instant,
    over: AtomicBool,
    /// Microseconds in which this machine stood still.
    stalled: AtomicU64,
    work: Mutex<IndexMap<(StepId, Arc<str>), String>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Probe {
    /// Begins to probe the clusters of these hosts; nothing where they belong to none.
    pub(crate) fn begin(ground: &Ground, hosts: &[Arc<str>]) -> Option<Arc<Self>> {
        let mut clusters: Vec<Arc<Watched>> = Vec::new();
        for host in hosts {
            let Some(cluster) = Cluster::of(ground, host) else { continue };
            if cluster.spec.members.is_empty()
                || clusters.iter().any(|known| known.spec.name == cluster.spec.name)
            {
                continue;
            }
            let mut access = reach::access_apart(ground, &cluster.spec, reach::identity(&cluster.pki).0);
            access.deadlines = Deadlines { connect: ANSWERS, status: ANSWERS, read: ANSWERS, write: ANSWERS };
            let watched = Watched {
                spec: cluster.spec.clone(),
                access,
                reads: Mutex::default(),
                writes: Mutex::default(),
            };
            clusters.push(Arc::new(watched));
        }
        if clusters.is_empty() {
            return None;
        }
        let probe = Arc::new(Probe {
            clusters,
            began: Instant::now(),
            over: AtomicBool::new(false),
            stalled: AtomicU64::new(0),
            work: Mutex::default(),
            threads: Mutex::default(),
        });
        let mut threads = vec![std::thread::spawn({
            let probe = probe.clone();
            move || probe.pulse()
        })];
        let (here, watching) = (ground.clone(), probe.clone());
        threads.push(std::thread::spawn(move || watching.run(&here)));
        *lock(&probe.threads) = threads;
        Some(probe)
    }

    /// A step begins on a host.
    pub fn work(&self, step: &Arc<Step>, host: &Arc<str>) {
        lock(&self.work).insert((step.id, host.clone()), step.title());
    }

    /// It ends.
    pub fn rest(&self, step: StepId, host: &Arc<str>) {
        lock(&self.work).shift_remove(&(step, host.clone()));
    }

    fn during(&self) -> String {
        let work = lock(&self.work);
        let some: Vec<String> =
            work.iter().take(2).map(|((_, host), title)| format!("{title} on {host}")).collect();
        some.join("; ")
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Notices how long nobody on this machine got anything done.
    fn pulse(&self) {
        while !self.is_over() {
            let before = Instant::now();
            std::thread::sleep(BEAT);
            let late = before.elapsed().saturating_sub(BEAT * 2);
            self.stalled.fetch_add(late.as_micros() as u64, Ordering::Relaxed);
        }
    }

    fn run(&self, ground: &Ground) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let mut all = Vec::new();
            for cluster in &self.clusters {
                all.push(self.watch(ground, cluster, Wish::Read));
                all.push(self.watch(ground, cluster, Wish::Write));
            }
            futures::future::join_all(all).await;
            for cluster in &self.clusters {
                // a key that stays does no harm, and the next probe takes it away
                if let Some(member) = cluster.spec.members.first()
                    && let Ok(client) = MemberClient::connect(&member.client, &cluster.access).await
                {
                    client.delete(KEY).await.ok();
                }
            }
        });
        runtime.shutdown_background();
    }

    async fn watch(&self, ground: &Ground, cluster: &Watched, wish: Wish) {
        let tally = match wish {
            Wish::Read => &cluster.reads,
            Wish::Write => &cluster.writes,
        };
        let mut access = cluster.access.clone();
        let mut client: Option<MemberClient> = None;
        let mut member = 0;
        let mut ever = false;
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_over() {
            tick.tick().await;
            let (began, stalled) = (Instant::now(), self.stalled.load(Ordering::Relaxed));
            let at = began.duration_since(self.began).as_millis() as u64;
            let mut during = None;
            let took = || {
                let still = self.stalled.load(Ordering::Relaxed) - stalled;
                began.elapsed().saturating_sub(Duration::from_micros(still))
            };
            loop {
                let to = &cluster.spec.members[member % cluster.spec.members.len()].client;
                let tried = tokio::time::timeout(ANSWERS * 2, attempt(&mut client, to, &access, wish)).await;
                let why = match tried {
                    Ok(Ok(())) => {
                        ever = true;
                        let during = during.take();
                        lock(tally).note(at, took(), || during.unwrap_or_else(|| self.during()), false);
                        break;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "no answer".to_owned(),
                };
                during.get_or_insert_with(|| self.during());
                {
                    let mut tally = lock(tally);
                    tally.last = format!("{to}: {why}");
                    if ever {
                        tally.since.get_or_insert(began);
                    }
                }
                client = None;
                member += 1;
                if self.is_over() {
                    if ever {
                        let during = during.take().unwrap_or_default();
                        lock(tally).note(at, took(), || during, true);
                    }
                    return;
                }
                if !ever && member % cluster.spec.members.len() == 0 {
                    // certificates may come into being while the run is at work
                    if let Some(found) = Cluster::of(ground, &cluster.spec.members[0].host) {
                        access.identity = reach::identity(&found.pki).0;
                    }
                }
                tokio::time::sleep(if ever { NEXT } else { NOT_YET }).await;
                if !ever {
                    break;
                }
            }
        }
    }

    /// How it is at this moment, a line for each cluster.
    pub fn now(&self) -> Vec<String> {
        let line = |cluster: &Arc<Watched>| {
            let (reads, writes) =
                (lock(&cluster.reads).now(Wish::Read), lock(&cluster.writes).now(Wish::Write));
            format!("probe {}   {reads} · {writes}", cluster.spec.name)
        };
        self.clusters.iter().map(line).collect()
    }

    /// Ends, and gives what was found out.
    pub fn end(&self) -> Vec<Probed> {
        self.over.store(true, Ordering::Relaxed);
        for thread in lock(&self.threads).drain(..) {
            thread.join().ok();
        }
        let probed = |cluster: &Arc<Watched>| Probed {
            cluster: cluster.spec.name.clone(),
            reads: lock(&cluster.reads).clone(),
            writes: lock(&cluster.writes).clone(),
        };
        self.clusters.iter().map(probed).collect()
    }
}

async fn attempt(
    client: &mut Option<MemberClient>,
    to: &Endpoint,
    access: &Access,
    wish: Wish,
) -> Result<(), EtcdError> {
    if client.is_none() {
        *client = Some(MemberClient::connect(to, access).await?);
    }
    let Some(client) = client else { return Ok(()) };
    match wish {
        Wish::Read => client.get(KEY, Read::Linearizable).await.map(|_| ()),
        Wish::Write => client.put(KEY, b"quorate play --probe", None).await.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_waits_is_told_at_once() {
        let mut tally = Tally::default();
        assert_eq!(tally.now(Wish::Write), "no write yet");
        tally.note(0, Duration::from_millis(3), String::new, false);
        assert_eq!(tally.now(Wish::Write), "writes without a gap");
        tally.since = Instant::now().checked_sub(Duration::from_secs(75));
        assert!(tally.now(Wish::Write).starts_with("CANNOT write for 75."), "{}", tally.now(Wish::Write));
        tally.note(100, Duration::from_millis(930), String::new, false);
        assert_eq!(tally.now(Wish::Write), "writes again, 0.9 s lost so far");
    }

    #[test]
    fn what_is_told_is_what_was_measured() {
        let mut tally = Tally::default();
        assert_eq!(tally.sentence(Wish::Read), "nobody could read during the whole run");
        tally.note(0, Duration::from_millis(3), String::new, false);
        tally.note(100, Duration::from_millis(250), String::new, false);
        assert_eq!(
            tally.sentence(Wish::Read),
            "clients could read all the time (2 reads, the slowest 250 ms)"
        );
        tally.note(12_100, Duration::from_millis(930), || "Restart etcd on b".into(), false);
        tally.note(20_000, Duration::from_millis(400), String::new, true);
        assert_eq!((tally.total(), tally.longest(), tally.count, tally.slowest), (1330, 930, 3, 250));
        assert_eq!(
            tally.sentence(Wish::Write),
            "clients could not write for 1.3 s in all, 2 times in 3 writes: 0.9 s at 12.1 s (Restart etcd on b), 0.4 s at 20.0 s until the end"
        );
    }
}
