//! JMESPath, for `json_query`: the whole language over our own values, which keep their order and their marks.
//!
//! In: an expression and a value. Out: a value, `None` where the path leads nowhere.

use crate::error::{Error, Result};
use quorate_value::{Dict, Key, Value, compare};
use std::cmp::Ordering;

/// How deep expressions nest.
const MAX_DEPTH: usize = 100;

#[derive(Debug, Clone, PartialEq)]
enum Tok {
    Name(String),
    Quoted(String),
    Literal(Value),
    Number(i64),
    Op(&'static str),
    End,
}

#[derive(Debug, Clone)]
enum Node {
    Current,
    Field(String),
    Index(i64),
    Slice([Option<i64>; 3]),
    Literal(Value),
    Sub(Box<Node>, Box<Node>),
    Projection(Box<Node>, Box<Node>),
    Values(Box<Node>, Box<Node>),
    Filter(Box<Node>, Box<Node>, Box<Node>),
    Flatten(Box<Node>),
    List(Vec<Node>),
    Hash(Vec<(String, Node)>),
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(&'static str, Box<Node>, Box<Node>),
    Call(String, Vec<Node>),
    Reference(Box<Node>),
}

fn wrong(text: &str, what: &str) -> Error {
    Error::runtime(format!(
        "JMESPathError in json_query filter plugin:\nInvalid jmespath expression: {what}:\n\"{text}\""
    ))
}

/// The value an expression finds.
pub(crate) fn search(expression: &str, value: &Value) -> Result<Value> {
    let tokens = tokens(expression)?;
    let mut parser = Parser { text: expression, tokens, at: 0, depth: 0 };
    let node = parser.expression(0)?;
    if *parser.peek() != Tok::End {
        return Err(wrong(expression, "Parse error: unexpected token"));
    }
    eval(&node, value)
}

fn tokens(text: &str) -> Result<Vec<Tok>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        let (tok, length) = match c {
            'A'..='Z' | 'a'..='z' | '_' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (Tok::Name(rest[..end].to_owned()), end)
            }
            '0'..='9' | '-' => {
                let end = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + 1);
                match rest[..end].parse() {
                    Ok(number) => (Tok::Number(number), end),
                    Err(_) => return Err(wrong(text, "Bad jmespath expression: Unknown token '-'")),
                }
            }
            '"' => {
                let end = closing(rest, '"').ok_or_else(|| wrong(text, "Unclosed \" delimiter"))?;
                match crate::filters::read_json(&rest[..=end])? {
                    Value::Str(name) => (Tok::Quoted(name.to_string()), end + 1),
                    _ => return Err(wrong(text, "Bad jmespath expression")),
                }
            }
            '\'' => {
                let end = closing(rest, '\'').ok_or_else(|| wrong(text, "Unclosed ' delimiter"))?;
                let raw = rest[1..end].replace("\\'", "'");
                (Tok::Literal(Value::from(raw)), end + 1)
            }
            '`' => {
                let end = closing(rest, '`').ok_or_else(|| wrong(text, "Unclosed ` delimiter"))?;
                let raw = rest[1..end].replace("\\`", "`");
                // What is no JSON counts as text, as it always did.
                let value = crate::filters::read_json(raw.trim_start())
                    .unwrap_or_else(|_| Value::from(raw.trim_start()));
                (Tok::Literal(value), end + 1)
            }
            _ => {
                const OPS: [&str; 24] = [
                    "[?", "[]", "==", "!=", "<=", ">=", "&&", "||", "[", "]", "(", ")", "{", "}", ".", "*",
                    ",", ":", "@", "&", "|", "<", ">", "!",
                ];
                match OPS.iter().find(|op| rest.starts_with(**op)) {
                    Some(op) => (Tok::Op(op), op.len()),
                    None => {
                        return Err(wrong(text, &format!("Bad jmespath expression: Unknown token {c}")));
                    }
                }
            }
        };
        out.push(tok);
        rest = &rest[length..];
    }
    out.push(Tok::End);
    Ok(out)
}

