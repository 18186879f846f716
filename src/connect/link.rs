//! A live helper: jobs in, results out, many at once.
//!
//! In: a channel on which a helper speaks. Out: [`Link::run`], [`Link::read_file`], [`Link::tunnel`].
//!
//! **Invariant:** whatever a host sends (too long, malformed, for a job that nobody asked) ends this link at worst.

use super::process::Channel;
use super::{ConnectError, Stage, local};
use quorate_agent::protocol::{self, Assembler, Content, Greeting, Hash, Job, Reply, Request};
use quorate_value::Dict;
use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

/// Content that a job may ask for.
#[derive(Debug, Clone)]
pub struct Blob {
    /// SHA-256.
    pub hash: Hash,
    /// Where the bytes are.
    pub source: BlobSource,
}

/// Where content is.
#[derive(Debug, Clone)]
pub enum BlobSource {
    /// In memory; shared by all hosts.
    Bytes(Arc<[u8]>),
    /// In a file of the controller.
    File(PathBuf),
}

/// Content up to this size travels with the job instead of waiting to be asked for.
const INLINE: usize = 48 * 1024;

/// How many pieces of a tunnel wait for whoever reads it; then the host waits.
const TUNNEL_PIECES: usize = 64;

/// How many requests for content are answered at a time; then the host waits.
const CONTENT_AT_ONCE: usize = 32;

/// Why a job has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The connection or the helper is gone.
    #[error("{0}")]
    Lost(ConnectError),
    /// It took longer than allowed.
    #[error("the task took longer than {} seconds", .0.as_secs())]
    TimedOut(Duration),
}

enum Pending {
    Job { done: oneshot::Sender<Dict>, blobs: Offer },
    Read { chunks: mpsc::Sender<Result<Vec<u8>, String>> },
    Tunnel { opened: Option<oneshot::Sender<Result<(), String>>>, data: mpsc::Sender<Vec<u8>> },
}

/// Content of a job by its hash.
struct Offer(HashMap<Hash, Blob>);

impl Offer {
    fn new(blobs: Vec<Blob>) -> Self {
        Offer(blobs.into_iter().map(|blob| (blob.hash, blob)).collect())
    }

    fn find(&self, hash: &Hash) -> Option<Blob> {
        self.0.get(hash).cloned()
    }
}

type Writer = Pin<Box<dyn AsyncWrite + Send>>;

struct Remote {
    host: String,
    writer: tokio::sync::Mutex<Option<Writer>>,
    pending: Mutex<HashMap<u64, Pending>>,
    next: AtomicU64,
    dead: AtomicBool,
    last_words: Mutex<String>,
    greeting: Greeting,
}

/// A helper on a host, or this process for the controller itself.
pub struct Link {
    remote: Option<Arc<Remote>>,
}

impl Link {
    /// Modules run in this process.
    pub(super) fn in_process() -> Self {
        Link { remote: None }
    }

    /// Greets a helper that has just started.
    pub(super) async fn over(channel: Channel, host: &str) -> Result<Self, ConnectError> {
        let Channel { mut stdin, mut stdout, mut stderr, ending } = channel;
        let broken = |what: &str| ConnectError::new(Stage::Helper, format!("the helper on {host} {what}"));
        let hello =
            protocol::encode(&Request::Hello { version: protocol::VERSION }).expect("a greeting is small");
        stdin.write_all(&hello).await.map_err(|_| broken("ended before its greeting"))?;
        stdin.flush().await.map_err(|_| broken("ended before its greeting"))?;
        let reply =
            tokio::time::timeout(Duration::from_secs(30), read_reply(&mut stdout, &mut Assembler::default()))
                .await
                .map_err(|_| broken("does not greet"))?;
        let greeting = match reply {
            Ok(Some(Reply::Hello(greeting))) if greeting.version == protocol::VERSION => *greeting,
            Ok(Some(Reply::Hello(greeting))) => {
                return Err(broken(&format!(
                    "speaks version {} of the protocol, not {}",
                    greeting.version,
                    protocol::VERSION
                )));
            }
            Ok(_) => return Err(broken("answers something else than a greeting")),
            Err(why) => return Err(broken(&format!("sends what is no frame: {why}"))),
        };
        let remote = Arc::new(Remote {
            host: host.to_owned(),
            writer: tokio::sync::Mutex::new(Some(stdin)),
            pending: Mutex::default(),
            next: AtomicU64::new(1),
            dead: AtomicBool::new(false),
            last_words: Mutex::default(),
            greeting,
        });
        let errors = remote.clone();
        tokio::spawn(async move {
            let mut bytes = [0u8; 4096];
            while let Ok(n) = stderr.read(&mut bytes).await {
                if n == 0 {
                    break;
                }
                let mut words = errors.last_words.lock().expect("no panic while reading");
                // a helper says little; a host that floods us is cut off
                if words.len() < 16 * 1024 {
                    words.push_str(&String::from_utf8_lossy(&bytes[..n]));
                }
            }
        });
        tokio::spawn(receive(remote.clone(), stdout, ending));
        Ok(Link { remote: Some(remote) })
    }

