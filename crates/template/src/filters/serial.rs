//! JSON and YAML, in and out.

use super::sequence::flag;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::methods::whole;
use crate::rt::V;
use quorate_value::{Dict, FileId, JsonStyle, Str, Value, str_repr};
use quorate_yaml::{EmitStyle, ParseOptions, ScalarStyle};

pub(super) static FILTERS: [Filter; 9] = [
    filter("from_json", from_json),
    filter("from_yaml", from_yaml),
    filter("from_yaml_all", from_yaml_all),
    filter("pprint", pprint),
    filter("to_json", to_json),
    filter("to_nice_json", to_nice_json),
    filter("to_nice_yaml", to_nice_yaml),
    filter("to_yaml", to_yaml),
    filter("tojson", tojson),
];

/// How Python's `json.dumps` is asked to write.
struct Json {
    indent: Option<usize>,
    sort_keys: bool,
    ascii: bool,
    separators: Option<(Str, Str)>,
}

impl Json {
    fn write(&self, value: &Value) -> Result<String> {
        if let Some((item, key)) = &self.separators {
            let mut out = String::new();
            self.with_separators(&mut out, value, item, key, 0);
            return Ok(out);
        }
        let style =
            JsonStyle { indent: self.indent, sort_keys: self.sort_keys, ascii: self.ascii, compact: false };
        Ok(style.write(value))
    }

    fn with_separators(&self, out: &mut String, value: &Value, item: &str, colon: &str, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = self.indent {
                out.push('\n');
                out.push_str(&" ".repeat(indent * depth));
            }
        };
        let scalar = JsonStyle { ascii: self.ascii, ..JsonStyle::default() };
        match value {
            Value::List(items) if !items.is_empty() => {
                out.push('[');
                for (index, value) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(item);
                    }
                    line(out, depth + 1);
                    self.with_separators(out, value, item, colon, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Value::Dict(entries) if !entries.is_empty() => {
                let sorted;
                let entries = if self.sort_keys {
                    sorted = entries.sorted();
                    &sorted
                } else {
                    &**entries
                };
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push_str(item);
                    }
                    line(out, depth + 1);
                    out.push_str(&scalar.write(&Value::from(key.json_text().into_owned())));
                    out.push_str(colon);
                    self.with_separators(out, value, item, colon, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
            other => out.push_str(&scalar.write(other)),
        }
    }
}

fn json_args(vm: &Vm, args: &mut Args, mut json: Json) -> Result<Json> {
    if let Some(indent) = args.take("indent") {
        json.indent = match indent {
            V::Null => None,
            indent => Some(whole(&indent)?.clamp(0, 1000) as usize),
        };
    }
    let sort_keys = args.take("sort_keys");
    json.sort_keys = flag(vm, sort_keys, json.sort_keys)?;
    let ascii = args.take("ensure_ascii");
    json.ascii = flag(vm, ascii, json.ascii)?;
    match args.take("separators") {
        None | Some(V::Null) => {}
        Some(separators) => {
            let pair = vm.iterate(&separators)?;
            let [item, colon] = pair.as_slice() else {
                return Err(Error::runtime(format!(
                    "not enough values to unpack (expected 2, got {})",
                    pair.len()
                )));
            };
            json.separators = Some((vm.to_text(item)?, vm.to_text(colon)?));
        }
    }
    for known in [
        "preprocess_unsafe",
        "vault_to_text",
        "skipkeys",
        "allow_nan",
        "check_circular",
        "default",
        "profile",
    ] {
        args.take(known);
    }
    if let Some((name, _)) = args.named.first() {
        return Err(Error::runtime(format!(
            "JSONEncoder.__init__() got an unexpected keyword argument '{name}'"
        )));
    }
    Ok(json)
}

fn input(vm: &Vm, args: Args, function: &'static str) -> Result<Value> {
    let [value] = args.bind(function, ["a"], 1)?;
    vm.finalize(&value.unwrap_or(V::Null))
}

fn to_json(vm: &Vm, mut args: Args) -> Result<V> {
    let json = Json { indent: None, sort_keys: false, ascii: true, separators: None };
    let json = json_args(vm, &mut args, json)?;
    Ok(V::text(json.write(&input(vm, args, "to_json")?)?))
}

fn to_nice_json(vm: &Vm, mut args: Args) -> Result<V> {
    let json = Json { indent: Some(4), sort_keys: true, ascii: true, separators: None };
    let json = json_args(vm, &mut args, json)?;
    Ok(V::text(json.write(&input(vm, args, "to_nice_json")?)?))
}

fn tojson(vm: &Vm, args: Args) -> Result<V> {
    let [value, indent] = args.bind("do_tojson", ["value", "indent"], 1)?;
    let indent = match indent {
        None | Some(V::Null) => None,
        Some(indent) => Some(whole(&indent)?.clamp(0, 1000) as usize),
    };
    let value = vm.finalize(&value.unwrap_or(V::Null))?;
    let json = Json { indent, sort_keys: true, ascii: true, separators: None };
    let text = json
        .write(&value)?
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027");
    Ok(V::Str(Str::from(text).markup(true)))
}

fn from_json(vm: &Vm, mut args: Args) -> Result<V> {
    let profile = args.take("profile");
    let [value] = args.bind("from_json", ["value"], 1)?;
    let legacy = profile.as_ref().and_then(V::as_text).is_some_and(|p| p.as_str() == "inventory_legacy");
    let text = match value.unwrap_or(V::Null) {
        V::Str(text) => text,
        V::Undefined(error) => return Err((*error).clone()),
        other => {
            return Err(Error::runtime(format!(
                "the JSON object must be str, bytes or bytearray, not {}",
                other.type_name()
            )));
        }
    };
    let _ = vm;
    let value = read_json(&text)?;
    // what an inventory script says is trusted, but for what it marks itself
    Ok(V::done(&if legacy && text.is_trusted() { inventory(value) } else { value }))
}

fn inventory(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(text.trusted()),
        Value::List(items) => items.iter().cloned().map(inventory).collect(),
        Value::Dict(entries) => match entries.get("__ansible_unsafe") {
            Some(text @ Value::Str(_)) if entries.len() == 1 => text.clone(),
            _ => Value::dict(entries.iter().map(|(k, v)| (k.clone(), inventory(v.clone()))).collect()),
        },
        other => other,
    }
}

