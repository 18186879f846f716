//! Byte tunnels: TCP connections from the host, carried in frames.

use super::Replies;
use crate::protocol::{CHUNK, Reply};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long to wait for each address.
const CONNECT: Duration = Duration::from_secs(10);

pub(crate) struct Tunnels {
    replies: Replies,
    open: HashMap<u64, Sender<Step>>,
}

enum Step {
    Data(Vec<u8>),
    Close,
}

impl Tunnels {
    pub(crate) fn new(replies: Replies) -> Self {
        Tunnels { replies, open: HashMap::new() }
    }

    pub(crate) fn open(&mut self, id: u64, host: String, port: u16) {
        let (steps, work) = channel();
        self.open.insert(id, steps);
        let replies = self.replies.clone();
        let run = move || carry(&replies, id, &host, port, &work);
        if let Err(error) = std::thread::Builder::new().spawn(run) {
            self.open.remove(&id);
            self.replies.send(&Reply::TunnelClosed { id, error: Some(error.to_string()) });
        }
    }

    pub(crate) fn data(&mut self, id: u64, data: Vec<u8>) {
        if let Some(steps) = self.open.get(&id)
            && steps.send(Step::Data(data)).is_err()
        {
            self.open.remove(&id);
        }
    }

    pub(crate) fn close(&mut self, id: u64) {
        if let Some(steps) = self.open.remove(&id) {
            // Already ended on the other side.
            steps.send(Step::Close).ok();
        }
    }

    pub(crate) fn stop(&mut self) {
        for (_, steps) in self.open.drain() {
            steps.send(Step::Close).ok();
        }
    }
}

fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let mut last = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                // Small gRPC frames should not wait for each other.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

fn carry(replies: &Replies, id: u64, host: &str, port: u16, work: &Receiver<Step>) {
    let closed = |error| replies.send(&Reply::TunnelClosed { id, error });
    let (mut stream, mut back) = match connect(host, port).and_then(|stream| {
        let back = stream.try_clone().map_err(|error| error.to_string())?;
        Ok((stream, back))
    }) {
        Ok(pair) => pair,
        Err(error) => return closed(Some(error)),
    };
    replies.send(&Reply::TunnelOpened { id });
    let answers = replies.clone();
    let reader = std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK.min(65536)];
        let error = loop {
            match back.read(&mut chunk) {
                Ok(0) => break None,
                Ok(count) => answers.send(&Reply::TunnelData { id, data: chunk[..count].to_vec() }),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        answers.send(&Reply::TunnelClosed { id, error });
    });
    for step in work {
        let done = match step {
            Step::Data(data) if data.is_empty() => stream.shutdown(Shutdown::Write).is_err(),
            Step::Data(data) => stream.write_all(&data).is_err(),
            Step::Close => true,
        };
        if done {
            break;
        }
    }
    // The reader sees the end, and reports it.
    stream.shutdown(Shutdown::Both).ok();
    reader.join().ok();
}
