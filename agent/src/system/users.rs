//! Users and groups, without NSS: `/etc/passwd` and `/etc/group`, then `getent` for names from elsewhere.
//!
//! **Invariant:** never calls `getpwnam` and friends, which a static binary cannot do safely.

use super::process::Command;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A line of `passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Password field, `x` nearly always.
    pub password: String,
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// Comment.
    pub gecos: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of `group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Password field.
    pub password: String,
    /// Number.
    pub gid: u32,
    /// Members by supplementary membership.
    pub members: Vec<String>,
}

impl User {
    /// A line of `passwd`; nothing for comments, NIS lines and damage.
    pub fn parse(line: &str) -> Option<User> {
        let fields: Vec<_> = line.split(':').collect();
        let [name, password, uid, gid, gecos, home, shell, ..] = fields.as_slice() else { return None };
        Some(User {
            name: (*name).into(),
            password: (*password).into(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            gecos: (*gecos).into(),
            home: (*home).into(),
            shell: (*shell).into(),
        })
    }
}

impl Group {
    /// A line of `group`; nothing for comments, NIS lines and damage.
    pub fn parse(line: &str) -> Option<Group> {
        let fields: Vec<_> = line.split(':').collect();
        let [name, password, gid, members, ..] = fields.as_slice() else { return None };
        let members = members.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
        Some(Group { name: (*name).into(), password: (*password).into(), gid: gid.parse().ok()?, members })
    }
}

fn read_lines(path: &str) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

type Answers = HashMap<(&'static str, String), (Instant, Option<String>)>;

/// What NSS says; an answer counts for a moment, because trees hold many files of one unknown owner.
fn getent(database: &'static str, key: &str) -> Option<String> {
    static ANSWERS: OnceLock<Mutex<Answers>> = OnceLock::new();
    let answers = || ANSWERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let name = (database, key.to_owned());
    if let Some((asked, answer)) = answers().get(&name).cloned()
        && asked.elapsed() < Duration::from_secs(2)
    {
        return answer;
    }
    let answer = ask(database, key);
    answers().insert(name, (Instant::now(), answer.clone()));
    answer
}

fn ask(database: &str, key: &str) -> Option<String> {
    let output = Command::new(["getent", database, key]).env("LC_ALL", "C").run_quietly().ok()?;
    (output.rc == 0).then(|| output.stdout_text().lines().next().unwrap_or_default().to_owned())
}

/// All local users.
pub fn users() -> Vec<User> {
    read_lines("/etc/passwd").iter().filter_map(|line| User::parse(line)).collect()
}

/// All local groups.
pub fn groups() -> Vec<Group> {
    read_lines("/etc/group").iter().filter_map(|line| Group::parse(line)).collect()
}

/// The user with this name, local or from NSS.
pub fn by_name(name: &str) -> Option<User> {
    users().into_iter().find(|user| user.name == name).or_else(|| {
        let user = User::parse(&getent("passwd", name)?)?;
        (user.name == name).then_some(user)
    })
}

/// The user with this number, local or from NSS.
pub fn by_uid(uid: u32) -> Option<User> {
    let local = users().into_iter().find(|user| user.uid == uid);
    local.or_else(|| User::parse(&getent("passwd", &uid.to_string())?))
}

/// The group with this name, local or from NSS.
pub fn group_by_name(name: &str) -> Option<Group> {
    groups().into_iter().find(|group| group.name == name).or_else(|| {
        let group = Group::parse(&getent("group", name)?)?;
        (group.name == name).then_some(group)
    })
}

/// The group with this number, local or from NSS.
pub fn group_by_gid(gid: u32) -> Option<Group> {
    let local = groups().into_iter().find(|group| group.gid == gid);
    local.or_else(|| Group::parse(&getent("group", &gid.to_string())?))
}

/// The user this process runs as.
pub fn own() -> Option<User> {
    by_uid(rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let user = User::parse("etcd:x:997:995:etcd user:/var/lib/etcd:/usr/sbin/nologin").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (997, 995, "/var/lib/etcd"));
        assert_eq!(User::parse("+@netgroup::::::").map(|u| u.name), None);
        let group = Group::parse("adm:x:4:syslog,me").unwrap();
        assert_eq!(group.members, ["syslog", "me"]);
        assert_eq!(Group::parse("g:x:9:").unwrap().members, [""; 0]);
    }

    #[test]
    fn root_is_known_everywhere() {
        assert_eq!(by_name("root").map(|user| user.uid), Some(0));
        assert_eq!(group_by_gid(0).map(|group| group.name).as_deref(), Some("root"));
        assert_eq!(by_name("no such user here"), None);
    }
}
