//! The templates of effects: `{{result.url}}`, `{{task.payload.id}}`, `{{jobId}}`, `{{error}}`, `{{progress}}`.
//!
//! The language is the original's: word characters and dots between the braces, no space; a path that cannot be
//! followed, or begins with another name, is left as it is written; what it leads to may be undefined or null and is
//! then nothing. Lists have plain numbers and `length`.
//!
//! The original put values into the text of the JSON, where a quote broke everything. Here the document is a tree, and
//! each string in it is filled in on its own. Two things are added: a string that is one template keeps the type of its
//! value, and an object inside of other text is written as JSON and not as `[object Object]`.

use std::borrow::Cow;
use std::io;

use serde_json::{Map, Value};

use super::super::template::index;

/// Most bytes that a text for people may have.
const LONGEST_TEXT: usize = 64 << 10;
/// Most bytes that templates may add to a tree.
const MOST_BYTES: usize = 1 << 20;

/// What templates can name; `None` is undefined.
#[derive(Debug)]
pub(super) struct Roots<'r> {
    pub task: &'r Value,
    pub job_id: Value,
    pub result: Option<Value>,
    pub error: Option<Value>,
    pub progress: Value,
}

/// With its templates filled in, the value is larger than may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("with its templates filled in, the task is larger than {} MiB", MOST_BYTES >> 20)]
pub(super) struct TooLarge;

/// What a path leads to.
enum Found<'v> {
    Nowhere,
    Nothing,
    Value(Cow<'v, Value>),
}

/// A piece of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    /// The path, and all of it with its braces.
    Path(&'t str, &'t str),
}

impl Roots<'_> {
    fn root(&self, name: &str) -> Option<Option<&Value>> {
        match name {
            "task" => Some(Some(self.task)),
            "jobId" => Some(Some(&self.job_id)),
            "result" => Some(self.result.as_ref()),
            "error" => Some(self.error.as_ref()),
            "progress" => Some(Some(&self.progress)),
            _ => None,
        }
    }

    fn find(&self, path: &str) -> Found<'_> {
        let mut parts = path.split('.');
        let Some(root) = self.root(parts.next().unwrap_or_default()) else {
            return Found::Nowhere;
        };
        let mut found = root.map(Cow::Borrowed);
        for part in parts {
            found = match found {
                Some(Cow::Borrowed(Value::Object(map))) => map.get(part).map(Cow::Borrowed),
                Some(Cow::Borrowed(Value::Array(items))) if part == "length" => Some(Cow::Owned(items.len().into())),
                Some(Cow::Borrowed(Value::Array(items))) => {
                    index(part).and_then(|index| items.get(index)).map(Cow::Borrowed)
                }
                _ => return Found::Nowhere,
            };
        }
        match found.filter(|value| !value.is_null()) {
            Some(value) => Found::Value(value),
            None => Found::Nothing,
        }
    }

    /// A text for people; too long a one is cut.
    pub fn text(&self, text: &str) -> String {
        let mut filled = String::new();
        for part in parts(text) {
            let written = self.write(part, &mut filled);
            if written.is_err() || filled.len() > LONGEST_TEXT {
                filled.truncate(filled.floor_char_boundary(LONGEST_TEXT));
                filled.push('…');
                break;
            }
        }
        filled
    }

    /// A tree with the templates in all of its strings filled in.
    pub fn tree(&self, value: &Value) -> Result<Value, TooLarge> {
        let mut left = MOST_BYTES;
        self.value(value, &mut left)
    }

    fn value(&self, value: &Value, left: &mut usize) -> Result<Value, TooLarge> {
        Ok(match value {
            Value::String(text) => match parts(text)[..] {
                [Part::Path(path, _)] => match self.find(path) {
                    Found::Nowhere => value.clone(),
                    Found::Nothing => Value::String(String::new()),
                    Found::Value(found) => {
                        charge(left, compact(&found, *left).ok_or(TooLarge)?.len())?;
                        found.into_owned()
                    }
                },
                _ => Value::String(self.string(text, left)?),
            },
            Value::Array(items) => {
                let filled = items.iter().map(|item| self.value(item, left));
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    filled.insert(self.string(key, left)?, self.value(value, left)?);
                }
                Value::Object(filled)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn string(&self, text: &str, left: &mut usize) -> Result<String, TooLarge> {
        let mut filled = String::new();
        for part in parts(text) {
            let before = filled.len();
            self.write(part, &mut filled)?;
            if matches!(part, Part::Path(..)) {
                charge(left, filled.len() - before)?;
            }
        }
        Ok(filled)
    }

    fn write(&self, part: Part<'_>, filled: &mut String) -> Result<(), TooLarge> {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Path(path, written) => match self.find(path) {
                Found::Nowhere => filled.push_str(written),
                Found::Nothing => {}
                Found::Value(value) => match value.as_ref() {
                    Value::String(text) => filled.push_str(text),
                    other => filled.push_str(&compact(other, MOST_BYTES).ok_or(TooLarge)?),
                },
            },
        }
        Ok(())
    }
}

fn charge(left: &mut usize, bytes: usize) -> Result<(), TooLarge> {
    *left = left.checked_sub(bytes).ok_or(TooLarge)?;
    Ok(())
}

/// Whether a string of the value holds a template that an effect would fill in.
pub(super) fn holds_template(value: &Value) -> bool {
    const ROOTS: [&str; 5] = ["task", "jobId", "result", "error", "progress"];
    let names_root = |part: &Part<'_>| match part {
        Part::Text(_) => false,
        Part::Path(path, _) => ROOTS.contains(&path.split('.').next().unwrap_or_default()),
    };
    match value {
        Value::String(text) => parts(text).iter().any(names_root),
        Value::Array(items) => items.iter().any(holds_template),
        Value::Object(map) => map.values().any(holds_template),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Cuts a string at its templates.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest, mut from) = (Vec::new(), text, 0);
    while let Some(open) = rest[from..].find("{{").map(|at| from + at) {
        let Some(path) = path(&rest[open + 2..]) else {
            from = open + 1;
            continue;
        };
        if open > 0 {
            parts.push(Part::Text(&rest[..open]));
        }
        let close = open + path.len() + 4;
        parts.push(Part::Path(path, &rest[open..close]));
        (rest, from) = (&rest[close..], 0);
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// The path that a text begins with, if two braces close it.
fn path(text: &str) -> Option<&str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = text.find(|c| !is_path(c))?;
    let path = &text[..end];
    (text[end..].starts_with("}}") && path.split('.').all(|part| !part.is_empty())).then_some(path)
}

/// A value as compact JSON, unless that has more bytes than `limit`: then it is not written out.
pub(super) fn compact(value: &Value, limit: usize) -> Option<String> {
    struct Bounded {
        json: Vec<u8>,
        limit: usize,
    }
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.json.len() + bytes.len() > self.limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.json.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut bounded = Bounded {
        json: Vec::new(),
        limit,
    };
    serde_json::to_writer(&mut bounded, value).ok()?;
    String::from_utf8(bounded.json).ok()
}

#[cfg(test)]
mod tests;
