//! Where a running template gets its data from, and where it keeps what it makes.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::super::StepView;
use super::super::budget::{Outcome, Stop};
use super::super::value::{Built, Dict, Held, List, Node, Slot, Val};
use super::Eval;

impl<'a> Eval<'a> {
    pub(super) fn root(&self, name: &'a str) -> Option<&'a Value> {
        if let Some((_, known)) = self.roots.borrow().iter().find(|(known, _)| *known == name) {
            return *known;
        }
        let found = self.scope.root(name).and_then(|value| self.keep(value));
        self.roots.borrow_mut().push((name, found));
        found
    }

    pub(in crate::expr) fn step(&self, key: &'a str) -> Option<&'a StepView> {
        if let Some(known) = self.steps.borrow().get(key) {
            return *known;
        }
        let found = self.scope.step(key).and_then(|view| match self.hold(Held::Step(view)) {
            Held::Step(view) => Some(view),
            _ => None,
        });
        self.steps.borrow_mut().insert(key, found);
        found
    }

    /// Keys of all steps, for templates that walk them.
    pub(in crate::expr) fn step_keys(&self) -> Outcome<Vec<&'a str>> {
        let keys = self.scope.step_keys();
        self.budget.burn(keys.len())?;
        keys.into_iter().map(|key| self.string(key)).collect()
    }

    fn hold(&self, held: Held) -> &'a Held {
        let slot: &'a Slot = self.tail.get();
        let node = slot.get_or_init(|| {
            Box::new(Node {
                held,
                next: Slot::new(),
            })
        });
        self.tail.set(&node.next);
        &node.held
    }

    /// Lets values point into `value` until the render ends.
    pub(in crate::expr) fn keep(&self, value: Arc<Value>) -> Option<&'a Value> {
        match self.hold(Held::Json(value)) {
            Held::Json(value) => Some(value),
            _ => None,
        }
    }

    /// Takes a string that the template made, charging for it.
    pub(in crate::expr) fn string(&self, text: String) -> Outcome<&'a str> {
        self.budget.fits(text.len())?;
        self.budget.make(text.len())?;
        match self.hold(Held::Text(text)) {
            Held::Text(text) => Ok(text),
            _ => Ok(""),
        }
    }

    pub(in crate::expr) fn text(&self, text: String) -> Outcome<Val<'a>> {
        self.string(text).map(Val::Str)
    }

    /// Charges for a list of `length` items and makes room for it.
    pub(in crate::expr) fn room(&self, length: usize) -> Outcome<Vec<Val<'a>>> {
        self.budget.burn(length)?;
        self.budget.make(length * size_of::<Val<'_>>())?;
        Ok(Vec::with_capacity(length))
    }

    pub(in crate::expr) fn pack(&self, items: Vec<Val<'a>>) -> Outcome<Val<'a>> {
        let depth = self.nest(items.iter().map(Val::depth).max())?;
        Ok(Val::List(List::Built(Rc::new(Built { items, depth }))))
    }

    pub(in crate::expr) fn pack_map(&self, items: Vec<(&'a str, Val<'a>)>) -> Outcome<Val<'a>> {
        let depth = self.nest(items.iter().map(|(_, value)| value.depth()).max())?;
        Ok(Val::Map(Dict::Built(Rc::new(Built { items, depth }))))
    }

    fn nest(&self, inner: Option<usize>) -> Outcome<usize> {
        let depth = inner.unwrap_or(0) + 1;
        let limit = self.budget.limits.depth;
        if depth > limit {
            Err(Stop::Limit(format!("nests values deeper than {limit}")))
        } else {
            Ok(depth)
        }
    }
}
