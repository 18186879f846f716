//! `read_csv`: the rows of a CSV file.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::errno;
use quorate_value::{Dict, Key, Value};

/// The `read_csv` module.
pub struct ReadCsv;

static SPEC: Spec = Spec::new("read_csv", "Reads a CSV file.").collection("community.general").params(&[
    Param::path("path").required().aliases(&["filename"]).doc("The file."),
    Param::str("dialect").default_str("excel").doc("How it is written: `excel`, `excel-tab` or `unix`."),
    Param::str("key").no_log_false().doc("The column that names rows, for a mapping in place of a list."),
    Param::list("fieldnames", Kind::Str).doc("Names of columns; the first row if absent."),
    Param::bool("unique").default_bool(true).doc("Whether names of rows have to be unique."),
    Param::str("delimiter").doc("The character between fields."),
    Param::bool("skipinitialspace").doc("Drops blanks in front of fields."),
    Param::bool("strict").doc("Fails on bad quoting."),
]);

impl Module for ReadCsv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        let path = args.text("path");
        let mut delimiter = match args.text("dialect") {
            "excel" | "unix" => ',',
            "excel-tab" => '\t',
            other => {
                return Err(Failure::new(format!(
                    "Dialect '{other}' is not supported by your version of python."
                )));
            }
        };
        if let Some(given) = args.str("delimiter") {
            let mut letters = given.chars();
            delimiter = match (letters.next(), letters.next()) {
                (Some(letter), None) => letter,
                _ => {
                    return Err(Failure::new(
                        "Unable to create custom dialect: \"delimiter\" must be a 1-character string",
                    ));
                }
            };
        }
        let bytes = std::fs::read(path)
            .map_err(|error| Failure::new(format!("Unable to open file: {}: '{path}'", errno(&error))))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut rows = parse(text, delimiter, args.bool("skipinitialspace"), args.bool("strict"))
            .map_err(|why| Failure::new(format!("Unable to process file: {why}")))?
            .into_iter();
        let names = if args.has("fieldnames") {
            args.strings("fieldnames")
        } else {
            rows.by_ref().find(|row| !row.is_empty()).unwrap_or_default()
        };
        let key = args.str("key");
        if let Some(key) = key.filter(|key| !names.iter().any(|name| name == key)) {
            return Err(Failure::new(format!(
                "Key '{key}' was not found in the CSV header fields: {}",
                names.join(", ")
            )));
        }
        let (mut list, mut dict) = (Vec::new(), Dict::new());
        for row in rows.filter(|row| !row.is_empty()) {
            let record = record(&names, &row);
            let Some(key) = key else {
                list.push(Value::from(record));
                continue;
            };
            let name = record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            if args.bool("unique") && dict.contains_key(name.as_str()) {
                return Err(Failure::new(format!("Key '{key}' is not unique for value '{name}'")));
            }
            dict.insert(name, record);
        }
        Ok(Outcome::ok().with("dict", dict).with("list", Value::list(list)))
    }
}

/// Fields by name: those that are missing are null, those that are too many stand under `null`.
fn record(names: &[String], row: &[String]) -> Dict {
    let mut record = Dict::new();
    for (at, name) in names.iter().enumerate() {
        record.insert(name.as_str(), row.get(at).map_or(Value::Null, |field| Value::from(field.as_str())));
    }
    if row.len() > names.len() {
        let rest: Value = row[names.len()..].iter().map(String::as_str).collect();
        record.insert(Key::from("null"), rest);
    }
    record
}

fn parse(text: &str, delimiter: char, skip: bool, strict: bool) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    let (mut row, mut field): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut quoted, mut begun) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => {
                quoted = false;
                let after = letters.peek().copied();
                if strict && !matches!(after, None | Some('\n' | '\r')) && after != Some(delimiter) {
                    return Err(format!("'{delimiter}' expected after '\"'"));
                }
            }
            _ if quoted => field.push(letter),
            '"' if !begun => {
                quoted = true;
                begun = true;
            }
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' | '\r' => {
                if begun || !field.is_empty() || !row.is_empty() {
                    row.push(std::mem::take(&mut field));
                }
                rows.push(std::mem::take(&mut row));
                begun = false;
            }
            _ if letter == delimiter => {
                row.push(std::mem::take(&mut field));
                begun = false;
            }
            ' ' if skip && !begun => {}
            _ => {
                begun = true;
                field.push(letter);
            }
        }
    }
    if quoted && strict {
        return Err("unexpected end of data".into());
    }
    if begun || !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let read = |text: &str| parse(text, ',', false, false).unwrap();
        assert_eq!(
            read("a,b\r\n\"x,\"\"y\"\"\",\n\n1"),
            [vec!["a", "b"], vec!["x,\"y\"", ""], vec![], vec!["1"]]
        );
        assert_eq!(parse("a, \"b\"", ',', true, false).unwrap(), [vec!["a", "b"]]);
        assert!(parse("\"a\"b", ',', false, true).is_err() && parse("\"a", ',', false, true).is_err());
    }
}
