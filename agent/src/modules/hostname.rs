//! `hostname`: what the host is called, now and after the next boot.
//!
//! Through `hostnamectl` where systemd runs, else by `/etc/hostname` and the kernel.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::facts::{Host, platform::platform, service_manager::service_manager};
use crate::system::files::{self, Wanted};
use quorate_value::{Dict, dict};
use std::time::Duration;

/// The `hostname` module.
pub struct Hostname;

static SPEC: Spec = Spec::new("hostname", "Sets the host's name.").world().diff().params(&[
    Param::str("name").required().doc("The name."),
    Param::str("use")
        .choices(&[
            "alpine", "debian", "freebsd", "generic", "macos", "macosx", "darwin", "openbsd", "openrc",
            "redhat", "sles", "solaris", "systemd",
        ])
        .doc("How to set it: `systemd`, or by files; found out if absent."),
]);

impl Module for Hostname {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let name = args.text("name");
        let host = Host::here(&ctx.environment, Duration::from_secs(10));
        let systemd = match args.str("use") {
            Some("systemd") => true,
            Some("freebsd" | "macos" | "macosx" | "darwin" | "openbsd" | "solaris") => {
                return Err(Failure::new("only Linux is supported"));
            }
            Some("generic" | "alpine" | "openrc") => false,
            _ => {
                service_manager(&host) == "systemd"
                    && std::path::Path::new("/run/systemd/system").exists()
                    && ctx.which("hostnamectl").is_some()
            }
        };
        if systemd && name.chars().count() > 64 {
            return Err(Failure::new(
                "name cannot be longer than 64 characters on systemd servers, try a shorter name",
            ));
        }
        let running = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let file = "/etc/hostname";
        let standing = std::fs::read_to_string(file).unwrap_or_default();
        let standing = standing
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .unwrap_or("");
        let (wrong_now, wrong_later) = (running != name, standing != name);
        if (wrong_now || wrong_later) && !ctx.check {
            if systemd {
                let program = ctx.program("hostnamectl")?;
                let command = ctx.command([
                    program.as_str(),
                    "--pretty",
                    "--static",
                    "--transient",
                    "set-hostname",
                    name,
                ]);
                ctx.run_ok(&command, "hostnamectl could not set the name")?;
            } else {
                files::write(file, format!("{name}\n").as_bytes(), &Wanted::default())?;
                rustix::system::sethostname(name.as_bytes())
                    .map_err(|error| Failure::new(format!("the kernel did not take the name: {error}")))?;
            }
        }
        let changed = wrong_now || wrong_later;
        let known = platform(&host);
        let text = |key: &str| known.get(key).cloned().unwrap_or_default();
        let facts: Dict = dict! {
            "ansible_hostname" => name.split('.').next().unwrap_or_default(),
            "ansible_nodename" => name,
            "ansible_fqdn" => text("fqdn"),
            "ansible_domain" => text("domain"),
        };
        let outcome = Outcome::changed_if(changed).with("name", name).facts(facts);
        Ok(if changed {
            let before = if wrong_later { standing } else { running.as_str() };
            outcome.diff(Diff::texts(format!("hostname = {before}\n"), format!("hostname = {name}\n")))
        } else {
            outcome
        })
    }
}
