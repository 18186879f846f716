//! `synchronize`: which side of `rsync` is the remote one, and how to get there. The module does the copying.

use super::{ActionCall, ActionResult};
use crate::connect::{Kind, Target};
use crate::run::target;
use crate::run::task::Failure;
use crate::vars::render;
use quorate_value::{Dict, Value, str_of};
use std::time::Duration;

/// Writes the remote side into `src` or `dest`, and runs the module on the controller, or where it is delegated to.
pub(super) async fn synchronize(call: &ActionCall<'_>) -> ActionResult {
    let mut args = call.args.clone();
    let text = |args: &Dict, name: &str| args.get(name).filter(|v| !v.is_null()).map(str_of);
    let (Some(src), Some(dest)) = (text(&args, "src"), text(&args, "dest")) else {
        return Err(Failure::action("synchronize requires both src and dest parameters are set"));
    };
    let pull = text(&args, "mode").as_deref() == Some("pull");
    // the host itself; the place it is delegated to only runs rsync
    let (host, _) = target::resolve(call.run, call.scope, call.scope, call.step, None)
        .map_err(|(text, span)| Failure::task(call.step, vec![(text, span)]))?;
    if let Some(program) = host.kind.program() {
        return Err(Failure::action(format!("synchronize cannot reach hosts by {program} exec; use copy")));
    }
    let own = call.delegated.is_some_and(|name| name == call.host.as_ref());
    let remote = host.kind != Kind::Local && !own;
    let (mut src, mut dest) = (src, dest);
    if call.delegated.is_none() || call.target.kind == Kind::Local {
        // paths of the controller
        if pull {
            dest = local(call, &dest);
        } else {
            src = local(call, &src);
        }
    }
    if remote {
        let with_user = args.get("set_remote_user").is_none_or(|v| v.to_bool_loose() != Some(false));
        let there = |path: &str| place(&host, path, with_user);
        if pull {
            src = there(&src);
        } else {
            dest = there(&dest);
        }
        let mut default = |name: &str, value: Option<Value>| {
            if let (None, Some(value)) = (args.get(name).filter(|v| !v.is_null()), value) {
                args.insert(name, value);
            }
        };
        default("dest_port", host.port.map(|port| Value::Int(port.into())));
        default("private_key", host.private_key.as_ref().map(|path| Value::from(path.display().to_string())));
        if let Some(become_) = call.become_ {
            if become_.method != "sudo" {
                return Err(Failure::action(format!(
                    "synchronize can become another user by sudo only, not by {}",
                    become_.method
                )));
            }
            default("rsync_path", Some(Value::from(format!("sudo -u {} rsync", become_.user))));
        }
        if args.get("use_ssh_args").is_some_and(Value::is_truthy) {
            args.insert("_ssh_args", host.ssh_args.join(" "));
        }
    }
    args.insert("src", src);
    args.insert("dest", dest);
    if let (None, Some(path)) =
        (args.get("rsync_path"), call.scope.lookup("ansible_rsync_path").map(|v| str_of(&v)))
    {
        args.insert("rsync_path", path);
    }
    let here;
    let target = if call.delegated.is_some() {
        call.target
    } else if remote {
        here = controller();
        &here
    } else {
        call.target
    };
    let become_ = call.become_.filter(|_| !remote);
    let result = super::remote::module_at(call, target, become_, "ansible.posix.synchronize", args).await?;
    Ok((result, Vec::new()))
}

/// `user@address:path`, as rsync wants it.
fn place(host: &Target, path: &str, with_user: bool) -> String {
    if path.starts_with("rsync://") || path.contains("::") {
        return path.to_owned();
    }
    let address =
        if host.address.contains(':') { format!("[{}]", host.address) } else { host.address.clone() };
    match host.user.as_ref().filter(|_| with_user) {
        Some(user) => format!("{user}@{address}:{path}"),
        None => format!("{address}:{path}"),
    }
}

/// A path of the controller, absolute; a slash at the end counts for rsync.
fn local(call: &ActionCall<'_>, path: &str) -> String {
    if path.starts_with("rsync://") || path.contains(':') {
        return path.to_owned();
    }
    let slash = if path.ends_with('/') { "/" } else { "" };
    let found = match render::find_file(call.scope, "files", path.trim_end_matches('/')) {
        Ok(found) => found,
        Err(_) if path.starts_with('/') || path.starts_with('~') => return path.to_owned(),
        Err(_) => call.scope.play.dir.join(path.trim_end_matches('/')),
    };
    format!("{}{slash}", found.display())
}

fn controller() -> Target {
    Target {
        host: "localhost".into(),
        kind: Kind::Local,
        address: "localhost".into(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let host = Target { address: "10.0.0.1".into(), user: Some("u".into()), ..controller() };
        assert_eq!(place(&host, "/x", true), "u@10.0.0.1:/x");
        assert_eq!(place(&host, "/x", false), "10.0.0.1:/x");
        let six = Target { address: "fe80::1".into(), ..host };
        assert_eq!(place(&six, "/x", true), "u@[fe80::1]:/x");
        assert_eq!(place(&six, "rsync://h/x", true), "rsync://h/x");
    }
}
