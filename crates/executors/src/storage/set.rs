//! All configured backends, and which of them is the default.

use std::collections::HashSet;

use serde_json::Value;

use super::backend::{Backend, BackendView};
use super::fields::ConfigError;

/// The originals' name for the list, by which complaints call it.
pub(super) const LIST: &str = "STORAGE_BACKENDS";
/// And for the choice among it.
pub(super) const DEFAULT_ID: &str = "DEFAULT_STORAGE_BACKEND_ID";

/// At least one backend, no two with the same id, one of them the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSet {
    backends: Vec<Backend>,
    default: usize,
}

impl BackendSet {
    /// Checks a list. The default is the backend of the given id, else the first that claims to be it, else the first.
    pub fn new(backends: Vec<Backend>, default_id: Option<&str>) -> Result<Self, ConfigError> {
        let mut ids = HashSet::new();
        for (at, backend) in backends.iter().enumerate() {
            if !ids.insert(backend.id.as_str()) {
                let problem = format!("is {:?}, as that of another storage backend", backend.id);
                return Err(ConfigError::new(format!("{LIST}[{at}].id"), problem));
            }
        }
        if backends.is_empty() {
            return Err(ConfigError::new(LIST, "must have at least one storage backend"));
        }
        let default = match default_id {
            Some(id) => backends.iter().position(|backend| backend.id == id).ok_or_else(|| {
                let known: Vec<&str> = backends.iter().map(|backend| backend.id.as_str()).collect();
                let problem = format!("names {id:?}, but the storage backends are {}", known.join(", "));
                ConfigError::new(DEFAULT_ID, problem)
            })?,
            None => backends.iter().position(|backend| backend.is_default).unwrap_or(0),
        };
        Ok(Self { backends, default })
    }

    /// Reads a list from the text of a JSON array.
    pub fn from_json(text: &str, default_id: Option<&str>) -> Result<Self, ConfigError> {
        let list: Value = serde_json::from_str(text).map_err(|error| {
            // Only the place: the reader's own words may quote what it read.
            let place = format!("line {}, column {}", error.line(), error.column());
            ConfigError::new(LIST, format!("is no JSON, from {place}"))
        })?;
        let Value::Array(list) = list else {
            return Err(ConfigError::new(LIST, "must be a JSON array"));
        };
        let read = |(at, value)| Backend::from_json(value).map_err(|error| error.within(&format!("{LIST}[{at}]")));
        let backends: Result<Vec<Backend>, ConfigError> = list.into_iter().enumerate().map(read).collect();
        Self::new(backends?, default_id)
    }

    /// The backends, in the order in which they were configured.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The one that runs use.
    pub fn default_backend(&self) -> &Backend {
        &self.backends[self.default]
    }

    /// What may be shown of them.
    pub fn views(&self) -> Vec<BackendView> {
        let view = |(at, backend): (usize, &Backend)| backend.view(at == self.default);
        self.backends.iter().enumerate().map(view).collect()
    }

    pub(super) fn into_parts(self) -> (Vec<Backend>, usize) {
        (self.backends, self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[(&str, bool)]) -> String {
        let backend = |(id, is_default): &(&str, bool)| serde_json::json!({ "id": id, "provider": "local", "credentials": { "basePath": "x" }, "isDefault": is_default });
        Value::Array(ids.iter().map(backend).collect()).to_string()
    }

    fn default_of(ids: &[(&str, bool)], default_id: Option<&str>) -> Result<String, String> {
        BackendSet::from_json(&list(ids), default_id)
            .map(|set| set.default_backend().id.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_the_named_one_else_the_first_that_claims_it_else_the_first() {
        let three = [("a", false), ("b", true), ("c", true)];
        assert_eq!(default_of(&three, Some("c")), Ok("c".to_owned()));
        assert_eq!(default_of(&three, None), Ok("b".to_owned()));
        assert_eq!(default_of(&[("a", false), ("b", false)], None), Ok("a".to_owned()));
        assert_eq!(
            default_of(&three, Some("d")),
            Err("DEFAULT_STORAGE_BACKEND_ID: names \"d\", but the storage backends are a, b, c".to_owned())
        );
    }

    #[test]
    fn exactly_one_is_shown_as_the_default() {
        let set = BackendSet::from_json(&list(&[("a", true), ("b", true)]), Some("b")).unwrap();
        let shown: Vec<bool> = set.views().iter().map(|view| view.is_default).collect();
        assert_eq!(shown, [false, true]);
    }

    #[test]
    fn a_list_that_cannot_be_is_refused() {
        for (ids, complaint) in [
            (&[][..], "STORAGE_BACKENDS: must have at least one storage backend"),
            (
                &[("a", false), ("a", false)],
                "STORAGE_BACKENDS[1].id: is \"a\", as that of another storage backend",
            ),
        ] {
            assert_eq!(default_of(ids, None), Err(complaint.to_owned()));
        }
        let complaint = |text| BackendSet::from_json(text, None).unwrap_err().to_string();
        assert_eq!(complaint("{}"), "STORAGE_BACKENDS: must be a JSON array");
        assert_eq!(
            complaint("[hunter2"),
            "STORAGE_BACKENDS: is no JSON, from line 1, column 2"
        );
        assert_eq!(complaint("[1]"), "STORAGE_BACKENDS[0]: must be an object");
        assert_eq!(
            complaint(r#"[{"id":"a","provider":"smb"}]"#),
            "STORAGE_BACKENDS[0].provider: must be local, aws-s3, gcs or minio"
        );
    }
}
