//! Reading fields by their types; what is wrong is gathered under its path.
//!
//! Null, and where a text is wanted the empty one, is as good as absent: so it was for the original.

use std::ops::RangeInclusive;

use serde_json::{Map, Number, Value};

use super::MAX_NAME;

/// Problems kept of one document; one more is not looked for.
const KEPT: usize = 100;
/// Longest time, in milliseconds: ten years.
pub(super) const MAX_MS: f64 = 10.0 * 366.0 * 86_400_000.0;
/// The largest whole number that a JSON number holds exactly everywhere.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Path of the field, for instance `steps[2].dependsOn[0]`; empty where the message speaks for itself.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }

    /// A message that names its field itself.
    pub fn whole(message: impl Into<String>) -> Self {
        Self::new("", message)
    }

    /// Both in one line.
    pub fn text(&self) -> String {
        match self.field.as_str() {
            "" => self.message.clone(),
            field => format!("{field}: {}", self.message),
        }
    }
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    is_ignored: bool,
}

impl Problems {
    /// Of a document that was checked before.
    pub fn ignored() -> Self {
        Self {
            is_ignored: true,
            ..Self::default()
        }
    }

    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if !self.is_ignored && self.list.len() < KEPT {
            self.list.push(Problem::new(field, message));
        }
    }

    pub fn into_result(self) -> Result<(), Vec<Problem>> {
        if self.list.is_empty() { Ok(()) } else { Err(self.list) }
    }

    /// Names go into ids, logs and other programs' keys.
    pub(super) fn check_name(&mut self, field: &str, name: &str) {
        if name.len() > MAX_NAME || name.chars().any(char::is_control) {
            self.add(
                field,
                format!("must have at most {MAX_NAME} bytes and no control characters"),
            );
        }
    }
}

/// An object and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Fields<'d> {
    map: Option<&'d Map<String, Value>>,
    step: Option<usize>,
    group: Option<&'static str>,
}

impl<'d> Fields<'d> {
    pub fn of_task(value: &'d Value) -> Self {
        Self {
            map: value.as_object(),
            step: None,
            group: None,
        }
    }

    pub fn of_step(nth: usize, value: &'d Value) -> Self {
        Self {
            step: Some(nth),
            ..Self::of_task(value)
        }
    }

    /// The path of a field.
    pub fn at(&self, name: &str) -> String {
        let step = self.step.map(|nth| format!("steps[{nth}].")).unwrap_or_default();
        let group = self.group.map(|group| format!("{group}.")).unwrap_or_default();
        format!("{step}{group}{name}")
    }

    /// The path of the object itself.
    pub fn path(&self) -> String {
        self.at("").trim_end_matches('.').to_owned()
    }

    /// The field, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'d Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str, problems: &mut Problems) -> Option<&'d str> {
        let value = self.get(name)?;
        if !value.is_string() {
            problems.add(self.at(name), "must be a string");
        }
        value.as_str().filter(|text| !text.is_empty())
    }

    pub fn flag(&self, name: &str, problems: &mut Problems) -> bool {
        let Some(value) = self.get(name) else { return false };
        if !value.is_boolean() {
            problems.add(self.at(name), "must be true or false");
        }
        value.as_bool().unwrap_or_default()
    }

    /// A whole number within bounds.
    pub fn whole(&self, name: &str, bounds: RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
        let value = self.get(name)?;
        let number = value
            .as_number()
            .and_then(whole)
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            problems.add(self.at(name), format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A number from 0 to `most`.
    pub fn number(&self, name: &str, most: f64, problems: &mut Problems) -> Option<f64> {
        let value = self.get(name)?;
        let number = value.as_f64().filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            problems.add(self.at(name), format!("must be a number from 0 to {most}"));
        }
        number
    }

    /// Milliseconds.
    pub fn ms(&self, name: &str, problems: &mut Problems) -> Option<u64> {
        self.number(name, MAX_MS, problems).map(|ms| ms.round() as u64)
    }

    /// Seconds, as milliseconds. None at all are as good as absent, and none is below one millisecond.
    pub fn seconds(&self, name: &str, problems: &mut Problems) -> Option<u64> {
        let seconds = self.number(name, MAX_MS / 1_000.0, problems)?;
        (seconds > 0.0).then(|| ((seconds * 1_000.0).round() as u64).max(1))
    }

    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let value = self.get(name)?;
        let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            problems.add(self.at(name), format!("must be one of {}", words.join(", ")));
        }
        chosen.map(|(_, choice)| *choice)
    }

    pub fn list(&self, name: &str, problems: &mut Problems) -> &'d [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(_) => {
                problems.add(self.at(name), "must be an array");
                &[]
            }
        }
    }

    /// A list of strings.
    pub fn texts(&self, name: &str, problems: &mut Problems) -> Vec<&'d str> {
        let mut texts = Vec::new();
        for (nth, value) in self.list(name, problems).iter().enumerate() {
            match value.as_str() {
                Some(text) => texts.push(text),
                None => problems.add(format!("{}[{nth}]", self.at(name)), "must be a string"),
            }
        }
        texts
    }

    /// An object below this one.
    pub fn group(&self, name: &'static str, problems: &mut Problems) -> Option<Fields<'d>> {
        let value = self.get(name)?;
        if !value.is_object() {
            problems.add(self.at(name), "must be an object");
        }
        let map = Some(value.as_object()?);
        let (step, group) = (self.step, Some(name));
        Some(Fields { map, step, group })
    }
}

/// A number without a fraction, however it is written.
pub(super) fn whole(number: &Number) -> Option<i64> {
    let float = || {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() <= MAX_WHOLE).then_some(float as i64)
    };
    number.as_i64().or_else(float)
}
