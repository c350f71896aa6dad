//! Reading JSON as Go's `encoding/json` does, with its words for what is wrong.
//!
//! A wrong type does not stop the reading: the first one is reported at the end, as there. What stands nowhere in Go's
//! sentence stands nowhere here: which element of a list it was.

use serde::Serializer;
use serde_json::{Map, Value};

use super::super::duration;

/// Before every sentence.
const INVALID: &str = "invalid request body: ";

/// The first value of a body; what follows it is not looked at.
pub(super) fn first_value(body: &[u8]) -> Result<Value, String> {
    // Go takes bytes that are no UTF-8 for the replacement character.
    let text = String::from_utf8_lossy(body);
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    match values.next() {
        None => Err(format!("{INVALID}EOF")),
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(format!("{INVALID}{}", syntax(&text, &error))),
    }
}

/// What is wrong with a text that is no JSON.
fn syntax(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".to_owned();
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let context = match message {
        "expected value" => "looking for beginning of value",
        "key must be a string" | "trailing comma" => "looking for beginning of object key string",
        "expected `:`" => "after object key",
        "expected `,` or `}`" => "after object key:value pair",
        "expected `,` or `]`" => "after array element",
        "invalid number" => "in numeric literal",
        "invalid escape" => "in string escape code",
        message if message.starts_with("control character") => "in string literal",
        "recursion limit exceeded" => return "exceeded max depth".to_owned(),
        message => return message.to_owned(),
    };
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The column counts bytes, and is that of the last one that was read.
    let at = line.as_bytes().get(..error.column()).map_or(line.len(), <[u8]>::len);
    let found = line.char_indices().take_while(|(start, _)| *start < at.max(1)).last();
    let found = found.map_or('\n', |(_, found)| found);
    format!("invalid character {found:?} {context}")
}

/// A number as Go writes it: without a point where there is nothing behind it.
pub(crate) fn float<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // Above, Go writes an exponent.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    match number.fract() == 0.0 && number.abs() <= WHOLE {
        true => serializer.serialize_i64(*number as i64),
        false => serializer.serialize_f64(*number),
    }
}

/// What did not fit.
#[derive(Debug, Default)]
pub(super) struct Faults(Option<String>);

impl Faults {
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.0.get_or_insert_with(text);
    }

    /// The value, if all of it fits.
    pub fn into_result<T>(self, value: T) -> Result<T, String> {
        match self.0 {
            None => Ok(value),
            Some(fault) => Err(format!("{INVALID}{fault}")),
        }
    }
}

/// A type of Go that has fields.
pub(super) trait Struct: Default {
    const NAME: &'static str;
    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self;
}

/// The whole body as a `T`.
pub(super) fn body<T: Struct>(value: &Value) -> Result<T, String> {
    let mut faults = Faults::default();
    let read = match value {
        Value::Null => T::default(),
        Value::Object(values) => T::read(&Fields::of::<T>(values, ""), &mut faults),
        other => {
            let word = word(other);
            faults.add(|| format!("json: cannot unmarshal {word} into Go value of type models.{}", T::NAME));
            T::default()
        }
    };
    faults.into_result(read)
}

/// The fields of one object.
pub(super) struct Fields<'v> {
    values: &'v Map<String, Value>,
    owner: &'static str,
    /// Names of the fields that lead here, each with a point behind it.
    path: String,
}

impl<'v> Fields<'v> {
    fn of<T: Struct>(values: &'v Map<String, Value>, path: impl Into<String>) -> Self {
        Self {
            values,
            owner: T::NAME,
            path: path.into(),
        }
    }

