//! How hosts are reached: one connection a host, one helper a (host, become user), kept for the whole run.
//!
//! In: a [`Target`] (address, user, keys, privilege). Out: [`Link`]s that run modules, read files, open tunnels.
//!
//! **Invariant:** only this room opens connections; a secret handed in goes to a pipe, never to an argument list or a file.
//!
//! Not here: what to run where (`run`).

mod bootstrap;
pub mod fleet;
pub mod kubectl;
mod link;
mod local;
mod native;
mod process;
mod ssh;
mod ssh_config;

pub use link::{Blob, BlobSource, Link, RunError, Stream, Tunnel};

use quorate_value::Str;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// What kind of connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The controller itself.
    Local,
    /// OpenSSH.
    Ssh,
    /// `docker exec` or `podman exec`: the program.
    Container(String),
    /// `kubectl exec`; the address is the pod.
    Pod(Box<kubectl::Way>),
}

impl Kind {
    /// The program that runs commands there, where the connection is such a program's.
    pub fn program(&self) -> Option<&str> {
        match self {
            Kind::Container(program) => Some(program),
            Kind::Pod(_) => Some("kubectl"),
            Kind::Local | Kind::Ssh => None,
        }
    }

    /// Variables that the program gets, beside those there are.
    fn environment(&self) -> &[(String, String)] {
        match self {
            Kind::Pod(way) => &way.environment,
            _ => &[],
        }
    }
}

impl Target {
    /// The words that run `line` by a shell in a container or a pod.
    fn within(&self, line: String) -> Option<Vec<String>> {
        let mut words = match &self.kind {
            Kind::Local | Kind::Ssh => return None,
            Kind::Container(program) => {
                let mut words = vec![program.clone(), "exec".into(), "-i".into()];
                if let Some(user) = &self.user {
                    words.extend(["-u".into(), user.clone()]);
                }
                words.push(self.address.clone());
                words
            }
            Kind::Pod(way) => way.exec(&self.address),
        };
        words.extend(["sh".into(), "-c".into(), line]);
        Some(words)
    }
}

/// Who to become.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Become {
    /// `sudo`, `su`, `doas`.
    pub method: String,
    /// The user.
    pub user: String,
    /// The program, where it is not the method's own.
    pub exe: Option<String>,
    /// Flags in place of the method's own.
    pub flags: Option<String>,
    /// The password, if one was given.
    pub password: Option<Str>,
    /// What `su` asks for the password with, where it is said; otherwise anything that ends in a colon.
    pub prompts: Vec<String>,
    /// How long becoming may take, where somebody has said so.
    pub patience: Option<Duration>,
}

impl Become {
    /// Whether what was said on standard error asks for the password.
    pub(crate) fn asks(&self, said: &str) -> bool {
        let said = said.trim_end().to_lowercase();
        let Some(said) = said.strip_suffix([':', '：']) else { return false };
        if self.prompts.is_empty() {
            return self.method == "su" || said.ends_with("password");
        }
        self.prompts.iter().any(|prompt| said.trim_end().ends_with(&prompt.trim().to_lowercase()))
    }

    /// It took longer than it may.
    pub(crate) fn too_long(&self, target: &Target, waited: Duration) -> ConnectError {
        let message = match target.kind {
            Kind::Local => {
                format!("Timed out waiting for become success or become password prompt on {}", target.host)
            }
            _ => format!(
                "Timeout ({}s) waiting for privilege escalation prompt: {}",
                waited.as_secs(),
                target.host
            ),
        };
        ConnectError::new(Stage::Slow, message)
            .help("look for a login script that waits, for a prompt with other words, or give it more time (`ansible_ssh_timeout`)")
    }
}

impl std::fmt::Debug for Become {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.user)
    }
}

/// How to reach one host as one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The name in the inventory.
    pub host: String,
    /// The kind of connection.
    pub kind: Kind,
    /// Where it is.
    pub address: String,
    /// The port, if not the default.
    pub port: Option<u16>,
    /// The remote user, if not ssh's own choice.
    pub user: Option<String>,
    /// The private key file.
    pub private_key: Option<PathBuf>,
    /// The password (through an askpass helper).
    pub password: Option<Str>,
    /// Further arguments of `ssh`, in order.
    pub ssh_args: Vec<String>,
    /// The program, if not `ssh`.
    pub ssh_executable: Option<String>,
    /// Whether host keys are checked; `None` is "accept new ones, refuse changed ones".
    pub host_key_checking: Option<bool>,
    /// How long connecting may take.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
}

