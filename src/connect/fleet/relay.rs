//! A command on a host as it travels between two controllers: one stream, in both directions frames of a kind and a length.
//!
//! In: a stream, and on one side a [`Channel`]. Out: the same [`Channel`] on the other side.
//!
//! **Invariant:** what waits for somebody slow is never more than [`WINDOW`] a channel and direction, and holds up no other
//! channel: whoever sends has been told that there is room.

use super::super::process::Channel;
use super::super::{Become, ConnectError, Kind, Stage, Target};
use quorate_value::Str;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use zeroize::Zeroizing;

/// How many bytes of a direction may be on their way.
const WINDOW: usize = 1 << 20;
/// The longest piece of a stream.
const PIECE: usize = 32 << 10;
/// The longest frame that anybody may send: a question with long command lines.
const LONGEST: usize = 1 << 20;
/// How much goes from hand to hand here.
const PIPE: usize = 64 << 10;

const ASK: u8 = 0;
const ANSWER: u8 = 1;
const DATA: u8 = 2;
const ERR: u8 = 3;
const EOF: u8 = 4;
const ROOM: u8 = 5;
const ENDED: u8 = 6;

/// What a worker is to do on a host.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    /// Put the helper there and start it.
    Helper(Way, Option<Who>),
    /// Run a command line.
    Command(Way, String),
    /// Drop what is connected there.
    Reset(String),
}

/// A [`Target`], as it travels: only inside of the encrypted connection, and never written down.
#[derive(Serialize, Deserialize)]
pub(super) struct Way {
    host: String,
    address: String,
    port: Option<u16>,
    user: Option<String>,
    private_key: Option<PathBuf>,
    password: Option<String>,
    ssh_args: Vec<String>,
    ssh_executable: Option<String>,
    host_key_checking: Option<bool>,
    timeout: Duration,
    retries: u32,
}

/// A [`Become`], as it travels.
#[derive(Serialize, Deserialize)]
pub(super) struct Who {
    method: String,
    user: String,
    exe: Option<String>,
    flags: Option<String>,
    password: Option<String>,
    prompts: Vec<String>,
    patience: Option<Duration>,
}

fn text(secret: Option<&Str>) -> Option<String> {
    secret.map(|text| text.as_str().to_owned())
}

impl Way {
    pub(super) fn of(target: &Target) -> Self {
        let target = target.clone();
        Way {
            host: target.host,
            address: target.address,
            port: target.port,
            user: target.user,
            private_key: target.private_key,
            password: text(target.password.as_ref()),
            ssh_args: target.ssh_args,
            ssh_executable: target.ssh_executable,
            host_key_checking: target.host_key_checking,
            timeout: target.timeout,
            retries: target.retries,
        }
    }

    pub(super) fn target(self) -> Target {
        Target {
            host: self.host,
            kind: Kind::Ssh,
            address: self.address,
            port: self.port,
            user: self.user,
            private_key: self.private_key,
            password: self.password.map(Str::from),
            ssh_args: self.ssh_args,
            ssh_executable: self.ssh_executable,
            host_key_checking: self.host_key_checking,
            timeout: self.timeout,
            retries: self.retries,
        }
    }
}

impl Who {
    pub(super) fn of(becoming: &Become) -> Self {
        let becoming = becoming.clone();
        Who {
            method: becoming.method,
            user: becoming.user,
            exe: becoming.exe,
            flags: becoming.flags,
            password: text(becoming.password.as_ref()),
            prompts: becoming.prompts,
            patience: becoming.patience,
        }
    }

    pub(super) fn becoming(self) -> Become {
        Become {
            method: self.method,
            user: self.user,
            exe: self.exe,
            flags: self.flags,
            password: self.password.map(Str::from),
            prompts: self.prompts,
            patience: self.patience,
        }
    }
}

/// What a worker says to that.
type Answer = Result<(), (u8, String, Option<String>)>;

const STAGES: [Stage; 8] = [
    Stage::Name,
    Stage::Tcp,
    Stage::HostKey,
    Stage::Auth,
    Stage::Become,
    Stage::Slow,
    Stage::Helper,
    Stage::Lost,
];

type Reading = Pin<Box<dyn AsyncRead + Send>>;
type Writing = Arc<Mutex<Pin<Box<dyn AsyncWrite + Send>>>>;

