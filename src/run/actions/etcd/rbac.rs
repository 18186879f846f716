//! `etcd_user`, `etcd_role` and `etcd_auth`: etcd's own authentication.
//!
//! **Invariant:** authentication is turned on only after it was proven that somebody gets in as root afterwards.

use super::session::{Session, told};
use crate::run::actions::ActionCall;
use crate::run::task::Failure;
use quorate_etcd::error::Answer;
use quorate_etcd::rbac::{Auth, Permission, PermissionType};
use quorate_value::{Dict, dict};
use zeroize::Zeroizing;

pub(super) async fn user(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let (client, _) = session.any().await?;
    let args = &session.args;
    let name = args.text("name");
    let has = client.user(name).await.map_err(told)?;
    if args.text("state") == "absent" {
        if has.is_none() {
            return Ok(dict! {"changed" => false});
        }
        if name == "root" && client.auth_status().await.map_err(told)? == Auth::Enabled {
            return Err(Failure::action(
                "authentication is on: without the user root nobody could turn it off",
            ));
        }
        if !call.check {
            client.user_delete(name).await.map_err(told)?;
        }
        return Ok(dict! {"changed" => true});
    }
    let password = args.nonempty("password").map(|text| Zeroizing::new(text.to_owned()));
    let mut changed = false;
    match (&has, &password) {
        (None, _) => {
            changed = true;
            if !call.check {
                client.user_add(name, password.as_ref()).await.map_err(told)?;
            }
        }
        (Some(_), Some(password)) if args.text("update_password") == "always" => {
            // a login is the only way to compare, and with authentication off there are none
            let same = match client.authenticate(name, password).await {
                Ok(()) => true,
                Err(error) if error.says(&Answer::AuthNotEnabled) => false,
                Err(error) if error.answer().is_some() => false,
                Err(error) => return Err(told(error)),
            };
            if !same {
                changed = true;
                if !call.check {
                    client.user_password(name, password).await.map_err(told)?;
                }
            }
        }
        _ => {}
    }
    let now = has.unwrap_or_default();
    let roles = args.strings("roles");
    if args.has("roles") {
        for role in roles.iter().filter(|role| !now.contains(role)) {
            changed = true;
            if !call.check {
                client.user_grant(name, role).await.map_err(told)?;
            }
        }
        for role in now.iter().filter(|role| !args.bool("append") && !roles.contains(role)) {
            changed = true;
            if !call.check {
                client.user_revoke(name, role).await.map_err(told)?;
            }
        }
    }
    Ok(dict! {"changed" => changed})
}

/// A permission as etcd stores it: key, end, kind.
type Stored = (Vec<u8>, Vec<u8>, PermissionType);

fn wanted(args: &quorate_agent::args::Args) -> Result<Vec<Stored>, Failure> {
    let mut all = Vec::new();
    for item in args.dicts("permissions") {
        let key = item.text("key").as_bytes().to_vec();
        let recursive = item.bool("recursive");
        let end = item.nonempty("range_end").map(|end| end.as_bytes().to_vec());
        if recursive && end.is_some() {
            return Err(Failure::action("permissions: `recursive` and `range_end` exclude each other"));
        }
        if key.is_empty() && !recursive {
            return Err(Failure::action(
                "permissions: an empty `key` needs `recursive: true`: it means every key",
            ));
        }
        let kind = match item.text("permission") {
            "read" => PermissionType::Read,
            "write" => PermissionType::Write,
            _ => PermissionType::Readwrite,
        };
        let (key, end) = match (key.is_empty(), recursive, end) {
            (true, true, _) => (vec![0], vec![0]), // etcd's way to say: from the first key to the last
            (false, true, _) => (key.clone(), behind(&key)),
            (_, false, end) => (key, end.unwrap_or_default()),
        };
        all.push((key, end, kind));
    }
    Ok(all)
}

/// The first key that does not begin like this.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

