//! `mount`: file systems, in `fstab` and mounted.
//!
//! **Invariant:** `fstab` keeps all other lines as they are and is replaced in one step.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use crate::system::facts::hardware::mount_entries;
use crate::system::files::{self, Wanted};
use crate::system::process::Output;
use quorate_value::dict;
use std::path::Path;

/// The `mount` module.
pub struct Mount;

static SPEC: Spec = Spec::new("mount", "Manages `fstab` and what is mounted.")
    .collection("ansible.posix")
    .params(&[
        Param::path("path").required().aliases(&["name"]).doc("The mount point."),
        Param::str("src").doc("The device, share or directory."),
        Param::str("fstype").doc("The file system's type."),
        Param::str("opts").doc("Its options."),
        Param::bool("opts_no_log").default_bool(false).doc("Keep the options out of results."),
        Param::str("dump").default_str("0").doc("Whether `dump` backs it up."),
        Param::str("passno").default_str("0").doc("When `fsck` looks at it at boot."),
        Param::str("state")
            .required()
            .choices(&["absent", "absent_from_fstab", "mounted", "present", "unmounted", "remounted", "ephemeral"])
            .doc("`mounted`: in `fstab` and mounted; `present`: in `fstab`; `ephemeral`: mounted only; `absent`: neither, and the mount point goes."),
        Param::str("fstab").doc("Another `fstab`."),
        Param::bool("boot").default_bool(true).doc("Whether it is mounted at boot (`noauto` otherwise)."),
        Param::bool("backup").default_bool(false).doc("Keep a copy of `fstab`."),
    ])
    .required_if(&[
        RequiredIf::str("state", "mounted", &["src", "fstype"]),
        RequiredIf::str("state", "present", &["src", "fstype"]),
        RequiredIf::str("state", "ephemeral", &["src", "fstype"]),
    ]);

impl Module for Mount {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let fstab = args.str("fstab").unwrap_or("/etc/fstab");
        let path = args.text("path").trim_end_matches('/');
        let path = if path.is_empty() { "/" } else { path };
        let mut options = args.str("opts").unwrap_or("defaults").to_owned();
        if !args.bool("boot") && !options.split(',').any(|option| option == "noauto") {
            options += ",noauto";
        }
        let entry = Entry {
            path,
            src: args.text("src"),
            fstype: args.text("fstype"),
            options: &options,
            dump: args.text("dump"),
            passno: args.text("passno"),
        };
        let mut task = Task { args, ctx, fstab, entry, backup: String::new() };
        let changed = match args.text("state") {
            "present" => task.write()?,
            "absent_from_fstab" => task.erase()?,
            "absent" => task.absent()?,
            "unmounted" => task.unmount()?,
            "mounted" => task.mounted()?,
            "remounted" => task.remounted()?,
            _ => task.ephemeral()?,
        };
        let backup = std::mem::take(&mut task.backup);
        let mut outcome = Outcome::changed_if(changed).with_all(dict! {
            "name" => path,
            "opts" => if args.bool("opts_no_log") { "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" } else { options.as_str() },
            "dump" => args.text("dump"),
            "passno" => args.text("passno"),
            "fstab" => fstab,
            "boot" => if args.bool("boot") { "yes" } else { "no" },
            "backup_file" => backup,
        });
        for key in ["src", "fstype"] {
            if let Some(value) = args.str(key) {
                outcome.set(key, value);
            }
        }
        Ok(outcome)
    }
}

/// A line of `fstab`.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    path: &'a str,
    src: &'a str,
    fstype: &'a str,
    options: &'a str,
    dump: &'a str,
    passno: &'a str,
}

impl Entry<'_> {
    fn line(&self) -> String {
        let words = [
            escape(self.src),
            escape(self.path),
            self.fstype.into(),
            escape(self.options),
            self.dump.into(),
            self.passno.into(),
        ];
        words.join(" ")
    }
}

fn escape(text: &str) -> String {
    text.replace(' ', "\\040")
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    fstab: &'a str,
    entry: Entry<'a>,
    backup: String,
}