/// Where reaching a host went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The name does not resolve.
    Name,
    /// No TCP connection.
    Tcp,
    /// The host's key is not the known one.
    HostKey,
    /// The host does not let us in.
    Auth,
    /// Becoming another user failed.
    Become,
    /// Becoming another user took longer than somebody has said it may.
    Slow,
    /// The helper could not be put there or started.
    Helper,
    /// The connection broke while in use.
    Lost,
}

/// Why a host cannot be worked with. What was tried is in the message; what to do next in `help`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// Where it went wrong.
    pub stage: Stage,
    /// What happened, in words.
    pub message: String,
    /// The one command that shows it, or the next step.
    pub help: Option<String>,
}

impl ConnectError {
    pub(crate) fn new(stage: Stage, message: impl Into<String>) -> Self {
        ConnectError { stage, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether Ansible would call the host unreachable (and not the task failed).
    pub fn is_unreachable(&self) -> bool {
        !matches!(self.stage, Stage::Become)
    }
}

/// How a module comes to run, for people who ask with `-vvv`.
pub fn shown_command(becoming: Option<&Become>, module: &str) -> String {
    let command = format!("quorate-agent {module}");
    becoming.map_or_else(|| command.clone(), |become_| bootstrap::become_command(become_, &command))
}

/// What a raw command line says first once it is somebody else.
const BECAME: &str = "QUORATE-BECAME";

type Slot<T> = Arc<OnceCell<Result<T, ConnectError>>>;

/// If no connection gets further for so long, all wait for the network rather than for the controller.
const PATIENCE: Duration = Duration::from_secs(2);

/// From so many hosts on, starting `ssh` for each of them is what takes long, and fills memory: then those that are plainly
/// configured are connected to in this process.
const MANY: usize = 200;

/// Who speaks SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// OpenSSH, or this process where there are [`MANY`] hosts.
    Auto,
    /// OpenSSH.
    OpenSsh,
    /// This process, wherever `ssh_config` says nothing that only OpenSSH could honour.
    Native,
}

impl Transport {
    /// As `QUORATE_SSH` says: `auto`, `openssh`, `native`.
    fn chosen() -> Self {
        match crate::environment("QUORATE_SSH").as_deref() {
            Some("openssh") => Transport::OpenSsh,
            Some("native") => Transport::Native,
            _ => Transport::Auto,
        }
    }
}

/// An SSH connection.
#[derive(Clone)]
enum Session {
    OpenSsh(Arc<openssh::Session>),
    Native(Arc<native::Session>),
}

impl Session {
    async fn channel(self, command: &str) -> Result<process::Channel, ConnectError> {
        match self {
            Session::OpenSsh(session) => ssh::channel(session, command).await,
            Session::Native(session) => native::channel(session, command).await,
        }
    }
}

/// All connections of a run.
pub struct Pool {
    sessions: Mutex<HashMap<Target, Slot<Session>>>,
    transport: Transport,
    native: native::Native,
    /// How many hosts the largest batch so far had.
    expected: AtomicUsize,
    links: Mutex<HashMap<(Target, Option<Become>), Slot<Arc<Link>>>>,
    /// Handshakes cost the controller's CPU: so many at once, as long as they do not wait for the network.
    handshakes: Semaphore,
    cores: usize,
    /// When one of them last ended.
    came_further: Mutex<Instant>,
    control_dir: PathBuf,
    /// Seconds that masters live after the run.
    persist: u64,
    /// The fleet that holds the connections to hosts, where this controller leads one.
    fleet: std::sync::OnceLock<Arc<fleet::Lead>>,
}

impl Pool {
    /// A pool that keeps its sockets in `control_dir` (made 0700).
    pub fn new(control_dir: PathBuf, persist: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Pool {
            sessions: Mutex::default(),
            transport: Transport::chosen(),
            native: native::Native::default(),
            expected: AtomicUsize::new(0),
            links: Mutex::default(),
            handshakes: Semaphore::new(cores * 8),
            cores,
            came_further: Mutex::new(Instant::now()),
            control_dir,
            persist,
            fleet: std::sync::OnceLock::new(),
        }
    }

