//! Small playbooks, compared as text with what ansible-core 2.19 says of them.
//!
//! In: `tests/differential/playbooks/*.txt`, written by `gen_playbooks.py` beside it. A case begins with `== TITLE`;
//! `@ PATH` begins a file of it, `> ARGS` is the command line (`--env NAME=VALUE` sets a variable), `| ` stands before what
//! standard output says, `! ` before standard error where the play did not begin, and `? N` is the exit status.
//! All hosts are the controller itself, so nothing but this program takes part.
//!
//! `~` before what is said marks a case in which we are known to say something else; that it does is checked, too.
//!
//! Recorded with `QUORATE_RECORD=DIR`, a directory that holds ansible-core's programs.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const HOSTS: &str = "[web]\nh1\nh2\n[db]\nh2\nh3\n[all:vars]\nansible_connection=local\nansible_python_interpreter=/usr/bin/python3\n";

struct Case {
    file: usize,
    title: String,
    files: Vec<(String, String)>,
    args: String,
    said: String,
    differs: bool,
}

impl Case {
    fn written(&self) -> String {
        let mut out = format!("== {}\n", self.title);
        for (path, text) in &self.files {
            write!(out, "@ {path}\n{text}").unwrap();
        }
        writeln!(out, "{}", format!("> {}", self.args).trim_end()).unwrap();
        if self.differs {
            out.push_str("~\n");
        }
        out + &self.said
    }
}

#[test]
fn playbooks_say_what_ansible_says() {
    let (paths, mut cases) = all();
    let record = std::env::var("QUORATE_RECORD").ok();
    let links = links();
    let programs = record.as_ref().map_or_else(|| links.path().to_path_buf(), PathBuf::from);
    let only = std::env::var("QUORATE_ONLY").ok();
    let next = AtomicUsize::new(0);
    let said: Mutex<Vec<(usize, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    // `QUORATE_ONLY=WORD|WORD` records only cases with one of the words in their files
                    let files = || case.files.iter().map(|(_, text)| text.as_str()).collect::<String>();
                    if only.as_ref().is_some_and(|only| !only.split('|').any(|word| files().contains(word))) {
                        continue;
                    }
                    let text = perform(case, &programs, HOSTS, &[]);
                    said.lock().unwrap().push((at, text));
                }
            });
        }
    });
    let mut failures = String::new();
    let mut count = 0;
    for (at, text) in said.into_inner().unwrap() {
        if record.is_some() {
            cases[at].said = text;
        } else if (cases[at].said != text) != cases[at].differs {
            count += 1;
            let name = paths[cases[at].file].file_stem().unwrap().to_string_lossy();
            if cases[at].differs {
                writeln!(failures, "=== {name}: {}\nis the same now: take its `~` away", cases[at].title)
                    .unwrap();
                continue;
            }
            let diff = similar::TextDiff::from_lines(&cases[at].said, &text);
            write!(failures, "=== {name}: {}\n{}", cases[at].title, diff.unified_diff().context_radius(2))
                .unwrap();
        }
    }
    if record.is_some() {
        for (file, path) in paths.iter().enumerate() {
            let text: Vec<String> = cases.iter().filter(|c| c.file == file).map(Case::written).collect();
            std::fs::write(path, text.join("\n")).unwrap();
        }
    }
    assert!(failures.is_empty(), "{count} of {} differ\n{failures}", cases.len());
}

/// Every file of cases, and every case.
fn all() -> (Vec<PathBuf>, Vec<Case>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/playbooks");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    let mut cases = Vec::new();
    for (file, path) in paths.iter().enumerate() {
        read(file, &std::fs::read_to_string(path).unwrap(), &mut cases);
    }
    assert!(cases.len() >= 300, "only {} cases", cases.len());
    (paths, cases)
}

