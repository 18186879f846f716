//! The evaluator: one [`Vm`] a rendering, one [`Frame`] a template in it, one [`Env`] a scope of `{% set %}`.
//!
//! Names are found in the environment, then among the caller's variables (rendered when looked up), then among
//! the globals. **Invariant:** what came out of a template is never rendered again.

mod call;
mod convert;
mod expr;
mod stmt;

pub(crate) use call::Args;
pub(crate) use convert::{MAX_ITEMS, MAX_TEXT, Out, fits};
pub(crate) use expr::{EMBEDDED, missing};

use crate::ast::{BlockDef, Loc};
use crate::engine::{Engine, Template};
use crate::error::{Error, Kind, Place, Result, Via};
use crate::globals;
use crate::host::{Context, Layered, Notice, Scope, Source, Var};
use crate::lexer::Style;
use crate::rt::{List, Map, Native, Realm, V};
use quorate_value::{Dict, Span, Str, Value};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// How much stack one rendering may use; threads have twice this at least.
const STACK: usize = 1 << 20;
/// How many templates may be rendered inside each other.
const MAX_NESTING: usize = 100;

thread_local! {
    /// Where the outermost rendering on this thread began.
    static STACK_BASE: Cell<usize> = const { Cell::new(0) };
}

/// One rendering.
pub(crate) struct Vm<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) ctx: Context<'a>,
    /// Whether a secret was read since somebody last asked.
    secret: Cell<bool>,
    /// Whether something was read that may be different next time.
    impure: Cell<bool>,
    /// Whether looking at an undefined element is a mistake already: inside most filters it is.
    trips: Cell<bool>,
    /// The templates that are being rendered, to find the ones that need themselves.
    active: RefCell<Vec<(usize, usize)>>,
    /// Variables that were templates and came out as pure scalars.
    rendered: RefCell<HashMap<Arc<str>, V>>,
    floor: usize,
    outermost: bool,
    /// Scopes and frames that hold themselves, through a macro or a block; emptied at the end.
    circles: RefCell<Vec<Circle>>,
}

enum Circle {
    Env(Rc<Env>),
    Blocks(Rc<RefCell<Blocks>>),
}

/// A template that is being rendered.
pub(crate) struct Frame {
    pub(crate) template: Arc<Template>,
    pub(crate) realm: Realm,
    resolved: RefCell<Vec<(Arc<str>, V)>>,
    pub(crate) blocks: Rc<RefCell<Blocks>>,
    /// Where blocks and macros find the top level's variables.
    pub(crate) top: Rc<Env>,
    /// Where the template is written.
    pub(crate) origin: Span,
}

/// For every block its definitions, the most derived first, each with the template it is in.
pub(crate) type Blocks = BTreeMap<Arc<str>, Vec<(Arc<BlockDef>, Rc<Frame>)>>;

/// A scope of assignments inside a template.
#[derive(Default)]
pub(crate) struct Env {
    vars: RefCell<Vec<(Arc<str>, V)>>,
    parent: Option<Rc<Env>>,
}

impl Env {
    pub(crate) fn inside(parent: &Rc<Env>) -> Rc<Env> {
        Rc::new(Env { vars: RefCell::default(), parent: Some(Rc::clone(parent)) })
    }

    pub(crate) fn set(&self, name: &Arc<str>, value: V) {
        let mut vars = self.vars.borrow_mut();
        match vars.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => *slot = value,
            None => vars.push((Arc::clone(name), value)),
        }
    }

    pub(crate) fn own(&self, name: &str) -> Option<V> {
        self.vars.borrow().iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn get(&self, name: &str) -> Option<V> {
        let mut env = self;
        loop {
            if let Some(found) = env.own(name) {
                return Some(found);
            }
            env = env.parent.as_deref()?;
        }
    }

    /// Forgets all assignments, if nobody else holds this scope.
    fn reuse(self: &Rc<Self>) -> bool {
        let alone = Rc::strong_count(self) == 1;
        if alone {
            self.vars.borrow_mut().clear();
        }
        alone
    }

    /// All that is set here and around, for a template that is included.
    fn flatten(&self, into: &Env) {
        if let Some(parent) = &self.parent {
            parent.flatten(into);
        }
        for (name, value) in &*self.vars.borrow() {
            into.set(name, value.clone());
        }
    }
}

