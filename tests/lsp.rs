//! The language server, spoken to over standard input and output as editors do.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

struct Editor {
    child: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    kept: Vec<Value>,
    root: PathBuf,
    next: i64,
    place: tempfile::TempDir,
}

impl Editor {
    fn open() -> Editor {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap().join("my site");
        for (path, text) in [
            ("ansible.cfg", "[defaults]\ninventory = inventory.yml\nroles_path = roles\n"),
            (
                "inventory.yml",
                "etcd:\n  hosts:\n    h1: { etcd_seq: 1 }\n    h2: { etcd_seq: 2, port: 1 }\n  vars:\n    etcd_cluster: main\n    port: 2\n",
            ),
            (
                "site.yml",
                "- hosts: etcd\n  vars:\n    colour: red\n  roles:\n    - web\n  tasks:\n    - debug:\n        msg: \"{{ port }}\"\n    - include_tasks: more.yml\n",
            ),
            ("more.yml", "- debug:\n    msg: hello\n"),
            (
                "roles/web/tasks/main.yml",
                "- name: Write\n  template:\n    src: web.conf.j2\n    dest: /etc/web.conf\n    mode: \"0644\"\n  when: port is defined and port | int > 0\n  notify: restart web\n",
            ),
            (
                "roles/web/handlers/main.yml",
                "- name: restart web\n  service:\n    name: web\n    state: restarted\n",
            ),
            ("roles/web/defaults/main.yml", "port: 80\nwebsite: x\n"),
            (
                "roles/web/templates/web.conf.j2",
                "listen {{ port }} {{ website }}\n{% for h in groups['etcd'] %}{{ hostvars[h].etcd_seq }}{% endfor %}\n",
            ),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .arg("lsp")
            .env("HOME", place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    match line.trim().strip_prefix("Content-Length: ") {
                        Some(number) => length = number.parse().unwrap(),
                        None if line.trim().is_empty() => break,
                        None => {}
                    }
                }
                let mut bytes = vec![0; length];
                reader.read_exact(&mut bytes).unwrap();
                if sender.send(serde_json::from_slice(&bytes).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut editor = Editor { child, input, output, kept: Vec::new(), root, next: 0, place };
        let folder = editor.uri("");
        let answer = editor.ask(
            "initialize",
            json!({ "processId": null, "capabilities": {}, "rootUri": null,
            "workspaceFolders": [{ "uri": folder.trim_end_matches('/'), "name": "site" }] }),
        );
        assert_eq!(answer["serverInfo"]["name"], "quorate");
        assert_eq!(answer["capabilities"]["definitionProvider"], true);
        editor.tell("initialized", json!({}));
        editor
    }

    fn uri(&self, path: &str) -> String {
        format!("file://{}/{path}", self.root.display().to_string().replace(' ', "%20"))
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.input.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn receive(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        loop {
            let message = self.output.recv_timeout(Duration::from_mins(1)).expect("an answer in time");
            if wanted(&message) {
                return message;
            }
            self.kept.push(message);
        }
    }

    fn ask_raw(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.receive(|message| message["id"] == id)
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask_raw(method, params);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    fn open_file(&mut self, path: &str, text: &str) {
        let uri = self.uri(path);
        self.tell(
            "textDocument/didOpen",
            json!({ "textDocument": { "uri": uri, "languageId": "yaml", "version": 1, "text": text } }),
        );
    }

    fn change(&mut self, path: &str, text: &str) {
        let uri = self.uri(path);
        self.tell(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "text": text }] }),
        );
    }

    fn diagnostics(&mut self, path: &str) -> Vec<String> {
        let uri = self.uri(path);
        let note = self.receive(|message| {
            message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri
        });
        let diags = note["params"]["diagnostics"].as_array().unwrap().clone();
        diags
            .iter()
            .map(|diag| {
                format!(
                    "{} {}:{} {}",
                    diag["code"].as_str().unwrap(),
                    diag["range"]["start"]["line"],
                    diag["range"]["start"]["character"],
                    diag["message"].as_str().unwrap()
                )
            })
            .collect()
    }

