//! `plan --as-shell`: for each host the commands that come to the same, for the night when only ssh is left.
//!
//! In: what would change, and the calls behind it. Out: a script a host, to be read before it is run.
//!
//! **Invariant:** what cannot be said in shell is said in a comment that begins with `# NOT HERE`, and no secret is
//! written: who runs the script puts it in.

use crate::forecast::{Call, Item, Outlook};
use crate::playbook::short_name;
use indexmap::IndexMap;
use quorate_agent::system::shlex;
use quorate_value::{Dict, Value, str_of};

/// The script of a whole plan, a part for each host.
pub(super) fn script(items: &[(Item, Vec<Call>)]) -> String {
    let mut hosts: IndexMap<String, Vec<String>> = IndexMap::new();
    for (item, calls) in items {
        if !matches!(item.outlook, Outlook::Change | Outlook::Unknown) {
            continue;
        }
        for call in calls {
            let host = call.delegated.clone().unwrap_or_else(|| item.key.host.clone());
            let mut lines = vec![format!("# {}  [{}]  {}", item.title, item.module, item.key.place)];
            if item.outlook == Outlook::Unknown {
                lines.push("# only running tells whether this changes anything".into());
            }
            match commands(call, item) {
                Ok(commands) => {
                    lines.extend(commands.into_iter().map(|line| become_(call.become_.as_deref(), &line)));
                }
                Err(why) => lines.push(format!("# NOT HERE: {}", why.replace('\n', " "))),
            }
            let part = hosts.entry(host).or_default();
            // what runs once for all is said once
            if !part.contains(&lines.join("\n")) {
                part.push(lines.join("\n"));
            }
        }
    }
    if hosts.is_empty() {
        return "# nothing would change".into();
    }
    let mut out = String::from(
        "# Read this before you run any of it. The order across hosts is that of the playbook;\n# take members of a cluster down one at a time, and wait until each is back.\n",
    );
    for (host, parts) in hosts {
        out.push_str(&format!(
            "\n##### {}\nset -eu\n",
            if host == "*" { "one host, for all" } else { &host }
        ));
        for part in parts {
            out.push_str(&format!("{part}\n"));
        }
    }
    out
}

fn quoted(text: &str) -> String {
    shlex::quote(text)
}

/// The line as another user's. Here-documents are the shell's that reads the script, whoever runs the command.
fn become_(user: Option<&str>, line: &str) -> String {
    let Some(user) = user else { return line.to_owned() };
    let flag = if user == "root" { String::new() } else { format!("-u {} ", quoted(user)) };
    let compound = line.starts_with('(') || line.contains(" || ");
    if compound { format!("sudo {flag}sh -c {}", quoted(line)) } else { format!("sudo {flag}{line}") }
}

struct Args<'a>(&'a Dict);

impl Args<'_> {
    fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.0.get(*name)).filter(|value| !value.is_null()).map(str_of)
    }

    fn need(&self, names: &[&str]) -> Result<String, String> {
        self.text(names).ok_or_else(|| format!("its `{}` is not known", names[0]))
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::to_bool_loose).unwrap_or(false)
    }

    fn list(&self, names: &[&str]) -> Vec<String> {
        match names.iter().find_map(|name| self.0.get(*name)) {
            Some(Value::List(items)) => items.iter().map(str_of).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(one) => str_of(one).split(',').map(|word| word.trim().to_owned()).collect(),
        }
    }
}

/// Owner and mode of a path.
fn manners(args: &Args<'_>, path: &str) -> Vec<String> {
    let mut out = Vec::new();
    let path = quoted(path);
    let deep = if args.flag("recurse") { "-R " } else { "" };
    match (args.text(&["owner"]), args.text(&["group"])) {
        (Some(owner), Some(group)) => {
            out.push(format!("chown {deep}{} {path}", quoted(&format!("{owner}:{group}"))))
        }
        (Some(owner), None) => out.push(format!("chown {deep}{} {path}", quoted(&owner))),
        (None, Some(group)) => out.push(format!("chgrp {deep}{} {path}", quoted(&group))),
        (None, None) => {}
    }
    if let Some(mode) = args.0.get("mode") {
        let mode = match mode {
            Value::Int(number) => format!("{number:04o}"),
            other => str_of(other),
        };
        if mode != "preserve" {
            out.push(format!("chmod {deep}{} {path}", quoted(&mode)));
        }
    }
    out
}

