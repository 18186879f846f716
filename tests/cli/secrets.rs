//! A corpus full of secrets, run with everything turned on: what people and files get is searched for them.

use super::links;
use std::path::Path;
use std::process::{Command, Stdio};

const SECRETS: [&str; 7] = [
    "VAULTED-s3cr3t-1",
    "INLINE-s3cr3t-2",
    "ROLE-s3cr3t-3",
    "EXTRA-s3cr3t-4",
    "FILE-s3cr3t-5",
    "NOLOG-s3cr3t-6",
    "BECOME-s3cr3t-7",
];

const PLAY: &str = r#"
- hosts: h1,h2
  gather_facts: false
  vars_files: [vault.yml]
  vars:
    dsn: "host=x password={{ db_password }}"
    nested: {list: [{deep: "{{ inline }}"}]}
  roles: [hidden]
  tasks:
    - name: written with differences
      copy: {content: "p={{ db_password }} {{ inline }}\n", dest: "{{ playbook_dir }}/hosts.d/{{ inventory_hostname }}", mode: "0600"}
    - name: written again
      lineinfile: {path: "{{ playbook_dir }}/hosts.d/{{ inventory_hostname }}", line: "q={{ role_password }}"}
    - name: a vaulted file
      copy: {src: vaulted.txt, dest: "{{ playbook_dir }}/hosts.d/{{ inventory_hostname }}.txt", mode: "0600"}
    - name: echoed by the host
      command: echo {{ dsn }} {{ extra_password }}
      register: echoed
    - name: printed
      debug: {msg: "{{ dsn }} {{ echoed.stdout }} {{ lookup('file', 'vaulted.txt') }}"}
    - debug: {var: nested}
    - debug: {var: echoed.stdout_lines}
    - name: kept to itself
      command: echo NOLOG-s3cr3t-6
      no_log: true
      register: quiet
    - name: kept to itself, item by item
      command: echo {{ item }}
      loop: [NOLOG-s3cr3t-6, "{{ inline }}"]
      no_log: true
    - name: by item
      command: echo {{ item }}
      loop: ["{{ db_password }}", "{{ role_password }}"]
    - name: in a name {{ db_password }}
      set_fact: {derived: "{{ db_password ~ 'x' }}", cacheable: true}
    - name: fails with it
      command: "false {{ inline }}"
      ignore_errors: true
    - name: no such command
      command: "/nope/{{ inline }}"
      ignore_errors: true
    - name: undefined beside it
      debug: {msg: "{{ db_password + nope }}"}
      ignore_errors: true
    - name: not true
      assert: {that: "db_password == inline"}
      ignore_errors: true
    - name: a wrong argument
      file: {path: "{{ db_password }}", state: "{{ inline }}"}
      ignore_errors: true
    - name: a moment to look at the processes
      pause: {seconds: 2}
    - name: the end
      fail: {msg: "no {{ role_password }} {{ extra_password }}"}
"#;

fn vaulted(place: &Path, programs: &Path, name: &str, text: &str) {
    let plain = place.join("plain");
    std::fs::write(&plain, text).unwrap();
    let path = place.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let done = Command::new(programs.join("ansible-vault"))
        .args(["encrypt", "--vault-password-file", "password", "--output", name, "plain"])
        .current_dir(place)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::remove_file(plain).unwrap();
}

/// The command lines and environments of all processes below one.
fn processes(root: u32) -> String {
    let mut all = String::new();
    let mut family = vec![root];
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if pid == root || parent.is_some_and(|parent| family.contains(&parent)) {
            family.push(pid);
            // what a task hands to a command of its host is that host's own affair; here both are one machine
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if ["echo", "false"].contains(&name.trim()) {
                continue;
            }
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                all.push_str(&String::from_utf8_lossy(&bytes).replace('\0', " "));
            }
        }
    }
    all
}

fn found(text: &str) -> Vec<&'static str> {
    SECRETS.iter().copied().filter(|secret| text.contains(secret)).collect()
}

