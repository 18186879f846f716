//! Values to YAML as `yaml.dump(…, Dumper=AnsibleDumper, allow_unicode=True)` writes them.
//!
//! In: a [`Value`] and an [`EmitStyle`]. Out: the bytes that ansible-core's `to_yaml` and `to_nice_yaml` give.
//! Checked in `tests/it/emit.rs` against tables that they made.
//!
//! What is shared in memory is written out each time; anchors are never made. Vaulted values stay ciphertext under
//! `!vault`.

use crate::libyaml::{Emitter, Layout, Output, ScalarStyle};
use crate::node::tag;
use crate::scalar::{self, Kind};
use quorate_value::{Dict, Key, Value, compare, float_repr};
use std::cmp::Ordering;

/// How YAML is laid out; the names are those of `yaml.dump`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmitStyle {
    /// Spaces a level; libyaml takes 2 to 9 and makes 2 of everything else.
    pub indent: Option<i32>,
    /// The column at which long text is folded, 80 where absent; negative for never.
    pub width: Option<i32>,
    /// Keys in order; left as they are where they cannot be compared.
    pub sort_keys: bool,
    /// `[a, b]` always, never, or (absent) only for collections that hold nothing but plain scalars.
    pub default_flow_style: Option<bool>,
    /// Quotes for every scalar.
    pub default_style: Option<ScalarStyle>,
    /// A `---` line first.
    pub explicit_start: bool,
    /// A `...` line last.
    pub explicit_end: bool,
    /// Everything outside ASCII as it is; as escapes otherwise.
    pub allow_unicode: bool,
    /// Text of several lines as `|` blocks.
    pub literal_blocks: bool,
    /// Tags, quotes and one entry a line.
    pub canonical: bool,
}

impl Default for EmitStyle {
    /// Ansible's `to_yaml`.
    fn default() -> Self {
        EmitStyle {
            indent: None,
            width: None,
            sort_keys: true,
            default_flow_style: None,
            default_style: None,
            explicit_start: false,
            explicit_end: false,
            allow_unicode: true,
            literal_blocks: false,
            canonical: false,
        }
    }
}

impl EmitStyle {
    /// Ansible's `to_nice_yaml`.
    pub fn nice() -> Self {
        EmitStyle { indent: Some(4), default_flow_style: Some(false), ..EmitStyle::default() }
    }
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// `omit` means that nothing is there, which YAML cannot say.
    #[error("`omit` cannot be written as YAML")]
    Omit,
    /// The value nests deeper than anything could read again.
    #[error("more than {MAX_LEVELS} levels of nesting")]
    TooDeep,
    /// libyaml's own refusal.
    #[error("YAML cannot be written: {0}")]
    Refused(String),
}

/// PyYAML runs into Python's recursion limit long before this.
const MAX_LEVELS: usize = 1000;

/// The value as one YAML document.
pub fn to_yaml(value: &Value, style: &EmitStyle) -> Result<String, EmitError> {
    let layout = Layout {
        indent: style.indent.unwrap_or(0),
        width: style.width.unwrap_or(0),
        unicode: style.allow_unicode,
        explicit_start: style.explicit_start,
        explicit_end: style.explicit_end,
        canonical: style.canonical,
    };
    let astral = (style.allow_unicode && any_text(value, &|text| text.chars().any(is_astral)))
        .then(|| Astral::for_value(value));
    let mut writer = Writer { emitter: Emitter::new(layout).map_err(EmitError::Refused)?, style, astral };
    writer.value(value, 0)?;
    let text = writer.emitter.finish().map_err(EmitError::Refused)?;
    Ok(match writer.astral {
        Some(astral) => astral.restore(&text),
        None => text,
    })
}

struct Writer<'s> {
    emitter: Emitter,
    style: &'s EmitStyle,
    astral: Option<Astral>,
}

fn is_astral(c: char) -> bool {
    c as u32 > 0xffff
}

fn any_text(value: &Value, test: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Str(text) | Value::Vault(text) => test(text),
        Value::List(items) => items.iter().any(|item| any_text(item, test)),
        Value::Dict(entries) => {
            entries.iter().any(|(key, value)| key.as_str().is_some_and(test) || any_text(value, test))
        }
        _ => false,
    }
}

/// Characters beyond U+FFFF. The libyaml of PyYAML's releases escapes them as `\U0001F600`, newer ones write them as
/// they are. So each one travels as two characters that every libyaml escapes, in as many columns, and is put back.
struct Astral {
    stand_in: [char; 2],
    escaped: String,
    /// What stands behind the stand-ins, in the order of writing.
    hidden: Vec<char>,
}

impl Astral {
    /// Picks a stand-in that no text of the value could be taken for.
    fn for_value(value: &Value) -> Self {
        let pick = |c1: u32| {
            let stand_in = ['\u{fffe}', char::from_u32(c1).expect("control characters are characters")];
            Astral { stand_in, escaped: format!("\\uFFFE\\x{c1:02X}"), hidden: Vec::new() }
        };
        let free = (0x90..=0x9f).map(pick).find(|astral| {
            let raw: String = astral.stand_in.iter().collect();
            !any_text(value, &|text| text.contains(&raw) || text.contains(&astral.escaped))
        });
        free.unwrap_or_else(|| pick(0x80))
    }

