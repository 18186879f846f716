//! The controller that leads: it runs the playbook, and asks whoever has a host for the connection to it.
//!
//! In: a host's [`Target`]. Out: a [`Link`], over a worker or from here; and the [`Fate`] of what was under way on a host
//! when its worker was lost.
//!
//! **Invariant:** on one host at most one helper of this run and user begins jobs: a new one lets its predecessor end first.

use super::super::process::Channel;
use super::super::{Become, ConnectError, Link, Pool, Stage, Target, bootstrap};
use super::relay::{self, Ask, Way, Who};
use super::{Etcd, LIFE, Leads, Meeting, Picture, USER, Worker, new_id, new_key, not_taken, public, read};
use quorate_etcd::lock::{Lock, LockError};
use quorate_etcd::mirror::{Mirror, Seen};
use quorate_value::{Dict, Value};
use russh::client;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, watch};

/// So long somebody may take to claim a host.
const CLAIMED_WITHIN: Duration = Duration::from_secs(45);
/// So long a worker may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(8);
/// So often a host changes hands before it counts as lost.
const HANDS: usize = 8;

/// What became of a job that was sent to a host over a worker that is no more.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It came to its end there.
    Ended(Dict),
    /// It had begun, and how it ended nobody knows.
    Unknown,
    /// It never began.
    Never,
}

type Jobs = HashMap<String, Option<Dict>>;
type Key = (Target, Option<Become>);

/// A connection to a worker.
struct Session {
    handle: client::Handle<Expect>,
    gone: watch::Sender<bool>,
}

impl Session {
    async fn ask(&self, ask: &Ask, host: &str) -> Result<Channel, ConnectError> {
        let lost =
            |_| ConnectError::new(Stage::Lost, format!("the controller that works on {host} has gone"));
        let channel = self.handle.channel_open_session().await.map_err(lost)?;
        let mut gone = self.gone.subscribe();
        let leave = async move {
            gone.wait_for(|gone| *gone).await.ok();
        };
        relay::ask(channel.into_stream(), ask, host, leave).await
    }
}

/// Lets in the worker that has the key it has published, and nobody else.
struct Expect(PublicKey);

impl client::Handler for Expect {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        Ok(key.key_data() == self.0.key_data())
    }
}