impl Frame {
    pub(crate) fn new(template: &Arc<Template>, realm: Realm, top: Rc<Env>, origin: Span) -> Rc<Frame> {
        Rc::new(Frame {
            template: Arc::clone(template),
            realm,
            resolved: RefCell::default(),
            blocks: Rc::default(),
            top,
            origin,
        })
    }

    pub(crate) fn place(&self, loc: Loc) -> Place {
        Place { origin: self.origin, ..self.template.place(loc) }
    }
}

impl Drop for Vm<'_> {
    fn drop(&mut self) {
        if self.outermost {
            STACK_BASE.set(0);
        }
        for circle in self.circles.take() {
            match circle {
                Circle::Env(env) => drop(env.vars.take()),
                Circle::Blocks(blocks) => drop(blocks.take()),
            }
        }
    }
}

fn stack_position() -> usize {
    let marker = 0u8;
    std::ptr::from_ref(&marker) as usize
}

impl<'a> Vm<'a> {
    pub(crate) fn new(engine: &'a Engine, ctx: Context<'a>) -> Self {
        let here = stack_position();
        let known = STACK_BASE.get();
        let outermost = known == 0;
        if outermost {
            STACK_BASE.set(here);
        }
        let base = if outermost { here } else { known };
        Vm {
            engine,
            ctx,
            secret: Cell::new(false),
            impure: Cell::new(false),
            trips: Cell::new(false),
            active: RefCell::default(),
            rendered: RefCell::default(),
            floor: base.saturating_sub(STACK),
            outermost,
            circles: RefCell::default(),
        }
    }

    pub(crate) fn env_holds_itself(&self, env: &Rc<Env>) {
        self.circles.borrow_mut().push(Circle::Env(Rc::clone(env)));
    }

    pub(crate) fn frame_holds_itself(&self, frame: &Frame) {
        self.circles.borrow_mut().push(Circle::Blocks(Rc::clone(&frame.blocks)));
    }

    /// Refuses to recurse where the stack may not suffice.
    pub(crate) fn check_stack(&self) -> Result<()> {
        if stack_position() < self.floor {
            return Err(Error::new(Kind::Recursion, "maximum recursion depth exceeded"));
        }
        Ok(())
    }

    pub(crate) fn saw_secret(&self) {
        self.secret.set(true);
    }

    pub(crate) fn saw_impure(&self) {
        self.impure.set(true);
    }

    /// Runs `work` with undefined elements being a mistake, or not.
    pub(crate) fn tripping<T>(&self, trips: bool, work: impl FnOnce() -> T) -> T {
        let before = self.trips.replace(trips);
        let result = work();
        self.trips.set(before);
        result
    }

    /// An element that somebody looks at.
    pub(crate) fn element(&self, value: V) -> Result<V> {
        match &value {
            V::Undefined(error) if self.trips.get() => Err((**error).clone()),
            _ => Ok(value),
        }
    }

    pub(crate) fn is_tainted(&self) -> bool {
        self.secret.get()
    }

