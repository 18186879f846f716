//! What can go wrong between us and a member, sorted by what it means for the next step.
//!
//! In: gRPC statuses and broken connections. Out: [`EtcdError`].
//!
//! Answers are told apart by their **message**: the same refusal comes with different codes from different calls
//! and releases. A request that may or may not have been done is [`EtcdError::Unknown`]; the only cure is to read
//! the cluster again.

use std::error::Error as StdError;
use std::time::Duration;

use crate::endpoint::Address;

/// Why a call has no useful answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// The member answered, and said no.
    #[error("etcd says: {answer}")]
    Says {
        /// What it said.
        answer: Answer,
    },
    /// The request may have been carried out or not.
    #[error("`{call}` has no known outcome: {why}")]
    Unknown {
        /// Which call.
        call: &'static str,
        /// What ended the wait.
        why: String,
    },
    /// The connection broke while the request was under way, so it may have been carried out or not.
    #[error("{address}: the connection broke during `{call}`: {why}")]
    Broken {
        /// Where.
        address: Address,
        /// Which call.
        call: &'static str,
        /// What the transport said.
        why: String,
    },
    /// The host answered that nothing listens on the port.
    #[error("{address}: connection refused")]
    Refused {
        /// Where.
        address: Address,
    },
    /// The host was not reached; it may be alive.
    #[error("{address}: {why}")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the network said.
        why: String,
    },
    /// The port took the connection and then nothing came: frozen, or waiting to join.
    #[error("{address}: accepts connections, but nothing answered within {after:?}")]
    Silent {
        /// Where.
        address: Address,
        /// How long we waited.
        after: Duration,
    },
    /// The TLS handshake failed.
    #[error("{address}: TLS: {why}")]
    Tls {
        /// Where.
        address: Address,
        /// rustls' or the server's reason.
        why: String,
    },
    /// The member answered something this call cannot mean.
    #[error("{address}: unexpected answer: {why}")]
    Protocol {
        /// Where.
        address: Address,
        /// What was unexpected.
        why: String,
    },
    /// A local problem: writing a snapshot, for example.
    #[error("{0}")]
    Local(String),
}

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What members say. `Display` is etcd's own text.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Answer {
            $($(#[$doc])* $name,)*
            /// A text that is not in the table.
            Other {
                /// gRPC code, by name.
                code: String,
                /// The text.
                message: String,
            },
        }

        impl Answer {
            /// The table, longest text first where one contains another.
            const TABLE: &'static [(&'static str, Answer)] = &[$(($text, Answer::$name),)*];

            fn text(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other { message, .. } => message,
                }
            }
        }
    };
}

