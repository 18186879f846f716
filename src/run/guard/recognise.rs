//! Which tasks take a member of an etcd cluster away.
//!
//! In: a task with its arguments rendered. Out: the [`Deed`]s in it, or one of them once the member's unit is known.
//!
//! **Invariant:** no variable is looked up before the module and its text say that it may matter, so everything else
//! costs a comparison of strings.

pub(super) use super::shell::Kind;
use super::shell::{self, Deed};
pub(super) use super::shell::{Subject, Which};
use crate::run::actions::ActionCall;
use quorate_value::{Dict, Value, str_of};

/// Scripts up to this size are read for what they do.
const SCRIPT_LIMIT: u64 = 1 << 20;

/// What a step does that may concern etcd, in order.
pub(super) fn deeds(call: &ActionCall<'_>) -> Vec<Deed> {
    match call.module.as_str() {
        "script" => script(call).map(|text| shell::scan(&text)).unwrap_or_default(),
        module => of_module(module, &call.args),
    }
}

/// The same for modules whose arguments say it all.
pub(super) fn of_module(module: &str, args: &Dict) -> Vec<Deed> {
    match module {
        "service" | "systemd" | "systemd_service" | "sysvinit" => service(args),
        "quorate.etcd.etcd_service" | "etcd_service" => member_process(args),
        "command" | "shell" | "raw" => command(args),
        "package" | "apt" | "yum" | "dnf" | "dnf5" | "apk" => package(args),
        "file" if args.get("state").map(str_of).as_deref() == Some("absent") => {
            let path = ["path", "dest", "name"].iter().find_map(|name| args.get(*name)).map(str_of);
            path.map(|path| vec![Deed::path(&path)]).unwrap_or_default()
        }
        // waits until the host is back
        "reboot" => vec![Deed { loose: false, ..Deed::host(Kind::Restart) }],
        "community.general.shutdown" => vec![Deed::host(Kind::Stop)],
        _ => Vec::new(),
    }
}

fn service(args: &Dict) -> Vec<Deed> {
    let text =
        |names: &[&str]| names.iter().find_map(|name| args.get(name)).filter(|v| !v.is_null()).map(str_of);
    let kind = match text(&["state"]).as_deref() {
        Some("stopped") => Kind::Stop,
        Some("restarted") => Kind::Restart,
        Some("started") => Kind::Start,
        _ => return Vec::new(),
    };
    if text(&["scope"]).is_some_and(|scope| scope != "system") {
        return Vec::new();
    }
    let loose = args.get("no_block").and_then(Value::to_bool_loose).unwrap_or(false);
    match text(&["name", "service", "unit"]) {
        Some(unit) => vec![Deed { loose, ..Deed::unit(kind, &unit) }],
        None => Vec::new(),
    }
}

/// The process of a member, whatever runs it.
fn member_process(args: &Dict) -> Vec<Deed> {
    let kind = match args.get("state").map(str_of).as_deref() {
        Some("stopped" | "absent") => Kind::Stop,
        Some("restarted") => Kind::Restart,
        Some("started") => Kind::Start,
        _ => return Vec::new(),
    };
    // a container's process is there before etcd serves
    let loose = args.get("no_block").and_then(Value::to_bool_loose).unwrap_or(false);
    let process = args.get("process").and_then(Value::as_dict);
    let text = |name: &str| process.and_then(|process| process.get(name)).map(str_of).unwrap_or_default();
    let name = Some(text("name")).filter(|name| !name.is_empty()).unwrap_or_else(|| "etcd".into());
    let subject = match text("runtime").as_str() {
        "podman" | "docker" => Subject::Container(name),
        "staticpod" => Subject::Unit("etcd".into()),
        _ => Subject::Unit(name),
    };
    vec![Deed { loose, subject, ..Deed::unit(kind, "etcd") }]
}

