//! What a template reads, without running it; and which name a mistyped one may have meant.
//!
//! Conservative: a name that some path may read counts as read.

use crate::ast::*;
use crate::engine::Engine;
use crate::error::Result;
use quorate_value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a template reads of the caller's variables and of the world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Names of variables.
    pub names: BTreeSet<Arc<str>>,
    /// Paths below variables as far as they are literal: `["hostvars", "db1", "port"]`. `None` is a computed step.
    pub paths: BTreeSet<Vec<Option<Arc<str>>>>,
    /// Names of lookups; `None` for a computed one.
    pub lookups: BTreeSet<Option<Arc<str>>>,
    /// Names of filters and tests.
    pub plugins: BTreeSet<Arc<str>>,
    /// Whether other templates are included, imported or extended.
    pub templates: bool,
}

impl Reads {
    /// Whether the outcome depends on nothing at all.
    pub fn is_constant(&self) -> bool {
        const VARYING: [&str; 3] = ["random", "shuffle", "password_hash"];
        let pure = |name: &Arc<str>| !VARYING.contains(&name.trim_start_matches("ansible.builtin."));
        self.names.is_empty() && self.lookups.is_empty() && !self.templates && self.plugins.iter().all(pure)
    }

    /// Whether this variable is read.
    pub fn reads(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds what `other` reads.
    pub fn add(&mut self, other: &Reads) {
        self.names.extend(other.names.iter().cloned());
        self.paths.extend(other.paths.iter().cloned());
        self.lookups.extend(other.lookups.iter().cloned());
        self.plugins.extend(other.plugins.iter().cloned());
        self.templates |= other.templates;
    }
}

/// Names that every template may use without the caller giving them, and whose use is no read of a variable.
/// `now` and `lookup` are named by `names` or `lookups`, so that nobody takes their templates for constants.
const GLOBALS: [&str; 9] =
    ["range", "dict", "namespace", "cycler", "joiner", "omit", "undef", "super", "self"];

pub(crate) fn reads_of_tree(tree: &Tree) -> Reads {
    let mut walk = Walk { reads: Reads::default(), scopes: vec![BTreeSet::new()] };
    walk.body(&tree.body);
    for block in tree.blocks.values() {
        walk.scoped(|walk| walk.body(&block.body));
    }
    walk.reads
}

pub(crate) fn reads_of_expr(expr: &Expr) -> Reads {
    let mut walk = Walk { reads: Reads::default(), scopes: vec![BTreeSet::new()] };
    walk.expr(expr);
    walk.reads
}

pub(crate) fn reads_of_value(engine: &Engine, value: &Value) -> Result<Reads> {
    let mut reads = Reads::default();
    collect(engine, value, &mut reads)?;
    Ok(reads)
}

fn collect(engine: &Engine, value: &Value, reads: &mut Reads) -> Result<()> {
    match value {
        Value::Str(text) if text.is_template() => reads.add(engine.compile(text)?.reads()),
        Value::List(items) => items.iter().try_for_each(|item| collect(engine, item, reads))?,
        Value::Dict(entries) => entries.values().try_for_each(|item| collect(engine, item, reads))?,
        _ => {}
    }
    Ok(())
}

struct Walk {
    reads: Reads,
    /// Names that the template itself binds, per scope.
    scopes: Vec<BTreeSet<Arc<str>>>,
}

impl Walk {
    fn scoped(&mut self, inner: impl FnOnce(&mut Self)) {
        self.scopes.push(BTreeSet::new());
        inner(self);
        self.scopes.pop();
    }

    fn bind(&mut self, name: &Arc<str>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(Arc::clone(name));
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.bind(name),
            Target::Attr(name, ..) => self.name(name),
            Target::Tuple(targets, _) => targets.iter().for_each(|target| self.target(target)),
        }
    }

