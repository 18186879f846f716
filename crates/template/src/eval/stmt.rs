//! Statements: output, control flow, assignment, macros, blocks and inheritance.

use super::{Env, Frame, Out, Vm};
use crate::ast::*;
use crate::engine::Template;
use crate::error::{Error, Result};
use crate::rt::{MacroObject, Module, Native, Realm, V};
use quorate_value::{Span, str_repr};
use std::rc::Rc;
use std::sync::Arc;

/// How a body ended.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flow {
    Normal,
    Break,
    Continue,
}

/// What `{% extends %}` found, for the end of the template.
#[derive(Default)]
struct Parent(Option<Arc<Template>>);

impl Vm<'_> {
    /// Runs a whole template, its parents included.
    pub(crate) fn run_body(&self, frame: &Rc<Frame>, env: &Rc<Env>, out: &mut Out) -> Result<()> {
        let mut frame = Rc::clone(frame);
        if !frame.template.tree().blocks.is_empty() {
            self.frame_holds_itself(&frame);
        }
        for depth in 0.. {
            if depth > 50 {
                return Err(Error::runtime("too many levels of template inheritance"));
            }
            let template = Arc::clone(&frame.template);
            let tree = template.tree();
            for (name, block) in &tree.blocks {
                let entry = (Arc::clone(block), Rc::clone(&frame));
                frame.blocks.borrow_mut().entry(Arc::clone(name)).or_default().push(entry);
            }
            let mut parent = Parent::default();
            if tree.extends {
                for stmt in &tree.body {
                    self.top_statement(stmt, &frame, env, out, &mut parent)?;
                }
            } else {
                self.exec(&tree.body, &frame, env, out)?;
            }
            out.muted = false;
            let Some(template) = parent.0 else { return Ok(()) };
            frame = Rc::new(Frame {
                template,
                realm: frame.realm.clone(),
                resolved: std::cell::RefCell::default(),
                blocks: Rc::clone(&frame.blocks),
                top: Rc::clone(&frame.top),
                origin: Span::default(),
            });
        }
        Ok(())
    }

    /// A statement that may be `extends`, in an `if` perhaps.
    fn top_statement(
        &self,
        stmt: &Stmt,
        frame: &Rc<Frame>,
        env: &Rc<Env>,
        out: &mut Out,
        parent: &mut Parent,
    ) -> Result<()> {
        match stmt {
            Stmt::Extends(expr) => {
                if parent.0.is_some() {
                    return Err(Error::runtime("extended multiple times"));
                }
                let name = self.eval(expr, frame, env)?;
                let template = self.load_any(&name, frame)?;
                parent.0 = Some(template);
                out.muted = true;
                Ok(())
            }
            Stmt::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.truth(&self.eval(test, frame, env)?)? {
                        return body.iter().try_for_each(|s| self.top_statement(s, frame, env, out, parent));
                    }
                }
                otherwise.iter().try_for_each(|s| self.top_statement(s, frame, env, out, parent))
            }
            other => self.exec(std::slice::from_ref(other), frame, env, out).map(drop),
        }
    }

    /// Runs statements.
    pub(crate) fn exec(
        &self,
        body: &[Stmt],
        frame: &Rc<Frame>,
        env: &Rc<Env>,
        out: &mut Out,
    ) -> Result<Flow> {
        for stmt in body {
            match stmt {
                Stmt::Text(text) => {
                    if !out.muted {
                        out.literal(self, text)?;
                    }
                }
                Stmt::Print(expr) => {
                    if !out.muted {
                        let value = self.eval(expr, frame, env)?;
                        out.value(self, value).map_err(|error| error.at(|| frame.place(expr.loc)))?;
                    }
                }
                Stmt::If(branches, otherwise) => {
                    let mut chosen = otherwise;
                    for (test, body) in branches {
                        let holds = self.eval(test, frame, env)?;
                        if self.truth(&holds).map_err(|error| error.at(|| frame.place(test.loc)))? {
                            chosen = body;
                            break;
                        }
                    }
                    let flow = self.exec(chosen, frame, env, out)?;
                    if flow != Flow::Normal {
                        return Ok(flow);
                    }
                }
                Stmt::For(definition) => {
                    let items = self.eval(&definition.iter, frame, env)?;
                    let at = definition.iter.loc;
                    let items = self.iterate(&items).map_err(|error| error.at(|| frame.place(at)))?;
                    self.run_loop(definition, items, frame, env, 1, out)?;
                }
                Stmt::Set(target, expr) => {
                    let value = self.eval(expr, frame, env)?;
                    self.assign(target, value, frame, env)?;
                }
                Stmt::Do(expr) => {
                    self.eval(expr, frame, env)?;
                }
                Stmt::Break => return Ok(Flow::Break),
                Stmt::Continue => return Ok(Flow::Continue),
                other => self.rare(other, frame, env, out)?,
            }
        }
        Ok(Flow::Normal)
    }

    fn rare(&self, stmt: &Stmt, frame: &Rc<Frame>, env: &Rc<Env>, out: &mut Out) -> Result<()> {
        self.check_stack()?;
        match stmt {
            Stmt::Macro(definition) => {
                self.env_holds_itself(env);
                env.set(&definition.name, self.make_macro(definition, frame, env));
            }
            Stmt::CallBlock(call, definition) => {
                let caller = self.make_macro(definition, frame, env);
                let ExprKind::Call(callee, args) = &call.kind else {
                    return Err(Error::runtime("expected call"));
                };
                let function = self.eval(callee, frame, env)?;
                let mut args = self.args(args, frame, env)?;
                args.named.push((Arc::from("caller"), caller));
                let value = self
                    .call(&function, args, frame, env)
                    .map_err(|error| error.at(|| frame.place(call.loc)))?;
                if !out.muted {
                    out.value(self, value)?;
                }
            }
            Stmt::SetBlock(target, chain, body) => {
                let value = self.captured(chain, body, frame, env)?;
                self.assign(target, value, frame, env)?;
            }
            Stmt::FilterBlock(chain, body) => {
                let value = self.captured(chain, body, frame, env)?;
                if !out.muted {
                    out.value(self, value)?;
                }
            }
            Stmt::With(assignments, body) => {
                let inner = Env::inside(env);
                for (target, expr) in assignments {
                    let value = self.eval(expr, frame, env)?;
                    self.assign(target, value, frame, &inner)?;
                }
                self.exec(body, frame, &inner, out)?;
            }
            Stmt::Block(name, scoped) if !out.muted => {
                self.run_block(name, 0, frame, scoped.then_some(env), out)?;
            }
            Stmt::Extends(expr) => {
                return Err(Error::runtime("extends is allowed at the top of a template only")
                    .at(|| frame.place(expr.loc)));
            }
            Stmt::Include(include, loc) if !out.muted => {
                self.include(include, frame, env, out).map_err(|error| error.at(|| frame.place(*loc)))?;
            }
            Stmt::Import(import, loc) => {
                self.import(import, frame, env).map_err(|error| error.at(|| frame.place(*loc)))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What a body puts out, through filters.
    fn captured(&self, chain: &[FilterCall], body: &[Stmt], frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        let mut inner = Out::default();
        let scope = Env::inside(env);
        self.exec(body, frame, &scope, &mut inner)?;
        let mut value = match inner.finish() {
            V::Null => V::str(""),
            other => other,
        };
        for call in chain {
            value = self.filter_expr(value, call, frame, env)?;
        }
        Ok(value)
    }

    fn make_macro(&self, definition: &Arc<Macro>, frame: &Rc<Frame>, env: &Rc<Env>) -> V {
        V::native(Native::Macro(MacroObject {
            definition: Arc::clone(definition),
            frame: Rc::clone(frame),
            env: Rc::clone(env),
        }))
    }

    pub(super) fn run_loop(
        &self,
        definition: &Arc<For>,
        items: Vec<V>,
        frame: &Rc<Frame>,
        env: &Rc<Env>,
        depth: usize,
        out: &mut Out,
    ) -> Result<()> {
        let items = match &definition.filter {
            None => items,
            Some(filter) => {
                let mut kept = Vec::new();
                for item in items {
                    let scope = Env::inside(env);
                    self.assign(&definition.target, item.clone(), frame, &scope)?;
                    let holds = self.eval(filter, frame, &scope)?;
                    if self.truth(&holds).map_err(|error| error.at(|| frame.place(filter.loc)))? {
                        kept.push(item);
                    }
                }
                kept
            }
        };
        if items.is_empty() {
            let scope = Env::inside(env);
            self.exec(&definition.otherwise, frame, &scope, out)?;
            return Ok(());
        }
        let mut scope = Env::inside(env);
        if !definition.uses_loop {
            for item in items {
                if !scope.reuse() {
                    scope = Env::inside(env);
                }
                self.assign(&definition.target, item, frame, &scope)?;
                if self.exec(&definition.body, frame, &scope, out)? == Flow::Break {
                    break;
                }
            }
            return Ok(());
        }
        let recurse =
            definition.recursive.then(|| (Arc::clone(definition), Rc::clone(frame), Rc::clone(env)));
        let state = self.new_loop(items, depth, recurse);
        let looping = V::Native(Rc::new(Native::Loop(Rc::clone(&state))));
        let name: Arc<str> = Arc::from("loop");
        for (index, item) in state.items.iter().enumerate() {
            if !scope.reuse() {
                scope = Env::inside(env);
            }
            state.index.set(index);
            scope.set(&name, looping.clone());
            self.assign(&definition.target, item.clone(), frame, &scope)?;
            if self.exec(&definition.body, frame, &scope, out)? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn assign(&self, target: &Target, value: V, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<()> {
        match target {
            Target::Name(name) => env.set(name, value),
            Target::Attr(name, attribute, loc) => {
                let object = self.name(name, frame, env, *loc)?;
                match &object {
                    V::Native(native) => match &**native {
                        Native::Namespace(space) => {
                            let mut space = space.0.borrow_mut();
                            match space.iter_mut().find(|(known, _)| known == attribute) {
                                Some((_, slot)) => *slot = value,
                                None => space.push((Arc::clone(attribute), value)),
                            }
                        }
                        _ => return Err(not_a_namespace().at(|| frame.place(*loc))),
                    },
                    _ => return Err(not_a_namespace().at(|| frame.place(*loc))),
                }
            }
            Target::Tuple(targets, loc) => {
                let items = self.iterate(&value).map_err(|error| {
                    let error = if error.is_undefined() {
                        error
                    } else {
                        Error::runtime(format!("cannot unpack non-iterable {} object", value.type_name()))
                    };
                    error.at(|| frame.place(*loc))
                })?;
                let wanted = targets.len();
                if items.len() != wanted {
                    let message = if items.len() > wanted {
                        format!("too many values to unpack (expected {wanted})")
                    } else {
                        format!("not enough values to unpack (expected {wanted}, got {})", items.len())
                    };
                    return Err(Error::runtime(message).at(|| frame.place(*loc)));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item, frame, env)?;
                }
            }
        }
        Ok(())
    }

    /// Runs the `level`th definition of a block.
    pub(crate) fn run_block(
        &self,
        name: &Arc<str>,
        level: usize,
        frame: &Rc<Frame>,
        scope: Option<&Rc<Env>>,
        out: &mut Out,
    ) -> Result<()> {
        self.check_stack()?;
        let (block, holder, more) = {
            let blocks = frame.blocks.borrow();
            let Some(stack) = blocks.get(name) else {
                return Err(Error::undefined(format!("there is no block called {}.", str_repr(name))));
            };
            let Some((block, holder)) = stack.get(level) else {
                return Err(Error::undefined(format!("there is no parent block called {}.", str_repr(name))));
            };
            (Arc::clone(block), Rc::clone(holder), level + 1)
        };
        if block.required {
            return Err(Error::runtime(format!("Required block {} not found", str_repr(name))));
        }
        let env = Env::inside(scope.unwrap_or(&holder.top));
        let parent = V::native(Native::Super(Arc::clone(name), more, Rc::clone(&holder)));
        env.set(&Arc::from("super"), parent);
        env.set(&Arc::from("self"), V::native(Native::Blocks(Rc::clone(&holder))));
        self.exec(&block.body, &holder, &env, out)?;
        Ok(())
    }

    /// The first template of a name, or of a list of names, that exists.
    fn load_any(&self, name: &V, frame: &Frame) -> Result<Arc<Template>> {
        let names = match name {
            V::Str(name) => vec![V::Str(name.clone())],
            V::Undefined(error) => return Err((**error).clone()),
            V::List(_) | V::Tuple(_) => self.iterate(name)?,
            other => {
                return Err(Error::runtime(format!(
                    "no loader for this environment specified: a template is named by text, not by '{}'",
                    other.type_name()
                )));
            }
        };
        let mut tried = Vec::new();
        for name in &names {
            let name = self.to_text(name)?;
            if let Some(source) = self.ctx.world.template(&name, frame.template.name())? {
                return self.engine.compile_source(&source, frame.template.style());
            }
            tried.push(name.to_string());
        }
        Err(Error::runtime(match tried.as_slice() {
            [only] if !matches!(name, V::List(_) | V::Tuple(_)) => {
                format!("{} not found in search path", str_repr(only))
            }
            _ => format!("none of the templates given were found: {}", tried.join(", ")),
        }))
    }

    fn include(&self, include: &Include, frame: &Rc<Frame>, env: &Rc<Env>, out: &mut Out) -> Result<()> {
        self.check_stack()?;
        let name = self.eval(&include.template, frame, env)?;
        let template = match self.load_any(&name, frame) {
            Ok(template) => template,
            Err(error) if include.ignore_missing && is_not_found(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let top = if include.with_context {
            let top = Env::default();
            env.flatten(&top);
            Rc::new(top)
        } else {
            Rc::new(Env::default())
        };
        let realm = if include.with_context { frame.realm.clone() } else { Realm::Nothing };
        let inner = Frame::new(&template, realm, Rc::clone(&top), Span::default());
        self.run_body(&inner, &top, out)
    }

    fn import(&self, import: &Import, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<()> {
        self.check_stack()?;
        let name = self.eval(&import.template, frame, env)?;
        let template = self.load_any(&name, frame)?;
        let top = Rc::new(Env::default());
        let outer = if import.with_context {
            env.flatten(&top);
            Env::inside(&top)
        } else {
            Rc::clone(&top)
        };
        let realm = if import.with_context { frame.realm.clone() } else { Realm::Nothing };
        let inner = Frame::new(&template, realm, Rc::clone(&outer), Span::default());
        let mut out = Out::default();
        self.run_body(&inner, &outer, &mut out)?;
        match &import.names {
            ImportNames::Module(alias) => {
                let name = Arc::from(template.name().unwrap_or("<template>"));
                let module = Module { name, env: outer, body: out.finish() };
                env.set(alias, V::native(Native::Module(module)));
            }
            ImportNames::Names(names) => {
                for (name, alias) in names {
                    let found = outer.own(name).unwrap_or_else(|| {
                        V::Undefined(Rc::new(Error::undefined(format!(
                            "the template {} does not export the requested name {}",
                            str_repr(template.name().unwrap_or("<template>")),
                            str_repr(name)
                        ))))
                    });
                    env.set(alias, found);
                }
            }
        }
        Ok(())
    }
}

/// Whether this is the error of [`Vm::load_any`].
fn is_not_found(error: &Error) -> bool {
    let detail = error.detail();
    detail.ends_with("not found in search path")
        || detail.starts_with("none of the templates given were found")
}

fn not_a_namespace() -> Error {
    Error::runtime("cannot assign attribute on non-namespace object")
}
