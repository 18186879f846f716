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
fn what_still_waits_can_be_taken_back() {
    let mut helper = Helper::start();
    let gate = tempfile::tempdir().unwrap();
    let opened = gate.path().join("opened");
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", opened.display());
    helper.run(1, "shell", dict! {"_raw_params" => wait}, None);
    helper.run(2, "ping", dict! {}, Some(1));
    helper.run(3, "ping", dict! {}, Some(2));
    helper.send(&Request::Withdraw { id: 2 });
    for (expected, before) in [(2, 1), (3, 2)] {
        let (id, result) = helper.done();
        assert_eq!((id, result.get("_skipped_after")), (expected, Some(&Value::Int(before))));
    }
    // what has begun goes on
    helper.send(&Request::Withdraw { id: 1 });
    std::fs::write(opened, "").unwrap();
    let (id, result) = helper.done();
    assert_eq!((id, result.get("rc")), (1, Some(&Value::Int(0))));
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

fn tree(root: &std::path::Path, files: &[(&str, &str)]) -> Dict {
    let manifest: Vec<Value> = files
        .iter()
        .map(|(path, text)| {
            let hash = crate::protocol::hex(&crate::system::files::sha256(text.as_bytes()));
            Value::from(dict! {"path" => *path, "kind" => "file", "hash" => hash, "size" => text.len()})
        })
        .collect();
    dict! {"dest" => root.to_string_lossy().into_owned(), "_manifest" => Value::list(manifest), "_source" => "t/"}
}

fn content(text: &str) -> Request {
    let hash = crate::system::files::sha256(text.as_bytes());
    Request::Content { hash, offset: 0, data: text.as_bytes().to_vec(), last: true }
}

/// Everything that is missing is asked for before anything comes: one round trip for many files, and none where all is there.
#[test]
fn a_tree_asks_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let mut helper = Helper::start();
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("here"), "here").unwrap();
    let files = [("a", "one"), ("b", "two"), ("c", "one"), ("here", "here")];
    helper.run(1, "copy", tree(&root, &files), None);
    let mut asked = Vec::new();
    for _ in 0..2 {
        let Reply::NeedContent { id: 1, hash } = helper.next() else { panic!("not asked for") };
        asked.push(hash);
    }
    assert_eq!(asked, ["one", "two"].map(|text| crate::system::files::sha256(text.as_bytes())));
    // in any order
    helper.send(&content("two"));
    helper.send(&content("one"));
    let (_, result) = helper.done();
    assert_eq!(result.get("changed"), Some(&Value::Bool(true)), "{result:?}");
    for (path, text) in files {
        assert_eq!(std::fs::read_to_string(root.join(path)).unwrap(), text);
    }
    helper.run(2, "copy", tree(&root, &files), None);
    let (_, result) = helper.done();
    assert_eq!(result.get("changed"), Some(&Value::Bool(false)), "{result:?}");
    // of a tree in which one file has changed, that one crosses the wire
    helper.run(3, "copy", tree(&root, &[("a", "one"), ("b", "three"), ("c", "one")]), None);
    let Reply::NeedContent { id: 3, .. } = helper.next() else { panic!("not asked for") };
    helper.send(&content("three"));
    assert_eq!(helper.done().1.get("changed"), Some(&Value::Bool(true)));
    helper.end();
}

/// What a job asked for and never fetched does not stand in the way of the next one.
#[test]
fn a_tree_that_fails_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let (root, other) = (dir.path().join("t"), dir.path().join("u"));
    std::fs::create_dir_all(root.join("a/a")).unwrap();
    let mut helper = Helper::start();
    helper.run(1, "copy", tree(&root, &[("a", "one"), ("b", "two")]), None);
    for _ in 0..2 {
        assert!(matches!(helper.next(), Reply::NeedContent { id: 1, .. }));
    }
    // a directory stands wherever the first one could go, so it fails, and the second is never fetched
    helper.send(&content("one"));
    let (_, result) = helper.done();
    assert_eq!(result.get("failed"), Some(&Value::Bool(true)), "{result:?}");
    // the controller has nothing any more for a job that is over
    let two = crate::system::files::sha256(b"two");
    helper.run(2, "copy", tree(&other, &[("b", "two")]), None);
    helper.send(&Request::NoContent { hash: two, why: "the controller has no such content".into() });
    assert!(matches!(helper.next(), Reply::NeedContent { id: 2, .. }));
    helper.send(&content("two"));
    let (_, result) = helper.done();
    assert_eq!(result.get("changed"), Some(&Value::Bool(true)), "{result:?}");
    helper.end();
}
