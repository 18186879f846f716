//! What is left of Ansible's own: `bool`, `mandatory`, `ternary`, `comment`, `quote`, dates, vaults.

use super::sequence::flag;
use super::{Filter, filter};
use crate::dates::DateTime;
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::host::Encrypt;
use crate::methods::whole;
use crate::ops::Num;
use crate::rt::{Native, V};
use quorate_value::{Str, Value, str_repr};

pub(super) static FILTERS: [Filter; 10] = [
    filter("bool", bool),
    filter("comment", comment),
    Filter { name: "mandatory", accepts_undefined: true, run: mandatory },
    filter("quote", quote),
    filter("strftime", strftime),
    Filter { name: "ternary", accepts_undefined: true, run: ternary },
    filter("to_datetime", to_datetime),
    Filter { name: "type_debug", accepts_undefined: true, run: type_debug },
    filter("unvault", unvault),
    filter("vault", vault),
];

fn text(vm: &Vm, value: Option<V>, default: &str) -> Result<Str> {
    value.map_or_else(|| Ok(Str::new(default)), |value| vm.to_text(&value))
}

fn bool(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("to_bool", ["value"], 1)?;
    let value = value.unwrap_or(V::Null);
    let known = match &value {
        V::Bool(flag) => Some(*flag),
        V::Str(text) => match text.trim().to_lowercase().as_str() {
            "yes" | "on" | "1" | "true" | "t" | "y" => Some(true),
            "no" | "off" | "0" | "false" | "f" | "n" => Some(false),
            _ => None,
        },
        V::Int(1) => Some(true),
        V::Int(0) => Some(false),
        V::Float(number) if *number == 1.0 => Some(true),
        V::Float(number) if *number == 0.0 => Some(false),
        _ => None,
    };
    if known.is_none() {
        let shown = if vm.is_tainted() { "<secret>".to_owned() } else { vm.to_repr(&value)? };
        vm.deprecated(format!(
            "The `bool` filter coerced invalid value {shown} ({}) to False.",
            value.type_name()
        ));
    }
    Ok(V::Bool(known.unwrap_or(false)))
}

fn mandatory(vm: &Vm, args: Args) -> Result<V> {
    let [value, message] = args.bind("mandatory", ["a", "msg"], 1)?;
    let value = value.unwrap_or(V::Null);
    let V::Undefined(error) = &value else { return Ok(value) };
    value.is_missing()?;
    if let Some(message) = message.filter(|message| !matches!(message, V::Null)) {
        return Err(Error::runtime(vm.to_text(&message)?.as_str()));
    }
    let name = match (error.name(), error.detail().rsplit_once("has no attribute ")) {
        (Some(name), _) => format!("{} ", str_repr(name)),
        (None, Some((_, attribute))) => format!("{attribute} "),
        (None, None) => String::new(),
    };
    Err(Error::runtime(format!("Mandatory variable {name}not defined.")))
}

fn ternary(vm: &Vm, args: Args) -> Result<V> {
    let [value, yes, no, none] = args.bind("ternary", ["value", "true_val", "false_val", "none_val"], 3)?;
    let value = value.unwrap_or(V::Null);
    if let (V::Null, Some(none)) = (&value, &none)
        && !matches!(none, V::Null)
    {
        return Ok(none.clone());
    }
    let yes = if vm.truth(&value)? { yes } else { no };
    Ok(yes.unwrap_or(V::Null))
}

fn type_debug(_: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("type_debug", ["obj"], 1)?;
    Ok(V::str(value.unwrap_or(V::Null).type_name()))
}

/// Text as one word of a POSIX shell.
pub(crate) fn shell_quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn quote(vm: &Vm, args: Args) -> Result<V> {
    let [value] = args.bind("quote", ["a"], 1)?;
    match value.unwrap_or(V::Null) {
        V::Null => Ok(V::str("''")),
        V::List(_) => Err(Error::runtime("quote() needs text, not a list")),
        value => Ok(V::text(shell_quote(&vm.to_text(&value)?))),
    }
}

