//! What the caller hands in: variables ([`Scope`], [`Object`]) and the world outside ([`World`]).
//!
//! **Invariant:** nothing here or elsewhere in this crate opens a file, reads the environment or starts a process.

use crate::error::{Error, Kind, Result};
use crate::lexer::Style;
use quorate_value::{Dict, Key, Str, Value};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// What a variable is bound to.
#[derive(Clone)]
pub enum Var {
    /// Trusted templates inside are rendered when somebody looks, in the scope that gave this.
    Lazy(Value),
    /// The same, but in a scope of its own: another host's variables.
    LazyIn(Value, Rc<dyn Scope>),
    /// A finished value: nothing inside is rendered.
    Final(Value),
    /// Something computed as it is used.
    Object(Rc<dyn Object>),
}

impl<T: Into<Value>> From<T> for Var {
    fn from(value: T) -> Self {
        Var::Lazy(value.into())
    }
}

/// Where names without a meaning of their own are found.
pub trait Scope {
    /// The variable of this name. Cheap: values are shared, not copied.
    fn get(&self, name: &str) -> Option<Var>;

    /// All names, for `varnames` and for guessing what a mistyped name meant.
    fn names(&self) -> Vec<Arc<str>>;
}

impl Scope for Dict {
    fn get(&self, name: &str) -> Option<Var> {
        Dict::get(self, name).cloned().map(Var::Lazy)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.keys().filter_map(|key| key.as_str().map(Arc::from)).collect()
    }
}

/// A few names (`item`, `ansible_loop`, task `vars`) over a scope.
pub struct Layered<'a> {
    /// Looked at first.
    pub over: &'a Dict,
    /// Looked at next.
    pub under: &'a dyn Scope,
}

impl Scope for Layered<'_> {
    fn get(&self, name: &str) -> Option<Var> {
        Dict::get(self.over, name).cloned().map(Var::Lazy).or_else(|| self.under.get(name))
    }

    fn names(&self) -> Vec<Arc<str>> {
        let mut names = Scope::names(self.over);
        names.extend(self.under.names());
        names
    }
}

/// A mapping that is computed as it is used: `hostvars`, `vars`, `groups`.
pub trait Object {
    /// What Python would call its type: `HostVars`.
    fn type_name(&self) -> &'static str;

    /// The value at a key; nothing where there is none.
    fn get(&self, key: &Key) -> Result<Option<Var>>;

    /// All keys, in order.
    fn keys(&self) -> Vec<Key>;

    /// Whether a key is there.
    fn contains(&self, key: &Key) -> bool {
        self.keys().contains(key)
    }

    /// What to say where a key is missing.
    fn missing(&self, key: &Key) -> Error {
        Error::undefined(format!(
            "object of type '{}' has no attribute {}",
            self.type_name(),
            quorate_value::repr(&key.to_value())
        ))
    }
}

/// The text of a template file.
#[derive(Debug, Clone)]
pub struct Source {
    /// What to call it in messages, and what relative names inside are relative to: its path.
    pub name: Arc<str>,
    /// The text, with its marks.
    pub text: Str,
}

/// A call of a lookup. Terms and options are finished values.
#[derive(Debug, Clone)]
pub struct LookupCall {
    /// The name as it is written.
    pub name: Arc<str>,
    /// The positional arguments.
    pub terms: Vec<Value>,
    /// The named arguments, without `wantlist` and `errors`.
    pub options: Dict,
}

/// What a lookup sees of the template that calls it.
pub trait Caller {
    /// A variable, rendered; nothing where it does not exist.
    fn variable(&self, name: &str) -> Result<Option<Value>>;

    /// All variables' names.
    fn names(&self) -> Vec<Arc<str>>;

    /// A value with the templates inside rendered, in the variables of the caller.
    fn render(&self, value: &Value) -> Result<Value>;

    /// What a template file comes to, with some variables put over the caller's: text, or a native value where the
    /// template is nothing but one expression.
    fn render_file(&self, source: &Source, style: &Style, over: &Dict) -> Result<Value>;
}

/// What to tell the user beside the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Ansible prints it after `[WARNING]: `.
    Warning(String),
    /// Ansible prints it after `[DEPRECATION WARNING]: `.
    Deprecation(String),
}

