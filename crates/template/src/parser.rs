//! Tokens to a tree: the expressions of Jinja2's grammar. Statements are in `statements`.
//!
//! **Invariant:** never panics and never recurses deeper than [`MAX_DEPTH`], whatever the text.

mod statements;

use crate::ast::*;
use crate::error::{Error, Kind, Place, Result};
use crate::lexer::{Style, Tok, Token, tokenize, tokenize_expression};
use crate::{filters, tests};
use quorate_value::{Span, Str, Value, str_repr};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How deep expressions and statements nest. Python's own parser gives up near this, too.
const MAX_DEPTH: usize = 100;
/// How high a tree may grow through chains: `a.b.c`, `1 + 2 + 3`, `x | f | g`.
const MAX_HEIGHT: u32 = 400;

/// The tree of the template that begins at a byte of the text.
pub(crate) fn parse_template(text: &Arc<str>, style: &Style, begin: usize) -> Result<Tree> {
    let (tokens, mistake) = tokenize(text, style, begin);
    let mut parser = Parser::new(text, style, tokens, Kind::Syntax);
    let body = earlier(parser.subparse(&[]), mistake)?;
    parser.refuse_unknown_plugins()?;
    let extends = parser.extends;
    Ok(Tree { body, blocks: parser.blocks, extends })
}

/// The lexer's mistake, unless the parser found one before it.
fn earlier<T>(parsed: Result<T>, mistake: Option<Error>) -> Result<T> {
    let start = |error: &Error| error.place().map_or(usize::MAX, |place| place.start);
    match (parsed, mistake) {
        (parsed, None) => parsed,
        (Err(error), Some(mistake)) if start(&error) < start(&mistake) => Err(error),
        (_, Some(mistake)) => Err(mistake),
    }
}

/// A bare expression's tree.
pub(crate) fn parse_bare(text: &Arc<str>, style: &Style) -> Result<Expr> {
    let (tokens, mistake) = tokenize_expression(text, style);
    let mut parser = Parser::new(text, style, tokens, Kind::ExpressionSyntax);
    let parsed = parser.expression().and_then(|expr| match parser.peek() {
        Tok::Eof => Ok(expr),
        _ => parser.fail("chunk after expression"),
    });
    let expr = earlier(parsed, mistake)?;
    parser.refuse_unknown_plugins()?;
    Ok(expr)
}