    fn at(&self, path: &str, line: u32, character: u32) -> Value {
        json!({ "textDocument": { "uri": self.uri(path) }, "position": { "line": line, "character": character } })
    }

    /// Where a definition leads: the file, line and column.
    fn definition(&mut self, path: &str, line: u32, character: u32) -> Vec<String> {
        let at = self.at(path, line, character);
        let answer = self.ask("textDocument/definition", at);
        let base = self.uri("");
        answer
            .as_array()
            .unwrap()
            .iter()
            .map(|place| {
                let uri = place["uri"].as_str().unwrap().strip_prefix(&base).unwrap().to_owned();
                format!("{uri}:{}:{}", place["range"]["start"]["line"], place["range"]["start"]["character"])
            })
            .collect()
    }

    fn labels(&mut self, path: &str, line: u32, character: u32) -> Vec<String> {
        let at = self.at(path, line, character);
        let answer = self.ask("textDocument/completion", at);
        answer.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    }

    fn close(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        drop(self.input);
        assert!(self.child.wait().unwrap().success());
        drop(self.place);
    }

    fn text(&self, path: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }
}

#[test]
fn diagnostics_follow_what_is_typed() {
    let mut editor = Editor::open();
    let good = editor.text("site.yml");
    editor.open_file("site.yml", &good);
    assert_eq!(editor.diagnostics("site.yml"), Vec::<String>::new());
    // not saved
    editor.change("site.yml", &good.replace("debug:", "debgu:").replace("- web", "- wbe"));
    let found = editor.diagnostics("site.yml");
    assert!(
        found.iter().any(|d| d.starts_with("E0140 6:6") && d.contains("did you mean `debug`")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|d| d.starts_with("E0121 4:6") && d.contains("did you mean `web`")),
        "{found:?}"
    );
    editor.change("site.yml", "- hosts: etcd\n  tasks: [\n");
    let found = editor.diagnostics("site.yml");
    assert!(found.iter().any(|d| d.starts_with("E0100")), "{found:?}");
    editor.change("site.yml", &good);
    assert_eq!(editor.diagnostics("site.yml"), Vec::<String>::new());
    let role = editor.text("roles/web/tasks/main.yml");
    editor.open_file("roles/web/tasks/main.yml", &role.replace("mode:", "moed:"));
    let found = editor.diagnostics("roles/web/tasks/main.yml");
    assert!(
        found.iter().any(|d| d.starts_with("E0145 4:4") && d.contains("did you mean `mode`")),
        "{found:?}"
    );
    let inventory = editor.text("inventory.yml");
    editor.open_file("inventory.yml", &inventory.replace("vars:", "vras:"));
    let found = editor.diagnostics("inventory.yml");
    assert!(found.iter().any(|d| d.contains("vras")), "{found:?}");
    editor.close();
}

#[test]
fn definitions_lead_to_variables_roles_files_and_handlers() {
    let mut editor = Editor::open();
    let site = editor.text("site.yml");
    editor.open_file("site.yml", &site);
    assert_eq!(
        editor.definition("site.yml", 7, 17),
        ["inventory.yml:3:23", "inventory.yml:6:4", "roles/web/defaults/main.yml:0:0"]
    );
    assert_eq!(editor.definition("site.yml", 4, 8), ["roles/web/tasks/main.yml:0:0"]);
    assert_eq!(editor.definition("site.yml", 8, 24), ["more.yml:0:0"]);
    assert_eq!(editor.definition("roles/web/tasks/main.yml", 2, 12), ["roles/web/templates/web.conf.j2:0:0"]);
    assert_eq!(editor.definition("roles/web/tasks/main.yml", 6, 12), ["roles/web/handlers/main.yml:0:8"]);
    assert_eq!(editor.definition("roles/web/tasks/main.yml", 5, 10).len(), 3);
    assert_eq!(
        editor.definition("roles/web/templates/web.conf.j2", 0, 22),
        ["roles/web/defaults/main.yml:1:0"]
    );
    editor.close();
}

