//! Runs a compiled string against a scope.
//!
//! The evaluator walks the tree and charges its [`Budget`] for every node. Roots and steps are fetched from the scope
//! on first use and kept in the [`Arena`], so a template that reads one step asks for one step.

mod store;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::ast::{Args, Body, Const, Expr, For, Link, LinkKind, Program, Span, Stmt};
use super::budget::{Budget, Outcome, Stop};
use super::output::Out;
use super::secret::{MASK, MAX_SLOTS};
use super::value::{Arena, Built, Dict, List, Round, Slot, Val};
use super::{Scope, StepView};

/// The longest list that `range` makes.
const MAX_RANGE: i128 = 10_000;

pub(super) struct Eval<'a> {
    pub budget: Budget,
    scope: &'a dyn Scope,
    tail: Cell<&'a Slot>,
    roots: RefCell<Vec<(&'a str, Option<&'a Value>)>>,
    steps: RefCell<HashMap<&'a str, Option<&'a StepView>>>,
    frame: RefCell<Vec<Option<Val<'a>>>>,
    /// The link being evaluated: what a filter names when it gives an undefined value.
    here: Cell<Span>,
    /// Where secrets belong in the string being rendered.
    secrets: RefCell<Vec<(usize, &'a str)>>,
    secrets_left: Cell<usize>,
}

impl<'a> Eval<'a> {
    pub fn new(scope: &'a dyn Scope, arena: &'a Arena, budget: Budget) -> Self {
        Self {
            budget,
            scope,
            tail: Cell::new(arena.start()),
            roots: RefCell::default(),
            steps: RefCell::default(),
            frame: RefCell::default(),
            here: Cell::new(Span { start: 0, end: 0 }),
            secrets: RefCell::default(),
            secrets_left: Cell::new(MAX_SLOTS),
        }
    }

    /// Takes the places of the string that was rendered last: offset and name.
    pub fn take_secrets(&self) -> Vec<(usize, &'a str)> {
        self.secrets.take()
    }

    /// Renders one string to its typed value; `depth` is how deep in the result it will stand.
    pub fn render(&self, program: &'a Program, depth: usize) -> Outcome<Value> {
        self.start(program);
        match &program.body {
            Body::Value(expr) => {
                let value = self.eval(expr)?;
                self.materialize(&value, depth)
            }
            Body::Text(body) => {
                let mut out = Out::new(&self.budget);
                self.exec(body, &mut out)?;
                let text = out.finish();
                self.budget.emit(text.len())?;
                Ok(Value::String(text))
            }
        }
    }

    /// Evaluates one expression to its truth.
    pub fn test(&self, program: &'a Program) -> Outcome<bool> {
        self.start(program);
        match &program.body {
            Body::Value(expr) => self.truth(&self.eval(expr)?),
            Body::Text(_) => Err(Stop::invalid("not an expression")),
        }
    }

    fn start(&self, program: &Program) {
        self.budget.next_string();
        let mut frame = self.frame.borrow_mut();
        frame.clear();
        frame.resize(program.slots, None);
    }

    fn exec(&self, body: &'a [Stmt], out: &mut Out<'_>) -> Outcome<()> {
        for statement in body {
            self.budget.burn(1)?;
            match statement {
                Stmt::Raw(text) => out.push(text)?,
                Stmt::Emit(expr) => self.write(&self.eval(expr)?, out)?,
                Stmt::Secret(name) => self.leave_room(name, out)?,
                Stmt::Set(slot, expr) => {
                    let value = self.eval(expr)?;
                    self.store(*slot, value);
                }
                Stmt::If { branches, otherwise } => {
                    let mut chosen = otherwise;
                    for (condition, body) in branches {
                        if self.truth(&self.eval(condition)?)? {
                            chosen = body;
                            break;
                        }
                    }
                    self.exec(chosen, out)?;
                }
                Stmt::For(block) => self.repeat(block, out)?,
            }
        }
        Ok(())
    }

    fn leave_room(&self, name: &'a str, out: &mut Out<'_>) -> Outcome<()> {
        let left = self.secrets_left.get().checked_sub(1);
        let left = left.ok_or_else(|| Stop::Limit(format!("holds more than {MAX_SLOTS} secrets")))?;
        self.secrets_left.set(left);
        self.secrets.borrow_mut().push((out.len(), name));
        out.push(MASK)
    }