    /// Runs `work`, and says whether it read a secret.
    pub(crate) fn watching<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, bool)> {
        let before = self.secret.replace(false);
        let result = work();
        let saw = self.secret.get();
        self.secret.set(before || saw);
        match result {
            Ok(value) => Ok((value, saw)),
            Err(error) => Err(if saw { error.secret() } else { error }),
        }
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.ctx.world.notice(notice);
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.notice(Notice::Warning(message.into()));
    }

    pub(crate) fn deprecated(&self, message: impl Into<String>) {
        self.notice(Notice::Deprecation(message.into()));
    }

    /// A shared value as the template sees it; a template among strings is rendered now.
    pub(crate) fn adopt(&self, value: &Value, realm: &Realm) -> Result<V> {
        Ok(match value {
            Value::Str(text) => {
                if text.is_secret() {
                    self.saw_secret();
                }
                if matches!(realm, Realm::Done) || !text.is_template() {
                    V::Str(text.clone())
                } else {
                    return self.render_lazily(text, realm);
                }
            }
            Value::List(items) => V::List(Rc::new(List::shared(Arc::clone(items), realm.clone()))),
            Value::Dict(entries) => V::Dict(Rc::new(Map::shared(Arc::clone(entries), realm.clone()))),
            Value::Vault(vaulted) => {
                let plain = self.ctx.world.decrypt(vaulted)?.secret().vaulted().at(vaulted.span());
                let plain = if vaulted.is_trusted() { plain.trusted() } else { plain.untrusted() };
                return self.adopt(&Value::Str(plain), realm);
            }
            other => V::done(other),
        })
    }

    /// What a trusted template comes to; a mistake in it is for whoever uses the value.
    fn render_lazily(&self, text: &Str, realm: &Realm) -> Result<V> {
        match self.render_nested(text, realm) {
            Ok(value) => Ok(value),
            Err(error) => Ok(V::Undefined(Rc::new(error))),
        }
    }

    pub(crate) fn render_nested(&self, text: &Str, realm: &Realm) -> Result<V> {
        self.check_stack()?;
        let template = self.engine.compile_text(text)?;
        let scope = match realm {
            Realm::Foreign(scope) => Rc::as_ptr(scope).cast::<u8>() as usize,
            Realm::Root | Realm::Done | Realm::Nothing => 0,
        };
        let id = (text.as_str().as_ptr() as usize, scope);
        {
            let active = self.active.borrow();
            if active.contains(&id) || active.len() >= MAX_NESTING {
                return Err(Error::new(Kind::Recursion, "maximum recursion depth exceeded")
                    .at(|| template.place(Loc::default())));
            }
        }
        self.active.borrow_mut().push(id);
        let result = self
            .tripping(false, || self.watching(|| self.run_template(&template, realm.clone(), text.span())));
        self.active.borrow_mut().pop();
        let (value, secret) = result?;
        let value = self.settle(value, &template, secret)?;
        Ok(value)
    }

    /// Runs a template from the start and gives its native result.
    pub(crate) fn run_template(&self, template: &Arc<Template>, realm: Realm, origin: Span) -> Result<V> {
        let top = Rc::new(Env::default());
        let frame = Frame::new(template, realm, Rc::clone(&top), origin);
        let mut out = Out::default();
        self.run_body(&frame, &top, &mut out)?;
        Ok(out.finish())
    }

    /// The last touches of a template's result: trailing newlines as written, secrets marked.
    pub(crate) fn settle(&self, value: V, template: &Template, secret: bool) -> Result<V> {
        let value = match value {
            V::Str(text) if template.trailing_newlines() > text.len() - text.trim_end_matches('\n').len() => {
                let have = text.len() - text.trim_end_matches('\n').len();
                let missing = template.trailing_newlines() - have;
                V::Str(Str::from(format!("{}{}", text.as_str(), "\n".repeat(missing))))
            }
            other => other,
        };
        Ok(match value {
            V::Str(text) if secret => V::Str(text.secret().untrusted()),
            // A literal that looks like a template is text from here on.
            V::Str(text) if text.is_template() => V::Str(text.untrusted()),
            V::List(_) | V::Dict(_) | V::Tuple(_) if secret => {
                V::done(&self.finalize(&value)?.map_text(&|text| text.clone().secret()))
            }
            other => other,
        })
    }

    /// A name: what the template set, the caller's variable, or a global.
    pub(crate) fn name(&self, name: &Arc<str>, frame: &Rc<Frame>, env: &Env, loc: Loc) -> Result<V> {
        if let Some(found) = env.get(name) {
            return Ok(found);
        }
        if let Some((_, found)) = frame.resolved.borrow().iter().find(|(known, _)| known == name) {
            return Ok(found.clone());
        }
        if let Some(found) = self.variable(name, &frame.realm)? {
            frame.resolved.borrow_mut().push((Arc::clone(name), found.clone()));
            return Ok(found);
        }
        if let Some(found) = globals::find(name) {
            return Ok(found);
        }
        if &**name == "self" {
            return Ok(V::native(Native::Blocks(Rc::clone(frame))));
        }
        Ok(V::Undefined(Rc::new(Error::unknown_variable(name).at(|| frame.place(loc)))))
    }

    /// A variable of the caller's, rendered.
    pub(crate) fn variable(&self, name: &str, realm: &Realm) -> Result<Option<V>> {
        let bound = match realm {
            Realm::Foreign(scope) => scope.get(name),
            Realm::Root | Realm::Done => self.ctx.scope.get(name),
            Realm::Nothing => None,
        };
        let (value, realm) = match bound {
            None => return Ok(None),
            Some(Var::Object(object)) => return Ok(Some(V::Object(object))),
            Some(Var::Lazy(value)) => {
                (value, if matches!(realm, Realm::Done) { Realm::Root } else { realm.clone() })
            }
            Some(Var::LazyIn(value, scope)) => (value, Realm::Foreign(scope)),
            Some(Var::Final(value)) => (value, Realm::Done),
        };
        let Value::Str(text) = &value else {
            return self.adopt(&value, &realm).map(Some);
        };
        if !text.is_template() || matches!(realm, Realm::Done) {
            return self.adopt(&value, &realm).map(Some);
        }
        let own = matches!(realm, Realm::Root);
        if own && let Some(found) = self.rendered.borrow().get(name) {
            if matches!(found, V::Str(text) if text.is_secret()) {
                self.saw_secret();
            }
            return Ok(Some(found.clone()));
        }
        let impure = self.impure.replace(false);
        let result = self.render_nested(text, &realm);
        let pure = !self.impure.replace(impure || self.impure.get());
        let via = || Via { variable: Some(Arc::from(name)), defined: text.span() };
        match result {
            Ok(V::Undefined(error)) => Ok(Some(V::Undefined(Rc::new((*error).clone().through(via()))))),
            Ok(found) => {
                if own && pure && matches!(found, V::Str(_) | V::Int(_) | V::Bool(_) | V::Float(_) | V::Null)
                {
                    self.rendered.borrow_mut().insert(Arc::from(name), found.clone());
                }
                Ok(Some(found))
            }
            Err(error) => Ok(Some(V::Undefined(Rc::new(error.through(via()))))),
        }
    }

    /// What the caller's mapping or scope gave.
    pub(crate) fn bound(&self, var: Var, realm: &Realm) -> Result<V> {
        match var {
            Var::Object(object) => Ok(V::Object(object)),
            Var::Lazy(value) => self.adopt(&value, realm),
            Var::LazyIn(value, scope) => self.adopt(&value, &Realm::Foreign(scope)),
            Var::Final(value) => self.adopt(&value, &Realm::Done),
        }
    }

    /// What a template file comes to, with a few variables put over the caller's.
    pub(crate) fn render_file(&self, source: &Source, style: &Style, over: &Dict) -> Result<Value> {
        if !source.text.is_trusted() {
            return Err(Error::new(Kind::Untrusted, "Encountered untrusted template or expression."));
        }
        let scope = Layered { over, under: self.ctx.scope };
        let vm = Vm::new(self.engine, Context { scope: &scope, world: self.ctx.world });
        let value = self.engine.value_of(&vm, source, style)?;
        if value.holds_secret() {
            self.saw_secret();
        }
        Ok(value)
    }

    /// All variables' names in a realm.
    pub(crate) fn names(&self, realm: &Realm) -> Vec<Arc<str>> {
        match realm {
            Realm::Foreign(scope) => Scope::names(&**scope),
            Realm::Root | Realm::Done => self.ctx.scope.names(),
            Realm::Nothing => Vec::new(),
        }
    }
}
