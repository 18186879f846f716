//! What a module accepts: its parameters as constant data.
//!
//! These tables validate arguments (`args`), and are the reference page of each module.
//!
//! **Invariant:** constant: a table that is wrong does not compile or fails `tests` in `modules`.

/// The type of a parameter, in Ansible's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Str,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A boolean.
    Bool,
    /// A list; text is split at commas.
    List,
    /// A mapping; text is read as JSON or `k=v`.
    Dict,
    /// A path on the host; `~` and `$VAR` are expanded there.
    Path,
    /// Anything.
    Raw,
    /// JSON text; structures are written as JSON.
    Json,
    /// As [`Kind::Json`], Ansible's `jsonarg`.
    JsonArg,
    /// A size such as `10M`, in bytes.
    Bytes,
    /// A size such as `10Mb`, in bits.
    Bits,
}

impl Kind {
    /// Ansible's name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Str => "str",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::List => "list",
            Kind::Dict => "dict",
            Kind::Path => "path",
            Kind::Raw => "raw",
            Kind::Json => "json",
            Kind::JsonArg => "jsonarg",
            Kind::Bytes => "bytes",
            Kind::Bits => "bits",
        }
    }
}

/// A constant value: a default, or what a `required_if` compares with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lit {
    /// `None`.
    None,
    /// Text.
    Str(&'static str),
    /// A number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A list of text.
    List(&'static [&'static str]),
    /// An empty mapping.
    EmptyDict,
}

/// One parameter. Built with the `const` methods below.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Other names that draw a deprecation, each with the version that drops it and the collection.
    pub deprecated_aliases: &'static [(&'static str, &'static str, &'static str)],
    /// The values allowed; any if empty.
    pub choices: &'static [&'static str],
    /// Used when absent.
    pub default: Lit,
    /// Never shown. `Some(false)` says that the name only sounds secret.
    pub no_log: Option<bool>,
    /// The type of a list's items.
    pub elements: Option<Kind>,
    /// The parameters of a mapping, or of each mapping in a list.
    pub options: &'static [Param],
    /// Rules between those.
    pub option_rules: Rules,
    /// Whether an absent mapping is filled with the defaults of its options.
    pub apply_defaults: bool,
    /// Environment variables that stand in when absent.
    pub env: &'static [&'static str],
    /// The version that drops it, and the collection.
    pub removed_in: Option<(&'static str, &'static str)>,
    /// Set by the controller, not by people: no message and no result names it.
    pub hidden: bool,
    /// One or two sentences for the reference page.
    pub doc: &'static str,
}