/// Removing the package stops the service.
fn package(args: &Dict) -> Vec<Deed> {
    let state = args.get("state").map(str_of);
    if !matches!(state.as_deref(), Some("absent" | "removed" | "purged")) {
        return Vec::new();
    }
    let names = match ["name", "pkg", "package"].iter().find_map(|name| args.get(*name)) {
        Some(Value::List(items)) => items.iter().map(str_of).collect(),
        Some(one) => vec![str_of(one)],
        None => return Vec::new(),
    };
    let hit = names.iter().flat_map(|name| name.split(',')).any(|name| shell::is_server_package(name.trim()));
    if hit { vec![Deed::unit(Kind::Stop, "etcd")] } else { Vec::new() }
}

fn command(args: &Dict) -> Vec<Deed> {
    if let Some(Value::List(argv)) = args.get("argv") {
        return shell::scan_words(&argv.iter().map(str_of).collect::<Vec<_>>());
    }
    let text = args.get("_raw_params").or_else(|| args.get("cmd")).map(str_of);
    text.map(|text| shell::scan(&text)).unwrap_or_default()
}

fn script(call: &ActionCall<'_>) -> Option<String> {
    let line = call.args.get("_raw_params").or_else(|| call.args.get("cmd")).map(str_of)?;
    let words = quorate_agent::system::shlex::split(&line).ok()?;
    let path = crate::vars::render::find_file(call.scope, "files", words.first()?).ok()?;
    let size = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
    if size > SCRIPT_LIMIT {
        return None;
    }
    String::from_utf8(std::fs::read(path).ok()?).ok()
}

/// All deeds taken together, as far as they concern this unit or its host.
pub(super) fn concerning(deeds: &[Deed], units: &[String], data: &[String]) -> Option<Deed> {
    let mut all: Option<Deed> = None;
    for deed in deeds.iter().filter(|deed| is_about(deed, units, data)) {
        all = Some(match all {
            None => deed.clone(),
            // stopped and then started again: a restart, taken together
            Some(before) if deed.kind == Kind::Start && before.kind != Kind::Start => {
                Deed { kind: Kind::Restart, ..before }
            }
            Some(before) if before.subject == Subject::Host => before,
            Some(before) => Deed { loose: before.loose || deed.loose, ..deed.clone() },
        });
    }
    all
}

fn is_about(deed: &Deed, units: &[String], data: &[String]) -> bool {
    match &deed.subject {
        Subject::Host => true,
        Subject::Unit(named) => {
            is_member_unit(named, "etcd") || units.iter().any(|unit| is_member_unit(named, unit))
        }
        Subject::Container(named) => is_member_container(named) || units.contains(named),
        Subject::Path(path) => data.iter().any(|dir| holds(path, dir)),
        // whose they are is told by the inventory, not by the host of the command
        Subject::Pods(_) => false,
    }
}

/// Whether deleting a path takes a member's data: the directory itself, one above it, or what etcd keeps in it.
fn holds(path: &str, data: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !matches!(*part, "" | "." | "*")).map(str::to_owned).collect()
    };
    let (path, data) = (parts(path), parts(data));
    let inside = path.len() > data.len()
        && path.starts_with(&data)
        && matches!(path[data.len()].as_str(), "member" | "{*,.*}" | "mem*");
    data.starts_with(&path) || inside
}

/// `etcd`, `etcd-1`, `etcd_main`, `k8s_etcd_…`, and whatever `etcd_container` says; not RKE's maker of snapshots, not a
/// predecessor that was put aside, and not what a recovery runs for once.
fn is_member_container(named: &str) -> bool {
    let begins = ["etcd-", "etcd_", "k8s_etcd_"].iter().any(|start| named.starts_with(start));
    named == "etcd"
        || (begins
            && !named.starts_with("etcd-rolling-snapshots")
            && !named.ends_with("-old")
            && named != "etcd-force")
}