/// JSON as Python's `json.loads` reads it, with its complaints.
pub(crate) fn read_json(text: &str) -> Result<Value> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.blank();
    let value = reader.value()?;
    reader.blank();
    if reader.at < text.len() {
        return Err(reader.wrong("Extra data", reader.at));
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str, at: usize) -> Error {
        let before = &self.text[..at.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Error::runtime(format!("{what}: line {line} column {column} (char {})", before.chars().count()))
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn value(&mut self) -> Result<Value> {
        self.depth += 1;
        if self.depth > 200 {
            return Err(self.wrong("too deeply nested", self.at));
        }
        let value = self.inner();
        self.depth -= 1;
        value
    }

    fn inner(&mut self) -> Result<Value> {
        let start = self.at;
        match self.rest().bytes().next() {
            Some(b'"') => {
                self.at += 1;
                self.string(start).map(Value::from)
            }
            Some(b'{') => {
                self.at += 1;
                let mut out = Dict::new();
                self.blank();
                if self.take("}") {
                    return Ok(Value::dict(out));
                }
                loop {
                    self.blank();
                    let key_at = self.at;
                    if !self.take("\"") {
                        return Err(self.wrong("Expecting property name enclosed in double quotes", key_at));
                    }
                    let key = self.string(key_at)?;
                    self.blank();
                    if !self.take(":") {
                        return Err(self.wrong("Expecting ':' delimiter", self.at));
                    }
                    self.blank();
                    let value = self.value()?;
                    out.insert(key, value);
                    self.blank();
                    if self.take("}") {
                        return Ok(Value::dict(out));
                    }
                    if !self.take(",") {
                        return Err(self.wrong("Expecting ',' delimiter", self.at));
                    }
                }
            }
            Some(b'[') => {
                self.at += 1;
                let mut out = Vec::new();
                self.blank();
                if self.take("]") {
                    return Ok(Value::list(out));
                }
                loop {
                    self.blank();
                    out.push(self.value()?);
                    self.blank();
                    if self.take("]") {
                        return Ok(Value::list(out));
                    }
                    if !self.take(",") {
                        return Err(self.wrong("Expecting ',' delimiter", self.at));
                    }
                }
            }
            _ => {
                for (word, value) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("NaN", Value::Float(f64::NAN)),
                    ("Infinity", Value::Float(f64::INFINITY)),
                    ("-Infinity", Value::Float(f64::NEG_INFINITY)),
                ] {
                    if self.take(word) {
                        return Ok(value);
                    }
                }
                self.number(start)
            }
        }
    }

    fn number(&mut self, start: usize) -> Result<Value> {
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let first = start + usize::from(bytes.get(start) == Some(&b'-'));
        let mut end = if bytes.get(first) == Some(&b'0') { first + 1 } else { digits(first) };
        if end == first {
            return Err(self.wrong("Expecting value", start));
        }
        let mut float = false;
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1);
            float = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            if after > end + 1 + sign {
                end = after;
                float = true;
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        if float {
            return Ok(Value::Float(text.parse().unwrap_or(f64::INFINITY)));
        }
        text.parse().map(Value::integer).map_err(|_| self.wrong("Expecting value", start))
    }

    fn string(&mut self, start: usize) -> Result<String> {
        let mut out = String::new();
        loop {
            let Some(end) = self.rest().find(|c: char| c == '"' || c == '\\' || (c as u32) < 0x20) else {
                return Err(self.wrong("Unterminated string starting at", start));
            };
            out.push_str(&self.text[self.at..self.at + end]);
            self.at += end;
            if self.take("\"") {
                return Ok(out);
            }
            if !self.take("\\") {
                return Err(self.wrong("Invalid control character at", self.at));
            }
            let Some(c) = self.rest().chars().next() else {
                return Err(self.wrong("Unterminated string starting at", start));
            };
            let escape = self.at - 1;
            self.at += c.len_utf8();
            match c {
                '"' | '\\' | '/' => out.push(c),
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    let unit = self.unit(escape)?;
                    let mut units = vec![unit];
                    if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
                        self.at += 2;
                        units.push(self.unit(escape)?);
                    }
                    out.push_str(&String::from_utf16_lossy(&units));
                }
                _ => return Err(self.wrong("Invalid \\escape", escape)),
            }
        }
    }

    fn unit(&mut self, escape: usize) -> Result<u16> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(digits) = digits else {
            return Err(self.wrong("Invalid \\uXXXX escape", escape + 1));
        };
        let unit = u16::from_str_radix(digits, 16).unwrap_or(0xfffd);
        self.at += 4;
        Ok(unit)
    }
}

