//! Commands about pods: whose members they take away, wherever they are run.
//!
//! In: what a command does to pods, and the inventory. Out: the hosts whose members are these pods.
//!
//! **Invariant:** several members of a cluster at once are refused, whatever its size: that nobody else goes meanwhile
//! is not Kubernetes' promise. Where only Kubernetes knows which pods are meant (those on a node), each that could be
//! must be one that the cluster can do without.

use super::cluster::{Ground, text};
use super::recognise::{Kind, Subject, Which};
use super::shell::Deed;
use super::{Case, Guard, Refusal, step};
use crate::report::Event;

/// What a command does to members that are pods.
pub(super) struct Concerned {
    pub(super) deed: Deed,
    /// At least one; all of one cluster.
    pub(super) hosts: Vec<String>,
    /// Any of them may be meant, and nobody here knows which.
    perhaps: bool,
}

/// The members that are meant, if any. Asks the inventory only.
pub(super) fn concerned(ground: &Ground, deeds: &[Deed]) -> Option<Concerned> {
    let about: Vec<(&Deed, &super::shell::Pods)> = deeds
        .iter()
        .filter_map(|deed| match &deed.subject {
            Subject::Pods(pods) => Some((deed, pods)),
            _ => None,
        })
        .collect();
    if about.is_empty() {
        return None;
    }
    let inventory = ground.run.shared.inventory();
    let mut found: Option<(Concerned, String)> = None;
    for id in inventory.hosts() {
        let host = inventory.host_name(id).to_string();
        let scope = ground.scope(&host);
        if text(&scope, "etcd_runtime").as_deref() != Some("statefulset") {
            continue;
        }
        let Some(cluster) = text(&scope, "etcd_cluster").filter(|name| !name.is_empty()) else { continue };
        let named = |name: &str| text(&scope, name).filter(|value| !value.is_empty());
        let pod = named("ansible_kubectl_pod").unwrap_or_else(|| host.clone());
        let namespace = named("ansible_kubectl_namespace");
        let Some((deed, pods)) = about.iter().find(|(_, pods)| pods.include(&pod, namespace.as_deref()))
        else {
            continue;
        };
        let perhaps = matches!(pods.which, Which::Some(_));
        match &mut found {
            None => {
                found = Some((Concerned { deed: (*deed).clone(), hosts: vec![host], perhaps }, cluster));
            }
            Some((all, of)) if *of == cluster => {
                all.hosts.push(host);
                all.perhaps &= perhaps;
                if deed.kind == Kind::Stop {
                    all.deed = (*deed).clone();
                }
            }
            Some(_) => {}
        }
    }
    found.map(|(all, _)| all)
}

/// Several hosts: refused, or, where one of them is meant and nobody knows which, whether any of them may go. The
/// question that is left is about the last that was asked about.
pub(super) async fn each(guard: &Guard, case: &mut Case<'_>, pod: &Concerned) -> Result<(), Refusal> {
    if pod.perhaps {
        for host in &pod.hosts {
            case.host.clone_from(host);
            case.step = step(&pod.deed, host);
            guard.decide(case).await?;
        }
        return Ok(());
    }
    let members = pod.hosts.join(", ");
    let message =
        format!("this takes {} members of {} away at once: {members}", pod.hosts.len(), case.cluster.name());
    let way_out = match pod.deed.kind {
        Kind::Restart => {
            "one pod after another, each when the one before it serves again: playbooks/etcd-restart.yml"
        }
        _ => "to end the cluster on purpose: --override-guard=quorum",
    };
    if case.cluster.policy.override_quorum {
        case.call.run.tell(Event::Warning(format!("GUARD OVERRIDDEN [G0121]: {message}")));
        return Ok(());
    }
    let text = format!("refused[G0121]: {message}\n  {way_out}\n  nothing was changed");
    Err(Refusal { text, message, code: "G0121".into(), facts: vec![way_out.to_owned()] })
}