/// `etcd`, `etcd.service`, `etcd@a`, `etcd*`, and whatever `etcd_unit` says.
fn is_member_unit(named: &str, unit: &str) -> bool {
    let bare = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_owned();
    let (named, unit) = (bare(named), bare(unit));
    if let Some(prefix) = named.find(['*', '?', '[']).map(|at| &named[..at]) {
        return unit.starts_with(prefix) || "etcd".starts_with(prefix);
    }
    named == "etcd" || named.starts_with("etcd@") || named == unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::dict;

    fn kind(module: &str, args: Dict, unit: &str) -> Option<(Kind, bool)> {
        concerning(&of_module(module, &args), &[unit.into()], &["/data/etcd".into()])
            .map(|deed| (deed.kind, deed.loose))
    }

    #[test]
    fn which_tasks_are_guarded() {
        let raw = |text: &str| dict! {"_raw_params" => text};
        #[rustfmt::skip] // read in columns
        let cases: Vec<(&str, Dict, Option<(Kind, bool)>)> = vec![
            ("systemd_service", dict! {"name" => "etcd", "state" => "restarted"},            Some((Kind::Restart, false))),
            ("systemd_service", dict! {"name" => "etcd", "state" => "restarted", "no_block" => true}, Some((Kind::Restart, true))),
            ("systemd",         dict! {"unit" => "etcd.service", "state" => "stopped"},      Some((Kind::Stop, false))),
            ("service",         dict! {"name" => "etcd", "state" => "stopped"},              Some((Kind::Stop, false))),
            ("service",         dict! {"name" => "etcd@b", "state" => "stopped"},            Some((Kind::Stop, false))),
            ("sysvinit",        dict! {"name" => "etcd", "state" => "restarted"},            Some((Kind::Restart, false))),
            ("service",         dict! {"name" => "etcd", "state" => "started"},              Some((Kind::Start, false))),
            ("service",         dict! {"name" => "etcd", "state" => "reloaded"},             None),
            ("service",         dict! {"name" => "etcd", "enabled" => false},                None),
            ("service",         dict! {"name" => "patroni", "state" => "restarted"},         None),
            ("service",         dict! {"name" => "etcd3", "state" => "restarted"},           None),
            ("systemd",         dict! {"name" => "etcd", "state" => "stopped", "scope" => "user"}, None),
            ("systemd",         dict! {"daemon_reload" => true},                             None),
            ("command",         raw("systemctl restart etcd"),                               Some((Kind::Restart, false))),
            ("shell",           raw("systemctl stop etcd; mv a b; systemctl start etcd"),    Some((Kind::Restart, false))),
            ("shell",           raw("systemctl restart etcd; systemctl stop etcd"),          Some((Kind::Stop, false))),
            ("raw",             raw("systemctl --no-block restart etcd"),                    Some((Kind::Restart, true))),
            ("command",         dict! {"argv" => Value::list([Value::from("systemctl"), Value::from("stop"), Value::from("etcd")])}, Some((Kind::Stop, false))),
            ("command",         dict! {"cmd" => "reboot"},                                   Some((Kind::Restart, true))),
            ("command",         raw("systemctl restart 'etcd*'"),                            Some((Kind::Restart, false))),
            ("command",         raw("systemctl stop 'pat*'"),                                None),
            ("command",         raw("etcdctl member remove 1"),                              None),
            ("command",         raw("uptime"),                                               None),
            ("reboot",          Dict::new(),                                                 Some((Kind::Restart, false))),
            ("copy",            dict! {"dest" => "/etc/etcd/etcd.conf"},                     None),
            ("apt",             dict! {"name" => "etcd-server", "state" => "absent"},        Some((Kind::Stop, false))),
            ("package",         dict! {"name" => "curl, etcd", "state" => "absent"},         Some((Kind::Stop, false))),
            ("apt",             dict! {"name" => "etcd-client", "state" => "absent"},        None),
            ("apt",             dict! {"name" => "etcd-server", "state" => "present"},       None),
            ("file",            dict! {"path" => "/data/etcd", "state" => "absent"},         Some((Kind::Stop, false))),
            ("file",            dict! {"path" => "/data", "state" => "absent"},              Some((Kind::Stop, false))),
            ("file",            dict! {"path" => "/data/etcd/member", "state" => "absent"},  Some((Kind::Stop, false))),
            ("file",            dict! {"path" => "/data/etcd/old.log", "state" => "absent"}, None),
            ("file",            dict! {"path" => "/data/etcd2", "state" => "absent"},        None),
            ("file",            dict! {"path" => "/data/etcd", "state" => "directory"},      None),
            ("shell",           raw("rm -rf /data/etcd/*"),                                  Some((Kind::Stop, false))),
            ("shell",           raw("rm -rf /tmp/build"),                                    None),
            ("shell",           raw("mv /data/etcd /data/old"),                              Some((Kind::Stop, false))),
            ("command",         raw("podman stop -t 5 etcd"),                                Some((Kind::Stop, false))),
            ("command",         raw("docker rm -f etcd-10"),                                 Some((Kind::Stop, false))),
            ("command",         raw("docker stop etcd-rolling-snapshots"),                   None),
            ("command",         raw("podman rm etcd-old"),                                   None),
            ("command",         raw("podman stop web"),                                      None),
            ("etcd_service",    dict! {"state" => "stopped"},                                Some((Kind::Stop, false))),
            ("etcd_service",    dict! {"state" => "restarted", "no_block" => true},          Some((Kind::Restart, true))),
            ("etcd_service",    dict! {"state" => "stopped", "process" => dict! {"runtime" => "podman", "name" => "etcd-force"}}, None),
            ("etcd_service",    dict! {"state" => "stopped", "process" => dict! {"runtime" => "docker", "name" => "etcd"}}, Some((Kind::Stop, false))),
            ("etcd_service",    dict! {"state" => "started"},                                Some((Kind::Start, false))),
        ];
        for (module, args, expected) in cases {
            assert_eq!(kind(module, args.clone(), "etcd"), expected, "{module} {args:?}");
        }
    }

    #[test]
    fn a_unit_of_another_name() {
        let restart = |name: &str| dict! {"name" => name, "state" => "restarted"};
        assert!(kind("service", restart("store"), "store.service").is_some());
        assert!(kind("service", restart("store"), "etcd").is_none());
        assert!(kind("service", restart("etcd"), "store").is_some(), "the usual name counts too");
    }

    #[test]
    fn what_runs_the_member() {
        let units = ["store".to_owned(), "docker".to_owned()];
        let kind = |text: &str| {
            concerning(&of_module("shell", &dict! {"_raw_params" => text}), &units, &["/k/etcd.yaml".into()])
                .map(|deed| deed.kind)
        };
        assert_eq!(kind("docker stop store"), Some(Kind::Stop), "a container of another name");
        assert_eq!(kind("systemctl restart docker"), Some(Kind::Restart), "it takes its containers along");
        assert_eq!(kind("systemctl restart docker.socket"), None);
        assert_eq!(kind("mv /k/etcd.yaml /root/"), Some(Kind::Stop), "a static pod's manifest");
        assert_eq!(kind("rm -f /k/etcd.yaml"), Some(Kind::Stop));
        assert_eq!(kind("cp /k/etcd.yaml /root/"), None);
    }

    #[test]
    fn a_host_that_goes_takes_the_unit_along() {
        let both = of_module("shell", &dict! {"_raw_params" => "systemctl restart etcd; reboot"});
        assert_eq!(concerning(&both, &[], &[]).map(|deed| deed.subject), Some(Subject::Host));
        let later = of_module("command", &dict! {"_raw_params" => "shutdown -r +5"});
        assert!(concerning(&later, &[], &[]).is_some_and(|deed| deed.later));
    }
}