/// Content into a file, as a here-document.
fn written(path: &str, content: &str) -> String {
    let mut end = "END".to_owned();
    while content.lines().any(|line| line == end) {
        end.push('_');
    }
    let newline = if content.ends_with('\n') { "" } else { "\n" };
    format!("tee {} >/dev/null <<'{end}'\n{content}{newline}{end}", quoted(path))
}

/// What a file would hold, from the plan's difference: the lines that stay and those that come.
fn content_of(item: &Item) -> Option<String> {
    // a new file is all there; of a file that changes, only the places that do are known
    let mut out = String::new();
    let mut whole = false;
    for line in item.diff.lines() {
        if let Some(place) = line.strip_prefix("@@ ") {
            if !place.starts_with("-0,0 ") {
                return None;
            }
            whole = true;
        } else if let Some(text) = line.strip_prefix('+').filter(|_| whole) {
            out.push_str(text);
            out.push('\n');
        }
    }
    whole.then_some(out)
}

/// The part of a difference that `patch` takes.
fn patch(item: &Item, path: &str) -> Option<String> {
    let at = item.diff.find("@@ ")?;
    let mut end = "END".to_owned();
    while item.diff.lines().any(|line| line == end) {
        end.push('_');
    }
    let body = item.diff[at..].trim_end_matches('\n');
    let quoted_path = quoted(path);
    Some(format!("patch {quoted_path} <<'{end}'\n--- {path}\n+++ {path}\n{body}\n{end}"))
}

/// What starts or stops a member: its unit or its container. A container that is made anew is not known here.
fn member_process(given: &Dict, args: &Args<'_>) -> Result<Vec<String>, String> {
    let process = given.get("process").and_then(Value::as_dict);
    let text =
        |name: &str| process.and_then(|process| process.get(name)).filter(|v| !v.is_null()).map(str_of);
    let runtime = text("runtime").unwrap_or_else(|| "systemd".into());
    let name = quoted(&text("name").unwrap_or_else(|| "etcd".into()));
    let state = args.need(&["state"])?;
    let verb = match state.as_str() {
        "started" => "start",
        "restarted" => "restart",
        _ => "stop",
    };
    match runtime.as_str() {
        "systemd" => {
            let enabled = given.get("enabled").and_then(Value::to_bool_loose);
            let mut lines: Vec<String> = Vec::new();
            match enabled.or((state == "absent").then_some(false)) {
                Some(true) => lines.push(format!("systemctl enable {name}")),
                Some(false) => lines.push(format!("systemctl disable {name}")),
                None => {}
            }
            lines.push(format!("systemctl {verb} {name}"));
            Ok(lines)
        }
        "podman" | "docker" if state == "absent" => Ok(vec![format!("{runtime} rm -f {name}")]),
        "podman" | "docker" if state != "started" => Ok(vec![format!("{runtime} {verb} -t 60 {name}")]),
        _ => Err("whether a container or a manifest has to be made anew is known only by then".into()),
    }
}

