//! A controller that works for another one: it listens, connects to the hosts it has claimed, and carries bytes.
//!
//! In: the fleet's etcd and where to listen. Out: nothing; it works until it is told to stop.
//!
//! **Invariant:** only the lead that etcd names gets in, with the key that it has published; once this worker's lease cannot
//! be counted on, or another lead is there, it holds no connection for anybody.

use super::super::{ConnectError, Pool, bootstrap};
use super::relay::{self, Ask};
use super::{Etcd, LIFE, Leads, Meeting, Picture, Worker, new_id, new_key, not_taken, public, read};
use quorate_etcd::lock::Lock;
use quorate_etcd::mirror::Seen;
use russh::keys::PublicKey;
use russh::server::{self, Auth, Msg, VerifiedPublicKey};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So long it may take to go.
const PARTING: Duration = Duration::from_secs(5);

/// How a controller offers itself.
pub struct Offer {
    /// What people call it.
    pub name: String,
    /// Where it listens.
    pub listener: TcpListener,
    /// Where the lead reaches it: `host:port`.
    pub address: String,
    /// How much it takes in relation to the others.
    pub carries: u32,
}

/// Works until `stop` comes back.
pub async fn work(
    meeting: &Meeting,
    offer: Offer,
    pool: Arc<Pool>,
    say: &(dyn Fn(&str) + Send + Sync),
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let (tell, leave) = watch::channel(false);
    let lives = async {
        let mut joined = false;
        loop {
            match one_life(meeting, &offer, &pool, say, joined, leave.clone()).await {
                Ok(()) if *leave.borrow() => return Ok(()),
                // it was in the fleet once: it comes back when etcd does
                Ok(()) => joined = true,
                Err(why) if !joined => return Err(why),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    };
    let mut lives = std::pin::pin!(lives);
    tokio::select! {
        ended = &mut lives => return ended,
        () = stop => drop(tell.send_replace(true)),
    }
    // etcd may not answer: then its lease ends by itself
    tokio::time::timeout(PARTING, lives).await.unwrap_or(Ok(()))
}

/// As long as one lease lives.
async fn one_life(
    meeting: &Meeting,
    offer: &Offer,
    pool: &Arc<Pool>,
    say: &(dyn Fn(&str) + Send + Sync),
    again: bool,
    mut leave: watch::Receiver<bool>,
) -> Result<(), String> {
    let (key, text) = new_key()?;
    let id = new_id()?;
    let mirror = meeting.mirror().await?;
    let etcd = Etcd::new(meeting);
    let me = Worker {
        name: offer.name.clone(),
        address: Some(offer.address.clone()),
        key: text,
        carries: offer.carries,
        helper: bootstrap::helper_hash().to_owned(),
    };
    let value = serde_json::to_string(&me).map_err(|e| e.to_string())?;
    let place = etcd.key(&format!("workers/{id}"));
    let lock =
        Lock::take(&meeting.endpoints, &meeting.access, &place, &value, LIFE).await.map_err(not_taken)?;
    let what = if again { "is back in" } else { "has joined" };
    say(&format!("{} {what} the fleet `{}` at {}", offer.name, meeting.name, offer.address));
    let config = Arc::new(server::Config {
        keys: vec![(*key).clone()],
        methods: russh::MethodSet::from([russh::MethodKind::PublicKey].as_slice()),
        auth_rejection_time: Duration::from_secs(1),
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(4)),
        keepalive_max: 2,
        nodelay: true,
        ..server::Config::default()
    });
    let mut guests = JoinSet::new();
    let (over, ends) = watch::channel(false);
    let mut seen = mirror.receiver();
    // all of these end with this life
    let mut tasks = JoinSet::new();
    tasks.spawn(super::claims(etcd.clone(), id.clone(), lock.lease(), mirror.receiver()));
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut had = 0;
    let mut stranger = String::new();
    while !lock.is_lost() {
        tokio::select! {
            _ = leave.wait_for(|leave| *leave) => break,
            _ = beat.tick() => {
                while guests.try_join_next().is_some() {}
            }
            changed = seen.changed() => {
                if changed.is_err() {
                    break;
                }
                let picture = Picture::of(&seen.borrow_and_update());
                let count = picture.hosts.iter().filter(|(_, by)| by.as_ref() == Some(&id)).count();
                pool.expect(count);
                if count != had {
                    say(&format!("{count} of {} hosts", picture.hosts.len()));
                    had = count;
                }
                if let Some(lead) = picture.lead.filter(|lead| lead.helper != me.helper && lead.run != stranger) {
                    say(&format!("{} runs another build of quorate: this one takes no hosts of its run", lead.name));
                    stranger = lead.run;
                }
            }
            guest = offer.listener.accept() => {
                let Ok((stream, _)) = guest else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                guests.spawn(receive(stream, config.clone(), mirror.receiver(), pool.clone(), ends.clone()));
            }
        }
    }
    // connections end here: hosts are somebody else's from now on
    over.send_replace(true);
    let gone = async { while guests.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(2), gone).await.ok();
    tasks.abort_all();
    pool.close().await;
    if *leave.borrow() {
        lock.release().await.ok();
        return Ok(());
    }
    say(&format!(
        "{} has lost the etcd of the fleet: it lets go of its hosts, and tries to come back",
        offer.name
    ));
    Ok(())
}

/// The key of whoever leads now.
fn leads(seen: &Seen) -> Option<PublicKey> {
    public(&read::<Leads>(&seen.keys.get("lead")?.value)?.key)
}

/// Serves one connection, as long as it is the lead's.
async fn receive(
    stream: tokio::net::TcpStream,
    config: Arc<server::Config>,
    seen: watch::Receiver<Arc<Seen>>,
    pool: Arc<Pool>,
    mut ends: watch::Receiver<bool>,
) {
    stream.set_nodelay(true).ok();
    let work = Arc::new(Mutex::new(JoinSet::new()));
    let admitted: watch::Sender<Option<PublicKey>> = watch::Sender::new(None);
    let known = admitted.subscribe();
    let guest = Guest { seen: seen.clone(), admitted, pool, work: work.clone() };
    let Ok(Ok(session)) =
        tokio::time::timeout(Duration::from_secs(10), server::run_stream(config, stream, guest)).await
    else {
        return;
    };
    let handle = session.handle();
    let over = async {
        let (mut seen, mut known) = (seen, known);
        // who does not prove to be the lead is not waited for
        let in_time = tokio::time::timeout(Duration::from_secs(10), known.wait_for(Option::is_some)).await;
        let Some(admitted) = in_time.ok().and_then(|key| key.ok().and_then(|key| key.clone())) else {
            return;
        };
        let other = |now: &Arc<Seen>| leads(now).is_none_or(|key| key.key_data() != admitted.key_data());
        seen.wait_for(other).await.ok();
    };
    let over = async {
        tokio::select! {
            () = over => {}
            _ = ends.wait_for(|ends| *ends) => {}
        }
    };
    tokio::select! {
        _ = session => {}
        () = over => {
            work.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
            handle.disconnect(russh::Disconnect::ByApplication, String::new(), String::new()).await.ok();
        }
    }
    work.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
}

struct Guest {
    seen: watch::Receiver<Arc<Seen>>,
    admitted: watch::Sender<Option<PublicKey>>,
    pool: Arc<Pool>,
    work: Arc<Mutex<JoinSet<()>>>,
}

impl server::Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        // word of a new lead may come a moment after itself
        let his =
            |now: &Arc<Seen>| leads(now).is_some_and(|lead| lead.key_data() == key.public_key.key_data());
        let known = tokio::time::timeout(Duration::from_secs(3), self.seen.wait_for(his)).await;
        if !known.is_ok_and(|known| known.is_ok()) {
            return Ok(Auth::reject());
        }
        self.admitted.send_replace(Some(key.public_key.clone()));
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: russh::Channel<Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let pool = self.pool.clone();
        let serve = relay::serve(channel.into_stream(), move |ask| act(pool, ask));
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        while work.try_join_next().is_some() {}
        work.spawn(serve);
        Ok(())
    }
}

async fn act(pool: Arc<Pool>, ask: Ask) -> Result<Option<super::super::process::Channel>, ConnectError> {
    match ask {
        Ask::Helper(way, who) => {
            let (target, becoming) = (way.target(), who.map(relay::Who::becoming));
            pool.helper(&target, becoming.as_ref()).await.map(Some)
        }
        Ask::Command(way, line) => pool.channel(&way.target(), &line).await.map(Some),
        Ask::Reset(host) => {
            pool.reset(&host).await;
            Ok(None)
        }
    }
}
