//! Everything that only real members can prove: what they answer when they live, die, freeze, join and lose quorum.
//!
//! Needs `/usr/bin/etcd`; says so and passes where there is none.

#![expect(clippy::unwrap_used, reason = "a test")]

mod harness;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use harness::{Cluster, Pki, etcd_is_here};
use quorate_etcd::error::Answer;
use quorate_etcd::kv::{Compare, CompareOp, Read, Txn, TxnOp};
use quorate_etcd::lock::{Lock, LockError};
use quorate_etcd::observation::Alarm;
use quorate_etcd::ops::{Done, Enter};
use quorate_etcd::rbac::{Auth, Permission};
use quorate_etcd::{
    Access, Address, BoxStream, Claims, ClientIdentity, Condition, Dialer, DirectDialer, EtcdError, Expected,
    LocalDir, Login, MemberClient, Policy, Role, StartMode, Step, Target, Timing, View, decide, may, observe,
    peer_http, snapshot, wait_settled,
};
use rustix::process::Signal;
use zeroize::Zeroizing;

const QUICK: Timing =
    Timing { poll: Duration::from_millis(200), deadline: Duration::from_secs(20), settle: Duration::ZERO };

fn on(cluster: &Cluster, at: usize) -> Target {
    Target::host(cluster.nodes[at].name.clone())
}

/// Asks the guard now; the code of the refusal, or `yes`.
async fn ask(cluster: &Cluster, step: Step) -> String {
    let seen = cluster.see().await;
    match may(&step, &seen, &Claims::default(), &Policy::default(), Instant::now()) {
        Ok(_) => "yes".to_owned(),
        Err(refusal) => refusal.code().to_owned(),
    }
}

