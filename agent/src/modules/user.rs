//! `user`: an account, its groups, home, password and SSH key.
//!
//! The account is looked at, [`plan`] decides which commands are missing, then they run:
//! `useradd`, `usermod`, `userdel` and `chage`, libuser's `l…` twins for `local`, or BusyBox' `adduser`.
//!
//! **Invariant:** no password and no passphrase is ever an argument of a program.
//!
//! Not here: groups themselves (`group`), keys of others (`authorized_key`).

mod plan;
mod ssh_key;

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::Output;
use crate::system::shadow::{self, Shadow};
use crate::system::users::{self, User};
use plan::{Plan, Seen, Step};
use rustix::fs::{Gid, Uid};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// The `user` module.
pub struct UserModule;

static SPEC: Spec =
    Spec::new("user", "Makes sure that an account exists as described, or does not.").params(&[
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should exist."),
        Param::str("name").required().aliases(&["user"]).doc("Login name."),
        Param::int("uid").doc("Its number."),
        Param::bool("non_unique").default_bool(false).doc("Let another account have the same number."),
        Param::str("group").doc("Primary group, by name or number."),
        Param::list("groups", Kind::Str)
            .doc("Supplementary groups; an empty text takes the account out of all."),
        Param::str("comment").doc("Full name or description."),
        Param::path("home").doc("Home directory."),
        Param::path("shell").doc("Login shell."),
        Param::str("password").no_log().doc("Hash of the password, as in `/etc/shadow`."),
        Param::str("login_class").doc("BSD only; no effect here."),
        Param { no_log: Some(false), ..Param::int("password_expire_max") }
            .doc("Days after which the password must change."),
        Param { no_log: Some(false), ..Param::int("password_expire_min") }
            .doc("Days before the password may change again."),
        Param { no_log: Some(false), ..Param::int("password_expire_warn") }
            .doc("Days of warning before it expires."),
        Param { no_log: Some(false), ..Param::int("password_expire_account_disable") }
            .doc("Days from the password's expiry to the end of the account."),
        Param::bool("hidden").doc("macOS only; no effect here."),
        Param::str("seuser").doc("SELinux user of a new account."),
        Param::bool("force").default_bool(false).doc(
            "With `state: absent` as `userdel --force`; with `generate_ssh_key` replace an existing key.",
        ),
        Param::bool("remove").default_bool(false).doc("With `state: absent` delete the home and mail too."),
        Param::bool("create_home")
            .default_bool(true)
            .aliases(&["createhome"])
            .doc("Make the home directory if it is missing."),
        Param::str("skeleton").doc("Directory whose files a new home starts with; `/etc/skel` if absent."),
        Param::bool("system").default_bool(false).doc("Make a system account. Only when it is made."),
        Param::bool("move_home").default_bool(false).doc("When `home` changes, move what is in the old one."),
        Param::bool("append")
            .default_bool(false)
            .doc("Add `groups` to those it has, instead of setting them."),
        Param::bool("generate_ssh_key").default_bool(false).doc("Make an SSH key if there is none."),
        Param::int("ssh_key_bits").doc("Size of that key."),
        Param::str("ssh_key_type").default_str("rsa").doc("Type of that key."),
        Param::path("ssh_key_file").doc("Its file, relative to the home; `.ssh/id_TYPE` if absent."),
        Param::str("ssh_key_comment").doc("Its comment; `ansible-generated on HOST` if absent."),
        Param::str("ssh_key_passphrase").no_log().doc("Its passphrase; none if absent."),
        Param { no_log: Some(false), ..Param::str("update_password") }
            .choices(&["always", "on_create"])
            .default_str("always")
            .doc("Whether the password of an existing account is changed."),
        Param::new("expires", Kind::Float)
            .doc("When the account ends, in seconds since the epoch; negative for never."),
        Param { no_log: Some(false), ..Param::bool("password_lock") }.doc("Lock or unlock the password."),
        Param::bool("local")
            .default_bool(false)
            .doc("Use the commands of libuser, which look at local files only."),
        Param::str("profile").doc("Solaris only; no effect here."),
        Param::str("authorization").doc("Solaris only; no effect here."),
        Param::str("role").doc("Solaris only; no effect here."),
        Param::str("umask").doc("Mask for a new home, octal."),
        Param::int("uid_min").doc("Smallest number to pick from, in place of `/etc/login.defs`."),
        Param::int("uid_max").doc("Largest number to pick from, in place of `/etc/login.defs`."),
    ]);

