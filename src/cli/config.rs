//! `quorate config` and `ansible-config`: which settings there are, what they are now, and who said so.
//!
//! In: `ansible.cfg`, `ANSIBLE_*`. Out: tables in the shapes that ansible-core 2.19 has for them.
//!
//! Not here: reading settings (`settings`).

mod about;

use super::common::Cannot;
use super::status;
use crate::report::display;
use crate::settings::{KEYS, Key, Settings, Shape, Source};
use about::{Effect, about};
use clap::{Parser, Subcommand, ValueEnum};
use quorate_value::{Dict, JsonStyle, Value, dict, str_of};
use quorate_yaml::{EmitStyle, to_yaml};
use std::path::{Path, PathBuf};

/// Show settings, what they are now, and who said so.
#[derive(Debug, Parser)]
#[command(
    name = "quorate config",
    disable_version_flag = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  quorate config dump --only-changed\n  quorate config init --disabled > ansible.cfg"
)]
struct Args {
    /// Print the version
    #[arg(long)]
    version: bool,
    /// Accepted for Ansible's sake
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All settings, and where each can be said
    List {
        #[command(flatten)]
        of: Of,
        /// Form of the output
        #[arg(short, long, default_value = "yaml")]
        format: Listed,
    },
    /// The values now, and who said so
    Dump {
        #[command(flatten)]
        of: Of,
        /// Only what is not at its default
        #[arg(long, alias = "changed-only")]
        only_changed: bool,
        /// Form of the output
        #[arg(short, long, default_value = "display")]
        format: Dumped,
    },
    /// The configuration file as it is
    View {
        #[command(flatten)]
        of: Of,
    },
    /// A configuration file to start from
    Init {
        #[command(flatten)]
        of: Of,
        /// Form of the output
        #[arg(short, long, default_value = "ini")]
        format: Made,
        /// Every line is a comment
        #[arg(long)]
        disabled: bool,
    },
    /// Look for settings that nothing reads
    Validate {
        #[command(flatten)]
        of: Of,
        /// What to look at
        #[arg(short, long, default_value = "ini")]
        format: Checked,
    },
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The kind of settings; only `base` (and `all`) are there
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "base")]
    kind: String,
    /// Plug-ins; there are none with settings of their own
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listed {
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dumped {
    Json,
    Yaml,
    Display,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Made {
    Ini,
    Env,
    Vars,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Checked {
    Ini,
    Env,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String], ansible: bool) -> u8 {
    let name = if ansible { "ansible-config" } else { "quorate config" };
    let args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    let Some(action) = args.action else {
        display::err(&super::headline("the following arguments are required: action", ansible));
        return if ansible { 2 } else { status::USAGE };
    };
    super::ended(act(&action), ansible)
}

fn act(action: &Action) -> Result<u8, Cannot> {
    let (Action::List { of, .. }
    | Action::Dump { of, .. }
    | Action::View { of }
    | Action::Init { of, .. }
    | Action::Validate { of, .. }) = action;
    if !matches!(of.kind.as_str(), "base" | "all") || !of.names.is_empty() {
        return Err(Cannot {
            text: format!(
                "settings of {} plug-ins are not listed: connections, caches and callbacks are built in, and what can be set about them is among the `base` settings",
                of.kind
            ),
            status: status::USAGE,
        });
    }
    let settings = read(of.config.as_deref())?;
    match action {
        Action::List { format, .. } => {
            let all: Dict =
                KEYS.iter().map(|key| (quorate_value::Key::from(key.name), described(key))).collect();
            let all = Value::dict(all.sorted());
            display::out(written(&all, *format == Listed::Json)?.trim_end());
        }
        Action::Dump { only_changed, format, .. } => dump(&settings, *only_changed, *format)?,
        Action::View { .. } => {
            let Some(path) = &settings.config_file else {
                return Err(Cannot::start("Invalid or no config file was supplied"));
            };
            let text = text_of(path)?;
            display::out(text.strip_suffix('\n').unwrap_or(&text));
        }
        Action::Init { format, disabled, .. } => init(*format, *disabled)?,
        Action::Validate { format, .. } => return validate(&settings, *format),
    }
    Ok(status::DONE)
}

fn read(config: Option<&Path>) -> Result<Settings, Cannot> {
    let cwd =
        std::env::current_dir().map_err(|e| Cannot::start(format!("the working directory is gone: {e}")))?;
    let config = config.map(|path| cwd.join(path));
    if let Some(path) = config.as_ref().filter(|path| !path.is_file()) {
        return Err(Cannot {
            text: format!("The provided configuration file is missing or not accessible: {}", path.display()),
            status: status::USAGE,
        });
    }
    let chosen = config.map(|path| path.display().to_string());
    let env = |name: &str| match (name, &chosen) {
        ("ANSIBLE_CONFIG", Some(path)) => Some(path.clone()),
        _ => crate::environment(name),
    };
    let settings = Settings::load(&env, &cwd).map_err(Cannot::start)?;
    settings.warnings.iter().for_each(|warning| display::warning(warning));
    Ok(settings)
}

fn text_of(path: &Path) -> Result<String, Cannot> {
    std::fs::read_to_string(path)
        .map_err(|e| Cannot::start(format!("cannot read {}: {}", path.display(), super::errno(&e, None))))
}

fn written(value: &Value, json: bool) -> Result<String, Cannot> {
    if json {
        return Ok(JsonStyle { indent: Some(4), sort_keys: true, ascii: false, compact: false }.write(value));
    }
    let style = EmitStyle { default_flow_style: Some(false), ..EmitStyle::default() };
    to_yaml(value, &style).map_err(|e| Cannot { text: e.to_string(), status: status::BUG })
}

/// Ansible's word for a shape.
fn type_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "string",
        Shape::Number => "integer",
        Shape::Flag => "boolean",
        Shape::Path => "path",
        Shape::Paths => "pathlist",
        Shape::List => "list",
    }
}

