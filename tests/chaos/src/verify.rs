//! Is the cluster what it should be, and is everything there that was acknowledged?

use crate::client::{History, Reach};
use quorate_etcd::MemberClient;
use quorate_etcd::kv::Read;
use std::collections::HashSet;
use std::time::Duration;

/// Members are hosts; they are compared only where some are given.
pub(crate) async fn verify(
    reach: &Reach,
    prefix: &str,
    log: &str,
    members: &[&str],
) -> Result<String, String> {
    let history = History::of(log);
    let mut wrong: Vec<String> = history.stale.iter().map(|line| format!("a stale read: {line}")).collect();
    let mut asked = 0;
    for endpoint in &reach.endpoints {
        let host = endpoint.address().host.clone();
        if !members.is_empty() && !members.contains(&host.as_str()) {
            continue;
        }
        let seen = async {
            let client = MemberClient::connect(endpoint, &reach.access(Duration::from_secs(8))).await?;
            // a linearizable read first: what this member has afterwards is not older
            client.linearizable_read().await?;
            let list = client.member_list().await?;
            let keys = client.get_prefix(format!("{prefix}/").as_bytes(), Read::Serializable).await?;
            Ok::<_, quorate_etcd::EtcdError>((list, keys))
        };
        let (list, keys) = match seen.await {
            Ok(seen) => seen,
            Err(error) => {
                wrong.push(format!("{host}: {error}"));
                continue;
            }
        };
        asked += 1;
        if !members.is_empty() {
            let mut listed: Vec<String> = list
                .members
                .iter()
                .map(|member| {
                    let at = member.peer_urls.first().map(String::as_str).unwrap_or_default();
                    let at =
                        at.rsplit('/').next().and_then(|at| at.rsplit_once(':')).map_or(at, |(host, _)| host);
                    let state = if member.name.is_empty() { " unstarted" } else { "" };
                    format!("{at}{state}{}", if member.learner { " learner" } else { "" })
                })
                .collect();
            listed.sort();
            let mut wanted: Vec<&str> = members.to_vec();
            wanted.sort_unstable();
            if listed != wanted {
                wrong.push(format!("{host} lists {}, not {}", listed.join(", "), wanted.join(", ")));
            }
        }
        let there: HashSet<String> =
            keys.iter().map(|pair| String::from_utf8_lossy(&pair.key).into_owned()).collect();
        let lost = history.lost(prefix, &there);
        if !lost.is_empty() {
            wrong.push(format!(
                "{host} has lost {} acknowledged writes: {:?}…",
                lost.len(),
                &lost[..lost.len().min(5)]
            ));
        }
    }
    if history.acknowledged.len() < 3 || history.reads == 0 {
        let (writes, reads) = (history.acknowledged.len(), history.reads);
        wrong.push(format!("the client did too little to tell: {writes} writes, {reads} reads"));
    }
    if asked == 0 {
        wrong.push("nobody answers".into());
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    Ok(format!(
        "writes: {}, reads: {}, retried: {}, lost: 0, stale: 0, longest: {} ms",
        history.acknowledged.len(),
        history.reads,
        history.retried,
        history.longest
    ))
}