/// Who leads a run.
pub struct Lead {
    etcd: Arc<Etcd>,
    run: String,
    seen: watch::Receiver<Arc<Seen>>,
    _mirror: Mirror,
    lock: Mutex<Option<Lock>>,
    lease: quorate_etcd::kv::LeaseId,
    /// As a worker: its id, its key in etcd, who claims.
    own: Mutex<Option<(String, Lock, tokio::task::JoinHandle<()>)>>,
    own_id: Option<String>,
    key: Arc<PrivateKey>,
    sessions: Mutex<HashMap<String, Arc<OnceCell<Result<Arc<Session>, String>>>>>,
    wanted: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    shunned: Mutex<HashSet<String>>,
    /// Helpers that have been at work.
    begun: Mutex<HashSet<Key>>,
    fates: Mutex<HashMap<Key, Jobs>>,
    seal: OnceLock<[u8; 32]>,
    own_seal: [u8; 32],
    say: Box<dyn Fn(&str) + Send + Sync>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Place {
    Here,
    At(String, Worker),
}

impl Lead {
    /// Takes the lead of a fleet; where somebody has it, an error that names him. `works`: whether this controller takes
    /// hosts itself, as much as that in relation to the others.
    pub async fn take(
        meeting: &Meeting,
        name: &str,
        works: Option<u32>,
        wait: bool,
        say: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Arc<Self>, String> {
        let (key, text) = new_key()?;
        let run = new_id()?;
        let helper = bootstrap::helper_hash().to_owned();
        let mirror = meeting.mirror().await?;
        let leads =
            Leads { name: name.to_owned(), run: run.clone(), key: text.clone(), helper: helper.clone() };
        let etcd = Etcd::new(meeting);
        let value = serde_json::to_string(&leads).map_err(|e| e.to_string())?;
        let mut waits = false;
        let lead = loop {
            match Lock::take(&meeting.endpoints, &meeting.access, &etcd.key("lead"), &value, LIFE).await {
                Ok(lead) => break lead,
                Err(LockError::Held { owner }) => {
                    let who = read::<Leads>(owner.as_bytes()).map_or(owner, |leads| leads.name);
                    if !wait {
                        return Err(format!("the fleet `{}` is led by {who}", meeting.name));
                    }
                    if !std::mem::replace(&mut waits, true) {
                        say(&format!("the fleet `{}` is led by {who}; waiting", meeting.name));
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(not_taken(error)),
            }
        };
        let own = match works {
            None => None,
            Some(carries) => {
                let me = Worker { name: name.to_owned(), address: None, key: text, carries, helper };
                let id = new_id()?;
                let value = serde_json::to_string(&me).map_err(|e| e.to_string())?;
                let place = etcd.key(&format!("workers/{id}"));
                let lock = Lock::take(&meeting.endpoints, &meeting.access, &place, &value, LIFE)
                    .await
                    .map_err(not_taken)?;
                let claims = super::claims(etcd.clone(), id.clone(), lock.lease(), mirror.receiver());
                Some((id, lock, tokio::spawn(claims)))
            }
        };
        let made = Arc::new(Lead {
            seen: mirror.receiver(),
            _mirror: mirror,
            run,
            lease: lead.lease(),
            lock: Mutex::new(Some(lead)),
            own_id: own.as_ref().map(|(id, ..)| id.clone()),
            own: Mutex::new(own),
            key,
            sessions: Mutex::default(),
            wanted: Mutex::default(),
            shunned: Mutex::default(),
            begun: Mutex::default(),
            fates: Mutex::default(),
            seal: OnceLock::new(),
            own_seal: crate::journal::random().map_err(|e| e.to_string())?,
            etcd,
            say,
        });
        tokio::spawn(follow(Arc::downgrade(&made), made.seen.clone()));
        Ok(made)
    }

    /// Hosts keep results under the seal of the run's journal, where there is one.
    pub fn seal_with(&self, seal: [u8; 32]) {
        self.seal.set(seal).ok();
    }

    /// What hosts keep results under.
    pub fn seal(&self) -> [u8; 32] {
        self.seal.get().copied().unwrap_or(self.own_seal)
    }

    /// Whether somebody else may lead by now: nothing more may be begun.
    pub fn is_lost(&self) -> bool {
        lock(&self.lock).as_ref().is_some_and(Lock::is_lost)
    }

    /// Whether the run has ended and the lead was given back.
    pub fn is_over(&self) -> bool {
        lock(&self.lock).is_none()
    }

    /// Who is in the fleet now.
    pub fn picture(&self) -> Picture {
        Picture::of(&self.seen.borrow())
    }

    /// Leaves: workers let go of its hosts.
    pub async fn end(&self) {
        let sessions: Vec<_> = lock(&self.sessions).drain().collect();
        for (_, session) in sessions {
            if let Some(Ok(session)) = session.get() {
                session.gone.send_replace(true);
                session.handle.disconnect(russh::Disconnect::ByApplication, "", "").await.ok();
            }
        }
        let (lead, own) = (lock(&self.lock).take(), lock(&self.own).take());
        if let Some((_, own, claims)) = own {
            claims.abort();
            own.release().await.ok();
        }
        if let Some(lead) = lead {
            lead.release().await.ok();
        }
    }

    /// Says that the run works on a host.
    async fn want(&self, host: &str) -> Result<(), ConnectError> {
        let cell = lock(&self.wanted).entry(host.to_owned()).or_default().clone();
        let put = async || self.etcd.put(&format!("runs/{}/wanted/{host}", self.run), "", self.lease).await;
        cell.get_or_try_init(put).await.map(drop).map_err(|error| {
            ConnectError::new(Stage::Helper, format!("the etcd of the fleet does not answer: {error}"))
        })
    }

    fn place_in(&self, seen: &Seen, host: &str) -> Option<Place> {
        let kv = seen.keys.get(&format!("runs/{}/hosts/{host}", self.run))?;
        let id = String::from_utf8_lossy(&kv.value).into_owned();
        if self.own_id.as_ref() == Some(&id) {
            return Some(Place::Here);
        }
        let worker = read::<Worker>(&seen.keys.get(&format!("workers/{id}"))?.value)?;
        (!lock(&self.shunned).contains(&id)).then_some(Place::At(id, worker))
    }

    /// Who has a host; waits until somebody has.
    async fn place(&self, host: &str) -> Result<Place, ConnectError> {
        self.want(host).await?;
        let mut seen = self.seen.clone();
        let claimed = async {
            loop {
                let now = seen.borrow_and_update().clone();
                if let Some(place) = self.place_in(&now, host) {
                    return Some(place);
                }
                if seen.changed().await.is_err() {
                    return None;
                }
            }
        };
        let place = tokio::time::timeout(CLAIMED_WITHIN, claimed).await.ok().flatten();
        place.ok_or_else(|| {
            ConnectError::new(Stage::Helper, format!("no controller of the fleet has taken {host}"))
                .help("`quorate fleet status` shows who is there; one of them runs `quorate fleet join`")
        })
    }

    async fn session(&self, id: &str, worker: &Worker) -> Result<Arc<Session>, String> {
        for last in [false, true] {
            let cell = lock(&self.sessions).entry(id.to_owned()).or_default().clone();
            let session = cell.get_or_init(async || self.connect(worker).await).await.clone();
            match &session {
                Ok(open) if !open.handle.is_closed() && !*open.gone.borrow() => return session,
                Err(_) if last => return session,
                _ => {}
            }
            let mut sessions = lock(&self.sessions);
            if sessions.get(id).is_some_and(|known| Arc::ptr_eq(known, &cell)) {
                sessions.remove(id);
            }
        }
        Err("the connection to it ends as soon as it is made".into())
    }

    async fn connect(&self, worker: &Worker) -> Result<Arc<Session>, String> {
        let address = worker.address.as_deref().ok_or("it listens nowhere")?;
        let key = public(&worker.key).ok_or("its key cannot be read")?;
        let connecting = async {
            let stream =
                tokio::net::TcpStream::connect(address).await.map_err(|e| crate::playbook::plain_io(&e))?;
            let config = client::Config {
                nodelay: true,
                keepalive_interval: Some(Duration::from_secs(4)),
                keepalive_max: 2,
                ..client::Config::default()
            };
            let mut handle = client::connect_stream(Arc::new(config), stream, Expect(key))
                .await
                .map_err(|_| "it does not show the key that it has published".to_owned())?;
            let offer = PrivateKeyWithHashAlg::new(self.key.clone(), None);
            let let_in = handle.authenticate_publickey(USER, offer).await.map_err(|e| e.to_string())?;
            if !let_in.success() {
                return Err("it does not let this controller in".to_owned());
            }
            Ok(Arc::new(Session { handle, gone: watch::Sender::new(false) }))
        };
        tokio::time::timeout(ANSWERS_WITHIN, connecting)
            .await
            .unwrap_or_else(|_| Err(format!("{address} does not answer")))
    }

    /// Works without one of them from now on: its hosts are for others.
    async fn shun(&self, id: &str, worker: &Worker, why: &str) {
        if !lock(&self.shunned).insert(id.to_owned()) {
            return;
        }
        (self.say)(&format!("{} is not used any more ({why}); others take over its hosts", worker.name));
        self.forget(id);
        self.etcd.put(&format!("runs/{}/shunned/{id}", self.run), "", self.lease).await.ok();
        let hosts = self.picture().hosts.into_iter().filter(|(_, by)| by.as_deref() == Some(id));
        let release = hosts.map(async |(host, _)| self.etcd.release(&self.run, &host, id).await.is_ok());
        futures::future::join_all(release).await;
    }

    /// Drops the connection to a worker, with everything that runs over it.
    fn forget(&self, id: &str) {
        let session = lock(&self.sessions).remove(id);
        if let Some(Ok(session)) = session.as_ref().and_then(|cell| cell.get()) {
            session.gone.send_replace(true);
        }
    }

    /// Asks whoever has a host; nothing where that is this controller.
    async fn open(&self, host: &str, ask: &Ask) -> Result<Option<(String, Channel)>, ConnectError> {
        let mut last = None;
        for _ in 0..HANDS {
            let Place::At(id, worker) = self.place(host).await? else { return Ok(None) };
            let session = match self.session(&id, &worker).await {
                Ok(session) => session,
                Err(why) => {
                    self.shun(&id, &worker, &why).await;
                    continue;
                }
            };
            match session.ask(ask, host).await {
                Ok(channel) => return Ok(Some((id, channel))),
                // it is the worker that is lost, and not its host
                Err(error) if session.handle.is_closed() || *session.gone.borrow() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            ConnectError::new(Stage::Helper, format!("one controller after the other was lost on {host}"))
        }))
    }

    /// A command line on a host; nothing where this controller has the host.
    pub(in super::super) async fn command(
        &self,
        target: &Target,
        line: &str,
    ) -> Result<Option<Channel>, ConnectError> {
        let ask = Ask::Command(Way::of(target), line.to_owned());
        Ok(self.open(&target.host, &ask).await?.map(|(_, channel)| channel))
    }

    /// Whoever has the host connects to it afresh next time.
    pub(in super::super) async fn reset(&self, host: &str) {
        if lock(&self.wanted).contains_key(host) {
            self.open(host, &Ask::Reset(host.to_owned())).await.ok();
        }
    }

    /// The helper on a host, over whoever has it.
    pub(in super::super) async fn link(
        &self,
        pool: &Pool,
        target: &Target,
        becoming: Option<&Become>,
    ) -> Result<Arc<Link>, ConnectError> {
        let key = (target.clone(), becoming.cloned());
        let mut last = None;
        for _ in 0..HANDS {
            let ask = Ask::Helper(Way::of(target), becoming.map(Who::of));
            let (by, channel) = match self.open(&target.host, &ask).await? {
                Some((id, channel)) => (Some(id), channel),
                None => (None, pool.helper(target, becoming).await?),
            };
            let made = match Link::over(channel, &target.host).await {
                Ok(link) => self.greeted(&key, Arc::new(link)).await,
                Err(error) => Err(error),
            };
            match made {
                Ok(link) => return Ok(link),
                Err(error) if by.is_some_and(|id| !self.is_with_us(&id)) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            ConnectError::new(
                Stage::Lost,
                format!("one controller after the other was lost on {}", target.host),
            )
        }))
    }

    fn is_with_us(&self, id: &str) -> bool {
        let sessions = lock(&self.sessions);
        let Some(Ok(session)) = sessions.get(id).and_then(|cell| cell.get()) else { return false };
        !session.handle.is_closed() && !*session.gone.borrow()
    }

    /// A helper that takes over from another one waits until that has ended, and learns what it came to.
    async fn greeted(&self, key: &Key, link: Arc<Link>) -> Result<Arc<Link>, ConnectError> {
        if lock(&self.begun).insert(key.clone()) {
            return Ok(link);
        }
        let seal = Value::from(quorate_agent::protocol::hex(&self.seal()));
        let args = quorate_value::dict! {"seals" => Value::list(vec![seal]), "take_over" => true};
        let job = quorate_agent::protocol::Job { module: "_kept".into(), args, ..Default::default() };
        let said = link.run(job, Vec::new(), None).await.map_err(|error| match error {
            super::super::RunError::Lost(error) => error,
            error @ super::super::RunError::TimedOut(_) => ConnectError::new(Stage::Lost, error.to_string()),
        })?;
        let mut jobs = Jobs::new();
        for entry in said.get("kept").and_then(Value::as_list).unwrap_or_default() {
            let Some(entry) = entry.as_dict() else { continue };
            let name = entry.get("name").and_then(Value::as_str);
            let result = entry.get("result").and_then(Value::as_dict);
            let (Some(name), Some(result)) = (name, result) else { continue };
            if result.contains_key(quorate_agent::kept::BEGUN) {
                jobs.entry(name.to_owned()).or_default();
            } else {
                jobs.insert(name.to_owned(), Some(result.clone()));
            }
        }
        lock(&self.fates).entry(key.clone()).or_default().extend(jobs);
        Ok(link)
    }

    /// What became of a job that was under way when the connection to its host was lost.
    pub fn fate(&self, target: &Target, becoming: Option<&Become>, name: &str) -> Fate {
        let mut fates = lock(&self.fates);
        let jobs = fates.get_mut(&(target.clone(), becoming.cloned()));
        match jobs.and_then(|jobs| jobs.remove(name)) {
            Some(Some(result)) => Fate::Ended(result),
            Some(None) => Fate::Unknown,
            None => Fate::Never,
        }
    }
}

/// Lets go of workers that etcd does not know any more.
async fn follow(lead: std::sync::Weak<Lead>, mut seen: watch::Receiver<Arc<Seen>>) {
    while seen.changed().await.is_ok() {
        let now = seen.borrow_and_update().clone();
        let Some(lead) = lead.upgrade() else { return };
        let known: Vec<String> = lock(&lead.sessions).keys().cloned().collect();
        for id in known.iter().filter(|id| !now.keys.contains_key(&format!("workers/{id}"))) {
            lead.forget(id);
        }
    }
}