    /// From now on hosts are reached over a fleet.
    pub fn led_by(&self, lead: Arc<fleet::Lead>) {
        self.fleet.set(lead).ok();
    }

    /// The fleet, where this controller leads one.
    pub fn fleet(&self) -> Option<&Arc<fleet::Lead>> {
        self.fleet.get()
    }

    fn slot<K: std::hash::Hash + Eq, T>(map: &Mutex<HashMap<K, Slot<T>>>, key: K) -> Slot<T> {
        map.lock().expect("no panic while connecting").entry(key).or_default().clone()
    }

    /// Says how many hosts are about to be worked on at a time.
    pub fn expect(&self, hosts: usize) {
        self.expected.fetch_max(hosts, Ordering::Relaxed);
    }

    async fn session(&self, target: &Target) -> Result<Session, ConnectError> {
        let slot = Self::slot(&self.sessions, target.clone());
        slot.get_or_init(|| self.in_turn(self.connect(target))).await.clone()
    }

    async fn connect(&self, target: &Target) -> Result<Session, ConnectError> {
        let in_process = match self.transport {
            Transport::OpenSsh => false,
            Transport::Native => true,
            // what is open already is cheaper than anything
            Transport::Auto => {
                self.expected.load(Ordering::Relaxed) >= MANY
                    && !ssh::socket_of(target, &self.control_dir).exists()
            }
        };
        if in_process && let Some(session) = self.native.open(target).await? {
            return Ok(Session::Native(Arc::new(session)));
        }
        ssh::open(target, &self.control_dir, self.persist)
            .await
            .map(|session| Session::OpenSsh(Arc::new(session)))
    }

    /// Connects when it is its turn. Where nobody has come further for a while, those whose turn it is wait for their hosts
    /// and not for this machine: others go on meanwhile, so hosts that do not answer cost one timeout together.
    async fn in_turn<T>(&self, work: impl Future<Output = T>) -> T {
        let permit = self.handshakes.acquire().await.expect("never closed");
        let mut work = std::pin::pin!(work);
        let came_further = || self.came_further.lock().expect("no panic while connecting");
        loop {
            tokio::select! {
                done = &mut work => {
                    *came_further() = Instant::now();
                    return done;
                }
                () = tokio::time::sleep(PATIENCE) => {}
            }
            if came_further().elapsed() >= PATIENCE && !self.busy() {
                break;
            }
        }
        drop(permit);
        work.await
    }

    /// Whether more is ready to run on this machine than it has processors for: then nobody waits for the network alone.
    fn busy(&self) -> bool {
        // `0.20 0.18 0.12 3/80 11206`: three of eighty can run
        let running = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| {
            let (running, _) = text.split(' ').nth(3)?.split_once('/')?;
            running.parse::<usize>().ok()
        });
        running.is_some_and(|running| running > 2 * self.cores)
    }

    /// The helper on a host as a user; started on first use.
    pub async fn link(&self, target: &Target, becoming: Option<&Become>) -> Result<Arc<Link>, ConnectError> {
        let key = (target.clone(), becoming.cloned());
        let slot = Self::slot(&self.links, key.clone());
        let link = match slot.get_or_init(|| self.start(target, becoming)).await.clone() {
            Ok(link) => link,
            Err(error) => {
                // whoever asks next may be luckier with a login that took too long, or with another controller
                if error.stage == Stage::Slow || (error.stage == Stage::Lost && self.fleet().is_some()) {
                    self.links.lock().expect("no panic while connecting").remove(&key);
                }
                return Err(error);
            }
        };
        if !link.is_dead() {
            return Ok(link);
        }
        // a helper that died is started once more for whoever asks next
        self.forget(&key);
        let slot = Self::slot(&self.links, key);
        slot.get_or_init(|| self.start(target, becoming)).await.clone()
    }

    /// The helper on a host as a user, where it runs already.
    pub fn ready(&self, target: &Target, becoming: Option<&Become>) -> Option<Arc<Link>> {
        let links = self.links.lock().expect("no panic while connecting");
        let link = links.get(&(target.clone(), becoming.cloned()))?.get()?.as_ref().ok()?;
        (!link.is_dead()).then(|| link.clone())
    }

