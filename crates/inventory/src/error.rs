//! What can be wrong with an inventory, and what is odd about one.
//!
//! Errors and warnings are data: a headline, a place, the next thing to try, the nearest right names.
//! Whether a broken source stops the run is the caller's choice (Ansible goes on with the other sources).

use crate::range::RangeError;
use quorate_value::Span;
use quorate_yaml::YamlError;
use std::path::{Path, PathBuf};

/// Why something in an inventory cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InventoryError {
    /// A file that cannot be read.
    #[error("cannot read `{}`: {problem}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// Text that is no YAML.
    #[error("{0}")]
    Yaml(YamlError),
    /// Text that is no TOML.
    #[error("not TOML: {message}")]
    Toml {
        /// Where.
        span: Span,
        /// What the parser says.
        message: String,
    },
    /// Something has the wrong type.
    #[error("{what} must be {wanted}, not {found}")]
    Shape {
        /// Where.
        span: Span,
        /// What it is: "`hosts` of group `web`".
        what: String,
        /// The type it must have.
        wanted: &'static str,
        /// The type it has.
        found: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A line of an INI file that means nothing.
    #[error("{message}")]
    Ini {
        /// Where.
        span: Span,
        /// What is wrong.
        message: String,
        /// What ansible-core says of it.
        ansible: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A host range that means nothing.
    #[error("`{pattern}`: {problem}")]
    Range {
        /// Where.
        span: Span,
        /// The host entry.
        pattern: String,
        /// What is wrong.
        problem: RangeError,
    },
    /// A group that is used but nowhere defined.
    #[error("{used_in} names group `{name}`, which is not defined")]
    UnknownGroup {
        /// Where.
        span: Span,
        /// The name.
        name: String,
        /// The section that names it.
        used_in: String,
        /// Groups that are defined and look alike.
        nearest: Vec<String>,
    },
    /// A group would contain itself.
    #[error("adding group `{child}` as child to `{parent}` creates a recursive dependency loop")]
    Loop {
        /// Where.
        span: Span,
        /// The parent.
        parent: String,
        /// The child.
        child: String,
    },
    /// `ansible_group_priority` is no integer.
    #[error("`ansible_group_priority` of group `{group}` must be an integer, not `{value}`")]
    Priority {
        /// Where.
        span: Span,
        /// The group.
        group: String,
        /// What is written.
        value: String,
    },
    /// An inventory script that did not answer as it should.
    #[error("inventory script `{}`: {problem}", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A `plugin:` that is not known.
    #[error("the inventory plugin `{name}` is not known")]
    UnknownPlugin {
        /// Where.
        span: Span,
        /// Its name.
        name: String,
        /// Plugins that are known and look alike.
        nearest: Vec<String>,
    },
    /// A `plugin:` that is known and cannot be run here.
    #[error("the inventory plugin `{name}` {problem}")]
    Plugin {
        /// Where.
        span: Span,
        /// Its name.
        name: String,
        /// What stands in the way.
        problem: String,
    },
    /// An expression of `constructed` or `generator` that cannot be evaluated.
    #[error("cannot evaluate `{expression}`{}: {message}", host.as_deref().map(|host| format!(" for host `{host}`")).unwrap_or_default())]
    Template {
        /// Where.
        span: Span,
        /// The expression.
        expression: String,
        /// The host, if it is about one.
        host: Option<String>,
        /// What the template engine says.
        message: String,
    },
    /// An encrypted file without a password that opens it.
    #[error("cannot decrypt `{}`: {problem}", path.display())]
    Vault {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A name that cannot be a group or a host.
    #[error("{problem}")]
    Name {
        /// Where.
        span: Span,
        /// What is wrong with it.
        problem: String,
        /// What ansible-core says of it.
        ansible: String,
    },
    /// Neither a file nor a list of hosts.
    #[error("`{source_text}` is neither a file nor a list of hosts")]
    Missing {
        /// The source as given.
        source_text: String,
        /// Files beside it that look alike.
        nearest: Vec<String>,
    },
}

impl InventoryError {
    /// The place to show, if it has one.
    pub fn span(&self) -> Option<Span> {
        use InventoryError as E;
        let span = match self {
            E::Yaml(error) => error.span(),
            E::Toml { span, .. }
            | E::Shape { span, .. }
            | E::Ini { span, .. }
            | E::Range { span, .. }
            | E::UnknownGroup { span, .. }
            | E::Loop { span, .. }
            | E::Priority { span, .. }
            | E::UnknownPlugin { span, .. }
            | E::Plugin { span, .. }
            | E::Template { span, .. }
            | E::Name { span, .. } => *span,
            E::Read { .. } | E::Script { .. } | E::Vault { .. } | E::Missing { .. } => return None,
        };
        span.is_known().then_some(span)
    }

    /// The file it is about, where there is no exact place.
    pub fn path(&self) -> Option<&Path> {
        match self {
            InventoryError::Read { path, .. }
            | InventoryError::Script { path, .. }
            | InventoryError::Vault { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The next thing to try, as an imperative sentence.
    pub fn hint(&self) -> Option<String> {
        use InventoryError as E;
        match self {
            E::Yaml(error) => error.help().map(str::to_owned),
            E::Shape { hint, .. } | E::Ini { hint, .. } => hint.clone(),
            E::Range { problem, .. } => Some(match problem {
                RangeError::Width => "Write `[001:100]`, or leave the zeros out.".into(),
                RangeError::TooMany => "Split the range, or check its bounds.".into(),
                RangeError::Unclosed => "Close the range with `]`, as in `web[01:10]`.".into(),
                _ => "Write a range as `web[01:10]` or `web[a:c]`, with a step as `web[01:10:2]`.".into(),
            }),
            E::UnknownGroup { name, .. } => {
                Some(format!("Define it with a section `[{name}]`, which may be empty."))
            }
            E::Loop { parent, child, .. } => {
                Some(format!("Take `{child}` out of the children of `{parent}`."))
            }
            E::Vault { .. } => {
                Some("Give the password with `--vault-password-file` or `--ask-vault-pass`.".into())
            }
            E::Missing { .. } => {
                Some("Check the path; a list of hosts needs a comma, as in `-i host1,`.".into())
            }
            _ => None,
        }
    }

    /// The words ansible-core has for it, where people or programs look for them; else the same as `Display`.
    pub fn ansible_text(&self) -> String {
        use InventoryError as E;
        match self {
            E::Yaml(error) => format!("YAML parsing failed: {error}"),
            E::Ini { ansible, .. } | E::Name { ansible, .. } => ansible.clone(),
            E::Range { problem, .. } => problem.ansible_text(),
            E::UnknownGroup { name, used_in, .. } if used_in.contains(":children]") => {
                format!("Section {} includes undefined group '{name}'.", used_in.trim_matches('`'))
            }
            E::UnknownGroup { name, used_in, .. } => {
                format!("Section {} not valid for undefined group '{name}'.", used_in.trim_matches('`'))
            }
            E::Loop { parent, child, .. } if parent == child => "can't add group to itself".into(),
            E::Loop { parent, child, .. } => {
                format!("Adding group '{child}' as child to '{parent}' creates a recursive dependency loop.")
            }
            E::Priority { value, .. } => format!("invalid literal for int() with base 10: '{value}'"),
            E::Script { problem, .. } => problem.clone(),
            other => other.to_string(),
        }
    }

    /// Right names close to the wrong one.
    pub fn nearest(&self) -> &[String] {
        match self {
            InventoryError::UnknownGroup { nearest, .. }
            | InventoryError::UnknownPlugin { nearest, .. }
            | InventoryError::Missing { nearest, .. } => nearest,
            _ => &[],
        }
    }
}

impl From<YamlError> for InventoryError {
    fn from(error: YamlError) -> Self {
        InventoryError::Yaml(error)
    }
}

/// One way of reading a source that did not work.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The plugin, by Ansible's name: `yaml`, `ini`, `script`, `toml`, `auto`.
    pub plugin: &'static str,
    /// What it found wrong, never empty.
    pub errors: Vec<InventoryError>,
}

/// A source that could not be read.
#[derive(Debug, Clone)]
pub struct SourceFailure {
    /// The source as given, made absolute where it is a path.
    pub source: String,
    /// Each way that was tried, the one that fits the file best first.
    pub attempts: Vec<Attempt>,
}

impl SourceFailure {
    /// What ansible-core warns of this source: a text for each way that was tried, in the order of trying.
    pub fn ansible_warnings(&self) -> Vec<String> {
        let order = |plugin: &str| {
            ["host_list", "advanced_host_list", "script", "auto", "yaml", "ini", "toml"]
                .iter()
                .position(|known| *known == plugin)
        };
        let mut attempts: Vec<&Attempt> = self.attempts.iter().collect();
        attempts.sort_by_key(|attempt| order(attempt.plugin));
        attempts
            .into_iter()
            .filter_map(|attempt| {
                let error =
                    attempt.errors.iter().find(|error| !matches!(error, InventoryError::Missing { .. }))?;
                let text = error.ansible_text();
                let text = match attempt.plugin {
                    "ini" => format!("Failed to parse inventory: {text}"),
                    "advanced_host_list" => format!("Invalid data from string, could not parse: {text}"),
                    _ => text,
                };
                Some(format!("Failed to parse inventory with '{}' plugin: {text}", attempt.plugin))
            })
            .collect()
    }

    /// The mistakes that matter: those of the way of reading that fits the file best.
    pub fn errors(&self) -> &[InventoryError] {
        self.attempts.first().map_or(&[], |attempt| &attempt.errors)
    }
}

/// Something that works but is probably not meant. `Display` is Ansible's text where Ansible has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No source could be read.
    #[error("No inventory was parsed, only implicit localhost is available")]
    NothingParsed,
    /// A source that could not be read.
    #[error("Unable to parse {source_text} as an inventory source")]
    Unparsed {
        /// The source.
        source_text: String,
    },
    /// A pattern that matches nothing.
    #[error("Could not match supplied host pattern, ignoring: {pattern}")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// Hosts and groups that look alike.
        nearest: Vec<String>,
    },
    /// `web[0-1]`.
    #[error("Use [x:y] inclusive subscripts instead of [x-y] which has been removed")]
    OldSubscript {
        /// The pattern.
        pattern: String,
    },
    /// A name that is a group and a host.
    #[error("Found both group and host with same name: {name}")]
    GroupAndHost {
        /// The name.
        name: String,
    },
    /// A group whose name is no variable name.
    #[error("Invalid characters were found in group names but not replaced, use -vvvv to see details")]
    GroupName {
        /// The name.
        name: String,
        /// Where.
        span: Span,
    },
    /// A group whose name was changed so that it is a variable name.
    #[error(
        "Invalid characters were found in group names and automatically replaced, use -vvvv to see details"
    )]
    GroupRenamed {
        /// The name as written.
        name: String,
        /// The name as it is.
        to: String,
        /// Where.
        span: Span,
    },
    /// More than one of `localhost`, `127.0.0.1`, `::1`.
    #[error("A duplicate localhost-like entry was found ({second}). First found localhost was {first}")]
    SecondLocalhost {
        /// The one that counts as localhost.
        first: String,
        /// The other.
        second: String,
    },
    /// A group that is neither a mapping nor empty.
    #[error("Skipping '{group}' as this is not a valid group definition")]
    NotAGroup {
        /// The group.
        group: String,
        /// Where.
        span: Span,
    },
    /// A key of a group that means nothing.
    #[error(
        "Skipping unexpected key ({key}) in group ({group}), only \"vars\", \"children\" and \"hosts\" are valid"
    )]
    UnknownKey {
        /// The group.
        group: String,
        /// The key.
        key: String,
        /// Where.
        span: Span,
        /// The key that was probably meant.
        nearest: Vec<String>,
    },
    /// A key of a group with a value that is no mapping.
    #[error("Skipping key ({key}) in group ({group}) as it is not a mapping, it is {found}")]
    NotAMapping {
        /// The group.
        group: String,
        /// The key.
        key: String,
        /// What it is.
        found: String,
        /// Where.
        span: Span,
        /// The key that was probably meant.
        nearest: Vec<String>,
    },
    /// An option that a `plugin:` file sets and the plugin does not know.
    #[error("the inventory plugin `{plugin}` has no option `{key}`")]
    UnknownOption {
        /// The plugin.
        plugin: &'static str,
        /// The option.
        key: String,
        /// Where.
        span: Span,
        /// The option that was probably meant.
        nearest: Vec<String>,
    },
    /// A host range that means nothing, taken for the name of a host.
    #[error("Unable to parse address from hostname, leaving unchanged: {}", problem.ansible_text())]
    RangeAsName {
        /// The name.
        name: String,
        /// Where.
        span: Span,
        /// What is wrong with the range.
        problem: RangeError,
    },
    /// A variable whose name no template can use.
    #[error("Accepting inventory variable with invalid name '{name}'")]
    VariableName {
        /// The name.
        name: String,
        /// Where.
        span: Span,
    },
    /// Variables of a host that went to the group of the same name, as in Ansible.
    #[error("variables of host `{name}` become variables of the group with the same name")]
    HostVarsToGroup {
        /// The name.
        name: String,
        /// Where.
        span: Span,
    },
    /// Something odd in YAML.
    #[error("{0}")]
    Yaml(quorate_yaml::Warning),
    /// `group_vars` or `host_vars` is a file.
    #[error("Found {name} that is not a directory, skipping: {}", path.display())]
    NotADirectory {
        /// `group_vars` or `host_vars`.
        name: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Bytes that are no UTF-8.
    #[error("`{}` is not UTF-8; the bytes that are not were replaced", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// What an inventory script wrote to its standard error.
    #[error("{text}")]
    ScriptStderr {
        /// The script.
        path: PathBuf,
        /// What it wrote.
        text: String,
    },
    /// An answer of a script that Ansible will stop to accept.
    #[error("{problem}")]
    ScriptShape {
        /// The script.
        path: PathBuf,
        /// What is odd.
        problem: String,
    },
}

impl Warning {
    /// The place to show, if it has one.
    pub fn span(&self) -> Option<Span> {
        let span = match self {
            Warning::GroupName { span, .. }
            | Warning::GroupRenamed { span, .. }
            | Warning::NotAGroup { span, .. }
            | Warning::UnknownKey { span, .. }
            | Warning::NotAMapping { span, .. }
            | Warning::UnknownOption { span, .. }
            | Warning::RangeAsName { span, .. }
            | Warning::VariableName { span, .. }
            | Warning::HostVarsToGroup { span, .. } => *span,
            Warning::Yaml(warning) => warning.span(),
            _ => return None,
        };
        span.is_known().then_some(span)
    }

    /// Right names close to the wrong one.
    pub fn nearest(&self) -> &[String] {
        match self {
            Warning::NoMatch { nearest, .. }
            | Warning::UnknownKey { nearest, .. }
            | Warning::UnknownOption { nearest, .. }
            | Warning::NotAMapping { nearest, .. } => nearest,
            _ => &[],
        }
    }
}

/// Names close to `name`, owned.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    quorate_yaml::nearest(name, candidates).into_iter().map(str::to_owned).collect()
}
