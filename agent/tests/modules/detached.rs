//! `async` and `async_status`, with the helper program itself.

use quorate_agent::protocol::{AsyncSpec, Job, Reply, Request, read_message, write_message};
use quorate_value::{Dict, Value, dict};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Helper(Child);

impl Helper {
    fn start() -> Helper {
        let child = Command::new(env!("CARGO_BIN_EXE_quorate-agent"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Helper(child)
    }

    fn run(&mut self, job: Job) -> Dict {
        write_message(self.0.stdin.as_mut().unwrap(), &Request::Run { id: 1, job: Box::new(job) }).unwrap();
        match read_message(self.0.stdout.as_mut().unwrap()).unwrap() {
            Some(Reply::Done { result, .. }) => result,
            other => panic!("{other:?} is no result"),
        }
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn detached(line: &str, jid: &str, limit: u64, dir: &str) -> Job {
    Job {
        module: "shell".into(),
        args: dict! {"_raw_params" => line},
        async_: Some(AsyncSpec { jid: jid.into(), limit, dir: Some(dir.into()) }),
        ..Job::default()
    }
}

fn status(jid: &str, dir: &str) -> Dict {
    let mut helper = Helper::start();
    let args = dict! {"jid" => jid, "_async_dir" => dir};
    let result = helper.run(Job { module: "async_status".into(), args, ..Job::default() });
    helper.end();
    result
}

fn finished(jid: &str, dir: &str) -> Dict {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let status = status(jid, dir);
        if status.get("finished") == Some(&Value::Bool(true)) || Instant::now() > until {
            return status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_job_outlives_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_string_lossy().into_owned();
    let mut helper = Helper::start();
    let started = helper.run(detached("sleep 0.5; echo done; exit 3", "j1", 30, &dir));
    assert_eq!(started.get("finished"), Some(&Value::Bool(false)), "{started:?}");
    helper.end();
    let running = status("j1", &dir);
    assert_eq!(running.get("finished"), Some(&Value::Bool(false)), "{running:?}");
    let ended = finished("j1", &dir);
    assert_eq!(ended.get("stdout"), Some(&Value::from("done")), "{ended:?}");
    assert_eq!((ended.get("rc"), ended.get("failed")), (Some(&Value::Int(3)), Some(&Value::Bool(true))));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(directory.path().join("j1")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn time_ends_a_job_and_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_string_lossy().into_owned();
    let mark = directory.path().join("late");
    let mut helper = Helper::start();
    helper.run(detached(&format!("sleep 3; touch {}", mark.display()), "j2", 1, &dir));
    helper.end();
    let ended = finished("j2", &dir);
    assert_eq!(ended.get("msg"), Some(&Value::from("Timeout exceeded")));
    std::thread::sleep(Duration::from_secs(3));
    assert!(!mark.exists());
}

#[test]
fn unknown_jobs_are_said_to_be_unknown() {
    for jid in ["nope", "../etc/passwd"] {
        let result = status(jid, "/tmp");
        assert_eq!(result.get("msg"), Some(&Value::from("could not find job")));
    }
}