/// A value as its type has it; `None` for what nobody set.
fn typed(key: &Key, text: &str) -> Value {
    let words = |separator: char| {
        text.split(separator).map(str::trim).filter(|w| !w.is_empty()).map(Value::from).collect::<Value>()
    };
    match key.shape {
        Shape::Paths => words(if key.name == "DEFAULT_HOST_LIST" { ',' } else { ':' }),
        Shape::List => words(','),
        _ if text.is_empty() => Value::Null,
        Shape::Number => text.trim().parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
        Shape::Flag => Value::from(text).to_bool_loose().map_or_else(|| Value::from(text), Value::Bool),
        Shape::Text | Shape::Path => Value::from(text),
    }
}

fn described(key: &Key) -> Value {
    let mut entry = dict! { "default" => typed(key, key.default), "type" => type_name(key.shape) };
    if let Some((effect, text)) = about(key.name) {
        entry.insert("description", text);
        match effect {
            Effect::Works => {}
            Effect::Moot => drop(entry.insert("quorate", "accepted; there is nothing for it to change")),
            Effect::NotYet => drop(entry.insert("quorate", "accepted; changes nothing yet")),
        }
    }
    let env = key.env.iter().map(|name| Value::dict(dict! { "name" => *name }));
    entry.insert("env", env.collect::<Value>());
    let ini =
        key.ini.iter().map(|(section, key)| Value::dict(dict! { "section" => *section, "key" => *key }));
    entry.insert("ini", ini.collect::<Value>());
    Value::dict(entry.sorted())
}

