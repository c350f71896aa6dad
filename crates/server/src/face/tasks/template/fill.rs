//! Filling templates in.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Part, Path, Reads, Roots, Template};

/// What a path may find; `None` is JavaScript's undefined.
pub(crate) trait Scope {
    /// The value of a root other than `steps`.
    fn root(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// What a step is seen to have given.
    fn step(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// All that have ended, together.
    fn all_steps(&self) -> Option<Cow<'_, Value>>;
}

/// The templates of one input ask for more than a backend could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("with its templates filled in, the input is larger than {} MiB", Filler::MOST_BYTES >> 20)]
pub(crate) struct TooLarge;

/// Fills templates in, up to a size: a few hundred bytes could ask for gigabytes.
pub(crate) struct Filler<'s> {
    scope: &'s dyn Scope,
    roots: Roots,
    left: usize,
}

impl<'s> Filler<'s> {
    /// Most that templates may add to an input, roughly.
    pub const MOST_BYTES: usize = 16 << 20;

    pub fn new(scope: &'s dyn Scope, roots: Roots) -> Self {
        Self {
            scope,
            roots,
            left: Self::MOST_BYTES,
        }
    }

    /// The object with every template in it filled in; keys are none.
    pub fn object(&mut self, map: &Map<String, Value>) -> Result<Map<String, Value>, TooLarge> {
        let mut filled = Map::new();
        for (key, value) in map {
            if let Some(value) = self.value(value)? {
                filled.insert(key.clone(), value);
            }
        }
        Ok(filled)
    }

    fn value(&mut self, value: &Value) -> Result<Option<Value>, TooLarge> {
        Ok(Some(match value {
            Value::String(text) => match Template::parse(text, self.roots) {
                Template::Literal => value.clone(),
                Template::Whole(path) => return self.take(path),
                Template::Mixed(parts) => Value::String(self.text(&parts)?),
            },
            Value::Array(items) => {
                let filled = items.iter().map(|item| Ok(self.value(item)?.unwrap_or_default()));
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => Value::Object(self.object(map)?),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }))
    }

    fn take(&mut self, path: Path<'_>) -> Result<Option<Value>, TooLarge> {
        let Some(value) = find(path, self.scope) else {
            return Ok(None);
        };
        self.charge(weight(&value, self.left))?;
        Ok(Some(value.into_owned()))
    }

    /// Strings as they are, nothing and null as nothing, the rest as compact JSON.
    fn text(&mut self, parts: &[Part<'_>]) -> Result<String, TooLarge> {
        let mut text = String::new();
        for part in parts {
            let before = text.len();
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Path(path) => match find(*path, self.scope).as_deref() {
                    None | Some(Value::Null) => {}
                    Some(Value::String(value)) => text.push_str(value),
                    Some(value) => text.push_str(&value.to_string()),
                },
            }
            self.charge(text.len() - before)?;
        }
        Ok(text)
    }

    fn charge(&mut self, bytes: usize) -> Result<(), TooLarge> {
        self.left = self.left.checked_sub(bytes).ok_or(TooLarge)?;
        Ok(())
    }
}

/// What a path leads to.
pub(crate) fn find<'s>(path: Path<'_>, scope: &'s dyn Scope) -> Option<Cow<'s, Value>> {
    let (value, taken) = match path.reads() {
        Reads::Step(name) => (scope.step(name)?, 2),
        Reads::AllSteps => (scope.all_steps()?, 1),
        Reads::NoStep => (scope.root(path.root())?, 1),
    };
    path.parts().skip(taken).try_fold(value, |value, part| match value {
        Cow::Borrowed(value) => property(value, part),
        Cow::Owned(value) => property(&value, part).map(|found| Cow::Owned(found.into_owned())),
    })
}

fn property<'v>(value: &'v Value, name: &str) -> Option<Cow<'v, Value>> {
    match value {
        Value::Object(map) => map.get(name).map(Cow::Borrowed),
        Value::Array(items) if name == "length" => Some(Cow::Owned(items.len().into())),
        Value::Array(items) => items.get(index(name)?).map(Cow::Borrowed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A number as an index is written: `01` and `+1` are other names.
pub(crate) fn index(name: &str) -> Option<usize> {
    let index: usize = name.parse().ok()?;
    (index.to_string() == name).then_some(index)
}

/// Roughly how large a value is in memory; more than `limit` is not counted out.
fn weight(value: &Value, limit: usize) -> usize {
    const NODE: usize = size_of::<Value>();
    let (mut open, mut sum) = (vec![value], 0usize);
    while let Some(value) = open.pop() {
        sum += NODE;
        match value {
            Value::String(text) => sum += text.len(),
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                sum += map.keys().map(|key| key.len() + NODE).sum::<usize>();
                open.extend(map.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if sum > limit {
            break;
        }
    }
    sum
}
