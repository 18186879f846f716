//! Frames between the controller and a helper: a length (u32, little endian), then postcard.
//!
//! In: bytes. Out: [`Request`] and [`Reply`]. A message larger than one frame travels as `Part` frames, which
//! [`Assembler`] joins; [`encode`] splits by itself.
//!
//! **Invariant:** a length above [`MAX_FRAME`] is an error before anything is allocated for it.
//!
//! Not here: what a request does (`serve`).

use quorate_value::Dict;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Version of these messages. Both sides say theirs in `Hello`; a helper is replaced when they differ.
pub const VERSION: u32 = 1;

/// The largest frame either side accepts.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// The largest message that is put together from parts.
pub const MAX_MESSAGE: usize = 512 * 1024 * 1024;

/// How much file content one frame carries.
pub const CHUNK: usize = 256 * 1024;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// What the controller sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// First message: the controller's [`VERSION`].
    Hello {
        /// The controller's protocol version.
        version: u32,
    },
    /// Runs a module. Answered by [`Reply::Done`] or [`Reply::Panicked`] with the same id, in any order.
    Run {
        /// The controller's number for this job; never used twice on one connection.
        id: u64,
        /// What to run.
        job: Box<Job>,
    },
    /// A piece of content that the helper asked for with [`Reply::NeedContent`]; pieces come in order.
    Content {
        /// SHA-256 of the whole content.
        hash: Hash,
        /// Where this piece starts.
        offset: u64,
        /// The piece.
        data: Vec<u8>,
        /// Whether this is the last piece.
        last: bool,
    },
    /// The controller cannot give the content that was asked for.
    NoContent {
        /// SHA-256 that was asked for.
        hash: Hash,
        /// Why not.
        why: String,
    },
    /// Kills the processes of a job and fails it; also ends a [`Request::Read`].
    Cancel {
        /// The job.
        id: u64,
    },
    /// A job that waits for another is not to begin any more; one that has begun goes on.
    Withdraw {
        /// The job.
        id: u64,
    },
    /// Connects to a TCP port from the host.
    TunnelOpen {
        /// The controller's number for this tunnel.
        id: u64,
        /// Host name or address as the host resolves it.
        host: String,
        /// The port.
        port: u16,
    },
    /// Bytes for the far side of a tunnel.
    TunnelData {
        /// The tunnel.
        id: u64,
        /// The bytes; none means that the controller will write no more.
        data: Vec<u8>,
    },
    /// Closes a tunnel.
    TunnelClose {
        /// The tunnel.
        id: u64,
    },
    /// Streams a file back as [`Reply::Chunk`]; a failure answers with [`Reply::Done`].
    Read {
        /// A number like a job's.
        id: u64,
        /// The file.
        path: String,
        /// Where to start.
        offset: u64,
    },
    /// The helper should exit.
    Goodbye,
    /// A piece of a message that is larger than one frame; see [`Assembler`].
    Part {
        /// The piece.
        data: Vec<u8>,
        /// Whether this is the last piece.
        last: bool,
    },
    /// The run has ended well: nobody will ask for what was kept of its jobs.
    Forget,
}

/// One module run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Job {
    /// The module's name, with or without its collection; messages show it as given here.
    pub module: String,
    /// Its arguments, templates already rendered.
    pub args: Dict,
    /// `--check`.
    pub check: bool,
    /// `--diff`.
    pub diff: bool,
    /// The task's `environment`.
    pub environment: Vec<(String, String)>,
    /// The task's `no_log`: nothing of it may be written anywhere on the host.
    pub no_log: bool,
    /// How many `-v`.
    pub verbosity: u8,
    /// Where commands start when the module says nothing else; the home directory if absent.
    pub cwd: Option<String>,
    /// Where temporary files go (`remote_tmp`); the helper's own directory if absent.
    pub tmp: Option<String>,
    /// Small content that travels along.
    pub content: Vec<Content>,
    /// Run only when that job has ended without failure; otherwise the answer is `skipped`.
    pub after: Option<u64>,
    /// Run detached from this connection.
    pub async_: Option<AsyncSpec>,
    /// Keep its result on the host, as long as the run has not ended well.
    pub keep: Option<crate::kept::Keep>,
}

