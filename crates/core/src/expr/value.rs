//! Values while a template runs.
//!
//! Data from the scope is borrowed, never converted: a [`Val`] of a 1 MiB object is a pointer to it. Only what a
//! template builds itself is allocated, and all of that is charged to the [`Eval`](super::eval::Eval)'s memory budget.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::StepView;
use super::ast::Span;

#[derive(Clone)]
pub(super) enum Val<'a> {
    /// Nothing was found; the span is the expression that did not find it.
    Undefined(Span),
    Null,
    Bool(bool),
    /// Always within what JSON integers hold here: `i64::MIN ..= u64::MAX`.
    Int(i128),
    /// Always finite.
    Float(f64),
    Str(&'a str),
    List(List<'a>),
    Map(Dict<'a>),
    Steps,
    Step(&'a StepView),
    Loop(Round),
}

/// The state of a `{% for %}` that its body sees as `loop`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub index: usize,
    pub length: usize,
}

#[derive(Clone)]
pub(super) enum List<'a> {
    Json(&'a [Value]),
    Built(Rc<Built<Val<'a>>>),
}

#[derive(Clone)]
pub(super) enum Dict<'a> {
    Json(&'a Map<String, Value>),
    Built(Rc<Built<(&'a str, Val<'a>)>>),
}

/// A container made by a template, with its depth, so that no loop can nest lists until their drop overflows the stack.
pub(super) struct Built<T> {
    pub items: Vec<T>,
    pub depth: usize,
}

impl<'a> Val<'a> {
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(*value),
            Value::Number(number) => Val::number(number),
            Value::String(text) => Val::Str(text),
            Value::Array(items) => Val::List(List::Json(items)),
            Value::Object(map) => Val::Map(Dict::Json(map)),
        }
    }

    fn number(number: &Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Val::Int(value.into()),
            (None, Some(value)) => Val::Int(value.into()),
            (None, None) => Val::Float(number.as_f64().unwrap_or_default()),
        }
    }

    /// What it is, with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Val::Undefined(_) => "an undefined value",
            Val::Null => "null",
            Val::Bool(_) => "a boolean",
            Val::Int(_) | Val::Float(_) => "a number",
            Val::Str(_) => "a string",
            Val::List(_) => "a list",
            Val::Map(_) | Val::Steps | Val::Step(_) | Val::Loop(_) => "an object",
        }
    }

    /// Depth of what the template itself built; borrowed data counts as one level.
    pub fn depth(&self) -> usize {
        match self {
            Val::List(List::Built(built)) => built.depth,
            Val::Map(Dict::Built(built)) => built.depth,
            _ => 1,
        }
    }
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Built(built) => built.items.len(),
        }
    }

    pub fn at(&self, index: usize) -> Option<Val<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Val::of),
            List::Built(built) => built.items.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Val<'a>> {
        (0..self.len()).filter_map(|index| self.at(index))
    }
}

impl<'a> Dict<'a> {
    pub fn len(&self) -> usize {
        match self {
            Dict::Json(map) => map.len(),
            Dict::Built(built) => built.items.len(),
        }
    }

    pub fn get(&self, key: &str) -> Option<Val<'a>> {
        match self {
            Dict::Json(map) => map.get(key).map(Val::of),
            Dict::Built(built) => built
                .items
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.clone()),
        }
    }

    /// All entries in order.
    pub fn entries(&self) -> Vec<(&'a str, Val<'a>)> {
        match self {
            Dict::Json(map) => map.iter().map(|(key, value)| (key.as_str(), Val::of(value))).collect(),
            Dict::Built(built) => built.items.clone(),
        }
    }
}

impl Round {
    pub fn field<'a>(self, name: &str) -> Option<Val<'a>> {
        let count = |count: usize| Val::Int(count as i128);
        Some(match name {
            "index" => count(self.index + 1),
            "index0" => count(self.index),
            "revindex" => count(self.length - self.index),
            "revindex0" => count(self.length - self.index - 1),
            "first" => Val::Bool(self.index == 0),
            "last" => Val::Bool(self.index + 1 == self.length),
            "length" => count(self.length),
            _ => return None,
        })
    }
}

impl StepView {
    pub(super) fn field(&self, name: &str) -> Option<Val<'_>> {
        Some(match name {
            "output" => Val::of(&self.output),
            "status" => Val::Str(self.status),
            "error" => self.error.as_deref().map_or(Val::Null, Val::Str),
            "code" => self.code.map_or(Val::Null, |code| Val::Int(code.into())),
            _ => return None,
        })
    }
}

/// Keeps everything alive that a running template points into: an append-only list whose entries never move.
#[derive(Default)]
pub(super) struct Arena {
    first: Slot,
}

pub(super) type Slot = OnceCell<Box<Node>>;

pub(super) struct Node {
    pub held: Held,
    pub next: Slot,
}

pub(super) enum Held {
    Json(Arc<Value>),
    Step(StepView),
    Text(String),
}

impl Arena {
    pub fn start(&self) -> &Slot {
        &self.first
    }
}

impl Drop for Arena {
    /// Unlinks one by one: dropping the chain as it stands would recurse once per entry.
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }
}
