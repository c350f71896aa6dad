//! The templates of a task's steps: `{{payload.url}}`, `{{steps.fetch.items.0}}`, `{{item}}`, `{{index}}`.
//!
//! The language is the original's, and so are its values: a string that is one template becomes what its path leads to,
//! with its type, and a path that leads nowhere gives JavaScript's *undefined*, which in an object leaves the key out and
//! in a list is null. A path is cut at its dots; lists are indexed by plain numbers and have a `length`, and nothing else
//! has properties. What the original had no use for is added: templates inside of other text, and in objects and lists
//! below an input.
//!
//! Text around a template tells a prompt about `{{name}}` from a template: there only the roots that this face knows are
//! filled in, and everything else stays as it is written.
//!
//! None of this is ever seen by the engine, whose templates have another language with the same braces.

mod fill;

use serde_json::Value;

pub(crate) use fill::{Filler, Scope, find, index};

/// Names that a path may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roots(&'static [&'static str]);

impl Roots {
    /// In a step.
    pub const STEP: Self = Self(&["payload", STEPS]);
    /// In a step that runs for each of several items.
    pub const ITEM: Self = Self(&["payload", STEPS, "item", "index"]);

    fn knows(self, path: Path<'_>) -> bool {
        self.0.contains(&path.root())
    }
}

/// The root of what steps have given.
pub(crate) const STEPS: &str = "steps";

/// What stands between two pairs of braces, without the space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path<'t>(&'t str);

impl<'t> Path<'t> {
    pub fn parts(self) -> impl Iterator<Item = &'t str> {
        self.0.split('.')
    }

    pub fn root(self) -> &'t str {
        self.parts().next().unwrap_or_default()
    }

    /// Which step's result it reads.
    pub fn reads(self) -> Reads<'t> {
        let mut parts = self.parts();
        match (parts.next(), parts.next()) {
            (Some(STEPS), Some(name)) => Reads::Step(name),
            (Some(STEPS), None) => Reads::AllSteps,
            _ => Reads::NoStep,
        }
    }
}

/// What of the steps' results a path reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads<'t> {
    NoStep,
    Step(&'t str),
    AllSteps,
}

/// A piece of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    Text(&'t str),
    Path(Path<'t>),
}

impl Part<'_> {
    pub fn is_path(&self) -> bool {
        matches!(self, Self::Path(_))
    }
}

/// A string, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Template<'t> {
    /// There is no template in it.
    Literal,
    /// It is one template, and keeps the type of its value.
    Whole(Path<'t>),
    /// It is text with templates in it.
    Mixed(Vec<Part<'t>>),
}

impl<'t> Template<'t> {
    /// Never fails: what cannot be read as a template is text.
    pub fn parse(text: &'t str, roots: Roots) -> Self {
        if let Some(path) = whole(text) {
            return Self::Whole(path);
        }
        let (mut parts, mut rest, mut from) = (Vec::new(), text, 0);
        while let Some(open) = rest[from..].find("{{").map(|at| from + at) {
            let Some(inside) = rest[open + 2..].find("}}") else {
                break;
            };
            let close = open + 2 + inside;
            let path = Path(rest[open + 2..close].trim());
            if !roots.knows(path) {
                // One brace on: of `{{{payload.x}}` the last two open.
                from = open + 1;
                continue;
            }
            if open > 0 {
                parts.push(Part::Text(&rest[..open]));
            }
            parts.push(Part::Path(path));
            (rest, from) = (&rest[close + 2..], 0);
        }
        if parts.is_empty() {
            return Self::Literal;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        Self::Mixed(parts)
    }

    /// The paths in it, in order.
    pub fn paths(&self) -> impl Iterator<Item = Path<'t>> {
        let (whole, parts) = match self {
            Self::Literal => (None, [].as_slice()),
            Self::Whole(path) => (Some(*path), [].as_slice()),
            Self::Mixed(parts) => (None, parts.as_slice()),
        };
        let mixed = parts.iter().filter_map(|part| match part {
            Part::Path(path) => Some(*path),
            Part::Text(_) => None,
        });
        whole.into_iter().chain(mixed)
    }
}

/// The path of a string that is one template, whatever its root.
pub(crate) fn whole(text: &str) -> Option<Path<'_>> {
    let inside = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let is_one = !inside.contains("{{") && !inside.contains("}}");
    is_one.then(|| Path(inside.trim()))
}

/// Every path in the strings of a value, with the field that it stands in.
pub(crate) fn paths_in<'v>(field: &str, value: &'v Value, roots: Roots) -> Vec<(String, Path<'v>)> {
    let mut found = Vec::new();
    collect(field.to_owned(), value, roots, &mut found);
    found
}

fn collect<'v>(field: String, value: &'v Value, roots: Roots, found: &mut Vec<(String, Path<'v>)>) {
    match value {
        Value::String(text) => {
            let paths: Vec<Path<'v>> = Template::parse(text, roots).paths().collect();
            found.extend(paths.into_iter().map(|path| (field.clone(), path)));
        }
        Value::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                collect(format!("{field}[{nth}]"), item, roots, found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                collect(format!("{field}.{key}"), item, roots, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
