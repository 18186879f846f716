//! Expressions.

use super::{Env, Frame, Vm};
use crate::ast::*;
use crate::error::{Error, Kind, Result};
use crate::ops;
use crate::rt::{Native, V};
use indexmap::IndexMap;
use quorate_value::{Str, Value, str_repr};
use std::rc::Rc;
use std::sync::Arc;

impl Vm<'_> {
    /// What an expression comes to. Undefined things come as values; whoever uses them raises them.
    pub(crate) fn eval(&self, expr: &Expr, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        match &expr.kind {
            ExprKind::Const(value) => self.constant(value, frame),
            ExprKind::Name(name) => {
                self.name(name, frame, env, expr.loc).map_err(|error| error.at(|| frame.place(expr.loc)))
            }
            _ => {
                self.check_stack()?;
                self.compound(expr, frame, env).map_err(|error| error.at(|| frame.place(expr.loc)))
            }
        }
    }

    fn constant(&self, value: &Value, frame: &Frame) -> Result<V> {
        if let Value::Str(text) = value
            && frame.template.renders_literals()
            && text.is_template()
        {
            self.warn(EMBEDDED);
            return self.render_nested(text, &frame.realm);
        }
        // what a template makes is data; a template inside a literal is for whoever is handed it
        if let Value::Str(text) = value
            && !text.is_template()
        {
            return Ok(V::Str(text.clone().untrusted()));
        }
        Ok(V::done(value))
    }

    fn eval_all(&self, exprs: &[Expr], frame: &Rc<Frame>, env: &Rc<Env>) -> Result<Vec<V>> {
        let mut out = Vec::with_capacity(exprs.len());
        for expr in exprs {
            out.push(self.eval(expr, frame, env)?);
        }
        Ok(out)
    }

    fn compound(&self, expr: &Expr, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        Ok(match &expr.kind {
            ExprKind::Const(value) => self.constant(value, frame)?,
            ExprKind::Name(name) => self.name(name, frame, env, expr.loc)?,
            ExprKind::List(items) => V::list(self.eval_all(items, frame, env)?),
            ExprKind::Tuple(items) => V::tuple(self.eval_all(items, frame, env)?),
            ExprKind::Dict(entries) => self.dict(entries, frame, env)?,
            ExprKind::Unary(op, inner) => {
                let inner = self.eval(inner, frame, env)?;
                match op {
                    Unary::Not => V::Bool(!self.truth(&inner)?),
                    Unary::Neg => ops::negative(&inner)?,
                    Unary::Pos => ops::positive(&inner)?,
                }
            }
            ExprKind::Binary(op, left, right) => {
                let left = self.eval(left, frame, env)?;
                let right = self.eval(right, frame, env)?;
                ops::binary(self, *op, &left, &right)?
            }
            ExprKind::And(left, right) => {
                let left = self.eval(left, frame, env)?;
                if self.truth(&left)? { self.eval(right, frame, env)? } else { left }
            }
            ExprKind::Or(left, right) => {
                let left = self.eval(left, frame, env)?;
                if self.truth(&left)? { left } else { self.eval(right, frame, env)? }
            }
            ExprKind::Compare(first, rest) => self.compare(first, rest, frame, env)?,
            ExprKind::Concat(parts) => {
                let mut out = String::new();
                for part in parts {
                    let part = self.eval(part, frame, env)?;
                    self.write_str(&mut out, &part)?;
                    super::fits(out.len(), super::MAX_TEXT)?;
                }
                V::text(out)
            }
            ExprKind::Cond(both, otherwise) => {
                if self.truth(&self.eval(&both[0], frame, env)?)? {
                    self.eval(&both[1], frame, env)?
                } else if let Some(otherwise) = otherwise {
                    self.eval(otherwise, frame, env)?
                } else {
                    V::native(Native::Nothing(frame.place(expr.loc).position().0))
                }
            }
            ExprKind::Attr(object, name) => {
                let object = self.eval(object, frame, env)?;
                self.attribute(&object, name, || frame.place(expr.loc))?
            }
            ExprKind::Item(of, at) => {
                let object = self.eval(of, frame, env)?;
                let index = self.eval(at, frame, env)?;
                // Jinja2 folds what is constant, in words of its own.
                if let (ExprKind::Const(_), V::Null | V::Int(_), V::Int(number)) = (&of.kind, &object, &index)
                {
                    let kind = if matches!(object, V::Null) { "None" } else { "int object" };
                    let error = Error::undefined(format!("{kind} has no element {number}"));
                    return Ok(V::Undefined(Rc::new(error.at(|| frame.place(expr.loc)))));
                }
                self.item(&object, &index, || frame.place(expr.loc))?
            }
            ExprKind::Slice(object, parts) => {
                let object = self.eval(object, frame, env)?;
                let mut bounds = [None, None, None];
                for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                    if let Some(part) = part {
                        *bound = Some(self.eval(part, frame, env)?);
                    }
                }
                if object.is_undefined() {
                    return Ok(object);
                }
                ops::slice(self, &object, &bounds)?
            }
            ExprKind::Call(callee, args) => self.call_expr(callee, args, frame, env, expr.loc)?,
            ExprKind::Filter(input, call) => {
                let input = match self.sealed(input, call, env) {
                    Some(sealed) => sealed,
                    None => self.eval(input, frame, env)?,
                };
                self.filter_expr(input, call, frame, env)?
            }
            ExprKind::Test(input, call) => {
                let input = self.eval(input, frame, env)?;
                self.test_expr(input, call, frame, env)?
            }
        })
    }

    /// A variable that holds a vault, for `unvault`: it opens what no secret at hand can.
    fn sealed(&self, input: &Expr, call: &FilterCall, env: &Env) -> Option<V> {
        let ExprKind::Name(name) = &input.kind else { return None };
        if !matches!(&*call.name, "unvault" | "ansible.builtin.unvault") || env.get(name).is_some() {
            return None;
        }
        match self.ctx.scope.get(name) {
            Some(crate::host::Var::Lazy(value @ Value::Vault(_))) => {
                Some(V::Lazy(Rc::new((value, crate::rt::Realm::Done))))
            }
            _ => None,
        }
    }

    fn dict(&self, entries: &[(Expr, Expr)], frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        let mut out = IndexMap::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.eval(key, frame, env)?;
            let key = self.key(&key)?;
            out.insert(key, self.eval(value, frame, env)?);
        }
        Ok(V::Dict(Rc::new(crate::rt::Map::own(out))))
    }

    fn compare(&self, first: &Expr, rest: &[(Compare, Expr)], frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        let mut left = self.eval(first, frame, env)?;
        for (op, right) in rest {
            let right = self.eval(right, frame, env)?;
            if !ops::compare(self, *op, &left, &right)? {
                return Ok(V::Bool(false));
            }
            left = right;
        }
        Ok(V::Bool(true))
    }

    pub(crate) fn filter_expr(
        &self,
        input: V,
        call: &FilterCall,
        frame: &Rc<Frame>,
        env: &Rc<Env>,
    ) -> Result<V> {
        let Some(filter) = call.filter else {
            return Err(Error::new(
                Kind::Runtime,
                format!("No filter named {} found.", str_repr(&call.name)),
            )
            .at(|| frame.place(call.loc)));
        };
        let mut args = self.args(&call.args, frame, env)?;
        args.pos.insert(0, input);
        let value = self.run_filter(filter, args).map_err(|error| error.at(|| frame.place(call.loc)))?;
        Ok(Self::happened(value, || frame.place(call.loc)))
    }

    fn test_expr(&self, input: V, call: &TestCall, frame: &Rc<Frame>, env: &Rc<Env>) -> Result<V> {
        let Some(test) = call.test else {
            return Err(Error::new(Kind::Runtime, format!("No test named {} found.", str_repr(&call.name)))
                .at(|| frame.place(call.loc)));
        };
        let mut args = self.args(&call.args, frame, env)?;
        args.pos.insert(0, input);
        match self.run_test(test, args) {
            Ok(V::Bool(found)) => Ok(V::Bool(found != call.negated)),
            Ok(V::Undefined(error)) => Ok(V::Undefined(error)),
            Ok(other) if call.negated => Ok(V::Bool(!self.truth(&other)?)),
            Ok(other) => Ok(other),
            Err(error) => Err(error.at(|| frame.place(call.loc))),
        }
    }

    /// `object.name`: Python's attribute first, then the element.
    pub(crate) fn attribute(
        &self,
        object: &V,
        name: &Arc<str>,
        place: impl Fn() -> crate::error::Place,
    ) -> Result<V> {
        if object.is_undefined() {
            return Ok(object.clone());
        }
        if let V::Native(native) = object
            && matches!(**native, Native::Nothing(_))
        {
            return Err(native.nothing());
        }
        if let Some(found) = crate::methods::attribute(self, object, name)? {
            return Ok(found);
        }
        let found = match object {
            V::Dict(map) => map.get_str(self, name)?,
            V::Object(host) => match host.get(&quorate_value::Key::Str(Arc::clone(name)))? {
                Some(var) => Some(self.bound(var, &crate::rt::Realm::Root)?),
                None => None,
            },
            _ => None,
        };
        match found {
            Some(found) => Ok(found),
            None => Ok(V::Undefined(Rc::new(missing(object, &V::Str(Str::from(&**name))).at(place)))),
        }
    }

    /// `object[index]`: the element first, then Python's attribute.
    pub(crate) fn item(&self, object: &V, index: &V, place: impl Fn() -> crate::error::Place) -> Result<V> {
        if object.is_undefined() {
            return Ok(object.clone());
        }
        if let V::Undefined(error) = index {
            return Err((**error).clone());
        }
        if let V::Native(native) = object
            && matches!(**native, Native::Nothing(_))
        {
            return Err(native.nothing());
        }
        if let Some(found) = ops::element(self, object, index)? {
            return Ok(found);
        }
        if let V::Str(name) = index
            && let Some(found) = crate::methods::attribute(self, object, name)?
        {
            return Ok(found);
        }
        Ok(V::Undefined(Rc::new(missing(object, index).at(place))))
    }
}

/// The warning about templates inside literals.
pub(crate) const EMBEDDED: &str = "Jinja constant strings should not contain embedded templates. This feature will be disabled by default in ansible-core 2.23.";

/// "object of type 'dict' has no attribute 'x'"
pub(crate) fn missing(object: &V, key: &V) -> Error {
    let shown = match key {
        V::Str(name) => str_repr(name),
        V::Int(number) => number.to_string(),
        V::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        V::Float(number) => quorate_value::float_repr(*number),
        V::Null => "None".to_owned(),
        other => format!("of type '{}'", other.type_name()),
    };
    if let V::Object(host) = object {
        let key = match key {
            V::Str(name) => quorate_value::Key::from(name.as_str()),
            V::Int(number) => quorate_value::Key::Int(*number),
            _ => quorate_value::Key::Null,
        };
        return host.missing(&key);
    }
    if let V::Str(name) = key
        && name.starts_with("__")
        && name.ends_with("__")
    {
        return Error::undefined(format!(
            "access to attribute {} of '{}' object is unsafe.",
            str_repr(name),
            object.type_name()
        ));
    }
    Error::undefined(format!("object of type '{}' has no attribute {shown}", object.type_name()))
}
