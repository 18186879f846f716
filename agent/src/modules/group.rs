//! `group`: a group and its number.
//!
//! Through `groupadd`, `groupmod` and `groupdel`, their `l…` twins, or BusyBox' `addgroup` and `delgroup`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use crate::system::users::{self, Group};

/// The `group` module.
pub struct GroupModule;

static SPEC: Spec = Spec::new("group", "Makes sure that a group exists, or does not.")
    .params(&[
        Param::str("name").required().doc("The group."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should exist."),
        Param::bool("force")
            .default_bool(false)
            .doc("Delete it even if it is somebody's primary group; where `groupdel` knows `--force`."),
        Param::int("gid").doc("Its number."),
        Param::bool("system").default_bool(false).doc("Make a system group. Only when it is made."),
        Param::bool("local")
            .default_bool(false)
            .doc("Use the commands of libuser, which look at local files only."),
        Param::bool("non_unique").default_bool(false).doc("Let another group have the same number."),
        Param::int("gid_min").doc("Smallest number to pick from, in place of `/etc/login.defs`."),
        Param::int("gid_max").doc("Largest number to pick from, in place of `/etc/login.defs`."),
    ])
    .required_if(&[RequiredIf::bool("non_unique", true, &["gid"])]);

impl Module for GroupModule {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let name = args.text("name");
        for limit in ["gid_min", "gid_max"] {
            if args.bool("local") && args.has(limit) {
                return Err(Failure::new(format!("'{limit}' can not be used with 'local'")));
            }
        }
        let seen = look(name, args.bool("local"));
        let tools = Tools::of(ctx, args.bool("local"));
        let command = command(args, seen.as_ref(), tools);
        let changed = command.is_some();
        if let Some(command) = command {
            if ctx.check {
                return Ok(Outcome::changed());
            }
            apply(ctx, name, &command)?;
        }
        let mut outcome = Outcome::changed_if(changed).with("name", name).with("state", args.text("state"));
        if args.text("state") == "present"
            && let Some(group) = look(name, args.bool("local"))
        {
            outcome.set("gid", group.gid);
            outcome.set("system", args.bool("system"));
        }
        Ok(outcome)
    }
}

fn look(name: &str, local: bool) -> Option<Group> {
    if local {
        users::groups().into_iter().find(|group| group.name == name)
    } else {
        users::group_by_name(name)
    }
}

/// Whose commands there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tools {
    Shadow,
    Libuser,
    BusyBox,
}

impl Tools {
    fn of(ctx: &Ctx, local: bool) -> Tools {
        if local {
            Tools::Libuser
        } else if ctx.which("groupadd").is_none() && ctx.which("addgroup").is_some() {
            Tools::BusyBox
        } else {
            Tools::Shadow
        }
    }
}

fn apply(ctx: &Ctx, name: &str, words: &[String]) -> Result<(), Failure> {
    let program = ctx.program(&words[0])?;
    let output = ctx.run(&ctx.command([program]).args(&words[1..]).env("LC_ALL", "C"))?;
    if output.ok() { Ok(()) } else { Err(Failure::new(output.stderr_text()).with("name", name)) }
}

/// The command that is missing for the group to be as asked; none if it is.
fn command(args: &Args, seen: Option<&Group>, tools: Tools) -> Option<Vec<String>> {
    let prefix = if tools == Tools::Libuser { "l" } else { "" };
    let name = args.text("name").to_owned();
    let gid = args.int("gid");
    let mut words: Vec<String> = Vec::new();
    match (args.text("state"), seen) {
        ("absent", None) => return None,
        ("absent", Some(_)) if tools == Tools::BusyBox => words.push("delgroup".into()),
        ("absent", Some(_)) => {
            words.push(format!("{prefix}groupdel"));
            words.extend((args.bool("force") && tools == Tools::Shadow).then(|| "-f".into()));
        }
        (_, None) if tools == Tools::BusyBox => {
            words.push("addgroup".into());
            words.extend(gid.into_iter().flat_map(|gid| ["-g".into(), gid.to_string()]));
            words.extend(args.bool("system").then(|| "-S".into()));
        }
        (_, None) => {
            words.push(format!("{prefix}groupadd"));
            words.extend(gid.into_iter().flat_map(|gid| ["-g".into(), gid.to_string()]));
            words.extend((gid.is_some() && args.bool("non_unique")).then(|| "-o".into()));
            words.extend(args.bool("system").then(|| "-r".into()));
            for (key, limit) in [("GID_MIN", "gid_min"), ("GID_MAX", "gid_max")] {
                words.extend(
                    args.int(limit).into_iter().flat_map(|limit| ["-K".into(), format!("{key}={limit}")]),
                );
            }
        }
        (_, Some(group)) => {
            let gid = gid.filter(|gid| *gid != i64::from(group.gid))?;
            words.extend([format!("{prefix}groupmod"), "-g".into(), gid.to_string()]);
            words.extend(args.bool("non_unique").then(|| "-o".into()));
        }
    }
    words.push(name);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Place, check, parse_kv};

    #[rustfmt::skip] // read in columns
    #[test]
    fn commands() {
        use Tools::*;
        for (task, line, tools, expected) in [
            ("name=g",                               "",        Shadow,  "groupadd g"),
            ("name=g",                               "g:x:5:",  Shadow,  ""),
            ("name=g gid=7 system=yes",              "",        Shadow,  "groupadd -g 7 -r g"),
            ("name=g gid=7 non_unique=yes",          "",        Shadow,  "groupadd -g 7 -o g"),
            ("name=g system=yes gid_min=3 gid_max=4", "",       Shadow,  "groupadd -r -K GID_MIN=3 -K GID_MAX=4 g"),
            ("name=g gid=5",                         "g:x:5:",  Shadow,  ""),
            ("name=g gid=6",                         "g:x:5:",  Shadow,  "groupmod -g 6 g"),
            ("name=g gid=6 non_unique=yes",          "g:x:5:",  Shadow,  "groupmod -g 6 -o g"),
            ("name=g state=absent",                  "g:x:5:",  Shadow,  "groupdel g"),
            ("name=g state=absent force=yes",        "g:x:5:",  Shadow,  "groupdel -f g"),
            ("name=g state=absent",                  "",        Shadow,  ""),
            ("name=g local=yes",                     "",        Libuser, "lgroupadd g"),
            ("name=g local=yes state=absent force=yes", "g:x:5:", Libuser, "lgroupdel g"),
            ("name=g gid=7 system=yes",              "",        BusyBox, "addgroup -g 7 -S g"),
            ("name=g state=absent",                  "g:x:5:",  BusyBox, "delgroup g"),
        ] {
            let checked = check(&SPEC, "group", &parse_kv(task).unwrap(), Place::Host(&[]));
            let args = Args::new(checked.args, &SPEC);
            let made = command(&args, Group::parse(line).as_ref(), tools);
            assert_eq!(made.unwrap_or_default().join(" "), expected, "{task} with {line:?}");
        }
    }
}
