//! `sysctl`: kernel settings, in a file and, if asked, at once.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files::{self, Wanted};
use crate::system::process::Output;

/// The `sysctl` module.
pub struct Sysctl;

static SPEC: Spec = Spec::new("sysctl", "Sets kernel parameters.")
    .collection("ansible.posix")
    .params(&[
        Param::str("name").required().aliases(&["key"]).doc("The parameter, such as `vm.swappiness`."),
        Param::str("value").aliases(&["val"]).doc("Its value."),
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether it stands in the file."),
        Param::bool("ignoreerrors")
            .default_bool(false)
            .doc("Do not mind parameters that the kernel does not know."),
        Param::bool("reload").default_bool(true).doc("Let the kernel read the file after a change."),
        Param::path("sysctl_file").default_str("/etc/sysctl.conf").doc("The file."),
        Param::bool("sysctl_set").default_bool(false).doc("Also set the running kernel's value."),
    ])
    .required_if(&[crate::spec::RequiredIf::str("state", "present", &["value"])]);

impl Module for Sysctl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let name = args.text("name").trim();
        if name.is_empty() {
            return Err(Failure::new("name cannot be blank"));
        }
        if args.text("state") == "present" && args.text("value").trim().is_empty() {
            return Err(Failure::new("value cannot be blank"));
        }
        let wanted = (args.text("state") == "present").then(|| normal(args.text("value")));
        let path = args.text("sysctl_file");
        let before = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(files::trouble("could not read", path, &error)),
        };
        let after = changed_file(&before, name, wanted.as_deref());
        let file_changed = after != before;
        let kernel_differs = wanted.as_ref().is_some_and(|wanted| {
            let proc = format!("/proc/sys/{}", proc_path(name));
            !std::fs::read_to_string(proc).is_ok_and(|now| normal(&now) == *wanted)
        });
        let kernel_changed = kernel_differs && args.bool("sysctl_set");
        // the file may be right and the kernel not: who wants a reload wants the kernel to follow
        let stale = kernel_differs && args.bool("reload");
        if !ctx.check {
            let program = ctx.program("sysctl")?;
            let call = |words: &[&str]| -> Result<Output, Failure> {
                let mut command = ctx.command([&program]).env("LC_ALL", "C");
                if args.bool("ignoreerrors") {
                    command = command.arg("-e");
                }
                ctx.run(&command.args(words.iter().copied()))
            };
            if let Some(wanted) = wanted.as_ref().filter(|_| kernel_changed) {
                let output = call(&["-w", &format!("{name}={wanted}")])?;
                if !output.ok() || !output.stderr.is_empty() && !args.bool("ignoreerrors") {
                    let said = output.stdout_text() + &output.stderr_text();
                    return Err(Failure::new(format!("setting {name} failed: {said}")));
                }
            }
            if file_changed {
                files::write(path, after.as_bytes(), &Wanted::default())?;
            }
            if args.bool("reload") && (file_changed || stale || kernel_changed) {
                let output = call(&["-p", path])?;
                if !output.ok() {
                    return Err(Failure::new(format!("Failed to reload sysctl: {}", output.stderr_text())));
                }
            }
        }
        Ok(Outcome::changed_if(file_changed || kernel_changed || stale))
    }
}

/// A value with its white space in order; several numbers are separated by tabs in the kernel.
fn normal(value: &str) -> String {
    let value = match value.trim().to_lowercase().as_str() {
        "yes" | "true" | "on" => "1".to_owned(),
        "no" | "false" | "off" => "0".to_owned(),
        _ => value.trim().to_owned(),
    };
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the kernel shows a parameter. `net/ipv4/conf/eth0.100/…` is how interfaces with dots are written.
fn proc_path(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name.to_owned(),
        _ => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
    }
}

/// The file with the parameter set or taken out.
fn changed_file(text: &str, name: &str, wanted: Option<&str>) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut done = false;
    for line in text.lines() {
        let trimmed = line.trim();
        let entry = (!trimmed.starts_with(['#', ';'])).then(|| trimmed.split_once('=')).flatten();
        match entry {
            Some((key, value)) if key.trim() == name => match wanted {
                Some(wanted) if !done => {
                    done = true;
                    lines.push(if normal(value) == wanted {
                        line.to_owned()
                    } else {
                        format!("{name}={wanted}")
                    });
                }
                _ => {}
            },
            _ => lines.push(line.to_owned()),
        }
    }
    if let Some(wanted) = wanted.filter(|_| !done) {
        lines.push(format!("{name}={wanted}"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn files() {
        for (before, wanted, after) in [
            ("",                          Some("7"), "vm.swappiness=7\n"),
            ("# c\nvm.swappiness = 7\n",  Some("7"), "# c\nvm.swappiness = 7\n"),
            ("vm.swappiness = 9\nx=1\n",  Some("7"), "vm.swappiness=7\nx=1\n"),
            ("vm.swappiness=9\nx=1\nvm.swappiness=8\n", Some("7"), "vm.swappiness=7\nx=1\n"),
            ("#vm.swappiness=9\n",        Some("7"), "#vm.swappiness=9\nvm.swappiness=7\n"),
            ("vm.swappiness=9\nx=1\n",    None,      "x=1\n"),
            ("x=1\n",                     None,      "x=1\n"),
        ] {
            assert_eq!(changed_file(before, "vm.swappiness", wanted), after, "{before:?}");
        }
    }

    #[test]
    fn values_and_paths() {
        assert_eq!(normal(" 4096\t87380  6291456\n"), "4096 87380 6291456");
        assert_eq!(normal("Yes"), "1");
        assert_eq!(proc_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(proc_path("net.ipv4.conf.eth0/100.forwarding"), "net/ipv4/conf/eth0.100/forwarding");
        assert_eq!(proc_path("net/ipv4/conf/eth0.100/forwarding"), "net/ipv4/conf/eth0.100/forwarding");
    }
}
