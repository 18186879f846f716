//! The critical path: the tasks on hosts that stood in each other's way, one behind the other, until the end.
//!
//! In: when each task ran on each host, and how many gates were in front of it. Out: the chain that decided how long all
//! took. For a graph that has not run yet: the same, with how long tasks took last time.
//!
//! A task on a host waits for two things: for the task in front of it on that host, and, behind a gate, for whatever any
//! host did in front of that gate. The one of them that ended last is what it waited for.

use super::graph::{PlayGraph, Point, Why};
use std::collections::HashMap;

/// A task on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Plays and gates in front of it: all of a lower number had ended before it began.
    pub stage: (usize, u32),
    /// The host, as a number.
    pub host: usize,
    /// When it began, in milliseconds.
    pub from: u64,
    /// When it ended.
    pub to: u64,
}

/// Which of the pieces (given in the order of the program) decided how long all took, first to last.
pub fn path(pieces: &[Piece]) -> Vec<usize> {
    let later = |a: Option<usize>, b: Option<usize>| match (a, b) {
        (Some(a), Some(b)) => Some(if pieces[b].to > pieces[a].to { b } else { a }),
        (a, b) => a.or(b),
    };
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pieces.len());
    let mut on_host: HashMap<usize, usize> = HashMap::new();
    // the latest of all stages in front of this one, and of this one so far
    let (mut closed, mut open) = (None, None);
    let mut stage = (0, 0);
    for (number, piece) in pieces.iter().enumerate() {
        if piece.stage > stage {
            stage = piece.stage;
            closed = later(closed, open.take());
        }
        before.push(later(on_host.get(&piece.host).copied(), closed));
        open = later(open, Some(number));
        on_host.insert(piece.host, number);
    }
    let mut at = later(closed, open);
    let mut path = Vec::new();
    while let Some(number) = at {
        path.push(number);
        at = before[number];
    }
    path.reverse();
    path
}

/// So many pieces of a path are named where it is shown; the others are counted.
pub const NAMED: usize = 12;

/// The longest of the pieces that took any time, at most [`NAMED`], in the order they ran. Gives positions in `took`,
/// which has milliseconds.
pub fn longest(took: &[u64]) -> Vec<usize> {
    let mut longest: Vec<usize> = (0..took.len()).filter(|at| took[*at] > 0).collect();
    longest.sort_by_key(|at| std::cmp::Reverse(took[*at]));
    longest.truncate(NAMED);
    longest.sort_unstable();
    longest
}

/// A point of a graph on a host, and how long it took there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The point.
    pub point: usize,
    /// The host.
    pub host: String,
    /// Milliseconds.
    pub took: u64,
}

/// What would decide how long a play takes, if each point took as long as `took` says (nothing: it did not run there).
pub fn expected(
    graph: &PlayGraph,
    hosts: &[String],
    took: &dyn Fn(usize, &Point, &str) -> Option<u64>,
) -> Vec<Link> {
    let mut now = vec![0u64; hosts.len()];
    let mut pieces = Vec::new();
    let mut points = Vec::new();
    let mut gates = 0;
    for (id, point) in graph.points() {
        if graph.before(id).iter().any(|(_, why)| matches!(why, Why::Gate(_))) {
            gates += 1;
            let last = now.iter().copied().max().unwrap_or(0);
            now.fill(last);
        }
        for (host, name) in hosts.iter().enumerate() {
            let Some(took) = took(id, point, name) else { continue };
            let from = now[host];
            now[host] += took;
            pieces.push(Piece { stage: (0, gates), host, from, to: now[host] });
            points.push(id);
        }
    }
    path(&pieces)
        .into_iter()
        .map(|number| {
            let piece = pieces[number];
            Link { point: points[number], host: hosts[piece.host].clone(), took: piece.to - piece.from }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(gate: u32, host: usize, from: u64, to: u64) -> Piece {
        Piece { stage: (0, gate), host, from, to }
    }

    #[test]
    fn a_gate_hands_over_from_the_slowest() {
        // two hosts; the second is slow in front of the gate, the first behind it
        let pieces = [
            piece(0, 0, 0, 10),
            piece(0, 1, 0, 30),
            piece(0, 0, 10, 20),
            piece(0, 1, 30, 50),
            piece(1, 0, 50, 90),
            piece(1, 1, 50, 60),
        ];
        assert_eq!(path(&pieces), [1, 3, 4]);
    }

    #[test]
    fn without_gates_the_last_host_is_alone() {
        let pieces = [piece(0, 0, 0, 10), piece(0, 1, 0, 30), piece(0, 0, 10, 45), piece(0, 1, 30, 40)];
        assert_eq!(path(&pieces), [0, 2]);
        assert_eq!(path(&[]), [] as [usize; 0]);
    }
}