answers! {
    /// Promote: the learner is not started, or behind.
    LearnerNotInSync = "can only promote a learner member which is in sync with leader",
    /// Promote: it is a voter already, so there is nothing to do.
    NotALearner = "can only promote a learner member",
    /// The id is not in the member list. From an *add* it means: added and removed within this second, wait one.
    MemberNotFound = "member not found",
    /// The cluster has as many learners as it allows, one by default.
    TooManyLearners = "too many learner members in cluster",
    /// The same peer URL was added within this second: it is there already.
    MemberExists = "member ID already exist",
    /// Another member has this peer URL, or our own add came through before.
    PeerUrlExists = "Peer URLs already exists",
    /// Not a URL etcd takes.
    BadMemberUrls = "given member URLs are invalid",
    /// A voter is down, or connected for less than 5 s.
    UnhealthyCluster = "unhealthy cluster",
    /// Too few started members to change the membership.
    NotEnoughStarted = "re-configuration failed due to not enough started members",
    /// The call does not work on a learner.
    NotSupportedForLearner = "rpc not supported for learner",
    /// MoveLeader must go to the leader.
    NotLeader = "not leader",
    /// MoveLeader names a learner or a stranger.
    BadLeaderTransferee = "bad leader transferee",
    /// There is no leader now.
    NoLeader = "no leader",
    /// The alarm NOSPACE is raised.
    NoSpace = "database space exceeded",
    /// The alarm CORRUPT is raised.
    Corrupt = "corrupt cluster",
    /// The revision was compacted away.
    Compacted = "required revision has been compacted",
    /// The revision does not exist yet.
    FutureRevision = "required revision is a future revision",
    /// No such lease: expired or revoked.
    LeaseNotFound = "requested lease not found",
    /// A lease with this id exists.
    LeaseExists = "lease already exists",
    /// The member is overloaded.
    TooManyRequests = "too many requests",
    /// The request exceeds the size limit.
    TooLarge = "request is too large",
    /// AuthEnable before the user `root` exists.
    RootUserMissing = "root user does not exist",
    /// AuthEnable before `root` has the role `root`.
    RootRoleMissing = "root user does not have root role",
    /// Auth is on, and the request carries no user.
    UserNameEmpty = "user name is empty",
    /// The user, or the certificate's CN, does not exist.
    UserNotFound = "user name not found",
    /// The user exists.
    UserExists = "user name already exists",
    /// The role exists.
    RoleExists = "role name already exists",
    /// The role does not exist.
    RoleNotFound = "role name not found",
    /// The user does not have the role.
    RoleNotGranted = "role is not granted to the user",
    /// The role does not have the permission.
    PermissionNotGranted = "permission is not granted to the role",
    /// The user may not do this.
    PermissionDenied = "permission denied",
    /// Wrong user or password.
    AuthFailed = "authentication failed, invalid user ID or password",
    /// The token is unknown or expired.
    InvalidToken = "invalid auth token",
    /// Auth changed while the request was under way.
    OldAuthRevision = "revision of auth store is old",
    /// Auth is off.
    AuthNotEnabled = "authentication is not enabled",
    /// The cluster version does not have this yet.
    NotCapable = "not capable",
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other { code, message } => write!(f, "{message} ({code})"),
            known => f.write_str(known.text()),
        }
    }
}

/// Texts after which nobody knows whether the request was carried out.
const OUTCOME_OPEN: &[&str] = &[
    "request timed out",
    "context deadline exceeded",
    "leader changed",
    "server stopped",
    "Timeout expired",
];

