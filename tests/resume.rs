//! Runs that are killed, and go on: nothing is lost, and only what was in flight happens twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PLAY: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: Begin
      shell: echo begin-{{ inventory_hostname }} >> log; echo of-{{ inventory_hostname }}
      register: one
      notify: restart
    - name: Keep
      set_fact: {kept: "{{ one.stdout }}"}
    - include_tasks: more.yml
      loop: [1, 2, 3]
      loop_control: {loop_var: turn}
    - name: For all
      shell: echo once >> log
      run_once: true
    - block:
        - shell: "echo try-{{ kept }} >> log; false"
      rescue:
        - shell: "echo rescue-{{ kept }} >> log"
    - name: End
      shell: "echo end-{{ kept }} >> log"
  handlers:
    - name: restart
      shell: echo handler-{{ kept }} >> log
"#;
const MORE: &str = "- shell: \"sleep 0.02; echo more-{{ turn }}-{{ kept }} >> log\"\n";

fn quorate(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", dir.join("home"));
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn stage(dir: &Path) {
    std::fs::create_dir(dir.join("home")).unwrap();
    std::fs::write(dir.join("p.yml"), PLAY).unwrap();
    std::fs::write(dir.join("more.yml"), MORE).unwrap();
}

const ARGS: &[&str] = &["play", "p.yml", "-i", "a,b,c,", "-c", "local"];

/// Every line that a whole run writes, in any order.
fn whole() -> Vec<String> {
    let mut lines = vec!["once".to_owned()];
    for host in ["a", "b", "c"] {
        lines.push(format!("begin-{host}"));
        for what in ["more-1", "more-2", "more-3", "try", "rescue", "end", "handler"] {
            lines.push(format!("{what}-of-{host}"));
        }
    }
    lines.sort();
    lines
}

fn log(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_run_that_is_killed_goes_on() {
    // moments from before the first task to after the last one
    for (round, millis) in [20u64, 45, 70, 95, 120, 150, 180, 220, 260, 320].into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        stage(dir.path());
        let mut kills = 0;
        let ahead = round % 2 == 0;
        let quorate = |dir: &Path, args: &[&str]| {
            let mut command = quorate(dir, args);
            if !ahead {
                command.env("QUORATE_BATCH", "off");
            }
            command
        };
        let mut began = quorate(dir.path(), ARGS);
        loop {
            let mut child = began.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            if child.try_wait().unwrap().is_some() || kills == 3 {
                let ended = child.wait_with_output().unwrap();
                // killed when it had ended, and was only about to leave
                let over = said(&ended).contains("came to its end") && kills > 0;
                assert!(ended.status.success() || over, "round {round}, {kills} kills: {}", said(&ended));
                break;
            }
            // SIGKILL
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // what was in flight ends by itself
            std::thread::sleep(Duration::from_millis(60));
            let runs = quorate(dir.path(), &["history"]).output().unwrap();
            let broke_off = said(&runs).contains("broke off");
            let mut done = log(dir.path());
            done.dedup();
            if !broke_off && done == whole() {
                // it had ended, and was only about to leave
                break;
            }
            began = if broke_off {
                quorate(dir.path(), &["play", "--resume", "last"])
            } else {
                quorate(dir.path(), ARGS)
            };
        }
        let mut once = log(dir.path());
        let all = once.len();
        once.dedup();
        assert_eq!(once, whole(), "round {round}, {kills} kills");
        // three hosts, each with one task that runs
        assert!(
            all - once.len() <= 3 * kills,
            "round {round}: {} twice after {kills} kills",
            all - once.len()
        );
    }
}

/// On hosts with a helper: many tasks and items are on their way when the controller dies, and their hosts go on for a
/// moment. What they have done by then is not done again, and what it changed still notifies.
const AHEAD: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: Items
      shell: echo item-{{ inventory_hostname }}-{{ item }} >> log; sleep 0.01
      args: {chdir: "{{ playbook_dir }}"}
      loop: "{{ range(25) | list }}"
      register: items
    - {name: File 1, copy: {dest: "{{ playbook_dir }}/{{ inventory_hostname }}.1", content: x}, notify: told}
    - {name: File 2, copy: {dest: "{{ playbook_dir }}/{{ inventory_hostname }}.2", content: x}, notify: told}
    - {name: File 3, copy: {dest: "{{ playbook_dir }}/{{ inventory_hostname }}.3", content: x}, notify: told}
    - {name: File 4, copy: {dest: "{{ playbook_dir }}/{{ inventory_hostname }}.4", content: x}, notify: told}
    - name: Alone
      shell: echo alone-{{ inventory_hostname }}-{{ items.results | length }} >> log
      args: {chdir: "{{ playbook_dir }}"}
    - name: More
      shell: echo more-{{ inventory_hostname }}-{{ item }} >> log; sleep 0.01
      args: {chdir: "{{ playbook_dir }}"}
      loop: "{{ range(25) | list }}"
  handlers:
    - name: told
      shell: echo told-{{ inventory_hostname }} >> log
      args: {chdir: "{{ playbook_dir }}"}
"#;

/// A container engine whose containers are this machine: hosts with a helper, and nothing to set up. Gives the path.
fn engine(at: &Path) -> String {
    let engine = at.join("docker");
    std::fs::write(&engine, "#!/bin/sh\nwhile [ \"$1\" != sh ]; do shift; done\nexec \"$@\"\n").unwrap();
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", at.display())
}

/// Attempts, detached jobs and what nobody may see are kept by no host: they are done again, with numbers of their own.
const APART: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: Kept
      shell: echo kept >> log
      args: {chdir: "{{ playbook_dir }}"}
    - name: Hidden
      shell: echo hidden >> log; echo quite-hidden
      args: {chdir: "{{ playbook_dir }}"}
      register: hidden
      no_log: true
    - name: Tried
      shell: "echo tried >> log; n=$(grep -c tried log); [ $n != 2 ] || until [ -e go ]; do sleep 0.02; done; [ $n -ge 4 ]"
      args: {chdir: "{{ playbook_dir }}"}
      register: tried
      until: tried.rc == 0
      retries: 9
      delay: 0
    - name: Apart
      shell: "echo apart >> log; until [ -e end ]; do sleep 0.02; done"
      args: {chdir: "{{ playbook_dir }}"}
      async: 60
      poll: 1
    - name: Told
      shell: echo {{ hidden.stdout }}-{{ tried.attempts }} >> log
      args: {chdir: "{{ playbook_dir }}"}
"#;

#[test]
fn attempts_and_detached_jobs_are_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::create_dir(at.join("home")).unwrap();
    std::fs::write(at.join("p.yml"), APART).unwrap();
    let path = engine(at);
    let run = |args: &[&str]| {
        let mut command = quorate(at, args);
        command.env("PATH", &path).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let count = |what: &str| log(at).iter().filter(|line| *line == what).count();
    // killed in the second attempt, and while the detached job runs
    let mut args = vec!["play", "p.yml", "-i", "a,", "-c", "docker"];
    for (line, times) in [("tried", 2), ("apart", 1)] {
        let mut child = run(&args).spawn().unwrap();
        while count(line) < times {
            assert!(child.try_wait().unwrap().is_none(), "{}", said(&child.wait_with_output().unwrap()));
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::write(at.join("go"), "").unwrap();
        args = vec!["play", "--resume", "last"];
    }
    std::fs::write(at.join("end"), "").unwrap();
    let ended = run(&args).output().unwrap();
    assert!(ended.status.success(), "{}", said(&ended));
    assert!(!said(&ended).contains("quite-hidden"), "{}", said(&ended));
    // the first two attempts were of the run that died; those that went on counted from one
    assert_eq!((count("kept"), count("hidden"), count("apart")), (1, 3, 2));
    assert_eq!((count("tried"), count("quite-hidden-2")), (4, 1), "{:?}", log(at));
}

/// How much has been done so far.
fn lines(at: &Path) -> usize {
    std::fs::read_to_string(at.join("log")).map_or(0, |log| log.lines().count())
}

#[test]
fn what_hosts_did_ahead_is_not_done_again() {
    let mut wanted = Vec::new();
    for host in ["a", "b"] {
        wanted.extend([format!("alone-{host}-25"), format!("told-{host}")]);
        for item in 0..25 {
            wanted.extend([format!("item-{host}-{item}"), format!("more-{host}-{item}")]);
        }
    }
    wanted.sort();
    let mut killed = 0;
    for (round, first) in [0, 1, 4, 11, 18, 26, 37, 50].into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        std::fs::create_dir(at.join("home")).unwrap();
        std::fs::write(at.join("p.yml"), AHEAD).unwrap();
        let path = engine(at);
        let args = ["play", "p.yml", "-i", "a,b,", "-c", "docker"];
        let run = |args: &[&str]| {
            let mut command = quorate(at, args);
            command.env("PATH", &path).stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let mut next = run(&args);
        let mut kills = 0;
        let last = loop {
            let mut child = next.spawn().unwrap();
            // by what has been done, not by the clock: a fast machine is not done before, a slow one has begun
            let enough = lines(at) + first + 6 * kills as usize;
            while lines(at) < enough && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            if kills == 3 || child.try_wait().unwrap().is_some() {
                let ended = child.wait_with_output().unwrap();
                let over = said(&ended).contains("came to its end") && kills > 0;
                assert!(ended.status.success() || over, "round {round}, {kills} kills: {}", said(&ended));
                break said(&ended);
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let broke_off = said(&run(&["history"]).output().unwrap()).contains("broke off");
            next = if broke_off { run(&["play", "--resume", "last"]) } else { run(&args) };
        };
        let all = log(at);
        let mut once = all.clone();
        once.dedup();
        assert_eq!(once, wanted, "round {round}, {kills} kills");
        let twice = all.len() - once.len();
        // one in flight a host
        assert!(twice as u64 <= 2 * kills, "round {round}: {twice} twice after {kills} kills");
        let left = std::fs::read_dir(at.join("home/.cache/quorate")).unwrap().flatten();
        let kept: Vec<_> =
            left.map(|e| e.file_name()).filter(|n| n.to_string_lossy().starts_with("kept")).collect();
        // a host that the last run had nothing to ask of keeps what it has for some days
        let spoke = ["a", "b"].iter().all(|host| last.contains(&format!("changed: [{host}]")));
        assert!(!spoke || kept.is_empty(), "a run that has ended well leaves nothing: {kept:?}\n{last}");
        killed += kills;
    }
    assert!(killed > 4, "only {killed} kills");
}

#[test]
fn a_torn_journal_goes_on_wherever_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    stage(dir.path());
    let run = quorate(dir.path(), ARGS).output().unwrap();
    assert!(run.status.success(), "{}", said(&run));
    let runs = dir.path().join("home/.local/state/quorate/runs");
    let journal = std::fs::read_dir(&runs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "run"))
        .unwrap();
    let bytes = std::fs::read(&journal).unwrap();
    let id = journal.file_stem().unwrap().to_string_lossy().rsplit('-').next().unwrap().to_owned();
    let mut cuts: Vec<usize> = (1..14).map(|part| bytes.len() * part / 14).collect();
    cuts.push(bytes.len() - 1);
    for cut in cuts {
        for entry in std::fs::read_dir(&runs).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "run") {
                std::fs::remove_file(path).unwrap();
            }
        }
        std::fs::write(&journal, &bytes[..cut]).unwrap();
        std::fs::remove_file(dir.path().join("log")).ok();
        let again = quorate(dir.path(), &["play", "--resume", &id]).output().unwrap();
        assert!(again.status.success(), "cut at {cut}: {}", said(&again));
        let left = log(dir.path());
        let all = whole();
        // what stands is not done again, and what is done is done once
        assert!(left.iter().all(|line| all.contains(line)), "cut at {cut}: {left:?}");
        let mut once = left.clone();
        once.dedup();
        assert_eq!(once, left, "cut at {cut}");
        if cut + 1 == bytes.len() {
            assert!(left.is_empty(), "everything stands: {left:?}");
        }
    }
}

