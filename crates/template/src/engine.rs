//! The door to this crate: compile once, render often.
//!
//! An [`Engine`] is shared by all threads and keeps what it compiled. A rendering happens on one thread, with the
//! variables and the world of a [`Context`]. **Invariant:** text that is not trusted is never compiled here.

use crate::analysis::{Reads, reads_of_expr, reads_of_tree, reads_of_value};
use crate::ast::{Expr, Loc, Tree};
use crate::error::{Error, Kind, Place, Result};
use crate::eval::{Env, Frame, Out, Vm};
use crate::host::{Context, Source};
use crate::lexer::Style;
use crate::parser::{parse_bare, parse_template};
use crate::rt::{Realm, V};
use quorate_value::{Span, Str, Value, str_of};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

/// How templates are read and judged.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `ALLOW_BROKEN_CONDITIONALS`: a condition may come out as something else than a boolean.
    pub allow_broken_conditionals: bool,
    /// How what is written in YAML is read; `jinja2_extensions` change it.
    pub style: Style,
}

/// A compiled template or expression. Immutable, shared between threads.
#[derive(Debug)]
pub struct Template {
    text: Arc<str>,
    /// Where the template begins, after a header.
    begin: usize,
    name: Option<Arc<str>>,
    style: Arc<Style>,
    code: Code,
    renders_literals: bool,
    reads: Reads,
}

#[derive(Debug)]
enum Code {
    Tree(Tree),
    Expr(Expr),
}

impl Template {
    /// The template's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name: the path of a file.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How it was read.
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// What it reads of the caller's variables.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether it comes out the same whatever the variables are.
    pub fn is_constant(&self) -> bool {
        self.reads.is_constant()
    }

    pub(crate) fn tree(&self) -> &Tree {
        static EMPTY: std::sync::LazyLock<Tree> = std::sync::LazyLock::new(Tree::default);
        match &self.code {
            Code::Tree(tree) => tree,
            Code::Expr(_) => &EMPTY,
        }
    }

    pub(crate) fn expr(&self) -> Option<&Expr> {
        match &self.code {
            Code::Expr(expr) => Some(expr),
            Code::Tree(_) => None,
        }
    }

    pub(crate) fn renders_literals(&self) -> bool {
        self.renders_literals
    }

    pub(crate) fn place(&self, loc: Loc) -> Place {
        Place {
            template: self.name.clone(),
            origin: Span::default(),
            text: Arc::clone(&self.text),
            start: loc.start as usize,
            end: loc.end as usize,
        }
    }

    /// How many newlines the text ends with.
    pub(crate) fn trailing_newlines(&self) -> usize {
        self.text.len() - self.text.trim_end_matches('\n').len()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Template,
    Expression,
    Condition,
}

type Cache = HashMap<Arc<str>, Arc<Template>>;

/// How many compiled texts are kept; then the cache starts afresh.
const CACHE: usize = 50_000;

/// Compiles and renders.
pub struct Engine {
    options: Options,
    style: Arc<Style>,
    templates: RwLock<Cache>,
    expressions: RwLock<Cache>,
    conditions: RwLock<Cache>,
    files: RwLock<HashMap<(Arc<str>, Arc<str>, Style), Arc<Template>>>,
}

impl Default for Engine {
    fn default() -> Self {
        Engine::new(Options::default())
    }
}

impl Engine {
    /// An engine with nothing compiled yet.
    pub fn new(options: Options) -> Self {
        let style = Arc::new(options.style.clone());
        Engine {
            options,
            style,
            templates: RwLock::default(),
            expressions: RwLock::default(),
            conditions: RwLock::default(),
            files: RwLock::default(),
        }
    }

    /// How this engine reads and judges.
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn cached(&self, text: &Str, form: Form) -> Result<Arc<Template>> {
        let cache = match form {
            Form::Template => &self.templates,
            Form::Expression => &self.expressions,
            Form::Condition => &self.conditions,
        };
        if let Some(found) = cache.read().unwrap_or_else(PoisonError::into_inner).get(text.as_str()) {
            return Ok(Arc::clone(found));
        }
        let shared = text.shared().cloned().unwrap_or_else(|| Arc::from(""));
        let code = match form {
            Form::Template => Code::Tree(parse_template(&shared, &self.style, 0)?),
            Form::Expression | Form::Condition => {
                let style = Style { escapes_in_output: true, ..(*self.style).clone() };
                Code::Expr(parse_bare(&shared, &style)?)
            }
        };
        let reads = match &code {
            Code::Tree(tree) => reads_of_tree(tree),
            Code::Expr(expr) => reads_of_expr(expr),
        };
        let template = Arc::new(Template {
            text: Arc::clone(&shared),
            begin: 0,
            name: None,
            style: Arc::clone(&self.style),
            code,
            renders_literals: form == Form::Condition,
            reads,
        });
        let mut cache = cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.insert(shared, Arc::clone(&template));
        Ok(template)
    }

