//! Calls: functions, methods, macros, filters, tests.

use super::{Env, Frame, Out, Vm};
use crate::ast::*;
use crate::error::{Error, Kind, Result};
use crate::filters::Filter;
use crate::rt::{Loop, MacroObject, Native, V};
use crate::tests::Test;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// The arguments of a call. For filters and tests the first positional one is the input.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) pos: Vec<V>,
    pub(crate) named: Vec<(Arc<str>, V)>,
}

impl Args {
    fn undefined(&self) -> Option<&V> {
        self.pos.iter().chain(self.named.iter().map(|(_, value)| value)).find(|value| value.is_undefined())
    }

    /// Takes a named argument.
    pub(crate) fn take(&mut self, name: &str) -> Option<V> {
        let at = self.named.iter().position(|(known, _)| &**known == name)?;
        Some(self.named.remove(at).1)
    }

    /// Binds to parameters by position and name, as Python does, with its complaints.
    pub(crate) fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<V>; N]> {
        let mut bound: [Option<V>; N] = [const { None }; N];
        let given = self.pos.len();
        if given > N {
            let takes = if required == N { N.to_string() } else { format!("from {required} to {N}") };
            let plural = if takes == "1" { "" } else { "s" };
            let were = if given == 1 { "was" } else { "were" };
            return Err(Error::runtime(format!(
                "{function}() takes {takes} positional argument{plural} but {given} {were} given"
            )));
        }
        for (slot, value) in bound.iter_mut().zip(self.pos) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|known| *known == &*name) else {
                return Err(Error::runtime(format!(
                    "{function}() got an unexpected keyword argument '{name}'"
                )));
            };
            if bound[at].is_some() {
                return Err(Error::runtime(format!(
                    "{function}() got multiple values for argument '{name}'"
                )));
            }
            bound[at] = Some(value);
        }
        let missing: Vec<String> = names[..required]
            .iter()
            .zip(&bound)
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| format!("'{name}'"))
            .collect();
        if let Some((last, rest)) = missing.split_last() {
            let list = match rest.len() {
                0 => last.clone(),
                1 => format!("{} and {last}", rest[0]),
                _ => format!("{}, and {last}", rest.join(", ")),
            };
            let plural = if rest.is_empty() { "" } else { "s" };
            return Err(Error::runtime(format!(
                "{function}() missing {} required positional argument{plural}: {list}",
                missing.len()
            )));
        }
        Ok(bound)
    }
}

