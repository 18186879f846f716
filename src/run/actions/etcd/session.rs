//! A module's cluster: found, reached, looked at; and clients of its members.
//!
//! In: checked arguments. Out: a [`Session`].
//!
//! Not here: what is asked of members (one file a family).

use super::{endpoint, ground};
use crate::report::Event;
use crate::run::actions::ActionCall;
use crate::run::guard::Refusal;
use crate::run::guard::cluster::{Cluster, Ground, Pki, pki as inventory_pki, policy};
use crate::run::guard::lease::endpoints;
use crate::run::guard::reach::{Reach, identity};
use crate::run::task::Failure;
use quorate_agent::args::Args;
use quorate_etcd::observe::{ClusterSpec, SpecMember};
use quorate_etcd::{
    Access, Condition, Endpoint, EtcdError, Login, MemberClient, MemberId, Observation, Role, SeenMember,
    Target,
};
use quorate_value::{Value, str_of};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(300);

pub(super) struct Session<'a> {
    pub(super) call: &'a ActionCall<'a>,
    pub(super) args: Args,
    pub(super) cluster: Cluster,
    pub(super) reach: Reach,
}

impl<'a> Session<'a> {
    /// Checks the arguments and finds the cluster.
    pub(super) async fn open(call: &'a ActionCall<'a>) -> Result<Session<'a>, Failure> {
        let args = super::checked(call)?;
        let ground = ground(call);
        let key = if args.has("client_key") || call.module == "etcd_key" { "client_key" } else { "key" };
        let (ca, cert, key) = (file(&args, "ca"), file(&args, "cert"), file(&args, key));
        let found = found(&ground, call, &args)?;
        let base = found.as_ref().map_or_else(|| inventory_pki(call.scope), |cluster| cluster.pki.clone());
        let given = |file: Option<PathBuf>, of: fn(Pki) -> PathBuf| file.unwrap_or_else(|| of(base.clone()));
        let pki = Pki {
            ca: given(ca, |pki| pki.ca),
            cert: given(cert, |pki| pki.cert),
            key: given(key, |pki| pki.key),
        };
        let login = args.nonempty("login_user").map(|user| {
            Login::new(user, Zeroizing::new(args.str("login_password").unwrap_or_default().to_owned()))
        });
        let mut cluster = match found {
            Some(cluster) => cluster,
            None => {
                let urls = args.strings("endpoints");
                if urls.is_empty() {
                    return Err(Failure::action(format!(
                        "{} belongs to no etcd cluster: it has no `etcd_cluster`. Name one with `cluster`, \
                         `members` or `endpoints`",
                        call.host
                    )));
                }
                let mut access = Access::direct(identity(&pki).0);
                access.login.clone_from(&login);
                let name = args.str("cluster").unwrap_or("etcd").to_owned();
                Cluster {
                    data: Vec::new(),
                    spec: discover(name, &urls, &access).await?,
                    units: Vec::new(),
                    policy: policy(&ground, call.scope),
                    pki: pki.clone(),
                }
            }
        };
        cluster.pki = pki;
        let mut reach = Reach::new(&ground, &cluster, None);
        reach.access.login = login;
        Ok(Session { call, args, cluster, reach })
    }

    pub(super) async fn look(&mut self) -> Observation {
        let seen = self.reach.look().await;
        self.call.run.saw(self.cluster.name(), &seen, self.cluster.policy.max_lag);
        seen
    }

    /// The member that `host`, `id`, `name` or `peer` mean; by default the one of the task's host.
    pub(super) fn named(&self) -> Named {
        let args = &self.args;
        if let Some(id) = args.nonempty("id") {
            return Named::Id(id.trim_start_matches("0x").trim_start_matches('0').to_ascii_lowercase());
        }
        if let Some(peer) = args.nonempty("peer").filter(|_| args.text("state") != "updated") {
            return Named::Peer(peer.to_owned());
        }
        if let Some(name) = args.nonempty("name").filter(|_| self.call.module == "etcd_member") {
            return Named::Name(name.to_owned());
        }
        Named::Host(args.nonempty("host").unwrap_or(self.call.host).to_owned())
    }

    /// The inventory's line of a host.
    pub(super) fn wish(&self, host: &str) -> Result<&SpecMember, Failure> {
        self.cluster.spec.members.iter().find(|member| member.host == host).ok_or_else(|| {
            Failure::action(format!(
                "{host} is no host of cluster \"{}\" in the inventory",
                self.cluster.name()
            ))
        })
    }

    /// Where clients reach a member.
    pub(super) fn url(&self, member: &SeenMember) -> Option<Endpoint> {
        let known = self.reach.spec.members.iter().find(|spec| Some(&spec.host) == member.host.as_ref());
        known
            .map(|spec| spec.client.clone())
            .or_else(|| member.client_urls.iter().find_map(|url| url.parse().ok()))
    }

    /// A client of this member.
    pub(super) async fn client(&self, member: &SeenMember) -> Result<MemberClient, Failure> {
        let url = self.url(member).ok_or_else(|| {
            Failure::action(format!("{} has never started: nobody can ask it", member.label()))
        })?;
        MemberClient::connect(&url, &self.reach.access).await.map_err(told)
    }

    /// A client of a healthy voter: the leader, unless it is to be avoided.
    pub(super) async fn voter(
        &self,
        seen: &Observation,
        avoid: Option<MemberId>,
    ) -> Result<MemberClient, Failure> {
        let mut voters: Vec<&SeenMember> = seen
            .voters()
            .filter(|voter| voter.condition == Condition::Healthy && (avoid.is_none() || voter.id != avoid))
            .collect();
        voters.sort_by_key(|voter| (voter.id != seen.leader, voter.lag.unwrap_or(u64::MAX)));
        let Some(voter) = voters.first() else { return Err(self.without_quorum(seen)) };
        self.client(voter).await
    }

    /// A client of any voter that serves.
    pub(super) async fn any(&mut self) -> Result<(MemberClient, Observation), Failure> {
        let began = Instant::now();
        loop {
            let seen = self.look().await;
            match self.voter(&seen, None).await {
                Ok(client) => return Ok((client, seen)),
                Err(failure) if began.elapsed() >= Duration::from_secs(10) || self.call.check => {
                    return Err(failure);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    pub(super) fn without_quorum(&self, seen: &Observation) -> Failure {
        let line = seen.members_line(Instant::now());
        let trouble = self.reach.trouble.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
        Failure::action(format!(
            "cluster \"{}\" has no quorum that answers{trouble}: {line}",
            self.cluster.name()
        ))
    }

    /// Hands leadership to the follower that is furthest ahead. Gives who leads then.
    pub(super) async fn move_leader(
        &mut self,
        to: Option<MemberId>,
        away_from: &[MemberId],
    ) -> Result<String, Failure> {
        let began = Instant::now();
        loop {
            let seen = self.look().await;
            let leader = seen.voters().find(|voter| voter.id.is_some() && voter.id == seen.leader);
            let fits = |id: Option<MemberId>| {
                id.is_some_and(|id| to.map_or(!away_from.contains(&id), |to| to == id))
            };
            let known = seen.leader_known_by >= quorate_etcd::quorum(seen.voters().count());
            if let Some(leader) = leader.filter(|leader| known && fits(leader.id)) {
                return Ok(leader.label());
            }
            let why = match leader {
                None => "no leader is known".to_owned(),
                Some(leader) => {
                    let heirs = seen.voters().filter(|voter| {
                        voter.condition == Condition::Healthy && voter.id != leader.id && fits(voter.id)
                    });
                    let heir = heirs.min_by_key(|voter| voter.lag.unwrap_or(u64::MAX));
                    match heir.and_then(|heir| heir.id) {
                        None => {
                            return Err(Failure::action("no healthy voter could take the leadership over"));
                        }
                        Some(heir) => {
                            let moved =
                                async { self.client(leader).await?.move_leader(heir).await.map_err(told) };
                            match moved.await {
                                Ok(()) => "the new leader is not known to a quorum yet".to_owned(),
                                Err(failure) => message(&failure),
                            }
                        }
                    }
                }
            };
            if began.elapsed() >= Duration::from_secs(15) || self.call.run.is_interrupted() {
                return Err(Failure::action(format!("the leadership did not move: {why}")));
            }
            tokio::time::sleep(PAUSE / 2).await;
        }
    }

    /// Waits until what is seen is as it should be.
    pub(super) async fn until(
        &mut self,
        patience: Duration,
        mut lacks: impl FnMut(&Observation) -> Option<String>,
    ) -> Result<Observation, String> {
        let began = Instant::now();
        let mut next = Duration::from_secs(5);
        loop {
            let seen = self.look().await;
            let Some(why) = lacks(&seen) else { return Ok(seen) };
            let elapsed = began.elapsed();
            if elapsed >= patience || self.call.run.is_interrupted() {
                return Err(why);
            }
            if elapsed >= next {
                next = elapsed + Duration::from_secs(5);
                self.tell(format!("{}: waiting for etcd, {} s: {why}", self.call.host, elapsed.as_secs()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) fn tell(&self, text: String) {
        self.call.run.tell(Event::Verbose(1, text));
    }

    /// The cluster's lock key endpoints.
    pub(super) fn endpoints(&self, seen: &Observation) -> Vec<Endpoint> {
        endpoints(&self.reach.spec, seen)
    }

    /// A refusal as this task's failure.
    pub(super) fn refused(&self, refusal: Refusal) -> Failure {
        self.call.run.tell(Event::Refused { text: refusal.text.clone() });
        refusal.into_failure()
    }
}

/// Whom a task is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Id(String),
    Peer(String),
    Name(String),
    Host(String),
}

impl Named {
    /// The entry of the member list.
    pub(super) fn find<'s>(&self, seen: &'s Observation) -> Option<&'s SeenMember> {
        seen.members.iter().filter(|member| member.role != Role::Unlisted).find(|member| match self {
            Named::Id(id) => member.id.is_some_and(|own| own.to_string().trim_start_matches('0') == id),
            Named::Peer(peer) => {
                member.peer_urls.iter().any(|url| quorate_etcd::endpoint::same_place(url, peer))
            }
            Named::Name(name) => member.name == *name,
            Named::Host(host) => member.host.as_deref() == Some(host),
        })
    }

    /// For the guard.
    pub(super) fn target(member: &SeenMember) -> Target {
        match (member.id, &member.host) {
            (Some(id), _) => Target::Id(id),
            (None, host) => Target::host(host.clone().unwrap_or_default()),
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Named::Id(text) | Named::Peer(text) | Named::Name(text) | Named::Host(text) => f.write_str(text),
        }
    }
}

/// An answer of etcd as a failure.
pub(super) fn told(error: EtcdError) -> Failure {
    Failure::action(error.to_string())
}

pub(super) fn message(failure: &Failure) -> String {
    failure.result.get("msg").map(str_of).unwrap_or_default()
}

fn file(args: &Args, name: &str) -> Option<PathBuf> {
    args.nonempty(name).map(|text| match text.strip_prefix("~/") {
        Some(rest) => crate::home().join(rest),
        None => PathBuf::from(text),
    })
}

/// The cluster, where `members` or the inventory tell it.
fn found(ground: &Ground, call: &ActionCall<'_>, args: &Args) -> Result<Option<Cluster>, Failure> {
    if let Some(given) = args.dict("members") {
        let spec = ClusterSpec {
            name: args
                .nonempty("cluster")
                .map(str::to_owned)
                .or_else(|| crate::run::guard::cluster::text(call.scope, "etcd_cluster"))
                .unwrap_or_else(|| "etcd".into()),
            members: listed(given)?,
        };
        return Ok(Some(Cluster {
            data: Vec::new(),
            spec,
            units: Vec::new(),
            policy: policy(ground, &ground.scope(call.host)),
            pki: inventory_pki(call.scope),
        }));
    }
    if args.has("endpoints") {
        return Ok(None);
    }
    if let Some(name) = args.nonempty("cluster") {
        let inventory = call.run.shared.inventory();
        let hosts: Vec<String> = inventory.hosts().map(|id| inventory.host_name(id).to_string()).collect();
        drop(inventory);
        let of = |host: &String| Cluster::of(ground, host).filter(|cluster| cluster.name() == name);
        return match hosts.iter().find_map(of) {
            Some(cluster) => Ok(Some(cluster)),
            None => Err(Failure::action(format!("no host of the inventory has etcd_cluster: {name}"))),
        };
    }
    Ok(Cluster::of(ground, call.host))
}

fn listed(given: &quorate_value::Dict) -> Result<Vec<SpecMember>, Failure> {
    let mut members = Vec::with_capacity(given.len());
    for (host, entry) in given.iter() {
        let host = host.json_text().into_owned();
        let part = |name: &str| {
            let value = match entry {
                Value::Dict(parts) => parts.get(name).filter(|value| !value.is_null()).map(str_of),
                _ => None,
            };
            value.ok_or_else(|| Failure::action(format!("members: {host} has no `{name}`")))
        };
        members.push(SpecMember {
            client: endpoint(&format!("members: {host}: endpoint"), &part("endpoint")?)?,
            peer: endpoint(&format!("members: {host}: peer"), &part("peer")?)?,
            name: part("name").ok().filter(|name| !name.is_empty()),
            host,
        });
    }
    Ok(members)
}

/// Asks the given members for all of them.
async fn discover(name: String, urls: &[String], access: &Access) -> Result<ClusterSpec, Failure> {
    let mut why = String::new();
    for text in urls {
        let url = endpoint("endpoints", text)?;
        let list = async { MemberClient::connect(&url, access).await?.member_list().await };
        let list = match list.await {
            Ok(list) => list,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        let mut members = Vec::new();
        for member in list.members {
            let client = member.client_urls.iter().find_map(|url| url.parse().ok());
            let peer = member.peer_urls.iter().find_map(|url| url.parse().ok());
            if let (Some(client), Some(peer)) = (client, peer) {
                members.push(SpecMember { host: member.name.clone(), name: Some(member.name), client, peer });
            }
        }
        return Ok(ClusterSpec { name, members });
    }
    Err(Failure::action(format!("none of the endpoints tells its members: {why}")))
}
