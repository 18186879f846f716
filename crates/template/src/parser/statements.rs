//! The statements of Jinja2's grammar.

use super::{Parser, Seen};
use crate::ast::*;
use crate::error::Result;
use crate::lexer::Tok;
use quorate_value::{Value, str_repr};
use std::sync::Arc;

impl Parser<'_> {
    /// Statements up to a tag named in `ends` (left standing) or the end of the template.
    pub(super) fn subparse(&mut self, ends: &'static [&'static str]) -> Result<Vec<Stmt>> {
        let mut body = Vec::new();
        if !ends.is_empty() {
            self.ends.push(ends);
        }
        loop {
            match self.peek().clone() {
                Tok::Data(text) => {
                    self.next();
                    body.push(Stmt::Text(text));
                }
                Tok::VariableBegin => {
                    self.next();
                    let expr = self.tuple(true, false)?;
                    if !matches!(self.peek(), Tok::VariableEnd) {
                        return self.expected("end of print statement");
                    }
                    self.next();
                    body.push(Stmt::Print(expr));
                }
                Tok::BlockBegin => {
                    self.next();
                    if matches!(self.peek(), Tok::Name(name) if ends.contains(&&**name)) {
                        self.ends.pop();
                        return Ok(body);
                    }
                    self.deeper(|p| p.statement(&mut body))?;
                    if !matches!(self.peek(), Tok::BlockEnd) {
                        return self.expected("end of statement block");
                    }
                    self.next();
                }
                Tok::Eof if ends.is_empty() => return Ok(body),
                Tok::Eof => return self.wrong_tag(None),
                other => return self.fail(format!("unexpected {}", str_repr(&other.describe()))),
            }
        }
    }

    /// The body of a block statement; the end tag's name is taken and given.
    fn body(&mut self, ends: &'static [&'static str]) -> Result<(Vec<Stmt>, Arc<str>)> {
        self.skip_op(":");
        if !matches!(self.peek(), Tok::BlockEnd) {
            return self.expected("end of statement block");
        }
        self.next();
        let body = self.subparse(ends)?;
        Ok((body, self.expect_name()?))
    }

    /// "Encountered unknown tag", with all that Jinja2 tells about it; nothing found means the end of the template.
    fn wrong_tag<T>(&self, found: Option<&str>) -> Result<T> {
        let mut message = match found {
            None => "Unexpected end of template.".to_owned(),
            Some(name) => format!("Encountered unknown tag {}.", str_repr(name)),
        };
        if let Some(looking) = self.ends.last() {
            let quoted: Vec<String> = looking.iter().map(|end| str_repr(end)).collect();
            let looking = quoted.join(" or ");
            let expected = found.is_some_and(|name| self.ends.iter().any(|ends| ends.contains(&name)));
            if expected {
                message.push_str(
                    " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for ",
                );
            } else {
                message.push_str(" Jinja was looking for the following tags: ");
            }
            message.push_str(&looking);
            message.push('.');
        }
        if let Some(tag) = self.tags.last() {
            message.push_str(" The innermost block that needs to be closed is ");
            message.push_str(&str_repr(tag));
            message.push('.');
        }
        self.fail(message)
    }

    fn statement(&mut self, body: &mut Vec<Stmt>) -> Result<()> {
        let Tok::Name(tag) = self.peek().clone() else {
            return self.fail("tag name expected");
        };
        let tag: &'static str = match &*tag {
            "for" => "for",
            "if" => "if",
            "set" => "set",
            "macro" => "macro",
            "call" => "call",
            "filter" => "filter",
            "with" => "with",
            "block" => "block",
            "extends" => "extends",
            "include" => "include",
            "import" => "import",
            "from" => "from",
            "print" => "print",
            "autoescape" => "autoescape",
            "do" if self.style.do_statement => "do",
            "break" if self.style.loop_controls => "break",
            "continue" if self.style.loop_controls => "continue",
            other => return self.wrong_tag(Some(other)),
        };
        self.next();
        self.tags.push(tag);
        match tag {
            "for" => body.push(self.for_loop()?),
            "if" => body.push(self.condition()?),
            "set" => body.push(self.set()?),
            "macro" => body.push(Stmt::Macro(self.macro_definition()?)),
            "call" => body.push(self.call_block()?),
            "filter" => {
                let chain = self.filter_chain(true)?;
                let (inner, _) = self.body(&["endfilter"])?;
                body.push(Stmt::FilterBlock(chain, inner));
            }
            "with" => body.push(self.with()?),
            "block" => body.push(self.block()?),
            "extends" => {
                self.extends = true;
                body.push(Stmt::Extends(self.expression()?));
            }
            "include" => body.push(self.include()?),
            "import" => body.push(self.import()?),
            "from" => body.push(self.import_from()?),
            "print" => {
                let mut first = true;
                while !matches!(self.peek(), Tok::BlockEnd) {
                    if !first {
                        self.expect_op(",")?;
                    }
                    first = false;
                    body.push(Stmt::Print(self.expression()?));
                }
            }
            "autoescape" => {
                // Accepted and without effect: Ansible never escapes by itself.
                self.expression()?;
                let (inner, _) = self.body(&["endautoescape"])?;
                body.extend(inner);
            }
            "do" => body.push(Stmt::Do(self.tuple(true, false)?)),
            "break" => body.push(Stmt::Break),
            _ => body.push(Stmt::Continue),
        }
        self.tags.pop();
        Ok(())
    }

    fn for_loop(&mut self) -> Result<Stmt> {
        let target = self.target(false)?;
        self.expect_keyword("in")?;
        let iter = self.tuple(false, false)?;
        let before = self.seen;
        let filter = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        let (body, end) = self.body(&["endfor", "else"])?;
        let uses_loop = recursive || self.seen.looping > before.looping;
        let otherwise = if &*end == "else" { self.body(&["endfor"])?.0 } else { Vec::new() };
        Ok(Stmt::For(Arc::new(For { target, iter, filter, body, otherwise, recursive, uses_loop })))
    }

    fn condition(&mut self) -> Result<Stmt> {
        let unknown = self.unknown.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let test = self.tuple(false, false)?;
            let (body, end) = self.body(&["elif", "else", "endif"])?;
            branches.push((test, body));
            match &*end {
                "elif" => {}
                "else" => {
                    otherwise = self.body(&["endif"])?.0;
                    break;
                }
                _ => break,
            }
        }
        // Plug-ins inside a branch may exist where the branch is taken; Jinja2 asks only then.
        self.unknown.truncate(unknown);
        Ok(Stmt::If(branches, otherwise))
    }

    fn set(&mut self) -> Result<Stmt> {
        let target = self.target(true)?;
        if self.skip_op("=") {
            return Ok(Stmt::Set(target, self.tuple(true, false)?));
        }
        let chain = self.filter_chain(false)?;
        let (body, _) = self.body(&["endset"])?;
        Ok(Stmt::SetBlock(target, chain, body))
    }

    fn filter_chain(&mut self, inline: bool) -> Result<Vec<FilterCall>> {
        let mut chain = Vec::new();
        if inline {
            chain.push(self.filter_call()?);
        }
        while self.skip_op("|") {
            chain.push(self.filter_call()?);
        }
        Ok(chain)
    }

    /// The left side of an assignment; only `set` may name an attribute of a namespace.
    fn target(&mut self, attributes: bool) -> Result<Target> {
        let start = self.here();
        if let (Tok::Name(name), Tok::Op(".")) = (self.peek().clone(), self.look().clone())
            && attributes
        {
            self.next();
            self.next();
            let attribute = self.expect_name()?;
            return Ok(Target::Attr(name, attribute, self.since(start)));
        }
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            if matches!(self.peek(), Tok::VariableEnd | Tok::BlockEnd | Tok::Op(")")) {
                break;
            }
            items.push(self.single_target()?);
            if !self.is_op(",") {
                break;
            }
            is_tuple = true;
        }
        match (is_tuple, items.pop()) {
            (false, Some(only)) => Ok(only),
            (false, None) => {
                let found = str_repr(&self.peek().describe());
                self.fail(format!("Expected an expression, got {found}"))
            }
            (true, last) => {
                items.extend(last);
                Ok(Target::Tuple(items, self.since(start)))
            }
        }
    }

    fn single_target(&mut self) -> Result<Target> {
        let start = self.here();
        if self.skip_op("(") {
            let inner = self.deeper(|p| p.target(false))?;
            self.expect_op(")")?;
            return Ok(match inner {
                Target::Tuple(items, _) => Target::Tuple(items, self.since(start)),
                other => other,
            });
        }
        let seen = self.seen;
        let node = self.primary()?;
        self.seen = seen;
        let what = match node.kind {
            ExprKind::Name(name) => return Ok(Target::Name(name)),
            ExprKind::Const(_) => "const",
            ExprKind::List(_) => "list",
            ExprKind::Dict(_) => "dict",
            _ => "expression",
        };
        self.fail_at(format!("can't assign to '{what}'"), start)
    }

    fn name_target(&mut self) -> Result<Arc<str>> {
        self.expect_name()
    }

    fn signature(&mut self) -> Result<(Vec<Arc<str>>, Vec<Expr>)> {
        self.expect_op("(")?;
        let mut params = Vec::new();
        let mut defaults = Vec::new();
        while !self.is_op(")") {
            if !params.is_empty() {
                self.expect_op(",")?;
            }
            params.push(self.name_target()?);
            if self.skip_op("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return self.fail("non-default argument follows default argument");
            }
        }
        self.expect_op(")")?;
        Ok((params, defaults))
    }

    fn finish_macro(
        &mut self,
        name: Arc<str>,
        (params, defaults): (Vec<Arc<str>>, Vec<Expr>),
        end: &'static [&'static str],
    ) -> Result<Arc<Macro>> {
        let before = self.seen;
        let (body, _) = self.body(end)?;
        let after = self.seen;
        // What a macro's body says about `varargs` is its own, `loop` too.
        self.seen = Seen { looping: after.looping, ..before };
        let has = |name: &str| params.iter().any(|param| &**param == name);
        Ok(Arc::new(Macro {
            uses_varargs: after.varargs > before.varargs && !has("varargs"),
            uses_kwargs: after.kwargs > before.kwargs && !has("kwargs"),
            uses_caller: after.caller > before.caller && !has("caller"),
            name,
            params,
            defaults,
            body,
        }))
    }

    fn macro_definition(&mut self) -> Result<Arc<Macro>> {
        let name = self.name_target()?;
        let signature = self.signature()?;
        self.finish_macro(name, signature, &["endmacro"])
    }

    fn call_block(&mut self) -> Result<Stmt> {
        let signature = if self.is_op("(") { self.signature()? } else { (Vec::new(), Vec::new()) };
        let call = self.expression()?;
        if !matches!(call.kind, ExprKind::Call(..)) {
            return self.fail_at("expected call", call.loc);
        }
        Ok(Stmt::CallBlock(call, self.finish_macro(Arc::from("caller"), signature, &["endcall"])?))
    }

    fn with(&mut self) -> Result<Stmt> {
        let mut assignments = Vec::new();
        while !matches!(self.peek(), Tok::BlockEnd | Tok::Eof) {
            if !assignments.is_empty() {
                self.expect_op(",")?;
            }
            let target = self.target(false)?;
            self.expect_op("=")?;
            assignments.push((target, self.expression()?));
        }
        let (body, _) = self.body(&["endwith"])?;
        Ok(Stmt::With(assignments, body))
    }

    fn block(&mut self) -> Result<Stmt> {
        let at = self.here();
        let name = self.expect_name()?;
        if self.blocks.contains_key(&name) {
            return self.fail_at(format!("block {} defined twice", str_repr(&name)), at);
        }
        let scoped = self.skip_name("scoped");
        let required = self.skip_name("required");
        if self.is_op("-") {
            return self.fail(
                "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.",
            );
        }
        // Taken before the body is read, so that a block of the same name inside is found out.
        self.blocks.insert(Arc::clone(&name), Arc::new(BlockDef { body: Vec::new(), required }));
        let (body, _) = self.body(&["endblock"])?;
        let only_blank = body.iter().all(|s| matches!(s, Stmt::Text(text) if text.trim().is_empty()));
        if required && !only_blank {
            return self.fail_at("Required blocks can only contain comments or whitespace", at);
        }
        self.skip_name(&name);
        self.blocks.insert(Arc::clone(&name), Arc::new(BlockDef { body, required }));
        Ok(Stmt::Block(name, scoped))
    }

    /// `with context` or `without context`.
    fn import_context(&mut self, default: bool) -> bool {
        let context = matches!(self.look(), Tok::Name(next) if &**next == "context");
        if context && (self.is_name("with") || self.is_name("without")) {
            let with = self.is_name("with");
            self.next();
            self.next();
            with
        } else {
            default
        }
    }

    fn include(&mut self) -> Result<Stmt> {
        let start = self.here();
        let template = self.expression()?;
        let missing = matches!(self.look(), Tok::Name(next) if &**next == "missing");
        let ignore_missing = missing && self.is_name("ignore");
        if ignore_missing {
            self.next();
            self.next();
        }
        let with_context = self.import_context(true);
        let loc = self.since(start);
        Ok(Stmt::Include(Box::new(Include { template, ignore_missing, with_context }), loc))
    }

    fn import(&mut self) -> Result<Stmt> {
        let start = self.here();
        let template = self.expression()?;
        self.expect_keyword("as")?;
        let names = ImportNames::Module(self.name_target()?);
        let with_context = self.import_context(false);
        let loc = self.since(start);
        Ok(Stmt::Import(Box::new(Import { template, names, with_context }), loc))
    }

    fn import_from(&mut self) -> Result<Stmt> {
        let start = self.here();
        let template = self.expression()?;
        self.expect_keyword("import")?;
        let mut names = Vec::new();
        let mut context = None;
        loop {
            let before = self.at;
            if !names.is_empty() || matches!(self.look(), Tok::Name(next) if &**next == "context") {
                let with = self.import_context(false);
                if self.at != before {
                    context = Some(with);
                    break;
                }
            }
            if !names.is_empty() && matches!(self.peek(), Tok::BlockEnd) {
                break;
            }
            let at = self.here();
            let name = self.name_target()?;
            if name.starts_with('_') {
                return self.fail_at("names starting with an underline can not be imported", at);
            }
            let alias = if self.skip_name("as") { self.name_target()? } else { Arc::clone(&name) };
            names.push((name, alias));
            let before = self.at;
            let with = self.import_context(false);
            if self.at != before {
                context = Some(with);
                break;
            }
            if !self.skip_op(",") {
                break;
            }
        }
        let loc = self.since(start);
        let names = ImportNames::Names(names);
        Ok(Stmt::Import(Box::new(Import { template, names, with_context: context.unwrap_or(false) }), loc))
    }
}

impl Expr {
    /// The text, if this is a literal string.
    pub(crate) fn literal_text(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Const(Value::Str(text)) => Some(text.as_str()),
            _ => None,
        }
    }
}
