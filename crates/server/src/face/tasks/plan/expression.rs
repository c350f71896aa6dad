//! Paths of this face in the engine's language of expressions.
//!
//! Both languages walk JSON, but they differ where JavaScript is JavaScript: whether an empty list is true, what a list's
//! `length` is, that a number may be a key as well as an index. Texts that a user wrote stand in quotes here and nowhere
//! else, with braces written as escapes, so that nothing in them can be taken for markup.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::document::{RunWhen, Step};
use super::super::graph::{Graph, Mode};
use super::super::template::{Path, index};

/// What a path that leads nowhere is.
pub(super) const NOTHING: &str = "none";

/// A template of the engine that gives a field of a step.
pub(super) fn field(key: &str, field: &str) -> String {
    format!("{{{{ steps[{}].{field} }}}}", quoted(key))
}

/// The text as a literal.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '{' | '}' | '%' => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// Whether JavaScript calls the value true: objects and lists always are, also empty ones.
pub(super) fn truthy(value: &str) -> String {
    let other = format!("[{value}] | reject('mapping') | reject('in', [none, false, 0, '']) | length > 0");
    format!("{value} is mapping or {other}")
}

/// Translates the paths of one task.
pub(super) struct Reader<'c, 'd> {
    pub steps: &'c [Step<'d>],
    pub graph: &'c Graph<'d>,
    /// Ids of steps that run on demand, and are demanded.
    pub demanded: &'c BTreeSet<&'d str>,
}

impl Reader<'_, '_> {
    /// A path that begins with `payload`; another one, which is not `steps`, leads nowhere.
    pub fn of_payload(&self, path: Path<'_>) -> String {
        match path.root() {
            "payload" => walk("context.task.payload".to_owned(), path.parts().skip(1)),
            _ => NOTHING.to_owned(),
        }
    }

    /// A path into the result of the step at `first`.
    pub fn of_step(&self, first: usize, path: Path<'_>) -> String {
        walk(self.seen(first), path.parts().skip(2))
    }

    /// The results of all these steps.
    pub fn of_all(&self, all: &[usize]) -> String {
        let results = all.iter().map(|&first| match self.graph.mode {
            Mode::Sequence => self.seen(first),
            Mode::Graph => format!("{}: {}", quoted(&self.steps[first].id), self.seen(first)),
        });
        let results = results.collect::<Vec<_>>().join(", ");
        match self.graph.mode {
            Mode::Sequence => format!("[{results}]"),
            Mode::Graph => format!("{{{results}}}"),
        }
    }

    /// What a step is seen to have given: its output, or what stands for it.
    fn seen(&self, first: usize) -> String {
        let step = &self.steps[first];
        let key = quoted(&step.id);
        let mut seen = format!("steps[{key}].output");
        if step.is_optional {
            let error = format!("{{'error': steps[{key}].error, 'skipped': true}}");
            seen = format!("({error} if steps[{key}].status == 'error' else {seen})");
        }
        let skipped = match step.run_when {
            RunWhen::Always => return seen,
            RunWhen::OnDemand if self.demanded.contains(step.id.as_ref()) => return seen,
            RunWhen::OnDemand => "{'skipped': true, 'reason': 'on-demand'}".to_owned(),
            RunWhen::If(_) => {
                let condition = quoted(step.condition.unwrap_or_default());
                format!("{{'skipped': true, 'reason': 'condition-false', 'condition': {condition}}}")
            }
        };
        format!("({skipped} if steps[{key}].status == 'skipped' else {seen})")
    }
}

/// Follows the parts of a path; what is not there is null.
fn walk<'p>(from: String, parts: impl Iterator<Item = &'p str>) -> String {
    let mut parts = parts.peekable();
    let mut value = from;
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        value = match part {
            "length" if is_last => {
                let list = format!("({value} | default(none))");
                format!("({list} | length if {list} is sequence else {list}['length'])")
            }
            // A list's item or an object's field, whichever it is.
            _ if index(part).is_some() => format!("([{value}] | map(attribute='{part}', default=none))[0]"),
            _ => format!("{value}[{}]", quoted(part)),
        };
    }
    format!("({value} | default(none))")
}
