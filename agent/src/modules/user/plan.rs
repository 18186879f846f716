//! Which commands are missing for an account to be as asked. Pure.

use crate::args::Args;
use crate::module::{Ctx, Failure};
use crate::system::shadow::Shadow;
use crate::system::users::User;
use jiff::Timestamp;

/// What is known about the account.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) user: Option<User>,
    pub(super) shadow: Option<Shadow>,
    /// Groups that list it.
    pub(super) groups: Vec<String>,
    /// The number of the primary group asked for.
    pub(super) primary: Option<u32>,
    /// Whether a group has the account's name.
    pub(super) same_named_group: bool,
}

/// Whose commands there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tools {
    Shadow,
    Libuser,
    BusyBox,
}

impl Tools {
    pub(super) fn of(ctx: &Ctx, local: bool) -> Tools {
        if local {
            Tools::Libuser
        } else if ctx.which("useradd").is_none() && ctx.which("adduser").is_some() {
            Tools::BusyBox
        } else {
            Tools::Shadow
        }
    }
}

/// One thing to do.
#[derive(PartialEq, Eq)]
pub(super) enum Step {
    Run(Vec<String>),
    SetPassword(String),
}

/// What to do, in order.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

impl Plan {
    fn run<S: Into<String>>(&mut self, words: impl IntoIterator<Item = S>) {
        self.steps.push(Step::Run(words.into_iter().map(Into::into).collect()));
    }
}

/// How to delete the account.
pub(super) fn removal(args: &Args, tools: Tools) -> Vec<String> {
    let (force, remove) = (args.bool("force"), args.bool("remove"));
    let mut words: Vec<&str> = vec![match tools {
        Tools::Shadow => "userdel",
        Tools::Libuser => "luserdel",
        Tools::BusyBox => "deluser",
    }];
    words.extend((force && tools == Tools::Shadow).then_some("-f"));
    words.extend(remove.then_some(if tools == Tools::BusyBox { "--remove-home" } else { "-r" }));
    words.push(args.text("name"));
    words.into_iter().map(str::to_owned).collect()
}

/// How to get from what is to what was asked.
pub(super) fn plan(
    args: &Args,
    seen: &Seen,
    groups: &Option<Vec<String>>,
    tools: Tools,
) -> Result<Plan, Failure> {
    let mut plan = match (&seen.user, tools) {
        (None, Tools::BusyBox) => busybox_creation(args, groups),
        (None, _) => creation(args, seen, groups, tools),
        (Some(user), _) => changes(args, seen, user, groups, tools)?,
    };
    aging(args, seen, tools, &mut plan);
    Ok(plan)
}

/// The day an account ends, as `useradd` reads it; empty for never.
fn end_day(expires: f64) -> String {
    if expires < 0.0 {
        return String::new();
    }
    let at = Timestamp::from_second(expires as i64).unwrap_or(Timestamp::MAX);
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string()
}

/// The password as it will stand in `shadow`, locked if asked for.
fn password(args: &Args) -> Option<String> {
    let hash = args.str("password")?;
    let locked = args.bool("password_lock") && !hash.starts_with('!');
    Some(if locked { format!("!{hash}") } else { hash.to_owned() })
}

fn creation(args: &Args, seen: &Seen, groups: &Option<Vec<String>>, tools: Tools) -> Plan {
    let mut plan = Plan::default();
    let name = args.text("name");
    let local = tools == Tools::Libuser;
    let mut words: Vec<String> = vec![if local { "luseradd" } else { "useradd" }.into()];
    let mut option = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    if let Some(uid) = args.int("uid") {
        option("-u", uid.to_string());
    }
    if let Some(group) = args.str("group") {
        option("-g", group.into());
    }
    if let Some(groups) = groups.as_ref().filter(|groups| !groups.is_empty() && !local) {
        option("-G", groups.join(","));
    }
    for (flag, param) in [("-Z", "seuser"), ("-c", "comment"), ("-d", "home"), ("-s", "shell")] {
        if let Some(value) = args.str(param).filter(|_| flag != "-Z" || !local) {
            option(flag, value.into());
        }
    }
    if let Some(expires) = args.float("expires").filter(|_| !local) {
        option("-e", end_day(expires));
    }
    if let Some(days) = args.int("password_expire_account_disable").filter(|_| !local) {
        option("-f", days.to_string());
    }
    if args.bool("create_home") && !local {
        if let Some(skeleton) = args.str("skeleton") {
            option("-k", skeleton.into());
        }
        if let Some(umask) = args.str("umask") {
            option("-K", format!("UMASK={umask}"));
        }
    }
    for (key, limit) in [("UID_MIN", "uid_min"), ("UID_MAX", "uid_max")] {
        if let Some(limit) = args.int(limit) {
            option("-K", format!("{key}={limit}"));
        }
    }
    words.extend((args.has("uid") && args.bool("non_unique")).then(|| "-o".into()));
    // A group of that name is there, and `useradd` would refuse to make another.
    words.extend((!local && !args.has("group") && seen.same_named_group).then(|| "-N".into()));
    match (args.bool("create_home"), local) {
        (true, false) => words.push("-m".into()),
        (false, _) => words.push("-M".into()),
        (true, true) => {}
    }
    words.extend(args.bool("system").then(|| "-r".into()));
    words.push(name.into());
    plan.run(words);
    plan.steps.extend(password(args).map(Step::SetPassword));
    if local {
        for group in groups.iter().flatten() {
            plan.run(["lgroupmod", "-M", name, group]);
        }
        if let Some(expires) = args.float("expires") {
            plan.run(["lchage".to_owned(), "-E".into(), last_day(expires).to_string(), name.into()]);
        }
    }
    plan
}

