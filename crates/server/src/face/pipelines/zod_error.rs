//! What is wrong with a request's body, in the words and the shape that the original's clients know.
//!
//! The original checked bodies with Zod and answered `{"error":"Invalid request","details":…}`, where `details` is
//! Zod's formatted tree: the errors of a value under `_errors`, and below it one such tree for each field or index.
//! [`Findings`] gathers them, [`Fields`] reads an object with Zod's texts.
//!
//! One thing is laxer than Zod: a field that may be absent may also be null. Workers in other languages write out
//! every field that they have, and a callback that is refused is a lost result.

use serde_json::{Map, Value, json};

/// Findings kept of one body; one more is not looked for.
const KEPT: usize = 100;
/// Longest text of the client's that is repeated in an answer, in bytes.
const SHOWN: usize = 255;

/// What was found wrong so far, as a tree.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    count: usize,
    root: Tree,
}

#[derive(Debug, Default)]
struct Tree {
    errors: Vec<String>,
    below: Vec<(String, Tree)>,
}

/// Where a value stands in the body: names of fields and indices, outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub fn root() -> Self {
        Self::default()
    }

    /// A field or an index below this place.
    pub fn at(&self, segment: impl ToString) -> Self {
        let mut path = self.clone();
        path.0.push(segment.to_string());
        path
    }

    /// The segments joined by dots, as errors about inputs name their field.
    pub fn dotted(&self) -> String {
        self.0.join(".")
    }
}

impl Findings {
    pub fn add(&mut self, path: &Path, message: impl Into<String>) {
        if self.count == KEPT {
            return;
        }
        self.count += 1;
        let leaf = path.0.iter().fold(&mut self.root, |tree, segment| tree.below(segment));
        leaf.errors.push(message.into());
    }

    pub fn is_any(&self) -> bool {
        self.count > 0
    }

    /// The `details` of the answer.
    pub fn details(&self) -> Value {
        self.root.to_value()
    }

    /// The whole body of the answer, to be sent with status 400.
    pub fn body(&self) -> Value {
        json!({ "error": "Invalid request", "details": self.details() })
    }
}

impl Tree {
    fn below(&mut self, segment: &str) -> &mut Tree {
        let segment = shortened(segment);
        let at = self.below.iter().position(|(name, _)| name == segment);
        let at = at.unwrap_or_else(|| {
            self.below.push((segment.to_owned(), Tree::default()));
            self.below.len() - 1
        });
        &mut self.below[at].1
    }

    /// Paths are as deep as the code that made them, so this recursion is bounded by it.
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("_errors".to_owned(), json!(self.errors));
        for (name, tree) in &self.below {
            map.insert(name.clone(), tree.to_value());
        }
        Value::Object(map)
    }
}

/// A text of the client's, as far as it is repeated in an answer.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

/// What Zod says when a value has the wrong type, or is missing.
pub(crate) fn expected(type_name: &str, value: Option<&Value>) -> String {
    match value {
        None => "Required".to_owned(),
        Some(value) => format!("Expected {type_name}, received {}", type_of(value)),
    }
}

/// Zod's name for the type of a value.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Bounds of a number, in Zod's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    least: f64,
    /// The least value is itself too low.
    above: bool,
    most: f64,
}

impl Range {
    pub const ANY: Self = Self {
        least: f64::NEG_INFINITY,
        above: false,
        most: f64::INFINITY,
    };

    pub const fn above(least: f64) -> Self {
        Self {
            least,
            above: true,
            ..Self::ANY
        }
    }

    pub const fn from(least: f64) -> Self {
        Self { least, ..Self::ANY }
    }

    pub const fn to(self, most: f64) -> Self {
        Self { most, ..self }
    }

    fn complaint(&self, number: f64) -> Option<String> {
        if self.above && number <= self.least {
            Some(format!("Number must be greater than {}", self.least))
        } else if number < self.least {
            Some(format!("Number must be greater than or equal to {}", self.least))
        } else if number > self.most {
            Some(format!("Number must be less than or equal to {}", self.most))
        } else {
            None
        }
    }
}