async fn read_frame(from: &mut Reading) -> std::io::Result<(u8, Zeroizing<Vec<u8>>)> {
    let mut head = [0u8; 5];
    from.read_exact(&mut head).await?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > LONGEST {
        return Err(std::io::Error::other("a frame is too long"));
    }
    let mut body = Zeroizing::new(vec![0u8; length]);
    from.read_exact(&mut body).await?;
    Ok((head[0], body))
}

async fn send_frame(to: &Writing, kind: u8, body: &[u8]) -> std::io::Result<()> {
    let mut frame = Zeroizing::new(Vec::with_capacity(5 + body.len()));
    frame.push(kind);
    frame.extend((body.len() as u32).to_le_bytes());
    frame.extend(body);
    let mut to = to.lock().await;
    to.write_all(&frame).await?;
    to.flush().await
}

/// Bytes that have come and wait for their reader.
struct Inbox {
    pieces: mpsc::UnboundedSender<Zeroizing<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
}

impl Inbox {
    /// Hands on to `sink` what comes, and tells the other side when there is room again.
    fn into(mut sink: Pin<Box<dyn AsyncWrite + Send>>, far: Writing) -> Self {
        let (pieces, mut queue) = mpsc::unbounded_channel::<Zeroizing<Vec<u8>>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        tokio::spawn(async move {
            while let Some(piece) = queue.recv().await {
                // whoever has gone does not keep the others from being heard
                if sink.write_all(&piece).await.is_ok() {
                    sink.flush().await.ok();
                }
                left.fetch_sub(piece.len(), Ordering::AcqRel);
                send_frame(&far, ROOM, &(piece.len() as u32).to_le_bytes()).await.ok();
            }
            sink.shutdown().await.ok();
        });
        Inbox { pieces, waiting }
    }

    /// Whether the other side kept to what it was told.
    fn put(&self, piece: Zeroizing<Vec<u8>>) -> bool {
        let waiting = self.waiting.fetch_add(piece.len(), Ordering::AcqRel) + piece.len();
        // where nobody reads any more it is dropped
        self.pieces.send(piece).ok();
        waiting <= WINDOW
    }
}

/// Sends what can be read, as there is room for it.
async fn outbox(mut source: Reading, kind: u8, room: Arc<Semaphore>, far: Writing) {
    let mut buffer = Zeroizing::new(vec![0u8; PIECE]);
    loop {
        let Ok(n) = source.read(&mut buffer).await else { return };
        if n == 0 {
            return;
        }
        let Ok(permits) = room.acquire_many(n as u32).await else { return };
        permits.forget();
        if send_frame(&far, kind, &buffer[..n]).await.is_err() {
            return;
        }
    }
}

fn room_of(body: &[u8]) -> usize {
    body.first_chunk::<4>().map_or(0, |bytes| (u32::from_le_bytes(*bytes) as usize).min(WINDOW))
}

