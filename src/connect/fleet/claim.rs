//! Which hosts a controller of the fleet takes: pure arithmetic over what etcd holds.
//!
//! In: who works, which hosts the run wants, who has which. Out: the hosts that one of them should claim now.
//!
//! **Invariant:** as long as anybody works, every host that nobody has is claimed by somebody: the shares add up to at least
//! the number of hosts, whatever they are at that moment.

use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The state of a run, as everybody sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    /// Who works, and how much each can carry in relation to the others.
    pub(super) workers: BTreeMap<String, u32>,
    /// Hosts that the run works on.
    pub(super) wanted: BTreeSet<String>,
    /// Who has which host.
    pub(super) held: BTreeMap<String, String>,
}

impl Board {
    /// How many hosts one of them takes at most: its share by what it can carry, rounded up.
    pub(super) fn share(&self, me: &str) -> usize {
        let all: u64 = self.workers.values().map(|carries| u64::from(*carries)).sum();
        let Some(mine) = self.workers.get(me).filter(|_| all > 0) else { return 0 };
        (self.wanted.len() as u64 * u64::from(*mine)).div_ceil(all) as usize
    }

    /// The hosts that `me` should claim now, those first that others are less likely to reach for.
    pub(super) fn to_claim(&self, me: &str) -> Vec<String> {
        let held = self.held.iter().filter(|(host, by)| *by == me && self.wanted.contains(*host)).count();
        let room = self.share(me).saturating_sub(held);
        let mut free: Vec<&String> =
            self.wanted.iter().filter(|host| !self.held.contains_key(*host)).collect();
        free.sort_by_cached_key(|host| (self.rank(me, host), *host));
        free.into_iter().take(room).cloned().collect()
    }

    /// The how-manieth choice `me` is for a host: everybody works out the same order, so few reach for one host at a time.
    fn rank(&self, me: &str, host: &str) -> usize {
        let weight = |worker: &str| {
            let digest = Sha256::new().chain_update(worker).chain_update([0]).chain_update(host).finalize();
            <[u8; 32]>::from(digest)
        };
        let mine = weight(me);
        self.workers.keys().filter(|other| weight(other) > mine).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(workers: &[(&str, u32)], hosts: usize) -> Board {
        Board {
            workers: workers.iter().map(|(name, carries)| ((*name).to_owned(), *carries)).collect(),
            wanted: (0..hosts).map(|host| format!("h{host}")).collect(),
            held: BTreeMap::new(),
        }
    }

    /// All claim by the same look at the board; the first to come has it.
    fn settle(board: &mut Board) {
        let everybody: Vec<String> = board.workers.keys().cloned().collect();
        for _ in 0..=board.wanted.len() {
            let wishes: Vec<_> = everybody.iter().map(|me| (me.clone(), board.to_claim(me))).collect();
            for (me, hosts) in wishes {
                for host in hosts {
                    board.held.entry(host).or_insert_with(|| me.clone());
                }
            }
        }
    }

    fn loads(board: &Board) -> Vec<usize> {
        board.workers.keys().map(|me| board.held.values().filter(|by| *by == me).count()).collect()
    }

    #[test]
    fn everybody_has_a_fair_share_and_no_host_is_left() {
        for hosts in [0, 1, 2, 3, 7, 100] {
            for workers in [&[("a", 1)][..], &[("a", 1), ("b", 1)], &[("a", 1), ("b", 1), ("c", 1)]] {
                let mut board = board(workers, hosts);
                settle(&mut board);
                assert_eq!(board.held.len(), hosts, "{workers:?}");
                let most = hosts.div_ceil(workers.len());
                assert!(loads(&board).iter().all(|load| *load <= most), "{:?}", loads(&board));
            }
        }
    }

    #[test]
    fn who_can_carry_more_has_more() {
        let mut board = board(&[("a", 3), ("b", 1)], 100);
        settle(&mut board);
        assert_eq!(loads(&board), [75, 25]);
    }

    #[test]
    fn the_hosts_of_a_dead_one_go_to_the_others() {
        let mut board = board(&[("a", 1), ("b", 1), ("c", 1)], 90);
        settle(&mut board);
        let before = board.held.clone();
        board.workers.remove("b");
        board.held.retain(|_, by| by != "b");
        settle(&mut board);
        assert_eq!(loads(&board), [45, 45]);
        let kept = before.iter().filter(|(_, by)| *by != "b").all(|(host, by)| board.held[host] == *by);
        assert!(kept, "nobody loses a host that he has");
    }

    #[test]
    fn who_comes_late_takes_none_that_others_have_and_who_is_unknown_none_at_all() {
        let mut board = board(&[("a", 1)], 10);
        settle(&mut board);
        board.workers.insert("b".into(), 1);
        assert!(board.to_claim("b").is_empty());
        board.wanted.insert("new".into());
        assert_eq!((board.to_claim("a").len(), board.to_claim("b").len()), (0, 1));
        assert!(board.to_claim("stranger").is_empty());
    }

    #[test]
    fn few_reach_for_one_host_at_a_time() {
        let board = board(&[("a", 1), ("b", 1)], 100);
        let (a, b) = (board.to_claim("a"), board.to_claim("b"));
        let both = a.iter().filter(|host| b.contains(host)).count();
        assert!(both < 25, "{both}");
    }
}
