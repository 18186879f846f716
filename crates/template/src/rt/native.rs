//! Python's and Jinja2's other objects: functions, methods, macros, loops, namespaces, dates.

use super::V;
use crate::ast::Macro;
use crate::dates::{DateTime, TimeDelta};
use crate::error::Error;
use crate::eval::{Env, Frame};
use crate::globals::Global;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// An object that is no plain data.
pub(crate) enum Native {
    /// `range`, `lookup`, `now`, ...
    Global(&'static Global),
    Method(Method),
    Macro(MacroObject),
    Loop(Rc<Loop>),
    Namespace(Namespace),
    Module(Module),
    Cycler(Cycler),
    Joiner(Joiner),
    /// `super()`: the block of this name, that many levels up.
    Super(Arc<str>, usize, Rc<Frame>),
    /// `self`, whose attributes are the template's blocks.
    Blocks(Rc<Frame>),
    /// One block of `self`.
    Block(Arc<str>, Rc<Frame>),
    Date(DateTime),
    Delta(TimeDelta),
    Bytes(Rc<[u8]>),
    /// What `groupby` gives: a pair with names.
    Group(V, V),
    /// The result of an `if` without `else` that was false: prints as nothing, and is no value.
    /// It carries its line.
    Nothing(u32),
}

/// A method and the object it belongs to.
pub(crate) struct Method {
    pub(crate) object: V,
    pub(crate) name: Arc<str>,
}

/// A macro where it was defined.
pub(crate) struct MacroObject {
    pub(crate) definition: Arc<Macro>,
    pub(crate) frame: Rc<Frame>,
    pub(crate) env: Rc<Env>,
}

/// The `loop` of a `for`.
pub(crate) struct Loop {
    pub(crate) items: Vec<V>,
    pub(crate) index: Cell<usize>,
    pub(crate) depth: usize,
    pub(crate) last_changed: RefCell<Option<Vec<V>>>,
    /// For `loop(...)` in a recursive loop.
    pub(crate) recurse: Option<(Arc<crate::ast::For>, Rc<Frame>, Rc<Env>)>,
}

/// `namespace()`: attributes that inner scopes may set.
pub(crate) struct Namespace(pub(crate) RefCell<Vec<(Arc<str>, V)>>);

impl Drop for Namespace {
    fn drop(&mut self) {
        super::bury(self.0.get_mut().drain(..).map(|(_, value)| value));
    }
}

/// An imported template.
pub(crate) struct Module {
    pub(crate) name: Arc<str>,
    pub(crate) env: Rc<Env>,
    pub(crate) body: V,
}

/// `cycler()`
pub(crate) struct Cycler {
    pub(crate) items: Vec<V>,
    pub(crate) at: Cell<usize>,
}

/// `joiner()`
pub(crate) struct Joiner {
    pub(crate) separator: V,
    pub(crate) used: Cell<bool>,
}

impl Native {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Native::Global(global) => global.type_name,
            Native::Method(_) => "builtin_function_or_method",
            Native::Macro(_) => "Macro",
            Native::Loop(_) => "LoopContext",
            Native::Namespace(_) => "Namespace",
            Native::Module(_) => "TemplateModule",
            Native::Cycler(_) => "Cycler",
            Native::Joiner(_) => "Joiner",
            Native::Super(..) | Native::Block(..) => "BlockReference",
            Native::Blocks(_) => "TemplateReference",
            Native::Date(_) => "datetime",
            Native::Delta(_) => "timedelta",
            Native::Bytes(_) => "bytes",
            Native::Group(..) => "GroupTuple",
            Native::Nothing(_) => "Undefined",
        }
    }

    /// What to say where somebody uses [`Native::Nothing`].
    pub(crate) fn nothing(&self) -> Error {
        let line = match self {
            Native::Nothing(line) => *line,
            _ => 0,
        };
        Error::runtime(format!(
            "the inline if-expression on line {line} evaluated to false and no else section was defined."
        ))
    }
}