impl Param {
    /// An optional parameter.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Param {
            name,
            kind,
            required: false,
            aliases: &[],
            deprecated_aliases: &[],
            choices: &[],
            default: Lit::None,
            no_log: None,
            elements: None,
            options: &[],
            option_rules: Rules::NONE,
            apply_defaults: false,
            env: &[],
            removed_in: None,
            hidden: false,
            doc: "",
        }
    }
    /// A [`Kind::Str`].
    pub const fn str(name: &'static str) -> Self {
        Param::new(name, Kind::Str)
    }
    /// A [`Kind::Int`].
    pub const fn int(name: &'static str) -> Self {
        Param::new(name, Kind::Int)
    }
    /// A [`Kind::Bool`].
    pub const fn bool(name: &'static str) -> Self {
        Param::new(name, Kind::Bool)
    }
    /// A [`Kind::Path`].
    pub const fn path(name: &'static str) -> Self {
        Param::new(name, Kind::Path)
    }
    /// A [`Kind::Raw`].
    pub const fn raw(name: &'static str) -> Self {
        Param::new(name, Kind::Raw)
    }
    /// A list with typed items.
    pub const fn list(name: &'static str, elements: Kind) -> Self {
        let mut it = Param::new(name, Kind::List);
        it.elements = Some(elements);
        it
    }
    /// Must be given.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// Other names.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    /// Other names that draw a deprecation: (name, version, collection).
    pub const fn deprecated_aliases(
        mut self,
        aliases: &'static [(&'static str, &'static str, &'static str)],
    ) -> Self {
        self.deprecated_aliases = aliases;
        self
    }
    /// The values allowed.
    pub const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }
    /// The default.
    pub const fn default(mut self, default: Lit) -> Self {
        self.default = default;
        self
    }
    /// The default, text.
    pub const fn default_str(self, text: &'static str) -> Self {
        self.default(Lit::Str(text))
    }
    /// The default, a number.
    pub const fn default_int(self, number: i64) -> Self {
        self.default(Lit::Int(number))
    }
    /// The default, a boolean.
    pub const fn default_bool(self, flag: bool) -> Self {
        self.default(Lit::Bool(flag))
    }
    /// Never shown.
    pub const fn no_log(mut self) -> Self {
        self.no_log = Some(true);
        self
    }
    /// Set by the controller, not by people.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
    /// Sounds secret, but is not.
    pub const fn no_log_false(mut self) -> Self {
        self.no_log = Some(false);
        self
    }
    /// The type of a list's items.
    pub const fn elements(mut self, kind: Kind) -> Self {
        self.elements = Some(kind);
        self
    }
    /// The parameters of a mapping, or of each mapping in a list.
    pub const fn options(mut self, options: &'static [Param]) -> Self {
        self.options = options;
        self
    }
    /// Rules between the options.
    pub const fn option_rules(mut self, rules: Rules) -> Self {
        self.option_rules = rules;
        self
    }
    /// An absent mapping is filled with the defaults of its options.
    pub const fn apply_defaults(mut self) -> Self {
        self.apply_defaults = true;
        self
    }
    /// Environment variables that stand in when absent.
    pub const fn env(mut self, names: &'static [&'static str]) -> Self {
        self.env = names;
        self
    }
    /// The version that drops it, and the collection.
    pub const fn removed_in(mut self, version: &'static str, collection: &'static str) -> Self {
        self.removed_in = Some((version, collection));
        self
    }
    /// One or two sentences for the reference page.
    pub const fn doc(mut self, doc: &'static str) -> Self {
        if cfg!(feature = "docs") {
            self.doc = doc;
        }
        self
    }
}

/// `required_if`: when `param` has `value`, all (or any) of `needs` must be given.
#[derive(Debug, Clone, Copy)]
pub struct RequiredIf {
    /// The parameter looked at.
    pub param: &'static str,
    /// Its value.
    pub value: Lit,
    /// What is needed then.
    pub needs: &'static [&'static str],
    /// Whether one of them is enough.
    pub any: bool,
}

impl RequiredIf {
    /// All of `needs` when `param` is the text `value`.
    pub const fn str(param: &'static str, value: &'static str, needs: &'static [&'static str]) -> Self {
        RequiredIf { param, value: Lit::Str(value), needs, any: false }
    }
    /// All of `needs` when `param` is this boolean.
    pub const fn bool(param: &'static str, value: bool, needs: &'static [&'static str]) -> Self {
        RequiredIf { param, value: Lit::Bool(value), needs, any: false }
    }
    /// One of `needs` is enough.
    pub const fn any(mut self) -> Self {
        self.any = true;
        self
    }
}

/// Rules between parameters.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// At most one of each group.
    pub mutually_exclusive: &'static [&'static [&'static str]],
    /// At least one of each group.
    pub required_one_of: &'static [&'static [&'static str]],
    /// All or none of each group.
    pub required_together: &'static [&'static [&'static str]],
    /// Conditional requirements.
    pub required_if: &'static [RequiredIf],
    /// When the first is given, so must be the others.
    pub required_by: &'static [(&'static str, &'static [&'static str])],
}

impl Rules {
    /// No rules.
    pub const NONE: Rules = Rules {
        mutually_exclusive: &[],
        required_one_of: &[],
        required_together: &[],
        required_if: &[],
        required_by: &[],
    };
}

/// What `--check` is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It foretells exactly what a run would do.
    Full,
    /// It foretells some of it.
    Partial,
    /// The module is skipped.
    None,
}

/// Who can see what the module does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only this host: files, users, packages. Other hosts need not wait.
    Host,
    /// Anybody: services, commands, networks. Steps of other hosts keep their order.
    World,
}

