//! `filesystem`: a file system on a device, by the `mkfs` programs.
//!
//! **Invariant:** what holds another file system is overwritten only with `force`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, RequiredIf, Spec};
use crate::system::facts::hardware::mount_entries;
use crate::system::shlex;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// The `filesystem` module.
pub struct Filesystem;

static SPEC: Spec = Spec::new("filesystem", "Makes a file system on a device.")
    .collection("community.general")
    .params(&[
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether there should be one; `absent` wipes the device's signatures."),
        Param::str("fstype")
            .aliases(&["type"])
            .choices(&[
                "xfs", "ext4", "ext3", "ufs", "bcachefs", "vfat", "ocfs2", "ext2", "ext4dev", "lvm", "f2fs",
                "reiserfs", "btrfs", "swap",
            ])
            .doc("Its type."),
        Param::path("dev").required().aliases(&["device"]).doc("The device, or an image."),
        Param::str("opts").doc("Options for the program that makes it."),
        Param::bool("force").default_bool(false).doc("Overwrites what is there."),
        Param::bool("resizefs").default_bool(false).doc("Grows it to the size of the device."),
        Param::str("uuid").doc("Its UUID: a UUID, `random` or `generate`."),
    ])
    .mutually_exclusive(&[&["resizefs", "uuid"]])
    .required_if(&[RequiredIf::str("state", "present", &["fstype"])]);

impl Module for Filesystem {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (device, state) = (args.text("dev"), args.text("state"));
        if !Path::new(device).exists() {
            let msg = format!("Device {device} not found.");
            return if state == "absent" { Ok(Outcome::ok().msg(msg)) } else { Err(Failure::new(msg)) };
        }
        let blkid = ctx.program("blkid")?;
        let found =
            ctx.run(&ctx.command([blkid.as_str(), "-c", "/dev/null", "-o", "value", "-s", "TYPE", device]))?;
        let known = found.stdout_text().trim().to_owned();
        if state == "absent" {
            if known.is_empty() {
                return Ok(Outcome::ok());
            }
            if !ctx.check {
                let wipefs = ctx.program("wipefs")?;
                must(ctx, &[wipefs.as_str(), "--all", device])?;
            }
            return Ok(Outcome::changed());
        }
        let fstype = args.text("fstype");
        let maker = maker(fstype).ok_or_else(|| {
            Failure::new(format!("module does not support this filesystem ({fstype}) yet."))
        })?;
        let same = known == maker.signature;
        if same && !args.bool("force") {
            if args.bool("resizefs") {
                return grow(fstype, device, ctx);
            }
            return match args.str("uuid") {
                Some(wanted) => set_uuid(wanted, fstype, device, &blkid, ctx),
                None => Ok(Outcome::ok()),
            };
        }
        if !known.is_empty() && !args.bool("force") {
            return Err(Failure::new(format!(
                "'{device}' is already used as {known}, use force=true to overwrite"
            ))
            .with("rc", found.rc)
            .with("err", found.stderr_text()));
        }
        let program = ctx.program(maker.program)?;
        if !ctx.check {
            let mut words = vec![program];
            words.extend(maker.force.map(str::to_owned));
            if let Some(options) = args.str("opts") {
                words.extend(shlex::split(options).map_err(Failure::new)?);
            }
            words.push(device.to_owned());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            must(ctx, &words)?;
        }
        Ok(Outcome::changed())
    }
}

struct Maker {
    program: &'static str,
    force: Option<&'static str>,
    signature: &'static str,
}

fn maker(fstype: &str) -> Option<Maker> {
    let (program, force, signature) = match fstype {
        "ext2" => ("mkfs.ext2", Some("-F"), "ext2"),
        "ext3" => ("mkfs.ext3", Some("-F"), "ext3"),
        "ext4" => ("mkfs.ext4", Some("-F"), "ext4"),
        "ext4dev" => ("mkfs.ext4", Some("-F"), "ext4dev"),
        "xfs" => ("mkfs.xfs", Some("-f"), "xfs"),
        "btrfs" => ("mkfs.btrfs", Some("-f"), "btrfs"),
        "bcachefs" => ("mkfs.bcachefs", Some("--force"), "bcachefs"),
        "f2fs" => ("mkfs.f2fs", Some("-f"), "f2fs"),
        "vfat" => ("mkfs.vfat", None, "vfat"),
        "ocfs2" => ("mkfs.ocfs2", Some("-Fx"), "ocfs2"),
        "reiserfs" => ("mkfs.reiserfs", Some("-q"), "reiserfs"),
        "lvm" => ("pvcreate", Some("-f"), "LVM2_member"),
        "swap" => ("mkswap", Some("-f"), "swap"),
        _ => return None,
    };
    Some(Maker { program, force, signature })
}

fn must(ctx: &Ctx, words: &[&str]) -> Result<String, Failure> {
    let command = ctx.command(words.iter().copied()).env("LC_ALL", "C");
    let output = ctx.run(&command)?;
    if output.ok() {
        return Ok(output.stdout_text());
    }
    Err(Failure::of_command(output.stderr_text().trim_end(), &output).with("cmd", command.display()))
}

fn size_of(device: &str, ctx: &Ctx) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(device)
        .map_err(|error| crate::system::files::trouble("could not read", device, &error))?;
    if !metadata.file_type().is_block_device() {
        return Ok(metadata.len());
    }
    let blockdev = ctx.program("blockdev")?;
    let said = must(ctx, &[blockdev.as_str(), "--getsize64", device])?;
    said.trim().parse().map_err(|_| Failure::new(format!("Unable to get the size of {device}")))
}