fn commands(call: &Call, item: &Item) -> Result<Vec<String>, String> {
    if call.hidden {
        return Err("it is hidden by no_log".into());
    }
    if call.args.values().any(Value::holds_secret) {
        return Err("it holds a secret".into());
    }
    let args = Args(&call.args);
    let module = short_name(&call.module);
    let says_it_all = matches!(
        module,
        "command" | "shell" | "raw" | "service" | "systemd" | "systemd_service" | "etcd_service"
    );
    if item.outlook == Outlook::Unknown && !says_it_all {
        return Err("what it does rests on what is known only by then".into());
    }
    let mut out = Vec::new();
    match module {
        "command" | "shell" | "raw" => {
            let argv = args.list(&["argv"]);
            let text = match argv.as_slice() {
                [] => args.need(&["_raw_params", "cmd"])?,
                words => shlex::join(words),
            };
            let mut line = match module {
                "command" => shlex::join(&shlex::split(&text)?),
                _ => format!("sh -c {}", quoted(&text)),
            };
            if let Some(dir) = args.text(&["chdir"]) {
                line = format!("sh -c {}", quoted(&format!("cd {} && {line}", quoted(&dir))));
            }
            match (args.text(&["creates"]), args.text(&["removes"])) {
                (Some(path), _) => line = format!("test -e {} || {line}", quoted(&path)),
                (None, Some(path)) => line = format!("test ! -e {} || {line}", quoted(&path)),
                (None, None) => {}
            }
            out.push(line);
        }
        "copy" | "template" => {
            let path = args.need(&["dest"])?;
            let content = args.text(&["content"]).or_else(|| content_of(item));
            match content {
                Some(content) => out.push(written(&path, &content)),
                None if item.diff.contains("@@ ") => out.push(patch(item, &path).expect("it has a place")),
                None if item.diff.is_empty() && module == "copy" => {
                    let src = args.need(&["src"])?;
                    return Err(format!("the file {src} of the controller goes to {path}: use scp"));
                }
                None => return Err(format!("the new content of {path} is not known here")),
            }
            out.extend(manners(&args, &path));
        }
        "file" => {
            let path = args.need(&["path", "dest", "name"])?;
            match args.text(&["state"]).unwrap_or_else(|| "file".into()).as_str() {
                "directory" => out.push(format!("mkdir -p {}", quoted(&path))),
                "absent" => out.push(format!("rm -rf {}", quoted(&path))),
                "touch" => out.push(format!("touch {}", quoted(&path))),
                "link" => out.push(format!("ln -sfn {} {}", quoted(&args.need(&["src"])?), quoted(&path))),
                "hard" => out.push(format!("ln -f {} {}", quoted(&args.need(&["src"])?), quoted(&path))),
                _ => {}
            }
            out.extend(manners(&args, &path));
        }
        "service" | "systemd" | "systemd_service" => {
            if args.flag("daemon_reload") {
                out.push("systemctl daemon-reload".into());
            }
            if let Some(unit) = args.text(&["name", "service", "unit"]) {
                let unit = quoted(&unit);
                match args.0.get("enabled").and_then(Value::to_bool_loose) {
                    Some(true) => out.push(format!("systemctl enable {unit}")),
                    Some(false) => out.push(format!("systemctl disable {unit}")),
                    None => {}
                }
                match args.0.get("masked").and_then(Value::to_bool_loose) {
                    Some(true) => out.push(format!("systemctl mask {unit}")),
                    Some(false) => out.push(format!("systemctl unmask {unit}")),
                    None => {}
                }
                let verb = match args.text(&["state"]).as_deref() {
                    Some("started") => Some("start"),
                    Some("stopped") => Some("stop"),
                    Some("restarted") => Some("restart"),
                    Some("reloaded") => Some("reload"),
                    _ => None,
                };
                out.extend(verb.map(|verb| format!("systemctl {verb} {unit}")));
            }
        }
        "etcd_service" => out.extend(member_process(&call.args, &args)?),
        "package" | "apt" | "dnf" | "yum" => {
            let names: Vec<String> =
                args.list(&["name", "pkg", "package"]).iter().map(|name| quoted(name)).collect();
            let names = names.join(" ");
            let absent = matches!(args.text(&["state"]).as_deref(), Some("absent" | "removed"));
            if args.flag("update_cache") && module == "apt" {
                out.push("apt-get update".into());
            }
            if !names.is_empty() {
                out.push(match (module, absent) {
                    ("apt", true) => format!("apt-get remove -y {names}"),
                    ("apt", false) => format!("apt-get install -y {names}"),
                    ("package", true) => format!("(apt-get remove -y {names} || dnf remove -y {names})"),
                    ("package", false) => format!("(apt-get install -y {names} || dnf install -y {names})"),
                    (_, true) => format!("dnf remove -y {names}"),
                    (_, false) => format!("dnf install -y {names}"),
                });
            }
        }
        "user" => {
            let name = quoted(&args.need(&["name", "user"])?);
            if args.text(&["state"]).as_deref() == Some("absent") {
                out.push(format!("userdel {name}"));
            } else {
                let mut line = "useradd".to_owned();
                for (flag, names) in
                    [("-u", "uid"), ("-g", "group"), ("-d", "home"), ("-s", "shell"), ("-c", "comment")]
                {
                    if let Some(value) = args.text(&[names]) {
                        line.push_str(&format!(" {flag} {}", quoted(&value)));
                    }
                }
                if args.flag("system") {
                    line.push_str(" -r");
                }
                let groups = args.list(&["groups"]).join(",");
                if !groups.is_empty() {
                    line.push_str(&format!(" -G {}", quoted(&groups)));
                }
                out.push(format!("(id -u {name} >/dev/null 2>&1 || {line} {name})"));
            }
        }
        "group" => {
            let name = quoted(&args.need(&["name"])?);
            out.push(match args.text(&["state"]).as_deref() {
                Some("absent") => format!("groupdel {name}"),
                _ => {
                    let gid =
                        args.text(&["gid"]).map_or_else(String::new, |gid| format!(" -g {}", quoted(&gid)));
                    format!("(getent group {name} >/dev/null || groupadd{gid} {name})")
                }
            });
        }
        "get_url" => {
            let (url, path) = (args.need(&["url"])?, args.need(&["dest"])?);
            out.push(format!("curl -fsSL -o {} {}", quoted(&path), quoted(&url)));
            out.extend(manners(&args, &path));
        }
        "unarchive" if args.flag("remote_src") => {
            let (src, dest) = (args.need(&["src"])?, args.need(&["dest"])?);
            out.push(format!("tar -C {} -xf {}", quoted(&dest), quoted(&src)));
        }
        "hostname" => out.push(format!("hostnamectl set-hostname {}", quoted(&args.need(&["name"])?))),
        "sysctl" => {
            let (name, value) = (args.need(&["name"])?, args.need(&["value"])?);
            out.push(format!("sysctl -w {}", quoted(&format!("{name}={value}"))));
        }
        "lineinfile" | "blockinfile" | "replace" | "ini_file" => {
            let path = args.need(&["path", "dest"])?;
            match patch(item, &path) {
                Some(line) => out.push(line),
                None => return Err(format!("how {path} would change is not known here")),
            }
            out.extend(manners(&args, &path));
        }
        "wait_for" | "pause" | "debug" | "set_fact" => {}
        other if other.starts_with("etcd_") => {
            return Err(format!(
                "`{other}` asks the cluster and decides: use etcdctl by hand, one member at a time"
            ));
        }
        other => return Err(format!("there is no line of shell for `{other}`")),
    }
    if out.is_empty() {
        return Err("nothing of it is left to do in shell".into());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::PlanKey;
    use quorate_value::{Str, dict};

    fn said(module: &str, args: Dict, diff: &str) -> String {
        let key = PlanKey { host: "a".into(), play: 1, place: "p.yml:3:5".into(), handler: false, nth: 0 };
        let item = Item {
            key,
            title: "Do".into(),
            module: module.into(),
            outlook: Outlook::Change,
            diff: diff.into(),
            before: None,
            after: None,
        };
        let call = Call { module: module.into(), args, become_: None, delegated: None, hidden: false };
        commands(&call, &item).map_or_else(|why| format!("NOT HERE: {why}"), |lines| lines.join("\n"))
    }

    #[test]
    fn modules_in_shell() {
        let new = "--- before\n+++ after: /x\n@@ -0,0 +1,2 @@\n+one\n+END\n";
        let old = "--- before: /x\n+++ after: /x\n@@ -1 +1 @@\n-one\n+two\n";
        #[rustfmt::skip] // read in columns
        let cases: Vec<(&str, Dict, &str, &str)> = vec![
            ("command", dict! {"_raw_params" => "etcdctl get x"}, "", "etcdctl get x"),
            ("shell", dict! {"_raw_params" => "a | b"}, "", "sh -c 'a | b'"),
            ("file", dict! {"path" => "/a b", "state" => "directory", "mode" => "0750", "owner" => "etcd"}, "", "mkdir -p '/a b'\nchown etcd '/a b'\nchmod 0750 '/a b'"),
            ("template", dict! {"dest" => "/x"}, new, "tee /x >/dev/null <<'END_'\none\nEND\nEND_"),
            ("template", dict! {"dest" => "/x"}, old, "patch /x <<'END'\n--- /x\n+++ /x\n@@ -1 +1 @@\n-one\n+two\nEND"),
            ("copy", dict! {"dest" => "/x", "src" => "bin/etcd"}, "", "NOT HERE: the file bin/etcd of the controller goes to /x: use scp"),
            ("systemd", dict! {"name" => "etcd", "state" => "restarted", "daemon_reload" => true, "enabled" => true}, "", "systemctl daemon-reload\nsystemctl enable etcd\nsystemctl restart etcd"),
            ("copy", dict! {"dest" => "/x", "content" => Str::new("word-of-6").secret()}, "", "NOT HERE: it holds a secret"),
            ("etcd_member", dict! {"name" => "x"}, "", "NOT HERE: `etcd_member` asks the cluster and decides: use etcdctl by hand, one member at a time"),
            ("mount", dict! {"path" => "/x"}, "", "NOT HERE: there is no line of shell for `mount`"),
        ];
        for (module, args, diff, wanted) in cases {
            assert_eq!(said(module, args, diff), wanted, "{module}");
        }
    }
}