fn dump(settings: &Settings, only_changed: bool, format: Dumped) -> Result<(), Cannot> {
    let mut rows: Vec<(&str, String, Value)> = KEYS
        .iter()
        .map(|key| (key, settings.source(key.name)))
        .filter(|(_, source)| !only_changed || **source != Source::Default)
        .map(|(key, source)| {
            let origin = match source {
                Source::Default => "default".to_owned(),
                Source::Env(name) => format!("env: {name}"),
                Source::File(path) => path.display().to_string(),
            };
            (key.name, origin, typed(key, settings.text(key.name)))
        })
        .collect();
    let file =
        settings.config_file.as_ref().map_or(Value::Null, |path| Value::from(path.display().to_string()));
    rows.push(("CONFIG_FILE", String::new(), file));
    rows.sort_by_key(|(name, ..)| *name);
    let servers = servers(settings);
    if format == Dumped::Display {
        for (name, origin, value) in rows {
            display::out(&format!("{name}({origin}) = {}", str_of(&value)));
        }
        display::out("\nGALAXY_SERVERS:");
        if !servers.is_empty() {
            display::out("");
        }
        for (server, rows) in servers {
            let mut rows: Vec<_> =
                rows.iter().filter(|(_, origin, _)| !only_changed || origin != "default").collect();
            rows.sort_by_key(|(name, ..)| *name);
            display::out(&format!("\n{server}\n{}", "=".repeat(server.chars().count())));
            for (name, origin, value) in rows {
                display::out(&format!("{name}({origin}) = {}", str_of(value)));
            }
        }
        return Ok(());
    }
    let mut all: Vec<Value> = rows
        .into_iter()
        .map(|(name, origin, value)| {
            Value::dict(dict! { "name" => name, "origin" => origin, "value" => value })
        })
        .collect();
    let servers: Dict = servers
        .into_iter()
        .map(|(server, rows)| {
            let rows = rows.into_iter().map(|(name, origin, value)| {
                Value::dict(
                    dict! { "name" => name, "origin" => origin, "type" => Value::Null, "value" => value },
                )
            });
            (quorate_value::Key::from(server.as_str()), rows.collect::<Value>())
        })
        .collect();
    all.push(Value::dict(dict! { "GALAXY_SERVERS" => Value::dict(servers) }));
    display::out(written(&Value::list(all), format == Dumped::Json)?.trim_end());
    Ok(())
}

/// What can be said of a galaxy server.
const SERVER: [&str; 10] = [
    "url",
    "username",
    "password",
    "token",
    "auth_url",
    "api_version",
    "validate_certs",
    "client_id",
    "client_secret",
    "timeout",
];

type Said = (&'static str, String, Value);

/// The servers of `server_list`, with what environment and file say of each.
fn servers(settings: &Settings) -> Vec<(String, Vec<Said>)> {
    let about = |server: &str, name: &'static str| {
        let variable = format!("ANSIBLE_GALAXY_SERVER_{}_{}", server.to_uppercase(), name.to_uppercase());
        let typed = |text: &str| match name {
            "timeout" | "api_version" => text.parse().map_or_else(|_| Value::from(text), Value::Int),
            "validate_certs" => {
                Value::from(text).to_bool_loose().map_or_else(|| Value::from(text), Value::Bool)
            }
            _ => Value::from(text),
        };
        if let Some(text) = crate::environment(&variable) {
            return (name, format!("env: {variable}"), typed(&text));
        }
        if let Some(text) = settings.written(&format!("galaxy_server.{server}"), name) {
            let file = settings.config_file.as_ref().map(|path| path.display().to_string());
            return (name, file.unwrap_or_default(), typed(text));
        }
        (name, "default".to_owned(), if name == "timeout" { Value::Int(60) } else { Value::Null })
    };
    settings
        .list("GALAXY_SERVER_LIST")
        .into_iter()
        .map(|server| {
            let rows = SERVER.iter().map(|name| about(&server, name)).collect();
            (server, rows)
        })
        .collect()
}

fn init(format: Made, disabled: bool) -> Result<(), Cannot> {
    let mark = if disabled { ";" } else { "" };
    let comment = |key: &Key| {
        let (effect, text) = about(key.name).unwrap_or((Effect::Works, ""));
        let note = match effect {
            Effect::Works => "",
            Effect::Moot => " (accepted; there is nothing for it to change)",
            Effect::NotYet => " (accepted; changes nothing yet)",
        };
        format!("# ({}) {text}{note}", type_name(key.shape))
    };
    let shown = |key: &Key| match typed(key, key.default) {
        Value::Null => String::new(),
        Value::Bool(flag) => if flag { "True" } else { "False" }.to_owned(),
        _ => key.default.to_owned(),
    };
    match format {
        Made::Ini => {
            let mut sections: Vec<&str> = Vec::new();
            for (section, _) in KEYS.iter().filter_map(|key| key.ini.first()) {
                if !sections.contains(section) {
                    sections.push(section);
                }
            }
            for section in sections {
                display::out(&format!("[{section}]"));
                for key in KEYS {
                    if let Some((_, name)) = key.ini.first().filter(|(of, _)| *of == section) {
                        display::out(&format!("{}\n{mark}{name}={}\n", comment(key), shown(key)));
                    }
                }
            }
        }
        Made::Env => {
            let mark = if disabled { "#" } else { "" };
            for key in KEYS {
                if let Some(name) = key.env.first() {
                    let value = shown(key);
                    let plain = !value.is_empty()
                        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./,:".contains(&b));
                    let value = if plain || value.is_empty() { value } else { format!("'{value}'") };
                    display::out(&format!("{}\n{mark}{name}={value}\n", comment(key)));
                }
            }
        }
        Made::Vars => {
            return Err(Cannot {
                text: "variables that set something about connections are named in docs/reference/settings.md; there is no file of them".into(),
                status: status::USAGE,
            });
        }
    }
    Ok(())
}

