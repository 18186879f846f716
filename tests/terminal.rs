//! What a person at a terminal sees: the program runs on a pseudo-terminal, an emulator reads the screen.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]

use std::path::Path;
use std::process::{Command, Stdio};

const PLAY: &str = r#"
- name: etcd
  hosts: all
  gather_facts: false
  tasks:
    - name: Look
      command: "true"
      changed_when: false
    - name: Wait a little
      command: sleep 0.6
    - name: Fail here
      shell: "echo no room on /var >&2; exit {{ 1 if inventory_hostname != 'c' else 0 }}"
"#;

/// The screen at the end, and everything that was ever written to it.
fn screen(dir: &Path, columns: u16, env: &[(&str, &str)], command: &str) -> (String, Vec<u8>) {
    let sized = format!("stty cols {columns} rows 40; {command}");
    let run = Command::new("script")
        .args(["-qec", &sized, "/dev/null"])
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", dir)
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .env("NO_COLOR", "1")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut terminal = vt100::Parser::new(40, columns, 0);
    terminal.process(&run.stdout);
    (tidy(&terminal.screen().contents(), dir), run.stdout)
}

/// Times and names of runs are chance.
fn tidy(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.canonicalize().unwrap().display().to_string(), "HERE");
    let names = fancy_regex::Regex::new(r"(run |--resume )[0-9a-f]{4,}").unwrap();
    let times = fancy_regex::Regex::new(r"\d+\.\ds").unwrap();
    let text = names.replace_all(&text, "${1}RUN").into_owned();
    let text = times.replace_all(&text, "N.Ns").into_owned();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn stage() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.yml"), PLAY).unwrap();
    dir
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate");

#[test]
fn a_run_on_a_terminal() {
    let dir = stage();
    let command = format!("{PROGRAM} play p.yml -i a,b,c, -c local");
    let (text, bytes) = screen(dir.path(), 100, &[], &command);
    let wanted = "
p.yml · etcd (3 hosts) · run RUN · check off
✓              Look                                          3 ok                     N.Ns
✓              Wait a little                                 3 changed                N.Ns
✗              Fail here                                     1 changed  2 FAILED      N.Ns
    a b:
      error[E0411]: Module failed: non-zero return code
      stderr:
        no room on /var
      Origin: HERE/p.yml:11:7

       9     - name: Wait a little
      10       command: sleep 0.6
      11     - name: Fail here
               ^ column 7
      help: what it said is in `stderr` and `stdout`; `failed_when` says what counts as failure
";
    assert!(text.starts_with(wanted.trim_end_matches('\n')), "{text}");
    assert!(text.contains("PLAY RECAP ***") && text.contains("slowest: Wait a little on "), "{text}");
    assert!(text.contains("--resume RUN"), "{text}");
    let all = String::from_utf8_lossy(&bytes).into_owned();
    assert!(all.contains("3 running"), "what runs was shown: {all}");
    assert!(!text.contains("running"), "and is gone: {text}");
    assert!(!all.contains("\x1b[0;3"), "no colour where none is wanted: {all}");
}

#[test]
fn lines_fit_into_80_columns() {
    let dir = stage();
    let (text, _) = screen(dir.path(), 80, &[], &format!("{PROGRAM} play p.yml -i a,b,c, -c local"));
    let task = text.lines().find(|line| line.contains("Wait a little")).unwrap();
    assert!(task.contains("3 changed") && task.chars().count() < 80, "{text}");
}

#[test]
fn who_wants_lines_gets_lines() {
    let dir = stage();
    let play = "p.yml -i a,b,c, -c local";
    let link = dir.path().join("ansible-playbook");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    for (env, command) in [
        (&[][..], format!("{PROGRAM} play --plain {play}")),
        (&[("TERM", "dumb")][..], format!("{PROGRAM} play {play}")),
        (&[][..], format!("{} {play}", link.display())),
        (&[][..], format!("{PROGRAM} play {play} | cat")),
    ] {
        let (_, bytes) = screen(dir.path(), 100, env, &command);
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        assert!(text.contains("TASK [Look] ***") && text.contains("ok: [a]"), "{command}: {text}");
        assert!(!text.contains('\x1b'), "{command}: {text}");
    }
}

const LONG: &str = r#"
- name: etcd
  hosts: all
  gather_facts: false
  tasks:
    - name: Long
      shell: "echo begin >> log; sleep {{ 1.5 if inventory_hostname == 'a' else 1 }}; echo end >> log"
    - name: Next
      shell: echo next >> log
"#;

