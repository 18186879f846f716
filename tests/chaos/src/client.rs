//! A client that writes and reads every 50 ms, and notes what it was told.
//!
//! Every write has a key of its own and is tried until it is acknowledged, by one endpoint after the other; every read
//! is of the last key that was acknowledged before it began, so a read that does not find it is stale.
//!
//! Log, a line an event, times in milliseconds since 1970: `w NUMBER BEGAN ENDED TRIES`, `r NUMBER BEGAN ENDED`,
//! `stale NUMBER BEGAN ENDED`.

use quorate_etcd::kv::Read;
use quorate_etcd::{Access, ClientIdentity, Deadlines, Endpoint, MemberClient};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

const PERIOD: Duration = Duration::from_millis(50);

/// How the cluster is reached.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) endpoints: Vec<Endpoint>,
    /// Directory with `ca.crt` and `etcd/root.*`; read at each connection, as a long-lived client would after a reload.
    pub(crate) pki: PathBuf,
}

impl Reach {
    pub(crate) fn access(&self, patience: Duration) -> Access {
        let file = |name: &str| std::fs::read(self.pki.join(name)).unwrap_or_default();
        let key = Zeroizing::new(file("etcd/root.key"));
        let identity = ClientIdentity::new(&file("ca.crt"), &file("etcd/root.crt"), key).ok();
        let mut access = Access::direct(identity);
        access.deadlines = Deadlines {
            connect: Duration::from_millis(700),
            status: patience,
            read: patience,
            write: patience,
        };
        access
    }

    async fn connect(&self, turn: &mut usize) -> Option<MemberClient> {
        *turn = (*turn + 1) % self.endpoints.len();
        MemberClient::connect(&self.endpoints[*turn], &self.access(Duration::from_millis(1500))).await.ok()
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}/{number:08}")
}

/// Until standard input ends.
pub(crate) async fn run(reach: Reach, prefix: String, log: &Path) -> io::Result<()> {
    let log = Arc::new(Mutex::new(File::create(log)?));
    let over = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            drop(io::stdin().read_to_end(&mut Vec::new()));
            over.store(true, Ordering::SeqCst);
        });
    }
    let reader = tokio::spawn(reads(
        reach.clone(),
        prefix.clone(),
        Arc::clone(&log),
        Arc::clone(&over),
        Arc::clone(&acknowledged),
    ));
    let (mut client, mut turn) = (None::<MemberClient>, 0);
    let mut number = 0;
    'writes: while !over.load(Ordering::SeqCst) {
        number += 1;
        let (began, mut tries) = (now(), 0);
        loop {
            tries += 1;
            if client.is_none() {
                client = reach.connect(&mut turn).await;
            }
            if let Some(member) = &client {
                let name = key(&prefix, number);
                if member.put(name.as_bytes(), number.to_string().as_bytes(), None).await.is_ok() {
                    break;
                }
                client = None;
            }
            if over.load(Ordering::SeqCst) {
                break 'writes;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        acknowledged.store(number, Ordering::SeqCst);
        note(&log, &format!("w {number} {began} {} {tries}", now()));
        tokio::time::sleep(PERIOD).await;
    }
    drop(reader.await);
    Ok(())
}

async fn reads(
    reach: Reach,
    prefix: String,
    log: Arc<Mutex<File>>,
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) {
    let (mut client, mut turn) = (None::<MemberClient>, 1);
    while !over.load(Ordering::SeqCst) {
        let number = acknowledged.load(Ordering::SeqCst);
        if number == 0 {
            tokio::time::sleep(PERIOD).await;
            continue;
        }
        let began = now();
        if client.is_none() {
            client = reach.connect(&mut turn).await;
        }
        if let Some(member) = &client {
            match member.get(key(&prefix, number).as_bytes(), Read::Linearizable).await {
                Ok(Some(_)) => note(&log, &format!("r {number} {began} {}", now())),
                Ok(None) => note(&log, &format!("stale {number} {began} {}", now())),
                Err(_) => client = None,
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn note(log: &Mutex<File>, line: &str) {
    if let Ok(mut log) = log.lock() {
        drop(writeln!(log, "{line}"));
    }
}

/// What a log says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) reads: usize,
    pub(crate) retried: u64,
    pub(crate) stale: Vec<String>,
    /// The longest wait for an acknowledgement, and when it began.
    pub(crate) longest: u64,
    pub(crate) longest_at: u64,
}

impl History {
    pub(crate) fn of(log: &str) -> Self {
        let mut history = Self::default();
        for line in log.lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let at = |index: usize| parts.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            match parts.first() {
                Some(&"w") if parts.len() == 5 => {
                    history.acknowledged.push(at(1));
                    history.retried += at(4).saturating_sub(1);
                    let took = at(3).saturating_sub(at(2));
                    if took > history.longest {
                        (history.longest, history.longest_at) = (took, at(2));
                    }
                }
                Some(&"r") => history.reads += 1,
                Some(&"stale") => history.stale.push(line.to_owned()),
                _ => {}
            }
        }
        history
    }

    /// Those of the acknowledged writes that are not among these keys.
    pub(crate) fn lost(&self, prefix: &str, there: &std::collections::HashSet<String>) -> Vec<u64> {
        self.acknowledged.iter().copied().filter(|number| !there.contains(&key(prefix, *number))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read() {
        let history = History::of("w 1 100 103 1\nr 1 104 105\nw 2 200 900 4\nstale 2 901 902\nw 3 9");
        assert_eq!(history.acknowledged, [1, 2]);
        assert_eq!((history.reads, history.retried, history.longest, history.longest_at), (1, 3, 700, 200));
        assert_eq!(history.stale, ["stale 2 901 902"]);
        let there = [key("p", 1)].into();
        assert_eq!(history.lost("p", &there), [2]);
    }
}
