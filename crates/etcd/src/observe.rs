//! Asking a whole cluster at once.
//!
//! In: a [`ClusterSpec`] (the inventory's wish) and an [`Access`]. Out: an [`Observation`].
//!
//! Every client URL of the inventory and of the member list is asked, each by a client of its own, all in
//! parallel: MemberList, Status and a linearizable read. Where gRPC is mute, the peer port is asked. A member that
//! keeps us waiting does not make the others' answers old: those are asked again before the result is dated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::{Either, join_all, select};
use serde::{Deserialize, Serialize};

use crate::client::{Access, MemberClient};
use crate::endpoint::{Endpoint, Scheme};
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
    let grpc = Box::pin(async {
        match MemberClient::connect(client, access).await {
            Err(error) => (None, Err(error)),
            Ok(client) => {
                let answers = Box::pin(ask(&client)).await;
                (Some(client), answers)
            }
        }
    });
    // Whoever is slow over gRPC is asked on the peer port meanwhile.
    let late = Box::pin(async {
        tokio::time::sleep(FRESH).await;
        ask_peer(peer, access).await
    });
    let ((client, grpc), peer) = match select(grpc, late).await {
        Either::Left((answered @ (_, Ok(_)), _late)) => (answered, None),
        Either::Left((failed, _late)) if started.elapsed() < FRESH => (failed, ask_peer(peer, access).await),
        Either::Left((failed, late)) => (failed, late.await),
        Either::Right((peer, grpc)) => (grpc.await, peer),
    };
    let peer = peer.filter(|_| grpc.is_err());
    Asked { client, probe: Probe { grpc, peer }, quick: started.elapsed() <= FRESH }
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
        // With TLS 1.3 a member refuses our certificate only now. Which of the three hears it is chance.
        (Err(a), Err(b), Err(c)) if ![a, b, c].into_iter().any(|error| error.answer().is_some()) => {
            let told = [a, b, c].into_iter().find(|error| matches!(error, EtcdError::Tls { .. }));
            Err(match (told.unwrap_or(a), client.endpoint().scheme()) {
                (EtcdError::Broken { address, why, .. }, Scheme::Https) => EtcdError::Tls {
                    address: address.clone(),
                    why: format!("{why} right after the handshake: it seems to refuse our certificate"),
                },
                (other, _) => other.clone(),
            })
        }
        _ => Ok(Answers {
            via: client.vantage().to_owned(),
            status,
            list: list.map(|list| (list.responder, list.members)),
            read: read.map(|_responder| ()),
        }),
    }
}

async fn ask_peer(peer: Option<&Endpoint>, access: &Access) -> Option<PeerMembers> {
    peer_http::members(peer?, access).await.ok()
}
