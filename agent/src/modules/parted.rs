//! `parted`: partitions of a device, by `parted`.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Spec};
use quorate_value::{Dict, Value, dict};

/// The `parted` module.
pub struct Parted;

static SPEC: Spec = Spec::new("parted", "Keeps a partition of a device, or tells what there is.")
    .collection("community.general")
    .params(&[
        Param::str("device").required().doc("The device."),
        Param::str("align")
            .choices(&["cylinder", "minimal", "none", "optimal", "undefined"])
            .default_str("optimal")
            .doc("How new partitions are aligned."),
        Param::int("number").doc("The partition."),
        Param::str("unit")
            .choices(&[
                "B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "s", "%", "cyl", "chs", "compact",
            ])
            .default_str("KiB")
            .doc("The unit of sizes."),
        Param::str("label")
            .choices(&["aix", "amiga", "bsd", "dvh", "gpt", "loop", "mac", "msdos", "pc98", "sun"])
            .default_str("msdos")
            .doc("The kind of partition table."),
        Param::str("part_type")
            .choices(&["extended", "logical", "primary"])
            .default_str("primary")
            .doc("The kind of partition."),
        Param::str("part_start").default_str("0%").doc("Where it starts."),
        Param::str("part_end").default_str("100%").doc("Where it ends."),
        Param::str("fs_type").doc("The file system that it is meant for."),
        Param::str("name").doc("Its name, where the table has names."),
        Param::list("flags", Kind::Str).doc("Its flags; others are taken away."),
        Param::str("state")
            .choices(&["absent", "info", "present"])
            .default_str("info")
            .doc("Whether it should be there; `info` only tells."),
        Param::bool("resize").default_bool(false).doc("Changes the end of a partition that is there."),
    ])
    .required_if(&[
        RequiredIf::str("state", "present", &["number"]),
        RequiredIf::str("state", "absent", &["number"]),
    ]);

impl Module for Parted {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        Task { args, ctx, program: ctx.program("parted")?, changed: false, script: Vec::new() }.run()
    }
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    program: String,
    changed: bool,
    script: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    disk: Dict,
    label: String,
    partitions: Vec<Partition>,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    number: i64,
    end: f64,
    name: String,
    flags: Vec<String>,
    shown: Dict,
}