fn busybox_creation(args: &Args, groups: &Option<Vec<String>>) -> Plan {
    let mut plan = Plan::default();
    let name = args.text("name");
    let mut words: Vec<String> = vec!["adduser".into(), "-D".into()];
    let options = [
        ("-h", args.str("home")),
        ("-g", args.str("comment")),
        ("-s", args.str("shell")),
        ("-G", args.str("group")),
    ];
    for (flag, value) in options {
        words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]));
    }
    words.extend(args.int("uid").into_iter().flat_map(|uid| ["-u".to_owned(), uid.to_string()]));
    words.extend((!args.bool("create_home")).then(|| "-H".into()));
    words.extend(
        args.bool("create_home")
            .then(|| args.str("skeleton"))
            .flatten()
            .into_iter()
            .flat_map(|skeleton| ["-k".to_owned(), skeleton.to_owned()]),
    );
    words.extend(args.bool("system").then(|| "-S".into()));
    words.push(name.into());
    plan.run(words);
    for group in groups.iter().flatten() {
        plan.run(["adduser", name, group]);
    }
    plan.steps.extend(password(args).map(Step::SetPassword));
    plan
}

fn last_day(expires: f64) -> i64 {
    if expires < 0.0 { -1 } else { (expires as i64).div_euclid(86400) }
}

fn changes(
    args: &Args,
    seen: &Seen,
    user: &User,
    groups: &Option<Vec<String>>,
    tools: Tools,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let name = args.text("name");
    let local = tools == Tools::Libuser;
    let mut words: Vec<String> = Vec::new();
    let mut option = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    if let Some(uid) = args.int("uid").filter(|uid| *uid != i64::from(user.uid)) {
        option("-u", &uid.to_string());
        if args.bool("non_unique") {
            words.push("-o".into());
        }
    }
    let mut option = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    if let Some(gid) = seen.primary.filter(|gid| *gid != user.gid) {
        option("-g", &gid.to_string());
    }
    let (missing, leaving) = memberships(args, seen, groups);
    let wrong_groups = !missing.is_empty() || !leaving.is_empty();
    if wrong_groups && tools == Tools::Shadow {
        let append = args.bool("append");
        let listed = groups.as_deref().unwrap_or_default().join(",");
        if append {
            words.push("-a".into());
        }
        words.extend(["-G".to_owned(), listed]);
    }
    let mut option = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    if let Some(comment) = args.str("comment").filter(|comment| *comment != user.gecos) {
        option("-c", comment);
    }
    if let Some(home) = args.str("home").filter(|home| *home != user.home) {
        option("-d", home);
        if args.bool("move_home") {
            words.push("-m".into());
        }
    }
    let mut option = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    if let Some(shell) = args.str("shell").filter(|shell| *shell != user.shell) {
        option("-s", shell);
    }
    let shadow = seen.shadow.clone().unwrap_or_default();
    let end = args.float("expires").filter(|expires| last_day(*expires) != shadow.expires.unwrap_or(-1));
    if let Some(expires) = end.filter(|_| !local) {
        option("-e", &end_day(expires));
    }
    let disable = args.int("password_expire_account_disable");
    if let Some(days) = disable.filter(|days| *days != shadow.inactive.unwrap_or(-1) && !local) {
        option("-f", &days.to_string());
    }
    let differs = |hash: &str| hash.trim_start_matches('!') != shadow.password.trim_start_matches('!');
    let new_password = (args.text("update_password") == "always"
        && args.str("password").is_some_and(differs))
    .then(|| password(args))
    .flatten();
    if new_password.is_none() {
        match (args.flag("password_lock"), shadow.password.starts_with('!')) {
            (Some(true), false) => words.push("-L".into()),
            (Some(false), true) => words.push("-U".into()),
            _ => {}
        }
    }
    if !words.is_empty() {
        if tools == Tools::BusyBox {
            // BusyBox cannot change accounts; the `shadow` package can.
            return Err(Failure::new(format!(
                "changing the account needs `usermod`, which is not installed (package `shadow`); asked for: {}",
                words.join(" ")
            ))
            .with("name", name));
        }
        words.insert(0, if local { "lusermod" } else { "usermod" }.into());
        words.push(name.into());
        plan.run(words);
    }
    if tools != Tools::Shadow {
        for group in &missing {
            match tools {
                Tools::Libuser => plan.run(["lgroupmod", "-M", name, group]),
                _ => plan.run(["adduser", name, group]),
            }
        }
        for group in &leaving {
            match tools {
                Tools::Libuser => plan.run(["lgroupmod", "-m", name, group]),
                _ => plan.run(["delgroup", name, group]),
            }
        }
    }
    if let Some(expires) = end.filter(|_| local) {
        plan.run(["lchage".to_owned(), "-E".into(), last_day(expires).to_string(), name.into()]);
    }
    plan.steps.extend(new_password.map(Step::SetPassword));
    Ok(plan)
}

