//! `getent`: entries of a name service database, as facts.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome, split_lines};
use crate::spec::{Param, Spec};
use quorate_value::{Dict, Value, dict};

/// The `getent` module.
pub struct Getent;

static SPEC: Spec = Spec::new(
    "getent",
    "Reads passwd, group, hosts and other databases into `getent_*` facts.",
)
.params(&[
    Param::str("database").required().doc("The database: `passwd`, `group`, `hosts`, `services`, …"),
    Param { no_log: Some(false), ..Param::str("key") }.doc("The entry to read; all of them if absent."),
    Param::str("service").doc("The name service to ask, in place of what `nsswitch.conf` says."),
    Param::str("split").doc(
        "What separates the fields; known for `passwd`, `shadow`, `group` and `gshadow`, else white space.",
    ),
    Param::bool("fail_key")
        .default_bool(true)
        .doc("Fail when the key is not there; otherwise its value is null."),
]);

impl Module for Getent {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (database, key) = (args.text("database"), args.str("key"));
        let program = ctx.program("getent")?;
        let mut command = ctx.command([program.as_str(), database]);
        command = command.args(key);
        if let Some(service) = args.str("service") {
            command = command.args(["-s", service]);
        }
        let output = ctx.run(&command)?;
        let name = format!("getent_{database}");
        let missing = "One or more supplied key could not be found in the database.";
        match output.rc {
            0 => {
                let colon = matches!(database, "passwd" | "shadow" | "group" | "gshadow").then_some(":");
                let entries = entries(&output.stdout_text(), args.str("split").or(colon));
                Ok(Outcome::ok().facts(dict! {name => entries}))
            }
            1 => Err(Failure::new("Missing arguments, or database unknown.")),
            2 if args.bool("fail_key") => Err(Failure::new(missing)),
            2 => {
                let entries = dict! {key.unwrap_or("None") => Value::Null};
                Ok(Outcome::ok().facts(dict! {name => entries}).msg(missing))
            }
            3 => Err(Failure::new("Enumeration not supported on this database.")),
            _ => Err(Failure::new("Unexpected failure!")),
        }
    }
}

/// Lines by their first field. A field that comes more than once has a list of lists.
fn entries(text: &str, separator: Option<&str>) -> Dict {
    let mut found: Vec<(&str, Vec<Value>)> = Vec::new();
    for line in split_lines(text) {
        let fields: Vec<&str> = match separator {
            Some(separator) => line.split(separator).collect(),
            None => line.split_whitespace().collect(),
        };
        let Some((key, rest)) = fields.split_first() else { continue };
        let rest: Value = rest.iter().copied().collect();
        match found.iter_mut().find(|(known, _)| known == key) {
            Some((_, list)) => list.push(rest),
            None => found.push((key, vec![rest])),
        }
    }
    found
        .into_iter()
        .map(|(key, mut list)| (key, if list.len() == 1 { list.remove(0) } else { Value::list(list) }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::to_json;

    #[test]
    fn shapes() {
        for (text, separator, expected) in [
            ("root:x:0:\nadm:x:4:a,b\n", Some(":"), r#"{"root": ["x", "0", ""], "adm": ["x", "4", "a,b"]}"#),
            ("127.0.0.1       localhost\n", None, r#"{"127.0.0.1": ["localhost"]}"#),
            (
                "1.1.1.1 STREAM h\n1.1.1.1 DGRAM\n1.1.1.1 RAW\n",
                None,
                r#"{"1.1.1.1": [["STREAM", "h"], ["DGRAM"], ["RAW"]]}"#,
            ),
            ("", None, "{}"),
        ] {
            assert_eq!(to_json(&Value::dict(entries(text, separator))), expected);
        }
    }
}