/// The byte of the quote that closes the one at the beginning.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn power(tok: &Tok) -> u8 {
    match tok {
        Tok::Op("|") => 1,
        Tok::Op("||") => 2,
        Tok::Op("&&") => 3,
        Tok::Op("==" | "!=" | "<" | "<=" | ">" | ">=") => 5,
        Tok::Op("[]") => 9,
        Tok::Op("*") => 20,
        Tok::Op("[?") => 21,
        Tok::Op(".") => 40,
        Tok::Op("!") => 45,
        Tok::Op("{") => 50,
        Tok::Op("[") => 55,
        Tok::Op("(") => 60,
        _ => 0,
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Tok>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Tok {
        &self.tokens[self.at]
    }

    fn ahead(&self, by: usize) -> &Tok {
        &self.tokens[(self.at + by).min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Tok {
        let tok = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        tok
    }

    fn fail<T>(&self) -> Result<T> {
        let what = if *self.peek() == Tok::End { "Incomplete expression" } else { "Parse error" };
        Err(wrong(self.text, what))
    }

    fn expect(&mut self, op: &str) -> Result<()> {
        if matches!(self.peek(), Tok::Op(found) if *found == op) {
            self.next();
            return Ok(());
        }
        self.fail()
    }

    fn expression(&mut self, least: u8) -> Result<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH || self.at > 10_000 {
            return Err(wrong(self.text, "too many nested expressions"));
        }
        let mut left = self.begin()?;
        let mut chain = 0;
        while least < power(self.peek()) {
            chain += 1;
            if chain > 1000 {
                return Err(wrong(self.text, "too many nested expressions"));
            }
            left = self.go_on(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn begin(&mut self) -> Result<Node> {
        let current = || Box::new(Node::Current);
        match self.next() {
            Tok::Literal(value) => Ok(Node::Literal(value)),
            Tok::Name(name) | Tok::Quoted(name) => Ok(Node::Field(name)),
            Tok::Op("*") => {
                let right =
                    if matches!(self.peek(), Tok::Op("]")) { Node::Current } else { self.projected(20)? };
                Ok(Node::Values(current(), Box::new(right)))
            }
            Tok::Op("[?") => self.filter(Node::Current),
            Tok::Op("{") => self.hash(),
            Tok::Op("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Tok::Op("[]") => {
                let right = self.projected(9)?;
                Ok(Node::Projection(Box::new(Node::Flatten(current())), Box::new(right)))
            }
            Tok::Op("!") => Ok(Node::Not(Box::new(self.expression(45)?))),
            Tok::Op("[") => match (self.peek(), self.ahead(1)) {
                (Tok::Number(_) | Tok::Op(":"), _) => {
                    let index = self.index()?;
                    self.maybe_projected(Node::Current, index)
                }
                (Tok::Op("*"), Tok::Op("]")) => {
                    self.next();
                    self.next();
                    let right = self.projected(20)?;
                    Ok(Node::Projection(current(), Box::new(right)))
                }
                _ => self.list(),
            },
            Tok::Op("@") => Ok(Node::Current),
            Tok::Op("&") => Ok(Node::Reference(Box::new(self.expression(60)?))),
            _ => {
                self.at = self.at.saturating_sub(usize::from(*self.peek() != Tok::End));
                self.fail()
            }
        }
    }

    fn go_on(&mut self, left: Node) -> Result<Node> {
        let boxed = Box::new;
        match self.next() {
            Tok::Op(".") => {
                if matches!(self.peek(), Tok::Op("*")) {
                    self.next();
                    let right = self.projected(40)?;
                    return Ok(Node::Values(boxed(left), boxed(right)));
                }
                let right = self.after_dot(40)?;
                Ok(Node::Sub(boxed(left), boxed(right)))
            }
            Tok::Op("|") => Ok(Node::Sub(boxed(left), boxed(self.expression(1)?))),
            Tok::Op("||") => Ok(Node::Or(boxed(left), boxed(self.expression(2)?))),
            Tok::Op("&&") => Ok(Node::And(boxed(left), boxed(self.expression(3)?))),
            Tok::Op(op @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => {
                Ok(Node::Compare(op, boxed(left), boxed(self.expression(5)?)))
            }
            Tok::Op("(") => {
                let Node::Field(name) = left else { return self.fail() };
                let mut args = Vec::new();
                while !matches!(self.peek(), Tok::Op(")")) {
                    if !args.is_empty() {
                        self.expect(",")?;
                    }
                    args.push(self.expression(0)?);
                }
                self.expect(")")?;
                Ok(Node::Call(name, args))
            }
            Tok::Op("[?") => self.filter(left),
            Tok::Op("[]") => {
                let right = self.projected(9)?;
                Ok(Node::Projection(boxed(Node::Flatten(boxed(left))), boxed(right)))
            }
            Tok::Op("[") => {
                if matches!(self.peek(), Tok::Number(_) | Tok::Op(":")) {
                    let index = self.index()?;
                    return self.maybe_projected(left, index);
                }
                self.expect("*")?;
                self.expect("]")?;
                let right = self.projected(20)?;
                Ok(Node::Projection(boxed(left), boxed(right)))
            }
            _ => self.fail(),
        }
    }

    fn filter(&mut self, left: Node) -> Result<Node> {
        let condition = self.expression(0)?;
        self.expect("]")?;
        let right = if matches!(self.peek(), Tok::Op("[]")) { Node::Current } else { self.projected(21)? };
        Ok(Node::Filter(Box::new(left), Box::new(condition), Box::new(right)))
    }

    fn index(&mut self) -> Result<Node> {
        let mut parts = [None; 3];
        let mut part = 0;
        loop {
            match self.next() {
                Tok::Number(number) if parts[part].is_none() => parts[part] = Some(number),
                Tok::Op(":") if part < 2 => part += 1,
                Tok::Op("]") => break,
                _ => return self.fail(),
            }
        }
        match (part, parts[0]) {
            (0, Some(index)) => Ok(Node::Index(index)),
            (0, None) => self.fail(),
            _ => Ok(Node::Slice(parts)),
        }
    }

    fn maybe_projected(&mut self, left: Node, index: Node) -> Result<Node> {
        let slice = matches!(index, Node::Slice(_));
        let both = Node::Sub(Box::new(left), Box::new(index));
        if slice {
            let right = self.projected(20)?;
            return Ok(Node::Projection(Box::new(both), Box::new(right)));
        }
        Ok(both)
    }

    /// What a projection applies to each element.
    fn projected(&mut self, least: u8) -> Result<Node> {
        if power(self.peek()) < 10 {
            return Ok(Node::Current);
        }
        match self.peek() {
            Tok::Op("[" | "[?") => self.expression(least),
            Tok::Op(".") => {
                self.next();
                self.after_dot(least)
            }
            _ => self.fail(),
        }
    }

    fn after_dot(&mut self, least: u8) -> Result<Node> {
        match self.peek() {
            Tok::Name(_) | Tok::Quoted(_) | Tok::Op("*") => self.expression(least),
            Tok::Op("[") => {
                self.next();
                self.list()
            }
            Tok::Op("{") => {
                self.next();
                self.hash()
            }
            _ => self.fail(),
        }
    }

    fn list(&mut self) -> Result<Node> {
        let mut items = Vec::new();
        loop {
            items.push(self.expression(0)?);
            if matches!(self.peek(), Tok::Op("]")) {
                self.next();
                return Ok(Node::List(items));
            }
            self.expect(",")?;
        }
    }

    fn hash(&mut self) -> Result<Node> {
        let mut entries = Vec::new();
        loop {
            let (Tok::Name(key) | Tok::Quoted(key)) = self.next() else { return self.fail() };
            self.expect(":")?;
            entries.push((key, self.expression(0)?));
            if matches!(self.peek(), Tok::Op("}")) {
                self.next();
                return Ok(Node::Hash(entries));
            }
            self.expect(",")?;
        }
    }
}

fn is_false(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Str(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Dict(entries) => entries.is_empty(),
        _ => false,
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Big(_) | Value::Float(_))
}

fn same(a: &Value, b: &Value) -> bool {
    matches!(a, Value::Bool(_)) == matches!(b, Value::Bool(_)) && a == b
}

fn eval(node: &Node, value: &Value) -> Result<Value> {
    Ok(match node {
        Node::Current => value.clone(),
        Node::Field(name) => value.get(name).cloned().unwrap_or_default(),
        Node::Index(index) => match value {
            Value::List(items) => {
                let at = if *index < 0 { *index + items.len() as i64 } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).cloned().unwrap_or_default()
            }
            _ => Value::Null,
        },
        Node::Slice(parts) => match value {
            Value::List(items) => Value::list(slice(items, parts)?),
            _ => Value::Null,
        },
        Node::Literal(value) => value.clone(),
        Node::Sub(left, right) => eval(right, &eval(left, value)?)?,
        Node::Projection(left, right) => match eval(left, value)? {
            Value::List(items) => project(items.iter(), right)?,
            _ => Value::Null,
        },
        Node::Values(left, right) => match eval(left, value)? {
            Value::Dict(entries) => project(entries.values(), right)?,
            _ => Value::Null,
        },
        Node::Filter(left, condition, right) => match eval(left, value)? {
            Value::List(items) => {
                let mut kept = Vec::new();
                for item in items.iter() {
                    if !is_false(&eval(condition, item)?) {
                        kept.push(item.clone());
                    }
                }
                project(kept.iter(), right)?
            }
            _ => Value::Null,
        },
        Node::Flatten(inner) => match eval(inner, value)? {
            Value::List(items) => {
                let mut out = Vec::new();
                for item in items.iter() {
                    match item {
                        Value::List(inner) => out.extend(inner.iter().cloned()),
                        other => out.push(other.clone()),
                    }
                }
                Value::list(out)
            }
            _ => Value::Null,
        },
        Node::List(nodes) => match value {
            Value::Null => Value::Null,
            value => Value::list(nodes.iter().map(|node| eval(node, value)).collect::<Result<Vec<_>>>()?),
        },
        Node::Hash(entries) => match value {
            Value::Null => Value::Null,
            value => {
                let mut out = Dict::new();
                for (key, node) in entries {
                    out.insert(key.as_str(), eval(node, value)?);
                }
                Value::dict(out)
            }
        },
        Node::Or(left, right) => {
            let left = eval(left, value)?;
            if is_false(&left) { eval(right, value)? } else { left }
        }
        Node::And(left, right) => {
            let left = eval(left, value)?;
            if is_false(&left) { left } else { eval(right, value)? }
        }
        Node::Not(inner) => Value::Bool(is_false(&eval(inner, value)?)),
        Node::Compare(op, left, right) => {
            let (left, right) = (eval(left, value)?, eval(right, value)?);
            match *op {
                "==" => Value::Bool(same(&left, &right)),
                "!=" => Value::Bool(!same(&left, &right)),
                _ if !is_number(&left) || !is_number(&right) => Value::Null,
                op => {
                    let order = compare(&left, &right);
                    Value::Bool(match op {
                        "<" => order == Some(Ordering::Less),
                        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                        ">" => order == Some(Ordering::Greater),
                        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                    })
                }
            }
        }
        Node::Call(name, args) => call(name, args, value)?,
        Node::Reference(_) => Value::Null,
    })
}

fn project<'v>(items: impl Iterator<Item = &'v Value>, node: &Node) -> Result<Value> {
    let mut out = Vec::new();
    for item in items {
        let found = eval(node, item)?;
        if !found.is_null() {
            out.push(found);
        }
    }
    Ok(Value::list(out))
}

fn slice(items: &[Value], parts: &[Option<i64>; 3]) -> Result<Vec<Value>> {
    let step = parts[2].unwrap_or(1);
    if step == 0 {
        return Err(failure("slice step cannot be zero"));
    }
    let length = items.len() as i64;
    let clamp = |at: i64| {
        let at = if at < 0 { at.saturating_add(length) } else { at };
        if step > 0 { at.clamp(0, length) } else { at.clamp(-1, length - 1) }
    };
    let start = parts[0].map_or(if step > 0 { 0 } else { length - 1 }, clamp);
    let stop = parts[1].map_or(if step > 0 { length } else { -1 }, clamp);
    let mut out = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        out.push(items[at as usize].clone());
        at = at.saturating_add(step);
    }
    Ok(out)
}

fn failure(what: &str) -> Error {
    Error::runtime(format!("JMESPathError in json_query filter plugin:\n{what}"))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Omit => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Big(_) | Value::Float(_) => "number",
        Value::Str(_) | Value::Vault(_) => "string",
        Value::List(_) => "array",
        Value::Dict(_) => "object",
    }
}

fn invalid(function: &str, value: &Value, expected: &str) -> Error {
    failure(&format!(
        "In function {function}(), invalid type for value: expected one of: [{expected}], received: \"{}\"",
        type_of(value)
    ))
}

/// Numbers, or texts, in order; an error for a mixture.
fn ordered(function: &str, items: &[Value]) -> Result<()> {
    let Some(first) = items.first() else { return Ok(()) };
    if !is_number(first) && first.as_str().is_none() {
        return Err(invalid(function, first, "'array-string', 'array-number'"));
    }
    match items.iter().find(|item| type_of(item) != type_of(first)) {
        Some(other) => Err(invalid(function, other, "'array-string', 'array-number'")),
        None => Ok(()),
    }
}

fn call(name: &str, nodes: &[Node], value: &Value) -> Result<Value> {
    let count = match name {
        "abs" | "avg" | "ceil" | "floor" | "keys" | "length" | "max" | "min" | "reverse" | "sort" | "sum"
        | "to_array" | "to_number" | "to_string" | "type" | "values" => Some(1),
        "contains" | "ends_with" | "join" | "map" | "max_by" | "min_by" | "sort_by" | "starts_with" => {
            Some(2)
        }
        "merge" | "not_null" => None,
        _ => return Err(failure(&format!("Unknown function: {name}()"))),
    };
    if count.is_some_and(|count| count != nodes.len()) || nodes.is_empty() {
        return Err(failure(&format!(
            "Expected {} argument for function {name}(), received {}",
            count.unwrap_or(1),
            nodes.len()
        )));
    }
    let mut args = Vec::with_capacity(nodes.len());
    for node in nodes {
        args.push(eval(node, value)?);
    }
    let list = |at: usize| match &args[at] {
        Value::List(items) => Ok(items),
        other => Err(invalid(name, other, "'array'")),
    };
    let text = |at: usize| match &args[at] {
        Value::Str(text) => Ok(text),
        other => Err(invalid(name, other, "'string'")),
    };
    let float = |value: &Value| match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        other => Err(invalid(name, other, "'number'")),
    };
    let reference = |at: usize| match &nodes[at] {
        Node::Reference(inner) => Ok(&**inner),
        _ => Err(invalid(name, &args[at], "'expref'")),
    };
    let all_numbers = |items: &[Value]| -> Result<Value> {
        let mut whole = 0i64;
        let mut floats = 0.0;
        let mut any_float = false;
        for item in items {
            match item {
                Value::Int(number) => {
                    whole = whole.checked_add(*number).ok_or_else(|| failure("the sum is too big"))?;
                }
                other => {
                    any_float = true;
                    floats += float(other)?;
                }
            }
        }
        Ok(if any_float { Value::Float(whole as f64 + floats) } else { Value::Int(whole) })
    };
    Ok(match name {
        "abs" => match &args[0] {
            Value::Int(number) => Value::Int(number.saturating_abs()),
            other => Value::Float(float(other)?.abs()),
        },
        "avg" => {
            let items = list(0)?;
            if items.is_empty() {
                return Ok(Value::Null);
            }
            Value::Float(float(&all_numbers(items)?)? / items.len() as f64)
        }
        "ceil" => Value::Int(float(&args[0])?.ceil() as i64),
        "floor" => Value::Int(float(&args[0])?.floor() as i64),
        "contains" => match &args[0] {
            Value::List(items) => Value::Bool(items.iter().any(|item| same(item, &args[1]))),
            Value::Str(whole) => Value::Bool(args[1].as_str().is_some_and(|part| whole.contains(part))),
            other => return Err(invalid(name, other, "'array', 'string'")),
        },
        "ends_with" => Value::Bool(text(0)?.ends_with(text(1)?.as_str())),
        "starts_with" => Value::Bool(text(0)?.starts_with(text(1)?.as_str())),
        "join" => {
            let mut parts = Vec::new();
            for item in list(1)?.iter() {
                parts.push(item.as_str().ok_or_else(|| invalid(name, item, "'array-string'"))?);
            }
            Value::from(parts.join(text(0)?.as_str()))
        }
        "keys" | "values" => match &args[0] {
            Value::Dict(entries) if name == "keys" => entries.keys().map(Key::to_value).collect(),
            Value::Dict(entries) => entries.values().cloned().collect(),
            other => return Err(invalid(name, other, "'object'")),
        },
        "length" => match &args[0] {
            Value::Str(text) => Value::from(text.chars().count()),
            Value::List(items) => Value::from(items.len()),
            Value::Dict(entries) => Value::from(entries.len()),
            other => return Err(invalid(name, other, "'string', 'array', 'object'")),
        },
        "map" => {
            let node = reference(0)?;
            let items = list(1)?.iter().map(|item| eval(node, item));
            Value::list(items.collect::<Result<Vec<_>>>()?)
        }
        "max" | "min" => {
            let items = list(0)?;
            ordered(name, items)?;
            extreme(items.iter().map(|item| (item.clone(), item.clone())), name == "max")
        }
        "sort" => {
            let mut items = list(0)?.to_vec();
            ordered(name, &items)?;
            items.sort_by(|a, b| compare(a, b).unwrap_or(Ordering::Equal));
            Value::list(items)
        }
        "max_by" | "min_by" | "sort_by" => {
            let node = reference(1)?;
            let mut keyed = Vec::new();
            for item in list(0)?.iter() {
                keyed.push((eval(node, item)?, item.clone()));
            }
            let keys: Vec<Value> = keyed.iter().map(|(key, _)| key.clone()).collect();
            ordered(name, &keys)?;
            if name == "sort_by" {
                keyed.sort_by(|a, b| compare(&a.0, &b.0).unwrap_or(Ordering::Equal));
                keyed.into_iter().map(|(_, item)| item).collect()
            } else {
                extreme(keyed.into_iter(), name == "max_by")
            }
        }
        "merge" => {
            let mut out = Dict::new();
            for arg in &args {
                match arg {
                    Value::Dict(entries) => out.update(entries),
                    other => return Err(invalid(name, other, "'object'")),
                }
            }
            Value::dict(out)
        }
        "not_null" => args.into_iter().find(|arg| !arg.is_null()).unwrap_or_default(),
        "reverse" => match &args[0] {
            Value::Str(text) => Value::from(text.chars().rev().collect::<String>()),
            Value::List(items) => items.iter().rev().cloned().collect(),
            other => return Err(invalid(name, other, "'string', 'array'")),
        },
        "sum" => all_numbers(list(0)?)?,
        "to_array" => match &args[0] {
            list @ Value::List(_) => list.clone(),
            other => Value::list([other.clone()]),
        },
        "to_number" => match &args[0] {
            number if is_number(number) => number.clone(),
            Value::Str(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => Value::Int(number),
                (_, Ok(number)) => Value::Float(number),
                _ => Value::Null,
            },
            _ => Value::Null,
        },
        "to_string" => match &args[0] {
            text @ Value::Str(_) => text.clone(),
            other => {
                let style = quorate_value::JsonStyle { compact: true, ..quorate_value::JsonStyle::default() };
                Value::from(style.write(other))
            }
        },
        _ => Value::from(type_of(&args[0])),
    })
}