/// Where a device is mounted.
fn mount_point(device: &str) -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let real = crate::system::files::real_path(device);
    mount_entries(&table)
        .into_iter()
        .find(|entry| entry.device == device || entry.device == real)
        .map(|it| it.mount)
}

/// Pairs of `Name: value` or `name=value`, and what their numbers make.
fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(name)?.trim_start_matches([':', '=', ' ', '\t']);
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}

fn grow(fstype: &str, device: &str, ctx: &Ctx) -> Result<Outcome, Failure> {
    let mounted = mount_point(device);
    let unknown =
        || Failure::new(format!("unable to process the size of the {fstype} filesystem on {device}"));
    let needs_mount =
        |name: &str| Failure::new(format!("{device} needs to be mounted for {name} operations"));
    let (size, words): (u64, Vec<String>) = match fstype {
        "ext2" | "ext3" | "ext4" | "ext4dev" => {
            let said = must(ctx, &[&ctx.program("tune2fs")?, "-l", device])?;
            let count = number(&said, "Block count").ok_or_else(unknown)?;
            let block = number(&said, "Block size").ok_or_else(unknown)?;
            (count * block, vec![ctx.program("resize2fs")?, device.into()])
        }
        "xfs" => {
            let point = mounted.clone().ok_or_else(|| needs_mount("xfs"))?;
            let said = must(ctx, &[&ctx.program("xfs_info")?, &point])?;
            let data = said.lines().find(|line| line.starts_with("data")).ok_or_else(unknown)?;
            let value = |name: &str| -> Option<u64> {
                let rest = &data[data.find(name)? + name.len()..];
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            };
            let (block, count) =
                (value("bsize=").ok_or_else(unknown)?, value("blocks=").ok_or_else(unknown)?);
            (block * count, vec![ctx.program("xfs_growfs")?, point])
        }
        "btrfs" => {
            let point = mounted.clone().ok_or_else(|| needs_mount("btrfs"))?;
            let said = must(ctx, &[&ctx.program("btrfs")?, "filesystem", "usage", "-b", &point])?;
            let size = number(&said, "Device size").ok_or_else(unknown)?;
            (size, vec![ctx.program("btrfs")?, "filesystem".into(), "resize".into(), "max".into(), point])
        }
        "f2fs" => {
            let said = must(ctx, &[&ctx.program("dump.f2fs")?, device])?;
            let sectors = number(&said, "Info: total FS sectors").ok_or_else(unknown)?;
            let sector = number(&said, "Info: sector size").unwrap_or(512);
            (sectors * sector, vec![ctx.program("resize.f2fs")?, device.into()])
        }
        "vfat" => {
            let said = must(ctx, &[&ctx.program("fatresize")?, "--info", device])?;
            let size = number(&said, "Size").ok_or_else(unknown)?;
            let device_size = size_of(device, ctx)?;
            (size, vec![ctx.program("fatresize")?, "-s".into(), device_size.to_string(), device.into()])
        }
        "lvm" => {
            let said = must(
                ctx,
                &[
                    &ctx.program("pvs")?,
                    "--noheadings",
                    "-o",
                    "pv_size",
                    "--units",
                    "b",
                    "--nosuffix",
                    device,
                ],
            )?;
            (said.trim().parse().map_err(|_| unknown())?, vec![ctx.program("pvresize")?, device.into()])
        }
        other => {
            return Err(Failure::new(format!("module does not support resizing {other} filesystem yet.")));
        }
    };
    let room = size_of(device, ctx)?;
    if size >= room {
        let mut name = fstype.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        return Ok(Outcome::ok().msg(format!("{name} filesystem is using the whole device {device}")));
    }
    if ctx.check {
        return Ok(Outcome::changed().msg(format!("resizing filesystem {fstype} on device {device}")));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = must(ctx, &words)?;
    Ok(Outcome::changed().msg(said))
}

fn set_uuid(wanted: &str, fstype: &str, device: &str, blkid: &str, ctx: &Ctx) -> Result<Outcome, Failure> {
    let said = ctx.run(&ctx.command([blkid, "-c", "/dev/null", "-o", "value", "-s", "UUID", device]))?;
    if said.stdout_text().trim() == wanted {
        return Ok(Outcome::ok());
    }
    let (program, words): (&str, Vec<&str>) = match fstype {
        "ext2" | "ext3" | "ext4" | "ext4dev" => ("tune2fs", vec!["-U", wanted, device]),
        "xfs" => ("xfs_admin", vec!["-U", wanted, device]),
        "lvm" => ("pvchange", vec!["-u", device]),
        other => {
            return Err(Failure::new(format!(
                "module does not support UUID option for this filesystem ({other}) yet."
            )));
        }
    };
    let program = ctx.program(program)?;
    if !ctx.check {
        let mut line = vec![program.as_str()];
        line.extend(words);
        must(ctx, &line)?;
    }
    Ok(Outcome::changed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_reports() {
        let said = "Filesystem UUID: x\nBlock count:              16384\nBlock size:               4096\n";
        assert_eq!(
            (number(said, "Block count"), number(said, "Block size"), number(said, "Gone")),
            (Some(16384), Some(4096), None)
        );
    }
}
