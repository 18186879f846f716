//! `seboolean`: switches of the SELinux policy, by `getsebool`, `setsebool` and `semanage`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::selinux_enabled;

/// The `seboolean` module.
pub struct Seboolean;

static SPEC: Spec = Spec::new("seboolean", "Switches a boolean of the SELinux policy.")
    .collection("ansible.posix")
    .params(&[
        Param::bool("ignore_selinux_state")
            .default_bool(false)
            .doc("Works on where SELinux is off, for the next boot."),
        Param::str("name").required().doc("The boolean."),
        Param::bool("persistent").default_bool(false).doc("Whether it holds after a reboot."),
        Param::bool("state").required().doc("On or off."),
    ]);

impl Module for Seboolean {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, wanted, persistent) = (args.text("name"), args.bool("state"), args.bool("persistent"));
        let enabled = selinux_enabled();
        if !enabled && !args.bool("ignore_selinux_state") {
            return Err(Failure::new("SELinux is disabled on this host.").with("name", name));
        }
        let now = if enabled {
            let getsebool = ctx.program("getsebool")?;
            let output = ctx.run(&ctx.command([getsebool.as_str(), name]).env("LC_ALL", "C"))?;
            let said = output.stdout_text();
            let Some((_, value)) = said.trim().split_once(" --> ").filter(|_| output.ok()) else {
                return Err(
                    Failure::new(format!("SELinux boolean {name} does not exist.")).with("name", name)
                );
            };
            Some(value == "on")
        } else {
            None
        };
        let kept = if persistent { stored(name, ctx)? } else { None };
        let changed =
            now.is_some_and(|now| now != wanted) || persistent && kept.is_none_or(|kept| kept != wanted);
        if changed && !ctx.check {
            let setsebool = ctx.program("setsebool")?;
            let mut words = vec![setsebool.as_str()];
            if persistent {
                words.push("-P");
            }
            if !enabled {
                words.push("-N");
            }
            words.extend([name, if wanted { "on" } else { "off" }]);
            let output = ctx.run(&ctx.command(words).env("LC_ALL", "C"))?;
            if !output.ok() {
                return Err(Failure::of_command(
                    format!("Failed to set boolean {name} to {}", if wanted { "on" } else { "off" }),
                    &output,
                ));
            }
        }
        Ok(Outcome::changed_if(changed)
            .with("name", name)
            .with("persistent", persistent)
            .with("state", wanted))
    }
}

/// What the boolean is after a reboot; nothing where nobody can tell.
fn stored(name: &str, ctx: &Ctx) -> Result<Option<bool>, Failure> {
    let Some(semanage) = ctx.which("semanage") else { return Ok(None) };
    let output = ctx.run(&ctx.command([semanage.as_str(), "boolean", "-l", "-n"]).env("LC_ALL", "C"))?;
    Ok(default_of(&output.stdout_text(), name))
}

/// `NAME (on , off) text`: now, and stored.
fn default_of(text: &str, name: &str) -> Option<bool> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let inside = rest.trim_start().strip_prefix('(')?.split(')').next()?;
        Some(inside.split(',').nth(1)?.trim() == "on")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_values() {
        let text = "httpd_can_network_connect      (off  ,   on)  Allow it\nhttpd (on , off) x\n";
        assert_eq!(default_of(text, "httpd_can_network_connect"), Some(true));
        assert_eq!(default_of(text, "httpd"), Some(false));
        assert_eq!(default_of(text, "other"), None);
    }
}
