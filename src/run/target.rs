//! Where a task runs and as whom: keywords, `ansible_*` variables, command line and configuration together.
//!
//! Source: "Controlling how Ansible behaves: precedence rules" and the documentation of the ssh connection.

use super::Run;
use crate::connect::{Become, Kind, Target, kubectl};
use crate::plan::Step;
use crate::playbook::Kw;
use crate::vars::{TaskScope, render};
use quorate_value::{Span, Str, Value, str_of};
use std::path::PathBuf;
use std::time::Duration;

/// What the command line says about connections.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    /// `-u`
    pub user: Option<String>,
    /// `--private-key`
    pub private_key: Option<PathBuf>,
    /// `-c`
    pub connection: Option<String>,
    /// `-T`
    pub timeout: Option<u64>,
    /// `-b`
    pub become_: bool,
    /// `--become-user`
    pub become_user: Option<String>,
    /// `--become-method`
    pub become_method: Option<String>,
    /// `-k` or a password file
    pub password: Option<Str>,
    /// `-K` or a password file
    pub become_password: Option<Str>,
    /// `--ssh-common-args`
    pub ssh_common_args: Option<String>,
    /// `--ssh-extra-args`
    pub ssh_extra_args: Option<String>,
}

type Problem = (String, Span);

/// Resolves where a step of a host runs: on the host itself, or on the one it is delegated to.
pub fn resolve(
    run: &Run,
    own: &TaskScope,
    place: &TaskScope,
    step: &Step,
    delegated: Option<&str>,
) -> Result<(Target, Option<Become>), Problem> {
    let settings = &run.shared.settings;
    let cli = &run.shared.options.connection;
    let var = |names: &[&str]| -> Result<Option<Value>, Problem> {
        for name in names {
            let found = if place.locals.contains_key(name) {
                place.locals.get(name).cloned()
            } else {
                place.lookup(name)
            };
            if let Some(raw) = found {
                let value = render::value(place, &raw).map_err(|e| {
                    (
                        format!("Error while resolving value for '{name}': {e}"),
                        super::task::span_of(&raw, step.task.span),
                    )
                })?;
                if !matches!(value, Value::Null | Value::Omit) {
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    };
    let text = |names: &[&str]| var(names).map(|v| v.map(|v| str_of(&v)));
    let secret = |names: &[&str]| {
        var(names).map(|v| {
            v.map(|v| match v {
                Value::Str(text) => text.secret(),
                other => Str::from(str_of(&other)).secret(),
            })
            .inspect(|text| crate::secrets::keep(text))
        })
    };
    let keyword = |kw: Kw| -> Result<Option<Value>, Problem> {
        // `omit` leaves what is said around the task
        for keywords in [&step.keywords, &step.context.keywords] {
            let Some(value) = keywords.get(kw) else { return Ok(None) };
            let rendered = render::value(own, value)
                .map_err(|e| (e.to_string(), super::task::span_of(value, step.task.span)))?;
            if !matches!(rendered, Value::Omit) {
                return Ok(Some(rendered).filter(|v| !v.is_null()));
            }
        }
        Ok(None)
    };
    let host = delegated.unwrap_or(&own.host).to_owned();
    let implicit_local = {
        let name = host.as_str();
        let inventory = run.shared.inventory();
        matches!(name, "localhost" | "127.0.0.1" | "::1")
            && inventory.host_id(name).is_some_and(|id| inventory.host(id).is_implicit())
    };
    let connection = match text(&["ansible_connection"])? {
        Some(kind) => kind,
        None if implicit_local => "local".into(),
        None => match keyword(Kw::Connection)?
            .map(|v| str_of(&v))
            .filter(|_| delegated.is_none() || !implicit_local)
        {
            Some(kind) => kind,
            None => cli.connection.clone().unwrap_or_else(|| settings.text("DEFAULT_TRANSPORT").to_owned()),
        },
    };
    let short = connection.rsplit('.').next().unwrap_or(&connection);
    let kind = match short {
        "local" => Kind::Local,
        "ssh" | "smart" | "paramiko" | "paramiko_ssh" | "openssh" => Kind::Ssh,
        "docker" | "podman" => Kind::Container(short.to_owned()),
        "kubectl" => Kind::Pod(Box::new(way_to_pods(&var, step.task.span)?)),
        other => {
            return Err((format!("the connection plugin '{other}' was not found"), step.task.span));
        }
    };
    let in_a_pod = matches!(kind, Kind::Pod(_));
    let address = match &kind {
        Kind::Local => "localhost".to_owned(),
        Kind::Pod(way) if way.pod.is_some() => way.pod.clone().unwrap_or_default(),
        _ => text(&["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| host.clone()),
    };
    // `kubectl exec` has no user: it is the container's
    let remote_user = match text(&["ansible_user", "ansible_ssh_user"])?.filter(|_| !in_a_pod) {
        None if in_a_pod => None,
        Some(user) => Some(user),
        None => match keyword(Kw::RemoteUser)? {
            Some(user) => Some(str_of(&user)),
            None => cli.user.clone().or_else(|| settings.some("DEFAULT_REMOTE_USER").map(str::to_owned)),
        },
    };
    let target = if kind == Kind::Local {
        Target {
            host,
            kind,
            address,
            port: None,
            user: None,
            private_key: None,
            password: None,
            ssh_args: Vec::new(),
            ssh_executable: None,
            host_key_checking: None,
            timeout: Duration::from_secs(10),
            retries: 0,
        }
    } else {
        let port = match var(&["ansible_port", "ansible_ssh_port"])? {
            Some(port) => Some(port),
            None => keyword(Kw::Port)?,
        };
        let port = match port {
            Some(value) => Some(
                super::task::number(&value)
                    .filter(|n| (1.0..=65535.0).contains(n))
                    .map(|n| n as u16)
                    .ok_or_else(|| (format!("`{}` is no port number", str_of(&value)), step.task.span))?,
            ),
            None => settings.number("DEFAULT_REMOTE_PORT").map(|n| n as u16),
        };
        let key = match text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])? {
            Some(key) => Some(PathBuf::from(expand_home(&key))),
            None => cli
                .private_key
                .clone()
                .or_else(|| settings.some("DEFAULT_PRIVATE_KEY_FILE").map(PathBuf::from)),
        };
        let mut ssh_args = Vec::new();
        let configured =
            text(&["ansible_ssh_args"])?.unwrap_or_else(|| settings.text("ANSIBLE_SSH_ARGS").to_owned());
        for args in [
            Some(configured),
            text(&["ansible_ssh_common_args"])?
                .or_else(|| cli.ssh_common_args.clone())
                .or_else(|| settings.some("SSH_COMMON_ARGS").map(str::to_owned)),
            text(&["ansible_ssh_extra_args"])?
                .or_else(|| cli.ssh_extra_args.clone())
                .or_else(|| settings.some("SSH_EXTRA_ARGS").map(str::to_owned)),
        ]
        .into_iter()
        .flatten()
        {
            let words = quorate_agent::system::shlex::split(&args)
                .map_err(|e| (format!("the ssh arguments `{args}` do not split: {e}"), step.task.span))?;
            ssh_args.extend(words);
        }
        let checking = match var(&["ansible_host_key_checking", "ansible_ssh_host_key_checking"])? {
            Some(value) => value.to_bool_loose(),
            None => settings.some("HOST_KEY_CHECKING").and_then(|t| Value::from(t).to_bool_loose()),
        };
        let timeout =
            match var(&["ansible_ssh_timeout", "ansible_timeout"])?.and_then(|v| super::task::number(&v)) {
                Some(seconds) => seconds as u64,
                None => cli
                    .timeout
                    .or_else(|| settings.number("DEFAULT_TIMEOUT").map(|n| n.max(0) as u64))
                    .unwrap_or(10),
            };
        let retries = match var(&["ansible_ssh_retries"])?.and_then(|v| super::task::number(&v)) {
            Some(n) => n as u32,
            None => settings.number("SSH_RETRIES").unwrap_or(0).max(0) as u32,
        };
        let rehearsed = rehearsal(remote_user.as_deref());
        Target {
            host,
            kind,
            address,
            port,
            user: remote_user,
            private_key: key.filter(|_| rehearsed < Rehearsal::Login),
            password: secret(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?
                .or_else(|| cli.password.clone())
                .filter(|_| rehearsed < Rehearsal::Login),
            ssh_args: match rehearsed {
                Rehearsal::No => without_multiplexing(ssh_args),
                _ => without_detours(without_multiplexing(ssh_args)),
            },
            ssh_executable: text(&["ansible_ssh_executable"])?
                .or_else(|| settings.some("SSH_EXECUTABLE").map(str::to_owned)),
            host_key_checking: checking,
            timeout: Duration::from_secs(timeout),
            retries,
        }
    };
    let wanted = match var(&["ansible_become"])? {
        Some(value) => value.to_bool_loose().unwrap_or(false),
        None => match keyword(Kw::Become)? {
            Some(value) => value.to_bool_loose().unwrap_or(false),
            None => cli.become_ || settings.flag("DEFAULT_BECOME"),
        },
    };
    if !wanted {
        return Ok((target, None));
    }
    let pick =
        |names: &[&str], kw: Kw, cli: Option<String>, config: &str| -> Result<Option<String>, Problem> {
            Ok(match text(names)? {
                Some(value) => Some(value),
                None => match keyword(kw)? {
                    Some(value) => Some(str_of(&value)),
                    None => cli.or_else(|| settings.some(config).map(str::to_owned)),
                },
            })
        };
    let method = pick(
        &["ansible_become_method"],
        Kw::BecomeMethod,
        cli.become_method.clone(),
        "DEFAULT_BECOME_METHOD",
    )?
    .unwrap_or_else(|| "sudo".into());
    let method = method.rsplit('.').next().unwrap_or(&method).to_owned();
    if !matches!(method.as_str(), "sudo" | "su" | "doas") {
        return Err((
            format!("the become method '{method}' is not supported: sudo, su and doas are"),
            step.task.span,
        ));
    }
    let user_vars = ["ansible_become_user".to_owned(), format!("ansible_{method}_user")];
    let names: Vec<&str> = user_vars.iter().map(String::as_str).collect();
    let user = pick(&names, Kw::BecomeUser, cli.become_user.clone(), "DEFAULT_BECOME_USER")?
        .unwrap_or_else(|| "root".into());
    // nothing to become: the connection is that user already
    let same = settings.flag("BECOME_ALLOW_SAME_USER");
    let already = !same
        && match target.kind {
            Kind::Local => quorate_agent::system::users::own().is_some_and(|own| own.name == user),
            _ => target.user.as_deref() == Some(user.as_str()),
        };
    if already {
        return Ok((target, None));
    }
    let password_vars = [
        "ansible_become_password".to_owned(),
        "ansible_become_pass".to_owned(),
        format!("ansible_{method}_pass"),
        format!("ansible_{method}_password"),
    ];
    let names: Vec<&str> = password_vars.iter().map(String::as_str).collect();
    // Ansible waits so long for the prompt; we do where somebody has said how long
    let patience = match target.kind {
        Kind::Local => var(&["ansible_local_become_success_timeout"])?,
        _ => match var(&["ansible_ssh_timeout", "ansible_timeout"])? {
            Some(seconds) => super::task::number(&seconds).map(|seconds| Value::Float(seconds + 2.0)),
            None => None,
        },
    };
    let patience = patience
        .and_then(|seconds| super::task::number(&seconds))
        .filter(|seconds| *seconds >= 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let become_ = Become {
        exe: pick(&["ansible_become_exe"], Kw::BecomeExe, None, "DEFAULT_BECOME_EXE")?,
        prompts: match var(&["ansible_su_prompt_l10n"])? {
            Some(Value::List(prompts)) => prompts.iter().map(str_of).collect(),
            Some(prompt) if method == "su" => vec![str_of(&prompt)],
            _ => Vec::new(),
        },
        patience,
        flags: pick(&["ansible_become_flags"], Kw::BecomeFlags, None, "DEFAULT_BECOME_FLAGS")?,
        password: secret(&names)?
            .or_else(|| cli.become_password.clone())
            .filter(|_| rehearsal(target.user.as_deref()) < Rehearsal::Login),
        method,
        user,
    };
    Ok((target, Some(become_)))
}

/// What the variables of a host in a pod say of the way there.
fn way_to_pods(
    var: &dyn Fn(&[&str]) -> Result<Option<Value>, Problem>,
    span: Span,
) -> Result<kubectl::Way, Problem> {
    /// What is wrong; with its place where a variable could not be rendered.
    struct Wrong(String, Option<Span>);
    impl From<String> for Wrong {
        fn from(text: String) -> Self {
            Wrong(text, None)
        }
    }
    let lookup = |names: &[&str]| var(names).map_err(|(text, span)| Wrong(text, Some(span)));
    kubectl::Way::new(&lookup, &|name| crate::environment(name))
        .map_err(|Wrong(text, at)| (text, at.unwrap_or(span)))
}

/// What a lab stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Rehearsal {
    /// Nothing: the hosts are the real ones.
    No,
    /// The way to the hosts: the lab has no jump hosts, and needs none.
    Way,
    /// The login as well: the lab made it, with the lab's own key, and it becomes root without a password.
    Login,
}

/// Whether this runs inside a lab (`quorate lab exec`), so that an inventory of real hosts works there unchanged.
fn rehearsal(user: Option<&str>) -> Rehearsal {
    match user {
        _ if crate::environment("QUORATE_LAB_RUN").is_none() => Rehearsal::No,
        // these are on every host of a lab, each with rights of its own
        None | Some("root" | "admin" | "dba" | "plain") => Rehearsal::Way,
        Some(_) => Rehearsal::Login,
    }
}

/// Arguments without jump hosts, proxies, and files of keys that belong to the real hosts.
fn without_detours(args: Vec<String>) -> Vec<String> {
    const OPTIONS: [&str; 8] = [
        "proxyjump",
        "proxycommand",
        "identityfile",
        "identitiesonly",
        "certificatefile",
        "userknownhostsfile",
        "stricthostkeychecking",
        "globalknownhostsfile",
    ];
    let mut out: Vec<String> = Vec::with_capacity(args.len());
    let mut words = args.into_iter().peekable();
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "-J" | "-i" | "-F") {
            words.next();
            continue;
        }
        if word.len() > 2 && (word.starts_with("-J") || word.starts_with("-F")) {
            continue;
        }
        let option = match word.strip_prefix("-o") {
            Some("") => words.peek().cloned(),
            Some(joined) => Some(joined.to_owned()),
            None => None,
        };
        let detour = option.is_some_and(|option| {
            let name = option.trim().to_lowercase();
            OPTIONS.iter().any(|known| name.starts_with(known))
        });
        if detour {
            if word == "-o" {
                words.next();
            }
            continue;
        }
        out.push(word);
    }
    out
}

/// We make our own master; what the arguments say about masters would fight with it.
fn without_multiplexing(args: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(args.len());
    let mut words = args.into_iter().peekable();
    while let Some(word) = words.next() {
        let option = match word.strip_prefix("-o") {
            Some("") => words.peek().cloned(),
            Some(joined) => Some(joined.to_owned()),
            None => None,
        };
        let ours = option.as_ref().is_some_and(|o| {
            let o = o.trim().to_lowercase();
            o.starts_with("controlmaster") || o.starts_with("controlpersist") || o.starts_with("controlpath")
        });
        if ours {
            if word == "-o" {
                words.next();
            }
            continue;
        }
        out.push(word);
    }
    out
}

fn expand_home(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", crate::home().display()),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_takes_the_straight_way() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            without_detours(words(
                "-C -J a -Jb -o ProxyJump=a -oProxyCommand=x -i key -o ServerAliveInterval=5 -o IdentityFile=z -4"
            )),
            words("-C -o ServerAliveInterval=5 -4")
        );
    }

    #[test]
    fn our_master_is_the_only_one() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            without_multiplexing(words(
                "-C -o ControlMaster=auto -o ControlPersist=60s -oControlPath=/x -o ProxyJump=a"
            )),
            words("-C -o ProxyJump=a")
        );
    }
}