pub(super) async fn role(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let wanted = wanted(&session.args)?;
    let (client, _) = session.any().await?;
    let args = &session.args;
    let name = args.text("name");
    let has = client.role(name).await.map_err(told)?;
    if args.text("state") == "absent" {
        if has.is_some() && !call.check {
            client.role_delete(name).await.map_err(told)?;
        }
        return Ok(dict! {"changed" => has.is_some()});
    }
    let mut changed = false;
    if has.is_none() {
        changed = true;
        if !call.check {
            client.role_add(name).await.map_err(told)?;
        }
    }
    let now: Vec<Stored> = has
        .unwrap_or_default()
        .iter()
        .map(|permission| {
            let kind = match permission.get_type() {
                kind if kind == PermissionType::Read as i32 => PermissionType::Read,
                kind if kind == PermissionType::Write as i32 => PermissionType::Write,
                _ => PermissionType::Readwrite,
            };
            (permission.key().to_vec(), permission.range_end().to_vec(), kind)
        })
        .collect();
    if args.has("permissions") {
        for (key, end, kind) in &wanted {
            if now.contains(&(key.clone(), end.clone(), *kind)) {
                continue;
            }
            changed = true;
            if !call.check {
                let make = match kind {
                    PermissionType::Read => Permission::read(key.clone()),
                    PermissionType::Write => Permission::write(key.clone()),
                    PermissionType::Readwrite => Permission::read_write(key.clone()),
                };
                let make = if end.is_empty() { make } else { make.with_range_end(end.clone()) };
                client.role_permit(name, make).await.map_err(told)?;
            }
        }
        let kept = |key: &[u8], end: &[u8]| wanted.iter().any(|(k, e, _)| k == key && e == end);
        for (key, end, _) in now.iter().filter(|(key, end, _)| !args.bool("append") && !kept(key, end)) {
            changed = true;
            if !call.check {
                client.role_forbid(name, key, end).await.map_err(told)?;
            }
        }
    }
    Ok(dict! {"changed" => changed})
}

pub(super) async fn auth(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let (client, _) = session.any().await?;
    let on = client.auth_status().await.map_err(told)? == Auth::Enabled;
    let wanted = session.args.text("state") == "enabled";
    if on == wanted {
        return Ok(dict! {"changed" => false, "enabled" => on});
    }
    if wanted {
        let root = client.user("root").await.map_err(told)?;
        if !root.is_some_and(|roles| roles.iter().any(|role| role == "root")) {
            return Err(Failure::action(
                "there is no user root with the role root, so nobody could turn authentication off again. \
                 etcd_user: {name: root, roles: [root]}",
            ));
        }
        // with it off etcd checks no login at all; what is left to prove is that one was given
        if session.args.nonempty("login_user") != Some("root") && !certifies_root(&session.cluster.pki.cert) {
            return Err(Failure::action(format!(
                "after this nobody could come in as root: the certificate {} is not one of CN=root, and no \
                 login_user: root was given",
                session.cluster.pki.cert.display()
            )));
        }
    }
    if call.check {
        return Ok(dict! {"changed" => true, "enabled" => wanted});
    }
    let done = if wanted { client.auth_enable().await } else { client.auth_disable().await };
    done.map_err(told)?;
    if wanted {
        // a fresh client: the first one logged in when there was nothing to log in to
        let (client, _) = session.any().await?;
        client.users().await.map_err(|error| {
            Failure::action(format!("authentication is on, and root is refused: {error}"))
        })?;
    }
    Ok(dict! {"changed" => true, "enabled" => wanted})
}

/// Whether a certificate's subject names root: etcd takes that as its user.
fn certifies_root(path: &std::path::Path) -> bool {
    let name = std::fs::read(path).ok().and_then(|pem| quorate_etcd::tls::common_name(&pem));
    name.as_deref() == Some("root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_prefixes() {
        assert_eq!(behind(b"/a/"), b"/a0");
        assert_eq!(behind(&[1, 0xff]), [2]);
        assert_eq!(behind(&[0xff]), [0]);
    }
}