#[test]
fn secrets_are_in_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::create_dir(at.join("home")).unwrap();
    std::fs::write(at.join("vault-pass"), "open sesame now\n").unwrap();
    let mut vault =
        quorate(at, &["vault", "encrypt_string", "--vault-password-file", "vault-pass", "Sw0rdfish-7"]);
    let vaulted = String::from_utf8(vault.output().unwrap().stdout).unwrap();
    let vaulted = vaulted.trim().replace('\n', "\n      ");
    std::fs::write(
        at.join("p.yml"),
        format!(
            r#"
- hosts: all
  gather_facts: false
  vars:
    plain_word: {vaulted}
  tasks:
    - name: Says it
      shell: "echo is {{{{ plain_word }}}}"
      register: said
    - name: Hides it
      shell: "echo Hidden-Word-9"
      no_log: true
      register: hidden
    - name: Given
      shell: "echo {{{{ given }}}}"
      no_log: true
      register: third
    - name: Reads them
      shell: "test '{{{{ said.stdout }}}}' = 'is Sw0rdfish-7' -a '{{{{ hidden.stdout }}}}' = Hidden-Word-9"
    - name: Fails
      shell: "echo Sw0rdfish-7 >&2; test -e go"
"#
        ),
    )
    .unwrap();
    let args = [
        "play",
        "p.yml",
        "-i",
        "a,",
        "-c",
        "local",
        "--vault-password-file",
        "vault-pass",
        "-e",
        "given=Extra-Word-5",
    ];
    let run = quorate(at, &args).output().unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    let mut seen = 0;
    for entry in std::fs::read_dir(at.join("home/.local/state/quorate/runs")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in ["Sw0rdfish-7", "Hidden-Word-9", "Extra-Word-5", "open sesame now"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in a journal");
        }
        seen += usize::from(bytes.windows(5).any(|window| window == b"Fails"));
    }
    assert_eq!(seen, 1);
    // tasks whose results could not be kept run again, and the run comes to its end
    std::fs::write(at.join("go"), "").unwrap();
    let again = quorate(at, &["play", "--resume", "last", "-e", "given=Extra-Word-5"]).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
    let text = said(&again);
    assert!(text.contains("TASK [Says it]") && text.contains("TASK [Hides it]"), "{text}");
    assert!(!text.contains("TASK [Reads them]") && text.contains("TASK [Fails]"), "{text}");
}