/// A module's face: name, parameters, rules, documentation.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its short name.
    pub name: &'static str,
    /// Other short names.
    pub aliases: &'static [&'static str],
    /// The collection it belongs to.
    pub collection: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// Rules between them.
    pub rules: Rules,
    /// Whether it takes `mode`, `owner`, `group` and the like ([`FILE_PARAMS`]).
    pub files: bool,
    /// What check mode is worth.
    pub check: Check,
    /// Whether it reports diffs.
    pub diff: bool,
    /// Who can see what it does.
    pub reach: Reach,
    /// Whether it takes text that is not `k=v` (as `_raw_params`).
    pub free_form: bool,
    /// Whether parameters outside the table are accepted.
    pub any_params: bool,
}

impl Spec {
    /// A module of `ansible.builtin` with full check mode that only this host sees.
    pub const fn new(name: &'static str, summary: &'static str) -> Self {
        Spec {
            name,
            aliases: &[],
            collection: "ansible.builtin",
            summary,
            params: &[],
            rules: Rules::NONE,
            files: false,
            check: Check::Full,
            diff: false,
            reach: Reach::Host,
            free_form: false,
            any_params: false,
        }
    }
    /// Other short names.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    /// The collection it belongs to.
    pub const fn collection(mut self, collection: &'static str) -> Self {
        self.collection = collection;
        self
    }
    /// Its parameters.
    pub const fn params(mut self, params: &'static [Param]) -> Self {
        self.params = params;
        self
    }
    /// All rules at once.
    pub const fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
    /// At most one of each group.
    pub const fn mutually_exclusive(mut self, groups: &'static [&'static [&'static str]]) -> Self {
        self.rules.mutually_exclusive = groups;
        self
    }
    /// At least one of each group.
    pub const fn required_one_of(mut self, groups: &'static [&'static [&'static str]]) -> Self {
        self.rules.required_one_of = groups;
        self
    }
    /// All or none of each group.
    pub const fn required_together(mut self, groups: &'static [&'static [&'static str]]) -> Self {
        self.rules.required_together = groups;
        self
    }
    /// Conditional requirements.
    pub const fn required_if(mut self, rules: &'static [RequiredIf]) -> Self {
        self.rules.required_if = rules;
        self
    }
    /// When the first is given, so must be the others.
    pub const fn required_by(mut self, rules: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.rules.required_by = rules;
        self
    }
    /// Takes `mode`, `owner`, `group` and the like.
    pub const fn files(mut self) -> Self {
        self.files = true;
        self
    }
    /// What check mode is worth.
    pub const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }
    /// Reports diffs.
    pub const fn diff(mut self) -> Self {
        self.diff = true;
        self
    }
    /// What it does can be seen from elsewhere.
    pub const fn world(mut self) -> Self {
        self.reach = Reach::World;
        self
    }
    /// Takes text that is not `k=v`.
    pub const fn free_form(mut self) -> Self {
        self.free_form = true;
        self
    }
    /// Accepts parameters outside the table.
    pub const fn any_params(mut self) -> Self {
        self.any_params = true;
        self
    }

    /// All parameters, those of files included.
    pub fn all_params(&self) -> impl Iterator<Item = &'static Param> {
        let files = if self.files { FILE_PARAMS } else { &[] };
        let own = self.params;
        own.iter().chain(files.iter().filter(move |p| own.iter().all(|own| own.name != p.name)))
    }
}

/// What every module that makes files accepts.
pub const FILE_PARAMS: &[Param] = &[
    Param::raw("mode").doc(
        "Permission bits: octal as text (`'0644'`), or symbolic (`u=rw,g=r,o=r`). Left alone when absent on what exists.",
    ),
    Param::str("owner").doc("User that should own it, by name or number."),
    Param::str("group").doc("Group that should own it, by name or number."),
    Param::str("seuser").doc("User part of the SELinux context; `_default` takes the policy's."),
    Param::str("serole").doc("Role part of the SELinux context; `_default` takes the policy's."),
    Param::str("selevel").doc("Level part of the SELinux context; `_default` takes the policy's."),
    Param::str("setype").doc("Type part of the SELinux context; `_default` takes the policy's."),
    Param::str("attributes")
        .aliases(&["attr"])
        .doc("File system attributes as `chattr` writes them, optionally with `+`, `-` or `=` in front."),
    Param::bool("unsafe_writes")
        .default_bool(false)
        .doc("Write in place where the file system cannot replace a file atomically (bind-mounted files)."),
];
