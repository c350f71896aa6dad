//! Reading settings by hand, field by field.
//!
//! A derived reader quotes the value that it did not like, and here that can be a credential. So fields are taken out of
//! a JSON object one by one, and a complaint names the field and what it must be, never what it was. Names are known in
//! both spellings, `basePath` and `base_path`: the first is the originals', the second that of this server's own files.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A setting of a storage backend is wrong. It names the field and never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, from the outside inwards: `STORAGE_BACKENDS[1].credentials.accessKeyId`.
    pub field: String,
    /// What is wrong there.
    pub problem: String,
}

impl ConfigError {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The same, seen from outside of `outer`.
    pub(super) fn within(self, outer: &str) -> Self {
        let field = if self.field.is_empty() {
            outer.to_owned()
        } else {
            format!("{outer}.{}", self.field)
        };
        Self { field, ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.is_empty() {
            true => f.write_str(&self.problem),
            false => write!(f, "{}: {}", self.field, self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

/// What is left of an object to be read.
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    pub fn of(value: Value) -> Result<Self, ConfigError> {
        let Value::Object(object) = value else {
            return Err(ConfigError::new("", "must be an object"));
        };
        let mut fields = BTreeMap::new();
        for (name, value) in object {
            let name = camel_case(&name);
            if fields.contains_key(&name) {
                return Err(ConfigError::new(name, "is given twice"));
            }
            fields.insert(name, value);
        }
        Ok(Self(fields))
    }

    /// A value of any kind; `null` counts as not given.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty; an empty one counts as not given, as in an environment.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ConfigError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ConfigError::new(name, "must be a text")),
        }
    }

    /// A text under the first of these names that is given.
    pub fn required(&mut self, names: &[&str]) -> Result<String, ConfigError> {
        let mut found = None;
        for name in names {
            let text = self.text(name)?;
            if found.is_some() && text.is_some() {
                return Err(ConfigError::new(
                    *name,
                    format!("says the same as {}: give one of them", names[0]),
                ));
            }
            found = found.or(text);
        }
        found.ok_or_else(|| ConfigError::new(names[0], "is missing"))
    }

    pub fn flag(&mut self, name: &str) -> Result<bool, ConfigError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(ConfigError::new(name, "must be true or false")),
        }
    }

    /// Everything must have been read: a misspelt setting is a mistake and no decoration.
    pub fn finish(self) -> Result<(), ConfigError> {
        match self.0.into_keys().next() {
            Some(name) => Err(ConfigError::new(name, "is no setting of this storage backend")),
            None => Ok(()),
        }
    }
}

fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        if letter == '_' && !camel.is_empty() {
            raise = true;
        } else if std::mem::take(&mut raise) {
            camel.push(letter.to_ascii_uppercase());
        } else {
            camel.push(letter);
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_known_in_both_spellings() {
        let mut fields = Fields::of(json!({ "base_path": "a", "accessKey": "b" })).unwrap();
        assert_eq!(fields.text("basePath"), Ok(Some("a".to_owned())));
        assert_eq!(fields.required(&["accessKeyId", "accessKey"]), Ok("b".to_owned()));
        assert_eq!(fields.finish(), Ok(()));
        let twice = Fields::of(json!({ "base_path": "a", "basePath": "b" }));
        assert_eq!(twice.err().unwrap().to_string(), "basePath: is given twice");
    }

    #[test]
    fn a_complaint_names_the_field_and_not_the_value() {
        let mut fields = Fields::of(json!({ "secretKey": ["hunter2"], "isDefault": "hunter2", "rest": 1 })).unwrap();
        let complaints = [
            fields.text("secretKey").unwrap_err(),
            fields.flag("isDefault").unwrap_err(),
            fields.required(&["accessKey"]).unwrap_err(),
            fields.finish().unwrap_err().within("x[1]"),
        ];
        assert_eq!(
            complaints.map(|complaint| complaint.to_string()),
            [
                "secretKey: must be a text",
                "isDefault: must be true or false",
                "accessKey: is missing",
                "x[1].rest: is no setting of this storage backend",
            ]
        );
    }
}
