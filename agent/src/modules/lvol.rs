//! `lvol`: logical volumes, by the LVM programs.
//!
//! **Invariant:** a volume shrinks, or goes, only with `force`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::Output;
use crate::system::shlex;

/// The `lvol` module.
pub struct Lvol;

static SPEC: Spec = Spec::new("lvol", "Keeps a logical volume of LVM.")
    .collection("community.general")
    .params(&[
        Param::str("vg").required().doc("The volume group."),
        Param::str("lv").doc("The volume."),
        Param::str("size").doc(
            "Its size: with a unit, `+` or `-` in front for a change, or a percentage such as `50%FREE`.",
        ),
        Param::str("opts").doc("Options for the program that makes it."),
        Param::str("state")
            .choices(&["absent", "present"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::bool("force").default_bool(false).doc("Allows shrinking and removing."),
        Param::bool("shrink").default_bool(true).doc("Shrinks it where it is larger."),
        Param::bool("active").default_bool(true).doc("Whether it should be active."),
        Param::str("snapshot").doc("The snapshot of it that is meant."),
        Param::list("pvs", Kind::Str).doc("Devices it should be on."),
        Param::bool("resizefs").default_bool(false).doc("Resizes the file system with it."),
        Param::str("thinpool").doc("The thin pool."),
    ])
    .required_one_of(&[&["lv", "thinpool"]])
    .world();

impl Module for Lvol {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let size = args.str("size").map(Size::parse).transpose()?;
        Task { args, ctx, vg: args.text("vg"), size }.run()
    }
}

/// A size as a task writes it.
#[derive(Debug, Clone, PartialEq)]
struct Size {
    sign: Option<char>,
    number: f64,
    /// `m`, `G`, …, or `%FREE` and the like.
    unit: String,
}

impl Size {
    fn parse(text: &str) -> Result<Size, Failure> {
        let text = text.trim();
        let sign = text.chars().next().filter(|c| matches!(c, '+' | '-'));
        let rest = text.trim_start_matches(['+', '-']);
        let at = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let bad = || Failure::new(format!("Bad size specification of '{text}'"));
        let number: f64 = rest[..at].parse().map_err(|_| bad())?;
        let unit = rest[at..].trim();
        if let Some(whole) = unit.strip_prefix('%') {
            if number > 100.0 {
                return Err(Failure::new("Size percentage cannot be larger than 100%"));
            }
            let whole = whole.to_uppercase();
            if !matches!(whole.as_str(), "VG" | "PVS" | "FREE" | "ORIGIN") {
                return Err(Failure::new("Specify extents as a percentage of VG|PVS|FREE|ORIGIN"));
            }
            return Ok(Size { sign, number, unit: format!("%{whole}") });
        }
        let unit = if unit.is_empty() { "m" } else { unit };
        let letters = "bskmgtpe";
        if unit.len() != 1 || !letters.contains(&unit.to_lowercase()) {
            return Err(bad());
        }
        Ok(Size { sign, number, unit: unit.to_owned() })
    }

    fn is_percent(&self) -> bool {
        self.unit.starts_with('%')
    }

    /// As `lvcreate` and `lvresize` take it.
    fn words(&self) -> [String; 2] {
        let option = if self.is_percent() { "-l" } else { "-L" };
        let sign = self.sign.map(String::from).unwrap_or_default();
        [option.into(), format!("{sign}{}{}", plain(self.number), self.unit)]
    }

    fn bytes(&self) -> f64 {
        let lower = self.unit.to_lowercase();
        let power = "bkmgtpe".find(&lower).unwrap_or(0) as i32;
        if lower == "s" {
            return self.number * 512.0;
        }
        // capital letters are decimal for LVM
        let base: f64 = if self.unit == lower { 1024.0 } else { 1000.0 };
        self.number * base.powi(power)
    }
}

fn plain(number: f64) -> String {
    if number.fract() == 0.0 { format!("{}", number as i64) } else { format!("{number}") }
}

#[derive(Debug, Clone)]
struct Volume {
    name: String,
    bytes: f64,
    active: bool,
    thin: bool,
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    vg: &'a str,
    size: Option<Size>,
}

impl Task<'_> {
    fn call(&self, words: &[String]) -> Result<Output, Failure> {
        let program = self.ctx.program(&words[0])?;
        self.ctx.run(&self.ctx.command([program]).args(words[1..].iter().cloned()).env("LC_ALL", "C"))
    }

    fn must(&self, words: &[String], msg: &str) -> Result<String, Failure> {
        let output = self.call(words)?;
        if output.ok() {
            return Ok(output.stdout_text());
        }
        Err(Failure::new(msg).with("rc", output.rc).with("err", output.stderr_text()))
    }

    fn volumes(&self) -> Result<Vec<Volume>, Failure> {
        let said = self.must(
            &words(&[
                "lvs",
                "-a",
                "--noheadings",
                "--nosuffix",
                "--units",
                "b",
                "-o",
                "lv_name,size,lv_attr",
                "--separator",
                ";",
                self.vg,
            ]),
            &format!("Volume group {} does not exist.", self.vg),
        )?;
        Ok(said
            .lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.trim().split(';').collect();
                let [name, size, attributes] = fields.as_slice() else { return None };
                Some(Volume {
                    name: name.trim_matches(['[', ']']).to_owned(),
                    bytes: size.parse().unwrap_or(0.0),
                    active: attributes.as_bytes().get(4) == Some(&b'a'),
                    thin: attributes.starts_with('t'),
                })
            })
            .collect())
    }

    /// Size of the group, free space and extent, in bytes.
    fn group(&self) -> Result<Option<[f64; 3]>, Failure> {
        let output = self.call(&words(&[
            "vgs",
            "--noheadings",
            "--nosuffix",
            "--units",
            "b",
            "-o",
            "size,free,vg_extent_size",
            "--separator",
            ";",
            self.vg,
        ]))?;
        if !output.ok() {
            return Ok(None);
        }
        let text = output.stdout_text();
        let numbers: Vec<f64> = text.trim().split(';').filter_map(|it| it.trim().parse().ok()).collect();
        Ok(<[f64; 3]>::try_from(numbers).ok())
    }

    fn run(&self) -> Result<Outcome, Failure> {
        let (args, check) = (self.args, self.ctx.check);
        let present = args.text("state") == "present";
        let Some([whole, free, extent]) = self.group()? else {
            let msg = format!("Volume group {} does not exist.", self.vg);
            return if present { Err(Failure::new(msg)) } else { Ok(Outcome::ok().with("stdout", msg)) };
        };
        let volumes = self.volumes()?;
        let (lv, snapshot, pool) = (args.str("lv"), args.str("snapshot"), args.str("thinpool"));
        if let Some(origin) = lv.filter(|_| snapshot.is_some())
            && !volumes.iter().any(|it| it.name == origin)
        {
            return Err(Failure::new(format!(
                "Snapshot origin LV {origin} does not exist in volume group {}.",
                self.vg
            )));
        }
        let name = snapshot.or(lv).or(pool).unwrap_or_default();
        let Some(volume) = volumes.iter().find(|it| it.name == name) else {
            if !present {
                return Ok(Outcome::ok());
            }
            if !check {
                self.create(name, &volumes)?;
            }
            return Ok(Outcome::changed());
        };
        if !present {
            if !args.bool("force") {
                return Err(Failure::new(format!(
                    "Sorry, no removal of logical volume {name} without force=true."
                )));
            }
            if !check {
                self.must(
                    &words(&["lvremove", "--force", &format!("{}/{name}", self.vg)]),
                    &format!("Failed to remove logical volume {name}"),
                )?;
            }
            return Ok(Outcome::changed());
        }
        let mut changed = false;
        if let Some(size) = &self.size {
            changed |= self.resize(volume, size, whole, free, extent)?;
        }
        if args.bool("active") != volume.active && !volume.thin {
            changed = true;
            if !check {
                let flag = if args.bool("active") { "-ay" } else { "-an" };
                self.must(
                    &words(&["lvchange", flag, &format!("{}/{name}", self.vg)]),
                    &format!("Failed to change the activation of {name}"),
                )?;
            }
        }
        Ok(Outcome::changed_if(changed)
            .with("vg", self.vg)
            .with("lv", name)
            .with("size", (volume.bytes / 1048576.0) as i64))
    }

    fn create(&self, name: &str, volumes: &[Volume]) -> Result<(), Failure> {
        let args = self.args;
        if self.size.as_ref().is_some_and(|size| size.sign.is_some()) {
            return Err(Failure::new(format!(
                "Bad size specification of '{}' for creating LV",
                args.text("size")
            )));
        }
        let mut line = words(&["lvcreate"]);
        let options = shlex::split(args.text("opts")).map_err(Failure::new)?;
        let sized = |line: &mut Vec<String>, size: &Size| line.extend(size.words());
        let needs = |what: &str| Failure::new(format!("No size given for {what}."));
        match (args.str("snapshot"), args.str("lv"), args.str("thinpool")) {
            (Some(snapshot), Some(origin), _) => {
                let thin = volumes.iter().any(|it| it.name == origin && it.thin);
                match &self.size {
                    Some(size) => sized(&mut line, size),
                    None if !thin => return Err(needs("snapshot")),
                    None => {}
                }
                line.extend(words(&["-s", "-n", snapshot]));
                line.extend(options);
                line.push(format!("{}/{origin}", self.vg));
            }
            (_, Some(lv), Some(pool)) => {
                let size = self.size.as_ref().ok_or_else(|| needs("thin volume"))?;
                line.extend(words(&["-n", lv, "-V"]));
                line.push(format!("{}{}", plain(size.number), size.unit));
                line.extend(options);
                line.extend(words(&["-T", &format!("{}/{pool}", self.vg)]));
            }
            (_, None, Some(pool)) => {
                sized(&mut line, self.size.as_ref().ok_or_else(|| needs("thin pool"))?);
                line.extend(options);
                line.extend(words(&["-T", &format!("{}/{pool}", self.vg)]));
            }
            _ => {
                sized(&mut line, self.size.as_ref().ok_or_else(|| needs("logical volume"))?);
                line.extend(words(&["--yes", "-n", name]));
                line.extend(options);
                line.push(self.vg.to_owned());
                line.extend(args.strings("pvs"));
            }
        }
        self.must(&line, &format!("Creating logical volume '{name}' failed")).map(drop)
    }

    fn resize(
        &self,
        volume: &Volume,
        size: &Size,
        whole: f64,
        free: f64,
        extent: f64,
    ) -> Result<bool, Failure> {
        let args = self.args;
        let asked = if size.is_percent() {
            let of = match (size.unit.as_str(), size.sign) {
                ("%FREE", _) => free,
                _ => whole,
            };
            let bytes = of * size.number / 100.0;
            // a percentage of what is free counts the volume's own space as free
            if size.unit == "%FREE" && size.sign.is_none() { volume.bytes + bytes } else { bytes }
        } else {
            size.bytes()
        };
        let wanted = match size.sign {
            Some('+') => volume.bytes + asked,
            Some(_) => volume.bytes - asked,
            None => asked,
        };
        let (program, verb) = if wanted > volume.bytes {
            // less than one extent more is none; whole extents are what LVM gives
            if size.is_percent() && wanted - volume.bytes < extent
                || size.sign.is_none() && (wanted / extent).ceil() * extent <= volume.bytes
            {
                return Ok(false);
            }
            if (wanted - volume.bytes - free) >= extent {
                return Err(Failure::new(format!(
                    "Logical Volume {} could not be extended. Not enough free space left ({} required / {} available)",
                    volume.name,
                    wanted - volume.bytes,
                    free
                )));
            }
            ("lvextend", "extended")
        } else if wanted < volume.bytes && args.bool("shrink") {
            if volume.bytes - wanted < extent && size.is_percent() {
                return Ok(false);
            }
            if wanted < 1.0 {
                return Err(Failure::new(format!("Sorry, no shrinking of {} to 0 permitted.", volume.name)));
            }
            if !args.bool("force") {
                return Err(Failure::new(format!(
                    "Sorry, no shrinking of {} without force=true.",
                    volume.name
                )));
            }
            ("lvreduce", "reduced")
        } else {
            return Ok(false);
        };
        if self.ctx.check {
            return Ok(true);
        }
        let mut line = words(&[program]);
        if program == "lvreduce" {
            line.push("--force".into());
        }
        if args.bool("resizefs") {
            line.push("--resizefs".into());
        }
        line.extend(size.words());
        line.push(format!("{}/{}", self.vg, volume.name));
        line.extend(args.strings("pvs"));
        let output = self.call(&line)?;
        let said = output.stdout_text() + &output.stderr_text();
        if said.contains("Reached maximum COW size") {
            return Err(Failure::new(format!("Unable to resize {} to {}", volume.name, args.text("size")))
                .with("rc", output.rc)
                .with("err", output.stderr_text()));
        }
        if output.ok() {
            return Ok(!said.contains("matches existing size"));
        }
        if said.contains("matches existing size") || said.contains("not larger than existing size") {
            return Ok(false);
        }
        Err(Failure::new(format!("Unable to resize {} to {}", volume.name, args.text("size")))
            .with("rc", output.rc)
            .with("err", output.stderr_text())
            .with("msg_detail", format!("{} could not be {verb}", volume.name)))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, words) in [
            ("512", ["-L", "512m"]),
            ("1.5g", ["-L", "1.5g"]),
            ("+10%FREE", ["-l", "+10%FREE"]),
            ("80%vg", ["-l", "80%VG"]),
        ] {
            assert_eq!(Size::parse(text).unwrap().words(), words, "{text}");
        }
        assert_eq!(Size::parse("2g").unwrap().bytes(), 2147483648.0);
        for bad in ["x", "101%VG", "10%X", "5z"] {
            assert!(Size::parse(bad).is_err(), "{bad}");
        }
    }
}