impl Vm<'_> {
    pub(super) fn args(&self, args: &CallArgs, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<Args> {
        let mut out = Args {
            pos: Vec::with_capacity(args.positional.len() + 1),
            named: Vec::with_capacity(args.named.len()),
        };
        for expr in &args.positional {
            out.pos.push(self.eval(expr, frame, env)?);
        }
        for (name, expr) in &args.named {
            out.named.push((Arc::clone(name), self.eval(expr, frame, env)?));
        }
        if let Some(expr) = &args.star {
            let items = self.eval(expr, frame, env)?;
            out.pos.extend(self.iterate(&items)?);
        }
        if let Some(expr) = &args.star_star {
            let entries = self.eval(expr, frame, env)?;
            for (key, value) in crate::ops::entries_of(self, &entries)? {
                match key.as_str() {
                    Some(name) => out.named.push((Arc::from(name), value)),
                    None => return Err(Error::runtime("keywords must be strings")),
                }
            }
        }
        Ok(out)
    }

    pub(super) fn call_expr(
        &self,
        callee: &Expr,
        args: &CallArgs,
        frame: &Rc<Frame>,
        env: &Rc<Env>,
        loc: Loc,
    ) -> Result<V> {
        // A method is called without making an object of it first.
        if let ExprKind::Attr(object, name) = &callee.kind {
            let object = self.eval(object, frame, env)?;
            if object.is_undefined() {
                return Ok(object);
            }
            if crate::methods::has(&object, name) {
                let args = self.args(args, frame, env)?;
                let value = self.call_method(&object, name, args)?;
                return Ok(Self::happened(value, || frame.place(loc)));
            }
            let function = self.attribute(&object, name, || frame.place(callee.loc))?;
            let args = self.args(args, frame, env)?;
            let value = self.call(&function, args, frame, env)?;
            return Ok(Self::happened(value, || frame.place(loc)));
        }
        let function = self.eval(callee, frame, env)?;
        let args = self.args(args, frame, env)?;
        let value = self.call(&function, args, frame, env)?;
        Ok(Self::happened(value, || frame.place(loc)))
    }

    fn call_method(&self, object: &V, name: &str, args: Args) -> Result<V> {
        if let Some(undefined) = args.undefined() {
            return Ok(undefined.clone());
        }
        crate::methods::call(self, object, name, args).or_else(|error| self.defer(error))
    }

    /// A mistake inside a call is for whoever uses the result; a loop without end is one at once.
    fn defer(&self, error: Error) -> Result<V> {
        if *error.kind() == Kind::Recursion {
            return Err(error);
        }
        Ok(V::Undefined(Rc::new(if self.is_tainted() { error.secret() } else { error })))
    }

    /// The same value; a mistake in it happened here, if it has no place yet.
    pub(super) fn happened(value: V, place: impl FnOnce() -> crate::error::Place) -> V {
        match value {
            V::Undefined(error) if error.place().is_none() => {
                V::Undefined(Rc::new((*error).clone().at(place)))
            }
            other => other,
        }
    }

    /// Calls a value.
    pub(crate) fn call(&self, function: &V, args: Args, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        let native = match function {
            V::Undefined(_) => return Ok(function.clone()),
            V::Native(native) => native,
            other => {
                return Err(Error::runtime(format!("'{}' object is not callable", other.type_name())));
            }
        };
        match &**native {
            Native::Macro(object) => self.call_macro(object, args).or_else(|error| self.defer(error)),
            Native::Global(global) => {
                if !global.accepts_undefined
                    && let Some(undefined) = args.undefined()
                {
                    return Ok(undefined.clone());
                }
                (global.run)(self, args, frame, env).or_else(|error| self.defer(error))
            }
            Native::Method(method) => self.call_method(&method.object, &method.name, args),
            Native::Loop(state) => self.call_loop(state, args),
            Native::Joiner(joiner) => {
                Ok(if joiner.used.replace(true) { joiner.separator.clone() } else { V::str("") })
            }
            Native::Super(name, level, holder) => {
                let mut out = Out::default();
                self.run_block(name, *level, holder, None, &mut out)?;
                Ok(out.finish())
            }
            Native::Block(name, holder) => {
                let mut out = Out::default();
                self.run_block(name, 0, holder, None, &mut out)?;
                Ok(out.finish())
            }
            Native::Nothing(_) => Err(native.nothing()),
            other => Err(Error::runtime(format!("'{}' object is not callable", other.type_name()))),
        }
    }

    fn call_loop(&self, state: &Loop, args: Args) -> Result<V> {
        let Some((definition, frame, env)) = &state.recurse else {
            return Err(Error::runtime(
                "The loop must have the 'recursive' marker to be called recursively.",
            ));
        };
        self.check_stack()?;
        let [items] = args.bind("loop", ["iterable"], 1)?;
        let items = self.iterate(&items.unwrap_or(V::Null))?;
        let mut out = Out::default();
        self.run_loop(definition, items, frame, env, state.depth + 1, &mut out)?;
        Ok(out.finish())
    }

    /// Calls a macro: parameters, defaults, `varargs`, `kwargs`, `caller`.
    pub(crate) fn call_macro(&self, object: &MacroObject, args: Args) -> Result<V> {
        self.check_stack()?;
        let definition = &object.definition;
        let env = Env::inside(&object.env);
        let count = definition.params.len();
        let Args { mut pos, mut named } = args;
        let extra = if pos.len() > count { pos.split_off(count) } else { Vec::new() };
        let caller = if definition.params.iter().any(|param| &**param == "caller") {
            None
        } else {
            let at = named.iter().position(|(name, _)| &**name == "caller");
            at.map(|at| named.remove(at).1)
        };
        let given = pos.len();
        let required = count - definition.defaults.len();
        for (param, value) in definition.params.iter().zip(pos) {
            env.set(param, value);
        }
        for (index, param) in definition.params.iter().enumerate().skip(given) {
            if let Some(at) = named.iter().position(|(name, _)| name == param) {
                env.set(param, named.remove(at).1);
            } else if index >= required {
                let default = &definition.defaults[index - required];
                let value = self.eval(default, &object.frame, &env)?;
                env.set(param, value);
            } else {
                let error = Error::undefined(format!("parameter '{param}' was not provided"));
                env.set(param, V::Undefined(Rc::new(error)));
            }
        }
        let name = &definition.name;
        if definition.uses_kwargs {
            let entries = named.into_iter().map(|(name, value)| (quorate_value::Key::Str(name), value));
            env.set(&Arc::from("kwargs"), V::Dict(Rc::new(crate::rt::Map::own(entries.collect()))));
        } else if let Some((unknown, _)) = named.first() {
            return Err(Error::runtime(format!("macro '{name}' takes no keyword argument '{unknown}'")));
        }
        if definition.uses_varargs {
            env.set(&Arc::from("varargs"), V::tuple(extra));
        } else if !extra.is_empty() {
            return Err(Error::runtime(format!("macro '{name}' takes not more than {count} argument(s)")));
        }
        if definition.uses_caller {
            let none = || V::Undefined(Rc::new(Error::undefined("No caller defined")));
            env.set(&Arc::from("caller"), caller.unwrap_or_else(none));
        } else if caller.is_some() {
            return Err(Error::runtime(format!(
                "macro '{name}' was invoked with two values for the special caller argument. This is most likely a bug."
            )));
        }
        let mut out = Out::default();
        self.exec(&definition.body, &object.frame, &env, &mut out)?;
        Ok(out.finish())
    }

    /// Runs a filter: undefined input passes through it, and so does an undefined element it met.
    pub(crate) fn run_filter(&self, filter: &'static Filter, args: Args) -> Result<V> {
        if !filter.accepts_undefined
            && let Some(undefined) = args.undefined()
        {
            return Ok(undefined.clone());
        }
        self.check_stack()?;
        match self.tripping(!filter.accepts_undefined, || (filter.run)(self, args)) {
            Ok(value) => Ok(value),
            Err(error) if *error.kind() == Kind::Runtime && error.place().is_none() => {
                self.defer(error.with_kind(Kind::Filter(Arc::from(full_name(filter.name)))))
            }
            Err(error) => self.defer(error),
        }
    }

    /// Runs a test.
    pub(crate) fn run_test(&self, test: &'static Test, args: Args) -> Result<V> {
        if !test.accepts_undefined
            && let Some(undefined) = args.undefined()
        {
            return Ok(undefined.clone());
        }
        match (test.run)(self, args) {
            Ok(found) => Ok(V::Bool(found)),
            Err(error) if error.is_undefined() => Ok(V::Undefined(Rc::new(error))),
            Err(error) if *error.kind() == Kind::Runtime && error.place().is_none() => {
                Err(error.with_kind(Kind::Test(Arc::from(full_name(test.name)))))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn new_loop(
        &self,
        items: Vec<V>,
        depth: usize,
        recurse: Option<(Arc<For>, Rc<Frame>, Rc<Env>)>,
    ) -> Rc<Loop> {
        Rc::new(Loop { items, index: Cell::new(0), depth, last_changed: RefCell::new(None), recurse })
    }
}

fn full_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("ansible.builtin.{name}") }
}