fn yaml_style(vm: &Vm, args: &mut Args, mut style: EmitStyle) -> Result<EmitStyle> {
    let number = |value: V| -> Result<Option<i32>> {
        match value {
            V::Null => Ok(None),
            V::Float(number) if number.is_infinite() => Ok(Some(i32::MAX)),
            value => Ok(Some(whole(&value)?.clamp(-1, i64::from(i32::MAX)) as i32)),
        }
    };
    if let Some(indent) = args.take("indent") {
        style.indent = number(indent)?;
    }
    if let Some(width) = args.take("width") {
        style.width = match width {
            V::Str(text) => text.trim().parse().ok(),
            other => number(other)?,
        };
    }
    let sort_keys = args.take("sort_keys");
    style.sort_keys = flag(vm, sort_keys, style.sort_keys)?;
    match args.take("default_flow_style") {
        None => {}
        Some(V::Null) => style.default_flow_style = None,
        Some(value) => style.default_flow_style = Some(vm.truth(&value)?),
    }
    match args.take("default_style") {
        None | Some(V::Null) => {}
        Some(value) => {
            style.default_style = match vm.to_text(&value)?.as_str() {
                "'" => Some(ScalarStyle::SingleQuoted),
                "\"" => Some(ScalarStyle::DoubleQuoted),
                "|" => Some(ScalarStyle::Literal),
                ">" => Some(ScalarStyle::Folded),
                _ => None,
            };
        }
    }
    let explicit_start = args.take("explicit_start");
    style.explicit_start = flag(vm, explicit_start, false)?;
    let explicit_end = args.take("explicit_end");
    style.explicit_end = flag(vm, explicit_end, false)?;
    let unicode = args.take("allow_unicode");
    style.allow_unicode = flag(vm, unicode, true)?;
    let canonical = args.take("canonical");
    style.canonical = flag(vm, canonical, false)?;
    for known in [
        "encoding",
        "line_break",
        "version",
        "tags",
        "vault_to_text",
        "redact_sensitive_values",
        "dump_vault_tags",
    ] {
        args.take(known);
    }
    if let Some((name, _)) = args.named.first() {
        return Err(Error::runtime(format!("dump_all() got an unexpected keyword argument '{name}'")));
    }
    Ok(style)
}