fn extreme(items: impl Iterator<Item = (Value, Value)>, largest: bool) -> Value {
    let wanted = if largest { Ordering::Greater } else { Ordering::Less };
    let best = items.reduce(|best, item| if compare(&item.0, &best.0) == Some(wanted) { item } else { best });
    best.map(|(_, item)| item).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::{from_json_str, to_json};

    #[test]
    fn the_language() {
        let data = from_json_str(
            r#"{"a": {"b": [1, 2, [3, 4]]}, "people": [{"n": "x", "g": 2}, {"n": "y", "g": 1}, {"n": "z"}], "k-k": 5}"#,
        )
        .unwrap();
        for (expression, expected) in [
            ("a.b[0]", "1"),
            ("a.b[-1][]", "[3, 4]"),
            ("a.b[]", "[1, 2, 3, 4]"),
            ("a.b[:2]", "[1, 2]"),
            ("a.b[::-1][0]", "[3]"),
            ("people[*].n", r#"["x", "y", "z"]"#),
            ("people[?g > `1`].n | [0]", r#""x""#),
            ("people[?g].g", "[2, 1]"),
            ("people[?n=='z' || g==`1`].n", r#"["y", "z"]"#),
            ("people[].{name: n, g: g}[0]", r#"{"name": "x", "g": 2}"#),
            ("people[0].{name: n, g: g}", r#"{"name": "x", "g": 2}"#),
            ("people[].[n, g] | [1]", r#"["y", 1]"#),
            ("*.b", "[[1, 2, [3, 4]]]"),
            ("\"k-k\"", "5"),
            ("sort_by(people[?g], &g)[].n", r#"["y", "x"]"#),
            ("max_by(people[?g], &g).n", r#""x""#),
            ("join('-', people[*].n)", r#""x-y-z""#),
            ("length(people)", "3"),
            ("nope.x[0].y", "null"),
            ("not_null(nope, `7`)", "7"),
            ("map(&n, people)", r#"["x", "y", "z"]"#),
            ("to_string(a)", r#""{\"b\":[1,2,[3,4]]}""#),
            ("!nope && `true`", "true"),
            ("a.b | [0]", "1"),
            ("people[?contains(n, 'x')].n | [0]", r#""x""#),
        ] {
            assert_eq!(to_json(&search(expression, &data).unwrap()), expected, "{expression}");
        }
        for expression in ["a.", "[?", "a[", "nope(a)", "sum(a)", "a b", "'x", "{a}", "a..b"] {
            assert!(search(expression, &data).is_err(), "{expression}");
        }
    }
}