/// The groups to enter and those to leave.
fn memberships(args: &Args, seen: &Seen, groups: &Option<Vec<String>>) -> (Vec<String>, Vec<String>) {
    let Some(asked) = groups else { return (vec![], vec![]) };
    let missing = asked.iter().filter(|group| !seen.groups.contains(group)).cloned().collect();
    let leaving = seen.groups.iter().filter(|group| !asked.contains(group)).cloned();
    (missing, if args.bool("append") { vec![] } else { leaving.collect() })
}

fn aging(args: &Args, seen: &Seen, tools: Tools, plan: &mut Plan) {
    let shadow = seen.shadow.clone().unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    for (flag, param, now) in [
        ("-m", "password_expire_min", shadow.min),
        ("-M", "password_expire_max", shadow.max),
        ("-W", "password_expire_warn", shadow.warn),
    ] {
        if let Some(days) = args.int(param).filter(|days| Some(*days) != now) {
            words.extend([flag.to_owned(), days.to_string()]);
        }
    }
    if !words.is_empty() {
        words.insert(0, if tools == Tools::Libuser { "lchage" } else { "chage" }.into());
        words.push(args.text("name").into());
        plan.run(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Place, check};
    use quorate_value::Dict;

    fn planned(task: &str, passwd: &str, shadow: &str, groups: &str, tools: Tools) -> String {
        let spec = crate::modules::find("user").unwrap().spec();
        let words = crate::system::shlex::split(task).unwrap();
        let given: Dict = words.iter().filter_map(|word| word.split_once('=')).collect();
        let checked = check(spec, "user", &given, Place::Host(&[]));
        assert!(checked.error.is_none(), "{task}: {:?}", checked.error);
        let args = Args::new(checked.args, spec);
        let seen = Seen {
            user: User::parse(passwd),
            shadow: Shadow::parse(shadow).map(|(_, shadow)| shadow),
            groups: groups.split(',').filter(|g| !g.is_empty()).map(str::to_owned).collect(),
            primary: args.str("group").map(|group| group.parse().unwrap_or(100)),
            same_named_group: args.text("name") == "users",
        };
        let asked = args.has("groups").then(|| {
            args.strings("groups").into_iter().filter(|group| !group.is_empty()).collect::<Vec<_>>()
        });
        match plan(&args, &seen, &asked, tools) {
            Ok(plan) => plan
                .steps
                .iter()
                .map(|step| match step {
                    Step::Run(words) => words.join(" "),
                    Step::SetPassword(hash) => format!("[{hash}]"),
                })
                .collect::<Vec<_>>()
                .join("; "),
            Err(failure) => failure.message().to_owned(),
        }
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn new_accounts() {
        use Tools::*;
        for (task, tools, expected) in [
            ("name=u",                                          Shadow,  "useradd -m u"),
            ("name=users",                                      Shadow,  "useradd -N -m users"),
            ("name=u uid=5 non_unique=yes",                     Shadow,  "useradd -u 5 -o -m u"),
            ("name=u group=users groups=a,b comment='A B' home=/srv/u shell=/bin/sh skeleton=/x expires=1900000000",
             Shadow, "useradd -g users -G a,b -c A B -d /srv/u -s /bin/sh -e 2030-03-17 -k /x -m u"),
            ("name=u system=yes create_home=no skeleton=/x uid_min=5 uid_max=6",
             Shadow, "useradd -K UID_MIN=5 -K UID_MAX=6 -M -r u"),
            ("name=u umask=0077",                               Shadow,  "useradd -K UMASK=0077 -m u"),
            ("name=u password=$6$a$b",                          Shadow,  "useradd -m u; [$6$a$b]"),
            ("name=u password=$6$a$b password_lock=yes",        Shadow,  "useradd -m u; [!$6$a$b]"),
            ("name=u password_expire_max=10 password_expire_min=1", Shadow, "useradd -m u; chage -m 1 -M 10 u"),
            ("name=u local=yes groups=a comment=y",             Libuser, "luseradd -c y u; lgroupmod -M u a"),
            ("name=u groups=a system=yes home=/h",              BusyBox, "adduser -D -h /h -S u; adduser u a"),
        ] {
            assert_eq!(planned(task, "", "", "", tools), expected, "{task}");
        }
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn standing_accounts() {
        use Tools::*;
        let passwd = "u:x:1000:100:Old:/home/u:/bin/sh";
        let shadow = "u:$6$s$h:20778:0:99999:7:::";
        for (task, shadow, groups, tools, expected) in [
            ("name=u",                                  shadow, "a",   Shadow,  ""),
            ("name=u uid=1000 comment=Old home=/home/u shell=/bin/sh group=100", shadow, "a", Shadow, ""),
            ("name=u uid=7 non_unique=yes comment=New", shadow, "",    Shadow,  "usermod -u 7 -o -c New u"),
            ("name=u comment=''",                       shadow, "",    Shadow,  "usermod -c  u"),
            ("name=u group=5",                          shadow, "",    Shadow,  "usermod -g 5 u"),
            ("name=u groups=a",                         shadow, "a",   Shadow,  ""),
            ("name=u groups=a",                         shadow, "a,b", Shadow,  "usermod -G a u"),
            ("name=u groups=''",                        shadow, "a",   Shadow,  "usermod -G  u"),
            ("name=u groups=c append=yes",              shadow, "a",   Shadow,  "usermod -a -G c u"),
            ("name=u groups=a append=yes",              shadow, "a,b", Shadow,  ""),
            ("name=u groups='' append=yes",             shadow, "a",   Shadow,  ""),
            ("name=u home=/x move_home=yes",            shadow, "",    Shadow,  "usermod -d /x -m u"),
            ("name=u password=$6$s$h",                  shadow, "",    Shadow,  ""),
            ("name=u password=$6$s$h",   "u:!$6$s$h:1::::::",  "",     Shadow,  ""),
            ("name=u password=$6$s$i",                  shadow, "",    Shadow,  "[$6$s$i]"),
            ("name=u password=$6$s$i update_password=on_create", shadow, "", Shadow, ""),
            ("name=u password_lock=yes",                shadow, "",    Shadow,  "usermod -L u"),
            ("name=u password_lock=no",                 shadow, "",    Shadow,  ""),
            ("name=u password_lock=no",  "u:!$6$s$h:1::::::",  "",     Shadow,  "usermod -U u"),
            ("name=u expires=-1",                       shadow, "",    Shadow,  ""),
            ("name=u expires=1900000000",               shadow, "",    Shadow,  "usermod -e 2030-03-17 u"),
            ("name=u expires=1900000000", "u:x:1:0:9:7::21990:", "",   Shadow,  ""),
            ("name=u expires=-1",        "u:x:1:0:9:7::21990:", "",    Shadow,  "usermod -e  u"),
            ("name=u password_expire_account_disable=5", "u:x:1:0:9:7:5::", "", Shadow, ""),
            ("name=u password_expire_account_disable=6", "u:x:1:0:9:7:5::", "", Shadow, "usermod -f 6 u"),
            ("name=u password_expire_max=9",  "u:x:1:0:9:7:5::", "",   Shadow,  ""),
            ("name=u password_expire_warn=9", "u:x:1:0:9:7:5::", "",   Shadow,  "chage -W 9 u"),
            ("name=u groups=b local=yes",               shadow, "a",   Libuser, "lgroupmod -M u b; lgroupmod -m u a"),
            ("name=u groups=b",                         shadow, "a",   BusyBox, "adduser u b; delgroup u a"),
            ("name=u shell=/bin/ash",                   shadow, "",    BusyBox,
             "changing the account needs `usermod`, which is not installed (package `shadow`); asked for: -s /bin/ash"),
        ] {
            assert_eq!(planned(task, passwd, shadow, groups, tools), expected, "{task} in {groups}");
        }
    }
}
