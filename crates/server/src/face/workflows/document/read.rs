//! Reading fields of a document by their types; what is wrong is gathered under its path.

use serde_json::{Map, Value};

use super::{FieldError, FieldErrors};

/// Findings kept of one document; one more is not looked for.
const KEPT: usize = 100;

/// Longest time span, in milliseconds.
pub(super) const MAX_MS: u64 = 9_000_000_000_000;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<FieldError>,
}

impl Findings {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.list.len() < KEPT {
            self.list.push(FieldError {
                field: field.into(),
                message: message.into(),
            });
        }
    }

    pub fn is_any(&self) -> bool {
        !self.list.is_empty()
    }

    pub fn into_errors(self) -> FieldErrors {
        FieldErrors(self.list)
    }
}

/// An object and where it stands.
pub(super) struct Object<'a> {
    path: String,
    pub map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub fn new(path: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { path: path.into(), map }
    }

    /// The path of a field.
    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The field, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str, found: &mut Findings) -> Option<&'a str> {
        let value = self.get(name)?;
        if !value.is_string() {
            found.add(self.at(name), "must be a string");
        }
        value.as_str()
    }

    pub fn flag(&self, name: &str, found: &mut Findings) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                found.add(self.at(name), "must be true or false");
                false
            }
        }
    }

    /// A whole number within bounds.
    pub fn whole(&self, name: &str, least: u64, most: u64, found: &mut Findings) -> Option<u64> {
        let value = self.get(name)?;
        let number = whole(value).filter(|number| (least..=most).contains(number));
        if number.is_none() && most >= u64::from(u32::MAX) {
            found.add(self.at(name), format!("must be an integer >= {least}"));
        } else if number.is_none() {
            found.add(self.at(name), format!("must be an integer from {least} to {most}"));
        }
        number
    }

    /// A time span: `<name>_ms` as milliseconds, or `<name>` as seconds or as a text such as `30s`.
    pub fn duration(&self, name: &str, found: &mut Findings) -> Option<u64> {
        let in_ms = format!("{name}_ms");
        let Some(value) = self.get(name) else {
            return self.whole(&in_ms, 1, MAX_MS, found);
        };
        if self.get(&in_ms).is_some() {
            found.add(self.at(name), format!("give either {name} or {in_ms}"));
            return None;
        }
        let ms = match value {
            Value::Number(seconds) => seconds.as_f64().map(|seconds| seconds * 1000.0),
            Value::String(text) => crate::face::workflows::query::duration_ms(text).map(|ms| ms as f64),
            _ => None,
        };
        let ms = ms.filter(|ms| (1.0..=MAX_MS as f64).contains(ms));
        if ms.is_none() {
            found.add(
                self.at(name),
                "must be a number of seconds above 0, or a text such as \"30s\" or \"500ms\"",
            );
        }
        ms.map(|ms| ms as u64)
    }

    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)], found: &mut Findings) -> Option<T> {
        let text = self.get(name)?;
        let chosen = choices
            .iter()
            .find(|(word, _)| text.as_str() == Some(word))
            .map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            found.add(self.at(name), format!("must be one of {}", words.join(", ")));
        }
        chosen
    }

    /// An object below this one.
    pub fn object(&self, name: &str, found: &mut Findings) -> Option<Object<'a>> {
        match self.get(name)? {
            Value::Object(map) => Some(Object::new(self.at(name), map)),
            _ => {
                found.add(self.at(name), "must be an object");
                None
            }
        }
    }
}

/// A number without a fraction, however it is written.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let float = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number))
    };
    value.as_u64().or_else(|| float().map(|number| number as u64))
}