    /// A helper that runs on this host already, as whomever: good for tunnels.
    pub fn running(&self, host: &str) -> Option<Arc<Link>> {
        let links = self.links.lock().expect("no panic while connecting");
        let mut live =
            links.iter().filter(|((target, _), _)| target.host == host && target.kind != Kind::Local);
        live.find_map(|(_, slot)| slot.get()?.as_ref().ok().filter(|link| !link.is_dead()).cloned())
    }

    fn forget(&self, key: &(Target, Option<Become>)) {
        let mut links = self.links.lock().expect("no panic while connecting");
        let dead =
            links.get(key).and_then(|slot| slot.get()).is_some_and(|r| r.as_ref().is_ok_and(|l| l.is_dead()));
        if dead {
            links.remove(key);
            self.sessions.lock().expect("no panic while connecting").remove(&key.0);
        }
    }

    /// A command over the session of a host. One that turns out to be dead is made once more.
    async fn channel(&self, target: &Target, command: &str) -> Result<process::Channel, ConnectError> {
        let mut last = None;
        for _ in 0..2 {
            match self.session(target).await {
                Ok(session) => match session.channel(command).await {
                    Ok(channel) => return Ok(channel),
                    Err(error) => last = Some(error),
                },
                Err(error) => {
                    self.sessions.lock().expect("no panic while connecting").remove(target);
                    return Err(error);
                }
            }
            self.sessions.lock().expect("no panic while connecting").remove(target);
        }
        Err(last.unwrap_or_else(|| ConnectError::new(Stage::Lost, "the connection to the host is dead")))
    }

    /// A helper that is about to greet, over a connection of this machine.
    async fn helper(
        &self,
        target: &Target,
        becoming: Option<&Become>,
    ) -> Result<process::Channel, ConnectError> {
        let channel = self.channel(target, &bootstrap::command(becoming)).await?;
        self.in_turn(bootstrap::ready(channel, becoming, target)).await
    }

    async fn start(&self, target: &Target, becoming: Option<&Become>) -> Result<Arc<Link>, ConnectError> {
        if let (Kind::Ssh, Some(fleet)) = (&target.kind, self.fleet()) {
            return fleet.link(self, target, becoming).await;
        }
        let link = match (&target.kind, becoming) {
            (Kind::Local, None) => Link::in_process(),
            (Kind::Local, Some(become_)) => {
                let channel =
                    process::spawn(&["sh".into(), "-c".into(), bootstrap::command(Some(become_))], &[])?;
                bootstrap::run(channel, Some(become_), target).await?
            }
            (Kind::Container(_) | Kind::Pod(_), _) => {
                let words = target.within(bootstrap::command(becoming)).unwrap_or_default();
                bootstrap::run(process::spawn(&words, target.kind.environment())?, becoming, target).await?
            }
            (Kind::Ssh, _) => {
                let session = self.session(target).await?;
                self.in_turn(async {
                    let channel = session.channel(&bootstrap::command(becoming)).await?;
                    bootstrap::run(channel, becoming, target).await
                })
                .await?
            }
        };
        Ok(Arc::new(link))
    }

    /// Runs a command line by the bare connection, without a helper: for `raw`.
    pub async fn raw(
        &self,
        target: &Target,
        becoming: Option<&Become>,
        command: &str,
        executable: Option<&str>,
    ) -> Result<RawOutput, ConnectError> {
        let shell = executable.unwrap_or("/bin/sh");
        let line = match becoming {
            Some(become_) => {
                let command = format!("echo {BECAME}; {shell} -c {}", bootstrap::quote(command));
                bootstrap::become_command(become_, &command)
            }
            None if executable.is_some() => format!("{shell} -c {}", bootstrap::quote(command)),
            None => command.to_owned(),
        };
        let channel = match &target.kind {
            Kind::Ssh => match self.fleet() {
                None => self.session(target).await?.channel(&line).await?,
                Some(fleet) => match fleet.command(target, &line).await? {
                    Some(channel) => channel,
                    None => self.channel(target, &line).await?,
                },
            },
            Kind::Local => process::spawn(&["sh".into(), "-c".into(), line], &[])?,
            Kind::Container(_) | Kind::Pod(_) => {
                process::spawn(&target.within(line).unwrap_or_default(), target.kind.environment())?
            }
        };
        match becoming {
            Some(become_) => bootstrap::became(channel, become_, target).await,
            None => channel.collect().await,
        }
    }