impl Task<'_> {
    fn store(&mut self, change: impl Fn(&str) -> String) -> Result<bool, Failure> {
        let before = match std::fs::read_to_string(self.fstab) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(files::trouble("could not read", self.fstab, &error)),
        };
        let after = change(&before);
        if after == before {
            return Ok(false);
        }
        if !self.ctx.check {
            if self.args.bool("backup")
                && let Some(copy) = files::backup(self.fstab)?
            {
                self.backup = copy;
            }
            files::write(self.fstab, after.as_bytes(), &Wanted::default())?;
        }
        Ok(true)
    }

    fn write(&mut self) -> Result<bool, Failure> {
        let entry = self.entry;
        self.store(|text| with_entry(text, &entry))
    }

    fn erase(&mut self) -> Result<bool, Failure> {
        let entry = self.entry;
        self.store(|text| without_entry(text, &entry))
    }

    /// What is mounted at the path now, the last of it.
    fn current(&self) -> Option<String> {
        let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let path = files::real_path(self.entry.path);
        mount_entries(&table).into_iter().rev().find(|entry| entry.mount == path).map(|entry| entry.device)
    }

    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        let program = self.ctx.program(words[0])?;
        self.ctx
            .run(&self.ctx.command([program.as_str()]).args(words[1..].iter().copied()).env("LC_ALL", "C"))
    }

    /// `-T FILE` where it is not the system's own.
    fn table(&self) -> Vec<&str> {
        if self.args.has("fstab") { vec!["-T", self.fstab] } else { vec![] }
    }

    fn absent(&mut self) -> Result<bool, Failure> {
        let mut changed = self.erase()?;
        if self.current().is_some() {
            changed = true;
            if !self.ctx.check {
                let output = self.call(&["umount", self.entry.path])?;
                if !output.ok() {
                    return Err(self.refusal("unmounting", &output));
                }
            }
        }
        // The mount point goes only when it is empty, and only with the entry.
        if changed && !self.ctx.check && Path::new(self.entry.path).is_dir() {
            std::fs::remove_dir(self.entry.path)
                .map_err(|error| Failure::new(format!("Error rmdir {}: {error}", self.entry.path)))?;
        }
        Ok(changed)
    }

    fn unmount(&self) -> Result<bool, Failure> {
        if self.current().is_none() {
            return Ok(false);
        }
        if !self.ctx.check {
            let output = self.call(&["umount", self.entry.path])?;
            if !output.ok() {
                return Err(self.refusal("unmounting", &output));
            }
        }
        Ok(true)
    }

    fn refusal(&self, what: &str, output: &Output) -> Failure {
        let said = output.stdout_text() + &output.stderr_text();
        Failure::new(format!("Error {what} {}: {said}", self.entry.path))
    }

    /// Makes the mount point; says whether it did.
    fn make_point(&self) -> Result<bool, Failure> {
        if Path::new(self.entry.path).exists() {
            return Ok(false);
        }
        if !self.ctx.check {
            std::fs::create_dir_all(self.entry.path)
                .map_err(|error| Failure::new(format!("Error making dir {}: {error}", self.entry.path)))?;
        }
        Ok(true)
    }

    fn mounted(&mut self) -> Result<bool, Failure> {
        let made = self.make_point()?;
        let before = std::fs::read_to_string(self.fstab).unwrap_or_default();
        let written = self.write()?;
        let mounted = self.current().is_some();
        if self.ctx.check {
            return Ok(made || written || !mounted);
        }
        let mut changed = made || written;
        let output = match (mounted, written) {
            (true, false) => return Ok(changed),
            (true, true) => {
                let mut words = vec!["mount", "-o", "remount"];
                words.extend(self.table());
                words.push(self.entry.path);
                let output = self.call(&words)?;
                if output.ok() {
                    output
                } else {
                    // Some file systems cannot be remounted; then off and on again.
                    self.call(&["umount", self.entry.path])?;
                    self.mount()?
                }
            }
            (false, _) => self.mount()?,
        };
        changed |= !mounted;
        if output.ok() {
            return Ok(changed);
        }
        // Leave no entry behind that cannot be mounted, and no directory made for it.
        if written {
            files::write(self.fstab, before.as_bytes(), &Wanted::default())?;
        }
        if made {
            std::fs::remove_dir(self.entry.path).ok(); // what matters is the error above
        }
        Err(self.refusal("mounting", &output))
    }

    fn mount(&self) -> Result<Output, Failure> {
        let mut words = vec!["mount"];
        words.extend(self.table());
        words.push(self.entry.path);
        self.call(&words)
    }

    fn remounted(&self) -> Result<bool, Failure> {
        if !self.ctx.check {
            let mut words = vec!["mount", "-o"];
            let options = match self.args.str("opts") {
                Some(options) => format!("remount,{options}"),
                None => "remount".to_owned(),
            };
            words.push(&options);
            words.extend(self.table());
            words.push(self.entry.path);
            let output = self.call(&words)?;
            if !output.ok() {
                return Err(self.refusal("remounting", &output));
            }
        }
        Ok(true)
    }

    fn ephemeral(&self) -> Result<bool, Failure> {
        let current = self.current();
        if let Some(device) = current.as_ref().filter(|device| device.as_str() != self.entry.src) {
            return Err(Failure::new(format!(
                "Ephemeral mount point is already mounted with a different source: {device}"
            )));
        }
        self.make_point()?;
        if !self.ctx.check {
            let mut options: Vec<&str> = Vec::new();
            if current.is_some() {
                options.push("remount");
            }
            options.extend(self.args.str("opts"));
            let options = options.join(",");
            let mut words = vec!["mount"];
            if !options.is_empty() {
                words.extend(["-o", &options]);
            }
            words.extend(["-t", self.entry.fstype, self.entry.src, self.entry.path]);
            let output = self.call(&words)?;
            if !output.ok() {
                return Err(self.refusal("mounting", &output));
            }
        }
        Ok(true)
    }
}