#[test]
fn hover_tells_which_definition_counts() {
    let mut editor = Editor::open();
    let site = editor.text("site.yml");
    editor.open_file("site.yml", &site);
    let at = editor.at("site.yml", 7, 17);
    let answer = editor.ask("textDocument/hover", at);
    let text = answer["contents"]["value"].as_str().unwrap();
    assert!(text.contains("port on h1"), "{text}");
    assert!(
        text.lines().any(|line| line.trim_start().starts_with("→")
            && line.contains("of h2")
            && line.contains("inventory.yml:4")
            && line.ends_with('1')),
        "{text}"
    );
    assert!(
        text.lines().any(|line| line.trim_start().starts_with("→")
            && line.contains("inventory.yml:7")
            && line.ends_with('2')),
        "{text}"
    );
    assert!(text.contains("defaults of role web") && text.contains("80"), "{text}");
    let at = editor.at("roles/web/tasks/main.yml", 1, 5);
    let answer = editor.ask("textDocument/hover", at);
    assert!(answer["contents"]["value"].as_str().unwrap().contains("ansible.builtin.template"), "{answer}");
    editor.close();
}

#[test]
fn a_variable_is_renamed_everywhere() {
    let mut editor = Editor::open();
    let site = editor.text("site.yml");
    editor.open_file("site.yml", &site);
    let mut asked = editor.at("site.yml", 7, 17);
    asked["newName"] = json!("web_port");
    let answer = editor.ask("textDocument/rename", asked.clone());
    let changes = answer["changes"].as_object().unwrap();
    assert_eq!(changes.len(), 5, "{answer}");
    for (uri, edits) in changes {
        let path = uri.strip_prefix(&editor.uri("")).unwrap();
        let mut lines: Vec<String> = editor.text(path).lines().map(str::to_owned).collect();
        let mut edits = edits.as_array().unwrap().clone();
        edits.sort_by_key(|edit| std::cmp::Reverse(edit["range"]["start"]["character"].as_u64()));
        for edit in edits {
            let line = &mut lines[edit["range"]["start"]["line"].as_u64().unwrap() as usize];
            let (start, end) = (
                edit["range"]["start"]["character"].as_u64().unwrap() as usize,
                edit["range"]["end"]["character"].as_u64().unwrap() as usize,
            );
            assert_eq!(&line[start..end], "port");
            line.replace_range(start..end, edit["newText"].as_str().unwrap());
        }
        std::fs::write(editor.root.join(path), lines.join("\n") + "\n").unwrap();
    }
    let site = editor.text("site.yml");
    editor.change("site.yml", &site);
    let found = editor.definition("site.yml", 7, 17);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(editor.text("roles/web/templates/web.conf.j2").contains("{{ web_port }}"));
    assert!(editor.text("roles/web/tasks/main.yml").contains("web_port is defined and web_port | int"));
    // two variables must not become one, and what is nowhere defined has no new name
    let mut asked = editor.at("site.yml", 7, 17);
    asked["newName"] = json!("website");
    assert!(
        editor.ask_raw("textDocument/rename", asked.clone())["error"]["message"]
            .as_str()
            .unwrap()
            .contains("defined already")
    );
    asked["newName"] = json!("1x");
    assert!(
        editor.ask_raw("textDocument/rename", asked)["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no name of a variable")
    );
    editor.close();
}