    /// The value of a field that is there and not null.
    fn find(&self, name: &str) -> Option<&'v Value> {
        let folded = || {
            let mut entries = self.values.iter();
            entries.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
        };
        let value = self.values.get(name).or_else(folded)?;
        (!value.is_null()).then_some(value)
    }

    fn mismatch(&self, name: &str, value: &Value, kind: &str, faults: &mut Faults) {
        let found = word(value);
        faults.add(|| {
            let (owner, path) = (self.owner, &self.path);
            format!("json: cannot unmarshal {found} into Go struct field {owner}.{path}{name} of type {kind}")
        });
    }

    /// A field as whatever `take` makes of it.
    fn take<T: Default>(
        &self,
        name: &str,
        kind: &str,
        faults: &mut Faults,
        take: impl FnOnce(&'v Value) -> Option<T>,
    ) -> T {
        let Some(value) = self.find(name) else {
            return T::default();
        };
        take(value).unwrap_or_else(|| {
            self.mismatch(name, value, kind, faults);
            T::default()
        })
    }

    pub fn text(&self, name: &str, faults: &mut Faults) -> String {
        self.take(name, "string", faults, |value| value.as_str().map(str::to_owned))
    }

    pub fn flag(&self, name: &str, faults: &mut Faults) -> bool {
        self.take(name, "bool", faults, Value::as_bool)
    }

    pub fn integer(&self, name: &str, faults: &mut Faults) -> i64 {
        self.take(name, "int", faults, Value::as_i64)
    }

    /// Nanoseconds.
    pub fn duration(&self, name: &str, faults: &mut Faults) -> i64 {
        self.take(name, "time.Duration", faults, Value::as_i64)
    }

    pub fn float(&self, name: &str, faults: &mut Faults) -> f64 {
        self.take(name, "float64", faults, Value::as_f64)
    }

    pub fn table(&self, name: &str, faults: &mut Faults) -> Option<Map<String, Value>> {
        self.take(name, "map[string]interface {}", faults, |value| {
            value.as_object().cloned().map(Some)
        })
    }

    /// A table of texts.
    pub fn texts_by_name(&self, name: &str, faults: &mut Faults) -> Option<Map<String, Value>> {
        let table = self.take(name, "map[string]string", faults, |value| value.as_object().map(Some))?;
        let entries = table
            .iter()
            .map(|(key, value)| (key.clone(), self.element(name, value, faults).into()));
        Some(entries.collect())
    }

    pub fn texts(&self, name: &str, faults: &mut Faults) -> Option<Vec<String>> {
        let list = self.take(name, "[]string", faults, |value| value.as_array().map(Some))?;
        Some(list.iter().map(|value| self.element(name, value, faults)).collect())
    }

    fn element(&self, name: &str, value: &Value, faults: &mut Faults) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => {
                self.mismatch(name, other, "string", faults);
                String::new()
            }
        }
    }

    /// A time, as it is echoed.
    pub fn time(&self, name: &str, faults: &mut Faults) -> Option<String> {
        let value = self.find(name)?;
        let Some(text) = value.as_str() else {
            faults.add(|| "Time.UnmarshalJSON: input is not a JSON string".to_owned());
            return None;
        };
        let time = duration::echoed(text);
        if time.is_none() {
            faults.add(|| format!("parsing time {text:?}: cannot parse it as \"2006-01-02T15:04:05Z07:00\""));
        }
        time
    }

    pub fn object<T: Struct>(&self, name: &str, faults: &mut Faults) -> Option<T> {
        let value = self.find(name)?;
        let path = format!("{}{name}.", self.path);
        Some(self.structure(name, value, &path, faults))
    }

    pub fn objects<T: Struct>(&self, name: &str, faults: &mut Faults) -> Option<Vec<T>> {
        let kind = format!("[]models.{}", T::NAME);
        let list = self.take(name, &kind, faults, |value| value.as_array().map(Some))?;
        let path = format!("{}{name}.", self.path);
        Some(
            list.iter()
                .map(|value| self.structure(name, value, &path, faults))
                .collect(),
        )
    }

    fn structure<T: Struct>(&self, name: &str, value: &Value, path: &str, faults: &mut Faults) -> T {
        match value {
            Value::Null => T::default(),
            Value::Object(values) => T::read(&Fields::of::<T>(values, path), faults),
            other => {
                self.mismatch(name, other, &format!("models.{}", T::NAME), faults);
                T::default()
            }
        }
    }
}

/// What Go calls a value that does not fit.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        // A number that is a number, but not one that fits, is named.
        Value::Number(number) => match number.as_i64() {
            Some(_) => "number".to_owned(),
            None => format!("number {number}"),
        },
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}