impl Module for UserModule {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        for (name, given) in
            [("umask", args.has("umask")), ("uid_min", args.has("uid_min")), ("uid_max", args.has("uid_max"))]
        {
            if given && args.bool("local") {
                return Err(Failure::new(format!("'{name}' can not be used with 'local'")));
            }
        }
        let outcome = match args.text("state") {
            "absent" => absent(args, ctx)?,
            _ => present(args, ctx)?,
        };
        let unhashed = args.str("password").is_some_and(shadow::looks_unhashed);
        Ok(if unhashed {
            outcome.warn(
                "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly.",
            )
        } else {
            outcome
        })
    }
}

fn look(args: &Args) -> Option<User> {
    let name = args.text("name");
    let local = || users::users().into_iter().find(|user| user.name == name);
    if args.bool("local") { local() } else { users::by_name(name) }
}

fn absent(args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    let name = args.text("name");
    let outcome = Outcome::ok().with("name", name).with("state", "absent");
    if look(args).is_none() {
        return Ok(outcome);
    }
    if ctx.check {
        return Ok(Outcome::changed());
    }
    let words = plan::removal(args, plan::Tools::of(ctx, args.bool("local")));
    let output = run(ctx, &words)?;
    if !output.ok() {
        return Err(refusal(name, &output));
    }
    let mut outcome = spoken(outcome, &[output]);
    outcome.set("force", args.bool("force"));
    outcome.set("remove", args.bool("remove"));
    outcome.set_changed(true);
    Ok(outcome)
}

fn present(args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    let name = args.text("name");
    let user = look(args);
    let tools = plan::Tools::of(ctx, args.bool("local"));
    let groups = groups_asked(args)?;
    let seen = Seen {
        shadow: user.as_ref().and_then(|_| Shadow::of(name)),
        groups: memberships(name, &groups),
        primary: primary_asked(args)?,
        same_named_group: user.is_none() && !args.has("group") && users::group_by_name(name).is_some(),
        user,
    };
    let mut outcome = Outcome::ok().with("name", name).with("state", "present");
    let existed = seen.user.is_some();
    let Plan { steps } = plan::plan(args, &seen, &groups, tools)?;
    if ctx.check && !existed {
        return Ok(Outcome::changed());
    }
    if existed {
        outcome.set("append", args.bool("append"));
        outcome.set("move_home", args.bool("move_home"));
    } else {
        outcome.set("system", args.bool("system"));
        outcome.set("create_home", args.bool("create_home"));
    }
    let mut changed = !steps.is_empty();
    let mut outputs = Vec::new();
    if !ctx.check {
        if !existed && args.bool("create_home") {
            make_parent(args)?;
        }
        for step in &steps {
            let output = match step {
                Step::Run(words) => run(ctx, words)?,
                Step::SetPassword(hash) => shadow::set_password(ctx, name, hash)?,
            };
            if !output.ok() {
                return Err(refusal(name, &output));
            }
            outputs.push(output);
        }
    }
    if let Some(user) = look(args) {
        let missing = !Path::new(&user.home).exists();
        if missing && args.bool("create_home") {
            changed = true;
            if !ctx.check {
                make_home(args, &user).map_err(|error| {
                    Failure::new(format!("could not make the home {}: {error}", user.home)).with("name", name)
                })?;
            }
        }
        outcome.set("uid", user.uid);
        outcome.set("group", user.gid);
        outcome.set("comment", user.gecos.as_str());
        outcome.set("home", user.home.as_str());
        outcome.set("shell", user.shell.as_str());
        if args.bool("generate_ssh_key") {
            changed |= ssh_key::make(args, ctx, &user, &mut outcome)?;
        }
    }
    if args.has("groups") {
        outcome.set("groups", args.strings("groups").join(","));
    }
    if args.has("password") {
        outcome.set("password", "NOT_LOGGING_PASSWORD");
    }
    outcome.set_changed(changed);
    Ok(spoken(outcome, &outputs))
}