    /// Whether the helper has gone.
    pub fn is_dead(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.dead.load(Ordering::Acquire))
    }

    /// Who the helper is; nothing for this process.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.remote.as_ref().map(|remote| &remote.greeting)
    }

    /// Runs one module; `sent` is told its number once the helper will get it (and nothing where this process is it).
    /// When `withdrawn` comes back before the job has begun, it does not begin.
    pub async fn run_noting(
        &self,
        job: Job,
        blobs: Vec<Blob>,
        sent: impl FnOnce(u64),
        withdrawn: impl Future<Output = ()>,
    ) -> Result<Dict, RunError> {
        let Some(remote) = &self.remote else { return self.run(job, blobs, None).await };
        let (id, mut answer) = remote.submit(job, blobs).await?;
        sent(id);
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(|_| RunError::Lost(remote.lost())),
            () = withdrawn => drop(remote.send(&Request::Withdraw { id }).await),
        }
        answer.await.map_err(|_| RunError::Lost(remote.lost()))
    }

    /// Runs one module.
    pub async fn run(&self, job: Job, blobs: Vec<Blob>, limit: Option<Duration>) -> Result<Dict, RunError> {
        let Some(remote) = &self.remote else {
            let work = local::run(job, blobs);
            return match limit {
                None => Ok(work.await),
                Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| RunError::TimedOut(limit)),
            };
        };
        let (id, answer) = remote.submit(job, blobs).await?;
        let answer = async { answer.await.map_err(|_| RunError::Lost(remote.lost())) };
        match limit {
            None => answer.await,
            Some(limit) => match tokio::time::timeout(limit, answer).await {
                Ok(result) => result,
                Err(_) => {
                    remote.take(id);
                    remote.send(&Request::Cancel { id }).await.ok();
                    Err(RunError::TimedOut(limit))
                }
            },
        }
    }

    /// Streams a file of the host; pieces arrive in order, the last word is the end of the channel or an error.
    pub async fn read_file(&self, path: &str) -> Result<mpsc::Receiver<Result<Vec<u8>, String>>, RunError> {
        let (chunks, receiver) = mpsc::channel(16);
        let Some(remote) = &self.remote else {
            let path = PathBuf::from(path);
            tokio::spawn(async move {
                let mut file = match tokio::fs::File::open(&path).await {
                    Ok(file) => file,
                    Err(e) => {
                        chunks.send(Err(crate::playbook::plain_io(&e))).await.ok();
                        return;
                    }
                };
                let mut buffer = vec![0u8; protocol::CHUNK];
                loop {
                    match file.read(&mut buffer).await {
                        Ok(0) => break,
                        Ok(n) => {
                            if chunks.send(Ok(buffer[..n].to_vec())).await.is_err() {
                                break;
                            }
                        }
                        Err(e) => {
                            chunks.send(Err(crate::playbook::plain_io(&e))).await.ok();
                            break;
                        }
                    }
                }
            });
            return Ok(receiver);
        };
        let id = remote.next.fetch_add(1, Ordering::Relaxed);
        remote.put(id, Pending::Read { chunks });
        let request = Request::Read { id, path: path.to_owned(), offset: 0 };
        remote.send(&request).await.map_err(|_| RunError::Lost(remote.lost()))?;
        Ok(receiver)
    }

    /// Connects to a TCP port as the host sees it.
    pub async fn tunnel(&self, host: &str, port: u16) -> Result<Tunnel, String> {
        let Some(remote) = &self.remote else {
            let stream = tokio::net::TcpStream::connect((host, port))
                .await
                .map_err(|e| crate::playbook::plain_io(&e))?;
            return Ok(Box::pin(stream));
        };
        let id = remote.next.fetch_add(1, Ordering::Relaxed);
        let (opened_tx, opened) = oneshot::channel();
        let (data, mut incoming) = mpsc::channel::<Vec<u8>>(TUNNEL_PIECES);
        remote.put(id, Pending::Tunnel { opened: Some(opened_tx), data });
        remote
            .send(&Request::TunnelOpen { id, host: host.to_owned(), port })
            .await
            .map_err(|_| remote.lost().message)?;
        opened.await.map_err(|_| remote.lost().message)??;
        let (near, far) = tokio::io::duplex(256 * 1024);
        let (mut far_read, mut far_write) = tokio::io::split(far);
        tokio::spawn(async move {
            while let Some(bytes) = incoming.recv().await {
                if far_write.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            far_write.shutdown().await.ok();
        });
        let sender = remote.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0u8; 32 * 1024];
            while let Ok(n) = far_read.read(&mut buffer).await {
                let data = buffer[..n].to_vec();
                if sender.send(&Request::TunnelData { id, data }).await.is_err() || n == 0 {
                    break;
                }
            }
            sender.send(&Request::TunnelClose { id }).await.ok();
            sender.take(id);
        });
        Ok(Box::pin(near))
    }

    /// Tells the helper that nobody will ask for what it has kept.
    pub async fn forget(&self) {
        match &self.remote {
            None => quorate_agent::kept::forget(),
            Some(remote) => {
                let sent = remote.send(&Request::Forget);
                // one that does not listen keeps it for some days
                tokio::time::timeout(Duration::from_millis(500), sent).await.ok();
            }
        }
    }

    /// Tells the helper to go.
    pub async fn goodbye(&self) {
        if let Some(remote) = &self.remote {
            tokio::time::timeout(Duration::from_millis(500), remote.send(&Request::Goodbye)).await.ok();
            remote.dead.store(true, Ordering::Release);
            *remote.writer.lock().await = None;
        }
    }
}