struct Parser<'a> {
    text: &'a Arc<str>,
    style: &'a Style,
    tokens: Vec<Token>,
    at: usize,
    kind: Kind,
    depth: usize,
    blocks: BTreeMap<Arc<str>, Arc<BlockDef>>,
    extends: bool,
    /// Names seen so far that mean something to loops and macros.
    seen: Seen,
    /// Filters and tests that do not exist and are certain to run.
    unknown: Vec<(String, Loc)>,
    tags: Vec<&'static str>,
    ends: Vec<&'static [&'static str]>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    looping: usize,
    varargs: usize,
    kwargs: usize,
    caller: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a Arc<str>, style: &'a Style, tokens: Vec<Token>, kind: Kind) -> Self {
        Parser {
            text,
            style,
            tokens,
            at: 0,
            kind,
            depth: 0,
            blocks: BTreeMap::new(),
            extends: false,
            seen: Seen::default(),
            unknown: Vec::new(),
            tags: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn refuse_unknown_plugins(&mut self) -> Result<()> {
        match self.unknown.first().cloned() {
            Some((message, loc)) => self.fail_at(message, loc),
            None => Ok(()),
        }
    }

    fn peek(&self) -> &Tok {
        &self.tokens[self.at].tok
    }

    fn look(&self) -> &Tok {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].tok
    }

    fn next(&mut self) -> Tok {
        let tok = self.tokens[self.at].tok.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        tok
    }

    fn here(&self) -> Loc {
        let token = &self.tokens[self.at];
        Loc { start: token.start as u32, end: token.end as u32 }
    }

    /// From `start` to the end of the last token that was taken.
    fn since(&self, start: Loc) -> Loc {
        let end = self.tokens[self.at.saturating_sub(1)].end as u32;
        Loc { start: start.start, end: end.max(start.start) }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        self.fail_at(message, self.here())
    }

    fn fail_at<T>(&self, message: impl Into<String>, loc: Loc) -> Result<T> {
        let place = Place {
            template: None,
            origin: Span::default(),
            text: Arc::clone(self.text),
            start: loc.start as usize,
            end: loc.end as usize,
        };
        Err(Error::new(self.kind.clone(), message).at(|| place))
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Tok::Op(found) if *found == op)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Tok::Name(found) if &**found == name)
    }

    fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        if found {
            self.next();
        }
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.next();
        }
        found
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        match self.peek() {
            Tok::Eof => self.fail(format!("unexpected end of template, expected {}.", str_repr(what))),
            found => {
                self.fail(format!("expected token {}, got {}", str_repr(what), str_repr(&found.describe())))
            }
        }
    }

    fn expect_op(&mut self, op: &str) -> Result<()> {
        if self.skip_op(op) { Ok(()) } else { self.expected(op) }
    }

    fn expect_keyword(&mut self, name: &str) -> Result<()> {
        if self.skip_name(name) { Ok(()) } else { self.expected(name) }
    }

    fn expect_name(&mut self) -> Result<Arc<str>> {
        match self.peek() {
            Tok::Name(_) => match self.next() {
                Tok::Name(name) => Ok(name),
                _ => self.expected("name"),
            },
            _ => self.expected("name"),
        }
    }

    /// An expression from `start` to here; an error where it nests too deep.
    fn make(&self, start: Loc, kind: ExprKind) -> Result<Expr> {
        let loc = self.since(start);
        let height = kind.inner_height() + 1;
        if height > MAX_HEIGHT {
            return self.fail_at("too many nested expressions or blocks", loc);
        }
        Ok(Expr { loc, height, kind })
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail("too many nested expressions or blocks");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// An expression, with `a if b else c`.
    fn expression(&mut self) -> Result<Expr> {
        self.deeper(|p| {
            let start = p.here();
            let unknown = p.unknown.len();
            let mut expr = p.operators(1)?;
            while p.skip_name("if") {
                let test = p.operators(1)?;
                let otherwise = if p.skip_name("else") { Some(Box::new(p.expression()?)) } else { None };
                // Plug-ins inside a branch may exist where the branch is taken; Jinja2 asks only then.
                p.unknown.truncate(unknown);
                let kind = ExprKind::Cond(Box::new([test, expr]), otherwise);
                expr = p.make(start, kind)?;
            }
            Ok(expr)
        })
    }

    /// Operators of at least this level: 1 `or`, 2 `and`, 3 `not`, 4 comparisons, 5 `+ -`, 6 `~`, 7 `* / // %`, 8 `**`.
    fn operators(&mut self, level: u8) -> Result<Expr> {
        let start = self.here();
        let mut ceiling = 8;
        let mut left = if level <= 3 && self.is_name("not") {
            self.next();
            let inner = self.deeper(|p| p.operators(3))?;
            ceiling = 2;
            self.make(start, ExprKind::Unary(Unary::Not, Box::new(inner)))?
        } else {
            self.unary(true)?
        };
        loop {
            let Some(found) = self.binary_level().filter(|found| *found >= level && *found <= ceiling) else {
                return Ok(left);
            };
            let kind = match found {
                4 => {
                    let mut rest = Vec::new();
                    while let Some(op) = self.comparison() {
                        rest.push((op, self.operators(5)?));
                    }
                    ceiling = 3;
                    ExprKind::Compare(Box::new(left), rest)
                }
                6 => {
                    let mut parts = vec![left];
                    while self.skip_op("~") {
                        parts.push(self.operators(7)?);
                    }
                    ExprKind::Concat(parts)
                }
                _ => {
                    let op = self.next();
                    let right = Box::new(self.operators(found + 1)?);
                    let left = Box::new(left);
                    match op {
                        Tok::Name(name) if &*name == "or" => ExprKind::Or(left, right),
                        Tok::Name(_) => ExprKind::And(left, right),
                        Tok::Op(op) => {
                            let op = match op {
                                "+" => Binary::Add,
                                "-" => Binary::Sub,
                                "*" => Binary::Mul,
                                "/" => Binary::Div,
                                "//" => Binary::FloorDiv,
                                "%" => Binary::Mod,
                                _ => Binary::Pow,
                            };
                            ExprKind::Binary(op, left, right)
                        }
                        other => return self.fail(format!("unexpected {}", str_repr(&other.describe()))),
                    }
                }
            };
            left = self.make(start, kind)?;
        }
    }

    fn binary_level(&self) -> Option<u8> {
        Some(match self.peek() {
            Tok::Name(name) => match &**name {
                "or" => 1,
                "and" => 2,
                "in" => 4,
                "not" if matches!(self.look(), Tok::Name(next) if &**next == "in") => 4,
                _ => return None,
            },
            Tok::Op(op) => match *op {
                "==" | "!=" | "<" | "<=" | ">" | ">=" => 4,
                "+" | "-" => 5,
                "~" => 6,
                "*" | "/" | "//" | "%" => 7,
                "**" => 8,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Takes a comparison operator.
    fn comparison(&mut self) -> Option<Compare> {
        let op = match self.peek() {
            Tok::Op(op) => match *op {
                "==" => Compare::Eq,
                "!=" => Compare::Ne,
                "<" => Compare::Lt,
                "<=" => Compare::Le,
                ">" => Compare::Gt,
                ">=" => Compare::Ge,
                _ => return None,
            },
            Tok::Name(_) if self.binary_level() == Some(4) => {
                if self.skip_name("not") {
                    Compare::NotIn
                } else {
                    Compare::In
                }
            }
            _ => return None,
        };
        self.next();
        Some(op)
    }

    fn unary(&mut self, with_filter: bool) -> Result<Expr> {
        let start = self.here();
        let op = match self.peek() {
            Tok::Op("-") => Some(Unary::Neg),
            Tok::Op("+") => Some(Unary::Pos),
            _ => None,
        };
        let node = match op {
            Some(op) => {
                self.next();
                let inner = self.deeper(|p| p.unary(false))?;
                self.make(start, ExprKind::Unary(op, Box::new(inner)))?
            }
            None => self.primary()?,
        };
        let node = self.postfix(node)?;
        if with_filter { self.filters_and_tests(node) } else { Ok(node) }
    }

    fn primary(&mut self) -> Result<Expr> {
        let start = self.here();
        let kind = match self.peek().clone() {
            Tok::Name(name) => {
                self.next();
                match &*name {
                    "true" | "True" => ExprKind::Const(Value::Bool(true)),
                    "false" | "False" => ExprKind::Const(Value::Bool(false)),
                    "none" | "None" => ExprKind::Const(Value::Null),
                    _ => {
                        match &*name {
                            "loop" => self.seen.looping += 1,
                            "varargs" => self.seen.varargs += 1,
                            "kwargs" => self.seen.kwargs += 1,
                            "caller" => self.seen.caller += 1,
                            _ => {}
                        }
                        ExprKind::Name(name)
                    }
                }
            }
            Tok::Text(first) => {
                self.next();
                let mut joined: Option<String> = None;
                while let Tok::Text(more) = self.peek() {
                    joined.get_or_insert_with(|| first.to_string()).push_str(more);
                    self.next();
                }
                let text = joined.map_or_else(|| Str::from(&*first), Str::from);
                // Trusted: a lookup renders templates inside a literal argument, as Ansible still does.
                ExprKind::Const(Value::Str(text.trusted()))
            }
            Tok::Number(number) => {
                self.next();
                ExprKind::Const(number)
            }
            Tok::Op("(") => {
                self.next();
                let mut inner = self.deeper(|p| p.tuple(true, true))?;
                self.expect_op(")")?;
                inner.loc = self.since(start);
                return Ok(inner);
            }
            Tok::Op("[") => {
                self.next();
                let mut items = Vec::new();
                while !self.is_op("]") {
                    if !items.is_empty() {
                        self.expect_op(",")?;
                    }
                    if self.is_op("]") {
                        break;
                    }
                    items.push(self.expression()?);
                }
                self.expect_op("]")?;
                ExprKind::List(items)
            }
            Tok::Op("{") => {
                self.next();
                let mut entries = Vec::new();
                while !self.is_op("}") {
                    if !entries.is_empty() {
                        self.expect_op(",")?;
                    }
                    if self.is_op("}") {
                        break;
                    }
                    let key = self.expression()?;
                    self.expect_op(":")?;
                    entries.push((key, self.expression()?));
                }
                self.expect_op("}")?;
                ExprKind::Dict(entries)
            }
            other => return self.fail(format!("unexpected {}", str_repr(&other.describe()))),
        };
        self.make(start, kind)
    }

    /// One expression, or several with commas between them, which make a tuple.
    fn tuple(&mut self, with_condition: bool, parentheses: bool) -> Result<Expr> {
        let start = self.here();
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            if matches!(self.peek(), Tok::VariableEnd | Tok::BlockEnd | Tok::Op(")")) {
                break;
            }
            items.push(if with_condition { self.expression()? } else { self.operators(1)? });
            if !self.is_op(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple {
            if let Some(only) = items.pop() {
                return Ok(only);
            }
            if !parentheses {
                let found = str_repr(&self.peek().describe());
                return self.fail(format!("Expected an expression, got {found}"));
            }
        }
        self.make(start, ExprKind::Tuple(items))
    }

    fn postfix(&mut self, mut node: Expr) -> Result<Expr> {
        loop {
            node = match self.peek() {
                Tok::Op("." | "[") => self.subscript(node)?,
                Tok::Op("(") => self.call(node)?,
                _ => return Ok(node),
            };
        }
    }

    fn filters_and_tests(&mut self, mut node: Expr) -> Result<Expr> {
        loop {
            let start = node.loc;
            node = match self.peek() {
                Tok::Op("|") => {
                    self.next();
                    let call = self.filter_call()?;
                    let kind = ExprKind::Filter(Box::new(node), Box::new(call));
                    self.make(start, kind)?
                }
                Tok::Name(name) if &**name == "is" => self.test(node)?,
                // A call may follow a filter: `x | f()()`.
                Tok::Op("(") => self.call(node)?,
                _ => return Ok(node),
            };
        }
    }

    fn call(&mut self, node: Expr) -> Result<Expr> {
        let args = self.call_args()?;
        let start = node.loc;
        self.make(start, ExprKind::Call(Box::new(node), Box::new(args)))
    }

    fn subscript(&mut self, node: Expr) -> Result<Expr> {
        let start = node.loc;
        if self.skip_op(".") {
            let kind = match self.peek().clone() {
                Tok::Name(name) => {
                    self.next();
                    ExprKind::Attr(Box::new(node), name)
                }
                Tok::Number(number @ (Value::Int(_) | Value::Big(_))) => {
                    let loc = self.here();
                    self.next();
                    let index = self.make(loc, ExprKind::Const(number))?;
                    ExprKind::Item(Box::new(node), Box::new(index))
                }
                _ => return self.fail("expected name or number"),
            };
            return self.make(start, kind);
        }
        self.expect_op("[")?;
        let first = self.here();
        let mut items = Vec::new();
        while !self.is_op("]") {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            items.push(self.subscribed()?);
        }
        self.expect_op("]")?;
        let node = Box::new(node);
        let kind = match (items.len(), items.pop()) {
            (1, Some(Subscript::Item(item))) => ExprKind::Item(node, Box::new(item)),
            (1, Some(Subscript::Slice(parts))) => ExprKind::Slice(node, parts),
            (_, last) => {
                let mut all = Vec::new();
                for part in items.into_iter().chain(last) {
                    match part {
                        Subscript::Item(item) => all.push(item),
                        Subscript::Slice(_) => {
                            return self.fail_at("a slice cannot be part of a tuple", first);
                        }
                    }
                }
                let index = self.make(first, ExprKind::Tuple(all))?;
                ExprKind::Item(node, Box::new(index))
            }
        };
        self.make(start, kind)
    }

    fn subscribed(&mut self) -> Result<Subscript> {
        let begin = if self.skip_op(":") {
            None
        } else {
            let node = self.expression()?;
            if !self.skip_op(":") {
                return Ok(Subscript::Item(node));
            }
            Some(node)
        };
        let end = if self.is_op(":") || self.is_op("]") || self.is_op(",") {
            None
        } else {
            Some(self.expression()?)
        };
        let step = if self.skip_op(":") && !self.is_op("]") && !self.is_op(",") {
            Some(self.expression()?)
        } else {
            None
        };
        Ok(Subscript::Slice(Box::new([begin, end, step])))
    }

    fn call_args(&mut self) -> Result<CallArgs> {
        self.expect_op("(")?;
        let mut args = CallArgs::default();
        let mut first = true;
        while !self.is_op(")") {
            if !first {
                self.expect_op(",")?;
                if self.is_op(")") {
                    break;
                }
            }
            first = false;
            let loc = self.here();
            let wrong = |p: &Self| p.fail_at("invalid syntax for function call expression", loc);
            if self.skip_op("*") {
                if args.star.is_some() || args.star_star.is_some() {
                    return wrong(self);
                }
                args.star = Some(self.expression()?);
            } else if self.skip_op("**") {
                if args.star_star.is_some() {
                    return wrong(self);
                }
                args.star_star = Some(self.expression()?);
            } else if let (Tok::Name(name), Tok::Op("=")) = (self.peek().clone(), self.look().clone()) {
                if args.star_star.is_some() {
                    return wrong(self);
                }
                self.next();
                self.next();
                let value = self.expression()?;
                args.named.push((name, value));
            } else {
                if args.star.is_some() || args.star_star.is_some() || !args.named.is_empty() {
                    return wrong(self);
                }
                args.positional.push(self.expression()?);
            }
        }
        self.expect_op(")")?;
        Ok(args)
    }

    fn dotted_name(&mut self) -> Result<Arc<str>> {
        let first = self.expect_name()?;
        if !self.is_op(".") {
            return Ok(first);
        }
        let mut name = first.to_string();
        while self.skip_op(".") {
            name.push('.');
            name.push_str(&self.expect_name()?);
        }
        Ok(Arc::from(name))
    }

    fn filter_call(&mut self) -> Result<FilterCall> {
        let start = self.here();
        let name = self.dotted_name()?;
        let args = if self.is_op("(") { self.call_args()? } else { CallArgs::default() };
        let loc = self.since(start);
        let filter = filters::find(&name);
        if filter.is_none() {
            self.unknown.push((format!("No filter named {}.", str_repr(&name)), loc));
        }
        Ok(FilterCall { name, filter, args, loc })
    }

    fn test(&mut self, node: Expr) -> Result<Expr> {
        let start = node.loc;
        self.next();
        let negated = self.skip_name("not");
        let at = self.here();
        let name = self.dotted_name()?;
        let mut args = CallArgs::default();
        if self.is_op("(") {
            args = self.call_args()?;
        } else {
            let takes = match self.peek() {
                Tok::Name(next) => !matches!(&**next, "else" | "or" | "and" | "if" | "in" | "not"),
                Tok::Text(_) | Tok::Number(_) | Tok::Op("(" | "[" | "{") => true,
                _ => false,
            };
            if takes {
                if self.is_name("is") {
                    return self.fail("You cannot chain multiple tests with is");
                }
                let argument = self.primary()?;
                args.positional.push(self.postfix(argument)?);
            }
        }
        let loc = self.since(at);
        let test = tests::find(&name);
        if test.is_none() {
            self.unknown.push((format!("No test named {}.", str_repr(&name)), loc));
        }
        let call = TestCall { name, test, args, negated, loc };
        self.make(start, ExprKind::Test(Box::new(node), Box::new(call)))
    }
}

enum Subscript {
    Item(Expr),
    Slice(Box<[Option<Expr>; 3]>),
}
