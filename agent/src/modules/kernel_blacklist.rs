//! `kernel_blacklist`: kernel modules that are not loaded by themselves.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use quorate_value::{Dict, Value, dict};

/// The `kernel_blacklist` module.
pub struct KernelBlacklist;

static SPEC: Spec = Spec::new("kernel_blacklist", "Puts kernel modules on the black list.")
    .collection("community.general")
    .params(&[
        Param::str("name").required().doc("The module."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be on the list."),
        Param::str("blacklist_file")
            .default_str("/etc/modprobe.d/blacklist-ansible.conf")
            .doc("The file of the list."),
    ])
    .diff();

impl Module for KernelBlacklist {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, path, state) = (args.text("name"), args.text("blacklist_file"), args.text("state"));
        let read = std::fs::read_to_string(path);
        let missing = read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let text = match read {
            Err(error) if !missing => return Err(files::trouble("could not read", path, &error)),
            read => read.unwrap_or_default(),
        };
        let before: Vec<String> = text.lines().map(str::to_owned).collect();
        let names = |line: &String| {
            let line = line.split('#').next().unwrap_or_default();
            line.split_whitespace().eq(["blacklist", name])
        };
        let mut after = before.clone();
        if state == "absent" {
            after.retain(|line| !names(line));
        } else if !before.iter().any(names) {
            after.push(format!("blacklist {name}"));
        }
        let differs = before != after;
        if (differs || missing) && !ctx.check {
            let mut text = after.join("\n");
            if !after.is_empty() {
                text.push('\n');
            }
            files::write(path, text.as_bytes(), &Wanted::default())?;
        }
        let list = |lines: &[String]| lines.iter().map(String::as_str).collect::<Value>();
        let mut outcome = Outcome::changed_if(differs || missing)
            .with("name", name)
            .with("state", state)
            .with("filename", path)
            .with("lines", list(&after))
            .with("is_blacklisted", after.iter().any(names));
        if differs {
            let side = |lines: &[String]| dict! {"lines" => list(lines)};
            outcome = outcome.diff(Diff::dicts(side(&before), side(&after)));
        } else {
            outcome.set("diff", Dict::new());
        }
        Ok(outcome)
    }
}