/// Whether a line is about this mount point; swap has none, so its device counts.
fn is_mine(line: &str, entry: &Entry<'_>) -> bool {
    let Some(found) = mount_entries(line).into_iter().next() else { return false };
    if entry.path == "none" || entry.fstype == "swap" && found.fstype == "swap" {
        return found.mount == entry.path && found.device == entry.src;
    }
    found.mount.trim_end_matches('/') == entry.path.trim_end_matches('/')
}

fn with_entry(text: &str, entry: &Entry<'_>) -> String {
    let wanted = entry.line();
    let mut lines: Vec<String> = Vec::new();
    let mut done = false;
    for line in text.lines() {
        if !is_mine(line, entry) {
            lines.push(line.to_owned());
        } else if !done {
            done = true;
            let same = line.split_whitespace().eq(wanted.split_whitespace());
            lines.push(if same { line.to_owned() } else { wanted.clone() });
        }
    }
    if !done {
        lines.push(wanted);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn without_entry(text: &str, entry: &Entry<'_>) -> String {
    text.lines().filter(|line| !is_mine(line, entry)).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> = Entry {
        path: "/mnt/a b",
        src: "/dev/sdb1",
        fstype: "ext4",
        options: "defaults",
        dump: "0",
        passno: "2",
    };

    #[test]
    fn entries_come_change_and_go() {
        let base = "# mine\n/dev/sda1 / ext4 defaults 0 1\n";
        let one = with_entry(base, &ENTRY);
        assert_eq!(one, format!("{base}/dev/sdb1 /mnt/a\\040b ext4 defaults 0 2\n"));
        assert_eq!(with_entry(&one, &ENTRY), one);
        let spaced = one.replace("ext4 defaults 0 2", "ext4\tdefaults  0 2");
        assert_eq!(with_entry(&spaced, &ENTRY), spaced, "only the words count");
        let changed = with_entry(&one, &Entry { options: "noatime", ..ENTRY });
        assert!(changed.contains("ext4 noatime 0 2") && changed.starts_with(base));
        assert_eq!(without_entry(&changed, &ENTRY), base);
    }

    #[test]
    fn swap_is_known_by_its_device() {
        let swap =
            Entry { path: "none", src: "/dev/b", fstype: "swap", options: "sw", dump: "0", passno: "0" };
        let text = "/dev/a none swap sw 0 0\n";
        let both = with_entry(text, &swap);
        assert_eq!(both, "/dev/a none swap sw 0 0\n/dev/b none swap sw 0 0\n");
        assert_eq!(without_entry(&both, &swap), text);
    }
}