    fn name(&mut self, name: &Arc<str>) {
        if !self.is_bound(name) && !GLOBALS.contains(&&**name) {
            self.reads.names.insert(Arc::clone(name));
        }
    }

    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            self.stmt(stmt);
        }
    }

    fn macro_body(&mut self, definition: &Macro) {
        definition.defaults.iter().for_each(|default| self.expr(default));
        self.scoped(|walk| {
            for name in ["varargs", "kwargs", "caller"] {
                walk.bind(&Arc::from(name));
            }
            definition.params.iter().for_each(|param| walk.bind(param));
            walk.body(&definition.body);
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Text(_) | Stmt::Block(..) | Stmt::Break | Stmt::Continue => {}
            Stmt::Print(expr) | Stmt::Do(expr) => self.expr(expr),
            Stmt::For(definition) => {
                self.expr(&definition.iter);
                self.scoped(|walk| {
                    walk.target(&definition.target);
                    definition.filter.iter().for_each(|filter| walk.expr(filter));
                    walk.bind(&Arc::from("loop"));
                    walk.body(&definition.body);
                });
                self.scoped(|walk| walk.body(&definition.otherwise));
            }
            Stmt::If(branches, otherwise) => {
                // What only one branch sets may still come from outside in the other.
                let before = self.scopes.last().cloned().unwrap_or_default();
                let mut kept: Option<BTreeSet<Arc<str>>> = None;
                let mut meet = |walk: &mut Self, body: &[Stmt]| {
                    walk.body(body);
                    let after = walk.scopes.pop().unwrap_or_default();
                    walk.scopes.push(before.clone());
                    kept = Some(match kept.take() {
                        None => after,
                        Some(kept) => kept.intersection(&after).cloned().collect(),
                    });
                };
                for (test, body) in branches {
                    self.expr(test);
                    meet(self, body);
                }
                meet(self, otherwise);
                if let (Some(scope), Some(kept)) = (self.scopes.last_mut(), kept) {
                    *scope = kept;
                }
            }
            Stmt::Set(target, expr) => {
                self.expr(expr);
                self.target(target);
            }
            Stmt::SetBlock(target, chain, body) => {
                self.scoped(|walk| walk.body(body));
                for call in chain {
                    self.filter(call);
                }
                self.target(target);
            }
            Stmt::FilterBlock(chain, body) => {
                self.scoped(|walk| walk.body(body));
                for call in chain {
                    self.filter(call);
                }
            }
            Stmt::Macro(definition) => {
                self.bind(&definition.name);
                self.macro_body(definition);
            }
            Stmt::CallBlock(call, definition) => {
                self.expr(call);
                self.macro_body(definition);
            }
            Stmt::With(assignments, body) => self.scoped(|walk| {
                for (target, expr) in assignments {
                    walk.expr(expr);
                    walk.target(target);
                }
                walk.body(body);
            }),
            Stmt::Extends(expr) => {
                self.reads.templates = true;
                self.expr(expr);
            }
            Stmt::Include(include, _) => {
                self.reads.templates = true;
                self.expr(&include.template);
            }
            Stmt::Import(import, _) => {
                self.reads.templates = true;
                self.expr(&import.template);
                match &import.names {
                    ImportNames::Module(name) => self.bind(name),
                    ImportNames::Names(names) => names.iter().for_each(|(_, alias)| self.bind(alias)),
                }
            }
        }
    }

    fn args(&mut self, args: &CallArgs) {
        args.positional.iter().for_each(|expr| self.expr(expr));
        args.named.iter().for_each(|(_, expr)| self.expr(expr));
        args.star.iter().chain(&args.star_star).for_each(|expr| self.expr(expr));
    }

    fn filter(&mut self, call: &FilterCall) {
        self.reads.plugins.insert(Arc::clone(&call.name));
        // `map('filter')` and `select('test')` name a plug-in by text.
        if let Some(name) = call.args.positional.first().and_then(Expr::literal_text) {
            self.reads.plugins.insert(Arc::from(name));
        }
        self.args(&call.args);
    }

    /// The path an expression names, the variable first.
    fn path(&mut self, expr: &Expr) -> Option<Vec<Option<Arc<str>>>> {
        match &expr.kind {
            ExprKind::Name(name) => (!self.is_bound(name)).then(|| vec![Some(Arc::clone(name))]),
            ExprKind::Attr(object, name) => {
                let mut path = self.path(object)?;
                path.push(Some(Arc::clone(name)));
                Some(path)
            }
            ExprKind::Item(object, index) => {
                let mut path = self.path(object)?;
                path.push(match &index.kind {
                    ExprKind::Const(Value::Str(text)) => Some(Arc::from(text.as_str())),
                    ExprKind::Const(Value::Int(number)) => Some(Arc::from(number.to_string())),
                    _ => {
                        self.expr(index);
                        None
                    }
                });
                Some(path)
            }
            _ => None,
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Const(Value::Str(text)) if text.is_template() => {
                // A literal that a condition or a lookup may render: nobody knows what it reads.
                self.reads.lookups.insert(None);
            }
            ExprKind::Const(_) => {}
            ExprKind::Name(name) => self.name(name),
            ExprKind::List(items) | ExprKind::Tuple(items) | ExprKind::Concat(items) => {
                for item in items {
                    self.expr(item);
                }
            }
            ExprKind::Dict(entries) => entries.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            ExprKind::Unary(_, inner) => self.expr(inner),
            ExprKind::Binary(_, left, right) | ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Compare(first, rest) => {
                self.expr(first);
                for (_, expr) in rest {
                    self.expr(expr);
                }
            }
            ExprKind::Cond(both, otherwise) => {
                both.iter().for_each(|expr| self.expr(expr));
                if let Some(expr) = otherwise {
                    self.expr(expr);
                }
            }
            ExprKind::Attr(object, _) | ExprKind::Item(object, _) => {
                if let Some(path) = self.path(expr) {
                    if let Some(Some(name)) = path.first() {
                        let name = Arc::clone(name);
                        self.name(&name);
                    }
                    self.reads.paths.insert(path);
                } else {
                    self.expr(object);
                    if let ExprKind::Item(_, index) = &expr.kind {
                        self.expr(index);
                    }
                }
            }
            ExprKind::Slice(object, parts) => {
                self.expr(object);
                parts.iter().flatten().for_each(|part| self.expr(part));
            }
            ExprKind::Call(callee, args) => {
                match &callee.kind {
                    ExprKind::Name(name)
                        if matches!(&**name, "lookup" | "query" | "q") && !self.is_bound(name) =>
                    {
                        let lookup = args.positional.first().and_then(Expr::literal_text).map(Arc::from);
                        self.reads.lookups.insert(lookup);
                    }
                    _ => self.expr(callee),
                }
                self.args(args);
            }
            ExprKind::Filter(input, call) => {
                self.expr(input);
                self.filter(call);
            }
            ExprKind::Test(input, call) => {
                self.reads.plugins.insert(Arc::clone(&call.name));
                self.expr(input);
                self.args(&call.args);
            }
        }
    }
}

