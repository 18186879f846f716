//! Whether a host holds a live instance, decided from facts that others gathered.
//!
//! In: what was asked on the host and over the network, each yes, no or unknown. Out: a [`Verdict`].
//!
//! **Invariant:** `Absent` needs a "no" to every question; what could not be asked never makes a host look empty.
//! There is no PID file in here.

use serde::{Deserialize, Serialize};

/// What is known of one host. `None` means that nobody could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Facts {
    /// gRPC Status came back from its client URL.
    pub grpc_answers: Option<bool>,
    /// `/members` came back from its peer URL.
    pub peer_answers: Option<bool>,
    /// Its unit (or container) is active, activating or reloading.
    pub unit_active: Option<bool>,
    /// A process has files below `member/` open.
    pub process_holds_dir: Option<bool>,
    /// `member/wal/*.wal` exists.
    pub wal_exists: Option<bool>,
    /// `member/snap/db` exists.
    pub db_exists: Option<bool>,
    /// The log has no entry: an etcd made it when it was started on an empty directory under the identity of a
    /// member whose data is gone (a host that lost them booted, say), and it remembers nothing of what that
    /// member promised.
    pub log_empty: bool,
}

/// What a host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An instance runs. Safeguards protect it.
    Live,
    /// Nothing runs, but there are data with an identity. Safeguards protect it too.
    Dormant,
    /// What a refused join leaves behind: a database without a log. May be wiped if no member list has the host
    /// as started.
    Remnant,
    /// Nothing.
    Absent,
    /// Not everything could be asked. Counts as live for whatever destroys.
    Unknown,
}

impl Verdict {
    /// Decides.
    pub fn of(facts: Facts) -> Self {
        let running = [facts.grpc_answers, facts.peer_answers, facts.unit_active, facts.process_holds_dir];
        if running.contains(&Some(true)) {
            return Self::Live;
        }
        if running.contains(&None) {
            return Self::Unknown;
        }
        match (facts.wal_exists, facts.db_exists) {
            (Some(true), _) if facts.log_empty => Self::Remnant,
            (Some(true), _) => Self::Dormant,
            (None, _) => Self::Unknown,
            (Some(false), Some(true)) => Self::Remnant,
            (Some(false), None) => Self::Unknown,
            (Some(false), Some(false)) => Self::Absent,
        }
    }

    /// Whether a safeguard has to stop whatever would destroy it.
    pub fn is_protected(self) -> bool {
        match self {
            Self::Live | Self::Dormant | Self::Unknown => true,
            Self::Remnant | Self::Absent => false,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Dormant => "dormant",
            Self::Remnant => "remnant",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `y`, `n` or `?` for: gRPC, peer, unit, process, WAL, db.
    fn facts(text: &str) -> Facts {
        let fact = |at: usize| match &text[at..=at] {
            "y" => Some(true),
            "n" => Some(false),
            _ => None,
        };
        Facts {
            grpc_answers: fact(0),
            peer_answers: fact(1),
            unit_active: fact(2),
            process_holds_dir: fact(3),
            wal_exists: fact(4),
            db_exists: fact(5),
            log_empty: false,
        }
    }

    #[rustfmt::skip] // read in columns
    const CASES: &[(&str, Verdict)] = &[
        ("ynnnnn", Verdict::Live),
        ("nynnnn", Verdict::Live),     // waits to join: gRPC is mute
        ("nnynnn", Verdict::Live),
        ("nnnynn", Verdict::Live),     // started by hand, the unit knows nothing
        ("y?????", Verdict::Live),     // one yes is enough
        ("nnnnyy", Verdict::Dormant),
        ("nnnnyn", Verdict::Dormant),
        ("nnnnny", Verdict::Remnant),
        ("nnnnnn", Verdict::Absent),
        ("?nnnnn", Verdict::Unknown),
        ("nnn?yy", Verdict::Unknown),
        ("nnnn?y", Verdict::Unknown),
        ("nnnnn?", Verdict::Unknown),
        ("??????", Verdict::Unknown),
    ];

    #[test]
    fn verdicts() {
        for (text, expected) in CASES {
            assert_eq!(Verdict::of(facts(text)), *expected, "{text}");
        }
    }

    #[test]
    fn a_log_without_entries_is_no_data() {
        let empty = |text| Verdict::of(Facts { log_empty: true, ..facts(text) });
        assert_eq!(empty("nnnnyy"), Verdict::Remnant);
        assert_eq!(empty("nnynyy"), Verdict::Live, "it may be waiting for its first entry");
        assert_eq!(empty("nnn?yy"), Verdict::Unknown);
    }

    proptest! {
        /// Learning more never turns a host that must be protected into one that may be wiped, unless every open
        /// question was answered with no.
        #[test]
        fn absent_is_proved(text in "[yn?]{6}") {
            let verdict = Verdict::of(facts(&text));
            if verdict == Verdict::Absent {
                prop_assert_eq!(text, "nnnnnn");
            }
        }
    }
}