impl Task<'_> {
    fn table(&self) -> Result<Table, Failure> {
        let unit = self.args.text("unit");
        let words =
            [self.program.as_str(), "-s", "-m", self.args.text("device"), "--", "unit", unit, "print"];
        let command = self.ctx.command(words).env("LC_ALL", "C").env("LANG", "C");
        let output = self.ctx.run(&command)?;
        let text = output.stdout_text();
        if !output.ok()
            && !text.contains("unrecognised disk label")
            && !output.stderr_text().contains("unrecognised disk label")
        {
            return Err(Failure::new(format!(
                "Error while getting device information with parted script: '{}'",
                command.display()
            ))
            .with("rc", output.rc)
            .with("out", text)
            .with("err", output.stderr_text()));
        }
        Ok(parse(&text, unit))
    }

    fn apply(&mut self, words: &[String]) -> Result<(), Failure> {
        self.script.extend(words.iter().cloned());
        self.changed = true;
        if self.ctx.check {
            return Ok(());
        }
        let mut line = vec![self.program.as_str(), "-s", "-f", "-m"];
        let align = self.args.text("align");
        if align != "undefined" {
            line.extend(["-a", align]);
        }
        line.extend([self.args.text("device"), "--"]);
        let command = self.ctx.command(line).args(words.iter().cloned()).env("LC_ALL", "C").env("LANG", "C");
        let output = self.ctx.run(&command)?;
        if !output.ok() {
            return Err(Failure::new(format!("Error while running parted script: {}", command.display()))
                .with("rc", output.rc)
                .with("out", output.stdout_text())
                .with("err", output.stderr_text()));
        }
        // device nodes have to be there for the tasks that follow
        if let Some(udevadm) = self.ctx.which("udevadm") {
            self.ctx.run(&self.ctx.command([udevadm.as_str(), "settle"]))?;
        }
        Ok(())
    }

    fn run(mut self) -> Result<Outcome, Failure> {
        let args = self.args;
        let state = args.text("state");
        let number = args.int("number").unwrap_or(0);
        if args.has("number") && number < 1 {
            return Err(Failure::new("The partition number must be greater then 0."));
        }
        let mut table = self.table()?;
        match state {
            "present" => self.present(&mut table, number)?,
            // what a real run would find is not known yet: an earlier task may have made it
            "absent" if self.ctx.check || table.partitions.iter().any(|it| it.number == number) => {
                self.apply(&words(&["rm", &number.to_string()]))?;
            }
            "info" => self.script = words(&["unit", args.text("unit"), "print"]),
            _ => {}
        }
        let table = self.table()?;
        let partitions: Vec<Value> =
            table.partitions.iter().map(|it| Value::from(it.shown.clone())).collect();
        Ok(Outcome::changed_if(self.changed)
            .with("disk", table.disk)
            .with("partitions", Value::list(partitions))
            .with("script", self.script.iter().map(String::as_str).collect::<Value>()))
    }

    fn present(&mut self, table: &mut Table, number: i64) -> Result<(), Failure> {
        let (args, unit, wanted) = (self.args, self.args.text("unit"), self.args.text("label"));
        let there = table.partitions.iter().any(|it| it.number == number);
        let mut script = Vec::new();
        if table.label != wanted {
            script.extend(words(&["mklabel", wanted]));
        }
        if !there || table.label != wanted {
            script.extend(words(&["mkpart", args.text("part_type")]));
            script.extend(args.str("fs_type").map(str::to_owned));
            script.extend(words(&[args.text("part_start"), args.text("part_end")]));
        } else if args.bool("resize") {
            let end = args.text("part_end");
            let stands = table.partitions.iter().find(|it| it.number == number).map(|it| it.end);
            let wanted = size(end).and_then(|(value, given)| {
                let given = given.unwrap_or_else(|| unit.to_owned());
                if given.eq_ignore_ascii_case(unit) {
                    Some(value)
                } else {
                    Some(value * bytes(&given)? / bytes(unit)?)
                }
            });
            let equal =
                matches!((stands, wanted), (Some(stands), Some(wanted)) if (stands - wanted).abs() < 1.0);
            if !equal {
                self.apply(&words(&["resizepart", &number.to_string(), end]))?;
            }
        }
        if !script.is_empty() {
            let mut all = words(&["unit", unit]);
            all.extend(script);
            self.apply(&all)?;
        }
        if self.changed && !self.ctx.check {
            *table = self.table()?;
        }
        let new = Partition::default(); // in check mode it is not there yet
        let partition = table.partitions.iter().find(|it| it.number == number).unwrap_or(&new);
        let mut more = Vec::new();
        if let Some(name) = args.str("name")
            && partition.name != name
        {
            let quoted = format!("\"{name}\"");
            more.extend(words(&["name", &number.to_string(), &quoted]));
        }
        if args.has("flags") {
            let flags = args.strings("flags");
            for flag in flags.iter().filter(|flag| !partition.flags.contains(flag)) {
                more.extend(words(&["set", &number.to_string(), flag, "on"]));
            }
            for flag in partition.flags.iter().filter(|flag| !flags.contains(flag)) {
                more.extend(words(&["set", &number.to_string(), flag, "off"]));
            }
        }
        if !more.is_empty() {
            let mut all = words(&["unit", unit]);
            all.extend(more);
            self.apply(&all)?;
        }
        Ok(())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// How many bytes a unit has.
fn bytes(unit: &str) -> Option<f64> {
    let letters = unit.to_ascii_lowercase();
    let base: f64 = if letters.ends_with("ib") { 1024.0 } else { 1000.0 };
    let power = match letters.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    Some(base.powi(power))
}

/// A number and the unit behind it.
fn size(text: &str) -> Option<(f64, Option<String>)> {
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
    let value = text[..at].parse().ok()?;
    let unit = text[at..].trim();
    Some((value, (!unit.is_empty()).then(|| unit.to_owned())))
}

/// What `parted -m … print` said.
fn parse(text: &str, unit: &str) -> Table {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut table = Table::default();
    let mut first = lines.next().unwrap_or_default();
    if first.trim_end_matches(';') == "CYL"
        || first.trim_end_matches(';') == "BYT"
        || first.trim_end_matches(';') == "CHS"
    {
        first = lines.next().unwrap_or_default();
    }
    let unit = unit.to_lowercase();
    let fields: Vec<&str> = first.trim_end_matches(';').split(':').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let (whole, said) = size(field(1)).unwrap_or((0.0, None));
    let unit = said.map_or(unit, |said| said.to_lowercase());
    table.label = field(5).to_owned();
    table.disk = dict! {
        "dev" => field(0), "size" => Value::Float(whole), "unit" => unit.as_str(), "table" => field(5),
        "model" => field(6), "logical_block" => field(3).parse().unwrap_or(0i64),
        "physical_block" => field(4).parse().unwrap_or(0i64),
    };
    for line in lines {
        let fields: Vec<&str> = line.trim_end_matches(';').split(':').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let Ok(number) = field(0).parse::<i64>() else { continue };
        let value = |at: usize| size(field(at)).map_or(0.0, |(value, _)| value);
        let flags: Vec<String> =
            field(6).split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let shown = dict! {
            "num" => number, "begin" => Value::Float(value(1)), "end" => Value::Float(value(2)),
            "size" => Value::Float(value(3)), "fstype" => field(4), "name" => field(5),
            "flags" => flags.iter().map(String::as_str).collect::<Value>(), "unit" => unit.as_str(),
        };
        table.partitions.push(Partition { number, end: value(2), name: field(5).to_owned(), flags, shown });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let text = "BYT;\n/dev/x:65536kiB:file:512:512:gpt::;\n1:17.0kiB:10240kiB:10223kiB::n1:boot, esp;\n";
        let table = parse(text, "KiB");
        assert_eq!((table.label.as_str(), table.partitions.len()), ("gpt", 1));
        assert_eq!(table.partitions[0].flags, ["boot", "esp"]);
        assert_eq!(table.disk.get("unit"), Some(&Value::from("kib")));
        assert_eq!(size("10MiB"), Some((10.0, Some("MiB".into()))));
    }
}
