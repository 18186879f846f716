//! A host that lies: what it sends ends its own link at worst.

use super::*;
use crate::connect::process::Channel;
use quorate_value::{Value, dict};
use tokio::io::DuplexStream;

/// Our end, and the host's: what it reads, what it says, what it says on the side.
fn host() -> (Channel, DuplexStream, DuplexStream, DuplexStream) {
    let (ours_in, theirs_in) = tokio::io::duplex(1 << 20);
    let (theirs_out, ours_out) = tokio::io::duplex(1 << 20);
    let (theirs_err, ours_err) = tokio::io::duplex(1 << 20);
    let channel = Channel {
        stdin: Box::pin(ours_in),
        stdout: Box::pin(ours_out),
        stderr: Box::pin(ours_err),
        ending: Box::pin(async { Some(0) }),
    };
    (channel, theirs_in, theirs_out, theirs_err)
}

async fn say(to: &mut DuplexStream, reply: &Reply) {
    to.write_all(&protocol::encode(reply).unwrap()).await.unwrap();
}

async fn greet(to: &mut DuplexStream) {
    let greeting = Greeting { version: protocol::VERSION, ..Greeting::default() };
    say(to, &Reply::Hello(Box::new(greeting))).await;
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("nothing that a host says makes us wait for ever")
}

/// Greets, then sends these bytes and leaves.
async fn run_against(bytes: Vec<u8>) -> Result<Dict, RunError> {
    let (channel, mut heard, mut voice, _side) = host();
    greet(&mut voice).await;
    let link = within(Link::over(channel, "evil")).await.unwrap();
    tokio::spawn(async move {
        // it speaks once it has heard the job
        let mut some = [0u8; 64];
        let _read = heard.read(&mut some).await.ok();
        voice.write_all(&bytes).await.ok();
        voice.shutdown().await.ok();
        // it goes on to listen
        let mut sink = vec![0u8; 4096];
        while heard.read(&mut sink).await.is_ok_and(|n| n > 0) {}
    });
    within(link.run(Job { module: "ping".into(), ..Job::default() }, Vec::new(), None)).await
}

#[tokio::test]
async fn what_is_no_greeting_is_no_helper() {
    let version = Greeting { version: 99, ..Greeting::default() };
    for (bytes, expected) in [
        (b"Welcome to Debian!\n".to_vec(), "no frame"),
        (vec![0xff; 4096], "no frame"),
        (vec![5, 0, 0, 0, 200, 1, 1, 1, 1], "no frame"),
        (protocol::encode(&Reply::Hello(Box::new(version))).unwrap(), "version 99"),
        (protocol::encode(&Reply::TunnelOpened { id: 1 }).unwrap(), "something else"),
        (Vec::new(), "something else"),
    ] {
        let (channel, _heard, mut voice, _side) = host();
        voice.write_all(&bytes).await.unwrap();
        drop(voice);
        let refused = within(Link::over(channel, "evil")).await.err().expect("no link");
        assert!(refused.message.contains(expected), "{}", refused.message);
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_read_ends_the_link() {
    let mut deep = vec![1, 1]; // Done, of job 1
    deep.extend([1, 0, 1, b'a']); // one entry, its key
    deep.extend([7, 1].repeat(100_000));
    let mut framed = (deep.len() as u32).to_le_bytes().to_vec();
    framed.extend(deep);
    for bytes in [
        vec![0xff; 8],             // a frame of four gigabytes
        vec![0, 0, 0, 1, 1, 2, 3], // sixteen megabytes announced, three bytes sent
        vec![1, 0, 0, 0, 250],     // no such message
        framed,                    // nested without end
        b"sh: 1: segmentation fault\n".to_vec(),
        Vec::new(),
    ] {
        let lost = run_against(bytes).await.expect_err("there was no result");
        assert!(matches!(lost, RunError::Lost(_)), "{lost}");
    }
}

#[tokio::test]
async fn answers_nobody_asked_for_are_nobodys() {
    let mut bytes = Vec::new();
    for id in [0, 7, u64::MAX] {
        bytes.extend(protocol::encode(&Reply::Done { id, result: dict! {"changed" => true} }).unwrap());
        bytes.extend(protocol::encode(&Reply::Chunk { id, data: vec![1], last: true }).unwrap());
        bytes.extend(protocol::encode(&Reply::TunnelData { id, data: vec![1] }).unwrap());
        bytes.extend(protocol::encode(&Reply::TunnelClosed { id, error: None }).unwrap());
    }
    // the job is no file and no tunnel, whatever the host says
    bytes.extend(protocol::encode(&Reply::Chunk { id: 1, data: vec![1], last: true }).unwrap());
    bytes.extend(protocol::encode(&Reply::TunnelOpened { id: 1 }).unwrap());
    bytes.extend(protocol::encode(&Reply::Done { id: 1, result: dict! {"ping" => "pong"} }).unwrap());
    bytes.extend(protocol::encode(&Reply::Done { id: 1, result: dict! {"ping" => "twice"} }).unwrap());
    let result = run_against(bytes).await.unwrap();
    assert_eq!(result.get("ping"), Some(&Value::from("pong")));
}

#[tokio::test]
async fn demands_for_content_are_answered_a_few_at_a_time() {
    let (channel, heard, mut voice, _side) = host();
    greet(&mut voice).await;
    let link = Arc::new(within(Link::over(channel, "evil")).await.unwrap());
    // It asks and asks, and never reads what it is sent.
    let flood = tokio::spawn(async move {
        let mut asked = 0usize;
        for n in 0..200_000u64 {
            let bytes = protocol::encode(&Reply::NeedContent { id: n, hash: [7; 32] }).unwrap();
            if tokio::time::timeout(Duration::from_secs(1), voice.write_all(&bytes)).await.is_err() {
                break;
            }
            asked += 1;
        }
        asked
    });
    let asked = within(flood).await.unwrap();
    assert!(asked < 200_000, "it was held up");
    drop(heard);
    drop(link);
}

#[tokio::test]
async fn a_tunnel_that_floods_waits_for_its_reader() {
    let (channel, mut heard, mut voice, _side) = host();
    greet(&mut voice).await;
    let link = within(Link::over(channel, "evil")).await.unwrap();
    let flood = tokio::spawn(async move {
        let mut some = [0u8; 64];
        let _read = heard.read(&mut some).await.ok();
        say(&mut voice, &Reply::TunnelOpened { id: 1 }).await;
        let piece = protocol::encode(&Reply::TunnelData { id: 1, data: vec![0; protocol::CHUNK] }).unwrap();
        let mut sent = 0usize;
        while sent < 4096 {
            if tokio::time::timeout(Duration::from_secs(1), voice.write_all(&piece)).await.is_err() {
                break;
            }
            sent += 1;
        }
        (sent, heard)
    });
    let tunnel = within(link.tunnel("127.0.0.1", 2379)).await.unwrap();
    let (sent, _heard) = within(flood).await.unwrap();
    assert!(sent < 200, "{sent} pieces went into memory");
    drop(tunnel);
}

#[tokio::test]
async fn what_is_shouted_on_the_side_is_kept_short() {
    let (channel, mut heard, mut voice, mut side) = host();
    greet(&mut voice).await;
    let link = within(Link::over(channel, "evil")).await.unwrap();
    for _ in 0..64 {
        within(side.write_all(&vec![b'x'; 1 << 20])).await.unwrap();
    }
    let remote = link.remote.as_ref().unwrap();
    assert!(remote.last_words.lock().unwrap().len() <= 24 * 1024);
    let mut some = [0u8; 64];
    let _read = heard.read(&mut some).await.ok();
}