/// Names that a mistyped one may have meant, best first.
pub(crate) fn similar_names(wanted: &str, names: Vec<Arc<str>>) -> Vec<String> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, Arc<str>)> = names
        .into_iter()
        .filter(|name| name.len().abs_diff(wanted.len()) <= limit)
        .map(|name| (distance(wanted, &name), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(3).map(|(_, name)| name.to_string()).collect()
}

/// Edits (insert, delete, replace, swap neighbours) between two names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::{Span, Str};

    fn reads(text: &str) -> Reads {
        Engine::default().compile(&Str::written(text, Span::default())).unwrap().reads().clone()
    }

    #[test]
    fn names_that_come_from_outside() {
        for (text, expected) in [
            ("{{ a }}{{ b.c }}{{ d[e] }}", "a b d e"),
            ("{% set x = a %}{{ x }}", "a"),
            ("{% for i in a if i > b %}{{ i }}{{ loop.index }}{% endfor %}{{ i }}", "a b i"),
            ("{% if a %}{% set x = 1 %}{% endif %}{{ x }}", "a x"),
            ("{% if a %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}", "a"),
            ("{% macro m(p, q=a) %}{{ p }}{{ b }}{% endmacro %}{{ m(c) }}", "a b c"),
            ("{{ range(3) | map('extract', a) | list }}", "a"),
            ("{{ x | default(y) if z is defined else w }}", "w x y z"),
            ("{% with a = b %}{{ a }}{% endwith %}{{ a }}", "a b"),
            ("{{ 1 + 2 }}", ""),
        ] {
            let reads = reads(text);
            let names: Vec<&str> = reads.names.iter().map(|name| &**name).collect();
            assert_eq!(names.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn paths_and_lookups() {
        let reads = reads("{{ hostvars['db1'].port }}{{ hostvars[x]['y'] }}{{ lookup('env', 'HOME') }}");
        let shown: Vec<String> = reads
            .paths
            .iter()
            .map(|path| path.iter().map(|s| s.as_deref().unwrap_or("*")).collect::<Vec<_>>().join("."))
            .collect();
        assert_eq!(shown, ["hostvars.*.y", "hostvars.db1.port"]);
        assert!(reads.reads("x") && reads.lookups.contains(&Some(Arc::from("env"))));
        assert!(!reads.is_constant());
    }

    #[test]
    fn names_that_were_meant() {
        let names = || ["etcd_port", "etcd_ports", "etc", "unrelated"].map(Arc::from).to_vec();
        assert_eq!(similar_names("etcd_prot", names()), ["etcd_port", "etcd_ports"]);
        assert!(similar_names("x", names()).is_empty());
    }
}