/// Content by its hash.
#[derive(Clone, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256 of `data`.
    pub hash: Hash,
    /// The bytes.
    pub data: Vec<u8>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({}, {} bytes)", hex(&self.hash), self.data.len())
    }
}

/// `async`: the job runs in a session of its own and leaves its result in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AsyncSpec {
    /// The job's name, as in `ansible_job_id`.
    pub jid: String,
    /// Seconds after which it is killed.
    pub limit: u64,
    /// Directory for status files; `~/.ansible_async` if absent.
    pub dir: Option<String>,
}

/// What the helper sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// Answer to [`Request::Hello`].
    Hello(Box<Greeting>),
    /// A job has ended.
    Done {
        /// The job.
        id: u64,
        /// Its result in Ansible's shape.
        result: Dict,
    },
    /// A job needs content that did not travel along.
    NeedContent {
        /// The job.
        id: u64,
        /// SHA-256 of the content.
        hash: Hash,
    },
    /// A piece of a file, answer to [`Request::Read`].
    Chunk {
        /// The request.
        id: u64,
        /// The piece.
        data: Vec<u8>,
        /// Whether this is the last piece.
        last: bool,
    },
    /// A tunnel is connected.
    TunnelOpened {
        /// The tunnel.
        id: u64,
    },
    /// Bytes from the far side of a tunnel.
    TunnelData {
        /// The tunnel.
        id: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A tunnel has ended, or could not be opened.
    TunnelClosed {
        /// The tunnel.
        id: u64,
        /// Why, unless the far side closed it in order.
        error: Option<String>,
    },
    /// A module had a bug. Only its task fails.
    Panicked {
        /// The job.
        id: u64,
        /// What it said.
        message: String,
    },
    /// A piece of a message that is larger than one frame; see [`Assembler`].
    Part {
        /// The piece.
        data: Vec<u8>,
        /// Whether this is the last piece.
        last: bool,
    },
}

/// Who and where the helper is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Greeting {
    /// The helper's protocol version.
    pub version: u32,
    /// The kernel's host name.
    pub hostname: String,
    /// The user it runs as.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The user's home directory.
    pub home: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// The helper's process.
    pub pid: u32,
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended or broke.
    #[error("the connection ended")]
    Io(#[from] io::Error),
    /// A length beyond [`MAX_FRAME`] or [`MAX_MESSAGE`]: not our peer, or a broken stream.
    #[error("a frame of {0} bytes is larger than allowed; is something else writing to this stream?")]
    TooLarge(usize),
    /// Bytes that are no message of ours.
    #[error("a frame could not be understood")]
    Malformed(#[from] postcard::Error),
}

/// A message that may travel in parts.
pub trait Message: Serialize + DeserializeOwned {
    /// A piece of a larger message.
    fn part(data: Vec<u8>, last: bool) -> Self;
    /// The piece, if this is one.
    fn into_part(self) -> Result<(Vec<u8>, bool), Self>;
}

macro_rules! message {
    ($it:ident) => {
        impl Message for $it {
            fn part(data: Vec<u8>, last: bool) -> Self {
                $it::Part { data, last }
            }
            fn into_part(self) -> Result<(Vec<u8>, bool), Self> {
                match self {
                    $it::Part { data, last } => Ok((data, last)),
                    other => Err(other),
                }
            }
        }
    };
}

message!(Request);
message!(Reply);

/// The bytes of a message, length included; several frames if it is large.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    bytes = postcard::to_extend(message, bytes)?;
    let body = bytes.len() - 4;
    if body <= MAX_FRAME {
        bytes[..4].copy_from_slice(&(body as u32).to_le_bytes());
        return Ok(bytes);
    }
    if body > MAX_MESSAGE {
        return Err(FrameError::TooLarge(body));
    }
    let mut out = Vec::with_capacity(bytes.len() + 256);
    let mut pieces = bytes[4..].chunks(MAX_FRAME / 2).peekable();
    while let Some(piece) = pieces.next() {
        let part = M::part(piece.to_vec(), pieces.peek().is_none());
        out.extend(encode(&part)?);
    }
    Ok(out)
}

