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
      Task failed: Module failed: non-zero return code
      stderr:
        no room on /var
      Origin: HERE/p.yml:11:7

       9     - name: Wait a little
      10       command: sleep 0.6
      11     - name: Fail here
               ^ column 7
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