async fn connect(cluster: &Cluster, at: usize) -> MemberClient {
    MemberClient::connect(&cluster.nodes[at].client, &cluster.access()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_live_die_and_freeze() {
    if !etcd_is_here("three_members_live_die_and_freeze") {
        return;
    }
    let mut cluster = Cluster::start(1, 3, false).await;
    let seen = cluster.see().await;
    assert_eq!(seen.view, View::Agreed { by: 3, of: 3 });
    assert_eq!(seen.cluster_ids.len(), 1);
    assert!(seen.members.iter().all(|member| member.name == *member.host.as_ref().unwrap()));
    let leader = seen.leader.unwrap();
    let leads = |at: usize| seen.members[at].id == Some(leader);
    let followers: Vec<usize> = (0..3).filter(|at| !leads(*at)).collect();
    let (killed, other) = (followers[0], followers[1]);
    assert_eq!(ask(&cluster, Step::Restart(on(&cluster, killed))).await, "yes");

    // One dies: it may be mended, nobody else may go.
    let id = seen.members[killed].id;
    cluster.nodes[killed].kill();
    let seen =
        cluster.until("the dead one is down", |seen| seen.members[killed].condition == Condition::Down).await;
    assert_eq!(seen.view, View::Agreed { by: 2, of: 3 });
    assert_eq!(ask(&cluster, Step::Stop(on(&cluster, other))).await, "G0102");
    assert_eq!(ask(&cluster, Step::Restart(on(&cluster, killed))).await, "yes");
    assert_eq!(ask(&cluster, Step::Purge { hosts: vec![cluster.nodes[other].name.clone()] }).await, "G0102");

    // It comes back as the same voter.
    cluster.respawn(killed);
    let expected = Expected::voter(on(&cluster, killed), id);
    let mut heard = Vec::new();
    let back = wait_settled(&cluster.spec(), &cluster.access(), &expected, QUICK, |_, missing| {
        heard.push(missing.map(ToString::to_string));
    })
    .await;
    assert!(back.is_ok(), "{back:?} after {heard:?}");
    assert!(heard.len() >= 3 && heard.last() == Some(&None), "{heard:?}");

    // One freezes: its port still takes connections. The facts about the others are fresh all the same.
    cluster.nodes[killed].signal(Signal::STOP);
    let seen = cluster.see().await;
    assert_eq!(seen.members[killed].condition, Condition::Silent);
    assert!(seen.taken.elapsed() < Duration::from_millis(800), "{:?} old", seen.taken.elapsed());
    assert_eq!(ask(&cluster, Step::Stop(on(&cluster, other))).await, "G0102");
    cluster.nodes[killed].signal(Signal::CONT);
    cluster
        .until("the frozen one is healthy again", |seen| {
            seen.members[killed].condition == Condition::Healthy && seen.leader_known_by == 3
        })
        .await;

    // Two die: the survivor answers, does not serve, and still gives a snapshot.
    let seen = cluster.see().await;
    let survivor = (0..3).find(|at| seen.members[*at].id == seen.leader).unwrap();
    let dead: Vec<usize> = (0..3).filter(|at| *at != survivor).collect();
    for at in &dead {
        cluster.nodes[*at].kill();
    }
    let lost = cluster
        .until("the survivor has no leader", |seen| {
            seen.leader.is_none() && matches!(seen.members[survivor].condition, Condition::NotServing(_))
        })
        .await;
    assert_eq!(lost.view, View::Partial { by: 1, of: 3 });
    assert_eq!(ask(&cluster, Step::Restart(on(&cluster, survivor))).await, "G0104");
    assert_eq!(ask(&cluster, Step::Restart(on(&cluster, dead[0]))).await, "yes");
    let client = connect(&cluster, survivor).await;
    let mut saved = Vec::new();
    let info = snapshot::save(&client, &mut saved, |_| {}).await.unwrap();
    assert_eq!(info.bytes, saved.len() as u64);
    // Membership cannot be changed now, and nobody claims to know what became of it.
    let slow = client.member_remove(lost.members[dead[0]].id.unwrap()).await.unwrap_err();
    assert!(slow.outcome_unknown(), "{slow:?}");

    // All die, one starts: mute to clients, the peer port still knows the members.
    cluster.nodes[survivor].kill();
    cluster.respawn(survivor);
    let waiting = cluster
        .until("it waits for the others", |seen| seen.members[survivor].condition == Condition::Joining)
        .await;
    assert_eq!((waiting.view, waiting.voters().count()), (View::Partial { by: 0, of: 3 }, 3));
    assert_eq!(ask(&cluster, Step::Restart(on(&cluster, survivor))).await, "yes");
    for at in dead {
        cluster.respawn(at);
    }
    cluster.until("all are back", |seen| seen.tally(1000).healthy == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_grows_to_three_over_tls_and_back() {
    if !etcd_is_here("one_member_grows_to_three_over_tls_and_back") {
        return;
    }
    let mut cluster = Cluster::plan(2, 3, true);
    let alone = cluster.initial_cluster(1);
    cluster.spawn(0, "new", &alone);
    let seen = cluster.until("the first serves", |seen| seen.commits()).await;
    assert_eq!(seen.members[1].role, Role::Unlisted);
    assert_eq!(ask(&cluster, Step::Restart(on(&cluster, 0))).await, "G0110");
    assert_eq!(ask(&cluster, Step::AddVoter { peer: cluster.nodes[1].peer.clone() }).await, "G0111");

    let first = connect(&cluster, 0).await;
    for at in [1, 2] {
        let me = LocalDir {
            name: cluster.nodes[at].name.clone(),
            peer: cluster.nodes[at].peer.clone(),
            initialised: cluster.nodes[at].initialised(),
            founded: None,
        };
        assert_eq!(decide(&cluster.see().await, &me), StartMode::AddLearner);
        assert_eq!(ask(&cluster, Step::AddLearner { peer: me.peer.clone() }).await, "yes");
        let added =
            first.member_add_patiently(&me.peer, Enter::AsLearner, Duration::from_secs(15)).await.unwrap();
        assert_eq!(added.members.len(), at + 1);
        // A second run finds it announced, and goes on from there.
        let again = first.member_add(&me.peer, Enter::AsLearner).await.unwrap_err();
        assert!(
            [Answer::MemberExists, Answer::PeerUrlExists, Answer::TooManyLearners]
                .contains(again.answer().unwrap()),
            "{again:?}"
        );
        let seen = cluster.see().await;
        assert_eq!(
            (seen.members[at].role, &seen.members[at].condition),
            (Role::Learner, &Condition::Unstarted)
        );
        let early = first.member_promote(added.id).await.unwrap_err();
        assert_eq!(early.answer(), Some(&Answer::LearnerNotInSync));
        assert_eq!(ask(&cluster, Step::Promote(on(&cluster, at))).await, "G0112");
        let StartMode::Existing { id, initial_cluster } = decide(&seen, &me) else {
            panic!("{:?}", decide(&seen, &me));
        };
        assert_eq!(id, added.id);
        cluster.spawn(at, "existing", &initial_cluster);
        let learner = Expected::learner(on(&cluster, at), Some(id));
        wait_settled(&cluster.spec(), &cluster.access(), &learner, QUICK, |_, _| {}).await.unwrap();

        assert_eq!(ask(&cluster, Step::Promote(on(&cluster, at))).await, "yes");
        let promoted = first.member_promote_patiently(id, Duration::from_secs(5)).await;
        assert_eq!(promoted.unwrap(), Done::Now);
        let promoted = first.member_promote_patiently(id, Duration::from_secs(5)).await;
        assert_eq!(promoted.unwrap(), Done::Already);
        let voter = Expected::voter(on(&cluster, at), Some(id));
        wait_settled(&cluster.spec(), &cluster.access(), &voter, QUICK, |_, _| {}).await.unwrap();
    }

    // The peer ports over TLS.
    let access = cluster.access();
    let version = peer_http::version(&cluster.nodes[2].peer, &access).await.unwrap();
    let seen = cluster.see().await;
    assert_eq!(Some(&version.server), seen.members[2].status.as_ref().map(|status| &status.version));
    let peers = peer_http::members(&cluster.nodes[2].peer, &access).await.unwrap();
    assert_eq!((peers.cluster, peers.members.len()), (Some(seen.cluster_ids[0]), 3));

    // Leadership moves where it is told, and only by the leader.
    let leader = (0..3).find(|at| seen.members[*at].id == seen.leader).unwrap();
    let next = (leader + 1) % 3;
    let to = seen.members[next].id.unwrap();
    let refused = connect(&cluster, next).await.move_leader(seen.leader.unwrap()).await.unwrap_err();
    assert!(refused.says(&Answer::NotLeader), "{refused:?}");
    connect(&cluster, leader).await.move_leader(to).await.unwrap();
    cluster.until("the new leader leads", |seen| seen.leader == Some(to) && seen.leader_known_by == 3).await;

    // Back: a follower goes, its process learns it and exits; removing it again is done already.
    let leaver = (0..3).find(|at| *at != next && *at != 0).unwrap();
    let id = seen.members[leaver].id.unwrap();
    assert_eq!(ask(&cluster, Step::Remove(on(&cluster, leaver))).await, "G0119");
    let client = connect(&cluster, next).await;
    let removed = client.member_remove_patiently(id, Duration::from_secs(15)).await;
    assert_eq!(removed.unwrap(), Done::Now);
    assert_eq!(client.member_remove(id).await.unwrap(), Done::Already);
    let seen = cluster
        .until("it is out", |seen| {
            seen.members[leaver].role == Role::Unlisted && seen.voters().count() == 2 && seen.commits()
        })
        .await;
    assert!(matches!(seen.view, View::Agreed { of: 2, .. }), "{:?}", seen.view);
    let started = Instant::now();
    while !cluster.nodes[leaver].has_exited() {
        assert!(started.elapsed() < Duration::from_secs(10), "a removed member exits by itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone = vec![cluster.nodes[leaver].name.clone()];
    assert_eq!(ask(&cluster, Step::Purge { hosts: gone }).await, "yes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_at_the_tls_door() {
    if !etcd_is_here("strangers_at_the_tls_door") {
        return;
    }
    let cluster = Cluster::start(3, 1, true).await;
    let pki = cluster.pki.as_ref().unwrap();
    let condition = async |identity: Option<ClientIdentity>| {
        let seen = observe(&cluster.spec(), &Access::direct(identity)).await;
        seen.members[0].condition.clone()
    };
    assert_eq!(condition(Some(pki.identity())).await, Condition::Healthy);
    // We do not believe it.
    let other = Pki::new(&[]);
    let said = condition(Some(other.identity())).await;
    assert!(matches!(&said, Condition::Tls(why) if why.contains("invalid peer certificate")), "{said:?}");
    // It does not believe us: no certificate at all, then one of another CA.
    let said = condition(Some(ClientIdentity::trust_only(pki.ca.as_bytes()).unwrap())).await;
    assert!(matches!(&said, Condition::Tls(why) if why.contains("ertificate")), "{said:?}");
    let foreign = ClientIdentity::new(
        pki.ca.as_bytes(),
        other.operator.0.as_bytes(),
        Zeroizing::new(other.operator.1.clone().into_bytes()),
    );
    let said = condition(Some(foreign.unwrap())).await;
    assert!(matches!(&said, Condition::Tls(_)), "{said:?}");
    assert!(matches!(condition(None).await, Condition::Tls(why) if why.contains("no CA")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_done_to_one_member() {
    if !etcd_is_here("what_can_be_done_to_one_member") {
        return;
    }
    let mut cluster = Cluster::plan(4, 1, true);
    // Small enough to be filled by a test.
    cluster.extra = vec!["--quota-backend-bytes".to_owned(), "2000000".to_owned()];
    let alone = cluster.initial_cluster(1);
    cluster.spawn(0, "new", &alone);
    let seen = cluster.until("it serves", |seen| seen.commits()).await;
    let client = connect(&cluster, 0).await;

    // Keys.
    assert_eq!(client.get(b"a", Read::Linearizable).await.unwrap(), None);
    client.put(b"a/1", b"x", None).await.unwrap();
    client.put(b"a/2", b"y", None).await.unwrap();
    let found = client.get_prefix(b"a/", Read::Serializable).await.unwrap();
    assert_eq!(found.iter().map(|kv| kv.value.as_slice()).collect::<Vec<_>>(), [b"x", b"y"]);
    let txn = Txn::new()
        .when([Compare::value("a/1", CompareOp::Equal, "x")])
        .and_then([TxnOp::put("a/1", "z", None)])
        .or_else([TxnOp::delete("a/1", None)]);
    assert!(client.txn(txn.clone()).await.unwrap().succeeded);
    assert!(!client.txn(txn).await.unwrap().succeeded);
    assert_eq!(client.delete(b"a/1").await.unwrap(), Done::Already);
    assert_eq!(client.delete_prefix(b"a/").await.unwrap(), 1);
    assert!(client.delete_prefix(b"").await.is_err());

    // Leases and the lock made of them.
    let lease = client.lease_grant(30).await.unwrap();
    client.lease_keep_alive(lease).await.unwrap();
    assert_eq!(client.lease_revoke(lease).await.unwrap(), Done::Now);
    assert_eq!(client.lease_revoke(lease).await.unwrap(), Done::Already);
    assert!(client.lease_keep_alive(lease).await.unwrap_err().says(&Answer::LeaseNotFound));
    let endpoints = [cluster.nodes[0].client.clone()];
    let access = cluster.access();
    let lock = Lock::take(&endpoints, &access, "quorate/lock", "alice on c1, run 1", 2).await.unwrap();
    let held = Lock::take(&endpoints, &access, "quorate/lock", "bob", 2).await.unwrap_err();
    assert_eq!(held, LockError::Held { owner: "alice on c1, run 1".to_owned() });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!lock.is_lost(), "it is renewed beyond its two seconds");
    assert!(client.get(b"quorate/lock", Read::Linearizable).await.unwrap().is_some());
    lock.release().await.unwrap();
    let lock = Lock::take(&endpoints, &access, "quorate/lock", "bob", 2).await.unwrap();
    // A lock whose lease is gone knows it.
    let kv = client.get(b"quorate/lock", Read::Linearizable).await.unwrap().unwrap();
    client.lease_revoke(kv.lease.unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(lock.is_lost());
    drop(lock);

    // Snapshot, and the same file with one bit turned.
    let mut saved = Vec::new();
    let info = snapshot::save(&client, &mut saved, |_| {}).await.unwrap();
    assert_eq!(snapshot::verify(&mut saved.as_slice()).await.unwrap(), Ok(info.sha256.clone()));
    saved[1000] ^= 1;
    assert!(snapshot::verify(&mut saved.as_slice()).await.unwrap().is_err());

    // NOSPACE: seen without asking for alarms, cured in the right order.
    let value = vec![b'v'; 200_000];
    let full = loop {
        match client.put(b"big", &value, None).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(full.says(&Answer::NoSpace), "{full:?}");
    let me = seen.members[0].id.unwrap();
    let seen = cluster.until("the alarm is in Status", |seen| seen.alarmed(Alarm::NoSpace).is_some()).await;
    assert_eq!(seen.alarmed(Alarm::NoSpace), Some(me));
    assert_eq!(client.alarms().await.unwrap(), [(me, Alarm::NoSpace)]);
    let revision = client.status().await.unwrap().revision;
    assert_eq!(client.compact(revision).await.unwrap(), Done::Now);
    assert_eq!(client.compact(revision).await.unwrap(), Done::Already);
    client.defragment().await.unwrap();
    assert_eq!(client.disarm(Alarm::NoSpace, None).await.unwrap(), [me]);
    client.put(b"big", b"small", None).await.unwrap();
    assert_eq!(client.alarms().await.unwrap(), []);
    let (hash, again) = (client.hash_kv(0).await.unwrap(), client.hash_kv(0).await.unwrap());
    assert_eq!(hash, again);

    // Users and roles; auth on; the certificate `CN=root` and the password both open the door.
    let secret = Zeroizing::new("correct horse".to_owned());
    assert_eq!(client.auth_status().await.unwrap(), Auth::Disabled);
    let early = client.auth_enable().await.unwrap_err();
    assert!(early.says(&Answer::RootUserMissing), "{early:?}");
    assert_eq!(client.user_add("root", Some(&secret)).await.unwrap(), Done::Now);
    assert_eq!(client.user_add("root", Some(&secret)).await.unwrap(), Done::Already);
    let _done: Done = client.role_add("root").await.unwrap();
    assert_eq!(client.user_grant("root", "root").await.unwrap(), Done::Now);
    assert_eq!(client.user_grant("root", "root").await.unwrap(), Done::Already);
    assert_eq!(client.role_add("app").await.unwrap(), Done::Now);
    client.role_permit("app", Permission::read("app/").with_prefix()).await.unwrap();
    assert_eq!(client.role("app").await.unwrap().map(|permissions| permissions.len()), Some(1));
    assert_eq!(client.role_forbid("app", b"app/", b"app0").await.unwrap(), Done::Now);
    assert_eq!(client.user("nobody").await.unwrap(), None);
    client.auth_enable().await.unwrap();
    assert_eq!(client.auth_status().await.unwrap(), Auth::Enabled);
    assert_eq!(
        client.user("root").await.unwrap(),
        Some(vec!["root".to_owned()]),
        "the certificate's CN is root"
    );
    let login = Login::new("root", secret.clone());
    let with_password = Access { login: Some(login), ..cluster.access() };
    let logged_in = MemberClient::connect(&endpoints[0], &with_password).await.unwrap();
    assert!(logged_in.logged_in());
    client.authenticate("root", &secret).await.unwrap();
    let wrong = Login::new("root", Zeroizing::new("wrong".to_owned()));
    let refused =
        MemberClient::connect(&endpoints[0], &Access { login: Some(wrong), ..cluster.access() }).await;
    assert!(refused.unwrap_err().says(&Answer::AuthFailed));
    logged_in.auth_disable().await.unwrap();
    assert_eq!(client.auth_status().await.unwrap(), Auth::Disabled);
}

/// Carries bytes as a helper on another host would, and counts.
struct Tunnel(Arc<AtomicUsize>);

impl Dialer for Tunnel {
    fn name(&self) -> &'static str {
        "via e1"
    }

    fn dial<'a>(&'a self, to: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            self.0.fetch_add(1, Ordering::Relaxed);
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            let mut remote = DirectDialer.dial(to).await?;
            tokio::spawn(async move {
                let _done = tokio::io::copy_bidirectional(&mut theirs, &mut remote).await;
            });
            Ok(Box::new(ours) as BoxStream)
        })
    }
}

/// A network that leads nowhere.
struct Nowhere;

impl Dialer for Nowhere {
    fn name(&self) -> &'static str {
        "controller"
    }

    fn dial<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async { Err(io::Error::from(io::ErrorKind::NetworkUnreachable)) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_is_another_vantage_point() {
    if !etcd_is_here("a_tunnel_is_another_vantage_point") {
        return;
    }
    let cluster = Cluster::start(5, 1, true).await;
    let count = Arc::new(AtomicUsize::new(0));
    let blind = Access { dialers: vec![Arc::new(Nowhere)], ..cluster.access() };
    let seen = observe(&cluster.spec(), &blind).await;
    assert_eq!(seen.members[0].condition, Condition::Unreachable("the network is unreachable".to_owned()));
    let dialers: Vec<Arc<dyn Dialer>> = vec![Arc::new(Nowhere), Arc::new(Tunnel(Arc::clone(&count)))];
    let seen = observe(&cluster.spec(), &Access { dialers, ..cluster.access() }).await;
    assert_eq!(seen.members[0].condition, Condition::Healthy);
    assert_eq!(seen.members[0].via.as_deref(), Some("via e1"));
    assert!(count.load(Ordering::Relaxed) >= 1);
    let nobody =
        MemberClient::connect(&cluster.nodes[0].client, &Access { dialers: vec![], ..cluster.access() })
            .await;
    assert!(matches!(nobody.unwrap_err(), EtcdError::Local(_)));
}