    fn repeat(&self, block: &'a For, out: &mut Out<'_>) -> Outcome<()> {
        let mut list = self.sequence(self.eval(&block.iterable)?, "for")?;
        if let Some(filter) = &block.filter {
            let mut kept = self.room(0)?;
            for item in list.iter() {
                self.bind(block, item.clone())?;
                if self.truth(&self.eval(filter)?)? {
                    self.budget.make(size_of::<Val<'_>>())?;
                    kept.push(item);
                }
            }
            list = List::Built(Rc::new(Built { items: kept, depth: 1 }));
        }
        if list.len() == 0 {
            return self.exec(&block.otherwise, out);
        }
        for (index, item) in list.iter().enumerate() {
            self.bind(block, item)?;
            self.store(
                block.loop_slot,
                Val::Loop(Round {
                    index,
                    length: list.len(),
                }),
            );
            self.exec(&block.body, out)?;
        }
        Ok(())
    }

    /// Starts a round: forgets what the last one set and names the item.
    fn bind(&self, block: &For, item: Val<'a>) -> Outcome<()> {
        self.budget.burn(1 + block.scope.len() / 16)?;
        self.frame.borrow_mut()[block.scope.clone()].fill(None);
        if let [target] = block.targets[..] {
            self.store(target, item);
            return Ok(());
        }
        match item {
            Val::List(parts) if parts.len() == block.targets.len() => {
                block
                    .targets
                    .iter()
                    .zip(parts.iter())
                    .for_each(|(target, part)| self.store(*target, part));
                Ok(())
            }
            other => Err(Stop::invalid(format!(
                "cannot unpack {} into {} names",
                other.kind(),
                block.targets.len()
            ))),
        }
    }

    fn store(&self, slot: usize, value: Val<'a>) {
        self.frame.borrow_mut()[slot] = Some(value);
    }

    pub fn eval(&self, expr: &'a Expr) -> Outcome<Val<'a>> {
        self.budget.burn(1)?;
        Ok(match expr {
            Expr::Const(Const::Null) => Val::Null,
            Expr::Const(Const::Bool(value)) => Val::Bool(*value),
            Expr::Const(Const::Int(value)) => Val::Int(*value),
            Expr::Const(Const::Float(value)) => Val::Float(*value),
            Expr::Const(Const::Text(text)) => Val::Str(text),
            Expr::Root { name, span } => self.root(name).map_or(Val::Undefined(*span), Val::of),
            Expr::Steps => Val::Steps,
            Expr::Local { slots, name, span } => {
                let set = slots.iter().find_map(|slot| self.frame.borrow()[*slot].clone());
                set.or_else(|| self.root(name).map(Val::of))
                    .unwrap_or(Val::Undefined(*span))
            }
            Expr::List(items) => {
                let mut list = self.room(items.len())?;
                for item in items {
                    list.push(self.eval(item)?);
                }
                self.pack(list)?
            }
            Expr::Map(entries) => self.map_literal(entries)?,
            Expr::Range(args) => self.range(args)?,
            Expr::Not(inner) => Val::Bool(!self.truth(&self.eval(inner)?)?),
            Expr::Neg(inner) => self.negate(self.eval(inner)?)?,
            Expr::All(parts) => self.until(parts, false)?,
            Expr::Any(parts) => self.until(parts, true)?,
            Expr::Concat(parts) => {
                let mut out = Out::new(&self.budget);
                for part in parts {
                    self.write(&self.eval(part)?, &mut out)?;
                }
                self.text(out.finish())?
            }
            Expr::Math(first, rest) => {
                let mut value = self.eval(first)?;
                for (op, operand) in rest {
                    value = self.math(*op, value, self.eval(operand)?)?;
                }
                value
            }
            Expr::Compare(first, rest) => {
                let mut left = self.eval(first)?;
                for (op, operand) in rest {
                    let right = self.eval(operand)?;
                    if !self.compare(*op, &left, &right)? {
                        return Ok(Val::Bool(false));
                    }
                    left = right;
                }
                Val::Bool(true)
            }
            Expr::If(choice) => {
                let chosen = if self.truth(&self.eval(&choice.test)?)? {
                    &choice.then
                } else {
                    &choice.otherwise
                };
                self.eval(chosen)?
            }
            Expr::Chain(base, links) => {
                let mut value = self.eval(base)?;
                for link in links {
                    value = self.link(value, link)?;
                }
                value
            }
        })
    }

    /// `and` stops at the first false operand, `or` at the first true one; both give that operand.
    fn until(&self, parts: &'a [Expr], stop: bool) -> Outcome<Val<'a>> {
        let mut value = Val::Null;
        for part in parts {
            value = self.eval(part)?;
            if self.truth(&value)? == stop {
                break;
            }
        }
        Ok(value)
    }

    fn map_literal(&self, entries: &'a [(Expr, Expr)]) -> Outcome<Val<'a>> {
        self.budget.make(entries.len() * size_of::<(&str, Val<'_>)>())?;
        let mut map: Vec<(&'a str, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Val::Str(key) = self.eval(key)? else {
                return Err(Stop::invalid("the key of an object must be a string"));
            };
            let value = self.eval(value)?;
            self.budget.burn(map.len() / 16)?;
            match map.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => map.push((key, value)),
            }
        }
        self.pack_map(map)
    }

    fn range(&self, args: &'a [Expr]) -> Outcome<Val<'a>> {
        let mut bounds = [0i128; 3];
        for (bound, arg) in bounds.iter_mut().zip(args) {
            *bound = self.integer(&self.eval(arg)?, "range")?;
        }
        let (start, stop, step) = match args.len() {
            1 => (0, bounds[0], 1),
            2 => (bounds[0], bounds[1], 1),
            _ => (bounds[0], bounds[1], bounds[2]),
        };
        if step == 0 {
            return Err(Stop::invalid("the step of range must not be 0"));
        }
        let span = if step > 0 { stop - start } else { start - stop };
        let length = if span <= 0 { 0 } else { (span - 1) / step.abs() + 1 };
        if length > MAX_RANGE {
            return Err(Stop::Limit(format!("makes a range longer than {MAX_RANGE}")));
        }
        let mut list = self.room(length as usize)?;
        list.extend((0..length).map(|index| Val::Int(start + index * step)));
        self.pack(list)
    }

    fn link(&self, value: Val<'a>, link: &'a Link) -> Outcome<Val<'a>> {
        self.budget.burn(1)?;
        match &link.kind {
            LinkKind::Field(name) => self.field(value, name, link.span),
            LinkKind::Index(index) => {
                let index = self.eval(index)?;
                self.index(value, index, link.span)
            }
            LinkKind::Slice(start, stop) => {
                let bound = |bound: &'a Option<Expr>| match bound {
                    Some(expr) => self.integer(&self.eval(expr)?, "a slice").map(Some),
                    None => Ok(None),
                };
                self.slice(self.defined(value)?, bound(start)?, bound(stop)?)
            }
            LinkKind::Filter(filter, args) => {
                let args = self.args(args, filter.takes_undefined)?;
                let value = if filter.takes_undefined {
                    value
                } else {
                    self.defined(value)?
                };
                self.here.set(link.span);
                (filter.run)(self, value, &args)
            }
            LinkKind::Check { check, negated, args } => {
                let args = self.args(args, false)?;
                let value = if check.takes_undefined {
                    value
                } else {
                    self.defined(value)?
                };
                Ok(Val::Bool((check.run)(self, &value, &args)? != *negated))
            }
        }
    }

    fn args(&self, args: &'a Args, takes_undefined: bool) -> Outcome<Vec<Option<Val<'a>>>> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(match arg {
                Some(expr) if takes_undefined => Some(self.eval(expr)?),
                Some(expr) => Some(self.defined(self.eval(expr)?)?),
                None => None,
            });
        }
        Ok(values)
    }

    /// A missing value stays missing however far it is walked, so `a.b.c | default(1)` works at every depth.
    pub fn field(&self, value: Val<'a>, name: &'a str, span: Span) -> Outcome<Val<'a>> {
        let found = match value {
            Val::Undefined(first) => return Ok(Val::Undefined(first)),
            Val::Map(map) => {
                if let Dict::Built(built) = &map {
                    self.budget.burn(built.items.len() / 16)?;
                }
                map.get(name)
            }
            Val::Steps => self.step(name).map(Val::Step),
            Val::Step(view) => view.field(name),
            Val::Loop(round) => round.field(name),
            _ => None,
        };
        Ok(found.unwrap_or(Val::Undefined(span)))
    }

    fn index(&self, value: Val<'a>, index: Val<'a>, span: Span) -> Outcome<Val<'a>> {
        match (value, index) {
            (_, Val::Undefined(missing)) => Err(Stop::Undefined(missing)),
            (value, Val::Str(name)) => self.field(value, name, span),
            (Val::Undefined(first), _) => Ok(Val::Undefined(first)),
            (Val::List(list), Val::Int(index)) => {
                let index = if index < 0 { index + list.len() as i128 } else { index };
                let found = usize::try_from(index).ok().and_then(|index| list.at(index));
                Ok(found.unwrap_or(Val::Undefined(span)))
            }
            (value, index) => Err(Stop::invalid(format!(
                "{} cannot be indexed by {}",
                value.kind(),
                index.kind()
            ))),
        }
    }

    /// The value, or an error that names the expression which did not find one.
    pub fn defined(&self, value: Val<'a>) -> Outcome<Val<'a>> {
        match value {
            Val::Undefined(span) => Err(Stop::Undefined(span)),
            value => Ok(value),
        }
    }

    /// What a filter gives when there is nothing to give, such as the first item of an empty list.
    pub fn nothing(&self) -> Val<'a> {
        Val::Undefined(self.here.get())
    }
}
