//! The parsed template: what Jinja2's syntax says, with a span on every node.
//!
//! **Invariant:** immutable and shared between threads; everything that changes while rendering lives in `eval`.

use crate::filters::Filter;
use crate::tests::Test;
use quorate_value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of the template's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Loc {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) loc: Loc,
    /// How many levels of expressions are in it, itself included.
    pub(crate) height: u32,
    pub(crate) kind: ExprKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Const(Value),
    Name(Arc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    Concat(Vec<Expr>),
    /// `then if test else otherwise`
    Cond(Box<[Expr; 2]>, Option<Box<Expr>>),
    Attr(Box<Expr>, Arc<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Box<CallArgs>),
    Filter(Box<Expr>, Box<FilterCall>),
    Test(Box<Expr>, Box<TestCall>),
}

impl ExprKind {
    /// The height of the highest expression inside.
    pub(crate) fn inner_height(&self) -> u32 {
        let all = |exprs: &[Expr]| exprs.iter().map(|expr| expr.height).max().unwrap_or(0);
        match self {
            ExprKind::Const(_) | ExprKind::Name(_) => 0,
            ExprKind::List(items) | ExprKind::Tuple(items) | ExprKind::Concat(items) => all(items),
            ExprKind::Dict(entries) => {
                entries.iter().map(|(key, value)| key.height.max(value.height)).max().unwrap_or(0)
            }
            ExprKind::Unary(_, inner) | ExprKind::Attr(inner, _) => inner.height,
            ExprKind::Binary(_, left, right)
            | ExprKind::And(left, right)
            | ExprKind::Or(left, right)
            | ExprKind::Item(left, right) => left.height.max(right.height),
            ExprKind::Compare(first, rest) => {
                rest.iter().map(|(_, expr)| expr.height).max().unwrap_or(0).max(first.height)
            }
            ExprKind::Cond(both, otherwise) => {
                all(&both[..]).max(otherwise.as_ref().map_or(0, |expr| expr.height))
            }
            ExprKind::Slice(object, parts) => {
                parts.iter().flatten().map(|part| part.height).max().unwrap_or(0).max(object.height)
            }
            ExprKind::Call(callee, args) => args.height().max(callee.height),
            ExprKind::Filter(input, call) => call.args.height().max(input.height),
            ExprKind::Test(input, call) => call.args.height().max(input.height),
        }
    }
}

impl CallArgs {
    fn height(&self) -> u32 {
        let named = self.named.iter().map(|(_, expr)| expr);
        let all = self.positional.iter().chain(named).chain(&self.star).chain(&self.star_star);
        all.map(|expr| expr.height).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Neg,
    Pos,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// The arguments of a call, a filter or a test.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallArgs {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Arc<str>, Expr)>,
    pub(crate) star: Option<Expr>,
    pub(crate) star_star: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(crate) struct FilterCall {
    pub(crate) name: Arc<str>,
    /// Nothing for a filter that does not exist, in a branch that may never run.
    pub(crate) filter: Option<&'static Filter>,
    pub(crate) args: CallArgs,
    pub(crate) loc: Loc,
}

#[derive(Debug, Clone)]
pub(crate) struct TestCall {
    pub(crate) name: Arc<str>,
    pub(crate) test: Option<&'static Test>,
    pub(crate) args: CallArgs,
    pub(crate) negated: bool,
    pub(crate) loc: Loc,
}

/// What an assignment assigns to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Name(Arc<str>),
    Attr(Arc<str>, Arc<str>, Loc),
    Tuple(Vec<Target>, Loc),
}

#[derive(Debug, Clone)]
pub(crate) struct Macro {
    pub(crate) name: Arc<str>,
    pub(crate) params: Vec<Arc<str>>,
    /// The defaults of the last parameters.
    pub(crate) defaults: Vec<Expr>,
    pub(crate) body: Vec<Stmt>,
    pub(crate) uses_varargs: bool,
    pub(crate) uses_kwargs: bool,
    pub(crate) uses_caller: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) iter: Expr,
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Vec<Stmt>,
    pub(crate) otherwise: Vec<Stmt>,
    pub(crate) recursive: bool,
    pub(crate) uses_loop: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Include {
    pub(crate) template: Expr,
    pub(crate) ignore_missing: bool,
    pub(crate) with_context: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub(crate) template: Expr,
    /// `import x as y`, or the names of `from x import a, b as c`.
    pub(crate) names: ImportNames,
    pub(crate) with_context: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum ImportNames {
    Module(Arc<str>),
    Names(Vec<(Arc<str>, Arc<str>)>),
}

#[derive(Debug, Clone)]
pub(crate) struct BlockDef {
    pub(crate) body: Vec<Stmt>,
    pub(crate) required: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Stmt {
    Text(Arc<str>),
    Print(Expr),
    For(Arc<For>),
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    Set(Target, Expr),
    SetBlock(Target, Vec<FilterCall>, Vec<Stmt>),
    Macro(Arc<Macro>),
    CallBlock(Expr, Arc<Macro>),
    FilterBlock(Vec<FilterCall>, Vec<Stmt>),
    With(Vec<(Target, Expr)>, Vec<Stmt>),
    Block(Arc<str>, bool),
    Extends(Expr),
    Include(Box<Include>, Loc),
    Import(Box<Import>, Loc),
    Do(Expr),
    Break,
    Continue,
}

/// A whole template.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) body: Vec<Stmt>,
    pub(crate) blocks: BTreeMap<Arc<str>, Arc<BlockDef>>,
    pub(crate) extends: bool,
}