impl EtcdError {
    /// Whether the request may have been carried out all the same.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Silent { .. } | Self::Broken { .. })
    }

    /// What the member said, if it said anything.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Says { answer } => Some(answer),
            _ => None,
        }
    }

    /// Whether the member said exactly this.
    pub fn says(&self, answer: &Answer) -> bool {
        self.answer() == Some(answer)
    }

    /// Whether the server does not know the call at all (an older release).
    pub fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Says { answer: Answer::Other { code, .. } } if code == "Unimplemented")
    }

    /// Sorts what the client library gave. `call` names the request in messages.
    pub(crate) fn from_client(call: &'static str, address: &Address, error: &etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => Self::from_status(call, address, status),
            etcd_client::Error::TransportError(error) => Self::from_chain(call, address, error),
            other => Self::Protocol { address: address.clone(), why: other.to_string() },
        }
    }

    /// Sorts a gRPC status, be it the server's or the transport's.
    pub(crate) fn from_status(call: &'static str, address: &Address, status: &tonic::Status) -> Self {
        if let Some(source) = status.source() {
            return Self::from_chain(call, address, source);
        }
        let message = status.message();
        if OUTCOME_OPEN.iter().any(|text| message.contains(text)) {
            return Self::Unknown { call, why: message.to_owned() };
        }
        let known = Answer::TABLE.iter().find(|(text, _)| message.contains(text));
        let answer = match known {
            Some((_, answer)) => answer.clone(),
            None => Answer::Other { code: format!("{:?}", status.code()), message: message.to_owned() },
        };
        Self::Says { answer }
    }

    /// A transport error: either the connection was never made (then our connector's own error is inside), or it
    /// broke while a request was under way.
    fn from_chain(call: &'static str, address: &Address, error: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(error);
        let mut words = error.to_string();
        while let Some(error) = next {
            if let Some(ours) = error.downcast_ref::<Self>() {
                return ours.clone();
            }
            words = error.to_string();
            let tls = error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(tls) = tls {
                // With TLS 1.3 a member refuses our certificate after our side of the handshake is done.
                return Self::Tls { address: address.clone(), why: tls.to_string() };
            }
            next = error.source();
        }
        // HTTP/2 keeps only the text of what ended the connection below it.
        if words.contains("received fatal alert") {
            return Self::Tls { address: address.clone(), why: words };
        }
        Self::Broken { address: address.clone(), call, why: words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::{Code, Status};

    fn at() -> Address {
        Address { host: "h".into(), port: 2379 }
    }

    fn sorted(code: Code, message: &str) -> EtcdError {
        EtcdError::from_status("MemberAdd", &at(), &Status::new(code, message))
    }

    #[rustfmt::skip] // read in columns
    const SEEN: &[(Code, &str, Answer)] = &[
        (Code::FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader", Answer::LearnerNotInSync),
        (Code::FailedPrecondition, "etcdserver: can only promote a learner member", Answer::NotALearner),
        (Code::NotFound,           "etcdserver: member not found", Answer::MemberNotFound),
        (Code::FailedPrecondition, "etcdserver: too many learner members in cluster", Answer::TooManyLearners),
        (Code::FailedPrecondition, "etcdserver: member ID already exist", Answer::MemberExists),
        (Code::FailedPrecondition, "etcdserver: Peer URLs already exists", Answer::PeerUrlExists),
        (Code::InvalidArgument,    "etcdserver: given member URLs are invalid", Answer::BadMemberUrls),
        (Code::Unavailable,        "etcdserver: unhealthy cluster", Answer::UnhealthyCluster),
        // The code differs between calls; the text does not.
        (Code::FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members", Answer::NotEnoughStarted),
        (Code::Unknown,            "etcdserver: re-configuration failed due to not enough started members", Answer::NotEnoughStarted),
        (Code::Unavailable,        "etcdserver: rpc not supported for learner", Answer::NotSupportedForLearner),
        (Code::FailedPrecondition, "etcdserver: not leader", Answer::NotLeader),
        (Code::Unavailable,        "etcdserver: no leader", Answer::NoLeader),
        (Code::ResourceExhausted,  "etcdserver: mvcc: database space exceeded", Answer::NoSpace),
        (Code::Unknown,            "auth: user name is empty", Answer::UserNameEmpty),
        (Code::Unknown,            "auth: permission denied", Answer::PermissionDenied),
        (Code::Unauthenticated,    "etcdserver: invalid auth token", Answer::InvalidToken),
    ];

    #[test]
    fn answers_are_told_apart_by_their_text() {
        for (code, message, expected) in SEEN {
            assert_eq!(sorted(*code, message).answer(), Some(expected), "{message}");
        }
    }

    #[test]
    fn a_timeout_is_unknown_never_failure() {
        for (code, message) in [
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
            (Code::Unknown, "context deadline exceeded"),
            (Code::Cancelled, "Timeout expired"),
            (Code::Unavailable, "etcdserver: server stopped"),
        ] {
            assert!(sorted(code, message).outcome_unknown(), "{message}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_keeps_its_words() {
        let error = sorted(Code::Internal, "something new");
        assert_eq!(error.to_string(), "etcd says: something new (Internal)");
        assert!(!error.outcome_unknown());
        assert!(sorted(Code::Unimplemented, "unknown method AuthStatus").is_unimplemented());
    }

    #[test]
    fn no_text_hides_a_longer_one_behind_it() {
        for (index, (text, _)) in Answer::TABLE.iter().enumerate() {
            for (later, _) in &Answer::TABLE[index + 1..] {
                assert!(!later.contains(text), "`{text}` would hide `{later}`");
            }
        }
    }
}