#[test]
fn completion_knows_what_fits() {
    let mut editor = Editor::open();
    let has = |labels: &[String], wanted: &[&str], unwanted: &[&str]| {
        for word in wanted {
            assert!(labels.iter().any(|label| label == word), "{word} in {labels:?}");
        }
        for word in unwanted {
            assert!(!labels.iter().any(|label| label == word), "{word} not in {labels:?}");
        }
    };
    let text = "- hosts: \n  ta\n  roles:\n    - \n  tasks:\n    - name: a\n      cop\n    - copy:\n        src: a\n        de\n    - service:\n        name: x\n        state: \n    - debug:\n        msg: \"{{ po }}\"\n    - debug:\n        msg: \"{{ port | de }}\"\n      when: co\n      notify: \n";
    editor.open_file("site.yml", text);
    has(&editor.labels("site.yml", 0, 9), &["etcd", "h1", "h2"], &["copy"]);
    has(&editor.labels("site.yml", 1, 4), &["tasks", "gather_facts", "become"], &["copy", "when"]);
    has(&editor.labels("site.yml", 3, 6), &["web"], &["copy"]);
    has(&editor.labels("site.yml", 6, 9), &["copy", "when", "register", "etcd_health"], &["name", "hosts"]);
    has(&editor.labels("site.yml", 9, 10), &["dest", "mode", "content"], &["src", "when"]);
    has(&editor.labels("site.yml", 12, 15), &["started", "restarted"], &["absent"]);
    has(&editor.labels("site.yml", 14, 19), &["port", "website", "inventory_hostname"], &["copy"]);
    has(&editor.labels("site.yml", 16, 25), &["default", "to_json"], &["port"]);
    has(&editor.labels("site.yml", 17, 14), &["port"], &["copy"]);
    has(&editor.labels("site.yml", 18, 14), &["restart web"], &["copy"]);
    editor.close();
}

/// Variables come from many places, and stand in lines that are not ASCII.
#[test]
fn every_kind_of_variable_has_a_definition_and_a_new_name() {
    let mut editor = Editor::open();
    let write = |editor: &Editor, path: &str, text: &str| {
        let path = editor.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(&editor, "group_vars/etcd.yml", "of_group: 1\n");
    write(&editor, "host_vars/h1.yml", "of_host: 1\n");
    write(&editor, "files.yml", "of_file: 1\n");
    let text = "- hosts: etcd\n  vars_files: [files.yml]\n  tasks:\n    - command: date\n      register: seen\n    - set_fact:\n        made: 1\n    - debug:\n        msg: \"é𝄞 {{ seen.stdout }} {{ made }} {{ own }}\"\n      vars:\n        own: 1\n    - debug:\n        msg: \"{{ of_group + of_host + of_file }}\"\n    - include_role:\n        name: web\n";
    write(&editor, "kinds.yml", text);
    editor.open_file("kinds.yml", text);
    // columns are counted in UTF-16, of which the clef takes two
    assert_eq!(editor.definition("kinds.yml", 8, 22), ["kinds.yml:4:16"]);
    assert_eq!(editor.definition("kinds.yml", 8, 40), ["kinds.yml:6:8"]);
    assert_eq!(editor.definition("kinds.yml", 8, 51), ["kinds.yml:10:8"]);
    assert_eq!(editor.definition("kinds.yml", 12, 20), ["group_vars/etcd.yml:0:0"]);
    assert_eq!(editor.definition("kinds.yml", 12, 30), ["host_vars/h1.yml:0:0"]);
    assert_eq!(editor.definition("kinds.yml", 12, 40), ["files.yml:0:0"]);
    assert_eq!(editor.definition("kinds.yml", 14, 15), ["roles/web/tasks/main.yml:0:0"]);
    let mut asked = editor.at("kinds.yml", 8, 22);
    asked["newName"] = json!("answer");
    let answer = editor.ask("textDocument/rename", asked);
    let uri = editor.uri("kinds.yml");
    let mut places: Vec<String> = answer["changes"][&uri]
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| format!("{}:{}", edit["range"]["start"]["line"], edit["range"]["start"]["character"]))
        .collect();
    places.sort();
    assert_eq!(places, ["4:16", "8:21"]);
    editor.close();
}