    fn hide(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 1);
        for c in text.chars() {
            if is_astral(c) {
                out.extend(self.stand_in);
                self.hidden.push(c);
            } else {
                out.push(c);
            }
        }
        out
    }

    fn restore(&self, text: &str) -> String {
        let mut parts = text.split(&self.escaped);
        let mut out = parts.next().unwrap_or("").to_owned();
        for (part, c) in parts.zip(&self.hidden) {
            out += &format!("\\U{:08X}", *c as u32);
            out += part;
        }
        out
    }
}

impl Writer<'_> {
    fn put(&mut self, output: &Output<'_>) -> Result<(), EmitError> {
        self.emitter.write(output).map_err(EmitError::Refused)
    }

    fn value(&mut self, value: &Value, level: usize) -> Result<(), EmitError> {
        if level > MAX_LEVELS {
            return Err(EmitError::TooDeep);
        }
        match value {
            Value::Null => self.scalar(Kind::Null, "null"),
            Value::Bool(flag) => self.scalar(Kind::Bool, if *flag { "true" } else { "false" }),
            Value::Int(number) => self.scalar(Kind::Int, &number.to_string()),
            Value::Big(number) => self.scalar(Kind::Int, &number.to_string()),
            Value::Float(number) => self.scalar(Kind::Float, &float_text(*number)),
            Value::Str(text) => self.scalar(Kind::Str, text),
            Value::Vault(text) => self.put(&Output::Scalar {
                tag: tag::VAULT,
                text,
                plain: false,
                quoted: false,
                style: Some(ScalarStyle::Literal),
            }),
            Value::Omit => Err(EmitError::Omit),
            Value::List(items) => {
                let flow = self.flow(items.iter());
                self.put(&Output::SequenceStart { flow })?;
                for item in items.iter() {
                    self.value(item, level + 1)?;
                }
                self.put(&Output::SequenceEnd)
            }
            Value::Dict(entries) => {
                let flow = self.flow(entries.values());
                self.put(&Output::MappingStart { flow })?;
                for (key, value) in self.ordered(entries) {
                    self.value(&key.to_value(), level + 1)?;
                    self.value(value, level + 1)?;
                }
                self.put(&Output::MappingEnd)
            }
        }
    }

    /// Without a default, a collection flows when it holds nothing but scalars in no special style. Keys are scalars
    /// always, so they have no say.
    fn flow<'v>(&self, mut children: impl Iterator<Item = &'v Value>) -> bool {
        self.style.default_flow_style.unwrap_or_else(|| {
            let styled = self.style.default_style.is_some_and(|style| style != ScalarStyle::Plain);
            children
                .all(|child| !styled && !matches!(child, Value::List(_) | Value::Dict(_) | Value::Vault(_)))
        })
    }

    fn ordered<'v>(&self, entries: &'v Dict) -> Vec<(&'v Key, &'v Value)> {
        let mut pairs: Vec<_> = entries.iter().collect();
        if self.style.sort_keys {
            // Python sorts only where every comparison works; keys of one kind always compare.
            let kind = |key: &Key| match key {
                Key::Str(_) => 0,
                Key::Null => 2,
                Key::Int(_) | Key::Bool(_) | Key::Float(_) => 1,
            };
            if pairs.windows(2).all(|pair| kind(pair[0].0) == kind(pair[1].0)) {
                pairs.sort_by(|(a, _), (b, _)| match (a, b) {
                    (Key::Str(a), Key::Str(b)) => a.cmp(b),
                    (a, b) => compare(&a.to_value(), &b.to_value()).unwrap_or(Ordering::Equal),
                });
            }
        }
        pairs
    }

    fn scalar(&mut self, kind: Kind, text: &str) -> Result<(), EmitError> {
        let tag = match kind {
            Kind::Null => "tag:yaml.org,2002:null",
            Kind::Bool => "tag:yaml.org,2002:bool",
            Kind::Int => "tag:yaml.org,2002:int",
            Kind::Float => "tag:yaml.org,2002:float",
            _ => "tag:yaml.org,2002:str",
        };
        // Without quotes the text must resolve to the same kind again; in quotes it is always text.
        let plain = scalar::resolve(text) == kind;
        let quoted = kind == Kind::Str;
        let hidden = self.astral.as_mut().map(|astral| astral.hide(text));
        let text = hidden.as_deref().unwrap_or(text);
        let literal = self.style.literal_blocks && text.contains('\n');
        let style = if literal { Some(ScalarStyle::Literal) } else { self.style.default_style };
        self.put(&Output::Scalar { tag, text, plain, quoted, style })
    }
}

/// Python's `repr`, with the point that YAML 1.1 wants in front of an exponent.
fn float_text(number: f64) -> String {
    let text = float_repr(number);
    match text.as_str() {
        "nan" => ".nan".to_owned(),
        "inf" => ".inf".to_owned(),
        "-inf" => "-.inf".to_owned(),
        _ if !text.contains('.') => text.replacen('e', ".0e", 1),
        _ => text,
    }
}