/// Asks a worker, and waits until what was asked for runs. `gone` comes back when the worker is to be left.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ask: &Ask,
    host: &str,
    gone: impl Future<Output = ()> + Send + 'static,
) -> Result<Channel, ConnectError> {
    let (read, write) = tokio::io::split(stream);
    let (mut read, far): (Reading, Writing) = (Box::pin(read), Arc::new(Mutex::new(Box::pin(write))));
    let mut gone = Box::pin(gone);
    let lost = || {
        ConnectError::new(Stage::Lost, format!("the controller that works on {host} has gone"))
            .help("`quorate fleet status` shows who is left; running the same command again continues")
    };
    let bytes = Zeroizing::new(postcard::to_allocvec(ask).map_err(|_| lost())?);
    if bytes.len() > LONGEST {
        return Err(ConnectError::new(
            Stage::Helper,
            "the command line is too long to be sent to another controller",
        ));
    }
    send_frame(&far, ASK, &bytes).await.map_err(|_| lost())?;
    let said = tokio::select! {
        frame = read_frame(&mut read) => frame.map_err(|_| lost())?,
        () = &mut gone => return Err(lost()),
    };
    let answer = (said.0 == ANSWER).then(|| postcard::from_bytes::<Answer>(&said.1).ok()).flatten();
    match answer {
        Some(Ok(())) => {}
        Some(Err((stage, message, help))) => {
            let stage = STAGES.get(usize::from(stage)).copied().unwrap_or(Stage::Lost);
            return Err(ConnectError { stage, message, help });
        }
        None => return Err(lost()),
    }
    let (stdin, typed) = tokio::io::duplex(PIPE);
    let (out, stdout) = tokio::io::duplex(PIPE);
    let (err, stderr) = tokio::io::duplex(PIPE);
    let (ended, ending) = oneshot::channel();
    let room = Arc::new(Semaphore::new(WINDOW));
    let (out, err) = (Inbox::into(Box::pin(out), far.clone()), Inbox::into(Box::pin(err), far.clone()));
    let (typing, to) = (room.clone(), far.clone());
    let typing = tokio::spawn(async move {
        outbox(Box::pin(typed), DATA, typing, to.clone()).await;
        send_frame(&to, EOF, &[]).await.ok();
    });
    tokio::spawn(async move {
        let mut status = None;
        loop {
            let frame = tokio::select! {
                frame = read_frame(&mut read) => frame,
                () = &mut gone => break,
            };
            let Ok((kind, body)) = frame else { break };
            let kept = match kind {
                DATA => out.put(body),
                ERR => err.put(body),
                ROOM => {
                    room.add_permits(room_of(&body));
                    true
                }
                ENDED => {
                    status = body.first_chunk::<4>().map(|code| i32::from_le_bytes(*code));
                    break;
                }
                _ => true,
            };
            if !kept {
                break;
            }
        }
        typing.abort();
        far.lock().await.shutdown().await.ok();
        drop((out, err));
        ended.send(status).ok();
    });
    Ok(Channel {
        stdin: Box::pin(stdin),
        stdout: Box::pin(stdout),
        stderr: Box::pin(stderr),
        ending: Box::pin(async move { ending.await.ok().flatten() }),
    })
}

/// Answers one question on a stream, and carries what follows.
pub(super) async fn serve<F: Future<Output = Result<Option<Channel>, ConnectError>>>(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    act: impl FnOnce(Ask) -> F,
) {
    let (read, write) = tokio::io::split(stream);
    let (mut read, far): (Reading, Writing) = (Box::pin(read), Arc::new(Mutex::new(Box::pin(write))));
    let Ok((ASK, body)) = read_frame(&mut read).await else { return };
    let Ok(ask) = postcard::from_bytes::<Ask>(&body) else { return };
    drop(body);
    let opened = {
        let mut early = Box::pin(read_frame(&mut read));
        let mut act = Box::pin(act(ask));
        tokio::select! {
            opened = &mut act => opened,
            // nobody waits for it any more
            _ = &mut early => return,
        }
    };
    let answer: Answer = match &opened {
        Ok(_) => Ok(()),
        Err(error) => {
            let stage = STAGES.iter().position(|stage| *stage == error.stage).unwrap_or(7) as u8;
            Err((stage, error.message.clone(), error.help.clone()))
        }
    };
    let Ok(bytes) = postcard::to_allocvec(&answer) else { return };
    let told = send_frame(&far, ANSWER, &bytes).await.is_ok();
    let Ok(Some(channel)) = opened else {
        far.lock().await.shutdown().await.ok();
        return;
    };
    if !told {
        return;
    }
    let Channel { stdin, stdout, stderr, ending } = channel;
    let room = Arc::new(Semaphore::new(WINDOW));
    let out = tokio::spawn(outbox(stdout, DATA, room.clone(), far.clone()));
    let err = tokio::spawn(outbox(stderr, ERR, room.clone(), far.clone()));
    let (stop_out, stop_err) = (out.abort_handle(), err.abort_handle());
    let back = far.clone();
    let ended = tokio::spawn(async move {
        drop((out.await, err.await));
        let code = ending.await.unwrap_or(255);
        send_frame(&back, ENDED, &code.to_le_bytes()).await.ok();
        back.lock().await.shutdown().await.ok();
    });
    let mut typed = Some(Inbox::into(stdin, far.clone()));
    while let Ok((kind, body)) = read_frame(&mut read).await {
        match kind {
            DATA => {
                if typed.as_ref().is_some_and(|typed| !typed.put(body)) {
                    break;
                }
            }
            EOF => typed = None,
            ROOM => room.add_permits(room_of(&body)),
            _ => {}
        }
    }
    // the end of its input is the end of the helper; what it still says, nobody hears
    drop(typed);
    stop_out.abort();
    stop_err.abort();
    ended.abort();
}