/// The program on a terminal with somebody at the keyboard.
struct Desk {
    child: std::process::Child,
    said: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Desk {
    fn sit(dir: &Path, command: &str) -> Desk {
        use std::io::Read as _;
        let mut child = Command::new("script")
            .args(["-qec", &format!("stty cols 100 rows 40; exec {command}"), "/dev/null"])
            .current_dir(dir)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", dir.display()))
            .env("HOME", dir)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let (mut from, to) = (child.stdout.take().unwrap(), said.clone());
        let reader = std::thread::spawn(move || {
            let mut piece = [0u8; 4096];
            while let Ok(n @ 1..) = from.read(&mut piece) {
                to.lock().unwrap().extend_from_slice(&piece[..n]);
            }
        });
        Desk { child, said, reader }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    fn ctrl_c(&mut self) {
        use std::io::Write as _;
        let keys = self.child.stdin.as_mut().unwrap();
        keys.write_all(b"\x03").unwrap();
        keys.flush().unwrap();
    }

    fn wait_for(&self, what: &str, is: impl Fn(&str) -> bool) {
        for _ in 0..1200 {
            if is(&self.said()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{what} did not come: {}", self.said());
    }

    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        (status.code(), String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned())
    }
}

fn long() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.yml"), LONG).unwrap();
    dir
}

fn lines(dir: &Path, line: &str) -> usize {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default().lines().filter(|l| *l == line).count()
}

#[test]
fn ctrl_c_once_finishes_what_is_in_flight() {
    for connection in ["local", "docker"] {
        finishes_what_is_in_flight(connection);
    }
}

/// `docker`: an engine whose containers are this machine, so hosts have a helper.
fn finishes_what_is_in_flight(connection: &str) {
    let dir = long();
    let at = dir.path();
    std::fs::write(at.join("docker"), "#!/bin/sh\nwhile [ \"$1\" != sh ]; do shift; done\nexec \"$@\"\n")
        .unwrap();
    std::fs::set_permissions(at.join("docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(at.join("p.yml"), LONG.replace("echo ", "cd {{ playbook_dir }}; echo ")).unwrap();
    let mut desk = Desk::sit(at, &format!("{PROGRAM} play p.yml -i a,b, -c {connection}"));
    desk.wait_for("the task", |_| lines(at, "begin") == 2);
    desk.ctrl_c();
    desk.wait_for("the answer", |said| {
        said.contains("finishing what is in flight (Ctrl-C again stops at once)")
    });
    let (code, said) = desk.end();
    assert_eq!(code, Some(99), "{said}");
    assert_eq!((lines(at, "end"), lines(at, "next")), (2, 0), "{said}");
    assert!(said.contains("2 changed") && said.contains("PLAY RECAP"), "what was done is said: {said}");
    assert!(said.contains("stopped; this goes on where it ended (2 results stand)"), "{said}");
    assert!(!said.contains("FAILED"), "{said}");
    let (code, said) = Desk::sit(at, &format!("{PROGRAM} play --resume last")).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((lines(at, "begin"), lines(at, "next")), (2, 2), "{said}");
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let dir = long();
    let at = dir.path();
    std::fs::write(at.join("p.yml"), LONG.replace("sleep {{", "sleep 60{{")).unwrap();
    let mut desk = Desk::sit(at, &format!("{PROGRAM} play p.yml -i a,b, -c local"));
    desk.wait_for("the task", |_| lines(at, "begin") == 2);
    desk.ctrl_c();
    desk.wait_for("the answer", |said| said.contains("finishing what is in flight"));
    let began = std::time::Instant::now();
    desk.ctrl_c();
    let (code, said) = desk.end();
    assert_eq!(code, Some(99), "{said}");
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "at once, not after a minute: {said}");
    assert!(said.contains("stopped; `quorate play --resume ") && said.contains(" goes on"), "{said}");
    let screen = {
        let mut terminal = vt100::Parser::new(40, 100, 0);
        terminal.process(said.as_bytes());
        terminal.screen().contents()
    };
    assert!(!screen.contains("running"), "the live lines are gone: {screen}");
    assert_eq!((lines(at, "end"), lines(at, "next")), (0, 0), "{said}");
    // nothing that was begun goes on
    let mine = at.canonicalize().unwrap();
    let left = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == mine));
    let left: Vec<_> = left.map(|entry| std::fs::read_to_string(entry.path().join("cmdline"))).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ctrl_c_by_ansibles_name_is_ansibles() {
    let dir = long();
    let at = dir.path();
    let link = at.join("ansible-playbook");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    let mut desk = Desk::sit(at, &format!("{} p.yml -i a,b, -c local", link.display()));
    desk.wait_for("the task", |_| lines(at, "begin") == 2);
    desk.ctrl_c();
    let (code, said) = desk.end();
    assert_eq!(code, Some(99), "{said}");
    assert!(said.contains("[ERROR]: User interrupted execution"), "{said}");
    assert_eq!(lines(at, "next"), 0, "{said}");
}
