//! `lvg`: volume groups, by the LVM programs.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Spec};
use crate::system::files::real_path;
use crate::system::process::Output;
use crate::system::shlex;
use std::path::Path;

/// The `lvg` module.
pub struct Lvg;

static SPEC: Spec = Spec::new("lvg", "Keeps a volume group of LVM.")
    .collection("community.general")
    .params(&[
        Param::str("vg").required().doc("The volume group."),
        Param::list("pvs", Kind::Str).doc("The devices it consists of."),
        Param::str("pesize").default_str("4").doc("The size of its extents, in megabytes or with a unit."),
        Param::str("pv_options").default_str("").doc("Options for `pvcreate`."),
        Param::bool("pvresize").default_bool(false).doc("Grows physical volumes to their devices."),
        Param::str("vg_options").default_str("").doc("Options for `vgcreate`."),
        Param::str("state")
            .choices(&["absent", "present", "active", "inactive"])
            .default_str("present")
            .doc("Whether it should be there, and active."),
        Param::bool("force").default_bool(false).doc("Removes it with its logical volumes."),
        Param::bool("reset_vg_uuid").default_bool(false).doc("Gives it a new UUID."),
        Param::bool("reset_pv_uuid").default_bool(false).doc("Gives its physical volumes new UUIDs."),
        Param::bool("remove_extra_pvs")
            .default_bool(true)
            .doc("Takes devices away that are not in the list."),
    ])
    .required_if(&[RequiredIf::bool("reset_pv_uuid", true, &["pvs"])])
    .world();

impl Module for Lvg {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        Task { args, ctx, vg: args.text("vg") }.run()
    }
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    vg: &'a str,
}

