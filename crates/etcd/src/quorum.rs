//! Quorum arithmetic: how many voters must serve, how many may be away.
//!
//! Numbers in, numbers out; who is healthy is decided in [`observation`](crate::observation), what may be done
//! in [`guard`](crate::guard). Learners never appear here: they count for nothing.

use serde::Serialize;

use crate::id::MemberId;

/// How many of `voters` must serve for the cluster to commit anything. Zero voters need one: no cluster serves.
pub const fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many of `voters` may be lost while the rest goes on.
pub const fn tolerated(voters: usize) -> usize {
    voters.saturating_sub(quorum(voters))
}

/// A voting member, and whether it serves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Voter {
    /// Its id.
    pub id: MemberId,
    /// Answers a linearizable read, keeps up with the leader, and raises no CORRUPT alarm.
    pub healthy: bool,
}

/// The count that decides: so many voters, so many of them healthy, so many needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Voters in the member list, started or not.
    pub voters: usize,
    /// Voters that serve.
    pub healthy: usize,
    /// [`quorum`] of `voters`.
    pub need: usize,
}

impl Tally {
    /// A tally of `healthy` out of `voters`.
    pub const fn new(healthy: usize, voters: usize) -> Self {
        Self { voters, healthy, need: quorum(voters) }
    }

    /// Counts the voters of a cluster.
    pub fn of(voters: &[Voter]) -> Self {
        Self::new(voters.iter().filter(|voter| voter.healthy).count(), voters.len())
    }

    /// Whether the cluster can commit.
    pub const fn has_quorum(self) -> bool {
        self.healthy >= self.need
    }

    /// How many more may be lost; zero also when quorum is already gone.
    pub const fn spare(self) -> usize {
        self.healthy.saturating_sub(self.need)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[rustfmt::skip] // the table every operator learns, read in columns
    const TABLE: &[(usize, usize, usize, usize)] = &[
        // n, quorum, tolerated, tolerated after a live one was removed
        (1, 1, 0, 0),
        (2, 2, 0, 0),
        (3, 2, 1, 0),
        (4, 3, 1, 1),
        (5, 3, 2, 1),
        (6, 4, 2, 2),
        (7, 4, 3, 2),
    ];

    #[test]
    fn arithmetic() {
        for &(n, q, spare, spare_after) in TABLE {
            assert_eq!(quorum(n), q, "quorum of {n}");
            assert_eq!(tolerated(n), spare, "tolerated of {n}");
            assert_eq!(tolerated(n - 1), spare_after, "tolerated of {n} - 1");
            assert_eq!(Tally::new(n, n).spare(), spare, "spare of {n}");
        }
    }

    #[test]
    fn no_voters_is_no_quorum() {
        assert!(!Tally::of(&[]).has_quorum());
        assert_eq!(tolerated(0), 0);
    }

    proptest! {
        /// Two quorums of one cluster always share a voter: that is what makes a cluster one cluster.
        #[test]
        fn two_quorums_overlap(n in 1_usize..100) {
            prop_assert!(quorum(n) * 2 > n);
            prop_assert!(quorum(n) <= n);
            prop_assert_eq!(quorum(n) + tolerated(n), n);
        }
    }
}