/// The length of the frame that follows these four bytes.
pub fn frame_length(header: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_FRAME { Err(FrameError::TooLarge(length)) } else { Ok(length) }
}

/// The message in a frame's body.
pub fn decode<M: Message>(body: &[u8]) -> Result<M, FrameError> {
    Ok(postcard::from_bytes(body)?)
}

/// Writes one message.
pub fn write_message<M: Message>(to: &mut impl Write, message: &M) -> Result<(), FrameError> {
    to.write_all(&encode(message)?)?;
    Ok(to.flush()?)
}

/// Reads one frame; nothing at an orderly end.
pub fn read_frame<M: Message>(from: &mut impl Read) -> Result<Option<M>, FrameError> {
    let mut header = [0; 4];
    let mut filled = 0;
    while filled < header.len() {
        match from.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let length = frame_length(header)?;
    // Grows with what arrives: a lying header costs no memory.
    let mut body = Vec::with_capacity(length.min(1 << 20));
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    decode(&body).map(Some)
}

/// Reads one message, putting parts together; nothing at an orderly end.
pub fn read_message<M: Message>(from: &mut impl Read) -> Result<Option<M>, FrameError> {
    let mut assembler = Assembler::default();
    while let Some(frame) = read_frame::<M>(from)? {
        if let Some(message) = assembler.push(frame)? {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

/// Joins `Part` frames to the message they are parts of. Parts of one message are never interleaved with others.
#[derive(Debug, Default)]
pub struct Assembler {
    parts: Vec<u8>,
}

impl Assembler {
    /// Takes a frame; gives a message when it is complete.
    pub fn push<M: Message>(&mut self, frame: M) -> Result<Option<M>, FrameError> {
        let (data, last) = match frame.into_part() {
            Ok(part) => part,
            Err(whole) => return Ok(Some(whole)),
        };
        let length = self.parts.len() + data.len();
        if length > MAX_MESSAGE {
            return Err(FrameError::TooLarge(length));
        }
        self.parts.extend(data);
        if !last {
            return Ok(None);
        }
        decode(&std::mem::take(&mut self.parts)).map(Some)
    }
}

/// Lower-case hexadecimal, as content hashes and checksums are written.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// A SHA-256 digest from its hexadecimal form.
pub fn hash_from_hex(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::dict;

    #[test]
    fn messages_survive_the_wire() {
        let job = Job { module: "ping".into(), args: dict! {"data" => "pong"}, ..Job::default() };
        let bytes = encode(&Request::Run { id: 7, job: Box::new(job) }).unwrap();
        let mut from = bytes.as_slice();
        let Some(Request::Run { id: 7, job }) = read_message(&mut from).unwrap() else {
            panic!("not the message")
        };
        assert_eq!(job.args, dict! {"data" => "pong"});
        assert!(read_message::<Request>(&mut from).unwrap().is_none());
    }

    #[test]
    fn large_messages_travel_in_parts() {
        let text = "x".repeat(MAX_FRAME + 10);
        let bytes = encode(&Reply::Done { id: 1, result: dict! {"stdout" => text.as_str()} }).unwrap();
        let Some(Reply::Done { result, .. }) = read_message(&mut bytes.as_slice()).unwrap() else {
            panic!("not the message")
        };
        assert_eq!(result.get("stdout").and_then(|v| v.as_str()).map(str::len), Some(text.len()));
    }

    #[test]
    fn lying_lengths_and_cut_frames_are_errors() {
        assert!(matches!(
            read_frame::<Request>(&mut [0xff, 0xff, 0xff, 0xff].as_slice()),
            Err(FrameError::TooLarge(_))
        ));
        assert!(matches!(read_frame::<Request>(&mut [5, 0, 0, 0, 1].as_slice()), Err(FrameError::Io(_))));
        assert!(matches!(
            read_frame::<Request>(&mut [1, 0, 0, 0, 200].as_slice()),
            Err(FrameError::Malformed(_))
        ));
    }

    #[test]
    fn hashes_as_text() {
        let hash = [0xab; 32];
        assert_eq!(hash_from_hex(&hex(&hash)), Some(hash));
        assert_eq!(hash_from_hex("zz"), None);
    }
}