fn refusal(name: &str, output: &Output) -> Failure {
    Failure::new(output.stderr_text()).with("name", name).with("rc", output.rc)
}

/// What the commands said, if they said anything.
fn spoken(mut outcome: Outcome, outputs: &[Output]) -> Outcome {
    let out: String = outputs.iter().map(Output::stdout_text).collect();
    let err: String = outputs.iter().map(Output::stderr_text).collect();
    if !out.is_empty() {
        outcome.set("stdout", out);
    }
    if !err.is_empty() {
        outcome.set("stderr", err);
    }
    outcome
}

fn run(ctx: &Ctx, words: &[String]) -> Result<Output, Failure> {
    let program = ctx.program(&words[0])?;
    ctx.run(&ctx.command([program]).args(&words[1..]).env("LC_ALL", "C"))
}

/// The groups asked for, by their names; nothing if the task does not speak of groups.
fn groups_asked(args: &Args) -> Result<Option<Vec<String>>, Failure> {
    if !args.has("groups") {
        return Ok(None);
    }
    let mut names: Vec<String> = Vec::new();
    for asked in args.strings("groups") {
        let asked = asked.trim();
        if asked.is_empty() {
            continue;
        }
        let group = users::group_by_name(asked)
            .or_else(|| asked.parse().ok().and_then(users::group_by_gid))
            .ok_or_else(|| Failure::new(format!("Group {asked} does not exist")))?;
        if !names.contains(&group.name) {
            names.push(group.name);
        }
    }
    Ok(Some(names))
}

fn primary_asked(args: &Args) -> Result<Option<u32>, Failure> {
    let Some(asked) = args.str("group") else { return Ok(None) };
    users::group_by_name(asked)
        .or_else(|| asked.parse().ok().and_then(users::group_by_gid))
        .map(|group| Some(group.gid))
        .ok_or_else(|| Failure::new(format!("Group {asked} does not exist")))
}

/// The groups that list this user, local ones and those asked about.
fn memberships(name: &str, asked: &Option<Vec<String>>) -> Vec<String> {
    let mut groups = users::groups();
    for asked in asked.iter().flatten() {
        if !groups.iter().any(|group| group.name == *asked) {
            groups.extend(users::group_by_name(asked));
        }
    }
    groups
        .into_iter()
        .filter(|group| group.members.iter().any(|member| member == name))
        .map(|group| group.name)
        .collect()
}

/// Makes the directory that a new home goes into; `useradd` makes the home itself.
fn make_parent(args: &Args) -> Result<(), Failure> {
    let Some(parent) = args.str("home").and_then(|home| Path::new(home).parent()) else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| {
        Failure::new(format!("could not make {}: {error}", parent.display())).with("name", args.text("name"))
    })
}

/// Makes a home from the skeleton, all of it the user's.
fn make_home(args: &Args, user: &User) -> io::Result<()> {
    let home = Path::new(&user.home);
    let skeleton = Path::new(args.nonempty("skeleton").unwrap_or("/etc/skel"));
    if let Some(parent) = home.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(home)?;
    fs::set_permissions(home, fs::Permissions::from_mode(0o700))?;
    if skeleton.is_dir() {
        copy_tree(skeleton, home)?;
    }
    give(home, user)?;
    let defs = fs::read_to_string("/etc/login.defs").unwrap_or_default();
    let mode = shadow::home_mode(&defs, args.str("umask").and_then(shadow::octal));
    fs::set_permissions(home, fs::Permissions::from_mode(mode))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = fs::symlink_metadata(&source)?;
        if metadata.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if metadata.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&source, &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        } else if metadata.is_file() {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

fn give(path: &Path, user: &User) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::fs::chownat(rustix::fs::CWD, path, Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}