/// The world outside of a template. Everything has a default that refuses clearly.
pub trait World {
    /// A lookup that reads files, commands or configuration. Nothing where there is no such lookup.
    ///
    /// Text it returns is data; mark it [`Str::secret`] where it is a secret.
    fn lookup(&self, call: &LookupCall, caller: &dyn Caller) -> Option<Result<Vec<Value>>> {
        let _ = (call, caller);
        None
    }

    /// An environment variable of the controller.
    fn env(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// The template that `include`, `import` and `extends` name, searched as for the template `from`.
    fn template(&self, name: &str, from: Option<&str>) -> Result<Option<Source>> {
        let _ = (name, from);
        Ok(None)
    }

    /// The plain text of vaulted text.
    fn decrypt(&self, vaulted: &str) -> Result<Str> {
        let _ = vaulted;
        Err(Error::new(Kind::Undecryptable, "Attempting to decrypt but no vault secrets found."))
    }

    /// A text vaulted with a password, for the `vault` filter.
    fn encrypt(&self, request: &Encrypt<'_>) -> Result<String> {
        let _ = request;
        Err(Error::new(Kind::Vault, "vaulting is not available here"))
    }

    /// The plain text of text vaulted with a password, for the `unvault` filter.
    fn decrypt_with(&self, vaulted: &str, password: &str, vault_id: Option<&str>) -> Result<Str> {
        let _ = (vaulted, password, vault_id);
        Err(Error::new(Kind::Vault, "unvaulting is not available here"))
    }

    /// Microseconds since 1970 began in UTC.
    fn now_micros(&self) -> i128 {
        i128::from(jiff::Timestamp::now().as_microsecond())
    }

    /// The name of the controller's time zone and its seconds east of UTC, at a moment.
    fn local_zone(&self, unix_seconds: i64) -> (String, i32) {
        let Ok(moment) = jiff::Timestamp::from_second(unix_seconds) else {
            return ("UTC".to_owned(), 0);
        };
        let zone = jiff::tz::TimeZone::system();
        let info = zone.to_offset_info(moment);
        (info.abbreviation().to_owned(), info.offset().seconds())
    }

    /// The controller's files, for the tests and filters that ask about them.
    fn files(&self) -> Option<&dyn Files> {
        None
    }

    /// Something to tell the user.
    fn notice(&self, notice: Notice) {
        drop(notice);
    }
}

/// What the `vault` filter wants.
#[derive(Clone, Copy)]
pub struct Encrypt<'a> {
    /// The plain text.
    pub plain: &'a str,
    /// The password.
    pub password: &'a str,
    /// The salt; a random one where absent.
    pub salt: Option<&'a str>,
    /// The vault id in the header.
    pub vault_id: Option<&'a str>,
}

/// Questions about the controller's files.
pub trait Files {
    /// Follows symbolic links.
    fn exists(&self, path: &Path) -> bool;
    /// Follows symbolic links.
    fn is_file(&self, path: &Path) -> bool;
    /// Follows symbolic links.
    fn is_dir(&self, path: &Path) -> bool;
    /// Whether the path itself is a symbolic link.
    fn is_link(&self, path: &Path) -> bool;
    /// Whether something is mounted there.
    fn is_mount(&self, path: &Path) -> bool;
    /// Whether both are one file; nothing where one of them does not exist.
    fn same_file(&self, a: &Path, b: &Path) -> Option<bool>;
    /// Whether a file begins with these bytes; nothing where it cannot be read.
    fn begins_with(&self, path: &Path, bytes: &[u8]) -> Option<bool>;
    /// The path without symbolic links; missing parts stay as they are.
    fn real_path(&self, path: &Path) -> PathBuf;
    /// The current directory.
    fn current_dir(&self) -> PathBuf;
    /// The home directory of a user, of the current one where no name is given.
    fn home(&self, user: Option<&str>) -> Option<PathBuf>;
    /// The files that a shell pattern names.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
}

/// A world with nothing in it.
pub struct Nowhere;

impl World for Nowhere {}

/// What a rendering gets handed.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The variables.
    pub scope: &'a dyn Scope,
    /// Everything else.
    pub world: &'a dyn World,
}

impl<'a> Context<'a> {
    /// Variables, and nothing else.
    pub fn new(scope: &'a dyn Scope) -> Self {
        Context { scope, world: &Nowhere }
    }

    /// The same variables, with the world.
    pub fn with_world(self, world: &'a dyn World) -> Self {
        Context { world, ..self }
    }
}
