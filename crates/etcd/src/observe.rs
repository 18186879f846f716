//! Asking a whole cluster at once.
//!
//! In: a [`ClusterSpec`] (the inventory's wish) and an [`Access`]. Out: an [`Observation`].
//!
//! Every client URL of the inventory and of the member list is asked, each by a client of its own, all in
//! parallel: MemberList, Status and a linearizable read. Where gRPC is mute, the peer port is asked. A member that
//! keeps us waiting does not make the others' answers old: those are asked again before the result is dated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::client::{Access, MemberClient};
use crate::endpoint::Endpoint;
use crate::error::EtcdError;
use crate::id::MemberId;
use crate::observation::{Answers, Observation, Probe};
use crate::peer_http::{self, PeerMembers};

/// One host of the inventory, as far as its etcd goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecMember {
    /// The inventory's name for the host.
    pub host: String,
    /// The member's name, where it is known.
    pub name: Option<String>,
    /// Where clients reach it.
    pub client: Endpoint,
    /// Where the other members reach it.
    pub peer: Endpoint,
}

/// A cluster as the inventory wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Its name, for people.
    pub name: String,
    /// Its hosts.
    pub members: Vec<SpecMember>,
}

/// Answers older than this when the slowest one is in are asked for again.
const FRESH: Duration = Duration::from_millis(800);

/// Looks at a cluster. Never fails: what cannot be seen is part of what is seen.
pub async fn observe(spec: &ClusterSpec, access: &Access) -> Observation {
    let mut started = Instant::now();
    let asked = spec.members.iter().map(|member| ask_endpoint(&member.client, Some(&member.peer), access));
    let mut asked: Vec<Asked> = join_all(asked).await;
    let probes = |asked: &[Asked]| asked.iter().map(|asked| asked.probe.clone()).collect::<Vec<_>>();

    // Members the inventory does not name, and members whose URL there is not the one they advertise.
    let first = Observation::assemble(spec, &probes(&asked), &BTreeMap::new(), started);
    let elsewhere = first.members.iter().filter(|member| member.via.is_none()).filter_map(|member| {
        let known = spec.members.iter().find(|host| Some(&host.host) == member.host.as_ref());
        let urls = member.client_urls.iter().filter_map(|url| url.parse::<Endpoint>().ok());
        let url = urls.into_iter().find(|url| known.is_none_or(|host| host.client != *url))?;
        let peer = member.peer_urls.first().and_then(|url| url.parse::<Endpoint>().ok());
        Some((member.id?, url, peer))
    });
    let elsewhere: Vec<(MemberId, Endpoint, Option<Endpoint>)> = elsewhere.collect();
    let extra = elsewhere.iter().map(|(_, url, peer)| ask_endpoint(url, peer.as_ref(), access));
    let mut extra: Vec<(MemberId, Asked)> =
        elsewhere.iter().map(|(id, ..)| *id).zip(join_all(extra).await).collect();

    if started.elapsed() > FRESH {
        started = Instant::now();
        let again = asked.iter_mut().chain(extra.iter_mut().map(|(_, asked)| asked)).map(Asked::again);
        join_all(again).await;
    }
    let extra = extra.into_iter().map(|(id, asked)| (id, asked.probe)).collect();
    Observation::assemble(spec, &probes(&asked), &extra, started)
}

/// A probe, and the connection it came over.
struct Asked {
    client: Option<MemberClient>,
    probe: Probe,
    quick: bool,
}

impl Asked {
    /// Asks again whoever answered quickly the first time; the slow ones have shown what they are.
    async fn again(&mut self) {
        if let (Some(client), true) = (&self.client, self.quick) {
            self.probe.grpc = Box::pin(ask(client)).await;
        }
    }
}

async fn ask_endpoint(client: &Endpoint, peer: Option<&Endpoint>, access: &Access) -> Asked {
    let started = Instant::now();
    let (client, grpc) = match MemberClient::connect(client, access).await {
        Err(error) => (None, Err(error)),
        Ok(client) => {
            let answers = Box::pin(ask(&client)).await;
            (Some(client), answers)
        }
    };
    let quick = started.elapsed() <= FRESH;
    let peer = match (&grpc, peer) {
        (Err(_), Some(peer)) => ask_peer(peer, access).await,
        _ => None,
    };
    Asked { client, probe: Probe { grpc, peer }, quick }
}

async fn ask(client: &MemberClient) -> Result<Answers, EtcdError> {
    let (status, list, read) =
        tokio::join!(client.status(), client.member_list(), client.linearizable_read());
    match (&status, &list, &read) {
        // Connected, and nothing came: frozen, or stuck before it serves.
        (Err(EtcdError::Unknown { .. }), Err(EtcdError::Unknown { .. }), Err(EtcdError::Unknown { .. })) => {
            let address = client.endpoint().address().clone();
            Err(EtcdError::Silent { address, after: client.deadlines().status })
        }
        // With TLS 1.3 a member refuses our certificate only now.
        (Err(error @ (EtcdError::Tls { .. } | EtcdError::Refused { .. })), Err(_), Err(_)) => {
            Err(error.clone())
        }
        _ => Ok(Answers {
            via: client.vantage().to_owned(),
            status,
            list: list.map(|list| (list.responder, list.members)),
            read: read.map(|_responder| ()),
        }),
    }
}

async fn ask_peer(peer: &Endpoint, access: &Access) -> Option<PeerMembers> {
    peer_http::members(peer, access).await.ok()
}