impl Task<'_> {
    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        let program = self.ctx.program(words[0])?;
        self.ctx
            .run(&self.ctx.command([program.as_str()]).args(words[1..].iter().copied()).env("LC_ALL", "C"))
    }

    fn must(&self, words: &[&str], msg: &str) -> Result<String, Failure> {
        let output = self.call(words)?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        Err(Failure::new(msg).with("rc", output.rc).with("err", output.stderr_text()))
    }

    /// Physical volumes and the group that each is in.
    fn physical(&self) -> Result<Vec<(String, String)>, Failure> {
        let said = self.must(
            &["pvs", "--noheadings", "-o", "pv_name,vg_name", "--separator", ";"],
            "Failed executing pvs command.",
        )?;
        Ok(said
            .lines()
            .filter_map(|line| line.trim().split_once(';'))
            .map(|(name, vg)| (real_path(name), vg.trim().to_owned()))
            .collect())
    }

    fn run(&self) -> Result<Outcome, Failure> {
        let (args, check) = (self.args, self.ctx.check);
        let state = args.text("state");
        let wanted: Vec<String> = args.strings("pvs").iter().map(|device| real_path(device)).collect();
        for (device, given) in wanted.iter().zip(args.strings("pvs")) {
            if !Path::new(device).exists() {
                return Err(Failure::new(format!("Device {given} not found.")));
            }
        }
        let listed = self.must(
            &["vgs", "--noheadings", "-o", "vg_name,pv_count,lv_count,vg_attr", "--separator", ";"],
            "Failed executing vgs command.",
        )?;
        let standing = listed.lines().find_map(|line| {
            let fields: Vec<String> = line.trim().split(';').map(str::to_owned).collect();
            (fields.first().map(String::as_str) == Some(self.vg)).then_some(fields)
        });
        let Some(fields) = standing else {
            if matches!(state, "absent" | "inactive") {
                return if state == "absent" {
                    Ok(Outcome::ok())
                } else {
                    Err(Failure::new(format!("Volume group {} does not exist.", self.vg)))
                };
            }
            if wanted.is_empty() {
                return Err(Failure::new("No physical volumes given."));
            }
            self.free(&wanted, "")?;
            if !check {
                self.create(&wanted)?;
            }
            return Ok(Outcome::changed());
        };
        if state == "absent" {
            let volumes: i64 = fields.get(2).and_then(|count| count.parse().ok()).unwrap_or(0);
            if volumes > 0 && !args.bool("force") {
                return Err(Failure::new(format!(
                    "Refuse to remove non-empty volume group {} without force=true",
                    self.vg
                )));
            }
            if !check {
                self.must(
                    &["vgremove", "--force", self.vg],
                    &format!("Failed to remove volume group {}", self.vg),
                )?;
            }
            return Ok(Outcome::changed());
        }
        let mut changed = false;
        if matches!(state, "active" | "inactive") {
            changed |= self.activate(state == "active")?;
        }
        let own: Vec<String> =
            self.physical()?.into_iter().filter(|(_, vg)| vg == self.vg).map(|(name, _)| name).collect();
        for (reset, program, devices) in [
            ("reset_vg_uuid", "vgchange", vec![self.vg.to_owned()]),
            ("reset_pv_uuid", "pvchange", wanted.clone()),
        ] {
            if args.bool(reset) {
                changed = true;
                if !check {
                    for device in &devices {
                        self.must(&[program, "-u", device], &format!("{program} failed for {device}"))?;
                    }
                }
            }
        }
        if !wanted.is_empty() {
            changed |= self.settle(&own, &wanted)?;
        }
        Ok(Outcome::changed_if(changed))
    }

    /// Fails if a device is in another group.
    fn free(&self, devices: &[String], own: &str) -> Result<(), Failure> {
        for (name, vg) in self.physical()? {
            if devices.contains(&name) && !vg.is_empty() && vg != own {
                return Err(Failure::new(format!("Device {name} is already in {vg} volume group.")));
            }
        }
        Ok(())
    }

    fn options(&self, name: &str) -> Result<Vec<String>, Failure> {
        shlex::split(self.args.text(name)).map_err(Failure::new)
    }

    fn make(&self, devices: &[String]) -> Result<(), Failure> {
        for device in devices {
            let options = self.options("pv_options")?;
            let mut words = vec!["pvcreate"];
            words.extend(options.iter().map(String::as_str));
            words.extend(["-f", device]);
            self.must(&words, &format!("Creating physical volume '{device}' failed"))?;
        }
        Ok(())
    }

    fn create(&self, devices: &[String]) -> Result<(), Failure> {
        self.make(devices)?;
        let options = self.options("vg_options")?;
        let mut words = vec!["vgcreate"];
        words.extend(options.iter().map(String::as_str));
        words.extend(["-s", self.args.text("pesize"), self.vg]);
        words.extend(devices.iter().map(String::as_str));
        self.must(&words, &format!("Creating volume group '{}' failed", self.vg)).map(drop)
    }

    fn activate(&self, wanted: bool) -> Result<bool, Failure> {
        let said =
            self.must(&["lvs", "--noheadings", "-o", "lv_attr", self.vg], "Failed executing lvs command.")?;
        let active = |line: &str| line.trim().as_bytes().get(4) == Some(&b'a');
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.iter().all(|line| active(line) == wanted) {
            return Ok(false);
        }
        if !self.ctx.check {
            let flag = if wanted { "y" } else { "n" };
            self.must(
                &["vgchange", "--activate", flag, self.vg],
                &format!("Failed to change the activation of volume group {}", self.vg),
            )?;
        }
        Ok(true)
    }

    fn settle(&self, own: &[String], wanted: &[String]) -> Result<bool, Failure> {
        let add: Vec<String> = wanted.iter().filter(|it| !own.contains(it)).cloned().collect();
        let remove: Vec<String> = if self.args.bool("remove_extra_pvs") {
            own.iter().filter(|it| !wanted.contains(it)).cloned().collect()
        } else {
            Vec::new()
        };
        let mut changed = !add.is_empty() || !remove.is_empty();
        if !add.is_empty() {
            self.free(&add, self.vg)?;
            if !self.ctx.check {
                self.make(&add)?;
                let mut words = vec!["vgextend", self.vg];
                words.extend(add.iter().map(String::as_str));
                self.must(&words, &format!("Unable to extend {} by {}.", self.vg, add.join(" ")))?;
            }
        }
        if !remove.is_empty() && !self.ctx.check {
            let mut words = vec!["vgreduce", "--force", self.vg];
            words.extend(remove.iter().map(String::as_str));
            self.must(&words, &format!("Unable to reduce {} by {}.", self.vg, remove.join(" ")))?;
        }
        if self.args.bool("pvresize") {
            for device in wanted.iter().filter(|it| own.contains(it)) {
                changed |= self.grow(device)?;
            }
        }
        Ok(changed)
    }

    fn grow(&self, device: &str) -> Result<bool, Failure> {
        let said = self.must(
            &[
                "pvs",
                "--noheadings",
                "--units",
                "b",
                "--nosuffix",
                "-o",
                "dev_size,pv_size,pe_start,vg_extent_size",
                "--separator",
                ";",
                device,
            ],
            "Failed executing pvs command.",
        )?;
        let numbers: Vec<i64> =
            said.trim().split(';').filter_map(|field| field.trim().parse().ok()).collect();
        let [whole, size, start, extent] = numbers.as_slice() else { return Ok(false) };
        // less than one extent is of no use
        if whole - (size + start) <= *extent {
            return Ok(false);
        }
        if !self.ctx.check {
            self.must(&["pvresize", device], &format!("Failed executing pvresize {device}"))?;
        }
        Ok(true)
    }
}