fn comment(vm: &Vm, mut args: Args) -> Result<V> {
    let style = if args.pos.len() > 1 { Some(args.pos.remove(1)) } else { args.take("style") };
    let style = text(vm, style, "plain")?;
    let (mut beginning, mut decoration, mut end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(Error::runtime(format!("Invalid style '{other}'."))),
    };
    let mut option = |name: &str| -> Result<Option<String>> {
        match args.take(name) {
            None => Ok(None),
            Some(value) => Ok(Some(vm.to_str(&value)?)),
        }
    };
    let given = [option("beginning")?, option("decoration")?, option("end")?];
    for (slot, value) in [&mut beginning, &mut decoration, &mut end].into_iter().zip(&given) {
        if let Some(value) = value {
            *slot = value;
        }
    }
    let newline = option("newline")?.unwrap_or_else(|| "\n".to_owned());
    let stripped = decoration.trim_end();
    let prefix = option("prefix")?.unwrap_or_else(|| stripped.to_owned());
    let postfix = option("postfix")?.unwrap_or_else(|| stripped.to_owned());
    let mut count = |name: &str| args.take(name).map_or(Ok(1), |value| whole(&value));
    let (prefix_count, postfix_count) = (count("prefix_count")?, count("postfix_count")?);
    let value = match args.pos.first() {
        Some(V::Str(text)) => text.clone(),
        other => {
            return Err(Error::runtime(format!(
                "'{}' object has no attribute 'replace'",
                other.map_or("NoneType", V::type_name)
            )));
        }
    };
    let line = |text: &str| if text.is_empty() { String::new() } else { format!("{text}{newline}") };
    let mut out = line(beginning);
    if !prefix.is_empty() {
        for _ in 0..prefix_count.clamp(0, 1000) {
            out.push_str(&prefix);
            if prefix != newline {
                out.push_str(&newline);
            }
        }
    }
    let lines: Vec<&str> = value.split(newline.as_str()).collect();
    for (index, line) in lines.iter().enumerate() {
        let last = index + 1 == lines.len();
        // A line with nothing but the decoration ends without blanks, except where it is the last.
        out.push_str(if line.is_empty() && !last { stripped } else { decoration });
        out.push_str(line);
        if !last {
            out.push_str(&newline);
        }
    }
    for _ in 0..postfix_count.clamp(0, 1000) {
        out.push_str(&newline);
        out.push_str(&postfix);
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(end);
    }
    Ok(V::text(out))
}

fn strftime(vm: &Vm, args: Args) -> Result<V> {
    let [format, second, utc] = args.bind("strftime", ["string_format", "second", "utc"], 1)?;
    let format = text(vm, format, "")?;
    let utc = flag(vm, utc, false)?;
    let micros = match second {
        None | Some(V::Null) => {
            vm.saw_impure();
            vm.ctx.world.now_micros()
        }
        Some(V::Str(text)) => match super::number::parse_float(&text) {
            Some(number) => (number * 1e6) as i128,
            None => return Err(invalid_second(&text)),
        },
        Some(other) => match Num::of(&other) {
            Some(Num::Int(number)) => i128::from(number) * 1_000_000,
            Some(number) => (number.float() * 1e6) as i128,
            None => return Err(invalid_second(&vm.to_str(&other)?)),
        },
    };
    let (name, offset) = if utc {
        ("UTC".to_owned(), 0)
    } else {
        vm.ctx.world.local_zone(micros.div_euclid(1_000_000) as i64)
    };
    let date = DateTime::naive(micros + i128::from(offset) * 1_000_000);
    Ok(V::text(date.strftime(&format, Some((&name, offset)))))
}

fn invalid_second(shown: &str) -> Error {
    Error::runtime(format!("Invalid value for epoch value ({shown})"))
}

fn to_datetime(vm: &Vm, args: Args) -> Result<V> {
    let [value, format] = args.bind("to_datetime", ["string", "format"], 1)?;
    let value = match value.unwrap_or(V::Null) {
        V::Native(native) if matches!(&*native, Native::Date(_)) => return Ok(V::Native(native)),
        value => vm.to_text(&value)?,
    };
    let format = text(vm, format, "%Y-%m-%d %H:%M:%S")?;
    Ok(V::native(Native::Date(DateTime::parse(&value, &format)?)))
}

fn unvault(vm: &Vm, args: Args) -> Result<V> {
    let [vaulted, secret, vault_id, _] =
        args.bind("do_unvault", ["vault", "secret", "vault_id", "vaultid"], 2)?;
    // what cannot be opened by the secrets at hand is opened with this one
    let vaulted = match &vaulted {
        Some(V::Lazy(lazy)) => match &lazy.0 {
            Value::Vault(text) => text.clone(),
            _ => text(vm, vaulted, "")?,
        },
        _ => text(vm, vaulted, "")?,
    };
    let secret = text(vm, secret, "")?;
    let vault_id = text(vm, vault_id, "filter_default")?;
    vm.saw_secret();
    if !vaulted.trim_start().starts_with("$ANSIBLE_VAULT;") {
        return Ok(V::Str(vaulted.secret()));
    }
    let plain = vm.ctx.world.decrypt_with(&vaulted, &secret, Some(&vault_id))?;
    Ok(V::Str(plain.secret().untrusted()))
}

/// `vault` makes text that is no secret any more, from text that is.
fn vault(vm: &Vm, args: Args) -> Result<V> {
    let [plain, secret, salt, vault_id, wrap, _] =
        args.bind("do_vault", ["data", "secret", "salt", "vault_id", "wrap_object", "vaultid"], 2)?;
    let (plain, secret) = (text(vm, plain, "")?, text(vm, secret, "")?);
    let vault_id = text(vm, vault_id, "filter_default")?;
    let salt = match salt {
        None | Some(V::Null) => None,
        Some(salt) => Some(vm.to_text(&salt)?),
    };
    let request =
        Encrypt { plain: &plain, password: &secret, salt: salt.as_deref(), vault_id: Some(&vault_id) };
    if salt.is_none() {
        vm.saw_impure();
    }
    let vaulted = vm.ctx.world.encrypt(&request)?;
    if flag(vm, wrap, false)? {
        return Ok(V::Lazy(std::rc::Rc::new((Value::Vault(Str::from(vaulted)), crate::rt::Realm::Done))));
    }
    Ok(V::text(vaulted))
}
