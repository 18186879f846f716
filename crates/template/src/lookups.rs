//! `lookup`, `query` and `q`: the mechanism, and the lookups that need nothing of the world.
//!
//! Everything else is asked of [`crate::World::lookup`].

mod pure;

use crate::error::{Error, Kind, Result};
use crate::eval::{Args, Env, Frame, Vm};
use crate::host::{Caller, LookupCall, Source};
use crate::lexer::Style;
use crate::rt::{Realm, V};
use quorate_value::{Dict, Str, Value};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) fn names() -> Vec<&'static str> {
    pure::NAMES.to_vec()
}

/// What lookups see of the template that calls them.
struct Here<'v, 'a> {
    vm: &'v Vm<'a>,
    realm: Realm,
}

impl Caller for Here<'_, '_> {
    fn variable(&self, name: &str) -> Result<Option<Value>> {
        match self.vm.variable(name, &self.realm)? {
            None => Ok(None),
            Some(found) => self.vm.finalize(&found).map(Some),
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.vm.names(&self.realm)
    }

    fn render(&self, value: &Value) -> Result<Value> {
        self.vm.finish_shared(value, &self.realm, 0)
    }

    fn render_file(&self, source: &Source, style: &Style, over: &Dict) -> Result<Value> {
        self.vm.render_file(source, style, over)
    }
}

/// `lookup(...)`: one value, or text with commas.
pub(crate) fn lookup(vm: &Vm, mut args: Args, frame: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    let want_list = args.take("wantlist");
    let want_list = want_list.map_or(Ok(false), |flag| vm.truth(&flag))?;
    run(vm, args, frame, want_list)
}

/// `query(...)`: always a list.
pub(crate) fn query(vm: &Vm, mut args: Args, frame: &Rc<Frame>, _: &Rc<Env>) -> Result<V> {
    args.take("wantlist");
    run(vm, args, frame, true)
}

/// A template inside a literal argument is rendered, as it always was.
fn rendered(vm: &Vm, value: V, frame: &Frame, depth: usize) -> Result<V> {
    match &value {
        V::Str(text) if text.is_template() && text.span() == quorate_value::Span::default() => {
            vm.warn(crate::eval::EMBEDDED);
            vm.render_nested(text, &frame.realm)
        }
        V::List(list) if depth < 2 && list.untouched().is_none() => {
            let items = list.items(vm)?;
            if !items.iter().any(|item| item.as_text().is_some_and(Str::is_template)) {
                return Ok(value);
            }
            let items = items.into_iter().map(|item| rendered(vm, item, frame, depth + 1));
            Ok(V::list(items.collect::<Result<_>>()?))
        }
        _ => Ok(value),
    }
}

fn run(vm: &Vm, mut args: Args, frame: &Rc<Frame>, want_list: bool) -> Result<V> {
    if args.pos.is_empty() {
        return Err(Error::runtime("_lookup() missing 1 required positional argument: 'plugin_name'"));
    }
    // Only a default may be undefined.
    let others = args.named.iter().filter(|(name, _)| &**name != "default").map(|(_, value)| value);
    if let Some(undefined) = args.pos.iter().chain(others).find(|value| value.is_undefined()) {
        return Ok(undefined.clone());
    }
    let name = args.pos.remove(0);
    let name = vm.to_text(&name)?;
    let errors = match args.take("errors") {
        None => Str::new("strict"),
        Some(errors) => vm.to_text(&errors)?,
    };
    let quiet = matches!(errors.as_str(), "warn" | "ignore");
    let mut terms = Vec::with_capacity(args.pos.len());
    for term in args.pos {
        terms.push(rendered(vm, term, frame, 0)?);
    }
    let mut options = Vec::with_capacity(args.named.len());
    for (key, value) in args.named {
        options.push((key, rendered(vm, value, frame, 0)?));
    }
    let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy."));
    let short = short.unwrap_or(&name);
    let result = match pure::run(vm, short, &terms, &options, frame) {
        Some(result) => result,
        None => outside(vm, &name, &terms, &options, frame),
    };
    let found = match result {
        Ok(found) => found,
        Err(error) if error.is_undefined() || *error.kind() == Kind::NoPlugin => return Err(error),
        Err(error) => {
            let error = match error.kind() {
                Kind::Runtime => error.with_kind(Kind::Lookup(Arc::from(name.as_str()))),
                _ => error,
            };
            if !quiet {
                return Err(error);
            }
            let message = format!(
                "An error occurred while running the lookup plugin '{}': {}",
                name.as_str(),
                error.detail()
            );
            if errors.as_str() == "warn" && !vm.is_tainted() {
                vm.warn(message);
            }
            return Ok(if want_list { V::list(Vec::new()) } else { V::Null });
        }
    };
    if want_list {
        return Ok(V::list(found));
    }
    joined(vm, found)
}

/// One value alone is itself; several texts are joined with commas; anything else stays a list.
fn joined(vm: &Vm, mut found: Vec<V>) -> Result<V> {
    if found.len() == 1
        && let Some(only) = found.pop()
    {
        return Ok(match only {
            V::List(_) | V::Tuple(_) => V::list(vm.iterate(&only)?),
            other => other,
        });
    }
    if found.iter().all(|value| matches!(value, V::Str(_))) {
        if found.is_empty() {
            return Ok(V::list(found));
        }
        let texts: Vec<&str> = found.iter().filter_map(|value| value.as_text()).map(Str::as_str).collect();
        return Ok(V::text(texts.join(",")));
    }
    Ok(V::list(found))
}

/// A lookup of the world's.
fn outside(vm: &Vm, name: &Str, terms: &[V], options: &[(Arc<str>, V)], frame: &Rc<Frame>) -> Result<Vec<V>> {
    vm.saw_impure();
    let mut call = LookupCall {
        name: Arc::from(name.as_str()),
        terms: Vec::with_capacity(terms.len()),
        options: Dict::new(),
    };
    for term in terms {
        call.terms.push(vm.finalize(term)?);
    }
    for (key, value) in options {
        call.options.insert(Arc::clone(key), vm.finalize(value)?);
    }
    let here = Here { vm, realm: frame.realm.clone() };
    match vm.ctx.world.lookup(&call, &here) {
        None => {
            Err(Error::new(Kind::NoPlugin, format!("The lookup plugin '{}' was not found.", name.as_str())))
        }
        Some(found) => {
            let found = found?;
            if found.iter().any(Value::holds_secret) {
                vm.saw_secret();
            }
            Ok(found.iter().map(V::done).collect())
        }
    }
}
