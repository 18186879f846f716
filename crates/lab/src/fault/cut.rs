//! Cut cables: traffic dropped on the lab's bridge by nftables, for a host or for a pair, both ways or one.
//!
//! The whole table is written anew from the state at every change, in one transaction.

use crate::paths::Paths;
use crate::state::{Host, State};
use crate::{Result, command};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which traffic of the host is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Direction {
    /// Both ways, every frame: a pulled cable.
    #[default]
    Both,
    /// What others send to the host. Only IP: address resolution goes on, as behind a firewall.
    In,
    /// What the host sends to others. Only IP, as above.
    Out,
}

/// Who is on the other side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// Everyone, the controller included.
    Everyone,
    /// The machine that runs the playbooks.
    Controller,
    /// Another host of the lab, by its name.
    Host(String),
}

/// A cut that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    pub host: String,
    pub peer: Peer,
    pub direction: Direction,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = match &self.peer {
            Peer::Everyone => "everyone",
            Peer::Controller => "the controller",
            Peer::Host(name) => name,
        };
        match self.direction {
            Direction::Both => write!(f, "cut from {peer}"),
            Direction::In => write!(f, "hears nothing from {peer}"),
            Direction::Out => write!(f, "unheard by {peer}"),
        }
    }
}

/// Makes the bridge drop what the state says, and nothing else.
pub(crate) fn apply(paths: &Paths, state: &State) -> Result<()> {
    let netns = format!("--net={}", paths.netns_path().display());
    command::run_with_input("nsenter", &[netns.as_str(), "nft", "-f", "-"], &ruleset(state)).map(drop)
}

/// The nftables script for the cuts of a state.
fn ruleset(state: &State) -> String {
    let (mut forward, mut input, mut output) = (String::new(), String::new(), String::new());
    for cut in &state.cuts {
        let Some(host) = find(state, &cut.host) else { continue };
        let ports = ports(host);
        let what: &[&str] = if cut.direction == Direction::Both { &[""] } else { ONLY_IP };
        let (inbound, outbound) = (cut.direction != Direction::Out, cut.direction != Direction::In);
        let rule = |chain: &mut String, matches: String| {
            for what in what {
                chain.push_str(&format!("    {matches} {what}drop\n"));
            }
        };
        let everyone = cut.peer == Peer::Everyone;
        if everyone || cut.peer == Peer::Controller {
            if inbound {
                rule(&mut output, format!("oifname {ports}"));
            }
            if outbound {
                rule(&mut input, format!("iifname {ports}"));
            }
        }
        let peers = match &cut.peer {
            Peer::Everyone => Some(None),
            Peer::Host(name) => find(state, name).map(|peer| Some(self::ports(peer))),
            Peer::Controller => None,
        };
        if let Some(peer) = peers {
            if inbound {
                let from = peer.as_ref().map_or(String::new(), |p| format!("iifname {p} "));
                rule(&mut forward, format!("{from}oifname {ports}"));
            }
            if outbound {
                let to = peer.as_ref().map_or(String::new(), |p| format!(" oifname {p}"));
                rule(&mut forward, format!("iifname {ports}{to}"));
            }
        }
    }
    format!(
        "table bridge quorate\ndelete table bridge quorate\ntable bridge quorate {{\n\
         \x20 chain forward {{\n    type filter hook forward priority 0\n{forward}  }}\n\
         \x20 chain input {{\n    type filter hook input priority 0\n{input}  }}\n\
         \x20 chain output {{\n    type filter hook output priority 0\n{output}  }}\n}}\n"
    )
}

/// A one-way cut spares ARP and neighbour discovery: with them gone both ways would soon be silent.
const ONLY_IP: &[&str] = &[
    "ether type ip ",
    "ether type ip6 ip6 nexthdr != icmpv6 ",
    "icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } ",
];

/// The host's cable on the bridge, also while a delay stands between the two.
fn ports(host: &Host) -> String {
    format!("{{ \"{}\", \"{}\" }}", host.port(), super::delay::outer_tap(host))
}

fn find<'a>(state: &'a State, name: &str) -> Option<&'a Host> {
    state.hosts.iter().find(|h| h.spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample;

    fn rules(cuts: &[(&str, Peer, Direction)]) -> Vec<String> {
        let mut state = sample(&["a", "b", "c"]);
        for (host, peer, direction) in cuts {
            state.cuts.push(Cut { host: (*host).to_owned(), peer: peer.clone(), direction: *direction });
        }
        ruleset(&state).lines().filter(|l| l.ends_with("drop")).map(|l| l.trim().to_owned()).collect()
    }

    #[test]
    fn a_pair_is_cut_on_the_bridge_only() {
        let pair = ("a", Peer::Host("c".into()), Direction::Both);
        assert_eq!(
            rules(&[pair]),
            [
                r#"iifname { "q2", "o2" } oifname { "q0", "o0" } drop"#,
                r#"iifname { "q0", "o0" } oifname { "q2", "o2" } drop"#
            ]
        );
    }

    #[test]
    fn everyone_means_the_controller_too() {
        let all = rules(&[("b", Peer::Everyone, Direction::Both)]);
        assert_eq!(all.len(), 4, "{all:?}");
    }

    #[test]
    fn one_way_spares_address_resolution() {
        let one = rules(&[("a", Peer::Controller, Direction::Out)]);
        assert_eq!(one.len(), 3);
        assert!(one.iter().all(|r| r.starts_with(r#"iifname { "q0", "o0" }"#)), "{one:?}");
    }

    #[test]
    fn an_empty_state_drops_nothing() {
        assert!(rules(&[]).is_empty());
    }
}