    /// Ends the helpers that run as a user on a host: a user with processes cannot be removed.
    pub async fn leave(&self, target: &Target, user: &str) {
        let gone: Vec<Arc<Link>> = {
            let mut links = self.links.lock().expect("no panic while connecting");
            let keys: Vec<_> = links
                .keys()
                .filter(|(at, as_whom)| at == target && as_whom.as_ref().is_some_and(|b| b.user == user))
                .cloned()
                .collect();
            let slots = keys.iter().filter_map(|key| links.remove(key));
            slots.filter_map(|slot| slot.get()?.as_ref().ok().cloned()).collect()
        };
        for link in gone {
            link.goodbye().await;
        }
    }

    /// Drops the connections of a host, so that the next use connects afresh (`meta: reset_connection`, reboots).
    pub async fn reset(&self, host: &str) {
        let mut gone: Vec<Arc<Link>> = Vec::new();
        {
            let mut links = self.links.lock().expect("no panic while connecting");
            let keys: Vec<_> = links.keys().filter(|(target, _)| target.host == host).cloned().collect();
            for key in keys {
                if let Some(Ok(link)) = links.remove(&key).as_ref().and_then(|slot| slot.get()) {
                    gone.push(link.clone());
                }
            }
        }
        for link in gone {
            link.goodbye().await;
        }
        if let Some(fleet) = self.fleet() {
            fleet.reset(host).await;
        }
        let mut targets: Vec<Target> = Vec::new();
        {
            let mut sessions = self.sessions.lock().expect("no panic while connecting");
            let keys: Vec<_> = sessions.keys().filter(|target| target.host == host).cloned().collect();
            for key in keys {
                sessions.remove(&key);
                targets.push(key);
            }
        }
        for target in targets {
            ssh::exit_master(&target, &self.control_dir).await;
        }
    }

    /// The run has ended well: no host needs to keep what its tasks came to, in this run or in those it went on with.
    pub async fn forget_kept(&self, resumed: Option<&crate::journal::Resume>) {
        let live: Vec<Arc<Link>> = {
            let links = self.links.lock().expect("no panic while connecting");
            links.values().filter_map(|slot| slot.get()?.as_ref().ok().cloned()).collect()
        };
        let forget = live.iter().map(async |link| {
            if let Some(resumed) = resumed {
                resumed.ask(link).await;
            }
            link.forget().await;
        });
        futures::future::join_all(forget).await;
    }

    /// Ends every helper; masters stay as long as `ControlPersist` says.
    pub async fn close(&self) {
        let links: Vec<_> = self.links.lock().expect("no panic while connecting").drain().collect();
        for (_, slot) in links {
            if let Some(Ok(link)) = slot.get() {
                link.goodbye().await;
            }
        }
        if let Some(fleet) = self.fleet() {
            fleet.end().await;
        }
        if self.persist == 0 {
            let sessions: Vec<_> = self.sessions.lock().expect("no panic while connecting").drain().collect();
            for (target, _) in sessions {
                ssh::exit_master(&target, &self.control_dir).await;
            }
        }
    }
}

/// What a raw command said.
#[derive(Debug, Clone, Default)]
pub struct RawOutput {
    /// Exit status; 255 where the connection broke.
    pub rc: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_that_do_not_answer_hold_up_nobody() {
        // whatever else this machine does
        let pool = Arc::new(Pool { cores: 1 << 20, ..Pool::new(PathBuf::from("unused"), 0) });
        let silent: Vec<_> = (0..pool.handshakes.available_permits())
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.in_turn(std::future::pending::<()>()).await })
            })
            .collect();
        while pool.handshakes.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let answer = tokio::time::timeout(Duration::from_mins(1), pool.in_turn(async { 7 })).await;
        assert_eq!(answer, Ok(7));
        assert!(!pool.busy());
        assert!(silent.iter().all(|task| !task.is_finished()));
        silent.iter().for_each(|task| task.abort());
    }
}