/// Every playbook again on hosts that have a helper, each task after the end of the one before it and with tasks sent
/// ahead, with the gates and with every barrier of the linear strategy: what is said is the same.
#[test]
fn orders_say_the_same() {
    let (paths, cases) = all();
    let links = links();
    // a container engine whose containers are this machine: hosts with a helper, without anything to set up
    let engine = links.path().join("docker");
    std::fs::write(&engine, "#!/bin/sh\nwhile [ \"$1\" != sh ]; do shift; done\nexec \"$@\"\n").unwrap();
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hosts = HOSTS.replace("ansible_connection=local", "ansible_connection=docker");
    let cache = links.path().display().to_string();
    let next = AtomicUsize::new(0);
    let failures: Mutex<String> = Mutex::default();
    let only = std::env::var("QUORATE_ONLY").ok();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if only.as_ref().is_some_and(|only| !case.title.contains(only.as_str())) {
                        continue;
                    }
                    let say = |batch: &str, gates: &str| {
                        let env =
                            [("QUORATE_BATCH", batch), ("QUORATE_GATES", gates), ("XDG_CACHE_HOME", &cache)];
                        perform(case, links.path(), &hosts, &env)
                    };
                    let one_by_one = say("off", "all");
                    let ahead = say("on", "");
                    if one_by_one != ahead {
                        let diff = similar::TextDiff::from_lines(&one_by_one, &ahead);
                        let name = paths[case.file].file_stem().unwrap().to_string_lossy();
                        let mut failures = failures.lock().unwrap();
                        write!(
                            failures,
                            "=== {name}: {}\n{}",
                            case.title,
                            diff.unified_diff().context_radius(2)
                        )
                        .unwrap();
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{failures}");
}

/// A container engine that counts how often the two sides wait for each other, 30 ms apart.
const FAR: &str = r"#!/usr/bin/env python3
import os, queue, subprocess, sys, threading, time
child = subprocess.Popen(sys.argv[sys.argv.index('sh'):], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
last, turns = None, 0
def carry(name, source, sink):
    global last, turns
    waiting = queue.Queue()
    def read():
        global last, turns
        while True:
            data = os.read(source, 65536)
            if data and name != last:
                last, turns = name, turns + (name == 'to')
            waiting.put((time.monotonic() + 0.03, data))
            if not data:
                return
    threading.Thread(target=read, daemon=True).start()
    while True:
        at, data = waiting.get()
        time.sleep(max(0, at - time.monotonic()))
        if not data:
            return os.close(sink)
        os.write(sink, data)
threading.Thread(target=carry, args=('to', 0, child.stdin.fileno()), daemon=True).start()
carry('from', child.stdout.fileno(), 1)
with open(os.environ['TURNS'], 'a') as file:
    file.write(f'{turns}\n')
";

/// Tasks between two barriers, and the items of a loop, cost one round trip together.
#[test]
fn many_tasks_are_one_round_trip() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no python3 to stand in the way");
        return;
    }
    let links = links();
    let engine = links.path().join("docker");
    std::fs::write(&engine, FAR).unwrap();
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cache = links.path().display().to_string();
    let trips = |play: &str, batch: &str| -> u32 {
        let case = Case {
            file: 0,
            title: String::new(),
            files: vec![("play.yml".to_owned(), play.to_owned())],
            args: String::new(),
            said: String::new(),
            differs: false,
        };
        let log = links.path().join(format!("turns-{}-{batch}", play.len()));
        let log = log.display().to_string();
        let env = [("QUORATE_BATCH", batch), ("XDG_CACHE_HOME", cache.as_str()), ("TURNS", log.as_str())];
        let said = perform(&case, links.path(), "h1 ansible_connection=docker\n", &env);
        assert!(said.contains("failed=0"), "{said}");
        // the engine writes when its side has ended, which may be after ours
        for _ in 0..100 {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Ok(turns) = text.trim().parse() {
                return turns;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the engine wrote nothing")
    };
    let task = |i: u32| format!("  - stat: {{path: /etc/hostname}}\n    register: seen{i}\n");
    let tasks: String = (0..12).map(task).collect();
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
    let looped = "- hosts: all\n  gather_facts: false\n  tasks:\n  - command: echo {{ item }}\n    loop: '{{ range(12) | list }}'\n";
    // what is needed to put the helper there, and to greet it
    let connect = trips("- hosts: all\n  gather_facts: false\n  tasks:\n  - ping:\n", "off");
    let connect = connect.min(trips("- hosts: all\n  gather_facts: false\n  tasks:\n  - ping: \n", "off"));
    assert!(trips(&play, "off") >= connect + 11);
    assert!(trips(looped, "off") >= connect + 11);
    let (ahead, streamed) = (trips(&play, "on"), trips(looped, "on"));
    assert!(ahead <= connect + 2, "{ahead} round trips, {connect} for one task");
    assert!(streamed <= connect + 2, "{streamed} round trips, {connect} for one task");
    // a task that reads what another registers waits for it, and only for it
    let reads = play.clone()
        + "  - debug: {msg: '{{ seen3.stat.exists }}'}\n  - stat: {path: '{{ seen3.stat.path }}'}\n";
    assert!(trips(&reads, "on") <= connect + 3);
}

fn read(file: usize, text: &str, cases: &mut Vec<Case>) {
    let mut in_files = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("== ") {
            let title = title.to_owned();
            cases.push(Case {
                file,
                title,
                files: Vec::new(),
                args: String::new(),
                said: String::new(),
                differs: false,
            });
            in_files = true;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(path) = line.strip_prefix("@ ").filter(|_| in_files) {
            case.files.push((path.to_owned(), String::new()));
        } else if let Some(args) = line.strip_prefix('>').filter(|_| in_files) {
            args.trim().clone_into(&mut case.args);
            in_files = false;
        } else if in_files {
            let text = &mut case.files.last_mut().unwrap().1;
            text.push_str(line);
            text.push('\n');
        } else if line == "~" {
            case.differs = true;
        } else if !line.is_empty() {
            case.said.push_str(line);
            case.said.push('\n');
        }
    }
}

/// A Python module of a `library/` folder, packed by whatever `ansible-playbook` of the controller says it is a script of
/// Python: a stand-in here, so that this needs neither.
#[test]
fn python_modules_are_packed_by_the_controller() {
    use std::os::unix::fs::PermissionsExt as _;
    let links = links();
    let stand_in = tempfile::tempdir().unwrap();
    let python = stand_in.path().join("python-stand-in");
    // what it is asked goes into a file; what it packs is a shell script that shows its arguments
    let packer = format!(
        "#!/bin/sh\ncat >{asked}\ncat <<'END'\n2.19.0\n#!/usr/bin/python3\nparams=<<QUORATE_MODULE_PARAMS>>\nprintf '{{\"changed\": true, \"given\": %s}}' \"$params\"\nEND\n",
        asked = stand_in.path().join("asked").display()
    );
    for (path, text) in
        [(&python, packer), (&stand_in.path().join("ansible-playbook"), format!("#!{}\n", python.display()))]
    {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let module = "from ansible.module_utils.basic import AnsibleModule\n";
    let play = "- hosts: h1\n  gather_facts: false\n  tasks:\n  - ours: {name: \"it's\"}\n    register: r\n  - debug: {msg: '{{ r.given.ANSIBLE_MODULE_ARGS.name }} {{ r.given.ANSIBLE_MODULE_ARGS._ansible_check_mode }}'}\n";
    let case = Case {
        file: 0,
        title: String::new(),
        files: vec![("play.yml".into(), play.into()), ("library/ours.py".into(), module.into())],
        args: String::new(),
        said: String::new(),
        differs: false,
    };
    let path = format!("{}:{}:/usr/bin:/bin", links.path().display(), stand_in.path().display());
    let hosts = HOSTS.replace("/usr/bin/python3", "/bin/sh");
    let said = perform(&case, links.path(), &hosts, &[("PATH", &path)]);
    assert!(said.contains("\"msg\": \"it's False\""), "{said}");
    let asked = std::fs::read_to_string(stand_in.path().join("asked")).unwrap();
    assert!(asked.contains("library/ours.py") && !asked.contains("it's"), "{asked}");
    // without one, or where nobody wants it: the file is named
    for more in
        [("PATH", format!("{}:/usr/bin:/bin", links.path().display())), ("QUORATE_BRIDGE", "no".into())]
    {
        let said = perform(&case, links.path(), &hosts, &[("PATH", &path), (more.0, &more.1)]);
        assert!(said.contains("library/ours.py) is written in Python with Ansible's libraries"), "{said}");
    }
}

/// The same with the real ansible-core, where it is installed.
#[test]
fn ansible_core_packs_python_modules() {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracle/bin");
    let oracle = std::env::var_os("QUORATE_ORACLE").map_or(oracle, PathBuf::from);
    if !oracle.join("ansible-playbook").exists() || !Path::new("/usr/bin/python3").exists() {
        eprintln!("SKIPPED: Python modules need ansible-core in target/oracle, and python3");
        return;
    }
    let links = links();
    let collection = "collections/ansible_collections/my/own/plugins";
    let module = "from ansible.module_utils.basic import AnsibleModule\nfrom ansible.module_utils.ours_too import word\n\n\ndef main():\n    module = AnsibleModule(argument_spec=dict(name=dict(type='str', required=True), n=dict(type='int', default=1)), supports_check_mode=True)\n    module.exit_json(changed=not module.check_mode, greeting=word + ' ' + module.params['name'], n=module.params['n'])\n\n\nif __name__ == '__main__':\n    main()\n";
    let play = "- hosts: h1\n  gather_facts: false\n  tasks:\n  - ours: {name: \"\u{fc} 'you' \\\\\", n: '3'}\n    register: r\n  - debug: {msg: '{{ r.greeting }} {{ r.n + 1 }} {{ r.changed }}'}\n  - ours:\n    ignore_errors: true\n  - my.own.theirs: {name: you}\n    register: r\n  - debug: {msg: 'from a collection {{ r.n }}'}\n  - my.own.acts: {}\n";
    let case = Case {
        file: 0,
        title: String::new(),
        files: vec![
            ("play.yml".into(), play.into()),
            ("library/ours.py".into(), module.into()),
            ("module_utils/ours_too.py".into(), "word = 'hello'\n".into()),
            (
                format!("{collection}/modules/theirs.py"),
                module.replace(
                    "ansible.module_utils.ours_too",
                    "ansible_collections.my.own.plugins.module_utils.more",
                ),
            ),
            (format!("{collection}/module_utils/more.py"), "word = 'good day'\n".into()),
            (format!("{collection}/modules/acts.py"), module.into()),
            (format!("{collection}/action/acts.py"), "# the controller's part\n".into()),
        ],
        args: String::new(),
        said: String::new(),
        differs: false,
    };
    let path = format!("{}:{}:/usr/bin:/bin", links.path().display(), oracle.display());
    let said = perform(&case, links.path(), HOSTS, &[("PATH", &path)]);
    assert!(said.contains("\"msg\": \"from a collection 1\""), "{said}");
    assert!(said.contains("a plug-in on the controller does its work (my.own.acts)"), "{said}");
    assert!(said.contains("\"msg\": \"hello \u{fc} 'you' \\\\ 4 True\""), "{said}");
    assert!(said.contains("\"msg\": \"missing required arguments: name\""), "{said}");
}

/// `filter upper`, the expression, what it comes to: the reference shows exactly what was recorded.
#[test]
fn examples_of_the_reference_come_to_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/differential/playbooks/examples.txt")).unwrap();
    let mut cases = Vec::new();
    read(0, &text, &mut cases);
    let said = cases[0].said.replace("\n| ", "\n");
    let play = &cases[0].files[0].1;
    let examples = std::fs::read_to_string(root.join("src/cli/doc/examples.txt")).unwrap();
    let examples: Vec<&str> = examples.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(said.matches("TASK [").count(), examples.len());
    for example in examples {
        let cells: Vec<&str> = example.split('\t').collect();
        let [name, expression, result] = cells[..] else { panic!("not three cells: {example}") };
        assert!(
            play.contains(&format!(
                "- name: {name}\n      debug:\n        msg: |-\n          {{{{ {expression} }}}}\n"
            )),
            "the case does not ask {name}"
        );
        let (_, answer) = said.split_once(&format!("TASK [{name}] ")).unwrap();
        let (answer, _) = answer.split_once("\n}").unwrap();
        let (_, answer) = answer.split_once("ok: [h1] => ").unwrap_or_else(|| panic!("{name} failed"));
        let answer: serde_json::Value = serde_json::from_str(&format!("{answer}}}")).unwrap();
        let result: serde_json::Value = serde_json::from_str(result).unwrap();
        assert_eq!(answer["msg"], result, "{name}");
    }
}

/// A directory with this program under Ansible's name.
fn links() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quorate"), dir.path().join("ansible-playbook")).unwrap();
    dir
}

/// Runs a case in a directory of its own and writes down what it says.
fn perform(case: &Case, programs: &Path, hosts: &str, more: &[(&str, &str)]) -> String {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("hosts"), hosts).unwrap();
    for (path, text) in &case.files {
        let path = place.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (mut args, mut env) = (String::new(), Vec::new());
    let mut words = case.args.split(' ');
    while let Some(word) = words.next() {
        match word {
            "--env" => env.extend(words.next().and_then(|word| word.split_once('='))),
            word => write!(args, " {word}").unwrap(),
        }
    }
    let run = Command::new("bash")
        .args(["-c", &format!("ansible-playbook -i hosts play.yml{args}")])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", programs.display()))
        .env("HOME", place.path())
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_DEPRECATION_WARNINGS", "false")
        // hosts one after the other
        .env("ANSIBLE_FORKS", "1")
        .envs(env)
        .envs(more.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let tidy =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place.path().display().to_string(), "HERE");
    let mut out = String::new();
    let stdout = tidy(&run.stdout);
    for line in stdout.lines() {
        writeln!(out, "{}", format!("| {line}").trim_end()).unwrap();
    }
    if !stdout.contains("PLAY RECAP") {
        for line in tidy(&run.stderr).lines().filter(|line| !line.starts_with("[WARNING]")) {
            writeln!(out, "{}", format!("! {line}").trim_end()).unwrap();
        }
    }
    if !run.status.success() {
        writeln!(out, "? {}", run.status.code().unwrap_or(-1)).unwrap();
    }
    out
}
