//! `selinux`: the mode and the policy of SELinux, now and at boot.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted, selinux_enabled};
use quorate_value::dict;

/// The `selinux` module.
pub struct Selinux;

static SPEC: Spec = Spec::new("selinux", "Keeps the mode and policy of SELinux.")
    .collection("ansible.posix")
    .params(&[
        Param::str("policy").doc("The policy; needed unless it is disabled."),
        Param::str("state").required().choices(&["enforcing", "permissive", "disabled"]).doc("The mode."),
        Param::str("configfile")
            .aliases(&["conf", "file"])
            .default_str("/etc/selinux/config")
            .doc("The configuration file."),
        Param::bool("update_kernel_param")
            .default_bool(false)
            .doc("Changes the kernel's parameters, too, by `grubby`."),
    ])
    .diff();

impl Module for Selinux {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (path, state) = (args.text("configfile"), args.text("state"));
        let text = std::fs::read_to_string(path).map_err(|_| {
            Failure::new(format!("Unable to find file {path}")).with(
                "details",
                "Please install SELinux-policy package, if this package is not installed previously.",
            )
        })?;
        let policy = match (args.str("policy"), state) {
            (Some(policy), _) => policy.to_owned(),
            (None, "disabled") => setting(&text, "SELINUXTYPE").unwrap_or_default(),
            (None, _) => {
                return Err(Failure::new("Policy is required if state is not 'disabled'"));
            }
        };
        let enabled = selinux_enabled();
        let mut messages: Vec<String> = Vec::new();
        let (mut changed, mut reboot) = (false, false);
        if enabled && state != "disabled" {
            let enforcing =
                std::fs::read_to_string("/sys/fs/selinux/enforce").unwrap_or_default().trim() == "1";
            let now = if enforcing { "enforcing" } else { "permissive" };
            if now != state {
                changed = true;
                messages.push(format!("SELinux state changed from '{now}' to '{state}'"));
                if !ctx.check {
                    let setenforce = ctx.program("setenforce")?;
                    let flag = if state == "enforcing" { "1" } else { "0" };
                    ctx.run_ok(&ctx.command([setenforce.as_str(), flag]), "could not change the mode")?;
                }
            }
        } else if enabled {
            messages.push("SELinux will be disabled with the next reboot".into());
            reboot = true;
        } else if state != "disabled" {
            messages.push("Reboot is required to set SELinux state to '".to_owned() + state + "'");
            reboot = true;
        }
        let mut after = text.clone();
        for (key, wanted, what) in
            [("SELINUX", state, "Config SELinux state"), ("SELINUXTYPE", &policy, "Config SELinux policy")]
        {
            let stands = setting(&text, key).unwrap_or_default();
            if stands != *wanted && !wanted.is_empty() {
                changed = true;
                messages.push(format!("{what} changed from '{stands}' to '{wanted}'"));
                after = with_setting(&after, key, wanted);
            }
        }
        if after != text && !ctx.check {
            files::write(path, after.as_bytes(), &Wanted::default())?;
        }
        if args.bool("update_kernel_param") {
            let grubby = ctx.program("grubby")?;
            let said = ctx.run(&ctx.command([grubby.as_str(), "--info=ALL"]))?.stdout_text();
            let off =
                said.lines().filter(|line| line.starts_with("args=")).all(|line| line.contains("selinux=0"));
            let wanted = state == "disabled";
            if off != wanted {
                changed = true;
                if !ctx.check {
                    let option = if wanted { "--args" } else { "--remove-args" };
                    ctx.run_ok(
                        &ctx.command([grubby.as_str(), "--update-kernel=ALL", option, "selinux=0"]),
                        "unable to update the kernel's parameters",
                    )?;
                }
            }
        }
        let mut outcome = Outcome::changed_if(changed)
            .with_all(dict! {"policy" => policy, "state" => state, "configfile" => path, "reboot_required" => reboot})
            .msg(messages.join(", "));
        if ctx.diff && after != text {
            outcome = outcome.diff(Diff::texts(text, after).headers(path, path));
        }
        Ok(outcome)
    }
}

fn setting(text: &str, key: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?;
        Some(value.trim().to_owned())
    })
}

fn with_setting(text: &str, key: &str, value: &str) -> String {
    let mine =
        |line: &str| line.trim().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let mut out: Vec<String> = text
        .lines()
        .map(|line| if mine(line) { format!("{key}={value}") } else { line.to_owned() })
        .collect();
    if !text.lines().any(mine) {
        out.push(format!("{key}={value}"));
    }
    out.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let text = "# SELINUX=x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n";
        assert_eq!(setting(text, "SELINUX").as_deref(), Some("enforcing"));
        assert_eq!(
            with_setting(text, "SELINUX", "disabled"),
            "# SELINUX=x\nSELINUX=disabled\nSELINUXTYPE=targeted\n"
        );
        assert_eq!(with_setting("a\n", "SELINUX", "x"), "a\nSELINUX=x\n");
    }
}
