//! Member and cluster ids: 64 bits, written in hex without padding, as etcd itself prints them.
//!
//! In: numbers from protobuf, or hex text from people and JSON. Out: the same, never a decimal number and never
//! a JSON number (readers with 53-bit integers lose the low bits).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is no id in hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: 1 to 16 hex digits are expected")]
pub struct NotAnId(String);

fn parse_hex(text: &str) -> Result<u64, NotAnId> {
    let digits = text.trim().trim_start_matches("0x");
    if digits.is_empty() || digits.starts_with('+') {
        return Err(NotAnId(text.to_owned()));
    }
    u64::from_str_radix(digits, 16).map_err(|_| NotAnId(text.to_owned()))
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id etcd sent.
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The number to send to etcd.
            pub const fn raw(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:x})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// One member of one cluster. A member that is removed and added again gets another one.
    MemberId
}

hex_id! {
    /// One cluster. Two of these under one inventory group are two clusters that do not know each other.
    ClusterId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_etcd_does_and_reads_it_back() {
        // 15 digits: etcdctl's text form has been seen with a space in front of such an id.
        for (raw, text) in
            [(0x0831_6e11_4a77_eca1, "8316e114a77eca1"), (u64::MAX, "ffffffffffffffff"), (1, "1")]
        {
            assert_eq!(MemberId::new(raw).to_string(), text);
            assert_eq!(text.parse(), Ok(MemberId::new(raw)));
            assert_eq!(format!(" {text}").parse(), Ok(MemberId::new(raw)));
        }
    }

    #[test]
    fn json_holds_text_not_a_number() {
        let id = ClusterId::new(0xbbd6_7392_58f6_9625);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"bbd6739258f69625\"");
        assert_eq!(serde_json::from_str::<ClusterId>("\"bbd6739258f69625\"").unwrap(), id);
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["", " ", "xyz", "+1", "11111111111111111", "-1"] {
            assert!(text.parse::<MemberId>().is_err(), "{text:?}");
        }
    }
}