/// An object and where it stands.
pub(crate) struct Fields<'a> {
    path: Path,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The value as an object; anything else is a finding.
    pub fn of(value: Option<&'a Value>, path: Path, found: &mut Findings) -> Option<Self> {
        match value {
            Some(Value::Object(map)) => Some(Self { path, map }),
            other => {
                found.add(&path, expected("object", other));
                None
            }
        }
    }

    /// The path of a field.
    pub fn at(&self, name: &str) -> Path {
        self.path.at(name)
    }

    /// Whether the field is written at all, be it null.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The field, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A string that must be there.
    pub fn text(&self, name: &str, found: &mut Findings) -> Option<&'a str> {
        match self.map.get(name) {
            Some(Value::String(text)) => Some(text),
            other => {
                found.add(&self.at(name), expected("string", other));
                None
            }
        }
    }

    pub fn optional_text(&self, name: &str, found: &mut Findings) -> Option<&'a str> {
        self.get(name)?;
        self.text(name, found)
    }

    pub fn optional_number(&self, name: &str, range: Range, found: &mut Findings) -> Option<f64> {
        let value = self.get(name)?;
        let Some(number) = value.as_f64() else {
            found.add(&self.at(name), expected("number", Some(value)));
            return None;
        };
        match range.complaint(number) {
            None => Some(number),
            Some(complaint) => {
                found.add(&self.at(name), complaint);
                None
            }
        }
    }

    /// A number without a fraction, however it is written.
    pub fn optional_integer(&self, name: &str, range: Range, found: &mut Findings) -> Option<f64> {
        let number = self.optional_number(name, range, found)?;
        if number.fract() == 0.0 {
            return Some(number);
        }
        found.add(&self.at(name), "Expected integer, received float");
        None
    }

    pub fn optional_flag(&self, name: &str, found: &mut Findings) -> Option<bool> {
        let value = self.get(name)?;
        if !value.is_boolean() {
            found.add(&self.at(name), expected("boolean", Some(value)));
        }
        value.as_bool()
    }

    pub fn optional_object(&self, name: &str, found: &mut Findings) -> Option<&'a Map<String, Value>> {
        let value = self.get(name)?;
        if !value.is_object() {
            found.add(&self.at(name), expected("object", Some(value)));
        }
        value.as_object()
    }

    /// An array that must be there.
    pub fn list(&self, name: &str, found: &mut Findings) -> Option<&'a [Value]> {
        match self.map.get(name) {
            Some(Value::Array(list)) => Some(list),
            other => {
                found.add(&self.at(name), expected("array", other));
                None
            }
        }
    }

    pub fn optional_list(&self, name: &str, found: &mut Findings) -> Option<&'a [Value]> {
        self.get(name)?;
        self.list(name, found)
    }

    /// An array of strings; empty where it is absent.
    pub fn texts(&self, name: &str, found: &mut Findings) -> Vec<&'a str> {
        let list = self.optional_list(name, found).unwrap_or_default();
        let mut texts = Vec::with_capacity(list.len());
        for (nth, value) in list.iter().enumerate() {
            match value.as_str() {
                Some(text) => texts.push(text),
                None => found.add(&self.at(name).at(nth), expected("string", Some(value))),
            }
        }
        texts
    }

    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)], found: &mut Findings) -> Option<T> {
        let value = self.get(name)?;
        let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("'{word}'")).collect();
            let words = words.join(" | ");
            let message = match value {
                Value::String(text) => {
                    format!("Invalid enum value. Expected {words}, received '{}'", shortened(text))
                }
                other => expected(&words, Some(other)),
            };
            found.add(&self.at(name), message);
        }
        chosen.map(|(_, choice)| *choice)
    }
}

#[cfg(test)]
mod tests;
