//! The loop as a controller sees it: pipes, frames, jobs.

use super::*;
use crate::protocol::{Job, VERSION, read_message, write_message};
use quorate_value::{Dict, Value, dict};
use std::io::PipeWriter;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

struct Helper {
    to: Option<PipeWriter>,
    from: std::io::PipeReader,
    thread: JoinHandle<()>,
}

impl Helper {
    fn start() -> Helper {
        let (mut requests, to) = std::io::pipe().unwrap();
        let (from, replies) = std::io::pipe().unwrap();
        let thread = std::thread::spawn(move || serve(&mut requests, Box::new(replies)).unwrap());
        Helper { to: Some(to), from, thread }
    }

    fn send(&mut self, request: &Request) {
        write_message(self.to.as_mut().unwrap(), request).unwrap();
    }

    fn run(&mut self, id: u64, module: &str, args: Dict, after: Option<u64>) {
        let job = Job { module: module.into(), args, after, ..Job::default() };
        self.send(&Request::Run { id, job: Box::new(job) });
    }

    fn next(&mut self) -> Reply {
        read_message(&mut self.from).unwrap().expect("a reply")
    }

    fn done(&mut self) -> (u64, Dict) {
        match self.next() {
            Reply::Done { id, result } => (id, result),
            other => panic!("{other:?} is no result"),
        }
    }

    fn end(mut self) {
        drop(self.to.take());
        self.thread.join().unwrap();
    }
}

#[test]
fn greets_runs_and_ends() {
    let mut helper = Helper::start();
    helper.send(&Request::Hello { version: VERSION });
    let Reply::Hello(greeting) = helper.next() else { panic!("no greeting") };
    assert_eq!(greeting.version, VERSION);
    helper.run(1, "ansible.builtin.ping", dict! {}, None);
    let (id, result) = helper.done();
    assert_eq!((id, result.get("ping").and_then(Value::as_str)), (1, Some("pong")));
    helper.run(2, "pong", dict! {}, None);
    let (_, result) = helper.done();
    assert_eq!(result.get("hint").and_then(Value::as_str), Some("did you mean `ping`?"));
    helper.end();
}

#[test]
fn later_jobs_wait_and_are_skipped_after_a_failure() {
    let mut helper = Helper::start();
    helper.run(1, "shell", dict! {"_raw_params" => "sleep 0.1; exit 1"}, None);
    helper.run(2, "ping", dict! {}, Some(1));
    helper.run(3, "ping", dict! {}, Some(2));
    helper.run(4, "ping", dict! {}, None);
    assert_eq!(helper.done().0, 4);
    assert_eq!(helper.done().0, 1);
    for expected in [2, 3] {
        let (id, result) = helper.done();
        assert_eq!((id, result.get("skipped")), (expected, Some(&Value::Bool(true))));
    }
    helper.end();
}

#[test]
fn cancelling_and_hanging_up_kill_what_runs() {
    let mut helper = Helper::start();
    let started = Instant::now();
    helper.run(1, "shell", dict! {"_raw_params" => "sleep 60; true"}, None);
    std::thread::sleep(Duration::from_millis(100));
    helper.send(&Request::Cancel { id: 1 });
    assert_eq!(helper.done().1.get("msg").and_then(Value::as_str), Some("cancelled"));
    helper.run(2, "shell", dict! {"_raw_params" => "sleep 60; true"}, None);
    std::thread::sleep(Duration::from_millis(100));
    helper.end();
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn files_stream_back() {
    let mut helper = Helper::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..700_000u32).map(|n| n as u8).collect();
    std::fs::write(file.path(), &bytes).unwrap();
    let path = file.path().to_string_lossy().into_owned();
    helper.send(&Request::Read { id: 9, path, offset: 10 });
    let mut got = Vec::new();
    loop {
        let Reply::Chunk { data, last, .. } = helper.next() else { panic!("no chunk") };
        got.extend(data);
        if last {
            break;
        }
    }
    assert!(got == bytes[10..]);
    helper.send(&Request::Read { id: 10, path: "/no/such/file".into(), offset: 0 });
    let message = helper.done().1.get("msg").and_then(Value::as_str).map(str::to_owned);
    assert_eq!(message.as_deref(), Some("could not read /no/such/file: [Errno 2] No such file or directory"));
    helper.end();
}

#[test]
fn tunnels_carry_bytes_both_ways() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let mut helper = Helper::start();
    helper.send(&Request::TunnelOpen { id: 5, host: "127.0.0.1".into(), port });
    assert!(matches!(helper.next(), Reply::TunnelOpened { id: 5 }));
    helper.send(&Request::TunnelData { id: 5, data: b"hello".to_vec() });
    helper.send(&Request::TunnelData { id: 5, data: Vec::new() });
    assert!(matches!(helper.next(), Reply::TunnelData { data, .. } if data == b"hello"));
    assert!(matches!(helper.next(), Reply::TunnelClosed { error: None, .. }));
    echo.join().unwrap();
    helper.end();
}