#[test]
fn no_secret_is_seen_anywhere() {
    let programs = links();
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("password"), "the-vaults-Own-passw0rd\n").unwrap();
    std::fs::write(at("become"), "BECOME-s3cr3t-7\n").unwrap();
    vaulted(place.path(), programs.path(), "vault.yml", "db_password: VAULTED-s3cr3t-1\ndb_user: postgres\n");
    vaulted(place.path(), programs.path(), "roles/hidden/vars/main.yml", "role_password: ROLE-s3cr3t-3\n");
    vaulted(place.path(), programs.path(), "extra.yml", "extra_password: EXTRA-s3cr3t-4\n");
    vaulted(place.path(), programs.path(), "vaulted.txt", "first line\nFILE-s3cr3t-5\n");
    vaulted(place.path(), programs.path(), "inline", "INLINE-s3cr3t-2");
    let inline = std::fs::read_to_string(at("inline")).unwrap().replace('\n', "\n    ");
    let hosts = format!(
        "all:\n  vars:\n   inline: !vault |\n    {inline}\n   ansible_connection: local\n   ansible_become_password: BECOME-s3cr3t-7\n  hosts: {{h1: , h2: }}\n"
    );
    std::fs::write(at("hosts.yml"), hosts).unwrap();
    std::fs::write(at("play.yml"), PLAY).unwrap();
    std::fs::create_dir(at("hosts.d")).unwrap();
    std::fs::create_dir(at("tmp")).unwrap();
    let run = Command::new(programs.path().join("quorate"))
        .args([
            "play",
            "play.yml",
            "-i",
            "hosts.yml",
            "--vault-password-file",
            "password",
            "-e",
            "@extra.yml",
        ])
        .args([
            "--become-password-file",
            "become",
            "-vvvv",
            "-D",
            "--report",
            "run.html",
            "--events",
            "run.jsonl",
        ])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", place.path().join("home"))
        .env("TMPDIR", at("tmp"))
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_LOG_PATH", at("run.log"))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(at("out")).unwrap())
        .stderr(std::fs::File::create(at("err")).unwrap())
        .spawn()
        .unwrap();
    let mut run = run;
    let mut seen = String::new();
    let status = loop {
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        // what a task hands to a command of the host is that host's own process list; here both are one
        let own = processes(run.id());
        seen.push_str(
            &own.replace("echo ", "\u{0}").split('\u{0}').next().map(str::to_owned).unwrap_or_default(),
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let out = std::fs::read_to_string(at("out")).unwrap();
    assert_eq!(status.code(), Some(2), "{out}\n{}", std::fs::read_to_string(at("err")).unwrap());
    assert!(out.contains("TASK [the end]"), "it came to its end: {out}");
    for file in ["hosts.d/h1", "hosts.d/h1.txt"] {
        assert!(!found(&std::fs::read_to_string(at(file)).unwrap()).is_empty(), "{file} has what it should");
    }
    for file in ["out", "err", "run.log", "run.html", "run.jsonl"] {
        let text = std::fs::read_to_string(at(file)).unwrap();
        assert!(!text.is_empty() || file == "err", "{file} is empty");
        let lines: Vec<&str> = text.lines().filter(|line| !found(line).is_empty()).take(5).collect();
        assert!(lines.is_empty(), "{file} shows {:?}:\n{}", found(&text), lines.join("\n"));
        assert!(!text.contains("the-vaults-Own-passw0rd"), "{file} shows the vault's password");
    }
    assert!(
        out.contains("********") && std::fs::read_to_string(at("run.html")).unwrap().contains("********")
    );
    assert!(found(&seen).is_empty(), "the process list shows {:?}", found(&seen));
    // what is left behind: caches, journals, temporary files
    let mut folders = vec![at("tmp"), at("home")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                assert!(found(&text).is_empty(), "{} holds {:?}", entry.path().display(), found(&text));
            }
        }
    }
}