fn dump(vm: &Vm, mut args: Args, style: EmitStyle, function: &'static str) -> Result<V> {
    let style = yaml_style(vm, &mut args, style)?;
    let [value, indent] = args.bind(function, ["a", "indent"], 1)?;
    let style = match indent {
        None | Some(V::Null) => style,
        Some(indent) => EmitStyle { indent: Some(whole(&indent)?.clamp(0, 100) as i32), ..style },
    };
    let value = vm.finalize(&value.unwrap_or(V::Null))?;
    quorate_yaml::to_yaml(&value, &style).map(V::text).map_err(|error| Error::runtime(error.to_string()))
}

fn to_yaml(vm: &Vm, args: Args) -> Result<V> {
    dump(vm, args, EmitStyle::default(), "to_yaml")
}

fn to_nice_yaml(vm: &Vm, args: Args) -> Result<V> {
    dump(vm, args, EmitStyle::nice(), "to_nice_yaml")
}

const UNTRUSTED: ParseOptions = ParseOptions { trusted: false, local_tags: true };

fn from_yaml(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("from_yaml", ["data"], 1)?;
    match value.unwrap_or(V::Null) {
        V::Null => Ok(V::Null),
        V::Str(text) => {
            let document = quorate_yaml::parse_with(&text, FileId::default(), UNTRUSTED)
                .map_err(|error| Error::runtime(error.message()))?;
            Ok(V::done(&document.root.to_value()))
        }
        other => {
            vm.deprecated(format!(
                "The from_yaml filter ignored non-string input of type {}.",
                str_repr(other.type_name())
            ));
            Ok(other)
        }
    }
}

fn from_yaml_all(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("from_yaml_all", ["data"], 1)?;
    match value.unwrap_or(V::Null) {
        V::Null => Ok(V::list(Vec::new())),
        V::Str(text) => {
            let documents = quorate_yaml::parse_all_with(&text, FileId::default(), UNTRUSTED)
                .map_err(|error| Error::runtime(error.message()))?;
            Ok(V::list(documents.iter().map(|document| V::done(&document.root.to_value())).collect()))
        }
        other => {
            vm.deprecated(format!(
                "The from_yaml_all filter ignored non-string input of type {}.",
                str_repr(other.type_name())
            ));
            Ok(other)
        }
    }
}

/// Python's `pprint` leaves Ansible's own lists and mappings on one line.
fn pprint(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("do_pprint", ["value"], 1)?;
    Ok(V::text(vm.to_repr(&value.unwrap_or(V::Null))?))
}