/// Whether a name is one of Ansible's settings, its plug-ins' among them.
fn is_ansibles(section: &str, name: &str) -> bool {
    include_str!("config/names.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .any(|(where_, names)| where_ == section && names.split(' ').any(|known| known == name))
}

/// Names of settings that are read nowhere.
fn validate(settings: &Settings, format: Checked) -> Result<u8, Cannot> {
    let mut unknown = Vec::new();
    match format {
        Checked::Env => {
            let names: Vec<String> =
                std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
            let known = |name: &str| {
                KEYS.iter().any(|key| key.env.contains(&name))
                    || OTHERS.contains(&name)
                    // of Ansible's own test runner
                    || name.starts_with("ANSIBLE_TEST_")
                    || is_ansibles("env", name)
            };
            for name in names.iter().filter(|name| name.starts_with("ANSIBLE_") && !known(name)) {
                unknown.push(format!("Found unknown environment variable '{name}'."));
            }
        }
        Checked::Ini => {
            let text = settings.config_file.as_deref().map(text_of).transpose()?.unwrap_or_default();
            let mut section = String::new();
            for (number, line) in text.lines().enumerate() {
                let trimmed = line.trim();
                if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                    name.clone_into(&mut section);
                    continue;
                }
                let skip = trimmed.starts_with(['#', ';']) || line.starts_with([' ', '\t']);
                let Some((name, _)) = trimmed.split_once(['=', ':']).filter(|_| !skip) else { continue };
                let name = name.trim().to_lowercase();
                if section.starts_with("galaxy_server.") && SERVER.contains(&name.as_str()) {
                    continue;
                }
                let here = |key: &&Key| key.ini.iter().any(|(s, k)| *s == section && *k == name);
                if KEYS.iter().find(here).is_none() && is_ansibles(&format!("[{section}]"), &name) {
                    display::warning(&format!(
                        "'{name}' in section '{section}' is read by Ansible, not by Quorate"
                    ));
                } else if KEYS.iter().find(here).is_none() {
                    let names =
                        KEYS.iter().flat_map(|key| key.ini).filter(|(s, _)| *s == section).map(|(_, k)| *k);
                    let near = quorate_yaml::nearest(&name, names);
                    let hint = near.first().map_or_else(String::new, |n| format!(" Did you mean '{n}'?"));
                    unknown.push(format!(
                        "Found unknown configuration '{name}' in section '{section}' (line {}).{hint}",
                        number + 1
                    ));
                }
            }
        }
    }
    if unknown.is_empty() {
        display::out("All configurations seem valid!");
        return Ok(status::DONE);
    }
    Err(Cannot::start(unknown.join("\n")))
}

/// Variables that are read, and are no settings.
const OTHERS: &[&str] = &["ANSIBLE_CONFIG", "ANSIBLE_VAULT_ENCRYPT_SALT"];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn values_have_their_types() {
        let key = |name: &str| KEYS.iter().find(|key| key.name == name).unwrap();
        for (name, text, shown) in [
            ("DEFAULT_FORKS", "20", "20"),
            ("DEFAULT_BECOME", "yes", "True"),
            ("DEFAULT_REMOTE_USER", "", "None"),
            ("DEFAULT_ROLES_PATH", "/a:/b", "['/a', '/b']"),
            ("DEFAULT_HOST_LIST", "/a,/b", "['/a', '/b']"),
            ("TAGS_RUN", "", "[]"),
        ] {
            assert_eq!(str_of(&typed(key(name), text)), shown, "{name}");
        }
    }
}