    pub(crate) fn compile_text(&self, text: &Str) -> Result<Arc<Template>> {
        self.cached(text, Form::Template).map_err(|error| error.written_at(text.span()))
    }

    /// Compiles what is written in YAML.
    pub fn compile(&self, text: &Str) -> Result<Arc<Template>> {
        trusted(text)?;
        self.compile_text(text)
    }

    /// Compiles a bare expression: `loop` and the like after their braces are taken away, `until`, `that`.
    pub fn compile_expression(&self, text: &Str) -> Result<Arc<Template>> {
        trusted(text)?;
        self.cached(text, Form::Expression).map_err(|error| error.written_at(text.span()))
    }

    /// Compiles a condition, whose literals may still hold templates.
    pub fn compile_condition(&self, text: &Str) -> Result<Arc<Template>> {
        trusted(text)?;
        self.cached(text, Form::Condition).map_err(|error| error.written_at(text.span()))
    }

    /// Compiles a template file.
    pub fn compile_source(&self, source: &Source, style: &Style) -> Result<Arc<Template>> {
        let text = source.text.shared().cloned().unwrap_or_else(|| Arc::from(""));
        let key = (Arc::clone(&source.name), Arc::clone(&text), style.clone());
        if let Some(found) = self.files.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(found));
        }
        let compile = || {
            let (style, begin) = style.with_header(&text)?;
            Ok((parse_template(&text, &style, begin)?, style, begin))
        };
        let (tree, style, begin) = compile()
            .map_err(|error: Error| error.written_at(source.text.span()).in_template(&source.name))?;
        let reads = reads_of_tree(&tree);
        let template = Arc::new(Template {
            text,
            begin,
            name: Some(Arc::clone(&source.name)),
            style: Arc::new(style),
            code: Code::Tree(tree),
            renders_literals: false,
            reads,
        });
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= CACHE {
            files.clear();
        }
        files.insert(key, Arc::clone(&template));
        Ok(template)
    }

    /// A value with all templates inside rendered. `omit` inside lists and mappings is taken out; alone it stays.
    pub fn render_value(&self, value: &Value, ctx: &Context) -> Result<Value> {
        match value {
            Value::Str(text) if !text.is_template() => return Ok(value.clone()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Omit => {
                return Ok(value.clone());
            }
            _ => {}
        }
        let vm = Vm::new(self, *ctx);
        let result = match value {
            Value::Str(text) => vm.render_nested(text, &Realm::Root).and_then(|found| vm.finalize(&found)),
            other => vm.finish_shared(other, &Realm::Root, 0),
        };
        result.map_err(|error| self.explain(error, ctx))
    }

    /// The native value of a template in one text. Text without a template stays as it is.
    pub fn render_str(&self, text: &Str, ctx: &Context) -> Result<Value> {
        self.render_value(&Value::Str(text.clone()), ctx)
    }

    /// What a template file comes to: text, or a native value where it is nothing but one expression.
    ///
    /// A first line `#jinja2: key: value, ...` changes the style.
    pub fn render_file(&self, source: &Source, style: &Style, ctx: &Context) -> Result<Value> {
        trusted(&source.text)?;
        let vm = Vm::new(self, *ctx);
        self.value_of(&vm, source, style).map_err(|error| self.explain(error, ctx))
    }

    /// The text of a template file, as the `template` module writes it.
    pub fn render_text(&self, source: &Source, style: &Style, ctx: &Context) -> Result<Str> {
        Ok(match self.render_file(source, style, ctx)? {
            Value::Str(text) => text,
            Value::Null => Str::default(),
            Value::Omit => {
                return Err(Error::new(Kind::Omitted, "A template was resolved to an Omit scalar."));
            }
            other if other.holds_secret() => Str::from(str_of(&other)).secret(),
            other => Str::from(str_of(&other)),
        })
    }

    pub(crate) fn value_of(&self, vm: &Vm, source: &Source, style: &Style) -> Result<Value> {
        let template = self.compile_source(source, style)?;
        let plain = |tag: &String| !template.text().contains(tag.as_str());
        let style = template.style();
        if plain(&style.variable_start) && plain(&style.block_start) && plain(&style.comment_start) {
            let body = &template.text()[template.begin..];
            return Ok(Value::Str(if body.len() == source.text.len() {
                source.text.clone().untrusted()
            } else {
                Str::new(body)
            }));
        }
        let top = Rc::new(Env::default());
        let frame = Frame::new(&template, Realm::Root, Rc::clone(&top), source.text.span());
        let (value, secret) = vm.watching(|| {
            let mut out = Out::default();
            vm.run_body(&frame, &top, &mut out)?;
            Ok(out.finish())
        })?;
        let value = vm.settle(value, &template, secret)?;
        vm.finalize(&value)
    }

    /// The value of a bare expression.
    pub fn eval_expression(&self, text: &Str, ctx: &Context) -> Result<Value> {
        let template = self.compile_expression(text)?;
        let vm = Vm::new(self, *ctx);
        let result = self.expression(&vm, &template, text.span());
        let result = result.and_then(|(value, secret)| {
            let value = vm.settle(value, &template, secret)?;
            vm.finalize(&value)
        });
        result.map_err(|error| self.explain(in_expression(error), ctx))
    }

    fn expression(&self, vm: &Vm, template: &Arc<Template>, origin: Span) -> Result<(V, bool)> {
        let top = Rc::new(Env::default());
        let frame = Frame::new(template, Realm::Root, Rc::clone(&top), origin);
        vm.watching(|| match template.expr() {
            Some(expr) => vm.eval(expr, &frame, &top),
            None => vm.run_template(template, Realm::Root, origin),
        })
    }

    /// Whether a condition holds: `when`, `failed_when`, `changed_when`, `until`, `that`.
    ///
    /// A boolean is itself; text is a bare expression; the result must be a boolean unless
    /// [`Options::allow_broken_conditionals`].
    pub fn condition(&self, condition: &Value, ctx: &Context) -> Result<bool> {
        let vm = Vm::new(self, *ctx);
        self.holds(&vm, condition).map_err(|error| {
            let error = in_expression(error);
            let error = if error.is_undefined() {
                error.introduced("Error while evaluating conditional: ")
            } else {
                error
            };
            self.explain(error, ctx)
        })
    }

    fn holds(&self, vm: &Vm, condition: &Value) -> Result<bool> {
        let broken = self.options.allow_broken_conditionals;
        let text = match condition {
            Value::Bool(flag) => return Ok(*flag),
            Value::Null => &Str::default(),
            Value::Str(text) => text,
            other => {
                let message = "Conditional expressions must be strings.";
                if !broken {
                    return Err(Error::new(Kind::Conditional, message));
                }
                vm.deprecated(message);
                let value = vm.finish_shared(other, &Realm::Root, 0)?;
                return Ok(value.is_truthy());
            }
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            if !broken {
                let message = "Empty conditional expressions are not allowed.";
                return Err(Error::new(Kind::Conditional, message));
            }
            vm.deprecated("Empty conditional expression was evaluated as True.");
            return Ok(true);
        }
        trusted(text)?;
        let style = &self.style;
        let wrapped = |open: &str, close: &str| trimmed.starts_with(open) && trimmed.ends_with(close);
        let is_template = wrapped(&style.variable_start, &style.variable_end)
            || wrapped(&style.block_start, &style.block_end);
        let found = if is_template {
            let found = vm.render_nested(text, &Realm::Root)?;
            match vm.finalize(&found)? {
                Value::Str(inner) => {
                    trusted(&inner)?;
                    let template = self.compile_condition(&inner)?;
                    let (found, _) = self.expression(vm, &template, inner.span())?;
                    vm.finalize(&found)?
                }
                found => {
                    vm.deprecated(
                        "Conditionals should not be surrounded by templating delimiters such as {{ }} or {% %}.",
                    );
                    found
                }
            }
        } else {
            let template = self.compile_condition(text)?;
            let (found, _) = self.expression(vm, &template, text.span())?;
            vm.finalize(&found)?
        };
        match found {
            Value::Bool(flag) => Ok(flag),
            Value::Omit => Err(Error::new(Kind::Omitted, "A template was resolved to an Omit scalar.")),
            other => {
                let truth = other.is_truthy();
                let shown = if truth { "True" } else { "False" };
                let message = format!(
                    "Conditional result ({shown}) was derived from value of type '{}' at '{}'. Conditionals must have a boolean result.",
                    other.type_name(),
                    text.span()
                );
                if !broken {
                    return Err(Error::new(Kind::Conditional, message));
                }
                vm.deprecated(message);
                Ok(truth)
            }
        }
    }

    /// What the templates inside a value read of the caller's variables.
    pub fn reads(&self, value: &Value) -> Result<Reads> {
        reads_of_value(self, value)
    }

    /// Adds what a person needs beside the words: names like the missing one.
    fn explain(&self, error: Error, ctx: &Context) -> Error {
        match error.name() {
            Some(name) if error.is_undefined() && error.similar().is_empty() => {
                let similar = crate::analysis::similar_names(name, ctx.scope.names());
                error.with_similar(similar)
            }
            _ => error,
        }
    }
}

fn in_expression(error: Error) -> Error {
    match error.kind() {
        Kind::Runtime if error.via().is_empty() => error.with_kind(Kind::ExpressionRuntime),
        Kind::Undecryptable => error.with_kind(Kind::UndecryptableExpression),
        _ => error,
    }
}

fn trusted(text: &Str) -> Result<()> {
    if text.is_trusted() {
        return Ok(());
    }
    Err(Error::new(Kind::Untrusted, "Encountered untrusted template or expression."))
}
