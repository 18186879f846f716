//! Members of etcd clusters as an inventory has them: what cannot be, whatever the hosts will say.
//!
//! In: an inventory. Out: diagnostics for members that share a number, and hosts that two groups claim.
//!
//! **Invariant:** only what is written plainly counts: a value that is a template may be anything.

use crate::cli::common::Ground;
use crate::diag::Diag;
use quorate_inventory::{Definition, GroupId, HostId, Inventory};
use quorate_value::{Span, Value, str_of};
use std::collections::HashMap;

/// What makes a host a member.
const CLUSTER: &str = "etcd_cluster";
const NUMBER: &str = "etcd_seq";

/// Looks at every host of an inventory.
pub(super) fn check(ground: &Ground, out: &mut Vec<Diag>) {
    let inventory = ground.shared.inventory();
    let mut numbers: HashMap<(String, String), (String, Span)> = HashMap::new();
    for host in inventory.hosts().filter(|id| !inventory.host(*id).is_implicit()) {
        // a value that cannot be read is told by whoever reads the inventory
        let Ok(clusters) = inventory.explain(host, CLUSTER) else { continue };
        let Some((cluster, _)) = winner(&clusters) else { continue };
        if let Some(diag) = claimed_twice(&inventory, host, &clusters) {
            out.push(diag);
        }
        let Ok(found) = inventory.explain(host, NUMBER) else { continue };
        let Some((number, span)) = winner(&found) else { continue };
        let name = inventory.host_name(host).to_string();
        match numbers.get(&(cluster.clone(), number.clone())) {
            None => drop(numbers.insert((cluster, number), (name, span))),
            Some((other, there)) => out.push(
                Diag::error(
                    "E0304",
                    format!(
                        "members {other} and {name} of cluster \"{cluster}\" share an etcd_seq: {number}"
                    ),
                )
                .at(span)
                .label(format!("for {name}"))
                .note(format!("{other} has it at {there}"))
                .help("give each member a number of its own, one that no member has had before"),
            ),
        }
    }
}

/// The definition that counts, where it is plain.
fn winner(found: &[Definition]) -> Option<(String, Span)> {
    let one = found.iter().rev().find(|definition| definition.wins)?;
    plain(&one.value).map(|text| (text, one.span))
}

fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Str(_) | Value::Int(_) => str_of(value),
        _ => return None,
    };
    (!text.is_empty() && !text.contains("{{") && !text.contains("{%")).then_some(text)
}

/// Two groups, neither of which is above the other, that name different clusters for a host.
fn claimed_twice(inventory: &Inventory, host: HostId, found: &[Definition]) -> Option<Diag> {
    let at = found.iter().rposition(|definition| definition.wins)?;
    let (one, group) = (&found[at], inventory.group_id(&found[at].owner)?);
    // whoever says it for the host itself has decided
    if inventory.host_id(&one.owner) == Some(host) {
        return None;
    }
    let cluster = plain(&one.value)?;
    let (other, theirs) = found[..at].iter().rev().find_map(|definition| {
        let there = inventory.group_id(&definition.owner)?;
        let related = above(inventory, there, group) || above(inventory, group, there);
        // a priority is a decision, too
        let decided = inventory.group(there).priority() != inventory.group(group).priority();
        let theirs = plain(&definition.value)?;
        (there != group && !related && !decided && theirs != cluster).then_some((definition, theirs))
    })?;
    let name = inventory.host_name(host);
    Some(
        Diag::error(
            "E0305",
            format!(
                "two clusters claim host {name}: \"{theirs}\" (group {}) and \"{cluster}\" (group {})",
                other.owner, one.owner
            ),
        )
        .at(one.span)
        .label("this one would count, for its group comes later by name")
        .note(format!("group {} says otherwise at {}", other.owner, other.span))
        .help("take the host out of one of the groups"),
    )
}

/// Whether a group is above another.
fn above(inventory: &Inventory, upper: GroupId, lower: GroupId) -> bool {
    let mut waiting = vec![lower];
    while let Some(group) = waiting.pop() {
        if group == upper {
            return true;
        }
        waiting.extend(inventory.group(group).parents());
    }
    false
}
