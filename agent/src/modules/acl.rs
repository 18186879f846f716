//! `acl`: POSIX access lists, by `getfacl` and `setfacl`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use quorate_value::Value;
use std::path::Path;

/// The `acl` module.
pub struct Acl;

static SPEC: Spec = Spec::new("acl", "Sets or tells the access list of a file or directory.")
    .collection("ansible.posix")
    .params(&[
        Param::path("path").required().aliases(&["name"]).doc("The file or directory."),
        Param::str("state")
            .choices(&["absent", "present", "query"])
            .default_str("query")
            .doc("Whether the entry should be there; `query` only tells."),
        Param::bool("follow").default_bool(true).doc("Follows a link at the path."),
        Param::bool("default").default_bool(false).doc("Means the list that new files in a directory get."),
        Param::str("entity").default_str("").doc("User or group that the entry is for; the owner if empty."),
        Param::str("etype").choices(&["group", "mask", "other", "user"]).doc("Kind of entry."),
        Param::str("permissions").doc("Any of `r`, `w`, `x`, `X`."),
        Param::str("entry").doc("The whole entry as `setfacl` writes it: `etype:entity:permissions`."),
        Param::bool("recursive").aliases(&["recurse"]).default_bool(false).doc("Everything inside, too."),
        Param::bool("use_nfsv4_acls").default_bool(false).doc("Writes entries as NFSv4 lists want them."),
        Param::str("recalculate_mask")
            .choices(&["default", "mask", "no_mask"])
            .default_str("default")
            .doc("Whether the mask is computed anew."),
    ]);

impl Module for Acl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        let state = args.text("state");
        if !Path::new(path).exists() {
            return Err(Failure::new("Path not found or not accessible."));
        }
        let entry = Entry::of(args)?;
        if state == "query" && args.bool("recursive") {
            return Err(Failure::new("'recursive' MUST NOT be set when 'state=query'."));
        }
        let (mut changed, mut msg) = (false, "current acl".to_owned());
        if state != "query" {
            let present = state == "present";
            let word = entry.written(present, args.bool("use_nfsv4_acls"));
            changed = modify(args, ctx, present, &word, true)?;
            if changed && !ctx.check {
                modify(args, ctx, present, &word, false)?;
            }
            msg = format!("{} is {state}", entry.written(true, args.bool("use_nfsv4_acls")));
        }
        let list = show(args, ctx)?;
        Ok(Outcome::changed_if(changed)
            .msg(msg)
            .with("acl", list.iter().map(String::as_str).collect::<Value>()))
    }
}

struct Entry {
    etype: String,
    entity: String,
    permissions: Option<String>,
}

impl Entry {
    fn of(args: &Args) -> Result<Entry, Failure> {
        let state = args.text("state");
        let Some(entry) = args.nonempty("entry") else {
            if state != "query" && !args.has("etype") {
                return Err(Failure::new(format!("'etype' MUST be set when 'state={state}'")));
            }
            if state == "present" && !args.has("permissions") {
                return Err(Failure::new("'permissions' MUST be set when 'state=present'"));
            }
            return Ok(Entry {
                etype: args.text("etype").to_owned(),
                entity: args.text("entity").to_owned(),
                permissions: args.str("permissions").map(str::to_owned),
            });
        };
        if ["etype", "permissions"].into_iter().any(|name| args.has(name))
            || args.nonempty("entity").is_some()
        {
            return Err(Failure::new(
                "'entry' MUST NOT be set when 'entity', 'etype' or 'permissions' are set.",
            ));
        }
        let mut parts: Vec<&str> = entry.split(':').collect();
        if parts.first().is_some_and(|first| matches!(*first, "d" | "default")) {
            parts.remove(0);
        }
        let expected = if state == "present" { 3..=3 } else { 2..=3 };
        if !expected.contains(&parts.len()) {
            let count = if state == "present" { "2" } else { "1 or 2" };
            return Err(Failure::new(format!(
                "'entry' MUST have {count} sections divided by ':' when 'state={state}'."
            )));
        }
        let etype = match parts[0] {
            "u" | "user" => "user",
            "g" | "group" => "group",
            "m" | "mask" => "mask",
            "o" | "other" => "other",
            other => return Err(Failure::new(format!("`{other}` is no kind of entry"))),
        };
        Ok(Entry {
            etype: etype.into(),
            entity: parts[1].into(),
            permissions: parts.get(2).map(|permissions| (*permissions).to_owned()),
        })
    }

    fn written(&self, with_permissions: bool, nfs: bool) -> String {
        let permissions = self.permissions.as_deref().filter(|_| with_permissions).unwrap_or_default();
        if nfs {
            return format!("{}:{}:{permissions}:allow", self.etype, self.entity);
        }
        if with_permissions && self.permissions.is_some() {
            format!("{}:{}:{permissions}", self.etype, self.entity)
        } else {
            format!("{}:{}", self.etype, self.entity)
        }
    }
}

/// Runs `setfacl`; says whether it changes anything. With `test` it only tells.
fn modify(args: &Args, ctx: &Ctx, present: bool, entry: &str, test: bool) -> Result<bool, Failure> {
    let mut words = vec![ctx.program("setfacl")?];
    if test {
        words.push("--test".into());
    }
    match args.text("recalculate_mask") {
        "mask" => words.push("--mask".into()),
        "no_mask" => words.push("--no-mask".into()),
        _ => {}
    }
    if args.bool("recursive") {
        words.push("--recursive".into());
    }
    if !args.bool("follow") {
        words.push("--physical".into());
    }
    if args.bool("default") || args.text("entry").starts_with('d') {
        words.push("--default".into());
    }
    words.push(if present { format!("--modify={entry}") } else { format!("--remove={entry}") });
    words.push(args.text("path").to_owned());
    let output = ctx.run_ok(&ctx.command(words).env("LC_ALL", "C"), "setfacl failed")?;
    Ok(output.stdout_text().lines().any(|line| !line.is_empty() && !line.ends_with("*,*")))
}

fn show(args: &Args, ctx: &Ctx) -> Result<Vec<String>, Failure> {
    let mut words = vec![ctx.program("getfacl")?, "--omit-header".into(), "--absolute-names".into()];
    if !args.bool("follow") {
        words.push("--physical".into());
    }
    words.push(args.text("path").to_owned());
    let output = ctx.run_ok(&ctx.command(words).env("LC_ALL", "C"), "getfacl failed")?;
    Ok(output.stdout_text().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