/// Both directions of a connection made on the host.
pub type Tunnel = Pin<Box<dyn Stream>>;

/// What can be read and written.
pub trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl Remote {
    fn put(&self, id: u64, pending: Pending) {
        self.pending.lock().expect("no panic while waiting").insert(id, pending);
    }

    fn take(&self, id: u64) -> Option<Pending> {
        self.pending.lock().expect("no panic while waiting").remove(&id)
    }

    /// Sends a job: its number, and where its result will come.
    async fn submit(
        &self,
        mut job: Job,
        blobs: Vec<Blob>,
    ) -> Result<(u64, oneshot::Receiver<Dict>), RunError> {
        for blob in &blobs {
            if let BlobSource::Bytes(bytes) = &blob.source
                && bytes.len() <= INLINE
            {
                job.content.push(Content { hash: blob.hash, data: bytes.to_vec() });
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        self.put(id, Pending::Job { done, blobs: Offer::new(blobs) });
        self.send(&Request::Run { id, job: Box::new(job) })
            .await
            .map_err(|()| RunError::Lost(self.lost()))?;
        Ok((id, answer))
    }

    async fn send(&self, request: &Request) -> Result<(), ()> {
        let bytes = protocol::encode(request).map_err(drop)?;
        let mut writer = self.writer.lock().await;
        let Some(stream) = writer.as_mut() else { return Err(()) };
        if self.dead.load(Ordering::Acquire) {
            return Err(());
        }
        let sent = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        sent.await.map_err(|_| self.dead.store(true, Ordering::Release))
    }

    fn lost(&self) -> ConnectError {
        let words = self.last_words.lock().expect("no panic while reading");
        let last = words.lines().last().map(|line| format!(": {}", line.trim())).unwrap_or_default();
        ConnectError::new(Stage::Lost, format!("the connection to {} broke{last}", self.host))
            .help(format!("see whether {} is up; running the same command again continues", self.host))
    }
}

async fn read_reply(
    from: &mut (impl AsyncRead + Unpin),
    assembler: &mut Assembler,
) -> Result<Option<Reply>, protocol::FrameError> {
    loop {
        let mut header = [0u8; 4];
        if let Err(e) = from.read_exact(&mut header).await {
            return if e.kind() == std::io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(e.into()) };
        }
        let mut body = vec![0u8; protocol::frame_length(header)?];
        from.read_exact(&mut body).await?;
        if let Some(message) = assembler.push(protocol::decode::<Reply>(&body)?)? {
            return Ok(Some(message));
        }
    }
}

async fn receive(
    remote: Arc<Remote>,
    mut stdout: Pin<Box<dyn AsyncRead + Send>>,
    ending: super::process::Ending,
) {
    let mut assembler = Assembler::default();
    let answering = Arc::new(tokio::sync::Semaphore::new(CONTENT_AT_ONCE));
    loop {
        let reply = match read_reply(&mut stdout, &mut assembler).await {
            Ok(Some(reply)) => reply,
            Ok(None) => break,
            Err(error) => {
                remote.last_words.lock().expect("no panic while reading").push_str(&format!("\n{error}"));
                break;
            }
        };
        match reply {
            Reply::Done { id, result } => match remote.take(id) {
                Some(Pending::Job { done, .. }) => {
                    done.send(result).ok();
                }
                Some(Pending::Read { chunks }) => {
                    let why = result.get("msg").map(quorate_value::str_of).unwrap_or_default();
                    chunks.send(Err(why)).await.ok();
                }
                _ => {}
            },
            Reply::Panicked { id, message } => {
                if let Some(Pending::Job { done, .. }) = remote.take(id) {
                    done.send(quorate_value::dict! {
                        "failed" => true,
                        "msg" => format!("the module has a bug and stopped half-way: {message}"),
                    })
                    .ok();
                }
            }
            Reply::NeedContent { id, hash } => {
                let blob = match remote.pending.lock().expect("no panic while waiting").get(&id) {
                    Some(Pending::Job { blobs, .. }) => blobs.find(&hash),
                    _ => None,
                };
                let sender = remote.clone();
                let permit = answering.clone().acquire_owned().await.expect("it is never closed");
                tokio::spawn(async move {
                    send_content(&sender, hash, blob).await;
                    drop(permit);
                });
            }
            Reply::Chunk { id, data, last } => {
                let chunks = match remote.pending.lock().expect("no panic while waiting").get(&id) {
                    Some(Pending::Read { chunks }) => Some(chunks.clone()),
                    _ => None,
                };
                if let Some(chunks) = chunks {
                    let gone = chunks.send(Ok(data)).await.is_err();
                    if last || gone {
                        remote.take(id);
                    }
                }
            }
            Reply::TunnelOpened { id } => {
                if let Some(Pending::Tunnel { opened, .. }) =
                    remote.pending.lock().expect("no panic while waiting").get_mut(&id)
                    && let Some(opened) = opened.take()
                {
                    opened.send(Ok(())).ok();
                }
            }
            Reply::TunnelData { id, data } => {
                let sink = match remote.pending.lock().expect("no panic while waiting").get(&id) {
                    Some(Pending::Tunnel { data: sink, .. }) => Some(sink.clone()),
                    _ => None,
                };
                if let Some(sink) = sink {
                    sink.send(data).await.ok();
                }
            }
            Reply::TunnelClosed { id, error } => {
                if let Some(Pending::Tunnel { opened: Some(opened), .. }) = remote.take(id) {
                    opened.send(Err(error.unwrap_or_else(|| "closed".into()))).ok();
                }
            }
            Reply::Hello(_) | Reply::Part { .. } => {}
        }
    }
    remote.dead.store(true, Ordering::Release);
    // dropping the senders wakes everybody who waits
    remote.pending.lock().expect("no panic while waiting").clear();
    *remote.writer.lock().await = None;
    ending.await;
}

async fn send_content(remote: &Remote, hash: Hash, blob: Option<Blob>) {
    let give_up = |why: String| Request::NoContent { hash, why };
    let Some(blob) = blob else {
        remote.send(&give_up("the controller has no such content".into())).await.ok();
        return;
    };
    match blob.source {
        BlobSource::Bytes(bytes) => {
            let mut offset = 0;
            loop {
                let end = (offset + protocol::CHUNK).min(bytes.len());
                let last = end == bytes.len();
                let piece =
                    Request::Content { hash, offset: offset as u64, data: bytes[offset..end].to_vec(), last };
                if remote.send(&piece).await.is_err() || last {
                    return;
                }
                offset = end;
            }
        }
        BlobSource::File(path) => {
            // a small file is one errand for the disk, not three
            let small = tokio::task::spawn_blocking({
                let path = path.clone();
                move || {
                    let size = std::fs::metadata(&path).ok()?.len();
                    (size <= protocol::CHUNK as u64).then(|| std::fs::read(&path).ok())?
                }
            });
            if let Ok(Some(data)) = small.await
                && data.len() <= protocol::CHUNK
            {
                remote.send(&Request::Content { hash, offset: 0, data, last: true }).await.ok();
                return;
            }
            let mut file = match tokio::fs::File::open(&path).await {
                Ok(file) => file,
                Err(e) => {
                    let why = format!("{}: {}", path.display(), crate::playbook::plain_io(&e));
                    remote.send(&give_up(why)).await.ok();
                    return;
                }
            };
            let mut offset = 0u64;
            let mut buffer = vec![0u8; protocol::CHUNK];
            loop {
                let mut filled = 0;
                while filled < buffer.len() {
                    match file.read(&mut buffer[filled..]).await {
                        Ok(0) => break,
                        Ok(n) => filled += n,
                        Err(e) => {
                            let why = format!("{}: {}", path.display(), crate::playbook::plain_io(&e));
                            remote.send(&give_up(why)).await.ok();
                            return;
                        }
                    }
                }
                let last = filled < buffer.len();
                let piece = Request::Content { hash, offset, data: buffer[..filled].to_vec(), last };
                if remote.send(&piece).await.is_err() || last {
                    return;
                }
                offset += filled as u64;
            }
        }
    }
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
